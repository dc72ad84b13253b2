/* Tokenizers against HF tokenizers' ids on a multilingual corpus, what may and may not be written in a text, long texts,
 * and vocabularies that are wrong. */
#include "assert_says.h"
#include "base/ids.h"
#include "text/tokenizer.h"
#include "vocabulary_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ------------------------------------------------------------------------------------------------------------ corpus */

static char *read_file(const char *prefix, const char *name, size_t *size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tokenizers/%s%s", MOTE_TEST_DATA, prefix, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("cannot open %s", path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *size, file), *size);
    text[*size] = '\0';
    fclose(file);
    return text;
}

/* Compares with a line of ids, returns the start of the next line. */
static const char *check_line(const char *line, const mote_ids *ids, const char *name, size_t text, bool special)
{
    size_t count = 0;
    while (*line != '\n') {
        char *end;
        long id = strtol(line, &end, 10);
        if (count >= ids->count || ids->at[count] != id)
            fail_msg("%s, text %zu%s: id %zu is %d, not %ld", name, text, special ? " (special)" : "", count,
                     count < ids->count ? ids->at[count] : -1, id);
        count++;
        line = *end == ' ' ? end + 1 : end;
    }
    if (count != ids->count)
        fail_msg("%s, text %zu%s: %zu ids, not %zu", name, text, special ? " (special)" : "", ids->count, count);
    return line + 1;
}

static void check_corpus(const tokenizer *t, const char *name)
{
    char ids_name[32];
    size_t size, ids_size;
    mote_error error;
    snprintf(ids_name, sizeof ids_name, "%s.ids", name);
    char *corpus = read_file("", "corpus.txt", &size), *expected = read_file("vocabulary-", ids_name, &ids_size);
    const char *line = expected;
    size_t texts = 0;
    for (const char *text = corpus, *end; text <= corpus + size; text = end + 1, texts++) {
        end = memchr(text, '\x1e', (size_t)(corpus + size - text));
        if (end == NULL)
            end = corpus + size;
        for (int special = 1; special >= 0; special--) {
            mote_ids ids = {0};
            unsigned flags = special ? MOTE_TOKENIZE_SPECIAL : 0;
            assert_int_equal(tokenizer_encode(t, text, (size_t)(end - text), flags, &ids, &error), MOTE_OK);
            line = check_line(line, &ids, name, texts, special);
            mote_ids_free(&ids);
        }
    }
    assert_ptr_equal(line, expected + ids_size);
    assert_true(texts > 150);
    free(corpus);
    free(expected);
}

