/* Vector operations: norms, rotary embedding, gated activations. The body of one table for each instruction set: the
 * including file defines LANE_COUNT, names its table, and is compiled with its own flags. Lanes behind the end of a row
 * are filled up with zeros, so that a number is computed the same way wherever it stands. */
#ifndef MOTE_KERNEL_GENERIC_VECTORS_LANES_H
#define MOTE_KERNEL_GENERIC_VECTORS_LANES_H

#include <math.h>

#include "kernel/generic/exp_lanes.h"
#include "kernel/kernels.h"

/* Up to LANE_COUNT numbers. */
static inline lanes load_some(const float *at, size_t count)
{
    lanes value = {0};
    if (count >= LANE_COUNT)
        return lanes_load(at);
    memcpy(&value, at, count * sizeof(float));
    return value;
}

static inline void store_some(float *at, lanes value, size_t count)
{
    if (count >= LANE_COUNT)
        lanes_store(at, value);
    else
        memcpy(at, &value, count * sizeof(float));
}

static void rms_norm(const float *in, const float *weight, float epsilon, float *out, size_t count)
{
    float mean = lanes_dot(in, in, count) / (float)count;
    float scale = 1 / sqrtf(mean + epsilon);
    for (size_t i = 0; i < count; i += LANE_COUNT)
        store_some(out + i, load_some(in + i, count - i) * scale * load_some(weight + i, count - i), count - i);
}

static void rope_halves(float *head, const float *cosine, const float *sine, size_t half)
{
    for (size_t i = 0; i < half; i += LANE_COUNT) {
        size_t left = half - i;
        lanes a = load_some(head + i, left), b = load_some(head + half + i, left);
        lanes c = load_some(cosine + i, left), s = load_some(sine + i, left);
        store_some(head + i, a * c - b * s, left);
        store_some(head + half + i, a * s + b * c, left);
    }
}

static void rope_pairs(float *head, const float *cosine, const float *sine, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        float a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = a * cosine[i] - b * sine[i];
        head[2 * i + 1] = a * sine[i] + b * cosine[i];
    }
}

static void silu_gate(const float *gate, const float *up, float *out, size_t count)
{
    for (size_t i = 0; i < count; i += LANE_COUNT) {
        lanes x = load_some(gate + i, count - i);
        store_some(out + i, x / (1 + lanes_exp(-x)) * load_some(up + i, count - i), count - i);
    }
}

/* 0.5 x (1 + tanh(u)) with u = √(2/π) (x + 0.044715 x³), Hendrycks and Gimpel 2016; 1 + tanh(u) = 2 ÷ (1 + exp(−2u)). */
static void gelu_gate(const float *gate, const float *up, float *out, size_t count)
{
    const float root = 2 * 0.797884560802865f;
    for (size_t i = 0; i < count; i += LANE_COUNT) {
        lanes x = load_some(gate + i, count - i), u = root * (x + 0.044715f * x * x * x);
        store_some(out + i, x / (1 + lanes_exp(-u)) * load_some(up + i, count - i), count - i);
    }
}

static void add(float *sum, const float *term, size_t count)
{
    for (size_t i = 0; i < count; i += LANE_COUNT)
        store_some(sum + i, load_some(sum + i, count - i) + load_some(term + i, count - i), count - i);
}

/* The initialiser of a table. */
#define VECTOR_KERNELS(isa, flags)                                                                                     \
    {                                                                                                                  \
        (isa), (flags), rms_norm, rope_halves, rope_pairs, silu_gate, gelu_gate, add                                   \
    }

#endif
