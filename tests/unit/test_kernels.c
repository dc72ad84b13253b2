/* Kernels against a plain reference in double precision: every format, odd sizes, memory that ends at a guard page. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "assert_says.h"
#include "guarded.h"

#include "base/bytes.h"
#include "base/cpu_features.h"
#include "kernel/matmul.h"

/* Random blocks of a format whose values are tame: scales are drawn until the row decodes to small numbers. */
static void fill_row(const quant_format *format, unsigned char *row, float *decoded, size_t columns)
{
    size_t blocks = columns / format->block;
    for (size_t b = 0; b < blocks; b++) {
        bool tame;
        do {
            for (size_t i = 0; i < format->bytes; i++)
                row[b * format->bytes + i] = (unsigned char)random_bits();
            format->decode(row + b * format->bytes, decoded + b * format->block, format->block);
            tame = true;
            for (size_t i = 0; i < format->block; i++)
                tame = tame && fabsf(decoded[b * format->block + i]) < 1e6f;
        } while (!tame);
    }
}

typedef struct matmul_case {
    size_t rows, columns, tokens;
    bool bias, accumulate, by_rows;
} matmul_case;

static void check_matmul(const kernel_table *kernels, thread_pool *pool, const quant_format *format, matmul_case c)
{
    size_t columns = c.columns * format->block, row_bytes = c.columns * format->bytes;
    guarded weights = guarded_new(c.rows * row_bytes), x = random_floats(c.tokens * columns);
    guarded y = random_floats(c.tokens * c.rows), bias = random_floats(c.rows);
    float *decoded = malloc(c.rows * columns * sizeof *decoded), **y_rows = calloc(c.tokens, sizeof *y_rows);
    double *before = calloc(c.tokens * c.rows, sizeof *before);
    for (size_t r = 0; r < c.rows; r++)
        fill_row(format, (unsigned char *)weights.at + r * row_bytes, decoded + r * columns, columns);
    for (size_t i = 0; i < c.tokens * c.rows; i++)
        before[i] = (double)((float *)y.at)[i];
    for (size_t t = 0; t < c.tokens; t++)
        y_rows[t] = (float *)y.at + t * c.rows;

    matmul_job job = {
        .format = format,
        .weights = weights.at,
        .rows = c.rows,
        .columns = columns,
        .tokens = c.tokens,
        .x = x.at,
        .x_stride = columns,
        .y = c.by_rows ? NULL : y.at,
        .y_stride = c.rows,
        .y_rows = c.by_rows ? y_rows : NULL,
        .bias = c.bias ? bias.at : NULL,
        .accumulate = c.accumulate,
    };
    size_t stride = (kernels->matmul[KERNEL_SLOT(format->type)]->scratch_bytes(columns) + 63) / 64 * 64;
    void *scratch = aligned_alloc(64, stride * thread_pool_size(pool));
    matmul(kernels, pool, &job, 1, scratch, stride);

    for (size_t t = 0; t < c.tokens; t++) {
        for (size_t r = 0; r < c.rows; r++) {
            double sum = c.accumulate ? before[t * c.rows + r] : 0, size = fabs(sum) + 1;
            sum += c.bias ? (double)((float *)bias.at)[r] : 0;
            for (size_t i = 0; i < columns; i++) {
                double term = (double)decoded[r * columns + i] * (double)((float *)x.at)[t * columns + i];
                sum += term;
                size += fabs(term);
            }
            /* A float sum of n terms is off by at most n half-ulps of the sum of their sizes; tokens rounded to bf16
             * add a half-ulp of theirs. */
            double rounding = strcmp(kernels->matmul[KERNEL_SLOT(format->type)]->name, "avx512-bf16") == 0 ? 0x1p-8 : 0;
            assert_true(fabs((double)y_rows[t][r] - sum) <= size * ((double)(columns + 4) * 0x1p-24 + rounding));
        }
    }
    guarded_free(weights);
    guarded_free(x);
    guarded_free(y);
    guarded_free(bias);
    free(decoded);
    free(before);
    free(y_rows);
    free(scratch);
}

/* Whoever runs the tests under an emulator says what its processor has (./do does), so that no kernel goes untested
 * unnoticed. */
static void test_processor_is_the_expected_one(void **state)
{
    (void)state;
    const char *expected = getenv("MOTE_TEST_CPU");
    if (expected == NULL)
        return;
    char found[256] = "";
    for (unsigned i = 0; i < CPU_FEATURE_COUNT; i++)
        if (cpu_features() & 1u << i) {
            strcat(found, *found != '\0' ? " " : "");
            strcat(found, cpu_feature_name(i));
        }
    assert_string_equal(found, expected);
}

