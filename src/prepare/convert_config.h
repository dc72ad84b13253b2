/* config.json of a Hugging Face folder: which of the families a model is of, and its shape, as GGUF's metadata say it. */
#ifndef MOTE_PREPARE_CONVERT_CONFIG_H
#define MOTE_PREPARE_CONVERT_CONFIG_H

#include "format/gguf_output.h"
#include "format/json.h"
#include "model/model.h"

typedef enum convert_head { HEAD_UNSAID, HEAD_TIED, HEAD_OWN } convert_head;

typedef struct convert_config {
    const model_family *family;
    uint32_t layers, width, ffn, heads, kv_heads, head_dim, context, vocabulary;
    double norm_epsilon;
    convert_head head; /* is the head the embedding? */

    uint32_t window;        /* 0: none */
    uint32_t window_period; /* Gemma 3: of so many layers, the last sees the whole context */

    uint32_t rope_dims;
    double rope_base;
    double rope_base_window; /* Gemma 3 */
    double rope_stretch;     /* linear scaling; 1: none */

    /* What angles are divided by, [rope_dims / 2]; NULL: nothing. */
    float *rope_factors;       /* Llama 3.1's, or LongRoPE's for sessions past original_context … */
    float *rope_factors_short; /* … and up to it: not NULL where there is LongRoPE */
    uint32_t original_context;
    double attention_factor;
} convert_config;

/* Free with convert_config_free, also on failure.
 * Errors: FORMAT (a value that is missing, of a wrong type or out of range: named), UNSUPPORTED (another architecture, or
 * something that mote cannot compute), MEMORY. */
mote_status convert_config_read(convert_config *config, const json *document, mote_error *error);
void convert_config_free(convert_config *config);

void convert_config_declare(const convert_config *config, gguf_output *out);

#endif
