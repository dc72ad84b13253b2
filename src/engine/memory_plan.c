/* Adding up what a process takes, and trying what fits. */
#include "engine/memory_plan.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu_features.h"
#include "engine/prefix_store.h"
#include "meter/memory_limits.h"

/* ---- the order in which things give way ---- */

static const uint32_t batch_sizes[] = {512, 256, 128, 64, 32, 16};
static const struct kv_pair {
    mote_kv_type keys, values;
} kv_pairs[] = {
    {MOTE_KV_F16, MOTE_KV_F16}, {MOTE_KV_Q8, MOTE_KV_Q8}, {MOTE_KV_Q4, MOTE_KV_Q8}, {MOTE_KV_Q4, MOTE_KV_Q4}};

enum {
    CONTEXT_STEP = 256,
    BATCHES = sizeof batch_sizes / sizeof *batch_sizes,
    KV_PAIRS = sizeof kv_pairs / sizeof *kv_pairs
};

/* ---- what lies outside of the engine's memory, in bytes ---- */

enum {
    CODE = 1 << 20,          /* of the library and of libc that has not run yet when a plan is made */
    CODE_LOADED = 600 << 10, /* the same once a model is loaded */
    STEP = 1 << 20,    /* what the process had before is rounded up to whole steps, and to four at the least: where */
    LEAST_STEPS = 4,   /* pages of code happen to be in memory shall not change a choice */
    THREAD = 48 << 10, /* of a thread's stack and the system's own of it */
    GUARD = 4 << 10,   /* of address space beside a stack */
    CANDIDATE = 4,     /* of the sampler, for each token of the vocabulary */
    TEXT = 32,         /* of a prompt and its ids, for each token of context */
    PAGE = 4 << 10,
    HUGE_PAGE = 2 << 20, /* in which the page cache may hold a file */
};

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* Whole pages of the file that a run touches: all of a file that is mapped, of one that is packed at loading those of
 * weights that have no panels. A caller's file in memory was there before; the built-in one is packed, but its pages
 * stay. */
static uint64_t mapped_bytes(mote_model *handle)
{
    model *m = &handle->weights;
    if (handle->callers_memory)
        return 0;
    if (m->packed.size == 0)
        return plus(gguf_file_bytes(m->file), PAGE);
    uint64_t bytes = handle->built_in ? gguf_file_bytes(m->file) : 0;
    for (size_t i = 0; i < model_weight_count(m); i++) {
        const weight *w = model_weight_at(m, i);
        bool tied = w == &m->head && w->data == m->embedding.data;
        if (w->data != NULL && !w->packed && !tied)
            bytes = plus(bytes, (uint64_t)w->rows * (w->columns / w->format->block * w->format->bytes) + 2 * PAGE);
    }
    return bytes;
}

static uint64_t stack_bytes(void)
{
    pthread_attr_t attributes;
    size_t bytes = 8 << 20;
    if (pthread_attr_init(&attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &bytes);
        pthread_attr_destroy(&attributes);
    }
    return bytes + GUARD;
}

/* Address space and the process's own part of it that are taken before there is an engine's memory. Of a model that is
 * loaded they are there; of an outline they are added up. */
static void count_before(const mote_engine *e, memory_figures *all)
{
    const mote_model *m = e->model;
    if (!m->outline) {
        *all = memory_in_use("");
        return;
    }
    const model *w = &m->weights;
    uint32_t packing = w->packed.size > 0 ? cpu_count() : 1;
    uint32_t threads = e->info.threads > packing ? e->info.threads : packing;
    uint64_t own = plus(plus(w->packed.size, w->memory.size), m->tokenizer_bytes);
    own = plus(own, (threads - 1) * stack_bytes());
    *all = m->before;
    all->data = plus(all->data, own);
    all->address = plus(plus(all->address, own), gguf_file_bytes(m->file));
}

/* What does not depend on the choice. */
static void count_fixed(const mote_engine *e, mote_memory_plan *plan)
{
    mote_model *m = e->model;
    uint64_t own = memory_own("");
    uint64_t grown = m->outline || own < m->own_when_loaded ? 0 : own - m->own_when_loaded;
    plan->weights = plus(plus(mapped_bytes(m), m->weights.packed.size), m->weights.memory.size);
    plan->tokenizer = m->tokenizer_bytes;
    uint64_t steps = (m->before.resident + grown + STEP - 1) / STEP;
    plan->program = (steps > LEAST_STEPS ? steps : LEAST_STEPS) * STEP + (m->outline ? CODE : CODE_LOADED) +
                    (uint64_t)e->info.threads * THREAD;
    uint64_t piece = m->weights.packed.size > 0 ? model_piece_source_bytes(&m->weights) + HUGE_PAGE : 0;
    plan->loading = plus(plus(plan->weights, piece), plan->tokenizer + plan->program);
}

