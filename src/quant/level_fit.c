/* Alternating least squares from many beginnings. All numbers here are scaled by a power of two so that the largest value
 * is in [½, 1): squares of the smallest float would vanish, those of the largest overflow. */
#include "quant/level_fit.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"

/* ------------------------------------------------------------------------------------------------------------ vectors */

enum { LANES = 4 };

typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lane_bits __attribute__((vector_size(16)));

static inline lanes load(const float *at)
{
    lanes v;
    memcpy(&v, at, sizeof v);
    return v;
}

static inline lanes all(float value)
{
    return (lanes){value, value, value, value};
}

static inline float sum(lanes v)
{
    return (v[0] + v[1]) + (v[2] + v[3]);
}

static inline lanes choose(lane_bits which, lanes yes, lanes no)
{
    return (lanes)(((lane_bits)yes & which) | ((lane_bits)no & ~which));
}

/* To the nearest whole number: 1.5 × 2²³ leaves no room for a fraction. For less than 2²² in magnitude. */
static inline lanes rounded(lanes v)
{
    return v + all(0x1.8p23f) - all(0x1.8p23f);
}

/* ------------------------------------------------------------------------------------------------------------- levels */

/* Values and weights of a group, and the levels they have. */
typedef struct level_group {
    const float *x, *w;
    float *q;
    size_t count;
} level_group;

static inline lanes nearest_whole(lanes v, float lowest, float highest)
{
    v = choose(v > all(lowest), v, all(lowest)); /* first: also for NaN */
    v = choose(v < all(highest), v, all(highest));
    return rounded(v);
}

/* The level changes halfway between two of them. */
static inline lanes nearest_of(lanes v, const int8_t *table)
{
    lanes level = all(table[0]);
    for (size_t i = 1; i < 16; i++) {
        lane_bits above = v > all(0.5f * (float)(table[i - 1] + table[i]));
        level += (lanes)((lane_bits)all((float)(table[i] - table[i - 1])) & above);
    }
    return level;
}

static inline lanes nearest(const level_set *set, lanes v)
{
    return set->table != NULL ? nearest_of(v, set->table) : nearest_whole(v, set->lowest, set->highest);
}

/* What least squares needs to know of a choice of levels. */
typedef struct level_sums {
    float qq, xq; /* Σ w q², Σ w x q */
    float q, x, w;
} level_sums;

static float inverse(float scale)
{
    return fabsf(scale) > 0x1p-100f ? 1 / scale : 0;
}

/* Gives every value the level nearest to (x + minimum) · per_step. */
static level_sums assign(const level_set *set, level_group group, float per_step, float minimum)
{
    lanes qq = all(0), xq = all(0), wq = all(0);
    for (size_t i = 0; i < group.count; i += LANES) {
        lanes x = load(group.x + i), w = load(group.w + i);
        lanes q = nearest(set, (x + all(minimum)) * all(per_step));
        lanes one = w * q;
        memcpy(group.q + i, &q, sizeof q);
        qq += one * q;
        xq += one * x;
        wq += one;
    }
    return (level_sums){.qq = sum(qq), .xq = sum(xq), .q = sum(wq)};
}

/* The same for a known scale and minimum, and what error that leaves. */
static float assign_best(const level_set *set, level_group group, float scale, float minimum)
{
    lanes error = all(0), per_step = all(inverse(scale));
    for (size_t i = 0; i < group.count; i += LANES) {
        lanes x = load(group.x + i) + all(minimum);
        lanes q = nearest(set, x * per_step);
        lanes missing = x - all(scale) * q;
        memcpy(group.q + i, &q, sizeof q);
        error += load(group.w + i) * missing * missing;
    }
    return sum(error);
}

static level_sums sums_of(level_group group)
{
    lanes qq = all(0), xq = all(0), wq = all(0), wx = all(0), ww = all(0);
    for (size_t i = 0; i < group.count; i += LANES) {
        lanes x = load(group.x + i), w = load(group.w + i), q = load(group.q + i);
        qq += w * q * q;
        xq += w * x * q;
        wq += w * q;
        wx += w * x;
        ww += w;
    }
    return (level_sums){sum(qq), sum(xq), sum(wq), sum(wx), sum(ww)};
}

/* Smallest and largest of the values that count, and of `first`. */
static void find_range(level_group group, float first, float *low, float *high)
{
    *low = *high = first;
    for (size_t i = 0; i < group.count; i++)
        if (group.w[i] > 0) {
            *low = fminf(*low, group.x[i]);
            *high = fmaxf(*high, group.x[i]);
        }
}

