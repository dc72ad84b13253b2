/* What a run of mote eval has found so far, in a file, so that it can be stopped and taken up again: JSON that says what it
 * is of, how many units are done, and the columns. It is replaced as a whole. */
#ifndef MOTE_CLI_EVAL_STATE_H
#define MOTE_CLI_EVAL_STATE_H

#include "eval.h"

/* Takes up what the file holds; a file that is not there holds nothing. False after complaining: it cannot be read, is
 * damaged, or of another evaluation. */
bool eval_state_load(struct eval *eval, const char *path);
bool eval_state_save(const struct eval *eval, const char *path);

#endif
