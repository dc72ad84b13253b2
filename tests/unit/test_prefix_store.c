/* The directory of prefixes: what goes in comes out, for whom it is meant and for nobody else, and whatever a disk, a dying
 * process or somebody with an editor does to it costs a computation and never an answer.
 *
 *     test_prefix_store --long     also kills a writer 200 times
 *     test_prefix_store --bench    GB/s of the hash, and of loading from the page cache */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/prefix_quota.h"
#include "engine/prefix_record.h"
#include "engine/prefix_store.h"

#include "assert_says.h"
#include "temporary_folder.h"

enum { BLOB = 1000, ONE = 400, TAIL_IDS = 100, SOME = 600 };

static struct {
    unsigned said;
    char text[512]; /* the last sentence */
    unsigned char at[BLOB];
    mote_token ids[SOME];
    char path[400]; /* of the one record */
} my;

static void hear(void *user, const char *sentence)
{
    (void)user;
    my.said++;
    snprintf(my.text, sizeof my.text, "%s", sentence);
}

static prefix_store_options options_for(const char *name)
{
    return (prefix_store_options){.directory = in_folder(name), .daily_write_limit = UINT64_MAX, .say = hear};
}

static prefix_store *open_with(prefix_store_options options)
{
    prefix_store *store;
    mote_error error;
    my.said = 0;
    my.text[0] = '\0';
    if (prefix_store_open(&store, &options, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return store;
}

static prefix_store *open_store(void)
{
    return open_with(options_for("cache"));
}

static prefix_key root_of(const prefix_store *store, const char *scope)
{
    prefix_key root;
    prefix_facts facts = {
        .model = {1, 2, 3}, .layout = 1, .scope = scope, .scope_bytes = scope != NULL ? strlen(scope) : 0};
    prefix_store_root(store, &facts, &root);
    return root;
}

static void fill_ids(void)
{
    for (size_t i = 0; i < SOME; i++)
        my.ids[i] = (mote_token)(i * 7 + 3);
}

/* A blob that its number tells from others, in two segments. */
static void blob_of(unsigned number, unsigned char *at)
{
    for (size_t i = 0; i < BLOB; i++)
        at[i] = (unsigned char)(i * 31 + number * 101 + (i >> 8));
}

static mote_status save(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count,
                        unsigned number, mote_error *error)
{
    unsigned char blob[BLOB];
    blob_of(number, blob);
    prefix_segment segments[] = {{blob, ONE}, {blob + ONE, BLOB - ONE}};
    return prefix_store_save(store, parent, ids, count, segments, 2, error);
}

static void save_ok(prefix_store *store, const prefix_key *parent, const mote_token *ids, size_t count, unsigned number)
{
    mote_error error;
    if (save(store, parent, ids, count, number, &error) != MOTE_OK)
        fail_msg("%s", error.text);
}

static mote_status load(prefix_store *store, const prefix_key *parent, const prefix_match *match, const mote_token *ids,
                        mote_error *error)
{
    prefix_segment segments[] = {{my.at, BLOB - ONE}, {my.at + BLOB - ONE, ONE}}; /* cut elsewhere than it was saved */
    memset(my.at, 0, sizeof my.at);
    return prefix_store_load(store, parent, match, ids, segments, 2, error);
}

static void assert_loads(prefix_store *store, const prefix_key *parent, const prefix_match *match,
                         const mote_token *ids, unsigned number)
{
    mote_error error;
    unsigned char blob[BLOB];
    blob_of(number, blob);
    if (load(store, parent, match, ids, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    assert_memory_equal(my.at, blob, BLOB);
}

static prefix_store_report describe(prefix_store *store)
{
    prefix_store_report report;
    prefix_store_describe(store, &report);
    return report;
}

/* The path of a record, tail or page of my.ids behind `parent`. */
static const char *path_of(const prefix_key *parent, const mote_token *ids, size_t count)
{
    prefix_key key;
    char name[100] = "cache/";
    prefix_key_extend(parent, ids, count, &key);
    for (size_t i = 0; i < sizeof key.bytes; i++)
        sprintf(name + 6 + 2 * i, "%02x", key.bytes[i]);
    strcat(name, ".kv");
    return in_folder(name);
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0)
        fail_msg("cannot write %s", path);
    chmod(path, 0600);
}

/* ------------------------------------------------------------------------------------------------------ round trip */

static void what_is_saved_is_loaded_after_a_restart(void **state)
{
    (void)state;
    fill_ids();
    prefix_store *store = open_store();
    prefix_key root = root_of(store, "alice"), page;
    prefix_match match;
    assert_false(prefix_store_find(store, &root, my.ids, SOME, &match));
    save_ok(store, &root, my.ids, 256, 1);
    prefix_key_extend(&root, my.ids, 256, &page);
    save_ok(store, &page, my.ids + 256, TAIL_IDS, 2);
    save_ok(store, &page, my.ids + 256, TAIL_IDS, 2); /* again: it is there */
    prefix_store_close(store);

    store = open_store();
    assert_int_equal(my.said, 0);
    assert_int_equal(describe(store).records, 2);
    assert_int_equal(describe(store).bytes, 2 * (PREFIX_RECORD_HEADER + BLOB) + 4 * (256 + TAIL_IDS));
    root = root_of(store, "alice");
    assert_true(prefix_store_find(store, &root, my.ids, SOME, &match));
    assert_int_equal(match.common, 256);
    assert_int_equal(match.count, 256);
    assert_memory_equal(&match.key, &page, sizeof page);
    assert_loads(store, &root, &match, my.ids, 1);
    assert_true(prefix_store_find(store, &match.key, my.ids + 256, SOME - 256, &match));
    assert_int_equal(match.common, TAIL_IDS);
    assert_int_equal(match.count, TAIL_IDS);
    assert_loads(store, &page, &match, my.ids + 256, 2);
    prefix_segment dropped[] = {{NULL, 999}, {my.at, 1}}; /* a caller that needs one byte of it */
    assert_int_equal(prefix_store_load(store, &page, &match, my.ids + 256, dropped, 2, NULL), MOTE_OK);
    prefix_store_close(store);
}

static void the_longest_common_beginning_is_found(void **state)
{
    (void)state;
    fill_ids();
    prefix_store *store = open_store();
    prefix_key root = root_of(store, NULL);
    prefix_match match;
    mote_token other[256];
    memcpy(other, my.ids, sizeof other);
    other[150] = -1;
    save_ok(store, &root, my.ids, 10, 1);
    save_ok(store, &root, my.ids, 90, 2);
    save_ok(store, &root, other, 256, 3); /* a page that goes another way after 150 */
    other[0] = -1;
    save_ok(store, &root, other, 200, 4);
    assert_true(prefix_store_find(store, &root, my.ids, SOME, &match));
    assert_int_equal(match.common, 150);
    assert_int_equal(match.count, 256);
    assert_loads(store, &root, &match, my.ids, 3);
    assert_true(prefix_store_find(store, &root, my.ids, 50, &match));
    assert_int_equal(match.common, 50);
    assert_true(prefix_store_find(store, &root, my.ids, 5, &match));
    assert_int_equal(match.common, 5);
    assert_false(prefix_store_find(store, &root, my.ids + 1, 50, &match));
    assert_false(prefix_store_find(store, &root, my.ids, 0, &match));
    prefix_store_close(store);
}

static void nobody_finds_what_is_not_his(void **state)
{
    (void)state;
    fill_ids();
    prefix_store *store = open_store();
    prefix_match match;
    prefix_key root, mine = root_of(store, "alice");
    save_ok(store, &mine, my.ids, 256, 1);
    assert_true(prefix_store_find(store, &mine, my.ids, 256, &match));
    const char *scopes[] = {"bob", "alic", "alice2", "", NULL};
    for (size_t i = 0; i < 5; i++) {
        root = root_of(store, scopes[i]);
        assert_false(prefix_store_find(store, &root, my.ids, 256, &match));
    }
    prefix_facts same = {.model = {1, 2, 3}, .layout = 1, .scope = "alice", .scope_bytes = 5}, facts;
    for (size_t i = 0; i < 5; i++) {
        facts = same;
        facts.model[31] = i == 0;
        facts.layout += i == 1;
        facts.key_type += i == 2;
        facts.value_type += i == 3;
        facts.variant += i == 4;
        prefix_store_root(store, &facts, &root);
        assert_false(prefix_store_find(store, &root, my.ids, 256, &match));
    }
    prefix_store_root(store, &same, &root);
    assert_memory_equal(&root, &mine, sizeof root);
    prefix_store_close(store);
}

static void wrong_ids_or_sizes_are_not_loaded(void **state)
{
    (void)state;
    fill_ids();
    mote_error error;
    prefix_store *store = open_store();
    prefix_key root = root_of(store, NULL), other = root_of(store, "x");
    prefix_match match, wrong;
    for (int i = 0; i < 5; i++) {
        save_ok(store, &root, my.ids, 20, 1); /* what failed to load is written anew */
        assert_true(prefix_store_find(store, &root, my.ids, 20, &match));
        wrong = match;
        wrong.count -= i == 0;
        wrong.common += i == 1;
        prefix_segment segments[] = {{my.at, BLOB - (i == 2)}, {NULL, i == 3 ? SIZE_MAX : 0}};
        if (i == 4)
            my.ids[19]++;
        assert_int_equal(prefix_store_load(store, &root, &wrong, my.ids, segments, 2, &error), MOTE_E_FORMAT);
        assert_false(prefix_store_has(store, &match.key));
    }
    my.ids[19]--;
    save_ok(store, &root, my.ids, 20, 1);
    assert_int_equal(load(store, &other, &match, my.ids, &error), MOTE_E_FORMAT);
    assert_int_equal(save(store, &root, my.ids, 0, 1, &error), MOTE_E_ARGUMENT);
    assert_int_equal(save(store, &root, my.ids, 257, 1, &error), MOTE_E_ARGUMENT);
    prefix_segment huge[] = {{my.at, SIZE_MAX}, {my.at, 2}};
    assert_int_equal(prefix_store_save(store, &root, my.ids, 5, huge, 2, &error), MOTE_E_ARGUMENT);
    prefix_store_close(store);
}

/* --------------------------------------------------------------------------------------------------- broken records */

/* A store with one record of 3 ids; its path and bytes. */
static prefix_store *with_one_record(prefix_key *root, const char **path, unsigned char **bytes, size_t *size)
{
    fill_ids();
    prefix_store *store = open_store();
    *root = root_of(store, NULL);
    save_ok(store, root, my.ids, 3, 1);
    *path = strcpy(my.path, path_of(root, my.ids, 3));
    *bytes = read_file(*path, size);
    assert_int_equal(*size, PREFIX_RECORD_HEADER + 3 * 4 + BLOB);
    return store;
}

/* After a restart the changed file is not found, or found and not loaded. */
static void assert_refused_after_opening(const prefix_key *root, size_t where)
{
    prefix_match match;
    mote_error error;
    prefix_store *store = open_store();
    if (prefix_store_find(store, root, my.ids, 3, &match) && load(store, root, &match, my.ids, &error) == MOTE_OK)
        fail_msg("loaded a file that was changed at %zu", where);
    assert_int_equal(my.said, 1);
    assert_false(prefix_store_find(store, root, my.ids, 3, &match));
    prefix_store_close(store);
}

static void every_changed_byte_is_noticed(void **state)
{
    (void)state;
    prefix_key root;
    const char *path;
    unsigned char *bytes;
    size_t size;
    prefix_store_close(with_one_record(&root, &path, &bytes, &size));
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= (unsigned char)(1u << i % 8);
        write_file(path, bytes, size);
        assert_refused_after_opening(&root, i);
        bytes[i] ^= (unsigned char)(1u << i % 8);
    }
    write_file(path, bytes, size);
    prefix_match match;
    prefix_store *store = open_store();
    assert_true(prefix_store_find(store, &root, my.ids, 3, &match));
    assert_loads(store, &root, &match, my.ids, 1);
    for (size_t i = 0; i < size; i += 97) { /* and behind an open store's back */
        bytes[i] ^= 1;
        write_file(path, bytes, size);
        assert_int_not_equal(load(store, &root, &match, my.ids, NULL), MOTE_OK);
        bytes[i] ^= 1;
    }
    prefix_store_close(store);
    free(bytes);
}

static void every_other_length_is_noticed(void **state)
{
    (void)state;
    prefix_key root;
    const char *path;
    unsigned char *bytes;
    size_t size;
    prefix_store_close(with_one_record(&root, &path, &bytes, &size));
    bytes = realloc(bytes, size + 1);
    bytes[size] = 0;
    for (size_t i = 0; i <= size + 1; i++)
        if (i != size) {
            write_file(path, bytes, i);
            assert_refused_after_opening(&root, i);
        }
    free(bytes);
}

static void other_versions_and_counts_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint64_t value;
        size_t bytes;
    } change[] = {{8, 0, 4},
                  {8, 2, 4},
                  {8, UINT32_MAX, 4},
                  {12, 0, 4},
                  {12, 257, 4},
                  {12, 4, 4},
                  {12, UINT32_MAX, 4},
                  {16, BLOB - 1, 8},
                  {16, BLOB + 1, 8},
                  {16, UINT64_MAX, 8},
                  {16, UINT64_MAX - 163, 8},
                  {16, 1ull << 63, 8},
                  {16, BLOB + (1ull << 32), 8}};
    prefix_key root;
    const char *path;
    unsigned char *bytes;
    size_t size;
    prefix_store_close(with_one_record(&root, &path, &bytes, &size));
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        unsigned char *changed = malloc(size);
        memcpy(changed, bytes, size);
        memcpy(changed + change[i].at, &change[i].value, change[i].bytes);
        write_file(path, changed, size);
        assert_refused_after_opening(&root, change[i].at);
        free(changed);
    }
    free(bytes);
}

