/* SPDX-License-Identifier: Apache-2.0 */
/* K-means of two parties: equal to the simulation, which is near to doubles; empty clusters, reveals, plans, refusals. */
#include <cczoo/mpcml_kmeans.h>

#include "pair.h"

#include <stdlib.h>

/* [-1, 1) */
static double spot(uint64_t *state)
{
    return (double)(rnd(state) >> 11) / 0x1p52 - 1;
}

/* Points around as many places as there are clusters, as a whole table and as both parties have it. */
struct data {
    struct ccz_mpcml_kmeans_cfg cfg;
    size_t points, columns;
    double *all, *x[2];
    uint64_t *expected;
};

static void deal(struct data *d)
{
    const struct ccz_mpcml_kmeans_cfg *c = &d->cfg;
    for (unsigned r = 0; r < 2; r++) {
        const size_t row = c->split == CCZ_MPCML_ROWS && r ? c->rows[0] : 0;
        const size_t column = c->split == CCZ_MPCML_COLUMNS && r ? c->columns[0] : 0;
        d->x[r] = malloc(c->rows[r] * c->columns[r] * sizeof(double));
        CHECK(d->x[r]);
        for (size_t i = 0; i < c->rows[r]; i++)
            memcpy(d->x[r] + i * c->columns[r], d->all + (row + i) * d->columns + column,
                   c->columns[r] * sizeof(double));
    }
}

static void data_init(struct data *d, const struct ccz_mpcml_kmeans_cfg *cfg, uint64_t seed)
{
    memset(d, 0, sizeof(*d));
    d->cfg = *cfg;
    d->points = ccz_mpcml_kmeans_points(cfg);
    d->columns = ccz_mpcml_kmeans_columns(cfg);
    d->all = malloc(d->points * d->columns * sizeof(double));
    d->expected = calloc(cfg->clusters * d->columns, sizeof(uint64_t));
    CHECK(d->all && d->expected);
    for (size_t i = 0; i < d->points; i++)
        for (size_t c = 0; c < d->columns; c++) {
            uint64_t place = i % cfg->clusters * 1000 + c;
            d->all[i * d->columns + c] = 3 * spot(&place) + 0.3 * spot(&seed);
        }
    deal(d);
}

static void data_free(struct data *d)
{
    free(d->all);
    free(d->x[0]);
    free(d->x[1]);
    free(d->expected);
}

static const struct ccz_mpcml_kmeans_cfg columns = {.split = CCZ_MPCML_COLUMNS,
                                                    .rows = {40, 40},
                                                    .columns = {2, 3},
                                                    .clusters = 3,
                                                    .iterations = 3,
                                                    .seed = 7,
                                                    .to = CCZ_MPC_TO_BOTH};
static const struct ccz_mpcml_kmeans_cfg rows = {.split = CCZ_MPCML_ROWS,
                                                 .rows = {30, 21},
                                                 .columns = {4, 4},
                                                 .clusters = 3,
                                                 .iterations = 3,
                                                 .seed = 8,
                                                 .to = CCZ_MPC_TO_BOTH};

/* ----------------------------------------------------------------------------------- simulation */

/* Lloyd in doubles. */
static void lloyd(double *centre, const struct data *d, const uint32_t *first)
{
    const size_t k = d->cfg.clusters, w = d->columns;
    double *sum = malloc(k * w * sizeof(*sum));
    size_t *size = malloc(k * sizeof(*size));
    CHECK(sum && size);
    for (size_t j = 0; j < k; j++)
        memcpy(centre + j * w, d->all + first[j] * w, w * sizeof(double));
    for (size_t n = 0; n < d->cfg.iterations; n++) {
        memset(sum, 0, k * w * sizeof(*sum));
        memset(size, 0, k * sizeof(*size));
        for (size_t i = 0; i < d->points; i++) {
            double best = INFINITY;
            size_t at = 0;
            for (size_t j = 0; j < k; j++) {
                double dist = 0;
                for (size_t c = 0; c < w; c++)
                    dist += pow(d->all[i * w + c] - centre[j * w + c], 2);
                at = dist < best ? j : at;
                best = fmin(best, dist);
            }
            size[at]++;
            for (size_t c = 0; c < w; c++)
                sum[at * w + c] += d->all[i * w + c];
        }
        for (size_t i = 0; i < k * w; i++)
            if (size[i / w])
                centre[i] = sum[i] / (double)size[i / w];
    }
    free(sum);
    free(size);
}

