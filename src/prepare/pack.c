/* Packing a model file: the weights in the layout of the kernels, the tokenizer's tables finished, and everything else as
 * it was, so that opening it is mapping it.
 *
 * The container stays GGUF (format/gguf_panels.c says how packed weights look in it). What is written follows from the
 * source alone, so the same model gives the same bytes, from any number of threads. */
#include <stdlib.h>

#include "base/cpu_features.h"
#include "engine/model_handle.h"
#include "format/gguf_output.h"
#include "quant/panels.h"

enum {
    ALIGNMENT = 64, /* a cache line */
};

typedef struct packer {
    const mote_pack_options *options;
    mote_model *source;
    gguf_output *out;
    thread_pool *pool;
    const weight **matrix; /* [tensors]: NULL where the tensor stays as it is */
    void *piece;           /* packed, then written */
    size_t piece_bytes;
    size_t written;
    mote_error *error;
} packer;

void mote_pack_options_init(mote_pack_options *options)
{
    *options = (mote_pack_options){0};
}

/* The strings that the tokenizer's image stands for. */
static bool is_in_image(const char *key)
{
    static const char *const keys[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
                                       "tokenizer.ggml.scores"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

/* Weights that are multiplied with, and have a layout to be multiplied fast. */
static mote_status find_matrices(packer *p)
{
    model *m = &p->source->weights;
    size_t count = gguf_tensor_count(m->file);
    p->matrix = calloc(count + 1, sizeof *p->matrix);
    if (p->matrix == NULL)
        return fail_memory(p->error, count * sizeof *p->matrix, "packing a model");
    for (size_t j = 0; j < model_weight_count(m); j++) {
        const weight *w = model_weight_at(m, j);
        for (size_t i = 0; model_packed_bytes(w) > 0 && i < count; i++)
            if (gguf_tensor_at(m->file, i)->data == w->data)
                p->matrix[i] = w;
        if (model_packed_bytes(w) > 0 && model_piece_bytes(w) > p->piece_bytes)
            p->piece_bytes = model_piece_bytes(w);
    }
    p->piece = malloc(p->piece_bytes + 1);
    return p->piece != NULL ? MOTE_OK : fail_memory(p->error, p->piece_bytes, "packing a model");
}

static mote_status declare_arrays(packer *p)
{
    const gguf *file = p->source->file;
    size_t count = gguf_tensor_count(file) + (p->source->tokenizer != NULL);
    uint32_t *types = calloc(count, sizeof *types);
    uint64_t *columns = calloc(count, sizeof *columns), *rows = calloc(count, sizeof *rows);
    bool enough = types != NULL && columns != NULL && rows != NULL;
    for (size_t i = 0; enough && i < gguf_tensor_count(file); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        types[i] = tensor->type;
        columns[i] = tensor->shape[0];
        rows[i] = tensor->elements / tensor->shape[0];
    }
    if (enough && count > gguf_tensor_count(file))
        types[count - 1] = GGUF_TENSOR_I8;
    if (enough) {
        gguf_output_u32(p->out, GGUF_PANELS_VERSION, PANEL_LAYOUT_VERSION);
        gguf_output_numbers(p->out, GGUF_PANELS_TYPES, GGUF_U32, count, types);
        gguf_output_numbers(p->out, GGUF_PANELS_COLUMNS, GGUF_U64, count, columns);
        gguf_output_numbers(p->out, GGUF_PANELS_ROWS, GGUF_U64, count, rows);
    }
    free(types);
    free(columns);
    free(rows);
    return enough ? MOTE_OK : fail_memory(p->error, count, "packing a model");
}

static mote_status declare(packer *p)
{
    const gguf *file = p->source->file;
    gguf_output_copy(p->out, file, p->source->tokenizer != NULL ? is_in_image : NULL);
    mote_status status = declare_arrays(p);
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        if (p->matrix[i] != NULL)
            gguf_output_bytes(p->out, tensor->name, model_packed_bytes(p->matrix[i]));
        else
            gguf_output_tensor(p->out, tensor->name, tensor->format, tensor->dimensions, tensor->shape);
    }
    size_t size = 0;
    if (p->source->tokenizer != NULL && tokenizer_image(p->source->tokenizer, &size) != NULL)
        gguf_output_bytes(p->out, GGUF_TOKENIZER_TENSOR, size);
    return status == MOTE_OK ? gguf_output_begin(p->out, p->error) : status;
}

static mote_status write(packer *p, const void *bytes, size_t count)
{
    mote_status status = gguf_output_data(p->out, bytes, count, p->error);
    p->written += count;
    double done = (double)p->written / (double)gguf_output_data_bytes(p->out);
    if (status == MOTE_OK && p->options->progress != NULL && !p->options->progress(p->options->user, done))
        return fail(p->error, MOTE_E_CANCELLED, "cancelled; nothing is written");
    return status;
}

static mote_status write_matrix(packer *p, const weight *w)
{
    mote_status status = MOTE_OK;
    for (size_t at = 0, count = 0; at < model_packed_bytes(w) && status == MOTE_OK; at += count) {
        count = model_pack_piece(&p->source->weights, w, at, p->piece, p->pool);
        status = write(p, p->piece, count);
    }
    return status;
}

static mote_status write_all(packer *p)
{
    const gguf *file = p->source->file;
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < gguf_tensor_count(file) && status == MOTE_OK; i++) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        status = p->matrix[i] != NULL ? write_matrix(p, p->matrix[i]) : write(p, tensor->data, tensor->bytes);
        if (status == MOTE_OK)
            status = gguf_check(file, p->error);
    }
    size_t size = 0;
    const void *image = p->source->tokenizer != NULL ? tokenizer_image(p->source->tokenizer, &size) : NULL;
    if (status == MOTE_OK && image != NULL)
        status = write(p, image, size);
    return status;
}

static mote_status pack_to(packer *p, const char *path)
{
    uint32_t threads = p->options->threads != 0 ? p->options->threads : cpu_count();
    mote_status status;
    if ((status = find_matrices(p)) ||
        (status = thread_pool_open(&p->pool, threads < THREAD_POOL_MOST ? threads : THREAD_POOL_MOST, p->error)) ||
        (status = gguf_output_open(&p->out, path, ALIGNMENT, p->options->overwrite, p->error)) ||
        (status = declare(p)) || (status = write_all(p)))
        return status;
    return gguf_output_finish(p->out, p->error);
}

mote_status mote_pack(const char *from, const char *to, const mote_pack_options *options, mote_error *error)
{
    const mote_pack_options defaults = {0};
    packer p = {.options = options != NULL ? options : &defaults, .error = error};
    mote_status status = model_handle_open_unpacked(&p.source, from, error);
    if (status == MOTE_OK && gguf_has(p.source->file, GGUF_PANELS_VERSION))
        status = fail(error, MOTE_E_ARGUMENT, "%s: is packed already; use it as it is", gguf_name(p.source->file));
    if (status == MOTE_OK)
        status = pack_to(&p, to);
    gguf_output_close(p.out);
    thread_pool_close(p.pool);
    free(p.matrix);
    free(p.piece);
    mote_model_close(p.source);
    return status;
}
