/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate for stock clients: issued by a key of the KMS over our evidence, which stays inside for clients that verify it. The
 * key pair is the party's; each renewal is a new pair with new evidence. While the KMS is away the old one stays, until it ends.
 */
#include "served.h"

#include <cczoo/kms_use.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AGAIN_MIN_MS = 1000, AGAIN_MAX_MS = 60000 };

struct served_cert {
    const struct served_opts *opts;
    struct ccz_attester *attester;
    struct ccz_party *party;
    struct ccz_kms_instance kms; /* the first answer decides, or --kms-id */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stopping;
    int64_t next_ms, life_ms;
};

ccz_rc served_cert_new(struct served_cert **out, const struct served_opts *o,
                       struct ccz_attester *attester, struct ccz_err *err)
{
    *out = NULL;
    struct served_cert *c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "served:cert", 0, "out of memory");
    *c = (struct served_cert){.opts = o, .attester = attester, .kms = o->instance};
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int rc = pthread_mutex_init(&c->lock, NULL);
    if (rc == 0)
        rc = pthread_cond_init(&c->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (rc != 0) {
        free(c);
        return ccz_fail(err, CCZ_E_NOMEM, "served:cert", rc, "cannot make a lock");
    }
    *out = c;
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- issuing */

static ccz_rc attest(void *attester, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    return ccz_attester_quote(quote, attester, report_data, err);
}

/* When the next one is due. */
static void note(struct served_cert *c, const struct ccz_kms_issued *got)
{
    char at[21];
    int64_t left_s = got->not_after_s - ccz_clock_now_s(ccz_clock_system());
    ccz_time_format(at, got->not_after_s);
    (void)pthread_mutex_lock(&c->lock);
    c->life_ms = left_s > 0 ? left_s * 1000 : 0;
    c->next_ms = ccz_mono_ms() + c->life_ms / 3 * 2;
    (void)pthread_mutex_unlock(&c->lock);
    ccz_log(CCZ_LOG_INFO, "served-cert", "certificate item=%s version=%u until=%s audit_seq=%llu",
            c->opts->cert_from, got->use.version, at,
            (unsigned long long)got->use.receipt.audit_seq);
}

ccz_rc served_cert_issue(void *cert, struct ccz_buf *der, const struct ccz_key *key,
                         struct ccz_err *err)
{
    struct served_cert *c = cert;
    struct served_kms k;
    struct ccz_kms_issued got;
    struct ccz_kms_release from = {0};
    const struct ccz_kms_issue ask = {.key = c->opts->cert_from + strlen("key/"),
                                      .names = c->opts->cert_names,
                                      .identity = key,
                                      .attest = attest,
                                      .attest_arg = c->attester,
                                      .life_s = c->opts->cert_life_s};
    ccz_kms_issued_init(&got);
    ccz_rc rc = served_kms_open(&k, c->opts, c->attester, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_issue_certificate(&got, k.client, &ask, err);
    if (rc == CCZ_OK) { /* another owner's authority is none that our clients know */
        memcpy(from.instance, got.use.instance, sizeof(from.instance));
        rc = ccz_kms_instance_check(&c->kms, &from, err);
    }
    if (rc == CCZ_OK) {
        ccz_buf_put_span(der, ccz_buf_span(&got.certificate));
        rc = der->bad ? ccz_fail(err, CCZ_E_NOMEM, "served:cert", 0, "out of memory") : CCZ_OK;
    }
    if (rc == CCZ_OK)
        note(c, &got);
    served_kms_close(&k);
    ccz_kms_issued_deinit(&got);
    return rc;
}

/* --------------------------------------------------------------------------------- thread */

/* True until it is to stop. */
static bool wait_for_next(struct served_cert *c)
{
    (void)pthread_mutex_lock(&c->lock);
    while (!c->stopping && ccz_mono_ms() < c->next_ms) { /* SIGHUP may have moved it meanwhile */
        struct timespec until;
        int64_t left_ms = c->next_ms - ccz_mono_ms();
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += left_ms / 1000 + 1;
        (void)pthread_cond_timedwait(&c->changed, &c->lock, &until);
    }
    const bool go_on = !c->stopping;
    (void)pthread_mutex_unlock(&c->lock);
    return go_on;
}

/* Soon again, and often enough before the one in use ends. */
static void put_off(struct served_cert *c)
{
    (void)pthread_mutex_lock(&c->lock);
    int64_t pause_ms = c->life_ms / 12;
    if (pause_ms > AGAIN_MAX_MS)
        pause_ms = AGAIN_MAX_MS;
    c->next_ms = ccz_mono_ms() + (pause_ms > AGAIN_MIN_MS ? pause_ms : AGAIN_MIN_MS);
    (void)pthread_mutex_unlock(&c->lock);
}

static void *run(void *arg)
{
    struct served_cert *c = arg;
    while (wait_for_next(c)) {
        struct ccz_err err = {0};
        if (ccz_party_renew(c->party, &err) == CCZ_OK)
            continue;
        ccz_log_err(CCZ_LOG_ERROR, "served-cert", "certificate=kept", &err);
        put_off(c);
    }
    return NULL;
}

ccz_rc served_cert_start(struct served_cert *c, struct ccz_party *party, struct ccz_err *err)
{
    c->party = party;
    int rc = pthread_create(&c->thread, NULL, run, c);
    c->running = rc == 0;
    return rc == 0 ? CCZ_OK
                   : ccz_fail(err, CCZ_E_NOMEM, "served:cert", rc, "cannot start a thread");
}

void served_cert_stop(struct served_cert *c)
{
    if (!c || !c->running)
        return;
    (void)pthread_mutex_lock(&c->lock);
    c->stopping = true;
    (void)pthread_cond_signal(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_join(c->thread, NULL);
    c->running = false;
}

void served_cert_free(struct served_cert *c)
{
    if (!c)
        return;
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}
