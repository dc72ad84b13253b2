/* The matrix product on any machine: four floats at a time are a register nearly everywhere. */
#include "kernel/generic/generic_kernels.h"

#define LANE_COUNT  4
#define TILE_TOKENS 2 /* eight sums, in machines of sixteen registers */
#include "kernel/generic/matmul_decoded.h"

const matmul_kernel matmul_generic = {
    .name = "generic",
    .needs = 0,
    .scratch_bytes = decoded_scratch_bytes,
    .run = decoded_run,
};
