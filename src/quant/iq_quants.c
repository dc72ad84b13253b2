/* Codebook formats: levels are taken from a table of sixteen (IQ4) or of points of four values (IQ3). */
#include "quant/formats.h"

#include "base/bytes.h"
#include "quant/blocks.h"
#include "quant/iq3_grids.h"

const int8_t quant_iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* 32 values from 16 bytes. The levels are scaled once, so that a value is one load. */
static inline void decode_iq4_group(const uint8_t *restrict levels, float scale, float *restrict values)
{
    float scaled[16];
    for (size_t i = 0; i < 16; i++)
        scaled[i] = scale * (float)quant_iq4_levels[i];
    for (size_t i = 0; i < 16; i++) {
        values[i] = scaled[levels[i] & 15];
        values[i + 16] = scaled[levels[i] >> 4];
    }
}

static void decode_iq4_nl(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_iq4_nl *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK)
        decode_iq4_group(block->levels, f16_to_f32(load_u16(block->scale)), values);
}

static void decode_iq4_xs(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_iq4_xs *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        unsigned high = load_u16(block->groups_high);
        for (size_t g = 0; g < 8; g++, values += 32) {
            int low = (block->groups_low[g / 2] >> (g % 2 * 4)) & 15;
            int group_scale = (int)((high >> 2 * g) & 3) * 16 + low - 32;
            decode_iq4_group(block->levels + 16 * g, scale * (float)group_scale, values);
        }
    }
}

/* Eight values from two points; bit i of `signs` makes value i negative. */
static inline void decode_points(uint32_t first, uint32_t second, unsigned signs, float scale, float *restrict values)
{
    uint64_t points = first | (uint64_t)second << 32;
    for (size_t i = 0; i < 8; i++) {
        float magnitude = (float)(int)(points >> 8 * i & 0xff);
        values[i] = magnitude * (signs >> i & 1 ? -scale : scale);
    }
}

static void decode_iq3_xxs(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_iq3_xxs *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        const uint8_t *points = block->points;
        for (size_t g = 0; g < 8; g++) {
            uint32_t group = load_u32(block->groups + 4 * g);
            float group_scale = scale * (0.5f + (float)(group >> 28)) * 0.5f;
            for (size_t i = 0; i < 4; i++, points += 2, values += 8)
                decode_points(quant_iq3_xxs_grid[points[0]], quant_iq3_xxs_grid[points[1]],
                              quant_even_signs(group >> 7 * i), group_scale, values);
        }
    }
}

static void decode_iq3_s(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_iq3_s *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        const uint8_t *points = block->points;
        for (size_t g = 0; g < 8; g++) {
            unsigned high = block->high[g];
            float group_scale = scale * (float)(1 + 2 * (block->groups[g / 2] >> (g % 2 * 4) & 15));
            for (size_t i = 0; i < 4; i++, points += 2, high >>= 2, values += 8)
                decode_points(quant_iq3_s_grid[points[0] | (high & 1) << 8],
                              quant_iq3_s_grid[points[1] | (high & 2) << 7], block->signs[4 * g + i], group_scale,
                              values);
        }
    }
}

const quant_format quant_format_IQ4_NL = {"IQ4_NL", QUANT_IQ4_NL, QUANT_BLOCK, sizeof(block_iq4_nl), decode_iq4_nl};
const quant_format quant_format_IQ4_XS = {"IQ4_XS", QUANT_IQ4_XS, QUANT_SUPER, sizeof(block_iq4_xs), decode_iq4_xs};
const quant_format quant_format_IQ3_XXS = {"IQ3_XXS", QUANT_IQ3_XXS, QUANT_SUPER, sizeof(block_iq3_xxs),
                                           decode_iq3_xxs};
const quant_format quant_format_IQ3_S = {"IQ3_S", QUANT_IQ3_S, QUANT_SUPER, sizeof(block_iq3_s), decode_iq3_s};
