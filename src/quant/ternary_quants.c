/* Ternary formats, for models trained with weights of −1, 0 and 1 times a scale (BitNet b1.58, arXiv:2402.17764).
 * */
#include "quant/formats.h"

#include "base/bytes.h"
#include "quant/blocks.h"

/* Digit n of `width` bytes, `digits` of them; see blocks.h. Returns where the next values go. */
static inline float *decode_digits(const uint8_t *restrict bytes, size_t width, size_t digits, float scale,
                                   float *restrict values)
{
    unsigned power = 1; /* 3^n; the whole part of byte · 3^n / 256 is dropped by the 8-bit cut */
    for (size_t n = 0; n < digits; n++, power *= 3, values += width)
        for (size_t i = 0; i < width; i++) {
            uint8_t fraction = (uint8_t)(bytes[i] * power);
            values[i] = scale * (float)((fraction * 3 >> 8) - 1);
        }
    return values;
}

static void decode_tq1_0(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_tq1_0 *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        values = decode_digits(block->fives, 32, 5, scale, values);
        values = decode_digits(block->fives + 32, 16, 5, scale, values);
        values = decode_digits(block->fours, 4, 4, scale, values);
    }
}

static void decode_tq2_0(const void *restrict blocks, float *restrict values, size_t count)
{
    const block_tq2_0 *block = blocks;
    for (; count >= QUANT_SUPER; count -= QUANT_SUPER, block++) {
        float scale = f16_to_f32(load_u16(block->scale));
        for (size_t g = 0; g < 8; g++, values += 32) {
            const uint8_t *levels = block->levels + g / 4 * 32;
            unsigned shift = (unsigned)(g % 4 * 2);
            for (size_t i = 0; i < 32; i++)
                values[i] = scale * (float)(((levels[i] >> shift) & 3) - 1);
        }
    }
}

const quant_format quant_format_TQ1_0 = {"TQ1_0", QUANT_TQ1_0, QUANT_SUPER, sizeof(block_tq1_0), decode_tq1_0};
const quant_format quant_format_TQ2_0 = {"TQ2_0", QUANT_TQ2_0, QUANT_SUPER, sizeof(block_tq2_0), decode_tq2_0};
