/* JSON on an output. */
#ifndef MOTE_CLI_JSON_OUTPUT_H
#define MOTE_CLI_JSON_OUTPUT_H

#include <jansson.h>

#include "output.h"

/* A string; bytes that are no UTF-8 become U+FFFD. NULL without memory. */
json_t *json_text(const char *text, size_t length);

/* Writes `root` and a line break, and gives the reference up. A NULL root (no memory to build it) is complained about.
 * Returns the exit status; `flags` are jansson's. */
int output_json(struct output *out, json_t *root, size_t flags);

#endif
