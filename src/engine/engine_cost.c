/* What a forward pass cannot go below: counted from the matrices as they lie in memory and the shape of the KV cache. */
#include "engine/engine.h"
#include "quant/panels.h"

static uint64_t weight_bytes(const weight *w)
{
    if (w->packed)
        return (uint64_t)panels_for(w->rows) * panel_bytes(panel_layout_of(w->format->type), w->columns);
    return (uint64_t)w->rows * (w->columns / w->format->block * w->format->bytes);
}

static uint64_t kv_bytes(const mote_engine *e, size_t depth)
{
    const model_config *c = &e->model->config;
    uint64_t positions = 0;
    for (uint32_t i = 0; i < c->layers; i++)
        positions += model_layer_slides(c, i) && depth >= c->window ? c->window : depth + 1;
    return positions * c->kv_heads * ((e->kv.view.key_block_bytes + e->kv.view.value_block_bytes) / KV_BLOCK);
}

void mote_engine_cost_at(const mote_engine *e, size_t depth, mote_engine_cost *cost)
{
    model *m = &e->model->weights;
    *cost = (mote_engine_cost){
        .weight_bytes = weight_bytes(&m->head),
        .kv_bytes = kv_bytes(e, depth),
        .head_operations = 2 * (uint64_t)m->head.rows * m->head.columns,
    };
    for (size_t i = 0; i < model_weight_count(m); i++) {
        const weight *w = model_weight_at(m, i);
        if (w->data == NULL || w == &m->embedding || w == &m->head)
            continue;
        cost->weight_bytes += weight_bytes(w);
        cost->layer_operations += 2 * (uint64_t)w->rows * w->columns;
    }
}
