/* What the processor at hand can do, asked at run time: one binary serves every machine of an architecture. */
#ifndef MOTE_BASE_CPU_FEATURES_H
#define MOTE_BASE_CPU_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* In ascending order within an architecture: a processor with one of them usually has those before it. */
/* clang-format off */
#define CPU_FEATURE_LIST(X)                                                     \
    X(F16C, "f16c")             /* x86-64: binary16 conversion */               \
    X(AVX2, "avx2")             /* 256-bit integers, with FMA */                \
    X(AVX_VNNI, "avx-vnni")     /* u8 × s8 dot products in 256 bits */          \
    X(AVX512, "avx512")         /* F, BW, DQ and VL together */                 \
    X(AVX512_VNNI, "avx512-vnni")                                               \
    X(AVX512_BF16, "avx512-bf16")                                               \
    X(NEON, "neon")             /* Arm: 128-bit vectors */                      \
    X(FP16, "fp16")             /* binary16 arithmetic */                       \
    X(DOTPROD, "dotprod")       /* s8 × s8 dot products */                      \
    X(I8MM, "i8mm")             /* s8 matrix products */                        \
    X(BF16, "bf16")                                                             \
    X(RVV, "rvv")               /* RISC-V V 1.0 */
/* clang-format on */

enum cpu_feature_index {
#define CPU_FEATURE_INDEX(name, text) CPU_INDEX_##name,
    CPU_FEATURE_LIST(CPU_FEATURE_INDEX)
#undef CPU_FEATURE_INDEX
        CPU_FEATURE_COUNT
};

enum cpu_feature {
#define CPU_FEATURE_FLAG(name, text) CPU_##name = 1 << CPU_INDEX_##name,
    CPU_FEATURE_LIST(CPU_FEATURE_FLAG)
#undef CPU_FEATURE_FLAG
};

/* The CPU_… flags of this processor that the system lets us use. */
uint32_t cpu_features(void);

/* Name of one flag by its index. */
const char *cpu_feature_name(unsigned index);

const char *cpu_architecture(void);

/* Processors that can run threads of this process at once (processors.h), at least 1. */
uint32_t cpu_count(void);

/* Those of cpu_features() that `wanted` allows: NULL or "" allows all, "generic" none, the name of one feature that and
 * all before it in the list, several names with commas between them exactly those. Errors: ARGUMENT (a name that this
 * architecture does not have; the sentence lists the ones it has). */
mote_status cpu_features_choose(uint32_t *features, const char *wanted, mote_error *error);

/* The names in `set`, those of this architecture alone, each followed by a space but for the last. Cut at `capacity`. */
void cpu_feature_names(uint32_t set, char *text, size_t capacity);

#endif
