/* mote quantize: a model file whose matrices are in smaller formats. */
#include <stdlib.h>

#include "commands.h"
#include "input.h"
#include "output.h"
#include "progress.h"

#define AT(field) offsetof(struct settings, field)

enum { TEXT_MAX = 1 << 30 }; /* the library's bound */

static const struct option table[] = {
    {"type", 0, OPTION_TEXT, "TYPE", 1, 64, AT(type), "Which formats the weights get; --list names the types."},
    {"size", 0, OPTION_SIZE, "SIZE", 0, 0, AT(size),
     "In place of --type: the file has at most SIZE (125MB, or 120M in powers of 1024), and each matrix gets the "
     "format "
     "that makes the loss least."},
    {"text", 'f', OPTION_TEXT, "FILE", 1, 4096, AT(file),
     "With --size: a calibration text, - for standard input, to measure how much each matrix counts. Takes minutes."},
    {"standard", 0, OPTION_FLAG, NULL, 0, 0, AT(standard), "With --size: no formats of mote's own, M3 and M4."},
    {"force", 0, OPTION_FLAG, NULL, 0, 0, AT(force), "Replace OUT if it exists."},
    {"tensor", 0, OPTION_TENSOR, "PATTERN=FORMAT", 1, 512, 0,
     "Matrices whose name is like PATTERN (* is anything, ? any character) get FORMAT. May be given up to 64 times; of "
     "those that match, the last counts."},
    {"imatrix", 0, OPTION_TEXT, "FILE", 1, 4096, AT(imatrix),
     "Importance matrix of this model (mote imatrix makes one): what it says matters is kept closest."},
    {"threads", 't', OPTION_COUNT, "N", 1, 256, AT(engine.threads),
     "Processors to use. Default: all that this process may use."},
    {"list", 0, OPTION_FLAG, NULL, 0, 0, AT(list), "List the types, finest first."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static int print_list(void)
{
    struct output out = output_to(stdout, "standard output");
    for (size_t i = 0; mote_quantize_type(i) != NULL; i++)
        output_print(&out, "%s\n", mote_quantize_type(i));
    return output_finish(&out, EXIT_SUCCESS);
}

static void tell(void *user, const char *sentence)
{
    (void)user;
    complain("note: %s", sentence);
}

static int run(const struct settings *settings)
{
    struct progress progress;
    mote_quantize_options options;
    mote_error error;
    struct textbuf text = {0};
    mote_quantize_options_init(&options);
    if (settings->list)
        return print_list();
    if (settings->operand_count != 2)
        return usage_error("quantize", settings->operand_count == 0 ? "name the model to quantise and the file to write"
                                                                    : "two files are needed: IN and OUT");
    if (settings->type == NULL && settings->size == 0)
        return usage_error("quantize", "--type TYPE or --size SIZE is missing; mote quantize --list names the types");
    if (settings->size != 0 && (settings->type != NULL || settings->tensor_count != 0))
        return usage_error("quantize", "--size chooses the formats itself; leave --%s out",
                           settings->type != NULL ? "type" : "tensor");
    if (settings->size == 0 && (settings->file != NULL || settings->standard))
        return usage_error("quantize", "--%s goes with --size", settings->file != NULL ? "text" : "standard");
    if (settings->file != NULL && !input_read(settings->file, TEXT_MAX, &text))
        return EXIT_FAILURE;
    options.text = settings->file != NULL ? text.at : NULL;
    options.length = text.length;
    options.size = settings->size;
    options.standard = settings->standard;
    options.type = settings->type;
    options.tensors = settings->tensors;
    options.tensor_count = settings->tensor_count;
    options.importance = settings->imatrix;
    options.threads = settings->engine.threads;
    options.overwrite = settings->force;
    progress_start(&progress, "quantising", progress_size(settings->operands[0]));
    options.progress = progress_step;
    options.note = tell;
    options.user = &progress;
    mote_status status = mote_quantize(settings->operands[0], settings->operands[1], &options, &error);
    progress_end(&progress);
    textbuf_free(&text);
    if (status != MOTE_OK)
        complain("%s", error.text);
    return status == MOTE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command command_quantize = {
    .name = "quantize",
    .operands = "IN OUT",
    .operands_max = 2,
    .summary = "make a model's weights smaller",
    .text =
        "Writes a GGUF file of the same model whose matrices are in the formats that TYPE stands for: the usual types, "
        "with the same formats for the same tensors as elsewhere, so that the file also runs in llama.cpp. Scales and "
        "levels are searched for the least error; with --imatrix, for the least where it matters. The same input makes "
        "the same file, with any number of threads.\n"
        "--size chooses the formats: what each matrix loses in each of them is estimated, from samples of its rows and "
        "from "
        "how much the model's answers depend on it, and of all choices that keep to SIZE the best is found. It uses "
        "formats of mote's own, which only mote reads, unless --standard is given.\n"
        "IN may have any formats, but one that is quantised already brings its own losses: begin with f16, bf16 or "
        "f32. The file appears when it is complete.",
    .examples = "mote quantize qwen-f16.gguf qwen.gguf --type q4_k_m\n"
                "mote quantize in.gguf out.gguf --type q4_0 --tensor 'blk.*.ffn_down=q6_k'\n"
                "mote quantize qwen-f16.gguf qwen.gguf --size 280MB --imatrix qwen.imatrix --text words.txt",
    .groups = {&own_options},
    .run = run,
};
