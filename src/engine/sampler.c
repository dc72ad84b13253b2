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

typedef struct candidate {
    mote_token token;
    float logit;
    float p;
    float rank; /* what the heap orders by: larger is better */
} candidate;

struct mote_sampler {
    mote_sampling options; /* bias points to the copy below */
    mote_logit_bias *bias;
    size_t vocabulary;
    candidate *candidate; /* [room] */
    size_t room;
    uint64_t drawn; /* random numbers so far */

    /* Penalties: the last penalty_window tokens as a ring, and how often each token is among them. */
    mote_token *recent;
    size_t recent_count;
    size_t recent_next;
    int32_t *occurrences; /* [vocabulary] */
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
    s->occurrences = calloc(s->vocabulary, sizeof *s->occurrences);
    return s->recent != NULL && s->occurrences != NULL;
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
    free(s->occurrences);
    free(s);
}

/* ---- bias and penalties: on the logits themselves ---- */

void mote_sampler_accept(mote_sampler *s, mote_token token)
{
    if (s->recent == NULL || token < 0 || (size_t)token >= s->vocabulary)
        return;
    if (s->recent_count == s->options.penalty_window)
        s->occurrences[s->recent[s->recent_next]]--;
    else
        s->recent_count++;
    s->recent[s->recent_next] = token;
    s->occurrences[token]++;
    s->recent_next = (s->recent_next + 1) % s->options.penalty_window;
}

/* Repetition as in CTRL (Keskar et al. 2019), presence and frequency as in OpenAI's API. Each token once: its count is
 * negated while it is done. */
static void penalise(mote_sampler *s, float *logits)
{
    const mote_sampling *o = &s->options;
    for (size_t i = 0; i < s->recent_count; i++) {
        mote_token token = s->recent[i];
        int32_t count = s->occurrences[token];
        if (count < 0)
            continue;
        float logit = logits[token];
        logit = logit > 0 ? logit / o->repeat_penalty : logit * o->repeat_penalty;
        logits[token] = logit - (float)count * o->frequency_penalty - o->presence_penalty;
        s->occurrences[token] = -count;
    }
    for (size_t i = 0; i < s->recent_count; i++) {
        int32_t *count = &s->occurrences[s->recent[i]];
        *count = *count < 0 ? -*count : *count;
    }
}

/* ---- candidates ---- */

static bool better(const candidate *a, const candidate *b)
{
    return a->rank != b->rank ? a->rank > b->rank : a->token < b->token;
}

static void swap(candidate *a, candidate *b)
{
    candidate c = *a;
    *a = *b;
    *b = c;
}

static void sift_down(candidate *heap, size_t count, size_t at)
{
    for (;;) {
        size_t best = at, left = 2 * at + 1;
        if (left < count && better(&heap[left], &heap[best]))
            best = left;
        if (left + 1 < count && better(&heap[left + 1], &heap[best]))
            best = left + 1;
        if (best == at)
            return;
        swap(&heap[at], &heap[best]);
        at = best;
    }
}

/* Keeps the best by rank, best first: `most` of them, or fewer if their p already sums to `mass`. */
static size_t keep_best(candidate *c, size_t count, size_t most, double mass)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down(c, count, i);
    size_t kept = 0;
    double sum = 0;
    while (kept < count && kept < most && (kept == 0 || sum < mass)) {
        size_t last = count - 1 - kept++;
        sum += (double)c[0].p;
        swap(&c[0], &c[last]);
        sift_down(c, last, 0);
    }
    for (size_t i = 0, j = count - 1; i < j; i++, j--)
        swap(&c[i], &c[j]);
    return kept;
}

/* p = softmax(logit ÷ temperature) over what is left. */
static void softmax(candidate *c, size_t count, float temperature)
{
    float most = c[0].logit;
    for (size_t i = 1; i < count; i++)
        most = c[i].logit > most ? c[i].logit : most;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        c[i].p = expf((c[i].logit - most) / temperature);
        sum += (double)c[i].p;
    }
    for (size_t i = 0; i < count; i++)
        c[i].p = (float)((double)c[i].p / sum);
}

