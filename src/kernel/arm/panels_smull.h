/* Products of a panel's block by widening multiplications, for processors without dot products, of 64 and of 32 bits: each
 * of eight products goes to a sum of 16 bits, which pairs of columns then leave for one of 32.
 *
 *     part[row group][0]  r0 r0 r0 r0 r1 r1 r1 r1     part[row group][1]  r2 r2 r2 r2 r3 r3 r3 r3
 *
 * Levels of up to 6 bits times ±127 fit 16 bits for as long as their sums are kept there: 15·127·8, 31·127·8, 63·127·4.
 * Those of a whole byte fit twice: −128·127·2. */
#ifndef MOTE_KERNEL_ARM_PANELS_SMULL_H
#define MOTE_KERNEL_ARM_PANELS_SMULL_H

enum { SCALE_COPIES = 1, OPEN_FROM = 3 };
#include "kernel/arm/panels_arm.h"

typedef struct row_parts {
    int16x8_t part[ROW_GROUPS][2];
} row_parts;

typedef struct row_dots {
    int32x4_t dots[ROW_GROUPS][2];
} row_dots;

/* Four levels of a token, for each row. */
inline_always int8x16_t four_levels(const uint8_t *x)
{
    return vreinterpretq_s8_u32(vdupq_n_u32(load_u32(x)));
}

inline_always void add_products(int16x8_t part[2], int8x16_t w, int8x16_t x, bool begins)
{
#if defined(__aarch64__)
    int8x8_t low = vget_low_s8(x);
    part[0] = begins ? vmull_s8(vget_low_s8(w), low) : vmlal_s8(part[0], vget_low_s8(w), low);
    part[1] = begins ? vmull_high_s8(w, x) : vmlal_high_s8(part[1], w, x);
#else
    int8x8_t low = vget_low_s8(x);
    part[0] = begins ? vmull_s8(vget_low_s8(w), low) : vmlal_s8(part[0], vget_low_s8(w), low);
    part[1] = begins ? vmull_s8(vget_high_s8(w), low) : vmlal_s8(part[1], vget_high_s8(w), low);
#endif
}

/* Sums of neighbours: two for each row, of two registers, become one. */
inline_always int32x4_t rows_of(const int32x4_t dots[2])
{
#if defined(__aarch64__)
    return vpaddq_s32(dots[0], dots[1]);
#else
    return vcombine_s32(vpadd_s32(vget_low_s32(dots[0]), vget_high_s32(dots[0])),
                        vpadd_s32(vget_low_s32(dots[1]), vget_high_s32(dots[1])));
#endif
}

inline_always void widen(row_dots *dots, const row_parts *parts, bool begins)
{
    for (size_t g = 0; g < ROW_GROUPS; g++)
        for (size_t i = 0; i < 2; i++)
            dots->dots[g][i] =
                begins ? vpaddlq_s16(parts->part[g][i]) : vpadalq_s16(dots->dots[g][i], parts->part[g][i]);
}

inline_always bool fills_byte(quant_type type)
{
    return type == QUANT_Q8_0 || has_code_book(type);
}

inline_always void add_token(quant_type type, const block_walk *at, const uint8_t *x, const uint8_t *numbers,
                             size_t apart, float32x4_t sum[ROW_GROUPS])
{
    bool split = has_halves(type); /* the halves of the block have their own scales */
    row_parts parts, rest;
    row_dots dots, rest_dots;
    const uint8_t *levels = at->levels;
#pragma GCC unroll 8
    for (size_t j = 0; j < 4; j++) {
        bool begins = j == 0 || fills_byte(type);
        int8x16_t low = four_levels(x + 4 * j), high = four_levels(x + 16 + 4 * j);
        level_pair w[ROW_GROUPS];
        levels = level_pairs(type, levels, j, w);
        for (size_t g = 0; g < ROW_GROUPS; g++) {
            add_products(parts.part[g], w[g].low, low, begins);
            add_products(split ? rest.part[g] : parts.part[g], w[g].high, high, split && begins);
        }
        if (fills_byte(type))
            widen(&dots, &parts, j == 0);
    }
    if (!fills_byte(type))
        widen(&dots, &parts, true);
    if (split)
        widen(&rest_dots, &rest, true);
    float scale = load_f32(numbers);
    int32x4_t all = first_sum(type, vdupq_n_s32((int32_t)load_u32(numbers + 2 * apart)));
    int32x4_t half = first_sum(type, vdupq_n_s32((int32_t)load_u32(numbers + 3 * apart)));
    row_scales w = scales_of(type, at->header, at->scales);
    for (size_t g = 0; g < ROW_GROUPS; g++) {
        int32x4_t products = vaddq_s32(rows_of(dots.dots[g]), split ? half : all);
        if (split)
            products = joined(&w, g, products, vaddq_s32(rows_of(rest_dots.dots[g]), vsubq_s32(all, half)));
        sum[g] = add_scaled(sum[g], w.scale[g], scale, products);
        if (has_minimum(type))
            sum[g] = fused(sum[g], w.minimum[g], vdupq_n_f32(load_f32(numbers + apart)));
    }
}

