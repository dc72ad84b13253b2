/* The directory of prefixes: what goes in comes out, for whom it is meant and for nobody else, and a record that somebody has
 * changed costs a computation and never an answer. Disks and processes that fail are in test_prefix_disk.c. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/prefix_quota.h"
#include "engine/prefix_record.h"
#include "engine/prefix_store.h"

#include "prefix_case.h"

#include "assert_says.h"
#include "temporary_folder.h"

/* ------------------------------------------------------------------------------------------------------ round trip */

static void what_is_saved_is_loaded_after_a_restart(void **state)
{
    (void)state;
    number_ids();
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
    number_ids();
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
    number_ids();
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
    number_ids();
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

/* A record of 3 ids, and its file. */
typedef struct one_record {
    prefix_store *store; /* open */
    prefix_key root;
    const char *path;
    unsigned char *bytes; /* malloc'd, like the test's own */
    size_t size;
} one_record;

static one_record one_record_new(void)
{
    number_ids();
    one_record one = {.store = open_store()};
    one.root = root_of(one.store, NULL);
    save_ok(one.store, &one.root, my.ids, 3, 1);
    one.path = strcpy(my.path, path_of(&one.root, my.ids, 3));
    one.bytes = read_file(one.path, &one.size);
    assert_int_equal(one.size, PREFIX_RECORD_HEADER + 3 * 4 + BLOB);
    return one;
}

/* The same in a directory that nobody has open. */
static one_record one_closed_record(void)
{
    one_record one = one_record_new();
    prefix_store_close(one.store);
    one.store = NULL;
    return one;
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
    one_record one = one_closed_record();
    for (size_t i = 0; i < one.size; i++) {
        one.bytes[i] ^= (unsigned char)(1u << i % 8);
        write_file(one.path, one.bytes, one.size);
        assert_refused_after_opening(&one.root, i);
        one.bytes[i] ^= (unsigned char)(1u << i % 8);
    }
    write_file(one.path, one.bytes, one.size);
    prefix_match match;
    prefix_store *store = open_store();
    assert_true(prefix_store_find(store, &one.root, my.ids, 3, &match));
    assert_loads(store, &one.root, &match, my.ids, 1);
    for (size_t i = 0; i < one.size; i += 97) { /* and behind an open store's back */
        one.bytes[i] ^= 1;
        write_file(one.path, one.bytes, one.size);
        assert_int_not_equal(load(store, &one.root, &match, my.ids, NULL), MOTE_OK);
        one.bytes[i] ^= 1;
    }
    prefix_store_close(store);
    free(one.bytes);
}

static void every_other_length_is_noticed(void **state)
{
    (void)state;
    one_record one = one_closed_record();
    one.bytes = realloc(one.bytes, one.size + 1);
    one.bytes[one.size] = 0;
    for (size_t i = 0; i <= one.size + 1; i++)
        if (i != one.size) {
            write_file(one.path, one.bytes, i);
            assert_refused_after_opening(&one.root, i);
        }
    free(one.bytes);
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
    one_record one = one_closed_record();
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        unsigned char *changed = malloc(one.size);
        memcpy(changed, one.bytes, one.size);
        memcpy(changed + change[i].at, &change[i].value, change[i].bytes);
        write_file(one.path, changed, one.size);
        assert_refused_after_opening(&one.root, change[i].at);
        free(changed);
    }
    free(one.bytes);
}

/* A record of another directory, under its own name and under another's: no secret of this one signed it. */
static void records_from_elsewhere_are_ignored(void **state)
{
    (void)state;
    one_record one = one_record_new();
    prefix_store *store = one.store;
    write_file(path_of(&one.root, my.ids, 4), one.bytes, one.size);
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
    assert_memory_not_equal(&another, &one.root, sizeof one.root);
    prefix_store_close(store);
    free(one.bytes);
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
    one_record one = one_record_new();
    struct stat about;
    prefix_store *store = one.store;
    prefix_store_close(store);
    write_file(in_folder("cache/notes.txt"), "mine", 4);
    write_file(in_folder("cache/0123456789abcdeg.part"), "mine", 4);
    write_file(path_of(&one.root, my.ids, 7), "not a record at all", 19);
    mkdir(path_of(&one.root, my.ids, 8), 0700);
    assert_int_equal(rename(one.path, in_folder("cache/moved")), 0);
    assert_int_equal(symlink(in_folder("cache/moved"), one.path), 0);
    assert_int_equal(mkfifo(path_of(&one.root, my.ids, 9), 0600), 0);
    prefix_store_options options = options_for("cache");
    options.size_limit = 3000; /* so that records must make room */
    store = open_with(options);
    assert_int_equal(describe(store).records, 0);
    assert_int_equal(describe(store).foreign, 7);
    assert_non_null(strstr(my.text, "and 7 that are not the cache's"));
    for (unsigned i = 0; i < 9; i++)
        (void)save(store, &one.root, my.ids + 10 * i, 6, i, NULL);
    mote_error error;
    for (size_t i = 7; i < 10; i++) { /* nor are they overwritten */
        assert_int_equal(save(store, &one.root, my.ids, i, 1, &error), MOTE_E_IO);
        assert_says(error, "is not the cache's");
    }
    assert_int_equal(save(store, &one.root, my.ids, 3, 1, &error), MOTE_E_IO);
    prefix_store_close(store);
    assert_int_equal(stat(in_folder("cache/notes.txt"), &about), 0);
    assert_int_equal(stat(in_folder("cache/0123456789abcdeg.part"), &about), 0);
    assert_int_equal(stat(path_of(&one.root, my.ids, 7), &about), 0);
    assert_int_equal(about.st_size, 19);
    assert_int_equal(stat(in_folder("cache/moved"), &about), 0);
    free(one.bytes);
}

/* ------------------------------------------------------------------------------------------------------------ caps */

static void the_least_recently_used_make_room(void **state)
{
    (void)state;
    number_ids();
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
    number_ids();
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

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
