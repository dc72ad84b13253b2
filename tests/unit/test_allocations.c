/* Once an answer has begun, nothing is allocated: not by a forward pass, by sampling with every option, by detokenizing or
 * by looking for stop texts; nor by a prompt that a session continues with. So what an engine was planned with is what it
 * has, and no token can fail for want of memory.
 *
 * What libmote maps comes here by the linker's --wrap (tests/CMakeLists.txt). */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiny_model.h"

#include <cmocka.h>

/* ---- counting: the C library's, seen from inside, where no sanitizer brings its own; and memory that is mapped ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef COUNTS_ALLOCATIONS
#ifdef __GLIBC__
#define COUNTS_ALLOCATIONS 1
#else
#define COUNTS_ALLOCATIONS 0
#endif
#endif

static atomic_size_t calls;

#if COUNTS_ALLOCATIONS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t each);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t each)
{
    atomic_fetch_add(&calls, 1);
    return __libc_calloc(count, each);
}

void *realloc(void *memory, size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    atomic_fetch_add(&calls, 1);
    *out = __libc_memalign(alignment, size);
    return *out != NULL ? 0 : ENOMEM;
}
#endif

void *__real_mmap(void *at, size_t size, int protection, int flags, int file, long offset);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int file, long offset)
{
    atomic_fetch_add(&calls, 1);
    return __real_mmap(at, size, protection, flags, file, offset);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    atomic_fetch_add(&calls, 1);
    return __real_pthread_create(thread, attributes, run, argument);
}

/* ---- a model with all that can be asked of one ---- */

enum { VOCABULARY = TINY_END + 4, CONTEXT = 256, PROMPT = 40, SESSIONS = 3 };

/* Weights of two formats with a packed layout, one that is computed with as it lies, and windows. */
static const quant_type FORMATS[] = {QUANT_Q8_0, QUANT_Q4_0, QUANT_F16};
static const tiny_model SPEC = {.family = "gemma3",
                                .layers = 7,
                                .width = 64,
                                .heads = 4,
                                .kv_heads = 2,
                                .head_dim = 32,
                                .ffn = 96,
                                .vocabulary = VOCABULARY,
                                .context = 1024,
                                .window = 48,
                                .text = true,
                                .seed = 11,
                                .formats = FORMATS,
                                .format_count = 3};

typedef struct fixture {
    void *data;
    mote_model *model;
    mote_engine *engine;
    mote_session *session[SESSIONS];
} fixture;

static int open_all(void **state)
{
    static fixture f;
    mote_error error;
    f.model = tiny_model_open(&SPEC, &f.data);
    mote_engine_options options = {.context = CONTEXT, .sessions = SESSIONS, .batch = 16, .threads = 2};
    bool good = mote_engine_open(&f.engine, f.model, &options, &error) == MOTE_OK;
    for (size_t i = 0; i < SESSIONS && good; i++)
        good = mote_session_open(&f.session[i], f.engine, &error) == MOTE_OK;
    *state = &f;
    return good ? 0 : -1;
}

static int close_all(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < SESSIONS; i++)
        mote_session_close(f->session[i]);
    mote_engine_close(f->engine);
    mote_model_close(f->model);
    free(f->data);
    return 0;
}

static void fill_prompt(mote_token *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ids[i] = (mote_token)(i * 37 % TINY_LETTERS_END);
}

/* ---- generation ---- */

typedef struct listener {
    size_t pieces;
    size_t before; /* calls when the first piece of text came, */
    size_t after;  /* and the last */
} listener;

static bool listen(void *user, const char *text, size_t length)
{
    listener *heard = user;
    assert_non_null(text);
    if (length == 0)
        return true;
    heard->after = atomic_load(&calls);
    if (heard->pieces++ == 0)
        heard->before = atomic_load(&calls);
    return true;
}

static void generate(fixture *f, const mote_sampling *sampling)
{
    static const char *const STOPS[] = {"never comes", "nor this"};
    mote_token prompt[PROMPT];
    listener heard = {0};
    mote_error error = {0};
    mote_generation result;
    mote_generation_options options = {
        .sampling = sampling, .stop = STOPS, .stop_count = 2, .show_special = true, .on_text = listen, .user = &heard};
    fill_prompt(prompt, PROMPT);
    if (mote_generate(f->session[0], prompt, PROMPT, &options, &result, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    assert_int_equal(result.finish, MOTE_FINISH_CONTEXT);
    assert_int_equal(result.tokens, CONTEXT - PROMPT + 1);
    assert_true(heard.pieces > 20);
    assert_int_equal(heard.after, heard.before);
}

static void an_answer(void **state)
{
    mote_sampling sampling;
    mote_logit_bias bias = {TINY_END, -1000};
    mote_sampling_init(&sampling);
    sampling.bias = &bias;
    sampling.bias_count = 1;
    generate(*state, &sampling);
    sampling.temperature = 0;
    generate(*state, &sampling);
    sampling.temperature = 1;
    sampling.top_k = 0;
    sampling.typical_p = 0.9f;
    sampling.repeat_penalty = 1.2f;
    sampling.frequency_penalty = 0.1f;
    generate(*state, &sampling);
}

/* ---- steps of one's own ---- */

static void several_sessions(void **state)
{
    fixture *f = *state;
    mote_token prompt[PROMPT], next[SESSIONS] = {0};
    static float logits[SESSIONS][VOCABULARY];
    mote_sampler *sampler;
    mote_detokenizer *text;
    mote_work work[SESSIONS];
    fill_prompt(prompt, PROMPT);
    assert_int_equal(mote_sampler_open(&sampler, f->model, NULL, NULL), MOTE_OK);
    assert_int_equal(mote_detokenizer_open(&text, f->model, true, NULL), MOTE_OK);
    size_t before = atomic_load(&calls);
    for (size_t i = 0; i < SESSIONS; i++) {
        mote_session_clear(f->session[i]);
        work[i] = (mote_work){f->session[i], prompt, PROMPT - i, logits[i], 1};
    }
    for (size_t step = 0; step < 100; step++) {
        assert_int_equal(mote_engine_step(f->engine, work, SESSIONS, NULL), MOTE_OK);
        for (size_t i = 0; i < SESSIONS; i++) {
            size_t length;
            next[i] = mote_sampler_pick(sampler, logits[i]);
            work[i] = (mote_work){f->session[i], &next[i], 1, logits[i], 1};
            assert_non_null(mote_detokenizer_push(text, next[i], &length));
        }
    }
    assert_true(mote_session_rewind(f->session[0], 130) <= 130);
    assert_int_equal(mote_engine_step(f->engine, work, 1, NULL), MOTE_OK);
    assert_int_equal(atomic_load(&calls), before);
    mote_detokenizer_close(text);
    mote_sampler_close(sampler);
}

/* That calls do come here. */
static void opening_counts(void **state)
{
    fixture *f = *state;
    mote_engine *engine;
    size_t before = atomic_load(&calls);
    assert_int_equal(mote_engine_open(&engine, f->model, NULL, NULL), MOTE_OK);
    assert_true(atomic_load(&calls) >= before + (COUNTS_ALLOCATIONS ? 2 : 1));
    mote_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_counts),
        cmocka_unit_test(an_answer),
        cmocka_unit_test(several_sessions),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
