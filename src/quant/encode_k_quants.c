/* Encoders of the K-quants: super-blocks of 256 values whose groups have integer scales, and some minimums. */
#include "quant/encoder.h"

#include "base/bytes.h"
#include "quant/blocks.h"
#include "quant/level_fit.h"

static const level_shape q2_k = {{NULL, 0, 3}, QUANT_SUPER, 16, 0, 15, true};
static const level_shape q3_k = {{NULL, -4, 3}, QUANT_SUPER, 16, -32, 31, false};
static const level_shape q4_k = {{NULL, 0, 15}, QUANT_SUPER, 32, 0, 63, true};
static const level_shape q5_k = {{NULL, 0, 31}, QUANT_SUPER, 32, 0, 63, true};
static const level_shape q6_k = {{NULL, -32, 31}, QUANT_SUPER, 16, -128, 127, false};

/* The fields of blocks.h are drawn there; each is the sum of its parts' bits, so they begin at zero. */
static void pack_q2_k(const level_fit *fit, void *at)
{
    block_q2_k *block = memset(at, 0, sizeof *block);
    store_u16(block->scale, fit->scale);
    store_u16(block->minimum, fit->minimum);
    for (size_t g = 0; g < 16; g++)
        block->groups[g] = (uint8_t)(fit->scales[g] | fit->minimums[g] << 4);
    for (size_t v = 0; v < QUANT_SUPER; v++)
        block->levels[v / 128 * 32 + v % 32] |= (uint8_t)(fit->levels[v] << v / 32 % 4 * 2);
}

static void pack_q3_k(const level_fit *fit, void *at)
{
    block_q3_k *block = memset(at, 0, sizeof *block);
    store_u16(block->scale, fit->scale);
    for (size_t g = 0; g < 16; g++) {
        unsigned scale = (unsigned)(fit->scales[g] + 32);
        block->groups[g % 8] |= (uint8_t)((scale & 15) << g / 8 * 4);
        block->groups[8 + g % 4] |= (uint8_t)(scale >> 4 << g / 4 * 2);
    }
    for (size_t v = 0; v < QUANT_SUPER; v++) {
        unsigned level = (unsigned)(fit->levels[v] + 4);
        block->low[v / 128 * 32 + v % 32] |= (uint8_t)((level & 3) << v / 32 % 4 * 2);
        block->high[v % 32] |= (uint8_t)(level >> 2 << v / 32);
    }
}

/* Scales and minimums of Q4_K and Q5_K. */
static void pack_groups(const level_fit *fit, uint8_t groups[12])
{
    for (size_t g = 0; g < 4; g++) {
        unsigned scale = (unsigned)fit->scales[g + 4], minimum = (unsigned)fit->minimums[g + 4];
        groups[g] = (uint8_t)((unsigned)fit->scales[g] | scale >> 4 << 6);
        groups[g + 4] = (uint8_t)((unsigned)fit->minimums[g] | minimum >> 4 << 6);
        groups[g + 8] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
    }
}

static void pack_q4_k(const level_fit *fit, void *at)
{
    block_q4_k *block = memset(at, 0, sizeof *block);
    store_u16(block->scale, fit->scale);
    store_u16(block->minimum, fit->minimum);
    pack_groups(fit, block->groups);
    for (size_t v = 0; v < QUANT_SUPER; v++)
        block->levels[v / 64 * 32 + v % 32] |= (uint8_t)(fit->levels[v] << v / 32 % 2 * 4);
}

static void pack_q5_k(const level_fit *fit, void *at)
{
    block_q5_k *block = memset(at, 0, sizeof *block);
    store_u16(block->scale, fit->scale);
    store_u16(block->minimum, fit->minimum);
    pack_groups(fit, block->groups);
    for (size_t v = 0; v < QUANT_SUPER; v++) {
        unsigned level = (unsigned)fit->levels[v];
        block->low[v / 64 * 32 + v % 32] |= (uint8_t)((level & 15) << v / 32 % 2 * 4);
        block->high[v % 32] |= (uint8_t)(level >> 4 << v / 32);
    }
}

static void pack_q6_k(const level_fit *fit, void *at)
{
    block_q6_k *block = memset(at, 0, sizeof *block);
    store_u16(block->scale, fit->scale);
    for (size_t g = 0; g < 16; g++)
        block->groups[g] = (int8_t)fit->scales[g];
    for (size_t v = 0; v < QUANT_SUPER; v++) {
        unsigned level = (unsigned)(fit->levels[v] + 32);
        block->low[v / 128 * 64 + v % 64] |= (uint8_t)((level & 15) << v / 64 % 2 * 4);
        block->high[v / 128 * 32 + v % 32] |= (uint8_t)(level >> 4 << v / 32 % 4 * 2);
    }
}

void quant_encode_q2_k(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q2_k, pack_q2_k, sizeof(block_q2_k), values, importance, blocks, count);
}

void quant_encode_q3_k(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q3_k, pack_q3_k, sizeof(block_q3_k), values, importance, blocks, count);
}

void quant_encode_q4_k(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q4_k, pack_q4_k, sizeof(block_q4_k), values, importance, blocks, count);
}

void quant_encode_q5_k(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q5_k, pack_q5_k, sizeof(block_q5_k), values, importance, blocks, count);
}

void quant_encode_q6_k(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&q6_k, pack_q6_k, sizeof(block_q6_k), values, importance, blocks, count);
}
