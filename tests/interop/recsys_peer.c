/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers test_recsys.py. usage: recsys-peer TRAIN TEST COMMAND..., files of lines "user item value" behind a line "users items":
 *   lists FILE K    judges lists of other recommenders (a line of items for each user, -1 for none): lines "metric value"
 *   sampled FILE K NEGATIVES SEED   scores of all pairs instead of lists, ranked among drawn candidates
 *   knn KIND NEIGHBOURS K   lines "item other similarity", then metrics of its lists
 *   ease REG K      lines of weights, then metrics
 */
#include <cczoo/recsys_eval.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "recsys-peer: %s\n", what);
        exit(1);
    }
}

static void done(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK) {
        fprintf(stderr, "recsys-peer: %s: %s\n", err->where, err->msg);
        exit(1);
    }
}

static struct ccz_recsys_csr *read_rows(const char *path)
{
    struct ccz_recsys_ratings r;
    struct ccz_recsys_csr *m;
    struct ccz_err err;
    unsigned users, items;
    unsigned long long len;
    FILE *f = fopen(path, "r");
    must(f && fscanf(f, "%u %u %llu", &users, &items, &len) == 3, path);
    done(ccz_recsys_ratings_init(&r, users, items, len, false, &err), &err);
    for (uint64_t i = 0; i < r.len; i++)
        must(fscanf(f, "%u %u %f", &r.user[i], &r.item[i], &r.value[i]) == 3, path);
    (void)fclose(f);
    done(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_REFUSE, &err), &err);
    ccz_recsys_ratings_deinit(&r);
    return m;
}

/* Numbers of a file, users * width of them. */
static double *read_table(const char *path, size_t len)
{
    FILE *f = fopen(path, "r");
    double *v = malloc((len ? len : 1) * sizeof(*v));
    must(f && v, path);
    for (size_t i = 0; i < len; i++)
        must(fscanf(f, "%lf", &v[i]) == 1, path);
    (void)fclose(f);
    return v;
}

struct table {
    double *v;
    size_t width;
};

/* Lists that somebody else has made. */
static ccz_rc given(uint32_t *item, float *score, void *arg, const struct ccz_recsys_ask *ask,
                    struct ccz_err *err)
{
    const struct table *t = arg;
    must(ask->k == t->width, "lists of another length");
    (void)err;
    for (size_t u = 0; u < ask->users_len; u++)
        for (uint32_t p = 0; p < ask->k; p++) {
            const double v = t->v[ask->user[u] * t->width + p];
            item[u * ask->k + p] = v < 0 ? CCZ_RECSYS_NONE : (uint32_t)v;
            score[u * ask->k + p] = v < 0 ? -INFINITY : -(float)p;
        }
    return CCZ_OK;
}

/* Candidates by scores that somebody else has made: the best that is left, again and again. */
static ccz_rc by_scores(uint32_t *item, float *score, void *arg, const struct ccz_recsys_ask *ask,
                        struct ccz_err *err)
{
    const struct table *t = arg;
    must(ask->allow && ask->users_len == 1, "candidates");
    (void)err;
    for (uint32_t p = 0; p < ask->k; p++) {
        item[p] = CCZ_RECSYS_NONE;
        score[p] = -INFINITY;
        for (size_t c = 0; c < ask->allow_len; c++) {
            const float s = (float)t->v[ask->user[0] * t->width + ask->allow[c]];
            const bool later =
                p > 0 && (s > score[p - 1] || (s == score[p - 1] && ask->allow[c] <= item[p - 1]));
            if (!later && (s > score[p] || (s == score[p] && ask->allow[c] < item[p]))) {
                item[p] = ask->allow[c];
                score[p] = s;
            }
        }
    }
    return CCZ_OK;
}

