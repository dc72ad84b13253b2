/* The thread pool: one shared loop at a time, ranges taken from an atomic counter. */
#include "base/thread_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* About 20 µs on a small core: longer than the gap between two loops of a forward pass, far shorter than a sleep and a
 * wake-up are worth. */
enum { SPINS = 4000 };

struct thread_pool {
    uint32_t size;
    pthread_t *thread; /* size − 1: the caller is worker 0 */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* workers: a new loop, or the end */
    pthread_cond_t done; /* caller: the last worker has left the loop */
    bool stop;           /* under lock */

    /* The loop at hand: written by the caller before `generation` moves, read by workers after they saw it move. */
    thread_pool_loop *loop;
    void *context;
    size_t count;
    size_t grain;
    atomic_size_t next;     /* first index not handed out */
    atomic_uint busy;       /* workers still inside */
    atomic_uint generation; /* number of loops started; moved under lock so that no sleeper misses it */
};

typedef struct worker_start {
    thread_pool *pool;
    uint32_t worker;
} worker_start;

static inline void spin_hint(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
    __asm__ volatile("yield");
#endif
}

static void take_ranges(thread_pool *pool, uint32_t worker)
{
    for (;;) {
        size_t begin = atomic_fetch_add_explicit(&pool->next, pool->grain, memory_order_relaxed);
        if (begin >= pool->count)
            return;
        size_t end = pool->count - begin < pool->grain ? pool->count : begin + pool->grain;
        pool->loop(pool->context, begin, end, worker);
    }
}

/* Waits until the generation leaves `seen`. False: the pool closes. */
static bool await_loop(thread_pool *pool, unsigned seen)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen)
            return true;
        spin_hint();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen && !pool->stop)
        pthread_cond_wait(&pool->wake, &pool->lock);
    bool more = !pool->stop;
    pthread_mutex_unlock(&pool->lock);
    return more;
}

static void *worker_main(void *argument)
{
    worker_start start = *(worker_start *)argument;
    free(argument);
    thread_pool *pool = start.pool;
    for (unsigned seen = 0; await_loop(pool, seen);) {
        seen++;
        take_ranges(pool, start.worker);
        if (atomic_fetch_sub_explicit(&pool->busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
    return NULL;
}

void thread_pool_for(thread_pool *pool, size_t count, size_t grain, thread_pool_loop *loop, void *context)
{
    if (count == 0)
        return;
    if (grain == 0)
        grain = 1;
    if (pool->size == 1 || count <= grain) {
        loop(context, 0, count, 0);
        return;
    }
    pool->loop = loop;
    pool->context = context;
    pool->count = count;
    pool->grain = grain;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->busy, pool->size - 1, memory_order_relaxed);
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);

    take_ranges(pool, 0);

    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&pool->busy, memory_order_acquire) == 0)
            return;
        spin_hint();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load_explicit(&pool->busy, memory_order_acquire) != 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

/* Signals belong to the program's own threads: a worker never runs its handlers. SIGBUS and its like are synchronous and
 * stay open. */
static int start_worker(thread_pool *pool, uint32_t worker)
{
    worker_start *start = malloc(sizeof *start);
    if (start == NULL)
        return -1;
    *start = (worker_start){pool, worker};
    sigset_t blocked, before;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGFPE);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    int result = pthread_create(&pool->thread[worker - 1], NULL, worker_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        free(start);
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
    pool->thread = calloc(threads, sizeof *pool->thread);
    if (pool->thread == NULL) {
        free(pool);
        return fail_memory(error, threads * sizeof *pool->thread, "the thread pool");
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    atomic_init(&pool->next, 0);
    atomic_init(&pool->busy, 0);
    atomic_init(&pool->generation, 0);
    for (pool->size = 1; pool->size < threads; pool->size++) {
        if (start_worker(pool, pool->size) != 0) {
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
        pthread_join(pool->thread[i - 1], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->thread);
    free(pool);
}

uint32_t thread_pool_size(const thread_pool *pool)
{
    return pool->size;
}
