/* Attention over a KV cache: the body of the kernels of one instruction set, for every type of cache. The including file
 * defines LANE_COUNT, ROOM (the sums that its registers have room for), and ROW_TILES and TILE_ROWS (the tiles of rows that
 * get code of their own, descending to 1, and the largest); it names its table, and is compiled with its own flags.
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
#include <stdbool.h>

#include "kernel/generic/kv_lanes.h"

#define INLINE __attribute__((always_inline)) static inline

enum {
    WIDE = 4,           /* vectors beside each other where there are few rows … */
    NARROW = 2,         /* … and where there are many */
    FEW_ROWS = 4,       /* so few that memory, not their sums, sets the pace */
    RUN = 4 * KV_BLOCK, /* positions whose values all rows take in before the next ones are read */
    /* Floats from row to row of scores: not a power of two, which would share cache sets. */
    SCORE_STRIDE = ATTENTION_CHUNK + KV_BLOCK
};

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
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
            __builtin_prefetch(panel[v] + k * step + ahead);
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

/* Tiles of rows that have code of their own: the largest that fits. */
static inline size_t row_tile(size_t left)
{
#define ROW_TILE_SIZE(rows) rows,
    static const unsigned char sizes[] = {ROW_TILES(ROW_TILE_SIZE)};
#undef ROW_TILE_SIZE
    size_t i = 0;
    while (sizes[i] > left)
        i++;
    return sizes[i];
}

/* One case of a switch over tiles of rows, in a function that returns how many of the `left` vectors it took: PRODUCT is
 * called with constants. */
#define TILE_VECTORS(rows) (WIDE * (rows) <= ROOM ? WIDE : NARROW)
#define ROW_TILE_CASE(rows)                                                                                            \
    case rows:                                                                                                         \
        if (left >= TILE_VECTORS(rows)) {                                                                              \
            PRODUCT(rows, TILE_VECTORS(rows));                                                                         \
            return TILE_VECTORS(rows);                                                                                 \
        }                                                                                                              \
        PRODUCT(rows, 1);                                                                                              \
        return 1;

/* ---- scores ---- */

typedef struct chunk_view {
    const attention_tile *tile;
    size_t base;        /* first position of the chunk; offsets count from here */
    size_t begin, end;  /* offsets that some row sees */
    size_t first, last; /* blocks of the chunk that hold them, [first, last) */
    size_t rows;
    float *q;      /* row tile by row tile, [head_dim][rows of the tile] */
    float *scores; /* [rows][SCORE_STRIDE] by offset */
    float *scaled; /* the same for q8: weights × scales of values */
} chunk_view;

/* Place in the ring of a block of the chunk. */
static inline size_t ring_block(const chunk_view *c, size_t block)
{
    return (c->base / KV_BLOCK + block) % c->tile->ring.blocks;
}

/* Where in a ring's keys or values the scales of a block begin, for a group of dims. */
static inline size_t scales_at(const kv_ring *ring, size_t block, size_t group)
{
    size_t values = ring->blocks * KV_BLOCK * kv_cell_dims(ring->head_dim);
    return values + (block * kv_scales(KV_Q8, ring->head_dim) + group) * KV_BLOCK * sizeof(float);
}

static void pack_queries(const chunk_view *c)
{
    const attention_tile *tile = c->tile;
    size_t dim = tile->ring.head_dim;
    for (size_t row = 0, step; row < c->rows; row += step) {
        step = row_tile(c->rows - row);
        for (size_t r = 0; r < step; r++) {
            size_t t = (row + r) / tile->group, g = (row + r) % tile->group;
            const float *from = tile->q + t * tile->q_stride + g * dim;
            float *to = c->q + row * dim + r;
            for (size_t d = 0; d < dim; d++)
                to[d * step] = from[d] * tile->scale;
        }
    }
}

enum { BLOCK_VECTORS = KV_BLOCK / LANE_COUNT };

/* Scores of `rows` rows with the positions of `vectors` vectors from vector `at` of the chunk, over dims
 * [dim, dim + dims): those of one scale, or all. */
