/* Synthetic models: the metadata of a published shape, a vocabulary, and random weights made in parallel.
 *
 *     tensor  │ chunk │ chunk │ chunk │ … │ rest │      each a whole number of blocks, at most CHUNK_BYTES
 *             └──────── a batch ──────┴──── …           filled by all threads, then written
 *
 * A chunk's random numbers begin at a number of its own, made of the seed, the tensor and its place: what comes out does
 * not depend on the threads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "prepare/synth_blocks.h"
#include "prepare/synth_plan.h"
#include "prepare/synth_vocabulary.h"
#include "text/hash_index.h"

enum { CHUNK_BYTES = 1 << 18, BATCH_CHUNKS = 64, BATCH_BYTES = CHUNK_BYTES * BATCH_CHUNKS, QUANTIZATION_VERSION = 2 };

/* ------------------------------------------------------------------------------------------------------------- names */

void mote_synth_options_init(mote_synth_options *options)
{
    *options = (mote_synth_options){0};
}

const char *mote_synth_model(size_t index)
{
    const model_shape *shape = model_shape_at(index);
    return shape != NULL ? shape->name : NULL;
}

const char *mote_synth_type(size_t index)
{
    const synth_type *type = synth_type_at(index);
    return type != NULL ? type->name : NULL;
}

