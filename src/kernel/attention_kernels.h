/* Attention over a KV cache: how a cache lies in memory, and the kernels that write and read it.
 *
 * Keys and values each have a type of their own. They lie in pages of ATTENTION_CHUNK positions, one for the keys and one for
 * the values of a sequence, layer and KV head; sixteen positions are a block. The layout is the same for every instruction
 * set, so that a cache can move between machines. A cell has `dims` numbers, the head's, and zeros up to a multiple of 16:
 *
 *     f16, f32   keys     dim 0: [16 positions] dim 1: [16 positions] …       a vector of keys is sixteen scores' worth
 *                values   position 0: [dims] position 1: [dims] …
 *     q8         keys     dims 0–3: [16 positions][4 dims] dims 4–7: …        what a dot-product instruction takes for
 *                values   positions 0–3: [dims][4 positions] positions 4–7: … sixteen scores, or for sixteen dims
 *     q4         keys     dims 0–7: [16 positions][4 bytes] dims 8–15: …      low nibbles dims 0–3, high ones dims 4–7
 *                values   positions 0–3: dims 0–15: [8 dims][4 positions] …   low nibbles dims 0–7, high ones dims 8–15
 *     q8, q4     both     then a scale in f16 for each position
 *
 * The cells of q8 are int8 levels, −127 … 127, of a rotated vector, those of q4 numbers of a table of sixteen such levels
 * (attention_int8.h). `rotate` spreads a number over all dims, so that one large number does not cost the others their
 * precision, and one scale for the whole vector will do (Ashkboos et al. 2024, QuaRot). Rotation keeps dot products: queries
 * are rotated like keys, and what was mixed of rotated values is rotated back. No byte holds anything of two positions, so
 * that threads may store neighbours at once.
 *
 * Both products of attention, q·k over dims and weights·v over positions, are the same loop over vectors of the cache: a number
 * (or four) of each query row is spread over a vector and multiplied with a vector of keys along positions, or of values along
 * dims. No sum ever crosses lanes.
 *
 * A sum over positions is taken page by page, whose bounds are multiples of ATTENTION_CHUNK wherever a tile begins: each chunk
 * has its own maximum, sum and output, and chunks are merged in ascending order (online softmax, Milakov and Gimelshein 2018;
 * splitting a decode over positions, Dao et al. 2023). So a token's result has the same bits whichever thread computes which
 * chunk, and however a prompt was cut into batches and tiles, as long as all numbers are finite. */
#ifndef MOTE_KERNEL_ATTENTION_KERNELS_H
#define MOTE_KERNEL_ATTENTION_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KV_BLOCK = 16,         /* positions of a block */
    ATTENTION_CHUNK = 256, /* positions of a page */
    /* Floats from row to row of a chunk's scores: not a power of two, which would share cache sets. */
    SCORE_STRIDE = ATTENTION_CHUNK + KV_BLOCK
};

/* q8, q4: a level × the position's scale. f16 saturates at ±65504. */
typedef enum kv_type { KV_F16, KV_F32, KV_Q8, KV_Q4, KV_TYPE_COUNT } kv_type;

/* Are the vectors of such a cache rotated before they are stored? */
static inline bool kv_is_rotated(kv_type type)
{
    return type == KV_Q8 || type == KV_Q4;
}

static inline size_t kv_value_bits(kv_type type)
{
    return type == KV_F32 ? 32 : type == KV_F16 ? 16 : type == KV_Q8 ? 8 : 4;
}

/* Numbers of a cell, with padding. */
static inline size_t kv_cell_dims(size_t head_dim)
{
    return (head_dim + KV_BLOCK - 1) / KV_BLOCK * KV_BLOCK;
}

/* Bytes of a block of keys, or of values, with its scales. */
static inline size_t kv_block_bytes(kv_type type, size_t head_dim)
{
    size_t scales = kv_is_rotated(type) ? sizeof(uint16_t) : 0;
    return KV_BLOCK * (kv_cell_dims(head_dim) * kv_value_bits(type) / 8 + scales);
}

/* The first position that the token at `position` sees. */
static inline size_t attention_first_seen(size_t position, size_t window)
{
    return window != 0 && position + 1 > window ? position + 1 - window : 0;
}

/* Queries of consecutive tokens of one sequence: the heads that share a KV head. A row is one query head of one token: row
 * t × group + g. */
typedef struct attention_tile {
    const float *q; /* group × head_dim for each token */
    size_t q_stride;
    size_t tokens;
    size_t group;
    size_t head_dim;
    float scale;     /* of q · k before the softmax */
    size_t position; /* of the first token; a token sees itself and what lies before it, */
    size_t window;   /* but no more positions than this; 0: all */
} attention_tile;

