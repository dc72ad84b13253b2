/* Attention over int8 levels with Arm's dot products: `sdot` for keys, whose queries are signed too, and `udot` for values,
 * which are made unsigned as weights are. */
#include <arm_neon.h>

#include "base/cpu_features.h"
#include "kernel/arm/arm_kernels.h"

#define LANE_COUNT   4
#define ROOM         24 /* sums, of thirty-two registers */
#define TILE_ROWS    6
#define ROW_TILES(X) X(6) X(4) X(3) X(2) X(1)
#define QUAD_BYTES   4
#define KEY_OFFSET   0
#define VALUE_OFFSET 128

typedef uint8x16_t cells, quad_levels;
typedef int32x4_t dots;
#include "kernel/generic/attention_int8_lanes.h"

INLINE cells cells_of(cell_bytes levels, int offset)
{
    return (uint8x16_t)(levels ^ (uint8_t)offset);
}

INLINE cells cells_of_nibbles(cell_bytes nibbles, int offset)
{
    static const int8_t table[16] = {KV_Q4_LEVELS};
    uint8x16_t levels = veorq_u8(vreinterpretq_u8_s8(vld1q_s8(table)), vdupq_n_u8((uint8_t)offset));
    return vqtbl1q_u8(levels, (uint8x16_t)nibbles);
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
    return vdotq_s32(sum, vreinterpretq_s8_u8(keys), vreinterpretq_s8_u8(levels));
}

INLINE dots add_value_dots(dots sum, cells values, quad_levels levels)
{
    return vreinterpretq_s32_u32(vdotq_u32(vreinterpretq_u32_s32(sum), values, levels));
}

INLINE dots dots_from(int32_t first)
{
    return vdupq_n_s32(first);
}

INLINE lane_bits dots_total(dots sum)
{
    return (lane_bits)sum;
}

enum { NEEDS = CPU_NEON | CPU_DOTPROD };
const key_kernel keys_int8_dotprod[KV_TYPE_COUNT] = INT8_KEY_KERNELS("dotprod", NEEDS);
const value_kernel values_int8_dotprod[KV_TYPE_COUNT] = INT8_VALUE_KERNELS("dotprod", NEEDS);
