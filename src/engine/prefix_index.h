/* What a prefix store knows of its directory without opening files: an entry for each file of its own, and which one goes first
 * when room is needed. */
#ifndef MOTE_ENGINE_PREFIX_INDEX_H
#define MOTE_ENGINE_PREFIX_INDEX_H

#include "engine/prefix_store.h"

typedef struct prefix_entry {
    prefix_key key; /* also the file's name */
    prefix_key parent;
    uint64_t size;      /* of the file */
    uint64_t turn;      /* of its last use by this process; 0: none */
    int64_t time;       /* of its last use, from the file: seconds since 1970 */
    mote_token first;   /* of its ids */
    uint32_t count;     /* of its ids */
    bool usable;        /* false: only takes room */
    bool present;       /* was met in the scan that runs */
    uint64_t looked_at; /* in this search */
} prefix_entry;

typedef struct prefix_index {
    size_t count;
    uint64_t turn;   /* uses so far */
    uint64_t search; /* searches so far */
    prefix_entry entry[PREFIX_STORE_RECORDS];
} prefix_index;

/* NULL: there is none. */
prefix_entry *prefix_index_find(prefix_index *index, const prefix_key *key);

/* Adds or overwrites. Where the index is full, the entry that would be removed first makes way, though not its file; NULL: it
 * would be this one. */
prefix_entry *prefix_index_add(prefix_index *index, const prefix_entry *entry);

void prefix_index_remove(prefix_index *index, prefix_entry *entry);
void prefix_index_touch(prefix_index *index, prefix_entry *entry);
uint64_t prefix_index_bytes(const prefix_index *index);

/* What goes first: unusable files, then records that no other builds on, least recently used first; never `spared` (NULL:
 * spares none). NULL: there is none. */
prefix_entry *prefix_index_victim(prefix_index *index, const prefix_key *spared);

/* A usable record behind `parent` that begins with `first`, the most recently used one that this search has not had yet. */
prefix_entry *prefix_index_child(prefix_index *index, const prefix_key *parent, mote_token first);

#endif
