/* Encoders of the formats whose levels come from a table of sixteen. */
#include "quant/encoder.h"

#include "base/bytes.h"
#include "quant/blocks.h"
#include "quant/level_fit.h"

#define IQ4_LEVELS                                                                                                     \
    {                                                                                                                  \
        quant_iq4_levels, -127, 113                                                                                    \
    }

static const level_shape iq4_nl = {IQ4_LEVELS, QUANT_BLOCK, QUANT_BLOCK, 1, 1, false};
static const level_shape iq4_xs = {IQ4_LEVELS, QUANT_SUPER, 32, -32, 31, false};

static unsigned place_of(int8_t level)
{
    unsigned place = 0;
    while (place < 15 && quant_iq4_levels[place] < level)
        place++;
    return place;
}

static void pack_nibbles(const int8_t levels[32], uint8_t nibbles[16])
{
    for (size_t i = 0; i < 16; i++)
        nibbles[i] = (uint8_t)(place_of(levels[i]) | place_of(levels[i + 16]) << 4);
}

static void pack_iq4_nl(const level_fit *fit, void *at)
{
    block_iq4_nl *block = at;
    store_u16(block->scale, fit->scale);
    pack_nibbles(fit->levels, block->levels);
}

static void pack_iq4_xs(const level_fit *fit, void *at)
{
    block_iq4_xs *block = at;
    unsigned high = 0;
    store_u16(block->scale, fit->scale);
    memset(block->groups_low, 0, sizeof block->groups_low);
    for (size_t g = 0; g < 8; g++) {
        unsigned scale = (unsigned)(fit->scales[g] + 32);
        high |= (scale >> 4) << 2 * g;
        block->groups_low[g / 2] |= (uint8_t)((scale & 15) << g % 2 * 4);
        pack_nibbles(fit->levels + 32 * g, block->levels + 16 * g);
    }
    store_u16(block->groups_high, (uint16_t)high);
}

void quant_encode_iq4_nl(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&iq4_nl, pack_iq4_nl, sizeof(block_iq4_nl), values, importance, blocks, count);
}

void quant_encode_iq4_xs(const float *values, const float *importance, void *blocks, size_t count)
{
    level_fit_blocks(&iq4_xs, pack_iq4_xs, sizeof(block_iq4_xs), values, importance, blocks, count);
}
