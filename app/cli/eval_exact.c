/* Exact answers: the model's likeliest answer to a prompt, is it one of those that are right?
 *
 *     {"prompt": "…", "answer": "…"}      or a list of answers; white space around them does not count */
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "interrupt.h"

enum { MATCH, COLUMNS };

static const char *check(const json_t *root)
{
    const json_t *prompt = json_object_get(root, "prompt"), *answer = json_object_get(root, "answer");
    if (!json_is_string(prompt) || json_string_length(prompt) == 0)
        return "prompt is missing, empty or no text; give one";
    if (json_is_string(answer))
        return NULL;
    if (json_array_size(answer) == 0)
        return "answer is missing; give a text, or a list of texts";
    for (size_t i = 0; i < json_array_size(answer); i++)
        if (!json_is_string(json_array_get(answer, i)))
            return "an answer is no text; give a text, or a list of texts";
    return NULL;
}

static bool prepare(struct eval *eval)
{
    eval->columns = COLUMNS;
    eval->per_unit = 1;
    bool good = eval_lines(eval);
    for (size_t i = 0; i < eval->units && good; i++) {
        json_t *root = eval_line(eval, i);
        const char *wrong = root != NULL ? check(root) : NULL;
        good = root != NULL && wrong == NULL;
        if (wrong != NULL)
            eval_complain(eval, i, "%s", wrong);
        json_decref(root);
    }
    return good;
}

/* As mote run would take it. */
static mote_status encode(const struct eval *eval, const char *prompt, mote_ids *ids, mote_error *error)
{
    const char *system = eval->settings->system;
    mote_message messages[2];
    size_t count = 0;
    if (eval->settings->raw || *eval->model.info.chat_format == '\0')
        return mote_tokenize(eval->model.model, prompt, strlen(prompt), MOTE_TOKENIZE_BOS, ids, error);
    if (system != NULL)
        messages[count++] = (mote_message){"system", system, strlen(system)};
    messages[count++] = (mote_message){"user", prompt, strlen(prompt)};
    return mote_chat_encode(eval->model.model, messages, count, true, ids, error);
}

static bool take_text(void *user, const char *text, size_t length)
{
    return textbuf_append(user, text, length) && !interrupted();
}

/* The likeliest answer. False after complaining, or when the program was asked to stop. */
static bool generate(struct eval *eval, size_t unit, const char *prompt, struct textbuf *answer)
{
    mote_error error;
    mote_ids ids = {0};
    mote_sampling sampling;
    mote_generation made;
    mote_generation_options options;
    mote_sampling_init(&sampling);
    mote_generation_options_init(&options);
    sampling.temperature = 0;
    options.sampling = &sampling;
    options.max_tokens = eval->settings->max_tokens;
    options.stop = eval->settings->stops;
    options.stop_count = eval->settings->stop_count;
    options.on_text = take_text;
    options.user = answer;
    mote_status status = encode(eval, prompt, &ids, &error);
    if (status == MOTE_OK)
        status = mote_generate(eval->model.session, ids.at, ids.count, &options, &made, &error);
    mote_ids_free(&ids);
    if (status != MOTE_OK && status != MOTE_E_CANCELLED)
        eval_complain(eval, unit, "%s", error.text);
    else if (status == MOTE_OK && made.finish == MOTE_FINISH_CANCELLED && !interrupted())
        eval_complain(eval, unit, "no memory for the answer; give a smaller --tokens");
    return status == MOTE_OK && made.finish != MOTE_FINISH_CANCELLED;
}

static bool is_space(char c)
{
    return c != '\0' && strchr(" \t\r\n\f\v", c) != NULL;
}

static struct textbuf trimmed(char *text, size_t length)
{
    while (length > 0 && is_space(text[length - 1]))
        length--;
    while (length > 0 && is_space(*text)) {
        text++;
        length--;
    }
    return (struct textbuf){.at = text, .length = length};
}

static bool same(const struct textbuf *text, const char *wanted)
{
    struct textbuf one = trimmed(text->at, text->length), two = trimmed((char *)wanted, strlen(wanted));
    return one.length == two.length && (one.length == 0 || memcmp(one.at, two.at, one.length) == 0);
}

static bool is_right(const struct textbuf *text, const json_t *answer)
{
    if (json_is_string(answer))
        return same(text, json_string_value(answer));
    for (size_t i = 0; i < json_array_size(answer); i++)
        if (same(text, json_string_value(json_array_get(answer, i))))
            return true;
    return false;
}

static bool compute(struct eval *eval, size_t unit)
{
    struct textbuf answer = {0};
    json_t *root = eval_line(eval, unit);
    bool done = root != NULL && generate(eval, unit, json_string_value(json_object_get(root, "prompt")), &answer) &&
                eval_add(eval, MATCH, is_right(&answer, json_object_get(root, "answer")));
    textbuf_free(&answer);
    json_decref(root);
    return done;
}

static json_t *report(struct eval *eval)
{
    struct estimate matches = series_mean(&eval->column[MATCH]);
    return json_pack("{s:f, s:f, s:I}", "exact", matches.mean, "exact_error", matches.error, "prompts",
                     (json_int_t)eval->units);
}

static void print(struct eval *eval, struct output *out)
{
    eval_print(out, "exact answers", series_mean(&eval->column[MATCH]), "");
    output_print(out, "%-24s%zu\n", "prompts", eval->units);
}

const struct eval_task eval_exact = {"exact", "prompts", prepare, compute, report, print};
