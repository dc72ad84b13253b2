/* A fixed set of threads that share loops.
 *
 * thread_pool_for hands out [0, count) in ranges of `grain` to the threads, the caller among them, and returns when every
 * range is done. Thread w of n begins at w/n of the ranges, so that loops over the same things find them in its cache, and
 * helps the others when its share is done. Which thread gets a range is chance in the end; what the range computes must
 * not depend on it.
 *
 * Between loops the threads spin for a tenth of a millisecond, since the next loop of a forward pass is microseconds away,
 * then sleep: an idle pool costs nothing. Spinning threads that outnumber the processors would keep each other from
 * working, so a pool never has more threads than processors it may use. */
#ifndef MOTE_BASE_THREAD_POOL_H
#define MOTE_BASE_THREAD_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { THREAD_POOL_MOST = 256 };

typedef struct thread_pool thread_pool;

/* `worker` numbers the thread, 0 … size − 1, so that each can have scratch memory of its own. */
typedef void thread_pool_loop(void *context, size_t begin, size_t end, uint32_t worker);

/* A pool of `threads`, the caller counted as one, or of as many as processors_usable() tells.
 * Errors: MEMORY, ARGUMENT (0 or above THREAD_POOL_MOST), LIMIT (the system has no more threads). */
mote_status thread_pool_open(thread_pool **out, uint32_t threads, mote_error *error);

/* The same for a number of processors that the caller knows, or pretends to: tests. */
mote_status thread_pool_open_for(thread_pool **out, uint32_t threads, uint32_t processors, mote_error *error);

void thread_pool_close(thread_pool *pool);
uint32_t thread_pool_size(const thread_pool *pool);

/* Only the first `threads` take part in the loops to come, at least 1, at most all; the others sleep. A new pool uses all.
 * The caller is the one of thread_pool_for. */
void thread_pool_limit(thread_pool *pool, uint32_t threads);
uint32_t thread_pool_active(const thread_pool *pool);

/* One caller at a time. */
void thread_pool_for(thread_pool *pool, size_t count, size_t grain, thread_pool_loop *loop, void *context);

#endif
