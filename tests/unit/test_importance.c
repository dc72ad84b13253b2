/* Importance matrices: what mote_imatrix writes is the mean square of what weights read, for packed and unpacked ones alike;
 * what importance_open takes is sound, whoever wrote it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "assert_says.h"

#include "gguf_writer.h"
#include "prepare/importance.h"
#include "temporary_folder.h"
#include "tiny_model.h"

enum { WIDTH = 64, FFN = 96, CHUNK = 16 };

static const char TEXT[] = "the mean square of each input column, over all tokens of a calibration text; that is all. "
                           "what an error in a column costs goes with it, so that bits are spent where they count.";

static const tiny_model PLAIN = {.family = "llama",
                                 .layers = 2,
                                 .width = WIDTH,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 16,
                                 .ffn = FFN,
                                 .vocabulary = TINY_LETTERS_END + 3,
                                 .context = 64,
                                 .text = true,
                                 .seed = 7};

#define MODEL in_folder("model.gguf")
#define OUT   in_folder("out.gguf")

static void make_model(const tiny_model *spec)
{
    size_t size;
    void *data = tiny_model_build(spec, &size);
    FILE *file = fopen(MODEL, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    free(data);
}

static mote_status run(mote_error *error)
{
    mote_imatrix_options options;
    mote_imatrix_options_init(&options);
    options.chunk = CHUNK;
    options.overwrite = true;
    options.dataset = "text";
    return mote_imatrix(MODEL, TEXT, strlen(TEXT), OUT, &options, error);
}

static importance *make(const tiny_model *spec)
{
    importance *it = NULL;
    mote_error error = {0};
    make_model(spec);
    if (run(&error) != MOTE_OK || importance_open(&it, OUT, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return it;
}

/* ------------------------------------------------------------------------------------------------------------- making */

typedef struct values {
    float *at;
    size_t count;
} values;

static bool take(void *user, const float *at, size_t count)
{
    values *v = user;
    v->at = realloc(v->at, (v->count + count) * sizeof *at);
    memcpy(v->at + v->count, at, count * sizeof *at);
    v->count += count;
    return true;
}

static values weight_of(const mote_model *model, const char *name)
{
    values v = {0};
    assert_int_equal(mote_model_dequantize(model, name, take, &v, NULL), MOTE_OK);
    return v;
}

/* Of the first layer's queries, from the definition: the embeddings of the chunks' tokens, normed. */
static void expected_of_first(double mean[WIDTH])
{
    mote_model *model;
    mote_ids ids = {0};
    assert_int_equal(mote_model_open(&model, MODEL, NULL, NULL), MOTE_OK);
    assert_int_equal(mote_tokenize(model, TEXT, strlen(TEXT), MOTE_TOKENIZE_BOS, &ids, NULL), MOTE_OK);
    values embedding = weight_of(model, "token_embd.weight"), gain = weight_of(model, "blk.0.attn_norm.weight");
    size_t count = ids.count / CHUNK * CHUNK;
    assert_true(count > CHUNK && count < ids.count); /* several chunks, and a rest that is left out */
    memset(mean, 0, WIDTH * sizeof *mean);
    for (size_t t = 0; t < count; t++) {
        const float *x = embedding.at + (size_t)ids.at[t] * WIDTH;
        double squares = 0;
        for (size_t j = 0; j < WIDTH; j++)
            squares += (double)x[j] * (double)x[j] / WIDTH;
        for (size_t j = 0; j < WIDTH; j++)
            mean[j] += pow((double)x[j] * (double)gain.at[j], 2) / (squares + 1e-5) / (double)count;
    }
    free(embedding.at);
    free(gain.at);
    mote_ids_free(&ids);
    mote_model_close(model);
}

static void expect_first(const tiny_model *spec)
{
    double expected[WIDTH];
    importance *it = make(spec);
    const float *found = importance_of(it, "blk.0.attn_q.weight", WIDTH);
    assert_non_null(found);
    expected_of_first(expected);
    for (size_t j = 0; j < WIDTH; j++)
        assert_true(fabs((double)found[j] - expected[j]) <= 1e-5 * expected[j]);
    importance_close(it);
}

