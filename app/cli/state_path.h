/* Where the program keeps what it has learned: $XDG_STATE_HOME/mote, or ~/.local/state/mote. */
#ifndef MOTE_CLI_STATE_PATH_H
#define MOTE_CLI_STATE_PATH_H

#include <stdbool.h>

enum { STATE_PATH_CAPACITY = 4096 };

/* The path of the file `name` there, with room for eight more bytes after it. With `make` its folders are made, readable
 * by their owner alone. False: there is no home for it. */
bool state_path(char path[STATE_PATH_CAPACITY], const char *name, bool make);

#endif
