/* mote_generate: what it writes, when it ends, what it reuses, and that it is no more than steps, sampler and
 * detokenizer put together. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mote/mote.h>

#include "kv_both.h"
#include "tiny_model.h"

#include <cmocka.h>

enum { VOCABULARY = TINY_END + 4, CONTEXT = 160, WINDOW = 16, MOST_TEXT = 4096 };

static const tiny_model LLAMA = {.family = "llama",
                                 .layers = 2,
                                 .width = 32,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 8,
                                 .ffn = 48,
                                 .vocabulary = VOCABULARY,
                                 .context = 1024,
                                 .text = true,
                                 .seed = 15};

static const tiny_model GEMMA = {.family = "gemma3",
                                 .layers = 7,
                                 .width = 32,
                                 .heads = 2,
                                 .kv_heads = 1,
                                 .head_dim = 16,
                                 .ffn = 48,
                                 .vocabulary = VOCABULARY,
                                 .context = 1024,
                                 .window = WINDOW,
                                 .text = true,
                                 .seed = 16};

static const tiny_model *const BOTH[] = {&LLAMA, &GEMMA};

/* An engine with one session. */
typedef struct talker {
    void *data;
    mote_model *model;
    mote_engine *engine;
    mote_session *session;
} talker;

static talker talker_with(const tiny_model *spec, mote_engine_options options)
{
    talker t;
    mote_error error = {0};
    t.model = tiny_model_open(spec, &t.data);
    if (mote_engine_open(&t.engine, t.model, &options, &error) != MOTE_OK ||
        mote_session_open(&t.session, t.engine, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return t;
}

static talker talker_open(const tiny_model *spec, uint32_t threads, uint32_t batch)
{
    return talker_with(
        spec, (mote_engine_options){.context = CONTEXT, .threads = threads, .batch = batch, KV_BOTH(MOTE_KV_F32)});
}

/* One that knows nothing but what its session holds. */
static talker forgetful_open(const tiny_model *spec)
{
    return talker_with(
        spec, (mote_engine_options){.context = CONTEXT, .threads = 1, .forgetful = true, KV_BOTH(MOTE_KV_F32)});
}

static void talker_close(talker *t)
{
    mote_session_close(t->session);
    mote_engine_close(t->engine);
    mote_model_close(t->model);
    free(t->data);
}

/* Sampling that writes small letters only, single ones and pairs: everything else is biased away. */
static mote_sampling letters(float temperature)
{
    static mote_logit_bias bias[VOCABULARY];
    size_t count = 0;
    for (mote_token id = 0; id < VOCABULARY; id++)
        if ((id < 'a' || id > 'z') && (id < TINY_PAIRS || id >= TINY_LETTERS_END))
            bias[count++] = (mote_logit_bias){id, -1000};
    return (mote_sampling){.temperature = temperature,
                           .top_p = 1,
                           .typical_p = 1,
                           .repeat_penalty = 1,
                           .presence_penalty = 2, /* or a random model repeats itself at once */
                           .penalty_window = 64,
                           .bias = bias,
                           .bias_count = count,
                           .seed = 9};
}

typedef struct answer {
    char text[MOST_TEXT];
    size_t length;
    size_t pieces;
    size_t stop_at;       /* the callback says false at this piece; 0: never */
    mote_session *cancel; /* cancelled from the callback at that piece, instead of saying false */
    mote_generation result;
} answer;

static bool on_text(void *user, const char *text, size_t length)
{
    answer *a = user;
    assert_true(length > 0 && a->length + length < MOST_TEXT);
    memcpy(a->text + a->length, text, length);
    a->length += length;
    a->text[a->length] = '\0';
    if (++a->pieces != a->stop_at)
        return true;
    if (a->cancel == NULL)
        return false;
    mote_session_cancel(a->cancel);
    return true;
}

static mote_status generate(talker *t, const mote_token *prompt, size_t count, mote_generation_options options,
                            answer *a, mote_error *error)
{
    a->length = a->pieces = 0;
    a->text[0] = '\0';
    options.on_text = on_text;
    options.user = a;
    return mote_generate(t->session, prompt, count, &options, &a->result, error);
}

static void generate_well(talker *t, const mote_token *prompt, size_t count, mote_generation_options options, answer *a)
{
    mote_error error = {0};
    if (generate(t, prompt, count, options, a, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    assert_int_equal(a->result.prompt_tokens, count);
    assert_true(a->result.prefill_seconds >= 0 && a->result.decode_seconds >= 0);
    assert_true(a->result.first_token_seconds >= a->result.prefill_seconds);
}

static void fill_prompt(mote_token *prompt, size_t count, size_t from)
{
    for (size_t i = 0; i < count; i++)
        prompt[i] = (mote_token)(((i + from) * 37 + (i + from) / 5) % TINY_LETTERS_END);
}

/* ---- what is written ---- */

/* The ids of a greedy answer, by hand; and its text. */
static void by_hand(talker *t, const mote_token *prompt, size_t count, const mote_sampling *sampling, mote_token *ids,
                    size_t length, answer *a)
{
    float *logits = malloc(VOCABULARY * sizeof *logits);
    mote_sampler *sampler = NULL;
    mote_detokenizer *detokenizer = NULL;
    assert_non_null(logits);
    assert_int_equal(mote_sampler_open(&sampler, t->model, sampling, NULL), MOTE_OK);
    assert_int_equal(mote_detokenizer_open(&detokenizer, t->model, false, NULL), MOTE_OK);
    *a = (answer){0};
    for (size_t i = 0; i < count; i++)
        mote_sampler_accept(sampler, prompt[i]);
    mote_session_clear(t->session);
    mote_work work = {t->session, prompt, count, logits, 1};
    for (size_t i = 0; i < length; i++) {
        assert_int_equal(mote_engine_step(t->engine, &work, 1, NULL), MOTE_OK);
        ids[i] = mote_sampler_pick(sampler, logits);
        size_t bytes;
        const char *text = mote_detokenizer_push(detokenizer, ids[i], &bytes);
        if (bytes > 0)
            on_text(a, text, bytes);
        work = (mote_work){t->session, &ids[i], 1, logits, 1};
    }
    mote_detokenizer_close(detokenizer);
    mote_sampler_close(sampler);
    free(logits);
}

static void same_as_by_hand(void **state)
{
    (void)state;
    static const float TEMPERATURES[] = {0, 1};
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < 2; j++) {
            talker t = forgetful_open(BOTH[i]);
            mote_sampling sampling = letters(TEMPERATURES[j]);
            mote_token prompt[30], ids[40];
            answer hand, whole = {0};
            fill_prompt(prompt, 30, 0);
            by_hand(&t, prompt, 30, &sampling, ids, 40, &hand);
            mote_session_clear(t.session);
            generate_well(&t, prompt, 30, (mote_generation_options){.sampling = &sampling, .max_tokens = 40}, &whole);
            assert_string_equal(whole.text, hand.text);
            assert_int_equal(whole.result.finish, MOTE_FINISH_LENGTH);
            assert_int_equal(whole.result.tokens, 40);
            assert_int_equal(whole.result.cached_tokens, 0);
            assert_true(strspn(whole.text, "abcdefghijklmnopqrstuvwxyz") == whole.length && whole.length >= 40);
            talker_close(&t);
        }
    }
}

static void threads_and_seeds(void **state)
{
    (void)state;
    answer first = {0}, other = {0};
    mote_token prompt[25];
    fill_prompt(prompt, 25, 0);
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t threads = 1; threads <= 3; threads++) {
            talker t = talker_open(BOTH[i], threads, 0);
            mote_sampling sampling = letters(1);
            mote_generation_options options = {.sampling = &sampling, .max_tokens = 50};
            generate_well(&t, prompt, 25, options, threads == 1 ? &first : &other);
            if (threads > 1)
                assert_string_equal(first.text, other.text);
            mote_session_clear(t.session);
            generate_well(&t, prompt, 25, options, &other);
            assert_string_equal(first.text, other.text);
            sampling.seed++;
            generate_well(&t, prompt, 25, options, &other);
            assert_string_not_equal(first.text, other.text);
            talker_close(&t);
        }
    }
}

