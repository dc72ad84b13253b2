/* Texts stay where the document has them; only what is rewritten, and the names of holes, gets room of its own. */
#include "prepare/convert_vocabulary.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "prepare/convert_words.h"

#define AGAIN "fetch the file again"
enum { HOLE_BYTES = 16 }; /* "[PAD4194303]" */

static const float added_score = -1000; /* as llama.cpp's converter writes it */

static int shown(gguf_string text)
{
    return text.length < 60 ? (int)text.length : 60;
}

/* ------------------------------------------------------------------------------------------------------------- tokens */

static bool begins_and_ends(gguf_string text, const char *begin, const char *end)
{
    size_t first = strlen(begin), last = strlen(end);
    return text.length >= first + last && memcmp(text.at, begin, first) == 0 &&
           memcmp(text.at + text.length - last, end, last) == 0;
}

static bool looks_special(gguf_string text)
{
    return gguf_string_is(text, "<pad>") || gguf_string_is(text, "<mask>") || begins_and_ends(text, "<|", "|>") ||
           begins_and_ends(text, "<\uff5c", "\uff5c>") || begins_and_ends(text, "<unused", ">");
}

/* "<0x0A>" */
static bool is_byte(gguf_string text)
{
    static const char digits[] = "0123456789ABCDEF";
    return text.length == 6 && memcmp(text.at, "<0x", 3) == 0 && text.at[5] == '>' && text.at[3] != '\0' &&
           text.at[4] != '\0' && strchr(digits, text.at[3]) != NULL && strchr(digits, text.at[4]) != NULL;
}

static mote_status set_token(convert_vocabulary *v, uint64_t id, gguf_string text, token_kind kind, mote_error *error)
{
    if (text.length > VOCABULARY_LONGEST_TOKEN)
        return fail(error, MOTE_E_LIMIT, "%s: token %llu has %zu bytes, and mote reads up to %d; " AGAIN,
                    json_name(v->document), (unsigned long long)id, text.length, VOCABULARY_LONGEST_TOKEN);
    v->texts[id] = text;
    v->kinds[id] = (int32_t)kind;
    return MOTE_OK;
}

static bool is_added(const convert_vocabulary *v, gguf_string text)
{
    json_value list = json_get(json_root(v->document), "added_tokens");
    for (json_value item = json_first(list); json_is(item); item = json_next(list, item)) {
        gguf_string content = json_text(json_get(item, "content"));
        if (content.length == text.length && memcmp(content.at, text.at, text.length) == 0)
            return true;
    }
    return false;
}

/* {"text": id, …} */
static mote_status read_vocabulary(convert_vocabulary *v, json_value list, mote_error *error)
{
    gguf_string unknown = json_text(json_get(v->model, "unk_token"));
    for (json_value key = json_first(list); json_is(key); key = json_next(list, key)) {
        gguf_string text = json_text(key);
        uint64_t id;
        if (!json_u64(json_of_key(key), &id))
            return fail(error, MOTE_E_FORMAT, "%s: the id of token \"%.*s\" is no whole number; " AGAIN,
                        json_name(v->document), shown(text), text.at);
        if (id >= v->count) {
            if (is_added(v, text))
                continue;
            return fail(error, MOTE_E_FORMAT,
                        "%s: token \"%.*s\" is number %llu, and the model's embedding has %zu rows; fetch the folder "
                        "again, whole",
                        json_name(v->document), shown(text), text.at, (unsigned long long)id, v->count);
        }
        if (v->kinds[id] != 0)
            return fail(error, MOTE_E_FORMAT, "%s: tokens \"%.*s\" and \"%.*s\" are both number %llu; " AGAIN,
                        json_name(v->document), shown(v->texts[id]), v->texts[id].at, shown(text), text.at,
                        (unsigned long long)id);
        bool same = unknown.length == text.length && memcmp(unknown.at, text.at, text.length) == 0;
        token_kind kind = v->words != NULL ? TOKEN_NORMAL
                          : same           ? TOKEN_UNKNOWN
                          : is_byte(text)  ? TOKEN_BYTE
                                           : TOKEN_NORMAL;
        if (kind == TOKEN_UNKNOWN)
            v->unknown = (mote_token)id;
        mote_status status = set_token(v, id, text, kind, error);
        if (status != MOTE_OK)
            return status;
    }
    return MOTE_OK;
}

