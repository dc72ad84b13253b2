/* How large a hash index is. */
#include "text/hash_index.h"

/* The least power of two that `count` fills to at most two thirds. */
size_t hash_index_slots(size_t count)
{
    size_t slots = 16;
    while (slots / 3 * 2 < count)
        slots *= 2;
    return slots;
}
