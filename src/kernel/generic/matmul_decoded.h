/* The matrix product that serves every weight format: decode a few rows to float, then multiply them with every token.
 *
 *     weights ──decode──▶ scratch[ROWS][columns]          once, however many tokens there are
 *     for each TILE_TOKENS tokens: ROWS × TILE_TOKENS sums  every value loaded is used ROWS or TILE_TOKENS times
 *
 * The body of one kernel for each instruction set: the including file defines LANE_COUNT and TILE_TOKENS, so that the
 * sums fill its registers, and is compiled with its own flags. Where it also defines lanes_from_f16(at) and
 * lanes_from_bf16(at), the rows of float formats are not decoded but multiplied where they lie. */
#ifndef MOTE_KERNEL_GENERIC_MATMUL_DECODED_H
#define MOTE_KERNEL_GENERIC_MATMUL_DECODED_H

#include "base/bytes.h"
#include "kernel/generic/row_sums.h"

static size_t decoded_scratch_bytes(size_t columns)
{
    return ROWS * columns * sizeof(float);
}

/* LANE_COUNT weights of a row that lies as in a file. */
__attribute__((always_inline)) static inline lanes weights_at(quant_type type, const unsigned char *row, size_t column)
{
#ifdef lanes_from_f16
    if (type == QUANT_F16)
        return lanes_from_f16(row + 2 * column);
    if (type == QUANT_BF16)
        return lanes_from_bf16(row + 2 * column);
#endif
    (void)type;
    return lanes_load(row + 4 * column);
}

static inline float weight_at(quant_type type, const unsigned char *row, size_t column)
{
    if (type == QUANT_F16)
        return f16_to_f32(load_u16(row + 2 * column));
    return type == QUANT_BF16 ? bf16_to_f32(load_u16(row + 2 * column)) : load_f32(row + 4 * column);
}

/* ROWS rows of a float format. */
typedef struct strip {
    const unsigned char *row[ROWS];
    size_t fetch; /* bytes from a weight to the one worth fetching, where all are read once; 0: none */
} strip;

/* out[t] = the products of ROWS rows with token t. `type` and `tokens` are constants wherever this is inlined. A sum is
 * built the same way whatever the number of tokens, so that tiles and edges agree to the last bit. */
__attribute__((always_inline)) static inline void multiply_tile(quant_type type, strip w, const float *x,
                                                                size_t x_stride, size_t columns, size_t tokens,
                                                                quad *out)
{
    const size_t bytes = type == QUANT_F16 || type == QUANT_BF16 ? 2 : 4;
    lanes sum[TILE_TOKENS][ROWS] = {{{0}}};
    size_t c = 0;
    for (; c + LANE_COUNT <= columns; c += LANE_COUNT) {
        lanes token[TILE_TOKENS];
        for (size_t t = 0; t < tokens; t++)
            token[t] = lanes_load(x + t * x_stride + c);
        for (size_t r = 0; r < ROWS; r++) {
            lanes weight = weights_at(type, w.row[r], c);
            if (tokens == 1)
                __builtin_prefetch(w.row[r] + bytes * c + w.fetch);
            for (size_t t = 0; t < tokens; t++)
                sum[t][r] += weight * token[t];
        }
    }
    for (size_t t = 0; t < tokens; t++) {
        quad tail = {0};
        for (size_t i = c; i < columns; i++)
            for (size_t r = 0; r < ROWS; r++)
                tail[r] += weight_at(type, w.row[r], i) * x[t * x_stride + i];
        out[t] = lanes_sum4(sum[t]) + tail;
    }
}

/* Rows row … row + count − 1 times tokens [begin, end). */
__attribute__((always_inline)) static inline void multiply_strip(quant_type type, const matmul_job *job, strip w,
                                                                 size_t row, size_t count, size_t begin, size_t end)
{
    quad out[TILE_TOKENS];
    size_t token = begin;
    for (; token + TILE_TOKENS <= end; token += TILE_TOKENS) {
        multiply_tile(type, w, job->x + token * job->x_stride, job->x_stride, job->columns, TILE_TOKENS, out);
        for (size_t t = 0; t < TILE_TOKENS; t++)
            write_sums(job, token + t, row, count, out[t]);
    }
    for (; token + 2 <= end; token += 2) {
        multiply_tile(type, w, job->x + token * job->x_stride, job->x_stride, job->columns, 2, out);
        write_sums(job, token, row, count, out[0]);
        write_sums(job, token + 1, row, count, out[1]);
    }
    if (token < end) {
        multiply_tile(type, w, job->x + token * job->x_stride, job->x_stride, job->columns, 1, out);
        write_sums(job, token, row, count, out[0]);
    }
}

static void decoded_run(const matmul_job *job, size_t begin, size_t end, void *scratch)
{
    float *rows = scratch;
    size_t row_bytes = job->columns / job->format->block * job->format->bytes;
    strip w = {.fetch = 0};
    for (size_t r = 0; r < ROWS; r++)
        w.row[r] = (const unsigned char *)(rows + r * job->columns);
    for (size_t row = begin; row < end; row += ROWS) {
        size_t count = end - row < ROWS ? end - row : ROWS;
        for (size_t r = 0; r < count; r++)
            job->format->decode((const unsigned char *)job->weights + (row + r) * row_bytes, rows + r * job->columns,
                                job->columns);
        memset(rows + count * job->columns, 0, (ROWS - count) * job->columns * sizeof *rows);
        multiply_strip(QUANT_F32, job, w, row, count, 0, job->tokens);
    }
}

#ifdef lanes_from_f16

/* ---- rows of float formats, multiplied where they lie ----
 *
 * They become binary32 in registers, for each tile of tokens anew: of little weight beside ROWS × TILE_TOKENS sums, and
 * nothing at all beside memory where there is one token. Tokens are taken in chunks that stay in the second-level cache
 * while every strip of the range passes by. */

enum { CHUNK_BYTES = 256 << 10, FETCH_MOST = 16 << 10 };

static size_t no_scratch_bytes(size_t columns)
{
    (void)columns;
    return 0;
}

__attribute__((always_inline)) static inline void run_in_place(quant_type type, const matmul_job *job, size_t begin,
                                                               size_t end)
{
    size_t row_bytes = job->columns * job->format->bytes;
    size_t tiles = CHUNK_BYTES / (job->columns * sizeof(float) * TILE_TOKENS),
           chunk = (tiles + (tiles == 0)) * TILE_TOKENS;
    for (size_t first = 0; first < job->tokens; first += chunk) {
        size_t last = job->tokens - first < chunk ? job->tokens : first + chunk;
        for (size_t row = begin; row < end; row += ROWS) {
            size_t count = end - row < ROWS ? end - row : ROWS;
            strip w = {.fetch = ROWS * row_bytes < FETCH_MOST ? ROWS * row_bytes : FETCH_MOST / ROWS};
            for (size_t r = 0; r < ROWS; r++) /* rows past the last: the first, and nobody looks at them */
                w.row[r] = (const unsigned char *)job->weights + (row + (r < count ? r : 0)) * row_bytes;
            multiply_strip(type, job, w, row, count, first, last);
        }
    }
}

#define FLOAT_RUN(type, name)                                                                                          \
    static void name##_run(const matmul_job *job, size_t begin, size_t end, void *scratch)                             \
    {                                                                                                                  \
        (void)scratch;                                                                                                 \
        run_in_place(QUANT_##type, job, begin, end);                                                                   \
    }

FLOAT_RUN(F32, f32)
FLOAT_RUN(F16, f16)
FLOAT_RUN(BF16, bf16)

#endif

#endif