/* The keys and values of a chunk: blocks one behind the other, any alignment; padding is zero. */
typedef struct kv_page {
    unsigned char *keys;
    unsigned char *values;
} kv_page;

/* A softmax-weighted sum of values over some of the positions: out[row] = Σ exp(score − most) · v. A row that sees none of
 * them has sum 0. */
typedef struct attention_part {
    float *out; /* rows × kv_cell_dims */
    float *most;
    float *sum;
} attention_part;

static inline size_t attention_part_floats(size_t rows, size_t head_dim)
{
    return rows * (kv_cell_dims(head_dim) + 2);
}

static inline attention_part attention_part_at(float *at, size_t rows, size_t head_dim)
{
    float *most = at + rows * kv_cell_dims(head_dim);
    return (attention_part){at, most, most + rows};
}

/* A tile's queries as `score` reads them. */
static inline size_t attention_query_floats(size_t rows, size_t head_dim)
{
    return rows * (kv_cell_dims(head_dim) + 2);
}

/* What `mix` may use while it runs. */
static inline size_t attention_own_floats(size_t rows)
{
    return rows * SCORE_STRIDE;
}

/* The part of a chunk that some row of a tile sees. */
typedef struct seen_positions {
    size_t base;        /* the chunk's first position; the others count from here */
    size_t begin, end;  /* positions */
    size_t first, last; /* the blocks that hold them, [first, last) */
} seen_positions;

/* One type of keys on one instruction set. */
typedef struct key_kernel {
    const char *name;
    uint32_t needs; /* CPU_… flags */
    void (*store)(unsigned char *block, size_t lane, const float *key, size_t head_dim);
    /* Brings a tile's queries into the kernel's own form, once for all chunks. `queries`: attention_query_floats. */
    void (*prepare)(const attention_tile *tile, float *queries);
    /* scores[row × SCORE_STRIDE + p] = scale · q[row] · k[p], for all p that the row sees; what others of the seen blocks
     * are left with does not matter. */
    void (*score)(const attention_tile *tile, const float *queries, const unsigned char *keys,
                  const seen_positions *seen, float *scores);
} key_kernel;

/* One type of values on one instruction set. */
typedef struct value_kernel {
    const char *name;
    uint32_t needs;
    void (*store)(unsigned char *block, size_t lane, const float *value, size_t head_dim);
    /* out[row × kv_cell_dims + d] = Σ weights[row × SCORE_STRIDE + p] · v[p][d], for the seen positions. The weights of
     * other positions in the seen blocks are 0, and their values are not read as numbers. `own`: attention_own_floats. */
    void (*mix)(const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                const float *weights, float *out, float *own);
} value_kernel;

/* What lies between and behind the two products. */
typedef struct softmax_kernel {
    const char *name;
    uint32_t needs;
    /* weights = exp(scores − their maximum) in the seen blocks, 0 where the row sees nothing; fills most and sum of row. */
    void (*weigh)(const attention_tile *tile, size_t row, const seen_positions *seen, float *scores,
                  attention_part part);
    /* sum += part, for parts of the same rows; the part's positions lie behind the sum's. */
    void (*merge)(attention_part sum, attention_part part, size_t rows, size_t head_dim);
    /* Multiplies by a symmetric orthogonal matrix: Hadamard's, over the powers of two that add up to the count. */
    void (*rotate)(float *head, size_t count);
} softmax_kernel;

typedef struct attention_kernels {
    const key_kernel *keys[KV_TYPE_COUNT];
    const value_kernel *values[KV_TYPE_COUNT];
    const softmax_kernel *softmax;
} attention_kernels;

/* Those for one cache. */
typedef struct attention_choice {
    const key_kernel *keys;
    const value_kernel *values;
    const softmax_kernel *softmax;
} attention_choice;

static inline size_t attention_scratch_floats(size_t rows, size_t head_dim)
{
    return attention_query_floats(rows, head_dim) + rows * SCORE_STRIDE + attention_own_floats(rows);
}

/* Readies `scratch`, attention_scratch_floats, for a tile's chunks. */
void attention_begin(const attention_choice *kernels, const attention_tile *tile, float *scratch);

/* part = the tile's rows over the positions of a chunk; `scratch` as attention_begin left it. */
void attention_attend(const attention_choice *kernels, const attention_tile *tile, size_t chunk, kv_page page,
                      float *scratch, attention_part part);

#endif
