/* The knapsack behind `mote quantize --size`, against an exhaustive search and its own bound. */
#include <math.h>
#include <stdlib.h>

#include "assert_says.h"
#include "prepare/size_plan.h"

enum { MOST_ITEMS = 7, MOST_CHOICES = 5 };

typedef struct problem {
    size_choice choice[MOST_ITEMS][MOST_CHOICES];
    size_item item[MOST_ITEMS];
    size_t count;
} problem;

static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

static void make(problem *p, uint64_t seed, bool alike)
{
    uint64_t state = seed;
    p->count = 1 + draw(&state, MOST_ITEMS);
    for (size_t i = 0; i < p->count; i++) {
        p->item[i] = (size_item){p->choice[i], 1 + draw(&state, MOST_CHOICES)};
        for (size_t j = 0; j < p->item[i].count; j++)
            p->choice[i][j] = (size_choice){32 * (1 + draw(&state, alike ? 4 : 1000)),
                                            alike ? (double)draw(&state, 4) : (double)draw(&state, 100000) / 997};
    }
}

/* The least loss within `most`; infinite: nothing fits. */
static double search(const problem *p, uint64_t most)
{
    size_t at[MOST_ITEMS] = {0};
    double best = INFINITY;
    for (;;) {
        uint64_t bytes = 0;
        double loss = 0;
        for (size_t i = 0; i < p->count; i++) {
            bytes += p->choice[i][at[i]].bytes;
            loss += p->choice[i][at[i]].loss;
        }
        if (bytes <= most && loss < best)
            best = loss;
        size_t i = 0;
        while (i < p->count && ++at[i] == p->item[i].count)
            at[i++] = 0;
        if (i == p->count)
            return best;
    }
}

static void check_answer(const problem *p, const size_plan *plan, const size_t *chosen, uint64_t most)
{
    uint64_t bytes = 0;
    double loss = 0;
    for (size_t i = 0; i < p->count; i++) {
        assert_true(chosen[i] < p->item[i].count);
        bytes += p->choice[i][chosen[i]].bytes;
        loss += p->choice[i][chosen[i]].loss;
    }
    assert_true(bytes <= most);
    assert_int_equal(bytes, plan->bytes);
    assert_true(fabs(loss - plan->loss) < 1e-9);
    assert_true(plan->bound <= plan->loss);
}

static void check_random(bool alike)
{
    problem p;
    size_plan plan;
    mote_error error;
    size_t chosen[MOST_ITEMS];
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        make(&p, seed, alike);
        uint64_t least, state = seed ^ 77;
        assert_int_equal(size_plan_least(&least, p.item, p.count, &error), MOTE_OK);
        uint64_t most = least + draw(&state, (alike ? 128u : 19200u) * p.count);
        assert_int_equal(size_plan_solve(&plan, chosen, p.item, p.count, most, &error), MOTE_OK);
        check_answer(&p, &plan, chosen, most);
        assert_true(fabs(plan.loss - search(&p, most)) < 1e-9);
        assert_true(plan.loss - plan.bound < 1e-9); /* and it knows that it is the best */
        if (least > 0)
            assert_int_equal(size_plan_solve(&plan, chosen, p.item, p.count, least - 1, &error), MOTE_E_LIMIT);
    }
}

static void the_answer_is_that_of_an_exhaustive_search(void **state)
{
    (void)state;
    check_random(false);
}

static void many_equal_sizes_and_losses_are_no_trouble(void **state)
{
    (void)state;
    check_random(true);
}

/* The formats of a model with 30 layers of seven matrices and an embedding: bits a weight against errors that fall by four
 * for each bit, and sensitivities that differ by a factor of ten. */
