/* What the program says: writes that notice a full disk or a closed pipe, and text of unknown origin made harmless. */
#ifndef MOTE_CLI_OUTPUT_H
#define MOTE_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A stream and the first error it met; once there is one, nothing more is written. */
struct output {
    FILE *file;
    const char *name; /* for messages */
    int error;        /* an errno, or 0 */
    bool terminal;
};

struct output output_to(FILE *file, const char *name);

void output_write(struct output *out, const char *text, size_t length);
void output_print(struct output *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Text that may come from a file: control characters, marks that reorder text and bytes that are no UTF-8 become
 * \x1b or \u202e. The result is one line. */
void output_escaped(struct output *out, const char *text, size_t length);

/* A model's text as it comes, at once. Files and pipes get it byte for byte; on a terminal only line breaks and tabs
 * keep their power. */
void output_stream(struct output *out, const char *text, size_t length);

/* Ends the output: the exit status is `status`, or EXIT_FAILURE if a write failed. A closed pipe says nothing, since
 * its reader has seen enough; any other failure is complained about. */
int output_finish(struct output *out, int status);

/* One line on standard error, "mote: …", whatever the text holds. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Bytes of the UTF-8 character that `text` begins with, which goes to *code; 0 if it begins with none. */
size_t utf8_character(const char *text, size_t length, uint32_t *code);

/* "1.5 GiB" */
struct human_size {
    char text[32];
};
struct human_size human_bytes(uint64_t bytes);
/* "596 million" */
struct human_size human_count(uint64_t count);

#endif