/* What a table may be made for: each level adds to those before it what this processor has of it. */
static const uint32_t levels[] = {0, CPU_AVX2 | CPU_F16C | CPU_NEON, CPU_AVX2 | CPU_F16C | CPU_AVX512, UINT32_MAX};

static const quant_type float_types[] = {QUANT_F32, QUANT_F16, QUANT_BF16};

/* However tokens are put together, each gets the same result to the last bit. Weights begin at an odd address. */
static void test_batches_of_float_rows(void **state)
{
    (void)state;
    enum { ROWS = 7, COLUMNS = 83, TOKENS = 61 };
    thread_pool *pool;
    assert_int_equal(thread_pool_open(&pool, 1, NULL), MOTE_OK);
    guarded x = random_floats(TOKENS * COLUMNS);
    unsigned char weights[ROWS * COLUMNS * 4 + 1], *scratch = aligned_alloc(64, 1 << 20);
    float decoded[COLUMNS], together[TOKENS][ROWS], alone[ROWS];
    for (size_t level = 0; level < sizeof levels / sizeof *levels; level++)
        for (size_t i = 0; i < sizeof float_types / sizeof *float_types; i++) {
            kernel_table kernels;
            kernel_table_init(&kernels, levels[level] & cpu_features());
            const quant_format *format = quant_find(float_types[i]);
            for (size_t r = 0; r < ROWS; r++)
                fill_row(format, weights + 1 + r * COLUMNS * format->bytes, decoded, COLUMNS);
            matmul_job job = {.format = format,
                              .weights = weights + 1,
                              .rows = ROWS,
                              .columns = COLUMNS,
                              .tokens = TOKENS,
                              .x = x.at,
                              .x_stride = COLUMNS,
                              .y = together[0],
                              .y_stride = ROWS};
            assert_true(kernels.matmul[KERNEL_SLOT(format->type)]->scratch_bytes(COLUMNS) <= 1 << 20);
            matmul(&kernels, pool, &job, 1, scratch, 1 << 20);
            for (size_t t = 0; t < TOKENS; t++) {
                job.tokens = 1;
                job.x = (float *)x.at + t * COLUMNS;
                job.y = alone;
                matmul(&kernels, pool, &job, 1, scratch, 1 << 20);
                assert_memory_equal(alone, together[t], sizeof alone);
            }
        }
    free(scratch);
    guarded_free(x);
    thread_pool_close(pool);
}

static void test_matmul_every_format(void **state)
{
    (void)state;
    const matmul_case cases[] = {
        {1, 1, 1, false, false, false},  {3, 2, 1, true, false, false}, {4, 1, 2, false, true, false},
        {17, 3, 5, true, true, false},   {9, 2, 8, false, false, true}, {6, 1, 13, true, false, true},
        {40, 1, 3, false, false, false},
    };
    for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
        kernel_table kernels;
        kernel_table_init(&kernels, levels[level] & cpu_features());
        for (uint32_t threads = 1; threads <= 3; threads += 2) {
            thread_pool *pool;
            assert_int_equal(thread_pool_open(&pool, threads, NULL), MOTE_OK);
            for (size_t f = 0; f < quant_count(); f++)
                for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                    check_matmul(&kernels, pool, quant_at(f), cases[i]);
            /* Float rows have no blocks: every tail length of the inner loop. */
            for (size_t columns = 1; columns < 70; columns++)
                for (size_t i = 0; i < 3; i++)
                    check_matmul(&kernels, pool, quant_find(float_types[i]),
                                 (matmul_case){5, columns, 7, false, false, false});
            thread_pool_close(pool);
        }
    }
}

/* A level's kernel is taken only where the processor has what it needs. */
static void test_levels_are_kept(void **state)
{
    (void)state;
    for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
        kernel_table kernels;
        kernel_table_init(&kernels, levels[level]);
        for (size_t f = 0; f < quant_count(); f++)
            assert_int_equal(kernels.matmul[KERNEL_SLOT(quant_at(f)->type)]->needs & ~levels[level], 0);
        for (size_t type = 0; type < KV_TYPE_COUNT; type++) {
            assert_int_equal(kernels.attention.keys[type]->needs & ~levels[level], 0);
            assert_int_equal(kernels.attention.values[type]->needs & ~levels[level], 0);
        }
        assert_int_equal(kernels.attention.softmax->needs & ~levels[level], 0);
        assert_int_equal(kernels.vectors->needs & ~levels[level], 0);
        assert_true(level > 0 || kernels.matmul[KERNEL_SLOT(QUANT_Q4_0)]->needs == 0);
    }
}

