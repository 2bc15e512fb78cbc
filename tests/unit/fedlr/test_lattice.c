/* SPDX-License-Identifier: Apache-2.0 */
/* HETERO_RLWE: guest and host with lattice ciphertexts, against the same training in plain numbers. */
#define _GNU_SOURCE
#include "parties.h"

#include <cczoo/bfv.h>

enum { GUEST, HOST };

/* Guest and host of @p cfg, with the first @p guest columns of @p t and the others. */
static void cut_two(struct ccz_fedlr_table *part[2], const struct ccz_fedlr_table *t, size_t guest)
{
    CHECK(ccz_fedlr_table_cols(&part[GUEST], t, 0, guest, true, NULL) == CCZ_OK);
    CHECK(ccz_fedlr_table_cols(&part[HOST], t, guest, t->cols - guest, false, NULL) == CCZ_OK);
}

static void seat(struct party p[2], struct ccz_fedlr_table *const part[2],
                 const struct ccz_fedlr_cfg *cfg, uint64_t cut)
{
    for (int i = 0; i < 2; i++) {
        p[i].role = i == GUEST ? CCZI_ROLE_GUEST : CCZI_ROLE_HOST;
        p[i].t = part[i];
        p[i].run.cfg = cfg;
    }
    join(&p[GUEST], &p[HOST], cut);
}

/* Gradient descent of the quadratic expansion, or of the squared loss, with the whole table. */
static void reference(double *w, const struct ccz_fedlr_table *t, const struct ccz_fedlr_cfg *cfg)
{
    size_t d = t->cols + 1, batches = cczi_fl_batches(t->rows, cfg);
    size_t *order = cczi_fl_zeros(t->rows, sizeof(*order));
    double *velocity = cczi_fl_zeros(d, sizeof(*velocity)), *g = cczi_fl_zeros(d, sizeof(*g));
    CHECK(order && velocity && g);
    memset(w, 0, d * sizeof(*w));
    for (uint32_t e = 0; e < cfg->rounds; e++) {
        cczi_fl_order(order, t->rows, cfg, e);
        for (size_t k = 0; k < batches; k++) {
            struct cczi_fl_batch b = cczi_fl_batch_of(order, t->rows, cfg, k);
            memset(g, 0, d * sizeof(*g));
            for (size_t i = 0; i < b.len; i++) {
                const double *x = &t->x[b.index[i] * t->cols];
                double u = cczi_fl_score(w, x, t->cols), y = t->y[b.index[i]];
                double r = cfg->loss == CCZ_FEDLR_SQUARED ? u - y : u / 4 - (2 * y - 1) / 2;
                for (size_t j = 0; j < d; j++)
                    g[j] += r * (j ? x[j - 1] : 1) / (double)b.len;
            }
            for (size_t j = 0; j < d; j++) {
                velocity[j] = cfg->momentum * velocity[j] + g[j] + (j ? cfg->l2 * w[j] : 0);
                w[j] -= cczi_fl_eta(cfg, e) * velocity[j];
            }
        }
    }
    free(order);
    free(velocity);
    free(g);
}

static void whole(double *w, const struct party p[2])
{
    size_t guest = p[GUEST].model->len;
    memcpy(w, p[GUEST].model->w, guest * sizeof(*w));
    memcpy(w + guest, p[HOST].model->w + 1, (p[HOST].model->len - 1) * sizeof(*w));
    CHECK(p[HOST].model->w[0] == 0);
}

