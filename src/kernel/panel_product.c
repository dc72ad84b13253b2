/* The loop over panels and tiles.
 *
 * Tokens are taken in chunks that stay in the second-level cache while every panel of the range passes by; a panel stays
 * in the first level for all tiles of a chunk. Few tokens are one chunk, and every panel is read once, in order: two places
 * in turn, which a plain reading loop gains a third from, made decoding a quarter slower. */
#include "kernel/panel_product.h"

#include <string.h>

enum { CHUNK_BYTES = 256 << 10 };

size_t panel_scratch_bytes(size_t columns)
{
    (void)columns;
    return 0;
}

static float *row_of(const matmul_job *job, size_t token, size_t row)
{
    return job->y_rows != NULL ? job->y_rows[token] + row : job->y + token * job->y_stride + row;
}

/* Rows of y lie far apart and are met once for each panel: asked for now, they are there when the sums are. What is only
 * stored, a vector at a time, waits for nobody. */
static void fetch_rows(const matmul_job *job, size_t token, size_t tokens, size_t row)
{
    for (size_t t = 0; t < tokens; t++)
        __builtin_prefetch(row_of(job, token + t, row), 1);
}

static void write_row(const matmul_job *job, float *y, size_t row, size_t count, const float *sums)
{
    for (size_t r = 0; r < count; r++) {
        float value = job->bias != NULL ? sums[r] + job->bias[row + r] : sums[r];
        y[r] = job->accumulate ? y[r] + value : value;
    }
}

/* By itself, so that the usual panel does not save the registers that this one wants. */
__attribute__((noinline)) static void write_rows(const matmul_job *job, size_t token, size_t tokens, size_t row,
                                                 size_t count, const float *sums)
{
    for (size_t t = 0; t < tokens; t++)
        write_row(job, row_of(job, token + t, row), row, count, sums + t * PANEL_ROWS);
}

static inline void add_rows(float *restrict y, const float *restrict sums)
{
    for (size_t r = 0; r < PANEL_ROWS; r++)
        y[r] += sums[r];
}

/* Whole panels in rows that lie `stride` apart. */
static void write_panels(float *y, size_t stride, size_t tokens, bool add, const float *sums)
{
    for (; tokens > 0; tokens--, y += stride, sums += PANEL_ROWS) {
        if (add)
            add_rows(y, sums);
        else
            memcpy(y, sums, PANEL_ROWS * sizeof *sums);
    }
}

void panel_write(const matmul_job *job, size_t token, size_t tokens, size_t row, size_t count, const float *sums)
{
    if (count < PANEL_ROWS || job->bias != NULL)
        write_rows(job, token, tokens, row, count, sums);
    else if (job->y_rows != NULL)
        for (size_t t = 0; t < tokens; t++)
            write_panels(row_of(job, token + t, row), 0, 1, job->accumulate, sums + t * PANEL_ROWS);
    else
        write_panels(row_of(job, token, row), job->y_stride, tokens, job->accumulate, sums);
}

/* Tiles write whole panels into y by themselves where they can: what passes through memory keeps the next tile waiting. */
static void multiply_panel(const matmul_job *job, size_t row, size_t end, size_t first, size_t last,
                           panel_tile *const tiles[TOKEN_TILE], bool direct)
{
    size_t bytes = panel_bytes(panel_layout_of(job->format->type), job->columns);
    const uint8_t *panel = (const uint8_t *)job->weights + row / PANEL_ROWS * bytes;
    size_t count = end - row < PANEL_ROWS ? end - row : PANEL_ROWS;
    direct = direct && count == PANEL_ROWS && job->y_rows == NULL && job->bias == NULL;
    _Alignas(64) float sums[TOKEN_TILE * PANEL_ROWS];
    for (size_t token = first; token < last; token += TOKEN_TILE) {
        size_t width = int8_tile_width(job->tokens, token);
        const uint8_t *x = (const uint8_t *)job->x_int8 + int8_tile_offset(token, job->columns);
        if (!direct || job->accumulate)
            fetch_rows(job, token, width, row);
        if (direct) {
            tiles[width - 1](panel, job->columns, x, row_of(job, token, row), job->y_stride, job->accumulate);
        } else {
            tiles[width - 1](panel, job->columns, x, sums, PANEL_ROWS, false);
            panel_write(job, token, width, row, count, sums);
        }
    }
}

void panel_product(const matmul_job *job, size_t begin, size_t end, panel_tile *const tiles[TOKEN_TILE], bool direct)
{
    size_t tiles_in_chunk = CHUNK_BYTES / int8_tokens_bytes(TOKEN_TILE, job->columns);
    size_t chunk = (tiles_in_chunk > 0 ? tiles_in_chunk : 1) * TOKEN_TILE;
    for (size_t first = 0; first < job->tokens; first += chunk) {
        size_t last = job->tokens - first < chunk ? job->tokens : first + chunk;
        for (size_t row = begin; row < end; row += PANEL_ROWS)
            multiply_panel(job, row, end, first, last, tiles, direct);
    }
}
