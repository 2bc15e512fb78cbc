/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quality of recommenders on ratings with times; see recsys_quality.sh. Nothing here looks at the test part but `test` lines.
 *   bench_recsys_quality split RATINGS.CSV DIR      userId,movieId,rating,timestamp to DIR/train, DIR/test: the last rating of each user
 *   bench_recsys_quality fixed DIR SEEDS            HKV at the defaults of `implicit`, exact and CG(3)
 *   bench_recsys_quality baselines DIR              popularity, item-kNN, EASE, each parameter chosen by the validation part
 *   bench_recsys_quality search DIR SEEDS TRIALS [REPORT.HTML]    both kinds of implicit factors, chosen by the validation part
 * Lines: name, seed (or "all"), NDCG@10, HR@10, and for single models their 95 % intervals over users.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/recsys_eval.h>
#include <cczoo/recsys_rank.h>

#include <inttypes.h>
#include <math.h>

enum { SEEDS_MAX = 64, VALID_LEAVE = 5, STEPS = 40, LINE = 256 };

struct parts {
    struct ccz_recsys_csr *train, *test; /* train: all but the test part */
    struct ccz_recsys_csr *fit, *valid;  /* train, split once more */
    unsigned threads;
};

static void done(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK) {
        fprintf(stderr, "error: %s: %s\n", err->where, err->msg);
        exit(1);
    }
}

/* ------------------------------------------------------------------------------------------- files */

struct line {
    long user, item;
    float value;
    long long time;
};

