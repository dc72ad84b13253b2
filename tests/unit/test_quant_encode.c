/* Encoders: against gguf-py, then what holds without it: the error is bounded, encoding what was decoded changes
 * nothing, and values that no weight should have do no harm beyond their own block. */
#include "unit/quant_cases.h"

#include <float.h>
#include <math.h>

enum { COUNT = 64 * 32, LARGEST = 4 * COUNT };

static float source[COUNT], back[COUNT];
static uint8_t blocks[LARGEST], again[LARGEST];

static void random_weights(uint32_t seed, float size)
{
    for (size_t i = 0; i < COUNT; i++)
        source[i] = size * (random_float(&seed) + random_float(&seed) + random_float(&seed));
}

static size_t size_of(const quant_format *format, size_t count)
{
    return count / format->block * format->bytes;
}

static void these_formats_have_an_encoder(void **state)
{
    (void)state;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        bool searched = format->type == QUANT_IQ4_NL || format->type == QUANT_MXFP4 || format->type == QUANT_M4 ||
                        format->type == QUANT_M3;
        assert_int_equal(format->encode != NULL, format->block <= 32 && !searched);
    }
}

static void encodes_match_the_oracle(void **state)
{
    (void)state;
    size_t formats = 0;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        if (!quant_cases_exist(format, "encode"))
            continue;
        formats++;
        quant_cases cases = quant_cases_read(format, "encode");
        uint8_t *got = malloc(cases.bytes);
        assert_non_null(got);
        format->encode(cases.values, got, cases.count);
        for (size_t i = 0; i < cases.bytes; i++)
            if (got[i] != cases.blocks[i])
                fail_msg("%s: byte %zu of block %zu is %u, not %u", format->name, i % format->bytes, i / format->bytes,
                         got[i], cases.blocks[i]);
        free(got);
        quant_cases_free(&cases);
    }
    assert_int_equal(formats, 6);
}

/* The largest error a block may have. Half a step, for rounding; in Q4_0 and Q5_0 a whole one, since the side away from
 * the value of largest magnitude has one level less; and what rounding scale and minimum to half precision adds. */
static float largest_error(const quant_format *format, const float *values)
{
    float low = values[0], high = values[0];
    for (size_t i = 1; i < format->block; i++) {
        low = fminf(low, values[i]);
        high = fmaxf(high, values[i]);
    }
    float range = high - low, magnitude = fmaxf(-low, high), half = 0x1.01p-11f; /* and a little for binary32 */
    switch (format->type) {
    case QUANT_F32: return 0;
    case QUANT_F16: return fmaxf(magnitude * 0x1p-11f, 0x1p-25f); /* half a step of the subnormal ones */
    case QUANT_BF16: return magnitude * 0x1p-8f;
    case QUANT_Q8_0: return magnitude / 127 * 0.5f + magnitude * half;
    case QUANT_Q4_0: return magnitude / 8 + magnitude * half;
    case QUANT_Q5_0: return magnitude / 16 + magnitude * half;
    case QUANT_Q4_1: return range / 15 * 0.5f + (range + fabsf(low)) * half;
    case QUANT_Q5_1: return range / 31 * 0.5f + (range + fabsf(low)) * half;
    default: fail_msg("%s has no bound", format->name); return 0;
    }
}

static void error_is_bounded(void **state)
{
    (void)state;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        if (format->encode == NULL)
            continue;
        for (int size = -8; size <= 12; size += 4) {
            random_weights(7 + (uint32_t)f, ldexpf(1, size));
            format->encode(source, blocks, COUNT);
            format->decode(blocks, back, COUNT);
            for (size_t i = 0; i < COUNT; i++) {
                float bound = largest_error(format, source + i / format->block * format->block);
                if (!(fabsf(back[i] - source[i]) <= bound))
                    fail_msg("%s: %g became %g, more than %g away", format->name, (double)source[i], (double)back[i],
                             (double)bound);
            }
        }
    }
}

/* Holds wherever the scale is a normal half: the outermost levels of a block are taken, so they give the scale back. */
static void encoding_again_changes_nothing(void **state)
{
    (void)state;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        if (format->encode == NULL)
            continue;
        for (int size = -6; size <= 12; size += 3) {
            random_weights(77 + (uint32_t)f, ldexpf(1, size));
            format->encode(source, blocks, COUNT);
            format->decode(blocks, back, COUNT);
            format->encode(back, again, COUNT);
            for (size_t i = 0; i < size_of(format, COUNT); i++)
                if (blocks[i] != again[i])
                    fail_msg("%s: byte %zu of block %zu was %u, is %u", format->name, i % format->bytes,
                             i / format->bytes, blocks[i], again[i]);
        }
    }
}

