/* Streaming detokenizer: a token's bytes behind those held back, whole characters out, the rest held back. */
#include "text/detokenizer.h"

#include "text/byte_map.h"
#include "text/unicode.h"

#include <stdlib.h>

static const char replacement[3] = "\xef\xbf\xbd"; /* U+FFFD */

struct detokenizer {
    const vocabulary *v;
    bool show_special;
    bool at_start; /* nothing has come out yet */
    size_t held;   /* bytes at the start of `bytes`, part of a character */
    char *bytes;   /* those held back and those of the token at hand */
    char *out;
};

mote_status detokenizer_open(detokenizer **out, const tokenizer *t, bool show_special, mote_error *error)
{
    const vocabulary *v = tokenizer_vocabulary(t);
    size_t most = v->longest + UTF8_LONGEST;               /* bytes of a token and those held back */
    size_t text_most = most * sizeof replacement;          /* if every one of them is replaced */
    size_t bytes = sizeof(detokenizer) + most + text_most; /* one block: the struct, bytes, out */
    *out = calloc(1, bytes);
    if (*out == NULL)
        return fail_memory(error, bytes, "a detokenizer");
    (*out)->v = v;
    (*out)->show_special = show_special;
    (*out)->at_start = true;
    (*out)->bytes = (char *)(*out + 1);
    (*out)->out = (*out)->bytes + most;
    return MOTE_OK;
}

void detokenizer_close(detokenizer *d)
{
    free(d);
}

/* ------------------------------------------------------------------------------------------------------- token → bytes */

static size_t copy_literal(gguf_string text, char *to)
{
    memcpy(to, text.at, text.length);
    return text.length;
}

/* A byte-level token: a character for each byte. A text with other characters in it stands for itself. */
static size_t copy_byte_level(gguf_string text, char *to)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length;) {
        utf8_char c = utf8_decode(text.at + i, text.length - i);
        int byte = byte_map_byte(c.code);
        if (byte < 0)
            return copy_literal(text, to);
        to[count++] = (char)byte;
        i += c.length;
    }
    return count;
}

/* A SentencePiece token: "▁" is a space. */
static size_t copy_piece(gguf_string text, char *to)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length;) {
        bool mark = text.length - i >= SPACE_MARK_LENGTH && memcmp(text.at + i, SPACE_MARK, SPACE_MARK_LENGTH) == 0;
        to[count++] = mark ? ' ' : text.at[i];
        i += mark ? SPACE_MARK_LENGTH : 1;
    }
    return count;
}

/* "<0xZZ>", checked when the image was built. */
static char byte_of(const vocabulary *v, mote_token token)
{
    for (int byte = 0; byte < 256; byte++)
        if (v->facts.bytes[byte] == token)
            return (char)byte;
    return '?';
}

/* The bytes that a token stands for, at most v->longest of them. */
static size_t token_bytes(const detokenizer *d, mote_token token, char *to)
{
    const vocabulary *v = d->v;
    if (token < 0 || (size_t)token >= v->count)
        return 0;
    gguf_string text = vocabulary_text(v, token);
    switch (vocabulary_kind(v, token)) {
    case TOKEN_NORMAL: return v->words != NULL ? copy_byte_level(text, to) : copy_piece(text, to);
    case TOKEN_USER: return v->words != NULL ? copy_literal(text, to) : copy_piece(text, to);
    case TOKEN_BYTE:
        if (v->words != NULL)
            return copy_literal(text, to);
        *to = byte_of(v, token);
        return 1;
    case TOKEN_UNKNOWN:
    case TOKEN_CONTROL:
    case TOKEN_UNUSED: break;
    }
    return d->show_special ? copy_literal(text, to) : 0;
}

/* -------------------------------------------------------------------------------------------------- bytes → characters */

static size_t replace(char *to)
{
    memcpy(to, replacement, sizeof replacement);
    return sizeof replacement;
}

const char *detokenizer_push(detokenizer *d, mote_token token, size_t *length)
{
    size_t count = d->held + token_bytes(d, token, d->bytes + d->held);
    size_t at = 0, written = 0;
    if (d->at_start && count > 0) {
        if (d->v->facts.space_prefix && d->bytes[0] == ' ')
            at = 1;
        d->at_start = false;
    }
    while (at < count) {
        utf8_char c = utf8_decode(d->bytes + at, count - at);
        if (c.code == UTF8_PARTIAL)
            break;
        if (c.code == UTF8_INVALID) {
            written += replace(d->out + written);
        } else {
            memcpy(d->out + written, d->bytes + at, c.length);
            written += c.length;
        }
        at += c.length;
    }
    d->held = count - at;
    memmove(d->bytes, d->bytes + at, d->held);
    *length = written;
    return d->out;
}

const char *detokenizer_finish(detokenizer *d, size_t *length)
{
    *length = d->held > 0 ? replace(d->out) : 0;
    d->held = 0;
    d->at_start = true;
    return d->out;
}
