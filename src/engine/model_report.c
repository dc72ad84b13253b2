/* What a model's file says: description, metadata, the list of weights and their decoded values. */
#include <stdlib.h>

#include "base/checked.h"
#include "engine/model_handle.h"

/* About this many values are decoded at a time. */
enum { DECODE_VALUES = 1 << 16 };

/* The tokenizer of a packed file lies among the tensors and is no weight. NULL: there is none. */
static const gguf_tensor *tokenizer_tensor(const gguf *file)
{
    const gguf_tensor *found = gguf_find_tensor(file, GGUF_TOKENIZER_TENSOR);
    return found == NULL || gguf_is_weight(found) ? NULL : found;
}

static size_t weight_count(const gguf *file)
{
    return gguf_tensor_count(file) - (tokenizer_tensor(file) != NULL);
}

void mote_model_describe(const mote_model *m, mote_model_info *info)
{
    const model_config *c = &m->config;
    uint32_t ids = c->vocabulary;
    if (ids == 0 && m->tokenizer != NULL)
        ids = (uint32_t)tokenizer_size(m->tokenizer);
    *info = (mote_model_info){
        .name = m->name,
        .description = m->description,
        .license = m->license,
        .architecture = m->architecture,
        .tokenizer = m->tokenizer != NULL ? tokenizer_describe(m->tokenizer) : "",
        .chat_format = chat_format_name(m->chat),
        .types = m->types,
        .parameters = m->parameters,
        .file_bytes = gguf_file_bytes(m->file),
        .weight_bytes = m->weight_bytes,
        .layers = c->layers,
        .width = c->width,
        .ffn = c->ffn,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .vocabulary = ids,
        .context = c->context,
        .window = c->window,
        .metadata_count = gguf_entry_count(m->file),
        .weight_count = weight_count(m->file),
    };
}

mote_status mote_model_metadata(const mote_model *m, size_t index, const char **key, const char **type, char *value,
                                size_t capacity)
{
    if (index >= gguf_entry_count(m->file))
        return MOTE_E_ARGUMENT;
    const gguf_entry *entry = gguf_entry_at(m->file, index);
    *key = entry->key;
    *type = gguf_entry_type_name(entry);
    if (capacity > 0)
        gguf_entry_text(entry, value, capacity);
    return MOTE_OK;
}

mote_status mote_model_weight(const mote_model *m, size_t index, mote_weight_info *info)
{
    if (index >= weight_count(m->file))
        return MOTE_E_ARGUMENT;
    const gguf_tensor *skipped = tokenizer_tensor(m->file);
    const gguf_tensor *tensor = gguf_tensor_at(m->file, index + (skipped != NULL && index >= skipped->index));
    *info = (mote_weight_info){
        .name = tensor->name,
        .type = gguf_tensor_type_name(tensor),
        .dimensions = tensor->dimensions,
        .bytes = tensor->bytes,
    };
    for (int i = 0; i < 4; i++)
        info->shape[i] = tensor->shape[i];
    return MOTE_OK;
}

/* Row by row, or if rows are short as many at a time as there is room for. */
static mote_status decode_all(const gguf *file, const gguf_tensor *tensor, float *values, size_t room,
                              bool (*sink)(void *user, const float *values, size_t count), void *user,
                              mote_error *error)
{
    weight w = {.format = tensor->format,
                .packed = tensor->packed,
                .data = tensor->data,
                .rows = tensor->elements / tensor->shape[0],
                .columns = tensor->shape[0]};
    for (size_t row = 0; row < w.rows;) {
        size_t rows = room / w.columns < w.rows - row ? room / w.columns : w.rows - row;
        for (size_t i = 0; i < rows; i++)
            weight_row(&w, row + i, values + i * w.columns);
        mote_status status = gguf_check(file, error);
        if (status != MOTE_OK)
            return status;
        if (!sink(user, values, rows * w.columns))
            return fail(error, MOTE_E_CANCELLED, "decoding %s was stopped", tensor->name);
        row += rows;
    }
    return MOTE_OK;
}

mote_status mote_model_dequantize(const mote_model *m, const char *name,
                                  bool (*sink)(void *user, const float *values, size_t count), void *user,
                                  mote_error *error)
{
    const gguf_tensor *tensor = gguf_find_tensor(m->file, name);
    if (tensor == NULL)
        return fail(error, MOTE_E_ARGUMENT, "%s: there is no tensor %s; `mote info --weights` lists them",
                    gguf_name(m->file), name);
    if (tensor->format == NULL)
        return fail(error, MOTE_E_UNSUPPORTED, "%s: tensor %s is of type %s, which mote does not decode",
                    gguf_name(m->file), name, gguf_tensor_type_name(tensor));
    size_t room = tensor->shape[0] > DECODE_VALUES ? tensor->shape[0] : DECODE_VALUES, bytes;
    float *values = checked_mul(room, sizeof *values, &bytes) ? malloc(bytes) : NULL;
    if (values == NULL)
        return fail_memory(error, room, "decoded values");
    mote_status status = decode_all(m->file, tensor, values, room, sink, user, error);
    free(values);
    return status;
}
