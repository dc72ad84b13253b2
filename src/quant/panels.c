/* Rows of a file's blocks into panels, and back. */
#include "quant/panels.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
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

bool panels_bytes(const panel_layout *layout, size_t rows, size_t columns, size_t *bytes)
{
    size_t block = quant_find(layout->type)->block;
    return columns <= PANEL_COLUMNS_MOST && columns % PANEL_BLOCK == 0 && columns % block == 0 &&
           rows <= SIZE_MAX - (PANEL_ROWS - 1) && checked_mul(panels_for(rows), panel_bytes(layout, columns), bytes);
}

#define INLINE __attribute__((always_inline)) static inline /* for each format with its own constants */

enum { VECTOR_BYTES = 4 * PANEL_ROWS, NIBBLE_BYTES = 4 * VECTOR_BYTES };

/* --------------------------------------------------------------------------------------------------------- packing
 *
 * Each put_… writes one row's part of what one block of the file becomes: one block of the panel, or a header and eight.
 * Four neighbouring columns are a word in the panel and four bytes in the file, so nothing is taken apart further than
 * into words, on which all four columns are moved at once. */

INLINE void put_words(uint8_t *vectors, size_t row, const uint8_t *from, size_t words)
{
    for (size_t j = 0; j < words; j++)
        store_u32(vectors + VECTOR_BYTES * j + 4 * row, load_u32(from + 4 * j));
}

/* Numbers of two bytes, of which each has sixteen rows to itself. */
INLINE void put_pairs(uint8_t *to, size_t row, const uint8_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_u16(to + 2 * (PANEL_ROWS * i + row), load_u16(from + 2 * i));
}

/* Four of 32 bits go to the four bytes of the word, each 7 bits further than its neighbour: a multiplication does it. */
INLINE uint32_t fifth_bits(uint32_t high)
{
    uint32_t word = 0;
    for (unsigned g = 0; g < 8; g++)
        word |= ((high >> 4 * g & 15) * 0x00204081u & 0x01010101u) << g;
    return word;
}

/* The formats of 32 values, whose fields come in this order: scale, minimum, fifth bits, levels. */
INLINE void put_simple(const uint8_t *from, size_t row, uint8_t *to, size_t scales, bool fifth, size_t words)
{
    put_pairs(to + VECTOR_BYTES * (words + fifth), row, from, scales);
    from += 2 * scales;
    if (fifth)
        store_u32(to + VECTOR_BYTES * words + 4 * row, fifth_bits(load_u32(from)));
    put_words(to, row, from + 4 * fifth, words);
}

/* Nibbles of 32 bytes, all at the same `shift`, to nibbles of 16: those of the second half above those of the first. */
INLINE void put_nibbles(uint8_t *to, size_t row, const uint8_t *from, size_t shift)
{
    for (size_t j = 0; j < 4; j++) {
        uint32_t low = load_u32(from + 4 * j) >> shift & 0x0f0f0f0fu;
        uint32_t high = load_u32(from + 16 + 4 * j) >> shift & 0x0f0f0f0fu;
        store_u32(to + VECTOR_BYTES * j + 4 * row, low | high << 4);
    }
}

/* One or two bits of each byte, all at the same `shift`, into one word. */
INLINE uint32_t joined_bits(const uint8_t *from, size_t shift, size_t bits)
{
    uint32_t word = 0, mask = bits == 1 ? 0x01010101u : 0x03030303u;
    for (size_t k = 0; k < 8 / bits; k++)
        word |= (load_u32(from + 4 * k) >> shift & mask) << bits * k;
    return word;
}

INLINE void put_q4_or_q5_k(bool five, const void *from, size_t row, uint8_t *to)
{
    const block_q4_k *b4 = from;
    const block_q5_k *b5 = from;
    const uint8_t *levels = five ? b5->low : b4->levels;
    uint8_t scales[8], minimums[8];
    quant_q4_k_groups(b4->groups, scales, minimums);
    put_pairs(to, row, b4->scale, 1);
    put_pairs(to + 2 * PANEL_ROWS, row, b4->minimum, 1);
    to += 4 * PANEL_ROWS;
    for (size_t g = 0; g < 8; g++) {
        put_nibbles(to, row, levels + g / 2 * 32, g % 2 * 4);
        to += NIBBLE_BYTES;
        if (five) {
            store_u32(to + 4 * row, joined_bits(b5->high, g, 1));
            to += VECTOR_BYTES;
        }
        to[row] = scales[g];
        to[PANEL_ROWS + row] = minimums[g];
        to += 2 * PANEL_ROWS;
    }
}

