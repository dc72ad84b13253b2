/* Torture (the word is curl's): every call to the system that can fail is made to fail in turn, through the whole life of
 * a model, an engine and a session. Whatever fails, a function says so by its status, hands nothing out and leaves nothing
 * behind; and what failed for want of memory works when there is some again.
 *
 * The calls of libmote, and of it alone, come here by the linker's --wrap (tests/CMakeLists.txt), so that this runs under
 * the sanitizers as well: they find what is used after it was freed. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mote/mote.h>

#include "tiny_model.h"

#include <cmocka.h>

/* ---- calls that fail ---- */

enum { NEVER = 0, MOST_MAPPINGS = 16 };

static struct {
    bool watching;
    size_t calls;         /* that could have failed, since it began */
    size_t fail_at;       /* the number of the first call that fails, or NEVER */
    bool for_good;        /* all later ones as well */
    mote_status expected; /* by the kind of the first call that failed; OK if one can do without */
    size_t allocations;   /* not freed yet */
    size_t descriptors;   /* not closed yet */
    void *mapping[MOST_MAPPINGS];
} torture;

static bool refuse(mote_status expected)
{
    if (!torture.watching || torture.fail_at == NEVER)
        return false;
    size_t call = ++torture.calls;
    bool refused = call == torture.fail_at || (torture.for_good && call > torture.fail_at);
    if (refused && torture.expected == MOTE_OK)
        torture.expected = expected;
    return refused;
}

static bool refuse_memory(void)
{
    bool refused = refuse(MOTE_E_MEMORY);
    if (refused)
        errno = ENOMEM;
    return refused;
}

static void *counted(void *memory)
{
    if (torture.watching && memory != NULL)
        torture.allocations++;
    return memory;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t each);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strndup(const char *text, size_t most);
void __real_free(void *memory);
int __real_munmap(void *at, size_t size);
int __real_close(int file);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);

