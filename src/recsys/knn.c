/* SPDX-License-Identifier: Apache-2.0 */
/* Items that the same users have rated. A row of similarities is a sum over the histories of an item's users. */
#include "ask_priv.h"
#include "eval_priv.h"
#include "rank_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NEIGHBOURS = 20 };

struct ccz_recsys_knn {
    const struct ccz_recsys_csr *train;
    uint32_t items, neighbours;
    bool binary;
    uint32_t *len;     /* [items] */
    uint32_t *item;    /* [items * neighbours] */
    float *similarity; /* [items * neighbours] */
};

void ccz_recsys_knn_free(struct ccz_recsys_knn *k)
{
    if (!k)
        return;
    const uint64_t all = (uint64_t)k->items * k->neighbours;
    cczi_recsys_wipe_free(k->len, k->items * sizeof(*k->len));
    cczi_recsys_wipe_free(k->item, all * sizeof(*k->item));
    cczi_recsys_wipe_free(k->similarity, all * sizeof(*k->similarity));
    free(k);
}

uint32_t ccz_recsys_knn_neighbours(const uint32_t **item, const float **similarity,
                                   const struct ccz_recsys_knn *k, uint32_t of)
{
    *item = k->item + (size_t)of * k->neighbours;
    *similarity = k->similarity + (size_t)of * k->neighbours;
    return k->len[of];
}

/* -------------------------------------------------------------------------------------- weights */

/* By users and by items the same numbers: what a rating weighs in a similarity. */
struct weights {
    double *by_user, *by_item; /* [len] as train, as its transpose */
    double *norm;              /* [items] */
};

static void weights_free(struct weights *w, const struct ccz_recsys_csr *train)
{
    cczi_recsys_wipe_free(w->by_user, train->len * sizeof(double));
    cczi_recsys_wipe_free(w->by_item, train->len * sizeof(double));
    cczi_recsys_wipe_free(w->norm, train->cols * sizeof(double));
}

/* A user with many items says less of each. */
static double idf(const struct ccz_recsys_csr *train, uint32_t user)
{
    return log(train->cols) - log1p((double)(train->start[user + 1] - train->start[user]));
}

/* Sum of each item into norm; what one rating weighs then. */
static void weigh(struct weights *w, const struct ccz_recsys_csr *train,
                  const struct ccz_recsys_knn_cfg *cfg)
{
    double total = 0;
    for (uint64_t p = 0; p < train->len; p++) {
        const double value = cfg->binary ? 1 : (double)train->value[p];
        w->norm[train->col[p]] += value;
        total += value;
    }
    const double mean = total / (train->cols ? train->cols : 1);
    for (uint32_t u = 0; u < train->rows; u++)
        for (uint64_t p = train->start[u]; p < train->start[u + 1]; p++) {
            const double value = cfg->binary ? 1 : (double)train->value[p];
            double x = value;
            if (cfg->kind == CCZ_RECSYS_KNN_TFIDF)
                x = sqrt(value) * idf(train, u);
            if (cfg->kind == CCZ_RECSYS_KNN_BM25) {
                const double length = 1 - cfg->b + cfg->b * w->norm[train->col[p]] / mean,
                             under = cfg->k1 * length + value;
                x = under > 0 ? value * (cfg->k1 + 1) / under * idf(train, u) : 0;
            }
            w->by_user[p] = x;
        }
}

