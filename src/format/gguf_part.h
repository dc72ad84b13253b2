/* One GGUF file, which may be one part of a split model: bytes in, checked directory out. For gguf.c alone; everybody
 * else sees format/gguf.h. */
#ifndef MOTE_FORMAT_GGUF_PART_H
#define MOTE_FORMAT_GGUF_PART_H

#include "base/mapped_file.h"
#include "format/gguf.h"

/* Copied names, packed into blocks: a name costs its length and a NUL. */
typedef struct name_block name_block;

typedef struct gguf_part {
    char *path;       /* or the name of memory; owned */
    const char *name; /* what sentences call it: the end of `path` */
    mapped_file map;  /* zeroed if the bytes are a caller's memory */
    const unsigned char *data;
    size_t size;
    gguf_entry *entries; /* in file order */
    size_t entry_count;
    const gguf_entry **by_key; /* the same, sorted by key */
    gguf_tensor *tensors;      /* in file order */
    size_t tensor_count;
    name_block *names;
} gguf_part;

/* Both leave a part that gguf_part_close takes, whatever they return. The tensors' `part` is 0. */
mote_status gguf_part_open(gguf_part *part, const char *path, mote_error *error);
mote_status gguf_part_open_memory(gguf_part *part, const void *data, size_t size, const char *name, mote_error *error);
void gguf_part_close(gguf_part *part);

/* The part that holds the metadata. */
const gguf_part *gguf_first_part(const gguf *file);

const gguf_entry *gguf_part_find(const gguf_part *part, const char *key);

/* gguf_get_u32 and gguf_need_u32 (`required`), for one part. */
mote_status gguf_part_u32(const gguf_part *part, const char *key, uint32_t min, uint32_t max, bool required,
                          uint32_t *out, mote_error *error);

/* Gives the tensors of a packed file, all of them in file order, their true types and shapes. Errors: UNSUPPORTED (another
 * layout), FORMAT. */
mote_status gguf_panels_resolve(const gguf *file, gguf_tensor *const *tensors, mote_error *error);

#endif
