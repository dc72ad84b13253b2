#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"
#include "output.h"

static const double patience = 0.5; /* seconds before the bar appears */
static const double pace = 0.1;     /* seconds between two drawings */

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Parts are named "name-00001-of-00003.gguf". */
uint64_t progress_size(const char *path)
{
    struct stat status;
    unsigned part, parts;
    int end = 0;
    if (path == NULL)
        return 0;
    size_t length = strlen(path);
    const size_t tail = strlen("-00001-of-00003.gguf");
    uint64_t bytes = 0;
    char name[4096];
    if (length < tail || length >= sizeof name ||
        sscanf(path + length - tail, "-%5u-of-%5u.gguf%n", &part, &parts, &end) != 2 || end != (int)tail)
        return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
    for (part = 1; part <= parts; part++) {
        snprintf(name, sizeof name, "%.*s-%05u-of-%05u.gguf", (int)(length - tail), path, part, parts);
        if (stat(name, &status) != 0)
            return 0;
        bytes += (uint64_t)status.st_size;
    }
    return bytes;
}

void progress_start(struct progress *progress, const char *verb, uint64_t bytes)
{
    *progress = (struct progress){
        .terminal = isatty(STDERR_FILENO) == 1,
        .verb = verb,
        .bytes = bytes,
        .started = seconds_now(),
    };
}

static int window_columns(void)
{
    struct winsize window;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0)
        return 80;
    return window.ws_col;
}

static void draw(struct progress *progress, double done, double elapsed)
{
    char figures[128], line[160], bar[21];
    size_t filled = (size_t)(done * (sizeof bar - 1));
    memset(bar, '-', sizeof bar - 1);
    memset(bar, '#', filled);
    bar[sizeof bar - 1] = '\0';
    figures[0] = '\0';
    double left = done > 0 ? elapsed * (1 - done) / done : 0;
    double read = done * (double)progress->bytes;
    if (progress->bytes > 0)
        snprintf(figures, sizeof figures, "  %s of %s  %s/s  %.0f s left", human_bytes((uint64_t)read).text,
                 human_bytes(progress->bytes).text, human_bytes((uint64_t)(read / elapsed)).text, left);
    int width = snprintf(line, sizeof line, "%s [%s] %3.0f%%%s", progress->verb, bar, done * 100, figures);
    int most = window_columns() - 1; /* a full line would wrap */
    if (most < 0)
        most = 0;
    if (width > most)
        width = snprintf(line, sizeof line, "%3.0f%%", done * 100);
    if (width > most)
        return;
    fprintf(stderr, "\r%s%*s", line, progress->width > width ? progress->width - width : 0, "");
    fflush(stderr);
    if (width > progress->width)
        progress->width = width;
}

bool progress_step(void *user, double done)
{
    struct progress *progress = user;
    double now = seconds_now();
    done = done < 0 ? 0 : done > 1 ? 1 : done;
    if (progress->terminal && now - progress->started > patience && now - progress->drawn > pace) {
        draw(progress, done, now - progress->started);
        progress->drawn = now;
    }
    return !interrupted();
}

void progress_end(struct progress *progress)
{
    if (progress->width > 0)
        fprintf(stderr, "\r%*s\r", progress->width, "");
    progress->width = 0;
    fflush(stderr);
}
