/* The encoders of M4 and M3: they find the best scale, count errors as they are told to, and are not harmed by values that
 * no weight should have. What the formats mean is held against an oracle in test_quant.c. */
#include "unit/quant_cases.h"

#include <math.h>

#include "quant/blocks.h"
#include "quant/mote_quants.h"

enum { BLOCKS = 256, COUNT = BLOCKS * 32 };

typedef struct encoder {
    const quant_format *format;
    void (*encode)(const float *values, const float *importance, void *blocks, size_t count);
    double loss; /* the mean square that a normal value of deviation 1 may be off by */
} encoder;

static const encoder encoders[] = {
    {&quant_format_M4, quant_encode_m4, 0.0060},
    {&quant_format_M3, quant_encode_m3, 0.0245},
};

#define FOR_EACH_ENCODER(e) for (const encoder *e = encoders; e < encoders + sizeof encoders / sizeof *encoders; e++)

static float source[COUNT], back[COUNT], importance[COUNT];
static uint8_t blocks[COUNT], again[COUNT];

/* Normal, by Box and Muller 1958. */
static void normal_weights(uint32_t seed, float deviation)
{
    for (size_t i = 0; i < COUNT; i++) {
        double u = ((double)random_u32(&seed) + 1) * 0x1p-32, v = (double)random_u32(&seed) * 0x1p-32;
        source[i] = deviation * (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
    }
}

static double squares(const float *a, const float *b, const float *weight, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double off = (double)a[i] - (b == NULL ? 0 : (double)b[i]);
        sum += (weight == NULL ? 1 : (double)weight[i]) * off * off;
    }
    return sum;
}

static void scales_are_found_again(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 128; n++) {
        float scale = quant_m_scale((uint8_t)n);
        assert_int_equal(quant_m_scale_below(scale), n);
        assert_true(quant_m_scale((uint8_t)(n | 128)) == -scale);
        if (n < 127)
            assert_int_equal(quant_m_scale_below(nextafterf(quant_m_scale((uint8_t)(n + 1)), 0)), n);
        if (n >= 8 && n < 96)
            assert_true(quant_m_scale((uint8_t)(n + 1)) <= 1.125f * scale);
    }
    assert_int_equal(quant_m_scale_below(1e30f), 127);
    assert_int_equal(quant_m_scale_below(INFINITY), 127);
}

static void normal_weights_lose_little(void **state)
{
    (void)state;
    FOR_EACH_ENCODER(e)
    for (int size = -10; size <= 4; size += 2) { /* where scales are fine, and where they are coarse */
        normal_weights(1, ldexpf(1, size));
        e->encode(source, NULL, blocks, COUNT);
        e->format->decode(blocks, back, COUNT);
        double loss = squares(source, back, NULL, COUNT) / squares(source, NULL, NULL, COUNT);
        if (loss > e->loss * (size <= -4 ? 1 : 1.1))
            fail_msg("%s: deviation 2^%d loses %g", e->format->name, size, loss);
    }
}

/* Every scale for every block, each value at its nearest level. */
static void no_scale_is_better(void **state)
{
    (void)state;
    FOR_EACH_ENCODER(e)
    {
        uint32_t seed = 9;
        size_t better = 0;
        normal_weights(2, 0.03f);
        for (size_t i = 0; i < COUNT; i++)
            importance[i] = random_float(&seed) + 1.01f;
        e->encode(source, importance, blocks, COUNT);
        e->format->decode(blocks, back, COUNT);
        const int8_t *table = quant_code_book(e->format->type);
        size_t levels = e->format->type == QUANT_M4 ? 16 : 8;
        for (size_t b = 0; b < 48; b++) {
            const float *values = source + 32 * b, *weight = importance + 32 * b;
            double best = INFINITY, got = squares(values, back + 32 * b, weight, 32);
            for (unsigned byte = 0; byte < 256; byte++) {
                float nearest[32], scale = quant_m_scale((uint8_t)byte);
                for (size_t i = 0; i < 32; i++) {
                    nearest[i] = scale * table[0];
                    for (size_t k = 1; k < levels; k++)
                        if (fabsf(values[i] - scale * table[k]) < fabsf(values[i] - nearest[i]))
                            nearest[i] = scale * table[k];
                }
                best = fmin(best, squares(values, nearest, weight, 32));
            }
            better += got > best * (1 + 1e-5);
        }
        assert_int_equal(better, 0);
    }
}

