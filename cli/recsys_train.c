/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cczoo recsys train, evaluate, search: a model, how good it is beside others, and with which parameters; export, import: the
 * training itself left to a cluster.
 */
#include "recsys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTIONS_MAX = 64, ROWS_MAX = 4, CURVE_MAX = 200, FACTS_MAX = 16, PAGE_SIZE_MAX = 16 << 20 };

struct train_opts {
    struct recsys_trust_opts trust;
    struct recsys_input_opts input;
    struct recsys_als_opts als;
    const char *split, *share, *html, *out, *name, *model_key, *parent, *by_factors, *expect;
    int64_t version, bootstrap;
    bool baselines, json;
};

/* What stands in tables and pages. */
struct judged {
    const char *name;
    struct ccz_recsys_metrics m;
};
struct curve {
    double x[CURVE_MAX], y[CURVE_MAX];
    size_t len;
};
struct job {
    struct train_opts o;
    struct recsys_session session;
    struct recsys_input in;
    struct ccz_recsys_als_cfg cfg;
    struct ccz_recsys_eval_cfg eval;
    struct ccz_recsys_csr *train, *test;
    struct ccz_recsys_model *model; /* of the training part */
    struct judged row[ROWS_MAX];
    size_t rows;
    struct curve by_iteration, by_factors;
    struct ccz_err curve_err;
};

static void job_end(struct job *j)
{
    ccz_recsys_model_free(j->model);
    ccz_recsys_csr_free(j->train);
    ccz_recsys_csr_free(j->test);
    recsys_input_deinit(&j->in);
    recsys_session_end(&j->session);
}

/* ---------------------------------------------------------------------------------------- split */

static bool split_kind(enum ccz_recsys_split_kind *out, const char *name)
{
    static const struct {
        const char *name;
        enum ccz_recsys_split_kind kind;
    } kinds[] = {{"last", CCZ_RECSYS_SPLIT_LAST},
                 {"time", CCZ_RECSYS_SPLIT_TIME},
                 {"leave", CCZ_RECSYS_SPLIT_LEAVE},
                 {"random", CCZ_RECSYS_SPLIT_RANDOM}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0) {
            *out = kinds[i].kind;
            return true;
        }
    return false;
}

static bool check_split(const struct train_opts *o, bool may_be_none)
{
    enum ccz_recsys_split_kind kind;
    double share;
    if (!split_kind(&kind, o->split) && !(may_be_none && strcmp(o->split, "none") == 0)) {
        ui_error("--split is last, time, leave%s", may_be_none ? ", random or none" : " or random");
        return false;
    }
    return recsys_real(&share, "share", o->share, 0.2, 0.001, 0.999) &&
           recsys_count("bootstrap", o->bootstrap, 0, CCZ_RECSYS_BOOTSTRAP_MAX);
}

