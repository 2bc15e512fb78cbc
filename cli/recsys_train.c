/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo recsys train, evaluate, search: a model, how good it is beside others, and with which parameters. */
#include "recsys_job.h"

#include <string.h>

int recsys_train(int argc, char **argv)
{
    return recsys_train_run(
        argc, argv,
        "cczoo recsys train --in FILE --model-key KEY --out DIR --name NAME [--kind NAME] ..",
        RECSYS_TRAIN);
}

int recsys_evaluate(int argc, char **argv)
{
    return recsys_train_run(argc, argv,
                            "cczoo recsys evaluate --in FILE [--kind NAME] [--baselines] ..",
                            RECSYS_EVALUATE);
}

/* --------------------------------------------------------------------------------------- search */

static bool on_trial(void *arg, size_t i, const struct ccz_recsys_trial *t)
{
    const struct ccz_recsys_search_cfg *cfg = arg;
    ui_out("%4zu", i + 1);
    for (size_t d = 0; d < cfg->dims_len; d++)
        ui_out(" %s=%.4g", cfg->dim[d].name, t->value[d]);
    ui_out("  ndcg@10 %.4f after %u iterations%s\n", t->best, t->best_step,
           t->ended == CCZ_RECSYS_ENDED_STEPS ? "" : ", stopped");
    return true;
}

static size_t dims_of(struct ccz_recsys_dim *dim, enum ccz_recsys_als_kind kind)
{
    const bool hkv = kind == CCZ_RECSYS_IMPLICIT_HKV, ials = kind == CCZ_RECSYS_IMPLICIT_IALS;
    size_t n = 0;
    dim[n++] = (struct ccz_recsys_dim){
        .name = "factors", .low = 8, .high = 128, .log = true, .integer = true};
    dim[n++] = (struct ccz_recsys_dim){
        .name = "reg", .low = hkv ? 0.1 : 1e-4, .high = hkv ? 300 : 1, .log = true};
    if (hkv)
        dim[n++] = (struct ccz_recsys_dim){.name = "alpha", .low = 0.5, .high = 100, .log = true};
    if (ials) {
        dim[n++] =
            (struct ccz_recsys_dim){.name = "unobserved", .low = 0.005, .high = 1, .log = true};
        dim[n++] = (struct ccz_recsys_dim){.name = "nu", .low = 0, .high = 1};
    }
    return n;
}

/* Validation is split from the training part: the test part chooses nothing. */
static ccz_rc search_in(struct recsys_job *j, int64_t trials, struct ccz_err *err)
{
    struct ccz_recsys_dim dim[CCZ_RECSYS_DIMS_MAX];
    struct ccz_recsys_ratings left = {0};
    CCZ_AUTO(ccz_recsys_csr) train = NULL;
    CCZ_AUTO(ccz_recsys_csr) valid = NULL;
    struct ccz_recsys_search found = {0};
    struct ccz_recsys_search_ops ops;
    struct ccz_recsys_search_cfg cfg = {.dim = dim,
                                        .dims_len = dims_of(dim, j->cfg.kind),
                                        .trials = (uint32_t)trials,
                                        .steps = j->cfg.iterations,
                                        .every = 3,
                                        .patience = 2,
                                        .median_stop = true,
                                        .seed = j->cfg.seed,
                                        .on_trial = on_trial,
                                        .on_trial_arg = &cfg};
    ccz_rc rc = recsys_job_split(&j->train, &j->test, &left, &j->in.data.ratings, j, err);
    if (rc == CCZ_OK)
        rc = recsys_job_split(&train, &valid, NULL, &left, j, err);
    ccz_recsys_ratings_deinit(&left);
    const struct ccz_recsys_als_trials t = {.train = train,
                                            .valid = valid,
                                            .cfg = j->cfg,
                                            .eval = {.threads = j->cfg.threads},
                                            .metric = CCZ_RECSYS_NDCG,
                                            .dim = dim,
                                            .dims_len = cfg.dims_len};
    if (rc == CCZ_OK)
        rc = ccz_recsys_als_search_ops(&ops, &t, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_search(&found, &ops, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_recsys_trial *best = &found.trial[found.best];
    ui_out("best: --iterations %u", best->best_step);
    for (size_t d = 0; d < cfg.dims_len; d++)
        ui_out(" --%s %.6g", dim[d].name, best->value[d]);
    ui_out("\n");
    if (j->o.html)
        rc = recsys_job_page(j, &found, &cfg, err);
    ccz_recsys_search_deinit(&found);
    return rc;
}

int recsys_search(int argc, char **argv)
{
    struct recsys_job j = {0};
    struct ccz_err err = {0};
    struct ui_opt opts[RECSYS_OPTIONS_MAX] = {0};
    int64_t trials = 20;
    size_t n = recsys_job_options(opts, &j.o);
    n += recsys_filter_options(opts + n, &j.o.input);
    n += recsys_foreign_options(opts + n, &j.o.input);
    opts[n] = (struct ui_opt){"trials", NULL, &trials, NULL, "N", "points to try, default 20"};
    const int left =
        ui_parse(argc, argv, "cczoo recsys search --in FILE [--kind NAME] [--trials N] ..", opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0 || !recsys_input_check(&j.o.input) || !recsys_als_cfg(&j.cfg, &j.o.als) ||
        !recsys_check_split(&j.o, false) || !ui_count("trials", trials, 1, CCZ_RECSYS_TRIALS_MAX))
        return UI_USAGE;
    recsys_job_begin(&j);
    ccz_rc rc = recsys_input_read(&j.in, &j.o.input, &j.session, &err);
    if (rc == CCZ_OK)
        rc = search_in(&j, trials, &err);
    const int status = rc == CCZ_OK ? UI_OK : recsys_fail(&err);
    recsys_job_end(&j);
    return status;
}
