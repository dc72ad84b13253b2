/* Tokens to int8 with AVX2: a block is four vectors. */
#include <immintrin.h>
#include <math.h>

#include "kernel/x86/x86_kernels.h"

enum { VECTORS = 4 };

static float largest_of(__m256 value)
{
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
}

static int sum_of(__m256i value)
{
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

static void store_block(const float *values, uint8_t *block, size_t width, size_t index)
{
    __m256 size = _mm256_setzero_ps(), nothing = _mm256_setzero_ps();
    for (size_t i = 0; i < VECTORS; i++) {
        __m256 part = _mm256_loadu_ps(values + 8 * i);
        size = _mm256_max_ps(size, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), part));
        /* x − x is NaN for what is not finite, and stays so: a maximum would not tell a NaN for sure. */
        nothing = _mm256_add_ps(nothing, _mm256_sub_ps(part, part));
    }
    bool finite = _mm256_movemask_ps(_mm256_cmp_ps(nothing, nothing, _CMP_UNORD_Q)) == 0;
    float largest = largest_of(size), factor = finite ? int8_factor(largest) : 0;
    float scale = finite ? int8_scale(largest) : NAN;
    __m256i level[VECTORS];
    for (size_t i = 0; i < VECTORS; i++) {
        __m256 part = finite ? _mm256_loadu_ps(values + 8 * i) : _mm256_setzero_ps();
        level[i] = _mm256_cvtps_epi32(_mm256_mul_ps(part, _mm256_set1_ps(factor)));
    }
    /* Packing works on the halves of vectors, so fours of levels come out of order: 0 2 4 6 1 3 5 7. */
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(level[0], level[1]), _mm256_packs_epi32(level[2], level[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(block + INT8_BLOCK * index), bytes);
    int half = sum_of(_mm256_add_epi32(level[0], level[1]));
    int sum = half + sum_of(_mm256_add_epi32(level[2], level[3]));
    int8_put_sums(block, width, index, scale, sum, half);
}

void int8_tokens_store_avx2(const float *values, size_t columns, void *tile, size_t width, size_t index)
{
    uint8_t *block = tile;
    for (size_t b = 0; b < columns / INT8_BLOCK; b++, block += INT8_BLOCK_BYTES * width)
        store_block(values + b * INT8_BLOCK, block, width, index);
}
