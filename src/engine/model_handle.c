/* Opening and closing models. */
#include "engine/model_handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu_features.h"

/* models/builtin_model.S puts the file between these. */
extern const unsigned char mote_builtin_model_begin[], mote_builtin_model_end[];

enum { LONGEST_TEXT = 4096, SMALL_MODEL = 16 << 20 };

void mote_model_options_init(mote_model_options *options)
{
    *options = (mote_model_options){0};
}

/* A string of the metadata as C text; "" if there is none. NULL: no memory. */
static char *copy_text(const gguf *file, const char *key)
{
    gguf_string text = {"", 0};
    if (gguf_get_string(file, key, &text, NULL) != MOTE_OK)
        text.length = 0;
    return strndup(text.at, text.length < LONGEST_TEXT ? text.length : LONGEST_TEXT);
}

typedef struct type_share {
    const char *name;
    uint64_t bytes;
} type_share;

static int by_bytes(const void *a, const void *b)
{
    uint64_t x = ((const type_share *)a)->bytes, y = ((const type_share *)b)->bytes;
    return (x < y) - (x > y);
}

/* "Q4_0 62%, Q8_0 37%, F32 1%" */
static void describe_types(mote_model *m)
{
    type_share share[KERNEL_FORMATS] = {{0}};
    size_t kinds = 0;
    for (size_t i = 0; i < gguf_tensor_count(m->file); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(m->file, i);
        if (!gguf_is_weight(tensor))
            continue;
        m->parameters += tensor->elements;
        m->weight_bytes += tensor->bytes;
        const char *name = gguf_tensor_type_name(tensor);
        size_t k = 0;
        while (k < kinds && strcmp(share[k].name, name) != 0)
            k++;
        if (k == KERNEL_FORMATS)
            continue;
        share[k].name = name;
        share[k].bytes += tensor->bytes;
        kinds = k == kinds ? kinds + 1 : kinds;
    }
    qsort(share, kinds, sizeof *share, by_bytes);
    size_t length = 0;
    for (size_t k = 0; k < kinds && length < sizeof m->types; k++) {
        double percent = m->weight_bytes == 0 ? 0 : 100.0 * (double)share[k].bytes / (double)m->weight_bytes;
        int written = snprintf(m->types + length, sizeof m->types - length, "%s%s %.*f%%", k == 0 ? "" : ", ",
                               share[k].name, percent < 1 ? 1 : 0, percent);
        length += written > 0 ? (size_t)written : 0;
    }
}

static mote_status open_file(mote_model *m, const char *path, const mote_model_options *options, mote_error *error)
{
    if (path != NULL)
        return gguf_open(&m->file, path, error);
    if (options->data != NULL)
        return gguf_open_memory(&m->file, options->data, options->size, "the file in memory", error);
    size_t size = (size_t)(mote_builtin_model_end - mote_builtin_model_begin);
    return gguf_open_memory(&m->file, mote_builtin_model_begin, size, "the built-in model", error);
}

/* A file whose tokenizer mote lacks can still run on ids: the reason is kept for whoever asks for text. */
static mote_status open_tokenizer(mote_model *m, mote_parts parts, mote_error *error)
{
    m->tokenizer_bytes = tokenizer_bytes(m->file);
    mote_status status = tokenizer_open(&m->tokenizer, m->file, &m->no_tokenizer);
    if (m->tokenizer_bytes > 0)
        gguf_let_go_all(m->file); /* the strings that it was built of */
    if (status == MOTE_OK) {
        m->chat = chat_format_detect(m->file, m->tokenizer);
        return MOTE_OK;
    }
    bool the_file_is_why = status != MOTE_E_MEMORY && status != MOTE_E_IO;
    if ((parts == MOTE_PARTS_DIRECTORY && the_file_is_why) || (parts == MOTE_PARTS_ALL && status == MOTE_E_UNSUPPORTED))
        return MOTE_OK;
    return fail(error, status, "%s", m->no_tokenizer.text);
}

/* A pool of its own, for the moment of packing; a small model is packed before threads would have started. */
static mote_status pack_weights(mote_model *m, const mote_model_options *options, mote_error *error)
{
    thread_pool *pool;
    uint32_t threads = m->weight_bytes < SMALL_MODEL ? 1 : THREAD_POOL_MOST; /* of which it takes one a processor */
    mote_status status = thread_pool_open(&pool, threads, error);
    if (status == MOTE_E_LIMIT)
        status = thread_pool_open(&pool, 1, error);
    if (status != MOTE_OK)
        return status;
    status = model_pack(&m->weights, pool, options->progress, options->user, error);
    thread_pool_close(pool);
    return status;
}

