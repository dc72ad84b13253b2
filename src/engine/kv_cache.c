/* Sizes and lays out the KV cache. */
#include "engine/kv_cache.h"

#include "base/checked.h"

static size_t ceiling(size_t count, size_t of)
{
    return (count + of - 1) / of;
}

/* Pages that so many neighbouring positions can touch, wherever they begin. */
static size_t pages_touched(size_t positions)
{
    return (positions + ATTENTION_CHUNK - 2) / ATTENTION_CHUNK + 1;
}

/* Keys, or values, of a layer: `pages` pages of all heads. */
static unsigned char *take_pages(const kv_view *view, size_t pages, size_t block_bytes, arena *memory)
{
    size_t head_bytes = 0; /* 4 GiB for the longest context of the widest heads in float: past a 32-bit size */
    memory->overflowed |= !checked_mul(view->page_blocks * pages, block_bytes, &head_bytes);
    return memory->overflowed ? NULL : arena_take(memory, view->kv_heads, head_bytes);
}

void kv_cache_lay_out(kv_cache *kv, const model_config *config, const kernel_table *kernels, const kv_shape *shape,
                      arena *memory)
{
    const attention_kernels *attention = &kernels->attention;
    size_t chunks = ceiling(shape->context, ATTENTION_CHUNK), blocks = ceiling(shape->context, KV_BLOCK);
    size_t window_pages = config->window == 0 ? 0 : pages_touched((size_t)config->window + shape->batch - 1);
    window_pages = window_pages < chunks ? window_pages : chunks;
    *kv = (kv_cache){.window = config->window, .window_cells = window_pages * ATTENTION_CHUNK};
    kv->view = (kv_view){
        .kernels = {attention->keys[shape->keys], attention->values[shape->values], attention->softmax},
        .key_type = shape->keys,
        .value_type = shape->values,
        .kv_heads = config->kv_heads,
        .head_dim = config->head_dim,
        .key_block_bytes = kv_block_bytes(shape->keys, config->head_dim),
        .value_block_bytes = kv_block_bytes(shape->values, config->head_dim),
        .page_blocks = chunks > 1 ? ATTENTION_CHUNK / KV_BLOCK : blocks,
        .chunks = chunks,
    };
    kv->view.layer = arena_take(memory, config->layers, sizeof(kv_layer));
    for (uint32_t i = 0; i < config->layers; i++) {
        kv_layer layer = {.slides = model_layer_slides(config, i)};
        size_t pages = shape->sessions * (layer.slides ? window_pages : chunks);
        layer.keys = take_pages(&kv->view, pages, kv->view.key_block_bytes, memory);
        layer.values = take_pages(&kv->view, pages, kv->view.value_block_bytes, memory);
        if (kv->view.layer != NULL)
            kv->view.layer[i] = layer;
    }
    for (size_t kind = 0; kind < 2; kind++)
        kv->view.table[kind] = kv->table[kind] = arena_take(memory, shape->sessions * chunks, sizeof(uint32_t));
}

void kv_cache_prepare(kv_cache *kv, uint32_t sessions)
{
    size_t chunks = kv->view.chunks, window_pages = kv->window_cells / ATTENTION_CHUNK;
    for (size_t s = 0; s < sessions; s++)
        for (size_t chunk = 0; chunk < chunks; chunk++) {
            kv->table[0][s * chunks + chunk] = (uint32_t)(s * chunks + chunk);
            if (window_pages > 0)
                kv->table[1][s * chunks + chunk] = (uint32_t)(s * window_pages + chunk % window_pages);
        }
}

bool kv_cache_holds(const kv_cache *kv, size_t length, size_t high)
{
    if (kv->window == 0)
        return true;
    /* The next token, at position `length`, sees from length − window + 1; position p was overwritten by p + cells. */
    size_t first = length + 1 > kv->window ? length + 1 - kv->window : 0;
    size_t first_page = first / ATTENTION_CHUNK * ATTENTION_CHUNK;
    return high <= first_page + kv->window_cells;
}
