/* The levels and the scales of a panel's block in NEON registers, for every Arm file of products (the layout: panels.h).
 *
 * Rows are taken in four groups of four: one register holds four columns of a group, as one `sdot` takes it. Levels are
 * unsigned, or signed where their format stores them so; `level_offset` tells what is to be taken from an unsigned one. */
#ifndef MOTE_KERNEL_ARM_PANEL_LEVELS_ARM_H
#define MOTE_KERNEL_ARM_PANEL_LEVELS_ARM_H

#include <arm_neon.h>

#include "kernel/int8_tokens.h"
#include "quant/panels.h"
#include "quant/blocks.h"

#define inline_always __attribute__((always_inline)) static inline

enum { ROW_GROUPS = PANEL_ROWS / 4 };

/* Four rows × columns 4j … 4j + 3, and the same rows × columns 16 + 4j …: what shares bytes in levels of four bits. */
typedef struct level_pair {
    int8x16_t low, high;
} level_pair;

inline_always bool has_minimum(quant_type type)
{
    return type == QUANT_Q4_1 || type == QUANT_Q5_1 || type == QUANT_Q4_K || type == QUANT_Q5_K;
}

/* Two floats for each row: the second is the minimum, or in Q6_K the scale of the last 16 columns. */
inline_always bool has_second(quant_type type)
{
    return has_minimum(type) || type == QUANT_Q6_K;
}

inline_always bool has_fifth_bit(quant_type type)
{
    return type == QUANT_Q5_0 || type == QUANT_Q5_1 || type == QUANT_Q5_K;
}

inline_always bool has_code_book(quant_type type)
{
    return type == QUANT_IQ4_NL || type == QUANT_IQ4_XS;
}

inline_always int level_offset(quant_type type)
{
    return type == QUANT_Q4_0 ? 8 : type == QUANT_Q5_0 ? 16 : type == QUANT_Q6_K ? 32 : 0;
}

/* ---- levels ---- */

inline_always int8x16_t code_book(uint8x16_t level)
{
#if defined(__aarch64__)
    return vqtbl1q_s8(vld1q_s8(quant_iq4_levels), level);
#else
    int8x8x2_t table = {{vld1_s8(quant_iq4_levels), vld1_s8(quant_iq4_levels + 8)}};
    return vcombine_s8(vtbl2_s8(table, vreinterpret_s8_u8(vget_low_u8(level))),
                       vtbl2_s8(table, vreinterpret_s8_u8(vget_high_u8(level))));
#endif
}

/* Bits of `mask`, after moving each byte up, or down, by a number that the compiler knows. */
inline_always uint8x16_t moved_bits(uint8x16_t bits, int up, uint8_t mask)
{
    uint8x16_t moved = up >= 0 ? bits << (uint8_t)up : bits >> (uint8_t)-up;
    return vandq_u8(moved, vdupq_n_u8(mask));
}

/* Row group `group` of a block whose levels begin at `at`; `bytes`: the register of 4-bit levels at 64j + 16 group. */
inline_always level_pair unpacked(quant_type type, uint8x16_t bytes, const uint8_t *at, size_t j, size_t group)
{
    uint8x16_t low = vandq_u8(bytes, vdupq_n_u8(15)), high = vshrq_n_u8(bytes, 4);
    if (has_code_book(type))
        return (level_pair){code_book(low), code_book(high)};
    if (has_fifth_bit(type)) {
        uint8x16_t bits = vld1q_u8(at + 256 + 16 * group);
        low = vorrq_u8(low, moved_bits(bits, 4 - (int)j, 16));
        high = vorrq_u8(high, moved_bits(bits, -(int)j, 16));
    }
    if (type == QUANT_Q6_K) {
        low = vorrq_u8(low, moved_bits(vld1q_u8(at + 256 + 16 * group), 4 - 2 * (int)j, 48));
        high = vorrq_u8(high, moved_bits(vld1q_u8(at + 320 + 16 * group), 4 - 2 * (int)j, 48));
    }
    return (level_pair){vreinterpretq_s8_u8(low), vreinterpretq_s8_u8(high)};
}