/* Splits @p from; both parts as rows of users. */
static ccz_rc split(struct ccz_recsys_csr **train, struct ccz_recsys_csr **test,
                    struct ccz_recsys_ratings *left, const struct ccz_recsys_ratings *from,
                    const struct job *j, struct ccz_err *err)
{
    struct ccz_recsys_split_cfg cfg = {.seed = j->cfg.seed, .drop_cold = true};
    struct ccz_recsys_ratings a = {0}, b = {0};
    (void)split_kind(&cfg.kind, j->o.split);
    (void)recsys_real(&cfg.share, "share", j->o.share, 0.2, 0.001, 0.999);
    ccz_rc rc = ccz_recsys_split(&a, &b, NULL, from, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_csr_new(train, &a, CCZ_RECSYS_TWICE_REFUSE, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_csr_new(test, &b, CCZ_RECSYS_TWICE_REFUSE, err);
    if (rc == CCZ_E_ARG && err && strcmp(err->where, "recsys:time") == 0)
        (void)ccz_hint(err, rc, "these ratings have no times: --split leave or random");
    if (left && rc == CCZ_OK)
        *left = a;
    else
        ccz_recsys_ratings_deinit(&a);
    ccz_recsys_ratings_deinit(&b);
    return rc;
}

/* ------------------------------------------------------------------------------------- judging */

static ccz_rc judge(struct job *j, const char *name, ccz_recsys_recommend_fn fn, void *arg,
                    struct ccz_err *err)
{
    struct judged *r = &j->row[j->rows];
    r->name = name;
    ccz_rc rc = ccz_recsys_evaluate(&r->m, fn, arg, j->train, j->test, &j->eval, err);
    j->rows += rc == CCZ_OK;
    return rc;
}

static ccz_rc judge_model(struct ccz_recsys_metrics *out, const struct job *j,
                          const struct ccz_recsys_model *m, struct ccz_err *err)
{
    struct ccz_recsys_eval_cfg eval = j->eval;
    eval.bootstrap = 0;
    return ccz_recsys_evaluate(out, ccz_recsys_recommend, (void *)(uintptr_t)m, j->train, j->test,
                               &eval, err);
}

static bool on_iteration(void *arg, const struct ccz_recsys_als_step *step)
{
    struct job *j = arg;
    struct ccz_recsys_metrics m;
    if (j->by_iteration.len == CURVE_MAX)
        return true;
    if (judge_model(&m, j, step->model, &j->curve_err) != CCZ_OK)
        return false;
    j->by_iteration.x[j->by_iteration.len] = step->iteration;
    j->by_iteration.y[j->by_iteration.len++] = m.at[0].mean[CCZ_RECSYS_NDCG];
    return true;
}

/* "8,16,32": a model of each number of factors. */
static ccz_rc curve_of_factors(struct job *j, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (const char *at = j->o.by_factors; rc == CCZ_OK && at && *at;) {
        char *end = NULL;
        struct ccz_recsys_als_cfg cfg = j->cfg;
        struct ccz_recsys_metrics m;
        CCZ_AUTO(ccz_recsys_model) model = NULL;
        const unsigned long factors = strtoul(at, &end, 10);
        if (end == at || (*end && *end != ',') || factors < 1 || factors > CCZ_RECSYS_FACTORS_MAX ||
            j->by_factors.len == CURVE_MAX)
            return ccz_fail(err, CCZ_E_ARG, "recsys:by-factors", 0,
                            "--by-factors is a list of numbers: 8,16,32");
        cfg.factors = (uint32_t)factors;
        rc = ccz_recsys_als_train(&model, j->train, &cfg, err);
        if (rc == CCZ_OK)
            rc = judge_model(&m, j, model, err);
        if (rc == CCZ_OK) {
            j->by_factors.x[j->by_factors.len] = (double)factors;
            j->by_factors.y[j->by_factors.len++] = m.at[0].mean[CCZ_RECSYS_NDCG];
        }
        at = *end ? end + 1 : end;
    }
    return rc;
}

static ccz_rc judge_baselines(struct job *j, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_popular) popular = NULL;
    CCZ_AUTO(ccz_recsys_knn) knn = NULL;
    CCZ_AUTO(ccz_recsys_ease) ease = NULL;
    const struct ccz_recsys_knn_cfg knn_cfg = {
        .neighbours = 100, .shrink = 10, .threads = j->cfg.threads};
    const struct ccz_recsys_ease_cfg ease_cfg = {.threads = j->cfg.threads};
    ccz_rc rc = ccz_recsys_popular_new(&popular, j->train, false, err);
    if (rc == CCZ_OK)
        rc = judge(j, "popularity", ccz_recsys_popular_recommend, popular, err);
    if (rc != CCZ_OK || !j->o.baselines)
        return rc;
    rc = ccz_recsys_knn_new(&knn, j->train, &knn_cfg, err);
    if (rc == CCZ_OK)
        rc = judge(j, "item-kNN", ccz_recsys_knn_recommend, knn, err);
    if (rc == CCZ_OK && j->train->cols <= CCZ_RECSYS_EASE_ITEMS_MAX) {
        rc = ccz_recsys_ease_new(&ease, j->train, &ease_cfg, err);
        if (rc == CCZ_OK)
            rc = judge(j, "EASE", ccz_recsys_ease_recommend, ease, err);
    }
    return rc;
}

static ccz_rc judge_all(struct job *j, struct ccz_err *err)
{
    struct ccz_recsys_als_cfg cfg = j->cfg;
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    if (j->o.html) {
        cfg.on_iteration = on_iteration;
        cfg.arg = j;
    }
    ccz_rc rc = judge_baselines(j, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_als_train(&j->model, j->train, &cfg, err);
    if (rc == CCZ_OK && j->curve_err.rc != CCZ_OK) {
        *err = j->curve_err;
        rc = err->rc;
    }
    if (rc == CCZ_OK)
        rc = ccz_recsys_index_new(&index, j->model, NULL, err);
    if (rc == CCZ_OK)
        rc = judge(j, "ALS", ccz_recsys_recommend_index, index, err);
    return rc == CCZ_OK && j->o.by_factors ? curve_of_factors(j, err) : rc;
}

/* -------------------------------------------------------------------------------------- showing */

static void show_table(const struct job *j)
{
    static const enum ccz_recsys_metric shown[] = {
        CCZ_RECSYS_HR, CCZ_RECSYS_NDCG, CCZ_RECSYS_RECALL, CCZ_RECSYS_MAP, CCZ_RECSYS_COVERAGE};
    ui_out("%-12s %4s", "", "k");
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        ui_out(" %9s", ccz_recsys_metric_name(shown[i]));
    ui_out("%s\n", j->o.bootstrap ? "   ndcg 95 %" : "");
    for (size_t r = 0; r < j->rows; r++)
        for (size_t at = 0; at < j->row[r].m.at_len; at++) {
            const struct ccz_recsys_at *a = &j->row[r].m.at[at];
            ui_out("%-12s %4u", at ? "" : j->row[r].name, a->k);
            for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
                ui_out(" %9.4f", a->mean[shown[i]]);
            if (j->o.bootstrap)
                ui_out("   %.4f-%.4f", a->low[CCZ_RECSYS_NDCG], a->high[CCZ_RECSYS_NDCG]);
            ui_out("\n");
        }
}

struct facts {
    struct ccz_recsys_report_fact fact[FACTS_MAX];
    char text[FACTS_MAX][96];
    size_t len;
};

static CCZ_FMT(3, 4) void fact(struct facts *f, const char *name, const char *fmt, ...)
{
    va_list ap;
    if (f->len == FACTS_MAX)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(f->text[f->len], sizeof(f->text[0]), fmt, ap);
    va_end(ap);
    f->fact[f->len] = (struct ccz_recsys_report_fact){name, f->text[f->len]};
    f->len++;
}

static void gather_facts(struct facts *f, const struct job *j)
{
    char hex[65];
    ccz_hex(hex, j->in.sha256, 32);
    fact(f, "ratings", "%llu", (unsigned long long)j->in.data.ratings.len);
    fact(f, "users, items", "%u, %u", j->in.data.ratings.users, j->in.data.ratings.items);
    fact(f, "split", "%s: %llu for training, %llu for the test", j->o.split,
         (unsigned long long)j->train->len, (unsigned long long)j->test->len);
    fact(f, "model", "%s, %u factors, %u iterations", j->o.als.kind, j->cfg.factors,
         j->cfg.iterations);
    fact(f, "reg, alpha, unobserved, nu", "%g, %g, %g, %g", (double)j->cfg.reg,
         (double)j->cfg.alpha, (double)j->cfg.unobserved, (double)j->cfg.nu);
    fact(f, "data SHA-256", "%s", hex);
}

static ccz_rc write_page(const struct job *j, const struct ccz_recsys_search *search,
                         const struct ccz_recsys_search_cfg *search_cfg, struct ccz_err *err)
{
    struct facts f = {.len = 0};
    struct ccz_recsys_report_row rows[ROWS_MAX];
    const struct ccz_recsys_report_curve curves[2] = {
        {"ALS", j->by_iteration.x, j->by_iteration.y, j->by_iteration.len},
        {"ALS", j->by_factors.x, j->by_factors.y, j->by_factors.len}};
    struct ccz_recsys_report_chart charts[2];
    size_t charts_len = 0;
    if (j->by_iteration.len)
        charts[charts_len++] = (struct ccz_recsys_report_chart){
            "NDCG@10 while training", "iteration", "NDCG@10", &curves[0], 1};
    if (j->by_factors.len)
        charts[charts_len++] = (struct ccz_recsys_report_chart){
            "NDCG@10 by number of factors", "factors", "NDCG@10", &curves[1], 1};
    for (size_t i = 0; i < j->rows; i++)
        rows[i] = (struct ccz_recsys_report_row){j->row[i].name, &j->row[i].m};
    gather_facts(&f, j);
    const struct ccz_recsys_report report = {.title = "Recommender",
                                             .facts = f.fact,
                                             .facts_len = f.len,
                                             .rows = rows,
                                             .rows_len = j->rows,
                                             .charts = charts,
                                             .charts_len = charts_len,
                                             .search = search,
                                             .search_cfg = search_cfg};
    CCZ_AUTO_BUF page;
    ccz_buf_init(&page, PAGE_SIZE_MAX);
    ccz_rc rc = ccz_recsys_report_html(&page, &report, err);
    if (rc == CCZ_OK)
        rc = ccz_file_write(j->o.html, ccz_buf_span(&page), 0644, CCZ_FILE_REPLACE, err);
    if (rc == CCZ_OK)
        ui_say("page: %s", j->o.html);
    return rc;
}

/* --------------------------------------------------------------------------------------- bundle */

static void take_metrics(struct ccz_recsys_manifest *m, const struct ccz_recsys_metrics *from)
{
    static const enum ccz_recsys_metric kept[] = {CCZ_RECSYS_HR, CCZ_RECSYS_NDCG, CCZ_RECSYS_RECALL,
                                                  CCZ_RECSYS_MAP, CCZ_RECSYS_COVERAGE};
    for (size_t at = 0; at < from->at_len; at++)
        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
            struct ccz_recsys_metric_value *v = &m->metric[m->metrics_len];
            if (m->metrics_len == CCZ_RECSYS_BUNDLE_METRICS ||
                !isfinite(from->at[at].mean[kept[i]]))
                continue;
            (void)snprintf(v->name, sizeof(v->name), "%s@%u", ccz_recsys_metric_name(kept[i]),
                           from->at[at].k);
            v->value = from->at[at].mean[kept[i]];
            m->metrics_len++;
        }
}

/* The version before: its manifest's digest, and its key, which is one version older as a rule. */
static ccz_rc take_parent(struct ccz_recsys_manifest *m, const struct train_opts *o,
                          struct ccz_err *err)
{
    if (!o->parent)
        return CCZ_OK;
    return ccz_unhex(m->parent_sha256, 32, o->parent, strlen(o->parent)) == CCZ_OK
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_ARG, "recsys:parent", 0,
                          "--parent is 64 hex digits: manifest_sha256 of the version before");
}

