/* Token ids → text, as they come, never part of a character.
 *
 * A token may hold any part of a character. Bytes go out as soon as they complete one; at most three are held back. Bytes
 * that can no longer become a character go out as U+FFFD, one for each maximal part (Unicode 15, §3.9, the practice that
 * WHATWG's decoder and Python follow), so that what comes out is valid UTF-8 whatever the ids. */
#ifndef MOTE_TEXT_DETOKENIZER_H
#define MOTE_TEXT_DETOKENIZER_H

#include "text/tokenizer.h"

typedef struct detokenizer detokenizer;

/* `t` must outlive it. `show_special` writes control tokens out; otherwise they are silent. Errors: MEMORY. */
mote_status detokenizer_open(detokenizer **out, const tokenizer *t, bool show_special, mote_error *error);
void detokenizer_close(detokenizer *d);

/* The text that `token` completes. The bytes belong to the detokenizer until its next call; not NUL-terminated. Ids
 * outside the vocabulary are silent. Never fails: the buffer was sized for the longest token. */
const char *detokenizer_push(detokenizer *d, mote_token token, size_t *length);

/* What is still held back, as U+FFFD; ready for a new text afterwards. */
const char *detokenizer_finish(detokenizer *d, size_t *length);

#endif
