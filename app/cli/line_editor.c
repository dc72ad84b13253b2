#include "line_editor.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "interrupt.h"
#include "output.h"
#include "state_path.h"

enum { HISTORY_LINES = 1000, LINE_MAX_BYTES = 1 << 20 };

struct line_editor {
    EditLine *edit; /* NULL: not a terminal */
    History *history;
    const char *prompt;
    mbstate_t partial; /* of a character whose bytes are arriving */
    char input[4096];  /* what was read where there is no terminal, and how far it is used */
    size_t input_at, input_filled;
};

/* ---------------------------------------------------------------------------------------------------------- history */

static void load_history(struct line_editor *editor)
{
    char path[STATE_PATH_CAPACITY];
    HistEvent event;
    history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    history(editor->history, &event, H_SETUNIQUE, 1);
    if (state_path(path, "history", true))
        history(editor->history, &event, H_LOAD, path);
}

/* Whole or not at all: written beside the old one, readable by its owner alone, then put in its place. */
static void save_history(struct line_editor *editor)
{
    char path[STATE_PATH_CAPACITY], fresh[STATE_PATH_CAPACITY];
    HistEvent event;
    if (!state_path(path, "history", true))
        return;
    snprintf(fresh, sizeof fresh, "%.*s.new", STATE_PATH_CAPACITY - 8, path);
    mode_t mask = umask(0077);
    if (history(editor->history, &event, H_SAVE, fresh) < 0 || rename(fresh, path) != 0)
        unlink(fresh);
    umask(mask);
}

/* ---------------------------------------------------------------------------------------------------------- editing */

/* libedit reads characters in the encoding of the locale. Devices often have none set; the text is UTF-8 all the
 * same. */
static void choose_encoding(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static char *show_prompt(EditLine *edit)
{
    static char nothing[] = "";
    struct line_editor *editor = NULL;
    el_get(edit, EL_CLIENTDATA, &editor);
    return editor != NULL ? (char *)editor->prompt : nothing;
}

/* The terminal may have changed while the person thought. */
static void follow_terminal(EditLine *edit)
{
    if (interrupt_resized())
        el_resize(edit);
    if (interrupt_continued()) { /* a shell has put the terminal back to line mode; libedit must hear that it left */
        el_set(edit, EL_PREP_TERM, 0);
        el_set(edit, EL_PREP_TERM, 1);
        el_set(edit, EL_REFRESH);
    }
}

/* Decodes byte by byte; true when a character is complete. What is not UTF-8 is dropped, but never the byte that
 * shows it: line mode may have erased half a character before the line break. */
static bool add_byte(struct line_editor *editor, char byte, wchar_t *character)
{
    if (byte == '\0') /* Ctrl-D, typed ahead while the terminal was in line mode */
        byte = 'D' & 0x1f;
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t used = mbrtowc(character, &byte, 1, &editor->partial);
        if (used != (size_t)-1)
            return used != (size_t)-2;
        editor->partial = (mbstate_t){0};
    }
    return false;
}

/* One character for libedit: 1, 0 at the end of input, -1 to give the line up. */
static int get_character(EditLine *edit, wchar_t *character)
{
    struct line_editor *editor = NULL;
    el_get(edit, EL_CLIENTDATA, &editor);
    for (;;) {
        char byte;
        if (!interrupt_wait(STDIN_FILENO)) {
            if (interrupted())
                return -1;
            follow_terminal(edit);
            continue;
        }
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        if (add_byte(editor, byte, character))
            return 1;
    }
}

static bool start_editing(struct line_editor *editor)
{
    choose_encoding();
    editor->history = history_init();
    editor->edit = editor->history != NULL ? el_init("mote", stdin, stdout, stderr) : NULL;
    if (editor->edit == NULL)
        return false;
    load_history(editor);
    el_set(editor->edit, EL_CLIENTDATA, editor);
    el_set(editor->edit, EL_PROMPT, show_prompt);
    el_set(editor->edit, EL_GETCFN, get_character);
    el_set(editor->edit, EL_HIST, history, editor->history);
    el_set(editor->edit, EL_EDITOR, "emacs");
    el_set(editor->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(editor->edit, NULL); /* the person's own ~/.editrc */
    interrupt_watch_terminal();
    return true;
}

struct line_editor *line_editor_open(void)
{
    struct line_editor *editor = calloc(1, sizeof *editor);
    if (editor == NULL)
        return NULL;
    if (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && !start_editing(editor)) {
        line_editor_close(editor);
        return NULL;
    }
    return editor;
}

void line_editor_close(struct line_editor *editor)
{
    if (editor == NULL)
        return;
    if (editor->edit != NULL) {
        save_history(editor);
        el_end(editor->edit);
    }
    if (editor->history != NULL)
        history_end(editor->history);
    free(editor);
}

bool line_editor_interactive(const struct line_editor *editor)
{
    return editor->edit != NULL;
}

/* ---------------------------------------------------------------------------------------------------------- reading */

static line_result add_text(struct textbuf *line, const char *text, size_t length)
{
    if (length <= LINE_MAX_BYTES - line->length && textbuf_append(line, text, length))
        return LINE_READ;
    complain("a line is longer than %d bytes; give shorter ones", LINE_MAX_BYTES);
    return LINE_FAILED;
}

static line_result read_edited(struct line_editor *editor, struct textbuf *line)
{
    HistEvent event;
    int count = 0;
    el_set(editor->edit, EL_PREP_TERM, 1); /* before the prompt, so that who sees it can rely on the keys */
    const char *text = el_gets(editor->edit, &count);
    if (interrupted()) {
        el_reset(editor->edit);
        fputc('\n', stdout);
        fflush(stdout);
        clearerr(stdout); /* the next signal may have come before that was out */
        return interrupted() == SIGINT ? LINE_INTERRUPTED : LINE_END;
    }
    if (text == NULL || count <= 0)
        return LINE_END;
    size_t length = strcspn(text, "\n");
    if (length > 0) {
        char *entry = strndup(text, length);
        if (entry != NULL)
            history(editor->history, &event, H_ENTER, entry);
        free(entry);
    }
    return add_text(line, text, length);
}

static line_result read_plain(struct line_editor *editor, struct textbuf *line)
{
    for (;;) {
        while (editor->input_at < editor->input_filled) {
            char byte = editor->input[editor->input_at++];
            if (byte == '\n')
                return LINE_READ;
            if (add_text(line, &byte, 1) != LINE_READ)
                return LINE_FAILED;
        }
        if (!interrupt_wait(STDIN_FILENO)) {
            if (interrupted())
                return LINE_END;
            continue;
        }
        ssize_t got = read(STDIN_FILENO, editor->input, sizeof editor->input);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) { /* half a line is not what was meant */
            complain("cannot read standard input: %s; check where the input comes from", strerror(errno));
            return LINE_BROKEN;
        }
        if (got == 0)
            return line->length > 0 ? LINE_READ : LINE_END;
        editor->input_at = 0;
        editor->input_filled = (size_t)got;
    }
}

line_result line_editor_read(struct line_editor *editor, const char *prompt, struct textbuf *line)
{
    line->length = 0;
    editor->prompt = prompt;
    return editor->edit != NULL ? read_edited(editor, line) : read_plain(editor, line);
}
