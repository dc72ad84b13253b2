/* From a hash to the numbers of things that may have it: the index over token texts, and over merges.
 *
 *     slots  ┌──────────────┬───┬──────────────┬───┬───┐      tag: 8 bits of the hash
 *            │ tag │ number │ 0 │ tag │ number │ 0 │ … │      number: of the thing, plus one; 0 is an empty slot
 *            └──────────────┴───┴──────────────┴───┴───┘
 *
 * Open addressing with linear probing, at most two thirds full. The things themselves stay where they are; the tag spares
 * nearly every look at one that is not the right one. The table is filled once and then read only, and no look-up visits
 * more than a fixed number of slots: what a text holds cannot slow it down, and a file crafted to make its own things
 * collide fails hash_index_add. */
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
    uint32_t *slots;
    size_t mask; /* their number − 1, a power of two − 1 */
} hash_index;

/* Room for `count` <= HASH_INDEX_MOST things. False: no memory. */
bool hash_index_open(hash_index *index, size_t count);
void hash_index_close(hash_index *index);
size_t hash_index_bytes(size_t count); /* what hash_index_open allocates */

/* False: too many things have nearly the same hash. */
bool hash_index_add(hash_index *index, uint64_t hash, uint32_t number);

/* Walks the numbers whose hash may be `hash`:
 *
 *     hash_probe probe = hash_index_begin(index, hash);
 *     for (uint32_t number; hash_index_next(index, &probe, &number);) … */
typedef struct hash_probe {
    size_t slot;
    uint32_t tag;
    uint32_t left; /* slots */
} hash_probe;

static inline hash_probe hash_index_begin(const hash_index *index, uint64_t hash)
{
    return (hash_probe){(size_t)hash & index->mask, (uint32_t)(hash >> 32) & 0xff000000u, HASH_INDEX_LONGEST_PROBE};
}

static inline bool hash_index_next(const hash_index *index, hash_probe *probe, uint32_t *number)
{
    while (probe->left-- > 0) {
        uint32_t entry = index->slots[probe->slot];
        if (entry == 0)
            break;
        probe->slot = (probe->slot + 1) & index->mask;
        if ((entry & 0xff000000u) == probe->tag) {
            *number = (entry & 0x00ffffffu) - 1;
            return true;
        }
    }
    probe->left = 0;
    return false;
}

/* Spreads every bit over all of the word: the finalizer of Steele, Lea and Flood's SplitMix64 (OOPSLA 2014). */
static inline uint64_t hash_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static inline uint64_t hash_bytes(const char *at, size_t length)
{
    uint64_t hash = length * 0x9e3779b97f4a7c15u;
    for (; length >= 8; at += 8, length -= 8)
        hash = hash_mix(hash ^ load_u64(at));
    uint64_t tail = 0;
    for (size_t i = 0; i < length; i++)
        tail = tail << 8 | (unsigned char)at[i];
    return hash_mix(hash ^ tail);
}

#endif