static void encoding_again_changes_no_value(void **state)
{
    (void)state;
    FOR_EACH_ENCODER(e)
    {
        uint32_t seed = 3;
        size_t bytes = BLOCKS * e->format->bytes;
        for (size_t i = 0; i < bytes; i++)
            blocks[i] = (uint8_t)(random_u32(&seed) >> 24);
        for (size_t b = 0; b < BLOCKS; b++)
            blocks[b * e->format->bytes] = (uint8_t)b; /* every scale */
        e->format->decode(blocks, source, COUNT);
        e->encode(source, NULL, again, COUNT);
        e->format->decode(again, back, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            assert_true(back[i] == source[i]);
    }
}

static void what_counts_more_is_closer(void **state)
{
    (void)state;
    FOR_EACH_ENCODER(e)
    {
        normal_weights(4, 0.02f);
        e->encode(source, NULL, blocks, COUNT);
        e->format->decode(blocks, back, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            importance[i] = i % 8 == 0 ? 100 : 1;
        double alike = squares(source, back, importance, COUNT);
        e->encode(source, importance, again, COUNT);
        e->format->decode(again, back, COUNT);
        assert_true(squares(source, back, importance, COUNT) < 0.9 * alike);
        for (size_t i = 0; i < COUNT; i++)
            importance[i] = 1024;
        e->encode(source, importance, again, COUNT); /* all alike, said so */
        e->format->decode(blocks, back, COUNT);
        alike = squares(source, back, NULL, COUNT);
        e->format->decode(again, back, COUNT);
        assert_true(squares(source, back, NULL, COUNT) <= alike * (1 + 1e-6));
    }
}

/* A column that calibration never reached, or a matrix of numbers that are none. */
static void importance_of_nothing_is_none(void **state)
{
    (void)state;
    static const float useless[] = {0, -1, NAN, INFINITY};
    FOR_EACH_ENCODER(e)
    for (size_t u = 0; u < sizeof useless / sizeof *useless; u++) {
        normal_weights(5, 0.02f);
        for (size_t i = 0; i < COUNT; i++)
            importance[i] = useless[u];
        e->encode(source, importance, blocks, COUNT);
        e->encode(source, NULL, again, COUNT);
        assert_memory_equal(blocks, again, BLOCKS * e->format->bytes);
    }
}

static void what_does_not_count_is_cut_off(void **state)
{
    (void)state;
    static const float huge[] = {1000, -INFINITY, NAN};
    FOR_EACH_ENCODER(e)
    for (size_t h = 0; h < sizeof huge / sizeof *huge; h++) {
        normal_weights(10, 0.1f);
        for (size_t i = 0; i < COUNT; i++)
            importance[i] = i % 16 != 5;
        for (size_t i = 5; i < COUNT; i += 16)
            source[i] = huge[h];
        e->encode(source, importance, blocks, COUNT);
        e->format->decode(blocks, back, COUNT);
        for (size_t i = 5; i < COUNT; i += 16)
            source[i] = back[i] = 0;
        assert_true(squares(source, back, NULL, COUNT) <= e->loss * squares(source, NULL, NULL, COUNT));
    }
}

static void odd_values_spoil_one_block(void **state)
{
    (void)state;
    static const float odd[] = {INFINITY, -INFINITY, NAN, 1e38f, -1e38f, 1e4f, -300, 1e-38f, 1e-45f, -1e-7f};
    FOR_EACH_ENCODER(e)
    for (size_t o = 0; o < sizeof odd / sizeof *odd; o++)
        for (size_t all = 0; all < 2; all++) {
            size_t one = e->format->bytes;
            normal_weights(6, 0.1f);
            e->encode(source, NULL, blocks, 96);
            for (size_t i = 32; i < (all ? 64u : 33u); i++)
                source[i] = odd[o];
            e->encode(source, NULL, again, 96);
            e->format->decode(again, back, 96);
            assert_memory_equal(blocks, again, one);
            assert_memory_equal(blocks + 2 * one, again + 2 * one, one);
            for (size_t i = 32; i < 64; i++)
                assert_true(fabsf(back[i]) < 223); /* and so no NaN */
        }
}

static void zeros_and_nearly_nothing_become_zeros(void **state)
{
    (void)state;
    FOR_EACH_ENCODER(e)
    for (size_t kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < 64; i++)
            source[i] = kind == 0 ? 0 : kind == 1 ? -0.0f : 1e-9f;
        e->encode(source, NULL, blocks, 64);
        e->format->decode(blocks, back, 64);
        for (size_t i = 0; i < 64; i++)
            assert_true(back[i] == 0);
    }
}

static void blocks_do_not_depend_on_each_other(void **state)
{
    (void)state;
    FOR_EACH_ENCODER(e)
    {
        size_t one = e->format->bytes;
        normal_weights(7, 0.05f);
        memset(again, 0xa5, sizeof again);
        e->encode(source, NULL, blocks, COUNT);
        for (size_t b = 0; b < BLOCKS; b++)
            e->encode(source + 32 * b, NULL, again + one * b, 32);
        assert_memory_equal(blocks, again, BLOCKS * one);
        assert_int_equal(again[BLOCKS * one], 0xa5);
        e->encode(NULL, NULL, NULL, 0);
    }
}

/* Numbers that need no libm, so that this holds on every machine; the sums are FNV-1a. */
static void blocks_are_the_same_everywhere(void **state)
{
    (void)state;
    static const uint32_t expected[] = {0x3daa2a90, 0x5d0515c9};
    FOR_EACH_ENCODER(e)
    {
        uint32_t seed = 8, sum = 0x811c9dc5u;
        for (size_t i = 0; i < COUNT; i++) {
            source[i] = 0.01f * (random_float(&seed) + random_float(&seed) + random_float(&seed));
            importance[i] = 1.5f + random_float(&seed);
        }
        e->encode(source, importance, blocks, COUNT);
        for (size_t i = 0; i < BLOCKS * e->format->bytes; i++)
            sum = (sum ^ blocks[i]) * 0x01000193u;
        if (sum != expected[e - encoders])
            fail_msg("%s: the blocks' sum is %#x, not %#x", e->format->name, sum, expected[e - encoders]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales_are_found_again),
        cmocka_unit_test(normal_weights_lose_little),
        cmocka_unit_test(no_scale_is_better),
        cmocka_unit_test(encoding_again_changes_no_value),
        cmocka_unit_test(what_counts_more_is_closer),
        cmocka_unit_test(importance_of_nothing_is_none),
        cmocka_unit_test(what_does_not_count_is_cut_off),
        cmocka_unit_test(odd_values_spoil_one_block),
        cmocka_unit_test(zeros_and_nearly_nothing_become_zeros),
        cmocka_unit_test(blocks_do_not_depend_on_each_other),
        cmocka_unit_test(blocks_are_the_same_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
