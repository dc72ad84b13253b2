/* Reading the directory of one GGUF file. No number of the file is believed before it was compared with what is there,
 * and no byte is looked at twice for a decision: the file may change under us. */
#include "format/gguf_part.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/checked.h"

enum {
    LONGEST_KEY = 65535,
    SMALLEST_ENTRY = 8 + 1 + 4 + 1,          /* key length, key, type, value */
    SMALLEST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8, /* name length, name, dimensions, one extent, type, offset */
    USUAL_ALIGNMENT = 32,
    NAME_BLOCK = 4000
};

/* Bytes of a value; 0: it has a length of its own. */
static const uint8_t value_bytes[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

/* ------------------------------------------------------------------------------------------------------------- names */

struct name_block {
    name_block *next;
    size_t used;
    size_t size;
    char text[];
};

/* A NUL-terminated copy that lives as long as the part; NULL without memory. */
static char *keep_name(gguf_part *part, const unsigned char *at, size_t length)
{
    name_block *block = part->names;
    if (block == NULL || block->size - block->used < length + 1) {
        size_t size = length + 1 > NAME_BLOCK ? length + 1 : NAME_BLOCK;
        block = malloc(sizeof *block + size);
        if (block == NULL)
            return NULL;
        *block = (name_block){.next = part->names, .size = size};
        part->names = block;
    }
    char *copy = block->text + block->used;
    memcpy(copy, at, length);
    copy[length] = '\0';
    block->used += length + 1;
    return copy;
}

/* ------------------------------------------------------------------------------------------------------------ cursor */

/* Where reading has got to, and what the sentence calls the thing being read. */
typedef struct cursor {
    gguf_part *part;
    size_t at;
    const char *kind; /* "metadata entry", "tensor" */
    size_t index;     /* which one, while its name is not known */
    const char *name; /* NULL: not known yet */
    mote_error *error;
    mote_status status;
} cursor;

static void begin(cursor *c, const char *kind, size_t index)
{
    c->kind = kind;
    c->index = index;
    c->name = NULL;
}

/* Says what is wrong with the thing being read, at byte `offset`. Always false. */
__attribute__((format(printf, 4, 5))) static bool spoil(cursor *c, mote_status status, size_t offset,
                                                        const char *format, ...)
{
    char reason[200], which[32];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    snprintf(which, sizeof which, "%zu", c->index);
    const char *advice = status == MOTE_E_FORMAT ? "; the file is damaged: fetch or convert it again" : "";
    c->status = fail(c->error, status, "%s: %s %.80s at byte %zu: %s%s", c->part->name, c->kind,
                     c->name != NULL ? c->name : which, offset, reason, advice);
    return false;
}

static size_t remaining(const cursor *c)
{
    return c->part->size - c->at;
}

/* The next `length` bytes; NULL if the file ends before. */
static const unsigned char *take(cursor *c, size_t length)
{
    if (length > remaining(c)) {
        spoil(c, MOTE_E_FORMAT, c->at, "needs %zu more bytes, and the file ends after %zu of them", length,
              remaining(c));
        return NULL;
    }
    const unsigned char *bytes = c->part->data + c->at;
    c->at += length;
    return bytes;
}

static bool take_u32(cursor *c, uint32_t *value)
{
    const unsigned char *bytes = take(c, sizeof *value);
    if (bytes != NULL)
        *value = load_u32(bytes);
    return bytes != NULL;
}

static bool take_u64(cursor *c, uint64_t *value)
{
    const unsigned char *bytes = take(c, sizeof *value);
    if (bytes != NULL)
        *value = load_u64(bytes);
    return bytes != NULL;
}

static bool take_string(cursor *c, gguf_string *string)
{
    size_t start = c->at;
    uint64_t length;
    if (!take_u64(c, &length))
        return false;
    if (length > remaining(c))
        return spoil(c, MOTE_E_FORMAT, start,
                     "is a string of %" PRIu64 " bytes, and the file ends %zu bytes further on", length, remaining(c));
    *string = (gguf_string){(const char *)take(c, (size_t)length), (size_t)length};
    return true;
}

/* A key or a tensor's name: these go into sentences, onto terminals and into C strings. The copy is what is checked. */
static bool take_name(cursor *c, size_t most, const char **name)
{
    size_t start = c->at;
    uint64_t length;
    if (!take_u64(c, &length))
        return false;
    if (length == 0 || length > most)
        return spoil(c, MOTE_E_FORMAT, start, "has a name of %" PRIu64 " bytes; 1 to %zu are possible", length, most);
    const unsigned char *bytes = take(c, (size_t)length);
    if (bytes == NULL)
        return false;
    char *copy = keep_name(c->part, bytes, (size_t)length);
    if (copy == NULL) {
        c->status = fail_memory(c->error, (size_t)length, "the names in a file");
        return false;
    }
    for (size_t i = 0; i < length; i++)
        if (copy[i] < 0x20 || copy[i] > 0x7e)
            return spoil(c, MOTE_E_FORMAT, start + 8 + i,
                         "has the byte 0x%02x in its name; printable ASCII is possible",
                         (unsigned)(unsigned char)copy[i]);
    c->name = *name = copy;
    return true;
}

/* ---------------------------------------------------------------------------------------------------------- metadata */

static bool spoil_bool(cursor *c, size_t offset, unsigned value)
{
    return spoil(c, MOTE_E_FORMAT, offset, "is a bool of value %u; 0 and 1 are possible", value);
}

static bool take_array(cursor *c, gguf_array *array)
{
    size_t start = c->at;
    uint32_t type;
    uint64_t count;
    if (!take_u32(c, &type) || !take_u64(c, &count))
        return false;
    if (type == GGUF_ARRAY)
        return spoil(c, MOTE_E_UNSUPPORTED, start, "is an array of arrays, which mote does not read");
    if (type >= GGUF_TYPE_COUNT)
        return spoil(c, MOTE_E_FORMAT, start, "is an array of the unknown type %" PRIu32, type);
    size_t each = type == GGUF_STRING ? 8 : value_bytes[type]; /* an empty string is its length alone */
    if (count > remaining(c) / each)
        return spoil(c, MOTE_E_FORMAT, start,
                     "is an array of %" PRIu64 " elements, and the file ends %zu bytes further on", count,
                     remaining(c));
    size_t from = c->at;
    const unsigned char *data = c->part->data + from;
    if (type == GGUF_STRING) {
        gguf_string string;
        for (uint64_t i = 0; i < count; i++)
            if (!take_string(c, &string))
                return false;
    } else {
        take(c, (size_t)count * each); /* it is there: see above */
    }
    for (size_t i = 0; type == GGUF_BOOL && i < count; i++)
        if (data[i] > 1)
            return spoil_bool(c, from + i, data[i]);
    *array = (gguf_array){(gguf_type)type, (size_t)count, data, c->at - from};
    return true;
}

static bool take_number(cursor *c, gguf_entry *entry)
{
    const unsigned char *at = take(c, value_bytes[entry->type]);
    if (at == NULL)
        return false;
    switch (entry->type) {
    case GGUF_U8: entry->value.u64 = *at; break;
    case GGUF_I8: entry->value.i64 = (int8_t)*at; break;
    case GGUF_U16: entry->value.u64 = load_u16(at); break;
    case GGUF_I16: entry->value.i64 = (int16_t)load_u16(at); break;
    case GGUF_U32: entry->value.u64 = load_u32(at); break;
    case GGUF_I32: entry->value.i64 = (int32_t)load_u32(at); break;
    case GGUF_U64: entry->value.u64 = load_u64(at); break;
    case GGUF_I64: entry->value.i64 = (int64_t)load_u64(at); break;
    case GGUF_F32: entry->value.f64 = load_f32(at); break;
    case GGUF_F64: entry->value.f64 = load_f64(at); break;
    default: entry->value.u64 = *at; break;
    }
    if (entry->type == GGUF_BOOL && entry->value.u64 > 1)
        return spoil_bool(c, c->at - 1, (unsigned)entry->value.u64);
    return true;
}

static bool take_entry(cursor *c, size_t index, gguf_entry *entry)
{
    begin(c, "metadata entry", index);
    if (!take_name(c, LONGEST_KEY, &entry->key))
        return false;
    size_t start = c->at;
    uint32_t type;
    if (!take_u32(c, &type))
        return false;
    if (type >= GGUF_TYPE_COUNT)
        return spoil(c, MOTE_E_FORMAT, start, "has the unknown value type %" PRIu32, type);
    entry->type = (gguf_type)type;
    if (type == GGUF_STRING)
        return take_string(c, &entry->value.string);
    if (type == GGUF_ARRAY)
        return take_array(c, &entry->value.array);
    return take_number(c, entry);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(const gguf_entry *const *)a)->key, (*(const gguf_entry *const *)b)->key);
}

