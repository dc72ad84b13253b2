/* The head of a GGUF file is gathered in memory while it is declared; the weights go straight to the file. */
#include "format/gguf_output.h"

#include "base/checked.h"
#include "base/new_file.h"

#include <stdlib.h>

enum { SMALLEST_ALIGNMENT = 8, LARGEST_ALIGNMENT = 65536, USUAL_ALIGNMENT = 32, LONGEST_KEY = 65535, FIXED_HEAD = 24 };

typedef struct byte_list {
    unsigned char *at;
    size_t size;
    size_t capacity;
} byte_list;

struct gguf_output {
    new_file file;
    size_t alignment;
    byte_list entries;   /* as the file has them */
    byte_list directory; /* as the file has it */
    byte_list keys;      /* size_t each: where in `entries` a key's text begins, its length 8 bytes in front */
    byte_list names;     /* size_t each: the same in `directory` */
    byte_list sizes;     /* size_t each: bytes of a tensor */
    size_t items_left;   /* of the array of strings being declared */
    uint64_t data_size;  /* of all tensors declared, padded; may be more than memory could hold */
    size_t tensor;       /* the one being written */
    size_t written;      /* of its bytes */
    bool begun;
    mote_error error; /* the first failure */
};

static size_t count_of(const byte_list *list)
{
    return list->size / sizeof(size_t);
}

static size_t number_at(const byte_list *list, size_t index)
{
    size_t number;
    memcpy(&number, list->at + index * sizeof number, sizeof number);
    return number;
}

/* -------------------------------------------------------------------------------------------------------- first failure */

static bool sound(const gguf_output *out)
{
    return out->error.status == MOTE_OK;
}

static mote_status tell(const gguf_output *out, mote_error *error)
{
    if (error != NULL)
        *error = out->error;
    return out->error.status;
}

static void put(gguf_output *out, byte_list *list, const void *bytes, size_t count)
{
    size_t wanted, room;
    if (!sound(out) || count == 0)
        return;
    if (!checked_add(list->size, count, &wanted) || !checked_mul(wanted, 2, &room)) {
        fail_memory(&out->error, SIZE_MAX, "the head of a GGUF file");
        return;
    }
    if (wanted > list->capacity) {
        unsigned char *at = realloc(list->at, room);
        if (at == NULL) {
            fail_memory(&out->error, room, "the head of a GGUF file");
            return;
        }
        list->at = at;
        list->capacity = room;
    }
    memcpy(list->at + list->size, bytes, count);
    list->size = wanted;
}

static void put_u32(gguf_output *out, byte_list *list, uint32_t value)
{
    put(out, list, &value, sizeof value);
}

static void put_u64(gguf_output *out, byte_list *list, uint64_t value)
{
    put(out, list, &value, sizeof value);
}

static void put_string(gguf_output *out, byte_list *list, gguf_string string)
{
    put_u64(out, list, string.length);
    put(out, list, string.at, string.length);
}

/* ---------------------------------------------------------------------------------------------------- open and close */

mote_status gguf_output_open(gguf_output **result, const char *path, size_t alignment, bool overwrite,
                             mote_error *error)
{
    *result = NULL;
    if (alignment < SMALLEST_ALIGNMENT || alignment > LARGEST_ALIGNMENT || (alignment & (alignment - 1)) != 0)
        return fail(error, MOTE_E_ARGUMENT, "%s: weights cannot be aligned to %zu; choose a power of two from %d to %d",
                    path, alignment, SMALLEST_ALIGNMENT, LARGEST_ALIGNMENT);
    gguf_output *out = calloc(1, sizeof *out);
    if (out == NULL)
        return fail_memory(error, sizeof *out, "writing a GGUF file");
    out->alignment = alignment;
    mote_status status = new_file_open(&out->file, path, overwrite, error);
    if (status != MOTE_OK) {
        free(out);
        return status;
    }
    if (alignment != USUAL_ALIGNMENT)
        gguf_output_u32(out, "general.alignment", (uint32_t)alignment);
    *result = out;
    return MOTE_OK;
}

void gguf_output_close(gguf_output *out)
{
    if (out == NULL)
        return;
    new_file_close(&out->file);
    free(out->entries.at);
    free(out->directory.at);
    free(out->keys.at);
    free(out->names.at);
    free(out->sizes.at);
    free(out);
}

/* ---------------------------------------------------------------------------------------------------------- metadata */

static bool is_name(const char *text, size_t longest)
{
    size_t length = 0;
    for (; text[length] != '\0' && length <= longest; length++)
        if (text[length] < 0x20 || text[length] > 0x7e)
            return false;
    return length > 0 && length <= longest;
}

