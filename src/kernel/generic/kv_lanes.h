/* Lanes from and to the float formats of a KV cache, with the conversion instructions of whatever the including file is
 * compiled for. The values are the same everywhere: widening is exact, and narrowing rounds to nearest even. */
#ifndef MOTE_KERNEL_GENERIC_KV_LANES_H
#define MOTE_KERNEL_GENERIC_KV_LANES_H

#include "base/bytes.h"
#include "kernel/attention_kernels.h"
#include "kernel/generic/exp_lanes.h"

#if defined(__F16C__) && (LANE_COUNT == 8 || defined(__AVX512F__))
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

/* a × b + c, rounded once where the instruction set can. Left to the compiler, one tile's sum might be fused and another's
 * not. */
static inline lanes lanes_fma(lanes a, lanes b, lanes c)
{
#if LANE_COUNT == 16 && defined(__AVX512F__)
    return (lanes)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif LANE_COUNT == 8 && defined(__FMA__)
    return (lanes)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif LANE_COUNT == 4 && defined(__aarch64__)
    return (lanes)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

static inline lanes load_f16(const unsigned char *at)
{
#if LANE_COUNT == 16 && defined(__AVX512F__)
    return (lanes)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
#elif LANE_COUNT == 8 && defined(__F16C__)
    return (lanes)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at));
#elif LANE_COUNT == 4 && defined(__aarch64__)
    return (lanes)vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at)));
#else
    lanes value;
    for (size_t i = 0; i < LANE_COUNT; i++)
        value[i] = f16_to_f32(load_u16(at + i * sizeof(uint16_t)));
    return value;
#endif
}

static inline void narrow_f16(lanes value, uint16_t out[LANE_COUNT])
{
#if LANE_COUNT == 16 && defined(__AVX512F__)
    _mm256_storeu_si256((__m256i *)out, _mm512_cvtps_ph((__m512)value, _MM_FROUND_TO_NEAREST_INT));
#elif LANE_COUNT == 8 && defined(__F16C__)
    _mm_storeu_si128((__m128i *)out, _mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT));
#elif LANE_COUNT == 4 && defined(__aarch64__)
    vst1_u8((uint8_t *)out, vreinterpret_u8_f16(vcvt_f16_f32((float32x4_t)value)));
#else
    for (size_t i = 0; i < LANE_COUNT; i++)
        out[i] = f16_from_f32(value[i]);
#endif
}

/* LANE_COUNT values from `at`, zeros behind the end. */
static inline lanes load_some(const float *at, size_t count)
{
    lanes value = {0};
    if (count >= LANE_COUNT)
        return lanes_load(at);
    memcpy(&value, at, count * sizeof(float));
    return value;
}

/* The larger of each two; where one is no number, either. */
static inline lanes lanes_most_of(lanes a, lanes b)
{
#if LANE_COUNT == 16 && defined(__AVX512F__)
    return (lanes)_mm512_max_ps((__m512)a, (__m512)b);
#elif LANE_COUNT == 8 && defined(__AVX__)
    return (lanes)_mm256_max_ps((__m256)a, (__m256)b);
#elif LANE_COUNT == 4 && defined(__ARM_NEON)
    return (lanes)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
#else
    return lanes_select(a > b, a, b);
#endif
}

static inline lane_bits bits_most_of(lane_bits a, lane_bits b)
{
#if LANE_COUNT == 16 && defined(__AVX512F__)
    return (lane_bits)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif LANE_COUNT == 8 && defined(__AVX2__)
    return (lane_bits)_mm256_max_epi32((__m256i)a, (__m256i)b);
#elif LANE_COUNT == 4 && defined(__ARM_NEON)
    return (lane_bits)vmaxq_s32((int32x4_t)a, (int32x4_t)b);
#else
    lane_bits more = a > b;
    return (more & a) | (~more & b);
#endif
}

/* To the nearest integer, half of an odd one to even; for sizes below 2²². */
static inline lane_bits lanes_round(lanes value)
{
#if LANE_COUNT == 16 && defined(__AVX512F__)
    return (lane_bits)_mm512_cvtps_epi32((__m512)value);
#elif LANE_COUNT == 8 && defined(__AVX__)
    return (lane_bits)_mm256_cvtps_epi32((__m256)value);
#elif LANE_COUNT == 4 && defined(__aarch64__)
    return (lane_bits)vcvtnq_s32_f32((float32x4_t)value);
#else
    const float shift = 0x1.8p23f; /* no room for a fraction is left */
    return (lane_bits)(value + shift) - (lane_bits)lanes_splat(shift);
#endif
}

/* The numbers of all lanes ^ half. */
#define LANES_4(first, half) (first) ^ (half), (first + 1) ^ (half), (first + 2) ^ (half), (first + 3) ^ (half)
#if LANE_COUNT == 16
#define LANES_ACROSS(half) LANES_4(0, half), LANES_4(4, half), LANES_4(8, half), LANES_4(12, half)
#elif LANE_COUNT == 8
#define LANES_ACROSS(half) LANES_4(0, half), LANES_4(4, half)
#else
#define LANES_ACROSS(half) LANES_4(0, half)
#endif

/* A lane and the one `half` further become their sum and their difference; `half` is a literal. */
#define LANES_BUTTERFLY(value, half)                                                                                   \
    (__builtin_shufflevector(value, value, LANES_ACROSS(half)) +                                                       \
     (lanes)((lane_bits)(value) ^ ((((lane_bits){LANES_ACROSS(0)} & (half)) != 0) & INT32_MIN)))

/* `type` is a constant wherever this is inlined. */
__attribute__((always_inline)) static inline lanes load_kv(kv_type type, const unsigned char *at)
{
    lanes value;
    if (type == KV_F16)
        return load_f16(at);
    memcpy(&value, at, sizeof value);
    return value;
}

#endif
