/* Which formats have an encoder. */
#include "quant/encoder.h"

/* clang-format off */
#define ENCODER_LIST(X) \
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
    X(IQ4_XS, iq4_xs)
/* clang-format on */

#define ENCODER_DECLARATION(type, name)                                                                                \
    void quant_encode_##name(const float *values, const float *importance, void *blocks, size_t count);
ENCODER_LIST(ENCODER_DECLARATION)
#undef ENCODER_DECLARATION

quant_encoder quant_encoder_of(quant_type type)
{
    switch (type) {
#define ENCODER_OF(type, name)                                                                                         \
    case QUANT_##type: return quant_encode_##name;
        ENCODER_LIST(ENCODER_OF)
#undef ENCODER_OF
    default: return NULL;
    }
}
