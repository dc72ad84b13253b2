/* How mote bench tells its results: llama-bench's table for people, and its JSON, JSON lines and CSV for programs. Keys and
 * columns that both have mean the same and come in the same order; ours follow. */
#ifndef MOTE_CLI_BENCH_REPORT_H
#define MOTE_CLI_BENCH_REPORT_H

#include <jansson.h>

#include "bench_test.h"
#include "machine_state.h"

typedef enum bench_format { BENCH_MD, BENCH_JSON, BENCH_CSV, BENCH_JSONL } bench_format;

struct bench_report {
    struct output out;
    bench_format format;
    mote_cpu_info cpu;
    mote_machine machine;
    struct machine_state before;
    bool cold;
    bool warmup;
    json_t *list;      /* of BENCH_JSON, which is told whole at the end */
    bool begun;        /* a first result has been told */
    uint64_t smallest; /* weights of a model, in bytes */
};

void bench_report_begin(struct bench_report *report);
/* False when nothing more can be told: after complaining, or because the output is gone. */
bool bench_report_add(struct bench_report *report, const char *path, const mote_model_info *info,
                      const struct bench_result *result);
/* Tells of the machine. Returns the exit status. */
int bench_report_end(struct bench_report *report, const struct machine_state *after, int status);

#endif
