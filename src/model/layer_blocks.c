/* The shared blocks of a layer. */
#include "model/layer_blocks.h"

/* Loops over tokens are cheap beside the products: a range is several tokens, and a single token never leaves the
 * calling thread. */
enum { TOKENS_PER_RANGE = 4 };

/* ---- norms ---- */

typedef struct norm_loop {
    const forward *pass;
    const float *gain;
    bool add; /* x += the norm of h, instead of h = the norm of x */
} norm_loop;

static void norm_rows(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const norm_loop *loop = context;
    const vector_kernels *vectors = loop->pass->kernels->vectors;
    const model_config *config = &loop->pass->model->config;
    for (size_t t = begin; t < end; t++) {
        float *x = loop->pass->x + t * config->width, *h = loop->pass->h + t * config->width;
        if (loop->add) {
            vectors->rms_norm(h, loop->gain, config->norm_epsilon, h, config->width);
            vectors->add(x, h, config->width);
        } else {
            vectors->rms_norm(x, loop->gain, config->norm_epsilon, h, config->width);
        }
    }
}

static void norm(forward *pass, const float *gain, bool add)
{
    norm_loop loop = {pass, gain, add};
    thread_pool_for(pass->pool, pass->batch->count, TOKENS_PER_RANGE, norm_rows, &loop);
}

void block_norm(forward *pass, const float *gain)
{
    norm(pass, gain, false);
}

/* ---- projections ---- */

typedef struct rows {
    float *at;
    size_t stride;
} rows;

static void project(forward *pass, const weight *w, const float *bias, rows in, rows out, bool accumulate)
{
    matmul_job job = {
        .format = w->format,
        .weights = w->data,
        .rows = w->rows,
        .columns = w->columns,
        .tokens = pass->batch->count,
        .x = in.at,
        .x_stride = in.stride,
        .y = out.at,
        .y_stride = out.stride,
        .bias = bias,
        .accumulate = accumulate,
    };
    matmul(pass->kernels, pass->pool, &job, pass->scratch, pass->scratch_stride);
}

void block_qkv(forward *pass, const layer_weights *w)
{
    const model_config *config = &pass->model->config;
    rows h = {pass->h, config->width};
    size_t q_size = (size_t)config->heads * config->head_dim, kv_size = (size_t)config->kv_heads * config->head_dim;
    rows q = {pass->qkv, pass->qkv_stride}, k = {q.at + q_size, q.stride}, v = {k.at + kv_size, q.stride};
    if (w->qkv.data != NULL) {
        project(pass, &w->qkv, NULL, h, q, false);
        return;
    }
    project(pass, &w->q, w->q_bias, h, q, false);
    project(pass, &w->k, w->k_bias, h, k, false);
    project(pass, &w->v, w->v_bias, h, v, false);
}

static rows width_rows(forward *pass, float *at)
{
    return (rows){at, pass->model->config.width};
}

static rows attn_rows(forward *pass)
{
    return (rows){pass->attn, (size_t)pass->model->config.heads * pass->model->config.head_dim};
}

static rows ffn_rows(forward *pass, size_t offset)
{
    return (rows){pass->gate_up + offset, 2 * (size_t)pass->model->config.ffn};
}

void block_attn_output(forward *pass, const layer_weights *w)
{
    project(pass, &w->attn_output, NULL, attn_rows(pass), width_rows(pass, pass->x), true);
}

void block_attn_output_normed(forward *pass, const layer_weights *w)
{
    project(pass, &w->attn_output, NULL, attn_rows(pass), width_rows(pass, pass->h), false);
    norm(pass, w->post_attn_norm, true);
}

void block_down(forward *pass, const layer_weights *w)
{
    project(pass, &w->down, NULL, ffn_rows(pass, 0), width_rows(pass, pass->x), true);
}

void block_down_normed(forward *pass, const layer_weights *w)
{
    project(pass, &w->down, NULL, ffn_rows(pass, 0), width_rows(pass, pass->h), false);
    norm(pass, w->post_ffn_norm, true);
}

/* ---- gated activation ---- */

typedef struct gate_loop {
    const forward *pass;
    void (*gate)(float *gate, const float *up, size_t count);
} gate_loop;

static void gate_rows(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const gate_loop *loop = context;
    size_t ffn = loop->pass->model->config.ffn;
    for (size_t t = begin; t < end; t++) {
        float *gate = loop->pass->gate_up + t * 2 * ffn;
        loop->gate(gate, gate + ffn, ffn);
    }
}

void block_gate_up(forward *pass, const layer_weights *w, activation act)
{
    rows h = width_rows(pass, pass->h);
    if (w->gate_up.data != NULL) {
        project(pass, &w->gate_up, NULL, h, ffn_rows(pass, 0), false);
    } else {
        project(pass, &w->gate, NULL, h, ffn_rows(pass, 0), false);
        project(pass, &w->up, NULL, h, ffn_rows(pass, pass->model->config.ffn), false);
    }
    const vector_kernels *vectors = pass->kernels->vectors;
    gate_loop loop = {pass, act == ACTIVATION_GELU ? vectors->gelu_gate : vectors->silu_gate};
    thread_pool_for(pass->pool, pass->batch->count, TOKENS_PER_RANGE, gate_rows, &loop);
}
