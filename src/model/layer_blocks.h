/* The blocks that families compose a layer from. Each works on all tokens of the pass's batch, over its threads. */
#ifndef MOTE_MODEL_LAYER_BLOCKS_H
#define MOTE_MODEL_LAYER_BLOCKS_H

#include "model/forward.h"

/* What the next products read, h, = norm(x) */
void block_norm(forward *pass, const float *gain);

/* qkv = W h (+ bias): from three matrices or the fused one. */
void block_qkv(forward *pass, const layer_weights *w);

/* Normalises every query and key head on its own where the layer has norms for them, rotates queries and keys, appends
 * keys and values to the cache, and attends: attn = attention(qkv, cache). */
void block_attend(forward *pass, const layer_weights *w, uint32_t index);

/* The memory it needs: of the pass, and of each thread. */
void attention_lay_out(forward *pass, size_t largest, uint32_t context, arena *memory);
size_t attention_scratch_bytes(const model_config *config);

/* x += W attn */
void block_attn_output(forward *pass, const layer_weights *w);

/* gate_up = act(W_gate h) × (W_up h): the first half of each row, or int8. */
typedef enum activation { ACTIVATION_SILU, ACTIVATION_GELU } activation;
void block_gate_up(forward *pass, const layer_weights *w, activation act);

/* x += W gate_up */
void block_down(forward *pass, const layer_weights *w);

/* The two above with a norm in between: x += norm(W …). */
void block_attn_output_normed(forward *pass, const layer_weights *w);
void block_down_normed(forward *pass, const layer_weights *w);

/* The layer of Llama, which others share: norm, attention, norm, MLP, each added to the residual stream. */
void llama_layer(forward *pass, const layer_weights *w, uint32_t index);

#endif
