/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a round goes through. A phase looks at the state after each event and says whether it changed anything; the table at the
 * end is all there is of control flow. PREPARE and REVEAL are those of secure aggregation.
 */
#include "fl/server_private.h"

#include <cczoo/dataset.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FINAL_MS = 600000 };

/* ------------------------------------------------------------------------------------- means */

static void mean_add(double *sum, double *weight, double n, double v)
{
    if (!isfinite(v))
        return;
    *sum += n * v;
    *weight += n;
}

void cczi_hfl_means_add(struct hfl_means *t, const struct ccz_fl_metrics *m)
{
    double n = (double)m->samples;
    t->samples += m->samples;
    t->steps += m->steps;
    mean_add(&t->loss, &t->loss_weight, n, m->loss);
    mean_add(&t->accuracy, &t->accuracy_weight, n, m->accuracy);
}

struct ccz_fl_metrics cczi_hfl_means_of(const struct hfl_means *t)
{
    return (struct ccz_fl_metrics){
        .samples = t->samples,
        .steps = t->steps,
        .loss = t->loss_weight > 0 ? t->loss / t->loss_weight : NAN,
        .accuracy = t->accuracy_weight > 0 ? t->accuracy / t->accuracy_weight : NAN};
}

/* ------------------------------------------------------------------------------------- models */

ccz_rc cczi_hfl_seal_model(struct ccz_fl_server *s, uint64_t round,
                           uint8_t digest[CCZ_FL_DIGEST_SIZE], uint8_t sig[CCZI_HFL_SIG_SIZE],
                           struct ccz_err *err)
{
    memset(sig, 0, CCZI_HFL_SIG_SIZE);
    ccz_rc rc = ccz_fl_model_digest(digest, s->layout, round, s->params, err);
    if (rc == CCZ_OK && s->cfg.sign_key)
        rc = cczi_hfl_sign(sig, s->cfg.sign_key, digest, err);
    return rc;
}

void cczi_hfl_model_ready_locked(struct ccz_fl_server *s, uint64_t round, const uint8_t *digest,
                                 const uint8_t *sig)
{
    s->round = round;
    memcpy(s->digest, digest, sizeof(s->digest));
    memcpy(s->sig, sig, sizeof(s->sig));
    if (s->past)
        memcpy(s->past[round % ((uint64_t)s->cfg.staleness_max + 1)], digest, CCZ_FL_DIGEST_SIZE);
}

/* ----------------------------------------------------------------------------------- members */

uint32_t cczi_hfl_quorum(const struct ccz_fl_server *s)
{
    return s->cfg.quorum ? s->cfg.quorum : (uint32_t)s->seats_len;
}

void cczi_hfl_recount_locked(struct ccz_fl_server *s)
{
    s->here = s->open_here = s->open_away = 0;
    for (size_t i = 0; i < s->members_len; i++) {
        const struct hfl_member *m = s->members[i];
        bool here = m->link == HFL_HERE;
        s->here += here && !m->banned && !m->stranger;
        s->open_here += here && m->seat == HFL_OPEN;
        s->open_away += !here && m->seat == HFL_OPEN;
    }
}

void cczi_hfl_give_task_locked(struct ccz_fl_server *s, struct hfl_member *m, uint32_t work)
{
    bool evaluate = s->cfg.eval_every && s->round % s->cfg.eval_every == 0;
    m->work = HFL_SENDING;
    m->task_due = true;
    m->task_round = s->round + 1;
    m->task_work = work | (evaluate ? (uint32_t)CCZI_HFL_EVALUATE : 0);
    m->vector = 0;
    m->at = 0;
    m->tasks++;
    if (s->cfg.buffer_len)
        m->seat = HFL_OPEN;
    cczi_hfl_wake_locked(s, m);
}

static void wake_all(struct ccz_fl_server *s)
{
    for (size_t i = 0; i < s->members_len; i++)
        cczi_hfl_wake_locked(s, s->members[i]);
}

/* Uploads and offers of everybody count no more. */
static void revoke_all(struct ccz_fl_server *s, const struct ccz_err *why)
{
    for (size_t i = 0; i < s->members_len; i++)
        cczi_hfl_revoke_locked(s, s->members[i], why);
}

