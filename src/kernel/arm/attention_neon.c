/* Attention on 64-bit Arm: four floats at a time, fused, with the conversions of half precision. */
#include "base/cpu_features.h"
#include "kernel/arm/arm_kernels.h"

#define LANE_COUNT   4
#define ROOM         24 /* sums, of thirty-two registers */
#define TILE_ROWS    6
#define ROW_TILES(X) X(6) X(4) X(3) X(2) X(1)
#include "kernel/generic/attention_lanes.h"

const key_kernel keys_neon[KV_TYPE_COUNT] = FLOAT_KEY_KERNELS("neon", CPU_NEON);
const value_kernel values_neon[KV_TYPE_COUNT] = FLOAT_VALUE_KERNELS("neon", CPU_NEON);
const softmax_kernel softmax_neon = SOFTMAX_KERNEL("neon", CPU_NEON);
