/* Broken GGUF files: truncated, corrupt, hostile. Each must be refused with one sentence that names the file, what is
 * wrong and where, or open and be readable to the last byte. Sanitizers watch for everything else. */
#include <stdio.h>
#include <stdlib.h>

#include "format/gguf.h"

#include "assert_says.h"
#include "gguf_writer.h"

#define NAME "broken.gguf"

/* Where the records of the sample file begin. */
typedef enum place {
    HEADER,
    ARCHITECTURE, /* "general.architecture": string "llama" */
    ALIGNMENT,    /* "general.alignment": u32 64 */
    FLAG,         /* "x.flag": bool */
    COUNT,        /* "x.count": u32 */
    NUMBERS,      /* "x.numbers": 3 × u16 */
    FLAGS,        /* "x.flags": 3 × bool */
    TEXTS,        /* "x.texts": "ab", "", "cde" */
    FLOATS,       /* tensor "floats": F32, 8 × 2 */
    BLOCKS,       /* tensor "blocks": Q8_0, 32 × 3 */
    LAST,         /* tensor "last": F16, 5 */
    PLACES
} place;

typedef struct sample {
    gguf_writer w;
    size_t at[PLACES];
} sample;

static void write_sample(sample *s)
{
    gguf_writer *w = &s->w;
    s->at[HEADER] = 0;
    gguf_begin(w, 3);
    w->alignment = 64;
    s->at[ARCHITECTURE] = gguf_add_text(w, "general.architecture", "llama");
    s->at[ALIGNMENT] = gguf_add_u32(w, "general.alignment", 64);
    s->at[FLAG] = gguf_add_bool(w, "x.flag", true);
    s->at[COUNT] = gguf_add_u32(w, "x.count", 7);
    s->at[NUMBERS] = gguf_add_numbers(w, "x.numbers", GGUF_U16, 3, (const uint16_t[]){1, 2, 3});
    s->at[FLAGS] = gguf_add_numbers(w, "x.flags", GGUF_BOOL, 3, (const uint8_t[]){1, 0, 1});
    s->at[TEXTS] = gguf_add_texts(w, "x.texts", 3, (const char *const[]){"ab", "", "cde"});
    s->at[FLOATS] = gguf_add_tensor(w, "floats", QUANT_F32, 2, (size_t[]){8, 2}, NULL);
    s->at[BLOCKS] = gguf_add_tensor(w, "blocks", QUANT_Q8_0, 2, (size_t[]){32, 3}, NULL);
    s->at[LAST] = gguf_add_tensor(w, "last", QUANT_F16, 1, (size_t[]){5}, NULL);
    gguf_finish(w);
}

/* Opens a copy of exactly this size, so that a sanitizer sees the first byte read past it. */
static mote_status open_exact(const unsigned char *bytes, size_t size, mote_error *error, void (*look)(const gguf *))
{
    unsigned char *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    gguf *file;
    mote_status status = gguf_open_memory(&file, exact, size, NAME, error);
    assert_true((status == MOTE_OK) == (file != NULL));
    if (status == MOTE_OK && look != NULL)
        look(file);
    gguf_close(file);
    free(exact);
    return status;
}

static void check_sentence(mote_status status, const mote_error *error)
{
    assert_int_equal(error->status, status);
    assert_int_equal(strncmp(error->text, NAME ": ", strlen(NAME ": ")), 0);
    assert_true(strlen(error->text) < sizeof error->text - 1);
    for (const char *c = error->text; *c != '\0'; c++)
        assert_true(*c >= 0x20 && *c < 0x7f);
}

/* ----------------------------------------------------------------------------------------- one field, one wrong value */

/* Offsets within records: a key is 8 bytes of length and then itself. */
enum {
    ALIGNMENT_TYPE = 8 + 17,
    ALIGNMENT_VALUE = ALIGNMENT_TYPE + 4,
    FLAG_VALUE = 8 + 6 + 4,
    ARRAY_TYPE_NUMBERS = 8 + 9 + 4,
    ARRAY_COUNT_NUMBERS = ARRAY_TYPE_NUMBERS + 4,
    FLAGS_DATA = 8 + 7 + 4 + 4 + 8,
    TEXTS_COUNT = 8 + 7 + 4 + 4,
    TEXTS_FIRST = TEXTS_COUNT + 8,
    TEXTS_THIRD = TEXTS_FIRST + 8 + 2 + 8,
    DIMENSIONS = 8 + 6, /* of the tensors with a name of six letters */
    SHAPE = DIMENSIONS + 4,
    TYPE = SHAPE + 16, /* with two dimensions */
    OFFSET = TYPE + 4,
    LAST_OFFSET = 8 + 4 + 4 + 8 + 4
};

