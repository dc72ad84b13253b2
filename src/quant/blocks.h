/* The blocks of every quantised format, byte by byte.
 *
 * All fields are bytes, so that a block has no padding, no alignment, and may be read where it lies in a file; numbers
 * of more than one byte are little-endian (base/bytes.h). Levels are the small integers stored per value, v0 is the
 * first value of a block, and a byte is drawn with its top bit on the left. The layouts are those of GGUF files; M4 and M3
 * are mote's own additions. */
#ifndef MOTE_QUANT_BLOCKS_H
#define MOTE_QUANT_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "quant/formats.h"

enum {
    QUANT_BLOCK = 32,  /* values in a block of the simple formats */
    QUANT_SUPER = 256, /* values in a super-block, which has a half-precision scale and small integer ones per group */
};

/* ------------------------------------------------------------------------------------------------- blocks of 32 values
 *
 * Nibbles, in all of them: byte i holds value i in its low and value i + 16 in its high half.
 *
 *     levels[0]  v16 v16 v16 v16 v0 v0 v0 v0
 *     levels[1]  v17 v17 v17 v17 v1 v1 v1 v1      ...      levels[15]  v31 v31 v31 v31 v15 v15 v15 v15
 *
 * Fifth bits: bit i of the 32-bit number `high` belongs to value i. */

/* Q4_0: value = scale × (nibble − 8) */
typedef struct block_q4_0 {
    uint8_t scale[2]; /* f16 */
    uint8_t levels[16];
} block_q4_0;

/* Q4_1: value = scale × nibble + minimum */
typedef struct block_q4_1 {
    uint8_t scale[2];   /* f16 */
    uint8_t minimum[2]; /* f16 */
    uint8_t levels[16];
} block_q4_1;

/* Q5_0: value = scale × (fifth bit · 16 + nibble − 16) */
typedef struct block_q5_0 {
    uint8_t scale[2]; /* f16 */
    uint8_t high[4];  /* u32 */
    uint8_t levels[16];
} block_q5_0;

/* Q5_1: value = scale × (fifth bit · 16 + nibble) + minimum */
typedef struct block_q5_1 {
    uint8_t scale[2];   /* f16 */
    uint8_t minimum[2]; /* f16 */
    uint8_t high[4];    /* u32 */
    uint8_t levels[16];
} block_q5_1;

/* Q8_0: value = scale × level */
typedef struct block_q8_0 {
    uint8_t scale[2]; /* f16 */
    int8_t levels[32];
} block_q8_0;

/* IQ4_NL: value = scale × quant_iq4_levels[nibble] */
typedef struct block_iq4_nl {
    uint8_t scale[2]; /* f16 */
    uint8_t levels[16];
} block_iq4_nl;

/* MXFP4: value = 2^(scale − 127) × the nibble as E2M1, a four-bit float: sign, two bits of exponent, one of mantissa.
 * OCP Microscaling Formats (MX) Specification 1.0, with nibbles ordered as above. */
typedef struct block_mxfp4 {
    uint8_t scale; /* E8M0: a binary32's exponent and nothing else */
    uint8_t levels[16];
} block_mxfp4;

/* -------------------------------------------------------------------------------------- mote's own: blocks of 32 values
 *
 * For rows that are no multiple of 256, at sizes that nothing else has: 4.25 and 3.25 bits a value, scale included.
 * value = quant_m_scale(scale) × quant_m4_levels[…], or m3. The levels are where a quantizer that looks for each block's
 * best scale loses least (Lloyd 1982, Max 1960), over blocks that are normal and some that have heavier tails. They are
 * longer on one side, and scales have signs: a block's largest value goes to the long side, and what lies opposite it,
 * which is smaller in most blocks, has levels that are closer together. docs/ARCHITECTURE.md has what that gains. */

/* M4: nibbles as above */
typedef struct block_m4 {
    uint8_t scale;
    uint8_t levels[16];
} block_m4;