/* A record of another directory, under its own name and under another's: no secret of this one signed it. */
static void records_from_elsewhere_are_ignored(void **state)
{
    (void)state;
    prefix_key root;
    const char *path;
    unsigned char *bytes;
    size_t size;
    prefix_store *store = with_one_record(&root, &path, &bytes, &size);
    write_file(path_of(&root, my.ids, 4), bytes, size);
    prefix_store_close(store);
    store = open_store();
    assert_int_equal(describe(store).records, 1);
    assert_int_equal(describe(store).unusable, 1);
    assert_non_null(strstr(my.text, "ignores 1 files that are torn"));
    prefix_store_close(store);
    assert_int_equal(unlink(in_folder("cache/mote-secret")), 0);
    store = open_store();
    assert_int_equal(describe(store).records, 0);
    assert_int_equal(describe(store).unusable, 2);
    prefix_key another = root_of(store, NULL);
    assert_memory_not_equal(&another, &root, sizeof root);
    prefix_store_close(store);
    free(bytes);
}

static void a_torn_secret_is_made_anew(void **state)
{
    (void)state;
    size_t size;
    prefix_store_close(open_store());
    unsigned char *bytes = read_file(in_folder("cache/mote-secret"), &size);
    for (size_t i = 0; i < size; i++)
        if (i == 0 || i >= 8) { /* fewer bytes than its beginning could be anybody's */
            write_file(in_folder("cache/mote-secret"), bytes, i);
            prefix_store_close(open_store());
        }
    write_file(in_folder("cache/mote-written"), "motekvw\nxyz", 11);
    prefix_store_close(open_store());
    free(bytes);
}