static mote_status open_weights(mote_model *m, const mote_model_options *options, mote_error *error)
{
    if (options->parts != MOTE_PARTS_ALL) {
        const model_family *family = model_family_find(m->file);
        if (family == NULL || model_read_config(&m->config, family, m->file, NULL) != MOTE_OK)
            m->config = (model_config){0};
        return MOTE_OK;
    }
    mote_status status = model_load(&m->weights, m->file, error);
    if (status != MOTE_OK)
        return status;
    m->loaded = true;
    m->config = m->weights.config;
    if (!m->keep_unpacked && model_is_packable(&m->weights) && (status = pack_weights(m, options, error)))
        return status;
    if (m->tokenizer != NULL && tokenizer_size(m->tokenizer) > m->config.vocabulary)
        return fail(error, MOTE_E_FORMAT, "%s: %zu tokens but embeddings for %u; the file is damaged",
                    gguf_name(m->file), tokenizer_size(m->tokenizer), m->config.vocabulary);
    return MOTE_OK;
}

static mote_status open_outline(mote_model *m, mote_error *error)
{
    m->tokenizer_bytes = tokenizer_bytes(m->file);
    mote_status status = model_outline(&m->weights, m->file, !m->keep_unpacked, error);
    m->loaded = status == MOTE_OK;
    m->config = m->weights.config;
    return status == MOTE_OK ? gguf_check(m->file, error) : status;
}

static mote_status open_parts(mote_model *m, const char *path, const mote_model_options *options, mote_error *error)
{
    m->before = memory_in_use("");
    mote_status status = open_file(m, path, options, error);
    if (status != MOTE_OK || m->outline)
        return status != MOTE_OK ? status : open_outline(m, error);
    m->name = copy_text(m->file, "general.name");
    m->description = copy_text(m->file, "general.description");
    m->license = copy_text(m->file, "general.license");
    m->architecture = copy_text(m->file, "general.architecture");
    if (m->name == NULL || m->description == NULL || m->license == NULL || m->architecture == NULL)
        return fail_memory(error, LONGEST_TEXT, "a model's texts");
    describe_types(m);
    if ((status = open_tokenizer(m, options->parts, error)) || (status = open_weights(m, options, error)))
        return status;
    if (options->parts == MOTE_PARTS_ALL && options->progress != NULL && m->weights.packed.size == 0 &&
        (status = gguf_read_ahead(m->file, options->progress, options->user, error)))
        return status;
    m->own_when_loaded = memory_own("");
    return gguf_check(m->file, error);
}

typedef enum open_as { AS_MODEL, AS_UNPACKED, AS_OUTLINE } open_as;

static mote_status open_model(mote_model **out, const char *path, const mote_model_options *options, open_as as,
                              mote_error *error)
{
    *out = NULL;
    uint32_t features;
    if (path != NULL && options->data != NULL)
        return fail(error, MOTE_E_ARGUMENT, "a path and a file in memory are both given; give one");
    mote_status status = cpu_features_choose(&features, options->cpu, error);
    if (status != MOTE_OK)
        return status;
    mote_model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return fail_memory(error, sizeof *m, "a model");
    atomic_init(&m->references, 1);
    m->keep_unpacked = as == AS_UNPACKED;
    m->outline = as == AS_OUTLINE;
    m->features = features;
    m->callers_memory = options->data != NULL;
    m->built_in = path == NULL && options->data == NULL;
    status = open_parts(m, path, options, error);
    if (status != MOTE_OK) {
        mote_model_close(m);
        return status;
    }
    *out = m;
    return MOTE_OK;
}

mote_status mote_model_open(mote_model **out, const char *path, const mote_model_options *options, mote_error *error)
{
    const mote_model_options defaults = {0};
    return open_model(out, path, options != NULL ? options : &defaults, AS_MODEL, error);
}

mote_status model_handle_open_unpacked(mote_model **out, const char *path, mote_error *error)
{
    const mote_model_options defaults = {0};
    return open_model(out, path, &defaults, AS_UNPACKED, error);
}

mote_status model_handle_open_outline(mote_model **out, const char *path, const mote_model_options *options,
                                      mote_error *error)
{
    const mote_model_options defaults = {0};
    return open_model(out, path, options != NULL ? options : &defaults, AS_OUTLINE, error);
}

void model_handle_retain(mote_model *m)
{
    atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
}

void mote_model_close(mote_model *m)
{
    if (m == NULL || atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) != 1)
        return;
    if (m->loaded)
        model_unload(&m->weights);
    tokenizer_close(m->tokenizer);
    gguf_close(m->file);
    free(m->name);
    free(m->description);
    free(m->license);
    free(m->architecture);
    free(m);
}
