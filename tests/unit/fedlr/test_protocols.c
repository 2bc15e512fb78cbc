/* SPDX-License-Identifier: Apache-2.0 */
/* Every protocol with all its roles in threads, against the same training in plain numbers. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "fedlr/fedlr_priv.h"
#include "fedlr/random.h"
#include "temp_dir.h"

#include <math.h>
#include <pthread.h>

enum { LINKS = 4, PARTIES = 6 };

/* One role, run in a thread of its own. */
struct party {
    enum cczi_fl_role role;
    const struct ccz_paillier_key *key;
    struct ccz_chan *chan[LINKS]; /* the arbiter's last, where the role has one */
    size_t len;
    bool arbiter; /* chan[len - 1] is to it */
    const struct ccz_fedlr_table *t;
    size_t cols;
    struct ccz_fedlr_run run;
    pthread_t thread;
    ccz_rc rc;
    struct ccz_err err;
    struct ccz_fedlr_model *model;
    unsigned rounds; /* told by on_round */
    double loss;     /* the last one told that was a number */
    struct ccz_fedlr_progress last;
};

static void on_round(void *arg, const struct ccz_fedlr_progress *p)
{
    struct party *me = arg;
    me->rounds++;
    me->last = *p;
    if (!isnan(p->loss))
        me->loss = p->loss;
}

static void *run_party(void *arg)
{
    struct party *p = arg;
    size_t peers = p->len - p->arbiter;
    struct ccz_chan *arbiter = p->arbiter ? p->chan[p->len - 1] : NULL;
    p->run.on_round = on_round;
    p->run.arg = p;
    p->run.key_1024_insecure = true;
    p->run.timeout_ms = 60000;
    switch (p->role) {
    case CCZI_ROLE_AGGREGATOR:
        p->rc = ccz_fedlr_aggregate(p->chan, peers, arbiter, &p->run, &p->err);
        break;
    case CCZI_ROLE_ARBITER:
        p->rc = ccz_fedlr_arbitrate(&p->model, p->key, p->chan, p->len, p->cols, &p->run, &p->err);
        break;
    case CCZI_ROLE_WORKER:
        p->rc = ccz_fedlr_work(&p->model, p->key, p->chan[0], p->t, &p->run, &p->err);
        break;
    case CCZI_ROLE_GUEST:
        p->rc = ccz_fedlr_guest(&p->model, p->key, p->chan, peers, arbiter, p->t, &p->run, &p->err);
        break;
    default:
        p->rc = ccz_fedlr_host(&p->model, p->key, p->chan[0], arbiter, p->t, &p->run, &p->err);
    }
    for (size_t i = 0; i < p->len; i++)
        ccz_chan_close(p->chan[i], p->rc == CCZ_OK ? "done" : p->err.where);
    return NULL;
}

/* A channel between two parties; the end of @p a breaks after @p cut messages sent, if not 0. */
static void join(struct party *a, struct party *b, uint64_t cut)
{
    struct ccz_chan *x, *y;
    CHECK(ccz_chan_pair(&x, &y, NULL, NULL) == CCZ_OK);
    const struct ccz_chan_fault_cfg fault = {.send_cut_after = cut};
    if (cut > 0)
        CHECK(ccz_chan_fault_new(&x, x, &fault, NULL) == CCZ_OK);
    a->chan[a->len++] = x;
    b->chan[b->len++] = y;
}

static void run_all(struct party *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        CHECK(pthread_create(&p[i].thread, NULL, run_party, &p[i]) == 0);
    for (size_t i = 0; i < len; i++)
        CHECK(pthread_join(p[i].thread, NULL) == 0);
}

/* Ready for another run with fresh channels; models go. */
static void clear(struct party *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        for (size_t c = 0; c < p[i].len; c++)
            ccz_chan_free(p[i].chan[c]);
        p[i].len = 0;
        ccz_fedlr_model_free(p[i].model);
        p[i].model = NULL;
        p[i].err = (struct ccz_err){0};
        p[i].rounds = 0;
    }
}

static void all_well(const struct party *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i].rc != CCZ_OK)
            fprintf(stderr, "party %zu: %s: %s\n", i, p[i].err.where, p[i].err.msg);
        CHECK(p[i].rc == CCZ_OK);
    }
}

