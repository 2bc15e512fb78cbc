/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One model under a key of the KMS: in service, asked about, and out of service when its key is taken back. Whoever loads it is one
 * thread; revocations come from another.
 */
#include "served.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct served_single {
    struct ccz_infer *infer;
    struct served_revoke *revoke;
    pthread_mutex_t lock;
    int64_t served; /* 0 = none */
};

static void gone(void *arg, const struct served_held *held, const char *why)
{
    struct served_single *s = arg;
    struct ccz_err err = {0};
    (void)pthread_mutex_lock(&s->lock);
    const bool served = s->served == held->version;
    if (served)
        s->served = 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (!served) /* a newer one has its place: whoever published that takes this one out */
        return;
    /* no call gets it from here on; blocks until those that have it are through */
    ccz_rc rc = ccz_infer_remove(s->infer, held->model, held->version, &err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        ccz_log_err(CCZ_LOG_ERROR, "served", "model=not-unloaded", &err);
    else
        ccz_log(CCZ_LOG_WARN, "served",
                "model=unloaded name=%s version=%" PRId64 " key=%s key_version=%u where=%s",
                held->model, held->version, held->item, held->key_version,
                why[0] ? why : "served:kms-grace");
}

ccz_rc served_single_publish(struct served_single *s, const struct served_held *held,
                             const struct ccz_kms_instance *kms, struct ccz_model **model,
                             struct ccz_err *err)
{
    (void)pthread_mutex_lock(&s->lock);
    const int64_t before = s->served;
    ccz_rc rc = held->version <= before
                    ? ccz_refuse_num(err, CCZ_E_EXISTS, "infer:version", held->version, before + 1)
                    : ccz_infer_publish(s->infer, held->model, held->version, model, err);
    if (rc == CCZ_OK)
        s->served = held->version;
    (void)pthread_mutex_unlock(&s->lock);
    if (rc != CCZ_OK)
        return rc;
    /* asked about from now on, however long the runs of the version before take */
    rc = served_revoke_hold(s->revoke, held, kms, err);
    if (rc != CCZ_OK) /* what nobody asks about is not served */
        gone(s, held, "served:held");
    if (before) {
        struct ccz_err old = {0};
        served_revoke_let_go(s->revoke, held->model, before);
        if (ccz_infer_remove(s->infer, held->model, before, &old) != CCZ_OK)
            ccz_log_err(CCZ_LOG_ERROR, "served", "model=not-unloaded", &old);
    }
    return rc;
}

int64_t served_single_version(struct served_single *s)
{
    (void)pthread_mutex_lock(&s->lock);
    const int64_t version = s->served;
    (void)pthread_mutex_unlock(&s->lock);
    return version;
}

ccz_rc served_single_new(struct served_single **out, const struct served_opts *o,
                         struct ccz_attester *attester, struct ccz_infer *infer,
                         struct ccz_err *err)
{
    *out = NULL;
    struct served_single *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "served:single", 0, "out of memory");
    s->infer = infer;
    (void)pthread_mutex_init(&s->lock, NULL);
    const struct served_revoke_cfg revoke = {
        .opts = o, .attester = attester, .gone = gone, .arg = s};
    ccz_rc rc = served_revoke_start(&s->revoke, &revoke, err);
    if (rc == CCZ_OK)
        *out = s;
    else
        served_single_free(s);
    return rc;
}

void served_single_stop(struct served_single *s)
{
    if (s)
        served_revoke_stop(s->revoke);
}

void served_single_free(struct served_single *s)
{
    if (!s)
        return;
    served_revoke_free(s->revoke);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
