/* Patterns for the names of tensors: '*' stands for any characters, or none, '?' for any one, everything else for itself. */
#ifndef MOTE_PREPARE_NAME_PATTERN_H
#define MOTE_PREPARE_NAME_PATTERN_H

#include <stdbool.h>

/* Takes at most length of the pattern × length of the name steps, whatever they hold. */
bool name_matches(const char *pattern, const char *name);

#endif
