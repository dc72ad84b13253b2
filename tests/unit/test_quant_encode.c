/* Encoders: never worse than gguf-py's, as good as theory says for normal values, better where importance says so, and
 * values that no weight should have do no harm beyond their own block. */
#include "unit/quant_cases.h"

#include <float.h>
#include <math.h>

#include "quant/encoder.h"

enum { COUNT = 64 * 256, LARGEST = 4 * COUNT, BLOCK_MOST = 256 };

static float source[COUNT], back[COUNT], weights[COUNT];
static uint8_t blocks[LARGEST], again[LARGEST];

static const quant_type blocked[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1, QUANT_Q8_0,   QUANT_Q2_K,
                                     QUANT_Q3_K, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K, QUANT_IQ4_NL, QUANT_IQ4_XS};
enum { BLOCKED = sizeof blocked / sizeof *blocked };

/* About normal, deviation `size`. */
static void random_weights(uint32_t seed, float size)
{
    for (size_t i = 0; i < COUNT; i++) {
        source[i] = 0;
        for (int k = 0; k < 6; k++)
            source[i] += size * 0.7071f * random_float(&seed);
    }
}

static size_t size_of(const quant_format *format, size_t count)
{
    return count / format->block * format->bytes;
}

static double error_of(const quant_format *format, const void *encoded, const float *values, const float *importance,
                       size_t count)
{
    double sum = 0;
    float *decoded = malloc(count * sizeof *decoded);
    assert_non_null(decoded);
    format->decode(encoded, decoded, count);
    for (size_t i = 0; i < count; i++) {
        double missing = (double)values[i] - (double)decoded[i];
        sum += missing * missing * (importance != NULL ? (double)importance[i] : 1);
    }
    free(decoded);
    return sum;
}

static double encoding_error(const quant_format *format, const float *importance, const float *counted)
{
    quant_encoder_of(format->type)(source, importance, blocks, COUNT);
    return error_of(format, blocks, source, counted, COUNT);
}

static void these_formats_have_an_encoder(void **state)
{
    (void)state;
    size_t found = 0;
    for (size_t f = 0; f < quant_count(); f++)
        found += quant_encoder_of(quant_at(f)->type) != NULL;
    assert_int_equal(found, BLOCKED + 3 + 2); /* the float formats; M4 and M3 have tests of their own */
    for (size_t f = 0; f < BLOCKED; f++)
        assert_non_null(quant_encoder_of(blocked[f]));
    assert_null(quant_encoder_of(QUANT_MXFP4));
    assert_null(quant_encoder_of((quant_type)999));
}

/* The oracle's blocks are those of a plain encoder: largest value to the outermost level. Floats are the same to the bit. */
static void no_worse_than_the_oracle(void **state)
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
        quant_encoder_of(format->type)(cases.values, NULL, got, cases.count);
        for (size_t b = 0; b < cases.count / format->block; b++) {
            const float *values = cases.values + b * format->block;
            double ours = error_of(format, got + b * format->bytes, values, NULL, format->block);
            double theirs = error_of(format, cases.blocks + b * format->bytes, values, NULL, format->block);
            double energy = 0; /* of which a scale's rounding to half may lose a millionth */
            for (size_t i = 0; i < format->block; i++)
                energy += (double)values[i] * (double)values[i];
            if (format->block == 1)
                assert_memory_equal(got + b * format->bytes, cases.blocks + b * format->bytes, format->bytes);
            else if (ours > theirs * 1.001 + 1e-6 * energy && isfinite(theirs))
                fail_msg("%s: block %zu has error %g, the oracle's %g", format->name, b, ours, theirs);
        }
        free(got);
        quant_cases_free(&cases);
    }
    assert_int_equal(formats, 6);
}

/* Share of the energy of normal values that is lost. A uniform quantiser of B bits that spans ±3 deviations, about what 32
 * values need, loses 3 / 4^B; scales of groups are not free, and small groups span less. */
static void error_is_near_theory(void **state)
{
    (void)state;
    static const double bits[BLOCKED] = {4, 4, 5, 5, 8, 2, 3, 4, 5, 6, 4, 4};
    double energy = 0;
    random_weights(3, 0.02f);
    for (size_t i = 0; i < COUNT; i++)
        energy += (double)source[i] * (double)source[i];
    for (size_t f = 0; f < BLOCKED; f++) {
        double lost = encoding_error(quant_find(blocked[f]), NULL, NULL) / energy;
        double theory = 3 / pow(4, bits[f]);
        if (!(lost < theory && lost > theory / 4))
            fail_msg("%s loses %.3e, of a theoretical %.3e", quant_type_name(blocked[f]), lost, theory);
    }
}

