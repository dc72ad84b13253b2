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

/* Two sums of nothing: one load does for what would be two instructions of those that compute. */
static const int32_t no_sums[8];

inline_always void begin_two(int32x4_t *a, int32x4_t *b)
{
    __asm__("ldp %q0, %q1, [%2]" : "=&w"(*a), "=w"(*b) : "r"(no_sums), "m"(no_sums));
}

/* Numbers of a tile's block that has as many tokens as are multiplied. */
typedef struct token_numbers {
    float32x4_t at[ARM_TOKENS];
} token_numbers;

enum { SCALE, SCALED_SUM, OFFSET, HALF }; /* their order */

inline_always token_numbers token_numbers_at(const uint8_t *scales, size_t tokens)
{
    token_numbers numbers;
    for (size_t t = 0; t < tokens; t++)
        numbers.at[t] = floats_at(scales + 16 * t);
    return numbers;
}

inline_always float token_number(const token_numbers *numbers, size_t kind, size_t t, size_t tokens)
{
    size_t i = kind * tokens + t;
    return numbers->at[i / 4][i % 4];
}

inline_always int32x4_t token_integer(const token_numbers *numbers, size_t kind, size_t t, size_t tokens)
{
    return vreinterpretq_s32_f32(vdupq_n_f32(token_number(numbers, kind, t, tokens)));
}

/* Two sums of four rows: of a whole block, or of its halves, where those have scales of their own. */
typedef struct row_dots {
    int32x4_t low, high;
} row_dots;

inline_always row_dots begin_dots(quant_type type, const token_numbers *numbers, size_t t, size_t tokens)
{
    if (!has_halves(type))
        return (row_dots){first_sum(type, token_integer(numbers, OFFSET, t, tokens)), vdupq_n_s32(0)};
    int32x4_t half = token_integer(numbers, HALF, t, tokens), all = token_integer(numbers, OFFSET, t, tokens);
    return (row_dots){first_sum(type, half), first_sum(type, vsubq_s32(all, half))};
}

/* What the dots of a row group are to their sums. */
inline_always void add_group(quant_type type, const row_scales *w, size_t group, const token_numbers *numbers,
                             const row_dots *dots, float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
    for (size_t t = 0; t < tokens; t++) {
        int32x4_t all = has_halves(type) ? joined(w, group, dots[t].low, dots[t].high) : dots[t].low;
        sum[t][group] = add_scaled(sum[t][group], w->scale[group], token_number(numbers, SCALE, t, tokens), all);
        if (has_minimum(type))
            sum[t][group] =
                fused(sum[t][group], w->minimum[group], vdupq_n_f32(token_number(numbers, SCALED_SUM, t, tokens)));
    }
}

/* The lane of a register of levels must be a constant. */
#define FOR_FOUR_LANES(STEP) STEP(0) STEP(1) STEP(2) STEP(3)

/* A register of levels of each row group with a lane of each token. */
#define DOT_GROUPS(w, half, j)                                                                                         \
    for (size_t t = 0; t < tokens; t++)                                                                                \
        for (size_t g = 0; g < ROW_GROUPS; g++)                                                                        \
            dots[g][t].low = vdotq_laneq_s32(dots[g][t].low, vreinterpretq_s8_u8(w.val[g]), token[t].half, j);

/* Up to two tokens: all row groups side by side, for they are loaded together. Returns where the levels end. */
inline_always const uint8_t *dot_columns(quant_type type, const uint8_t *at, const token_levels *token,
                                         row_dots dots[][2], size_t tokens)
{
    if (type == QUANT_Q8_0) {
#define STEP(j)                                                                                                        \
    {                                                                                                                  \
        uint8x16x4_t w = four_registers(at);                                                                           \
        DOT_GROUPS(w, low, j)                                                                                          \
        at = step(at, 64);                                                                                             \
    }
        FOR_FOUR_LANES(STEP)
#undef STEP
#define STEP(j)                                                                                                        \
    {                                                                                                                  \
        uint8x16x4_t w = four_registers(at);                                                                           \
        DOT_GROUPS(w, high, j)                                                                                         \
        at = step(at, 64);                                                                                             \
    }
        FOR_FOUR_LANES(STEP)
#undef STEP
        return at;
    }
#define STEP(j)                                                                                                        \
    {                                                                                                                  \
        level_pair w[ROW_GROUPS];                                                                                      \
        at = level_pairs(type, at, j, w);                                                                              \
        for (size_t t = 0; t < tokens; t++)                                                                            \
            for (size_t g = 0; g < ROW_GROUPS; g++) {                                                                  \
                dots[g][t].low = vdotq_laneq_s32(dots[g][t].low, w[g].low, token[t].low, j);                           \
                int32x4_t *high = has_halves(type) ? &dots[g][t].high : &dots[g][t].low;                               \
                *high = vdotq_laneq_s32(*high, w[g].high, token[t].high, j);                                           \
            }                                                                                                          \
    }
    FOR_FOUR_LANES(STEP)
#undef STEP
    return at;
}

