/* mote help: printed from the same tables that the options are parsed by. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "output.h"

enum { PAGE_WIDTH = 79, NAME_COLUMN = 2, HELP_COLUMN = 28 };

/* Words from column `column` on, which the cursor has reached, wrapped at the page's width. Line breaks in the text
 * begin a new paragraph. */
static void print_wrapped(struct output *out, const char *text, int column)
{
    int at = column;
    while (*text != '\0') {
        int word = (int)strcspn(text, " \n");
        if (at > column && at + 1 + word > PAGE_WIDTH) {
            output_print(out, "\n%*s", column, "");
            at = column;
        }
        if (at > column)
            output_print(out, " ");
        output_print(out, "%.*s", word, text);
        at += word + (at > column);
        text += word;
        if (*text == '\n') {
            output_print(out, "\n\n%*s", column, "");
            at = column;
        }
        if (*text != '\0')
            text++;
    }
    output_print(out, "\n");
}

static void print_option(struct output *out, const struct option *option)
{
    char name[64], letter[8] = "    ";
    if (option->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    int width = snprintf(name, sizeof name, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
                         option->argument ? option->argument : "");
    if (width + NAME_COLUMN + 2 > HELP_COLUMN)
        output_print(out, "%*s%s\n%*s", NAME_COLUMN, "", name, HELP_COLUMN, "");
    else
        output_print(out, "%*s%-*s", NAME_COLUMN, "", HELP_COLUMN - NAME_COLUMN, name);
    print_wrapped(out, option->help, HELP_COLUMN);
}

static void print_examples(struct output *out, const char *lines)
{
    output_print(out, "\nExamples\n");
    while (*lines != '\0') {
        int length = (int)strcspn(lines, "\n");
        output_print(out, "  %.*s\n", length, lines);
        lines += length + (lines[length] != '\0');
    }
}

static void print_command(struct output *out, const struct command *command)
{
    output_print(out, "Usage: mote %s [OPTION]...%s%s\n\n", command->name, *command->operands ? " " : "",
                 command->operands);
    print_wrapped(out, command->text, 0);
    for (size_t g = 0; command->groups[g] != NULL; g++) {
        output_print(out, "\n%s\n", command->groups[g]->title);
        for (const struct option *option = command->groups[g]->options; option->name != NULL; option++)
            print_option(out, option);
    }
    if (command->examples != NULL)
        print_examples(out, command->examples);
    output_print(out, "\nAn option's value follows it, or '='; \"--\" ends the options.\n"
                      "Exit status: 0 done, 1 the run failed, 2 wrong usage.\n");
}

static void print_overview(struct output *out)
{
    output_print(out, "mote runs small language models on this machine, without a network.\n\n"
                      "Usage: mote COMMAND [OPTION]...\n\nCommands\n");
    for (size_t i = 0; commands[i] != NULL; i++)
        output_print(out, "  %-16s%s\n", commands[i]->name, commands[i]->summary);
    output_print(out, "\nTry\n"
                      "  mote run 'turn on the kitchen lamp'\n"
                      "  mote run -m qwen3-0.6b.gguf 'Why is the sky blue?'\n"
                      "  mote chat -m qwen3-0.6b.gguf\n\n"
                      "'mote help COMMAND' tells more.\n");
}

int print_help(const struct command *command)
{
    struct output out = output_to(stdout, "standard output");
    if (command == NULL)
        print_overview(&out);
    else
        print_command(&out, command);
    return output_finish(&out, EXIT_SUCCESS);
}

static int run(const struct settings *settings)
{
    size_t used = 0;
    if (settings->operand_count == 0)
        return print_help(NULL);
    const char *word = settings->operands[0];
    const struct command *command = command_find(settings->operands, settings->operand_count, &used);
    if (command != NULL && used == settings->operand_count)
        return print_help(command);
    if (strcmp(word, "debug") == 0)
        return usage_error("", "'mote debug' has two parts: mote help debug logits, mote help debug dequant");
    command = command_nearest(word);
    if (command != NULL && used == 0)
        return usage_error("", "no command '%.64s'; did you mean mote help %s?", word, command->name);
    return usage_error("", "no such command: '%.64s'", settings->operands[used < settings->operand_count ? used : 0]);
}

const struct command command_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "what a command does and what options it takes",
    .text = "Explains COMMAND, or lists all commands.",
    .operands_max = 2,
    .run = run,
};