static void test_near(void)
{
    const uint32_t first[] = {3, 1, 2};
    for (unsigned split = 0; split < 2; split++) {
        struct data d;
        struct ccz_mpcml_kmeans_cfg cfg = split ? rows : columns;
        double real[15], got[15];
        size_t sizes[3], len;
        cfg.first = first;
        cfg.iterations = 8;
        data_init(&d, &cfg, 1);
        len = 3 * d.columns;
        CHECK(ccz_mpcml_kmeans_simulate(d.expected, sizes, &cfg, d.x[0], d.x[1], NULL) == CCZ_OK);
        CHECK(sizes[0] + sizes[1] + sizes[2] == d.points);
        ccz_mpc_decode(got, d.expected, len, 64, 14);
        lloyd(real, &d, first);
        for (size_t i = 0; i < len; i++)
            CHECK(fabs(got[i] - real[i]) < 3 * 0x1p-14);
        data_free(&d);
    }
}

/* Two equal points first: the second cluster gets nobody, as the first of equals wins, and stays where it is. */
static void make_empty(struct data *d)
{
    static const uint32_t first[] = {0, 1, 2};
    for (size_t c = 0; c < d->columns; c++)
        d->all[d->columns + c] = d->all[c];
    free(d->x[0]);
    free(d->x[1]);
    deal(d);
    d->cfg.first = first;
}

static void test_empty(void)
{
    struct data d;
    size_t sizes[3];
    double point[5], centre[5];
    data_init(&d, &columns, 2);
    d.cfg.iterations = 1;
    make_empty(&d);
    CHECK(ccz_mpcml_kmeans_simulate(d.expected, sizes, &d.cfg, d.x[0], d.x[1], NULL) == CCZ_OK);
    CHECK(sizes[0] > 0 && sizes[1] == 0 && sizes[2] > 0);
    memcpy(point, d.all + 5, sizeof(point));
    ccz_mpc_decode(centre, d.expected + 5, 5, 64, 14);
    for (int c = 0; c < 5; c++)
        CHECK(fabs(centre[c] - point[c]) <= 0x1p-15);
    data_free(&d);
}

/* ------------------------------------------------------------------------------------- protocol */

struct parties {
    struct ccz_mpcml_kmeans *km[2];
    struct kit_pair k;
};

static void start(struct parties *p, const struct data *d, enum ccz_mpc_trunc trunc)
{
    struct ccz_err err = {0};
    for (unsigned r = 0; r < 2; r++)
        CHECK(ccz_mpcml_kmeans_new(&p->km[r], r, &d->cfg, d->x[r], &err) == CCZ_OK);
    kit_init(&p->k, ccz_mpcml_kmeans_program(p->km[0]), ccz_mpcml_kmeans_program(p->km[1]), NULL);
    p->k.p[0].cfg.trunc = p->k.p[1].cfg.trunc = trunc;
}

static void stop(struct parties *p)
{
    kit_free(&p->k);
    for (int r = 0; r < 2; r++)
        ccz_mpcml_kmeans_free(p->km[r]);
}

/* What each party got, of what it should get. */
static void check_centres(const struct parties *p, const struct data *d)
{
    const struct ccz_mpcml_kmeans_cfg *c = &d->cfg;
    for (unsigned r = 0; r < 2; r++) {
        const uint64_t *got = ccz_mpcml_kmeans_centres(p->km[r]);
        const size_t width = c->to ? d->columns : c->columns[r],
                     from = c->to || r == 0 ? 0 : c->columns[0];
        CHECK((got != NULL) == (c->to == 0 || (c->to >> r & 1)));
        for (size_t i = 0; got && i < c->clusters * width; i++)
            CHECK(got[i] == d->expected[i / width * d->columns + from + i % width]);
    }
}

static void same(struct data *d, enum ccz_mpcml_optimize optimize)
{
    struct parties p;
    CHECK(ccz_mpcml_kmeans_simulate(d->expected, NULL, &d->cfg, d->x[0], d->x[1], NULL) == CCZ_OK);
    start(&p, d, CCZ_MPC_TRUNC_FAITHFUL);
    p.k.p[0].cfg.setting = p.k.p[1].cfg.setting = ccz_mpcml_setting(optimize);
    kit_run(&p.k);
    pair_ok(&p.k);
    check_centres(&p, d);
    for (int r = 0; r < 2; r++) { /* nothing but centres, once to each receiver */
        const size_t reveals = d->cfg.to ? 1 : 2;
        CHECK(p.k.p[r].reveals_len == reveals && p.k.p[r].stats.reveals == reveals);
        for (size_t i = 0; i < reveals; i++)
            CHECK(strcmp(p.k.p[r].reveals[i].label, "centres") == 0 &&
                  p.k.p[r].reveals[i].to == (d->cfg.to ? d->cfg.to : 1u << i));
    }
    stop(&p);
}

