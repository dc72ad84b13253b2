/* The sums of a strip of ROWS rows with one token, on their way into y. As vector_lanes.h, for one file that defines
 * LANE_COUNT. */
#ifndef MOTE_KERNEL_GENERIC_ROW_SUMS_H
#define MOTE_KERNEL_GENERIC_ROW_SUMS_H

#include "kernel/generic/vector_lanes.h"
#include "kernel/kernels.h"

enum { ROWS = 4 };

/* `count` of the sums are rows of the job. */
static inline void write_sums(const matmul_job *job, size_t token, size_t row, size_t count, quad sum)
{
    float *at = job->y_rows != NULL ? job->y_rows[token] + row : job->y + token * job->y_stride + row;
    if (count == ROWS) {
        if (job->bias != NULL)
            sum += quad_load(job->bias + row);
        quad_store(at, job->accumulate ? quad_load(at) + sum : sum);
        return;
    }
    for (size_t r = 0; r < count; r++) {
        float value = job->bias != NULL ? sum[r] + job->bias[row + r] : sum[r];
        at[r] = job->accumulate ? at[r] + value : value;
    }
}

#endif
