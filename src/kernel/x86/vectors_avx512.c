/* Vector operations with AVX-512: sixteen floats at a time. */
#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT 16
#include "kernel/generic/vectors_lanes.h"

const vector_kernels vectors_avx512 = VECTOR_KERNELS("avx512", CPU_AVX512);
