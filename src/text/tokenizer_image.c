/* The layout of a tokenizer image, and opening one that may be anybody's. */
#include "text/tokenizer_image.h"

#include "base/checked.h"

#define AGAIN "pack the model again"

_Static_assert(sizeof(tokenizer_image_header) == 3464, "an image has no padding");

/* The place of `count` things of `each` bytes, behind what is laid out already. */
static bool place(size_t *at, size_t *end, size_t count, size_t each)
{
    size_t bytes;
    return checked_align(*end, TOKENIZER_IMAGE_ALIGNMENT, at) && checked_mul(count, each, &bytes) &&
           checked_add(*at, bytes, end);
}

bool tokenizer_image_lay_out(tokenizer_image_layout *at, const tokenizer_image_header *header)
{
    bool byte_level = header->words[0] != '\0';
    size_t count = header->count, merges = header->merge_count, added = header->facts.added_first[256];
    size_t word = sizeof(uint32_t), end = sizeof *header;
    bool fits = place(&at->text_offsets, &end, count + 1, word) && place(&at->kinds, &end, count, 1) &&
                place(&at->text_slots, &end, hash_index_slots(count), word) &&
                place(&at->scores, &end, byte_level ? 0 : count, sizeof(float)) &&
                place(&at->merges, &end, merges, sizeof(token_merge)) &&
                place(&at->merge_slots, &end, hash_index_slots(merges), word) &&
                place(&at->texts, &end, header->text_bytes, 1) && place(&at->added, &end, added, word);
    at->size = end;
    return fits;
}

void tokenizer_image_bind(vocabulary *v, const void *image, const tokenizer_image_header *header,
                          const tokenizer_image_layout *at)
{
    const unsigned char *base = image;
    *v = (vocabulary){
        .words = pretokenizer_find(header->words, strlen(header->words)), /* of no name: none */
        .count = header->count,
        .longest = header->longest,
        .text_bytes = header->text_bytes,
        .merge_count = header->merge_count,
        .facts = header->facts,
        .text_offsets = base + at->text_offsets,
        .kinds = base + at->kinds,
        .text_index = hash_index_over(base + at->text_slots, header->count),
        .scores = base + at->scores,
        .merges = base + at->merges,
        .merge_index = hash_index_over(base + at->merge_slots, header->merge_count),
        .texts = (const char *)base + at->texts,
        .added = base + at->added,
    };
    for (size_t i = 0; i <= VOCABULARY_LONGEST_SPACES; i++)
        v->has_space_runs = v->has_space_runs || header->facts.space_runs[i] >= 0;
}

/* Are these tokens, or -1? */
static bool are_tokens(const mote_token *token, size_t many, size_t count)
{
    for (size_t i = 0; i < many; i++)
        if (token[i] < -1 || token[i] >= (mote_token)count)
            return false;
    return true;
}

/* All that look-ups rely on. */
static bool are_sound(const vocabulary_facts *f, size_t count)
{
    for (size_t byte = 0; byte < 256; byte++)
        if (f->added_first[byte] > f->added_first[byte + 1])
            return false;
    return are_tokens(&f->begin, 1, count) && are_tokens(&f->unknown, 1, count) &&
           f->end_count <= VOCABULARY_MOST_ENDS && are_tokens(f->ends, VOCABULARY_MOST_ENDS, count) &&
           are_tokens(f->bytes, 256, count) && are_tokens(f->space_runs, VOCABULARY_LONGEST_SPACES + 1, count) &&
           f->added_first[256] <= count;
}

mote_status tokenizer_image_view(vocabulary *v, const void *image, size_t size, const char *name, mote_error *error)
{
    tokenizer_image_header header;
    tokenizer_image_layout at;
    if (size < sizeof header)
        return fail(error, MOTE_E_FORMAT, "%s: its tokenizer image has %zu bytes, and the header alone has %zu; " AGAIN,
                    name, size, sizeof header);
    memcpy(&header, image, sizeof header);
    if (memcmp(header.magic, TOKENIZER_IMAGE_MAGIC, sizeof header.magic) != 0)
        return fail(error, MOTE_E_FORMAT, "%s: its tokenizer image does not begin like one; " AGAIN, name);
    if (header.version == __builtin_bswap32(TOKENIZER_IMAGE_VERSION))
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: its tokenizer image is big-endian, and mote's are little-endian; " AGAIN, name);
    if (header.version != TOKENIZER_IMAGE_VERSION)
        return fail(error, MOTE_E_UNSUPPORTED, "%s: its tokenizer image has version %u, and this mote reads %d; " AGAIN,
                    name, header.version, TOKENIZER_IMAGE_VERSION);
    if (header.size != size)
        return fail(error, MOTE_E_FORMAT, "%s: its tokenizer image says it has %llu bytes, and it has %zu; " AGAIN,
                    name, (unsigned long long)header.size, size);
    if (memchr(header.words, '\0', sizeof header.words) == NULL || header.count == 0 ||
        header.count > VOCABULARY_MOST || header.merge_count > HASH_INDEX_MOST ||
        header.longest > VOCABULARY_LONGEST_TOKEN || !are_sound(&header.facts, header.count) ||
        !tokenizer_image_lay_out(&at, &header) || at.size != size)
        return fail(error, MOTE_E_FORMAT,
                    "%s: the header of its tokenizer image contradicts itself (%u tokens, %u merges, %zu bytes); the "
                    "file is damaged, " AGAIN,
                    name, header.count, header.merge_count, size);
    tokenizer_image_bind(v, image, &header, &at);
    if (header.words[0] != '\0' && v->words == NULL)
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: its tokenizer image names a pre-tokenizer that this mote does not know; " AGAIN, name);
    return MOTE_OK;
}
