/* mote's own formats of 4.25 and 3.25 bits: decoding, and the search that encodes. blocks.h draws them. */
#include "quant/mote_quants.h"

#include <math.h>
#include <stdbool.h>
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

const quant_format quant_format_M4 = {"M4", QUANT_M4, QUANT_BLOCK, sizeof(block_m4), decode_m4};
const quant_format quant_format_M3 = {"M3", QUANT_M3, QUANT_BLOCK, sizeof(block_m3), decode_m3};

/* ---------------------------------------------------------------------------------------------------------- encoding
 *
 * Given a scale, the best code of each value is the nearest level, and the best error follows. So scales are tried: those
 * at which the value of largest size comes to lie near one end of the table or, with the other sign, near the other.
 * Smaller ones cut it off and make the others finer, larger ones do without the last level. */

enum { LEVELS_MOST = 16, HALF_STEPS = 512 };

/* A table of levels, and the level nearest to each multiple of ½. */
typedef struct code_table {
    size_t count;
    float level[LEVELS_MOST];
    uint8_t nearest[HALF_STEPS]; /* to (i − 256) ÷ 2 … (i − 255) ÷ 2, which no boundary between levels divides */
} code_table;

static code_table table_of(const int8_t *levels, size_t count)
{
    code_table table = {.count = count};
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

/* What a block loses; where that is `most` or above, some number that is too. */
static float error_of(const code_table *table, const float *values, const float *importance, float scale, float most)
{
    enum { PART = 8 };
    float inverse = 1 / scale, error = 0;
    for (size_t part = 0; part < QUANT_BLOCK && error < most; part += PART)
        for (size_t i = part; i < part + PART; i++) {
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

/* The value of largest size. */
static float extreme_of(const float *values)
{
    float extreme = 0;
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        extreme = fabsf(values[i]) > fabsf(extreme) ? values[i] : extreme;
    return extreme;
}

typedef struct search {
    const code_table *table;
    const float *values, *importance;
    float error; /* the least so far */
    uint8_t best;
} search;

static void try_scale(search *s, unsigned byte)
{
    float error = error_of(s->table, s->values, s->importance, quant_m_scale((uint8_t)byte), s->error);
    if (error < s->error) {
        s->error = error;
        s->best = (uint8_t)byte;
    }
}

/* Without importance the best scale is hardly ever outside of 0.7 … 1.5 of that which brings the extreme value exactly to
 * the end of its side; where that value counts for little, it may be cut off further. */
static uint8_t best_scale(const code_table *table, const float *values, const float *importance, bool alike)
{
    search s = {table, values, importance, 0, 0};
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        s.error += importance[i] * values[i] * values[i]; /* of the scale 0 */
    float extreme = extreme_of(values), largest = fabsf(extreme);
    unsigned signs[2] = {extreme > 0 ? 128 : 0, extreme > 0 ? 0 : 128}; /* the extreme on the long side, or not */
    if (!(largest > 0))
        return 0;
    for (size_t side = 0; side < 2; side++) {
        float whole = largest / fabsf(table->level[side == 0 ? 0 : table->count - 1]);
        unsigned middle = quant_m_scale_below(whole), last = quant_m_scale_below(1.5f * whole);
        unsigned first = quant_m_scale_below((alike ? 0.7f : 0.5f) * whole);
        try_scale(&s, signs[side] | (middle > 0 ? middle : 1)); /* a good one, so that worse ones are soon dropped */
        for (unsigned n = first > 0 ? first : 1; n <= last; n++)
            try_scale(&s, signs[side] | n);
    }
    return s.best;
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
    uint8_t byte = best_scale(table, values, weight, importance == NULL);
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