/* A model of all ratings is trained unless there is one already. */
static ccz_rc write_bundle(struct job *j, const struct ccz_recsys_model *given, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_csr) own = NULL;
    CCZ_AUTO(ccz_recsys_model) model = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    const struct ccz_recsys_matrices *built = &j->in.built;
    const struct ccz_recsys_csr *all = built->by_user;
    struct ccz_recsys_als_cfg cfg = j->cfg;
    struct recsys_key_id id;
    uint8_t sha256[32];
    char hex[65];
    struct ccz_recsys_bundle_write w = {
        .manifest = {.version = (uint64_t)j->o.version,
                     .created_s = ccz_clock_now_s(ccz_clock_system()),
                     .als = j->cfg},
        .contents = {.user = all ? built->user : j->in.data.user,
                     .item = all ? built->item : j->in.data.item,
                     .titles = j->in.titles}};
    cfg.by_item = built->by_item;
    (void)snprintf(w.manifest.name, sizeof(w.manifest.name), "%s", j->o.name);
    (void)snprintf(w.manifest.trainer, sizeof(w.manifest.trainer), "%s", given ? "spark" : "cczoo");
    memcpy(w.manifest.data_sha256, j->in.sha256, 32);
    if (j->rows)
        take_metrics(&w.manifest, &j->row[j->rows - 1].m);
    ccz_rc rc = take_parent(&w.manifest, &j->o, err);
    if (rc == CCZ_OK)
        rc = recsys_file_key(&key, &id, &j->session, j->o.model_key, err);
    if (rc == CCZ_OK && !all) {
        rc = ccz_recsys_csr_new(&own, &j->in.data.ratings, CCZ_RECSYS_TWICE_REFUSE, err);
        all = own;
    }
    if (rc == CCZ_OK && !given)
        rc = ccz_recsys_als_train(&model, all, &cfg, err);
    if (rc == CCZ_OK)
        rc = recsys_signer(&j->session, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(w.manifest.key, id.item, sizeof(id.item));
    w.manifest.key_version = id.version;
    w.contents.model = given ? given : model;
    w.contents.seen = all;
    w.signer = j->session.signer;
    w.cert = ccz_buf_span(&j->session.cert);
    w.key = key;
    rc = ccz_recsys_bundle_save(sha256, j->o.out, &w, err);
    ccz_hex(hex, sha256, 32);
    if (rc == CCZ_OK)
        ui_say("bundle %s: %s version %lld, manifest_sha256 %s", j->o.out, j->o.name,
               (long long)j->o.version, hex);
    return rc;
}

