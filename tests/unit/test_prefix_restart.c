/* Prompts that outlive the engine: what was computed once is read after a restart, has the same bits, and is nobody else's;
 * a directory that lies costs time and nothing else. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mote/mote.h>

#include "engine/engine.h"
#include "engine_case.h"
#include "kv_both.h"
#include "temporary_folder.h"

#include <cmocka.h>

enum { CONTEXT = 900, PROMPT = 620, MOST_FILES = 64 };

static const tiny_model *const BOTH[] = {&LLAMA, &SLIDING};

static size_t said;
static char sentence[512];

static void hear(void *user, const char *text)
{
    (void)user;
    said++;
    snprintf(sentence, sizeof sentence, "%s", text);
}

static mote_engine_options with_directory(mote_kv_type kv, uint32_t context)
{
    return (mote_engine_options){.context = context,
                                 .sessions = 2,
                                 .batch = 64,
                                 .threads = 2,
                                 .cache_directory = in_folder("cache"),
                                 .cache_daily_bytes = UINT64_MAX,
                                 .say = hear,
                                 KV_BOTH(kv)};
}

/* `count` ids, from `part` on those of another conversation. */
static void words(mote_token *ids, size_t count, size_t part, size_t which)
{
    for (size_t i = 0; i < count; i++)
        ids[i] = (mote_token)((i * 5 + i / 9 + (i < part ? 0 : which * (i - part + 1))) % VOCABULARY);
}

static void step_well(mote_session *session, const mote_token *ids, size_t count, float *last)
{
    mote_error error = {0};
    mote_work work = {session, ids, count, last, 1};
    if (mote_engine_step(session->engine, &work, 1, &error) != MOTE_OK)
        fail_msg("%s", error.text);
}

/* A process: opens an engine, asks for a prompt, saves and ends. Returns how many tokens were known. */
static size_t restart_and_ask(const tiny_model *spec, mote_engine_options options, uint64_t scope,
                              const mote_token *ids, size_t count)
{
    float expected[VOCABULARY], got[VOCABULARY];
    machine m = machine_open(spec, options);
    options.cache_directory = NULL;
    options.forgetful = true;
    machine plain = machine_open(spec, options);
    mote_session *session = session_open(m.engine), *reference = session_open(plain.engine);
    mote_session_set_scope(session, scope);
    size_t known = mote_session_hold(session, ids, count);
    step_well(session, ids + known, count - known, got);
    step_well(reference, ids, count, expected);
    if (memcmp(expected, got, sizeof got) != 0)
        fail_msg("other bits with %zu of %zu tokens known", known, count);
    mote_session_save(session, count);
    mote_session_close(session);
    mote_session_close(reference);
    machine_close(&m);
    machine_close(&plain);
    return known;
}

/* ---- what is found again ---- */

static void a_prompt_is_known_after_a_restart(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        mote_engine_options options = with_directory((mote_kv_type)(MOTE_KV_F16 + i / 2), CONTEXT);
        mote_token ids[PROMPT + 50];
        words(ids, PROMPT + 50, PROMPT + 50, 0);
        assert_int_equal(restart_and_ask(BOTH[i % 2], options, 0, ids, PROMPT), 0);
        assert_int_equal(restart_and_ask(BOTH[i % 2], options, 0, ids, PROMPT + 50), PROMPT);
        assert_int_equal(restart_and_ask(BOTH[i % 2], options, 0, ids, PROMPT + 50), PROMPT + 49);
        assert_int_equal(restart_and_ask(BOTH[i % 2], options, 0, ids, PROMPT), PROMPT - 1);
    }
    assert_int_equal(said, 0);
}

/* The same instructions before other questions: known in every layer from the second time, where windows slide from the
 * third. */
static void a_beginning_is_known_after_a_restart(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        mote_engine_options options = with_directory(MOTE_KV_F16, CONTEXT);
        mote_token ids[PROMPT];
        for (size_t question = 1; question < 4; question++) {
            words(ids, PROMPT, 430, question);
            size_t known = restart_and_ask(BOTH[i], options, 0, ids, PROMPT);
            assert_int_equal(known, question == 1 || (i == 1 && question == 2) ? 0 : 430);
        }
    }
}