static bool sort_entries(cursor *c)
{
    const gguf_part *part = c->part;
    for (size_t i = 0; i < part->entry_count; i++)
        part->by_key[i] = &part->entries[i];
    qsort(part->by_key, part->entry_count, sizeof *part->by_key, compare_keys);
    for (size_t i = 1; i < part->entry_count; i++) {
        if (strcmp(part->by_key[i - 1]->key, part->by_key[i]->key) != 0)
            continue;
        c->status =
            fail(c->error, MOTE_E_FORMAT, "%s: has the metadata key %.80s twice; fetch or convert the file again",
                 part->name, part->by_key[i]->key);
        return false;
    }
    return true;
}

static bool take_entries(cursor *c)
{
    for (size_t i = 0; i < c->part->entry_count; i++)
        if (!take_entry(c, i, &c->part->entries[i]))
            return false;
    return sort_entries(c);
}

/* ----------------------------------------------------------------------------------------------------------- tensors */

static bool take_shape(cursor *c, gguf_tensor *tensor)
{
    size_t start = c->at;
    if (!take_u32(c, &tensor->dimensions))
        return false;
    if (tensor->dimensions < 1 || tensor->dimensions > 4)
        return spoil(c, MOTE_E_FORMAT, start, "has %" PRIu32 " dimensions; 1 to 4 are possible", tensor->dimensions);
    tensor->elements = 1;
    for (uint32_t i = 0; i < 4; i++)
        tensor->shape[i] = 1;
    for (uint32_t i = 0; i < tensor->dimensions; i++) {
        uint64_t extent;
        start = c->at;
        if (!take_u64(c, &extent))
            return false;
        if (extent == 0)
            return spoil(c, MOTE_E_FORMAT, start, "has no elements: dimension %" PRIu32 " is 0", i);
        if (!checked_size(extent, &tensor->shape[i]) ||
            !checked_mul(tensor->elements, tensor->shape[i], &tensor->elements))
            return spoil(c, MOTE_E_FORMAT, start,
                         "has more elements than can be counted (dimension %" PRIu32 " is %" PRIu64 ")", i, extent);
    }
    return true;
}

