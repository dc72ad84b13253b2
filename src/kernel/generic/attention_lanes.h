/* Attention over a KV cache of floats: the body of the kernels of one instruction set for f16 and f32, and the softmax of any
 * type. The including file defines LANE_COUNT and what row_tiles.h asks for; it names its tables, and is compiled with its own
 * flags.
 *
 * For the rows of a tile (tokens × query heads) and the positions of a chunk:
 *
 *     scores[row][p] = scale · q[row] · k[p]               multiply: numbers of q, vectors of keys along positions
 *     weights        = exp(scores − their maximum)         positions that a row does not see become 0
 *     out[row]       = Σ_p weights[row][p] · v[p]          multiply: weights, vectors of values along dims
 *
 * Every sum has one lane of its own and runs over dims or positions in ascending order, whatever the tile: cutting it
 * otherwise does not change a bit. */
#ifndef MOTE_KERNEL_GENERIC_ATTENTION_LANES_H
#define MOTE_KERNEL_GENERIC_ATTENTION_LANES_H

#include <math.h>

#include "kernel/generic/kv_lanes.h"
#include "kernel/generic/row_tiles.h"

enum { RUN = RUN_BLOCKS * KV_BLOCK, ROTATED_VECTORS = 8 };

static inline size_t kv_value_bytes(kv_type type)
{
    return kv_value_bits(type) / 8;
}

/* ---- the product of both halves ---- */

/* sum[r][v] += Σ_k a[r × a_row + k × a_step] · vector at (panel[v] + k × step). The counts are constants wherever this is
 * inlined, and the sums stay in registers. Few rows wait for memory: they ask for what lies `ahead` bytes further on. */
INLINE void multiply(kv_type type, size_t rows, size_t vectors, const float *a, size_t a_row, size_t a_step,
                     const unsigned char *const panel[WIDE], size_t step, size_t ahead, size_t count,
                     lanes sum[TILE_ROWS][WIDE])
{
    for (size_t k = 0; k < count; k++) {
        for (size_t v = 0; v < vectors && rows <= FEW_ROWS; v++)
            fetch_later(panel[v] + k * step + ahead);
        lanes b[WIDE];
        for (size_t v = 0; v < vectors; v++)
            b[v] = load_kv(type, panel[v] + k * step);
        for (size_t r = 0; r < rows; r++) {
            lanes x = lanes_splat(a[r * a_row + k * a_step]);
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = lanes_fma(b[v], x, sum[r][v]);
        }
    }
}

/* ---- scores ---- */

/* A tile's queries and scores of a chunk. */
typedef struct score_view {
    const attention_tile *tile;
    const float *q; /* row tile by row tile, [head_dim][rows of the tile] */
    const unsigned char *keys;
    float *scores;
} score_view;

static void pack_queries(const attention_tile *tile, float *queries)
{
    size_t dim = tile->head_dim, rows = tile->tokens * tile->group;
    for (size_t row = 0, step; row < rows; row += step) {
        step = row_tile(rows - row);
        for (size_t r = 0; r < step; r++) {
            size_t t = (row + r) / tile->group, g = (row + r) % tile->group;
            const float *from = tile->q + t * tile->q_stride + g * dim;
            float *to = queries + row * dim + r;
            for (size_t d = 0; d < dim; d++)
                to[d * step] = from[d] * tile->scale;
        }
    }
}

enum { BLOCK_VECTORS = KV_BLOCK / LANE_COUNT };

/* Scores of `rows` rows with the positions of `vectors` vectors from vector `at` of the chunk. */
INLINE void score(size_t rows, size_t vectors, kv_type type, const score_view *c, size_t row, size_t at)
{
    size_t dim = c->tile->head_dim, bytes = kv_value_bytes(type), cell = kv_cell_dims(dim) * bytes;
    const unsigned char *panel[WIDE];
    lanes sum[TILE_ROWS][WIDE] = {{{0}}};
    for (size_t v = 0; v < vectors; v++) {
        size_t block = (at + v) / BLOCK_VECTORS, lane = (at + v) % BLOCK_VECTORS * LANE_COUNT;
        panel[v] = c->keys + block * KV_BLOCK * cell + lane * bytes;
    }
    multiply(type, rows, vectors, c->q + row * dim, 1, rows, panel, KV_BLOCK * bytes, WIDE * LANE_COUNT * cell, dim,
             sum);
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (size_t v = 0; v < vectors; v++)
            lanes_store(c->scores + (row + r) * SCORE_STRIDE + (at + v) * LANE_COUNT, sum[r][v]);
}

