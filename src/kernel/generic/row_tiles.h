/* Register tiles of attention: rows of a tile × vectors of the cache, whose sums stay in registers. The including file defines
 * ROOM (the sums that its registers have room for), and ROW_TILES and TILE_ROWS (the tiles of rows that get code of their own,
 * descending to 1, and the largest). */
#ifndef MOTE_KERNEL_GENERIC_ROW_TILES_H
#define MOTE_KERNEL_GENERIC_ROW_TILES_H

#include "base/sizes.h"

#define INLINE __attribute__((always_inline)) static inline

enum {
    WIDE = 4,      /* vectors beside each other where there are few rows … */
    NARROW = 2,    /* … and where there are many */
    FEW_ROWS = 4,  /* so few that memory, not their sums, sets the pace */
    RUN_BLOCKS = 4 /* blocks whose values all rows take in before the next ones are read */
};

/* Asks for what is read later, into the second-level cache: the first has too few places for lines that are on their way,
 * which halves the speed of a cache in memory. */
INLINE void fetch_later(const unsigned char *at)
{
    __builtin_prefetch(at, 0, 2);
}

/* Tiles of rows that have code of their own: the largest that fits. */
static inline size_t row_tile(size_t left)
{
#define ROW_TILE_SIZE(rows) rows,
    static const unsigned char sizes[] = {ROW_TILES(ROW_TILE_SIZE)};
#undef ROW_TILE_SIZE
    size_t i = 0;
    while (sizes[i] > left)
        i++;
    return sizes[i];
}

/* One case of a switch over tiles of rows, in a function that returns how many of the `left` vectors it took: PRODUCT is
 * called with constants. */
#define TILE_VECTORS(rows) (WIDE * (rows) <= ROOM ? WIDE : NARROW)
#define ROW_TILE_CASE(rows)                                                                                            \
    case rows:                                                                                                         \
        if (left >= TILE_VECTORS(rows)) {                                                                              \
            PRODUCT(rows, TILE_VECTORS(rows));                                                                         \
            return TILE_VECTORS(rows);                                                                                 \
        }                                                                                                              \
        PRODUCT(rows, 1);                                                                                              \
        return 1;

#endif
