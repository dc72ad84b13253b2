/* Packed weights: nothing is lost in packing, and every instruction set's product agrees with a plain reference: random
 * and saturating inputs, odd sizes, memory that ends at a guard page. `--bench [THREADS [KERNEL [FORMAT]]]` times them
 * instead, and `--bench-packing` the way into panels and back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "guarded.h"

#include "base/bytes.h"
#include "base/cpu_features.h"
#include "kernel/matmul.h"
#include "quant/panels.h"
#include "quant/blocks.h"

typedef enum filling { RANDOM, LARGEST, SMALLEST, ALTERNATING } filling;

/* Blocks whose values are tame: random, or with every level at one end of its range. */
static void fill_rows(const quant_format *format, unsigned char *rows, size_t blocks, filling how)
{
    float values[QUANT_SUPER];
    for (size_t b = 0; b < blocks; b++, rows += format->bytes) {
        bool tame = false;
        for (int attempt = 0; !tame; attempt++) {
            unsigned char fill = how == LARGEST ? 0xff : how == SMALLEST ? 0x00 : b % 2 != 0 ? 0x80 : 0x7f;
            for (size_t i = 0; i < format->bytes; i++)
                rows[i] = how == RANDOM || i < 4 || i + 2 >= format->bytes ? (unsigned char)random_bits() : fill;
            format->decode(rows, values, format->block);
            tame = true;
            for (size_t i = 0; i < format->block; i++)
                tame = tame && fabsf(values[i]) < 1e6f;
        }
    }
}

typedef struct product {
    const quant_format *format;
    const panel_layout *layout;
    size_t rows, columns, tokens;
    guarded file, panels, x, x_int8, y, bias;
    float *decoded;
} product;

static void pack_all(const product *p, void *panels)
{
    size_t row_bytes = p->columns / p->format->block * p->format->bytes, bytes = panel_bytes(p->layout, p->columns);
    for (size_t i = 0; i < panels_for(p->rows); i++) {
        size_t count = p->rows - i * PANEL_ROWS < PANEL_ROWS ? p->rows - i * PANEL_ROWS : PANEL_ROWS;
        panel_pack(p->layout, (unsigned char *)p->file.at + i * PANEL_ROWS * row_bytes, count, p->columns,
                   (unsigned char *)panels + i * bytes);
    }
}

static product product_new(const quant_format *format, size_t rows, size_t columns, size_t tokens, filling how)
{
    product p = {
        .format = format, .layout = panel_layout_of(format->type), .rows = rows, .columns = columns, .tokens = tokens};
    size_t blocks = rows * columns / format->block;
    p.file = guarded_new(blocks * format->bytes);
    p.panels = guarded_new(panels_for(rows) * panel_bytes(p.layout, columns));
    p.x = guarded_new(tokens * columns * sizeof(float));
    p.x_int8 = guarded_new(int8_tokens_bytes(tokens, columns));
    p.y = guarded_new(tokens * rows * sizeof(float));
    p.bias = guarded_new(rows * sizeof(float));
    p.decoded = malloc(rows * columns * sizeof *p.decoded);
    fill_rows(format, p.file.at, blocks, how);
    pack_all(&p, p.panels.at);
    format->decode(p.file.at, p.decoded, rows * columns);
    for (size_t i = 0; i < tokens * columns; i++)
        ((float *)p.x.at)[i] = how == RANDOM ? (float)(random_bits() & 0xffff) / 32768.0f - 1 : i % 3 != 0 ? 1 : -1;
    for (size_t i = 0; i < tokens * rows; i++)
        ((float *)p.y.at)[i] = (float)(i % 7);
    for (size_t i = 0; i < rows; i++)
        ((float *)p.bias.at)[i] = (float)(i % 5);
    return p;
}

