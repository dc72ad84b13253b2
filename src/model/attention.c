/* Attention: heads are normalised, turned and stored, then tiles of queries attend to the cache.
 *
 * A tile is a few consecutive tokens of one sequence and the heads that share a KV head; with one KV head it is a unit of
 * work. Many tokens make enough units for all threads, and each unit walks through its chunks of positions itself. Where
 * there are fewer, as in decoding, the chunks are shared out too:
 *
 *     units × chunks ──threads──▶ parts[unit][chunk] ──merge, chunks in ascending order──▶ attn
 *
 * Both ways merge the same chunks in the same order (kernel/attention_kernels.h), so the choice is free to depend on the
 * number of threads: the bits do not. */
#include "base/sizes.h"
#include "model/layer_blocks.h"

enum {
    TOKENS_PER_RANGE = 4,
    TILE_ROWS_MOST = 48,     /* their scores of a chunk fill a first-level cache */
    UNITS_PER_THREAD = 4,    /* enough to even out a slow thread */
    LEAST_SHARED = 64 * 1024 /* floats: walking through fewer takes less time than waking a thread */
};

/* ---- memory ---- */

static size_t tile_rows_most(const model_config *config)
{
    return larger(TILE_ROWS_MOST, config->heads / config->kv_heads);
}

size_t attention_scratch_bytes(const model_config *config)
{
    size_t rows = tile_rows_most(config);
    return (attention_scratch_floats(rows, config->head_dim) + 2 * attention_part_floats(rows, config->head_dim)) *
           sizeof(float);
}

static size_t units_most(const forward *pass)
{
    size_t threads = thread_pool_size(pass->pool);
    return threads == 1 ? 0 : UNITS_PER_THREAD * threads;
}

static size_t unit_part_floats(const model_config *config)
{
    return attention_part_floats(config->heads / config->kv_heads, config->head_dim);
}

void attention_lay_out(forward *pass, size_t largest, uint32_t context, arena *memory)
{
    size_t chunks = ((size_t)context + ATTENTION_CHUNK - 1) / ATTENTION_CHUNK;
    pass->tile = arena_take(memory, largest, sizeof *pass->tile);
    pass->parts = arena_take(memory, units_most(pass) * chunks, unit_part_floats(&pass->model->config) * sizeof(float));
}

/* ---- norms, rotation, storing ---- */

typedef struct heads_loop {
    const forward *pass;
    const layer_weights *w;
    const rope_angles *rope;
    const kv_layer *layer;
} heads_loop;

/* Queries and keys are rotated for keys that are stored so, values for themselves. */
static void rotate_heads(const kv_view *kv, float *qkv, const model_config *config)
{
    size_t dim = config->head_dim, keys_end = config->heads + config->kv_heads, end = keys_end + config->kv_heads;
    for (size_t i = 0; i < end; i++)
        if (kv_is_rotated(i < keys_end ? kv->key_type : kv->value_type))
            kv->kernels.softmax->rotate(qkv + i * dim, dim);
}

static void store_token(const heads_loop *loop, size_t t, const float *key, const float *value)
{
    const kv_view *kv = loop->pass->kv;
    size_t position = loop->pass->batch->position[t], lane = position % KV_BLOCK;
    size_t block = position % ATTENTION_CHUNK / KV_BLOCK, dim = kv->head_dim;
    for (size_t i = 0; i < kv->kv_heads; i++) {
        kv_page page = kv_view_page(kv, loop->layer, loop->pass->batch->sequence[t], i, position / ATTENTION_CHUNK);
        kv->kernels.keys->store(page.keys + block * kv->key_block_bytes, lane, key + i * dim, dim);
        kv->kernels.values->store(page.values + block * kv->value_block_bytes, lane, value + i * dim, dim);
    }
}

static void prepare_token(const heads_loop *loop, size_t t)
{
    const forward *pass = loop->pass;
    const model_config *config = &pass->model->config;
    const vector_kernels *vectors = pass->kernels->vectors;
    size_t half = config->rope_dims / 2, dim = config->head_dim;
    float *head = pass->qkv + t * pass->qkv_stride, *key = head + config->heads * dim;
    float *value = key + config->kv_heads * dim;
    const float *cosine = loop->rope->cosine + t * half, *sine = loop->rope->sine + t * half;
    for (uint32_t i = 0; i < config->heads + config->kv_heads; i++, head += dim) {
        const float *gain = i < config->heads ? loop->w->q_norm : loop->w->k_norm;
        if (gain != NULL)
            vectors->rms_norm(head, gain, config->norm_epsilon, head, dim);
        (config->rope_in_pairs ? vectors->rope_pairs : vectors->rope_halves)(head, cosine, sine, half);
    }
    rotate_heads(pass->kv, pass->qkv + t * pass->qkv_stride, config);
    store_token(loop, t, key, value);
}

