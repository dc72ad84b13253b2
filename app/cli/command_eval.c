/* mote eval: what a model is worth, by figures that compare. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "eval.h"
#include "eval_state.h"
#include "input.h"
#include "interrupt.h"
#include "progress.h"

enum {
    TEXT_MAX = 1 << 30, /* the library's bound */
    SYSTEM_MAX = 16 << 20,
    ROWS_BYTES = 64 << 20, /* of logits held at once, for each model */
    DEFAULT_WINDOW = 512,
    DEFAULT_TOKENS = 256
};

static const double save_pace = 2;     /* seconds between two states */
static const double save_share = 0.05; /* of the time, at the most, for saving */

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"text", 'f', OPTION_TEXT, "FILE", 1, 4096, AT(file),
     "Perplexity over a text, in windows of --ctx tokens (512 unless given), of which the second half is scored."},
    {"ref", 0, OPTION_TEXT, "MODEL", 1, 4096, AT(reference),
     "With --text: how far the model's distributions are from those of MODEL, from which it was made, say."},
    {"ref-kv", 0, OPTION_CHOICE, KV_TYPES, 0, 0, AT(reference_kv),
     "The reference's --kv. Without --ref the reference is the same model, so that only the cache is compared."},
    {"chunks", 0, OPTION_COUNT, "N", 1, 1 << 30, AT(chunks), "With --text: only the first N windows. Default: all."},
    {"choices", 0, OPTION_TEXT, "FILE", 1, 4096, AT(choices),
     "Accuracy on multiple-choice questions, JSON lines in the layout of HellaSwag, ARC or MMLU."},
    {"exact", 0, OPTION_TEXT, "FILE", 1, 4096, AT(exact),
     "How many prompts are answered as they should be: JSON lines with prompt and answer, a text or a list of texts."},
    {"tokens", 'n', OPTION_COUNT, "N", 1, 1 << 24, AT(max_tokens),
     "With --exact: the longest answer, in tokens. Default: 256."},
    {"system", 's', OPTION_TEXT, "TEXT", 0, SYSTEM_MAX, AT(system), "With --exact: instructions before each prompt."},
    {"raw", 0, OPTION_FLAG, NULL, 0, 0, AT(raw), "With --exact: no chat format."},
    {"stop", 0, OPTION_STOP, "TEXT", 1, STOP_BYTES_MAX, AT(stops),
     "With --exact: end an answer before TEXT. May be given 16 times."},
    {"resume", 0, OPTION_TEXT, "FILE", 1, 4096, AT(resume),
     "Keep in FILE what has been found, every few seconds, and go on from there if it exists."},
    {"json", 'j', OPTION_FLAG, NULL, 0, 0, AT(json), "Print one JSON object."},
    {0},
};
static const struct option_group own_options = {"Options", table};

/* ------------------------------------------------------------------------------------------------------------ opening */

static int check_words(const struct settings *s)
{
    if ((s->file != NULL) + (s->choices != NULL) + (s->exact != NULL) != 1)
        return usage_error("eval", "give one of --text, --choices and --exact");
    if (s->file == NULL && (s->reference != NULL || s->reference_kv != 0 || s->chunks != 0))
        return usage_error("eval", "--ref, --ref-kv and --chunks go with --text");
    if (s->exact == NULL && (s->max_tokens != 0 || s->system != NULL || s->raw || s->stop_count != 0))
        return usage_error("eval", "--tokens, --system, --raw and --stop go with --exact");
    if (s->raw && s->system != NULL)
        return usage_error("eval", "--system needs the chat format that --raw leaves out: give one of them");
    return EXIT_SUCCESS;
}

