/* A tokenizer's finished tables as one block of bytes: what is built at opening from the strings of a plain model file, and
 * what a packed one holds ready, to be used where it is mapped.
 *
 *     ┌ header: magic, version, size, counts, name of the pre-tokenizer, vocabulary_facts ┐
 *     │ text_offsets │ kinds │ text_slots │ scores   merges │ merge_slots │ texts │ added   │
 *     └ each from the next multiple of 64; scores for SentencePiece, merges for byte-level ┘
 *
 * Where each table lies follows from the counts alone, so there are no offsets that could be wrong, and opening costs the
 * same for any vocabulary: it checks the header, and whether the size is exactly what the counts ask for. What the tables
 * hold is checked where it is used (text/vocabulary.h). Numbers are little-endian. The same model file gives the same
 * bytes, on every machine. */
#ifndef MOTE_TEXT_TOKENIZER_IMAGE_H
#define MOTE_TEXT_TOKENIZER_IMAGE_H

#include "base/arena.h"
#include "text/vocabulary.h"

enum {
    TOKENIZER_IMAGE_VERSION = 1, /* goes up with any change of layout, hash or meaning */
    TOKENIZER_IMAGE_ALIGNMENT = 64,
    TOKENIZER_IMAGE_NAME = 16 /* bytes of a pre-tokenizer's name, a NUL among them */
};

#define TOKENIZER_IMAGE_MAGIC "mote ids" /* 8 bytes, without a NUL */

/* 3464 bytes without padding. */
typedef struct tokenizer_image_header {
    char magic[8];
    uint64_t size; /* of the image */
    uint32_t version;
    uint32_t count;
    uint32_t merge_count;
    uint32_t text_bytes;
    uint32_t longest;
    char words[TOKENIZER_IMAGE_NAME]; /* the pre-tokenizer; empty: SentencePiece */
    vocabulary_facts facts;
} tokenizer_image_header;

/* Where the tables begin, in bytes from the header. */
typedef struct tokenizer_image_layout {
    size_t text_offsets, kinds, text_slots, scores, merges, merge_slots, texts, added, size;
} tokenizer_image_layout;

/* Of the counts in a header. False: no memory could hold it. */
bool tokenizer_image_lay_out(tokenizer_image_layout *at, const tokenizer_image_header *header);

/* Makes `v` a view of an image, which must outlive it. `name` is the file's, for sentences.
 * Errors: FORMAT, UNSUPPORTED (another version, byte order or pre-tokenizer). */
mote_status tokenizer_image_view(vocabulary *v, const void *image, size_t size, const char *name, mote_error *error);

/* The same without a check, for a header and a layout that were just made. */
void tokenizer_image_bind(vocabulary *v, const void *image, const tokenizer_image_header *header,
                          const tokenizer_image_layout *at);

/* Builds the image of the vocabulary in a model file's metadata, at the begin of `out`, which is to be released.
 * Errors: UNSUPPORTED, FORMAT, LIMIT, MEMORY; nothing is left to release then. */
mote_status tokenizer_image_build(arena *out, size_t *size, const gguf *file, mote_error *error);

/* The memory that building takes, by the counts alone: the strings are not looked at. Errors: the same. */
mote_status tokenizer_image_measure(size_t *size, const gguf *file, mote_error *error);

#endif
