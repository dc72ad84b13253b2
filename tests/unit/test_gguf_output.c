/* Writing GGUF files: what the reader reads back, the same bytes for the same calls, and nothing left behind by a failure,
 * be it the caller's or the disk's. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/gguf_output.h"

#include "assert_says.h"
#include "temporary_folder.h"

static gguf_output *start(const char *name, size_t alignment)
{
    gguf_output *out;
    mote_error error;
    if (gguf_output_open(&out, in_folder(name), alignment, false, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return out;
}

static gguf *opened(const char *name)
{
    gguf *file;
    mote_error error;
    if (gguf_open(&file, in_folder(name), &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return file;
}

static void declare_entries(gguf_output *out)
{
    static const int32_t ints[] = {-5, 0, INT32_MAX};
    static const float floats[] = {0.5f, -2.0f};
    gguf_output_text(out, "general.architecture", "llama");
    gguf_output_u32(out, "t.u32", 4000000000u);
    gguf_output_u64(out, "t.u64", UINT64_MAX);
    gguf_output_f32(out, "t.f32", 0.1f);
    gguf_output_bool(out, "t.bool", true);
    gguf_output_string(out, "t.string", (gguf_string){"a\0b\n", 4});
    gguf_output_text(out, "t.empty", "");
    gguf_output_numbers(out, "a.i32", GGUF_I32, 3, ints);
    gguf_output_numbers(out, "a.f32", GGUF_F32, 2, floats);
    gguf_output_numbers(out, "a.none", GGUF_U8, 0, NULL);
    gguf_output_strings(out, "a.string", 3);
    gguf_output_item(out, (gguf_string){"one", 3});
    gguf_output_item(out, (gguf_string){"", 0});
    gguf_output_item(out, (gguf_string){"drei \xc3\x9f", 7});
    gguf_output_strings(out, "a.nothing", 0);
}

enum { FIRST = 36, SECOND = 4 * 4, THIRD = 34 }; /* bytes of three tensors; two end off any alignment */

static void declare_tensors(gguf_output *out)
{
    gguf_output_tensor(out, "first", &quant_format_Q4_0, 2, (size_t[]){32, 2});
    gguf_output_tensor(out, "second", &quant_format_F32, 1, (size_t[]){4});
    gguf_output_tensor(out, "third", &quant_format_Q8_0, 4, (size_t[]){32, 1, 1, 1});
}

/* Writes the weights as numbers that count up, `piece` bytes at a time, and finishes. */
static void write_weights(gguf_output *out, size_t piece)
{
    mote_error error;
    unsigned char bytes[FIRST + SECOND + THIRD];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    mote_status status = gguf_output_begin(out, &error);
    for (size_t at = 0; at < sizeof bytes && status == MOTE_OK; at += piece)
        status = gguf_output_data(out, bytes + at, sizeof bytes - at < piece ? sizeof bytes - at : piece, &error);
    if (status == MOTE_OK)
        status = gguf_output_finish(out, &error);
    if (status != MOTE_OK)
        fail_msg("%s", error.text);
    gguf_output_close(out);
}

static void make(const char *name, size_t alignment, size_t piece)
{
    gguf_output *out = start(name, alignment);
    declare_entries(out);
    declare_tensors(out);
    if (alignment == 32)
        assert_int_equal(gguf_output_data_bytes(out), 64 + 32 + 64);
    write_weights(out, piece);
}

static void assert_same_file(const char *one, const char *other, bool same)
{
    size_t sizes[2];
    unsigned char *a = read_file(in_folder(one), &sizes[0]), *b = read_file(in_folder(other), &sizes[1]);
    assert_int_equal(sizes[0] == sizes[1] && memcmp(a, b, sizes[0]) == 0, same);
    free(a);
    free(b);
}

/* --------------------------------------------------------------------------------------------------------- round trip */

static void entries_are_read_back(void **state)
{
    (void)state;
    make("a.gguf", 32, 1000);
    gguf *file = opened("a.gguf");
    assert_int_equal(gguf_entry_count(file), 12);
    assert_true(gguf_string_is(gguf_find(file, "general.architecture")->value.string, "llama"));
    assert_int_equal(gguf_find(file, "t.u32")->value.u64, 4000000000u);
    assert_true(gguf_find(file, "t.u64")->value.u64 == UINT64_MAX);
    assert_true(gguf_find(file, "t.f32")->value.f64 == (double)0.1f);
    assert_int_equal(gguf_find(file, "t.bool")->type, GGUF_BOOL);
    assert_memory_equal(gguf_find(file, "t.string")->value.string.at, "a\0b\n", 4);
    assert_int_equal(gguf_find(file, "t.empty")->value.string.length, 0);
    assert_int_equal(gguf_integer(&gguf_find(file, "a.i32")->value.array, 0), -5);
    assert_true(gguf_float(&gguf_find(file, "a.f32")->value.array, 1) == -2.0f);
    assert_int_equal(gguf_find(file, "a.none")->value.array.count, 0);
    gguf_string text;
    gguf_strings walk = gguf_strings_begin(&gguf_find(file, "a.string")->value.array);
    assert_true(gguf_strings_next(&walk, &text) && gguf_string_is(text, "one"));
    assert_true(gguf_strings_next(&walk, &text) && gguf_string_is(text, ""));
    assert_true(gguf_strings_next(&walk, &text) && gguf_string_is(text, "drei \xc3\x9f"));
    assert_false(gguf_strings_next(&walk, &text));
    gguf_close(file);
}