static float some_value(level_group group)
{
    for (size_t i = 0; i < group.count; i++)
        if (group.w[i] > 0)
            return group.x[i];
    return 0;
}

/* -------------------------------------------------------------------------------------------------------- one group */

/* A line through levels: scale and minimum, and by how much they lower the error from Σ w x². */
typedef struct level_line {
    float scale, minimum, gain;
} level_line;

enum { REFITS = 6 };

/* Beginnings: the outermost level, in steps, that the largest value is put on. Below it is rounded down to the outermost
 * level, beyond it is clipped: a few levels for values of which one sticks out, several times over for an outlier that
 * counts little. */
enum { BEGINNINGS = 28, NEAR_BEGINNINGS = 22 };

static float beginning(size_t index, float reach)
{
    if (index >= NEAR_BEGINNINGS)
        return reach * (1.3f + 0.3f * (float)((index - NEAR_BEGINNINGS) * (index - NEAR_BEGINNINGS)));
    float widest = reach < 8 ? 0.12f * reach : 1;
    return reach + widest * ((float)index - 8) * 0.125f;
}

static level_line scaled_line(level_sums s)
{
    float scale = s.qq > 0 ? s.xq / s.qq : 0;
    return (level_line){scale, 0, scale * s.xq};
}

/* Without a minimum. The sign of the scale is part of the search: most formats reach further on one side. */
static level_line fit_scaled(const level_set *set, level_group group)
{
    float low, high;
    level_line best = {0};
    find_range(group, 0, &low, &high);
    float largest = fmaxf(-low, high), sign = high >= -low ? 1 : -1;
    for (size_t i = 0; i < 2 * BEGINNINGS && largest > 0; i++) {
        float reach = i < BEGINNINGS ? set->highest : set->lowest; /* where the largest value goes */
        if (reach == 0)
            continue;
        float per_step = copysignf(beginning(i % BEGINNINGS, fabsf(reach)), reach) * sign / largest;
        level_line line = scaled_line(assign(set, group, per_step, 0));
        if (line.gain > best.gain)
            best = line;
    }
    for (size_t i = 0; i < REFITS; i++) {
        level_line line = scaled_line(assign(set, group, inverse(best.scale), 0));
        if (!(line.gain > best.gain))
            break;
        best = line;
    }
    return best;
}

/* Least squares in scale and minimum. `signs`: the minimum may be negative, that is, added. */
static level_line offset_line(level_sums s, bool signs)
{
    float determinant = s.qq * s.w - s.q * s.q;
    level_line line = {0};
    if (determinant > 1e-6f * s.qq * s.w) {
        line.scale = (s.xq * s.w - s.x * s.q) / determinant;
        line.minimum = (s.xq * s.q - s.x * s.qq) / determinant;
    } else {
        line.minimum = s.w > 0 ? -s.x / s.w : 0;
    }
    if (line.minimum < 0 && !signs) {
        line.minimum = 0;
        line.scale = s.qq > 0 ? s.xq / s.qq : 0;
    }
    line.gain = line.scale * s.xq - line.minimum * s.x;
    return line;
}

/* The sums over values alone, which no choice of levels changes. */
static level_sums with_values(level_sums levels, level_sums values)
{
    levels.x = values.x;
    levels.w = values.w;
    return levels;
}

static level_line fit_offset(const level_set *set, level_group group, bool signs)
{
    float low, high;
    find_range(group, signs ? some_value(group) : 0, &low, &high);
    level_sums values = sums_of(group);
    level_line best = offset_line((level_sums){.x = values.x, .w = values.w}, signs);
    for (size_t i = 0; i < BEGINNINGS && high > low; i++) {
        float per_step = beginning(i, set->highest) / (high - low);
        level_line line = offset_line(with_values(assign(set, group, per_step, -low), values), signs);
        line = offset_line(with_values(assign(set, group, inverse(line.scale), line.minimum), values), signs);
        if (line.gain > best.gain)
            best = line;
    }
    for (size_t i = 0; i < REFITS; i++) {
        level_sums levels = assign(set, group, inverse(best.scale), best.minimum);
        level_line line = offset_line(with_values(levels, values), signs);
        if (!(line.gain > best.gain))
            break;
        best = line;
    }
    return best;
}

