/* The thread pool: every index once, limits, sleep, and what a loop costs. With --bench: how long a hand-over takes. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/processors.h"
#include "base/thread_pool.h"

#include <cmocka.h>

static void pause_for(double seconds)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)(seconds * 1e9)}, NULL);
}

typedef struct marks {
    atomic_uint *seen;
    atomic_uint most_worker;
} marks;

static void mark(void *context, size_t begin, size_t end, uint32_t worker)
{
    marks *m = context;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&m->seen[i], 1);
    unsigned most = atomic_load(&m->most_worker);
    while (worker > most && !atomic_compare_exchange_weak(&m->most_worker, &most, worker))
        ;
}

/* Every index exactly once, whatever the sizes and limits; loops in quick succession and after a pause that puts workers to
 * sleep. The pool is told of more processors than there may be, so that all its threads run. */
static void test_covers_every_index_once(void **state)
{
    (void)state;
    enum { MOST = 1000 };
    atomic_uint *seen = calloc(MOST, sizeof *seen);
    for (uint32_t threads = 1; threads <= 5; threads++) {
        thread_pool *pool;
        assert_int_equal(thread_pool_open_for(&pool, threads, 8, NULL), MOTE_OK);
        assert_int_equal(thread_pool_size(pool), threads);
        for (size_t round = 0; round < 600; round++) {
            size_t count = round * 7 % MOST, grain = round % 5 == 4 ? MOST : round % 5;
            uint32_t limit = 1 + (uint32_t)(round / 3 % 5);
            marks m = {seen, 0};
            memset(seen, 0, MOST * sizeof *seen);
            thread_pool_limit(pool, limit);
            uint32_t active = thread_pool_active(pool);
            assert_int_equal(active, limit < threads ? limit : threads);
            thread_pool_for(pool, count, grain, mark, &m);
            for (size_t i = 0; i < MOST; i++)
                assert_int_equal(seen[i], i < count);
            assert_true(m.most_worker < active);
            if (round % 100 == 99)
                pause_for(0.002);
        }
        thread_pool_close(pool);
    }
    free(seen);
}

static void test_limits_are_kept_within_the_pool(void **state)
{
    (void)state;
    thread_pool *pool;
    assert_int_equal(thread_pool_open_for(&pool, 3, 8, NULL), MOTE_OK);
    assert_int_equal(thread_pool_active(pool), 3);
    thread_pool_limit(pool, 0);
    assert_int_equal(thread_pool_active(pool), 1);
    thread_pool_limit(pool, UINT32_MAX);
    assert_int_equal(thread_pool_active(pool), 3);
    thread_pool_close(pool);
}

/* Waits, within reason, until two threads are in the loop at once. */
static void meet(void *context, size_t begin, size_t end, uint32_t worker)
{
    atomic_uint *here = context;
    (void)worker;
    atomic_fetch_add(here, (unsigned)(end - begin));
    for (double start = clock_seconds(); atomic_load(here) < 2 && clock_seconds() - start < 30;)
        sched_yield();
}

/* A worker that a limit has sent to sleep is there again when the limit rises. */
static void test_threads_come_back(void **state)
{
    (void)state;
    thread_pool *pool;
    assert_int_equal(thread_pool_open_for(&pool, 2, 2, NULL), MOTE_OK);
    for (int round = 0; round < 20; round++) {
        atomic_uint here = 0, alone[4] = {0, 0, 0, 0};
        marks m = {alone, 0};
        thread_pool_limit(pool, 1);
        thread_pool_for(pool, 4, 1, mark, &m);
        assert_int_equal(m.most_worker, 0);
        pause_for(round % 2 == 0 ? 0.001 : 0);
        thread_pool_limit(pool, 2);
        thread_pool_for(pool, 2, 1, meet, &here);
        assert_int_equal(here, 2);
    }
    thread_pool_close(pool);
}

static double processor_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static void test_idle_pool_uses_no_processor(void **state)
{
    (void)state;
    thread_pool *pool;
    marks m = {calloc(64, sizeof(atomic_uint)), 0};
    assert_int_equal(thread_pool_open_for(&pool, 4, 8, NULL), MOTE_OK);
    thread_pool_for(pool, 64, 1, mark, &m);
    pause_for(0.02);
    double before = processor_seconds();
    pause_for(0.3);
    assert_true(processor_seconds() - before < 0.003);
    thread_pool_close(pool);
    free(m.seen);
}

/* Threads beyond the limit sleep while the others work. */
static void test_unused_threads_use_no_processor(void **state)
{
    (void)state;
    thread_pool *pool;
    marks m = {calloc(64, sizeof(atomic_uint)), 0};
    assert_int_equal(thread_pool_open_for(&pool, 4, 8, NULL), MOTE_OK);
    thread_pool_limit(pool, 1);
    double used = 0, before = processor_seconds();
    for (int round = 0; round < 300; round++) {
        thread_pool_for(pool, 64, 1, mark, &m);
        pause_for(0.001);
    }
    used = processor_seconds() - before;
    assert_true(used < 0.06); /* one spinning thread would use half of the time, about 0.15 s */
    thread_pool_close(pool);
    free(m.seen);
}

static void spend(void *context, size_t begin, size_t end, uint32_t worker)
{
    atomic_uint *sums = context;
    unsigned sum = worker;
    for (size_t i = begin * 300; i < end * 300; i++)
        sum = sum * 1664525 + (unsigned)i;
    atomic_fetch_xor_explicit(&sums[worker % 16 * 16], sum, memory_order_relaxed);
}

