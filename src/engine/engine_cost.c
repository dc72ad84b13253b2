/* What a forward pass cannot go below: counted from the weights in the file and the shape of the KV cache. */
#include <string.h>

#include "engine/engine.h"

static bool is_matrix_of_layer(const gguf_tensor *tensor)
{
    return tensor->dimensions == 2 && strncmp(tensor->name, "blk.", 4) == 0;
}

static uint64_t kv_bytes(const mote_engine *e, size_t depth)
{
    const model_config *c = &e->model->config;
    uint64_t positions = 0;
    for (uint32_t i = 0; i < c->layers; i++)
        positions += model_layer_slides(c, i) && depth >= c->window ? c->window : depth + 1;
    return positions * c->kv_heads * e->kv.view.row_bytes * 2;
}

void mote_engine_cost_at(const mote_engine *e, size_t depth, mote_engine_cost *cost)
{
    const model *m = &e->model->weights;
    uint64_t rows = m->config.vocabulary, width = m->config.width;
    *cost = (mote_engine_cost){
        .weight_bytes = e->model->weight_bytes,
        .kv_bytes = kv_bytes(e, depth),
        .head_operations = 2 * rows * width,
    };
    if (m->head.data != m->embedding.data) {
        uint64_t row = width / m->embedding.format->block * m->embedding.format->bytes;
        cost->weight_bytes -= (rows - 1) * row;
    }
    for (size_t i = 0; i < gguf_tensor_count(m->file); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(m->file, i);
        if (is_matrix_of_layer(tensor))
            cost->layer_operations += 2 * (uint64_t)tensor->elements;
    }
}
