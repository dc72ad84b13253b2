/* mote chat: a conversation, line by line. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "conversation.h"
#include "figures.h"
#include "interrupt.h"
#include "line_editor.h"
#include "output.h"

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
    {"tokens", 'n', OPTION_COUNT, "N", 0, 1 << 24, AT(max_tokens),
     "The longest answer, in tokens. Default: 0, as long as the context has room."},
    {"system", 's', OPTION_TEXT, "TEXT", 0, 1 << 20, AT(system),
     "Instructions for the whole conversation, as the model's system message."},
    {"stop", 0, OPTION_STOP, "TEXT", 1, STOP_BYTES_MAX, AT(stops),
     "End each answer before TEXT. May be given 16 times."},
    {"quiet", 'q', OPTION_FLAG, NULL, 0, 0, AT(quiet), "No greeting."},
    {0},
};
static const struct option_group own_options = {"Options", table};

struct chat {
    const struct settings *settings;
    struct loaded loaded;
    struct line_editor *editor;
    struct conversation conversation;
    mote_sampling sampling;
    struct figures figures; /* of the last answer */
    struct output out;
    struct textbuf answer; /* the one being made */
    bool no_memory;
    int status;
    bool done;
};

static bool take_text(void *user, const char *text, size_t length)
{
    struct chat *chat = user;
    output_stream(&chat->out, text, length);
    chat->no_memory = !textbuf_append(&chat->answer, text, length);
    return chat->out.error == 0 && !chat->no_memory && !interrupted();
}

/* Something a person should know; where there is none, a script's log. */
static void note(struct chat *chat, const char *text)
{
    if (line_editor_interactive(chat->editor))
        output_print(&chat->out, "(%s)\n", text);
    else
        complain("%s", text);
}

/* ------------------------------------------------------------------------------------------------------------ turns */

static mote_status encode(struct chat *chat, size_t most_messages, bool open_answer, mote_ids *ids, mote_error *error)
{
    size_t count;
    const mote_message *messages = conversation_messages(&chat->conversation, &count);
    ids->count = 0;
    return mote_chat_encode(chat->loaded.model, messages, count < most_messages ? count : most_messages, open_answer,
                            ids, error);
}

/* The conversation as ids. Where it does not fit and may shift, its oldest turns are forgotten until a quarter of the context
 * is free again. */
static mote_status encode_conversation(struct chat *chat, mote_ids *prompt, mote_error *error)
{
    size_t context = chat->loaded.limits.context, forgotten = 0;
    mote_status status = encode(chat, SIZE_MAX, true, prompt, error);
    bool shifts = on_full_of(chat->settings) == MOTE_FULL_SHIFT && status == MOTE_OK && prompt->count >= context;
    while (shifts && status == MOTE_OK && prompt->count > context - context / 4 &&
           conversation_drop_first(&chat->conversation)) {
        forgotten += 2;
        status = encode(chat, SIZE_MAX, true, prompt, error);
    }
    if (forgotten > 0) {
        char text[96];
        snprintf(text, sizeof text, "the context is full: the oldest %zu messages are forgotten", forgotten);
        note(chat, text);
    }
    return status;
}

/* How many tokens of the prompt are the system message. */
static size_t system_tokens(struct chat *chat, const mote_ids *prompt)
{
    mote_ids ids = {0};
    size_t common = 0, most = chat->loaded.limits.context / 2;
    if (chat->conversation.messages[0].content != NULL && encode(chat, 1, false, &ids, NULL) == MOTE_OK)
        while (common < ids.count && common < prompt->count && common < most && ids.at[common] == prompt->at[common])
            common++;
    mote_ids_free(&ids);
    return common;
}

static mote_status answer(struct chat *chat, const mote_ids *prompt, mote_error *error)
{
    mote_generation_options options;
    mote_generation_options_init(&options);
    options.sampling = &chat->sampling;
    options.max_tokens = chat->settings->max_tokens;
    options.stop = chat->settings->stops;
    options.stop_count = chat->settings->stop_count;
    options.on_text = take_text;
    options.user = chat;
    options.on_full = on_full_of(chat->settings);
    options.keep = system_tokens(chat, prompt);
    chat->answer.length = 0;
    chat->no_memory = false;
    if (interrupted()) /* while there was nothing to cancel yet */
        return MOTE_E_CANCELLED;
    return mote_generate(chat->loaded.session, prompt->at, prompt->count, &options, &chat->figures.generation, error);
}

static void tell_full(struct chat *chat)
{
    char text[160];
    snprintf(text, sizeof text, "the context of %u tokens is full: /reset starts anew, mote chat --ctx N makes room",
             chat->loaded.limits.context);
    note(chat, text);
}

static void tell_shifted(struct chat *chat)
{
    char text[128];
    snprintf(text, sizeof text, "the context was full: %zu tokens before this were forgotten",
             chat->figures.generation.shifted_tokens);
    note(chat, text);
}

