/* Packed weights times tokens, up to four of them at a time: 16 rows × 4 tokens are sixteen registers of sums.
 *
 * Few tokens are multiplied straight from the panel. For many, a piece of a panel is first opened, into levels of int8 and
 * scales in float, and then multiplied with every token of a chunk; between pieces a token's sums wait in memory as the
 * floats they are. So they come out the same either way. */
#ifndef MOTE_KERNEL_ARM_PANEL_PRODUCT_ARM_H
#define MOTE_KERNEL_ARM_PANEL_PRODUCT_ARM_H

#include "kernel/panel_product.h"

enum {
    ARM_TOKENS = 4,          /* multiplied together */
    OPENED_BLOCKS = 32,      /* of a piece; a multiple of what shares a header */
    OPENED_BLOCK_BYTES = 896 /* at most: 512 levels, three numbers for each row, which smmla wants twice */
};

/* Sets sums[n][PANEL_ROWS] to the products of a panel of `count` blocks with a tile of n tokens; n is the function's own. */
typedef void arm_straight(const uint8_t *panel, size_t count, const uint8_t *x, float *sums);

/* Products of `count` opened blocks with tokens [first, first + n) of a tile of `width` tokens (`x`: its first of these
 * blocks), added to sums[n][PANEL_ROWS], or, if these blocks begin their panel, put there. */
typedef void arm_opened(const uint8_t *opened, size_t count, const uint8_t *x, size_t width, size_t first, bool begins,
                        float *sums);

typedef struct arm_format {
    size_t open_from;                   /* tokens: at most ARM_TOKENS + 1 */
    arm_straight *straight[ARM_TOKENS]; /* [n − 1]: n tokens */
    /* Opens `count` blocks from `panel` on, where a header stands if the format has any. */
    void (*open)(const uint8_t *panel, size_t count, uint8_t *opened);
    arm_opened *opened[ARM_TOKENS];
} arm_format;

/* Rows [begin, end) of the job, `begin` a multiple of PANEL_ROWS. */
void panel_product_arm(const matmul_job *job, size_t begin, size_t end, const arm_format *format);

#endif
