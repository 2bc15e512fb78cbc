/* SPDX-License-Identifier: Apache-2.0 */
/* The same model without federation: all data in one place, and each client on its own. */
#define _DEFAULT_SOURCE
#include "sim_priv.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One model: trained from the initial parameters, evaluated. */
struct model {
    struct ccz_nn *nn, *judge;
    float *params;
    struct ccz_nn_data test;
    void (*on_epoch)(void *arg, uint32_t epoch, const struct ccz_fl_metrics *test);
    void *arg;
};

static void model_free(struct model *m)
{
    ccz_nn_free(m->nn);
    ccz_nn_free(m->judge);
    free(m->params);
}

static ccz_rc model_new(struct model *m, const struct ccz_fl_sim_cfg *cfg, struct ccz_err *err)
{
    *m = (struct model){.test = ccz_fl_nn_data(cfg->test)};
    ccz_rc rc = ccz_nn_new(&m->nn, &cfg->spec, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_nn_new(&m->judge, &cfg->spec, NULL, err);
    if (rc == CCZ_OK && !(m->params = malloc(ccz_nn_params_len(m->nn) * sizeof(float))))
        rc = ccz_fail(err, CCZ_E_NOMEM, "fl:sim-memory", 0, "out of memory");
    if (rc != CCZ_OK)
        model_free(m);
    return rc;
}

static void on_epoch(void *arg, uint32_t epoch, const struct ccz_nn_metrics *trained)
{
    struct model *m = arg;
    struct ccz_nn_metrics e;
    (void)trained;
    if (ccz_nn_evaluate(&e, m->judge, m->params, &m->test, NULL) != CCZ_OK)
        return; /* what is wrong comes out at the end, where it can be said */
    const struct ccz_fl_metrics f = {.samples = e.samples, .loss = e.loss, .accuracy = e.accuracy};
    m->on_epoch(m->arg, epoch, &f);
}

static ccz_rc model_run(struct ccz_nn_metrics *out, struct model *m, const struct ccz_nn_data *data,
                        const struct ccz_fl_sim_cfg *cfg, uint32_t epochs, uint64_t seed,
                        struct ccz_err *err)
{
    const struct ccz_fl_train_cfg *t = &cfg->server.train;
    const struct ccz_nn_train_cfg c = {.epochs = epochs,
                                       .batch = t->batch ? t->batch : 32, /* as the server's */
                                       .lr = t->lr > 0 ? t->lr : 0.01f,
                                       .momentum = t->momentum,
                                       .weight_decay = cfg->weight_decay,
                                       .seed = seed,
                                       .on_epoch = m->on_epoch ? on_epoch : NULL,
                                       .arg = m};
    struct ccz_nn_metrics trained;
    ccz_nn_init(m->params, m->nn, cfg->seed);
    ccz_rc rc = ccz_nn_train(&trained, m->params, m->nn, data, &c, err);
    return rc == CCZ_OK ? ccz_nn_evaluate(out, m->judge, m->params, &m->test, err) : rc;
}

static ccz_rc check(const struct ccz_fl_sim_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = cczi_fl_sim_check(cfg, err);
    if (rc == CCZ_OK && !cfg->test)
        rc = ccz_fail(err, CCZ_E_ARG, "fl:sim-config", 0, "no data to evaluate on");
    return rc;
}

ccz_rc
ccz_fl_sim_central(struct ccz_fl_baseline *out, const struct ccz_fl_sim_cfg *cfg, uint32_t epochs,
                   void (*each)(void *arg, uint32_t epoch, const struct ccz_fl_metrics *test),
                   void *arg, struct ccz_err *err)
{
    struct cczi_fl_parts parts = {0};
    struct model m = {0};
    struct ccz_nn_metrics e = {0};
    *out = (struct ccz_fl_baseline){0};
    ccz_rc rc = check(cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_parts_new(&parts, cfg, err);
    if (rc == CCZ_OK)
        rc = model_new(&m, cfg, err);
    if (rc == CCZ_OK) {
        const struct ccz_nn_data data = cczi_fl_parts_data(&parts, cfg, 0, cfg->clients);
        m.on_epoch = each;
        m.arg = arg;
        rc = model_run(&e, &m, &data, cfg, epochs, cfg->server.seed, err);
        model_free(&m);
    }
    if (rc == CCZ_OK)
        *out = (struct ccz_fl_baseline){epochs, 1, e.accuracy, e.loss, e.accuracy, e.accuracy};
    cczi_fl_parts_free(&parts);
    return rc;
}

/* --------------------------------------------------------------------------------------- alone */

struct alone {
    const struct ccz_fl_sim_cfg *cfg;
    struct cczi_fl_parts parts;
    uint32_t epochs, clients;
    atomic_uint next;
    struct ccz_nn_metrics *each; /* of every client: added up in order, whoever computed it */
    pthread_mutex_t lock;
    ccz_rc rc;
    struct ccz_err err;
};

static void *alone_work(void *arg)
{
    struct alone *a = arg;
    struct model m;
    struct ccz_err err = {0};
    ccz_rc rc = model_new(&m, a->cfg, &err);
    const bool made = rc == CCZ_OK;
    for (uint32_t i; rc == CCZ_OK && (i = atomic_fetch_add(&a->next, 1)) < a->clients;) {
        const struct ccz_nn_data data = cczi_fl_parts_data(&a->parts, a->cfg, i, i + 1);
        rc = model_run(&a->each[i], &m, &data, a->cfg, a->epochs, a->cfg->server.seed + i, &err);
    }
    if (made)
        model_free(&m);
    if (rc != CCZ_OK) {
        atomic_store(&a->next, a->clients); /* the others need not go on */
        (void)pthread_mutex_lock(&a->lock);
        if (a->rc == CCZ_OK) {
            a->rc = rc;
            a->err = err;
        }
        (void)pthread_mutex_unlock(&a->lock);
    }
    return NULL;
}

static void alone_sum(struct ccz_fl_baseline *out, const struct alone *a)
{
    *out = (struct ccz_fl_baseline){.epochs = a->epochs,
                                    .models = a->clients,
                                    .accuracy_min = INFINITY,
                                    .accuracy_max = -INFINITY};
    for (uint32_t i = 0; i < a->clients; i++) {
        out->accuracy += a->each[i].accuracy / a->clients;
        out->loss += a->each[i].loss / a->clients;
        out->accuracy_min = fmin(out->accuracy_min, a->each[i].accuracy);
        out->accuracy_max = fmax(out->accuracy_max, a->each[i].accuracy);
    }
}

ccz_rc ccz_fl_sim_alone(struct ccz_fl_baseline *out, const struct ccz_fl_sim_cfg *cfg,
                        uint32_t epochs, uint32_t clients, struct ccz_err *err)
{
    pthread_t threads[CCZ_FL_SIM_THREADS_MAX];
    unsigned started = 0;
    *out = (struct ccz_fl_baseline){0};
    ccz_rc rc = check(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    struct alone a = {.cfg = cfg,
                      .epochs = epochs,
                      .clients = clients == 0 || clients > cfg->clients ? cfg->clients : clients};
    rc = cczi_fl_parts_new(&a.parts, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    a.each = calloc(a.clients, sizeof(*a.each));
    if (!a.each || pthread_mutex_init(&a.lock, NULL) != 0) {
        free(a.each);
        cczi_fl_parts_free(&a.parts);
        return ccz_fail(err, CCZ_E_NOMEM, "fl:sim-memory", a.clients, "out of memory");
    }
    for (const unsigned n = cczi_fl_threads(cfg, a.clients) - 1; started < n; started++)
        if (pthread_create(&threads[started], NULL, alone_work, &a) != 0)
            break; /* fewer do as well */
    (void)alone_work(&a);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    if (a.rc != CCZ_OK && err)
        *err = a.err;
    if (a.rc == CCZ_OK)
        alone_sum(out, &a);
    (void)pthread_mutex_destroy(&a.lock);
    free(a.each);
    cczi_fl_parts_free(&a.parts);
    return a.rc;
}