static void tensors_are_read_back(void **state)
{
    (void)state;
    static const size_t alignments[] = {8, 32, 4096, 65536};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        make("a.gguf", alignments[i], 7);
        gguf *file = opened("a.gguf");
        assert_int_equal(gguf_tensor_count(file), 3);
        const unsigned char *at = gguf_find_tensor(file, "first")->data;
        for (size_t b = 0; b < FIRST; b++)
            assert_int_equal(at[b], b);
        at = gguf_find_tensor(file, "third")->data;
        for (size_t b = 0; b < THIRD; b++)
            assert_int_equal(at[b], FIRST + SECOND + b);
        for (size_t t = 0; t < 3; t++)
            assert_int_equal(gguf_tensor_at(file, t)->offset % alignments[i], 0);
        assert_int_equal(gguf_find_tensor(file, "first")->shape[1], 2);
        assert_int_equal(gguf_has(file, "general.alignment"), alignments[i] != 32);
        gguf_close(file);
        unlink(in_folder("a.gguf"));
    }
}

static void same_calls_make_the_same_bytes(void **state)
{
    (void)state;
    make("a.gguf", 32, 1);
    make("b.gguf", 32, 1000);
    make("c.gguf", 64, 1000);
    assert_same_file("a.gguf", "b.gguf", true);
    assert_same_file("a.gguf", "c.gguf", false);
}

static void bytes_are_i8(void **state)
{
    (void)state;
    mote_error error;
    gguf_output *out = start("a.gguf", 32);
    gguf_output_bytes(out, "image", 5);
    assert_int_equal(gguf_output_begin(out, &error), MOTE_OK);
    assert_int_equal(gguf_output_data(out, "a\0b\xff!", 5, &error), MOTE_OK);
    assert_int_equal(gguf_output_finish(out, &error), MOTE_OK);
    gguf_output_close(out);
    gguf *file = opened("a.gguf");
    const gguf_tensor *tensor = gguf_find_tensor(file, "image");
    assert_int_equal(tensor->type, GGUF_TENSOR_I8);
    assert_int_equal(tensor->bytes, 5);
    assert_memory_equal(tensor->data, "a\0b\xff!", 5);
    gguf_close(file);
}

/* A file without weights is one too: a vocabulary. */
static void nothing_is_a_file_too(void **state)
{
    (void)state;
    mote_error error;
    gguf_output *out = start("a.gguf", 32);
    assert_int_equal(gguf_output_begin(out, &error), MOTE_OK);
    assert_int_equal(gguf_output_finish(out, &error), MOTE_OK);
    gguf_output_close(out);
    gguf *file = opened("a.gguf");
    assert_int_equal(gguf_entry_count(file) + gguf_tensor_count(file), 0);
    gguf_close(file);
}

static void metadata_is_copied_whole(void **state)
{
    (void)state;
    make("a.gguf", 32, 1000);
    gguf *source = opened("a.gguf");
    gguf_output *out = start("b.gguf", 32);
    gguf_output_copy(out, source, NULL);
    declare_tensors(out);
    write_weights(out, 50);
    gguf_close(source);
    assert_same_file("a.gguf", "b.gguf", true);
}

static void what_was_given_before_a_copy_stays(void **state)
{
    (void)state;
    make("a.gguf", 64, 1000);
    gguf *source = opened("a.gguf");
    gguf_output *out = start("b.gguf", 32);
    gguf_output_u32(out, "t.u32", 7);
    gguf_output_copy(out, source, NULL);
    declare_tensors(out);
    write_weights(out, 1000);
    gguf *file = opened("b.gguf");
    assert_int_equal(gguf_entry_count(file), 12); /* without the source's alignment */
    assert_int_equal(gguf_find(file, "t.u32")->value.u64, 7);
    assert_false(gguf_has(file, "general.alignment"));
    gguf_close(file);
    gguf_close(source);
}

/* -------------------------------------------------------------------------------------------------------- wrong calls */

