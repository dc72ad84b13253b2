/* Tokens to int8 with NEON: a block is eight registers. The levels are those of plain C to the last bit: nothing is fused,
 * and where an ARMv7 register takes a subnormal for zero, the level is zero anyway. */
#include <arm_neon.h>
#include <math.h>

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

static inline float largest_of(float32x4_t value)
{
    float32x2_t pair = vmax_f32(vget_low_f32(value), vget_high_f32(value));
    return vget_lane_f32(vpmax_f32(pair, pair), 0);
}

static inline int32_t sum_of(int32x4_t value)
{
    int32x2_t pair = vadd_s32(vget_low_s32(value), vget_high_s32(value));
    return vget_lane_s32(vpadd_s32(pair, pair), 0);
}

static void store_block(const float *values, uint8_t *block, size_t width, size_t index)
{
    float32x4_t value[QUADS], largest = vdupq_n_f32(0);
    uint32x4_t sizes = vdupq_n_u32(0); /* bits of sizes are ordered as the sizes are, and end with infinity and NaN */
    for (size_t i = 0; i < QUADS; i++) {
        value[i] = vld1q_f32(values + 4 * i);
        sizes = vmaxq_u32(sizes, vreinterpretq_u32_f32(vabsq_f32(value[i])));
    }
    largest = vreinterpretq_f32_u32(sizes);
    uint32x4_t odd = vcgeq_u32(sizes, vdupq_n_u32(0x7f800000u));
    bool finite = sum_of(vreinterpretq_s32_u32(odd)) == 0;
    float most = finite ? largest_of(largest) : 0, factor = int8_factor(most);
    float scale = finite ? int8_scale(most) : NAN;
    int32x4_t halves[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
    int8_t *levels = (int8_t *)block + INT8_BLOCK * index;
    for (size_t i = 0; i < QUADS; i += 2) {
        int32x4_t low = vdupq_n_s32(0), high = low;
        if (finite) {
            low = rounded(vmulq_n_f32(value[i], factor));
            high = rounded(vmulq_n_f32(value[i + 1], factor));
        }
        halves[i / 4] = vaddq_s32(halves[i / 4], vaddq_s32(low, high));
        vst1_s8(levels + 4 * i, vmovn_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high))));
    }
    int32_t half = sum_of(halves[0]), sum = half + sum_of(halves[1]);
    int8_put_sums(block, width, index, scale, sum, half);
}

void int8_tokens_store_neon(const float *values, size_t columns, void *tile, size_t width, size_t index)
{
    uint8_t *block = tile;
    for (size_t b = 0; b < columns / INT8_BLOCK; b++, block += INT8_BLOCK_BYTES * width)
        store_block(values + b * INT8_BLOCK, block, width, index);
}
