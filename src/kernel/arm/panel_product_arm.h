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
    OPENED_BLOCKS = 16,      /* of a piece; a multiple of what shares a header */
    OPENED_BLOCK_BYTES = 768 /* at most: 512 levels, two floats for each row, which smmla wants twice */
};

/* Products of `blocks` blocks with tokens [first, first + n) of a tile of `width` tokens (`x`: its first of these blocks),
 * added to sums[n][PANEL_ROWS]; n is the function's own. */
typedef void arm_multiply(const uint8_t *blocks, size_t count, const uint8_t *x, size_t width, size_t first,
                          float *sums);

typedef struct arm_format {
    size_t open_from; /* tokens */
    /* Opens `count` blocks from `panel` on, where a header stands if the format has any. */
    void (*open)(const uint8_t *panel, size_t count, uint8_t *opened);
    arm_multiply *straight[ARM_TOKENS]; /* [n − 1]: n tokens; blocks of the panel */
    arm_multiply *opened[ARM_TOKENS];
} arm_format;

/* Rows [begin, end) of the job, `begin` a multiple of PANEL_ROWS. */
void panel_product_arm(const matmul_job *job, size_t begin, size_t end, const arm_format *format);

#endif