static void print_metrics(ccz_recsys_recommend_fn fn, void *arg, const struct ccz_recsys_csr *train,
                          const struct ccz_recsys_csr *test, const struct ccz_recsys_eval_cfg *cfg)
{
    struct ccz_recsys_metrics m;
    struct ccz_err err;
    done(ccz_recsys_evaluate(&m, fn, arg, train, test, cfg, &err), &err);
    for (int i = 0; i < CCZ_RECSYS_METRICS; i++)
        printf("%s %.17g\n", ccz_recsys_metric_name((enum ccz_recsys_metric)i), m.at[0].mean[i]);
    printf("users %llu\n", (unsigned long long)m.users);
}

static void knn(const struct ccz_recsys_csr *train, const struct ccz_recsys_csr *test, char **argv)
{
    CCZ_AUTO(ccz_recsys_knn) k = NULL;
    struct ccz_err err;
    const struct ccz_recsys_knn_cfg cfg = {
        .kind = strcmp(argv[0], "tfidf") == 0  ? CCZ_RECSYS_KNN_TFIDF
                : strcmp(argv[0], "bm25") == 0 ? CCZ_RECSYS_KNN_BM25
                                               : CCZ_RECSYS_KNN_COSINE,
        .neighbours = (uint32_t)strtoul(argv[1], NULL, 10)};
    done(ccz_recsys_knn_new(&k, train, &cfg, &err), &err);
    for (uint32_t i = 0; i < train->cols; i++) {
        const uint32_t *item;
        const float *similarity;
        const uint32_t len = ccz_recsys_knn_neighbours(&item, &similarity, k, i);
        for (uint32_t n = 0; n < len; n++)
            printf("%u %u %.9g\n", i, item[n], (double)similarity[n]);
    }
    print_metrics(
        ccz_recsys_knn_recommend, k, train, test,
        &(struct ccz_recsys_eval_cfg){.k = {(uint32_t)strtoul(argv[2], NULL, 10)}, .k_len = 1});
}

static void ease(const struct ccz_recsys_csr *train, const struct ccz_recsys_csr *test, char **argv)
{
    CCZ_AUTO(ccz_recsys_ease) e = NULL;
    struct ccz_err err;
    done(ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){.reg = strtod(argv[0], NULL)},
                             &err),
         &err);
    for (uint32_t i = 0; i < train->cols; i++)
        for (uint32_t j = 0; j < train->cols; j++)
            printf("%.9g%c", (double)ccz_recsys_ease_row(e, i)[j],
                   j + 1 < train->cols ? ' ' : '\n');
    print_metrics(
        ccz_recsys_ease_recommend, e, train, test,
        &(struct ccz_recsys_eval_cfg){.k = {(uint32_t)strtoul(argv[1], NULL, 10)}, .k_len = 1});
}

int main(int argc, char **argv)
{
    must(argc >= 6, "usage: see the source");
    struct ccz_recsys_csr *train = read_rows(argv[1]), *test = read_rows(argv[2]);
    const uint32_t k = (uint32_t)strtoul(argv[5], NULL, 10);
    struct table t = {.width = k};
    if (strcmp(argv[3], "lists") == 0) {
        t.v = read_table(argv[4], (size_t)train->rows * t.width);
        print_metrics(given, &t, train, test, &(struct ccz_recsys_eval_cfg){.k = {k}, .k_len = 1});
    } else if (strcmp(argv[3], "sampled") == 0 && argc == 8) {
        t.width = train->cols;
        t.v = read_table(argv[4], (size_t)train->rows * t.width);
        print_metrics(by_scores, &t, train, test,
                      &(struct ccz_recsys_eval_cfg){.k = {k},
                                                    .k_len = 1,
                                                    .sampled = (uint32_t)strtoul(argv[6], NULL, 10),
                                                    .seed = strtoul(argv[7], NULL, 10)});
    } else if (strcmp(argv[3], "knn") == 0 && argc == 7)
        knn(train, test, argv + 4);
    else if (strcmp(argv[3], "ease") == 0)
        ease(train, test, argv + 4);
    else
        must(false, "no such command");
    free(t.v);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    return 0;
}
