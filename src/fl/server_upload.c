/* SPDX-License-Identifier: Apache-2.0 */
/* Updates: offered, granted a slot, staged in chunks, judged, folded. */
#include "fl/server_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BETWEEN_FLOATS = 64 };

void cczi_hfl_slots_free(struct ccz_fl_server *s)
{
    for (uint32_t i = 0; s->slots && i < s->cfg.slots; i++) {
        free(s->slots[i].bytes);
        ccz_agg_dec_free(s->slots[i].dec);
    }
    free(s->slots);
    s->slots = NULL;
}

bool cczi_hfl_filling(const struct ccz_fl_server *s)
{
    for (uint32_t i = 0; i < s->cfg.slots; i++)
        if (s->slots[i].owner)
            return true;
    return false;
}

/* ------------------------------------------------------------------------- offers in a queue */

static void enqueue(struct ccz_fl_server *s, struct hfl_member *m)
{
    m->next_offered = NULL;
    *s->offered_tail = m;
    s->offered_tail = &m->next_offered;
}

static void dequeue(struct ccz_fl_server *s, struct hfl_member *m)
{
    struct hfl_member **at = &s->offered;
    while (*at && *at != m)
        at = &(*at)->next_offered;
    if (!*at)
        return;
    *at = m->next_offered;
    if (!*at)
        s->offered_tail = at;
    m->next_offered = NULL;
}

static void release(struct hfl_slot *slot)
{
    slot->owner = NULL;
    slot->ready = slot->revoked = false;
}

void cczi_hfl_revoke_locked(struct ccz_fl_server *s, struct hfl_member *m,
                            const struct ccz_err *why)
{
    struct hfl_slot *slot = m->slot;
    if (m->work != HFL_OFFERED && !slot)
        return;
    if (m->work == HFL_OFFERED)
        dequeue(s, m);
    if (slot) {
        m->slot = NULL;
        m->void_upload = true;
        if (slot->busy)
            slot->revoked = true; /* who works on it lets go of it */
        else
            release(slot);
    }
    m->grant_due = false;
    if (m->work == HFL_OFFERED || m->work == HFL_UPLOADING)
        m->work = HFL_IDLE;
    if (why)
        cczi_hfl_verdict_locked(s, m, m->offer.round, why);
}

/* Asynchronous: whoever has got its verdict goes on with the newest model. */
static void next_task(struct ccz_fl_server *s, struct hfl_member *m)
{
    if (s->cfg.buffer_len && s->phase == HFL_COLLECT && s->folded < s->cfg.buffer_len &&
        m->link == HFL_HERE && !m->banned)
        cczi_hfl_give_task_locked(s, m, CCZI_HFL_TRAIN);
}

/* An update that nobody honest would send. */
static void refuse(struct ccz_fl_server *s, struct hfl_member *m, const struct ccz_err *why)
{
    m->strikes++;
    m->banned = m->strikes >= s->cfg.strikes_max;
    s->refused++;
    if (!s->cfg.buffer_len)
        m->seat = HFL_REFUSED;
    if (m->slot || m->work == HFL_OFFERED) {
        cczi_hfl_revoke_locked(s, m, why);
    } else {
        m->work = HFL_IDLE;
        cczi_hfl_verdict_locked(s, m, m->offer.round, why);
    }
    cczi_hfl_recount_locked(s);
    next_task(s, m);
}

/* ------------------------------------------------------------------------------------ offers */

static ccz_rc stale(const struct ccz_fl_server *s, uint64_t round, struct ccz_err *why)
{
    return ccz_refuse_num(why, CCZ_E_EXPIRED, "fl:stale-update", (int64_t)round,
                          (int64_t)s->round + 1);
}

/* Whether an update of that round can count at all. */
static ccz_rc judge_round(const struct ccz_fl_server *s, const struct hfl_member *m,
                          const struct cczi_hfl_offer *o, struct ccz_err *why)
{
    if (o->round == 0 || o->round > s->round + 1)
        return ccz_refuse_num(why, CCZ_E_PEER, "fl:update-round", (int64_t)o->round,
                              (int64_t)s->round + 1);
    if (s->cfg.buffer_len) {
        uint64_t staleness = s->round - (o->round - 1);
        return staleness > s->cfg.staleness_max || m->work != HFL_BUSY || o->round != m->task_round
                   ? stale(s, o->round, why)
                   : CCZ_OK;
    }
    if (o->round <= s->round || s->phase != HFL_COLLECT || m->work == HFL_SENDING)
        return stale(s, o->round, why);
    if (m->seat == HFL_DELIVERED || m->seat == HFL_REFUSED)
        return ccz_fail(why, CCZ_E_EXISTS, "fl:update-twice", (int64_t)o->round,
                        "this member's update was judged already");
    if (m->seat != HFL_OPEN || m->work != HFL_BUSY)
        return ccz_fail(why, CCZ_E_DENIED, "fl:not-selected", (int64_t)o->round,
                        "this member is not in the round");
    return CCZ_OK;
}