/* --------------------------------------------------------------------------------------------------- others' files */

static void others_files_are_left_alone(void **state)
{
    (void)state;
    prefix_key root;
    const char *path;
    unsigned char *bytes;
    size_t size;
    struct stat about;
    prefix_store *store = with_one_record(&root, &path, &bytes, &size);
    prefix_store_close(store);
    write_file(in_folder("cache/notes.txt"), "mine", 4);
    write_file(in_folder("cache/0123456789abcdeg.part"), "mine", 4);
    write_file(path_of(&root, my.ids, 7), "not a record at all", 19);
    mkdir(path_of(&root, my.ids, 8), 0700);
    assert_int_equal(rename(path, in_folder("cache/moved")), 0);
    assert_int_equal(symlink(in_folder("cache/moved"), path), 0);
    assert_int_equal(mkfifo(path_of(&root, my.ids, 9), 0600), 0);
    prefix_store_options options = options_for("cache");
    options.size_limit = 3000; /* so that records must make room */
    store = open_with(options);
    assert_int_equal(describe(store).records, 0);
    assert_int_equal(describe(store).foreign, 7);
    assert_non_null(strstr(my.text, "and 7 that are not the cache's"));
    for (unsigned i = 0; i < 9; i++)
        (void)save(store, &root, my.ids + 10 * i, 6, i, NULL);
    mote_error error;
    for (size_t i = 7; i < 10; i++) { /* nor are they overwritten */
        assert_int_equal(save(store, &root, my.ids, i, 1, &error), MOTE_E_IO);
        assert_says(error, "is not the cache's");
    }
    assert_int_equal(save(store, &root, my.ids, 3, 1, &error), MOTE_E_IO);
    prefix_store_close(store);
    assert_int_equal(stat(in_folder("cache/notes.txt"), &about), 0);
    assert_int_equal(stat(in_folder("cache/0123456789abcdeg.part"), &about), 0);
    assert_int_equal(stat(path_of(&root, my.ids, 7), &about), 0);
    assert_int_equal(about.st_size, 19);
    assert_int_equal(stat(in_folder("cache/moved"), &about), 0);
    free(bytes);
}

