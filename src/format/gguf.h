/* GGUF: the metadata and the tensor directory of a model file, checked, over weights that stay mapped.
 *
 *     ┌ magic "GGUF" │ version │ tensor count │ entry count ┐
 *     │ entry:   key │ value type │ value                   │ metadata
 *     │ tensor:  name │ dimensions │ shape │ type │ offset   │ directory
 *     │ padding to general.alignment                        │
 *     └ tensor data, each tensor at an aligned offset       ┘ mapped, never copied
 *
 * Versions 2 and 3, little-endian, from a path or from memory. A split model (`…-00001-of-00003.gguf`, one GGUF file
 * each) is opened whole by the path of any part: the metadata is the first part's, the tensors are those of all parts.
 *
 * Everything is checked while opening; afterwards a gguf is immutable and may be read by any number of threads. What is
 * not copied is the bytes themselves: strings, arrays and weights are read where they are mapped, and a file that is
 * overwritten, shortened or unplugged meanwhile shows other bytes, at worst zeros (base/fault_guard.h). So nothing a
 * reader does with those bytes may rest on what they were at an earlier look; counts and lengths are kept aside. What
 * the system does not report, such as a file overwritten in place, stays unseen.
 *
 * The layout is that of ggml's docs/gguf.md. */
#ifndef MOTE_FORMAT_GGUF_H
#define MOTE_FORMAT_GGUF_H

#include <string.h>

#include "base/status.h"
#include "quant/formats.h"

enum {
    GGUF_MOST_ENTRIES = 65536, /* of metadata */
    GGUF_MOST_TENSORS = 65536, /* of all parts */
    GGUF_MOST_PARTS = 512,
    GGUF_LONGEST_NAME = 255 /* of a tensor; a key may have 65,535 bytes */
};

typedef struct gguf gguf;

/* Opens a file, or by any part of it a split one. Every byte of `path` counts: it is handed to the system as it is.
 * Errors: IO, FORMAT, UNSUPPORTED (version, byte order), LIMIT (more tensors, entries or parts than above), MEMORY. A
 * tensor of a type that mote cannot decode is no error here: see gguf_require_formats. */
mote_status gguf_open(gguf **out, const char *path, mote_error *error);

/* The same from memory, which stays the caller's and must outlive the gguf. `name` stands for the path in sentences; it
 * is copied, and may be NULL. A part of a split file is UNSUPPORTED. */
mote_status gguf_open_memory(gguf **out, const void *data, size_t size, const char *name, mote_error *error);
void gguf_close(gguf *file); /* NULL is fine */

/* The file, of a split model the first part, as sentences name it: its path, or the end of a very long one. */
const char *gguf_name(const gguf *file);
size_t gguf_file_bytes(const gguf *file); /* of all parts */

/* ---------------------------------------------------------------------------------------------------------- metadata */

typedef enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
} gguf_type;

typedef struct gguf_string {
    const char *at; /* in the file, not NUL-terminated, any bytes */
    size_t length;
} gguf_string;

static inline bool gguf_string_is(gguf_string string, const char *text)
{
    return string.length == strlen(text) && memcmp(string.at, text, string.length) == 0;
}

typedef struct gguf_array {
    gguf_type type; /* of its elements: anything but GGUF_ARRAY */
    size_t count;
    const unsigned char *data; /* in the file, at any alignment */
    size_t bytes;
} gguf_array;

typedef struct gguf_entry {
    const char *key; /* NUL-terminated, printable ASCII, not empty */
    gguf_type type;
    union {
        uint64_t u64; /* GGUF_U8 … GGUF_U64; GGUF_BOOL: 0 or 1 */
        int64_t i64;  /* GGUF_I8 … GGUF_I64 */
        double f64;   /* GGUF_F32, GGUF_F64: may be infinite or NaN */
        gguf_string string;
        gguf_array array;
    } value;
} gguf_entry;

size_t gguf_entry_count(const gguf *file);
const gguf_entry *gguf_entry_at(const gguf *file, size_t index); /* in file order; index < count */
const gguf_entry *gguf_find(const gguf *file, const char *key);  /* NULL: there is none */
bool gguf_has(const gguf *file, const char *key);

/* Typed access. An absent key leaves *out as it is, which is the default; gguf_need_* make it a FORMAT error. A value of
 * the wrong type or outside [min, max] is a FORMAT error that names file, key and value, and leaves *out as it is.
 * Integers may be of any width and signedness, floats of 32 or 64 bits (or integers); floats must be finite. */
mote_status gguf_get_u32(const gguf *file, const char *key, uint32_t min, uint32_t max, uint32_t *out,
                         mote_error *error);
mote_status gguf_need_u32(const gguf *file, const char *key, uint32_t min, uint32_t max, uint32_t *out,
                          mote_error *error);
mote_status gguf_get_f32(const gguf *file, const char *key, float min, float max, float *out, mote_error *error);
mote_status gguf_need_f32(const gguf *file, const char *key, float min, float max, float *out, mote_error *error);
mote_status gguf_get_bool(const gguf *file, const char *key, bool *out, mote_error *error);
mote_status gguf_get_string(const gguf *file, const char *key, gguf_string *out, mote_error *error);
mote_status gguf_need_string(const gguf *file, const char *key, gguf_string *out, mote_error *error);

