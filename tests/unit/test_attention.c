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
static const uint32_t levels[] = {
    0,
    CPU_AVX2 | CPU_F16C | CPU_NEON,
    CPU_AVX2 | CPU_F16C | CPU_AVX_VNNI,
    CPU_AVX2 | CPU_F16C | CPU_NEON | CPU_AVX512 | CPU_DOTPROD,
    UINT32_MAX,
};
enum { TWIN = 2, LEVELS = sizeof levels / sizeof *levels };

#if defined(__x86_64__)
/* The kernels of AVX-VNNI, compiled for AVX-512 VNNI: few processors have the one without the other. */
extern const key_kernel keys_int8_avxvnni_twin[KV_TYPE_COUNT];
extern const value_kernel values_int8_avxvnni_twin[KV_TYPE_COUNT];
#endif

static attention_kernels kernels_of(size_t level)
{
    kernel_table kernels;
    kernel_table_init(&kernels, levels[level] & cpu_features());
#if defined(__x86_64__)
    for (kv_type type = KV_Q8; type <= KV_Q4 && level == TWIN && (cpu_features() & CPU_AVX512_VNNI) != 0; type++) {
        kernels.attention.keys[type] = &keys_int8_avxvnni_twin[type];
        kernels.attention.values[type] = &values_int8_avxvnni_twin[type];
    }
#endif
    return kernels.attention;
}

static attention_choice choice_of(size_t level, kv_type type)
{
    attention_kernels all = kernels_of(level);
    return (attention_choice){all.keys[type], all.values[type], all.softmax};
}

/* ---- the pages of a KV head, and what they should hold ---- */

typedef struct cache {
    kv_type type;
    size_t dim;
    guarded keys, values; /* one page behind the other, the last one short */
} cache;

/* Room for so many positions; it ends `gap` bytes before a page that must not be touched. */
static cache cache_new(kv_type type, size_t positions, size_t dim, size_t gap)
{
    size_t bytes = (positions + KV_BLOCK - 1) / KV_BLOCK * kv_block_bytes(type, dim) + gap;
    return (cache){type, dim, guarded_new(bytes), guarded_new(bytes)};
}

static void cache_free(cache *c)
{
    guarded_free(c->keys);
    guarded_free(c->values);
}

static kv_page page_of(const cache *c, size_t chunk)
{
    size_t at = chunk * (ATTENTION_CHUNK / KV_BLOCK) * kv_block_bytes(c->type, c->dim);
    return (kv_page){(unsigned char *)c->keys.at + at, (unsigned char *)c->values.at + at};
}

/* A number of the cache, read as attention_kernels.h draws it. */
static double cached(const cache *c, bool key, size_t position, size_t d)
{
    size_t dims = kv_cell_dims(c->dim), lane = position % KV_BLOCK;
    const unsigned char *block = (const unsigned char *)(key ? c->keys.at : c->values.at) +
                                 position / KV_BLOCK * kv_block_bytes(c->type, c->dim);
    size_t index = key ? d * KV_BLOCK + lane : lane * dims + d;
    if (c->type == KV_F32)
        return (double)load_f32(block + index * sizeof(float));
    if (c->type == KV_F16)
        return (double)f16_to_f32(load_u16(block + index * sizeof(uint16_t)));
    static const int table[16] = {-127, -96, -75, -58, -44, -31, -18, -6, 6, 18, 31, 44, 58, 75, 96, 127};
    double scale = (double)f16_to_f32(load_u16(block + kv_block_bytes(c->type, c->dim) - 2 * (KV_BLOCK - lane)));
    if (c->type == KV_Q8) {
        index = key ? (d / 4 * KV_BLOCK + lane) * 4 + d % 4 : (lane / 4 * dims + d) * 4 + lane % 4;
        return (int8_t)block[index] * scale;
    }
    index = key ? (d / 8 * KV_BLOCK + lane) * 4 + d % 4 : (lane / 4 * dims / 2 + d / 16 * 8 + d % 8) * 4 + lane % 4;
    bool high = key ? d % 8 >= 4 : d % 16 >= 8;
    return table[high ? block[index] >> 4 : block[index] & 15] * scale;
}

