/* Synthetic models: the published sizes, formats as a quantizer would choose them, weights that make sane numbers, and
 * files that do not depend on the threads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "prepare/synth_blocks.h"
#include "prepare/synth_plan.h"

#include "assert_says.h"
#include "temporary_folder.h"

static mote_synth_options small(void)
{
    mote_synth_options options;
    mote_synth_options_init(&options);
    options.model = "smollm2-135m";
    options.layers = 1;
    options.threads = 2;
    return options;
}

static void make(const char *name, const mote_synth_options *options)
{
    mote_error error;
    if (mote_synth(in_folder(name), options, &error) != MOTE_OK)
        fail_msg("%s", error.text);
}

/* -------------------------------------------------------------------------------------------------------------- sizes */

/* As published, with tied embeddings counted once; Phi's rope factors are ours to add. */
static void parameters_are_the_published_ones(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t parameters;
    } published[] = {
        {"smollm2-135m", 134515008},  {"smollm2-360m", 361821120},    {"smollm2-1.7b", 1711376384},
        {"gemma3-270m", 268098176},   {"gemma3-1b", 999885952},       {"qwen2.5-0.5b", 494032768},
        {"qwen2.5-1.5b", 1543714304}, {"qwen3-0.6b", 596049920},      {"qwen3-1.7b", 1720574976},
        {"qwen3-4b", 4022468096},     {"phi4-mini", 3836021760 + 96},
    };
    size_t count = sizeof published / sizeof *published;
    for (size_t i = 0; i < count; i++) {
        mote_synth_info info;
        mote_synth_options options;
        mote_synth_options_init(&options);
        options.model = published[i].name;
        assert_int_equal(mote_synth_plan(&options, &info, NULL), MOTE_OK);
        if (info.parameters != published[i].parameters)
            fail_msg("%s has %llu", published[i].name, (unsigned long long)info.parameters);
    }
    assert_null(mote_synth_model(count));
}

/* Megabytes that a token reads, of files that were measured elsewhere. */
static void q4_0_files_have_the_usual_size(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double megabytes;
    } usual[] = {{"smollm2-135m", 90}, {"gemma3-270m", 235}, {"qwen3-0.6b", 376}};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        mote_synth_info info;
        mote_synth_options options;
        mote_synth_options_init(&options);
        options.model = usual[i].name;
        assert_int_equal(mote_synth_plan(&options, &info, NULL), MOTE_OK);
        assert_true(fabs((double)info.weight_bytes / 1e6 - usual[i].megabytes) < 1);
    }
}

static const char *format_in(const char *name, const char *type, const char *tensor)
{
    const char *found = "none";
    synth_plan plan;
    const model_shape *shape = model_shape_find(name);
    assert_int_equal(synth_plan_make(&plan, shape, synth_type_find(type), shape->layers, NULL), MOTE_OK);
    for (size_t i = 0; i < plan.count; i++)
        if (strcmp(plan.tensor[i].name, tensor) == 0)
            found = plan.tensor[i].format->name;
    synth_plan_free(&plan);
    return found;
}

