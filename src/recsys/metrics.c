/* SPDX-License-Identifier: Apache-2.0 */
/* Lists against what people took. */
#include "eval_priv.h"

#include <cczoo/dataset.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { K = 10, BATCH_ITEMS = 1 << 20 };

static const char *const names[CCZ_RECSYS_METRICS] = {
#define X(name, text, what) [CCZ_RECSYS_##name] = (text),
    CCZ_RECSYS_METRIC_MAP(X)
#undef X
};

const char *ccz_recsys_metric_name(enum ccz_recsys_metric m)
{
    return names[m];
}

enum ccz_recsys_metric ccz_recsys_metric_from(const char *name)
{
    int m = 0;
    while (m < CCZ_RECSYS_METRICS && strcmp(names[m], name) != 0)
        m++;
    return (enum ccz_recsys_metric)m;
}

/* ---------------------------------------------------------------------------------------- one list */

static bool among(const uint32_t *sorted, size_t len, uint32_t item)
{
    size_t low = 0;
    if (item > sorted[len - 1])
        return false; /* so that the search ends within */
    while (len > 0) {
        const size_t half = len / 2;
        if (sorted[low + half] < item) {
            low += half + 1;
            len -= half + 1;
        } else
            len = half;
    }
    return sorted[low] == item;
}

/* Pairs in order, `pairs` of them for sure; relevant items that are not in the list come before irrelevant ones half the time. */
static double auc(double pairs, double hits, double misses, double relevant, double candidates)
{
    const double irrelevant = candidates - relevant;
    if (!(irrelevant > 0))
        return NAN;
    return (pairs + (hits + relevant) / 2 * (irrelevant - misses)) / (relevant * irrelevant);
}

void ccz_recsys_judge(double *out, const uint32_t *list, uint32_t k, const uint32_t *relevant,
                      size_t relevant_len, uint32_t candidates, uint32_t items)
{
    const size_t cap = relevant_len < k ? relevant_len : k;
    double hits = 0, misses = 0, dcg = 0, ideal = 0, ap = 0, mrr = 0, pairs = 0;
    for (uint32_t p = 0; p < k && list[p] != CCZ_RECSYS_NONE; p++) {
        if (!among(relevant, relevant_len, list[p])) {
            misses++;
            pairs += hits;
            continue;
        }
        hits++;
        dcg += 1 / log2(p + 2.0);
        ap += hits / (p + 1.0);
        mrr = mrr > 0 ? mrr : 1 / (p + 1.0);
    }
    for (size_t p = 0; p < cap; p++)
        ideal += 1 / log2((double)p + 2);
    for (int m = 0; m < CCZ_RECSYS_METRICS; m++)
        out[m] = NAN;
    out[CCZ_RECSYS_HR] = hits > 0;
    out[CCZ_RECSYS_RECALL] = hits / (double)relevant_len;
    out[CCZ_RECSYS_PRECISION] = hits / k;
    out[CCZ_RECSYS_NDCG] = dcg / ideal;
    out[CCZ_RECSYS_MAP] = ap / (double)cap;
    out[CCZ_RECSYS_MRR] = mrr;
    if (candidates > 0) {
        out[CCZ_RECSYS_AUC] = auc(pairs, hits, misses, (double)relevant_len, candidates);
        out[CCZ_RECSYS_AUC_ALL] = auc(pairs, hits, misses, (double)relevant_len, items);
    }
}

/* --------------------------------------------------------------------------------------- all lists */

struct totals {
    double sum[CCZ_RECSYS_METRICS];
    uint64_t len[CCZ_RECSYS_METRICS]; /* users that have a value */
    double hits, cap;
    uint8_t *shown; /* [items] */
};

struct judge {
    const struct ccz_recsys_csr *train, *test;
    const struct ccz_recsys_eval_cfg *cfg;
    uint32_t k[CCZ_RECSYS_CUTS_MAX];
    size_t k_len;
    uint32_t k_max;
    struct totals totals[CCZ_RECSYS_CUTS_MAX];
    double *bits;   /* [items] -log2 of popularity */
    uint32_t *mark; /* [items] user + 1 whose list, or whose candidates, an item is in */
    uint32_t *user; /* [users_len] who is judged */
    size_t users_len;
    uint32_t *relevant;  /* [items] of one user */
    uint32_t *candidate; /* sampled: of one user, [items] at most */
    float *kept;         /* [users_len * k_len * METRICS], for intervals; or NULL */
    uint64_t relevant_all;
};

