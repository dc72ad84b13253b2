/* From a hash to the numbers of things that may have it: the index over token texts, and over merges.
 *
 *     slots  ┌──────────────┬───┬──────────────┬───┬───┐      tag: 8 bits of the hash
 *            │ tag │ number │ 0 │ tag │ number │ 0 │ … │      number: of the thing, plus one; 0 is an empty slot
 *            └──────────────┴───┴──────────────┴───┴───┘
 *
 * Open addressing with linear probing, at most two thirds full. The things themselves stay where they are; the tag spares
 * nearly every look at one that is not the right one. The slots lie in memory of somebody else's, which may be a mapped
 * file: whatever they hold, the numbers that come out are below the count, and no look-up visits more than a fixed number
 * of slots. So what a text holds cannot slow it down, and a file crafted to make its own things collide fails
 * hash_index_put. */
#ifndef MOTE_TEXT_HASH_INDEX_H
#define MOTE_TEXT_HASH_INDEX_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HASH_INDEX_MOST = (1 << 24) - 2, /* things */
    HASH_INDEX_LONGEST_PROBE = 1024  /* slots looked at for one hash; chance needs less than 300 */
};

typedef struct hash_index {
    const unsigned char *slots; /* uint32_t, at any alignment */
    size_t mask;                /* their number − 1, a power of two − 1 */
    uint32_t count;             /* of things */
} hash_index;

/* How many slots `count` <= HASH_INDEX_MOST things have. */
size_t hash_index_slots(size_t count);

/* The index over hash_index_slots(count) slots. Empty ones are zeros. */
static inline hash_index hash_index_over(const void *slots, size_t count)
{
    return (hash_index){slots, hash_index_slots(count) - 1, (uint32_t)count};
}

/* Walks the numbers whose hash may be `hash`:
 *
 *     hash_probe probe = hash_index_begin(index, hash);
 *     for (uint32_t number; hash_index_next(index, &probe, &number);) … */
typedef struct hash_probe {
    size_t slot;
    uint32_t tag;
    uint32_t left; /* slots that may still be looked at */
} hash_probe;

static inline hash_probe hash_index_begin(const hash_index *index, uint64_t hash)
{
    return (hash_probe){(size_t)hash & index->mask, (uint32_t)(hash >> 32) & 0xff000000u, HASH_INDEX_LONGEST_PROBE};
}

static inline bool hash_index_next(const hash_index *index, hash_probe *probe, uint32_t *number)
{
    while (probe->left > 0) {
        uint32_t entry = look_u32(index->slots + probe->slot * sizeof entry);
        if (entry == 0)
            return false;
        probe->left--;
        probe->slot = (probe->slot + 1) & index->mask;
        *number = (entry & 0x00ffffffu) - 1;
        if ((entry & 0xff000000u) == probe->tag && *number < index->count)
            return true;
    }
    return false;
}

/* Puts a number where a walk has ended: into the first empty slot. False: too many things have nearly the same hash. */
static inline bool hash_index_put(uint32_t *slots, const hash_probe *probe, uint32_t number)
{
    if (probe->left == 0)
        return false;
    slots[probe->slot] = probe->tag | (number + 1);
    return true;
}

/* Has the first slot of a look-up fetched, for one that comes a little later. */
static inline void hash_index_expect(const hash_index *index, uint64_t hash)
{
    __builtin_prefetch(index->slots + ((size_t)hash & index->mask) * sizeof(uint32_t));
}

/* Spreads every bit over all of the word: the finalizer of Steele, Lea and Flood's SplitMix64 (OOPSLA 2014). */
static inline uint64_t hash_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* Whole words, of which the last may lie over the one before: the length, which goes in first, says how. */
static inline uint64_t hash_bytes(const char *at, size_t length)
{
    uint64_t hash = length * 0x9e3779b97f4a7c15u, last = 0;
    for (; length > 8; at += 8, length -= 8)
        hash = hash_mix(hash ^ load_u64(at));
    if (length >= 4)
        last = (uint64_t)load_u32(at) << 32 | load_u32(at + length - 4);
    else if (length > 0)
        last = (uint32_t)(unsigned char)at[0] << 16 | (uint32_t)(unsigned char)at[length / 2] << 8 |
               (unsigned char)at[length - 1];
    return hash_mix(hash ^ last);
}

#endif
