/* Rows of a file's blocks into panels, and back. */
#include "quant/panels.h"

#include <string.h>

#include "base/bytes.h"
#include "quant/blocks.h"

static const panel_layout layouts[] = {
#define LAYOUT(format, name, level_bits, high_bits, scale_bytes, header_bytes)                                         \
    {QUANT_##format, level_bits, high_bits, scale_bytes, header_bytes},
    PANEL_LAYOUT_LIST(LAYOUT)
#undef LAYOUT
};

const panel_layout *panel_layout_of(quant_type type)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].type == type)
            return &layouts[i];
    return NULL;
}

/* One row's 32 levels and the scales beside them, taken out of the file's blocks. */
typedef struct row_block {
    uint8_t level[PANEL_BLOCK]; /* all bits; Q8_0: as stored */
    uint8_t scale[4];           /* what goes at the end of the block: f16 scale and minimum, or group scales */
    uint8_t header[4];          /* f16 scale and minimum of the super-block */
} row_block;

static void take_nibbles(row_block *out, const uint8_t *bytes)
{
    for (size_t i = 0; i < 16; i++) {
        out->level[i] = bytes[i] & 15;
        out->level[16 + i] = bytes[i] >> 4;
    }
}

static void take_fifth_bits(row_block *out, const uint8_t *high)
{
    for (size_t i = 0; i < 32; i++)
        out->level[i] |= (uint8_t)((high[i / 8] >> (i % 8) & 1) << 4);
}

static void take_simple(quant_type type, const void *row, size_t block, row_block *out)
{
    if (type == QUANT_Q8_0) {
        const block_q8_0 *b = (const block_q8_0 *)row + block;
        memcpy(out->level, b->levels, 32);
        memcpy(out->scale, b->scale, 2);
    } else if (type == QUANT_Q4_1) {
        const block_q4_1 *b = (const block_q4_1 *)row + block;
        take_nibbles(out, b->levels);
        memcpy(out->scale, b->scale, 4);
    } else if (type == QUANT_Q5_0) {
        const block_q5_0 *b = (const block_q5_0 *)row + block;
        take_nibbles(out, b->levels);
        take_fifth_bits(out, b->high);
        memcpy(out->scale, b->scale, 2);
    } else if (type == QUANT_Q5_1) {
        const block_q5_1 *b = (const block_q5_1 *)row + block;
        take_nibbles(out, b->levels);
        take_fifth_bits(out, b->high);
        memcpy(out->scale, b->scale, 4);
    } else { /* Q4_0 and IQ4_NL have the same fields */
        const block_q4_0 *b = (const block_q4_0 *)row + block;
        take_nibbles(out, b->levels);
        memcpy(out->scale, b->scale, 2);
    }
}

/* Groups of 32 values; the nibbles of two neighbouring groups share bytes. */
static void take_q45_k(quant_type type, const void *row, size_t block, row_block *out)
{
    size_t super = block / 8, g = block % 8;
    const block_q4_k *b4 = (const block_q4_k *)row + super;
    const block_q5_k *b5 = (const block_q5_k *)row + super;
    bool five = type == QUANT_Q5_K;
    const uint8_t *levels = (five ? b5->low : b4->levels) + g / 2 * 32;
    uint8_t scales[8], minimums[8];
    quant_q4_k_groups(five ? b5->groups : b4->groups, scales, minimums);
    for (size_t i = 0; i < 32; i++) {
        out->level[i] = g % 2 != 0 ? levels[i] >> 4 : levels[i] & 15;
        if (five)
            out->level[i] |= (uint8_t)((b5->high[i] >> g & 1) << 4);
    }
    out->scale[0] = scales[g];
    out->scale[1] = minimums[g];
    memcpy(out->header, five ? b5->scale : b4->scale, 4);
}

