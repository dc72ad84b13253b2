/* safetensors files: what is found in a sound one, and the ways in which a head can lie. Folders with indexes are
 * tests/e2e/test_convert.py's. */
#include <stdlib.h>

#include "format/safetensors.h"

#include "assert_says.h"

enum { LENGTH_BYTES = 8, MOST_HEAD = 4096, MOST_DATA = 64 };

typedef struct file_image {
    unsigned char at[LENGTH_BYTES + MOST_HEAD + MOST_DATA];
    size_t size;
} file_image;

/* Data bytes count from 0. */
static file_image image_of(const char *head, size_t data)
{
    file_image f;
    uint64_t length = strlen(head);
    memcpy(f.at, &length, sizeof length);
    memcpy(f.at + LENGTH_BYTES, head, length);
    f.size = LENGTH_BYTES + (size_t)length;
    for (size_t i = 0; i < data; i++)
        f.at[f.size++] = (unsigned char)i;
    return f;
}

static void assert_refused(const file_image *f, mote_status status, const char *words)
{
    mote_error error;
    safetensors *none;
    unsigned char *exact = malloc(f->size); /* so that a sanitizer sees the first byte past it */
    assert_non_null(exact);
    memcpy(exact, f->at, f->size);
    mote_status got = safetensors_open_memory(&none, exact, f->size, &error);
    free(exact);
    if (got != status)
        fail_msg("%s where \"%s\" was expected", mote_status_name(got), words);
    assert_null(none);
    assert_says(error, words);
}

#define ENTRY(name, dtype, shape, from, to)                                                                            \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void tensors_are_found_and_read(void **state)
{
    (void)state;
    safetensors *files;
    unsigned char bytes[16];
    file_image f = image_of("{\"__metadata__\":{\"format\":\"pt\"}," ENTRY("z", "BF16", "[2,3]", 4, 16) "," ENTRY(
                                "a", "F32", "[1]", 0, 4) "," ENTRY("m", "I64", "[]", 16, 24) "}  ",
                            24);
    assert_int_equal(safetensors_open_memory(&files, f.at, f.size, NULL), MOTE_OK);
    assert_int_equal(safetensors_count(files), 3);
    const safetensors_tensor *z = safetensors_find(files, "z"), *m = safetensors_find(files, "m");
    assert_ptr_equal(z, safetensors_at(files, 2));
    assert_ptr_equal(z->format, &quant_format_BF16);
    assert_int_equal(z->dimensions, 2);
    assert_int_equal(z->shape[0], 2);
    assert_int_equal(z->shape[1], 3);
    assert_int_equal(z->bytes, 12);
    assert_null(m->format);
    assert_string_equal(m->type, "I64");
    assert_int_equal(m->elements, 1);
    assert_null(safetensors_find(files, "y"));
    assert_int_equal(safetensors_read(files, z, 2, bytes, 10, NULL), MOTE_OK);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(bytes[i], 6 + i);
    assert_int_equal(safetensors_read(files, z, 3, bytes, 10, NULL), MOTE_E_ARGUMENT);
    assert_int_equal(safetensors_read(files, z, SIZE_MAX, bytes, 2, NULL), MOTE_E_ARGUMENT);
    safetensors_close(files);
}

static void a_file_may_be_empty(void **state)
{
    (void)state;
    safetensors *files;
    file_image f = image_of("{}", 0);
    assert_int_equal(safetensors_open_memory(&files, f.at, f.size, NULL), MOTE_OK);
    assert_null(safetensors_find(files, "a"));
    safetensors_close(files);
}