static bool take_type(cursor *c, gguf_tensor *tensor)
{
    size_t start = c->at;
    if (!take_u32(c, &tensor->type))
        return false;
    tensor->format = quant_find(tensor->type);
    if (tensor->type == GGUF_TENSOR_I8)
        tensor->bytes = tensor->elements;
    if (tensor->format == NULL)
        return true; /* what the file is about can still be told; gguf_require_formats says no */
    if (tensor->shape[0] % tensor->format->block != 0)
        return spoil(c, MOTE_E_FORMAT, start, "has rows of %zu values, which are no whole blocks of %" PRIu32 " (%s)",
                     tensor->shape[0], tensor->format->block, tensor->format->name);
    if (!checked_mul(tensor->elements / tensor->format->block, tensor->format->bytes, &tensor->bytes))
        return spoil(c, MOTE_E_FORMAT, start, "has more bytes than can be counted (%zu values of %s)", tensor->elements,
                     tensor->format->name);
    return true;
}

static bool take_tensor(cursor *c, size_t index, size_t alignment, gguf_tensor *tensor)
{
    begin(c, "tensor", index);
    if (!take_name(c, GGUF_LONGEST_NAME, &tensor->name) || !take_shape(c, tensor) || !take_type(c, tensor))
        return false;
    size_t start = c->at;
    uint64_t offset;
    if (!take_u64(c, &offset))
        return false;
    if (offset % alignment != 0)
        return spoil(c, MOTE_E_FORMAT, start, "has its data at %" PRIu64 ", which is no multiple of %zu, the alignment",
                     offset, alignment);
    if (!checked_size(offset, &tensor->offset))
        return spoil(c, MOTE_E_FORMAT, start, "has its data at %" PRIu64 ", where no file reaches", offset);
    return true;
}

/* How much of the file a tensor occupies at least. */
static size_t extent_of(const gguf_tensor *tensor)
{
    return tensor->bytes > 0 ? tensor->bytes : 1;
}

