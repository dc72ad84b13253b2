/* Products of packed weights with `smmla` (Armv8.6 i8mm: Cortex-X2, A710, Neoverse V1 and most since): two rows × eight
 * columns with two tokens × eight levels, into four sums. Many tokens go this way, in pairs; one and two by `sdot`.
 *
 * A block is 16 of them for each token, and as many operations that begin, convert and scale the sums as with `sdot`. */
#include "base/cpu_features.h"

enum { SCALE_COPIES = 2, OPEN_FROM = 5, ROW_PAIRS = 8, TOKEN_PAIRS = 2 };
#include "kernel/arm/panels_sdot.h"

/* opened block, for each of 8 row pairs:
 *
 *     int8 levels[columns 8k … 8k + 7: 4][row 2][column 8] · float scale[row 2][2] · float second[row 2][2]
 *
 * Each row's number stands twice, for the two tokens that its sums lie side by side with. */
inline_always void open_block(quant_type type, const block_walk *at, uint8_t *opened)
{
    size_t size = opened_bytes(type, SCALE_COPIES) / ROW_PAIRS;
    for (size_t g = 0; g < ROW_GROUPS; g++, opened += 2 * size) {
        level_pair pair[4];
        signed_pairs(type, at->levels, g, pair);
        for (size_t j = 0; j < 4; j += 2) {
            int32x4x2_t low = vzipq_s32(vreinterpretq_s32_s8(pair[j].low), vreinterpretq_s32_s8(pair[j + 1].low));
            int32x4x2_t high = vzipq_s32(vreinterpretq_s32_s8(pair[j].high), vreinterpretq_s32_s8(pair[j + 1].high));
            for (size_t r = 0; r < 2; r++) {
                vst1q_s8((int8_t *)opened + r * size + 8 * j, vreinterpretq_s8_s32(low.val[r]));
                vst1q_s8((int8_t *)opened + r * size + 8 * j + 32, vreinterpretq_s8_s32(high.val[r]));
            }
        }
        row_scales w = scales_of(type, at->header, at->scales, g);
        float32x4x2_t scale = vzipq_f32(w.scale, w.scale), second = vzipq_f32(w.second, w.second);
        for (size_t r = 0; r < 2; r++) {
            store_floats(opened + r * size + 64, scale.val[r]);
            if (has_second(type))
                store_floats(opened + r * size + 80, second.val[r]);
        }
    }
}

/* Two tokens' levels: columns 8k … 8k + 7 of the first, and of the second. */
typedef struct token_pair {
    int8x16_t columns[4];
} token_pair;

inline_always token_pair pair_at(const uint8_t *first, const uint8_t *second)
{
    int64x2_t a = vreinterpretq_s64_u8(vld1q_u8(first)), b = vreinterpretq_s64_u8(vld1q_u8(second));
    int64x2_t c = vreinterpretq_s64_u8(vld1q_u8(first + 16)), d = vreinterpretq_s64_u8(vld1q_u8(second + 16));
    return (token_pair){{vreinterpretq_s8_s64(vzip1q_s64(a, b)), vreinterpretq_s8_s64(vzip2q_s64(a, b)),
                         vreinterpretq_s8_s64(vzip1q_s64(c, d)), vreinterpretq_s8_s64(vzip2q_s64(c, d))}};
}

/* A number of each of two tokens, twice. */
inline_always float32x4_t pair_floats(const uint8_t *at, size_t first, size_t second)
{
    if (first != second)
        return vreinterpretq_f32_u64(vdupq_n_u64(load_u64(at + 4 * first)));
    return vdupq_n_f32(load_f32(at + 4 * first));
}

/* Two tokens: their levels and numbers. */
typedef struct paired_tokens {
    token_pair levels;
    float32x4_t scale, scaled_sum;
} paired_tokens;

