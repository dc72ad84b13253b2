/* A weight matrix, and its product with a batch of tokens over the thread pool. */
#ifndef MOTE_KERNEL_MATMUL_H
#define MOTE_KERNEL_MATMUL_H

#include "base/thread_pool.h"
#include "kernel/kernels.h"

/* rows × columns values in some format, as in the mapped file or in panels (panels.h). `data` NULL: the model has no such
 * weight. */
typedef struct weight {
    const quant_format *format;
    bool packed;
    const void *data;
    size_t rows;
    size_t columns;
    const char *name; /* of its tensor in the file, which it belongs to */
} weight;

/* A row, decoded. */
void weight_row(const weight *w, size_t row, float *values);

/* The kernel that multiplies this weight. */
const matmul_kernel *weight_kernel(const kernel_table *kernels, const weight *w);

/* Runs jobs that do not depend on each other in one pass over the pool, each with the table's kernel for its format.
 * `scratch` holds thread_pool_size × scratch_stride bytes, where scratch_stride is at least every kernel's
 * scratch_bytes(columns). */
void matmul(const kernel_table *kernels, thread_pool *pool, const matmul_job *jobs, size_t count, void *scratch,
            size_t scratch_stride);

#endif
