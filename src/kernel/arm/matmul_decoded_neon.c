/* The matrix product with tokens in float on 64-bit Arm: four floats at a time. */
#include <arm_neon.h>

#include "base/cpu_features.h"
#include "kernel/arm/arm_kernels.h"

#define LANE_COUNT          4
#define TILE_TOKENS         6 /* twenty-four sums, six tokens and a row, of thirty-two registers */
#define lanes_from_f16(at)  ((lanes)vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at))))
#define lanes_from_bf16(at) ((lanes)vshll_n_u16(vreinterpret_u16_u8(vld1_u8(at)), 16))
#include "kernel/generic/matmul_decoded.h"

const matmul_kernel matmul_decoded_neon = {
    .name = "neon",
    .needs = CPU_NEON,
    .scratch_bytes = decoded_scratch_bytes,
    .run = decoded_run,
};

#define ENTRY(function)                                                                                                \
    {                                                                                                                  \
        .name = "neon", .needs = CPU_NEON, .scratch_bytes = no_scratch_bytes, .run = function                          \
    }

const matmul_kernel matmul_float_neon[KERNEL_FORMATS] = {
    [QUANT_F32] = ENTRY(f32_run),
    [QUANT_F16] = ENTRY(f16_run),
    [QUANT_BF16] = ENTRY(bf16_run),
};
