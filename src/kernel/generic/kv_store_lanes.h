/* Storing vectors in q8 and q4, LANE_COUNT numbers at a time: a part of attention_int8_lanes.h. What is not finite is left to
 * plain C. */
#ifndef MOTE_KERNEL_GENERIC_KV_STORE_LANES_H
#define MOTE_KERNEL_GENERIC_KV_STORE_LANES_H

typedef uint8_t lane_bytes __attribute__((vector_size(LANE_COUNT)));

/* The low byte of each lane. */
INLINE void narrow_lanes(lane_bits value, uint8_t out[LANE_COUNT])
{
    lane_bytes bytes = __builtin_convertvector(value, lane_bytes);
    memcpy(out, &bytes, sizeof bytes);
}

/* ---- q8 ---- */

INLINE void q8_levels(const float *at, size_t count, float factor, uint8_t out[LANE_COUNT])
{
    lanes x = load_some(at, count) * factor, most = lanes_splat(127);
    x = lanes_most_of(x, -most);
    narrow_lanes(lanes_round(-lanes_most_of(-x, -most)), out);
}

static void store_key_q8(unsigned char *block, size_t lane, const float *key, size_t head_dim)
{
    uint16_t stored;
    int8_step scale = kv_scale_of(largest_of(key, head_dim), &stored);
    if (isnan(scale.step)) {
        keys_int8_generic[KV_Q8].store(block, lane, key, head_dim);
        return;
    }
    kv_put_scale(KV_Q8, block, lane, head_dim, stored);
    for (size_t d = 0; d < head_dim; d += LANE_COUNT) {
        uint8_t level[LANE_COUNT];
        q8_levels(key + d, head_dim - d, scale.factor, level);
        for (size_t i = 0; i < LANE_COUNT; i += 4)
            memcpy(block + ((d + i) / 4 * KV_BLOCK + lane) * 4, level + i, 4);
    }
}

static void store_value_q8(unsigned char *block, size_t lane, const float *value, size_t head_dim)
{
    uint16_t stored;
    int8_step scale = kv_scale_of(largest_of(value, head_dim), &stored);
    if (isnan(scale.step)) {
        values_int8_generic[KV_Q8].store(block, lane, value, head_dim);
        return;
    }
    kv_put_scale(KV_Q8, block, lane, head_dim, stored);
    unsigned char *cell = block + lane / 4 * 4 * kv_cell_dims(head_dim) + lane % 4;
    for (size_t d = 0; d < head_dim; d += LANE_COUNT) {
        uint8_t level[LANE_COUNT];
        q8_levels(value + d, head_dim - d, scale.factor, level);
        for (size_t i = 0; i < LANE_COUNT; i++)
            cell[4 * (d + i)] = level[i];
    }
}

/* ---- q4 ---- */

/* Steps outwards from the smallest level. */
INLINE lane_bits q4_steps(lane_bits sizes, size_t attempt)
{
    lane_bits steps = {0};
    for (size_t i = 0; i < KV_Q4_BOUNDS; i++)
        steps -= sizes > (int32_t)kv_q4_bounds[attempt][i]; /* true is −1 */
    return steps;
}

/* The size of a level: that before it, and the gap between them. */
INLINE lane_bits q4_sizes(lane_bits sizes, size_t attempt)
{
    static const int8_t levels[16] = {KV_Q4_LEVELS};
    lane_bits size = {0};
    size += KV_Q4_LEAST;
    for (size_t i = 0; i < KV_Q4_BOUNDS; i++)
        size += (sizes > (int32_t)kv_q4_bounds[attempt][i]) & (levels[9 + i] - levels[8 + i]);
    return size;
}

/* Numbers in −127 … 127, zeros behind the end. */
INLINE lane_bits q4_numbers(const float *at, size_t count, float factor)
{
    return lanes_round(load_some(at, count) * factor);
}

/* A vector that does not end with a lane brings sizes of no number, which are the smallest. */
static kv_q4_fit q4_fit(const float *at, size_t count, float factor, size_t attempt)
{
    lane_bits xy = {0}, yy = {0};
    size_t end = (count + LANE_COUNT - 1) / LANE_COUNT * LANE_COUNT;
    for (size_t d = 0; d < end; d += LANE_COUNT) {
        lane_bits x = q4_numbers(at + d, count - d, factor), minus = x >> 31, size = (x ^ minus) - minus;
        lane_bits y = q4_sizes(size, attempt);
        xy += size * y;
        yy += y * y;
    }
    return (kv_q4_fit){sum_lanes(xy), sum_lanes(yy) - KV_Q4_LEAST * KV_Q4_LEAST * (int32_t)(end - count)};
}

typedef struct q4_rounding {
    float factor;
    size_t attempt;
} q4_rounding;

/* `step`: of a finite vector. */
INLINE q4_rounding put_q4_scale(unsigned char *block, size_t lane, const float *at, size_t head_dim, int8_step step)
{
    kv_q4_fit first = q4_fit(at, head_dim, step.factor, 0), second = q4_fit(at, head_dim, step.factor, 1);
    bool better = kv_q4_better(first, second);
    kv_put_scale(KV_Q4, block, lane, head_dim, kv_q4_scale(step.step, better ? second : first));
    return (q4_rounding){step.factor, better};
}

/* Sixteen nibbles, of dims `d` and on. */
INLINE void q4_nibbles(const float *at, size_t head_dim, size_t d, q4_rounding by, uint8_t out[KV_BLOCK])
{
    for (size_t i = 0; i < KV_BLOCK; i += LANE_COUNT) {
        size_t left = d + i < head_dim ? head_dim - d - i : 0;
        lane_bits x = q4_numbers(at + d + i, left, by.factor), minus = x >> 31;
        narrow_lanes((q4_steps((x ^ minus) - minus, by.attempt) + 8) ^ (minus & 15), out + i);
    }
}

static void store_key_q4(unsigned char *block, size_t lane, const float *key, size_t head_dim)
{
    int8_step step = int8_step_of(largest_of(key, head_dim), 127);
    if (isnan(step.step)) {
        keys_int8_generic[KV_Q4].store(block, lane, key, head_dim);
        return;
    }
    q4_rounding by = put_q4_scale(block, lane, key, head_dim, step);
    for (size_t d = 0; d < head_dim; d += KV_BLOCK) {
        uint8_t nibble[KV_BLOCK];
        q4_nibbles(key, head_dim, d, by, nibble);
        for (size_t half = 0; half < 2; half++) {
            uint32_t bytes = load_u32(nibble + 8 * half) | load_u32(nibble + 8 * half + 4) << 4;
            store_u32(block + ((d / 8 + half) * KV_BLOCK + lane) * 4, bytes);
        }
    }
}

static void store_value_q4(unsigned char *block, size_t lane, const float *value, size_t head_dim)
{
    int8_step step = int8_step_of(largest_of(value, head_dim), 127);
    if (isnan(step.step)) {
        values_int8_generic[KV_Q4].store(block, lane, value, head_dim);
        return;
    }
    q4_rounding by = put_q4_scale(block, lane, value, head_dim, step);
    unsigned char *cell = block + lane / 4 * 2 * kv_cell_dims(head_dim) + lane % 4;
    for (size_t d = 0; d < head_dim; d += KV_BLOCK) {
        uint8_t nibble[KV_BLOCK];
        q4_nibbles(value, head_dim, d, by, nibble);
        for (size_t i = 0; i < 8; i++)
            cell[4 * (d / 2 + i)] = (unsigned char)(nibble[i] | nibble[8 + i] << 4);
    }
}

#endif
