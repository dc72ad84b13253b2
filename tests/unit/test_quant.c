/* Weight formats: the table of types, and every decode against gguf-py, bit for bit. */
#include "unit/quant_cases.h"

#include <math.h>

#include "quant/blocks.h"
#include "quant/iq3_grids.h"

static void expect_values(const quant_format *format, const float *got, const float *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!same_float(got[i], want[i]))
            fail_msg("%s: value %zu is %a, not %a", format->name, i, (double)got[i], (double)want[i]);
}

/* ------------------------------------------------------------------------------------------------------------- table */

static void find_knows_each_type_once(void **state)
{
    (void)state;
    size_t found = 0;
    for (uint32_t type = 0; type <= 0xffff; type++) {
        const quant_format *format = quant_find(type);
        if (format == NULL)
            continue;
        assert_int_equal(format->type, type);
        assert_string_equal(format->name, quant_type_name(type));
        assert_true(format->block > 0 && format->bytes > 0);
        assert_non_null(format->decode);
        assert_ptr_equal(format, quant_at(found));
        found++;
    }
    assert_int_equal(found, quant_count());
    assert_null(quant_at(quant_count()));
    assert_null(quant_at(SIZE_MAX));
}

static void names_and_sizes_are_those_of_gguf(void **state)
{
    (void)state;
    static const struct {
        uint32_t type, block, bytes;
        const char *name;
    } expected[] = {
        {0, 1, 4, "F32"},         {1, 1, 2, "F16"},       {2, 32, 18, "Q4_0"},     {3, 32, 20, "Q4_1"},
        {6, 32, 22, "Q5_0"},      {7, 32, 24, "Q5_1"},    {8, 32, 34, "Q8_0"},     {10, 256, 84, "Q2_K"},
        {11, 256, 110, "Q3_K"},   {12, 256, 144, "Q4_K"}, {13, 256, 176, "Q5_K"},  {14, 256, 210, "Q6_K"},
        {18, 256, 98, "IQ3_XXS"}, {20, 32, 18, "IQ4_NL"}, {21, 256, 110, "IQ3_S"}, {23, 256, 136, "IQ4_XS"},
        {30, 1, 2, "BF16"},       {34, 256, 54, "TQ1_0"}, {35, 256, 66, "TQ2_0"},  {39, 32, 17, "MXFP4"},
        {0x4d33, 32, 13, "M3"},   {0x4d34, 32, 17, "M4"},
    };
    assert_int_equal(quant_count(), sizeof expected / sizeof *expected);
    for (size_t i = 0; i < quant_count(); i++) {
        const quant_format *format = quant_at(i);
        assert_int_equal(format->type, expected[i].type);
        assert_int_equal(format->block, expected[i].block);
        assert_int_equal(format->bytes, expected[i].bytes);
        assert_string_equal(format->name, expected[i].name);
    }
}

static void other_types_have_a_name_and_no_format(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        const char *name;
    } known[] = {{4, "Q4_2"},      {9, "Q8_1"},        {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {19, "IQ1_S"},
                 {22, "IQ2_S"},    {24, "I8"},         {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},  {31, "Q4_0_4_4"},
                 {33, "Q4_0_8_8"}, {38, "IQ4_NL_8_8"}, {40, "NVFP4"}, {41, "Q1_0"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_null(quant_find(known[i].type));
        assert_string_equal(quant_type_name(known[i].type), known[i].name);
    }
    static const uint32_t unknown[] = {42, 64, 99, 0x4d32, 0x4d35, 0x10000, 0x80000000u, 0xffffffffu};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_null(quant_find(unknown[i]));
        assert_null(quant_type_name(unknown[i]));
    }
}

/* ------------------------------------------------------------------------------------------------------------ decode */

/* All products of a decode are exact in binary32 (see formats.h), so there is one right result and no tolerance. */
static void decodes_match_the_oracle(void **state)
{
    (void)state;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        quant_cases cases = quant_cases_read(format, "decode");
        float *values = malloc(cases.count * sizeof *values);
        assert_non_null(values);
        format->decode(cases.blocks, values, cases.count);
        expect_values(format, values, cases.values, cases.count);
        free(values);
        quant_cases_free(&cases);
    }
}

/* Blocks end where their memory ends, so that a sanitizer sees a read too far, and start at every address modulo 8. */
static void blocks_lie_at_any_address(void **state)
{
    (void)state;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        quant_cases cases = quant_cases_read(format, "decode");
        float *values = malloc(cases.count * sizeof *values);
        assert_non_null(values);
        for (size_t offset = 1; offset < 8; offset++) {
            uint8_t *moved = malloc(offset + cases.bytes);
            assert_non_null(moved);
            memcpy(moved + offset, cases.blocks, cases.bytes);
            format->decode(moved + offset, values, cases.count);
            expect_values(format, values, cases.values, cases.count);
            free(moved);
        }
        free(values);
        quant_cases_free(&cases);
    }
}

