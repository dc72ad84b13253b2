/* What attention over a cache in q8 or q4 rounds, and to what: every instruction set computes these numbers to the bit.
 *
 *     q8           level = round(x ÷ scale), scale = largest ÷ 127 as f16, one for a position; so that a level times the scale
 *                  as it is stored comes nearest, the rounded scale is what divides
 *     q4           level = the nearest of a table, by a nibble; see below
 *     query        level = round(q × 127 ÷ largest), with a float step for the row
 *     weight       u8 level = round(w × v_scale[p] × 255 ÷ largest of the row's chunk), with a float step for the row: the
 *                  scale of a value is multiplied into its weight, and the sum over positions is one of integers
 *
 * Rounding is to nearest even. A vector that is not finite has a NaN for its scale, which reaches whatever sees it.
 *
 * The numbers of a rotated vector are nearly those of a normal distribution, for which the sixteen levels that lose least are
 * known (Max 1960, Lloyd 1982): kv_q4_levels. What they lose is 0.9 dB less than with even steps. A vector is brought to
 * −127 … 127 and assigned to the levels twice, with its largest number on the outermost and somewhat beyond it; each time
 * the scale follows by least squares, and the better one stays. All of it is in integers, so that no order of additions
 * matters. */
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

/* Steps of numbers whose largest becomes level `most`. Below 2⁻¹⁰⁰ they are zeros: their factor would overflow. */
static inline int8_step int8_step_of(float largest, float most)
{
    if (!(largest >= 0x1p-100f))
        return (int8_step){largest < 0x1p-100f ? 0 : NAN, 0};
    return (int8_step){largest / most, most / largest};
}

/* A position's scale as it is stored. */
static inline uint16_t kv_scale_bits(float scale)
{
    return f16_from_f32(scale > 65504 ? 65504 : scale);
}

/* The same in q8, and what multiplies the position's numbers. */
static inline int8_step kv_scale_of(float largest, uint16_t *stored)
{
    *stored = kv_scale_bits(largest / 127);
    float rounded = f16_to_f32(*stored);
    return (int8_step){rounded, rounded > 0 ? 1 / rounded : 0};
}

/* Where in a block in q8 or q4 the scales begin, behind its levels: one f16 for each position. */
static inline size_t kv_scales_at(kv_type type, size_t head_dim)
{
    return KV_BLOCK * kv_cell_dims(head_dim) * kv_value_bits(type) / 8;
}

static inline void kv_put_scale(kv_type type, unsigned char *block, size_t lane, size_t head_dim, uint16_t scale)
{
    store_u16(block + kv_scales_at(type, head_dim) + lane * sizeof scale, scale);
}

/* ---- q4 ---- */

#define KV_Q4_LEVELS -127, -96, -75, -58, -44, -31, -18, -6, 6, 18, 31, 44, 58, 75, 96, 127

enum { KV_Q4_BOUNDS = 7, KV_Q4_TRIES = 2, KV_Q4_LEAST = 6 /* the smallest size of a level */ };

/* What lies above so many of these takes that many steps outwards from the smallest: halfway between the levels, and the same
 * where the outermost is at nine tenths of the largest number. */
static const int8_t kv_q4_bounds[KV_Q4_TRIES][KV_Q4_BOUNDS] = {{12, 24, 37, 51, 66, 85, 111},
                                                               {10, 22, 33, 45, 59, 76, 100}};

/* Sums over a vector of x, its numbers in −127 … 127, and y, their levels. */
typedef struct kv_q4_fit {
    int32_t xy, yy; /* yy is not 0 */
} kv_q4_fit;

/* Does the second leave the smaller error? It is Σx² − (Σxy)² ÷ Σy². */
static inline bool kv_q4_better(kv_q4_fit first, kv_q4_fit second)
{
    return (double)second.xy * (double)second.xy / (double)second.yy >
           (double)first.xy * (double)first.xy / (double)first.yy;
}

/* `step` is that of x. */
static inline uint16_t kv_q4_scale(float step, kv_q4_fit fit)
{
    return kv_scale_bits(step * ((float)fit.xy / (float)fit.yy));
}

/* ---- rows ---- */

/* A tile's rows of queries or of weights as a kernel keeps them: for each a step and an offset that its integer sums begin
 * with, then its levels, `stride` bytes from row to row. */
typedef struct int8_rows {
    float *step;
    int32_t *offset;
    unsigned char *level;
    size_t stride;
} int8_rows;

static inline int8_rows int8_rows_at(float *at, size_t rows, size_t stride)
{
    return (int8_rows){at, (int32_t *)(void *)(at + rows), (unsigned char *)(at + 2 * rows), stride};
}

#endif
