/* The tensors of a family are those that model/model_load.c binds. Which format each has is chosen as llama.cpp 0.5.0's
 * quantizer does without an importance matrix; the numbers of general.file_type are its too, but for our own formats. */
#include "prepare/synth_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OF_A_LAYER = 16, OUTSIDE_LAYERS = 4 };

static const synth_type types[] = {
    {"q4_0", QUANT_Q4_0, false, 2},   {"q4_1", QUANT_Q4_1, false, 3},      {"q5_0", QUANT_Q5_0, false, 8},
    {"q5_1", QUANT_Q5_1, false, 9},   {"q8_0", QUANT_Q8_0, false, 7},      {"q4_k", QUANT_Q4_K, false, 14},
    {"q4_k_m", QUANT_Q4_K, true, 15}, {"q5_k", QUANT_Q5_K, false, 16},     {"q5_k_m", QUANT_Q5_K, true, 17},
    {"q6_k", QUANT_Q6_K, false, 18},  {"iq4_nl", QUANT_IQ4_NL, false, 25}, {"iq4_xs", QUANT_IQ4_XS, false, 30},
    {"m4", QUANT_M4, false, 0x4d34},  {"m3", QUANT_M3, false, 0x4d33},     {"f16", QUANT_F16, false, 1},
    {"bf16", QUANT_BF16, false, 32},  {"f32", QUANT_F32, false, 0},
};

const synth_type *synth_type_at(size_t index)
{
    return index < sizeof types / sizeof *types ? &types[index] : NULL;
}

const synth_type *synth_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

/* ----------------------------------------------------------------------------------------------------------- formats */

typedef enum matrix_role { ROLE_HEAD, ROLE_VALUES, ROLE_FUSED, ROLE_DOWN, ROLE_OTHER } matrix_role;