/* ---- one choice ---- */

typedef struct planner {
    mote_engine *e;
    mote_memory_plan *plan;
    memory_figures before; /* address space and data */
    memory_limits limits;
} planner;

/* Plans an engine of the sizes that e->info has now. */
static bool fits(const planner *p)
{
    mote_memory_plan *plan = p->plan;
    mote_engine_info *info = &p->e->info;
    arena count = {0};
    engine_lay_out(p->e, &count);
    uint64_t outside = (uint64_t)p->e->model->config.vocabulary * CANDIDATE + (uint64_t)info->context * TEXT;
    outside += p->e->saves ? prefix_store_memory() : 0;
    plan->context = info->context;
    plan->batch = info->batch;
    plan->kv_keys = info->kv_keys;
    plan->kv_values = info->kv_values;
    plan->kv_bytes = count.overflowed ? UINT64_MAX : info->kv_bytes;
    plan->activations = count.overflowed ? UINT64_MAX : info->scratch_bytes + outside;
    uint64_t engine = plus(plan->kv_bytes, plan->activations);
    plan->peak = plus(engine, plus(plan->weights, plan->tokenizer + plan->program));
    if (plan->peak < plan->loading)
        plan->peak = plan->loading;
    plan->address_space = plus(engine, plus(p->before.address, CODE));
    plan->data = plus(engine, plus(p->before.data, CODE));
    plan->fits = !count.overflowed && plan->peak <= p->limits.most.resident &&
                 plan->address_space <= p->limits.most.address && plan->data <= p->limits.most.data;
    return plan->fits;
}

/* ---- trying ---- */

/* The largest batch that fits, of those up to `most`. */
static bool try_batches(const planner *p, uint32_t most)
{
    uint32_t *tokens = &p->e->info.batch;
    *tokens = most;
    for (size_t i = 0;; i++) {
        if (fits(p))
            return true;
        while (i < BATCHES && batch_sizes[i] >= *tokens)
            i++;
        if (i == BATCHES)
            return false;
        *tokens = batch_sizes[i];
    }
}

/* The finest KV types that fit, as far as there is a choice. */
static bool try_kv_types(const planner *p, struct kv_pair wish, uint32_t most)
{
    for (size_t i = 0; i < KV_PAIRS; i++) {
        p->e->info.kv_keys = wish.keys != MOTE_KV_AUTO ? wish.keys : kv_pairs[i].keys;
        p->e->info.kv_values = wish.values != MOTE_KV_AUTO ? wish.values : kv_pairs[i].values;
        if (try_batches(p, most))
            return true;
    }
    return false;
}

/* The largest context below the one at hand that fits. */
static bool try_contexts(const planner *p, struct kv_pair kv, uint32_t most)
{
    uint32_t *context = &p->e->info.context;
    while (*context > CONTEXT_STEP) {
        *context = (*context - 1) / CONTEXT_STEP * CONTEXT_STEP;
        if (try_kv_types(p, kv, most < *context ? most : *context))
            return true;
    }
    return false;
}

/* ---- refusing ---- */

static unsigned long long mebibytes(uint64_t bytes)
{
    return (unsigned long long)(bytes / (1 << 20) + (bytes % (1 << 20) != 0));
}

static void describe_types(mote_kv_type keys, mote_kv_type values, char *text, size_t capacity)
{
    if (keys == values)
        snprintf(text, capacity, "%s", mote_kv_type_name(keys));
    else
        snprintf(text, capacity, "%s and %s", mote_kv_type_name(keys), mote_kv_type_name(values));
}

/* What is too small, and for what. */
static void describe_limit(const planner *p, const mote_engine_options *wish, char *text, size_t capacity)
{
    const mote_memory_plan *plan = p->plan;
    const memory_figures *most = &p->limits.most;
    if (plan->peak > most->resident)
        snprintf(text, capacity, "%llu MiB, and %s %llu MiB", mebibytes(plan->peak),
                 wish->memory != 0 ? "the budget is" : p->limits.resident_by, (unsigned long long)most->resident >> 20);
    else if (plan->address_space > most->address)
        snprintf(text, capacity, "%llu MiB of address space, and its limit (ulimit -v) leaves %llu MiB",
                 mebibytes(plan->address_space), (unsigned long long)most->address >> 20);
    else
        snprintf(text, capacity, "%llu MiB of its own, and the limit on data (ulimit -d) leaves %llu MiB",
                 mebibytes(plan->data), (unsigned long long)most->data >> 20);
}

