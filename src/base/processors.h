/* How many processors are ours: fewer than the machine has, where an affinity mask, a CPU quota of control groups, slow
 * cores beside fast ones, or two hardware threads in one core make more threads useless or worse.
 *
 * Everything is read from files of the kernel below a root directory (base/system_files.h), "" for the machine itself. */
#ifndef MOTE_BASE_PROCESSORS_H
#define MOTE_BASE_PROCESSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROCESSORS_MOST = 1024 };

typedef struct processor_set {
    uint64_t bits[PROCESSORS_MOST / 64];
} processor_set;

static inline bool processor_in(const processor_set *set, unsigned index)
{
    return set->bits[index / 64] >> index % 64 & 1;
}

/* Those that the affinity mask of the calling thread allows; never none. */
processor_set processors_allowed(void);

/* How many threads can run at once, at least 1: the allowed processors, but no more than the CPU quota of this process's
 * control groups, rounded up, can keep busy. */
uint32_t processors_usable(const processor_set *allowed, const char *root);

/* How many threads are a safe choice, 1 to processors_usable: the allowed cores of the fast class (70% or more of the best
 * one's capacity), two hardware threads of a core counted once, and no more than the quota, rounded down. Down, because a
 * group that overdraws its quota stands still for the rest of the period, tens of milliseconds, in the middle of a token. */
uint32_t processors_good(const processor_set *allowed, const char *root);

/* What the processor or board calls itself, in `text`; "" where no file says. */
void processor_name(const char *root, char *text, size_t capacity);

#endif
