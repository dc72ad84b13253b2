/* Products of packed weights with AVX-512 VNNI. One vector is sixteen rows × four columns, and `vpdpbusd` multiplies its
 * unsigned levels with four levels of a token, broadcast, into sixteen sums.
 *
 * Levels that mean something signed are stored or made unsigned by an offset, and the sum begins with minus the offset
 * times the sum of the token's levels (int8_tokens.h keeps it, times 8), so that the integers come out exact.
 *
 * A block is 8 dot products, one conversion and two or three float operations for each token, of which a tile of eight
 * shares the unpacking: at best 8 ÷ 10 of the machine's dot products. */
#include <immintrin.h>

#include "base/bytes.h"
#include "base/cpu_features.h"
#include "kernel/panel_product.h"
#include "kernel/x86/x86_kernels.h"
#include "quant/blocks.h"

enum { GROUPS = 8, AHEAD = 4096 }; /* vectors of four columns in a block; how far to fetch where memory is the limit */

#define inline_always __attribute__((always_inline)) static inline

inline_always __m512i bytes_at(const uint8_t *at)
{
    return _mm512_loadu_si512(at);
}

inline_always __m512 halves_at(const uint8_t *at)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
}

inline_always __m512 unsigned_at(const uint8_t *at)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)at)));
}

inline_always __m512 signed_at(const uint8_t *at)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)at)));
}

/* ---- levels: the eight vectors of a block, unsigned ---- */

typedef uint16_t pairs_of_bytes __attribute__((vector_size(64)));

/* Each pair of bytes moved up, or down; what crosses into the other byte is masked away later. */
inline_always __m512i moved(__m512i bits, int up)
{
    pairs_of_bytes pairs = (pairs_of_bytes)bits;
    return (__m512i)(up >= 0 ? pairs << (uint16_t)up : pairs >> (uint16_t)-up);
}

inline_always void nibbles(const uint8_t *at, __m512i level[GROUPS])
{
    const __m512i low = _mm512_set1_epi8(15);
    for (size_t j = 0; j < 4; j++) {
        __m512i both = bytes_at(at + 64 * j);
        level[j] = _mm512_and_si512(both, low);
        level[4 + j] = _mm512_and_si512(moved(both, -4), low);
    }
}

inline_always void fifth_bits(const uint8_t *at, __m512i level[GROUPS])
{
    const __m512i fifth = _mm512_set1_epi8(16);
    __m512i bits = bytes_at(at);
    for (int g = 0; g < GROUPS; g++)
        level[g] = _mm512_or_si512(level[g], _mm512_and_si512(moved(bits, 4 - g), fifth));
}

inline_always void top_bits(const uint8_t *at, __m512i level[GROUPS])
{
    const __m512i top = _mm512_set1_epi8(48);
    for (int g = 0; g < GROUPS; g++) {
        __m512i bits = bytes_at(at + g / 4 * 64);
        level[g] = _mm512_or_si512(level[g], _mm512_and_si512(moved(bits, 4 - 2 * (g % 4)), top));
    }
}

/* Levels of −128 … 127 plus 128. */
inline_always void signed_bytes(const uint8_t *at, __m512i level[GROUPS])
{
    for (size_t g = 0; g < GROUPS; g++)
        level[g] = _mm512_xor_si512(bytes_at(at + 64 * g), _mm512_set1_epi8(-128));
}

inline_always void code_book(__m512i level[GROUPS])
{
    __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)quant_iq4_levels));
    table = _mm512_xor_si512(table, _mm512_set1_epi8(-128));
    for (size_t g = 0; g < GROUPS; g++)
        level[g] = _mm512_shuffle_epi8(table, level[g]);
}

inline_always void levels_of(quant_type type, const uint8_t *at, __m512i level[GROUPS])
{
    if (type == QUANT_Q8_0) {
        signed_bytes(at, level);
        return;
    }
    nibbles(at, level);
    if (type == QUANT_IQ4_NL || type == QUANT_IQ4_XS)
        code_book(level);
    if (type == QUANT_Q5_0 || type == QUANT_Q5_1 || type == QUANT_Q5_K)
        fifth_bits(at + 256, level);
    if (type == QUANT_Q6_K)
        top_bits(at + 256, level);
}

/* The offset of a format's levels is 8 << this; −1: none. */
inline_always int offset_shift(quant_type type)
{
    switch (type) {
    case QUANT_Q4_0: return 0;
    case QUANT_Q5_0: return 1;
    case QUANT_Q6_K: return 2;
    case QUANT_Q8_0:
    case QUANT_IQ4_NL:
    case QUANT_IQ4_XS: return 4;
    default: return -1;
    }
}

/* ---- scales ---- */

typedef struct block_scales {
    __m512 scale, second; /* second: of the last 16 columns in Q6_K, else the minimum */
} block_scales;

inline_always bool has_minimum(quant_type type)
{
    return type == QUANT_Q4_1 || type == QUANT_Q5_1 || type == QUANT_Q4_K || type == QUANT_Q5_K;
}

