/* Tokens to int8 with AVX-512: a block is two vectors. */
#include <immintrin.h>
#include <math.h>

#include "kernel/x86/x86_kernels.h"

static void store_block(const float *values, uint8_t *block, size_t width, size_t index)
{
    __m512 a = _mm512_loadu_ps(values), b = _mm512_loadu_ps(values + 16);
    __m512 sizes = _mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b));
    float largest = _mm512_reduce_max_ps(sizes);
    /* x − x is NaN for what is not finite: neither maximum nor comparison would tell a NaN for sure. */
    __mmask16 finite = _mm512_cmp_ps_mask(_mm512_sub_ps(a, a), _mm512_sub_ps(b, b), _CMP_EQ_OQ);
    float factor = int8_factor(largest), scale = int8_scale(largest);
    if (finite != 0xffff) {
        a = b = _mm512_setzero_ps();
        factor = 0;
        scale = NAN;
    }
    __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(a, _mm512_set1_ps(factor)));
    __m512i high = _mm512_cvtps_epi32(_mm512_mul_ps(b, _mm512_set1_ps(factor)));
    uint8_t *levels = block + INT8_BLOCK * index;
    _mm_storeu_si128((__m128i *)levels, _mm512_cvtepi32_epi8(low));
    _mm_storeu_si128((__m128i *)(levels + 16), _mm512_cvtepi32_epi8(high));
    int half = _mm512_reduce_add_epi32(low), sum = half + _mm512_reduce_add_epi32(high);
    int8_put_sums(block, width, index, scale, sum, half);
}

void int8_tokens_store_avx512(const float *values, size_t columns, void *tile, size_t width, size_t index)
{
    uint8_t *block = tile;
    for (size_t b = 0; b < columns / INT8_BLOCK; b++, block += INT8_BLOCK_BYTES * width)
        store_block(values + b * INT8_BLOCK, block, width, index);
}
