/* cmocka with one more assertion: what an error's sentence says. cmocka's macro `fail` would break our function of that
 * name, so base/status.h comes first. */
#ifndef MOTE_TESTS_ASSERT_SAYS_H
#define MOTE_TESTS_ASSERT_SAYS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

#include <cmocka.h>

#define assert_says(error, words)                                                                                      \
    do {                                                                                                               \
        if (strstr((error).text, words) == NULL)                                                                       \
            fail_msg("\"%s\" does not say \"%s\"", (error).text, words);                                               \
    } while (0)

#endif
