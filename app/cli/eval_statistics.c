#include "eval_statistics.h"

#include <math.h>
#include <stdlib.h>

bool series_add(struct series *series, double value)
{
    if (series->count == series->capacity) {
        size_t capacity = series->capacity > 0 ? series->capacity * 2 : 256;
        double *at = realloc(series->at, capacity * sizeof *at);
        if (at == NULL)
            return false;
        series->at = at;
        series->capacity = capacity;
    }
    series->at[series->count++] = value;
    return true;
}

size_t row_top(const float *row, size_t count)
{
    size_t top = 0;
    for (size_t i = 1; i < count; i++)
        if (row[i] > row[top])
            top = i;
    return top;
}

double row_log_sum(const float *row, size_t count)
{
    float most = row[row_top(row, count)];
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)expf(row[i] - most);
    return (double)most + log(sum);
}

double row_divergence(const float *p, double p_sum, const float *q, double q_sum, size_t count)
{
    double divergence = 0;
    for (size_t i = 0; i < count; i++) {
        double log_p = (double)p[i] - p_sum, share = (double)expf((float)log_p);
        if (share > 0 || isnan(share)) /* where p is 0, whatever q says costs nothing */
            divergence += share * (log_p - ((double)q[i] - q_sum));
    }
    return divergence < 0 ? 0 : divergence; /* by a rounding error */
}

struct estimate series_mean(const struct series *series)
{
    struct estimate found = {0};
    if (series->count == 0)
        return found;
    double sum = 0, squares = 0, count = (double)series->count;
    for (size_t i = 0; i < series->count; i++)
        sum += series->at[i];
    found.mean = sum / count;
    for (size_t i = 0; i < series->count; i++)
        squares += (series->at[i] - found.mean) * (series->at[i] - found.mean);
    if (series->count > 1)
        found.error = sqrt(squares / count / (count - 1));
    return found;
}

struct estimate series_perplexity(const struct series *series)
{
    struct estimate loss = series_mean(series);
    return (struct estimate){exp(loss.mean), exp(loss.mean) * loss.error};
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void series_sort(struct series *series)
{
    if (series->count > 1)
        qsort(series->at, series->count, sizeof *series->at, ascending);
}

double series_quantile(const struct series *sorted, double share)
{
    if (sorted->count == 0)
        return 0;
    double place = share * (double)(sorted->count - 1);
    size_t below = (size_t)place, above = below + 1 < sorted->count ? below + 1 : below;
    return sorted->at[below] + (place - (double)below) * (sorted->at[above] - sorted->at[below]);
}
