/* Loading and saving prefixes. */
#include "engine/prefix_disk.h"

#include <stdlib.h>

#include "base/sizes.h"
#include "engine/model_identity.h"

enum { LAYOUT_VERSION = 1, MOST_ATTEMPTS = 8 }; /* the layout is that of kernel/attention_kernels.h, heads in order */

struct prefix_disk {
    prefix_store *store;
    prefix_facts facts[KV_KINDS];
    prefix_key *parent[KV_KINDS]; /* [chunks + 1]: keys that the pages of a chunk build on */
    prefix_segment *segment;      /* [segments of a page] */
};

_Static_assert((int)PREFIX_STORE_IDS == (int)ATTENTION_CHUNK, "a record holds a page");

static mote_status fill_facts(prefix_disk *disk, const mote_model *m, const kv_cache *kv, uint32_t context,
                              mote_error *error)
{
    uint32_t original = m->config.rope_original_context;
    uint32_t variant = m->features << 2 | (uint32_t)(original != 0 && context > original) << 1;
    unsigned char identity[sizeof disk->facts[0].model];
    mote_status status = model_identity(m->file, identity, error);
    if (status != MOTE_OK)
        return status;
    for (uint32_t kind = 0; kind < KV_KINDS; kind++) {
        disk->facts[kind] = (prefix_facts){
            .layout = LAYOUT_VERSION,
            .key_type = kv->view.key_type,
            .value_type = kv->view.value_type,
            .variant = variant | kind,
        };
        memcpy(disk->facts[kind].model, identity, sizeof identity);
    }
    return MOTE_OK;
}

mote_status prefix_disk_open(prefix_disk **out, const prefix_store_options *options, const mote_model *m,
                             const kv_cache *kv, uint32_t context, mote_error *error)
{
    prefix_disk *disk = calloc(1, sizeof *disk);
    *out = disk;
    if (disk == NULL)
        return fail_memory(error, sizeof *disk, "a cache directory");
    size_t segments = larger(kv_page_segments(kv, KV_WHOLE), kv_page_segments(kv, KV_SLIDING)),
           keys = kv->view.chunks + 1;
    disk->segment = calloc(segments, sizeof *disk->segment);
    bool good = disk->segment != NULL;
    for (uint32_t kind = 0; kind < KV_KINDS; kind++) {
        disk->parent[kind] = calloc(keys, sizeof *disk->parent[kind]);
        good = good && disk->parent[kind] != NULL;
    }
    mote_status status = MOTE_OK;
    if (!good)
        status = fail_memory(error, segments * sizeof *disk->segment, "a cache directory");
    else if ((status = fill_facts(disk, m, kv, context, error)) == MOTE_OK)
        status = prefix_store_open(&disk->store, options, error);
    if (status != MOTE_OK) {
        prefix_disk_close(disk);
        *out = NULL;
    }
    return status;
}

void prefix_disk_close(prefix_disk *disk)
{
    if (disk == NULL)
        return;
    prefix_store_close(disk->store);
    for (uint32_t kind = 0; kind < KV_KINDS; kind++)
        free(disk->parent[kind]);
    free(disk->segment);
    free(disk);
}

/* The key before a scope's first chunk. */
static void root_key(const prefix_disk *disk, uint32_t kind, uint64_t scope, prefix_key *root)
{
    prefix_facts facts = disk->facts[kind];
    facts.scope = scope != 0 ? &scope : NULL;
    facts.scope_bytes = sizeof scope;
    prefix_store_root(disk->store, &facts, root);
}

/* The keys before each chunk of these tokens. */
static void chain_keys(prefix_disk *disk, uint32_t kind, const int32_t *ids, size_t count, uint64_t scope)
{
    root_key(disk, kind, scope, &disk->parent[kind][0]);
    for (size_t chunk = 0; chunk < count / ATTENTION_CHUNK; chunk++)
        prefix_key_extend(&disk->parent[kind][chunk], ids + chunk * ATTENTION_CHUNK, ATTENTION_CHUNK,
                          &disk->parent[kind][chunk + 1]);
}

/* The segments of a page's first `positions` positions; returns how many. */
static size_t fill_segments(prefix_disk *disk, const kv_cache *kv, uint32_t kind, uint32_t page, size_t positions)
{
    size_t count = kv_page_segments(kv, kind);
    for (size_t i = 0; i < count; i++) {
        kv_segment segment = kv_page_segment(kv, kind, page, positions, i);
        disk->segment[i] = (prefix_segment){segment.at, segment.size};
    }
    return count;
}

/* ---- loading ---- */

/* Tokens of a prompt, as the directory is asked for them. */
typedef struct wanted {
    prefix_disk *disk;
    kv_cache *kv;
    const int32_t *ids;
    size_t count;
} wanted;

/* The record for the positions from a chunk's beginning up to `end`, if it fits into a page. Returns how many of its
 * positions can be used. */
static size_t find(const wanted *w, uint32_t kind, size_t chunk, size_t end, prefix_match *match)
{
    size_t first = chunk * ATTENTION_CHUNK, count = smaller(end - first, ATTENTION_CHUNK);
    if (!prefix_store_find(w->disk->store, &w->disk->parent[kind][chunk], w->ids + first, count, match))
        return 0;
    return match->count <= w->kv->page_positions ? match->common : 0;
}

/* How many of the tokens have been computed before. */
static size_t known_tokens(const wanted *w)
{
    prefix_match match;
    size_t length = 0, common = ATTENTION_CHUNK;
    for (size_t chunk = 0; common == ATTENTION_CHUNK && length < w->count; chunk++)
        length += common = find(w, KV_WHOLE, chunk, w->count, &match);
    return length;
}

