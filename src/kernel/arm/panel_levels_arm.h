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

inline_always bool has_header(quant_type type)
{
    return type == QUANT_Q4_K || type == QUANT_Q5_K || type == QUANT_Q6_K || type == QUANT_Q3_K || type == QUANT_IQ4_XS;
}

/* Whether the halves of a block have scales of their own. */
inline_always bool has_halves(quant_type type)
{
    return type == QUANT_Q6_K || type == QUANT_Q3_K;
}

/* Whether levels are in planes of two bits and one. */
inline_always bool has_planes(quant_type type)
{
    return type == QUANT_M3 || type == QUANT_Q3_K;
}

/* How many numbers row_scales has for each row. */
inline_always size_t scale_count(quant_type type)
{
    return has_halves(type) ? 3 : has_minimum(type) ? 2 : 1;
}

inline_always bool has_fifth_bit(quant_type type)
{
    return type == QUANT_Q5_0 || type == QUANT_Q5_1 || type == QUANT_Q5_K;
}

inline_always bool has_code_book(quant_type type)
{
    return type == QUANT_IQ4_NL || type == QUANT_IQ4_XS || type == QUANT_M4 || type == QUANT_M3;
}

inline_always int level_offset(quant_type type)
{
    return type == QUANT_Q4_0 ? 8 : type == QUANT_Q5_0 ? 16 : type == QUANT_Q6_K ? 32 : type == QUANT_Q3_K ? 4 : 0;
}

/* at + bytes, as a step that can be part of the load before it: the compiler would rather add to where the block began. */
inline_always const uint8_t *step(const uint8_t *at, size_t bytes)
{
    at += bytes;
    __asm__("" : "+r"(at));
    return at;
}

/* ---- levels ---- */

/* 64 bytes: where it can be, by one instruction. */
inline_always uint8x16x4_t four_registers(const uint8_t *at)
{
#if defined(__aarch64__)
    return vld1q_u8_x4(at);
#else
    return (uint8x16x4_t){{vld1q_u8(at), vld1q_u8(at + 16), vld1q_u8(at + 32), vld1q_u8(at + 48)}};
#endif
}

inline_always int8x16_t code_book(quant_type type, uint8x16_t level)
{
    const int8_t *levels = type == QUANT_M4 ? quant_m4_levels : quant_iq4_levels;
#if defined(__aarch64__)
    if (type == QUANT_M3)
        return vqtbl1q_s8(vcombine_s8(vld1_s8(quant_m3_levels), vdup_n_s8(0)), level);
    return vqtbl1q_s8(vld1q_s8(levels), level);
#else
    if (type == QUANT_M3) {
        int8x8_t eight = vld1_s8(quant_m3_levels);
        return vcombine_s8(vtbl1_s8(eight, vreinterpret_s8_u8(vget_low_u8(level))),
                           vtbl1_s8(eight, vreinterpret_s8_u8(vget_high_u8(level))));
    }
    int8x8x2_t table = {{vld1_s8(levels), vld1_s8(levels + 8)}};
    return vcombine_s8(vtbl2_s8(table, vreinterpret_s8_u8(vget_low_u8(level))),
                       vtbl2_s8(table, vreinterpret_s8_u8(vget_high_u8(level))));
#endif
}

/* Each byte moved up, or down, by a number that the compiler knows. */
inline_always uint8x16_t moved_bits(uint8x16_t bits, int up)
{
    return up >= 0 ? bits << (uint8_t)up : bits >> (uint8_t)-up;
}

/* `bits` where the mask has ones, and `level` elsewhere. */
inline_always uint8x16_t inserted(uint8x16_t level, uint8x16_t bits, uint8_t mask)
{
    return vbslq_u8(vdupq_n_u8(mask), bits, level);
}

/* The register of 4-bit levels that stands at 64j + 16 group of a block; `high`: where its high bits begin. */
inline_always level_pair unpacked(quant_type type, uint8x16_t bytes, const uint8_t *high, size_t j, size_t group)
{
    uint8x16_t low = vandq_u8(bytes, vdupq_n_u8(15)), rest = vshrq_n_u8(bytes, 4);
    if (has_code_book(type))
        return (level_pair){code_book(type, low), code_book(type, rest)};
    if (has_fifth_bit(type)) {
        uint8x16_t bits = vld1q_u8(high + 16 * group);
        low = inserted(low, moved_bits(bits, 4 - (int)j), 16);
        rest = inserted(rest, moved_bits(bits, -(int)j), 16);
    }
    if (type == QUANT_Q6_K) {
        low = inserted(low, moved_bits(vld1q_u8(high + 16 * group), 4 - 2 * (int)j), 48);
        rest = inserted(rest, moved_bits(vld1q_u8(high + 64 + 16 * group), 4 - 2 * (int)j), 48);
    }
    return (level_pair){vreinterpretq_s8_u8(low), vreinterpretq_s8_u8(rest)};
}

