/* What a mote_engine and a mote_session are inside. */
#ifndef MOTE_ENGINE_ENGINE_H
#define MOTE_ENGINE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/prefix_cache.h"
#include "engine/prefix_disk.h"
#include "engine/model_handle.h"
#include "model/forward.h"

struct mote_session {
    mote_engine *engine;
    uint32_t index; /* its sequence in the KV cache */
    bool open;      /* under the engine's lock */
    atomic_bool cancel;
    size_t keep_at[2]; /* lengths to keep the sequence at when it comes past them; 0: none */
    float *logits;     /* [vocabulary]: for mote_generate */
};

/* Everything below `memory` lies in it. */
struct mote_engine {
    atomic_uint references; /* the caller's, and one for each open session */
    mote_model *model;
    pthread_mutex_t lock; /* held for the length of a step */
    atomic_uint waiting;  /* threads that want it */
    thread_pool *pool;
    kernel_table kernels;
    mote_engine_info info;
    bool saves; /* there is to be a cache directory */
    arena memory;
    kv_cache kv;
    prefix_disk *disk; /* NULL: there is no cache directory */
    forward pass;
    mote_session *session; /* [sessions] */

    /* The batch being put together, [batch] each, and how far each piece of work has come, [sessions]. */
    int32_t *token;
    uint32_t *sequence;
    uint32_t *position;
    uint32_t *output;
    float **logits;
    size_t *taken;
};

/* Everything that opening an engine decides, before any memory is taken: with the model in place, an outline will do,
 * chooses kernels, threads and sizes, starts the threads, and says what came out. Errors: as mote_engine_open. */
mote_status engine_prepare(mote_engine *engine, const mote_engine_options *options, mote_memory_plan *plan,
                           mote_error *error);

/* The one place that says what an engine of the sizes in `info` holds: on an arena without memory it counts, on one with
 * memory it places. */
void engine_lay_out(mote_engine *engine, arena *memory);

static inline size_t session_length(const mote_session *session)
{
    return session->engine->kv.sequence[session->index].length;
}

static inline void engine_lock(mote_engine *e)
{
    atomic_fetch_add(&e->waiting, 1);
    pthread_mutex_lock(&e->lock);
    atomic_fetch_sub(&e->waiting, 1);
}

static inline void engine_unlock(mote_engine *e)
{
    pthread_mutex_unlock(&e->lock);
}

/* mote_engine_step without forgetting earlier cancel requests. */
mote_status engine_step(mote_engine *engine, const mote_work *work, size_t count, mote_error *error);
#endif