/* Pages of a short context are shorter than those of a long one; each finds what it can use. */
static void contexts_of_any_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        mote_token ids[400];
        words(ids, 400, 400, 0);
        assert_int_equal(restart_and_ask(BOTH[i], with_directory(MOTE_KV_F16, 200), 0, ids, 180), 0);
        assert_int_equal(restart_and_ask(BOTH[i], with_directory(MOTE_KV_F16, CONTEXT), 0, ids, 400), 180);
        assert_int_equal(restart_and_ask(BOTH[i], with_directory(MOTE_KV_F16, CONTEXT), 0, ids, 400), 399);
        size_t known = restart_and_ask(BOTH[i], with_directory(MOTE_KV_F16, 200), 0, ids, 190);
        assert_true(known == 180 || known == 0); /* or the record of a page that is too long for this context */
    }
}

static bool ignore_text(void *user, const char *text, size_t length)
{
    (void)user, (void)text, (void)length;
    return true;
}

static void generation_saves_its_prompt(void **state)
{
    (void)state;
    mote_token ids[PROMPT];
    words(ids, PROMPT, PROMPT, 0);
    mote_generation_options options = {.max_tokens = 30, .on_text = ignore_text};
    for (size_t i = 0; i < 2; i++) {
        for (size_t time = 0; time < 2; time++) {
            machine m = machine_open(BOTH[i], with_directory(i == 0 ? MOTE_KV_Q8 : MOTE_KV_Q4, CONTEXT));
            mote_session *session = session_open(m.engine);
            mote_generation result;
            assert_int_equal(mote_generate(session, ids, PROMPT, &options, &result, NULL), MOTE_OK);
            assert_int_equal(result.cached_tokens, time == 0 ? 0 : PROMPT - 1);
            mote_session_close(session);
            machine_close(&m);
        }
    }
}

/* ---- what is not for us ---- */

static void others_find_nothing(void **state)
{
    (void)state;
    mote_token ids[PROMPT];
    words(ids, PROMPT, PROMPT, 0);
    mote_engine_options options = with_directory(MOTE_KV_F16, CONTEXT);
    tiny_model sister = LLAMA;
    sister.seed++;
    assert_int_equal(restart_and_ask(&LLAMA, options, 7, ids, PROMPT), 0);
    assert_int_equal(restart_and_ask(&LLAMA, options, 8, ids, PROMPT), 0);
    assert_int_equal(restart_and_ask(&LLAMA, options, 0, ids, PROMPT), 0);
    assert_int_equal(restart_and_ask(&sister, options, 7, ids, PROMPT), 0);
    assert_int_equal(restart_and_ask(&LLAMA, with_directory(MOTE_KV_Q8, CONTEXT), 7, ids, PROMPT), 0);
    assert_int_equal(restart_and_ask(&LLAMA, options, 7, ids, PROMPT), PROMPT - 1);
    assert_int_equal(said, 0);
}

static void short_prompts_are_not_written(void **state)
{
    (void)state;
    mote_token ids[64];
    words(ids, 64, 64, 0);
    mote_engine_options options = with_directory(MOTE_KV_F16, CONTEXT);
    assert_int_equal(restart_and_ask(&LLAMA, options, 0, ids, 63), 0);
    assert_int_equal(restart_and_ask(&LLAMA, options, 0, ids, 63), 0);
}

/* ---- damage ---- */

/* The records of the directory, in any order. */
static size_t list_records(char paths[MOST_FILES][600])
{
    size_t count = 0;
    DIR *directory = opendir(in_folder("cache"));
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strstr(entry->d_name, ".kv") != NULL && count < MOST_FILES)
            snprintf(paths[count++], 600, "%s/%s", in_folder("cache"), entry->d_name);
    closedir(directory);
    return count;
}

static void damage(const char *path, size_t way)
{
    struct stat facts;
    if (stat(path, &facts) != 0)
        return; /* was no longer of use */
    if (way == 0) {
        assert_int_equal(truncate(path, facts.st_size / 2), 0);
        return;
    }
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, facts.st_size - 9, SEEK_SET), 0);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(byte ^ 1, file);
    fclose(file);
}

