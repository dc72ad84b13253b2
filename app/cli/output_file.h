/* A file that is written whole or not at all: under a temporary name beside it, renamed when complete. What is not a
 * regular file (a pipe, a device) is written directly. */
#ifndef MOTE_CLI_OUTPUT_FILE_H
#define MOTE_CLI_OUTPUT_FILE_H

#include "output.h"

struct output_file {
    struct output out;
    char *path;      /* where it will be; symbolic links are resolved */
    char *temporary; /* NULL: written directly */
};

/* False after complaining. Refuses a file that is a GGUF model, or the same file as `input`: both are more likely a
 * slip than meant. */
bool output_file_open(struct output_file *file, const char *path, const char *input);

/* Ends the file: puts it in its place if `status` is 0 and every byte was written, removes it otherwise. Returns the
 * exit status. */
int output_file_close(struct output_file *file, int status);

#endif
