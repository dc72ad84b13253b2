/* A model's file as its readers see it: one part or many, and the tensors of all of them by name. */
#include "format/gguf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "format/gguf_part.h"

enum {
    READ_AHEAD = 8 << 20, /* bytes between two reports of progress */
    SUFFIX = sizeof "-00001-of-00003.gguf" - 1
};

struct gguf {
    gguf_part *parts;
    size_t part_count;
    gguf_tensor **tensors;       /* of all parts, in file order */
    const gguf_tensor **by_name; /* the same, sorted */
    size_t tensor_count;
};

/* ------------------------------------------------------------------------------------------------------- split files */

/* What a part says of the whole. A file that is one piece has a count of 1, whatever it says or does not say. */
typedef struct split {
    uint32_t number; /* from 0 */
    uint32_t count;
    uint32_t tensors; /* of all parts */
} split;

static mote_status read_split(const gguf_part *part, split *out, mote_error *error)
{
    *out = (split){.count = 1};
    mote_status status = gguf_part_u32(part, "split.count", 0, UINT16_MAX, false, &out->count, error);
    if (status != MOTE_OK)
        return status;
    if (out->count <= 1) {
        out->count = 1;
        return MOTE_OK;
    }
    if (out->count > GGUF_MOST_PARTS)
        return fail(error, MOTE_E_LIMIT,
                    "%s: is one of %u parts by split.count; mote opens up to %d, merge some of them", part->name,
                    out->count, GGUF_MOST_PARTS);
    status = gguf_part_u32(part, "split.no", 0, out->count - 1, true, &out->number, error);
    if (status == MOTE_OK)
        status = gguf_part_u32(part, "split.tensors.count", 0, GGUF_MOST_TENSORS, true, &out->tensors, error);
    return status;
}

/* Counts are 512 at most; the remainder only shows the compiler that five digits will do. */
static void split_suffix(char suffix[SUFFIX + 1], size_t number, size_t count)
{
    snprintf(suffix, SUFFIX + 1, "-%05u-of-%05u.gguf", (unsigned)(number + 1) % 100000, (unsigned)count % 100000);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && memcmp(text + length - tail, end, tail) == 0;
}

/* Do two parts disagree on a string that both hold? */
static bool differ(const gguf_part *a, const gguf_part *b, const char *key)
{
    const gguf_entry *left = gguf_part_find(a, key), *right = gguf_part_find(b, key);
    if (left == NULL || right == NULL || left->type != GGUF_STRING || right->type != GGUF_STRING)
        return false;
    gguf_string one = left->value.string, other = right->value.string;
    return one.length != other.length || memcmp(one.at, other.at, one.length) != 0;
}

static mote_status check_kinship(const gguf_part *known, const split *whole, const gguf_part *part, size_t number,
                                 mote_error *error)
{
    split mine;
    mote_status status = read_split(part, &mine, error);
    if (status != MOTE_OK)
        return status;
    if (mine.count != whole->count || mine.number != number)
        return fail(error, MOTE_E_FORMAT,
                    "%s: says it is part %u of %u, but stands for part %zu of %u; put the right file there", part->name,
                    mine.number + 1, mine.count, number + 1, whole->count);
    const char *key = mine.tensors != whole->tensors                ? "split.tensors.count"
                      : differ(known, part, "general.architecture") ? "general.architecture"
                      : differ(known, part, "general.name")         ? "general.name"
                                                                    : NULL;
    if (key != NULL)
        return fail(error, MOTE_E_FORMAT,
                    "%s: is a part of another model than %s: they differ in %s; put the right file there", part->name,
                    known->name, key);
    return MOTE_OK;
}

/* parts[0] is the part that was named; it goes to its place and the others come to theirs. Their paths differ from its
 * path in five digits, so a copy of it has room for each. */
static mote_status open_others(gguf *file, const split *whole, mote_error *error)
{
    gguf_part named = file->parts[0];
    char suffix[SUFFIX + 1];
    split_suffix(suffix, whole->number, whole->count);
    if (!ends_with(named.path, suffix))
        return fail(error, MOTE_E_FORMAT,
                    "%s: is part %u of %u, so its name must end in %s for the others to be found; rename it",
                    named.name, whole->number + 1, whole->count, suffix);
    gguf_part *parts = calloc(whole->count, sizeof *parts);
    size_t size = strlen(named.path) + 1;
    char *path = malloc(size);
    if (parts == NULL || path == NULL) {
        free(parts);
        free(path);
        return fail_memory(error, whole->count * sizeof *parts + size, "the parts of a file");
    }
    parts[whole->number] = named;
    free(file->parts);
    file->parts = parts;
    file->part_count = whole->count;

    mote_status status = MOTE_OK;
    memcpy(path, named.path, size);
    for (size_t i = 0; i < whole->count && status == MOTE_OK; i++) {
        if (i == whole->number)
            continue;
        split_suffix(suffix, i, whole->count);
        memcpy(path + size - 1 - SUFFIX, suffix, SUFFIX);
        mote_error reason;
        status = gguf_part_open(&parts[i], path, &reason);
        if (status != MOTE_OK)
            fail(error, status, "%s (part %zu of %u of a split model)", reason.text, i + 1, whole->count);
        else
            status = check_kinship(&parts[whole->number], whole, &parts[i], i, error);
    }
    free(path);
    return status;
}

