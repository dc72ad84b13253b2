/* Where a forward pass finds the KV cache. The engine allocates it; layers write and read it through this view.
 *
 * A layer keeps, for each sequence and KV head, a ring of `cells` rows of head_dim values; position p lies in row
 * p mod cells. A layer that sees the whole context has as many cells as the context has positions, so its ring never
 * turns; a sliding-window layer has room for its window and one batch.
 *
 *     keys:  sequence 0 ┬ head 0: [row 0][row 1] … [row cells−1]
 *                       └ head 1: …
 *            sequence 1 …
 */
#ifndef MOTE_MODEL_KV_VIEW_H
#define MOTE_MODEL_KV_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/kernels.h"

typedef struct kv_layer {
    unsigned char *keys;
    unsigned char *values;
    size_t cells;
} kv_layer;

typedef struct kv_view {
    const attention_kernel *kernel;
    kv_layer *layer; /* [layers] */
    size_t kv_heads;
    size_t row_bytes; /* head_dim × kernel->value_bytes */
} kv_view;

/* Byte offset of the first row of a ring. */
static inline size_t kv_ring(const kv_view *kv, const kv_layer *layer, size_t sequence, size_t head)
{
    return (sequence * kv->kv_heads + head) * layer->cells * kv->row_bytes;
}

#endif
