/* The published shapes of the models mote is measured with: what is needed to make a file that loads and costs as theirs
 * does, without their weights. */
#ifndef MOTE_MODEL_MODEL_SHAPES_H
#define MOTE_MODEL_MODEL_SHAPES_H

#include "model/model.h"

/* Whose tokens a model reads. */
typedef enum shape_vocabulary {
    VOCABULARY_SMOLLM2,
    VOCABULARY_QWEN2,
    VOCABULARY_QWEN3,
    VOCABULARY_GEMMA3,
    VOCABULARY_PHI4
} shape_vocabulary;

/* All of them have tied embeddings: the head is the embedding. */
typedef struct model_shape {
    const char *name;      /* "qwen3-0.6b" */
    const char *published; /* "Qwen3-0.6B" */
    const model_family *family;
    shape_vocabulary vocabulary;
    uint32_t layers;
    uint32_t width;
    uint32_t ffn;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_dim;
    uint32_t tokens;
    uint32_t context;
    uint32_t window; /* of sliding-window layers; 0: none */
    uint32_t rope_dims;
    uint32_t long_rope_from; /* LongRoPE: the original context; 0: none */
    float rope_base;
    float norm_epsilon;
} model_shape;

/* In the order of a list for people; NULL past the last. */
const model_shape *model_shape_at(size_t index);
const model_shape *model_shape_find(const char *name); /* NULL: there is none */

#endif
