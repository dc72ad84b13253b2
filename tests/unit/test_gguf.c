/* Reading sound GGUF files: every type of metadata, typed access, tensors, both versions, path and memory alike. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/gguf.h"

#include "assert_says.h"
#include "gguf_writer.h"

/* A file with every type of value. */
static gguf *all_types(gguf_writer *w)
{
    static const uint16_t shorts[] = {1, 2, 65535};
    static const int32_t ints[] = {-5, 0, INT32_MAX};
    static const uint64_t longs[] = {1, UINT64_MAX};
    static const float floats[] = {0.5f, -2.0f};
    static const double doubles[] = {1e300, 0.25};
    static const uint8_t bools[] = {1, 0, 1};
    gguf_begin(w, 3);
    gguf_add_u8(w, "t.u8", 200);
    gguf_add_i8(w, "t.i8", -100);
    gguf_add_u16(w, "t.u16", 60000);
    gguf_add_i16(w, "t.i16", -30000);
    gguf_add_u32(w, "t.u32", 4000000000u);
    gguf_add_i32(w, "t.i32", -2000000000);
    gguf_add_u64(w, "t.u64", UINT64_MAX);
    gguf_add_i64(w, "t.i64", INT64_MIN);
    gguf_add_f32(w, "t.f32", 0.1f);
    gguf_add_f64(w, "t.f64", -1e300);
    gguf_add_bool(w, "t.bool", true);
    gguf_add_string(w, "t.string", "a\0b\n", 4);
    gguf_add_text(w, "t.empty", "");
    gguf_add_numbers(w, "a.u16", GGUF_U16, 3, shorts);
    gguf_add_numbers(w, "a.i32", GGUF_I32, 3, ints);
    gguf_add_numbers(w, "a.u64", GGUF_U64, 2, longs);
    gguf_add_numbers(w, "a.f32", GGUF_F32, 2, floats);
    gguf_add_numbers(w, "a.f64", GGUF_F64, 2, doubles);
    gguf_add_numbers(w, "a.bool", GGUF_BOOL, 3, bools);
    gguf_add_texts(w, "a.string", 3, (const char *const[]){"one", "", "drei ß"});
    gguf_add_numbers(w, "a.none", GGUF_F32, 0, NULL);
    gguf_add_f32(w, "t.nan", NAN);
    gguf_add_f32(w, "t.infinite", INFINITY);
    gguf_add_numbers(w, "a.nan", GGUF_F32, 2, (const float[]){1.0f, NAN});
    gguf_finish(w);
    gguf *file;
    mote_error error;
    if (gguf_open_memory(&file, w->at, w->size, "all.gguf", &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return file;
}

static void test_every_type_is_read(void **state)
{
    (void)state;
    gguf_writer w;
    gguf *file = all_types(&w);
    assert_int_equal(gguf_entry_count(file), 24);
    assert_string_equal(gguf_entry_at(file, 0)->key, "t.u8");
    assert_int_equal(gguf_find(file, "t.u8")->value.u64, 200);
    assert_int_equal(gguf_find(file, "t.i8")->value.i64, -100);
    assert_int_equal(gguf_find(file, "t.u16")->value.u64, 60000);
    assert_int_equal(gguf_find(file, "t.i16")->value.i64, -30000);
    assert_int_equal(gguf_find(file, "t.u32")->value.u64, 4000000000u);
    assert_int_equal(gguf_find(file, "t.i32")->value.i64, -2000000000);
    assert_true(gguf_find(file, "t.u64")->value.u64 == UINT64_MAX);
    assert_true(gguf_find(file, "t.i64")->value.i64 == INT64_MIN);
    assert_true(gguf_find(file, "t.f32")->value.f64 == (double)0.1f);
    assert_true(gguf_find(file, "t.f64")->value.f64 == -1e300);
    assert_int_equal(gguf_find(file, "t.bool")->value.u64, 1);
    gguf_string string = gguf_find(file, "t.string")->value.string;
    assert_int_equal(string.length, 4);
    assert_memory_equal(string.at, "a\0b\n", 4);
    assert_true(gguf_string_is(gguf_find(file, "t.empty")->value.string, ""));
    assert_false(gguf_string_is(string, "a"));
    assert_null(gguf_find(file, "t.u"));
    assert_null(gguf_find(file, ""));
    assert_true(gguf_has(file, "a.none"));
    assert_string_equal(gguf_name(file), "all.gguf");
    gguf_close(file);
    gguf_writer_free(&w);
}

static void test_arrays_are_read(void **state)
{
    (void)state;
    gguf_writer w;
    mote_error error;
    gguf *file = all_types(&w);
    const gguf_array *array = NULL;
    assert_int_equal(gguf_need_array(file, "a.u16", GGUF_INTEGERS, &array, &error), MOTE_OK);
    assert_int_equal(array->count, 3);
    assert_int_equal(array->type, GGUF_U16);
    assert_int_equal(array->bytes, 6);
    assert_int_equal(gguf_integer(array, 2), 65535);
    assert_int_equal(gguf_need_array(file, "a.i32", GGUF_INTEGERS, &array, &error), MOTE_OK);
    assert_int_equal(gguf_integer(array, 0), -5);
    assert_int_equal(gguf_integer(array, 2), INT32_MAX);
    assert_int_equal(gguf_need_array(file, "a.u64", GGUF_INTEGERS, &array, &error), MOTE_OK);
    assert_true(gguf_integer(array, 1) == INT64_MAX);
    assert_int_equal(gguf_need_array(file, "a.f32", GGUF_FLOATS, &array, &error), MOTE_OK);
    assert_true(gguf_float(array, 0) == 0.5f && gguf_float(array, 1) == -2.0f);
    assert_int_equal(gguf_need_array(file, "a.bool", GGUF_BOOLS, &array, &error), MOTE_OK);
    assert_int_equal(gguf_integer(array, 0) * 4 + gguf_integer(array, 1) * 2 + gguf_integer(array, 2), 5);
    assert_int_equal(gguf_need_array(file, "a.none", GGUF_FLOATS, &array, &error), MOTE_OK);
    assert_int_equal(array->count, 0);

    assert_int_equal(gguf_need_array(file, "a.string", GGUF_STRINGS, &array, &error), MOTE_OK);
    gguf_strings walk = gguf_strings_begin(array);
    gguf_string text;
    assert_true(gguf_strings_next(&walk, &text) && gguf_string_is(text, "one"));
    assert_true(gguf_strings_next(&walk, &text) && gguf_string_is(text, ""));
    assert_true(gguf_strings_next(&walk, &text) && gguf_string_is(text, "drei ß"));
    assert_false(gguf_strings_next(&walk, &text));
    assert_false(gguf_strings_next(&walk, &text));

    const gguf_array *before = array;
    assert_int_equal(gguf_get_array(file, "absent", GGUF_FLOATS, &array, &error), MOTE_OK);
    assert_ptr_equal(array, before);
    assert_int_equal(gguf_need_array(file, "absent", GGUF_FLOATS, &array, &error), MOTE_E_FORMAT);
    assert_says(error, "all.gguf: has no absent");
    assert_int_equal(gguf_get_array(file, "a.string", GGUF_FLOATS, &array, &error), MOTE_E_FORMAT);
    assert_says(error, "a.string is [3] one, , drei ß (array of string), and must be an array of floats");
    assert_int_equal(gguf_get_array(file, "t.u8", GGUF_INTEGERS, &array, &error), MOTE_E_FORMAT);
    assert_says(error, "t.u8 is 200 (u8), and must be an array of integers");
    assert_int_equal(gguf_get_array(file, "a.nan", GGUF_FLOATS, &array, &error), MOTE_E_FORMAT);
    assert_says(error, "a.nan holds nan at index 1");
    assert_int_equal(gguf_get_array(file, "a.f64", GGUF_FLOATS, &array, &error), MOTE_E_FORMAT);
    assert_says(error, "a.f64 holds inf at index 0"); /* 1e300 is no float */
    assert_ptr_equal(array, before);
    gguf_close(file);
    gguf_writer_free(&w);
}

/* Elements at odd addresses, of every width, with the sign bit set in the last. */
static void test_elements_of_every_type(void **state)
{
    (void)state;
    static const struct {
        gguf_type type;
        int64_t last;
        unsigned char bytes[16];
    } cases[] = {
        {GGUF_U8, 0x80, {1, 0x80}},
        {GGUF_I8, -128, {1, 0x80}},
        {GGUF_U16, 0x8002, {1, 0, 2, 0x80}},
        {GGUF_I16, -32766, {1, 0, 2, 0x80}},
        {GGUF_U32, 0x80000003, {1, 0, 0, 0, 3, 0, 0, 0x80}},
        {GGUF_I32, -2147483645, {1, 0, 0, 0, 3, 0, 0, 0x80}},
        {GGUF_U64, INT64_MAX, {1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0x80}},
        {GGUF_I64, INT64_MIN + 4, {1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0x80}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_writer w;
        mote_error error;
        gguf *file;
        const gguf_array *array;
        gguf_begin(&w, 3);
        gguf_add_numbers(&w, "odd", cases[i].type, 2, cases[i].bytes);
        gguf_finish(&w);
        assert_int_equal(gguf_open_memory(&file, w.at, w.size, "e", &error), MOTE_OK);
        assert_int_equal(gguf_need_array(file, "odd", GGUF_INTEGERS, &array, &error), MOTE_OK);
        assert_true(gguf_integer(array, 0) == 1 && gguf_integer(array, 1) == cases[i].last);
        assert_true(gguf_float(array, 0) == 1.0f);
        gguf_close(file);
        gguf_writer_free(&w);
    }
}

static void test_integers_of_any_width_fit_or_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint32_t min, max, value;
        const char *says; /* NULL: it fits */
    } cases[] = {
        {"t.u8", 0, 255, 200, NULL},
        {"t.u8", 200, 200, 200, NULL},
        {"t.u8", 201, 255, 0, "t.u8 is 200 (u8), and must be an integer from 201 to 255"},
        {"t.u8", 0, 199, 0, "must be an integer from 0 to 199"},
        {"t.u16", 0, UINT32_MAX, 60000, NULL},
        {"t.u32", 0, UINT32_MAX, 4000000000u, NULL},
        {"t.i8", 0, UINT32_MAX, 0, "t.i8 is -100 (i8)"},
        {"t.i16", 0, UINT32_MAX, 0, "t.i16 is -30000 (i16)"},
        {"t.i32", 0, UINT32_MAX, 0, "t.i32 is -2000000000 (i32)"},
        {"t.i64", 0, UINT32_MAX, 0, "t.i64 is -9223372036854775808 (i64)"},
        {"t.u64", 0, UINT32_MAX, 0, "t.u64 is 18446744073709551615 (u64)"},
        {"t.f32", 0, UINT32_MAX, 0, "t.f32 is 0.1 (f32)"},
        {"t.bool", 0, UINT32_MAX, 0, "t.bool is true (bool)"},
        {"t.string", 0, UINT32_MAX, 0,
         "t.string is a\xef\xbf\xbd"
         "b\\n (string)"},
        {"a.i32", 0, UINT32_MAX, 0, "a.i32 is [3] -5, 0, 2147483647 (array of i32)"},
    };
    gguf_writer w;
    gguf *file = all_types(&w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_error error = {0};
        uint32_t value = 123456;
        mote_status status = gguf_get_u32(file, cases[i].key, cases[i].min, cases[i].max, &value, &error);
        if (cases[i].says == NULL) {
            assert_int_equal(status, MOTE_OK);
            assert_int_equal(value, cases[i].value);
            continue;
        }
        assert_int_equal(status, MOTE_E_FORMAT);
        assert_int_equal(value, 123456);
        assert_says(error, "all.gguf: ");
        assert_says(error, cases[i].says);
    }
    uint32_t value = 5;
    mote_error error;
    assert_int_equal(gguf_get_u32(file, "absent", 0, 1, &value, &error), MOTE_OK);
    assert_int_equal(value, 5);
    assert_int_equal(gguf_need_u32(file, "absent", 0, 1, &value, &error), MOTE_E_FORMAT);
    assert_says(error, "all.gguf: has no absent, which it needs");
    assert_int_equal(gguf_need_u32(file, "absent", 0, 1, &value, NULL), MOTE_E_FORMAT);
    gguf_close(file);
    gguf_writer_free(&w);
}

static void test_floats_bools_and_strings(void **state)
{
    (void)state;
    gguf_writer w;
    mote_error error;
    gguf *file = all_types(&w);
    float number = 9.0f;
    assert_int_equal(gguf_need_f32(file, "t.f32", 0.0f, 1.0f, &number, &error), MOTE_OK);
    assert_true(number == 0.1f);
    assert_int_equal(gguf_need_f32(file, "t.u8", 0.0f, 1000.0f, &number, &error), MOTE_OK);
    assert_true(number == 200.0f);
    assert_int_equal(gguf_need_f32(file, "t.i8", -1000.0f, 0.0f, &number, &error), MOTE_OK);
    assert_true(number == -100.0f);
    assert_int_equal(gguf_get_f32(file, "absent", 0.0f, 1.0f, &number, &error), MOTE_OK);
    assert_true(number == -100.0f);
    static const char *const unfit[] = {"t.nan", "t.infinite", "t.f64", "t.bool", "t.string", "a.f32"};
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        assert_int_equal(gguf_get_f32(file, unfit[i], -3e38f, 3e38f, &number, &error), MOTE_E_FORMAT);
        assert_says(error, unfit[i]);
        assert_true(number == -100.0f);
    }
    assert_int_equal(gguf_get_f32(file, "t.f32", 0.5f, 1.0f, &number, &error), MOTE_E_FORMAT);
    assert_says(error, "t.f32 is 0.1 (f32), and must be a number from 0.5 to 1");
    assert_int_equal(gguf_need_f32(file, "absent", 0.0f, 1.0f, &number, &error), MOTE_E_FORMAT);

    bool flag = false;
    assert_int_equal(gguf_get_bool(file, "t.bool", &flag, &error), MOTE_OK);
    assert_true(flag);
    assert_int_equal(gguf_get_bool(file, "absent", &flag, &error), MOTE_OK);
    assert_true(flag);
    assert_int_equal(gguf_get_bool(file, "t.u8", &flag, &error), MOTE_E_FORMAT);
    assert_says(error, "t.u8 is 200 (u8), and must be a bool");

    gguf_string text = {"default", 7};
    assert_int_equal(gguf_get_string(file, "absent", &text, &error), MOTE_OK);
    assert_true(gguf_string_is(text, "default"));
    assert_int_equal(gguf_need_string(file, "absent", &text, &error), MOTE_E_FORMAT);
    assert_int_equal(gguf_get_string(file, "a.string", &text, &error), MOTE_E_FORMAT);
    assert_says(error, "a.string");
    assert_int_equal(gguf_need_string(file, "t.string", &text, &error), MOTE_OK);
    assert_int_equal(text.length, 4);
    gguf_close(file);
    gguf_writer_free(&w);
}

