/* Packed files: the same answers as their source to the last bit, the same bytes every time, and a sentence for a file
 * that is not what it says. */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "assert_says.h"

#include <mote/mote.h>

#include "base/bytes.h"
#include "format/gguf.h"
#include "quant/panels.h"
#include "temporary_folder.h"
#include "kv_both.h"
#include "tiny_model.h"

enum { TOKENS = 13 };

static const tiny_model PLAIN = {.family = "llama",
                                 .layers = 2,
                                 .width = 512,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 64,
                                 .ffn = 512,
                                 .vocabulary = TINY_LETTERS_END + 3,
                                 .context = 64,
                                 .text = true,
                                 .seed = 3};

typedef struct content {
    unsigned char *at;
    size_t size;
} content;

static content content_of(const char *path)
{
    content c;
    c.at = read_file(path, &c.size);
    return c;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

#define PLAIN_FILE  in_folder("plain.gguf")
#define PACKED_FILE in_folder("packed.gguf")

static void make_source(const tiny_model *spec)
{
    size_t size;
    void *data = tiny_model_build(spec, &size);
    write_file(PLAIN_FILE, data, size);
    free(data);
}

static void pack(uint32_t threads)
{
    mote_error error = {0};
    mote_pack_options options;
    mote_pack_options_init(&options);
    options.threads = threads;
    options.overwrite = true;
    if (mote_pack(PLAIN_FILE, PACKED_FILE, &options, &error) != MOTE_OK)
        fail_msg("%s", error.text);
}

static float *logits_of(const char *path, size_t *count)
{
    mote_model *model;
    mote_engine *engine;
    mote_session *session;
    mote_error error = {0};
    mote_model_info info;
    mote_engine_options options = {.context = 64, .batch = TOKENS, .threads = 1, KV_BOTH(MOTE_KV_F32)};
    if (mote_model_open(&model, path, NULL, &error) || mote_engine_open(&engine, model, &options, &error) ||
        mote_session_open(&session, engine, &error))
        fail_msg("%s", error.text);
    mote_model_describe(model, &info);
    *count = (size_t)TOKENS * info.vocabulary;
    float *logits = calloc(*count, sizeof *logits);
    mote_token ids[TOKENS];
    for (int i = 0; i < TOKENS; i++)
        ids[i] = 97 * i % (int)info.vocabulary;
    mote_work work = {session, ids, TOKENS, logits, TOKENS};
    assert_int_equal(mote_engine_step(engine, &work, 1, &error), MOTE_OK);
    mote_session_close(session);
    mote_engine_close(engine);
    mote_model_close(model);
    return logits;
}

static void test_same_answers_in_every_format(void **state)
{
    (void)state;
    for (size_t f = 0; f < quant_count(); f++) {
        const quant_type mixed[] = {quant_at(f)->type, QUANT_Q8_0, quant_at(f)->type};
        tiny_model spec = PLAIN;
        spec.formats = mixed;
        spec.format_count = 3;
        spec.untied = f % 2 != 0;
        make_source(&spec);
        pack(2);
        size_t count, packed_count;
        float *plain = logits_of(PLAIN_FILE, &count), *packed = logits_of(PACKED_FILE, &packed_count);
        assert_int_equal(count, packed_count);
        assert_memory_equal(plain, packed, count * sizeof *plain);
        free(plain);
        free(packed);
    }
}

/* The MLP's inner rows are wider than any input of a packed weight, and the weight that takes them is not packed: nothing
 * may be written where a packed weight's input would go. */
static void test_wide_inputs_of_weights_that_are_not_packed(void **state)
{
    (void)state;
    enum { MATRICES = 7 }; /* of a layer, the last of them ffn_down */
    quant_type formats[1 + 2 * MATRICES];
    for (size_t i = 0; i < 1 + 2 * MATRICES; i++)
        formats[i] = i > 0 && i % MATRICES == 0 ? QUANT_F16 : QUANT_Q8_0;
    tiny_model spec = PLAIN;
    spec.ffn = 8 * spec.width;
    spec.formats = formats;
    spec.format_count = 1 + 2 * MATRICES;
    double difference = 0, size = 0;
    size_t count;
    make_source(&spec);
    float *mixed = logits_of(PLAIN_FILE, &count);
    spec.decoded = true;
    make_source(&spec);
    float *exact = logits_of(PLAIN_FILE, &count);
    for (size_t i = 0; i < count; i++) {
        difference += ((double)mixed[i] - (double)exact[i]) * ((double)mixed[i] - (double)exact[i]);
        size += (double)exact[i] * (double)exact[i];
    }
    assert_true(difference <= 0.05 * 0.05 * size);
    free(mixed);
    free(exact);
}

static const quant_type Q4[] = {QUANT_Q4_0};

static void make_q4(void)
{
    tiny_model spec = PLAIN;
    spec.formats = Q4;
    spec.format_count = 1;
    make_source(&spec);
}

static void test_same_bytes_from_any_number_of_threads(void **state)
{
    (void)state;
    make_q4();
    pack(1);
    content first = content_of(PACKED_FILE);
    pack(3);
    content second = content_of(PACKED_FILE);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.at, second.at, first.size);
    free(first.at);
    free(second.at);
}

