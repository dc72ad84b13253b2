/* Blocks of 32 values under one half-precision scale, with or without a minimum: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
 *
 * The encoders spread the levels over the range of the block: over ±127 steps of the largest magnitude (Q8_0), so that
 * the value of largest magnitude, sign included, gets the lowest level (Q4_0, Q5_0: one more step than rounding to a
 * symmetric range would use), or from minimum to maximum (Q4_1, Q5_1). Levels are found with the scale in full
 * precision, before it is rounded to half. */
#include "quant/formats.h"

#include <math.h>

#include "base/bytes.h"
#include "quant/blocks.h"

/* ------------------------------------------------------------------------------------------------------------ decode */

static void decode_q4_0(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q4_0 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        float scale = f16_to_f32(load_u16(block->scale));
        for (size_t i = 0; i < 16; i++)
            values[i] = scale * (float)((block->levels[i] & 15) - 8);
        for (size_t i = 0; i < 16; i++)
            values[i + 16] = scale * (float)((block->levels[i] >> 4) - 8);
    }
}

static void decode_q4_1(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q4_1 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        float scale = f16_to_f32(load_u16(block->scale));
        float minimum = f16_to_f32(load_u16(block->minimum));
        for (size_t i = 0; i < 16; i++)
            values[i] = scale * (float)(block->levels[i] & 15) + minimum;
        for (size_t i = 0; i < 16; i++)
            values[i + 16] = scale * (float)(block->levels[i] >> 4) + minimum;
    }
}

/* Levels of five bits: nibbles, and bit i of `high` for value i. */
static inline void join_fifth_bits(const uint8_t nibbles[16], uint32_t high, int32_t levels[restrict 32])
{
    for (size_t i = 0; i < 16; i++)
        levels[i] = (nibbles[i] & 15) | (int32_t)((high >> i & 1) << 4);
    for (size_t i = 0; i < 16; i++)
        levels[i + 16] = (nibbles[i] >> 4) | (int32_t)((high >> (i + 16) & 1) << 4);
}

static void decode_q5_0(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q5_0 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        float scale = f16_to_f32(load_u16(block->scale));
        int32_t levels[QUANT_BLOCK];
        join_fifth_bits(block->levels, load_u32(block->high), levels);
        for (size_t i = 0; i < QUANT_BLOCK; i++)
            values[i] = scale * (float)(levels[i] - 16);
    }
}

static void decode_q5_1(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q5_1 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        float scale = f16_to_f32(load_u16(block->scale));
        float minimum = f16_to_f32(load_u16(block->minimum));
        int32_t levels[QUANT_BLOCK];
        join_fifth_bits(block->levels, load_u32(block->high), levels);
        for (size_t i = 0; i < QUANT_BLOCK; i++)
            values[i] = scale * (float)levels[i] + minimum;
    }
}

static void decode_q8_0(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q8_0 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        float scale = f16_to_f32(load_u16(block->scale));
        for (size_t i = 0; i < QUANT_BLOCK; i++)
            values[i] = scale * (float)block->levels[i];
    }
}

/* ------------------------------------------------------------------------------------------------------------ encode */

/* 1 / scale, with 0 for the scale of a block of zeros. */
static float inverse(float scale)
{
    return scale != 0 ? 1 / scale : 0;
}

/* The integer part of `value`, limited to lowest … highest; NaN becomes the lowest. A plain cast would be undefined for
 * NaN and for what no integer holds. */
static int limited(float value, int lowest, int highest)
{
    if (!(value > (float)lowest))
        return lowest;
    return value < (float)highest ? (int)value : highest;
}

/* The value of largest magnitude, sign included; the first of several. NaN is passed over. */
static float extreme(const float values[QUANT_BLOCK])
{
    float found = 0;
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        if (fabsf(values[i]) > fabsf(found))
            found = values[i];
    return found;
}