INLINE void score(size_t rows, size_t vectors, kv_type type, const chunk_view *c, size_t row, size_t at, size_t dim,
                  size_t dims)
{
    const kv_ring *ring = &c->tile->ring;
    size_t bytes = kv_value_bytes(type), cell = kv_cell_dims(ring->head_dim) * bytes;
    const unsigned char *panel[WIDE];
    lanes sum[TILE_ROWS][WIDE] = {{{0}}}, scale[WIDE];
    for (size_t v = 0; v < vectors; v++) {
        size_t block = ring_block(c, (at + v) / BLOCK_VECTORS), lane = (at + v) % BLOCK_VECTORS * LANE_COUNT;
        panel[v] = ring->keys + block * KV_BLOCK * cell + (dim * KV_BLOCK + lane) * bytes;
        if (type == KV_Q8)
            scale[v] = load_kv(KV_F32, ring->keys + scales_at(ring, block, dim / KV_SCALE_DIMS) + lane * sizeof(float));
    }
    const float *q = c->q + row * ring->head_dim + dim * rows;
    multiply(type, rows, vectors, q, 1, rows, panel, KV_BLOCK * bytes, WIDE * LANE_COUNT * cell, dims, sum);
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < vectors; v++) {
            float *to = c->scores + (row + r) * SCORE_STRIDE + (at + v) * LANE_COUNT;
            if (type == KV_Q8)
                sum[r][v] = lanes_fma(sum[r][v], scale[v], dim == 0 ? (lanes){0} : lanes_load(to));
            lanes_store(to, sum[r][v]);
        }
    }
}

INLINE size_t score_rows(kv_type type, const chunk_view *c, size_t row, size_t rows, size_t at, size_t left, size_t dim,
                         size_t dims)
{
#define PRODUCT(rows, vectors) score(rows, vectors, type, c, row, at, dim, dims)
    switch (rows) {
        ROW_TILES(ROW_TILE_CASE)
    }
#undef PRODUCT
    return left;
}

