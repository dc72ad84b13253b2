/* The messages of a chat. Start from {0}; free with conversation_free. */
#ifndef MOTE_CLI_CONVERSATION_H
#define MOTE_CLI_CONVERSATION_H

#include <mote/mote.h>

struct conversation {
    mote_message *messages; /* [0] is the system message, its content NULL while there is none; then the turns */
    size_t count;
    size_t capacity;
};

/* These copy the text, and return false without memory, leaving all as it was. */
bool conversation_add(struct conversation *conversation, const char *role, const char *text, size_t length);
bool conversation_set_system(struct conversation *conversation, const char *text,
                             size_t length); /* of length 0: none */

void conversation_drop_last(struct conversation *conversation);
/* Forgets the oldest two messages, a question and its answer. False: there is only the last message. */
bool conversation_drop_first(struct conversation *conversation);
/* Forgets the turns; the system message stays. */
void conversation_reset(struct conversation *conversation);
void conversation_free(struct conversation *conversation);

/* What there is to encode. */
const mote_message *conversation_messages(const struct conversation *conversation, size_t *count);

#endif