void cczi_hfl_over_locked(struct ccz_fl_server *s, const struct ccz_err *why)
{
    if (s->phase == HFL_OVER_PHASE)
        return;
    s->phase = HFL_OVER_PHASE;
    s->deadline_ms = INT64_MAX;
    if (why)
        s->why = *why;
    revoke_all(s, NULL);
    for (size_t i = 0; why && i < s->members_len; i++)
        if (s->members[i]->work == HFL_SENDING)
            s->members[i]->work = HFL_IDLE;
    wake_all(s);
}

/* -------------------------------------------------------------------------------- phase: wait */

static int by_place(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Fills the seats: places in the order of names first, so that the draw depends on names only. */
static ccz_rc draw(struct ccz_fl_server *s, struct ccz_err *err)
{
    uint64_t random;
    ccz_rc rc = cczi_hfl_derive(&random, "sample", s->seed, s->round + 1, "", err);
    if (rc != CCZ_OK)
        return rc;
    size_t n = 0;
    for (size_t i = 0; i < s->members_len; i++) {
        const struct hfl_member *m = s->members[s->order[i]];
        if (m->link == HFL_HERE && !m->banned && !m->stranger)
            s->seats[n++] = (uint32_t)i;
    }
    size_t k = s->cfg.sample_len && s->cfg.sample_len < n ? s->cfg.sample_len : n;
    struct ccz_seeded rng = ccz_seeded_from(random, 0);
    for (size_t i = 0; k < n && i < k; i++) {
        size_t j = i + (size_t)ccz_seeded_below(&rng, n - i);
        uint32_t t = s->seats[i];
        s->seats[i] = s->seats[j];
        s->seats[j] = t;
    }
    if (k < n)
        qsort(s->seats, k, sizeof(*s->seats), by_place);
    for (size_t i = 0; i < k; i++)
        s->seats[i] = s->order[s->seats[i]];
    s->seats_len = k;
    return CCZ_OK;
}

static void begin_record(struct ccz_fl_server *s, int64_t now_ms)
{
    s->rec = (struct ccz_fl_record){.round = s->round + 1,
                                    .attempt = s->attempt,
                                    .selected = (uint32_t)s->seats_len,
                                    .start_ms = now_ms,
                                    .epsilon = -1};
    s->train = s->eval = (struct hfl_means){0};
    s->weight_sum = s->norm_sum = s->staleness_sum = 0;
    s->folded = s->delivered = s->refused = 0;
}

static bool begin_async(struct ccz_fl_server *s, int64_t now_ms)
{
    begin_record(s, now_ms);
    s->phase = HFL_COLLECT;
    for (size_t i = 0; i < s->members_len; i++) {
        struct hfl_member *m = s->members[i];
        if (m->link == HFL_HERE && !m->banned && (m->work == HFL_IDLE || m->work == HFL_SENDING))
            cczi_hfl_give_task_locked(s, m, CCZI_HFL_TRAIN);
    }
    return true;
}

/* Members owe a message of secure aggregation, which takes no training: no longer than a stall may last. */
static void wait_private(struct ccz_fl_server *s, int64_t now_ms, enum hfl_phase phase)
{
    s->phase = phase;
    s->cut = false;
    s->deadline_ms = now_ms + s->cfg.stall_ms;
    cczi_hfl_recount_locked(s);
}

/* Local training begins: of everybody, or of those whose shares are there. */
static void begin_training(struct ccz_fl_server *s, int64_t now_ms)
{
    s->phase = HFL_COLLECT;
    s->cut = false;
    s->deadline_ms = s->cfg.round_timeout_ms ? now_ms + s->cfg.round_timeout_ms : INT64_MAX;
    for (size_t i = 0; i < s->seats_len; i++) {
        struct hfl_member *m = s->members[s->seats[i]];
        if (m->seat == HFL_OPEN)
            cczi_hfl_give_task_locked(s, m, CCZI_HFL_TRAIN);
    }
    cczi_hfl_recount_locked(s);
}

static bool on_wait(struct ccz_fl_server *s, int64_t now_ms)
{
    struct ccz_err err = {0};
    uint32_t eligible = s->here;
    uint32_t need = s->cfg.members_min > s->cfg.quorum ? s->cfg.members_min : s->cfg.quorum;
    if (s->here < need)
        return false;
    s->attempt++;
    if (s->round >= s->cfg.rounds) {
        s->phase = HFL_FINAL;
        return true;
    }
    if (s->cfg.buffer_len)
        return begin_async(s, now_ms);
    if (draw(s, &err) != CCZ_OK) {
        cczi_hfl_over_locked(s, &err);
        return false;
    }
    begin_record(s, now_ms);
    s->next_seat = 0;
    for (size_t i = 0; i < s->seats_len; i++)
        s->members[s->seats[i]]->seat = HFL_OPEN;
    if (cczi_hfl_private_begin_locked(s, eligible, &err) != CCZ_OK) {
        cczi_hfl_over_locked(s, &err);
        return false;
    }
    if (cczi_hfl_secagg(s))
        wait_private(s, now_ms, HFL_PREPARE);
    else
        begin_training(s, now_ms);
    return true;
}

/* ----------------------------------------------------------------------------- phase: collect */

static void clear_seats(struct ccz_fl_server *s)
{
    for (size_t i = 0; i < s->members_len; i++)
        s->members[i]->seat = HFL_NO_SEAT;
    for (size_t i = 0; i < s->members_len; i++)
        s->members[i]->private_due = false;
    s->seats_len = s->next_seat = 0;
    s->open_here = s->open_away = 0;
}

/* The round cannot be completed as it was begun. */
static bool begin_anew(struct ccz_fl_server *s, const struct ccz_err *why)
{
    s->totals.attempts++;
    if (s->cfg.attempts_max && s->attempt >= s->cfg.attempts_max) {
        cczi_hfl_over_locked(s, why);
        return false;
    }
    revoke_all(s, why);
    cczi_hfl_drop_staged(s);
    clear_seats(s);
    for (size_t i = 0; i < s->members_len; i++)
        if (s->members[i]->work == HFL_SENDING)
            s->members[i]->work = HFL_IDLE;
    s->phase = HFL_WAIT;
    return true;
}

static bool without_quorum(struct ccz_fl_server *s)
{
    struct ccz_err why;
    ccz_refuse_num(&why, CCZ_E_TIMEOUT, "fl:quorum", s->delivered, cczi_hfl_quorum(s));
    return begin_anew(s, &why);
}

/* Keys, then shares of secrets. Who is silent has no seat any more. */
static bool on_prepare(struct ccz_fl_server *s, int64_t now_ms)
{
    struct ccz_err why = {0};
    if (!s->cut && cczi_hfl_private_pending(s) > 0)
        return false;
    if (cczi_hfl_private_next_locked(s, &why) != CCZ_OK)
        return begin_anew(s, &why);
    for (size_t i = 0; i < s->seats_len; i++) {
        struct hfl_member *m = s->members[s->seats[i]];
        if (!cczi_hfl_private_waits(s, m) || m->link != HFL_HERE)
            m->seat = HFL_NO_SEAT;
    }
    if (ccz_secagg_server_phase(s->private->secagg) == CCZ_SECAGG_INPUT)
        begin_training(s, now_ms);
    else
        wait_private(s, now_ms, HFL_PREPARE);
    return true;
}

/* All updates are there: masks of the one kind or the other are opened. */
static bool collected(struct ccz_fl_server *s, int64_t now_ms)
{
    struct ccz_err why = {0};
    if (!cczi_hfl_secagg(s)) {
        s->phase = HFL_CLOSE;
        return true;
    }
    if (cczi_hfl_private_next_locked(s, &why) != CCZ_OK)
        return begin_anew(s, &why);
    wait_private(s, now_ms, HFL_REVEAL);
    return true;
}

/* With a roster, members first sign who delivered. */
static bool on_reveal(struct ccz_fl_server *s, int64_t now_ms)
{
    struct ccz_err why = {0};
    if (!s->cut && cczi_hfl_private_pending(s) > 0)
        return false;
    if (cczi_hfl_private_next_locked(s, &why) != CCZ_OK)
        return begin_anew(s, &why);
    if (ccz_secagg_server_phase(s->private->secagg) == CCZ_SECAGG_UNMASK)
        s->phase = HFL_CLOSE;
    else
        wait_private(s, now_ms, HFL_REVEAL);
    return true;
}

static bool on_collect(struct ccz_fl_server *s, int64_t now_ms)
{
    if (s->working)
        return false;
    if (cczi_hfl_spill_due(s))
        return cczi_hfl_spill_out_locked(s);
    cczi_hfl_grant_locked(s, now_ms);
    if (cczi_hfl_fold_next_locked(s, now_ms))
        return true;
    if (s->cfg.buffer_len) {
        if (s->folded < s->cfg.buffer_len)
            return false;
        s->phase = HFL_CLOSE;
        return true;
    }
    bool enough = s->delivered >= cczi_hfl_quorum(s), filling = cczi_hfl_filling(s);
    /* Who began to upload in time may end it, if it takes no longer than a stall may. */
    bool grace = s->cut && filling && now_ms < s->deadline_ms + s->cfg.stall_ms;
    if (s->cut ? grace : s->open_here > 0 || filling)
        return false;
    if (enough)
        return collected(s, now_ms);
    return s->cut || s->open_away == 0 ? without_quorum(s) : false;
}

/* ------------------------------------------------------------------------------- phase: close */

static void end_record(struct ccz_fl_server *s, double norm)
{
    struct ccz_fl_record *r = &s->rec;
    double n = s->folded > 0 ? (double)s->folded : 1;
    r->delivered = s->cfg.buffer_len ? s->folded : s->delivered;
    r->refused = s->refused;
    r->dropped = s->cfg.buffer_len ? 0 : r->selected - r->delivered - r->refused;
    r->train = cczi_hfl_means_of(&s->train);
    r->samples = r->train.samples;
    r->base_eval = cczi_hfl_means_of(&s->eval);
    r->update_norm = norm;
    r->norm_mean = s->norm_sum / n;
    r->staleness_mean = s->staleness_sum / n;
    memcpy(r->digest, s->digest, sizeof(r->digest));
}

/* Nobody reads the model any more, and what was offered comes too late. */
static void quiet(struct ccz_fl_server *s)
{
    struct ccz_err late;
    ccz_refuse_num(&late, CCZ_E_TIMEOUT, "fl:late-update", (int64_t)s->round + 1,
                   (int64_t)s->round + 2);
    if (!s->cfg.buffer_len) {
        revoke_all(s, &late);
        for (size_t i = 0; i < s->members_len; i++)
            if (s->members[i]->work == HFL_SENDING)
                s->members[i]->work = HFL_IDLE;
    }
    while (s->pins > 0 || s->reads > 0)
        pthread_cond_wait(&s->quiet, &s->lock);
}

/* The new model exists, in memory. */
static void finish_round(struct ccz_fl_server *s, double norm, const uint8_t *digest,
                         const uint8_t *sig)
{
    for (size_t i = 0; i < s->members_len; i++)
        if (s->members[i]->seat == HFL_DELIVERED)
            s->members[i]->accepted = s->round + 1;
    cczi_hfl_model_ready_locked(s, s->round + 1, digest, sig);
    end_record(s, norm);
    if (!s->cfg.buffer_len)
        clear_seats(s);
}

/* Hooks, and what they say. The lock is not held. */
static ccz_rc publish(struct ccz_fl_server *s, struct ccz_err *err)
{
    const struct ccz_fl_server_hooks *h = &s->cfg.hooks;
    ccz_rc rc = CCZ_OK;
    if (h->evaluate)
        rc = h->evaluate(&s->rec.eval, h->arg, s->round, s->params, err);
    if (rc == CCZ_OK && h->store)
        rc = h->store(h->arg, s, err);
    return rc;
}

static bool on_close(struct ccz_fl_server *s, int64_t now_ms)
{
    struct ccz_err err = {0};
    uint8_t digest[CCZ_FL_DIGEST_SIZE], sig[CCZI_HFL_SIG_SIZE];
    double norm = 0;
    if (s->working)
        return false;
    s->working = true;
    s->rec.wait_ms = now_ms - s->rec.start_ms;
    quiet(s);
    cczi_hfl_spill_make_room_locked(s);
    int64_t start_ns = ccz_mono_ns();
    pthread_mutex_unlock(&s->lock);
    ccz_rc rc = cczi_hfl_spill_in(s, &err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_step(&norm, s, &err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_seal_model(s, s->round + 1, digest, sig, &err);
    pthread_mutex_lock(&s->lock);
    if (rc == CCZ_OK)
        finish_round(s, norm, digest, sig);
    pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK)
        rc = publish(s, &err);
    pthread_mutex_lock(&s->lock); /* others still take messages, which are counted */
    s->rec.apply_ms = (ccz_mono_ns() - start_ns) / 1000000;
    s->rec.duration_ms = s->rec.wait_ms + s->rec.apply_ms;
    const struct ccz_fl_record rec = s->rec;
    pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK && s->cfg.hooks.on_round)
        s->cfg.hooks.on_round(s->cfg.hooks.arg, &rec);
    pthread_mutex_lock(&s->lock);
    s->working = false;
    s->last = s->rec;
    s->attempt = 0;
    s->deadline_ms = INT64_MAX;
    s->cut = false;
    if (rc != CCZ_OK)
        cczi_hfl_over_locked(s, &err);
    if (s->phase != HFL_CLOSE)
        return false; /* stopped meanwhile */
    s->phase = s->round >= s->cfg.rounds ? HFL_FINAL : HFL_WAIT;
    return true;
}

/* ------------------------------------------------------------------------ phases: final, over */

/* The last model goes to everybody who is here, or comes in time. */
static bool on_final(struct ccz_fl_server *s, int64_t now_ms)
{
    uint32_t waiting = 0, reported = 0;
    if (s->deadline_ms == INT64_MAX) {
        s->deadline_ms =
            now_ms + (s->cfg.round_timeout_ms ? s->cfg.round_timeout_ms : (int64_t)FINAL_MS);
        s->eval = (struct hfl_means){0};
        revoke_all(s, NULL);
        for (size_t i = 0; i < s->members_len; i++)
            if (s->members[i]->link == HFL_HERE)
                cczi_hfl_give_task_locked(s, s->members[i], CCZI_HFL_EVALUATE);
    }
    for (size_t i = 0; i < s->members_len; i++) {
        const struct hfl_member *m = s->members[i];
        reported += m->reported;
        waiting += m->link == HFL_HERE && !m->reported && !m->banned;
    }
    if (!s->cut && (waiting > 0 || reported < s->cfg.members_min))
        return false;
    s->final_eval = cczi_hfl_means_of(&s->eval);
    cczi_hfl_over_locked(s, NULL);
    return false;
}

static bool on_over(struct ccz_fl_server *s, int64_t now_ms)
{
    (void)s;
    (void)now_ms;
    return false;
}

static const struct {
    const char *name;
    bool (*look)(struct ccz_fl_server *s, int64_t now_ms); /* true: look again */
} PHASES[HFL_PHASES] = {
    [HFL_WAIT] = {"wait", on_wait},       [HFL_PREPARE] = {"prepare", on_prepare},
    [HFL_REVEAL] = {"reveal", on_reveal}, [HFL_COLLECT] = {"collect", on_collect},
    [HFL_CLOSE] = {"close", on_close},    [HFL_FINAL] = {"final", on_final},
    [HFL_OVER_PHASE] = {"over", on_over}};

const char *cczi_hfl_phase_name(enum hfl_phase p)
{
    return PHASES[p].name;
}

void cczi_hfl_advance_locked(struct ccz_fl_server *s, int64_t now_ms)
{
    while (PHASES[s->phase].look(s, now_ms))
        ;
}

/* -------------------------------------------------------------------------------------- time */

int64_t ccz_fl_server_tick(struct ccz_fl_server *s, int64_t now_ms)
{
    pthread_mutex_lock(&s->lock);
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < s->cfg.slots; i++) {
        struct hfl_slot *slot = &s->slots[i];
        if (!slot->owner || slot->ready || slot->revoked)
            continue;
        int64_t end = slot->progress_ms + s->cfg.stall_ms;
        if (now_ms >= end) {
            struct ccz_err why;
            ccz_refuse_num(&why, CCZ_E_TIMEOUT, "fl:upload-stalled", now_ms - slot->progress_ms,
                           s->cfg.stall_ms);
            slot->owner->seat = s->cfg.buffer_len ? HFL_OPEN : HFL_REFUSED;
            s->refused++;
            cczi_hfl_revoke_locked(s, slot->owner, &why);
            cczi_hfl_recount_locked(s);
        } else if (end < next) {
            next = end;
        }
    }
    if (now_ms >= s->deadline_ms)
        s->cut = true;
    cczi_hfl_advance_locked(s, now_ms);
    int64_t deadline =
        s->deadline_ms == INT64_MAX || !s->cut ? s->deadline_ms : s->deadline_ms + s->cfg.stall_ms;
    next = deadline < next && deadline > now_ms ? deadline : next;
    pthread_mutex_unlock(&s->lock);
    return next;
}

void ccz_fl_server_stop(struct ccz_fl_server *s, const char *reason)
{
    struct ccz_err why;
    ccz_fail(&why, CCZ_E_CLOSED, "fl:stopped", 0, "%s", reason);
    pthread_mutex_lock(&s->lock);
    cczi_hfl_over_locked(s, &why);
    pthread_mutex_unlock(&s->lock);
}
