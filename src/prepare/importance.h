/* How much each input column of a model's weight matrices counts: the mean of its squares over a calibration text.
 *
 * A file of it is GGUF, in the form that llama.cpp's imatrix tools read and write. Of each matrix NAME it has two tensors of
 * F32:
 *
 *     NAME.in_sum2   [matrices][columns]   sums of squares over all tokens
 *     NAME.counts    [matrices][1]         how many tokens that were
 *
 * and of the whole: general.type = "imatrix", imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size. Models that mote
 * runs have one matrix to a name; a file for a model with experts is read as far as its other tensors go. */
#ifndef MOTE_PREPARE_IMPORTANCE_H
#define MOTE_PREPARE_IMPORTANCE_H

#include <stddef.h>

#include "base/status.h"

typedef struct importance importance;

/* Reads a file; every value in it is checked. Errors: as gguf_open; FORMAT (it is GGUF, but no importance matrix; sums or
 * counts that are none). */
mote_status importance_open(importance **out, const char *path, mote_error *error);
void importance_close(importance *importance); /* NULL is fine */

/* Mean squares of the inputs of a weight matrix ("blk.0.attn_q.weight"), [columns], each finite and at least 0; NULL: the
 * file does not know a matrix of that name with so many columns. Belongs to the importance. Any thread may ask. */
const float *importance_of(const importance *importance, const char *tensor, size_t columns);

#endif
