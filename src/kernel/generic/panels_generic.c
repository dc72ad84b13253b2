/* Products of packed weights in plain C: the meaning of every packed format, which the instruction sets' kernels are
 * tested against, and what a machine without any of them runs. */
#include <string.h>

#include "base/bytes.h"
#include "kernel/generic/generic_kernels.h"
#include "kernel/panel_product.h"
#include "quant/blocks.h"

/* A block of a panel, ready to multiply: value = scale of its half × level + minimum. */
typedef struct plain_block {
    int8_t level[PANEL_BLOCK][PANEL_ROWS];
    float scale[2][PANEL_ROWS];
    float minimum[PANEL_ROWS];
} plain_block;

static inline void halves(const uint8_t *at, float *out)
{
    for (size_t r = 0; r < PANEL_ROWS; r++)
        out[r] = f16_to_f32(load_u16(at + 2 * r));
}

static inline int plain_level(quant_type type, const uint8_t *block, const uint8_t *high, size_t c, size_t byte)
{
    if (type == QUANT_Q8_0)
        return (int8_t)block[c / 4 * 64 + byte];
    if (type == QUANT_M3 || type == QUANT_Q3_K) {
        int code = (block[c / 16 * 64 + byte] >> (c / 4 % 4 * 2) & 3) | (high[byte] >> (c / 4) & 1) << 2;
        return type == QUANT_M3 ? quant_m3_levels[code] : code - 4;
    }
    int level = block[c % 16 / 4 * 64 + byte] >> (c / 16 * 4) & 15;
    switch (type) {
    case QUANT_Q4_0: return level - 8;
    case QUANT_IQ4_NL:
    case QUANT_IQ4_XS: return quant_iq4_levels[level];
    case QUANT_M4: return quant_m4_levels[level];
    case QUANT_Q5_0: return (level | (high[byte] >> (c / 4) & 1) << 4) - 16;
    case QUANT_Q5_1:
    case QUANT_Q5_K: return level | (high[byte] >> (c / 4) & 1) << 4;
    case QUANT_Q6_K: return (level | (high[c / 16 * 64 + byte] >> (2 * (c / 4 % 4)) & 3) << 4) - 32;
    default: return level;
    }
}

static inline void plain_scales(quant_type type, const uint8_t *header, const uint8_t *scales, plain_block *out)
{
    float outer[PANEL_ROWS], outer_minimum[PANEL_ROWS];
    memset(out->minimum, 0, sizeof out->minimum);
    if (type == QUANT_M4 || type == QUANT_M3)
        for (size_t r = 0; r < PANEL_ROWS; r++)
            outer[r] = quant_m_scale(scales[r]);
    else
        halves(header != NULL ? header : scales, outer);
    memcpy(out->scale[0], outer, sizeof outer);
    memcpy(out->scale[1], outer, sizeof outer);
    if (type == QUANT_Q4_1 || type == QUANT_Q5_1)
        halves(scales + 2 * PANEL_ROWS, out->minimum);
    if (type == QUANT_Q4_K || type == QUANT_Q5_K) {
        halves(header + 2 * PANEL_ROWS, outer_minimum);
        for (size_t r = 0; r < PANEL_ROWS; r++) {
            out->scale[0][r] = out->scale[1][r] = outer[r] * scales[r];
            out->minimum[r] = -(outer_minimum[r] * scales[PANEL_ROWS + r]);
        }
    }
    bool halved = type == QUANT_Q6_K || type == QUANT_Q3_K;
    for (size_t r = 0; r < PANEL_ROWS && (halved || type == QUANT_IQ4_XS); r++) {
        out->scale[0][r] = outer[r] * (int8_t)scales[r];
        out->scale[1][r] = outer[r] * (int8_t)scales[halved ? PANEL_ROWS + r : r];
    }
}

__attribute__((always_inline)) static inline void multiply_block(const plain_block *w, const uint8_t *x, float *sums,
                                                                 size_t tokens)
{
    for (size_t t = 0; t < tokens; t++) {
        int32_t dot[2][PANEL_ROWS] = {{0}};
        const int8_t *levels = (const int8_t *)x + INT8_BLOCK * t;
        for (size_t c = 0; c < PANEL_BLOCK; c++)
            for (size_t r = 0; r < PANEL_ROWS; r++)
                dot[c / 16][r] += w->level[c][r] * levels[c];
        float scale = load_f32(x + INT8_SCALES * tokens + 4 * t), sum = load_f32(x + INT8_SCALED_SUMS * tokens + 4 * t);
        for (size_t r = 0; r < PANEL_ROWS; r++)
            sums[t * PANEL_ROWS + r] +=
                scale * (w->scale[0][r] * (float)dot[0][r] + w->scale[1][r] * (float)dot[1][r]) + w->minimum[r] * sum;
    }
}

__attribute__((always_inline)) static inline void multiply(quant_type type, const uint8_t *at, size_t columns,
                                                           const uint8_t *x, float *sums, size_t tokens)
{
    const panel_layout *layout = panel_layout_of(type);
    const uint8_t *header = NULL;
    memset(sums, 0, tokens * PANEL_ROWS * sizeof *sums);
    for (size_t b = 0; b < columns / PANEL_BLOCK; b++, x += INT8_BLOCK_BYTES * tokens) {
        if (layout->header_bytes != 0 && b % (PANEL_HEADER_COLUMNS / PANEL_BLOCK) == 0) {
            header = at;
            at += layout->header_bytes;
        }
        plain_block w;
        const uint8_t *high = at + PANEL_ROWS * PANEL_BLOCK * layout->level_bits / 8;
        for (size_t c = 0; c < PANEL_BLOCK; c++)
            for (size_t r = 0; r < PANEL_ROWS; r++)
                w.level[c][r] = (int8_t)plain_level(type, at, high, c, 4 * r + c % 4);
        at += panel_block_bytes(layout);
        plain_scales(type, header, at - layout->scale_bytes, &w);
        multiply_block(&w, x, sums, tokens);
    }
}

/* One run for each format. */
#define PRODUCTS(format, name, level_bits, high_bits, scale_bytes, header_bytes)                                       \
    static inline void name(const uint8_t *panel, size_t columns, const uint8_t *x, float *sums, size_t tokens,        \
                            size_t stride, bool add)                                                                   \
    {                                                                                                                  \
        (void)stride;                                                                                                  \
        (void)add;                                                                                                     \
        multiply(QUANT_##format, panel, columns, x, sums, tokens);                                                     \
    }                                                                                                                  \
    PANEL_TILES(name, false)

PANEL_LAYOUT_LIST(PRODUCTS)

#define ENTRY(format, function, level_bits, high_bits, scale_bytes, header_bytes)                                      \
    [KERNEL_SLOT(QUANT_##format)] = {.name = "generic", .scratch_bytes = panel_scratch_bytes, .run = function##_run},

const matmul_kernel panels_generic[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(ENTRY)};
