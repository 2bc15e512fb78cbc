/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/fedlr.h>

#include <math.h>
#include <stdlib.h>

struct scored {
    double p, y;
};

static int by_score(const void *a, const void *b)
{
    double x = ((const struct scored *)a)->p, y = ((const struct scored *)b)->p;
    return (x > y) - (x < y);
}

/* One pass over the rows in the order of their scores; equal scores are one step of the ROC curve. */
static void walk_roc(struct ccz_fedlr_metrics *out, const struct scored *s, size_t len,
                     double positives)
{
    double negatives = (double)len - positives, below = 0, below_pos = 0, pairs = 0;
    for (size_t i = 0; i < len;) {
        double neg = 0, pos = 0;
        double p = s[i].p;
        for (; i < len && s[i].p == p; i++) {
            pos += s[i].y;
            neg += 1 - s[i].y;
        }
        pairs +=
            pos * (below + neg / 2); /* a positive beats the negatives below it, half of the ties */
        below += neg;
        below_pos += pos;
        double gap = fabs(below / negatives - below_pos / positives);
        if (gap > out->ks)
            out->ks = gap;
    }
    out->auc = pairs / (positives * negatives);
}

ccz_rc ccz_fedlr_measure(struct ccz_fedlr_metrics *out, const double *p, const double *y,
                         size_t len, struct ccz_err *err)
{
    *out = (struct ccz_fedlr_metrics){0};
    double positives = 0, right = 0, loss = 0;
    for (size_t i = 0; i < len; i++) {
        double q = fmin(fmax(p[i], 1e-15), 1 - 1e-15);
        positives += y[i];
        right += (p[i] >= 0.5) == (y[i] == 1);
        loss -= log(y[i] == 1 ? q : 1 - q);
    }
    if (positives == 0 || positives == (double)len)
        return ccz_fail(err, CCZ_E_ARG, "fedlr:one-class", (int64_t)positives,
                        "%zu rows of which %.0f are positive say nothing about ranking", len,
                        positives);
    struct scored *s = malloc(len * sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    for (size_t i = 0; i < len; i++)
        s[i] = (struct scored){p[i], y[i]};
    qsort(s, len, sizeof(*s), by_score);
    walk_roc(out, s, len, positives);
    free(s);
    out->accuracy = right / (double)len;
    out->loss = loss / (double)len;
    return CCZ_OK;
}

ccz_rc ccz_fedlr_measure_fit(struct ccz_fedlr_fit *out, const double *p, const double *y,
                             size_t len, struct ccz_err *err)
{
    double mean = 0, squares = 0, absolute = 0, spread = 0;
    *out = (struct ccz_fedlr_fit){0};
    for (size_t i = 0; i < len; i++)
        mean += y[i] / (double)len;
    for (size_t i = 0; i < len; i++) {
        squares += (p[i] - y[i]) * (p[i] - y[i]);
        absolute += fabs(p[i] - y[i]);
        spread += (y[i] - mean) * (y[i] - mean);
    }
    if (!(spread > 0))
        return ccz_fail(err, CCZ_E_ARG, "fedlr:one-label", (int64_t)len,
                        "%zu rows with one label say nothing about a fit", len);
    out->rmse = sqrt(squares / (double)len);
    out->mae = absolute / (double)len;
    out->r2 = 1 - squares / spread;
    return CCZ_OK;
}
