/* Loading models of unlikely shapes: what is sound runs, and gives the same numbers however it is cut; what is not is
 * refused by a sentence. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assert_says.h"
#include "gguf_writer.h"
#include "model/model.h"
#include "kv_both.h"
#include "tiny_model.h"

/* ---- shapes at the edge ---- */

enum { MOST_TOKENS = 12, MOST_VOCABULARY = 64 };

/* The last logits after `count` tokens, in batches of `batch`. */
static void run(mote_model *m, uint32_t context, size_t count, uint32_t batch, uint32_t threads, float *logits)
{
    mote_error error = {0};
    mote_engine *engine = NULL;
    mote_session *session = NULL;
    mote_engine_options options = {.context = context, .batch = batch, .threads = threads, KV_BOTH(MOTE_KV_F32)};
    if (mote_engine_open(&engine, m, &options, &error) != MOTE_OK ||
        mote_session_open(&session, engine, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    mote_model_info info;
    mote_model_describe(m, &info);
    mote_token ids[MOST_TOKENS];
    for (size_t i = 0; i < count; i++)
        ids[i] = (mote_token)(i * 7 % info.vocabulary);
    mote_work work = {session, ids, count, logits, 1};
    if (mote_engine_step(engine, &work, 1, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    assert_int_equal(mote_session_length(session), count);
    mote_session_close(session);
    mote_engine_close(engine);
}

static void runs(const tiny_model *spec)
{
    void *data;
    mote_model *m = tiny_model_open(spec, &data);
    size_t count = spec->context < MOST_TOKENS ? spec->context : MOST_TOKENS, bytes = spec->vocabulary * sizeof(float);
    float one[MOST_VOCABULARY], other[MOST_VOCABULARY];
    run(m, 0, count, 1, 1, one);
    for (uint32_t batch = 2; batch <= 4096; batch = batch < 8 ? batch + 1 : batch * 512) {
        run(m, 0, count, batch, 1 + batch % 3, other);
        if (memcmp(one, other, bytes) != 0)
            fail_msg("%s: a batch of %u gives other bits than single tokens", spec->family, batch);
    }
    mote_model_close(m);
    free(data);
}

static const tiny_model PLAIN = {.family = "llama",
                                 .layers = 2,
                                 .width = 32,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 8,
                                 .ffn = 32,
                                 .vocabulary = 40,
                                 .context = 64,
                                 .seed = 3};

static void edge_shapes(void **state)
{
    (void)state;
    static const char *const FAMILIES[] = {"llama", "qwen2", "qwen3", "gemma3", "phi3"};
    for (size_t i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++) {
        tiny_model spec = PLAIN;
        spec.family = FAMILIES[i];
        spec.window = 1; /* a token sees itself alone */
        runs(&spec);
        spec.window = 3;
        spec.layers = 7;
        runs(&spec);
        spec.window = 1u << 20; /* past the context */
        runs(&spec);
        spec = (tiny_model){FAMILIES[i], .layers = 1,     .width = 1,   .heads = 1,  .kv_heads = 1, .head_dim = 2,
                            .ffn = 1,    .vocabulary = 1, .context = 1, .window = 1, .seed = 4};
        runs(&spec);
        spec.context = 20;
        runs(&spec);
        spec.heads = spec.kv_heads = 256; /* every head with a cache of its own */
        spec.width = 3;
        spec.vocabulary = 5;
        runs(&spec);
        spec.kv_heads = 1; /* one cache for all of them */
        runs(&spec);
        spec.heads = 3;
        spec.head_dim = 1024;
        spec.ffn = 7;
        runs(&spec);
    }
}

/* ---- models that are refused ---- */

/* A model of one layer, with one thing wrong or more in it. */
typedef struct flaw {
    const char *key; /* this number is `value` */
    uint32_t value;
    const char *tensor; /* this tensor has the given shape, or is left out where rows are 0; new ones are added */
    size_t columns;
    size_t rows;
    mote_status status;
    const char *word;
} flaw;

static void put_number(gguf_writer *w, const flaw *f, const char *key, uint32_t value)
{
    gguf_add_u32(w, key, f->key != NULL && strcmp(f->key, key) == 0 ? f->value : value);
}

static void put_tensor(gguf_writer *w, const flaw *f, const char *name, size_t columns, size_t rows)
{
    bool changed = f->tensor != NULL && strcmp(f->tensor, name) == 0;
    size_t shape[] = {changed ? f->columns : columns, changed ? f->rows : rows};
    if (shape[1] > 0)
        gguf_add_tensor(w, name, QUANT_F32, shape[1] == 1 ? 1 : 2, shape, NULL);
}

enum { WIDTH = 8, FFN = 6, WORDS = 5 };

static const struct {
    const char *name;
    size_t columns;
    size_t rows;
} TENSORS[] = {
    {"token_embd.weight", WIDTH, WORDS},        {"output_norm.weight", WIDTH, 1},
    {"blk.0.attn_norm.weight", WIDTH, 1},       {"blk.0.attn_q.weight", WIDTH, WIDTH},
    {"blk.0.attn_k.weight", WIDTH, WIDTH},      {"blk.0.attn_v.weight", WIDTH, WIDTH},
    {"blk.0.attn_output.weight", WIDTH, WIDTH}, {"blk.0.ffn_norm.weight", WIDTH, 1},
    {"blk.0.ffn_gate.weight", WIDTH, FFN},      {"blk.0.ffn_up.weight", WIDTH, FFN},
    {"blk.0.ffn_down.weight", FFN, WIDTH},
};
enum { TENSOR_COUNT = sizeof TENSORS / sizeof *TENSORS };

static bool is_known(const char *tensor)
{
    for (size_t i = 0; i < TENSOR_COUNT; i++)
        if (strcmp(TENSORS[i].name, tensor) == 0)
            return true;
    return false;
}

static mote_status open_flawed(const flaw *f, mote_error *error)
{
    static const struct {
        const char *key;
        uint32_t value;
    } NUMBERS[] = {
        {"llama.block_count", 1},           {"llama.context_length", 16},        {"llama.embedding_length", WIDTH},
        {"llama.feed_forward_length", FFN}, {"llama.attention.head_count", 2},   {"llama.attention.head_count_kv", 2},
        {"llama.attention.key_length", 4},  {"llama.attention.value_length", 4}, {"llama.rope.dimension_count", 4},
    };
    gguf_writer w = {0};
    gguf_begin(&w, 3);
    gguf_add_text(&w, "general.architecture", "llama");
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
        put_number(&w, f, NUMBERS[i].key, NUMBERS[i].value);
    gguf_add_f32(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    for (size_t i = 0; i < TENSOR_COUNT; i++)
        put_tensor(&w, f, TENSORS[i].name, TENSORS[i].columns, TENSORS[i].rows);
    if (f->tensor != NULL && !is_known(f->tensor))
        put_tensor(&w, f, f->tensor, 0, 0);
    gguf_finish(&w);
    mote_model *m = (mote_model *)&w;
    mote_model_options options = {.data = w.at, .size = w.size};
    mote_status status = mote_model_open(&m, NULL, &options, error);
    if (status != MOTE_OK)
        assert_null(m);
    mote_model_close(m);
    gguf_writer_free(&w);
    return status;
}

static void refused(void **state)
{
    (void)state;
    static const flaw FLAWS[] = {
        {.key = "llama.block_count", .value = 0, .word = "block_count"},
        {.key = "llama.block_count", .value = 2, .word = "blk.1."},
        {.key = "llama.block_count", .value = UINT32_MAX, .word = "block_count"},
        {.key = "llama.context_length", .value = 0, .word = "context_length"},
        {.key = "llama.embedding_length", .value = 65537, .word = "embedding_length"},
        {.key = "llama.embedding_length", .value = 4, .word = "token_embd.weight"},
        {.key = "llama.attention.head_count", .value = 0, .word = "head_count"},
        {.key = "llama.attention.head_count", .value = 257, .word = "head_count"},
        {.key = "llama.attention.head_count", .value = 1, .word = "head_count_kv"},
        {.key = "llama.attention.head_count", .value = 3, .word = "multiple"},
        {.key = "llama.attention.head_count_kv", .value = 0, .word = "head_count_kv"},
        {.key = "llama.attention.head_count_kv", .value = 1, .word = "attn_k.weight"},
        {.key = "llama.attention.key_length", .value = 1025, .word = "key_length"},
        {.key = "llama.attention.value_length", .value = 8, .status = MOTE_E_UNSUPPORTED, .word = "value length 8"},
        {.key = "llama.rope.dimension_count", .value = 3, .word = "paired"},
        {.key = "llama.rope.dimension_count", .value = 6, .word = "dimension_count"},
        {.key = "llama.rope.dimension_count", .value = 0, .word = "dimension_count"},
        {.tensor = "token_embd.weight", .word = "token_embd.weight"},
        {.tensor = "output_norm.weight", .word = "output_norm.weight"},
        {.tensor = "output_norm.weight", .columns = WIDTH, .rows = 2, .word = "output_norm.weight"},
        {.tensor = "blk.0.ffn_down.weight", .columns = WIDTH, .rows = FFN, .word = "ffn_down.weight"},
        {.tensor = "output.weight", .columns = WIDTH, .rows = WORDS - 1, .word = "output.weight"},
        {.tensor = "rope_freqs.weight", .columns = 4, .rows = 1, .word = "rope_freqs.weight"},
        {.tensor = "blk.1.attn_norm.weight",
         .columns = WIDTH,
         .rows = 1,
         .status = MOTE_E_UNSUPPORTED,
         .word = "blk.1."},
        {.tensor = "blk.0.attn_q.bias", .columns = 8, .rows = 1, .status = MOTE_E_UNSUPPORTED, .word = "attn_q.bias"},
        /* Factors by length that nothing would choose by: left out, long prompts would read like noise. */
        {.tensor = "rope_factors_long.weight",
         .columns = 2,
         .rows = 1,
         .status = MOTE_E_UNSUPPORTED,
         .word = "rope_factors_long.weight"},
    };
    mote_error error = {0};
    assert_int_equal(open_flawed(&(flaw){0}, &error), MOTE_OK);
    for (size_t i = 0; i < sizeof FLAWS / sizeof *FLAWS; i++) {
        mote_status expected = FLAWS[i].status != MOTE_OK ? FLAWS[i].status : MOTE_E_FORMAT;
        mote_status status = open_flawed(&FLAWS[i], &error);
        if (status != expected)
            fail_msg("flaw %zu (%s): %s", i, FLAWS[i].word, status == MOTE_OK ? "it opens" : error.text);
        assert_says(error, FLAWS[i].word);
    }
}

/* What the metadata says of rope scaling; NULL and −1 stand for keys that are not there. */
static mote_status read_scaling(const char *type, float factor, float *scale, mote_error *error)
{
    gguf_writer w = {0};
    gguf_begin(&w, 3);
    gguf_add_text(&w, "general.architecture", "llama");
    const char *const counts[] = {"block_count", "context_length", "embedding_length", "feed_forward_length",
                                  "attention.head_count"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char key[64];
        snprintf(key, sizeof key, "llama.%s", counts[i]);
        gguf_add_u32(&w, key, i == 4 ? 1 : 8);
    }
    gguf_add_f32(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    if (type != NULL)
        gguf_add_text(&w, "llama.rope.scaling.type", type);
    if (factor >= 0)
        gguf_add_f32(&w, "llama.rope.scaling.factor", factor);
    gguf_finish(&w);
    gguf *file;
    model_config config = {.rope_scale = -1};
    assert_int_equal(gguf_open_memory(&file, w.at, w.size, "a file", error), MOTE_OK);
    mote_status status = model_read_config(&config, &family_llama, file, error);
    *scale = config.rope_scale;
    gguf_close(file);
    gguf_writer_free(&w);
    return status;
}

/* A factor without a type is linear, and zero means none: so files in use are read. */
static void rope_scaling(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        float factor, scale;
    } CASES[] = {{NULL, -1, 1}, {NULL, 8, 8}, {"linear", 8, 8}, {"linear", 0, 1}, {"none", 8, 1}, {"longrope", 8, 1}};
    mote_error error;
    float scale;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_int_equal(read_scaling(CASES[i].type, CASES[i].factor, &scale, &error), MOTE_OK);
        assert_true(scale == CASES[i].scale);
    }
    assert_int_equal(read_scaling("yarn", 4, &scale, &error), MOTE_E_UNSUPPORTED);
    assert_says(error, "\"yarn\"");
    assert_int_equal(read_scaling("linear", INFINITY, &scale, &error), MOTE_E_FORMAT);
    assert_says(error, "llama.rope.scaling.factor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edge_shapes),
        cmocka_unit_test(refused),
        cmocka_unit_test(rope_scaling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
