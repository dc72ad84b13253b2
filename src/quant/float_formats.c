/* The formats that are plain numbers: binary32, binary16 and bf16, one value to a block. */
#include "quant/formats.h"

#include "base/bytes.h"

static void decode_f32(const void *blocks, float *values, size_t count)
{
    if (count > 0)
        memcpy(values, blocks, count * sizeof *values);
}

static void decode_f16(const void *restrict blocks, float *restrict values, size_t count)
{
    const uint8_t *halves = blocks;
    for (size_t i = 0; i < count; i++)
        values[i] = f16_to_f32(load_u16(halves + 2 * i));
}

static void decode_bf16(const void *restrict blocks, float *restrict values, size_t count)
{
    const uint8_t *halves = blocks;
    for (size_t i = 0; i < count; i++)
        values[i] = bf16_to_f32(load_u16(halves + 2 * i));
}

const quant_format quant_format_F32 = {"F32", QUANT_F32, 1, 4, decode_f32};
const quant_format quant_format_F16 = {"F16", QUANT_F16, 1, 2, decode_f16};
const quant_format quant_format_BF16 = {"BF16", QUANT_BF16, 1, 2, decode_bf16};
