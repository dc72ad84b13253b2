/* Products of packed weights with `smmla` (Armv8.6 i8mm: Cortex-X2, A710, Neoverse V1 and most since): two rows × eight
 * columns with two tokens × eight levels, into four sums. Many tokens go this way, in pairs; one and two by `sdot`.
 *
 * A block is 16 of them for each token, and as many operations that convert and scale the sums as with `sdot`. */
#include "base/cpu_features.h"

enum { SCALE_COPIES = 2, OPEN_FROM = 5, ROW_PAIRS = 8, TOKEN_PAIRS = 2 };
#include "kernel/arm/panels_sdot.h"

/* opened block, for each of four row groups:
 *
 *     int8 levels[pair of rows 2][columns 8k … 8k + 7: 4][row 2][column 8] · scales[row 4][2], as put_scales leaves them
 *
 * Each row's number stands twice, for the two tokens that its sums lie side by side with. */
inline_always row_scales twice(const row_scales *w, size_t group, size_t r)
{
    row_scales s;
    float32x4x2_t scale = vzipq_f32(w->scale[group], w->scale[group]);
    float32x4x2_t minimum = vzipq_f32(w->minimum[group], w->minimum[group]);
    int32x4x2_t low = vzipq_s32(w->low[group], w->low[group]), high = vzipq_s32(w->high[group], w->high[group]);
    s.scale[0] = scale.val[r];
    s.minimum[0] = minimum.val[r];
    s.low[0] = low.val[r];
    s.high[0] = high.val[r];
    return s;
}

inline_always void open_block(quant_type type, const block_walk *at, uint8_t *opened)
{
    row_scales w = scales_of(type, at->header, at->scales);
    for (size_t g = 0; g < ROW_GROUPS; g++, opened += opened_bytes(type, SCALE_COPIES) / ROW_GROUPS) {
        level_pair pair[4];
        signed_pairs(type, at->levels, g, pair);
        for (size_t j = 0; j < 4; j += 2) {
            int32x4x2_t low = vzipq_s32(vreinterpretq_s32_s8(pair[j].low), vreinterpretq_s32_s8(pair[j + 1].low));
            int32x4x2_t high = vzipq_s32(vreinterpretq_s32_s8(pair[j].high), vreinterpretq_s32_s8(pair[j + 1].high));
            for (size_t r = 0; r < 2; r++) {
                vst1q_s8((int8_t *)opened + 64 * r + 8 * j, vreinterpretq_s8_s32(low.val[r]));
                vst1q_s8((int8_t *)opened + 64 * r + 8 * j + 32, vreinterpretq_s8_s32(high.val[r]));
            }
        }
        for (size_t r = 0; r < 2; r++) {
            row_scales both = twice(&w, g, r);
            put_scales(type, &both, 0, opened + 128 + 16 * r, 32);
        }
    }
}

/* Two tokens' levels, in registers that follow one another: columns 8k … 8k + 7 of the first, and of the second. */
typedef int64x2x4_t token_pair;

inline_always int8x16_t columns_of(const token_pair *token, size_t k)
{
    return vreinterpretq_s8_s64(token->val[k]);
}

/* Tokens that follow one another: the load takes them apart by eight levels, and puts them together so. */
inline_always token_pair pair_at(const uint8_t *first)
{
    return vld4q_s64((const int64_t *)(const void *)first);
}

/* The same token twice. */
inline_always token_pair alone_at(const uint8_t *only)
{
    return vld4q_dup_s64((const int64_t *)(const void *)only);
}

/* A number of each token, and again: for two pairs. */
typedef struct pair_numbers {
    float32x4_t pair[TOKEN_PAIRS];
} pair_numbers;

inline_always pair_numbers numbers_at(const uint8_t *at, size_t tokens)
{
    pair_numbers numbers;
    if (tokens == 4) {
        int64x2x2_t both = vld2q_dup_s64((const int64_t *)(const void *)at);
        numbers.pair[0] = vreinterpretq_f32_s64(both.val[0]);
        numbers.pair[1] = vreinterpretq_f32_s64(both.val[1]);
        return numbers;
    }
    for (size_t p = 0; p < (tokens + 1) / 2; p++)
        numbers.pair[p] = 2 * p + 1 < tokens ? vreinterpretq_f32_u64(vdupq_n_u64(load_u64(at + 8 * p)))
                                             : vdupq_n_f32(load_f32(at + 8 * p));
    return numbers;
}

/* One row group of an opened block with all pairs of tokens. What comes after the dots is loaded after them, as the
 * sixteen sums, eight registers of tokens, four dots and four of weights are all there is room for. */
