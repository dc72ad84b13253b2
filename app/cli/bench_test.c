/* Timing forward passes. The clock runs inside mote_engine_step alone: tokens are random numbers made beforehand, nothing
 * is sampled and no text is touched, as in llama-bench. */
#include "bench_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "interrupt.h"
#include "output.h"

enum { SESSIONS_MAX = 256 };

/* A test that is running. */
struct bench_run {
    const struct bench_test *test;
    mote_engine *engine;
    uint32_t vocabulary;
    mote_session *session[SESSIONS_MAX];
    mote_work work[SESSIONS_MAX];
    mote_token *ids; /* [ids_count] what a step appends to each session */
    size_t ids_count;
    float *logits; /* [parallel][vocabulary] */
    char *evict;   /* [evict_bytes] or NULL */
    size_t evict_bytes;
    uint64_t random;
    double ns; /* on the clock so far */
    mote_error error;
};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Xorshift (Marsaglia 2003): the tokens only have to differ. */
static void draw_ids(struct bench_run *run, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run->random ^= run->random << 13;
        run->random ^= run->random >> 7;
        run->random ^= run->random << 17;
        run->ids[i] = (mote_token)(run->random % run->vocabulary);
    }
}

/* Fills the caches with something else. */
static void evict(const struct bench_run *run)
{
    for (size_t i = 0; i < run->evict_bytes; i += 64)
        ((volatile char *)run->evict)[i]++;
}

/* Appends `count` tokens to every session. Logits are asked for the last of them, as for a prompt that is answered. */
static bool step(struct bench_run *run, size_t count, bool logits)
{
    uint32_t sessions = run->test->parallel;
    draw_ids(run, count);
    for (uint32_t i = 0; i < sessions; i++) {
        float *row = logits ? run->logits + (size_t)i * run->vocabulary : NULL;
        run->work[i] = (mote_work){run->session[i], run->ids, count, row, row != NULL};
    }
    if (run->evict != NULL)
        evict(run);
    double start = now_ns();
    bool done = mote_engine_step(run->engine, run->work, sessions, &run->error) == MOTE_OK;
    run->ns += now_ns() - start;
    return done && !interrupted();
}

/* Leaves every session with `depth` tokens. They need not be computed again after a repetition, unless sliding windows
 * have moved on. */
static bool go_to_depth(struct bench_run *run, size_t depth)
{
    size_t held = depth;
    for (uint32_t i = 0; i < run->test->parallel; i++) {
        held = mote_session_rewind(run->session[i], held); /* all hold the same */
    }
    for (size_t count; held < depth; held += count) {
        count = depth - held < run->ids_count ? depth - held : run->ids_count;
        if (!step(run, count, false))
            return false;
    }
    return true;
}

static bool repeat(struct bench_run *run, uint32_t depth, uint32_t prompt, uint32_t gen)
{
    if (!go_to_depth(run, depth))
        return false;
    run->ns = 0;
    if (prompt > 0 && !step(run, prompt, true))
        return false;
    for (uint32_t i = 0; i < gen; i++)
        if (!step(run, 1, true))
            return false;
    return true;
}

static void count_costs(struct bench_result *result, const mote_engine *engine)
{
    const struct bench_test *test = &result->test;
    mote_engine_cost cost;
    for (uint32_t i = 0; i < test->gen && test->prompt == 0; i++) {
        mote_engine_cost_at(engine, (size_t)test->depth + i, &cost);
        result->bytes += (double)cost.weight_bytes + (double)cost.kv_bytes * test->parallel;
    }
    if (test->gen == 0) {
        mote_engine_cost_at(engine, test->depth, &cost);
        result->operations =
            ((double)cost.layer_operations * test->prompt + (double)cost.head_operations) * test->parallel;
    }
}

