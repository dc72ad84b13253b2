/* Engines and sessions from outside: limits, what a failed step leaves behind, cancelling, sharing, and a file that goes
 * away under a running model. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kv_both.h"
#include "engine_case.h"

#include <cmocka.h>

/* ---- fixtures ---- */

enum { WINDOW = 16 };

static const tiny_model GEMMA = {.family = "gemma3",
                                 .layers = 7,
                                 .width = 48,
                                 .heads = 4,
                                 .kv_heads = 1,
                                 .head_dim = 16,
                                 .ffn = 64,
                                 .vocabulary = VOCABULARY,
                                 .context = 8192,
                                 .window = WINDOW,
                                 .seed = 6};

/* ---- opening ---- */

static void engine_options(void **state)
{
    (void)state;
    static const struct {
        mote_engine_options options;
        const char *word;
    } BAD[] = {
        {{.context = 8193}, "8193"},        {{.context = UINT32_MAX}, "context"}, {{.batch = 100000}, "batch"},
        {{.batch = UINT32_MAX}, "batch"},   {{.sessions = 100000}, "sessions"},   {{.threads = 100000}, "thread"},
        {{KV_BOTH((mote_kv_type)5)}, "KV"}, {{KV_BOTH((mote_kv_type)-1)}, "KV"},
    };
    void *data;
    mote_model *model = tiny_model_open(&LLAMA, &data);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        mote_engine *engine = (mote_engine *)&engine;
        mote_error error = {0};
        assert_int_equal(mote_engine_open(&engine, model, &BAD[i].options, &error), MOTE_E_ARGUMENT);
        assert_null(engine);
        expect_sentence(&error, MOTE_E_ARGUMENT, BAD[i].word);
    }
    mote_engine *engine;
    mote_engine_options options;
    mote_engine_options_init(&options);
    assert_int_equal(mote_engine_open(&engine, model, &options, NULL), MOTE_OK);
    mote_engine_info info;
    mote_engine_describe(engine, &info);
    assert_int_equal(info.context, 4096);
    assert_int_equal(info.sessions, 1);
    assert_int_equal(info.batch, 256);
    assert_int_equal(info.kv_keys, MOTE_KV_F16);
    assert_true(info.threads >= 1);
    mote_engine_close(engine);
    assert_int_equal(mote_engine_open(&engine, model, NULL, NULL), MOTE_OK);
    mote_engine_close(engine);
    mote_engine_close(NULL);
    mote_model_close(model);
    free(data);
}

/* KV memory is what the shape says: positions × heads × head size × 2 × bytes, on sliding layers the pages of 256 positions
 * that window + batch − 1 can touch. */
static void memory_is_as_planned(void **state)
{
    (void)state;
    mote_engine_options options = {.context = 1024, .sessions = 2, .batch = 8, .threads = 1, KV_BOTH(MOTE_KV_F32)};
    machine llama = machine_open(&LLAMA, options), gemma = machine_open(&GEMMA, options);
    mote_engine_info info;
    mote_engine_describe(llama.engine, &info);
    size_t position = 2 * 16 * 2 * sizeof(float), slack = 16384; /* for its books */
    assert_in_range(info.kv_bytes, 2 * 2 * 1024 * position, 2 * 2 * 1024 * position + slack);
    mote_engine_describe(gemma.engine, &info);
    position = 1 * 16 * 2 * sizeof(float);
    size_t whole = 2 * (1024 + 6 * 2 * 256) * position;
    assert_in_range(info.kv_bytes, whole, whole + slack);
    assert_true(info.scratch_bytes > 0);
    machine_close(&llama);
    machine_close(&gemma);

    /* Half of that, a byte for each value with a scale of two, and half a byte. */
    const size_t head[] = {[MOTE_KV_F16] = 16 * 2, [MOTE_KV_F32] = 16 * 4, [MOTE_KV_Q8] = 16 + 2, [MOTE_KV_Q4] = 8 + 2};
    for (mote_kv_type kv = MOTE_KV_F16; kv <= MOTE_KV_Q4; kv++) {
        options.kv_keys = options.kv_values = kv;
        llama = machine_open(&LLAMA, options);
        mote_engine_describe(llama.engine, &info);
        assert_int_equal(info.kv_keys, kv);
        position = 2 * 2 * head[kv];
        assert_in_range(info.kv_bytes, 2 * 2 * 1024 * position, 2 * 2 * 1024 * position + slack);
        machine_close(&llama);
    }
}