/* ---------------------------------------------------------------------------------------- verbs */

static void begin(struct job *j)
{
    recsys_session_begin(&j->session, &j->o.trust);
    j->eval = (struct ccz_recsys_eval_cfg){.k = {10, 20, 100},
                                           .k_len = 3,
                                           .bootstrap = (uint32_t)j->o.bootstrap,
                                           .seed = j->cfg.seed,
                                           .threads = j->cfg.threads};
}

static size_t common_options(struct ui_opt *out, struct train_opts *o)
{
    size_t n = recsys_input_options(out, &o->input);
    n += recsys_als_options(out + n, &o->als);
    n += recsys_kms_options(out + n, &o->trust);
    const struct ui_opt opts[] = {
        {"split", &o->split, NULL, NULL, "RULE",
         "what is held out to judge by: last (default), time, leave, random; train: or none"},
        {"share", &o->share, NULL, NULL, "X", "of time and random, default 0.2"},
        {"bootstrap", NULL, &o->bootstrap, NULL, "N", "resamples for intervals, default 1000"},
        {"baselines", NULL, NULL, &o->baselines, NULL, "item-kNN and EASE beside popularity"},
        {"by-factors", &o->by_factors, NULL, NULL, "LIST", "judge also 8,16,.. factors"},
        {"html", &o->html, NULL, NULL, "FILE", "a page with tables and curves"},
        {"expect", &o->expect, NULL, NULL, "X",
         "end with status 1 if NDCG@10 is below X times that of popularity"},
    };
    o->split = "last";
    o->bootstrap = 1000;
    memcpy(out + n, opts, sizeof(opts));
    return n + sizeof(opts) / sizeof(opts[0]);
}

static ccz_rc run_judging(struct job *j, struct ccz_err *err)
{
    ccz_rc rc = split(&j->train, &j->test, NULL, &j->in.data.ratings, j, err);
    if (rc == CCZ_OK)
        rc = judge_all(j, err);
    if (rc != CCZ_OK)
        return rc;
    show_table(j);
    return j->o.html ? write_page(j, NULL, NULL, err) : CCZ_OK;
}

