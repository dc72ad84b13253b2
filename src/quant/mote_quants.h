/* Encoders of mote's own formats (blocks.h): a search for each block's best scale. */
#ifndef MOTE_QUANT_MOTE_QUANTS_H
#define MOTE_QUANT_MOTE_QUANTS_H

#include <stddef.h>
#include <stdint.h>

/* `count` is a multiple of 32; importance[count]: how much the square of an error at each value counts, NULL: all alike.
 * Values that are no finite numbers are taken as 0 and do not count, and importances that are not above 0 or not finite as
 * 0; where none counts, all count alike. Sizes end at 222. The same blocks on every machine. */
void quant_encode_m4(const float *values, const float *importance, void *blocks, size_t count);
void quant_encode_m3(const float *values, const float *importance, void *blocks, size_t count);

/* The largest scale that is not above this one, which is no NaN and not negative: 0 … 127, to be read by quant_m_scale. */
uint8_t quant_m_scale_below(float scale);

#endif
