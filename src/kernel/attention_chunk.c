/* A tile's attention to one chunk of positions: both products, with the softmax between them. */
#include "base/sizes.h"
#include "kernel/attention_kernels.h"

static seen_positions seen_of(const attention_tile *tile, size_t chunk)
{
    size_t base = chunk * ATTENTION_CHUNK, past = tile->position + tile->tokens;
    size_t first = attention_first_seen(tile->position, tile->window);
    size_t begin = first > base ? smaller(first - base, ATTENTION_CHUNK) : 0;
    size_t end = past > base ? smaller(past - base, ATTENTION_CHUNK) : 0;
    end = end < begin ? begin : end;
    return (seen_positions){base, begin, end, begin / KV_BLOCK, (end + KV_BLOCK - 1) / KV_BLOCK};
}

void attention_begin(const attention_choice *kernels, const attention_tile *tile, float *scratch)
{
    kernels->keys->prepare(tile, scratch);
}

void attention_attend(const attention_choice *kernels, const attention_tile *tile, size_t chunk, kv_page page,
                      float *scratch, attention_part part)
{
    seen_positions seen = seen_of(tile, chunk);
    size_t rows = tile->tokens * tile->group;
    float *scores = scratch + attention_query_floats(rows, tile->head_dim), *own = scores + rows * SCORE_STRIDE;
    kernels->keys->score(tile, scratch, page.keys, &seen, scores);
    for (size_t row = 0; row < rows; row++)
        kernels->softmax->weigh(tile, row, &seen, scores + row * SCORE_STRIDE, part);
    kernels->values->mix(tile, page.values, &seen, scores, part.out, own);
}
