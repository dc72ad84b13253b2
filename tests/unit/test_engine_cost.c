/* What a forward pass costs at least, against the shapes written out; and sessions that go back. */
#include <stdlib.h>

#include "assert_says.h"

#include "kv_both.h"
#include "tiny_model.h"

enum { LAYERS = 6, WIDTH = 48, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 16, FFN = 64, VOCABULARY = 61, WINDOW = 8 };

/* Of one layer: q and output, k and v, the three of the MLP. */
enum { LAYER_WEIGHTS = 2 * WIDTH * HEADS * HEAD_DIM + 2 * WIDTH * KV_HEADS * HEAD_DIM + 3 * WIDTH * FFN };

static const tiny_model SPEC = {.layers = LAYERS,
                                .width = WIDTH,
                                .heads = HEADS,
                                .kv_heads = KV_HEADS,
                                .head_dim = HEAD_DIM,
                                .ffn = FFN,
                                .vocabulary = VOCABULARY,
                                .context = 1024,
                                .seed = 9};

typedef struct running {
    void *data;
    mote_model *model;
    mote_engine *engine;
    mote_session *session;
} running;

static running run_model(tiny_model spec, const char *family, mote_engine_options options)
{
    running r;
    mote_error error = {0};
    spec.family = family;
    r.model = tiny_model_open(&spec, &r.data);
    if (mote_engine_open(&r.engine, r.model, &options, &error) || mote_session_open(&r.session, r.engine, &error))
        fail_msg("%s", error.text);
    return r;
}

static void end(running *r)
{
    mote_session_close(r->session);
    mote_engine_close(r->engine);
    mote_model_close(r->model);
    free(r->data);
}

static mote_engine_cost cost_at(const running *r, size_t depth)
{
    mote_engine_cost cost;
    mote_engine_cost_at(r->engine, depth, &cost);
    return cost;
}

static void test_tied_head_is_read_once(void **state)
{
    (void)state;
    running r = run_model(SPEC, "llama", (mote_engine_options){0});
    mote_engine_cost cost = cost_at(&r, 0);
    assert_int_equal(cost.weight_bytes, (LAYERS * LAYER_WEIGHTS + VOCABULARY * WIDTH) * sizeof(float));
    assert_int_equal(cost.layer_operations, 2 * LAYERS * LAYER_WEIGHTS);
    assert_int_equal(cost.head_operations, 2 * VOCABULARY * WIDTH);
    end(&r);
}

static void test_untied_embedding_is_not_read(void **state)
{
    (void)state;
    tiny_model spec = SPEC;
    spec.untied = true;
    running r = run_model(spec, "llama", (mote_engine_options){0});
    assert_int_equal(cost_at(&r, 0).weight_bytes, (LAYERS * LAYER_WEIGHTS + VOCABULARY * WIDTH) * sizeof(float));
    end(&r);
}

/* 4.5 bits a weight, wherever the weights lie: packed, rows are rounded up to whole panels. */
static void test_quantised_weights(void **state)
{
    (void)state;
    tiny_model spec = SPEC;
    spec.width = HEADS * HEAD_DIM; /* whole blocks of 32 */
    spec.formats = (quant_type[]){QUANT_Q4_0};
    spec.format_count = 1;
    running r = run_model(spec, "llama", (mote_engine_options){0});
    mote_engine_cost cost = cost_at(&r, 0);
    uint64_t exact = (cost.layer_operations + cost.head_operations) / 2 * 18 / 32;
    assert_in_range(cost.weight_bytes, exact, exact + 15 * spec.width * 18 / 32);
    end(&r);
}

static void test_kv_grows_with_depth(void **state)
{
    (void)state;
    const uint64_t position = LAYERS * KV_HEADS * HEAD_DIM * 2 * sizeof(uint16_t);
    running r = run_model(SPEC, "llama", (mote_engine_options){0});
    assert_int_equal(cost_at(&r, 0).kv_bytes, position);
    assert_int_equal(cost_at(&r, 99).kv_bytes, 100 * position);
    end(&r);
    r = run_model(SPEC, "llama", (mote_engine_options){KV_BOTH(MOTE_KV_F32)});
    assert_int_equal(cost_at(&r, 99).kv_bytes, 200 * position);
    end(&r);
}

/* Five layers of Gemma's six see no further than the window. */
static void test_windows_bound_it(void **state)
{
    (void)state;
    const uint64_t one = KV_HEADS * HEAD_DIM * 2 * sizeof(uint16_t);
    tiny_model spec = SPEC;
    spec.window = WINDOW;
    running r = run_model(spec, "gemma3", (mote_engine_options){0});
    assert_int_equal(cost_at(&r, WINDOW - 2).kv_bytes, LAYERS * (WINDOW - 1) * one);
    assert_int_equal(cost_at(&r, WINDOW - 1).kv_bytes, LAYERS * WINDOW * one);
    assert_int_equal(cost_at(&r, 99).kv_bytes, (5 * WINDOW + 100) * one);
    end(&r);
}

static void append(running *r, size_t begin, size_t count, float *logits)
{
    mote_token ids[700];
    mote_error error = {0};
    for (size_t i = 0; i < count; i++)
        ids[i] = (mote_token)((begin + i) * 29 % VOCABULARY);
    mote_work work = {r->session, ids, count, logits, logits != NULL};
    if (mote_engine_step(r->engine, &work, 1, &error) != MOTE_OK)
        fail_msg("%s", error.text);
}

static void test_rewound_sessions_continue_alike(void **state)
{
    (void)state;
    float first[VOCABULARY], again[VOCABULARY];
    running r = run_model(SPEC, "llama", (mote_engine_options){0});
    append(&r, 0, 20, NULL);
    append(&r, 20, 1, first);
    append(&r, 50, 60, NULL);
    assert_int_equal(mote_session_rewind(r.session, 20), 20);
    assert_int_equal(mote_session_length(r.session), 20);
    append(&r, 20, 1, again);
    assert_memory_equal(first, again, sizeof first);
    end(&r);
}

static void test_rewinding_never_lengthens(void **state)
{
    (void)state;
    running r = run_model(SPEC, "llama", (mote_engine_options){0});
    assert_int_equal(mote_session_rewind(r.session, 5), 0);
    append(&r, 0, 20, NULL);
    assert_int_equal(mote_session_rewind(r.session, SIZE_MAX), 20);
    assert_int_equal(mote_session_rewind(r.session, 0), 0);
    assert_int_equal(mote_session_rewind(r.session, 20), 0);
    end(&r);
}

/* A ring of window + batch − 1 cells: what has been overwritten cannot be gone back to, and the caller is told. */
static void test_windows_that_moved_on(void **state)
{
    (void)state;
    tiny_model spec = SPEC;
    spec.window = WINDOW;
    running r = run_model(spec, "gemma3", (mote_engine_options){.batch = 4});
    append(&r, 0, 700, NULL);
    assert_int_equal(mote_session_rewind(r.session, 698), 698);
    assert_int_equal(mote_session_rewind(r.session, 20), 0);
    assert_int_equal(mote_session_length(r.session), 0);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tied_head_is_read_once),    cmocka_unit_test(test_untied_embedding_is_not_read),
        cmocka_unit_test(test_quantised_weights),         cmocka_unit_test(test_kv_grows_with_depth),
        cmocka_unit_test(test_windows_bound_it),          cmocka_unit_test(test_rewound_sessions_continue_alike),
        cmocka_unit_test(test_rewinding_never_lengthens), cmocka_unit_test(test_windows_that_moved_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
