/* Vector operations in plain C: four floats at a time. */
#include "kernel/generic/generic_kernels.h"

#define LANE_COUNT 4
#include "kernel/generic/vectors_lanes.h"

const vector_kernels vectors_generic = VECTOR_KERNELS("generic", 0);