/* The model's turn. False if it has said nothing, so that the user's turn is forgotten as well. */
static bool model_turn(struct chat *chat)
{
    mote_error error;
    mote_ids prompt = {0};
    mote_status status = encode_conversation(chat, &prompt, &error);
    bool full = status == MOTE_OK && prompt.count >= chat->loaded.limits.context;
    if (status == MOTE_OK && !full)
        status = answer(chat, &prompt, &error);
    mote_ids_free(&prompt);

    if (chat->answer.length > 0 && chat->answer.at[chat->answer.length - 1] != '\n')
        output_write(&chat->out, "\n", 1);
    if (status == MOTE_OK && !full && chat->figures.generation.shifted_tokens > 0)
        tell_shifted(chat);
    if (full || status == MOTE_E_LIMIT || (status == MOTE_OK && chat->figures.generation.finish == MOTE_FINISH_CONTEXT))
        tell_full(chat);
    else if (status == MOTE_OK && chat->figures.generation.finish == MOTE_FINISH_LENGTH)
        note(chat, "the answer was cut at --tokens");
    else if (chat->no_memory)
        note(chat, "no memory for a longer answer");
    else if (status != MOTE_OK && status != MOTE_E_CANCELLED)
        complain("%s", error.text);
    if (full || chat->no_memory || (status != MOTE_OK && status != MOTE_E_CANCELLED))
        chat->status = EXIT_FAILURE;
    return !full && chat->answer.length > 0;
}

static void take_turn(struct chat *chat, const char *text, size_t length)
{
    chat->answer.length = 0;
    bool good = conversation_add(&chat->conversation, "user", text, length);
    if (good && model_turn(chat))
        good = conversation_add(&chat->conversation, "assistant", chat->answer.at, chat->answer.length);
    else if (good)
        conversation_drop_last(&chat->conversation);
    if (!good) {
        complain("no memory for a longer conversation; /reset starts anew");
        chat->status = EXIT_FAILURE;
    }
    if (chat->settings->model == NULL) /* the built-in model knows single commands: earlier ones would mislead it */
        conversation_reset(&chat->conversation);
    if (interrupted() == SIGINT) {
        if (line_editor_interactive(chat->editor)) {
            interrupt_clear();
            output_print(&chat->out, "(stopped)\n");
        }
    }
    chat->done = chat->done || interrupted() != 0;
}

/* --------------------------------------------------------------------------------------------------------- commands */

static void do_help(struct chat *chat, const char *argument);

static void do_reset(struct chat *chat, const char *argument)
{
    (void)argument;
    conversation_reset(&chat->conversation);
    mote_session_clear(chat->loaded.session);
    note(chat, "a new conversation");
}

static void do_system(struct chat *chat, const char *argument)
{
    if (!conversation_set_system(&chat->conversation, argument, strlen(argument))) {
        complain("no memory for the instructions; give shorter ones");
        return;
    }
    note(chat, *argument != '\0' ? "the instructions are set" : "no instructions");
}

static void do_stats(struct chat *chat, const char *argument)
{
    (void)argument;
    char text[96];
    snprintf(text, sizeof text, "%zu of %u tokens of context in use", mote_session_length(chat->loaded.session),
             chat->loaded.limits.context);
    note(chat, text);
    fflush(stdout);
    if (chat->figures.generation.prompt_tokens > 0)
        figures_print(&chat->figures);
}

static void do_quit(struct chat *chat, const char *argument)
{
    (void)argument;
    chat->done = true;
}

static const struct chat_command {
    const char *name;
    const char *argument;
    const char *help;
    void (*run)(struct chat *chat, const char *argument);
} chat_commands[] = {
    {"/help", "", "this list", do_help},
    {"/reset", "", "forget the conversation", do_reset},
    {"/system", " [TEXT]", "instructions for the model from here on; none without TEXT", do_system},
    {"/stats", "", "what the last answer cost, and how full the context is", do_stats},
    {"/quit", "", "end, as Ctrl-D does", do_quit},
};
enum { CHAT_COMMANDS = sizeof chat_commands / sizeof *chat_commands };

static void do_help(struct chat *chat, const char *argument)
{
    (void)argument;
    for (size_t i = 0; i < CHAT_COMMANDS; i++) {
        int width = 18 - (int)strlen(chat_commands[i].name);
        output_print(&chat->out, "%s%-*s%s\n", chat_commands[i].name, width, chat_commands[i].argument,
                     chat_commands[i].help);
    }
    output_print(&chat->out,
                 "A line that ends in \\ goes on in the next; one that begins with // is sent with one /.\n");
}

