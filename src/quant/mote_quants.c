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

const quant_format quant_format_M4 = {
    .name = "M4", .type = QUANT_M4, .block = QUANT_BLOCK, .bytes = sizeof(block_m4), .decode = decode_m4};
const quant_format quant_format_M3 = {
    .name = "M3", .type = QUANT_M3, .block = QUANT_BLOCK, .bytes = sizeof(block_m3), .decode = decode_m3};

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

/* `value` over the scale; what is too large goes to an end of the table. */
static inline uint8_t code_of(const code_table *table, float value)
{
    float place = 2 * value + HALF_STEPS / 2;
    place = place > 0 ? place : 0;
    return table->nearest[place < HALF_STEPS - 1 ? (size_t)place : HALF_STEPS - 1];
}

uint8_t quant_m_scale_below(float scale)
{
    const float most = 31; /* a little more than the largest, times 16 */
    unsigned n = f16_from_f32(scale * 16 < most ? scale * 16 : most) >> 7;
    if (n > QUANT_M_COARSE)
        n = (n + QUANT_M_COARSE) / 2;
    return (uint8_t)(n > 0 && quant_m_scale((uint8_t)n) > scale ? n - 1 : n); /* the half was rounded */
}

/* A block as the search sees it. */
typedef struct weighted_block {
    float value[QUANT_BLOCK];      /* 0 where it is no finite number */
    float importance[QUANT_BLOCK]; /* 0 there, and where it is not above 0 or not finite; if it is everywhere: alike */
    float extreme;                 /* of the values that count, the largest in size */
} weighted_block;

static weighted_block block_at(const float *values, const float *importance)
{
    weighted_block b = {.extreme = 0};
    bool some = false;
    for (size_t i = 0; i < QUANT_BLOCK; i++) {
        bool counts = isfinite(values[i]), weighs = importance != NULL && importance[i] > 0 && isfinite(importance[i]);
        b.value[i] = counts ? values[i] : 0;
        b.importance[i] = counts && weighs ? importance[i] : 0;
        some = some || (counts && weighs);
    }
    for (size_t i = 0; i < QUANT_BLOCK; i++) {
        b.importance[i] = some ? b.importance[i] : isfinite(values[i]) ? 1.0f : 0;
        if (b.importance[i] > 0 && fabsf(b.value[i]) > fabsf(b.extreme))
            b.extreme = b.value[i];
    }
    return b;
}

/* What a block loses; where that is `most` or above, some number that is too. */
static float error_of(const code_table *table, const weighted_block *block, float scale, float most)
{
    enum { PART = 8 };
    float inverse = 1 / scale, error = 0;
    for (size_t part = 0; part < QUANT_BLOCK && error < most; part += PART)
        for (size_t i = part; i < part + PART; i++) {
            float value = block->value[i];
            float off = value - scale * table->level[code_of(table, value * inverse)];
            error += block->importance[i] * off * off;
        }
    return error;
}

typedef struct search {
    const code_table *table;
    const weighted_block *block;
    float error; /* the least so far */
    uint8_t best;
} search;

static void try_scale(search *s, unsigned byte)
{
    float error = error_of(s->table, s->block, quant_m_scale((uint8_t)byte), s->error);
    if (error < s->error) {
        s->error = error;
        s->best = (uint8_t)byte;
    }
}

/* Without importance the best scale is hardly ever outside of 0.7 … 1.5 of that which brings the extreme value exactly to
 * the end of its side; where that value counts for little, it may be cut off further. */
static uint8_t best_scale(const code_table *table, const weighted_block *block)
{
    search s = {table, block, 0, 0};
    float largest = fabsf(block->extreme);
    unsigned flipped = block->extreme > 0 ? 128 : 0; /* brings the extreme to the long side */
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        s.error += block->importance[i] * block->value[i] * block->value[i]; /* of the scale 0 */
    for (size_t side = 0; side < 2 && largest > 0; side++, flipped ^= 128) {
        float whole = largest / fabsf(table->level[side == 0 ? 0 : table->count - 1]);
        unsigned first = quant_m_scale_below(0.5f * whole), last = quant_m_scale_below(1.5f * whole);
        unsigned middle = quant_m_scale_below(whole);
        try_scale(&s, flipped | (middle > 0 ? middle : 1)); /* a good one, so that worse ones are soon dropped */
        for (unsigned n = first > 0 ? first : 1; n <= last; n++)
            try_scale(&s, flipped | n);
    }
    return s.best;
}

/* The scale of a block and its codes. */
static uint8_t encode_block(const code_table *table, const float *values, const float *importance,
                            uint8_t code[QUANT_BLOCK])
{
    weighted_block block = block_at(values, importance);
    uint8_t byte = best_scale(table, &block);
    float inverse = byte == 0 ? 0 : 1 / quant_m_scale(byte);
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        code[i] = code_of(table, block.value[i] * inverse);
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
