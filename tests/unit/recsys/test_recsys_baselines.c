/* SPDX-License-Identifier: Apache-2.0 */
/* Baselines against their definitions in double precision, and lists against sorting everything. */
#include "eval_kit.h"
#include "refused.h"

#include <recsys/ease_priv.h>

enum { USERS = 70, ITEMS = 45, K = 12 };

static void table_row(float *score, const void *arg, uint32_t user)
{
    const struct kit_table *t = arg;
    memcpy(score, t->score + (size_t)user * t->items, t->items * sizeof(*score));
}

/* Scores with ties and with items that are none, for every way to narrow a list. */
static void lists(void)
{
    struct ccz_recsys_csr *seen, *rest;
    kit_parts(&seen, &rest, USERS, ITEMS, 0.3, 1);
    float *score = kit_scores(USERS, ITEMS, 1);
    for (size_t i = 0; i < USERS * ITEMS; i++)
        score[i] = i % 7 == 0 ? -INFINITY : roundf(score[i] * 2) + 0.0f; /* no -0 */
    struct kit_table t = {.users = USERS, .items = ITEMS, .score = score};
    const struct cczi_recsys_scorer s = {
        .score = table_row, .arg = &t, .users = USERS, .items = ITEMS, .width = ITEMS};
    const uint32_t deny[] = {3, 9, 10, 3}, allow[] = {44, 3, 5, 9, 30, 31, 2}, who[] = {9, 0, 9};
    const struct ccz_recsys_ask asks[] = {
        {.users_len = USERS, .k = K},
        {.users_len = USERS, .k = 1, .seen = seen},
        {.users_len = USERS, .k = ITEMS + 3, .seen = seen, .threads = 3},
        {.users_len = USERS, .k = K, .deny = deny, .deny_len = 4},
        {.users_len = USERS, .k = K, .allow = allow, .allow_len = 7, .seen = seen},
        {.users_len = USERS, .k = K, .allow = allow, .allow_len = 7, .deny = deny, .deny_len = 4},
        {.users_len = USERS, .k = K, .allow = allow, .allow_len = 0},
        {.user = who, .users_len = 3, .k = K}};
    uint32_t *item = malloc(USERS * (ITEMS + 3) * sizeof(*item) * 2), *want;
    float *got = malloc(USERS * (ITEMS + 3) * sizeof(*got) * 2), *best;
    CHECK(item && got);
    want = item + USERS * (ITEMS + 3);
    best = got + USERS * (ITEMS + 3);
    for (size_t a = 0; a < sizeof(asks) / sizeof(asks[0]); a++) {
        const size_t len = asks[a].users_len * asks[a].k;
        CHECK(cczi_recsys_lists(item, got, &s, &asks[a], NULL) == CCZ_OK);
        CHECK(kit_recommend(want, best, &t, &asks[a], NULL) == CCZ_OK);
        CHECK(memcmp(item, want, len * sizeof(*item)) == 0);
        CHECK(memcmp(got, best, len * sizeof(*got)) == 0);
    }
    free(item);
    free(got);
    free(score);
    ccz_recsys_csr_free(seen);
    ccz_recsys_csr_free(rest);
}

