/* Attention in plain C: four floats at a time. On 64-bit Arm, whose base has vectors, these are NEON's. */
#include "kernel/generic/generic_kernels.h"

#define LANE_COUNT 4
#if defined(__aarch64__)
#define ROOM         24 /* sums, of thirty-two registers */
#define TILE_ROWS    12
#define ROW_TILES(X) X(12) X(4) X(3) X(2) X(1)
#else
#define ROOM         8 /* of sixteen, or fewer */
#define TILE_ROWS    4
#define ROW_TILES(X) X(4) X(3) X(2) X(1)
#endif
#include "kernel/generic/attention_lanes.h"

const key_kernel keys_generic[KV_TYPE_COUNT] = FLOAT_KEY_KERNELS("generic", 0);
const value_kernel values_generic[KV_TYPE_COUNT] = FLOAT_VALUE_KERNELS("generic", 0);
const softmax_kernel softmax_generic = SOFTMAX_KERNEL("generic", 0);