/* ------------------------------------------------------------------------------------------------------ a super-block */

/* Everything about one super-block, scaled. */
typedef struct super_state {
    const level_shape *shape;
    int exponent; /* values here are those of the caller × 2^−exponent */
    float x[LEVEL_FIT_MOST], w[LEVEL_FIT_MOST], q[LEVEL_FIT_MOST];
    float scale, minimum; /* as the halves in `fit` stand for them */
    float error;
    level_fit *fit;
} super_state;

static level_group group_of(super_state *s, size_t index)
{
    size_t at = index * s->shape->group;
    return (level_group){s->x + at, s->w + at, s->q + at, s->shape->group};
}

static size_t groups_of(const super_state *s)
{
    return s->shape->count / s->shape->group;
}

/* Values scaled to at most 1, weights too; both without what is no number. */
static void take(super_state *s, const float *values, const float *importance)
{
    float largest = 0, heaviest = 0;
    size_t count = s->shape->count;
    for (size_t i = 0; i < count; i++) {
        bool counts = isfinite(values[i]);
        float weight = importance != NULL ? importance[i] : 1;
        s->x[i] = counts ? values[i] : 0;
        s->w[i] = counts && weight > 0 && isfinite(weight) ? weight : 0;
        largest = fmaxf(largest, fabsf(s->x[i]));
        heaviest = fmaxf(heaviest, s->w[i]);
    }
    int weight_exponent = 0;
    frexpf(largest, &s->exponent);
    frexpf(heaviest, &weight_exponent);
    for (size_t i = 0; i < count; i++) {
        s->x[i] = ldexpf(s->x[i], -s->exponent);
        s->w[i] = heaviest > 0 ? ldexpf(s->w[i], -weight_exponent) : isfinite(values[i]);
    }
}

/* Rounds a scale to the half that will be stored; half precision ends at 65504. */
static float to_half(const super_state *s, float value, uint16_t *half)
{
    float true_value = ldexpf(value, s->exponent);
    *half = f16_from_f32(fmaxf(-65504, fminf(65504, true_value)));
    return ldexpf(f16_to_f32(*half), -s->exponent);
}

static float group_scale(const super_state *s, size_t g)
{
    return s->scale * (float)s->fit->scales[g];
}

static float group_minimum(const super_state *s, size_t g)
{
    return s->shape->offset ? s->minimum * (float)s->fit->minimums[g] : 0;
}

/* Rounds the groups' best scales (or minimums) to multiples of one number, which is returned. */
static float share(const level_shape *shape, const float *values, const float *weights, size_t groups, int16_t *parts)
{
    float q[LEVEL_FIT_GROUPS] = {0};
    level_set set = {NULL, (int8_t)shape->lowest_part, (int8_t)shape->highest_part};
    level_line line = fit_scaled(&set, (level_group){values, weights, q, groups});
    for (size_t g = 0; g < groups; g++)
        parts[g] = (int16_t)q[g];
    return line.scale;
}

/* The groups each for itself, then together. */
static void begin(super_state *s)
{
    const level_shape *shape = s->shape;
    float scales[LEVEL_FIT_GROUPS] = {0}, minimums[LEVEL_FIT_GROUPS] = {0};
    float scale_weights[LEVEL_FIT_GROUPS] = {0}, minimum_weights[LEVEL_FIT_GROUPS] = {0};
    for (size_t g = 0; g < groups_of(s); g++) {
        level_group group = group_of(s, g);
        bool signs = shape->lowest_part == shape->highest_part;
        level_line line = shape->offset ? fit_offset(&shape->levels, group, signs) : fit_scaled(&shape->levels, group);
        level_sums sums = sums_of(group);
        scales[g] = line.scale;
        minimums[g] = line.minimum;
        scale_weights[g] = sums.qq;
        minimum_weights[g] = sums.w;
    }
    if (shape->lowest_part == shape->highest_part) {
        s->fit->scales[0] = s->fit->minimums[0] = 1;
        s->scale = scales[0];
        s->minimum = minimums[0];
    } else {
        s->scale = share(shape, scales, scale_weights, groups_of(s), s->fit->scales);
        s->minimum = shape->offset ? share(shape, minimums, minimum_weights, groups_of(s), s->fit->minimums) : 0;
    }
}

static void round_scales(super_state *s)
{
    s->scale = to_half(s, s->scale, &s->fit->scale);
    s->minimum = to_half(s, s->minimum, &s->fit->minimum);
}