static void lists_refuse(void)
{
    struct ccz_recsys_csr *train, *test, *other, *more;
    kit_parts(&train, &test, USERS, ITEMS, 0.3, 1);
    kit_parts(&other, &more, USERS, ITEMS + 1, 0.3, 1);
    CCZ_AUTO(ccz_recsys_popular) p = NULL;
    CHECK(ccz_recsys_popular_new(&p, train, false, NULL) == CCZ_OK);
    const uint32_t users[] = {USERS}, items[] = {0, ITEMS};
    const struct {
        struct ccz_recsys_ask ask;
        const char *where;
    } bad[] = {
        {{.users_len = 1}, "recsys:k"},
        {{.users_len = 1, .k = CCZ_RECSYS_K_MAX + 1}, "recsys:k"},
        {{.users_len = USERS + 1, .k = 1}, "recsys:user"},
        {{.users_len = 1, .user = users, .k = 1}, "recsys:user"},
        {{.users_len = 1, .k = 1, .deny = items, .deny_len = 2}, "recsys:item"},
        {{.users_len = 1, .k = 1, .allow = items, .allow_len = 2}, "recsys:item"},
        {{.users_len = 1, .k = 1, .seen = other}, "recsys:seen"},
    };
    uint32_t item[USERS + 1];
    float score[USERS + 1];
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        item[0] = 1;
        CHECK(is_refused(ccz_recsys_popular_recommend(item, score, p, &bad[i].ask, &err), CCZ_E_ARG,
                         &err, bad[i].where));
        CHECK(bad[i].ask.k != 1 || (item[0] == CCZ_RECSYS_NONE && score[0] == -INFINITY));
    }
    struct ccz_recsys_csr low = *train; /* rows for those who ask are enough */
    low.rows = 2;
    CHECK(ccz_recsys_popular_recommend(
              item, score, p, &(struct ccz_recsys_ask){.users_len = 2, .k = 1, .seen = &low},
              &err) == CCZ_OK);
    CHECK(is_refused(
        ccz_recsys_popular_recommend(
            item, score, p, &(struct ccz_recsys_ask){.users_len = 3, .k = 1, .seen = &low}, &err),
        CCZ_E_ARG, &err, "recsys:seen"));
    CHECK(is_refused(ccz_recsys_popular_recommend(
                         item, score, p,
                         &(struct ccz_recsys_ask){.users_len = 1, .k = 1, .oblivious = true}, &err),
                     CCZ_E_UNSUPPORTED, &err, "recsys:oblivious"));
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    ccz_recsys_csr_free(other);
    ccz_recsys_csr_free(more);
}

/* A row that is none: in what was seen, and in what a baseline is made from. */
static void rows_refuse(void)
{
    struct ccz_recsys_csr *train, *seen;
    kit_parts(&train, &seen, USERS, ITEMS, 0.3, 1);
    struct ccz_recsys_popular *p = NULL;
    struct ccz_recsys_knn *knn = NULL;
    struct ccz_recsys_ease *ease = NULL;
    struct ccz_err err = {0};
    const uint32_t rows[] = {0, 33, USERS - 1};
    for (int columns = 0; columns < 2; columns++)
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            const char *where = columns ? "recsys:columns" : "recsys:rows";
            uint64_t *start = &train->start[rows[i] + 1], old_start = *start;
            uint32_t *col = &train->col[old_start - 1], old_col = *col;
            if (columns)
                *col = ITEMS;
            else
                *start = train->len + 1;
            CHECK(
                is_refused(ccz_recsys_popular_new(&p, train, false, &err), CCZ_E_ARG, &err, where));
            CHECK(is_refused(ccz_recsys_knn_new(&knn, train, &(struct ccz_recsys_knn_cfg){0}, &err),
                             CCZ_E_ARG, &err, where));
            CHECK(is_refused(
                ccz_recsys_ease_new(&ease, train, &(struct ccz_recsys_ease_cfg){0}, &err),
                CCZ_E_ARG, &err, where));
            CHECK(!p && !knn && !ease &&
                  err.aux == (rows[i] + 1 == USERS && !columns ? USERS : rows[i]));
            *col = old_col;
            *start = old_start;
        }
    train->start[0] = 1; /* what is before the first row is nobody's */
    CHECK(
        is_refused(ccz_recsys_popular_new(&p, train, false, &err), CCZ_E_ARG, &err, "recsys:rows"));
    train->start[0] = 0;
    CHECK(ccz_recsys_popular_new(&p, train, false, &err) == CCZ_OK);
    const uint32_t who[] = {1, 2};
    uint32_t item[2], *last = &seen->col[seen->start[3] - 1], old = *last;
    float score[2];
    const struct ccz_recsys_ask both = {.user = who, .users_len = 2, .k = 1, .seen = seen};
    *last = ITEMS; /* behind all scores */
    CHECK(is_refused(ccz_recsys_popular_recommend(item, score, p, &both, &err), CCZ_E_ARG, &err,
                     "recsys:columns"));
    CHECK(err.aux == 2 && item[0] == CCZ_RECSYS_NONE && item[1] == CCZ_RECSYS_NONE);
    *last = old;
    CHECK(ccz_recsys_popular_recommend(item, score, p, &both, &err) == CCZ_OK);
    seen->start[3] = seen->len + 1;
    CHECK(is_refused(ccz_recsys_popular_recommend(item, score, p, &both, &err), CCZ_E_ARG, &err,
                     "recsys:rows"));
    CHECK(err.aux == 2 && item[0] == CCZ_RECSYS_NONE);
    ccz_recsys_popular_free(p);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(seen);
}

