/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What training is, whoever asks for it: ratings are split, models judged, a model of all ratings becomes a signed bundle. Shared by
 * `cczoo recsys`, cczoo-trainer and cczoo-recsys-spark.
 */
#include "recsys_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FACTS_MAX = 16, PAGE_SIZE_MAX = 16 << 20 };

void recsys_job_end(struct recsys_job *j)
{
    ccz_recsys_model_free(j->model);
    ccz_recsys_csr_free(j->train);
    ccz_recsys_csr_free(j->test);
    recsys_input_deinit(&j->in);
    recsys_session_end(&j->session);
}

/* ---------------------------------------------------------------------------------------- split */

static bool split_of(struct ccz_recsys_judge *out, const char *name, bool may_be_none)
{
    const char *known;
    out->none = strcmp(name, "none") == 0;
    if (out->none)
        return may_be_none;
    for (int i = 0; (known = ccz_recsys_split_name((enum ccz_recsys_split_kind)i)); i++)
        if (strcmp(known, name) == 0) {
            out->split = (enum ccz_recsys_split_kind)i;
            return true;
        }
    return false;
}

bool recsys_judge_check(struct recsys_train_opts *o, bool may_be_none)
{
    struct ccz_recsys_judge *j = &o->judge;
    if (!split_of(j, o->split, may_be_none)) {
        ui_error("--split is last, time, leave%s", may_be_none ? ", random or none" : " or random");
        return false;
    }
    const bool share =
        !j->none && (j->split == CCZ_RECSYS_SPLIT_TIME || j->split == CCZ_RECSYS_SPLIT_RANDOM);
    return ui_real(&j->share, "share", share ? o->share : NULL, share ? 0.2 : 0, 0.001, 0.999) &&
           ui_real(&j->expect, "expect", o->expect, 0, 0, CCZ_RECSYS_EXPECT_MAX);
}