/* Positions × head size × 4 bytes are 4 GiB here, past a 32-bit size: there is no memory then, or all of it. */
static void the_widest_heads_and_longest_context(void **state)
{
    (void)state;
    enum { LONGEST = 1 << 20, WIDEST = 1024 };
    tiny_model spec = LLAMA;
    spec.layers = spec.heads = spec.kv_heads = 1;
    spec.head_dim = WIDEST;
    spec.context = LONGEST;
    void *data;
    mote_model *model = tiny_model_open(&spec, &data);
    mote_engine *engine;
    mote_error error = {0};
    mote_engine_options options = {.context = LONGEST, .threads = 1, .batch = 1, KV_BOTH(MOTE_KV_F32)};
    mote_status status = mote_engine_open(&engine, model, &options, &error);
    if (status != MOTE_OK) {
        expect_sentence(&error, MOTE_E_MEMORY, "1048576");
        assert_null(engine);
    } else {
        mote_engine_info info;
        mote_engine_describe(engine, &info);
        assert_true(info.kv_bytes >= (uint64_t)LONGEST * WIDEST * 2 * sizeof(float));
    }
    mote_engine_close(engine);
    mote_model_close(model);
    free(data);
}

/* Logits after `whole` ids that came in steps of `step`, and then one by one to the end. */
static void in_steps(const tiny_model *spec, mote_engine_options options, size_t step, size_t whole, size_t end,
                     float *logits)
{
    machine m = machine_open(spec, options);
    mote_session *session = session_open(m.engine);
    for (size_t done = 0; done < end;) {
        size_t left = whole > done ? whole - done : 1;
        size_t count = left < step ? left : step;
        done += count;
        advance_well(m.engine, session, count, done >= whole ? logits + (done - whole) * VOCABULARY : NULL);
    }
    mote_session_close(session);
    machine_close(&m);
}

/* Deep in a context, positions are shared out among threads, and tiles are cut by batches and threads: the bits stay. */
static void deep_contexts(void **state)
{
    (void)state;
    enum { WHOLE = 1100, END = 1106, ROWS = END - WHOLE + 1 };
    static const struct {
        uint32_t threads, batch;
        size_t step;
    } WAYS[] = {{1, 256, WHOLE}, {2, 256, WHOLE}, {3, 100, WHOLE}, {5, 33, 70}, {2, 7, 1000}};
    static float first[ROWS * VOCABULARY], other[ROWS * VOCABULARY];
    tiny_model wide = GEMMA;
    wide.window = 300;
    wide.layers = 2;
    const tiny_model *const SPECS[] = {&LLAMA, &GEMMA, &wide};
    for (size_t i = 0; i < 3 * 4; i++) {
        mote_engine_options options = {.context = 1200, KV_BOTH((mote_kv_type)(1 + i % 4))};
        for (size_t w = 0; w < sizeof WAYS / sizeof *WAYS; w++) {
            options.threads = WAYS[w].threads;
            options.batch = WAYS[w].batch;
            in_steps(SPECS[i / 4], options, WAYS[w].step, WHOLE, END, w == 0 ? first : other);
            if (w > 0 && memcmp(first, other, sizeof first) != 0)
                fail_msg("model %zu, KV type %zu: way %zu gives other bits", i / 4, i % 4, w);
        }
    }
}

static void as_many_sessions_as_said(void **state)
{
    (void)state;
    machine m = machine_open(&LLAMA, (mote_engine_options){.context = 32, .sessions = 3, .threads = 1});
    mote_session *sessions[3], *extra = (mote_session *)&m;
    mote_error error = {0};
    for (size_t i = 0; i < 3; i++)
        sessions[i] = session_open(m.engine);
    assert_int_equal(mote_session_open(&extra, m.engine, &error), MOTE_E_LIMIT);
    assert_null(extra);
    expect_sentence(&error, MOTE_E_LIMIT, "3");
    advance_well(m.engine, sessions[1], 20, NULL);
    mote_session_close(sessions[1]);
    sessions[1] = session_open(m.engine);
    assert_int_equal(mote_session_length(sessions[1]), 0);
    for (size_t i = 0; i < 3; i++)
        mote_session_close(sessions[i]);
    mote_session_close(NULL);
    machine_close(&m);
}