/* The head is refused for `words`, and closing leaves nothing. */
static void expect_refused(gguf_output *out, const char *words)
{
    mote_error error = {0};
    assert_int_not_equal(gguf_output_begin(out, &error), MOTE_OK);
    assert_says(error, words);
    assert_int_not_equal(gguf_output_data(out, "", 1, NULL), MOTE_OK);
    assert_int_not_equal(gguf_output_finish(out, &error), MOTE_OK);
    assert_says(error, words); /* the first failure stays */
    gguf_output_close(out);
    assert_int_equal(folder_count(), 0);
}

static void names_are_unique(void **state)
{
    (void)state;
    gguf_output *out = start("a.gguf", 32);
    declare_entries(out);
    gguf_output_text(out, "t.f32", "again");
    expect_refused(out, "metadata key t.f32 is given twice");
    out = start("a.gguf", 32);
    declare_tensors(out);
    gguf_output_tensor(out, "first", &quant_format_F32, 1, (size_t[]){1});
    expect_refused(out, "tensor first is given twice");
}

static void names_are_printable(void **state)
{
    (void)state;
    char longest[70000];
    memset(longest, 'x', sizeof longest);
    longest[65536] = '\0';
    static const char *const wrong[] = {"", "a\nb", "\xc3\xa4", "\x7f"};
    for (size_t i = 0; i <= sizeof wrong / sizeof *wrong; i++) {
        bool listed = i < sizeof wrong / sizeof *wrong;
        gguf_output *out = start("a.gguf", 32);
        gguf_output_u32(out, listed ? wrong[i] : longest, 1);
        expect_refused(out, "is no metadata key");
        longest[256] = '\0';
        out = start("a.gguf", 32);
        gguf_output_tensor(out, listed ? wrong[i] : longest, &quant_format_F32, 1, (size_t[]){1});
        expect_refused(out, "cannot be a tensor");
        longest[256] = 'x';
    }
}

