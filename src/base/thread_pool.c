/* The thread pool: one shared loop at a time, ranges taken by a ticket. */
#include "base/thread_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* About 20 µs on a small core: longer than the gap between two loops of a forward pass, far shorter than a sleep and a
 * wake-up are worth. */
enum { SPINS = 4000 };

typedef struct pool_worker {
    thread_pool *pool;
    uint32_t index;
    pthread_t thread;
} pool_worker;

/* A loop is cut into ranges, and a ticket says how many of which loop are still to be taken:
 *
 *     ticket = loop number (32 bits) │ ranges left (32 bits)
 *
 * Whoever takes a range moves the ticket with a compare-and-swap, so a thread that slept through a loop cannot take part
 * in the wrong one, and a ticket with nothing left can never be moved again. The caller waits for ranges, never for
 * threads: on a busy machine, where a worker may be off the processor for milliseconds, the others finish without it. */
struct thread_pool {
    uint32_t size;
    pool_worker *worker; /* [size]; the caller is the first */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* workers: a new loop, or the end */
    pthread_cond_t done; /* caller: the last range is finished */
    bool stop;           /* under lock */

    /* The loop at hand. Written before the ticket shows its number, and not again before every range is finished. */
    thread_pool_loop *loop;
    void *context;
    size_t count;
    size_t grain;
    uint32_t ranges;
    atomic_uint finished;
    _Atomic uint64_t ticket; /* moved to a new loop under lock, so that no sleeper misses it */
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

/* Runs ranges of the loop of that number until none is left. */
static void take_ranges(thread_pool *pool, uint32_t number, uint32_t worker)
{
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    while (loop_number(ticket) == number && (uint32_t)ticket > 0) {
        if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket - 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        uint32_t ranges = pool->ranges;
        size_t begin = (ranges - (uint32_t)ticket) * pool->grain, left = pool->count - begin;
        pool->loop(pool->context, begin, begin + (left < pool->grain ? left : pool->grain), worker);
        if (atomic_fetch_add_explicit(&pool->finished, 1, memory_order_acq_rel) + 1 == ranges && worker != 0) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
        ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    }
}

/* Waits for another loop than that of number `seen`. False: the pool closes. */
static bool await_loop(thread_pool *pool, uint32_t *seen)
{
    uint32_t number = *seen;
    for (int spin = 0; spin < SPINS && number == *seen; spin++) {
        spin_hint();
        number = loop_number(atomic_load_explicit(&pool->ticket, memory_order_acquire));
    }
    bool more = true;
    if (number == *seen) {
        pthread_mutex_lock(&pool->lock);
        while ((number = loop_number(atomic_load_explicit(&pool->ticket, memory_order_acquire))) == *seen &&
               !pool->stop)
            pthread_cond_wait(&pool->wake, &pool->lock);
        more = !pool->stop;
        pthread_mutex_unlock(&pool->lock);
    }
    *seen = number;
    return more;
}

static void *worker_main(void *argument)
{
    const pool_worker *self = argument;
    for (uint32_t number = 0; await_loop(self->pool, &number);)
        take_ranges(self->pool, number, self->index);
    return NULL;
}

static void await_ranges(thread_pool *pool, uint32_t ranges)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&pool->finished, memory_order_acquire) == ranges)
            return;
        spin_hint();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load_explicit(&pool->finished, memory_order_acquire) != ranges)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void thread_pool_for(thread_pool *pool, size_t count, size_t grain, thread_pool_loop *loop, void *context)
{
    if (count == 0)
        return;
    if (grain == 0)
        grain = 1;
    if (grain < count / INT32_MAX)
        grain = count / INT32_MAX + 1; /* so that the number of ranges fits the ticket */
    if (pool->size == 1 || count <= grain) {
        loop(context, 0, count, 0);
        return;
    }
    uint32_t ranges = (uint32_t)((count - 1) / grain + 1);
    pool->loop = loop;
    pool->context = context;
    pool->count = count;
    pool->grain = grain;
    pool->ranges = ranges;
    atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
    pthread_mutex_lock(&pool->lock);
    uint32_t number = loop_number(atomic_load_explicit(&pool->ticket, memory_order_relaxed)) + 1;
    atomic_store_explicit(&pool->ticket, (uint64_t)number << 32 | ranges, memory_order_release);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);

    take_ranges(pool, number, 0);
    await_ranges(pool, ranges);
}

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

mote_status thread_pool_open(thread_pool **out, uint32_t threads, mote_error *error)
{
    *out = NULL;
    if (threads == 0 || threads > THREAD_POOL_MOST)
        return fail(error, MOTE_E_ARGUMENT, "%u threads asked for; choose 1 to %d", threads, THREAD_POOL_MOST);
    thread_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return fail_memory(error, sizeof *pool, "the thread pool");
    pool->worker = calloc(threads, sizeof *pool->worker);
    if (pool->worker == NULL) {
        free(pool);
        return fail_memory(error, threads * sizeof *pool->worker, "the thread pool");
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    atomic_init(&pool->finished, 0);
    atomic_init(&pool->ticket, 0);
    for (pool->size = 1; pool->size < threads; pool->size++) {
        pool_worker *worker = &pool->worker[pool->size];
        worker->pool = pool;
        worker->index = pool->size;
        if (start_worker(worker) != 0) {
            uint32_t started = pool->size;
            thread_pool_close(pool);
            return fail(error, MOTE_E_LIMIT, "only %u of %u threads could be started; ask for fewer", started, threads);
        }
    }
    *out = pool;
    return MOTE_OK;
}

void thread_pool_close(thread_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 1; i < pool->size; i++)
        pthread_join(pool->worker[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->worker);
    free(pool);
}

uint32_t thread_pool_size(const thread_pool *pool)
{
    return pool->size;
}
