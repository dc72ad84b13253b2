/* The directory of prefixes on disks that are full or read-only, in directories that will not do, beside another process, and
 * under writers that are killed: what was kept stays whole, and each trouble is said in one sentence.
 *
 *     test_prefix_disk --long     kills a writer 200 times
 *     test_prefix_disk --bench    GB/s of the hash, and of saving and loading */
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
#include "base/keyed_hash.h"
#include "engine/prefix_record.h"
#include "engine/prefix_store.h"

#include "prefix_case.h"

#include "assert_says.h"
#include "temporary_folder.h"

/* ------------------------------------------------------------------------------------------------ disks that refuse */

static void a_full_disk_is_said_once(void **state)
{
    (void)state;
    number_ids();
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

/* What cannot be opened for want of descriptors is as sound as before, and is not the first to make room. */
static void without_descriptors_nothing_is_lost(void **state)
{
    (void)state;
    number_ids();
    mote_error error;
    prefix_store *store = open_store(), *other = open_store();
    prefix_key root = root_of(store, NULL);
    prefix_match match;
    struct rlimit before, none;
    save_ok(store, &root, my.ids, 3, 1);
    assert_true(prefix_store_find(store, &root, my.ids, 3, &match));
    save_ok(other, &root, my.ids + 1, 3, 2); /* of which the first store has yet to learn */
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    prefix_segment segments[] = {{my.at, BLOB}};
    mote_status loaded = prefix_store_load(store, &root, &match, my.ids, segments, 1, &error);
    mote_status saved = save(store, &root, my.ids + 2, 3, 3, NULL);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(loaded, MOTE_E_IO);
    assert_says(error, "cannot be opened now");
    assert_int_equal(saved, MOTE_E_IO);
    assert_int_equal(describe(store).unusable, 0);
    assert_true(prefix_store_find(store, &root, my.ids, 3, &match));
    assert_loads(store, &root, &match, my.ids, 1);
    save_ok(store, &root, my.ids + 2, 3, 3); /* and now it looks again */
    assert_true(prefix_store_find(store, &root, my.ids + 1, 3, &match));
    assert_loads(store, &root, &match, my.ids + 1, 2);
    assert_int_equal(describe(store).records, 3);
    prefix_store_close(other);
    prefix_store_close(store);
}

static void a_small_disk_fills_up(void **state)
{
    (void)state;
    number_ids();
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
    number_ids();
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

/* ---------------------------------------------------------------------------------------------------------- bench */

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
    number_ids();
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
        IN_FOLDER(a_full_disk_is_said_once),
        IN_FOLDER(without_descriptors_nothing_is_lost),
        IN_FOLDER(a_small_disk_fills_up),
        IN_FOLDER(directories_that_will_not_do),
        IN_FOLDER(directories_without_permission),
        IN_FOLDER(killed_writers_leave_a_sound_directory),
        IN_FOLDER(two_processes_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