static ccz_rc judge_offer(const struct ccz_fl_server *s, const struct cczi_hfl_offer *o,
                          struct ccz_err *why)
{
    const uint8_t *base = s->cfg.buffer_len
                              ? s->past[(o->round - 1) % ((uint64_t)s->cfg.staleness_max + 1)]
                              : s->digest;
    bool exact = s->cfg.agg.codec.kind != CCZ_AGG_TOPK;
    if (memcmp(o->base, base, sizeof(o->base)) != 0)
        return ccz_refuse_bytes(why, CCZ_E_MISMATCH, "fl:update-base", o->base, sizeof(o->base),
                                base, sizeof(o->base));
    if (o->train.samples == 0 || o->train.samples > s->cfg.samples_max)
        return ccz_refuse_num(why, CCZ_E_LIMIT, "fl:update-samples", (int64_t)o->train.samples,
                              (int64_t)s->cfg.samples_max);
    if (o->eval.samples > s->cfg.samples_max)
        return ccz_refuse_num(why, CCZ_E_LIMIT, "fl:update-samples", (int64_t)o->eval.samples,
                              (int64_t)s->cfg.samples_max);
    if (o->size == 0 || o->size > s->update_size || (exact && o->size != s->update_size))
        return ccz_refuse_num(why, CCZ_E_PEER, "fl:update-size", (int64_t)o->size,
                              (int64_t)s->update_size);
    return CCZ_OK;
}

