/* SPDX-License-Identifier: Apache-2.0 */
/* Ratings with a truth: what they are is what the truth says, and recommenders find it again. */
#include "eval_kit.h"
#include "refused.h"

#include <cczoo/recsys_rank.h>

enum { USERS = 1500, ITEMS = 400, RATINGS = 45000 };

static const struct ccz_recsys_synth_cfg base = {
    .users = USERS, .items = ITEMS, .ratings = RATINGS, .seed = 3};

static struct ccz_recsys_ratings make(struct ccz_recsys_synth **s,
                                      const struct ccz_recsys_synth_cfg *cfg, unsigned threads)
{
    struct ccz_recsys_ratings r;
    CHECK(ccz_recsys_synth_new(s, cfg, NULL) == CCZ_OK);
    CHECK(ccz_recsys_synth_ratings(&r, *s, threads, NULL) == CCZ_OK);
    return r;
}

static int falling(const void *a, const void *b)
{
    return (int)*(const uint32_t *)b - (int)*(const uint32_t *)a;
}

static void shape(void)
{
    struct ccz_recsys_synth *s;
    struct ccz_recsys_ratings r = make(&s, &base, 1);
    uint32_t of_user[USERS] = {0}, of_item[ITEMS] = {0};
    struct ccz_recsys_csr *m;
    CHECK(r.users == USERS && r.items == ITEMS && r.len == RATINGS);
    for (uint64_t i = 0; i < r.len; i++) {
        of_user[r.user[i]]++;
        of_item[r.item[i]]++;
        CHECK(isfinite(r.value[i]));
        CHECK(i == 0 || r.user[i] >= r.user[i - 1]);
        CHECK(i == 0 || r.user[i] != r.user[i - 1] || r.time[i] > r.time[i - 1]);
    }
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_REFUSE, NULL) == CCZ_OK); /* none twice */
    ccz_recsys_csr_free(m);
    for (int u = 0; u < USERS; u++)
        CHECK(of_user[u] >= 1 && of_user[u] <= ITEMS / 4 + 2);
    const uint32_t first = of_item[0];
    qsort(of_user, USERS, sizeof(of_user[0]), falling);
    qsort(of_item, ITEMS, sizeof(of_item[0]), falling);
    /* few have much: the first tenth of users more than a fifth, of items more than a quarter */
    uint32_t users = 0, items = 0;
    for (int i = 0; i < USERS / 10; i++)
        users += of_user[i];
    for (int i = 0; i < ITEMS / 10; i++)
        items += of_item[i];
    CHECK(users > RATINGS / 5 && items > RATINGS / 4);
    CHECK(first != of_item[0]); /* the first number is not the most popular item */
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_synth_free(s);
}

struct taken {
    const struct ccz_recsys_ratings *all;
    uint64_t at;
    int stop;
};

static ccz_rc take(void *arg, const struct ccz_recsys_ratings *r, struct ccz_err *err)
{
    struct taken *t = arg;
    for (uint64_t i = 0; i < r->len; i++, t->at++)
        CHECK(r->user[i] == t->all->user[t->at] && r->item[i] == t->all->item[t->at] &&
              r->value[i] == t->all->value[t->at] && r->time[i] == t->all->time[t->at]);
    return t->stop && --t->stop == 0 ? ccz_fail(err, CCZ_E_IO, "test:full", 0, "as told") : CCZ_OK;
}

/* In memory, by many threads, in parts: the same. Another seed: not. */
static void parts(void)
{
    struct ccz_recsys_synth *s, *other;
    struct ccz_recsys_ratings r = make(&s, &base, 1), threads = make(&other, &base, 3);
    CHECK(memcmp(r.item, threads.item, RATINGS * sizeof(*r.item)) == 0 &&
          memcmp(r.value, threads.value, RATINGS * sizeof(*r.value)) == 0);
    ccz_recsys_synth_free(other);
    ccz_recsys_ratings_deinit(&threads);
    struct taken t = {.all = &r};
    struct ccz_err err = {0};
    CHECK(ccz_recsys_synth_each(s, 0, 100, take, &t, NULL) == CCZ_OK);
    CHECK(ccz_recsys_synth_each(s, 100, USERS - 100, take, &t, NULL) == CCZ_OK && t.at == RATINGS);
    t = (struct taken){.all = &r, .stop = 3};
    CHECK(is_refused(ccz_recsys_synth_each(s, 0, USERS, take, &t, &err), CCZ_E_IO, &err,
                     "test:full"));
    CHECK(is_refused(ccz_recsys_synth_each(s, 1, USERS, take, &t, &err), CCZ_E_ARG, &err,
                     "recsys:user"));
    struct ccz_recsys_synth_cfg cfg = base;
    cfg.seed++;
    struct ccz_recsys_ratings else_ = make(&other, &cfg, 1);
    CHECK(memcmp(r.item, else_.item, RATINGS * sizeof(*r.item)) != 0);
    ccz_recsys_ratings_deinit(&else_);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_synth_free(other);
    ccz_recsys_synth_free(s);
}

