/* Rows of q and k. Published weights turn the values i and i + d/2 of a head of d together; GGUF's llama turns neighbours:
 *
 *     published   0 1 2 3 │ 4 5 6 7        GGUF   0 4 1 5 2 6 3 7
 */
#include "prepare/convert_tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/sizes.h"
#include "quant/encoder.h"

enum { PIECE_VALUES = 1 << 20, MOST_OF_A_LAYER = 16, OUTSIDE_LAYERS = 5 };

typedef struct finder {
    convert_tensors *list;
    const convert_config *c;
    const quant_format *format;
    const char *prefix;  /* "model.", or "" for a model without a head */
    unsigned char *used; /* [files' tensors] */
    mote_error *error;
    mote_status status;
} finder;

/* ------------------------------------------------------------------------------------------------------------ finding */

static bool has_shape(const safetensors_tensor *t, size_t rows, size_t columns)
{
    return rows == 1 ? t->dimensions == 1 && t->shape[0] == columns
                     : t->dimensions == 2 && t->shape[0] == rows && t->shape[1] == columns;
}

/* `rows` of 1: a vector. NULL after a failure. */
static convert_tensor *take(finder *f, const char *source, const char *name, size_t rows, size_t columns)
{
    const safetensors *files = f->list->files;
    const safetensors_tensor *t = safetensors_find(files, source);
    if (f->status != MOTE_OK)
        return NULL;
    if (t == NULL) {
        f->status =
            fail(f->error, MOTE_E_FORMAT,
                 "tensor %s is missing, which a model of that config.json has; fetch the folder again, whole", source);
        return NULL;
    }
    const char *file = safetensors_file_name(files, t);
    if (!has_shape(t, rows, columns))
        f->status =
            fail(f->error, MOTE_E_FORMAT,
                 "%s: tensor %s has %u dimensions, %zu × %zu, where config.json says %zu × %zu; fetch the folder "
                 "again, whole",
                 file, source, t->dimensions, t->shape[0], t->shape[1], rows, columns);
    else if (t->format == NULL)
        f->status = fail(f->error, MOTE_E_UNSUPPORTED,
                         "%s: tensor %s is of type %s, and mote converts F32, F16 and BF16; choose another model", file,
                         source, t->type);
    if (f->status != MOTE_OK)
        return NULL;
    f->used[t - safetensors_at(files, 0)] = 1;
    convert_tensor *to = &f->list->at[f->list->count++];
    *to = (convert_tensor){.source = t, .rows = rows, .columns = columns};
    to->format = rows == 1 ? &quant_format_F32 : f->format;
    snprintf(to->name, sizeof to->name, "%s", name);
    return to;
}

static void take_values(finder *f, const char *name, const float *values)
{
    if (f->status != MOTE_OK || values == NULL)
        return;
    convert_tensor *to = &f->list->at[f->list->count++];
    *to = (convert_tensor){.values = values, .rows = 1, .columns = f->c->rope_dims / 2, .format = &quant_format_F32};
    snprintf(to->name, sizeof to->name, "%s", name);
}

typedef struct two_names {
    char source[128], name[64];
} two_names;

static convert_tensor *take_in_layer(finder *f, uint32_t layer, const char *source, const char *name, size_t rows,
                                     size_t columns)
{
    two_names n;
    snprintf(n.source, sizeof n.source, "%slayers.%u.%s", f->prefix, layer, source);
    snprintf(n.name, sizeof n.name, "blk.%u.%s", layer, name);
    return take(f, n.source, n.name, rows, columns);
}

static void take_norm(finder *f, uint32_t layer, const char *source, const char *name, size_t count)
{
    convert_tensor *t = take_in_layer(f, layer, source, name, 1, count);
    if (t != NULL && f->c->family == &family_gemma3)
        t->add = 1;
}

static void take_attention(finder *f, uint32_t layer)
{
    const convert_config *c = f->c;
    unsigned parts = c->family->layer_parts;
    size_t q = (size_t)c->heads * c->head_dim, kv = (size_t)c->kv_heads * c->head_dim;
    take_norm(f, layer, "input_layernorm.weight", "attn_norm.weight", c->width);
    if (parts & LAYER_FUSED) {
        take_in_layer(f, layer, "self_attn.qkv_proj.weight", "attn_qkv.weight", q + 2 * kv, c->width);
    } else {
        convert_tensor *turned[] = {
            take_in_layer(f, layer, "self_attn.q_proj.weight", "attn_q.weight", q, c->width),
            take_in_layer(f, layer, "self_attn.k_proj.weight", "attn_k.weight", kv, c->width),
        };
        for (size_t i = 0; i < 2 && c->family == &family_llama; i++)
            if (turned[i] != NULL)
                turned[i]->pairs = c->head_dim;
        take_in_layer(f, layer, "self_attn.v_proj.weight", "attn_v.weight", kv, c->width);
    }
    if (parts & LAYER_QKV_BIAS) {
        take_in_layer(f, layer, "self_attn.q_proj.bias", "attn_q.bias", 1, q);
        take_in_layer(f, layer, "self_attn.k_proj.bias", "attn_k.bias", 1, kv);
        take_in_layer(f, layer, "self_attn.v_proj.bias", "attn_v.bias", 1, kv);
    }
    if (parts & LAYER_QK_NORM) {
        take_norm(f, layer, "self_attn.q_norm.weight", "attn_q_norm.weight", c->head_dim);
        take_norm(f, layer, "self_attn.k_norm.weight", "attn_k_norm.weight", c->head_dim);
    }
    take_in_layer(f, layer, "self_attn.o_proj.weight", "attn_output.weight", c->width, q);
}