static void prepare_heads(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    for (size_t t = begin; t < end; t++)
        prepare_token(context, t);
}

/* ---- attending ---- */

typedef struct attend_loop {
    const forward *pass;
    const kv_layer *layer;
    size_t window; /* 0: all positions are visible */
    size_t tiles;
    size_t chunks; /* the most that any token sees */
} attend_loop;

/* First position that a token sees, and how many chunks from there to itself. */
static size_t first_seen(const attend_loop *loop, size_t position)
{
    return attention_first_seen(position, loop->window);
}

static size_t chunks_seen(const attend_loop *loop, size_t first, size_t last)
{
    return last / ATTENTION_CHUNK - first_seen(loop, first) / ATTENTION_CHUNK + 1;
}

/* Cuts the batch into tiles: runs of one sequence, of at most `tokens` tokens. */
static void cut_tiles(attend_loop *loop, size_t tokens)
{
    const batch *b = loop->pass->batch;
    for (size_t t = 0, count; t < b->count; t += count) {
        for (count = 1; count < tokens && t + count < b->count; count++)
            if (b->sequence[t + count] != b->sequence[t] || b->position[t + count] != b->position[t] + count)
                break;
        loop->pass->tile[loop->tiles++] = (token_tile){(uint32_t)t, (uint32_t)count};
        loop->chunks = larger(loop->chunks, chunks_seen(loop, b->position[t], b->position[t + count - 1]));
    }
}

static attention_tile unit_tile(const attend_loop *loop, size_t unit)
{
    const forward *pass = loop->pass;
    const model_config *config = &pass->model->config;
    token_tile tile = pass->tile[unit / config->kv_heads];
    size_t head = unit % config->kv_heads, group = config->heads / config->kv_heads;
    return (attention_tile){
        .q = pass->qkv + tile.token * pass->qkv_stride + head * group * config->head_dim,
        .q_stride = pass->qkv_stride,
        .tokens = tile.count,
        .group = group,
        .head_dim = config->head_dim,
        .scale = config->attention_scale,
        .position = pass->batch->position[tile.token],
        .window = loop->window,
    };
}

/* One chunk of a unit. */
static void attend_chunk(const attend_loop *loop, size_t unit, const attention_tile *tile, size_t chunk, float *scratch,
                         attention_part part)
{
    const forward *pass = loop->pass;
    size_t kv_heads = pass->kv->kv_heads, sequence = pass->batch->sequence[pass->tile[unit / kv_heads].token];
    kv_page page = kv_view_page(pass->kv, loop->layer, sequence, unit % kv_heads, chunk);
    attention_attend(&pass->kv->kernels, tile, chunk, page, scratch, part);
}

/* attn = the unit's sums of values ÷ its sums of weights. */
static void write_unit(const attend_loop *loop, size_t unit, const attention_tile *tile, attention_part sum)
{
    const forward *pass = loop->pass;
    const model_config *config = &pass->model->config;
    size_t dim = config->head_dim, dims = kv_cell_dims(dim), head = unit % config->kv_heads * tile->group;
    float *out = pass->attn + (pass->tile[unit / config->kv_heads].token * (size_t)config->heads + head) * dim;
    for (size_t row = 0; row < tile->tokens * tile->group; row++) {
        float *to = out + (row / tile->group * config->heads + row % tile->group) * dim, share = 1 / sum.sum[row];
        for (size_t d = 0; d < dim; d++)
            to[d] = sum.out[row * dims + d] * share;
        if (kv_is_rotated(pass->kv->value_type))
            pass->kv->kernels.softmax->rotate(to, dim);
    }
}

