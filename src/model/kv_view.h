/* Where a forward pass finds the KV cache. The engine allocates it; layers write and read it through this view.
 *
 * The cache is pages of ATTENTION_CHUNK positions (kernel/attention_kernels.h draws what is in one). A page number stands for a
 * place in every layer of its kind, and there are two kinds: layers that see the whole context, and sliding ones. A sequence
 * has a table of page numbers for each kind, by position ÷ ATTENTION_CHUNK:
 *
 *     table[kind]   sequence 0: [page][page][page] … sequence 1: …
 *     layer keys    page 0 ┬ head 0: [block 0][block 1] …       the same for its values
 *                          └ head 1: …
 *                   page 1 …
 */
#ifndef MOTE_MODEL_KV_VIEW_H
#define MOTE_MODEL_KV_VIEW_H

#include "kernel/kernels.h"

typedef struct kv_layer {
    unsigned char *keys;
    unsigned char *values;
    bool slides;
} kv_layer;

typedef struct kv_view {
    attention_choice kernels;
    kv_type key_type;
    kv_type value_type;
    size_t kv_heads;
    size_t head_dim;
    size_t key_block_bytes;
    size_t value_block_bytes;
    size_t page_blocks;       /* of a page: all of a chunk's, or fewer where the context is shorter than a chunk */
    kv_layer *layer;          /* [layers] */
    const uint32_t *table[2]; /* [sequences × chunks], of whole layers and of sliding ones */
    size_t chunks;            /* of a sequence's table */
} kv_view;

static inline kv_page kv_view_page(const kv_view *kv, const kv_layer *layer, size_t sequence, size_t head, size_t chunk)
{
    size_t page = kv->table[layer->slides][sequence * kv->chunks + chunk];
    size_t blocks = (page * kv->kv_heads + head) * kv->page_blocks;
    return (kv_page){layer->keys + blocks * kv->key_block_bytes, layer->values + blocks * kv->value_block_bytes};
}

#endif
