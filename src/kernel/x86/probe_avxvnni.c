/* 8-bit dot products with AVX-VNNI: vpdpbusd on 256 bits. */
#include <immintrin.h>

#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

static void run(size_t rounds)
{
    __m256i sum[PROBE_SUMS], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-5);
    for (int i = 0; i < PROBE_SUMS; i++)
        sum[i] = _mm256_setzero_si256();
    for (size_t round = 0; round < rounds; round++) {
        for (int i = 0; i < PROBE_SUMS; i++) {
            __asm__("" : "+x"(a)); /* a new value, for all the compiler knows */
            sum[i] = _mm256_dpbusd_avx_epi32(sum[i], a, b);
        }
    }
    for (int i = 1; i < PROBE_SUMS; i++)
        sum[0] = _mm256_xor_si256(sum[0], sum[i]);
    __asm__ volatile("" : : "x"(sum[0]));
}

const dot_probe dot_probe_avxvnni = {
    .name = "vpdpbusd ymm", .needs = CPU_AVX2 | CPU_AVX_VNNI, .operations = 64.0 * PROBE_SUMS, .run = run};