/* @param by  features are rounded to 2^-8: the larger part of it */
static void train_like_reference(const struct ccz_fedlr_table *t, size_t guest,
                                 const struct ccz_fedlr_cfg *cfg, double by)
{
    struct ccz_fedlr_table *part[2];
    struct party p[2] = {0};
    size_t d = t->cols + 1;
    double *want = cczi_fl_zeros(d, sizeof(*want)), *got = cczi_fl_zeros(d, sizeof(*got));
    CHECK(want && got);
    cut_two(part, t, guest);
    seat(p, part, cfg, 0);
    run_all(p, 2);
    all_well(p, 2);
    reference(want, t, cfg);
    whole(got, p);
    CHECK(near(got, want, d, by));
    CHECK(p[GUEST].model->rounds == cfg->rounds * cczi_fl_batches(t->rows, cfg));
    CHECK(p[HOST].rounds == p[GUEST].rounds && p[HOST].last.sent_size > 0);
    clear(p, 2);
    free(want);
    free(got);
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

static const struct ccz_fedlr_cfg BASE = {.mode = CCZ_FEDLR_HETERO_RLWE,
                                          .rounds = 3,
                                          .parties = 1,
                                          .batch_rows = 50,
                                          .eta = 0.4,
                                          .momentum = 0.5,
                                          .l2 = 0.01,
                                          .seed = 5,
                                          .optimize = CCZ_FEDLR_ALL};

static void trains(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_cfg cfg = BASE;
    train_like_reference(t, OF_GUEST, &cfg, 5e-3);
    cfg.batch_rows = 0;
    train_like_reference(t, OF_GUEST, &cfg, 5e-3);
}

/* Many rows, many columns: several blocks and groups, and more blocks than are held at a time. */
static void shapes(void)
{
    static const size_t shape[][3] = {
        /* rows, guest, host */ {9000, 2, 70}, {5000, 40, 1}, {70, 1, 60}};
    for (size_t i = 0; i < sizeof(shape) / sizeof(shape[0]); i++) {
        CCZ_AUTO(ccz_fedlr_table) t = some_rows(shape[i][0], shape[i][1] + shape[i][2], 9);
        struct ccz_fedlr_cfg cfg = BASE;
        cfg.batch_rows = 0;
        cfg.rounds = 2;
        cfg.eta = 0.2;
        train_like_reference(t, shape[i][1], &cfg, 5e-3);
    }
}

/* The same training with Paillier: the same sums, but for roundings of 2^-14. */
static void like_paillier(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[2];
    double w[2][ALL + 1];
    cut_two(part, t, OF_GUEST);
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_paillier_key) a = small_key();
        CCZ_AUTO(ccz_paillier_key) b = small_key();
        struct party p[2] = {0};
        struct ccz_fedlr_cfg cfg = BASE;
        cfg.mode = i ? CCZ_FEDLR_HETERO_TWO : CCZ_FEDLR_HETERO_RLWE;
        seat(p, part, &cfg, 0);
        p[GUEST].key = i ? a : NULL;
        p[HOST].key = i ? b : NULL;
        run_all(p, 2);
        all_well(p, 2);
        whole(w[i], p);
        clear(p, 2);
    }
    CHECK(near(w[0], w[1], ALL + 1, 1e-4));
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

