/* SPDX-License-Identifier: Apache-2.0 */
/* Linear weights between items in closed form. */
#include "ask_priv.h"
#include "ease_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REG = 500, MIRROR = 64 };

struct ccz_recsys_ease {
    const struct ccz_recsys_csr *train;
    const struct cczi_ease_kernels *kern;
    bool values;
    uint32_t items;
    size_t n;      /* items, rounded up to blocks */
    float *weight; /* [n][n], from row to column */
};

static size_t padded(uint32_t items)
{
    return ((size_t)items + CCZI_EASE_BLOCK - 1) / CCZI_EASE_BLOCK * CCZI_EASE_BLOCK;
}

uint64_t ccz_recsys_ease_size(uint32_t items, uint64_t ratings, unsigned threads)
{
    const uint64_t n = padded(items), rows = threads ? threads : 1;
    const uint64_t gram = ratings * (sizeof(uint32_t) + sizeof(float)) +
                          ((uint64_t)items + 1) * 2 * sizeof(uint64_t) +
                          rows * items * sizeof(double),
                   inverse = cczi_ease_invert_floats(n) * sizeof(float);
    return (n * n + n) * sizeof(float) + (gram > inverse ? gram : inverse);
}

void ccz_recsys_ease_free(struct ccz_recsys_ease *e)
{
    if (!e)
        return;
    cczi_recsys_wipe_free(e->weight, e->n * e->n * sizeof(*e->weight));
    free(e);
}

const float *ccz_recsys_ease_row(const struct ccz_recsys_ease *e, uint32_t i)
{
    return e->weight + (size_t)i * e->n;
}

/* ------------------------------------------------------------------------------------------ build */

struct job {
    struct ccz_recsys_ease *e;
    const struct ccz_recsys_csr *items;
    float reg;
    const float *diagonal;
};

/* Rows of X^T X up to the diagonal: the histories of an item's users, added up; in double, as a sum of ones in float ends at 2^24. */
static ccz_rc some_gram_rows(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct job *j = arg;
    const struct ccz_recsys_csr *train = j->e->train;
    double *row = cczi_recsys_alloc(j->e->items, sizeof(*row));
    if (!row)
        return cczi_recsys_no_memory(err);
    for (size_t at = from; at < from + len; at++) {
        const uint32_t i = cczi_recsys_spread((uint32_t)at, j->e->items);
        float *to = j->e->weight + (size_t)i * j->e->n;
        memset(row, 0, ((size_t)i + 1) * sizeof(*row));
        for (uint64_t q = j->items->start[i]; q < j->items->start[i + 1]; q++) {
            const uint32_t user = j->items->col[q];
            const double x = j->e->values ? (double)j->items->value[q] : 1;
            for (uint64_t p = train->start[user]; p < train->start[user + 1] && train->col[p] <= i;
                 p++)
                row[train->col[p]] += x * (j->e->values ? (double)train->value[p] : 1);
        }
        row[i] += (double)j->reg;
        for (uint32_t p = 0; p <= i; p++)
            to[p] = (float)row[p];
    }
    cczi_recsys_wipe_free(row, j->e->items * sizeof(*row));
    return CCZ_OK;
}

/* From -P below the diagonal to weights -P_ij / P_jj on both sides, in squares that fit into the cache. Squares (a, b) and (b, a) are one's. */
static ccz_rc some_weights(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct job *j = arg;
    const size_t n = j->e->n, squares = (n + MIRROR - 1) / MIRROR;
    float *w = j->e->weight;
    (void)err;
    for (size_t at = from; at < from + len; at++) {
        const size_t a = cczi_recsys_spread((uint32_t)at, (uint32_t)squares);
        for (size_t b = 0; b <= a; b++)
            for (size_t r = a * MIRROR; r < (a + 1) * MIRROR && r < n; r++)
                for (size_t c = b * MIRROR; c < (b + 1) * MIRROR && c < r; c++) {
                    const float p = w[r * n + c];
                    w[r * n + c] = -p / j->diagonal[c];
                    w[c * n + r] = -p / j->diagonal[r];
                }
    }
    return CCZ_OK;
}

