/* Sequences: appending, sharing, cutting off; and which page is let go when one is needed. */
#include "engine/kv_sequence.h"

#include <string.h>

static uint32_t *page_of(const kv_cache *kv, uint32_t kind, uint32_t s, size_t chunk)
{
    return &kv->table[kind][s * kv->view.chunks + chunk];
}

static void let_go(kv_cache *kv, uint32_t kind, uint32_t s, size_t chunk)
{
    uint32_t *page = page_of(kv, kind, s, chunk);
    if (*page != KV_NO_PAGE)
        kv_page_release(&kv->pool[kind], *page);
    *page = KV_NO_PAGE;
}

size_t kv_first_seen(const kv_cache *kv, size_t length)
{
    return kv->window != 0 && length + 1 > kv->window ? length + 1 - kv->window : 0;
}

/* Chunks that hold positions of the first `length`. */
static size_t chunks_of(const kv_cache *kv, size_t length)
{
    return (length + kv->page_positions - 1) / kv->page_positions;
}

/* ---- making room ---- */

/* The sliding pages that no window needs are worth as much as their latest user; others are not to be had. */
static void judge_pages(kv_cache *kv)
{
    kv_pool *pool = &kv->pool[KV_SLIDING];
    for (uint32_t page = 0; page < pool->pages; page++)
        pool->worth[page] = 0;
    for (uint32_t s = 0; s < kv->sequences; s++) {
        size_t needed = kv->sequence[s].window_from / kv->page_positions;
        for (size_t chunk = 0; chunk < chunks_of(kv, kv->sequence[s].length); chunk++) {
            uint32_t page = *page_of(kv, KV_SLIDING, s, chunk);
            if (page == KV_NO_PAGE)
                continue;
            uint64_t worth = chunk >= needed ? UINT64_MAX : kv->sequence[s].used;
            pool->worth[page] = worth > pool->worth[page] ? worth : pool->worth[page];
        }
    }
}

/* Lets go of a sliding page behind all windows. False: there is none. */
static bool let_go_behind_windows(kv_cache *kv)
{
    kv_pool *pool = &kv->pool[KV_SLIDING];
    uint32_t least = KV_NO_PAGE;
    judge_pages(kv);
    for (uint32_t page = 0; page < pool->pages; page++)
        if (pool->holders[page] > 0 && pool->worth[page] != UINT64_MAX &&
            (least == KV_NO_PAGE || pool->worth[page] < pool->worth[least]))
            least = page;
    for (uint32_t s = 0; s < kv->sequences && least != KV_NO_PAGE; s++)
        for (size_t chunk = 0; chunk < chunks_of(kv, kv->sequence[s].length); chunk++)
            if (*page_of(kv, KV_SLIDING, s, chunk) == least)
                let_go(kv, KV_SLIDING, s, chunk);
    return least != KV_NO_PAGE;
}

/* Takes a sliding page from those whose windows are past it. False: every holder needs it. */
static bool let_go_of(kv_cache *kv, size_t chunk, uint32_t page)
{
    uint32_t before = kv->pool[KV_SLIDING].holders[page];
    for (uint32_t s = 0; s < kv->sequences; s++)
        if (chunk < kv->sequence[s].window_from / kv->page_positions && *page_of(kv, KV_SLIDING, s, chunk) == page)
            let_go(kv, KV_SLIDING, s, chunk);
    return kv->pool[KV_SLIDING].holders[page] < before;
}

/* Has the sequence a page for itself? */
static bool has_own_page(const kv_cache *kv, uint32_t kind, uint32_t s)
{
    for (size_t chunk = 0; chunk < chunks_of(kv, kv->sequence[s].length); chunk++) {
        uint32_t page = *page_of(kv, kind, s, chunk);
        if (page != KV_NO_PAGE && kv->pool[kind].holders[page] == 1)
            return true;
    }
    return false;
}

/* Forgets the kept sequence that was used least recently: of those that give a page of the kind, if any does. */
static void forget_oldest(kv_cache *kv, uint32_t kind)
{
    uint32_t oldest = KV_NO_PAGE, giving = KV_NO_PAGE;
    for (uint32_t s = kv->sessions; s < kv->sequences; s++) {
        const kv_sequence *q = &kv->sequence[s];
        if (q->length == 0)
            continue;
        if (oldest == KV_NO_PAGE || q->used < kv->sequence[oldest].used)
            oldest = s;
        if ((giving == KV_NO_PAGE || q->used < kv->sequence[giving].used) && has_own_page(kv, kind, s))
            giving = s;
    }
    kv_truncate(kv, giving != KV_NO_PAGE ? giving : oldest, 0);
}

/* Makes chunk `chunk` of `s` writable from position `used` of the page on, of which `s` holds those before. */
static void own_page(kv_cache *kv, uint32_t kind, uint32_t s, size_t chunk, size_t used)
{
    kv_pool *pool = &kv->pool[kind];
    uint32_t *page = page_of(kv, kind, s, chunk);
    for (;;) {
        if (*page != KV_NO_PAGE && (pool->holders[*page] == 1 || pool->filled[*page] == used))
            return;
        if (pool->free_count > 0)
            break;
        if (kind == KV_SLIDING && (let_go_behind_windows(kv) || (*page != KV_NO_PAGE && let_go_of(kv, chunk, *page))))
            continue;
        forget_oldest(kv, kind);
    }
    uint32_t own = kv_page_take(pool);
    if (*page != KV_NO_PAGE)
        kv_page_copy(kv, kind, own, *page, used);
    let_go(kv, kind, s, chunk);
    *page = own;
}