static int verdict(const struct job *j, double factor)
{
    if (!j->rows || factor <= 0)
        return UI_OK;
    const double popular = j->row[0].m.at[0].mean[CCZ_RECSYS_NDCG],
                 als = j->row[j->rows - 1].m.at[0].mean[CCZ_RECSYS_NDCG];
    if (als >= factor * popular)
        return UI_OK;
    ui_say("refused: recsys:ndcg: %.4f / at least %.4f", als, factor * popular);
    return UI_NO;
}

static bool check_bundle(const struct train_opts *o)
{
    if (!o->out || !o->name || !o->model_key) {
        ui_error("--out, --name and --model-key are required");
        return false;
    }
    return recsys_count("version", o->version, 1, INT64_MAX);
}

/* What is judged needs times, and stays in memory. */
static bool take_memory(struct train_opts *o, const char *memory)
{
    double gib;
    if (!memory && !o->input.spill_dir)
        return true;
    if (!memory || strcmp(o->split, "none") != 0) {
        ui_error("--spill-dir goes with --memory, and --memory with --split none");
        return false;
    }
    if (!recsys_real(&gib, "memory", memory, 0, 0.004, 1e6))
        return false;
    o->input.memory = (uint64_t)(gib * (1 << 30));
    return true;
}

static int train_or_evaluate(int argc, char **argv, bool bundle)
{
    struct job j = {.o = {.version = 1}};
    struct ccz_err err = {0};
    struct ui_opt opts[OPTIONS_MAX] = {0};
    const char *memory = NULL;
    const struct ui_opt more[] = {
        {"out", &j.o.out, NULL, NULL, "DIR", "bundle to make"},
        {"name", &j.o.name, NULL, NULL, "NAME", "of the model"},
        {"version", NULL, &j.o.version, NULL, "N", "of the model, default 1"},
        {"model-key", &j.o.model_key, NULL, NULL, "KEY",
         "key of the bundle: key/NAME of the KMS, whose latest version is taken, or a file"},
        {"parent", &j.o.parent, NULL, NULL, "HEX", "manifest_sha256 of the version before"},
        {"memory", &memory, NULL, NULL, "GIB",
         "with --split none: so much memory for ratings and matrices, the rest on the disk"},
        {"spill-dir", &j.o.input.spill_dir, NULL, NULL, "DIR",
         "with --memory: a folder with room for encrypted runs of sorting"},
    };
    const size_t n = common_options(opts, &j.o);
    if (bundle)
        memcpy(opts + n, more, sizeof(more));
    double expect;
    const int left = ui_parse(
        argc, argv,
        bundle
            ? "cczoo recsys train --in FILE --model-key KEY --out DIR --name NAME [--kind NAME] .."
            : "cczoo recsys evaluate --in FILE [--kind NAME] [--baselines] ..",
        opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0 || !recsys_input_check(&j.o.input) || !recsys_als_cfg(&j.cfg, &j.o.als) ||
        !check_split(&j.o, bundle) || !recsys_real(&expect, "expect", j.o.expect, 0, 0, 1000) ||
        (bundle && !check_bundle(&j.o)) || !take_memory(&j.o, memory))
        return UI_USAGE;
    begin(&j);
    ccz_rc rc = recsys_input_read(&j.in, &j.o.input, &j.session, &err);
    if (rc == CCZ_OK && strcmp(j.o.split, "none") != 0)
        rc = run_judging(&j, &err);
    int status = rc == CCZ_OK ? verdict(&j, expect) : UI_OK;
    if (rc == CCZ_OK && bundle && status == UI_OK)
        rc = write_bundle(&j, NULL, &err);
    if (rc != CCZ_OK)
        status = recsys_fail(&err);
    job_end(&j);
    return status;
}

int recsys_train(int argc, char **argv)
{
    return train_or_evaluate(argc, argv, true);
}

int recsys_evaluate(int argc, char **argv)
{
    return train_or_evaluate(argc, argv, false);
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
static ccz_rc search_in(struct job *j, int64_t trials, struct ccz_err *err)
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
    ccz_rc rc = split(&j->train, &j->test, &left, &j->in.data.ratings, j, err);
    if (rc == CCZ_OK)
        rc = split(&train, &valid, NULL, &left, j, err);
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
        rc = write_page(j, &found, &cfg, err);
    ccz_recsys_search_deinit(&found);
    return rc;
}

int recsys_search(int argc, char **argv)
{
    struct job j = {.o = {.version = 1}};
    struct ccz_err err = {0};
    struct ui_opt opts[OPTIONS_MAX] = {0};
    int64_t trials = 20;
    const size_t n = common_options(opts, &j.o);
    opts[n] = (struct ui_opt){"trials", NULL, &trials, NULL, "N", "points to try, default 20"};
    const int left =
        ui_parse(argc, argv, "cczoo recsys search --in FILE [--kind NAME] [--trials N] ..", opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0 || !recsys_input_check(&j.o.input) || !recsys_als_cfg(&j.cfg, &j.o.als) ||
        !check_split(&j.o, false) || !recsys_count("trials", trials, 1, CCZ_RECSYS_TRIALS_MAX))
        return UI_USAGE;
    begin(&j);
    ccz_rc rc = recsys_input_read(&j.in, &j.o.input, &j.session, &err);
    if (rc == CCZ_OK)
        rc = search_in(&j, trials, &err);
    const int status = rc == CCZ_OK ? UI_OK : recsys_fail(&err);
    job_end(&j);
    return status;
}