static void popular(void)
{
    struct ccz_recsys_csr *train, *test;
    kit_parts(&train, &test, USERS, ITEMS, 0.3, 2);
    for (int values = 0; values < 2; values++) {
        CCZ_AUTO(ccz_recsys_popular) p = NULL;
        uint32_t item[K];
        float score[K];
        CHECK(ccz_recsys_popular_new(&p, train, values, NULL) == CCZ_OK);
        for (uint32_t i = 0; i < ITEMS; i++) {
            float sum = 0;
            for (uint64_t q = 0; q < train->len; q++)
                if (train->col[q] == i)
                    sum += values ? train->value[q] : 1;
            CHECK(ccz_recsys_popular_scores(p)[i] == sum);
        }
        const uint32_t who = 5;
        CHECK(ccz_recsys_popular_recommend(
                  item, score, p,
                  &(struct ccz_recsys_ask){.user = &who, .users_len = 1, .k = K, .seen = train},
                  NULL) == CCZ_OK);
        for (int i = 0; i < K; i++)
            CHECK(!kit_has(train, 5, item[i]) &&
                  score[i] == ccz_recsys_popular_scores(p)[item[i]] &&
                  (i == 0 || score[i] <= score[i - 1]));
    }
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
}

/* ------------------------------------------------------------------------------------------- item-kNN */

/* What a rating weighs, from a table of all cells; 0 is none. */
static void weigh(double w[USERS][ITEMS], double v[USERS][ITEMS],
                  const struct ccz_recsys_knn_cfg *c)
{
    double total = 0;
    for (int u = 0; u < USERS; u++)
        for (int i = 0; i < ITEMS; i++)
            total += v[u][i];
    for (int u = 0; u < USERS; u++) {
        double has = 0;
        for (int i = 0; i < ITEMS; i++)
            has += v[u][i] != 0;
        for (int i = 0; i < ITEMS; i++) {
            double sum = 0;
            for (int x = 0; x < USERS; x++)
                sum += v[x][i];
            const double idf = log(ITEMS) - log(1 + has);
            w[u][i] = v[u][i];
            if (c->kind == CCZ_RECSYS_KNN_TFIDF)
                w[u][i] = sqrt(v[u][i]) * idf;
            if (c->kind == CCZ_RECSYS_KNN_BM25 && v[u][i] != 0)
                w[u][i] = v[u][i] * (c->k1 + 1) /
                          (c->k1 * (1 - c->b + c->b * sum / (total / ITEMS)) + v[u][i]) * idf;
        }
    }
}

static double similarity(double w[USERS][ITEMS], int i, int j, const struct ccz_recsys_knn_cfg *c)
{
    double dot = 0, a = 0, b = 0;
    for (int u = 0; u < USERS; u++) {
        dot += w[u][i] * w[u][j];
        a += w[u][i] * w[u][i];
        b += w[u][j] * w[u][j];
    }
    return dot / ((c->kind == CCZ_RECSYS_KNN_BM25 ? 1 : sqrt(a) * sqrt(b)) + c->shrink);
}