/* The nearest thing that would fit. */
static void describe_advice(const planner *p, const mote_engine_options *wish, char *text, size_t capacity)
{
    const mote_memory_plan *plan = p->plan;
    if (plan->kv_keys_fit != MOTE_KV_AUTO && plan->kv_keys_fit == plan->kv_values_fit)
        snprintf(text, capacity, "it fits with --kv %s", mote_kv_type_name(plan->kv_keys_fit));
    else if (plan->kv_keys_fit != MOTE_KV_AUTO)
        snprintf(text, capacity, "it fits with --kv %s --kv-values %s", mote_kv_type_name(plan->kv_keys_fit),
                 mote_kv_type_name(plan->kv_values_fit));
    else if (plan->context_fits > 0)
        snprintf(text, capacity, "it fits with a context of %u (--ctx %u)", plan->context_fits, plan->context_fits);
    else if (wish->memory != 0 && plan->peak > p->limits.most.resident)
        snprintf(text, capacity, "it needs --memory %lluM, or a smaller model", mebibytes(plan->peak));
    else
        snprintf(text, capacity, "make room, or choose a smaller model");
}

/* Says what is lacking. The plan holds the least there is. */
static mote_status refuse(const planner *p, const mote_engine_options *wish, mote_error *error)
{
    const mote_memory_plan *plan = p->plan;
    char limit[128], advice[128], kv[32];
    describe_types(plan->kv_keys, plan->kv_values, kv, sizeof kv);
    describe_limit(p, wish, limit, sizeof limit);
    describe_advice(p, wish, advice, sizeof advice);
    return fail(error, MOTE_E_MEMORY,
                "%s: a context of %u tokens with KV in %s takes %s (weights %llu, KV %llu, activations %llu, "
                "tokenizer %llu, program %llu); %s",
                gguf_name(p->e->model->file), plan->context, kv, limit, mebibytes(plan->weights),
                mebibytes(plan->kv_bytes), mebibytes(plan->activations), mebibytes(plan->tokenizer),
                mebibytes(plan->program), advice);
}

/* ---- the whole ---- */

/* 1/32 less, the error that predictions may have. */
static uint64_t with_margin(uint64_t most)
{
    return most == MEMORY_UNLIMITED ? most : most - most / 32;
}

static memory_limits find_limits(const mote_engine_options *wish)
{
    memory_limits limits = memory_limits_read("");
    memory_figures *most = &limits.most;
    *most = (memory_figures){with_margin(most->resident), with_margin(most->address), with_margin(most->data)};
    if (wish->memory != 0)
        most->resident = wish->memory;
    return limits;
}

mote_status memory_plan_choose(mote_engine *e, const mote_engine_options *wish, mote_memory_plan *plan,
                               mote_error *error)
{
    mote_engine_info *info = &e->info;
    uint32_t most = info->batch;
    struct kv_pair kv = {wish->kv_keys, wish->kv_values};
    *plan = (mote_memory_plan){.sessions = info->sessions, .threads = info->threads};
    planner p = {.e = e, .plan = plan, .limits = find_limits(wish)};
    plan->budget = p.limits.most.resident;
    count_before(e, &p.before);
    count_fixed(e, plan);
    if (try_kv_types(&p, kv, most) || (wish->context == 0 && try_contexts(&p, kv, most)))
        return MOTE_OK;
    mote_memory_plan least = *plan;
    info->context = least.context;
    if (try_kv_types(&p, (struct kv_pair){MOTE_KV_AUTO, MOTE_KV_AUTO}, most)) {
        least.kv_keys_fit = info->kv_keys;
        least.kv_values_fit = info->kv_values;
    }
    info->context = least.context;
    if (try_contexts(&p, kv, most))
        least.context_fits = info->context;
    *plan = least;
    return refuse(&p, wish, error);
}

mote_status mote_plan_memory(mote_memory_plan *plan, const char *path, const mote_model_options *model_options,
                             const mote_engine_options *options, mote_error *error)
{
    const mote_engine_options defaults = {0};
    *plan = (mote_memory_plan){0};
    mote_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return fail_memory(error, sizeof *e, "a plan");
    mote_status status = model_handle_open_outline(&e->model, path, model_options, error);
    if (status == MOTE_OK)
        status = engine_prepare(e, options != NULL ? options : &defaults, plan, error);
    thread_pool_close(e->pool);
    mote_model_close(e->model);
    free(e);
    return status;
}
