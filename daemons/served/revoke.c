/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what is served may still be. One connection to the KMS is kept, and asked every few seconds; the KMS records nothing as long as
 * the answer is yes. Only an answer counts: a KMS that is away, refuses the call or is another one has said neither yes nor no, and then
 * the grace runs.
 */
#include "served.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REMIND_MS = 60000 };

/* What is asked about in this round: a copy, since the list may change meanwhile. */
struct round {
    struct served_held held[SERVED_HELD_MAX];
    struct ccz_kms_held ask[SERVED_HELD_MAX];
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
    struct served_held held[SERVED_HELD_MAX];
    size_t len;
    struct ccz_kms_instance kms;
    /* of the thread alone */
    struct round round;
    struct served_kms link;
    int64_t answered_ms; /* when the KMS has answered last, or there was nothing to ask */
    int64_t told_ms;     /* when the log was last told that it does not; 0 = it does */
};

/* ------------------------------------------------------------------------------------ the list */

static size_t find(const struct served_revoke *r, const char *model, int64_t version)
{
    size_t i = 0;
    while (i < r->len && (r->held[i].version != version || strcmp(r->held[i].model, model) != 0))
        i++;
    return i;
}

ccz_rc served_revoke_hold(struct served_revoke *r, const struct served_held *held,
                          const struct ccz_kms_instance *kms, struct ccz_err *err)
{
    (void)pthread_mutex_lock(&r->lock);
    const size_t i = find(r, held->model, held->version);
    const bool room = i < SERVED_HELD_MAX;
    if (room) {
        r->held[i] = *held;
        r->len += i == r->len;
        r->kms = *kms;
    }
    (void)pthread_mutex_unlock(&r->lock);
    return room ? CCZ_OK
                : ccz_refuse_num(err, CCZ_E_LIMIT, "served:held", SERVED_HELD_MAX + 1,
                                 SERVED_HELD_MAX);
}

void served_revoke_let_go(struct served_revoke *r, const char *model, int64_t version)
{
    (void)pthread_mutex_lock(&r->lock);
    const size_t i = find(r, model, version);
    if (i < r->len)
        r->held[i] = r->held[--r->len];
    (void)pthread_mutex_unlock(&r->lock);
}

/* ------------------------------------------------------------------------------------- one round */

static void begin(struct round *q, struct served_revoke *r)
{
    (void)pthread_mutex_lock(&r->lock);
    q->len = r->len;
    memcpy(q->held, r->held, r->len * sizeof(q->held[0]));
    q->kms = r->kms;
    (void)pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < q->len; i++)
        q->ask[i] =
            (struct ccz_kms_held){.item = q->held[i].item, .version = q->held[i].key_version};
}

static ccz_rc ask_all(struct served_revoke *r, struct round *q, struct ccz_err *err)
{
    ccz_rc rc =
        r->link.client ? CCZ_OK : served_kms_open(&r->link, r->cfg.opts, r->cfg.attester, err);
    for (size_t i = 0; rc == CCZ_OK && i < q->len; i += CCZ_KMS_HELD_MAX)
        rc = ccz_kms_still_released(&q->ask[i],
                                    q->len - i < CCZ_KMS_HELD_MAX ? q->len - i : CCZ_KMS_HELD_MAX,
                                    &q->kms, r->link.client, err);
    if (rc != CCZ_OK)
        served_kms_close(&r->link);
    return rc;
}

/* A policy has refused evidence that is as old as the connection: it may have grown out of date, which says nothing of us now. */
static bool is_stale(const struct round *q)
{
    for (size_t i = 0; i < q->len; i++)
        if (!q->ask[i].released && strncmp(q->ask[i].where, "policy:", 7) == 0)
            return true;
    return false;
}

static ccz_rc ask(struct served_revoke *r, struct round *q, struct ccz_err *err)
{
    const bool fresh = !r->link.client;
    ccz_rc rc = ask_all(r, q, err);
    /* the connection has ended with the server that it was to: there may be another one. Who waits for an answer says so first */
    if ((rc == CCZ_E_CLOSED || rc == CCZ_E_UNAVAILABLE) && !fresh)
        rc = ask_all(r, q, err);
    else if (rc == CCZ_OK && !fresh && is_stale(q)) {
        served_kms_close(&r->link);
        rc = ask_all(r, q, err);
    }
    return rc;
}

/* Unless it has ended meanwhile, or was loaded again under another key: the answer says nothing of that one. */
static void drop(struct served_revoke *r, const struct served_held *held, const char *why)
{
    (void)pthread_mutex_lock(&r->lock);
    const size_t i = find(r, held->model, held->version);
    const bool same = i < r->len && r->held[i].key_version == held->key_version &&
                      strcmp(r->held[i].item, held->item) == 0;
    if (same)
        r->held[i] = r->held[--r->len];
    (void)pthread_mutex_unlock(&r->lock);
    if (same)
        r->cfg.gone(r->cfg.arg, held, why);
}

static void answered(struct served_revoke *r, const struct round *q)
{
    if (r->told_ms)
        ccz_log(CCZ_LOG_INFO, "served", "kms=answers silent_ms=%" PRId64,
                ccz_mono_ms() - r->answered_ms);
    r->told_ms = 0;
    r->answered_ms = ccz_mono_ms();
    for (size_t i = 0; i < q->len; i++)
        if (!q->ask[i].released) {
            ccz_log(CCZ_LOG_WARN, "served",
                    "revoked item=%s version=%u where=%s decision=D%" PRIu64, q->held[i].item,
                    q->held[i].key_version, q->ask[i].where, q->ask[i].decision);
            drop(r, &q->held[i], q->ask[i].where);
        }
}

static void silent(struct served_revoke *r, const struct round *q, const struct ccz_err *err)
{
    const int64_t now = ccz_mono_ms(), grace_ms = r->cfg.opts->kms_grace_s * 1000;
    const bool over = grace_ms && now - r->answered_ms >= grace_ms;
    if (over || !r->told_ms || now - r->told_ms >= REMIND_MS) {
        ccz_log(CCZ_LOG_WARN, "served",
                "kms=silent silent_ms=%" PRId64 " grace_s=%" PRId64 " model=%s",
                now - r->answered_ms, r->cfg.opts->kms_grace_s, over ? "unloaded" : "kept");
        ccz_log_err(CCZ_LOG_WARN, "served", "kms=silent", err);
        r->told_ms = now;
    }
    for (size_t i = 0; over && i < q->len; i++)
        drop(r, &q->held[i], "");
}

static void one_round(struct served_revoke *r, struct round *q)
{
    struct ccz_err err = {0};
    begin(q, r);
    if (q->len == 0) {
        r->answered_ms = ccz_mono_ms();
        return;
    }
    if (ask(r, q, &err) == CCZ_OK)
        answered(r, q);
    else
        silent(r, q, &err);
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
        one_round(r, &r->round);
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
    free(r);
}