/* False where nothing more is to be declared. */
static bool may_declare(gguf_output *out, const char *what)
{
    if (!sound(out))
        return false;
    if (out->begun)
        fail(&out->error, MOTE_E_ARGUMENT, "%s: %.60s comes after the head was written; declare it before",
             out->file.path, what);
    else if (out->items_left > 0)
        fail(&out->error, MOTE_E_ARGUMENT, "%s: %.60s comes while %zu strings of an array are missing; add them first",
             out->file.path, what, out->items_left);
    return sound(out);
}

static void begin_entry(gguf_output *out, const char *key, gguf_type type)
{
    if (!may_declare(out, key))
        return;
    if (!is_name(key, LONGEST_KEY)) {
        fail(&out->error, MOTE_E_ARGUMENT, "%s: \"%.60s\" is no metadata key; use 1 to %d printable ASCII characters",
             out->file.path, key, LONGEST_KEY);
        return;
    }
    if (count_of(&out->keys) == GGUF_MOST_ENTRIES) {
        fail(&out->error, MOTE_E_LIMIT,
             "%s: %.60s is one metadata entry more than the %d a file may have; leave some out", out->file.path, key,
             GGUF_MOST_ENTRIES);
        return;
    }
    size_t place = out->entries.size + sizeof(uint64_t);
    put(out, &out->keys, &place, sizeof place);
    put_string(out, &out->entries, (gguf_string){key, strlen(key)});
    put_u32(out, &out->entries, type);
}

static size_t type_bytes(gguf_type type)
{
    switch (type) {
    case GGUF_U8:
    case GGUF_I8:
    case GGUF_BOOL: return 1;
    case GGUF_U16:
    case GGUF_I16: return 2;
    case GGUF_U32:
    case GGUF_I32:
    case GGUF_F32: return 4;
    case GGUF_U64:
    case GGUF_I64:
    case GGUF_F64: return 8;
    case GGUF_STRING:
    case GGUF_ARRAY:
    case GGUF_TYPE_COUNT: break;
    }
    return 0;
}

void gguf_output_u32(gguf_output *out, const char *key, uint32_t value)
{
    begin_entry(out, key, GGUF_U32);
    put_u32(out, &out->entries, value);
}

void gguf_output_u64(gguf_output *out, const char *key, uint64_t value)
{
    begin_entry(out, key, GGUF_U64);
    put_u64(out, &out->entries, value);
}

void gguf_output_f32(gguf_output *out, const char *key, float value)
{
    begin_entry(out, key, GGUF_F32);
    put(out, &out->entries, &value, sizeof value);
}

void gguf_output_bool(gguf_output *out, const char *key, bool value)
{
    uint8_t byte = value;
    begin_entry(out, key, GGUF_BOOL);
    put(out, &out->entries, &byte, sizeof byte);
}

void gguf_output_text(gguf_output *out, const char *key, const char *text)
{
    gguf_output_string(out, key, (gguf_string){text, strlen(text)});
}

void gguf_output_string(gguf_output *out, const char *key, gguf_string string)
{
    begin_entry(out, key, GGUF_STRING);
    put_string(out, &out->entries, string);
}

static void begin_array(gguf_output *out, const char *key, gguf_type type, size_t count)
{
    begin_entry(out, key, GGUF_ARRAY);
    put_u32(out, &out->entries, type);
    put_u64(out, &out->entries, count);
}

void gguf_output_numbers(gguf_output *out, const char *key, gguf_type type, size_t count, const void *values)
{
    size_t bytes;
    if (sound(out) && (type_bytes(type) == 0 || !checked_mul(count, type_bytes(type), &bytes))) {
        fail(&out->error, MOTE_E_ARGUMENT, "%s: %.60s is no array of numbers; use gguf_output_strings for strings",
             out->file.path, key);
        return;
    }
    begin_array(out, key, type, count);
    put(out, &out->entries, values, count * type_bytes(type));
}

void gguf_output_strings(gguf_output *out, const char *key, size_t count)
{
    begin_array(out, key, GGUF_STRING, count);
    if (sound(out))
        out->items_left = count;
}

void gguf_output_item(gguf_output *out, gguf_string string)
{
    if (!sound(out))
        return;
    if (out->items_left == 0) {
        fail(&out->error, MOTE_E_ARGUMENT, "%s: a string belongs to no array; announce one of the right length",
             out->file.path);
        return;
    }
    out->items_left--;
    put_string(out, &out->entries, string);
}