static int compare_offsets(const void *a, const void *b)
{
    size_t left = (*(const gguf_tensor *const *)a)->offset, right = (*(const gguf_tensor *const *)b)->offset;
    return (left > right) - (left < right);
}

/* Tensors share no byte: an exhaustive pairwise check would be quadratic, a sorted one looks at neighbours. */
static bool check_overlaps(cursor *c, const gguf_tensor **sorted)
{
    size_t count = c->part->tensor_count;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &c->part->tensors[i];
    qsort(sorted, count, sizeof *sorted, compare_offsets);
    for (size_t i = 1; i < count; i++) {
        const gguf_tensor *before = sorted[i - 1];
        if (sorted[i]->offset - before->offset >= extent_of(before))
            continue;
        c->name = sorted[i]->name;
        return spoil(c, MOTE_E_FORMAT, sorted[i]->offset, "overlaps the tensor %.80s", before->name);
    }
    return true;
}

/* Offsets count from the data section: make them count from the file's begin, and see that all data is there. */
static bool place_tensors(cursor *c, size_t alignment)
{
    gguf_part *part = c->part;
    size_t data, furthest = 0;
    const gguf_tensor *last = NULL;
    if (!checked_align(c->at, alignment, &data))
        return spoil(c, MOTE_E_FORMAT, c->at, "its end cannot be aligned to %zu", alignment);
    for (size_t i = 0; i < part->tensor_count; i++) {
        gguf_tensor *tensor = &part->tensors[i];
        size_t end;
        c->name = tensor->name;
        if (!checked_add(data, tensor->offset, &tensor->offset) ||
            !checked_add(tensor->offset, extent_of(tensor), &end))
            return spoil(c, MOTE_E_FORMAT, data, "has its data where no file reaches (at %zu, %zu bytes)",
                         tensor->offset, extent_of(tensor));
        if (end > furthest) {
            furthest = end;
            last = tensor;
        }
    }
    if (furthest > part->size) {
        c->name = last->name;
        return spoil(c, MOTE_E_FORMAT, last->offset, "ends at byte %zu, but the file at %zu: %zu bytes are missing",
                     furthest, part->size, furthest - part->size);
    }
    for (size_t i = 0; i < part->tensor_count; i++)
        part->tensors[i].data = part->data + part->tensors[i].offset;
    return true;
}

static bool take_tensors(cursor *c)
{
    gguf_part *part = c->part;
    uint32_t alignment = USUAL_ALIGNMENT;
    c->status = gguf_part_u32(part, "general.alignment", 8, 65536, false, &alignment, c->error);
    if (c->status != MOTE_OK)
        return false;
    if ((alignment & (alignment - 1)) != 0) {
        c->status =
            fail(c->error, MOTE_E_FORMAT,
                 "%s: general.alignment is %" PRIu32 ", which is no power of two; fetch or convert the file again",
                 part->name, alignment);
        return false;
    }
    for (size_t i = 0; i < part->tensor_count; i++)
        if (!take_tensor(c, i, alignment, &part->tensors[i]))
            return false;
    if (part->tensor_count == 0)
        return true;
    const gguf_tensor **sorted = malloc(part->tensor_count * sizeof *sorted);
    if (sorted == NULL) {
        c->status = fail_memory(c->error, part->tensor_count * sizeof *sorted, "the list of tensors");
        return false;
    }
    bool sound = place_tensors(c, alignment) && check_overlaps(c, sorted);
    free(sorted);
    return sound;
}

/* ------------------------------------------------------------------------------------------------------------ header */

/* Only the version's byte order betrays most big-endian files: their writers keep the magic. */
static bool take_version(cursor *c)
{
    uint32_t version;
    const unsigned char *magic = take(c, 4);
    if (magic == NULL)
        return false;
    unsigned char seen[4];
    memcpy(seen, magic, sizeof seen);
    bool reversed = memcmp(seen, "FUGG", 4) == 0;
    if (!reversed && memcmp(seen, "GGUF", 4) != 0) {
        c->status =
            fail(c->error, MOTE_E_FORMAT,
                 "%s: begins with %02x %02x %02x %02x, not with GGUF; it is no GGUF file: name another, or convert it",
                 c->part->name, seen[0], seen[1], seen[2], seen[3]);
        return false;
    }
    if (!take_u32(c, &version))
        return false;
    if (reversed || (version != 0 && (version & 0xffff) == 0))
        return spoil(c, MOTE_E_UNSUPPORTED, 4, "is big-endian; fetch or convert the model as little-endian");
    if (version < 2 || version > 3)
        return spoil(c, MOTE_E_UNSUPPORTED, 4, "has version %" PRIu32 "; mote reads 2 and 3, convert the model again",
                     version);
    return true;
}

