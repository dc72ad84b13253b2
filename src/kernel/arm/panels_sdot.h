/* Products of a panel's block with tokens by `sdot`: four rows × four columns with four levels of a token. */
#ifndef MOTE_KERNEL_ARM_PANELS_SDOT_H
#define MOTE_KERNEL_ARM_PANELS_SDOT_H

#include "kernel/arm/panels_arm.h"

/* One token's 32 levels. */
typedef struct token_levels {
    int8x16_t low, high;
} token_levels;

inline_always token_levels token_at(const uint8_t *x)
{
    return (token_levels){vld1q_s8((const int8_t *)x), vld1q_s8((const int8_t *)x + 16)};
}

/* What the dots of a row group are to their sums. `rest`: of the last 16 columns, where those have their own scale. */
inline_always void add_group(quant_type type, const block_walk *at, token_block x, size_t group, const int32x4_t *dots,
                             const int32x4_t *rest, float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
    row_scales w = scales_of(type, at->header, at->scales, group);
    token_numbers scale = token_numbers_at(x.scales, tokens);
    for (size_t t = 0; t < tokens; t++)
        sum[t][group] = add_scaled(sum[t][group], w.scale, token_float(scale, t, tokens), dots[t]);
    for (size_t t = 0; t < tokens && type == QUANT_Q6_K; t++)
        sum[t][group] = add_scaled(sum[t][group], w.second, token_float(scale, t, tokens), rest[t]);
    if (has_minimum(type)) {
        token_numbers scaled_sum = token_numbers_at(x.scales + x.apart, tokens);
        for (size_t t = 0; t < tokens; t++)
            sum[t][group] = fused(sum[t][group], w.second, vdupq_n_f32(token_float(scaled_sum, t, tokens)));
    }
}

inline_always void begin_dots(quant_type type, token_block x, int32x4_t *dots, int32x4_t *rest, size_t tokens)
{
    token_numbers offset = token_numbers_at(x.scales + 2 * x.apart, tokens);
    token_numbers half = token_numbers_at(x.scales + 3 * x.apart, tokens);
    for (size_t t = 0; t < tokens; t++) {
        int32x4_t all = vreinterpretq_s32_f32(vdupq_n_f32(token_float(offset, t, tokens)));
        dots[t] = type == QUANT_Q6_K ? vreinterpretq_s32_f32(vdupq_n_f32(token_float(half, t, tokens))) : all;
        rest[t] = first_sum(type, vsubq_s32(all, dots[t]));
        dots[t] = first_sum(type, dots[t]);
    }
}

/* The lane of a register of levels must be a constant. */
#define FOR_FOUR_LANES(STEP) STEP(0) STEP(1) STEP(2) STEP(3)

/* Up to two tokens: all row groups side by side, for they are loaded together. */
inline_always void add_block_by_columns(quant_type type, const block_walk *at, token_block x,
                                        float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
    token_levels token[2];
    int32x4_t dots[ROW_GROUPS][2], rest[ROW_GROUPS][2];
    begin_dots(type, x, dots[0], rest[0], tokens);
    for (size_t t = 0; t < tokens; t++) {
        token[t] = token_at(x.levels + INT8_BLOCK * t);
        for (size_t g = 1; g < ROW_GROUPS; g++) {
            dots[g][t] = dots[0][t];
            rest[g][t] = rest[0][t];
        }
    }
#define STEP(j)                                                                                                        \
    {                                                                                                                  \
        level_pair w[ROW_GROUPS];                                                                                      \
        level_pairs(type, at->levels, j, w);                                                                           \
        for (size_t t = 0; t < tokens; t++)                                                                            \
            for (size_t g = 0; g < ROW_GROUPS; g++) {                                                                  \
                int32x4_t *high = type == QUANT_Q6_K ? &rest[g][t] : &dots[g][t];                                      \
                dots[g][t] = vdotq_laneq_s32(dots[g][t], w[g].low, token[t].low, j);                                   \
                *high = vdotq_laneq_s32(*high, w[g].high, token[t].high, j);                                           \
            }                                                                                                          \
    }
    FOR_FOUR_LANES(STEP)
#undef STEP
    for (size_t g = 0; g < ROW_GROUPS; g++)
        add_group(type, at, x, g, dots[g], rest[g], sum, tokens);
}

/* More tokens: row groups one after the other, as registers are for sums. */
inline_always void add_block_by_group(quant_type type, const block_walk *at, token_block x, size_t group,
                                      const token_levels *token, float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
    int32x4_t dots[ARM_TOKENS], rest[ARM_TOKENS];
    begin_dots(type, x, dots, rest, tokens);
#define STEP(j)                                                                                                        \
    {                                                                                                                  \
        level_pair w = level_pair_at(type, at->levels, j, group);                                                      \
        for (size_t t = 0; t < tokens; t++)                                                                            \
            dots[t] = vdotq_laneq_s32(dots[t], w.low, token[t].low, j);                                                \
        for (size_t t = 0; t < tokens; t++) {                                                                          \
            int32x4_t *high = type == QUANT_Q6_K ? &rest[t] : &dots[t];                                                \
            *high = vdotq_laneq_s32(*high, w.high, token[t].high, j);                                                  \
        }                                                                                                              \
    }
    FOR_FOUR_LANES(STEP)
#undef STEP
    NOT_BEFORE();
    add_group(type, at, x, group, dots, rest, sum, tokens);
}

inline_always void add_block(quant_type type, const block_walk *at, token_block x, float32x4_t sum[][ROW_GROUPS],
                             size_t tokens)
{
    if (tokens <= 2) {
        add_block_by_columns(type, at, x, sum, tokens);
        return;
    }
    token_levels token[ARM_TOKENS];
    for (size_t t = 0; t < tokens; t++)
        token[t] = token_at(x.levels + INT8_BLOCK * t);
#pragma GCC unroll 8
    for (size_t g = 0; g < ROW_GROUPS; g++)
        add_block_by_group(type, at, x, g, token, sum, tokens);
}

#endif
