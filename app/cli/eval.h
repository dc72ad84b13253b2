/* mote eval inside: what a task is, and what all tasks share.
 *
 * A task is a number of units, windows of a text or lines of a file, that are computed one after the other. Each adds its
 * numbers to columns; what is reported follows from the columns alone. So a run that is taken up again (eval_state.h) gives
 * the figures of one that was not interrupted.
 *
 *     columns    loss │ reference │ divergence │ same        of a text: a number for each token that is scored
 *                correct │ correct by length │ chance        of choices: for each line
 *                match                                       of exact answers: for each line */
#ifndef MOTE_CLI_EVAL_H
#define MOTE_CLI_EVAL_H

#include <jansson.h>

#include "eval_statistics.h"
#include "json_output.h"
#include "loading.h"
#include "textbuf.h"

enum { EVAL_COLUMNS_MAX = 4 };

struct eval {
    const struct settings *settings;
    const struct eval_task *task;
    const char *path; /* of the text or the lines */
    struct textbuf text;
    struct loaded model;
    struct loaded reference; /* its model NULL: there is none */
    float *logits[2];        /* [rows][vocabulary] of each */
    size_t rows;

    size_t units;
    size_t columns;  /* that the task fills */
    size_t per_unit; /* numbers that a unit adds to each of them */
    size_t done;     /* units */
    struct series column[EVAL_COLUMNS_MAX];
    json_t *identity; /* what figures depend on; see eval_state.h */

    mote_ids ids;      /* of a text: all of it */
    size_t window;     /* tokens of a unit */
    mote_token begin;  /* what every window begins with; -1: the text's own token */
    const char **line; /* of lines: [units], each NUL-terminated */
    size_t *number;    /* [units]: its place in the file, from 1 */
};

struct eval_task {
    const char *name; /* "text" */
    const char *unit; /* "windows" */
    /* Finds what can be found wrong with the text before hours of computing; sets units, columns and per_unit. */
    bool (*prepare)(struct eval *eval);
    bool (*compute)(struct eval *eval, size_t unit);
    json_t *(*report)(struct eval *eval); /* NULL without memory */
    void (*print)(struct eval *eval, struct output *out);
};

/* False after complaining, but for a computation that the program was asked to stop. */
extern const struct eval_task eval_text, eval_choices, eval_exact;

/* The file of the reference model: without --ref the model itself, with other numbers in the cache. NULL: the built-in one. */
static inline const char *eval_reference_path(const struct settings *settings)
{
    return settings->reference != NULL ? settings->reference : settings->model;
}

/* Cuts the text into lines; those that are blank are left out. */
bool eval_lines(struct eval *eval);
/* The object on a line of JSON; NULL after complaining. */
json_t *eval_line(const struct eval *eval, size_t unit);
/* "FILE:12: …" */
void eval_complain(const struct eval *eval, size_t unit, const char *format, ...) __attribute__((format(printf, 3, 4)));

bool eval_add(struct eval *eval, size_t column, double value);

/* Runs ids[0 … count) and hands over the rows of logits after ids[from], …, ids[count − 2], with what follows each of them:
 * what the model says of ids[from + 1], … The reference's row is NULL where there is none. What the session holds of the ids
 * already is not computed again. */
typedef bool eval_row(void *user, const float *row, const float *reference, mote_token next);
bool eval_rows(struct eval *eval, const mote_token *ids, size_t count, size_t from, eval_row *sink, void *user);

/* A number for JSON, null where it is none that JSON has. */
json_t *eval_number(double value);
/* "0.8125 ± 0.0277" */
void eval_print(struct output *out, const char *name, struct estimate value, const char *unit);

#endif
