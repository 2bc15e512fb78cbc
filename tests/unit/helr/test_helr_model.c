/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "helr_test.h"

#include "ccz_test.h"

#include <math.h>
#include <unistd.h>

static const char good[] = "{\"version\":1,\"name\":\"m\",\"bias\":0.5,\"radius\":6,\"features\":[{"
                           "\"name\":\"a\",\"weight\":2,"
                           "\"mean\":10,\"scale\":4},{\"name\":\"b\",\"weight\":-1.5}]}";

static void test_model(void)
{
    CCZ_AUTO(ccz_helr_model) m = NULL;
    CCZ_AUTO(ccz_helr_model) again = NULL;
    CHECK(ccz_helr_model_parse(&m, ccz_span_str(good), NULL) == CCZ_OK);
    CHECK(m->features_len == 2 && m->radius == 6 && m->features[1].scale == 1);
    CHECK(ccz_helr_model_linear(m, (double[]){12, 3}) == 0.5 + 2 * 0.5 - 1.5 * 3);
    CCZ_AUTO_BUF a, b;
    ccz_buf_init(&a, 4096);
    ccz_buf_init(&b, 4096);
    ccz_helr_model_put(&a, m);
    CHECK(ccz_helr_model_parse(&again, ccz_buf_span(&a), NULL) == CCZ_OK);
    ccz_helr_model_put(&b, again);
    CHECK(ccz_span_eq(ccz_buf_span(&a), ccz_buf_span(&b)));
    char path[] = "/tmp/helr-model-XXXXXX";
    int fd = mkstemp(path);
    CCZ_AUTO(ccz_helr_model) from_file = NULL;
    CHECK(fd >= 0 && write(fd, good, sizeof(good) - 1) == (ssize_t)sizeof(good) - 1);
    CHECK(ccz_helr_model_read(&from_file, path, NULL) == CCZ_OK && from_file->bias == 0.5);
    CHECK(close(fd) == 0 && unlink(path) == 0);
    CCZ_AUTO(ccz_helr_model) gone = NULL;
    CHECK(ccz_helr_model_read(&gone, path, NULL) != CCZ_OK && !gone);
    for (size_t cut = 0; cut + 1 < sizeof(good); cut++) {
        CCZ_AUTO(ccz_helr_model) none = NULL;
        CHECK(ccz_helr_model_parse(&none, CCZ_SPAN(good, cut), NULL) == CCZ_E_FORMAT && !none);
    }
}

static void test_model_strict(void)
{
#define F "\"features\":[{\"name\":\"a\",\"weight\":1}]"
    static const struct {
        const char *json, *where;
    } cases[] = {
        {"[]", "helr:model"},
        {"{\"version\":2,\"name\":\"m\",\"bias\":0," F "}", "helr:model"},
        {"{\"version\":1,\"name\":\"\",\"bias\":0," F "}", "helr:model-name"},
        {"{\"version\":1,\"name\":\"m\"," F "}", "helr:model"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":\"0\"," F "}", "helr:model"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0,\"radius\":0.5," F "}", "helr:model"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0,\"radius\":33," F "}", "helr:model"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0,\"extra\":1," F "}", "helr:model"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0}", "helr:model"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0,\"features\":[]}", "helr:features"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0,\"features\":[{\"name\":\"a\"}]}", "helr:model"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0,\"features\":[{\"weight\":1}]}",
         "helr:model-name"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0,\"features\":[{\"name\":\"a\",\"weight\":1,"
         "\"scale\":0}]}",
         "helr:model"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0,\"features\":[{\"name\":\"a\",\"weight\":1,"
         "\"std\":1}]}",
         "helr:model"},
        {"{\"version\":1,\"name\":\"m\",\"bias\":0,\"features\":[{\"name\":\"a\",\"weight\":1},"
         "{\"name\":\"b\",\"weight\":1},{\"name\":\"a\",\"weight\":1}]}",
         "helr:model-name"},
    };
#undef F
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CCZ_AUTO(ccz_helr_model) m = NULL;
        struct ccz_err err = {0};
        CHECK(ccz_helr_model_parse(&m, ccz_span_str(cases[i].json), &err) != CCZ_OK && !m);
        CHECK(strcmp(err.where, cases[i].where) == 0);
    }
}

static ccz_rc open_table(struct ccz_helr_table **t, struct ccz_csv **csv, const char *text,
                         const char *label, struct ccz_err *err)
{
    static const struct ccz_helr_feature f[] = {{.name = "b"}, {.name = "a"}};
    CHECK(ccz_csv_new_mem(csv, ccz_span_str(text), NULL, NULL) == CCZ_OK);
    return ccz_helr_table_new(t, *csv, f, 2, label, err);
}

static void test_table(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_csv) csv = NULL;
    CCZ_AUTO(ccz_helr_table) t = NULL;
    double x[4], label[2];
    size_t rows;
    CHECK(open_table(&t, &csv, "a,y,b,c\n1,0,2,x\n3,1,4,y\n5,1,6,z\n", "y", NULL) == CCZ_OK);
    CHECK(ccz_helr_table_read(&rows, x, label, t, 2, NULL) == CCZ_OK && rows == 2);
    CHECK(x[0] == 2 && x[1] == 1 && x[2] == 4 && x[3] == 3 && label[0] == 0 && label[1] == 1);
    CHECK(ccz_helr_table_read(&rows, x, NULL, t, 2, NULL) == CCZ_OK && rows == 1 && x[0] == 6);
    CHECK(ccz_helr_table_read(&rows, x, NULL, t, 2, NULL) == CCZ_OK && rows == 0);
    static const char *const bad[][3] = {{"", NULL, "helr:column"},
                                         {"a,c\n1,2\n", NULL, "helr:column"},
                                         {"a,b,b\n1,2,3\n", NULL, "helr:column"},
                                         {"a,b\n1,2\n", "y", "helr:column"},
                                         {"a,b\"\n", NULL, "csv:quote"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CCZ_AUTO(ccz_csv) c = NULL;
        CCZ_AUTO(ccz_helr_table) none = NULL;
        CHECK(open_table(&none, &c, bad[i][0], bad[i][1], &err) == CCZ_E_FORMAT && !none);
        CHECK(strcmp(err.where, bad[i][2]) == 0);
    }
    CCZ_AUTO(ccz_csv) c = NULL;
    CCZ_AUTO(ccz_helr_table) u = NULL;
    CHECK(open_table(&u, &c, "a,b\n1,2\n1,x\n", NULL, NULL) == CCZ_OK);
    CHECK(ccz_helr_table_read(&rows, x, NULL, u, 2, &err) == CCZ_E_FORMAT && rows == 0);
    CHECK(strcmp(err.where, "csv:number") == 0 && err.aux == 3);
}