static void knn_is(const struct ccz_recsys_csr *train, const struct ccz_recsys_knn_cfg *cfg)
{
    static double v[USERS][ITEMS], w[USERS][ITEMS], sim[ITEMS][ITEMS];
    struct ccz_recsys_knn_cfg c = *cfg;
    CCZ_AUTO(ccz_recsys_knn) k = NULL;
    CCZ_AUTO(ccz_recsys_knn) other = NULL;
    CHECK(ccz_recsys_knn_new(&k, train, cfg, NULL) == CCZ_OK);
    c.threads = 3;
    CHECK(ccz_recsys_knn_new(&other, train, &c, NULL) == CCZ_OK);
    c.k1 = c.k1 == 0 ? 1.2 : c.k1;
    c.b = c.b == 0 ? 0.75 : c.b;
    memset(v, 0, sizeof(v));
    for (uint32_t u = 0; u < USERS; u++)
        for (uint64_t p = train->start[u]; p < train->start[u + 1]; p++)
            v[u][train->col[p]] = c.binary ? 1 : (double)train->value[p];
    weigh(w, v, &c);
    for (int i = 0; i < ITEMS; i++)
        for (int j = 0; j < ITEMS; j++)
            sim[i][j] = similarity(w, i, j, &c);
    static float score[USERS][ITEMS];
    memset(score, 0, sizeof(score));
    for (uint32_t i = 0; i < ITEMS; i++) {
        const uint32_t *item, *item2;
        const float *s, *s2;
        const uint32_t len = ccz_recsys_knn_neighbours(&item, &s, k, i);
        CHECK(len <= (c.neighbours ? c.neighbours : 20));
        CHECK(ccz_recsys_knn_neighbours(&item2, &s2, other, i) == len &&
              memcmp(s, s2, len * sizeof(*s)) == 0 &&
              memcmp(item, item2, len * sizeof(*item)) == 0);
        for (uint32_t n = 0; n < len; n++) {
            CHECK(item[n] != i && fabs((double)s[n] - sim[i][item[n]]) < 1e-5);
            CHECK(n == 0 || s[n] <= s[n - 1]);
            for (uint32_t u = 0; u < USERS; u++)
                score[u][item[n]] += (float)v[u][i] * s[n];
        }
        for (uint32_t j = 0; len > 0 && j < ITEMS; j++) /* nobody outside is nearer */
            CHECK(j == i || kit_in(item, len, j) || sim[i][j] <= (double)s[len - 1] + 1e-5);
    }
    static uint32_t list[USERS * K];
    static float got[USERS * K];
    CHECK(ccz_recsys_knn_recommend(
              list, got, k, &(struct ccz_recsys_ask){.users_len = USERS, .k = K, .seen = train},
              NULL) == CCZ_OK);
    for (uint32_t u = 0; u < USERS; u++)
        for (uint32_t p = 0; p < K && list[u * K + p] != CCZ_RECSYS_NONE; p++)
            CHECK(fabsf(got[u * K + p] - score[u][list[u * K + p]]) < 1e-3f &&
                  !kit_has(train, u, list[u * K + p]));
}

static void knn(void)
{
    struct ccz_recsys_csr *train, *test;
    kit_parts(&train, &test, USERS, ITEMS, 0.25, 6);
    const struct ccz_recsys_knn_cfg cfgs[] = {
        {0},
        {.neighbours = 5, .shrink = 10, .binary = true},
        {.kind = CCZ_RECSYS_KNN_TFIDF},
        {.kind = CCZ_RECSYS_KNN_BM25},
        {.kind = CCZ_RECSYS_KNN_BM25, .k1 = 100, .b = 0.5, .neighbours = 1000, .shrink = 1},
    };
    for (size_t i = 0; i < sizeof(cfgs) / sizeof(cfgs[0]); i++)
        knn_is(train, &cfgs[i]);
    CCZ_AUTO(ccz_recsys_knn) k = NULL;
    struct ccz_err err = {0};
    const struct {
        struct ccz_recsys_knn_cfg cfg;
        const char *where;
    } bad[] = {{{.neighbours = CCZ_RECSYS_NEIGHBOURS_MAX + 1}, "recsys:neighbours"},
               {{.shrink = -1}, "recsys:shrink"},
               {{.shrink = NAN}, "recsys:shrink"},
               {{.kind = CCZ_RECSYS_KNN_BM25, .b = 1.5}, "recsys:bm25"},
               {{.kind = CCZ_RECSYS_KNN_BM25, .k1 = -1}, "recsys:bm25"},
               {{.kind = CCZ_RECSYS_KNN_TFIDF}, "recsys:value"}};
    train->value[3] = -1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(is_refused(ccz_recsys_knn_new(&k, train, &bad[i].cfg, &err), CCZ_E_ARG, &err,
                         bad[i].where) &&
              !k);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
}

