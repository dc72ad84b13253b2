/* The pre-tokenizers' scanners against the words that HF tokenizers finds with the regular expressions. */
#include "assert_says.h"
#include "text/pretokenizer.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_WORDS = 24 };

/* The text is the words, one behind the other. */
static const struct {
    const char *name;
    const char *words[MOST_WORDS];
} rows[] = {
    /* clang-format off */
        {"gpt-2", {"it", "'s", " IT", "'", "S", " we", "'ll"}},
        {"gpt-2", {"a", " ", " b", "  ", " c", " "}},
        {"gpt-2", {"x", "1", "y", "22", " 333"}},
        {"gpt-2", {"hi", "!?", " ok"}},
        {"gpt-2", {"\n\n", " x"}},
        {"gpt-2", {" \n"}},
        {"gpt-2", {"a", "\xcc\x81", "b"}},
        {"gpt-2", {"1\xc2\xb2", " \xe2\x85\xa7", "x"}},
        {"gpt-2", {"'s", "ound"}},
        {"gpt-2", {"tab", "\t", "x"}},
        {"smollm", {"a", "1", "2", " b"}},
        {"smollm", {"1", "2", " ", "3", "4"}},
        {"smollm", {"  ", "7"}},
        {"smollm", {"x", "'s", " ", "1", "'s"}},
        {"smollm", {"\n", "1", "\n"}},
        {"smollm", {"\xd9\xa1", "\xd9\xa2", " a"}},
        {"smollm", {"1", " "}},
        {"smollm", {"  ", "1", "2", "  "}},
        {"qwen2", {"it", "'s", " IT", "'S", " I", "'\xc5\xbf"}},
        {"qwen2", {"x", "1", "2", "3", " ", "4", "5", "6", "7"}},
        {"qwen2", {"hi", "!!\n\n", " y"}},
        {"qwen2", {"a", "\r\n", "b"}},
        {"qwen2", {"  \n", " ", " x"}},
        {"qwen2", {"\t", "\tif", " (", "x", ")"}},
        {"qwen2", {"_a", ".b"}},
        {"qwen2", {"e", "\xcc\x81""a", " \xcc\x81", "b"}},
        {"qwen2", {"\xc2\xa0x"}},
        {"qwen2", {"!\xcc\x81", "a"}},
        {"qwen2", {" ", "1"}},
        {"qwen2", {"  ", " x"}},
        {"llama-bpe", {"123", "456", "78"}},
        {"llama-bpe", {"a", "123", "4", " ", "56"}},
        {"llama-bpe", {" '", "LL", " we", "'LL"}},
        {"llama-bpe", {"x", "\n\n\n", "y"}},
        {"llama-bpe", {"\n \n", " a"}},
        {"llama-bpe", {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", " \xe3\x81\xa7\xe3\x81\x99"}},
        {"gpt-4o", {"XMLHttp", "Request", " i", "Phone"}},
        {"gpt-4o", {"ABCdef", " GHI's"}},
        {"gpt-4o", {"\xcc\x81", "ABC"}},
        {"gpt-4o", {"AB\xcc\x81", "CD"}},
        {"gpt-4o", {"a", "/b", "//\n"}},
        {"gpt-4o", {"\xe6\x97\xa5", "ABC"}},
        {"gpt-4o", {"ABC\xe6\x97\xa5"}},
        {"gpt-4o", {"it'S"}},
        {"gpt-4o", {"123", "456", "7"}},
        {"gpt-4o", {"\xc7\x85ungla"}},
        {"gpt-4o", {" \xcc\x81", "ABC"}},
        {"gpt-4o", {" ", " ABC"}},
        {"gpt-4o", {"..'", "s"}},
        {"gpt-4o", {"A'\xc5\xbf", "b"}},
        {"default", {"a", "123", "4", " ", "567"}},
        {"default", {"x", "+", "y", "=$", "5"}},
        {"default", {"it", "'", "s"}},
        {"default", {"12\xd9\xa3""45"}},
        {"default", {" ", "12", " ", " x"}},
        {"default", {"hi", "!?..", " ok"}},
        {"default", {"a", "\n\n", " b"}},
        {"default", {"\xc2\xb2\xc2\xb3", " ", "9"}},
    /* clang-format on */
};

static const pretokenizer *named(const char *name)
{
    const pretokenizer *it = pretokenizer_find(name, strlen(name));
    assert_non_null(it);
    return it;
}

static void words_are_those_of_the_expressions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256] = "";
        for (size_t k = 0; rows[i].words[k] != NULL; k++)
            strcat(text, rows[i].words[k]);
        size_t at = 0, length = strlen(text);
        for (size_t k = 0; rows[i].words[k] != NULL; k++) {
            size_t expected = strlen(rows[i].words[k]);
            size_t got = named(rows[i].name)->next(text + at, length - at);
            if (got != expected)
                fail_msg("%s: word %zu of \"%s\" has %zu bytes, not %zu", rows[i].name, k, text, got, expected);
            at += got;
        }
        assert_int_equal(at, length);
    }
}

static void names_and_aliases(void **state)
{
    (void)state;
    assert_ptr_equal(named("llama3"), named("llama-bpe"));
    assert_ptr_equal(named("deepseek-r1-qwen"), named("qwen2"));
    assert_true(named("qwen2")->nfc);
    assert_false(named("gpt-2")->nfc);
    assert_null(pretokenizer_find("qwen", 4));
    assert_null(pretokenizer_find("qwen2x", 6));
    assert_null(pretokenizer_find("", 0));
    assert_ptr_equal(pretokenizer_find("qwen2x", 5), named("qwen2"));
}

static const char *const all[] = {"gpt-2", "smollm", "qwen2", "llama-bpe", "gpt-4o", "default"};

/* Words cover any bytes, and no word is empty. */
static void any_bytes_are_covered(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int round = 0; round < 20000; round++) {
        char text[24];
        size_t length = 1 + (random >> 8) % sizeof text;
        for (size_t i = 0; i < length; i++) {
            random = random * 1664525u + 1013904223u;
            static const char common[] = "'sS l1 \n\r\xcc\x81\xc5\xbf\xe6\xbc\xa2/aA";
            text[i] = (random >> 30) == 0 ? (char)(random >> 16) : common[(random >> 16) % (sizeof common - 1)];
        }
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            for (size_t at = 0; at < length;) {
                size_t word = named(all[k])->next(text + at, length - at);
                assert_true(word > 0 && word <= length - at);
                at += word;
            }
    }
}

/* A mebibyte of one thing or of two by turns: a scanner that looked back would take hours. */
static void long_runs_are_linear(void **state)
{
    (void)state;
    static const char *const units[] = {
        "a",   "A",     " ", "\n", "1",         "!",          "\xcc\x81",      "A\xcc\x81", "\xe6\xbc\xa2", "\xff",
        " \n", "\r\n ", "'", "'s", "1\xd9\xa1", "12\xd9\xa1", "A\xe6\xbc\xa2", "/\n",       " a",           "\xc2\xa0"};
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        size_t unit = strlen(units[u]), length = SIZE / unit * unit;
        for (size_t at = 0; at < length; at += unit)
            memcpy(text + at, units[u], unit);
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            for (size_t at = 0; at < length;)
                at += named(all[k])->next(text + at, length - at);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_the_expressions),
        cmocka_unit_test(names_and_aliases),
        cmocka_unit_test(any_bytes_are_covered),
        cmocka_unit_test(long_runs_are_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
