/* 8-bit dot products with sdot: sixteen products an instruction. */
#include <arm_neon.h>

#include "base/cpu_features.h"
#include "kernel/arm/arm_probes.h"

static void run(size_t rounds)
{
    int32x4_t sum[PROBE_SUMS];
    int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(-5);
    for (int i = 0; i < PROBE_SUMS; i++)
        sum[i] = vdupq_n_s32(0);
    for (size_t round = 0; round < rounds; round++) {
        for (int i = 0; i < PROBE_SUMS; i++) {
            __asm__("" : "+w"(a)); /* a new value, for all the compiler knows */
            sum[i] = vdotq_s32(sum[i], a, b);
        }
    }
    for (int i = 1; i < PROBE_SUMS; i++)
        sum[0] = veorq_s32(sum[0], sum[i]);
    __asm__ volatile("" : : "w"(sum[0]));
}

const dot_probe dot_probe_dotprod = {.name = "sdot", .needs = CPU_DOTPROD, .operations = 32.0 * PROBE_SUMS, .run = run};
