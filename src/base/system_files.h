/* The small text files in which Linux tells what a process may use, below a root directory: "" for the machine itself, so
 * that a test can build another machine out of files. They are outside data: read up to a bound, and what is missing or
 * malformed counts as if it did not exist. */
#ifndef MOTE_BASE_SYSTEM_FILES_H
#define MOTE_BASE_SYSTEM_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SYSTEM_PATH = 4096,   /* the longest path of such a file */
    SYSTEM_SMALL = 512,   /* of a file that holds a number or a short list */
    SYSTEM_LARGE = 16384, /* of a longer one: the part that matters */
};

/* The first `capacity` − 1 bytes of the file at root + path, as text; "" if it cannot be read. */
void system_text(const char *root, const char *path, char *text, size_t capacity);

/* Takes a decimal number up to 2⁵³ off *text. False: there is none, or a larger one. */
bool system_take_number(const char **text, uint64_t *out);

/* Is nothing left but an end of line? */
bool system_at_end(const char *text);

/* A file that holds one number and nothing else. False: it holds anything else, or there is no such file. */
bool system_number(const char *root, const char *path, uint64_t *out);

/* The number behind `key`, which stands at the begin of a line: "MemAvailable:   23 kB", "inactive_file 23". */
bool system_find_number(const char *text, const char *key, uint64_t *out);

/* Shows `see` the folder of every control group that this process is in and that may limit what `controller` ("cpu",
 * "memory") names, with all groups above it, of both versions (Linux, Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/cgroups.rst). `folder` is below root. In a container a group's path may name a place that only the host sees;
 * the container's own group is then what is mounted, and the walk ends there. */
void system_groups(const char *root, const char *controller,
                   void (*see)(void *user, const char *root, const char *folder, int version), void *user);

#endif
