/* Binds a model's weights: every tensor of the file is found by name, checked for its shape, and used exactly once.
 *
 * Binding runs twice, first counting the memory for vectors, then with it (base/arena.h). A tensor that nothing asks for
 * is an error: a file with, say, a bias that its family does not have would otherwise run and answer nonsense. */
#include "model/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_VOCABULARY = 1 << 24 };

/* A loader keeps its first failure; binding after it does nothing. */
typedef struct loader {
    model *m;
    arena *memory;
    unsigned char *bound; /* [tensors]: asked for */
    bool outline;         /* sizes alone: no tensor's values are looked at */
    mote_error *error;
    mote_status status;
} loader;

typedef struct tensor_name {
    char text[64];
} tensor_name;

static tensor_name layer_tensor(uint32_t layer, const char *suffix)
{
    tensor_name name;
    snprintf(name.text, sizeof name.text, "blk.%u.%s", layer, suffix);
    return name;
}

#define IN_LAYER(suffix) layer_tensor(index, suffix).text

/* The tensor of that name and shape; NULL, and a failure unless it is optional, if there is none. */
static const gguf_tensor *find(loader *load, const char *name, size_t rows, size_t columns, bool optional)
{
    if (load->status != MOTE_OK)
        return NULL;
    const gguf *file = load->m->file;
    const gguf_tensor *tensor = gguf_find_tensor(file, name);
    if (tensor == NULL) {
        if (!optional)
            load->status = fail(load->error, MOTE_E_FORMAT,
                                "%s: tensor %s is missing; the file is incomplete, or not a "
                                "%s model as mote knows them",
                                gguf_name(file), name, load->m->family->name);
        return NULL;
    }
    if (tensor->shape[0] != columns || tensor->shape[1] != rows || tensor->shape[2] != 1 || tensor->shape[3] != 1) {
        load->status =
            fail(load->error, MOTE_E_FORMAT,
                 "%s: tensor %s is %zu × %zu × %zu × %zu where the metadata says %zu × %zu; the file is damaged",
                 gguf_name(file), name, tensor->shape[0], tensor->shape[1], tensor->shape[2], tensor->shape[3], columns,
                 rows);
        return NULL;
    }
    load->bound[tensor->index] = 1;
    return tensor;
}

static void bind_matrix(loader *load, weight *out, const char *name, size_t rows, size_t columns)
{
    const gguf_tensor *tensor = find(load, name, rows, columns, false);
    if (tensor != NULL)
        *out = (weight){.format = tensor->format,
                        .packed = tensor->packed,
                        .data = tensor->data,
                        .rows = rows,
                        .columns = columns,
                        .name = tensor->name};
}

static void copy_vector(loader *load, float **out, const gguf_tensor *tensor)
{
    if (tensor == NULL)
        return;
    if (tensor->packed) {
        load->status = fail(load->error, MOTE_E_FORMAT, "%s: tensor %s is a vector, yet packed; the file is damaged",
                            gguf_name(load->m->file), tensor->name);
        return;
    }
    *out = arena_take(load->memory, tensor->shape[0], sizeof(float));
    if (*out != NULL && !load->outline)
        tensor->format->decode(tensor->data, *out, tensor->shape[0]);
}

static void bind_vector(loader *load, float **out, const char *name, size_t count)
{
    copy_vector(load, out, find(load, name, 1, count, false));
}

static void bind_optional_vector(loader *load, float **out, const char *name, size_t count)
{
    copy_vector(load, out, find(load, name, 1, count, true));
}

