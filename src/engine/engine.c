/* Opening and closing engines. */
#include "engine/engine.h"

#include <stdlib.h>

#include "base/processors.h"
#include "engine/memory_plan.h"

enum { DEFAULT_CONTEXT = 4096, DEFAULT_BATCH = 256, MOST_BATCH = 4096, MOST_SESSIONS = 256 };

void mote_engine_options_init(mote_engine_options *options)
{
    *options = (mote_engine_options){0};
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Threads for one kind of work. */
static uint32_t wished_threads(const mote_engine_options *wish, uint32_t own)
{
    if (own != 0 || wish->threads != 0)
        return own != 0 ? own : wish->threads;
    processor_set allowed = processors_allowed();
    return smaller(processors_good(&allowed, ""), THREAD_POOL_MOST);
}

/* Fills e->info's choices from the wishes; what memory is there for decides over context, batch and KV type later. */
static mote_status choose(mote_engine *e, const mote_engine_options *wish, mote_error *error)
{
    const model_config *c = &e->model->config;
    if (wish->context > c->context)
        return fail(error, MOTE_E_ARGUMENT, "a context of %u tokens; the model was trained for %u, choose that or less",
                    wish->context, c->context);
    if (wish->batch > MOST_BATCH)
        return fail(error, MOTE_E_ARGUMENT, "a batch of %u tokens; choose at most %d", wish->batch, MOST_BATCH);
    if (wish->sessions > MOST_SESSIONS)
        return fail(error, MOTE_E_ARGUMENT, "%u sessions; choose at most %d", wish->sessions, MOST_SESSIONS);
    if ((unsigned)wish->kv_keys > MOTE_KV_Q4 || (unsigned)wish->kv_values > MOTE_KV_Q4)
        return fail(error, MOTE_E_ARGUMENT,
                    "KV types %d and %d; choose MOTE_KV_AUTO, MOTE_KV_F16, MOTE_KV_F32, MOTE_KV_Q8 or MOTE_KV_Q4",
                    (int)wish->kv_keys, (int)wish->kv_values);
    if (wish->forgetful && wish->cache_directory != NULL)
        return fail(error, MOTE_E_ARGUMENT, "an engine that keeps nothing and a cache directory; choose one of them");
    uint32_t context = wish->context != 0 ? wish->context : smaller(c->context, DEFAULT_CONTEXT);
    e->info = (mote_engine_info){
        .context = context,
        .sessions = wish->sessions != 0 ? wish->sessions : 1,
        .batch = smaller(wish->batch != 0 ? wish->batch : DEFAULT_BATCH, context),
        .kv_keys = wish->kv_keys,
        .kv_values = wish->kv_values,
        .prefix_cache_bytes = wish->prefix_cache_bytes,
        .forgetful = wish->forgetful,
        .decode_threads = wished_threads(wish, wish->decode_threads),
        .prefill_threads = wished_threads(wish, wish->prefill_threads),
    };
    e->info.threads = larger(e->info.decode_threads, e->info.prefill_threads);
    e->saves = wish->cache_directory != NULL;
    return MOTE_OK;
}

void engine_lay_out(mote_engine *e, arena *memory)
{
    const model *m = &e->model->weights;
    const mote_engine_info *info = &e->info;
    const kv_shape shape = {.keys = kv_type_of(info->kv_keys),
                            .values = kv_type_of(info->kv_values),
                            .sessions = info->sessions,
                            .context = info->context,
                            .batch = info->batch,
                            .forgetful = info->forgetful,
                            .spare_window = e->saves,
                            .prefix_bytes = info->forgetful ? 0 : info->prefix_cache_bytes};
    kv_cache_lay_out(&e->kv, &m->config, &e->kernels, &shape, memory);
    e->info.kv_bytes = memory->used;

    forward_lay_out(&e->pass, m, &e->kernels, e->pool, &e->kv.view, info->batch, info->context, memory);
    e->token = arena_take(memory, info->batch, sizeof *e->token);
    e->sequence = arena_take(memory, info->batch, sizeof *e->sequence);
    e->position = arena_take(memory, info->batch, sizeof *e->position);
    e->output = arena_take(memory, info->batch, sizeof *e->output);
    e->logits = arena_take(memory, info->batch, sizeof *e->logits);
    e->taken = arena_take(memory, info->sessions, sizeof *e->taken);
    e->session = arena_take(memory, info->sessions, sizeof *e->session);
    for (uint32_t i = 0; i < info->sessions; i++) {
        float *logits = arena_take(memory, m->config.vocabulary, sizeof *logits);
        if (e->session == NULL)
            continue;
        e->session[i] = (mote_session){.engine = e, .index = i, .logits = logits};
        atomic_init(&e->session[i].cancel, false);
    }
    e->info.scratch_bytes = memory->used - e->info.kv_bytes;
}

/* Where the number of threads is ours to choose and the system has not that many, fewer will do. */
static mote_status open_pool(mote_engine *e, bool ours, mote_error *error)
{
    for (;; e->info.threads /= 2) {
        mote_status status = thread_pool_open(&e->pool, e->info.threads, error);
        if (status == MOTE_OK)
            break;
        if (status != MOTE_E_LIMIT || !ours || e->info.threads == 1)
            return status;
    }
    e->info.threads = thread_pool_size(e->pool);
    e->info.decode_threads = smaller(e->info.decode_threads, e->info.threads);
    e->info.prefill_threads = smaller(e->info.prefill_threads, e->info.threads);
    return MOTE_OK;
}

static mote_status open_directory(mote_engine *e, const mote_engine_options *wish, mote_error *error)
{
    const prefix_store_options options = {
        .directory = wish->cache_directory,
        .size_limit = wish->cache_bytes,
        .daily_write_limit = wish->cache_daily_bytes,
        .say = wish->say,
        .user = wish->user,
    };
    return prefix_disk_open(&e->disk, &options, e->model, &e->kv, e->info.context, error);
}

mote_status engine_prepare(mote_engine *e, const mote_engine_options *options, mote_memory_plan *plan,
                           mote_error *error)
{
    mote_status status;
    kernel_table_init(&e->kernels, e->model->features);
    bool ours = options->threads == 0 && options->decode_threads == 0 && options->prefill_threads == 0;
    if ((status = choose(e, options, error)) || (status = open_pool(e, ours, error)))
        return status;
    return memory_plan_choose(e, options, plan, error);
}

static mote_status open_parts(mote_engine *e, const mote_engine_options *options, mote_error *error)
{
    mote_memory_plan plan;
    mote_status status = engine_prepare(e, options, &plan, error);
    if (status != MOTE_OK)
        return status;
    arena count = {0};
    engine_lay_out(e, &count);
    if (count.overflowed || !arena_allocate(&e->memory, count.used))
        return fail(error, MOTE_E_MEMORY,
                    "no memory for a context of %u tokens in %u sessions (%zu MiB); choose a smaller context",
                    e->info.context, e->info.sessions, count.used >> 20);
    engine_lay_out(e, &e->memory);
    kv_cache_prepare(&e->kv);
    e->info.prefix_cache_bytes = e->kv.prefix_bytes; /* whole pages */
    forward_prepare(&e->pass, e->info.context);
    return options->cache_directory != NULL ? open_directory(e, options, error) : MOTE_OK;
}

mote_status mote_engine_open(mote_engine **out, mote_model *m, const mote_engine_options *options, mote_error *error)
{
    *out = NULL;
    const mote_engine_options defaults = {0};
    if (!m->loaded)
        return fail(error, MOTE_E_ARGUMENT, "%s was opened without its weights; open it with MOTE_PARTS_ALL",
                    gguf_name(m->file));
    mote_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return fail_memory(error, sizeof *e, "an engine");
    atomic_init(&e->references, 1);
    pthread_mutex_init(&e->lock, NULL);
    atomic_init(&e->waiting, 0);
    e->model = m;
    model_handle_retain(m);
    mote_status status = open_parts(e, options != NULL ? options : &defaults, error);
    if (status != MOTE_OK) {
        mote_engine_close(e);
        return status;
    }
    *out = e;
    return MOTE_OK;
}

void mote_engine_close(mote_engine *e)
{
    if (e == NULL || atomic_fetch_sub_explicit(&e->references, 1, memory_order_acq_rel) != 1)
        return;
    thread_pool_close(e->pool);
    prefix_disk_close(e->disk);
    arena_release(&e->memory);
    pthread_mutex_destroy(&e->lock);
    mote_model_close(e->model);
    free(e);
}

void mote_engine_describe(const mote_engine *e, mote_engine_info *info)
{
    *info = e->info;
}

void mote_engine_set_threads(mote_engine *e, uint32_t decode_threads, uint32_t prefill_threads)
{
    engine_lock(e);
    if (decode_threads != 0)
        e->info.decode_threads = smaller(decode_threads, e->info.threads);
    if (prefill_threads != 0)
        e->info.prefill_threads = smaller(prefill_threads, e->info.threads);
    engine_unlock(e);
}
