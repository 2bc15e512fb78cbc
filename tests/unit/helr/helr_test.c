/* SPDX-License-Identifier: Apache-2.0 */
#include "helr_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool holds)
{
    if (!holds) {
        fprintf(stderr, "helr_test.c: the data of a test could not be made\n");
        exit(1);
    }
}

double made_number(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(int64_t)(*state & ~(uint64_t)0x7ff) / 9223372036854775808.0;
}

struct ccz_helr_model *made_model(size_t features, uint64_t seed)
{
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 1 << 20);
    double size = 4.0 / (double)features;
    ccz_buf_printf(&json, "{\"version\":1,\"name\":\"made\",\"bias\":%.17g,\"features\":[",
                   0.3 * made_number(&seed));
    for (size_t i = 0; i < features; i++)
        ccz_buf_printf(&json,
                       "%s{\"name\":\"f%zu\",\"weight\":%.17g,\"mean\":%.17g,\"scale\":%.17g}",
                       i ? "," : "", i, size * made_number(&seed), 100 * made_number(&seed),
                       ldexp(1.0, (int)(i % 13) - 6));
    ccz_buf_put_str(&json, "]}");
    struct ccz_helr_model *m = NULL;
    must(ccz_helr_model_parse(&m, ccz_buf_span(&json), NULL) == CCZ_OK);
    return m;
}

double *made_rows(const struct ccz_helr_model *m, size_t rows, uint64_t seed)
{
    double *x = malloc(rows * m->features_len * sizeof(*x));
    must(x);
    for (size_t i = 0; i < rows * m->features_len; i++) {
        const struct ccz_helr_feature *f = &m->features[i % m->features_len];
        x[i] = f->mean + f->scale * 1.2 * made_number(&seed);
    }
    return x;
}

static void read_file(struct ccz_buf *out, const char *name)
{
    const char *env = getenv("CCZOO_VECTORS");
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/lr/%s",
                   env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors", name);
    ccz_buf_init(out, 1 << 24);
    if (ccz_file_read(out, path, NULL) != CCZ_OK) {
        fprintf(stderr, "skipped: no %s\n", path);
        exit(77);
    }
}

static void load_model(struct original *o, const struct ccz_csv *weights,
                       const struct ccz_csv *names)
{
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 1 << 20);
    ccz_buf_put_str(&json, "{\"version\":1,\"name\":\"lrtest_mid\",\"features\":[");
    for (size_t i = 0; i < ccz_csv_len(weights); i++) {
        double w;
        must(ccz_csv_num(&w, weights, i, NULL) == CCZ_OK);
        if (i > 0)
            ccz_buf_printf(&json, "%s{\"weight\":%.17g,\"name\":", i > 1 ? "," : "", w);
        if (i > 0)
            ccz_json_put_str(&json, ccz_csv_field(names, i - 1));
        if (i > 0)
            ccz_buf_u8(&json, '}');
    }
    double bias;
    must(ccz_csv_num(&bias, weights, 0, NULL) == CCZ_OK);
    ccz_buf_printf(&json, "],\"bias\":%.17g}", bias);
    must(ccz_helr_model_parse(&o->model, ccz_buf_span(&json), NULL) == CCZ_OK);
}

void original_load(struct original *o)
{
    CCZ_AUTO_BUF model, data;
    memset(o, 0, sizeof(*o));
    read_file(&model, "lrtest_mid_lrmodel.csv");
    read_file(&data, "lrtest_mid_eval.csv");
    CCZ_AUTO(ccz_csv) m = NULL;
    CCZ_AUTO(ccz_csv) c = NULL;
    must(ccz_csv_new_mem(&m, ccz_buf_span(&model), NULL, NULL) == CCZ_OK);
    must(ccz_csv_new_mem(&c, ccz_buf_span(&data), NULL, NULL) == CCZ_OK);
    must(ccz_csv_next(m, NULL) == CCZ_OK && ccz_csv_next(c, NULL) == CCZ_OK);
    load_model(o, m, c);
    size_t len = o->model->features_len, cap = 4096;
    o->x = malloc(cap * len * sizeof(*o->x));
    o->label = malloc(cap * sizeof(*o->label));
    must(o->x && o->label);
    for (; ccz_csv_next(c, NULL) == CCZ_OK; o->rows++) {
        must(o->rows < cap && ccz_csv_len(c) == len + 1);
        double label;
        for (size_t i = 0; i < len; i++)
            must(ccz_csv_num(&o->x[o->rows * len + i], c, i, NULL) == CCZ_OK);
        must(ccz_csv_num(&label, c, len, NULL) == CCZ_OK);
        o->label[o->rows] = label > 0.5;
    }
}

void original_free(struct original *o)
{
    ccz_helr_model_free(o->model);
    free(o->x);
    free(o->label);
}
