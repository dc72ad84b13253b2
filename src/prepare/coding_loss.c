#include "prepare/coding_loss.h"

#include <stdlib.h>

#include "quant/encoder.h"

enum { EVERY = 8, LEAST_ROWS = 32, MOST_ROWS = 256, ROWS_PER_RANGE = 4 };

typedef struct row_sums {
    double error, weight; /* squares, by importance */
} row_sums;

typedef struct coding {
    const gguf_tensor *tensor;
    const quant_format *format;
    const float *importance;
    size_t columns, row_bytes; /* of the tensor */
    size_t count, step;        /* rows: every `step`th */
    unsigned char *scratch;    /* for each worker: columns floats, as many decoded, and a row's blocks */
    size_t scratch_bytes;
    row_sums *sums;   /* [count]; or NULL, and */
    uint16_t *halves; /* [elements] */
} coding;

static void sum_row(const coding *c, const float *values, const float *decoded, row_sums *sums)
{
    *sums = (row_sums){0, 0};
    for (size_t j = 0; j < c->columns; j++) {
        double weight = c->importance != NULL ? (double)c->importance[j] : 1;
        double error = (double)values[j] - (double)decoded[j];
        sums->error += weight * error * error;
        sums->weight += weight * (double)values[j] * (double)values[j];
    }
}

static void code_rows(void *context, size_t begin, size_t end, uint32_t worker)
{
    const coding *c = context;
    float *values = (float *)(void *)(c->scratch + worker * c->scratch_bytes), *decoded = values + c->columns;
    void *blocks = decoded + c->columns;
    for (size_t i = begin; i < end; i++) {
        const unsigned char *row = (const unsigned char *)c->tensor->data + i * c->step * c->row_bytes;
        c->tensor->format->decode(row, values, c->columns);
        quant_encoder_of(c->format->type)(values, c->importance, blocks, c->columns);
        c->format->decode(blocks, decoded, c->columns);
        if (c->sums != NULL)
            sum_row(c, values, decoded, &c->sums[i]);
        else
            quant_encoder_of(QUANT_F16)(decoded, NULL, c->halves + i * c->columns, c->columns);
    }
}

static mote_status run(coding *c, thread_pool *pool, mote_error *error)
{
    size_t row = c->columns * 2 * sizeof(float) + c->columns / c->format->block * c->format->bytes;
    c->scratch_bytes = (row + 63) & ~(size_t)63;
    c->scratch = malloc(thread_pool_size(pool) * c->scratch_bytes);
    if (c->scratch == NULL)
        return fail_memory(error, thread_pool_size(pool) * c->scratch_bytes, "encoding weights");
    thread_pool_for(pool, c->count, ROWS_PER_RANGE, code_rows, c);
    free(c->scratch);
    return MOTE_OK;
}

static coding begin(const gguf_tensor *tensor, const quant_format *format, const float *importance)
{
    size_t columns = tensor->shape[0];
    return (coding){.tensor = tensor,
                    .format = format,
                    .importance = importance,
                    .columns = columns,
                    .row_bytes = columns / tensor->format->block * tensor->format->bytes,
                    .count = tensor->elements / columns,
                    .step = 1};
}

mote_status coding_loss(double *loss, const gguf_tensor *tensor, const quant_format *format, const float *importance,
                        thread_pool *pool, mote_error *error)
{
    coding c = begin(tensor, format, importance);
    row_sums all = {0, 0};
    size_t rows = c.count, wanted = rows / EVERY < LEAST_ROWS ? LEAST_ROWS : rows / EVERY;
    wanted = wanted > MOST_ROWS ? MOST_ROWS : wanted;
    c.step = rows > wanted ? rows / wanted : 1;
    c.count = rows > wanted ? wanted : rows;
    c.sums = malloc(c.count * sizeof *c.sums);
    if (c.sums == NULL)
        return fail_memory(error, c.count * sizeof *c.sums, "comparing formats");
    mote_status status = run(&c, pool, error);
    for (size_t i = 0; i < c.count && status == MOTE_OK; i++) {
        all.error += c.sums[i].error;
        all.weight += c.sums[i].weight;
    }
    free(c.sums);
    *loss = all.weight > 0 ? all.error / all.weight : 0;
    return status;
}

mote_status coding_result(uint16_t *halves, const gguf_tensor *tensor, const quant_format *format,
                          const float *importance, thread_pool *pool, mote_error *error)
{
    coding c = begin(tensor, format, importance);
    c.halves = halves;
    return run(&c, pool, error);
}
