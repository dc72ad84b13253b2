/* The KV cache of an engine: the memory of all its pages (model/kv_view.h draws them), and which are free.
 *
 * There are two pools of pages, for layers that see the whole context and for sliding ones. A page of either belongs to the
 * sequences that have it in their tables (engine/kv_sequence.h): several of them share the pages of a common beginning.
 *
 * The pools suffice for all sessions at once, whatever they hold: for each, a whole page for every chunk of its context, and
 * sliding pages for window + batch − 1 positions wherever those begin, since the cells of a batch are all written before its
 * first token attends. What sessions do not need, and what was reserved beyond, keeps earlier sequences. */
#ifndef MOTE_ENGINE_KV_CACHE_H
#define MOTE_ENGINE_KV_CACHE_H

#include "base/arena.h"
#include "model/kv_view.h"
#include "model/model.h"

enum { KV_WHOLE, KV_SLIDING, KV_KINDS };

#define KV_NO_PAGE UINT32_MAX

/* The kernels' type for one that was chosen, which AUTO is not. */
static inline kv_type kv_type_of(mote_kv_type chosen)
{
    static const kv_type types[] = {
        [MOTE_KV_F16] = KV_F16, [MOTE_KV_F32] = KV_F32, [MOTE_KV_Q8] = KV_Q8, [MOTE_KV_Q4] = KV_Q4};
    return types[chosen];
}

/* What a cache is made for. */
typedef struct kv_shape {
    kv_type keys;
    kv_type values;
    uint32_t sessions;
    uint32_t context;
    uint32_t batch;
    bool forgetful;        /* keep no earlier sequences */
    bool spare_window;     /* sliding pages for one more window, which is kept to be saved */
    uint64_t prefix_bytes; /* more pages for them, as many as fit */
} kv_shape;

typedef struct kv_pool {
    uint32_t pages;
    size_t page_bytes; /* in all layers of the kind */
    uint32_t *holders; /* [pages]: sequences that have it */
    uint16_t *filled;  /* [pages]: no holder sees a position of the page from here on, unless it is the only one */
    uint32_t *free;    /* [pages]: those without holders, the next to be taken last */
    uint32_t free_count;
    uint64_t *worth; /* [pages]: of sliding pages, while one is being let go */
} kv_pool;

/* What a session holds, or what is kept of an earlier one. */
typedef struct kv_sequence {
    size_t length;      /* positions held; 0: the place is free */
    size_t window_from; /* sliding pages before the one with this position may be let go */
    uint64_t scope;
    uint64_t used; /* when, by the cache's clock */
} kv_sequence;

typedef struct kv_cache {
    kv_view view;
    size_t window; /* of sliding layers; 0: there are none */
    size_t layers;
    uint32_t kinds;     /* of pages: 1 or 2 */
    uint32_t sessions;  /* the first sequences are those of sessions, */
    uint32_t sequences; /* the others are kept */
    size_t page_positions;
    kv_pool pool[KV_KINDS];
    uint32_t *table[KV_KINDS]; /* the view's: [sequences × chunks], KV_NO_PAGE where there is none */
    kv_sequence *sequence;     /* [sequences] */
    int32_t *ids;              /* [whole pages × page_positions]: the tokens that the positions of a page came from */
    uint64_t clock;
    uint64_t prefix_bytes; /* reserved for pages beyond those of sessions */
    const arena *memory;   /* in which all of it lies */
} kv_cache;

void kv_cache_lay_out(kv_cache *kv, const model_config *config, const kernel_table *kernels, const kv_shape *shape,
                      arena *memory);

/* Once the memory is there. */
void kv_cache_prepare(kv_cache *kv);

/* Takes a page for one holder; there is a free one. */
uint32_t kv_page_take(kv_pool *pool);
void kv_page_hold(kv_pool *pool, uint32_t page);
void kv_page_release(kv_pool *pool, uint32_t page);

/* Where the first `positions` positions of a page lie: segment `index` < kv_page_segments, in the order of layers, keys
 * before values, and heads. Whole blocks of 16 positions, so that some more may be among them. */
typedef struct kv_segment {
    unsigned char *at;
    size_t size;
} kv_segment;

size_t kv_page_segments(const kv_cache *kv, uint32_t kind);
kv_segment kv_page_segment(const kv_cache *kv, uint32_t kind, uint32_t page, size_t positions, size_t index);

/* A page is, or is about to be, full: what it fills becomes large pages. */
void kv_page_join(const kv_cache *kv, uint32_t kind, uint32_t page);

/* Copies the first `positions` positions of a page, with their ids. */
void kv_page_copy(kv_cache *kv, uint32_t kind, uint32_t to, uint32_t from, size_t positions);

#endif
