/* Writing a GGUF file (version 3), of any size in little memory: everything is declared first, then the weights are
 * handed over piece by piece in the order declared.
 *
 *     gguf_output *out;
 *     if (gguf_output_open(&out, path, 32, false, error)) …
 *     gguf_output_text(out, "general.architecture", "llama");          metadata, in any number
 *     gguf_output_tensor(out, "token_embd.weight", format, 2, shape);  tensors
 *     gguf_output_begin(out, error);                                   head and directory are written
 *     gguf_output_data(out, bytes, count, error); …                    all tensors' bytes, in order
 *     gguf_output_finish(out, error);                                  now the file is in its place
 *     gguf_output_close(out);
 *
 * The file appears whole or not at all (base/new_file.h), and the same calls make the same bytes. Declaring cannot fail
 * by itself: an output keeps its first failure, ignores what follows, and gguf_output_begin tells. Padding to the
 * alignment, offsets and counts are the output's business. */
#ifndef MOTE_FORMAT_GGUF_OUTPUT_H
#define MOTE_FORMAT_GGUF_OUTPUT_H

#include "format/gguf.h"

typedef struct gguf_output gguf_output;

/* `alignment` of the weights: a power of two from 8 to 65536; 32 is what files have that do not say.
 * Errors: ARGUMENT (alignment; there is such a file, and not `overwrite`), IO, MEMORY. */
mote_status gguf_output_open(gguf_output **out, const char *path, size_t alignment, bool overwrite, mote_error *error);

/* Without a finished file before it, removes what was written. NULL is fine. */
void gguf_output_close(gguf_output *out);

/* ---------------------------------------------------------------------------------------------------------- metadata */

/* Keys are printable ASCII, each given once; general.alignment is the output's own. */
void gguf_output_u32(gguf_output *out, const char *key, uint32_t value);
void gguf_output_u64(gguf_output *out, const char *key, uint64_t value);
void gguf_output_f32(gguf_output *out, const char *key, float value);
void gguf_output_bool(gguf_output *out, const char *key, bool value);
void gguf_output_text(gguf_output *out, const char *key, const char *text);
void gguf_output_string(gguf_output *out, const char *key, gguf_string string);

/* An array of numbers or bools as they lie in memory. */
void gguf_output_numbers(gguf_output *out, const char *key, gguf_type type, size_t count, const void *values);

/* An array of strings: announced, then exactly `count` of them before anything else. */
void gguf_output_strings(gguf_output *out, const char *key, size_t count);
void gguf_output_item(gguf_output *out, gguf_string string);

/* Another file's entries, except those whose keys were given before, which stay as they are, those that `skip` (NULL is
 * fine) says true to, and those about the other file's own layout (general.alignment, split.*). Afterwards ask gguf_check
 * whether they could be read. */
void gguf_output_copy(gguf_output *out, const gguf *file, bool (*skip)(const char *key));

/* ----------------------------------------------------------------------------------------------------------- tensors */

/* Names as the reader takes them, each once; shape[0] is the length of a row, whole blocks. */
void gguf_output_tensor(gguf_output *out, const char *name, const quant_format *format, uint32_t dimensions,
                        const size_t *shape);

/* A tensor of `count` bytes that have no format, as GGUF's type I8: panels (gguf_panels.c), a tokenizer's image. */
void gguf_output_bytes(gguf_output *out, const char *name, size_t count);

/* Bytes of all tensors declared so far, padding included. */
uint64_t gguf_output_data_bytes(const gguf_output *out);

/* Bytes in front of the weights, padding included, if the tensors of `file` were declared next, under their names and in
 * their shapes: their formats do not matter. For planning a file's size before its formats are chosen. */
uint64_t gguf_output_head_bytes(const gguf_output *out, const gguf *file);

/* Errors: the first failure of what was declared (ARGUMENT, LIMIT, MEMORY); IO. */
mote_status gguf_output_begin(gguf_output *out, mote_error *error);

/* The next bytes of the weights; a call may end anywhere, or in a later tensor than it began.
 * Errors: ARGUMENT (more than was declared, or not begun), IO. */
mote_status gguf_output_data(gguf_output *out, const void *bytes, size_t count, mote_error *error);

/* Errors: ARGUMENT (bytes are missing), IO. */
mote_status gguf_output_finish(gguf_output *out, mote_error *error);

#endif
