/* The tokens that stand outside BPE, control and user-defined ones, and finding them in text. */
#ifndef MOTE_TEXT_ADDED_TOKENS_H
#define MOTE_TEXT_ADDED_TOKENS_H

#include "text/vocabulary.h"

enum { ADDED_TOKENS_LONGEST = 256 /* bytes: what one place in a text may cost */ };

typedef struct added_tokens {
    mote_token *sorted; /* by text, as bytes */
    size_t count;
    uint32_t first[257]; /* where in `sorted` the texts with each first byte begin; [256] is the end */
    bool space_marks;    /* runs of "▁" are tokens too: v->space_runs */
} added_tokens;

typedef struct added_match {
    size_t at, length;
    mote_token token; /* -1: there is none */
} added_match;

/* Errors: LIMIT (a token too long), MEMORY. */
mote_status added_tokens_open(added_tokens *added, const vocabulary *v, const char *file_name, mote_error *error);
void added_tokens_close(added_tokens *added);

/* The longest token at the first place in [from, until) where there is one. A token may reach past `until`, to the end of
 * the text; a control token only to `control_end`, which 0 forbids them. */
added_match added_tokens_find(const added_tokens *added, const vocabulary *v, const char *text, size_t length,
                              size_t from, size_t until, size_t control_end);

#endif
