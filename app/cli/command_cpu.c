/* mote cpu: what the machine offers and which kernels were chosen for it. */
#include <stdlib.h>

#include "commands.h"
#include "json_output.h"

static const struct option table[] = {
    {"json", 'j', OPTION_FLAG, NULL, 0, 0, offsetof(struct settings, json), "Print one JSON object."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static json_t *kernels_json(void)
{
    const char *format, *kernel;
    json_t *kernels = json_object();
    for (size_t i = 0; mote_cpu_kernel(i, &format, &kernel) == MOTE_OK; i++) {
        if (json_object_set_new(kernels, format, json_string(kernel)) != 0) {
            json_decref(kernels);
            return NULL;
        }
    }
    return kernels;
}

static int run(const struct settings *settings)
{
    mote_cpu_info cpu;
    const char *format, *kernel;
    struct output out = output_to(stdout, "standard output");
    mote_cpu_describe(&cpu);
    if (settings->json)
        return output_json(&out,
                           json_pack("{s:s, s:s, s:I, s:o}", "architecture", cpu.architecture, "features", cpu.features,
                                     "processors", (json_int_t)cpu.processors, "kernels", kernels_json()),
                           JSON_INDENT(2));
    output_print(&out, "architecture  %s\nfeatures      %s\nprocessors    %u\n\nKernels\n", cpu.architecture,
                 *cpu.features != '\0' ? cpu.features : "none that mote uses", cpu.processors);
    for (size_t i = 0; mote_cpu_kernel(i, &format, &kernel) == MOTE_OK; i++)
        output_print(&out, "  %-12s%s\n", format, kernel);
    return output_finish(&out, EXIT_SUCCESS);
}

const struct command command_cpu = {
    .name = "cpu",
    .operands = "",
    .summary = "this processor, and the kernels chosen for it",
    .text =
        "Prints what the processor can do, how many processors this process may use, and which kernel computes with "
        "each weight format.",
    .groups = {&own_options},
    .run = run,
};
