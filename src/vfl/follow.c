/* SPDX-License-Identifier: Apache-2.0 */
/* A party with a bottom model: activations out, gradients in. The leader runs its own columns the same way. */
#include "vfl/vfl_priv.h"

#include <stdlib.h>
#include <string.h>

struct follower {
    const struct ccz_vfl_run *run;
    enum cczi_vfl_role role;
    struct ccz_vfl_bottom *bottom;
    struct cczi_vfl_link link;
    struct cczi_ckpt ckpt;
    struct cczi_vfl_plan plan;
    struct cczi_vfl_batch batch[CCZ_VFL_INFLIGHT_MAX + 1]; /* by slot */
    uint8_t digest[CCZ_VFL_INFLIGHT_MAX + 1][CCZI_VFL_BATCH_DIGEST_SIZE];
    size_t rows[CCZ_VFL_INFLIGHT_MAX + 1];
    unsigned slots;
    struct cczi_vfl_batch test;
    float *act, *grad, *test_act;
    struct ccz_buf state, shared, came;
    struct cczi_vfl_layout layout; /* of several workers */
    int64_t epoch_ns;
    struct ccz_vfl_result *out;
};

static ccz_rc make_room(struct follower *f, struct ccz_err *err)
{
    const struct ccz_vfl_run *run = f->run;
    const struct ccz_vfl_cfg *cfg = run->cfg;
    size_t batch = cfg->batch < run->train->rows ? cfg->batch : run->train->rows;
    ccz_rc rc = cczi_vfl_plan_init(&f->plan, cfg, cczi_vfl_worker(run), run->train->rows, err);
    if (rc == CCZ_OK && run->team)
        rc = cczi_vfl_layout_add(&f->layout, f->bottom->ops->parts, f->bottom->self, err);
    f->slots = cfg->staleness + 1;
    for (unsigned i = 0; rc == CCZ_OK && i < f->slots; i++)
        rc = cczi_vfl_batch_init(&f->batch[i], run->train, batch, err);
    if (rc == CCZ_OK && run->test)
        rc = cczi_vfl_batch_init(&f->test, run->test, cczi_vfl_eval_batch(cfg), err);
    f->act = cczi_vfl_alloc(batch, f->bottom->width * sizeof(*f->act));
    f->grad = cczi_vfl_alloc(batch, f->bottom->width * sizeof(*f->grad));
    f->test_act = run->test ? cczi_vfl_alloc(cczi_vfl_eval_batch(cfg),
                                             f->bottom->width * sizeof(*f->test_act))
                            : NULL;
    ccz_buf_init(&f->state, CCZ_VFL_STATE_SIZE_MAX);
    ccz_buf_init(&f->shared, CCZ_VFL_STATE_SIZE_MAX);
    ccz_buf_init(&f->came, CCZ_VFL_STATE_SIZE_MAX);
    f->state.wipe = f->shared.wipe = f->came.wipe = true;
    if (rc == CCZ_OK && (!f->act || !f->grad || (run->test && !f->test_act)))
        rc = cczi_vfl_no_memory(err);
    return rc;
}

static void clean_up(struct follower *f)
{
    for (unsigned i = 0; i < f->slots; i++)
        cczi_vfl_batch_deinit(&f->batch[i]);
    cczi_vfl_batch_deinit(&f->test);
    free(f->act);
    free(f->grad);
    free(f->test_act);
    ccz_buf_free(&f->state);
    ccz_buf_free(&f->shared);
    ccz_buf_free(&f->came);
    cczi_vfl_layout_deinit(&f->layout);
    cczi_vfl_plan_deinit(&f->plan);
    cczi_ckpt_close(&f->ckpt);
}

static ccz_rc take_state(struct follower *f, struct ccz_err *err)
{
    ccz_buf_clear(&f->state);
    ccz_rc rc = f->bottom->ops->save(&f->state, f->bottom->self, err);
    return rc == CCZ_OK && f->state.bad ? cczi_vfl_no_memory(err) : rc;
}

