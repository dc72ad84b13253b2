/* One pass over the text with a stack of open containers; keys go into one hash table for the whole document. */
#include "format/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/mapped_file.h"

typedef struct json_node {
    uint32_t kind;
    uint32_t next;  /* the node behind this one and all in it */
    uint32_t at;    /* strings and numbers: of the text. Containers: unused */
    uint32_t count; /* bytes of the text; items or members */
} json_node;

struct json {
    char *name;
    char *text; /* strings unescaped in place */
    size_t length;
    json_node *nodes;
    size_t count, capacity;
    uint32_t *slots; /* of keys: number of the node, plus one; 0: empty */
    uint32_t *owner; /* parallel to `slots`: the object */
    size_t slot_count, key_count;
};

typedef struct open_container {
    uint32_t node;
    uint32_t items;
} open_container;

typedef struct reader {
    json *d;
    size_t at;
    open_container stack[JSON_DEEPEST];
    size_t depth;
    mote_error *error;
} reader;

static mote_status bad(const reader *r, const char *what)
{
    return fail(r->error, MOTE_E_FORMAT, "%s: byte %zu: %s; fetch the file again", r->d->name, r->at, what);
}

/* -------------------------------------------------------------------------------------------------------------- keys */

static uint64_t hash_of(uint32_t object, const char *at, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u ^ object; /* FNV-1a (Fowler, Noll, Vo), then its bits mixed */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)at[i]) * 0x100000001b3u;
    hash = (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

/* The slot of a key, or the empty one where it belongs; SIZE_MAX: too many collide. */
static size_t find_slot(const json *d, uint32_t object, const char *at, size_t length)
{
    size_t slot = (size_t)hash_of(object, at, length) & (d->slot_count - 1);
    for (int i = 0; i < JSON_LONGEST_COLLISION; i++, slot = (slot + 1) & (d->slot_count - 1)) {
        if (d->slots[slot] == 0)
            return slot;
        const json_node *key = &d->nodes[d->slots[slot] - 1];
        if (d->owner[slot] == object && key->count == length && memcmp(d->text + key->at, at, length) == 0)
            return slot;
    }
    return SIZE_MAX;
}

static mote_status fail_collision(const reader *r)
{
    return fail(r->error, MOTE_E_LIMIT,
                "%s: byte %zu: more than %d keys collide, which chance does not bring about; "
                "fetch the file again",
                r->d->name, r->at, JSON_LONGEST_COLLISION);
}

static mote_status grow_keys(reader *r)
{
    json *d = r->d;
    json old = *d;
    d->slot_count = old.slot_count == 0 ? 64 : old.slot_count * 2;
    d->slots = calloc(d->slot_count, sizeof *d->slots);
    d->owner = calloc(d->slot_count, sizeof *d->owner);
    mote_status status = MOTE_OK;
    if (d->slots == NULL || d->owner == NULL)
        status = fail_memory(r->error, d->slot_count * 2 * sizeof *d->slots, "the keys of a JSON file");
    for (size_t i = 0; i < old.slot_count && status == MOTE_OK; i++) {
        if (old.slots[i] == 0)
            continue;
        const json_node *key = &d->nodes[old.slots[i] - 1];
        size_t slot = find_slot(d, old.owner[i], d->text + key->at, key->count);
        if (slot == SIZE_MAX) {
            status = fail_collision(r);
        } else {
            d->slots[slot] = old.slots[i];
            d->owner[slot] = old.owner[i];
        }
    }
    free(old.slots);
    free(old.owner);
    return status;
}

static mote_status note_key(reader *r, uint32_t object, uint32_t node)
{
    json *d = r->d;
    if (2 * d->key_count >= d->slot_count) {
        mote_status status = grow_keys(r);
        if (status != MOTE_OK)
            return status;
    }
    const json_node *key = &d->nodes[node];
    size_t slot = find_slot(d, object, d->text + key->at, key->count);
    if (slot == SIZE_MAX)
        return fail_collision(r);
    if (d->slots[slot] != 0)
        return fail(r->error, MOTE_E_FORMAT, "%s: byte %zu: the key \"%.*s\" is given twice; fetch the file again",
                    d->name, r->at, key->count < 60 ? (int)key->count : 60, d->text + key->at);
    d->slots[slot] = node + 1;
    d->owner[slot] = object;
    d->key_count++;
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------------------- nodes */

static mote_status add_node(reader *r, json_kind kind, size_t at, size_t count)
{
    json *d = r->d;
    if (d->count == JSON_MOST_NODES)
        return fail(r->error, MOTE_E_LIMIT, "%s: has more than %d values; use the file of a real model", d->name,
                    JSON_MOST_NODES);
    if (d->count == d->capacity) {
        size_t capacity = d->capacity == 0 ? 64 : d->capacity * 2;
        json_node *nodes = realloc(d->nodes, capacity * sizeof *nodes);
        if (nodes == NULL)
            return fail_memory(r->error, capacity * sizeof *nodes, "the values of a JSON file");
        d->nodes = nodes;
        d->capacity = capacity;
    }
    d->nodes[d->count] = (json_node){kind, (uint32_t)d->count + 1, (uint32_t)at, (uint32_t)count};
    d->count++;
    return MOTE_OK;
}

static void skip_space(reader *r)
{
    const json *d = r->d;
    while (r->at < d->length &&
           (d->text[r->at] == ' ' || d->text[r->at] == '\n' || d->text[r->at] == '\r' || d->text[r->at] == '\t'))
        r->at++;
}

static int byte_at(const reader *r, size_t at)
{
    return at < r->d->length ? (unsigned char)r->d->text[at] : -1;
}

/* ----------------------------------------------------------------------------------------------------------- strings */

/* Bytes of the UTF-8 character at `at`; 0: there is none (Unicode 15, table 3-7). */
static size_t character_length(const reader *r, size_t at)
{
    int c = byte_at(r, at), low = 0x80, high = 0xbf;
    size_t length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : low;
    high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : high;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf)
        if (byte_at(r, at + i) < low || byte_at(r, at + i) > high)
            return 0;
    return length;
}

/* Four hexadecimal digits; -1: they are not. */
static long hex4(const reader *r, size_t at)
{
    long code = 0;
    for (size_t i = 0; i < 4; i++) {
        int c = byte_at(r, at + i);
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (c < 0 || digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static size_t write_code(char *to, long code)
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)(leads[length] | code);
    return length;
}

/* At the backslash; writes the character at *to, which is never past what was read. */
static mote_status read_escape(reader *r, size_t *to)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    int letter = byte_at(r, r->at + 1);
    const char *known = letter > 0 ? strchr(letters, letter) : NULL;
    if (known != NULL) {
        r->d->text[(*to)++] = meanings[known - letters];
        r->at += 2;
        return MOTE_OK;
    }
    long code = letter == 'u' ? hex4(r, r->at + 2) : -1;
    if (code < 0)
        return bad(r, "an escape that JSON does not have");
    size_t length = 6;
    if (code >= 0xd800 && code < 0xdc00 && byte_at(r, r->at + 6) == '\\' && byte_at(r, r->at + 7) == 'u') {
        long low = hex4(r, r->at + 8);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            length = 12;
        }
    }
    if (code >= 0xd800 && code < 0xe000)
        return bad(r, "half of a surrogate pair, which is no character");
    *to += write_code(r->d->text + *to, code);
    r->at += length;
    return MOTE_OK;
}