/* ------------------------------------------------------------------------------------------------------------ caps */

static void the_least_recently_used_make_room(void **state)
{
    (void)state;
    fill_ids();
    enum { PAGE = PREFIX_RECORD_HEADER + 256 * 4 + BLOB };
    prefix_store_options options = options_for("cache");
    options.size_limit = 4 * PAGE;
    prefix_store *store = open_with(options);
    prefix_key root = root_of(store, NULL), a, aa, b, c, d;
    prefix_match match;
    save_ok(store, &root, my.ids, 256, 1);
    prefix_key_extend(&root, my.ids, 256, &a);
    save_ok(store, &a, my.ids, 256, 2);
    prefix_key_extend(&a, my.ids, 256, &aa);
    save_ok(store, &root, my.ids + 1, 256, 3);
    prefix_key_extend(&root, my.ids + 1, 256, &b);
    save_ok(store, &root, my.ids + 2, 256, 4);
    prefix_key_extend(&root, my.ids + 2, 256, &c);
    assert_true(prefix_store_find(store, &root, my.ids + 1, 256, &match));
    assert_loads(store, &root, &match, my.ids + 1, 3); /* b is used */
    save_ok(store, &root, my.ids + 3, 256, 5);
    prefix_key_extend(&root, my.ids + 3, 256, &d);
    assert_true(prefix_store_has(store, &a)); /* the oldest, but `aa` builds on it */
    assert_false(prefix_store_has(store, &aa));
    assert_true(prefix_store_has(store, &b) && prefix_store_has(store, &c) && prefix_store_has(store, &d));
    save_ok(store, &a, my.ids + 4, 256, 6); /* what it builds on stays, and c goes */
    assert_true(prefix_store_has(store, &a) && prefix_store_has(store, &b) && prefix_store_has(store, &d));
    assert_false(prefix_store_has(store, &c));
    assert_int_equal(describe(store).bytes, 4 * PAGE);
    prefix_store_close(store);

    options.size_limit = PAGE;
    store = open_with(options);
    mote_error error;
    assert_int_equal(save(store, &d, my.ids, 256, 7, &error), MOTE_E_LIMIT); /* it and its parent need two */
    assert_says(error, "does not fit");
    options.size_limit = PAGE - 1;
    prefix_store_close(store);
    store = open_with(options);
    assert_int_equal(save(store, &root, my.ids + 9, 256, 7, &error), MOTE_E_LIMIT);
    assert_int_equal(save(store, &root, my.ids + 9, 256, 7, &error), MOTE_E_LIMIT);
    assert_int_equal(my.said, 1);
    prefix_store_close(store);
}