INLINE void put_q6_k(const void *from, size_t row, uint8_t *to)
{
    const block_q6_k *b = from;
    put_pairs(to, row, b->scale, 1);
    to += 2 * PANEL_ROWS;
    for (size_t g = 0; g < 8; g++) {
        size_t half = g / 4, quarter = g % 4; /* of the super-block; 32 columns of a half */
        put_nibbles(to, row, b->low + 64 * half + quarter % 2 * 32, quarter / 2 * 4);
        to += NIBBLE_BYTES;
        store_u32(to + 4 * row, joined_bits(b->high + 32 * half, 2 * quarter, 2));
        store_u32(to + VECTOR_BYTES + 4 * row, joined_bits(b->high + 32 * half + 16, 2 * quarter, 2));
        to += 2 * VECTOR_BYTES;
        to[row] = (uint8_t)b->groups[2 * g];
        to[PANEL_ROWS + row] = (uint8_t)b->groups[2 * g + 1];
        to += 2 * PANEL_ROWS;
    }
}

INLINE void put_q3_k(const void *from, size_t row, uint8_t *to)
{
    const block_q3_k *b = from;
    int8_t scales[16];
    quant_q3_k_groups(b->groups, scales);
    put_pairs(to, row, b->scale, 1);
    to += 2 * PANEL_ROWS;
    for (size_t g = 0; g < 8; g++) {
        const uint8_t *low = b->low + g / 4 * 32;
        store_u32(to + 4 * row, joined_bits(low, g % 4 * 2, 2));
        store_u32(to + VECTOR_BYTES + 4 * row, joined_bits(low + 16, g % 4 * 2, 2));
        store_u32(to + 2 * VECTOR_BYTES + 4 * row, joined_bits(b->high, g, 1));
        to += 3 * VECTOR_BYTES;
        to[row] = (uint8_t)scales[2 * g];
        to[PANEL_ROWS + row] = (uint8_t)scales[2 * g + 1];
        to += 2 * PANEL_ROWS;
    }
}

INLINE void put_iq4_xs(const void *from, size_t row, uint8_t *to)
{
    const block_iq4_xs *b = from;
    unsigned high = load_u16(b->groups_high);
    put_pairs(to, row, b->scale, 1);
    to += 2 * PANEL_ROWS;
    for (size_t g = 0; g < 8; g++) {
        put_words(to, row, b->levels + 16 * g, 4);
        to += NIBBLE_BYTES;
        to[row] = (uint8_t)((b->groups_low[g / 2] >> g % 2 * 4 & 15u) + (high >> 2 * g & 3) * 16 - 32);
        to += PANEL_ROWS;
    }
}

INLINE void put_m(const uint8_t *from, size_t row, uint8_t *to, size_t words)
{
    put_words(to, row, from + 1, words);
    to[VECTOR_BYTES * words + row] = *from;
}

INLINE void put_block(quant_type type, const uint8_t *from, size_t row, uint8_t *to)
{
    switch (type) {
    case QUANT_Q4_1: put_simple(from, row, to, 2, false, 4); break;
    case QUANT_Q5_0: put_simple(from, row, to, 1, true, 4); break;
    case QUANT_Q5_1: put_simple(from, row, to, 2, true, 4); break;
    case QUANT_Q8_0: put_simple(from, row, to, 1, false, 8); break;
    case QUANT_Q4_K: put_q4_or_q5_k(false, from, row, to); break;
    case QUANT_Q5_K: put_q4_or_q5_k(true, from, row, to); break;
    case QUANT_Q6_K: put_q6_k(from, row, to); break;
    case QUANT_Q3_K: put_q3_k(from, row, to); break;
    case QUANT_IQ4_XS: put_iq4_xs(from, row, to); break;
    case QUANT_M4: put_m(from, row, to, 4); break;
    case QUANT_M3: put_m(from, row, to, 3); break;
    default: put_simple(from, row, to, 1, false, 4); /* Q4_0 and IQ4_NL */
    }
}

INLINE void pack_rows(quant_type type, const uint8_t *from, size_t row_bytes, size_t rows, size_t blocks, uint8_t *to)
{
    const quant_format *format = quant_find(type);
    size_t from_bytes = format->bytes, to_bytes = panel_bytes(panel_layout_of(type), format->block);
    for (size_t b = 0; b < blocks; b++)
        for (size_t r = 0; r < rows; r++)
            put_block(type, from + r * row_bytes + b * from_bytes, r, to + b * to_bytes);
}

void panel_pack(const panel_layout *layout, const void *rows_data, size_t rows, size_t columns, void *panel)
{
    const quant_format *format = quant_find(layout->type);
    size_t blocks = columns / format->block, row_bytes = blocks * format->bytes;
    if (rows < PANEL_ROWS)
        memset(panel, 0, panel_bytes(layout, columns));
    switch (layout->type) {
#define PACK(format, name, level_bits, high_bits, scale_bytes, header_bytes)                                           \
    case QUANT_##format: pack_rows(QUANT_##format, rows_data, row_bytes, rows, blocks, panel); break;
        PANEL_LAYOUT_LIST(PACK)
#undef PACK
    default: break;
    }
}

/* -------------------------------------------------------------------------------------------------------- decoding */

