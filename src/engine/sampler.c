/* From logits to a token: bias, penalties, top-k, typical-p, top-p, min-p, temperature, draw.
 *
 * Every step that keeps only the best candidates works the same way: a heap over the candidates, from which the best are
 * taken until there are enough. So nothing is sorted that is not kept. Ties fall to the smaller id, sums run in a fixed
 * order, and the draw comes from a counter: the same seed and logits give the same token anywhere. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "engine/model_handle.h"

enum {
    MOST_PENALTY_WINDOW = 4096,
    BLOCK = 64 /* logits that are passed over at once */
};

typedef struct token_count {
    mote_token token;
    uint32_t count;
} token_count;

struct mote_sampler {
    mote_sampling options; /* bias points to the copy below */
    mote_logit_bias *bias;
    size_t vocabulary;
    mote_token *candidate; /* [room]; no more than ids, since there may be one for each token of a vocabulary */
    size_t room;
    uint64_t drawn; /* random numbers so far */

    /* Penalties: the last penalty_window tokens as a ring, and how often each of them is in it, in no order. */
    mote_token *recent;
    size_t recent_count;
    size_t recent_next;
    token_count *seen; /* [penalty_window] */
    size_t seen_count;
};

void mote_sampling_init(mote_sampling *sampling)
{
    *sampling = (mote_sampling){
        .temperature = 0.7f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typical_p = 1,
        .repeat_penalty = 1,
        .penalty_window = 64,
    };
}

/* ---- opening ---- */

typedef struct field {
    const char *name;
    float value;
    float min;
    float max;
} field;

static mote_status check_options(const mote_sampling *o, size_t ids, mote_error *error)
{
    const field fields[] = {
        {"temperature", o->temperature, 0, 100},
        {"top_p", o->top_p, 0, 1},
        {"min_p", o->min_p, 0, 1},
        {"typical_p", o->typical_p, 0, 1},
        {"repeat_penalty", o->repeat_penalty, 0.01f, 100},
        {"presence_penalty", o->presence_penalty, -100, 100},
        {"frequency_penalty", o->frequency_penalty, -100, 100},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!(fields[i].value >= fields[i].min && fields[i].value <= fields[i].max))
            return fail(error, MOTE_E_ARGUMENT, "%s is %g; choose a number from %g to %g", fields[i].name,
                        (double)fields[i].value, (double)fields[i].min, (double)fields[i].max);
    if (o->penalty_window > MOST_PENALTY_WINDOW)
        return fail(error, MOTE_E_ARGUMENT, "penalty_window is %u; choose at most %d", o->penalty_window,
                    MOST_PENALTY_WINDOW);
    for (size_t i = 0; i < o->bias_count; i++) {
        if (o->bias[i].token < 0 || (size_t)o->bias[i].token >= ids)
            return fail(error, MOTE_E_ARGUMENT, "bias names token %d; the vocabulary has %zu", o->bias[i].token, ids);
        if (!isfinite(o->bias[i].bias))
            return fail(error, MOTE_E_ARGUMENT, "bias of token %d is %g; choose a finite number", o->bias[i].token,
                        (double)o->bias[i].bias);
    }
    return MOTE_OK;
}

static bool penalises(const mote_sampling *o)
{
    return o->penalty_window > 0 && (o->repeat_penalty != 1 || o->presence_penalty != 0 || o->frequency_penalty != 0);
}

/* In candidates: for twice top_k (take_top_k), or for every id. */
static size_t room_for(uint32_t top_k, size_t ids)
{
    return top_k > 0 && top_k < ids / 2 ? 2 * (size_t)top_k : ids;
}

static bool allocate(mote_sampler *s, const mote_sampling *o)
{
    if (o->bias_count > 0) {
        s->bias = malloc(o->bias_count * sizeof *s->bias);
        if (s->bias == NULL)
            return false;
        memcpy(s->bias, o->bias, o->bias_count * sizeof *s->bias);
        s->options.bias = s->bias;
    }
    if ((s->candidate = malloc(s->room * sizeof *s->candidate)) == NULL)
        return false;
    if (!penalises(o))
        return true;
    s->recent = malloc(o->penalty_window * sizeof *s->recent);
    s->seen = malloc(o->penalty_window * sizeof *s->seen);
    return s->recent != NULL && s->seen != NULL;
}

mote_status mote_sampler_open(mote_sampler **out, const mote_model *m, const mote_sampling *sampling, mote_error *error)
{
    *out = NULL;
    mote_sampling defaults;
    mote_sampling_init(&defaults);
    const mote_sampling *o = sampling != NULL ? sampling : &defaults;
    if (!m->loaded)
        return fail(error, MOTE_E_ARGUMENT, "%s was opened without its weights; open it with MOTE_PARTS_ALL",
                    gguf_name(m->file));
    mote_status status = check_options(o, m->config.vocabulary, error);
    if (status != MOTE_OK)
        return status;
    mote_sampler *s = calloc(1, sizeof *s);
    if (s == NULL)
        return fail_memory(error, sizeof *s, "a sampler");
    s->options = *o;
    if (o->temperature == 0) /* the best one, whatever the filters say */
        s->options.top_k = 1;
    s->vocabulary = m->config.vocabulary;
    s->room = room_for(s->options.top_k, s->vocabulary);
    if (!allocate(s, o)) {
        size_t bytes = s->room * sizeof *s->candidate;
        mote_sampler_close(s);
        return fail_memory(error, bytes, "a sampler");
    }
    *out = s;
    return MOTE_OK;
}

