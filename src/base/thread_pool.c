/* The thread pool: one loop at a time, of which each thread has a share; its ranges are taken by a ticket. */
#include "base/thread_pool.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu_features.h"

/* How long a thread spins before it sleeps. Waking one takes some 5 to 50 µs, and what a program does between two tokens
 * (drawing one of 150,000, printing it) takes about as long: both shall find the threads awake. */
static const double SPIN_SECONDS = 100e-6;

enum { SPINS_PER_LOOK = 64 }; /* at the clock: about a microsecond */

/* A thread of the pool; the first is whoever calls thread_pool_for, and is not ours.
 *
 * Going to sleep and waking are a handshake over `asleep`. The sleeper raises it and then looks once more whether there is
 * work; the waker makes work and then looks at the flag. All four are sequentially consistent, so one of the two sees the
 * other. Whoever takes the flag down decides: a waker posts, a sleeper that found work goes on. So nobody posts to a
 * thread that spins, and handing a loop to spinning threads is no system call. */
typedef struct pool_worker {
    thread_pool *pool;
    uint32_t index;
    pthread_t thread;
    atomic_uint asleep; /* 0 or 1, and a word: gcc has no exchange of bytes on RISC-V without another library */
    sem_t wake;
    _Alignas(64) _Atomic uint64_t ticket; /* of the thread's share; 64: no other thread's is in its line of cache */
} pool_worker;

/* A loop is cut into ranges, each thread has a share of them, and a ticket says how many of which loop are still to be
 * taken of a share:
 *
 *     ticket = loop number (32 bits) │ ranges left (32 bits)
 *
 * Whoever takes a range moves the ticket with a compare-and-swap, so a thread that slept through a loop cannot take part
 * in the wrong one, and a ticket with nothing left can never be moved again. A thread begins with its own share, so that
 * it meets in every loop over the same things what it left in its cache; then it helps the others. The caller waits for
 * ranges, never for threads: on a busy machine, where a worker may be off the processor for milliseconds, the others
 * finish without it. */
struct thread_pool {
    uint32_t size;
    pool_worker *worker; /* [size]; the caller is the first */
    atomic_bool stop;
    atomic_uint active; /* threads that take part; changes between loops */

    /* The loop at hand. Written before tickets show its number, and not again before every range is finished. */
    thread_pool_loop *loop;
    void *context;
    size_t count;
    size_t grain;
    uint32_t ranges;
    uint32_t shares;
    atomic_uint finished;
    atomic_uint number; /* shown when the tickets are */
};

static inline void spin_hint(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
    __asm__ volatile("yield");
#endif
}

static uint32_t loop_number(uint64_t ticket)
{
    return (uint32_t)(ticket >> 32);
}

/* ---- waiting ---- */

/* What a thread waits for: a worker for another loop than number `seen`, or the end; the caller for its loop's ranges. */
typedef struct pool_wait {
    pool_worker *self;
    uint32_t seen;
    uint32_t ranges;
} pool_wait;

static bool is_over(const pool_wait *w)
{
    thread_pool *pool = w->self->pool;
    if (w->self->index == 0)
        return atomic_load(&pool->finished) == w->ranges;
    return atomic_load(&pool->number) != w->seen || atomic_load(&pool->stop);
}

/* False: it was not over in time. */
static bool spin(const pool_wait *w)
{
    for (double begin = 0, now = 0; now - begin < SPIN_SECONDS;) {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (is_over(w))
                return true;
            spin_hint();
        }
        now = clock_seconds();
        begin = begin > 0 ? begin : now;
    }
    return false;
}

static void sleep_until_over(const pool_wait *w)
{
    pool_worker *self = w->self;
    for (bool over = false; !over;) {
        atomic_store(&self->asleep, true);
        over = is_over(w);
        if (over && atomic_exchange(&self->asleep, false))
            return;
        while (sem_wait(&self->wake) != 0) /* a signal handler ran */
            ;
    }
}

static void wake(pool_worker *worker)
{
    if (atomic_load(&worker->asleep) && atomic_exchange(&worker->asleep, false))
        sem_post(&worker->wake);
}

/* ---- loops ---- */

/* The first range of a share; that of the share behind the last is the number of ranges. */
static uint32_t share_begin(const thread_pool *pool, uint32_t share)
{
    return (uint32_t)((uint64_t)pool->ranges * share / pool->shares);
}

/* Runs ranges of a share of the loop of that number until none is left. */
static void take_ranges(thread_pool *pool, uint32_t number, uint32_t share, uint32_t worker)
{
    _Atomic uint64_t *at = &pool->worker[share].ticket;
    uint64_t ticket = atomic_load_explicit(at, memory_order_acquire);
    while (loop_number(ticket) == number && (uint32_t)ticket > 0) {
        if (!atomic_compare_exchange_weak_explicit(at, &ticket, ticket - 1, memory_order_acq_rel, memory_order_acquire))
            continue;
        uint32_t ranges = pool->ranges;
        size_t begin = (share_begin(pool, share + 1) - (uint32_t)ticket) * pool->grain, left = pool->count - begin;
        pool->loop(pool->context, begin, begin + (left < pool->grain ? left : pool->grain), worker);
        if (atomic_fetch_add(&pool->finished, 1) + 1 == ranges && worker != 0)
            wake(&pool->worker[0]);
        ticket = atomic_load_explicit(at, memory_order_acquire);
    }
}