/* Smallest value and the distance to the largest. */
static float smallest(const float values[QUANT_BLOCK], float *range)
{
    float low = values[0], high = values[0];
    for (size_t i = 1; i < QUANT_BLOCK; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    *range = high - low;
    return low;
}

/* Nibbles of 32 levels; returns the fifth bits. */
static uint32_t split_levels(const int levels[QUANT_BLOCK], uint8_t nibbles[16])
{
    uint32_t high = 0;
    for (size_t i = 0; i < 16; i++)
        nibbles[i] = (uint8_t)((levels[i] & 15) | (levels[i + 16] & 15) << 4);
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        high |= (uint32_t)(levels[i] >> 4 & 1) << i;
    return high;
}

/* Levels 0 … highest around the middle; returns the scale. */
static float find_levels(const float values[QUANT_BLOCK], int highest, int levels[QUANT_BLOCK])
{
    float middle = (float)(highest / 2 + 1);
    float scale = extreme(values) / -middle;
    float per_step = inverse(scale);
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        levels[i] = limited(values[i] * per_step + (middle + 0.5f), 0, highest);
    return scale;
}

/* Levels 0 … highest above the minimum; returns the scale. */
static float find_levels_above(const float values[QUANT_BLOCK], int highest, int levels[QUANT_BLOCK], float *minimum)
{
    float range;
    *minimum = smallest(values, &range);
    float scale = range / (float)highest;
    float per_step = inverse(scale);
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        levels[i] = limited((values[i] - *minimum) * per_step + 0.5f, 0, highest);
    return scale;
}

static void encode_q4_0(const float *restrict values, void *restrict blocks, size_t count)
{
    block_q4_0 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        int levels[QUANT_BLOCK];
        store_u16(block->scale, f16_from_f32(find_levels(values, 15, levels)));
        split_levels(levels, block->levels);
    }
}

static void encode_q4_1(const float *restrict values, void *restrict blocks, size_t count)
{
    block_q4_1 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        int levels[QUANT_BLOCK];
        float minimum;
        store_u16(block->scale, f16_from_f32(find_levels_above(values, 15, levels, &minimum)));
        store_u16(block->minimum, f16_from_f32(minimum));
        split_levels(levels, block->levels);
    }
}

static void encode_q5_0(const float *restrict values, void *restrict blocks, size_t count)
{
    block_q5_0 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        int levels[QUANT_BLOCK];
        store_u16(block->scale, f16_from_f32(find_levels(values, 31, levels)));
        store_u32(block->high, split_levels(levels, block->levels));
    }
}

static void encode_q5_1(const float *restrict values, void *restrict blocks, size_t count)
{
    block_q5_1 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        int levels[QUANT_BLOCK];
        float minimum;
        store_u16(block->scale, f16_from_f32(find_levels_above(values, 31, levels, &minimum)));
        store_u16(block->minimum, f16_from_f32(minimum));
        store_u32(block->high, split_levels(levels, block->levels));
    }
}

static void encode_q8_0(const float *restrict values, void *restrict blocks, size_t count)
{
    block_q8_0 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        float scale = fabsf(extreme(values)) / 127;
        float per_step = inverse(scale);
        store_u16(block->scale, f16_from_f32(scale));
        for (size_t i = 0; i < QUANT_BLOCK; i++)
            block->levels[i] = (int8_t)limited(roundf(values[i] * per_step), -127, 127);
    }
}

const quant_format quant_format_Q4_0 = {"Q4_0", QUANT_Q4_0, QUANT_BLOCK, sizeof(block_q4_0), decode_q4_0, encode_q4_0};
const quant_format quant_format_Q4_1 = {"Q4_1", QUANT_Q4_1, QUANT_BLOCK, sizeof(block_q4_1), decode_q4_1, encode_q4_1};
const quant_format quant_format_Q5_0 = {"Q5_0", QUANT_Q5_0, QUANT_BLOCK, sizeof(block_q5_0), decode_q5_0, encode_q5_0};
const quant_format quant_format_Q5_1 = {"Q5_1", QUANT_Q5_1, QUANT_BLOCK, sizeof(block_q5_1), decode_q5_1, encode_q5_1};
const quant_format quant_format_Q8_0 = {"Q8_0", QUANT_Q8_0, QUANT_BLOCK, sizeof(block_q8_0), decode_q8_0, encode_q8_0};