static struct ccz_paillier_key *small_key(void)
{
    struct ccz_paillier_key *k;
    struct ccz_err err = {0};
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true};
    CHECK(ccz_paillier_keygen(&k, &cfg, &err) == CCZ_OK);
    return k;
}

static struct ccz_fedlr_table *some_rows(size_t rows, size_t cols, uint64_t seed)
{
    struct ccz_fedlr_table *t;
    struct cczi_fl_seeded r = cczi_fl_seeded_from(seed, 0);
    CHECK(ccz_fedlr_table_new(&t, rows, cols, true, true, NULL) == CCZ_OK);
    for (size_t i = 0; i < rows; i++) {
        double z = 0.3;
        (void)snprintf(t->id[i], sizeof(t->id[i]), "row-%zu", i);
        for (size_t j = 0; j < cols; j++) {
            t->x[i * cols + j] = cczi_fl_seeded_normal(&r);
            z += (j % 2 ? -1.0 : 1.0) * t->x[i * cols + j] / (double)(j + 1);
        }
        t->y[i] = cczi_fl_seeded_unit(&r) < cczi_fl_sigmoid(z);
    }
    return t;
}

static bool near(const double *a, const double *b, size_t len, double by)
{
    for (size_t i = 0; i < len; i++)
        if (!(fabs(a[i] - b[i]) <= by)) {
            fprintf(stderr, "number %zu: %.12g and %.12g\n", i, a[i], b[i]);
            return false;
        }
    return true;
}

/* ------------------------------------------------------------------------------------ homo */

enum { COLS = 5, D = COLS + 1 };

static void join_homo(struct party p[4], const struct ccz_paillier_key *key,
                      const struct ccz_fedlr_table *a, const struct ccz_fedlr_table *b,
                      const struct ccz_fedlr_cfg *cfg, uint64_t cut)
{
    bool model = cfg->mode == CCZ_FEDLR_ENCRYPTED_MODEL;
    p[0].role = CCZI_ROLE_AGGREGATOR;
    p[0].arbiter = model;
    p[1].role = p[2].role = CCZI_ROLE_WORKER;
    p[1].t = a;
    p[2].t = b;
    p[1].key = p[2].key = model ? NULL : key;
    p[3].role = CCZI_ROLE_ARBITER;
    p[3].key = key;
    p[3].cols = COLS;
    for (size_t i = 0; i < 4; i++)
        p[i].run.cfg = cfg;
    join(&p[1], &p[0], cut);
    join(&p[2], &p[0], 0);
    if (model)
        join(&p[3], &p[0], 0);
}

/* Average of the workers' local steps, round by round. */
static void reference_homo(double *w, const struct ccz_fedlr_table *const t[2],
                           const struct ccz_fedlr_cfg *cfg)
{
    double rows = (double)(t[0]->rows + t[1]->rows);
    memset(w, 0, D * sizeof(*w));
    for (uint32_t r = 0; r < cfg->rounds; r++) {
        double sum[D] = {0}, m[D * D], c[D], own[D];
        for (int k = 0; k < 2; k++) {
            memcpy(own, w, sizeof(own));
            if (cfg->mode == CCZ_FEDLR_HOMO) {
                CHECK(cczi_fl_descend(own, t[k], cfg, r, NULL) == CCZ_OK);
            } else {
                CHECK(cczi_fl_affine(m, c, t[k], cfg, r, NULL) == CCZ_OK);
                for (size_t i = 0; i < D; i++) {
                    own[i] = c[i];
                    for (size_t j = 0; j < D; j++)
                        own[i] += m[i * D + j] * w[j];
                }
            }
            for (size_t i = 0; i < D; i++)
                sum[i] += own[i] * (double)t[k]->rows / rows;
        }
        memcpy(w, sum, sizeof(sum));
    }
}

