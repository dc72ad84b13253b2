/* Making an importance matrix: a calibration text runs through the model, and of every product's inputs the squares are
 * added up, column by column. importance.h says what the file looks like. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "format/gguf_output.h"

enum {
    DEFAULT_CHUNK = 512,
    SMALLEST_CHUNK = 8,
    ALIGNMENT = 32,
    LOGITS_BYTES = 64 << 20 /* at once: they are not looked at, but the head's inputs are made with them */
};

typedef struct column_sums {
    const weight *of;
    double *sum;  /* [of->columns] */
    size_t count; /* tokens */
} column_sums;

typedef struct collector {
    const mote_imatrix_options *options;
    mote_model *model;
    mote_engine *engine;
    mote_session *session;
    mote_ids ids;
    mote_token first; /* of every chunk; -1: the text's own */
    size_t chunk;     /* tokens of a chunk */
    size_t chunks;
    size_t step; /* tokens that have room for their logits */
    float *logits;
    column_sums *sums; /* [weights] */
    size_t weights;
    mote_error *error;
} collector;

void mote_imatrix_options_init(mote_imatrix_options *options)
{
    *options = (mote_imatrix_options){0};
}

/* ---------------------------------------------------------------------------------------------------------- preparing */

static mote_status open_model(collector *c, const char *from)
{
    mote_status status;
    mote_engine_options wish;
    mote_engine_options_init(&wish);
    wish.context = c->options->chunk != 0 ? c->options->chunk : DEFAULT_CHUNK;
    wish.threads = c->options->threads;
    wish.kv_keys = wish.kv_values = MOTE_KV_F32;
    wish.forgetful = true;
    if ((status = mote_model_open(&c->model, from, NULL, c->error)))
        return status;
    if (c->options->chunk == 0 && c->model->config.context < wish.context)
        wish.context = c->model->config.context;
    if (wish.context < SMALLEST_CHUNK)
        return fail(c->error, MOTE_E_ARGUMENT, "chunks of %u tokens; choose at least %d", wish.context, SMALLEST_CHUNK);
    if ((status = mote_engine_open(&c->engine, c->model, &wish, c->error)))
        return status;
    c->chunk = wish.context;
    return mote_session_open(&c->session, c->engine, c->error);
}

static mote_status read_text(collector *c, const char *text, size_t length)
{
    mote_ids begin = {0};
    mote_status status = mote_tokenize(c->model, "", 0, MOTE_TOKENIZE_BOS, &begin, c->error);
    c->first = begin.count > 0 ? begin.at[0] : -1;
    mote_ids_free(&begin);
    if (status == MOTE_OK)
        status = mote_tokenize(c->model, text, length, MOTE_TOKENIZE_BOS, &c->ids, c->error);
    if (status != MOTE_OK)
        return status;
    c->chunks = c->ids.count / c->chunk;
    if (c->chunks == 0)
        return fail(c->error, MOTE_E_ARGUMENT, "the text has %zu tokens and a chunk %zu; give a longer text",
                    c->ids.count, c->chunk);
    if (c->options->chunks != 0 && c->chunks > c->options->chunks)
        c->chunks = c->options->chunks;
    return MOTE_OK;
}

