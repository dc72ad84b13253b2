/* Blocks of 32 values under one half-precision scale, with or without a minimum: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. */
#include "quant/formats.h"

#include "base/bytes.h"
#include "quant/blocks.h"

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

const quant_format quant_format_Q4_0 = {"Q4_0", QUANT_Q4_0, QUANT_BLOCK, sizeof(block_q4_0), decode_q4_0};
const quant_format quant_format_Q4_1 = {"Q4_1", QUANT_Q4_1, QUANT_BLOCK, sizeof(block_q4_1), decode_q4_1};
const quant_format quant_format_Q5_0 = {"Q5_0", QUANT_Q5_0, QUANT_BLOCK, sizeof(block_q5_0), decode_q5_0};
const quant_format quant_format_Q5_1 = {"Q5_1", QUANT_Q5_1, QUANT_BLOCK, sizeof(block_q5_1), decode_q5_1};
const quant_format quant_format_Q8_0 = {"Q8_0", QUANT_Q8_0, QUANT_BLOCK, sizeof(block_q8_0), decode_q8_0};
