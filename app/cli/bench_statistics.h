/* Mean and spread of a test's samples, as llama-bench tells them. */
#ifndef MOTE_CLI_BENCH_STATISTICS_H
#define MOTE_CLI_BENCH_STATISTICS_H

#include <stddef.h>

struct statistics {
    double mean;
    double deviation; /* of the sample: n − 1 in the denominator; 0 for one value */
};

struct statistics statistics_of(const double *values, size_t count);

#endif
