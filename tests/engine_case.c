/* What the tests of engines share. */
#include "engine_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* last: it has a macro named fail */

const tiny_model LLAMA = {.family = "llama",
                          .layers = 2,
                          .width = 48,
                          .heads = 4,
                          .kv_heads = 2,
                          .head_dim = 16,
                          .ffn = 64,
                          .vocabulary = VOCABULARY,
                          .context = 8192,
                          .seed = 5};

const tiny_model SLIDING = {.family = "gemma3",
                            .layers = 7,
                            .width = 32,
                            .heads = 2,
                            .kv_heads = 1,
                            .head_dim = 16,
                            .ffn = 48,
                            .vocabulary = VOCABULARY,
                            .context = 8192,
                            .window = SLIDING_WINDOW,
                            .seed = 6};

void expect_sentence(const mote_error *error, mote_status status, const char *word)
{
    assert_int_equal(error->status, status);
    if (strstr(error->text, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error->text, word);
    assert_null(strchr(error->text, '\n'));
}

machine machine_open(const tiny_model *spec, mote_engine_options options)
{
    machine m;
    mote_error error = {0};
    m.model = tiny_model_open(spec, &m.data);
    if (mote_engine_open(&m.engine, m.model, &options, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return m;
}

void machine_close(machine *m)
{
    mote_engine_close(m->engine);
    mote_model_close(m->model);
    free(m->data);
}

mote_session *session_open(mote_engine *engine)
{
    mote_session *session = NULL;
    mote_error error = {0};
    if (mote_session_open(&session, engine, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return session;
}

mote_token id_at(size_t i)
{
    return (mote_token)((i * 29 + i / 7 + 3) % VOCABULARY);
}

void fill_ids(mote_token *ids, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ids[i] = id_at(first + i);
}

mote_status advance(mote_engine *engine, mote_session *session, size_t count, float *last, mote_error *error)
{
    mote_token *ids = malloc((count + 1) * sizeof *ids);
    assert_non_null(ids);
    fill_ids(ids, mote_session_length(session), count);
    mote_work work = {session, ids, count, last, last != NULL};
    mote_status status = mote_engine_step(engine, &work, 1, error);
    free(ids);
    return status;
}

void advance_well(mote_engine *engine, mote_session *session, size_t count, float *last)
{
    mote_error error = {0};
    if (advance(engine, session, count, last, &error) != MOTE_OK)
        fail_msg("%s", error.text);
}

void undisturbed(mote_engine *engine, size_t count, float last[VOCABULARY])
{
    mote_session *session = session_open(engine);
    advance_well(engine, session, count, last);
    mote_session_close(session);
}
