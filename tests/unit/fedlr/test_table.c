/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, partitions, metrics and the mathematics in plain, against values worked out by hand or by definition. */
#include "ccz_test.h"
#include "fedlr/fedlr_priv.h"

#include <cczoo/dataset.h>

#include <locale.h>
#include <math.h>

static bool near(double a, double b, double by)
{
    return fabs(a - b) <= by;
}

/* ----------------------------------------------------------------------------------- csv */

static ccz_rc parse(struct ccz_fedlr_table **t, const char *text, struct ccz_err *err)
{
    const struct ccz_fedlr_csv_cfg cfg = {.label = "y", .id = "id"};
    return ccz_fedlr_csv_parse(t, ccz_span_str(text), &cfg, err);
}

static void csv_reads(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = NULL;
    struct ccz_err err = {0};
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where there is such a locale, a comma is the point */
    CHECK(parse(&t, "id,a,y,b\r\nr1,1.5,0,-2e3\r\nr2,.25,1,+7\n", &err) == CCZ_OK);
    CHECK(t->rows == 2 && t->cols == 2);
    CHECK(strcmp(t->name[0], "a") == 0 && strcmp(t->name[1], "b") == 0);
    CHECK(t->x[0] == 1.5 && t->x[1] == -2000 && t->x[2] == 0.25 && t->x[3] == 7);
    CHECK(t->y[0] == 0 && t->y[1] == 1);
    CHECK(strcmp(t->id[0], "r1") == 0 && strcmp(t->id[1], "r2") == 0);
    (void)setlocale(LC_ALL, "C");

    CCZ_AUTO(ccz_fedlr_table) bare = NULL;
    const struct ccz_fedlr_csv_cfg none = {0};
    CHECK(ccz_fedlr_csv_parse(&bare, ccz_span_str("a\n1"), &none, &err) == CCZ_OK);
    CHECK(!bare->y && !bare->id && bare->x[0] == 1);
}

static void refused(const char *text, ccz_rc rc, const char *where, int64_t line, const char *hint)
{
    struct ccz_fedlr_table *t = NULL;
    struct ccz_err err = {0};
    CHECK(parse(&t, text, &err) == rc);
    CHECK(t == NULL);
    CHECK(strcmp(err.where, where) == 0);
    CHECK(err.aux == line);
    CHECK(strstr(err.msg, hint) != NULL);
}

static void csv_refuses(void)
{
    refused("", CCZ_E_FORMAT, "fedlr:csv-empty", 1, "header");
    refused("id,a,y\n", CCZ_E_FORMAT, "fedlr:csv-empty", 1, "no row");
    refused("id,a\nr,1\n", CCZ_E_NOT_FOUND, "fedlr:csv-column", 1, "y");
    refused("a,y\n1,1\n", CCZ_E_NOT_FOUND, "fedlr:csv-column", 1, "id");
    refused("id,y\nr,1\n", CCZ_E_FORMAT, "fedlr:csv-header", 1, "beside");
    refused("id,y,y,a\nr,1,1,1\n", CCZ_E_FORMAT, "fedlr:csv-header", 1, "column 3");
    refused("id,,y\nr,1,1\n", CCZ_E_FORMAT, "fedlr:csv-header", 1, "column 2");
    refused("id,a,y\nr,1,1\ns,2\n", CCZ_E_FORMAT, "fedlr:csv-fields", 3, "line 3 has 2 fields");
    refused("id,a,y\nr,1,1,9\n", CCZ_E_FORMAT, "fedlr:csv-fields", 2, "4 fields, the header 3");
    refused("id,a,y\nr,1,1\n\n", CCZ_E_FORMAT, "fedlr:csv-fields", 3, "line 3");
    refused("id,a,y\nr,x,1\n", CCZ_E_FORMAT, "fedlr:csv-number", 2, "line 2, column 2");
    refused("id,a,y\nr,,1\n", CCZ_E_FORMAT, "fedlr:csv-number", 2, "column 2");
    refused("id,a,y\nr, 1,1\n", CCZ_E_FORMAT, "fedlr:csv-number", 2, "column 2");
    refused("id,a,y\nr,0x10,1\n", CCZ_E_FORMAT, "fedlr:csv-number", 2, "column 2");
    refused("id,a,y\nr,nan,1\n", CCZ_E_FORMAT, "fedlr:csv-number", 2, "column 2");
    refused("id,a,y\nr,inf,1\n", CCZ_E_FORMAT, "fedlr:csv-number", 2, "column 2");
    refused("id,a,y\nr,1e,1\n", CCZ_E_FORMAT, "fedlr:csv-number", 2, "column 2");
    refused("id,a,y\nr,1e999,1\n", CCZ_E_FORMAT, "fedlr:csv-number", 2, "too large");
    refused("id,a,y\nr,1,2\n", CCZ_E_FORMAT, "fedlr:csv-label", 2, "column 3");
    refused("id,a,y\n,1,1\n", CCZ_E_FORMAT, "fedlr:csv-id", 2, "column 1");
}