/* Names, types, shapes, texts and decoded weights are those of the source. */
static void test_the_model_is_the_same(void **state)
{
    (void)state;
    make_q4();
    pack(1);
    mote_model *plain, *packed;
    mote_error error;
    assert_int_equal(mote_model_open(&plain, PLAIN_FILE, NULL, &error), MOTE_OK);
    assert_int_equal(mote_model_open(&packed, PACKED_FILE, NULL, &error), MOTE_OK);
    mote_weight_info a, b;
    size_t count = 0;
    for (; mote_model_weight(plain, count, &a) == MOTE_OK; count++) {
        assert_int_equal(mote_model_weight(packed, count, &b), MOTE_OK);
        assert_string_equal(a.name, b.name);
        assert_string_equal(a.type, b.type);
        assert_int_equal(a.dimensions, b.dimensions);
        assert_memory_equal(a.shape, b.shape, sizeof a.shape);
    }
    assert_int_equal(mote_model_weight(packed, count, &b), MOTE_E_ARGUMENT); /* the tokenizer is none */
    mote_model_info info;
    mote_model_describe(packed, &info);
    assert_int_equal(info.weight_count, count);
    mote_ids one = {0}, two = {0};
    assert_int_equal(mote_tokenize(plain, "the lamp", 8, false, &one, &error), MOTE_OK);
    assert_int_equal(mote_tokenize(packed, "the lamp", 8, false, &two, &error), MOTE_OK);
    assert_int_equal(one.count, two.count);
    assert_memory_equal(one.at, two.at, one.count * sizeof *one.at);
    mote_ids_free(&one);
    mote_ids_free(&two);
    mote_model_close(plain);
    mote_model_close(packed);
}

static void test_refusals(void **state)
{
    (void)state;
    mote_error error;
    make_q4();
    pack(1);
    assert_int_equal(mote_pack(PLAIN_FILE, PACKED_FILE, NULL, &error), MOTE_E_ARGUMENT);
    assert_says(error, "exists");
    mote_pack_options over = {.overwrite = true};
    const char *again = in_folder("again.gguf");
    assert_int_equal(mote_pack(PACKED_FILE, again, NULL, &error), MOTE_E_ARGUMENT);
    assert_says(error, "packed already");
    assert_int_equal(access(again, F_OK), -1);
    assert_int_equal(mote_pack(in_folder("none.gguf"), again, &over, &error), MOTE_E_IO);
    assert_int_equal(mote_pack(PLAIN_FILE, in_folder("none/x.gguf"), &over, &error), MOTE_E_IO);
}

/* Where the value of a metadata key begins: after the key, and the value's type. */
static unsigned char *value_of(content file, const char *key)
{
    unsigned char *at = memmem(file.at, file.size, key, strlen(key));
    assert_non_null(at);
    return at + strlen(key) + 4;
}

static mote_status open_changed(content file, mote_error *error)
{
    mote_model *model;
    mote_model_options options = {.data = file.at, .size = file.size};
    mote_status status = mote_model_open(&model, NULL, &options, error);
    mote_model_close(model);
    return status;
}

