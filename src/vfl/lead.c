/* SPDX-License-Identifier: Apache-2.0 */
/* The party with the labels: top model, protection of gradients, measurement, agreement on where to go on. */
#include "vfl/vfl_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LINKS_MAX = CCZ_VFL_PARTIES_MAX + 1, SEED_SIZE = CCZ_STREAM_SEED_SIZE };

/* What an interrupted epoch has gathered so far, and the last whole one: kept in checkpoints. */
struct sums {
    double loss;
    uint64_t steps;
    struct cczi_vfl_leak_sum raw[CCZ_VFL_PARTIES_MAX], sent[CCZ_VFL_PARTIES_MAX];
};

/* The leader's own bottom model: a follower in a thread, over a channel of its own. */
struct own {
    pthread_t thread;
    bool runs;
    struct ccz_chan *here, *there;
    struct ccz_vfl_bottom *bottom;
    struct ccz_vfl_run run;
    struct ccz_vfl_result out;
    ccz_rc rc;
    struct ccz_err err;
};

struct leader {
    const struct ccz_vfl_run *run;
    const struct ccz_vfl_lead *lead;
    struct cczi_vfl_link link[LINKS_MAX]; /* of the top model's parties */
    size_t len, followers_at;             /* links; the first one that is not our own */
    struct own own;
    struct cczi_ckpt ckpt;
    struct cczi_vfl_plan plan;
    struct cczi_vfl_label_batch labels;
    float *act[LINKS_MAX], *grad[LINKS_MAX], *score;
    size_t act_rows;
    struct ccz_secret *seed;
    struct ccz_vfl_noise *noise;
    struct sums sums;
    struct ccz_buf state, shared, came;
    struct cczi_vfl_layout top,
        all; /* of several workers: of the top model, and the own bottom model behind it */
    int64_t epoch_ns;
    struct ccz_vfl_result *out;
};

/* -------------------------------------------------------------------------- checks and room */