/* Keys that all rows multiply before the next ones are read: WIDE blocks at a time. */
INLINE void score_chunk(kv_type type, const chunk_view *c)
{
    size_t dim = c->tile->ring.head_dim, group = type == KV_Q8 ? KV_SCALE_DIMS : dim;
    size_t last = c->last * BLOCK_VECTORS;
    for (size_t at = c->first * BLOCK_VECTORS; at < last; at += WIDE) {
        size_t end = least(at + WIDE, last);
        for (size_t row = 0, rows; row < c->rows; row += rows) {
            rows = row_tile(c->rows - row);
            for (size_t d = 0; d < dim; d += group)
                for (size_t v = at; v < end;)
                    v += score_rows(type, c, row, rows, v, end - v, d, least(group, dim - d));
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

/* scores = exp(scores − most) over the blocks of the chunk, 0 where the row sees nothing. */
static void weigh_row(const chunk_view *c, size_t row, attention_part part)
{
    const attention_tile *tile = c->tile;
    float *scores = c->scores + row * SCORE_STRIDE;
    size_t from = c->first * KV_BLOCK, to = c->last * KV_BLOCK;
    size_t past = tile->position + row / tile->group + 1; /* of the token's own position */
    size_t before = tile->window != 0 && past > tile->window ? past - tile->window : 0;
    size_t begin = before > c->base ? before - c->base : 0, end = past > c->base ? past - c->base : 0;
    begin = begin < from ? from : least(begin, to);
    end = end < begin ? begin : least(end, to);
    for (size_t i = from; i < begin; i++)
        scores[i] = -INFINITY;
    for (size_t i = end; i < to; i++)
        scores[i] = -INFINITY;
    lanes most = lanes_splat(-INFINITY), sum = {0};
    for (size_t i = from; i < to; i += LANE_COUNT) {
        lanes s = lanes_load(scores + i);
        most = lanes_select(s > most, s, most);
    }
    float top = begin < end ? lanes_most(most) : 0;
    for (size_t i = from; i < to; i += LANE_COUNT) {
        lanes w = lanes_exp(lanes_load(scores + i) - top);
        lanes_store(scores + i, w);
        sum += w;
    }
    part.most[row] = top;
    part.sum[row] = lanes_sum(sum);
}

/* ---- values ---- */

/* out += weights · values, for `vectors` vectors of dims from vector `at` and a run of positions from offset `from`. */
INLINE void mix(size_t rows, size_t vectors, kv_type type, const chunk_view *c, attention_part part, size_t row,
                size_t at, const unsigned char *values, size_t from, size_t count)
{
    size_t dims = kv_cell_dims(c->tile->ring.head_dim), bytes = kv_value_bytes(type);
    const unsigned char *panel[WIDE];
    lanes sum[TILE_ROWS][WIDE];
    for (size_t v = 0; v < vectors; v++) {
        panel[v] = values + (at + v) * LANE_COUNT * bytes;
        for (size_t r = 0; r < rows; r++)
            sum[r][v] = lanes_load(part.out + (row + r) * dims + (at + v) * LANE_COUNT);
    }
    const float *weights = (type == KV_Q8 ? c->scaled : c->scores) + row * SCORE_STRIDE + from;
    multiply(type, rows, vectors, weights, SCORE_STRIDE, 1, panel, dims * bytes, RUN * dims * bytes, count, sum);
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++)
            lanes_store(part.out + (row + r) * dims + (at + v) * LANE_COUNT, sum[r][v]);
}

INLINE size_t mix_rows(kv_type type, const chunk_view *c, attention_part part, size_t row, size_t rows, size_t at,
                       size_t left, const unsigned char *values, size_t from, size_t count)
{
#define PRODUCT(rows, vectors) mix(rows, vectors, type, c, part, row, at, values, from, count)
    switch (rows) {
        ROW_TILES(ROW_TILE_CASE)
    }
#undef PRODUCT
    return left;
}

/* Weights times the scales of a group of dims, for the positions of the chunk's blocks. */
static void scale_weights(const chunk_view *c, size_t group)
{
    const kv_ring *ring = &c->tile->ring;
    for (size_t block = c->first; block < c->last; block++) {
        const unsigned char *scales = ring->values + scales_at(ring, ring_block(c, block), group);
        for (size_t row = 0; row < c->rows; row++)
            for (size_t i = 0; i < KV_BLOCK; i += LANE_COUNT) {
                size_t at = row * SCORE_STRIDE + block * KV_BLOCK + i;
                lanes_store(c->scaled + at, lanes_load(c->scores + at) * load_kv(KV_F32, scales + i * sizeof(float)));
            }
    }
}

/* Over runs of positions that lie together in the ring. */
INLINE void mix_dims(kv_type type, const chunk_view *c, attention_part part, size_t first, size_t last)
{
    const kv_ring *ring = &c->tile->ring;
    size_t cells = ring->blocks * KV_BLOCK, cell_bytes = kv_cell_dims(ring->head_dim) * kv_value_bytes(type);
    for (size_t from = c->begin, run; from < c->end; from += run) {
        size_t cell = (c->base + from) % cells;
        run = least(least(RUN - from % RUN, c->end - from), cells - cell);
        const unsigned char *values = ring->values + cell * cell_bytes;
        for (size_t row = 0, rows; row < c->rows; row += rows) {
            rows = row_tile(c->rows - row);
            for (size_t at = first; at < last;)
                at += mix_rows(type, c, part, row, rows, at, last - at, values, from, run);
        }
    }
}

INLINE void mix_chunk(kv_type type, const chunk_view *c, attention_part part)
{
    size_t vectors = kv_cell_dims(c->tile->ring.head_dim) / LANE_COUNT;
    if (type != KV_Q8) {
        mix_dims(type, c, part, 0, vectors);
        return;
    }
    enum { GROUP = KV_SCALE_DIMS / LANE_COUNT };
    for (size_t at = 0; at < vectors; at += GROUP) {
        scale_weights(c, at / GROUP);
        mix_dims(type, c, part, at, least(at + GROUP, vectors));
    }
}

INLINE void attend(kv_type type, const attention_tile *tile, size_t chunk, float *scratch, attention_part part)
{
    chunk_view c = {.tile = tile, .base = chunk * ATTENTION_CHUNK, .rows = tile->tokens * tile->group};
    c.q = scratch;
    c.scores = c.q + c.rows * tile->ring.head_dim;
    c.scaled = c.scores + c.rows * SCORE_STRIDE;
    size_t seen = tile->window != 0 && tile->position + 1 > tile->window ? tile->position + 1 - tile->window : 0;
    size_t past = tile->position + tile->tokens;
    c.begin = seen > c.base ? least(seen - c.base, ATTENTION_CHUNK) : 0;
    c.end = past > c.base ? least(past - c.base, ATTENTION_CHUNK) : 0;
    c.end = c.end < c.begin ? c.begin : c.end;
    c.first = c.begin / KV_BLOCK;
    c.last = (c.end + KV_BLOCK - 1) / KV_BLOCK;
    memset(part.out, 0, c.rows * kv_cell_dims(tile->ring.head_dim) * sizeof(float));
    pack_queries(&c);
    score_chunk(type, &c);
    for (size_t row = 0; row < c.rows; row++)
        weigh_row(&c, row, part);
    mix_chunk(type, &c, part);
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

/* ---- storing ---- */

/* LANE_COUNT values from `at`, zeros behind the end. */
static inline lanes load_some(const float *at, size_t count)
{
    lanes value = {0};
    memcpy(&value, at, least(count, LANE_COUNT) * sizeof(float));
    return value;
}

static void store_f32(const kv_ring *ring, size_t position, const float *key, const float *value)
{
    size_t dim = ring->head_dim, cell = position % (ring->blocks * KV_BLOCK), cell_bytes = kv_cell_dims(dim) * 4;
    unsigned char *keys = ring->keys + cell / KV_BLOCK * KV_BLOCK * cell_bytes + cell % KV_BLOCK * sizeof(float);
    for (size_t d = 0; d < dim; d++)
        memcpy(keys + d * KV_BLOCK * sizeof(float), key + d, sizeof(float));
    memcpy(ring->values + cell * cell_bytes, value, dim * sizeof(float));
}

static inline void narrow_some(const float *at, size_t count, uint16_t half[LANE_COUNT])
{
    const float most = 65504;
    lanes x = load_some(at, count);
    x = lanes_select(x > most, lanes_splat(most), x);
    narrow_f16(lanes_select(x < -most, lanes_splat(-most), x), half);
}

static void store_f16(const kv_ring *ring, size_t position, const float *key, const float *value)
{
    size_t dim = ring->head_dim, cell = position % (ring->blocks * KV_BLOCK), cell_bytes = kv_cell_dims(dim) * 2;
    unsigned char *keys = ring->keys + cell / KV_BLOCK * KV_BLOCK * cell_bytes + cell % KV_BLOCK * sizeof(uint16_t);
    unsigned char *values = ring->values + cell * cell_bytes;
    for (size_t d = 0; d < dim; d += LANE_COUNT) {
        uint16_t half[LANE_COUNT];
        size_t count = least(LANE_COUNT, dim - d);
        narrow_some(key + d, dim - d, half);
        for (size_t i = 0; i < count; i++)
            store_u16(keys + (d + i) * KV_BLOCK * sizeof(uint16_t), half[i]);
        narrow_some(value + d, dim - d, half);
        memcpy(values + d * sizeof(uint16_t), half, count * sizeof(uint16_t));
    }
}

/* Rounds up to KV_SCALE_DIMS values; returns their scale. What is not finite makes the scale NaN. */
static float quantize(const float *at, size_t count, int8_t out[KV_SCALE_DIMS])
{
    float most = 0;
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        float size = fabsf(at[i]);
        finite = finite && size < INFINITY;
        most = size > most ? size : most;
    }
    float scale = finite ? most / 127 : NAN, inverse = scale > 0 ? 1 / scale : 0;
    inverse = inverse < INFINITY ? inverse : 0; /* all values are subnormal: zeros */
    for (size_t i = 0; i < count; i++)
        out[i] = (int8_t)(finite ? lrintf(at[i] * inverse) : 1);
    return scale;
}

static void store_q8(const kv_ring *ring, size_t position, const float *key, const float *value)
{
    size_t dim = ring->head_dim, cell = position % (ring->blocks * KV_BLOCK), cell_bytes = kv_cell_dims(dim);
    unsigned char *keys = ring->keys + cell / KV_BLOCK * KV_BLOCK * cell_bytes + cell % KV_BLOCK;
    unsigned char *values = ring->values + cell * cell_bytes;
    for (size_t d = 0; d < dim; d += KV_SCALE_DIMS) {
        int8_t out[KV_SCALE_DIMS];
        size_t count = least(KV_SCALE_DIMS, dim - d);
        size_t scale_at = scales_at(ring, cell / KV_BLOCK, d / KV_SCALE_DIMS) + cell % KV_BLOCK * sizeof(float);
        float scale = quantize(key + d, count, out);
        memcpy(ring->keys + scale_at, &scale, sizeof scale);
        for (size_t i = 0; i < count; i++)
            keys[(d + i) * KV_BLOCK] = (unsigned char)out[i];
        scale = quantize(value + d, count, out);
        memcpy(ring->values + scale_at, &scale, sizeof scale);
        memcpy(values + d, out, count);
    }
}

/* ---- entries ---- */

static void attend_f16(const attention_tile *tile, size_t chunk, float *scratch, attention_part part)
{
    attend(KV_F16, tile, chunk, scratch, part);
}

static void attend_f32(const attention_tile *tile, size_t chunk, float *scratch, attention_part part)
{
    attend(KV_F32, tile, chunk, scratch, part);
}

static void attend_q8(const attention_tile *tile, size_t chunk, float *scratch, attention_part part)
{
    attend(KV_Q8, tile, chunk, scratch, part);
}

/* The initialiser of a table by kv_type. */
#define ATTENTION_KERNELS(isa, flags)                                                                                  \
    {                                                                                                                  \
        [KV_F16] = {(isa), (flags), store_f16, attend_f16, merge_parts},                                               \
        [KV_F32] = {(isa), (flags), store_f32, attend_f32, merge_parts},                                               \
        [KV_Q8] = {(isa), (flags), store_q8, attend_q8, merge_parts},                                                  \
    }

#endif