static void check_vectors(const vector_kernels *v)
{
    for (size_t count = 1; count < 70; count++) {
        guarded a = random_floats(count), b = random_floats(count), out = random_floats(count);
        float *x = a.at, *y = b.at, *z = out.at;
        double mean = 0;
        for (size_t i = 0; i < count; i++)
            mean += (double)x[i] * (double)x[i] / (double)count;
        v->rms_norm(x, y, 1e-6f, z, count);
        for (size_t i = 0; i < count; i++)
            assert_true(fabs((double)z[i] - (double)x[i] / sqrt(mean + 1e-6) * (double)y[i]) < 1e-5);

        memcpy(z, x, count * sizeof *z);
        v->silu_gate(z, y, z, count);
        for (size_t i = 0; i < count; i++)
            assert_true(fabs((double)z[i] - (double)x[i] / (1 + exp(-(double)x[i])) * (double)y[i]) < 1e-6);

        memcpy(z, x, count * sizeof *z);
        v->gelu_gate(x, y, z, count);
        for (size_t i = 0; i < count; i++) {
            double u = (double)x[i];
            double want = 0.5 * u * (1 + tanh(sqrt(2 / acos(-1)) * (u + 0.044715 * u * u * u))) * (double)y[i];
            assert_true(fabs((double)z[i] - want) < 1e-6);
        }
        guarded_free(a);
        guarded_free(b);
        guarded_free(out);
    }
    float extreme[4] = {-200, 200, -1e30f, 0}, up[4] = {1, 1, 1, 1}, again[4];
    memcpy(again, extreme, sizeof again);
    v->silu_gate(extreme, up, extreme, 4);
    v->gelu_gate(again, up, again, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(isfinite(extreme[i]) && isfinite(again[i]));
    assert_true(extreme[1] == 200 && again[1] == 200 && extreme[3] == 0);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
        kernel_table kernels;
        kernel_table_init(&kernels, levels[level] & cpu_features());
        check_vectors(kernels.vectors);
    }
}

/* Both pairings turn pairs by the same angles, and leave what lies behind the rotating part alone. */
static void check_rope(const vector_kernels *v, size_t half)
{
    guarded cosine = random_floats(half), sine = random_floats(half);
    guarded before = random_floats(2 * half), halves = random_floats(2 * half + 1), pairs = random_floats(2 * half + 1);
    const float *c = cosine.at, *s = sine.at, *x = before.at;
    float *h = halves.at, *p = pairs.at, behind[2] = {h[2 * half], p[2 * half]};
    memcpy(h, x, 2 * half * sizeof *h);
    memcpy(p, x, 2 * half * sizeof *p);
    v->rope_halves(h, c, s, half);
    v->rope_pairs(p, c, s, half);
    for (size_t i = 0; i < half; i++) {
        double ci = (double)c[i], si = (double)s[i];
        assert_true(fabs((double)h[i] - ((double)x[i] * ci - (double)x[i + half] * si)) < 1e-6);
        assert_true(fabs((double)h[i + half] - ((double)x[i] * si + (double)x[i + half] * ci)) < 1e-6);
        assert_true(fabs((double)p[2 * i] - ((double)x[2 * i] * ci - (double)x[2 * i + 1] * si)) < 1e-6);
        assert_true(fabs((double)p[2 * i + 1] - ((double)x[2 * i] * si + (double)x[2 * i + 1] * ci)) < 1e-6);
    }
    assert_true(h[2 * half] == behind[0] && p[2 * half] == behind[1]);
    guarded_free(cosine);
    guarded_free(sine);
    guarded_free(before);
    guarded_free(halves);
    guarded_free(pairs);
}

static void test_rope(void **state)
{
    (void)state;
    for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
        kernel_table kernels;
        kernel_table_init(&kernels, levels[level] & cpu_features());
        for (size_t half = 1; half <= 64; half++)
            check_rope(kernels.vectors, half);
    }
}

static void check_add(const vector_kernels *v, size_t count)
{
    guarded a = random_floats(count), b = random_floats(count), sum = random_floats(count);
    memcpy(sum.at, a.at, count * sizeof(float));
    v->add(sum.at, b.at, count);
    for (size_t i = 0; i < count; i++)
        assert_true(((float *)sum.at)[i] == ((float *)a.at)[i] + ((float *)b.at)[i]);
    guarded_free(a);
    guarded_free(b);
    guarded_free(sum);
}

static void test_add(void **state)
{
    (void)state;
    for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
        kernel_table kernels;
        kernel_table_init(&kernels, levels[level] & cpu_features());
        for (size_t count = 1; count < 70; count++)
            check_add(kernels.vectors, count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processor_is_the_expected_one),
        cmocka_unit_test(test_matmul_every_format),
        cmocka_unit_test(test_batches_of_float_rows),
        cmocka_unit_test(test_levels_are_kept),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_add),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