static void test_same(void)
{
    for (unsigned split = 0; split < 2; split++)
        for (unsigned to = split; to <= CCZ_MPC_TO_BOTH; to++) {
            struct data d;
            data_init(&d, split ? &rows : &columns, 3 + to);
            d.cfg.to = to;
            same(&d, CCZ_MPCML_ROUNDS);
            data_free(&d);
        }
}

/* Groups that do not pair up, also more than once; clusters of one party's points alone. */
static void test_clusters(void)
{
    const uint32_t own[] = {2, 3};
    for (size_t clusters = 2; clusters <= 7; clusters++) {
        struct data d;
        struct ccz_mpcml_kmeans_cfg cfg = clusters % 2 ? rows : columns;
        cfg.clusters = clusters;
        cfg.iterations = 2;
        cfg.first = clusters == 2 ? own : NULL;
        data_init(&d, &cfg, 10 + clusters);
        same(&d, CCZ_MPCML_ROUNDS);
        data_free(&d);
    }
    struct data d;
    struct ccz_mpcml_kmeans_cfg cfg = rows;
    const uint32_t second[] = {35, 30, 34}; /* of party 1's rows, not in their order */
    cfg.first = second;
    data_init(&d, &cfg, 20);
    same(&d, CCZ_MPCML_ROUNDS);
    data_free(&d);
    data_init(&d, &columns, 21);
    make_empty(&d);
    same(&d, CCZ_MPCML_ROUNDS);
    data_free(&d);
}

static void test_settings(void)
{
    static const enum ccz_mpcml_optimize all[] = {CCZ_MPCML_OT, CCZ_MPCML_HE_EACH,
                                                  CCZ_MPCML_HE_PACKED, CCZ_MPCML_SILENT};
    struct data d;
    data_init(&d, &columns, 30);
    d.cfg.iterations = 2;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        same(&d, all[i]);
    data_free(&d);
}

/* ONE_BIT: a unit here and there, which is far below the distances of these points. */
static void test_one_bit(void)
{
    struct data d;
    struct parties p;
    data_init(&d, &columns, 31);
    CHECK(ccz_mpcml_kmeans_simulate(d.expected, NULL, &d.cfg, d.x[0], d.x[1], NULL) == CCZ_OK);
    start(&p, &d, CCZ_MPC_TRUNC_ONE_BIT);
    kit_run(&p.k);
    pair_ok(&p.k);
    const uint64_t *got = ccz_mpcml_kmeans_centres(p.km[0]);
    for (size_t i = 0; i < d.cfg.clusters * d.columns; i++)
        CHECK(llabs((int64_t)(got[i] - d.expected[i])) <= 2);
    stop(&p);
    data_free(&d);
}

static void test_plan(void)
{
    /* rounds: products of several kinds by transfers, from the same stores */
    static const enum ccz_mpcml_optimize settings[] = {CCZ_MPCML_SILENT, CCZ_MPCML_ROUNDS,
                                                       CCZ_MPCML_OT};
    for (unsigned i = 0; i < 6; i++) {
        struct data d;
        struct parties p;
        struct ccz_mpcml_plan *plan = NULL;
        data_init(&d, i % 2 ? &rows : &columns, 40);
        start(&p, &d, CCZ_MPC_TRUNC_ONE_BIT);
        p.k.p[0].cfg.setting = p.k.p[1].cfg.setting = ccz_mpcml_setting(settings[i / 2]);
        CHECK(ccz_mpcml_plan_new(&plan, p.k.p[1].program, &p.k.p[1].cfg, NULL) == CCZ_OK);
        kit_run(&p.k);
        pair_ok(&p.k);
        pair_as_planned(&p.k, plan);
        for (unsigned phase = 0; settings[i / 2] == CCZ_MPCML_ROUNDS && phase < CCZ_MPC_PHASES;
             phase++)
            CHECK(kit_bytes(&p.k.p[0].stats, phase) == plan->phase[phase].size);
        ccz_mpcml_plan_free(plan);
        stop(&p);
        data_free(&d);
    }
}

/* ------------------------------------------------------------------------------------- refusals */