/* Seconds for many short loops, best of several tries. */
static double many_loops(uint32_t threads)
{
    thread_pool *pool;
    static atomic_uint sums[16 * 16];
    double best = 1e9;
    assert_int_equal(thread_pool_open(&pool, threads, NULL), MOTE_OK);
    for (int attempt = 0; attempt < 7; attempt++) {
        double begin = clock_seconds();
        for (int loop = 0; loop < 2000; loop++)
            thread_pool_for(pool, 16, 1, spend, sums);
        double passed = clock_seconds() - begin;
        best = passed < best ? passed : best;
    }
    thread_pool_close(pool);
    return best;
}

/* Asking for more threads than there are processors must not cost anything. */
static void test_more_threads_than_processors(void **state)
{
    (void)state;
    processor_set allowed = processors_allowed();
    uint32_t usable = processors_usable(&allowed, "");
    double enough = many_loops(usable), many = many_loops(4 * usable), one = many_loops(1);
    if (many > 1.5 * enough) { /* other work on the machine: once more */
        enough = many_loops(usable);
        many = many_loops(4 * usable);
    }
    if (many > 1.5 * enough)
        fail_msg("%u threads take %.1f ms, %u take %.1f ms, one %.1f ms", usable, enough * 1e3, 4 * usable, many * 1e3,
                 one * 1e3);
}

static void test_size_is_bounded_by_processors(void **state)
{
    (void)state;
    thread_pool *pool;
    assert_int_equal(thread_pool_open_for(&pool, 8, 2, NULL), MOTE_OK);
    assert_int_equal(thread_pool_size(pool), 2);
    thread_pool_close(pool);
    assert_int_equal(thread_pool_open_for(&pool, 8, 0, NULL), MOTE_OK);
    assert_int_equal(thread_pool_size(pool), 1);
    thread_pool_close(pool);
}

static void test_refuses_nonsense(void **state)
{
    (void)state;
    thread_pool *pool = (thread_pool *)&pool;
    mote_error error;
    assert_int_equal(thread_pool_open(&pool, 0, &error), MOTE_E_ARGUMENT);
    assert_null(pool);
    assert_int_equal(thread_pool_open(&pool, THREAD_POOL_MOST + 1, &error), MOTE_E_ARGUMENT);
    assert_non_null(strstr(error.text, "257 threads"));
    thread_pool_close(NULL);
}

/* ---- bench: from thread_pool_for to a worker's first instruction ---- */

typedef struct hand_over {
    atomic_bool begun;
    double at;
} hand_over;

/* The caller waits in its range until the worker is in the other. */
static void note_start(void *context, size_t begin, size_t end, uint32_t worker)
{
    hand_over *h = context;
    (void)begin, (void)end;
    if (worker != 0) {
        h->at = clock_seconds();
        atomic_store(&h->begun, true);
    }
    for (double start = clock_seconds(); !atomic_load(&h->begun) && clock_seconds() - start < 0.02;)
        ;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const double SPIN_GAP_MOST = 80e-6; /* shorter pauses are spent awake */

static void bench_hand_over(thread_pool *pool, const char *name, double gap)
{
    enum { TRIES = 400 };
    double took[TRIES];
    size_t count = 0;
    for (int i = 0; i < TRIES; i++) {
        hand_over h = {.begun = false};
        if (gap > SPIN_GAP_MOST)
            pause_for(gap);
        else
            for (double start = clock_seconds(); clock_seconds() - start < gap;)
                ;
        double begin = clock_seconds();
        thread_pool_for(pool, 2, 1, note_start, &h);
        if (h.begun)
            took[count++] = h.at - begin;
    }
    qsort(took, count, sizeof *took, by_size);
    if (count > 0)
        printf("%-34s median %6.2f µs   90%% %6.2f µs   99%% %6.2f µs\n", name, took[count / 2] * 1e6,
               took[count * 9 / 10] * 1e6, took[count * 99 / 100] * 1e6);
}

static int bench(void)
{
    thread_pool *pool;
    if (thread_pool_open(&pool, 2, NULL) != MOTE_OK || thread_pool_size(pool) < 2) {
        printf("no second processor here\n");
        thread_pool_close(pool);
        return 0;
    }
    bench_hand_over(pool, "hand-over, worker spins (5 µs)", 5e-6);
    bench_hand_over(pool, "hand-over, worker spins (50 µs)", 50e-6);
    bench_hand_over(pool, "hand-over, worker sleeps (2 ms)", 2e-3);
    thread_pool_close(pool);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covers_every_index_once),
        cmocka_unit_test(test_limits_are_kept_within_the_pool),
        cmocka_unit_test(test_threads_come_back),
        cmocka_unit_test(test_idle_pool_uses_no_processor),
        cmocka_unit_test(test_unused_threads_use_no_processor),
        cmocka_unit_test(test_more_threads_than_processors),
        cmocka_unit_test(test_size_is_bounded_by_processors),
        cmocka_unit_test(test_refuses_nonsense),
    };
    if (argc > 1 && strcmp(argv[1], "--bench") == 0)
        return bench();
    return cmocka_run_group_tests_name("thread_pool", tests, NULL, NULL);
}