static void store(const cache *c, attention_choice kernels, size_t position, const float *key, const float *value)
{
    size_t at = position / KV_BLOCK * kv_block_bytes(c->type, c->dim), lane = position % KV_BLOCK;
    kernels.keys->store((unsigned char *)c->keys.at + at, lane, key, c->dim);
    kernels.values->store((unsigned char *)c->values.at + at, lane, value, c->dim);
}

static void fill(const cache *c, attention_choice kernels, size_t positions, float size)
{
    guarded key = guarded_new(c->dim * sizeof(float)), value = guarded_new(c->dim * sizeof(float));
    for (size_t p = 0; p < positions; p++) {
        for (size_t d = 0; d < c->dim; d++) {
            ((float *)key.at)[d] = random_float() * size;
            ((float *)value.at)[d] = random_float() * 4;
        }
        store(c, kernels, p, key.at, value.at);
    }
    guarded_free(key);
    guarded_free(value);
}

/* ---- a tile, chunk by chunk, as the model's driver runs it ---- */

static void run_in(attention_choice kernels, const cache *c, const attention_tile *tile, float *out, float *scratch,
                   attention_part sum, attention_part part)
{
    size_t rows = tile->tokens * tile->group, dim = tile->head_dim;
    size_t first = tile->window != 0 && tile->position + 1 > tile->window ? tile->position + 1 - tile->window : 0;
    size_t chunk = first / ATTENTION_CHUNK, last = (tile->position + tile->tokens - 1) / ATTENTION_CHUNK;
    attention_begin(&kernels, tile, scratch);
    attention_attend(&kernels, tile, chunk, page_of(c, chunk), scratch, sum);
    while (++chunk <= last) {
        attention_attend(&kernels, tile, chunk, page_of(c, chunk), scratch, part);
        kernels.softmax->merge(sum, part, rows, dim);
    }
    for (size_t row = 0; row < rows; row++)
        for (size_t d = 0; d < dim; d++)
            out[row * dim + d] = sum.out[row * kv_cell_dims(dim) + d] / sum.sum[row];
}

static void run_tile(attention_choice kernels, const cache *c, const attention_tile *tile, float *out)
{
    size_t rows = tile->tokens * tile->group, dim = tile->head_dim, floats = attention_part_floats(rows, dim);
    guarded scratch = guarded_new(attention_scratch_floats(rows, dim) * sizeof(float));
    guarded sum = guarded_new(floats * sizeof(float)), part = guarded_new(floats * sizeof(float));
    run_in(kernels, c, tile, out, scratch.at, attention_part_at(sum.at, rows, dim),
           attention_part_at(part.at, rows, dim));
    guarded_free(scratch);
    guarded_free(sum);
    guarded_free(part);
}

/* Attention of one query in double precision. */
static void reference(const cache *c, const attention_tile *tile, size_t token, const float *q, double *out)
{
    size_t dim = tile->head_dim, past = tile->position + token + 1;
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
    size_t dim, group, tokens, position, window, gap;
    float size; /* of keys: scores are up to this × dim ÷ 2 */
} shape;

/* How far a result may lie from the reference. Sums of floats are off by their last bits. In q8 queries are rounded to a
 * 127th of their largest number, which moves scores of this size by a hundredth of `size` × √dim, and weights to a 255th of
 * the largest; values are up to 4. */
static double bound(kv_type type, shape s)
{
    return !kv_is_rotated(type) ? 2e-5 * (1 + (double)s.size) : 0.02 + 0.02 * (double)s.size * sqrt((double)s.dim);
}

