/* mote convert: a model file from a folder as Hugging Face publishes models. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "output.h"
#include "progress.h"

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"out", 'o', OPTION_TEXT, "FILE", 1, 4096, AT(out), "Where the model goes."},
    {"type", 0, OPTION_TEXT, "TYPE", 1, 64, AT(type),
     "Number format of the matrices: f16, bf16 or f32. Default: as they are published. Norms and biases are f32."},
    {"force", 0, OPTION_FLAG, NULL, 0, 0, AT(force), "Replace FILE if it exists."},
    {0},
};
static const struct option_group own_options = {"Options", table};

/* Bytes of the folder's weights: what will be read. */
static uint64_t weight_bytes(const char *folder)
{
    static const char ending[] = ".safetensors";
    DIR *entries = opendir(folder);
    uint64_t bytes = 0;
    for (const struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        char path[8192];
        size_t length = strlen(entry->d_name), end = strlen(ending);
        if (length <= end || strcmp(entry->d_name + length - end, ending) != 0)
            continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path)
            bytes += progress_size(path);
    }
    if (entries != NULL)
        closedir(entries);
    return bytes;
}

static int run(const struct settings *settings)
{
    struct progress progress;
    mote_convert_options options;
    mote_error error;
    mote_convert_options_init(&options);
    if (settings->operand_count != 1)
        return usage_error("convert", settings->operand_count == 0 ? "name the folder to convert"
                                                                   : "convert one folder at a time");
    if (settings->out == NULL)
        return usage_error("convert", "--out FILE is missing");
    options.type = settings->type;
    options.overwrite = settings->force;
    progress_start(&progress, "converting", weight_bytes(settings->operands[0]));
    options.progress = progress_step;
    options.user = &progress;
    mote_status status = mote_convert(settings->operands[0], settings->out, &options, &error);
    progress_end(&progress);
    if (status != MOTE_OK)
        complain("%s", error.text);
    return status == MOTE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command command_convert = {
    .name = "convert",
    .operands = "FOLDER",
    .operands_max = 1,
    .summary = "make a model file of a Hugging Face folder",
    .text =
        "Reads a folder as models are published on Hugging Face (config.json, tokenizer.json, weights in one "
        ".safetensors file or several) and writes one GGUF file, which mote and llama.cpp run. Weights are those "
        "published, to the bit unless --type says otherwise; the chat template, the tokens that end an answer and the "
        "authors' way of sampling come along.\n"
        "For Llama and SmolLM2, Qwen2 and Qwen2.5, Qwen3, Gemma 3 (text), Phi-3 and Phi-4-mini. What mote would "
        "compute "
        "otherwise than the model's authors is refused. The file appears when it is complete; the memory needed does "
        "not "
        "grow with the model.",
    .examples = "mote convert SmolLM2-135M-Instruct -o smollm2.gguf\nmote convert Qwen3-0.6B -o qwen3.gguf --type f16",
    .groups = {&own_options},
    .run = run,
};
