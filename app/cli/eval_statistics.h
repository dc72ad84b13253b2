/* The numbers of mote eval: what a row of logits says, and what many of them say together. */
#ifndef MOTE_CLI_EVAL_STATISTICS_H
#define MOTE_CLI_EVAL_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

/* A growing list. Start from {0}; free `at`. */
struct series {
    double *at;
    size_t count;
    size_t capacity;
};

bool series_add(struct series *series, double value); /* false: no memory */

/* log Σ exp(row): what turns logits into logarithms of probabilities. NaN or infinite where a logit is. */
double row_log_sum(const float *row, size_t count);

/* The place of the largest logit, the first of equal ones. */
size_t row_top(const float *row, size_t count);

/* Kullback-Leibler divergence in nats, Σ p (log p − log q), of the distributions that two rows of logits stand for; at least
 * 0. `p_sum` and `q_sum` are their row_log_sum. */
double row_divergence(const float *p, double p_sum, const float *q, double q_sum, size_t count);

struct estimate {
    double mean;
    double error; /* the standard error of the mean; 0 for fewer than two values */
};

struct estimate series_mean(const struct series *series);

/* e^mean of negative log-likelihoods, and its standard error to first order. */
struct estimate series_perplexity(const struct series *series);

/* Puts the series in ascending order; then the value below which a share of it lies, between neighbours by their distance
 * (definition 7 of Hyndman and Fan 1996). 0 of an empty one. */
void series_sort(struct series *series);
double series_quantile(const struct series *sorted, double share);

#endif
