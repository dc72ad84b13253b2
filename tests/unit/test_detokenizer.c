/* The streaming detokenizer: the same text however it is fed, whole characters only, valid UTF-8 whatever the ids. */
#include "assert_says.h"
#include "base/ids.h"
#include "text/detokenizer.h"
#include "text/unicode.h"
#include "vocabulary_case.h"

#include <stdlib.h>
#include <string.h>

static void open_sound(vocabulary_case *it, vocabulary_spec spec)
{
    mote_error error;
    if (vocabulary_case_open(it, &spec, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    vocabulary_spec_free(&spec);
}

static detokenizer *open_detokenizer(const vocabulary_case *it, bool show_special)
{
    detokenizer *d;
    mote_error error;
    assert_int_equal(detokenizer_open(&d, it->tokenizer, show_special, &error), MOTE_OK);
    return d;
}

static void push_text(detokenizer *d, const vocabulary_case *it, const char *token, const char *expected)
{
    size_t length;
    mote_token id = tokenizer_find(it->tokenizer, token);
    if (id < 0)
        fail_msg("the vocabulary has no \"%s\"", token);
    const char *text = detokenizer_push(d, id, &length);
    if (length != strlen(expected) || memcmp(text, expected, length) != 0)
        fail_msg("\"%s\" gave \"%.*s\", not \"%s\"", token, (int)length, text, expected);
}

static void finish_text(detokenizer *d, const char *expected)
{
    size_t length;
    const char *text = detokenizer_finish(d, &length);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(text, expected, length);
}

static void characters_come_whole(void **state)
{
    (void)state;
    vocabulary_case it;
    open_sound(&it, spec_byte_level("gpt-2"));
    detokenizer *d = open_detokenizer(&it, false);
    push_text(d, &it, "Ġhello", " hello");
    push_text(d, &it, "Ã", "");
    push_text(d, &it, "©", "é");
    push_text(d, &it, "ðŁĺ", "");
    push_text(d, &it, "Ģ", "😀");
    push_text(d, &it, "æ", "");
    push_text(d, &it, "¼", "");
    push_text(d, &it, "¢", "漢");
    finish_text(d, "");
    detokenizer_close(d);
    vocabulary_case_close(&it);
}

static void what_never_becomes_a_character(void **state)
{
    (void)state;
    vocabulary_case it;
    open_sound(&it, spec_byte_level("gpt-2"));
    detokenizer *d = open_detokenizer(&it, false);
    push_text(d, &it, "ðŁĺ", "");
    push_text(d, &it, "a",
              "\xef\xbf\xbd"
              "a"); /* three bytes of one maximal part */
    push_text(d, &it, "ÿ", "\xef\xbf\xbd");
    push_text(d, &it, "¼", "\xef\xbf\xbd");
    push_text(d, &it, "Ã", "");
    push_text(d, &it, "Ã", "\xef\xbf\xbd");
    finish_text(d, "\xef\xbf\xbd");
    finish_text(d, "");
    push_text(d, &it, "a", "a"); /* ready for a new text */
    detokenizer_close(d);
    vocabulary_case_close(&it);
}

static void tokens_outside_bpe(void **state)
{
    (void)state;
    vocabulary_case it;
    open_sound(&it, spec_byte_level("gpt-2"));
    detokenizer *d = open_detokenizer(&it, false);
    push_text(d, &it, "<|im_start|>", "");
    push_text(d, &it, "<think>", "<think>");
    push_text(d, &it, "Ã", "");
    push_text(d, &it, "<|im_end|>", ""); /* silent: what was held back may still be completed */
    push_text(d, &it, "©", "é");
    push_text(d, &it, "<unused>", "");
    size_t length;
    static const mote_token outside[] = {-1, INT32_MIN, INT32_MAX, 285};
    for (size_t i = 0; i < 4; i++) {
        detokenizer_push(d, outside[i], &length);
        assert_int_equal(length, 0);
    }
    detokenizer_close(d);
    d = open_detokenizer(&it, true);
    push_text(d, &it, "<|im_start|>", "<|im_start|>");
    push_text(d, &it, "Ã", "");
    push_text(d, &it, "<|im_end|>", "\xef\xbf\xbd<|im_end|>");
    detokenizer_close(d);
    vocabulary_case_close(&it);
}

/* A byte-level token with a character that stands for no byte is itself. */
static void texts_that_are_no_bytes(void **state)
{
    (void)state;
    vocabulary_case it;
    vocabulary_spec spec = spec_byte_level("gpt-2");
    spec.texts[281] = (free((char *)spec.texts[281]), strdup("漢 é"));
    spec.kinds[281] = TOKEN_NORMAL;
    spec.end = -1;
    open_sound(&it, spec);
    detokenizer *d = open_detokenizer(&it, false);
    push_text(d, &it, "漢 é", "漢 é");
    detokenizer_close(d);
    vocabulary_case_close(&it);
}

static void sentencepiece(void **state)
{
    (void)state;
    vocabulary_case it;
    open_sound(&it, spec_sentencepiece(true));
    detokenizer *d = open_detokenizer(&it, false);
    push_text(d, &it, "<s>", "");
    push_text(d, &it, "▁hello", "hello"); /* the space that was not there */
    push_text(d, &it, "▁hello", " hello");
    push_text(d, &it, "<0xF0>", "");
    push_text(d, &it, "<0x9F>", "");
    push_text(d, &it, "<0x98>", "");
    push_text(d, &it, "<0x80>", "😀");
    push_text(d, &it, "   ", "   ");
    push_text(d, &it, ">▁<", "> <");
    finish_text(d, "");
    push_text(d, &it, "▁", "");
    push_text(d, &it, "▁", " ");
    detokenizer_close(d);
    d = open_detokenizer(&it, true);
    push_text(d, &it, "<s>", "<s>");
    push_text(d, &it, "▁hello", " hello");
    detokenizer_close(d);
    vocabulary_case_close(&it);
    open_sound(&it, spec_sentencepiece(false));
    d = open_detokenizer(&it, false);
    push_text(d, &it, "▁hello", " hello");
    detokenizer_close(d);
    detokenizer_close(NULL);
    vocabulary_case_close(&it);
}

/* Any ids give valid UTF-8 and, as no id is special here, the characters of their bytes in a row. */
static void any_ids_give_valid_text(void **state)
{
    (void)state;
    vocabulary_case it;
    uint32_t random = 7;
    open_sound(&it, spec_byte_level("gpt-2"));
    detokenizer *d = open_detokenizer(&it, true);
    for (int round = 0; round < 200000; round++) {
        random = random * 1664525u + 1013904223u;
        size_t length;
        /* mostly bytes from 80 on, so that characters and their parts are frequent */
        mote_token token = (mote_token)((random >> 30) != 0 ? 0x80 + (random >> 16) % 0x80 : (random >> 16) % 285);
        const char *text = round % 1000 == 999 ? detokenizer_finish(d, &length) : detokenizer_push(d, token, &length);
        for (size_t at = 0; at < length;) {
            utf8_char c = utf8_decode(text + at, length - at);
            assert_true(c.code < UTF8_INVALID);
            at += c.length;
        }
    }
    detokenizer_close(d);
    vocabulary_case_close(&it);
}

/* What is valid comes back byte for byte. */
static void texts_come_back(void **state)
{
    (void)state;
    static const char text[] = "Grüße, 漢字 😀\n\n  hello 12345 it's\t\0x <think> <|im_end|>";
    vocabulary_case it;
    mote_error error;
    static const char *const names[] = {"gpt-2", "smollm", "qwen2", "llama-bpe", "gpt-4o", "default", NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        open_sound(&it, names[i] != NULL ? spec_byte_level(names[i]) : spec_sentencepiece(false));
        mote_ids ids = {0};
        char back[256];
        size_t count = 0, length;
        assert_int_equal(tokenizer_encode(it.tokenizer, text, sizeof text, 0, &ids, &error), MOTE_OK);
        detokenizer *d = open_detokenizer(&it, false);
        for (size_t k = 0; k < ids.count; k++) {
            const char *part = detokenizer_push(d, ids.at[k], &length);
            assert_true(count + length <= sizeof back);
            memcpy(back + count, part, length);
            count += length;
        }
        finish_text(d, "");
        if (count != sizeof text)
            fail_msg("%s: %zu bytes came back as %zu: %.*s", names[i], sizeof text, count, (int)count, back);
        assert_memory_equal(back, text, sizeof text);
        detokenizer_close(d);
        mote_ids_free(&ids);
        vocabulary_case_close(&it);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_come_whole), cmocka_unit_test(what_never_becomes_a_character),
        cmocka_unit_test(tokens_outside_bpe),    cmocka_unit_test(texts_that_are_no_bytes),
        cmocka_unit_test(sentencepiece),         cmocka_unit_test(any_ids_give_valid_text),
        cmocka_unit_test(texts_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