/* A byte model biased to bytes that are no ASCII writes broken UTF-8: what comes out is whole characters. */
static void whole_characters(void **state)
{
    (void)state;
    talker t = talker_open(&LLAMA, 1, 0);
    static mote_logit_bias bias[VOCABULARY];
    for (mote_token id = 0; id < VOCABULARY; id++)
        bias[id] = (mote_logit_bias){id, id >= 0x80 && id < 0x100 ? 1000 : 0};
    mote_sampling sampling = {
        .temperature = 5, .top_p = 1, .typical_p = 1, .repeat_penalty = 1, .bias = bias, .bias_count = VOCABULARY};
    mote_token prompt[] = {'x'};
    answer a = {0};
    generate_well(&t, prompt, 1, (mote_generation_options){.sampling = &sampling, .max_tokens = 120}, &a);
    assert_true(a.length > 100);
    for (size_t i = 0; i < a.length;) {
        unsigned char lead = (unsigned char)a.text[i++];
        size_t more = lead < 0x80 ? 0 : lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        assert_true(lead < 0x80 || (lead >= 0xc2 && lead <= 0xf4));
        for (; more > 0; more--)
            assert_int_equal((unsigned char)a.text[i++] & 0xc0, 0x80);
    }
    talker_close(&t);
}

/* ---- how it ends ---- */

