/* The tables of kernels: what a model computes with, one entry per operation and format.
 *
 * kernel_table_init fills a table with the generic entries, which run anywhere, then lets each instruction set that the
 * processor has overwrite the entries it does better, in ascending order. An entry is chosen when the table is made and
 * called through a pointer, so that a running binary can test any of them against its generic twin.
 *
 * Kernels are plain functions on memory: they neither allocate nor know threads. Driving them over a pool is the task of
 * matmul.h and of the model's blocks. */
#ifndef MOTE_KERNEL_KERNELS_H
#define MOTE_KERNEL_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/attention_kernels.h"
#include "kernel/int8_tokens.h"
#include "quant/formats.h"

/* ---- matrix products: y[t][r] = Σ_c w[r][c] · x[t][c], for rows [begin, end) of the weight and all tokens t ---- */

/* One product. Weights lie either as in a file, and are multiplied with tokens in float, or in panels (panels.h), and are
 * multiplied with tokens in int8 (int8_tokens.h). Rows of x and y may lie apart (`stride`, in floats), or each on its own
 * (`y_rows`). */
typedef struct matmul_job {
    const quant_format *format;
    bool packed;         /* weights in panels, tokens in int8 */
    const void *weights; /* rows × (columns ÷ format->block × format->bytes) bytes, or panels; any alignment */
    size_t rows;
    size_t columns;
    size_t tokens;
    const float *x; /* tokens × columns; unused when packed */
    size_t x_stride;
    const void *x_int8; /* the tokens as int8; unused unless packed */
    float *y;           /* tokens × rows */
    size_t y_stride;
    float *const *y_rows; /* instead of y: where each token's row goes; NULL: use y */
    const float *bias;    /* rows, or NULL */
    bool accumulate;      /* y += instead of y = */
} matmul_job;

typedef struct matmul_kernel {
    const char *name;                        /* "generic" */
    uint32_t needs;                          /* CPU_… flags */
    size_t (*scratch_bytes)(size_t columns); /* a worker's own memory while it runs */
    void (*run)(const matmul_job *job, size_t begin, size_t end, void *scratch);
} matmul_kernel;

/* ---- vectors ---- */

typedef struct vector_kernels {
    const char *name;
    uint32_t needs;
    /* out = in ÷ rms(in) × weight (Zhang and Sennrich 2019). in may be out. */
    void (*rms_norm)(const float *in, const float *weight, float epsilon, float *out, size_t count);
    /* Rotates pairs of a head by angles (Su et al. 2021): pairs are (i, i + half) or (2i, 2i + 1). */
    void (*rope_halves)(float *head, const float *cosine, const float *sine, size_t half);
    void (*rope_pairs)(float *head, const float *cosine, const float *sine, size_t half);
    /* out = act(gate) × up (GLU variants, Shazeer 2020); gelu in its tanh form. gate may be out. */
    void (*silu_gate)(const float *gate, const float *up, float *out, size_t count);
    void (*gelu_gate)(const float *gate, const float *up, float *out, size_t count);
    void (*add)(float *sum, const float *term, size_t count); /* sum += term */
} vector_kernels;

enum { KERNEL_FORMATS = 64 };
#define KERNEL_SLOT(type) ((type) % KERNEL_FORMATS) /* the place of a quant_type in tables; no two have the same */

typedef struct kernel_table {
    const matmul_kernel *matmul[KERNEL_FORMATS]; /* by KERNEL_SLOT; NULL where there is no such type */
    const matmul_kernel *panels[KERNEL_FORMATS]; /* the same for packed weights; NULL: this format is not packed */
    int8_tokens_store *to_int8;
    attention_kernels attention;
    const vector_kernels *vectors;
} kernel_table;

/* The best entries for a processor with these CPU_… flags. */
void kernel_table_init(kernel_table *table, uint32_t features);

/* Fills every entry. */
void kernel_generic_init(kernel_table *table);

#endif
