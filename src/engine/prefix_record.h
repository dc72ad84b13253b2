/* One record of a prefix store: a file's bytes, written and checked (prefix_store.h draws them). Knows descriptors and the
 * directory's key, not where the file lies. */
#ifndef MOTE_ENGINE_PREFIX_RECORD_H
#define MOTE_ENGINE_PREFIX_RECORD_H

#include "base/keyed_hash.h"
#include "engine/prefix_store.h"

enum {
    PREFIX_RECORD_VERSION = 1,
    PREFIX_RECORD_HEADER = 152,
    PREFIX_RECORD_HEAD = PREFIX_RECORD_HEADER + PREFIX_STORE_IDS * 4 /* of the longest header with ids */
};

typedef enum prefix_record_state {
    PREFIX_RECORD_SOUND,      /* header and ids are as they were written, and the file is as long as they say */
    PREFIX_RECORD_FOREIGN,    /* does not begin like a record */
    PREFIX_RECORD_UNUSABLE,   /* another version, another secret, torn, or tampered with */
    PREFIX_RECORD_UNREADABLE, /* errno says why */
    PREFIX_RECORD_LATER /* the process has no descriptor or memory left, which errno says: nothing is known of it */
} prefix_record_state;

typedef struct prefix_record {
    prefix_key key;
    prefix_key parent;
    uint32_t count;
    uint64_t blob_bytes;
    unsigned char head_tag[SHA256_BYTES];
    unsigned char blob_tag[SHA256_BYTES];
    mote_token ids[PREFIX_STORE_IDS];
} prefix_record;

/* The size of its file. False: not a number of this machine. */
bool prefix_record_size(size_t count, uint64_t blob_bytes, uint64_t *size);

/* Reads what lies before the blob. `file_size`: the file's. */
prefix_record_state prefix_record_read(prefix_record *record, int file, uint64_t file_size,
                                       const keyed_hash_key *secret);

/* Reads the blob into the segments, which together have its size. FOREIGN is not among the answers; until SOUND, what the
 * segments hold is anything. `spare`: memory for what goes into no segment. */
prefix_record_state prefix_record_read_blob(const prefix_record *record, int file, const prefix_segment *segments,
                                            size_t segment_count, const keyed_hash_key *secret, void *spare,
                                            size_t spare_bytes);

/* Writes a record into an empty file: the blob first and the header last. `record`: key, parent, count, ids and blob_bytes, the
 * sum of the segments; the tags are filled in. 0, or an error number. */
int prefix_record_write(prefix_record *record, int file, const prefix_segment *segments, size_t segment_count,
                        const keyed_hash_key *secret);

#endif
