/* Attention over a KV cache in q8 or q4: the body of the kernels of one instruction set, which compute what
 * attention_int8_generic.c says, to the bit.
 *
 * A vector of the cache is LANE_COUNT positions (keys) or dims (values), times four dims or positions: a byte each. A row has
 * a quad of levels that goes with all lanes, and a dot product adds four products to every lane's sum:
 *
 *     cells  k00 k01 k02 k03 | k10 k11 k12 k13 | …         sum 0 += k00·q0 + k01·q1 + k02·q2 + k03·q3
 *     quad   q0  q1  q2  q3  | q0  q1  q2  q3  | …         sum 1 += k10·q0 + …
 *
 * Where an instruction wants cells unsigned, they are taken plus 128, and the sums begin with −128 times the sum of the row's
 * levels. All of it is in integers and exact.
 *
 * The including file defines, before it includes this, LANE_COUNT and what row_tiles.h asks for, and
 *
 *     QUAD_BYTES                what a quad of levels takes in a row's memory
 *     KEY_OFFSET, VALUE_OFFSET  128 where cells are taken plus 128, else 0
 *     cells, quad_levels, dots  types: a vector of the cache made ready, a quad for all its lanes, the sums
 *
 * and after that the operations which are declared below. */
#ifndef MOTE_KERNEL_GENERIC_ATTENTION_INT8_LANES_H
#define MOTE_KERNEL_GENERIC_ATTENTION_INT8_LANES_H

#include "kernel/attention_int8.h"
#include "kernel/generic/generic_kernels.h"
#include "kernel/generic/kv_lanes.h"
#include "kernel/generic/row_tiles.h"

enum { CELL_BYTES = 4 * LANE_COUNT, FETCH_BLOCKS = 8 };

typedef uint8_t cell_bytes __attribute__((vector_size(CELL_BYTES)));
typedef uint16_t cell_pairs __attribute__((vector_size(CELL_BYTES)));

/* ---- what an instruction set defines ---- */

/* Levels of one byte, plus `offset`. */
INLINE cells cells_of(cell_bytes levels, int offset);
/* Those of the nibbles. */
INLINE cells cells_of_nibbles(cell_bytes nibbles, int offset);

/* The quad at `at`, and how LANE_COUNT levels are put where quads are read. */
INLINE quad_levels quad_at(const unsigned char *at);
INLINE void put_quads(unsigned char *at, lane_bits levels);

/* Cells of keys are signed levels or unsigned ones, and meet signed ones; those of values meet unsigned ones. */
INLINE dots add_key_dots(dots sum, cells keys, quad_levels levels);
INLINE dots add_value_dots(dots sum, cells values, quad_levels levels);

INLINE dots dots_from(int32_t first);
INLINE lane_bits dots_total(dots sum);

/* ---- cells ---- */

INLINE cell_bytes bytes_at(const unsigned char *at)
{
    cell_bytes value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The low nibbles, or the high ones for a shift of 4. */
INLINE cell_bytes nibbles_of(cell_bytes both, int shift)
{
    return (cell_bytes)((cell_pairs)both >> (uint16_t)shift) & 15;
}

/* Quad k of dims, at a vector of positions. */
INLINE cells key_cells(kv_type type, const unsigned char *positions, size_t k)
{
    if (type == KV_Q8)
        return cells_of(bytes_at(positions + k * 4 * KV_BLOCK), KEY_OFFSET);
    return cells_of_nibbles(nibbles_of(bytes_at(positions + k / 2 * 4 * KV_BLOCK), (int)(k % 2) * 4), KEY_OFFSET);
}

/* A vector of dims, in a quad of positions. In q4 sixteen dims are 32 bytes. */
INLINE cells value_cells(kv_type type, const unsigned char *positions, size_t vector)
{
    if (type == KV_Q8)
        return cells_of(bytes_at(positions + vector * CELL_BYTES), VALUE_OFFSET);
#if LANE_COUNT == 16
    __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(positions + vector * 32)));
    both = _mm512_srlv_epi32(both, _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4));
    return cells_of_nibbles((cell_bytes)both & 15, VALUE_OFFSET);
#else
    size_t dim = vector * LANE_COUNT;
    const unsigned char *both = positions + dim / 16 * 32 + dim % 8 * 4;
    return cells_of_nibbles(nibbles_of(bytes_at(both), (int)(dim % 16 / 8) * 4), VALUE_OFFSET);