static void take_q6_k(const void *row, size_t block, row_block *out)
{
    const block_q6_k *b = (const block_q6_k *)row + block / 8;
    size_t half = block % 8 / 4, quarter = block % 4; /* of the super-block; 32 columns of a half */
    for (size_t i = 0; i < 32; i++) {
        uint8_t low = b->low[half * 64 + quarter % 2 * 32 + i];
        out->level[i] =
            (uint8_t)((quarter < 2 ? low & 15 : low >> 4) | (b->high[half * 32 + i] >> (2 * quarter) & 3) << 4);
    }
    memcpy(out->scale, b->groups + block % 8 * 2, 2);
    memcpy(out->header, b->scale, 2);
}

static void take_iq4_xs(const void *row, size_t block, row_block *out)
{
    const block_iq4_xs *b = (const block_iq4_xs *)row + block / 8;
    size_t g = block % 8;
    take_nibbles(out, b->levels + 16 * g);
    int low = b->groups_low[g / 2] >> (4 * (g % 2)) & 15, high = load_u16(b->groups_high) >> (2 * g) & 3;
    out->scale[0] = (uint8_t)(low + 16 * high - 32);
    memcpy(out->header, b->scale, 2);
}

static void take_block(quant_type type, const void *row, size_t block, row_block *out)
{
    switch (type) {
    case QUANT_Q4_K:
    case QUANT_Q5_K: take_q45_k(type, row, block, out); break;
    case QUANT_Q6_K: take_q6_k(row, block, out); break;
    case QUANT_IQ4_XS: take_iq4_xs(row, block, out); break;
    default: take_simple(type, row, block, out);
    }
}

/* The number of bytes that a field of the scales or of the header has for one row. */
static size_t field_bytes(const panel_layout *layout)
{
    return layout->header_bytes != 0 ? 1 : 2;
}

static void put_fields(uint8_t *at, size_t total, size_t bytes, size_t row, const uint8_t *fields)
{
    for (size_t f = 0; f < total / PANEL_ROWS / bytes; f++)
        memcpy(at + (f * PANEL_ROWS + row) * bytes, fields + f * bytes, bytes);
}

/* Levels leave for their vectors four columns at a time. */
static void put_words(uint8_t *vectors, size_t row, const uint8_t *bytes, size_t words)
{
    for (size_t j = 0; j < words; j++)
        memcpy(vectors + 64 * j + 4 * row, bytes + 4 * j, 4);
}

static void put_row(const panel_layout *layout, uint8_t *block, size_t row, const row_block *in)
{
    uint8_t nibbles[16], bits[8] = {0}, *high = block + PANEL_ROWS * PANEL_BLOCK * layout->level_bits / 8;
    if (layout->level_bits == 8) {
        put_words(block, row, in->level, 8);
    } else {
        for (size_t c = 0; c < 16; c++)
            nibbles[c] = (uint8_t)((in->level[c] & 15) | (in->level[16 + c] & 15) << 4);
        put_words(block, row, nibbles, 4);
    }
    for (size_t c = 0; layout->high_bits == 1 && c < PANEL_BLOCK; c++)
        bits[c % 4] |= (uint8_t)((in->level[c] >> 4) << (c / 4));
    for (size_t c = 0; layout->high_bits == 2 && c < PANEL_BLOCK; c++)
        bits[c / 16 * 4 + c % 4] |= (uint8_t)((in->level[c] >> 4) << (2 * (c / 4 % 4)));
    put_words(high, row, bits, layout->high_bits);
    put_fields(block + panel_block_bytes(layout) - layout->scale_bytes, layout->scale_bytes, field_bytes(layout), row,
               in->scale);
}

void panel_pack(const panel_layout *layout, const void *rows_data, size_t rows, size_t columns, void *panel)
{
    const quant_format *format = quant_find(layout->type);
    size_t row_bytes = columns / format->block * format->bytes, block_bytes = panel_block_bytes(layout);
    uint8_t *at = panel;
    memset(panel, 0, panel_bytes(layout, columns));
    for (size_t b = 0; b < columns / PANEL_BLOCK; b++) {
        uint8_t *header = at;
        bool begins = layout->header_bytes != 0 && b % (PANEL_HEADER_COLUMNS / PANEL_BLOCK) == 0;
        if (begins)
            at += layout->header_bytes;
        for (size_t r = 0; r < rows; r++) {
            row_block in = {0};
            take_block(layout->type, (const uint8_t *)rows_data + r * row_bytes, b, &in);
            put_row(layout, at, r, &in);
            if (begins)
                put_fields(header, layout->header_bytes, 2, r, in.header);
        }
        at += block_bytes;
    }
}

