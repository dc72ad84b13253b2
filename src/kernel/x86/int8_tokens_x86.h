/* Tokens to int8 on x86-64: four blocks go together, so that they share what is slow for one alone: the way of sixteen
 * sizes into one number, the divisions, and the way of 32 levels into two sums.
 * The including file then defines the two operations that are declared here. */
#ifndef MOTE_KERNEL_X86_INT8_TOKENS_X86_H
#define MOTE_KERNEL_X86_INT8_TOKENS_X86_H

#include <immintrin.h>
#include <math.h>

#include "kernel/x86/x86_kernels.h"

enum { TOGETHER = 4 }; /* blocks */

/* What an instruction set defines. The largest bits of four blocks without their signs: these are ordered as the sizes are,
 * with infinity and NaN above every number. */
static inline __m128i largest_of(const float *const from[TOGETHER]);

/* Levels of the four, which are values × factor, and the sums of each one's halves. */
static inline void make_levels(const float *const from[TOGETHER], const float factor[TOGETHER], __m256i level[TOGETHER],
                               int32_t half[2][TOGETHER]);

/* What int8_factor and int8_scale say. Returns a bit for each block that is finite. */
static inline int make_scales(__m128i bits, float factor[TOGETHER], float scale[TOGETHER])
{
    const __m128 most = _mm_set1_ps(127);
    __m128 largest = _mm_castsi128_ps(bits);
    __m128 finite = _mm_castsi128_ps(_mm_cmplt_epi32(bits, _mm_set1_epi32(0x7f800000)));
    __m128 some = _mm_and_ps(finite, _mm_cmpge_ps(largest, _mm_set1_ps(0x1p-100f)));
    _mm_storeu_ps(factor, _mm_and_ps(some, _mm_div_ps(most, largest)));
    _mm_storeu_ps(scale,
                  _mm_or_ps(_mm_and_ps(some, _mm_div_ps(largest, most)), _mm_andnot_ps(finite, _mm_set1_ps(NAN))));
    return _mm_movemask_ps(finite);
}

/* Stores `count` blocks, at most four; in place of others, and of those that are not finite, zeros are computed. */
__attribute__((always_inline)) static inline void store_blocks(const float *values, size_t count, uint8_t *block,
                                                               size_t width, size_t index)
{
    static const float nothing[INT8_BLOCK];
    const float *from[TOGETHER];
    float factor[TOGETHER], scale[TOGETHER];
    __m256i level[TOGETHER];
    int32_t half[2][TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++)
        from[i] = i < count ? values + INT8_BLOCK * i : nothing;
    int finite = make_scales(largest_of(from), factor, scale);
    if (__builtin_expect(finite != (1 << TOGETHER) - 1, 0))
        for (size_t i = 0; i < TOGETHER; i++)
            from[i] = finite >> i & 1 ? from[i] : nothing;
    make_levels(from, factor, level, half);
    for (size_t i = 0; i < count; i++, block += INT8_BLOCK_BYTES * width) {
        _mm256_storeu_si256((__m256i *)(block + INT8_BLOCK * index), level[i]);
        int8_put_sums(block, width, index, scale[i], half[0][i] + half[1][i], half[0][i]);
    }
}

/* An instruction set's int8_tokens_store. */
static inline void store_token(const float *values, size_t columns, void *tile, size_t width, size_t index)
{
    uint8_t *block = tile;
    size_t left = columns / INT8_BLOCK;
    for (; left >= TOGETHER; left -= TOGETHER) {
        store_blocks(values, TOGETHER, block, width, index);
        values += TOGETHER * INT8_BLOCK;
        block += TOGETHER * INT8_BLOCK_BYTES * width;
    }
    if (left > 0)
        store_blocks(values, left, block, width, index);
}

#endif