/* The same integers on every instruction set: given the same weights, the products have the same bits. */
static void check_twin(attention_choice kernels, const cache *c, const attention_tile *tile)
{
    attention_choice twin = choice_of(0, c->type);
    size_t rows = tile->tokens * tile->group, past = tile->position + tile->tokens;
    size_t scores = rows * SCORE_STRIDE, out = rows * kv_cell_dims(tile->head_dim);
    size_t end = past < ATTENTION_CHUNK ? past : ATTENTION_CHUNK;
    seen_positions seen = {0, end / 3, end, end / 3 / KV_BLOCK, (end + KV_BLOCK - 1) / KV_BLOCK};
    guarded own = random_floats(attention_own_floats(rows));
    guarded q = random_floats(attention_query_floats(rows, tile->head_dim));
    guarded a = random_floats(scores), b = guarded_new(scores * sizeof(float));
    guarded mixed_a = random_floats(out), mixed_b = random_floats(out);
    memcpy(b.at, a.at, scores * sizeof(float));
    kernels.keys->prepare(tile, q.at);
    kernels.keys->score(tile, q.at, page_of(c, 0).keys, &seen, a.at);
    twin.keys->prepare(tile, q.at);
    twin.keys->score(tile, q.at, page_of(c, 0).keys, &seen, b.at);
    assert_memory_equal(a.at, b.at, scores * sizeof(float));
    for (size_t i = 0; i < scores; i++) {
        size_t p = i % SCORE_STRIDE;
        ((float *)a.at)[i] = p < seen.begin || p >= seen.end ? 0 : fabsf(random_float()) / (float)(1 + i % 7);
    }
    kernels.values->mix(tile, page_of(c, 0).values, &seen, a.at, mixed_a.at, own.at);
    twin.values->mix(tile, page_of(c, 0).values, &seen, a.at, mixed_b.at, own.at);
    assert_memory_equal(mixed_a.at, mixed_b.at, out * sizeof(float));
    guarded_free(own);
    guarded_free(q);
    guarded_free(a);
    guarded_free(b);
    guarded_free(mixed_a);
    guarded_free(mixed_b);
}

/* The same tokens one at a time: the same bits. */
static void check_alone(attention_choice kernels, const cache *c, const attention_tile *tile, const float *out)
{
    size_t width = tile->group * tile->head_dim;
    guarded one = guarded_new(width * sizeof(float));
    for (size_t t = 0; t < tile->tokens; t++) {
        attention_tile alone = *tile;
        alone.q += t * tile->q_stride;
        alone.tokens = 1;
        alone.position += t;
        run_tile(kernels, c, &alone, one.at);
        assert_memory_equal(one.at, out + t * width, width * sizeof(float));
    }
    guarded_free(one);
}

static void check_numbers(attention_choice kernels, const cache *c, const attention_tile *tile, const float *out,
                          shape s)
{
    double *want = calloc(s.dim, sizeof *want);
    assert_non_null(want);
    for (size_t row = 0; row < s.tokens * s.group; row++) {
        const float *query = tile->q + row / s.group * tile->q_stride + row % s.group * s.dim;
        reference(c, tile, row / s.group, query, want);
        for (size_t d = 0; d < s.dim; d++) {
            double got = (double)out[row * s.dim + d];
            if (!(fabs(got - want[d]) < bound(c->type, s)))
                fail_msg("%s %d: dim %zu group %zu tokens %zu position %zu window %zu: row %zu dim %zu is %g, not %g",
                         kernels.keys->name, (int)c->type, s.dim, s.group, s.tokens, s.position, s.window, row, d, got,
                         want[d]);
        }
    }
    free(want);
}

