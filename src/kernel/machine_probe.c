/* Measures the machine: passes over memory, and loops of dot products, on all threads at once. */
#include "kernel/machine_probe.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "kernel/generic/generic_kernels.h"

#if defined(__x86_64__)
#include "kernel/x86/x86_kernels.h"
#elif defined(__aarch64__) || defined(__arm__)
#include "kernel/arm/arm_probes.h"
#endif

enum {
    READ_GRAIN = 2 << 20, /* bytes of memory a thread takes at a time */
    STREAMS = 2,          /* places it reads at once: two keep the prefetchers busy, and more spill the sums */
    SLICES = 16,          /* of dot products, for each thread: a slow processor beside fast ones takes fewer */
    ROUNDS = 8192,        /* of a slice: tens of microseconds */
    PASSES_LEAST = 4,
};
static const double read_seconds = 0.08, dot_seconds = 0.02; /* passes are repeated for this long */

/* The fewest seconds of several passes. Other programs and waking threads can only make one slower. */
static double fastest_pass(thread_pool *pool, size_t count, size_t grain, thread_pool_loop *loop, void *context,
                           double seconds)
{
    double fastest = 0, begin = clock_seconds(), start = begin;
    for (int pass = 0; pass < PASSES_LEAST || start - begin < seconds; pass++) {
        thread_pool_for(pool, count, grain, loop, context);
        double end = clock_seconds();
        if (pass == 0 || end - start < fastest)
            fastest = end - start;
        start = end;
    }
    return fastest > 0 ? fastest : 1e-9;
}

/* ------------------------------------------------------------------------------------------------------------ memory */

typedef uint64_t read_line __attribute__((vector_size(64)));

static void fill(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    memset((char *)context + begin, 0x5a, end - begin);
}

static void read_range(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const read_line *at = (const read_line *)((const char *)context + begin);
    read_line sum[STREAMS] = {{0}};
    size_t part = (end - begin) / sizeof *at / STREAMS;
    for (size_t i = 0; i < part; i++)
        for (size_t k = 0; k < STREAMS; k++)
            sum[k] ^= at[k * part + i];
    for (size_t k = 1; k < STREAMS; k++)
        sum[0] ^= sum[k];
    __asm__ volatile("" : : "m"(sum[0])); /* someone wants the result */
}

mote_status machine_probe_read(thread_pool *pool, size_t bytes, double *out, mote_error *error)
{
    size_t whole = bytes < READ_GRAIN ? READ_GRAIN : bytes / READ_GRAIN * READ_GRAIN;
    void *memory = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return fail_memory(error, whole, "measuring how fast it is read");
    madvise(memory, whole, MADV_HUGEPAGE); /* the memory's limit is wanted, not that of looking up pages */
    thread_pool_for(pool, whole, READ_GRAIN, fill, memory);
    *out = (double)whole / fastest_pass(pool, whole, READ_GRAIN, read_range, memory, read_seconds);
    munmap(memory, whole);
    return MOTE_OK;
}

/* "32768K" or "32M", as the kernel writes a cache's size. */
static size_t cache_size(const char *path)
{
    unsigned long size = 0;
    char unit = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    int found = fscanf(file, "%lu%c", &size, &unit);
    fclose(file);
    if (found < 1 || size > SIZE_MAX >> 30)
        return 0;
    return (size_t)size << (unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0);
}

size_t machine_probe_cache(void)
{
    size_t largest = 0;
    for (int index = 0; index < 8; index++) {
        char path[64];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
        size_t size = cache_size(path);
        if (size > largest)
            largest = size;
    }
    return largest;
}

/* ------------------------------------------------------------------------------------------------------ dot products */

static const dot_probe *const probes[] = {
    &dot_probe_generic,
#if defined(__x86_64__)
    &dot_probe_avx2,
    &dot_probe_avxvnni,
    &dot_probe_avx512vnni,
#elif defined(__aarch64__)
    &dot_probe_neon,
    &dot_probe_dotprod,
    &dot_probe_i8mm,
#elif defined(__arm__)
    &dot_probe_neon,
#endif
};

const dot_probe *machine_probe_at(size_t index)
{
    return index < sizeof probes / sizeof *probes ? probes[index] : NULL;
}

static void run_slices(void *context, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const dot_probe *probe = context;
    for (size_t i = begin; i < end; i++)
        probe->run(ROUNDS);
}

double machine_probe_dots(thread_pool *pool, uint32_t features, const char **name)
{
    double best = 0;
    size_t slices = (size_t)thread_pool_size(pool) * SLICES;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        if ((probes[i]->needs & ~features) != 0)
            continue;
        dot_probe probe = *probes[i];
        double seconds = fastest_pass(pool, slices, 1, run_slices, &probe, dot_seconds);
        double rate = (double)slices * ROUNDS * probe.operations / seconds;
        if (rate > best) {
            best = rate;
            *name = probe.name;
        }
    }
    return best;
}
