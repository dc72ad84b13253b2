/* Random numbers, and memory that ends at a guard page: what the tests of kernels compute with. */
#ifndef TESTS_GUARDED_H
#define TESTS_GUARDED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "assert_says.h"

static uint32_t random_state = 1;

static inline uint32_t random_bits(void)
{
    random_state = random_state * 1664525 + 1013904223;
    return random_state >> 8;
}

static inline float random_float(void)
{
    return (float)(random_bits() & 0xffff) / 32768.0f - 1.0f;
}

/* Memory whose end is the end of the world: reading or writing past it is a fault. */
typedef struct guarded {
    unsigned char *map;
    size_t map_bytes;
    void *at;
} guarded;

static inline guarded guarded_new(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    guarded g = {.map_bytes = whole + page};
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + whole, page, PROT_NONE), 0);
    g.at = g.map + whole - bytes;
    return g;
}

static inline void guarded_free(guarded g)
{
    munmap(g.map, g.map_bytes);
}

static inline guarded random_floats(size_t count)
{
    guarded g = guarded_new(count * sizeof(float));
    for (size_t i = 0; i < count; i++)
        ((float *)g.at)[i] = random_float();
    return g;
}

#endif
