/* The shape of a model, read from its metadata and checked before anything is sized by it. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>

/* Bounds far above any model of these families; products of two of them fit a 32-bit size. */
enum {
    MOST_LAYERS = 1024,
    MOST_WIDTH = 65536,
    MOST_FFN = 1 << 20,
    MOST_HEADS = 256,
    MOST_HEAD_DIM = 1024,
    MOST_CONTEXT = 1 << 20
};

static const model_family *const families[] = {&family_llama, &family_qwen2, &family_qwen3, &family_gemma3,
                                               &family_phi3};

const model_family *model_family_find(const gguf *file)
{
    gguf_string name;
    if (!gguf_has(file, "general.architecture") || gguf_get_string(file, "general.architecture", &name, NULL))
        return NULL;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (gguf_string_is(name, families[i]->name))
            return families[i];
    return NULL;
}

/* Keys carry the architecture's name in front: "qwen3.block_count". */
typedef struct key_text {
    char text[96];
} key_text;

static key_text key_of(const model_family *family, const char *suffix)
{
    key_text key;
    snprintf(key.text, sizeof key.text, "%s.%s", family->name, suffix);
    return key;
}

#define KEY(suffix) key_of(family, suffix).text

static mote_status read_shape(model_config *c, const model_family *family, const gguf *file, mote_error *error)
{
    mote_status status;
    if ((status = gguf_need_u32(file, KEY("block_count"), 1, MOST_LAYERS, &c->layers, error)) ||
        (status = gguf_need_u32(file, KEY("embedding_length"), 1, MOST_WIDTH, &c->width, error)) ||
        (status = gguf_need_u32(file, KEY("feed_forward_length"), 1, MOST_FFN, &c->ffn, error)) ||
        (status = gguf_need_u32(file, KEY("attention.head_count"), 1, MOST_HEADS, &c->heads, error)) ||
        (status = gguf_need_u32(file, KEY("context_length"), 1, UINT32_MAX, &c->context, error)) ||
        (status = gguf_need_f32(file, KEY("attention.layer_norm_rms_epsilon"), 0, 1, &c->norm_epsilon, error)))
        return status;
    if (c->context > MOST_CONTEXT)
        c->context = MOST_CONTEXT;
    c->kv_heads = c->heads;
    c->head_dim = c->width / c->heads;
    if ((status = gguf_get_u32(file, KEY("attention.head_count_kv"), 1, c->heads, &c->kv_heads, error)) ||
        (status = gguf_get_u32(file, KEY("attention.key_length"), 1, MOST_HEAD_DIM, &c->head_dim, error)))
        return status;
    uint32_t value_length = c->head_dim;
    if ((status = gguf_get_u32(file, KEY("attention.value_length"), 1, MOST_HEAD_DIM, &value_length, error)))
        return status;
    if (c->heads % c->kv_heads != 0)
        return fail(error, MOTE_E_FORMAT, "%s: %u query heads are no multiple of %u KV heads; the file is damaged",
                    gguf_name(file), c->heads, c->kv_heads);
    if (value_length != c->head_dim || c->head_dim == 0 || c->head_dim > MOST_HEAD_DIM)
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: key length %u and value length %u; mote runs models where they are equal, at most %d",
                    gguf_name(file), c->head_dim, value_length, MOST_HEAD_DIM);
    return MOTE_OK;
}

static mote_status read_rope(model_config *c, const model_family *family, const gguf *file, mote_error *error)
{
    mote_status status;
    c->rope_dims = c->head_dim;
    c->rope_base = 10000;
    c->rope_scale = 1;
    c->rope_attention_factor = 1;
    if ((status = gguf_get_u32(file, KEY("rope.dimension_count"), 2, c->head_dim, &c->rope_dims, error)) ||
        (status = gguf_get_f32(file, KEY("rope.freq_base"), 1, 1e12f, &c->rope_base, error)))
        return status;
    if (c->rope_dims % 2 != 0)
        return fail(error, MOTE_E_FORMAT, "%s: %u rotary dimensions cannot be paired; the file is damaged",
                    gguf_name(file), c->rope_dims);
    gguf_string scaling = {"linear", 6}; /* what a factor without a type means */
    if ((status = gguf_get_string(file, KEY("rope.scaling.type"), &scaling, error)))
        return status;
    if (gguf_string_is(scaling, "linear")) {
        status = gguf_get_f32(file, KEY("rope.scaling.factor"), 0, 1e6f, &c->rope_scale, error);
        if (c->rope_scale == 0) /* some files say so where they mean none */
            c->rope_scale = 1;
        return status;
    }
    if (!gguf_string_is(scaling, "none") && !gguf_string_is(scaling, "longrope"))
        return fail(error, MOTE_E_UNSUPPORTED, "%s: %s is \"%.*s\"; mote knows none, linear and longrope",
                    gguf_name(file), KEY("rope.scaling.type"), scaling.length < 32 ? (int)scaling.length : 32,
                    scaling.at);
    return MOTE_OK;
}

mote_status model_read_config(model_config *config, const model_family *family, const gguf *file, mote_error *error)
{
    *config = (model_config){.embedding_scale = 1};
    mote_status status;
    if ((status = read_shape(config, family, file, error)) || (status = read_rope(config, family, file, error)))
        return status;
    config->attention_scale = 1 / sqrtf((float)config->head_dim);
    return family->configure == NULL ? MOTE_OK : family->configure(config, file, error);
}