/* Cut anywhere, a text is read as far as its lines are whole, or refused: never more rows than it has. */
static void csv_truncated(void)
{
    static const char text[] = "id,a,y\nr1,1.25,0\nr2,3,1\n";
    const struct ccz_fedlr_csv_cfg cfg = {.label = "y", .id = "id"};
    for (size_t size = 0; size < sizeof(text) - 1; size++) {
        CCZ_AUTO(ccz_fedlr_table) t = NULL;
        struct ccz_err err = {0};
        char *copy = malloc(size ? size : 1);
        CHECK(copy != NULL);
        memcpy(copy, text, size);
        ccz_rc rc = ccz_fedlr_csv_parse(&t, CCZ_SPAN(copy, size), &cfg, &err);
        free(copy);
        size_t whole = size >= 23 ? 2 : size == 16 || size == 17 ? 1 : 0;
        CHECK((rc == CCZ_OK) == (whole > 0));
        CHECK(rc != CCZ_OK || t->rows == whole);
    }
}

/* --------------------------------------------------------------------------------- tables */

static struct ccz_fedlr_table *table(const char *text)
{
    struct ccz_fedlr_table *t;
    struct ccz_err err = {0};
    CHECK(parse(&t, text, &err) == CCZ_OK);
    return t;
}

static void table_parts(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = table("id,a,b,c,y\nr,1,2,3,0\ns,4,5,6,1\nt,7,8,9,1\n");
    CCZ_AUTO(ccz_fedlr_table) rows = NULL;
    CCZ_AUTO(ccz_fedlr_table) cols = NULL;
    struct ccz_err err = {0};
    const size_t pick[] = {2, 0}, beyond[] = {3};
    CHECK(ccz_fedlr_table_rows(&rows, t, pick, 2, &err) == CCZ_OK);
    CHECK(rows->x[0] == 7 && rows->x[5] == 3 && rows->y[0] == 1 && strcmp(rows->id[1], "r") == 0);
    CHECK(ccz_fedlr_table_cols(&cols, t, 1, 2, false, &err) == CCZ_OK);
    CHECK(cols->cols == 2 && cols->x[0] == 2 && cols->x[5] == 9 && !cols->y && cols->id);
    CHECK(strcmp(cols->name[1], "c") == 0);
    struct ccz_fedlr_table *bad = NULL;
    CHECK(ccz_fedlr_table_rows(&bad, t, beyond, 1, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "fedlr:index") == 0);
    CHECK(ccz_fedlr_table_cols(&bad, t, 2, 2, false, &err) == CCZ_E_ARG);
    CHECK(ccz_fedlr_table_new(&bad, CCZ_FEDLR_ROWS_MAX + 1, 1, false, false, &err) == CCZ_E_LIMIT);
    CHECK(ccz_fedlr_table_new(&bad, 1, CCZ_FEDLR_COLS_MAX + 1, false, false, &err) == CCZ_E_LIMIT);
}

