/* Lines from a person: with editing and history on a terminal (libedit), plainly elsewhere. */
#ifndef MOTE_CLI_LINE_EDITOR_H
#define MOTE_CLI_LINE_EDITOR_H

#include "textbuf.h"

struct line_editor;

typedef enum line_result {
    LINE_READ,
    LINE_END,         /* of input, or a signal that ends the program */
    LINE_INTERRUPTED, /* Ctrl-C: the line is dropped */
    LINE_FAILED,      /* after complaining: no memory, or longer than a line may be */
    LINE_BROKEN       /* the same, and no line will come any more */
} line_result;

/* NULL without memory. Editing needs standard input and output to be a terminal. History is read from
 * $XDG_STATE_HOME/mote/history (~/.local/state/mote/history) and saved there on close; if it cannot be, nobody
 * minds. */
struct line_editor *line_editor_open(void);
void line_editor_close(struct line_editor *editor);

/* True if a person sits there: prompts and notes make sense. */
bool line_editor_interactive(const struct line_editor *editor);

/* Puts the next line, without its line break, in `line`. `prompt` is shown on a terminal. */
line_result line_editor_read(struct line_editor *editor, const char *prompt, struct textbuf *line);

#endif