/* Frequencies of first choices are the chances that the truth says; values are its values and noise. */
static void truth(void)
{
    struct ccz_recsys_synth *s;
    struct ccz_recsys_synth_cfg cfg = {
        .users = 40000, .items = 12, .ratings = 40000, .topics = 3, .seed = 8};
    struct ccz_recsys_ratings r = make(&s, &cfg, 2);
    CCZ_AUTO(ccz_recsys_model) m = NULL;
    double expected[12] = {0}, variance[12] = {0}, got[12] = {0};
    CHECK(ccz_recsys_synth_truth(&m, s, false, NULL) == CCZ_OK);
    CHECK(m->user.factors == 3 && m->user.len == 40000 && m->item.len == 12);
    for (uint32_t u = 0; u < 40000; u++) {
        double sum = 0;
        for (uint32_t i = 0; i < 12; i++) {
            float v;
            CHECK(ccz_recsys_predict(&v, m, &u, &i, 1, NULL) == CCZ_OK && v >= 0);
            const double p = (double)v / 12;
            expected[i] += p;
            variance[i] += p * (1 - p);
            sum += p;
        }
        CHECK(fabs(sum - 1) < 1e-4);
    }
    for (uint64_t i = 0; i < r.len; i++)
        got[r.item[i]]++;
    for (int i = 0; i < 12; i++)
        CHECK(fabs(got[i] - expected[i]) < 4.5 * sqrt(variance[i]) + 1);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_synth_free(s);

    cfg = base;
    cfg.noise = 0.25;
    r = make(&s, &cfg, 1);
    struct ccz_recsys_csr *rows = kit_rows(&r);
    CCZ_AUTO(ccz_recsys_model) v = NULL;
    struct ccz_recsys_errors e;
    CHECK(ccz_recsys_synth_truth(&v, s, true, NULL) == CCZ_OK);
    CHECK(ccz_recsys_errors(&e, ccz_recsys_predict, v, rows, &(struct ccz_recsys_error_cfg){0},
                            NULL) == CCZ_OK);
    CHECK(fabs(e.rmse - 0.25) < 0.005);
    ccz_recsys_csr_free(rows);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_synth_free(s);
}

static void values(void)
{
    struct ccz_recsys_synth *s;
    struct ccz_recsys_synth_cfg cfg = base;
    cfg.stars = true;
    struct ccz_recsys_ratings r = make(&s, &cfg, 1);
    uint64_t star[6] = {0};
    for (uint64_t i = 0; i < r.len; i++) {
        CHECK(r.value[i] >= 1 && r.value[i] <= 5 && r.value[i] == roundf(r.value[i]));
        star[(int)r.value[i]]++;
    }
    for (int i = 1; i <= 5; i++)
        CHECK(star[i] > RATINGS / 200);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_synth_free(s);
    cfg.stars = false;
    cfg.implicit = true;
    r = make(&s, &cfg, 1);
    double sum = 0;
    for (uint64_t i = 0; i < r.len; i++) {
        CHECK(r.value[i] >= 1 && r.value[i] == roundf(r.value[i]));
        sum += (double)r.value[i];
    }
    CHECK(fabs(sum / RATINGS - 2) < 0.05);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_synth_free(s);
}

