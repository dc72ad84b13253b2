/* What a tensor's weights lose when they are encoded in a format and decoded again. */
#ifndef MOTE_PREPARE_CODING_LOSS_H
#define MOTE_PREPARE_CODING_LOSS_H

#include "base/thread_pool.h"
#include "format/gguf.h"

/* Σ importance × (weight − decoded)² ÷ Σ importance × weight², over every eighth row, or so that they are 32 to 256: enough
 * to compare formats by. `importance` [columns]: NULL: all alike. 0 for a matrix of zeros. `tensor` has a format; `format`
 * has an encoder and blocks that fill its rows. Does not depend on the pool. Errors: MEMORY. */
mote_status coding_loss(double *loss, const gguf_tensor *tensor, const quant_format *format, const float *importance,
                        thread_pool *pool, mote_error *error);

/* The whole tensor so encoded and decoded, as F16: halves[elements]. Errors: MEMORY. */
mote_status coding_result(uint16_t *halves, const gguf_tensor *tensor, const quant_format *format,
                          const float *importance, thread_pool *pool, mote_error *error);

#endif