/* The text with every "▁" as a space. */
static gguf_string with_spaces(convert_vocabulary *v, gguf_string text)
{
    char *to = v->room + v->room_used;
    size_t length = 0;
    for (size_t i = 0; i < text.length;) {
        bool mark = text.length - i >= SPACE_MARK_LENGTH && memcmp(text.at + i, SPACE_MARK, SPACE_MARK_LENGTH) == 0;
        to[length++] = mark ? ' ' : text.at[i];
        i += mark ? SPACE_MARK_LENGTH : 1;
    }
    v->room_used += length;
    return (gguf_string){to, length};
}

static mote_status read_added_token(convert_vocabulary *v, json_value item, mote_error *error)
{
    json_value content = json_get(item, "content");
    gguf_string text = json_text(content);
    uint64_t id, known;
    if (json_kind_of(content) != JSON_STRING || text.length == 0 || !json_u64(json_get(item, "id"), &id))
        return fail(error, MOTE_E_FORMAT, "%s: an added token lacks its id or its content; " AGAIN,
                    json_name(v->document));
    json_value entry = json_get_string(json_get(v->model, "vocab"), text);
    if (json_is(entry) && (!json_u64(entry, &known) || known != id))
        return fail(error, MOTE_E_FORMAT, "%s: added token \"%.*s\" has another number in the vocabulary; " AGAIN,
                    json_name(v->document), shown(text), text.at);
    if (id >= v->count || v->kinds[id] == TOKEN_UNKNOWN)
        return MOTE_OK;
    if (v->kinds[id] != 0 && !json_is(entry))
        return fail(error, MOTE_E_FORMAT, "%s: tokens \"%.*s\" and \"%.*s\" are both number %llu; " AGAIN,
                    json_name(v->document), shown(v->texts[id]), v->texts[id].at, shown(text), text.at,
                    (unsigned long long)id);
    bool control = json_kind_of(json_get(item, "special")) == JSON_TRUE || looks_special(text);
    return set_token(v, id, control ? text : with_spaces(v, text), control ? TOKEN_CONTROL : TOKEN_USER, error);
}

static mote_status read_added(convert_vocabulary *v, json_value list, mote_error *error)
{
    mote_status status = MOTE_OK;
    for (json_value item = json_first(list); json_is(item) && status == MOTE_OK; item = json_next(list, item))
        status = read_added_token(v, item, error);
    return status;
}

static void name_holes(convert_vocabulary *v)
{
    for (size_t id = 0; id < v->count; id++) {
        if (v->kinds[id] != 0)
            continue;
        char *to = v->room + v->room_used;
        int length = snprintf(to, HOLE_BYTES, "[PAD%zu]", id);
        v->room_used += (size_t)length;
        v->texts[id] = (gguf_string){to, (size_t)length};
        v->kinds[id] = TOKEN_UNUSED;
    }
}

/* ------------------------------------------------------------------------------------------------------------- merges */

/* "left right", or ["left", "right"]. False: neither. */
static bool split_merge(json_value merge, gguf_string *left, gguf_string *right)
{
    if (json_kind_of(merge) == JSON_ARRAY && json_count(merge) == 2) {
        json_value first = json_first(merge);
        *left = json_text(first);
        *right = json_text(json_next(merge, first));
    } else {
        gguf_string text = json_text(merge);
        const char *gap = memchr(text.at, ' ', text.length);
        if (gap == NULL)
            return false;
        *left = (gguf_string){text.at, (size_t)(gap - text.at)};
        *right = (gguf_string){gap + 1, text.length - left->length - 1};
    }
    return left->length > 0 && right->length > 0 && memchr(left->at, ' ', left->length) == NULL &&
           memchr(right->at, ' ', right->length) == NULL;
}

