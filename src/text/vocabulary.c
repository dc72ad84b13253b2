/* Reading a vocabulary out of a model file, and looking things up in it. */
#include "text/vocabulary.h"

#include "base/checked.h"
#include "text/byte_map.h"
#include "text/unicode.h"

#include <stdlib.h>

#define AGAIN "fetch or convert the file again"

/* ----------------------------------------------------------------------------------------------------------- look-up */

static bool is_text(const vocabulary *v, uint32_t token, const char *text, size_t length)
{
    return v->text_lengths[token] == length && memcmp(v->texts + v->text_offsets[token], text, length) == 0;
}

static mote_token find_hashed(const vocabulary *v, uint64_t hash, const char *text, size_t length)
{
    hash_probe probe = hash_index_begin(&v->text_index, hash);
    for (uint32_t token; hash_index_next(&v->text_index, &probe, &token);)
        if (is_text(v, token, text, length))
            return (mote_token)token;
    return -1;
}

mote_token vocabulary_find(const vocabulary *v, const char *text, size_t length)
{
    return length > v->longest ? -1 : find_hashed(v, hash_bytes(text, length), text, length);
}

/* The user-defined token of spaces that stands for a text of nothing but "▁". */
static mote_token find_space_run(const vocabulary *v, const char *text, size_t length)
{
    size_t count = length / SPACE_MARK_LENGTH;
    if (length % SPACE_MARK_LENGTH != 0 || count > VOCABULARY_LONGEST_SPACES || v->space_runs[count] < 0)
        return -1;
    for (size_t i = 0; i < length; i += SPACE_MARK_LENGTH)
        if (memcmp(text + i, SPACE_MARK, SPACE_MARK_LENGTH) != 0)
            return -1;
    return v->space_runs[count];
}

mote_token vocabulary_find_piece(const vocabulary *v, const char *text, size_t length)
{
    mote_token token = vocabulary_find(v, text, length);
    if (token >= 0 && (vocabulary_kind(v, token) == TOKEN_NORMAL || vocabulary_kind(v, token) == TOKEN_USER))
        return token;
    return v->has_space_runs ? find_space_run(v, text, length) : -1;
}

mote_token vocabulary_find_bytes(const vocabulary *v, const char *bytes, size_t length)
{
    char text[2 * VOCABULARY_LONGEST_TOKEN];
    if (length > v->longest)
        return -1;
    mote_token token = vocabulary_find(v, text, byte_map_write(bytes, length, text));
    return token >= 0 && vocabulary_kind(v, token) == TOKEN_NORMAL ? token : -1;
}

/* ------------------------------------------------------------------------------------------------------------ tokens */

/* Texts of tokens in sentences: at most so many bytes. */
enum { SHOWN = 60 };

static int shown(size_t length)
{
    return length < SHOWN ? (int)length : SHOWN;
}

static mote_status allocate(vocabulary *v, mote_error *error)
{
    v->text_offsets = malloc(v->count * sizeof *v->text_offsets);
    v->text_lengths = malloc(v->count * sizeof *v->text_lengths);
    v->kinds = malloc(v->count);
    bool indexed = hash_index_open(&v->text_index, v->count);
    if (v->text_offsets == NULL || v->text_lengths == NULL || v->kinds == NULL || !indexed)
        return fail_memory(error, v->count * 7 + hash_index_bytes(v->count), "the vocabulary");
    return MOTE_OK;
}

/* Where each text lies, and the index over them. */
static mote_status read_texts(vocabulary *v, const gguf *file, mote_error *error)
{
    const gguf_array *tokens = NULL;
    mote_status status = gguf_need_array(file, "tokenizer.ggml.tokens", GGUF_STRINGS, &tokens, error);
    if (status != MOTE_OK)
        return status;
    const uint64_t bytes = tokens->bytes;
    if (tokens->count == 0 || tokens->count > VOCABULARY_MOST || bytes > UINT32_MAX)
        return fail(error, tokens->count == 0 ? MOTE_E_FORMAT : MOTE_E_LIMIT,
                    "%s: tokenizer.ggml.tokens has %zu tokens in %zu bytes, and mote reads 1 to %d in 4 GiB; " AGAIN,
                    gguf_name(file), tokens->count, tokens->bytes, VOCABULARY_MOST);
    v->count = tokens->count;
    v->texts = (const char *)tokens->data;
    status = allocate(v, error);
    if (status != MOTE_OK)
        return status;

    gguf_string text;
    gguf_strings walk = gguf_strings_begin(tokens);
    for (uint32_t i = 0; i < v->count && gguf_strings_next(&walk, &text); i++) {
        if (text.length > VOCABULARY_LONGEST_TOKEN)
            return fail(error, MOTE_E_LIMIT, "%s: token %u has %zu bytes, and mote reads up to %d; " AGAIN,
                        gguf_name(file), i, text.length, VOCABULARY_LONGEST_TOKEN);
        v->text_offsets[i] = text.length > 0 ? (uint32_t)(text.at - v->texts) : 0;
        v->text_lengths[i] = (uint16_t)text.length;
        if (text.length > v->longest)
            v->longest = text.length;
        if (text.length == 0) /* converters leave holes in some vocabularies; nothing is ever written that way */
            continue;
        uint64_t hash = hash_bytes(text.at, text.length);
        mote_token same = find_hashed(v, hash, text.at, text.length);
        if (same >= 0)
            return fail(error, MOTE_E_FORMAT, "%s: tokens %d and %u are both \"%.*s\"; " AGAIN, gguf_name(file), same,
                        i, shown(text.length), text.at);
        if (!hash_index_add(&v->text_index, hash, i))
            return fail(error, MOTE_E_FORMAT,
                        "%s: the texts of its tokens collide at token %u, which chance does not "
                        "bring about; " AGAIN,
                        gguf_name(file), i);
    }
    return MOTE_OK;
}

