/* mote synth: a model file of a known shape with random weights, to measure with. */
#include <stdlib.h>

#include "commands.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"model", 'm', OPTION_TEXT, "NAME", 1, 64, AT(model), "Whose shape; --list names them."},
    {"type", 0, OPTION_TEXT, "TYPE", 1, 64, AT(type), "Weight format; --list names them. Default: q4_0."},
    {"out", 'o', OPTION_TEXT, "FILE", 1, 4096, AT(out), "Where the model goes."},
    {"force", 0, OPTION_FLAG, NULL, 0, 0, AT(force), "Replace FILE if it exists."},
    {"layers", 0, OPTION_COUNT, "N", 1, 1024, AT(layers), "Only so many layers: a small file. Default: all."},
    {"seed", 0, OPTION_NUMBER, "N", 0, 0, AT(weights_seed),
     "Which random weights: the same number makes the same file. Default: 0."},
    {"threads", 't', OPTION_COUNT, "N", 1, 256, AT(engine.threads),
     "Processors to use. Default: all that this process may use."},
    {"list", 0, OPTION_FLAG, NULL, 0, 0, AT(list), "List the models, with their sizes in TYPE, and the types."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static int print_list(mote_synth_options options)
{
    struct output out = output_to(stdout, "standard output");
    mote_synth_info info;
    mote_error error;
    if (options.type == NULL)
        options.type = mote_synth_type(0);
    for (size_t i = 0; (options.model = mote_synth_model(i)) != NULL; i++) {
        options.layers = 0;
        if (mote_synth_plan(&options, &info, &error) != MOTE_OK) {
            complain("%s", error.text);
            return EXIT_FAILURE;
        }
        output_print(&out, "%-14s %-14s %14s parameters  %9s in %s\n", info.name, info.published,
                     human_count(info.parameters).text, human_bytes(info.weight_bytes).text, options.type);
    }
    output_print(&out, "\ntypes:");
    for (size_t i = 0; mote_synth_type(i) != NULL; i++)
        output_print(&out, " %s", mote_synth_type(i));
    output_print(&out, "\n");
    return output_finish(&out, EXIT_SUCCESS);
}

static int run(const struct settings *settings)
{
    struct progress progress;
    mote_synth_options options;
    mote_synth_info info;
    mote_error error;
    mote_synth_options_init(&options);
    options.model = settings->model;
    options.type = settings->type;
    options.layers = settings->layers;
    options.seed = settings->weights_seed;
    options.threads = settings->engine.threads;
    options.overwrite = settings->force;
    if (settings->list)
        return print_list(options);
    if (settings->model == NULL || settings->out == NULL)
        return usage_error("synth", "--%s is missing", settings->model == NULL ? "model NAME" : "out FILE");
    if (mote_synth_plan(&options, &info, &error) != MOTE_OK) {
        complain("%s", error.text);
        return EXIT_FAILURE;
    }
    progress_start(&progress, "writing", info.weight_bytes);
    options.progress = progress_step;
    options.user = &progress;
    mote_status status = mote_synth(settings->out, &options, &error);
    progress_end(&progress);
    if (status != MOTE_OK)
        complain("%s", error.text);
    return status == MOTE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command command_synth = {
    .name = "synth",
    .operands = "",
    .summary = "write a model of a known shape with random weights",
    .text =
        "Writes a GGUF file in the published shape of a known model, with random weights and a made-up vocabulary of "
        "the real size. It loads, tokenizes and computes at the cost of the real model and says nothing: for measuring "
        "a machine before a model is fetched, here or with any other program that reads GGUF.\n"
        "Formats are chosen as llama.cpp's quantizer does. The file appears when it is complete.",
    .examples = "mote synth --list\nmote synth --model qwen3-0.6b --type q4_0 -o qwen.gguf",
    .groups = {&own_options},
    .run = run,
};
