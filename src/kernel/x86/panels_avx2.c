/* Products of packed weights with AVX2. `vpmaddubsw` adds pairs of products in 16 bits, saturating, so what it is given
 * must not get there; `vpmaddwd` by ones then adds pairs of those into eight sums.
 *
 * A pair is at most 2 · 127 · the largest level, and 16 bits hold 32767:
 *
 *     4 bits   15   8 pairs    30480
 *     5 bits   31   4 pairs    31496
 *     6 bits   63   2 pairs    32004
 *     8 bits  128   1 pair     32512     as sizes; the token's levels take the signs
 *
 * so many groups of a block are added before they are widened. */
#define SIGNED_BYTES 1
#define AT_ONCE      4
#define PANEL_KERNEL "avx2"
#define PANEL_NEEDS  CPU_AVX2 | CPU_F16C
#include "kernel/x86/in_order.h"
#include "kernel/x86/panels_ymm.h"

inline_always size_t pairs_in_16_bits(quant_type type)
{
    if (has_bytes(type))
        return 1;
    if (type == QUANT_Q5_0 || type == QUANT_Q5_1 || type == QUANT_Q5_K || type == QUANT_Q3_K)
        return 4; /* of Q3_K there would be room for more, but a half has no more */
    return type == QUANT_Q6_K ? 2 : 8;
}

inline_always __m256i pair(quant_type type, bytes level, __m256i x)
{
    __m256i w = (__m256i)level;
    if (has_bytes(type))
        return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_maddubs_epi16(w, x);
}

inline_always void add_products(quant_type type, ints *sum, const bytes level[GROUPS], const uint8_t *x, size_t count,
                                size_t begin, size_t end)
{
    size_t fit = pairs_in_16_bits(type);
    for (size_t g = begin; g < end; g += fit) {
        __m256i narrow[AT_ONCE];
        for (size_t i = 0; i < fit; i++)
            for (size_t t = 0; t < count; t++) {
                __m256i pairs = pair(type, level[g + i], four_of(x, t, g + i));
                narrow[t] = in_order(i == 0 ? pairs : _mm256_add_epi16(narrow[t], pairs));
            }
        for (size_t t = 0; t < count; t++)
            sum[t] =
                (ints)in_order(_mm256_add_epi32((__m256i)sum[t], _mm256_madd_epi16(narrow[t], _mm256_set1_epi16(1))));
    }
}

const matmul_kernel panels_avx2[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(PANEL_ENTRY)};
