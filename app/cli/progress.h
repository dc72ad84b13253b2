/* A bar on standard error while a model is read ahead, or written:
 *
 *     loading [#########-----------]  45%  1.2 GiB of 2.7 GiB  310 MiB/s  5 s left
 *
 * Only on a terminal, only when it takes long enough to wonder, as wide as the window, and gone when done. */
#ifndef MOTE_CLI_PROGRESS_H
#define MOTE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal;
    const char *verb; /* "loading" */
    int width;        /* characters on the screen now */
    uint64_t bytes;   /* of the whole; 0: unknown */
    double started;
    double drawn;
};

void progress_start(struct progress *progress, const char *verb, uint64_t bytes);
/* Size of the file, or of all parts of a split one; 0 where that is not known, or `path` is NULL. */
uint64_t progress_size(const char *path);
/* For the library's progress callbacks: false once the program has been asked to stop. */
bool progress_step(void *user, double done);
void progress_end(struct progress *progress);

/* Seconds of a clock that only moves forward. */
double seconds_now(void);

#endif
