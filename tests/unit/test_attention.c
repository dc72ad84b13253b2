/* Attention kernels: every type of cache on every instruction set of this machine, against a reference in double precision
 * and, where bits are promised, against itself.
 *
 *     test_attention --bench [avx512]     prints what they reach: GB/s of cache in decoding, Gflop/s in prefill */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "assert_says.h"
#include "guarded.h"

#include "base/bytes.h"
#include "base/cpu_features.h"
#include "kernel/kernels.h"

#define LANE_COUNT 4
#include "kernel/generic/exp_lanes.h"

/* What a table may be made for: each level adds to those before it what this processor has of it. */
static const uint32_t levels[] = {0, CPU_AVX2 | CPU_F16C | CPU_NEON, UINT32_MAX};
enum { LEVELS = sizeof levels / sizeof *levels };

static const attention_kernel *kernel_of(size_t level, kv_type type)
{
    kernel_table kernels;
    kernel_table_init(&kernels, levels[level] & cpu_features());
    return kernels.attention[type];
}

/* ---- a ring, and what it should hold ---- */

typedef struct cache {
    kv_type type;
    kv_ring ring;
    guarded keys, values;
} cache;

/* The ring ends `gap` bytes before a page that must not be touched. */
static cache cache_new(kv_type type, size_t blocks, size_t dim, size_t gap)
{
    size_t bytes = blocks * kv_block_bytes(type, dim) + gap;
    cache c = {.type = type, .keys = guarded_new(bytes), .values = guarded_new(bytes)};
    c.ring = (kv_ring){c.keys.at, c.values.at, blocks, dim};
    return c;
}

static void cache_free(cache *c)
{
    guarded_free(c->keys);
    guarded_free(c->values);
}

/* A number of the cache, read as attention_kernels.h draws it. */
static double cached(const cache *c, bool key, size_t position, size_t d)
{
    size_t dim = c->ring.head_dim, dims = kv_cell_dims(dim), cell = position % (c->ring.blocks * KV_BLOCK);
    size_t block = cell / KV_BLOCK, lane = cell % KV_BLOCK;
    size_t index = key ? block * KV_BLOCK * dims + d * KV_BLOCK + lane : cell * dims + d;
    const unsigned char *at = key ? c->ring.keys : c->ring.values;
    if (c->type == KV_F32)
        return (double)load_f32(at + index * sizeof(float));
    if (c->type == KV_F16)
        return (double)f16_to_f32(load_u16(at + index * sizeof(uint16_t)));
    size_t scale = (block * kv_scales(c->type, dim) + d / KV_SCALE_DIMS) * KV_BLOCK + lane;
    size_t values = c->ring.blocks * KV_BLOCK * dims;
    return (double)(int8_t)at[index] * (double)load_f32(at + values + scale * sizeof(float));
}

static void fill(const cache *c, const attention_kernel *kernel, size_t positions, float size)
{
    size_t dim = c->ring.head_dim;
    guarded key = guarded_new(dim * sizeof(float)), value = guarded_new(dim * sizeof(float));
    for (size_t p = 0; p < positions; p++) {
        for (size_t d = 0; d < dim; d++) {
            ((float *)key.at)[d] = random_float() * size;
            ((float *)value.at)[d] = random_float() * 4;
        }
        kernel->store(&c->ring, p, key.at, value.at);
    }
    guarded_free(key);
    guarded_free(value);
}

/* ---- a tile, chunk by chunk, as the model's driver runs it ---- */

static void run_in(const attention_kernel *kernel, const attention_tile *tile, float *out, float *scratch,
                   attention_part sum, attention_part part)
{
    size_t rows = tile->tokens * tile->group, dim = tile->ring.head_dim;
    size_t first = tile->window != 0 && tile->position + 1 > tile->window ? tile->position + 1 - tile->window : 0;
    size_t chunk = first / ATTENTION_CHUNK, last = (tile->position + tile->tokens - 1) / ATTENTION_CHUNK;
    kernel->attend(tile, chunk, scratch, sum);
    while (++chunk <= last) {
        kernel->attend(tile, chunk, scratch, part);
        kernel->merge(sum, part, rows, dim);
    }
    for (size_t row = 0; row < rows; row++)
        for (size_t d = 0; d < dim; d++)
            out[row * dim + d] = sum.out[row * kv_cell_dims(dim) + d] / sum.sum[row];
}

