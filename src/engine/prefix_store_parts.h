/* What a prefix store is inside: for prefix_store.c, which reads, and prefix_save.c, which writes. */
#ifndef MOTE_ENGINE_PREFIX_STORE_PARTS_H
#define MOTE_ENGINE_PREFIX_STORE_PARTS_H

#include <dirent.h>
#include <time.h>

#include "engine/prefix_files.h"
#include "engine/prefix_index.h"
#include "engine/prefix_quota.h"
#include "engine/prefix_record.h"

/* Kinds of trouble, each said once. */
enum {
    SAY_IGNORED = 1,
    SAY_READ_ONLY = 2,
    SAY_BROKEN = 4,
    SAY_DISK = 8,
    SAY_DAY = 16,
    SAY_SIZE = 32,
    SAY_CROWDED = 64,
    SAY_LATER = 128
};

enum { PREFIX_STORE_SPARE = 64 * 1024 };

struct prefix_store {
    prefix_store_options options; /* `directory` is `path` here, and limits are set */
    char path[256];               /* as sentences name it */
    int directory;
    DIR *listing; /* of it */
    bool read_only;
    unsigned said;
    double rests_until; /* CLOCK_MONOTONIC: nothing is written before */
    size_t foreign;
    struct timespec changed; /* the directory, when it was last looked at */
    bool look_again;         /* some of it could not be opened then */
    keyed_hash_key secret;
    prefix_quota quota;
    prefix_record record; /* the one at hand */
    unsigned char spare[PREFIX_STORE_SPARE];
    prefix_index index;
};

/* Says error->text, unless something of this kind was said before. Returns its status. */
mote_status prefix_store_say(prefix_store *store, unsigned kind, const mote_error *error);

/* Brings the index in line with the directory, where it has changed; prefix_store_looked afterwards spares the next look. */
void prefix_store_look(prefix_store *store);
void prefix_store_looked(prefix_store *store);

/* Is it the process, and not the disk, that lacks something? */
bool prefix_store_may_pass(int number);

void prefix_store_name(const prefix_key *key, char name[PREFIX_NAME]);

/* Opens and reads a record's head into store->record. SOUND: *file is open, and the caller's to close; else it is not. */
prefix_record_state prefix_store_open_record(prefix_store *store, const prefix_key *key, int *file, struct stat *about);

/* An entry for store->record. */
prefix_entry prefix_store_entry(const prefix_store *store, const struct stat *about);

#endif