static void homo_with(enum ccz_fedlr_mode mode, unsigned optimize)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(60, COLS, 1);
    CCZ_AUTO(ccz_fedlr_table) b = some_rows(35, COLS, 2);
    struct ccz_fedlr_cfg cfg = {.mode = mode,
                                .rounds = 6,
                                .parties = 2,
                                .local_steps = 5,
                                .l2 = 0.01,
                                .decay = 0.5,
                                .optimize = optimize};
    if (mode == CCZ_FEDLR_HOMO) {
        cfg.batch_rows = 16;
        cfg.l1 = 0.002;
    }
    double want[D];
    reference_homo(want, (const struct ccz_fedlr_table *const[]){a, b}, &cfg);
    struct party p[4] = {0};
    size_t len = mode == CCZ_FEDLR_HOMO ? 3 : 4;
    join_homo(p, key, a, b, &cfg, 0);
    run_all(p, len);
    all_well(p, len);
    const struct ccz_fedlr_model *m = mode == CCZ_FEDLR_HOMO ? p[1].model : p[3].model;
    CHECK(m && m->len == D && m->rounds == 6 && !m->converged);
    CHECK(near(m->w, want, D, mode == CCZ_FEDLR_HOMO ? 1e-10 : 1e-5));
    CHECK(near(p[3].model ? p[3].model->w : p[2].model->w, m->w, D, 0));
    CHECK(mode == CCZ_FEDLR_HOMO ||
          (p[1].model && p[1].model->len == 0)); /* workers never see it */
    for (size_t i = 0; i < len; i++)
        CHECK(p[i].rounds == 6 && p[i].last.round == 6 && p[i].last.sent_size > 0);
    clear(p, 4);
}

static void homo(void)
{
    homo_with(CCZ_FEDLR_HOMO, CCZ_FEDLR_ALL);
    homo_with(CCZ_FEDLR_HOMO, 0);
}

static void encrypted_model(void)
{
    homo_with(CCZ_FEDLR_ENCRYPTED_MODEL, CCZ_FEDLR_ALL);
    homo_with(CCZ_FEDLR_ENCRYPTED_MODEL, 0);
}

static void homo_converges(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(60, COLS, 1);
    CCZ_AUTO(ccz_fedlr_table) b = some_rows(60, COLS, 2);
    for (int mode = CCZ_FEDLR_ENCRYPTED_MODEL; mode <= CCZ_FEDLR_HOMO; mode++) {
        struct ccz_fedlr_cfg cfg = {.mode = (enum ccz_fedlr_mode)mode,
                                    .rounds = 50,
                                    .parties = 2,
                                    .l2 = 0.05,
                                    .tol = 1e-3,
                                    .optimize = CCZ_FEDLR_ALL};
        struct party p[4] = {0};
        size_t len = mode == CCZ_FEDLR_HOMO ? 3 : 4;
        join_homo(p, key, a, b, &cfg, 0);
        run_all(p, len);
        all_well(p, len);
        const struct ccz_fedlr_model *m = mode == CCZ_FEDLR_HOMO ? p[1].model : p[3].model;
        CHECK(m->converged && m->rounds > 1 && m->rounds < 50);
        CHECK(p[0].rounds == m->rounds && p[1].rounds == m->rounds);
        clear(p, 4);
    }
}

/* ---------------------------------------------------------------------------------- hetero */

enum { ROWS = 130, ALL = 7, OF_GUEST = 3 };

/* The whole table cut by columns: the guest's, then those of one or two hosts. */
static void cut_columns(struct ccz_fedlr_table *part[3], const struct ccz_fedlr_table *t,
                        size_t hosts)
{
    size_t first = hosts == 1 ? ALL - OF_GUEST : 1;
    CHECK(ccz_fedlr_table_cols(&part[0], t, 0, OF_GUEST, true, NULL) == CCZ_OK);
    CHECK(ccz_fedlr_table_cols(&part[1], t, OF_GUEST, first, false, NULL) == CCZ_OK);
    if (hosts == 2)
        CHECK(ccz_fedlr_table_cols(&part[2], t, OF_GUEST + first, ALL - OF_GUEST - first, false,
                                   NULL) == CCZ_OK);
}

