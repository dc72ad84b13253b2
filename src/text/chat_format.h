/* Conversations → token ids, in the format a model was trained on.
 *
 * A conversation is rendered as a list of text_spans, each either trusted (the format's own text, in which control tokens
 * are recognised) or not (what a person or a tool wrote, in which they stay text), and the list goes to
 * tokenizer_encode_spans. That is the door for an interpreter of the file's own template, too: it need only produce the
 * same kind of list. */
#ifndef MOTE_TEXT_CHAT_FORMAT_H
#define MOTE_TEXT_CHAT_FORMAT_H

#include "text/tokenizer.h"

typedef enum chat_format {
    CHAT_NONE,
    CHAT_CHATML,     /* <|im_start|>role\n…<|im_end|>\n */
    CHAT_QWEN2,      /* ChatML, with Qwen2's system message where the conversation brings none */
    CHAT_QWEN2_5,    /* the same with Qwen2.5's */
    CHAT_QWEN3,      /* ChatML, in which earlier answers go without what the model thought */
    CHAT_SMOLLM2,    /* ChatML with SmolLM2's system message */
    CHAT_GEMMA,      /* <start_of_turn>user\n…<end_of_turn>\n, the system message in front of the first user's */
    CHAT_PHI,        /* <|user|>…<|end|> */
    CHAT_LLAMA3,     /* <|start_header_id|>role<|end_header_id|>\n\n…<|eot_id|> */
    CHAT_LLAMA3_DATE /* the same with a system message that begins with two dates (Llama 3.1 and 3.2) */
} chat_format;

/* From tokenizer.chat_template if the file has one, else from the control tokens of the vocabulary; CHAT_NONE if neither
 * is known. */
chat_format chat_format_detect(const gguf *file, const tokenizer *t);

/* "chatml", "gemma", "phi", "llama3", or "" for CHAT_NONE. */
const char *chat_format_name(chat_format format);

/* Appends the ids of a conversation, with the opening of an answer if `open_answer`. Control tokens in a message's
 * content stay text. On failure `ids` has the length it came with.
 * Errors: ARGUMENT (a role that is not known or out of its place), UNSUPPORTED (CHAT_NONE), MEMORY, LIMIT. */
mote_status chat_encode(const tokenizer *t, chat_format format, const mote_message *messages, size_t count,
                        bool open_answer, mote_ids *ids, mote_error *error);

#endif
