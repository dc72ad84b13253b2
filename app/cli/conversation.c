#include "conversation.h"

#include <stdlib.h>
#include <string.h>

static char *copy_text(const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

/* Room for one more message, and the place of the system message in front. */
static bool reserve(struct conversation *conversation)
{
    if (conversation->count + 1 < conversation->capacity)
        return true;
    size_t capacity = conversation->capacity > 0 ? conversation->capacity * 2 : 16;
    mote_message *messages = realloc(conversation->messages, capacity * sizeof *messages);
    if (messages == NULL)
        return false;
    conversation->messages = messages;
    conversation->capacity = capacity;
    if (conversation->count == 0)
        messages[conversation->count++] = (mote_message){"system", NULL, 0};
    return true;
}

bool conversation_add(struct conversation *conversation, const char *role, const char *text, size_t length)
{
    char *copy = reserve(conversation) ? copy_text(text, length) : NULL;
    if (copy == NULL)
        return false;
    conversation->messages[conversation->count++] = (mote_message){role, copy, length};
    return true;
}

bool conversation_set_system(struct conversation *conversation, const char *text, size_t length)
{
    char *copy = NULL;
    if (!reserve(conversation) || (length > 0 && (copy = copy_text(text, length)) == NULL))
        return false;
    free((char *)conversation->messages[0].content);
    conversation->messages[0] = (mote_message){"system", copy, length};
    return true;
}

void conversation_drop_last(struct conversation *conversation)
{
    if (conversation->count > 1)
        free((char *)conversation->messages[--conversation->count].content);
}

bool conversation_drop_first(struct conversation *conversation)
{
    if (conversation->count < 4)
        return false;
    mote_message *oldest = conversation->messages + 1;
    free((char *)oldest[0].content);
    free((char *)oldest[1].content);
    conversation->count -= 2;
    memmove(oldest, oldest + 2, (conversation->count - 1) * sizeof *oldest);
    return true;
}

void conversation_reset(struct conversation *conversation)
{
    while (conversation->count > 1)
        conversation_drop_last(conversation);
}

void conversation_free(struct conversation *conversation)
{
    conversation_reset(conversation);
    if (conversation->count > 0)
        free((char *)conversation->messages[0].content);
    free(conversation->messages);
    *conversation = (struct conversation){0};
}

const mote_message *conversation_messages(const struct conversation *conversation, size_t *count)
{
    bool system = conversation->count > 0 && conversation->messages[0].content != NULL;
    size_t skipped = system || conversation->count == 0 ? 0 : 1;
    *count = conversation->count - skipped;
    return conversation->messages + skipped;
}