static ccz_rc weights_for(struct weights *w, const struct ccz_recsys_csr *train,
                          const struct ccz_recsys_csr *items, const struct ccz_recsys_knn_cfg *cfg,
                          struct ccz_err *err)
{
    *w = (struct weights){.by_user = cczi_recsys_alloc(train->len, sizeof(double)),
                          .by_item = cczi_recsys_alloc(train->len, sizeof(double)),
                          .norm = cczi_recsys_alloc(train->cols, sizeof(double))};
    uint64_t *at = cczi_recsys_alloc(train->cols, sizeof(*at));
    if (!w->by_user || !w->by_item || !w->norm || !at) {
        free(at);
        return cczi_recsys_no_memory(err);
    }
    weigh(w, train, cfg);
    memset(w->norm, 0, train->cols * sizeof(*w->norm));
    memcpy(at, items->start, train->cols * sizeof(*at));
    for (uint64_t p = 0; p < train->len;
         p++) { /* users ascend within an item, as in the transpose */
        const double x = w->by_user[p];
        w->by_item[at[train->col[p]]++] = x;
        w->norm[train->col[p]] += x * x;
    }
    for (uint32_t i = 0; i < train->cols; i++)
        w->norm[i] = cfg->kind == CCZ_RECSYS_KNN_BM25 ? 1 : sqrt(w->norm[i]);
    free(at);
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- neighbours */

struct job {
    struct ccz_recsys_knn *k;
    const struct ccz_recsys_csr *items;
    const struct weights *w;
    double shrink;
};

struct scratch {
    double *sum;    /* [items] */
    uint32_t *mark; /* [items] the item, plus one, that sum is of */
    uint32_t *met;  /* [items] */
    int64_t *heap;  /* [neighbours] */
};

static void neighbours_of(const struct job *j, uint32_t i, struct scratch *s)
{
    const struct ccz_recsys_csr *train = j->k->train;
    const uint32_t k = j->k->neighbours;
    uint32_t met = 0, *item = j->k->item + (size_t)i * k, *len = &j->k->len[i];
    for (uint64_t q = j->items->start[i]; q < j->items->start[i + 1]; q++) {
        const uint32_t user = j->items->col[q];
        const double x = j->w->by_item[q];
        for (uint64_t p = train->start[user]; p < train->start[user + 1]; p++) {
            const uint32_t other = train->col[p];
            if (s->mark[other] != i + 1) {
                s->mark[other] = i + 1;
                s->sum[other] = 0;
                s->met[met++] = other;
            }
            s->sum[other] += x * j->w->by_user[p];
        }
    }
    cczi_topk_init(s->heap, k);
    for (uint32_t m = 0; m < met; m++) {
        const uint32_t other = s->met[m];
        const double under = j->w->norm[i] * j->w->norm[other] + j->shrink;
        if (other == i || s->sum[other] == 0 || !(under > 0))
            continue;
        const int64_t key = cczi_topk_key((float)(s->sum[other] / under), other);
        if (key > s->heap[0])
            cczi_topk_replace(s->heap, k, key);
    }
    cczi_topk_sort(s->heap, k);
    cczi_topk_write(item, j->k->similarity + (size_t)i * k, s->heap, k);
    while (*len < k && item[*len] != CCZ_RECSYS_NONE)
        (*len)++;
}

static ccz_rc some_items(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct job *j = arg;
    const uint32_t items = j->items->rows;
    struct scratch s = {.sum = cczi_recsys_alloc(items, sizeof(*s.sum)),
                        .mark = cczi_recsys_alloc(items, sizeof(*s.mark)),
                        .met = cczi_recsys_alloc(items, sizeof(*s.met)),
                        .heap = cczi_recsys_alloc(j->k->neighbours, sizeof(*s.heap))};
    const bool ok = s.sum && s.mark && s.met && s.heap;
    for (size_t i = from; ok && i < from + len; i++)
        neighbours_of(j, cczi_recsys_spread((uint32_t)i, items), &s);
    cczi_recsys_wipe_free(s.sum, items * sizeof(*s.sum));
    cczi_recsys_wipe_free(s.mark, items * sizeof(*s.mark));
    cczi_recsys_wipe_free(s.met, items * sizeof(*s.met));
    cczi_recsys_wipe_free(s.heap, j->k->neighbours * sizeof(*s.heap));
    return ok ? CCZ_OK : cczi_recsys_no_memory(err);
}

/* ------------------------------------------------------------------------------------------ build */

static ccz_rc check(const struct ccz_recsys_csr *train, const struct ccz_recsys_knn_cfg *cfg,
                    struct ccz_err *err)
{
    if (cfg->neighbours > CCZ_RECSYS_NEIGHBOURS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:neighbours", cfg->neighbours,
                              CCZ_RECSYS_NEIGHBOURS_MAX);
    if (!(cfg->shrink >= 0) || !isfinite(cfg->shrink))
        return ccz_refuse(err, CCZ_E_ARG, "recsys:shrink", "a negative number or none",
                          "0 or more");
    if (!(cfg->k1 >= 0) || !isfinite(cfg->k1) || !(cfg->b >= 0 && cfg->b <= 1))
        return ccz_refuse(err, CCZ_E_ARG, "recsys:bm25", "k1 or b out of range",
                          "k1 of 0 or more, b of 0 to 1");
    ccz_rc rc = cczi_recsys_check_rows(train, err);
    if (rc != CCZ_OK || cfg->kind == CCZ_RECSYS_KNN_COSINE || cfg->binary)
        return rc;
    for (uint64_t p = 0; p < train->len; p++)
        if (train->value[p] < 0)
            return ccz_fail(err, CCZ_E_ARG, "recsys:value", (int64_t)p,
                            "a negative value, expected counts or stars");
    return CCZ_OK;
}

static uint32_t neighbours_for(uint32_t items, const struct ccz_recsys_knn_cfg *cfg)
{
    const uint32_t k = cfg->neighbours ? cfg->neighbours : NEIGHBOURS;
    return items > 0 && k > items ? items : k;
}

uint64_t ccz_recsys_knn_size(uint32_t items, uint64_t ratings, const struct ccz_recsys_knn_cfg *cfg)
{
    const uint64_t threads = cfg->threads ? cfg->threads : 1, k = neighbours_for(items, cfg);
    const uint64_t transpose = ratings * (sizeof(uint32_t) + sizeof(float)) +
                               ((uint64_t)items + 1) * sizeof(uint64_t),
                   weights = 2 * ratings * sizeof(double) + (uint64_t)items * sizeof(double),
                   scratch = items * (sizeof(double) + 2 * sizeof(uint32_t)) + k * sizeof(int64_t);
    return sizeof(struct ccz_recsys_knn) + items * (k * 8 + sizeof(uint32_t)) + transpose +
           weights + items * sizeof(uint64_t) + threads * scratch;
}

static ccz_rc knn_alloc(struct ccz_recsys_knn **out, const struct ccz_recsys_csr *train,
                        const struct ccz_recsys_knn_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_knn) k = calloc(1, sizeof(*k));
    if (!k)
        return cczi_recsys_no_memory(err);
    k->train = train;
    k->items = train->cols;
    k->binary = cfg->binary;
    k->neighbours = neighbours_for(train->cols, cfg);
    const uint64_t all = (uint64_t)train->cols * k->neighbours;
    k->len = cczi_recsys_alloc(train->cols, sizeof(*k->len));
    k->item = cczi_recsys_alloc(all, sizeof(*k->item));
    k->similarity = cczi_recsys_alloc(all, sizeof(*k->similarity));
    if (!k->len || !k->item || !k->similarity)
        return cczi_recsys_no_memory(err);
    *out = ccz_recsys_knn_take(&k);
    return CCZ_OK;
}

