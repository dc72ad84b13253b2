/* Attention over a KV cache: how a cache lies in memory, and the kernels that write and read it.
 *
 * A ring holds the keys and values of one sequence and KV head. Position p lies in cell p mod cells; sixteen cells are a
 * block. The layout is the same for every instruction set, so that a cache can move between machines:
 *
 *     keys     per block:  dim 0: [16 positions] dim 1: [16 positions] …    a vector of keys is sixteen scores' worth
 *     values   per cell:   [dim 0 … dim n−1, then zeros up to a multiple of 16]
 *     scales   per block:  dims 0–31: [16 positions] dims 32–63: [16 positions] …     q8 only, behind keys or values
 *
 * Both products of attention, q·k over dims and weights·v over positions, then are the same loop: a number of each query
 * row is spread over a vector and multiplied with a vector from the cache. No sum ever crosses lanes.
 *
 * A sum over positions is taken in chunks of ATTENTION_CHUNK positions, whose bounds are multiples of that, wherever a
 * tile begins: each chunk has its own maximum, sum and output, and chunks are merged in ascending order (online softmax,
 * Milakov and Gimelshein 2018; splitting a decode over positions, Dao et al. 2023). So a token's result has the same bits
 * whichever thread computes which chunk, and however a prompt was cut into batches and tiles. */
#ifndef MOTE_KERNEL_ATTENTION_KERNELS_H
#define MOTE_KERNEL_ATTENTION_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    KV_BLOCK = 16,        /* positions of a block */
    KV_SCALE_DIMS = 32,   /* q8: values of a position that share a scale */
    ATTENTION_CHUNK = 256 /* positions */
};

/* q8: int8 with a float scale, the largest of KV_SCALE_DIMS values ÷ 127. f16 saturates at ±65504. */
typedef enum kv_type { KV_F16, KV_F32, KV_Q8, KV_TYPE_COUNT } kv_type;

static inline size_t kv_value_bytes(kv_type type)
{
    return type == KV_F32 ? sizeof(float) : type == KV_F16 ? sizeof(uint16_t) : sizeof(int8_t);
}

/* Values of a cell, with padding. */
static inline size_t kv_cell_dims(size_t head_dim)
{
    return (head_dim + KV_BLOCK - 1) / KV_BLOCK * KV_BLOCK;
}

static inline size_t kv_scales(kv_type type, size_t head_dim)
{
    return type == KV_Q8 ? (head_dim + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS : 0;
}

/* Bytes of the keys, or of the values, of a block with their scales. */
static inline size_t kv_block_bytes(kv_type type, size_t head_dim)
{
    return KV_BLOCK * (kv_cell_dims(head_dim) * kv_value_bytes(type) + kv_scales(type, head_dim) * sizeof(float));
}

/* Keys and values each take blocks × kv_block_bytes, any alignment; padding is zero. */
typedef struct kv_ring {
    unsigned char *keys;
    unsigned char *values;
    size_t blocks;
    size_t head_dim;
} kv_ring;

/* Queries of consecutive tokens of one sequence, whose keys and values are in the ring: the heads that share its KV head.
 * A row is one query head of one token: row t × group + g. */
typedef struct attention_tile {
    const float *q; /* group × head_dim for each token */
    size_t q_stride;
    size_t tokens;
    size_t group;
    float scale;     /* of q · k before the softmax */
    size_t position; /* of the first token; a token sees itself and what lies before it, */
    size_t window;   /* but no more positions than this; 0: all */
    kv_ring ring;
} attention_tile;

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

/* What `attend` needs beside the part it fills: the queries, and twice the scores of a chunk. */
static inline size_t attention_scratch_floats(size_t rows, size_t head_dim)
{
    return rows * (head_dim + 2 * (ATTENTION_CHUNK + KV_BLOCK));
}

/* One type of cache on one instruction set. */
typedef struct attention_kernel {
    const char *name;
    uint32_t needs; /* CPU_… flags */
    /* Writes a position's key and value, head_dim floats each. */
    void (*store)(const kv_ring *ring, size_t position, const float *key, const float *value);
    /* part = the tile's rows over the positions of a chunk. */
    void (*attend)(const attention_tile *tile, size_t chunk, float *scratch, attention_part part);
    /* sum += part, for parts of the same rows; the part's positions lie behind the sum's. */
    void (*merge)(attention_part sum, attention_part part, size_t rows, size_t head_dim);
} attention_kernel;

#endif