/* The longest that can be gone on from, up to `length`: the windows that the next token needs are there. */
static size_t continuable(const wanted *w, size_t length)
{
    prefix_match match;
    size_t chunk = (length + ATTENTION_CHUNK - 1) / ATTENTION_CHUNK;
    while (w->kv->window != 0 && chunk > kv_first_seen(w->kv, length) / ATTENTION_CHUNK) {
        size_t first = --chunk * ATTENTION_CHUNK, common = find(w, KV_SLIDING, chunk, length, &match);
        if (common < smaller(length - first, ATTENTION_CHUNK))
            length = first + common; /* and the chunk, as far as it is there, is this length's last */
    }
    return length;
}

static bool load_page(const wanted *w, uint32_t kind, uint32_t s, size_t chunk, size_t length)
{
    prefix_match match;
    size_t needed = smaller(length - chunk * ATTENTION_CHUNK, ATTENTION_CHUNK);
    if (find(w, kind, chunk, length, &match) < needed)
        return false;
    uint32_t page = w->kv->table[kind][s * w->kv->view.chunks + chunk];
    size_t segments = fill_segments(w->disk, w->kv, kind, page, match.count);
    return prefix_store_load(w->disk->store, &w->disk->parent[kind][chunk], &match, w->ids + chunk * ATTENTION_CHUNK,
                             w->disk->segment, segments, NULL) == MOTE_OK;
}

/* False: something could not be read after all; nobody will look for that again. */
static bool load(const wanted *w, uint32_t s, size_t length)
{
    size_t whole = kv_adopt(w->kv, s, w->ids, length), end = (length + ATTENTION_CHUNK - 1) / ATTENTION_CHUNK;
    bool good = true;
    for (size_t chunk = whole; chunk < end && good; chunk++)
        good = load_page(w, KV_WHOLE, s, chunk, length);
    for (size_t chunk = kv_first_seen(w->kv, length) / ATTENTION_CHUNK; chunk < end && good && w->kv->window != 0;
         chunk++)
        good = load_page(w, KV_SLIDING, s, chunk, length);
    return good;
}

size_t prefix_disk_load(prefix_disk *disk, kv_cache *kv, uint32_t s, const int32_t *ids, size_t count)
{
    wanted w = {disk, kv, ids, count};
    size_t known = 0;
    if (count < kv->sequence[s].length + PREFIX_DISK_LEAST)
        return 0;
    for (uint32_t kind = 0; kind < kv->kinds; kind++)
        chain_keys(disk, kind, ids, count, kv->sequence[s].scope);
    for (size_t attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        size_t length = continuable(&w, known = known_tokens(&w));
        if (length < kv->sequence[s].length + PREFIX_DISK_LEAST || load(&w, s, length))
            break;
        kv_truncate(kv, s, 0);
    }
    return known;
}

/* ---- saving ---- */

static const int32_t *ids_of_chunk(const kv_cache *kv, uint32_t s, size_t chunk)
{
    return kv->ids + kv->table[KV_WHOLE][s * kv->view.chunks + chunk] * kv->page_positions;
}

static void save_page(prefix_disk *disk, kv_cache *kv, const prefix_saving *at, uint32_t s, size_t length)
{
    size_t count = smaller(length - at->chunk * ATTENTION_CHUNK, ATTENTION_CHUNK);
    uint32_t page = kv->table[at->kind][s * kv->view.chunks + at->chunk];
    size_t segments = fill_segments(disk, kv, at->kind, page, count);
    prefix_store_save(disk->store, &at->parent, ids_of_chunk(kv, s, at->chunk), count, disk->segment, segments,
                      NULL); /* whatever goes wrong, the store has said it */
}

/* Can `s` be continued after `length` tokens, for which it needs sliding pages of the chunk? */
static bool needs_chunk(const kv_cache *kv, uint32_t s, size_t length, size_t chunk)
{
    return length >= PREFIX_DISK_LEAST && kv_continuable(kv, s, length) == length &&
           chunk >= kv_first_seen(kv, length) / ATTENTION_CHUNK && chunk * ATTENTION_CHUNK < length;
}

static void save_windows(prefix_disk *disk, kv_cache *kv, const prefix_saving *at, uint32_t s, size_t length)
{
    if (needs_chunk(kv, s, length, at->chunk))
        save_page(disk, kv, at, s, length);
    for (uint32_t q = kv->sessions; q < kv->sequences; q++) {
        const kv_sequence *kept = &kv->sequence[q];
        if (kept->length <= length && kept->scope == kv->sequence[s].scope &&
            needs_chunk(kv, q, kept->length, at->chunk) && kv_same(kv, q, s, kept->length))
            save_page(disk, kv, at, q, kept->length);
    }
}

bool prefix_disk_save(prefix_disk *disk, kv_cache *kv, uint32_t s, size_t length, prefix_saving *at)
{
    size_t chunks = (length + ATTENTION_CHUNK - 1) / ATTENTION_CHUNK;
    if (at->chunk == chunks) {
        at->kind++;
        at->chunk = 0;
    }
    if (length < PREFIX_DISK_LEAST || length > kv->sequence[s].length || at->kind >= kv->kinds)
        return false;
    if (at->chunk == 0)
        root_key(disk, at->kind, kv->sequence[s].scope, &at->parent);
    if (at->kind == KV_WHOLE)
        save_page(disk, kv, at, s, length);
    else
        save_windows(disk, kv, at, s, length);
    if (++at->chunk < chunks)
        prefix_key_extend(&at->parent, ids_of_chunk(kv, s, at->chunk - 1), ATTENTION_CHUNK, &at->parent);
    return true;
}
