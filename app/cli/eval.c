#include "eval.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"

enum { LINE_MAX_BYTES = 1 << 20 };

/* -------------------------------------------------------------------------------------------------------------- lines */

void eval_complain(const struct eval *eval, size_t unit, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    complain("%s:%zu: %s", eval->path, eval->number[unit], text);
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r")] == '\0';
}

static size_t count_lines(const struct textbuf *text)
{
    size_t count = 1;
    for (size_t i = 0; i < text->length; i++)
        count += text->at[i] == '\n';
    return count;
}

bool eval_lines(struct eval *eval)
{
    if (!textbuf_append(&eval->text, "", 1)) {
        complain("no memory for the text of %s; give less", eval->path);
        return false;
    }
    char *at = eval->text.at, *end = at + eval->text.length;
    size_t count = count_lines(&eval->text);
    eval->line = calloc(count, sizeof *eval->line);
    eval->number = calloc(count, sizeof *eval->number);
    if (eval->line == NULL || eval->number == NULL) {
        complain("no memory for the %zu lines of %s; give less", count, eval->path);
        return false;
    }
    for (size_t number = 1; at < end; number++) {
        char *next = memchr(at, '\n', (size_t)(end - at));
        next = next != NULL ? next : end - 1;
        *next = '\0';
        eval->line[eval->units] = at;
        eval->number[eval->units] = number;
        if ((size_t)(next - at) > LINE_MAX_BYTES || strlen(at) != (size_t)(next - at)) {
            eval_complain(eval, eval->units, "a line of %zu bytes, or with a zero byte in it; give JSON lines up to %s",
                          (size_t)(next - at), human_bytes(LINE_MAX_BYTES).text);
            return false;
        }
        eval->units += !is_blank(at);
        at = next + 1;
    }
    if (eval->units == 0)
        complain("%s holds no lines; give a JSON object on each", eval->path);
    return eval->units > 0;
}

json_t *eval_line(const struct eval *eval, size_t unit)
{
    json_error_t error;
    json_t *root = json_loads(eval->line[unit], JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        eval_complain(eval, unit, "no JSON: %s at byte %d", error.text, error.position);
    else if (!json_is_object(root))
        eval_complain(eval, unit, "no JSON object; give one on each line");
    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------------- computing */

bool eval_add(struct eval *eval, size_t column, double value)
{
    if (isfinite(value) && series_add(&eval->column[column], value))
        return true;
    if (isfinite(value))
        complain("no memory for the figures; free some");
    else
        complain("the model computes what is no number; its file is damaged");
    return false;
}

static bool step(const struct loaded *model, const mote_token *ids, size_t count, float *logits)
{
    mote_error error;
    const mote_work work = {model->session, ids, count, logits, logits != NULL ? count : 0};
    if (count == 0)
        return true;
    mote_status status = interrupted() ? MOTE_E_CANCELLED : mote_engine_step(model->engine, &work, 1, &error);
    if (status != MOTE_OK && status != MOTE_E_CANCELLED)
        complain("%s", error.text);
    return status == MOTE_OK;
}

/* Makes the session hold exactly the first `count` ids, fewer than there are. */
static bool hold(const struct loaded *model, const mote_token *ids, size_t count)
{
    size_t held = mote_session_hold(model->session, ids, count + 1);
    return step(model, ids + held, count - held, NULL);
}

bool eval_rows(struct eval *eval, const mote_token *ids, size_t count, size_t from, eval_row *sink, void *user)
{
    const struct loaded *models[2] = {&eval->model, &eval->reference};
    size_t used = eval->reference.model != NULL ? 2 : 1, width = eval->model.info.vocabulary;
    for (size_t m = 0; m < used; m++)
        if (!hold(models[m], ids, from))
            return false;
    for (size_t at = from; at + 1 < count; at += eval->rows) {
        size_t rows = count - 1 - at < eval->rows ? count - 1 - at : eval->rows;
        for (size_t m = 0; m < used; m++)
            if (!step(models[m], ids + at, rows, eval->logits[m]))
                return false;
        for (size_t i = 0; i < rows; i++)
            if (!sink(user, eval->logits[0] + i * width, used == 2 ? eval->logits[1] + i * width : NULL,
                      ids[at + i + 1]))
                return false;
    }
    return true;
}

/* ---------------------------------------------------------------------------------------------------------- reporting */

json_t *eval_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

void eval_print(struct output *out, const char *name, struct estimate value, const char *unit)
{
    output_print(out, "%-24s%.4f%s \xc2\xb1 %.4f\n", name, value.mean, unit, value.error);
}
