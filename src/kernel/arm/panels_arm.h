/* What the files of products for packed weights have in common, but for the products: the walk over a panel's blocks, the
 * opening of one, and the entries for the table. An including file defines, as inline functions,
 *
 *     add_block        products of a panel's block with up to ARM_TOKENS tokens
 *     open_block       a block's levels and scales into memory
 *     multiply_opened  products of opened blocks with up to ARM_TOKENS tokens
 *
 * and ends with the entries. Whichever way a token goes, its sums are built by the same float operations. */
#ifndef MOTE_KERNEL_ARM_PANELS_ARM_H
#define MOTE_KERNEL_ARM_PANELS_ARM_H

#include "base/bytes.h"
#include "kernel/arm/arm_kernels.h"
#include "kernel/arm/panel_product_arm.h"
#include "kernel/arm/panel_levels_arm.h"

/* Where the parts of a block lie; a panel's blocks one after the other. */
typedef struct block_walk {
    const uint8_t *header, *levels, *scales;
    const uint8_t *next;
} block_walk;

typedef struct panel_sizes {
    size_t block, header, scales;
} panel_sizes;

inline_always void walk(block_walk *at, panel_sizes sizes, size_t block)
{
    if (sizes.header != 0 && block % (PANEL_HEADER_COLUMNS / PANEL_BLOCK) == 0) {
        at->header = at->next;
        at->next += sizes.header;
    }
    at->levels = at->next;
    at->scales = at->next + (sizes.block - sizes.scales);
    at->next += sizes.block;
}

inline_always float32x4_t fused(float32x4_t sum, float32x4_t a, float32x4_t b)
{
#if defined(__ARM_FEATURE_FMA)
    return vfmaq_f32(sum, a, b);
#else
    return vmlaq_f32(sum, a, b);
#endif
}

/* Keeps what is loaded after this from being loaded before, and from taking registers there. */
#define NOT_BEFORE() __asm__ volatile("" ::: "memory")

inline_always float32x4_t floats_at(const uint8_t *at)
{
    return vld1q_f32((const float *)(const void *)at);
}

inline_always int32x4_t integers_at(const uint8_t *at)
{
    return vreinterpretq_s32_f32(floats_at(at));
}

inline_always void store_floats(uint8_t *at, float32x4_t value)
{
    vst1q_f32((float *)(void *)at, value);
}

/* sum + scales of rows and token × dots. */
inline_always float32x4_t add_scaled(float32x4_t sum, float32x4_t scale, float token_scale, int32x4_t dots)
{
    return fused(sum, vmulq_n_f32(scale, token_scale), vcvtq_f32_s32(dots));
}

/* What sums over unsigned levels begin with, by minus eight times the token's sum of levels. */
inline_always int32x4_t first_sum(quant_type type, int32x4_t eighth)
{
    return level_offset(type) == 4 ? eighth >> 1 : eighth * (level_offset(type) / 8);
}