/* Where the importance of columns differs, an encoder that knows it loses less of what counts. */
static void importance_pays(void **state)
{
    (void)state;
    uint32_t seed = 9;
    random_weights(4, 1);
    for (size_t i = 0; i < COUNT; i++)
        weights[i] = expf(3 * random_float(&seed));
    for (size_t f = 0; f < BLOCKED; f++) {
        const quant_format *format = quant_find(blocked[f]);
        double blind = encoding_error(format, NULL, weights), knowing = encoding_error(format, weights, weights);
        if (!(knowing < 0.97 * blind))
            fail_msg("%s: %g with importance, %g without", format->name, knowing, blind);
    }
}

/* Importances without meaning count as 0, and if none counts, all count alike. */
static void odd_importance_is_nothing(void **state)
{
    (void)state;
    static const float odd[] = {0, -1, NAN, INFINITY, -INFINITY};
    random_weights(6, 1);
    for (size_t f = 0; f < BLOCKED; f++) {
        const quant_format *format = quant_find(blocked[f]);
        quant_encoder_of(blocked[f])(source, NULL, blocks, COUNT);
        for (size_t o = 0; o < sizeof odd / sizeof *odd; o++) {
            for (size_t i = 0; i < COUNT; i++)
                weights[i] = odd[o];
            quant_encoder_of(blocked[f])(source, weights, again, COUNT);
            assert_memory_equal(blocks, again, size_of(format, COUNT));
        }
    }
}

/* The size of values and of importances is no part of the problem. */
static void powers_of_two_change_nothing(void **state)
{
    (void)state;
    for (size_t f = 0; f < BLOCKED; f++) {
        const quant_format *format = quant_find(blocked[f]);
        random_weights(8, 0.02f);
        double first = encoding_error(format, NULL, NULL);
        for (size_t i = 0; i < COUNT; i++) {
            source[i] *= 1024;
            weights[i] = 0x1p-90f;
        }
        double second = encoding_error(format, weights, NULL);
        assert_true(fabs(second / 0x1p20 - first) < 0.02 * first);
    }
}

/* What a block can say exactly is said exactly, or to the precision of a half. */
static void simple_blocks_are_exact(void **state)
{
    (void)state;
    for (size_t f = 0; f < BLOCKED; f++) {
        const quant_format *format = quant_find(blocked[f]);
        static const float constants[] = {0, -0.0f, 1, -1, 0.125f, 3000, -0.3f};
        for (size_t c = 0; c < sizeof constants / sizeof *constants; c++) {
            for (size_t i = 0; i < BLOCK_MOST; i++)
                source[i] = constants[c];
            quant_encoder_of(blocked[f])(source, NULL, blocks, BLOCK_MOST);
            format->decode(blocks, back, BLOCK_MOST);
            for (size_t i = 0; i < BLOCK_MOST; i++)
                if (!(fabsf(back[i] - source[i]) <= 0.002f * fabsf(source[i])))
                    fail_msg("%s: %g became %g", format->name, (double)source[i], (double)back[i]);
        }
        for (size_t outlier = 0; outlier < BLOCK_MOST; outlier += 37) {
            memset(source, 0, sizeof source);
            source[outlier] = -7;
            quant_encoder_of(blocked[f])(source, NULL, blocks, BLOCK_MOST);
            format->decode(blocks, back, BLOCK_MOST);
            assert_true(fabsf(back[outlier] + 7) < 0.03f);
            for (size_t i = 0; i < BLOCK_MOST; i++)
                assert_true(i == outlier || fabsf(back[i]) < 0.07f);
        }
    }
}

