/* Attention in plain C: four floats at a time. */
#include "kernel/generic/generic_kernels.h"

#define LANE_COUNT   4
#define ROOM         8 /* sums, of sixteen registers */
#define TILE_ROWS    4
#define ROW_TILES(X) X(4) X(3) X(2) X(1)
#include "kernel/generic/attention_lanes.h"

const attention_kernel attention_generic[KV_TYPE_COUNT] = ATTENTION_KERNELS("generic", 0);
