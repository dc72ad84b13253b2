/* How errors are made: a status to return, and a sentence in the caller's mote_error.
 *
 *     return fail(error, MOTE_E_FORMAT, "%s: tensor %s ends at byte %zu of %zu; the file is truncated", ...);
 *
 * A sentence names the file, the key or tensor, the offset where there is one, the reason, and ends in what to do. It
 * never holds a line break or another control character: `fail` replaces those that come in from a file. */
#ifndef MOTE_BASE_STATUS_H
#define MOTE_BASE_STATUS_H

#include <mote/mote.h>

/* Fills *error (NULL is fine) and returns status. Over-long text is cut at a character boundary. */
mote_status fail(mote_error *error, mote_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Out of memory: says how much was wanted and for what. */
mote_status fail_memory(mote_error *error, size_t bytes, const char *what);

#endif
