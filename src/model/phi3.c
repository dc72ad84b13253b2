/* Phi-3 and Phi-4-mini (Abdin et al. 2024, 2025): fused projections, part of each head rotates, and LongRoPE (Ding et al.
 * 2024): one set of factors for sessions up to the original context, another for longer ones. */
#include "model/layer_blocks.h"

static mote_status configure(model_config *config, const gguf *file, mote_error *error)
{
    uint32_t window = 0;
    mote_status status;
    config->rope_original_context = config->context; /* where the file does not say */
    if ((status = gguf_get_u32(file, "phi3.attention.sliding_window", 0, UINT32_MAX, &window, error)) ||
        (status = gguf_get_u32(file, "phi3.rope.scaling.original_context_length", 1, UINT32_MAX,
                               &config->rope_original_context, error)) ||
        (status =
             gguf_get_f32(file, "phi3.rope.scaling.attn_factor", 0.01f, 100, &config->rope_attention_factor, error)))
        return status;
    if (window != 0 && window < config->context) { /* where there is one, every layer slides */
        config->window = window;
        config->window_period = config->layers + 1;
    }
    return MOTE_OK;
}

const model_family family_phi3 = {
    .name = "phi3", .layer_parts = LAYER_FUSED, .configure = configure, .layer = llama_layer};
