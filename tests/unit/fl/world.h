/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FL_WORLD_H
#define CCZ_FL_WORLD_H
/*
 * A server and its clients in one thread: messages are handed over one by one, the clock is a number. Trainers are toys: a client
 * pulls every parameter towards a value of its own.
 */
#include "ccz_test.h"

#include "fl/fl_priv.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

enum { WORLD_MAX = 16 };

/* -------------------------------------------------------------------------------- the trainer */

struct toy {
    const struct ccz_fl_layout *l;
    float *x;
    float target;     /* of parameter i: target + i / 1000 */
    uint64_t samples; /* also held out */
    uint64_t trainings;
    struct ccz_fl_train_cfg last;
    bool poison, fails;
};

static const struct ccz_fl_layout *toy_layout(void *self)
{
    return ((struct toy *)self)->l;
}

static ccz_rc toy_get(void *self, float *params, struct ccz_err *err)
{
    struct toy *t = self;
    (void)err;
    memcpy(params, t->x, (size_t)t->l->len * sizeof(float));
    return CCZ_OK;
}

static ccz_rc toy_set(void *self, const float *params, struct ccz_err *err)
{
    struct toy *t = self;
    (void)err;
    memcpy(t->x, params, (size_t)t->l->len * sizeof(float));
    return CCZ_OK;
}

static float toy_goal(const struct toy *t, uint64_t i)
{
    return t->target + (float)i / 1000;
}

/* Gradient descent on (x - goal)^2 / 2, one step per epoch, with FedProx and SCAFFOLD, and a touch of the seed. */
static ccz_rc toy_train(struct ccz_fl_metrics *out, void *self, const struct ccz_fl_train_cfg *cfg,
                        struct ccz_err *err)
{
    struct toy *t = self;
    if (t->fails)
        return ccz_fail(err, CCZ_E_INTERNAL, "toy:fails", 0, "told to fail");
    double loss = 0;
    for (uint64_t i = 0; i < t->l->len; i++) {
        float centre = t->x[i], x = centre;
        for (uint32_t e = 0; e < cfg->epochs; e++) {
            float g = x - toy_goal(t, i) + cfg->prox_mu * (x - centre);
            g += cfg->correction ? cfg->correction[i] : 0;
            x -= cfg->lr * g;
        }
        x += (float)(cfg->seed % 1000) * 1e-9F;
        t->x[i] = t->poison ? NAN : x;
        loss += (double)fabsf(x - toy_goal(t, i));
    }
    t->trainings++;
    t->last = *cfg;
    *out = (struct ccz_fl_metrics){.samples = t->samples,
                                   .loss = loss / (double)t->l->len,
                                   .accuracy = 0.5,
                                   .steps = cfg->epochs};
    return CCZ_OK;
}

static ccz_rc toy_evaluate(struct ccz_fl_metrics *out, void *self, struct ccz_err *err)
{
    struct toy *t = self;
    (void)err;
    *out = (struct ccz_fl_metrics){
        .samples = t->samples, .loss = (double)fabsf(t->x[0] - toy_goal(t, 0)), .accuracy = 1};
    return CCZ_OK;
}

static void toy_free(void *self)
{
    (void)self;
}

static const struct ccz_fl_trainer_ops toy_ops = {.layout = toy_layout,
                                                  .get = toy_get,
                                                  .set = toy_set,
                                                  .train = toy_train,
                                                  .evaluate = toy_evaluate,
                                                  .free = toy_free};

static void toy_init(struct toy *t, const struct ccz_fl_layout *l, unsigned i)
{
    *t = (struct toy){.l = l, .target = (float)(i + 1), .samples = 10 * (i + 1)};
    t->x = calloc((size_t)l->len, sizeof(float));
    CHECK(t->x);
}

static inline struct ccz_fl_trainer toy_trainer(struct toy *t)
{
    return (struct ccz_fl_trainer){&toy_ops, t};
}

static inline struct ccz_fl_layout *toy_make_layout(uint64_t len)
{
    const struct ccz_fl_tensor t[] = {{.name = "w", .rank = 1, .dims = {len - 1}}, {.name = "b"}};
    struct ccz_fl_layout *l;
    CHECK(ccz_fl_layout_new(&l, t, 2, NULL) == CCZ_OK);
    return l;
}

/* ---------------------------------------------------------------------------------- the world */

struct world {
    struct ccz_fl_layout *layout;
    struct ccz_fl_server_cfg cfg;
    struct ccz_fl_server *s;
    struct ccz_key *key;
    unsigned len;
    struct seat {
        struct ccz_fl_client *c;
        struct toy toy;
        uint32_t member;
        bool in, work, over; /* connected; has a task to do; was told the end */
        ccz_rc rc;           /* how its connection ended */
        struct ccz_err err;
        struct ccz_fl_client_record rec;
        unsigned rounds; /* verdicts */
    } seat[WORLD_MAX];
    int64_t now_ms;
    struct ccz_fl_record rec[64];
    unsigned recs;
    struct ccz_err refusal; /* the last one */
    unsigned refusals;
    const char *dir; /* checkpoints */
    struct ccz_secret *seal;
    ccz_rc store_rc;
};

static void world_on_round(void *arg, const struct ccz_fl_record *r)
{
    struct world *w = arg;
    CHECK(w->recs < 64);
    w->rec[w->recs++] = *r;
}

static void world_on_refusal(void *arg, const char *member, uint64_t round,
                             const struct ccz_err *why)
{
    struct world *w = arg;
    (void)member;
    (void)round;
    w->refusal = *why;
    w->refusals++;
}