static void table_align(void)
{
    CCZ_AUTO(ccz_fedlr_table) a = table("id,a,y\nk3,1,0\nk1,2,0\nk7,3,1\n");
    CCZ_AUTO(ccz_fedlr_table) b = table("id,b,y\nk9,1,0\nk7,2,0\nk3,3,0\nk4,4,0\n");
    CCZ_AUTO(ccz_fedlr_table) twice = table("id,b,y\nk9,1,0\nk9,2,0\n");
    CCZ_AUTO(ccz_fedlr_table) nameless = NULL;
    struct ccz_err err = {0};
    size_t left[3], right[3], len;
    CHECK(ccz_fedlr_align(left, right, &len, a, b, &err) == CCZ_OK);
    CHECK(len == 2 && left[0] == 0 && right[0] == 2 && left[1] == 2 && right[1] == 1);
    CHECK(ccz_fedlr_align(left, right, &len, a, twice, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "fedlr:id-twice") == 0 && len == 0);
    CHECK(ccz_fedlr_table_new(&nameless, 1, 1, false, false, &err) == CCZ_OK);
    CHECK(ccz_fedlr_align(left, right, &len, a, nameless, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "fedlr:no-ids") == 0);
}

static void table_scale(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = table("id,a,b,y\nr,1,5,0\ns,3,5,1\n");
    double mean[2], sd[2];
    ccz_fedlr_scale_fit(mean, sd, t);
    CHECK(mean[0] == 2 && sd[0] == 1 && mean[1] == 5 && sd[1] == 1); /* a constant column keeps 1 */
    ccz_fedlr_scale_apply(t, mean, sd);
    CHECK(t->x[0] == -1 && t->x[2] == 1 && t->x[1] == 0);
}

/* ------------------------------------------------------------------------------- partition */

enum { ROWS = 3000, PARTS = 5 };

/* Rows and positives of each part. */
static void count_parts(size_t rows[PARTS], size_t positive[PARTS], const uint32_t *part,
                        const double *y)
{
    memset(rows, 0, PARTS * sizeof(*rows));
    memset(positive, 0, PARTS * sizeof(*positive));
    for (size_t i = 0; i < ROWS; i++) {
        CHECK(part[i] < PARTS);
        rows[part[i]]++;
        positive[part[i]] += y[i] == 1;
    }
}

static void partitions(void)
{
    static uint32_t part[ROWS], again[ROWS];
    static double y[ROWS];
    size_t rows[PARTS], positive[PARTS];
    struct ccz_err err = {0};
    for (size_t i = 0; i < ROWS; i++)
        y[i] = i % 3 == 0;
    CHECK(ccz_fedlr_partition(part, y, ROWS, PARTS, CCZ_FEDLR_IID, 0, 7, &err) == CCZ_OK);
    count_parts(rows, positive, part, y);
    for (size_t p = 0; p < PARTS; p++) /* 200 expected; 5 standard deviations */
        CHECK(rows[p] == ROWS / PARTS && positive[p] > 140 && positive[p] < 260);
    CHECK(ccz_fedlr_partition(again, y, ROWS, PARTS, CCZ_FEDLR_IID, 0, 7, &err) == CCZ_OK);
    CHECK(memcmp(part, again, sizeof(part)) == 0);
    CHECK(ccz_fedlr_partition(again, y, ROWS, PARTS, CCZ_FEDLR_IID, 0, 8, &err) == CCZ_OK);
    CHECK(memcmp(part, again, sizeof(part)) != 0);

    CHECK(ccz_fedlr_partition(part, y, ROWS, PARTS, CCZ_FEDLR_LABEL_SKEW, 0, 7, &err) == CCZ_OK);
    count_parts(rows, positive, part, y);
    CHECK(positive[0] == 0 && positive[1] == 0 && positive[2] == 0 && positive[3] == 400 &&
          positive[4] == 600);

    CHECK(ccz_fedlr_partition(part, y, ROWS, PARTS, CCZ_FEDLR_DIRICHLET, 0.3, 7, &err) == CCZ_OK);
    count_parts(rows, positive, part, y);
    double least = 1, most = 0;
    for (size_t p = 0; p < PARTS; p++) {
        CHECK(rows[p] > 0);
        double share = (double)positive[p] / (double)rows[p];
        least = fmin(least, share);
        most = fmax(most, share);
    }
    CHECK(most - least > 0.3); /* IID: all near 1/3 */

    /* as many parts as rows: nobody goes without */
    static uint32_t single[PARTS];
    CHECK(ccz_fedlr_partition(single, y, PARTS, PARTS, CCZ_FEDLR_DIRICHLET, 0.01, 1, &err) ==
          CCZ_OK);
    unsigned seen = 0;
    for (size_t i = 0; i < PARTS; i++)
        seen |= 1U << single[i];
    CHECK(seen == 31);
    CHECK(ccz_fedlr_partition(part, y, 2, 3, CCZ_FEDLR_IID, 0, 1, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "dataset:parts") == 0);
    CHECK(ccz_fedlr_partition(part, y, ROWS, 3, CCZ_FEDLR_DIRICHLET, 0, 1, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "dataset:alpha") == 0);
}