static void run_tile(const attention_kernel *kernel, const attention_tile *tile, float *out)
{
    size_t rows = tile->tokens * tile->group, dim = tile->ring.head_dim, floats = attention_part_floats(rows, dim);
    guarded scratch = guarded_new(attention_scratch_floats(rows, dim) * sizeof(float));
    guarded sum = guarded_new(floats * sizeof(float)), part = guarded_new(floats * sizeof(float));
    run_in(kernel, tile, out, scratch.at, attention_part_at(sum.at, rows, dim), attention_part_at(part.at, rows, dim));
    guarded_free(scratch);
    guarded_free(sum);
    guarded_free(part);
}

/* Attention of one query in double precision. */
static void reference(const cache *c, const attention_tile *tile, size_t token, const float *q, double *out)
{
    size_t dim = tile->ring.head_dim, past = tile->position + token + 1;
    size_t first = tile->window != 0 && past > tile->window ? past - tile->window : 0;
    double *score = calloc(past, sizeof *score), most = -INFINITY, sum = 0;
    assert_non_null(score);
    for (size_t p = first; p < past; p++) {
        for (size_t d = 0; d < dim; d++)
            score[p] += (double)tile->scale * (double)q[d] * cached(c, true, p, d);
        most = score[p] > most ? score[p] : most;
    }
    memset(out, 0, dim * sizeof *out);
    for (size_t p = first; p < past; p++)
        sum += score[p] = exp(score[p] - most);
    for (size_t p = first; p < past; p++)
        for (size_t d = 0; d < dim; d++)
            out[d] += score[p] / sum * cached(c, false, p, d);
    free(score);
}

typedef struct shape {
    size_t dim, group, tokens, position, window, blocks, gap;
    float size; /* of keys: scores are up to this × dim ÷ 2 */
} shape;

static void check_shape(const attention_kernel *kernel, kv_type type, shape s)
{
    cache c = cache_new(type, s.blocks, s.dim, s.gap);
    fill(&c, kernel, s.position + s.tokens, s.size);
    size_t width = s.group * s.dim, stride = width + 3;
    guarded q = random_floats((s.tokens - 1) * stride + width), out = guarded_new(s.tokens * width * sizeof(float));
    attention_tile tile = {
        .q = q.at,
        .q_stride = stride,
        .tokens = s.tokens,
        .group = s.group,
        .scale = 0.5f,
        .position = s.position,
        .window = s.window,
        .ring = c.ring,
    };
    run_tile(kernel, &tile, out.at);
    double *want = calloc(s.dim, sizeof *want);
    assert_non_null(want);
    for (size_t row = 0; row < s.tokens * s.group; row++) {
        const float *query = tile.q + row / s.group * stride + row % s.group * s.dim;
        reference(&c, &tile, row / s.group, query, want);
        for (size_t d = 0; d < s.dim; d++) {
            double got = (double)((float *)out.at)[row * s.dim + d];
            if (!(fabs(got - want[d]) < 2e-5 * (1 + (double)s.size)))
                fail_msg("%s %d: dim %zu group %zu tokens %zu position %zu window %zu: row %zu dim %zu is %g, not %g",
                         kernel->name, (int)type, s.dim, s.group, s.tokens, s.position, s.window, row, d, got, want[d]);
        }
    }
    /* The same tokens one at a time: the same bits. */
    float *one = calloc(width, sizeof *one);
    assert_non_null(one);
    for (size_t t = 0; t < s.tokens; t++) {
        attention_tile alone = tile;
        alone.q += t * stride;
        alone.tokens = 1;
        alone.position += t;
        run_tile(kernel, &alone, one);
        assert_memory_equal(one, (float *)out.at + t * width, width * sizeof *one);
    }
    free(one);
    free(want);
    guarded_free(q);
    guarded_free(out);
    cache_free(&c);
}

static void check_everywhere(shape s)
{
    for (int type = 0; type < KV_TYPE_COUNT; type++) {
        const attention_kernel *before = NULL, *kernel;
        for (size_t level = 0; level < LEVELS; level++, before = kernel) {
            kernel = kernel_of(level, (kv_type)type);
            if (kernel != before) /* or this level has added nothing */
                check_shape(kernel, (kv_type)type, s);
        }
    }
}