static void take_mlp(finder *f, uint32_t layer)
{
    const convert_config *c = f->c;
    unsigned parts = c->family->layer_parts;
    if (parts & LAYER_POST_NORMS) {
        take_norm(f, layer, "post_attention_layernorm.weight", "post_attention_norm.weight", c->width);
        take_norm(f, layer, "pre_feedforward_layernorm.weight", "ffn_norm.weight", c->width);
    } else {
        take_norm(f, layer, "post_attention_layernorm.weight", "ffn_norm.weight", c->width);
    }
    if (parts & LAYER_FUSED) {
        take_in_layer(f, layer, "mlp.gate_up_proj.weight", "ffn_up.weight", 2 * (size_t)c->ffn, c->width);
    } else {
        take_in_layer(f, layer, "mlp.gate_proj.weight", "ffn_gate.weight", c->ffn, c->width);
        take_in_layer(f, layer, "mlp.up_proj.weight", "ffn_up.weight", c->ffn, c->width);
    }
    take_in_layer(f, layer, "mlp.down_proj.weight", "ffn_down.weight", c->width, c->ffn);
    if (parts & LAYER_POST_NORMS)
        take_norm(f, layer, "post_feedforward_layernorm.weight", "post_ffw_norm.weight", c->width);
}

/* What training or tying left behind. */
static bool may_be_left(const finder *f, const char *name)
{
    const char *end = strstr(name, ".rotary_emb.inv_freq");
    return (end != NULL && end[strlen(".rotary_emb.inv_freq")] == '\0') ||
           (f->c->head == HEAD_TIED && strcmp(name, "lm_head.weight") == 0);
}

static void check_all_used(finder *f)
{
    const safetensors *files = f->list->files;
    for (size_t i = 0; i < safetensors_count(files) && f->status == MOTE_OK; i++) {
        const safetensors_tensor *t = safetensors_at(files, i);
        if (!f->used[i] && !may_be_left(f, t->name))
            f->status =
                fail(f->error, MOTE_E_UNSUPPORTED,
                     "%s: tensor %s has no place in a %s model as mote knows them, and would be left out; choose "
                     "another model",
                     safetensors_file_name(files, t), t->name, f->c->family->name);
    }
}

static void take_all(finder *f)
{
    const convert_config *c = f->c;
    const safetensors *files = f->list->files;
    char name[128];
    f->prefix = safetensors_find(files, "embed_tokens.weight") != NULL ? "" : "model.";
    snprintf(name, sizeof name, "%sembed_tokens.weight", f->prefix);
    const safetensors_tensor *embedding = safetensors_find(files, name);
    if (f->format == NULL && embedding != NULL && embedding->format != NULL)
        f->format = embedding->format;
    take(f, name, "token_embd.weight", c->vocabulary, c->width);
    take_values(f, c->rope_factors_short != NULL ? "rope_factors_long.weight" : "rope_freqs.weight", c->rope_factors);
    take_values(f, "rope_factors_short.weight", c->rope_factors_short);
    for (uint32_t layer = 0; layer < c->layers && f->status == MOTE_OK; layer++) {
        take_attention(f, layer);
        take_mlp(f, layer);
    }
    snprintf(name, sizeof name, "%snorm.weight", f->prefix);
    convert_tensor *norm = take(f, name, "output_norm.weight", 1, c->width);
    if (norm != NULL && c->family == &family_gemma3)
        norm->add = 1;
    bool has_head = safetensors_find(files, "lm_head.weight") != NULL;
    if (c->head == HEAD_OWN || (c->head == HEAD_UNSAID && has_head))
        take(f, "lm_head.weight", "output.weight", c->vocabulary, c->width);
    check_all_used(f);
}

mote_status convert_tensors_find(convert_tensors *tensors, const convert_config *config, const safetensors *files,
                                 const quant_format *format, mote_error *error)
{
    size_t most = (size_t)config->layers * MOST_OF_A_LAYER + OUTSIDE_LAYERS; /* no more than 1024 layers */
    *tensors = (convert_tensors){.files = files, .at = calloc(most, sizeof *tensors->at)};
    finder f = {.list = tensors, .c = config, .format = format, .error = error};
    f.used = calloc(safetensors_count(files) + 1, 1);
    if (tensors->at == NULL || f.used == NULL)
        f.status = fail_memory(error, most * sizeof *tensors->at, "a list of tensors");
    else
        take_all(&f);
    free(f.used);
    return f.status;
}

