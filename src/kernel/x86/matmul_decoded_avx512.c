/* The matrix product over decoded rows with AVX-512: sixteen floats at a time. */
#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT  16
#define TILE_TOKENS 6 /* twenty-four sums, a token and four rows, of thirty-two registers */
#include "kernel/generic/matmul_decoded.h"

const matmul_kernel matmul_decoded_avx512 = {
    .name = "avx512",
    .needs = CPU_AVX2 | CPU_F16C | CPU_AVX512,
    .row_tile = ROWS,
    .scratch_bytes = decoded_scratch_bytes,
    .run = decoded_run,
};