/* At the opening quote. */
static mote_status read_string(reader *r)
{
    size_t from = ++r->at, to = from;
    for (;;) {
        int c = byte_at(r, r->at);
        mote_status status = MOTE_OK;
        if (c < 0)
            return bad(r, "the text ends inside a string");
        if (c < 0x20)
            return bad(r, "a control character inside a string");
        if (c == '"')
            break;
        if (c == '\\') {
            status = read_escape(r, &to);
        } else {
            size_t length = character_length(r, r->at);
            if (length == 0)
                return bad(r, "bytes that are not UTF-8");
            memmove(r->d->text + to, r->d->text + r->at, length);
            to += length;
            r->at += length;
        }
        if (status != MOTE_OK)
            return status;
    }
    r->at++;
    return add_node(r, JSON_STRING, from, to - from);
}

/* ----------------------------------------------------------------------------------------------------------- scalars */

static size_t digits_from(const reader *r, size_t at)
{
    size_t end = at;
    while (byte_at(r, end) >= '0' && byte_at(r, end) <= '9')
        end++;
    return end - at;
}

static mote_status read_number(reader *r)
{
    size_t end = r->at + (byte_at(r, r->at) == '-');
    size_t whole = digits_from(r, end);
    bool sound = whole > 0 && (whole == 1 || byte_at(r, end) != '0');
    end += whole;
    if (byte_at(r, end) == '.') {
        size_t part = digits_from(r, end + 1);
        sound = sound && part > 0;
        end += 1 + part;
    }
    if (byte_at(r, end) == 'e' || byte_at(r, end) == 'E') {
        end++;
        end += byte_at(r, end) == '-' || byte_at(r, end) == '+';
        size_t exponent = digits_from(r, end);
        sound = sound && exponent > 0;
        end += exponent;
    }
    if (!sound)
        return bad(r, "neither a value nor the end of the list");
    if (end - r->at > JSON_LONGEST_NUMBER)
        return bad(r, "a number of more than 64 characters");
    size_t from = r->at;
    r->at = end;
    return add_node(r, JSON_NUMBER, from, end - from);
}

