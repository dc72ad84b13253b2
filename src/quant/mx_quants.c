/* MXFP4: four-bit floats under a shared power of two (OCP Microscaling Formats Specification 1.0). */
#include "quant/formats.h"

#include "base/bytes.h"
#include "quant/blocks.h"

const int8_t quant_e2m1_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* 2^(e − 128), half the scale since the levels are doubled: the exponent of a binary32, and below it, for 0 and 1, a
 * subnormal one. The specification calls 255 NaN; ggml, and so mote, reads it as one more power of two. */
static float half_scale(uint8_t e)
{
    return f32_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

static void decode_mxfp4(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_mxfp4 *block = blocks;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, block++, values += QUANT_BLOCK) {
        float scale = half_scale(block->scale);
        float scaled[16];
        for (size_t i = 0; i < 16; i++)
            scaled[i] = scale * (float)quant_e2m1_doubled[i];
        for (size_t i = 0; i < 16; i++) {
            values[i] = scaled[block->levels[i] & 15];
            values[i + 16] = scaled[block->levels[i] >> 4];
        }
    }
}

const quant_format quant_format_MXFP4 = {"MXFP4", QUANT_MXFP4, QUANT_BLOCK, sizeof(block_mxfp4), decode_mxfp4};