static void formats_are_a_quantizer_s(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        {"qwen3-0.6b", "q4_0", "token_embd.weight", "Q6_K"},
        {"gemma3-270m", "q4_0", "token_embd.weight", "Q8_0"}, /* 640 is no multiple of 256 */
        {"qwen3-0.6b", "q8_0", "token_embd.weight", "Q8_0"},
        {"qwen3-0.6b", "f16", "token_embd.weight", "F16"},
        {"qwen3-0.6b", "q4_0", "blk.3.ffn_down.weight", "Q4_0"},
        {"qwen3-0.6b", "q4_k", "blk.0.ffn_down.weight", "Q4_K"},
        {"qwen3-0.6b", "q4_k_m", "blk.0.ffn_down.weight", "Q6_K"},  /* first eighth of 28 */
        {"qwen3-0.6b", "q4_k_m", "blk.4.attn_v.weight", "Q4_K"},    /* between the eighths … */
        {"qwen3-0.6b", "q4_k_m", "blk.5.attn_v.weight", "Q6_K"},    /* … every third */
        {"qwen3-0.6b", "q4_k_m", "blk.27.ffn_down.weight", "Q6_K"}, /* last eighth */
        {"qwen3-0.6b", "q4_k_m", "blk.5.attn_k.weight", "Q4_K"},
        {"qwen3-0.6b", "q4_k_m", "blk.5.attn_norm.weight", "F32"},
        {"smollm2-135m", "q4_k_m", "blk.4.attn_v.weight", "Q5_0"}, /* 576 columns */
        {"smollm2-135m", "q4_k_m", "blk.5.attn_v.weight", "Q8_0"},
        {"smollm2-135m", "q4_k_m", "blk.4.ffn_down.weight", "Q4_K"}, /* 1536 columns */
        {"smollm2-135m", "q5_k_m", "blk.4.attn_q.weight", "Q5_1"},
        {"smollm2-135m", "iq4_xs", "blk.4.attn_q.weight", "IQ4_NL"},
        {"smollm2-135m", "m3", "blk.4.attn_q.weight", "M3"},
        {"smollm2-135m", "m3", "token_embd.weight", "M4"},
        {"smollm2-135m", "m4", "blk.4.ffn_down.weight", "M4"},
        {"phi4-mini", "q4_k_m", "blk.7.attn_qkv.weight", "Q5_K"},
        {"phi4-mini", "q5_k_m", "blk.7.attn_qkv.weight", "Q6_K"},
        {"qwen2.5-0.5b", "q4_0", "blk.0.attn_q.bias", "F32"},
        {"gemma3-1b", "q4_0", "blk.25.post_ffw_norm.weight", "F32"},
        {"gemma3-1b", "q4_0", "blk.26.post_ffw_norm.weight", "none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = format_in(cases[i][0], cases[i][1], cases[i][2]);
        if (strcmp(got, cases[i][3]) != 0)
            fail_msg("%s in %s: %s is %s, not %s", cases[i][0], cases[i][1], cases[i][2], got, cases[i][3]);
    }
}

/* ------------------------------------------------------------------------------------------------------------ weights */

static void weights_have_the_deviation_asked_for(void **state)
{
    (void)state;
    enum { VALUES = 1 << 16 };
    static float values[VALUES];
    static unsigned char blocks[2][VALUES * 4];
    for (size_t i = 0; synth_type_at(i) != NULL; i++) {
        const quant_format *format = quant_find(synth_type_at(i)->body);
        assert_true(synth_blocks_can(format));
        size_t count = VALUES / format->block, bytes = count * format->bytes;
        double unit = 0.03 * 0x1p-8 / synth_blocks_deviation(format), sum = 0, squares = 0;
        synth_blocks_fill(format, 5, unit, blocks[0], count);
        format->decode(blocks[0], values, VALUES);
        for (size_t v = 0; v < VALUES; v++) {
            sum += (double)values[v];
            squares += (double)values[v] * (double)values[v];
        }
        double deviation = sqrt(squares / VALUES);
        if (!(fabs(deviation - 0.03) < 0.003 && fabs(sum / VALUES) < 0.004))
            fail_msg("%s: mean %g, deviation %g", format->name, sum / VALUES, deviation);
        synth_blocks_fill(format, 5, unit, blocks[1], count);
        assert_memory_equal(blocks[0], blocks[1], bytes);
        synth_blocks_fill(format, 6, unit, blocks[1], count);
        assert_memory_not_equal(blocks[0], blocks[1], bytes);
    }
    assert_true(synth_blocks_can(&quant_format_Q6_K));
    assert_false(synth_blocks_can(&quant_format_TQ1_0));
}

static void assert_same_file(const char *one, const char *other, bool same)
{
    size_t sizes[2];
    unsigned char *a = read_file(in_folder(one), &sizes[0]), *b = read_file(in_folder(other), &sizes[1]);
    assert_int_equal(sizes[0] == sizes[1] && memcmp(a, b, sizes[0]) == 0, same);
    free(a);
    free(b);
}

static void files_depend_on_the_seed_alone(void **state)
{
    (void)state;
    mote_synth_options options = small();
    make("a", &options);
    options.threads = 5;
    make("b", &options);
    options.seed = 1;
    make("c", &options);
    assert_same_file("a", "b", true);
    assert_same_file("a", "c", false);
}

/* ------------------------------------------------------------------------------------------------------------- running */

