/* Reading the expected logits of tests/data/models: see oracle_case.h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oracle_case.h"

void *oracle_read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s cannot be opened", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long end = ftell(file);
    assert_true(end >= 0);
    rewind(file);
    *size = (size_t)end;
    char *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, file), *size);
    data[*size] = '\0';
    fclose(file);
    return data;
}

static void read_ids(oracle_case *one, const char *path)
{
    size_t size;
    char *text = oracle_read_file(path, &size);
    one->ids = calloc(size / 2 + 1, sizeof *one->ids);
    assert_non_null(one->ids);
    char *at = text, *next;
    for (;; at = next) {
        long id = strtol(at, &next, 10);
        if (next == at)
            break;
        one->ids[one->count++] = (mote_token)id;
    }
    free(text);
    assert_true(one->count > 0);
}

void oracle_case_load(oracle_case *out, const char *directory, const char *name, const char *model, const char *ids,
                      uint32_t context)
{
    char path[512];
    size_t size;
    *out = (oracle_case){.context = context};
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(out->model, sizeof out->model, "%s/%s.gguf", directory, model);
    snprintf(path, sizeof path, "%s/%s", directory, ids);
    read_ids(out, path);
    snprintf(path, sizeof path, "%s/%s.logits", directory, name);
    out->logits = oracle_read_file(path, &size);
    assert_int_equal(size % (out->count * sizeof(float)), 0);
    out->vocabulary = size / (out->count * sizeof(float));
}

void oracle_case_free(oracle_case *one)
{
    free(one->ids);
    free(one->logits);
}

oracle_case *oracle_cases_load(size_t *count)
{
    enum { MOST = 64 };
    oracle_case *cases = calloc(MOST, sizeof *cases);
    assert_non_null(cases);
    FILE *list = fopen(MOTE_TEST_DATA "/models/cases.txt", "r");
    assert_non_null(list);
    char name[64], model[64], ids[72];
    unsigned context;
    for (*count = 0; fscanf(list, "%63s %63s %u", name, model, &context) == 3; ++*count) {
        assert_true(*count < MOST);
        snprintf(ids, sizeof ids, "%s.ids", name);
        oracle_case_load(&cases[*count], MOTE_TEST_DATA "/models", name, model, ids, context);
    }
    fclose(list);
    assert_true(*count > 0);
    return cases;
}

void oracle_cases_free(oracle_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        oracle_case_free(&cases[i]);
    free(cases);
}

double relative_l2(const float *got, const float *expected, size_t count)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(got[i]))
            return INFINITY;
        double d = (double)got[i] - (double)expected[i];
        difference += d * d;
        norm += (double)expected[i] * (double)expected[i];
    }
    return sqrt(difference / norm);
}
