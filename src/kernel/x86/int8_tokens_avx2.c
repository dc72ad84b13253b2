/* Tokens to int8 with AVX2: a block is four vectors. */
#include "kernel/x86/int8_tokens_x86.h"

enum { VECTORS = 4 };

static inline __m128i largest_of(const float *const from[TOGETHER])
{
    __m256i size[TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++) {
        size[i] = _mm256_setzero_si256();
        for (size_t j = 0; j < VECTORS; j++) {
            __m256i part = _mm256_loadu_si256((const __m256i *)(from[i] + 8 * j));
            size[i] = _mm256_max_epi32(size[i], _mm256_and_si256(part, _mm256_set1_epi32(INT32_MAX)));
        }
    }
    /* [0 0 0 0 1 1 1 1] [2 2 2 2 3 3 3 3], [0 0 2 2 1 1 3 3], [0 2 1 3], each block's maxima by its number */
    __m256i a = _mm256_max_epi32(_mm256_permute2x128_si256(size[0], size[1], 0x20),
                                 _mm256_permute2x128_si256(size[0], size[1], 0x31));
    __m256i b = _mm256_max_epi32(_mm256_permute2x128_si256(size[2], size[3], 0x20),
                                 _mm256_permute2x128_si256(size[2], size[3], 0x31));
    a = _mm256_max_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    a = _mm256_max_epi32(a, _mm256_shuffle_epi32(a, 0xb1));
    return _mm_blend_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1), 10);
}

static inline void make_levels(const float *const from[TOGETHER], const float factor[TOGETHER], __m256i level[TOGETHER],
                               int32_t half[2][TOGETHER])
{
    __m256i sum[TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++) {
        __m256i word[VECTORS];
        for (size_t j = 0; j < VECTORS; j++)
            word[j] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(from[i] + 8 * j), _mm256_set1_ps(factor[i])));
        /* Packing works on the halves of vectors, so fours of levels come out of order: 0 2 4 6 1 3 5 7. */
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(word[0], word[1]), _mm256_packs_epi32(word[2], word[3]));
        level[i] = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        sum[i] = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), level[i]), _mm256_set1_epi16(1));
    }
    /* The lower half of each sum is of the first sixteen levels. */
    __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));
    _mm256_storeu_si256((__m256i *)half, sums);
}

void int8_tokens_store_avx2(const float *values, size_t columns, void *tile, size_t width, size_t index)
{
    store_token(values, columns, tile, width, index);
}