/* A model may be closed before its engines, and an engine before its sessions: each is kept while it is needed. */
static void closing_in_any_order(void **state)
{
    (void)state;
    float expected[VOCABULARY], got[VOCABULARY];
    machine m = machine_open(&GEMMA, (mote_engine_options){.context = 64, .sessions = 2, .threads = 2});
    undisturbed(m.engine, 30, expected);
    mote_session *session = session_open(m.engine);
    mote_model_close(m.model);
    advance_well(m.engine, session, 30, got);
    assert_memory_equal(expected, got, sizeof got);
    mote_engine_close(m.engine);
    assert_int_equal(mote_session_length(session), 30);
    mote_session_clear(session);
    mote_session_close(session);
    free(m.data);
}

/* ---- steps that are refused ---- */

static void context_is_a_limit(void **state)
{
    (void)state;
    const tiny_model *const SPECS[] = {&LLAMA, &GEMMA};
    for (size_t i = 0; i < 2; i++) {
        float expected[VOCABULARY], got[VOCABULARY];
        machine m =
            machine_open(SPECS[i], (mote_engine_options){.context = 48, .sessions = 2, .threads = 2, .batch = 7});
        undisturbed(m.engine, 48, expected);
        mote_session *session = session_open(m.engine);
        mote_error error = {0};
        assert_int_equal(advance(m.engine, session, 49, got, &error), MOTE_E_LIMIT);
        expect_sentence(&error, MOTE_E_LIMIT, "48");
        assert_int_equal(mote_session_length(session), 0);
        advance_well(m.engine, session, 30, NULL);
        assert_int_equal(advance(m.engine, session, 19, got, &error), MOTE_E_LIMIT);
        assert_int_equal(mote_session_length(session), 30);
        advance_well(m.engine, session, 18, got); /* full to the last cell */
        assert_memory_equal(expected, got, sizeof got);
        assert_int_equal(advance(m.engine, session, 1, got, &error), MOTE_E_LIMIT);
        assert_int_equal(advance(m.engine, session, 0, NULL, &error), MOTE_OK);
        assert_int_equal(mote_session_length(session), 48);
        mote_session_close(session);
        machine_close(&m);
    }
}

static void refuse(mote_engine *engine, const mote_work *work, size_t count, const char *word)
{
    mote_error error = {0};
    assert_int_equal(mote_engine_step(engine, work, count, &error), MOTE_E_ARGUMENT);
    expect_sentence(&error, MOTE_E_ARGUMENT, word);
    assert_int_equal(mote_engine_step(engine, work, count, NULL), MOTE_E_ARGUMENT);
}

static void wrong_work(void **state)
{
    (void)state;
    machine m = machine_open(&LLAMA, (mote_engine_options){.context = 64, .sessions = 2, .threads = 1});
    machine other = machine_open(&LLAMA, (mote_engine_options){.context = 64, .threads = 1});
    mote_session *a = session_open(m.engine), *b = session_open(m.engine), *stranger = session_open(other.engine);
    float expected[VOCABULARY], logits[2 * VOCABULARY];
    mote_token ids[] = {1, 2, 3}, negative[] = {1, -1, 3}, large[] = {1, 2, VOCABULARY}, huge[] = {INT32_MAX};

    refuse(m.engine, &(mote_work){stranger, ids, 3, NULL, 0}, 1, "another engine");
    refuse(m.engine, &(mote_work){NULL, ids, 3, NULL, 0}, 1, "session");
    refuse(m.engine, &(mote_work){a, negative, 3, NULL, 0}, 1, "-1");
    refuse(m.engine, &(mote_work){a, large, 3, NULL, 0}, 1, "vocabulary");
    refuse(m.engine, &(mote_work){a, huge, 1, NULL, 0}, 1, "vocabulary");
    refuse(m.engine, &(mote_work){a, ids, 3, logits, 4}, 1, "rows");
    refuse(m.engine, (mote_work[]){{a, ids, 3, NULL, 0}, {a, ids, 3, NULL, 0}}, 2, "same session");
    refuse(m.engine, (mote_work[]){{a, ids, 3, NULL, 0}, {b, large, 3, NULL, 0}}, 2, "vocabulary");
    refuse(m.engine, (mote_work[]){{a, ids, 3, NULL, 0}, {b, ids, 3, NULL, 0}, {stranger, ids, 1, NULL, 0}}, 3, "3");
    assert_int_equal(mote_session_length(a), 0);
    assert_int_equal(mote_session_length(b), 0);
    assert_int_equal(mote_engine_step(m.engine, NULL, 0, NULL), MOTE_OK);

    /* What was refused has left no trace. */
    advance_well(other.engine, stranger, 20, expected);
    advance_well(m.engine, a, 20, logits);
    assert_memory_equal(expected, logits, sizeof expected);
    mote_session_close(stranger);
    mote_session_close(a);
    mote_session_close(b);
    machine_close(&m);
    machine_close(&other);
}