/* ---- what sequences do ---- */

void kv_extend(kv_cache *kv, uint32_t s, const int32_t *ids, size_t count)
{
    kv_sequence *q = &kv->sequence[s];
    size_t per_page = kv->page_positions;
    q->window_from = kv_first_seen(kv, q->length);
    q->used = ++kv->clock;
    while (count > 0) {
        size_t chunk = q->length / per_page, used = q->length % per_page;
        size_t part = count < per_page - used ? count : per_page - used;
        for (uint32_t kind = 0; kind < kv->kinds; kind++) {
            own_page(kv, kind, s, chunk, used);
            kv->pool[kind].filled[*page_of(kv, kind, s, chunk)] = (uint16_t)(used + part);
            if (used + part == per_page)
                kv_page_join(kv, kind, *page_of(kv, kind, s, chunk));
        }
        int32_t *to = kv->ids + *page_of(kv, KV_WHOLE, s, chunk) * per_page + used;
        for (size_t i = 0; i < part; i++)
            to[i] = ids[i];
        q->length += part;
        ids += part;
        count -= part;
    }
}

size_t kv_adopt(kv_cache *kv, uint32_t s, const int32_t *ids, size_t length)
{
    kv_sequence *q = &kv->sequence[s];
    size_t per_page = kv->page_positions, known = q->length / per_page, seen = kv_first_seen(kv, length) / per_page;
    q->length = length;
    q->window_from = kv_first_seen(kv, length);
    q->used = ++kv->clock;
    for (uint32_t kind = 0; kind < kv->kinds; kind++) {
        for (size_t chunk = kind == KV_WHOLE ? known : seen; chunk < chunks_of(kv, length); chunk++) {
            size_t left = length - chunk * per_page;
            own_page(kv, kind, s, chunk, 0);
            kv->pool[kind].filled[*page_of(kv, kind, s, chunk)] = (uint16_t)(left < per_page ? left : per_page);
        }
    }
    for (size_t i = known * per_page; i < length; i++)
        kv->ids[*page_of(kv, KV_WHOLE, s, i / per_page) * per_page + i % per_page] = ids[i];
    return known;
}

size_t kv_continuable(const kv_cache *kv, uint32_t s, size_t length)
{
    size_t per_page = kv->page_positions, chunk = chunks_of(kv, length);
    if (kv->window == 0)
        return length;
    while (chunk > kv_first_seen(kv, length) / per_page) {
        chunk--;
        if (*page_of(kv, KV_SLIDING, s, chunk) == KV_NO_PAGE)
            length = chunk * per_page; /* every length between sees a part of the chunk */
    }
    return length;
}

void kv_truncate(kv_cache *kv, uint32_t s, size_t length)
{
    kv_sequence *q = &kv->sequence[s];
    if (length > 0 && kv_continuable(kv, s, length) != length)
        length = 0;
    for (uint32_t kind = 0; kind < kv->kinds; kind++)
        for (size_t chunk = chunks_of(kv, length); chunk < chunks_of(kv, q->length); chunk++)
            let_go(kv, kind, s, chunk);
    q->length = length;
    q->window_from = kv_first_seen(kv, length);
}

void kv_share(kv_cache *kv, uint32_t from, size_t length, uint32_t to)
{
    for (uint32_t kind = 0; kind < kv->kinds; kind++) {
        for (size_t chunk = 0; chunk < chunks_of(kv, length); chunk++) {
            uint32_t page = *page_of(kv, kind, from, chunk);
            *page_of(kv, kind, to, chunk) = page;
            if (page != KV_NO_PAGE)
                kv_page_hold(&kv->pool[kind], page);
        }
    }
    kv->sequence[from].used = ++kv->clock;
    kv->sequence[to] = (kv_sequence){length, kv_first_seen(kv, length), kv->sequence[from].scope, kv->clock};
}

size_t kv_common(const kv_cache *kv, uint32_t s, const int32_t *ids, size_t count)
{
    size_t common = 0;
    count = count < kv->sequence[s].length ? count : kv->sequence[s].length;
    while (common < count) {
        const int32_t *page = kv->ids + *page_of(kv, KV_WHOLE, s, common / kv->page_positions) * kv->page_positions;
        do {
            if (page[common % kv->page_positions] != ids[common])
                return common;
        } while (++common < count && common % kv->page_positions != 0);
    }
    return common;
}

bool kv_same(const kv_cache *kv, uint32_t a, uint32_t b, size_t length)
{
    for (size_t chunk = 0; chunk < chunks_of(kv, length); chunk++) {
        size_t left = length - chunk * kv->page_positions;
        size_t count = left < kv->page_positions ? left : kv->page_positions;
        uint32_t pages[] = {*page_of(kv, KV_WHOLE, a, chunk), *page_of(kv, KV_WHOLE, b, chunk)};
        if (pages[0] != pages[1] && memcmp(kv->ids + pages[0] * kv->page_positions,
                                           kv->ids + pages[1] * kv->page_positions, count * sizeof *kv->ids) != 0)
            return false;
    }
    return true;
}

int32_t kv_id(const kv_cache *kv, uint32_t s, size_t position)
{
    uint32_t page = *page_of(kv, KV_WHOLE, s, position / kv->page_positions);
    return kv->ids[page * kv->page_positions + position % kv->page_positions];
}
