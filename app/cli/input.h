/* Reading texts whole, up to a bound. */
#ifndef MOTE_CLI_INPUT_H
#define MOTE_CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "textbuf.h"

/* Reads standard input (path NULL or "-") or a file to its end. False after complaining: it cannot be read, is longer
 * than `limit` bytes, there is no memory, or Ctrl-C came. */
bool input_read(const char *path, size_t limit, struct textbuf *text);

#endif
