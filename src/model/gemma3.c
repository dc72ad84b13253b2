/* Gemma 3, text (Gemma Team 2025): five sliding-window layers to one that sees the whole context, each kind with its own
 * rope base; norms after attention and MLP as well as before; embeddings scaled by √width. */
#include "model/layer_blocks.h"

#include <math.h>

static mote_status configure(model_config *config, const gguf *file, mote_error *error)
{
    config->embedding_scale = sqrtf((float)config->width);
    config->window_period = 6;
    config->rope_base_window = 10000;
    mote_status status;
    if ((status = gguf_need_u32(file, "gemma3.attention.sliding_window", 1, 1 << 20, &config->window, error)) ||
        (status =
             gguf_get_u32(file, "gemma3.attention.sliding_window_pattern", 1, 1024, &config->window_period, error)) ||
        (status = gguf_get_f32(file, "gemma3.rope.freq_base_swa", 1, 1e12f, &config->rope_base_window, error)))
        return status;
    return MOTE_OK;
}

static void layer(forward *pass, const layer_weights *w, uint32_t index)
{
    block_norm(pass, w->attn_norm);
    block_qkv(pass, w);
    block_attend(pass, w, index);
    block_attn_output_normed(pass, w);
    block_norm(pass, w->ffn_norm);
    block_gate_up(pass, w, ACTIVATION_GELU);
    block_down_normed(pass, w);
}

const model_family family_gemma3 = {
    .name = "gemma3", .layer_parts = LAYER_QK_NORM | LAYER_POST_NORMS, .configure = configure, .layer = layer};
