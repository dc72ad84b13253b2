/* Qwen2 and Qwen2.5 (Yang et al. 2024): biases on queries, keys and values. */
#include "model/layer_blocks.h"

const model_family family_qwen2 = {.name = "qwen2", .layer_parts = LAYER_QKV_BIAS, .layer = llama_layer};
