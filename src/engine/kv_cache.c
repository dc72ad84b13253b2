/* Sizes and lays out the KV cache. */
#include "engine/kv_cache.h"

#include "base/checked.h"

static size_t blocks_of(size_t positions)
{
    return (positions + KV_BLOCK - 1) / KV_BLOCK;
}

void kv_cache_lay_out(kv_cache *kv, const model_config *config, const kernel_table *kernels, kv_type type,
                      uint32_t sessions, uint32_t context, uint32_t batch, arena *memory)
{
    *kv = (kv_cache){.window = config->window};
    kv->view.kernel = kernels->attention[type];
    kv->view.kv_heads = config->kv_heads;
    kv->view.head_dim = config->head_dim;
    kv->view.block_bytes = kv_block_bytes(type, config->head_dim);
    kv->window_cells = (size_t)config->window + batch - 1;
    if (config->window == 0 || kv->window_cells > context)
        kv->window_cells = context;

    kv->view.layer = arena_take(memory, config->layers, sizeof(kv_layer));
    for (uint32_t i = 0; i < config->layers; i++) {
        kv_layer layer = {.blocks = blocks_of(model_layer_slides(config, i) ? kv->window_cells : context)};
        size_t head_bytes; /* 4 GiB for the longest context of the widest heads in float: past a 32-bit size */
        if (!checked_mul(layer.blocks, kv->view.block_bytes, &head_bytes)) {
            memory->overflowed = true;
            return;
        }
        layer.keys = arena_take(memory, (size_t)sessions * config->kv_heads, head_bytes);
        layer.values = arena_take(memory, (size_t)sessions * config->kv_heads, head_bytes);
        if (kv->view.layer != NULL)
            kv->view.layer[i] = layer;
    }
}

bool kv_cache_holds(const kv_cache *kv, size_t length, size_t high)
{
    if (kv->window == 0)
        return true;
    /* The next token, at position `length`, sees from length − window + 1; position p was overwritten by p + cells. */
    size_t first = length + 1 > kv->window ? length + 1 - kv->window : 0;
    return high <= first + kv->window_cells;
}
