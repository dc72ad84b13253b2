/* What an engine computes with: features of the processor that a mask leaves, and threads, whose numbers change under way
 * and which sleep when there is nothing to do. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "engine_case.h"

#include <cmocka.h>

/* ---- the processor ---- */

static void masked_features(void **state)
{
    (void)state;
    size_t size;
    void *data = tiny_model_build(&LLAMA, &size);
    mote_model *model = (mote_model *)&model;
    mote_model_options options = {.data = data, .size = size, .cpu = "sse9"};
    mote_error error = {0};
    assert_int_equal(mote_model_open(&model, NULL, &options, &error), MOTE_E_ARGUMENT);
    assert_null(model);
    expect_sentence(&error, MOTE_E_ARGUMENT, "'sse9' is no processor feature; choose from: generic");
    options.cpu = "generic";
    float got[VOCABULARY];
    mote_engine *engine = NULL;
    assert_int_equal(mote_model_open(&model, NULL, &options, &error), MOTE_OK);
    assert_int_equal(mote_engine_open(&engine, model, NULL, &error), MOTE_OK);
    undisturbed(engine, 10, got);
    mote_engine_close(engine);
    mote_model_close(model);
    free(data);
    mote_kernel_info kernel;
    size_t count = 0;
    for (; mote_cpu_kernel(&kernel, count, "generic", NULL) == MOTE_OK; count++) {
        assert_string_equal(kernel.kernel, "generic");
        assert_true(*kernel.packed == '\0' || strcmp(kernel.packed, "generic") == 0);
    }
    assert_true(count > 20);
    assert_int_equal(mote_cpu_kernel(&kernel, SIZE_MAX, NULL, &error), MOTE_E_ARGUMENT);
    assert_int_equal(mote_cpu_kernel(&kernel, 0, "nonsense", &error), MOTE_E_ARGUMENT);
    expect_sentence(&error, MOTE_E_ARGUMENT, "nonsense");
}

/* ---- threads ---- */

static void thread_counts(void **state)
{
    (void)state;
    mote_engine_info info;
    machine m = machine_open(&LLAMA, (mote_engine_options){.context = 64, .decode_threads = 1, .prefill_threads = 256});
    mote_engine_describe(m.engine, &info);
    uint32_t all = info.threads; /* the processors of this machine */
    assert_int_equal(info.decode_threads, 1);
    assert_int_equal(info.prefill_threads, all);
    mote_engine_set_threads(m.engine, UINT32_MAX, 1);
    mote_engine_describe(m.engine, &info);
    assert_int_equal(info.decode_threads, all);
    assert_int_equal(info.prefill_threads, 1);
    mote_engine_set_threads(m.engine, 0, 0);
    mote_engine_describe(m.engine, &info);
    assert_int_equal(info.decode_threads, all);
    assert_int_equal(info.prefill_threads, 1);
    assert_int_equal(info.threads, all);
    machine_close(&m);
    m = machine_open(&LLAMA, (mote_engine_options){.context = 64, .threads = 1});
    mote_engine_describe(m.engine, &info);
    assert_int_equal(info.threads, 1);
    assert_int_equal(info.decode_threads, 1);
    assert_int_equal(info.prefill_threads, 1);
    machine_close(&m);
}

static void *change_threads(void *argument)
{
    machine *m = argument;
    for (uint32_t i = 0; i < 300; i++)
        mote_engine_set_threads(m->engine, 1 + i % 2, 1 + i / 2 % 2);
    return NULL;
}

/* Counts change from another thread while steps run: what is computed stays the same. */
static void threads_change_underway(void **state)
{
    (void)state;
    float expected[VOCABULARY], got[VOCABULARY];
    pthread_t other;
    machine m = machine_open(&LLAMA, (mote_engine_options){.context = 64, .sessions = 2, .threads = 2});
    undisturbed(m.engine, 40, expected);
    assert_int_equal(pthread_create(&other, NULL, change_threads, &m), 0);
    mote_session *session = session_open(m.engine);
    for (int round = 0; round < 20; round++) {
        mote_session_clear(session);
        advance_well(m.engine, session, 20, NULL);
        for (int i = 0; i < 19; i++)
            advance_well(m.engine, session, 1, NULL);
        advance_well(m.engine, session, 1, got);
        assert_memory_equal(expected, got, sizeof got);
    }
    pthread_join(other, NULL);
    mote_session_close(session);
    machine_close(&m);
}

static void idle_engine_uses_no_processor(void **state)
{
    (void)state;
    struct rusage before, after;
    machine m = machine_open(&LLAMA, (mote_engine_options){.context = 64, .threads = 4});
    mote_session *session = session_open(m.engine);
    advance_well(m.engine, session, 30, NULL);
    advance_well(m.engine, session, 1, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    getrusage(RUSAGE_SELF, &before);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    getrusage(RUSAGE_SELF, &after);
    long used =
        (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
        (after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec);
    assert_true(used < 3000); /* µs */
    mote_session_close(session);
    machine_close(&m);
}

static void wrong_counts(void **state)
{
    (void)state;
    static const mote_engine_options BAD[] = {{.decode_threads = 257}, {.threads = 1, .prefill_threads = UINT32_MAX}};
    void *data;
    mote_model *model = tiny_model_open(&LLAMA, &data);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        mote_engine *engine = (mote_engine *)&engine;
        mote_error error = {0};
        assert_int_equal(mote_engine_open(&engine, model, &BAD[i], &error), MOTE_E_ARGUMENT);
        assert_null(engine);
        expect_sentence(&error, MOTE_E_ARGUMENT, "threads asked for; choose 1 to 256");
    }
    mote_model_close(model);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masked_features),
        cmocka_unit_test(thread_counts),
        cmocka_unit_test(threads_change_underway),
        cmocka_unit_test(idle_engine_uses_no_processor),
        cmocka_unit_test(wrong_counts),
    };
    return cmocka_run_group_tests_name("engine_threads", tests, NULL, NULL);
}