/* The tokens are in the vocabulary, and what they make too: that is `*result`. */
static bool find_result(json_value vocab, gguf_string left, gguf_string right, uint64_t *result)
{
    char joined[2 * VOCABULARY_LONGEST_TOKEN];
    if (left.length > VOCABULARY_LONGEST_TOKEN || right.length > VOCABULARY_LONGEST_TOKEN ||
        !json_is(json_get_string(vocab, left)) || !json_is(json_get_string(vocab, right)))
        return false;
    memcpy(joined, left.at, left.length);
    memcpy(joined + left.length, right.at, right.length);
    return json_u64(json_get_string(vocab, (gguf_string){joined, left.length + right.length}), result);
}

/* Checks every merge; of SentencePiece, the first that makes a token is its score. */
static mote_status read_merges(convert_vocabulary *v, mote_error *error)
{
    json_value merges = json_get(v->model, "merges"), vocab = json_get(v->model, "vocab");
    gguf_string left, right;
    size_t rank = 0;
    if (v->words != NULL && json_count(merges) > HASH_INDEX_MOST)
        return fail(error, MOTE_E_LIMIT, "%s: it has %zu merges, and mote reads up to %d; " AGAIN,
                    json_name(v->document), json_count(merges), HASH_INDEX_MOST);
    for (size_t id = 0; v->scores != NULL && id < v->count; id++)
        v->scores[id] = -(float)(json_count(merges) + 1);
    for (json_value merge = json_first(merges); json_is(merge); merge = json_next(merges, merge), rank++) {
        uint64_t result;
        if (!split_merge(merge, &left, &right) || !find_result(vocab, left, right, &result))
            return fail(error, MOTE_E_FORMAT, "%s: merge %zu is not of two tokens that make a third; " AGAIN,
                        json_name(v->document), rank);
        if (v->scores != NULL && result < v->count && v->scores[result] < -(float)rank)
            v->scores[result] = -(float)rank;
    }
    for (size_t id = 0; v->scores != NULL && id < v->count; id++)
        if (v->kinds[id] == TOKEN_USER || v->kinds[id] == TOKEN_CONTROL)
            v->scores[id] = added_score;
    return MOTE_OK;
}

/* -------------------------------------------------------------------------------------------------------------- whole */

/* Added texts come from the document, each once; holes are at most `count`. */
static mote_status allocate(convert_vocabulary *v, mote_error *error)
{
    json_value list = json_get(json_root(v->document), "added_tokens");
    size_t room = v->count * HOLE_BYTES; /* at most 64 MiB */
    for (json_value item = json_first(list); json_is(item); item = json_next(list, item))
        room += json_text(json_get(item, "content")).length; /* less than the document */
    v->texts = calloc(v->count, sizeof *v->texts);
    v->kinds = calloc(v->count, sizeof *v->kinds);
    v->scores = v->words == NULL ? calloc(v->count, sizeof *v->scores) : NULL;
    v->room = malloc(room);
    bool enough = v->texts != NULL && v->kinds != NULL && v->room != NULL && (v->scores != NULL || v->words != NULL);
    return enough ? MOTE_OK : fail_memory(error, room + v->count * sizeof *v->texts, "a vocabulary");
}

