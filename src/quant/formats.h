/* The weight formats mote decodes: one entry each, found by the type number a GGUF file stores.
 *
 * A format packs `block` values into `bytes` bytes (blocks.h draws every one); a row of weights is a whole number of
 * blocks. The decode here is the reference: it says what a format means, the faster kernels are tested against it, and
 * the generic kernels run on it. All tables are constant, every function may be called from any thread.
 *
 * A decoded value is scale × level, or that plus a minimum. The product is exact in binary32, whose significand has 24
 * bits: a half has 11 and a group's scale and the level together at most 12. So only the sum is rounded, and neither the
 * order of the factors nor a fused multiply-add changes a bit of the result. */
#ifndef MOTE_QUANT_FORMATS_H
#define MOTE_QUANT_FORMATS_H

#include <stddef.h>
#include <stdint.h>

/* Name and GGUF type number of every format mote decodes. The last two are our own (blocks.h): their numbers, which spell
 * their names, are far above those that GGUF gives away one by one, and other programs refuse them as unknown. */
/* clang-format off */
#define QUANT_TYPE_LIST(X)  \
    X(F32,      0)          \
    X(F16,      1)          \
    X(Q4_0,     2)          \
    X(Q4_1,     3)          \
    X(Q5_0,     6)          \
    X(Q5_1,     7)          \
    X(Q8_0,     8)          \
    X(Q2_K,    10)          \
    X(Q3_K,    11)          \
    X(Q4_K,    12)          \
    X(Q5_K,    13)          \
    X(Q6_K,    14)          \
    X(IQ3_XXS, 18)          \
    X(IQ4_NL,  20)          \
    X(IQ3_S,   21)          \
    X(IQ4_XS,  23)          \
    X(BF16,    30)          \
    X(TQ1_0,   34)          \
    X(TQ2_0,   35)          \
    X(MXFP4,   39)          \
    X(M3,  0x4d33)          \
    X(M4,  0x4d34)
/* clang-format on */

typedef enum quant_type {
#define QUANT_TYPE_MEMBER(name, id) QUANT_##name = id,
    QUANT_TYPE_LIST(QUANT_TYPE_MEMBER)
#undef QUANT_TYPE_MEMBER
} quant_type;

typedef struct quant_format {
    const char *name; /* "Q4_K" */
    quant_type type;
    uint32_t block; /* values in a block */
    uint32_t bytes; /* bytes of a block */

    /* `count` is a multiple of `block`. `blocks` may lie at any address and hold any bytes: every bit pattern decodes to
     * something, if only to infinities and NaN where a scale is one. The two areas must not overlap. */
    void (*decode)(const void *blocks, float *values, size_t count);
} quant_format;

#define QUANT_FORMAT_DECLARATION(name, id) extern const quant_format quant_format_##name;
QUANT_TYPE_LIST(QUANT_FORMAT_DECLARATION)
#undef QUANT_FORMAT_DECLARATION

/* The format of a GGUF type number; NULL if it is none that mote decodes. */
const quant_format *quant_find(uint32_t gguf_type);

/* The name of a GGUF type number, also of types mote does not decode ("IQ2_XXS", "I8"), for error messages; NULL for a
 * number without a meaning. */
const char *quant_type_name(uint32_t gguf_type);

/* All formats, in the order of their type numbers: 0 ≤ index < quant_count(); NULL beyond. */
size_t quant_count(void);
const quant_format *quant_at(size_t index);

#endif