typedef struct mutation {
    place record;
    size_t delta;
    int width; /* bytes patched */
    uint64_t value;
    mote_status status;
    const char *says[3];
} mutation;

#define BAD         MOTE_E_FORMAT
#define UNSUPPORTED MOTE_E_UNSUPPORTED

/* clang-format off */
static const mutation mutations[] = {
    /* header */
    {HEADER, 0, 4, 0x58585858, BAD, {NAME ": begins with 58 58 58 58, not with GGUF", "no GGUF file"}},
    {HEADER, 0, 4, 0x46554746, BAD, {"begins with 46 47 55 46"}},
    {HEADER, 0, 4, 0x47475546, UNSUPPORTED, {"big-endian"}}, /* "FUGG" */
    {HEADER, 4, 4, 0x03000000, UNSUPPORTED, {"big-endian"}},
    {HEADER, 4, 4, 0x02000000, UNSUPPORTED, {"big-endian"}},
    {HEADER, 4, 4, 0, UNSUPPORTED, {"has version 0", "mote reads 2 and 3"}},
    {HEADER, 4, 4, 1, UNSUPPORTED, {"has version 1"}},
    {HEADER, 4, 4, 4, UNSUPPORTED, {"at byte 4: has version 4"}},
    {HEADER, 8, 8, UINT64_MAX, BAD, {"at byte 8: promises 18446744073709551615 tensors", "only 650 bytes"}},
    {HEADER, 8, 8, 1000, BAD, {"promises 1000 tensors"}},
    {HEADER, 8, 8, 4, BAD, {"tensor 3 at byte 405"}}, /* padding is no tensor */
    {HEADER, 8, 8, 2, MOTE_OK, {NULL}}, /* the third is skipped as padding */
    {HEADER, 16, 8, UINT64_MAX / 14, BAD, {"at byte 16: promises 1317624576693539401 metadata entries"}},
    {HEADER, 16, 8, 200, BAD, {"promises 200 metadata entries"}},
    {HEADER, 16, 8, 8, BAD, {"tensor 0 at byte 297"}}, /* a tensor is no entry */
    {HEADER, 16, 8, 6, BAD, {"tensor x.texts at byte 232: has 9 dimensions"}}, /* nor an entry a tensor */
    /* keys */
    {ARCHITECTURE, 0, 8, 0, BAD, {"metadata entry 0 at byte 24", "name of 0 bytes; 1 to 65535 are possible"}},
    {ARCHITECTURE, 0, 8, 65536, BAD, {"name of 65536 bytes"}},
    {ARCHITECTURE, 0, 8, UINT64_MAX, BAD, {"name of 18446744073709551615 bytes"}},
    {ARCHITECTURE, 0, 8, 60000, BAD, {"metadata entry 0", "needs 60000 more bytes, and the file ends after 618 of them"}},
    {ARCHITECTURE, 8 + 7, 1, 0, BAD, {"at byte 39: has the byte 0x00 in its name", "metadata entry 0"}},
    {ARCHITECTURE, 8, 1, '\n', BAD, {"has the byte 0x0a in its name"}},
    {ARCHITECTURE, 8, 1, 0x80, BAD, {"has the byte 0x80 in its name"}},
    {ARCHITECTURE, 8, 1, 0x7f, BAD, {"has the byte 0x7f in its name"}},
    {COUNT, 8 + 2, 5, 0x2e2e2e2e2e, MOTE_OK, {NULL}}, /* "x....." is a key as good as any */
    /* values */
    {ARCHITECTURE, 28, 4, 13, BAD, {"metadata entry general.architecture at byte 52", "unknown value type 13"}},
    {ARCHITECTURE, 28, 4, UINT32_MAX, BAD, {"unknown value type 4294967295"}},
    {ARCHITECTURE, 32, 8, UINT64_MAX, BAD, {"general.architecture at byte 56", "string of 18446744073709551615 bytes"}},
    {ARCHITECTURE, 32, 8, 815, BAD, {"is a string of 815 bytes, and the file ends 586 bytes further on"}},
    {FLAG, FLAG_VALUE, 1, 2, BAD, {"metadata entry x.flag", "is a bool of value 2; 0 and 1 are possible"}},
    {FLAGS, FLAGS_DATA + 2, 1, 255, BAD, {"metadata entry x.flags", "is a bool of value 255"}},
    {NUMBERS, ARRAY_TYPE_NUMBERS, 4, GGUF_ARRAY, UNSUPPORTED, {"x.numbers", "array of arrays"}},
    {NUMBERS, ARRAY_TYPE_NUMBERS, 4, 13, BAD, {"x.numbers", "array of the unknown type 13"}},
    {NUMBERS, ARRAY_COUNT_NUMBERS, 8, UINT64_MAX, BAD, {"x.numbers", "array of 18446744073709551615 elements"}},
    {NUMBERS, ARRAY_COUNT_NUMBERS, 8, (UINT64_MAX >> 1) + 2, BAD, {"array of 9223372036854775809 elements"}}, /* × 2 wraps */
    {NUMBERS, ARRAY_COUNT_NUMBERS, 8, 400, BAD, {"array of 400 elements", "the file ends 473 bytes further on"}},
    {TEXTS, TEXTS_COUNT, 8, UINT64_MAX / 8 + 2, BAD, {"array of 2305843009213693953 elements"}}, /* × 8 wraps */
    {TEXTS, TEXTS_FIRST, 8, UINT64_MAX, BAD, {"x.texts", "string of 18446744073709551615 bytes"}},
    {TEXTS, TEXTS_THIRD, 8, 1000, BAD, {"x.texts", "string of 1000 bytes"}},
    /* alignment */
    {ALIGNMENT, ALIGNMENT_VALUE, 4, 0, BAD, {"general.alignment is 0 (u32), and must be an integer from 8 to 65536"}},
    {ALIGNMENT, ALIGNMENT_VALUE, 4, 4, BAD, {"general.alignment is 4"}},
    {ALIGNMENT, ALIGNMENT_VALUE, 4, 96, BAD, {"general.alignment is 96, which is no power of two"}},
    {ALIGNMENT, ALIGNMENT_VALUE, 4, 131072, BAD, {"general.alignment is 131072"}},
    {ALIGNMENT, ALIGNMENT_VALUE, 4, 65536, BAD, {"no multiple of 65536, the alignment"}},
    {ALIGNMENT, ALIGNMENT_TYPE, 4, GGUF_F32, BAD, {"general.alignment is 8.96831e-44 (f32)"}},
    /* tensors */
    {FLOATS, 0, 8, 0, BAD, {"tensor 0 at byte 277", "name of 0 bytes; 1 to 255 are possible"}},
    {FLOATS, 0, 8, 256, BAD, {"name of 256 bytes"}},
    {FLOATS, 8, 1, 0, BAD, {"tensor 0", "byte 0x00 in its name"}},
    {FLOATS, DIMENSIONS, 4, 0, BAD, {"tensor floats at byte 291", "has 0 dimensions; 1 to 4 are possible"}},
    {FLOATS, DIMENSIONS, 4, 5, BAD, {"has 5 dimensions"}},
    {FLOATS, DIMENSIONS, 4, UINT32_MAX, BAD, {"has 4294967295 dimensions"}},
    {FLOATS, SHAPE, 8, 0, BAD, {"tensor floats", "dimension 0 is 0"}},
    {FLOATS, SHAPE + 8, 8, 0, BAD, {"dimension 1 is 0"}},
    {FLOATS, SHAPE + 8, 8, UINT64_MAX, BAD, {"more elements than can be counted", "dimension 1 is 18446744073709551615"}},
    {FLOATS, SHAPE + 8, 8, UINT64_C(1) << 61, BAD, {"more elements than can be counted"}}, /* 8 × 2^61 wraps to 0 */
#if SIZE_MAX > UINT32_MAX
    {FLOATS, SHAPE + 8, 8, UINT64_C(1) << 60, BAD, {"more bytes than can be counted", "values of F32"}}, /* × 4 wraps to 0 */
    {FLOATS, SHAPE + 8, 8, UINT64_C(1) << 40, BAD, {"tensor floats", "bytes are missing"}},
#endif
    {BLOCKS, SHAPE, 8, 31, BAD, {"tensor blocks", "rows of 31 values, which are no whole blocks of 32 (Q8_0)"}},
    {BLOCKS, TYPE, 4, QUANT_Q4_K, BAD, {"no whole blocks of 256 (Q4_K)"}},
    {BLOCKS, TYPE, 4, QUANT_F32, BAD, {"tensor blocks at byte 512: ends at byte 896, but the file at 650: 246 bytes"}},
    {BLOCKS, TYPE, 4, 9999, MOTE_OK, {NULL}},
    {FLOATS, OFFSET, 8, 1, BAD, {"tensor floats", "has its data at 1, which is no multiple of 64"}},
    {FLOATS, OFFSET, 8, 64, BAD, {"overlaps the tensor"}},
    {FLOATS, OFFSET, 8, 192, BAD, {"tensor floats at byte 640: ends at byte 704", "54 bytes are missing"}},
    {FLOATS, OFFSET, 8, UINT64_MAX - 63, BAD, {"tensor floats", "where no file reaches"}},
    {FLOATS, OFFSET, 8, UINT64_C(1) << 62, BAD, {"tensor floats"}},
    {LAST, LAST_OFFSET, 8, 256, BAD, {"tensor last at byte 704", "64 bytes are missing"}},
    {LAST, LAST_OFFSET, 8, 0, BAD, {"overlaps the tensor"}},
    {LAST, LAST_OFFSET, 8, 128, BAD, {"tensor last at byte 576: overlaps the tensor blocks"}},
};
/* clang-format on */