/* Tries one pair of parts for a group; keeps it if it is better than `error`. */
static void try_parts(super_state *s, size_t g, int scale, int minimum, float *error)
{
    float q[LEVEL_FIT_MOST];
    level_group group = group_of(s, g);
    float *kept = group.q;
    group.q = q;
    float found = assign_best(&s->shape->levels, group, s->scale * (float)scale, s->minimum * (float)minimum);
    if (found < *error) {
        *error = found;
        memcpy(kept, q, group.count * sizeof *q);
        s->fit->scales[g] = (int16_t)scale;
        s->fit->minimums[g] = (int16_t)minimum;
    }
}

static int limited_part(const super_state *s, float value)
{
    if (!(value > s->shape->lowest_part))
        return s->shape->lowest_part;
    return value < s->shape->highest_part ? (int)value : s->shape->highest_part;
}

/* Parts near the best ones for the levels a group has: two below and two above, and to each the minimum that suits it. */
static float improve_group(super_state *s, size_t g)
{
    level_group group = group_of(s, g);
    const level_set *set = &s->shape->levels;
    float error = assign_best(set, group, group_scale(s, g), group_minimum(s, g));
    level_sums sums = sums_of(group);
    level_line line = s->shape->offset ? offset_line(sums, false) : scaled_line(sums);
    float part = floorf(line.scale * inverse(s->scale));
    for (int step = -1; step <= 2; step++) {
        int scale = limited_part(s, part + (float)step);
        float minimum = sums.w > 0 ? (s->scale * (float)scale * sums.q - sums.x) / sums.w : 0;
        int below = s->shape->offset ? limited_part(s, floorf(minimum * inverse(s->minimum))) : 0;
        try_parts(s, g, scale, below, &error);
        if (s->shape->offset)
            try_parts(s, g, scale, limited_part(s, (float)below + 1), &error);
    }
    return error;
}

/* Scale and minimum of the super-block for the levels and parts it has: least squares over all groups. */
static void refit(super_state *s)
{
    double aa = 0, bb = 0, ab = 0, ax = 0, bx = 0; /* a: part × level; b: part of the minimum */
    for (size_t g = 0; g < groups_of(s); g++) {
        level_sums sums = sums_of(group_of(s, g));
        double a = s->fit->scales[g], b = s->shape->offset ? s->fit->minimums[g] : 0;
        aa += a * a * (double)sums.qq;
        bb += b * b * (double)sums.w;
        ab += a * b * (double)sums.q;
        ax += a * (double)sums.xq;
        bx += b * (double)sums.x;
    }
    double determinant = aa * bb - ab * ab;
    if (determinant > 1e-9 * aa * bb) {
        s->scale = (float)((ax * bb - bx * ab) / determinant);
        s->minimum = (float)((ax * ab - bx * aa) / determinant);
    } else if (aa > 0 && bb == 0) {
        s->scale = (float)(ax / aa);
    }
}

static float improve(super_state *s)
{
    float error = 0;
    bool parts = s->shape->lowest_part < s->shape->highest_part;
    for (size_t g = 0; g < groups_of(s); g++)
        error += parts ? improve_group(s, g)
                       : assign_best(&s->shape->levels, group_of(s, g), group_scale(s, g), group_minimum(s, g));
    return error;
}

static void keep_levels(super_state *s)
{
    for (size_t i = 0; i < s->shape->count; i++)
        s->fit->levels[i] = (int8_t)s->q[i];
}

static void find(const level_shape *shape, const float *values, const float *importance, level_fit *out)
{
    enum { ROUNDS = 4 };
    level_fit tried = {0};
    super_state s = {.shape = shape, .fit = &tried};
    float least = INFINITY;
    take(&s, values, importance);
    begin(&s);
    for (int round = 0; round < ROUNDS; round++) {
        round_scales(&s);
        float error = improve(&s);
        if (!(error < least))
            break;
        least = error;
        keep_levels(&s);
        *out = tried;
        refit(&s);
    }
}

void level_fit_blocks(const level_shape *shape, level_packer *pack, size_t block_bytes, const float *values,
                      const float *importance, void *blocks, size_t count)
{
    unsigned char *block = blocks;
    for (size_t at = 0; at < count; at += shape->count, block += block_bytes) {
        level_fit fit = {0};
        find(shape, values + at, importance != NULL ? importance + at : NULL, &fit);
        pack(&fit, block);
    }
}
