/* SPDX-License-Identifier: Apache-2.0 */
/* Members come and go, messages go in and out; what they mean for a round: server_round.c. */
#define _DEFAULT_SOURCE
#include "fl/server_private.h"

#include "base/condwait.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------- lifetime */

ccz_rc ccz_fl_server_new(struct ccz_fl_server **out, const struct ccz_fl_server_cfg *cfg,
                         const float *params, int64_t now_ms, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_fl_server) s = NULL;
    ccz_rc rc = cczi_hfl_server_make(&s, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    size_t len = (size_t)s->layout->len, bad = ccz_agg_nonfinite(params, len);
    if (bad < len)
        return ccz_fail(err, CCZ_E_FORMAT, "fl:not-finite", (int64_t)bad,
                        "parameter %zu of the first model is not finite", bad);
    memcpy(s->params, params, len * sizeof(float));
    uint8_t digest[CCZ_FL_DIGEST_SIZE], sig[CCZI_HFL_SIG_SIZE];
    rc = cczi_hfl_seal_model(s, 0, digest, sig, err);
    if (rc != CCZ_OK)
        return rc;
    pthread_mutex_lock(&s->lock);
    cczi_hfl_model_ready_locked(s, 0, digest, sig);
    cczi_hfl_advance_locked(s, now_ms);
    pthread_mutex_unlock(&s->lock);
    *out = ccz_fl_server_take(&s);
    return CCZ_OK;
}

void ccz_fl_server_free(struct ccz_fl_server *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->members_len; i++) {
        pthread_cond_destroy(&s->members[i]->changed);
        free(s->members[i]->why);
        free(s->members[i]);
    }
    free(s->members);
    free(s->order);
    free(s->seats);
    cczi_hfl_drop_staged(s);
    free(s->staged);
    cczi_hfl_slots_free(s);
    ccz_agg_opt_free(s->opt);
    cczi_hfl_private_free(s);
    cczi_hfl_spill_free(s->spill);
    free(s->params);
    free(s->acc);
    free(s->variate);
    free(s->acc_variate);
    free(s->past);
    ccz_fl_layout_free(s->layout);
    pthread_cond_destroy(&s->quiet);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ----------------------------------------------------------------------------------- members */

