/* What attention over a cache in q8 rounds, and to what: every instruction set computes these numbers to the bit.
 *
 *     key, value   level = round(x ÷ scale), scale = largest ÷ 127 as f16, one for a position; so that a level times the scale
 *                  as it is stored comes nearest, the rounded scale is what divides
 *     query        level = round(q × 127 ÷ largest), with a float step for the row
 *     weight       u8 level = round(w × v_scale[p] × 255 ÷ largest of the row's chunk), with a float step for the row: the
 *                  scale of a value is multiplied into its weight, and the sum over positions is one of integers
 *
 * Rounding is to nearest even. A vector that is not finite has a NaN for its scale, which reaches whatever sees it. */
#ifndef MOTE_KERNEL_ATTENTION_INT8_H
#define MOTE_KERNEL_ATTENTION_INT8_H

#include <math.h>

#include "base/bytes.h"
#include "kernel/attention_kernels.h"

/* A step and what makes levels of numbers by it. */
typedef struct int8_step {
    float step;
    float factor; /* 0: all levels are 0 */
} int8_step;

/* The largest size of the numbers; NaN if one of them is not finite. */
static inline float int8_largest(const float *at, size_t count)
{
    float largest = 0;
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        float size = fabsf(at[i]);
        finite = finite && size < INFINITY;
        largest = size > largest ? size : largest;
    }
    return finite ? largest : NAN;
}

/* Steps of numbers whose largest becomes level `most`. Below 2⁻¹⁰⁰ they are zeros: their factor would overflow. */
static inline int8_step int8_step_of(float largest, float most)
{
    if (!(largest >= 0x1p-100f))
        return (int8_step){largest < 0x1p-100f ? 0 : NAN, 0};
    return (int8_step){largest / most, most / largest};
}

/* The scale of a position's key or value, as it is stored, and what multiplies its numbers. */
static inline int8_step kv_scale_of(float largest, uint16_t *stored)
{
    float scale = largest / 127 > 65504 ? 65504 : largest / 127;
    *stored = f16_from_f32(scale);
    float rounded = f16_to_f32(*stored);
    return (int8_step){rounded, rounded > 0 ? 1 / rounded : 0};
}

static inline int8_t kv_level(float x, float factor)
{
    float level = rintf(x * factor);
    return (int8_t)(level > 127 ? 127 : level < -127 ? -127 : level);
}

/* The scales of a block in q8, behind its levels: one f16 for each position. */
static inline const unsigned char *kv_int8_scales(const unsigned char *block, size_t head_dim)
{
    return block + KV_BLOCK * kv_cell_dims(head_dim);
}

/* What a kernel keeps in its own memory: a step for each row, then the rows' levels, `stride` bytes from row to row. */
typedef struct int8_rows {
    float *step; /* [rows] */
    unsigned char *level;
    size_t stride;
} int8_rows;

static inline int8_rows int8_rows_at(float *own, size_t rows, size_t stride)
{
    return (int8_rows){own, (unsigned char *)(own + rows), stride};
}

#endif
