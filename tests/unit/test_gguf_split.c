/* Split models: opened whole by any part, refused when a part is missing, misplaced or a stranger. And what paths can be
 * that are no model at all. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/gguf.h"

#include "assert_says.h"
#include "gguf_writer.h"

enum { PARTS = 3 };

static char folder[4400]; /* a fresh one for each test, and its many components for the long path */

static const char *in_folder(const char *name)
{
    static char path[8][4600];
    static size_t turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/mote-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %.21s", folder); /* mkdtemp's part of it */
    return system(command);
}

/* What one part says. Part `number` holds the tensors `t<number>a` and `t<number>b`. */
typedef struct part {
    const char *name;
    int number;
    int count;
    int tensors; /* negative: the key is left out */
    const char *architecture;
    const char *tensor;
} part;

static void write_part(const part *p)
{
    gguf_writer w;
    char name[32];
    float value = (float)p->number;
    gguf_begin(&w, 3);
    if (p->architecture != NULL)
        gguf_add_text(&w, "general.architecture", p->architecture);
    if (p->number == 0)
        gguf_add_text(&w, "general.name", "split test");
    gguf_add_u16(&w, "split.no", (uint16_t)p->number);
    gguf_add_u16(&w, "split.count", (uint16_t)p->count);
    if (p->tensors >= 0)
        gguf_add_i32(&w, "split.tensors.count", p->tensors);
    snprintf(name, sizeof name, "t%da", p->number);
    gguf_add_tensor(&w, p->tensor != NULL ? p->tensor : name, QUANT_F32, 1, (size_t[]){1}, &value);
    snprintf(name, sizeof name, "t%db", p->number);
    gguf_add_tensor(&w, name, QUANT_F32, 1, (size_t[]){2}, NULL);
    gguf_finish(&w);
    gguf_save(&w, in_folder(p->name));
    gguf_writer_free(&w);
}

static const char *const names[PARTS] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"};

static void write_parts(const char *const *as)
{
    for (int i = 0; i < PARTS; i++)
        write_part(&(part){as[i], i, PARTS, 6, i == 0 ? "llama" : NULL, NULL});
}

static void check_whole(const char *path)
{
    mote_error error;
    gguf *file;
    if (gguf_open(&file, path, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    assert_int_equal(gguf_tensor_count(file), 6);
    for (uint32_t i = 0; i < PARTS; i++) {
        char name[] = "t0a";
        name[1] = (char)('0' + i);
        const gguf_tensor *tensor = gguf_find_tensor(file, name);
        assert_ptr_equal(tensor, gguf_tensor_at(file, 2 * i));
        assert_int_equal(tensor->part, i);
        assert_true(*(const float *)tensor->data == (float)i);
    }
    gguf_string text;
    assert_int_equal(gguf_need_string(file, "general.name", &text, &error), MOTE_OK); /* the first part's metadata */
    assert_int_equal(gguf_check(file, &error), MOTE_OK);
    assert_int_equal(gguf_read_ahead(file, NULL, NULL, &error), MOTE_OK);
    assert_true(gguf_file_bytes(file) > 3 * 64);
    gguf_close(file);
}

static void refuse(const char *name, mote_status status, const char *says, const char *says_too)
{
    mote_error error;
    gguf *file;
    mote_status got = gguf_open(&file, in_folder(name), &error);
    if (got != status)
        fail_msg("%s, not %s: %s", mote_status_name(got), mote_status_name(status), error.text);
    assert_null(file);
    assert_says(error, says);
    assert_says(error, says_too);
}

static void test_any_part_opens_all(void **state)
{
    (void)state;
    write_parts(names);
    for (int i = 0; i < PARTS; i++)
        check_whole(in_folder(names[i]));
}

static void test_odd_names(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"",         " ", "%s%n",           "ü-00001-of-00003.gguf",
                                           "a'b\"c\\", "-", "-00001-of-00002"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char odd[PARTS][100];
        const char *as[PARTS];
        for (int j = 0; j < PARTS; j++) {
            snprintf(odd[j], sizeof odd[j], "%s-0000%d-of-00003.gguf", prefixes[i], j + 1);
            as[j] = odd[j];
        }
        write_parts(as);
        check_whole(in_folder(as[1]));
    }
}

/* As long as the system takes them. */
static void test_long_paths(void **state)
{
    (void)state;
    char component[202];
    memset(component, 'x', sizeof component - 1);
    component[0] = '/';
    component[sizeof component - 1] = '\0';
    while (strlen(folder) + strlen(component) + 30 < 4096) {
        strcat(folder, component);
        if (mkdir(folder, 0700) != 0)
            skip();
    }
    write_parts(names);
    check_whole(in_folder(names[2]));
    unlink(in_folder(names[1]));
    refuse(names[0], MOTE_E_IO, "m-00002-of-00003.gguf: cannot be opened", "part 2 of 3");
    refuse("absent", MOTE_E_IO, "absent: cannot be opened (No such file or directory); check", "");
    char beyond[9000];
    memset(beyond, 'y', sizeof beyond - 1);
    beyond[sizeof beyond - 1] = '\0';
    mote_error error;
    gguf *file;
    assert_int_equal(gguf_open(&file, beyond, &error), MOTE_E_IO);
    assert_says(error, "yyy: cannot be opened (File name too long)");
}

static void test_a_part_is_missing(void **state)
{
    (void)state;
    write_parts(names);
    assert_int_equal(unlink(in_folder(names[0])), 0);
    refuse(names[2], MOTE_E_IO, "m-00001-of-00003.gguf: cannot be opened (No such file or directory)", "part 1 of 3");
    refuse(names[0], MOTE_E_IO, "m-00001-of-00003.gguf: cannot be opened", "check the path");
}

static void test_a_part_is_broken(void **state)
{
    (void)state;
    write_parts(names);
    assert_int_equal(truncate(in_folder(names[1]), 200), 0);
    refuse(names[0], MOTE_E_FORMAT, "m-00002-of-00003.gguf: ", "the file is damaged");
    assert_int_equal(truncate(in_folder(names[1]), 0), 0);
    refuse(names[0], MOTE_E_IO, "m-00002-of-00003.gguf: is empty", "");
}

static void test_a_renamed_part(void **state)
{
    (void)state;
    static const char *const elsewhere[] = {"model.gguf", "m-00002-of-00003.gguf", "m-00001-of-00004.gguf",
                                            "m-00001-of-00003.ggu", "x"};
    write_parts(names);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        write_part(&(part){elsewhere[i], 0, PARTS, 6, "llama", NULL});
        refuse(elsewhere[i], MOTE_E_FORMAT, "is part 1 of 3, so its name must end in -00001-of-00003.gguf",
               elsewhere[i]);
        unlink(in_folder(elsewhere[i]));
    }
}

