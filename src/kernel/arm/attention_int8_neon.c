/* Attention over int8 levels with NEON, of 64 and of 32 bits: eight products go to 16 bits and leave them in pairs for sums of
 * 32 bits, two for each lane, which are added at the end. Products of a value and a weight fill 16 bits, unsigned: values
 * are taken plus 128. */
#include <arm_neon.h>

#include "base/cpu_features.h"
#include "kernel/arm/arm_kernels.h"

#define LANE_COUNT 4
#if defined(__aarch64__)
#define ROOM         8 /* pairs of sums, of thirty-two registers */
#define TILE_ROWS    4
#define ROW_TILES(X) X(4) X(3) X(2) X(1)
#else
#define ROOM         4 /* of sixteen */
#define TILE_ROWS    2
#define ROW_TILES(X) X(2) X(1)
#endif
#define QUAD_BYTES   4
#define KEY_OFFSET   0
#define VALUE_OFFSET 128

typedef uint8x16_t cells, quad_levels;
typedef int32x4x2_t dots;
#include "kernel/generic/attention_int8_lanes.h"

INLINE cells cells_of(cell_bytes levels, int offset)
{
    return (uint8x16_t)(levels ^ (uint8_t)offset);
}

INLINE cells cells_of_nibbles(cell_bytes nibbles, int offset)
{
    static const int8_t table[16] = {KV_Q4_LEVELS};
    uint8x16_t levels = veorq_u8(vreinterpretq_u8_s8(vld1q_s8(table)), vdupq_n_u8((uint8_t)offset));
    uint8x16_t at = (uint8x16_t)nibbles;
#if defined(__aarch64__)
    return vqtbl1q_u8(levels, at);
#else
    uint8x8x2_t halves = {{vget_low_u8(levels), vget_high_u8(levels)}};
    return vcombine_u8(vtbl2_u8(halves, vget_low_u8(at)), vtbl2_u8(halves, vget_high_u8(at)));
#endif
}

INLINE quad_levels quad_at(const unsigned char *at)
{
    return vreinterpretq_u8_u32(vdupq_n_u32(load_u32(at)));
}

INLINE void put_quads(unsigned char *at, lane_bits levels)
{
    narrow_lanes(levels, at);
}

INLINE dots add_key_dots(dots sum, cells keys, quad_levels levels)
{
    int8x16_t k = vreinterpretq_s8_u8(keys), q = vreinterpretq_s8_u8(levels);
    sum.val[0] = vpadalq_s16(sum.val[0], vmull_s8(vget_low_s8(k), vget_low_s8(q)));
    sum.val[1] = vpadalq_s16(sum.val[1], vmull_s8(vget_high_s8(k), vget_high_s8(q)));
    return sum;
}

INLINE dots add_value_dots(dots sum, cells values, quad_levels levels)
{
    uint16x8_t low = vmull_u8(vget_low_u8(values), vget_low_u8(levels));
    uint16x8_t high = vmull_u8(vget_high_u8(values), vget_high_u8(levels));
    sum.val[0] = vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(sum.val[0]), low));
    sum.val[1] = vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(sum.val[1]), high));
    return sum;
}

INLINE dots dots_from(int32_t first)
{
    int32x4_t half = vsetq_lane_s32(first, vsetq_lane_s32(first, vdupq_n_s32(0), 0), 2);
    return (dots){{half, half}};
}

INLINE lane_bits dots_total(dots sum)
{
#if defined(__aarch64__)
    return (lane_bits)vpaddq_s32(sum.val[0], sum.val[1]);
#else
    return (lane_bits)vcombine_s32(vpadd_s32(vget_low_s32(sum.val[0]), vget_high_s32(sum.val[0])),
                                   vpadd_s32(vget_low_s32(sum.val[1]), vget_high_s32(sum.val[1])));
#endif
}

const key_kernel keys_int8_neon[KV_TYPE_COUNT] = INT8_KEY_KERNELS("neon", CPU_NEON);
const value_kernel values_int8_neon[KV_TYPE_COUNT] = INT8_VALUE_KERNELS("neon", CPU_NEON);
