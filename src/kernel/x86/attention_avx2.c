/* Attention with AVX2, FMA and F16C: eight floats at a time. */
#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT   8
#define ROOM         12 /* sums, of sixteen registers */
#define TILE_ROWS    6
#define ROW_TILES(X) X(6) X(4) X(3) X(2) X(1)
#include "kernel/generic/attention_lanes.h"

const key_kernel keys_avx2[KV_TYPE_COUNT] = FLOAT_KEY_KERNELS("avx2", CPU_AVX2 | CPU_F16C);
const value_kernel values_avx2[KV_TYPE_COUNT] = FLOAT_VALUE_KERNELS("avx2", CPU_AVX2 | CPU_F16C);
const softmax_kernel softmax_avx2 = SOFTMAX_KERNEL("avx2", CPU_AVX2 | CPU_F16C);