static void bind_attention(loader *load, layer_weights *w, uint32_t index)
{
    const model_config *c = &load->m->config;
    unsigned parts = load->m->family->layer_parts;
    size_t q_size = (size_t)c->heads * c->head_dim, kv_size = (size_t)c->kv_heads * c->head_dim;
    bind_vector(load, &w->attn_norm, IN_LAYER("attn_norm.weight"), c->width);
    if (parts & LAYER_FUSED) {
        bind_matrix(load, &w->qkv, IN_LAYER("attn_qkv.weight"), q_size + 2 * kv_size, c->width);
    } else {
        bind_matrix(load, &w->q, IN_LAYER("attn_q.weight"), q_size, c->width);
        bind_matrix(load, &w->k, IN_LAYER("attn_k.weight"), kv_size, c->width);
        bind_matrix(load, &w->v, IN_LAYER("attn_v.weight"), kv_size, c->width);
    }
    if (parts & LAYER_QKV_BIAS) {
        bind_vector(load, &w->q_bias, IN_LAYER("attn_q.bias"), q_size);
        bind_vector(load, &w->k_bias, IN_LAYER("attn_k.bias"), kv_size);
        bind_vector(load, &w->v_bias, IN_LAYER("attn_v.bias"), kv_size);
    }
    if (parts & LAYER_QK_NORM) {
        bind_vector(load, &w->q_norm, IN_LAYER("attn_q_norm.weight"), c->head_dim);
        bind_vector(load, &w->k_norm, IN_LAYER("attn_k_norm.weight"), c->head_dim);
    }
    bind_matrix(load, &w->attn_output, IN_LAYER("attn_output.weight"), c->width, q_size);
    if (parts & LAYER_POST_NORMS)
        bind_vector(load, &w->post_attn_norm, IN_LAYER("post_attention_norm.weight"), c->width);
}

static void bind_mlp(loader *load, layer_weights *w, uint32_t index)
{
    const model_config *c = &load->m->config;
    unsigned parts = load->m->family->layer_parts;
    bind_vector(load, &w->ffn_norm, IN_LAYER("ffn_norm.weight"), c->width);
    if (parts & LAYER_FUSED) {
        bind_matrix(load, &w->gate_up, IN_LAYER("ffn_up.weight"), 2 * (size_t)c->ffn, c->width);
    } else {
        bind_matrix(load, &w->gate, IN_LAYER("ffn_gate.weight"), c->ffn, c->width);
        bind_matrix(load, &w->up, IN_LAYER("ffn_up.weight"), c->ffn, c->width);
    }
    bind_matrix(load, &w->down, IN_LAYER("ffn_down.weight"), c->width, c->ffn);
    if (parts & LAYER_POST_NORMS)
        bind_vector(load, &w->post_ffn_norm, IN_LAYER("post_ffw_norm.weight"), c->width);
}

/* Angles are divided by these, so none may be zero. */
static void check_factors(loader *load, const float *factors, const char *name)
{
    if (load->status != MOTE_OK || factors == NULL || load->outline)
        return;
    for (uint32_t i = 0; i < load->m->config.rope_dims / 2; i++)
        if (!(factors[i] >= 1e-6f && factors[i] <= 1e6f)) {
            load->status = fail(load->error, MOTE_E_FORMAT, "%s: tensor %s: factor %u is %g; the file is damaged",
                                gguf_name(load->m->file), name, i, (double)factors[i]);
            return;
        }
}

static void bind_rope_factors(loader *load)
{
    model *m = load->m;
    size_t half = m->config.rope_dims / 2;
    if (m->config.rope_original_context == 0) {
        bind_optional_vector(load, &m->rope_factors, "rope_freqs.weight", half);
    } else {
        bind_optional_vector(load, &m->rope_factors_short, "rope_factors_short.weight", half);
        bind_optional_vector(load, &m->rope_factors_long, "rope_factors_long.weight", half);
    }
    check_factors(load, m->rope_factors, "rope_freqs.weight");
    check_factors(load, m->rope_factors_short, "rope_factors_short.weight");
    check_factors(load, m->rope_factors_long, "rope_factors_long.weight");
}

/* The vocabulary's size is the embedding's number of rows. */
static void read_vocabulary(loader *load)
{
    const gguf_tensor *tensor = gguf_find_tensor(load->m->file, "token_embd.weight");
    size_t rows = tensor == NULL ? 0 : tensor->shape[1];
    if (rows > MOST_VOCABULARY)
        load->status = fail(load->error, MOTE_E_UNSUPPORTED, "%s: a vocabulary of %zu; mote runs up to %d",
                            gguf_name(load->m->file), rows, MOST_VOCABULARY);
    else
        load->m->config.vocabulary = (uint32_t)rows;
}