static void shapes_are_checked(void **state)
{
    (void)state;
    static const struct {
        const quant_format *format;
        uint32_t dimensions;
        size_t shape[5];
    } wrong[] = {
        {&quant_format_Q4_0, 1, {33}},
        {&quant_format_Q4_K, 2, {128, 2}},
        {&quant_format_F32, 0, {1}},
        {&quant_format_F32, 5, {1, 1, 1, 1, 1}},
        {&quant_format_F32, 1, {0}},
        {&quant_format_F32, 2, {4, 0}},
        {&quant_format_F32, 3, {SIZE_MAX / 8, 3, 1}},
        {NULL, 1, {32}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        gguf_output *out = start("a.gguf", 4096);
        gguf_output_tensor(out, "t", wrong[i].format, wrong[i].dimensions, wrong[i].shape);
        expect_refused(out, "has no such shape");
    }
    gguf_output *out = start("a.gguf", 4096);
    gguf_output_bytes(out, "t", SIZE_MAX - 8);
    expect_refused(out, "more than a file can hold");
    out = start("a.gguf", 4096);
    gguf_output_bytes(out, "t", 0);
    expect_refused(out, "has no bytes");
}

static void strings_are_counted(void **state)
{
    (void)state;
    gguf_output *out = start("a.gguf", 32);
    gguf_output_strings(out, "a", 2);
    gguf_output_item(out, (gguf_string){"x", 1});
    gguf_output_u32(out, "b", 1);
    expect_refused(out, "1 strings of an array are missing");
    out = start("a.gguf", 32);
    gguf_output_strings(out, "a", 1);
    expect_refused(out, "1 strings of an array are missing");
    out = start("a.gguf", 32);
    gguf_output_item(out, (gguf_string){"x", 1});
    expect_refused(out, "belongs to no array");
    out = start("a.gguf", 32);
    gguf_output_numbers(out, "a", GGUF_STRING, 1, "x");
    expect_refused(out, "no array of numbers");
}

static void weights_are_counted(void **state)
{
    (void)state;
    mote_error error;
    unsigned char bytes[FIRST + SECOND + THIRD + 1] = {0};
    gguf_output *out = start("a.gguf", 32);
    declare_tensors(out);
    assert_int_equal(gguf_output_data(out, bytes, 1, &error), MOTE_E_ARGUMENT);
    assert_says(error, "begin first");
    gguf_output_close(out);

    out = start("a.gguf", 32);
    declare_tensors(out);
    assert_int_equal(gguf_output_begin(out, &error), MOTE_OK);
    assert_int_equal(gguf_output_data(out, bytes, sizeof bytes, &error), MOTE_E_ARGUMENT);
    assert_says(error, "1 bytes more than its tensors have");
    gguf_output_close(out);

    out = start("a.gguf", 32);
    declare_tensors(out);
    assert_int_equal(gguf_output_begin(out, &error), MOTE_OK);
    assert_int_equal(gguf_output_data(out, bytes, FIRST + SECOND + THIRD - 1, &error), MOTE_OK);
    assert_int_equal(gguf_output_finish(out, &error), MOTE_E_ARGUMENT);
    assert_says(error, "2 of 3 tensors are written");
    gguf_output_close(out);

    out = start("a.gguf", 32);
    assert_int_equal(gguf_output_begin(out, &error), MOTE_OK);
    gguf_output_u32(out, "late", 1);
    assert_int_equal(gguf_output_finish(out, &error), MOTE_E_ARGUMENT);
    assert_says(error, "late comes after the head");
    gguf_output_close(out);
    assert_int_equal(folder_count(), 0);
}

static void alignments_are_powers_of_two(void **state)
{
    (void)state;
    static const size_t wrong[] = {0, 1, 4, 33, 48, 131072, SIZE_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mote_error error;
        gguf_output *out;
        assert_int_equal(gguf_output_open(&out, in_folder("a"), wrong[i], false, &error), MOTE_E_ARGUMENT);
        assert_says(error, "power of two");
        assert_null(out);
    }
    assert_int_equal(folder_count(), 0);
}

/* ---------------------------------------------------------------------------------------------------------- the disk */

static void what_exists_is_kept_unless_told(void **state)
{
    (void)state;
    mote_error error;
    gguf_output *out;
    make("old.gguf", 64, 100);
    make("a.gguf", 64, 100);
    assert_int_equal(chmod(in_folder("a.gguf"), 0640), 0);
    assert_int_equal(gguf_output_open(&out, in_folder("a.gguf"), 32, false, &error), MOTE_E_ARGUMENT);
    assert_says(error, "exists and would be overwritten");
    assert_int_equal(gguf_output_open(&out, in_folder("a.gguf"), 32, true, &error), MOTE_OK);
    gguf_output_close(out); /* unfinished: the old one stays */
    assert_same_file("a.gguf", "old.gguf", true);

    assert_int_equal(gguf_output_open(&out, in_folder("a.gguf"), 32, true, &error), MOTE_OK);
    declare_tensors(out);
    write_weights(out, 100);
    assert_same_file("a.gguf", "old.gguf", false);
    struct stat about;
    assert_int_equal(stat(in_folder("a.gguf"), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
    assert_int_equal(folder_count(), 2);
}

static void places_that_cannot_be_written(void **state)
{
    (void)state;
    mote_error error;
    gguf_output *out;
    make("a.gguf", 32, 100);
    static const char *const names[] = {"none/b.gguf", "a.gguf/b.gguf", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(gguf_output_open(&out, in_folder(names[i]), 32, true, &error), MOTE_E_IO);
        assert_says(error, "choose another place");
        assert_null(out);
    }
    assert_int_equal(folder_count(), 1);
}

static void a_full_disk(void **state)
{
    (void)state;
    mote_error error;
    gguf_output *out;
    assert_int_equal(gguf_output_open(&out, "/dev/full", 32, false, &error), MOTE_OK);
    declare_entries(out);
    assert_int_equal(gguf_output_begin(out, &error), MOTE_E_IO);
    assert_says(error, "/dev/full: No space left on device; free some space");
    gguf_output_close(out);
}

static void a_limit_on_file_sizes(void **state)
{
    (void)state;
    enum { LIMIT = 1000, SIZE = 4000 };
    mote_error error;
    struct rlimit usual;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    gguf_output *out = start("a.gguf", 32);
    gguf_output_tensor(out, "t", &quant_format_F32, 1, (size_t[]){SIZE / 4});
    assert_int_equal(gguf_output_begin(out, &error), MOTE_OK);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){LIMIT, usual.rlim_max});
    unsigned char bytes[SIZE] = {0};
    mote_status status = gguf_output_data(out, bytes, sizeof bytes, &error);
    setrlimit(RLIMIT_FSIZE, &usual);
    signal(SIGXFSZ, before);
    assert_int_equal(status, MOTE_E_IO);
    assert_says(error, "File too large");
    assert_int_equal(gguf_output_finish(out, NULL), MOTE_E_IO);
    gguf_output_close(out);
    assert_int_equal(folder_count(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(entries_are_read_back),
        TEST(tensors_are_read_back),
        TEST(same_calls_make_the_same_bytes),
        TEST(bytes_are_i8),
        TEST(nothing_is_a_file_too),
        TEST(metadata_is_copied_whole),
        TEST(what_was_given_before_a_copy_stays),
        TEST(names_are_unique),
        TEST(names_are_printable),
        TEST(shapes_are_checked),
        TEST(strings_are_counted),
        TEST(weights_are_counted),
        TEST(alignments_are_powers_of_two),
        TEST(what_exists_is_kept_unless_told),
        TEST(places_that_cannot_be_written),
        TEST(a_full_disk),
        TEST(a_limit_on_file_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
