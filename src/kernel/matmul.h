/* A weight matrix, and its product with a batch of tokens over the thread pool. */
#ifndef MOTE_KERNEL_MATMUL_H
#define MOTE_KERNEL_MATMUL_H

#include "base/thread_pool.h"
#include "kernel/kernels.h"

/* rows × columns values in some format, in the mapped file. `data` NULL: the model has no such weight. */
typedef struct weight {
    const quant_format *format;
    const void *data;
    size_t rows;
    size_t columns;
} weight;

/* Runs the job with the table's kernel for its format. `scratch` holds thread_pool_size × scratch_stride bytes, where
 * scratch_stride is at least the kernel's scratch_bytes(columns). */
void matmul(const kernel_table *kernels, thread_pool *pool, const matmul_job *job, void *scratch,
            size_t scratch_stride);

#endif