/* Pair j of M3 or Q3_K: `low` and `rest` hold two bits of columns 0 … 15 and of 16 … 31, `high` the third of all. */
inline_always level_pair three_bits(quant_type type, uint8x16_t low, uint8x16_t rest, uint8x16_t high, size_t j)
{
    uint8x16_t mask = vdupq_n_u8(7);
    low = vandq_u8(vsliq_n_u8(moved_bits(low, -2 * (int)j), moved_bits(high, -(int)j), 2), mask);
    rest = vandq_u8(vsliq_n_u8(moved_bits(rest, -2 * (int)j), moved_bits(high, -4 - (int)j), 2), mask);
    if (type == QUANT_Q3_K)
        return (level_pair){vreinterpretq_s8_u8(low), vreinterpretq_s8_u8(rest)};
    return (level_pair){code_book(type, low), code_book(type, rest)};
}

/* Of the block whose levels begin at `at`. */
inline_always level_pair level_pair_at(quant_type type, const uint8_t *at, size_t j, size_t group)
{
    if (has_planes(type))
        return three_bits(type, vld1q_u8(at + 16 * group), vld1q_u8(at + 64 + 16 * group),
                          vld1q_u8(at + 128 + 16 * group), j);
    if (type == QUANT_Q8_0)
        return (level_pair){vld1q_s8((const int8_t *)at + 64 * j + 16 * group),
                            vld1q_s8((const int8_t *)at + 256 + 64 * j + 16 * group)};
    return unpacked(type, vld1q_u8(at + 64 * j + 16 * group), at + 256, j, group);
}

/* Of all row groups; `at`: where register j of the levels' first half begins. Returns where the next does. */
inline_always const uint8_t *level_pairs(quant_type type, const uint8_t *at, size_t j, level_pair pair[ROW_GROUPS])
{
    if (type == QUANT_Q8_0 || has_planes(type)) {
        for (size_t g = 0; g < ROW_GROUPS; g++)
            pair[g] = level_pair_at(type, at, has_planes(type) ? j : 0, g);
        return type == QUANT_Q8_0 ? step(at, 64) : j == 3 ? step(at, 128) : at;
    }
    uint8x16x4_t bytes = four_registers(at);
    at = step(at, 64);
    for (size_t g = 0; g < ROW_GROUPS; g++)
        pair[g] = unpacked(type, bytes.val[g], at + 64 * (3 - j), j, g);
    return at;
}

/* All four pairs of a row group of Q6_K. Fields of two bits with nothing between them and the next but one serve two pairs
 * each: they are inserted above a nibble without masking it. */
inline_always void six_bit_pairs(const uint8_t *at, size_t group, level_pair pair[4])
{
    uint8x16_t low = vld1q_u8(at + 256 + 16 * group), high = vld1q_u8(at + 320 + 16 * group);
    uint8x16_t mask = vdupq_n_u8(0x33);
#pragma GCC unroll 2
    for (size_t j = 0; j < 2; j++, low = vshrq_n_u8(low, 2), high = vshrq_n_u8(high, 2)) {
        uint8x16_t fields = vandq_u8(low, mask), rest = vandq_u8(high, mask);
        uint8x16_t near = vld1q_u8(at + 64 * j + 16 * group), far = vld1q_u8(at + 64 * (j + 2) + 16 * group);
        pair[j].high = vreinterpretq_s8_u8(vsriq_n_u8(vshlq_n_u8(rest, 4), near, 4));
        pair[j].low = vreinterpretq_s8_u8(vsliq_n_u8(near, fields, 4));
        pair[j + 2].high = vreinterpretq_s8_u8(vsriq_n_u8(rest, far, 4));
        pair[j + 2].low = vreinterpretq_s8_u8(inserted(fields, far, 15));
    }
}

/* ---- scales ---- */

#if !defined(__aarch64__)
/* Four halves as floats. Not every ARMv7 converts them, and its vectors take a subnormal for zero: so integers become
 * those. */
inline_always float32x4_t four_halves(uint16x4_t halves)
{
    uint32x4_t half = vmovl_u16(halves);
    uint32x4_t size = vandq_u32(half, vdupq_n_u32(0x7fff)), bits = vshlq_n_u32(size, 13);
    uint32x4_t normal = vaddq_u32(bits, vdupq_n_u32(112u << 23));
    uint32x4_t special = vandq_u32(vcgeq_u32(size, vdupq_n_u32(0x7c00)), vdupq_n_u32(112u << 23));
    float32x4_t small = vmulq_n_f32(vcvtq_f32_u32(size), 0x1p-24f);
    uint32x4_t value =
        vbslq_u32(vcltq_u32(size, vdupq_n_u32(0x400)), vreinterpretq_u32_f32(small), vaddq_u32(normal, special));
    return vreinterpretq_f32_u32(vorrq_u32(value, vshlq_n_u32(vandq_u32(half, vdupq_n_u32(0x8000)), 16)));
}
#endif

