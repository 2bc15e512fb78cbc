/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_SBOOST_KIT_H
#define CCZ_TEST_SBOOST_KIT_H
/* Rows to learn from, and a guest and hosts in threads of one process. */
#include "sboost/sboost_priv.h"

#include "ccz_test.h"

#include <pthread.h>

enum { ROWS = 300, COLS = 6, HOSTS = 2 };

static uint64_t kit_state;

static inline double unit(void)
{
    kit_state = kit_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(kit_state >> 11) * 0x1p-53;
}

static inline double normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += unit();
    return sum - 6;
}

struct table {
    double x[ROWS * COLS], y[ROWS];
};

static inline void fill(struct table *t, enum ccz_sboost_loss loss, uint64_t seed)
{
    kit_state = seed;
    for (size_t i = 0; i < ROWS; i++) {
        double *x = &t->x[i * COLS], z;
        for (size_t j = 0; j < COLS; j++)
            x[j] = normal();
        z = x[0] * x[3] + (x[4] > 0.5) - x[1] + 0.3 * normal(); /* needs splits of both sides */
        t->y[i] = loss == CCZ_SBOOST_SQUARED    ? z
                  : loss == CCZ_SBOOST_LOGISTIC ? z > 0
                                                : (z > -0.5) + (z > 0.7);
    }
}

static inline void columns(double *out, const double *x, size_t from, size_t len)
{
    for (size_t i = 0; i < ROWS; i++)
        memcpy(out + i * len, x + i * COLS + from, len * sizeof(*out));
}

/* ------------------------------------------------------------------------------------- parties */

struct party {
    const struct ccz_paillier_key *key; /* guest */
    struct ccz_chan *chan[HOSTS];
    size_t len;
    double x[ROWS * COLS];
    struct ccz_sboost_data data;
    struct ccz_sboost_run run;
    struct ccz_sboost_model *model;
    struct ccz_sboost_part *part;
    bool predict;
    double *p; /* guest: predictions */
    unsigned trees, splits, host_splits;
    unsigned stop_after; /* guest: breaks off after so many trees */
    double loss;
    ccz_rc rc;
    struct ccz_err err;
    pthread_t thread;
};

static inline void on_tree(void *arg, const struct ccz_sboost_progress *p)
{
    struct party *me = arg;
    me->trees++;
    me->splits += p->splits;
    me->host_splits += p->host_splits;
    me->loss = p->loss;
    if (me->trees == me->stop_after)
        ccz_chan_close(me->chan[0], "enough");
}

static inline void *run_guest(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_sboost_guest(&p->model, p->key, p->chan, p->len, &p->data, &p->run, &p->err);
    if (p->rc == CCZ_OK && p->predict)
        p->rc = ccz_sboost_predict_guest(p->p, p->model, p->chan, p->len, &p->data, &p->err);
    for (size_t i = 0; i < p->len; i++)
        ccz_chan_close(p->chan[i], p->rc == CCZ_OK ? "done" : p->err.where);
    return NULL;
}

static inline void *run_host(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_sboost_host(&p->part, p->chan[0], &p->data, &p->run, &p->err);
    if (p->rc == CCZ_OK && p->predict)
        p->rc = ccz_sboost_predict_host(p->chan[0], p->part, &p->data, &p->err);
    ccz_chan_close(p->chan[0], p->rc == CCZ_OK ? "done" : p->err.where);
    return NULL;
}

static inline struct ccz_paillier_key *small_key(void)
{
    struct ccz_paillier_key *k;
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true};
    CHECK(ccz_paillier_keygen(&k, &cfg, NULL) == CCZ_OK);
    return k;
}

/* Guest with columns 0, 1; hosts share the others. All are seated, none runs. */
static inline void seat(struct party *p, size_t hosts, const struct table *t,
                        const struct ccz_paillier_key *key, const struct ccz_sboost_cfg *cfg)
{
    size_t from = hosts ? 2 : COLS;
    for (size_t i = 0; i <= hosts; i++) {
        size_t len = i == 0 ? from : i < hosts ? 2 : COLS - 2 - 2 * (hosts - 1);
        size_t at = i == 0 ? 0 : 2 * i;
        columns(p[i].x, t->x, at, len);
        p[i].data = (struct ccz_sboost_data){.rows = ROWS, .cols = len, .x = p[i].x};
        p[i].run =
            (struct ccz_sboost_run){.cfg = cfg,
                                    .sample_seed = 7, /* the same rows with and without hosts */
                                    .timeout_ms = 60000,
                                    .key_1024_insecure = true,
                                    .on_tree = on_tree,
                                    .arg = &p[i]};
        if (i == 0)
            continue;
        CHECK(ccz_chan_pair(&p[0].chan[i - 1], &p[i].chan[0], NULL, NULL) == CCZ_OK);
        p[i].len = 1;
    }
    p[0].len = hosts;
    p[0].data.y = t->y;
    p[0].key = hosts ? key : NULL;
}

static inline void run_all(struct party *p, size_t hosts)
{
    for (size_t i = 0; i <= hosts; i++)
        CHECK(pthread_create(&p[i].thread, NULL, i ? run_host : run_guest, &p[i]) == 0);
    for (size_t i = 0; i <= hosts; i++)
        CHECK(pthread_join(p[i].thread, NULL) == 0);
}

static inline void all_well(const struct party *p, size_t hosts)
{
    for (size_t i = 0; i <= hosts; i++) {
        if (p[i].rc != CCZ_OK)
            fprintf(stderr, "party %zu: %s: %s\n", i, p[i].err.where, p[i].err.msg);
        CHECK(p[i].rc == CCZ_OK);
    }
}

static inline void clear(struct party *p, size_t hosts)
{
    for (size_t i = 0; i <= hosts; i++) {
        for (size_t c = 0; c < p[i].len; c++)
            ccz_chan_free(p[i].chan[c]);
        ccz_sboost_model_free(p[i].model);
        ccz_sboost_part_free(p[i].part);
    }
}
#endif