static mote_status check_model(const convert_vocabulary *v, mote_error *error)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *name = json_name(v->document);
    json_value type = json_get(v->model, "type");
    if (json_kind_of(v->model) != JSON_OBJECT || json_kind_of(json_get(v->model, "vocab")) != JSON_OBJECT)
        return fail(error, MOTE_E_FORMAT, "%s: has no model with a vocab; " AGAIN, name);
    bool bpe = json_is_text(type, "BPE") || json_kind_of(type) == JSON_ABSENT;
    if (!bpe || json_kind_of(json_get(v->model, "merges")) != JSON_ARRAY)
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: its model is \"%.*s\", and mote converts BPE with merges; choose "
                    "another model",
                    name, shown(json_text(type)), json_text(type).at);
    for (size_t i = 0; i < sizeof affixes / sizeof *affixes; i++)
        if (json_text(json_get(v->model, affixes[i])).length > 0)
            return fail(error, MOTE_E_UNSUPPORTED,
                        "%s: its model has a %s, which mote's BPE does not; choose another model", name, affixes[i]);
    return MOTE_OK;
}

mote_status convert_vocabulary_read(convert_vocabulary *v, const json *document, size_t count, mote_error *error)
{
    json_value root = json_root(document);
    mote_status status;
    *v = (convert_vocabulary){.document = document, .count = count, .unknown = -1, .model = json_get(root, "model")};
    if ((status = check_model(v, error)) || (status = convert_words_read(v, error)) || (status = allocate(v, error)) ||
        (status = read_vocabulary(v, json_get(v->model, "vocab"), error)) ||
        (status = read_added(v, json_get(root, "added_tokens"), error)))
        return status;
    name_holes(v);
    return read_merges(v, error);
}

void convert_vocabulary_free(convert_vocabulary *v)
{
    free(v->texts);
    free(v->kinds);
    free(v->scores);
    free(v->room);
    *v = (convert_vocabulary){0};
}

mote_token convert_vocabulary_find(const convert_vocabulary *v, gguf_string text)
{
    json_value list = json_get(json_root(v->document), "added_tokens");
    uint64_t id = UINT64_MAX;
    if (!json_u64(json_get_string(json_get(v->model, "vocab"), text), &id))
        for (json_value item = json_first(list); json_is(item) && id == UINT64_MAX; item = json_next(list, item)) {
            gguf_string content = json_text(json_get(item, "content"));
            if (content.length == text.length && memcmp(content.at, text.at, text.length) == 0)
                (void)json_u64(json_get(item, "id"), &id);
        }
    return id < v->count ? (mote_token)id : -1;
}

void convert_vocabulary_declare(const convert_vocabulary *v, gguf_output *out)
{
    json_value merges = json_get(v->model, "merges");
    gguf_string left, right;
    char merge[2 * VOCABULARY_LONGEST_TOKEN + 1];
    gguf_output_text(out, "tokenizer.ggml.model", v->words != NULL ? "gpt2" : "llama");
    gguf_output_text(out, "tokenizer.ggml.pre", v->words != NULL ? v->words : "default");
    gguf_output_strings(out, "tokenizer.ggml.tokens", v->count);
    for (size_t id = 0; id < v->count; id++)
        gguf_output_item(out, v->texts[id]);
    gguf_output_numbers(out, "tokenizer.ggml.token_type", GGUF_I32, v->count, v->kinds);
    if (v->words != NULL) {
        gguf_output_strings(out, "tokenizer.ggml.merges", json_count(merges));
        for (json_value item = json_first(merges); json_is(item); item = json_next(merges, item)) {
            (void)split_merge(item, &left, &right); /* it could when it was read */
            memcpy(merge, left.at, left.length);
            merge[left.length] = ' ';
            memcpy(merge + left.length + 1, right.at, right.length);
            gguf_output_item(out, (gguf_string){merge, left.length + 1 + right.length});
        }
    } else {
        gguf_output_numbers(out, "tokenizer.ggml.scores", GGUF_F32, v->count, v->scores);
        gguf_output_bool(out, "tokenizer.ggml.add_space_prefix", v->space_prefix);
    }
    gguf_output_bool(out, "tokenizer.ggml.add_bos_token", v->begins);
    if (v->ends)
        gguf_output_bool(out, "tokenizer.ggml.add_eos_token", true);
}
