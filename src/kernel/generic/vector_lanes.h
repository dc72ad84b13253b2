/* Four floats at a time, in portable C: the compiler's vector extension becomes SSE, NEON or plain scalar code.
 *
 * A sum over a row is kept in a fixed number of lanes and folded in a fixed order, so that its value does not depend on
 * the tile it was computed in. */
#ifndef MOTE_KERNEL_GENERIC_VECTOR_LANES_H
#define MOTE_KERNEL_GENERIC_VECTOR_LANES_H

#include <stddef.h>
#include <string.h>

typedef float lanes __attribute__((vector_size(16)));

enum { LANES = 4 };

static inline lanes lanes_load(const float *at)
{
    lanes value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void lanes_store(float *at, lanes value)
{
    memcpy(at, &value, sizeof value);
}

static inline float lanes_sum(lanes value)
{
    return (value[0] + value[2]) + (value[1] + value[3]);
}

/* Two accumulators hide the latency of an addition. */
static inline float lanes_dot(const float *a, const float *b, size_t count)
{
    lanes even = {0}, odd = {0};
    size_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        even += lanes_load(a + i) * lanes_load(b + i);
        odd += lanes_load(a + i + LANES) * lanes_load(b + i + LANES);
    }
    float tail = 0;
    for (; i < count; i++)
        tail += a[i] * b[i];
    return lanes_sum(even + odd) + tail;
}

#endif