/* With the tables built from the file's strings, and with their image at another, odd address. */
static void check_vocabulary(const char *name)
{
    char path[1024];
    gguf *file;
    tokenizer *built, *mapped;
    mote_error error;
    snprintf(path, sizeof path, "%s/tokenizers/vocabulary-%s.gguf", MOTE_TEST_DATA, name);
    assert_int_equal(gguf_open(&file, path, &error), MOTE_OK);
    if (tokenizer_open(&built, file, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    check_corpus(built, name);

    size_t size;
    const void *image = tokenizer_image(built, &size);
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy + 1, image, size);
    tokenizer_close(built);
    gguf_close(file);
    if (tokenizer_open_image(&mapped, copy + 1, size, name, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    check_corpus(mapped, name);
    tokenizer_close(mapped);
    free(copy);
}

static void corpus_id_for_id(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2", "smollm", "qwen2", "llama-bpe", "gpt-4o", "default", "gemma", "llama"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_vocabulary(names[i]);
}

/* ------------------------------------------------------------------------------------------------- small vocabularies */

static void open_sound(vocabulary_case *it, vocabulary_spec spec)
{
    mote_error error;
    if (vocabulary_case_open(it, &spec, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    vocabulary_spec_free(&spec);
}

/* `expected`: the texts of the tokens, ended by NULL. */
static void check_tokens(const vocabulary_case *it, const char *text, size_t length, unsigned flags,
                         const char *const *expected)
{
    mote_ids ids = {0};
    mote_error error;
    assert_int_equal(tokenizer_encode(it->tokenizer, text, length, flags, &ids, &error), MOTE_OK);
    size_t i = 0;
    for (; expected[i] != NULL; i++) {
        mote_token token = tokenizer_find(it->tokenizer, expected[i]);
        if (token < 0)
            fail_msg("the vocabulary has no \"%s\"", expected[i]);
        if (i >= ids.count || ids.at[i] != token)
            fail_msg("\"%s\": token %zu is not \"%s\"", text, i, expected[i]);
    }
    assert_int_equal(ids.count, i);
    mote_ids_free(&ids);
}

#define check(it, text, flags, ...)                                                                                    \
    check_tokens(it, text, sizeof text - 1, flags, (const char *const[]){__VA_ARGS__, NULL})

static void byte_level_words(void **state)
{
    (void)state;
    vocabulary_case it;
    open_sound(&it, spec_byte_level("gpt-2"));
    assert_string_equal(tokenizer_describe(it.tokenizer), "byte-level BPE, gpt-2 pre-tokenizer");
    assert_int_equal(tokenizer_size(it.tokenizer), 256 + 25 + 4);
    check(&it, "hello hello", 0, "hello", "Ġhello");
    check(&it, "aaaaaaa", 0, "aaaa", "aa", "a");
    check(&it, "    hello", 0, "ĠĠ", "Ġ", "Ġhello");
    check(&it, "it's", 0, "i", "t", "'s");
    check(&it, "é😀", 0, "Ã©", "ðŁĺĢ");
    check(&it, "\xff\xc3\n\0", 0, "ÿ", "Ã", "Ċ", "Ā");
    vocabulary_case_close(&it);
}

static void pre_tokenizers_bound_merges(void **state)
{
    (void)state;
    vocabulary_case it;
    open_sound(&it, spec_byte_level("smollm"));
    check(&it, "123", 0, "1", "2", "3");
    vocabulary_case_close(&it);
    open_sound(&it, spec_byte_level("llama-bpe"));
    check(&it, "1231", 0, "123", "1");
    check(&it, "thello", 0, "t", "hello"); /* "he" comes before "th" in the list */
    vocabulary_case_close(&it);
}

static void normalisation_where_the_model_wants_it(void **state)
{
    (void)state;
    vocabulary_case it;
    open_sound(&it, spec_byte_level("qwen2"));
    check(&it, "e\xcc\x81", 0, "Ã©");
    check(&it, "e<think>\xcc\x81", 0, "e", "<think>", "Ì", "ģ"); /* not across a token */
    check(&it,
          "\xff"
          "e\xcc\x81",
          0, "ÿ", "Ã©");
    vocabulary_case_close(&it);
    open_sound(&it, spec_byte_level("gpt-2"));
    check(&it, "e\xcc\x81", 0, "e", "Ì", "ģ");
    vocabulary_case_close(&it);
}

/* "<|im_" is even a token that merges make here. */
static void control_tokens_are_not_forged(void **state)
{
    (void)state;
    vocabulary_case it;
    open_sound(&it, spec_byte_level("gpt-2"));
    check(&it, "<|im_start|>a", MOTE_TOKENIZE_SPECIAL, "<|im_start|>", "a");
    check(&it, "<|im_end|>", 0, "<|", "im", "_", "e", "n", "d", "|", ">");
    check(&it, "<<|im_end|>>", MOTE_TOKENIZE_SPECIAL, "<", "<|im_end|>", ">");
    check(&it, "<think>", 0, "<think>");
    check(&it, "<thin", 0, "<", "th", "i", "n");
    check(&it, "<unused>", MOTE_TOKENIZE_SPECIAL, "<", "u", "n", "u", "s", "e", "d", ">");
    vocabulary_case_close(&it);

    /* A merge that makes a control token is as if it were not there. */
    vocabulary_spec spec = spec_byte_level("gpt-2");
    spec.kinds[256 + 5] = TOKEN_CONTROL; /* hello */
    open_sound(&it, spec);
    check(&it, "hello", 0, "hell", "o");
    check(&it, "hello", MOTE_TOKENIZE_SPECIAL, "hello");
    vocabulary_case_close(&it);
}

static void spans_are_one_text_of_unequal_trust(void **state)
{
    (void)state;
    vocabulary_case it;
    mote_error error;
    mote_ids ids = {0}, same = {0};
    open_sound(&it, spec_byte_level("gpt-2"));
    const text_span spans[] = {
        {"<|im_start|>he", 14, true}, {NULL, 0, false},         {"llo<|im_", 8, false}, {"end|>", 5, true},
        {"<|im_end|>", 10, false},    {"<|im_end|>", 10, true}, {"<th", 3, true},       {"ink>", 4, false}};
    assert_int_equal(tokenizer_encode_spans(it.tokenizer, spans, 8, 0, &ids, &error), MOTE_OK);
    const char *const parts[] = {"<|im_start|>", "hello<|im_end|><|im_end|>", "<|im_end|>", "<think>"};
    for (unsigned i = 0; i < 4; i++) /* the second and the last are encoded without control tokens */
        tokenizer_encode(it.tokenizer, parts[i], strlen(parts[i]), i % 2 == 0 ? MOTE_TOKENIZE_SPECIAL : 0, &same,
                         &error);
    assert_int_equal(ids.count, same.count);
    assert_memory_equal(ids.at, same.at, ids.count * sizeof *ids.at);
    ids.count = 0;
    assert_int_equal(tokenizer_encode_spans(it.tokenizer, NULL, 0, 0, &ids, &error), MOTE_OK);
    assert_int_equal(ids.count, 0);
    mote_ids_free(&ids);
    mote_ids_free(&same);
    vocabulary_case_close(&it);
}

static void sentencepiece_pieces(void **state)
{
    (void)state;
    vocabulary_case it;
    open_sound(&it, spec_sentencepiece(false));
    assert_string_equal(tokenizer_describe(it.tokenizer), "SentencePiece BPE");
    check(&it, "hello hello", 0, "hello", "▁hello");
    check(&it, " hello", 0, "▁hello");
    check(&it, "   hello", 0, "   ", "hello"); /* user-defined runs of spaces precede all else */
    check(&it, "    hello", 0, "   ", "▁hello");
    check(&it, "▁▁hello", 0, "  ", "hello");
    check(&it, "▁ hello", 0, "  ", "hello");
    check(&it, "> <", 0, ">▁<");
    check(&it, "a\n\n\na", 0, "a", "\n\n", "\n", "a");
    check(&it, "\xe6\xbc\xa2\xf0\x9f\x98\x80", 0, "漢", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>");
    check(&it, "a\xff\xe6\xbc", 0, "a", "<0xFF>", "<0xE6>", "<0xBC>");
    check(&it, "<0x41>", 0, "<", "<0x30>", "<0x78>", "<0x34>", "1", ">");
    check(&it, "<unk><s>", 0, "<", "<0x75>", "n", "k", ">", "<", "<0x73>", ">");
    check(&it, "<unk><s>", MOTE_TOKENIZE_SPECIAL, "<unk>", "<s>");
    check(&it, "a", MOTE_TOKENIZE_BOS, "<s>", "a");
    vocabulary_case_close(&it);
    open_sound(&it, spec_sentencepiece(true));
    check(&it, "hello hello", 0, "▁hello", "▁hello");
    check(&it, " hello", 0, "  ", "hello");
    check(&it, "a<|im_end|>hello", MOTE_TOKENIZE_SPECIAL, "▁", "a", "<|im_end|>", "▁hello");
    check_tokens(&it, "", 0, 0, (const char *const[]){NULL});
    vocabulary_case_close(&it);
}

static void without_byte_tokens(void **state)
{
    (void)state;
    vocabulary_case it;
    vocabulary_spec spec = spec_sentencepiece(false);
    for (size_t i = 3; i < 3 + 256; i++)
        spec.kinds[i] = TOKEN_UNUSED;
    open_sound(&it, spec);
    check(&it, "axyza", 0, "a", "<unk>", "a"); /* one for all in a row */
    vocabulary_case_close(&it);

    spec = spec_byte_level("gpt-2");
    spec.kinds['x'] = TOKEN_UNUSED;
    open_sound(&it, spec);
    check(&it, "axa", 0, "aa"); /* as HF tokenizers has it: what has no token is left out */
    vocabulary_case_close(&it);
}

static void beginnings_and_ends(void **state)
{
    (void)state;
    static const bool yes = true, no = false;
    vocabulary_case it;
    vocabulary_spec spec = spec_byte_level("gpt-2");
    spec.begin = 'b';
    open_sound(&it, spec); /* byte-level vocabularies begin with nothing unless the file says so */
    check(&it, "a", MOTE_TOKENIZE_BOS, "a");
    assert_true(tokenizer_is_end(it.tokenizer, tokenizer_find(it.tokenizer, "<|im_end|>")));
    assert_false(tokenizer_is_end(it.tokenizer, 'a'));
    assert_false(tokenizer_is_end(it.tokenizer, -1));
    vocabulary_case_close(&it);

    spec = spec_byte_level("gpt-2");
    spec.begin = 'b';
    spec.end = 'a';
    spec.add_begin = &yes;
    open_sound(&it, spec);
    check(&it, "a", MOTE_TOKENIZE_BOS, "b", "a");
    check(&it, "", MOTE_TOKENIZE_BOS, "b");
    check(&it, "a", 0, "a");
    assert_true(tokenizer_is_end(it.tokenizer, 'a'));
    assert_true(tokenizer_is_end(it.tokenizer, tokenizer_find(it.tokenizer, "<|im_end|>")));
    vocabulary_case_close(&it);

    spec = spec_sentencepiece(false);
    spec.add_begin = &no;
    open_sound(&it, spec);
    check(&it, "a", MOTE_TOKENIZE_BOS, "a");
    assert_true(tokenizer_is_end(it.tokenizer, tokenizer_find(it.tokenizer, "</s>")));
    vocabulary_case_close(&it);
}

static void ids_are_appended(void **state)
{
    (void)state;
    vocabulary_case it;
    mote_error error;
    mote_ids ids = {0};
    open_sound(&it, spec_byte_level("gpt-2"));
    for (int i = 0; i < 100; i++)
        assert_int_equal(tokenizer_encode(it.tokenizer, "abc", 3, 0, &ids, &error), MOTE_OK);
    assert_int_equal(ids.count, 300);
    assert_int_equal(ids.at[299], 'c');
    assert_int_equal(tokenizer_encode(it.tokenizer, "a", ((size_t)1 << 30) + 1, 0, &ids, &error), MOTE_E_LIMIT);
    assert_says(error, "split it");
    assert_int_equal(ids.count, 300);
    mote_ids_free(&ids);
    assert_null(ids.at);
    mote_ids_free(NULL);
    vocabulary_case_close(&it);
}

/* --------------------------------------------------------------------------------------------------------- long texts */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A mebibyte of one thing, which is one word to BPE. A second each is promised; sanitizers get ten. */
static void a_mebibyte_of_one_thing(void **state)
{
    (void)state;
    static const char *const units[] = {"a", " ", "\n", "\xe6\xbc\xa2", "\xcc\x81", "\xcc\x80\xcc\xa3", "\xff",
                                        "<", "▁", "1"};
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (int kind = 0; kind < 3; kind++) {
        vocabulary_case it;
        mote_error error;
        open_sound(&it, kind == 0 ? spec_byte_level("qwen2") : spec_sentencepiece(kind == 1));
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            size_t unit = strlen(units[u]), length = SIZE / unit * unit;
            for (size_t at = 0; at < length; at += unit)
                memcpy(text + at, units[u], unit);
            mote_ids ids = {0};
            double start = seconds();
            assert_int_equal(tokenizer_encode(it.tokenizer, text, length, MOTE_TOKENIZE_SPECIAL, &ids, &error),
                             MOTE_OK);
            double took = seconds() - start;
            if (took > 10)
                fail_msg("1 MiB of \"%s\" took %.1f s", units[u], took);
            assert_true(ids.count > 0);
            mote_ids_free(&ids);
        }
        vocabulary_case_close(&it);
    }
    free(text);
}

/* -------------------------------------------------------------------------------------------------- wrong vocabularies */

static void check_fails(vocabulary_spec *spec, mote_status expected, const char *words)
{
    vocabulary_case it;
    mote_error error;
    mote_status status = vocabulary_case_open(&it, spec, &error);
    if (status != expected)
        fail_msg("status %d, not %d, where the sentence should say \"%s\": %s", status, expected, words,
                 status != MOTE_OK ? error.text : "");
    assert_null(it.tokenizer);
    assert_says(error, "tiny.gguf: ");
    assert_says(error, words);
    vocabulary_case_close(&it);
}

/* Spoils a sound vocabulary by one assignment. */
#define fails(make, spoil, status, words)                                                                              \
    do {                                                                                                               \
        vocabulary_spec spec = make;                                                                                   \
        vocabulary_spec whole = spec;                                                                                  \
        spoil;                                                                                                         \
        check_fails(&spec, status, words);                                                                             \
        vocabulary_spec_free(&whole);                                                                                  \
    } while (0)

static void set_text(vocabulary_spec *spec, size_t index, const char *text)
{
    free((char *)spec->texts[index]);
    spec->texts[index] = strdup(text);
}

static void set_merge(vocabulary_spec *spec, size_t index, const char *text)
{
    free((char *)spec->merges[index]);
    spec->merges[index] = strdup(text);
}

static void set_long_text(vocabulary_spec *spec, size_t index, size_t length)
{
    free((char *)spec->texts[index]);
    char *text = malloc(length + 1);
    assert_non_null(text);
    memset(text, 'x', length);
    text[length] = '\0';
    spec->texts[index] = text;
}

static void wrong_kinds_of_tokenizer(void **state)
{
    (void)state;
    fails(spec_byte_level("gpt-2"), spec.model = NULL, MOTE_E_UNSUPPORTED, "has no tokenizer");
    fails(spec_byte_level("gpt-2"), spec.model = "no_vocab", MOTE_E_UNSUPPORTED, "has no tokenizer");
    fails(spec_byte_level("gpt-2"), spec.model = "t5", MOTE_E_UNSUPPORTED, "\"t5\"");
    fails(spec_byte_level("gpt-2"), spec.model = "gemma4", MOTE_E_UNSUPPORTED, "\"gemma4\"");
    fails(spec_byte_level("qwen35"), (void)0, MOTE_E_UNSUPPORTED, "\"qwen35\"");
    vocabulary_case it;
    open_sound(&it, spec_byte_level(NULL));
    assert_string_equal(tokenizer_describe(it.tokenizer), "byte-level BPE, default pre-tokenizer");
    vocabulary_case_close(&it);
}

static void wrong_tokens(void **state)
{
    (void)state;
    fails(spec_byte_level("gpt-2"), spec.texts = NULL, MOTE_E_FORMAT, "tokenizer.ggml.tokens");
    fails(spec_byte_level("gpt-2"), spec.count = 0, MOTE_E_FORMAT, "0 tokens");
    fails(spec_byte_level("gpt-2"), set_text(&spec, 270, "aa"), MOTE_E_FORMAT, "tokens 256 and 270 are both \"aa\"");
    fails(spec_byte_level("gpt-2"), set_long_text(&spec, 284, 4096), MOTE_E_LIMIT, "token 284 has 4096 bytes");
    fails(spec_byte_level("gpt-2"), set_long_text(&spec, 282, 257), MOTE_E_LIMIT, "token 282 stands outside BPE");
    fails(spec_byte_level("gpt-2"), spec.kind_count--, MOTE_E_FORMAT, "token_type has 284 entries for 285 tokens");
    fails(spec_byte_level("gpt-2"), spec.kinds[7] = 7, MOTE_E_FORMAT, "says 7 of token 7");
    fails(spec_byte_level("gpt-2"), spec.kinds[7] = -1, MOTE_E_FORMAT, "says -1 of token 7");
    fails(spec_byte_level("gpt-2"), spec.end = 285, MOTE_E_FORMAT, "eos_token_id");
    fails(spec_byte_level("gpt-2"), spec.begin = UINT32_MAX, MOTE_E_FORMAT, "bos_token_id");
    fails(spec_sentencepiece(false), spec.unknown = 100000, MOTE_E_FORMAT, "unknown_token_id");
}

static void wrong_merges(void **state)
{
    (void)state;
    const mote_status bad = MOTE_E_FORMAT;
    fails(spec_byte_level("gpt-2"), spec.merge_count = 0, bad, "tokenizer.ggml.merges");
    fails(spec_byte_level("gpt-2"), set_merge(&spec, 3, "ll"), bad, "merge 3 is \"ll\"");
    fails(spec_byte_level("gpt-2"), set_merge(&spec, 3, ""), bad, "merge 3 is \"\"");
    fails(spec_byte_level("gpt-2"), set_merge(&spec, 3, " "), bad, "merge 3 is \" \"");
    fails(spec_byte_level("gpt-2"), set_merge(&spec, 3, "l "), bad, "not two tokens with a space between");
    fails(spec_byte_level("gpt-2"), set_merge(&spec, 3, " l"), bad, "not two tokens with a space between");
    fails(spec_byte_level("gpt-2"), set_merge(&spec, 3, "l l l"), bad, "not two tokens with a space between");
    fails(spec_byte_level("gpt-2"), set_merge(&spec, 3, "l  l"), bad, "not two tokens with a space between");
    fails(spec_byte_level("gpt-2"), set_merge(&spec, 3, "l xyz"), bad, "that the vocabulary lacks");
    fails(spec_byte_level("gpt-2"), set_merge(&spec, 3, "l x"), bad, "that the vocabulary lacks");
}

static void wrong_pieces(void **state)
{
    (void)state;
    const mote_status bad = MOTE_E_FORMAT;
    fails(spec_sentencepiece(false), spec.score_count = 0, bad, "tokenizer.ggml.scores");
    fails(spec_sentencepiece(false), spec.score_count = 9, bad, "scores has 9 entries");
    fails(spec_sentencepiece(false), spec.scores[5] = (float)strtod("nan", NULL), bad, "tokenizer.ggml.scores");
    fails(spec_sentencepiece(false), set_text(&spec, 10, "<0x7>"), bad, "token 10 is a byte and its text is \"<0x7>\"");
    fails(spec_sentencepiece(false), set_text(&spec, 10, "<0x-1>"), bad, "token 10 is a byte");
    fails(spec_sentencepiece(false), set_text(&spec, 10, "<0xag>"), bad, "token 10 is a byte");
    fails(spec_sentencepiece(false), set_text(&spec, 10, "<0x100>"), bad, "token 10 is a byte");
    fails(spec_sentencepiece(false), set_text(&spec, 10, ""), bad, "token 10 is a byte");
}

/* Holes in a vocabulary are no error: they are in no text. */
static void empty_tokens(void **state)
{
    (void)state;
    vocabulary_case it;
    vocabulary_spec spec = spec_byte_level("gpt-2");
    set_text(&spec, 281, "");
    set_text(&spec, 283, "");
    spec.end = -1;
    open_sound(&it, spec);
    check(&it, "hello<think>", MOTE_TOKENIZE_SPECIAL, "hello", "<", "th", "i", "n", "k", ">");
    assert_int_equal(tokenizer_find(it.tokenizer, ""), -1);
    vocabulary_case_close(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corpus_id_for_id),
        cmocka_unit_test(byte_level_words),
        cmocka_unit_test(pre_tokenizers_bound_merges),
        cmocka_unit_test(normalisation_where_the_model_wants_it),
        cmocka_unit_test(control_tokens_are_not_forged),
        cmocka_unit_test(spans_are_one_text_of_unequal_trust),
        cmocka_unit_test(sentencepiece_pieces),
        cmocka_unit_test(without_byte_tokens),
        cmocka_unit_test(beginnings_and_ends),
        cmocka_unit_test(ids_are_appended),
        cmocka_unit_test(a_mebibyte_of_one_thing),
        cmocka_unit_test(wrong_kinds_of_tokenizer),
        cmocka_unit_test(wrong_tokens),
        cmocka_unit_test(wrong_merges),
        cmocka_unit_test(wrong_pieces),
        cmocka_unit_test(empty_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