/* Gradient descent on the quadratic loss with the whole table. @return the loss of the last epoch */
static double reference_hetero(double *w, const struct ccz_fedlr_table *t,
                               const struct ccz_fedlr_cfg *cfg)
{
    double velocity[ALL + 1] = {0}, g[ALL + 1], loss = 0;
    size_t order[ROWS], batches = cczi_fl_batches(ROWS, cfg);
    memset(w, 0, (ALL + 1) * sizeof(*w));
    for (uint32_t e = 0; e < cfg->rounds; e++) {
        cczi_fl_order(order, ROWS, cfg, e);
        loss = 0;
        for (size_t k = 0; k < batches; k++) {
            struct cczi_fl_batch b = cczi_fl_batch_of(order, ROWS, cfg, k);
            memset(g, 0, sizeof(g));
            for (size_t i = 0; i < b.len; i++) {
                const double *x = &t->x[b.index[i] * ALL];
                double u = cczi_fl_score(w, x, ALL), s = 2 * t->y[b.index[i]] - 1;
                double d = u / 4 - s / 2;
                loss += log(2) - s * u / 2 + u * u / 8;
                for (size_t j = 0; j <= ALL; j++)
                    g[j] += d * (j ? x[j - 1] : 1) / (double)b.len;
            }
            for (size_t j = 0; j <= ALL; j++) {
                velocity[j] = cfg->momentum * velocity[j] + g[j] + (j ? cfg->l2 * w[j] : 0);
                w[j] -= cczi_fl_eta(cfg, e) * velocity[j];
                if (j)
                    w[j] = cczi_fl_shrink(w[j], cczi_fl_eta(cfg, e) * cfg->l1);
            }
        }
    }
    return loss / ROWS;
}

/* Parties: guest, hosts, arbiter. */
static size_t join_hetero(struct party *p, const struct ccz_paillier_key *key,
                          struct ccz_fedlr_table *const part[3], const struct ccz_fedlr_cfg *cfg,
                          uint64_t cut)
{
    size_t hosts = cfg->parties, arbiter = hosts + 1;
    for (size_t i = 0; i <= arbiter; i++) {
        p[i].role = i == 0 ? CCZI_ROLE_GUEST : i < arbiter ? CCZI_ROLE_HOST : CCZI_ROLE_ARBITER;
        p[i].t = i < arbiter ? part[i] : NULL;
        p[i].run.cfg = cfg;
        p[i].arbiter = i < arbiter;
    }
    p[arbiter].key = key;
    for (size_t h = 1; h <= hosts; h++)
        join(&p[h], &p[0], h == 1 ? cut : 0);
    for (size_t i = 0; i < arbiter; i++)
        join(&p[i], &p[arbiter], 0);
    return arbiter + 1;
}

/* The parts of the model, put together: intercept and columns of the guest, columns of the hosts. */
static void whole_model(double *w, const struct party *p, size_t hosts)
{
    size_t n = 0;
    for (size_t i = 0; i <= hosts; i++)
        for (size_t j = i ? 1 : 0; j < p[i].model->len; j++)
            w[n++] = p[i].model->w[j];
    CHECK(n == ALL + 1);
}

static void hetero_with(uint32_t hosts, unsigned optimize, size_t batch_rows)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[3] = {0};
    cut_columns(part, t, hosts);
    const struct ccz_fedlr_cfg cfg = {.mode = CCZ_FEDLR_HETERO,
                                      .rounds = 3,
                                      .parties = hosts,
                                      .batch_rows = batch_rows,
                                      .eta = 0.4,
                                      .momentum = 0.5,
                                      .l1 = 0.001,
                                      .l2 = 0.01,
                                      .decay = 0.1,
                                      .seed = 11,
                                      .optimize = optimize};
    double want[ALL + 1], got[ALL + 1], loss = reference_hetero(want, t, &cfg);
    struct party p[PARTIES] = {0};
    size_t len = join_hetero(p, key, part, &cfg, 0);
    run_all(p, len);
    all_well(p, len);
    whole_model(got, p, hosts);
    /* features are rounded to 2^-8, which is the larger part of this */
    CHECK(near(got, want, ALL + 1, optimize & CCZ_FEDLR_PRODUCT ? 5e-3 : 1e-4));
    CHECK(fabs(p[len - 1].loss - loss) < (optimize & CCZ_FEDLR_PRODUCT ? 5e-3 : 1e-3));
    for (size_t h = 1; h <= hosts; h++)
        CHECK(p[h].model->w[0] == 0);
    CHECK(p[0].rounds == 3 * cczi_fl_batches(ROWS, &cfg) && p[len - 1].rounds == p[0].rounds);
    clear(p, len);
    for (size_t i = 0; i < 3; i++)
        ccz_fedlr_table_free(part[i]);
}

static void hetero(void)
{
    hetero_with(1, CCZ_FEDLR_ALL, 0);
    hetero_with(1, CCZ_FEDLR_ALL, 50); /* batches of 50, 50 and 30 */
}

static void hetero_hosts(void)
{
    hetero_with(2, CCZ_FEDLR_ALL, 50);
}