ccz_rc cczi_hfl_on_offer_locked(struct ccz_fl_server *s, struct hfl_member *m,
                                const struct cczi_hfl_offer *o, int64_t now_ms, struct ccz_err *err)
{
    struct ccz_err why = {0};
    (void)now_ms;
    if (m->tasks == 0 || m->work == HFL_OFFERED || m->work == HFL_UPLOADING)
        return cczi_hfl_disorder(CCZI_HFL_OFFER, "one after each task", err);
    m->void_upload = false; /* what comes from now on belongs to this one */
    if (judge_round(s, m, o, &why) != CCZ_OK) {
        cczi_hfl_verdict_locked(s, m, o->round, &why);
        if (s->phase == HFL_FINAL) /* it crossed the last model, which is still to be evaluated */
            return CCZ_OK;
        if (m->work == HFL_BUSY && m->seat != HFL_OPEN)
            m->work = HFL_IDLE;
        if (m->work == HFL_BUSY && s->cfg.buffer_len) {
            m->work = HFL_IDLE;
            next_task(s, m);
        }
        return CCZ_OK;
    }
    m->offer = *o;
    if (judge_offer(s, o, &why) != CCZ_OK) {
        refuse(s, m, &why);
        return CCZ_OK;
    }
    m->work = HFL_OFFERED;
    enqueue(s, m);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- slots */

/* Whether the round can do without this seat, whose member is away. */
static bool spare(const struct ccz_fl_server *s, const struct hfl_member *m)
{
    bool complete = m->slot && m->slot->ready;
    return m->link != HFL_HERE && !complete && s->delivered + s->open_here >= cczi_hfl_quorum(s);
}

/* The first seat in order that may still deliver, from *at on; NULL if there is none. */
static struct hfl_member *next_seat(size_t *at, const struct ccz_fl_server *s)
{
    for (; *at < s->seats_len; ++*at) {
        struct hfl_member *m = s->members[s->seats[*at]];
        if (m->seat == HFL_OPEN && !spare(s, m))
            return m;
    }
    return NULL;
}

static bool in_order(const struct ccz_fl_server *s)
{
    return s->cfg.seeded && !s->cfg.buffer_len;
}

/* Who gets the next slot; NULL: nobody now. */
static struct hfl_member *next_offer(const struct ccz_fl_server *s)
{
    if (!in_order(s))
        return s->offered;
    size_t at = s->next_seat;
    struct hfl_member *m;
    while ((m = next_seat(&at, s)) && m->slot)
        at++;
    return m && m->work == HFL_OFFERED ? m : NULL;
}

static bool prepare(struct hfl_slot *slot, const struct ccz_fl_server *s, struct hfl_member *m,
                    int64_t now_ms)
{
    uint64_t variate = s->cfg.agg.scaffold ? s->layout->len * sizeof(float) : 0;
    bool fresh = !slot->bytes;
    if (fresh)
        slot->bytes = malloc((size_t)(s->update_size + variate) + BETWEEN_FLOATS);
    if (!slot->bytes)
        return false;
    if (fresh)
        cczi_hfl_huge_pages(slot->bytes, (size_t)(s->update_size + variate));
    slot->owner = m;
    slot->size[CCZI_HFL_PARAMS] = m->offer.size;
    slot->size[CCZI_HFL_VARIATE] = variate;
    slot->vector = 0;
    slot->at = 0;
    slot->progress_ms = now_ms;
    slot->ready = slot->revoked = false;
    slot->masked = cczi_hfl_secagg(s);
    memset(slot->norm, 0, sizeof(slot->norm));
    ccz_agg_dec_reset(slot->dec);
    return true;
}

void cczi_hfl_grant_locked(struct ccz_fl_server *s, int64_t now_ms)
{
    for (uint32_t i = 0; i < s->cfg.slots; i++) {
        struct hfl_slot *slot = &s->slots[i];
        struct hfl_member *m = slot->owner || slot->busy ? NULL : next_offer(s);
        if (!m)
            continue;
        if (!prepare(slot, s, m, now_ms)) {
            struct ccz_err why;
            cczi_hfl_no_memory(&why);
            cczi_hfl_over_locked(s, &why);
            return;
        }
        dequeue(s, m);
        m->slot = slot;
        m->work = HFL_UPLOADING;
        m->grant_due = true;
        cczi_hfl_wake_locked(s, m);
    }
}

/* ------------------------------------------------------------------------------------ chunks */

static ccz_rc judge_chunk(const struct hfl_slot *slot, const struct cczi_hfl_chunk *c,
                          struct ccz_err *err)
{
    if (c->vector != slot->vector || c->offset != slot->at)
        return ccz_refuse_num(err, CCZ_E_PEER, "fl:chunk-offset", (int64_t)c->offset,
                              (int64_t)slot->at);
    uint64_t left = slot->size[slot->vector] - slot->at;
    if (c->data.size == 0 || c->data.size > CCZ_FL_CHUNK_SIZE || c->data.size > left)
        return ccz_refuse_num(err, CCZ_E_PEER, "fl:chunk-size", (int64_t)c->data.size,
                              (int64_t)(left < CCZ_FL_CHUNK_SIZE ? left : CCZ_FL_CHUNK_SIZE));
    return CCZ_OK;
}

/* Copies and looks at a chunk; the lock is not held. */
static ccz_rc take_chunk(struct hfl_slot *slot, const struct cczi_hfl_chunk *c, struct ccz_err *err)
{
    uint8_t *to = slot->bytes + (slot->vector ? slot->size[CCZI_HFL_PARAMS] : 0) + (size_t)slot->at;
    memcpy(to, c->data.ptr, c->data.size);
    if (slot->masked) /* tells nothing by itself */
        return CCZ_OK;
    if (slot->vector == CCZI_HFL_PARAMS)
        return ccz_agg_dec_norm(slot->dec, &slot->norm[0], CCZ_SPAN(to, c->data.size), err);
    if (slot->at + c->data.size < slot->size[CCZI_HFL_VARIATE])
        return CCZ_OK;
    ccz_agg_norm_add(&slot->norm[1],
                     (const float *)(const void *)(slot->bytes + slot->size[CCZI_HFL_PARAMS]),
                     (size_t)(slot->size[CCZI_HFL_VARIATE] / sizeof(float)));
    return CCZ_OK;
}

/* All of it is there. */
static ccz_rc judge_update(struct hfl_slot *slot, const struct ccz_fl_server *s,
                           struct ccz_err *why)
{
    char got[32], expected[32];
    slot->norm_value = 0;
    if (slot->masked)
        return CCZ_OK;
    ccz_rc rc = ccz_agg_dec_end(slot->dec, why);
    if (rc != CCZ_OK)
        return rc;
    slot->norm_value = ccz_agg_norm_value(&slot->norm[0]);
    if (!isfinite(slot->norm_value) || !isfinite(ccz_agg_norm_value(&slot->norm[1])))
        return ccz_fail(why, CCZ_E_FORMAT, "fl:not-finite", 0,
                        "the update has values that are not finite");
    if (s->cfg.norm_max == 0 || slot->norm_value <= s->cfg.norm_max)
        return CCZ_OK;
    (void)snprintf(got, sizeof(got), "norm %.9g", slot->norm_value);
    (void)snprintf(expected, sizeof(expected), "at most %.9g", s->cfg.norm_max);
    return ccz_refuse(why, CCZ_E_LIMIT, "fl:norm-bound", got, expected);
}

ccz_rc cczi_hfl_on_chunk_locked(struct ccz_fl_server *s, struct hfl_member *m,
                                const struct cczi_hfl_chunk *c, int64_t now_ms, struct ccz_err *err)
{
    struct ccz_err why = {0};
    struct hfl_slot *slot = m->slot;
    if (m->void_upload)
        return CCZ_OK; /* it was sent before the member knew */
    if (m->work != HFL_UPLOADING || !slot || m->grant_due || slot->ready)
        return cczi_hfl_disorder(CCZI_HFL_CHUNK, "a grant before chunks", err);
    ccz_rc rc = judge_chunk(slot, c, err);
    if (rc != CCZ_OK)
        return rc;
    slot->busy = true;
    pthread_mutex_unlock(&s->lock);
    rc = take_chunk(slot, c, &why);
    pthread_mutex_lock(&s->lock);
    slot->busy = false;
    if (slot->revoked) {
        release(slot);
        return CCZ_OK;
    }
    slot->at += c->data.size;
    slot->progress_ms = now_ms;
    if (rc == CCZ_OK && slot->at == slot->size[slot->vector]) {
        slot->vector++;
        slot->at = 0;
        if (slot->vector < CCZI_HFL_VECTORS && slot->size[slot->vector] > 0)
            return CCZ_OK;
        rc = judge_update(slot, s, &why);
        slot->ready = rc == CCZ_OK;
    }
    if (rc != CCZ_OK)
        refuse(s, m, &why);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- fold */

static struct hfl_slot *next_ready(struct ccz_fl_server *s)
{
    if (in_order(s)) {
        struct hfl_member *m = next_seat(&s->next_seat, s);
        return m && m->slot && m->slot->ready ? m->slot : NULL;
    }
    for (uint32_t i = 0; i < s->cfg.slots; i++)
        if (s->slots[i].ready && !s->slots[i].busy)
            return &s->slots[i];
    return NULL;
}

static void count_update(struct ccz_fl_server *s, struct hfl_member *m, const struct hfl_slot *slot,
                         float weight)
{
    s->folded++;
    s->weight_sum += (double)weight;
    s->norm_sum += slot->norm_value;
    s->staleness_sum += (double)slot->staleness;
    if (slot->norm_value > s->rec.norm_max)
        s->rec.norm_max = slot->norm_value;
    cczi_hfl_means_add(&s->train, &m->offer.train);
    cczi_hfl_means_add(&s->eval, &m->offer.eval);
    cczi_hfl_private_folded_locked(s, m, slot->norm_value);
    s->totals.accepted++;
    m->strikes = 0;
    m->seat = HFL_DELIVERED;
    if (s->cfg.buffer_len)
        return;
    s->delivered++;
    if (m->link == HFL_HERE)
        s->open_here--;
    else
        s->open_away--;
}

bool cczi_hfl_fold_next_locked(struct ccz_fl_server *s, int64_t now_ms)
{
    struct ccz_err err = {0};
    struct hfl_slot *slot = next_ready(s);
    (void)now_ms;
    if (!slot)
        return false;
    struct hfl_member *m = slot->owner;
    slot->staleness = s->round - (m->offer.round - 1);
    if (s->cfg.buffer_len && slot->staleness > s->cfg.staleness_max) { /* while it was uploaded */
        stale(s, m->offer.round, &err);
        cczi_hfl_revoke_locked(s, m, &err);
        next_task(s, m);
        return true;
    }
    float weight = s->cfg.agg.equal_weights ? 1 : (float)m->offer.train.samples;
    float fold = cczi_hfl_private_weight(s, weight, slot->norm_value);
    if (s->cfg.buffer_len)
        weight *= ccz_agg_staleness(slot->staleness, 0.5F);
    s->working = slot->busy = true;
    pthread_mutex_unlock(&s->lock);
    ccz_rc rc = cczi_hfl_fold(s, slot, s->cfg.buffer_len ? weight : fold, s->folded == 0, &err);
    pthread_mutex_lock(&s->lock);
    s->working = slot->busy = false;
    if (rc != CCZ_OK)
        cczi_hfl_over_locked(s, &err);
    bool counts = s->phase == HFL_COLLECT && !slot->revoked;
    if (counts)
        count_update(s, m, slot, weight);
    release(slot);
    if (!counts)
        return false;
    m->slot = NULL;
    if (m->work == HFL_UPLOADING)
        m->work = HFL_IDLE;
    cczi_hfl_verdict_locked(s, m, m->offer.round, NULL);
    next_task(s, m);
    return true;
}
