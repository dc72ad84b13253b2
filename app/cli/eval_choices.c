/* Multiple choice: which ending of a text does the model find likeliest?
 *
 * A question becomes a context and endings, each of which is scored by the sum of its tokens' logarithms of probability, as
 * it is and divided by its bytes. The layouts are told apart by their keys:
 *
 *     HellaSwag  {"ctx", "endings": […], "label": 2 or "2"}                context: ctx
 *     ARC        {"question": {"stem", "choices": [{"text", "label"}]},    context: "Question: …\nAnswer:"
 *                 "answerKey": "B"}
 *       flat     {"question", "choices": {"text": […], "label": […]}, "answerKey"}
 *     MMLU       {"question", "choices": […], "answer": 1 or "B"}          context: the question, "A. …", …, "Answer:";
 *                                                                          endings: the letters */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"

enum { CORRECT, CORRECT_BY_BYTE, CHANCE, COLUMNS, ENDINGS_MAX = 26 };

struct question {
    struct textbuf context;
    const char *ending[ENDINGS_MAX]; /* of the line's JSON, or a letter; a blank comes before it */
    size_t count;
    size_t answer;
};

/* ------------------------------------------------------------------------------------------------------------ layouts */

static bool put(struct question *q, const char *before, const char *text)
{
    return textbuf_append(&q->context, before, strlen(before)) && textbuf_append(&q->context, text, strlen(text));
}

static const char *take_endings(struct question *q, const json_t *list, const char *key)
{
    q->count = json_array_size(list);
    if (q->count < 2 || q->count > ENDINGS_MAX)
        return "the choices are no list of 2 to 26; give them as such";
    for (size_t i = 0; i < q->count; i++) {
        const json_t *item = json_array_get(list, i);
        q->ending[i] = json_string_value(key != NULL ? json_object_get(item, key) : item);
        if (q->ending[i] == NULL || *q->ending[i] == '\0')
            return "a choice is empty, or no text; give a text for each";
    }
    return NULL;
}

/* 2, "2" or "C": the third. */
static const char *take_index(struct question *q, const json_t *answer)
{
    static const char wrong[] = "the answer is missing, or none of the choices; give its index, from 0";
    const char *text = json_string_value(answer);
    uint64_t index = UINT64_MAX;
    if (json_is_integer(answer) && json_integer_value(answer) >= 0)
        index = (uint64_t)json_integer_value(answer);
    else if (text != NULL && text[0] >= 'A' && text[0] <= 'Z' && text[1] == '\0')
        index = (uint64_t)(text[0] - 'A');
    else if (text != NULL)
        (void)parse_number(text, 0, ENDINGS_MAX, &index);
    if (index >= q->count)
        return wrong;
    q->answer = (size_t)index;
    return NULL;
}

/* ARC names its choices A to E, or 1 to 5: `labels` are texts, or with a key, objects that hold them. */
static const char *take_label(struct question *q, const json_t *labels, const char *key, const json_t *answer)
{
    const char *wanted = json_string_value(answer);
    for (size_t i = 0; i < q->count && wanted != NULL; i++) {
        const json_t *item = json_array_get(labels, i);
        const char *label = json_string_value(key != NULL ? json_object_get(item, key) : item);
        q->answer = i;
        if (label != NULL && strcmp(label, wanted) == 0)
            return NULL;
    }
    return "answerKey is missing, or the label of none of the choices; give the right one's";
}

static const char *no_memory = "no memory for the question; free some";

static const char *take_hellaswag(struct question *q, const json_t *root)
{
    const char *context = json_string_value(json_object_get(root, "ctx"));
    const char *wrong = take_endings(q, json_object_get(root, "endings"), NULL);
    if (context == NULL)
        return "endings without a ctx; give the text that they end";
    if (wrong == NULL)
        wrong = take_index(q, json_object_get(root, "label"));
    return wrong != NULL ? wrong : put(q, "", context) ? NULL : no_memory;
}

static const char *take_arc(struct question *q, const char *stem, const json_t *texts, const json_t *labels,
                            const json_t *root, bool nested)
{
    if (stem == NULL)
        return "the question has no text; give it as question, or question.stem";
    const char *wrong = take_endings(q, texts, nested ? "text" : NULL);
    if (wrong == NULL)
        wrong = take_label(q, labels, nested ? "label" : NULL, json_object_get(root, "answerKey"));
    return wrong != NULL ? wrong : put(q, "Question: ", stem) && put(q, "\nAnswer:", "") ? NULL : no_memory;
}

static const char *take_mmlu(struct question *q, const char *text, const json_t *choices, const json_t *root)
{
    static const char *const letters[ENDINGS_MAX] = {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M",
                                                     "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z"};
    const char *wrong = take_endings(q, choices, NULL);
    if (wrong == NULL)
        wrong = take_index(q, json_object_get(root, "answer"));
    if (wrong != NULL)
        return wrong;
    bool done = put(q, "", text);
    for (size_t i = 0; i < q->count && done; i++) {
        done = put(q, "\n", letters[i]) && put(q, ". ", q->ending[i]);
        q->ending[i] = letters[i];
    }
    return done && put(q, "\nAnswer:", "") ? NULL : no_memory;
}

