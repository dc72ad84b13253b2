/* mote run: one prompt, one answer. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "figures.h"
#include "input.h"
#include "interrupt.h"
#include "json_output.h"

enum { PROMPT_MAX = 16 << 20 };

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"tokens", 'n', OPTION_COUNT, "N", 0, 1 << 24, AT(max_tokens),
     "The longest answer, in tokens. Default: 0, as long as the context has room."},
    {"system", 's', OPTION_TEXT, "TEXT", 0, PROMPT_MAX, AT(system),
     "Instructions that go before the prompt, as the model's system message."},
    {"raw", 0, OPTION_FLAG, NULL, 0, 0, AT(raw), "No chat format: the model continues the prompt as it stands."},
    {"special", 0, OPTION_FLAG, NULL, 0, 0, AT(special),
     "With --raw: control tokens written out in the prompt, as <|im_start|>, become those tokens."},
    {"stop", 0, OPTION_STOP, "TEXT", 1, STOP_BYTES_MAX, AT(stops),
     "End the answer before TEXT. May be given 16 times."},
    {"json", 'j', OPTION_FLAG, NULL, 0, 0, AT(json),
     "Print one JSON object at the end: the text, why it ended, counts, seconds, rates and memory."},
    {"quiet", 'q', OPTION_FLAG, NULL, 0, 0, AT(quiet), "No figures on standard error."},
    {0},
};
static const struct option_group own_options = {"Options", table};

/* Where the answer goes: straight out, or kept for the JSON object. */
struct answer {
    struct output out;
    bool keep;
    bool no_memory;
    struct textbuf text;
    char last; /* byte written */
};

static bool take_text(void *user, const char *text, size_t length)
{
    struct answer *answer = user;
    if (length == 0)
        return !interrupted();
    answer->last = text[length - 1];
    if (answer->keep) {
        answer->no_memory = !textbuf_append(&answer->text, text, length);
        return !answer->no_memory && !interrupted();
    }
    output_stream(&answer->out, text, length);
    return answer->out.error == 0 && !interrupted();
}

/* Puts the prompt in `text`; the exit status, 0 if there is one. */
static int read_prompt(const struct settings *settings, struct textbuf *text)
{
    const char *operand = settings->operand_count > 0 ? settings->operands[0] : NULL;
    if (operand != NULL && strcmp(operand, "-") != 0) {
        if (!textbuf_append(text, operand, strlen(operand))) {
            complain("no memory for the prompt; give a shorter one");
            return EXIT_FAILURE;
        }
    } else {
        if (operand == NULL && isatty(STDIN_FILENO) == 1)
            return usage_error("run", "no prompt: give one in quotes, or on standard input");
        if (!input_read(NULL, PROMPT_MAX, text))
            return EXIT_FAILURE;
        if (text->length > 0 && text->at[text->length - 1] == '\n') /* the one that ends a line of echo's */
            text->length--;
    }
    if (text->length == 0)
        return usage_error("run", "the prompt is empty: give one in quotes, or on standard input");
    return EXIT_SUCCESS;
}

/* The prompt as ids: in the model's chat format, or as it stands. */
static bool encode(const struct settings *settings, const struct loaded *loaded, const struct textbuf *prompt,
                   mote_ids *ids)
{
    mote_error error;
    mote_status status;
    bool formatless = *loaded->info.chat_format == '\0';
    if (formatless && settings->system != NULL) {
        complain("this model has no chat format, so no place for --system; put its text into the prompt");
        return false;
    }
    if (settings->raw || formatless) {
        if (!settings->raw && !settings->quiet)
            complain("this model has no chat format: it continues the prompt as it stands; --raw says you want that");
        unsigned flags = MOTE_TOKENIZE_BOS | (settings->special ? (unsigned)MOTE_TOKENIZE_SPECIAL : 0u);
        status = mote_tokenize(loaded->model, prompt->at, prompt->length, flags, ids, &error);
    } else {
        mote_message messages[2];
        size_t count = 0;
        if (settings->system != NULL)
            messages[count++] = (mote_message){"system", settings->system, strlen(settings->system)};
        messages[count++] = (mote_message){"user", prompt->at, prompt->length};
        status = mote_chat_encode(loaded->model, messages, count, true, ids, &error);
    }
    if (status != MOTE_OK) {
        complain("%s", error.text);
        return false;
    }
    if (ids->count < loaded->limits.context)
        return true;
    complain("the prompt has %zu tokens and the context holds %u, answer included; %s", ids->count,
             loaded->limits.context,
             ids->count < loaded->info.context ? "make it larger with --ctx N" : "shorten the prompt");
    return false;
}

