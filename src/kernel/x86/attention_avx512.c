/* Attention with AVX-512: sixteen floats at a time. */
#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT   16
#define ROOM         24 /* sums, of thirty-two registers */
#define TILE_ROWS    12
#define ROW_TILES(X) X(12) X(4) X(3) X(2) X(1)
#include "kernel/generic/attention_lanes.h"

const key_kernel keys_avx512[KV_TYPE_COUNT] = FLOAT_KEY_KERNELS("avx512", CPU_AVX512);
const value_kernel values_avx512[KV_TYPE_COUNT] = FLOAT_VALUE_KERNELS("avx512", CPU_AVX512);
const softmax_kernel softmax_avx512 = SOFTMAX_KERNEL("avx512", CPU_AVX512);