/* A row's part of a block, as put_row wrote it. */
static void get_row(const panel_layout *layout, const uint8_t *block, size_t row, row_block *out)
{
    const uint8_t *high = block + PANEL_ROWS * PANEL_BLOCK * layout->level_bits / 8;
    const uint8_t *scales = block + panel_block_bytes(layout) - layout->scale_bytes;
    size_t bytes = field_bytes(layout);
    for (size_t c = 0; c < PANEL_BLOCK; c++) {
        size_t in_vector = 4 * row + c % 4;
        if (layout->level_bits == 8)
            out->level[c] = block[c / 4 * 64 + in_vector];
        else
            out->level[c] = block[c % 16 / 4 * 64 + in_vector] >> (c / 16 * 4) & 15;
        if (layout->high_bits == 1)
            out->level[c] |= (uint8_t)((high[in_vector] >> (c / 4) & 1) << 4);
        if (layout->high_bits == 2)
            out->level[c] |= (uint8_t)((high[c / 16 * 64 + in_vector] >> (2 * (c / 4 % 4)) & 3) << 4);
    }
    for (size_t f = 0; f < layout->scale_bytes / PANEL_ROWS / bytes; f++)
        memcpy(out->scale + f * bytes, scales + (f * PANEL_ROWS + row) * bytes, bytes);
}

static float half(const uint8_t *at)
{
    return f16_to_f32(load_u16(at));
}

/* scale × level + minimum, as formats.h promises it: every product exact, one rounding. */
static void decode_block(quant_type type, const row_block *in, const uint8_t *header, size_t row, float *values)
{
    float scale[2], minimum = -0.0f; /* of the halves of the block; −0 changes nothing that it is added to */
    int bias = 0;
    scale[0] = scale[1] = header == NULL ? half(in->scale) : half(header + 2 * row);
    switch (type) {
    case QUANT_Q4_0: bias = 8; break;
    case QUANT_Q5_0: bias = 16; break;
    case QUANT_Q4_1:
    case QUANT_Q5_1: minimum = half(in->scale + 2); break;
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        scale[0] = scale[1] = scale[0] * in->scale[0];
        minimum = -(half(header + 2 * (PANEL_ROWS + row)) * in->scale[1]);
        break;
    case QUANT_Q6_K:
        bias = 32;
        scale[1] *= (int8_t)in->scale[1];
        scale[0] *= (int8_t)in->scale[0];
        break;
    case QUANT_IQ4_XS: scale[0] = scale[1] = scale[0] * (int8_t)in->scale[0]; break;
    default: break;
    }
    for (size_t c = 0; c < PANEL_BLOCK; c++) {
        int level = in->level[c] - bias;
        if (type == QUANT_Q8_0)
            level = (int8_t)in->level[c];
        else if (type == QUANT_IQ4_NL || type == QUANT_IQ4_XS)
            level = quant_iq4_levels[in->level[c]];
        values[c] = scale[c / 16] * (float)level + minimum;
    }
}

void panel_decode_row(const panel_layout *layout, const void *panel, size_t row, size_t columns, float *values)
{
    const uint8_t *at = panel, *header = NULL;
    for (size_t b = 0; b < columns / PANEL_BLOCK; b++) {
        if (layout->header_bytes != 0 && b % (PANEL_HEADER_COLUMNS / PANEL_BLOCK) == 0) {
            header = at;
            at += layout->header_bytes;
        }
        row_block in = {0};
        get_row(layout, at, row, &in);
        decode_block(layout->type, &in, header, row, values + b * PANEL_BLOCK);
        at += panel_block_bytes(layout);
    }
}
