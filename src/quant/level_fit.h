/* Finding scales, minimums and levels: the search behind the encoders (encoder.h).
 *
 * A value x of weight w is stored as a level q, which stands for s·q, or for s·q − m. Two steps are easy and never make the
 * error Σ w (x − s·q + m)² larger: given s and m, the nearest level is best for each value; given the levels, s and m are a
 * linear least-squares problem of one or two unknowns. Alternating them (Lloyd 1957, published 1982) ends in a local
 * minimum, so it begins from many scales: from all that put the largest value on the outermost level or somewhat beyond.
 *
 * In a super-block the scale of group g is S·a with an integer a, its minimum M·b. Rounding the groups' own best scales to
 * multiples of S is the scalar problem again, with scales for values, and Σ w q² for weights. From there every group tries
 * the multiples around its best ones, with its levels chosen anew for each, and S and M follow from all groups by least
 * squares; in turns, as long as the error falls.
 *
 * Half-precision scales are rounded before the last choice of levels, which so makes up for it. */
#ifndef MOTE_QUANT_LEVEL_FIT_H
#define MOTE_QUANT_LEVEL_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LEVEL_FIT_MOST = 256, LEVEL_FIT_GROUPS = 16 };

/* The levels a value may have: whole numbers, or the sixteen of a table in ascending order. */
typedef struct level_set {
    const int8_t *table; /* NULL: lowest, lowest + 1 … highest */
    int8_t lowest;
    int8_t highest;
} level_set;

/* How a format's super-block (or its only group) is cut. */
typedef struct level_shape {
    level_set levels;
    uint16_t count;      /* values, at most LEVEL_FIT_MOST */
    uint16_t group;      /* values of a group: a multiple of 4 */
    int16_t lowest_part; /* of a group's integer scale; lowest = highest = 1: the one group has none */
    int16_t highest_part;
    bool offset; /* value = s·q − m, both parts from 0; a minimum without a part has either sign */
} level_shape;

typedef struct level_fit {
    uint16_t scale;   /* f16 */
    uint16_t minimum; /* f16, to be subtracted */
    int16_t scales[LEVEL_FIT_GROUPS];
    int16_t minimums[LEVEL_FIT_GROUPS];
    int8_t levels[LEVEL_FIT_MOST];
} level_fit;

/* Writes one block of a format. */
typedef void level_packer(const level_fit *fit, void *block);

/* An encoder (encoder.h): fits and packs every block of `shape.count` values. */
void level_fit_blocks(const level_shape *shape, level_packer *pack, size_t block_bytes, const float *values,
                      const float *importance, void *blocks, size_t count);

#endif
