/* mote: the program. Finds the command, parses what follows, runs it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "interrupt.h"
#include "output.h"

const struct command *const commands[] = {
    &command_run,
    &command_chat,
    &command_info,
    &command_plan,
    &command_tokenize,
    &command_bench,
    &command_logits,
    &command_dequant,
    &command_convert,
    &command_pack,
    &command_quantize,
    &command_synth,
    &command_imatrix,
    &command_eval,
    &command_cpu,
    &command_tune,
    &command_version,
    &command_help,
    NULL,
};

/* A standard stream that was closed by the caller must not become the number of the next file we open. It is
 * replaced by one that fails as a closed one would. */
static void hold_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            return;
    }
}

static int unknown_command(const char *word)
{
    const struct command *nearest = command_nearest(word);
    if (strcmp(word, "debug") == 0)
        return usage_error("", "'mote debug' has two parts: debug logits and debug dequant");
    if (*word == '-')
        return usage_error("", "the command comes before its options: mote run %.64s", word);
    if (nearest != NULL)
        return usage_error("", "unknown command '%.64s'; did you mean %s?", word, nearest->name);
    return usage_error("", "unknown command '%.64s'; to ask a model, write mote run '%.64s'", word, word);
}

/* The one variable that changes what is computed with: for comparing, and for ruling a feature out. */
static bool read_environment(struct settings *settings)
{
    mote_cpu_info cpu;
    mote_error error;
    const char *wanted = getenv("MOTE_CPU");
    if (wanted == NULL || *wanted == '\0')
        return true;
    settings->cpu = wanted;
    if (mote_cpu_describe(&cpu, wanted, &error) == MOTE_OK)
        return true;
    usage_error("cpu", "MOTE_CPU: %s", error.text);
    return false;
}

static int dispatch(const char *const *words, size_t count)
{
    struct settings settings;
    size_t used;
    if (count == 0 || strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0)
        return print_help(NULL);
    if (strcmp(words[0], "--version") == 0)
        return command_version.run(NULL);
    const struct command *command = command_find(words, count, &used);
    if (command == NULL)
        return unknown_command(words[0]);
    settings_init(&settings);
    switch (options_parse(command, words + used, count - used, &settings)) {
    case PARSE_HELP: return print_help(command);
    case PARSE_FAILED: return EXIT_USAGE;
    case PARSE_DONE: break;
    }
    if (command != &command_help && !read_environment(&settings))
        return EXIT_USAGE;
    return command->run(&settings);
}

int main(int argc, char **argv)
{
    hold_standard_streams();
    interrupt_install();
    int status = dispatch((const char *const *)argv + 1, argc > 0 ? (size_t)argc - 1 : 0);
    interrupt_end();
    return status;
}