static void check_shape(attention_choice kernels, kv_type type, shape s)
{
    cache c = cache_new(type, s.position + s.tokens, s.dim, s.gap);
    fill(&c, kernels, s.position + s.tokens, s.size);
    size_t width = s.group * s.dim, stride = width + 3;
    guarded q = random_floats((s.tokens - 1) * stride + width), out = guarded_new(s.tokens * width * sizeof(float));
    attention_tile tile = {
        .q = q.at,
        .q_stride = stride,
        .tokens = s.tokens,
        .group = s.group,
        .head_dim = s.dim,
        .scale = 0.5f,
        .position = s.position,
        .window = s.window,
    };
    run_tile(kernels, &c, &tile, out.at);
    check_numbers(kernels, &c, &tile, out.at, s);
    check_alone(kernels, &c, &tile, out.at);
    if (kv_is_rotated(type))
        check_twin(kernels, &c, &tile);
    guarded_free(q);
    guarded_free(out);
    cache_free(&c);
}

static void check_everywhere(shape s)
{
    for (int type = 0; type < KV_TYPE_COUNT; type++) {
        attention_choice before = {0}, kernels;
        for (size_t level = 0; level < LEVELS; before = kernels, level++) {
            kernels = choice_of(level, (kv_type)type);
            if (memcmp(&kernels, &before, sizeof before) != 0) /* or this level has added nothing */
                check_shape(kernels, (kv_type)type, s);
        }
    }
}

static void every_head_size(void **state)
{
    (void)state;
    for (size_t dim = 1; dim <= 66; dim += dim < 36 ? 1 : 2)
        check_everywhere((shape){dim, 1 + dim % 3, 2, 20 + dim, 0, dim % 4, 1});
    static const size_t dims[] = {80, 96, 112, 128, 160, 192, 256, 320};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        check_everywhere((shape){dims[i], 2, 3, 37, 0, i % 2, 0.5f});
}

static void every_group(void **state)
{
    (void)state;
    for (size_t group = 1; group <= 19; group++)
        check_everywhere((shape){32, group, 1, 40 + group, 0, 0, 1});
    for (size_t tokens = 1; tokens <= 26; tokens++)
        check_everywhere((shape){18, 1 + tokens % 8, tokens, 31 - tokens, 0, 0, 1});
}

/* Chunks begin and end at every place of a tile. */
static void chunk_bounds(void **state)
{
    (void)state;
    for (size_t position = ATTENTION_CHUNK - 20; position <= ATTENTION_CHUNK + 2; position++)
        check_everywhere((shape){16, 3, 19, position, 0, 0, 2});
    check_everywhere((shape){48, 2, 5, 5 * ATTENTION_CHUNK - 2, 0, 1, 2});
}

/* Windows that begin anywhere in a chunk and end anywhere in it or in a later one. */
static void windows(void **state)
{
    (void)state;
    for (size_t window = 1; window <= 65; window += 4)
        for (size_t tokens = 1; tokens <= 16; tokens += 5)
            check_everywhere((shape){20, 2, tokens, 200 + 7 * window, window, window % 3, 1});
    check_everywhere((shape){24, 3, 9, 1000, 300, 0, 1});
    check_everywhere((shape){24, 3, 9, 1023, 520, 0, 1});
}

