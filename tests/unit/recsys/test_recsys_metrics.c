/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics against definitions written down once more, by hand and by force. */
#include "eval_kit.h"
#include "refused.h"

enum { USERS = 83, ITEMS = 61 };

static bool near(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-12 * fmax(1, fabs(b));
}

/* Two relevant items in places 2 and 4 of five; one is not in the list. */
static void hand(void)
{
    const uint32_t list[] = {9, 3, 8, 5, 7}, relevant[] = {3, 5, 20};
    double m[CCZ_RECSYS_METRICS];
    ccz_recsys_judge(m, list, 5, relevant, 3, 10, 25);
    CHECK(m[CCZ_RECSYS_HR] == 1);
    CHECK(near(m[CCZ_RECSYS_RECALL], 2.0 / 3));
    CHECK(near(m[CCZ_RECSYS_PRECISION], 2.0 / 5));
    CHECK(near(m[CCZ_RECSYS_MRR], 0.5));
    CHECK(near(m[CCZ_RECSYS_MAP], (1.0 / 2 + 2.0 / 4) / 3));
    CHECK(near(m[CCZ_RECSYS_NDCG], (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3) + 1 / log2(4))));
    /* 7 irrelevant candidates, 3 of them listed: 0 + 1 + 2 hits before them; behind four unlisted: 2 hits for sure, the third half */
    CHECK(near(m[CCZ_RECSYS_AUC], (0 + 1 + 2 + 2.5 * 4) / (3 * 7)));
    CHECK(near(m[CCZ_RECSYS_AUC_ALL], (0 + 1 + 2 + 2.5 * 19) / (3 * 22)));
    CHECK(isnan(m[CCZ_RECSYS_NOVELTY]) && isnan(m[CCZ_RECSYS_COVERAGE]));
    /* shorter lists: what is ideal has as many places as the list */
    ccz_recsys_judge(m, list, 2, relevant, 3, 10, 25);
    CHECK(near(m[CCZ_RECSYS_NDCG], 1 / log2(3) / (1 + 1 / log2(3))));
    CHECK(near(m[CCZ_RECSYS_MAP], 0.5 / 2));
    /* a list that ends: what follows is a miss, but for AUC not an item */
    const uint32_t ends[] = {3, CCZ_RECSYS_NONE, CCZ_RECSYS_NONE};
    ccz_recsys_judge(m, ends, 3, relevant, 3, 10, 25);
    CHECK(near(m[CCZ_RECSYS_PRECISION], 1.0 / 3) && near(m[CCZ_RECSYS_AUC], 2.0 * 7 / (3 * 7)));
    /* nothing irrelevant: nothing to order */
    ccz_recsys_judge(m, ends, 3, relevant, 3, 3, 25);
    CHECK(isnan(m[CCZ_RECSYS_AUC]) && m[CCZ_RECSYS_HR] == 1);
    const uint32_t none[] = {21, 22};
    ccz_recsys_judge(m, none, 2, relevant, 3, 10, 25);
    CHECK(m[CCZ_RECSYS_HR] == 0 && m[CCZ_RECSYS_NDCG] == 0 && m[CCZ_RECSYS_MRR] == 0 &&
          m[CCZ_RECSYS_MAP] == 0);
    for (int i = 0; i < CCZ_RECSYS_METRICS; i++)
        CHECK(ccz_recsys_metric_from(ccz_recsys_metric_name((enum ccz_recsys_metric)i)) ==
              (enum ccz_recsys_metric)i);
    CHECK(ccz_recsys_metric_from("ndgc") == CCZ_RECSYS_METRICS);
}

/* Whether score says that a is before b. */
static bool before(const float *score, uint32_t a, uint32_t b)
{
    return score[a] > score[b] || (score[a] == score[b] && a < b);
}

/* By counting who stands before whom, without lists. */
struct brute {
    double sum[CCZ_RECSYS_METRICS], users, hits, cap;
    bool shown[ITEMS];
};

