/* mote debug dequant: one weight as float32, to compare with another decoder. */
#include <stdlib.h>

#include "commands.h"
#include "interrupt.h"
#include "loading.h"
#include "output_file.h"

static const struct option table[] = {
    {"tensor", 0, OPTION_TEXT, "NAME", 1, 4096, offsetof(struct settings, tensor),
     "The weight's name; mote info --weights lists them."},
    {"out", 'o', OPTION_TEXT, "FILE", 1, 4096, offsetof(struct settings, out), "Where the numbers go."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static bool take_values(void *user, const float *values, size_t count)
{
    struct output *out = user;
    output_write(out, (const char *)values, count * sizeof *values);
    return out->error == 0 && !interrupted();
}

static int run(const struct settings *settings)
{
    struct output_file file;
    mote_error error;
    if (settings->tensor == NULL || settings->out == NULL)
        return usage_error("debug dequant", "--%s is missing", settings->tensor == NULL ? "tensor NAME" : "out FILE");
    mote_model *model = load_parts(settings, MOTE_PARTS_DIRECTORY);
    int status = EXIT_FAILURE;
    if (model != NULL && output_file_open(&file, settings->out, NULL)) {
        mote_status made = mote_model_dequantize(model, settings->tensor, take_values, &file.out, &error);
        if (made == MOTE_OK)
            status = EXIT_SUCCESS;
        else if (file.out.error == 0)
            complain("%s", interrupted() ? "cancelled; nothing is written" : error.text);
        status = output_file_close(&file, status);
    }
    mote_model_close(model);
    return status;
}

const struct command command_dequant = {
    .name = "debug dequant",
    .operands = "",
    .summary = "write one weight as float32",
    .text =
        "Decodes one weight of a model, of whatever format, and writes it as float32 numbers, little-endian, row by "
        "row in the order of the file. The output file appears when it is complete.",
    .examples = "mote debug dequant -m qwen3.gguf --tensor output.weight --out head.f32",
    .groups = {&own_options, &model_options},
    .run = run,
};
