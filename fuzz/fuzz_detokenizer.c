/* Any ids: what comes out is valid UTF-8 call by call, the same as when all of it is decoded at once, and silent or not as
 * asked. The first byte chooses the vocabulary, each other byte an id. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/byte_map.h"
#include "text/detokenizer.h"
#include "text/unicode.h"
#include "vocabulary_case.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VOCABULARIES = 3, MOST_IDS = 128, MOST_TEXT = MOST_IDS * 64 };

static vocabulary_case cases[VOCABULARIES];
static detokenizer *detokenizers[VOCABULARIES][2];

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void open_all(void)
{
    mote_error error;
    for (int i = 0; i < VOCABULARIES; i++) {
        vocabulary_spec spec = i == 0 ? spec_byte_level("gpt-2") : spec_sentencepiece(i == 1);
        require(vocabulary_case_open(&cases[i], &spec, &error) == MOTE_OK);
        for (int show = 0; show < 2; show++)
            require(detokenizer_open(&detokenizers[i][show], cases[i].tokenizer, show, &error) == MOTE_OK);
        vocabulary_spec_free(&spec);
    }
}

/* Checks that a text is valid by itself and puts it behind the others. */
static void keep(char *all, size_t *count, const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        utf8_char c = utf8_decode(text + at, length - at);
        require(c.code < UTF8_INVALID);
        at += c.length;
    }
    require(*count + length <= MOST_TEXT);
    memcpy(all + *count, text, length);
    *count += length;
}

/* The bytes that an id stands for, said anew. */
static size_t bytes_of(const vocabulary *v, mote_token token, bool show, char *to)
{
    gguf_string text = vocabulary_text(v, token);
    switch (vocabulary_kind(v, token)) {
    case TOKEN_UNKNOWN:
    case TOKEN_CONTROL:
    case TOKEN_UNUSED:
        if (!show)
            return 0;
        break;
    case TOKEN_BYTE: *to = (char)(token - 3); return 1;
    case TOKEN_NORMAL:
    case TOKEN_USER: break;
    }
    size_t count = 0;
    for (size_t i = 0; i < text.length;) {
        utf8_char c = utf8_decode(text.at + i, text.length - i);
        if (vocabulary_kind(v, token) == TOKEN_NORMAL && v->words != NULL) {
            to[count++] = (char)byte_map_byte(c.code);
        } else if (c.code == 0x2581) {
            to[count++] = ' ';
        } else {
            memcpy(to + count, text.at + i, c.length);
            count += c.length;
        }
        i += c.length;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (cases[0].tokenizer == NULL)
        open_all();
    if (size == 0 || size > MOST_IDS)
        return 0;
    unsigned chosen = data[0] % VOCABULARIES, show = data[0] / VOCABULARIES % 2;
    const vocabulary *v = tokenizer_vocabulary(cases[chosen].tokenizer);
    detokenizer *d = detokenizers[chosen][show];
    unsigned shift = data[0] / 6 * 7u; /* ids past 255 are reached from another start */

    static char streamed[MOST_TEXT], bytes[MOST_TEXT], whole[3 * MOST_TEXT];
    size_t streamed_count = 0, byte_count = 0, whole_count = 0, length;
    for (size_t i = 1; i < size; i++) {
        mote_token token = (mote_token)(data[i] + shift) - 2; /* a few lie outside the vocabulary */
        const char *text = detokenizer_push(d, token, &length);
        keep(streamed, &streamed_count, text, length);
        if (token >= 0 && (size_t)token < v->count)
            byte_count += bytes_of(v, token, show, bytes + byte_count);
    }
    const char *text = detokenizer_finish(d, &length);
    keep(streamed, &streamed_count, text, length);

    size_t at = v->facts.space_prefix && byte_count > 0 && bytes[0] == ' ' ? 1 : 0;
    while (at < byte_count) {
        utf8_char c = utf8_decode(bytes + at, byte_count - at);
        bool valid = c.code < UTF8_INVALID;
        memcpy(whole + whole_count, valid ? bytes + at : "\xef\xbf\xbd", valid ? c.length : 3);
        whole_count += valid ? c.length : 3;
        at += c.length;
    }
    require(whole_count == streamed_count && memcmp(whole, streamed, whole_count) == 0);
    return 0;
}