static void heads_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        size_t data;
        mote_status status;
        const char *words;
    } cases[] = {
        {"[]", 0, MOTE_E_FORMAT, "no JSON object"},
        {"{", 0, MOTE_E_FORMAT, "byte 1"},
        {"{\"a\":1}", 0, MOTE_E_FORMAT, "no dtype"},
        {"{\"a\":{}}", 0, MOTE_E_FORMAT, "no dtype"},
        {"{\"a\":{\"dtype\":\"F32\"}}", 0, MOTE_E_FORMAT, "its shape"},
        {"{" ENTRY("a", "F4", "[1]", 0, 4) "}", 4, MOTE_E_UNSUPPORTED, "no dtype"},
        {"{" ENTRY("", "F32", "[1]", 0, 4) "}", 4, MOTE_E_FORMAT, "no name"},
        {"{" ENTRY("\\u0001", "F32", "[1]", 0, 4) "}", 4, MOTE_E_FORMAT, "no name"},
        {"{" ENTRY("a", "F32", "1", 0, 4) "}", 4, MOTE_E_FORMAT, "its shape"},
        {"{" ENTRY("a", "F32", "[0]", 0, 0) "}", 0, MOTE_E_FORMAT, "its shape"},
        {"{" ENTRY("a", "F32", "[-1]", 0, 4) "}", 4, MOTE_E_FORMAT, "its shape"},
        {"{" ENTRY("a", "F32", "[1.0]", 0, 4) "}", 4, MOTE_E_FORMAT, "its shape"},
        {"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, MOTE_E_FORMAT, "its shape"},
        {"{" ENTRY("a", "F32", "[4294967296,4294967296]", 0, 0) "}", 0, MOTE_E_FORMAT, "its shape"},
        {"{" ENTRY("a", "F32", "[4611686018427387904]", 0, 0) "}", 0, MOTE_E_FORMAT, "data_offsets"},
        {"{" ENTRY("a", "F32", "[2]", 0, 4) "}", 4, MOTE_E_FORMAT, "data_offsets"},
        {"{" ENTRY("a", "F32", "[1]", 4, 0) "}", 4, MOTE_E_FORMAT, "data_offsets"},
        {"{" ENTRY("a", "F32", "[1]", 0, 4) "}", 3, MOTE_E_FORMAT, "data_offsets"},
        {"{" ENTRY("a", "F32", "[1]", 18446744073709551612, 0) "}", 4, MOTE_E_FORMAT, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, MOTE_E_FORMAT, "data_offsets"},
        {"{" ENTRY("a", "F32", "[1]", 0, 4) "," ENTRY("b", "F32", "[1]", 0, 4) "}", 4, MOTE_E_FORMAT, "inside another"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("b", "F32", "[2]", 4, 12) "}", 12, MOTE_E_FORMAT,
         "inside another"},
        {"{" ENTRY("a", "F32", "[1]", 0, 4) "," ENTRY("b", "F32", "[1]", 8, 12) "}", 12, MOTE_E_FORMAT, "hole"},
        {"{" ENTRY("a", "F32", "[1]", 4, 8) "}", 8, MOTE_E_FORMAT, "hole"},
        {"{" ENTRY("a", "F32", "[1]", 0, 4) "}", 5, MOTE_E_FORMAT, "1 bytes belong to no tensor"},
        {"{" ENTRY("a", "F32", "[1]", 0, 4) "," ENTRY("a", "F32", "[1]", 4, 8) "}", 8, MOTE_E_FORMAT, "given twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file_image f = image_of(cases[i].head, cases[i].data);
        assert_refused(&f, cases[i].status, cases[i].words);
    }
}

static void lengths_that_lie(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {3, 1000, UINT64_MAX, (uint64_t)1 << 63, SAFETENSORS_MOST_HEAD + 1u};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        file_image f = image_of("{}", 0);
        memcpy(f.at, &lengths[i], sizeof lengths[i]);
        assert_refused(&f, MOTE_E_FORMAT, "its head would have");
    }
    file_image f = image_of("{}", 0);
    f.size = 7;
    assert_refused(&f, MOTE_E_FORMAT, "too few");
}

/* Cut anywhere, a file is refused. */
static void torn_files(void **state)
{
    (void)state;
    file_image whole = image_of("{" ENTRY("a", "F32", "[1]", 0, 4) "}", 4);
    for (size_t size = 1; size < whole.size; size++) {
        file_image f = whole;
        f.size = size;
        assert_refused(&f, MOTE_E_FORMAT, "fetch the file again");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_found_and_read),
        cmocka_unit_test(a_file_may_be_empty),
        cmocka_unit_test(heads_that_lie),
        cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(torn_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