static mote_model *opened(const char *name)
{
    mote_model *it;
    mote_error error;
    if (mote_model_open(&it, in_folder(name), NULL, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    return it;
}

static void logits_are_of_order_one(void **state)
{
    (void)state;
    mote_synth_options options = small();
    mote_engine *engine;
    mote_session *session;
    mote_model_info info;
    mote_engine_options machine;
    make("a", &options);
    mote_model *it = opened("a");
    mote_model_describe(it, &info);
    mote_engine_options_init(&machine);
    machine.context = 64;
    machine.threads = 2;
    assert_int_equal(mote_engine_open(&engine, it, &machine, NULL), MOTE_OK);
    assert_int_equal(mote_session_open(&session, engine, NULL), MOTE_OK);
    float *logits = malloc(info.vocabulary * sizeof *logits);
    assert_non_null(logits);
    static const mote_token ids[] = {1, 1000, 40000};
    mote_work work = {session, ids, 3, logits, 1};
    assert_int_equal(mote_engine_step(engine, &work, 1, NULL), MOTE_OK);
    double squares = 0;
    for (size_t i = 0; i < info.vocabulary; i++)
        squares += (double)logits[i] * (double)logits[i];
    double deviation = sqrt(squares / info.vocabulary);
    assert_true(deviation > 0.2 && deviation < 5); /* false of a NaN */
    free(logits);
    mote_session_close(session);
    mote_engine_close(engine);
    mote_model_close(it);
}

static void text_survives_the_vocabulary(void **state)
{
    (void)state;
    static const char text[] = "The quick brown fox, 1234 \xc3\x9f \xe6\x97\xa5\xe6\x9c\xac\n\n  <|im_start|> end";
    static const char *const models[] = {"smollm2-135m", "gemma3-270m", "qwen2.5-0.5b"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        mote_synth_options options = small();
        options.model = models[i];
        make("a", &options);
        mote_model *it = opened("a");
        mote_detokenizer *words;
        mote_ids ids = {0};
        char back[200];
        size_t length = 0, part;
        assert_int_equal(mote_tokenize(it, text, sizeof text - 1, 0, &ids, NULL), MOTE_OK);
        assert_true(ids.count < sizeof text - 1); /* there are merges */
        assert_int_equal(mote_detokenizer_open(&words, it, false, NULL), MOTE_OK);
        for (size_t t = 0; t < ids.count; t++) {
            const char *piece = mote_detokenizer_push(words, ids.at[t], &part);
            assert_true(length + part < sizeof back);
            memcpy(back + length, piece, part);
            length += part;
        }
        assert_int_equal(length, sizeof text - 1);
        assert_memory_equal(back, text, length);
        mote_ids_free(&ids);
        mote_detokenizer_close(words);
        mote_model_close(it);
        unlink(in_folder("a"));
    }
}

/* ------------------------------------------------------------------------------------------------------------ refusals */

static bool stop_at_half(void *user, double done)
{
    *(double *)user = done;
    return done < 0.5;
}

static void expect_refused(const mote_synth_options *options, mote_status status, const char *words)
{
    mote_error error = {0};
    assert_int_equal(mote_synth(in_folder("a"), options, &error), status);
    assert_says(error, words);
    assert_int_equal(folder_count(), 0);
}

static void wrong_names_are_answered_with_the_list(void **state)
{
    (void)state;
    mote_synth_info info;
    mote_synth_options options = small();
    options.model = "gpt-5";
    expect_refused(&options, MOTE_E_ARGUMENT, "there is no model \"gpt-5\"; choose one of smollm2-135m, ");
    assert_int_equal(mote_synth_plan(&options, &info, NULL), MOTE_E_ARGUMENT);
    assert_int_equal(info.weight_bytes, 0);
    options.model = NULL;
    expect_refused(&options, MOTE_E_ARGUMENT, "no model is named");
    options = small();
    options.type = "Q4_0";
    expect_refused(&options, MOTE_E_ARGUMENT, "there is no type \"Q4_0\"; choose one of q4_0, ");
    options = small();
    options.layers = 31;
    expect_refused(&options, MOTE_E_ARGUMENT, "smollm2-135m has 30 layers, not 31");
}

static void stopping_leaves_nothing(void **state)
{
    (void)state;
    double done = 0;
    mote_synth_options options = small();
    options.progress = stop_at_half;
    options.user = &done;
    expect_refused(&options, MOTE_E_CANCELLED, "nothing is written");
    assert_true(done >= 0.5 && done < 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_the_published_ones),
        cmocka_unit_test(q4_0_files_have_the_usual_size),
        cmocka_unit_test(formats_are_a_quantizer_s),
        cmocka_unit_test(weights_have_the_deviation_asked_for),
        TEST(files_depend_on_the_seed_alone),
        TEST(logits_are_of_order_one),
        TEST(text_survives_the_vocabulary),
        TEST(wrong_names_are_answered_with_the_list),
        TEST(stopping_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