static void hetero_plainly(void)
{
    hetero_with(1, 0, 0);
    hetero_with(1, CCZ_FEDLR_PACK | CCZ_FEDLR_DJN, 50);
    hetero_with(1, CCZ_FEDLR_PRODUCT, 50);
}

static void hetero_converges(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[3] = {0};
    cut_columns(part, t, 1);
    const struct ccz_fedlr_cfg cfg = {.mode = CCZ_FEDLR_HETERO,
                                      .rounds = 40,
                                      .parties = 1,
                                      .eta = 0.5,
                                      .tol = 5e-3,
                                      .optimize = CCZ_FEDLR_ALL};
    struct party p[PARTIES] = {0};
    size_t len = join_hetero(p, key, part, &cfg, 0);
    run_all(p, len);
    all_well(p, len);
    CHECK(p[0].model->converged && p[1].model->converged);
    CHECK(p[0].model->rounds > 1 && p[0].model->rounds < 40);
    CHECK(p[1].model->rounds == p[0].model->rounds && p[2].rounds == p[0].rounds);
    CHECK(p[2].loss < log(2)); /* better than nothing known */
    clear(p, len);
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

static void hetero_two(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_key) other = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[3] = {0};
    cut_columns(part, t, 1);
    struct ccz_fedlr_cfg cfg = {.mode = CCZ_FEDLR_HETERO_TWO,
                                .rounds = 3,
                                .parties = 1,
                                .batch_rows = 60,
                                .eta = 0.4,
                                .seed = 5,
                                .optimize = CCZ_FEDLR_ALL};
    double want[ALL + 1], got[ALL + 1];
    for (int pass = 0; pass < 2; pass++) {
        struct party p[PARTIES] = {0};
        cfg.tol = pass ? 0.15 : 0;
        cfg.rounds = pass ? 30 : 3;
        p[0].role = CCZI_ROLE_GUEST;
        p[1].role = CCZI_ROLE_HOST;
        for (size_t i = 0; i < 2; i++) {
            p[i].key = i ? other : key;
            p[i].t = part[i];
            p[i].run.cfg = &cfg;
        }
        join(&p[0], &p[1], 0);
        run_all(p, 2);
        all_well(p, 2);
        (void)reference_hetero(want, t, &cfg);
        whole_model(got, p, 1);
        CHECK(pass || near(got, want, ALL + 1, 5e-3));
        CHECK(p[0].model->converged == (pass == 1) && p[1].model->converged == (pass == 1));
        CHECK(p[0].model->rounds == p[1].model->rounds && p[0].model->rounds <= 30 * 3);
        clear(p, 2);
    }
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

/* --------------------------------------------------------------------------------- predict */

struct predict_arg {
    struct ccz_chan *guest;
    const struct ccz_fedlr_model *m;
    const struct ccz_fedlr_table *t;
    ccz_rc rc;
};

static void *predict_host(void *arg)
{
    struct predict_arg *a = arg;
    a->rc = ccz_fedlr_predict_host(a->guest, a->m, a->t, NULL);
    return NULL;
}

static void predict(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[3] = {0};
    cut_columns(part, t, 1);
    double all[ALL + 1] = {0.1, 1, 2, 3, 4, 5, 6, 7}, guest[4], host[5] = {0}, p[ROWS], q[ROWS];
    memcpy(guest, all, sizeof(guest));
    memcpy(host + 1, all + 4, 4 * sizeof(double));
    const struct ccz_fedlr_model whole = {.len = 8, .w = all}, g = {.len = 4, .w = guest},
                                 h = {.len = 5, .w = host};
    struct ccz_err err = {0};
    struct predict_arg a = {.m = &h, .t = part[1]};
    struct ccz_chan *mine;
    pthread_t thread;
    CHECK(ccz_chan_pair(&mine, &a.guest, NULL, NULL) == CCZ_OK);
    CHECK(pthread_create(&thread, NULL, predict_host, &a) == 0);
    CHECK(ccz_fedlr_predict_guest(p, &g, &mine, 1, part[0], &err) == CCZ_OK);
    CHECK(pthread_join(thread, NULL) == 0 && a.rc == CCZ_OK);
    CHECK(ccz_fedlr_predict(q, &whole, t, &err) == CCZ_OK);
    CHECK(near(p, q, ROWS, 1e-12));
    CHECK(ccz_fedlr_predict(q, &g, t, &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "fedlr:columns") == 0);
    ccz_chan_free(mine);
    ccz_chan_free(a.guest);
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

/* ---------------------------------------------------------------------------------- resume */

static const char *state_path(size_t i)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "party-%zu", i);
    return temp_path(name);
}

