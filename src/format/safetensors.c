/* Each file's head becomes entries of one directory; then the directory is sorted, by place to find overlaps and holes, and
 * by name to be searched. */
#include "format/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/mapped_file.h"
#include "format/json.h"

#define AGAIN "fetch the file again"
enum { LENGTH_BYTES = 8, LONGEST_FILE_NAME = 255, MOST_INDEX = 64 << 20 };

typedef struct part {
    char *path;
    int fd;                    /* -1: in memory */
    const unsigned char *data; /* in memory */
    uint64_t size;
} part;

struct safetensors {
    part *parts;
    size_t part_count;
    safetensors_tensor *tensors;
    size_t count, capacity;
};

/* ------------------------------------------------------------------------------------------------------------- bytes */

static mote_status read_part(const part *p, uint64_t from, void *to, size_t count, mote_error *error)
{
    char *at = to;
    if (p->data != NULL) {
        memcpy(to, p->data + from, count);
        return MOTE_OK;
    }
    while (count > 0) {
        ssize_t got = pread(p->fd, at, count < 1 << 30 ? count : 1 << 30, (off_t)from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(error, MOTE_E_IO, "%s: byte %llu cannot be read (%m); check the disk",
                        mapped_file_short_path(p->path), (unsigned long long)from);
        if (got == 0)
            return fail(error, MOTE_E_FORMAT, "%s: ends at byte %llu, and had %llu when it was opened; " AGAIN,
                        mapped_file_short_path(p->path), (unsigned long long)from, (unsigned long long)p->size);
        at += got;
        from += (uint64_t)got;
        count -= (size_t)got;
    }
    return MOTE_OK;
}

mote_status safetensors_read(const safetensors *files, const safetensors_tensor *tensor, size_t from, void *to,
                             size_t count, mote_error *error)
{
    if (!checked_range(from, count, tensor->bytes))
        return fail(error, MOTE_E_ARGUMENT, "%s: %zu bytes at %zu are not within tensor %s of %zu; ask for less",
                    safetensors_file_name(files, tensor), count, from, tensor->name, tensor->bytes);
    return read_part(&files->parts[tensor->file], tensor->offset + from, to, count, error);
}

const char *safetensors_file_name(const safetensors *files, const safetensors_tensor *tensor)
{
    return mapped_file_short_path(files->parts[tensor->file].path);
}

/* -------------------------------------------------------------------------------------------------------- one tensor */

typedef struct element_type {
    const char *name;
    size_t bytes;
    const quant_format *format;
} element_type;

static const element_type *find_type(json_value name)
{
    static const element_type types[] = {
        {"F32", 4, &quant_format_F32},
        {"F16", 2, &quant_format_F16},
        {"BF16", 2, &quant_format_BF16},
        {"F64", 8, NULL},
        {"I64", 8, NULL},
        {"U64", 8, NULL},
        {"I32", 4, NULL},
        {"U32", 4, NULL},
        {"I16", 2, NULL},
        {"U16", 2, NULL},
        {"I8", 1, NULL},
        {"U8", 1, NULL},
        {"BOOL", 1, NULL},
        {"F8_E4M3", 1, NULL},
        {"F8_E5M2", 1, NULL},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (json_is_text(name, types[i].name))
            return &types[i];
    return NULL;
}

static bool is_name(gguf_string name)
{
    for (size_t i = 0; i < name.length; i++)
        if (name.at[i] < 0x20 || name.at[i] > 0x7e)
            return false;
    return name.length > 0 && name.length <= GGUF_LONGEST_NAME;
}

static bool read_shape(safetensors_tensor *t, json_value shape)
{
    t->elements = 1;
    if (json_kind_of(shape) != JSON_ARRAY || json_count(shape) > SAFETENSORS_MOST_DIMENSIONS)
        return false;
    for (json_value item = json_first(shape); json_is(item); item = json_next(shape, item)) {
        uint64_t length;
        size_t *to = &t->shape[t->dimensions++];
        if (!json_u64(item, &length) || length == 0 || !checked_size(length, to) ||
            !checked_mul(t->elements, *to, &t->elements))
            return false;
    }
    return true;
}

/* From the data's beginning; the shape's bytes are what lies between. */
static bool read_offsets(safetensors_tensor *t, json_value offsets, const element_type *type, uint64_t data_bytes)
{
    json_value first = json_first(offsets);
    uint64_t begin, end;
    if (json_kind_of(offsets) != JSON_ARRAY || json_count(offsets) != 2 || !json_u64(first, &begin) ||
        !json_u64(json_next(offsets, first), &end) || begin > end || end > data_bytes ||
        !checked_mul(t->elements, type->bytes, &t->bytes) || t->bytes != end - begin)
        return false;
    t->offset = begin;
    return true;
}

static mote_status add(safetensors *files, const safetensors_tensor *tensor, gguf_string name, mote_error *error)
{
    if (files->count == SAFETENSORS_MOST_TENSORS)
        return fail(error, MOTE_E_LIMIT, "%s: more than %d tensors; use a real model",
                    safetensors_file_name(files, tensor), SAFETENSORS_MOST_TENSORS);
    if (files->count == files->capacity) {
        size_t capacity = files->capacity == 0 ? 64 : files->capacity * 2;
        safetensors_tensor *tensors = realloc(files->tensors, capacity * sizeof *tensors);
        if (tensors == NULL)
            return fail_memory(error, capacity * sizeof *tensors, "a list of tensors");
        files->tensors = tensors;
        files->capacity = capacity;
    }
    char *copy = strndup(name.at, name.length);
    if (copy == NULL)
        return fail_memory(error, name.length, "a tensor's name");
    files->tensors[files->count] = *tensor;
    files->tensors[files->count++].name = copy;
    return MOTE_OK;
}

static mote_status read_tensor(safetensors *files, uint32_t file, json_value key, uint64_t data_at, mote_error *error)
{
    const part *p = &files->parts[file];
    const char *shown = mapped_file_short_path(p->path);
    gguf_string name = json_text(key);
    json_value entry = json_of_key(key);
    safetensors_tensor t = {.file = file};
    int length = name.length < 60 ? (int)name.length : 60;
    if (!is_name(name))
        return fail(error, MOTE_E_FORMAT,
                    "%s: \"%.*s\" is no name of a tensor (1 to %d printable ASCII characters); " AGAIN, shown, length,
                    name.at, GGUF_LONGEST_NAME);
    const element_type *type = find_type(json_get(entry, "dtype"));
    if (type == NULL)
        return fail(error, json_kind_of(json_get(entry, "dtype")) == JSON_STRING ? MOTE_E_UNSUPPORTED : MOTE_E_FORMAT,
                    "%s: tensor %.*s has no dtype that mote knows (F32, F16, BF16, …); use another file", shown, length,
                    name.at);
    if (!read_shape(&t, json_get(entry, "shape")))
        return fail(error, MOTE_E_FORMAT, "%s: tensor %.*s: its shape is not up to %d whole numbers from 1; " AGAIN,
                    shown, length, name.at, SAFETENSORS_MOST_DIMENSIONS);
    if (!read_offsets(&t, json_get(entry, "data_offsets"), type, p->size - data_at))
        return fail(error, MOTE_E_FORMAT,
                    "%s: tensor %.*s: its data_offsets are not the bytes of its shape within the file; " AGAIN, shown,
                    length, name.at);
    t.type = type->name;
    t.format = type->format;
    t.offset += data_at;
    return add(files, &t, name, error);
}

/* ---------------------------------------------------------------------------------------------------------- one file */

static int by_place(const void *left, const void *right)
{
    const safetensors_tensor *a = left, *b = right;
    return a->offset != b->offset ? (a->offset < b->offset ? -1 : 1) : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

/* Do the tensors from `first` on fill the file from `data_at` to its end? */
static mote_status check_places(safetensors *files, size_t first, const part *p, uint64_t data_at, mote_error *error)
{
    uint64_t end = data_at;
    if (files->count > first)
        qsort(files->tensors + first, files->count - first, sizeof *files->tensors, by_place);
    for (size_t i = first; i < files->count; i++) {
        const safetensors_tensor *t = &files->tensors[i];
        if (t->offset != end)
            return fail(error, MOTE_E_FORMAT, "%s: tensor %s begins at byte %llu, %s; " AGAIN,
                        mapped_file_short_path(p->path), t->name, (unsigned long long)t->offset,
                        t->offset < end ? "inside another" : "with a hole in front");
        end = t->offset + t->bytes;
    }
    if (end != p->size)
        return fail(error, MOTE_E_FORMAT, "%s: %llu bytes belong to no tensor; " AGAIN, mapped_file_short_path(p->path),
                    (unsigned long long)(p->size - end));
    return MOTE_OK;
}

static mote_status read_entries(safetensors *files, uint32_t file, const json *head, uint64_t data_at,
                                mote_error *error)
{
    json_value root = json_root(head);
    size_t first = files->count;
    if (json_kind_of(root) != JSON_OBJECT)
        return fail(error, MOTE_E_FORMAT, "%s: its head is no JSON object; " AGAIN, json_name(head));
    for (json_value key = json_first(root); json_is(key); key = json_next(root, key)) {
        mote_status status = MOTE_OK;
        if (!json_is_text(key, "__metadata__"))
            status = read_tensor(files, file, key, data_at, error);
        if (status != MOTE_OK)
            return status;
    }
    return check_places(files, first, &files->parts[file], data_at, error);
}

static mote_status read_head(safetensors *files, uint32_t file, mote_error *error)
{
    const part *p = &files->parts[file];
    const char *shown = mapped_file_short_path(p->path);
    unsigned char length[LENGTH_BYTES];
    if (p->size < LENGTH_BYTES)
        return fail(error, MOTE_E_FORMAT, "%s: has %llu bytes, too few for a safetensors file; " AGAIN, shown,
                    (unsigned long long)p->size);
    mote_status status = read_part(p, 0, length, sizeof length, error);
    if (status != MOTE_OK)
        return status;
    uint64_t bytes = load_u64(length);
    if (bytes > SAFETENSORS_MOST_HEAD || bytes > p->size - LENGTH_BYTES)
        return fail(error, MOTE_E_FORMAT, "%s: its head would have %llu bytes, and the file has %llu; " AGAIN, shown,
                    (unsigned long long)bytes, (unsigned long long)p->size);
    char *text = malloc((size_t)bytes + 1);
    if (text == NULL)
        return fail_memory(error, (size_t)bytes, "the head of a safetensors file");
    json *head = NULL;
    status = read_part(p, LENGTH_BYTES, text, (size_t)bytes, error);
    if (status == MOTE_OK)
        status = json_read(&head, text, (size_t)bytes, shown, error);
    free(text);
    if (status == MOTE_OK)
        status = read_entries(files, file, head, LENGTH_BYTES + bytes, error);
    json_close(head);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------- all files */

static int by_name(const void *left, const void *right)
{
    const safetensors_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static mote_status sort(safetensors *files, mote_error *error)
{
    if (files->count > 0)
        qsort(files->tensors, files->count, sizeof *files->tensors, by_name);
    for (size_t i = 1; i < files->count; i++)
        if (by_name(&files->tensors[i - 1], &files->tensors[i]) == 0)
            return fail(error, MOTE_E_FORMAT, "%s: tensor %s is also in another file; " AGAIN,
                        safetensors_file_name(files, &files->tensors[i]), files->tensors[i].name);
    return MOTE_OK;
}

static mote_status open_part(safetensors *files, char *path, mote_error *error)
{
    struct stat about;
    part *p = &files->parts[files->part_count++];
    *p = (part){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)}; /* a pipe would wait */
    if (p->fd < 0 || fstat(p->fd, &about) != 0)
        return fail(error, MOTE_E_IO, "%s: cannot be opened (%m); fetch the folder again, whole",
                    mapped_file_short_path(path));
    if (!S_ISREG(about.st_mode) || about.st_size < 0)
        return fail(error, MOTE_E_IO, "%s: is no regular file; fetch the folder again", mapped_file_short_path(path));
    p->size = (uint64_t)about.st_size;
    return read_head(files, (uint32_t)files->part_count - 1, error);
}

static char *join(const char *folder, gguf_string name)
{
    size_t length = strlen(folder);
    char *path = malloc(length + name.length + 2);
    if (path != NULL) {
        memcpy(path, folder, length);
        path[length] = '/';
        memcpy(path + length + 1, name.at, name.length);
        path[length + 1 + name.length] = '\0';
    }
    return path;
}

static mote_status open_named(safetensors *files, const char *folder, gguf_string name, mote_error *error)
{
    char *path = join(folder, name);
    return path != NULL ? open_part(files, path, error) : fail_memory(error, name.length, "a file's name");
}

/* A name in the folder itself: a map must not lead elsewhere. */
static bool is_file_name(gguf_string name)
{
    static const char ending[] = ".safetensors";
    size_t length = strlen(ending);
    return is_name(name) && memchr(name.at, '/', name.length) == NULL && name.at[0] != '.' && name.length > length &&
           name.length <= LONGEST_FILE_NAME && memcmp(name.at + name.length - length, ending, length) == 0;
}

/* The part of that name; part_count if it is not open. */
static size_t find_part(const safetensors *files, gguf_string name)
{
    for (size_t i = 0; i < files->part_count; i++) {
        const char *slash = strrchr(files->parts[i].path, '/');
        if (gguf_string_is(name, slash + 1))
            return i;
    }
    return files->part_count;
}

static mote_status open_mapped(safetensors *files, const char *folder, json_value map, mote_error *error)
{
    for (json_value key = json_first(map); json_is(key); key = json_next(map, key)) {
        gguf_string name = json_text(json_of_key(key));
        mote_status status = MOTE_OK;
        if (!is_file_name(name))
            return fail(error, MOTE_E_FORMAT,
                        "%s: a tensor is said to be in \"%.*s\", which is no file of the folder; " AGAIN,
                        json_name(map.document), name.length < 60 ? (int)name.length : 60, name.at);
        if (find_part(files, name) < files->part_count)
            continue;
        if (files->part_count == SAFETENSORS_MOST_FILES)
            return fail(error, MOTE_E_LIMIT, "%s: names more than %d files; use a real model", json_name(map.document),
                        SAFETENSORS_MOST_FILES);
        if ((status = open_named(files, folder, name, error)))
            return status;
    }
    return MOTE_OK;
}

/* Does every tensor of the map lie where it says, and has every tensor an entry? */
static mote_status check_map(const safetensors *files, json_value map, mote_error *error)
{
    for (size_t i = 0; i < files->count; i++) {
        const safetensors_tensor *t = &files->tensors[i];
        json_value named = json_get(map, t->name);
        if (!json_is(named) || find_part(files, json_text(named)) != t->file)
            return fail(error, MOTE_E_FORMAT,
                        "%s: tensor %s is not where it is said to be; fetch the folder again, whole",
                        safetensors_file_name(files, t), t->name);
    }
    if (files->count != json_count(map))
        return fail(error, MOTE_E_FORMAT,
                    "%s: names %zu tensors, and the files have %zu; fetch the folder again, whole",
                    json_name(map.document), json_count(map), files->count);
    return MOTE_OK;
}

static mote_status open_index(safetensors *files, const char *folder, const char *path, mote_error *error)
{
    json *index;
    mote_status status = json_read_file(&index, path, MOST_INDEX, error);
    if (status != MOTE_OK)
        return status;
    json_value map = json_get(json_root(index), "weight_map");
    if (json_kind_of(map) != JSON_OBJECT)
        status = fail(error, MOTE_E_FORMAT, "%s: has no weight_map; " AGAIN, json_name(index));
    if (status == MOTE_OK)
        status = open_mapped(files, folder, map, error);
    if (status == MOTE_OK)
        status = sort(files, error);
    if (status == MOTE_OK)
        status = check_map(files, map, error);
    json_close(index);
    return status;
}

static mote_status allocate(safetensors **out, mote_error *error)
{
    safetensors *files = calloc(1, sizeof *files);
    if (files != NULL)
        files->parts = calloc(SAFETENSORS_MOST_FILES, sizeof *files->parts);
    *out = files;
    return files != NULL && files->parts != NULL ? MOTE_OK : fail_memory(error, sizeof *files, "safetensors files");
}

static mote_status finish(safetensors **out, mote_status status)
{
    if (status != MOTE_OK) {
        safetensors_close(*out);
        *out = NULL;
    }
    return status;
}

static mote_status open_folder(safetensors *files, const char *folder, mote_error *error)
{
    static const char single[] = "model.safetensors", map[] = "model.safetensors.index.json";
    char *path = join(folder, (gguf_string){single, sizeof single - 1});
    char *index = join(folder, (gguf_string){map, sizeof map - 1});
    struct stat about;
    mote_status status = MOTE_OK;
    if (path == NULL || index == NULL)
        status = fail_memory(error, strlen(folder), "a file's name");
    else if (stat(path, &about) != 0 && stat(index, &about) == 0)
        status = open_index(files, folder, index, error);
    else if ((status = open_named(files, folder, (gguf_string){single, sizeof single - 1}, error)) == MOTE_OK)
        status = sort(files, error);
    free(path);
    free(index);
    return status;
}

mote_status safetensors_open(safetensors **out, const char *folder, mote_error *error)
{
    mote_status status = allocate(out, error);
    if (status == MOTE_OK)
        status = open_folder(*out, folder, error);
    return finish(out, status);
}

mote_status safetensors_open_memory(safetensors **out, const void *data, size_t size, mote_error *error)
{
    mote_status status = allocate(out, error);
    if (status == MOTE_OK) {
        part *p = (*out)->parts;
        *p = (part){strdup("memory"), -1, data, size};
        (*out)->part_count = 1;
        status = p->path == NULL ? fail_memory(error, size, "a file's name") : read_head(*out, 0, error);
    }
    if (status == MOTE_OK)
        status = sort(*out, error);
    return finish(out, status);
}

void safetensors_close(safetensors *files)
{
    if (files == NULL)
        return;
    for (size_t i = 0; i < files->part_count; i++) {
        if (files->parts[i].fd >= 0)
            close(files->parts[i].fd);
        free(files->parts[i].path);
    }
    for (size_t i = 0; i < files->count; i++)
        free((void *)(uintptr_t)files->tensors[i].name);
    free(files->parts);
    free(files->tensors);
    free(files);
}

size_t safetensors_count(const safetensors *files)
{
    return files->count;
}

const safetensors_tensor *safetensors_at(const safetensors *files, size_t index)
{
    return &files->tensors[index];
}

const safetensors_tensor *safetensors_find(const safetensors *files, const char *name)
{
    if (files->count == 0)
        return NULL;
    safetensors_tensor key = {.name = name};
    return bsearch(&key, files->tensors, files->count, sizeof key, by_name);
}