static void test_entries_become_text(void **state)
{
    (void)state;
    static const struct {
        const char *key, *type, *text;
    } cases[] = {
        {"t.u8", "u8", "200"},
        {"t.i64", "i64", "-9223372036854775808"},
        {"t.f32", "f32", "0.1"},
        {"t.f64", "f64", "-1e+300"},
        {"t.bool", "bool", "true"},
        {"t.string", "string",
         "a\xef\xbf\xbd"
         "b\\n"},
        {"t.empty", "string", ""},
        {"a.u64", "array of u64", "[2] 1, 9223372036854775807"},
        {"a.bool", "array of bool", "[3] true, false, true"},
        {"a.string", "array of string", "[3] one, , drei ß"},
        {"a.f64", "array of f64", "[2] inf, 0.25"},
        {"a.none", "array of f32", "[0]"},
    };
    gguf_writer w;
    gguf *file = all_types(&w);
    char text[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const gguf_entry *entry = gguf_find(file, cases[i].key);
        gguf_entry_text(entry, text, sizeof text);
        assert_string_equal(text, cases[i].text);
        assert_string_equal(gguf_entry_type_name(entry), cases[i].type);
    }
    gguf_close(file);
    gguf_writer_free(&w);
}

static void test_long_text_ends_in_an_ellipsis(void **state)
{
    (void)state;
    gguf_writer w;
    gguf *file;
    gguf_begin(&w, 3);
    gguf_add_text(&w, "s", "äöü\x9b\xc2\x9b\xed\xa0\x80\x1b[31m\tend");
    gguf_finish(&w);
    assert_int_equal(gguf_open_memory(&file, w.at, w.size, NULL, NULL), MOTE_OK);
    assert_string_equal(gguf_name(file), "memory");
    const gguf_entry *entry = gguf_find(file, "s");
    char text[80];
    gguf_entry_text(entry, text, sizeof text); /* a lone 0x9b, U+009B, a surrogate's three bytes, ESC */
#define BAD "\xef\xbf\xbd"
    assert_string_equal(text, "äöü" BAD BAD BAD BAD BAD BAD "[31m\\tend");
    gguf_entry_text(entry, text, 8);
    assert_string_equal(text, "äö…");
    gguf_entry_text(entry, text, 7);
    assert_string_equal(text, "ä…");
    gguf_entry_text(entry, text, 4);
    assert_string_equal(text, "…");
    gguf_entry_text(entry, text, 3);
    assert_string_equal(text, "");
    text[0] = 'x';
    gguf_entry_text(entry, text, 0);
    assert_int_equal(text[0], 'x');
    gguf_close(file);
    gguf_writer_free(&w);
}

