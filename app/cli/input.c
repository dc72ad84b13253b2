#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"
#include "output.h"

enum { READ_STEP = 1 << 16 };

static bool read_all(int fd, const char *name, size_t limit, struct textbuf *text)
{
    for (;;) {
        if (!textbuf_reserve(text, READ_STEP)) {
            complain("no memory for the text of %s; give less", name);
            return false;
        }
        ssize_t got = interrupted() ? -1 : read(fd, text->at + text->length, READ_STEP);
        if (interrupted()) {
            complain("stopped while reading %s; run again", name);
            return false;
        }
        if (got == 0)
            return true;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            complain("cannot read %s: %s; give another file or a text", name, strerror(errno));
            return false;
        }
        text->length += (size_t)got;
        if (text->length > limit) {
            complain("%s holds more than %s; give less", name, human_bytes(limit).text);
            return false;
        }
    }
}

bool input_read(const char *path, size_t limit, struct textbuf *text)
{
    if (path == NULL || strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", limit, text);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        complain("cannot open %s: %s; check the name", path, strerror(errno));
        return false;
    }
    bool done = read_all(fd, path, limit, text);
    close(fd);
    return done;
}
