/* 8-bit dot products with AVX-512 VNNI: vpdpbusd on 512 bits. */
#include <immintrin.h>

#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

static void run(size_t rounds)
{
    __m512i sum[PROBE_SUMS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-5);
    for (int i = 0; i < PROBE_SUMS; i++)
        sum[i] = _mm512_setzero_si512();
    for (size_t round = 0; round < rounds; round++) {
        for (int i = 0; i < PROBE_SUMS; i++) {
            __asm__("" : "+v"(a)); /* a new value, for all the compiler knows */
            sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
        }
    }
    for (int i = 1; i < PROBE_SUMS; i++)
        sum[0] = _mm512_xor_si512(sum[0], sum[i]);
    __asm__ volatile("" : : "v"(sum[0]));
}

const dot_probe dot_probe_avx512vnni = {
    .name = "vpdpbusd zmm", .needs = CPU_AVX512 | CPU_AVX512_VNNI, .operations = 128.0 * PROBE_SUMS, .run = run};