static void every_head_size(void **state)
{
    (void)state;
    for (size_t dim = 1; dim <= 66; dim += dim < 36 ? 1 : 2)
        check_everywhere((shape){dim, 1 + dim % 3, 2, 20 + dim, 0, 6, dim % 4, 1});
    static const size_t dims[] = {80, 96, 112, 128, 160, 192, 256, 320};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        check_everywhere((shape){dims[i], 2, 3, 37, 0, 3, i % 2, 0.5f});
}

static void every_group(void **state)
{
    (void)state;
    for (size_t group = 1; group <= 19; group++)
        check_everywhere((shape){32, group, 1, 40 + group, 0, 4, 0, 1});
    for (size_t tokens = 1; tokens <= 26; tokens++)
        check_everywhere((shape){18, 1 + tokens % 8, tokens, 31 - tokens, 0, 2, 0, 1});
}

/* Chunks begin and end at every place of a tile. */
static void chunk_bounds(void **state)
{
    (void)state;
    for (size_t position = ATTENTION_CHUNK - 20; position <= ATTENTION_CHUNK + 2; position++)
        check_everywhere((shape){16, 3, 19, position, 0, 20, 0, 2});
    check_everywhere((shape){48, 2, 5, 5 * ATTENTION_CHUNK - 2, 0, 81, 1, 2});
}

/* The ring turns several times, with windows that end anywhere in it. */
static void windows_in_turning_rings(void **state)
{
    (void)state;
    for (size_t window = 1; window <= 65; window += 4)
        for (size_t tokens = 1; tokens <= 16; tokens += 5)
            check_everywhere((shape){20, 2, tokens, 200 + 7 * window, window,
                                     (window + tokens - 1 + KV_BLOCK - 1) / KV_BLOCK, window % 3, 1});
    check_everywhere((shape){24, 3, 9, 1000, 300, 20, 0, 1});
    check_everywhere((shape){24, 3, 9, 1023, 520, 33, 0, 1});
}

/* Scores hundreds apart: the largest decides, nothing overflows. */
static void extreme_scores(void **state)
{
    (void)state;
    check_everywhere((shape){32, 2, 3, 300, 0, 19, 0, 100});
    for (size_t level = 0; level < LEVELS; level++) {
        cache c = cache_new(KV_F32, 1, 4, 0);
        const attention_kernel *kernel = kernel_of(level, KV_F32);
        const float q[4] = {1000}, keys[3][4] = {{-1000}, {900}, {1000}}, values[3][4] = {{1}, {2}, {3, 5}};
        for (size_t p = 0; p < 3; p++)
            kernel->store(&c.ring, p, keys[p], values[p]);
        float out[4];
        attention_tile tile = {.q = q, .tokens = 1, .group = 1, .scale = 1, .position = 2, .ring = c.ring};
        run_tile(kernel, &tile, out);
        assert_true(out[0] == 3 && out[1] == 5 && out[2] == 0);
        cache_free(&c);
    }
}

/* What stands in cells that a token does not see, from another line of conversation, does not reach it; what is not a
 * number among those it sees is not hidden. */
static void unseen_cells(void **state)
{
    (void)state;
    for (size_t level = 0; level < LEVELS; level++)
        for (int type = 0; type < KV_TYPE_COUNT; type++) {
            enum { DIM = 16, SEEN = 21 };
            const attention_kernel *kernel = kernel_of(level, (kv_type)type);
            cache c = cache_new((kv_type)type, 3, DIM, 0);
            fill(&c, kernel, 48, 1);
            float broken[DIM], q[DIM] = {1, 2, 3}, before[DIM], after[DIM];
            for (size_t d = 0; d < DIM; d++)
                broken[d] = NAN;
            attention_tile tile = {
                .q = q, .tokens = 1, .group = 1, .scale = 1, .position = SEEN - 1, .window = 7, .ring = c.ring};
            run_tile(kernel, &tile, before);
            for (size_t p = SEEN; p < 48 + SEEN - 7; p++)
                kernel->store(&c.ring, p, broken, broken);
            run_tile(kernel, &tile, after);
            assert_memory_equal(before, after, sizeof before);
            kernel->store(&c.ring, SEEN - 2, broken, broken);
            run_tile(kernel, &tile, after);
            assert_true(isnan(after[0]) && isnan(after[DIM - 1]));
            cache_free(&c);
        }
}

