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

inline_always bytes look_up(const int8_t table[16], bytes level)
{
    return (bytes)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), (__m512i)level);
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