static void copy_entry(gguf_output *out, const gguf_entry *entry)
{
    const gguf_array *array = &entry->value.array;
    float number = (float)entry->value.f64;
    switch (entry->type) {
    case GGUF_STRING: gguf_output_string(out, entry->key, entry->value.string); break;
    case GGUF_ARRAY:
        begin_array(out, entry->key, array->type, array->count);
        put(out, &out->entries, array->data, array->bytes);
        break;
    case GGUF_F32: gguf_output_f32(out, entry->key, number); break;
    default: /* a number's low bytes come first, whatever its width */
        begin_entry(out, entry->key, entry->type);
        put(out, &out->entries, &entry->value, type_bytes(entry->type));
    }
}

static bool has_key(const gguf_output *out, const char *key, size_t among)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < among; i++) {
        const unsigned char *at = out->entries.at + number_at(&out->keys, i);
        uint64_t given;
        memcpy(&given, at - sizeof given, sizeof given);
        if (given == length && memcmp(at, key, length) == 0)
            return true;
    }
    return false;
}

void gguf_output_copy(gguf_output *out, const gguf *file, bool (*skip)(const char *key))
{
    size_t given = count_of(&out->keys);
    for (size_t i = 0; i < gguf_entry_count(file) && sound(out); i++) {
        const gguf_entry *entry = gguf_entry_at(file, i);
        bool layout = strcmp(entry->key, "general.alignment") == 0 || strncmp(entry->key, "split.", 6) == 0;
        if (!layout && !has_key(out, entry->key, given) && (skip == NULL || !skip(entry->key)))
            copy_entry(out, entry);
    }
}

/* ----------------------------------------------------------------------------------------------------------- tensors */

/* The bytes of a tensor; false if a dimension is zero, a row is no whole blocks, or the size exceeds a size_t. */
static bool tensor_bytes(const quant_format *format, uint32_t dimensions, const size_t *shape, size_t *bytes)
{
    if (format == NULL || dimensions < 1 || dimensions > 4 || shape[0] == 0 || shape[0] % format->block != 0)
        return false;
    *bytes = shape[0] / format->block;
    for (uint32_t i = 1; i < dimensions; i++)
        if (shape[i] == 0 || !checked_mul(*bytes, shape[i], bytes))
            return false;
    return checked_mul(*bytes, format->bytes, bytes);
}

/* One entry of the directory; the size has been checked against the shape. */
static void declare(gguf_output *out, const char *name, uint32_t type, uint32_t dimensions, const size_t *shape,
                    size_t bytes)
{
    size_t padded;
    uint64_t end;
    if (!is_name(name, GGUF_LONGEST_NAME) || count_of(&out->names) == GGUF_MOST_TENSORS) {
        fail(
            &out->error, MOTE_E_ARGUMENT,
            "%s: \"%.60s\" cannot be a tensor; names have 1 to %d printable ASCII characters, and a file %d tensors at "
            "most",
            out->file.path, name, GGUF_LONGEST_NAME, GGUF_MOST_TENSORS);
        return;
    }
    if (!checked_align(bytes, out->alignment, &padded) || __builtin_add_overflow(out->data_size, padded, &end)) {
        fail(&out->error, MOTE_E_ARGUMENT, "%s: tensor %.60s of %zu bytes is more than a file can hold; leave it out",
             out->file.path, name, bytes);
        return;
    }
    size_t place = out->directory.size + sizeof(uint64_t);
    put(out, &out->names, &place, sizeof place);
    put(out, &out->sizes, &bytes, sizeof bytes);
    put_string(out, &out->directory, (gguf_string){name, strlen(name)});
    put_u32(out, &out->directory, dimensions);
    for (uint32_t i = 0; i < dimensions; i++)
        put_u64(out, &out->directory, shape[i]);
    put_u32(out, &out->directory, type);
    put_u64(out, &out->directory, out->data_size);
    out->data_size = end;
}

void gguf_output_tensor(gguf_output *out, const char *name, const quant_format *format, uint32_t dimensions,
                        const size_t *shape)
{
    size_t bytes;
    if (!may_declare(out, name))
        return;
    if (tensor_bytes(format, dimensions, shape, &bytes))
        declare(out, name, format->type, dimensions, shape, bytes);
    else
        fail(&out->error, MOTE_E_ARGUMENT,
             "%s: tensor %.60s has no such shape in %s; rows are whole blocks, and no dimension is zero",
             out->file.path, name, format != NULL ? format->name : "an unknown format");
}

void gguf_output_bytes(gguf_output *out, const char *name, size_t count)
{
    if (!may_declare(out, name))
        return;
    if (count > 0)
        declare(out, name, GGUF_TENSOR_I8, 1, &count, count);
    else
        fail(&out->error, MOTE_E_ARGUMENT, "%s: tensor %.60s has no bytes; leave it out", out->file.path, name);
}