void *__wrap_malloc(size_t size)
{
    return refuse_memory() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t each)
{
    return refuse_memory() ? NULL : counted(__real_calloc(count, each));
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (refuse_memory())
        return NULL;
    bool grown = memory != NULL;
    void *at = __real_realloc(memory, size);
    return grown ? at : counted(at);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return refuse_memory() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

char *__wrap_strndup(const char *text, size_t most)
{
    return refuse_memory() ? NULL : counted(__real_strndup(text, most));
}

void __wrap_free(void *memory)
{
    if (torture.watching && memory != NULL)
        torture.allocations--;
    __real_free(memory);
}

static void **mapping_slot(void *wanted)
{
    for (size_t i = 0; i < MOST_MAPPINGS; i++)
        if (torture.mapping[i] == wanted)
            return &torture.mapping[i];
    return NULL;
}

static void *noted(void *mapping)
{
    void **slot = mapping_slot(NULL);
    if (torture.watching && mapping != MAP_FAILED && slot != NULL)
        *slot = mapping;
    return mapping;
}

/* What the kernel tells about the machine is good to know, but nothing fails without it. */
static bool is_about_the_machine(const char *path)
{
    return strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/sys/", 5) == 0;
}

static bool refuse_file(mote_status expected)
{
    bool refused = refuse(expected);
    if (refused)
        errno = EIO;
    return refused;
}

static int opened(int file)
{
    torture.descriptors += torture.watching && file >= 0;
    return file;
}

int __wrap_munmap(void *at, size_t size)
{
    void **slot = mapping_slot(at);
    if (slot != NULL)
        *slot = NULL;
    return __real_munmap(at, size);
}

/* Each under the name it has where files are small and the one it has where they are large, with that one's offsets. */
#define WRAP_FILE_CALLS(MMAP, OPEN, FSTAT, offset_type)                                                                \
    void *__real_##MMAP(void *at, size_t size, int protection, int flags, int file, offset_type offset);               \
    int __real_##OPEN(const char *path, int flags, ...);                                                               \
    int __real_##FSTAT(int file, void *about);                                                                         \
    void *__wrap_##MMAP(void *at, size_t size, int protection, int flags, int file, offset_type offset)                \
    {                                                                                                                  \
        return refuse_memory() ? MAP_FAILED : noted(__real_##MMAP(at, size, protection, flags, file, offset));         \
    }                                                                                                                  \
    int __wrap_##OPEN(const char *path, int flags, ...)                                                                \
    {                                                                                                                  \
        mote_status expected = is_about_the_machine(path) ? MOTE_OK : MOTE_E_IO;                                       \
        return refuse_file(expected) ? -1 : opened(__real_##OPEN(path, flags));                                        \
    }                                                                                                                  \
    int __wrap_##FSTAT(int file, void *about)                                                                          \
    {                                                                                                                  \
        return refuse_file(MOTE_E_IO) ? -1 : __real_##FSTAT(file, about);                                              \
    }

WRAP_FILE_CALLS(mmap, open, fstat, long)
#ifdef __GLIBC__
WRAP_FILE_CALLS(mmap64, open64, fstat64, int64_t)
#endif

int __wrap_close(int file)
{
    torture.descriptors -= torture.watching;
    return __real_close(file);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    return refuse(MOTE_E_LIMIT) ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}

static void expect_nothing_left(size_t call)
{
    if (torture.allocations != 0)
        fail_msg("call %zu failed: %zd allocations are left", call, (ssize_t)torture.allocations);
    if (torture.descriptors != 0)
        fail_msg("call %zu failed: %zd files are left open", call, (ssize_t)torture.descriptors);
    for (size_t i = 0; i < MOST_MAPPINGS; i++)
        if (torture.mapping[i] != NULL)
            fail_msg("call %zu failed: a mapping is left", call);
}

/* ---- lives: each ends as it began, whatever fails; the first failure is what it returns ---- */

typedef struct life {
    const char *path; /* of a model, or NULL: `data` */
    const void *data;
    size_t size;
    mote_error *error;
    char text[256]; /* what came of it */
    size_t length;
} life;

static bool keep_text(void *user, const char *text, size_t length)
{
    life *l = user;
    assert_true(l->length + length < sizeof l->text);
    memcpy(l->text + l->length, text, length);
    l->length += length;
    return true;
}

static bool go_on(void *user, double done)
{
    (void)user;
    return done <= 1;
}

static bool take_values(void *user, const float *values, size_t count)
{
    (void)user;
    return values != NULL && count > 0;
}

#define NOTHING(type) ((type *)(uintptr_t)1) /* what *out must not still be after a failure */

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        if (status == MOTE_OK)                                                                                         \
            status = (call);                                                                                           \
    } while (0)

#define TRY_OPEN(out, call)                                                                                            \
    do {                                                                                                               \
        TRY(call);                                                                                                     \
        if (status != MOTE_OK)                                                                                         \
            assert_null(out);                                                                                          \
    } while (0)

enum { VOCABULARY = TINY_END + 4 };

static mote_status generate(life *l, mote_session *session, const mote_ids *ids)
{
    static const mote_logit_bias BIAS = {TINY_END, -100};
    static const char *const STOP = "never";
    mote_sampling sampling;
    mote_sampling_init(&sampling);
    sampling.repeat_penalty = 1.1f;
    sampling.bias = &BIAS;
    sampling.bias_count = 1;
    sampling.seed = 3;
    mote_generation result;
    mote_generation_options options = {
        .sampling = &sampling, .max_tokens = 3, .stop = &STOP, .stop_count = 1, .on_text = keep_text, .user = l};
    mote_status status = mote_generate(session, ids->at, ids->count, &options, &result, l->error);
    assert_int_equal(result.tokens, status == MOTE_OK ? 3 : 0);
    return status;
}

static mote_status detokenize(life *l, mote_model *model, const mote_ids *ids)
{
    mote_detokenizer *detokenizer = NOTHING(mote_detokenizer);
    mote_status status = MOTE_OK;
    TRY_OPEN(detokenizer, mote_detokenizer_open(&detokenizer, model, true, l->error));
    for (size_t i = 0; i < ids->count && status == MOTE_OK; i++) {
        size_t length;
        const char *text = mote_detokenizer_push(detokenizer, ids->at[i], &length);
        keep_text(l, text, length);
    }
    mote_detokenizer_close(detokenizer);
    return status;
}

/* Everything that one does with a model. */
static mote_status whole_life(life *l)
{
    static const char TEXT[] = "the lamp, cafe\xcc\x81, <|endoftext|>"; /* NFC has something to do */
    mote_model *model = NOTHING(mote_model);
    mote_engine *engine = NULL;
    mote_session *session = NULL;
    mote_ids ids = {0};
    mote_model_options options = {.data = l->data, .size = l->size, .progress = go_on};
    mote_engine_options limits = {.context = 64, .batch = 16, .sessions = 2, .threads = 3};
    mote_memory_plan plan;
    mote_status status = MOTE_OK;
    TRY_OPEN(model, mote_model_open(&model, l->path, &options, l->error));
    TRY(mote_plan_memory(&plan, l->path, &options, &limits, l->error));
    TRY(mote_tokenize(model, TEXT, sizeof TEXT - 1, MOTE_TOKENIZE_SPECIAL | MOTE_TOKENIZE_BOS, &ids, l->error));
    if (status != MOTE_OK)
        assert_int_equal(ids.count, 0);
    TRY(mote_model_dequantize(model, "token_embd.weight", take_values, l, l->error));
    if (status == MOTE_OK)
        engine = NOTHING(mote_engine);
    TRY_OPEN(engine, mote_engine_open(&engine, model, &limits, l->error));
    TRY_OPEN(session, mote_session_open(&session, engine, l->error));
    TRY(generate(l, session, &ids));
    TRY(detokenize(l, model, &ids));
    mote_model_close(model); /* the others keep it */
    mote_engine_close(engine);
    mote_session_close(session);
    mote_ids_free(&ids);
    return status;
}

/* A conversation for the built-in model, of which the vocabulary is enough. */
static mote_status conversation(life *l)
{
    const mote_message messages[] = {
        {"system", "Be kind.", 8}, {"user", "turn on the lamp", 16}, {"assistant", "{}", 2}, {"user", "thanks", 6}};
    mote_model *model = NOTHING(mote_model);
    mote_ids ids = {0};
    mote_model_options options = {.parts = MOTE_PARTS_VOCABULARY};
    mote_status status = MOTE_OK;
    TRY_OPEN(model, mote_model_open(&model, NULL, &options, l->error));
    TRY(mote_chat_encode(model, messages, 4, true, &ids, l->error));
    if (status != MOTE_OK)
        assert_int_equal(ids.count, 0);
    TRY(detokenize(l, model, &ids));
    mote_ids_free(&ids);
    mote_model_close(model);
    return status;
}

/* The directory alone is no reason to pass over a vocabulary that there was no memory for. */
static mote_status directory(life *l)
{
    mote_model *model = NOTHING(mote_model);
    mote_model_options options = {.parts = MOTE_PARTS_DIRECTORY, .data = l->data, .size = l->size};
    mote_status status = MOTE_OK;
    TRY_OPEN(model, mote_model_open(&model, l->path, &options, l->error));
    if (status == MOTE_OK) {
        mote_model_info info;
        mote_model_describe(model, &info);
        keep_text(l, info.tokenizer, strlen(info.tokenizer));
    }
    mote_model_close(model);
    return status;
}

/* ---- the rack ---- */

static mote_status live(mote_status (*run)(life *l), life *l, size_t fail_at, bool for_good)
{
    l->length = 0;
    memset(&torture, 0, sizeof torture);
    torture.watching = true;
    torture.fail_at = fail_at;
    torture.for_good = for_good;
    mote_status status = run(l);
    torture.watching = false;
    return status;
}

/* Fails the first call, then the second, … until there are no more. Returns how many there were. */
static size_t fail_in_turn(mote_status (*run)(life *l), life *l, const life *well, bool for_good)
{
    for (size_t call = 1;; call++) {
        mote_error error = {.text = "nothing"};
        l->error = call % 2 == 0 ? NULL : &error;
        mote_status status = live(run, l, call, for_good);
        if (status != torture.expected)
            fail_msg("call %zu failed: %s instead of %s", call, mote_status_name(status),
                     mote_status_name(torture.expected));
        if (l->error != NULL && status != MOTE_OK) {
            assert_int_equal(error.status, status);
            assert_string_not_equal(error.text, "nothing");
            assert_true(strlen(error.text) > 20 && strpbrk(error.text, "\r\n") == NULL);
        }
        expect_nothing_left(call);
        if (status == MOTE_OK) {
            assert_int_equal(l->length, well->length);
            assert_memory_equal(l->text, well->text, l->length);
        }
        if (torture.calls < call) /* nothing failed any more */
            return call - 1;
    }
}

static void torment(mote_status (*run)(life *l), life l, size_t least)
{
    mote_error error = {0};
    l.error = &error;
    if (live(run, &l, NEVER, false) != MOTE_OK)
        fail_msg("%s", error.text);
    expect_nothing_left(0);
    life well = l;
    size_t calls = fail_in_turn(run, &l, &well, false);
    assert_int_equal(fail_in_turn(run, &l, &well, true), calls);
    assert_true(calls >= least); /* the wraps are at work */
}

static const tiny_model SMALL = {.family = "qwen2",
                                 .layers = 2,
                                 .width = 16,
                                 .heads = 2,
                                 .kv_heads = 1,
                                 .head_dim = 8,
                                 .ffn = 16,
                                 .vocabulary = VOCABULARY,
                                 .context = 64,
                                 .text = true,
                                 .seed = 8};

static void from_memory(void **state)
{
    (void)state;
    life l = {0};
    void *data = tiny_model_build(&SMALL, &l.size);
    l.data = data;
    torment(whole_life, l, 25);
    torment(directory, l, 15);
    free(data);
}

static void from_a_path(void **state)
{
    (void)state;
    size_t size;
    void *data = tiny_model_build(&SMALL, &size);
    char path[] = "/tmp/mote-torture-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, data, size), size);
    close(file);
    free(data);
    torment(whole_life, (life){.path = path}, 28);
    unlink(path);
}

static void built_in(void **state)
{
    (void)state;
    mote_model *model;
    mote_model_options options = {.parts = MOTE_PARTS_VOCABULARY};
    if (mote_model_open(&model, NULL, &options, NULL) != MOTE_OK)
        skip(); /* built without one */
    mote_model_close(model);
    torment(conversation, (life){0}, 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_memory),
        cmocka_unit_test(from_a_path),
        cmocka_unit_test(built_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