/* NULL, or what is wrong. The question borrows from the JSON. */
static const char *take_question(struct question *q, const json_t *root)
{
    const json_t *question = json_object_get(root, "question"), *choices = json_object_get(root, "choices");
    *q = (struct question){0};
    if (json_object_get(root, "endings") != NULL)
        return take_hellaswag(q, root);
    if (json_is_object(question)) {
        const json_t *list = json_object_get(question, "choices");
        return take_arc(q, json_string_value(json_object_get(question, "stem")), list, list, root, true);
    }
    if (json_is_object(choices))
        return take_arc(q, json_string_value(question), json_object_get(choices, "text"),
                        json_object_get(choices, "label"), root, false);
    if (json_is_string(question) && json_is_array(choices))
        return take_mmlu(q, json_string_value(question), choices, root);
    return "no layout that mote eval knows; give ctx and endings, or a question and choices (see the manual)";
}

/* ------------------------------------------------------------------------------------------------------------ scoring */

static bool prepare(struct eval *eval)
{
    eval->columns = COLUMNS;
    eval->per_unit = 1;
    bool good = eval_lines(eval);
    for (size_t i = 0; i < eval->units && good; i++) {
        struct question q = {0};
        json_t *root = eval_line(eval, i);
        const char *wrong = root != NULL ? take_question(&q, root) : NULL;
        good = root != NULL && wrong == NULL;
        if (wrong != NULL)
            eval_complain(eval, i, "%s", wrong);
        textbuf_free(&q.context);
        json_decref(root);
    }
    return good;
}

struct ending_score {
    const struct eval *eval;
    double sum;
};

static bool score_row(void *user, const float *row, const float *reference, mote_token next)
{
    struct ending_score *score = user;
    (void)reference;
    score->sum += (double)row[next] - row_log_sum(row, score->eval->model.info.vocabulary);
    return true;
}

static bool tokenize(struct eval *eval, size_t unit, const struct textbuf *text, mote_ids *ids)
{
    mote_error error;
    if (mote_tokenize(eval->model.model, text->at != NULL ? text->at : "", text->length, MOTE_TOKENIZE_BOS, ids,
                      &error) == MOTE_OK)
        return true;
    eval_complain(eval, unit, "%s", error.text);
    return false;
}

/* Scores the tokens of context and ending that are not those of the context alone; the text's first token, which nothing
 * comes before, has no score. */
static bool score_ids(struct eval *eval, size_t unit, const mote_ids *context, const mote_ids *whole, double *sum)
{
    size_t common = 0;
    while (common < context->count && common < whole->count && context->at[common] == whole->at[common])
        common++;
    common = common > 0 ? common : 1;
    if (whole->count > eval->model.limits.context) {
        eval_complain(eval, unit, "%zu tokens, and the context holds %u; make it larger with --ctx", whole->count,
                      eval->model.limits.context);
        return false;
    }
    if (common >= whole->count) {
        eval_complain(eval, unit, "a choice has no tokens to score; give a text of more than one");
        return false;
    }
    struct ending_score score = {eval, 0};
    bool done = eval_rows(eval, whole->at, whole->count, common - 1, score_row, &score);
    *sum = score.sum;
    return done;
}

static bool score_ending(struct eval *eval, size_t unit, struct question *q, size_t ending, double *sum)
{
    mote_ids context = {0}, whole = {0};
    size_t length = q->context.length;
    bool done = tokenize(eval, unit, &q->context, &context);
    if (done && !put(q, " ", q->ending[ending])) {
        eval_complain(eval, unit, "%s", no_memory);
        done = false;
    }
    done = done && tokenize(eval, unit, &q->context, &whole) && score_ids(eval, unit, &context, &whole, sum);
    q->context.length = length;
    mote_ids_free(&context);
    mote_ids_free(&whole);
    return done;
}

static bool choose(struct eval *eval, size_t unit, struct question *q)
{
    double best = 0, best_by_byte = 0;
    size_t chosen = 0, chosen_by_byte = 0;
    for (size_t i = 0; i < q->count; i++) {
        double sum;
        if (!score_ending(eval, unit, q, i, &sum))
            return false;
        double by_byte = sum / (double)strlen(q->ending[i]);
        if (i == 0 || sum > best) {
            best = sum;
            chosen = i;
        }
        if (i == 0 || by_byte > best_by_byte) {
            best_by_byte = by_byte;
            chosen_by_byte = i;
        }
    }
    return eval_add(eval, CORRECT, chosen == q->answer) &&
           eval_add(eval, CORRECT_BY_BYTE, chosen_by_byte == q->answer) &&
           eval_add(eval, CHANCE, 1.0 / (double)q->count);
}

static bool compute(struct eval *eval, size_t unit)
{
    struct question q;
    json_t *root = eval_line(eval, unit);
    if (root == NULL)
        return false;
    bool done = take_question(&q, root) == NULL && choose(eval, unit, &q);
    textbuf_free(&q.context);
    json_decref(root);
    return done;
}

static json_t *report(struct eval *eval)
{
    struct estimate plain = series_mean(&eval->column[CORRECT]), by_byte = series_mean(&eval->column[CORRECT_BY_BYTE]);
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:I}", "accuracy", plain.mean, "accuracy_error", plain.error,
                     "accuracy_by_byte", by_byte.mean, "accuracy_by_byte_error", by_byte.error, "chance",
                     series_mean(&eval->column[CHANCE]).mean, "questions", (json_int_t)eval->units);
}

static void print(struct eval *eval, struct output *out)
{
    eval_print(out, "accuracy", series_mean(&eval->column[CORRECT]), "");
    eval_print(out, "accuracy by byte", series_mean(&eval->column[CORRECT_BY_BYTE]), "");
    output_print(out, "%-24s%.4f\n", "by chance", series_mean(&eval->column[CHANCE]).mean);
    output_print(out, "%-24s%zu\n", "questions", eval->units);
}

const struct eval_task eval_choices = {"choices", "questions", prepare, compute, report, print};
