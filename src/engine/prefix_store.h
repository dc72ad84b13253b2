/* Prefixes of the KV cache in a directory: what was computed once is read after a restart, and never computed again.
 *
 * A record is one page of an engine's cache: what 256 tokens left in every layer, or the tail of a prompt with fewer. It is a
 * file of its own, named after its key:
 *
 *     root ── facts of model and cache, scope           HMAC-SHA-256 with the directory's secret
 *       └ key of page 0 ── root, its ids                SHA-256
 *           ├ key of page 1 ── key of page 0, its ids   … so a key stands for all ids up to the end of its page
 *           └ key of another page 1, or of a tail
 *
 *     DIR/5f0c…a1.kv      a record                  DIR/mote-secret   32 random bytes, made once
 *     DIR/8e21….part      one that is being written  DIR/mote-written  bytes written in each of the last hours
 *
 *      0 ┌ "mote kv\n" │ version │ ids │ bytes of the blob ┐
 *     24 │ key [32] │ parent's key [32]                    │ header
 *     88 │ tag of the above and the ids [32]               │
 *    120 │ tag of the tag above and the blob [32]          │
 *    152 ├ ids, 4 bytes each                               ┤
 *        └ blob: the caller's segments, one after another  ┘ exactly to the end of the file
 *
 * Tags are keyed hashes (base/keyed_hash.h) under the secret. Against a file that is torn, from another directory, of an older
 * version, or changed by somebody who cannot read the secret, that is proof. Somebody who can read the directory, root or
 * the holder of the SD card, has the secret with it, and the prompts too: ids lie there as they are. It is not encryption.
 *
 * Nothing half-read is ever used: what the caller handed over as room is scratch until prefix_store_load says OK. A record
 * appears whole or not at all (temporary file, fsync, rename, fsync of the directory), so that power or the process may go at
 * any moment. Files that are not the store's are never touched. Whatever goes wrong after opening costs time, not answers:
 * callers compute what they cannot load, and may leave every status unread, for `say` hears each kind of trouble once.
 *
 * Two processes may share a directory. Promised: neither reads anything broken, and neither removes what the other is writing.
 * Not promised: that one finds what the other has written since it opened, or that caps hold to the byte while both write.
 *
 * A store is for one thread at a time. Nothing is allocated after opening. */
#ifndef MOTE_ENGINE_PREFIX_STORE_H
#define MOTE_ENGINE_PREFIX_STORE_H

#include "base/status.h"

enum {
    PREFIX_STORE_IDS = 256,     /* of a record, at most: the positions of a page */
    PREFIX_STORE_RECORDS = 2048 /* that a directory holds, at most */
};

typedef struct prefix_store prefix_store;

typedef struct prefix_key {
    unsigned char bytes[32];
} prefix_key;

typedef struct prefix_store_options {
    const char *directory;      /* made, for its owner alone, if there is none; what lies above it must exist */
    uint64_t size_limit;        /* bytes of all records; 0: 1 GiB */
    uint64_t daily_write_limit; /* bytes written in any 24 hours; 0: 2 GiB; UINT64_MAX: no limit */
    void (*say)(void *user,
                const char *sentence); /* what a person should know, each kind once; NULL: nobody hears it */
    void *user;
} prefix_store_options;

/* Opens a directory and reads the headers of its records. A directory on a read-only disk is opened for reading alone, and
 * `say` hears so. Errors: ARGUMENT (no directory's name), IO (is no directory; cannot be made, read or written; belongs to
 * another user; others may write to it), MEMORY. */
mote_status prefix_store_open(prefix_store **out, const prefix_store_options *options, mote_error *error);
void prefix_store_close(prefix_store *store); /* NULL is fine */

/* What opening takes, for the planner. */
size_t prefix_store_memory(void);

typedef struct prefix_store_report {
    size_t records;   /* that can be loaded */
    uint64_t bytes;   /* of all files that are the store's */
    size_t unusable;  /* the store's by name and first bytes, but torn, tampered with or of another version or secret */
    size_t foreign;   /* not the store's: left alone */
    uint64_t written; /* in the last 24 hours */
    uint64_t size_limit; /* as given, or the default */
    uint64_t daily_write_limit;
    bool writes; /* false: a read-only disk, or writing has failed; it is tried again after an hour */
} prefix_store_report;

void prefix_store_describe(prefix_store *store, prefix_store_report *report);

/* ------------------------------------------------------------------------------------------------------------- keys */

/* Everything but ids that decides what is in a page. */
typedef struct prefix_facts {
    unsigned char model[32]; /* model_identity.h */
    uint32_t layout;         /* version of how keys and values lie in a page */
    uint32_t key_type;       /* kv_type */
    uint32_t value_type;
    uint32_t variant; /* whatever else an engine can choose: which rope factors, which kernels if their bits differ */
    const void
        *scope; /* whose prefixes these are, such as an API key: another scope never finds them; NULL: nobody's */
    size_t scope_bytes;
} prefix_facts;

/* The key before the first page. */
void prefix_store_root(const prefix_store *store, const prefix_facts *facts, prefix_key *root);

/* The key of a page behind `parent`. key may be parent. */
void prefix_key_extend(const prefix_key *parent, const mote_token *ids, size_t count, prefix_key *key);

/* ---------------------------------------------------------------------------------------------------------- records */

/* A piece of a page in memory. A record's blob is its segments in order; their total is checked, their number may differ
 * between saving and loading. Loading into `at` NULL reads these bytes for the tag and drops them. */
typedef struct prefix_segment {
    void *at;
    size_t bytes;
} prefix_segment;

typedef struct prefix_match {
    prefix_key key; /* of the record: the parent of the next page if `common` is `count` and that PREFIX_STORE_IDS */
    size_t count;   /* its ids, and so the positions that its segments must have room for */
    size_t common;  /* of them, the first that are the same as those asked for */
} prefix_match;

bool prefix_store_has(const prefix_store *store, const prefix_key *key);

/* The record behind `parent` that shares the longest beginning with these ids: the whole page if there is one, else the best of
 * its tails and of pages that go another way further on. False: there is none that shares even one. `parent` may be
 * &match->key. */
bool prefix_store_find(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count,
                       prefix_match *match);

/* Reads the record that was found, for the same parent and ids, into the segments. Only after OK do they mean anything; and of
 * a record whose `common` is less than `count`, only the first `common` positions are of use.
 * Errors: FORMAT (torn, tampered with, other ids, or of another size than the segments), IO; the record is then
 * forgotten, and its file removed if the contents are wrong. */
mote_status prefix_store_load(prefix_store *store, const prefix_key *parent, const prefix_match *match,
                              const mote_token *ids, const prefix_segment *segments, size_t segment_count,
                              mote_error *error);

/* Writes a record; OK also where it is there already. Takes as long as the disk does: fsync of an SD card is seconds, so call
 * it when nobody waits. Makes room first: records that no other builds on go, least recently used first, but never
 * `parent`. Errors: ARGUMENT (no ids, or too many), LIMIT (would not fit, or the day's bytes are written), IO (the disk is
 * full or failing, or cannot be written). A limit on file sizes is an error only if SIGXFSZ is ignored. */
mote_status prefix_store_save(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count,
                              const prefix_segment *segments, size_t segment_count, mote_error *error);

#endif