static ccz_rc save(struct follower *f, uint64_t step, struct ccz_err *err)
{
    if (!f->run->checkpoint)
        return CCZ_OK;
    ccz_rc rc = take_state(f, err);
    if (rc == CCZ_OK)
        rc = cczi_ckpt_save(&f->ckpt, step, CCZ_SPAN(NULL, 0), ccz_buf_span(&f->state), err);
    return rc;
}

/* A worker's own random numbers from the first step on. */
static ccz_rc begin(struct follower *f, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (cczi_vfl_worker(f->run) > 0) {
        rc = take_state(f, err);
        if (rc == CCZ_OK) /* share() also checks the size */
            rc = cczi_vfl_layout_share(&f->shared, &f->layout, ccz_buf_span(&f->state), err);
        if (rc == CCZ_OK) {
            cczi_vfl_layout_fork(f->state.ptr, &f->layout, cczi_vfl_worker(f->run));
            rc = f->bottom->ops->load(f->bottom->self, ccz_buf_span(&f->state), err);
        }
    }
    return rc == CCZ_OK ? save(f, 0, err) : rc;
}

/* To the state after `step`, which the leader has chosen among those that were offered. */
static ccz_rc go_to(struct follower *f, const struct cczi_vfl_hello *mine, uint64_t step,
                    struct ccz_err *err)
{
    bool offered = false;
    for (size_t i = 0; i < mine->steps_len; i++)
        offered |= mine->steps[i] == step;
    if (!offered)
        return ccz_refuse_num(err, CCZ_E_PEER, "vfl:resume", (int64_t)step,
                              (int64_t)mine->steps[0]);
    if (!f->ckpt.have[0] && !f->ckpt.have[1])
        return begin(f, err);
    ccz_buf_clear(&f->state);
    ccz_rc rc = cczi_ckpt_load(&f->state, NULL, 0, &f->ckpt, step, err);
    if (rc == CCZ_OK)
        rc = f->bottom->ops->load(f->bottom->self, ccz_buf_span(&f->state), err);
    return rc;
}

