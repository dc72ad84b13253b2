/* Checked arithmetic on sizes that come from outside.
 *
 * Every count, length and offset read from a file passes through these before it is used: the result is either exact or
 * the call says false and leaves *out untouched. Raw `*` and `+` on such values are how parsers of this kind have been
 * broken again and again. */
#ifndef MOTE_BASE_CHECKED_H
#define MOTE_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool checked_add(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

static inline bool checked_mul(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

/* Rounds up to a multiple of `alignment`, a power of two. */
static inline bool checked_align(size_t value, size_t alignment, size_t *out)
{
    size_t padded;
    if (!checked_add(value, alignment - 1, &padded))
        return false;
    *out = padded & ~(alignment - 1);
    return true;
}

/* A 64-bit number of a file as a size of this machine: false where size_t has 32 bits and the number has more. */
static inline bool checked_size(uint64_t value, size_t *out)
{
    if (value > SIZE_MAX)
        return false;
    *out = (size_t)value;
    return true;
}

/* Do `length` bytes at `offset` lie inside `extent` bytes? */
static inline bool checked_range(size_t offset, size_t length, size_t extent)
{
    return offset <= extent && length <= extent - offset;
}

#endif