static void seeded(void)
{
    size_t index[1000], sum = 0;
    ccz_fedlr_shuffle(index, 1000, 42);
    static bool seen[1000];
    size_t fixed = 0;
    for (size_t i = 0; i < 1000; i++) {
        CHECK(index[i] < 1000 && !seen[index[i]]);
        seen[index[i]] = true;
        fixed += index[i] == i;
        sum += index[i];
    }
    CHECK(sum == 499500 && fixed < 10);
    /* moments of the gamma distribution: mean and variance are the shape */
    struct ccz_seeded r = ccz_seeded_from(3, 1);
    for (double shape = 0.3; shape < 4; shape *= 3) {
        double mean = 0, square = 0;
        enum { DRAWS = 40000 };
        for (int i = 0; i < DRAWS; i++) {
            double v = ccz_seeded_gamma(&r, shape);
            mean += v / DRAWS;
            square += v * v / DRAWS;
        }
        CHECK(near(mean, shape, 0.05 * shape + 0.01));
        CHECK(near(square - mean * mean, shape, 0.15 * shape + 0.02));
    }
}

/* -------------------------------------------------------------------------------- metrics */

static void metrics_by_hand(void)
{
    struct ccz_fedlr_metrics m;
    struct ccz_err err = {0};
    /* pairs (positive, negative): .9>.2 .9>.6 | .6=.6 half, .6>.2 | .4>.2, .4<.6  => 4.5 of 6 */
    const double p[] = {0.9, 0.6, 0.4, 0.2, 0.6}, y[] = {1, 1, 1, 0, 0};
    CHECK(ccz_fedlr_measure(&m, p, y, 5, &err) == CCZ_OK);
    CHECK(near(m.auc, 4.5 / 6, 1e-15));
    /* rates of those below a threshold: .2: 1/2 of the negatives, no positive => 0.5, the largest gap */
    CHECK(near(m.ks, 0.5, 1e-15));
    CHECK(near(m.accuracy, 3.0 / 5, 1e-15)); /* .4 and the second .6 are wrong */
    CHECK(near(m.loss, -(log(.9) + log(.6) + log(.4) + log(.8) + log(.4)) / 5, 1e-15));

    const double perfect[] = {1, 0, 1, 0}, z[] = {1, 0, 1, 0};
    CHECK(ccz_fedlr_measure(&m, perfect, z, 4, &err) == CCZ_OK);
    CHECK(m.auc == 1 && m.ks == 1 && m.accuracy == 1 && m.loss < 1e-14);
    const double worst[] = {0, 1, 0, 1};
    CHECK(ccz_fedlr_measure(&m, worst, z, 4, &err) == CCZ_OK);
    CHECK(m.auc == 0 && m.ks == 1 && m.accuracy == 0 && near(m.loss, -log(1e-15), 1e-2));
    const double equal[] = {.5, .5, .5, .5};
    CHECK(ccz_fedlr_measure(&m, equal, z, 4, &err) == CCZ_OK);
    CHECK(m.auc == 0.5 && m.ks == 0 && m.accuracy == 0.5);
    const double ones[] = {1, 1};
    CHECK(ccz_fedlr_measure(&m, perfect, ones, 2, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "fedlr:one-class") == 0);
}

