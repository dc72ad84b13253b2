/* Products of packed weights on x86-64: the body of one file for each instruction set. A vector holds HEIGHT rows × four
 * columns, and a dot product multiplies its levels with four levels of a token, broadcast, into HEIGHT sums.
 *
 * Levels that mean something signed are stored or made unsigned by an offset, and the sum begins with minus the offset
 * times the sum of the token's levels (int8_tokens.h keeps it, times 8), so that the integers come out exact.
 *
 * The including file defines, before it includes this:
 *
 *     VECTOR_BYTES   64 or 32: a vector is all sixteen rows of a panel, or the upper or lower eight
 *     SIGNED_BYTES   whether levels of eight bits are multiplied as they are, −128 … 127, or unsigned, plus 128
 *
 *     AT_ONCE        tokens that are computed side by side: enough to hide a dot product's latency
 *     PANEL_KERNEL   the kernel's name
 *     PANEL_NEEDS    its CPU_… flags
 *
 * and after that the operations which are declared below. */
#ifndef MOTE_KERNEL_X86_PANELS_X86_H
#define MOTE_KERNEL_X86_PANELS_X86_H

#include <immintrin.h>

#include "base/bytes.h"
#include "base/cpu_features.h"
#include "kernel/panel_product.h"
#include "kernel/x86/x86_kernels.h"
#include "quant/blocks.h"

enum {
    GROUPS = 8, /* vectors of four columns in a block */
    HEIGHT = VECTOR_BYTES / 4,
    PARTS = PANEL_ROWS / HEIGHT,
    AHEAD = 4096, /* bytes; how far to fetch where memory is the limit */
};

typedef uint8_t bytes __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t pairs_of_bytes __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t words __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t ints __attribute__((vector_size(VECTOR_BYTES)));
typedef float floats __attribute__((vector_size(VECTOR_BYTES)));

/* Loops over tokens are written out, and early: an array of sums that is still an array when gcc gives out registers is
 * filled and copied in memory, which costs each tile what a block costs. */
#ifdef __clang__
#define UNROLLED /* does so by itself; told to, it takes minutes under the sanitizers */
#else
#define UNROLLED _Pragma("GCC unroll 8")
#endif

#define inline_always __attribute__((always_inline)) static inline

/* ---- what an instruction set defines ---- */

/* HEIGHT numbers: f16, u8 or s8. */
inline_always floats halves_at(const uint8_t *at);
inline_always floats unsigned_at(const uint8_t *at);
inline_always floats signed_at(const uint8_t *at);
inline_always floats m_scales_at(const uint8_t *at); /* quant_m_scale of each */

/* table[level] for each byte; look_up_8 for a table of eight. */
inline_always bytes look_up(const int8_t table[16], bytes level);
inline_always bytes look_up_8(const int8_t table[8], bytes level);

/* Adds the products of groups [begin, end) with the levels of `count` tokens, which lie at `x`, to their sums. */
inline_always void add_products(quant_type type, ints *sum, const bytes level[GROUPS], const uint8_t *x, size_t count,
                                size_t begin, size_t end);

/* ---- levels: the eight vectors of a block ---- */