/* Splits @p from; both parts as rows of users. */
ccz_rc recsys_job_split(struct ccz_recsys_csr **train, struct ccz_recsys_csr **test,
                        struct ccz_recsys_ratings *left, const struct ccz_recsys_ratings *from,
                        const struct recsys_job *j, struct ccz_err *err)
{
    const struct ccz_recsys_split_cfg cfg = {.kind = j->o.judge.split,
                                             .share = j->o.judge.share,
                                             .seed = j->cfg.seed,
                                             .drop_cold = true};
    struct ccz_recsys_ratings a = {0}, b = {0};
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

ccz_rc recsys_job_judge(struct recsys_job *j, const char *name, ccz_recsys_recommend_fn fn,
                        void *arg, struct ccz_err *err)
{
    struct recsys_judged *r = &j->row[j->rows];
    r->name = name;
    ccz_rc rc = ccz_recsys_evaluate(&r->m, fn, arg, j->train, j->test, &j->eval, err);
    j->rows += rc == CCZ_OK;
    return rc;
}

static ccz_rc judge_model(struct ccz_recsys_metrics *out, const struct recsys_job *j,
                          const struct ccz_recsys_model *m, struct ccz_err *err)
{
    struct ccz_recsys_eval_cfg eval = j->eval;
    eval.bootstrap = 0;
    return ccz_recsys_evaluate(out, ccz_recsys_recommend, (void *)(uintptr_t)m, j->train, j->test,
                               &eval, err);
}

static bool on_iteration(void *arg, const struct ccz_recsys_als_step *step)
{
    struct recsys_job *j = arg;
    struct ccz_recsys_metrics m;
    if (j->by_iteration.len == RECSYS_CURVE_MAX)
        return true;
    if (judge_model(&m, j, step->model, &j->curve_err) != CCZ_OK)
        return false;
    j->by_iteration.x[j->by_iteration.len] = step->iteration;
    j->by_iteration.y[j->by_iteration.len++] = m.at[0].mean[CCZ_RECSYS_NDCG];
    return true;
}

/* The first number of "8,16,32", and the place of the next; 0: it is none. */
static uint32_t next_factors(const char **at)
{
    char *end = NULL;
    const unsigned long factors = strtoul(*at, &end, 10);
    if (end == *at || (*end && *end != ',') || factors > CCZ_RECSYS_FACTORS_MAX)
        return 0;
    *at = *end ? end + 1 : end;
    return (uint32_t)factors;
}

static bool by_factors_check(const char *list)
{
    size_t len = 0;
    for (const char *at = list; at && *at; len++)
        if (len == RECSYS_CURVE_MAX || next_factors(&at) == 0) {
            ui_error("--by-factors is a list of at most %d numbers up to %d: 8,16,32",
                     RECSYS_CURVE_MAX, CCZ_RECSYS_FACTORS_MAX);
            return false;
        }
    return true;
}

/* A model of each number of factors. */
static ccz_rc curve_of_factors(struct recsys_job *j, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (const char *at = j->o.by_factors; rc == CCZ_OK && *at;) {
        struct ccz_recsys_als_cfg cfg = j->cfg;
        struct ccz_recsys_metrics m;
        CCZ_AUTO(ccz_recsys_model) model = NULL;
        cfg.factors = next_factors(&at);
        rc = ccz_recsys_als_train(&model, j->train, &cfg, err);
        if (rc == CCZ_OK)
            rc = judge_model(&m, j, model, err);
        if (rc == CCZ_OK) {
            j->by_factors.x[j->by_factors.len] = cfg.factors;
            j->by_factors.y[j->by_factors.len++] = m.at[0].mean[CCZ_RECSYS_NDCG];
        }
    }
    return rc;
}

ccz_rc recsys_job_baselines(struct recsys_job *j, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_popular) popular = NULL;
    CCZ_AUTO(ccz_recsys_knn) knn = NULL;
    CCZ_AUTO(ccz_recsys_ease) ease = NULL;
    const struct ccz_recsys_knn_cfg knn_cfg = {
        .neighbours = 100, .shrink = 10, .threads = j->cfg.threads};
    const struct ccz_recsys_ease_cfg ease_cfg = {.threads = j->cfg.threads};
    ccz_rc rc = ccz_recsys_popular_new(&popular, j->train, false, err);
    if (rc == CCZ_OK)
        rc = recsys_job_judge(j, "popularity", ccz_recsys_popular_recommend, popular, err);
    if (rc != CCZ_OK || !j->o.baselines)
        return rc;
    rc = ccz_recsys_knn_new(&knn, j->train, &knn_cfg, err);
    if (rc == CCZ_OK)
        rc = recsys_job_judge(j, "item-kNN", ccz_recsys_knn_recommend, knn, err);
    if (rc == CCZ_OK && j->train->cols <= CCZ_RECSYS_EASE_ITEMS_MAX) {
        rc = ccz_recsys_ease_new(&ease, j->train, &ease_cfg, err);
        if (rc == CCZ_OK)
            rc = recsys_job_judge(j, "EASE", ccz_recsys_ease_recommend, ease, err);
    }
    return rc;
}

