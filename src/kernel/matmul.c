/* Drives matrix products over the thread pool: rows are split among threads, so that each weight is read by one. */
#include "kernel/matmul.h"

#include "quant/panels.h"

/* Rows are handed out by the panel, whatever the kernel. */
enum { UNIT = PANEL_ROWS };

enum { RANGES_OF_MANY = 48, RANGES_OF_FEW = 2 }; /* for each thread */

typedef struct matmul_loop {
    const kernel_table *kernels;
    const matmul_job *jobs; /* their units follow one another */
    unsigned char *scratch;
    size_t scratch_stride;
} matmul_loop;

static const matmul_kernel *kernel_of(const kernel_table *kernels, quant_type type, bool packed)
{
    return (packed ? kernels->panels : kernels->matmul)[KERNEL_SLOT(type)];
}

static size_t units_of(const matmul_job *job)
{
    return (job->rows + UNIT - 1) / UNIT;
}

static void run_units(void *context, size_t begin, size_t end, uint32_t worker)
{
    const matmul_loop *loop = context;
    for (const matmul_job *job = loop->jobs; begin < end; job++) {
        size_t units = units_of(job);
        if (begin < units) {
            size_t last = (end < units ? end : units) * UNIT;
            kernel_of(loop->kernels, job->format->type, job->packed)
                ->run(job, begin * UNIT, last < job->rows ? last : job->rows,
                      loop->scratch + worker * loop->scratch_stride);
        }
        begin = begin > units ? begin - units : 0;
        end = end > units ? end - units : 0;
    }
}

void matmul(const kernel_table *kernels, thread_pool *pool, const matmul_job *jobs, size_t count, void *scratch,
            size_t scratch_stride)
{
    size_t units = 0;
    for (size_t i = 0; i < count; i++)
        units += units_of(&jobs[i]);
    /* Many ranges even out threads of unequal speed, and cost nothing while each is computed many times; where memory is
     * the limit, few long ones keep it streaming. */
    size_t ranges = jobs[0].tokens > TOKEN_TILE ? RANGES_OF_MANY : RANGES_OF_FEW;
    size_t grain = units / (ranges * thread_pool_active(pool));
    matmul_loop loop = {kernels, jobs, scratch, scratch_stride};
    thread_pool_for(pool, units, grain > 0 ? grain : 1, run_units, &loop);
}

const matmul_kernel *weight_kernel(const kernel_table *kernels, const weight *w)
{
    return kernel_of(kernels, w->format->type, w->packed);
}

void weight_row(const weight *w, size_t row, float *values)
{
    if (w->packed) {
        const panel_layout *layout = panel_layout_of(w->format->type);
        const unsigned char *panel =
            (const unsigned char *)w->data + row / PANEL_ROWS * panel_bytes(layout, w->columns);
        panel_decode_row(layout, panel, row % PANEL_ROWS, w->columns, values);
    } else {
        size_t row_bytes = w->columns / w->format->block * w->format->bytes;
        w->format->decode((const unsigned char *)w->data + row * row_bytes, values, w->columns);
    }
}