static mote_status read_kinds(vocabulary *v, const gguf *file, mote_error *error)
{
    const gguf_array *kinds = NULL;
    memset(v->kinds, TOKEN_NORMAL, v->count);
    mote_status status = gguf_get_array(file, "tokenizer.ggml.token_type", GGUF_INTEGERS, &kinds, error);
    if (status != MOTE_OK || kinds == NULL)
        return status;
    if (kinds->count != v->count)
        return fail(error, MOTE_E_FORMAT, "%s: tokenizer.ggml.token_type has %zu entries for %zu tokens; " AGAIN,
                    gguf_name(file), kinds->count, v->count);
    for (size_t i = 0; i < v->count; i++) {
        int64_t kind = gguf_integer(kinds, i);
        if (kind < 0 || kind > TOKEN_BYTE)
            return fail(error, MOTE_E_FORMAT,
                        "%s: tokenizer.ggml.token_type says %lld of token %zu, and there are kinds "
                        "1 to 6; " AGAIN,
                        gguf_name(file), (long long)kind, i);
        v->kinds[i] = (unsigned char)(kind == 0 ? TOKEN_NORMAL : kind);
    }
    return MOTE_OK;
}

/* An optional entry that names a token; -1 if it is absent. */
static mote_status read_token(const vocabulary *v, const gguf *file, const char *key, mote_token *out,
                              mote_error *error)
{
    uint32_t token = UINT32_MAX;
    mote_status status = gguf_get_u32(file, key, 0, (uint32_t)v->count - 1, &token, error);
    *out = token == UINT32_MAX ? -1 : (mote_token)token;
    return status;
}

static void add_end(vocabulary *v, mote_token token)
{
    for (size_t i = 0; i < v->end_count; i++)
        if (v->ends[i] == token)
            return;
    if (token >= 0 && v->end_count < VOCABULARY_MOST_ENDS)
        v->ends[v->end_count++] = token;
}

/* Files often name one end token where the model has two: of its turn and of the text. The others are known by name. */
static mote_status read_special(vocabulary *v, const gguf *file, mote_error *error)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    static const char *const names[] = {"<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>",
                                        "<|end|>",    "<end_of_turn>", "<eos>",           "</s>"};
    bool begins = v->words == NULL || v->words->begins;
    mote_status status = gguf_get_bool(file, "tokenizer.ggml.add_bos_token", &begins, error);
    if (status == MOTE_OK)
        status = read_token(v, file, "tokenizer.ggml.bos_token_id", &v->begin, error);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == MOTE_OK; i++) {
        mote_token token;
        status = read_token(v, file, keys[i], &token, error);
        add_end(v, token);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        mote_token token = vocabulary_find(v, names[i], strlen(names[i]));
        if (token >= 0 && vocabulary_kind(v, token) == TOKEN_CONTROL)
            add_end(v, token);
    }
    if (!begins)
        v->begin = -1;
    return status;
}

/* -------------------------------------------------------------------------------------------------------- byte-level */