static void end_token(void **state)
{
    (void)state;
    talker t = talker_open(&LLAMA, 1, 0);
    mote_logit_bias bias = {TINY_END, 1000};
    mote_sampling sampling = letters(0);
    sampling.bias = &bias;
    sampling.bias_count = 1;
    mote_token prompt[] = {'h', 'i'};
    answer a = {0};
    assert_true(mote_token_is_end(t.model, TINY_END));
    generate_well(&t, prompt, 2, (mote_generation_options){.sampling = &sampling}, &a);
    assert_int_equal(a.result.finish, MOTE_FINISH_END);
    assert_int_equal(a.result.tokens, 1);
    assert_int_equal(a.length, 0);
    generate_well(&t, prompt, 2, (mote_generation_options){.sampling = &sampling, .show_special = true}, &a);
    assert_int_equal(a.result.finish, MOTE_FINISH_END);
    assert_string_equal(a.text, "<|endoftext|>");
    talker_close(&t);
}

static void full_context(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        talker t = talker_open(BOTH[i], 1, 0);
        mote_sampling sampling = letters(0);
        mote_token prompt[CONTEXT + 1];
        answer a = {0};
        mote_error error = {0};
        fill_prompt(prompt, CONTEXT + 1, 0);
        generate_well(&t, prompt, 100, (mote_generation_options){.sampling = &sampling}, &a);
        assert_int_equal(a.result.finish, MOTE_FINISH_CONTEXT);
        assert_int_equal(a.result.tokens, CONTEXT - 100 + 1); /* the last one need not be held */
        generate_well(&t, prompt, CONTEXT, (mote_generation_options){.sampling = &sampling}, &a);
        assert_int_equal(a.result.finish, MOTE_FINISH_CONTEXT);
        assert_int_equal(a.result.tokens, 1);
        assert_int_equal(
            generate(&t, prompt, CONTEXT + 1, (mote_generation_options){.sampling = &sampling}, &a, &error),
            MOTE_E_LIMIT);
        assert_non_null(strstr(error.text, "160"));
        assert_int_equal(a.result.tokens, 0);
        assert_int_equal(a.length, 0);
        talker_close(&t);
    }
}

static void expect_stop(talker *t, const mote_token *prompt, size_t count, const answer *whole, const char *const *stop,
                        size_t stop_count)
{
    answer a = {0};
    mote_sampling sampling = letters(0);
    const char *first = NULL;
    for (size_t i = 0; i < stop_count; i++) {
        const char *at = strstr(whole->text, stop[i]);
        if (at != NULL && (first == NULL || at < first))
            first = at;
    }
    size_t length = first == NULL ? whole->length : (size_t)(first - whole->text);
    generate_well(
        t, prompt, count,
        (mote_generation_options){.sampling = &sampling, .max_tokens = 60, .stop = stop, .stop_count = stop_count}, &a);
    if (a.length != length || memcmp(a.text, whole->text, length) != 0)
        fail_msg("stop \"%s\": got \"%s\" of \"%s\"", stop[0], a.text, whole->text);
    assert_int_equal(a.result.finish, first == NULL ? MOTE_FINISH_LENGTH : MOTE_FINISH_STOP);
}

