/* Tokens to int8 with NEON: a block is eight registers. The levels are those of plain C to the last bit: nothing is fused,
 * and where an ARMv7 register takes a subnormal for zero, the level is zero anyway. */
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "kernel/arm/arm_kernels.h"

enum { QUADS = INT8_BLOCK / 4 };

/* To nearest even, for sizes below 2²². */
static inline int32x4_t rounded(float32x4_t value)
{
#if defined(__aarch64__)
    return vcvtnq_s32_f32(value);
#else
    const float32x4_t shift = vdupq_n_f32(0x1.8p23f); /* no room for a fraction is left */
    return vsubq_s32(vreinterpretq_s32_f32(vaddq_f32(value, shift)), vreinterpretq_s32_f32(shift));
#endif
}

#if defined(__aarch64__)

static inline uint32_t largest_of(uint32x4_t value)
{
    return vmaxvq_u32(value);
}

static inline int8x16_t narrowed(const int32x4_t value[4])
{
    int16x8_t low = vuzp1q_s16(vreinterpretq_s16_s32(value[0]), vreinterpretq_s16_s32(value[1]));
    int16x8_t high = vuzp1q_s16(vreinterpretq_s16_s32(value[2]), vreinterpretq_s16_s32(value[3]));
    return vuzp1q_s8(vreinterpretq_s8_s16(low), vreinterpretq_s8_s16(high));
}

static inline int32_t sum_of(int8x16_t value)
{
    return vaddlvq_s8(value);
}

#else

static inline uint32_t largest_of(uint32x4_t value)
{
    uint32x2_t pair = vmax_u32(vget_low_u32(value), vget_high_u32(value));
    return vget_lane_u32(vpmax_u32(pair, pair), 0);
}

static inline int8x16_t narrowed(const int32x4_t value[4])
{
    int16x8_t low = vcombine_s16(vmovn_s32(value[0]), vmovn_s32(value[1]));
    int16x8_t high = vcombine_s16(vmovn_s32(value[2]), vmovn_s32(value[3]));
    return vcombine_s8(vmovn_s16(low), vmovn_s16(high));
}

static inline int32_t sum_of(int8x16_t value)
{
    int32x4_t four = vpaddlq_s16(vpaddlq_s8(value));
    int32x2_t pair = vadd_s32(vget_low_s32(four), vget_high_s32(four));
    return vget_lane_s32(vpadd_s32(pair, pair), 0);
}

#endif

/* Sixteen values. Returns the sum of their levels. */
static inline int32_t store_levels(const float32x4_t value[4], float factor, int8_t *levels)
{
    int32x4_t level[4];
    for (size_t i = 0; i < 4; i++)
        level[i] = rounded(vmulq_n_f32(value[i], factor));
    int8x16_t bytes = narrowed(level);
    vst1q_s8(levels, bytes);
    return sum_of(bytes);
}

static inline void store_block(const float *values, uint8_t *block, size_t width, size_t index)
{
    float32x4_t value[QUADS];
    uint32x4_t sizes = vdupq_n_u32(0); /* bits of sizes are ordered as the sizes are, and end with infinity and NaN */
    for (size_t i = 0; i < QUADS; i++) {
        value[i] = vld1q_f32(values + 4 * i);
        sizes = vmaxq_u32(sizes, vreinterpretq_u32_f32(vabsq_f32(value[i])));
    }
    uint32_t most = largest_of(sizes);
    int8_t *levels = (int8_t *)block + INT8_BLOCK * index;
    if (most >= 0x7f800000u) {
        memset(levels, 0, INT8_BLOCK);
        int8_put_sums(block, width, index, NAN, 0, 0);
        return;
    }
    float largest = f32_from_bits(most), factor = int8_factor(largest);
    int32_t half = store_levels(value, factor, levels), rest = store_levels(value + 4, factor, levels + 16);
    int8_put_sums(block, width, index, int8_scale(largest), half + rest, half);
}

void int8_tokens_store_neon(const float *values, size_t columns, void *tile, size_t width, size_t index)
{
    uint8_t *block = tile;
    for (size_t b = 0; b < columns / INT8_BLOCK; b++, block += INT8_BLOCK_BYTES * width)
        store_block(values + b * INT8_BLOCK, block, width, index);
}