/* A merge is "left right". */
static mote_status read_merge(vocabulary *v, gguf_string text, uint32_t rank, const gguf *file, mote_error *error)
{
    char joined[2 * VOCABULARY_LONGEST_TOKEN];
    const char *gap = memchr(text.at, ' ', text.length);
    size_t left = gap != NULL ? (size_t)(gap - text.at) : 0;
    size_t right = gap != NULL ? text.length - left - 1 : 0;
    if (left == 0 || right == 0 || memchr(gap + 1, ' ', right) != NULL)
        return fail(error, MOTE_E_FORMAT,
                    "%s: merge %u is \"%.*s\", which is not two tokens with a space between; " AGAIN, gguf_name(file),
                    rank, shown(text.length), text.at);

    mote_token parts[2] = {vocabulary_find(v, text.at, left), vocabulary_find(v, gap + 1, right)};
    mote_token result = -1;
    if (parts[0] >= 0 && parts[1] >= 0) { /* so that neither is longer than a token */
        memcpy(joined, text.at, left);
        memcpy(joined + left, gap + 1, right);
        result = vocabulary_find(v, joined, left + right);
    }
    if (result < 0)
        return fail(error, MOTE_E_FORMAT,
                    "%s: merge %u (\"%.*s\") is of tokens, or makes a token, that the vocabulary "
                    "lacks; " AGAIN,
                    gguf_name(file), rank, shown(text.length), text.at);

    v->merges[rank] = (token_merge){(uint32_t)parts[0], (uint32_t)parts[1], (uint32_t)result};
    if (vocabulary_kind(v, result) != TOKEN_NORMAL) /* no text may spell a control token */
        return MOTE_OK;
    if (vocabulary_find_merge(v, (uint32_t)parts[0], (uint32_t)parts[1]) >= 0) /* the first counts */
        return MOTE_OK;
    uint64_t pair = (uint64_t)(uint32_t)parts[0] << 32 | (uint32_t)parts[1];
    if (!hash_index_add(&v->merge_index, hash_mix(pair), rank))
        return fail(error, MOTE_E_FORMAT,
                    "%s: its merges collide at merge %u, which chance does not bring about; " AGAIN, gguf_name(file),
                    rank);
    return MOTE_OK;
}

static mote_status read_merges(vocabulary *v, const gguf *file, mote_error *error)
{
    const gguf_array *merges = NULL;
    mote_status status = gguf_need_array(file, "tokenizer.ggml.merges", GGUF_STRINGS, &merges, error);
    if (status != MOTE_OK)
        return status;
    if (merges->count > HASH_INDEX_MOST)
        return fail(error, MOTE_E_LIMIT, "%s: tokenizer.ggml.merges has %zu merges, and mote reads up to %d; " AGAIN,
                    gguf_name(file), merges->count, HASH_INDEX_MOST);
    v->merge_count = merges->count;
    v->merges = calloc(v->merge_count + 1, sizeof *v->merges);
    if (v->merges == NULL || !hash_index_open(&v->merge_index, v->merge_count))
        return fail_memory(error, v->merge_count * sizeof *v->merges + hash_index_bytes(v->merge_count),
                           "the vocabulary's merges");
    gguf_string text;
    gguf_strings walk = gguf_strings_begin(merges);
    for (uint32_t rank = 0; rank < v->merge_count && gguf_strings_next(&walk, &text); rank++) {
        status = read_merge(v, text, rank, file, error);
        if (status != MOTE_OK)
            return status;
    }
    return MOTE_OK;
}

static mote_status read_byte_level(vocabulary *v, const gguf *file, mote_error *error)
{
    size_t missing = 0;
    for (int byte = 0; byte < 256; byte++) {
        char raw = (char)byte;
        v->bytes[byte] = vocabulary_find_bytes(v, &raw, 1);
        missing += v->bytes[byte] < 0;
    }
    if (missing == 256)
        return fail(error, MOTE_E_FORMAT, "%s: not one of its tokens is a byte, as in a byte-level vocabulary; " AGAIN,
                    gguf_name(file));
    return read_merges(v, file, error);
}

/* ----------------------------------------------------------------------------------------------------- SentencePiece */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A byte token is "<0xZZ>". */
static mote_status read_byte_token(vocabulary *v, mote_token token, const gguf *file, mote_error *error)
{
    gguf_string text = vocabulary_text(v, token);
    int high = -1, low = -1;
    if (text.length == 6 && memcmp(text.at, "<0x", 3) == 0 && text.at[5] == '>') {
        high = hex_digit(text.at[3]);
        low = hex_digit(text.at[4]);
    }
    if (high < 0 || low < 0)
        return fail(error, MOTE_E_FORMAT,
                    "%s: token %d is a byte and its text is \"%.*s\", not \"<0x00>\" to \"<0xFF>\"; " AGAIN,
                    gguf_name(file), token, shown(text.length), text.at);
    v->bytes[high * 16 + low] = token;
    return MOTE_OK;
}