ccz_rc ccz_recsys_knn_new(struct ccz_recsys_knn **out, const struct ccz_recsys_csr *train,
                          const struct ccz_recsys_knn_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_knn) k = NULL;
    CCZ_AUTO(ccz_recsys_csr) items = NULL;
    struct ccz_recsys_knn_cfg c = *cfg;
    struct weights w = {0};
    *out = NULL;
    ccz_rc rc = check(train, &c, err);
    if (rc != CCZ_OK)
        return rc;
    if (c.k1 == 0 && c.b == 0) {
        c.k1 = 1.2;
        c.b = 0.75;
    }
    if ((rc = knn_alloc(&k, train, &c, err)) != CCZ_OK ||
        (rc = ccz_recsys_csr_transpose(&items, train, err)) != CCZ_OK)
        return rc;
    rc = weights_for(&w, train, items, &c, err);
    struct job j = {.k = k, .items = items, .w = &w, .shrink = c.shrink};
    if (rc == CCZ_OK)
        rc = ccz_parallel(some_items, &j, train->cols, 1, c.threads, err);
    weights_free(&w, train);
    if (rc == CCZ_OK)
        *out = ccz_recsys_knn_take(&k);
    return rc;
}

/* ------------------------------------------------------------------------------------------ lists */

static void score_user(float *score, const void *arg, uint32_t user)
{
    const struct ccz_recsys_knn *k = arg;
    for (uint32_t i = 0; i < k->train->cols; i++)
        score[i] = -INFINITY;
    for (uint64_t p = k->train->start[user]; p < k->train->start[user + 1]; p++) {
        const uint32_t *item;
        const float *similarity, value = k->binary ? 1 : k->train->value[p];
        const uint32_t len = ccz_recsys_knn_neighbours(&item, &similarity, k, k->train->col[p]);
        for (uint32_t n = 0; n < len; n++) {
            float *s = &score[item[n]];
            *s = *s > -INFINITY ? *s + value * similarity[n] : value * similarity[n];
        }
    }
}

ccz_rc ccz_recsys_knn_recommend(uint32_t *item, float *score, void *arg,
                                const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    const struct ccz_recsys_knn *k = arg;
    const struct cczi_recsys_scorer s = {.score = score_user,
                                         .arg = k,
                                         .users = k->train->rows,
                                         .items = k->train->cols,
                                         .width = k->train->cols};
    return cczi_recsys_lists(item, score, &s, ask, err);
}