/* A broken model gives infinities and NaN, and large biases give them too. NaN compares with nothing: such a token comes
 * last. What is left are numbers, of which a softmax always has a largest. */
static candidate candidate_of(const float *logits, size_t token)
{
    float logit = logits[token];
    logit = logit >= -FLT_MAX ? logit : -FLT_MAX;
    logit = logit <= FLT_MAX ? logit : FLT_MAX;
    return (candidate){.token = (mote_token)token, .logit = logit, .rank = logit};
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
static size_t take_top_k(candidate *c, size_t room, const float *logits, size_t count, size_t k)
{
    size_t taken = 0;
    float bound = -INFINITY; /* less than any candidate's */
    for (size_t begin = 0; begin < count; begin += BLOCK) {
        size_t end = count - begin < BLOCK ? count : begin + BLOCK;
        if (bound > -INFINITY && end - begin == BLOCK && !any_above(logits + begin, bound))
            continue;
        for (size_t i = begin; i < end; i++) {
            candidate next = candidate_of(logits, i);
            if (next.logit <= bound)
                continue;
            c[taken++] = next;
            if (taken == room) {
                taken = keep_best(c, taken, k, 1);
                bound = c[taken - 1].logit;
            }
        }
    }
    return keep_best(c, taken, k, 1);
}

/* Those whose surprise is nearest to the expected one (Meister et al. 2023). */
static size_t keep_typical(candidate *c, size_t count, float mass)
{
    softmax(c, count, 1);
    double entropy = 0;
    for (size_t i = 0; i < count; i++)
        entropy -= c[i].p > 0 ? (double)c[i].p * log((double)c[i].p) : 0;
    for (size_t i = 0; i < count; i++)
        c[i].rank = c[i].p > 0 ? -fabsf((float)(-log((double)c[i].p) - entropy)) : -INFINITY;
    return keep_best(c, count, count, (double)mass);
}

/* The nucleus (Holtzman et al. 2020). */
static size_t keep_top_p(candidate *c, size_t count, float mass)
{
    softmax(c, count, 1);
    for (size_t i = 0; i < count; i++)
        c[i].rank = c[i].p;
    return keep_best(c, count, count, (double)mass);
}

/* Those at least min_p times as likely as the likeliest (Nguyen et al. 2024). */
static size_t keep_min_p(candidate *c, size_t count, float min_p)
{
    softmax(c, count, 1);
    float most = 0;
    for (size_t i = 0; i < count; i++)
        most = c[i].p > most ? c[i].p : most;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (c[i].p >= min_p * most)
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

static mote_token draw_candidate(mote_sampler *s, candidate *c, size_t count)
{
    softmax(c, count, s->options.temperature);
    double left = draw(s);
    for (size_t i = 0; i + 1 < count; i++) {
        left -= (double)c[i].p;
        if (left < 0)
            return c[i].token;
    }
    return c[count - 1].token;
}

static mote_token pick(mote_sampler *s, const float *logits)
{
    const mote_sampling *o = &s->options;
    candidate *c = s->candidate;
    size_t count = s->vocabulary;
    if (o->top_k > 0 && o->top_k < count)
        count = take_top_k(c, s->room, logits, count, o->top_k);
    else
        for (size_t i = 0; i < count; i++)
            c[i] = candidate_of(logits, i);
    if (o->temperature == 0)
        return c[0].token;
    if (o->typical_p < 1)
        count = keep_typical(c, count, o->typical_p);
    if (o->top_p < 1)
        count = keep_top_p(c, count, o->top_p);
    if (o->min_p > 0)
        count = keep_min_p(c, count, o->min_p);
    return draw_candidate(s, c, count);
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
