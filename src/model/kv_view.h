/* Where a forward pass finds the KV cache. The engine allocates it; layers write and read it through this view.
 *
 * A layer keeps a ring of positions for each sequence and KV head (kernel/attention_kernels.h draws one). A layer that sees
 * the whole context has a cell for each of its positions, so its ring never turns; a sliding-window layer has room for its
 * window and one batch. Both are rounded up to whole blocks.
 *
 *     keys:  sequence 0 ┬ head 0: [block 0][block 1] …
 *                       └ head 1: …
 *            sequence 1 … */
#ifndef MOTE_MODEL_KV_VIEW_H
#define MOTE_MODEL_KV_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/kernels.h"

typedef struct kv_layer {
    unsigned char *keys;
    unsigned char *values;
    size_t blocks;
} kv_layer;

typedef struct kv_view {
    const attention_kernel *kernel;
    kv_layer *layer; /* [layers] */
    size_t kv_heads;
    size_t head_dim;
    size_t block_bytes; /* kv_block_bytes of the type */
} kv_view;

static inline kv_ring kv_view_ring(const kv_view *kv, const kv_layer *layer, size_t sequence, size_t head)
{
    size_t at = (sequence * kv->kv_heads + head) * layer->blocks * kv->block_bytes;
    return (kv_ring){layer->keys + at, layer->values + at, layer->blocks, kv->head_dim};
}

#endif
