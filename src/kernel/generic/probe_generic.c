/* 8-bit dot products as plain C: what the compiler makes of them for any processor of the architecture. */
#include "kernel/generic/generic_kernels.h"

enum { COUNT = 256 };

static void run(size_t rounds)
{
    int8_t a[COUNT], b[COUNT];
    int32_t sum = 0;
    for (int i = 0; i < COUNT; i++) {
        a[i] = (int8_t)(i & 15);
        b[i] = (int8_t)(3 - (i & 7));
    }
    for (size_t round = 0; round < rounds; round++) {
        int32_t part = 0;
        __asm__ volatile("" : "+m"(a), "+m"(b)); /* new values, for all the compiler knows */
        for (int i = 0; i < COUNT; i++)
            part += a[i] * b[i];
        sum ^= part;
    }
    __asm__ volatile("" : : "r"(sum));
}

const dot_probe dot_probe_generic = {.name = "plain C", .operations = 2.0 * COUNT, .run = run};
