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
    ALIGNMENT = 64,        /* a cache line */
    CHUNK_BYTES = 8 << 20, /* packed, then written */
};

typedef struct packer {
    const mote_pack_options *options;
    mote_model *source;
    gguf_output *out;
    thread_pool *pool;
    unsigned char *chunk;
    bool *is_matrix; /* [tensors] */
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
    p->is_matrix = calloc(count + 1, sizeof *p->is_matrix);
    if (p->is_matrix == NULL)
        return fail_memory(p->error, count, "packing a model");
    for (size_t i = 0; i < count; i++) {
        const gguf_tensor *tensor = gguf_tensor_at(m->file, i);
        for (size_t j = 0; j < model_weight_count(m) && !p->is_matrix[i]; j++)
            p->is_matrix[i] =
                model_weight_at(m, j)->data == tensor->data && panel_layout_of(tensor->format->type) != NULL;
    }
    return MOTE_OK;
}

static size_t panel_count(const gguf_tensor *tensor)
{
    return panels_for(tensor->shape[1]);
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
    for (size_t i = 0; i < gguf_entry_count(file); i++) {
        const gguf_entry *entry = gguf_entry_at(file, i);
        bool layout = strcmp(entry->key, "general.alignment") == 0 || strncmp(entry->key, "split.", 6) == 0;
        if (!layout && !(p->source->tokenizer != NULL && is_in_image(entry->key)))
            gguf_output_copy(p->out, entry);
    }
    mote_status status = declare_arrays(p);
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        if (p->is_matrix[i])
            gguf_output_bytes(p->out, tensor->name,
                              panel_count(tensor) *
                                  panel_bytes(panel_layout_of(tensor->format->type), tensor->shape[0]));
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
        return fail(p->error, MOTE_E_CANCELLED, "packing was cancelled");
    return status;
}

typedef struct chunk_loop {
    const gguf_tensor *tensor;
    size_t first; /* panel */
    unsigned char *to;
} chunk_loop;

static void pack_panels(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const chunk_loop *loop = context;
    const gguf_tensor *t = loop->tensor;
    const panel_layout *layout = panel_layout_of(t->format->type);
    size_t row_bytes = t->shape[0] / t->format->block * t->format->bytes, bytes = panel_bytes(layout, t->shape[0]);
    for (size_t i = begin; i < end; i++) {
        size_t row = (loop->first + i) * PANEL_ROWS;
        size_t rows = t->shape[1] - row < PANEL_ROWS ? t->shape[1] - row : PANEL_ROWS;
        panel_pack(layout, (const unsigned char *)t->data + row * row_bytes, rows, t->shape[0], loop->to + i * bytes);
    }
}

static mote_status write_matrix(packer *p, const gguf_tensor *tensor)
{
    size_t bytes = panel_bytes(panel_layout_of(tensor->format->type), tensor->shape[0]);
    size_t at_once = CHUNK_BYTES / bytes > 0 ? CHUNK_BYTES / bytes : 1, panels = panel_count(tensor);
    if (bytes > CHUNK_BYTES)
        return fail(p->error, MOTE_E_LIMIT, "%s: tensor %s has rows of %zu values, too long to be packed",
                    gguf_name(p->source->file), tensor->name, tensor->shape[0]);
    mote_status status = MOTE_OK;
    for (size_t first = 0; first < panels && status == MOTE_OK; first += at_once) {
        size_t count = panels - first < at_once ? panels - first : at_once;
        chunk_loop loop = {tensor, first, p->chunk};
        thread_pool_for(p->pool, count, 4, pack_panels, &loop);
        status = write(p, p->chunk, count * bytes);
    }
    gguf_let_go(p->source->file, tensor->data, tensor->bytes);
    return status;
}

static mote_status write_all(packer *p)
{
    const gguf *file = p->source->file;
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < gguf_tensor_count(file) && status == MOTE_OK; i++) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        status = p->is_matrix[i] ? write_matrix(p, tensor) : write(p, tensor->data, tensor->bytes);
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
    p->chunk = malloc(CHUNK_BYTES);
    if (p->chunk == NULL)
        return fail_memory(p->error, CHUNK_BYTES, "packing a model");
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
    free(p.is_matrix);
    free(p.chunk);
    mote_model_close(p.source);
    return status;
}