/* ---- storing ---- */

static double stored_error(kv_type type, const float *group, size_t count, double value)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) /* not by fmax: gcc 12 for aarch64 fails at that */
        most = fabs((double)group[i]) > most ? fabs((double)group[i]) : most;
    return type == KV_F32 ? 0 : type == KV_F16 ? fabs(value) * 0x1p-11 + 0x1p-25 : most / 127 * 0.5001;
}

static void stored_numbers(void **state)
{
    (void)state;
    for (int type = 0; type < KV_TYPE_COUNT; type++)
        for (size_t dim = 1; dim <= 70; dim += 3) {
            guarded numbers = random_floats(2 * dim);
            float *key = numbers.at, *value = key + dim;
            for (size_t i = 0; i < 2 * dim; i++)
                key[i] *= i % 5 == 0 ? 1e-6f : i % 7 == 0 ? 100.0f : 1.0f;
            cache first = {0};
            for (size_t level = 0; level < LEVELS; level++) {
                const attention_kernel *kernel = kernel_of(level, (kv_type)type);
                cache c = cache_new((kv_type)type, 2, dim, level);
                kernel->store(&c.ring, 32 + 19, key, value);
                for (size_t d = 0; d < dim; d++) {
                    size_t group = d / KV_SCALE_DIMS * KV_SCALE_DIMS, count = dim - group;
                    count = count < KV_SCALE_DIMS ? count : KV_SCALE_DIMS;
                    double k = cached(&c, true, 19, d), v = cached(&c, false, 19, d);
                    assert_true(fabs(k - (double)key[d]) <= stored_error(c.type, key + group, count, (double)key[d]));
                    assert_true(fabs(v - (double)value[d]) <=
                                stored_error(c.type, value + group, count, (double)value[d]));
                }
                /* A cache may move to another machine: the same bytes whoever wrote them. */
                if (level == 0) {
                    first = c;
                    continue;
                }
                assert_memory_equal(first.ring.keys, c.ring.keys, 2 * kv_block_bytes(c.type, dim));
                assert_memory_equal(first.ring.values, c.ring.values, 2 * kv_block_bytes(c.type, dim));
                cache_free(&c);
            }
            cache_free(&first);
            guarded_free(numbers);
        }
}

/* f16 saturates; in q8, zeros and the smallest numbers stay finite. */
static void stored_extremes(void **state)
{
    (void)state;
    for (size_t level = 0; level < LEVELS; level++) {
        const float key[4] = {1e9f, -1e9f, 65504, 1e-12f}, tiny[4] = {1e-44f, -1e-44f, 0, 0};
        cache half = cache_new(KV_F16, 1, 4, 0), bytes = cache_new(KV_Q8, 1, 4, 0);
        kernel_of(level, KV_F16)->store(&half.ring, 5, key, key);
        for (int k = 0; k < 2; k++) {
            assert_true(cached(&half, k == 0, 5, 0) == 65504 && cached(&half, k == 0, 5, 1) == -65504);
            assert_true(cached(&half, k == 0, 5, 2) == 65504 && cached(&half, k == 0, 5, 3) == 0);
        }
        kernel_of(level, KV_Q8)->store(&bytes.ring, 5, tiny, tiny);
        for (size_t d = 0; d < 4; d++)
            assert_true(fabs(cached(&bytes, true, 5, d)) < 1e-40);
        cache_free(&half);
        cache_free(&bytes);
    }
}

/* ---- the exponential function ---- */

static void exponential(void **state)
{
    (void)state;
    double worst = 0;
    for (double x = -87; x < 88; x += 0.00037) {
        float in = (float)x;
        double want = exp((double)in), got = (double)lanes_exp(lanes_splat(in))[1];
        worst = fmax(worst, fabs(got - want) / want);
    }
    assert_true(worst < 1.5e-7);
    const float special[4] = {-INFINITY, -88, 0, NAN};
    lanes e = lanes_exp(lanes_load(special));
    assert_true(e[0] == 0 && e[1] == 0 && e[2] == 1 && isnan(e[3]));
    assert_true(isfinite(lanes_exp(lanes_splat(INFINITY))[0]));
}