/* An item that shares no user with anything is in no list. */
static void knn_alone(void)
{
    uint32_t user[] = {0, 0, 1, 1, 2}, item[] = {0, 1, 0, 1, 2};
    float value[] = {1, 1, 1, 1, 1};
    const struct ccz_recsys_ratings r = {
        .users = 4, .items = 4, .len = 5, .user = user, .item = item, .value = value};
    struct ccz_recsys_csr *train = kit_rows(&r);
    CCZ_AUTO(ccz_recsys_knn) k = NULL;
    uint32_t list[4 * 2];
    float score[4 * 2];
    CHECK(ccz_recsys_knn_new(&k, train, &(struct ccz_recsys_knn_cfg){0}, NULL) == CCZ_OK);
    CHECK(ccz_recsys_knn_recommend(list, score, k, &(struct ccz_recsys_ask){.users_len = 4, .k = 2},
                                   NULL) == CCZ_OK);
    CHECK(list[0] == 0 && list[1] == 1 && score[0] == 1);
    for (int i = 4; i < 8; i++)
        CHECK(list[i] == CCZ_RECSYS_NONE && score[i] == -INFINITY);
    ccz_recsys_csr_free(train);
}

/* ----------------------------------------------------------------------------------------------- EASE */

/* Gauss and Jordan with pivots, in double precision. */
static void invert(double *a, size_t n)
{
    double *w = calloc(n * 2 * n, sizeof(*w));
    CHECK(w);
    for (size_t i = 0; i < n; i++) {
        memcpy(w + i * 2 * n, a + i * n, n * sizeof(*w));
        w[i * 2 * n + n + i] = 1;
    }
    for (size_t c = 0; c < n; c++) {
        size_t best = c;
        for (size_t r = c + 1; r < n; r++)
            if (fabs(w[r * 2 * n + c]) > fabs(w[best * 2 * n + c]))
                best = r;
        for (size_t j = 0; j < 2 * n; j++) {
            const double x = w[c * 2 * n + j];
            w[c * 2 * n + j] = w[best * 2 * n + j];
            w[best * 2 * n + j] = x;
        }
        const double pivot = w[c * 2 * n + c];
        for (size_t j = 0; j < 2 * n; j++)
            w[c * 2 * n + j] /= pivot;
        for (size_t r = 0; r < n; r++) {
            const double f = w[r * 2 * n + c];
            for (size_t j = 0; r != c && f != 0 && j < 2 * n; j++)
                w[r * 2 * n + j] -= f * w[c * 2 * n + j];
        }
    }
    for (size_t i = 0; i < n; i++)
        memcpy(a + i * n, w + i * 2 * n + n, n * sizeof(*w));
    free(w);
}