/* Ascending. What he has seen cannot be recommended, and is not asked for. */
static size_t relevant_of(uint32_t *out, const struct judge *j, uint32_t user)
{
    size_t len = 0;
    for (uint64_t p = j->test->start[user]; p < j->test->start[user + 1]; p++) {
        if (j->cfg->relevant_from != 0 && j->test->value[p] < j->cfg->relevant_from)
            continue;
        if (j->cfg->repeats || !cczi_recsys_has(j->train, user, j->test->col[p]))
            out[len++] = j->test->col[p];
    }
    return len;
}

static ccz_rc bad_list(struct ccz_err *err, uint32_t user, const char *got, const char *expected)
{
    (void)ccz_refuse(err, CCZ_E_FORMAT, "recsys:list", got, expected);
    if (err)
        err->aux = user;
    return CCZ_E_FORMAT;
}

/* Marks are users + 1; items of `seen` may not be there. Sampled: only what is marked as a candidate, which marking again undoes. */
static ccz_rc check_list(struct judge *j, uint32_t user, const uint32_t *list, bool sampled,
                         struct ccz_err *err)
{
    bool ended = false;
    for (uint32_t p = 0; p < j->k_max; p++) {
        if (list[p] == CCZ_RECSYS_NONE) {
            ended = true;
            continue;
        }
        if (ended)
            return bad_list(err, user, "an item behind the end of a list", "nothing");
        if (list[p] >= j->train->cols)
            return bad_list(err, user, "a number that no item has", "an item");
        if (sampled ? j->mark[list[p]] != user + 1 : j->mark[list[p]] == user + 1)
            return bad_list(err, user, "an item that is twice in a list, or was not asked for",
                            "each candidate once");
        j->mark[list[p]] = sampled ? 0 : user + 1;
        if (!sampled && !j->cfg->repeats && cczi_recsys_has(j->train, user, list[p]))
            return bad_list(err, user, "an item that the user has seen", "only new ones");
    }
    return CCZ_OK;
}

static void add_up(struct judge *j, size_t place, const uint32_t *list, size_t relevant_len,
                   uint32_t candidates, uint32_t items)
{
    for (size_t c = 0; c < j->k_len; c++) {
        struct totals *t = &j->totals[c];
        double value[CCZ_RECSYS_METRICS], bits = 0;
        uint32_t shown = 0;
        ccz_recsys_judge(value, list, j->k[c], j->relevant, relevant_len, candidates, items);
        for (; shown < j->k[c] && list[shown] != CCZ_RECSYS_NONE; shown++) {
            bits += j->bits[list[shown]];
            t->shown[list[shown]] = 1;
        }
        value[CCZ_RECSYS_NOVELTY] = shown > 0 ? bits / shown : (double)NAN;
        for (int m = 0; m < CCZ_RECSYS_METRICS; m++) {
            if (!isnan(value[m])) {
                t->sum[m] += value[m];
                t->len[m]++;
            }
            if (j->kept)
                j->kept[(place * j->k_len + c) * CCZ_RECSYS_METRICS + (size_t)m] = (float)value[m];
        }
        t->hits += value[CCZ_RECSYS_RECALL] * (double)relevant_len;
        t->cap += (double)(relevant_len < j->k[c] ? relevant_len : j->k[c]);
    }
    j->relevant_all += relevant_len;
}