/* M3: the planes of a panel (panels.h), row by row
 *
 *     low[4p + i]         d d c c b b a a           low two bits; a: value 16p + i, b: 4 further on, c: 8, d: 12 (p = 0, 1)
 *     high[i]             bit g: third bit of value 4g + i */
typedef struct block_m3 {
    uint8_t scale;
    uint8_t low[8];
    uint8_t high[4];
} block_m3;

/* ------------------------------------------------------------------------------------ K-quants: super-blocks of 256 */

/* Q2_K: groups of 16 values; value = scale × (group scale) × level − minimum × (group minimum)
 *
 *     groups[g]           m m m m s s s s           minimum and scale of group g, values 16g … 16g + 15
 *     levels[32h + l]     d d c c b b a a           a: value 128h + l, b: 32 further on, c: 64, d: 96 (h = 0, 1) */
typedef struct block_q2_k {
    uint8_t groups[16];
    uint8_t levels[64];
    uint8_t scale[2];   /* f16 */
    uint8_t minimum[2]; /* f16 */
} block_q2_k;

/* Q3_K: groups of 16 values; value = scale × (group scale − 32) × (high bit · 4 + low bits − 4)
 *
 *     high[l]             bit b: value 32b + l
 *     low[32h + l]        d d c c b b a a           as the levels of Q2_K
 *     groups[0 … 7]       i i i i a a a a           low four bits of the scales of groups a = g, i = 8 + g
 *     groups[8 … 11]      m m i i e e a a           top two bits of the scales of groups a = g − 8, e = a + 4, … */
typedef struct block_q3_k {
    uint8_t high[32];
    uint8_t low[64];
    uint8_t groups[12];
    uint8_t scale[2]; /* f16 */
} block_q3_k;

/* Q4_K: groups of 32 values; value = scale × (group scale) × nibble − minimum × (group minimum)
 *
 *     groups[0 … 3]       S S s s s s s s           s: scale of group g = 0 … 3; S: top two bits of that of group g + 4
 *     groups[4 … 7]       M M m m m m m m           m: minimum of group g = 0 … 3; M: top two bits, group g + 4
 *     groups[8 … 11]      m m m m s s s s           low four bits of minimum and scale of group g = 4 … 7
 *     levels[32c + l]     b b b b a a a a           a: value 64c + l, b: value 64c + 32 + l (c = 0 … 3) */
typedef struct block_q4_k {
    uint8_t scale[2];   /* f16 */
    uint8_t minimum[2]; /* f16 */
    uint8_t groups[12];
    uint8_t levels[128];
} block_q4_k;

/* Q5_K: Q4_K with a fifth bit, worth 16
 *
 *     high[l]             bit g: value 32g + l
 *     low[32c + l]        b b b b a a a a           as the levels of Q4_K */
typedef struct block_q5_k {
    uint8_t scale[2];   /* f16 */
    uint8_t minimum[2]; /* f16 */
    uint8_t groups[12];
    uint8_t high[32];
    uint8_t low[128];
} block_q5_k;

/* Q6_K: groups of 16 values; value = scale × (group scale) × (high bits · 16 + low nibble − 32)
 *
 *     low[64h + l]        b b b b a a a a           a: value 128h + l, b: value 128h + 64 + l (l = 0 … 63, h = 0, 1)
 *     high[32h + l]       d d c c b b a a           a: value 128h + l, b: 32 further on, c: 64, d: 96 (l = 0 … 31) */
typedef struct block_q6_k {
    uint8_t low[128];
    uint8_t high[64];
    int8_t groups[16];
    uint8_t scale[2]; /* f16 */
} block_q6_k;

/* ------------------------------------------------------------------------------- codebook formats: super-blocks of 256
 *
 * The IQ3 formats store values four at a time: an index into a table of points (iq3_grids.h), and a sign per value. */