static mote_status read_word(reader *r)
{
    static const struct {
        const char *text;
        json_kind kind;
    } words[] = {{"null", JSON_NULL}, {"true", JSON_TRUE}, {"false", JSON_FALSE}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].text);
        if (r->d->length - r->at >= length && memcmp(r->d->text + r->at, words[i].text, length) == 0) {
            r->at += length;
            return add_node(r, words[i].kind, 0, 0);
        }
    }
    return read_number(r);
}

/* -------------------------------------------------------------------------------------------------------- containers */

static mote_status open_container_of(reader *r, json_kind kind)
{
    if (r->depth == JSON_DEEPEST)
        return fail(r->error, MOTE_E_LIMIT,
                    "%s: byte %zu: values nested more than %d deep; use the file of a real model", r->d->name, r->at,
                    JSON_DEEPEST);
    r->stack[r->depth++] = (open_container){(uint32_t)r->d->count, 0};
    r->at++;
    return add_node(r, kind, 0, 0);
}

static void close_container(reader *r)
{
    const open_container *top = &r->stack[--r->depth];
    r->d->nodes[top->node].next = (uint32_t)r->d->count;
    r->d->nodes[top->node].count = top->items;
    r->at++;
}

/* In an object: the key and the colon in front of a value. */
static mote_status read_key(reader *r)
{
    uint32_t object = r->stack[r->depth - 1].node, node = (uint32_t)r->d->count;
    mote_status status;
    skip_space(r);
    if (byte_at(r, r->at) != '"')
        return bad(r, "a key is missing");
    if ((status = read_string(r)) || (status = note_key(r, object, node)))
        return status;
    skip_space(r);
    if (byte_at(r, r->at) != ':')
        return bad(r, "a colon is missing behind a key");
    r->at++;
    return MOTE_OK;
}

/* Up to the next value: commas, keys and closed containers. *done: the document is complete. */
static mote_status advance(reader *r, bool *done)
{
    for (;;) {
        skip_space(r);
        if (r->depth == 0) {
            *done = r->d->count > 0;
            return *done && r->at < r->d->length ? bad(r, "more text behind the value") : MOTE_OK;
        }
        open_container *top = &r->stack[r->depth - 1];
        bool object = r->d->nodes[top->node].kind == JSON_OBJECT;
        if (byte_at(r, r->at) == (object ? '}' : ']')) {
            close_container(r);
            continue;
        }
        if (top->items++ > 0) {
            if (byte_at(r, r->at) != ',')
                return bad(r, r->at == r->d->length ? "the text ends too early" : "a comma is missing");
            r->at++;
        }
        mote_status status = object ? read_key(r) : MOTE_OK;
        skip_space(r);
        return status;
    }
}

static mote_status read_document(reader *r)
{
    mote_status status;
    bool done = false;
    while ((status = advance(r, &done)) == MOTE_OK && !done) {
        switch (byte_at(r, r->at)) {
        case -1: return bad(r, "the text ends too early");
        case '{': status = open_container_of(r, JSON_OBJECT); break;
        case '[': status = open_container_of(r, JSON_ARRAY); break;
        case '"': status = read_string(r); break;
        default: status = read_word(r);
        }
        if (status != MOTE_OK)
            break;
    }
    return status;
}

/* ---------------------------------------------------------------------------------------------------- open and close */

/* A document with room for a text. */
static mote_status start(json **out, size_t length, const char *name, mote_error *error)
{
    *out = NULL;
    if (length > JSON_MOST_BYTES)
        return fail(error, MOTE_E_LIMIT,
                    "%s: has %zu bytes, and mote reads JSON of up to %d; use the file of a real model", name, length,
                    JSON_MOST_BYTES);
    json *d = calloc(1, sizeof *d);
    if (d != NULL) {
        d->name = strdup(name);
        d->text = malloc(length + 1);
        d->length = length;
    }
    if (d == NULL || d->name == NULL || d->text == NULL) {
        json_close(d);
        return fail_memory(error, length, "a JSON file");
    }
    *out = d;
    return MOTE_OK;
}

static mote_status finish(json **out, mote_error *error)
{
    reader r = {.d = *out, .error = error};
    mote_status status = read_document(&r);
    if (status != MOTE_OK) {
        json_close(*out);
        *out = NULL;
    }
    return status;
}

mote_status json_read(json **out, const void *text, size_t length, const char *name, mote_error *error)
{
    mote_status status = start(out, length, name, error);
    if (status != MOTE_OK)
        return status;
    if (length > 0)
        memcpy((*out)->text, text, length);
    return finish(out, error);
}