/* Arrays by what their elements are. Floats are checked to be finite here, bools to be 0 or 1 when the file was opened. */
typedef enum gguf_kind {
    GGUF_INTEGERS, /* of any width; read with gguf_integer */
    GGUF_FLOATS,   /* of 32 or 64 bits; read with gguf_float */
    GGUF_BOOLS,    /* read with gguf_integer */
    GGUF_STRINGS   /* walked with gguf_strings */
} gguf_kind;

mote_status gguf_get_array(const gguf *file, const char *key, gguf_kind kind, const gguf_array **out,
                           mote_error *error);
mote_status gguf_need_array(const gguf *file, const char *key, gguf_kind kind, const gguf_array **out,
                            mote_error *error);

/* Element `index` < count of a numeric array. A u64 above INT64_MAX reads as INT64_MAX. */
int64_t gguf_integer(const gguf_array *array, size_t index);
float gguf_float(const gguf_array *array, size_t index);

/* The elements of a string array, in order; exactly array->count of them, whatever becomes of the file.
 *
 *     gguf_strings walk = gguf_strings_begin(array);
 *     for (gguf_string text; gguf_strings_next(&walk, &text);) … */
typedef struct gguf_strings {
    const unsigned char *at;
    size_t bytes; /* from `at` to the array's end */
    size_t left;  /* strings still to come */
} gguf_strings;

gguf_strings gguf_strings_begin(const gguf_array *array); /* of an array that is not of strings: no elements */
bool gguf_strings_next(gguf_strings *walk, gguf_string *out);

/* "u32", "string", "array of string" */
const char *gguf_entry_type_name(const gguf_entry *entry);

/* The value as one line of text in at most `capacity` bytes, NUL included: long strings and arrays end in "…", control
 * characters and bytes that are not UTF-8 are replaced. */
void gguf_entry_text(const gguf_entry *entry, char *text, size_t capacity);

/* ----------------------------------------------------------------------------------------------------------- tensors */

typedef struct gguf_tensor {
    const char *name;           /* NUL-terminated, printable ASCII, unique, not empty */
    const quant_format *format; /* NULL: a type mote does not decode */
    uint32_t type;              /* the file's type number */
    uint32_t dimensions;        /* 1 to 4 */
    size_t shape[4];            /* shape[0]: the length of a row, whole blocks; 1 past `dimensions` */
    size_t elements;            /* product of the shape */
    size_t bytes;               /* 0 if `format` is NULL, except of I8: its elements */
    const void *data;           /* aligned as the file's alignment is, if its mapping or memory is */
    size_t offset;              /* of the data in its part */
    uint32_t part;              /* 0 is the first */
    size_t index;               /* its place in file order, over all parts */
    bool packed;                /* `data` is panels (quant/panels.h) of a matrix of that type and shape */
} gguf_tensor;

size_t gguf_tensor_count(const gguf *file);
const gguf_tensor *gguf_tensor_at(const gguf *file, size_t index);       /* in file order; index < count */
const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name); /* NULL: there is none */
const char *gguf_tensor_type_name(const gguf_tensor *tensor);            /* "Q4_K"; "?" for a number without a name */
mote_status gguf_require_formats(const gguf *file, mote_error *error);   /* UNSUPPORTED: names tensor and type */

/* The tensor of this name and type number, I8, holds a tokenizer's image (text/tokenizer_image.h); all others are weights. */
#define GGUF_TOKENIZER_TENSOR "mote.tokenizer"
enum { GGUF_TENSOR_I8 = 24 };
bool gguf_is_weight(const gguf_tensor *tensor);

/* How a packed file says what its tensors are (gguf_panels.c). */
#define GGUF_PANELS_VERSION "mote.panels.version"
#define GGUF_PANELS_TYPES   "mote.panels.types"
#define GGUF_PANELS_COLUMNS "mote.panels.columns"
#define GGUF_PANELS_ROWS    "mote.panels.rows"

/* ------------------------------------------------------------------------------------------------------ mapped bytes */

/* Could everything be read since the file was opened? MOTE_E_IO if a page of any part could not: it was then read as
 * zeros, so that whatever was computed meanwhile is void. Costs one load for each part: ask after every pass. */
mote_status gguf_check(const gguf *file, mote_error *error);

/* Reads the file into memory, front to back, so that the first pass need not wait for scattered pages. `progress` (NULL
 * is fine) hears the part done, from 0 to 1; false stops with CANCELLED. Quick if the file is resident already.
 * Errors: CANCELLED, IO. */
mote_status gguf_read_ahead(const gguf *file, bool (*progress)(void *user, double done), void *user, mote_error *error);

/* Bytes of a tensor that will hardly be needed again: their pages of a mapped file stop counting as this process's. They
 * can still be read. A caller's memory is left alone. */
void gguf_let_go(const gguf *file, const void *data, size_t bytes);
void gguf_let_go_all(const gguf *file); /* the same for every byte */

#endif