/* ------------------------------------------------------------------------------ export, import */

/* Keys of Parquet files, in one direction. */
struct pq_keys {
    struct recsys_master master;
    struct ccz_pq_keytools *tools;
    struct ccz_pq_crypt *crypt;
    const char *names[1];
};

static void pq_keys_end(struct pq_keys *k)
{
    ccz_pq_crypt_free(k->crypt);
    ccz_pq_keytools_free(k->tools);
}

/* `name`: the AAD prefix that files get, or must have; NULL: none. */
static ccz_rc pq_keys_begin(struct pq_keys *k, struct recsys_session *s, const char *spec,
                            const char *name, bool reading, struct ccz_err *err)
{
    *k = (struct pq_keys){0};
    recsys_master_init(&k->master, s, spec);
    k->names[0] = k->master.name;
    ccz_rc rc = ccz_pq_keytools_new(
        &k->tools, &(struct ccz_pq_keytools_cfg){.kms = recsys_master_kms(&k->master)}, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_span prefix = name ? ccz_span_str(name) : CCZ_SPAN(NULL, 0);
    const struct ccz_pq_decrypt_cfg open_cfg = {
        .keytools = k->tools, .master_keys = k->names, .master_keys_len = 1, .aad_prefix = prefix};
    const struct ccz_pq_encrypt_cfg seal_cfg = {
        .keytools = k->tools, .footer = {.master_key = k->master.name}, .aad_prefix = prefix};
    return reading ? ccz_pq_decrypt_new(&k->crypt, &open_cfg, err)
                   : ccz_pq_encrypt_new(&k->crypt, &seal_cfg, err);
}

/* What is to be learned from, by numbers: ids stay here. */
static ccz_rc export_to(struct job *j, const char *out, const char *key, const char *name,
                        struct ccz_err *err)
{
    struct ccz_recsys_ratings part = {0};
    struct ccz_newfile f = {.fd = -1};
    struct pq_keys k = {0};
    const bool whole = strcmp(j->o.split, "none") == 0;
    ccz_rc rc = whole ? CCZ_OK : split(&j->train, &j->test, &part, &j->in.data.ratings, j, err);
    if (rc == CCZ_OK)
        rc = pq_keys_begin(&k, &j->session, key, name, false, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_open(&f, out, 0644, err);
    const struct ccz_pq_sink io = ccz_pq_sink_fd(&f.fd);
    const struct ccz_recsys_table table = {.crypt = k.crypt, .numbers = true};
    if (rc == CCZ_OK)
        rc = ccz_recsys_write_parquet(&io, whole ? &j->in.data.ratings : &part, NULL, NULL, &table,
                                      err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_commit(&f, CCZ_FILE_CREATE_ONLY, err);
    else
        ccz_newfile_abort(&f);
    if (rc == CCZ_OK)
        ui_say("%s: %llu ratings by numbers", out,
               (unsigned long long)(whole ? j->in.data.ratings.len : part.len));
    pq_keys_end(&k);
    ccz_recsys_ratings_deinit(&part);
    return rc;
}

static const char *const folders[] = {"user_factors", "item_factors"};

/* Of one side: NAME/user_factors or NAME/item_factors, so that one does not pass for the other. */
static ccz_rc side_keys_begin(struct pq_keys *k, struct recsys_session *s, const char *spec,
                              const char *name, int side, bool reading, struct ccz_err *err)
{
    char full[CCZ_PQ_AAD_PREFIX_SIZE_MAX + 16];
    if (name)
        (void)snprintf(full, sizeof(full), "%s/%s", name, folders[side]);
    return pq_keys_begin(k, s, spec, name ? full : NULL, reading, err);
}

/* Factors of a bundle as Spark writes them, by numbers: DIR/user_factors, DIR/item_factors. */
static ccz_rc export_factors(struct recsys_session *s, const char *bundle, const char *model_key,
                             const char *key, const char *name, const char *out,
                             struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    ccz_rc rc = recsys_open_bundle(&b, s, bundle, model_key, err);
    for (int i = 0; rc == CCZ_OK && i < 2; i++) {
        struct pq_keys k = {0};
        rc = side_keys_begin(&k, s, key, name, i, false, err);
        const struct ccz_recsys_model *m = ccz_recsys_bundle_contents(b)->model;
        const struct ccz_recsys_factor_table table = {.crypt = k.crypt};
        struct ccz_newfile f = {.fd = -1};
        char path[4096];
        const int n = snprintf(path, sizeof(path), "%s/%s", out, folders[i]);
        if (rc == CCZ_OK && (n < 0 || (size_t)n + 32 > sizeof(path)))
            rc = ccz_fail(err, CCZ_E_LIMIT, "recsys:open", n, "the path is too long");
        if (rc == CCZ_OK)
            rc = ccz_dir_make(path, 0755, err);
        if (rc != CCZ_OK) {
            pq_keys_end(&k);
            break;
        }
        (void)snprintf(path + n, sizeof(path) - (size_t)n, "/part-00000.parquet");
        rc = ccz_newfile_open(&f, path, 0644, err);
        const struct ccz_pq_sink io = ccz_pq_sink_fd(&f.fd);
        if (rc == CCZ_OK)
            rc = ccz_recsys_factors_write_parquet(&io, i ? &m->item : &m->user, &table, err);
        if (rc == CCZ_OK)
            rc = ccz_newfile_commit(&f, CCZ_FILE_CREATE_ONLY, err);
        else
            ccz_newfile_abort(&f);
        pq_keys_end(&k);
    }
    return rc;
}

int recsys_export(int argc, char **argv)
{
    struct job j = {.o = {.version = 1}};
    struct ccz_err err = {0};
    struct ui_opt opts[OPTIONS_MAX] = {0};
    const char *key = NULL, *bundle = NULL, *name = NULL;
    const struct ui_opt more[] = {
        {"export-name", &name, NULL, NULL, "NAME",
         "what data set this is, for readers who expect it; default export"},
        {"master-key", &key, NULL, NULL, "KEY",
         "of the Parquet files: key/NAME of the KMS, or a file"},
        {"bundle", &bundle, NULL, NULL, "DIR", "instead of ratings: the factors of this bundle"},
        {"model-key", &j.o.model_key, NULL, NULL, "KEY", "with --bundle"},
    };
    size_t n = common_options(opts, &j.o);
    memcpy(opts + n, more, sizeof(more));
    n += sizeof(more) / sizeof(more[0]);
    (void)recsys_trainer_options(opts + n, &j.o.trust);
    const int left = ui_parse(argc, argv,
                              "cczoo recsys export --in FILE | --bundle DIR --model-key KEY "
                              "--master-key KEY [--split RULE] OUT",
                              opts);
    if (left < 0)
        return ui_parse_status(left);
    if (!name)
        name = "export";
    const bool complete = left == 1 && key && (bundle ? j.o.model_key && !j.o.input.in : true);
    if (!complete)
        ui_error("--master-key and OUT are required, and --model-key with --bundle");
    if (!complete || !recsys_data_name_check("export-name", name) ||
        (!bundle && !recsys_input_check(&j.o.input)) || !recsys_als_cfg(&j.cfg, &j.o.als) ||
        !check_split(&j.o, true))
        return UI_USAGE;
    begin(&j);
    ccz_rc rc = bundle ? export_factors(&j.session, bundle, j.o.model_key, key, name, argv[0], &err)
                       : recsys_input_read(&j.in, &j.o.input, &j.session, &err);
    if (rc == CCZ_OK && !bundle)
        rc = export_to(&j, argv[0], key, name, &err);
    const int status = rc == CCZ_OK ? UI_OK : recsys_fail(&err);
    job_end(&j);
    return status;
}

static ccz_rc read_factor_file(struct ccz_recsys_factors *f, uint8_t *seen, const char *path,
                               const struct ccz_recsys_factor_table *table, struct ccz_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ccz_fail(err, CCZ_E_IO, "recsys:open", errno, "cannot open %.150s: %s", path,
                        strerror(errno));
    const struct ccz_pq_source io = ccz_pq_source_fd(&fd);
    ccz_rc rc = ccz_recsys_factors_read_parquet(f, seen, &io, table, err);
    close(fd);
    return rc;
}

static int is_part(const struct dirent *d)
{
    const size_t size = strlen(d->d_name);
    return size > 8 && d->d_name[0] != '.' && d->d_name[0] != '_' &&
           strcmp(d->d_name + size - 8, ".parquet") == 0;
}

/* A folder of parts, as Spark writes it. Who is in none of them has zeros: an item or user nobody trained. */
static ccz_rc read_factors(struct ccz_recsys_factors *f, const char *dir, uint32_t len,
                           const struct ccz_pq_crypt *crypt, struct ccz_err *err)
{
    const struct ccz_recsys_factor_table table = {.crypt = crypt, .len = len};
    struct dirent **part = NULL;
    uint8_t *seen = calloc(len ? len : 1, 1);
    uint32_t missing = 0;
    const int parts = scandir(dir, &part, is_part, alphasort);
    ccz_rc rc = seen ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "recsys:memory", 0, "out of memory");
    if (rc == CCZ_OK && parts <= 0)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "recsys:open", 0, "%.150s has no .parquet file", dir);
    for (int i = 0; i < parts; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, part[i]->d_name);
        if (rc == CCZ_OK)
            rc = read_factor_file(f, seen, path, &table, err);
        free(part[i]);
    }
    free(part);
    for (uint32_t i = 0; rc == CCZ_OK && i < len; i++)
        missing += !seen[i];
    if (missing)
        ui_say("%s: %u of %u have no factors", dir, missing, len);
    free(seen);
    if (rc == CCZ_OK && !f->v)
        rc = ccz_fail(err, CCZ_E_FORMAT, "recsys:factors", 0, "%.150s has no rows", dir);
    return rc;
}

