/* A Hugging Face folder's tensors as GGUF has them: other names, some rows in another order, norms of Gemma with the 1
 * that its code adds. They are declared, then written one after the other, a few megabytes at a time. */
#ifndef MOTE_PREPARE_CONVERT_TENSORS_H
#define MOTE_PREPARE_CONVERT_TENSORS_H

#include "format/safetensors.h"
#include "prepare/convert_config.h"

typedef struct convert_tensor {
    char name[64];
    const safetensors_tensor *source; /* NULL: `values` */
    const float *values;
    size_t rows, columns; /* a vector: 1 row */
    const quant_format *format;
    uint32_t pairs; /* not 0: heads of so many rows, of which row i and row i + pairs / 2 become neighbours */
    float add;
} convert_tensor;

typedef struct convert_tensors {
    const safetensors *files;
    convert_tensor *at;
    size_t count;
} convert_tensors;

/* Finds every tensor that a model of that shape has. Matrices get `format` (NULL: the embedding's own), vectors F32.
 * Errors: FORMAT (one is missing, or of another shape), UNSUPPORTED (one has no place, or a type that is no float), MEMORY.
 * Free with convert_tensors_free, also on failure. */
mote_status convert_tensors_find(convert_tensors *tensors, const convert_config *config, const safetensors *files,
                                 const quant_format *format, mote_error *error);
void convert_tensors_free(convert_tensors *tensors);

void convert_tensors_declare(const convert_tensors *tensors, gguf_output *out);

/* Writes all, in the order declared. `progress` (NULL is fine) hears the part done; false stops with CANCELLED.
 * Errors: CANCELLED, IO, MEMORY, FORMAT (a value that is no number), LIMIT (one that the format cannot hold). */
mote_status convert_tensors_write(const convert_tensors *tensors, gguf_output *out,
                                  bool (*progress)(void *user, double done), void *user, mote_error *error);

#endif