static double *ease_reference(const struct ccz_recsys_csr *train, double reg, bool values)
{
    const size_t n = train->cols;
    double *a = calloc(n * n, sizeof(*a)), *b = calloc(n * n, sizeof(*b));
    CHECK(a && b);
    for (uint32_t u = 0; u < train->rows; u++)
        for (uint64_t p = train->start[u]; p < train->start[u + 1]; p++)
            for (uint64_t q = train->start[u]; q < train->start[u + 1]; q++)
                a[train->col[p] * n + train->col[q]] +=
                    values ? (double)train->value[p] * (double)train->value[q] : 1;
    for (size_t i = 0; i < n; i++)
        a[i * n + i] += reg;
    invert(a, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            b[i * n + j] = i == j ? 0 : -a[i * n + j] / a[j * n + j];
    free(a);
    return b;
}

/* Sizes around blocks; every tier; weights and lists. */
static void ease(void)
{
    static const uint32_t sizes[] = {1, 2, 95, 96, 97, 250};
    static const char *const tiers[] = {"portable", "avx2", "avx512"};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        const uint32_t n = sizes[s];
        const bool values = s % 2;
        struct ccz_recsys_csr *train, *test;
        kit_parts(&train, &test, 300, n, 0.1, 20 + s);
        double *want = ease_reference(train, 30, values);
        for (size_t t = 0; t < 3; t++) {
            CCZ_AUTO(ccz_recsys_ease) e = NULL;
            CCZ_AUTO(ccz_recsys_ease) other = NULL;
            struct ccz_recsys_ease_cfg cfg = {.reg = 30, .values = values, .tier = tiers[t]};
            struct ccz_err err = {0};
            ccz_rc rc = ccz_recsys_ease_new(&e, train, &cfg, &err);
            if (rc == CCZ_E_UNAVAILABLE) {
                CHECK(t > 0 && strcmp(err.where, "recsys:tier") == 0);
                continue;
            }
            CHECK(rc == CCZ_OK);
            cfg.threads = 4;
            CHECK(ccz_recsys_ease_new(&other, train, &cfg, &err) == CCZ_OK);
            for (uint32_t i = 0; i < n; i++) {
                CHECK(memcmp(ccz_recsys_ease_row(e, i), ccz_recsys_ease_row(other, i),
                             n * sizeof(float)) == 0);
                for (uint32_t j = 0; j < n; j++)
                    CHECK(fabs((double)ccz_recsys_ease_row(e, i)[j] - want[(size_t)i * n + j]) <
                          2e-5);
            }
            uint32_t list[3];
            float score[3];
            const uint32_t who = 7;
            CHECK(ccz_recsys_ease_recommend(
                      list, score, e,
                      &(struct ccz_recsys_ask){.user = &who, .users_len = 1, .k = 3},
                      NULL) == CCZ_OK);
            for (uint32_t p = 0; p < 3 && p < n; p++) {
                double sum = 0;
                for (uint64_t q = train->start[7]; q < train->start[8]; q++)
                    sum += want[(size_t)train->col[q] * n + list[p]] *
                           (values ? (double)train->value[q] : 1);
                CHECK(fabs(sum - (double)score[p]) < 1e-3);
            }
        }
        free(want);
        ccz_recsys_csr_free(train);
        ccz_recsys_csr_free(test);
    }
}

static void ease_refuse(void)
{
    struct ccz_recsys_csr *train, *test;
    CCZ_AUTO(ccz_recsys_ease) e = NULL;
    struct ccz_err err = {0};
    kit_parts(&train, &test, 30, 200, 0.3, 8);
    CHECK(is_refused(ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){.reg = -1}, &err),
                     CCZ_E_ARG, &err, "recsys:reg"));
    CHECK(
        is_refused(ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){.reg = NAN}, &err),
                   CCZ_E_ARG, &err, "recsys:reg"));
    CHECK(is_refused(
        ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){.reg = 1e300}, &err),
        CCZ_E_ARG, &err, "recsys:reg"));
    /* fewer users than items: without regularization there is no inverse */
    CHECK(is_refused(
        ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){.reg = 1e-30}, &err),
        CCZ_E_ARG, &err, "recsys:singular"));
    CHECK(is_refused(
        ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){.tier = "ifma2"}, &err),
        CCZ_E_UNAVAILABLE, &err, "recsys:tier"));
    const struct ccz_recsys_csr large = {.rows = 1, .cols = CCZ_RECSYS_EASE_ITEMS_MAX + 1};
    CHECK(is_refused(ccz_recsys_ease_new(&e, &large, &(struct ccz_recsys_ease_cfg){0}, &err),
                     CCZ_E_LIMIT, &err, "recsys:ease-items") &&
          !e);
    CHECK(ccz_recsys_ease_size(3706, 0, 1) > 3706 * 3706 * UINT64_C(4) &&
          ccz_recsys_ease_size(3706, 0, 1) < 3706 * 3706 * UINT64_C(5));
    CHECK(ccz_recsys_ease_size(100, 1000000, 1) > 8000000);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
}

/* Items 0, 150 and 250 that the same users have rated, and half of them item 200: an inverse that single precision cannot hold is
 * refused; with more regularization items that are alike share the weight. */
