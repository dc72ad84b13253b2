/* Tokens to int8 with AVX-512: a block is two vectors of floats, and half a vector of levels. */
#include "kernel/x86/int8_tokens_x86.h"

static inline __m512i size_of(const float *from)
{
    const __m512i unsigned_bits = _mm512_set1_epi32(INT32_MAX);
    return _mm512_max_epi32(_mm512_and_si512(_mm512_loadu_si512(from), unsigned_bits),
                            _mm512_and_si512(_mm512_loadu_si512(from + 16), unsigned_bits));
}

/* The sizes of two blocks, folded to eight of each: the lower half is the first one's. */
static inline __m512i two_sizes(const float *first, const float *second)
{
    __m512i a = size_of(first), b = size_of(second);
    return _mm512_max_epi32(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xee));
}

static inline __m128i largest_of(const float *const from[TOGETHER])
{
    __m512i a = two_sizes(from[0], from[1]), b = two_sizes(from[2], from[3]);
    a = _mm512_max_epi32(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xdd)); /* a block, four lanes */
    a = _mm512_max_epi32(a, _mm512_shuffle_epi32(a, 0x4e));
    a = _mm512_max_epi32(a, _mm512_shuffle_epi32(a, 0xb1));
    const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    return _mm512_castsi512_si128(_mm512_permutexvar_epi32(firsts, a));
}

/* The levels of a block, 16 bits each; out of order, as packing works on quarters of vectors. */
static inline __m512i words_of(const float *from, float factor)
{
    __m512 scale = _mm512_set1_ps(factor);
    return _mm512_packs_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from), scale)),
                              _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from + 16), scale)));
}

static inline __m512i sums_of_four(__m512i levels)
{
    return _mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_set1_epi8(1), levels), _mm512_set1_epi16(1));
}

static inline void make_levels(const float *const from[TOGETHER], const float factor[TOGETHER], __m256i level[TOGETHER],
                               int32_t half[2][TOGETHER])
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i sum[2];
    for (size_t i = 0; i < 2; i++) {
        __m512i bytes =
            _mm512_packs_epi16(words_of(from[2 * i], factor[2 * i]), words_of(from[2 * i + 1], factor[2 * i + 1]));
        bytes = _mm512_permutexvar_epi32(order, bytes);
        level[2 * i] = _mm512_castsi512_si256(bytes);
        level[2 * i + 1] = _mm512_extracti64x4_epi64(bytes, 1);
        sum[i] = sums_of_four(bytes);
    }
    /* Quarters of sums are of blocks 0 and 1, or 2 and 3, first halves and second halves in turn. */
    __m512i sums = _mm512_add_epi32(_mm512_unpacklo_epi64(sum[0], sum[1]), _mm512_unpackhi_epi64(sum[0], sum[1]));
    sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32(sums, 0xb1));
    const __m512i halves = _mm512_setr_epi32(0, 8, 2, 10, 4, 12, 6, 14, 0, 8, 2, 10, 4, 12, 6, 14);
    _mm256_storeu_si256((__m256i *)half, _mm512_castsi512_si256(_mm512_permutexvar_epi32(halves, sums)));
}

void int8_tokens_store_avx512(const float *values, size_t columns, void *tile, size_t width, size_t index)
{
    store_token(values, columns, tile, width, index);
}
