/* mote imatrix: which inputs of a model's weights count, measured on a text. */
#include <stdlib.h>

#include "commands.h"
#include "input.h"
#include "output.h"
#include "progress.h"

enum { TEXT_MAX = 1 << 30 }; /* the library's bound */

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"text", 'f', OPTION_TEXT, "FILE", 1, 4096, AT(file), "The calibration text, or - for standard input."},
    {"out", 'o', OPTION_TEXT, "FILE", 1, 4096, AT(out), "Where the importance matrix goes."},
    {"force", 0, OPTION_FLAG, NULL, 0, 0, AT(force), "Replace FILE if it exists."},
    {"ctx", 'c', OPTION_COUNT, "N", 8, 1 << 24, AT(engine.context),
     "How many tokens are read at a time. Default: 512."},
    {"chunks", 0, OPTION_COUNT, "N", 1, 1 << 30, AT(chunks), "Read only so many times --ctx tokens. Default: all."},
    {"threads", 't', OPTION_COUNT, "N", 1, 256, AT(engine.threads),
     "Processors to use. Default: the fast ones that this process may use."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static int run(const struct settings *settings)
{
    struct progress progress;
    struct textbuf text = {0};
    mote_imatrix_options options;
    mote_error error;
    if (settings->file == NULL || settings->out == NULL)
        return usage_error("imatrix", "--%s FILE is missing", settings->file == NULL ? "text" : "out");
    mote_imatrix_options_init(&options);
    options.chunk = settings->engine.context;
    options.chunks = settings->chunks;
    options.dataset = settings->file;
    options.threads = settings->engine.threads;
    options.overwrite = settings->force;
    options.progress = progress_step;
    options.user = &progress;
    mote_status status = MOTE_E_IO;
    if (input_read(settings->file, TEXT_MAX, &text)) {
        progress_start(&progress, "measuring", text.length);
        status = mote_imatrix(settings->model, text.at, text.length, settings->out, &options, &error);
        progress_end(&progress);
        if (status != MOTE_OK)
            complain("%s", error.text);
    }
    textbuf_free(&text);
    return status == MOTE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command command_imatrix = {
    .name = "imatrix",
    .operands = "",
    .summary = "measure on a text which of a model's weights count",
    .text =
        "Runs a calibration text through the model and writes, for each weight matrix, the mean square of each of its "
        "input columns: what an error in that column costs. Quantizers spend their bits by it. The file is GGUF, in "
        "the form that llama.cpp writes and reads.\n"
        "The text should be of the kind that the model will be used for; a few hundred kilobytes are plenty. It is "
        "best measured on the model before it is quantized. The file appears when it is complete.",
    .examples = "mote imatrix -m qwen3-0.6b-f16.gguf --text notes.txt -o qwen3.imatrix.gguf",
    .groups = {&own_options, &model_options},
    .run = run,
};
