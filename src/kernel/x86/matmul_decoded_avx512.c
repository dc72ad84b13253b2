/* The matrix product over decoded rows with AVX-512: sixteen floats at a time. */
#include <immintrin.h>

#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT         16
#define TILE_TOKENS        6 /* twenty-four sums, a token and four rows, of thirty-two registers */
#define lanes_from_f16(at) _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(at)))
#define lanes_from_bf16(at)                                                                                            \
    _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(at))), 16))
#include "kernel/generic/matmul_decoded.h"

const matmul_kernel matmul_decoded_avx512 = {
    .name = "avx512",
    .needs = CPU_AVX2 | CPU_F16C | CPU_AVX512,
    .scratch_bytes = decoded_scratch_bytes,
    .run = decoded_run,
};

#define ENTRY(function)                                                                                                \
    {                                                                                                                  \
        .name = "avx512", .needs = CPU_AVX2 | CPU_F16C | CPU_AVX512, .scratch_bytes = no_scratch_bytes,                \
        .run = function                                                                                                \
    }

const matmul_kernel matmul_float_avx512[KERNEL_FORMATS] = {
    [QUANT_F32] = ENTRY(f32_run),
    [QUANT_F16] = ENTRY(f16_run),
    [QUANT_BF16] = ENTRY(bf16_run),
};
