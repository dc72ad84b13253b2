/* How much worse a model predicts for an error in each of its weight matrices.
 *
 * The measure is the Kullback-Leibler divergence of the changed model's next-token probabilities from the source's, in nats
 * a token. For small errors it grows with their square, so for a matrix t in a format f
 *
 *     KL(t, f) ≈ sensitivity(t) × coding_loss(t, f)
 *
 * and those of several matrices add up. The sensitivity is measured: the matrix alone is replaced by its form in a coarse
 * format, the calibration text is read, and KL divided by the loss of that form. */
#ifndef MOTE_PREPARE_SENSITIVITY_H
#define MOTE_PREPARE_SENSITIVITY_H

#include "base/thread_pool.h"
#include "engine/model_handle.h"
#include "prepare/importance.h"

typedef struct sensitivity_options {
    const char *text; /* for calibration */
    size_t length;
    const importance *importance; /* NULL: none */
    thread_pool *pool;            /* for encoding */
    uint32_t threads;             /* of the engine; 0: as mote_engine_options */
    bool (*progress)(void *user, double done);
    void *user;
} sensitivity_options;

/* Of each tensor of the source's file; 0 for those that are no matrices. The source was opened unpacked, and nobody else
 * uses it meanwhile; afterwards it is as it was.
 *
 * Reads 4 windows of 64 tokens, more for small models, over each matrix. Where this would be more than 2 × 10¹³ operations,
 * minutes on a small machine, only some layers of each kind of matrix are measured, 3 at least, and those between them take
 * values on the geometric line between their neighbours'.
 * Errors: ARGUMENT (the text is too short), MEMORY, CANCELLED, IO, FORMAT (the model computes what is no number); those of
 * the tokenizer. */
mote_status sensitivity_measure(double *sensitivity, mote_model *source, const sensitivity_options *options,
                                mote_error *error);

/* Without a text: all matrices count alike, which makes losses good for comparing and no forecast. */
void sensitivity_assume(double *sensitivity, const gguf *file);

#endif
