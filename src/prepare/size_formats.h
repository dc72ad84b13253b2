/* Choosing a format for every matrix of a model so that its file keeps to a size: which formats there are for it, what each
 * takes and loses, and size_plan.h's answer. */
#ifndef MOTE_PREPARE_SIZE_FORMATS_H
#define MOTE_PREPARE_SIZE_FORMATS_H

#include "prepare/sensitivity.h"

typedef struct size_wish {
    uint64_t size;                /* bytes of the file at most */
    uint64_t head;                /* of these, bytes in front of the weights: gguf_output_head_bytes */
    size_t alignment;             /* of the weights in the file */
    bool standard_only;           /* no formats of ours: llama.cpp is to load the file */
    const importance *importance; /* NULL: all inputs count alike */
    const char *text;             /* for calibration; NULL: all matrices count alike */
    size_t length;
    uint32_t threads;                          /* 0: all that the process may use */
    bool (*progress)(void *user, double done); /* NULL is fine; false stops */
    void *user;
} size_wish;

typedef struct size_outcome {
    uint64_t bytes; /* of the file */
    double loss;    /* expected KL divergence from the source, nats a token; without a text only to compare by */
    double gap;     /* a better choice may lose less by at most this, almost always 0 */
} size_outcome;

/* The format of each tensor of the source's file, which was opened unpacked; vectors, and what is smaller as it is, keep
 * theirs. Formats without a layout for the fast products, Q2_K above all, are used where others are not small enough, or
 * nothing but standard formats may be.
 * Errors: LIMIT (even the smallest formats take more: says the least size); as sensitivity_measure. */
mote_status size_formats_choose(const quant_format **format, size_outcome *outcome, mote_model *source,
                                const size_wish *wish, mote_error *error);

#endif
