/* Products of packed weights with AVX-512 VNNI: `vpdpbusd` makes sixteen sums of four products.
 *
 * A block is 8 dot products, one conversion and two or three float operations for each token, of which a tile of eight
 * shares the unpacking: at best 8 ÷ 10 of the machine's dot products, and nearly that with data in cache. */
#define VECTOR_BYTES 64
#define SIGNED_BYTES 0
#define AT_ONCE      8
#define PANEL_KERNEL "avx512-vnni"
#define PANEL_NEEDS  CPU_AVX2 | CPU_F16C | CPU_AVX512 | CPU_AVX512_VNNI
#include "kernel/x86/panels_x86.h"

inline_always floats halves_at(const uint8_t *at)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
}

inline_always floats unsigned_at(const uint8_t *at)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)at)));
}

inline_always floats signed_at(const uint8_t *at)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)at)));
}

inline_always floats m_scales_at(const uint8_t *at)
{
    __m256i byte = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)at));
    __m256i n = _mm256_and_si256(byte, _mm256_set1_epi16(127)), sign = _mm256_slli_epi16(_mm256_xor_si256(byte, n), 8);
    n = _mm256_add_epi16(n, _mm256_subs_epu16(n, _mm256_set1_epi16(QUANT_M_COARSE)));
    return _mm512_cvtph_ps(_mm256_or_si256(_mm256_slli_epi16(n, 7), sign)) * 0x1p-4f;
}

inline_always bytes look_up(const int8_t table[16], bytes level)
{
    return (bytes)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), (__m512i)level);
}

inline_always bytes look_up_8(const int8_t table[8], bytes level)
{
    return (bytes)_mm512_shuffle_epi8(_mm512_set1_epi64((int64_t)load_u64(table)), (__m512i)level);
}

inline_always void add_products(quant_type type, ints *sum, const bytes level[GROUPS], const uint8_t *x, size_t count,
                                size_t begin, size_t end)
{
    (void)type;
    UNROLLED
    for (size_t g = begin; g < end; g++) {
        UNROLLED
        for (size_t t = 0; t < count; t++) {
            __m512i four = _mm512_set1_epi32((int)load_u32(x + INT8_BLOCK * t + 4 * g));
            sum[t] = (ints)_mm512_dpbusd_epi32((__m512i)sum[t], (__m512i)level[g], four);
        }
    }
}

const matmul_kernel panels_avx512vnni[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(PANEL_ENTRY)};