/* Scores hundreds apart: the largest decides, nothing overflows. */
static void extreme_scores(void **state)
{
    (void)state;
    check_everywhere((shape){32, 2, 3, 300, 0, 0, 100});
    for (size_t level = 0; level < LEVELS; level++) {
        cache c = cache_new(KV_F32, 3, 4, 0);
        attention_choice kernels = choice_of(level, KV_F32);
        const float q[4] = {1000}, keys[3][4] = {{-1000}, {900}, {1000}}, values[3][4] = {{1}, {2}, {3, 5}};
        for (size_t p = 0; p < 3; p++)
            store(&c, kernels, p, keys[p], values[p]);
        float out[4];
        attention_tile tile = {.q = q, .tokens = 1, .group = 1, .head_dim = 4, .scale = 1, .position = 2};
        run_tile(kernels, &c, &tile, out);
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
            enum { DIM = 16, SEEN = 21, WINDOW = 7, ALL = 48 };
            attention_choice kernels = choice_of(level, (kv_type)type);
            cache c = cache_new((kv_type)type, ALL, DIM, 0);
            fill(&c, kernels, ALL, 1);
            float broken[DIM], q[DIM] = {1, 2, 3}, before[DIM], after[DIM];
            for (size_t d = 0; d < DIM; d++)
                broken[d] = NAN;
            attention_tile tile = {
                .q = q, .tokens = 1, .group = 1, .head_dim = DIM, .scale = 1, .position = SEEN - 1, .window = WINDOW};
            run_tile(kernels, &c, &tile, before);
            for (size_t p = 0; p < ALL; p++)
                if (p < SEEN - WINDOW || p >= SEEN)
                    store(&c, kernels, p, broken, broken);
            run_tile(kernels, &c, &tile, after);
            assert_memory_equal(before, after, sizeof before);
            store(&c, kernels, SEEN - 2, broken, broken);
            run_tile(kernels, &c, &tile, after);
            assert_true(isnan(after[0]) && isnan(after[DIM - 1]));
            cache_free(&c);
        }
}

/* A query that is not a number gives no number, and does not disturb its neighbours. */
static void broken_queries(void **state)
{
    (void)state;
    for (size_t level = 0; level < LEVELS; level++)
        for (int type = 0; type < KV_TYPE_COUNT; type++) {
            enum { DIM = 8, ROWS = 3 };
            attention_choice kernels = choice_of(level, (kv_type)type);
            cache c = cache_new((kv_type)type, 10, DIM, 0);
            fill(&c, kernels, 10, 1);
            float q[ROWS][DIM] = {{1, 2}, {NAN}, {-1, 3}}, out[ROWS][DIM];
            attention_tile tile = {.q = q[0], .tokens = 1, .group = ROWS, .head_dim = DIM, .scale = 1, .position = 9};
            run_tile(kernels, &c, &tile, out[0]);
            assert_true(isfinite(out[0][0]) && isnan(out[1][0]) && isfinite(out[2][DIM - 1]));
            cache_free(&c);
        }
}

/* ---- storing ---- */

/* How far a stored number may lie from what it was. */
static double stored_error(kv_type type, const float *numbers, size_t count, double value)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) /* not by fmax: gcc 12 for aarch64 fails at that */
        most = fabs((double)numbers[i]) > most ? fabs((double)numbers[i]) : most;
    if (type ==
        KV_Q4) /* half the widest gap between levels is 15.5 of 127; the scale that serves all numbers best gives up more
                        * of the largest */
        return most * 0.25 + 1e-6;
    if (type == KV_Q8) /* half a level, and where the scale was rounded down to f16 the largest is cut off */
        return most / 127 * 0.5005 + most * 0x1p-11 + 127 * 0x1p-25;
    return type == KV_F32 ? 0 : fabs(value) * 0x1p-11 + 0x1p-25;
}

static void stored_numbers(void **state)
{
    (void)state;
    for (int type = 0; type < KV_TYPE_COUNT; type++)
        for (size_t dim = 1; dim <= 70; dim += 3) {
            enum { PLACE = 19, POSITIONS = 32 };
            guarded numbers = random_floats(2 * dim);
            float *key = numbers.at, *value = key + dim;
            for (size_t i = 0; i < 2 * dim; i++)
                key[i] *= i % 5 == 0 ? 1e-6f : i % 7 == 0 ? 100.0f : 1.0f;
            cache first = {0};
            for (size_t level = 0; level < LEVELS; level++) {
                cache c = cache_new((kv_type)type, POSITIONS, dim, level);
                store(&c, choice_of(level, (kv_type)type), PLACE, key, value);
                for (size_t d = 0; d < dim; d++) {
                    double k = cached(&c, true, PLACE, d), v = cached(&c, false, PLACE, d);
                    assert_true(fabs(k - (double)key[d]) <= stored_error(c.type, key, dim, (double)key[d]));
                    assert_true(fabs(v - (double)value[d]) <= stored_error(c.type, value, dim, (double)value[d]));
                }
                /* A cache may move to another machine: the same bytes whoever wrote them. */
                if (level == 0) {
                    first = c;
                    continue;
                }
                size_t bytes = POSITIONS / KV_BLOCK * kv_block_bytes(c.type, dim);
                assert_memory_equal(first.keys.at, c.keys.at, bytes);
                assert_memory_equal(first.values.at, c.values.at, bytes);
                cache_free(&c);
            }
            cache_free(&first);
            guarded_free(numbers);
        }
}

