/* mote pack: a model file whose weights lie as the kernels read them. */
#include <stdlib.h>

#include "commands.h"
#include "output.h"
#include "progress.h"

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"out", 'o', OPTION_TEXT, "FILE", 1, 4096, AT(out), "Where the packed model goes."},
    {"force", 0, OPTION_FLAG, NULL, 0, 0, AT(force), "Replace FILE if it exists."},
    {"threads", 't', OPTION_COUNT, "N", 1, 256, AT(engine.threads),
     "Processors to use. Default: all that this process may use."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static int run(const struct settings *settings)
{
    struct progress progress;
    mote_pack_options options;
    mote_error error;
    mote_pack_options_init(&options);
    if (settings->operand_count != 1)
        return usage_error("pack",
                           settings->operand_count == 0 ? "name the model to pack" : "pack one model at a time");
    if (settings->out == NULL)
        return usage_error("pack", "--out FILE is missing");
    options.threads = settings->engine.threads;
    options.overwrite = settings->force;
    progress_start(&progress, "packing", progress_size(settings->operands[0]));
    options.progress = progress_step;
    options.user = &progress;
    mote_status status = mote_pack(settings->operands[0], settings->out, &options, &error);
    progress_end(&progress);
    if (status != MOTE_OK)
        complain("%s", error.text);
    return status == MOTE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command command_pack = {
    .name = "pack",
    .operands = "FILE",
    .operands_max = 1,
    .summary = "lay a model's weights out for the fast kernels, once",
    .text =
        "Writes a GGUF file that holds the same model, its weights interleaved as the kernels read them and its "
        "tokenizer's tables finished. mote maps such a file as it is: it starts at once, shares the weights between "
        "processes and needs no second copy of them. Nothing is lost: the answers are those of the source, bit for "
        "bit. One packed file serves every processor.\n"
        "Only mote reads it, and a later mote may ask for it to be packed again: keep the source.",
    .examples = "mote pack qwen.gguf -o qwen.packed.gguf\nmote run -m qwen.packed.gguf \"Good morning\"",
    .groups = {&own_options},
    .run = run,
};
