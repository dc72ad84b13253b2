/* The models of tests/data/models, or of any folder of that shape, and the logits expected of them.
 *
 * How they are made is said in tests/oracle/README.md. Failing to read one fails the running test. */
#ifndef MOTE_TESTS_ORACLE_CASE_H
#define MOTE_TESTS_ORACLE_CASE_H

#include <mote/mote.h>

typedef struct oracle_case {
    char name[64];
    char model[512]; /* path */
    uint32_t context;
    mote_token *ids;
    size_t count;
    float *logits; /* count × vocabulary: row i after id i */
    size_t vocabulary;
} oracle_case;

/* Reads DIRECTORY/MODEL.gguf's expected logits DIRECTORY/NAME.logits for the ids of DIRECTORY/IDS. */
void oracle_case_load(oracle_case *out, const char *directory, const char *name, const char *model, const char *ids,
                      uint32_t context);
void oracle_case_free(oracle_case *one);

/* All cases of tests/data/models/cases.txt; free with oracle_cases_free. */
oracle_case *oracle_cases_load(size_t *count);
void oracle_cases_free(oracle_case *cases, size_t count);

/* A whole file; its size in *size. Freed by the caller. */
void *oracle_read_file(const char *path, size_t *size);

/* √(Σ (got − expected)² ÷ Σ expected²); infinite if any number of `got` is not finite. */
double relative_l2(const float *got, const float *expected, size_t count);

#endif
