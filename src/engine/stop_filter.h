/* Watches streamed text for the texts that end an answer.
 *
 * Text that could still turn out to be the beginning of a stop text is held back, so that none of a stop text is ever
 * shown; everything else passes at once. What passes consists of whole characters if what comes in does. */
#ifndef MOTE_ENGINE_STOP_FILTER_H
#define MOTE_ENGINE_STOP_FILTER_H

#include "base/status.h"

enum { STOP_MOST = 16, STOP_LONGEST = 256 };

typedef struct stop_filter {
    const char *const *stop; /* borrowed */
    size_t stop_length[STOP_MOST];
    size_t count;
    bool (*sink)(void *user, const char *text, size_t length);
    void *user;
    bool stopped;   /* a stop text has come */
    bool cancelled; /* the sink has said so */
    size_t held;
    char text[2 * STOP_LONGEST];
} stop_filter;

/* Errors: ARGUMENT (too many, too long, empty, or not beginning with a character). */
mote_status stop_filter_init(stop_filter *filter, const char *const *stop, size_t count,
                             bool (*sink)(void *user, const char *text, size_t length), void *user, mote_error *error);

/* False once nothing more should come: stopped or cancelled. */
bool stop_filter_push(stop_filter *filter, const char *text, size_t length);

/* The answer has ended otherwise: passes what is held back. */
bool stop_filter_finish(stop_filter *filter);

#endif
