/* tokenizer.json of a Hugging Face folder: a vocabulary as GGUF has it.
 *
 * Two kinds are known. Byte-level BPE keeps its merges, and the name of the regular expression that cuts its words.
 * SentencePiece's BPE has scores in GGUF where tokenizer.json has merges: a token made by an earlier merge has a higher
 * one. What llama.cpp's converter decides is decided alike, since files are read by both: added tokens that are special, or
 * look it, are control tokens, others user-defined, and in these "▁" is a space; a hole is an unused token [PAD7]. */
#ifndef MOTE_PREPARE_CONVERT_VOCABULARY_H
#define MOTE_PREPARE_CONVERT_VOCABULARY_H

#include "format/gguf_output.h"
#include "format/json.h"
#include "text/vocabulary.h"

typedef struct convert_vocabulary {
    const json *document; /* must outlive this */
    json_value model;     /* its "model" */
    const char *words;    /* tokenizer.ggml.pre; NULL: SentencePiece */
    size_t count;
    gguf_string *texts; /* [count] in the document, or in `room` */
    int32_t *kinds;     /* [count] a token_kind; 0 while reading: none yet */
    float *scores;      /* [count] SentencePiece alone */
    char *room;
    size_t room_used;
    mote_token unknown; /* -1: none */
    bool begins, ends;  /* a text is put between the tokens for that */
    bool space_prefix;  /* SentencePiece: a text begins with a space that is not there */
} convert_vocabulary;

/* `count` tokens, 1 to VOCABULARY_MOST, are the rows of the embedding: added tokens past them are left out, as published
 * files have some. Errors: FORMAT, UNSUPPORTED (a kind of tokenizer that mote lacks), LIMIT, MEMORY. Free with
 * convert_vocabulary_free, also on failure. */
mote_status convert_vocabulary_read(convert_vocabulary *v, const json *document, size_t count, mote_error *error);
void convert_vocabulary_free(convert_vocabulary *v);

/* The token of that text, -1 if there is none. */
mote_token convert_vocabulary_find(const convert_vocabulary *v, gguf_string text);

void convert_vocabulary_declare(const convert_vocabulary *v, gguf_output *out);

#endif