static void test_tensors_are_found_where_they_are(void **state)
{
    (void)state;
    static const float values[] = {1, 2, 3, 4, 5, 6};
    gguf_writer w;
    mote_error error;
    gguf *file;
    for (uint32_t version = 2; version <= 3; version++) {
        gguf_begin(&w, version);
        gguf_add_u32(&w, "general.alignment", 64);
        w.alignment = 64;
        gguf_add_tensor(&w, "b", QUANT_F32, 2, (size_t[]){3, 2}, values);
        gguf_add_tensor(&w, "a", QUANT_Q8_0, 3, (size_t[]){64, 3, 2}, NULL);
        gguf_add_tensor(&w, "c", QUANT_F16, 4, (size_t[]){1, 2, 3, 5}, NULL);
        gguf_finish(&w);
        assert_int_equal(gguf_open_memory(&file, w.at, w.size, "t.gguf", &error), MOTE_OK);
        assert_int_equal(gguf_tensor_count(file), 3);
        assert_int_equal(gguf_file_bytes(file), w.size);
        const gguf_tensor *b = gguf_tensor_at(file, 0), *a = gguf_tensor_at(file, 1);
        assert_string_equal(b->name, "b");
        assert_ptr_equal(gguf_find_tensor(file, "b"), b);
        assert_ptr_equal(gguf_find_tensor(file, "a"), a);
        assert_null(gguf_find_tensor(file, "bb"));
        assert_int_equal(b->dimensions, 2);
        assert_int_equal(b->shape[0], 3);
        assert_int_equal(b->shape[1], 2);
        assert_int_equal(b->shape[2], 1);
        assert_int_equal(b->elements, 6);
        assert_int_equal(b->bytes, 24);
        assert_int_equal(b->offset % 64, 0);
        assert_int_equal(b->part, 0);
        assert_ptr_equal(b->data, w.at + b->offset);
        assert_memory_equal(b->data, values, sizeof values);
        assert_ptr_equal(a->format, quant_find(QUANT_Q8_0));
        assert_int_equal(a->bytes, 12 * 34);
        assert_string_equal(gguf_tensor_type_name(a), "Q8_0");
        assert_int_equal(gguf_tensor_at(file, 2)->elements, 30);
        assert_int_equal(gguf_require_formats(file, &error), MOTE_OK);
        gguf_close(file);
        gguf_writer_free(&w);
    }
}