/* Stop texts cut out of a known answer at every place: they begin and end inside tokens and span several. */
static void stop_texts(void **state)
{
    (void)state;
    talker t = talker_open(&LLAMA, 1, 0);
    mote_sampling sampling = letters(0);
    mote_token prompt[20];
    answer whole = {0};
    fill_prompt(prompt, 20, 3);
    generate_well(&t, prompt, 20, (mote_generation_options){.sampling = &sampling, .max_tokens = 60}, &whole);
    assert_true(whole.length > 70); /* pairs of letters among them */
    for (size_t at = 0; at < whole.length; at += 7) {
        for (size_t length = 1; length <= 7 && at + length <= whole.length; length += 3) {
            char stop[16];
            snprintf(stop, sizeof stop, "%.*s", (int)length, whole.text + at);
            expect_stop(&t, prompt, 20, &whole, (const char *[]){stop}, 1);
        }
    }
    char tail[16], early[8], late[8];
    snprintf(tail, sizeof tail, "%s0", whole.text + whole.length - 4); /* held back, then shown after all */
    snprintf(early, sizeof early, "%.5s", whole.text + 20);
    snprintf(late, sizeof late, "%.3s", whole.text + 22);
    expect_stop(&t, prompt, 20, &whole, (const char *[]){tail}, 1);
    expect_stop(&t, prompt, 20, &whole, (const char *[]){"NEVER", early, late}, 3);
    expect_stop(&t, prompt, 20, &whole, (const char *[]){late, tail, early, "0"}, 4);
    talker_close(&t);
}

static void callback_ends(void **state)
{
    (void)state;
    talker t = talker_open(&GEMMA, 2, 0);
    mote_sampling sampling = letters(0);
    mote_generation_options options = {.sampling = &sampling, .max_tokens = 60};
    mote_token prompt[20];
    answer whole = {0}, a = {.stop_at = 7};
    fill_prompt(prompt, 20, 0);
    generate_well(&t, prompt, 20, options, &whole);
    generate_well(&t, prompt, 20, options, &a);
    assert_int_equal(a.result.finish, MOTE_FINISH_CANCELLED);
    assert_int_equal(a.pieces, 7);
    assert_int_equal(a.result.tokens, 7);
    assert_memory_equal(a.text, whole.text, a.length);
    a = (answer){.stop_at = 5, .cancel = t.session};
    generate_well(&t, prompt, 20, options, &a);
    assert_int_equal(a.result.finish, MOTE_FINISH_CANCELLED);
    assert_int_equal(a.pieces, 5);
    assert_memory_equal(a.text, whole.text, a.length);
    a = (answer){0};
    generate_well(&t, prompt, 20, options, &a); /* and nothing of it lingers */
    assert_string_equal(a.text, whole.text);
    talker_close(&t);
}

/* What is held back for a stop text when a request to cancel comes is part of the answer all the same. */
static void cancelled_with_text_held(void **state)
{
    (void)state;
    talker t = talker_open(&LLAMA, 1, 0);
    static mote_logit_bias pairs[VOCABULARY];
    for (mote_token id = 0; id < VOCABULARY; id++)
        pairs[id] = (mote_logit_bias){id, id >= TINY_PAIRS && id < TINY_LETTERS_END ? 0 : -1000};
    mote_sampling sampling = letters(0);
    sampling.bias = pairs;
    sampling.bias_count = VOCABULARY;
    mote_token prompt[] = {'h', 'i'};
    answer whole = {0}, a = {.stop_at = 1, .cancel = t.session};
    generate_well(&t, prompt, 2, (mote_generation_options){.sampling = &sampling, .max_tokens = 1}, &whole);
    assert_int_equal(whole.length, 2);
    char stop[] = {whole.text[1], '0', '\0'}; /* the first letter is shown at once, the second held back */
    const char *const stops[] = {stop};
    generate_well(&t, prompt, 2,
                  (mote_generation_options){.sampling = &sampling, .max_tokens = 9, .stop = stops, .stop_count = 1},
                  &a);
    assert_int_equal(a.result.finish, MOTE_FINISH_CANCELLED);
    assert_int_equal(a.result.tokens, 1);
    assert_string_equal(a.text, whole.text);
    talker_close(&t);
}

/* ---- what is reused ---- */