/* ----------------------------------------------------------------------------------------------------------- opening */

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const gguf_tensor *const *)a)->name, (*(const gguf_tensor *const *)b)->name);
}

static mote_status check_names(const gguf *file, mote_error *error)
{
    for (size_t i = 1; i < file->tensor_count; i++) {
        const gguf_tensor *one = file->by_name[i - 1], *other = file->by_name[i];
        if (strcmp(one->name, other->name) == 0)
            return fail(error, MOTE_E_FORMAT,
                        "%s: has the tensor %.80s twice, at byte %zu and at byte %zu%s; fetch or convert "
                        "the file again",
                        file->parts[other->part].name, one->name, one->offset, other->offset,
                        one->part == other->part ? "" : " of another part");
    }
    return MOTE_OK;
}

/* The tensors of all parts, in order and by name. */
static mote_status index_tensors(gguf *file, mote_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < file->part_count; i++)
        count += file->parts[i].tensor_count; /* 512 parts of 65,536 tensors at most */
    if (count > GGUF_MOST_TENSORS)
        return fail(error, MOTE_E_LIMIT, "%s: its parts hold %zu tensors; mote reads up to %d", gguf_name(file), count,
                    GGUF_MOST_TENSORS);
    file->tensors = calloc(count + 1, sizeof *file->tensors);
    file->by_name = calloc(count + 1, sizeof *file->by_name);
    if (file->tensors == NULL || file->by_name == NULL)
        return fail_memory(error, 2 * count * sizeof *file->tensors, "the list of tensors");
    for (size_t i = 0; i < file->part_count; i++)
        for (size_t j = 0; j < file->parts[i].tensor_count; j++) {
            gguf_tensor *tensor = &file->parts[i].tensors[j];
            tensor->part = (uint32_t)i;
            tensor->index = file->tensor_count;
            file->tensors[file->tensor_count++] = tensor;
        }
    memcpy(file->by_name, file->tensors, count * sizeof *file->tensors);
    qsort(file->by_name, count, sizeof *file->by_name, compare_names);
    return check_names(file, error);
}

/* From the named part to the whole. */
static mote_status complete(gguf *file, bool from_path, mote_error *error)
{
    split whole;
    mote_status status = read_split(&file->parts[0], &whole, error);
    if (status != MOTE_OK)
        return status;
    if (whole.count > 1 && !from_path)
        return fail(error, MOTE_E_UNSUPPORTED,
                    "%s: is part %u of %u; open a split model by its path, or merge the parts", gguf_name(file),
                    whole.number + 1, whole.count);
    if (whole.count > 1)
        status = open_others(file, &whole, error);
    if (status == MOTE_OK)
        status = index_tensors(file, error);
    if (status == MOTE_OK && whole.count > 1 && file->tensor_count != whole.tensors)
        return fail(error, MOTE_E_FORMAT,
                    "%s: its parts hold %zu tensors, but split.tensors.count is %u; fetch them again", gguf_name(file),
                    file->tensor_count, whole.tensors);
    if (status == MOTE_OK)
        status = gguf_panels_resolve(file, file->tensors, error);
    return status;
}

/* Makes room for the first part. */
static mote_status create(gguf **out, mote_error *error)
{
    gguf *file = calloc(1, sizeof *file);
    gguf_part *part = calloc(1, sizeof *part);
    if (file == NULL || part == NULL) {
        free(file);
        free(part);
        return fail_memory(error, sizeof *file + sizeof *part, "opening a file");
    }
    file->parts = part;
    file->part_count = 1;
    *out = file;
    return MOTE_OK;
}

/* What was read from a file that went away meanwhile is zeros, and so is the reason found in it. */
static mote_status finish(gguf **out, gguf *file, mote_status status, mote_error *error)
{
    mote_status readable = gguf_check(file, error);
    if (readable != MOTE_OK)
        status = readable;
    if (status != MOTE_OK) {
        gguf_close(file);
        file = NULL;
    }
    *out = file;
    return status;
}

mote_status gguf_open(gguf **out, const char *path, mote_error *error)
{
    gguf *file = NULL;
    *out = NULL;
    mote_status status = create(&file, error);
    if (status != MOTE_OK)
        return status;
    status = gguf_part_open(&file->parts[0], path, error);
    if (status == MOTE_OK)
        status = complete(file, true, error);
    return finish(out, file, status, error);
}