static void product_free(product *p)
{
    guarded all[] = {p->file, p->panels, p->x, p->x_int8, p->y, p->bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        guarded_free(all[i]);
    free(p->decoded);
}

static void to_int8(const kernel_table *kernels, const product *p)
{
    for (size_t t = 0; t < p->tokens; t++) {
        size_t first = t / TOKEN_TILE * TOKEN_TILE;
        kernels->to_int8((float *)p->x.at + t * p->columns, p->columns,
                         (unsigned char *)p->x_int8.at + int8_tile_offset(first, p->columns),
                         int8_tile_width(p->tokens, first), t - first);
    }
}

static matmul_job job_of(const product *p)
{
    return (matmul_job){.format = p->format,
                        .packed = true,
                        .weights = p->panels.at,
                        .rows = p->rows,
                        .columns = p->columns,
                        .tokens = p->tokens,
                        .x_int8 = p->x_int8.at,
                        .y = p->y.at,
                        .y_stride = p->rows};
}

/* Token t's value in column c as the product sees it. */
static double rounded(const product *p, size_t t, size_t c)
{
    size_t first = t / TOKEN_TILE * TOKEN_TILE, width = int8_tile_width(p->tokens, first);
    const unsigned char *block =
        (unsigned char *)p->x_int8.at + int8_tile_offset(first, p->columns) + c / INT8_BLOCK * INT8_BLOCK_BYTES * width;
    int level = ((const int8_t *)block)[INT8_BLOCK * (t - first) + c % INT8_BLOCK];
    return (double)load_f32(block + INT8_SCALES * width + 4 * (t - first)) * level;
}

/* Panels need none. */
static unsigned char no_scratch;

static void check_product(const kernel_table *kernels, thread_pool *pool, product *p, bool bias, bool accumulate)
{
    to_int8(kernels, p);
    matmul_job job = job_of(p);
    job.bias = bias ? p->bias.at : NULL;
    job.accumulate = accumulate;
    matmul(kernels, pool, &job, 1, &no_scratch, 0);
    for (size_t t = 0; t < p->tokens; t++)
        for (size_t r = 0; r < p->rows; r++) {
            double sum = accumulate ? (double)((t * p->rows + r) % 7) : 0, size;
            sum += bias ? (double)(r % 5) : 0;
            size = sum + 1;
            for (size_t c = 0; c < p->columns; c++) {
                double term = (double)p->decoded[r * p->columns + c] * rounded(p, t, c);
                sum += term;
                size += 40 * fabs(term); /* the offsets of unsigned levels make sums that cancel */
            }
            double got = (double)((float *)p->y.at)[t * p->rows + r];
            if (!(fabs(got - sum) <= size * (double)(p->columns / PANEL_BLOCK + 8) * 0x1p-24))
                print_message("%s with %s: row %zu, token %zu: %g, not %g\n", p->format->name,
                              kernels->panels[KERNEL_SLOT(p->format->type)]->name, r, t, got, sum);
            assert_true(fabs(got - sum) <= size * (double)(p->columns / PANEL_BLOCK + 8) * 0x1p-24);
        }
}

/* What a table may be made for: each level adds to those before it what this processor has of it. */
static const uint32_t levels[] = {
    0,
    CPU_AVX2 | CPU_F16C | CPU_NEON | CPU_RVV,
    CPU_AVX2 | CPU_F16C | CPU_AVX_VNNI | CPU_NEON | CPU_DOTPROD,
    CPU_AVX2 | CPU_F16C | CPU_AVX512,
    CPU_AVX2 | CPU_F16C | CPU_NEON | CPU_I8MM | CPU_DOTPROD,
    UINT32_MAX,
};
enum { LEVELS = sizeof levels / sizeof *levels };

#if defined(__x86_64__)
/* The kernels of AVX-VNNI, compiled for AVX-512 VNNI. */
extern const matmul_kernel panels_avxvnni_twin[KERNEL_FORMATS];
#endif

/* Tables of each level, and what else there is to test: false past the last. */
static bool table_of(size_t number, kernel_table *kernels)
{
    if (number < LEVELS) {
        kernel_table_init(kernels, levels[number] & cpu_features());
        return true;
    }
#if defined(__x86_64__)
    if (number == LEVELS && (cpu_features() & CPU_AVX512_VNNI) != 0) {
        kernel_table_init(kernels, CPU_AVX2 | CPU_F16C);
        for (size_t type = 0; type < KERNEL_FORMATS; type++)
            kernels->panels[type] = panels_avxvnni_twin[type].run != NULL ? &panels_avxvnni_twin[type] : NULL;
        return true;
    }
#endif
    return false;
}

static void for_each_format(void (*check)(const quant_format *format, const kernel_table *kernels, thread_pool *pool))
{
    kernel_table kernels = {0}, before;
    for (size_t number = 0; before = kernels, table_of(number, &kernels); number++) {
        for (uint32_t threads = 1; threads <= 3; threads += 2) {
            thread_pool *pool;
            assert_int_equal(thread_pool_open(&pool, threads, NULL), MOTE_OK);
            for (size_t f = 0; f < quant_count(); f++)
                if (kernels.panels[KERNEL_SLOT(quant_at(f)->type)] !=
                    before.panels[KERNEL_SLOT(quant_at(f)->type)]) /* else it added nothing */
                    check(quant_at(f), &kernels, pool);
            thread_pool_close(pool);
        }
    }
}

static void check_sizes(const quant_format *format, const kernel_table *kernels, thread_pool *pool)
{
    const size_t cases[][3] = {{1, 1, 1}, {16, 1, 2}, {17, 2, 3}, {5, 3, 9}, {48, 1, 16}, {31, 2, 13}, {40, 1, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t unit = format->block > 32 ? format->block : 32 * (1 + i % 3);
        product p = product_new(format, cases[i][0], cases[i][1] * unit, cases[i][2], RANDOM);
        check_product(kernels, pool, &p, i % 2 != 0, i % 3 == 1);
        product_free(&p);
    }
}

static void test_every_size(void **state)
{
    (void)state;
    for_each_format(check_sizes);
}

/* Tokens of full swing against levels at the end of their range: nothing saturates on the way. */
static void check_extremes(const quant_format *format, const kernel_table *kernels, thread_pool *pool)
{
    for (filling how = LARGEST; how <= ALTERNATING; how++) {
        product p = product_new(format, 16, 512, 4, how);
        check_product(kernels, pool, &p, false, false);
        product_free(&p);
    }
}

static void test_extremes(void **state)
{
    (void)state;
    for_each_format(check_extremes);
}

/* However tokens are put together, each gets the same result to the last bit, from any number of threads. */
static void check_batches(const quant_format *format, const kernel_table *kernels, thread_pool *pool)
{
    enum { TOKENS = 11, ROWS = 35 };
    product p = product_new(format, ROWS, 512, TOKENS, RANDOM);
    float together[TOKENS * ROWS];
    to_int8(kernels, &p);
    matmul_job job = job_of(&p);
    job.y = together;
    matmul(kernels, pool, &job, 1, &no_scratch, 0);
    for (size_t t = 0; t < TOKENS; t++) {
        product one = p;
        one.tokens = 1;
        one.x.at = (float *)p.x.at + t * p.columns;
        to_int8(kernels, &one);
        float alone[ROWS];
        job = job_of(&one);
        job.y = alone;
        matmul(kernels, pool, &job, 1, &no_scratch, 0);
        assert_memory_equal(alone, together + t * ROWS, sizeof alone);
    }
    product_free(&p);
}

static void test_batches(void **state)
{
    (void)state;
    for_each_format(check_batches);
}

/* Many tokens, whose rows lie together or apart: however many threads share them, the results are the same to the last
 * bit. */
static void test_any_number_of_threads(void **state)
{
    (void)state;
    enum { TOKENS = 203, ROWS = 35 };
    kernel_table kernels;
    kernel_table_init(&kernels, cpu_features());
    product p = product_new(quant_find(QUANT_Q4_0), ROWS, 64, TOKENS, RANDOM);
    to_int8(&kernels, &p);
    matmul_job job = job_of(&p);
    static float want[TOKENS * ROWS], got[TOKENS][ROWS];
    float *rows[TOKENS];
    for (size_t t = 0; t < TOKENS; t++)
        rows[t] = got[TOKENS - 1 - t];
    for (uint32_t threads = 1; threads <= 4; threads++) {
        thread_pool *pool;
        assert_int_equal(thread_pool_open_for(&pool, threads, threads, NULL), MOTE_OK);
        job.y_rows = threads % 2 != 0 ? NULL : rows;
        job.y = threads == 1 ? want : got[0];
        matmul(&kernels, pool, &job, 1, &no_scratch, 0);
        for (size_t t = 0; t < TOKENS && threads > 1; t++)
            assert_memory_equal(threads % 2 != 0 ? got[t] : rows[t], want + t * ROWS, sizeof got[t]);
        memset(got, 0, sizeof got);
        thread_pool_close(pool);
    }
    product_free(&p);
}

/* What is packed comes back bit for bit, and takes hardly more room; rows past the last are zeros, whatever was there. */
static void check_packing(const quant_format *format, size_t rows, size_t columns)
{
    product p = product_new(format, rows, columns, 1, RANDOM);
    size_t bytes = panel_bytes(p.layout, columns), last = rows % PANEL_ROWS;
    memset(p.panels.at, 0xa5, panels_for(rows) * bytes);
    pack_all(&p, p.panels.at);
    guarded row = guarded_new(columns * sizeof(float));
    for (size_t r = 0; r < panels_for(rows) * PANEL_ROWS; r++) {
        const unsigned char *panel = (unsigned char *)p.panels.at + r / PANEL_ROWS * bytes;
        panel_decode_row(p.layout, panel, r % PANEL_ROWS, columns, row.at);
        if (r < rows)
            assert_memory_equal(row.at, p.decoded + r * columns, columns * sizeof(float));
    }
    if (last != 0) { /* the last word of levels, and the last scale, are those of row 15 */
        const unsigned char *block =
            (unsigned char *)p.panels.at + (panels_for(rows) - 1) * bytes + p.layout->header_bytes;
        assert_int_equal(load_u32(block + 4 * (PANEL_ROWS - 1)), 0);
        assert_int_equal(block[panel_block_bytes(p.layout) - 1], 0);
    }
    guarded_free(row);
    product_free(&p);
    assert_true((double)panel_bytes(panel_layout_of(format->type), 1024) <=
                1.04 * PANEL_ROWS * 1024 / format->block * format->bytes);
}

static void test_packing_loses_nothing(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 2, 15, 16, 17, 19, 32, 45};
    for (size_t f = 0; f < quant_count(); f++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (panel_layout_of(quant_at(f)->type) != NULL)
                check_packing(quant_at(f), rows[i], quant_at(f)->block * (1 + i % 3));
}

/* Every instruction set makes the same int8 tokens, whatever is in them. */
static void test_tokens(void **state)
{
    (void)state;
    enum { COLUMNS = 32 * 9, TOKENS = 5 };
    float *x = malloc(TOKENS * COLUMNS * sizeof *x);
    for (size_t i = 0; i < TOKENS * COLUMNS; i++)
        x[i] = ((float)(random_bits() & 0xffff) / 32768.0f - 1) * ldexpf(1, (int)(random_bits() % 60) - 30);
    for (size_t i = 0; i < 32; i++) {
        x[i] = 0;                     /* a block of nothing */
        x[32 + i] = ldexpf(1, -140);  /* of what is nearly nothing */
        x[64 + i] = (float)i - 15.5f; /* of ties to be rounded to even */
        x[96 + i] = i == 7 ? NAN : 1; /* of what is not a number */
        x[128 + i] = i == 30 ? -INFINITY : 1;
        x[160 + i] = i % 2 != 0 ? 3e38f : -3e38f;
    }
    size_t bytes = int8_tokens_bytes(TOKENS, COLUMNS);
    unsigned char *want = calloc(1, bytes), *got = calloc(1, bytes);
    for (size_t level = 0; level < LEVELS; level++) {
        kernel_table kernels;
        kernel_table_init(&kernels, levels[level] & cpu_features());
        for (size_t t = 0; t < TOKENS; t++)
            kernels.to_int8(x + t * COLUMNS, COLUMNS, level == 0 ? want : got, TOKENS, t);
        if (level > 0)
            assert_memory_equal(got, want, bytes);
    }
    assert_true(load_f32(want + INT8_SCALES * TOKENS) == 0 && want[0] == 0);
    assert_true(isnan(load_f32(want + 3 * INT8_BLOCK_BYTES * TOKENS + INT8_SCALES * TOKENS)));
    assert_true(isnan(load_f32(want + 4 * INT8_BLOCK_BYTES * TOKENS + INT8_SCALES * TOKENS)));
    assert_int_equal((int8_t)want[2 * INT8_BLOCK_BYTES * TOKENS], -127);
    free(x);
    free(want);
    free(got);
}

/* Rows of every length: blocks that go together and those left over, none of which reads or writes past its end. */
static void test_tokens_of_every_length(void **state)
{
    (void)state;
    for (size_t blocks = 1; blocks <= 9; blocks++)
        for (size_t bad = 0; bad <= blocks; bad++) { /* this block is not a number */
            guarded x = guarded_new(blocks * INT8_BLOCK * sizeof(float)), want = {0};
            for (size_t i = 0; i < blocks * INT8_BLOCK; i++)
                ((float *)x.at)[i] = i / INT8_BLOCK == bad ? -NAN : (float)(random_bits() & 0xffff) - 32768;
            for (size_t level = 0; level < LEVELS; level++) {
                kernel_table kernels;
                kernel_table_init(&kernels, levels[level] & cpu_features());
                guarded got = guarded_new(int8_tokens_bytes(1, blocks * INT8_BLOCK));
                kernels.to_int8(x.at, blocks * INT8_BLOCK, got.at, 1, 0);
                if (level == 0) {
                    want = got;
                    continue;
                }
                assert_memory_equal(got.at, want.at, int8_tokens_bytes(1, blocks * INT8_BLOCK));
                guarded_free(got);
            }
            guarded_free(want);
            guarded_free(x);
        }
}

static void test_levels_are_kept(void **state)
{
    (void)state;
    for (size_t level = 0; level < LEVELS; level++) {
        kernel_table kernels;
        kernel_table_init(&kernels, levels[level]);
        for (size_t f = 0; f < quant_count(); f++) {
            const matmul_kernel *kernel = kernels.panels[KERNEL_SLOT(quant_at(f)->type)];
            assert_true((kernel != NULL) == (panel_layout_of(quant_at(f)->type) != NULL));
            assert_true(kernel == NULL || (kernel->needs & ~levels[level]) == 0);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------- bench */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of several runs, in seconds. */
static double best_time(const kernel_table *kernels, thread_pool *pool, const matmul_job *job)
{
    double best = 1e9, begin = now();
    for (int i = 0; i < 15 && now() - begin < 0.5; i++) {
        double start = now();
        matmul(kernels, pool, job, 1, &no_scratch, 0);
        double took = now() - start;
        best = took < best ? took : best;
    }
    return best;
}

/* One thread; 64 MB at a time, as a layer of a large model. */
static int bench_packing(void)
{
    enum { ROWS = 2048, COLUMNS = 4096 };
    float *row = malloc(COLUMNS * sizeof *row);
    printf("1 thread; %d x %d: GB/s of panels packed, G values/s decoded\n", ROWS, COLUMNS);
    for (size_t f = 0; f < quant_count(); f++) {
        if (panel_layout_of(quant_at(f)->type) == NULL)
            continue;
        product p = product_new(quant_at(f), ROWS, COLUMNS, 1, RANDOM);
        size_t bytes = panel_bytes(p.layout, COLUMNS);
        double packing = 1e9, decoding = 1e9;
        for (int i = 0; i < 5; i++) {
            double start = now();
            pack_all(&p, p.panels.at);
            packing = fmin(packing, now() - start);
            start = now();
            for (size_t r = 0; r < ROWS; r++)
                panel_decode_row(p.layout, (unsigned char *)p.panels.at + r / PANEL_ROWS * bytes, r % PANEL_ROWS,
                                 COLUMNS, row);
            decoding = fmin(decoding, now() - start);
        }
        printf("%-8s %7.2f GB/s %7.2f G/s\n", p.format->name, 1e-9 * (double)(panels_for(ROWS) * bytes) / packing,
               1e-9 * ROWS * COLUMNS / decoding);
        product_free(&p);
    }
    free(row);
    return 0;
}

static int bench(uint32_t threads, const char *only, const char *format_name)
{
    thread_pool *pool;
    if (thread_pool_open(&pool, threads, NULL) != MOTE_OK)
        return 1;
    printf("%u threads; 3072 x 1024: Gop/s for 256 and 8 tokens; 151936 x 1024: GB/s for one token\n", threads);
    const char *last[KERNEL_FORMATS] = {0};
    kernel_table kernels;
    for (size_t number = 0; table_of(number, &kernels); number++)
        for (size_t f = 0; f < quant_count(); f++) {
            const quant_format *format = quant_at(f);
            const matmul_kernel *kernel = kernels.panels[KERNEL_SLOT(format->type)];
            if (kernel == NULL || strncmp(kernel->name, only, strlen(only)) != 0 ||
                strncmp(format->name, format_name, strlen(format_name)) != 0 ||
                kernel->name == last[KERNEL_SLOT(format->type)])
                continue;
            last[KERNEL_SLOT(format->type)] = kernel->name;
            product p = product_new(format, 3072, 1024, 256, RANDOM);
            to_int8(&kernels, &p);
            matmul_job job = job_of(&p);
            double many = best_time(&kernels, pool, &job);
            job.tokens = 8;
            double few = best_time(&kernels, pool, &job);
            product_free(&p);
            p = product_new(format, 151936, 1024, 1, RANDOM);
            to_int8(&kernels, &p);
            job = job_of(&p);
            double one = best_time(&kernels, pool, &job);
            double work = 2.0 * 3072 * 1024 * 1e-9;
            printf("%-8s %-14s %7.0f %7.0f Gop/s %7.1f GB/s\n", format->name, kernel->name, work * 256 / many,
                   work * 8 / few, 1e-9 * (double)(panels_for(p.rows) * panel_bytes(p.layout, p.columns)) / one);
            fflush(stdout);
            product_free(&p);
        }
    thread_pool_close(pool);
    return 0;
}

int main(int count, char **words)
{
    if (count > 1 && strcmp(words[1], "--bench") == 0)
        return bench(count > 2 ? (uint32_t)atoi(words[2]) : 1, count > 3 ? words[3] : "", count > 4 ? words[4] : "");
    if (count > 1 && strcmp(words[1], "--bench-packing") == 0)
        return bench_packing();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_loses_nothing),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_tokens_of_every_length),
        cmocka_unit_test(test_levels_are_kept),
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_any_number_of_threads),
    };
    return cmocka_run_group_tests_name("panels", tests, NULL, NULL);
}