static ccz_rc build(struct ccz_recsys_ease *e, const struct ccz_recsys_ease_cfg *cfg,
                    struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_csr) items = NULL;
    ccz_rc rc = ccz_recsys_csr_transpose(&items, e->train, err);
    float *diagonal = cczi_recsys_alloc(e->n, sizeof(*diagonal));
    if (rc == CCZ_OK && !diagonal)
        rc = cczi_recsys_no_memory(err);
    struct job j = {
        .e = e, .items = items, .reg = cfg->reg != 0 ? (float)cfg->reg : REG, .diagonal = diagonal};
    if (rc == CCZ_OK)
        rc = ccz_parallel(some_gram_rows, &j, e->items, 1, cfg->threads, err);
    ccz_recsys_csr_free(ccz_recsys_csr_take(&items)); /* the inverse needs its room */
    j.items = NULL;
    for (size_t i = e->items; rc == CCZ_OK && i < e->n; i++)
        e->weight[i * e->n + i] = 1;
    if (rc == CCZ_OK)
        rc = cczi_ease_invert(e->weight, e->n, e->kern, cfg->threads, err);
    for (size_t i = 0; rc == CCZ_OK && i < e->n; i++) {
        diagonal[i] = e->weight[i * e->n + i];
        e->weight[i * e->n + i] = 0;
    }
    if (rc == CCZ_OK)
        rc = ccz_parallel(some_weights, &j, (e->n + MIRROR - 1) / MIRROR, 1, cfg->threads, err);
    cczi_recsys_wipe_free(diagonal, e->n * sizeof(*diagonal));
    return rc;
}

ccz_rc ccz_recsys_ease_new(struct ccz_recsys_ease **out, const struct ccz_recsys_csr *train,
                           const struct ccz_recsys_ease_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    if (train->cols > CCZ_RECSYS_EASE_ITEMS_MAX)
        return ccz_hint(err,
                        ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:ease-items", train->cols,
                                       CCZ_RECSYS_EASE_ITEMS_MAX),
                        "its memory is the square of the items; leave out rare ones, or train "
                        "factors");
    if (!(cfg->reg >= 0) || !isfinite((float)cfg->reg))
        return ccz_refuse(err, CCZ_E_ARG, "recsys:reg", "a negative number or none",
                          "a positive number");
    const struct cczi_ease_kernels *kern = cczi_ease_kernels(cfg->tier);
    if (!kern)
        return ccz_refuse(err, CCZ_E_UNAVAILABLE, "recsys:tier", cfg->tier,
                          "a tier of vector code that this processor has");
    ccz_rc rc = cczi_recsys_check_rows(train, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_recsys_ease) e = calloc(1, sizeof(*e));
    if (!e)
        return cczi_recsys_no_memory(err);
    const size_t n = padded(train->cols);
    *e = (struct ccz_recsys_ease){.train = train,
                                  .kern = kern,
                                  .values = cfg->values,
                                  .items = train->cols,
                                  .n = n,
                                  .weight = cczi_recsys_alloc((uint64_t)n * n, sizeof(*e->weight))};
    if (!e->weight)
        return cczi_recsys_no_memory(err);
    rc = build(e, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_recsys_ease_take(&e);
    return rc;
}

/* ------------------------------------------------------------------------------------------ lists */

static void score_user(float *score, const void *arg, uint32_t user)
{
    const struct ccz_recsys_ease *e = arg;
    memset(score, 0, e->n * sizeof(*score));
    for (uint64_t p = e->train->start[user]; p < e->train->start[user + 1]; p++)
        e->kern->axpy(score, ccz_recsys_ease_row(e, e->train->col[p]),
                      e->values ? e->train->value[p] : 1, e->n);
}

ccz_rc ccz_recsys_ease_recommend(uint32_t *item, float *score, void *arg,
                                 const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    const struct ccz_recsys_ease *e = arg;
    const struct cczi_recsys_scorer s = {
        .score = score_user, .arg = e, .users = e->train->rows, .items = e->items, .width = e->n};
    return cczi_recsys_lists(item, score, &s, ask, err);
}
