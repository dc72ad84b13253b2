/* Whole models in every weight format, against the same weights decoded to float32.
 *
 * A kernel may quantise activations to eight bits on the way into a product; on models like these that alone moves the
 * logits by about 0.03 (relative L2), and 1.2 times as much is the most that is allowed. F32 and F16 are multiplied as they
 * are; with BF16 a kernel may round activations to the same eight bits of significand, which costs about 0.004. Every way of feeding tokens is tried, since one token, a few and many may take kernels of
 * their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <mote/mote.h>

#include "kv_both.h"
#include "oracle_case.h"
#include "quant/formats.h"
#include "tiny_model.h"

#include <cmocka.h>

static const double BOUND = 1.2 * 0.03, BOUND_FLOAT = 1e-4, BOUND_BF16 = 1.2 * 0.005;

enum { TOKENS = 18 };

static double bound_of(quant_type type)
{
    return type == QUANT_BF16 ? BOUND_BF16 : type == QUANT_F32 || type == QUANT_F16 ? BOUND_FLOAT : BOUND;
}

static void feed(mote_engine *engine, mote_session *session, const mote_token *ids, size_t step, float *logits,
                 size_t vocabulary)
{
    mote_error error = {0};
    for (size_t done = 0; done < TOKENS; done += step) {
        size_t length = TOKENS - done < step ? TOKENS - done : step;
        mote_work work = {session, ids + done, length, logits + done * vocabulary, length};
        if (mote_engine_step(engine, &work, 1, &error) != MOTE_OK)
            fail_msg("%s", error.text);
    }
}

/* TOKENS rows of logits of a model; freed by the caller. */
static float *logits_of(const tiny_model *spec, size_t step, uint32_t threads)
{
    void *data;
    mote_model *model = tiny_model_open(spec, &data);
    mote_engine *engine = NULL;
    mote_session *session = NULL;
    mote_error error = {0};
    mote_engine_options running = {.context = 64, .threads = threads, KV_BOTH(MOTE_KV_F32)};
    if (mote_engine_open(&engine, model, &running, &error) != MOTE_OK ||
        mote_session_open(&session, engine, &error) != MOTE_OK)
        fail_msg("%s in %s: %s", spec->family, quant_find(spec->formats[0])->name, error.text);

    uint64_t state = 7;
    mote_token ids[TOKENS];
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = (mote_token)(random_unit(&state) * spec->vocabulary);
    float *logits = calloc((size_t)TOKENS * spec->vocabulary, sizeof *logits);
    assert_non_null(logits);
    feed(engine, session, ids, step, logits, spec->vocabulary);
    mote_session_close(session);
    mote_engine_close(engine);
    mote_model_close(model);
    free(data);
    return logits;
}

static void check(tiny_model spec, double bound, const char *what)
{
    static const size_t STEPS[] = {TOKENS, 1, 3, 8};
    size_t count = (size_t)TOKENS * spec.vocabulary;
    spec.decoded = true;
    float *expected = logits_of(&spec, TOKENS, 1);
    spec.decoded = false;
    for (size_t i = 0; i < sizeof STEPS / sizeof *STEPS; i++) {
        float *got = logits_of(&spec, STEPS[i], 1);
        double error = relative_l2(got, expected, count);
        if (getenv("MOTE_TEST_VERBOSE") != NULL)
            print_message("%-8s %-8s steps of %2zu: %.2e\n", spec.family, what, STEPS[i], error);
        if (!(error <= bound))
            fail_msg("%s in %s, steps of %zu: relative L2 error %.3g", spec.family, what, STEPS[i], error);
        float *threaded = STEPS[i] == 8 ? logits_of(&spec, STEPS[i], 3) : NULL;
        if (threaded != NULL && memcmp(got, threaded, count * sizeof *got) != 0)
            fail_msg("%s in %s: three threads give other bits than one", spec.family, what);
        free(got);
        free(threaded);
    }
    free(expected);
}

/* Widths of whole super-blocks, a vocabulary that no tile divides. */
static void every_format(void **state)
{
    (void)state;
    for (size_t i = 0; i < quant_count(); i++) {
        quant_type type = quant_at(i)->type;
        tiny_model spec = {.family = "llama",
                           .layers = 1,
                           .width = 256,
                           .heads = 4,
                           .kv_heads = 2,
                           .head_dim = 64,
                           .ffn = 256,
                           .vocabulary = 101,
                           .context = 64,
                           .seed = 100 + i,
                           .formats = &type,
                           .format_count = 1};
        check(spec, bound_of(type), quant_at(i)->name);
    }
}

/* SmolLM2-135M is 576 wide: formats of 32 values must take rows that are no multiple of 256, nor of 64. */
static void rows_of_odd_blocks(void **state)
{
    (void)state;
    for (size_t i = 0; i < quant_count(); i++) {
        const quant_format *format = quant_at(i);
        if (format->block > 32)
            continue;
        tiny_model spec = {.family = "qwen2",
                           .layers = 2,
                           .width = 96,
                           .heads = 3,
                           .kv_heads = 1,
                           .head_dim = 32,
                           .ffn = 160,
                           .vocabulary = 67,
                           .context = 64,
                           .untied = true,
                           .seed = 200 + i,
                           .formats = &format->type,
                           .format_count = 1};
        check(spec, bound_of(format->type), format->name);
    }
}

/* What quantisers write: matrices of one layer in several formats, another one for embedding and head. */
static void mixed_formats(void **state)
{
    (void)state;
    static const quant_type SIMPLE[] = {QUANT_Q8_0, QUANT_Q4_0, QUANT_Q5_1, QUANT_F16, QUANT_IQ4_NL, QUANT_Q4_1};
    static const quant_type SUPER[] = {QUANT_Q6_K, QUANT_Q4_K, QUANT_Q5_K,  QUANT_IQ4_XS, QUANT_Q8_0, QUANT_Q3_K,
                                       QUANT_F32,  QUANT_Q2_K, QUANT_IQ3_S, QUANT_MXFP4,  QUANT_TQ2_0};
    static const char *const FAMILIES[] = {"llama", "qwen2", "qwen3", "gemma3", "phi3"};
    for (size_t i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++) {
        tiny_model spec = {.family = FAMILIES[i],
                           .layers = 2,
                           .width = 256,
                           .heads = 4,
                           .kv_heads = 1,
                           .head_dim = 64,
                           .ffn = 256,
                           .vocabulary = 89,
                           .context = 64,
                           .window = i == 3 ? 6 : 0,
                           .untied = i % 2 != 0,
                           .seed = 300 + i,
                           .formats = SUPER,
                           .format_count = sizeof SUPER / sizeof *SUPER};
        check(spec, BOUND, "super-block mix");
        spec.formats = SIMPLE;
        spec.format_count = sizeof SIMPLE / sizeof *SIMPLE;
        check(spec, BOUND, "simple mix");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format),
        cmocka_unit_test(rows_of_odd_blocks),
        cmocka_unit_test(mixed_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
