/* SPDX-License-Identifier: Apache-2.0 */
#include "sboost/sboost_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ccz_rc cczi_sb_no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "sboost:memory", 0, "out of memory");
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Cuts of one sorted column: halfway between neighbours that differ, next to the quantiles. */
static void cuts_of(double *cut, const double *sorted, size_t rows, unsigned bins)
{
    size_t len = 0;
    for (unsigned b = 1; b < bins; b++) {
        size_t at = rows * b / bins;
        while (at > 0 && at < rows && sorted[at] == sorted[at - 1])
            at++;
        if (at == 0 || at >= rows)
            continue;
        double half = sorted[at - 1] + (sorted[at] - sorted[at - 1]) / 2;
        half = half < sorted[at] ? half : sorted[at - 1]; /* rounded up to the right one */
        if (len == 0 || half > cut[len - 1])
            cut[len++] = half;
    }
    for (; len < bins - 1; len++)
        cut[len] = INFINITY;
}

static uint8_t bin_of(double x, const double *cut, unsigned cuts)
{
    unsigned from = 0, to = cuts;
    while (from < to) {
        unsigned mid = (from + to) / 2;
        if (x > cut[mid])
            from = mid + 1;
        else
            to = mid;
    }
    return (uint8_t)from;
}

static ccz_rc check(const struct ccz_sboost_data *d, struct ccz_err *err)
{
    if (d->rows == 0 || d->rows > CCZ_SBOOST_ROWS_MAX || d->cols > CCZ_SBOOST_COLS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "sboost:data", (int64_t)d->rows,
                        "%zu rows of %zu columns, expected 1..%zu of up to %zu", d->rows, d->cols,
                        CCZ_SBOOST_ROWS_MAX, CCZ_SBOOST_COLS_MAX);
    for (size_t i = 0; i < d->rows * d->cols; i++)
        if (!isfinite(d->x[i]))
            return ccz_hint(err,
                            ccz_fail(err, CCZ_E_ARG, "sboost:not-finite", (int64_t)i,
                                     "column %zu of row %zu is not a finite number", i % d->cols,
                                     i / d->cols),
                            "fill in missing values before");
    return CCZ_OK;
}

ccz_rc cczi_sb_bins_new(struct cczi_sb_bins *out, const struct ccz_sboost_data *d, unsigned bins,
                        struct ccz_err *err)
{
    *out = (struct cczi_sb_bins){.rows = d->rows, .cols = d->cols, .bins = bins};
    ccz_rc rc = check(d, err);
    if (rc != CCZ_OK)
        return rc;
    size_t cols = d->cols ? d->cols : 1;
    double *sorted = malloc(d->rows * sizeof(*sorted));
    out->cut = malloc(cols * (bins - 1) * sizeof(*out->cut));
    out->bin = malloc(cols * d->rows);
    if (!sorted || !out->cut || !out->bin)
        rc = cczi_sb_no_memory(err);
    for (size_t j = 0; rc == CCZ_OK && j < d->cols; j++) {
        double *cut = out->cut + j * (bins - 1);
        for (size_t i = 0; i < d->rows; i++)
            sorted[i] = d->x[i * d->cols + j];
        qsort(sorted, d->rows, sizeof(*sorted), by_value);
        cuts_of(cut, sorted, d->rows, bins);
        for (size_t i = 0; i < d->rows; i++)
            out->bin[j * d->rows + i] = bin_of(d->x[i * d->cols + j], cut, bins - 1);
    }
    if (sorted)
        ccz_wipe(sorted, d->rows * sizeof(*sorted));
    free(sorted);
    if (rc != CCZ_OK)
        cczi_sb_bins_free(out);
    return rc;
}

void cczi_sb_bins_free(struct cczi_sb_bins *b)
{
    if (b->cut)
        ccz_wipe(b->cut, b->cols * (b->bins - 1) * sizeof(*b->cut));
    if (b->bin)
        ccz_wipe(b->bin, b->cols * b->rows);
    free(b->cut);
    free(b->bin);
    *b = (struct cczi_sb_bins){0};
}
