/* The exponential function on lanes, for the softmax and the gated activations.
 *
 * exp(x) = 2ⁿ · exp(r) with n = round(x ÷ ln 2), |r| ≤ ln 2 ÷ 2, and a polynomial for exp(r) whose coefficients were fitted
 * to the least largest relative error, 3.1·10⁻⁹. With the rounding of its evaluation the result is within 1.5·10⁻⁷ of
 * itself (tests/unit/test_attention.c). */
#ifndef MOTE_KERNEL_GENERIC_EXP_LANES_H
#define MOTE_KERNEL_GENERIC_EXP_LANES_H

#include <stdint.h>

#include "kernel/generic/vector_lanes.h"

typedef int32_t lane_bits __attribute__((vector_size(LANE_COUNT * sizeof(int32_t))));

/* mask ? a : b, for a mask that a comparison made. */
static inline lanes lanes_select(lane_bits mask, lanes a, lanes b)
{
    return (lanes)((mask & (lane_bits)a) | (~mask & (lane_bits)b));
}

static inline lanes lanes_splat(float value)
{
    return value - (lanes){0};
}

/* Below LANES_EXP_LEAST the result is 0, above LANES_EXP_MOST it is that of LANES_EXP_MOST. NaN stays NaN. */
#define LANES_EXP_LEAST (-87.0f)
#define LANES_EXP_MOST  88.0f

static inline lanes lanes_exp(lanes x)
{
    const float round = 0x1.8p23f; /* adding it leaves the integer nearest to x in the lowest bits */
    lane_bits under = x < LANES_EXP_LEAST;
    x = lanes_select(x > LANES_EXP_MOST, lanes_splat(LANES_EXP_MOST), x);
    lanes shifted = x * 0x1.715476p+0f + round, n = shifted - round;
    lanes r = x - n * 0x1.63p-1f; /* ln 2 in two parts, the first of which n multiplies exactly */
    r = r + n * 0x1.bd0106p-13f;
    lanes q = r * 0x1.6a23cep-10f + 0x1.123a2p-7f;
    q = q * r + 0x1.5558f2p-5f;
    q = q * r + 0x1.555492p-3f;
    q = q * r + 0x1.fffffcp-2f;
    lanes e = r * r * q + r + 1;
    lanes power = (lanes)(((lane_bits)shifted << 23) + 0x3f800000);
    return (lanes)((lane_bits)(e * power) & ~under);
}

#endif