static void decode_writes_count_values(void **state)
{
    (void)state;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        quant_cases cases = quant_cases_read(format, "decode");
        float values[3 * 256];
        for (size_t blocks = 0; blocks <= 2; blocks++) {
            size_t count = blocks * format->block;
            for (size_t i = 0; i < 3 * 256; i++)
                values[i] = 12345;
            format->decode(cases.blocks, values, count);
            expect_values(format, values, cases.values, count);
            for (size_t i = count; i < 3 * 256; i++)
                assert_true(values[i] == 12345);
        }
        quant_cases_free(&cases);
    }
}

static void nothing_is_decoded_from_nowhere(void **state)
{
    (void)state;
    for (size_t f = 0; f < quant_count(); f++) {
        quant_at(f)->decode(NULL, NULL, 0);
        if (quant_at(f)->encode != NULL)
            quant_at(f)->encode(NULL, NULL, 0);
    }
}

/* Whatever a file holds: run under the sanitizers, this finds a table index or a shift out of range. */
static void any_bytes_decode(void **state)
{
    (void)state;
    enum { BLOCKS = 64, LARGEST = 256 };
    uint8_t *blocks = malloc(BLOCKS * LARGEST);
    float *values = malloc(BLOCKS * LARGEST * sizeof *values);
    assert_non_null(blocks);
    assert_non_null(values);
    uint32_t seed = 1;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        assert_true(format->bytes <= LARGEST && format->block <= LARGEST);
        memset(blocks, 0xff, BLOCKS * LARGEST);
        format->decode(blocks, values, format->block);
        memset(blocks, 0, BLOCKS * LARGEST);
        format->decode(blocks, values, format->block);
        for (size_t i = 0; i < format->block; i++)
            assert_true(values[i] == 0);
        for (size_t round = 0; round < 16; round++) {
            for (size_t i = 0; i < BLOCKS * LARGEST; i++)
                blocks[i] = (uint8_t)(random_u32(&seed) >> 24);
            format->decode(blocks, values, BLOCKS * (size_t)format->block);
        }
    }
    free(values);
    free(blocks);
}

/* ------------------------------------------------------------------------------------------- definitions, not samples */

static void every_half_is_the_number_it_stands_for(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x10000; half++) {
        uint8_t bytes[2] = {(uint8_t)half, (uint8_t)(half >> 8)};
        int exponent = half >> 10 & 31, mantissa = half & 1023;
        float want = exponent == 0   ? ldexpf((float)mantissa, -24)
                     : exponent < 31 ? ldexpf((float)(1024 + mantissa), exponent - 25)
                     : mantissa == 0 ? INFINITY
                                     : NAN;
        float value;
        quant_format_F16.decode(bytes, &value, 1);
        assert_true(same_float(value, half & 0x8000 ? -want : want));
    }
}

static void every_byte_of_ternaries_has_its_digits(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 243; number++) {
        block_tq1_0 block = {.scale = {0, 0x3c}}; /* 1.0 */
        block.fives[7] = (uint8_t)((number * 256 + 242) / 243);
        float values[256];
        quant_format_TQ1_0.decode(&block, values, 256);
        unsigned weight = 81;
        for (size_t n = 0; n < 5; n++, weight /= 3)
            assert_true(values[32 * n + 7] == (float)(number / weight % 3) - 1);
    }
}

static void grids_ascend(void **state)
{
    (void)state;
    for (size_t i = 1; i < 256; i++)
        assert_true(quant_iq3_xxs_grid[i - 1] < quant_iq3_xxs_grid[i]);
    for (size_t i = 1; i < 512; i++)
        assert_true(quant_iq3_s_grid[i - 1] < quant_iq3_s_grid[i]);
}

static void signs_of_iq3_are_even(void **state)
{
    (void)state;
    for (uint32_t seven = 0; seven < 128; seven++) {
        uint8_t signs = quant_even_signs(seven | 0xffffff80u);
        assert_int_equal(signs & 0x7f, seven);
        assert_int_equal(__builtin_popcount(signs) % 2, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(find_knows_each_type_once),
        cmocka_unit_test(names_and_sizes_are_those_of_gguf),
        cmocka_unit_test(other_types_have_a_name_and_no_format),
        cmocka_unit_test(decodes_match_the_oracle),
        cmocka_unit_test(blocks_lie_at_any_address),
        cmocka_unit_test(decode_writes_count_values),
        cmocka_unit_test(nothing_is_decoded_from_nowhere),
        cmocka_unit_test(any_bytes_decode),
        cmocka_unit_test(every_half_is_the_number_it_stands_for),
        cmocka_unit_test(every_byte_of_ternaries_has_its_digits),
        cmocka_unit_test(grids_ascend),
        cmocka_unit_test(signs_of_iq3_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
