/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr/random.h"

#include <cczoo/fedlr.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

ccz_rc ccz_fedlr_table_new(struct ccz_fedlr_table **out, size_t rows, size_t cols, bool labels,
                           bool ids, struct ccz_err *err)
{
    *out = NULL;
    if (rows == 0 || rows > CCZ_FEDLR_ROWS_MAX || cols == 0 || cols > CCZ_FEDLR_COLS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "fedlr:size", (int64_t)rows,
                        "%zu rows of %zu columns, at most %zu and %d", rows, cols,
                        CCZ_FEDLR_ROWS_MAX, CCZ_FEDLR_COLS_MAX);
    CCZ_AUTO(ccz_fedlr_table) t = calloc(1, sizeof(*t));
    if (t) {
        t->rows = rows;
        t->cols = cols;
        t->x = calloc(rows * cols, sizeof(*t->x));
        t->y = labels ? calloc(rows, sizeof(*t->y)) : NULL;
        t->id = ids ? calloc(rows, sizeof(*t->id)) : NULL;
        t->name = calloc(cols, sizeof(*t->name));
    }
    if (!t || !t->x || !t->name || (labels && !t->y) || (ids && !t->id))
        return ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    *out = ccz_fedlr_table_take(&t);
    return CCZ_OK;
}

void ccz_fedlr_table_free(struct ccz_fedlr_table *t)
{
    if (!t)
        return;
    if (t->x)
        ccz_wipe(t->x, t->rows * t->cols * sizeof(*t->x));
    if (t->y)
        ccz_wipe(t->y, t->rows * sizeof(*t->y));
    free(t->x);
    free(t->y);
    free(t->id);
    free(t->name);
    free(t);
}

ccz_rc ccz_fedlr_table_rows(struct ccz_fedlr_table **out, const struct ccz_fedlr_table *t,
                            const size_t *index, size_t len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fedlr_table) n = NULL;
    *out = NULL;
    for (size_t i = 0; i < len; i++)
        if (index[i] >= t->rows)
            return ccz_fail(err, CCZ_E_ARG, "fedlr:index", (int64_t)index[i], "there are %zu rows",
                            t->rows);
    ccz_rc rc = ccz_fedlr_table_new(&n, len, t->cols, t->y != NULL, t->id != NULL, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < len; i++) {
        memcpy(&n->x[i * t->cols], &t->x[index[i] * t->cols], t->cols * sizeof(*t->x));
        if (t->y)
            n->y[i] = t->y[index[i]];
        if (t->id)
            memcpy(n->id[i], t->id[index[i]], sizeof(*t->id));
    }
    memcpy(n->name, t->name, t->cols * sizeof(*t->name));
    *out = ccz_fedlr_table_take(&n);
    return CCZ_OK;
}

ccz_rc ccz_fedlr_table_cols(struct ccz_fedlr_table **out, const struct ccz_fedlr_table *t,
                            size_t from, size_t len, bool labels, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fedlr_table) n = NULL;
    *out = NULL;
    if (from > t->cols || len > t->cols - from)
        return ccz_fail(err, CCZ_E_ARG, "fedlr:index", (int64_t)from, "there are %zu columns",
                        t->cols);
    labels = labels && t->y;
    ccz_rc rc = ccz_fedlr_table_new(&n, t->rows, len, labels, t->id != NULL, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < t->rows; i++)
        memcpy(&n->x[i * len], &t->x[i * t->cols + from], len * sizeof(*t->x));
    memcpy(n->name, &t->name[from], len * sizeof(*t->name));
    if (labels)
        memcpy(n->y, t->y, t->rows * sizeof(*t->y));
    if (t->id)
        memcpy(n->id, t->id, t->rows * sizeof(*t->id));
    *out = ccz_fedlr_table_take(&n);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- alignment */

struct named_row {
    const char *id;
    size_t row;
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct named_row *)a)->id, ((const struct named_row *)b)->id);
}

