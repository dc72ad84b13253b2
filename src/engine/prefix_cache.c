/* Keeping sequences and finding them again. */
#include "engine/prefix_cache.h"

/* Does another sequence do for the first `length` tokens of `s` all that one kept for them would? A sliding window moves on
 * with a sequence, so that there only one does that ends at the same place and stays. */
static bool is_kept(kv_cache *kv, uint32_t s, size_t length)
{
    for (uint32_t q = kv->window == 0 ? 0 : kv->sessions; q < kv->sequences; q++) {
        kv_sequence *other = &kv->sequence[q];
        bool enough = kv->window == 0 ? other->length >= length : other->length == length;
        if (q == s || !enough || other->scope != kv->sequence[s].scope || !kv_same(kv, q, s, length))
            continue;
        other->used = ++kv->clock;
        return true;
    }
    return false;
}

/* Kept sequences that a longer one makes superfluous. */
static void forget_beginnings(kv_cache *kv, uint32_t s, size_t length)
{
    for (uint32_t q = kv->sessions; q < kv->sequences && kv->window == 0; q++) {
        const kv_sequence *other = &kv->sequence[q];
        if (other->length > 0 && other->length <= length && other->scope == kv->sequence[s].scope &&
            kv_same(kv, q, s, other->length))
            kv_truncate(kv, q, 0);
    }
}

void prefix_keep(kv_cache *kv, uint32_t s, size_t length)
{
    uint32_t place = kv->sessions;
    if (kv->sequences == kv->sessions || length < PREFIX_LEAST || is_kept(kv, s, length))
        return;
    forget_beginnings(kv, s, length);
    for (uint32_t q = place; q < kv->sequences && kv->sequence[place].length > 0; q++)
        if (kv->sequence[q].length == 0 || kv->sequence[q].used < kv->sequence[place].used)
            place = q;
    kv_truncate(kv, place, 0);
    kv_share(kv, s, length, place);
}

void prefix_cut(kv_cache *kv, uint32_t s, size_t length)
{
    size_t held = kv->sequence[s].length;
    if (kv_continuable(kv, s, length) != length)
        length = 0;
    if (held - length >= PREFIX_LEAST)
        prefix_keep(kv, s, held);
    kv_truncate(kv, s, length);
}

size_t prefix_reuse(kv_cache *kv, uint32_t s, const int32_t *ids, size_t count)
{
    size_t known = kv_common(kv, s, ids, count), length = kv_continuable(kv, s, known);
    bool forgetful = kv->sequences == kv->sessions;
    uint32_t best = s;
    for (uint32_t q = 0; q < kv->sequences && !forgetful; q++) {
        if (q == s || kv->sequence[q].length <= length || kv->sequence[q].scope != kv->sequence[s].scope)
            continue;
        size_t common = kv_common(kv, q, ids, count), continuable = kv_continuable(kv, q, common);
        known = common > known ? common : known;
        if (continuable > length) {
            length = continuable;
            best = q;
        }
    }
    bool parted = length < kv->sequence[best].length;
    kv->sequence[best].used = ++kv->clock; /* or it could be forgotten for what `s` held */
    prefix_cut(kv, s, best == s ? length : 0);
    if (best != s)
        kv_share(kv, best, length, s);
    if (parted && kv->window != 0)
        prefix_keep(kv, s, length);
    return known;
}
