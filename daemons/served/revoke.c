/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what is served may still be. One connection to the KMS is kept, and asked every few seconds; the KMS records nothing as long as
 * the answer is yes. Only an answer counts: a KMS that is away, refuses the call or is another one has said neither yes nor no, and then
 * the grace runs: of each version since the KMS said yes to it, so that a network that lets some answers through keeps nobody else.
 *
 * A round asks about every entry of the list once, in groups, and nothing that grows is copied: entries carry the round in which they were
 * asked about last. A "no" takes effect with its group, before anything else is asked that may fail.
 */
#include "served.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REMIND_MS = 60000, LIST_FIRST = 16 };

struct entry {
    struct served_held held;
    uint64_t round;   /* that has asked about it; 0 = none */
    int64_t known_ms; /* when the KMS has said yes last: by giving the key, at the beginning */
};

/* What one call asks about: copies, since the list may change meanwhile. */
struct group {
    struct served_held held[CCZ_KMS_HELD_MAX];
    struct ccz_kms_held ask[CCZ_KMS_HELD_MAX];
    size_t len;
    struct ccz_kms_instance kms;
};

struct served_revoke {
    struct served_revoke_cfg cfg;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stopping;
    struct entry *list;
    size_t len, cap;
    struct ccz_kms_instance kms;
    /* of the thread alone */
    uint64_t round;
    struct group group;
    struct served_kms link;
    bool fresh;          /* the link was opened in this round */
    int64_t answered_ms; /* when a round was answered last, or there was nothing to ask */
    int64_t told_ms;     /* when the log was last told that it was not; 0 = it was */
};

/* ------------------------------------------------------------------------------------ the list */

static size_t find(const struct served_revoke *r, const char *model, int64_t version)
{
    size_t i = 0;
    while (i < r->len &&
           (r->list[i].held.version != version || strcmp(r->list[i].held.model, model) != 0))
        i++;
    return i;
}

/* The entry that is asked about in @p held: not one that has ended, or was loaded again under another key. */
static struct entry *find_same(const struct served_revoke *r, const struct served_held *held)
{
    const size_t i = find(r, held->model, held->version);
    const bool same = i < r->len && r->list[i].held.key_version == held->key_version &&
                      strcmp(r->list[i].held.item, held->item) == 0;
    return same ? &r->list[i] : NULL;
}

static bool room_for_one(struct served_revoke *r)
{
    if (r->len < r->cap)
        return true;
    const size_t cap = r->cap ? 2 * r->cap : LIST_FIRST;
    struct entry *list = realloc(r->list, cap * sizeof(*list));
    if (!list)
        return false;
    r->list = list;
    r->cap = cap;
    return true;
}

ccz_rc served_revoke_hold(struct served_revoke *r, const struct served_held *held,
                          const struct ccz_kms_instance *kms, struct ccz_err *err)
{
    (void)pthread_mutex_lock(&r->lock);
    const size_t i = find(r, held->model, held->version);
    const bool room = i < r->len || room_for_one(r);
    if (room) {
        r->list[i] = (struct entry){.held = *held, .known_ms = ccz_mono_ms()};
        r->len += i == r->len;
        r->kms = *kms;
    }
    (void)pthread_mutex_unlock(&r->lock);
    return room ? CCZ_OK
                : ccz_fail(err, CCZ_E_NOMEM, "served:held", (int64_t)i,
                           "no memory to ask the KMS about one more version");
}

void served_revoke_let_go(struct served_revoke *r, const char *model, int64_t version)
{
    (void)pthread_mutex_lock(&r->lock);
    const size_t i = find(r, model, version);
    if (i < r->len)
        r->list[i] = r->list[--r->len];
    (void)pthread_mutex_unlock(&r->lock);
}

/* ------------------------------------------------------------------------------------- one call */

