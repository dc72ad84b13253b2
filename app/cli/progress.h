/* A bar on standard error while a model is read ahead:
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
    int width;      /* characters on the screen now */
    uint64_t bytes; /* of the whole; 0: unknown */
    double started;
    double drawn;
};

/* `path` may be NULL; of a split file, all parts count. */
void progress_start(struct progress *progress, const char *path);
/* For mote_model_options.progress: false once the program has been asked to stop. */
bool progress_step(void *user, double done);
void progress_end(struct progress *progress);

/* Seconds of a clock that only moves forward. */
double seconds_now(void);

#endif