#endif
}

/* ---- levels of a row ---- */

INLINE int32_t most_lane(lane_bits value)
{
    int32_t most = value[0];
    for (size_t i = 1; i < LANE_COUNT; i++)
        most = value[i] > most ? value[i] : most;
    return most;
}

INLINE int32_t sum_lanes(lane_bits value)
{
    int32_t sum = 0;
    for (size_t i = 0; i < LANE_COUNT; i++)
        sum += value[i];
    return sum;
}

/* Bits of sizes are ordered as the sizes are, and end with infinity and NaN. */
INLINE lane_bits size_bits(lanes value)
{
    return (lane_bits)value & INT32_MAX;
}

INLINE float largest_of_bits(lane_bits sizes)
{
    int32_t most = most_lane(sizes);
    return most < 0x7f800000 ? f32_from_bits((uint32_t)most) : NAN;
}

static inline float largest_of(const float *at, size_t count)
{
    lane_bits most = {0};
    for (size_t i = 0; i < count; i += LANE_COUNT)
        most = bits_most_of(most, size_bits(load_some(at + i, count - i)));
    return largest_of_bits(most);
}

/* ---- scores ---- */

INLINE int8_rows queries_of(const attention_tile *tile, const float *queries)
{
    return int8_rows_at((float *)queries, tile->tokens * tile->group, kv_cell_dims(tile->head_dim) / 4 * QUAD_BYTES);
}

static void prepare_queries(const attention_tile *tile, float *queries)
{
    size_t dim = tile->head_dim, dims = kv_cell_dims(dim);
    int8_rows q = queries_of(tile, queries);
    for (size_t row = 0; row < tile->tokens * tile->group; row++) {
        const float *from = tile->q + row / tile->group * tile->q_stride + row % tile->group * dim;
        int8_step step = int8_step_of(largest_of(from, dim), 127);
        lane_bits sum = {0};
        for (size_t d = 0; d < dims; d += LANE_COUNT) {
            lanes x = step.factor > 0 && d < dim ? load_some(from + d, dim - d) : lanes_splat(0);
            lane_bits level = lanes_round(x * step.factor);
            put_quads(q.level + row * q.stride + d / 4 * QUAD_BYTES, level);
            sum += level;
        }
        q.step[row] = step.step * tile->scale;
        q.offset[row] = KEY_OFFSET != 0 ? -KEY_OFFSET * sum_lanes(sum) : 0;
    }
}

typedef struct score_view {
    const unsigned char *keys;
    size_t block_bytes;
    size_t scales; /* bytes of a block before its scales */
    size_t quads;  /* of dims */
    int8_rows q;
    float *scores;
} score_view;

enum { BLOCK_VECTORS = KV_BLOCK / LANE_COUNT };

