/* Encoding a text: added tokens are cut out, what is between goes through normalisation, words and BPE. */
#include "text/tokenizer.h"

#include "base/checked.h"
#include "base/ids.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/tokenizer_image.h"
#include "text/unicode.h"

#include <stdio.h>
#include <stdlib.h>

enum { LONGEST_TEXT = 1 << 30 };

struct tokenizer {
    vocabulary v;
    const void *image; /* what `v` is a view of */
    size_t image_size;
    arena memory; /* where that is if it was built here */
    char description[80];
};

/* -------------------------------------------------------------------------------------------------------------- open */

mote_status tokenizer_open_image(tokenizer **out, const void *image, size_t size, const char *name, mote_error *error)
{
    *out = NULL;
    tokenizer *it = calloc(1, sizeof *it);
    if (it == NULL)
        return fail_memory(error, sizeof *it, "a tokenizer");
    mote_status status = tokenizer_image_view(&it->v, image, size, name, error);
    if (status != MOTE_OK) {
        free(it);
        return status;
    }
    it->image = image;
    it->image_size = size;
    if (it->v.words != NULL)
        snprintf(it->description, sizeof it->description, "byte-level BPE, %s pre-tokenizer", it->v.words->name);
    else
        snprintf(it->description, sizeof it->description, "SentencePiece BPE");
    *out = it;
    return MOTE_OK;
}

/* The tensor that holds a finished image; NULL: there is none. */
static const gguf_tensor *find_image(const gguf *file)
{
    const gguf_tensor *tensor = gguf_find_tensor(file, GGUF_TOKENIZER_TENSOR);
    return tensor != NULL && !gguf_is_weight(tensor) ? tensor : NULL;
}

mote_status tokenizer_open(tokenizer **out, const gguf *file, mote_error *error)
{
    *out = NULL;
    const gguf_tensor *ready = find_image(file);
    if (ready != NULL)
        return tokenizer_open_image(out, ready->data, ready->bytes, gguf_name(file), error);
    arena memory;
    size_t size;
    mote_status status = tokenizer_image_build(&memory, &size, file, error);
    if (status != MOTE_OK)
        return status;
    status = tokenizer_open_image(out, memory.base, size, gguf_name(file), error);
    if (status != MOTE_OK)
        arena_release(&memory);
    else
        (*out)->memory = memory;
    return status;
}

size_t tokenizer_bytes(const gguf *file)
{
    size_t size;
    return find_image(file) == NULL && tokenizer_image_measure(&size, file, NULL) == MOTE_OK ? size : 0;
}

void tokenizer_close(tokenizer *t)
{
    if (t == NULL)
        return;
    arena_release(&t->memory);
    free(t);
}

const void *tokenizer_image(const tokenizer *t, size_t *size)
{
    *size = t->image_size;
    return t->image;
}

const vocabulary *tokenizer_vocabulary(const tokenizer *t)
{
    return &t->v;
}

size_t tokenizer_size(const tokenizer *t)
{
    return t->v.count;
}

const char *tokenizer_describe(const tokenizer *t)
{
    return t->description;
}

bool tokenizer_is_end(const tokenizer *t, mote_token token)
{
    for (size_t i = 0; i < t->v.facts.end_count; i++)
        if (t->v.facts.ends[i] == token)
            return true;
    return false;
}

mote_token tokenizer_find(const tokenizer *t, const char *text)
{
    return vocabulary_find(&t->v, text, strlen(text));
}

/* ------------------------------------------------------------------------------------------------------------ pieces */

/* One call's working memory. */
typedef struct encoding {
    const vocabulary *v;
    bpe bpe;
    char *word; /* SentencePiece: the word at hand, spaces written as "▁" */
    size_t word_length, word_capacity;
    mote_ids *ids;
    mote_error *error;
} encoding;

static mote_status encode_words(encoding *e, const char *text, size_t length)
{
    mote_status status = MOTE_OK;
    while (length > 0 && status == MOTE_OK) {
        size_t word = e->v->words->next(text, length);
        mote_token whole = e->v->words->whole_words ? vocabulary_find_bytes(e->v, text, word) : -1;
        status = whole >= 0 ? ids_append(e->ids, whole, e->error) : bpe_encode(&e->bpe, text, word, e->ids, e->error);
        text += word;
        length -= word;
    }
    return status;
}

/* A piece of text between added tokens, for a byte-level vocabulary. */
static mote_status encode_byte_level(encoding *e, const char *text, size_t length)
{
    if (!e->v->words->nfc || unicode_is_surely_nfc(text, length))
        return encode_words(e, text, length);
    char *normal;
    mote_status status = unicode_nfc(text, length, &normal, &length, e->error);
    if (status == MOTE_OK)
        status = encode_words(e, normal, length);
    free(normal);
    return status;
}

static mote_status add_to_word(encoding *e, const char *text, size_t length)
{
    if (e->word_capacity - e->word_length < length) {
        size_t capacity;
        if (!checked_add(e->word_length, length, &capacity) || !checked_mul(capacity + 16, 2, &capacity))
            return fail_memory(e->error, SIZE_MAX, "a long word");
        char *word = realloc(e->word, capacity);
        if (word == NULL)
            return fail_memory(e->error, capacity, "a long word");
        e->word = word;
        e->word_capacity = capacity;
    }
    memcpy(e->word + e->word_length, text, length);
    e->word_length += length;
    return MOTE_OK;
}