/* Breaks a channel after 3, 4, .. messages, each time resuming from what was stored, until the training is done. */
static void resume_with(const struct ccz_fedlr_cfg *cfg, double tolerance)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_secret) seal = NULL;
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(60, COLS, 1);
    CCZ_AUTO(ccz_fedlr_table) b = some_rows(60, COLS, 2);
    struct ccz_fedlr_table *part[3] = {0};
    cut_columns(part, t, 1);
    CHECK(ccz_secret_new(&seal, 32) == CCZ_OK);
    bool is_hetero = cfg->mode == CCZ_FEDLR_HETERO;
    double want[8], got[8] = {0};
    size_t n = is_hetero ? ALL + 1 : D, len = is_hetero ? 3 : 4, broken = 0;
    static char path[PARTIES][64];
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(path[i], sizeof(path[i]), "%s", state_path(i));
        (void)unlink(path[i]);
    }
    if (cfg->mode == CCZ_FEDLR_HOMO)
        len = 3;
    for (uint64_t cut = 0; cut < 60; cut++) { /* 0: nothing breaks and nothing is stored */
        struct party p[PARTIES] = {0};
        uint64_t after = cut ? 2 + cut : 0;
        if (is_hetero)
            (void)join_hetero(p, key, part, cfg, after);
        else
            join_homo(p, key, a, b, cfg, after);
        for (size_t i = 0; cut && i < len; i++) {
            p[i].run.checkpoint = path[i];
            p[i].run.seal = seal;
        }
        run_all(p, len);
        bool done = true;
        for (size_t i = 0; i < len; i++)
            done = done && p[i].rc == CCZ_OK;
        broken += !done;
        if (done) {
            if (is_hetero)
                whole_model(got, p, 1);
            else
                memcpy(got, (cfg->mode == CCZ_FEDLR_HOMO ? p[1] : p[3]).model->w, n * sizeof(*got));
        }
        if (!cut) {
            CHECK(done);
            memcpy(want, got, sizeof(want));
        }
        clear(p, PARTIES);
        if (cut && done)
            break;
    }
    CHECK(broken > 2);
    CHECK(near(got, want, n, tolerance));
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

static void resume_hetero(void)
{
    const struct ccz_fedlr_cfg cfg = {.mode = CCZ_FEDLR_HETERO,
                                      .rounds = 3,
                                      .parties = 1,
                                      .batch_rows = 50,
                                      .momentum = 0.5,
                                      .optimize = CCZ_FEDLR_ALL};
    resume_with(&cfg, 1e-4);
}

static void resume_homo(void)
{
    struct ccz_fedlr_cfg cfg = {
        .mode = CCZ_FEDLR_HOMO, .rounds = 5, .parties = 2, .optimize = CCZ_FEDLR_ALL};
    resume_with(&cfg, 0);
    cfg.mode = CCZ_FEDLR_ENCRYPTED_MODEL;
    cfg.rounds = 30;
    resume_with(&cfg, 0);
}

/* -------------------------------------------------------------------------------- refusals */

static const struct party *refused(const struct party *p, size_t len, ccz_rc rc, const char *where)
{
    const struct party *found = NULL;
    for (size_t i = 0; i < len; i++) {
        CHECK(p[i].rc != CCZ_OK); /* one fails, all end */
        if (p[i].rc == rc && strcmp(p[i].err.where, where) == 0)
            found = &p[i];
    }
    for (size_t i = 0; !found && i < len; i++)
        fprintf(stderr, "party %zu: %s: %s\n", i, p[i].err.where, p[i].err.msg);
    CHECK(found != NULL);
    return found;
}

static const struct ccz_fedlr_cfg HETERO = {
    .mode = CCZ_FEDLR_HETERO, .rounds = 2, .parties = 1, .optimize = CCZ_FEDLR_ALL};
static const struct ccz_fedlr_cfg HOMO = {
    .mode = CCZ_FEDLR_HOMO, .rounds = 2, .parties = 2, .optimize = CCZ_FEDLR_ALL};

