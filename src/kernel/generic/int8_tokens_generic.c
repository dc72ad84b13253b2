/* Tokens to int8 in plain C. */
#include <math.h>

#include "kernel/generic/generic_kernels.h"

static void store_block(const float *values, uint8_t *block, size_t width, size_t index)
{
    float largest = 0;
    bool finite = true;
    for (size_t i = 0; i < INT8_BLOCK; i++) {
        float size = fabsf(values[i]);
        finite = finite && size <= 0x1.fffffep+127f;
        largest = size > largest ? size : largest;
    }
    float factor = finite ? int8_factor(largest) : 0, scale = finite ? int8_scale(largest) : NAN;
    int32_t sums[2] = {0};
    int8_t *levels = (int8_t *)block + INT8_BLOCK * index;
    for (size_t i = 0; i < INT8_BLOCK; i++) {
        levels[i] = finite ? (int8_t)rintf(values[i] * factor) : 0;
        sums[i / 16] += levels[i];
    }
    int8_put_sums(block, width, index, scale, sums[0] + sums[1], sums[0]);
}

void int8_tokens_store_generic(const float *values, size_t columns, void *tile, size_t width, size_t index)
{
    uint8_t *block = tile;
    for (size_t b = 0; b < columns / INT8_BLOCK; b++, block += INT8_BLOCK_BYTES * width)
        store_block(values + b * INT8_BLOCK, block, width, index);
}
