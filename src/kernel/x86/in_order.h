/* Additions in the order they are written. Compilers regroup sums of integers into trees, whose leaves have to wait in
 * memory. */
#ifndef MOTE_KERNEL_X86_IN_ORDER_H
#define MOTE_KERNEL_X86_IN_ORDER_H

#include <immintrin.h>

/* A sum as it is so far. */
__attribute__((always_inline)) static inline __m256i in_order(__m256i sum)
{
    __asm__("" : "+x"(sum));
    return sum;
}

#endif
