/* The generic matrix product: decode a few rows to float, then multiply them with every token.
 *
 * One kernel serves every format through its reference decode. Per strip of ROWS rows:
 *
 *     weights ──decode──▶ scratch[ROWS][columns]      once, however many tokens there are
 *     for each pair of tokens: ROWS × 2 dot products   each scratch value is loaded once for two tokens, each x for ROWS
 */
#include "kernel/kernels.h"

#include "kernel/generic/generic_kernels.h"
#include "kernel/generic/vector_lanes.h"

enum { ROWS = 4, TOKENS = 2 };

static size_t scratch_bytes(size_t columns)
{
    return ROWS * columns * sizeof(float);
}

static void write_result(const matmul_job *job, size_t token, size_t row, float value)
{
    float *at = job->y_rows != NULL ? &job->y_rows[token][row] : &job->y[token * job->y_stride + row];
    if (job->bias != NULL)
        value += job->bias[row];
    *at = job->accumulate ? *at + value : value;
}

/* A full tile. Every sum is built exactly as lanes_dot builds it, so that edges and tiles agree to the last bit. */
static void multiply_tile(const float *rows, const float *x, size_t x_stride, size_t columns, float out[TOKENS][ROWS])
{
    lanes even[TOKENS][ROWS] = {0}, odd[TOKENS][ROWS] = {0};
    size_t c = 0;
    for (; c + 2 * LANES <= columns; c += 2 * LANES) {
        for (size_t t = 0; t < TOKENS; t++) {
            lanes x_even = lanes_load(x + t * x_stride + c), x_odd = lanes_load(x + t * x_stride + c + LANES);
            for (size_t r = 0; r < ROWS; r++) {
                even[t][r] += lanes_load(rows + r * columns + c) * x_even;
                odd[t][r] += lanes_load(rows + r * columns + c + LANES) * x_odd;
            }
        }
    }
    for (size_t t = 0; t < TOKENS; t++) {
        for (size_t r = 0; r < ROWS; r++) {
            float tail = 0;
            for (size_t i = c; i < columns; i++)
                tail += rows[r * columns + i] * x[t * x_stride + i];
            out[t][r] = lanes_sum(even[t][r] + odd[t][r]) + tail;
        }
    }
}

static void multiply_strip(const matmul_job *job, const float *rows, size_t first, size_t count)
{
    size_t token = 0;
    if (count == ROWS) {
        for (; token + TOKENS <= job->tokens; token += TOKENS) {
            float out[TOKENS][ROWS];
            multiply_tile(rows, job->x + token * job->x_stride, job->x_stride, job->columns, out);
            for (size_t t = 0; t < TOKENS; t++)
                for (size_t r = 0; r < ROWS; r++)
                    write_result(job, token + t, first + r, out[t][r]);
        }
    }
    for (; token < job->tokens; token++)
        for (size_t r = 0; r < count; r++)
            write_result(job, token, first + r,
                         lanes_dot(rows + r * job->columns, job->x + token * job->x_stride, job->columns));
}

static void run(const matmul_job *job, size_t begin, size_t end, void *scratch)
{
    float *rows = scratch;
    size_t row_bytes = job->columns / job->format->block * job->format->bytes;
    for (size_t row = begin; row < end; row += ROWS) {
        size_t count = end - row < ROWS ? end - row : ROWS;
        for (size_t r = 0; r < count; r++)
            job->format->decode((const unsigned char *)job->weights + (row + r) * row_bytes, rows + r * job->columns,
                                job->columns);
        multiply_strip(job, rows, row, count);
    }
}

const matmul_kernel matmul_generic = {
    .name = "generic",
    .needs = 0,
    .row_tile = ROWS,
    .scratch_bytes = scratch_bytes,
    .run = run,
};