static void test_one_wrong_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mutations / sizeof *mutations; i++) {
        const mutation *m = &mutations[i];
        sample s;
        mote_error error = {0};
        write_sample(&s);
        assert_int_equal(open_exact(s.w.at, s.w.size, &error, NULL), MOTE_OK);
        gguf_patch(&s.w, s.at[m->record] + m->delta, &m->value, (size_t)m->width);
        mote_status status = open_exact(s.w.at, s.w.size, &error, NULL);
        if (status != m->status)
            fail_msg("mutation %zu: %s, not %s: %s", i, mote_status_name(status), mote_status_name(m->status),
                     error.text);
        if (status != MOTE_OK)
            check_sentence(status, &error);
        for (size_t j = 0; j < 3 && m->says[j] != NULL; j++)
            assert_says(error, m->says[j]);
        gguf_writer_free(&s.w);
    }
}

static void test_names_twice(void **state)
{
    (void)state;
    gguf_writer w;
    mote_error error;
    gguf_begin(&w, 3);
    gguf_add_u8(&w, "x.one", 1);
    gguf_add_u8(&w, "x.two", 1);
    gguf_add_u8(&w, "x.one", 1);
    assert_int_equal(open_exact(w.at, w.size, &error, NULL), MOTE_E_FORMAT);
    assert_says(error, NAME ": has the metadata key x.one twice");
    gguf_writer_free(&w);

    gguf_begin(&w, 3);
    gguf_add_tensor(&w, "t", QUANT_F32, 1, (size_t[]){8}, NULL);
    gguf_add_tensor(&w, "t", QUANT_F32, 1, (size_t[]){8}, NULL);
    gguf_finish(&w);
    assert_int_equal(open_exact(w.at, w.size, &error, NULL), MOTE_E_FORMAT);
    assert_says(error, NAME ": has the tensor t twice, at byte 96 and at byte 128;");
    gguf_writer_free(&w);
}