/* Everybody has half of all, or one: nobody more than there are. */
static void extremes(void)
{
    const struct ccz_recsys_synth_cfg cfgs[] = {
        {.users = 5, .items = 2, .ratings = 5},
        {.users = 7, .items = 3, .ratings = 10},
        {.users = 9, .items = 5, .ratings = 22},
        {.users = 50, .items = 6, .ratings = 150},
        {.users = 20,
         .items = 40,
         .ratings = 400,
         .user_skew = 0.99,
         .liking = 0.06,
         .taste = 0.01},
        {.users = 1, .items = 1000, .ratings = 500, .topics = 1, .item_skew = 3.9},
    };
    for (size_t i = 0; i < sizeof(cfgs) / sizeof(cfgs[0]); i++) {
        struct ccz_recsys_synth *s;
        struct ccz_recsys_ratings r = make(&s, &cfgs[i], 1);
        struct ccz_recsys_csr *m;
        CHECK(r.len == cfgs[i].ratings);
        CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_REFUSE, NULL) == CCZ_OK);
        for (uint32_t u = 0; u < m->rows; u++)
            CHECK(m->start[u + 1] > m->start[u]);
        ccz_recsys_csr_free(m);
        ccz_recsys_ratings_deinit(&r);
        ccz_recsys_synth_free(s);
    }
}

static double ndcg_of(ccz_recsys_recommend_fn fn, void *arg, const struct ccz_recsys_csr *train,
                      const struct ccz_recsys_csr *test)
{
    struct ccz_recsys_metrics m;
    CHECK(ccz_recsys_evaluate(&m, fn, arg, train, test, &(struct ccz_recsys_eval_cfg){.threads = 2},
                              NULL) == CCZ_OK);
    CHECK(m.users > USERS / 2);
    return m.at[0].mean[CCZ_RECSYS_NDCG];
}

/* Truth > factors, EASE and kNN > popularity, each by a clear margin. */
static void recovered(void)
{
    struct ccz_recsys_synth *s;
    struct ccz_recsys_synth_cfg counts = base;
    counts.implicit = true;
    struct ccz_recsys_ratings r = make(&s, &counts, 2), a, b;
    CCZ_AUTO(ccz_recsys_model) m = NULL;
    CCZ_AUTO(ccz_recsys_popular) popular = NULL;
    CCZ_AUTO(ccz_recsys_knn) knn = NULL;
    CCZ_AUTO(ccz_recsys_ease) ease = NULL;
    CCZ_AUTO(ccz_recsys_model) als = NULL;
    CHECK(ccz_recsys_split(&a, &b, NULL, &r,
                           &(struct ccz_recsys_split_cfg){.kind = CCZ_RECSYS_SPLIT_LAST},
                           NULL) == CCZ_OK);
    struct ccz_recsys_csr *train = kit_rows(&a), *test = kit_rows(&b);
    CHECK(ccz_recsys_synth_truth(&m, s, false, NULL) == CCZ_OK);
    float *score = kit_model_scores(m);
    struct kit_table table = {.users = USERS, .items = ITEMS, .score = score};
    CHECK(ccz_recsys_popular_new(&popular, train, false, NULL) == CCZ_OK);
    CHECK(ccz_recsys_knn_new(
              &knn, train,
              &(struct ccz_recsys_knn_cfg){.neighbours = 100, .shrink = 10, .binary = true},
              NULL) == CCZ_OK);
    CHECK(ccz_recsys_ease_new(&ease, train, &(struct ccz_recsys_ease_cfg){.reg = 200}, NULL) ==
          CCZ_OK);
    CHECK(ccz_recsys_als_train(&als, train,
                               &(struct ccz_recsys_als_cfg){.kind = CCZ_RECSYS_IMPLICIT_IALS,
                                                            .factors = 16,
                                                            .iterations = 12,
                                                            .reg = 0.01f,
                                                            .unobserved = 0.2f,
                                                            .nu = 1,
                                                            .threads = 2},
                               NULL) == CCZ_OK);
    const double best = ndcg_of(kit_recommend, &table, train, test),
                 by_ease = ndcg_of(ccz_recsys_ease_recommend, ease, train, test),
                 by_knn = ndcg_of(ccz_recsys_knn_recommend, knn, train, test),
                 by_als = ndcg_of(ccz_recsys_recommend, als, train, test),
                 by_popular = ndcg_of(ccz_recsys_popular_recommend, popular, train, test);
    fprintf(stderr, "ndcg@10: truth %.4f, als %.4f, ease %.4f, knn %.4f, popular %.4f\n", best,
            by_als, by_ease, by_knn, by_popular);
    CHECK(best > by_ease && best > by_als && by_ease > 2 * by_popular && by_als > 2 * by_popular &&
          by_knn > 2 * by_popular);
    free(score);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    ccz_recsys_ratings_deinit(&a);
    ccz_recsys_ratings_deinit(&b);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_synth_free(s);
}

