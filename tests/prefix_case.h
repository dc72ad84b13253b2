/* A store of prefixes in the test's folder, and small records for it. Beside temporary_folder.h, whose functions make and remove
 * that folder. */
#ifndef MOTE_TESTS_PREFIX_CASE_H
#define MOTE_TESTS_PREFIX_CASE_H

#include "engine/prefix_store.h"

enum { BLOB = 1000, ONE = 400, TAIL_IDS = 100, SOME = 600 };

extern struct prefix_case {
    unsigned said;
    char text[512]; /* the last sentence */
    unsigned char at[BLOB];
    mote_token ids[SOME];
    char path[400]; /* of the one record */
} my;

/* A directory of the folder, without a daily limit; what the store says goes to my.said and my.text. */
prefix_store_options options_for(const char *name);

/* These end the test where they fail. open_store: "cache". */
prefix_store *open_with(prefix_store_options options);
prefix_store *open_store(void);

prefix_key root_of(const prefix_store *store, const char *scope); /* of one model for a scope */
void number_ids(void);                                            /* my.ids */
void blob_of(unsigned number, unsigned char *at);                 /* BLOB bytes that the number tells from others */

/* Such a blob in two segments; loaded into my.at, cut elsewhere. */
mote_status save(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count, unsigned number,
                 mote_error *error);
void save_ok(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count, unsigned number);
mote_status load(prefix_store *store, const prefix_key *parent, const prefix_match *match, const mote_token *ids,
                 mote_error *error);
void assert_loads(prefix_store *store, const prefix_key *parent, const prefix_match *match, const mote_token *ids,
                  unsigned number);

prefix_store_report describe(prefix_store *store);
const char *path_of(const prefix_key *parent, const mote_token *ids, size_t count); /* of a record in "cache" */
void write_file(const char *path, const void *bytes, size_t count);                 /* mode 0600 */

#endif
