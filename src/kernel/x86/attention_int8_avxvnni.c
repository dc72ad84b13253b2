/* Attention over int8 levels with AVX-VNNI: as with AVX-512 VNNI, eight sums at a time. Compiled for AVX-512 VNNI in its
 * place, as the tests do where only that runs, it is the same with the other encoding of `vpdpbusd`. */
#include <immintrin.h>

#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT   8
#define ROOM         12 /* sums, of sixteen registers */
#define TILE_ROWS    6
#define ROW_TILES(X) X(6) X(4) X(3) X(2) X(1)
#define QUAD_BYTES   4
#define KEY_OFFSET   128
#define VALUE_OFFSET 0

typedef __m256i cells, quad_levels, dots;
#include "kernel/generic/attention_int8_lanes.h"

#ifdef __AVXVNNI__
#define dot _mm256_dpbusd_avx_epi32
#else
#define dot _mm256_dpbusd_epi32
#endif

INLINE cells cells_of(cell_bytes levels, int offset)
{
    return (__m256i)(levels ^ (uint8_t)offset);
}

INLINE cells cells_of_nibbles(cell_bytes nibbles, int offset)
{
    __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(KV_Q4_LEVELS));
    return _mm256_shuffle_epi8(_mm256_xor_si256(table, _mm256_set1_epi8((char)offset)), (__m256i)nibbles);
}

INLINE quad_levels quad_at(const unsigned char *at)
{
    return _mm256_set1_epi32((int)load_u32(at));
}

INLINE void put_quads(unsigned char *at, lane_bits levels)
{
    narrow_lanes(levels, at);
}

INLINE dots add_key_dots(dots sum, cells keys, quad_levels levels)
{
    return dot(sum, keys, levels);
}

INLINE dots add_value_dots(dots sum, cells values, quad_levels levels)
{
    return dot(sum, levels, values);
}

INLINE dots dots_from(int32_t first)
{
    return _mm256_set1_epi32(first);
}

INLINE lane_bits dots_total(dots sum)
{
    return (lane_bits)sum;
}

enum { NEEDS = CPU_AVX2 | CPU_F16C | CPU_AVX_VNNI };
const key_kernel keys_int8_avxvnni[KV_TYPE_COUNT] = INT8_KEY_KERNELS("avx-vnni", NEEDS);
const value_kernel values_int8_avxvnni[KV_TYPE_COUNT] = INT8_VALUE_KERNELS("avx-vnni", NEEDS);
