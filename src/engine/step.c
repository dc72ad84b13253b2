/* A step: tokens of one or many sessions, put together into batches for the forward pass. */
#include "engine/engine.h"

enum { FEW_TOKENS = 8 }; /* up to here a pass waits for memory, above for arithmetic: what decode and prefill mean */

typedef struct step {
    mote_engine *engine;
    const mote_work *work;
    size_t count;
} step;

static mote_status check_work(const step *s, size_t index, mote_error *error)
{
    const mote_work *w = &s->work[index];
    const mote_engine *e = s->engine;
    uint32_t known_ids = e->model->config.vocabulary;
    if (w->session == NULL || w->session->engine != e)
        return fail(error, MOTE_E_ARGUMENT, "work %zu names a session of another engine", index);
    for (size_t i = 0; i < index; i++)
        if (s->work[i].session == w->session)
            return fail(error, MOTE_E_ARGUMENT, "work %zu and %zu name the same session", i, index);
    if (w->logits != NULL && w->rows > w->count)
        return fail(error, MOTE_E_ARGUMENT, "work %zu asks for %zu rows of logits of %zu tokens", index, w->rows,
                    w->count);
    for (size_t i = 0; i < w->count; i++)
        if (w->ids[i] < 0 || (uint32_t)w->ids[i] >= known_ids)
            return fail(error, MOTE_E_ARGUMENT, "token %d at %zu is outside the vocabulary of %u", w->ids[i], i,
                        known_ids);
    if (w->count > e->info.context - session_length(w->session))
        return fail(error, MOTE_E_LIMIT,
                    "%zu more tokens after %zu do not fit the context of %u; choose a larger context", w->count,
                    session_length(w->session), e->info.context);
    return MOTE_OK;
}

/* Fills the engine's batch from what is left of the work, in its order, and gives the tokens their places in the cache. */
static batch next_batch(const step *s)
{
    mote_engine *e = s->engine;
    size_t row = e->model->config.vocabulary;
    batch b = {
        .token = e->token, .sequence = e->sequence, .position = e->position, .output = e->output, .logits = e->logits};
    for (size_t i = 0; i < s->count; i++) {
        const mote_work *w = &s->work[i];
        size_t *taken = &e->taken[i], first_row = w->logits == NULL ? w->count : w->count - w->rows;
        size_t room = e->info.batch - b.count, left = w->count - *taken, count = left < room ? left : room;
        size_t position = session_length(w->session);
        kv_extend(&e->kv, w->session->index, w->ids + *taken, count);
        for (size_t end = *taken + count; *taken < end; ++*taken) {
            e->token[b.count] = w->ids[*taken];
            e->sequence[b.count] = w->session->index;
            e->position[b.count] = (uint32_t)position++;
            if (*taken >= first_row) {
                e->output[b.outputs] = (uint32_t)b.count;
                e->logits[b.outputs++] = w->logits + (*taken - first_row) * row;
            }
            b.count++;
        }
    }
    return b;
}

/* Keeps what is wanted of the sequences that a pass has lengthened. */
static void keep_passed(const step *s)
{
    for (size_t i = 0; i < s->count; i++) {
        mote_session *session = s->work[i].session;
        for (size_t k = 0; k < 2; k++) {
            if (session->keep_at[k] == 0 || session->keep_at[k] > session_length(session))
                continue;
            prefix_keep(&s->engine->kv, session->index, session->keep_at[k]);
            session->keep_at[k] = 0;
        }
    }
}

static bool cancelled(void *user)
{
    const step *s = user;
    for (size_t i = 0; i < s->count; i++)
        if (atomic_load_explicit(&s->work[i].session->cancel, memory_order_relaxed))
            return true;
    return false;
}

static mote_status run_batches(step *s, mote_error *error)
{
    const mote_engine_info *info = &s->engine->info;
    for (batch b; (b = next_batch(s)).count > 0;) {
        thread_pool_limit(s->engine->pool, b.count <= FEW_TOKENS ? info->decode_threads : info->prefill_threads);
        if (!forward_run(&s->engine->pass, &b, cancelled, s))
            return fail(error, MOTE_E_CANCELLED, "the work was cancelled");
        mote_status status = gguf_check(s->engine->model->file, error);
        if (status != MOTE_OK)
            return status;
        keep_passed(s);
    }
    return MOTE_OK;
}

static mote_status step_locked(step *s, mote_error *error)
{
    if (s->count > s->engine->info.sessions)
        return fail(error, MOTE_E_ARGUMENT, "%zu pieces of work for an engine of %u sessions", s->count,
                    s->engine->info.sessions);
    for (size_t i = 0; i < s->count; i++) {
        mote_status status = check_work(s, i, error);
        if (status != MOTE_OK)
            return status;
        s->engine->taken[i] = 0;
    }
    mote_status status = run_batches(s, error);
    for (size_t i = 0; i < s->count && status != MOTE_OK; i++)
        kv_truncate(&s->engine->kv, s->work[i].session->index,
                    session_length(s->work[i].session) - s->engine->taken[i]);
    return status;
}

mote_status engine_step(mote_engine *engine, const mote_work *work, size_t count, mote_error *error)
{
    step s = {engine, work, count};
    engine_lock(engine);
    mote_status status = step_locked(&s, error);
    engine_unlock(engine);
    return status;
}

mote_status mote_engine_step(mote_engine *engine, const mote_work *work, size_t count, mote_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (work[i].session != NULL)
            atomic_store(&work[i].session->cancel, false);
    return engine_step(engine, work, count, error);
}