static void refuses_agreement(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_key) other = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(40, COLS, 1);
    CCZ_AUTO(ccz_fedlr_table) b = some_rows(40, COLS + 1, 1);
    struct ccz_fedlr_table *part[3] = {0};
    uint8_t id[CCZ_PAILLIER_ID_SIZE];
    cut_columns(part, t, 1);
    struct party p[PARTIES] = {0};

    struct ccz_fedlr_cfg differs = HETERO;
    differs.seed = 1;
    (void)join_hetero(p, key, part, &HETERO, 0);
    p[1].run.cfg = &differs;
    run_all(p, 3);
    (void)refused(p, 3, CCZ_E_MISMATCH, "fedlr:config-digest");
    clear(p, 3);

    (void)join_hetero(p, key, part, &HETERO, 0);
    memcpy(part[1]->id[5], part[1]->id[6], sizeof(part[1]->id[5]));
    run_all(p, 3);
    (void)refused(p, 3, CCZ_E_MISMATCH, "fedlr:alignment");
    clear(p, 3);

    memset(id, 1, sizeof(id));
    memcpy(part[1]->id[5], part[0]->id[5], sizeof(part[1]->id[5]));
    (void)join_hetero(p, key, part, &HETERO, 0);
    p[1].run.key_id = id;
    run_all(p, 3);
    CHECK(refused(p, 3, CCZ_E_MISMATCH, "fedlr:key-id") == &p[1]);
    clear(p, 3);

    struct party h[4] = {0};
    join_homo(h, key, a, a, &HOMO, 0);
    h[2].key = other;
    run_all(h, 3);
    CHECK(refused(h, 3, CCZ_E_MISMATCH, "fedlr:key-id") == &h[0]);
    clear(h, 3);

    join_homo(h, key, a, b, &HOMO, 0);
    run_all(h, 3);
    CHECK(refused(h, 3, CCZ_E_MISMATCH, "fedlr:columns") == &h[0]);
    clear(h, 3);

    join_homo(h, key, a, a, &HOMO, 0);
    h[2].role = CCZI_ROLE_AGGREGATOR; /* two who want to add up */
    h[2].run.cfg = &(struct ccz_fedlr_cfg){
        .mode = CCZ_FEDLR_HOMO, .rounds = 2, .parties = 1, .optimize = CCZ_FEDLR_ALL};
    run_all(h, 3);
    (void)refused(h, 3, CCZ_E_MISMATCH, "fedlr:config-digest");
    clear(h, 3);
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

static void *weak_party(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_fedlr_guest(&p->model, NULL, p->chan, 1, p->chan[1], p->t, &p->run, &p->err);
    for (size_t i = 0; i < p->len; i++)
        ccz_chan_close(p->chan[i], "weak");
    return NULL;
}

/* A key of 1024 bits is refused by everybody who does not allow it expressly. */
static void refuses_weak_key(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[3] = {0};
    cut_columns(part, t, 1);
    struct party p[PARTIES] = {0};
    (void)join_hetero(p, key, part, &HETERO, 0);
    CHECK(pthread_create(&p[0].thread, NULL, weak_party, &p[0]) == 0);
    for (size_t i = 1; i < 3; i++)
        CHECK(pthread_create(&p[i].thread, NULL, run_party, &p[i]) == 0);
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_join(p[i].thread, NULL) == 0);
    CHECK(refused(p, 3, CCZ_E_LIMIT, "paillier:n-bits") == &p[0]);
    clear(p, 3);
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

/* One message of a worker is changed on its way; somebody notices, everybody ends. */
static void refuses_changes(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(40, COLS, 1);
    static const struct {
        struct ccz_chan_fault_cfg fault;
        const char *where;
    } cases[] = {
        {{.send_shorten = 1}, "fedlr:message"},                                         /* hello */
        {{.send_repeat = 1}, "fedlr:order"},         {{.send_drop = 3}, "fedlr:order"}, /* go */
        {{.send_shorten = 4}, "paillier:truncated"},                                    /* update */
        {{.send_repeat = 4}, "fedlr:order"},         {{.send_cut_after = 3}, "chan:closed"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct party p[4] = {0};
        join_homo(p, key, a, a, &HOMO, 0);
        CHECK(ccz_chan_fault_new(&p[1].chan[0], p[1].chan[0], &cases[i].fault, NULL) == CCZ_OK);
        p[0].run.timeout_ms = 1000;
        run_all(p, 3);
        CHECK(p[0].rc != CCZ_OK);
        if (strcmp(p[0].err.where, cases[i].where) != 0)
            fprintf(stderr, "case %zu: %s: %s\n", i, p[0].err.where, p[0].err.msg);
        CHECK(strcmp(p[0].err.where, cases[i].where) == 0);
        clear(p, 3);
    }
}

static void bad_config(const struct ccz_fedlr_cfg *cfg, const struct ccz_secret *seal,
                       const char *checkpoint)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(10, COLS, 1);
    struct ccz_chan *a, *b;
    struct ccz_err err = {0};
    struct ccz_fedlr_model *m = NULL;
    const struct ccz_fedlr_run run = {.cfg = cfg, .checkpoint = checkpoint, .seal = seal};
    CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
    CHECK(ccz_fedlr_guest(&m, NULL, &a, 1, b, t, &run, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "fedlr:config") == 0 && !m);
    CHECK(ccz_chan_send(a, ccz_span_str("x"), NULL) == CCZ_E_CLOSED); /* the peer learns of it */
    ccz_chan_free(a);
    ccz_chan_free(b);
}

