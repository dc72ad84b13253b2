/* Filling a hash index. */
#include "text/hash_index.h"

#include <stdlib.h>

/* The least power of two that `count` fills to at most two thirds. */
static size_t slot_count(size_t count)
{
    size_t slots = 16;
    while (slots / 3 * 2 < count)
        slots *= 2;
    return slots;
}

size_t hash_index_bytes(size_t count)
{
    return slot_count(count) * sizeof(uint32_t);
}

bool hash_index_open(hash_index *index, size_t count)
{
    size_t slots = slot_count(count);
    index->slots = calloc(slots, sizeof *index->slots);
    index->mask = slots - 1;
    return index->slots != NULL;
}

void hash_index_close(hash_index *index)
{
    free(index->slots);
    *index = (hash_index){0};
}

bool hash_index_add(hash_index *index, uint64_t hash, uint32_t number)
{
    hash_probe probe = hash_index_begin(index, hash);
    for (size_t i = 0; i < probe.left; i++) {
        uint32_t *slot = &index->slots[(probe.slot + i) & index->mask];
        if (*slot == 0) {
            *slot = probe.tag | (number + 1);
            return true;
        }
    }
    return false;
}
