/* Sizes and lays out the KV cache; pages as memory. */
#include "engine/kv_cache.h"

#include <string.h>

#include "base/checked.h"
#include "base/sizes.h"

enum { KEPT_PER_SESSION = 4, MOST_KEPT = 1024 }; /* sequences that are remembered */

static size_t ceiling(size_t count, size_t of)
{
    return (count + of - 1) / of;
}

static uint32_t clamp_u32(uint64_t count, uint64_t most)
{
    return (uint32_t)(count < most ? count : most);
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

/* Bytes of a page in all layers of a kind. */
static size_t page_bytes(const kv_cache *kv, const model_config *config, uint32_t kind)
{
    const kv_view *view = &kv->view;
    size_t layers = 0;
    for (uint32_t i = 0; i < config->layers; i++)
        layers += model_layer_slides(config, i) == (kind == KV_SLIDING);
    return layers * view->kv_heads * view->page_blocks * (view->key_block_bytes + view->value_block_bytes);
}

/* How many pages each kind has. The bytes for earlier sequences are shared out as if each of them filled half of a context
 * and could go on where it ended: pages for its positions, and for one window. */
static void count_pages(kv_cache *kv, const model_config *config, const kv_shape *shape)
{
    size_t chunks = kv->view.chunks, needed[KV_KINDS] = {chunks, 0}, kept[KV_KINDS] = {(chunks + 1) / 2, 0};
    size_t spare[KV_KINDS] = {0, 0};
    if (kv->window != 0) {
        needed[KV_SLIDING] = smaller(pages_touched(kv->window + shape->batch - 1), chunks);
        kept[KV_SLIDING] = smaller(pages_touched(kv->window), chunks);
        spare[KV_SLIDING] = shape->spare_window ? kept[KV_SLIDING] : 0;
    }
    uint64_t kept_bytes = 0;
    for (uint32_t kind = 0; kind < KV_KINDS; kind++) {
        kv->pool[kind].page_bytes = page_bytes(kv, config, kind);
        kept_bytes += (uint64_t)kept[kind] * kv->pool[kind].page_bytes;
    }
    for (uint32_t kind = 0; kind < kv->kinds; kind++) {
        double share = kept_bytes == 0 ? 0 : (double)shape->prefix_bytes / (double)kept_bytes * (double)kept[kind];
        uint64_t more = share < 1e9 ? (uint64_t)share : 1000000000;
        kv->pool[kind].pages = clamp_u32(shape->sessions * (uint64_t)needed[kind] + spare[kind] + more, KV_NO_PAGE - 1);
        kv->prefix_bytes += more * kv->pool[kind].page_bytes;
    }
}

static void lay_out_books(kv_cache *kv, const kv_shape *shape, arena *memory)
{
    size_t chunks = kv->view.chunks;
    uint64_t kept = (uint64_t)KEPT_PER_SESSION * shape->sessions + kv->pool[KV_WHOLE].pages / 2;
    kv->sessions = shape->sessions;
    kv->sequences = shape->sessions + (shape->forgetful ? 0 : clamp_u32(kept, MOST_KEPT));
    kv->sequence = arena_take(memory, kv->sequences, sizeof *kv->sequence);
    kv->ids = arena_take(memory, kv->pool[KV_WHOLE].pages, kv->page_positions * sizeof *kv->ids);
    for (uint32_t kind = 0; kind < kv->kinds; kind++) {
        kv_pool *pool = &kv->pool[kind];
        pool->holders = arena_take(memory, pool->pages, sizeof *pool->holders);
        pool->filled = arena_take(memory, pool->pages, sizeof *pool->filled);
        pool->free = arena_take(memory, pool->pages, sizeof *pool->free);
        kv->view.table[kind] = kv->table[kind] = arena_take(memory, kv->sequences, chunks * sizeof(uint32_t));
    }
    if (kv->kinds == KV_KINDS)
        kv->pool[KV_SLIDING].worth = arena_take(memory, kv->pool[KV_SLIDING].pages, sizeof(uint64_t));
}

void kv_cache_lay_out(kv_cache *kv, const model_config *config, const kernel_table *kernels, const kv_shape *shape,
                      arena *memory)
{
    const attention_kernels *attention = &kernels->attention;
    size_t chunks = ceiling(shape->context, ATTENTION_CHUNK), blocks = ceiling(shape->context, KV_BLOCK);
    *kv = (kv_cache){.window = config->window,
                     .layers = config->layers,
                     .kinds = config->window != 0 ? KV_KINDS : 1,
                     .memory = memory};
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
    kv->page_positions = kv->view.page_blocks * KV_BLOCK;
    count_pages(kv, config, shape);
    kv->view.layer = arena_take(memory, config->layers, sizeof(kv_layer));
    for (uint32_t i = 0; i < config->layers; i++) {
        kv_layer layer = {.slides = model_layer_slides(config, i)};
        size_t pages = kv->pool[layer.slides].pages;
        layer.keys = take_pages(&kv->view, pages, kv->view.key_block_bytes, memory);
        layer.values = take_pages(&kv->view, pages, kv->view.value_block_bytes, memory);
        if (kv->view.layer != NULL)
            kv->view.layer[i] = layer;
    }
    lay_out_books(kv, shape, memory);
}

void kv_cache_prepare(kv_cache *kv)
{
    for (uint32_t kind = 0; kind < kv->kinds; kind++) {
        kv_pool *pool = &kv->pool[kind];
        memset(kv->table[kind], 0xff, kv->sequences * kv->view.chunks * sizeof(uint32_t)); /* KV_NO_PAGE */
        for (uint32_t i = 0; i < pool->pages; i++)
            pool->free[i] = pool->pages - 1 - i;
        pool->free_count = pool->pages;
    }
}

uint32_t kv_page_take(kv_pool *pool)
{
    uint32_t page = pool->free[--pool->free_count];
    pool->holders[page] = 1;
    return page;
}

void kv_page_hold(kv_pool *pool, uint32_t page)
{
    pool->holders[page]++;
}

void kv_page_release(kv_pool *pool, uint32_t page)
{
    if (--pool->holders[page] == 0)
        pool->free[pool->free_count++] = page; /* pages that were touched are taken again before others */
}

size_t kv_page_segments(const kv_cache *kv, uint32_t kind)
{
    size_t layers = 0;
    for (size_t i = 0; i < kv->layers; i++)
        layers += kv->view.layer[i].slides == (kind == KV_SLIDING);
    return layers * 2 * kv->view.kv_heads;
}

/* The layer that comes `index`th among those of a kind. */
static const kv_layer *layer_of_kind(const kv_cache *kv, uint32_t kind, size_t index)
{
    const kv_layer *layer = kv->view.layer;
    while (layer->slides != (kind == KV_SLIDING) || index-- > 0)
        layer++;
    return layer;
}

kv_segment kv_page_segment(const kv_cache *kv, uint32_t kind, uint32_t page, size_t positions, size_t index)
{
    const kv_view *view = &kv->view;
    const kv_layer *layer = layer_of_kind(kv, kind, index / (2 * view->kv_heads));
    size_t head = index % view->kv_heads, blocks = (page * view->kv_heads + head) * view->page_blocks;
    bool values = index / view->kv_heads % 2 == 1;
    size_t bytes = values ? view->value_block_bytes : view->key_block_bytes;
    return (kv_segment){(values ? layer->values : layer->keys) + blocks * bytes, ceiling(positions, KV_BLOCK) * bytes};
}

void kv_page_join(const kv_cache *kv, uint32_t kind, uint32_t page)
{
    const kv_view *view = &kv->view;
    size_t blocks = view->kv_heads * view->page_blocks;
    size_t key_bytes = blocks * view->key_block_bytes, value_bytes = blocks * view->value_block_bytes;
    for (size_t i = 0; i < kv->layers; i++) {
        const kv_layer *layer = &view->layer[i];
        if (layer->slides != (kind == KV_SLIDING))
            continue;
        arena_join_pages(kv->memory, layer->keys + page * key_bytes, key_bytes);
        arena_join_pages(kv->memory, layer->values + page * value_bytes, value_bytes);
    }
}

void kv_page_copy(kv_cache *kv, uint32_t kind, uint32_t to, uint32_t from, size_t positions)
{
    size_t segments = kv_page_segments(kv, kind), ids = kv->page_positions;
    for (size_t i = 0; i < segments; i++) {
        kv_segment source = kv_page_segment(kv, kind, from, positions, i);
        memcpy(kv_page_segment(kv, kind, to, positions, i).at, source.at, source.size);
    }
    if (kind == KV_WHOLE)
        memcpy(kv->ids + to * ids, kv->ids + from * ids, positions * sizeof *kv->ids);
}
