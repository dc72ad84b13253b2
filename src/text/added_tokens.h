/* Finding the tokens that stand outside BPE, control and user-defined ones, in text: v->added, sorted by text. */
#ifndef MOTE_TEXT_ADDED_TOKENS_H
#define MOTE_TEXT_ADDED_TOKENS_H

#include "text/vocabulary.h"

enum { ADDED_TOKENS_LONGEST = 256 /* bytes: what one place in a text may cost */ };

typedef struct added_match {
    size_t at, length;
    mote_token token; /* -1: there is none */
} added_match;

/* Does the token belong in v->added? Runs of spaces do not: BPE joins those. */
bool added_tokens_has(const vocabulary *v, mote_token token);

/* The longest token at the first place in [from, until) where there is one. A token may reach past `until`, to the end of
 * the text; a control token only to `control_end`, which 0 forbids them. */
added_match added_tokens_find(const vocabulary *v, const char *text, size_t length, size_t from, size_t until,
                              size_t control_end);

#endif
