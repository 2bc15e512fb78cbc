/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FEDLR_PARTIES_H
#define CCZ_FEDLR_PARTIES_H
/* All roles of a protocol as threads, joined by channels in memory. Define _GNU_SOURCE first. */
#include "ccz_test.h"
#include "fedlr/fedlr_priv.h"
#include "temp_dir.h"

#include <cczoo/dataset.h>

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
    void (*each_round)(const struct party *me); /* or NULL */
};

static inline void on_round(void *arg, const struct ccz_fedlr_progress *p)
{
    struct party *me = arg;
    me->rounds++;
    me->last = *p;
    if (!isnan(p->loss))
        me->loss = p->loss;
    if (me->each_round)
        me->each_round(me);
}

static inline void *run_party(void *arg)
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
static inline void join(struct party *a, struct party *b, uint64_t cut)
{
    struct ccz_chan *x, *y;
    CHECK(ccz_chan_pair(&x, &y, NULL, NULL) == CCZ_OK);
    const struct ccz_chan_fault_cfg fault = {.send_cut_after = cut};
    if (cut > 0)
        CHECK(ccz_chan_fault_new(&x, x, &fault, NULL) == CCZ_OK);
    a->chan[a->len++] = x;
    b->chan[b->len++] = y;
}

static inline void run_all(struct party *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        CHECK(pthread_create(&p[i].thread, NULL, run_party, &p[i]) == 0);
    for (size_t i = 0; i < len; i++)
        CHECK(pthread_join(p[i].thread, NULL) == 0);
}

/* Ready for another run with fresh channels; models go. */
static inline void clear(struct party *p, size_t len)
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

static inline void all_well(const struct party *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i].rc != CCZ_OK)
            fprintf(stderr, "party %zu: %s: %s\n", i, p[i].err.where, p[i].err.msg);
        CHECK(p[i].rc == CCZ_OK);
    }
}

static inline struct ccz_paillier_key *small_key(void)
{
    struct ccz_paillier_key *k;
    struct ccz_err err = {0};
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true};
    CHECK(ccz_paillier_keygen(&k, &cfg, &err) == CCZ_OK);
    return k;
}

static inline struct ccz_fedlr_table *some_rows(size_t rows, size_t cols, uint64_t seed)
{
    struct ccz_fedlr_table *t;
    struct ccz_seeded r = ccz_seeded_from(seed, 0);
    CHECK(ccz_fedlr_table_new(&t, rows, cols, true, true, NULL) == CCZ_OK);
    for (size_t i = 0; i < rows; i++) {
        double z = 0.3;
        (void)snprintf(t->id[i], sizeof(t->id[i]), "row-%zu", i);
        for (size_t j = 0; j < cols; j++) {
            t->x[i * cols + j] = ccz_seeded_normal(&r);
            z += (j % 2 ? -1.0 : 1.0) * t->x[i * cols + j] / (double)(j + 1);
        }
        t->y[i] = ccz_seeded_unit(&r) < cczi_fl_sigmoid(z);
    }
    return t;
}

static inline bool near(const double *a, const double *b, size_t len, double by)
{
    for (size_t i = 0; i < len; i++)
        if (!(fabs(a[i] - b[i]) <= by)) {
            fprintf(stderr, "number %zu: %.12g and %.12g\n", i, a[i], b[i]);
            return false;
        }
    return true;
}

enum { COLS = 5, D = COLS + 1 };

enum { ROWS = 130, ALL = 7, OF_GUEST = 3 };

static inline void join_homo(struct party p[4], const struct ccz_paillier_key *key,
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

/* The whole table cut by columns: the guest's, then those of one or two hosts. */
static inline void cut_columns(struct ccz_fedlr_table *part[3], const struct ccz_fedlr_table *t,
                               size_t hosts)
{
    size_t first = hosts == 1 ? ALL - OF_GUEST : 1;
    CHECK(ccz_fedlr_table_cols(&part[0], t, 0, OF_GUEST, true, NULL) == CCZ_OK);
    CHECK(ccz_fedlr_table_cols(&part[1], t, OF_GUEST, first, false, NULL) == CCZ_OK);
    if (hosts == 2)
        CHECK(ccz_fedlr_table_cols(&part[2], t, OF_GUEST + first, ALL - OF_GUEST - first, false,
                                   NULL) == CCZ_OK);
}

/* Parties: guest, hosts, arbiter. */
static inline size_t join_hetero(struct party *p, const struct ccz_paillier_key *key,
                                 struct ccz_fedlr_table *const part[3],
                                 const struct ccz_fedlr_cfg *cfg, uint64_t cut)
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

static inline const struct party *refused(const struct party *p, size_t len, ccz_rc rc,
                                          const char *where)
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
#endif