/* Against the definition, over all pairs and all thresholds. */
static void metrics_by_definition(void)
{
    enum { N = 300 };
    static double p[N], y[N];
    struct ccz_seeded r = ccz_seeded_from(9, 9);
    for (size_t i = 0; i < N; i++) {
        y[i] = ccz_seeded_below(&r, 3) == 0;
        p[i] = (double)ccz_seeded_below(&r, 20) / 20 * 0.8 + 0.1 * y[i]; /* many ties */
    }
    double pairs = 0, won = 0, ks = 0, pos = 0;
    for (size_t i = 0; i < N; i++) {
        double tp = 0, fp = 0;
        pos += y[i];
        for (size_t j = 0; j < N; j++) {
            if (y[i] == 1 && y[j] == 0) {
                pairs++;
                won += p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0;
            }
        }
        for (size_t j = 0; j < N; j++)
            if (p[j] >= p[i])
                (y[j] == 1) ? tp++ : fp++;
        double negatives = 0;
        for (size_t j = 0; j < N; j++)
            negatives += y[j] == 0;
        ks = fmax(ks, fabs(tp / (N - negatives) - fp / negatives));
    }
    struct ccz_fedlr_metrics m;
    struct ccz_err err = {0};
    CHECK(ccz_fedlr_measure(&m, p, y, N, &err) == CCZ_OK);
    CHECK(pos > 50 && near(m.auc, won / pairs, 1e-12) && near(m.ks, ks, 1e-12));
}

/* -------------------------------------------------------------------------- plain training */

/* Rows around a known plane, with noise. */
static struct ccz_fedlr_table *noisy_plane(size_t rows, size_t cols, uint64_t seed)
{
    struct ccz_fedlr_table *t;
    struct ccz_seeded r = ccz_seeded_from(seed, 0);
    CHECK(ccz_fedlr_table_new(&t, rows, cols, true, false, NULL) == CCZ_OK);
    for (size_t i = 0; i < rows; i++) {
        double z = 0.3;
        for (size_t j = 0; j < cols; j++) {
            t->x[i * cols + j] = ccz_seeded_normal(&r);
            z += (j % 2 ? -1 : 1) * t->x[i * cols + j] / (double)(j + 1);
        }
        t->y[i] = ccz_seeded_unit(&r) < cczi_fl_sigmoid(z);
    }
    return t;
}

static void plain_newton(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = noisy_plane(400, 3, 5);
    CCZ_AUTO(ccz_fedlr_model) m = NULL;
    struct ccz_err err = {0};
    const double l2 = 0.01;
    CHECK(ccz_fedlr_train_central(&m, t, l2, &err) == CCZ_OK);
    for (size_t j = 0; j < m->len; j++) { /* at the minimum the gradient is 0 */
        double g = j ? l2 * m->w[j] : 0;
        for (size_t i = 0; i < t->rows; i++)
            g += (cczi_fl_sigmoid(cczi_fl_score(m->w, &t->x[i * 3], 3)) - t->y[i]) *
                 (j ? t->x[i * 3 + j - 1] : 1) / (double)t->rows;
        CHECK(near(g, 0, 1e-10));
    }
    /* gradient descent goes to the same place */
    double w[4] = {0};
    const struct ccz_fedlr_cfg cfg = {.eta = 1, .l2 = l2, .local_steps = 2000};
    CHECK(cczi_fl_descend(w, t, &cfg, 0, &err) == CCZ_OK);
    for (size_t j = 0; j < 4; j++)
        CHECK(near(w[j], m->w[j], 1e-6));
    for (size_t i = 0; i < t->rows; i++) /* separable: without a penalty there is no minimum */
        t->y[i] = t->x[i * 3] > 0;
    struct ccz_fedlr_model *none = NULL;
    CHECK(ccz_fedlr_train_central(&none, t, 0, &err) == CCZ_E_INTERNAL && !none);
    CHECK(strcmp(err.where, "fedlr:newton") == 0);
}

