/* The forward pass around the layers: scratch memory, embedding, positions' angles, final norm and head. */
#include "model/forward.h"

#include <math.h>

#include "base/sizes.h"
#include "model/layer_blocks.h"

enum { TOKEN_GRAIN = 8 }; /* of embeddings and angles: some microseconds */

static size_t matmul_scratch(const kernel_table *kernels, const weight *w)
{
    return w->data == NULL ? 0 : weight_kernel(kernels, w)->scratch_bytes(w->columns);
}

/* The most that any kernel of the model wants for itself. */
static size_t scratch_bytes(const model *m, const kernel_table *kernels)
{
    const model_config *config = &m->config;
    size_t most = 0;
    for (size_t i = 0; i < model_weight_count(m); i++)
        most = larger(most, matmul_scratch(kernels, model_weight_at((model *)m, i)));
    most = larger(most, larger(config->width, config->ffn) * sizeof(float)); /* a row on its way to int8 */
    return larger(most, attention_scratch_bytes(config));
}

/* What the products of the model read. */
static void find_readers(forward *pass, const model *m)
{
    for (size_t i = 0; i < model_weight_count(m); i++) {
        const weight *w = model_weight_at((model *)m, i);
        pass->int8_columns = larger(pass->int8_columns, w->packed ? w->columns : 0);
        bool in_layer = w != &m->embedding && w != &m->head;
        pass->layers_read_floats |= in_layer && w->data != NULL && !w->packed;
    }
}

static void lay_out_angles(rope_angles *angles, size_t largest, size_t half, arena *memory)
{
    angles->inverse_frequency = arena_take(memory, half, sizeof(double));
    angles->cosine = arena_take(memory, largest * half, sizeof(float));
    angles->sine = arena_take(memory, largest * half, sizeof(float));
}