/* Sound numbers that are more than mote takes. */
static void test_counts_have_a_limit(void **state)
{
    (void)state;
    static const size_t counts[2][2] = {{GGUF_MOST_TENSORS + 1, 0}, {0, GGUF_MOST_ENTRIES + 1}};
    static unsigned char file[24 + 33 * (GGUF_MOST_TENSORS + 1)];
    for (size_t i = 0; i < 2; i++) {
        mote_error error;
        uint64_t tensors = counts[i][0], entries = counts[i][1];
        memcpy(file, "GGUF\3\0\0", 8);
        memcpy(file + 8, &tensors, 8);
        memcpy(file + 16, &entries, 8);
        assert_int_equal(open_exact(file, sizeof file, &error, NULL), MOTE_E_LIMIT);
        assert_says(error, i == 0 ? "promises 65537 tensors; mote reads up to 65536"
                                  : "promises 65537 metadata entries; mote reads up to 65536");
    }
}

static void test_long_names_leave_room_for_the_reason(void **state)
{
    (void)state;
    gguf_writer w;
    mote_error error;
    gguf *file;
    char key[2001], path[4001];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    gguf_begin(&w, 3);
    size_t at = gguf_add_bool(&w, key, true);
    w.at[at + 8 + 2000 + 4] = 9;
    assert_int_equal(gguf_open_memory(&file, w.at, w.size, path, &error), MOTE_E_FORMAT);
    assert_says(error, "kkk at byte 2036: is a bool of value 9; 0 and 1 are possible; the file is damaged");
    w.at[at + 8 + 2000 + 4] = 1;
    assert_int_equal(gguf_open_memory(&file, w.at, w.size, path, &error), MOTE_OK);
    uint32_t value;
    assert_int_equal(gguf_get_u32(file, key, 0, 1, &value, &error), MOTE_E_FORMAT);
    assert_says(error, "kkk is true (bool), and must be an integer from 0 to 1; fetch");
    gguf_close(file);
    gguf_writer_free(&w);
}