static ccz_rc world_store(void *arg, const struct ccz_fl_server *s, struct ccz_err *err)
{
    struct world *w = arg;
    if (w->store_rc != CCZ_OK)
        return ccz_fail(err, w->store_rc, "test:store", 0, "told to fail");
    return w->dir ? ccz_fl_checkpoint_save(w->dir, w->seal, 0, s, err) : CCZ_OK;
}

static void world_client_round(void *arg, const struct ccz_fl_client_record *r)
{
    struct seat *p = arg;
    p->rec = *r;
    p->rounds++;
}

static inline void world_client(struct world *w, unsigned i, const char *state_file)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "m-%02u", i);
    const struct ccz_fl_client_cfg cfg = {.name = name,
                                          .layout = w->layout,
                                          .unsigned_insecure = !w->key,
                                          .state_file = state_file,
                                          .state_key = w->seal,
                                          .on_round = world_client_round,
                                          .arg = &w->seat[i]};
    CHECK(ccz_fl_client_new(&w->seat[i].c, &cfg, NULL) == CCZ_OK);
}

/* The caller has set w->cfg, len; a layout of @p params is made. */
static inline void world_begin(struct world *w, uint64_t params)
{
    w->layout = toy_make_layout(params);
    w->cfg.layout = w->layout;
    w->cfg.sign_key = w->key;
    w->cfg.hooks.on_round = world_on_round;
    w->cfg.hooks.on_refusal = world_on_refusal;
    w->cfg.hooks.store = world_store;
    w->cfg.hooks.arg = w;
    for (unsigned i = 0; i < w->len; i++) {
        toy_init(&w->seat[i].toy, w->layout, i);
        world_client(w, i, NULL);
    }
}

static inline void world_server(struct world *w)
{
    float *zeros = calloc((size_t)w->layout->len, sizeof(float));
    CHECK(zeros);
    struct ccz_err err = {0};
    ccz_rc rc = ccz_fl_server_new(&w->s, &w->cfg, zeros, w->now_ms, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    free(zeros);
}

static inline void world_end(struct world *w)
{
    ccz_fl_server_free(w->s);
    for (unsigned i = 0; i < w->len; i++) {
        ccz_fl_client_free(w->seat[i].c);
        free(w->seat[i].toy.x);
    }
    ccz_fl_layout_free(w->layout);
    ccz_key_free(w->key);
    ccz_secret_free(w->seal);
}

static inline void world_join(struct world *w, unsigned i)
{
    char name[32];
    struct seat *p = &w->seat[i];
    (void)snprintf(name, sizeof(name), "m-%02u", i);
    p->work = p->over = false;
    p->rc = ccz_fl_server_join(&p->member, w->s, name, w->now_ms, &p->err);
    p->in = p->rc == CCZ_OK && ccz_fl_client_start(p->c, &p->err) == CCZ_OK;
}

static inline void world_leave(struct world *w, unsigned i)
{
    if (w->seat[i].in)
        ccz_fl_server_leave(w->s, w->seat[i].member, w->now_ms);
    w->seat[i].in = w->seat[i].work = false;
}

static inline void world_break(struct world *w, unsigned i, ccz_rc rc)
{
    w->seat[i].rc = rc;
    world_leave(w, i);
}

/* One message from client to server. @return false: there is none */
static inline bool world_up(struct world *w, unsigned i, struct ccz_buf *msg)
{
    struct seat *p = &w->seat[i];
    if (!p->in || !ccz_fl_client_output(msg, p->c))
        return false;
    CHECK(!msg->bad);
    ccz_rc rc = ccz_fl_server_input(w->s, p->member, ccz_buf_span(msg), w->now_ms, &p->err);
    if (rc != CCZ_OK)
        world_break(w, i, rc);
    return true;
}

static inline bool world_down(struct world *w, unsigned i, struct ccz_buf *msg)
{
    struct seat *p = &w->seat[i];
    enum ccz_fl_event event;
    if (!p->in || !ccz_fl_server_output(msg, w->s, p->member, w->now_ms))
        return false;
    CHECK(!msg->bad);
    ccz_rc rc = ccz_fl_client_input(&event, p->c, ccz_buf_span(msg), &p->err);
    p->work = event == CCZ_FL_WORK || (p->work && event == CCZ_FL_WAIT);
    p->over |= event == CCZ_FL_OVER;
    if (rc != CCZ_OK)
        world_break(w, i, rc);
    return true;
}

/* One thing of client @p i: a message down, work, or a message up. @return false: nothing to do */
static inline bool world_step(struct world *w, unsigned i, struct ccz_buf *msg)
{
    struct seat *p = &w->seat[i];
    if (world_down(w, i, msg))
        return true;
    if (p->in && p->work) {
        const struct ccz_fl_trainer t = toy_trainer(&p->toy);
        p->work = false;
        ccz_rc rc = ccz_fl_client_work(p->c, &t, &p->err);
        if (rc != CCZ_OK)
            world_break(w, i, rc);
        return true;
    }
    return world_up(w, i, msg);
}

/* Until nothing moves any more. @param skip  a client that does not take part; WORLD_MAX = none */
static inline void world_run_but(struct world *w, unsigned skip)
{
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned i = 0; i < w->len; i++)
            if (i != skip)
                moved |= world_step(w, i, &msg);
    }
    ccz_buf_free(&msg);
}

static inline void world_run(struct world *w)
{
    world_run_but(w, WORLD_MAX);
}

static inline void world_join_all(struct world *w)
{
    for (unsigned i = 0; i < w->len; i++)
        world_join(w, i);
}
#endif
