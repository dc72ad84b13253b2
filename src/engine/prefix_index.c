/* An array that is walked: it has two thousand entries at most, and a walk takes less than a system call's file. */
#include "engine/prefix_index.h"

#include <string.h>

static bool same(const prefix_key *a, const prefix_key *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Was `a` used before `b`? What this process used is always the later one, whatever the clock did. */
static bool is_older(const prefix_entry *a, const prefix_entry *b)
{
    return a->turn != b->turn ? a->turn < b->turn : a->time < b->time;
}

prefix_entry *prefix_index_find(prefix_index *index, const prefix_key *key)
{
    for (size_t i = 0; i < index->count; i++)
        if (same(&index->entry[i].key, key))
            return &index->entry[i];
    return NULL;
}

prefix_entry *prefix_index_add(prefix_index *index, const prefix_entry *entry)
{
    prefix_entry *place = prefix_index_find(index, &entry->key);
    if (place == NULL && index->count < PREFIX_STORE_RECORDS)
        place = &index->entry[index->count++];
    if (place == NULL) {
        place = prefix_index_victim(index, &entry->parent);
        if (place == NULL || (place->usable && is_older(entry, place)))
            return NULL;
    }
    *place = *entry;
    return place;
}

void prefix_index_remove(prefix_index *index, prefix_entry *entry)
{
    *entry = index->entry[--index->count];
}

void prefix_index_touch(prefix_index *index, prefix_entry *entry)
{
    entry->turn = ++index->turn;
}

uint64_t prefix_index_bytes(const prefix_index *index)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < index->count; i++)
        if (__builtin_add_overflow(sum, index->entry[i].size, &sum))
            return UINT64_MAX;
    return sum;
}

static bool has_children(const prefix_index *index, const prefix_key *key)
{
    for (size_t i = 0; i < index->count; i++)
        if (index->entry[i].usable && same(&index->entry[i].parent, key))
            return true;
    return false;
}

prefix_entry *prefix_index_victim(prefix_index *index, const prefix_key *spared)
{
    prefix_entry *victim = NULL;
    for (size_t i = 0; i < index->count; i++) {
        prefix_entry *entry = &index->entry[i];
        if (!entry->usable)
            return entry;
        if ((spared == NULL || !same(&entry->key, spared)) && (victim == NULL || is_older(entry, victim)) &&
            !has_children(index, &entry->key))
            victim = entry;
    }
    return victim;
}

prefix_entry *prefix_index_child(prefix_index *index, const prefix_key *parent, mote_token first)
{
    prefix_entry *best = NULL;
    for (size_t i = 0; i < index->count; i++) {
        prefix_entry *entry = &index->entry[i];
        if (entry->usable && entry->first == first && entry->looked_at != index->search &&
            same(&entry->parent, parent) && (best == NULL || is_older(best, entry)))
            best = entry;
    }
    if (best != NULL)
        best->looked_at = index->search;
    return best;
}
