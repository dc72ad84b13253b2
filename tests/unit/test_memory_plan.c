/* The planner: what it foresees is what an engine takes; within a budget the choice follows the written order; what cannot
 * fit is refused with figures and the nearest thing that would; a limit of the system is one too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "engine_case.h"
#include "kv_both.h"

#include <cmocka.h>

/* KV and activations dwarf the weights here, so that every step of the order shows. */
static const tiny_model WIDE = {.family = "qwen3",
                                .layers = 4,
                                .width = 256,
                                .heads = 8,
                                .kv_heads = 4,
                                .head_dim = 64,
                                .ffn = 1024,
                                .vocabulary = VOCABULARY,
                                .context = 32768,
                                .seed = 3};

typedef struct file {
    void *data;
    size_t size;
} file;

static int make_file(void **state)
{
    static file f;
    f.data = tiny_model_build(&WIDE, &f.size);
    *state = &f;
    return 0;
}

static int free_file(void **state)
{
    free(((file *)*state)->data);
    return 0;
}

static mote_status plan(const file *f, mote_engine_options options, mote_memory_plan *out, mote_error *error)
{
    const mote_model_options model = {.data = f->data, .size = f->size};
    options.threads = options.threads != 0 ? options.threads : 1;
    return mote_plan_memory(out, NULL, &model, &options, error);
}