/* ---- cancelling ---- */

typedef struct canceller {
    mote_session *session;
    atomic_bool done;
} canceller;

static void wait_milliseconds(long milliseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

/* A request may come before the call that it is meant for, which forgets it: it is made until it is heard. */
static void *cancel_until_done(void *user)
{
    canceller *c = user;
    wait_milliseconds(30); /* by then several batches are done, and many are left */
    while (!atomic_load(&c->done)) {
        mote_session_cancel(c->session);
        wait_milliseconds(5);
    }
    return NULL;
}

/* A prompt of seconds is stopped; what the session held before is still right, or it says that it holds nothing. */
static void cancelled_prompt(void **state)
{
    (void)state;
    const tiny_model *const SPECS[] = {&LLAMA, &GEMMA};
    for (size_t i = 0; i < 2; i++) {
        float expected[VOCABULARY], got[VOCABULARY];
        machine m = machine_open(
            SPECS[i],
            (mote_engine_options){.context = 8192, .sessions = 2, .threads = 2, .batch = 4, KV_BOTH(MOTE_KV_F32)});
        undisturbed(m.engine, 30, expected);
        canceller c = {.session = session_open(m.engine)};
        advance_well(m.engine, c.session, 25, NULL);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, cancel_until_done, &c), 0);
        mote_error error = {0};
        mote_status status = advance(m.engine, c.session, 8000, NULL, &error);
        atomic_store(&c.done, true);
        pthread_join(thread, NULL);
        assert_int_equal(status, MOTE_E_CANCELLED);
        expect_sentence(&error, MOTE_E_CANCELLED, "cancelled");
        size_t length = mote_session_length(c.session);
        if (i == 0)
            assert_int_equal(length, 25);
        else
            assert_true(length == 25 || length == 0);
        mote_session_cancel(c.session); /* too early: forgotten by the next call */
        advance_well(m.engine, c.session, 30 - length, got);
        assert_memory_equal(expected, got, sizeof got);
        mote_session_close(c.session);
        machine_close(&m);
    }
}

/* ---- sharing ---- */

typedef struct runner {
    mote_engine *engine;
    float logits[VOCABULARY];
} runner;

static void *run_in_small_steps(void *user)
{
    runner *r = user;
    mote_session *session = NULL;
    if (mote_session_open(&session, r->engine, NULL) != MOTE_OK)
        return "no session";
    void *result = NULL;
    for (size_t done = 0; done < 40 && result == NULL; done += 4) {
        mote_token ids[4];
        fill_ids(ids, done, 4);
        mote_work work = {session, ids, 4, r->logits, 1};
        if (mote_engine_step(r->engine, &work, 1, NULL) != MOTE_OK)
            result = "a step failed";
    }
    mote_session_close(session);
    return result;
}

/* Threads that share an engine wait for each other; engines that share a model do not know of each other. */
static void many_threads(void **state)
{
    (void)state;
    enum { ENGINES = 2, RUNNERS = 3 };
    void *data;
    mote_model *model = tiny_model_open(&GEMMA, &data);
    mote_engine *engines[ENGINES];
    runner runners[ENGINES * RUNNERS];
    pthread_t threads[ENGINES * RUNNERS];
    float expected[VOCABULARY];
    for (size_t i = 0; i < ENGINES; i++) {
        mote_engine_options options = {.context = 64, .sessions = RUNNERS, .threads = (uint32_t)i + 1, .batch = 8};
        assert_int_equal(mote_engine_open(&engines[i], model, &options, NULL), MOTE_OK);
    }
    undisturbed(engines[0], 40, expected);
    for (size_t i = 0; i < ENGINES * RUNNERS; i++) {
        runners[i].engine = engines[i % ENGINES];
        assert_int_equal(pthread_create(&threads[i], NULL, run_in_small_steps, &runners[i]), 0);
    }
    for (size_t i = 0; i < ENGINES * RUNNERS; i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        if (problem != NULL)
            fail_msg("runner %zu: %s", i, (const char *)problem);
        assert_memory_equal(expected, runners[i].logits, sizeof expected);
    }
    for (size_t i = 0; i < ENGINES; i++)
        mote_engine_close(engines[i]);
    mote_model_close(model);
    free(data);
}