static void test_mean_squares(void **state)
{
    (void)state;
    expect_first(&PLAIN);
}

/* Packed weights read int8, but what counts is what it was made of. */
static void test_mean_squares_of_packed_weights(void **state)
{
    (void)state;
    static const quant_type q8[] = {QUANT_Q8_0};
    tiny_model spec = PLAIN;
    spec.formats = q8;
    spec.format_count = 1;
    expect_first(&spec);
}

static void test_every_matrix_has_its_columns(void **state)
{
    (void)state;
    importance *it = make(&PLAIN);
    static const char *const wide[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"};
    char name[64];
    for (int layer = 0; layer < 2; layer++) {
        for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", layer, wide[i]);
            assert_non_null(importance_of(it, name, WIDTH));
            assert_null(importance_of(it, name, WIDTH + 1));
        }
        snprintf(name, sizeof name, "blk.%d.ffn_down.weight", layer);
        assert_non_null(importance_of(it, name, FFN));
    }
    assert_non_null(importance_of(it, "token_embd.weight", WIDTH)); /* it is the head, too */
    assert_null(importance_of(it, "output.weight", WIDTH));
    assert_null(importance_of(it, "blk.0.attn_norm.weight", WIDTH));
    assert_null(importance_of(it, "", 0));
    importance_close(it);
}

static void test_head_of_its_own_and_fused_matrices(void **state)
{
    (void)state;
    tiny_model spec = PLAIN;
    spec.family = "phi3";
    spec.untied = true;
    importance *it = make(&spec);
    assert_non_null(importance_of(it, "output.weight", WIDTH));
    assert_null(importance_of(it, "token_embd.weight", WIDTH));
    assert_non_null(importance_of(it, "blk.1.attn_qkv.weight", WIDTH));
    assert_non_null(importance_of(it, "blk.1.ffn_up.weight", WIDTH));
    importance_close(it);
}

static bool stop(void *user, double done)
{
    (void)user;
    assert_true(done > 0 && done <= 1);
    return false;
}

static void test_what_cannot_be_made(void **state)
{
    (void)state;
    mote_error error;
    mote_imatrix_options options = {.chunk = CHUNK};
    make_model(&PLAIN);
    assert_int_equal(mote_imatrix(MODEL, "too short", 9, OUT, &options, &error), MOTE_E_ARGUMENT);
    assert_says(error, "longer text");
    assert_int_equal(mote_imatrix(MODEL, "", 0, OUT, &options, &error), MOTE_E_ARGUMENT);
    options.chunk = 2;
    assert_int_equal(mote_imatrix(MODEL, TEXT, strlen(TEXT), OUT, &options, &error), MOTE_E_ARGUMENT);
    options.chunk = 65; /* the model was made for 64 */
    assert_int_equal(mote_imatrix(MODEL, TEXT, strlen(TEXT), OUT, &options, &error), MOTE_E_ARGUMENT);
    options.chunk = CHUNK;
    options.progress = stop;
    assert_int_equal(mote_imatrix(MODEL, TEXT, strlen(TEXT), OUT, &options, &error), MOTE_E_CANCELLED);
    assert_int_equal(mote_imatrix(in_folder("none"), TEXT, strlen(TEXT), OUT, NULL, &error), MOTE_E_IO);
    assert_int_equal(folder_count(), 1); /* the model */
    options.progress = NULL;
    assert_int_equal(mote_imatrix(MODEL, TEXT, strlen(TEXT), MODEL, &options, &error), MOTE_E_ARGUMENT);
    assert_says(error, "exists");
}

/* ------------------------------------------------------------------------------------------------------------ reading */

