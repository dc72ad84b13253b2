/* How much memory this process may occupy: what the machine, its control groups and its resource limits leave it.
 *
 * Three things are limited, and one can be short where the others are not. *Resident* bytes are those in memory, mapped
 * pages included: a machine has so many free, a control group allows so many. *Address* space is what is mapped, touched
 * or not (RLIMIT_AS). *Data* is the part of it that is the process's own to write (RLIMIT_DATA). Each figure here is of the
 * whole process, what it has already included, so that it stands beside a whole that was predicted.
 *
 * Files are read below a root directory (base/system_files.h), "" for the machine itself. */
#ifndef MOTE_METER_MEMORY_LIMITS_H
#define MOTE_METER_MEMORY_LIMITS_H

#include <stdint.h>

/* In place of a figure: there is no limit, or the system does not tell. */
#define MEMORY_UNLIMITED UINT64_MAX

typedef struct memory_figures {
    uint64_t resident;
    uint64_t address;
    uint64_t data;
} memory_figures;

/* What the process has now; 0 where the system does not tell. */
memory_figures memory_in_use(const char *root);

/* Of what is resident now, the part that is the process's own: it can only be swapped, pages of files can be dropped. */
uint64_t memory_own(const char *root);

typedef struct memory_limits {
    memory_figures most;
    const char
        *resident_by; /* what sets most.resident: "this machine leaves", "a control group leaves"; "" if nothing does */
} memory_limits;

/* resident: its own now, and what the machine (MemAvailable) and every control group it is in, or below one of, have free.
 * A group's free memory is its limit (memory.max and memory.high; of version 1, memory.limit_in_bytes) less what it has
 * in use, where pages of files, which the kernel drops when it needs their memory, do not count as used. Swap counts as
 * none. */
memory_limits memory_limits_read(const char *root);

#endif
