/* Vector operations: norms, rotary embedding, gated activations. The body of one table for each instruction set: the
 * including file defines LANE_COUNT, names its table, and is compiled with its own flags. In activations and
 * sums, lanes behind the end of a row are filled up with zeros, so that a number is computed the same way wherever it stands. */
#ifndef MOTE_KERNEL_GENERIC_VECTORS_LANES_H
#define MOTE_KERNEL_GENERIC_VECTORS_LANES_H

#include <math.h>

#include "kernel/generic/exp_lanes.h"
#include "kernel/kernels.h"

/* What follows the last whole lanes of a row, filled up with zeros. */
static inline lanes load_rest(const float *at, size_t count)
{
    lanes value = {0};
    memcpy(&value, at, count * sizeof(float));
    return value;
}

static inline void store_rest(float *at, lanes value, size_t count)
{
    memcpy(at, &value, count * sizeof(float));
}

/* out[i] = operation(a[i], b[i]) over a row. */
#define EACH(operation, a, b, out, count)                                                                              \
    size_t i = 0;                                                                                                      \
    _Pragma("GCC unroll 2") for (; i + LANE_COUNT <= (count); i += LANE_COUNT)                                         \
        lanes_store((out) + i, operation(lanes_load((a) + i), lanes_load((b) + i)));                                   \
    if (i < (count))                                                                                                   \
        store_rest((out) + i, operation(load_rest((a) + i, (count)-i), load_rest((b) + i, (count)-i)), (count)-i);

static void rms_norm(const float *in, const float *weight, float epsilon, float *out, size_t count)
{
    float mean = lanes_dot(in, in, count) / (float)count;
    float scale = 1 / sqrtf(mean + epsilon);
    size_t i = 0;
#pragma GCC unroll 4
    for (; i + LANE_COUNT <= count; i += LANE_COUNT)
        lanes_store(out + i, lanes_load(in + i) * scale * lanes_load(weight + i));
    for (; i < count; i++)
        out[i] = in[i] * scale * weight[i];
}

/* Pairs a, b by angles with cosine c and sine s. */
static inline void rotate(float *a, float *b, const float *c, const float *s)
{
    lanes x = lanes_load(a), y = lanes_load(b), cosine = lanes_load(c), sine = lanes_load(s);
    lanes_store(a, x * cosine - y * sine);
    lanes_store(b, x * sine + y * cosine);
}

static void rope_halves(float *head, const float *cosine, const float *sine, size_t half)
{
    size_t i = 0, left = half % LANE_COUNT;
#pragma GCC unroll 4
    for (; i + LANE_COUNT <= half; i += LANE_COUNT)
        rotate(head + i, head + half + i, cosine + i, sine + i);
    if (left == 0)
        return;
    lanes a = load_rest(head + i, left), b = load_rest(head + half + i, left);
    lanes c = load_rest(cosine + i, left), s = load_rest(sine + i, left);
    store_rest(head + i, a * c - b * s, left);
    store_rest(head + half + i, a * s + b * c, left);
}

static void rope_pairs(float *head, const float *cosine, const float *sine, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        float a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = a * cosine[i] - b * sine[i];
        head[2 * i + 1] = a * sine[i] + b * cosine[i];
    }
}

static inline lanes silu_times(lanes x, lanes up)
{
    return x / (1 + lanes_exp(-x)) * up;
}

static void silu_gate(const float *gate, const float *up, float *out, size_t count)
{
    EACH(silu_times, gate, up, out, count)
}

/* 0.5 x (1 + tanh(u)) with u = √(2/π) (x + 0.044715 x³), Hendrycks and Gimpel 2016; 1 + tanh(u) = 2 ÷ (1 + exp(−2u)). */
static inline lanes gelu_times(lanes x, lanes up)
{
    const float root = 2 * 0.797884560802865f;
    lanes u = root * (x + 0.044715f * x * x * x);
    return x / (1 + lanes_exp(-u)) * up;
}

static void gelu_gate(const float *gate, const float *up, float *out, size_t count)
{
    EACH(gelu_times, gate, up, out, count)
}

static inline lanes plus(lanes a, lanes b)
{
    return a + b;
}

static void add(float *sum, const float *term, size_t count)
{
    EACH(plus, sum, term, sum, count)
}

/* The initialiser of a table. */
#define VECTOR_KERNELS(isa, flags)                                                                                     \
    {                                                                                                                  \
        (isa), (flags), rms_norm, rope_halves, rope_pairs, silu_gate, gelu_gate, add                                   \
    }

#endif
