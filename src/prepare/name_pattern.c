/* Matching without recursion: where it fails, the last '*' takes one character more, and none before it need be asked
 * again, since what stood between them has matched as early as it can. */
#include "prepare/name_pattern.h"

#include <stddef.h>

bool name_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL; /* the last '*', and where what follows it was tried */
    while (*name != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            from = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star + 1;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