/* IQ4_XS: groups of 32 values; value = scale × (group scale − 32) × quant_iq4_levels[nibble]
 *
 *     groups_high         u16: top two bits of the scale of group g in bits 2g and 2g + 1
 *     groups_low[g / 2]   b b b b a a a a           low four bits: a of group g, even, b of group g + 1
 *     levels[16g + i]     b b b b a a a a           a: value 32g + i, b: value 32g + 16 + i */
typedef struct block_iq4_xs {
    uint8_t scale[2]; /* f16 */
    uint8_t groups_high[2];
    uint8_t groups_low[4];
    uint8_t levels[128];
} block_iq4_xs;

/* IQ3_XXS: groups of 32 values; value = scale × (2 · group scale + 1) / 4 × (point of the grid) × sign
 *
 *     points[i]           values 4i … 4i + 3 are quant_iq3_xxs_grid[points[i]]
 *     groups[4g … 4g + 3] u32: s s s s d…d c…c b…b a…a     s: scale of group g; four times seven bits of sign
 *
 * Seven signs stand for eight values (1: negative): the eighth makes the number of negative values even. */
typedef struct block_iq3_xxs {
    uint8_t scale[2]; /* f16 */
    uint8_t points[64];
    uint8_t groups[32];
} block_iq3_xxs;

/* IQ3_S: groups of 32 values; value = scale × (2 · group scale + 1) × (point of the grid) × sign
 *
 *     points[i]           with its ninth bit, values 4i … 4i + 3 are quant_iq3_s_grid[…]
 *     high[i / 8]         bit i % 8: ninth bit of the index points[i]
 *     signs[v / 8]        bit v % 8: value v is negative
 *     groups[g / 2]       b b b b a a a a           scales: a of group g, even, b of group g + 1 */
typedef struct block_iq3_s {
    uint8_t scale[2]; /* f16 */
    uint8_t points[64];
    uint8_t high[8];
    uint8_t signs[32];
    uint8_t groups[4];
} block_iq3_s;

/* --------------------------------------------------------------------------- ternary formats: value = scale × (trit − 1)
 *
 * TQ1_0 keeps five base-3 digits in a byte, as a fraction of 256: byte = ⌈256 · (t0/3 + t1/9 + t2/27 + t3/81 + t4/243)⌉.
 * Digit n is then the integer part of 3 · fraction(byte · 3^n / 256): two multiplications, no division.
 *
 *     fives[i]            digit n: value 32n + i              (i = 0 … 31, n = 0 … 4)
 *     fives[32 + i]       digit n: value 160 + 16n + i        (i = 0 … 15, n = 0 … 4)
 *     fours[i]            digit n: value 240 + 4n + i         (i = 0 … 3,  n = 0 … 3) */
typedef struct block_tq1_0 {
    uint8_t fives[48];
    uint8_t fours[4];
    uint8_t scale[2]; /* f16 */
} block_tq1_0;

/* TQ2_0: two bits a trit; levels as those of Q2_K. The pattern 3, which no encoder writes, stands for 2 × scale. */
typedef struct block_tq2_0 {
    uint8_t levels[64];
    uint8_t scale[2]; /* f16 */
} block_tq2_0;

_Static_assert(sizeof(block_q4_0) == 18, "Q4_0");
_Static_assert(sizeof(block_q4_1) == 20, "Q4_1");
_Static_assert(sizeof(block_q5_0) == 22, "Q5_0");
_Static_assert(sizeof(block_q5_1) == 24, "Q5_1");
_Static_assert(sizeof(block_q8_0) == 34, "Q8_0");
_Static_assert(sizeof(block_iq4_nl) == 18, "IQ4_NL");
_Static_assert(sizeof(block_mxfp4) == 17, "MXFP4");
_Static_assert(sizeof(block_m4) == 17, "M4");
_Static_assert(sizeof(block_m3) == 13, "M3");
_Static_assert(sizeof(block_q2_k) == 84, "Q2_K");
_Static_assert(sizeof(block_q3_k) == 110, "Q3_K");
_Static_assert(sizeof(block_q4_k) == 144, "Q4_K");
_Static_assert(sizeof(block_q5_k) == 176, "Q5_K");
_Static_assert(sizeof(block_q6_k) == 210, "Q6_K");
_Static_assert(sizeof(block_iq4_xs) == 136, "IQ4_XS");
_Static_assert(sizeof(block_iq3_xxs) == 98, "IQ3_XXS");
_Static_assert(sizeof(block_iq3_s) == 110, "IQ3_S");
_Static_assert(sizeof(block_tq1_0) == 54, "TQ1_0");
_Static_assert(sizeof(block_tq2_0) == 66, "TQ2_0");

