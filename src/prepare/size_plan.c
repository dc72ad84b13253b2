/* The multiple-choice knapsack in three steps (Sinha and Zoltners 1979; the list of states is Nemhauser and Ullmann's, 1969).
 *
 * 1. Of each item, the choices on the lower convex hull of (bytes, loss):
 *
 *        loss │ *                      the slope of a step from one to the next is what a byte is worth there
 *             │   ╲   ·
 *             │     * ─── *
 *             └────────────── bytes
 *
 * 2. Greedy: from the smallest choices on, the steps are taken by falling slope while they fit. The slope of the first that
 *    does not fit is the price λ of a byte. No choice of bytes ≤ most can lose less than
 *        bound = Σ min (loss + λ bytes) − λ most
 *    and the distance of the greedy answer from it is at most about one step of one item.
 *
 * 3. Exact: a choice is charged for what it is worse than its item's best at that price, cost = loss + λ bytes − min. An
 *    answer that beats the greedy one has all its costs, and λ for each byte left over, below that small distance. So the
 *    items are gone through one after the other with a list of partial answers: those that cost too much, take too much
 *    room, or lose and take as much as another, are dropped. Few are left. Should there be more than the list holds, the
 *    cheapest stay, and the cost of the cheapest that went bounds what may have been missed. */
#include "prepare/size_plan.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_STATES = 2048, LEAST_STATES = 16, MOST_NODES = 1 << 19, ROOT = 0 };

/* A point of an item's hull, and the step that leads to it. */
typedef struct step {
    uint32_t item, choice;
    uint64_t bytes; /* more than the point before */
    double slope;   /* loss that a byte saves */
} step;

/* A partial answer: the choices for the items so far, as a path to the root. */
typedef struct node {
    uint64_t bytes;
    double loss, cost;
    uint32_t parent, choice;
} node;

typedef struct solver {
    const size_item *items;
    size_t count;
    uint64_t most;
    size_t *chosen; /* the best answer so far */
    double loss;    /* its */
    step *steps;
    size_t step_count;
    bool *closed; /* [count]: greedy takes no more steps of it */
    double price, bound;
    double *best;        /* [count]: the least loss + price × bytes */
    uint64_t *least_of;  /* [count + 1]: bytes that the items from here on need at least */
    uint64_t *most_of;   /* [count + 1]: and can take at most */
    node *nodes;         /* of all lists; a node's parent stands before it */
    node *next;          /* the list being made: states × SIZE_PLAN_MOST_CHOICES */
    size_t states;       /* that a list holds at the most */
    double dropped_cost; /* of the cheapest that was dropped for want of room in a list */
} solver;

/* ------------------------------------------------------------------------------------------------------------ checks */

static uint64_t extreme_bytes(const size_item *item, bool largest)
{
    uint64_t bytes = item->choice[0].bytes;
    for (size_t j = 1; j < item->count; j++)
        if ((item->choice[j].bytes > bytes) == largest)
            bytes = item->choice[j].bytes;
    return bytes;
}

mote_status size_plan_least(uint64_t *bytes, const size_item *items, size_t count, mote_error *error)
{
    uint64_t least = 0, largest = 0;
    if (count == 0 || count > SIZE_PLAN_MOST_ITEMS)
        return fail(error, MOTE_E_ARGUMENT, "%zu tensors to fit into a size; there may be 1 to %d", count,
                    SIZE_PLAN_MOST_ITEMS);
    for (size_t i = 0; i < count; i++) {
        if (items[i].count == 0 || items[i].count > SIZE_PLAN_MOST_CHOICES)
            return fail(error, MOTE_E_ARGUMENT, "tensor %zu has %zu formats to choose from; there may be 1 to %d", i,
                        items[i].count, SIZE_PLAN_MOST_CHOICES);
        for (size_t j = 0; j < items[i].count; j++)
            if (!(items[i].choice[j].loss >= 0) || isinf(items[i].choice[j].loss))
                return fail(
                    error, MOTE_E_ARGUMENT,
                    "tensor %zu would lose %g in format %zu, which is no loss; its weights hold numbers that are none",
                    i, items[i].choice[j].loss, j);
        least += extreme_bytes(&items[i], false); /* no overflow: the largest are more */
        if (__builtin_add_overflow(largest, extreme_bytes(&items[i], true), &largest))
            return fail(error, MOTE_E_ARGUMENT, "the tensors up to %zu are more than a file can hold; leave some out",
                        i);
    }
    *bytes = least;
    return MOTE_OK;
}

/* -------------------------------------------------------------------------------------------------- hull and greedy */

static double slope_between(const size_choice *from, const size_choice *to)
{
    return (from->loss - to->loss) / (double)(to->bytes - from->bytes);
}

