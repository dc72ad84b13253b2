#include "bench_statistics.h"

#include <math.h>

/* Differences from the mean are squared, not the values: figures near 10¹² would lose their spread to rounding. */
struct statistics statistics_of(const double *values, size_t count)
{
    struct statistics result = {0};
    if (count == 0)
        return result;
    for (size_t i = 0; i < count; i++)
        result.mean += values[i] / (double)count;
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - result.mean) * (values[i] - result.mean);
    if (count > 1)
        result.deviation = sqrt(squares / (double)(count - 1));
    return result;
}