static int print_answer(const struct settings *settings, const struct loaded *loaded, const struct figures *figures,
                        struct answer *answer)
{
    if (answer->keep) {
        if (answer->no_memory) {
            complain("no memory to keep the answer; run without --json");
            return EXIT_FAILURE;
        }
        json_t *root = figures_json(figures, model_name(settings, &loaded->info), settings->sampling.seed,
                                    answer->text.at != NULL ? answer->text.at : "", answer->text.length);
        return output_json(&answer->out, root, JSON_REAL_PRECISION(6));
    }
    if (answer->last != '\n')
        output_write(&answer->out, "\n", 1);
    int status = output_finish(&answer->out, EXIT_SUCCESS);
    if (!settings->quiet && answer->out.error == 0)
        figures_print(figures);
    return status;
}

/* What stays of a prompt when the context shifts: all of it, if that is not most of the context; else its beginning. */
static size_t tokens_to_keep(const struct loaded *loaded, const mote_ids *ids)
{
    size_t half = loaded->limits.context / 2;
    return ids->count < half ? ids->count : half;
}

static int generate(const struct settings *settings, struct loaded *loaded, const mote_ids *ids)
{
    mote_error error;
    mote_generation_options options;
    mote_sampling sampling = chosen_sampling(settings);
    struct figures figures = {.load_seconds = loaded->seconds};
    struct answer answer = {.out = output_to(stdout, "standard output"), .keep = settings->json};
    mote_generation_options_init(&options);
    options.sampling = &sampling;
    options.max_tokens = settings->max_tokens;
    options.stop = settings->stops;
    options.stop_count = settings->stop_count;
    options.on_text = take_text;
    options.user = &answer;
    options.on_full = on_full_of(settings);
    options.keep = tokens_to_keep(loaded, ids);

    mote_status made = MOTE_E_CANCELLED; /* if a signal came while there was nothing to cancel yet */
    if (!interrupted())
        made = mote_generate(loaded->session, ids->at, ids->count, &options, &figures.generation, &error);
    int status = EXIT_FAILURE;
    if (made == MOTE_OK || made == MOTE_E_CANCELLED)
        status = print_answer(settings, loaded, &figures, &answer);
    else
        complain("%s", error.text);
    if (interrupted()) {
        complain("cancelled; the answer is not complete");
        status = EXIT_FAILURE;
    }
    textbuf_free(&answer.text);
    return status;
}

static int run(const struct settings *settings)
{
    struct loaded loaded;
    struct textbuf prompt = {0};
    mote_ids ids = {0};
    if (settings->raw && settings->system != NULL)
        return usage_error("run", "--system needs the chat format that --raw leaves out: give one of them");
    if (settings->special && !settings->raw)
        return usage_error("run", "--special goes with --raw");
    int status = read_prompt(settings, &prompt);
    if (status == EXIT_SUCCESS) {
        status = EXIT_FAILURE;
        if (loaded_open(&loaded, settings)) {
            if (encode(settings, &loaded, &prompt, &ids))
                status = generate(settings, &loaded, &ids);
            loaded_close(&loaded);
        }
    }
    mote_ids_free(&ids);
    textbuf_free(&prompt);
    return status;
}

const struct command command_run = {
    .name = "run",
    .operands = "[PROMPT]",
    .summary = "answer one prompt",
    .text =
        "Answers PROMPT, or what comes on standard input if there is none or it is \"-\". The text goes to standard "
        "output as it is made; afterwards one line of figures goes to standard error: seconds to load and to the "
        "first token, tokens a second of the prompt (prefill) and of the answer (decode), and peak memory.\n"
        "The model built into mote turns commands for a home or a workshop, in English or Japanese, and windows of "
        "sensor readings into JSON.\n"
        "Ctrl-C ends the answer; the figures of what was made are still printed.",
    .examples = "mote run 'turn on the kitchen lamp'\n"
                "mote run -m qwen3-0.6b.gguf 'Why is the sky blue?'\n"
                "mote run -m qwen3-0.6b.gguf --json -n 100 < question.txt",
    .groups = {&own_options, &model_options, &sampling_options, &context_options, &machine_options},
    .operands_max = 1,
    .run = run,
};
