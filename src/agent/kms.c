/* SPDX-License-Identifier: Apache-2.0 */
/* Values from a KMS, by a connection whose evidence is made again before it is too old. */
#include "agent_priv.h"

#include <pthread.h>
#include <stdlib.h>

enum { REFRESH_MS = 3600 * 1000 };

struct ccz_agent_kms {
    struct ccz_party *party;
    struct ccz_rpc_client *client;
    struct ccz_ratls_peer peer;
    int64_t refresh_ms;
    bool attached;
    pthread_mutex_t lock; /* made_ms, and the renewal itself; instance */
    int64_t made_ms;      /* when the evidence in use was made */
    struct ccz_kms_instance instance;
};

static void on_renewed(void *client, struct ccz_ratls_ctx *ctx)
{
    ccz_rpc_client_set_ratls(client, ctx);
}

ccz_rc ccz_agent_kms_new(struct ccz_agent_kms **out, const struct ccz_agent_kms_cfg *cfg,
                         struct ccz_err *err)
{
    *out = NULL;
    if (!cfg->target || !cfg->party || cfg->refresh_ms < 0)
        return ccz_fail(err, CCZ_E_ARG, "agent:config", 0, "target and party are required");
    CCZ_AUTO(ccz_agent_kms) k = calloc(1, sizeof(*k));
    if (!k)
        return ccz_fail(err, CCZ_E_NOMEM, "agent:memory", 0, "out of memory");
    (void)pthread_mutex_init(&k->lock, NULL);
    k->party = cfg->party;
    k->instance = cfg->instance;
    k->refresh_ms = cfg->refresh_ms ? cfg->refresh_ms : REFRESH_MS;
    const struct ccz_rpc_client_cfg rpc = {.target = cfg->target,
                                           .ratls = ccz_party_ratls(cfg->party),
                                           .message_size_max = CCZ_KMS_MESSAGE_SIZE_MAX,
                                           .reconnect = true};
    ccz_rc rc = ccz_rpc_client_new(&k->client, &rpc, err);
    if (rc == CCZ_OK)
        rc = ccz_party_attach(k->party, on_renewed, k->client);
    if (rc != CCZ_OK)
        return err && err->rc == rc ? rc : ccz_fail(err, rc, "agent:memory", 0, "out of memory");
    k->attached = true;
    k->made_ms = ccz_mono_ms();
    rc = ccz_rpc_client_connect(&k->peer, k->client, err);
    if (rc != CCZ_OK)
        return rc;
    *out = ccz_agent_kms_take(&k);
    return CCZ_OK;
}

/* New evidence, and new connections that show it. */
static ccz_rc refresh(struct ccz_agent_kms *k, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&k->lock);
    if (ccz_mono_ms() - k->made_ms >= k->refresh_ms) {
        int64_t now_ms = ccz_mono_ms();
        rc = ccz_party_renew(k->party, err);
        if (rc == CCZ_OK && ccz_rpc_client_recycle(k->client) != CCZ_OK)
            rc = ccz_fail(err, CCZ_E_NOMEM, "agent:memory", 0, "out of memory");
        if (rc == CCZ_OK)
            rc = ccz_rpc_client_connect(NULL, k->client, err);
        if (rc == CCZ_OK)
            k->made_ms = now_ms;
        if (rc == CCZ_OK)
            ccz_log(CCZ_LOG_INFO, "agent", "renewed evidence for the KMS");
        else
            ccz_log(CCZ_LOG_ERROR, "agent", "cannot renew the evidence for the KMS");
    }
    pthread_mutex_unlock(&k->lock);
    return rc;
}

ccz_rc ccz_agent_kms_release(void *kms, struct ccz_secret **out, struct ccz_kms_release *info,
                             const char *item, uint32_t version, struct ccz_err *err)
{
    struct ccz_agent_kms *k = kms;
    *out = NULL;
    ccz_rc rc = refresh(k, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_release(out, info, k->client, item, version, err);
    if (rc == CCZ_OK) { /* a data key of one owner must not be wrapped for another */
        pthread_mutex_lock(&k->lock);
        rc = ccz_kms_instance_check(&k->instance, info, err);
        pthread_mutex_unlock(&k->lock);
    }
    if (rc != CCZ_OK) {
        ccz_secret_free(*out);
        *out = NULL;
    }
    return rc;
}

const struct ccz_ratls_peer *ccz_agent_kms_peer(const struct ccz_agent_kms *k)
{
    return &k->peer;
}

void ccz_agent_kms_free(struct ccz_agent_kms *k)
{
    if (!k)
        return;
    if (k->attached)
        ccz_party_detach(k->party, on_renewed, k->client);
    ccz_rpc_client_free(k->client);
    (void)pthread_mutex_destroy(&k->lock);
    free(k);
}