static void a_models_plan_is_within_a_hundredth_of_the_best(void **state)
{
    (void)state;
    static const double bits[] = {2.625, 3.25, 3.4375, 4.25, 4.5, 5.5, 6.5625, 8.5, 16};
    enum { FORMATS = sizeof bits / sizeof *bits, TENSORS = 211 };
    static const uint64_t weights[] = {576 * 576, 192 * 576, 192 * 576, 576 * 576, 576 * 1536, 576 * 1536, 576 * 1536};
    static size_choice choice[TENSORS][FORMATS];
    size_item item[TENSORS];
    size_t chosen[TENSORS], again[TENSORS];
    size_plan plan;
    mote_error error;
    uint64_t random = 5;
    for (size_t i = 0; i < TENSORS; i++) {
        uint64_t count = i == 0 ? 49152 * 576 : weights[i % 7];
        double sensitivity = exp((double)draw(&random, 1000) / 400);
        for (size_t j = 0; j < FORMATS; j++)
            choice[i][j] = (size_choice){((uint64_t)((double)count * bits[j] / 8) + 31) / 32 * 32,
                                         sensitivity * pow(4, -bits[j]) * (1 + (double)draw(&random, 100) / 1000)};
        item[i] = (size_item){choice[i], FORMATS};
    }
    for (uint64_t most = 50000000; most <= 140000000; most += 7654321) {
        assert_int_equal(size_plan_solve(&plan, chosen, item, TENSORS, most, &error), MOTE_OK);
        assert_true(plan.bytes <= most);
        assert_true(plan.bytes > most - most / 100);
        assert_true(plan.loss - plan.bound <= plan.loss / 100);
        assert_int_equal(size_plan_solve(&plan, again, item, TENSORS, most, &error), MOTE_OK);
        assert_memory_equal(chosen, again, sizeof chosen);
    }
}

static void one_tensor_gets_the_best_that_fits(void **state)
{
    (void)state;
    const size_choice choice[] = {{640, 1}, {320, 8}, {480, 9}, {960, 0.5}, {640, 1}};
    const size_item item = {choice, 5};
    const struct {
        uint64_t most;
        size_t chosen;
    } cases[] = {{320, 1}, {500, 1}, {639, 1}, {640, 0}, {959, 0}, {960, 3}, {UINT64_MAX, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t chosen;
        size_plan plan;
        assert_int_equal(size_plan_solve(&plan, &chosen, &item, 1, cases[i].most, NULL), MOTE_OK);
        assert_int_equal(chosen, cases[i].chosen);
        assert_true(plan.bound <= plan.loss && plan.bound >= plan.loss - 1e-12);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    const size_choice huge[] = {{UINT64_MAX - 31, 0}, {32, 1}}, none[] = {{32, NAN}}, endless[] = {{32, INFINITY}};
    const size_choice negative[] = {{32, -1}};
    const size_item two[] = {{huge, 2}, {huge, 2}}, empty = {huge, 0}, many = {huge, SIZE_PLAN_MOST_CHOICES + 1};
    const size_item strange[] = {{none, 1}, {endless, 1}, {negative, 1}};
    size_t chosen[2];
    size_plan plan;
    mote_error error;
    assert_int_equal(size_plan_solve(&plan, chosen, two, 2, UINT64_MAX, &error), MOTE_E_ARGUMENT);
    assert_says(error, "more than a file can hold");
    assert_int_equal(size_plan_solve(&plan, chosen, two, 1, 31, &error), MOTE_E_LIMIT);
    assert_says(error, "take 32 bytes, which is more than 31");
    assert_int_equal(size_plan_solve(&plan, chosen, two, 1, UINT64_MAX, &error), MOTE_OK);
    assert_int_equal(chosen[0], 0);
    assert_int_equal(size_plan_solve(&plan, chosen, two, 0, 100, &error), MOTE_E_ARGUMENT);
    assert_int_equal(size_plan_solve(&plan, chosen, two, SIZE_PLAN_MOST_ITEMS + 1, 100, &error), MOTE_E_ARGUMENT);
    assert_int_equal(size_plan_solve(&plan, chosen, &empty, 1, 100, &error), MOTE_E_ARGUMENT);
    assert_int_equal(size_plan_solve(&plan, chosen, &many, 1, 100, &error), MOTE_E_ARGUMENT);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(size_plan_solve(&plan, chosen, &strange[i], 1, 100, &error), MOTE_E_ARGUMENT);
    assert_says(error, "no loss");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_that_of_an_exhaustive_search),
        cmocka_unit_test(many_equal_sizes_and_losses_are_no_trouble),
        cmocka_unit_test(a_models_plan_is_within_a_hundredth_of_the_best),
        cmocka_unit_test(one_tensor_gets_the_best_that_fits),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
