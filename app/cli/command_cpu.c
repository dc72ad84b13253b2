/* mote cpu: what the machine offers and which kernels were chosen for it. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json_output.h"

static const struct option table[] = {
    {"json", 'j', OPTION_FLAG, NULL, 0, 0, offsetof(struct settings, json), "Print one JSON object."},
    {0},
};
static const struct option_group own_options = {"Options", table};

static bool add_kernel(json_t *operations, const char *operation, const char *format, const char *kernel)
{
    json_t *formats = json_object_get(operations, operation);
    if (formats == NULL) {
        formats = json_object();
        if (json_object_set_new(operations, operation, formats) != 0)
            return false;
    }
    return json_object_set_new(formats, format, json_string(kernel)) == 0;
}

/* {operation: {format: kernel}}; products of packed weights are an operation of their own. */
static json_t *kernels_json(const char *cpu)
{
    mote_kernel_info kernel;
    json_t *operations = json_object();
    for (size_t i = 0; mote_cpu_kernel(&kernel, i, cpu, NULL) == MOTE_OK; i++) {
        bool added = add_kernel(operations, kernel.operation, kernel.format, kernel.kernel);
        if (*kernel.packed != '\0')
            added = added && add_kernel(operations, "packed_matmul", kernel.format, kernel.packed);
        if (!added) {
            json_decref(operations);
            return NULL;
        }
    }
    return operations;
}

static int print_json(struct output *out, const mote_cpu_info *cpu, const char *mask)
{
    /* clang-format off */
    return output_json(out,
        json_pack("{s:s, s:o, s:s, s:s, s:I, s:I, s:o}",
            "architecture", cpu->architecture,
            "name", json_text(cpu->name, strlen(cpu->name)),
            "features", cpu->features,
            "masked", cpu->masked,
            "processors", (json_int_t)cpu->processors,
            "threads", (json_int_t)cpu->threads,
            "kernels", kernels_json(mask)),
        JSON_INDENT(2));
    /* clang-format on */
}

/* Three columns, the last one perhaps empty: no blanks end a line. */
static void print_row(struct output *out, const char *indent, const char *name, const char *kernel, const char *packed)
{
    int column = 14, rest = column - (int)strspn(indent, " ");
    output_print(out, "%s%-*s%-*s%s\n", indent, rest, name, *packed != '\0' ? column : 0, kernel, packed);
}

static int run(const struct settings *settings)
{
    mote_cpu_info cpu;
    mote_error error;
    mote_kernel_info kernel;
    struct output out = output_to(stdout, "standard output");
    if (mote_cpu_describe(&cpu, settings->cpu, &error) != MOTE_OK) {
        complain("%s", error.text);
        return EXIT_FAILURE;
    }
    if (settings->json)
        return print_json(&out, &cpu, settings->cpu);
    output_print(&out, "architecture  %s\n", cpu.architecture);
    if (*cpu.name != '\0')
        output_print(&out, "name          %s\n", cpu.name);
    output_print(&out, "features      %s\n", *cpu.features != '\0' ? cpu.features : "none that mote uses");
    if (*cpu.masked != '\0')
        output_print(&out, "masked        %s\n", cpu.masked);
    output_print(&out, "processors    %u\nthreads       %u\n", cpu.processors, cpu.threads);
    const char *operation = "";
    for (size_t i = 0; mote_cpu_kernel(&kernel, i, settings->cpu, NULL) == MOTE_OK; i++) {
        if (strcmp(operation, kernel.operation) != 0)
            print_row(&out, "\n", kernel.operation, "kernel", i == 0 ? "packed" : "");
        operation = kernel.operation;
        print_row(&out, "  ", kernel.format, kernel.kernel, kernel.packed);
    }
    return output_finish(&out, EXIT_SUCCESS);
}

const struct command command_cpu = {
    .name = "cpu",
    .operands = "",
    .summary = "this processor, and the kernels chosen for it",
    .text =
        "Prints what the processor can do, how many processors this process may use at once and how many threads mote "
        "starts by itself, and which kernel computes with each format of weights and of the memory of earlier tokens.\n"
        "The environment variable MOTE_CPU rules features out, here and wherever a model runs: generic allows none, "
        "avx2 or dotprod that feature and all before it in the architecture's order, avx2,f16c exactly those. The "
        "order "
        "is f16c, avx2, avx-vnni, avx512, avx512-vnni, avx512-bf16; on Arm neon, fp16, dotprod, i8mm, bf16; on RISC-V "
        "rvv.",
    .examples = "mote cpu\n"
                "MOTE_CPU=avx2 mote cpu",
    .groups = {&own_options},
    .run = run,
};
