/* Little-endian numbers at any address, and half-precision numbers.
 *
 * Files store little-endian values without regard to alignment; memcpy is the portable way to read them and compiles to
 * one load. Half precision is IEEE 754 binary16; bf16 is the upper half of a binary32. */
#ifndef MOTE_BASE_BYTES_H
#define MOTE_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "mote reads little-endian files in place; this machine is big-endian"
#endif

static inline uint16_t load_u16(const void *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t load_u32(const void *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t load_u64(const void *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The number as it is now, looked at once: where memory may change meanwhile, as a mapped file's may, the compiler must
 * not load it again behind a check. */
static inline uint32_t look_u32(const void *at)
{
    uint32_t value = load_u32(at);
    __asm__("" : "+r"(value));
    return value;
}

static inline uint8_t look_u8(const void *at)
{
    uint8_t value;
    memcpy(&value, at, sizeof value);
    __asm__("" : "+r"(value));
    return value;
}

static inline void store_u16(void *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
}

static inline void store_u32(void *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static inline float load_f32(const void *at)
{
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline double load_f64(const void *at)
{
    double value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float f32_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* binary16 → binary32, exact. The exponent is moved by a multiplication, so that subnormals need no branch of their own
 * and the loop around it vectorises. */
static inline float f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t magnitude = (uint32_t)(half & 0x7fffu) << 13;
    float scaled = f32_from_bits(magnitude) * 0x1p112f;                               /* exponent bias 127 − 15 */
    uint32_t bits = f32_bits(scaled) | (magnitude >= 0x0f800000u ? 0x7f800000u : 0u); /* infinity and NaN stay so */
    return f32_from_bits(sign | bits);
}

/* binary32 → binary16, to nearest even; overflow becomes infinity, NaN stays NaN. */
static inline uint16_t f16_from_f32(float value)
{
    uint32_t bits = f32_bits(value);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (bits >= 0x477ff000u) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (bits < 0x38800000u) { /* subnormal half: adding 0.5 lines the mantissas up and rounds to even */
        float shifted = f32_from_bits(bits) + 0.5f;
        return (uint16_t)(sign | (f32_bits(shifted) - 0x3f000000u));
    }
    uint32_t odd = (bits >> 13) & 1u;
    return (uint16_t)(sign | ((bits - 0x38000000u + 0xfffu + odd) >> 13));
}

static inline float bf16_to_f32(uint16_t half)
{
    return f32_from_bits((uint32_t)half << 16);
}

/* binary32 → bf16, to nearest even; NaN stays NaN. */
static inline uint16_t bf16_from_f32(float value)
{
    uint32_t bits = f32_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#endif
