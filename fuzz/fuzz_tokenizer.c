/* Any text through every kind of small vocabulary: ids in range, no forged control token, the text back from its ids, and
 * the same ids however the text is cut into spans. The first byte chooses the vocabulary, the second the flags. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/byte_map.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "vocabulary_case.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VOCABULARIES = 8, MOST_TEXT = 4096 };

static vocabulary_case cases[VOCABULARIES];

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void open_all(void)
{
    static const char *const names[] = {"gpt-2", "smollm", "qwen2", "llama-bpe", "gpt-4o", "default"};
    mote_error error;
    for (int i = 0; i < VOCABULARIES; i++) {
        vocabulary_spec spec = i < 6 ? spec_byte_level(names[i]) : spec_sentencepiece(i == 6);
        require(vocabulary_case_open(&cases[i], &spec, &error) == MOTE_OK);
        vocabulary_spec_free(&spec);
    }
}

/* The bytes that an id was made from. */
static size_t bytes_of(const vocabulary *v, mote_token token, char *to)
{
    gguf_string text = vocabulary_text(v, token);
    bool mapped = v->words != NULL && vocabulary_kind(v, token) == TOKEN_NORMAL;
    if (vocabulary_kind(v, token) == TOKEN_BYTE) {
        *to = (char)(token - 3);
        return 1;
    }
    size_t count = 0;
    for (size_t i = 0; i < text.length;) {
        utf8_char c = utf8_decode(text.at + i, text.length - i);
        if (mapped) {
            to[count++] = (char)byte_map_byte(c.code);
        } else if (v->words == NULL && c.code == ' ') {
            memcpy(to + count, SPACE_MARK, SPACE_MARK_LENGTH);
            count += SPACE_MARK_LENGTH;
        } else {
            memcpy(to + count, text.at + i, c.length);
            count += c.length;
        }
        i += c.length;
    }
    return count;
}

/* A text as SentencePiece sees it. */
static size_t mark_spaces(const char *text, size_t length, char *to)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ') {
            memcpy(to + count, SPACE_MARK, SPACE_MARK_LENGTH);
            count += SPACE_MARK_LENGTH;
        } else {
            to[count++] = text[i];
        }
    }
    return count;
}

/* Byte-level ids spell the text, unless NFC changed it; SentencePiece's spell it with spaces marked. */
static void check_spelling(const vocabulary *v, const char *text, size_t length, const mote_ids *ids)
{
    static char spelled[64 * MOST_TEXT], marked[3 * MOST_TEXT];
    if (v->facts.space_prefix || (v->words != NULL && v->words->nfc && !unicode_is_surely_nfc(text, length)))
        return;
    size_t count = 0;
    for (size_t i = 0; i < ids->count; i++)
        count += bytes_of(v, ids->at[i], spelled + count);
    if (v->words == NULL) {
        length = mark_spaces(text, length, marked);
        text = marked;
    }
    require(count == length && memcmp(spelled, text, length) == 0);
}

static void check_ids(const vocabulary *v, const mote_ids *ids, unsigned flags)
{
    for (size_t i = 0; i < ids->count; i++) {
        mote_token token = ids->at[i];
        require(token >= 0 && (size_t)token < v->count);
        token_kind kind = vocabulary_kind(v, token);
        require(kind != TOKEN_UNUSED);
        require((kind != TOKEN_CONTROL && kind != TOKEN_UNKNOWN) || (flags & MOTE_TOKENIZE_SPECIAL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (cases[0].tokenizer == NULL)
        open_all();
    if (size < 2 || size > MOST_TEXT)
        return 0;
    const tokenizer *t = cases[data[0] % VOCABULARIES].tokenizer;
    const vocabulary *v = tokenizer_vocabulary(t);
    unsigned flags = data[1] & 1 ? MOTE_TOKENIZE_SPECIAL : 0;
    const char *text = (const char *)data + 2;
    size_t length = size - 2, cut = length > 0 ? data[1] / 2 % (length + 1) : 0;

    mote_ids ids = {0}, same = {0};
    require(tokenizer_encode(t, text, length, flags, &ids, NULL) == MOTE_OK);
    check_ids(v, &ids, flags);
    check_spelling(v, text, length, &ids);
    if (flags == 0) { /* with control tokens, a cut may fall into one */
        text_span spans[2] = {{text, cut, false}, {text + cut, length - cut, false}};
        require(tokenizer_encode_spans(t, spans, 2, 0, &same, NULL) == MOTE_OK);
        require(same.count == ids.count);
        require(ids.count == 0 || memcmp(same.at, ids.at, ids.count * sizeof *ids.at) == 0);
    }
    mote_ids_free(&ids);
    mote_ids_free(&same);
    return 0;
}