/* Two bits and a third. */
static void get_three_bits(const uint8_t *at, uint32_t level[8])
{
    uint32_t high = load_u32(at + 2 * VECTOR_BYTES);
    for (size_t g = 0; g < 8; g++)
        level[g] = (load_u32(at + g / 4 * VECTOR_BYTES) >> g % 4 * 2 & 0x03030303u) | (high >> g & 0x01010101u) << 2;
}

/* A row's levels in a block, all bits; word j holds columns 4j … 4j + 3. */
static void get_levels(const panel_layout *layout, const uint8_t *block, size_t row, uint32_t level[8])
{
    const uint8_t *at = block + 4 * row;
    if (layout->level_bits == 2) {
        get_three_bits(at, level);
        return;
    }
    for (size_t j = 0; j < 4; j++) {
        uint32_t word = load_u32(at + VECTOR_BYTES * j);
        level[j] = layout->level_bits == 8 ? word : word & 0x0f0f0f0fu;
        level[4 + j] = layout->level_bits == 8 ? load_u32(at + VECTOR_BYTES * (4 + j)) : word >> 4 & 0x0f0f0f0fu;
    }
    for (size_t p = 0; p < layout->high_bits; p++) {
        size_t bits = layout->high_bits, words = 8 / bits;
        uint32_t word = load_u32(at + NIBBLE_BYTES + VECTOR_BYTES * p), mask = bits == 1 ? 0x01010101u : 0x03030303u;
        for (size_t k = 0; k < words; k++)
            level[words * p + k] |= (word >> bits * k & mask) << 4;
    }
}

/* What makes values of a block's levels: value = scale × (level − bias) + minimum. */
typedef struct row_scales {
    float scale[2]; /* of the halves of the block */
    float minimum;  /* −0 changes nothing that it is added to */
    int bias;
} row_scales;

static float half(const uint8_t *at)
{
    return f16_to_f32(load_u16(at));
}

/* `scales`: those at the end of the block; `header`: of the super-block, or NULL. */
static row_scales get_scales(quant_type type, const uint8_t *scales, const uint8_t *header, size_t row)
{
    bool small = type == QUANT_M4 || type == QUANT_M3;
    float scale = small ? quant_m_scale(scales[row]) : half((header != NULL ? header : scales) + 2 * row);
    row_scales out = {{scale, scale}, -0.0f, 0};
    switch (type) {
    case QUANT_Q4_0: out.bias = 8; break;
    case QUANT_Q5_0: out.bias = 16; break;
    case QUANT_Q4_1:
    case QUANT_Q5_1: out.minimum = half(scales + 2 * (PANEL_ROWS + row)); break;
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        out.scale[0] = out.scale[1] = scale * scales[row];
        out.minimum = -(half(header + 2 * (PANEL_ROWS + row)) * scales[PANEL_ROWS + row]);
        break;
    case QUANT_Q3_K:
    case QUANT_Q6_K:
        out.bias = type == QUANT_Q6_K ? 32 : 4;
        out.scale[0] = scale * (int8_t)scales[row];
        out.scale[1] = scale * (int8_t)scales[PANEL_ROWS + row];
        break;
    case QUANT_IQ4_XS: out.scale[0] = out.scale[1] = scale * (int8_t)scales[row]; break;
    default: break;
    }
    return out;
}

/* As formats.h promises it: every product exact, one rounding. */
static void decode_block(const panel_layout *layout, const uint8_t *block, const uint8_t *header, size_t row,
                         float *values)
{
    uint32_t words[8];
    int8_t level[PANEL_BLOCK];
    get_levels(layout, block, row, words);
    memcpy(level, words, sizeof level);
    const int8_t *table = quant_code_book(layout->type);
    for (size_t c = 0; c < PANEL_BLOCK && table != NULL; c++)
        level[c] = table[level[c]];
    row_scales by = get_scales(layout->type, block + panel_block_bytes(layout) - layout->scale_bytes, header, row);
    for (size_t c = 0; c < PANEL_BLOCK / 2; c++)
        values[c] = by.scale[0] * (float)(level[c] - by.bias) + by.minimum;
    for (size_t c = PANEL_BLOCK / 2; c < PANEL_BLOCK; c++)
        values[c] = by.scale[1] * (float)(level[c] - by.bias) + by.minimum;
}

void panel_decode_row(const panel_layout *layout, const void *panel, size_t row, size_t columns, float *values)
{
    const uint8_t *at = panel, *header = NULL;
    for (size_t b = 0; b < columns / PANEL_BLOCK; b++) {
        if (layout->header_bytes != 0 && b % (PANEL_HEADER_COLUMNS / PANEL_BLOCK) == 0) {
            header = at;
            at += layout->header_bytes;
        }
        decode_block(layout, at, header, row, values + b * PANEL_BLOCK);
        at += panel_block_bytes(layout);
    }
}