static void attend_units(void *context, size_t begin, size_t end, uint32_t worker)
{
    const attend_loop *loop = context;
    const forward *pass = loop->pass;
    size_t dim = pass->model->config.head_dim;
    float *scratch = (float *)(void *)((unsigned char *)pass->scratch + worker * pass->scratch_stride);
    for (size_t unit = begin; unit < end; unit++) {
        attention_tile tile = unit_tile(loop, unit);
        size_t rows = tile.tokens * tile.group, floats = attention_part_floats(rows, dim);
        attention_part sum = attention_part_at(scratch, rows, dim);
        attention_part part = attention_part_at(scratch + floats, rows, dim);
        size_t chunk = first_seen(loop, tile.position) / ATTENTION_CHUNK;
        size_t end_chunk = chunk + chunks_seen(loop, tile.position, tile.position + tile.tokens - 1);
        attention_begin(&pass->kv->kernels, &tile, scratch + 2 * floats);
        attend_chunk(loop, unit, &tile, chunk, scratch + 2 * floats, sum);
        while (++chunk < end_chunk) {
            attend_chunk(loop, unit, &tile, chunk, scratch + 2 * floats, part);
            pass->kv->kernels.softmax->merge(sum, part, rows, dim);
        }
        write_unit(loop, unit, &tile, sum);
    }
}

/* ---- the same with the chunks shared out, for tiles of one token ---- */

static attention_part part_of(const attend_loop *loop, size_t unit, size_t chunk)
{
    const model_config *config = &loop->pass->model->config;
    return attention_part_at(loop->pass->parts + (unit * loop->chunks + chunk) * unit_part_floats(config),
                             config->heads / config->kv_heads, config->head_dim);
}

static void attend_chunks(void *context, size_t begin, size_t end, uint32_t worker)
{
    const attend_loop *loop = context;
    const forward *pass = loop->pass;
    float *scratch = (float *)(void *)((unsigned char *)pass->scratch + worker * pass->scratch_stride);
    for (size_t i = begin, ready = SIZE_MAX; i < end; i++) {
        size_t unit = i / loop->chunks, chunk = i % loop->chunks;
        attention_tile tile = unit_tile(loop, unit);
        if (chunk >= chunks_seen(loop, tile.position, tile.position))
            continue;
        if (unit != ready)
            attention_begin(&pass->kv->kernels, &tile, scratch);
        ready = unit;
        attend_chunk(loop, unit, &tile, first_seen(loop, tile.position) / ATTENTION_CHUNK + chunk, scratch,
                     part_of(loop, unit, chunk));
    }
}

static void merge_units(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const attend_loop *loop = context;
    for (size_t unit = begin; unit < end; unit++) {
        attention_tile tile = unit_tile(loop, unit);
        size_t chunks = chunks_seen(loop, tile.position, tile.position);
        attention_part sum = part_of(loop, unit, 0);
        for (size_t chunk = 1; chunk < chunks; chunk++)
            loop->pass->kv->kernels.softmax->merge(sum, part_of(loop, unit, chunk), tile.group, tile.head_dim);
        write_unit(loop, unit, &tile, sum);
    }
}

static void attend(attend_loop *loop)
{
    const forward *pass = loop->pass;
    const model_config *config = &pass->model->config;
    size_t threads = thread_pool_active(pass->pool), group = config->heads / config->kv_heads;
    size_t tokens = larger(TILE_ROWS_MOST / group, 1);
    size_t shared = pass->batch->count * config->kv_heads / (UNITS_PER_THREAD * threads);
    if (threads > 1 && shared < tokens)
        tokens = larger(shared, 1);
    cut_tiles(loop, tokens);
    size_t units = loop->tiles * config->kv_heads;
    if (threads == 1 || tokens > 1 || units > units_most(pass)) {
        thread_pool_for(pass->pool, units, 1, attend_units, loop);
        return;
    }
    size_t ranges = units * loop->chunks, floats = ranges * unit_part_floats(config);
    size_t cached = ranges * ATTENTION_CHUNK * config->head_dim * 2;
    size_t grain = larger(ranges / (UNITS_PER_THREAD * threads), 1);
    thread_pool_for(pass->pool, ranges, cached < LEAST_SHARED ? ranges : grain, attend_chunks, loop);
    thread_pool_for(pass->pool, units, floats < LEAST_SHARED ? units : 1, merge_units, loop);
}

void block_attend(forward *pass, const layer_weights *w, uint32_t index)
{
    const model_config *config = &pass->model->config;
    bool slides = model_layer_slides(config, index);
    const rope_angles *rope = slides && config->rope_base_window > 0 ? &pass->rope_window : &pass->rope;
    const kv_layer *layer = &pass->kv->layer[index];
    heads_loop heads = {pass, w, rope, layer};
    thread_pool_for(pass->pool, pass->batch->count, TOKENS_PER_RANGE, prepare_heads, &heads);
    attend_loop loop = {.pass = pass, .layer = layer, .window = slides ? config->window : 0};
    attend(&loop);
}
