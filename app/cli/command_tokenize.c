/* mote tokenize: a text as the model's token ids. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "input.h"
#include "interrupt.h"
#include "loading.h"
#include "output.h"

enum { TEXT_MAX = 1 << 30 }; /* the library's bound */

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"file", 'f', OPTION_TEXT, "FILE", 1, 4096, AT(file), "Take the text from FILE, byte for byte."},
    {"special", 0, OPTION_FLAG, NULL, 0, 0, AT(special),
     "Control tokens written out in the text, as <|im_start|>, become those tokens."},
    {"json", 'j', OPTION_FLAG, NULL, 0, 0, AT(json), "Print a JSON array of the ids."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static int read_text(const struct settings *settings, struct textbuf *text)
{
    const char *operand = settings->operand_count > 0 ? settings->operands[0] : NULL;
    if (operand != NULL && settings->file != NULL)
        return usage_error("tokenize", "a text and --file: give one of them");
    if (operand != NULL && strcmp(operand, "-") != 0) {
        if (textbuf_append(text, operand, strlen(operand)))
            return EXIT_SUCCESS;
        complain("no memory for the text; give a shorter one");
        return EXIT_FAILURE;
    }
    if (operand == NULL && settings->file == NULL && isatty(STDIN_FILENO) == 1)
        return usage_error("tokenize", "no text: give one in quotes, with --file, or on standard input");
    return input_read(settings->file, TEXT_MAX, text) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void print_json(struct output *out, const mote_ids *ids)
{
    for (size_t i = 0; i < ids->count && out->error == 0; i++)
        output_print(out, "%s%d", i == 0 ? "[" : ", ", ids->at[i]);
    output_print(out, ids->count == 0 ? "[]\n" : "]\n");
}

/* One line for each token: its id and its text. A character of several tokens stands at the last of them. */
static int print_lines(struct output *out, mote_model *model, const mote_ids *ids)
{
    mote_error error;
    mote_detokenizer *detokenizer;
    if (mote_detokenizer_open(&detokenizer, model, true, &error) != MOTE_OK) {
        complain("%s", error.text);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < ids->count && out->error == 0 && !interrupted(); i++) {
        size_t length;
        const char *text = mote_detokenizer_push(detokenizer, ids->at[i], &length);
        output_print(out, "%d\t", ids->at[i]);
        output_escaped(out, text, length);
        if (i + 1 == ids->count) {
            text = mote_detokenizer_finish(detokenizer, &length);
            output_escaped(out, text, length);
        }
        output_print(out, "\n");
    }
    mote_detokenizer_close(detokenizer);
    return EXIT_SUCCESS;
}

static int run(const struct settings *settings)
{
    struct textbuf text = {0};
    mote_ids ids = {0};
    mote_error error;
    mote_model *model = NULL;
    struct output out = output_to(stdout, "standard output");
    int status = read_text(settings, &text);
    if (status == EXIT_SUCCESS && (model = load_parts(settings, MOTE_PARTS_VOCABULARY)) == NULL)
        status = EXIT_FAILURE;
    if (status == EXIT_SUCCESS &&
        mote_tokenize(model, text.at != NULL ? text.at : "", text.length,
                      settings->special ? (unsigned)MOTE_TOKENIZE_SPECIAL : 0u, &ids, &error) != MOTE_OK) {
        complain("%s", error.text);
        status = EXIT_FAILURE;
    }
    if (status == EXIT_SUCCESS && settings->json)
        print_json(&out, &ids);
    else if (status == EXIT_SUCCESS)
        status = print_lines(&out, model, &ids);
    mote_ids_free(&ids);
    mote_model_close(model);
    textbuf_free(&text);
    return output_finish(&out, status);
}

const struct command command_tokenize = {
    .name = "tokenize",
    .operands = "[TEXT]",
    .summary = "a text as token ids",
    .text = "Prints a line for each token of TEXT, or of standard input: its id, a tab, its text. A character made of "
            "several tokens stands at the last of them. Nothing is added to the text: no chat format, no token that "
            "begins it. A file that holds a vocabulary and no weights will do.",
    .examples = "mote tokenize 'turn on the lamp'\n"
                "mote tokenize -m qwen3-0.6b.gguf --json --file letter.txt\n"
                "mote tokenize -m qwen3-0.6b.gguf 'Once upon a time' | cut -f1 > ids.txt",
    .groups = {&own_options, &model_options},
    .operands_max = 1,
    .run = run,
};