static void test_strangers(void **state)
{
    (void)state;
    static const struct {
        part second;
        const char *says;
    } cases[] = {
        {{"", 0, 3, 6, NULL, NULL}, "says it is part 1 of 3, but stands for part 2 of 3"},
        {{"", 1, 4, 6, NULL, NULL}, "says it is part 2 of 4, but stands for part 2 of 3"},
        {{"", 1, 1, 6, NULL, NULL}, "says it is part 1 of 1, but stands for part 2 of 3"},
        {{"", 1, 3, 7, NULL, NULL}, "they differ in split.tensors.count"},
        {{"", 1, 3, -1, NULL, NULL}, "has no split.tensors.count"},
        {{"", 1, 3, 6, "qwen3", NULL}, "they differ in general.architecture"},
        {{"", 1, 3, 6, "llama", "t0a"}, "has the tensor t0a twice"},
    };
    write_parts(names);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        part second = cases[i].second;
        second.name = names[1];
        write_part(&second);
        refuse(names[0], MOTE_E_FORMAT, cases[i].says, names[1]);
    }
    for (int i = 0; i < PARTS; i++)
        write_part(&(part){names[i], i, PARTS, 5, NULL, NULL});
    refuse(names[0], MOTE_E_FORMAT, "its parts hold 6 tensors, but split.tensors.count is 5", names[0]);
}

/* A whole file is what its metadata says, whatever it is called. */
static void test_a_whole_file_with_a_parts_name(void **state)
{
    (void)state;
    mote_error error;
    gguf *file;
    for (int count = 0; count <= 1; count++) {
        write_part(&(part){"w-00001-of-00009.gguf", 0, count, 2, NULL, NULL});
        assert_int_equal(gguf_open(&file, in_folder("w-00001-of-00009.gguf"), &error), MOTE_OK);
        assert_int_equal(gguf_tensor_count(file), 2);
        gguf_close(file);
    }
}

static void test_no_model_at_all(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(mkdir(in_folder("inner"), 0700), 0);
    assert_int_equal(symlink("nowhere", in_folder("dangling")), 0);
    assert_int_equal(symlink("loop", in_folder("loop")), 0);
    FILE *empty = fopen(in_folder("empty"), "wb");
    assert_true(empty != NULL && fclose(empty) == 0);
    FILE *page = fopen(in_folder("page.gguf"), "wb");
    assert_true(page != NULL && fputs("<!DOCTYPE html>", page) >= 0 && fclose(page) == 0);
    refuse("pipe", MOTE_E_IO, "/pipe: is a pipe; name a regular file", ""); /* and does not wait for a writer */
    refuse("inner", MOTE_E_IO, "/inner: is a directory; name a regular file", "");
    refuse("dangling", MOTE_E_IO, "/dangling: cannot be opened (No such file", "");
    refuse("loop", MOTE_E_IO, "/loop: cannot be opened (Too many levels", "");
    refuse("empty", MOTE_E_IO, "/empty: is empty", "");
    refuse("empty/inner", MOTE_E_IO, "cannot be opened (Not a directory)", "");
    refuse("page.gguf", MOTE_E_FORMAT, "begins with 3c 21 44 4f, not with GGUF", "");
    mote_error error;
    gguf *file;
    assert_int_equal(gguf_open(&file, "/dev/null", &error), MOTE_E_IO);
    assert_says(error, "/dev/null: is a device");
    assert_int_equal(gguf_open(&file, "", &error), MOTE_E_IO);
    if (geteuid() == 0)
        return; /* may read everything */
    assert_int_equal(chmod(in_folder("page.gguf"), 0), 0);
    refuse("page.gguf", MOTE_E_IO, "cannot be opened (Permission denied); check the path and its permissions", "");
}