static void ease_alike(void)
{
    enum { ALL = 400000, ALIKE = 3 };
    static const uint32_t alike[ALIKE] = {0, 150, 250};
    static const double small[] = {0.01, 0.02, 0.03, 0.1, 1};
    struct ccz_recsys_ratings r;
    CHECK(ccz_recsys_ratings_init(&r, ALL, 300, (uint64_t)ALL * ALIKE + ALL / 2, false, NULL) ==
          CCZ_OK);
    uint64_t len = 0;
    for (uint32_t u = 0; u < ALL; u++)
        for (uint32_t i = 0; i < ALIKE + u % 2; i++, len++) {
            r.user[len] = u;
            r.item[len] = i < ALIKE ? alike[i] : 200;
            r.value[len] = 1;
        }
    struct ccz_recsys_csr *train = kit_rows(&r);
    CCZ_AUTO(ccz_recsys_ease) e = NULL;
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
        CHECK(is_refused(
            ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){.reg = small[i]}, &err),
            CCZ_E_ARG, &err, "recsys:singular"));
    CHECK(ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){.reg = 10}, &err) == CCZ_OK);
    for (int a = 0; a < ALIKE; a++)
        for (int b = 0; b < ALIKE; b++)
            CHECK(a == b || fabsf(ccz_recsys_ease_row(e, alike[a])[alike[b]] - 0.5f) < 0.02f);
    ccz_recsys_csr_free(train);
    ccz_recsys_ratings_deinit(&r);
}

/* Sums that single precision would not grow any more: what adds little, often. */
static void ease_large(void)
{
    enum { ALL = 200001 };
    struct ccz_recsys_ratings r;
    CHECK(ccz_recsys_ratings_init(&r, ALL, 2, ALL + 1, false, NULL) == CCZ_OK);
    for (uint32_t u = 0; u < ALL; u++) {
        r.user[u] = u;
        r.value[u] = u ? 15 : 65536;
    }
    r.item[ALL] = 1;
    r.value[ALL] = 65536;
    struct ccz_recsys_csr *train = kit_rows(&r);
    CCZ_AUTO(ccz_recsys_ease) e = NULL;
    CHECK(ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){.reg = 1, .values = true},
                              NULL) == CCZ_OK);
    const double both = 0x1p32, first = both + (ALL - 1) * 225.0 + 1;
    CHECK(fabs((double)ccz_recsys_ease_row(e, 0)[1] - both / first) < 1e-4);
    ccz_recsys_csr_free(train);
    ccz_recsys_ratings_deinit(&r);
}

static struct cczi_ease_kernels broken;

static void broken_tile(float *c, size_t stride, const float *a, const float *b, bool set)
{
    cczi_ease_portable.tile(c, stride, a, b, set);
    c[stride + 1] += 0.01f;
}

static void broken_axpy(float *y, const float *x, float a, size_t len)
{
    cczi_ease_portable.axpy(y, x, a, len);
    y[len]++;
}

/* A tier that computes wrongly, or writes too far, is not used. */
static void ease_self_test(void)
{
    CHECK(cczi_ease_self_test(&cczi_ease_portable));
    broken = cczi_ease_portable;
    broken.tile = broken_tile;
    CHECK(!cczi_ease_self_test(&broken));
    broken = cczi_ease_portable;
    broken.axpy = broken_axpy;
    CHECK(!cczi_ease_self_test(&broken));
    CHECK(cczi_ease_kernels("portable") == &cczi_ease_portable && !cczi_ease_kernels("none"));
    CHECK(cczi_ease_kernels(NULL));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys.lists", lists},
                                            {"recsys.lists_refuse", lists_refuse},
                                            {"recsys.rows_refuse", rows_refuse},
                                            {"recsys.popular", popular},
                                            {"recsys.knn", knn},
                                            {"recsys.knn_alone", knn_alone},
                                            {"recsys.ease", ease},
                                            {"recsys.ease_refuse", ease_refuse},
                                            {"recsys.ease_alike", ease_alike},
                                            {"recsys.ease_large", ease_large},
                                            {"recsys.ease_self_test", ease_self_test}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