INLINE size_t score_rows(kv_type type, const score_view *c, size_t row, size_t rows, size_t at, size_t left)
{
#define PRODUCT(rows, vectors) score(rows, vectors, type, c, row, at)
    switch (rows) {
        ROW_TILES(ROW_TILE_CASE)
    }
#undef PRODUCT
    return left;
}

/* Positions of a chunk, from its begin, that a row sees, and no row before it sees more. */
static inline size_t end_for_row(const attention_tile *tile, const seen_positions *seen, size_t row)
{
    size_t past = tile->position + row / tile->group + 1; /* of the token's own position */
    return past > seen->base ? past - seen->base : 0;
}

/* Keys that all rows multiply before the next ones are read: WIDE vectors at a time. What lies behind the last that rows see
 * stays unwritten. */
INLINE void score_chunk(kv_type type, const attention_tile *tile, const float *queries, const unsigned char *keys,
                        const seen_positions *seen, float *scores)
{
    score_view c = {tile, queries, keys, scores};
    size_t last = seen->last * BLOCK_VECTORS, all_rows = tile->tokens * tile->group;
    for (size_t at = seen->first * BLOCK_VECTORS; at < last; at += WIDE) {
        size_t end = smaller(at + WIDE, last);
        for (size_t row = 0, rows; row < all_rows; row += rows) {
            rows = row_tile(all_rows - row);
            if (at * LANE_COUNT >= end_for_row(tile, seen, row + rows - 1))
                continue;
            for (size_t v = at; v < end;)
                v += score_rows(type, &c, row, rows, v, end - v);
        }
    }
}

/* ---- weights ---- */

static inline float lanes_most(lanes value)
{
    float most = value[0];
    for (size_t i = 1; i < LANE_COUNT; i++)
        most = value[i] > most ? value[i] : most;
    return most;
}

