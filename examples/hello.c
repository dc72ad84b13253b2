/* One question, one answer. Nothing to download: with no path, the model built into the library opens.
 *
 * Build:  cc hello.c -lmote -o hello */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mote/mote.h>

/* Text comes in whole characters, as soon as it is made. */
static bool print(void *user, const char *text, size_t length)
{
    (void)user;
    return fwrite(text, 1, length, stdout) == length; /* false would end the answer */
}

int main(int argc, char **argv)
{
    const char *question = argc > 1 ? argv[1] : "turn on the kitchen light";
    const mote_message message = {"user", question, strlen(question)};

    /* A model is what is in the file; an engine has the memory and threads to run it; a session is one conversation. */
    mote_model *model = NULL;
    mote_engine *engine = NULL;
    mote_session *session = NULL;
    mote_ids prompt = {0};
    mote_generation made;
    mote_error error;

    /* The answers of this model are JSON, so the likeliest token is always the right one: no chance. */
    mote_sampling sampling;
    mote_sampling_init(&sampling);
    sampling.temperature = 0;
    mote_generation_options options;
    mote_generation_options_init(&options);
    options.sampling = &sampling;
    options.on_text = print;

    /* Every call returns MOTE_OK, which is 0, or fills the error. */
    int failed = mote_model_open(&model, NULL, NULL, &error) || mote_engine_open(&engine, model, NULL, &error) ||
                 mote_session_open(&session, engine, &error) ||
                 mote_chat_encode(model, &message, 1, true, &prompt, &error) ||
                 mote_generate(session, prompt.at, prompt.count, &options, &made, &error);
    if (failed)
        fprintf(stderr, "%s\n", error.text);
    else
        printf("\n%zu tokens in %.1f ms\n", made.tokens, (made.first_token_seconds + made.decode_seconds) * 1000);

    /* Closing in any order is fine, and so is closing what never opened. */
    mote_ids_free(&prompt);
    mote_session_close(session);
    mote_engine_close(engine);
    mote_model_close(model);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
