/* The loop over panels, their pieces, and tokens. An opened piece stays in the first-level cache (14 to 21 KiB), the chunk's
 * tokens in the second. */
#include "kernel/arm/panel_product_arm.h"

enum { CHUNK_BYTES = 256 << 10, CHUNK_TOKENS = 64 };

static size_t chunk_tokens(size_t columns)
{
    size_t tiles = CHUNK_BYTES / int8_tokens_bytes(TOKEN_TILE, columns);
    size_t most = CHUNK_TOKENS / TOKEN_TILE;
    return TOKEN_TILE * (tiles < 1 ? 1 : tiles > most ? most : tiles);
}

static size_t rows_in_panel(size_t row, size_t end)
{
    return end - row < PANEL_ROWS ? end - row : PANEL_ROWS;
}

/* Few tokens, a tile of their own: the panels as they lie, one after the other. */
static void multiply_straight(const matmul_job *job, size_t begin, size_t end, arm_straight *multiply, size_t first)
{
    size_t tokens = job->tokens - first, blocks = job->columns / PANEL_BLOCK;
    size_t panel_size = panel_bytes(panel_layout_of(job->format->type), job->columns);
    const uint8_t *panel = (const uint8_t *)job->weights + begin / PANEL_ROWS * panel_size;
    const uint8_t *x = (const uint8_t *)job->x_int8 + int8_tile_offset(first, job->columns);
    _Alignas(64) float sums[ARM_TOKENS * PANEL_ROWS];
    for (size_t row = begin; row < end; row += PANEL_ROWS, panel += panel_size) {
        multiply(panel, blocks, x, sums);
        panel_write(job, first, tokens, row, rows_in_panel(row, end), sums);
    }
}

/* Opened blocks, from number `block` of their panel on, with tokens [first, last), `first` a multiple of TOKEN_TILE. */
static void multiply_opened(const matmul_job *job, arm_opened *const multiply[ARM_TOKENS], const uint8_t *opened,
                            size_t block, size_t count, size_t first, size_t last, float *sums)
{
    for (size_t tile = first; tile < last; tile += TOKEN_TILE) {
        size_t width = int8_tile_width(job->tokens, tile);
        const uint8_t *x =
            (const uint8_t *)job->x_int8 + int8_tile_offset(tile, job->columns) + block * INT8_BLOCK_BYTES * width;
        for (size_t t = 0; t < width; t += ARM_TOKENS, sums += ARM_TOKENS * PANEL_ROWS) {
            size_t tokens = width - t < ARM_TOKENS ? width - t : ARM_TOKENS;
            multiply[tokens - 1](opened, count, x, width, t, block == 0, sums);
        }
    }
}

static void multiply_in_pieces(const matmul_job *job, size_t begin, size_t end, const arm_format *format, size_t first,
                               size_t last)
{
    const panel_layout *layout = panel_layout_of(job->format->type);
    size_t panel_size = panel_bytes(layout, job->columns),
           piece_size = panel_bytes(layout, OPENED_BLOCKS * PANEL_BLOCK);
    size_t blocks = job->columns / PANEL_BLOCK;
    _Alignas(64) uint8_t opened[OPENED_BLOCKS * OPENED_BLOCK_BYTES];
    _Alignas(64) float sums[CHUNK_TOKENS * PANEL_ROWS];
    for (size_t row = begin; row < end; row += PANEL_ROWS) {
        const uint8_t *panel = (const uint8_t *)job->weights + row / PANEL_ROWS * panel_size;
        for (size_t block = 0; block < blocks; block += OPENED_BLOCKS, panel += piece_size) {
            size_t count = blocks - block < OPENED_BLOCKS ? blocks - block : OPENED_BLOCKS;
            format->open(panel, count, opened);
            multiply_opened(job, format->opened, opened, block, count, first, last, sums);
        }
        panel_write(job, first, last - first, row, rows_in_panel(row, end), sums);
    }
}

void panel_product_arm(const matmul_job *job, size_t begin, size_t end, const arm_format *format)
{
    size_t chunk = chunk_tokens(job->columns);
    for (size_t first = 0; first < job->tokens; first += chunk) {
        size_t left = job->tokens - first;
        if (left < format->open_from)
            multiply_straight(job, begin, end, format->straight[left - 1], first);
        else
            multiply_in_pieces(job, begin, end, format, first, left < chunk ? job->tokens : first + chunk);
    }
}
