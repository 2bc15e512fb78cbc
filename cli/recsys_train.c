/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo recsys train, evaluate, order, search: a model, how good it is beside others, and with which parameters. */
#include "recsys_job.h"

#include <stdio.h>
#include <string.h>

static int train(int argc, char **argv, const char *usage, bool bundle)
{
    struct recsys_job j = {0};
    struct ui_opt opts[RECSYS_OPTIONS_MAX] = {0};
    size_t n = recsys_job_options(opts, &j.o);
    n += recsys_filter_options(opts + n, &j.o.input);
    n += recsys_foreign_options(opts + n, &j.o.input);
    if (bundle) {
        n += recsys_model_options(opts + n, &j.o);
        n += recsys_out_options(opts + n, &j.o);
        opts[n] = (struct ui_opt){
            "version", NULL, &j.o.version,
            NULL,      "N",  "of the model; default: that of the KMS key, which it must be; 1"};
    }
    const int left = ui_parse(argc, argv, usage, opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0)
        ui_error("unexpected operand: %s", argv[0]);
    if (left > 0 || !recsys_input_check(&j.o.input) || !recsys_als_cfg(&j.cfg, &j.o.als) ||
        !recsys_judge_check(&j.o, bundle) || !recsys_run_check(&j.o) ||
        (bundle && (!recsys_model_check(&j.o) || !recsys_out_check(&j.o))))
        return UI_USAGE;
    recsys_job_begin(&j);
    const int status = recsys_job_run(&j, bundle);
    recsys_job_end(&j);
    return status;
}

int recsys_train(int argc, char **argv)
{
    return train(
        argc, argv,
        "cczoo recsys train --in FILE --model-key KEY --out DIR --name NAME [--kind NAME] ..",
        true);
}

int recsys_evaluate(int argc, char **argv)
{
    return train(argc, argv, "cczoo recsys evaluate --in FILE [--kind NAME] [--baselines] ..",
                 false);
}

/* ---------------------------------------------------------------------------------------- order */

static ccz_rc digest(uint8_t out[32], const char *path, struct ccz_err *err)
{
    CCZ_AUTO(ccz_pinned) file = NULL;
    ccz_rc rc = ccz_pinned_open(&file, path, err);
    if (rc == CCZ_OK)
        memcpy(out, ccz_pinned_sha256(file), 32);
    return rc;
}

static ccz_rc text(char *out, size_t size, const char *what, const char *from, struct ccz_err *err)
{
    const int n = snprintf(out, size, "%s", from);
    return n >= 0 && (size_t)n < size
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_LIMIT, "recsys:order-value", n, "--%s is too long", what);
}

struct order_opts {
    const char *trainer, *ratings_key, *factors_key, *export_name;
};

/* What the options say, of files that are there. */
static ccz_rc order_of(struct ccz_recsys_order *o, const struct recsys_job *j,
                       const struct order_opts *made, struct ccz_err *err)
{
    const struct recsys_train_opts *from = &j->o;
    const struct recsys_input_opts *in = &from->input;
    const struct {
        char *out;
        size_t size;
        const char *option, *text;
    } texts[] = {{o->name, sizeof(o->name), "name", from->name},
                 {o->trainer, sizeof(o->trainer), "trainer", made->trainer},
                 {o->model_key, sizeof(o->model_key), "model-key", from->model_key},
                 {o->data.key, sizeof(o->data.key), "data-key", in->data_key ? in->data_key : ""},
                 {o->data.name, sizeof(o->data.name), "data-name", in->data_name},
                 {o->data.format, sizeof(o->data.format), "format", in->format},
                 {o->data.titles_format, sizeof(o->data.titles_format), "titles-format",
                  in->titles ? in->titles_format : ""},
                 {o->spark.ratings_key, sizeof(o->spark.ratings_key), "spark-ratings-key",
                  made->ratings_key},
                 {o->spark.factors_key, sizeof(o->spark.factors_key), "spark-factors-key",
                  made->factors_key},
                 {o->spark.export_name, sizeof(o->spark.export_name), "spark-export-name",
                  made->export_name}};
    *o = (struct ccz_recsys_order){.filter = in->filter, .als = j->cfg, .judge = from->judge};
    memcpy(o->parent_sha256, from->parent_sha256, 32);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < sizeof(texts) / sizeof(texts[0]); i++)
        rc = text(texts[i].out, texts[i].size, texts[i].option, texts[i].text, err);
    if (rc == CCZ_OK)
        rc = digest(o->data.sha256, in->in, err);
    if (rc == CCZ_OK && in->titles)
        rc = digest(o->data.titles_sha256, in->titles, err);
    return rc == CCZ_OK ? ccz_recsys_order_check(o, err) : rc;
}

int recsys_order(int argc, char **argv)
{
    struct recsys_job j = {0};
    struct ccz_recsys_order order;
    struct ccz_err err = {0};
    struct ui_opt opts[RECSYS_OPTIONS_MAX] = {0};
    struct order_opts made = {"cczoo", "", "", NULL};
    const struct ui_opt more[] = {
        {"trainer", &made.trainer, NULL, NULL, "NAME",
         "what is to make it: cczoo (default) or spark"},
        {"spark-ratings-key", &made.ratings_key, NULL, NULL, "key/NAME",
         "spark: of the ratings that the cluster gets"},
        {"spark-factors-key", &made.factors_key, NULL, NULL, "key/NAME",
         "spark: of the factors that it makes"},
        {"spark-export-name", &made.export_name, NULL, NULL, "NAME",
         "spark: what data set it gets; default export"},
    };
    size_t n = recsys_file_options(opts, &j.o.input);
    n += recsys_form_options(opts + n, &j.o.input);
    n += recsys_filter_options(opts + n, &j.o.input);
    n += recsys_als_options(opts + n, &j.o.als);
    n += recsys_judge_options(opts + n, &j.o);
    n += recsys_model_options(opts + n, &j.o);
    memcpy(opts + n, more, sizeof(more));
    const int left =
        ui_parse(argc, argv,
                 "cczoo recsys order --in FILE [--titles FILE] --data-key key/NAME --model-key "
                 "key/NAME --name NAME .. >order.json",
                 opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0)
        ui_error("unexpected operand: %s", argv[0]);
    if (left > 0 || !recsys_input_check(&j.o.input) || !recsys_als_cfg(&j.cfg, &j.o.als) ||
        !recsys_judge_check(&j.o, true) || !recsys_model_check(&j.o))
        return UI_USAGE;
    if (!made.export_name)
        made.export_name = strcmp(made.trainer, "spark") == 0 ? "export" : "";
    if (order_of(&order, &j, &made, &err) != CCZ_OK)
        return ui_fail(&err);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_RECSYS_ORDER_SIZE_MAX);
    ccz_recsys_order_put(&out, &order);
    if (out.bad) {
        ui_error("the order is larger than %d bytes", CCZ_RECSYS_ORDER_SIZE_MAX);
        return UI_USAGE;
    }
    ui_out_span(ccz_buf_span(&out));
    return UI_OK;
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
        !recsys_judge_check(&j.o, false) || !recsys_run_check(&j.o) ||
        !ui_count("trials", trials, 1, CCZ_RECSYS_TRIALS_MAX))
        return UI_USAGE;
    recsys_job_begin(&j);
    ccz_rc rc = recsys_input_read(&j.in, &j.o.input, &j.session, &err);
    if (rc == CCZ_OK)
        rc = search_in(&j, trials, &err);
    const int status = rc == CCZ_OK ? UI_OK : recsys_fail(&err);
    recsys_job_end(&j);
    return status;
}
