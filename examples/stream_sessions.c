/* Two conversations at once, token by token.
 *
 * mote_generate (see hello.c) is a loop over mote_engine_step. Writing the loop oneself lets many sessions share each
 * pass: the weights are read from memory once for all of them, and reading them is most of the work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mote/mote.h>

enum { SPEAKERS = 2, LONGEST_ANSWER = 200 };

struct speaker {
    const char *question;
    mote_session *session;
    mote_sampler *sampler;
    mote_detokenizer *detokenizer;
    mote_ids prompt;
    float *logits;   /* one row: a number for each token of the vocabulary */
    mote_token next; /* the token chosen last, to be given to the session */
    char answer[4096];
    size_t length;
    bool done;
};

static int fail(const mote_error *error)
{
    fprintf(stderr, "%s\n", error->text);
    return EXIT_FAILURE;
}

static mote_status open_speaker(struct speaker *s, mote_model *model, mote_engine *engine, mote_error *error)
{
    mote_model_info info;
    mote_sampling sampling;
    const mote_message message = {"user", s->question, strlen(s->question)};
    mote_model_describe(model, &info);
    mote_sampling_init(&sampling);
    sampling.temperature = 0;
    s->logits = malloc(info.vocabulary * sizeof *s->logits);
    if (s->logits == NULL) {
        snprintf(error->text, sizeof error->text, "no memory for a row of logits");
        return MOTE_E_MEMORY;
    }
    mote_status status = mote_session_open(&s->session, engine, error);
    if (status == MOTE_OK)
        status = mote_sampler_open(&s->sampler, model, &sampling, error);
    if (status == MOTE_OK)
        status = mote_detokenizer_open(&s->detokenizer, model, false, error);
    if (status == MOTE_OK)
        status = mote_chat_encode(model, &message, 1, true, &s->prompt, error);
    return status;
}

static void close_speaker(struct speaker *s)
{
    mote_ids_free(&s->prompt);
    mote_detokenizer_close(s->detokenizer);
    mote_sampler_close(s->sampler);
    mote_session_close(s->session);
    free(s->logits);
}

static void take_text(struct speaker *s, const char *text, size_t length)
{
    if (length > sizeof s->answer - s->length)
        length = sizeof s->answer - s->length;
    memcpy(s->answer + s->length, text, length);
    s->length += length;
}

/* Reads the choice off the logits of the pass that has just been made. */
static void choose_token(struct speaker *s, const mote_model *model)
{
    size_t length;
    const char *text;
    s->next = mote_sampler_pick(s->sampler, s->logits);
    s->done = mote_token_is_end(model, s->next);
    if (s->done)
        text = mote_detokenizer_finish(s->detokenizer, &length);
    else
        text = mote_detokenizer_push(s->detokenizer, s->next, &length);
    take_text(s, text, length);
}

/* One pass for everybody who is still speaking: the whole prompt in the first, one token in each that follows. */
static mote_status step(struct speaker *speakers, mote_engine *engine, const mote_model *model, bool first,
                        mote_error *error)
{
    mote_work work[SPEAKERS];
    size_t count = 0;
    for (size_t i = 0; i < SPEAKERS; i++) {
        struct speaker *s = &speakers[i];
        if (s->done)
            continue;
        work[count].session = s->session;
        work[count].ids = first ? s->prompt.at : &s->next;
        work[count].count = first ? s->prompt.count : 1;
        work[count].logits = s->logits;
        work[count].rows = 1; /* only what follows the last token is of interest */
        count++;
    }
    mote_status status = count > 0 ? mote_engine_step(engine, work, count, error) : MOTE_OK;
    for (size_t i = 0; i < SPEAKERS && status == MOTE_OK; i++)
        if (!speakers[i].done)
            choose_token(&speakers[i], model);
    return status;
}

int main(void)
{
    struct speaker speakers[SPEAKERS] = {{.question = "turn on the kitchen light"}, {.question = "寝室の窓を閉めて"}};
    mote_model *model = NULL;
    mote_engine *engine = NULL;
    mote_engine_options options;
    mote_error error;
    mote_engine_options_init(&options);
    options.sessions = SPEAKERS;
    if (mote_model_open(&model, NULL, NULL, &error) || mote_engine_open(&engine, model, &options, &error)) {
        mote_model_close(model);
        return fail(&error);
    }

    mote_status status = MOTE_OK;
    for (size_t i = 0; i < SPEAKERS && status == MOTE_OK; i++)
        status = open_speaker(&speakers[i], model, engine, &error);
    for (int pass = 0; pass < LONGEST_ANSWER && status == MOTE_OK; pass++)
        status = step(speakers, engine, model, pass == 0, &error);
    for (size_t i = 0; i < SPEAKERS && status == MOTE_OK; i++)
        printf("%s\n    %.*s\n", speakers[i].question, (int)speakers[i].length, speakers[i].answer);

    for (size_t i = 0; i < SPEAKERS; i++)
        close_speaker(&speakers[i]);
    mote_engine_close(engine);
    mote_model_close(model);
    return status == MOTE_OK ? EXIT_SUCCESS : fail(&error);
}