void convert_tensors_free(convert_tensors *tensors)
{
    free(tensors->at);
    *tensors = (convert_tensors){0};
}

void convert_tensors_declare(const convert_tensors *tensors, gguf_output *out)
{
    for (size_t i = 0; i < tensors->count; i++) {
        const convert_tensor *t = &tensors->at[i];
        gguf_output_tensor(out, t->name, t->format, t->rows > 1 ? 2 : 1, (size_t[]){t->columns, t->rows});
    }
}

/* ------------------------------------------------------------------------------------------------------------ writing */

typedef struct writer {
    const convert_tensors *tensors;
    gguf_output *out;
    unsigned char *raw; /* of `room` values, as read or as written */
    float *values;
    size_t room;
    uint64_t done;
    bool (*progress)(void *user, double done);
    void *user;
    mote_error *error;
} writer;

/* Row `row` of the file is that row of the source. */
static size_t source_row(const convert_tensor *t, size_t row)
{
    size_t d = t->pairs;
    return d == 0 ? row : row / d * d + row % d / 2 + row % 2 * (d / 2);
}

static mote_status read_rows(const writer *w, const convert_tensor *t, size_t from, size_t rows)
{
    size_t bytes = t->columns * t->source->format->bytes;
    if (t->pairs == 0)
        return safetensors_read(w->tensors->files, t->source, from * bytes, w->raw, rows * bytes, w->error);
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < rows && status == MOTE_OK; i++)
        status = safetensors_read(w->tensors->files, t->source, source_row(t, from + i) * bytes, w->raw + i * bytes,
                                  bytes, w->error);
    return status;
}

/* Infinities and NaN are wrong in any model; so is a number that only became one in 16 bits. */
static mote_status check_values(const writer *w, const convert_tensor *t, size_t count)
{
    float most =
        t->format == &quant_format_F16 ? 65519.996f : 3.4028235e38f; /* the next larger one rounds to infinity */
    unsigned beyond = 0, odd = 0;
    for (size_t i = 0; i < count; i++) {
        float size = fabsf(w->values[i]);
        beyond |= size > most;
        odd |= !(size <= 0x1.fffffep127f);
    }
    if (odd)
        return fail(w->error, MOTE_E_FORMAT, "%s: tensor %s holds a value that is no number; fetch the folder again",
                    safetensors_file_name(w->tensors->files, t->source), t->source->name);
    if (beyond)
        return fail(w->error, MOTE_E_LIMIT,
                    "%s: tensor %s holds a value past the largest of %s; convert with --type f32",
                    safetensors_file_name(w->tensors->files, t->source), t->source->name, t->format->name);
    return MOTE_OK;
}

static mote_status emit(writer *w, const void *bytes, size_t count)
{
    mote_status status = gguf_output_data(w->out, bytes, count, w->error);
    w->done += count;
    double done = (double)w->done / (double)gguf_output_data_bytes(w->out);
    if (status == MOTE_OK && w->progress != NULL && !w->progress(w->user, done))
        status = fail(w->error, MOTE_E_CANCELLED, "cancelled; nothing is written");
    return status;
}

static mote_status write_rows(writer *w, const convert_tensor *t, size_t from, size_t rows)
{
    size_t count = rows * t->columns;
    mote_status status = read_rows(w, t, from, rows);
    if (status != MOTE_OK)
        return status;
    t->source->format->decode(w->raw, w->values, count);
    if (t->add != 0)
        for (size_t i = 0; i < count; i++)
            w->values[i] += t->add;
    if ((status = check_values(w, t, count)))
        return status;
    quant_encoder_of(t->format->type)(w->values, NULL, w->raw, count);
    return emit(w, w->raw, count * t->format->bytes);
}

static mote_status write_tensor(writer *w, const convert_tensor *t)
{
    if (t->source == NULL)
        return emit(w, t->values, t->columns * sizeof *t->values);
    mote_status status = MOTE_OK;
    size_t rows = larger(w->room / t->columns, 1);
    for (size_t row = 0; row < t->rows && status == MOTE_OK; row += rows)
        status = write_rows(w, t, row, smaller(rows, t->rows - row));
    return status;
}

mote_status convert_tensors_write(const convert_tensors *tensors, gguf_output *out,
                                  bool (*progress)(void *user, double done), void *user, mote_error *error)
{
    writer w = {
        .tensors = tensors, .out = out, .room = PIECE_VALUES, .progress = progress, .user = user, .error = error};
    for (size_t i = 0; i < tensors->count; i++) /* the longest row is one of 2^20 values, or of all heads */
        w.room = larger(w.room, tensors->at[i].columns);
    w.raw = malloc(w.room * sizeof(float));
    w.values = malloc(w.room * sizeof(float));
    mote_status status = MOTE_OK;
    if (w.raw == NULL || w.values == NULL)
        status = fail_memory(error, 2 * w.room * sizeof(float), "a piece of a tensor");
    for (size_t i = 0; i < tensors->count && status == MOTE_OK; i++)
        status = write_tensor(&w, &tensors->at[i]);
    free(w.raw);
    free(w.values);
    return status;
}