static void a_day_has_its_limit_through_restarts(void **state)
{
    (void)state;
    fill_ids();
    mote_error error;
    prefix_store_options options = options_for("cache");
    options.daily_write_limit = 30000; /* three times a record and what is written beside it */
    prefix_store *store = NULL;
    prefix_key root;
    for (size_t i = 0; i < 3; i++) {
        store = open_with(options);
        root = root_of(store, NULL);
        save_ok(store, &root, my.ids + i, 9, 1);
        assert_true(describe(store).written > 9000 * (i + 1));
        prefix_store_close(store);
    }
    store = open_with(options);
    assert_int_equal(save(store, &root, my.ids + 5, 9, 1, &error), MOTE_E_LIMIT);
    assert_int_equal(save(store, &root, my.ids + 6, 9, 1, &error), MOTE_E_LIMIT);
    assert_says(error, "what is written in a day");
    assert_int_equal(my.said, 1);
    prefix_match match;
    assert_true(prefix_store_find(store, &root, my.ids, 9, &match));
    assert_loads(store, &root, &match, my.ids, 1);
    prefix_store_close(store);
}

static void hours_pass_and_clocks_jump(void **state)
{
    (void)state;
    enum { HOUR = 3600 };
    prefix_quota quota = {0};
    int64_t now = 1800000000;
    prefix_quota_advance(&quota, now);
    prefix_quota_add(&quota, 5);
    prefix_quota_advance(&quota, now + 10 * HOUR);
    prefix_quota_add(&quota, 7);
    assert_int_equal(prefix_quota_sum(&quota), 12);
    prefix_quota_advance(&quota, 60); /* a board that starts in 1970, and hears the time */
    assert_int_equal(prefix_quota_sum(&quota), 12);
    prefix_quota_advance(&quota, now + 11 * HOUR);
    assert_int_equal(prefix_quota_sum(&quota), 12);
    prefix_quota_advance(&quota, now + 25 * HOUR);
    assert_int_equal(prefix_quota_sum(&quota), 7);
    prefix_quota_advance(&quota, now); /* it was far ahead: hours pass all the same */
    for (int64_t i = 0; i <= 25; i++)
        prefix_quota_advance(&quota, now + i * HOUR);
    assert_int_equal(prefix_quota_sum(&quota), 0);
    prefix_quota_add(&quota, UINT64_MAX);
    prefix_quota_add(&quota, UINT64_MAX);
    assert_true(prefix_quota_sum(&quota) == UINT64_MAX);
}

/* ------------------------------------------------------------------------------------------------ disks that refuse */