/* A prompt in a session with a past must read like the same prompt in a new one. */
static void continue_with(talker *t, talker *fresh, const mote_token *prompt, size_t count, size_t cached)
{
    mote_sampling sampling = letters(0);
    mote_generation_options options = {.sampling = &sampling, .max_tokens = 20};
    answer a = {0}, expected = {0};
    mote_session_clear(fresh->session);
    generate_well(fresh, prompt, count, options, &expected);
    generate_well(t, prompt, count, options, &a);
    assert_string_equal(a.text, expected.text);
    assert_int_equal(expected.result.cached_tokens, 0);
    if (cached != SIZE_MAX)
        assert_int_equal(a.result.cached_tokens, cached);
    else
        assert_true(a.result.cached_tokens < count);
}

static void prompt_reuse(void **state)
{
    (void)state;
    /* With a batch of 4 the rings of sliding layers hold 19 positions: going back far is not possible there. */
    static const uint32_t BATCHES[] = {0, 4};
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < 2; j++) {
            bool far = i == 0 || j == 0;
            talker t = talker_open(BOTH[i], 1, BATCHES[j]), fresh = forgetful_open(BOTH[i]);
            mote_sampling sampling = letters(0);
            mote_token prompt[100], generated[20];
            answer hand;
            fill_prompt(prompt, 100, 0);
            by_hand(&fresh, prompt, 40, &sampling, generated, 20, &hand);

            continue_with(&t, &fresh, prompt, 40, 0);
            /* A conversation goes on: the prompt, the answer (its last token was never held), something new. */
            memcpy(prompt + 40, generated, sizeof generated);
            fill_prompt(prompt + 60, 10, 500);
            continue_with(&t, &fresh, prompt, 70, 59);
            /* The same again: the last token is computed for its logits. */
            continue_with(&t, &fresh, prompt, 70, far ? 69 : SIZE_MAX);
            /* Another turn of the talk, from inside the window and from far outside it. */
            fill_prompt(prompt + 65, 10, 900);
            continue_with(&t, &fresh, prompt, 75, far ? 65 : SIZE_MAX);
            fill_prompt(prompt + 12, 30, 700);
            continue_with(&t, &fresh, prompt, 42, far ? 12 : SIZE_MAX);
            prompt[0]++;
            continue_with(&t, &fresh, prompt, 90, 0);
            continue_with(&t, &fresh, prompt, 1, 0);
            talker_close(&t);
            talker_close(&fresh);
        }
    }
}

/* A session that began anew reuses as if it had never held anything, although its rings once went further. */
static void reuse_after_a_new_start(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        talker t = talker_open(BOTH[i], 1, 4), fresh = forgetful_open(BOTH[i]);
        mote_sampling sampling = letters(0);
        mote_token prompt[120], generated[20];
        answer hand;
        fill_prompt(prompt, 120, 50);
        continue_with(&t, &fresh, prompt, 120, 0);
        fill_prompt(prompt, 40, 0);
        by_hand(&fresh, prompt, 40, &sampling, generated, 20, &hand);
        continue_with(&t, &fresh, prompt, 40, 0);
        memcpy(prompt + 40, generated, sizeof generated);
        continue_with(&t, &fresh, prompt, 62, 59);
        talker_close(&t);
        talker_close(&fresh);
    }
}

/* ---- a full context that shifts ---- */

/* What a session says by hand after these ids, and the ids that it holds then. */
static void continue_by_hand(talker *t, mote_sampler *sampler, mote_token *held, size_t *count, answer *a,
                             size_t tokens)
{
    static float logits[VOCABULARY];
    mote_session_clear(t->session);
    mote_work work = {t->session, held, *count, logits, 1};
    for (size_t i = 0; i < tokens; i++) {
        assert_int_equal(mote_engine_step(t->engine, &work, 1, NULL), MOTE_OK);
        held[*count] = mote_sampler_pick(sampler, logits);
        mote_detokenizer *detokenizer = NULL;
        size_t bytes;
        assert_int_equal(mote_detokenizer_open(&detokenizer, t->model, false, NULL), MOTE_OK);
        const char *text = mote_detokenizer_push(detokenizer, held[*count], &bytes);
        on_text(a, text, bytes);
        mote_detokenizer_close(detokenizer);
        work = (mote_work){t->session, &held[(*count)++], 1, logits, 1};
    }
}