inline_always void add_block(quant_type type, block_walk *at, token_block x, float32x4_t sum[][ROW_GROUPS],
                             size_t tokens)
{
    for (size_t t = 0; t < tokens; t++)
        add_token(type, at, x.levels + INT8_BLOCK * t, x.scales + 4 * t, x.apart, sum[t]);
}

/* opened block:  int8 levels[columns 4k … 4k + 3: 8][row 16][column 4] · scales, as put_scales leaves them */
inline_always void open_block(quant_type type, const block_walk *at, uint8_t *opened)
{
    row_scales w = scales_of(type, at->header, at->scales);
    for (size_t g = 0; g < ROW_GROUPS; g++) {
        level_pair pair[4];
        signed_pairs(type, at->levels, g, pair);
        for (size_t j = 0; j < 4; j++) {
            vst1q_s8((int8_t *)opened + 64 * j + 16 * g, pair[j].low);
            vst1q_s8((int8_t *)opened + 256 + 64 * j + 16 * g, pair[j].high);
        }
        put_scales(type, &w, g, opened + 512 + 16 * g, 64);
    }
}

/* Columns 4k …, k in [begin, end), of one token. */
inline_always void multiply_columns(quant_type type, const uint8_t *opened, const uint8_t *x, size_t begin, size_t end,
                                    int32x4_t products[ROW_GROUPS])
{
    row_parts parts;
    row_dots dots;
#pragma GCC unroll 8
    for (size_t k = begin; k < end; k++) {
        int8x16_t levels = four_levels(x + 4 * k);
        for (size_t g = 0; g < ROW_GROUPS; g++)
            add_products(parts.part[g], vld1q_s8((const int8_t *)opened + 64 * k + 16 * g), levels,
                         k == begin || (fills_byte(type) && k % 2 == 0));
        if (fills_byte(type) ? k % 2 != 0 : k == end - 1)
            widen(&dots, &parts, !fills_byte(type) || k == 1);
    }
    for (size_t g = 0; g < ROW_GROUPS; g++)
        products[g] = rows_of(dots.dots[g]);
}

/* One token with an opened block; `x`: the token's levels, `numbers`: its scale, which the others follow. */
inline_always void add_opened(quant_type type, const uint8_t *opened, const uint8_t *x, const uint8_t *numbers,
                              size_t apart, float32x4_t sum[ROW_GROUPS])
{
    int32x4_t products[ROW_GROUPS], rest[ROW_GROUPS];
    multiply_columns(type, opened, x, 0, has_halves(type) ? 4 : 8, products);
    if (has_halves(type))
        multiply_columns(type, opened, x, 4, 8, rest);
    float scale = load_f32(numbers);
    float32x4_t scaled_sum = vdupq_n_f32(load_f32(numbers + apart));
    for (size_t g = 0; g < ROW_GROUPS; g++) {
        const uint8_t *scales = opened + 512 + 16 * g;
        if (has_halves(type))
            products[g] =
                vmlaq_s32(vmulq_s32(products[g], integers_at(scales + 64)), rest[g], integers_at(scales + 128));
        sum[g] = add_scaled(sum[g], floats_at(scales), scale, products[g]);
        if (has_minimum(type))
            sum[g] = fused(sum[g], floats_at(scales + 64), scaled_sum);
    }
}

inline_always void multiply_opened(quant_type type, const uint8_t *opened, size_t blocks, const uint8_t *x,
                                   size_t width, size_t first, bool begins, float *sums, size_t tokens)
{
    token_block at = token_block_at(x, width, first);
    float32x4_t sum[ARM_TOKENS][ROW_GROUPS];
    load_sums(sums, begins, sum, tokens);
    for (size_t b = 0; b < blocks; b++) {
        for (size_t t = 0; t < tokens; t++)
            add_opened(type, opened, at.levels + INT8_BLOCK * t, at.scales + 4 * t, at.apart, sum[t]);
        opened += opened_bytes(type, SCALE_COPIES);
        token_block_next(&at);
    }
    store_sums(sums, sum, tokens);
}

#endif
