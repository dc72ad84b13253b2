/* The KV cache of an engine: rings of keys and values for every layer, session and KV head (model/kv_view.h draws them),
 * and the rule how far a session can go back.
 *
 * Layers that see the whole context have a cell for every position. Sliding-window layers have window + batch − 1 or, to
 * fill a block, a few more: the
 * cells of a batch are all written before its first token attends, and none of the positions that token still sees may
 * be among those overwritten. */
#ifndef MOTE_ENGINE_KV_CACHE_H
#define MOTE_ENGINE_KV_CACHE_H

#include "base/arena.h"
#include "model/kv_view.h"
#include "model/model.h"

typedef struct kv_cache {
    kv_view view;
    size_t window; /* of sliding layers; 0: there are none */
    size_t window_cells;
} kv_cache;

void kv_cache_lay_out(kv_cache *kv, const model_config *config, const kernel_table *kernels, kv_type type,
                      uint32_t sessions, uint32_t context, uint32_t batch, arena *memory);

/* A session whose cells were written up to position `high` (exclusive) wants to continue from `length`: are all the
 * positions that its next token sees still there? */
bool kv_cache_holds(const kv_cache *kv, size_t length, size_t high);

#endif
