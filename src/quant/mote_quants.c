/* mote's own formats of 4.25 and 3.25 bits: decoding, and the search that encodes. blocks.h draws them. */
#include "quant/mote_quants.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "quant/blocks.h"
#include "quant/formats.h"

const int8_t quant_m4_levels[16] = {-127, -89, -70, -53, -40, -27, -16, -6, 3, 14, 25, 37, 51, 67, 87, 111};
const int8_t quant_m3_levels[8] = {-127, -72, -40, -15, 7, 31, 62, 103};

/* ---------------------------------------------------------------------------------------------------------- decoding */

static void decode_m4(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_m4 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        float scale = quant_m_scale(block->scale), scaled[16];
        for (size_t i = 0; i < 16; i++)
            scaled[i] = scale * (float)quant_m4_levels[i];
        for (size_t i = 0; i < 16; i++) {
            values[i] = scaled[block->levels[i] & 15];
            values[i + 16] = scaled[block->levels[i] >> 4];
        }
    }
}

static void decode_m3(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_m3 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        float scale = quant_m_scale(block->scale), scaled[8];
        for (size_t i = 0; i < 8; i++)
            scaled[i] = scale * (float)quant_m3_levels[i];
        for (size_t c = 0; c < QUANT_BLOCK; c++) {
            unsigned low = block->low[c / 16 * 4 + c % 4] >> (c / 4 % 4 * 2) & 3u;
            values[c] = scaled[low | (block->high[c % 4] >> (c / 4) & 1u) << 2];
        }
    }
}

const quant_format quant_format_M4 = {"M4", QUANT_M4, QUANT_BLOCK, sizeof(block_m4), decode_m4, NULL};
const quant_format quant_format_M3 = {"M3", QUANT_M3, QUANT_BLOCK, sizeof(block_m3), decode_m3, NULL};

/* ---------------------------------------------------------------------------------------------------------- encoding
 *
 * Given a scale, the best code of each value is the nearest level, and the best error follows. So scales are tried: those
 * at which the largest value of the block comes to lie near the end of the table, of either sign. The one that brings it
 * exactly there is in the middle: smaller ones cut it off and make the others finer, larger ones do without the last
 * level. */

enum { LEVELS_MOST = 16, HALF_STEPS = 512 };

/* A table of levels, and the level nearest to each multiple of ½. */
typedef struct code_table {
    const int8_t *levels;
    float level[LEVELS_MOST];
    uint8_t nearest[HALF_STEPS]; /* to (i − 256) ÷ 2 … (i − 255) ÷ 2, which no boundary between levels divides */
} code_table;

static code_table table_of(const int8_t *levels, size_t count)
{
    code_table table = {.levels = levels};
    uint8_t code = 0;
    for (size_t i = 0; i < count; i++)
        table.level[i] = levels[i];
    for (int i = 0; i < HALF_STEPS; i++) {
        while (code + 1u < count && i - HALF_STEPS / 2 >= levels[code] + levels[code + 1])
            code++;
        table.nearest[i] = code;
    }
    return table;
}

/* `value` over the scale; what is NaN or too large goes to an end of the table. */
static inline uint8_t code_of(const code_table *table, float value)
{
    float place = 2 * value + HALF_STEPS / 2;
    place = place > 0 ? place : 0; /* also NaN */
    return table->nearest[place < HALF_STEPS - 1 ? (size_t)place : HALF_STEPS - 1];
}

static float error_of(const code_table *table, const float *values, const float *importance, float scale)
{
    float inverse = 1 / scale, error = 0;
    for (size_t i = 0; i < QUANT_BLOCK; i++) {
        float off = values[i] - scale * table->level[code_of(table, values[i] * inverse)];
        error += importance[i] * off * off;
    }
    return error;
}

uint8_t quant_m_scale_below(float scale)
{
    const float most = 31; /* a little more than the largest, times 16 */
    unsigned n = f16_from_f32(scale * 16 < most ? scale * 16 : most) >> 7;
    if (n > QUANT_M_COARSE)
        n = (n + QUANT_M_COARSE) / 2;
    return (uint8_t)(n > 0 && quant_m_scale((uint8_t)n) > scale ? n - 1 : n); /* the half was rounded */
}

static float largest_of(const float *values)
{
    float largest = 0;
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        largest = fabsf(values[i]) > largest ? fabsf(values[i]) : largest;
    return largest;
}

static uint8_t best_scale(const code_table *table, const float *values, const float *importance)
{
    float largest = largest_of(values), best_error = INFINITY;
    uint8_t best = 0;
    if (!(largest > 0))
        return 0;
    unsigned first = quant_m_scale_below(largest * (0.55f / 127)), last = quant_m_scale_below(largest * (1.5f / 127)) + 1;
    for (unsigned n = first > 0 ? first : 1; n <= last && n <= 127; n++)
        for (unsigned sign = 0; sign <= 128; sign += 128) {
            float error = error_of(table, values, importance, quant_m_scale((uint8_t)(n | sign)));
            if (error < best_error) {
                best_error = error;
                best = (uint8_t)(n | sign);
            }
        }
    return best;
}

/* Where all that counts is zero, what does not count keeps its size all the same. */
static void block_importance(const float *from, float to[QUANT_BLOCK])
{
    float sum = 0;
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        sum += to[i] = from == NULL ? 1 : from[i];
    for (size_t i = 0; i < QUANT_BLOCK && !(sum > 0 && sum < INFINITY); i++)
        to[i] = 1;
}

/* The scale of a block and its codes. */
static uint8_t encode_block(const code_table *table, const float *values, const float *importance,
                            uint8_t code[QUANT_BLOCK])
{
    float weight[QUANT_BLOCK];
    block_importance(importance, weight);
    uint8_t byte = best_scale(table, values, weight);
    float inverse = byte == 0 ? 0 : 1 / quant_m_scale(byte);
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        code[i] = code_of(table, values[i] * inverse);
    return byte;
}

void quant_encode_m4(const float *values, const float *importance, void *blocks, size_t count)
{
    const code_table table = table_of(quant_m4_levels, 16);
    block_m4 *block = blocks;
    uint8_t code[QUANT_BLOCK];
    for (size_t at = 0; at + QUANT_BLOCK <= count; at += QUANT_BLOCK, block++) {
        block->scale = encode_block(&table, values + at, importance == NULL ? NULL : importance + at, code);
        for (size_t i = 0; i < 16; i++)
            block->levels[i] = (uint8_t)(code[i] | code[i + 16] << 4);
    }
}

void quant_encode_m3(const float *values, const float *importance, void *blocks, size_t count)
{
    const code_table table = table_of(quant_m3_levels, 8);
    block_m3 *block = blocks;
    uint8_t code[QUANT_BLOCK];
    for (size_t at = 0; at + QUANT_BLOCK <= count; at += QUANT_BLOCK, block++) {
        block->scale = encode_block(&table, values + at, importance == NULL ? NULL : importance + at, code);
        memset(block->low, 0, sizeof block->low);
        memset(block->high, 0, sizeof block->high);
        for (size_t c = 0; c < QUANT_BLOCK; c++) {
            block->low[c / 16 * 4 + c % 4] |= (uint8_t)((code[c] & 3) << (c / 4 % 4 * 2));
            block->high[c % 4] |= (uint8_t)(code[c] >> 2 << (c / 4));
        }
    }
}
