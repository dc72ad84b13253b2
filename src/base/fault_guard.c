/* The table of guarded regions and the SIGBUS handler that reads it.
 *
 * The handler interrupts a thread anywhere, so it takes no lock and calls only what is async-signal-safe: atomic loads
 * and stores, and the bare system call, past any wrapper of mmap that a tool may have put in its place. The table and
 * the handler are process-wide because the signal is. */
#include "base/fault_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A slot is free while `start` is 0 and being filled or emptied while it is 1; only then do the other fields change. The
 * handler reads start, end, and start again: where both looks agree, `end` belongs to it. */
struct fault_region {
    atomic_uintptr_t start;
    atomic_uintptr_t end;
    atomic_uint failed; /* 0 or 1; a bool has no lock-free atomics on every machine */
};

enum { SLOT_FREE = 0, SLOT_CLAIMED = 1 };

_Static_assert(ATOMIC_POINTER_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "a signal handler must not wait for a lock");

static fault_region regions[FAULT_GUARD_MOST];
static struct sigaction previous;
static bool installed;
static pthread_once_t install_once = PTHREAD_ONCE_INIT;

#ifdef SYS_mmap2 /* on 32-bit systems, where mmap is an older call */
enum { MMAP_CALL = SYS_mmap2 };
#else
enum { MMAP_CALL = SYS_mmap };
#endif

/* Puts zeros in the place of [start, end). The kernel exchanges the mapping as one step: a thread that touches it
 * meanwhile waits. */
static bool map_zeros(uintptr_t start, uintptr_t end)
{
    long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    return syscall(MMAP_CALL, start, end - start, (long)PROT_READ, flags, -1L, 0L) != -1;
}

/* Replaces the region around `address`. The flag goes up first: no thread may see zeros and then miss it. */
static bool replace_region_around(uintptr_t address)
{
    for (size_t i = 0; i < FAULT_GUARD_MOST; i++) {
        fault_region *region = &regions[i];
        uintptr_t start = atomic_load(&region->start);
        uintptr_t end = atomic_load(&region->end);
        if (start <= SLOT_CLAIMED || address < start || address >= end || atomic_load(&region->start) != start)
            continue;
        atomic_store(&region->failed, 1);
        return map_zeros(start, end);
    }
    return false;
}

/* What would have happened without us. */
static void hand_on(int signal, siginfo_t *info, void *context)
{
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(signal, info, context);
        return;
    }
    if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal);
        return;
    }
    bool sent = info->si_code <= 0; /* by a process, not by a fault, which cannot be ignored */
    if (sent && previous.sa_handler == SIG_IGN)
        return;
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(SIGBUS, &standard, NULL);
    if (sent)
        raise(signal); /* pending until the handler returns; a fault comes again by itself */
}

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    bool at_page = info->si_code > 0 && info->si_code != BUS_ADRALN;
    if (!at_page || !replace_region_around((uintptr_t)info->si_addr))
        hand_on(signal, info, context);
    errno = saved;
}

static void install(void)
{
    struct sigaction ours = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&ours.sa_mask);
    /* `previous` must be whole before the first signal can arrive. */
    installed = sigaction(SIGBUS, NULL, &previous) == 0 && sigaction(SIGBUS, &ours, NULL) == 0;
}

mote_status fault_guard_add(fault_region **out, const void *start, size_t length, mote_error *error)
{
    *out = NULL;
    pthread_once(&install_once, install);
    if (!installed)
        return fail(error, MOTE_E_IO,
                    "no SIGBUS handler could be installed, and without one a file that goes away would "
                    "end the process");
    for (size_t i = 0; i < FAULT_GUARD_MOST; i++) {
        fault_region *region = &regions[i];
        uintptr_t expected = SLOT_FREE;
        if (!atomic_compare_exchange_strong(&region->start, &expected, SLOT_CLAIMED))
            continue;
        atomic_store(&region->failed, 0);
        atomic_store(&region->end, (uintptr_t)start + length);
        atomic_store(&region->start, (uintptr_t)start);
        *out = region;
        return MOTE_OK;
    }
    return fail(error, MOTE_E_LIMIT, "%d files are mapped already, and no more can be guarded; close some",
                FAULT_GUARD_MOST);
}

void fault_guard_remove(fault_region *region)
{
    if (region == NULL)
        return;
    atomic_store(&region->start, SLOT_CLAIMED);
    atomic_store(&region->end, 0);
    atomic_store(&region->start, SLOT_FREE);
}

bool fault_guard_failed(const fault_region *region)
{
    return atomic_load_explicit(&region->failed, memory_order_acquire) != 0;
}