mote_status gguf_open_memory(gguf **out, const void *data, size_t size, const char *name, mote_error *error)
{
    gguf *file = NULL;
    *out = NULL;
    mote_status status = create(&file, error);
    if (status != MOTE_OK)
        return status;
    status = gguf_part_open_memory(&file->parts[0], data, size, name, error);
    if (status == MOTE_OK)
        status = complete(file, false, error);
    return finish(out, file, status, error);
}

void gguf_close(gguf *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->part_count; i++)
        gguf_part_close(&file->parts[i]);
    free(file->parts);
    free(file->tensors);
    free(file->by_name);
    free(file);
}

/* ----------------------------------------------------------------------------------------------------------- reading */

const gguf_part *gguf_first_part(const gguf *file)
{
    return &file->parts[0];
}

const char *gguf_name(const gguf *file)
{
    return file->parts[0].name;
}

size_t gguf_file_bytes(const gguf *file)
{
    size_t bytes = 0;
    for (size_t i = 0; i < file->part_count; i++)
        bytes += file->parts[i].size; /* mapped at the same time: their sum is an address space at most */
    return bytes;
}

size_t gguf_entry_count(const gguf *file)
{
    return file->parts[0].entry_count;
}

const gguf_entry *gguf_entry_at(const gguf *file, size_t index)
{
    return &file->parts[0].entries[index];
}

const gguf_entry *gguf_find(const gguf *file, const char *key)
{
    return gguf_part_find(&file->parts[0], key);
}

bool gguf_has(const gguf *file, const char *key)
{
    return gguf_find(file, key) != NULL;
}

size_t gguf_tensor_count(const gguf *file)
{
    return file->tensor_count;
}

const gguf_tensor *gguf_tensor_at(const gguf *file, size_t index)
{
    return file->tensors[index];
}

static int compare_with_name(const void *name, const void *tensor)
{
    return strcmp(name, (*(const gguf_tensor *const *)tensor)->name);
}

const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name)
{
    const gguf_tensor **found =
        bsearch(name, file->by_name, file->tensor_count, sizeof *file->by_name, compare_with_name);
    return found == NULL ? NULL : *found;
}

const char *gguf_tensor_type_name(const gguf_tensor *tensor)
{
    const char *name = quant_type_name(tensor->type);
    return name == NULL ? "?" : name;
}

bool gguf_is_weight(const gguf_tensor *tensor)
{
    return tensor->type != GGUF_TENSOR_I8 || strcmp(tensor->name, GGUF_TOKENIZER_TENSOR) != 0;
}

mote_status gguf_require_formats(const gguf *file, mote_error *error)
{
    for (size_t i = 0; i < file->tensor_count; i++) {
        const gguf_tensor *tensor = file->tensors[i];
        if (tensor->format == NULL && gguf_is_weight(tensor))
            return fail(
                error, MOTE_E_UNSUPPORTED,
                "%s: tensor %.80s has the type %s (number %u), which mote cannot compute with; use a model in another "
                "quantisation, such as Q4_0 or Q4_K_M",
                file->parts[tensor->part].name, tensor->name, gguf_tensor_type_name(tensor), tensor->type);
    }
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------------ mapped bytes */

mote_status gguf_check(const gguf *file, mote_error *error)
{
    for (size_t i = 0; i < file->part_count; i++)
        if (mapped_file_failed(&file->parts[i].map))
            return fail(error, MOTE_E_IO,
                        "%s: could not be read any more (was it removed, or shortened?); open the model again",
                        file->parts[i].name);
    return MOTE_OK;
}

mote_status gguf_read_ahead(const gguf *file, bool (*progress)(void *user, double done), void *user, mote_error *error)
{
    double total = (double)gguf_file_bytes(file);
    size_t before = 0;
    for (size_t i = 0; i < file->part_count; i++) {
        const mapped_file *map = &file->parts[i].map;
        for (size_t at = 0; at < map->size; at += READ_AHEAD) {
            size_t length = map->size - at < READ_AHEAD ? map->size - at : READ_AHEAD;
            mapped_file_read_ahead(map, at, length);
            mote_status status = gguf_check(file, error);
            if (status != MOTE_OK)
                return status;
            if (progress != NULL && !progress(user, (double)(before + at + length) / total))
                return fail(error, MOTE_E_CANCELLED, "%s: reading it was cancelled", gguf_name(file));
        }
        before += map->size;
    }
    return MOTE_OK;
}

void gguf_let_go(const gguf *file, const void *data, size_t bytes)
{
    for (size_t i = 0; i < file->part_count; i++) {
        const mapped_file *map = &file->parts[i].map;
        uintptr_t from = (uintptr_t)map->data, at = (uintptr_t)data;
        if (map->data != NULL && at >= from && at - from < map->size)
            mapped_file_let_go(map, at - from, bytes);
    }
}

void gguf_let_go_all(const gguf *file)
{
    for (size_t i = 0; i < file->part_count; i++)
        if (file->parts[i].map.data != NULL)
            mapped_file_let_go(&file->parts[i].map, 0, file->parts[i].map.size);
}