static inline float lanes_sum(lanes value)
{
    quad sum = lanes_fold(value);
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static void weigh_row(const attention_tile *tile, size_t row, const seen_positions *seen, float *scores,
                      attention_part part)
{
    size_t from = seen->first * KV_BLOCK, to = seen->last * KV_BLOCK, base = seen->base;
    size_t before = attention_first_seen(tile->position + row / tile->group, tile->window);
    size_t begin = before > base ? before - base : 0, end = end_for_row(tile, seen, row);
    begin = begin < from ? from : smaller(begin, to);
    end = end < begin ? begin : smaller(end, to);
    size_t first = begin / LANE_COUNT * LANE_COUNT, last = (end + LANE_COUNT - 1) / LANE_COUNT * LANE_COUNT;
    for (size_t i = first; i < begin; i++)
        scores[i] = -INFINITY;
    for (size_t i = end; i < last; i++)
        scores[i] = -INFINITY;
    lanes most = lanes_splat(-INFINITY), sum = {0};
    for (size_t i = first; i < last; i += LANE_COUNT)
        most = lanes_most_of(most, lanes_load(scores + i));
    float top = begin < end ? lanes_most(most) : 0;
    for (size_t i = first; i < last; i += LANE_COUNT) {
        lanes w = lanes_exp(lanes_load(scores + i) - top);
        lanes_store(scores + i, w);
        sum += w;
    }
    memset(scores + from, 0, (first - from) * sizeof *scores);
    memset(scores + last, 0, (to - last) * sizeof *scores);
    part.most[row] = top;
    part.sum[row] = lanes_sum(sum);
}

/* ---- values ---- */

/* A tile's weights and what they mix, of a chunk. */
typedef struct mix_view {
    const unsigned char *values;
    const float *weights;
    float *out;
    size_t dims;
} mix_view;

/* out += weights · values, for `vectors` vectors of dims from vector `at` and a run of positions from `from`. */
INLINE void mix(size_t rows, size_t vectors, kv_type type, const mix_view *c, size_t row, size_t at, size_t from,
                size_t count)
{
    size_t cell = c->dims * kv_value_bytes(type);
    const unsigned char *panel[WIDE];
    lanes sum[TILE_ROWS][WIDE];
    float *out = c->out + row * c->dims + at * LANE_COUNT;
#pragma GCC unroll 8
    for (size_t v = 0; v < vectors; v++) {
        panel[v] = c->values + from * cell + (at + v) * LANE_COUNT * kv_value_bytes(type);
#pragma GCC unroll 8
        for (size_t r = 0; r < rows; r++)
            sum[r][v] = lanes_load(out + r * c->dims + v * LANE_COUNT);
    }
    multiply(type, rows, vectors, c->weights + row * SCORE_STRIDE + from, SCORE_STRIDE, 1, panel, cell, RUN * cell,
             count, sum);
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (size_t v = 0; v < vectors; v++)
            lanes_store(out + r * c->dims + v * LANE_COUNT, sum[r][v]);
}

INLINE size_t mix_rows(kv_type type, const mix_view *c, size_t row, size_t rows, size_t at, size_t left, size_t from,
                       size_t count)
{
#define PRODUCT(rows, vectors) mix(rows, vectors, type, c, row, at, from, count)
    switch (rows) {
        ROW_TILES(ROW_TILE_CASE)
    }
#undef PRODUCT
    return left;
}

INLINE void mix_chunk(kv_type type, const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                      const float *weights, float *out)
{
    size_t all_rows = tile->tokens * tile->group;
    mix_view c = {values, weights, out, kv_cell_dims(tile->head_dim)};
    memset(out, 0, all_rows * c.dims * sizeof(float));
    for (size_t from = seen->begin, run; from < seen->end; from += run) {
        run = smaller(RUN - from % RUN, seen->end - from);
        for (size_t row = 0, rows; row < all_rows; row += rows) {
            rows = row_tile(all_rows - row);
            size_t end = end_for_row(tile, seen, row + rows - 1), count = end > from ? smaller(run, end - from) : 0;
            for (size_t at = 0, last = count > 0 ? c.dims / LANE_COUNT : 0; at < last;)
                at += mix_rows(type, &c, row, rows, at, last - at, from, count);
        }
    }
}

/* ---- merging ---- */

static void merge_parts(attention_part sum, attention_part part, size_t rows, size_t head_dim)
{
    size_t dims = kv_cell_dims(head_dim);
    for (size_t row = 0; row < rows; row++) {
        if (part.sum[row] == 0)
            continue;
        float *to = sum.out + row * dims;
        const float *from = part.out + row * dims;
        float most = sum.sum[row] == 0 || part.most[row] > sum.most[row] ? part.most[row] : sum.most[row];
        float keep = sum.sum[row] == 0 ? 0 : expf(sum.most[row] - most), take = expf(part.most[row] - most);
        for (size_t i = 0; i < dims; i += LANE_COUNT)
            lanes_store(to + i, lanes_fma(lanes_load(from + i), lanes_splat(take), lanes_load(to + i) * keep));
        sum.sum[row] = sum.sum[row] * keep + part.sum[row] * take;
        sum.most[row] = most;
    }
}

/* ---- rotating: Hadamard's matrix of a power of two (Sylvester's), a stage at a time, scaled to be orthogonal ---- */

/* The stages within a vector. */
static inline lanes rotate_lanes(lanes value)
{
    value = LANES_BUTTERFLY(value, 1);
    value = LANES_BUTTERFLY(value, 2);
#if LANE_COUNT >= 8
    value = LANES_BUTTERFLY(value, 4);
#endif
#if LANE_COUNT >= 16
    value = LANES_BUTTERFLY(value, 8);
#endif
    return value;
}

/* All stages within vectors, and those over `vectors` of them, which stay in registers. */
INLINE void rotate_vectors(float *at, size_t vectors, float scale)
{
    lanes value[ROTATED_VECTORS];
    for (size_t v = 0; v < vectors; v++)
        value[v] = rotate_lanes(lanes_load(at + v * LANE_COUNT));
    for (size_t half = 1; half < vectors; half *= 2)
        for (size_t v = 0; v < vectors; v++) {
            if ((v & half) != 0)
                continue;
            lanes a = value[v], b = value[v + half];
            value[v] = a + b;
            value[v + half] = a - b;
        }
    for (size_t v = 0; v < vectors; v++)
        lanes_store(at + v * LANE_COUNT, value[v] * scale);
}

static void rotate_stage(float *at, size_t count, size_t half, float scale)
{
    for (size_t i = 0; i < count; i += 2 * half)
        for (size_t j = i; j < i + half; j++) {
            float a = at[j], b = at[j + half];
            at[j] = (a + b) * scale;
            at[j + half] = (a - b) * scale;
        }
}

static void rotate_power(float *at, size_t count)
{
    float scale = 1 / sqrtf((float)count);
    switch (count / LANE_COUNT) {
    case 0: break;
    case 1: rotate_vectors(at, 1, scale); return;
    case 2: rotate_vectors(at, 2, scale); return;
    case 4: rotate_vectors(at, 4, scale); return;
    default:
        for (size_t i = 0; i < count; i += ROTATED_VECTORS * LANE_COUNT)
            rotate_vectors(at + i, ROTATED_VECTORS, count > ROTATED_VECTORS * LANE_COUNT ? 1 : scale);
    }
    for (size_t half = count < LANE_COUNT ? 1 : ROTATED_VECTORS * LANE_COUNT; half < count; half *= 2)
        rotate_stage(at, count, half, 2 * half < count ? 1 : scale);
}

static void rotate_head(float *head, size_t count)
{
    for (size_t power = 1; count > 0; power = 1) {
        while (2 * power <= count)
            power *= 2;
        rotate_power(head, power);
        head += power;
        count -= power;
    }
}

/* ---- storing ---- */

static void store_key_f32(unsigned char *block, size_t lane, const float *key, size_t head_dim)
{
    for (size_t d = 0; d < head_dim; d++)
        memcpy(block + (d * KV_BLOCK + lane) * sizeof(float), key + d, sizeof(float));
}

static void store_value_f32(unsigned char *block, size_t lane, const float *value, size_t head_dim)
{
    memcpy(block + lane * kv_cell_dims(head_dim) * sizeof(float), value, head_dim * sizeof(float));
}

static inline void narrow(lanes x, uint16_t half[LANE_COUNT])
{
    const float most = 65504;
    x = lanes_select(x > most, lanes_splat(most), x);
    narrow_f16(lanes_select(x < -most, lanes_splat(-most), x), half);
}

static inline void scatter_key(unsigned char *at, const uint16_t *half, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_u16(at + i * KV_BLOCK * sizeof(uint16_t), half[i]);
}

static void store_key_f16(unsigned char *block, size_t lane, const float *key, size_t head_dim)
{
    unsigned char *at = block + lane * sizeof(uint16_t);
    uint16_t half[LANE_COUNT];
    size_t d = 0;
    for (; d + LANE_COUNT <= head_dim; d += LANE_COUNT) {
        narrow(lanes_load(key + d), half);
        scatter_key(at + d * KV_BLOCK * sizeof(uint16_t), half, LANE_COUNT);
    }
    if (d < head_dim) {
        narrow(load_some(key + d, head_dim - d), half);
        scatter_key(at + d * KV_BLOCK * sizeof(uint16_t), half, head_dim - d);
    }
}

static void store_value_f16(unsigned char *block, size_t lane, const float *value, size_t head_dim)
{
    unsigned char *cell = block + lane * kv_cell_dims(head_dim) * sizeof(uint16_t);
    uint16_t half[LANE_COUNT];
    size_t d = 0;
    for (; d + LANE_COUNT <= head_dim; d += LANE_COUNT) {
        narrow(lanes_load(value + d), half);
        memcpy(cell + d * sizeof(uint16_t), half, sizeof half);
    }
    if (d < head_dim) {
        narrow(load_some(value + d, head_dim - d), half);
        memcpy(cell + d * sizeof(uint16_t), half, (head_dim - d) * sizeof(uint16_t));
    }
}

/* ---- entries ---- */

static void score_f16(const attention_tile *tile, const float *queries, const unsigned char *keys,
                      const seen_positions *seen, float *scores)
{
    score_chunk(KV_F16, tile, queries, keys, seen, scores);
}

static void score_f32(const attention_tile *tile, const float *queries, const unsigned char *keys,
                      const seen_positions *seen, float *scores)
{
    score_chunk(KV_F32, tile, queries, keys, seen, scores);
}

static void mix_f16(const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                    const float *weights, float *out, float *own)
{
    (void)own;
    mix_chunk(KV_F16, tile, values, seen, weights, out);
}

static void mix_f32(const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                    const float *weights, float *out, float *own)
{
    (void)own;
    mix_chunk(KV_F32, tile, values, seen, weights, out);
}

/* Initialisers of tables by kv_type, of which those for floats are filled. */
#define FLOAT_KEY_KERNELS(isa, flags)                                                                                  \
    {                                                                                                                  \
        [KV_F16] = {(isa), (flags), store_key_f16, pack_queries, score_f16},                                           \
        [KV_F32] = {(isa), (flags), store_key_f32, pack_queries, score_f32},                                           \
    }
#define FLOAT_VALUE_KERNELS(isa, flags)                                                                                \
    {                                                                                                                  \
        [KV_F16] = {(isa), (flags), store_value_f16, mix_f16}, [KV_F32] = {(isa), (flags), store_value_f32, mix_f32},  \
    }
#define SOFTMAX_KERNEL(isa, flags)                                                                                     \
    {                                                                                                                  \
        (isa), (flags), weigh_row, merge_parts, rotate_head                                                            \
    }

#endif
