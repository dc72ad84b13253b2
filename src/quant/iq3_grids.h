/* The codebooks of IQ3_XXS and IQ3_S: points of four magnitudes, one a byte, the first value in the lowest byte. */
#ifndef MOTE_QUANT_IQ3_GRIDS_H
#define MOTE_QUANT_IQ3_GRIDS_H

#include <stdint.h>

extern const uint32_t quant_iq3_xxs_grid[256]; /* magnitudes 4, 12, 20, …, 52 and 62 */
extern const uint32_t quant_iq3_s_grid[512];   /* magnitudes 1, 3, 5, …, 15 */

#endif