/* A value that counts for nothing does not spoil those beside it, however large. */
static void what_does_not_count_is_clipped(void **state)
{
    (void)state;
    for (size_t f = 0; f < BLOCKED; f++) {
        const quant_format *format = quant_find(blocked[f]);
        random_weights(10, 1);
        for (size_t i = 0; i < COUNT; i++)
            weights[i] = i % 16 != 5;
        double before = encoding_error(format, weights, weights);
        for (size_t i = 5; i < COUNT; i += 16)
            source[i] = 1000;
        assert_true(encoding_error(format, weights, weights) < 1.05 * before);
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
            quant_encoder_of(formats[f]->type)(&value, NULL, after, 1);
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
            quant_encoder_of(cases[c].format->type)(near, NULL, got, 3);
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
    quant_encoder_of(QUANT_F16)(odd, NULL, blocks, 8);
    quant_format_F16.decode(blocks, got, 8);
    assert_true(got[0] == INFINITY && got[1] == -INFINITY && got[2] != got[2]);
    assert_true(got[3] == INFINITY && got[4] == -INFINITY);
    assert_true(got[5] == 65504 && got[6] == INFINITY && same_float(got[7], -0.0f));
    quant_encoder_of(QUANT_BF16)(odd, NULL, blocks, 8);
    quant_format_BF16.decode(blocks, got, 8);
    assert_true(got[0] == INFINITY && got[1] == -INFINITY && got[2] != got[2]);
    assert_true(got[3] == INFINITY && got[4] == -INFINITY);
    quant_encoder_of(QUANT_F32)(odd, NULL, blocks, 8);
    quant_format_F32.decode(blocks, got, 8);
    for (size_t i = 0; i < 8; i++)
        assert_true(same_float(got[i], odd[i]));
}

/* The second block of three holds a value no weight should have, or nothing else; the others must not notice, and what
 * comes out is finite. */
static void odd_values_spoil_one_block(void **state)
{
    (void)state;
    static const float odd[] = {INFINITY,     -INFINITY,     NAN,  -NAN,  FLT_MAX,  -FLT_MAX, FLT_MIN,
                                FLT_TRUE_MIN, -FLT_TRUE_MIN, 1e6f, -1e9f, 0x1p-25f, 0x1p-24f, 0x1.8p-129f};
    enum { ODD = sizeof odd / sizeof *odd, THREE = 3 * BLOCK_MOST };
    for (size_t f = 0; f < BLOCKED; f++) {
        const quant_format *format = quant_find(blocked[f]);
        quant_encoder encode = quant_encoder_of(blocked[f]);
        size_t third = size_of(format, BLOCK_MOST);
        random_weights(5, 1);
        encode(source, NULL, blocks, THREE);
        for (size_t first = 0; first < ODD; first++)
            for (size_t filled = 0; filled < 2; filled++) {
                random_weights(5, 1);
                for (size_t i = BLOCK_MOST + 40; i < 2 * BLOCK_MOST; i += filled ? 1 : BLOCK_MOST)
                    source[i] = odd[i % 2 ? first : (first + 3) % ODD];
                encode(source, NULL, again, THREE);
                assert_memory_equal(blocks, again, third);
                assert_memory_equal(blocks + 2 * third, again + 2 * third, third);
                format->decode(again, back, THREE);
                for (size_t i = 0; i < THREE; i++)
                    assert_true(isfinite(back[i]));
            }
    }
}

/* Blocks may lie at any address, and blocks are encoded each for itself. */
static void blocks_stand_alone(void **state)
{
    (void)state;
    random_weights(12, 1);
    for (size_t f = 0; f < BLOCKED; f++) {
        const quant_format *format = quant_find(blocked[f]);
        quant_encoder_of(blocked[f])(source, NULL, blocks, 4 * BLOCK_MOST);
        for (size_t b = 0; b < 4 * BLOCK_MOST / format->block; b++) {
            quant_encoder_of(blocked[f])(source + b * format->block, NULL, again + 1, format->block);
            assert_memory_equal(blocks + b * format->bytes, again + 1, format->bytes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(these_formats_have_an_encoder), cmocka_unit_test(no_worse_than_the_oracle),
        cmocka_unit_test(error_is_near_theory),          cmocka_unit_test(importance_pays),
        cmocka_unit_test(odd_importance_is_nothing),     cmocka_unit_test(powers_of_two_change_nothing),
        cmocka_unit_test(simple_blocks_are_exact),       cmocka_unit_test(what_does_not_count_is_clipped),
        cmocka_unit_test(odd_values_spoil_one_block),    cmocka_unit_test(blocks_stand_alone),
        cmocka_unit_test(halves_survive_a_round_trip),   cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(floats_keep_what_is_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