/* Entries that this round has not asked about yet. */
static void next_group(struct group *g, struct served_revoke *r)
{
    g->len = 0;
    (void)pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->len && g->len < CCZ_KMS_HELD_MAX; i++)
        if (r->list[i].round != r->round) {
            r->list[i].round = r->round;
            g->held[g->len++] = r->list[i].held;
        }
    g->kms = r->kms;
    (void)pthread_mutex_unlock(&r->lock);
}

static ccz_rc ask(struct served_revoke *r, struct group *g, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (!r->link.client) {
        rc = served_kms_open(&r->link, r->cfg.opts, r->cfg.attester, err);
        r->fresh = rc == CCZ_OK;
    }
    for (size_t i = 0; i < g->len; i++)
        g->ask[i] =
            (struct ccz_kms_held){.item = g->held[i].item, .version = g->held[i].key_version};
    if (rc == CCZ_OK)
        rc = ccz_kms_still_released(g->ask, g->len, &g->kms, r->link.client, err);
    if (rc != CCZ_OK)
        served_kms_close(&r->link);
    return rc;
}

/* ------------------------------------------------------------------------------------ answers */

static void confirm(struct served_revoke *r, const struct served_held *held)
{
    (void)pthread_mutex_lock(&r->lock);
    struct entry *e = find_same(r, held);
    if (e)
        e->known_ms = ccz_mono_ms();
    (void)pthread_mutex_unlock(&r->lock);
}

static void drop(struct served_revoke *r, const struct served_held *held,
                 const struct ccz_kms_held *answer)
{
    ccz_log(CCZ_LOG_WARN, "served", "revoked item=%s version=%u where=%s decision=D%" PRIu64,
            held->item, held->key_version, answer->where, answer->decision);
    (void)pthread_mutex_lock(&r->lock);
    struct entry *e = find_same(r, held);
    if (e)
        *e = r->list[--r->len];
    (void)pthread_mutex_unlock(&r->lock);
    if (e)
        r->cfg.gone(r->cfg.arg, held, answer->where);
}

/* A policy has refused evidence that is as old as the connection: it may have grown out of date, which says nothing of us now. */
static bool is_stale(const struct served_revoke *r, const struct ccz_kms_held *answer)
{
    return !r->fresh && !answer->released && strncmp(answer->where, "policy:", 7) == 0;
}

/* Puts the answers into effect. What they leave open stays in the group. */
static void take_answers(struct served_revoke *r, struct group *g)
{
    size_t open = 0;
    for (size_t i = 0; i < g->len; i++)
        if (is_stale(r, &g->ask[i]))
            g->held[open++] = g->held[i];
        else if (g->ask[i].released)
            confirm(r, &g->held[i]);
        else
            drop(r, &g->held[i], &g->ask[i]);
    g->len = open;
}

static ccz_rc settle_group(struct served_revoke *r, struct group *g, struct ccz_err *err)
{
    const bool old = r->link.client && !r->fresh;
    ccz_rc rc = ask(r, g, err);
    /* the connection has ended with the server that it was to: there may be another one. Who waits for an answer says so first */
    if ((rc == CCZ_E_CLOSED || rc == CCZ_E_UNAVAILABLE) && old)
        rc = ask(r, g, err);
    if (rc != CCZ_OK)
        return rc;
    take_answers(r, g);
    if (g->len == 0)
        return CCZ_OK;
    served_kms_close(&r->link);
    rc = ask(r, g, err);
    if (rc == CCZ_OK)
        take_answers(r, g);
    return rc;
}

/* -------------------------------------------------------------------------------------- silence */

/* Takes one off the list whose grace is over. */
static bool take_overdue(struct served_held *held, struct served_revoke *r)
{
    const int64_t grace_ms = r->cfg.opts->kms_grace_s * 1000, now = ccz_mono_ms();
    size_t i = 0;
    (void)pthread_mutex_lock(&r->lock);
    while (i < r->len && now - r->list[i].known_ms < grace_ms)
        i++;
    const bool found = grace_ms && i < r->len;
    if (found) {
        *held = r->list[i].held;
        r->list[i] = r->list[--r->len];
    }
    (void)pthread_mutex_unlock(&r->lock);
    return found;
}

