/* A model: its shape, its weights in the mapped file, and how its family composes a layer. Immutable after loading. */
#ifndef MOTE_MODEL_MODEL_H
#define MOTE_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "format/gguf.h"
#include "kernel/matmul.h"

struct forward; /* forward.h */

typedef struct model_config {
    uint32_t layers;
    uint32_t width;    /* of the residual stream */
    uint32_t ffn;      /* inner width of the MLP */
    uint32_t heads;    /* of queries */
    uint32_t kv_heads; /* of keys and values; heads is a multiple (GQA, Ainslie et al. 2023) */
    uint32_t head_dim;
    uint32_t vocabulary; /* rows of the embedding */
    uint32_t context;    /* the longest trained for */
    float norm_epsilon;
    float embedding_scale;
    float attention_scale; /* of q · k */

    /* Sliding windows: a layer with (index + 1) % window_period ≠ 0 sees the last `window` positions. 0: none does. */
    uint32_t window;
    uint32_t window_period;

    /* Rotary embedding: the first rope_dims of each head turn, in pairs (2i, 2i + 1) or (i, i + rope_dims / 2). */
    uint32_t rope_dims;
    bool rope_in_pairs;
    float rope_base;
    float rope_base_window;         /* of sliding-window layers; 0: they turn like the others */
    float rope_scale;               /* positions of the other layers are divided by this */
    float rope_attention_factor;    /* LongRoPE: multiplies cosine and sine */
    uint32_t rope_original_context; /* LongRoPE: a session longer than this uses the long factors; 0: no factors */
} model_config;

/* Vectors are decoded to float at loading; matrices stay in the file. Shapes are [rows][columns]. */
typedef struct layer_weights {
    float *attn_norm;      /* [width] */
    weight q;              /* [heads × head_dim][width] */
    weight k;              /* [kv_heads × head_dim][width] */
    weight v;              /* [kv_heads × head_dim][width] */
    weight qkv;            /* the three above each other, instead of them */
    float *q_bias;         /* [heads × head_dim] or NULL */
    float *k_bias;         /* [kv_heads × head_dim] or NULL */
    float *v_bias;         /* [kv_heads × head_dim] or NULL */
    float *q_norm;         /* [head_dim] or NULL */
    float *k_norm;         /* [head_dim] or NULL */
    weight attn_output;    /* [width][heads × head_dim] */
    float *post_attn_norm; /* [width] or NULL */
    float *ffn_norm;       /* [width] */
    weight gate;           /* [ffn][width] */
    weight up;             /* [ffn][width] */
    weight gate_up;        /* the two above each other, instead of them */
    weight down;           /* [width][ffn] */
    float *post_ffn_norm;  /* [width] or NULL */
} layer_weights;

/* What a family's layers hold beside the common weights. */
enum {
    LAYER_FUSED = 1, /* qkv in one matrix, gate and up in one */
    LAYER_QKV_BIAS = 2,
    LAYER_QK_NORM = 4,
    LAYER_POST_NORMS = 8
};

typedef struct model_family {
    const char *name; /* general.architecture */
    unsigned layer_parts;
    /* Sets what differs from the common configuration. May be NULL. */
    mote_status (*configure)(model_config *config, const gguf *file, mote_error *error);
    /* Adds layer `index` to the residual stream. */
    void (*layer)(struct forward *pass, const layer_weights *w, uint32_t index);
} model_family;

extern const model_family family_llama, family_qwen2, family_qwen3, family_gemma3, family_phi3;

typedef struct model {
    const gguf *file;
    const model_family *family;
    model_config config;
    weight embedding;          /* [vocabulary][width] */
    weight head;               /* [vocabulary][width]; the embedding where tied */
    float *output_norm;        /* [width] */
    float *rope_factors;       /* [rope_dims / 2]: angles are divided by them; NULL: none */
    float *rope_factors_short; /* LongRoPE, for sessions up to rope_original_context; both NULL: none */
    float *rope_factors_long;
    layer_weights *layer; /* [layers] */
    arena memory;         /* holds `layer` and every float array above */
    arena packed;         /* holds the weights that were packed at loading */
} model;

/* Reads shape and weights from a file that stays open as long as the model. Nothing is copied but norms, biases and rope
 * factors. Errors: UNSUPPORTED (family, weight type), FORMAT (a key or weight that is missing or of a wrong shape), MEMORY. */
mote_status model_load(model *out, const gguf *file, mote_error *error);
void model_unload(model *model);

/* The same without looking at a single value of the file's tensors: shapes, formats and sizes are those that the model
 * would have, `packed.size` among them if it `packs`; vectors and rope factors hold zeros. To plan with, not to run. */
mote_status model_outline(model *out, const gguf *file, bool packs, mote_error *error);
void model_outline_pack(model *model);

/* Puts the weights whose format has a packed layout into memory in that layout (panels.h), one after the other, and lets
 * go of their pages of the file behind it, so that there are never two copies of much. A model whose weights are packed in
 * the file is left as it is. `progress` (NULL is fine) hears the part done; false stops with CANCELLED.
 * Errors: MEMORY, CANCELLED. */
mote_status model_pack(model *model, thread_pool *pool, bool (*progress)(void *user, double done), void *user,
                       mote_error *error);

/* Would that do anything? */
bool model_is_packable(model *model);

/* The bytes a weight has once it is packed; 0: it is packed already, or its format has no packed layout. */
size_t model_packed_bytes(const weight *w);

/* Packs a piece of such a weight from `offset` of its packed bytes on, where the piece before ended; lets go of the pages
 * of the file behind it. Returns the bytes of the piece, which are no more than model_piece_bytes. */
size_t model_pack_piece(const model *model, const weight *w, size_t offset, void *to, thread_pool *pool);
size_t model_piece_bytes(const weight *w);

/* The most of the file that such a piece is made of. */
size_t model_piece_source_bytes(model *model);

/* Every weight the model has, the embedding and the head among them: index < model_weight_count. */
size_t model_weight_count(const model *model);
weight *model_weight_at(model *model, size_t index);

/* The family of a file, or NULL. */
const model_family *model_family_find(const gguf *file);

/* The shape alone, for a file whose weights are not needed. */
mote_status model_read_config(model_config *config, const model_family *family, const gguf *file, mote_error *error);

static inline bool model_layer_slides(const model_config *config, uint32_t index)
{
    return config->window != 0 && (index + 1) % config->window_period != 0;
}

#endif