static void check_all_bound(loader *load)
{
    const gguf *file = load->m->file;
    for (size_t i = 0; i < gguf_tensor_count(file) && load->status == MOTE_OK; i++) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        if (!load->bound[i] && gguf_is_weight(tensor))
            load->status =
                fail(load->error, MOTE_E_UNSUPPORTED,
                     "%s: tensor %s has no place in a %s model and would be left out; use a file of a plain %s model",
                     gguf_name(file), tensor->name, load->m->family->name, load->m->family->name);
    }
}

static mote_status bind_all(loader *load)
{
    model *m = load->m;
    read_vocabulary(load);
    m->layer = arena_take(load->memory, m->config.layers, sizeof *m->layer);
    layer_weights counted; /* stands for every layer while counting */
    bind_matrix(load, &m->embedding, "token_embd.weight", m->config.vocabulary, m->config.width);
    bind_vector(load, &m->output_norm, "output_norm.weight", m->config.width);
    m->head = m->embedding;
    if (gguf_find_tensor(m->file, "output.weight") != NULL)
        bind_matrix(load, &m->head, "output.weight", m->config.vocabulary, m->config.width);
    bind_rope_factors(load);
    for (uint32_t i = 0; i < m->config.layers && load->status == MOTE_OK; i++) {
        layer_weights *w = m->layer != NULL ? &m->layer[i] : &counted;
        *w = (layer_weights){0};
        bind_attention(load, w, i);
        bind_mlp(load, w, i);
    }
    check_all_bound(load);
    return load->status;
}

static mote_status bind_twice(model *m, unsigned char *bound, bool outline, mote_error *error)
{
    arena plan = {0};
    loader load = {.m = m, .memory = &plan, .bound = bound, .outline = outline, .error = error};
    mote_status status = bind_all(&load);
    if (status != MOTE_OK)
        return status;
    if (plan.overflowed || !arena_allocate(&m->memory, plan.used))
        return fail_memory(error, plan.used, "a model's norms");
    load.memory = &m->memory;
    return bind_all(&load);
}

static mote_status load(model *m, const gguf *file, bool outline, mote_error *error)
{
    *m = (model){.file = file, .family = model_family_find(file)};
    if (m->family == NULL) {
        gguf_string name = {"?", 1};
        (void)gguf_get_string(file, "general.architecture", &name, NULL);
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: architecture \"%.*s\"; mote runs llama, qwen2, qwen3, gemma3 and phi3", gguf_name(file),
                    name.length < 64 ? (int)name.length : 64, name.at);
    }
    mote_status status;
    if ((status = gguf_require_formats(file, error)) ||
        (status = model_read_config(&m->config, m->family, file, error)))
        return status;
    unsigned char *bound = calloc(gguf_tensor_count(file) + 1, 1);
    if (bound == NULL)
        return fail_memory(error, gguf_tensor_count(file) + 1, "binding a model's weights");
    status = bind_twice(m, bound, outline, error);
    free(bound);
    if (status == MOTE_OK && (m->rope_factors_short == NULL) != (m->rope_factors_long == NULL))
        status = fail(error, MOTE_E_FORMAT,
                      "%s: only one of rope_factors_short and rope_factors_long is there; the "
                      "file is damaged",
                      gguf_name(file));
    if (status != MOTE_OK)
        model_unload(m);
    return status;
}

mote_status model_load(model *m, const gguf *file, mote_error *error)
{
    return load(m, file, false, error);
}

mote_status model_outline(model *m, const gguf *file, bool packs, mote_error *error)
{
    mote_status status = load(m, file, true, error);
    if (status == MOTE_OK && packs)
        model_outline_pack(m);
    return status;
}

void model_unload(model *m)
{
    arena_release(&m->memory);
    arena_release(&m->packed);
}
