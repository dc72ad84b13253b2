/* Status texts, from the one list in mote.h, and the sentence that goes with a failure. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

const char *mote_status_name(mote_status status)
{
    switch (status) {
#define NAME_OF(name, value, text)                                                                                     \
    case MOTE_##name: return "MOTE_" #name;
        MOTE_STATUS_LIST(NAME_OF)
#undef NAME_OF
    }
    return "MOTE_E_?";
}

const char *mote_status_text(mote_status status)
{
    switch (status) {
#define TEXT_OF(name, value, text)                                                                                     \
    case MOTE_##name: return text;
        MOTE_STATUS_LIST(TEXT_OF)
#undef TEXT_OF
    }
    return "unknown status";
}

/* Names come from files: keep the sentence on one line and free of terminal escapes, U+0080 … U+009F among them. */
static void make_printable(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
        else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            c[0] = c[1] = '?';
    }
}

/* Cuts a UTF-8 sequence that the buffer's end has split. */
static void trim_partial_character(char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (lead >= 0xc0 && length - (start - 1) < want)
        text[start - 1] = '\0';
}

mote_status fail(mote_error *error, mote_status status, const char *format, ...)
{
    if (error == NULL)
        return status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (length < 0)
        error->text[0] = '\0';
    else if ((size_t)length >= sizeof error->text)
        trim_partial_character(error->text, sizeof error->text - 1);
    make_printable(error->text);
    return status;
}

mote_status fail_memory(mote_error *error, size_t bytes, const char *what)
{
    return fail(error, MOTE_E_MEMORY, "no memory for %s (%zu bytes); free memory, or choose a smaller context or model",
                what, bytes);
}