/* It goes on as a session would that had been given nothing but what is left. */
static void shifts(void **state)
{
    (void)state;
    enum { KEEP = 20, PROMPT = 100, FIRST = CONTEXT - PROMPT + 1, DROPPED = (CONTEXT - KEEP + 1) / 2, SECOND = 50 };
    for (size_t i = 0; i < 2; i++) {
        talker t = talker_open(BOTH[i], 1, 0), fresh = forgetful_open(BOTH[i]);
        mote_sampling sampling = letters(0);
        static mote_token held[CONTEXT + SECOND + 1];
        size_t count = PROMPT;
        answer hand = {0}, a = {0};
        mote_sampler *sampler = NULL;
        assert_int_equal(mote_sampler_open(&sampler, fresh.model, &sampling, NULL), MOTE_OK);
        fill_prompt(held, PROMPT, 0);
        for (size_t k = 0; k < PROMPT; k++)
            mote_sampler_accept(sampler, held[k]);
        mote_generation_options options = {
            .sampling = &sampling, .max_tokens = FIRST + SECOND, .on_full = MOTE_FULL_SHIFT, .keep = KEEP};
        generate_well(&t, held, PROMPT, options, &a);
        continue_by_hand(&fresh, sampler, held, &count, &hand, FIRST);
        assert_int_equal(count, CONTEXT + 1);
        memmove(held + KEEP, held + KEEP + DROPPED, (count - KEEP - DROPPED) * sizeof *held);
        count -= DROPPED;
        continue_by_hand(&fresh, sampler, held, &count, &hand, SECOND);
        assert_string_equal(a.text, hand.text);
        assert_int_equal(a.result.finish, MOTE_FINISH_LENGTH);
        assert_int_equal(a.result.shifted_tokens, DROPPED);
        assert_int_equal(mote_session_length(t.session), count - 1);

        options.max_tokens = 1000; /* as long as anybody likes */
        generate_well(&t, held, PROMPT, options, &a);
        assert_int_equal(a.result.tokens, 1000);
        assert_true(a.result.shifted_tokens > 800 && mote_session_length(t.session) <= CONTEXT);
        options.on_full = MOTE_FULL_STOP;
        generate_well(&t, held, PROMPT, options, &a);
        assert_int_equal(a.result.finish, MOTE_FINISH_CONTEXT);
        assert_int_equal(a.result.shifted_tokens, 0);
        mote_sampler_close(sampler);
        talker_close(&t);
        talker_close(&fresh);
    }
}

/* ---- what is refused ---- */