static void brute_user(struct brute *b, const float *score, const struct ccz_recsys_csr *train,
                       const struct ccz_recsys_csr *test, uint32_t u, uint32_t k)
{
    double n = 0, candidates = 0, hits = 0, dcg = 0, ideal = 0, ap = 0, first = 0, pairs = 0;
    double bits = 0, listed = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        n += kit_has(test, u, i);
        candidates += !kit_has(train, u, i);
    }
    if (n == 0)
        return;
    for (uint32_t i = 0; i < ITEMS; i++) {
        double place = 1, better_hits = 0, have = 0;
        if (kit_has(train, u, i))
            continue;
        for (uint32_t j = 0; j < ITEMS; j++)
            if (j != i && !kit_has(train, u, j) && before(score, j, i)) {
                place++;
                better_hits += kit_has(test, u, j);
            }
        if (place > k)
            continue;
        for (uint32_t v = 0; v < USERS; v++)
            have += kit_has(train, v, i);
        bits += log2(USERS / fmax(have, 1));
        listed++;
        b->shown[i] = true;
        if (!kit_has(test, u, i)) {
            pairs += better_hits;
            continue;
        }
        hits++;
        dcg += 1 / log2(place + 1);
        ap += (better_hits + 1) / place;
        first = fmax(first, 1 / place);
    }
    for (int p = 1; p <= fmin(k, n); p++)
        ideal += 1 / log2(p + 1);
    const double misses = listed - hits;
    b->users++;
    b->hits += hits;
    b->cap += fmin(k, n);
    b->sum[CCZ_RECSYS_HR] += hits > 0;
    b->sum[CCZ_RECSYS_RECALL] += hits / n;
    b->sum[CCZ_RECSYS_PRECISION] += hits / k;
    b->sum[CCZ_RECSYS_NDCG] += dcg / ideal;
    b->sum[CCZ_RECSYS_MAP] += ap / fmin(k, n);
    b->sum[CCZ_RECSYS_MRR] += first;
    b->sum[CCZ_RECSYS_NOVELTY] += bits / listed;
    b->sum[CCZ_RECSYS_AUC] +=
        (pairs + (hits + n) / 2 * (candidates - n - misses)) / (n * (candidates - n));
    b->sum[CCZ_RECSYS_AUC_ALL] +=
        (pairs + (hits + n) / 2 * (ITEMS - n - misses)) / (n * (ITEMS - n));
}

