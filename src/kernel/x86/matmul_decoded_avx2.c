/* The matrix product over decoded rows with AVX2 and FMA: eight floats at a time. */
#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT  8
#define TILE_TOKENS 3 /* twelve sums, three tokens and a row fill the sixteen registers */
#include "kernel/generic/matmul_decoded.h"

const matmul_kernel matmul_decoded_avx2 = {
    .name = "avx2",
    .needs = CPU_AVX2 | CPU_F16C,
    .row_tile = ROWS,
    .scratch_bytes = decoded_scratch_bytes,
    .run = decoded_run,
};
