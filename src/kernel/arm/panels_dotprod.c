/* Products of packed weights with `sdot` (Armv8.2 dotprod: Cortex-A76 and most since). A block is 32 of them for each
 * token, and 16 operations that begin, convert and scale the sums. */
#include "base/cpu_features.h"

enum { SCALE_COPIES = 1, OPEN_FROM = 5 };
#include "kernel/arm/panels_sdot.h"

/* opened block, for each of four row groups:
 *
 *     int8 levels[columns 4k … 4k + 3: 8][row 4][column 4] · float scale[row 4] · float second[row 4] */
inline_always void open_block(quant_type type, const block_walk *at, uint8_t *opened)
{
    for (size_t g = 0; g < ROW_GROUPS; g++, opened += opened_bytes(type, SCALE_COPIES) / ROW_GROUPS) {
        level_pair pair[4];
        signed_pairs(type, at->levels, g, pair);
        for (size_t j = 0; j < 4; j++)
            vst1q_s8((int8_t *)opened + 16 * j, pair[j].low);
        for (size_t j = 0; j < 4; j++)
            vst1q_s8((int8_t *)opened + 64 + 16 * j, pair[j].high);
        row_scales w = scales_of(type, at->header, at->scales, g);
        store_floats(opened + 128, w.scale);
        if (has_second(type))
            store_floats(opened + 144, w.second);
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

inline_always void add_dots(const uint8_t *scales, token_block x, const int32x4_t *dots, size_t group,
                            float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
    NOT_BEFORE();
    float32x4_t scale = floats_at(scales);
    token_numbers token_scale = token_numbers_at(x.scales, tokens);
    for (size_t t = 0; t < tokens; t++)
        sum[t][group] = add_scaled(sum[t][group], scale, token_float(token_scale, t, tokens), dots[t]);
}

/* One row group of an opened block. The sixteen sums, the tokens' levels, four dots and four registers of weights are all
 * there is room for: hence what comes after the dots is loaded after them, for each group anew. */
inline_always const uint8_t *add_opened_group(quant_type type, const uint8_t *opened, size_t group, token_block x,
                                              const token_levels *token, float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
    int32x4_t dots[ARM_TOKENS];
    for (size_t t = 0; t < tokens; t++)
        dots[t] = vdupq_n_s32(0);
    DOT16(opened, low);
    opened = step(opened, 64);
    const uint8_t *scales = opened + 64;
    if (type == QUANT_Q6_K) {
        add_dots(scales, x, dots, group, sum, tokens);
        for (size_t t = 0; t < tokens; t++)
            dots[t] = vdupq_n_s32(0);
        scales += 16;
    }
    DOT16(opened, high);
    add_dots(scales, x, dots, group, sum, tokens);
    if (has_minimum(type)) {
        float32x4_t minimum = floats_at(scales + 16);
        token_numbers scaled_sum = token_numbers_at(x.scales + x.apart, tokens);
        for (size_t t = 0; t < tokens; t++)
            sum[t][group] = fused(sum[t][group], minimum, vdupq_n_f32(token_float(scaled_sum, t, tokens)));
    }
    return step(opened, opened_bytes(type, SCALE_COPIES) / ROW_GROUPS - 64);
}

inline_always void multiply_opened(quant_type type, const uint8_t *opened, size_t blocks, const uint8_t *x,
                                   size_t width, size_t first, float *sums, size_t tokens)
{
    token_block at = token_block_at(x, width, first);
    float32x4_t sum[ARM_TOKENS][ROW_GROUPS];
    load_sums(sums, sum, tokens);
    for (size_t b = 0; b < blocks; b++) {
        token_levels token[ARM_TOKENS];
        for (size_t t = 0; t < tokens; t++)
            token[t] = token_at(at.levels + INT8_BLOCK * t);
        opened = add_opened_group(type, opened, 0, at, token, sum, tokens);
        opened = add_opened_group(type, opened, 1, at, token, sum, tokens);
        opened = add_opened_group(type, opened, 2, at, token, sum, tokens);
        opened = add_opened_group(type, opened, 3, at, token, sum, tokens);
        token_block_next(&at);
    }
    store_sums(sums, sum, tokens);
}

#define ENTRY_NAME  "neon-dotprod"
#define ENTRY_NEEDS (CPU_NEON | CPU_DOTPROD)
PANEL_LAYOUT_LIST(PANEL_FUNCTIONS)
const matmul_kernel panels_dotprod[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(PANEL_ENTRY)};