/* Root of the mean square of p(t) - logistic(t) over the interval, with coefficient k moved by @p move. */
static double rms(const double c[4], unsigned degree, double radius, unsigned k, double move)
{
    double d[4], sum = 0;
    memcpy(d, c, sizeof(d));
    d[k] += move;
    for (int i = 0; i <= 2000; i++) {
        double t = radius * (i / 1000.0 - 1);
        double e = ccz_helr_sigmoid_at(d, degree, t) - ccz_helr_logistic(t);
        sum += i % 2000 ? e * e : e * e / 2;
    }
    return sqrt(sum / 2000);
}

static void test_sigmoid(void)
{
    double c[4];
    ccz_helr_sigmoid(c, 3, 8.0);
    CHECK(c[0] == 0.15012 && c[1] == -0.001593008 && c[2] == 0 && c[3] == 0); /* the original's */
    CHECK(fabs(ccz_helr_logistic(2.0) - 0.8807970779778823) < 1e-15);
    CHECK(ccz_helr_sigmoid_at(c, 3, 0.0) == 0.5);
    ccz_helr_sigmoid(c, 4, 8.0);
    CHECK(c[0] == 0 && c[1] == 0);
    double last = 1;
    for (unsigned degree = 3; degree <= 7; degree += 2) {
        for (double radius = 1; radius <= 32; radius *= 3) {
            ccz_helr_sigmoid(c, degree, radius);
            double best = rms(c, degree, radius, 0, 0);
            for (unsigned k = 0; 2 * k + 1 <= degree; k++) { /* no neighbour is better */
                double move = 1e-3 * c[k];
                CHECK(rms(c, degree, radius, k, move) > best &&
                      rms(c, degree, radius, k, -move) > best);
            }
        }
        ccz_helr_sigmoid(c, degree, 8.0);
        CHECK(rms(c, degree, 8.0, 0, 0) < last);
        last = rms(c, degree, 8.0, 0, 0);
    }
    CHECK(last < 0.015);
}

static void test_layout(void)
{
    static const struct {
        size_t n, features, rows, max, per_ct, cts, rows_max;
        unsigned switches;
    } cases[] = {
        {8192, 80, 2000, 0, 4, 20, 2048, 2}, {8192, 80, 2049, 0, 2, 40, 4096, 1},
        {8192, 80, 4096, 0, 2, 40, 4096, 1}, {8192, 30, 1, 0, 32, 1, 256, 5},
        {8192, 30, 256, 0, 32, 1, 256, 5},   {8192, 30, 257, 0, 16, 2, 512, 4},
        {8192, 30, 1, 1, 1, 30, 4096, 0},    {8192, 30, 1, 8, 8, 4, 1024, 3},
        {8192, 1, 1, 0, 1, 1, 4096, 0},      {8192, 80, 0, 0, 0, 0, 0, 0},
        {8192, 80, 4097, 0, 0, 0, 0, 0},     {1024, 4096, 1, 0, 1024, 4, 1, 10},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct ccz_helr_layout l =
            ccz_helr_layout(cases[i].n, cases[i].features, cases[i].rows, cases[i].max);
        CHECK(l.per_ct == cases[i].per_ct && l.cts == cases[i].cts);
        CHECK(l.rows_max == cases[i].rows_max && l.switches == cases[i].switches);
    }
}

/* What is known of the original's data: any slip in reading it or in the sums would show. */
static void test_original_in_clear(void)
{
    struct original o;
    original_load(&o);
    CHECK(o.rows == 2000 && o.model->features_len == 80);
    double c[4];
    ccz_helr_sigmoid(c, 3, 8.0);
    double sum = 0, sum_p = 0, lo = 0, hi = 0;
    size_t right = 0;
    for (size_t i = 0; i < o.rows; i++) {
        double t = ccz_helr_model_linear(o.model, o.x + 80 * i);
        sum += t;
        sum_p += ccz_helr_sigmoid_at(c, 3, t);
        lo = t < lo ? t : lo;
        hi = t > hi ? t : hi;
        right += (t >= 0) == (o.label[i] == 1);
    }
    CHECK(fabs(sum - 0.570372242) < 1e-8 && fabs(sum_p - 999.886512093) < 1e-8);
    CHECK(fabs(lo + 3.3113) < 1e-4 && fabs(hi - 3.3184) < 1e-4 && right == 1888);
    original_free(&o);
}

static const struct ccz_test tests[] = {
    {"helr.model", test_model},
    {"helr.model_strict", test_model_strict},
    {"helr.table", test_table},
    {"helr.sigmoid", test_sigmoid},
    {"helr.layout", test_layout},
    {"helr.original_in_clear", test_original_in_clear}, /* last: it may skip */
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
