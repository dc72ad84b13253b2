/* The matrix product that serves every weight format: decode a few rows to float, then multiply them with every token.
 *
 *     weights ──decode──▶ scratch[ROWS][columns]          once, however many tokens there are
 *     for each TILE_TOKENS tokens: ROWS × TILE_TOKENS sums  every value loaded is used ROWS or TILE_TOKENS times
 *
 * The body of one kernel for each instruction set: the including file defines LANE_COUNT and TILE_TOKENS, so that the
 * sums fill its registers, and is compiled with its own flags. */
#ifndef MOTE_KERNEL_GENERIC_MATMUL_DECODED_H
#define MOTE_KERNEL_GENERIC_MATMUL_DECODED_H

#include "kernel/generic/vector_lanes.h"
#include "kernel/kernels.h"

enum { ROWS = 4 };

static size_t decoded_scratch_bytes(size_t columns)
{
    return ROWS * columns * sizeof(float);
}

/* out[t] = the products of ROWS rows with token t. `tokens` is a constant wherever this is inlined. A sum is built the
 * same way whatever the number of tokens, so that tiles and edges agree to the last bit. */
__attribute__((always_inline)) static inline void multiply_tile(const float *rows, const float *x, size_t x_stride,
                                                                size_t columns, size_t tokens, quad *out)
{
    lanes sum[TILE_TOKENS][ROWS] = {{{0}}};
    size_t c = 0;
    for (; c + LANE_COUNT <= columns; c += LANE_COUNT)
        for (size_t t = 0; t < tokens; t++) {
            lanes token = lanes_load(x + t * x_stride + c);
            for (size_t r = 0; r < ROWS; r++)
                sum[t][r] += lanes_load(rows + r * columns + c) * token;
        }
    for (size_t t = 0; t < tokens; t++) {
        quad tail = {0};
        for (size_t i = c; i < columns; i++)
            for (size_t r = 0; r < ROWS; r++)
                tail[r] += rows[r * columns + i] * x[t * x_stride + i];
        out[t] = lanes_sum4(sum[t]) + tail;
    }
}

static inline void write_sums(const matmul_job *job, size_t token, size_t row, size_t count, quad sum)
{
    float *at = job->y_rows != NULL ? job->y_rows[token] + row : job->y + token * job->y_stride + row;
    if (count == ROWS) {
        if (job->bias != NULL)
            sum += quad_load(job->bias + row);
        quad_store(at, job->accumulate ? quad_load(at) + sum : sum);
        return;
    }
    for (size_t r = 0; r < count; r++) {
        float value = job->bias != NULL ? sum[r] + job->bias[row + r] : sum[r];
        at[r] = job->accumulate ? at[r] + value : value;
    }
}

static void multiply_strip(const matmul_job *job, const float *rows, size_t first, size_t count)
{
    quad out[TILE_TOKENS];
    size_t token = 0;
    for (; token + TILE_TOKENS <= job->tokens; token += TILE_TOKENS) {
        multiply_tile(rows, job->x + token * job->x_stride, job->x_stride, job->columns, TILE_TOKENS, out);
        for (size_t t = 0; t < TILE_TOKENS; t++)
            write_sums(job, token + t, first, count, out[t]);
    }
    for (; token < job->tokens; token++) {
        multiply_tile(rows, job->x + token * job->x_stride, job->x_stride, job->columns, 1, out);
        write_sums(job, token, first, count, out[0]);
    }
}

static void decoded_run(const matmul_job *job, size_t begin, size_t end, void *scratch)
{
    float *rows = scratch;
    size_t row_bytes = job->columns / job->format->block * job->format->bytes;
    for (size_t row = begin; row < end; row += ROWS) {
        size_t count = end - row < ROWS ? end - row : ROWS;
        for (size_t r = 0; r < count; r++)
            job->format->decode((const unsigned char *)job->weights + (row + r) * row_bytes, rows + r * job->columns,
                                job->columns);
        memset(rows + count * job->columns, 0, (ROWS - count) * job->columns * sizeof *rows);
        multiply_strip(job, rows, row, count);
    }
}

#endif