static void converges(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[2];
    struct party p[2] = {0};
    struct ccz_fedlr_cfg cfg = BASE;
    cfg.tol = 0.15;
    cfg.rounds = 30;
    cut_two(part, t, OF_GUEST);
    seat(p, part, &cfg, 0);
    run_all(p, 2);
    all_well(p, 2);
    CHECK(p[0].model->converged && p[1].model->converged && p[0].model->rounds < 90);
    CHECK(p[0].model->rounds == p[1].model->rounds);
    clear(p, 2);
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

/* Cut after each number of messages in turn, then again with what was stored. */
static void resumes(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    CCZ_AUTO(ccz_secret) seal = NULL;
    struct ccz_fedlr_table *part[2];
    struct ccz_fedlr_cfg cfg = BASE;
    static char path[2][64];
    double want[ALL + 1], got[ALL + 1];
    CHECK(ccz_secret_new(&seal, 32) == CCZ_OK);
    cut_two(part, t, OF_GUEST);
    reference(want, t, &cfg);
    for (uint64_t cut = 1; cut <= 31; cut += 3) {
        struct party p[2] = {0};
        for (int pass = 0; pass < 2; pass++) {
            seat(p, part, &cfg, pass ? 0 : cut);
            for (int i = 0; i < 2; i++) {
                (void)snprintf(path[i], sizeof(path[i]), "%s-%d", temp_path("lattice"), i);
                if (pass == 0)
                    (void)unlink(path[i]);
                p[i].run.checkpoint = path[i];
                p[i].run.seal = seal;
            }
            run_all(p, 2);
            if (pass == 0) {
                CHECK(p[0].rc != CCZ_OK && p[1].rc != CCZ_OK && !p[0].model && !p[1].model);
                clear(p, 2);
            }
        }
        all_well(p, 2);
        whole(got, p);
        CHECK(near(got, want, ALL + 1, 5e-3));
        clear(p, 2);
    }
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

/* ----------------------------------------------------------------------------- squared loss */

static void make_real(struct ccz_fedlr_table *t)
{
    for (size_t i = 0; i < t->rows; i++) {
        const double *x = &t->x[i * t->cols];
        t->y[i] = 0.5 + x[0] - 0.7 * x[1] + 0.4 * x[4] + 0.1 * (t->y[i] - 0.5);
    }
}

/* Linear regression in every heterogeneous mode comes to the plane of least squares. */
static void linear(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    CCZ_AUTO(ccz_paillier_key) a = small_key();
    CCZ_AUTO(ccz_paillier_key) b = small_key();
    CCZ_AUTO(ccz_fedlr_model) central = NULL;
    struct ccz_fedlr_table *part[2];
    make_real(t);
    cut_two(part, t, OF_GUEST);
    CHECK(ccz_fedlr_fit_central(&central, t, CCZ_FEDLR_SQUARED, 0, NULL) == CCZ_OK);
    for (int mode = CCZ_FEDLR_HETERO; mode <= CCZ_FEDLR_HETERO_RLWE; mode++) {
        struct ccz_fedlr_cfg cfg = BASE;
        struct party p[3] = {0};
        double got[ALL + 1], score[ROWS];
        bool arbiter = mode == CCZ_FEDLR_HETERO;
        cfg.mode = (enum ccz_fedlr_mode)mode;
        cfg.loss = CCZ_FEDLR_SQUARED;
        cfg.l2 = 0;
        cfg.eta = 0.1;
        cfg.rounds = 40;
        cfg.batch_rows = 0;
        seat(p, part, &cfg, 0);
        p[GUEST].key = mode == CCZ_FEDLR_HETERO_TWO ? a : NULL;
        p[HOST].key = mode == CCZ_FEDLR_HETERO_TWO ? b : NULL;
        p[2].role = CCZI_ROLE_ARBITER;
        p[2].key = a;
        p[2].run.cfg = &cfg;
        p[0].arbiter = p[1].arbiter = arbiter;
        for (int i = 0; i < 2 && arbiter; i++)
            join(&p[i], &p[2], 0);
        run_all(p, arbiter ? 3 : 2);
        all_well(p, arbiter ? 3 : 2);
        whole(got, p);
        CHECK(near(got, central->w, ALL + 1, 1e-2));
        CHECK(p[0].model->loss == CCZ_FEDLR_SQUARED && p[1].model->loss == CCZ_FEDLR_SQUARED);
        const struct ccz_fedlr_model m = {.len = ALL + 1, .w = got, .loss = CCZ_FEDLR_SQUARED};
        struct ccz_fedlr_fit fit;
        CHECK(ccz_fedlr_predict(score, &m, t, NULL) == CCZ_OK);
        CHECK(ccz_fedlr_measure_fit(&fit, score, t->y, ROWS, NULL) == CCZ_OK);
        CHECK(fit.r2 > 0.99 && fit.rmse < 0.1 && fit.mae <= fit.rmse);
        if (arbiter) /* half of the mean of the squares, in the epoch before the last step */
            CHECK(fabs(p[2].loss - fit.rmse * fit.rmse / 2) < 2e-3);
        clear(p, 3);
    }
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

static void fit_definition(void)
{
    static const double y[] = {1, 2, 4, 5}, p[] = {1, 3, 4, 4};
    struct ccz_fedlr_fit f;
    struct ccz_err err = {0};
    CHECK(ccz_fedlr_measure_fit(&f, p, y, 4, &err) == CCZ_OK);
    CHECK(fabs(f.rmse - sqrt(0.5)) < 1e-12 && fabs(f.mae - 0.5) < 1e-12);
    CHECK(fabs(f.r2 - 0.8) < 1e-12); /* 1 - 2 / 10 */
    CHECK(ccz_fedlr_measure_fit(&f, p, (const double[]){2, 2, 2, 2}, 4, &err) == CCZ_E_ARG &&
          strcmp(err.where, "fedlr:one-label") == 0);
    CHECK(ccz_fedlr_measure_fit(&f, p, y, 0, &err) == CCZ_E_ARG);
}

/* ---------------------------------------------------------------------------------- refusals */

static void refuses_labels(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[2];
    static const struct {
        enum ccz_fedlr_loss loss;
        double label;
    } cases[] = {{CCZ_FEDLR_LOGISTIC, 0.5}, {CCZ_FEDLR_SQUARED, 8.5}, {CCZ_FEDLR_SQUARED, -9}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct party p[2] = {0};
        struct ccz_fedlr_cfg cfg = BASE;
        double was = t->y[7];
        cfg.loss = cases[i].loss;
        t->y[7] = cases[i].label;
        cut_two(part, t, OF_GUEST);
        seat(p, part, &cfg, 0);
        run_all(p, 2);
        CHECK(refused(p, 2, CCZ_E_ARG, "fedlr:labels") == &p[GUEST]);
        t->y[7] = was;
        clear(p, 2);
        ccz_fedlr_table_free(part[0]);
        ccz_fedlr_table_free(part[1]);
    }
}

static void refuses_config(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    CCZ_AUTO(ccz_fedlr_table) named = some_rows(ROWS, ALL, 3);
    CCZ_AUTO(ccz_fedlr_table) few = some_rows(5, ALL, 3);
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    const uint8_t id[CCZ_PAILLIER_ID_SIZE] = {1};
    memcpy(named->id[5], named->id[6], sizeof(named->id[5]));
    static const struct {
        ccz_rc rc;
        const char *where;
    } want[] = {{CCZ_E_ARG, "fedlr:config"},
                {CCZ_E_ARG, "fedlr:config"},
                {CCZ_E_MISMATCH, "fedlr:alignment"},
                {CCZ_E_LIMIT, "fedlr:few-rows"},
                {CCZ_E_MISMATCH, "fedlr:config-digest"}};
    for (int i = 0; i < 5; i++) {
        struct ccz_fedlr_table *part[2], *other[2];
        struct party p[2] = {0};
        struct ccz_fedlr_cfg cfg = BASE, squared = BASE;
        squared.loss = CCZ_FEDLR_SQUARED;
        cut_two(part, i == 3 ? few : t, OF_GUEST);
        cut_two(other, named, OF_GUEST);
        seat(p, part, &cfg, 0);
        if (i == 0)
            p[GUEST].run.key_id = id; /* there is no key to be pinned */
        if (i == 1)
            p[HOST].key = key;
        if (i == 2)
            p[HOST].t = other[HOST];
        if (i == 4)
            p[HOST].run.cfg = &squared;
        run_all(p, 2);
        (void)refused(p, 2, want[i].rc, want[i].where);
        clear(p, 2);
        for (int k = 0; k < 2; k++) {
            ccz_fedlr_table_free(part[k]);
            ccz_fedlr_table_free(other[k]);
        }
    }
}

/* A message of one party that is shortened, changed or sent twice is refused by the other. */
static void refuses_changes(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[2];
    struct ccz_fedlr_cfg cfg = BASE;
    cfg.rounds = 1;
    cfg.batch_rows = 0;
    cut_two(part, t, OF_GUEST);
    /* hello, key, parts, sums, windows, go */
    for (uint64_t n = 1; n <= 6; n++)
        for (int what = 0; what < 3; what++) {
            if (n == 6 && what == 1) /* behind the last message comes what nobody needs */
                continue;
            struct party p[2] = {0};
            seat(p, part, &cfg, 0);
            const struct ccz_chan_fault_cfg fault = {.send_shorten = what == 0 ? n : 0,
                                                     .send_repeat = what == 1 ? n : 0,
                                                     .send_drop = what == 2 ? n : 0};
            CHECK(ccz_chan_fault_new(&p[HOST].chan[0], p[HOST].chan[0], &fault, NULL) == CCZ_OK);
            run_all(p, 2);
            if (p[GUEST].rc == CCZ_OK)
                fprintf(stderr, "message %d, fault %d: accepted\n", (int)n, what);
            CHECK(p[GUEST].rc != CCZ_OK && p[GUEST].model == NULL);
            /* nothing but a refusal of what came, or (what is missing, or too large) of the channel */
            CHECK(strncmp(p[GUEST].err.where, "fedlr:", 6) == 0 ||
                  strncmp(p[GUEST].err.where, "rlwe:", 5) == 0 ||
                  strncmp(p[GUEST].err.where, "chan:", 5) == 0);
            clear(p, 2);
        }
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

int main(int argc, char **argv)
{
    temp_setup();
    static const struct ccz_test tests[] = {
        {"fedlr.rlwe", trains},
        {"fedlr.rlwe_shapes", shapes},
        {"fedlr.rlwe_like_paillier", like_paillier},
        {"fedlr.rlwe_converges", converges},
        {"fedlr.rlwe_resumes", resumes},
        {"fedlr.linear", linear},
        {"fedlr.fit_definition", fit_definition},
        {"fedlr.refuses_labels", refuses_labels},
        {"fedlr.rlwe_refuses_config", refuses_config},
        {"fedlr.rlwe_refuses_changes", refuses_changes},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