inline_always const uint8_t *add_opened_group(quant_type type, const uint8_t *opened, size_t group, token_block x,
                                              const token_pair *token, float32x4_t sum[][ROW_PAIRS], size_t tokens)
{
    size_t pairs = (tokens + 1) / 2;
    int32x4_t dots[2][TOKEN_PAIRS];
    begin_two(&dots[0][0], &dots[1][0]);
    if (pairs == 2)
        begin_two(&dots[0][1], &dots[1][1]);
#pragma GCC unroll 2
    for (size_t r = 0; r < 2; r++) {
        int8x16x4_t w = vld1q_s8_x4((const int8_t *)opened);
        opened = step(opened, 64);
        for (size_t p = 0; p < pairs; p++) {
            dots[r][p] = vmmlaq_s32(dots[r][p], w.val[0], columns_of(&token[p], 0));
            dots[r][p] = vmmlaq_s32(dots[r][p], w.val[1], columns_of(&token[p], 1));
            int32x4_t low = dots[r][p];
            if (has_halves(type))
                dots[r][p] = vdupq_n_s32(0);
            dots[r][p] = vmmlaq_s32(dots[r][p], w.val[2], columns_of(&token[p], 2));
            dots[r][p] = vmmlaq_s32(dots[r][p], w.val[3], columns_of(&token[p], 3));
            if (has_halves(type))
                dots[r][p] = vmlaq_s32(vmulq_s32(low, integers_at(opened + (r == 0 ? 96 : 48))), dots[r][p],
                                       integers_at(opened + (r == 0 ? 128 : 80)));
        }
    }
    NOT_BEFORE();
    pair_numbers token_scale = numbers_at(x.scales, tokens);
#pragma GCC unroll 2
    for (size_t r = 0; r < 2; r++) {
        float32x4_t scale = floats_at(opened);
        opened = step(opened, 16);
        for (size_t p = 0; p < pairs; p++) {
            float32x4_t *to = &sum[p][2 * group + r];
            *to = fused(*to, vmulq_f32(scale, token_scale.pair[p]), vcvtq_f32_s32(dots[r][p]));
        }
    }
    if (has_minimum(type)) {
        pair_numbers scaled_sum = numbers_at(x.scales + x.apart, tokens);
        for (size_t r = 0; r < 2; r++)
            for (size_t p = 0; p < pairs; p++)
                sum[p][2 * group + r] = fused(sum[p][2 * group + r], floats_at(opened + 16 * r), scaled_sum.pair[p]);
    }
    return scale_count(type) == 1 ? opened : step(opened, 32 * (scale_count(type) - 1));
}

inline_always void load_pair_sums(const float *sums, bool begins, float32x4_t sum[][ROW_PAIRS], size_t tokens)
{
#pragma GCC unroll 8
    for (size_t p = 0; p < (tokens + 1) / 2; p++)
#pragma GCC unroll 8
        for (size_t g = 0; g < ROW_GROUPS; g++) {
            const float *a = sums + 2 * p * PANEL_ROWS + 4 * g, *b = 2 * p + 1 < tokens ? a + PANEL_ROWS : a;
            float32x4_t zero = vdupq_n_f32(0);
            float32x4x2_t both = begins ? (float32x4x2_t){{zero, zero}} : vzipq_f32(vld1q_f32(a), vld1q_f32(b));
            sum[p][2 * g] = both.val[0];
            sum[p][2 * g + 1] = both.val[1];
        }
}

inline_always void store_pair_sums(float *sums, float32x4_t sum[][ROW_PAIRS], size_t tokens)
{
#pragma GCC unroll 8
    for (size_t p = 0; p < (tokens + 1) / 2; p++)
#pragma GCC unroll 8
        for (size_t g = 0; g < ROW_GROUPS; g++) {
            float32x4x2_t both = vuzpq_f32(sum[p][2 * g], sum[p][2 * g + 1]);
            vst1q_f32(sums + 2 * p * PANEL_ROWS + 4 * g, both.val[0]);
            if (2 * p + 1 < tokens)
                vst1q_f32(sums + (2 * p + 1) * PANEL_ROWS + 4 * g, both.val[1]);
        }
}

/* An odd token is paired with itself; what that gives a second time is not stored. */
inline_always void multiply_opened(quant_type type, const uint8_t *opened, size_t blocks, const uint8_t *x,
                                   size_t width, size_t first, bool begins, float *sums, size_t tokens)
{
    token_block at = token_block_at(x, width, first);
    float32x4_t sum[TOKEN_PAIRS][ROW_PAIRS];
    load_pair_sums(sums, begins, sum, tokens);
    for (; blocks > 0; blocks--) {
        token_pair token[TOKEN_PAIRS];
        for (size_t p = 0; p < (tokens + 1) / 2; p++)
            token[p] =
                2 * p + 1 < tokens ? pair_at(at.levels + 2 * INT8_BLOCK * p) : alone_at(at.levels + 2 * INT8_BLOCK * p);
#pragma GCC unroll 8
        for (size_t g = 0; g < ROW_GROUPS; g++)
            opened = add_opened_group(type, opened, g, at, token, sum, tokens);
        token_block_next(&at);
    }
    store_pair_sums(sums, sum, tokens);
}

#define ENTRY_NAME  "neon-i8mm"
#define ENTRY_NEEDS (CPU_NEON | CPU_DOTPROD | CPU_I8MM)
PANEL_LAYOUT_LIST(PANEL_FUNCTIONS)
const matmul_kernel panels_i8mm[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(PANEL_ENTRY)};
