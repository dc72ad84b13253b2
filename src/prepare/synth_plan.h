/* What a synthetic model file holds: every tensor of a shape, with its format in a file of some type.
 *
 * Types are named as people name files, and mean what llama.cpp's quantizer makes of them by default: mostly one format;
 * the head in Q6_K unless the file is finer, or in M4 where the format is our own; some matrices finer in the "_m" mixes; and where rows are no whole blocks of
 * 256 the next larger format with blocks of 32. */
#ifndef MOTE_PREPARE_SYNTH_PLAN_H
#define MOTE_PREPARE_SYNTH_PLAN_H

#include "model/model_shapes.h"

typedef struct synth_type {
    const char *name; /* "q4_k_m" */
    quant_type body;  /* what most matrices are in */
    bool mix;         /* values, fused projections and half of the down projections are finer */
    uint32_t number;  /* general.file_type */
} synth_type;

const synth_type *synth_type_at(size_t index); /* NULL past the last */
const synth_type *synth_type_find(const char *name);

typedef enum synth_values {
    SYNTH_WEIGHTS, /* deviation 1 ÷ √columns */
    SYNTH_NORM,    /* about 1 */
    SYNTH_BIAS,    /* about 0 */
    SYNTH_SHORT_FACTORS,
    SYNTH_LONG_FACTORS /* LongRoPE, see synth.c */
} synth_values;

typedef struct synth_tensor {
    char name[48];
    const quant_format *format;
    synth_values values;
    size_t columns;
    size_t rows; /* 1: a vector */
} synth_tensor;

typedef struct synth_plan {
    synth_tensor *tensor; /* in the order of the file */
    size_t count;
    uint64_t parameters;
    uint64_t bytes; /* of the weights, without padding; a file of 4 GB and more is written on small machines too */
} synth_plan;

/* `layers` of the shape's. Errors: MEMORY. */
mote_status synth_plan_make(synth_plan *plan, const model_shape *shape, const synth_type *type, uint32_t layers,
                            mote_error *error);
void synth_plan_free(synth_plan *plan);

#endif