/* The first and the last eighth of the layers, and every third between them, are finer in a mix. */
static bool is_finer_layer(uint32_t layer, uint32_t layers)
{
    uint32_t eighth = layers / 8;
    return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

static quant_type by_role(const synth_type *type, matrix_role role, uint32_t layer, uint32_t layers)
{
    switch (role) {
    case ROLE_HEAD:
        if (type->body == QUANT_M4 || type->body == QUANT_M3)
            return QUANT_M4; /* who asks for these wants a small file, and half of it may be the head */
        return type->body == QUANT_Q8_0 ? QUANT_Q8_0 : QUANT_Q6_K;
    case ROLE_VALUES:
    case ROLE_DOWN: return type->mix && is_finer_layer(layer, layers) ? QUANT_Q6_K : type->body;
    case ROLE_FUSED:
        if (type->mix)
            return type->body == QUANT_Q4_K ? QUANT_Q5_K : QUANT_Q6_K;
        return type->body;
    case ROLE_OTHER: break;
    }
    return type->body;
}

/* For rows that are no whole blocks of 256; those of all published models are whole blocks of 32. */
static quant_type in_small_blocks(quant_type type)
{
    switch (type) {
    case QUANT_Q4_K: return QUANT_Q5_0;
    case QUANT_Q5_K: return QUANT_Q5_1;
    case QUANT_Q6_K: return QUANT_Q8_0;
    case QUANT_IQ4_XS: return QUANT_IQ4_NL;
    default: return type;
    }
}

static const quant_format *matrix_format(const synth_type *type, matrix_role role, uint32_t layer, uint32_t layers,
                                         size_t columns)
{
    const quant_format *format = quant_find(type->body);
    if (format->block == 1)
        return format;
    format = quant_find(by_role(type, role, layer, layers));
    return columns % format->block == 0 ? format : quant_find(in_small_blocks(format->type));
}

/* ----------------------------------------------------------------------------------------------------------- tensors */

typedef struct planner {
    synth_plan *plan;
    const model_shape *shape;
    const synth_type *type;
    uint32_t layers;
    uint32_t layer; /* the one being planned; LAYER_NONE: outside */
} planner;

#define LAYER_NONE UINT32_MAX

static void add(planner *p, const char *name, const quant_format *format, synth_values values, size_t rows,
                size_t columns)
{
    synth_tensor *t = &p->plan->tensor[p->plan->count++];
    *t = (synth_tensor){.format = format, .values = values, .columns = columns, .rows = rows};
    if (p->layer == LAYER_NONE)
        snprintf(t->name, sizeof t->name, "%s", name);
    else
        snprintf(t->name, sizeof t->name, "blk.%u.%s", p->layer, name);
    p->plan->parameters += (uint64_t)rows * columns;
    p->plan->bytes += (uint64_t)rows * (columns / format->block) * format->bytes;
}

static void add_matrix(planner *p, const char *name, matrix_role role, size_t rows, size_t columns)
{
    add(p, name, matrix_format(p->type, role, p->layer, p->layers, columns), SYNTH_WEIGHTS, rows, columns);
}

static void add_vector(planner *p, const char *name, synth_values values, size_t count)
{
    add(p, name, &quant_format_F32, values, 1, count);
}

static void add_attention(planner *p)
{
    const model_shape *s = p->shape;
    unsigned parts = s->family->layer_parts;
    size_t q = (size_t)s->heads * s->head_dim, kv = (size_t)s->kv_heads * s->head_dim;
    add_vector(p, "attn_norm.weight", SYNTH_NORM, s->width);
    if (parts & LAYER_FUSED) {
        add_matrix(p, "attn_qkv.weight", ROLE_FUSED, q + 2 * kv, s->width);
    } else {
        add_matrix(p, "attn_q.weight", ROLE_OTHER, q, s->width);
        add_matrix(p, "attn_k.weight", ROLE_OTHER, kv, s->width);
        add_matrix(p, "attn_v.weight", ROLE_VALUES, kv, s->width);
    }
    if (parts & LAYER_QKV_BIAS) {
        add_vector(p, "attn_q.bias", SYNTH_BIAS, q);
        add_vector(p, "attn_k.bias", SYNTH_BIAS, kv);
        add_vector(p, "attn_v.bias", SYNTH_BIAS, kv);
    }
    if (parts & LAYER_QK_NORM) {
        add_vector(p, "attn_q_norm.weight", SYNTH_NORM, s->head_dim);
        add_vector(p, "attn_k_norm.weight", SYNTH_NORM, s->head_dim);
    }
    add_matrix(p, "attn_output.weight", ROLE_OTHER, s->width, q);
    if (parts & LAYER_POST_NORMS)
        add_vector(p, "post_attention_norm.weight", SYNTH_NORM, s->width);
}

static void add_mlp(planner *p)
{
    const model_shape *s = p->shape;
    unsigned parts = s->family->layer_parts;
    add_vector(p, "ffn_norm.weight", SYNTH_NORM, s->width);
    if (parts & LAYER_FUSED) {
        add_matrix(p, "ffn_up.weight", ROLE_OTHER, 2 * (size_t)s->ffn, s->width);
    } else {
        add_matrix(p, "ffn_gate.weight", ROLE_OTHER, s->ffn, s->width);
        add_matrix(p, "ffn_up.weight", ROLE_OTHER, s->ffn, s->width);
    }
    add_matrix(p, "ffn_down.weight", ROLE_DOWN, s->width, s->ffn);
    if (parts & LAYER_POST_NORMS)
        add_vector(p, "post_ffw_norm.weight", SYNTH_NORM, s->width);
}

mote_status synth_plan_make(synth_plan *plan, const model_shape *shape, const synth_type *type, uint32_t layers,
                            mote_error *error)
{
    planner p = {plan, shape, type, layers, LAYER_NONE};
    size_t most = (size_t)layers * MOST_OF_A_LAYER + OUTSIDE_LAYERS;
    *plan = (synth_plan){.tensor = calloc(most, sizeof *plan->tensor)};
    if (plan->tensor == NULL)
        return fail_memory(error, most * sizeof *plan->tensor, "the list of a model's tensors");
    add_matrix(&p, "token_embd.weight", ROLE_HEAD, shape->tokens, shape->width);
    if (shape->long_rope_from != 0) {
        add_vector(&p, "rope_factors_long.weight", SYNTH_LONG_FACTORS, shape->rope_dims / 2);
        add_vector(&p, "rope_factors_short.weight", SYNTH_SHORT_FACTORS, shape->rope_dims / 2);
    }
    for (p.layer = 0; p.layer < layers; p.layer++) {
        add_attention(&p);
        add_mlp(&p);
    }
    p.layer = LAYER_NONE;
    add_vector(&p, "output_norm.weight", SYNTH_NORM, shape->width);
    return MOTE_OK;
}

void synth_plan_free(synth_plan *plan)
{
    free(plan->tensor);
    *plan = (synth_plan){0};
}