/* "there is no model "x"; choose one of a, b, c" */
static mote_status fail_name(mote_error *error, const char *what, const char *name, const char *(*at)(size_t))
{
    char list[400] = "";
    for (size_t i = 0, length = 0; at(i) != NULL && length < sizeof list; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", i > 0 ? ", " : "", at(i));
    if (name == NULL)
        return fail(error, MOTE_E_ARGUMENT, "no %s is named; choose one of %s", what, list);
    return fail(error, MOTE_E_ARGUMENT, "there is no %s \"%.40s\"; choose one of %s", what, name, list);
}

typedef struct choice {
    const model_shape *shape;
    const synth_type *type;
    uint32_t layers;
} choice;

static mote_status choose(const mote_synth_options *options, choice *out, mote_error *error)
{
    const char *type = options->type != NULL ? options->type : "q4_0";
    *out = (choice){.type = synth_type_find(type)};
    if (options->model != NULL)
        out->shape = model_shape_find(options->model);
    if (out->shape == NULL)
        return fail_name(error, "model", options->model, mote_synth_model);
    if (out->type == NULL)
        return fail_name(error, "type", type, mote_synth_type);
    out->layers = options->layers != 0 ? options->layers : out->shape->layers;
    if (out->layers > out->shape->layers)
        return fail(error, MOTE_E_ARGUMENT, "%s has %u layers, not %u; ask for as many or fewer", out->shape->name,
                    out->shape->layers, out->layers);
    return MOTE_OK;
}

mote_status mote_synth_plan(const mote_synth_options *options, mote_synth_info *info, mote_error *error)
{
    choice chosen;
    synth_plan plan;
    *info = (mote_synth_info){0};
    mote_status status = choose(options, &chosen, error);
    if (status == MOTE_OK)
        status = synth_plan_make(&plan, chosen.shape, chosen.type, chosen.layers, error);
    if (status != MOTE_OK)
        return status;
    *info = (mote_synth_info){chosen.shape->name, chosen.shape->published, plan.parameters, plan.bytes, chosen.layers};
    synth_plan_free(&plan);
    return MOTE_OK;
}

/* ---------------------------------------------------------------------------------------------------------- metadata */

typedef struct key_name {
    char text[80];
} key_name;

static key_name key_for(const model_shape *shape, const char *suffix)
{
    key_name key;
    snprintf(key.text, sizeof key.text, "%s.%s", shape->family->name, suffix);
    return key;
}

static void declare_rope(gguf_output *out, const model_shape *s)
{
    gguf_output_u32(out, key_for(s, "rope.dimension_count").text, s->rope_dims);
    gguf_output_f32(out, key_for(s, "rope.freq_base").text, s->rope_base);
    if (s->window != 0)
        gguf_output_u32(out, key_for(s, "attention.sliding_window").text, s->window);
    if (s->long_rope_from != 0) { /* Ding et al. 2024, equation of the attention's temperature */
        double stretch = log((double)s->context / s->long_rope_from) / log(s->long_rope_from);
        gguf_output_u32(out, key_for(s, "rope.scaling.original_context_length").text, s->long_rope_from);
        gguf_output_f32(out, key_for(s, "rope.scaling.attn_factor").text, (float)sqrt(1 + stretch));
    }
}

static void declare_shape(gguf_output *out, const choice *chosen)
{
    char name[64];
    const model_shape *s = chosen->shape;
    const struct {
        const char *suffix;
        uint32_t value;
    } numbers[] = {
        {"block_count", chosen->layers},
        {"context_length", s->context},
        {"embedding_length", s->width},
        {"feed_forward_length", s->ffn},
        {"attention.head_count", s->heads},
        {"attention.head_count_kv", s->kv_heads},
        {"attention.key_length", s->head_dim},
        {"attention.value_length", s->head_dim},
        {"vocab_size", s->tokens},
    };
    snprintf(name, sizeof name, "%s, random weights", s->published);
    gguf_output_text(out, "general.architecture", s->family->name);
    gguf_output_text(out, "general.type", "model");
    gguf_output_text(out, "general.name", name);
    gguf_output_text(out, "general.description",
                     "The shape of a published model without its weights: it says nothing.");
    gguf_output_u32(out, "general.file_type", chosen->type->number);
    gguf_output_u32(out, "general.quantization_version", QUANTIZATION_VERSION);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        gguf_output_u32(out, key_for(s, numbers[i].suffix).text, numbers[i].value);
    gguf_output_f32(out, key_for(s, "attention.layer_norm_rms_epsilon").text, s->norm_epsilon);
    declare_rope(out, s);
}

/* ----------------------------------------------------------------------------------------------------------- weights */

typedef struct synthesis {
    gguf_output *out;
    thread_pool *pool;
    const mote_synth_options *options;
    const synth_plan *plan;
    unsigned char *batch; /* BATCH_BYTES */
    uint64_t written;     /* bytes of weights */
    mote_error *error;
} synthesis;

static mote_status emit(synthesis *s, const void *bytes, size_t count)
{
    mote_status status = gguf_output_data(s->out, bytes, count, s->error);
    s->written += count;
    if (status == MOTE_OK && s->options->progress != NULL &&
        !s->options->progress(s->options->user, (double)s->written / (double)s->plan->bytes))
        status = fail(s->error, MOTE_E_CANCELLED, "cancelled; nothing is written");
    return status;
}

typedef struct batch_fill {
    const quant_format *format;
    unsigned char *at;
    uint64_t seed;      /* of the tensor */
    size_t first_chunk; /* of the tensor's, at the batch's beginning */
    size_t chunk;       /* blocks */
    size_t blocks;      /* of the batch */
    double unit;
} batch_fill;

static void fill_chunks(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const batch_fill *f = context;
    for (size_t c = begin; c < end; c++) {
        size_t first = c * f->chunk, left = f->blocks - first;
        synth_blocks_fill(f->format, hash_mix(f->seed + f->first_chunk + c), f->unit, f->at + first * f->format->bytes,
                          left < f->chunk ? left : f->chunk);
    }
}

static mote_status write_matrix(synthesis *s, const synth_tensor *t, uint64_t seed)
{
    const quant_format *format = t->format;
    batch_fill fill = {.format = format, .at = s->batch, .seed = seed, .chunk = CHUNK_BYTES / format->bytes};
    fill.unit = 0x1p-8 / synth_blocks_deviation(format) / sqrt((double)t->columns);
    size_t blocks = t->rows * (t->columns / format->block);
    mote_status status = MOTE_OK;
    while (blocks > 0 && status == MOTE_OK) {
        fill.blocks = blocks < fill.chunk * BATCH_CHUNKS ? blocks : fill.chunk * BATCH_CHUNKS;
        thread_pool_for(s->pool, (fill.blocks + fill.chunk - 1) / fill.chunk, 1, fill_chunks, &fill);
        status = emit(s, s->batch, fill.blocks * format->bytes);
        fill.first_chunk += BATCH_CHUNKS;
        blocks -= fill.blocks;
    }
    return status;
}

/* As published factors of LongRoPE are: rising by an eighth a pair, up to what the context was stretched by. */
static float long_factor(size_t pair)
{
    float factor = 1;
    for (size_t i = 0; i < pair && factor < 32; i++)
        factor *= 1.125f;
    return factor < 32 ? factor : 32;
}

static float vector_value(synth_values values, size_t index, uint64_t *state)
{
    switch (values) {
    case SYNTH_NORM: return 1 + 0.05f * synth_normal(state);
    case SYNTH_BIAS: return 0.1f * synth_normal(state);
    case SYNTH_LONG_FACTORS: return long_factor(index);
    case SYNTH_SHORT_FACTORS:
    case SYNTH_WEIGHTS: break;
    }
    return 1;
}

static mote_status write_vector(synthesis *s, const synth_tensor *t, uint64_t seed)
{
    float *values = (float *)(void *)s->batch; /* malloc aligned it, and no vector is longer than a batch */
    for (size_t i = 0; i < t->columns; i++)
        values[i] = vector_value(t->values, i, &seed);
    return emit(s, values, t->columns * sizeof *values);
}

static mote_status write_weights(synthesis *s)
{
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < s->plan->count && status == MOTE_OK; i++) {
        const synth_tensor *t = &s->plan->tensor[i];
        uint64_t seed = hash_mix(hash_mix(s->options->seed) + i + 1);
        status = t->values == SYNTH_WEIGHTS ? write_matrix(s, t, seed) : write_vector(s, t, seed);
    }
    return status;
}

