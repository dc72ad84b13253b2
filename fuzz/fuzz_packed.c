/* Any bytes as a model file, packed or not: it is refused, or runs two tokens with the best kernels of the machine and with
 * the plain ones, whatever its weights say. */
#include <stdint.h>
#include <stdlib.h>

#include <mote/mote.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONTEXT = 4, TOKENS = 2, MOST_VOCABULARY = 1 << 16 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* A sentence, on one line. */
static void check_error(mote_status status, const mote_error *error)
{
    require(status < 0 && error->status == status && error->text[0] != '\0');
    for (const char *c = error->text; *c != '\0'; c++)
        require((unsigned char)*c >= 0x20);
}

static void run(mote_model *model, const mote_model_info *info)
{
    mote_error error;
    mote_engine *engine;
    mote_session *session;
    mote_engine_options options = {.context = info->context < CONTEXT ? info->context : CONTEXT, .threads = 1};
    mote_status status = mote_engine_open(&engine, model, &options, &error);
    if (status != MOTE_OK) {
        check_error(status, &error);
        return;
    }
    require(mote_session_open(&session, engine, &error) == MOTE_OK);
    mote_token ids[TOKENS] = {0, (mote_token)(info->vocabulary - 1)};
    size_t count = options.context < TOKENS ? options.context : TOKENS;
    float *logits = calloc(count * info->vocabulary, sizeof *logits);
    require(logits != NULL);
    mote_work work = {session, ids, count, logits, count};
    status = mote_engine_step(engine, &work, 1, &error);
    if (status != MOTE_OK)
        check_error(status, &error);
    free(logits);
    mote_session_close(session);
    mote_engine_close(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kernels[] = {NULL, "generic"};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        mote_error error;
        mote_model *model;
        mote_model_info info;
        mote_model_options options = {.data = data, .size = size, .cpu = kernels[i]};
        mote_status status = mote_model_open(&model, NULL, &options, &error);
        if (status != MOTE_OK) {
            require(model == NULL);
            check_error(status, &error);
            return 0;
        }
        mote_model_describe(model, &info);
        if (info.vocabulary <= MOST_VOCABULARY)
            run(model, &info);
        mote_model_close(model);
    }
    return 0;
}
