/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_EVAL_PRIV_H
#define CCZ_RECSYS_EVAL_PRIV_H
/* What baselines and metrics share. */
#include <cczoo/recsys_eval.h>

#include "recsys_priv.h"

/* One user's scores of all items, [width]; -INFINITY: not to be recommended. */
typedef void (*cczi_recsys_score_fn)(float *score, const void *arg, uint32_t user);
struct cczi_recsys_scorer {
    cczi_recsys_score_fn score;
    const void *arg;
    uint32_t users, items;
    size_t width; /* items or more: floats that `score` may write */
};
/* Lists of what scores all items at a time: ccz_recsys_recommend_fn but for its first argument. */
ccz_rc cczi_recsys_lists(uint32_t *item, float *score, const struct cczi_recsys_scorer *s,
                         const struct ccz_recsys_ask *ask, struct ccz_err *err);

bool cczi_recsys_has(const struct ccz_recsys_csr *m, uint32_t row, uint32_t col);
/* A permutation of 0 .. len - 1 that mixes what is near: rows that take long do not all fall to one thread. */
uint32_t cczi_recsys_spread(uint32_t i, uint32_t len);

/* Percentile bootstrap: intervals of means, or ratios of sums, over units. value [units * width], NAN: none. */
struct cczi_recsys_boot {
    const float *value;
    size_t units, width;
    uint32_t resamples;
    uint64_t seed;
    double confidence;
    unsigned threads;
};
/* low, high [width] */
ccz_rc cczi_recsys_intervals(double *low, double *high, const struct cczi_recsys_boot *b,
                             struct ccz_err *err);
/* recsys:confidence, recsys:bootstrap */
ccz_rc cczi_recsys_boot_check(double confidence, uint32_t resamples, struct ccz_err *err);
#endif
