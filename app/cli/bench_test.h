/* One test of mote bench: a prompt, a generation or both, at some depth, several times over. */
#ifndef MOTE_CLI_BENCH_TEST_H
#define MOTE_CLI_BENCH_TEST_H

#include "bench_statistics.h"
#include "options.h"

struct bench_test {
    uint32_t prompt;   /* tokens computed together, in passes of the engine's batch */
    uint32_t gen;      /* tokens computed one after another */
    uint32_t depth;    /* tokens that the session holds before the clock starts */
    uint32_t parallel; /* sessions that do this at the same time, in common passes */
    uint32_t threads;  /* 0: the engine's choice */
};

struct bench_options {
    mote_kv_type kv_keys;
    mote_kv_type kv_values;
    uint64_t memory; /* as in mote_engine_options */
    uint32_t batch;
    uint32_t repetitions;
    bool warmup;
    size_t evict_bytes; /* read before each pass, so that no weight is left in a cache; 0: none */
};

/* What came out. Freed with bench_result_free. */
struct bench_result {
    struct bench_test test;
    mote_engine_info engine;
    char time[32]; /* of the start, UTC: "2026-11-23T16:59:03Z" */
    size_t count;
    double *ns;    /* [count] of each repetition */
    double *rates; /* [count] tokens a second, of all sessions together */
    struct statistics time_ns;
    struct statistics rate;
    double bytes;         /* that a repetition has to read at the least; 0: there is more than decoding in it */
    double operations;    /* that a repetition has to compute at the least; 0: there is more than a prompt in it */
    uint64_t peak_memory; /* of this test; 0: the system does not tell, or memory was taken to empty caches */
};

/* Runs the test. False after complaining; the result then holds nothing. */
bool bench_test_run(struct bench_result *result, mote_model *model, const struct bench_test *test,
                    const struct bench_options *options);
void bench_result_free(struct bench_result *result);

/* "pp512+tg128 x8 @ d4096" */
struct bench_name {
    char text[96];
};
struct bench_name bench_test_name(const struct bench_test *test);

#endif
