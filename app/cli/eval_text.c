/* Perplexity over a text, and how far a model's distributions are from a reference's.
 *
 * The text is cut into windows of --ctx tokens. Each begins anew, its first token replaced by the one that begins a text; the
 * first half is context alone, and every token of the second is scored. That is how llama-perplexity counts, so that figures
 * compare:
 *
 *     0          window/2                    window − 1
 *     ├ not scored ┼ rows of logits … ────────┤
 *                   └ each says what the next token is: window − 1 − window/2 scores */
#include <stdlib.h>
#include <string.h>

#include "eval.h"

enum { LOSS, REFERENCE_LOSS, DIVERGENCE, SAME, COLUMNS };

static bool tokenize(const struct loaded *model, const struct textbuf *text, mote_ids *ids)
{
    mote_error error;
    const char *at = text->at != NULL ? text->at : "";
    if (mote_tokenize(model->model, at, text->length, MOTE_TOKENIZE_BOS, ids, &error) == MOTE_OK)
        return true;
    complain("%s", error.text);
    return false;
}

static bool reads_alike(const struct eval *eval)
{
    mote_ids ids = {0};
    if (eval->reference.model == NULL)
        return true;
    bool good = tokenize(&eval->reference, &eval->text, &ids);
    bool alike = good && eval->reference.info.vocabulary == eval->model.info.vocabulary &&
                 ids.count == eval->ids.count && memcmp(ids.at, eval->ids.at, ids.count * sizeof *ids.at) == 0;
    mote_ids_free(&ids);
    if (good && !alike)
        complain("the reference reads the text as other tokens; distributions compare only for one vocabulary");
    return alike;
}

static bool prepare(struct eval *eval)
{
    mote_ids begin = {0};
    bool good = tokenize(&eval->model, &(struct textbuf){0}, &begin);
    eval->begin = begin.count > 0 ? begin.at[0] : -1;
    mote_ids_free(&begin);
    if (!good || !tokenize(&eval->model, &eval->text, &eval->ids) || !reads_alike(eval))
        return false;
    eval->window = eval->model.limits.context;
    eval->units = eval->ids.count / eval->window;
    eval->columns = eval->reference.model != NULL ? COLUMNS : 1;
    eval->per_unit = eval->window - 1 - eval->window / 2;
    if (eval->units == 0)
        complain("%s has %zu tokens and a window %zu; give a longer text or a smaller --ctx", eval->path,
                 eval->ids.count, eval->window);
    else if (eval->settings->chunks != 0 && eval->units > eval->settings->chunks)
        eval->units = eval->settings->chunks;
    return eval->units > 0;
}

static bool score(void *user, const float *row, const float *reference, mote_token next)
{
    struct eval *eval = user;
    size_t width = eval->model.info.vocabulary;
    double sum = row_log_sum(row, width);
    if (!eval_add(eval, LOSS, sum - (double)row[next]))
        return false;
    if (reference == NULL)
        return true;
    double reference_sum = row_log_sum(reference, width);
    return eval_add(eval, REFERENCE_LOSS, reference_sum - (double)reference[next]) &&
           eval_add(eval, DIVERGENCE, row_divergence(reference, reference_sum, row, sum, width)) &&
           eval_add(eval, SAME, row_top(row, width) == row_top(reference, width));
}

static bool compute(struct eval *eval, size_t unit)
{
    mote_token *ids = eval->ids.at + unit * eval->window;
    if (eval->begin >= 0)
        ids[0] = eval->begin;
    return eval_rows(eval, ids, eval->window, eval->window / 2, score, eval);
}

/* ---------------------------------------------------------------------------------------------------------- reporting */

static json_t *reference_json(struct eval *eval)
{
    const struct series *divergences = &eval->column[DIVERGENCE];
    struct estimate perplexity = series_perplexity(&eval->column[REFERENCE_LOSS]);
    struct estimate divergence = series_mean(divergences), same = series_mean(&eval->column[SAME]);
    series_sort(&eval->column[DIVERGENCE]);
    /* clang-format off */
    return json_pack("{s:o, s:o, s:{s:f, s:f, s:f, s:f, s:f}, s:f, s:f}",
        "perplexity", eval_number(perplexity.mean),
        "perplexity_error", eval_number(perplexity.error),
        "divergence",
            "mean", divergence.mean,
            "error", divergence.error,
            "median", series_quantile(divergences, 0.5),
            "p99", series_quantile(divergences, 0.99),
            "most", series_quantile(divergences, 1),
        "same_token", same.mean,
        "same_token_error", same.error);
    /* clang-format on */
}

static json_t *report(struct eval *eval)
{
    struct estimate perplexity = series_perplexity(&eval->column[LOSS]);
    /* clang-format off */
    json_t *root = json_pack("{s:o, s:o, s:f, s:I, s:I, s:I}",
        "perplexity", eval_number(perplexity.mean),
        "perplexity_error", eval_number(perplexity.error),
        "loss", series_mean(&eval->column[LOSS]).mean,
        "tokens", (json_int_t)eval->column[LOSS].count,
        "windows", (json_int_t)eval->units,
        "context", (json_int_t)eval->window);
    /* clang-format on */
    if (root != NULL && eval->reference.model != NULL &&
        json_object_set_new(root, "reference", reference_json(eval)) != 0) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

static void print(struct eval *eval, struct output *out)
{
    const struct series *divergences = &eval->column[DIVERGENCE];
    eval_print(out, "perplexity", series_perplexity(&eval->column[LOSS]), "");
    output_print(out, "%-24s%zu of %zu windows of %zu tokens\n", "tokens scored", eval->column[LOSS].count, eval->units,
                 eval->window);
    if (eval->reference.model == NULL)
        return;
    struct estimate divergence = series_mean(divergences), same = series_mean(&eval->column[SAME]);
    series_sort(&eval->column[DIVERGENCE]);
    eval_print(out, "reference's perplexity", series_perplexity(&eval->column[REFERENCE_LOSS]), "");
    output_print(out, "%-24s%.6f \xc2\xb1 %.6f nats\n", "divergence, mean", divergence.mean, divergence.error);
    output_print(out, "%-24s%.6f\n", "divergence, median", series_quantile(divergences, 0.5));
    output_print(out, "%-24s%.6f\n", "divergence, 99% below", series_quantile(divergences, 0.99));
    output_print(out, "%-24s%.6f\n", "divergence, most", series_quantile(divergences, 1));
    output_print(out, "%-24s%.3f%% \xc2\xb1 %.3f%%\n", "same token", 100 * same.mean, 100 * same.error);
}

const struct eval_task eval_text = {"text", "windows", prepare, compute, report, print};