static mote_status finish_word(encoding *e)
{
    size_t length = e->word_length;
    e->word_length = 0;
    return length == 0 ? MOTE_OK : bpe_encode(&e->bpe, e->word, length, e->ids, e->error);
}

static bool ends_in_mark(const char *text, size_t length)
{
    return length >= SPACE_MARK_LENGTH && memcmp(text + length - SPACE_MARK_LENGTH, SPACE_MARK, SPACE_MARK_LENGTH) == 0;
}

/* The same for SentencePiece. To it the whole piece is one word; but where no token has a "▁" behind what stands there,
 * BPE cannot join the two, and short words are quicker than a long one. */
static mote_status encode_sentencepiece(encoding *e, const char *text, size_t length)
{
    mote_status status = e->v->facts.space_prefix ? add_to_word(e, SPACE_MARK, SPACE_MARK_LENGTH) : MOTE_OK;
    bool after_space = true;
    for (size_t at = 0, end; at < length && status == MOTE_OK; at = end) {
        if (text[at] == ' ') {
            end = at + 1;
            if (!after_space && !e->v->facts.joins_space[(unsigned char)text[at - 1]])
                status = finish_word(e);
            if (status == MOTE_OK)
                status = add_to_word(e, SPACE_MARK, SPACE_MARK_LENGTH);
            after_space = true;
        } else {
            const char *space = memchr(text + at, ' ', length - at);
            end = space != NULL ? (size_t)(space - text) : length;
            status = add_to_word(e, text + at, end - at);
            after_space = ends_in_mark(text + at, end - at);
        }
    }
    return status == MOTE_OK ? finish_word(e) : status;
}

static mote_status encode_piece(encoding *e, const char *text, size_t length)
{
    if (length == 0)
        return MOTE_OK;
    return e->v->words != NULL ? encode_byte_level(e, text, length) : encode_sentencepiece(e, text, length);
}

/* ------------------------------------------------------------------------------------------------------------- texts */

/* `text` is the spans' texts, one behind the other. */
static mote_status encode_joined(encoding *e, const char *text, size_t length, const text_span *spans, size_t count)
{
    mote_status status = MOTE_OK;
    size_t piece = 0, at = 0, end = 0;
    for (size_t i = 0; i < count; i++) {
        end += spans[i].length;
        while (at < end && status == MOTE_OK) {
            added_match found = added_tokens_find(e->v, text, length, at, end, spans[i].trusted ? end : 0);
            at = found.at + found.length; /* the end of the span if nothing was found */
            if (found.token < 0)
                break;
            status = encode_piece(e, text + piece, found.at - piece);
            if (status == MOTE_OK)
                status = ids_append(e->ids, found.token, e->error);
            piece = at;
        }
    }
    return status == MOTE_OK ? encode_piece(e, text + piece, length - piece) : status;
}

/* The spans' texts, one behind the other: *joined is malloc'd unless there is one span alone. */
static mote_status join_spans(const text_span *spans, size_t count, char **joined, size_t *length, mote_error *error)
{
    *joined = NULL;
    *length = 0;
    for (size_t i = 0; i < count; i++)
        if (spans[i].length > LONGEST_TEXT || (*length += spans[i].length) > LONGEST_TEXT)
            return fail(error, MOTE_E_LIMIT,
                        "the text has more than %d bytes, which is all mote encodes at once; split it", LONGEST_TEXT);
    if (count <= 1)
        return MOTE_OK;
    *joined = malloc(*length + 1);
    if (*joined == NULL)
        return fail_memory(error, *length + 1, "a text");
    size_t at = 0;
    for (size_t i = 0; i < count; at += spans[i++].length)
        if (spans[i].length > 0)
            memcpy(*joined + at, spans[i].text, spans[i].length);
    return MOTE_OK;
}

mote_status tokenizer_encode_spans(const tokenizer *t, const text_span *spans, size_t count, unsigned flags,
                                   mote_ids *ids, mote_error *error)
{
    const vocabulary *v = &t->v;
    char *joined;
    size_t length, before = ids->count;
    mote_status status = join_spans(spans, count, &joined, &length, error);
    if (status == MOTE_OK && (flags & MOTE_TOKENIZE_BOS) && v->facts.begin >= 0)
        status = ids_append(ids, v->facts.begin, error);
    if (status == MOTE_OK && length > 0) {
        encoding e = {.v = v, .bpe = {.v = v}, .ids = ids, .error = error};
        status = encode_joined(&e, joined != NULL ? joined : spans[0].text, length, spans, count);
        bpe_close(&e.bpe);
        free(e.word);
    }
    free(joined);
    if (status != MOTE_OK)
        ids->count = before;
    return status;
}

mote_status tokenizer_encode(const tokenizer *t, const char *text, size_t length, unsigned flags, mote_ids *ids,
                             mote_error *error)
{
    text_span span = {text, length, (flags & MOTE_TOKENIZE_SPECIAL) != 0};
    return tokenizer_encode_spans(t, &span, 1, flags, ids, error);
}
