/* Which formats have an encoder. */
#include "quant/encoder.h"

quant_encoder quant_encoder_of(quant_type type)
{
    switch (type) {
#define ENCODER_OF(type, name)                                                                                         \
    case QUANT_##type: return quant_encode_##name;
        QUANT_ENCODER_LIST(ENCODER_OF)
#undef ENCODER_OF
    default: return NULL;
    }
}
