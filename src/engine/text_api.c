/* The public text calls: a model's tokenizer and chat format behind mote.h's types. */
#include <stdlib.h>

#include "engine/model_handle.h"
#include "text/detokenizer.h"

static mote_status need_tokenizer(const mote_model *m, mote_error *error)
{
    if (m->tokenizer != NULL)
        return MOTE_OK;
    return fail(error, MOTE_E_UNSUPPORTED, "%s", m->no_tokenizer.text);
}

/* Texts and merges are read from the mapped file: what came of one that went away meanwhile is void. */
static mote_status check_ids(const mote_model *m, mote_status status, mote_ids *ids, size_t before, mote_error *error)
{
    if (status != MOTE_OK || (status = gguf_check(m->file, error)) == MOTE_OK)
        return status;
    ids->count = before;
    return status;
}

mote_status mote_tokenize(const mote_model *m, const char *text, size_t length, unsigned flags, mote_ids *ids,
                          mote_error *error)
{
    mote_status status = need_tokenizer(m, error);
    if (status != MOTE_OK)
        return status;
    size_t before = ids->count;
    status = tokenizer_encode(m->tokenizer, text, length, flags, ids, error);
    return check_ids(m, status, ids, before, error);
}

bool mote_token_is_end(const mote_model *m, mote_token token)
{
    return m->tokenizer != NULL && tokenizer_is_end(m->tokenizer, token);
}

mote_status mote_chat_encode(const mote_model *m, const mote_message *messages, size_t count, bool open_answer,
                             mote_ids *ids, mote_error *error)
{
    mote_status status = need_tokenizer(m, error);
    if (status != MOTE_OK)
        return status;
    if (m->chat == CHAT_NONE)
        return fail(error, MOTE_E_UNSUPPORTED, "%s: the model has no chat format that mote knows; give it plain text",
                    gguf_name(m->file));
    size_t before = ids->count;
    status = chat_encode(m->tokenizer, m->chat, messages, count, open_answer, ids, error);
    return check_ids(m, status, ids, before, error);
}

struct mote_detokenizer {
    detokenizer *inner;
    mote_model *model; /* kept alive: the tokens' texts lie in its file */
};

mote_status mote_detokenizer_open(mote_detokenizer **out, mote_model *m, bool show_special, mote_error *error)
{
    *out = NULL;
    mote_status status = need_tokenizer(m, error);
    if (status != MOTE_OK)
        return status;
    mote_detokenizer *d = malloc(sizeof *d);
    if (d == NULL)
        return fail_memory(error, sizeof *d, "a detokenizer");
    if ((status = detokenizer_open(&d->inner, m->tokenizer, show_special, error))) {
        free(d);
        return status;
    }
    d->model = m;
    model_handle_retain(m);
    *out = d;
    return MOTE_OK;
}

void mote_detokenizer_close(mote_detokenizer *d)
{
    if (d == NULL)
        return;
    detokenizer_close(d->inner);
    mote_model_close(d->model);
    free(d);
}

const char *mote_detokenizer_push(mote_detokenizer *d, mote_token token, size_t *length)
{
    return detokenizer_push(d->inner, token, length);
}

const char *mote_detokenizer_finish(mote_detokenizer *d, size_t *length)
{
    return detokenizer_finish(d->inner, length);
}
