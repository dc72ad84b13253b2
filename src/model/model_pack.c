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

size_t model_packed_bytes(const weight *w)
{
    size_t bytes;
    const panel_layout *layout = w->data == NULL || w->packed ? NULL : panel_layout_of(w->format->type);
    return layout != NULL && panels_bytes(layout, w->rows, w->columns, &bytes) ? bytes : 0;
}

static size_t panels_in_piece(size_t panel)
{
    return panel < PIECE_BYTES ? PIECE_BYTES / panel : 1;
}

size_t model_piece_bytes(const weight *w)
{
    size_t panel = panel_bytes(panel_layout_of(w->format->type), w->columns);
    return panels_in_piece(panel) * panel;
}

typedef struct pack_loop {
    const weight *from;
    size_t first; /* panel of the piece */
    unsigned char *to;
} pack_loop;

static void pack_panels(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const pack_loop *loop = context;
    const weight *w = loop->from;
    const panel_layout *layout = panel_layout_of(w->format->type);
    size_t row_bytes = w->columns / w->format->block * w->format->bytes, bytes = panel_bytes(layout, w->columns);
    for (size_t i = begin; i < end; i++) {
        size_t row = (loop->first + i) * PANEL_ROWS, rows = w->rows - row < PANEL_ROWS ? w->rows - row : PANEL_ROWS;
        panel_pack(layout, (const unsigned char *)w->data + row * row_bytes, rows, w->columns, loop->to + i * bytes);
    }
}

size_t model_pack_piece(const model *m, const weight *w, size_t offset, void *to, thread_pool *pool)
{
    size_t panel = panel_bytes(panel_layout_of(w->format->type), w->columns), panels = panels_for(w->rows);
    size_t row_bytes = w->columns / w->format->block * w->format->bytes, most = panels_in_piece(panel);
    pack_loop loop = {w, offset / panel, to};
    size_t count = panels - loop.first < most ? panels - loop.first : most, row = loop.first * PANEL_ROWS;
    size_t rows = w->rows - row < count * PANEL_ROWS ? w->rows - row : count * PANEL_ROWS;
    thread_pool_for(pool, count, PANELS_PER_RANGE, pack_panels, &loop);
    gguf_let_go(m->file, (const unsigned char *)w->data + row * row_bytes, rows * row_bytes);
    return count * panel;
}

/* A tied head is the embedding: one copy serves both. */
static bool is_tied(const model *m)
{
    return m->head.data == m->embedding.data;
}

static bool is_packable(const model *m, const weight *w)
{
    return model_packed_bytes(w) > 0 && (w != &m->head || !is_tied(m));
}

bool model_is_packable(model *m)
{
    for (size_t i = 0; i < model_weight_count(m); i++)
        if (is_packable(m, model_weight_at(m, i)))
            return true;
    return false;
}

/* A weight is panels from now on, and so is a head that is tied to it. */
static void become_packed(model *m, weight *w, const void *panels)
{
    bool tied = w == &m->embedding && is_tied(m);
    w->data = panels;
    w->packed = true;
    if (tied)
        m->head = *w;
}

static void pack_weight(model *m, weight *w, thread_pool *pool)
{
    size_t bytes = model_packed_bytes(w);
    unsigned char *to = arena_take(&m->packed, bytes, 1);
    for (size_t at = 0; at < bytes;)
        at += model_pack_piece(m, w, at, to + at, pool);
    become_packed(m, w, to);
}

/* What all of them take, side by side. */
static arena count_packed(model *m)
{
    arena plan = {0};
    for (size_t i = 0; i < model_weight_count(m); i++)
        if (is_packable(m, model_weight_at(m, i)))
            arena_take(&plan, model_packed_bytes(model_weight_at(m, i)), 1);
    return plan;
}

void model_outline_pack(model *m)
{
    arena plan = count_packed(m);
    m->packed = (arena){.size = plan.overflowed ? SIZE_MAX : plan.used};
    for (size_t i = 0; i < model_weight_count(m); i++) {
        weight *w = model_weight_at(m, i);
        if (is_packable(m, w))
            become_packed(m, w, w->data);
    }
}

size_t model_piece_source_bytes(model *m)
{
    size_t most = 0;
    for (size_t i = 0; i < model_weight_count(m); i++) {
        const weight *w = model_weight_at(m, i);
        if (w->data == NULL || panel_layout_of(w->format->type) == NULL)
            continue;
        size_t panel = panel_bytes(panel_layout_of(w->format->type), w->columns), panels = panels_for(w->rows);
        size_t count = panels < panels_in_piece(panel) ? panels : panels_in_piece(panel);
        size_t bytes = count * PANEL_ROWS * (w->columns / w->format->block * w->format->bytes);
        most = bytes > most ? bytes : most;
    }
    return most;
}

mote_status model_pack(model *m, thread_pool *pool, bool (*progress)(void *user, double done), void *user,
                       mote_error *error)
{
    arena plan = count_packed(m);
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
    gguf_let_go_all(m->file); /* what was read for norms, and beside the pieces */
    return MOTE_OK;
}
