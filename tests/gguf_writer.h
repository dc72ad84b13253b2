/* Writes GGUF files in memory, for tests: sound ones, to be spoilt afterwards where a test wants them spoilt.
 *
 *     gguf_writer w = {0};
 *     gguf_begin(&w, 3);
 *     gguf_add_text(&w, "general.architecture", "llama");
 *     gguf_add_tensor(&w, "token_embd.weight", QUANT_F32, 2, (size_t[]){8, 2}, NULL);
 *     gguf_finish(&w);
 *     … w.at, w.size …
 *     gguf_writer_free(&w);
 *
 * Entries come before tensors. Every gguf_add_* returns the byte at which its record begins, and keeps the header's
 * counts. Running out of memory ends the test program. */
#ifndef MOTE_TESTS_GGUF_WRITER_H
#define MOTE_TESTS_GGUF_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/gguf.h"

typedef struct gguf_bytes {
    unsigned char *at;
    size_t size;
    size_t capacity;
} gguf_bytes;

typedef struct gguf_writer {
    unsigned char *at; /* after gguf_finish: the file */
    size_t size;
    size_t capacity;
    size_t alignment; /* of tensor data: 32 unless set before the first tensor */
    gguf_bytes data;  /* of the tensors */
} gguf_writer;

void gguf_begin(gguf_writer *w, uint32_t version);
void gguf_finish(gguf_writer *w); /* padding and tensor data */
void gguf_writer_free(gguf_writer *w);
void gguf_save(const gguf_writer *w, const char *path);

size_t gguf_add_u8(gguf_writer *w, const char *key, uint8_t value);
size_t gguf_add_i8(gguf_writer *w, const char *key, int8_t value);
size_t gguf_add_u16(gguf_writer *w, const char *key, uint16_t value);
size_t gguf_add_i16(gguf_writer *w, const char *key, int16_t value);
size_t gguf_add_u32(gguf_writer *w, const char *key, uint32_t value);
size_t gguf_add_i32(gguf_writer *w, const char *key, int32_t value);
size_t gguf_add_u64(gguf_writer *w, const char *key, uint64_t value);
size_t gguf_add_i64(gguf_writer *w, const char *key, int64_t value);
size_t gguf_add_f32(gguf_writer *w, const char *key, float value);
size_t gguf_add_f64(gguf_writer *w, const char *key, double value);
size_t gguf_add_bool(gguf_writer *w, const char *key, bool value);
size_t gguf_add_text(gguf_writer *w, const char *key, const char *text);
size_t gguf_add_string(gguf_writer *w, const char *key, const void *bytes, size_t length);

/* Numbers as they lie in memory; strings NUL-terminated. */
size_t gguf_add_numbers(gguf_writer *w, const char *key, gguf_type type, size_t count, const void *values);
size_t gguf_add_texts(gguf_writer *w, const char *key, size_t count, const char *const *texts);

/* At the next aligned offset. `data`: its bytes, or NULL for a pattern. A type that mote does not decode gets 64 bytes. */
size_t gguf_add_tensor(gguf_writer *w, const char *name, uint32_t type, uint32_t dimensions, const size_t *shape,
                       const void *data);

/* Raw bytes at the end, and over what was written. */
void gguf_put(gguf_writer *w, const void *bytes, size_t count);
void gguf_put_u32(gguf_writer *w, uint32_t value);
void gguf_put_u64(gguf_writer *w, uint64_t value);
void gguf_patch(gguf_writer *w, size_t offset, const void *bytes, size_t count);

#endif