/* The next point of the hull after `at`: the steepest way down, and of equally steep ones the farthest. */
static size_t next_on_hull(const size_item *item, size_t at)
{
    size_t next = item->count;
    const size_choice *from = &item->choice[at], *best = NULL;
    for (size_t j = 0; j < item->count; j++) {
        const size_choice *to = &item->choice[j];
        if (to->bytes <= from->bytes || to->loss >= from->loss)
            continue;
        double slope = slope_between(from, to), best_slope = best != NULL ? slope_between(from, best) : -1;
        if (slope > best_slope || (slope >= best_slope && to->bytes > best->bytes)) {
            next = j;
            best = to;
        }
    }
    return next;
}

static size_t smallest(const size_item *item)
{
    size_t at = 0;
    for (size_t j = 1; j < item->count; j++)
        if (item->choice[j].bytes < item->choice[at].bytes ||
            (item->choice[j].bytes == item->choice[at].bytes && item->choice[j].loss < item->choice[at].loss))
            at = j;
    return at;
}

static int by_slope(const void *left, const void *right)
{
    const step *a = left, *b = right;
    if (a->slope > b->slope || a->slope < b->slope)
        return a->slope > b->slope ? -1 : 1;
    if (a->item != b->item)
        return a->item < b->item ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes); /* slopes of an item fall strictly: never asked */
}

/* Starts from the smallest choices, and lists all steps by falling slope. */
static void find_steps(solver *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const size_item *item = &s->items[i];
        size_t at = s->chosen[i] = smallest(item);
        for (size_t to; (to = next_on_hull(item, at)) < item->count; at = to)
            s->steps[s->step_count++] = (step){.item = (uint32_t)i,
                                               .choice = (uint32_t)to,
                                               .bytes = item->choice[to].bytes - item->choice[at].bytes,
                                               .slope = slope_between(&item->choice[at], &item->choice[to])};
    }
    qsort(s->steps, s->step_count, sizeof *s->steps, by_slope);
}

/* Takes steps while they fit; an item that one of them did not fit is left there. */
static void take_steps(solver *s, uint64_t room)
{
    for (size_t k = 0; k < s->step_count; k++) {
        const step *t = &s->steps[k];
        if (s->closed[t->item])
            continue;
        if (t->bytes > room) {
            s->closed[t->item] = true;
            s->price = s->price > 0 ? s->price : t->slope;
            continue;
        }
        room -= t->bytes;
        s->chosen[t->item] = t->choice;
    }
}

static double loss_of(const solver *s, const size_t *chosen)
{
    double loss = 0;
    for (size_t i = 0; i < s->count; i++)
        loss += s->items[i].choice[chosen[i]].loss;
    return loss;
}

static double at_price(const solver *s, const size_choice *choice)
{
    return choice->loss + s->price * (double)choice->bytes;
}

static void find_bound(solver *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        s->best[i] = INFINITY;
        for (size_t j = 0; j < s->items[i].count; j++)
            s->best[i] = fmin(s->best[i], at_price(s, &s->items[i].choice[j]));
        sum += s->best[i];
    }
    s->bound = fmax(0, sum - s->price * (double)s->most);
}

/* ------------------------------------------------------------------------------------------------------------- exact */

static int by_bytes(const void *left, const void *right)
{
    const node *a = left, *b = right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    if (a->loss > b->loss || a->loss < b->loss)
        return a->loss < b->loss ? -1 : 1;
    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    return (a->choice > b->choice) - (a->choice < b->choice);
}

static int by_cost(const void *left, const void *right)
{
    const node *a = left, *b = right;
    if (a->cost > b->cost || a->cost < b->cost)
        return a->cost < b->cost ? -1 : 1;
    return by_bytes(left, right);
}

/* May anything better than the best answer come of this, a choice for the items before `next`? */
static bool is_promising(const solver *s, const node *n, size_t next)
{
    if (n->bytes > s->most || s->least_of[next] > s->most - n->bytes)
        return false;
    uint64_t room = s->most - n->bytes;
    double left_over = s->most_of[next] < room ? (double)(room - s->most_of[next]) : 0;
    return n->cost + s->price * left_over < s->loss - s->bound;
}

/* Every node of a list with every choice of the next item. */
static size_t extend(const solver *s, size_t item, size_t begin, size_t end)
{
    size_t made = 0;
    for (size_t j = 0; j < s->items[item].count; j++) {
        const size_choice *choice = &s->items[item].choice[j];
        double cost = at_price(s, choice) - s->best[item];
        for (size_t k = begin; k < end; k++) {
            const node *from = &s->nodes[k];
            node n = {from->bytes + choice->bytes, from->loss + choice->loss, from->cost + cost, (uint32_t)k,
                      (uint32_t)j};
            if (is_promising(s, &n, item + 1))
                s->next[made++] = n;
        }
    }
    return made;
}

