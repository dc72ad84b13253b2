/* Drives a matrix product over the thread pool: rows are split among threads, so that each weight is read by one. */
#include "kernel/matmul.h"

typedef struct matmul_loop {
    const matmul_kernel *kernel;
    const matmul_job *job;
    unsigned char *scratch;
    size_t scratch_stride;
} matmul_loop;

static void run_tiles(void *context, size_t begin, size_t end, uint32_t worker)
{
    const matmul_loop *loop = context;
    size_t tile = loop->kernel->row_tile, last = end * tile;
    loop->kernel->run(loop->job, begin * tile, last < loop->job->rows ? last : loop->job->rows,
                      loop->scratch + worker * loop->scratch_stride);
}

void matmul(const kernel_table *kernels, thread_pool *pool, const matmul_job *job, void *scratch, size_t scratch_stride)
{
    const matmul_kernel *kernel = (job->packed ? kernels->panels : kernels->matmul)[job->format->type];
    size_t tiles = (job->rows + kernel->row_tile - 1) / kernel->row_tile;
    /* About four ranges a thread: enough to even out a slow one, few enough that taking them costs nothing. */
    size_t grain = tiles / (4 * (size_t)thread_pool_size(pool));
    matmul_loop loop = {kernel, job, scratch, scratch_stride};
    thread_pool_for(pool, tiles, grain > 0 ? grain : 1, run_tiles, &loop);
}