static void halves_survive_a_round_trip(void **state)
{
    (void)state;
    const quant_format *formats[] = {&quant_format_F16, &quant_format_BF16};
    for (size_t f = 0; f < 2; f++)
        for (uint32_t half = 0; half < 0x10000; half++) {
            uint8_t bytes[2], after[2];
            float value;
            store_u16(bytes, (uint16_t)half);
            formats[f]->decode(bytes, &value, 1);
            formats[f]->encode(&value, after, 1);
            if (value == value) {
                assert_memory_equal(bytes, after, 2);
            } else {
                formats[f]->decode(after, &value, 1);
                assert_true(value != value);
            }
        }
}

/* Between two neighbours the nearer one, in the middle the even one. Their middle is exact in binary32. */
static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    static const struct {
        const quant_format *format;
        uint16_t infinity;
    } cases[] = {{&quant_format_F16, 0x7c00}, {&quant_format_BF16, 0x7f80}};
    for (size_t c = 0; c < 2; c++)
        for (uint16_t half = 0; half + 1 < cases[c].infinity; half++) {
            uint8_t pair[4], got[6];
            float neighbours[2];
            store_u16(pair, half);
            store_u16(pair + 2, (uint16_t)(half + 1));
            cases[c].format->decode(pair, neighbours, 2);
            float middle = (neighbours[1] - neighbours[0]) * 0.5f + neighbours[0];
            float near[3] = {nextafterf(middle, 0), -middle, nextafterf(middle, INFINITY)};
            cases[c].format->encode(near, got, 3);
            assert_int_equal(load_u16(got), half);
            assert_int_equal(load_u16(got + 2), 0x8000 | (half + (half & 1)));
            assert_int_equal(load_u16(got + 4), half + 1);
        }
}

static void floats_keep_what_is_no_number(void **state)
{
    (void)state;
    const float odd[] = {INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, 65519, 65520, -0.0f};
    float got[8];
    quant_format_F16.encode(odd, blocks, 8);
    quant_format_F16.decode(blocks, got, 8);
    assert_true(got[0] == INFINITY && got[1] == -INFINITY && got[2] != got[2]);
    assert_true(got[3] == INFINITY && got[4] == -INFINITY);
    assert_true(got[5] == 65504 && got[6] == INFINITY && same_float(got[7], -0.0f));
    quant_format_BF16.encode(odd, blocks, 8);
    quant_format_BF16.decode(blocks, got, 8);
    assert_true(got[0] == INFINITY && got[1] == -INFINITY && got[2] != got[2]);
    assert_true(got[3] == INFINITY && got[4] == -INFINITY);
    quant_format_F32.encode(odd, blocks, 8);
    quant_format_F32.decode(blocks, got, 8);
    for (size_t i = 0; i < 8; i++)
        assert_true(same_float(got[i], odd[i]));
}

/* Block 1 of three holds a value no weight should have, or all of them; blocks 0 and 2 must not notice. */
static void odd_values_spoil_one_block(void **state)
{
    (void)state;
    static const float odd[] = {INFINITY,     -INFINITY,     NAN,  -NAN,  FLT_MAX,  -FLT_MAX, FLT_MIN,
                                FLT_TRUE_MIN, -FLT_TRUE_MIN, 1e6f, -1e9f, 0x1p-25f, 0x1p-24f, 0x1.8p-129f};
    enum { ODD = sizeof odd / sizeof *odd, THREE = 3 * 32 };
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        if (format->encode == NULL)
            continue;
        size_t third = size_of(format, 32);
        for (size_t first = 0; first < ODD; first++)
            for (size_t second = 0; second < ODD; second++) {
                random_weights(5, 1);
                format->encode(source, blocks, THREE);
                source[40] = odd[first];
                source[50] = odd[second];
                format->encode(source, again, THREE);
                assert_memory_equal(blocks, again, third);
                assert_memory_equal(blocks + 2 * third, again + 2 * third, third);
                format->decode(again, back, THREE);
                for (size_t i = 32; i < 64; i++) /* a block of nothing else: all scales, 0 to infinity */
                    source[i] = i % 2 ? odd[first] : odd[second];
                format->encode(source, again, THREE);
                format->decode(again, back, THREE);
                assert_memory_equal(blocks, again, third);
                assert_memory_equal(blocks + 2 * third, again + 2 * third, third);
            }
    }
}

static void zeros_stay_zeros(void **state)
{
    (void)state;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_format *format = quant_at(f);
        if (format->encode == NULL)
            continue;
        for (size_t i = 0; i < 32; i++)
            source[i] = i % 3 ? 0.0f : -0.0f;
        format->encode(source, blocks, 32);
        format->decode(blocks, back, 32);
        for (size_t i = 0; i < 32; i++)
            assert_true(back[i] == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(these_formats_have_an_encoder),
        cmocka_unit_test(encodes_match_the_oracle),
        cmocka_unit_test(error_is_bounded),
        cmocka_unit_test(encoding_again_changes_nothing),
        cmocka_unit_test(halves_survive_a_round_trip),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(floats_keep_what_is_no_number),
        cmocka_unit_test(odd_values_spoil_one_block),
        cmocka_unit_test(zeros_stay_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
