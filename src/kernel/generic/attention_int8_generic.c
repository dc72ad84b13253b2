/* Attention over a KV cache in q8, in plain C: what the kernels of every instruction set compute, to the bit. */
#include "kernel/attention_int8.h"

#include <string.h>

#include "kernel/generic/generic_kernels.h"

/* ---- storing ---- */

/* NaN times 0 would be no level: what is not finite is stored as ones. */
static int8_t stored_level(float x, int8_step scale)
{
    return isnan(scale.step) ? 1 : kv_level(x, scale.factor);
}

static int8_step put_scale(unsigned char *block, size_t lane, const float *numbers, size_t head_dim)
{
    uint16_t stored;
    int8_step scale = kv_scale_of(int8_largest(numbers, head_dim), &stored);
    store_u16(block + KV_BLOCK * kv_cell_dims(head_dim) + lane * sizeof stored, stored);
    return scale;
}

static void store_key(unsigned char *block, size_t lane, const float *key, size_t head_dim)
{
    int8_step scale = put_scale(block, lane, key, head_dim);
    for (size_t d = 0; d < head_dim; d++)
        block[(d / 4 * KV_BLOCK + lane) * 4 + d % 4] = (unsigned char)stored_level(key[d], scale);
}

static void store_value(unsigned char *block, size_t lane, const float *value, size_t head_dim)
{
    int8_step scale = put_scale(block, lane, value, head_dim);
    unsigned char *quad = block + lane / 4 * 4 * kv_cell_dims(head_dim);
    for (size_t d = 0; d < head_dim; d++)
        quad[4 * d + lane % 4] = (unsigned char)stored_level(value[d], scale);
}

static float position_scale(const unsigned char *blocks, size_t head_dim, size_t p)
{
    const unsigned char *block = blocks + p / KV_BLOCK * kv_block_bytes(KV_Q8, head_dim);
    return f16_to_f32(load_u16(kv_int8_scales(block, head_dim) + p % KV_BLOCK * sizeof(uint16_t)));
}

/* ---- scores ---- */

static void round_queries(const attention_tile *tile, int8_rows q)
{
    size_t dim = tile->head_dim;
    for (size_t row = 0; row < tile->tokens * tile->group; row++) {
        const float *from = tile->q + row / tile->group * tile->q_stride + row % tile->group * dim;
        int8_step step = int8_step_of(int8_largest(from, dim), 127);
        memset(q.level + row * q.stride, 0, q.stride);
        for (size_t d = 0; d < dim && step.factor > 0; d++)
            q.level[row * q.stride + d] = (unsigned char)(int8_t)rintf(from[d] * step.factor);
        q.step[row] = step.step * tile->scale;
    }
}

static void score(const attention_tile *tile, const unsigned char *keys, const seen_positions *seen, float *scores,
                  float *own)
{
    size_t dim = tile->head_dim, dims = kv_cell_dims(dim), rows = tile->tokens * tile->group;
    int8_rows q = int8_rows_at(own, rows, dims);
    round_queries(tile, q);
    for (size_t p = seen->first * KV_BLOCK; p < seen->last * KV_BLOCK; p++) {
        const unsigned char *block = keys + p / KV_BLOCK * kv_block_bytes(KV_Q8, dim);
        float scale = position_scale(keys, dim, p);
        for (size_t row = 0; row < rows; row++) {
            const unsigned char *level = q.level + row * dims;
            int32_t sum = 0;
            for (size_t d = 0; d < dims; d++)
                sum += (int8_t)block[(d / 4 * KV_BLOCK + p % KV_BLOCK) * 4 + d % 4] * (int8_t)level[d];
            scores[row * SCORE_STRIDE + p] = (float)sum * (q.step[row] * scale);
        }
    }
}

/* ---- values ---- */

/* Weights times scales of the seen positions, in levels; those of all others are 0. */
static void round_weights(const seen_positions *seen, const float *weights, const float *scales, float *step,
                          unsigned char *level)
{
    float largest = 0, check = 0;
    memset(level, 0, SCORE_STRIDE);
    for (size_t p = seen->begin; p < seen->end; p++) {
        float weight = weights[p] * scales[p];
        check += weight - weight; /* NaN for what is not finite */
        largest = weight > largest ? weight : largest;
    }
    int8_step by = int8_step_of(check == 0 ? largest : NAN, 255);
    for (size_t p = seen->begin; p < seen->end && by.factor > 0; p++)
        level[p] = (unsigned char)rintf(weights[p] * scales[p] * by.factor);
    *step = by.step;
}

static void mix(const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                const float *weights, float *out, float *own)
{
    size_t dim = tile->head_dim, dims = kv_cell_dims(dim), rows = tile->tokens * tile->group;
    int8_rows w = int8_rows_at(own, rows, SCORE_STRIDE);
    float scales[ATTENTION_CHUNK];
    for (size_t p = seen->begin; p < seen->end; p++)
        scales[p] = position_scale(values, dim, p);
    for (size_t row = 0; row < rows; row++) {
        unsigned char *level = w.level + row * w.stride;
        round_weights(seen, weights + row * SCORE_STRIDE, scales, &w.step[row], level);
        for (size_t d = 0; d < dims; d++) {
            int32_t sum = 0;
            for (size_t p = seen->begin; p < seen->end; p++) {
                const unsigned char *block = values + p / KV_BLOCK * kv_block_bytes(KV_Q8, dim);
                sum += level[p] * (int8_t)block[(p % KV_BLOCK / 4 * dims + d) * 4 + p % 4];
            }
            out[row * dims + d] = (float)sum * w.step[row];
        }
    }
}

const key_kernel keys_int8_generic = {"generic", 0, store_key, score};
const value_kernel values_int8_generic = {"generic", 0, store_value, mix};
