/* Packed weights: the layout that every fast product reads, the same on every machine.
 *
 * Sixteen rows make a panel. A panel lies block after block of 32 columns, and within a block each vector of 64 bytes
 * holds four neighbouring columns of all sixteen rows, which is what one dot-product instruction takes: sixteen sums of
 * four products in 512 bits, or four in 128.
 *
 *     panel   [header of block 0 …][block 0][block 1] … [header][block 8] …     a header every 256 columns, or none
 *     block   [levels][high bits][scales]
 *
 *     levels of 4 bits, 256 bytes     byte 64j + 4r + i: row r; columns 4j + i (low nibble) and 16 + 4j + i (high)
 *     levels of 8 bits, 512 bytes     byte 64g + 4r + i: row r; column 4g + i
 *     one high bit, 64 bytes          byte 4r + i, bit g: column 4g + i of row r
 *     two high bits, 128 bytes        byte 64p + 4r + i, bits 2q and 2q + 1: column 16p + 4q + i of row r
 *     levels of 2 bits, 128 bytes     the same
 *
 * Rows past the last are zeros. What the levels mean, and the scales of each format (f16 unless said otherwise, one for
 * each row):
 *
 *     Q4_0, IQ4_NL    4 bits           scale[16]
 *     Q4_1            4 bits           scale[16], minimum[16]
 *     Q5_0            4 bits + 1       scale[16]
 *     Q5_1            4 bits + 1       scale[16], minimum[16]
 *     Q8_0            8 bits, signed   scale[16]
 *     Q4_K            4 bits           u8 group_scale[16], u8 group_minimum[16];   header: scale[16], minimum[16]
 *     Q5_K            4 bits + 1       as Q4_K
 *     Q6_K            4 bits + 2       s8 group_scale[2][16], by halves of 16;     header: scale[16]
 *     IQ4_XS          4 bits           s8 group_scale[16];                         header: scale[16]
 *     Q3_K            2 bits + 1       as Q6_K
 *     M4              4 bits           u8 scale[16], as quant_m_scale reads it
 *     M3              2 bits + 1       as M4
 *
 * Levels and scales are those of blocks.h, unchanged, so nothing is lost, and a row can be had back from its panel. */
#ifndef MOTE_QUANT_PANELS_H
#define MOTE_QUANT_PANELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quant/formats.h"

enum {
    PANEL_ROWS = 16,
    PANEL_BLOCK = 32, /* columns */
    PANEL_HEADER_COLUMNS = 256,
    PANEL_COLUMNS_MOST = 1 << 26, /* a panel of so many fits a 32-bit size_t in every format */
    PANEL_LAYOUT_VERSION = 1,     /* of everything above, as packed files say it */
};

/* Format, its name in lower case, bits of a level, high bits, bytes of scales in a block, bytes of a header. */
/* clang-format off */
#define PANEL_LAYOUT_LIST(X)           \
    X(Q4_0,   q4_0,   4, 0, 32,  0)    \
    X(Q4_1,   q4_1,   4, 0, 64,  0)    \
    X(Q5_0,   q5_0,   4, 1, 32,  0)    \
    X(Q5_1,   q5_1,   4, 1, 64,  0)    \
    X(Q8_0,   q8_0,   8, 0, 32,  0)    \
    X(Q4_K,   q4_k,   4, 0, 32, 64)    \
    X(Q5_K,   q5_k,   4, 1, 32, 64)    \
    X(Q6_K,   q6_k,   4, 2, 32, 32)    \
    X(IQ4_NL, iq4_nl, 4, 0, 32,  0)    \
    X(IQ4_XS, iq4_xs, 4, 0, 16, 32)    \
    X(Q3_K,   q3_k,   2, 1, 32, 32)    \
    X(M4,     m4,     4, 0, 16,  0)    \
    X(M3,     m3,     2, 1, 16,  0)
/* clang-format on */

typedef struct panel_layout {
    quant_type type;
    uint8_t level_bits;    /* 2, 4 or 8 */
    uint8_t high_bits;     /* 0, 1 or 2 */
    uint16_t scale_bytes;  /* at the end of a block */
    uint16_t header_bytes; /* every 256 columns */
} panel_layout;

/* NULL: this format is not packed. */
const panel_layout *panel_layout_of(quant_type type);

static inline size_t panel_block_bytes(const panel_layout *layout)
{
    return (size_t)PANEL_ROWS * PANEL_BLOCK * (layout->level_bits + layout->high_bits) / 8 + layout->scale_bytes;
}

/* For at most PANEL_COLUMNS_MOST columns. */
static inline size_t panel_bytes(const panel_layout *layout, size_t columns)
{
    return columns / PANEL_BLOCK * panel_block_bytes(layout) +
           (layout->header_bytes != 0 ? columns / PANEL_HEADER_COLUMNS * layout->header_bytes : 0);
}

static inline size_t panels_for(size_t rows)
{
    return (rows + PANEL_ROWS - 1) / PANEL_ROWS;
}

/* The bytes of rows × columns values, packed. False: no whole blocks, more than there may be, or not within a size_t. */
bool panels_bytes(const panel_layout *layout, size_t rows, size_t columns, size_t *bytes);

/* Packs `rows` rows (1 … 16) that lie one after another as in a file. */
void panel_pack(const panel_layout *layout, const void *rows_data, size_t rows, size_t columns, void *panel);

/* Decodes one row of a panel. */
void panel_decode_row(const panel_layout *layout, const void *panel, size_t row, size_t columns, float *values);

#endif