inline_always block_scales scales_of(quant_type type, const uint8_t *header, const uint8_t *at)
{
    switch (type) {
    case QUANT_Q4_1:
    case QUANT_Q5_1: return (block_scales){halves_at(at), halves_at(at + 32)};
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        return (block_scales){
            _mm512_mul_ps(halves_at(header), unsigned_at(at)),
            _mm512_mul_ps(_mm512_sub_ps(_mm512_setzero_ps(), halves_at(header + 32)), unsigned_at(at + 16))};
    case QUANT_Q6_K:
        return (block_scales){_mm512_mul_ps(halves_at(header), signed_at(at)),
                              _mm512_mul_ps(halves_at(header), signed_at(at + 16))};
    case QUANT_IQ4_XS: return (block_scales){_mm512_mul_ps(halves_at(header), signed_at(at)), _mm512_setzero_ps()};
    default: return (block_scales){halves_at(at), _mm512_setzero_ps()};
    }
}

/* ---- products ---- */

inline_always __m512i first_sum(const uint8_t *offset, int shift)
{
    if (shift < 0)
        return _mm512_setzero_si512();
    return _mm512_slli_epi32(_mm512_set1_epi32((int)load_u32(offset)), (unsigned)shift);
}

inline_always __m512i dot(__m512i sum, const __m512i *level, const uint8_t *x, size_t begin, size_t end)
{
    for (size_t g = begin; g < end; g++)
        sum = _mm512_dpbusd_epi32(sum, level[g], _mm512_set1_epi32((int)load_u32(x + 4 * g)));
    return sum;
}

inline_always __m512 scaled(__m512 sum, __m512 scale, __m512 token_scale, __m512i dots)
{
    return _mm512_fmadd_ps(_mm512_mul_ps(scale, token_scale), _mm512_cvtepi32_ps(dots), sum);
}

/* One token's part of a block. */
inline_always __m512 add_block(quant_type type, __m512 sum, const __m512i level[GROUPS], block_scales w,
                               const uint8_t *x, size_t tokens, size_t t)
{
    int shift = offset_shift(type);
    const uint8_t *offset = x + INT8_OFFSETS * tokens + 4 * t, *levels = x + INT8_BLOCK * t;
    __m512 scale = _mm512_set1_ps(load_f32(x + INT8_SCALES * tokens + 4 * t));
    if (type == QUANT_Q6_K) {
        __m512i half = first_sum(x + INT8_HALVES * tokens + 4 * t, shift);
        __m512i rest = _mm512_sub_epi32(first_sum(offset, shift), half);
        sum = scaled(sum, w.scale, scale, dot(half, level, levels, 0, GROUPS / 2));
        return scaled(sum, w.second, scale, dot(rest, level, levels, GROUPS / 2, GROUPS));
    }
    sum = scaled(sum, w.scale, scale, dot(first_sum(offset, shift), level, levels, 0, GROUPS));
    if (has_minimum(type))
        sum = _mm512_fmadd_ps(w.second, _mm512_set1_ps(load_f32(x + INT8_SCALED_SUMS * tokens + 4 * t)), sum);
    return sum;
}

inline_always void fetch_ahead(const uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)at + AHEAD + i, _MM_HINT_T0);
}

inline_always void multiply(quant_type type, size_t block_bytes, size_t header_bytes, size_t scale_bytes,
                            const uint8_t *at, size_t columns, const uint8_t *x, float *sums, size_t tokens)
{
    const uint8_t *header = NULL;
    __m512 sum[TOKEN_TILE];
    for (size_t t = 0; t < tokens; t++)
        sum[t] = _mm512_setzero_ps();
    for (size_t b = 0; b < columns / PANEL_BLOCK; b++) {
        if (header_bytes != 0 && b % (PANEL_HEADER_COLUMNS / PANEL_BLOCK) == 0) {
            header = at;
            at += header_bytes;
        }
        __m512i level[GROUPS];
        if (tokens <= 2)
            fetch_ahead(at, block_bytes);
        levels_of(type, at, level);
        at += block_bytes;
        block_scales w = scales_of(type, header, at - scale_bytes);
        for (size_t t = 0; t < tokens; t++)
            sum[t] = add_block(type, sum[t], level, w, x, tokens, t);
        x += INT8_BLOCK_BYTES * tokens;
    }
    for (size_t t = 0; t < tokens; t++)
        _mm512_storeu_ps(sums + t * PANEL_ROWS, sum[t]);
}

#define PRODUCTS(format, name, level_bits, high_bits, scale_bytes, header_bytes)                                       \
    inline_always void name(const uint8_t *panel, size_t columns, const uint8_t *x, float *sums, size_t tokens)        \
    {                                                                                                                  \
        multiply(QUANT_##format, (level_bits + high_bits) * 64 + scale_bytes, header_bytes, scale_bytes, panel,        \
                 columns, x, sums, tokens);                                                                            \
    }                                                                                                                  \
    PANEL_TILES(name)

PANEL_LAYOUT_LIST(PRODUCTS)

#define ENTRY(format, function, level_bits, high_bits, scale_bytes, header_bytes)                                      \
    [QUANT_##format] = {.name = "avx512-vnni",                                                                         \
                        .needs = CPU_AVX512 | CPU_AVX512_VNNI,                                                         \
                        .row_tile = PANEL_ROWS,                                                                        \
                        .scratch_bytes = panel_scratch_bytes,                                                          \
                        .run = function##_run},

const matmul_kernel panels_avx512vnni[KERNEL_FORMATS] = {PANEL_LAYOUT_LIST(ENTRY)};
