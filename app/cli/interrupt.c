#define _GNU_SOURCE /* ppoll */
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

/* A signal handler can only reach what is global. */
static volatile sig_atomic_t stop_signal;
static volatile sig_atomic_t interactive;
static volatile sig_atomic_t resized;
static volatile sig_atomic_t continued;
static _Atomic(mote_session *) watched;

static void on_stop(int number)
{
    if (stop_signal != 0 && !(number == SIGINT && interactive)) { /* whoever asks twice shall not wait */
        signal(number, SIG_DFL);
        raise(number);
    }
    stop_signal = number;
    mote_session *session = atomic_load(&watched);
    if (session != NULL)
        mote_session_cancel(session);
}

static void on_terminal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        continued = 1;
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
        return;
    sigaction(number, &action, NULL);
}

void interrupt_install(void)
{
    handle(SIGINT, on_stop, 0); /* without SA_RESTART: a read or write that waits must return */
    handle(SIGTERM, on_stop, 0);
    handle(SIGHUP, on_stop, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void interrupt_watch_terminal(void)
{
    interactive = 1;
    handle(SIGWINCH, on_terminal, SA_RESTART); /* what is being written shall not fail; interrupt_wait() still ends */
    handle(SIGCONT, on_terminal, SA_RESTART);
}

int interrupted(void)
{
    return stop_signal;
}

void interrupt_clear(void)
{
    if (stop_signal == SIGINT)
        stop_signal = 0;
}

void interrupt_watch(mote_session *session)
{
    atomic_store(&watched, session);
}

static bool take(volatile sig_atomic_t *flag)
{
    bool was = *flag != 0;
    *flag = 0;
    return was;
}

bool interrupt_resized(void)
{
    return take(&resized);
}

bool interrupt_continued(void)
{
    return take(&continued);
}

/* The signals are held back from the look at the flags until the wait itself, which lets them in: one that comes in
 * between would otherwise be noticed only after the next key. */
bool interrupt_wait(int descriptor)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};
    sigset_t held, before;
    sigemptyset(&held);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&held, numbers[i]);
    if ((fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_WRONLY)
        return true; /* nothing would ever come; the read says what is wrong */
    pthread_sigmask(SIG_BLOCK, &held, &before);
    struct pollfd input = {.fd = descriptor, .events = POLLIN};
    bool came = stop_signal != 0 || resized != 0 || continued != 0;
    bool ready = !came && (ppoll(&input, 1, NULL, &before) >= 0 || errno != EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ready;
}

void interrupt_end(void)
{
    int number = stop_signal;
    if (number == 0)
        return;
    signal(number, SIG_DFL);
    raise(number);
}