static ccz_rc check(const struct leader *l, size_t followers, struct ccz_err *err)
{
    const struct ccz_vfl_top *top = l->lead->top;
    const struct ccz_vfl_run *run = l->run;
    bool own = l->lead->bottom != NULL;
    if (followers > CCZ_VFL_PARTIES_MAX || followers == 0 || top->parties != followers + own)
        return ccz_hint(err,
                        ccz_refuse_num(err, CCZ_E_ARG, "vfl:parties", (int64_t)(followers + own),
                                       (int64_t)top->parties),
                        "the top model wants activations of another number of parties");
    size_t widest = 0;
    for (size_t i = 0; i < top->parties; i++)
        widest = top->width[i] > widest ? top->width[i] : widest;
    ccz_rc rc = cczi_vfl_run_check(run, CCZI_VFL_LEADER, widest, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_labels_check(l->lead->labels, "training rows", err);
    if (rc == CCZ_OK && l->lead->test_labels)
        rc = cczi_vfl_labels_check(l->lead->test_labels, "test rows", err);
    if (rc != CCZ_OK)
        return rc;
    uint32_t classes = l->lead->labels->classes;
    if (l->lead->test_labels && l->lead->test_labels->classes != classes)
        return ccz_refuse_num(err, CCZ_E_ARG, "vfl:labels", l->lead->test_labels->classes, classes);
    size_t want = classes == 0 ? 1 : classes;
    if (top->outputs != want && !(classes == 2 && top->outputs == 1))
        return ccz_hint(
            err,
            ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:schema", (int64_t)top->outputs, (int64_t)want),
            "scores per row: the top model has another number of classes");
    if (classes == 0 && l->lead->protect == CCZ_VFL_MARVELL)
        return ccz_fail(err, CCZ_E_ARG, "vfl:protect", 0,
                        "labels that are numbers are protected by max-norm");
    return CCZ_OK;
}

static ccz_rc lay_out(struct leader *l, struct ccz_err *err)
{
    const struct ccz_vfl_top *top = l->lead->top;
    const struct ccz_vfl_bottom *own = l->lead->bottom;
    ccz_rc rc = cczi_vfl_layout_add(&l->top, top->ops->parts, top->self, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_layout_add(&l->all, top->ops->parts, top->self, err);
    if (rc == CCZ_OK && own)
        rc = cczi_vfl_layout_add(&l->all, own->ops->parts, own->self, err);
    return rc;
}

static ccz_rc make_room(struct leader *l, struct ccz_err *err)
{
    const struct ccz_vfl_top *top = l->lead->top;
    size_t rows = l->lead->labels->rows, batch = l->run->cfg->batch, test = 0;
    batch = batch < rows ? batch : rows;
    if (l->lead->test_labels)
        test = cczi_vfl_eval_batch(l->run->cfg);
    l->act_rows = test > batch ? test : batch;
    for (size_t i = 0; i < top->parties; i++) {
        l->act[i] = cczi_vfl_alloc(l->act_rows, top->width[i] * sizeof(float));
        l->grad[i] = cczi_vfl_alloc(batch, top->width[i] * sizeof(float));
        if (!l->act[i] || !l->grad[i])
            return cczi_vfl_no_memory(err);
    }
    size_t test_rows = l->lead->test_labels ? l->lead->test_labels->rows : 1;
    l->score = cczi_vfl_alloc(test_rows, top->outputs * sizeof(float));
    if (!l->score)
        return cczi_vfl_no_memory(err);
    ccz_buf_init(&l->state, CCZ_VFL_STATE_SIZE_MAX);
    ccz_buf_init(&l->shared, CCZ_VFL_STATE_SIZE_MAX);
    ccz_buf_init(&l->came, CCZ_VFL_STATE_SIZE_MAX);
    l->state.wipe = l->shared.wipe = l->came.wipe = true;
    ccz_rc rc = cczi_vfl_label_batch_init(&l->labels, l->lead->labels, batch, err);
    if (rc == CCZ_OK && l->run->team)
        rc = lay_out(l, err);
    return rc == CCZ_OK
               ? cczi_vfl_plan_init(&l->plan, l->run->cfg, cczi_vfl_worker(l->run), rows, err)
               : rc;
}

static void clean_up(struct leader *l)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        free(l->act[i]);
        free(l->grad[i]);
    }
    free(l->score);
    ccz_buf_free(&l->state);
    ccz_buf_free(&l->shared);
    ccz_buf_free(&l->came);
    cczi_vfl_layout_deinit(&l->top);
    cczi_vfl_layout_deinit(&l->all);
    cczi_vfl_label_batch_deinit(&l->labels);
    cczi_vfl_plan_deinit(&l->plan);
    cczi_ckpt_close(&l->ckpt);
    ccz_vfl_noise_free(l->noise);
    ccz_secret_free(l->seed);
    ccz_chan_free(l->own.here);
    ccz_chan_free(l->own.there);
}

/* ---------------------------------------------------------------------- own bottom model */

static void *own_main(void *arg)
{
    struct own *o = arg;
    o->rc = cczi_vfl_follow(&o->out, o->there, o->bottom, &o->run, CCZI_VFL_OWN, &o->err);
    return NULL;
}

