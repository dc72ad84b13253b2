/* Blocks of random bits, in which only the scales are put right. */
#include "prepare/synth_blocks.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "quant/blocks.h"
#include "quant/encoder.h"
#include "quant/mote_quants.h"

/* Where a format keeps its scale (half precision but in our own formats) and half-precision minimum, and the minimum (in scales) that centres uniform levels. */
typedef struct block_layout {
    quant_type type;
    size_t scale;
    size_t minimum; /* 0: none; no format begins with one */
    float centre;
    size_t groups; /* of the Q4_K kind, where minimums of groups are to be as their scales; 0: none */
} block_layout;

static const block_layout layouts[] = {
    {QUANT_Q8_0, offsetof(block_q8_0, scale), 0, 0, 0},
    {QUANT_Q4_0, offsetof(block_q4_0, scale), 0, 0, 0},
    {QUANT_Q4_1, offsetof(block_q4_1, scale), offsetof(block_q4_1, minimum), -7.5f, 0},
    {QUANT_Q5_0, offsetof(block_q5_0, scale), 0, 0, 0},
    {QUANT_Q5_1, offsetof(block_q5_1, scale), offsetof(block_q5_1, minimum), -15.5f, 0},
    {QUANT_Q4_K, offsetof(block_q4_k, scale), offsetof(block_q4_k, minimum), 7.5f, offsetof(block_q4_k, groups)},
    {QUANT_Q5_K, offsetof(block_q5_k, scale), offsetof(block_q5_k, minimum), 15.5f, offsetof(block_q5_k, groups)},
    {QUANT_Q6_K, offsetof(block_q6_k, scale), 0, 0, 0},
    {QUANT_IQ4_NL, offsetof(block_iq4_nl, scale), 0, 0, 0},
    {QUANT_IQ4_XS, offsetof(block_iq4_xs, scale), 0, 0, 0},
    {QUANT_M4, offsetof(block_m4, scale), 0, 0, 0},
    {QUANT_M3, offsetof(block_m3, scale), 0, 0, 0},
};

static const block_layout *layout_of(quant_type type)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].type == type)
            return &layouts[i];
    return NULL;
}

bool synth_blocks_can(const quant_format *format)
{
    return format->block == 1 || layout_of(format->type) != NULL;
}

static void fill_floats(const quant_format *format, uint64_t state, double unit, unsigned char *at, size_t count)
{
    for (size_t i = 0; i < count; i++, at += format->bytes) {
        float value = (float)unit * synth_normal(&state);
        quant_encoder_of(format->type)(&value, NULL, at, 1);
    }
}

static void fill_bits(uint64_t *state, unsigned char *at, size_t bytes)
{
    for (; bytes > 0;) {
        uint64_t bits = synth_bits(state);
        size_t now = bytes < sizeof bits ? bytes : sizeof bits;
        memcpy(at, &bits, now);
        at += now;
        bytes -= now;
    }
}

/* The random bits that lie where the scale goes choose it. */
static void put_scale(const block_layout *layout, float unit, unsigned char *block)
{
    float scale = unit * (0.7f + 0.7f * (float)load_u16(block + layout->scale) / 65536);
    if (layout->type == QUANT_M4 || layout->type == QUANT_M3) {
        block[layout->scale] = quant_m_scale_below(scale);
        return;
    }
    store_u16(block + layout->scale, f16_from_f32(scale));
    if (layout->minimum != 0)
        store_u16(block + layout->minimum, f16_from_f32(scale * layout->centre));
    if (layout->groups != 0) {
        unsigned char *groups = block + layout->groups;
        memcpy(groups + 4, groups, 4);
        for (size_t g = 8; g < 12; g++)
            groups[g] = (unsigned char)((groups[g] & 15) * 17);
    }
}

void synth_blocks_fill(const quant_format *format, uint64_t seed, double unit, void *blocks, size_t count)
{
    unsigned char *at = blocks;
    if (format->block == 1) {
        fill_floats(format, seed, unit, at, count);
        return;
    }
    const block_layout *layout = layout_of(format->type);
    fill_bits(&seed, at, count * format->bytes);
    for (size_t b = 0; b < count; b++, at += format->bytes)
        put_scale(layout, (float)unit, at);
}

double synth_blocks_deviation(const quant_format *format)
{
    enum { BLOCKS = 64 };
    unsigned char blocks[BLOCKS * sizeof(block_q6_k)];
    float values[QUANT_SUPER];
    double sum = 0;
    if (format->block == 1)
        return 0x1p-8;
    synth_blocks_fill(format, 1, 0x1p-8, blocks, BLOCKS);
    for (size_t b = 0; b < BLOCKS; b++) {
        format->decode(blocks + b * format->bytes, values, format->block);
        for (size_t i = 0; i < format->block; i++)
            sum += (double)values[i] * (double)values[i];
    }
    return sqrt(sum / ((double)BLOCKS * format->block));
}
