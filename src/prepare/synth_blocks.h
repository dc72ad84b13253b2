/* Random weights, drawn in their packed format: no float is ever made for them, so that a file costs little more than
 * writing it. */
#ifndef MOTE_PREPARE_SYNTH_BLOCKS_H
#define MOTE_PREPARE_SYNTH_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quant/formats.h"

/* Can weights be drawn in this format? */
bool synth_blocks_can(const quant_format *format);

/* The deviation of values whose blocks have scales around 2⁻⁸. */
double synth_blocks_deviation(const quant_format *format);

/* Fills `blocks` with `count` blocks: uniform levels under scales of [0.7, 1.4) × `unit`, their mean about zero. For a
 * deviation d, `unit` is d × 2⁻⁸ ÷ synth_blocks_deviation(format); formats of one value to a block are about normal with
 * deviation `unit`. The same seed gives the same bytes. */
void synth_blocks_fill(const quant_format *format, uint64_t seed, double unit, void *blocks, size_t count);

/* One draw of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). */
static inline uint64_t synth_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* About normal with deviation 1: four uniform numbers of 16 bits have variance 4 ÷ 12. */
static inline float synth_normal(uint64_t *state)
{
    uint64_t bits = synth_bits(state);
    int sum = (int)(bits & 0xffff) + (int)(bits >> 16 & 0xffff) + (int)(bits >> 32 & 0xffff) + (int)(bits >> 48);
    return (float)(sum - 2 * 0xffff) * (1.7320508f / 65536);
}

#endif
