/* Cutting text into words before byte-level BPE, as the models' regular expressions do.
 *
 * A byte-level vocabulary comes with a regular expression; BPE merges inside its matches only. The expressions are few
 * and known, so each is a scanner written out by hand: it looks at every character a bounded number of times, whatever
 * the text, and needs no engine that backtracks. */
#ifndef MOTE_TEXT_PRETOKENIZER_H
#define MOTE_TEXT_PRETOKENIZER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pretokenizer {
    const char *name; /* as tokenizer.ggml.pre writes it */

    /* The length of the first word of a text, for length > 0. */
    size_t (*next)(const char *text, size_t length);

    bool nfc;         /* the models using it read text in Normalization Form C */
    bool whole_words; /* a word that is a token is that token, whatever the merges say ("ignore_merges") */
    bool begins;      /* a text begins with the token for that, unless the file says otherwise */
} pretokenizer;

/* By the name a file gives, which may be an alias; NULL if it is not known. */
const pretokenizer *pretokenizer_find(const char *name, size_t length);

#endif
