/* Generation: make the session hold the prompt, then pick, show and append one token after another. */
#include <stdlib.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/stop_filter.h"
#include "text/detokenizer.h"

const char *mote_finish_name(mote_finish finish)
{
    switch (finish) {
    case MOTE_FINISH_END: return "end";
    case MOTE_FINISH_LENGTH: return "length";
    case MOTE_FINISH_CONTEXT: return "context";
    case MOTE_FINISH_STOP: return "stop";
    case MOTE_FINISH_CANCELLED: return "cancelled";
    }
    return "?";
}

void mote_generation_options_init(mote_generation_options *options)
{
    *options = (mote_generation_options){0};
}

/* One generation at work. */
typedef struct generation {
    mote_session *session;
    const mote_generation_options *options;
    mote_generation *result;
    mote_sampler *sampler;
    detokenizer *text;
    stop_filter stop;
    mote_token *shifted; /* [context]: what is left when the context shifts; NULL: it does not */
    double started;
} generation;

/* Keeps what is known of the prompt and computes the rest; the last token is always computed, for its logits. */
static mote_status hold_prompt(generation *g, const mote_token *prompt, size_t count, mote_error *error)
{
    mote_session *s = g->session;
    if (count == 0)
        return fail(error, MOTE_E_ARGUMENT, "the prompt is empty; give at least one token");
    if (count > s->engine->info.context)
        return fail(error, MOTE_E_LIMIT,
                    "the prompt's %zu tokens do not fit the context of %u; choose a larger context "
                    "or a shorter prompt",
                    count, s->engine->info.context);
    size_t known = mote_session_hold(s, prompt, count);
    g->result->prompt_tokens = count;
    g->result->cached_tokens = known;
    mote_work work = {s, prompt + known, count - known, s->logits, 1};
    mote_status status = engine_step(s->engine, &work, 1, error);
    g->result->prefill_seconds = clock_seconds() - g->started;
    for (size_t i = 0; i < count && status == MOTE_OK; i++)
        mote_sampler_accept(g->sampler, prompt[i]);
    return status;
}

/* Hands on what a token adds to the text. False: the answer ends here. */
static bool show(generation *g, const char *text, size_t length)
{
    if (stop_filter_push(&g->stop, text, length))
        return true;
    g->result->finish = g->stop.stopped ? MOTE_FINISH_STOP : MOTE_FINISH_CANCELLED;
    return false;
}

static bool show_token(generation *g, mote_token token)
{
    if (g->text == NULL)
        return true;
    size_t length;
    const char *text = detokenizer_push(g->text, token, &length);
    return show(g, text, length);
}

/* What the detokenizer and the stop filter still hold. */
static void show_rest(generation *g)
{
    size_t length;
    if (g->text == NULL)
        return;
    const char *text = detokenizer_finish(g->text, &length);
    if (show(g, text, length) && !stop_filter_finish(&g->stop))
        g->result->finish = MOTE_FINISH_CANCELLED;
}

/* Appends a token that was picked, for the logits after it. */
static mote_status append(generation *g, mote_token token, mote_error *error)
{
    mote_session *s = g->session;
    size_t length = session_length(s), keep = g->options->keep;
    if (length < s->engine->info.context) {
        mote_work work = {s, &token, 1, s->logits, 1};
        return engine_step(s->engine, &work, 1, error);
    }
    size_t dropped = (length - keep + 1) / 2, count = 0;
    for (size_t i = 0; i < length; i++)
        if (i < keep || i >= keep + dropped)
            g->shifted[count++] = kv_id(&s->engine->kv, s->index, i);
    g->shifted[count++] = token;
    g->result->shifted_tokens += dropped;
    size_t known = mote_session_hold(s, g->shifted, count);
    mote_work work = {s, g->shifted + known, count - known, s->logits, 1};
    return engine_step(s->engine, &work, 1, error);
}

static mote_status decode(generation *g, mote_error *error)
{
    mote_session *s = g->session;
    const mote_model *m = s->engine->model;
    double first = 0;
    for (;;) {
        mote_token token = mote_sampler_pick(g->sampler, s->logits);
        double now = clock_seconds();
        if (g->result->tokens++ == 0) {
            first = now;
            g->result->first_token_seconds = now - g->started;
        }
        g->result->decode_seconds = now - first;
        bool end = mote_token_is_end(m, token);
        if (end)
            g->result->finish = MOTE_FINISH_END;
        if ((!end || g->options->show_special) && !show_token(g, token))
            return MOTE_OK;
        if (!end && g->result->tokens == g->options->max_tokens)
            g->result->finish = MOTE_FINISH_LENGTH, end = true;
        else if (!end && g->shifted == NULL && session_length(s) == s->engine->info.context)
            g->result->finish = MOTE_FINISH_CONTEXT, end = true;
        if (end) {
            show_rest(g);
            return MOTE_OK;
        }
        mote_status status = append(g, token, error);
        if (status != MOTE_OK)
            return status;
    }
}

/* Room for what stays of a full session, if it is to shift. */
static mote_status prepare_shift(generation *g, mote_error *error)
{
    size_t context = g->session->engine->info.context;
    if (g->options->on_full != MOTE_FULL_SHIFT)
        return MOTE_OK;
    if (g->options->keep > context - (context + 3) / 4 || context < 4)
        return fail(error, MOTE_E_ARGUMENT,
                    "%zu tokens to keep when a context of %zu shifts; keep at most three quarters of it",
                    g->options->keep, context);
    g->shifted = malloc(context * sizeof *g->shifted);
    return g->shifted != NULL ? MOTE_OK : fail_memory(error, context * sizeof *g->shifted, "a context that shifts");
}

static mote_status generate(generation *g, const mote_token *prompt, size_t count, mote_error *error)
{
    const mote_generation_options *o = g->options;
    const mote_model *m = g->session->engine->model;
    mote_status status;
    if ((status = stop_filter_init(&g->stop, o->stop, o->stop_count, o->on_text, o->user, error)) ||
        (status = prepare_shift(g, error)) || (status = mote_sampler_open(&g->sampler, m, o->sampling, error)))
        return status;
    if (m->tokenizer != NULL && (status = detokenizer_open(&g->text, m->tokenizer, o->show_special, error)))
        return status;
    if ((status = hold_prompt(g, prompt, count, error)) == MOTE_OK)
        status = decode(g, error);
    if (status == MOTE_E_CANCELLED) { /* asked for: no failure, and what there is gets shown */
        show_rest(g);
        g->result->finish = MOTE_FINISH_CANCELLED;
        status = MOTE_OK;
    }
    if (g->result->tokens > 0 && g->result->shifted_tokens == 0) /* the prompt is still there */
        mote_session_save(g->session, count);
    return status;
}

mote_status mote_generate(mote_session *session, const mote_token *prompt, size_t count,
                          const mote_generation_options *options, mote_generation *result, mote_error *error)
{
    const mote_generation_options defaults = {0};
    mote_generation unused;
    generation g = {
        .session = session,
        .options = options != NULL ? options : &defaults,
        .result = result != NULL ? result : &unused,
        .started = clock_seconds(),
    };
    *g.result = (mote_generation){.finish = MOTE_FINISH_CANCELLED};
    atomic_store(&session->cancel, false);
    mote_status status = generate(&g, prompt, count, error);
    detokenizer_close(g.text);
    mote_sampler_close(g.sampler);
    free(g.shifted);
    return status;
}
