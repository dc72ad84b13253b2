/* Sessions: opening, sharing and closing them, and what they remember. */
#include <sched.h>

#include "engine/engine.h"

/* A place for one more session; NULL after filling *error. Under the engine's lock. */
static mote_session *take_session(mote_engine *e, mote_error *error)
{
    for (uint32_t i = 0; i < e->info.sessions; i++) {
        mote_session *s = &e->session[i];
        if (s->open)
            continue;
        s->open = true;
        s->keep_at[0] = s->keep_at[1] = 0;
        e->kv.sequence[i].scope = 0;
        atomic_store(&s->cancel, false);
        atomic_fetch_add_explicit(&e->references, 1, memory_order_relaxed);
        return s;
    }
    fail(error, MOTE_E_LIMIT, "all %u sessions of the engine are open; close one, or open an engine for more",
         e->info.sessions);
    return NULL;
}

mote_status mote_session_open(mote_session **out, mote_engine *e, mote_error *error)
{
    engine_lock(e);
    *out = take_session(e, error);
    engine_unlock(e);
    return *out != NULL ? MOTE_OK : MOTE_E_LIMIT;
}

mote_status mote_session_fork(mote_session **out, mote_session *from, mote_error *error)
{
    mote_engine *e = from->engine;
    engine_lock(e);
    *out = take_session(e, error);
    if (*out != NULL)
        kv_share(&e->kv, from->index, session_length(from), (*out)->index);
    engine_unlock(e);
    return *out != NULL ? MOTE_OK : MOTE_E_LIMIT;
}

/* Under the engine's lock. */
static void cut(mote_session *s, size_t length)
{
    prefix_cut(&s->engine->kv, s->index, length);
    s->keep_at[0] = s->keep_at[1] = 0;
}

void mote_session_close(mote_session *s)
{
    if (s == NULL)
        return;
    mote_engine *e = s->engine;
    engine_lock(e);
    cut(s, 0);
    s->open = false;
    engine_unlock(e);
    mote_engine_close(e);
}

size_t mote_session_length(const mote_session *s)
{
    return session_length(s);
}

void mote_session_clear(mote_session *s)
{
    mote_session_rewind(s, 0);
}

size_t mote_session_rewind(mote_session *s, size_t length)
{
    engine_lock(s->engine);
    if (length < session_length(s))
        cut(s, length);
    engine_unlock(s->engine);
    return session_length(s);
}

void mote_session_set_scope(mote_session *s, uint64_t scope)
{
    engine_lock(s->engine);
    cut(s, 0);
    s->engine->kv.sequence[s->index].scope = scope;
    engine_unlock(s->engine);
}

void mote_session_cancel(mote_session *s)
{
    atomic_store(&s->cancel, true);
}

/* Under the engine's lock. Returns how many of the tokens are known, which may be more than the session holds then. */
static size_t reuse(mote_session *s, const mote_token *ids, size_t count)
{
    mote_engine *e = s->engine;
    size_t known = prefix_reuse(&e->kv, s->index, ids, count), length = session_length(s);
    size_t on_disk = e->disk != NULL && count > 0 ? prefix_disk_load(e->disk, &e->kv, s->index, ids, count) : 0;
    if (session_length(s) < length)
        prefix_reuse(&e->kv, s->index, ids, count);
    return known > on_disk ? known : on_disk;
}

size_t mote_session_hold(mote_session *s, const mote_token *ids, size_t count)
{
    mote_engine *e = s->engine;
    engine_lock(e);
    size_t most = count == 0 ? 0 : count - 1; /* the last one is computed, for its logits */
    most = most < e->info.context ? most : e->info.context;
    size_t known = reuse(s, ids, most), length = session_length(s);
    if (e->kv.window != 0) {
        s->keep_at[0] = known > length ? known : 0;
        s->keep_at[1] = count;
    }
    engine_unlock(e);
    return length;
}

void mote_session_save(mote_session *s, size_t length)
{
    mote_engine *e = s->engine;
    bool more = e->disk != NULL;
    prefix_saving saving = {0};
    atomic_store(&s->cancel, false);
    while (more && !atomic_load(&s->cancel)) {
        while (atomic_load(&e->waiting) > 0) /* a mutex may well be taken again by who has just let go of it */
            sched_yield();
        engine_lock(e);
        more = prefix_disk_save(e->disk, &e->kv, s->index, length, &saving);
        engine_unlock(e);
    }
}
