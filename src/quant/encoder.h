/* Encoders: from float32 to the blocks of a format, with as little weighted squared error as a search finds.
 *
 * What is made little is the sum of importance × (value − decoded value)². An encoder chooses scales, minimums and levels
 * for that and nothing else; the same values give the same bytes on every machine and in any thread.
 *
 * Values that are no finite numbers are taken as 0 and do not count, and importances below 0 or not finite as 0; where
 * none counts, all count alike. The float formats keep every value as it is, or round it to nearest even. */
#ifndef MOTE_QUANT_ENCODER_H
#define MOTE_QUANT_ENCODER_H

#include "quant/formats.h"

/* One row or more of whole blocks: `count` is a multiple of the format's block. importance[count]: how much the square of
 * an error at each value counts; NULL: all alike. `blocks` may lie at any address. */
typedef void (*quant_encoder)(const float *values, const float *importance, void *blocks, size_t count);

/* NULL: values cannot be encoded in this format. */
quant_encoder quant_encoder_of(quant_type type);

#endif