/* Every block of a quantised format has the same alignment as a byte. */
_Static_assert(_Alignof(block_q6_k) == 1 && _Alignof(block_iq4_xs) == 1, "a block lies at any address");

/* The sixteen levels of IQ4_NL and IQ4_XS: dense around zero, as weights are. */
extern const int8_t quant_iq4_levels[16];

/* The sixteen values of E2M1, doubled to be whole: 0, ½, 1, 1½, 2, 3, 4, 6 and their negatives. */
extern const int8_t quant_e2m1_doubled[16];

/* M4 and M3: ascending. */
extern const int8_t quant_m4_levels[16];
extern const int8_t quant_m3_levels[8];

/* What the codes of a format stand for; NULL: they are levels themselves. */
static inline const int8_t *quant_code_book(quant_type type)
{
    switch (type) {
    case QUANT_IQ4_NL:
    case QUANT_IQ4_XS: return quant_iq4_levels;
    case QUANT_M4: return quant_m4_levels;
    case QUANT_M3: return quant_m3_levels;
    default: return NULL;
    }
}

/* The scales of M4 and M3: a sign, and seven bits n that become a half-precision number and are divided by 16. From 8 to
 * 96 they are its exponent and three bits of its mantissa, so that a block whose largest value is 0.0005 … 1 has eight
 * scales an octave to choose from; above, up to 222, every other one; below, subnormals down to zero. */
enum { QUANT_M_COARSE = 96 }; /* from here on n counts twice */

static inline uint16_t quant_m_half(uint8_t scale)
{
    unsigned n = scale & 127u, doubled = n > QUANT_M_COARSE ? n - QUANT_M_COARSE : 0;
    return (uint16_t)((scale & 128u) << 8 | (n + doubled) << 7);
}

static inline float quant_m_scale(uint8_t scale)
{
    return f16_to_f32(quant_m_half(scale)) * 0x1p-4f;
}

/* Scales of Q3_K: 16 of six bits, less 32. */
static inline void quant_q3_k_groups(const uint8_t groups[static 12], int8_t scales[static 16])
{
    for (size_t g = 0; g < 16; g++) {
        int low = (groups[g % 8] >> (4 * (g / 8))) & 15;
        int top = (groups[8 + g % 4] >> (2 * (g / 4))) & 3;
        scales[g] = (int8_t)((top << 4 | low) - 32);
    }
}

/* Scales and minimums of Q4_K and Q5_K: eight each, of six bits. */
static inline void quant_q4_k_groups(const uint8_t groups[static 12], uint8_t scales[static 8],
                                     uint8_t minimums[static 8])
{
    for (size_t g = 0; g < 4; g++) {
        scales[g] = groups[g] & 63;
        minimums[g] = groups[4 + g] & 63;
        scales[4 + g] = (uint8_t)((groups[g] >> 6) << 4 | (groups[8 + g] & 15));
        minimums[4 + g] = (uint8_t)((groups[4 + g] >> 6) << 4 | groups[8 + g] >> 4);
    }
}

/* The sign bits of eight values of IQ3_XXS from seven: an even number of them is set. */
static inline uint8_t quant_even_signs(uint32_t seven)
{
    seven &= 0x7f;
    return (uint8_t)(seven | (uint32_t)__builtin_parity(seven) << 7);
}

#endif