static int by_number(const void *a, const void *b)
{
    const long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

/* Ids to numbers: the place among all of them. */
static uint32_t number(long *sorted, size_t *len, const struct line *lines, size_t lines_len,
                       bool items)
{
    for (size_t i = 0; i < lines_len; i++)
        sorted[i] = items ? lines[i].item : lines[i].user;
    qsort(sorted, lines_len, sizeof(*sorted), by_number);
    *len = 0;
    for (size_t i = 0; i < lines_len; i++)
        if (*len == 0 || sorted[*len - 1] != sorted[i])
            sorted[(*len)++] = sorted[i];
    return (uint32_t)*len;
}

static uint32_t place(const long *sorted, size_t len, long id)
{
    const long *at = bsearch(&id, sorted, len, sizeof(*sorted), by_number);
    must(at, "an id");
    return (uint32_t)(at - sorted);
}

static struct ccz_recsys_ratings read_csv(const char *path)
{
    char text[LINE];
    size_t len = 0, cap = 1 << 20, users_len, items_len;
    struct line *lines = malloc(cap * sizeof(*lines));
    long *users = malloc(cap * sizeof(*users)), *items = malloc(cap * sizeof(*items));
    FILE *f = fopen(path, "r");
    must(f && lines && users && items, path);
    must(fgets(text, sizeof(text), f) && strncmp(text, "userId,movieId,rating,timestamp", 31) == 0,
         "a header");
    while (len < cap && fgets(text, sizeof(text), f)) {
        struct line *l = &lines[len++];
        must(sscanf(text, "%ld,%ld,%f,%lld", &l->user, &l->item, &l->value, &l->time) == 4, text);
    }
    must(feof(f), "fewer ratings: this program is for small files");
    (void)fclose(f);
    struct ccz_recsys_ratings r;
    struct ccz_err err;
    const uint32_t n = number(users, &users_len, lines, len, false),
                   m = number(items, &items_len, lines, len, true);
    done(ccz_recsys_ratings_init(&r, n, m, len, true, &err), &err);
    for (size_t i = 0; i < len; i++) {
        r.user[i] = place(users, users_len, lines[i].user);
        r.item[i] = place(items, items_len, lines[i].item);
        r.value[i] = lines[i].value;
        r.time[i] = lines[i].time;
    }
    free(lines);
    free(users);
    free(items);
    return r;
}

static FILE *open_in(const char *dir, const char *name, const char *mode)
{
    char path[4096];
    must((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) < sizeof(path), "a path");
    FILE *f = fopen(path, mode);
    must(f, path);
    return f;
}

static void write_part(const char *dir, const char *name, const struct ccz_recsys_ratings *r)
{
    FILE *f = open_in(dir, name, "w");
    fprintf(f, "%u %u %" PRIu64 "\n", r->users, r->items, r->len);
    for (uint64_t i = 0; i < r->len; i++)
        fprintf(f, "%u %u %.9g %" PRId64 "\n", r->user[i], r->item[i], (double)r->value[i],
                r->time[i]);
    must(fclose(f) == 0, name);
}

static struct ccz_recsys_ratings read_part(const char *dir, const char *name)
{
    struct ccz_recsys_ratings r;
    struct ccz_err err;
    uint32_t users, items;
    uint64_t len;
    FILE *f = open_in(dir, name, "r");
    must(fscanf(f, "%" SCNu32 " %" SCNu32 " %" SCNu64, &users, &items, &len) == 3, name);
    done(ccz_recsys_ratings_init(&r, users, items, len, true, &err), &err);
    for (uint64_t i = 0; i < len; i++)
        must(fscanf(f, "%" SCNu32 " %" SCNu32 " %f %" SCNd64, &r.user[i], &r.item[i], &r.value[i],
                    &r.time[i]) == 4,
             name);
    (void)fclose(f);
    return r;
}

static void split(const char *csv, const char *dir)
{
    struct ccz_recsys_ratings r = read_csv(csv), train, test;
    struct ccz_recsys_split info;
    struct ccz_err err;
    done(ccz_recsys_split(&train, &test, &info, &r,
                          &(struct ccz_recsys_split_cfg){.kind = CCZ_RECSYS_SPLIT_LAST}, &err),
         &err);
    write_part(dir, "train", &train);
    write_part(dir, "test", &test);
    printf("%u users, %u items: %" PRIu64 " ratings to train, %" PRIu64 " to test, of them %" PRIu64
           " older than the newest to train\n",
           r.users, r.items, info.train, info.test, info.test_before_train);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_ratings_deinit(&train);
    ccz_recsys_ratings_deinit(&test);
}

static struct ccz_recsys_csr *rows_of(const struct ccz_recsys_ratings *r)
{
    struct ccz_recsys_csr *m;
    struct ccz_err err;
    done(ccz_recsys_csr_new(&m, r, CCZ_RECSYS_TWICE_LAST, &err), &err);
    return m;
}

static struct parts read_parts(const char *dir)
{
    struct ccz_recsys_ratings train = read_part(dir, "train"), test = read_part(dir, "test"), fit,
                              valid;
    struct ccz_err err;
    done(ccz_recsys_split(&fit, &valid, NULL, &train,
                          &(struct ccz_recsys_split_cfg){.kind = CCZ_RECSYS_SPLIT_LAST,
                                                         .leave = VALID_LEAVE,
                                                         .remain = VALID_LEAVE},
                          &err),
         &err);
    struct parts p = {.train = rows_of(&train),
                      .test = rows_of(&test),
                      .fit = rows_of(&fit),
                      .valid = rows_of(&valid),
                      .threads = ccz_processors()};
    ccz_recsys_ratings_deinit(&train);
    ccz_recsys_ratings_deinit(&test);
    ccz_recsys_ratings_deinit(&fit);
    ccz_recsys_ratings_deinit(&valid);
    return p;
}

/* ---------------------------------------------------------------------------------------- judging */

static struct ccz_recsys_metrics judge(const struct parts *p, ccz_recsys_recommend_fn fn, void *arg,
                                       bool test)
{
    struct ccz_recsys_metrics m;
    struct ccz_err err;
    done(ccz_recsys_evaluate(&m, fn, arg, test ? p->train : p->fit, test ? p->test : p->valid,
                             &(struct ccz_recsys_eval_cfg){.k = {10, 20, 50, 100},
                                                           .k_len = 4,
                                                           .bootstrap = test ? 2000 : 0,
                                                           .threads = p->threads},
                             &err),
         &err);
    return m;
}

static void print_line(const char *name, const struct ccz_recsys_metrics *m)
{
    const struct ccz_recsys_at *a = &m->at[0];
    printf("test %s\tall\t%.4f (%.4f to %.4f)\t%.4f (%.4f to %.4f)\tcoverage %.3f\n", name,
           a->mean[CCZ_RECSYS_NDCG], a->low[CCZ_RECSYS_NDCG], a->high[CCZ_RECSYS_NDCG],
           a->mean[CCZ_RECSYS_HR], a->low[CCZ_RECSYS_HR], a->high[CCZ_RECSYS_HR],
           a->mean[CCZ_RECSYS_COVERAGE]);
    fflush(stdout);
}

static struct ccz_recsys_metrics train_and_test(const struct parts *p, const char *name,
                                                struct ccz_recsys_als_cfg cfg, uint64_t seed)
{
    CCZ_AUTO(ccz_recsys_model) model = NULL;
    struct ccz_err err;
    cfg.seed = seed;
    cfg.threads = p->threads;
    done(ccz_recsys_als_train(&model, p->train, &cfg, &err), &err);
    const struct ccz_recsys_metrics m = judge(p, ccz_recsys_recommend, model, true);
    printf("test %s\t%" PRIu64 "\t%.4f\t%.4f\n", name, seed, m.at[0].mean[CCZ_RECSYS_NDCG],
           m.at[0].mean[CCZ_RECSYS_HR]);
    fflush(stdout);
    return m;
}

/* AlternatingLeastSquares() of implicit without arguments; its confidences are 1 + stars. */
static void fixed(const struct parts *p, uint64_t seeds)
{
    for (int cg = 0; cg < 2; cg++)
        for (uint64_t s = 1; s <= seeds; s++)
            (void)train_and_test(
                p, cg ? "cczoo defaults of implicit, cg" : "cczoo defaults of implicit, exact",
                (struct ccz_recsys_als_cfg){.solver = cg ? CCZ_RECSYS_ALS_CG : CCZ_RECSYS_ALS_EXACT,
                                            .factors = 100,
                                            .iterations = 15,
                                            .reg = 0.01f,
                                            .alpha = 1},
                s);
}

/* --------------------------------------------------------------------------------------- baselines */

static double on_valid(const struct parts *p, ccz_recsys_recommend_fn fn, void *arg)
{
    const struct ccz_recsys_metrics m = judge(p, fn, arg, false);
    return m.at[0].mean[CCZ_RECSYS_NDCG];
}

static void best_knn(struct parts *p, enum ccz_recsys_knn_kind kind, const char *name)
{
    static const uint32_t neighbours[] = {20, 50, 100, 200, 400};
    static const double shrinks[] = {0, 10, 50};
    struct ccz_recsys_knn_cfg best = {0};
    struct ccz_err err;
    double top = -1;
    for (size_t n = 0; n < 5; n++)
        for (size_t s = 0; s < 3; s++)
            for (int binary = 0; binary < 2; binary++) {
                CCZ_AUTO(ccz_recsys_knn) k = NULL;
                const struct ccz_recsys_knn_cfg cfg = {.kind = kind,
                                                       .neighbours = neighbours[n],
                                                       .shrink = shrinks[s],
                                                       .binary = binary,
                                                       .threads = p->threads};
                done(ccz_recsys_knn_new(&k, p->fit, &cfg, &err), &err);
                const double now = on_valid(p, ccz_recsys_knn_recommend, k);
                if (now > top) {
                    top = now;
                    best = cfg;
                }
            }
    CCZ_AUTO(ccz_recsys_knn) k = NULL;
    char text[128];
    done(ccz_recsys_knn_new(&k, p->train, &best, &err), &err);
    const struct ccz_recsys_metrics m = judge(p, ccz_recsys_knn_recommend, k, true);
    (void)snprintf(text, sizeof(text), "cczoo item-kNN, %s, %u neighbours, shrink %g%s", name,
                   best.neighbours, best.shrink, best.binary ? ", binary" : "");
    print_line(text, &m);
}

static void best_ease(struct parts *p)
{
    static const double regs[] = {30, 100, 200, 300, 500, 1000, 2000};
    struct ccz_err err;
    double top = -1, best = 0;
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
        CCZ_AUTO(ccz_recsys_ease) e = NULL;
        done(ccz_recsys_ease_new(
                 &e, p->fit, &(struct ccz_recsys_ease_cfg){.reg = regs[i], .threads = p->threads},
                 &err),
             &err);
        const double now = on_valid(p, ccz_recsys_ease_recommend, e);
        if (now > top) {
            top = now;
            best = regs[i];
        }
    }
    CCZ_AUTO(ccz_recsys_ease) e = NULL;
    char text[128];
    done(ccz_recsys_ease_new(
             &e, p->train, &(struct ccz_recsys_ease_cfg){.reg = best, .threads = p->threads}, &err),
         &err);
    const struct ccz_recsys_metrics m = judge(p, ccz_recsys_ease_recommend, e, true);
    (void)snprintf(text, sizeof(text), "cczoo EASE, reg %g", best);
    print_line(text, &m);
}

