/* The matrix product over decoded rows with AVX2 and FMA: eight floats at a time. */
#include <immintrin.h>

#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT         8
#define TILE_TOKENS        3 /* twelve sums, three tokens and a row fill the sixteen registers */
#define lanes_from_f16(at) _mm256_cvtph_ps(_mm_loadu_si128((const void *)(at)))
#define lanes_from_bf16(at)                                                                                            \
    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(at))), 16))
#include "kernel/generic/matmul_decoded.h"

const matmul_kernel matmul_decoded_avx2 = {
    .name = "avx2",
    .needs = CPU_AVX2 | CPU_F16C,
    .scratch_bytes = decoded_scratch_bytes,
    .run = decoded_run,
};

#define ENTRY(function)                                                                                                \
    {                                                                                                                  \
        .name = "avx2", .needs = CPU_AVX2 | CPU_F16C, .scratch_bytes = no_scratch_bytes, .run = function               \
    }

const matmul_kernel matmul_float_avx2[KERNEL_FORMATS] = {
    [QUANT_F32] = ENTRY(f32_run),
    [QUANT_F16] = ENTRY(f16_run),
    [QUANT_BF16] = ENTRY(bf16_run),
};
