/* Attention over a KV cache in q8 or q4, in plain C: what the kernels of every instruction set compute, to the bit. */
#include "kernel/attention_int8.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/generic/generic_kernels.h"

static const int8_t q4_levels[16] = {KV_Q4_LEVELS};

/* ---- where a level is ---- */

/* Of a position's key in its block; in q4 two dims share the byte. */
static size_t key_at(kv_type type, size_t lane, size_t d)
{
    return type == KV_Q8 ? (d / 4 * KV_BLOCK + lane) * 4 + d % 4 : (d / 8 * KV_BLOCK + lane) * 4 + d % 4;
}

static bool key_is_high(size_t d)
{
    return d % 8 >= 4;
}

static size_t value_at(kv_type type, size_t lane, size_t d, size_t dims)
{
    return type == KV_Q8 ? (lane / 4 * dims + d) * 4 + lane % 4
                         : (lane / 4 * dims / 2 + d / 16 * 8 + d % 8) * 4 + lane % 4;
}

static bool value_is_high(size_t d)
{
    return d % 16 >= 8;
}

static int level_of(kv_type type, unsigned char byte, bool high)
{
    return type == KV_Q8 ? (int8_t)byte : q4_levels[high ? byte >> 4 : byte & 15];
}

static int key_level(kv_type type, const unsigned char *block, size_t lane, size_t d)
{
    return level_of(type, block[key_at(type, lane, d)], key_is_high(d));
}

static int value_level(kv_type type, const unsigned char *block, size_t lane, size_t d, size_t dims)
{
    return level_of(type, block[value_at(type, lane, d, dims)], value_is_high(d));
}

static float position_scale(kv_type type, const unsigned char *blocks, size_t head_dim, size_t p)
{
    const unsigned char *block = blocks + p / KV_BLOCK * kv_block_bytes(type, head_dim);
    return f16_to_f32(load_u16(block + kv_scales_at(type, head_dim) + p % KV_BLOCK * sizeof(uint16_t)));
}

/* ---- storing ---- */

/* The largest size of the numbers; NaN if one of them is not finite. */
static float largest_of(const float *at, size_t count)
{
    float largest = 0;
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        float size = fabsf(at[i]);
        finite = finite && size < INFINITY;
        largest = size > largest ? size : largest;
    }
    return finite ? largest : NAN;
}

/* The level in q8. NaN times 0 would be none: what is not finite is stored as ones. */
static int8_t q8_level(float x, int8_step scale)
{
    float level = isnan(scale.step) ? 1 : rintf(x * scale.factor);
    return (int8_t)(level > 127 ? 127 : level < -127 ? -127 : level);
}

static int query_level(float x, int8_step step)
{
    return step.factor > 0 ? (int)rintf(x * step.factor) : 0;
}

/* The nibble for a number of −127 … 127. */
static unsigned q4_nibble(int x, size_t attempt)
{
    unsigned steps = 0;
    for (size_t i = 0; i < KV_Q4_BOUNDS; i++)
        steps += abs(x) > kv_q4_bounds[attempt][i];
    return x < 0 ? 7 - steps : 8 + steps;
}

static kv_q4_fit q4_fit(const float *numbers, size_t count, int8_step step, size_t attempt)
{
    kv_q4_fit fit = {0, 0};
    for (size_t i = 0; i < count; i++) {
        int x = query_level(numbers[i], step), y = q4_levels[q4_nibble(x, attempt)];
        fit.xy += x * y;
        fit.yy += y * y;
    }
    return fit;
}

/* How a vector becomes nibbles: its step to −127 … 127, and by which bounds. */
typedef struct q4_rounding {
    int8_step step;
    size_t attempt;
} q4_rounding;

static q4_rounding put_q4_scale(unsigned char *block, size_t lane, const float *numbers, size_t head_dim)
{
    int8_step step = int8_step_of(largest_of(numbers, head_dim), 127);
    kv_q4_fit first = q4_fit(numbers, head_dim, step, 0), second = q4_fit(numbers, head_dim, step, 1);
    bool better = kv_q4_better(first, second);
    kv_put_scale(KV_Q4, block, lane, head_dim, kv_q4_scale(step.step, better ? second : first));
    return (q4_rounding){step, better};
}

static void put_nibble(unsigned char *at, bool high, unsigned nibble)
{
    *at = (unsigned char)(high ? (*at & 15) | nibble << 4 : (*at & 240) | nibble);
}

static int8_step put_q8_scale(unsigned char *block, size_t lane, const float *numbers, size_t head_dim)
{
    uint16_t stored;
    int8_step scale = kv_scale_of(largest_of(numbers, head_dim), &stored);
    kv_put_scale(KV_Q8, block, lane, head_dim, stored);
    return scale;
}

static void store_key_q8(unsigned char *block, size_t lane, const float *key, size_t head_dim)
{
    int8_step scale = put_q8_scale(block, lane, key, head_dim);
    for (size_t d = 0; d < head_dim; d++)
        block[key_at(KV_Q8, lane, d)] = (unsigned char)q8_level(key[d], scale);
}