static void refused(const struct ccz_mpcml_kmeans_cfg *cfg, const double *x, ccz_rc rc,
                    const char *where)
{
    struct ccz_mpcml_kmeans *km = (void *)cfg;
    struct ccz_err err = {0};
    const ccz_rc got = ccz_mpcml_kmeans_new(&km, 0, cfg, x, &err);
    if (got != rc || strcmp(err.where, where) != 0)
        fprintf(stderr, "got %s %s (%s), expected %s\n", ccz_rc_name(got), err.where, err.msg,
                where);
    CHECK(got == rc && strcmp(err.where, where) == 0 && km == NULL);
}

static void test_config(void)
{
    struct ccz_mpcml_kmeans_cfg c = columns;
    c.split = 2;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:split");
    c = columns;
    c.rows[1] = 41;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:rows");
    c = rows;
    c.rows[1] = 0;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:rows");
    c = rows;
    c.columns[1] = 3;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:columns");
    c = columns;
    c.clusters = 1;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:clusters");
    c.clusters = CCZ_MPCML_CLUSTERS_MAX + 1;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:clusters");
    c.clusters = 41; /* more than points */
    refused(&c, NULL, CCZ_E_ARG, "mpcml:clusters");
    c = columns;
    c.iterations = 0;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:iterations");
    c = columns;
    c.frac = 29;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:frac");
    c = columns;
    c.max_abs = NAN;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:max-abs");
    c.max_abs = -1;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:max-abs");
    c = columns;
    c.max_abs = 0x1p20; /* a quotient has 2^(20 + 14 + 28) */
    refused(&c, NULL, CCZ_E_LIMIT, "mpcml:range");
    c = columns;
    c.frac = 28; /* a distance has d 3 2^(6 + 56) */
    refused(&c, NULL, CCZ_E_LIMIT, "mpcml:range");
    const uint32_t twice[] = {1, 2, 1}, beyond[] = {1, 2, 40};
    c = columns;
    c.first = twice;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:first");
    c.first = beyond;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:first");
    c = rows;
    c.to = 0;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:to");
    c.to = 4;
    refused(&c, NULL, CCZ_E_ARG, "mpcml:to");
    double x[80] = {0};
    x[79] = 8.01;
    refused(&columns, x, CCZ_E_ARG, "mpcml:input");
    x[79] = NAN;
    refused(&columns, x, CCZ_E_ARG, "mpcml:input");
}

static void test_mismatch(void)
{
    struct data d;
    data_init(&d, &columns, 50);
    for (int k = 0; k < 5; k++) {
        struct parties p;
        struct ccz_mpcml_kmeans_cfg c = d.cfg;
        c.seed += k == 0; /* other points first */
        c.iterations += k == 1;
        c.to = k == 2 ? CCZ_MPC_TO_0 : CCZ_MPC_TO_BOTH;
        c.max_abs = k == 3 ? 9 : 0;
        c.columns[0] += k == 4;
        start(&p, &d, CCZ_MPC_TRUNC_FAITHFUL);
        ccz_mpcml_kmeans_free(p.km[1]);
        CHECK(ccz_mpcml_kmeans_new(&p.km[1], 1, &c, d.x[1], NULL) == CCZ_OK);
        p.k.p[1].program = ccz_mpcml_kmeans_program(p.km[1]);
        kit_run(&p.k);
        pair_refused(&p.k, "mpc:hello-program");
        CHECK(!ccz_mpcml_kmeans_centres(p.km[0]) && !ccz_mpcml_kmeans_centres(p.km[1]));
        stop(&p);
    }
    struct parties p;
    start(&p, &d, CCZ_MPC_TRUNC_LOCAL);
    kit_run(&p.k);
    pair_refused(&p.k, "mpcml:trunc");
    stop(&p);
    start(&p, &d, CCZ_MPC_TRUNC_FAITHFUL);
    ccz_mpcml_kmeans_free(p.km[1]);
    CHECK(ccz_mpcml_kmeans_new(&p.km[1], 1, &d.cfg, NULL, NULL) == CCZ_OK);
    p.k.p[1].program = ccz_mpcml_kmeans_program(p.km[1]);
    kit_run(&p.k);
    pair_refused(&p.k, "mpcml:data");
    stop(&p);
    data_free(&d);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kmeans.near", test_near},         {"kmeans.empty", test_empty},
        {"kmeans.same", test_same},         {"kmeans.clusters", test_clusters},
        {"kmeans.settings", test_settings}, {"kmeans.one_bit", test_one_bit},
        {"kmeans.plan", test_plan},         {"kmeans.config", test_config},
        {"kmeans.mismatch", test_mismatch}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
