/* GGUF files in memory, for tests. */
#include "gguf_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS_AT = 8, ENTRIES_AT = 16, UNKNOWN_BYTES = 64 };

static void demand(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "gguf_writer: %s\n", what);
    exit(1);
}

static void append(gguf_bytes *to, const void *bytes, size_t count)
{
    if (count > to->capacity - to->size) {
        to->capacity = 2 * (to->size + count) + 64;
        to->at = realloc(to->at, to->capacity);
        demand(to->at != NULL, "out of memory");
    }
    if (count > 0)
        memcpy(to->at + to->size, bytes, count);
    to->size += count;
}

void gguf_put(gguf_writer *w, const void *bytes, size_t count)
{
    gguf_bytes file = {w->at, w->size, w->capacity};
    append(&file, bytes, count);
    w->at = file.at;
    w->size = file.size;
    w->capacity = file.capacity;
}

void gguf_put_u32(gguf_writer *w, uint32_t value)
{
    gguf_put(w, &value, sizeof value);
}

void gguf_put_u64(gguf_writer *w, uint64_t value)
{
    gguf_put(w, &value, sizeof value);
}

void gguf_patch(gguf_writer *w, size_t offset, const void *bytes, size_t count)
{
    demand(offset + count <= w->size, "a patch past the end");
    memcpy(w->at + offset, bytes, count);
}

static void put_string(gguf_writer *w, const void *bytes, size_t length)
{
    gguf_put_u64(w, length);
    gguf_put(w, bytes, length);
}

static void count_up(gguf_writer *w, size_t offset)
{
    uint64_t count;
    memcpy(&count, w->at + offset, sizeof count);
    count++;
    gguf_patch(w, offset, &count, sizeof count);
}

void gguf_begin(gguf_writer *w, uint32_t version)
{
    *w = (gguf_writer){.alignment = 32};
    gguf_put(w, "GGUF", 4);
    gguf_put_u32(w, version);
    gguf_put_u64(w, 0);
    gguf_put_u64(w, 0);
}

void gguf_finish(gguf_writer *w)
{
    static const unsigned char zeros[64];
    while (w->size % w->alignment != 0) {
        size_t missing = w->alignment - w->size % w->alignment;
        gguf_put(w, zeros, missing < sizeof zeros ? missing : sizeof zeros);
    }
    gguf_put(w, w->data.at, w->data.size);
}

void gguf_writer_free(gguf_writer *w)
{
    free(w->at);
    free(w->data.at);
    *w = (gguf_writer){0};
}

void gguf_save(const gguf_writer *w, const char *path)
{
    FILE *file = fopen(path, "wb");
    demand(file != NULL && fwrite(w->at, 1, w->size, file) == w->size && fclose(file) == 0, path);
}

static size_t add_entry(gguf_writer *w, const char *key, gguf_type type, const void *value, size_t size)
{
    size_t start = w->size;
    put_string(w, key, strlen(key));
    gguf_put_u32(w, type);
    gguf_put(w, value, size);
    count_up(w, ENTRIES_AT);
    return start;
}

size_t gguf_add_u8(gguf_writer *w, const char *key, uint8_t value)
{
    return add_entry(w, key, GGUF_U8, &value, sizeof value);
}

size_t gguf_add_i8(gguf_writer *w, const char *key, int8_t value)
{
    return add_entry(w, key, GGUF_I8, &value, sizeof value);
}

size_t gguf_add_u16(gguf_writer *w, const char *key, uint16_t value)
{
    return add_entry(w, key, GGUF_U16, &value, sizeof value);
}

size_t gguf_add_i16(gguf_writer *w, const char *key, int16_t value)
{
    return add_entry(w, key, GGUF_I16, &value, sizeof value);
}

size_t gguf_add_u32(gguf_writer *w, const char *key, uint32_t value)
{
    return add_entry(w, key, GGUF_U32, &value, sizeof value);
}

size_t gguf_add_i32(gguf_writer *w, const char *key, int32_t value)
{
    return add_entry(w, key, GGUF_I32, &value, sizeof value);
}

size_t gguf_add_u64(gguf_writer *w, const char *key, uint64_t value)
{
    return add_entry(w, key, GGUF_U64, &value, sizeof value);
}

size_t gguf_add_i64(gguf_writer *w, const char *key, int64_t value)
{
    return add_entry(w, key, GGUF_I64, &value, sizeof value);
}

size_t gguf_add_f32(gguf_writer *w, const char *key, float value)
{
    return add_entry(w, key, GGUF_F32, &value, sizeof value);
}

size_t gguf_add_f64(gguf_writer *w, const char *key, double value)
{
    return add_entry(w, key, GGUF_F64, &value, sizeof value);
}

size_t gguf_add_bool(gguf_writer *w, const char *key, bool value)
{
    uint8_t byte = value;
    return add_entry(w, key, GGUF_BOOL, &byte, sizeof byte);
}

size_t gguf_add_string(gguf_writer *w, const char *key, const void *bytes, size_t length)
{
    size_t start = add_entry(w, key, GGUF_STRING, NULL, 0);
    put_string(w, bytes, length);
    return start;
}

size_t gguf_add_text(gguf_writer *w, const char *key, const char *text)
{
    return gguf_add_string(w, key, text, strlen(text));
}

static size_t add_array(gguf_writer *w, const char *key, gguf_type type, size_t count)
{
    size_t start = add_entry(w, key, GGUF_ARRAY, NULL, 0);
    gguf_put_u32(w, type);
    gguf_put_u64(w, count);
    return start;
}

size_t gguf_add_numbers(gguf_writer *w, const char *key, gguf_type type, size_t count, const void *values)
{
    static const size_t bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    size_t start = add_array(w, key, type, count);
    gguf_put(w, values, count * bytes[type]);
    return start;
}

size_t gguf_add_texts(gguf_writer *w, const char *key, size_t count, const char *const *texts)
{
    size_t start = add_array(w, key, GGUF_STRING, count);
    for (size_t i = 0; i < count; i++)
        put_string(w, texts[i], strlen(texts[i]));
    return start;
}

static void pad_data(gguf_writer *w)
{
    while (w->data.size % w->alignment != 0)
        append(&w->data, "", 1);
}

size_t gguf_add_tensor(gguf_writer *w, const char *name, uint32_t type, uint32_t dimensions, const size_t *shape,
                       const void *data)
{
    size_t start = w->size, elements = 1;
    put_string(w, name, strlen(name));
    gguf_put_u32(w, dimensions);
    for (uint32_t i = 0; i < dimensions; i++) {
        gguf_put_u64(w, shape[i]);
        elements *= shape[i];
    }
    gguf_put_u32(w, type);
    pad_data(w);
    gguf_put_u64(w, w->data.size);
    const quant_format *format = quant_find(type);
    size_t bytes = format != NULL           ? elements / format->block * format->bytes
                   : type == GGUF_TENSOR_I8 ? elements
                                            : UNKNOWN_BYTES;
    for (size_t i = 0; data == NULL && i < bytes; i++)
        append(&w->data, &(unsigned char){(unsigned char)(i * 7 + start)}, 1);
    if (data != NULL)
        append(&w->data, data, bytes);
    count_up(w, TENSORS_AT);
    return start;
}
