/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/dataset.h>
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

void ccz_fedlr_shuffle(size_t *index, size_t len, uint64_t seed)
{
    ccz_dataset_order(index, len, seed, 0);
}

ccz_rc ccz_fedlr_partition(uint32_t *part, const double *y, size_t rows, uint32_t parts,
                           enum ccz_fedlr_skew skew, double alpha, uint64_t seed,
                           struct ccz_err *err)
{
    const struct ccz_dataset_partition_cfg cfg = {.skew = skew == CCZ_FEDLR_IID ? CCZ_DATASET_IID
                                                          : skew == CCZ_FEDLR_LABEL_SKEW
                                                              ? CCZ_DATASET_SHARDS
                                                              : CCZ_DATASET_DIRICHLET,
                                                  .parts = parts,
                                                  .alpha = alpha,
                                                  .per_part = 1,
                                                  .seed = seed};
    uint32_t *label = malloc((rows + 1) * sizeof(*label));
    if (!label)
        return ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    for (size_t i = 0; i < rows; i++)
        label[i] = y[i] != 0;
    ccz_rc rc = ccz_dataset_partition(part, label, rows, 2, &cfg, err);
    free(label);
    return rc;
}