static void store_value_q8(unsigned char *block, size_t lane, const float *value, size_t head_dim)
{
    int8_step scale = put_q8_scale(block, lane, value, head_dim);
    for (size_t d = 0; d < head_dim; d++)
        block[value_at(KV_Q8, lane, d, kv_cell_dims(head_dim))] = (unsigned char)q8_level(value[d], scale);
}

/* Padding is a number, too: there is no nibble for 0. */
static void store_key_q4(unsigned char *block, size_t lane, const float *key, size_t head_dim)
{
    q4_rounding by = put_q4_scale(block, lane, key, head_dim);
    for (size_t d = 0; d < kv_cell_dims(head_dim); d++)
        put_nibble(&block[key_at(KV_Q4, lane, d)], key_is_high(d),
                   q4_nibble(d < head_dim ? query_level(key[d], by.step) : 0, by.attempt));
}

static void store_value_q4(unsigned char *block, size_t lane, const float *value, size_t head_dim)
{
    q4_rounding by = put_q4_scale(block, lane, value, head_dim);
    for (size_t d = 0, dims = kv_cell_dims(head_dim); d < dims; d++)
        put_nibble(&block[value_at(KV_Q4, lane, d, dims)], value_is_high(d),
                   q4_nibble(d < head_dim ? query_level(value[d], by.step) : 0, by.attempt));
}

/* ---- scores ---- */

static int8_rows queries_of(const attention_tile *tile, const float *queries)
{
    return int8_rows_at((float *)queries, tile->tokens * tile->group, kv_cell_dims(tile->head_dim));
}

static void prepare(const attention_tile *tile, float *queries)
{
    size_t dim = tile->head_dim;
    int8_rows q = queries_of(tile, queries);
    for (size_t row = 0; row < tile->tokens * tile->group; row++) {
        const float *from = tile->q + row / tile->group * tile->q_stride + row % tile->group * dim;
        int8_step step = int8_step_of(largest_of(from, dim), 127);
        memset(q.level + row * q.stride, 0, q.stride);
        for (size_t d = 0; d < dim; d++)
            q.level[row * q.stride + d] = (unsigned char)query_level(from[d], step);
        q.step[row] = step.step * tile->scale;
    }
}

static void score(kv_type type, const attention_tile *tile, const float *queries, const unsigned char *keys,
                  const seen_positions *seen, float *scores)
{
    size_t dim = tile->head_dim;
    int8_rows q = queries_of(tile, queries);
    for (size_t p = seen->first * KV_BLOCK; p < seen->last * KV_BLOCK; p++) {
        const unsigned char *block = keys + p / KV_BLOCK * kv_block_bytes(type, dim);
        float scale = position_scale(type, keys, dim, p);
        for (size_t row = 0; row < tile->tokens * tile->group; row++) {
            int32_t sum = 0;
            for (size_t d = 0; d < dim; d++)
                sum += key_level(type, block, p % KV_BLOCK, d) * (int8_t)q.level[row * q.stride + d];
            scores[row * SCORE_STRIDE + p] = (float)sum * (q.step[row] * scale);
        }
    }
}

static void score_q8(const attention_tile *tile, const float *queries, const unsigned char *keys,
                     const seen_positions *seen, float *scores)
{
    score(KV_Q8, tile, queries, keys, seen, scores);
}

static void score_q4(const attention_tile *tile, const float *queries, const unsigned char *keys,
                     const seen_positions *seen, float *scores)
{
    score(KV_Q4, tile, queries, keys, seen, scores);
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

static void mix(kv_type type, const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                const float *weights, float *out, float *own)
{
    size_t dim = tile->head_dim, dims = kv_cell_dims(dim), rows = tile->tokens * tile->group;
    int8_rows w = int8_rows_at(own, rows, SCORE_STRIDE);
    float scales[ATTENTION_CHUNK];
    for (size_t p = seen->begin; p < seen->end; p++)
        scales[p] = position_scale(type, values, dim, p);
    for (size_t row = 0; row < rows; row++) {
        unsigned char *level = w.level + row * w.stride;
        round_weights(seen, weights + row * SCORE_STRIDE, scales, &w.step[row], level);
        for (size_t d = 0; d < dims; d++) {
            int32_t sum = 0;
            for (size_t p = seen->begin; p < seen->end; p++) {
                const unsigned char *block = values + p / KV_BLOCK * kv_block_bytes(type, dim);
                sum += level[p] * value_level(type, block, p % KV_BLOCK, d, dims);
            }
            out[row * dims + d] = (float)sum * w.step[row];
        }
    }
}

static void mix_q8(const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                   const float *weights, float *out, float *own)
{
    mix(KV_Q8, tile, values, seen, weights, out, own);
}

static void mix_q4(const attention_tile *tile, const unsigned char *values, const seen_positions *seen,
                   const float *weights, float *out, float *own)
{
    mix(KV_Q4, tile, values, seen, weights, out, own);
}

const key_kernel keys_int8_generic[KV_TYPE_COUNT] = {
    [KV_Q8] = {"generic", 0, store_key_q8, prepare, score_q8},
    [KV_Q4] = {"generic", 0, store_key_q4, prepare, score_q4},
};
const value_kernel values_int8_generic[KV_TYPE_COUNT] = {
    [KV_Q8] = {"generic", 0, store_value_q8, mix_q8},
    [KV_Q4] = {"generic", 0, store_value_q4, mix_q4},
};