/* cmocka takes SIGBUS for itself in every test: the guard's handler is noted before, and put back where it is tested. */
static struct sigaction guard;

static void note_guard(void)
{
    gguf *file;
    gguf_open(&file, "/proc/self/exe", NULL); /* no model, but mapped, and that is what arms the guard */
    sigaction(SIGBUS, NULL, &guard);
}

/* A file shortened while it is open: an error, and again at every later question, but no crash. */
static void test_a_part_shrinks(void **state)
{
    (void)state;
    gguf_writer w;
    mote_error error;
    gguf *file;
    gguf_begin(&w, 3);
    gguf_add_tensor(&w, "big", QUANT_F32, 2, (size_t[]){65536, 4}, NULL);
    gguf_finish(&w);
    const char *path = in_folder("shrinks.gguf");
    gguf_save(&w, path);
    gguf_writer_free(&w);
    assert_int_equal(gguf_open(&file, path, &error), MOTE_OK);
    assert_int_equal(gguf_check(file, &error), MOTE_OK);
    assert_int_equal(truncate(path, 65536), 0);
    sigaction(SIGBUS, &guard, NULL);
    const gguf_tensor *tensor = gguf_tensor_at(file, 0);
    const volatile unsigned char *bytes = tensor->data;
    assert_int_equal(bytes[tensor->bytes - 1], 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gguf_check(file, &error), MOTE_E_IO);
        assert_says(error,
                    "shrinks.gguf: could not be read any more (was it removed, or shortened?); open the model again");
    }
    assert_int_equal(gguf_read_ahead(file, NULL, NULL, &error), MOTE_E_IO);
    gguf_close(file);
    assert_int_equal(gguf_open(&file, path, &error), MOTE_E_FORMAT);
    assert_says(error, "bytes are missing");
}

/* One thread keeps cutting the file down and filling it up again while another opens it: whatever is found, a sentence
 * or a file that can be read, and what could not be read is said to be so. */
static atomic_bool opened_enough;

static void *cut_and_fill(void *path)
{
    for (off_t cut = 0; !atomic_load(&opened_enough); cut = (cut + 4096) % (1 << 20))
        if (truncate(path, cut) != 0 || truncate(path, 1 << 20) != 0)
            break;
    return NULL;
}

static void test_opening_while_the_file_changes(void **state)
{
    (void)state;
    enum { ENTRIES = 20000, ROUNDS = 100 };
    gguf_writer w;
    gguf_begin(&w, 3);
    for (int i = 0; i < ENTRIES; i++) {
        char key[16];
        snprintf(key, sizeof key, "key.%d", i);
        gguf_add_text(&w, key, "value");
    }
    char path[4600];
    strcpy(path, in_folder("changes.gguf"));
    gguf_save(&w, path);
    sigaction(SIGBUS, &guard, NULL);
    pthread_t thread;
    atomic_store(&opened_enough, false);
    for (int i = 0; i < ROUNDS; i++) {
        gguf *file;
        mote_error error;
        FILE *restore = fopen(path, "r+b");
        assert_true(restore != NULL && fwrite(w.at, 1, w.size, restore) == w.size && fclose(restore) == 0);
        if (i == 0)
            assert_int_equal(pthread_create(&thread, NULL, cut_and_fill, path), 0);
        mote_status status = gguf_open(&file, path, &error);
        assert_true(status == MOTE_OK || status == MOTE_E_IO || status == MOTE_E_FORMAT ||
                    status == MOTE_E_UNSUPPORTED);
        if (status == MOTE_OK)
            assert_int_equal(gguf_entry_count(file), ENTRIES);
        gguf_close(file);
    }
    atomic_store(&opened_enough, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    gguf_writer_free(&w);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_any_part_opens_all),
        IN_FOLDER(test_odd_names),
        IN_FOLDER(test_long_paths),
        IN_FOLDER(test_a_part_is_missing),
        IN_FOLDER(test_a_part_is_broken),
        IN_FOLDER(test_a_renamed_part),
        IN_FOLDER(test_strangers),
        IN_FOLDER(test_a_whole_file_with_a_parts_name),
        IN_FOLDER(test_no_model_at_all),
        IN_FOLDER(test_a_part_shrinks),
        IN_FOLDER(test_opening_while_the_file_changes),
    };
    note_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
