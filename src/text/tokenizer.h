/* Text → token ids, for the vocabularies found in GGUF files: byte-level BPE ("gpt2") and SentencePiece BPE ("llama").
 *
 *     text ──special tokens──▶ pieces ──pre-tokenizer──▶ words ──BPE──▶ ids          byte-level
 *     text ──special tokens──▶ pieces ──" " → "▁"──────▶ ───────BPE──▶ ids           SentencePiece
 *
 * The ids are those of Hugging Face's `tokenizers` for the same vocabulary. A tokenizer is checked once, when it is
 * opened, and immutable from then on: any number of threads may use it.
 *
 * Three kinds of token stand outside BPE, told apart by tokenizer.ggml.token_type:
 *   control (3)       `<|im_start|>`: matched in text only if the caller says MOTE_TOKENIZE_SPECIAL, so that text from a
 *                     user cannot forge one.
 *   user-defined (4)  `<think>`, `<tool_call>`, Gemma's runs of spaces and its HTML tags: matched in any text, before
 *                     BPE, as the models were trained. They are plain text with an id of its own and carry no authority:
 *                     nothing may treat them as structure that a user could not have written.
 *   unused (5)        never produced from text.
 * Where several match at one place, the longest is taken. */
#ifndef MOTE_TEXT_TOKENIZER_H
#define MOTE_TEXT_TOKENIZER_H

#include "format/gguf.h"
#include "text/vocabulary.h"

#include <mote/mote.h>

typedef struct tokenizer tokenizer;

/* Opens the tokenizer of a model file: from the image in its tensor GGUF_TOKENIZER_TENSOR if it has one, else from the
 * metadata's strings, of which an image is built. `file` must outlive the tokenizer.
 * Errors: UNSUPPORTED (no vocabulary, or of an unknown kind), FORMAT, LIMIT, MEMORY. */
mote_status tokenizer_open(tokenizer **out, const gguf *file, mote_error *error);

/* Uses an image where it lies, at any alignment: it must outlive the tokenizer, and may be anybody's and change meanwhile
 * (see text/tokenizer_image.h). `name` stands for the file in sentences. Errors: UNSUPPORTED, FORMAT, MEMORY. */
mote_status tokenizer_open_image(tokenizer **out, const void *image, size_t size, const char *name, mote_error *error);
void tokenizer_close(tokenizer *t);

/* The memory that tokenizer_open would take beside the mapped file; 0 if the file has no tokenizer that mote can use. */
size_t tokenizer_bytes(const gguf *file);

/* The image that the tokenizer works on, to be kept in a file: it belongs to the tokenizer. */
const void *tokenizer_image(const tokenizer *t, size_t *size);

/* What the tokenizer knows about its tokens. */
const vocabulary *tokenizer_vocabulary(const tokenizer *t);

/* Number of ids. */
size_t tokenizer_size(const tokenizer *t);

/* "byte-level BPE, qwen2 pre-tokenizer"; belongs to the tokenizer. */
const char *tokenizer_describe(const tokenizer *t);

/* Appends the ids of `text`; `flags` are MOTE_TOKENIZE_*. Bytes that are not UTF-8 keep their value: they become byte
 * tokens. On failure `ids` has the length it came with. Errors: MEMORY, LIMIT (text over 1 GiB). */
mote_status tokenizer_encode(const tokenizer *t, const char *text, size_t length, unsigned flags, mote_ids *ids,
                             mote_error *error);

/* A part of a text that is put together from several. */
typedef struct text_span {
    const char *text;
    size_t length;
    bool trusted; /* control tokens that lie in it whole become those tokens */
} text_span;

/* The ids of the parts put together: BPE and user-defined tokens reach across their borders, control tokens do not.
 * `flags`: MOTE_TOKENIZE_BOS or 0. Errors and failure as above. */
mote_status tokenizer_encode_spans(const tokenizer *t, const text_span *spans, size_t count, unsigned flags,
                                   mote_ids *ids, mote_error *error);

/* Does the token end an answer (end of text, of turn, of message)? */
bool tokenizer_is_end(const tokenizer *t, mote_token token);

/* The token whose text in the file is exactly `text`; -1 if there is none. */
mote_token tokenizer_find(const tokenizer *t, const char *text);

#endif
