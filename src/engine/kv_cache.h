/* The KV cache of an engine: pages of keys and values for every layer (model/kv_view.h draws them), which session has which,
 * and the rule how far a session can go back.
 *
 * Layers that see the whole context have a page for every chunk of it. Sliding-window layers have pages for window + batch − 1
 * positions wherever those begin, and use them in turn: the cells of a batch are all written before its first token attends,
 * and none of the positions that token still sees may be among those overwritten. */
#ifndef MOTE_ENGINE_KV_CACHE_H
#define MOTE_ENGINE_KV_CACHE_H

#include "base/arena.h"
#include "model/kv_view.h"
#include "model/model.h"

/* What a cache is made for. */
typedef struct kv_shape {
    kv_type keys;
    kv_type values;
    uint32_t sessions;
    uint32_t context;
    uint32_t batch;
} kv_shape;

typedef struct kv_cache {
    kv_view view;
    uint32_t *table[2];  /* the view's */
    size_t window;       /* of sliding layers; 0: there are none */
    size_t window_cells; /* positions a session's pages of sliding layers hold */
} kv_cache;

void kv_cache_lay_out(kv_cache *kv, const model_config *config, const kernel_table *kernels, const kv_shape *shape,
                      arena *memory);

/* Once the memory is there. */
void kv_cache_prepare(kv_cache *kv, uint32_t sessions);

/* A session whose cells were written up to position `high` (exclusive) wants to continue from `length`: are all the
 * positions that its next token sees still there? */
bool kv_cache_holds(const kv_cache *kv, size_t length, size_t high);

#endif