static void baselines(struct parts *p)
{
    CCZ_AUTO(ccz_recsys_popular) popular = NULL;
    struct ccz_err err;
    done(ccz_recsys_popular_new(&popular, p->train, false, &err), &err);
    const struct ccz_recsys_metrics m = judge(p, ccz_recsys_popular_recommend, popular, true);
    print_line("cczoo popularity", &m);
    best_knn(p, CCZ_RECSYS_KNN_COSINE, "cosine");
    best_knn(p, CCZ_RECSYS_KNN_TFIDF, "tf-idf");
    best_knn(p, CCZ_RECSYS_KNN_BM25, "bm25");
    best_ease(p);
}

/* ------------------------------------------------------------------------------------------ search */

static const double counts[] = {8, 16, 24, 32, 48, 64, 96, 128};
static const struct ccz_recsys_dim hkv[] = {{.name = "factors", .value = counts, .value_len = 8},
                                            {.name = "reg", .low = 0.01, .high = 300, .log = true},
                                            {.name = "alpha", .low = 0.1, .high = 40, .log = true}},
                                   ials[] = {
                                       {.name = "factors", .value = counts, .value_len = 8},
                                       {.name = "reg", .low = 1e-4, .high = 0.3, .log = true},
                                       {.name = "unobserved", .low = 0.005, .high = 1, .log = true},
                                       {.name = "nu", .low = 0, .high = 1}};