static ccz_rc agree(uint64_t *step, struct follower *f, struct ccz_err *err)
{
    struct cczi_vfl_hello mine;
    const struct ccz_vfl_table *test = f->run->test;
    ccz_rc rc = cczi_vfl_hello_init(&mine, f->run, f->role, f->bottom->width, f->plan.rows,
                                    test ? test->rows : 0, &f->ckpt, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_send_hello(&f->link, &mine, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_recv_hello(&f->link, &mine, true, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_recv_kind(&f->link, CCZI_VFL_START, CCZI_VFL_HEADER_SIZE, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(f->link.session, f->link.msg.session, sizeof(f->link.session));
    *step = f->link.msg.step;
    if (f->run->team && f->role == CCZI_VFL_FOLLOWER) {
        uint8_t settings[32];
        uint64_t all = 0;
        rc = cczi_vfl_team_settings(settings, &mine, &f->layout, NULL, err);
        if (rc == CCZ_OK)
            rc = cczi_vfl_team_agree(&all, f->run->team, settings, step, 1, err);
    }
    return rc == CCZ_OK ? go_to(f, &mine, *step, err) : rc;
}

/* -------------------------------------------------------------------------------- a batch */

static ccz_rc forward(struct follower *f, uint64_t step, struct ccz_err *err)
{
    unsigned slot = (unsigned)(step % f->slots);
    const size_t *rows = cczi_vfl_rows_of(&f->rows[slot], &f->plan, step);
    cczi_vfl_batch_fill(&f->batch[slot], f->run->train, rows, 0, f->rows[slot]);
    ccz_rc rc =
        cczi_vfl_batch_digest(f->digest[slot], f->plan.alignment, step, rows, f->rows[slot], err);
    if (rc == CCZ_OK)
        rc = f->bottom->ops->forward(f->act, f->bottom->self, slot, f->batch[slot].in,
                                     f->batch[slot].in_len, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_send_floats(&f->link, CCZI_VFL_ACT, step, f->digest[slot], f->act,
                                  f->rows[slot], f->bottom->width, err);
    return rc;
}

static ccz_rc backward(struct follower *f, uint64_t step, struct ccz_err *err)
{
    unsigned slot = (unsigned)(step % f->slots);
    ccz_rc rc = cczi_vfl_recv_floats(f->grad, &f->link, CCZI_VFL_GRAD, step, f->digest[slot],
                                     f->rows[slot], f->bottom->width, err);
    if (rc == CCZ_OK)
        rc = f->bottom->ops->backward(f->bottom->self, slot, f->grad, err);
    if (rc == CCZ_OK && f->run->on_step && f->role == CCZI_VFL_FOLLOWER)
        f->run->on_step(f->run->arg, step, f->plan.steps);
    return rc;
}

/* Batch t leaves when t-1-staleness updates of this segment have been applied: a fixed order, so that the seed decides
 * every bit, and at most `staleness` batches wait for their gradients when the next one is computed. */
static ccz_rc segment(struct follower *f, uint64_t from, uint64_t to, struct ccz_err *err)
{
    uint64_t applied = from;
    ccz_rc rc = CCZ_OK;
    for (uint64_t t = from + 1; rc == CCZ_OK && t <= to; t++) {
        if (t - 1 - applied > f->run->cfg->staleness)
            rc = backward(f, ++applied, err);
        if (rc == CCZ_OK)
            rc = forward(f, t, err);
    }
    while (rc == CCZ_OK && applied < to)
        rc = backward(f, ++applied, err);
    return rc;
}

/* The mean of the party's bottom models. The leader's own goes through the leader, which has the channels to its workers. */
static ccz_rc average(struct follower *f, uint64_t step, struct ccz_err *err)
{
    double unused = 0;
    if (!f->run->team)
        return CCZ_OK;
    ccz_buf_clear(&f->shared);
    ccz_rc rc = take_state(f, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_layout_share(&f->shared, &f->layout, ccz_buf_span(&f->state), err);
    if (rc != CCZ_OK)
        return rc;
    const uint8_t *mean = f->shared.ptr;
    if (f->role == CCZI_VFL_OWN) {
        rc = cczi_vfl_send_whole(&f->link, CCZI_VFL_STATE, step, 0, ccz_buf_span(&f->shared), err);
        if (rc == CCZ_OK)
            rc = cczi_vfl_recv_whole(&f->came, &unused, &f->link, CCZI_VFL_MEAN, step,
                                     f->layout.shared_size, err);
        mean = f->came.ptr;
    } else {
        rc = cczi_vfl_team_mean(f->shared.ptr, &unused, f->run->team, step, &f->layout, err);
    }
    if (rc != CCZ_OK)
        return rc;
    cczi_vfl_layout_merge(f->state.ptr, &f->layout, mean);
    return f->bottom->ops->load(f->bottom->self, ccz_buf_span(&f->state), err);
}

/* All workers have the same model then: the first pair shows how good it is. */
static ccz_rc send_test(struct follower *f, struct ccz_err *err)
{
    const struct ccz_vfl_table *test = cczi_vfl_worker(f->run) == 0 ? f->run->test : NULL;
    size_t most = cczi_vfl_eval_batch(f->run->cfg);
    ccz_rc rc = CCZ_OK;
    for (size_t first = 0; rc == CCZ_OK && test && first < test->rows; first += most) {
        uint8_t digest[CCZI_VFL_BATCH_DIGEST_SIZE];
        size_t len = test->rows - first < most ? test->rows - first : most;
        cczi_vfl_batch_fill(&f->test, test, NULL, first, len);
        rc = cczi_vfl_batch_digest(digest, f->run->cfg->test_alignment, first, NULL, 0, err);
        if (rc == CCZ_OK)
            rc = f->bottom->ops->infer(f->test_act, f->bottom->self, f->test.in, f->test.in_len,
                                       err);
        if (rc == CCZ_OK)
            rc = cczi_vfl_send_floats(&f->link, CCZI_VFL_TEST, first, digest, f->test_act, len,
                                      f->bottom->width, err);
    }
    return rc;
}

static void report(struct follower *f, uint64_t step)
{
    struct ccz_vfl_epoch e = {.epoch = (uint32_t)cczi_vfl_epoch_of(&f->plan, step),
                              .epochs = f->run->cfg->epochs,
                              .step = step,
                              .loss = NAN,
                              .accuracy = NAN,
                              .auc = NAN,
                              .test_loss = NAN};
    struct ccz_vfl_leakage unknown = {
        .norm = NAN, .cosine = NAN, .norm_q95 = NAN, .cosine_q95 = NAN};
    int64_t now = ccz_mono_ns();
    e.raw = e.sent = unknown;
    e.took_ns = now - f->epoch_ns;
    f->epoch_ns = now;
    cczi_vfl_traffic(&e, &f->link, 1);
    f->out->last = e;
    if (f->run->on_epoch && f->role == CCZI_VFL_FOLLOWER)
        f->run->on_epoch(f->run->arg, &e);
}

static ccz_rc train(struct follower *f, struct ccz_err *err)
{
    uint64_t step = 0;
    ccz_rc rc = agree(&step, f, err);
    f->out->resumed = step;
    f->epoch_ns = ccz_mono_ns();
    while (rc == CCZ_OK && step < f->plan.steps) {
        uint64_t to = cczi_vfl_segment_end(&f->plan, step);
        rc = segment(f, step, to, err);
        if (rc == CCZ_OK)
            rc = average(f, to, err);
        if (rc == CCZ_OK && to % f->plan.per_epoch == 0)
            rc = send_test(f, err);
        if (rc == CCZ_OK && cczi_vfl_stores(&f->plan, to))
            rc = save(f, to, err);
        if (rc == CCZ_OK && to % f->plan.per_epoch == 0)
            report(f, to);
        step = to;
    }
    f->out->steps = step;
    return rc;
}

ccz_rc cczi_vfl_follow(struct ccz_vfl_result *out, struct ccz_chan *leader,
                       struct ccz_vfl_bottom *bottom, const struct ccz_vfl_run *run,
                       enum cczi_vfl_role role, struct ccz_err *err)
{
    struct ccz_err reason = {0};
    struct follower *f = calloc(1, sizeof(*f));
    *out = (struct ccz_vfl_result){0};
    if (!f) {
        ccz_chan_close(leader, "vfl:memory: out of memory");
        return cczi_vfl_no_memory(err);
    }
    *f = (struct follower){.run = run, .role = role, .bottom = bottom, .out = out};
    cczi_vfl_link_init(&f->link, leader, run);
    ccz_rc rc = cczi_vfl_run_check(run, role, bottom->width, &reason);
    if (rc == CCZ_OK)
        rc = make_room(f, &reason);
    if (rc == CCZ_OK)
        rc = cczi_vfl_ckpt_open(&f->ckpt, run, role, &reason);
    if (rc == CCZ_OK)
        rc = train(f, &reason);
    if (run->team && role == CCZI_VFL_FOLLOWER)
        cczi_vfl_team_end(run->team, rc, &reason);
    rc = cczi_vfl_end(&f->link, 1, rc, &reason, err);
    clean_up(f);
    free(f);
    if (rc != CCZ_OK)
        *out = (struct ccz_vfl_result){0};
    return rc;
}

ccz_rc ccz_vfl_follow(struct ccz_vfl_result *out, struct ccz_chan *leader,
                      struct ccz_vfl_bottom *bottom, const struct ccz_vfl_run *run,
                      struct ccz_err *err)
{
    return cczi_vfl_follow(out, leader, bottom, run, CCZI_VFL_FOLLOWER, err);
}
