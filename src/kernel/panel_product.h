/* What the products of packed weights share, whatever computes their tiles: the order in which panels and tokens meet,
 * and the way of finished sums into y. */
#ifndef MOTE_KERNEL_PANEL_PRODUCT_H
#define MOTE_KERNEL_PANEL_PRODUCT_H

#include "kernel/int8_tokens.h"
#include "kernel/kernels.h"
#include "quant/panels.h"

/* One panel times one tile of tokens: sums[t · stride + r], of which the tile's tokens are set, or added to where `add`. `x`
 * is the tile's first block (int8_tokens.h). One function for each number of tokens; all build a token's sums the same
 * way, so that no result depends on how many tokens were computed together. */
typedef void panel_tile(const uint8_t *panel, size_t columns, const uint8_t *x, float *sums, size_t stride, bool add);

/* Rows [begin, end) of the job, `begin` a multiple of PANEL_ROWS; tiles[n − 1] serves n tokens. `direct`: tiles may write
 * into y; else they know but a stride of PANEL_ROWS, and do not add. */
void panel_product(const matmul_job *job, size_t begin, size_t end, panel_tile *const tiles[TOKEN_TILE], bool direct);

/* Finished sums[tokens][PANEL_ROWS] of rows [row, row + count) into y, with bias and what was there if the job says so. */
void panel_write(const matmul_job *job, size_t token, size_t tokens, size_t row, size_t count, const float *sums);

/* Instruction sets define their tiles by these: PANEL_TILES(q4_0, direct) names the functions q4_0_1 … q4_0_8, which call
 * q4_0(panel, columns, x, sums, tokens, stride, add) with a number of tokens that the compiler knows, and the kernel's
 * `run`. */
#define PANEL_TILE(name, count)                                                                                        \
    static void name##_##count(const uint8_t *panel, size_t columns, const uint8_t *x, float *sums, size_t stride,     \
                               bool add)                                                                               \
    {                                                                                                                  \
        name(panel, columns, x, sums, count, stride, add);                                                             \
    }
#define PANEL_TILES(name, direct)                                                                                      \
    PANEL_TILE(name, 1)                                                                                                \
    PANEL_TILE(name, 2)                                                                                                \
    PANEL_TILE(name, 3)                                                                                                \
    PANEL_TILE(name, 4)                                                                                                \
    PANEL_TILE(name, 5)                                                                                                \
    PANEL_TILE(name, 6)                                                                                                \
    PANEL_TILE(name, 7)                                                                                                \
    PANEL_TILE(name, 8)                                                                                                \
    static void name##_run(const matmul_job *job, size_t begin, size_t end, void *scratch)                             \
    {                                                                                                                  \
        static panel_tile *const tiles[TOKEN_TILE] = {name##_1, name##_2, name##_3, name##_4,                          \
                                                      name##_5, name##_6, name##_7, name##_8};                         \
        (void)scratch;                                                                                                 \
        panel_product(job, begin, end, tiles, direct);                                                                 \
    }

/* For matmul_kernel.scratch_bytes: a tile needs none. */
size_t panel_scratch_bytes(size_t columns);

#endif