static void test_a_part_in_memory_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint16_t number, count;
        mote_status status;
        const char *says;
    } cases[] = {
        {0, 0, MOTE_OK, NULL},
        {0, 1, MOTE_OK, NULL},
        {1, 3, MOTE_E_UNSUPPORTED, "is part 2 of 3; open a split model by its path"},
        {3, 3, MOTE_E_FORMAT, "split.no is 3 (u16), and must be an integer from 0 to 2"},
        {0, 60000, MOTE_E_LIMIT, "is one of 60000 parts by split.count; mote opens up to 512"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_writer w;
        mote_error error;
        gguf_begin(&w, 3);
        gguf_add_u16(&w, "split.no", cases[i].number);
        gguf_add_u16(&w, "split.count", cases[i].count);
        gguf_add_i32(&w, "split.tensors.count", 0);
        assert_int_equal(open_exact(w.at, w.size, &error, NULL), cases[i].status);
        if (cases[i].says != NULL)
            assert_says(error, cases[i].says);
        gguf_writer_free(&w);
    }
}

/* ------------------------------------------------------------------------------------------- every length, every byte */

static volatile float sink;

static void read_everything(const gguf *file)
{
    float values[256];
    char text[100];
    size_t bytes = 0;
    for (size_t i = 0; i < gguf_entry_count(file); i++) {
        const gguf_entry *entry = gguf_entry_at(file, i);
        gguf_entry_text(entry, text, sizeof text);
        if (entry->type != GGUF_ARRAY)
            continue;
        gguf_strings walk = gguf_strings_begin(&entry->value.array);
        for (gguf_string string; gguf_strings_next(&walk, &string);)
            for (size_t j = 0; j < string.length; j++)
                bytes += (unsigned char)string.at[j];
    }
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        for (size_t j = 0; j < tensor->bytes; j++)
            bytes += ((const unsigned char *)tensor->data)[j];
        if (tensor->format != NULL)
            tensor->format->decode(tensor->data, values, tensor->format->block);
    }
    sink = values[0] + (float)bytes;
}

static void test_every_truncation(void **state)
{
    (void)state;
    sample s;
    mote_error error;
    write_sample(&s);
    for (size_t size = 0; size < s.w.size; size++) {
        mote_status status = open_exact(s.w.at, size, &error, read_everything);
        assert_int_equal(status, MOTE_E_FORMAT);
        check_sentence(status, &error);
    }
    assert_int_equal(open_exact(s.w.at, s.w.size - 3, &error, NULL), MOTE_E_FORMAT);
    assert_says(error, "tensor last at byte 640: ends at byte 650, but the file at 647: 3 bytes are missing");
    assert_int_equal(open_exact(s.w.at, s.w.size, &error, read_everything), MOTE_OK);
    gguf_writer_free(&s.w);
}

static void test_every_byte_changed(void **state)
{
    (void)state;
    static const unsigned char values[] = {0, 1, 2, 9, 0x20, 0x7f, 0x80, 0xfe, 0xff};
    sample s;
    write_sample(&s);
    for (size_t i = 0; i < s.w.size; i++) {
        unsigned char before = s.w.at[i];
        for (size_t j = 0; j < sizeof values + 8; j++) {
            mote_error error = {0};
            s.w.at[i] = j < sizeof values ? values[j] : (unsigned char)(before ^ (1u << (j - sizeof values)));
            mote_status status = open_exact(s.w.at, s.w.size, &error, read_everything);
            if (status != MOTE_OK)
                check_sentence(status, &error);
        }
        s.w.at[i] = before;
    }
    gguf_writer_free(&s.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_wrong_value),
        cmocka_unit_test(test_names_twice),
        cmocka_unit_test(test_counts_have_a_limit),
        cmocka_unit_test(test_long_names_leave_room_for_the_reason),
        cmocka_unit_test(test_a_part_in_memory_is_refused),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_byte_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
