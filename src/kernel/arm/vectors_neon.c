/* Vector operations on 64-bit Arm: four floats at a time, fused. */
#include "base/cpu_features.h"
#include "kernel/arm/arm_kernels.h"

#define LANE_COUNT 4
#include "kernel/generic/vectors_lanes.h"

const vector_kernels vectors_neon = VECTOR_KERNELS("neon", CPU_NEON);