static void do_command(struct chat *chat, const char *line)
{
    size_t length = strcspn(line, " ");
    for (size_t i = 0; i < CHAT_COMMANDS; i++) {
        const struct chat_command *command = &chat_commands[i];
        if (strlen(command->name) == length && strncmp(line, command->name, length) == 0) {
            command->run(chat, line + length + strspn(line + length, " "));
            return;
        }
    }
    complain("no command %.40s; /help lists them", line);
    if (!line_editor_interactive(chat->editor))
        chat->status = EXIT_FAILURE;
}

/* ------------------------------------------------------------------------------------------------------------- loop */

/* One message: a line, and those it continues in. NUL-terminated beyond its length. */
static line_result read_message(struct chat *chat, struct textbuf *message)
{
    struct textbuf line = {0};
    const char *prompt = "> ";
    line_result result;
    message->length = 0;
    for (;;) {
        result = line_editor_read(chat->editor, prompt, &line);
        if (result != LINE_READ)
            break;
        bool more = line.length > 0 && line.at[line.length - 1] == '\\';
        if (more)
            line.at[line.length - 1] = '\n';
        if (!textbuf_append(message, line.at, line.length)) {
            complain("no memory for a longer message; give a shorter one");
            result = LINE_FAILED;
            break;
        }
        if (!more)
            break;
        prompt = ". ";
    }
    textbuf_free(&line);
    if (result == LINE_READ && !textbuf_append(message, "", 1))
        return LINE_FAILED;
    if (result == LINE_READ)
        message->length--;
    return result;
}

static void converse(struct chat *chat)
{
    struct textbuf message = {0};
    while (!chat->done && chat->out.error == 0) {
        switch (read_message(chat, &message)) {
        case LINE_INTERRUPTED: interrupt_clear(); break;
        case LINE_BROKEN: chat->done = true; /* fallthrough */
        case LINE_FAILED: chat->status = EXIT_FAILURE; break;
        case LINE_END: chat->done = true; break;
        case LINE_READ:
            if (message.length == 0)
                break;
            if (message.at[0] == '/' && message.at[1] != '/')
                do_command(chat, message.at);
            else
                take_turn(chat, message.at + (message.at[0] == '/'), message.length - (message.at[0] == '/'));
            break;
        }
        output_stream(&chat->out, "", 0); /* flush */
    }
    if (line_editor_interactive(chat->editor) && chat->out.error == 0)
        output_print(&chat->out, "\n");
    textbuf_free(&message);
}

static void greet(struct chat *chat)
{
    const char *name = model_name(chat->settings, &chat->loaded.info);
    output_escaped(&chat->out, name, strlen(name));
    output_print(&chat->out, ". /help lists commands; Ctrl-C ends an answer, Ctrl-D the chat.\n");
    output_stream(&chat->out, "", 0);
}

/* Everything that can fail before the first line. */
static bool prepare(struct chat *chat)
{
    const char *system = chat->settings->system;
    if (*chat->loaded.info.chat_format == '\0') {
        complain("this model has no chat format; use mote run --raw");
        return false;
    }
    chat->editor = line_editor_open();
    if (chat->editor == NULL ||
        (system != NULL && !conversation_set_system(&chat->conversation, system, strlen(system)))) {
        complain("no memory to begin a chat; free some");
        return false;
    }
    return true;
}

static int run(const struct settings *settings)
{
    struct chat chat = {.settings = settings, .out = output_to(stdout, "standard output")};
    if (!loaded_open(&chat.loaded, settings))
        return EXIT_FAILURE;
    chat.sampling = chosen_sampling(settings);
    chat.figures.load_seconds = chat.loaded.seconds;
    if (!prepare(&chat)) {
        chat.status = EXIT_FAILURE;
    } else {
        if (line_editor_interactive(chat.editor) && !settings->quiet)
            greet(&chat);
        converse(&chat);
    }
    int status = output_finish(&chat.out, chat.status);
    line_editor_close(chat.editor);
    conversation_free(&chat.conversation);
    textbuf_free(&chat.answer);
    loaded_close(&chat.loaded);
    return status;
}

const struct command command_chat = {
    .name = "chat",
    .operands = "[FILE]",
    .summary = "hold a conversation",
    .text =
        "A conversation with the model of FILE at the terminal, with line editing and a history that lasts (Ctrl-R "
        "searches it, Ctrl-P and the arrow keys walk it). Ctrl-C ends an answer, or drops the line being typed; Ctrl-D "
        "ends the chat. Lines that begin with / are commands: /help, /reset, /system TEXT, /stats, /quit. Where "
        "standard "
        "input is no terminal, each of its lines is a message and each answer a paragraph.\n"
        "The model built into mote knows no conversations: it takes each message by itself.\n"
        "History is kept in $XDG_STATE_HOME/mote/history, or ~/.local/state/mote/history.",
    .examples = "mote chat -m qwen3-0.6b.gguf --system 'Answer in one sentence.'",
    .groups = {&own_options, &model_options, &sampling_options, &context_options, &machine_options},
    .operands_max = 1,
    .operand_is_model = true,
    .run = run,
};
