/* What people mean by "Q4_K_M": which format each tensor of a model gets in a file of that type.
 *
 * Names, numbers (general.file_type) and rules are those of llama.cpp's quantizer, so that a file of one name has the same
 * size and the same formats wherever it was made, and is loaded there too. Matrices count: norms, biases and other vectors
 * stay as they are. */
#ifndef MOTE_PREPARE_MIXES_H
#define MOTE_PREPARE_MIXES_H

#include <stdbool.h>

#include "format/gguf.h"

typedef struct mix mix;

const mix *mix_at(size_t index);       /* NULL past the last */
const mix *mix_find(const char *name); /* "q4_k_m", in letters of either case; NULL: there is none */
const char *mix_name(const mix *m);    /* in lower case */
uint32_t mix_number(const mix *m);     /* general.file_type */

/* What the rules ask about a model. */
typedef struct mix_model {
    uint32_t layers;
    bool tied;         /* the token embedding is the head, too */
    bool shared_heads; /* four query heads or more share the keys and values of one */
    bool guided;       /* there is an importance matrix */
} mix_model;

mix_model mix_model_of(const gguf *file, bool guided);

/* Is this a matrix to quantise? */
bool mix_takes(const gguf_tensor *tensor);

/* The format for a tensor that mix_takes. Where rows are no whole blocks it is the next larger one with blocks of 32, or
 * F16: *smaller_blocks is set then, and left alone otherwise. */
const quant_format *mix_format(const mix *m, const mix_model *model, const gguf_tensor *tensor, bool *smaller_blocks);

/* The same step for a format chosen otherwise. */
const quant_format *mix_fitting(const quant_format *format, size_t columns);

#endif
