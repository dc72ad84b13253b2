/* Attention over int8 levels with AVX-512 VNNI: `vpdpbusd` makes sixteen sums of four products, of unsigned bytes with signed
 * ones. Keys are made unsigned; weights are so from the start. */
#include <immintrin.h>

#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT   16
#define ROOM         24 /* sums, of thirty-two registers */
#define TILE_ROWS    12
#define ROW_TILES(X) X(12) X(4) X(3) X(2) X(1)
#define QUAD_BYTES   4
#define KEY_OFFSET   128
#define VALUE_OFFSET 0

typedef __m512i cells, quad_levels, dots;
#include "kernel/generic/attention_int8_lanes.h"

INLINE cells cells_of(cell_bytes levels, int offset)
{
    return (__m512i)(levels ^ (uint8_t)offset);
}

INLINE cells cells_of_nibbles(cell_bytes nibbles, int offset)
{
    __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(KV_Q4_LEVELS));
    return _mm512_shuffle_epi8(_mm512_xor_si512(table, _mm512_set1_epi8((char)offset)), (__m512i)nibbles);
}

INLINE quad_levels quad_at(const unsigned char *at)
{
    return _mm512_set1_epi32((int)load_u32(at));
}

INLINE void put_quads(unsigned char *at, lane_bits levels)
{
    _mm_storeu_si128((__m128i *)at, _mm512_cvtepi32_epi8((__m512i)levels));
}

INLINE dots add_key_dots(dots sum, cells keys, quad_levels levels)
{
    return _mm512_dpbusd_epi32(sum, keys, levels);
}

INLINE dots add_value_dots(dots sum, cells values, quad_levels levels)
{
    return _mm512_dpbusd_epi32(sum, levels, values);
}

INLINE dots dots_from(int32_t first)
{
    return _mm512_set1_epi32(first);
}

INLINE lane_bits dots_total(dots sum)
{
    return (lane_bits)sum;
}

enum { NEEDS = CPU_AVX2 | CPU_F16C | CPU_AVX512 | CPU_AVX512_VNNI };
const key_kernel keys_int8_avx512vnni[KV_TYPE_COUNT] = INT8_KEY_KERNELS("avx512-vnni", NEEDS);
const value_kernel values_int8_avx512vnni[KV_TYPE_COUNT] = INT8_VALUE_KERNELS("avx512-vnni", NEEDS);