/* One function for each format and number of tokens, all of them inlined from the same bodies. */
#define ARM_MULTIPLY(format, name, count)                                                                              \
    static void name##_straight_##count(const uint8_t *panel, size_t blocks, const uint8_t *x, float *sums)            \
    {                                                                                                                  \
        multiply_panel(QUANT_##format, name##_sizes, panel, blocks, x, sums, count);                                   \
    }                                                                                                                  \
    static void name##_opened_##count(const uint8_t *opened, size_t blocks, const uint8_t *x, size_t width,            \
                                      size_t first, bool begins, float *sums)                                          \
    {                                                                                                                  \
        multiply_opened(QUANT_##format, opened, blocks, x, width, first, begins, sums, count);                         \
    }

#define PANEL_FUNCTIONS(format, name, level_bits, high_bits, scale_bytes, header_bytes)                                \
    static const panel_sizes name##_sizes = {(level_bits + high_bits) * 64 + scale_bytes, header_bytes, scale_bytes};  \
    ARM_MULTIPLY(format, name, 1)                                                                                      \
    ARM_MULTIPLY(format, name, 2)                                                                                      \
    ARM_MULTIPLY(format, name, 3)                                                                                      \
    ARM_MULTIPLY(format, name, 4)                                                                                      \
    static void name##_open(const uint8_t *panel, size_t blocks, uint8_t *opened)                                      \
    {                                                                                                                  \
        open_blocks(QUANT_##format, name##_sizes, panel, blocks, opened);                                              \
    }                                                                                                                  \
    static void name##_run(const matmul_job *job, size_t begin, size_t end, void *scratch)                             \
    {                                                                                                                  \
        static const arm_format functions = {                                                                          \
            .open_from = OPEN_FROM,                                                                                    \
            .open = name##_open,                                                                                       \
            .straight = {name##_straight_1, name##_straight_2, name##_straight_3, name##_straight_4},                  \
            .opened = {name##_opened_1, name##_opened_2, name##_opened_3, name##_opened_4},                            \
        };                                                                                                             \
        (void)scratch;                                                                                                 \
        panel_product_arm(job, begin, end, &functions);                                                                \
    }

/* An entry of the table. */
#define PANEL_ENTRY(format, function, level_bits, high_bits, scale_bytes, header_bytes)                                \
    [KERNEL_SLOT(QUANT_##format)] = {                                                                                  \
        .name = ENTRY_NAME, .needs = ENTRY_NEEDS, .scratch_bytes = panel_scratch_bytes, .run = function##_run},

/* ---- bodies over all blocks ---- */

/* Loops over arrays that shall become registers are unrolled at once; later is too late for that. */
inline_always void begin_sums(float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++)
#pragma GCC unroll 8
        for (size_t g = 0; g < ROW_GROUPS; g++)
            sum[t][g] = vdupq_n_f32(0);
}

/* What a panel's pieces before this one came to. */
inline_always void load_sums(const float *sums, bool begins, float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
    if (begins) {
        begin_sums(sum, tokens);
        return;
    }
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++)
#pragma GCC unroll 8
        for (size_t g = 0; g < ROW_GROUPS; g++)
            sum[t][g] = vld1q_f32(sums + t * PANEL_ROWS + 4 * g);
}

inline_always void store_sums(float *sums, float32x4_t sum[][ROW_GROUPS], size_t tokens)
{
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++)
#pragma GCC unroll 8
        for (size_t g = 0; g < ROW_GROUPS; g++)
            vst1q_f32(sums + t * PANEL_ROWS + 4 * g, sum[t][g]);
}

/* Where a block has its tokens' parts: the levels of the first token, and its scale, which the other numbers follow at
 * `apart` bytes each. */
typedef struct token_block {
    const uint8_t *levels, *scales;
    size_t apart;
} token_block;

inline_always token_block token_block_at(const uint8_t *x, size_t width, size_t first)
{
    return (token_block){x + INT8_BLOCK * first, x + INT8_SCALES * width + 4 * first, 4 * width};
}

inline_always void token_block_next(token_block *x)
{
    x->levels += INT8_BLOCK_BYTES / 4 * x->apart;
    x->scales += INT8_BLOCK_BYTES / 4 * x->apart;
}

inline_always void add_block(quant_type type, block_walk *at, token_block x, float32x4_t sum[][ROW_GROUPS],
                             size_t tokens);
inline_always void open_block(quant_type type, const block_walk *at, uint8_t *opened);

inline_always void multiply_panel(quant_type type, panel_sizes sizes, const uint8_t *panel, size_t blocks,
                                  const uint8_t *x, float *sums, size_t tokens)
{
    block_walk at = {.next = panel};
    float32x4_t sum[ARM_TOKENS][ROW_GROUPS];
    begin_sums(sum, tokens);
    for (size_t b = 0; b < blocks; b++) {
        walk(&at, sizes, b);
        add_block(type, &at, token_block_at(x, tokens, 0), sum, tokens);
        x += INT8_BLOCK_BYTES * tokens;
    }
    store_sums(sums, sum, tokens);
}

/* In bytes: levels, and the numbers of each row, each of them `copies` times. */
inline_always size_t opened_bytes(quant_type type, size_t copies)
{
    return PANEL_ROWS * PANEL_BLOCK + scale_count(type) * PANEL_ROWS * sizeof(float) * copies;
}

inline_always void open_blocks(quant_type type, panel_sizes sizes, const uint8_t *panel, size_t blocks, uint8_t *opened)
{
    block_walk at = {.next = panel};
    for (size_t b = 0; b < blocks; b++, opened += opened_bytes(type, SCALE_COPIES)) {
        walk(&at, sizes, b);
        open_block(type, &at, opened);
    }
}

/* A row group's numbers into an opened block, each kind `apart` bytes behind the one before. */
inline_always void put_scales(quant_type type, const row_scales *w, size_t group, uint8_t *at, size_t apart)
{
    store_floats(at, w->scale[group]);
    if (has_minimum(type))
        store_floats(at + apart, w->minimum[group]);
    if (has_halves(type)) {
        store_floats(at + apart, vreinterpretq_f32_s32(w->low[group]));
        store_floats(at + 2 * apart, vreinterpretq_f32_s32(w->high[group]));
    }
}

/* A row group's four pairs, signed. */
inline_always void signed_pairs(quant_type type, const uint8_t *levels, size_t group, level_pair pair[4])
{
    int8x16_t offset = vdupq_n_s8((int8_t)level_offset(type));
#pragma GCC unroll 8
    for (size_t j = 0; j < 4; j++) {
        pair[j] = level_pair_at(type, levels, j, group);
        if (level_offset(type) != 0)
            pair[j] = (level_pair){vsubq_s8(pair[j].low, offset), vsubq_s8(pair[j].high, offset)};
    }
}

#endif