static void test_another_layout(void **state)
{
    (void)state;
    mote_error error;
    make_q4();
    pack(1);
    content file = content_of(PACKED_FILE);
    for (uint32_t version = 0; version < 4; version++) {
        store_u32(value_of(file, GGUF_PANELS_VERSION), version);
        mote_status status = open_changed(file, &error);
        assert_int_equal(status, version == PANEL_LAYOUT_VERSION ? MOTE_OK : MOTE_E_UNSUPPORTED);
        if (status != MOTE_OK)
            assert_says(error, "pack the model again");
    }
    free(file.at);
}

/* An array of numbers begins with the type and the count of its elements. */
enum { ARRAY_HEAD = 4 + 8 };

static void test_wrong_types_and_shapes(void **state)
{
    (void)state;
    mote_error error;
    make_q4();
    pack(1);
    content good = content_of(PACKED_FILE), bad = {malloc(good.size), good.size};
    const char *const keys[] = {GGUF_PANELS_TYPES, GGUF_PANELS_ROWS, GGUF_PANELS_COLUMNS};
    const uint64_t values[] = {0, 1, 16, 33, 0x7fffffff, 0x80000000, 0xffffffe0, UINT64_MAX >> 1, UINT64_MAX};
    for (size_t k = 0; k < 3; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            memcpy(bad.at, good.at, good.size);
            unsigned char *first = value_of(bad, keys[k]) + ARRAY_HEAD; /* of the embedding */
            store_u32(first, (uint32_t)values[v]);
            if (k > 0)
                store_u32(first + 4, (uint32_t)(values[v] >> 32));
            mote_status status = open_changed(bad, &error);
            assert_true(status == MOTE_E_FORMAT || status == MOTE_E_UNSUPPORTED);
            assert_true(strstr(error.text, "token_embd") != NULL || strstr(error.text, "mote.panels") != NULL);
        }
    memcpy(bad.at, good.at, good.size); /* one element less than there are tensors */
    unsigned char *count = value_of(bad, GGUF_PANELS_TYPES) + 4;
    store_u32(count, load_u32(count) - 1);
    assert_int_not_equal(open_changed(bad, &error), MOTE_OK);
    free(good.at);
    free(bad.at);
}

static void test_random_damage(void **state)
{
    (void)state;
    mote_error error;
    make_q4();
    pack(1);
    content good = content_of(PACKED_FILE), bad = {malloc(good.size), good.size};
    uint64_t random = 5;
    for (int i = 0; i < 300; i++) {
        memcpy(bad.at, good.at, good.size);
        for (int j = 0; j < 3; j++)
            bad.at[(size_t)(random_unit(&random) * 8192)] = (unsigned char)(random_unit(&random) * 256);
        (void)open_changed(bad, &error);
    }
    for (size_t size = 0; size < good.size; size += good.size / 97)
        assert_int_not_equal(open_changed((content){good.at, size}, &error), MOTE_OK);
    free(good.at);
    free(bad.at);
}

static bool stop(void *user, double done)
{
    double *last = user;
    *last = done;
    return false;
}

static void test_cancelling_leaves_nothing(void **state)
{
    (void)state;
    mote_error error;
    double last = -1;
    mote_pack_options options = {.progress = stop, .user = &last};
    make_q4();
    unlink(PACKED_FILE);
    assert_int_equal(mote_pack(PLAIN_FILE, PACKED_FILE, &options, &error), MOTE_E_CANCELLED);
    assert_true(last > 0 && last <= 1);
    assert_int_equal(access(PACKED_FILE, F_OK), -1);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_same_answers_in_every_format),
        IN_FOLDER(test_wide_inputs_of_weights_that_are_not_packed),
        IN_FOLDER(test_same_bytes_from_any_number_of_threads),
        IN_FOLDER(test_the_model_is_the_same),
        IN_FOLDER(test_refusals),
        IN_FOLDER(test_another_layout),
        IN_FOLDER(test_wrong_types_and_shapes),
        IN_FOLDER(test_random_damage),
        IN_FOLDER(test_cancelling_leaves_nothing),
    };
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
