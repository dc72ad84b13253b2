/* Generic attention over a KV cache in float or half precision.
 *
 * For one token and one KV head, the group of query heads that share it goes through the cache together, so that each
 * key and value is read and converted once:
 *
 *     scores[g][p] = scale · q[g] · k[p]      for every visible position p
 *     scores[g]    = softmax(scores[g])
 *     out[g]       = Σ_p scores[g][p] · v[p]
 */
#include "kernel/kernels.h"

#include <math.h>

#include "base/bytes.h"
#include "kernel/generic/generic_kernels.h"
#define LANE_COUNT 4
#include "kernel/generic/vector_lanes.h"

/* Scratch: one row of head_dim floats, then group × positions scores. */
static size_t scratch_bytes(size_t group, size_t head_dim, size_t positions)
{
    return (head_dim + group * positions) * sizeof(float);
}

static void softmax(float *scores, size_t count)
{
    float most = scores[0];
    for (size_t i = 1; i < count; i++)
        most = scores[i] > most ? scores[i] : most;
    float sum = 0;
    for (size_t i = 0; i < count; i++) {
        scores[i] = expf(scores[i] - most);
        sum += scores[i];
    }
    float scale = 1 / sum;
    for (size_t i = 0; i < count; i++)
        scores[i] *= scale;
}

static void scale_and_add(float *sum, const float *row, float weight, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += weight * row[i];
}

typedef const float *load_row(const void *row, float *buffer, size_t count);

static inline void attend(const attention_job *job, void *scratch, size_t value_bytes, load_row *load)
{
    float *buffer = scratch, *scores = buffer + job->head_dim;
    size_t dim = job->head_dim, positions = job->span[0].count + job->span[1].count, p = 0;
    for (size_t s = 0; s < 2; s++) {
        const unsigned char *key = job->span[s].keys;
        for (size_t i = 0; i < job->span[s].count; i++, p++, key += dim * value_bytes) {
            const float *k = load(key, buffer, dim);
            for (size_t g = 0; g < job->group; g++)
                scores[g * positions + p] = job->scale * lanes_dot(job->q + g * dim, k, dim);
        }
    }
    for (size_t g = 0; g < job->group; g++)
        softmax(scores + g * positions, positions);

    memset(job->out, 0, job->group * dim * sizeof(float));
    p = 0;
    for (size_t s = 0; s < 2; s++) {
        const unsigned char *value = job->span[s].values;
        for (size_t i = 0; i < job->span[s].count; i++, p++, value += dim * value_bytes) {
            const float *v = load(value, buffer, dim);
            for (size_t g = 0; g < job->group; g++)
                scale_and_add(job->out + g * dim, v, scores[g * positions + p], dim);
        }
    }
}

static const float *row_f32(const void *row, float *buffer, size_t count)
{
    (void)buffer, (void)count;
    return row;
}

static const float *row_f16(const void *row, float *buffer, size_t count)
{
    const uint16_t *half = row;
    for (size_t i = 0; i < count; i++)
        buffer[i] = f16_to_f32(half[i]);
    return buffer;
}

static void run_f32(const attention_job *job, void *scratch)
{
    attend(job, scratch, sizeof(float), row_f32);
}

static void run_f16(const attention_job *job, void *scratch)
{
    attend(job, scratch, sizeof(uint16_t), row_f16);
}

static void store_f32(void *row, const float *values, size_t count)
{
    memcpy(row, values, count * sizeof *values);
}

static void store_f16(void *row, const float *values, size_t count)
{
    uint16_t *half = row;
    for (size_t i = 0; i < count; i++)
        half[i] = f16_from_f32(values[i]);
}

const attention_kernel attention_generic_f32 = {
    .name = "generic",
    .value_bytes = sizeof(float),
    .store = store_f32,
    .scratch_bytes = scratch_bytes,
    .run = run_f32,
};

const attention_kernel attention_generic_f16 = {
    .name = "generic",
    .value_bytes = sizeof(uint16_t),
    .store = store_f16,
    .scratch_bytes = scratch_bytes,
    .run = run_f16,
};
