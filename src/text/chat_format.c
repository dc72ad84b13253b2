/* The chat formats of the families, byte for byte what their templates render for plain conversations. */
#include "text/chat_format.h"

#include "base/checked.h"
#include "text/unicode.h"

#include <stdlib.h>

/* --------------------------------------------------------------------------------------------------------- detection */

static bool contains(gguf_string text, const char *words)
{
    size_t length = strlen(words);
    for (size_t at = 0; text.length >= length && at <= text.length - length; at++) {
        const char *found = memchr(text.at + at, words[0], text.length - length - at + 1);
        if (found == NULL)
            return false;
        at = (size_t)(found - text.at);
        if (memcmp(found, words, length) == 0)
            return true;
    }
    return false;
}

/* A template is known by two texts of its own; the first row that fits is taken. */
static chat_format format_of_template(gguf_string template)
{
    static const struct {
        const char *one, *other;
        chat_format format;
    } rows[] = {
        {"<|im_start|>", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", CHAT_QWEN2_5},
        {"<|im_start|>", "You are a helpful AI assistant named SmolLM, trained by Hugging Face", CHAT_SMOLLM2},
        {"<|im_start|>", "You are a helpful assistant.", CHAT_QWEN2},
        {"<|im_start|>", "</think>", CHAT_QWEN3},
        {"<|im_start|>", "<|im_end|>", CHAT_CHATML},
        {"<start_of_turn>", "<end_of_turn>", CHAT_GEMMA},
        {"<|start_header_id|>", "Cutting Knowledge Date: December 2023", CHAT_LLAMA3_DATE},
        {"<|start_header_id|>", "<|eot_id|>", CHAT_LLAMA3},
        {"<|assistant|>", "<|end|>", CHAT_PHI},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (contains(template, rows[i].one) && contains(template, rows[i].other))
            return rows[i].format;
    return CHAT_NONE;
}

static bool is_control(const tokenizer *t, const char *text)
{
    mote_token token = tokenizer_find(t, text);
    return token >= 0 && vocabulary_kind(tokenizer_vocabulary(t), token) == TOKEN_CONTROL;
}

static bool has_tokens(const tokenizer *t, const char *one, const char *other)
{
    return is_control(t, one) && is_control(t, other);
}

chat_format chat_format_detect(const gguf *file, const tokenizer *t)
{
    gguf_string template = {"", 0};
    const char *const key = "tokenizer.chat_template";
    if (gguf_get_string(file, key, &template, NULL) == MOTE_OK && template.length > 0)
        return format_of_template(template);
    if (has_tokens(t, "<|im_start|>", "<|im_end|>"))
        return CHAT_CHATML;
    if (has_tokens(t, "<start_of_turn>", "<end_of_turn>"))
        return CHAT_GEMMA;
    if (has_tokens(t, "<|start_header_id|>", "<|eot_id|>"))
        return CHAT_LLAMA3;
    return has_tokens(t, "<|assistant|>", "<|end|>") ? CHAT_PHI : CHAT_NONE;
}

const char *chat_format_name(chat_format format)
{
    switch (format) {
    case CHAT_NONE: return "";
    case CHAT_CHATML:
    case CHAT_QWEN2:
    case CHAT_QWEN2_5:
    case CHAT_QWEN3:
    case CHAT_SMOLLM2: return "chatml";
    case CHAT_GEMMA: return "gemma";
    case CHAT_PHI: return "phi";
    case CHAT_LLAMA3:
    case CHAT_LLAMA3_DATE: return "llama3";
    }
    return "";
}

/* ------------------------------------------------------------------------------------------------------------- spans */

enum { SPANS_OF_A_MESSAGE = 8 }; /* at most, and of what stands around them all */

typedef struct rendering {
    text_span *spans;
    size_t count;
    const mote_message *messages;
    size_t message_count;
    bool open_answer;
    mote_error *error;
} rendering;

/* Text of the format: control tokens in it are control tokens. */
static void add_own(rendering *r, const char *text)
{
    r->spans[r->count++] = (text_span){text, strlen(text), true};
}

static void add_content(rendering *r, const char *text, size_t length)
{
    r->spans[r->count++] = (text_span){text, length, false};
}

static bool is_role(const mote_message *message, const char *role)
{
    return strcmp(message->role, role) == 0;
}

/* White space as Python's str.strip and so Jinja's `trim` have it: White_Space and the four separators of ASCII. */
static bool is_trimmed(utf8_char c)
{
    return (char_class(c.code) & CHAR_SPACE) || (c.code >= 0x1c && c.code <= 0x1f);
}

/* The last character of a text of length > 0. */
static utf8_char last_character(const char *text, size_t length)
{
    for (size_t back = 2; back <= UTF8_LONGEST && back <= length; back++) {
        utf8_char c = utf8_decode(text + length - back, back);
        if (c.code < UTF8_INVALID && c.length == back)
            return c;
    }
    return utf8_decode(text + length - 1, 1);
}

static void add_trimmed(rendering *r, const char *text, size_t length)
{
    for (utf8_char c; length > 0 && is_trimmed(c = utf8_decode(text, length)); length -= c.length)
        text += c.length;
    for (utf8_char c; length > 0 && is_trimmed(c = last_character(text, length));)
        length -= c.length;
    add_content(r, text, length);
}

/* ------------------------------------------------------------------------------------------------------------ ChatML */

static void add_chatml_start(rendering *r, const char *role)
{
    add_own(r, "<|im_start|>");
    add_own(r, role);
    add_own(r, "\n");
}

static mote_status render_chatml(rendering *r, const char *default_system)
{
    if (default_system != NULL && (r->message_count == 0 || !is_role(&r->messages[0], "system"))) {
        add_chatml_start(r, "system");
        add_own(r, default_system);
        add_own(r, "<|im_end|>\n");
    }
    for (size_t i = 0; i < r->message_count; i++) {
        add_chatml_start(r, r->messages[i].role);
        add_content(r, r->messages[i].content, r->messages[i].length);
        add_own(r, "<|im_end|>\n");
    }
    if (r->open_answer)
        add_chatml_start(r, "assistant");
    return MOTE_OK;
}

static bool starts_with(gguf_string text, const char *words)
{
    size_t length = strlen(words);
    return text.length >= length && memcmp(text.at, words, length) == 0;
}

static bool ends_with(gguf_string text, const char *words)
{
    size_t length = strlen(words);
    return text.length >= length && memcmp(text.at + text.length - length, words, length) == 0;
}

static gguf_string strip_lines_left(gguf_string text)
{
    for (; text.length > 0 && text.at[0] == '\n'; text.length--)
        text.at++;
    return text;
}

static gguf_string strip_lines_right(gguf_string text)
{
    while (text.length > 0 && text.at[text.length - 1] == '\n')
        text.length--;
    return text;
}

/* What is behind the last of `words`; the whole text if there is none. */
static gguf_string after_last(gguf_string text, const char *words)
{
    size_t length = strlen(words);
    for (size_t end = text.length; end >= length; end--)
        if (memcmp(text.at + end - length, words, length) == 0)
            return (gguf_string){text.at + end, text.length - end};
    return text;
}

/* What is in front of the first of `words`; nothing if there is none. */
static gguf_string before_first(gguf_string text, const char *words)
{
    size_t length = strlen(words);
    for (size_t at = 0; text.length >= length && at <= text.length - length; at++)
        if (memcmp(text.at + at, words, length) == 0)
            return (gguf_string){text.at, at};
    return (gguf_string){text.at, 0};
}

/* An answer of Qwen3's. What it thought is kept only if no user has spoken since. */
static void add_qwen3_answer(rendering *r, size_t index, bool since_last_user)
{
    gguf_string content = {r->messages[index].content, r->messages[index].length};
    gguf_string thought = before_first(content, "</think>");
    if (contains(content, "</think>"))
        content = strip_lines_left(after_last(content, "</think>"));
    thought = strip_lines_left(after_last(strip_lines_right(thought), "<think>"));
    if (since_last_user && (index + 1 == r->message_count || thought.length > 0)) {
        thought = strip_lines_right(thought);
        content = strip_lines_left(content);
        add_own(r, "<think>\n");
        add_content(r, thought.at, thought.length);
        add_own(r, "\n</think>\n\n");
    }
    add_content(r, content.at, content.length);
}

static mote_status render_qwen3(rendering *r)
{
    size_t last_user = r->message_count > 0 ? r->message_count - 1 : 0;
    for (size_t i = r->message_count; i-- > 0;) {
        gguf_string content = {r->messages[i].content, r->messages[i].length};
        bool of_a_tool = starts_with(content, "<tool_response>") && ends_with(content, "</tool_response>");
        if (is_role(&r->messages[i], "user") && !of_a_tool) {
            last_user = i;
            break;
        }
    }
    for (size_t i = 0; i < r->message_count; i++) {
        add_chatml_start(r, r->messages[i].role);
        if (is_role(&r->messages[i], "assistant"))
            add_qwen3_answer(r, i, i > last_user);
        else
            add_content(r, r->messages[i].content, r->messages[i].length);
        add_own(r, "<|im_end|>\n");
    }
    if (r->open_answer)
        add_chatml_start(r, "assistant");
    return MOTE_OK;
}

/* ------------------------------------------------------------------------------------------------------------- others */

static mote_status render_gemma(rendering *r)
{
    size_t first = r->message_count > 0 && is_role(&r->messages[0], "system") ? 1 : 0;
    if (first == 1 && r->message_count == 1)
        return fail(r->error, MOTE_E_ARGUMENT,
                    "message 1 is a system message, which this model's format puts in front of "
                    "a user's, and none follows; add one");
    for (size_t i = first; i < r->message_count; i++) {
        const char *role = (i - first) % 2 == 0 ? "user" : "assistant";
        if (!is_role(&r->messages[i], role))
            return fail(r->error, MOTE_E_ARGUMENT,
                        "message %zu is of role \"%.40s\", where this model's format has one of "
                        "role \"%s\"; let user and assistant take turns, the user first",
                        i + 1, r->messages[i].role, role);
        add_own(r, "<start_of_turn>");
        add_own(r, (i - first) % 2 == 0 ? "user" : "model");
        add_own(r, "\n");
        if (i == 1 && first == 1) {
            add_content(r, r->messages[0].content, r->messages[0].length);
            add_own(r, "\n\n");
        }
        add_trimmed(r, r->messages[i].content, r->messages[i].length);
        add_own(r, "<end_of_turn>\n");
    }
    if (r->open_answer)
        add_own(r, "<start_of_turn>model\n");
    return MOTE_OK;
}

/* Phi-3's template puts a line feed behind <|user|> and <|end|>; its tokens swallow white space behind them, so that the
 * ids are these. */
static mote_status render_phi(rendering *r)
{
    for (size_t i = 0; i < r->message_count; i++) {
        add_own(r, is_role(&r->messages[i], "system") ? "<|system|>"
                   : is_role(&r->messages[i], "user") ? "<|user|>"
                                                      : "<|assistant|>");
        add_content(r, r->messages[i].content, r->messages[i].length);
        add_own(r, "<|end|>");
    }
    add_own(r, r->open_answer ? "<|assistant|>" : "<|endoftext|>");
    return MOTE_OK;
}

static void add_llama3_start(rendering *r, const char *role)
{
    add_own(r, "<|start_header_id|>");
    add_own(r, role);
    add_own(r, "<|end_header_id|>\n\n");
}

/* The second date is the one the template itself falls back to where it cannot ask for today's. */
static mote_status render_llama3(rendering *r, bool dates)
{
    size_t first = 0;
    if (dates) {
        first = r->message_count > 0 && is_role(&r->messages[0], "system") ? 1 : 0;
        add_llama3_start(r, "system");
        add_own(r, "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n");
        if (first == 1)
            add_trimmed(r, r->messages[0].content, r->messages[0].length);
        add_own(r, "<|eot_id|>");
    }
    for (size_t i = first; i < r->message_count; i++) {
        add_llama3_start(r, r->messages[i].role);
        add_trimmed(r, r->messages[i].content, r->messages[i].length);
        add_own(r, "<|eot_id|>");
    }
    if (r->open_answer)
        add_llama3_start(r, "assistant");
    return MOTE_OK;
}

/* ---------------------------------------------------------------------------------------------------------- encoding */

static mote_status check_messages(const mote_message *messages, size_t count, mote_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const mote_message *m = &messages[i];
        if (m->role == NULL || !(is_role(m, "system") || is_role(m, "user") || is_role(m, "assistant")))
            return fail(error, MOTE_E_ARGUMENT, "message %zu is of role \"%.40s\"; use system, user or assistant",
                        i + 1, m->role != NULL ? m->role : "");
        if (m->content == NULL && m->length > 0)
            return fail(error, MOTE_E_ARGUMENT, "message %zu has a length and no content; give both or neither", i + 1);
    }
    return MOTE_OK;
}

static mote_status render(rendering *r, chat_format format)
{
    switch (format) {
    case CHAT_NONE: break;
    case CHAT_CHATML: return render_chatml(r, NULL);
    case CHAT_QWEN2: return render_chatml(r, "You are a helpful assistant.");
    case CHAT_QWEN2_5: return render_chatml(r, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.");
    case CHAT_QWEN3: return render_qwen3(r);
    case CHAT_SMOLLM2: return render_chatml(r, "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
    case CHAT_GEMMA: return render_gemma(r);
    case CHAT_PHI: return render_phi(r);
    case CHAT_LLAMA3: return render_llama3(r, false);
    case CHAT_LLAMA3_DATE: return render_llama3(r, true);
    }
    return fail(r->error, MOTE_E_UNSUPPORTED, "the model has no chat format that mote knows; give it plain text");
}

mote_status chat_encode(const tokenizer *t, chat_format format, const mote_message *messages, size_t count,
                        bool open_answer, mote_ids *ids, mote_error *error)
{
    size_t spans, bytes;
    mote_status status = check_messages(messages, count, error);
    if (status != MOTE_OK)
        return status;
    if (!checked_add(count, 1, &spans) || !checked_mul(spans, SPANS_OF_A_MESSAGE * sizeof(text_span), &bytes))
        return fail_memory(error, SIZE_MAX, "a conversation");
    rendering r = {malloc(bytes), 0, messages, count, open_answer, error};
    if (r.spans == NULL)
        return fail_memory(error, bytes, "a conversation");
    status = render(&r, format);
    unsigned begins = format == CHAT_GEMMA || format == CHAT_LLAMA3 || format == CHAT_LLAMA3_DATE;
    if (status == MOTE_OK)
        status = tokenizer_encode_spans(t, r.spans, r.count, begins ? MOTE_TOKENIZE_BOS : 0, ids, error);
    free(r.spans);
    return status;
}
