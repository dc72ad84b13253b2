/* Text that grows. Start from {0}; free with textbuf_free. */
#ifndef MOTE_CLI_TEXTBUF_H
#define MOTE_CLI_TEXTBUF_H

#include <stdbool.h>
#include <stddef.h>

struct textbuf {
    char *at;
    size_t length;
    size_t capacity;
};

/* Room for `more` bytes after the text. False without memory; the text stays as it was. */
bool textbuf_reserve(struct textbuf *buffer, size_t more);
bool textbuf_append(struct textbuf *buffer, const char *text, size_t length);
void textbuf_free(struct textbuf *buffer);

#endif
