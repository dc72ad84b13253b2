/* Between the KV cache and its directory (engine/prefix_store.h): prompts that were computed are written page by page, and
 * read in place of computing them again, after a restart too.
 *
 * Pages of layers that see the whole context and of sliding ones have a chain of keys each. Of the first kind all pages of a
 * prompt are written; of the other those that its end needs, and any other place of it that a sequence is kept for.
 *
 * Callers hold the engine's lock. */
#ifndef MOTE_ENGINE_PREFIX_DISK_H
#define MOTE_ENGINE_PREFIX_DISK_H

#include "engine/kv_sequence.h"
#include "engine/model_handle.h"
#include "engine/prefix_store.h"

enum { PREFIX_DISK_LEAST = 64 }; /* tokens: fewer are computed as fast as they are read */

typedef struct prefix_disk prefix_disk;

/* `context` is that of a session; the cache is laid out. Errors: those of prefix_store_open and model_identity, MEMORY. */
mote_status prefix_disk_open(prefix_disk **out, const prefix_store_options *options, const mote_model *m,
                             const kv_cache *kv, uint32_t context, mote_error *error);
void prefix_disk_close(prefix_disk *disk);

/* Makes `s`, which holds the beginning of these tokens, hold more of them if the directory has that; or nothing, where it
 * turned out while reading that it has not. Returns how many of them it knows, which may be more than can be gone on from. */
size_t prefix_disk_load(prefix_disk *disk, kv_cache *kv, uint32_t s, const int32_t *ids, size_t count);

/* How far a save has come; {0}: it begins. */
typedef struct prefix_saving {
    uint32_t kind;
    size_t chunk;
    prefix_key parent; /* of the chunk's page */
} prefix_saving;

/* Writes what is not there yet of the first `length` tokens of `s`: piece after piece, so that the lock need not be held for
 * long. The tokens stay the same from one piece to the next. False: there was nothing left. */
bool prefix_disk_save(prefix_disk *disk, kv_cache *kv, uint32_t s, size_t length, prefix_saving *saving);

#endif
