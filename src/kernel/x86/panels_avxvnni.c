/* Products of packed weights with AVX-VNNI, for processors that have dot products but not AVX-512. Compiled for AVX-512
 * VNNI in its place, as the tests do where only that runs, it is the same with the other encoding of `vpdpbusd`. */
#define SIGNED_BYTES 0
#define AT_ONCE      8 /* and levels come from memory: there are not registers for all */
#define PANEL_KERNEL "avx-vnni"
#define PANEL_NEEDS  CPU_AVX2 | CPU_F16C | CPU_AVX_VNNI
#include "kernel/x86/panels_ymm.h"

#ifdef __AVXVNNI__
#define dot _mm256_dpbusd_avx_epi32
#else
#define dot _mm256_dpbusd_epi32
#endif

inline_always void add_products(quant_type type, ints *sum, const bytes level[GROUPS], const uint8_t *x, size_t count,
                                size_t begin, size_t end)
{
    (void)type;
    for (size_t g = begin; g < end; g++)
        for (size_t t = 0; t < count; t++)
            sum[t] = (ints)dot((__m256i)sum[t], (__m256i)level[g], four_of(x, t, g));
}

const matmul_kernel panels_avxvnni[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(PANEL_ENTRY)};
