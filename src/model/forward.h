/* One forward pass: a batch of (token, sequence, position) through all layers.
 *
 * A prompt, one step of decoding and many users' steps together are all such batches. The pass owns its scratch memory,
 * sized once for the largest batch; running it allocates nothing. */
#ifndef MOTE_MODEL_FORWARD_H
#define MOTE_MODEL_FORWARD_H

#include "base/arena.h"
#include "base/thread_pool.h"
#include "model/kv_view.h"
#include "model/model.h"

typedef struct batch {
    size_t count;
    const int32_t *token;     /* [count], each below the vocabulary */
    const uint32_t *sequence; /* [count] */
    const uint32_t *position; /* [count]; ascending within a sequence, without gaps after what the cache holds */
    /* The head is computed only for these entries of the batch, ascending; logits[i] receives a row for output[i]. */
    size_t outputs;
    const uint32_t *output;
    float *const *logits;
} batch;

/* Angles of the batch's positions: cosine and sine, [count][rope_dims / 2]. */
typedef struct rope_angles {
    double *inverse_frequency; /* [rope_dims / 2] */
    float *cosine;
    float *sine;
} rope_angles;

/* Consecutive tokens of one sequence. */
typedef struct token_tile {
    uint32_t token; /* the first one's place in the batch */
    uint32_t count;
} token_tile;

/* Looks at what products read before anything of it is rounded: x[tokens][w->columns], rows x_stride apart. `see` is called
 * by the thread that runs the pass, once for each weight, shared inputs or not. */
typedef struct input_observer {
    void (*see)(void *user, const weight *w, const float *x, size_t x_stride, size_t tokens);
    void *user;
} input_observer;

/* The arrays below hold one row for each token of the batch. */
typedef struct forward {
    const model *model;
    const kernel_table *kernels;
    thread_pool *pool;
    const kv_view *kv;
    const batch *batch;
    const input_observer *observer; /* NULL: nobody looks. May be set between two passes */

    float *x;            /* [width]: the residual stream */
    float *h;            /* [width]: what a block reads, or adds */
    float *qkv;          /* [(heads + 2 kv_heads) × head_dim] */
    float *attn;         /* [heads × head_dim] */
    float *gate_up;      /* [2 × ffn] */
    void *int8;          /* what the next products read, as int8_tokens.h has it */
    size_t int8_columns; /* there is room for so many of each token: those of the widest packed weight; 0: none is */
    bool layers_read_floats; /* a weight of theirs is not packed */
    size_t qkv_stride;
    rope_angles rope;        /* of layers that see the whole context */
    rope_angles rope_window; /* of sliding-window layers */
    token_tile *tile;        /* the batch as attention cuts it */
    float *parts;            /* of attention whose positions are shared out among threads */
    void *scratch;           /* [threads][scratch_stride]: kernels' own */
    size_t scratch_stride;
} forward;

/* Lays out a pass for batches of `largest` tokens and sessions of `context` positions, on an arena that counts or has
 * memory. The arguments are borrowed. */
void forward_lay_out(forward *pass, const model *model, const kernel_table *kernels, thread_pool *pool,
                     const kv_view *kv, size_t largest, uint32_t context, arena *memory);

/* Fixed tables, once the memory is there. */
void forward_prepare(forward *pass, uint32_t context);

/* Stores token `index` of `tokens`, a row of an input of products, as int8 too, for weights that are packed. */
void forward_to_int8(const forward *pass, const float *row, size_t columns, size_t tokens, size_t index);

/* The product of a weight with the rows of x, or their int8 twin, which the observer sees; where it goes is still to be said. */
matmul_job forward_job(const forward *pass, const weight *w, const float *x, size_t x_stride, size_t tokens);

/* Runs a batch. False: `stop` said so between two layers; the batch's cells in the cache are then undefined. */
bool forward_run(forward *pass, const batch *batch, bool (*stop)(void *user), void *user);

#endif
