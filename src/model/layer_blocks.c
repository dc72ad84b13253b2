/* The shared blocks of a layer. */
#include "model/layer_blocks.h"

/* ---- loops over tokens ---- */

/* They are cheap beside the products, so a range is several tokens: a tile of int8, whose lines of cache no other thread
 * then writes, or half of the only tile. */
static void for_tokens(const forward *pass, thread_pool_loop *loop, const void *context)
{
    size_t count = pass->batch->count;
    thread_pool_for(pass->pool, count, count > TOKEN_TILE ? TOKEN_TILE : TOKEN_TILE / 2, loop, (void *)context);
}

/* Where the row of token t that products read is made: among the others where they or an observer read floats, else in the
 * thread's own memory, which stays in its cache, on the way to int8. */
static float *row_to_read(const forward *pass, float *rows, size_t stride, size_t t, uint32_t worker)
{
    if (pass->layers_read_floats || pass->observer != NULL)
        return rows + t * stride;
    return (float *)(void *)((unsigned char *)pass->scratch + worker * pass->scratch_stride);
}

/* ---- norms ---- */

typedef struct norm_loop {
    const forward *pass;
    const float *gain;
    bool add; /* x += the norm of h, instead of h = the norm of x */
} norm_loop;

static void norm_rows(void *context, size_t begin, size_t end, uint32_t worker)
{
    const norm_loop *loop = context;
    const forward *pass = loop->pass;
    const vector_kernels *vectors = pass->kernels->vectors;
    const model_config *config = &pass->model->config;
    for (size_t t = begin; t < end; t++) {
        float *x = pass->x + t * config->width, *h = pass->h + t * config->width;
        float *out = row_to_read(pass, pass->h, config->width, t, worker);
        vectors->rms_norm(loop->add ? h : x, loop->gain, config->norm_epsilon, out, config->width);
        if (loop->add)
            vectors->add(x, out, config->width);
        else
            forward_to_int8(pass, out, config->width, pass->batch->count, t);
    }
}

static void norm(forward *pass, const float *gain, bool add)
{
    norm_loop loop = {pass, gain, add};
    for_tokens(pass, norm_rows, &loop);
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

static matmul_job projection(const forward *pass, const weight *w, const float *bias, rows in, rows out)
{
    matmul_job job = forward_job(pass, w, in.at, in.stride, pass->batch->count);
    job.y = out.at;
    job.y_stride = out.stride;
    job.bias = bias;
    return job;
}

static void run(const forward *pass, const matmul_job *jobs, size_t count)
{
    matmul(pass->kernels, pass->pool, jobs, count, pass->scratch, pass->scratch_stride);
}

static void project(const forward *pass, const weight *w, rows in, rows out, bool accumulate)
{
    matmul_job job = projection(pass, w, NULL, in, out);
    job.accumulate = accumulate;
    run(pass, &job, 1);
}

void block_qkv(forward *pass, const layer_weights *w)
{
    const model_config *config = &pass->model->config;
    rows h = {pass->h, config->width};
    size_t q_size = (size_t)config->heads * config->head_dim, kv_size = (size_t)config->kv_heads * config->head_dim;
    rows q = {pass->qkv, pass->qkv_stride}, k = {q.at + q_size, q.stride}, v = {k.at + kv_size, q.stride};
    if (w->qkv.data != NULL) {
        project(pass, &w->qkv, h, q, false);
        return;
    }
    const matmul_job jobs[] = {projection(pass, &w->q, w->q_bias, h, q), projection(pass, &w->k, w->k_bias, h, k),
                               projection(pass, &w->v, w->v_bias, h, v)};
    run(pass, jobs, 3);
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

static void convert_attn(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const forward *pass = context;
    rows attn = attn_rows((forward *)context);
    for (size_t t = begin; t < end; t++)
        forward_to_int8(pass, attn.at + t * attn.stride, attn.stride, pass->batch->count, t);
}

static void attn_to_int8(forward *pass)
{
    if (pass->int8_columns > 0)
        for_tokens(pass, convert_attn, pass);
}

void block_attn_output(forward *pass, const layer_weights *w)
{
    attn_to_int8(pass);
    project(pass, &w->attn_output, attn_rows(pass), width_rows(pass, pass->x), true);
}

void block_attn_output_normed(forward *pass, const layer_weights *w)
{
    attn_to_int8(pass);
    project(pass, &w->attn_output, attn_rows(pass), width_rows(pass, pass->h), false);
    norm(pass, w->post_attn_norm, true);
}

void block_down(forward *pass, const layer_weights *w)
{
    project(pass, &w->down, ffn_rows(pass, 0), width_rows(pass, pass->x), true);
}

void block_down_normed(forward *pass, const layer_weights *w)
{
    project(pass, &w->down, ffn_rows(pass, 0), width_rows(pass, pass->h), false);
    norm(pass, w->post_ffn_norm, true);
}

/* ---- gated activation ---- */

typedef struct gate_loop {
    const forward *pass;
    void (*gate)(const float *gate, const float *up, float *out, size_t count);
} gate_loop;

static void gate_rows(void *context, size_t begin, size_t end, uint32_t worker)
{
    const gate_loop *loop = context;
    const forward *pass = loop->pass;
    size_t ffn = pass->model->config.ffn;
    for (size_t t = begin; t < end; t++) {
        const float *gate = pass->gate_up + t * 2 * ffn;
        float *out = row_to_read(pass, pass->gate_up, 2 * ffn, t, worker);
        loop->gate(gate, gate + ffn, out, ffn);
        forward_to_int8(pass, out, ffn, pass->batch->count, t);
    }
}

void block_gate_up(forward *pass, const layer_weights *w, activation act)
{
    rows h = width_rows(pass, pass->h);
    if (w->gate_up.data != NULL) {
        project(pass, &w->gate_up, h, ffn_rows(pass, 0), false);
    } else {
        const matmul_job jobs[] = {projection(pass, &w->gate, NULL, h, ffn_rows(pass, 0)),
                                   projection(pass, &w->up, NULL, h, ffn_rows(pass, pass->model->config.ffn))};
        run(pass, jobs, 2);
    }
    const vector_kernels *vectors = pass->kernels->vectors;
    gate_loop loop = {pass, act == ACTIVATION_GELU ? vectors->gelu_gate : vectors->silu_gate};
    for_tokens(pass, gate_rows, &loop);
}