/* `active` threads take part. */
static void take_part(thread_pool *pool, uint32_t number, uint32_t worker, uint32_t active)
{
    for (uint32_t i = 0; i < active; i++)
        take_ranges(pool, number, (worker + i) % active, worker);
}

static void *worker_main(void *argument)
{
    pool_worker *self = argument;
    thread_pool *pool = self->pool;
    for (pool_wait w = {.self = self};;) {
        /* The number of active threads belongs to the loop whose number was seen: it was set before, and a loop of which
         * a range can still be taken is not over. */
        bool takes_part = self->index < atomic_load(&pool->active);
        if (!takes_part || !spin(&w))
            sleep_until_over(&w);
        if (atomic_load(&pool->stop))
            return NULL;
        w.seen = atomic_load(&pool->number);
        uint32_t active = atomic_load(&pool->active);
        if (self->index < active)
            take_part(pool, w.seen, self->index, active);
    }
}

void thread_pool_for(thread_pool *pool, size_t count, size_t grain, thread_pool_loop *loop, void *context)
{
    if (count == 0)
        return;
    if (grain == 0)
        grain = 1;
    if (grain < count / INT32_MAX)
        grain = count / INT32_MAX + 1; /* so that the number of ranges fits the ticket */
    uint32_t active = thread_pool_active(pool);
    if (active == 1 || count <= grain) {
        loop(context, 0, count, 0);
        return;
    }
    uint32_t ranges = (uint32_t)((count - 1) / grain + 1);
    pool->loop = loop;
    pool->context = context;
    pool->count = count;
    pool->grain = grain;
    pool->ranges = ranges;
    pool->shares = active;
    atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
    uint32_t number = atomic_load_explicit(&pool->number, memory_order_relaxed) + 1;
    for (uint32_t i = 0; i < active; i++)
        atomic_store_explicit(&pool->worker[i].ticket,
                              (uint64_t)number << 32 | (share_begin(pool, i + 1) - share_begin(pool, i)),
                              memory_order_release);
    atomic_store(&pool->number, number);
    for (uint32_t i = 1; i < active && i < ranges; i++)
        wake(&pool->worker[i]);

    take_part(pool, number, 0, active);
    pool_wait w = {.self = &pool->worker[0], .ranges = ranges};
    if (!spin(&w))
        sleep_until_over(&w);
}

void thread_pool_limit(thread_pool *pool, uint32_t threads)
{
    atomic_store(&pool->active, threads < 1 ? 1 : threads < pool->size ? threads : pool->size);
}

uint32_t thread_pool_active(const thread_pool *pool)
{
    return atomic_load_explicit(&pool->active, memory_order_relaxed);
}

/* ---- life ---- */

/* Signals belong to the program's own threads: a worker never runs its handlers. SIGBUS and its like are synchronous and
 * stay open. */
static int start_worker(pool_worker *worker)
{
    sigset_t blocked, before;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGFPE);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    int result = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

mote_status thread_pool_open_for(thread_pool **out, uint32_t threads, uint32_t processors, mote_error *error)
{
    *out = NULL;
    if (threads == 0 || threads > THREAD_POOL_MOST)
        return fail(error, MOTE_E_ARGUMENT, "%u threads asked for; choose 1 to %d", threads, THREAD_POOL_MOST);
    if (threads > processors)
        threads = processors > 0 ? processors : 1;
    thread_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return fail_memory(error, sizeof *pool, "the thread pool");
    pool->worker = aligned_alloc(_Alignof(pool_worker), threads * sizeof *pool->worker);
    if (pool->worker == NULL) {
        free(pool);
        return fail_memory(error, threads * sizeof *pool->worker, "the thread pool");
    }
    atomic_init(&pool->stop, false);
    atomic_init(&pool->active, threads);
    atomic_init(&pool->finished, 0);
    atomic_init(&pool->number, 0);
    for (pool->size = 0; pool->size < threads; pool->size++) {
        pool_worker *worker = &pool->worker[pool->size];
        *worker = (pool_worker){.pool = pool, .index = pool->size};
        atomic_init(&worker->asleep, false);
        atomic_init(&worker->ticket, 0);
        sem_init(&worker->wake, 0, 0);
        if (worker->index > 0 && start_worker(worker) != 0) {
            uint32_t started = pool->size;
            sem_destroy(&worker->wake);
            thread_pool_close(pool);
            return fail(error, MOTE_E_LIMIT, "only %u of %u threads could be started; ask for fewer", started, threads);
        }
    }
    *out = pool;
    return MOTE_OK;
}

mote_status thread_pool_open(thread_pool **out, uint32_t threads, mote_error *error)
{
    return thread_pool_open_for(out, threads, threads > 1 ? cpu_count() : 1, error);
}

void thread_pool_close(thread_pool *pool)
{
    if (pool == NULL)
        return;
    atomic_store(&pool->stop, true);
    for (uint32_t i = 1; i < pool->size; i++) {
        wake(&pool->worker[i]);
        pthread_join(pool->worker[i].thread, NULL);
    }
    for (uint32_t i = 0; i < pool->size; i++)
        sem_destroy(&pool->worker[i].wake);
    free(pool->worker);
    free(pool);
}

uint32_t thread_pool_size(const thread_pool *pool)
{
    return pool->size;
}