static ccz_rc sort_rows(struct named_row **out, const struct ccz_fedlr_table *t,
                        struct ccz_err *err)
{
    struct named_row *r = malloc(t->rows * sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    for (size_t i = 0; i < t->rows; i++)
        r[i] = (struct named_row){t->id[i], i};
    qsort(r, t->rows, sizeof(*r), by_id);
    for (size_t i = 1; i < t->rows; i++)
        if (strcmp(r[i - 1].id, r[i].id) == 0) {
            free(r);
            return ccz_fail(err, CCZ_E_FORMAT, "fedlr:id-twice", (int64_t)i,
                            "an id is there twice");
        }
    *out = r;
    return CCZ_OK;
}

ccz_rc ccz_fedlr_align(size_t *left, size_t *right, size_t *len, const struct ccz_fedlr_table *a,
                       const struct ccz_fedlr_table *b, struct ccz_err *err)
{
    *len = 0;
    if (!a->id || !b->id)
        return ccz_fail(err, CCZ_E_ARG, "fedlr:no-ids", 0, "a table has no ids");
    struct named_row *ra = NULL, *rb = NULL;
    ccz_rc rc = sort_rows(&ra, a, err);
    if (rc == CCZ_OK)
        rc = sort_rows(&rb, b, err);
    for (size_t i = 0, j = 0; rc == CCZ_OK && i < a->rows && j < b->rows;) {
        int c = strcmp(ra[i].id, rb[j].id);
        if (c == 0) {
            left[*len] = ra[i].row;
            right[(*len)++] = rb[j].row;
        }
        i += c <= 0;
        j += c >= 0;
    }
    free(ra);
    free(rb);
    return rc;
}

/* ------------------------------------------------------------------------- standardisation */

void ccz_fedlr_scale_fit(double *mean, double *sd, const struct ccz_fedlr_table *t)
{
    for (size_t j = 0; j < t->cols; j++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < t->rows; i++)
            sum += t->x[i * t->cols + j];
        mean[j] = sum / (double)t->rows;
        for (size_t i = 0; i < t->rows; i++) {
            double d = t->x[i * t->cols + j] - mean[j];
            squares += d * d;
        }
        sd[j] = sqrt(squares / (double)t->rows);
        if (!(sd[j] > 0))
            sd[j] = 1;
    }
}

void ccz_fedlr_scale_apply(struct ccz_fedlr_table *t, const double *mean, const double *sd)
{
    for (size_t i = 0; i < t->rows; i++)
        for (size_t j = 0; j < t->cols; j++)
            t->x[i * t->cols + j] = (t->x[i * t->cols + j] - mean[j]) / sd[j];
}

/* -------------------------------------------------------------------------------- partition */

/* Deals order[from .. to-1], which share a label, by the shares of a Dirichlet distribution. */
static void deal_dirichlet(uint32_t *part, const size_t *order, size_t from, size_t to,
                           double *share, uint32_t parts, double alpha, struct cczi_fl_seeded *r)
{
    double sum = 0, up_to = 0;
    for (uint32_t p = 0; p < parts; p++)
        sum += share[p] = cczi_fl_seeded_gamma(r, alpha);
    size_t next = from;
    for (uint32_t p = 0; p < parts; p++) {
        up_to += share[p] / sum;
        size_t stop = p + 1 == parts ? to : from + (size_t)lrint(up_to * (double)(to - from));
        for (stop = stop > to ? to : stop; next < stop; next++)
            part[order[next]] = p;
    }
}

/* Parts without a row take one from the largest. */
static void fill_empty(uint32_t *part, size_t *count, size_t rows, uint32_t parts)
{
    memset(count, 0, parts * sizeof(*count));
    for (size_t i = 0; i < rows; i++)
        count[part[i]]++;
    for (uint32_t p = 0; p < parts; p++) {
        if (count[p] > 0)
            continue;
        uint32_t largest = 0;
        for (uint32_t q = 1; q < parts; q++)
            if (count[q] > count[largest])
                largest = q;
        size_t i = 0;
        while (part[i] != largest)
            i++;
        part[i] = p;
        count[p]++;
        count[largest]--;
    }
}

ccz_rc ccz_fedlr_partition(uint32_t *part, const double *y, size_t rows, uint32_t parts,
                           enum ccz_fedlr_skew skew, double alpha, uint64_t seed,
                           struct ccz_err *err)
{
    if (parts == 0 || parts > rows)
        return ccz_fail(err, CCZ_E_ARG, "fedlr:parts", parts, "%u parts of %zu rows", parts, rows);
    if (skew == CCZ_FEDLR_DIRICHLET && !(alpha > 0 && alpha < 1e6))
        return ccz_fail(err, CCZ_E_ARG, "fedlr:alpha", 0, "alpha is to be above 0");
    size_t *order = malloc(rows * sizeof(*order)), *count = malloc(parts * sizeof(*count));
    double *share = malloc(parts * sizeof(*share));
    ccz_rc rc = order && count && share
                    ? CCZ_OK
                    : ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    if (rc == CCZ_OK) {
        struct cczi_fl_seeded r = cczi_fl_seeded_from(seed, 1);
        size_t mid = 0, n = 0;
        for (size_t i = 0; i < rows; i++) /* all of label 0, then all of label 1 */
            if (skew == CCZ_FEDLR_IID || y[i] == 0)
                order[n++] = i;
        mid = n;
        for (size_t i = 0; i < rows && skew != CCZ_FEDLR_IID; i++)
            if (y[i] != 0)
                order[n++] = i;
        cczi_fl_seeded_shuffle(order, mid, &r);
        cczi_fl_seeded_shuffle(order + mid, rows - mid, &r);
        for (size_t i = 0; i < rows; i++)
            part[order[i]] = (uint32_t)(i * parts / rows);
        if (skew == CCZ_FEDLR_DIRICHLET) {
            deal_dirichlet(part, order, 0, mid, share, parts, alpha, &r);
            deal_dirichlet(part, order, mid, rows, share, parts, alpha, &r);
        }
        fill_empty(part, count, rows, parts);
    }
    free(order);
    free(count);
    free(share);
    return rc;
}