/* Two rows of an opened block with all pairs. */
inline_always const uint8_t *add_row_pair(quant_type type, const uint8_t *opened, const paired_tokens *token,
                                          size_t row_pair, float32x4_t sum[][ROW_PAIRS], size_t pairs)
{
    int8x16x4_t w = vld1q_s8_x4((const int8_t *)opened);
    opened = step(opened, 64);
    float32x4_t scale = floats_at(opened), second = has_second(type) ? floats_at(opened + 16) : scale;
    for (size_t p = 0; p < pairs; p++) {
        const int8x16_t *x = token[p].levels.columns;
        float32x4_t *to = &sum[p][row_pair];
        int32x4_t dots = vmmlaq_s32(vdupq_n_s32(0), w.val[0], x[0]);
        dots = vmmlaq_s32(dots, w.val[1], x[1]);
        if (type == QUANT_Q6_K) {
            *to = fused(*to, vmulq_f32(scale, token[p].scale), vcvtq_f32_s32(dots));
            dots = vdupq_n_s32(0);
        }
        dots = vmmlaq_s32(dots, w.val[2], x[2]);
        dots = vmmlaq_s32(dots, w.val[3], x[3]);
        *to = fused(*to, vmulq_f32(type == QUANT_Q6_K ? second : scale, token[p].scale), vcvtq_f32_s32(dots));
        if (has_minimum(type))
            *to = fused(*to, second, token[p].scaled_sum);
    }
    return step(opened, opened_bytes(type, SCALE_COPIES) / ROW_PAIRS - 64);
}

/* An odd token is paired with itself; what that gives a second time is not stored. */
inline_always void multiply_opened(quant_type type, const uint8_t *opened, size_t blocks, const uint8_t *x,
                                   size_t width, size_t first, float *sums, size_t tokens)
{
    token_block at = token_block_at(x, width, first);
    float32x4_t sum[TOKEN_PAIRS][ROW_PAIRS];
    size_t pairs = (tokens + 1) / 2;
#pragma GCC unroll 8
    for (size_t p = 0; p < pairs; p++)
#pragma GCC unroll 8
        for (size_t g = 0; g < ROW_GROUPS; g++) {
            float *a = sums + 2 * p * PANEL_ROWS + 4 * g, *b = 2 * p + 1 < tokens ? a + PANEL_ROWS : a;
            float32x4x2_t both = vzipq_f32(vld1q_f32(a), vld1q_f32(b));
            sum[p][2 * g] = both.val[0];
            sum[p][2 * g + 1] = both.val[1];
        }
    for (size_t b = 0; b < blocks; b++) {
        paired_tokens token[TOKEN_PAIRS];
        for (size_t p = 0; p < pairs; p++) {
            size_t other = 2 * p + 1 < tokens ? 2 * p + 1 : 2 * p;
            token[p].levels = pair_at(at.levels + INT8_BLOCK * 2 * p, at.levels + INT8_BLOCK * other);
            token[p].scale = pair_floats(at.scales, 2 * p, other);
            token[p].scaled_sum = pair_floats(at.scales + at.apart, 2 * p, other);
        }
#pragma GCC unroll 8
        for (size_t r = 0; r < ROW_PAIRS; r++)
            opened = add_row_pair(type, opened, token, r, sum, pairs);
        token_block_next(&at);
    }
#pragma GCC unroll 8
    for (size_t p = 0; p < pairs; p++)
#pragma GCC unroll 8
        for (size_t g = 0; g < ROW_GROUPS; g++) {
            float32x4x2_t both = vuzpq_f32(sum[p][2 * g], sum[p][2 * g + 1]);
            vst1q_f32(sums + 2 * p * PANEL_ROWS + 4 * g, both.val[0]);
            if (2 * p + 1 < tokens)
                vst1q_f32(sums + (2 * p + 1) * PANEL_ROWS + 4 * g, both.val[1]);
        }
}

#define ENTRY_NAME  "neon-i8mm"
#define ENTRY_NEEDS (CPU_NEON | CPU_DOTPROD | CPU_I8MM)
PANEL_LAYOUT_LIST(PANEL_FUNCTIONS)
const matmul_kernel panels_i8mm[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(PANEL_ENTRY)};
