/* Any bytes as a tokenizer.json: it is no JSON, or no vocabulary that mote knows, or one of which every token has a text
 * and a kind, and every text is found again. The first two bytes are the size of the embedding. */
#include <stdlib.h>

#include "prepare/convert_vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Walks the document by itself: every node once, and every member is found by its key. */
static void walk(const json *document)
{
    json_value open[JSON_DEEPEST + 1], at[JSON_DEEPEST + 1];
    size_t depth = 0;
    open[0] = json_root(document);
    at[0] = json_first(open[0]);
    while (depth > 0 || json_is(at[0])) {
        json_value item = at[depth];
        if (!json_is(item)) {
            depth--;
            continue;
        }
        bool member = json_kind_of(open[depth]) == JSON_OBJECT;
        json_value value = member ? json_of_key(item) : item;
        double number;
        uint64_t whole;
        if (member)
            require(json_get_string(open[depth], json_text(item)).node == value.node);
        if (json_u64(value, &whole))
            require(json_double(value, &number) && number >= 0);
        at[depth] = json_next(open[depth], item);
        if (json_count(value) > 0) {
            require(++depth <= JSON_DEEPEST);
            open[depth] = value;
            at[depth] = json_first(value);
        }
    }
}

static void check(const convert_vocabulary *v)
{
    for (size_t id = 0; id < v->count; id++) {
        require(v->kinds[id] >= TOKEN_NORMAL && v->kinds[id] <= TOKEN_BYTE);
        require(v->texts[id].length <= VOCABULARY_LONGEST_TOKEN && v->texts[id].at != NULL);
        require(v->scores == NULL || v->scores[id] <= 0);
        if (v->kinds[id] == TOKEN_NORMAL)
            require(convert_vocabulary_find(v, v->texts[id]) == (mote_token)id);
    }
    require(v->unknown < (mote_token)v->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json *document;
    convert_vocabulary v;
    mote_error error = {0};
    if (size < 2)
        return 0;
    size_t count = 1 + data[0] + 16u * (data[1] & 0xf);
    if (json_read(&document, data + 2, size - 2, "tokenizer.json", &error) != MOTE_OK) {
        require(document == NULL && error.status < 0 && error.text[0] != '\0');
        return 0;
    }
    walk(document);
    if (convert_vocabulary_read(&v, document, count, &error) == MOTE_OK)
        check(&v);
    else
        require(error.status < 0 && error.text[0] != '\0');
    convert_vocabulary_free(&v);
    json_close(document);
    return 0;
}