inline_always bytes bytes_at(const uint8_t *at)
{
    bytes value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Each pair of bytes moved up, or down; what crosses into the other byte is masked away later. */
inline_always bytes moved(bytes bits, int up)
{
    pairs_of_bytes pairs = (pairs_of_bytes)bits;
    return (bytes)(up >= 0 ? pairs << (uint16_t)up : pairs >> (uint16_t)-up);
}

inline_always void nibbles(const uint8_t *at, bytes level[GROUPS])
{
    for (size_t j = 0; j < 4; j++) {
        bytes both = bytes_at(at + 64 * j);
        level[j] = both & 15;
        level[4 + j] = moved(both, -4) & 15;
    }
}

inline_always void fifth_bits(const uint8_t *at, bytes level[GROUPS])
{
    bytes bits = bytes_at(at);
    for (int g = 0; g < GROUPS; g++)
        level[g] |= moved(bits, 4 - g) & 16;
}

inline_always void top_bits(const uint8_t *at, bytes level[GROUPS])
{
    for (int g = 0; g < GROUPS; g++)
        level[g] |= moved(bytes_at(at + g / 4 * 64), 4 - 2 * (g % 4)) & 48;
}

inline_always void three_bits(const uint8_t *at, bytes level[GROUPS])
{
    bytes high = bytes_at(at + 128);
    for (int g = 0; g < GROUPS; g++)
        level[g] = (moved(bytes_at(at + g / 4 * 64), -2 * (g % 4)) & 3) | (moved(high, 2 - g) & 4);
}

/* Whether levels are in planes of two bits and one. */
inline_always bool has_planes(quant_type type)
{
    return type == QUANT_M3 || type == QUANT_Q3_K;
}

/* Whether the halves of a block have scales of their own. */
inline_always bool has_halves(quant_type type)
{
    return type == QUANT_Q6_K || type == QUANT_Q3_K;
}

inline_always bool is_m(quant_type type)
{
    return type == QUANT_M4 || type == QUANT_M3;
}

inline_always bool has_bytes(quant_type type)
{
    return type == QUANT_Q8_0 || type == QUANT_IQ4_NL || type == QUANT_IQ4_XS || is_m(type);
}

inline_always bytes byte_level(quant_type type, const uint8_t *at, size_t g, bytes code)
{
    switch (type) {
    case QUANT_Q8_0: return bytes_at(at + 64 * g);
    case QUANT_M4: return look_up(quant_m4_levels, code);
    case QUANT_M3: return look_up_8(quant_m3_levels, code);
    default: return look_up(quant_iq4_levels, code);
    }
}

inline_always void levels_of(quant_type type, const uint8_t *at, bytes level[GROUPS])
{
    if (has_planes(type))
        three_bits(at, level);
    else if (type != QUANT_Q8_0)
        nibbles(at, level);
    for (size_t g = 0; g < GROUPS && has_bytes(type); g++) {
        level[g] = byte_level(type, at, g, level[g]);
        if (!SIGNED_BYTES)
            level[g] ^= 128;
    }
    if (type == QUANT_Q5_0 || type == QUANT_Q5_1 || type == QUANT_Q5_K)
        fifth_bits(at + 256, level);
    if (type == QUANT_Q6_K)
        top_bits(at + 256, level);
}

/* The offset of a format's levels is 8 << this. */
enum { NO_OFFSET = -1, HALF_OF_8 = -2 };

inline_always int offset_shift(quant_type type)
{
    if (has_bytes(type))
        return SIGNED_BYTES ? NO_OFFSET : 4;
    switch (type) {
    case QUANT_Q3_K: return HALF_OF_8;
    case QUANT_Q4_0: return 0;
    case QUANT_Q5_0: return 1;
    case QUANT_Q6_K: return 2;
    default: return NO_OFFSET;
    }
}

/* ---- scales ---- */

typedef struct block_scales {
    floats scale, second; /* second: of the last 16 columns where halves have their own, else the minimum */
} block_scales;

inline_always bool has_minimum(quant_type type)
{
    return type == QUANT_Q4_1 || type == QUANT_Q5_1 || type == QUANT_Q4_K || type == QUANT_Q5_K;
}

/* Of rows `row` … `row` + HEIGHT − 1. */
inline_always block_scales scales_of(quant_type type, const uint8_t *header, const uint8_t *at, size_t row)
{
    const floats none = {0};
    switch (type) {
    case QUANT_Q4_1:
    case QUANT_Q5_1: return (block_scales){halves_at(at + 2 * row), halves_at(at + 32 + 2 * row)};
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        return (block_scales){halves_at(header + 2 * row) * unsigned_at(at + row),
                              (none - halves_at(header + 32 + 2 * row)) * unsigned_at(at + 16 + row)};
    case QUANT_Q3_K:
    case QUANT_Q6_K:
        return (block_scales){halves_at(header + 2 * row) * signed_at(at + row),
                              halves_at(header + 2 * row) * signed_at(at + 16 + row)};
    case QUANT_IQ4_XS: return (block_scales){halves_at(header + 2 * row) * signed_at(at + row), none};
    case QUANT_M4:
    case QUANT_M3: return (block_scales){m_scales_at(at + row), none};
    default: return (block_scales){halves_at(at + 2 * row), none};
    }
}

/* ---- products ---- */

inline_always ints first_sum(const uint8_t *offset, int shift)
{
    const words none = {0};
    if (shift == NO_OFFSET)
        return (ints)none;
    words eights = none + load_u32(offset);
    return shift == HALF_OF_8 ? (ints)eights >> 1 : (ints)(eights << (uint32_t)shift);
}

/* The dot products of `count` tokens with the columns of groups [begin, end). The tokens go side by side: each one's dot
 * products are a chain in which every step waits for the one before. */
inline_always void dot_products(quant_type type, ints *dot, const bytes level[GROUPS], const uint8_t *x, size_t tokens,
                                size_t first, size_t count, size_t begin, size_t end)
{
    int shift = offset_shift(type);
    bool all = end - begin == GROUPS;
    UNROLLED
    for (size_t t = 0; t < count; t++) {
        dot[t] = first_sum(x + (begin == 0 && !all ? INT8_HALVES : INT8_OFFSETS) * tokens + 4 * (first + t), shift);
        if (begin > 0)
            dot[t] -= first_sum(x + INT8_HALVES * tokens + 4 * (first + t), shift);
    }
    add_products(type, dot, level, x + INT8_BLOCK * first, count, begin, end);
}

/* Adds `count` tokens' parts of a block to their sums. */
inline_always void add_block(quant_type type, floats *sum, const bytes level[GROUPS], block_scales w, const uint8_t *x,
                             size_t tokens, size_t first, size_t count)
{
    const uint8_t *scales = x + INT8_SCALES * tokens + 4 * first;
    ints dot[AT_ONCE];
    if (has_halves(type)) {
        floats half[AT_ONCE];
        dot_products(type, dot, level, x, tokens, first, count, 0, GROUPS / 2);
        UNROLLED
        for (size_t t = 0; t < count; t++)
            half[t] = w.scale * __builtin_convertvector(dot[t], floats);
        dot_products(type, dot, level, x, tokens, first, count, GROUPS / 2, GROUPS);
        UNROLLED
        for (size_t t = 0; t < count; t++)
            sum[t] += (half[t] + w.second * __builtin_convertvector(dot[t], floats)) * load_f32(scales + 4 * t);
        return;
    }
    dot_products(type, dot, level, x, tokens, first, count, 0, GROUPS);
    UNROLLED
    for (size_t t = 0; t < count; t++)
        sum[t] += w.scale * load_f32(scales + 4 * t) * __builtin_convertvector(dot[t], floats);
    if (has_minimum(type)) {
        UNROLLED
        for (size_t t = 0; t < count; t++)
            sum[t] += w.second * load_f32(x + INT8_SCALED_SUMS * tokens + 4 * (first + t));
    }
}

inline_always void fetch_ahead(const uint8_t *at, size_t block_bytes)
{
    for (size_t i = 0; i < block_bytes; i += 64)
        _mm_prefetch((const char *)at + AHEAD + i, _MM_HINT_T0);
}

inline_always floats floats_at(const float *at)
{
    floats value;
    memcpy(&value, at, sizeof value);
    return value;
}

inline_always void put_floats(float *at, floats value)
{
    memcpy(at, &value, sizeof value);
}

inline_always void multiply(quant_type type, size_t block_bytes, size_t header_bytes, size_t scale_bytes,
                            const uint8_t *at, size_t columns, const uint8_t *x, float *sums, size_t tokens,
                            size_t stride, bool add)
{
    const uint8_t *header = NULL;
    const floats none = {0};
    floats sum[PARTS][TOKEN_TILE];
    UNROLLED
    for (size_t part = 0; part < PARTS; part++) {
        UNROLLED
        for (size_t t = 0; t < tokens; t++)
            sum[part][t] = none;
    }
    for (size_t b = 0; b < columns / PANEL_BLOCK; b++) {
        if (header_bytes != 0 && b % (PANEL_HEADER_COLUMNS / PANEL_BLOCK) == 0) {
            header = at;
            at += header_bytes;
        }
        if (tokens <= 2)
            fetch_ahead(at, block_bytes);
        UNROLLED
        for (size_t part = 0; part < PARTS; part++) {
            /* Else the compiler keeps what it broadcasts for the other part: more than there are registers. */
            __asm__ volatile("" : "+r"(x));
            bytes level[GROUPS];
            levels_of(type, at + part * VECTOR_BYTES, level);
            block_scales w = scales_of(type, header, at + block_bytes - scale_bytes, part * HEIGHT);
            size_t whole = tokens / AT_ONCE * AT_ONCE;
            for (size_t t = 0; t < whole; t += AT_ONCE)
                add_block(type, sum[part] + t, level, w, x, tokens, t, AT_ONCE);
            add_block(type, sum[part] + whole, level, w, x, tokens, whole, tokens - whole);
        }
        at += block_bytes;
        x += INT8_BLOCK_BYTES * tokens;
    }
    UNROLLED
    for (size_t t = 0; t < tokens; t++) {
        UNROLLED
        for (size_t part = 0; part < PARTS; part++) {
            float *to = sums + t * stride + part * HEIGHT;
            put_floats(to, add ? floats_at(to) + sum[part][t] : sum[part][t]);
        }
    }
}

#define PANEL_PRODUCTS(format, name, level_bits, high_bits, scale_bytes, header_bytes)                                 \
    inline_always void name(const uint8_t *panel, size_t columns, const uint8_t *x, float *sums, size_t tokens,        \
                            size_t stride, bool add)                                                                   \
    {                                                                                                                  \
        multiply(QUANT_##format, (level_bits + high_bits) * 64 + scale_bytes, header_bytes, scale_bytes, panel,        \
                 columns, x, sums, tokens, stride, add);                                                               \
    }                                                                                                                  \
    PANEL_TILES(name, true)

PANEL_LAYOUT_LIST(PANEL_PRODUCTS)

/* An instruction set's table is {PANEL_LAYOUT_LIST(PANEL_ENTRY)}. */
#define PANEL_ENTRY(format, function, level_bits, high_bits, scale_bytes, header_bytes)                                \
    [KERNEL_SLOT(QUANT_##format)] = {                                                                                  \
        .name = PANEL_KERNEL, .needs = PANEL_NEEDS, .scratch_bytes = panel_scratch_bytes, .run = function##_run},

#endif
