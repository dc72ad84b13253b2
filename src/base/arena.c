/* The bump allocator behind an engine's memory. */
#include "base/arena.h"

#include <stdint.h>
#include <sys/mman.h>

#include "base/checked.h"

bool arena_allocate(arena *memory, size_t size)
{
    *memory = (arena){.size = size};
    if (size == 0)
        return true;
    /* Pages come zeroed from the kernel, and only those that are touched ever count as resident. */
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return false;
    memory->base = base;
    return true;
}

void arena_release(arena *memory)
{
    if (memory->base != NULL)
        munmap(memory->base, memory->size);
    *memory = (arena){0};
}

void arena_use_huge_pages(const arena *memory)
{
#ifdef MADV_HUGEPAGE
    if (memory->base != NULL)
        madvise(memory->base, memory->size, MADV_HUGEPAGE);
#else
    (void)memory;
#endif
}

void arena_join_pages(const arena *memory, const void *at, size_t size)
{
#if defined(MADV_HUGEPAGE)
    enum { LARGE = 2 << 20, COLLAPSE = 25 /* since Linux 6.1; before, nothing changes */ };
    uintptr_t base = (uintptr_t)memory->base, begin = (uintptr_t)at, end = begin + size;
    /* Neighbours fill up one after another, so whoever holds the middle of a large page is the one that makes its half. */
    for (uintptr_t page = (begin + LARGE / 2 - 1) / LARGE * LARGE; page + LARGE / 2 < end; page += LARGE)
        if (page >= base && page + LARGE <= base + memory->size)
            madvise((void *)page, LARGE, COLLAPSE);
#else
    (void)memory, (void)at, (void)size;
#endif
}

void *arena_take(arena *memory, size_t count, size_t each)
{
    size_t bytes, end;
    if (!checked_mul(count, each, &bytes) || !checked_align(bytes, ARENA_ALIGNMENT, &bytes) ||
        !checked_add(memory->used, bytes, &end) || (memory->base != NULL && end > memory->size)) {
        memory->overflowed = true;
        return NULL;
    }
    void *at = memory->base == NULL ? NULL : memory->base + memory->used;
    memory->used = end;
    return at;
}