/* Explicit factors with biases come near the noise that no model can do without, and beat the mean of all. */
static void recovered_values(void)
{
    struct ccz_recsys_synth *s;
    struct ccz_recsys_synth_cfg cfg = base;
    cfg.noise = 0.3;
    cfg.ratings = 120000;
    struct ccz_recsys_ratings r = make(&s, &cfg, 2), a, b;
    CCZ_AUTO(ccz_recsys_model) als = NULL;
    struct ccz_recsys_errors e, flat;
    CHECK(ccz_recsys_split(&a, &b, NULL, &r,
                           &(struct ccz_recsys_split_cfg){.kind = CCZ_RECSYS_SPLIT_RANDOM},
                           NULL) == CCZ_OK);
    struct ccz_recsys_csr *train = kit_rows(&a), *test = kit_rows(&b);
    CHECK(ccz_recsys_als_train(&als, train,
                               &(struct ccz_recsys_als_cfg){.kind = CCZ_RECSYS_EXPLICIT,
                                                            .biases = true,
                                                            .factors = 8,
                                                            .iterations = 15,
                                                            .reg = 0.02f,
                                                            .threads = 2},
                               NULL) == CCZ_OK);
    const struct ccz_recsys_error_cfg judge = {0};
    CHECK(ccz_recsys_errors(&e, ccz_recsys_predict, als, test, &judge, NULL) == CCZ_OK);
    struct ccz_recsys_model mean = {.mean = als->mean};
    CHECK(ccz_recsys_factors_init(&mean.user, USERS, 1, false, NULL) == CCZ_OK &&
          ccz_recsys_factors_init(&mean.item, ITEMS, 1, false, NULL) == CCZ_OK);
    CHECK(ccz_recsys_errors(&flat, ccz_recsys_predict, &mean, test, &judge, NULL) == CCZ_OK);
    fprintf(stderr, "rmse: noise 0.3, als %.4f, mean %.4f\n", e.rmse, flat.rmse);
    CHECK(e.rmse > 0.295 && e.rmse < 0.45 && flat.rmse > 2 * e.rmse);
    ccz_recsys_factors_deinit(&mean.user);
    ccz_recsys_factors_deinit(&mean.item);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    ccz_recsys_ratings_deinit(&a);
    ccz_recsys_ratings_deinit(&b);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_synth_free(s);
}

