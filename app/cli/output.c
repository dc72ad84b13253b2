#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct output output_to(FILE *file, const char *name)
{
    return (struct output){.file = file, .name = name, .terminal = isatty(fileno(file)) == 1};
}

/* A write that a signal broke off has not failed: whoever handles the signal says what becomes of the rest. */
static void note_error(struct output *out)
{
    if (errno == EINTR)
        clearerr(out->file);
    else if (out->error == 0)
        out->error = errno != 0 ? errno : EIO;
}

void output_write(struct output *out, const char *text, size_t length)
{
    errno = 0;
    if (out->error == 0 && fwrite(text, 1, length, out->file) != length)
        note_error(out);
}

void output_print(struct output *out, const char *format, ...)
{
    if (out->error != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    errno = 0;
    if (vfprintf(out->file, format, arguments) < 0)
        note_error(out);
    va_end(arguments);
}

/* --------------------------------------------------------------------------------------------------------- escaping */

size_t utf8_character(const char *text, size_t length, uint32_t *code)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000}; /* by bytes; anything less is over-long */
    const unsigned char *at = (const unsigned char *)text;
    if (length == 0)
        return 0;
    if (at[0] < 0x80) {
        *code = at[0];
        return 1;
    }
    size_t bytes = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || bytes > length)
        return 0;
    uint32_t value = at[0] & (0xffu >> (bytes + 1));
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (at[i] & 0x3fu);
    }
    if (value < smallest[bytes] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return bytes;
}

/* Characters that act on a terminal or change how what follows looks. */
static bool is_unprintable(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) ||       /* C0, delete, C1 */
           code == 0x2028 || code == 0x2029 ||                   /* line and paragraph separators */
           code == 0x200e || code == 0x200f || code == 0x061c || /* marks of direction */
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static void write_safely(struct output *out, const char *text, size_t length, bool keep_lines)
{
    size_t plain = 0; /* printable bytes seen, not yet written */
    for (size_t i = 0; i < length;) {
        uint32_t code = 0;
        size_t bytes = utf8_character(text + i, length - i, &code);
        if (bytes > 0 && (!is_unprintable(code) || (keep_lines && (code == '\n' || code == '\t')))) {
            plain += bytes;
            i += bytes;
            continue;
        }
        output_write(out, text + i - plain, plain);
        plain = 0;
        if (bytes == 0 || code < 0x80)
            output_print(out, "\\x%02x", (unsigned char)text[i]);
        else
            output_print(out, "\\u%04x", (unsigned)code);
        i += bytes > 0 ? bytes : 1;
    }
    output_write(out, text + length - plain, plain);
}

void output_escaped(struct output *out, const char *text, size_t length)
{
    write_safely(out, text, length, false);
}

void output_stream(struct output *out, const char *text, size_t length)
{
    if (out->terminal)
        write_safely(out, text, length, true);
    else
        output_write(out, text, length);
    errno = 0;
    if (out->error == 0 && fflush(out->file) != 0)
        note_error(out);
}

/* --------------------------------------------------------------------------------------------------------- the rest */

void complain(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct output err = output_to(stderr, "standard error");
    output_print(&err, "mote: ");
    if (length > 0)
        output_escaped(&err, text, strlen(text));
    output_print(&err, "\n");
    fflush(stderr);
}

int output_finish(struct output *out, int status)
{
    errno = 0;
    if (out->error == 0 && (fflush(out->file) != 0 || ferror(out->file)))
        note_error(out);
    if (out->error == 0)
        return status;
    if (out->error != EPIPE)
        complain("cannot write to %s: %s; %s", out->name, strerror(out->error),
                 out->error == ENOSPC ? "free some space and run again" : "check where the output goes");
    return EXIT_FAILURE;
}

struct human_size human_bytes(uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct human_size size;
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(size.text, sizeof size.text, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return size;
}

struct human_size human_count(uint64_t count)
{
    struct human_size size;
    double value = (double)count;
    if (count >= 999500000) /* or it would be "1e+03 million" */
        snprintf(size.text, sizeof size.text, "%.3g billion", value / 1e9);
    else if (count >= 999500)
        snprintf(size.text, sizeof size.text, "%.3g million", value / 1e6);
    else
        snprintf(size.text, sizeof size.text, "%llu", (unsigned long long)count);
    return size;
}