/* Of all sixteen rows: halves of rows 0 … 7 and of 8 … 15. */
inline_always void sixteen_halves(uint8x16_t first, uint8x16_t second, float32x4_t value[ROW_GROUPS])
{
#if defined(__aarch64__)
    float16x8_t eight[2] = {vreinterpretq_f16_u8(first), vreinterpretq_f16_u8(second)};
    for (size_t g = 0; g < ROW_GROUPS; g++)
        value[g] = g % 2 == 0 ? vcvt_f32_f16(vget_low_f16(eight[g / 2])) : vcvt_high_f32_f16(eight[g / 2]);
#else
    uint16x8_t eight[2] = {vreinterpretq_u16_u8(first), vreinterpretq_u16_u8(second)};
    for (size_t g = 0; g < ROW_GROUPS; g++)
        value[g] = four_halves(g % 2 == 0 ? vget_low_u16(eight[g / 2]) : vget_high_u16(eight[g / 2]));
#endif
}

inline_always void all_halves_at(const uint8_t *at, float32x4_t value[ROW_GROUPS])
{
    sixteen_halves(vld1q_u8(at), vld1q_u8(at + 16), value);
}

/* quant_m_scale of each: the bytes of the halves, and then those put together. */
inline_always void all_m_scales_at(const uint8_t *at, float32x4_t value[ROW_GROUPS])
{
    uint8x16_t byte = vld1q_u8(at), n = vandq_u8(byte, vdupq_n_u8(127));
    n = vaddq_u8(n, vqsubq_u8(n, vdupq_n_u8(QUANT_M_COARSE)));
    uint8x16x2_t halves = vzipq_u8(vshlq_n_u8(n, 7), vsriq_n_u8(byte, n, 1)); /* keeps the sign on top */
    sixteen_halves(halves.val[0], halves.val[1], value);
    for (size_t g = 0; g < ROW_GROUPS; g++)
        value[g] = vmulq_n_f32(value[g], 0x1p-4f);
}

inline_always void all_unsigned_at(const uint8_t *at, int32x4_t value[ROW_GROUPS])
{
    uint8x16_t bytes = vld1q_u8(at);
    uint16x8_t half[2] = {vmovl_u8(vget_low_u8(bytes)), vmovl_u8(vget_high_u8(bytes))};
    for (size_t g = 0; g < ROW_GROUPS; g += 2) {
        value[g] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(half[g / 2])));
        value[g + 1] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(half[g / 2])));
    }
}

inline_always void all_signed_at(const uint8_t *at, int32x4_t value[ROW_GROUPS])
{
    int8x16_t bytes = vld1q_s8((const int8_t *)at);
    int16x8_t half[2] = {vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes))};
    for (size_t g = 0; g < ROW_GROUPS; g += 2) {
        value[g] = vmovl_s16(vget_low_s16(half[g / 2]));
        value[g + 1] = vmovl_s16(vget_high_s16(half[g / 2]));
    }
}

/* What a block's sums are multiplied with. Where the halves of a block have scales of their own, those are
 * integers, and multiply the sums as integers before `scale` does. */
typedef struct row_scales {
    float32x4_t scale[ROW_GROUPS], minimum[ROW_GROUPS];
    int32x4_t low[ROW_GROUPS], high[ROW_GROUPS];
} row_scales;

/* `at`: where the scales of the block begin. */
inline_always row_scales scales_of(quant_type type, const uint8_t *header, const uint8_t *at)
{
    row_scales s;
    const uint8_t *halves = has_header(type) ? header : at;
    if (type == QUANT_M4 || type == QUANT_M3) {
        all_m_scales_at(at, s.scale);
        return s;
    }
    all_halves_at(halves, s.scale);
    if (has_minimum(type))
        all_halves_at(halves + 32, s.minimum);
    if (type == QUANT_Q4_K || type == QUANT_Q5_K) {
        all_unsigned_at(at, s.low);
        all_unsigned_at(at + 16, s.high);
        for (size_t g = 0; g < ROW_GROUPS; g++) {
            s.scale[g] = vmulq_f32(s.scale[g], vcvtq_f32_s32(s.low[g]));
            s.minimum[g] = vmulq_f32(vnegq_f32(s.minimum[g]), vcvtq_f32_s32(s.high[g]));
        }
    } else if (has_header(type)) {
        all_signed_at(at, s.low);
        if (has_halves(type))
            all_signed_at(at + 16, s.high);
        for (size_t g = 0; g < ROW_GROUPS && type == QUANT_IQ4_XS; g++)
            s.scale[g] = vmulq_f32(s.scale[g], vcvtq_f32_s32(s.low[g]));
    }
    return s;
}

/* The sums of the halves of a Q6_K block, scaled: at most 2 · 32 · 127 · 16 · 128. */
inline_always int32x4_t joined(const row_scales *w, size_t group, int32x4_t low, int32x4_t high)
{
    return vmlaq_s32(vmulq_s32(low, w->low[group]), high, w->high[group]);
}

#endif
