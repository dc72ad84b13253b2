#include "prefix_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "temporary_folder.h"

#include "assert_says.h"

struct prefix_case my;

static void hear(void *user, const char *sentence)
{
    (void)user;
    my.said++;
    snprintf(my.text, sizeof my.text, "%s", sentence);
}

prefix_store_options options_for(const char *name)
{
    return (prefix_store_options){.directory = in_folder(name), .daily_write_limit = UINT64_MAX, .say = hear};
}

prefix_store *open_with(prefix_store_options options)
{
    prefix_store *store;
    mote_error error;
    my.said = 0;
    my.text[0] = '\0';
    if (prefix_store_open(&store, &options, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return store;
}

prefix_store *open_store(void)
{
    return open_with(options_for("cache"));
}

prefix_key root_of(const prefix_store *store, const char *scope)
{
    prefix_key root;
    prefix_facts facts = {
        .model = {1, 2, 3}, .layout = 1, .scope = scope, .scope_bytes = scope != NULL ? strlen(scope) : 0};
    prefix_store_root(store, &facts, &root);
    return root;
}

void number_ids(void)
{
    for (size_t i = 0; i < SOME; i++)
        my.ids[i] = (mote_token)(i * 7 + 3);
}

/* A blob that its number tells from others, in two segments. */
void blob_of(unsigned number, unsigned char *at)
{
    for (size_t i = 0; i < BLOB; i++)
        at[i] = (unsigned char)(i * 31 + number * 101 + (i >> 8));
}

mote_status save(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count, unsigned number,
                 mote_error *error)
{
    unsigned char blob[BLOB];
    blob_of(number, blob);
    prefix_segment segments[] = {{blob, ONE}, {blob + ONE, BLOB - ONE}};
    return prefix_store_save(store, parent, ids, count, segments, 2, error);
}

void save_ok(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count, unsigned number)
{
    mote_error error;
    if (save(store, parent, ids, count, number, &error) != MOTE_OK)
        fail_msg("%s", error.text);
}

mote_status load(prefix_store *store, const prefix_key *parent, const prefix_match *match, const mote_token *ids,
                 mote_error *error)
{
    prefix_segment segments[] = {{my.at, BLOB - ONE}, {my.at + BLOB - ONE, ONE}}; /* cut elsewhere than it was saved */
    memset(my.at, 0, sizeof my.at);
    return prefix_store_load(store, parent, match, ids, segments, 2, error);
}

void assert_loads(prefix_store *store, const prefix_key *parent, const prefix_match *match, const mote_token *ids,
                  unsigned number)
{
    mote_error error;
    unsigned char blob[BLOB];
    blob_of(number, blob);
    if (load(store, parent, match, ids, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    assert_memory_equal(my.at, blob, BLOB);
}

prefix_store_report describe(prefix_store *store)
{
    prefix_store_report report;
    prefix_store_describe(store, &report);
    return report;
}

/* The path of a record, tail or page of my.ids behind `parent`. */
const char *path_of(const prefix_key *parent, const mote_token *ids, size_t count)
{
    prefix_key key;
    char name[100] = "cache/";
    prefix_key_extend(parent, ids, count, &key);
    for (size_t i = 0; i < sizeof key.bytes; i++)
        sprintf(name + 6 + 2 * i, "%02x", key.bytes[i]);
    strcat(name, ".kv");
    return in_folder(name);
}

void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0)
        fail_msg("cannot write %s", path);
    chmod(path, 0600);
}