/* Leaves the nodes that lose less than every smaller one, and of too many the cheapest. */
static size_t thin_out(solver *s, size_t count)
{
    size_t kept = 0;
    qsort(s->next, count, sizeof *s->next, by_bytes);
    for (size_t k = 0; k < count; k++)
        if (kept == 0 || s->next[k].loss < s->next[kept - 1].loss)
            s->next[kept++] = s->next[k];
    if (kept <= s->states)
        return kept;
    qsort(s->next, kept, sizeof *s->next, by_cost);
    s->dropped_cost = fmin(s->dropped_cost, s->next[s->states].cost);
    return s->states;
}

static void take_answer(solver *s, size_t last)
{
    for (size_t i = s->count; i-- > 0; last = s->nodes[last].parent)
        s->chosen[i] = s->nodes[last].choice;
    s->loss = loss_of(s, s->chosen);
}

static void improve(solver *s)
{
    size_t begin = ROOT, end = ROOT + 1, best = SIZE_MAX;
    s->least_of[s->count] = s->most_of[s->count] = 0;
    for (size_t i = s->count; i-- > 0;) {
        s->least_of[i] = s->least_of[i + 1] + extreme_bytes(&s->items[i], false);
        s->most_of[i] = s->most_of[i + 1] + extreme_bytes(&s->items[i], true);
    }
    s->nodes[ROOT] = (node){0};
    s->dropped_cost = INFINITY;
    for (size_t i = 0; i < s->count && begin < end; i++) {
        size_t made = thin_out(s, extend(s, i, begin, end));
        for (size_t k = 0; k < made; k++)
            s->nodes[end + k] = s->next[k];
        begin = end;
        end += made;
    }
    for (size_t k = begin; k < end; k++)
        if (best == SIZE_MAX || s->nodes[k].loss < s->nodes[best].loss)
            best = k;
    if (best != SIZE_MAX && s->nodes[best].loss < s->loss)
        take_answer(s, best);
    s->bound = fmin(s->loss, s->bound + s->dropped_cost);
}

/* ------------------------------------------------------------------------------------------------------------- solve */

static bool allocate(solver *s)
{
    size_t choices = 0, widest = 0, fair = MOST_NODES / s->count;
    for (size_t i = 0; i < s->count; i++) {
        choices += s->items[i].count;
        widest = s->items[i].count > widest ? s->items[i].count : widest;
    }
    s->states = fair > MOST_STATES ? MOST_STATES : fair < LEAST_STATES ? LEAST_STATES : fair;
    s->steps = calloc(choices, sizeof *s->steps);
    s->closed = calloc(s->count, sizeof *s->closed);
    s->best = calloc(s->count, sizeof *s->best);
    s->least_of = calloc(s->count + 1, sizeof *s->least_of);
    s->most_of = calloc(s->count + 1, sizeof *s->most_of);
    s->nodes = calloc(s->count * s->states + 1, sizeof *s->nodes);
    s->next = calloc(widest * s->states, sizeof *s->next);
    return s->steps != NULL && s->closed != NULL && s->best != NULL && s->least_of != NULL && s->most_of != NULL &&
           s->nodes != NULL && s->next != NULL;
}

static void release(solver *s)
{
    free(s->steps);
    free(s->closed);
    free(s->best);
    free(s->least_of);
    free(s->most_of);
    free(s->nodes);
    free(s->next);
}

mote_status size_plan_solve(size_plan *plan, size_t *chosen, const size_item *items, size_t count, uint64_t most,
                            mote_error *error)
{
    uint64_t least;
    *plan = (size_plan){0};
    mote_status status = size_plan_least(&least, items, count, error);
    if (status != MOTE_OK)
        return status;
    if (least > most)
        return fail(error, MOTE_E_LIMIT, "the smallest formats take %llu bytes, which is more than %llu; ask for more",
                    (unsigned long long)least, (unsigned long long)most);
    solver s = {.items = items, .count = count, .most = most, .chosen = chosen};
    if (!allocate(&s)) {
        release(&s);
        return fail_memory(error, count * (s.states + SIZE_PLAN_MOST_CHOICES) * sizeof(node),
                           "fitting a model into a size");
    }
    find_steps(&s);
    take_steps(&s, most - least);
    s.loss = loss_of(&s, chosen);
    s.bound = s.loss;
    if (s.price > 0) { /* otherwise every step fitted, and there is nothing better */
        find_bound(&s);
        improve(&s);
    }
    release(&s);
    *plan = (size_plan){.loss = s.loss, .bound = s.bound};
    for (size_t i = 0; i < count; i++)
        plan->bytes += items[i].choice[chosen[i]].bytes;
    return MOTE_OK;
}
