#include "state_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool state_path(char path[STATE_PATH_CAPACITY], const char *name, bool make)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int length;
    if (state != NULL && state[0] == '/')
        length = snprintf(path, STATE_PATH_CAPACITY, "%s/mote/%s", state, name);
    else if (home != NULL && home[0] == '/')
        length = snprintf(path, STATE_PATH_CAPACITY, "%s/.local/state/mote/%s", home, name);
    else
        return false;
    if (length < 0 || length >= STATE_PATH_CAPACITY - 8)
        return false;
    for (char *slash = strchr(path + 1, '/'); make && slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = mkdir(path, 0700);
        *slash = '/';
        if (made != 0 && errno != EEXIST)
            return false;
    }
    return true;
}