/* Scores of `rows` rows with the positions of `vectors` vectors from vector `at` of the chunk. */
INLINE void score(size_t rows, size_t vectors, kv_type type, const score_view *c, size_t row, size_t at)
{
    const unsigned char *panel[WIDE], *level = c->q.level + row * c->q.stride;
    dots sum[TILE_ROWS][WIDE];
    for (size_t v = 0; v < vectors; v++)
        panel[v] = c->keys + (at + v) / BLOCK_VECTORS * c->block_bytes + (at + v) % BLOCK_VECTORS * CELL_BYTES;
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = dots_from(c->q.offset[row + r]);
    for (size_t pair = 0; pair < c->quads; pair += 2) {
        for (size_t k = pair; k < pair + 2; k++) {
            cells keys[WIDE];
            for (size_t v = 0; v < vectors; v++) {
                if (rows <= FEW_ROWS && (type == KV_Q8 || k == pair))
                    fetch_later(panel[v] + (type == KV_Q8 ? k : k / 2) * 4 * KV_BLOCK + FETCH_BLOCKS * c->block_bytes);
                keys[v] = key_cells(type, panel[v], k);
            }
            for (size_t r = 0; r < rows; r++) {
                quad_levels q = quad_at(level + r * c->q.stride + k * QUAD_BYTES);
                for (size_t v = 0; v < vectors; v++)
                    sum[r][v] = add_key_dots(sum[r][v], keys[v], q);
            }
        }
    }
    for (size_t v = 0; v < vectors; v++) {
        size_t block = (at + v) / BLOCK_VECTORS, lane = (at + v) % BLOCK_VECTORS * LANE_COUNT;
        lanes scale = load_f16(c->keys + block * c->block_bytes + c->scales + lane * sizeof(uint16_t));
        for (size_t r = 0; r < rows; r++)
            lanes_store(c->scores + (row + r) * SCORE_STRIDE + (at + v) * LANE_COUNT,
                        __builtin_convertvector(dots_total(sum[r][v]), lanes) * (scale * c->q.step[row + r]));
    }
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

/* Keys that all rows multiply before the next ones are read: WIDE vectors at a time. */
INLINE void score_chunk(kv_type type, const attention_tile *tile, const float *queries, const unsigned char *keys,
                        const seen_positions *seen, float *scores)
{
    size_t dims = kv_cell_dims(tile->head_dim), all_rows = tile->tokens * tile->group;
    score_view c = {.keys = keys,
                    .block_bytes = kv_block_bytes(type, tile->head_dim),
                    .scales = kv_scales_at(type, tile->head_dim),
                    .quads = dims / 4,
                    .q = queries_of(tile, queries),
                    .scores = scores};
    size_t last = seen->last * BLOCK_VECTORS;
    for (size_t at = seen->first * BLOCK_VECTORS; at < last; at += WIDE) {
        size_t end = smaller(at + WIDE, last);
        for (size_t row = 0, rows; row < all_rows; row += rows) {
            rows = row_tile(all_rows - row);
            for (size_t v = at; v < end;)
                v += score_rows(type, &c, row, rows, v, end - v);
        }
    }
}

/* ---- values ---- */

typedef struct mix_view {
    const unsigned char *values;
    size_t block_bytes;
    size_t quad_bytes; /* of a quad of positions */
    size_t dims;
    int8_rows w;
    float *out; /* the sums as integers, until all are there */
} mix_view;

/* Scales of the blocks; 0 for positions that are not seen, whose scales may be no numbers. */
static void open_scales(kv_type type, const mix_view *c, const seen_positions *seen, float scales[ATTENTION_CHUNK])
{
    size_t at = kv_scales_at(type, c->dims);
    for (size_t p = seen->first * KV_BLOCK; p < seen->last * KV_BLOCK; p += LANE_COUNT)
        lanes_store(scales + p,
                    load_f16(c->values + p / KV_BLOCK * c->block_bytes + at + p % KV_BLOCK * sizeof(uint16_t)));
    for (size_t p = seen->first * KV_BLOCK; p < seen->begin; p++)
        scales[p] = 0;
    for (size_t p = seen->end; p < seen->last * KV_BLOCK; p++)
        scales[p] = 0;
}

static void round_weights(const mix_view *c, size_t row, const seen_positions *seen, const float *weights,
                          const float *scales)
{
    size_t from = seen->first * KV_BLOCK, to = seen->last * KV_BLOCK;
    unsigned char *levels = c->w.level + row * c->w.stride;
    lane_bits most = {0}, sum = {0};
    for (size_t p = from; p < to; p += LANE_COUNT)
        most = bits_most_of(most, size_bits(lanes_load(weights + p) * lanes_load(scales + p)));
    int8_step by = int8_step_of(largest_of_bits(most), 255);
    for (size_t p = from; p < to; p += LANE_COUNT) {
        lanes weight = by.factor > 0 ? lanes_load(weights + p) * lanes_load(scales + p) : lanes_splat(0);
        lane_bits level = lanes_round(weight * by.factor);
        put_quads(levels + p / 4 * QUAD_BYTES, level);
        sum += level;
    }
    c->w.step[row] = by.step;
    c->w.offset[row] = VALUE_OFFSET != 0 ? -VALUE_OFFSET * sum_lanes(sum) : 0;
}

/* out += weights · values, for `vectors` vectors of dims from vector `at` and a run of blocks. */
INLINE void mix(size_t rows, size_t vectors, kv_type type, const mix_view *c, size_t row, size_t at, size_t first,
                size_t last)
{
    dots sum[TILE_ROWS][WIDE];
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = dots_from(0);
    for (size_t block = first; block < last; block++) {
        const unsigned char *positions = c->values + block * c->block_bytes;
        const unsigned char *level = c->w.level + row * c->w.stride + block * KV_BLOCK / 4 * QUAD_BYTES;
        for (size_t k = 0; k < KV_BLOCK / 4; k++, positions += c->quad_bytes) {
            cells values[WIDE];
            for (size_t v = 0; v < vectors; v++) {
                if (rows <= FEW_ROWS)
                    fetch_later(positions + (at + v) * CELL_BYTES / (type == KV_Q8 ? 1 : 2) +
                                FETCH_BLOCKS * c->block_bytes);
                values[v] = value_cells(type, positions, at + v);
            }
            for (size_t r = 0; r < rows; r++) {
                quad_levels w = quad_at(level + r * c->w.stride + k * QUAD_BYTES);
                for (size_t v = 0; v < vectors; v++)
                    sum[r][v] = add_value_dots(sum[r][v], values[v], w);
            }
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++) {
            float *to = c->out + (row + r) * c->dims + (at + v) * LANE_COUNT;
            lanes_store(to, (lanes)((lane_bits)lanes_load(to) + dots_total(sum[r][v])));
        }
}

INLINE size_t mix_rows(kv_type type, const mix_view *c, size_t row, size_t rows, size_t at, size_t left, size_t first,
                       size_t last)
{
#define PRODUCT(rows, vectors) mix(rows, vectors, type, c, row, at, first, last)
    switch (rows) {
        ROW_TILES(ROW_TILE_CASE)
    }
#undef PRODUCT
    return left;
}

INLINE void mix_chunk(kv_type type, const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                      const float *weights, float *out, float *own)
{
    size_t all_rows = tile->tokens * tile->group, dims = kv_cell_dims(tile->head_dim);
    mix_view c = {.values = values,
                  .block_bytes = kv_block_bytes(type, tile->head_dim),
                  .quad_bytes = 4 * dims * kv_value_bits(type) / 8,
                  .dims = dims,
                  .w = int8_rows_at(own, all_rows, ATTENTION_CHUNK / 4 * QUAD_BYTES),
                  .out = out};
    float scales[ATTENTION_CHUNK];
    open_scales(type, &c, seen, scales);
    for (size_t row = 0; row < all_rows; row++) {
        round_weights(&c, row, seen, weights + row * SCORE_STRIDE, scales);
        for (size_t d = 0; d < dims; d += LANE_COUNT)
            lanes_store(out + row * dims + d, (lanes)((lane_bits){0} + c.w.offset[row]));
    }
    for (size_t first = seen->first, last; first < seen->last; first = last) {
        last = smaller(first + RUN_BLOCKS, seen->last);
        for (size_t row = 0, rows; row < all_rows; row += rows) {
            rows = row_tile(all_rows - row);
            for (size_t at = 0, end = dims / LANE_COUNT; at < end;)
                at += mix_rows(type, &c, row, rows, at, end - at, first, last);
        }
    }
    for (size_t row = 0; row < all_rows; row++)
        for (size_t d = 0; d < dims; d += LANE_COUNT) {
            lane_bits sum = (lane_bits)lanes_load(out + row * dims + d);
            lanes_store(out + row * dims + d, __builtin_convertvector(sum, lanes) * c.w.step[row]);
        }
}

#include "kernel/generic/kv_store_lanes.h"

/* ---- entries ---- */

static void score_q8(const attention_tile *tile, const float *queries, const unsigned char *keys,
                     const seen_positions *seen, float *scores)
{
    score_chunk(KV_Q8, tile, queries, keys, seen, scores);
}

static void score_q4(const attention_tile *tile, const float *queries, const unsigned char *keys,
                     const seen_positions *seen, float *scores)
{
    score_chunk(KV_Q4, tile, queries, keys, seen, scores);
}

static void mix_q8(const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                   const float *weights, float *out, float *own)
{
    mix_chunk(KV_Q8, tile, values, seen, weights, out, own);
}

static void mix_q4(const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                   const float *weights, float *out, float *own)
{
    mix_chunk(KV_Q4, tile, values, seen, weights, out, own);
}

/* Initialisers of tables by kv_type, of which those for levels are filled. */
#define INT8_KEY_KERNELS(isa, flags)                                                                                   \
    {                                                                                                                  \
        [KV_Q8] = {(isa), (flags), store_key_q8, prepare_queries, score_q8},                                           \
        [KV_Q4] = {(isa), (flags), store_key_q4, prepare_queries, score_q4},                                           \
    }
#define INT8_VALUE_KERNELS(isa, flags)                                                                                 \
    {                                                                                                                  \
        [KV_Q8] = {(isa), (flags), store_value_q8, mix_q8}, [KV_Q4] = {(isa), (flags), store_value_q4, mix_q4},        \
    }

#endif
