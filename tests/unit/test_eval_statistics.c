/* The figures of mote eval against sums written out by hand, and where numbers are hard: large logits, rows that are the
 * same, one value, none. */
#include <math.h>
#include <stdlib.h>

#include "assert_says.h"

#include "eval_statistics.h"

#define near(found, expected, tolerance) assert_true(fabs((found) - (expected)) <= (tolerance))

static struct series series_of(const double *values, size_t count)
{
    struct series series = {0};
    for (size_t i = 0; i < count; i++)
        assert_true(series_add(&series, values[i]));
    return series;
}

static void test_log_sum(void **state)
{
    (void)state;
    near(row_log_sum((const float[]){0, 0, 0, 0}, 4), log(4), 1e-12);
    near(row_log_sum((const float[]){1, 2, 3}, 3), log(exp(1) + exp(2) + exp(3)), 1e-7);
    near(row_log_sum((const float[]){-2}, 1), -2, 0);
    near(row_log_sum((const float[]){3e38f, -3e38f}, 2), (double)3e38f, 0); /* nothing overflows */
    near(row_log_sum((const float[]){5, -INFINITY}, 2), 5, 0);
    assert_true(isnan(row_log_sum((const float[]){1, NAN}, 2)) != 0);
    assert_true(isnan(row_log_sum((const float[]){NAN, 1}, 2)) != 0);
    assert_true(isfinite(row_log_sum((const float[]){1, INFINITY}, 2)) == 0);
}

static void test_top(void **state)
{
    (void)state;
    assert_int_equal(row_top((const float[]){1, 3, 2}, 3), 1);
    assert_int_equal(row_top((const float[]){-INFINITY, -1}, 2), 1);
    assert_int_equal(row_top((const float[]){4, 4, 4}, 3), 0);
}

static double divergence(const float *p, const float *q, size_t count)
{
    return row_divergence(p, row_log_sum(p, count), q, row_log_sum(q, count), count);
}

static void test_divergence(void **state)
{
    (void)state;
    const float p[] = {1.25f, -3, 0.5f, 7}, shifted[] = {101.25f, 97, 100.5f, 107}, q[] = {0, 0, 0, 0};
    assert_true(divergence(p, p, 4) == 0.0); /* to the last bit */
    near(divergence(p, shifted, 4), 0, 1e-7);
    double sum = exp(1.25) + exp(-3) + exp(0.5) + exp(7), expected = 0;
    for (size_t i = 0; i < 4; i++)
        expected += exp((double)p[i]) / sum * (log(exp((double)p[i]) / sum) - log(0.25));
    near(divergence(p, q, 4), expected, 1e-6);
    near(divergence((const float[]){0, -INFINITY}, (const float[]){0, -INFINITY}, 2), 0, 0);
    near(divergence((const float[]){0, -INFINITY}, (const float[]){0, 0}, 2), log(2), 1e-12);
    assert_true(isinf(divergence((const float[]){0, 0}, (const float[]){0, -INFINITY}, 2)) != 0);
    assert_true(isfinite(divergence((const float[]){0, NAN}, (const float[]){0, 0}, 2)) == 0);
}

static void test_mean_and_perplexity(void **state)
{
    (void)state;
    struct series s = series_of((const double[]){2, 4, 4, 4, 5, 5, 7, 9}, 8);
    near(series_mean(&s).mean, 5, 1e-12);
    near(series_mean(&s).error, sqrt(4.0 / 7), 1e-12); /* √(variance ÷ (n − 1)), as llama-perplexity */
    near(series_perplexity(&s).mean, exp(5), 1e-9);
    near(series_perplexity(&s).error, exp(5) * sqrt(4.0 / 7), 1e-9);
    free(s.at);
    s = series_of((const double[]){3}, 1);
    near(series_mean(&s).mean, 3, 0);
    near(series_mean(&s).error, 0, 0);
    free(s.at);
    s = (struct series){0};
    near(series_mean(&s).mean, 0, 0);
    near(series_perplexity(&s).error, 0, 0);
}

static void test_quantiles(void **state)
{
    (void)state;
    struct series s = series_of((const double[]){50, 10, 40, 20, 30}, 5);
    series_sort(&s);
    near(series_quantile(&s, 0), 10, 0);
    near(series_quantile(&s, 0.5), 30, 0);
    near(series_quantile(&s, 1), 50, 0);
    near(series_quantile(&s, 0.99), 49.6, 1e-12);
    free(s.at);
    s = series_of((const double[]){7}, 1);
    series_sort(&s);
    near(series_quantile(&s, 0.99), 7, 0);
    free(s.at);
    s = (struct series){0};
    series_sort(&s);
    near(series_quantile(&s, 0.5), 0, 0);
}

/* Past every capacity that the list begins with. */
static void test_long_series(void **state)
{
    (void)state;
    struct series s = {0};
    for (size_t i = 0; i < 10000; i++)
        assert_true(series_add(&s, (double)(9999 - i)));
    series_sort(&s);
    near(series_mean(&s).mean, 4999.5, 1e-9);
    near(series_quantile(&s, 0.25), 2499.75, 1e-9);
    free(s.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_sum),    cmocka_unit_test(test_top),
        cmocka_unit_test(test_divergence), cmocka_unit_test(test_mean_and_perplexity),
        cmocka_unit_test(test_quantiles),  cmocka_unit_test(test_long_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