static void brute(void)
{
    struct ccz_recsys_csr *train, *test;
    kit_parts(&train, &test, USERS, ITEMS, 0.15, 3);
    float *score = kit_scores(USERS, ITEMS, 3);
    for (size_t i = 0; i < USERS * ITEMS; i += 3) /* ties */
        score[i] = 0.5f;
    struct kit_table t = {.users = USERS, .items = ITEMS, .score = score};
    struct ccz_recsys_eval_cfg cfg = {.k = {1, 5, 10, ITEMS}, .k_len = 4};
    struct ccz_recsys_metrics m;
    CHECK(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(m.at_len == 4);
    for (size_t c = 0; c < 4; c++) {
        struct brute b = {.users = 0};
        double shown = 0;
        for (uint32_t u = 0; u < USERS; u++)
            brute_user(&b, score + (size_t)u * ITEMS, train, test, u, cfg.k[c]);
        CHECK(b.users > USERS / 2 && (double)m.users == b.users && m.relevant == test->len);
        for (int i = 0; i < CCZ_RECSYS_PRECISION_CAPPED; i++)
            CHECK(near(m.at[c].mean[i], b.sum[i] / b.users));
        for (int i = 0; i < ITEMS; i++)
            shown += b.shown[i];
        CHECK(near(m.at[c].mean[CCZ_RECSYS_PRECISION_CAPPED], b.hits / b.cap));
        CHECK(near(m.at[c].mean[CCZ_RECSYS_COVERAGE], shown / ITEMS));
        CHECK(isnan(m.at[c].low[CCZ_RECSYS_NDCG]));
    }
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    free(score);
}

/* Who is judged, by what, with repeats, and nobody. */
static void choices(void)
{
    uint32_t user[] = {0, 0, 1, 2}, item[] = {0, 1, 2, 3};
    float value[] = {5, 2, 4, 1};
    const struct ccz_recsys_ratings r = {
        .users = 3, .items = 4, .len = 4, .user = user, .item = item, .value = value};
    struct ccz_recsys_ratings one = r, none = r;
    one.len = 1; /* user 0 has seen item 0, which is in the test part once more */
    none.len = 0;
    struct ccz_recsys_csr *test = kit_rows(&r), *train = kit_rows(&one), *empty = kit_rows(&none);
    const float score[3 * 4] = {9, 3, 2, 1, 1, 2, 9, 3, 1, 2, 3, 9};
    struct kit_table t = {.users = 3, .items = 4, .score = score};
    struct ccz_recsys_eval_cfg cfg = {.k = {1}, .k_len = 1};
    struct ccz_recsys_metrics m;
    CHECK(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(m.users == 3 && m.relevant == 3 && m.at[0].mean[CCZ_RECSYS_RECALL] == 1);
    cfg.repeats = true;
    CHECK(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(m.users == 3 && m.relevant == 4 && near(m.at[0].mean[CCZ_RECSYS_RECALL], 2.5 / 3));
    cfg.repeats = false;
    cfg.relevant_from = 4;
    CHECK(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(m.users == 1 && m.relevant == 1);
    const uint32_t who[] = {0, 2};
    cfg = (struct ccz_recsys_eval_cfg){.user = who, .users_len = 2};
    CHECK(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(m.users == 2 && m.at_len == 1 && m.at[0].k == 10);
    cfg = (struct ccz_recsys_eval_cfg){.bootstrap = 10};
    CHECK(ccz_recsys_evaluate(&m, kit_recommend, &t, train, empty, &cfg, NULL) == CCZ_OK);
    CHECK(m.users == 0 && isnan(m.at[0].mean[CCZ_RECSYS_NDCG]) &&
          isnan(m.at[0].mean[CCZ_RECSYS_COVERAGE]) && isnan(m.at[0].low[CCZ_RECSYS_HR]));
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    ccz_recsys_csr_free(empty);
}

/* Candidates are the relevant ones and as many others; with few others, all. A perfect order stays perfect, and a random one has
 * what chance gives it. */
static void sampled(void)
{
    enum { MANY = 400, NEGATIVES = 99 };
    struct ccz_recsys_csr *train, *test;
    kit_parts(&train, &test, USERS, MANY, 0.02, 5);
    float *score = kit_scores(USERS, MANY, 5);
    struct kit_table t = {.users = USERS, .items = MANY, .score = score};
    struct ccz_recsys_eval_cfg cfg = {.k = {10, 100}, .k_len = 2, .sampled = NEGATIVES, .seed = 1};
    struct ccz_recsys_metrics m, again, full;
    CHECK(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(t.calls == m.users && m.users > USERS / 2);
    CHECK(fabs(m.at[0].mean[CCZ_RECSYS_RECALL] - 10.0 / 101) < 0.06);
    CHECK(m.at[1].mean[CCZ_RECSYS_RECALL] > 0.95);
    CHECK(ccz_recsys_evaluate(&again, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(memcmp(&again, &m, sizeof(m)) == 0);
    cfg.seed = 2;
    CHECK(ccz_recsys_evaluate(&again, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(again.at[0].mean[CCZ_RECSYS_NDCG] != m.at[0].mean[CCZ_RECSYS_NDCG]);
    cfg.sampled = 0; /* what sampling promises is not what one gets */
    CHECK(ccz_recsys_evaluate(&full, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(full.at[0].mean[CCZ_RECSYS_RECALL] < m.at[0].mean[CCZ_RECSYS_RECALL] / 2);
    cfg.sampled =
        9999; /* more than there are: every other item, so that lists are those of the full ranking */
    CHECK(ccz_recsys_evaluate(&again, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    for (size_t i = 0; i < 2; i++)
        for (int n = 0; n < CCZ_RECSYS_AUC; n++)
            CHECK(near(again.at[i].mean[n], full.at[i].mean[n]));
    cfg.sampled = 300; /* few are left: shuffled, not drawn */
    CHECK(ccz_recsys_evaluate(&again, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(again.at[0].mean[CCZ_RECSYS_RECALL] >= full.at[0].mean[CCZ_RECSYS_RECALL]);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    free(score);
}

/* Intervals of means of coins: as wide as the normal approximation says, the same for any threads, around the mean. */
static void intervals(void)
{
    enum { MANY = 2000, FEW = 4 };
    struct ccz_recsys_ratings r, none = {.users = MANY, .items = FEW};
    CHECK(ccz_recsys_ratings_init(&r, MANY, FEW, MANY, false, NULL) == CCZ_OK);
    for (uint32_t u = 0; u < MANY; u++)
        r.user[u] = u; /* everybody takes item 0 */
    struct ccz_recsys_csr *test = kit_rows(&r), *train = kit_rows(&none);
    float *score = calloc((size_t)MANY * FEW, sizeof(*score));
    CHECK(score);
    for (uint32_t u = 0; u < MANY; u++)
        score[(size_t)u * FEW + (u % 4 == 0 ? 0 : 1)] = 1; /* a quarter gets it */
    struct kit_table t = {.users = MANY, .items = FEW, .score = score};
    struct ccz_recsys_eval_cfg cfg = {
        .k = {1}, .k_len = 1, .bootstrap = 2000, .seed = 9, .threads = 1};
    struct ccz_recsys_metrics m, other;
    CHECK(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    const double half = 1.96 * sqrt(0.25 * 0.75 / MANY), low = m.at[0].low[CCZ_RECSYS_HR],
                 high = m.at[0].high[CCZ_RECSYS_HR];
    CHECK(m.at[0].mean[CCZ_RECSYS_HR] == 0.25);
    CHECK(fabs(low - (0.25 - half)) < half / 5 && fabs(high - (0.25 + half)) < half / 5);
    CHECK(isnan(m.at[0].low[CCZ_RECSYS_COVERAGE]) &&
          isnan(m.at[0].high[CCZ_RECSYS_PRECISION_CAPPED]));
    cfg.threads = 3;
    CHECK(ccz_recsys_evaluate(&other, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(memcmp(&m, &other, sizeof(m)) == 0);
    cfg.confidence = 0.5;
    CHECK(ccz_recsys_evaluate(&other, kit_recommend, &t, train, test, &cfg, NULL) == CCZ_OK);
    CHECK(other.at[0].low[CCZ_RECSYS_HR] > low && other.at[0].high[CCZ_RECSYS_HR] < high);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    ccz_recsys_ratings_deinit(&r);
    free(score);
}

/* Lists that would flatter whoever made them are no lists. */
static void lists(void)
{
    static const char *const faults[] = {"twice", "gap", "number", "seen"};
    struct ccz_recsys_csr *train, *test;
    kit_parts(&train, &test, USERS, ITEMS, 0.2, 3);
    float *score = kit_scores(USERS, ITEMS, 3);
    struct kit_table t = {.users = USERS, .items = ITEMS, .score = score};
    struct ccz_recsys_eval_cfg cfg = {.k = {3}, .k_len = 1};
    struct ccz_recsys_metrics m;
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        t.fault = faults[i];
        CHECK(is_refused(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, &err),
                         CCZ_E_FORMAT, &err, "recsys:list"));
        CHECK(m.users == 0 && m.at_len == 0);
    }
    t.fault = "fails";
    CHECK(is_refused(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, &err), CCZ_E_IO,
                     &err, "kit:fails"));
    cfg.sampled = 5;
    t.fault = "other";
    CHECK(is_refused(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, &err),
                     CCZ_E_FORMAT, &err, "recsys:list"));
    t.fault = "twice";
    CHECK(is_refused(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &cfg, &err),
                     CCZ_E_FORMAT, &err, "recsys:list"));
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    free(score);
}

static void refuse(void)
{
    struct ccz_recsys_csr *train, *test, *other, *more;
    kit_parts(&train, &test, USERS, ITEMS, 0.2, 3);
    kit_parts(&other, &more, USERS, ITEMS + 1, 0.2, 3);
    float *score = kit_scores(USERS, ITEMS, 3);
    struct kit_table t = {.users = USERS, .items = ITEMS, .score = score};
    const uint32_t falls[] = {3, 3}, large[] = {USERS};
    const struct {
        struct ccz_recsys_eval_cfg cfg;
        const char *where;
    } bad[] = {{{.k = {5, 5}, .k_len = 2}, "recsys:k"},
               {{.k = {0}, .k_len = 1}, "recsys:k"},
               {{.k = {CCZ_RECSYS_K_MAX + 1}, .k_len = 1}, "recsys:k"},
               {{.k_len = CCZ_RECSYS_CUTS_MAX + 1}, "recsys:k"},
               {{.user = falls, .users_len = 2}, "recsys:user"},
               {{.user = large, .users_len = 1}, "recsys:user"},
               {{.confidence = 1}, "recsys:confidence"},
               {{.confidence = NAN}, "recsys:confidence"},
               {{.bootstrap = CCZ_RECSYS_BOOTSTRAP_MAX + 1}, "recsys:bootstrap"},
               {{.sampled = CCZ_RECSYS_CANDIDATES_MAX + 1}, "recsys:sampled"}};
    struct ccz_recsys_metrics m;
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(is_refused(ccz_recsys_evaluate(&m, kit_recommend, &t, train, test, &bad[i].cfg, &err),
                         CCZ_E_ARG, &err, bad[i].where));
    CHECK(is_refused(ccz_recsys_evaluate(&m, kit_recommend, &t, train, other,
                                         &(struct ccz_recsys_eval_cfg){0}, &err),
                     CCZ_E_ARG, &err, "recsys:shape"));
    CHECK(t.calls == 0);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    ccz_recsys_csr_free(other);
    ccz_recsys_csr_free(more);
    free(score);
}

/* @param arg  const float *: what it predicts of everything */
static ccz_rc predict_same(float *value, void *arg, const uint32_t *user, const uint32_t *item,
                           size_t len, struct ccz_err *err)
{
    const float *same = arg;
    (void)user;
    (void)item;
    (void)err;
    for (size_t i = 0; i < len; i++)
        value[i] = *same;
    return CCZ_OK;
}

static void errors(void)
{
    struct ccz_recsys_csr *train, *test;
    kit_parts(&train, &test, USERS, ITEMS, 0.3, 11);
    struct ccz_recsys_model m = {.mean = 2.5f};
    struct ccz_seeded rnd = ccz_seeded_from(1, 1);
    CHECK(ccz_recsys_factors_init(&m.user, USERS, 3, true, NULL) == CCZ_OK &&
          ccz_recsys_factors_init(&m.item, ITEMS, 3, true, NULL) == CCZ_OK);
    for (uint32_t u = 0; u < USERS; u++) {
        m.user.bias[u] = (float)ccz_seeded_normal(&rnd);
        for (int f = 0; f < 3; f++)
            ccz_recsys_row(&m.user, u)[f] = (float)ccz_seeded_normal(&rnd);
    }
    for (uint32_t i = 0; i < ITEMS; i++) {
        m.item.bias[i] = (float)ccz_seeded_normal(&rnd);
        for (int f = 0; f < 3; f++)
            ccz_recsys_row(&m.item, i)[f] = (float)ccz_seeded_normal(&rnd);
    }
    double square = 0, absolute = 0;
    for (uint32_t u = 0; u < USERS; u++)
        for (uint64_t p = test->start[u]; p < test->start[u + 1]; p++) {
            const float *x = ccz_recsys_row(&m.user, u), *y = ccz_recsys_row(&m.item, test->col[p]);
            float v = 2.5f + m.user.bias[u] + m.item.bias[test->col[p]] + x[0] * y[0] +
                      x[1] * y[1] + x[2] * y[2];
            v = v < 1 ? 1 : v > 5 ? 5 : v;
            square += ((double)v - (double)test->value[p]) * ((double)v - (double)test->value[p]);
            absolute += fabs((double)v - (double)test->value[p]);
        }
    struct ccz_recsys_error_cfg cfg = {.low = 1, .high = 5, .bootstrap = 500, .seed = 3};
    struct ccz_recsys_errors e, other;
    struct ccz_err err = {0};
    CHECK(ccz_recsys_errors(&e, ccz_recsys_predict, &m, test, &cfg, NULL) == CCZ_OK);
    CHECK(e.len == test->len && fabs(e.rmse - sqrt(square / (double)test->len)) < 1e-5 &&
          fabs(e.mae - absolute / (double)test->len) < 1e-5);
    CHECK(e.rmse_low < e.rmse && e.rmse < e.rmse_high && e.mae_low < e.mae && e.mae < e.mae_high);
    cfg.threads = 4;
    CHECK(ccz_recsys_errors(&other, ccz_recsys_predict, &m, test, &cfg, NULL) == CCZ_OK &&
          memcmp(&e, &other, sizeof(e)) == 0);
    const struct ccz_recsys_error_cfg plain = {0};
    CHECK(ccz_recsys_errors(&other, ccz_recsys_predict, &m, test, &plain, NULL) == CCZ_OK &&
          other.rmse > e.rmse && isnan(other.rmse_low));
    CHECK(is_refused(ccz_recsys_errors(&e, predict_same, &(float){NAN}, test, &plain, &err),
                     CCZ_E_FORMAT, &err, "recsys:prediction"));
    CHECK(is_refused(ccz_recsys_errors(&e, ccz_recsys_predict, &m, test,
                                       &(struct ccz_recsys_error_cfg){.low = 5, .high = 1}, &err),
                     CCZ_E_ARG, &err, "recsys:range"));
    m.item.len--;
    CHECK(is_refused(ccz_recsys_errors(&e, ccz_recsys_predict, &m, test, &plain, &err), CCZ_E_ARG,
                     &err, "recsys:item"));
    m.item.len++;
    m.user.len--;
    CHECK(is_refused(ccz_recsys_errors(&e, ccz_recsys_predict, &m, test, &plain, &err), CCZ_E_ARG,
                     &err, "recsys:user"));
    m.user.len++;
    ccz_recsys_factors_deinit(&m.user);
    ccz_recsys_factors_deinit(&m.item);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
}

/* Two of fifty users have a rating, one is 1 off and one 2: no sample is better than 1 or worse than 2. */
static void errors_few(void)
{
    uint32_t user[] = {3, 9}, item[] = {0, 1};
    float value[] = {4, 5};
    const struct ccz_recsys_ratings r = {
        .users = 50, .items = 5, .len = 2, .user = user, .item = item, .value = value};
    struct ccz_recsys_csr *test = kit_rows(&r);
    const struct ccz_recsys_error_cfg cfg = {.bootstrap = 2000};
    struct ccz_recsys_errors e;
    CHECK(ccz_recsys_errors(&e, predict_same, &(float){3}, test, &cfg, NULL) == CCZ_OK);
    CHECK(e.rmse_low == 1 && e.rmse_high == 2 && e.mae_low == 1 && e.mae_high == 2);
    ccz_recsys_csr_free(test);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"recsys.metrics_hand", hand},           {"recsys.metrics_brute", brute},
        {"recsys.metrics_choices", choices},     {"recsys.metrics_sampled", sampled},
        {"recsys.metrics_intervals", intervals}, {"recsys.metrics_lists", lists},
        {"recsys.metrics_refuse", refuse},       {"recsys.errors", errors},
        {"recsys.errors_few", errors_few}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
