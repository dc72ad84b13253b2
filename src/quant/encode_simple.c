/* Encoders of blocks of 32 values under one half-precision scale, with or without a minimum, and of plain numbers. */
#include "quant/encoder.h"

#include "base/bytes.h"
#include "quant/blocks.h"
#include "quant/level_fit.h"

/* ------------------------------------------------------------------------------------------------------------- floats */

void quant_encode_f32(const float *values, const float *importance, void *blocks, size_t count)
{
    (void)importance; /* nothing is lost */
    if (count > 0)
        memcpy(blocks, values, count * sizeof *values);
}

void quant_encode_f16(const float *values, const float *importance, void *blocks, size_t count)
{
    uint8_t *halves = blocks;
    (void)importance; /* each value is rounded for itself */
    for (size_t i = 0; i < count; i++)
        store_u16(halves + 2 * i, f16_from_f32(values[i]));
}

void quant_encode_bf16(const float *values, const float *importance, void *blocks, size_t count)
{
    uint8_t *halves = blocks;
    (void)importance;
    for (size_t i = 0; i < count; i++)
        store_u16(halves + 2 * i, bf16_from_f32(values[i]));
}

/* ------------------------------------------------------------------------------------------------------------- blocks */

#define ONE_GROUP .count = QUANT_BLOCK, .group = QUANT_BLOCK, .lowest_part = 1, .highest_part = 1

static const level_shape q4_0 = {.levels = {NULL, -8, 7}, ONE_GROUP};
static const level_shape q4_1 = {.levels = {NULL, 0, 15}, ONE_GROUP, .offset = true};
static const level_shape q5_0 = {.levels = {NULL, -16, 15}, ONE_GROUP};
static const level_shape q5_1 = {.levels = {NULL, 0, 31}, ONE_GROUP, .offset = true};
static const level_shape q8_0 = {.levels = {NULL, -127, 127}, ONE_GROUP};

/* Nibbles of 32 levels, from `lowest` on; returns the fifth bits. */
static uint32_t split_levels(const int8_t *levels, int lowest, uint8_t nibbles[16])
{
    uint32_t high = 0;
    for (size_t i = 0; i < 16; i++)
        nibbles[i] = (uint8_t)(((levels[i] - lowest) & 15) | ((levels[i + 16] - lowest) & 15) << 4);
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        high |= (uint32_t)((levels[i] - lowest) >> 4 & 1) << i;
    return high;
}

/* A stored minimum is added, a found one subtracted. */
static uint16_t negated(uint16_t half)
{
    return half ^ 0x8000;
}

static void pack_q4_0(const level_fit *fit, void *at)
{
    block_q4_0 *block = at;
    store_u16(block->scale, fit->scale);
    split_levels(fit->levels, -8, block->levels);
}

static void pack_q4_1(const level_fit *fit, void *at)
{
    block_q4_1 *block = at;
    store_u16(block->scale, fit->scale);
    store_u16(block->minimum, negated(fit->minimum));
    split_levels(fit->levels, 0, block->levels);
}

static void pack_q5_0(const level_fit *fit, void *at)
{
    block_q5_0 *block = at;
    store_u16(block->scale, fit->scale);
    store_u32(block->high, split_levels(fit->levels, -16, block->levels));
}

static void pack_q5_1(const level_fit *fit, void *at)
{
    block_q5_1 *block = at;
    store_u16(block->scale, fit->scale);
    store_u16(block->minimum, negated(fit->minimum));
    store_u32(block->high, split_levels(fit->levels, 0, block->levels));
}

static void pack_q8_0(const level_fit *fit, void *at)
{
    block_q8_0 *block = at;
    store_u16(block->scale, fit->scale);
    memcpy(block->levels, fit->levels, sizeof block->levels);
}

void quant_encode_q4_0(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q4_0, pack_q4_0, sizeof(block_q4_0), values, importance, blocks, count);
}

void quant_encode_q4_1(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q4_1, pack_q4_1, sizeof(block_q4_1), values, importance, blocks, count);
}

void quant_encode_q5_0(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q5_0, pack_q5_0, sizeof(block_q5_0), values, importance, blocks, count);
}

void quant_encode_q5_1(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q5_1, pack_q5_1, sizeof(block_q5_1), values, importance, blocks, count);
}

void quant_encode_q8_0(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q8_0, pack_q8_0, sizeof(block_q8_0), values, importance, blocks, count);
}
