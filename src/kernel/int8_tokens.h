/* The input of a product with packed weights: tokens rounded to int8, with a scale for every 32 values.
 *
 * Tokens go in tiles of up to TOKEN_TILE; the last tile is as wide as what is left. A tile lies block after block, so that
 * a kernel walks it with one pointer, at offsets it knows when it is compiled:
 *
 *     tile of T tokens:   [block 0][block 1] … [block columns/32 − 1]
 *     block, 48·T bytes:  int8 levels[T][32] · float scale[T] · float scaled_sum[T] · int32 offset[T] · int32 half[T]
 *
 *     value      = scale × level                  level = round to nearest even, −127 … 127; scale = largest ÷ 127
 *     scaled_sum = scale × Σ level                what a weight's minimum is multiplied with
 *     offset     = −8 × Σ level                   what sums over unsigned 4-bit levels begin with: Σ (w − 8)·x
 *     half       = −8 × Σ of the first 16 levels  the same for formats with a scale for every 16 weights
 *
 * A block with a NaN or an infinity has zero levels and a NaN scale: the outcome says so, and no integer overflows. */
#ifndef MOTE_KERNEL_INT8_TOKENS_H
#define MOTE_KERNEL_INT8_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    TOKEN_TILE = 8,
    INT8_BLOCK = 32,       /* values that share a scale */
    INT8_BLOCK_BYTES = 48, /* of one token */
    INT8_SCALES = 32,      /* where the parts of a block begin, in bytes × T */
    INT8_SCALED_SUMS = 36,
    INT8_OFFSETS = 40,
    INT8_HALVES = 44,
};

/* For `columns` a multiple of INT8_BLOCK. */
static inline size_t int8_tokens_bytes(size_t tokens, size_t columns)
{
    return tokens * (columns / INT8_BLOCK) * INT8_BLOCK_BYTES;
}

/* How many tokens the tile has that begins with token `first`. */
static inline size_t int8_tile_width(size_t tokens, size_t first)
{
    return tokens - first < TOKEN_TILE ? tokens - first : TOKEN_TILE;
}

/* Where the tile begins whose first token is `first`, a multiple of TOKEN_TILE. */
static inline size_t int8_tile_offset(size_t first, size_t columns)
{
    return int8_tokens_bytes(first, columns);
}

/* Stores one token's row of `columns` values as number `index` of a tile of `width` tokens that begins at `tile`. */
typedef void int8_tokens_store(const float *values, size_t columns, void *tile, size_t width, size_t index);

/* The scale of a block by its largest size, and the factor that makes levels of its values. Every instruction set
 * computes these and the levels to the same bit. A block of sizes below 2⁻¹⁰⁰ is zeros: their factor would overflow. */
static inline float int8_scale(float largest)
{
    return largest < 0x1p-100f ? 0 : largest / 127;
}

static inline float int8_factor(float largest)
{
    return largest < 0x1p-100f ? 0 : 127 / largest;
}

/* What is kept of token `index` beside its levels, whose sums these are: of the block, and of its first half. */
static inline void int8_put_sums(uint8_t *block, size_t width, size_t index, float scale, int32_t sum, int32_t half)
{
    store_u32(block + INT8_SCALES * width + 4 * index, f32_bits(scale));
    store_u32(block + INT8_SCALED_SUMS * width + 4 * index, f32_bits(scale * (float)sum));
    store_u32(block + INT8_OFFSETS * width + 4 * index, (uint32_t)(-8 * sum));
    store_u32(block + INT8_HALVES * width + 4 * index, (uint32_t)(-8 * half));
}

#endif