/* A count of things that take at least `smallest` bytes each. */
static bool take_count(cursor *c, const char *what, size_t smallest, size_t most, size_t *count)
{
    size_t start = c->at;
    uint64_t value;
    if (!take_u64(c, &value))
        return false;
    if (value > remaining(c) / smallest)
        return spoil(c, MOTE_E_FORMAT, start, "promises %" PRIu64 " %s, and the file has only %zu bytes", value, what,
                     c->part->size);
    if (value > most)
        return spoil(c, MOTE_E_LIMIT, start, "promises %" PRIu64 " %s; mote reads up to %zu", value, what, most);
    *count = (size_t)value;
    return true;
}

static bool take_header(cursor *c)
{
    gguf_part *part = c->part;
    size_t tensors = 0, entries = 0;
    begin(c, "the", 0);
    c->name = "header";
    if (!take_version(c) || !take_count(c, "tensors", SMALLEST_TENSOR, GGUF_MOST_TENSORS, &tensors) ||
        !take_count(c, "metadata entries", SMALLEST_ENTRY, GGUF_MOST_ENTRIES, &entries))
        return false;
    /* One more than there are, since none of nothing may be NULL. */
    part->tensors = calloc(tensors + 1, sizeof *part->tensors);
    part->entries = calloc(entries + 1, sizeof *part->entries);
    part->by_key = calloc(entries + 1, sizeof *part->by_key);
    if (part->tensors == NULL || part->entries == NULL || part->by_key == NULL) {
        c->status = fail_memory(c->error, tensors * sizeof *part->tensors + entries * sizeof *part->entries,
                                "the directory of a file");
        return false;
    }
    part->tensor_count = tensors;
    part->entry_count = entries;
    return true;
}

/* -------------------------------------------------------------------------------------------------------------- part */

static mote_status read_directory(gguf_part *part, mote_error *error)
{
    cursor c = {.part = part, .error = error, .status = MOTE_OK};
    if (take_header(&c) && take_entries(&c) && take_tensors(&c))
        return MOTE_OK;
    return c.status;
}

static mote_status keep_path(gguf_part *part, const char *path, mote_error *error)
{
    size_t size = strlen(path) + 1;
    part->path = malloc(size);
    if (part->path == NULL)
        return fail_memory(error, size, "a path");
    memcpy(part->path, path, size);
    part->name = mapped_file_short_path(part->path);
    return MOTE_OK;
}

mote_status gguf_part_open(gguf_part *part, const char *path, mote_error *error)
{
    *part = (gguf_part){0};
    mote_status status = keep_path(part, path, error);
    if (status == MOTE_OK)
        status = mapped_file_open(&part->map, path, error);
    if (status != MOTE_OK)
        return status;
    part->data = part->map.data;
    part->size = part->map.size;
    return read_directory(part, error);
}

mote_status gguf_part_open_memory(gguf_part *part, const void *data, size_t size, const char *name, mote_error *error)
{
    *part = (gguf_part){.data = data, .size = size};
    mote_status status = keep_path(part, name == NULL ? "memory" : name, error);
    return status == MOTE_OK ? read_directory(part, error) : status;
}

void gguf_part_close(gguf_part *part)
{
    for (name_block *block = part->names, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    free(part->entries);
    free(part->by_key);
    free(part->tensors);
    free(part->path);
    mapped_file_close(&part->map);
    *part = (gguf_part){0};
}

static int compare_with_key(const void *key, const void *entry)
{
    return strcmp(key, (*(const gguf_entry *const *)entry)->key);
}

const gguf_entry *gguf_part_find(const gguf_part *part, const char *key)
{
    const gguf_entry **found = bsearch(key, part->by_key, part->entry_count, sizeof *part->by_key, compare_with_key);
    return found == NULL ? NULL : *found;
}