static ccz_rc judge_all(struct recsys_job *j, struct ccz_err *err)
{
    struct ccz_recsys_als_cfg cfg = j->cfg;
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    if (j->o.html) {
        cfg.on_iteration = on_iteration;
        cfg.arg = j;
    }
    ccz_rc rc = recsys_job_baselines(j, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_als_train(&j->model, j->train, &cfg, err);
    if (rc == CCZ_OK && j->curve_err.rc != CCZ_OK) {
        *err = j->curve_err;
        rc = err->rc;
    }
    if (rc == CCZ_OK)
        rc = ccz_recsys_index_new(&index, j->model, NULL, err);
    if (rc == CCZ_OK)
        rc = recsys_job_judge(j, "ALS", ccz_recsys_recommend_index, index, err);
    return rc == CCZ_OK && j->o.by_factors ? curve_of_factors(j, err) : rc;
}

/* -------------------------------------------------------------------------------------- showing */

void recsys_job_show(const struct recsys_job *j)
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

static void gather_facts(struct facts *f, const struct recsys_job *j)
{
    char hex[65];
    ccz_hex(hex, j->in.sha256, 32);
    fact(f, "ratings", "%llu", (unsigned long long)j->in.data.ratings.len);
    fact(f, "users, items", "%u, %u", j->in.data.ratings.users, j->in.data.ratings.items);
    fact(f, "split", "%s: %llu for training, %llu for the test",
         ccz_recsys_split_name(j->o.judge.split), (unsigned long long)j->train->len,
         (unsigned long long)j->test->len);
    fact(f, "model", "%s, %u factors, %u iterations", ccz_recsys_kind_name(j->cfg.kind),
         j->cfg.factors, j->cfg.iterations);
    fact(f, "reg, alpha, unobserved, nu", "%g, %g, %g, %g", (double)j->cfg.reg,
         (double)j->cfg.alpha, (double)j->cfg.unobserved, (double)j->cfg.nu);
    fact(f, "data SHA-256", "%s", hex);
}

ccz_rc recsys_job_page(const struct recsys_job *j, const struct ccz_recsys_search *search,
                       const struct ccz_recsys_search_cfg *search_cfg, struct ccz_err *err)
{
    struct facts f = {.len = 0};
    struct ccz_recsys_report_row rows[RECSYS_ROWS_MAX];
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

/* A model of all ratings is trained unless there is one already. */
ccz_rc recsys_job_bundle(struct recsys_job *j, const struct ccz_recsys_model *given,
                         struct ccz_err *err)
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
    memcpy(w.manifest.titles_sha256, j->in.titles_sha256, 32);
    memcpy(w.manifest.parent_sha256, j->o.parent_sha256, 32);
    if (j->o.input.order)
        memcpy(w.manifest.order_sha256, j->order.sha256, 32);
    if (j->rows)
        take_metrics(&w.manifest, &j->row[j->rows - 1].m);
    ccz_rc rc = recsys_file_key(&key, &id, &j->session, j->o.model_key, err);
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
    if (w.manifest.version == 0)
        w.manifest.version = id.version ? id.version : 1;
    w.contents.model = given ? given : model;
    w.contents.seen = all;
    w.signer = j->session.signer;
    w.cert = ccz_buf_span(&j->session.cert);
    w.key = key;
    rc = ccz_recsys_bundle_save(sha256, j->o.out, &w, err);
    ccz_hex(hex, sha256, 32);
    if (rc == CCZ_OK)
        ui_say("bundle %s: %s version %llu, manifest_sha256 %s", j->o.out, j->o.name,
               (unsigned long long)w.manifest.version, hex);
    return rc;
}

/* ----------------------------------------------------------------------------------- all of it */

void recsys_job_begin(struct recsys_job *j)
{
    recsys_session_begin(&j->session, &j->o.trust);
    j->cfg.threads = (unsigned)j->o.threads;
    j->eval = (struct ccz_recsys_eval_cfg){.k = {10, 20, 100},
                                           .k_len = 3,
                                           .bootstrap = (uint32_t)j->o.bootstrap,
                                           .seed = j->cfg.seed,
                                           .threads = j->cfg.threads};
}

size_t recsys_run_options(struct ui_opt *out, struct recsys_train_opts *o)
{
    const struct ui_opt opts[] = {
        {"threads", NULL, &o->threads, NULL, "N", "default: one per processor"},
        {"ratings-max", NULL, &o->input.ratings_max, NULL, "N",
         "more are refused; default: what the size of a Parquet file makes likely"},
        {"bootstrap", NULL, &o->bootstrap, NULL, "N", "resamples for intervals, default 1000"},
        {"baselines", NULL, NULL, &o->baselines, NULL, "item-kNN and EASE beside popularity"},
        {"by-factors", &o->by_factors, NULL, NULL, "LIST", "judge also 8,16,.. factors"},
        {"html", &o->html, NULL, NULL, "FILE", "a page with tables and curves"},
    };
    o->threads = ccz_processors();
    o->bootstrap = 1000;
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

bool recsys_run_check(const struct recsys_train_opts *o)
{
    return ui_count("threads", o->threads, 1, CCZ_THREADS_MAX) &&
           ui_count("bootstrap", o->bootstrap, 0, CCZ_RECSYS_BOOTSTRAP_MAX) &&
           ui_count("ratings-max", o->input.ratings_max, 0, (int64_t)CCZ_RECSYS_RATINGS_MAX) &&
           by_factors_check(o->by_factors);
}

size_t recsys_judge_options(struct ui_opt *out, struct recsys_train_opts *o)
{
    const struct ui_opt opts[] = {
        {"split", &o->split, NULL, NULL, "RULE",
         "what is held out to judge by: last (default), time, leave, random; train: or none"},
        {"share", &o->share, NULL, NULL, "X", "of time and random, default 0.2"},
        {"expect", &o->expect, NULL, NULL, "X",
         "end with status 1 if NDCG@10 is below X times that of popularity"},
    };
    o->split = "last";
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

size_t recsys_job_options(struct ui_opt *out, struct recsys_train_opts *o)
{
    size_t n = recsys_file_options(out, &o->input);
    n += recsys_form_options(out + n, &o->input);
    n += recsys_als_options(out + n, &o->als);
    n += recsys_kms_options(out + n, &o->trust);
    n += recsys_judge_options(out + n, o);
    return n + recsys_run_options(out + n, o);
}

static ccz_rc run(struct recsys_job *j, struct ccz_err *err)
{
    ccz_rc rc = recsys_job_split(&j->train, &j->test, NULL, &j->in.data.ratings, j, err);
    if (rc == CCZ_OK)
        rc = judge_all(j, err);
    if (rc != CCZ_OK)
        return rc;
    recsys_job_show(j);
    return j->o.html ? recsys_job_page(j, NULL, NULL, err) : CCZ_OK;
}

int recsys_job_verdict(const struct recsys_job *j)
{
    const double factor = j->o.judge.expect;
    if (!j->rows || factor <= 0)
        return UI_OK;
    const double popular = j->row[0].m.at[0].mean[CCZ_RECSYS_NDCG],
                 als = j->row[j->rows - 1].m.at[0].mean[CCZ_RECSYS_NDCG];
    if (als >= factor * popular)
        return UI_OK;
    ui_say("refused: recsys:ndcg: %.4f / at least %.4f", als, factor * popular);
    return UI_NO;
}

bool recsys_model_check(struct recsys_train_opts *o)
{
    if (!o->name || !o->model_key) {
        ui_error("--name and --model-key are required");
        return false;
    }
    if (o->parent && ccz_unhex(o->parent_sha256, 32, o->parent, strlen(o->parent)) != CCZ_OK) {
        ui_error("--parent is 64 hex digits: manifest_sha256 of the version before");
        return false;
    }
    return ui_count("version", o->version, 0, INT64_MAX);
}

size_t recsys_model_options(struct ui_opt *out, struct recsys_train_opts *o)
{
    const struct ui_opt opts[] = {
        {"name", &o->name, NULL, NULL, "NAME", "of the model"},
        {"model-key", &o->model_key, NULL, NULL, "KEY",
         "key of the bundle: key/NAME of the KMS, whose latest version is taken, or a file"},
        {"parent", &o->parent, NULL, NULL, "HEX", "manifest_sha256 of the version before"},
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

size_t recsys_out_options(struct ui_opt *out, struct recsys_train_opts *o)
{
    const struct ui_opt opts[] = {
        {"out", &o->out, NULL, NULL, "DIR", "bundle to make"},
        {"memory", &o->memory, NULL, NULL, "GIB",
         "with --split none: so much memory for ratings and matrices, the rest on the disk"},
        {"spill-dir", &o->input.spill_dir, NULL, NULL, "DIR",
         "with --memory: a folder with room for encrypted runs of sorting"},
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

bool recsys_out_check(struct recsys_train_opts *o)
{
    double gib;
    if (!o->out) {
        ui_error("--out is required");
        return false;
    }
    if (!o->memory && o->input.spill_dir) {
        ui_error("--spill-dir goes with --memory");
        return false;
    }
    if (o->memory && !ui_real(&gib, "memory", o->memory, 0, 0.004, 1e6))
        return false;
    o->input.memory = o->memory ? (uint64_t)(gib * (1 << 30)) : 0;
    return true;
}

/* --------------------------------------------------------------------------- whole programs */

int recsys_job_run(struct recsys_job *j, bool bundle)
{
    struct ccz_err err = {0};
    ccz_rc rc = CCZ_OK;
    if (j->o.input.memory && !j->o.judge.none) /* what is judged needs times, and stays in memory */
        rc = ccz_fail(&err, CCZ_E_ARG, "recsys:memory", 0,
                      "a limit of memory goes with a split of none");
    if (rc == CCZ_OK && bundle)
        rc = recsys_keys_alike(&j->session, j->o.input.data_key, j->o.model_key, &err);
    if (rc == CCZ_OK)
        rc = recsys_input_read(&j->in, &j->o.input, &j->session, &err);
    if (rc == CCZ_OK && !j->o.judge.none)
        rc = run(j, &err);
    const int status = rc == CCZ_OK ? recsys_job_verdict(j) : UI_OK;
    if (rc == CCZ_OK && bundle && status == UI_OK)
        rc = recsys_job_bundle(j, NULL, &err);
    return rc == CCZ_OK ? status : recsys_fail(&err);
}
