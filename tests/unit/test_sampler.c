/* The sampling chain against a plain reference: the reference says how likely each token is, thousands of draws with as
 * many seeds must agree, and what it rules out must never come. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <mote/mote.h>

#include "tiny_model.h"

#include <cmocka.h>

enum { VOCABULARY = 40, DRAWS = 6000 };

typedef struct fixture {
    void *data;
    mote_model *model;
    float logits[VOCABULARY];
} fixture;

static int open_fixture(void **state)
{
    static fixture f;
    const tiny_model spec = {.family = "llama",
                             .layers = 1,
                             .width = 8,
                             .heads = 1,
                             .kv_heads = 1,
                             .head_dim = 8,
                             .ffn = 8,
                             .vocabulary = VOCABULARY,
                             .context = 16,
                             .seed = 1};
    f.model = tiny_model_open(&spec, &f.data);
    uint64_t random = 3;
    for (size_t i = 0; i < VOCABULARY; i++)
        f.logits[i] = (float)(1.5 * random_normal(&random));
    *state = &f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    mote_model_close(f->model);
    free(f->data);
    return 0;
}

static mote_sampling neutral(void)
{
    return (mote_sampling){.temperature = 1, .top_p = 1, .typical_p = 1, .repeat_penalty = 1, .penalty_window = 64};
}

/* One token: a fresh sampler that has accepted `history`. */
static mote_token pick(const fixture *f, const mote_sampling *sampling, const mote_token *history, size_t count,
                       const float *logits)
{
    mote_sampler *sampler = NULL;
    mote_error error = {0};
    float copy[VOCABULARY];
    memcpy(copy, logits, sizeof copy);
    if (mote_sampler_open(&sampler, f->model, sampling, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    for (size_t i = 0; i < count; i++)
        mote_sampler_accept(sampler, history[i]);
    mote_token token = mote_sampler_pick(sampler, copy);
    mote_sampler_close(sampler);
    assert_in_range(token, 0, VOCABULARY - 1);
    return token;
}

/* ---- top-k of a vocabulary that is longer than a block, token by token ---- */

enum { MANY = 1000 };

static int compare_logits(const void *a, const void *b)
{
    const float *x = *(const float *const *)a, *y = *(const float *const *)b;
    return *x != *y ? (*x < *y) - (*x > *y) : (x > y) - (x < y); /* ties: the smaller id first */
}

/* Sorts all, keeps k, and draws the first number of SplitMix64 from what is left. */
static mote_token sorted_pick(const float *logits, size_t k, uint64_t seed)
{
    float finite[MANY], p[MANY];
    const float *order[MANY];
    for (size_t i = 0; i < MANY; i++) {
        finite[i] = isnan(logits[i]) ? -FLT_MAX : fmaxf(-FLT_MAX, fminf(FLT_MAX, logits[i]));
        order[i] = &finite[i];
    }
    qsort(order, MANY, sizeof *order, compare_logits);
    double sum = 0;
    for (size_t i = 0; i < k; i++)
        sum += (double)(p[i] = expf((*order[i] - *order[0]) / 2));
    uint64_t z = seed + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    double left = (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
    size_t at = 0;
    while (at + 1 < k && (left -= (double)(float)((double)p[at] / sum)) >= 0)
        at++;
    return (mote_token)(order[at] - finite);
}

/* What a block of logits may look like: random, rising (each the best so far), falling, few values and so ties, no
 * numbers at all. */
static float logit_of(int kind, size_t i, uint64_t *random)
{
    static const float odd[] = {NAN, -INFINITY, INFINITY, -FLT_MAX, FLT_MAX, 1};
    double normal = random_normal(random);
    switch (kind) {
    case 0: return (float)(3 * normal);
    case 1: return (float)i / 100;
    case 2: return -(float)i / 100;
    case 3: return (float)(int)(2 * normal);
    case 4: return i % 7 == 3 ? (float)normal : odd[(size_t)fabs(100 * normal) % 6];
    default: return i < 900 ? NAN : -INFINITY;
    }
}

static void top_k_of_many(void **state)
{
    (void)state;
    static const uint32_t ks[] = {1, 2, 3, 40, 63, 64, 65, 499, 500, 501, MANY - 1};
    const tiny_model spec = {.family = "llama",
                             .layers = 1,
                             .width = 8,
                             .heads = 1,
                             .kv_heads = 1,
                             .head_dim = 8,
                             .ffn = 8,
                             .vocabulary = MANY,
                             .context = 16,
                             .seed = 1};
    void *data;
    mote_model *model = tiny_model_open(&spec, &data);
    uint64_t random = 5;
    float logits[MANY], copy[MANY];
    for (int kind = 0; kind < 6; kind++) {
        for (size_t i = 0; i < MANY; i++)
            logits[i] = logit_of(kind, i, &random);
        for (size_t k = 0; k < sizeof ks / sizeof *ks; k++)
            for (uint64_t seed = 0; seed < 30; seed++) {
                mote_sampling o = neutral();
                o.temperature = seed == 0 ? 0 : 2;
                o.top_k = ks[k];
                o.seed = seed;
                mote_sampler *sampler;
                assert_int_equal(mote_sampler_open(&sampler, model, &o, NULL), MOTE_OK);
                memcpy(copy, logits, sizeof copy);
                assert_int_equal(mote_sampler_pick(sampler, copy), sorted_pick(logits, seed == 0 ? 1 : ks[k], seed));
                mote_sampler_close(sampler);
            }
    }
    mote_model_close(model);
    free(data);
}

/* ---- the reference: one loop for each link of the chain, over logits in which −∞ means ruled out ---- */

static void adjust(const mote_sampling *o, const mote_token *history, size_t count, double logit[VOCABULARY])
{
    size_t first = count > o->penalty_window ? count - o->penalty_window : 0;
    for (size_t i = 0; i < o->bias_count; i++)
        logit[o->bias[i].token] += (double)o->bias[i].bias;
    for (int t = 0; t < VOCABULARY; t++) {
        int seen = 0;
        for (size_t i = first; i < count; i++)
            seen += history[i] == t;
        if (seen == 0)
            continue;
        logit[t] = logit[t] > 0 ? logit[t] / (double)o->repeat_penalty : logit[t] * (double)o->repeat_penalty;
        logit[t] -= seen * (double)o->frequency_penalty + (double)o->presence_penalty;
    }
}

static void probabilities(const double logit[VOCABULARY], double temperature, double p[VOCABULARY])
{
    double most = -INFINITY, sum = 0;
    for (int t = 0; t < VOCABULARY; t++)
        most = fmax(most, logit[t]);
    for (int t = 0; t < VOCABULARY; t++)
        sum += p[t] = exp((logit[t] - most) / temperature);
    for (int t = 0; t < VOCABULARY; t++)
        p[t] /= sum;
}

/* Rules out all but the highest by `rank`: `most` of them, or as many as it takes for their p to reach `mass`. */
static void keep(double logit[VOCABULARY], const double p[VOCABULARY], const double rank[VOCABULARY], size_t most,
                 double mass)
{
    bool kept[VOCABULARY] = {false};
    double sum = 0;
    for (size_t n = 0; n < most && sum < mass; n++) {
        int best = -1;
        for (int t = 0; t < VOCABULARY; t++)
            if (!kept[t] && logit[t] > -INFINITY && (best < 0 || rank[t] > rank[best]))
                best = t;
        if (best < 0)
            break;
        kept[best] = true;
        sum += p[best];
    }
    for (int t = 0; t < VOCABULARY; t++)
        if (!kept[t])
            logit[t] = -INFINITY;
}

static void reference(const mote_sampling *o, const mote_token *history, size_t count, const float *logits,
                      double p[VOCABULARY])
{
    double logit[VOCABULARY], rank[VOCABULARY];
    for (int t = 0; t < VOCABULARY; t++)
        logit[t] = (double)logits[t];
    adjust(o, history, count, logit);
    if (o->top_k > 0) {
        probabilities(logit, 1, p);
        keep(logit, p, logit, o->top_k, 2);
    }
    if (o->typical_p < 1) {
        double entropy = 0;
        probabilities(logit, 1, p);
        for (int t = 0; t < VOCABULARY; t++)
            entropy -= p[t] > 0 ? p[t] * log(p[t]) : 0;
        for (int t = 0; t < VOCABULARY; t++)
            rank[t] = -fabs(-log(p[t]) - entropy);
        keep(logit, p, rank, VOCABULARY, (double)o->typical_p);
    }
    if (o->top_p < 1) {
        probabilities(logit, 1, p);
        keep(logit, p, p, VOCABULARY, (double)o->top_p);
    }
    probabilities(logit, 1, p);
    double most = 0;
    for (int t = 0; t < VOCABULARY; t++)
        most = fmax(most, p[t]);
    for (int t = 0; t < VOCABULARY; t++)
        if (p[t] < (double)o->min_p * most)
            logit[t] = -INFINITY;
    probabilities(logit, (double)o->temperature, p);
}

/* Five standard deviations for each token: over all the tests here, chance fails once in ten thousand sets of seeds,
 * and the seeds are fixed. */
static void compare(const fixture *f, mote_sampling o, const mote_token *history, size_t count, const char *what)
{
    double p[VOCABULARY];
    size_t times[VOCABULARY] = {0};
    reference(&o, history, count, f->logits, p);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        o.seed = seed;
        times[pick(f, &o, history, count, f->logits)]++;
    }
    for (int t = 0; t < VOCABULARY; t++) {
        double seen = (double)times[t] / DRAWS, allowed = 5 * sqrt(p[t] * (1 - p[t]) / DRAWS);
        if (fabs(seen - p[t]) > allowed + 1e-6)
            fail_msg("%s: token %d came %zu times of %d where its probability is %.4f", what, t, times[t], DRAWS, p[t]);
    }
}

static void temperatures(void **state)
{
    mote_sampling o = neutral();
    compare(*state, o, NULL, 0, "temperature 1");
    o.temperature = 0.5f;
    compare(*state, o, NULL, 0, "temperature 0.5");
    o.temperature = 3;
    compare(*state, o, NULL, 0, "temperature 3");
}

static void each_filter(void **state)
{
    mote_sampling o = neutral();
    o.top_k = 5;
    compare(*state, o, NULL, 0, "top-k 5");
    o = neutral();
    o.top_p = 0.6f;
    compare(*state, o, NULL, 0, "top-p 0.6");
    o = neutral();
    o.min_p = 0.3f;
    compare(*state, o, NULL, 0, "min-p 0.3");
    o = neutral();
    o.typical_p = 0.5f;
    compare(*state, o, NULL, 0, "typical-p 0.5");
}

/* Each link sees what the one before has left. */
static void chained_filters(void **state)
{
    mote_sampling o = neutral();
    o.top_k = 20;
    o.top_p = 0.8f;
    o.min_p = 0.1f;
    o.temperature = 0.7f;
    compare(*state, o, NULL, 0, "top-k, top-p, min-p, temperature");
    o.typical_p = 0.7f;
    compare(*state, o, NULL, 0, "all filters");
    o.temperature = 2;
    compare(*state, o, NULL, 0, "all filters, hot");
}

static void penalties_and_bias(void **state)
{
    static const mote_token HISTORY[] = {3, 3, 7, 11, 3, 39, 0, 12, 12};
    static const mote_logit_bias BIAS[] = {{5, 2.5f}, {7, -1}, {5, 0.5f}, {20, -100}};
    size_t count = sizeof HISTORY / sizeof *HISTORY;
    mote_sampling o = neutral();
    o.repeat_penalty = 1.8f;
    compare(*state, o, HISTORY, count, "repeat penalty");
    o.repeat_penalty = 0.7f;
    compare(*state, o, HISTORY, count, "repeat reward");
    o = neutral();
    o.presence_penalty = 1.5f;
    compare(*state, o, HISTORY, count, "presence penalty");
    o.frequency_penalty = 0.8f;
    compare(*state, o, HISTORY, count, "presence and frequency penalty");
    o.penalty_window = 4;
    compare(*state, o, HISTORY, count, "penalties in a window");
    o.penalty_window = 0;
    compare(*state, o, HISTORY, count, "no penalty window");
    o = neutral();
    o.bias = BIAS;
    o.bias_count = sizeof BIAS / sizeof *BIAS;
    compare(*state, o, NULL, 0, "bias");
    o.repeat_penalty = 1.5f;
    o.frequency_penalty = -0.3f;
    o.top_k = 12;
    compare(*state, o, HISTORY, count, "bias, penalties, top-k");
}

static mote_token argmax(const float *logits)
{
    mote_token best = 0;
    for (mote_token t = 1; t < VOCABULARY; t++)
        if (logits[t] > logits[best])
            best = t;
    return best;
}

static void greedy_takes_the_best(void **state)
{
    fixture *f = *state;
    mote_sampling greedy = neutral(), one = neutral(), nucleus = neutral(), cold = neutral();
    greedy.temperature = 0;
    one.top_k = 1;
    nucleus.top_p = 0;
    cold.temperature = FLT_MIN;
    float tied[VOCABULARY] = {0};
    assert_int_equal(pick(f, &greedy, NULL, 0, tied), 0);
    for (uint64_t round = 0; round < 50; round++) {
        uint64_t random = round;
        float logits[VOCABULARY];
        for (size_t i = 0; i < VOCABULARY; i++)
            logits[i] = (float)random_normal(&random);
        greedy.seed = one.seed = nucleus.seed = cold.seed = round;
        assert_int_equal(pick(f, &greedy, NULL, 0, logits), argmax(logits));
        assert_int_equal(pick(f, &one, NULL, 0, logits), argmax(logits));
        assert_int_equal(pick(f, &nucleus, NULL, 0, logits), argmax(logits));
        assert_int_equal(pick(f, &cold, NULL, 0, logits), argmax(logits));
    }
}

/* Greedy sees bias and penalties too. */
static void greedy_is_penalised(void **state)
{
    fixture *f = *state;
    mote_token best = argmax(f->logits), history[] = {best};
    mote_sampling o = neutral();
    o.temperature = 0;
    o.presence_penalty = 50;
    assert_int_not_equal(pick(f, &o, history, 1, f->logits), best);
    mote_logit_bias bias = {17, 60};
    o = neutral();
    o.temperature = 0;
    o.bias = &bias;
    o.bias_count = 1;
    assert_int_equal(pick(f, &o, NULL, 0, f->logits), 17);
}

static void seed_decides(void **state)
{
    fixture *f = *state;
    enum { LENGTH = 64 };
    mote_token first[LENGTH], again[LENGTH], other[LENGTH], *all[] = {first, again, other};
    for (size_t run = 0; run < 3; run++) {
        mote_sampling o = neutral();
        o.seed = run == 2 ? 43 : 42;
        mote_sampler *sampler = NULL;
        assert_int_equal(mote_sampler_open(&sampler, f->model, &o, NULL), MOTE_OK);
        for (size_t i = 0; i < LENGTH; i++) {
            float copy[VOCABULARY];
            memcpy(copy, f->logits, sizeof copy);
            all[run][i] = mote_sampler_pick(sampler, copy);
        }
        mote_sampler_close(sampler);
    }
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
}

/* What a broken model file may produce: every token that comes is one of the vocabulary, and not one that is NaN where
 * another is a number. */
static void logits_that_are_no_numbers(void **state)
{
    fixture *f = *state;
    static const float FILL[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0};
    static const float ODD[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX};
    static const mote_token HISTORY[] = {0, 1, 2, 3, 3};
    static const mote_logit_bias BIAS[] = {{0, FLT_MAX}, {1, -FLT_MAX}, {2, FLT_MAX}};
    mote_sampling defaults, full = neutral(), greedy = neutral();
    mote_sampling_init(&defaults);
    full.top_k = 10;
    full.top_p = 0.9f;
    full.typical_p = 0.9f;
    full.min_p = 0.1f;
    full.repeat_penalty = 100;
    full.frequency_penalty = -100;
    full.bias = BIAS;
    full.bias_count = sizeof BIAS / sizeof *BIAS;
    greedy.temperature = 0;
    const mote_sampling *all[] = {&defaults, &full, &greedy};
    for (size_t s = 0; s < sizeof all / sizeof *all; s++) {
        for (size_t i = 0; i < sizeof FILL / sizeof *FILL; i++) {
            for (size_t j = 0; j < sizeof ODD / sizeof *ODD; j++) {
                float logits[VOCABULARY];
                for (size_t t = 0; t < VOCABULARY; t++)
                    logits[t] = t % 3 == 0 ? ODD[j] : FILL[i];
                pick(f, all[s], HISTORY, sizeof HISTORY / sizeof *HISTORY, logits);
            }
        }
    }
    float logits[VOCABULARY];
    for (size_t t = 0; t < VOCABULARY; t++)
        logits[t] = t == 21 ? 1 : NAN;
    assert_int_equal(pick(f, &defaults, NULL, 0, logits), 21);
    assert_int_equal(pick(f, &greedy, NULL, 0, logits), 21);
}

static void refuse(const fixture *f, const mote_sampling *o, const char *field)
{
    mote_sampler *sampler = NULL;
    mote_error error = {0};
    mote_status status = mote_sampler_open(&sampler, f->model, o, &error);
    if (status != MOTE_E_ARGUMENT || sampler != NULL || strstr(error.text, field) == NULL)
        fail_msg("%s: status %d, \"%s\"", field, (int)status, error.text);
    assert_int_equal(error.status, MOTE_E_ARGUMENT);
}

static void options_out_of_range(void **state)
{
    static const float BAD[] = {NAN, INFINITY, -INFINITY, -1e30f, 1e30f};
    static const struct {
        const char *name;
        size_t offset;
    } FIELDS[] = {
        {"temperature", offsetof(mote_sampling, temperature)},
        {"top_p", offsetof(mote_sampling, top_p)},
        {"min_p", offsetof(mote_sampling, min_p)},
        {"typical_p", offsetof(mote_sampling, typical_p)},
        {"repeat_penalty", offsetof(mote_sampling, repeat_penalty)},
        {"presence_penalty", offsetof(mote_sampling, presence_penalty)},
        {"frequency_penalty", offsetof(mote_sampling, frequency_penalty)},
    };
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
        for (size_t j = 0; j < sizeof BAD / sizeof *BAD; j++) {
            mote_sampling o = neutral();
            memcpy((char *)&o + FIELDS[i].offset, &BAD[j], sizeof(float));
            refuse(*state, &o, FIELDS[i].name);
        }
    }
    mote_sampling o = neutral();
    o.penalty_window = 4097;
    refuse(*state, &o, "penalty_window");
    static const mote_logit_bias BIASES[] = {{-1, 0}, {VOCABULARY, 0}, {INT32_MAX, 0}, {0, NAN}, {0, INFINITY}};
    for (size_t i = 0; i < sizeof BIASES / sizeof *BIASES; i++) {
        o = neutral();
        o.bias = &BIASES[i];
        o.bias_count = 1;
        refuse(*state, &o, "bias");
    }
}

/* Tokens that are none of the vocabulary are not remembered, and the longest window holds. */
static void accepting_anything(void **state)
{
    fixture *f = *state;
    mote_sampling o = neutral();
    o.presence_penalty = 1;
    o.penalty_window = 4096;
    mote_sampler *sampler = NULL;
    assert_int_equal(mote_sampler_open(&sampler, f->model, &o, NULL), MOTE_OK);
    mote_sampler_accept(sampler, -1);
    mote_sampler_accept(sampler, VOCABULARY);
    mote_sampler_accept(sampler, INT32_MAX);
    for (mote_token i = 0; i < 10000; i++)
        mote_sampler_accept(sampler, i % VOCABULARY);
    float copy[VOCABULARY];
    memcpy(copy, f->logits, sizeof copy);
    assert_in_range(mote_sampler_pick(sampler, copy), 0, VOCABULARY - 1);
    mote_sampler_close(sampler);
    mote_sampler_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperatures),          cmocka_unit_test(each_filter),
        cmocka_unit_test(chained_filters),       cmocka_unit_test(penalties_and_bias),
        cmocka_unit_test(greedy_takes_the_best), cmocka_unit_test(greedy_is_penalised),
        cmocka_unit_test(seed_decides),          cmocka_unit_test(logits_that_are_no_numbers),
        cmocka_unit_test(options_out_of_range),  cmocka_unit_test(accepting_anything),
        cmocka_unit_test(top_k_of_many),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
