/* Vocabularies for tests: those of tests/data/tokenizers, and small ones made in memory, sound or spoilt. */
#ifndef MOTE_TESTS_VOCABULARY_CASE_H
#define MOTE_TESTS_VOCABULARY_CASE_H

#include "gguf_writer.h"
#include "text/tokenizer.h"

/* What a vocabulary's file says. Absent parts (NULL, 0) are left out of it. */
typedef struct vocabulary_spec {
    const char *model, *pre;
    const char **texts; /* [count], NUL-terminated */
    int32_t *kinds;     /* [kind_count] */
    float *scores;      /* [score_count] */
    const char **merges;
    size_t count, kind_count, score_count, merge_count;
    int64_t begin, end, unknown; /* -1: absent */
    const bool *add_begin, *space_prefix;
    const char *chat_template;
} vocabulary_spec;

typedef struct vocabulary_case {
    gguf_writer writer;
    gguf *file;
    tokenizer *tokenizer;
} vocabulary_case;

/* Sound small vocabularies with everything in them, to be changed before vocabulary_case_open. Free with
 * vocabulary_spec_free. The first ids of spec_byte_level are the 256 bytes in order; of spec_sentencepiece <unk>, <s>,
 * </s>, then the byte tokens. Both end with <|im_end|> and the control token <|im_start|>, the user-defined <think> and the unused
 * <unused>. */
vocabulary_spec spec_byte_level(const char *pre);
vocabulary_spec spec_sentencepiece(bool space_prefix);
void vocabulary_spec_free(vocabulary_spec *spec);

/* Writes the file in memory and opens it; the tokenizer's error is the caller's to judge. What is opened in the end is a
 * packed file, with the image of the plain one's tokenizer; the other call stays with the plain one. */
mote_status vocabulary_case_open(vocabulary_case *out, const vocabulary_spec *spec, mote_error *error);
mote_status vocabulary_case_open_plain(vocabulary_case *out, const vocabulary_spec *spec, mote_error *error);
void vocabulary_case_close(vocabulary_case *it);

#endif
