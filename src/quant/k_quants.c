/* K-quants: super-blocks of 256 values whose groups have small integer scales, six bits or so, under one half-precision
 * scale.
 *
 * All loops run over 16 or 32 values that share a group and a bit position, so that the innermost is one shift, one
 * mask and one multiplication on consecutive bytes: what a compiler turns into vector code. */
#include "quant/formats.h"

#include "base/bytes.h"
#include "quant/blocks.h"

static void decode_q2_k(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q2_k *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        float minimum = f16_to_f32(load_u16(block->minimum));
        for (size_t g = 0; g < 16; g++, values += 16) {
            const uint8_t *levels = block->levels + g / 8 * 32 + g % 2 * 16;
            unsigned shift = (unsigned)(g / 2 % 4 * 2);
            float group_scale = scale * (float)(block->groups[g] & 15);
            float group_minimum = minimum * (float)(block->groups[g] >> 4);
            for (size_t i = 0; i < 16; i++)
                values[i] = group_scale * (float)((levels[i] >> shift) & 3) - group_minimum;
        }
    }
}

static void decode_q3_k(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q3_k *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        int8_t scales[16];
        quant_q3_k_groups(block->groups, scales);
        for (size_t g = 0; g < 16; g++, values += 16) {
            const uint8_t *low = block->low + g / 8 * 32 + g % 2 * 16;
            const uint8_t *high = block->high + g % 2 * 16;
            unsigned shift = (unsigned)(g / 2 % 4 * 2);
            unsigned bit = (unsigned)(g / 2);
            float group_scale = scale * (float)scales[g];
            for (size_t i = 0; i < 16; i++) {
                int level = ((high[i] >> bit) & 1) * 4 + ((low[i] >> shift) & 3) - 4;
                values[i] = group_scale * (float)level;
            }
        }
    }
}

static void decode_q4_k(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q4_k *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        float minimum = f16_to_f32(load_u16(block->minimum));
        uint8_t scales[8], minimums[8];
        quant_q4_k_groups(block->groups, scales, minimums);
        for (size_t g = 0; g < 8; g++, values += 32) {
            const uint8_t *levels = block->levels + g / 2 * 32;
            unsigned shift = (unsigned)(g % 2 * 4);
            float group_scale = scale * (float)scales[g];
            float group_minimum = minimum * (float)minimums[g];
            for (size_t i = 0; i < 32; i++)
                values[i] = group_scale * (float)((levels[i] >> shift) & 15) - group_minimum;
        }
    }
}

static void decode_q5_k(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q5_k *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        float minimum = f16_to_f32(load_u16(block->minimum));
        uint8_t scales[8], minimums[8];
        quant_q4_k_groups(block->groups, scales, minimums);
        for (size_t g = 0; g < 8; g++, values += 32) {
            const uint8_t *low = block->low + g / 2 * 32;
            unsigned shift = (unsigned)(g % 2 * 4);
            float group_scale = scale * (float)scales[g];
            float group_minimum = minimum * (float)minimums[g];
            for (size_t i = 0; i < 32; i++) {
                int level = ((block->high[i] >> g) & 1) * 16 + ((low[i] >> shift) & 15);
                values[i] = group_scale * (float)level - group_minimum;
            }
        }
    }
}

static void decode_q6_k(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_q6_k *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        for (size_t g = 0; g < 16; g++, values += 16) {
            const uint8_t *low = block->low + g / 8 * 64 + g % 4 * 16;
            const uint8_t *high = block->high + g / 8 * 32 + g % 2 * 16;
            unsigned low_shift = (unsigned)(g / 4 % 2 * 4);
            unsigned high_shift = (unsigned)(g / 2 % 4 * 2);
            float group_scale = scale * (float)block->groups[g];
            for (size_t i = 0; i < 16; i++) {
                int level = ((high[i] >> high_shift) & 3) * 16 + ((low[i] >> low_shift) & 15) - 32;
                values[i] = group_scale * (float)level;
            }
        }
    }
}

const quant_format quant_format_Q2_K = {"Q2_K", QUANT_Q2_K, QUANT_SUPER, sizeof(block_q2_k), decode_q2_k};
const quant_format quant_format_Q3_K = {"Q3_K", QUANT_Q3_K, QUANT_SUPER, sizeof(block_q3_k), decode_q3_k};
const quant_format quant_format_Q4_K = {"Q4_K", QUANT_Q4_K, QUANT_SUPER, sizeof(block_q4_k), decode_q4_k};
const quant_format quant_format_Q5_K = {"Q5_K", QUANT_Q5_K, QUANT_SUPER, sizeof(block_q5_k), decode_q5_k};
const quant_format quant_format_Q6_K = {"Q6_K", QUANT_Q6_K, QUANT_SUPER, sizeof(block_q6_k), decode_q6_k};