static mote_memory_plan plan_well(const file *f, mote_engine_options options)
{
    mote_memory_plan out;
    mote_error error = {0};
    if (plan(f, options, &out, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    assert_true(out.fits && out.peak <= out.budget);
    return out;
}

/* Budgets below are given without the program's own part: a sanitizer makes the process larger from one plan to the next,
 * by whole steps of what a plan says of it. So this plans again until the plan had the part that was added for it. */
enum { TRIES = 16 };

static mote_status plan_within(const file *f, uint64_t rest, mote_engine_options wish, mote_memory_plan *out,
                               mote_error *error)
{
    uint64_t program = 0;
    for (size_t i = 0; i < TRIES; i++) {
        wish.memory = rest + program;
        mote_status status = plan(f, wish, out, error);
        if (out->program == program)
            return status;
        program = out->program;
    }
    fail_msg("the process grows with every plan");
    return MOTE_E_MEMORY;
}

static mote_memory_plan plan_well_within(const file *f, uint64_t rest, mote_engine_options wish)
{
    mote_memory_plan out;
    mote_error error = {0};
    if (plan_within(f, rest, wish, &out, &error) != MOTE_OK)
        fail_msg("%s", error.text);
    assert_true(out.fits && out.peak <= out.budget);
    return out;
}

static uint64_t rest_of(const file *f, uint32_t context, uint32_t batch, mote_kv_type kv)
{
    mote_memory_plan p = plan_well(f, (mote_engine_options){.context = context, .batch = batch, KV_BOTH(kv)});
    return p.peak - p.program;
}

static void parts_add_up(void **state)
{
    mote_memory_plan p = plan_well(*state, (mote_engine_options){.context = 4096, .sessions = 3});
    assert_int_equal(p.peak, p.weights + p.kv_bytes + p.activations + p.tokenizer + p.program);
    assert_int_equal(p.context, 4096);
    assert_int_equal(p.sessions, 3);
    assert_int_equal(p.batch, 256);
    assert_int_equal(p.kv_keys, MOTE_KV_F16);
    assert_in_range(p.kv_bytes, 3 * 4 * 4096 * 4 * 64 * 2 * 2, 3 * 4 * 4096 * 4 * 64 * 2 * 2 + 65536); /* books */
    assert_true(p.weights < 1 << 20 && p.program >= ((file *)*state)->size); /* the file in memory was there before */
    assert_true(p.loading < p.peak && p.address_space > p.peak && p.data > p.kv_bytes);
    assert_int_equal(p.tokenizer, 0);
}

/* The engine's own figures are those of the plan, before and after the model is open. */
static void engines_take_what_was_planned(void **state)
{
    file *f = *state;
    const mote_model_options model_options = {.data = f->data, .size = f->size};
    mote_model *model;
    mote_memory_plan plans[3];
    const mote_engine_options all[] = {
        {.context = 1000, .threads = 2, KV_BOTH(MOTE_KV_F32)},
        {.context = 5000, .sessions = 2, .batch = 17, .threads = 1},
        {.threads = 1, KV_BOTH(MOTE_KV_Q8)},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        plans[i] = plan_well(f, all[i]);
    assert_int_equal(mote_model_open(&model, NULL, &model_options, NULL), MOTE_OK);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        mote_memory_plan p = plans[i];
        mote_engine *engine;
        mote_engine_info info;
        assert_int_equal(mote_engine_open(&engine, model, &all[i], NULL), MOTE_OK);
        mote_engine_describe(engine, &info);
        assert_int_equal(info.context, p.context);
        assert_int_equal(info.batch, p.batch);
        assert_int_equal(info.kv_keys, p.kv_keys);
        assert_int_equal(info.kv_values, p.kv_values);
        assert_int_equal(info.kv_bytes, p.kv_bytes);
        assert_true(info.scratch_bytes <= p.activations);
        mote_engine_close(engine);
    }
    mote_model_close(model);
}

/* A budget in the middle between two choices, since the process may be larger by now than the plan found it. */
static void engines_keep_to_a_budget(void **state)
{
    file *f = *state;
    const mote_model_options model_options = {.data = f->data, .size = f->size};
    uint64_t rest = (rest_of(f, 8192, 256, MOTE_KV_F16) + rest_of(f, 8192, 512, MOTE_KV_F16)) / 2;
    mote_memory_plan p = plan_well_within(f, rest, (mote_engine_options){.context = 8192, .batch = 512});
    mote_engine_options options = {.context = 8192, .batch = 512, .threads = 1, .memory = rest + p.program};
    mote_model *model;
    mote_engine *engine;
    mote_engine_info info;
    assert_int_equal(mote_model_open(&model, NULL, &model_options, NULL), MOTE_OK);
    assert_int_equal(mote_engine_open(&engine, model, &options, NULL), MOTE_OK);
    mote_engine_describe(engine, &info);
    assert_int_equal(info.batch, 256);
    assert_int_equal(info.kv_keys, MOTE_KV_F16);
    mote_engine_close(engine);
    mote_model_close(model);
}

static void expect_choice(const file *f, uint64_t rest, mote_engine_options wish, uint32_t context, uint32_t batch,
                          mote_kv_type kv)
{
    mote_memory_plan p = plan_well_within(f, rest, wish);
    assert_int_equal(p.kv_keys, kv);
    assert_int_equal(p.kv_values, kv);
    assert_int_equal(p.batch, batch);
    assert_int_equal(p.context, context);
}

/* First the batch, then the KV type with the largest batch that goes with it, last the context. */
static void the_order(void **state)
{
    file *f = *state;
    const uint32_t batches[] = {512, 256, 128, 64, 32, 16};
    for (size_t i = 0; i < 6; i++) {
        uint64_t rest = rest_of(f, 8192, batches[i], MOTE_KV_F16);
        expect_choice(f, rest, (mote_engine_options){.context = 8192, .batch = 512}, 8192, batches[i], MOTE_KV_F16);
    }
    uint64_t rest = rest_of(f, 8192, 16, MOTE_KV_F16) - 1;
    expect_choice(f, rest, (mote_engine_options){.context = 8192}, 8192, 256, MOTE_KV_Q8);
    expect_choice(f, rest, (mote_engine_options){.context = 8192, .batch = 100}, 8192, 100, MOTE_KV_Q8);
    rest = rest_of(f, 8192, 64, MOTE_KV_Q8);
    expect_choice(f, rest, (mote_engine_options){.context = 8192}, 8192, 64, MOTE_KV_Q8);
    rest = rest_of(f, 8192, 16, MOTE_KV_Q8) - 1;
    mote_memory_plan p = plan_well_within(f, rest, (mote_engine_options){.context = 8192});
    assert_int_equal(p.kv_keys, MOTE_KV_Q4); /* they lose less by it than values */
    assert_int_equal(p.kv_values, MOTE_KV_Q8);
    rest = rest_of(f, 4096, 16, MOTE_KV_Q4) - 1; /* 4096 is the default, not a wish */
    p = plan_well_within(f, rest, (mote_engine_options){0});
    assert_true(p.context < 4096 && p.context % 256 == 0 && p.context >= 2048);
    assert_int_equal(p.kv_keys, MOTE_KV_Q4);
}

static void what_was_wished_stays(void **state)
{
    file *f = *state;
    uint64_t rest = rest_of(f, 8192, 16, MOTE_KV_F16) - 1;
    mote_memory_plan p;
    mote_error error = {0};
    assert_int_equal(plan_within(f, rest, (mote_engine_options){.context = 8192, KV_BOTH(MOTE_KV_F16)}, &p, &error),
                     MOTE_E_MEMORY);
    assert_false(p.fits);
    assert_int_equal(p.context, 8192);
    assert_int_equal(p.kv_keys, MOTE_KV_F16);
    assert_int_equal(p.kv_keys_fit, MOTE_KV_Q8);
    assert_true(p.context_fits >= 7000 && p.context_fits < 8192);
    expect_sentence(&error, MOTE_E_MEMORY, "--kv q8");
    /* Without a wish for a type, the context alone is what could give way. */
    rest = rest_of(f, 8192, 16, MOTE_KV_Q4) - 1;
    assert_int_equal(plan_within(f, rest, (mote_engine_options){.context = 8192}, &p, &error), MOTE_E_MEMORY);
    char advice[32];
    snprintf(advice, sizeof advice, "--ctx %u)", p.context_fits);
    expect_sentence(&error, MOTE_E_MEMORY, advice);
    mote_engine_options smaller = {.context = p.context_fits};
    p = plan_well_within(f, rest, smaller);
    assert_int_equal(p.context, smaller.context);
    assert_int_equal(p.kv_values, MOTE_KV_Q4);
}

static void what_never_fits(void **state)
{
    file *f = *state;
    mote_memory_plan p;
    mote_error error = {0};
    const uint64_t budgets[] = {1, 4096, 5 << 20};
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        assert_int_equal(plan(f, (mote_engine_options){.memory = budgets[i]}, &p, &error), MOTE_E_MEMORY);
        assert_int_equal(p.context_fits, 0);
        char needs[32];
        snprintf(needs, sizeof needs, "--memory %lluM", (unsigned long long)((p.peak >> 20) + 1));
        expect_sentence(&error, MOTE_E_MEMORY, needs);
        expect_sentence(&error, MOTE_E_MEMORY, "weights ");
        /* And it is true: so much is enough. */
        plan_well_within(f, (((p.peak >> 20) + 1) << 20) - p.program, (mote_engine_options){0});
    }
    assert_int_equal(
        plan(f, (mote_engine_options){.context = 32768, .sessions = 256, .memory = UINT64_C(1) << 30}, &p, &error),
        MOTE_E_MEMORY);
    expect_sentence(&error, MOTE_E_MEMORY, "32768");
}

/* An engine is refused by the same rule, however its model came to be open. */
static void engines_are_refused(void **state)
{
    file *f = *state;
    const mote_model_options model_options = {.data = f->data, .size = f->size};
    mote_model *model;
    mote_engine *engine = NULL;
    mote_error error = {0};
    const mote_engine_options half = {.context = 8192, .batch = 32, KV_BOTH(MOTE_KV_Q8)};
    const mote_engine_options options = {.context = 16384, .memory = plan_well(f, half).peak, .threads = 1};
    assert_int_equal(mote_model_open(&model, NULL, &model_options, NULL), MOTE_OK);
    assert_int_equal(mote_engine_open(&engine, model, &options, &error), MOTE_E_MEMORY);
    assert_null(engine);
    expect_sentence(&error, MOTE_E_MEMORY, "--ctx");
    mote_model_close(model);
}

static void limits_of_the_system(void **state)
{
    file *f = *state;
    struct rlimit before, lower;
    mote_memory_plan p = plan_well(f, (mote_engine_options){.context = 16384, KV_BOTH(MOTE_KV_F16)}), refused;
    mote_error error = {0};
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    lower = before;
    lower.rlim_cur = (rlim_t)(p.data - p.data / 10);
    if (p.address_space > UINT64_C(1) << 40 || setrlimit(RLIMIT_DATA, &lower) != 0)
        skip(); /* a sanitizer's */
    mote_status status =
        plan(f, (mote_engine_options){.context = 16384, KV_BOTH(MOTE_KV_F16), .memory = p.peak * 2}, &refused, &error);
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    assert_int_equal(status, MOTE_E_MEMORY);
    expect_sentence(&error, MOTE_E_MEMORY, "ulimit -d");
}

static void bad_wishes(void **state)
{
    static const struct {
        mote_engine_options options;
        const char *word;
    } BAD[] = {{{.context = 32769}, "32768"}, {{.batch = 100000}, "batch"}, {{KV_BOTH((mote_kv_type)17)}, "KV"}};
    mote_memory_plan p;
    mote_error error = {0};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        assert_int_equal(plan(*state, BAD[i].options, &p, &error), MOTE_E_ARGUMENT);
        expect_sentence(&error, MOTE_E_ARGUMENT, BAD[i].word);
        assert_false(p.fits);
    }
    assert_int_equal(mote_plan_memory(&p, "/nonexistent", NULL, NULL, &error), MOTE_E_IO);
    file cut = *(file *)*state;
    cut.size /= 2;
    assert_int_equal(plan(&cut, (mote_engine_options){0}, &p, &error), MOTE_E_FORMAT);
    assert_int_equal(mote_plan_memory(&p, NULL, NULL, NULL, &error), MOTE_OK); /* the built-in model */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(engines_take_what_was_planned),
        cmocka_unit_test(engines_keep_to_a_budget),
        cmocka_unit_test(the_order),
        cmocka_unit_test(what_was_wished_stays),
        cmocka_unit_test(what_never_fits),
        cmocka_unit_test(engines_are_refused),
        cmocka_unit_test(limits_of_the_system),
        cmocka_unit_test(bad_wishes),
    };
    return cmocka_run_group_tests(tests, make_file, free_file);
}
