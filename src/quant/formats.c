/* The table of weight formats, and the names of those mote only knows by name. */
#include "quant/formats.h"

/* Types of GGUF files that mote does not decode; an error that names one is worth more than one that shows a number.
 * Numbers 4, 5, 31 … 33 and 36 … 38 were withdrawn from the format and live on in old files. */
/* clang-format off */
#define OTHER_TYPE_LIST(X)  \
    X(Q4_2,        4)       \
    X(Q4_3,        5)       \
    X(Q8_1,        9)       \
    X(Q8_K,       15)       \
    X(IQ2_XXS,    16)       \
    X(IQ2_XS,     17)       \
    X(IQ1_S,      19)       \
    X(IQ2_S,      22)       \
    X(I8,         24)       \
    X(I16,        25)       \
    X(I32,        26)       \
    X(I64,        27)       \
    X(F64,        28)       \
    X(IQ1_M,      29)       \
    X(Q4_0_4_4,   31)       \
    X(Q4_0_4_8,   32)       \
    X(Q4_0_8_8,   33)       \
    X(IQ4_NL_4_4, 36)       \
    X(IQ4_NL_4_8, 37)       \
    X(IQ4_NL_8_8, 38)       \
    X(NVFP4,      40)       \
    X(Q1_0,       41)
/* clang-format on */

static const quant_format *const formats[] = {
#define ADDRESS_OF(name, id) &quant_format_##name,
    QUANT_TYPE_LIST(ADDRESS_OF)
#undef ADDRESS_OF
};

size_t quant_count(void)
{
    return sizeof formats / sizeof *formats;
}

const quant_format *quant_at(size_t index)
{
    return index < quant_count() ? formats[index] : NULL;
}

const quant_format *quant_find(uint32_t gguf_type)
{
    switch (gguf_type) {
#define FORMAT_OF(name, id)                                                                                            \
    case id: return &quant_format_##name;
        QUANT_TYPE_LIST(FORMAT_OF)
#undef FORMAT_OF
    default: return NULL;
    }
}

const char *quant_type_name(uint32_t gguf_type)
{
    switch (gguf_type) {
#define NAME_OF(name, id)                                                                                              \
    case id: return #name;
        QUANT_TYPE_LIST(NAME_OF)
        OTHER_TYPE_LIST(NAME_OF)
#undef NAME_OF
    default: return NULL;
    }
}
