/* SPDX-License-Identifier: Apache-2.0 */
/* From ratings to a report with the k-th allocation failing, for every k. */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include "eval_kit.h"
#include "refused.h"

#include <cczoo/recsys_rank.h>

static const double regs[] = {10, 20};
static const struct ccz_recsys_dim dims[] = {{.name = "reg", .value = regs, .value_len = 2}};

/* What one use has made. */
struct world {
    struct ccz_recsys_synth *synth;
    struct ccz_recsys_ratings all, train, test;
    struct ccz_recsys_csr *seen, *held;
    struct ccz_recsys_popular *popular;
    struct ccz_recsys_knn *knn;
    struct ccz_recsys_ease *ease;
    struct ccz_recsys_model *truth;
    struct ccz_recsys_search found;
};

static ccz_rc count(void *arg, const struct ccz_recsys_ratings *r, struct ccz_err *err)
{
    (void)err;
    *(uint64_t *)arg += r->len;
    return CCZ_OK;
}

static ccz_rc data(struct world *w, struct ccz_err *err)
{
    uint64_t len = 0;
    ccz_rc rc = ccz_recsys_synth_new(
        &w->synth,
        &(struct ccz_recsys_synth_cfg){
            .users = 30, .items = 20, .ratings = 150, .topics = 2, .implicit = true},
        err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_synth_ratings(&w->all, w->synth, 1, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_synth_each(w->synth, 0, 30, count, &len, err);
    CHECK(rc != CCZ_OK || len == 150);
    for (int kind = 0; rc == CCZ_OK && kind < 4; kind++) {
        ccz_recsys_ratings_deinit(&w->train);
        ccz_recsys_ratings_deinit(&w->test);
        rc = ccz_recsys_split(
            &w->train, &w->test, NULL, &w->all,
            &(struct ccz_recsys_split_cfg){.kind = (enum ccz_recsys_split_kind)kind}, err);
    }
    if (rc == CCZ_OK)
        rc = ccz_recsys_csr_new(&w->seen, &w->train, CCZ_RECSYS_TWICE_REFUSE, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_csr_new(&w->held, &w->test, CCZ_RECSYS_TWICE_REFUSE, err);
    return rc;
}

static ccz_rc recommenders(struct world *w, struct ccz_err *err)
{
    ccz_rc rc = ccz_recsys_popular_new(&w->popular, w->seen, true, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_knn_new(&w->knn, w->seen,
                                &(struct ccz_recsys_knn_cfg){.kind = CCZ_RECSYS_KNN_BM25}, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_ease_new(&w->ease, w->seen, &(struct ccz_recsys_ease_cfg){0}, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_synth_truth(&w->truth, w->synth, true, err);
    return rc;
}

static ccz_rc judge(struct world *w, struct ccz_err *err)
{
    struct ccz_recsys_metrics m;
    struct ccz_recsys_errors e;
    struct ccz_recsys_search_ops ops;
    const struct ccz_recsys_als_trials t = {.train = w->seen,
                                            .valid = w->held,
                                            .cfg = {.factors = 2, .alpha = 1},
                                            .dim = dims,
                                            .dims_len = 1};
    const uint32_t deny = 3;
    uint32_t item[30 * 2];
    float score[30 * 2];
    ccz_rc rc = ccz_recsys_evaluate(&m, ccz_recsys_knn_recommend, w->knn, w->seen, w->held,
                                    &(struct ccz_recsys_eval_cfg){.bootstrap = 3}, err);
    CHECK(rc == CCZ_OK || m.users == 0);
    if (rc == CCZ_OK)
        rc = ccz_recsys_evaluate(&m, ccz_recsys_ease_recommend, w->ease, w->seen, w->held,
                                 &(struct ccz_recsys_eval_cfg){.sampled = 2}, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_popular_recommend(
            item, score, w->popular,
            &(struct ccz_recsys_ask){.users_len = 30, .k = 2, .deny = &deny, .deny_len = 1}, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_errors(&e, ccz_recsys_predict, w->truth, w->held,
                               &(struct ccz_recsys_error_cfg){.bootstrap = 3}, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_als_search_ops(&ops, &t, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_search(
            &w->found, &ops,
            &(struct ccz_recsys_search_cfg){.dim = dims, .dims_len = 1, .steps = 2}, err);
    CHECK(rc == CCZ_OK || (w->found.len == 0 && !w->found.trial));
    return rc;
}

static ccz_rc page(struct world *w, struct ccz_err *err)
{
    const struct ccz_recsys_search_cfg cfg = {.dim = dims, .dims_len = 1};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    ccz_rc rc = ccz_recsys_report_html(
        &out, &(struct ccz_recsys_report){.title = "t", .search = &w->found, .search_cfg = &cfg},
        err);
    if (rc == CCZ_E_LIMIT) { /* the buffer's own memory */
        CHECK(out.bad && strcmp(err->where, "recsys:report-size") == 0);
        return ccz_fail(err, CCZ_E_NOMEM, "recsys:memory", 0, "the report's");
    }
    return rc;
}

/* One whole use; false and "recsys:memory" if an allocation failed. */
static bool use(void)
{
    struct world w = {0};
    struct ccz_err err = {0};
    ccz_rc rc = data(&w, &err);
    if (rc == CCZ_OK)
        rc = recommenders(&w, &err);
    if (rc == CCZ_OK)
        rc = judge(&w, &err);
    if (rc == CCZ_OK)
        rc = page(&w, &err);
    ccz_recsys_search_deinit(&w.found);
    ccz_recsys_model_free(w.truth);
    ccz_recsys_ease_free(w.ease);
    ccz_recsys_knn_free(w.knn);
    ccz_recsys_popular_free(w.popular);
    ccz_recsys_csr_free(w.seen);
    ccz_recsys_csr_free(w.held);
    ccz_recsys_ratings_deinit(&w.all);
    ccz_recsys_ratings_deinit(&w.train);
    ccz_recsys_ratings_deinit(&w.test);
    ccz_recsys_synth_free(w.synth);
    CHECK(rc == CCZ_OK || is_refused(rc, CCZ_E_NOMEM, &err, "recsys:memory"));
    return rc == CCZ_OK;
}

static void nomem(void)
{
    long k = 0;
    CHECK(nomem_openssl());
    for (bool done = false; !done; k++) {
        nomem_left = k;
        done = use();
        nomem_left = -1;
    }
    CHECK(k > 100);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys.eval_nomem", nomem}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