static bool open_run(struct bench_run *run, mote_model *model, const struct bench_options *options)
{
    const struct bench_test *test = run->test;
    mote_engine_options wish;
    mote_model_info info;
    mote_engine_options_init(&wish);
    wish.context = test->depth + test->prompt + test->gen;
    wish.sessions = test->parallel;
    wish.threads = test->threads;
    wish.batch = options->batch;
    wish.kv_keys = options->kv_keys;
    wish.kv_values = options->kv_values;
    wish.memory = options->memory;
    wish.forgetful = true;
    if (mote_engine_open(&run->engine, model, &wish, &run->error) != MOTE_OK)
        return false;
    for (uint32_t i = 0; i < test->parallel; i++)
        if (mote_session_open(&run->session[i], run->engine, &run->error) != MOTE_OK)
            return false;
    mote_model_describe(model, &info);
    run->vocabulary = info.vocabulary;
    run->ids_count = test->prompt > 256 ? test->prompt : 256;
    run->ids = calloc(run->ids_count, sizeof *run->ids);
    run->logits = calloc((size_t)run->vocabulary * test->parallel, sizeof *run->logits);
    run->evict_bytes = options->evict_bytes;
    run->evict = options->evict_bytes > 0 ? calloc(options->evict_bytes, 1) : NULL;
    snprintf(run->error.text, sizeof run->error.text,
             "no memory for the test's tokens and logits; choose a smaller one");
    return run->ids != NULL && run->logits != NULL && (options->evict_bytes == 0 || run->evict != NULL);
}

static void close_run(struct bench_run *run)
{
    interrupt_watch(NULL);
    for (uint32_t i = 0; i < run->test->parallel; i++)
        mote_session_close(run->session[i]);
    mote_engine_close(run->engine);
    free(run->ids);
    free(run->logits);
    free(run->evict);
}

static bool measure(struct bench_run *run, struct bench_result *result, const struct bench_options *options)
{
    const struct bench_test *test = run->test;
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) != NULL)
        strftime(result->time, sizeof result->time, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (options->warmup && !repeat(run, 0, test->prompt, test->gen > 0))
        return false;
    double tokens = ((double)test->prompt + test->gen) * test->parallel;
    for (; result->count < options->repetitions; result->count++) {
        if (!repeat(run, test->depth, test->prompt, test->gen))
            return false;
        result->ns[result->count] = run->ns;
        result->rates[result->count] = tokens * 1e9 / run->ns;
    }
    result->time_ns = statistics_of(result->ns, result->count);
    result->rate = statistics_of(result->rates, result->count);
    return true;
}

bool bench_test_run(struct bench_result *result, mote_model *model, const struct bench_test *test,
                    const struct bench_options *options)
{
    *result = (struct bench_result){.test = *test};
    struct bench_run *run = calloc(1, sizeof *run);
    result->ns = calloc(options->repetitions, sizeof *result->ns);
    result->rates = calloc(options->repetitions, sizeof *result->rates);
    bool done = false;
    if (run == NULL || result->ns == NULL || result->rates == NULL) {
        complain("no memory for a test; free some");
    } else {
        run->test = test;
        run->random = 88172645463325252u;
        bool own_peak = mote_peak_memory_restart();
        done = open_run(run, model, options);
        if (done) {
            mote_engine_describe(run->engine, &result->engine);
            count_costs(result, run->engine);
            interrupt_watch(run->session[0]);
            done = measure(run, result, options);
            result->peak_memory = own_peak && run->evict == NULL ? mote_peak_memory() : 0;
        }
        if (!done)
            complain("%s: %s", bench_test_name(test).text, interrupted() ? "stopped" : run->error.text);
        close_run(run);
    }
    free(run);
    if (!done)
        bench_result_free(result);
    return done;
}

void bench_result_free(struct bench_result *result)
{
    free(result->ns);
    free(result->rates);
    *result = (struct bench_result){0};
}

struct bench_name bench_test_name(const struct bench_test *test)
{
    struct bench_name name;
    size_t length = 0;
    if (test->prompt > 0)
        length += (size_t)snprintf(name.text, sizeof name.text, "pp%u", test->prompt);
    if (test->gen > 0)
        length +=
            (size_t)snprintf(name.text + length, sizeof name.text - length, "%stg%u", length > 0 ? "+" : "", test->gen);
    if (test->parallel > 1)
        length += (size_t)snprintf(name.text + length, sizeof name.text - length, " x%u", test->parallel);
    if (test->depth > 0)
        snprintf(name.text + length, sizeof name.text - length, " @ d%u", test->depth);
    return name;
}
