/* Products of packed weights with `sdot` (Armv8.2 dotprod: Cortex-A76 and most since). A block is 32 of them for each
 * token, and 12 operations that convert and scale the sums. */
#include "base/cpu_features.h"

enum { SCALE_COPIES = 1, OPEN_FROM = 5 };
#include "kernel/arm/panels_sdot.h"

/* opened block, for each of four row groups:
 *
 *     int8 levels[columns 4k … 4k + 3: 8][row 4][column 4] · scales[row 4], as put_scales leaves them */
inline_always void open_block(quant_type type, const block_walk *at, uint8_t *opened)
{
    row_scales w = scales_of(type, at->header, at->scales);
    for (size_t g = 0; g < ROW_GROUPS; g++, opened += opened_bytes(type, SCALE_COPIES) / ROW_GROUPS) {
        level_pair pair[4];
        signed_pairs(type, at->levels, g, pair);
        for (size_t j = 0; j < 4; j++)
            vst1q_s8((int8_t *)opened + 16 * j, pair[j].low);
        for (size_t j = 0; j < 4; j++)
            vst1q_s8((int8_t *)opened + 64 + 16 * j, pair[j].high);
        put_scales(type, &w, g, opened + 128, 16);
    }
}

/* Four registers of levels with sixteen levels of each token. */
#define DOT16(at, half)                                                                                                \
    {                                                                                                                  \
        int8x16x4_t w = vld1q_s8_x4((const int8_t *)(at));                                                             \
        for (size_t t = 0; t < tokens; t++)                                                                            \
            dots[t] = vdotq_laneq_s32(dots[t], w.val[0], token[t].half, 0);                                            \
        for (size_t t = 0; t < tokens; t++)                                                                            \
            dots[t] = vdotq_laneq_s32(dots[t], w.val[1], token[t].half, 1);                                            \
        for (size_t t = 0; t < tokens; t++)                                                                            \
            dots[t] = vdotq_laneq_s32(dots[t], w.val[2], token[t].half, 2);                                            \
        for (size_t t = 0; t < tokens; t++)                                                                            \
            dots[t] = vdotq_laneq_s32(dots[t], w.val[3], token[t].half, 3);                                            \
    }

/* Numbers of the tokens that are multiplied, one of each. */
typedef struct numbers_of_four {
    const uint8_t *at;
    float32x4_t four;
} numbers_of_four;

inline_always numbers_of_four numbers_at(const uint8_t *at, size_t tokens)
{
    return (numbers_of_four){at, tokens == 4 ? floats_at(at) : vdupq_n_f32(0)};
}

inline_always float number_of(numbers_of_four numbers, size_t t, size_t tokens)
{
    return tokens == 4 ? numbers.four[t] : load_f32(numbers.at + 4 * t);
}

/* One row group of an opened block. The sixteen sums, the tokens' levels, four dots and four registers of weights are all
 * there is room for: hence what comes after the dots is loaded after them, for each group anew. */
inline_always const uint8_t *add_opened_group(quant_type type, const uint8_t *opened, size_t group, token_block x,
                                              const token_levels *token, float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
    int32x4_t dots[ARM_TOKENS], low[ARM_TOKENS];
    begin_two(&dots[0], &dots[1]);
    begin_two(&dots[2], &dots[3]);
    DOT16(opened, low);
    opened = step(opened, 64);
    if (has_halves(type)) {
        for (size_t t = 0; t < tokens; t++)
            low[t] = vmulq_s32(dots[t], integers_at(opened + 80));
        begin_two(&dots[0], &dots[1]);
        begin_two(&dots[2], &dots[3]);
    }
    DOT16(opened, high);
    opened = step(opened, 64);
    if (has_halves(type))
        for (size_t t = 0; t < tokens; t++)
            dots[t] = vmlaq_s32(low[t], dots[t], integers_at(opened + 32));
    NOT_BEFORE();
    float32x4_t scale = floats_at(opened);
    opened = step(opened, 16);
    numbers_of_four token_scale = numbers_at(x.scales, tokens);
    for (size_t t = 0; t < tokens; t++)
        sum[t][group] = add_scaled(sum[t][group], scale, number_of(token_scale, t, tokens), dots[t]);
    if (has_minimum(type)) {
        float32x4_t minimum = floats_at(opened);
        numbers_of_four scaled_sum = numbers_at(x.scales + x.apart, tokens);
        for (size_t t = 0; t < tokens; t++)
            sum[t][group] = fused(sum[t][group], minimum, vdupq_n_f32(number_of(scaled_sum, t, tokens)));
    }
    return scale_count(type) == 1 ? opened : step(opened, 16 * (scale_count(type) - 1));
}

inline_always void multiply_opened(quant_type type, const uint8_t *opened, size_t blocks, const uint8_t *x,
                                   size_t width, size_t first, bool begins, float *sums, size_t tokens)
{
    token_block at = token_block_at(x, width, first);
    float32x4_t sum[ARM_TOKENS][ROW_GROUPS];
    load_sums(sums, begins, sum, tokens);
    for (; blocks > 0; blocks--) {
        token_levels token[ARM_TOKENS];
        for (size_t t = 0; t < tokens; t++)
            token[t] = token_at(at.levels + INT8_BLOCK * t);
#pragma GCC unroll 8
        for (size_t g = 0; g < ROW_GROUPS; g++)
            opened = add_opened_group(type, opened, g, at, token, sum, tokens);
        token_block_next(&at);
    }
    store_sums(sums, sum, tokens);
}

#define ENTRY_NAME  "neon-dotprod"
#define ENTRY_NEEDS (CPU_NEON | CPU_DOTPROD)
PANEL_LAYOUT_LIST(PANEL_FUNCTIONS)
const matmul_kernel panels_dotprod[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(PANEL_ENTRY)};
