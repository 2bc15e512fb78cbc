/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that asks for collateral, so that threads that serve peers never wait for a server of Intel's or AMD's: it
 * refreshes what is due once an hour, and fetches what a peer's evidence lacked. Evidence is queued by whoever connects,
 * so that the queue is short, holds nothing twice, and a full one is a refusal like any other.
 */
#define _DEFAULT_SOURCE
#include "party/party_priv.h"

#include <cczoo/crypto.h>
#include <cczoo/net.h>
#include <cczoo/pcs.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    QUEUE_LEN = 16,
    EVIDENCE_SIZE_MAX = 131072,
    TICK_S = 10,      /* the clock is looked at so often */
    REFRESH_S = 3600, /* a refresh that finds nothing due sends nothing */
    TELL_S = 3600,    /* how often approaching expiry is logged */
    EARLY_S = 3 * 86400,
    TIMEOUT_MS = 10000, /* stopping waits for a request in flight */
    CONNECT_TIMEOUT_MS = 5000,
    RELOAD_S = 10, /* a wish that changed nothing causes a reload so often at most */
    WAIT_S = 60,   /* of a client that is asked to come again */
};

struct wish {
    uint8_t id[32]; /* SHA-256 */
    struct ccz_buf evidence;
};

struct cczi_keeper {
    struct ccz_clock clock;
    struct ccz_http_client *client;
    struct ccz_pcs_store *store;
    struct ccz_verifier *verifier;
    bool server, started;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stop;
    struct wish queue[QUEUE_LEN];
    size_t len;
    int64_t next_s, told_s, expires_s, reloaded_s; /* the thread's own */
};

/* ------------------------------------------------------------------------------ life cycle */

static ccz_rc http_get(void *client, unsigned *status, struct ccz_buf *body,
                       struct ccz_buf *headers, const char *url, struct ccz_err *err)
{
    return ccz_http_get(status, body, headers, client, url, err);
}

static void sleep_ms(void *arg, int64_t ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)arg;
    (void)nanosleep(&t, NULL);
}

static ccz_rc open_store(struct cczi_keeper *k, const struct ccz_party_cfg *cfg,
                         struct ccz_err *err)
{
    struct ccz_roots roots = {0};
    struct ccz_snp_roots snp_roots = {0};
    const struct ccz_http_client_cfg http = {.timeout_ms = TIMEOUT_MS,
                                             .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                             .ca_file = cfg->collateral_ca_file};
    ccz_rc rc = CCZ_OK;
    if (!cfg->collateral_dir) {
        rc = ccz_verifier_sim_roots(&roots, &snp_roots, cfg->trust_sim_dir, err);
    } else {
        rc = ccz_roots_add_intel(&roots);
        if (rc == CCZ_OK)
            rc = ccz_snp_roots_add_amd(&snp_roots);
    }
    if (rc == CCZ_OK)
        rc = ccz_http_client_new(&k->client, &http, err);
    const struct ccz_pcs_store_cfg store = {
        .dir = cfg->collateral_dir ? cfg->collateral_dir : cfg->trust_sim_dir,
        .roots = &roots,
        .snp_roots = &snp_roots,
        .clock = k->clock,
        .getter = {http_get, k->client},
        .intel_url = strcmp(cfg->collateral_from, "pcs") == 0 ? NULL : cfg->collateral_from,
        .wait_max_s = k->server ? 0 : WAIT_S,
        .sleep_ms = sleep_ms,
    };
    return rc == CCZ_OK ? ccz_pcs_store_new(&k->store, &store, err) : rc;
}

ccz_rc cczi_keeper_new(struct cczi_keeper **out, const struct ccz_party_cfg *cfg,
                       struct ccz_clock clock, struct ccz_err *err)
{
    *out = NULL;
    if (!cfg->collateral_dir && !cfg->trust_sim_dir)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_ARG, "party:collateral", 0,
                                 "collateral would be fetched, but there is no directory for it"),
                        "give a collateral directory");
    struct cczi_keeper *k = calloc(1, sizeof(*k));
    if (!k)
        return ccz_fail(err, CCZ_E_NOMEM, "party:new", 0, "out of memory");
    k->clock = clock;
    k->server = cfg->server;
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->wake, NULL);
    ccz_rc rc = open_store(k, cfg, err);
    if (rc == CCZ_OK)
        *out = k;
    else
        cczi_keeper_free(k);
    return rc;
}

void cczi_keeper_free(struct cczi_keeper *k)
{
    if (!k)
        return;
    if (k->started) {
        pthread_mutex_lock(&k->lock);
        k->stop = true;
        pthread_cond_signal(&k->wake);
        pthread_mutex_unlock(&k->lock);
        pthread_join(k->thread, NULL);
    }
    for (size_t i = 0; i < k->len; i++)
        ccz_buf_free(&k->queue[i].evidence);
    ccz_pcs_store_free(k->store);
    ccz_http_client_free(k->client);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->wake);
    free(k);
}

/* ---------------------------------------------------------------------------------- wishes */

/* @return false if the queue is full */
static bool enqueue(struct cczi_keeper *k, struct ccz_span evidence)
{
    uint8_t id[32];
    if (evidence.size > EVIDENCE_SIZE_MAX || ccz_sha256(id, evidence) != CCZ_OK)
        return false;
    pthread_mutex_lock(&k->lock);
    bool there = false;
    for (size_t i = 0; i < k->len && !there; i++)
        there = memcmp(k->queue[i].id, id, sizeof(id)) == 0;
    if (!there && k->len < QUEUE_LEN) {
        struct wish *w = &k->queue[k->len];
        ccz_buf_init(&w->evidence, EVIDENCE_SIZE_MAX);
        ccz_buf_put_span(&w->evidence, evidence);
        memcpy(w->id, id, sizeof(id));
        there = !w->evidence.bad;
        k->len += there;
        if (!there)
            ccz_buf_free(&w->evidence);
        pthread_cond_signal(&k->wake);
    }
    pthread_mutex_unlock(&k->lock);
    return there;
}

