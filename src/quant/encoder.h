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

/* Type and name in lower case of every format that has an encoder. */
/* clang-format off */
#define QUANT_ENCODER_LIST(X) \
    X(F32,    f32)      \
    X(F16,    f16)      \
    X(BF16,   bf16)     \
    X(Q4_0,   q4_0)     \
    X(Q4_1,   q4_1)     \
    X(Q5_0,   q5_0)     \
    X(Q5_1,   q5_1)     \
    X(Q8_0,   q8_0)     \
    X(Q2_K,   q2_k)     \
    X(Q3_K,   q3_k)     \
    X(Q4_K,   q4_k)     \
    X(Q5_K,   q5_k)     \
    X(Q6_K,   q6_k)     \
    X(IQ4_NL, iq4_nl)   \
    X(IQ4_XS, iq4_xs)   \
    X(M3,     m3)       \
    X(M4,     m4)
/* clang-format on */

#define QUANT_ENCODER_DECLARATION(type, name)                                                                          \
    void quant_encode_##name(const float *values, const float *importance, void *blocks, size_t count);
QUANT_ENCODER_LIST(QUANT_ENCODER_DECLARATION)
#undef QUANT_ENCODER_DECLARATION

/* NULL: values cannot be encoded in this format. */
quant_encoder quant_encoder_of(quant_type type);

#endif
