/* Reading JSON (RFC 8259) that anybody wrote: config.json, tokenizer.json, the head of a safetensors file.
 *
 * A document is one list of nodes in the order of the text, without pointers:
 *
 *     {"a": [1, "x"], "b": 2}   →   object 2 │ "a" │ array 2 │ 1 │ "x" │ "b" │ 2
 *                                      └ next: past its last node
 *
 * so that nothing recurses, and a million values take 16 bytes each. Strings are unescaped in place, in the document's own
 * copy of the text. What is stricter than elsewhere: a key given twice in one object is an error, text is UTF-8 without
 * lone surrogates, and depth, numbers and sizes have bounds. A value that is not there is JSON_ABSENT, and whatever is
 * asked of it is absent too, so that a path can be followed without a check at each step. */
#ifndef MOTE_FORMAT_JSON_H
#define MOTE_FORMAT_JSON_H

#include "format/gguf.h"

enum {
    JSON_DEEPEST = 64,
    JSON_LONGEST_NUMBER = 64,      /* characters */
    JSON_MOST_NODES = 1 << 24,     /* values and keys */
    JSON_MOST_BYTES = 256 << 20,   /* of a document */
    JSON_LONGEST_COLLISION = 1024, /* keys with nearly the same hash; chance brings a dozen */
};

typedef enum json_kind {
    JSON_ABSENT,
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_kind;

typedef struct json json;

/* A value of a document, good as long as that. */
typedef struct json_value {
    const json *document;
    uint32_t node;
} json_value;

/* Reads a text of at most `most` bytes (JSON_MOST_BYTES is the end of it); `name` stands for it in sentences. The text is
 * copied. Errors: FORMAT (says at which byte), LIMIT, MEMORY. */
mote_status json_read(json **out, const void *text, size_t length, const char *name, mote_error *error);

/* The same of a file. Errors: IO (there is none, it is empty or no regular file) too. */
mote_status json_read_file(json **out, const char *path, size_t most, mote_error *error);
void json_close(json *document); /* NULL is fine */

const char *json_name(const json *document);
json_value json_root(const json *document);

json_kind json_kind_of(json_value value);
const char *json_kind_name(json_kind kind); /* "an array" */
size_t json_count(json_value value);        /* items of an array, members of an object; else 0 */

/* A member by its key, in constant time. */
json_value json_get(json_value object, const char *key);
json_value json_get_string(json_value object, gguf_string key);

/* Walks items, or members:
 *
 *     for (json_value item = json_first(array); json_is(item); item = json_next(array, item)) …
 *
 * In an object, items are the keys, and json_of_key(key) is a key's value. */
json_value json_first(json_value container);
json_value json_next(json_value container, json_value item);
json_value json_of_key(json_value key);

static inline bool json_is(json_value value)
{
    return value.document != NULL;
}

/* The text of a string, else one of no bytes. */
gguf_string json_text(json_value value);
bool json_is_text(json_value value, const char *text);

/* A number that is a whole one from 0 to 2⁶⁴ − 1, written without point or exponent; exact. False: it is none. */
bool json_u64(json_value value, uint64_t *out);

/* Any number, correctly rounded; one past the largest double is false. */
bool json_double(json_value value, double *out);

#endif
