/* What a run cost: a line for people, an object for programs. */
#ifndef MOTE_CLI_FIGURES_H
#define MOTE_CLI_FIGURES_H

#include <jansson.h>

#include "loading.h"

struct figures {
    double load_seconds;
    mote_generation generation;
};

/* One line on standard error. */
void figures_print(const struct figures *figures);

/* The answer and all figures; NULL without memory. */
json_t *figures_json(const struct figures *figures, const char *model, uint64_t seed, const char *text, size_t length);

#endif
