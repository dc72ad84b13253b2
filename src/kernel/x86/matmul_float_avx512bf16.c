/* Products of BF16 rows with AVX-512 BF16: `vdpbf16ps` multiplies 32 weights with 32 values of a token and adds pairs of
 * the products to sixteen sums in binary32, twice the work of a multiplication of floats.
 *
 * Tokens are rounded to bf16, whatever their number, so that no result depends on how many were computed together. That
 * moves a value by at most 2⁻⁸ of its size, and a sum by at most 2⁻⁸ of the sum of its products' sizes; the weights are
 * no more exact. The instruction takes subnormals, sizes below 2⁻¹²⁶, for zeros. */
#include <immintrin.h>

#include "base/cpu_features.h"
#include "kernel/x86/x86_kernels.h"

#define LANE_COUNT 16
#include "kernel/generic/row_sums.h"

enum {
    STEP = 32,       /* columns */
    TILE_TOKENS = 6, /* twenty-four sums, six tokens and a row, of thirty-two registers */
    CHUNK = 48,      /* tokens rounded at a time */
    FETCH_MOST = 16 << 10,
};

/* Tokens in scratch end with zeros. */
static size_t padded(size_t columns)
{
    return (columns + STEP - 1) / STEP * STEP;
}

static size_t rounded_bytes(size_t columns)
{
    return CHUNK * padded(columns) * sizeof(uint16_t);
}

/* The first `count` of 32. */
static inline __mmask32 first(size_t count)
{
    return count < 32 ? (1u << count) - 1 : UINT32_MAX;
}

static void round_token(const float *x, size_t columns, uint16_t *rounded)
{
    for (size_t c = 0; c < columns; c += STEP) {
        __mmask32 mask = first(columns - c);
        __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, x + c);
        __m512 high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + c + 16);
        _mm512_storeu_si512(rounded + c, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}

typedef struct strip {
    const uint8_t *row[ROWS];
    size_t fetch; /* bytes from a weight to the one worth fetching, where all are read once */
} strip;

typedef lanes tile_sums[TILE_TOKENS][ROWS];

/* The next `columns` columns, STEP or less. Whole steps load without a mask: beside masks, which may be any function to
 * the compiler, it keeps no sums in registers. `tokens` is a constant wherever this is inlined. */
__attribute__((always_inline)) static inline void add_step(tile_sums sum, strip w, const uint16_t *x, size_t stride,
                                                           size_t c, size_t columns, size_t tokens)
{
    __m512bh value[TILE_TOKENS];
    for (size_t t = 0; t < tokens; t++)
        value[t] = (__m512bh)_mm512_loadu_si512(x + t * stride + c);
    for (size_t r = 0; r < ROWS; r++) {
        const uint8_t *at = w.row[r] + 2 * c;
        __m512i weight = columns == STEP ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi16(first(columns), at);
        if (tokens == 1)
            __builtin_prefetch(at + w.fetch);
        for (size_t t = 0; t < tokens; t++)
            sum[t][r] = _mm512_dpbf16_ps(sum[t][r], (__m512bh)weight, value[t]);
    }
}

__attribute__((always_inline)) static inline void multiply_tile(const matmul_job *job, strip w, const uint16_t *x,
                                                                size_t tokens, size_t token, size_t row, size_t count)
{
    tile_sums sum = {{{0}}};
    size_t c = 0, stride = padded(job->columns);
    for (; c + STEP <= job->columns; c += STEP)
        add_step(sum, w, x, stride, c, STEP, tokens);
    if (c < job->columns)
        add_step(sum, w, x, stride, c, job->columns - c, tokens);
    for (size_t t = 0; t < tokens; t++)
        write_sums(job, token + t, row, count, lanes_sum4(sum[t]));
}

/* Rows row … row + count − 1 times tokens [begin, end), which lie rounded at `x`. */
static void multiply_strip(const matmul_job *job, strip w, const uint16_t *x, size_t begin, size_t end, size_t row,
                           size_t count)
{
    size_t token = begin, stride = padded(job->columns);
    for (; token + TILE_TOKENS <= end; token += TILE_TOKENS, x += TILE_TOKENS * stride)
        multiply_tile(job, w, x, TILE_TOKENS, token, row, count);
    for (; token + 2 <= end; token += 2, x += 2 * stride)
        multiply_tile(job, w, x, 2, token, row, count);
    if (token < end)
        multiply_tile(job, w, x, 1, token, row, count);
}

static void run(const matmul_job *job, size_t begin, size_t end, void *scratch)
{
    uint16_t *x = scratch;
    size_t row_bytes = job->columns * sizeof *x, stride = padded(job->columns);
    for (size_t chunk = 0; chunk < job->tokens; chunk += CHUNK) {
        size_t last = job->tokens - chunk < CHUNK ? job->tokens : chunk + CHUNK;
        for (size_t token = chunk; token < last; token++)
            round_token(job->x + token * job->x_stride, job->columns, x + (token - chunk) * stride);
        for (size_t row = begin; row < end; row += ROWS) {
            size_t count = end - row < ROWS ? end - row : ROWS;
            strip w = {.fetch = ROWS * row_bytes < FETCH_MOST ? ROWS * row_bytes : FETCH_MOST / ROWS};
            for (size_t r = 0; r < ROWS; r++) /* rows past the last: the first, and nobody looks at them */
                w.row[r] = (const uint8_t *)job->weights + (row + (r < count ? r : 0)) * row_bytes;
            multiply_strip(job, w, x, chunk, last, row, count);
        }
    }
}

const matmul_kernel matmul_float_avx512bf16 = {
    .name = "avx512-bf16",
    .needs = CPU_AVX2 | CPU_F16C | CPU_AVX512 | CPU_AVX512_BF16,
    .scratch_bytes = rounded_bytes,
    .run = run,
};
