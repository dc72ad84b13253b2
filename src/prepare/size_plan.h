/* Which format each tensor gets so that a file keeps to a size and loses the least: the multiple-choice knapsack.
 *
 * An item is a tensor, its choices are what it may become, and exactly one of each is taken. What has been found is at
 * most `loss − bound` from the best there is: almost always that is nothing. size_plan.c says how it is solved. */
#ifndef MOTE_PREPARE_SIZE_PLAN_H
#define MOTE_PREPARE_SIZE_PLAN_H

#include "base/status.h"

typedef struct size_choice {
    uint64_t bytes; /* that it takes of the file, padding included */
    double loss;    /* finite, at least 0; the losses of all items add up */
} size_choice;

typedef struct size_item {
    const size_choice *choice; /* [count], in any order */
    size_t count;              /* 1 … SIZE_PLAN_MOST_CHOICES */
} size_item;

enum { SIZE_PLAN_MOST_CHOICES = 64, SIZE_PLAN_MOST_ITEMS = 65536 };

typedef struct size_plan {
    uint64_t bytes; /* of all that was chosen */
    double loss;    /* the same */
    double bound;   /* no choice within the size loses less than this */
} size_plan;

/* The bytes of the smallest choice of each item. Errors: ARGUMENT (no items, no choices or too many of them, a loss that is
 * no number, bytes beyond 64 bits). */
mote_status size_plan_least(uint64_t *bytes, const size_item *items, size_t count, mote_error *error);

/* Takes one choice of each item, `chosen[count]`, of at most `most` bytes together. The same arguments give the same
 * answer; of choices that differ in nothing but their place, the first.
 * Errors: as size_plan_least; LIMIT (the least is more than `most`), MEMORY. */
mote_status size_plan_solve(size_plan *plan, size_t *chosen, const size_item *items, size_t count, uint64_t most,
                            mote_error *error);

#endif
