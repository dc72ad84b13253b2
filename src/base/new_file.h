/* A file that is written whole or not at all: under a temporary name beside its place, put there when complete and on
 * disk. What is not a regular file (a pipe, a device) is written directly.
 *
 *     new_file_open → new_file_write … → new_file_commit → new_file_close
 *
 * Closing without a commit removes what was written. */
#ifndef MOTE_BASE_NEW_FILE_H
#define MOTE_BASE_NEW_FILE_H

#include "base/status.h"

typedef struct new_file {
    int fd;
    char *path;      /* where it will be; symbolic links are resolved */
    char *temporary; /* NULL: written directly, or committed */
} new_file;

/* Errors: ARGUMENT (there is such a file, and not `overwrite`), IO, MEMORY. On failure there is nothing to close. */
mote_status new_file_open(new_file *file, const char *path, bool overwrite, mote_error *error);

/* Errors: IO. A limit on file sizes is one only if SIGXFSZ is ignored; the system ends the process otherwise. */
mote_status new_file_write(new_file *file, const void *bytes, size_t count, mote_error *error);

/* Errors: IO. */
mote_status new_file_commit(new_file *file, mote_error *error);
void new_file_close(new_file *file);

#endif