/* f16 saturates; in q8, zeros, the smallest and the largest numbers stay finite. */
static void stored_extremes(void **state)
{
    (void)state;
    for (size_t level = 0; level < LEVELS; level++) {
        const float key[4] = {1e9f, -1e9f, 65504, 1e-12f}, tiny[4] = {1e-44f, -1e-44f, 0, 0};
        const float huge[4] = {3e38f, -1e30f, 1, 0};
        cache half = cache_new(KV_F16, 6, 4, 0), bytes = cache_new(KV_Q8, 6, 4, 0);
        store(&half, choice_of(level, KV_F16), 5, key, key);
        for (int k = 0; k < 2; k++) {
            assert_true(cached(&half, k == 0, 5, 0) == 65504 && cached(&half, k == 0, 5, 1) == -65504);
            assert_true(cached(&half, k == 0, 5, 2) == 65504 && cached(&half, k == 0, 5, 3) == 0);
        }
        store(&bytes, choice_of(level, KV_Q8), 5, tiny, huge);
        for (size_t d = 0; d < 4; d++)
            assert_true(fabs(cached(&bytes, true, 5, d)) < 1e-40 && isfinite(cached(&bytes, false, 5, d)));
        assert_true(cached(&bytes, false, 5, 0) == 127.0 * 65504 && cached(&bytes, false, 5, 3) == 0);
        cache_free(&half);
        cache_free(&bytes);
    }
}

/* ---- rotating ---- */

