/* Attention: norms and rotation of the heads, the cache's append, and the loop over (token, KV head). */
#include "model/layer_blocks.h"

typedef struct heads_loop {
    const forward *pass;
    const layer_weights *w;  /* for norms */
    const rope_angles *rope; /* for rotation */
    const kv_layer *layer;   /* where keys and values go */
    uint32_t window;         /* 0: all positions are visible */
} heads_loop;

enum { TOKENS_PER_RANGE = 4 };

static void norm_heads(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const heads_loop *loop = context;
    const model_config *config = &loop->pass->model->config;
    for (size_t t = begin; t < end; t++) {
        float *head = loop->pass->qkv + t * loop->pass->qkv_stride;
        for (uint32_t i = 0; i < config->heads + config->kv_heads; i++, head += config->head_dim)
            loop->pass->kernels->vectors->rms_norm(head, i < config->heads ? loop->w->q_norm : loop->w->k_norm,
                                                   config->norm_epsilon, head, config->head_dim);
    }
}

void block_qk_norm(forward *pass, const layer_weights *w)
{
    heads_loop loop = {.pass = pass, .w = w};
    thread_pool_for(pass->pool, pass->batch->count, TOKENS_PER_RANGE, norm_heads, &loop);
}

/* Rotates a token's queries and keys, then stores its keys and values. */
static void rotate_and_store(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const heads_loop *loop = context;
    const forward *pass = loop->pass;
    const model_config *config = &pass->model->config;
    const vector_kernels *vectors = pass->kernels->vectors;
    size_t half = config->rope_dims / 2, dim = config->head_dim;
    for (size_t t = begin; t < end; t++) {
        float *head = pass->qkv + t * pass->qkv_stride;
        const float *cosine = loop->rope->cosine + t * half, *sine = loop->rope->sine + t * half;
        for (uint32_t i = 0; i < config->heads + config->kv_heads; i++)
            (config->rope_in_pairs ? vectors->rope_pairs : vectors->rope_halves)(head + i * dim, cosine, sine, half);

        const float *key = head + config->heads * dim, *value = key + config->kv_heads * dim;
        size_t row = pass->batch->position[t] % loop->layer->cells * pass->kv->row_bytes;
        for (uint32_t i = 0; i < config->kv_heads; i++) {
            size_t at = kv_ring(pass->kv, loop->layer, pass->batch->sequence[t], i) + row;
            pass->kv->kernel->store(loop->layer->keys + at, key + i * dim, dim);
            pass->kv->kernel->store(loop->layer->values + at, value + i * dim, dim);
        }
    }
}

/* Positions [first, first + count) of a ring, as at most two spans. */
static void set_spans(attention_job *job, const kv_view *kv, const kv_layer *layer, size_t ring, size_t first,
                      size_t count)
{
    size_t start = first % layer->cells;
    size_t ahead = layer->cells - start < count ? layer->cells - start : count;
    size_t at = ring + start * kv->row_bytes;
    job->span[0] = (attention_span){layer->keys + at, layer->values + at, ahead};
    job->span[1] = (attention_span){layer->keys + ring, layer->values + ring, count - ahead};
}

static void attend_heads(void *context, size_t begin, size_t end, uint32_t worker)
{
    const heads_loop *loop = context;
    const forward *pass = loop->pass;
    const model_config *config = &pass->model->config;
    size_t dim = config->head_dim, group = config->heads / config->kv_heads;
    for (size_t i = begin; i < end; i++) {
        size_t t = i / config->kv_heads, head = i % config->kv_heads;
        size_t visible = (size_t)pass->batch->position[t] + 1, first = 0;
        if (loop->window != 0 && visible > loop->window) {
            first = visible - loop->window;
            visible = loop->window;
        }
        attention_job job = {
            .q = pass->qkv + t * pass->qkv_stride + head * group * dim,
            .out = pass->attn + (t * config->heads + head * group) * dim,
            .group = group,
            .head_dim = dim,
            .scale = config->attention_scale,
        };
        set_spans(&job, pass->kv, loop->layer, kv_ring(pass->kv, loop->layer, pass->batch->sequence[t], head), first,
                  visible);
        pass->kv->kernel->run(&job, (unsigned char *)pass->scratch + worker * pass->scratch_stride);
    }
}

void block_attend(forward *pass, uint32_t layer)
{
    const model_config *config = &pass->model->config;
    bool slides = model_layer_slides(config, layer);
    heads_loop loop = {
        .pass = pass,
        .rope = slides && config->rope_base_window > 0 ? &pass->rope_window : &pass->rope,
        .layer = &pass->kv->layer[layer],
        .window = slides ? config->window : 0,
    };
    thread_pool_for(pass->pool, pass->batch->count, TOKENS_PER_RANGE, rotate_and_store, &loop);
    thread_pool_for(pass->pool, pass->batch->count * config->kv_heads, 1, attend_heads, &loop);
}