static void silent(struct served_revoke *r, const struct ccz_err *err)
{
    struct served_held held;
    const int64_t now = ccz_mono_ms();
    bool over = take_overdue(&held, r);
    if (over || !r->told_ms || now - r->told_ms >= REMIND_MS) {
        ccz_log(CCZ_LOG_WARN, "served",
                "kms=silent silent_ms=%" PRId64 " grace_s=%" PRId64 " model=%s",
                now - r->answered_ms, r->cfg.opts->kms_grace_s, over ? "unloaded" : "kept");
        ccz_log_err(CCZ_LOG_WARN, "served", "kms=silent", err);
        r->told_ms = now;
    }
    for (; over; over = take_overdue(&held, r))
        r->cfg.gone(r->cfg.arg, &held, "");
}

static void answered(struct served_revoke *r)
{
    if (r->told_ms)
        ccz_log(CCZ_LOG_INFO, "served", "kms=answers silent_ms=%" PRId64,
                ccz_mono_ms() - r->answered_ms);
    r->told_ms = 0;
    r->answered_ms = ccz_mono_ms();
}

static void one_round(struct served_revoke *r)
{
    struct ccz_err err = {0};
    ccz_rc rc = CCZ_OK;
    r->round++;
    r->fresh = false;
    next_group(&r->group, r);
    if (r->group.len == 0) {
        r->answered_ms = ccz_mono_ms();
        return;
    }
    for (; rc == CCZ_OK && r->group.len > 0; next_group(&r->group, r))
        rc = settle_group(r, &r->group, &err);
    if (rc == CCZ_OK)
        answered(r);
    else
        silent(r, &err);
}

/* ---------------------------------------------------------------------------------------- thread */

/* True until it is to stop. */
static bool wait_for_next(struct served_revoke *r)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += r->cfg.opts->kms_poll_s;
    (void)pthread_mutex_lock(&r->lock);
    int rc = 0;
    while (!r->stopping && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&r->changed, &r->lock, &until);
    const bool go_on = !r->stopping;
    (void)pthread_mutex_unlock(&r->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct served_revoke *r = arg;
    r->answered_ms = ccz_mono_ms();
    while (wait_for_next(r))
        one_round(r);
    served_kms_close(&r->link);
    return NULL;
}

static ccz_rc init(struct served_revoke *r, struct ccz_err *err)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int rc = pthread_mutex_init(&r->lock, NULL);
    if (rc == 0)
        rc = pthread_cond_init(&r->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (rc == 0) /* signals are for the main thread: they are blocked here as they are there */
        rc = pthread_create(&r->thread, NULL, run, r);
    r->running = rc == 0;
    return rc == 0 ? CCZ_OK
                   : ccz_fail(err, CCZ_E_NOMEM, "served:revoke", rc, "cannot start a thread");
}

ccz_rc served_revoke_start(struct served_revoke **out, const struct served_revoke_cfg *cfg,
                           struct ccz_err *err)
{
    *out = NULL;
    struct served_revoke *r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "served:revoke", 0, "out of memory");
    r->cfg = *cfg;
    ccz_rc rc = init(r, err);
    if (rc == CCZ_OK)
        *out = r;
    else
        free(r);
    return rc;
}

void served_revoke_stop(struct served_revoke *r)
{
    if (!r || !r->running)
        return;
    (void)pthread_mutex_lock(&r->lock);
    r->stopping = true;
    (void)pthread_cond_signal(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    (void)pthread_join(r->thread, NULL);
    r->running = false;
}

void served_revoke_free(struct served_revoke *r)
{
    if (!r)
        return;
    served_revoke_stop(r);
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->lock);
    free(r->list);
    free(r);
}