/* Twice is once around; lengths and dot products stay; one large number is spread over all. */
static void rotation(void **state)
{
    (void)state;
    for (size_t level = 0; level < LEVELS; level++) {
        attention_kernels kernels = kernels_of(level);
        for (size_t dim = 1; dim <= 256; dim += dim < 40 ? 1 : 8) {
            guarded a = random_floats(dim), b = random_floats(dim), before = guarded_new(dim * sizeof(float));
            float *x = a.at, *y = b.at, *was = before.at;
            double dot = 0, turned = 0;
            memcpy(was, x, dim * sizeof *x);
            for (size_t i = 0; i < dim; i++)
                dot += (double)x[i] * (double)y[i];
            kernels.softmax->rotate(x, dim);
            kernels.softmax->rotate(y, dim);
            for (size_t i = 0; i < dim; i++)
                turned += (double)x[i] * (double)y[i];
            assert_true(fabs(dot - turned) < 1e-5 * (double)dim);
            kernels.softmax->rotate(x, dim);
            for (size_t i = 0; i < dim; i++)
                assert_true(fabsf(x[i] - was[i]) < 1e-5f);
            guarded_free(a);
            guarded_free(b);
            guarded_free(before);
        }
        float peak[96] = {[70] = 8};
        kernels.softmax->rotate(peak, 96);
        for (size_t i = 64; i < 96; i++)
            assert_true(fabsf(fabsf(peak[i]) - 8 / sqrtf(32)) < 1e-6f);
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
static double bench_pass(attention_choice kernels, const model_shape *m, const cache *caches, size_t count,
                         size_t tokens, size_t depth)
{
    size_t rows = tokens * m->group, floats = attention_part_floats(rows, m->dim);
    guarded q = random_floats(rows * m->dim), out = random_floats(rows * m->dim);
    guarded scratch = random_floats(attention_scratch_floats(rows, m->dim));
    guarded sum = random_floats(floats), part = random_floats(floats);
    attention_tile tile = {q.at, m->group * m->dim, tokens, m->group, m->dim, 0.1f, depth, 0};
    double start = cpu_seconds();
    for (size_t i = 0; i < count; i++)
        run_in(kernels, &caches[i], &tile, out.at, scratch.at, attention_part_at(sum.at, rows, m->dim),
               attention_part_at(part.at, rows, m->dim));
    double seconds = cpu_seconds() - start;
    guarded_free(q);
    guarded_free(out);
    guarded_free(scratch);
    guarded_free(sum);
    guarded_free(part);
    return seconds;
}

/* As an engine's memory is, where the system has them. */
static void as_large_pages(guarded memory)
{
    const uintptr_t large = (uintptr_t)1 << 21, start = (uintptr_t)memory.map;
    uintptr_t from = (start + large - 1) / large * large, to = (start + memory.map_bytes) / large * large;
    if (from < to)
        madvise((void *)from, to - from, MADV_HUGEPAGE);
}

static void bench(size_t level, kv_type type, const model_shape *m, size_t tokens, size_t depth)
{
    enum { BYTES = 64 << 20 };
    attention_choice kernels = choice_of(level, type);
    size_t blocks = (depth + tokens) / KV_BLOCK + 1, bytes = 2 * blocks * kv_block_bytes(type, m->dim);
    size_t count = tokens > 1 ? m->kv_heads : BYTES / bytes;
    cache all = cache_new(type, count * blocks * KV_BLOCK, m->dim, 0), *caches = calloc(count, sizeof *caches);
    assert_non_null(caches);
    as_large_pages(all.keys);
    as_large_pages(all.values);
    fill(&all, kernels, count * blocks * KV_BLOCK, 1);
    for (size_t i = 0; i < count; i++) {
        caches[i] = all;
        caches[i].keys.at = (unsigned char *)all.keys.at + i * bytes / 2;
        caches[i].values.at = (unsigned char *)all.values.at + i * bytes / 2;
    }
    double best = INFINITY;
    for (int i = 0; i < 5; i++)
        best = fmin(best, bench_pass(kernels, m, caches, count, tokens, depth));
    cache_free(&all);
    free(caches);
    static const char *const names[] = {"f16", "f32", "q8", "q4"};
    double products = (double)(tokens * m->group * depth * m->dim * 4) * (double)count;
    printf("%-11s %-4s %-14s tokens %2zu after %zu: %8.1f us %6.1f GB/s %6.1f Gflop/s\n", kernels.keys->name,
           names[type], m->name, tokens, depth, best * 1e6, (double)(bytes * count) / best * 1e-9,
           products / best * 1e-9);
}

static int run_bench(const char *only)
{
    static const model_shape models[] = {
        {"SmolLM2-135M", 3, 3, 64}, {"Qwen2.5-0.5B", 2, 7, 64}, {"Qwen3-0.6B", 8, 2, 128}, {"Gemma-3-270M", 1, 4, 256}};
    for (size_t level = 0; level < LEVELS; level++)
        for (int type = 0; type < KV_TYPE_COUNT; type++)
            for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
                if (only != NULL && strcmp(only, choice_of(level, (kv_type)type).keys->name) != 0)
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
        cmocka_unit_test(every_head_size), cmocka_unit_test(every_group),    cmocka_unit_test(chunk_bounds),
        cmocka_unit_test(windows),         cmocka_unit_test(extreme_scores), cmocka_unit_test(unseen_cells),
        cmocka_unit_test(broken_queries),  cmocka_unit_test(stored_numbers), cmocka_unit_test(stored_extremes),
        cmocka_unit_test(rotation),        cmocka_unit_test(exponential),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
