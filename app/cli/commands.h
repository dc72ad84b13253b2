/* All commands; each is defined by its own file. */
#ifndef MOTE_CLI_COMMANDS_H
#define MOTE_CLI_COMMANDS_H

#include "options.h"

extern const struct command command_run;
extern const struct command command_chat;
extern const struct command command_info;
extern const struct command command_plan;
extern const struct command command_tokenize;
extern const struct command command_logits;
extern const struct command command_dequant;
extern const struct command command_pack, command_convert, command_synth;
extern const struct command command_imatrix, command_eval;
extern const struct command command_quantize;
extern const struct command command_cpu;
extern const struct command command_bench;
extern const struct command command_tune;
extern const struct command command_version;
extern const struct command command_help;

/* Help for one command, or the overview if NULL, on standard output. Returns the exit status. */
int print_help(const struct command *command);

#endif
