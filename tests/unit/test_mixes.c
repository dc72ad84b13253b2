/* Types of files: what each tensor gets, and how tensors are named by patterns. */
#include <stdlib.h>

#include "assert_says.h"

#include "prepare/mixes.h"
#include "prepare/name_pattern.h"

static gguf_tensor tensor(const char *name, size_t columns)
{
    return (gguf_tensor){.name = name, .dimensions = 2, .shape = {columns, 512, 1, 1}};
}

static void expect(const char *type, const mix_model *model, const char *name, size_t columns, const char *format)
{
    bool smaller = false;
    gguf_tensor t = tensor(name, columns);
    const mix *m = mix_find(type);
    assert_non_null(m);
    assert_string_equal(mix_format(m, model, &t, &smaller)->name, format);
}

static void names(void **state)
{
    (void)state;
    for (size_t i = 0; mix_at(i) != NULL; i++)
        assert_ptr_equal(mix_find(mix_name(mix_at(i))), mix_at(i));
    assert_ptr_equal(mix_find("Q4_K_M"), mix_find("q4_k_m"));
    assert_ptr_equal(mix_find("q4_k"), mix_find("q4_k_m"));
    assert_int_equal(mix_number(mix_find("q4_k_m")), 15);
    assert_int_equal(mix_number(mix_find("iq4_xs")), 30);
    static const char *const none[] = {"", "q", "q4_k_", "q4_k_m ", "q9_0", "iq2_xxs", "tq1_0"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(mix_find(none[i]));
}

/* As llama.cpp's quantizer does for 32 layers: the first four and the last four, and 6, 9 … 27 are finer. */
static void mixes_are_finer_where_they_should_be(void **state)
{
    (void)state;
    const mix_model model = {.layers = 32};
    expect("q4_k_m", &model, "blk.0.ffn_down.weight", 1024, "Q6_K");
    expect("q4_k_m", &model, "blk.3.attn_v.weight", 1024, "Q6_K");
    expect("q4_k_m", &model, "blk.4.attn_v.weight", 1024, "Q4_K");
    expect("q4_k_m", &model, "blk.6.ffn_down.weight", 1024, "Q6_K");
    expect("q4_k_m", &model, "blk.28.ffn_down.weight", 1024, "Q6_K");
    expect("q4_k_m", &model, "blk.28.ffn_up.weight", 1024, "Q4_K");
    expect("q4_k_m", &model, "blk.9.attn_qkv.weight", 1024, "Q5_K");
    expect("q4_k_s", &model, "blk.3.attn_v.weight", 1024, "Q5_K");
    expect("q4_k_s", &model, "blk.4.attn_v.weight", 1024, "Q4_K");
    expect("q3_k_m", &model, "blk.1.ffn_down.weight", 1024, "Q5_K");
    expect("q3_k_m", &model, "blk.2.ffn_down.weight", 1024, "Q4_K");
    expect("q3_k_m", &model, "blk.2.attn_q.weight", 1024, "Q3_K");
    expect("q2_k", &model, "blk.2.attn_output.weight", 1024, "Q3_K");
    expect("q4_0", &model, "blk.0.ffn_down.weight", 1024, "Q4_0");
    expect("f16", &model, "output.weight", 1024, "F16");
}

static void models_matter(void **state)
{
    (void)state;
    const mix_model plain = {.layers = 16}, tied = {.layers = 16, .tied = true};
    const mix_model shared = {.layers = 16, .shared_heads = true}, guided = {.layers = 16, .guided = true};
    expect("q4_0", &plain, "token_embd.weight", 1024, "Q4_0");
    expect("q4_0", &tied, "token_embd.weight", 1024, "Q6_K");
    expect("q4_0", &plain, "output.weight", 1024, "Q6_K");
    expect("q8_0", &plain, "output.weight", 1024, "Q8_0");
    expect("q2_k", &plain, "blk.5.attn_v.weight", 1024, "Q3_K");
    expect("q2_k", &shared, "blk.5.attn_v.weight", 1024, "Q4_K");
    expect("iq4_xs", &plain, "blk.0.ffn_down.weight", 1024, "Q5_K");
    expect("iq4_xs", &guided, "blk.0.ffn_down.weight", 1024, "IQ4_XS");
    expect("q4_0", &guided, "blk.1.ffn_down.weight", 1024, "Q4_1");
    expect("q4_0", &guided, "blk.2.ffn_down.weight", 1024, "Q4_0");
}

/* Rows of 576 (SmolLM2) and of 33, and names that only look like a layer's. */
static void odd_shapes_and_names(void **state)
{
    (void)state;
    const mix_model model = {.layers = 30, .tied = true};
    expect("q4_k_m", &model, "blk.5.attn_q.weight", 576, "Q5_0");
    expect("q5_k_s", &model, "blk.5.attn_q.weight", 576, "Q5_1");
    expect("q6_k", &model, "blk.5.attn_q.weight", 576, "Q8_0");
    expect("iq4_xs", &model, "blk.5.attn_q.weight", 576, "IQ4_NL");
    expect("q3_k_s", &model, "blk.5.attn_q.weight", 576, "Q4_0");
    expect("q4_k_m", &model, "token_embd.weight", 576, "Q8_0");
    expect("q4_0", &model, "blk.5.attn_q.weight", 33, "F16");
    expect("q3_k_m", &model, "blk..attn_v.weight", 256, "Q5_K");
    expect("q3_k_m", &model, "blk.99999999999999999999.attn_v.weight", 256, "Q4_K");
    expect("q3_k_m", &model, "blk.7", 256, "Q3_K");
    gguf_tensor t = tensor("blk.0.attn_norm.weight", 256);
    assert_false(mix_takes(&t));
    t = tensor("blk.0.attn_q.bias", 256);
    assert_false(mix_takes(&t));
    t = tensor("weight", 256);
    assert_false(mix_takes(&t));
    t = tensor("blk.0.ffn_up.weight", 256);
    assert_true(mix_takes(&t));
    t.dimensions = 1;
    assert_false(mix_takes(&t));
}

static void patterns(void **state)
{
    (void)state;
    assert_true(name_matches("blk.*.ffn_down", "blk.17.ffn_down"));
    assert_true(name_matches("*", ""));
    assert_true(name_matches("", ""));
    assert_true(name_matches("**a**", "a"));
    assert_true(name_matches("blk.?.x", "blk.1.x"));
    assert_true(name_matches("*ab*abc", "abababc"));
    assert_false(name_matches("", "a"));
    assert_false(name_matches("?", ""));
    assert_false(name_matches("blk.?.x", "blk.10.x"));
    assert_false(name_matches("blk.*.ffn_down", "blk.1.ffn_down.weight"));
    assert_false(name_matches("*ab", "aba"));
    /* what takes a careless matcher longer than the universe has */
    assert_false(
        name_matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b",
                     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),         cmocka_unit_test(mixes_are_finer_where_they_should_be),
        cmocka_unit_test(models_matter), cmocka_unit_test(odd_shapes_and_names),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