inline_always level_pair level_pair_at(quant_type type, const uint8_t *at, size_t j, size_t group)
{
    if (type == QUANT_Q8_0)
        return (level_pair){vld1q_s8((const int8_t *)at + 64 * j + 16 * group),
                            vld1q_s8((const int8_t *)at + 256 + 64 * j + 16 * group)};
    return unpacked(type, vld1q_u8(at + 64 * j + 16 * group), at, j, group);
}

/* All row groups: where it can be, by one instruction. */
inline_always void level_pairs(quant_type type, const uint8_t *at, size_t j, level_pair pair[ROW_GROUPS])
{
#if defined(__aarch64__)
    if (type != QUANT_Q8_0) {
        uint8x16x4_t bytes = vld1q_u8_x4(at + 64 * j);
        for (size_t g = 0; g < ROW_GROUPS; g++)
            pair[g] = unpacked(type, bytes.val[g], at, j, g);
        return;
    }
#endif
    for (size_t g = 0; g < ROW_GROUPS; g++)
        pair[g] = level_pair_at(type, at, j, g);
}

/* ---- scales ---- */

/* Four halves as floats. */
inline_always float32x4_t halves_at(const uint8_t *at)
{
#if defined(__aarch64__)
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at)));
#else
    /* Not every ARMv7 converts halves, and its vectors take a subnormal for zero: so integers become those. */
    uint32x4_t half = vmovl_u16(vreinterpret_u16_u8(vld1_u8(at)));
    uint32x4_t size = vandq_u32(half, vdupq_n_u32(0x7fff)), bits = vshlq_n_u32(size, 13);
    uint32x4_t normal = vaddq_u32(bits, vdupq_n_u32(112u << 23));
    uint32x4_t special = vandq_u32(vcgeq_u32(size, vdupq_n_u32(0x7c00)), vdupq_n_u32(112u << 23));
    float32x4_t small = vmulq_n_f32(vcvtq_f32_u32(size), 0x1p-24f);
    uint32x4_t value =
        vbslq_u32(vcltq_u32(size, vdupq_n_u32(0x400)), vreinterpretq_u32_f32(small), vaddq_u32(normal, special));
    return vreinterpretq_f32_u32(vorrq_u32(value, vshlq_n_u32(vandq_u32(half, vdupq_n_u32(0x8000)), 16)));
#endif
}

inline_always float32x4_t unsigned_at(const uint8_t *at)
{
    uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(load_u32(at)));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
}

inline_always float32x4_t signed_at(const uint8_t *at)
{
    int8x8_t bytes = vreinterpret_s8_u32(vdup_n_u32(load_u32(at)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
}

typedef struct row_scales {
    float32x4_t scale, second;
} row_scales;

/* Those of row group `group`; `at`: where the scales of the block begin. */
inline_always row_scales scales_of(quant_type type, const uint8_t *header, const uint8_t *at, size_t group)
{
    const uint8_t *half = (header != NULL ? header : at) + 8 * group, *byte = at + 4 * group;
    row_scales s = {halves_at(half), vdupq_n_f32(0)};
    switch (type) {
    case QUANT_Q4_1:
    case QUANT_Q5_1: s.second = halves_at(half + 32); break;
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        s.scale = vmulq_f32(s.scale, unsigned_at(byte));
        s.second = vmulq_f32(vnegq_f32(halves_at(half + 32)), unsigned_at(byte + 16));
        break;
    case QUANT_Q6_K:
        s.second = vmulq_f32(s.scale, signed_at(byte + 16));
        s.scale = vmulq_f32(s.scale, signed_at(byte));
        break;
    case QUANT_IQ4_XS: s.scale = vmulq_f32(s.scale, signed_at(byte)); break;
    default: break;
    }
    return s;
}

#endif