/* Where @p name is in the order, or would be. */
static size_t place_of(const struct ccz_fl_server *s, const char *name)
{
    size_t lo = 0, hi = s->members_len;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(s->members[s->order[mid]]->name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool grow_members(struct ccz_fl_server *s)
{
    if (s->members_len < s->members_cap)
        return true;
    size_t cap = s->members_cap ? 2 * s->members_cap : 16;
    struct hfl_member **members = realloc(s->members, cap * sizeof(struct hfl_member *));
    if (members)
        s->members = members;
    uint32_t *order = realloc(s->order, cap * sizeof(*order));
    if (order)
        s->order = order;
    uint32_t *seats = realloc(s->seats, cap * sizeof(*seats));
    if (seats)
        s->seats = seats;
    struct hfl_staged *staged =
        s->cfg.agg.rule == CCZ_FL_MEAN ? NULL : realloc(s->staged, cap * sizeof(*staged));
    if (staged)
        s->staged = staged;
    bool good = members && order && seats && (staged || s->cfg.agg.rule == CCZ_FL_MEAN);
    if (good)
        s->members_cap = cap;
    return good;
}

ccz_rc cczi_hfl_member_add(struct hfl_member **out, struct ccz_fl_server *s, const char *name,
                           struct ccz_err *err)
{
    size_t at = place_of(s, name);
    *out = NULL;
    if (at < s->members_len && strcmp(s->members[s->order[at]]->name, name) == 0) {
        *out = s->members[s->order[at]];
        return CCZ_OK;
    }
    if (s->members_len >= s->cfg.members_max)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "fl:members", (int64_t)s->members_len + 1,
                              s->cfg.members_max);
    struct hfl_member *m = grow_members(s) ? calloc(1, sizeof(*m)) : NULL;
    if (!m)
        return cczi_hfl_no_memory(err);
    memcpy(m->name, name, strlen(name) + 1);
    m->id = (uint32_t)s->members_len;
    m->stranger =
        s->cfg.privacy.roster &&
        !cczi_hfl_identity(s->cfg.privacy.roster, s->cfg.privacy.roster_len, name, strlen(name));
    cczi_cond_init(&m->changed);
    memmove(s->order + at + 1, s->order + at, (s->members_len - at) * sizeof(*s->order));
    s->order[at] = m->id;
    s->members[s->members_len++] = m;
    *out = m;
    return CCZ_OK;
}

static ccz_rc may_join(const struct ccz_fl_server *s, const struct hfl_member *m,
                       struct ccz_err *err)
{
    if (m->link != HFL_AWAY)
        return ccz_fail(err, CCZ_E_EXISTS, "fl:member-twice", m->id,
                        "a member of this name is here");
    if (m->banned)
        return ccz_fail(err, CCZ_E_DENIED, "fl:banned", m->strikes,
                        "too many refused updates of this member");
    if (s->phase == HFL_OVER_PHASE)
        return ccz_fail(err, CCZ_E_CLOSED, "fl:over", (int64_t)s->round, "the training is over");
    return CCZ_OK;
}

ccz_rc ccz_fl_server_join(uint32_t *member, struct ccz_fl_server *s, const char *name,
                          int64_t now_ms, struct ccz_err *err)
{
    struct hfl_member *m;
    (void)now_ms;
    *member = UINT32_MAX;
    if (!cczi_hfl_name_ok(name))
        return ccz_fail(err, CCZ_E_ARG, "fl:member-name", 0, "malformed name");
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = cczi_hfl_member_add(&m, s, name, err);
    if (rc == CCZ_OK)
        rc = may_join(s, m, err);
    if (rc == CCZ_OK) {
        m->link = HFL_GREETED;
        m->work = HFL_IDLE;
        m->welcome_due = m->verdict_due = m->grant_due = m->task_due = m->over_sent = false;
        m->private_due = false;
        m->keyless = true;
        m->void_upload = false;
        m->tasks = 0;
        *member = m->id;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void ccz_fl_server_leave(struct ccz_fl_server *s, uint32_t member, int64_t now_ms)
{
    pthread_mutex_lock(&s->lock);
    struct hfl_member *m = s->members[member];
    if (m->link != HFL_AWAY) {
        if (m->link == HFL_HERE && m->seat == HFL_OPEN)
            s->totals.dropped++;
        if (!m->slot || !m->slot->ready) /* a whole update counts without its member */
            cczi_hfl_revoke_locked(s, m, NULL);
        if (cczi_hfl_secagg(s) && m->seat == HFL_OPEN && !m->slot) /* its keys are gone with it */
            m->seat = HFL_NO_SEAT;
        m->link = HFL_AWAY;
        m->work = HFL_IDLE;
        m->task_due = m->private_due = false;
        cczi_hfl_recount_locked(s);
        cczi_hfl_advance_locked(s, now_ms);
        cczi_hfl_wake_locked(s, m);
    }
    pthread_mutex_unlock(&s->lock);
}

void cczi_hfl_wake_locked(struct ccz_fl_server *s, struct hfl_member *m)
{
    pthread_cond_signal(&m->changed);
    if (s->cfg.hooks.wake)
        s->cfg.hooks.wake(s->cfg.hooks.wake_arg, m->id);
}

static void count_refusal(struct ccz_fl_server *s, const char *where)
{
    size_t i = 0;
    while (i < HFL_REFUSALS_MAX - 1 && s->totals.refusal[i].where[0] &&
           strcmp(s->totals.refusal[i].where, where) != 0)
        i++;
    if (!s->totals.refusal[i].where[0])
        memcpy(s->totals.refusal[i].where, i < HFL_REFUSALS_MAX - 1 ? where : "other",
               i < HFL_REFUSALS_MAX - 1 ? strlen(where) + 1 : sizeof("other"));
    s->totals.refusal[i].count++;
}

void cczi_hfl_verdict_locked(struct ccz_fl_server *s, struct hfl_member *m, uint64_t round,
                             const struct ccz_err *why)
{
    if (why) {
        s->totals.refused++;
        count_refusal(s, why->where);
        if (s->cfg.hooks.on_refusal)
            s->cfg.hooks.on_refusal(s->cfg.hooks.arg, m->name, round, why);
    }
    if (m->link != HFL_HERE)
        return;
    free(m->why);
    m->why = why ? malloc(sizeof(*m->why)) : NULL;
    if (m->why)
        *m->why = *why;
    m->verdict_due = !why || m->why; /* without memory the member waits for its next task */
    m->verdict_round = round;
    cczi_hfl_wake_locked(s, m);
}

/* ------------------------------------------------------------------------------ messages in */

static ccz_rc on_hello(struct ccz_fl_server *s, struct hfl_member *m,
                       const struct cczi_hfl_hello *h, struct ccz_err *err)
{
    if (m->link != HFL_GREETED)
        return cczi_hfl_disorder(CCZI_HFL_HELLO, "one hello", err);
    if (h->version != CCZI_HFL_VERSION)
        return ccz_refuse_num(err, CCZ_E_PEER, "fl:hello-version", h->version, CCZI_HFL_VERSION);
    if (memcmp(h->layout, s->layout->digest, sizeof(h->layout)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fl:layout", h->layout, sizeof(h->layout),
                                s->layout->digest, sizeof(s->layout->digest));
    m->link = HFL_HERE;
    m->welcome_due = true;
    m->reported = false;
    cczi_hfl_recount_locked(s);
    /* It comes back into its seat, to the last model, or waits for the next round. */
    if (s->phase == HFL_FINAL)
        cczi_hfl_give_task_locked(s, m, CCZI_HFL_EVALUATE);
    else if (s->phase == HFL_COLLECT && !m->slot && (m->seat == HFL_OPEN || s->cfg.buffer_len))
        cczi_hfl_give_task_locked(s, m, CCZI_HFL_TRAIN);
    cczi_hfl_wake_locked(s, m);
    return CCZ_OK;
}

static ccz_rc on_report(struct ccz_fl_server *s, struct hfl_member *m,
                        const struct cczi_hfl_report *r, struct ccz_err *err)
{
    if (s->phase != HFL_FINAL || m->work != HFL_BUSY || r->round != m->task_round || m->reported)
        return cczi_hfl_disorder(CCZI_HFL_REPORT, "one after the last model", err);
    m->reported = true;
    m->work = HFL_IDLE;
    if (r->eval.samples <= s->cfg.samples_max)
        cczi_hfl_means_add(&s->eval, &r->eval);
    return CCZ_OK;
}

static ccz_rc dispatch(struct ccz_fl_server *s, struct hfl_member *m,
                       const struct cczi_hfl_msg *msg, int64_t now_ms, struct ccz_err *err)
{
    if (m->link != HFL_HERE && msg->kind != CCZI_HFL_HELLO)
        return cczi_hfl_disorder(msg->kind, "hello", err);
    switch (msg->kind) {
    case CCZI_HFL_HELLO:
        return on_hello(s, m, &msg->hello, err);
    case CCZI_HFL_OFFER:
        return cczi_hfl_on_offer_locked(s, m, &msg->offer, now_ms, err);
    case CCZI_HFL_CHUNK:
        return cczi_hfl_on_chunk_locked(s, m, &msg->chunk, now_ms, err);
    case CCZI_HFL_REPORT:
        return on_report(s, m, &msg->report, err);
    case CCZI_HFL_PRIVATE:
        return cczi_hfl_on_private_locked(s, m, &msg->secret, err);
    default:
        return cczi_hfl_disorder(msg->kind, "offer, chunk, report or private", err);
    }
}

ccz_rc ccz_fl_server_input(struct ccz_fl_server *s, uint32_t member, struct ccz_span msg,
                           int64_t now_ms, struct ccz_err *err)
{
    struct cczi_hfl_msg in;
    ccz_rc rc = cczi_hfl_msg_parse(&in, msg, err);
    if (rc != CCZ_OK)
        return rc;
    pthread_mutex_lock(&s->lock);
    struct hfl_member *m = s->members[member];
    s->totals.received_size += msg.size;
    s->rec.received_size += msg.size;
    rc = m->link == HFL_AWAY
             ? ccz_fail(err, CCZ_E_CLOSED, "fl:member-gone", member, "the member left")
             : dispatch(s, m, &in, now_ms, err);
    if (rc == CCZ_OK)
        cczi_hfl_advance_locked(s, now_ms);
    if (rc == CCZ_OK && m->banned)
        rc = ccz_fail(err, CCZ_E_DENIED, "fl:banned", m->strikes,
                      "too many refused updates of this member");
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* ----------------------------------------------------------------------------- messages out */

static void put_welcome(struct ccz_buf *out, const struct ccz_fl_server *s,
                        const struct hfl_member *m)
{
    CCZ_AUTO_BUF layout;
    ccz_buf_init(&layout, CCZ_FL_LAYOUT_SIZE_MAX);
    ccz_fl_layout_encode(&layout, s->layout);
    struct cczi_hfl_msg w = {.kind = CCZI_HFL_WELCOME,
                             .welcome = {.layout = ccz_buf_span(&layout),
                                         .round = s->round,
                                         .rounds = s->cfg.rounds,
                                         .accepted = m->accepted}};
    /* An update that is already counted in the open round is this member's newest, too. */
    if (!s->cfg.buffer_len && (m->seat == HFL_DELIVERED || m->slot))
        w.welcome.accepted = s->round + 1;
    memcpy(w.welcome.run, s->run, sizeof(s->run));
    memcpy(w.welcome.key, s->key, sizeof(s->key));
    cczi_hfl_msg_put(out, &w);
    out->bad |= layout.bad;
}

static void put_verdict(struct ccz_buf *out, struct hfl_member *m)
{
    struct cczi_hfl_msg v = {.kind = CCZI_HFL_VERDICT,
                             .verdict = {.round = m->verdict_round, .accepted = !m->why}};
    if (m->why) {
        v.verdict.rc = (uint32_t)-m->why->rc;
        v.verdict.where = ccz_span_str(m->why->where);
        v.verdict.got = ccz_span_str(m->why->got);
        v.verdict.expected = ccz_span_str(m->why->expected);
        v.verdict.text = ccz_span_str(m->why->msg);
    }
    cczi_hfl_msg_put(out, &v);
    free(m->why);
    m->why = NULL;
}

static void put_task(struct ccz_buf *out, const struct ccz_fl_server *s, const struct hfl_member *m)
{
    struct ccz_err ignored;
    const struct ccz_fl_train_cfg *t = &s->cfg.train;
    struct cczi_hfl_msg msg = {
        .kind = CCZI_HFL_TASK,
        .task = {.round = m->task_round,
                 .work = m->task_work,
                 .epochs = t->epochs,
                 .batch = t->batch,
                 .lr = t->lr,
                 .momentum = t->momentum,
                 .prox_mu = t->prox_mu,
                 .codec = (uint32_t)s->cfg.agg.codec.kind,
                 .block = s->cfg.agg.codec.block,
                 .topk = s->cfg.agg.codec.topk,
                 .scaffold = s->cfg.agg.scaffold && (m->task_work & CCZI_HFL_TRAIN)}};
    double lr = (double)t->lr;
    for (uint64_t r = 1; s->cfg.lr_decay < 1 && r < m->task_round && lr > 1e-30; r++)
        lr *= s->cfg.lr_decay;
    msg.task.lr = (float)lr;
    memcpy(msg.task.digest, s->digest, sizeof(s->digest));
    memcpy(msg.task.sig, s->sig, sizeof(s->sig));
    /* Asynchronous: a member may train on one version more than once. */
    if (cczi_hfl_derive(&msg.task.seed, s->cfg.buffer_len ? "train async" : "train", s->seed,
                        s->cfg.buffer_len ? m->task_round << 20 ^ m->tasks : m->task_round, m->name,
                        &ignored) != CCZ_OK)
        out->bad = true;
    cczi_hfl_msg_put(out, &msg);
}

/* A piece of a vector, from memory or from where the model is meanwhile. The lock is not held. */
static ccz_rc put_piece(struct ccz_buf *out, struct ccz_fl_server *s, bool spilled, uint32_t vector,
                        uint64_t at, size_t n, struct ccz_err *err)
{
    const uint8_t *from = (const uint8_t *)(vector == CCZI_HFL_PARAMS ? s->params : s->variate);
    cczi_hfl_chunk_head(out, vector, at, n);
    if (!spilled) {
        ccz_buf_put(out, from + at, n);
        return CCZ_OK;
    }
    uint8_t *to = ccz_buf_extend(out, n);
    return to ? cczi_hfl_spill_get(to, s->spill, at, n, err) : CCZ_OK;
}

/* The next chunk of the model; the copy is made without the lock. Nothing is put if the model cannot be read: all is over then. */
static void put_chunk_locked(struct ccz_buf *out, struct ccz_fl_server *s, struct hfl_member *m)
{
    uint64_t size = s->layout->len * sizeof(float), left = size - m->at, at = m->at;
    size_t n = left < CCZI_HFL_SEND_SIZE ? (size_t)left : CCZI_HFL_SEND_SIZE;
    struct ccz_err err = {0};
    uint32_t vector = m->vector;
    bool both = s->cfg.agg.scaffold && (m->task_work & CCZI_HFL_TRAIN);
    m->at += n;
    if (m->at == size) {
        m->at = 0;
        m->vector++;
        if (m->vector == (both ? 2U : 1U))
            m->work = HFL_BUSY;
    }
    bool spilled = vector == CCZI_HFL_PARAMS && s->model != HFL_HELD;
    unsigned *count = spilled ? &s->reads : &s->pins;
    ++*count;
    pthread_mutex_unlock(&s->lock);
    ccz_rc rc = put_piece(out, s, spilled, vector, at, n, &err);
    pthread_mutex_lock(&s->lock);
    if (--*count == 0)
        pthread_cond_broadcast(&s->quiet);
    if (rc == CCZ_OK)
        return;
    ccz_buf_clear(out);
    cczi_hfl_over_locked(s, &err);
}

static bool has_output(const struct ccz_fl_server *s, const struct hfl_member *m)
{
    if (m->link != HFL_HERE)
        return false;
    return m->welcome_due || m->verdict_due || m->grant_due || m->private_due ||
           (m->work == HFL_SENDING && s->phase != HFL_CLOSE) ||
           (s->phase == HFL_OVER_PHASE && !m->over_sent);
}

/* One message; @p m has output. */
static void put_output_locked(struct ccz_buf *out, struct ccz_fl_server *s, struct hfl_member *m)
{
    if (m->welcome_due) {
        m->welcome_due = false;
        put_welcome(out, s, m);
    } else if (m->verdict_due) {
        m->verdict_due = false;
        put_verdict(out, m);
    } else if (m->grant_due) {
        m->grant_due = false;
        cczi_hfl_msg_put(out,
                         &(struct cczi_hfl_msg){.kind = CCZI_HFL_GRANT, .granted = m->offer.round});
    } else if (m->private_due) {
        m->private_due = false;
        cczi_hfl_private_put_locked(out, s, m);
    } else if (m->work == HFL_SENDING && m->task_due) {
        m->task_due = false;
        put_task(out, s, m);
    } else if (m->work == HFL_SENDING) {
        put_chunk_locked(out, s, m);
    } else {
        m->over_sent = true;
        bool early = s->why.rc != CCZ_OK;
        cczi_hfl_msg_put(
            out, &(struct cczi_hfl_msg){.kind = CCZI_HFL_OVER,
                                        .over = {.round = s->round,
                                                 .rc = early ? (uint32_t)-s->why.rc : 0,
                                                 .reason = ccz_span_str(early ? s->why.msg : "")}});
    }
}

bool ccz_fl_server_output(struct ccz_buf *msg, struct ccz_fl_server *s, uint32_t member,
                          int64_t now_ms)
{
    (void)now_ms;
    ccz_buf_clear(msg);
    pthread_mutex_lock(&s->lock);
    struct hfl_member *m = s->members[member];
    bool some = has_output(s, m);
    while (some && msg->size == 0 &&
           !msg->bad) { /* again: the end, instead of a model that is lost */
        put_output_locked(msg, s, m);
        some = msg->size > 0 || msg->bad || has_output(s, m);
    }
    s->totals.sent_size += msg->size;
    s->rec.sent_size += msg->size;
    pthread_mutex_unlock(&s->lock);
    return some;
}

void cczi_hfl_output_wait(struct ccz_fl_server *s, uint32_t member, const bool *stop)
{
    pthread_mutex_lock(&s->lock);
    struct hfl_member *m = s->members[member];
    while (!*stop && !has_output(s, m))
        pthread_cond_wait(&m->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void cczi_hfl_output_stop(struct ccz_fl_server *s, uint32_t member, bool *stop)
{
    pthread_mutex_lock(&s->lock);
    *stop = true;
    pthread_cond_signal(&s->members[member]->changed);
    pthread_mutex_unlock(&s->lock);
}

/* --------------------------------------------------------------------------------- questions */

bool ccz_fl_server_over(const struct ccz_fl_server *cs, struct ccz_err *err)
{
    struct ccz_fl_server *s = (struct ccz_fl_server *)(uintptr_t)cs;
    pthread_mutex_lock(&s->lock);
    bool over = s->phase == HFL_OVER_PHASE;
    if (over && err)
        *err = s->why;
    pthread_mutex_unlock(&s->lock);
    return over;
}

bool ccz_fl_server_done_with(const struct ccz_fl_server *cs, uint32_t member)
{
    struct ccz_fl_server *s = (struct ccz_fl_server *)(uintptr_t)cs;
    pthread_mutex_lock(&s->lock);
    const struct hfl_member *m = s->members[member];
    bool done = s->phase == HFL_OVER_PHASE && (m->link != HFL_HERE || m->over_sent);
    pthread_mutex_unlock(&s->lock);
    return done;
}

uint64_t ccz_fl_server_round(const struct ccz_fl_server *cs)
{
    struct ccz_fl_server *s = (struct ccz_fl_server *)(uintptr_t)cs;
    pthread_mutex_lock(&s->lock);
    uint64_t round = s->round;
    pthread_mutex_unlock(&s->lock);
    return round;
}

const struct ccz_fl_layout *ccz_fl_server_layout(const struct ccz_fl_server *s)
{
    return s->layout;
}

bool ccz_fl_server_signature(uint8_t digest[CCZ_FL_DIGEST_SIZE], uint8_t sig[64],
                             const struct ccz_fl_server *s)
{
    memcpy(digest, s->digest, sizeof(s->digest));
    memcpy(sig, s->sig, sizeof(s->sig));
    return s->cfg.sign_key != NULL;
}

struct ccz_fl_metrics ccz_fl_server_final_eval(const struct ccz_fl_server *s)
{
    return s->final_eval;
}