static void test_unknown_tensor_types_stop_a_run_only(void **state)
{
    (void)state;
    gguf_writer w;
    mote_error error;
    gguf *file;
    gguf_begin(&w, 3);
    gguf_add_tensor(&w, "fine", QUANT_F32, 1, (size_t[]){4}, NULL);
    gguf_add_tensor(&w, "blk.0.odd", 16, 2, (size_t[]){256, 1}, NULL);
    gguf_add_tensor(&w, "blk.1.new", 4711, 2, (size_t[]){256, 1}, NULL);
    gguf_finish(&w);
    assert_int_equal(gguf_open_memory(&file, w.at, w.size, "odd.gguf", &error), MOTE_OK);
    const gguf_tensor *odd = gguf_find_tensor(file, "blk.0.odd");
    assert_null(odd->format);
    assert_int_equal(odd->type, 16);
    assert_int_equal(odd->bytes, 0);
    assert_int_equal(odd->elements, 256);
    assert_string_equal(gguf_tensor_type_name(odd), "IQ2_XXS");
    assert_string_equal(gguf_tensor_type_name(gguf_find_tensor(file, "blk.1.new")), "?");
    assert_int_equal(gguf_require_formats(file, &error), MOTE_E_UNSUPPORTED);
    assert_says(error, "odd.gguf: tensor blk.0.odd has the type IQ2_XXS (number 16)");
    gguf_close(file);
    gguf_writer_free(&w);
}