ccz_rc cczi_keeper_fetch(void *keeper, struct ccz_span evidence, struct ccz_err *err)
{
    struct cczi_keeper *k = keeper;
    if (!k->server)
        return ccz_pcs_store_fetch_evidence(k->store, evidence, err);
    bool queued = enqueue(k, evidence);
    ccz_rc rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "party:collateral-pending", 0, "%s",
                         queued ? "collateral of this platform is being fetched"
                                : "collateral of too many platforms is being fetched");
    return ccz_hint(err, rc,
                    "try again in some seconds; if that does not help, see the server's log");
}

/* What the store could not fetch it has logged itself; what is refused before that is a stranger's. */
static void tell_refusal(const struct ccz_err *err)
{
    char msg[CCZ_ERR_MSG_SIZE];
    ccz_escape(msg, sizeof(msg), ccz_span_str(err->msg));
    ccz_log(CCZ_LOG_DEBUG, "party", "collateral=not-fetched where=%s %s", err->where, msg);
}

static void reload(struct cczi_keeper *k)
{
    struct ccz_err err = {0};
    if (ccz_verifier_reload(k->verifier, &err) != CCZ_OK)
        ccz_log(CCZ_LOG_ERROR, "party", "collateral=kept where=%s %s", err.where, err.msg);
}

/* --------------------------------------------------------------------------------- refresh */

/* Says when collateral expires: when that changes, and every now and then when it is near. */
static void tell_expiry(struct cczi_keeper *k, int64_t now_s)
{
    int64_t until_s = ccz_verifier_expires(k->verifier);
    bool near = until_s < now_s + EARLY_S;
    if (until_s == INT64_MAX || (until_s == k->expires_s && !(near && now_s >= k->told_s + TELL_S)))
        return;
    char text[21];
    ccz_time_format(text, until_s);
    k->expires_s = until_s;
    k->told_s = now_s;
    ccz_log(until_s < now_s ? CCZ_LOG_ERROR
            : near          ? CCZ_LOG_WARN
                            : CCZ_LOG_INFO,
            "party", "collateral=%s expires=%s%s", until_s < now_s ? "expired" : "ok", text,
            near ? " hint: is the server that it is fetched from up to date?" : "");
}

static void grant(struct cczi_keeper *k, struct ccz_span evidence)
{
    struct ccz_err err = {0};
    uint64_t was = ccz_pcs_store_changes(k->store);
    if (ccz_pcs_store_fetch_evidence(k->store, evidence, &err) != CCZ_OK) {
        tell_refusal(&err);
        return;
    }
    int64_t now_s = ccz_clock_now_s(k->clock);
    /* no change: another peer wished for the same, or another process on the directory fetched it */
    if (ccz_pcs_store_changes(k->store) != was || now_s >= k->reloaded_s + RELOAD_S) {
        reload(k);
        k->reloaded_s = now_s;
        tell_expiry(k, now_s);
    }
}

static void refresh(struct cczi_keeper *k)
{
    struct ccz_err err = {0};
    int64_t now_s = ccz_clock_now_s(k->clock), next_s = now_s;
    uint64_t was = ccz_pcs_store_changes(k->store);
    if (ccz_pcs_store_refresh(k->store, &next_s, &err) != CCZ_OK)
        tell_refusal(&err);
    if (ccz_pcs_store_changes(k->store) != was || ccz_verifier_expires(k->verifier) < now_s)
        reload(k); /* the latter: another process may have done the work */
    k->next_s = next_s < now_s + REFRESH_S ? next_s : now_s + REFRESH_S;
    tell_expiry(k, now_s);
}

/* ---------------------------------------------------------------------------------- thread */

static void wait_a_tick(struct cczi_keeper *k)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += TICK_S;
    (void)pthread_cond_timedwait(&k->wake, &k->lock, &t);
}

static void *run(void *arg)
{
    struct cczi_keeper *k = arg;
    pthread_mutex_lock(&k->lock);
    while (!k->stop) {
        if (k->len > 0) {
            struct wish w = k->queue[0];
            k->len--;
            memmove(&k->queue[0], &k->queue[1], k->len * sizeof(k->queue[0]));
            pthread_mutex_unlock(&k->lock);
            grant(k, ccz_buf_span(&w.evidence));
            ccz_buf_free(&w.evidence);
            pthread_mutex_lock(&k->lock);
        }
        if (ccz_clock_now_s(k->clock) >= k->next_s) {
            pthread_mutex_unlock(&k->lock);
            refresh(k);
            pthread_mutex_lock(&k->lock);
        }
        if (k->len == 0 && !k->stop)
            wait_a_tick(k);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

ccz_rc cczi_keeper_start(struct cczi_keeper *k, struct ccz_verifier *v, struct ccz_err *err)
{
    k->verifier = v;
    if (!k->server)
        return CCZ_OK;
    if (pthread_create(&k->thread, NULL, run, k) != 0)
        return ccz_fail(err, CCZ_E_NOMEM, "party:thread", 0, "no thread could be started");
    k->started = true;
    return CCZ_OK;
}

void cczi_keeper_report(struct ccz_buf *out, struct cczi_keeper *k)
{
    if (k)
        ccz_pcs_store_report(out, k->store);
    else
        ccz_buf_put_str(out, "null");
}
