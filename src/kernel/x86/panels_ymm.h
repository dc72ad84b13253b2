/* What AVX2 and AVX-VNNI have in common in products of packed weights: vectors of eight rows. */
#ifndef MOTE_KERNEL_X86_PANELS_YMM_H
#define MOTE_KERNEL_X86_PANELS_YMM_H

#define VECTOR_BYTES 32
#include "kernel/x86/panels_x86.h"

inline_always floats halves_at(const uint8_t *at)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at));
}

inline_always floats unsigned_at(const uint8_t *at)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)at)));
}

inline_always floats signed_at(const uint8_t *at)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)at)));
}

inline_always floats m_scales_at(const uint8_t *at)
{
    __m128i byte = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)at));
    __m128i n = _mm_and_si128(byte, _mm_set1_epi16(127)), sign = _mm_slli_epi16(_mm_xor_si128(byte, n), 8);
    n = _mm_add_epi16(n, _mm_subs_epu16(n, _mm_set1_epi16(QUANT_M_COARSE)));
    return _mm256_cvtph_ps(_mm_or_si128(_mm_slli_epi16(n, 7), sign)) * 0x1p-4f;
}

inline_always bytes look_up(const int8_t table[16], bytes level)
{
    return (bytes)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)),
                                      (__m256i)level);
}

inline_always bytes look_up_8(const int8_t table[8], bytes level)
{
    return (bytes)_mm256_shuffle_epi8(_mm256_set1_epi64x((int64_t)load_u64(table)), (__m256i)level);
}

/* Four levels of a token, eight times. */
inline_always __m256i four_of(const uint8_t *x, size_t token, size_t group)
{
    return _mm256_set1_epi32((int)load_u32(x + INT8_BLOCK * token + 4 * group));
}

#endif