/* Each record in turn, torn or changed, also while the engine that will read it has the directory open. */
static void damaged_records_are_computed_again(void **state)
{
    (void)state;
    mote_token ids[PROMPT];
    words(ids, PROMPT, PROMPT, 0);
    static char paths[MOST_FILES][600];
    for (size_t i = 0; i < 4; i++) {
        mote_engine_options options = with_directory(MOTE_KV_F16, CONTEXT);
        restart_and_ask(BOTH[i % 2], options, 0, ids, PROMPT);
        size_t count = list_records(paths);
        assert_true(count >= 3);
        for (size_t k = 0; k < count; k++) {
            said = 0;
            machine m = machine_open(BOTH[i % 2], options);
            damage(paths[k], i / 2);
            mote_session *session = session_open(m.engine);
            size_t known = mote_session_hold(session, ids, PROMPT);
            assert_true(known < PROMPT);
            float expected[VOCABULARY], got[VOCABULARY];
            step_well(session, ids + known, PROMPT - known, got);
            mote_session *other = session_open(m.engine);
            mote_session_set_scope(other, 99);
            step_well(other, ids, PROMPT, expected);
            assert_memory_equal(expected, got, sizeof got);
            assert_true(known == PROMPT - 1 || said > 0); /* it was not among those read, or is spoken of */
            mote_session_save(session, PROMPT);
            mote_session_close(session);
            mote_session_close(other);
            machine_close(&m);
        }
        said = 0;
        assert_int_equal(restart_and_ask(BOTH[i % 2], options, 0, ids, PROMPT), PROMPT - 1);
        assert_int_equal(restart_and_ask(BOTH[i % 2], options, 0, ids, PROMPT), PROMPT - 1);
    }
}

/* A directory that an engine of a larger context has filled, and a prompt that does not fit this one's. */
static void prompts_past_the_context(void **state)
{
    (void)state;
    mote_token ids[PROMPT];
    words(ids, PROMPT, PROMPT, 0);
    for (size_t i = 0; i < 2; i++) {
        restart_and_ask(BOTH[i], with_directory(MOTE_KV_F16, CONTEXT), 0, ids, PROMPT);
        machine m = machine_open(BOTH[i], with_directory(MOTE_KV_F16, 300));
        mote_session *session = session_open(m.engine);
        size_t known = mote_session_hold(session, ids, PROMPT);
        assert_true(known <= 300);
        assert_int_equal(mote_session_length(session), known);
        assert_int_equal(mote_session_hold(session, ids, 0), 0);
        assert_int_equal(mote_session_length(session), 0);
        float last[VOCABULARY];
        step_well(session, ids, 100, last);
        mote_session_close(session);
        machine_close(&m);
    }
}

/* A request to cancel ends what it was for: an answer that was broken off does not cost its prompt. */
static void a_cancelled_answer_is_saved(void **state)
{
    (void)state;
    mote_token ids[PROMPT];
    float last[VOCABULARY];
    words(ids, PROMPT, PROMPT, 0);
    mote_engine_options options = with_directory(MOTE_KV_F16, CONTEXT);
    machine m = machine_open(&LLAMA, options);
    mote_session *session = session_open(m.engine);
    step_well(session, ids, PROMPT, last);
    mote_session_cancel(session);
    mote_session_save(session, PROMPT);
    mote_session_close(session);
    machine_close(&m);
    assert_int_equal(restart_and_ask(&LLAMA, options, 0, ids, PROMPT), PROMPT - 1);
}

static void directories_that_cannot_be_used(void **state)
{
    (void)state;
    void *data;
    mote_model *opened = tiny_model_open(&LLAMA, &data);
    mote_engine_options options = with_directory(MOTE_KV_F16, CONTEXT);
    FILE *file = fopen(in_folder("file"), "w");
    assert_non_null(file);
    fclose(file);
    const char *const BAD[] = {in_folder("file"), in_folder("none/below"), ""};
    for (size_t i = 0; i < 3; i++) {
        mote_engine *engine = (mote_engine *)&engine;
        mote_error error = {0};
        options.cache_directory = BAD[i];
        assert_true(mote_engine_open(&engine, opened, &options, &error) != MOTE_OK);
        assert_null(engine);
        assert_true(strlen(error.text) > 10 && strchr(error.text, '\n') == NULL);
    }
    mote_model_close(opened);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_prompt_is_known_after_a_restart, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_beginning_is_known_after_a_restart, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(contexts_of_any_size, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(generation_saves_its_prompt, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(others_find_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(short_prompts_are_not_written, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damaged_records_are_computed_again, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(directories_that_cannot_be_used, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(prompts_past_the_context, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_cancelled_answer_is_saved, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
