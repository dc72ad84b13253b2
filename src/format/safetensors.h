/* Weights as Hugging Face publishes them: safetensors files, one or several, that anybody may have written.
 *
 *     ┌ 8 bytes: length of the head ┬ the head: JSON                                             ┬ data ───────────┐
 *     │                             │ {"name": {"dtype": "BF16", "shape": [rows, columns],       │ every tensor,   │
 *     │                             │           "data_offsets": [begin, end]}, …}                │ without holes   │
 *     └─────────────────────────────┴────────────────────────────────────────────────────────────┴─────────────────┘
 *
 * A folder holds model.safetensors, or model.safetensors.index.json, whose "weight_map" says which file has which tensor.
 * Everything is checked while opening: every tensor's bytes are those of its shape, they fill the data without overlap or
 * hole, and map and files name the same tensors. Bytes are read when they are asked for, so memory holds the directory
 * alone; a file that shrinks meanwhile is an error of the read. The layout is that of the safetensors README. */
#ifndef MOTE_FORMAT_SAFETENSORS_H
#define MOTE_FORMAT_SAFETENSORS_H

#include "format/gguf.h"

enum {
    SAFETENSORS_MOST_HEAD = 100000000, /* bytes, as the format's own library has it */
    SAFETENSORS_MOST_TENSORS = 65536,  /* of all files */
    SAFETENSORS_MOST_FILES = 512,
    SAFETENSORS_MOST_DIMENSIONS = 8
};

typedef struct safetensors safetensors;

typedef struct safetensors_tensor {
    const char *name;           /* NUL-terminated, printable ASCII, unique */
    const char *type;           /* "BF16" */
    const quant_format *format; /* F32, F16 or BF16; NULL: another type */
    uint32_t dimensions;
    size_t shape[SAFETENSORS_MOST_DIMENSIONS]; /* the last is the length of a row; none is 0 */
    size_t elements;
    size_t bytes;
    uint64_t offset; /* in its file */
    uint32_t file;
} safetensors_tensor;

/* Errors: IO (nothing there, unreadable), FORMAT, UNSUPPORTED (a type without a meaning), LIMIT, MEMORY. */
mote_status safetensors_open(safetensors **out, const char *folder, mote_error *error);

/* One file's bytes in memory, which stay the caller's and must outlive it. */
mote_status safetensors_open_memory(safetensors **out, const void *data, size_t size, mote_error *error);
void safetensors_close(safetensors *files); /* NULL is fine */

size_t safetensors_count(const safetensors *files);
const safetensors_tensor *safetensors_at(const safetensors *files, size_t index); /* in order of names */
const safetensors_tensor *safetensors_find(const safetensors *files, const char *name);
const char *safetensors_file_name(const safetensors *files, const safetensors_tensor *tensor); /* for sentences */

/* `count` bytes of a tensor from `from` on. Errors: ARGUMENT (not within it), IO, FORMAT (the file has shrunk). */
mote_status safetensors_read(const safetensors *files, const safetensors_tensor *tensor, size_t from, void *to,
                             size_t count, mote_error *error);

#endif