uint64_t gguf_output_data_bytes(const gguf_output *out)
{
    return out->data_size;
}

uint64_t gguf_output_head_bytes(const gguf_output *out, const gguf *file)
{
    uint64_t bytes = FIXED_HEAD + out->entries.size + out->directory.size;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const gguf_tensor *tensor = gguf_tensor_at(file, i);
        bytes += sizeof(uint64_t) + strlen(tensor->name) + 2 * sizeof(uint32_t) +
                 (tensor->dimensions + 1) * sizeof(uint64_t);
    }
    return (bytes + out->alignment - 1) / out->alignment * out->alignment;
}

/* ------------------------------------------------------------------------------------------------------------ writing */

static int compare(const void *left, const void *right)
{
    const gguf_string *a = left, *b = right;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->at, b->at, shorter);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* Are two of the texts that lie in `bytes` at `places` the same? */
static void check_unique(gguf_output *out, const byte_list *places, const byte_list *bytes, const char *what)
{
    size_t count = count_of(places);
    if (!sound(out) || count < 2)
        return;
    gguf_string *texts = calloc(count, sizeof *texts);
    if (texts == NULL) {
        fail_memory(&out->error, count * sizeof *texts, "the head of a GGUF file");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const unsigned char *at = bytes->at + number_at(places, i);
        uint64_t length;
        memcpy(&length, at - sizeof length, sizeof length);
        texts[i] = (gguf_string){(const char *)at, (size_t)length};
    }
    qsort(texts, count, sizeof *texts, compare);
    for (size_t i = 1; i < count && sound(out); i++)
        if (compare(&texts[i - 1], &texts[i]) == 0)
            fail(&out->error, MOTE_E_ARGUMENT, "%s: %s %.*s is given twice; give it once", out->file.path, what,
                 (int)(texts[i].length < 60 ? texts[i].length : 60), texts[i].at);
    free(texts);
}

static void write_bytes(gguf_output *out, const void *bytes, size_t count)
{
    if (sound(out) && count > 0)
        new_file_write(&out->file, bytes, count, &out->error);
}

/* Zeros from `size` to the next multiple of the alignment. */
static void write_padding(gguf_output *out, size_t size)
{
    static const unsigned char zeros[4096];
    size_t missing = (out->alignment - size % out->alignment) % out->alignment;
    while (missing > 0 && sound(out)) {
        size_t now = missing < sizeof zeros ? missing : sizeof zeros;
        write_bytes(out, zeros, now);
        missing -= now;
    }
}

mote_status gguf_output_begin(gguf_output *out, mote_error *error)
{
    byte_list head = {0};
    if (may_declare(out, "the head")) {
        check_unique(out, &out->keys, &out->entries, "metadata key");
        check_unique(out, &out->names, &out->directory, "tensor");
    }
    put(out, &head, "GGUF", 4);
    put_u32(out, &head, 3);
    put_u64(out, &head, count_of(&out->names));
    put_u64(out, &head, count_of(&out->keys));
    write_bytes(out, head.at, head.size);
    write_bytes(out, out->entries.at, out->entries.size);
    write_bytes(out, out->directory.at, out->directory.size);
    write_padding(out, head.size + out->entries.size + out->directory.size);
    free(head.at);
    out->begun = true;
    return tell(out, error);
}

mote_status gguf_output_data(gguf_output *out, const void *bytes, size_t count, mote_error *error)
{
    const unsigned char *at = bytes;
    if (sound(out) && !out->begun)
        fail(&out->error, MOTE_E_ARGUMENT, "%s: weights come before the head; begin first", out->file.path);
    while (count > 0 && sound(out)) {
        if (out->tensor == count_of(&out->sizes)) {
            fail(&out->error, MOTE_E_ARGUMENT, "%s: %zu bytes more than its tensors have; declare them first",
                 out->file.path, count);
            break;
        }
        size_t size = number_at(&out->sizes, out->tensor), left = size - out->written;
        size_t now = count < left ? count : left;
        write_bytes(out, at, now);
        at += now;
        count -= now;
        out->written += now;
        if (out->written == size) {
            write_padding(out, size);
            out->tensor++;
            out->written = 0;
        }
    }
    return tell(out, error);
}

mote_status gguf_output_finish(gguf_output *out, mote_error *error)
{
    if (sound(out) && (!out->begun || out->tensor != count_of(&out->sizes)))
        fail(&out->error, MOTE_E_ARGUMENT, "%s: %zu of %zu tensors are written; write all of them", out->file.path,
             out->tensor, count_of(&out->sizes));
    if (sound(out))
        new_file_commit(&out->file, &out->error);
    return tell(out, error);
}