/* The embedding is looked up, not multiplied with, unless it is the head too, which is then the weight that is seen. */
static mote_status make_sums(collector *c)
{
    model *m = &c->model->weights;
    c->weights = model_weight_count(m);
    c->sums = calloc(c->weights, sizeof *c->sums);
    size_t row = m->config.vocabulary * sizeof(float);
    c->step = row < LOGITS_BYTES ? LOGITS_BYTES / row : 1;
    c->step = c->step < c->engine->info.batch ? c->step : c->engine->info.batch;
    c->logits = malloc(c->step * row);
    if (c->sums == NULL || c->logits == NULL)
        return fail_memory(c->error, c->step * row, "a step of the calibration");
    for (size_t i = 0; i < c->weights; i++) {
        const weight *w = model_weight_at(m, i);
        c->sums[i].of = w;
        if (w->data == NULL || w == &m->embedding)
            continue;
        c->sums[i].sum = calloc(w->columns, sizeof(double));
        if (c->sums[i].sum == NULL)
            return fail_memory(c->error, w->columns * sizeof(double), "sums of squares");
    }
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ running */

static void see(void *user, const weight *w, const float *x, size_t x_stride, size_t tokens)
{
    collector *c = user;
    size_t i = 0;
    while (c->sums[i].of != w)
        i++;
    double *sum = c->sums[i].sum;
    c->sums[i].count += tokens;
    for (size_t t = 0; t < tokens; t++)
        for (size_t j = 0; j < w->columns; j++)
            sum[j] += (double)x[t * x_stride + j] * (double)x[t * x_stride + j];
}

static mote_status run_chunk(collector *c, size_t index)
{
    mote_token *ids = c->ids.at + index * c->chunk;
    mote_status status = MOTE_OK;
    if (c->first >= 0)
        ids[0] = c->first;
    mote_session_clear(c->session);
    for (size_t at = 0; at < c->chunk && status == MOTE_OK; at += c->step) {
        size_t count = c->chunk - at < c->step ? c->chunk - at : c->step;
        const mote_work work = {c->session, ids + at, count, c->logits, count};
        status = mote_engine_step(c->engine, &work, 1, c->error);
        double done = ((double)index + (double)(at + count) / (double)c->chunk) / (double)c->chunks;
        if (status == MOTE_OK && c->options->progress != NULL && !c->options->progress(c->options->user, done))
            status = fail(c->error, MOTE_E_CANCELLED, "cancelled; nothing is written");
    }
    return status;
}

static mote_status run_text(collector *c)
{
    const input_observer observer = {see, c};
    mote_status status = MOTE_OK;
    c->engine->pass.observer = &observer;
    for (size_t i = 0; i < c->chunks && status == MOTE_OK; i++)
        status = run_chunk(c, i);
    c->engine->pass.observer = NULL;
    return status;
}

/* ------------------------------------------------------------------------------------------------------------ writing */

typedef struct tensor_name {
    char text[GGUF_LONGEST_NAME + 16];
} tensor_name;

static tensor_name name_of(const column_sums *sums, const char *suffix)
{
    tensor_name name;
    snprintf(name.text, sizeof name.text, "%s%s", sums->of->name, suffix);
    return name;
}

static mote_status declare(const collector *c, gguf_output *out)
{
    const char *dataset = c->options->dataset != NULL ? c->options->dataset : "";
    gguf_output_text(out, "general.type", "imatrix");
    gguf_output_strings(out, "imatrix.datasets", 1);
    gguf_output_item(out, (gguf_string){dataset, strlen(dataset)});
    gguf_output_u32(out, "imatrix.chunk_count", (uint32_t)c->chunks);
    gguf_output_u32(out, "imatrix.chunk_size", (uint32_t)c->chunk);
    for (size_t i = 0; i < c->weights; i++) {
        if (c->sums[i].sum == NULL)
            continue;
        gguf_output_tensor(out, name_of(&c->sums[i], ".in_sum2").text, &quant_format_F32, 2,
                           (size_t[]){c->sums[i].of->columns, 1});
        gguf_output_tensor(out, name_of(&c->sums[i], ".counts").text, &quant_format_F32, 2, (size_t[]){1, 1});
    }
    return gguf_output_begin(out, c->error);
}

static mote_status write_sums(const collector *c, gguf_output *out, const column_sums *sums)
{
    mote_status status = MOTE_OK;
    for (size_t j = 0; j < sums->of->columns && status == MOTE_OK; j++) {
        float sum = (float)sums->sum[j];
        if (!isfinite(sum))
            return fail(c->error, MOTE_E_FORMAT,
                        "%s: the inputs of %s are no numbers, or too large to be squared; the model is damaged",
                        gguf_name(c->model->file), sums->of->name);
        status = gguf_output_data(out, &sum, sizeof sum, c->error);
    }
    float count = (float)sums->count;
    return status == MOTE_OK ? gguf_output_data(out, &count, sizeof count, c->error) : status;
}

static mote_status write_file(const collector *c, gguf_output *out)
{
    mote_status status = declare(c, out);
    for (size_t i = 0; i < c->weights && status == MOTE_OK; i++)
        if (c->sums[i].sum != NULL)
            status = write_sums(c, out, &c->sums[i]);
    return status == MOTE_OK ? gguf_output_finish(out, c->error) : status;
}

static void release(collector *c)
{
    for (size_t i = 0; c->sums != NULL && i < c->weights; i++)
        free(c->sums[i].sum);
    free(c->sums);
    free(c->logits);
    mote_ids_free(&c->ids);
    mote_session_close(c->session);
    mote_engine_close(c->engine);
    mote_model_close(c->model);
}

mote_status mote_imatrix(const char *from, const char *text, size_t length, const char *to,
                         const mote_imatrix_options *options, mote_error *error)
{
    const mote_imatrix_options defaults = {0};
    collector c = {.options = options != NULL ? options : &defaults, .error = error};
    gguf_output *out = NULL;
    mote_status status = open_model(&c, from);
    if (status == MOTE_OK)
        status = gguf_output_open(&out, to, ALIGNMENT, c.options->overwrite, error); /* before hours of work */
    if (status == MOTE_OK)
        status = read_text(&c, text, length);
    if (status == MOTE_OK)
        status = make_sums(&c);
    if (status == MOTE_OK)
        status = run_text(&c);
    if (status == MOTE_OK)
        status = write_file(&c, out);
    gguf_output_close(out);
    release(&c);
    return status;
}