struct found {
    struct ccz_recsys_als_cfg cfg;
    double valid;
    struct ccz_recsys_search all;
    struct ccz_recsys_search_cfg search;
};

static struct found hunt(const struct parts *p, enum ccz_recsys_als_kind kind, uint32_t trials)
{
    const bool is_hkv = kind == CCZ_RECSYS_IMPLICIT_HKV;
    const struct ccz_recsys_dim *dim = is_hkv ? hkv : ials;
    const size_t len = is_hkv ? 3 : 4;
    const struct ccz_recsys_als_trials t = {.train = p->fit,
                                            .valid = p->valid,
                                            .cfg = {.kind = kind, .threads = p->threads},
                                            .eval = {.threads = p->threads},
                                            .metric = CCZ_RECSYS_NDCG,
                                            .dim = dim,
                                            .dims_len = len};
    struct ccz_recsys_search_ops ops;
    struct ccz_err err;
    struct found f = {.search = {.dim = dim,
                                 .dims_len = len,
                                 .trials = trials,
                                 .steps = STEPS,
                                 .patience = 4,
                                 .median_stop = true,
                                 .seed = 1}};
    done(ccz_recsys_als_search_ops(&ops, &t, &err), &err);
    done(ccz_recsys_search(&f.all, &ops, &f.search, &err), &err);
    const struct ccz_recsys_trial *best = &f.all.trial[f.all.best];
    f.valid = best->best;
    f.cfg = (struct ccz_recsys_als_cfg){.kind = kind,
                                        .factors = (uint32_t)best->value[0],
                                        .reg = (float)best->value[1],
                                        .iterations = best->best_step};
    if (is_hkv)
        f.cfg.alpha = (float)best->value[2];
    else {
        f.cfg.unobserved = (float)best->value[2];
        f.cfg.nu = (float)best->value[3];
    }
    printf("valid %s\tNDCG@10 %.4f\tfactors %u, reg %.4g, alpha %.3g, unobserved %.3g, nu %.2f, "
           "iterations %u\n",
           is_hkv ? "HKV" : "iALS", f.valid, f.cfg.factors, (double)f.cfg.reg, (double)f.cfg.alpha,
           (double)f.cfg.unobserved, (double)f.cfg.nu, f.cfg.iterations);
    fflush(stdout);
    return f;
}

/* The best trial of each number of factors. */
static size_t by_factors(double *x, double *y, const struct ccz_recsys_search *s)
{
    size_t len = 0;
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        double best = -1;
        for (size_t i = 0; i < s->len; i++)
            if (s->trial[i].value[0] == counts[c] && s->trial[i].best > best)
                best = s->trial[i].best;
        if (best >= 0) {
            x[len] = counts[c];
            y[len++] = best;
        }
    }
    return len;
}