/* Many names with a long common beginning: looking up must not depend on luck with a hash, nor opening be quadratic. */
static void test_sixty_thousand_similar_names(void **state)
{
    (void)state;
    enum { COUNT = 60000 };
    gguf_writer w;
    mote_error error;
    gguf *file;
    char name[GGUF_LONGEST_NAME + 1];
    memset(name, 'n', sizeof name - 1);
    gguf_begin(&w, 3);
    w.alignment = 8;
    gguf_add_u32(&w, "general.alignment", 8);
    for (int i = 0; i < COUNT / 2; i++) {
        snprintf(name + sizeof name - 7, 7, "%06d", COUNT - i);
        gguf_add_u8(&w, name, 1);
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(name + sizeof name - 7, 7, "%06d", COUNT - i);
        gguf_add_tensor(&w, name, QUANT_F32, 1, (size_t[]){2}, NULL);
    }
    gguf_finish(&w);
    assert_int_equal(gguf_open_memory(&file, w.at, w.size, "many.gguf", &error), MOTE_OK);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name + sizeof name - 7, 7, "%06d", COUNT - i);
        assert_ptr_equal(gguf_find_tensor(file, name), gguf_tensor_at(file, (size_t)i));
    }
    snprintf(name + sizeof name - 7, 7, "%06d", COUNT);
    assert_ptr_equal(gguf_find(file, name), gguf_entry_at(file, 1));
    gguf_close(file);
    gguf_writer_free(&w);
}