/* The search finds that factors are needed, and stops a trial that has seen its best. */
static void searched(void)
{
    static const double factors[] = {1, 8}, regs[] = {0.01, 1e6};
    const struct ccz_recsys_dim dims[] = {{.name = "factors", .value = factors, .value_len = 2},
                                          {.name = "reg", .value = regs, .value_len = 2}};
    struct ccz_recsys_synth *s;
    struct ccz_recsys_synth_cfg counts = base;
    counts.implicit = true;
    struct ccz_recsys_ratings r = make(&s, &counts, 2), a, b;
    CHECK(ccz_recsys_split(&a, &b, NULL, &r,
                           &(struct ccz_recsys_split_cfg){.kind = CCZ_RECSYS_SPLIT_LAST},
                           NULL) == CCZ_OK);
    struct ccz_recsys_csr *train = kit_rows(&a), *valid = kit_rows(&b);
    struct ccz_recsys_als_trials t = {.train = train,
                                      .valid = valid,
                                      .cfg = {.alpha = 5},
                                      .metric = CCZ_RECSYS_NDCG,
                                      .dim = dims,
                                      .dims_len = 2};
    const struct ccz_recsys_search_cfg cfg = {
        .dim = dims, .dims_len = 2, .steps = 30, .patience = 3};
    struct ccz_recsys_search_ops ops;
    struct ccz_recsys_search found;
    struct ccz_err err = {0};
    CHECK(ccz_recsys_als_search_ops(&ops, &t, &err) == CCZ_OK);
    CHECK(ccz_recsys_search(&found, &ops, &cfg, &err) == CCZ_OK);
    CHECK(found.len == 4 && found.best == 2 && found.trial[2].best > 0.1 &&
          found.trial[0].best < 0.7 * found.trial[2].best);
    CHECK(found.trial[2].ended == CCZ_RECSYS_ENDED_PATIENCE && found.trial[2].steps < 30);
    /* what the search says is what training so long gives */
    CCZ_AUTO(ccz_recsys_model) m = NULL;
    struct ccz_recsys_als_cfg again = {
        .alpha = 5, .factors = 8, .reg = 0.01f, .iterations = found.trial[2].best_step};
    CHECK(ccz_recsys_als_train(&m, train, &again, NULL) == CCZ_OK);
    CHECK(fabs(ndcg_of(ccz_recsys_recommend, m, train, valid) - found.trial[2].best) < 1e-9);
    ccz_recsys_search_deinit(&found);
    struct ccz_recsys_dim wrong = {.name = "fctors", .value = factors, .value_len = 2};
    t.dim = &wrong;
    t.dims_len = 1;
    CHECK(is_refused(ccz_recsys_als_search_ops(&ops, &t, &err), CCZ_E_ARG, &err, "recsys:dim"));
    wrong.name = "factors";
    valid->cols++;
    CHECK(is_refused(ccz_recsys_als_search_ops(&ops, &t, &err), CCZ_E_ARG, &err, "recsys:shape"));
    valid->cols--;
    const double below[] = {-5}; /* not the default of conjugate gradients */
    wrong = (struct ccz_recsys_dim){.name = "cg_steps", .value = below, .value_len = 1};
    t.cfg.factors = 2;
    CHECK(ccz_recsys_als_search_ops(&ops, &t, &err) == CCZ_OK);
    CHECK(is_refused(
        ccz_recsys_search(&found, &ops,
                          &(struct ccz_recsys_search_cfg){.dim = &wrong, .dims_len = 1}, &err),
        CCZ_E_ARG, &err, "recsys:cg-steps"));
    t.cfg.factors = 0;
    const double none[] = {0.2}; /* refused by what trains */
    wrong = (struct ccz_recsys_dim){.name = "factors", .value = none, .value_len = 1};
    CHECK(ccz_recsys_als_search_ops(&ops, &t, &err) == CCZ_OK);
    CHECK(is_refused(
        ccz_recsys_search(&found, &ops,
                          &(struct ccz_recsys_search_cfg){.dim = &wrong, .dims_len = 1}, &err),
        CCZ_E_LIMIT, &err, "recsys:factors"));
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(valid);
    ccz_recsys_ratings_deinit(&a);
    ccz_recsys_ratings_deinit(&b);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_synth_free(s);
}

static void refuse(void)
{
    struct ccz_recsys_synth *s;
    struct ccz_err err = {0};
    struct ccz_recsys_synth_cfg bad[] = {base, base, base, base, base,
                                         base, base, base, base, base};
    bad[0].users = 0;
    bad[1].items = 1;
    bad[2].ratings = USERS - 1;
    bad[3].ratings = USERS * ITEMS / 2 + 1;
    bad[4].topics = 257;
    bad[5].item_skew = NAN;
    bad[6].user_skew = 1;
    bad[7].taste = -1;
    bad[8].liking = 0.01;
    bad[9].noise = -1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(
            is_refused(ccz_recsys_synth_new(&s, &bad[i], &err), CCZ_E_ARG, &err, "recsys:synth") &&
            !s);
    struct ccz_recsys_synth_cfg cfg = base;
    cfg.users = CCZ_RECSYS_LEN_MAX + 1;
    CHECK(is_refused(ccz_recsys_synth_new(&s, &cfg, &err), CCZ_E_LIMIT, &err, "recsys:users"));
    cfg = base;
    cfg.items = CCZ_RECSYS_LEN_MAX + 1;
    CHECK(is_refused(ccz_recsys_synth_new(&s, &cfg, &err), CCZ_E_LIMIT, &err, "recsys:items"));
    cfg = base;
    cfg.ratings = CCZ_RECSYS_RATINGS_MAX + 1;
    CHECK(is_refused(ccz_recsys_synth_new(&s, &cfg, &err), CCZ_E_LIMIT, &err, "recsys:ratings"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys.synth_shape", shape},
                                            {"recsys.synth_parts", parts},
                                            {"recsys.synth_truth", truth},
                                            {"recsys.synth_values", values},
                                            {"recsys.synth_extremes", extremes},
                                            {"recsys.synth_recovered", recovered},
                                            {"recsys.synth_recovered_values", recovered_values},
                                            {"recsys.search_als", searched},
                                            {"recsys.synth_refuse", refuse}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