void mote_sampler_close(mote_sampler *s)
{
    if (s == NULL)
        return;
    free(s->bias);
    free(s->candidate);
    free(s->recent);
    free(s->seen);
    free(s);
}

/* ---- bias and penalties: on the logits themselves ---- */

/* The place of a token among those seen; their number if it is not there. */
static size_t find_seen(const mote_sampler *s, mote_token token)
{
    size_t at = 0;
    while (at < s->seen_count && s->seen[at].token != token)
        at++;
    return at;
}

void mote_sampler_accept(mote_sampler *s, mote_token token)
{
    if (s->recent == NULL || token < 0 || (size_t)token >= s->vocabulary)
        return;
    if (s->recent_count == s->options.penalty_window) {
        size_t old = find_seen(s, s->recent[s->recent_next]);
        if (--s->seen[old].count == 0)
            s->seen[old] = s->seen[--s->seen_count];
    } else {
        s->recent_count++;
    }
    size_t at = find_seen(s, token);
    if (at == s->seen_count)
        s->seen[s->seen_count++] = (token_count){.token = token};
    s->seen[at].count++;
    s->recent[s->recent_next] = token;
    s->recent_next = (s->recent_next + 1) % s->options.penalty_window;
}

/* Repetition as in CTRL (Keskar et al. 2019), presence and frequency as in OpenAI's API. Each token once. */
static void penalise(const mote_sampler *s, float *logits)
{
    const mote_sampling *o = &s->options;
    for (size_t i = 0; i < s->seen_count; i++) {
        float *logit = &logits[s->seen[i].token];
        *logit = *logit > 0 ? *logit / o->repeat_penalty : *logit * o->repeat_penalty;
        *logit = *logit - (float)s->seen[i].count * o->frequency_penalty - o->presence_penalty;
    }
}

/* ---- candidates ---- */

/* What candidates are ordered by: the largest logit first, or the one nearest to a centre. Ties: the smaller id. */
typedef struct order {
    const float *logits;
    bool centred;
    float centre;
} order;

static bool better(const order *by, mote_token a, mote_token b)
{
    float x = by->logits[a], y = by->logits[b];
    if (by->centred) {
        x = -fabsf(x - by->centre);
        y = -fabsf(y - by->centre);
    }
    return x != y ? x > y : a < b;
}

static void swap(mote_token *a, mote_token *b)
{
    mote_token c = *a;
    *a = *b;
    *b = c;
}

static void sift_down(const order *by, mote_token *heap, size_t count, size_t at)
{
    for (;;) {
        size_t best = at, left = 2 * at + 1;
        if (left < count && better(by, heap[left], heap[best]))
            best = left;
        if (left + 1 < count && better(by, heap[left + 1], heap[best]))
            best = left + 1;
        if (best == at)
            return;
        swap(&heap[at], &heap[best]);
        at = best;
    }
}

/* A softmax over candidates: p of a logit is exp((logit − most) ÷ temperature) ÷ sum. */
typedef struct softmax {
    const float *logits;
    float most;
    float temperature;
    double sum;
} softmax;

static double weight_of(const softmax *f, mote_token token)
{
    return (double)expf((f->logits[token] - f->most) / f->temperature);
}

static softmax softmax_of(const float *logits, const mote_token *c, size_t count, float temperature)
{
    softmax f = {.logits = logits, .most = logits[c[0]], .temperature = temperature};
    for (size_t i = 1; i < count; i++)
        f.most = logits[c[i]] > f.most ? logits[c[i]] : f.most;
    for (size_t i = 0; i < count; i++)
        f.sum += weight_of(&f, c[i]);
    return f;
}

/* Keeps the first in an order, in that order: `most` of them, or fewer if `f` is given and their p already sum to `mass`. */
static size_t keep_best(const order *by, mote_token *c, size_t count, size_t most, const softmax *f, float mass)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down(by, c, count, i);
    size_t kept = 0;
    double sum = 0;
    while (kept < count && kept < most && (kept == 0 || f == NULL || sum < (double)mass * f->sum)) {
        size_t last = count - 1 - kept++;
        sum += f != NULL ? weight_of(f, c[0]) : 0;
        swap(&c[0], &c[last]);
        sift_down(by, c, last, 0);
    }
    for (size_t i = 0, j = count - 1; i < j; i++, j--)
        swap(&c[i], &c[j]);
    return kept;
}