static void a_full_disk_is_said_once(void **state)
{
    (void)state;
    fill_ids();
    mote_error error;
    prefix_store *store = open_store();
    prefix_key root = root_of(store, NULL);
    struct rlimit before, small;
    save_ok(store, &root, my.ids, 3, 1);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 700; /* the quota's file fits, the record does not */
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    mote_status first = save(store, &root, my.ids + 1, 3, 2, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(first, MOTE_E_IO);
    assert_says(error, "nothing more is kept for an hour");
    assert_int_equal(save(store, &root, my.ids + 1, 3, 2, &error), MOTE_E_IO); /* rests */
    assert_int_equal(my.said, 1);
    assert_false(describe(store).writes);
    prefix_match match;
    assert_true(prefix_store_find(store, &root, my.ids, 3, &match));
    assert_loads(store, &root, &match, my.ids, 1);
    prefix_store_close(store);
    store = open_store();
    assert_int_equal(describe(store).records, 1);
    assert_int_equal(describe(store).unusable + describe(store).foreign, 0); /* no half file */
    prefix_store_close(store);
}

static void a_small_disk_fills_up(void **state)
{
    (void)state;
    fill_ids();
    mkdir(in_folder("disk"), 0700);
    if (mount("none", in_folder("disk"), "tmpfs", 0, "size=64k,mode=0700") != 0)
        skip(); /* only root may */
    prefix_store *store = open_with(options_for("disk"));
    prefix_key root = root_of(store, NULL);
    mote_error error;
    size_t saved = 0;
    while (saved < 100 && save(store, &root, my.ids + saved, 3, 1, &error) == MOTE_OK)
        saved++;
    size_t records = describe(store).records;
    unsigned said = my.said;
    prefix_store_close(store);
    bool read_only = mount("none", in_folder("disk"), "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) == 0;
    store = open_with(options_for("disk"));
    prefix_store_report after = describe(store);
    mote_status refused = save(store, &root, my.ids + 200, 3, 1, NULL);
    prefix_match match;
    bool found = prefix_store_find(store, &root, my.ids, 3, &match);
    mote_status loaded = load(store, &root, &match, my.ids, NULL);
    prefix_store_close(store);
    umount(in_folder("disk"));
    assert_true(saved > 3 && saved < 100);
    assert_says(error, "free some space");
    assert_int_equal(said, 1);
    assert_int_equal(after.records, records);
    assert_int_equal(after.unusable + after.foreign, 0);
    assert_true(read_only && !after.writes && found);
    assert_non_null(strstr(my.text, "read-only disk"));
    assert_int_equal(refused, MOTE_E_IO);
    assert_int_equal(loaded, MOTE_OK);
}

static void assert_not_opened(const char *directory, mote_status status, const char *words)
{
    prefix_store *store;
    mote_error error;
    prefix_store_options options = {.directory = directory};
    assert_int_equal(prefix_store_open(&store, &options, &error), status);
    assert_null(store);
    assert_says(error, words);
}

static void directories_that_will_not_do(void **state)
{
    (void)state;
    assert_not_opened(NULL, MOTE_E_ARGUMENT, "needs a directory");
    assert_not_opened("", MOTE_E_ARGUMENT, "needs a directory");
    assert_not_opened(in_folder("none/none"), MOTE_E_IO, "cannot be made");
    assert_not_opened("/proc/self/none", MOTE_E_IO, "cannot be made");
    write_file(in_folder("file"), "x", 1);
    assert_not_opened(in_folder("file"), MOTE_E_IO, "is not a directory");
    assert_not_opened(in_folder("file/x"), MOTE_E_IO, "is not a directory");
    mkdir(in_folder("shared"), 0700);
    chmod(in_folder("shared"), 0770);
    assert_not_opened(in_folder("shared"), MOTE_E_IO, "others may write to it");
    chmod(in_folder("shared"), 0702);
    assert_not_opened(in_folder("shared"), MOTE_E_IO, "others may write to it");
    assert_not_opened(geteuid() == 0 ? in_folder("file") : "/", MOTE_E_IO,
                      geteuid() == 0 ? "not a dir" : "another user");
    mkdir(in_folder("taken"), 0700);
    write_file(in_folder("taken/mote-secret"), "the user's own words", 20);
    assert_not_opened(in_folder("taken"), MOTE_E_IO, "mote-secret is not one that mote wrote");
    mkdir(in_folder("link"), 0700);
    assert_int_equal(symlink("../file", in_folder("link/mote-secret")), 0);
    assert_not_opened(in_folder("link"), MOTE_E_IO, "mote-secret is not one");
    prefix_store_close(open_store());
    struct stat about;
    assert_int_equal(stat(in_folder("cache"), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    assert_int_equal(stat(in_folder("cache/mote-secret"), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    write_file(in_folder("cache/mote-written"), "the user's own words", 20);
    assert_not_opened(in_folder("cache"), MOTE_E_IO, "mote-written cannot be read");
}

/* What root may do tells nothing: a child gives its rights up. */
static void directories_without_permission(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    mkdir(in_folder("theirs"), 0700);
    assert_int_equal(chown(in_folder("theirs"), 65534, 65534), 0);
    assert_not_opened(in_folder("theirs"), MOTE_E_IO, "belongs to another user");
    chmod(in_folder("theirs"), 0500);
    chmod(in_folder(""), 0755);
    const char *path = in_folder("theirs");
    pid_t child = fork();
    if (child == 0) {
        mote_error error;
        prefix_store *store;
        prefix_store_options options = {.directory = path};
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(2);
        mote_status status = prefix_store_open(&store, &options, &error);
        _exit(status == MOTE_E_IO && strstr(error.text, "cannot be written") != NULL ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

/* --------------------------------------------------------------------------------------------- writers that are killed */

enum { KILL_BLOB = 200000, SHORT_KILLS = 40, LONG_KILLS = 200 };

static unsigned kills = SHORT_KILLS;

static void write_for_ever(void)
{
    static unsigned char blob[KILL_BLOB];
    prefix_store *store;
    prefix_store_options options = options_for("cache");
    options.size_limit = 12 * KILL_BLOB;
    if (prefix_store_open(&store, &options, NULL) != MOTE_OK)
        _exit(1);
    prefix_key root = root_of(store, NULL);
    for (mote_token i = (mote_token)getpid() * 1000;; i++) {
        memset(blob, (int)(i & 255), sizeof blob);
        if (prefix_store_save(store, &root, &i, 1, &(prefix_segment){blob, sizeof blob}, 1, NULL) != MOTE_OK)
            _exit(1);
    }
}

static size_t count_parts(void)
{
    size_t count = 0;
    char command[500];
    snprintf(command, sizeof command, "ls %s | grep -c part", in_folder("cache"));
    FILE *pipe = popen(command, "r");
    if (pipe == NULL || fscanf(pipe, "%zu", &count) != 1)
        count = 99;
    if (pipe != NULL)
        pclose(pipe);
    return count;
}

/* Everything in the index loads, and is what was written. */
static size_t load_everything(prefix_store *store)
{
    static unsigned char blob[KILL_BLOB];
    prefix_store_report report = describe(store);
    prefix_key root = root_of(store, NULL);
    assert_int_equal(report.unusable + report.foreign, 0);
    assert_true(report.bytes <= 12 * KILL_BLOB);
    size_t loaded = 0;
    char command[500], name[100];
    snprintf(command, sizeof command, "ls %s | grep kv$", in_folder("cache"));
    FILE *pipe = popen(command, "r");
    while (fscanf(pipe, "%99s", name) == 1) {
        size_t size;
        char path[200] = "cache/";
        strcat(path, name);
        unsigned char *bytes = read_file(in_folder(path), &size);
        mote_token id;
        memcpy(&id, bytes + PREFIX_RECORD_HEADER, sizeof id);
        free(bytes);
        prefix_match match;
        assert_true(prefix_store_find(store, &root, &id, 1, &match));
        assert_int_equal(prefix_store_load(store, &root, &match, &id, &(prefix_segment){blob, sizeof blob}, 1, NULL),
                         MOTE_OK);
        for (size_t i = 0; i < sizeof blob; i += 1000)
            assert_int_equal(blob[i], id & 255);
        loaded++;
    }
    pclose(pipe);
    assert_int_equal(loaded, report.records);
    return loaded;
}

static void killed_writers_leave_a_sound_directory(void **state)
{
    (void)state;
    size_t most = 0;
    srand(7);
    for (unsigned i = 0; i < kills; i++) {
        pid_t child = fork();
        if (child == 0)
            write_for_ever();
        usleep((useconds_t)(rand() % (i % 4 == 0 ? 3000 : 30000)));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        prefix_store *store = open_store();
        size_t loaded = load_everything(store);
        most = loaded > most ? loaded : most;
        prefix_store_close(store);
        assert_int_equal(count_parts(), 0);
    }
    assert_true(most > 5); /* it did write */
}

/* What a living writer is at is left to it, and what it wrote is met at the next save. */
static void two_processes_share(void **state)
{
    (void)state;
    fill_ids();
    prefix_store *one = open_store(), *other = open_store();
    prefix_key root = root_of(one, NULL);
    prefix_match match;
    mote_error error;
    save_ok(one, &root, my.ids, 5, 1);
    assert_false(prefix_store_find(other, &root, my.ids, 5, &match));
    save_ok(other, &root, my.ids + 1, 5, 2);
    assert_true(prefix_store_find(other, &root, my.ids, 5, &match));
    assert_loads(other, &root, &match, my.ids, 1);
    assert_int_equal(unlink(path_of(&root, my.ids, 5)), 0); /* as one that makes room does */
    assert_int_equal(load(other, &root, &match, my.ids, &error), MOTE_E_IO);
    assert_says(error, "was removed meanwhile");
    assert_false(prefix_store_has(other, &match.key));
    assert_int_equal(my.said, 0);
    write_file(in_folder("cache/00000000000000aa.part"), "half", 4); /* a dead one's */
    prefix_store_close(one);
    one = open_store();
    assert_int_equal(count_parts(), 0);
    prefix_store_close(one);
    prefix_store_close(other);
}

/* ------------------------------------------------------------------------------------------------------------ main */

static void bench(void)
{
    enum { PAGES = 12, BYTES = 29 << 20, SEGMENTS = 56 };
    unsigned char *blob = malloc(BYTES);
    prefix_segment segments[SEGMENTS];
    memset(blob, 5, BYTES);
    for (size_t i = 0; i < SEGMENTS; i++)
        segments[i] = (prefix_segment){blob + i * (BYTES / SEGMENTS), BYTES / SEGMENTS};
    static keyed_hash_key key;
    keyed_hash hash;
    unsigned char tag[32];
    keyed_hash_prepare(&key, (const unsigned char[32]){1});
    double begin = clock_seconds();
    for (int i = 0; i < PAGES; i++) {
        keyed_hash_begin(&hash, &key, "test");
        keyed_hash_update(&hash, blob, BYTES);
        keyed_hash_end(&hash, tag);
    }
    double total = PAGES * (double)BYTES;
    printf("hash  %.2f GB/s\n", total / 1e9 / (clock_seconds() - begin));
    make_folder(NULL);
    fill_ids();
    prefix_store *store = open_store();
    prefix_key root = root_of(store, NULL);
    begin = clock_seconds();
    for (mote_token i = 0; i < PAGES; i++)
        save_ok(store, &root, &i, 1, 1),
            prefix_store_save(store, &root, (mote_token[]){i, i}, 2, segments, SEGMENTS, NULL);
    printf("save  %.2f GB/s\n", total / 1e9 / (clock_seconds() - begin));
    for (int round = 0; round < 2; round++) {
        begin = clock_seconds();
        for (mote_token i = 0; i < PAGES; i++) {
            prefix_match match = {.count = 2, .common = 2};
            prefix_key_extend(&root, (mote_token[]){i, i}, 2, &match.key);
            if (prefix_store_load(store, &root, &match, (mote_token[]){i, i}, segments, SEGMENTS, NULL) != MOTE_OK)
                puts("not loaded");
        }
        double took = clock_seconds() - begin;
        printf("load  %.2f GB/s, %.0f ms for %.0f MiB\n", total / 1e9 / took, 1e3 * took, total / (1 << 20));
    }
    prefix_store_close(store);
    remove_folder(NULL);
    free(blob);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "--bench") == 0) {
        bench();
        return 0;
    }
    if (count > 1 && strcmp(arguments[1], "--long") == 0)
        kills = LONG_KILLS;
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_is_saved_is_loaded_after_a_restart),
        IN_FOLDER(the_longest_common_beginning_is_found),
        IN_FOLDER(nobody_finds_what_is_not_his),
        IN_FOLDER(wrong_ids_or_sizes_are_not_loaded),
        IN_FOLDER(every_changed_byte_is_noticed),
        IN_FOLDER(every_other_length_is_noticed),
        IN_FOLDER(other_versions_and_counts_are_refused),
        IN_FOLDER(records_from_elsewhere_are_ignored),
        IN_FOLDER(a_torn_secret_is_made_anew),
        IN_FOLDER(others_files_are_left_alone),
        IN_FOLDER(the_least_recently_used_make_room),
        IN_FOLDER(a_day_has_its_limit_through_restarts),
        cmocka_unit_test(hours_pass_and_clocks_jump),
        IN_FOLDER(a_full_disk_is_said_once),
        IN_FOLDER(a_small_disk_fills_up),
        IN_FOLDER(directories_that_will_not_do),
        IN_FOLDER(directories_without_permission),
        IN_FOLDER(killed_writers_leave_a_sound_directory),
        IN_FOLDER(two_processes_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