/* A copy, since a mapped file may change while it is read. */
mote_status json_read_file(json **out, const char *path, size_t most, mote_error *error)
{
    mapped_file file;
    *out = NULL;
    mote_status status = mapped_file_open(&file, path, error);
    if (status != MOTE_OK)
        return status;
    const char *name = mapped_file_short_path(path);
    if (file.size > most)
        status =
            fail(error, MOTE_E_LIMIT, "%s: has %zu bytes, and mote reads up to %zu here; use the file of a real model",
                 name, file.size, most);
    if (status == MOTE_OK)
        status = start(out, file.size, name, error);
    if (status == MOTE_OK) {
        memcpy((*out)->text, file.data, file.size);
        if (mapped_file_failed(&file)) {
            json_close(*out);
            *out = NULL;
            status = fail(error, MOTE_E_IO, "%s: could not be read to its end; check the disk", name);
        }
    }
    mapped_file_close(&file);
    return status == MOTE_OK ? finish(out, error) : status;
}

void json_close(json *d)
{
    if (d == NULL)
        return;
    free(d->name);
    free(d->text);
    free(d->nodes);
    free(d->slots);
    free(d->owner);
    free(d);
}

/* ------------------------------------------------------------------------------------------------------------ values */

static const json_value absent = {NULL, 0};

static const json_node *node_of(json_value value)
{
    static const json_node none = {.kind = JSON_ABSENT};
    return value.document != NULL ? &value.document->nodes[value.node] : &none;
}

const char *json_name(const json *document)
{
    return document->name;
}

json_value json_root(const json *document)
{
    return (json_value){document, 0};
}

json_kind json_kind_of(json_value value)
{
    return (json_kind)node_of(value)->kind;
}

const char *json_kind_name(json_kind kind)
{
    static const char *const names[] = {"absent",   "null",     "false",    "true",
                                        "a number", "a string", "an array", "an object"};
    return names[kind];
}

size_t json_count(json_value value)
{
    return json_kind_of(value) >= JSON_ARRAY ? node_of(value)->count : 0;
}

json_value json_get_string(json_value object, gguf_string key)
{
    const json *d = object.document;
    if (json_kind_of(object) != JSON_OBJECT || d->slot_count == 0)
        return absent;
    size_t slot = find_slot(d, object.node, key.at, key.length);
    return slot == SIZE_MAX || d->slots[slot] == 0 ? absent : (json_value){d, d->slots[slot]};
}

json_value json_get(json_value object, const char *key)
{
    return json_get_string(object, (gguf_string){key, strlen(key)});
}

json_value json_first(json_value container)
{
    return json_count(container) == 0 ? absent : (json_value){container.document, container.node + 1};
}

json_value json_of_key(json_value key)
{
    return (json_value){key.document, key.node + 1};
}

json_value json_next(json_value container, json_value item)
{
    if (json_kind_of(container) == JSON_OBJECT)
        item = json_of_key(item);
    uint32_t next = node_of(item)->next;
    return next >= node_of(container)->next ? absent : (json_value){container.document, next};
}

gguf_string json_text(json_value value)
{
    const json_node *node = node_of(value);
    return node->kind == JSON_STRING ? (gguf_string){value.document->text + node->at, node->count}
                                     : (gguf_string){"", 0};
}

bool json_is_text(json_value value, const char *text)
{
    return json_kind_of(value) == JSON_STRING && gguf_string_is(json_text(value), text);
}

bool json_u64(json_value value, uint64_t *out)
{
    const json_node *node = node_of(value);
    uint64_t number = 0;
    if (node->kind != JSON_NUMBER)
        return false;
    for (uint32_t i = 0; i < node->count; i++) {
        char c = value.document->text[node->at + i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(c - '0'), &number))
            return false;
    }
    *out = number;
    return true;
}

/* The C library rounds correctly, but writes the decimal point as the locale does. So it gets the number without one:
 * 12.5e3 is 125e2. */
bool json_double(json_value value, double *out)
{
    const json_node *node = node_of(value);
    char digits[JSON_LONGEST_NUMBER + 32];
    size_t length = 0;
    long behind = 0, exponent = 0;
    bool point = false;
    if (node->kind != JSON_NUMBER)
        return false;
    for (uint32_t i = 0; i < node->count; i++) {
        char c = value.document->text[node->at + i];
        if (c == 'e' || c == 'E') {
            char text[JSON_LONGEST_NUMBER + 1] = "";
            memcpy(text, value.document->text + node->at + i + 1, node->count - i - 1);
            exponent = strtol(text, NULL, 10);
            break;
        }
        behind += point;
        point = point || c == '.';
        if (c != '.')
            digits[length++] = c;
    }
    exponent = exponent > 100000 ? 100000 : exponent < -100000 ? -100000 : exponent;
    snprintf(digits + length, sizeof digits - length, "e%ld", exponent - behind);
    double number = strtod(digits, NULL);
    if (!isfinite(number))
        return false;
    *out = number;
    return true;
}