/* The same for Q6_K, whose pairs share high bits within a row group. */
inline_always const uint8_t *dot_six_bits(const uint8_t *at, const token_levels *token, row_dots dots[][2],
                                          size_t tokens)
{
#pragma GCC unroll 8
    for (size_t g = 0; g < ROW_GROUPS; g++) {
        level_pair w[4];
        six_bit_pairs(at, g, w);
#define STEP(j)                                                                                                        \
    for (size_t t = 0; t < tokens; t++) {                                                                              \
        dots[g][t].low = vdotq_laneq_s32(dots[g][t].low, w[j].low, token[t].low, j);                                   \
        dots[g][t].high = vdotq_laneq_s32(dots[g][t].high, w[j].high, token[t].high, j);                               \
    }
        FOR_FOUR_LANES(STEP)
#undef STEP
    }
    return at + 256;
}

inline_always void add_block_by_columns(quant_type type, block_walk *at, token_block x, float32x4_t sum[][ROW_GROUPS],
                                        size_t tokens)
{
    token_levels token[2];
    row_dots dots[ROW_GROUPS][2];
    token_numbers numbers = token_numbers_at(x.scales, tokens);
    for (size_t t = 0; t < tokens; t++) {
        token[t] = token_at(x.levels + INT8_BLOCK * t);
        for (size_t g = 0; g < ROW_GROUPS; g++)
            dots[g][t] = begin_dots(type, &numbers, t, tokens);
    }
    const uint8_t *end = type == QUANT_Q6_K ? dot_six_bits(at->levels, token, dots, tokens)
                                            : dot_columns(type, at->levels, token, dots, tokens);
    size_t high_bits = type == QUANT_Q6_K ? 128 : has_fifth_bit(type) || has_planes(type) ? 64 : 0;
    row_scales w = scales_of(type, at->header, end + high_bits);
    at->next = end + high_bits + (size_t)(at->next - at->scales);
    for (size_t g = 0; g < ROW_GROUPS; g++)
        add_group(type, &w, g, &numbers, dots[g], sum, tokens);
}

/* More tokens: row groups one after the other, as registers are for sums. */
inline_always void add_block_by_group(quant_type type, const block_walk *at, token_block x, size_t group,
                                      const token_levels *token, float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
    row_dots dots[ARM_TOKENS];
    token_numbers numbers = token_numbers_at(x.scales, tokens);
    for (size_t t = 0; t < tokens; t++)
        dots[t] = begin_dots(type, &numbers, t, tokens);
#define STEP(j)                                                                                                        \
    {                                                                                                                  \
        level_pair w = level_pair_at(type, at->levels, j, group);                                                      \
        for (size_t t = 0; t < tokens; t++)                                                                            \
            dots[t].low = vdotq_laneq_s32(dots[t].low, w.low, token[t].low, j);                                        \
        for (size_t t = 0; t < tokens; t++) {                                                                          \
            int32x4_t *high = has_halves(type) ? &dots[t].high : &dots[t].low;                                         \
            *high = vdotq_laneq_s32(*high, w.high, token[t].high, j);                                                  \
        }                                                                                                              \
    }
    FOR_FOUR_LANES(STEP)
#undef STEP
    NOT_BEFORE();
    numbers = token_numbers_at(x.scales, tokens);
    row_scales w = scales_of(type, at->header, at->scales);
    add_group(type, &w, group, &numbers, dots, sum, tokens);
}

inline_always void add_block(quant_type type, block_walk *at, token_block x, float32x4_t sum[][ROW_GROUPS],
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