/* The file of another program: two matrices, one of them of three experts, and a tensor of another kind. */
typedef struct spoilt {
    const char *type;
    const char *sums_name;
    quant_type sums_type;
    size_t columns, rows, counts;
    float sum, count;
} spoilt;

static const spoilt SOUND = {"imatrix", "blk.0.attn_q.weight.in_sum2", QUANT_F32, 4, 1, 1, 8, 2};

static mote_status open_made(const spoilt *s, importance **out, mote_error *error)
{
    gguf_writer w = {0};
    float sums[12] = {0}, counts[3] = {s->count, 1, 1};
    sums[1] = s->sum;
    gguf_begin(&w, 3);
    if (s->type != NULL)
        gguf_add_text(&w, "general.type", s->type);
    gguf_add_tensor(&w, "other", QUANT_F32, 1, (size_t[]){4}, NULL);
    gguf_add_tensor(&w, s->sums_name, s->sums_type, 2, (size_t[]){s->columns, s->rows}, sums);
    gguf_add_tensor(&w, "blk.0.attn_q.weight.counts", QUANT_F32, 2, (size_t[]){1, s->counts}, counts);
    gguf_add_tensor(&w, "experts.in_sum2", QUANT_F32, 2, (size_t[]){4, 3}, sums);
    gguf_add_tensor(&w, "experts.counts", QUANT_F32, 2, (size_t[]){1, 3}, counts);
    gguf_finish(&w);
    gguf_save(&w, OUT);
    gguf_writer_free(&w);
    return importance_open(out, OUT, error);
}

static void test_foreign_file(void **state)
{
    (void)state;
    importance *it = NULL;
    mote_error error = {0};
    if (open_made(&SOUND, &it, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    const float *found = importance_of(it, "blk.0.attn_q.weight", 4);
    assert_non_null(found);
    assert_true(found[0] == 0.0f && found[1] == 4.0f);
    assert_null(importance_of(it, "experts", 4));
    assert_null(importance_of(it, "other", 4));
    char name[400];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_null(importance_of(it, name, 4));
    importance_close(it);
}

/* A matrix that the text never came by is like one that is not there. */
static void test_no_tokens(void **state)
{
    (void)state;
    importance *it = NULL;
    spoilt s = SOUND;
    s.count = 0;
    assert_int_equal(open_made(&s, &it, NULL), MOTE_OK);
    assert_null(importance_of(it, "blk.0.attn_q.weight", 4));
    importance_close(it);
}

static void test_broken_files(void **state)
{
    (void)state;
    spoilt s[10];
    for (size_t i = 0; i < 10; i++)
        s[i] = SOUND;
    s[0].type = "model";
    s[1].type = NULL;
    s[2].sums_name = "blk.9.attn_q.weight.in_sum2"; /* counts are another's */
    s[3].sums_type = QUANT_F16;
    s[4].rows = 3;
    s[5].counts = 3;
    s[6].sum = -1;
    s[7].sum = NAN;
    s[8].count = -2;
    s[9].count = INFINITY;
    for (size_t i = 0; i < 10; i++) {
        importance *it = (importance *)s;
        mote_error error = {0};
        assert_int_equal(open_made(&s[i], &it, &error), MOTE_E_FORMAT);
        assert_null(it);
        assert_true(strlen(error.text) > 20);
    }
    s[0] = SOUND;
    s[0].sum = 3e38f; /* ÷ 1e-38 is no float */
    s[0].count = 1e-38f;
    importance *it = NULL;
    assert_int_equal(open_made(&s[0], &it, NULL), MOTE_E_FORMAT);
    assert_int_equal(importance_open(&it, in_folder("none"), NULL), MOTE_E_IO);
    importance_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mean_squares),
        TEST(test_mean_squares_of_packed_weights),
        TEST(test_every_matrix_has_its_columns),
        TEST(test_head_of_its_own_and_fused_matrices),
        TEST(test_what_cannot_be_made),
        TEST(test_foreign_file),
        TEST(test_no_tokens),
        TEST(test_broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
