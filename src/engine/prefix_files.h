/* The files of a prefix store's directory: opened without following links, written whole or not at all. Names are relative to
 * the directory's descriptor, so that nothing outside it can be reached. Nothing here allocates. */
#ifndef MOTE_ENGINE_PREFIX_FILES_H
#define MOTE_ENGINE_PREFIX_FILES_H

#include <sys/stat.h>

#include "base/keyed_hash.h"
#include "base/status.h"

enum { PREFIX_NAME = 80 }; /* bytes of the longest name of ours, NUL among them */

#define PREFIX_SECRET_NAME "mote-secret"

/* Opens a directory that is this user's and that nobody else may write to, and makes it if there is none. `*read_only`: its disk
 * is. Errors: those of prefix_store_open. */
mote_status prefix_files_open(int *directory, const char *path, bool *read_only, mote_error *error);

/* The directory's secret; a new one where there is none or it is torn. Errors: IO (also on a disk that is read-only and has
 * none: there is nothing to be read there). */
mote_status prefix_files_secret(int directory, const char *path, bool read_only,
                                unsigned char secret[KEYED_HASH_SECRET], mote_error *error);

/* Opens a regular file of this user's that nobody else may write to. −1: there is no such file; errno is ENOENT where there is
 * none at all, EPERM where it is something else. */
int prefix_files_read(int directory, const char *name, struct stat *about);

/* A file under a temporary name, locked as long as its writer lives. Each returns 0 or an error number. */
typedef struct prefix_temporary {
    int directory;
    int file; /* −1: none */
    char name[PREFIX_NAME];
} prefix_temporary;

int prefix_temporary_open(prefix_temporary *file, int directory);
int prefix_temporary_sync(prefix_temporary *file);                     /* what was written is on disk */
int prefix_temporary_rename(prefix_temporary *file, const char *name); /* takes the place of what has that name */
void prefix_temporary_close(prefix_temporary *file);                   /* and removes it, unless it was renamed */

bool prefix_temporary_is(const char *name);
void prefix_temporary_remove_dead(int directory, const char *name); /* unless its writer lives */

/* A small file, replaced whole. 0 or an error number. The rename lasts once the directory is synced. */
int prefix_files_replace(int directory, const char *name, const void *bytes, size_t count);

void prefix_files_sync(int directory);

/* Bytes as 2 × count lower-case digits and a NUL. */
void prefix_files_hex(char *text, const unsigned char *bytes, size_t count);

#endif
