/* Llama (Touvron et al. 2023; Llama 3.2 with its rope factors), and SmolLM2, which shares its shape. */
#include "model/layer_blocks.h"

/* GGUF files store the rows of q and k so that rotation pairs neighbours. */
static mote_status configure(model_config *config, const gguf *file, mote_error *error)
{
    (void)file, (void)error;
    config->rope_in_pairs = true;
    return MOTE_OK;
}

void llama_layer(forward *pass, const layer_weights *w, uint32_t index)
{
    block_norm(pass, w->attn_norm);
    block_qkv(pass, w);
    block_attend(pass, w, index);
    block_attn_output(pass, w);
    block_norm(pass, w->ffn_norm);
    block_gate_up(pass, w, ACTIVATION_SILU);
    block_down(pass, w);
}

const model_family family_llama = {.name = "llama", .layer_parts = 0, .configure = configure, .layer = llama_layer};