static bool open_reference(struct eval *eval)
{
    struct settings settings = *eval->settings;
    if (settings.reference == NULL && settings.reference_kv == 0)
        return true;
    settings.model = eval_reference_path(eval->settings);
    if (settings.reference_kv != 0) {
        settings.kv = settings.reference_kv;
        settings.kv_values = 0;
    }
    return loaded_open(&eval->reference, &settings);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static bool take_logits(struct eval *eval)
{
    bool two = eval->reference.model != NULL;
    size_t row = eval->model.info.vocabulary * sizeof(float);
    size_t reference_row = two ? eval->reference.info.vocabulary * sizeof(float) : 0;
    size_t largest = row > reference_row ? row : reference_row;
    uint32_t batch = two ? smaller(eval->model.limits.batch, eval->reference.limits.batch) : eval->model.limits.batch;
    eval->rows = ROWS_BYTES / largest < batch ? ROWS_BYTES / largest : batch;
    eval->rows = eval->rows > 0 ? eval->rows : 1;
    eval->logits[0] = malloc(eval->rows * row);
    eval->logits[1] = malloc(eval->rows * reference_row + 1);
    if (eval->logits[0] != NULL && eval->logits[1] != NULL)
        return true;
    complain("no memory for %zu rows of logits; give a smaller --batch", eval->rows);
    return false;
}

static bool open_all(struct eval *eval)
{
    if (!input_read(eval->path, TEXT_MAX, &eval->text) || !loaded_open(&eval->model, eval->settings) ||
        !open_reference(eval) || !take_logits(eval) || !eval->task->prepare(eval))
        return false;
    return eval->settings->resume == NULL || eval_state_load(eval, eval->settings->resume);
}

static void close_all(struct eval *eval)
{
    if (eval->reference.model != NULL)
        loaded_close(&eval->reference);
    loaded_close(&eval->model);
    for (size_t i = 0; i < EVAL_COLUMNS_MAX; i++)
        free(eval->column[i].at);
    free(eval->logits[0]);
    free(eval->logits[1]);
    free(eval->line);
    free(eval->number);
    mote_ids_free(&eval->ids);
    textbuf_free(&eval->text);
    json_decref(eval->identity);
}

/* ---------------------------------------------------------------------------------------------------------- computing */

/* A unit that did not come to its end leaves nothing. */
static bool compute_unit(struct eval *eval)
{
    size_t count = eval->column[0].count;
    if (eval->task->compute(eval, eval->done)) {
        eval->done++;
        return true;
    }
    for (size_t i = 0; i < eval->columns; i++)
        eval->column[i].count = count;
    return false;
}

/* Saves the state when it is time to, and says when it will be next. */
static bool save_now(const struct eval *eval, double *next)
{
    double start = seconds_now();
    if (eval->settings->resume == NULL || start < *next)
        return true;
    bool saved = eval_state_save(eval, eval->settings->resume);
    double took = seconds_now() - start;
    *next = seconds_now() + (took / save_share > save_pace ? took / save_share : save_pace);
    return saved;
}

static bool compute_all(struct eval *eval)
{
    struct progress progress;
    size_t first = eval->done, left = eval->units - first;
    double next = 0, share = (double)left / (double)eval->units;
    bool good = true;
    progress_start(&progress, "evaluating", (uint64_t)(share * (double)eval->text.length));
    while (eval->done < eval->units && good && !interrupted()) {
        good = compute_unit(eval) && save_now(eval, &next);
        progress_step(&progress, (double)(eval->done - first) / (double)left);
    }
    progress_end(&progress);
    next = 0;
    if (eval->done > first && (good || interrupted()))
        good = save_now(eval, &next) && good;
    if (interrupted())
        complain("stopped after %zu of %zu %s; %s", eval->done, eval->units, eval->task->unit,
                 eval->settings->resume != NULL ? "run again to go on" : "--resume FILE would keep them");
    return good && !interrupted();
}

/* ---------------------------------------------------------------------------------------------------------- reporting */

static int report_json(struct eval *eval, struct output *out)
{
    const struct settings *settings = eval->settings;
    const char *model = settings->model != NULL ? settings->model : "built-in";
    json_t *root = json_pack("{s:s, s:o}", "task", eval->task->name, "model", json_text(model, strlen(model)));
    json_t *figures = eval->task->report(eval);
    if (root == NULL || figures == NULL || json_object_update(root, figures) != 0) {
        json_decref(root);
        root = NULL;
    }
    json_decref(figures);
    return output_json(out, root, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
}

static int report(struct eval *eval)
{
    struct output out = output_to(stdout, "standard output");
    if (eval->settings->json)
        return report_json(eval, &out);
    eval->task->print(eval, &out);
    return output_finish(&out, EXIT_SUCCESS);
}

static int run(const struct settings *given)
{
    struct settings settings = *given;
    int status = check_words(given);
    if (status != EXIT_SUCCESS)
        return status;
    struct eval eval = {.settings = &settings};
    eval.task = settings.file != NULL ? &eval_text : settings.choices != NULL ? &eval_choices : &eval_exact;
    eval.path = settings.file != NULL ? settings.file : settings.choices != NULL ? settings.choices : settings.exact;
    if (settings.file != NULL && settings.engine.context == 0)
        settings.engine.context = DEFAULT_WINDOW;
    if (settings.exact != NULL && settings.max_tokens == 0)
        settings.max_tokens = DEFAULT_TOKENS;
    status = open_all(&eval) && compute_all(&eval) ? report(&eval) : EXIT_FAILURE;
    close_all(&eval);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .operands = "",
    .summary = "measure what a model is worth: perplexity, divergence, accuracy",
    .text =
        "Perplexity counts as llama-perplexity does: every window begins anew with the token that begins a text, and "
        "its second half is scored. With --ref both models run, and what comes out is the Kullback-Leibler divergence "
        "of the model's distributions from the reference's, in nats, and how often both find the same token "
        "likeliest: what quantizing lost.\n"
        "Choices are scored by their log-likelihood after the question, as it is and divided by their bytes. The "
        "layouts: ctx, endings, label (HellaSwag); question with stem and choices, or question and choices with text "
        "and label, and answerKey (ARC); question, choices and answer (MMLU, whose choices are lettered and of which "
        "the letters are scored).\n"
        "An exact answer is the likeliest one, token by token; white space around it does not count. Figures come "
        "with their standard errors.",
    .examples = "mote eval -m q4.gguf --text wiki.txt --ref f16.gguf\n"
                "mote eval -m q4.gguf --choices arc_easy.jsonl --resume arc.state --json\n"
                "mote eval --exact commands.jsonl",
    .groups = {&own_options, &model_options, &machine_options},
    .run = run,
};
