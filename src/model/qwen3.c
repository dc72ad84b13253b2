/* Qwen3 (Yang et al. 2025): every query and key head is normalised before it turns. */
#include "model/layer_blocks.h"

static void layer(forward *pass, const layer_weights *w, uint32_t index)
{
    block_norm(pass, w->attn_norm);
    block_qkv(pass, w);
    block_attend(pass, w, index);
    block_attn_output(pass, w);
    block_norm(pass, w->ffn_norm);
    block_gate_up(pass, w, ACTIVATION_SILU);
    block_down(pass, w);
}

const model_family family_qwen3 = {.name = "qwen3", .layer_parts = LAYER_QK_NORM, .layer = layer};
