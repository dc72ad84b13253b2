/* LANE_COUNT floats at a time, in portable C: the compiler's vector extension becomes SSE, AVX, NEON or plain scalar code,
 * whatever the including file is compiled for. Define LANE_COUNT (4, 8 or 16) before including.
 *
 * A sum over a row is kept in a fixed number of lanes and folded in a fixed order, so that its value does not depend on
 * the tile it was computed in. */
#ifndef MOTE_KERNEL_GENERIC_VECTOR_LANES_H
#define MOTE_KERNEL_GENERIC_VECTOR_LANES_H

#include <stddef.h>
#include <string.h>

typedef float lanes __attribute__((vector_size(LANE_COUNT * sizeof(float))));
typedef float quad __attribute__((vector_size(4 * sizeof(float))));

static inline lanes lanes_load(const void *at)
{
    lanes value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void lanes_store(float *at, lanes value)
{
    memcpy(at, &value, sizeof value);
}

static inline quad quad_load(const float *at)
{
    quad value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void quad_store(float *at, quad value)
{
    memcpy(at, &value, sizeof value);
}

/* Upper half onto lower half, until four lanes are left. */
static inline quad lanes_fold(lanes value)
{
    quad part[LANE_COUNT / 4];
    memcpy(part, &value, sizeof value);
    for (size_t half = LANE_COUNT / 8; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            part[i] += part[i + half];
    return part[0];
}

/* The sums of four vectors, each as (0 + 2) + (1 + 3) of its folded lanes. */
static inline quad lanes_sum4(const lanes value[4])
{
    quad a = lanes_fold(value[0]), b = lanes_fold(value[1]), c = lanes_fold(value[2]), d = lanes_fold(value[3]);
    quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    quad cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/* Two accumulators hide the latency of an addition. */
static inline float lanes_dot(const float *a, const float *b, size_t count)
{
    lanes even = {0}, odd = {0};
    size_t i = 0;
#pragma GCC unroll 4
    for (; i + 2 * LANE_COUNT <= count; i += 2 * LANE_COUNT) {
        even += lanes_load(a + i) * lanes_load(b + i);
        odd += lanes_load(a + i + LANE_COUNT) * lanes_load(b + i + LANE_COUNT);
    }
    float tail = 0;
    for (; i < count; i++)
        tail += a[i] * b[i];
    quad sum = lanes_fold(even + odd);
    return (sum[0] + sum[2]) + (sum[1] + sum[3]) + tail;
}

#endif