static void refuse(talker *t, const mote_token *prompt, size_t count, const mote_generation_options *options,
                   const char *word)
{
    mote_error error = {0};
    mote_generation result;
    assert_int_equal(mote_generate(t->session, prompt, count, options, &result, &error), MOTE_E_ARGUMENT);
    if (strstr(error.text, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, word);
    assert_int_equal(result.tokens, 0);
    assert_int_equal(mote_generate(t->session, prompt, count, options, NULL, NULL), MOTE_E_ARGUMENT);
}

static void wrong_arguments(void **state)
{
    (void)state;
    talker t = talker_open(&LLAMA, 1, 0);
    mote_sampling sampling = letters(0);
    mote_generation_options options = {.sampling = &sampling, .max_tokens = 5};
    mote_token prompt[] = {'a', 'b', 'c'}, wrong[] = {'a', -5, 'c'}, high[] = {'a', VOCABULARY};
    answer before = {0}, after = {0};
    generate_well(&t, prompt, 3, options, &before);

    refuse(&t, prompt, 0, &options, "empty");
    refuse(&t, wrong, 3, &options, "-5");
    refuse(&t, high, 2, &options, "vocabulary");
    char longest[300];
    memset(longest, 'x', sizeof longest);
    longest[299] = '\0';
    const char *many[17], *broken[] = {"ok", "\x80"}, *nothing[] = {""}, *wide[] = {longest};
    for (size_t i = 0; i < 17; i++)
        many[i] = "stop";
    options.stop = many;
    options.stop_count = 17;
    refuse(&t, prompt, 3, &options, "17");
    options.stop = nothing;
    options.stop_count = 1;
    refuse(&t, prompt, 3, &options, "empty");
    options.stop = wide;
    refuse(&t, prompt, 3, &options, "256");
    options.stop = broken;
    options.stop_count = 2;
    refuse(&t, prompt, 3, &options, "stop");
    options.stop_count = 0;
    options.on_full = MOTE_FULL_SHIFT;
    options.keep = CONTEXT * 3 / 4 + 1;
    refuse(&t, prompt, 3, &options, "121 tokens to keep");
    options.keep--;
    generate_well(&t, prompt, 3, options, &after);
    options.on_full = MOTE_FULL_STOP;
    sampling.top_p = NAN;
    refuse(&t, prompt, 3, &options, "top_p");
    sampling.top_p = 1;

    generate_well(&t, prompt, 3, options, &after);
    assert_string_equal(before.text, after.text);
    mote_generation_options plain;
    mote_generation_options_init(&plain);
    plain.max_tokens = 3;
    assert_int_equal(mote_generate(t.session, prompt, 3, &plain, NULL, NULL), MOTE_OK);
    assert_int_equal(mote_generate(t.session, prompt, 3, NULL, NULL, NULL), MOTE_OK);
    talker_close(&t);
}

/* Without a vocabulary there is no text, but tokens come. */
static void without_vocabulary(void **state)
{
    (void)state;
    tiny_model spec = GEMMA;
    spec.text = false;
    talker t = talker_open(&spec, 1, 0);
    mote_token prompt[] = {1, 2, 3};
    answer a = {0};
    generate_well(&t, prompt, 3, (mote_generation_options){.max_tokens = 9}, &a);
    assert_int_equal(a.result.tokens, 9);
    assert_int_equal(a.length, 0);
    assert_int_equal(a.result.finish, MOTE_FINISH_LENGTH);
    talker_close(&t);
}

static bool cut_file(void *path, const char *text, size_t length)
{
    (void)text, (void)length;
    assert_int_equal(truncate(path, 4096), 0);
    return true;
}

static void file_goes_away(void **state)
{
    (void)state;
    size_t size;
    void *data = tiny_model_build(&LLAMA, &size);
    char path[] = "/tmp/mote-generate-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, data, size), size);
    close(file);
    free(data);
    mote_model *model;
    mote_engine *engine;
    mote_session *session;
    mote_error error = {0};
    assert_int_equal(mote_model_open(&model, path, NULL, NULL), MOTE_OK);
    assert_int_equal(mote_engine_open(&engine, model, NULL, NULL), MOTE_OK);
    assert_int_equal(mote_session_open(&session, engine, NULL), MOTE_OK);
    mote_sampling sampling = letters(0);
    mote_generation_options options = {.sampling = &sampling, .max_tokens = 50, .on_text = cut_file, .user = path};
    mote_generation result;
    mote_token prompt[] = {'a', 'b'};
    assert_int_equal(mote_generate(session, prompt, 2, &options, &result, &error), MOTE_E_IO);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(result.prompt_tokens, 2);
    assert_int_equal(result.tokens, 1);
    mote_session_close(session);
    mote_engine_close(engine);
    mote_model_close(model);
    unlink(path);
}

static void finish_names(void **state)
{
    (void)state;
    assert_string_equal(mote_finish_name(MOTE_FINISH_END), "end");
    assert_string_equal(mote_finish_name(MOTE_FINISH_LENGTH), "length");
    assert_string_equal(mote_finish_name(MOTE_FINISH_CONTEXT), "context");
    assert_string_equal(mote_finish_name(MOTE_FINISH_STOP), "stop");
    assert_string_equal(mote_finish_name(MOTE_FINISH_CANCELLED), "cancelled");
    assert_non_null(mote_finish_name((mote_finish)99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_by_hand),
        cmocka_unit_test(threads_and_seeds),
        cmocka_unit_test(whole_characters),
        cmocka_unit_test(end_token),
        cmocka_unit_test(full_context),
        cmocka_unit_test(stop_texts),
        cmocka_unit_test(callback_ends),
        cmocka_unit_test(prompt_reuse),
        cmocka_unit_test(shifts),
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(without_vocabulary),
        cmocka_unit_test(file_goes_away),
        cmocka_unit_test(finish_names),
        cmocka_unit_test(reuse_after_a_new_start),
        cmocka_unit_test(cancelled_with_text_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
