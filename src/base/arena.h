/* One block of memory, handed out front to back.
 *
 * What an engine needs is laid out by one function that runs twice: first on an arena without memory, where
 * arena_take only counts, then on one with as much as was counted. So the plan and the layout cannot disagree, and a
 * budget can be checked before a byte is allocated.
 *
 *     arena plan = {0};
 *     lay_out(&plan, …);                      counts
 *     if (plan.overflowed || !arena_allocate(&memory, plan.used)) …
 *     lay_out(&memory, …);                    the same calls, now with addresses */
#ifndef MOTE_BASE_ARENA_H
#define MOTE_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

enum { ARENA_ALIGNMENT = 64 }; /* a cache line, and the widest vector */

typedef struct arena {
    unsigned char *base; /* NULL: only counting */
    size_t size;
    size_t used;
    bool overflowed; /* a size did not fit into size_t, or into the block */
} arena;

/* Zeroed memory of `size` bytes. False: there is none. */
bool arena_allocate(arena *memory, size_t size);
void arena_release(arena *memory);

/* Asks the system for large pages, which spare a long reader most misses of the address cache. Where it has none to give,
 * nothing changes. */
void arena_use_huge_pages(const arena *memory);

/* Makes large pages of what is in small ones, where half of such a page or more lies in [at, at + size): for memory that is
 * used up piece by piece, and of which nothing shall be resident long before. Only whole large pages of the arena. */
void arena_join_pages(const arena *memory, const void *at, size_t size);

/* `count` things of `each` bytes, aligned to ARENA_ALIGNMENT. NULL while counting and after an overflow. */
void *arena_take(arena *memory, size_t count, size_t each);

#endif
