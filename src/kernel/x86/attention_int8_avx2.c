/* Attention over int8 levels with AVX2. Its products of bytes saturate, so that bytes are widened: those at even places and
 * those at odd ones become 16-bit numbers, and `vpmaddwd` adds two products of them into each of eight sums. The widening is
 * shared by all rows. A row's levels lie ready for that:
 *
 *     quad  0 2 1 3  16 bits each
 */
#include <immintrin.h>

#include "base/cpu_features.h"
#include "kernel/x86/in_order.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT   8
#define ROOM         8 /* sums, of sixteen registers */
#define TILE_ROWS    4
#define ROW_TILES(X) X(4) X(3) X(2) X(1)
#define QUAD_BYTES   8
#define KEY_OFFSET   0
#define VALUE_OFFSET 0

typedef struct byte_pairs {
    __m256i even, odd;
} cells, quad_levels;
typedef __m256i dots;
#include "kernel/generic/attention_int8_lanes.h"

INLINE cells widened(__m256i levels)
{
    return (cells){_mm256_srai_epi16(_mm256_slli_epi16(levels, 8), 8), _mm256_srai_epi16(levels, 8)};
}

INLINE cells cells_of(cell_bytes levels, int offset)
{
    (void)offset;
    return widened((__m256i)levels);
}

INLINE cells cells_of_nibbles(cell_bytes nibbles, int offset)
{
    (void)offset;
    __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(KV_Q4_LEVELS));
    return widened(_mm256_shuffle_epi8(table, (__m256i)nibbles));
}

INLINE quad_levels quad_at(const unsigned char *at)
{
    return (quad_levels){_mm256_set1_epi32((int)load_u32(at)), _mm256_set1_epi32((int)load_u32(at + 4))};
}

INLINE void put_quads(unsigned char *at, lane_bits levels)
{
    const __m256i places = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 4, 5, 2, 3, 6,
                                            7, -1, -1, -1, -1, -1, -1, -1, -1);
    __m256i words = _mm256_shuffle_epi8(_mm256_packs_epi32((__m256i)levels, (__m256i)levels), places);
    _mm_storel_epi64((__m128i *)at, _mm256_castsi256_si128(words));
    _mm_storel_epi64((__m128i *)(at + 8), _mm256_extracti128_si256(words, 1));
}

INLINE dots add_key_dots(dots sum, cells keys, quad_levels levels)
{
    sum = in_order(_mm256_add_epi32(sum, _mm256_madd_epi16(keys.even, levels.even)));
    return in_order(_mm256_add_epi32(sum, _mm256_madd_epi16(keys.odd, levels.odd)));
}

INLINE dots add_value_dots(dots sum, cells values, quad_levels levels)
{
    return add_key_dots(sum, values, levels);
}

INLINE dots dots_from(int32_t first)
{
    return _mm256_set1_epi32(first);
}

INLINE lane_bits dots_total(dots sum)
{
    return (lane_bits)sum;
}

enum { NEEDS = CPU_AVX2 | CPU_F16C };
const key_kernel keys_int8_avx2[KV_TYPE_COUNT] = INT8_KEY_KERNELS("avx2", NEEDS);
const value_kernel values_int8_avx2[KV_TYPE_COUNT] = INT8_VALUE_KERNELS("avx2", NEEDS);