static void report(const char *path, const struct found f[2], const struct parts *p,
                   const struct ccz_recsys_metrics *tuned)
{
    static const char *const names[] = {"HKV", "iALS"};
    double x[2][8], y[2][8], steps[STEPS];
    struct ccz_recsys_report_curve factors[2], training[2];
    for (int i = 0; i < STEPS; i++)
        steps[i] = i + 1;
    for (int k = 0; k < 2; k++) {
        const struct ccz_recsys_trial *best = &f[k].all.trial[f[k].all.best];
        factors[k] = (struct ccz_recsys_report_curve){
            .name = names[k], .x = x[k], .y = y[k], .len = by_factors(x[k], y[k], &f[k].all)};
        training[k] = (struct ccz_recsys_report_curve){
            .name = names[k], .x = steps, .y = best->curve, .len = best->curve_len};
    }
    CCZ_AUTO(ccz_recsys_popular) popular = NULL;
    struct ccz_err err;
    done(ccz_recsys_popular_new(&popular, p->train, false, &err), &err);
    const struct ccz_recsys_metrics least = judge(p, ccz_recsys_popular_recommend, popular, true);
    const struct ccz_recsys_report_row rows[] = {{"factors, tuned", tuned}, {"popularity", &least}};
    const struct ccz_recsys_report_chart charts[] = {
        {"NDCG@10 by number of factors", "factors", "validation, best trial", factors, 2},
        {"Training of the best trial", "iteration", "NDCG@10, validation", training, 2}};
    const int best = f[1].valid > f[0].valid;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, (size_t)16 << 20);
    done(ccz_recsys_report_html(&out,
                                &(struct ccz_recsys_report){.title = "MovieLens, factors",
                                                            .rows = rows,
                                                            .rows_len = 2,
                                                            .charts = charts,
                                                            .charts_len = 2,
                                                            .search = &f[best].all,
                                                            .search_cfg = &f[best].search},
                                &err),
         &err);
    done(ccz_file_write(path, ccz_buf_span(&out), 0644, CCZ_FILE_REPLACE, &err), &err);
}

static void search(const struct parts *p, uint64_t seeds, uint32_t trials, const char *html)
{
    struct found f[2] = {hunt(p, CCZ_RECSYS_IMPLICIT_HKV, trials),
                         hunt(p, CCZ_RECSYS_IMPLICIT_IALS, trials)};
    struct ccz_recsys_metrics first = {0};
    for (int k = 0; k < 2; k++)
        for (uint64_t s = 1; s <= seeds; s++) {
            const struct ccz_recsys_metrics m =
                train_and_test(p, k ? "cczoo tuned iALS" : "cczoo tuned HKV", f[k].cfg, s);
            if (s == 1) {
                print_line(k ? "cczoo tuned iALS, seed 1" : "cczoo tuned HKV, seed 1", &m);
                if (k == 0 || f[1].valid > f[0].valid)
                    first = m;
            }
        }
    printf("chosen by validation\t%s\n", f[1].valid > f[0].valid ? "iALS" : "HKV");
    if (html)
        report(html, f, p, &first);
    ccz_recsys_search_deinit(&f[0].all);
    ccz_recsys_search_deinit(&f[1].all);
}

int main(int argc, char **argv)
{
    must(argc >= 3, "usage: bench_recsys_quality split|fixed|baselines|search DIR ...");
    if (strcmp(argv[1], "split") == 0 && argc == 4) {
        split(argv[2], argv[3]);
        return 0;
    }
    struct parts p = read_parts(argv[2]);
    const uint64_t seeds = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    if (strcmp(argv[1], "fixed") == 0)
        fixed(&p, seeds);
    else if (strcmp(argv[1], "baselines") == 0)
        baselines(&p);
    else if (strcmp(argv[1], "search") == 0 && argc >= 5)
        search(&p, seeds, (uint32_t)strtoul(argv[4], NULL, 10), argc > 5 ? argv[5] : NULL);
    else
        must(false, "no such command");
    ccz_recsys_csr_free(p.train);
    ccz_recsys_csr_free(p.test);
    ccz_recsys_csr_free(p.fit);
    ccz_recsys_csr_free(p.valid);
    return 0;
}
