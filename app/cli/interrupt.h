/* Ctrl-C and other requests to stop. The work in progress is cancelled and ends in the ordinary way: files are closed,
 * the terminal is restored, figures are printed; only then does the program end, by the same signal, so that a shell
 * script around it stops too. A second request ends it at once. */
#ifndef MOTE_CLI_INTERRUPT_H
#define MOTE_CLI_INTERRUPT_H

#include <mote/mote.h>

/* SIGINT, SIGTERM and SIGHUP stop the work (unless they are ignored, as under nohup); writing to a closed pipe, or past
 * a limit on the size of files, becomes an error of the write. */
void interrupt_install(void);

/* The signal that asks to stop, or 0. */
int interrupted(void);
/* Ctrl-C has been dealt with: forgets it. Other signals stay. */
void interrupt_clear(void);

/* The session whose work a signal cancels; NULL: none. Clear it before the session is closed. */
void interrupt_watch(mote_session *session);

/* For a program that talks with a person on a terminal. Ctrl-C ends an answer, so twice is as good as once.
 *
 * Has the window changed its size, or the program been continued after Ctrl-Z, since the last call? Each is told once. */
void interrupt_watch_terminal(void);
bool interrupt_resized(void);
bool interrupt_continued(void);

/* Waits until a read of the descriptor would not wait; false when one of the signals above came instead, be it before
 * the call. */
bool interrupt_wait(int descriptor);

/* Ends the program by the signal that stopped it; returns if none did. */
void interrupt_end(void);

#endif