/* Notes what the token's text means for spaces: it is a run of them, or has one behind something else. */
static void note_spaces(vocabulary *v, mote_token token)
{
    gguf_string text = vocabulary_text(v, token);
    if (vocabulary_kind(v, token) == TOKEN_USER && text.length <= VOCABULARY_LONGEST_SPACES) {
        size_t spaces = 0;
        while (spaces < text.length && text.at[spaces] == ' ')
            spaces++;
        if (spaces == text.length && spaces > 0) {
            v->space_runs[spaces] = token;
            v->has_space_runs = true;
            return;
        }
    }
    bool after_mark = true;
    for (size_t i = 0; i < text.length;) {
        if (text.length - i >= SPACE_MARK_LENGTH && memcmp(text.at + i, SPACE_MARK, SPACE_MARK_LENGTH) == 0) {
            if (!after_mark)
                v->joins_space[(unsigned char)text.at[i - 1]] = true;
            after_mark = true;
            i += SPACE_MARK_LENGTH;
        } else {
            after_mark = false;
            i++;
        }
    }
}

static mote_status read_sentencepiece(vocabulary *v, const gguf *file, mote_error *error)
{
    v->space_prefix = true;
    mote_status status = gguf_get_bool(file, "tokenizer.ggml.add_space_prefix", &v->space_prefix, error);
    if (status == MOTE_OK)
        status = read_token(v, file, "tokenizer.ggml.unknown_token_id", &v->unknown, error);
    if (status == MOTE_OK)
        status = gguf_need_array(file, "tokenizer.ggml.scores", GGUF_FLOATS, &v->scores, error);
    if (status != MOTE_OK)
        return status;
    if (v->scores->count != v->count)
        return fail(error, MOTE_E_FORMAT, "%s: tokenizer.ggml.scores has %zu entries for %zu tokens; " AGAIN,
                    gguf_name(file), v->scores->count, v->count);
    for (size_t i = 0; i < v->count && status == MOTE_OK; i++) {
        token_kind kind = vocabulary_kind(v, (mote_token)i);
        if (kind == TOKEN_BYTE)
            status = read_byte_token(v, (mote_token)i, file, error);
        else if (kind == TOKEN_NORMAL || kind == TOKEN_USER)
            note_spaces(v, (mote_token)i);
        else if (kind == TOKEN_UNKNOWN && v->unknown < 0)
            v->unknown = (mote_token)i;
    }
    return status;
}

/* -------------------------------------------------------------------------------------------------------------- open */

/* Sets v->words by tokenizer.ggml.model and .pre. */
static mote_status read_model(vocabulary *v, const gguf *file, mote_error *error)
{
    gguf_string model = {"", 0}, words = {"default", 7};
    mote_status status = gguf_get_string(file, "tokenizer.ggml.model", &model, error);
    if (status != MOTE_OK)
        return status;
    if (model.length == 0 || gguf_string_is(model, "no_vocab") || gguf_string_is(model, "none"))
        return fail(error, MOTE_E_UNSUPPORTED, "%s: has no tokenizer; use it with token ids, or convert it with one",
                    gguf_name(file));
    if (gguf_string_is(model, "llama"))
        return MOTE_OK;
    if (!gguf_string_is(model, "gpt2"))
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: its tokenizer is of kind \"%.*s\", and mote knows \"gpt2\" (byte-level "
                    "BPE) and \"llama\" (SentencePiece BPE); choose another model",
                    gguf_name(file), shown(model.length), model.at);
    status = gguf_get_string(file, "tokenizer.ggml.pre", &words, error);
    if (status != MOTE_OK)
        return status;
    v->words = pretokenizer_find(words.at, words.length);
    if (v->words == NULL)
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: its pre-tokenizer is \"%.*s\", and mote knows gpt-2, smollm, qwen2, "
                    "llama-bpe, gpt-4o and default; choose another model",
                    gguf_name(file), shown(words.length), words.at);
    return MOTE_OK;
}

mote_status vocabulary_open(vocabulary *v, const gguf *file, mote_error *error)
{
    *v = (vocabulary){.unknown = -1, .begin = -1};
    memset(v->bytes, 0xff, sizeof v->bytes);
    memset(v->space_runs, 0xff, sizeof v->space_runs);
    mote_status status = read_model(v, file, error);
    if (status == MOTE_OK)
        status = read_texts(v, file, error);
    if (status == MOTE_OK)
        status = read_kinds(v, file, error);
    if (status == MOTE_OK)
        status = read_special(v, file, error);
    if (status == MOTE_OK)
        status = v->words != NULL ? read_byte_level(v, file, error) : read_sentencepiece(v, file, error);
    if (status != MOTE_OK)
        vocabulary_close(v);
    return status;
}

void vocabulary_close(vocabulary *v)
{
    free(v->text_offsets);
    free(v->text_lengths);
    free(v->kinds);
    free(v->merges);
    hash_index_close(&v->text_index);
    hash_index_close(&v->merge_index);
    *v = (vocabulary){0};
}
