#include "textbuf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool textbuf_reserve(struct textbuf *buffer, size_t more)
{
    if (more <= buffer->capacity - buffer->length)
        return true;
    if (more > SIZE_MAX / 2 - buffer->length)
        return false;
    size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity;
    while (capacity < buffer->length + more)
        capacity *= 2;
    char *at = realloc(buffer->at, capacity);
    if (at == NULL)
        return false;
    buffer->at = at;
    buffer->capacity = capacity;
    return true;
}

bool textbuf_append(struct textbuf *buffer, const char *text, size_t length)
{
    if (!textbuf_reserve(buffer, length))
        return false;
    if (length > 0)
        memcpy(buffer->at + buffer->length, text, length);
    buffer->length += length;
    return true;
}

void textbuf_free(struct textbuf *buffer)
{
    free(buffer->at);
    *buffer = (struct textbuf){0};
}