static void refuses_config(void)
{
    struct ccz_fedlr_cfg c = HETERO;
    c.rounds = 0;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.parties = 0;
    bad_config(&c, NULL, NULL);
    c.parties = 2; /* but one channel */
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.momentum = 1;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.eta = NAN;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.l1 = -1;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.optimize = 8;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.mode = CCZ_FEDLR_HOMO; /* has no guest */
    bad_config(&c, NULL, NULL);
    c.mode = CCZ_FEDLR_HETERO_TWO; /* has no arbiter */
    bad_config(&c, NULL, NULL);
    c = HETERO;
    bad_config(&c, NULL, temp_path("nowhere")); /* a checkpoint without a key */

    CCZ_AUTO(ccz_fedlr_table) t = some_rows(10, COLS, 1);
    struct ccz_fedlr_cfg l1 = {
        .mode = CCZ_FEDLR_ENCRYPTED_MODEL, .rounds = 1, .parties = 1, .l1 = 0.1};
    const struct ccz_fedlr_run run = {.cfg = &l1};
    struct ccz_chan *a, *b;
    struct ccz_err err = {0};
    struct ccz_fedlr_model *m;
    CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
    CHECK(ccz_fedlr_work(&m, NULL, a, t, &run, &err) == CCZ_E_ARG);
    CHECK(strstr(err.msg, "L1") != NULL);
    ccz_chan_free(a);
    ccz_chan_free(b);
}

/* Numbers that grow beyond what was declared stop the training before anything wraps around. */
static void refuses_divergence(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(40, COLS, 1);
    for (size_t i = 0; i < a->rows * a->cols; i++)
        a->x[i] *= 30; /* not standardised */
    for (int mode = CCZ_FEDLR_ENCRYPTED_MODEL; mode <= CCZ_FEDLR_HOMO; mode++) {
        const struct ccz_fedlr_cfg cfg = {.mode = (enum ccz_fedlr_mode)mode,
                                          .rounds = 3,
                                          .parties = 2,
                                          .eta = 20,
                                          .optimize = CCZ_FEDLR_ALL};
        struct party p[4] = {0};
        join_homo(p, key, a, a, &cfg, 0);
        size_t len = mode == CCZ_FEDLR_HOMO ? 3 : 4;
        run_all(p, len);
        (void)refused(p, len, CCZ_E_LIMIT, "fedlr:range");
        clear(p, 4);
    }
}

static const struct ccz_test tests[] = {
    {"fedlr.homo", homo},
    {"fedlr.homo_converges", homo_converges},
    {"fedlr.encrypted_model", encrypted_model},
    {"fedlr.hetero", hetero},
    {"fedlr.hetero_hosts", hetero_hosts},
    {"fedlr.hetero_plainly", hetero_plainly},
    {"fedlr.hetero_converges", hetero_converges},
    {"fedlr.hetero_two", hetero_two},
    {"fedlr.predict", predict},
    {"fedlr.resume_hetero", resume_hetero},
    {"fedlr.resume_homo", resume_homo},
    {"fedlr.refuses_agreement", refuses_agreement},
    {"fedlr.refuses_weak_key", refuses_weak_key},
    {"fedlr.refuses_changes", refuses_changes},
    {"fedlr.refuses_config", refuses_config},
    {"fedlr.refuses_divergence", refuses_divergence},
};

int main(int argc, char **argv)
{
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