/* A broken model gives infinities and NaN, and large biases give them too. NaN compares with nothing: such a token comes
 * last. What is left are numbers, of which a softmax always has a largest. */
static void make_numbers(float *logits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float logit = logits[i] >= -FLT_MAX ? logits[i] : -FLT_MAX;
        logits[i] = logit <= FLT_MAX ? logit : FLT_MAX;
    }
}

/* Without a way out of the loop, so that compilers make vectors of it. */
static bool any_above(const float logits[BLOCK], float bound)
{
    int above = 0;
    for (size_t i = 0; i < BLOCK; i++)
        above |= logits[i] > bound;
    return above != 0;
}

/* The k best, best first. There is room for more than k: when it is full the best are kept, and from then on only a logit
 * larger than the last of them is of interest (an equal one has the larger id). Such become rare soon, and most of a
 * vocabulary is passed over a block at a time. */
static size_t take_top_k(mote_token *c, size_t room, const float *logits, size_t count, size_t k)
{
    const order by_logit = {.logits = logits};
    size_t taken = 0;
    float bound = -INFINITY; /* less than any candidate's */
    for (size_t begin = 0; begin < count; begin += BLOCK) {
        size_t end = count - begin < BLOCK ? count : begin + BLOCK;
        if (bound > -INFINITY && end - begin == BLOCK && !any_above(logits + begin, bound))
            continue;
        for (size_t i = begin; i < end; i++) {
            if (logits[i] <= bound)
                continue;
            c[taken++] = (mote_token)i;
            if (taken == room) {
                taken = keep_best(&by_logit, c, taken, k, NULL, 1);
                bound = logits[c[taken - 1]];
            }
        }
    }
    return keep_best(&by_logit, c, taken, k, NULL, 1);
}

/* Those whose surprise, −log p, is nearest to the expected one (Meister et al. 2023): that of a logit at the centre,
 * which is the mean of logits by p. */
static size_t keep_typical(const float *logits, mote_token *c, size_t count, float mass)
{
    softmax f = softmax_of(logits, c, count, 1);
    double below = 0; /* Σ p (logit − most); where p is 0 the product is, however low the logit */
    for (size_t i = 0; i < count; i++) {
        double share = weight_of(&f, c[i]);
        below += share > 0 ? share * (double)(logits[c[i]] - f.most) : 0;
    }
    order near = {.logits = logits, .centred = true, .centre = f.most + (float)(below / f.sum)};
    return keep_best(&near, c, count, count, &f, mass);
}

/* The nucleus (Holtzman et al. 2020). */
static size_t keep_top_p(const float *logits, mote_token *c, size_t count, float mass)
{
    softmax f = softmax_of(logits, c, count, 1);
    const order by_logit = {.logits = logits};
    return keep_best(&by_logit, c, count, count, &f, mass);
}

/* Those at least min_p times as likely as the likeliest (Nguyen et al. 2024). */
static size_t keep_min_p(const float *logits, mote_token *c, size_t count, float min_p)
{
    softmax f = softmax_of(logits, c, count, 1);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (weight_of(&f, c[i]) >= (double)min_p)
            c[kept++] = c[i];
    return kept;
}

/* A number in [0, 1): SplitMix64 (Steele, Lea and Flood 2014) of seed and counter. */
static double draw(mote_sampler *s)
{
    uint64_t z = s->options.seed + ++s->drawn * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static mote_token draw_candidate(mote_sampler *s, const float *logits, const mote_token *c, size_t count)
{
    softmax f = softmax_of(logits, c, count, s->options.temperature);
    double left = draw(s) * f.sum;
    for (size_t i = 0; i + 1 < count; i++) {
        left -= weight_of(&f, c[i]);
        if (left < 0)
            return c[i];
    }
    return c[count - 1];
}

static mote_token pick(mote_sampler *s, float *logits)
{
    const mote_sampling *o = &s->options;
    mote_token *c = s->candidate;
    size_t count = s->vocabulary;
    make_numbers(logits, count);
    if (o->top_k > 0 && o->top_k < count)
        count = take_top_k(c, s->room, logits, count, o->top_k);
    else
        for (size_t i = 0; i < count; i++)
            c[i] = (mote_token)i;
    if (o->temperature == 0)
        return c[0];
    if (o->typical_p < 1)
        count = keep_typical(logits, c, count, o->typical_p);
    if (o->top_p < 1)
        count = keep_top_p(logits, c, count, o->top_p);
    if (o->min_p > 0)
        count = keep_min_p(logits, c, count, o->min_p);
    return draw_candidate(s, logits, c, count);
}

mote_token mote_sampler_pick(mote_sampler *s, float *logits)
{
    const mote_sampling *o = &s->options;
    for (size_t i = 0; i < o->bias_count; i++)
        logits[s->bias[i].token] += s->bias[i].bias;
    if (s->recent != NULL)
        penalise(s, logits);
    mote_token token = pick(s, logits);
    mote_sampler_accept(s, token);
    return token;
}
