/* Vector operations with AVX2 and FMA: eight floats at a time. */
#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT 8
#include "kernel/generic/vectors_lanes.h"

const vector_kernels vectors_avx2 = VECTOR_KERNELS("avx2", CPU_AVX2);