static ccz_rc judge_full(struct judge *j, ccz_recsys_recommend_fn recommend, void *arg,
                         struct ccz_err *err)
{
    size_t batch = BATCH_ITEMS / j->k_max + 1;
    batch = batch < j->users_len ? batch : j->users_len;
    uint32_t *item = cczi_recsys_alloc((uint64_t)batch * j->k_max, sizeof(*item));
    float *score = cczi_recsys_alloc((uint64_t)batch * j->k_max, sizeof(*score));
    ccz_rc rc = item && score ? CCZ_OK : cczi_recsys_no_memory(err);
    for (size_t from = 0; rc == CCZ_OK && from < j->users_len; from += batch) {
        const size_t len = j->users_len - from < batch ? j->users_len - from : batch;
        rc = recommend(item, score, arg,
                       &(struct ccz_recsys_ask){.user = j->user + from,
                                                .users_len = len,
                                                .k = j->k_max,
                                                .seen = j->cfg->repeats ? NULL : j->train,
                                                .threads = j->cfg->threads},
                       err);
        for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
            const uint32_t user = j->user[from + i], *list = item + i * j->k_max;
            const size_t relevant_len = relevant_of(j->relevant, j, user);
            const uint64_t seen = j->train->start[user + 1] - j->train->start[user];
            rc = check_list(j, user, list, false, err);
            if (rc == CCZ_OK)
                add_up(j, from + i, list, relevant_len,
                       j->train->cols - (j->cfg->repeats ? 0 : (uint32_t)seen), j->train->cols);
        }
    }
    cczi_recsys_wipe_free(item, batch * j->k_max * sizeof(*item));
    cczi_recsys_wipe_free(score, batch * j->k_max * sizeof(*score));
    return rc;
}

/* Relevant items and others that are in neither part, or all of those if there are no more; marked. */
static size_t draw_candidates(struct judge *j, uint32_t user, size_t relevant_len)
{
    const uint32_t items = j->train->cols;
    struct ccz_seeded rnd = ccz_seeded_from(j->cfg->seed, user);
    const uint64_t known = j->train->start[user + 1] - j->train->start[user] +
                           j->test->start[user + 1] - j->test->start[user];
    size_t len = relevant_len;
    memcpy(j->candidate, j->relevant, relevant_len * sizeof(*j->relevant));
    for (size_t i = 0; i < relevant_len; i++)
        j->mark[j->relevant[i]] = user + 1;
    if (2 * (known + j->cfg->sampled) < items) { /* half of all draws are good */
        while (len < relevant_len + j->cfg->sampled) {
            const uint32_t i = (uint32_t)ccz_seeded_below(&rnd, items);
            if (j->mark[i] == user + 1 || cczi_recsys_has(j->train, user, i) ||
                cczi_recsys_has(j->test, user, i))
                continue;
            j->mark[i] = user + 1;
            j->candidate[len++] = i;
        }
        return len;
    }
    for (uint32_t i = 0; i < items; i++) /* all others, and of them a part by shuffling the front */
        if (j->mark[i] != user + 1 && !cczi_recsys_has(j->train, user, i) &&
            !cczi_recsys_has(j->test, user, i))
            j->candidate[len++] = i;
    const size_t others = len - relevant_len;
    size_t take = j->cfg->sampled < others ? j->cfg->sampled : others;
    for (size_t i = 0; i < take; i++) {
        uint32_t *a = &j->candidate[relevant_len + i], *b = a + ccz_seeded_below(&rnd, others - i),
                 swap = *a;
        *a = *b;
        *b = swap;
        j->mark[*a] = user + 1;
    }
    return relevant_len + take;
}

static ccz_rc judge_sampled(struct judge *j, ccz_recsys_recommend_fn recommend, void *arg,
                            struct ccz_err *err)
{
    uint32_t *item = cczi_recsys_alloc(j->k_max, sizeof(*item));
    float *score = cczi_recsys_alloc(j->k_max, sizeof(*score));
    ccz_rc rc = item && score ? CCZ_OK : cczi_recsys_no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < j->users_len; i++) {
        const size_t relevant_len = relevant_of(j->relevant, j, j->user[i]),
                     len = draw_candidates(j, j->user[i], relevant_len);
        rc = recommend(item, score, arg,
                       &(struct ccz_recsys_ask){.user = &j->user[i],
                                                .users_len = 1,
                                                .k = j->k_max,
                                                .allow = j->candidate,
                                                .allow_len = len,
                                                .threads = j->cfg->threads},
                       err);
        if (rc == CCZ_OK)
            rc = check_list(j, j->user[i], item, true, err);
        if (rc == CCZ_OK)
            add_up(j, i, item, relevant_len, (uint32_t)len, (uint32_t)len);
    }
    cczi_recsys_wipe_free(item, j->k_max * sizeof(*item));
    cczi_recsys_wipe_free(score, j->k_max * sizeof(*score));
    return rc;
}

