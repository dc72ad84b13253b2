/* A whole file mapped read-only, guarded against its going away (base/fault_guard.h).
 *
 * The mapping is private: for reading alone it shares the page cache just as a shared one does, and it works on the
 * filesystems that refuse shared mappings (some of FUSE and 9p). Nothing is read until it is touched. The descriptor is
 * closed at once: the mapping keeps the file, even when its name is removed. */
#ifndef MOTE_BASE_MAPPED_FILE_H
#define MOTE_BASE_MAPPED_FILE_H

#include <stddef.h>

#include "base/fault_guard.h"
#include "base/status.h"

typedef struct mapped_file {
    const unsigned char *data; /* page-aligned */
    size_t size;               /* when it was opened; not 0 */
    fault_region *region;
} mapped_file;

/* Errors: IO (cannot be opened, is empty, is no regular file), MEMORY (no address space), LIMIT. On failure *file is
 * zeroed, which mapped_file_close takes. Never waits on a pipe. */
mote_status mapped_file_open(mapped_file *file, const char *path, mote_error *error);
void mapped_file_close(mapped_file *file);

/* Reads `length` bytes, 1 at least, at `offset`, a multiple of 64 KiB, into memory and waits for most of them. */
void mapped_file_read_ahead(const mapped_file *file, size_t offset, size_t length);

/* Takes the pages of these bytes out of memory's account; they are read again when they are touched. */
void mapped_file_let_go(const mapped_file *file, size_t offset, size_t length);

/* Could a page not be read since the file was opened? Its bytes are then all zero. */
bool mapped_file_failed(const mapped_file *file);

/* The path as sentences name it: all of it, or the end of a very long one, so that the reason still fits. */
const char *mapped_file_short_path(const char *path);

#endif
