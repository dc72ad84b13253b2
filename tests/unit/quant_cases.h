/* What the tests of the weight formats share: the oracle's files (tests/oracle/quant_formats.py), a comparison of floats
 * bit by bit, and a small random generator. */
#ifndef MOTE_TESTS_UNIT_QUANT_CASES_H
#define MOTE_TESTS_UNIT_QUANT_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "quant/formats.h"

/* n blocks and the n × block values that belong to them. */
typedef struct quant_cases {
    size_t count; /* values */
    size_t bytes; /* of the blocks */
    uint8_t *blocks;
    float *values;
} quant_cases;

static inline bool quant_cases_exist(const quant_format *format, const char *kind)
{
    char path[512];
    snprintf(path, sizeof path, "%s/quant/%s.%s", MOTE_TEST_DATA, format->name, kind);
    FILE *file = fopen(path, "rb");
    if (file != NULL)
        fclose(file);
    return file != NULL;
}

static inline quant_cases quant_cases_read(const quant_format *format, const char *kind)
{
    char path[512];
    snprintf(path, sizeof path, "%s/quant/%s.%s", MOTE_TEST_DATA, format->name, kind);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("cannot open %s", path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    size_t each = format->bytes + format->block * sizeof(float);
    assert_true(size > 0 && size % each == 0);

    quant_cases cases = {.count = size / each * format->block, .bytes = size / each * format->bytes};
    cases.blocks = malloc(cases.bytes);
    cases.values = malloc(cases.count * sizeof(float));
    assert_non_null(cases.blocks);
    assert_non_null(cases.values);
    assert_int_equal(fread(cases.blocks, 1, cases.bytes, file), cases.bytes);
    assert_int_equal(fread(cases.values, sizeof(float), cases.count, file), cases.count);
    fclose(file);
    return cases;
}

static inline void quant_cases_free(quant_cases *cases)
{
    free(cases->blocks);
    free(cases->values);
}

/* The same bits, so 0 is not −0; any NaN is like another. */
static inline bool same_float(float a, float b)
{
    return f32_bits(a) == f32_bits(b) || (a != a && b != b);
}

/* xorshift32 (Marsaglia 2003); the state is any number but 0. */
static inline uint32_t random_u32(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* −1 … 1 */
static inline float random_float(uint32_t *state)
{
    return (float)(random_u32(state) >> 8) * 0x1p-23f - 1;
}

#endif