/* ---- the file ---- */

static void write_model(const tiny_model *spec, char path[static 64])
{
    size_t size;
    void *data = tiny_model_build(spec, &size);
    snprintf(path, 64, "/tmp/mote-engine-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, data, size), size);
    close(file);
    free(data);
}

static void open_file(machine *m, const char *path)
{
    mote_error error = {0};
    mote_engine_options options = {.context = 64, .sessions = 2, .threads = 2};
    m->data = NULL;
    if (mote_model_open(&m->model, path, NULL, &error) != MOTE_OK ||
        mote_engine_open(&m->engine, m->model, &options, &error) != MOTE_OK)
        fail_msg("%s", error.text);
}

/* Ids made from an image that is no longer there are not handed out. */
static void vocabulary_is_truncated(void)
{
    static const char TEXT[] = "<|endoftext|>";
    char path[64];
    tiny_model spec = LLAMA;
    spec.vocabulary = TINY_END + 1;
    spec.text = spec.packed = true;
    write_model(&spec, path);
    mote_model *model;
    mote_ids ids = {0};
    mote_error error = {0};
    assert_int_equal(mote_model_open(&model, path, NULL, NULL), MOTE_OK);
    assert_int_equal(mote_tokenize(model, TEXT, sizeof TEXT - 1, MOTE_TOKENIZE_SPECIAL, &ids, &error), MOTE_OK);
    size_t before = ids.count;
    assert_true(before > 0);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(mote_tokenize(model, TEXT, sizeof TEXT - 1, MOTE_TOKENIZE_SPECIAL, &ids, &error), MOTE_E_IO);
    expect_sentence(&error, MOTE_E_IO, path);
    assert_int_equal(ids.count, before);
    mote_ids_free(&ids);
    mote_model_close(model);
    unlink(path);
}

/* One test: cmocka takes SIGBUS for itself at the beginning of each, and the guard takes it with its first file. */
static void file_is_truncated(void **state)
{
    (void)state;
    char path[64];
    write_model(&LLAMA, path);
    machine m;
    open_file(&m, path);
    mote_session *session = session_open(m.engine), *other = session_open(m.engine);
    mote_error error = {0};
    advance_well(m.engine, session, 10, NULL);
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(advance(m.engine, session, 10, NULL, &error), MOTE_E_IO);
    expect_sentence(&error, MOTE_E_IO, path);
    assert_int_equal(mote_session_length(session), 10);
    assert_int_equal(advance(m.engine, other, 1, NULL, &error), MOTE_E_IO); /* and so it stays */
    assert_int_equal(mote_session_length(other), 0);
    mote_session_close(session);
    mote_session_close(other);
    machine_close(&m);
    unlink(path);
    vocabulary_is_truncated();
}

static void file_is_removed(void **state)
{
    (void)state;
    char path[64];
    float expected[VOCABULARY], got[VOCABULARY];
    write_model(&LLAMA, path);
    machine m;
    open_file(&m, path);
    undisturbed(m.engine, 20, expected);
    assert_int_equal(unlink(path), 0);
    undisturbed(m.engine, 20, got);
    assert_memory_equal(expected, got, sizeof got);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_options),       cmocka_unit_test(memory_is_as_planned),
        cmocka_unit_test(deep_contexts),        cmocka_unit_test(as_many_sessions_as_said),
        cmocka_unit_test(closing_in_any_order), cmocka_unit_test(context_is_a_limit),
        cmocka_unit_test(wrong_work),           cmocka_unit_test(cancelled_prompt),
        cmocka_unit_test(many_threads),         cmocka_unit_test(file_is_truncated),
        cmocka_unit_test(file_is_removed),      cmocka_unit_test(the_widest_heads_and_longest_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