void forward_lay_out(forward *pass, const model *m, const kernel_table *kernels, thread_pool *pool, const kv_view *kv,
                     size_t largest, uint32_t context, arena *memory)
{
    const model_config *config = &m->config;
    *pass = (forward){.model = m, .kernels = kernels, .pool = pool, .kv = kv};
    pass->qkv_stride = ((size_t)config->heads + 2 * (size_t)config->kv_heads) * config->head_dim;
    pass->x = arena_take(memory, largest, config->width * sizeof(float));
    pass->h = arena_take(memory, largest, config->width * sizeof(float));
    pass->qkv = arena_take(memory, largest, pass->qkv_stride * sizeof(float));
    pass->attn = arena_take(memory, largest, (size_t)config->heads * config->head_dim * sizeof(float));
    pass->gate_up = arena_take(memory, largest, 2 * (size_t)config->ffn * sizeof(float));
    find_readers(pass, m);
    pass->int8 = arena_take(memory, largest, int8_tokens_bytes(1, pass->int8_columns));
    lay_out_angles(&pass->rope, largest, config->rope_dims / 2, memory);
    lay_out_angles(&pass->rope_window, largest, config->rope_dims / 2, memory);
    attention_lay_out(pass, largest, context, memory);
    pass->scratch_stride = (scratch_bytes(m, kernels) + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    pass->scratch = arena_take(memory, thread_pool_size(pool), pass->scratch_stride);
}

/* Angle of pair i at position p: p ÷ (base^(2i / dims) × factor[i]). */
static void set_frequencies(rope_angles *angles, uint32_t dims, double base, double scale, const float *factors)
{
    for (uint32_t i = 0; i < dims / 2; i++) {
        double factor = factors != NULL ? (double)factors[i] : 1.0;
        angles->inverse_frequency[i] = 1.0 / (pow(base, 2.0 * i / dims) * factor * scale);
    }
}

void forward_prepare(forward *pass, uint32_t context)
{
    const model *m = pass->model;
    const model_config *config = &m->config;
    const float *factors = m->rope_factors;
    if (config->rope_original_context != 0)
        factors = context > config->rope_original_context ? m->rope_factors_long : m->rope_factors_short;
    set_frequencies(&pass->rope, config->rope_dims, (double)config->rope_base, (double)config->rope_scale, factors);
    if (config->rope_base_window > 0)
        set_frequencies(&pass->rope_window, config->rope_dims, (double)config->rope_base_window, 1.0, NULL);
}

typedef struct angles_loop {
    const forward *pass;
    rope_angles *angles;
} angles_loop;

static void set_rows_of_angles(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const angles_loop *loop = context;
    const model_config *config = &loop->pass->model->config;
    size_t half = config->rope_dims / 2;
    double factor = (double)config->rope_attention_factor;
    for (size_t t = begin; t < end; t++) {
        for (size_t i = 0; i < half; i++) {
            double angle = loop->pass->batch->position[t] * loop->angles->inverse_frequency[i];
            loop->angles->cosine[t * half + i] = (float)(cos(angle) * factor);
            loop->angles->sine[t * half + i] = (float)(sin(angle) * factor);
        }
    }
}

static void set_angles(const forward *pass, rope_angles *angles)
{
    angles_loop loop = {pass, angles};
    thread_pool_for(pass->pool, pass->batch->count, TOKEN_GRAIN, set_rows_of_angles, &loop);
}

void forward_to_int8(const forward *pass, const float *row, size_t columns, size_t tokens, size_t index)
{
    if (columns > pass->int8_columns || columns % INT8_BLOCK != 0)
        return; /* no packed weight has such an input */
    size_t first = index / TOKEN_TILE * TOKEN_TILE;
    pass->kernels->to_int8(row, columns, (unsigned char *)pass->int8 + int8_tile_offset(first, columns),
                           int8_tile_width(tokens, first), index - first);
}

matmul_job forward_job(const forward *pass, const weight *w, const float *x, size_t x_stride, size_t tokens)
{
    if (pass->observer != NULL)
        pass->observer->see(pass->observer->user, w, x, x_stride, tokens);
    return (matmul_job){
        .format = w->format,
        .packed = w->packed,
        .weights = w->data,
        .rows = w->rows,
        .columns = w->columns,
        .tokens = tokens,
        .x = x,
        .x_stride = x_stride,
        .x_int8 = pass->int8,
    };
}

static void embed_tokens(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const forward *pass = context;
    const weight *w = &pass->model->embedding;
    float scale = pass->model->config.embedding_scale;
    for (size_t t = begin; t < end; t++) {
        float *x = pass->x + t * w->columns;
        weight_row(w, (size_t)pass->batch->token[t], x);
        for (size_t i = 0; i < w->columns; i++)
            x[i] *= scale;
    }
}

/* Final norm and head for the asked rows, gathered at the front of h. */
static void run_head(forward *pass)
{
    const model *m = pass->model;
    size_t width = m->config.width, outputs = pass->batch->outputs;
    for (size_t i = 0; i < outputs; i++) {
        float *h = pass->h + i * width;
        pass->kernels->vectors->rms_norm(pass->x + pass->batch->output[i] * width, m->output_norm,
                                         m->config.norm_epsilon, h, width);
        forward_to_int8(pass, h, width, outputs, i);
    }
    matmul_job job = forward_job(pass, &m->head, pass->h, width, outputs);
    job.y_rows = pass->batch->logits;
    if (outputs > 0)
        matmul(pass->kernels, pass->pool, &job, 1, pass->scratch, pass->scratch_stride);
}

bool forward_run(forward *pass, const batch *input, bool (*stop)(void *user), void *user)
{
    const model *m = pass->model;
    pass->batch = input;
    thread_pool_for(pass->pool, input->count, TOKEN_GRAIN, embed_tokens, pass);
    set_angles(pass, &pass->rope);
    if (m->config.rope_base_window > 0)
        set_angles(pass, &pass->rope_window);
    for (uint32_t i = 0; i < m->config.layers; i++) {
        if (stop(user))
            return false;
        m->family->layer(pass, &m->layer[i], i);
    }
    run_head(pass);
    return true;
}
