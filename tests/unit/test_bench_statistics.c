/* The statistics of mote bench: mean and sample deviation, also of numbers so large that squares lose their ends. */
#include <math.h>

#include "assert_says.h"

#include "bench_statistics.h"

static void expect(const double *values, size_t count, double mean, double deviation)
{
    struct statistics found = statistics_of(values, count);
    assert_true(fabs(found.mean - mean) <= 1e-12 * fabs(mean));
    assert_true(fabs(found.deviation - deviation) <= 1e-9 * fabs(deviation));
}

static void test_known_values(void **state)
{
    (void)state;
    expect((double[]){2, 4, 4, 4, 5, 5, 7, 9}, 8, 5, sqrt(32.0 / 7));
    expect((double[]){190.303, 124.138}, 2, 157.2205, 66.165 / sqrt(2));
    expect((double[]){3, 3, 3}, 3, 3, 0);
}

static void test_few_values(void **state)
{
    (void)state;
    expect((double[]){42.5}, 1, 42.5, 0);
    expect(NULL, 0, 0, 0);
}

/* Nanoseconds of runs of an hour that differ by microseconds. */
static void test_large_values(void **state)
{
    (void)state;
    expect((double[]){3.6e12 + 1000, 3.6e12 + 3000, 3.6e12 + 5000}, 3, 3.6e12 + 3000, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_few_values),
        cmocka_unit_test(test_large_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
