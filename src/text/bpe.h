/* Byte-pair encoding of one word (Sennrich, Haddow and Birch 2016): neighbours are joined, the best pair first, until no
 * pair is left that the vocabulary knows. */
#ifndef MOTE_TEXT_BPE_H
#define MOTE_TEXT_BPE_H

#include "text/vocabulary.h"

enum {
    BPE_LONGEST_WORD = 3 << 29 /* bytes */
};

typedef struct bpe_symbol bpe_symbol; /* a part of the word that is one token */
typedef struct bpe_pair bpe_pair;     /* two neighbours that may be joined */

/* Memory that a word needs, kept from one word to the next: start from {.v = …}. A symbol lives at the index of its first
 * byte, so that it need not say where it is. */
typedef struct bpe {
    const vocabulary *v;
    bpe_symbol *symbols; /* by byte of the word */
    size_t symbol_capacity;
    int32_t first, last; /* symbols; -1: there are none */
    bpe_pair *heap;      /* the best pair on top */
    size_t heap_count, heap_capacity;
} bpe;

void bpe_close(bpe *b);

/* Appends the tokens of a word of length > 0. For a byte-level vocabulary the word is bytes; for SentencePiece it is text
 * in which spaces are "▁". Errors: MEMORY, LIMIT. */
mote_status bpe_encode(bpe *b, const char *word, size_t length, mote_ids *ids, mote_error *error);

#endif
