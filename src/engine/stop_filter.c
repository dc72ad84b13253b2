/* Matching stop texts in a stream. They are few and short: comparing at every byte is enough. */
#include "engine/stop_filter.h"

#include <string.h>

static bool continues_character(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

mote_status stop_filter_init(stop_filter *f, const char *const *stop, size_t count,
                             bool (*sink)(void *user, const char *text, size_t length), void *user, mote_error *error)
{
    *f = (stop_filter){.stop = stop, .count = count, .sink = sink, .user = user};
    if (count > STOP_MOST)
        return fail(error, MOTE_E_ARGUMENT, "%zu stop texts; give at most %d", count, STOP_MOST);
    for (size_t i = 0; i < count; i++) {
        f->stop_length[i] = strnlen(stop[i], STOP_LONGEST + 1);
        if (f->stop_length[i] == 0 || f->stop_length[i] > STOP_LONGEST)
            return fail(error, MOTE_E_ARGUMENT, "stop text %zu is empty or longer than %d bytes", i, STOP_LONGEST);
        if (continues_character(stop[i][0]))
            return fail(error, MOTE_E_ARGUMENT, "stop text %zu begins inside a character; give it as UTF-8", i);
    }
    return MOTE_OK;
}

static bool pass(stop_filter *f, const char *text, size_t length)
{
    if (length > 0 && f->sink != NULL && !f->sink(f->user, text, length))
        f->cancelled = true;
    return !f->cancelled;
}

/* Does a stop text begin at text[0], and is it there whole? 2: whole, 1: as far as the text goes, 0: no. */
static int match(const stop_filter *f, const char *text, size_t length)
{
    int found = 0;
    for (size_t i = 0; i < f->count; i++) {
        bool whole = f->stop_length[i] <= length;
        if (memcmp(f->stop[i], text, whole ? f->stop_length[i] : length) == 0) {
            if (whole)
                return 2;
            found = 1;
        }
    }
    return found;
}

/* Passes what is held up to the first place where a stop text begins, or may begin. */
static bool sift(stop_filter *f)
{
    size_t at = 0;
    int found = 0;
    while (at < f->held && (found = match(f, f->text + at, f->held - at)) == 0)
        at++;
    if (!pass(f, f->text, at))
        return false;
    f->held -= at;
    memmove(f->text, f->text + at, f->held);
    f->stopped = found == 2;
    return !f->stopped;
}

bool stop_filter_push(stop_filter *f, const char *text, size_t length)
{
    if (f->count == 0)
        return pass(f, text, length);
    while (length > 0) {
        /* Less than the longest stop text is ever held, so that a piece of its length always fits. */
        size_t piece = length < STOP_LONGEST ? length : STOP_LONGEST;
        while (piece > 1 && piece < length && continues_character(text[piece]))
            piece--;
        memcpy(f->text + f->held, text, piece);
        f->held += piece;
        text += piece;
        length -= piece;
        if (!sift(f))
            return false;
    }
    return true;
}

bool stop_filter_finish(stop_filter *f)
{
    size_t held = f->held;
    f->held = 0;
    return pass(f, f->text, held);
}