/* What the file says may change after it was opened: an array keeps its length, and no reader leaves it. */
static void test_strings_survive_a_file_that_changes(void **state)
{
    (void)state;
    static const unsigned char fills[] = {0x00, 0x01, 0x05, 0x7f, 0xff};
    for (size_t i = 0; i < sizeof fills; i++) {
        gguf_writer w;
        mote_error error;
        gguf *file;
        const gguf_array *array;
        gguf_begin(&w, 3);
        gguf_add_texts(&w, "s", 5, (const char *const[]){"a", "bc", "", "def", "ghijklmnop"});
        unsigned char *exact = malloc(w.size);
        memcpy(exact, w.at, w.size);
        assert_int_equal(gguf_open_memory(&file, exact, w.size, "s.gguf", &error), MOTE_OK);
        assert_int_equal(gguf_need_array(file, "s", GGUF_STRINGS, &array, &error), MOTE_OK);
        memset(exact, fills[i], w.size);
        gguf_strings walk = gguf_strings_begin(array);
        size_t strings = 0, bytes = 0;
        for (gguf_string text; gguf_strings_next(&walk, &text); strings++)
            for (size_t j = 0; j < text.length; j++)
                bytes += (unsigned char)text.at[j] == fills[i];
        assert_int_equal(strings, 5);
        assert_true(bytes <= array->bytes);
        gguf_close(file);
        gguf_writer_free(&w);
        free(exact);
    }
}

static bool note_progress(void *user, double done)
{
    double *last = user;
    assert_true(done > *last && done <= 1.0);
    *last = done;
    return true;
}

static bool refuse(void *user, double done)
{
    (void)user;
    (void)done;
    return false;
}

static void test_read_ahead_reports_and_stops(void **state)
{
    (void)state;
    gguf_writer w;
    mote_error error;
    gguf *file;
    char path[] = "/tmp/mote-test-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    gguf_begin(&w, 3);
    gguf_add_tensor(&w, "big", QUANT_F32, 2, (size_t[]){1 << 20, 5}, NULL);
    gguf_finish(&w);
    gguf_save(&w, path);
    assert_int_equal(gguf_open(&file, path, &error), MOTE_OK);
    double done = 0.0;
    assert_int_equal(gguf_read_ahead(file, note_progress, &done, &error), MOTE_OK);
    assert_true(done == 1.0);
    assert_int_equal(gguf_read_ahead(file, NULL, NULL, &error), MOTE_OK);
    assert_int_equal(gguf_read_ahead(file, refuse, NULL, &error), MOTE_E_CANCELLED);
    assert_says(error, path);
    gguf_close(file);
    assert_int_equal(gguf_open_memory(&file, w.at, w.size, "m", &error), MOTE_OK);
    assert_int_equal(gguf_read_ahead(file, refuse, NULL, &error), MOTE_OK); /* memory is there already */
    assert_int_equal(gguf_check(file, &error), MOTE_OK);
    gguf_close(file);
    gguf_writer_free(&w);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_is_read),
        cmocka_unit_test(test_arrays_are_read),
        cmocka_unit_test(test_elements_of_every_type),
        cmocka_unit_test(test_integers_of_any_width_fit_or_are_named),
        cmocka_unit_test(test_floats_bools_and_strings),
        cmocka_unit_test(test_entries_become_text),
        cmocka_unit_test(test_long_text_ends_in_an_ellipsis),
        cmocka_unit_test(test_tensors_are_found_where_they_are),
        cmocka_unit_test(test_unknown_tensor_types_stop_a_run_only),
        cmocka_unit_test(test_sixty_thousand_similar_names),
        cmocka_unit_test(test_strings_survive_a_file_that_changes),
        cmocka_unit_test(test_read_ahead_reports_and_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
