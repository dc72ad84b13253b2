/* A small model, an engine for it and sessions: what the tests of engines compute with. Whatever fails here fails the
 * test. */
#ifndef MOTE_TESTS_ENGINE_CASE_H
#define MOTE_TESTS_ENGINE_CASE_H

#include <mote/mote.h>

#include "tiny_model.h"

enum { VOCABULARY = 61, SLIDING_WINDOW = 40 };

extern const tiny_model LLAMA;
extern const tiny_model SLIDING; /* most of its layers do */

typedef struct machine {
    void *data;
    mote_model *model;
    mote_engine *engine;
} machine;

machine machine_open(const tiny_model *spec, mote_engine_options options);
void machine_close(machine *m);
mote_session *session_open(mote_engine *engine);

/* An error of that status whose one line says the word. */
void expect_sentence(const mote_error *error, mote_status status, const char *word);

/* The same ids in every test: id i of any prompt. */
mote_token id_at(size_t i);
void fill_ids(mote_token *ids, size_t first, size_t count);

/* Continues a session by `count` ids; the last one's logits, if wanted. */
mote_status advance(mote_engine *engine, mote_session *session, size_t count, float *last, mote_error *error);
void advance_well(mote_engine *engine, mote_session *session, size_t count, float *last);

/* The logits after `count` ids, by a session that nothing has happened to. */
void undisturbed(mote_engine *engine, size_t count, float last[VOCABULARY]);

#endif
