/* Generic vector operations: norms, rotary embedding, gated activations. */
#include "kernel/kernels.h"

#include <math.h>

#include "kernel/generic/generic_kernels.h"
#define LANE_COUNT 4
#include "kernel/generic/vector_lanes.h"

static void rms_norm(const float *in, const float *weight, float epsilon, float *out, size_t count)
{
    float mean = lanes_dot(in, in, count) / (float)count;
    float scale = 1 / sqrtf(mean + epsilon);
    for (size_t i = 0; i < count; i++)
        out[i] = in[i] * scale * weight[i];
}

static void rope_halves(float *head, const float *cosine, const float *sine, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        float a = head[i], b = head[i + half];
        head[i] = a * cosine[i] - b * sine[i];
        head[i + half] = a * sine[i] + b * cosine[i];
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

static void silu_gate(float *gate, const float *up, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gate[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

/* 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), Hendrycks and Gimpel 2016. */
static void gelu_gate(float *gate, const float *up, size_t count)
{
    const float root = 0.797884560802865f;
    for (size_t i = 0; i < count; i++) {
        float x = gate[i];
        gate[i] = 0.5f * x * (1 + tanhf(root * (x + 0.044715f * x * x * x))) * up[i];
    }
}

static void add(float *sum, const float *term, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += term[i];
}

const vector_kernels vectors_generic = {
    .name = "generic",
    .rms_norm = rms_norm,
    .rope_halves = rope_halves,
    .rope_pairs = rope_pairs,
    .silu_gate = silu_gate,
    .gelu_gate = gelu_gate,
    .add = add,
};