/* ------------------------------------------------------------------------------------------- begin */

static ccz_rc check_users(const struct judge *j, struct ccz_err *err)
{
    for (size_t i = 0; j->cfg->user && i < j->cfg->users_len; i++)
        if (j->cfg->user[i] >= j->train->rows || (i > 0 && j->cfg->user[i] <= j->cfg->user[i - 1]))
            return ccz_fail(err, CCZ_E_ARG, "recsys:user", (int64_t)i,
                            "number %u, expected ascending ones below %u", j->cfg->user[i],
                            j->train->rows);
    return CCZ_OK;
}

static ccz_rc check(struct judge *j, struct ccz_err *err)
{
    const struct ccz_recsys_eval_cfg *c = j->cfg;
    if (j->train->rows != j->test->rows || j->train->cols != j->test->cols)
        return ccz_fail(err, CCZ_E_ARG, "recsys:shape", j->test->rows,
                        "got %u users x %u items for testing, expected %u x %u", j->test->rows,
                        j->test->cols, j->train->rows, j->train->cols);
    if (c->k_len > CCZ_RECSYS_CUTS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:k", (int64_t)c->k_len, CCZ_RECSYS_CUTS_MAX);
    j->k_len = c->k_len ? c->k_len : 1;
    for (size_t i = 0; i < j->k_len; i++) {
        j->k[i] = c->k_len ? c->k[i] : K;
        if (j->k[i] == 0 || j->k[i] > CCZ_RECSYS_K_MAX || (i > 0 && j->k[i] <= j->k[i - 1]))
            return ccz_fail(err, CCZ_E_ARG, "recsys:k", (int64_t)i,
                            "got %u, expected ascending lengths up to %d", j->k[i],
                            CCZ_RECSYS_K_MAX);
    }
    j->k_max = j->k[j->k_len - 1];
    if (c->sampled > CCZ_RECSYS_CANDIDATES_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:sampled", c->sampled,
                              CCZ_RECSYS_CANDIDATES_MAX);
    ccz_rc rc = check_users(j, err);
    return rc == CCZ_OK ? cczi_recsys_boot_check(c->confidence, c->bootstrap, err) : rc;
}

static void choose_users(struct judge *j)
{
    const size_t len = j->cfg->user ? j->cfg->users_len : j->train->rows;
    for (size_t i = 0; i < len; i++) {
        const uint32_t user = j->cfg->user ? j->cfg->user[i] : (uint32_t)i;
        if (relevant_of(j->relevant, j, user) > 0)
            j->user[j->users_len++] = user;
    }
}

static ccz_rc begin(struct judge *j, struct ccz_err *err)
{
    const uint32_t users = j->train->rows, items = j->train->cols;
    j->bits = cczi_recsys_alloc(items, sizeof(*j->bits));
    j->mark = cczi_recsys_alloc(items, sizeof(*j->mark));
    j->relevant = cczi_recsys_alloc(items, sizeof(*j->relevant));
    j->candidate = cczi_recsys_alloc(items, sizeof(*j->candidate));
    j->user = cczi_recsys_alloc(users, sizeof(*j->user));
    bool ok = j->bits && j->mark && j->relevant && j->candidate && j->user;
    for (size_t c = 0; c < j->k_len; c++) {
        j->totals[c].shown = cczi_recsys_alloc(items, 1);
        ok = ok && j->totals[c].shown;
    }
    if (!ok)
        return cczi_recsys_no_memory(err);
    choose_users(j);
    if (j->cfg->bootstrap > 0) {
        j->kept = cczi_recsys_alloc((uint64_t)j->users_len * j->k_len * CCZ_RECSYS_METRICS,
                                    sizeof(*j->kept));
        if (!j->kept)
            return cczi_recsys_no_memory(err);
    }
    for (uint64_t p = 0; p < j->train->len; p++)
        j->bits[j->train->col[p]]++;
    for (uint32_t i = 0; i < items; i++)
        j->bits[i] = -log2((j->bits[i] > 0 ? j->bits[i] : 1) / users);
    return CCZ_OK;
}

static void end(struct judge *j)
{
    const uint32_t users = j->train->rows, items = j->train->cols;
    cczi_recsys_wipe_free(j->bits, items * sizeof(*j->bits));
    cczi_recsys_wipe_free(j->mark, items * sizeof(*j->mark));
    cczi_recsys_wipe_free(j->relevant, items * sizeof(*j->relevant));
    cczi_recsys_wipe_free(j->candidate, items * sizeof(*j->candidate));
    cczi_recsys_wipe_free(j->kept, j->users_len * j->k_len * CCZ_RECSYS_METRICS * sizeof(*j->kept));
    cczi_recsys_wipe_free(j->user, users * sizeof(*j->user));
    for (size_t c = 0; c < j->k_len; c++)
        cczi_recsys_wipe_free(j->totals[c].shown, items);
}

/* ------------------------------------------------------------------------------------------ result */

static ccz_rc intervals(struct ccz_recsys_metrics *out, const struct judge *j, struct ccz_err *err)
{
    double low[CCZ_RECSYS_CUTS_MAX * CCZ_RECSYS_METRICS],
        high[CCZ_RECSYS_CUTS_MAX * CCZ_RECSYS_METRICS];
    ccz_rc rc =
        cczi_recsys_intervals(low, high,
                              &(struct cczi_recsys_boot){.value = j->kept,
                                                         .units = j->users_len,
                                                         .width = j->k_len * CCZ_RECSYS_METRICS,
                                                         .resamples = j->cfg->bootstrap,
                                                         .seed = j->cfg->seed,
                                                         .confidence = j->cfg->confidence,
                                                         .threads = j->cfg->threads},
                              err);
    for (size_t c = 0; rc == CCZ_OK && c < j->k_len; c++)
        for (size_t m = 0; m < CCZ_RECSYS_METRICS; m++) {
            out->at[c].low[m] = low[c * CCZ_RECSYS_METRICS + m];
            out->at[c].high[m] = high[c * CCZ_RECSYS_METRICS + m];
        }
    return rc;
}

static void means(struct ccz_recsys_metrics *out, const struct judge *j)
{
    *out = (struct ccz_recsys_metrics){
        .users = j->users_len, .relevant = j->relevant_all, .at_len = j->k_len};
    for (size_t c = 0; c < j->k_len; c++) {
        const struct totals *t = &j->totals[c];
        struct ccz_recsys_at *at = &out->at[c];
        uint64_t shown = 0;
        at->k = j->k[c];
        for (int m = 0; m < CCZ_RECSYS_METRICS; m++) {
            at->mean[m] = t->len[m] > 0 ? t->sum[m] / (double)t->len[m] : (double)NAN;
            at->low[m] = at->high[m] = NAN;
        }
        for (uint32_t i = 0; i < j->train->cols; i++)
            shown += t->shown[i];
        if (j->users_len > 0) {
            at->mean[CCZ_RECSYS_PRECISION_CAPPED] = t->hits / t->cap;
            at->mean[CCZ_RECSYS_COVERAGE] = (double)shown / j->train->cols;
        }
    }
}

ccz_rc ccz_recsys_evaluate(struct ccz_recsys_metrics *out, ccz_recsys_recommend_fn recommend,
                           void *arg, const struct ccz_recsys_csr *train,
                           const struct ccz_recsys_csr *test, const struct ccz_recsys_eval_cfg *cfg,
                           struct ccz_err *err)
{
    struct judge j = {.train = train, .test = test, .cfg = cfg};
    memset(out, 0, sizeof(*out));
    ccz_rc rc = check(&j, err);
    if (rc != CCZ_OK)
        return rc;
    rc = begin(&j, err);
    if (rc == CCZ_OK && j.users_len > 0)
        rc = cfg->sampled > 0 ? judge_sampled(&j, recommend, arg, err)
                              : judge_full(&j, recommend, arg, err);
    if (rc == CCZ_OK)
        means(out, &j);
    if (rc == CCZ_OK && cfg->bootstrap > 0 && j.users_len > 0)
        rc = intervals(out, &j, err);
    if (rc != CCZ_OK)
        memset(out, 0, sizeof(*out));
    end(&j);
    return rc;
}
