/* mote version: which build this is. */
#include <stdlib.h>

#include "commands.h"
#include "output.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#ifndef MOTE_BUILD_TYPE
#ifdef __OPTIMIZE__
#define MOTE_BUILD_TYPE "optimised"
#else
#define MOTE_BUILD_TYPE "debug"
#endif
#endif

static int run(const struct settings *settings)
{
    mote_cpu_info cpu;
    struct output out = output_to(stdout, "standard output");
    (void)settings;
    mote_cpu_describe(&cpu, NULL, NULL);
    output_print(&out, "mote      %s\ncompiler  %s\nbuild     %s\nmachine   %s\n", mote_version(), COMPILER,
                 MOTE_BUILD_TYPE, cpu.architecture);
    return output_finish(&out, EXIT_SUCCESS);
}

const struct command command_version = {
    .name = "version",
    .operands = "",
    .summary = "version, compiler and build",
    .text = "Prints the version, the compiler and the kind of build, to name in a report.",
    .run = run,
};
