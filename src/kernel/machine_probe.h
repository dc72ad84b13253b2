/* The two limits of a machine that a language model runs into: how fast it reads memory, and how many 8-bit products it
 * adds up. A decode step cannot be faster than reading the weights, a prompt not faster than multiplying them: figures
 * beside these limits say how much is left to win, on any board.
 *
 * A probe for dot products is one instruction set's best instruction for them in a loop that does nothing else, in
 * registers alone. */
#ifndef MOTE_KERNEL_MACHINE_PROBE_H
#define MOTE_KERNEL_MACHINE_PROBE_H

#include "base/thread_pool.h"

enum {
    /* Independent sums in a probe. The widest machines start four such instructions a cycle and finish each three
     * cycles later. */
    PROBE_SUMS = 12,
};

typedef struct dot_probe {
    const char *name;  /* the instruction: "vpdpbusd" */
    uint32_t needs;    /* CPU_… flags */
    double operations; /* of one round: each product and each addition of one counts */
    void (*run)(size_t rounds);
} dot_probe;

/* Bytes a second that all threads of the pool together read from `bytes` of memory, the best of several passes. Choose
 * several times the largest cache. Errors: MEMORY. */
mote_status machine_probe_read(thread_pool *pool, size_t bytes, double *out, mote_error *error);

/* Operations a second of all threads together with the fastest probe that these CPU_… flags allow; its name. */
double machine_probe_dots(thread_pool *pool, uint32_t features, const char **name);

/* The probe at an index, in ascending order of instruction sets; NULL past the last. */
const dot_probe *machine_probe_at(size_t index);

/* Bytes of the first processor's largest cache; 0 where the system does not tell. */
size_t machine_probe_cache(void);

#endif
