#include "interrupt.h"

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

/* Without SA_RESTART: a read that waits must return. */
static void handle(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler}, old;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
        return;
    sigaction(number, &action, NULL);
}

void interrupt_install(void)
{
    handle(SIGINT, on_stop);
    handle(SIGTERM, on_stop);
    handle(SIGHUP, on_stop);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void interrupt_watch_terminal(void)
{
    interactive = 1;
    handle(SIGWINCH, on_terminal);
    handle(SIGCONT, on_terminal);
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

void interrupt_end(void)
{
    int number = stop_signal;
    if (number == 0)
        return;
    signal(number, SIG_DFL);
    raise(number);
}