/* --------------------------------------------------------------------------------------------------------------- file */

static mote_status write_file(synthesis *s, const choice *chosen)
{
    declare_shape(s->out, chosen);
    mote_status status = synth_vocabulary_write(s->out, chosen->shape, s->error);
    for (size_t i = 0; i < s->plan->count; i++) {
        const synth_tensor *t = &s->plan->tensor[i];
        gguf_output_tensor(s->out, t->name, t->format, t->rows > 1 ? 2 : 1, (size_t[]){t->columns, t->rows});
    }
    if (status == MOTE_OK)
        status = gguf_output_begin(s->out, s->error);
    if (status == MOTE_OK)
        status = write_weights(s);
    if (status == MOTE_OK)
        status = gguf_output_finish(s->out, s->error);
    return status;
}

mote_status mote_synth(const char *path, const mote_synth_options *options, mote_error *error)
{
    choice chosen;
    synth_plan plan = {0};
    synthesis s = {.options = options, .plan = &plan, .error = error};
    uint32_t threads = options->threads != 0 ? options->threads : cpu_count();
    mote_status status = choose(options, &chosen, error);
    if (status == MOTE_OK)
        status = synth_plan_make(&plan, chosen.shape, chosen.type, chosen.layers, error);
    if (status == MOTE_OK)
        status = thread_pool_open(&s.pool, threads < THREAD_POOL_MOST ? threads : THREAD_POOL_MOST, error);
    if (status == MOTE_OK && (s.batch = malloc(BATCH_BYTES)) == NULL)
        status = fail_memory(error, BATCH_BYTES, "a batch of weights");
    if (status == MOTE_OK)
        status = gguf_output_open(&s.out, path, 32, options->overwrite, error);
    if (status == MOTE_OK)
        status = write_file(&s, &chosen);
    gguf_output_close(s.out);
    free(s.batch);
    thread_pool_close(s.pool);
    synth_plan_free(&plan);
    return status;
}