static void plain_l1(void)
{
    CHECK(cczi_fl_shrink(0.5, 0.2) == 0.3 && cczi_fl_shrink(-0.5, 0.2) == -0.3);
    CHECK(cczi_fl_shrink(0.1, 0.2) == 0 && cczi_fl_shrink(-0.2, 0.2) == 0);
    CCZ_AUTO(ccz_fedlr_table) t = noisy_plane(400, 8, 6);
    double dense[9] = {0}, sparse[9] = {0};
    struct ccz_fedlr_cfg cfg = {.eta = 0.5, .local_steps = 500};
    struct ccz_err err = {0};
    CHECK(cczi_fl_descend(dense, t, &cfg, 0, &err) == CCZ_OK);
    cfg.l1 = 0.05;
    CHECK(cczi_fl_descend(sparse, t, &cfg, 0, &err) == CCZ_OK);
    size_t zeros = 0;
    for (size_t j = 1; j < 9; j++) {
        CHECK(dense[j] != 0);
        zeros += sparse[j] == 0;
    }
    CHECK(zeros >= 2 && sparse[1] != 0 && sparse[0] != 0);
}

/* The affine map of local steps is the local steps. */
static void plain_affine(void)
{
    enum { D = 4 };
    CCZ_AUTO(ccz_fedlr_table) t = noisy_plane(50, D - 1, 7);
    double m[D * D], c[D], w[D] = {1, -1, 0.5, 2}, step[D];
    struct ccz_err err = {0};
    const struct ccz_fedlr_cfg cfg = {
        .sigmoid = CCZ_FEDLR_LINEAR, .eta = 0.3, .l2 = 0.02, .local_steps = 7, .decay = 1};
    CHECK(cczi_fl_affine(m, c, t, &cfg, 3, &err) == CCZ_OK); /* round 3: eta = 0.15 */
    memcpy(step, w, sizeof(w));
    for (int s = 0; s < 7; s++) {
        double g[D];
        for (size_t j = 0; j < D; j++) {
            g[j] = j ? 0.02 * step[j] : 0;
            for (size_t i = 0; i < t->rows; i++)
                g[j] += (0.5 + 0.25 * cczi_fl_score(step, &t->x[i * (D - 1)], D - 1) - t->y[i]) *
                        (j ? t->x[i * (D - 1) + j - 1] : 1) / (double)t->rows;
        }
        for (size_t j = 0; j < D; j++)
            step[j] -= 0.15 * g[j];
    }
    for (size_t i = 0; i < D; i++) {
        double v = c[i];
        for (size_t j = 0; j < D; j++)
            v += m[i * D + j] * w[j];
        CHECK(near(v, step[i], 1e-12));
    }
}

/* With tangents at its own model a worker's map keeps the minimum of its own loss. */
static void plain_tangent(void)
{
    enum { D = 4 };
    CCZ_AUTO(ccz_fedlr_table) t = noisy_plane(300, D - 1, 8);
    double m[D * D], c[D], w[D] = {0};
    struct ccz_err err = {0};
    struct ccz_fedlr_cfg cfg = {.eta = 1, .l2 = 0.1, .local_steps = 20};
    CHECK(cczi_fl_descend(w, t, &cfg, 0, &err) ==
          CCZ_OK); /* the reference: 20 steps; nearly the minimum */
    CHECK(cczi_fl_affine(m, c, t, &cfg, 0, &err) == CCZ_OK);
    double after[D];
    memcpy(after, w, sizeof(w));
    CHECK(cczi_fl_descend(after, t, &cfg, 0, &err) == CCZ_OK);
    for (size_t i = 0; i < D; i++) {
        double v = c[i];
        for (size_t j = 0; j < D; j++)
            v += m[i * D + j] * w[j];
        CHECK(near(v, after[i], 1e-4));
    }
}

static const struct ccz_test tests[] = {
    {"fedlr.csv", csv_reads},
    {"fedlr.csv_refusals", csv_refuses},
    {"fedlr.csv_truncated", csv_truncated},
    {"fedlr.table", table_parts},
    {"fedlr.align", table_align},
    {"fedlr.scale", table_scale},
    {"fedlr.partition", partitions},
    {"fedlr.seeded", seeded},
    {"fedlr.metrics", metrics_by_hand},
    {"fedlr.metrics_definition", metrics_by_definition},
    {"fedlr.newton", plain_newton},
    {"fedlr.l1", plain_l1},
    {"fedlr.affine", plain_affine},
    {"fedlr.tangent", plain_tangent},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
