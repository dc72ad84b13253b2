/* Packing a model's weights at loading. */
#include "quant/panels.h"
#include "model/model.h"

enum { LAYER_WEIGHTS = 9, PANELS_PER_RANGE = 4, PIECE_BYTES = 4 << 20 };

/* The embedding, the head, and all of every layer, there or not. */
size_t model_weight_count(const model *m)
{
    return 2 + (size_t)m->config.layers * LAYER_WEIGHTS;
}

weight *model_weight_at(model *m, size_t index)
{
    if (index < 2)
        return index == 0 ? &m->embedding : &m->head;
    layer_weights *w = &m->layer[(index - 2) / LAYER_WEIGHTS];
    weight *all[LAYER_WEIGHTS] = {&w->q,    &w->k,  &w->v,       &w->qkv, &w->attn_output,
                                  &w->gate, &w->up, &w->gate_up, &w->down};
    return all[(index - 2) % LAYER_WEIGHTS];
}

/* A tied head is the embedding: one copy serves both. */
static bool is_packable(const model *m, const weight *w)
{
    return w->data != NULL && !w->packed && panel_layout_of(w->format->type) != NULL &&
           (w != &m->head || w->data != m->embedding.data);
}

static size_t packed_bytes(const weight *w)
{
    return panels_for(w->rows) * panel_bytes(panel_layout_of(w->format->type), w->columns);
}

typedef struct pack_loop {
    const weight *from;
    unsigned char *to;
    size_t first; /* panel of the piece */
} pack_loop;

static void pack_panels(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const pack_loop *loop = context;
    const weight *w = loop->from;
    const panel_layout *layout = panel_layout_of(w->format->type);
    size_t row_bytes = w->columns / w->format->block * w->format->bytes, bytes = panel_bytes(layout, w->columns);
    for (size_t i = loop->first + begin; i < loop->first + end; i++) {
        size_t row = i * PANEL_ROWS, rows = w->rows - row < PANEL_ROWS ? w->rows - row : PANEL_ROWS;
        panel_pack(layout, (const unsigned char *)w->data + row * row_bytes, rows, w->columns, loop->to + i * bytes);
    }
}

/* A piece of the weight at a time, so that little of it is there twice. */
static void pack_weight(model *m, weight *w, thread_pool *pool)
{
    bool tied = m->head.data == m->embedding.data && w == &m->embedding;
    size_t row_bytes = w->columns / w->format->block * w->format->bytes, panels = panels_for(w->rows);
    size_t at_once = PIECE_BYTES / (PANEL_ROWS * row_bytes) + 1;
    unsigned char *to = arena_take(&m->packed, packed_bytes(w), 1);
    for (size_t first = 0; first < panels; first += at_once) {
        pack_loop loop = {w, to, first};
        size_t count = panels - first < at_once ? panels - first : at_once;
        thread_pool_for(pool, count, PANELS_PER_RANGE, pack_panels, &loop);
        gguf_let_go(m->file, (const unsigned char *)w->data + first * PANEL_ROWS * row_bytes,
                    count * PANEL_ROWS * row_bytes);
    }
    w->data = to;
    w->packed = true;
    if (tied)
        m->head = *w;
}

mote_status model_pack(model *m, thread_pool *pool, bool (*progress)(void *user, double done), void *user,
                       mote_error *error)
{
    arena plan = {0};
    for (size_t i = 0; i < model_weight_count(m); i++)
        if (is_packable(m, model_weight_at(m, i)))
            arena_take(&plan, packed_bytes(model_weight_at(m, i)), 1);
    if (plan.overflowed || !arena_allocate(&m->packed, plan.used))
        return fail(error, MOTE_E_MEMORY,
                    "%s: no memory for its %zu MiB of weights, packed; free some, or pack the file once (mote pack)",
                    gguf_name(m->file), plan.used >> 20);
    arena_use_huge_pages(&m->packed);
    for (size_t i = 0; i < model_weight_count(m); i++) {
        weight *w = model_weight_at(m, i);
        if (!is_packable(m, w))
            continue;
        pack_weight(m, w, pool);
        if (progress != NULL && !progress(user, (double)m->packed.used / (double)plan.used))
            return fail(error, MOTE_E_CANCELLED, "loading was cancelled");
    }
    return MOTE_OK;
}