/* ---- what it reaches ---- */

typedef struct model_shape {
    const char *name;
    size_t kv_heads, group, dim;
} model_shape;

/* Of this thread alone: the machine may be busy. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Rows of one layer after another, of so many layers that no cache of the processor holds them. */
static double bench_pass(const attention_kernel *kernel, const model_shape *m, const cache *caches, size_t count,
                         size_t tokens, size_t depth)
{
    size_t rows = tokens * m->group, floats = attention_part_floats(rows, m->dim);
    guarded q = random_floats(rows * m->dim), out = random_floats(rows * m->dim);
    guarded scratch = random_floats(attention_scratch_floats(rows, m->dim));
    guarded sum = random_floats(floats), part = random_floats(floats);
    double start = cpu_seconds();
    for (size_t i = 0; i < count; i++) {
        attention_tile tile = {q.at, m->group * m->dim, tokens, m->group, 0.1f, depth, 0, caches[i].ring};
        run_in(kernel, &tile, out.at, scratch.at, attention_part_at(sum.at, rows, m->dim),
               attention_part_at(part.at, rows, m->dim));
    }
    double seconds = cpu_seconds() - start;
    guarded_free(q);
    guarded_free(out);
    guarded_free(scratch);
    guarded_free(sum);
    guarded_free(part);
    return seconds;
}

static void bench(size_t level, kv_type type, const model_shape *m, size_t tokens, size_t depth)
{
    enum { BYTES = 96 << 20 };
    const attention_kernel *kernel = kernel_of(level, type);
    size_t blocks = (depth + tokens) / KV_BLOCK + 1, bytes = 2 * blocks * kv_block_bytes(type, m->dim);
    size_t count = tokens > 1 ? m->kv_heads : BYTES / bytes;
    cache *caches = calloc(count, sizeof *caches);
    assert_non_null(caches);
    for (size_t i = 0; i < count; i++) {
        caches[i] = cache_new(type, blocks, m->dim, 0);
        fill(&caches[i], kernel, depth + tokens, 1);
    }
    double best = INFINITY;
    for (int i = 0; i < 5; i++)
        best = fmin(best, bench_pass(kernel, m, caches, count, tokens, depth));
    for (size_t i = 0; i < count; i++)
        cache_free(&caches[i]);
    free(caches);
    static const char *const names[] = {"f16", "f32", "q8"};
    double products = (double)(tokens * m->group * depth * m->dim * 4) * (double)count;
    printf("%-8s %-4s %-14s tokens %2zu after %zu: %8.1f us %6.1f GB/s %6.1f Gflop/s\n", kernel->name, names[type],
           m->name, tokens, depth, best * 1e6, (double)(bytes * count) / best * 1e-9, products / best * 1e-9);
}

static int run_bench(const char *only)
{
    static const model_shape models[] = {
        {"SmolLM2-135M", 3, 3, 64}, {"Qwen2.5-0.5B", 2, 7, 64}, {"Qwen3-0.6B", 8, 2, 128}, {"Gemma-3-270M", 1, 4, 256}};
    for (size_t level = 0; level < LEVELS; level++)
        for (int type = 0; type < KV_TYPE_COUNT; type++)
            for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
                if (only != NULL && strcmp(only, kernel_of(level, (kv_type)type)->name) != 0)
                    continue;
                bench(level, (kv_type)type, &models[m], 1, 4096);
                bench(level, (kv_type)type, &models[m], 48 / models[m].group, 4096);
            }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0)
        return run_bench(argc > 2 ? argv[2] : NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_head_size),          cmocka_unit_test(every_group),     cmocka_unit_test(chunk_bounds),
        cmocka_unit_test(windows_in_turning_rings), cmocka_unit_test(extreme_scores),  cmocka_unit_test(unseen_cells),
        cmocka_unit_test(stored_numbers),           cmocka_unit_test(stored_extremes), cmocka_unit_test(exponential),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