static ccz_rc import_model(struct job *j, const char *users, const char *items, const char *key,
                           const char *name, struct ccz_err *err)
{
    j->model = calloc(1, sizeof(*j->model));
    if (!j->model)
        return ccz_fail(err, CCZ_E_NOMEM, "recsys:memory", 0, "out of memory");
    ccz_rc rc = CCZ_OK;
    for (int i = 0; rc == CCZ_OK && i < 2; i++) {
        struct pq_keys k = {0};
        const struct ccz_recsys_ratings *r = &j->in.data.ratings;
        rc = side_keys_begin(&k, &j->session, key, name, i, true, err);
        if (rc == CCZ_OK)
            rc = read_factors(i ? &j->model->item : &j->model->user, i ? items : users,
                              i ? r->items : r->users, k.crypt, err);
        rc = recsys_no_data_name(rc, name, "--factors-name", err);
        pq_keys_end(&k);
    }
    if (rc == CCZ_OK && j->model->user.factors != j->model->item.factors)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "recsys:factors", j->model->user.factors,
                            j->model->item.factors);
    if (rc != CCZ_OK)
        return rc;
    j->cfg.factors = j->model->user.factors;
    j->cfg.biases = j->model->user.bias != NULL;
    return CCZ_OK;
}

static ccz_rc judge_imported(struct job *j, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    ccz_rc rc = split(&j->train, &j->test, NULL, &j->in.data.ratings, j, err);
    if (rc == CCZ_OK)
        rc = judge_baselines(j, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_index_new(&index, j->model, NULL, err);
    if (rc == CCZ_OK)
        rc = judge(j, "Spark ALS", ccz_recsys_recommend_index, index, err);
    if (rc != CCZ_OK)
        return rc;
    show_table(j);
    return j->o.html ? write_page(j, NULL, NULL, err) : CCZ_OK;
}

int recsys_import(int argc, char **argv)
{
    struct job j = {.o = {.version = 1}};
    struct ccz_err err = {0};
    struct ui_opt opts[OPTIONS_MAX] = {0};
    const char *key = NULL, *users = NULL, *items = NULL, *name = NULL;
    const struct ui_opt more[] = {
        {"factors-name", &name, NULL, NULL, "NAME",
         "the --export-name that the factors must have; Spark writes none: not compared then"},
        {"user-factors", &users, NULL, NULL, "DIR", "Parquet files of {id, features}"},
        {"item-factors", &items, NULL, NULL, "DIR", "the same of items"},
        {"master-key", &key, NULL, NULL, "KEY", "of these files: key/NAME of the KMS, or a file"},
        {"out", &j.o.out, NULL, NULL, "DIR", "bundle to make"},
        {"name", &j.o.name, NULL, NULL, "NAME", "of the model"},
        {"version", NULL, &j.o.version, NULL, "N", "of the model, default 1"},
        {"model-key", &j.o.model_key, NULL, NULL, "KEY", "as of train"},
        {"parent", &j.o.parent, NULL, NULL, "HEX", "as of train"},
    };
    const size_t n = common_options(opts, &j.o);
    memcpy(opts + n, more, sizeof(more));
    double expect;
    const int left = ui_parse(argc, argv,
                              "cczoo recsys import --in FILE --user-factors DIR --item-factors DIR "
                              "--master-key KEY --model-key KEY --out DIR --name NAME",
                              opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0 || !users || !items || !key)
        ui_error("--user-factors, --item-factors and --master-key are required, and no operands");
    if (left > 0 || !users || !items || !key ||
        (name && !recsys_data_name_check("factors-name", name)) ||
        !recsys_input_check(&j.o.input) || !recsys_als_cfg(&j.cfg, &j.o.als) ||
        !check_split(&j.o, true) || !check_bundle(&j.o) ||
        !recsys_real(&expect, "expect", j.o.expect, 0, 0, 1000))
        return UI_USAGE;
    begin(&j);
    ccz_rc rc = recsys_input_read(&j.in, &j.o.input, &j.session, &err);
    if (rc == CCZ_OK)
        rc = import_model(&j, users, items, key, name, &err);
    if (rc == CCZ_OK && strcmp(j.o.split, "none") != 0)
        rc = judge_imported(&j, &err);
    int status = rc == CCZ_OK ? verdict(&j, expect) : UI_OK;
    if (rc == CCZ_OK && status == UI_OK)
        rc = write_bundle(&j, j.model, &err);
    if (rc != CCZ_OK)
        status = recsys_fail(&err);
    job_end(&j);
    return status;
}