static ccz_rc own_start(struct leader *l, struct ccz_err *err)
{
    struct own *o = &l->own;
    const struct ccz_chan_pair_cfg names = {.name = {"own-bottom", "leader"}};
    if (!l->lead->bottom)
        return CCZ_OK;
    o->bottom = l->lead->bottom;
    o->run = *l->run;
    ccz_rc rc = ccz_chan_pair(&o->here, &o->there, &names, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_vfl_link_init(&l->link[0], o->here, l->run);
    /* It waits for us as long as we wait for the others. */
    ccz_chan_set_timeout(o->there, INT64_MAX);
    ccz_chan_set_timeout(o->here, INT64_MAX);
    o->run.timeout_ms = 0;
    if (pthread_create(&o->thread, NULL, own_main, o) != 0)
        return ccz_fail(err, CCZ_E_NOMEM, "vfl:thread", 0, "no thread for the own bottom model");
    o->runs = true;
    return CCZ_OK;
}

/* Its own failure is the reason, if there was one before ours. */
static ccz_rc own_join(struct own *o, ccz_rc rc, struct ccz_err *err)
{
    if (!o->runs)
        return rc;
    (void)pthread_join(o->thread, NULL);
    o->runs = false;
    if (o->rc == CCZ_OK || (rc != CCZ_OK && strcmp(o->err.where, "chan:closed") == 0))
        return rc;
    if (rc == CCZ_OK || strcmp(err->where, "chan:closed") == 0) {
        *err = o->err;
        return o->rc;
    }
    return rc;
}

/* ---------------------------------------------------------------------------- checkpoints */

static void put_double(struct ccz_buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    ccz_buf_le64(b, bits);
}

static double get_double(struct ccz_rd *r)
{
    uint64_t bits = ccz_rd_le64(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void put_leak(struct ccz_buf *b, const struct cczi_vfl_leak_sum *s)
{
    ccz_buf_le64(b, s->batches);
    put_double(b, s->norm);
    put_double(b, s->cosine);
    for (size_t i = 0; i < CCZI_VFL_LEAK_BINS; i++) {
        ccz_buf_le32(b, s->norm_bin[i]);
        ccz_buf_le32(b, s->cosine_bin[i]);
    }
}

static void get_leak(struct cczi_vfl_leak_sum *s, struct ccz_rd *r)
{
    s->batches = ccz_rd_le64(r);
    s->norm = get_double(r);
    s->cosine = get_double(r);
    for (size_t i = 0; i < CCZI_VFL_LEAK_BINS; i++) {
        s->norm_bin[i] = ccz_rd_le32(r);
        s->cosine_bin[i] = ccz_rd_le32(r);
    }
}

static void put_leakage(struct ccz_buf *b, const struct ccz_vfl_leakage *k)
{
    ccz_buf_le64(b, k->batches);
    put_double(b, k->norm);
    put_double(b, k->cosine);
    put_double(b, k->norm_q95);
    put_double(b, k->cosine_q95);
}

static void get_leakage(struct ccz_vfl_leakage *k, struct ccz_rd *r)
{
    k->batches = ccz_rd_le64(r);
    k->norm = get_double(r);
    k->cosine = get_double(r);
    k->norm_q95 = get_double(r);
    k->cosine_q95 = get_double(r);
}

/* The seed of the noise, the sums of this epoch, and the last epoch (without times and traffic). */
static void put_extra(struct ccz_buf *b, const struct leader *l)
{
    const struct ccz_vfl_epoch *e = &l->out->last;
    ccz_buf_put(b, ccz_secret_view(l->seed), SEED_SIZE);
    put_double(b, l->sums.loss);
    ccz_buf_le64(b, l->sums.steps);
    for (size_t i = 0; i < l->len - l->followers_at; i++) {
        put_leak(b, &l->sums.raw[i]);
        put_leak(b, &l->sums.sent[i]);
    }
    ccz_buf_le32(b, e->epoch);
    ccz_buf_le32(b, e->epochs);
    ccz_buf_le64(b, e->step);
    ccz_buf_le64(b, e->test_rows);
    put_double(b, e->loss);
    put_double(b, e->accuracy);
    put_double(b, e->auc);
    put_double(b, e->test_loss);
    put_leakage(b, &e->raw);
    put_leakage(b, &e->sent);
}

static bool get_extra(struct leader *l, struct ccz_span in)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_vfl_epoch *e = &l->out->last;
    ccz_rd_copy(&r, ccz_secret_bytes(l->seed), SEED_SIZE);
    l->sums.loss = get_double(&r);
    l->sums.steps = ccz_rd_le64(&r);
    for (size_t i = 0; i < l->len - l->followers_at; i++) {
        get_leak(&l->sums.raw[i], &r);
        get_leak(&l->sums.sent[i], &r);
    }
    e->epoch = ccz_rd_le32(&r);
    e->epochs = ccz_rd_le32(&r);
    e->step = ccz_rd_le64(&r);
    e->test_rows = (size_t)ccz_rd_le64(&r);
    e->loss = get_double(&r);
    e->accuracy = get_double(&r);
    e->auc = get_double(&r);
    e->test_loss = get_double(&r);
    get_leakage(&e->raw, &r);
    get_leakage(&e->sent, &r);
    return ccz_rd_done(&r);
}

enum { EXTRA_SIZE_MAX = 1 << 16 };

static ccz_rc take_state(struct leader *l, struct ccz_err *err)
{
    ccz_buf_clear(&l->state);
    ccz_rc rc = l->lead->top->ops->save(&l->state, l->lead->top->self, err);
    return rc == CCZ_OK && l->state.bad ? cczi_vfl_no_memory(err) : rc;
}

static ccz_rc save(struct leader *l, uint64_t step, struct ccz_err *err)
{
    if (!l->run->checkpoint)
        return CCZ_OK;
    CCZ_AUTO_BUF extra;
    ccz_buf_init(&extra, EXTRA_SIZE_MAX);
    extra.wipe = true;
    put_extra(&extra, l);
    ccz_rc rc = extra.bad ? cczi_vfl_no_memory(err) : take_state(l, err);
    if (rc == CCZ_OK)
        rc = cczi_ckpt_save(&l->ckpt, step, ccz_buf_span(&extra), ccz_buf_span(&l->state), err);
    return rc;
}

static ccz_rc load(struct leader *l, uint64_t step, struct ccz_err *err)
{
    CCZ_AUTO_BUF extra;
    ccz_buf_init(&extra, EXTRA_SIZE_MAX);
    extra.wipe = true;
    put_extra(&extra, l); /* the size is what this training has */
    ccz_buf_clear(&l->state);
    ccz_rc rc = cczi_ckpt_load(&l->state, extra.ptr, extra.size, &l->ckpt, step, err);
    if (rc == CCZ_OK && !get_extra(l, ccz_buf_span(&extra)))
        rc = ccz_fail(err, CCZ_E_FORMAT, "vfl:checkpoint", 0, "the leader's sums are malformed");
    if (rc == CCZ_OK)
        rc = l->lead->top->ops->load(l->lead->top->self, ccz_buf_span(&l->state), err);
    return rc;
}

/* A worker's own random numbers from the first step on. */
static ccz_rc begin(struct leader *l, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (cczi_vfl_worker(l->run) > 0) {
        rc = take_state(l, err);
        if (rc == CCZ_OK) /* share() also checks the size */
            rc = cczi_vfl_layout_share(&l->shared, &l->top, ccz_buf_span(&l->state), err);
        if (rc == CCZ_OK) {
            cczi_vfl_layout_fork(l->state.ptr, &l->top, cczi_vfl_worker(l->run));
            rc = l->lead->top->ops->load(l->lead->top->self, ccz_buf_span(&l->state), err);
        }
    }
    return rc == CCZ_OK ? save(l, 0, err) : rc;
}

static ccz_rc seed_noise(struct leader *l, struct ccz_err *err)
{
    uint8_t fresh[SEED_SIZE];
    const struct ccz_secret *given = l->lead->noise_seed;
    if (given && ccz_secret_size(given) != SEED_SIZE)
        return ccz_fail(err, CCZ_E_ARG, "vfl:noise-seed", 0, "the seed of the noise has %d bytes",
                        SEED_SIZE);
    ccz_rc rc = given ? CCZ_OK : ccz_random(fresh, sizeof(fresh));
    if (rc == CCZ_OK)
        rc = ccz_secret_from(&l->seed, given ? ccz_secret_view(given) : fresh, SEED_SIZE);
    ccz_wipe(fresh, sizeof(fresh));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:noise-seed", 0, "no randomness");
}

/* ------------------------------------------------------------------------------ agreement */

static bool offers(const struct cczi_vfl_hello *h, uint64_t step)
{
    for (size_t i = 0; i < h->steps_len; i++)
        if (h->steps[i] == step)
            return true;
    return false;
}

/* The last step that all have, of all workers. */
static ccz_rc common_step(uint64_t *out, const struct leader *l, const struct cczi_vfl_hello *mine,
                          struct ccz_err *err)
{
    uint64_t common[CCZI_VFL_KEPT];
    size_t len = 0;
    for (size_t i = 0; i < mine->steps_len; i++) {
        bool all = true;
        for (size_t k = 0; k < l->len; k++)
            all &= offers(&l->link[k].peer, mine->steps[i]);
        if (all)
            common[len++] = mine->steps[i];
    }
    if (l->run->team) {
        uint8_t settings[32];
        ccz_rc rc = cczi_vfl_team_settings(settings, mine, &l->all, l->lead, err);
        return rc == CCZ_OK ? cczi_vfl_team_agree(out, l->run->team, settings, common, len, err)
                            : rc;
    }
    *out = len == 2 && common[1] > common[0] ? common[1] : common[0];
    if (len > 0)
        return CCZ_OK;
    return ccz_hint(
        err,
        ccz_fail(err, CCZ_E_PEER, "vfl:resume", (int64_t)mine->steps[0],
                 "no step of which all parties have a state"),
        "a party has lost its state, or has that of another training: remove all to begin anew");
}

static ccz_rc agree(uint64_t *step, struct leader *l, struct ccz_err *err)
{
    struct cczi_vfl_hello mine;
    uint8_t session[CCZI_VFL_SESSION_SIZE];
    const struct ccz_vfl_labels *test = l->lead->test_labels;
    ccz_rc rc = cczi_vfl_hello_init(&mine, l->run, CCZI_VFL_LEADER, 0, l->plan.rows,
                                    test ? test->rows : 0, &l->ckpt, err);
    for (size_t i = 0; rc == CCZ_OK && i < l->len; i++)
        rc = cczi_vfl_send_hello(&l->link[i], &mine, err);
    for (size_t i = 0; rc == CCZ_OK && i < l->len; i++)
        rc = cczi_vfl_recv_hello(&l->link[i], &mine, false, l->lead->top->width[i], err);
    if (rc == CCZ_OK)
        rc = common_step(step, l, &mine, err);
    if (rc == CCZ_OK && ccz_random(session, sizeof(session)) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "vfl:session", 0, "no randomness");
    for (size_t i = 0; rc == CCZ_OK && i < l->len; i++) {
        memcpy(l->link[i].session, session, sizeof(session));
        rc = cczi_vfl_send_plain(&l->link[i], CCZI_VFL_START, *step, err);
    }
    if (rc == CCZ_OK)
        rc = seed_noise(l, err);
    if (rc == CCZ_OK)
        rc = l->ckpt.have[0] || l->ckpt.have[1] ? load(l, *step, err) : begin(l, err);
    return rc == CCZ_OK ? ccz_vfl_noise_new(&l->noise, l->seed, err) : rc;
}

/* ----------------------------------------------------------------------------------- step */

/* What leaves: our own gets its gradient as it is, followers get it protected. */
static ccz_rc answer(struct leader *l, size_t i, uint64_t step, const uint8_t *digest,
                     struct ccz_err *err)
{
    const struct ccz_vfl_lead *lead = l->lead;
    const struct ccz_vfl_labels *batch = &l->labels.view;
    size_t width = lead->top->width[i];
    ccz_rc rc = CCZ_OK;
    if (i >= l->followers_at) {
        size_t f = i - l->followers_at;
        if (!cczi_vfl_finite(l->grad[i], batch->rows * width))
            return ccz_fail(err, CCZ_E_ARG, "vfl:finite", (int64_t)step,
                            "the training diverges: gradients of step %llu are not finite",
                            (unsigned long long)step);
        cczi_vfl_leak_add(&l->sums.raw[f], l->grad[i], width, batch);
        /* One seed may be given to all workers: none repeats the noise of another one. */
        uint32_t stream = cczi_vfl_worker(l->run) * CCZ_VFL_PARTIES_MAX + (uint32_t)f;
        rc = ccz_vfl_noise_start(l->noise, step, stream, err);
        if (rc == CCZ_OK)
            rc = ccz_vfl_protect(l->grad[i], width, batch, lead->protect, lead->power, l->noise,
                                 err);
        if (rc == CCZ_OK)
            cczi_vfl_leak_add(&l->sums.sent[f], l->grad[i], width, batch);
    }
    if (rc == CCZ_OK)
        rc = cczi_vfl_send_floats(&l->link[i], CCZI_VFL_GRAD, step, digest, l->grad[i], batch->rows,
                                  width, err);
    return rc;
}

static ccz_rc one_step(struct leader *l, uint64_t step, struct ccz_err *err)
{
    const struct ccz_vfl_top *top = l->lead->top;
    uint8_t digest[CCZI_VFL_BATCH_DIGEST_SIZE];
    size_t len;
    double loss = NAN;
    const float *act[LINKS_MAX];
    const size_t *rows = cczi_vfl_rows_of(&len, &l->plan, step);
    ccz_rc rc = cczi_vfl_batch_digest(digest, l->plan.alignment, step, rows, len, err);
    for (size_t i = 0; rc == CCZ_OK && i < l->len; i++) {
        rc = cczi_vfl_recv_floats(l->act[i], &l->link[i], CCZI_VFL_ACT, step, digest, len,
                                  top->width[i], err);
        act[i] = l->act[i];
    }
    if (rc != CCZ_OK)
        return rc;
    cczi_vfl_label_batch_fill(&l->labels, l->lead->labels, rows, len);
    rc = top->ops->step(&loss, l->grad, top->self, act, &l->labels.view, err);
    for (size_t i = 0; rc == CCZ_OK && i < l->len; i++)
        rc = answer(l, i, step, digest, err);
    if (rc != CCZ_OK)
        return rc;
    l->sums.loss += loss;
    l->sums.steps++;
    if (l->run->on_step)
        l->run->on_step(l->run->arg, step, l->plan.steps);
    return CCZ_OK;
}

/* The mean of the party's models, and *loss of all its workers. */
static ccz_rc average(double *loss, struct leader *l, uint64_t step, struct ccz_err *err)
{
    const struct ccz_vfl_top *top = l->lead->top;
    size_t own_size = l->all.shared_size - l->top.shared_size;
    double unused;
    *loss = l->sums.steps ? l->sums.loss / (double)l->sums.steps : NAN;
    if (!l->run->team)
        return CCZ_OK;
    ccz_buf_clear(&l->shared);
    ccz_rc rc = take_state(l, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_layout_share(&l->shared, &l->top, ccz_buf_span(&l->state), err);
    if (rc == CCZ_OK && l->own.runs)
        rc = cczi_vfl_recv_whole(&l->came, &unused, &l->link[0], CCZI_VFL_STATE, step, own_size,
                                 err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_span(&l->shared, l->own.runs ? ccz_buf_span(&l->came) : CCZ_SPAN(NULL, 0));
    if (l->shared.bad)
        return cczi_vfl_no_memory(err);
    rc = cczi_vfl_team_mean(l->shared.ptr, loss, l->run->team, step, &l->all, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_vfl_layout_merge(l->state.ptr, &l->top, l->shared.ptr);
    rc = top->ops->load(top->self, ccz_buf_span(&l->state), err);
    if (rc == CCZ_OK && l->own.runs)
        rc = cczi_vfl_send_whole(&l->link[0], CCZI_VFL_MEAN, step, 0,
                                 CCZ_SPAN(l->shared.ptr + l->top.shared_size, own_size), err);
    return rc;
}

/* ------------------------------------------------------------------------------ evaluation */

static double clip(double p)
{
    return p < 1e-15 ? 1e-15 : p > 1 - 1e-15 ? 1 - 1e-15 : p;
}

/* Loss of one row; *right if the decision is. */
static double judge(bool *right, const float *score, size_t outputs, const struct ccz_vfl_labels *l,
                    size_t row)
{
    if (l->classes == 0) {
        double x = (double)score[0] - (double)l->value[row];
        *right = false;
        return x * x;
    }
    uint32_t y = l->label[row];
    if (outputs == 1) {
        *right = ((double)score[0] >= 0.5) == (y == 1);
        return -log(clip(y == 1 ? (double)score[0] : 1 - (double)score[0]));
    }
    size_t best = 0;
    for (size_t k = 1; k < outputs; k++)
        best = score[k] > score[best] ? k : best;
    *right = best == y;
    return -log(clip((double)score[y]));
}

static ccz_rc measure(struct ccz_vfl_epoch *e, const struct leader *l, struct ccz_err *err)
{
    const struct ccz_vfl_labels *y = l->lead->test_labels;
    size_t outputs = l->lead->top->outputs, right = 0;
    double loss = 0, *p = calloc(y->rows, sizeof(*p));
    uint8_t *positive = calloc(y->rows, 1);
    if (!p || !positive) {
        free(p);
        free(positive);
        return cczi_vfl_no_memory(err);
    }
    for (size_t i = 0; i < y->rows; i++) {
        const float *score = l->score + i * outputs;
        bool good;
        loss += judge(&good, score, outputs, y, i);
        right += good;
        p[i] = (double)score[outputs - 1];
        positive[i] = y->classes == 2 && y->label[i] == 1;
    }
    e->test_rows = y->rows;
    e->test_loss = loss / (double)y->rows;
    e->accuracy = y->classes ? (double)right / (double)y->rows : NAN;
    e->auc = y->classes == 2 ? cczi_vfl_auc(p, positive, y->rows) : NAN;
    free(p);
    free(positive);
    return CCZ_OK;
}

static ccz_rc evaluate(struct ccz_vfl_epoch *e, struct leader *l, struct ccz_err *err)
{
    const struct ccz_vfl_top *top = l->lead->top;
    size_t rows = l->lead->test_labels->rows, most = cczi_vfl_eval_batch(l->run->cfg);
    const float *act[LINKS_MAX];
    for (size_t first = 0; first < rows; first += most) {
        uint8_t digest[CCZI_VFL_BATCH_DIGEST_SIZE];
        size_t len = rows - first < most ? rows - first : most;
        ccz_rc rc = cczi_vfl_batch_digest(digest, l->run->cfg->test_alignment, first, NULL, 0, err);
        for (size_t i = 0; rc == CCZ_OK && i < l->len; i++) {
            rc = cczi_vfl_recv_floats(l->act[i], &l->link[i], CCZI_VFL_TEST, first, digest, len,
                                      top->width[i], err);
            act[i] = l->act[i];
        }
        if (rc == CCZ_OK)
            rc = top->ops->infer(l->score + first * top->outputs, top->self, act, len, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return measure(e, l, err);
}

static ccz_rc end_epoch(struct leader *l, uint64_t step, double loss, struct ccz_err *err)
{
    struct ccz_vfl_epoch e = {.epoch = (uint32_t)cczi_vfl_epoch_of(&l->plan, step),
                              .epochs = l->run->cfg->epochs,
                              .step = step,
                              .loss = loss,
                              .accuracy = NAN,
                              .auc = NAN,
                              .test_loss = NAN};
    bool tests = l->lead->test_labels && cczi_vfl_worker(l->run) == 0;
    ccz_rc rc = tests ? evaluate(&e, l, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < l->len - l->followers_at; i++) {
        struct ccz_vfl_leakage sent = cczi_vfl_leak_of(&l->sums.sent[i]);
        if (i > 0 && !(sent.norm > e.sent.norm))
            continue;
        e.sent = sent;
        e.raw = cczi_vfl_leak_of(&l->sums.raw[i]);
    }
    l->sums = (struct sums){0};
    int64_t now = ccz_mono_ns();
    e.took_ns = now - l->epoch_ns;
    l->epoch_ns = now;
    cczi_vfl_traffic(&e, l->link + l->followers_at, l->len - l->followers_at);
    l->out->last = e;
    return CCZ_OK;
}

static ccz_rc train(struct leader *l, struct ccz_err *err)
{
    uint64_t step = 0;
    double loss;
    ccz_rc rc = agree(&step, l, err);
    l->out->resumed = step;
    l->epoch_ns = ccz_mono_ns();
    while (rc == CCZ_OK && step < l->plan.steps) {
        uint64_t to = cczi_vfl_segment_end(&l->plan, step);
        bool ends = to % l->plan.per_epoch == 0;
        while (rc == CCZ_OK && step < to)
            rc = one_step(l, ++step, err);
        if (rc == CCZ_OK)
            rc = average(&loss, l, step, err);
        if (rc == CCZ_OK && ends)
            rc = end_epoch(l, step, loss, err);
        /* Before the first gradient of the next segment leaves: nobody is more than one state ahead. */
        if (rc == CCZ_OK && cczi_vfl_stores(&l->plan, step))
            rc = save(l, step, err);
        if (rc == CCZ_OK && ends && l->run->on_epoch)
            l->run->on_epoch(l->run->arg, &l->out->last);
    }
    l->out->steps = step;
    return rc;
}

ccz_rc ccz_vfl_lead(struct ccz_vfl_result *out, struct ccz_chan *const *followers, size_t len,
                    const struct ccz_vfl_lead *lead, const struct ccz_vfl_run *run,
                    struct ccz_err *err)
{
    struct ccz_err reason = {0};
    struct leader *l = calloc(1, sizeof(*l));
    *out = (struct ccz_vfl_result){0};
    if (!l) {
        for (size_t i = 0; i < len; i++)
            ccz_chan_close(followers[i], "vfl:memory: out of memory");
        return cczi_vfl_no_memory(err);
    }
    *l =
        (struct leader){.run = run, .lead = lead, .out = out, .followers_at = lead->bottom ? 1 : 0};
    l->len = l->followers_at;
    for (size_t i = 0; i < len && l->len < LINKS_MAX; i++)
        cczi_vfl_link_init(&l->link[l->len++], followers[i], run);
    ccz_rc rc = check(l, len, &reason);
    if (rc == CCZ_OK)
        rc = make_room(l, &reason);
    if (rc == CCZ_OK)
        rc = cczi_vfl_ckpt_open(&l->ckpt, run, CCZI_VFL_LEADER, &reason);
    if (rc == CCZ_OK)
        rc = own_start(l, &reason);
    if (rc == CCZ_OK)
        rc = train(l, &reason);
    if (run->team)
        cczi_vfl_team_end(run->team, rc, &reason);
    size_t first = l->own.here ? 0 : l->followers_at; /* there may be no channel to our own yet */
    rc = cczi_vfl_end(l->link + first, l->len - first, rc, &reason, err);
    struct ccz_err own = err ? *err : reason;
    ccz_rc after = own_join(&l->own, rc, &own);
    if (after != CCZ_OK && err)
        *err = own;
    clean_up(l);
    free(l);
    if (after != CCZ_OK)
        *out = (struct ccz_vfl_result){0};
    return after;
}
