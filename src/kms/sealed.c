/* SPDX-License-Identifier: Apache-2.0 */
/* A KMS that waits for the shares of its master key, and the client's side of it. */
#include "master_priv.h"

#include "gate.h"
#include "kms_priv.h"
#include "rate.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char unseal_path[] = CCZI_KMS_SERVICE "Unseal";

struct unseal_req {
    struct ccz_span share;
};
struct unseal_resp {
    uint64_t given, needed, total, sealed;
};
static const struct cczi_msg_field unseal_req_fields[] = {
    {1, CCZI_MSG_SPAN, offsetof(struct unseal_req, share), CCZ_KMS_SHARE_SIZE_MAX + 16},
    {0, CCZI_MSG_END, 0, 0},
};
static const struct cczi_msg_field unseal_resp_fields[] = {
    {1, CCZI_MSG_UINT, offsetof(struct unseal_resp, given), CCZ_KMS_SHARES_MAX},
    {2, CCZI_MSG_UINT, offsetof(struct unseal_resp, needed), CCZ_KMS_SHARES_MAX},
    {3, CCZI_MSG_UINT, offsetof(struct unseal_resp, total), CCZ_KMS_SHARES_MAX},
    {4, CCZI_MSG_UINT, offsetof(struct unseal_resp, sealed), 1},
    {0, CCZI_MSG_END, 0, 0},
};

/* ---------------------------------------------------------------------------- server */

struct ccz_kms_sealed {
    struct ccz_kms_master *master;
    struct cczi_kms_gate *gate;
    void (*done)(void *arg);
    void *arg;
    atomic_flag told;
};

static ccz_rc unseal(struct ccz_kms_shares *out, struct ccz_kms_sealed *s, struct ccz_span request,
                     struct ccz_err *err)
{
    struct unseal_req m = {0};
    ccz_rc rc = cczi_msg_get(&m, unseal_req_fields, request, err);
    if (rc != CCZ_OK)
        return rc;
    return m.share.size ? ccz_kms_master_give(out, s->master, m.share, err)
                        : ccz_kms_master_shares(out, s->master, err);
}

static void on_unseal(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    struct ccz_kms_sealed *s = arg;
    struct ccz_kms_shares have;
    struct ccz_err err = {0};
    char peer[64];
    if (!cczi_kms_gate_pass_call(s->gate, call))
        return;
    ccz_escape(peer, sizeof(peer), ccz_span_str(ccz_rpc_peer_address(call)));
    if (unseal(&have, s, request, &err) != CCZ_OK) {
        char what[96];
        (void)snprintf(what, sizeof(what), "unseal verdict=reject peer=%s", peer);
        ccz_log_err(CCZ_LOG_WARN, "kms", what, &err);
        ccz_rpc_fail(call, &err);
        return;
    }
    ccz_log(CCZ_LOG_INFO, "kms", "unseal verdict=accept shares=%u needed=%u peer=%s", have.given,
            have.needed, peer);
    struct unseal_resp m = {have.given, have.needed, have.total, have.sealed};
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, 64);
    cczi_msg_put(&response, unseal_resp_fields, &m);
    ccz_rpc_reply(call, ccz_buf_span(&response));
    if (!have.sealed && !atomic_flag_test_and_set(&s->told) && s->done)
        s->done(s->arg);
}

static void on_other(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)request;
    struct ccz_kms_sealed *s = arg;
    struct ccz_err err = {0};
    if (!cczi_kms_gate_pass_call(s->gate, call))
        return;
    ccz_fail(&err, CCZ_E_UNAVAILABLE, "kms:sealed", 0,
             "this KMS waits for shares of its master key");
    (void)cczi_kms_hint(&err, CCZ_E_UNAVAILABLE);
    ccz_rpc_fail(call, &err);
}

ccz_rc ccz_kms_sealed_new(struct ccz_kms_sealed **out, struct ccz_kms_master *m,
                          void (*done)(void *arg), void *arg, struct ccz_err *err)
{
    *out = NULL;
    struct ccz_kms_shares have;
    ccz_rc rc = ccz_kms_master_shares(&have, m, err); /* a description that is not there: now */
    if (rc != CCZ_OK)
        return rc;
    struct ccz_kms_sealed *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:service", 0, "out of memory");
    *s = (struct ccz_kms_sealed){.master = m, .done = done, .arg = arg, .told = ATOMIC_FLAG_INIT};
    /* anybody gets in here, with any key: what he may do is make lines of the log, and work */
    const struct ccz_kms_rates rates = {
        .address_rate = CCZ_KMS_UNSEAL_RATE,
        .address_burst = CCZ_KMS_SHARES_MAX,
        .total_rate = CCZ_KMS_UNSEAL_TOTAL_RATE,
        .total_burst = 4 * CCZ_KMS_SHARES_MAX,
        .handshake_rate = CCZ_KMS_UNSEAL_RATE,
        .handshake_burst = CCZ_KMS_SHARES_MAX,
        /* nobody is known yet, so it takes a large crowd to keep the shares out */
        .handshake_total_rate = CCZI_SHAKES_USUAL};
    rc = cczi_kms_gate_new(&s->gate, &rates, err);
    if (rc == CCZ_OK)
        *out = s;
    else
        ccz_kms_sealed_free(s);
    return rc;
}

void ccz_kms_sealed_free(struct ccz_kms_sealed *s)
{
    if (s)
        cczi_kms_gate_free(s->gate);
    free(s);
}

bool ccz_kms_sealed_admit(void *sealed, const char *address)
{
    struct ccz_kms_sealed *s = sealed;
    return cczi_kms_gate_admit(s->gate, address, ccz_mono_ms());
}

ccz_rc ccz_kms_sealed_add(struct ccz_kms_sealed *s, struct ccz_rpc_server *server)
{
    ccz_rc rc = ccz_rpc_server_add_unary(server, unseal_path, on_unseal, s);
    for (size_t i = 0; rc == CCZ_OK && i < cczi_kms_methods_len; i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s%s", CCZI_KMS_SERVICE, cczi_kms_methods[i].name);
        rc = ccz_rpc_server_add_unary(server, path, on_other, s);
    }
    return rc;
}

ccz_rc ccz_kms_sealed_pin(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    (void)arg;
    (void)spki;
    (void)err;
    return CCZ_OK; /* what counts is the share */
}

/* ---------------------------------------------------------------------------- client */

ccz_rc ccz_kms_unseal(struct ccz_kms_shares *out, struct ccz_rpc_client *c,
                      const struct ccz_secret *share, struct ccz_err *err)
{
    *out = (struct ccz_kms_shares){0};
    struct unseal_req m = {0};
    if (share)
        m.share = CCZ_SPAN(ccz_secret_view(share), ccz_secret_size(share));
    CCZ_AUTO_BUF request, response;
    ccz_buf_init(&request, 1024);
    ccz_buf_init(&response, 1024);
    request.wipe = true;
    cczi_msg_put(&request, unseal_req_fields, &m);
    if (request.bad || m.share.size > CCZ_KMS_SHARE_SIZE_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:share", (int64_t)m.share.size, "not a share");
    const struct ccz_rpc_call_cfg cfg = {0};
    ccz_rc rc = cczi_kms_hint(
        err, ccz_rpc_unary(&response, NULL, c, unseal_path, ccz_buf_span(&request), &cfg, err));
    if (rc != CCZ_OK)
        return rc;
    struct unseal_resp r = {0};
    if (cczi_msg_get(&r, unseal_resp_fields, ccz_buf_span(&response), NULL) != CCZ_OK ||
        r.needed < 2 || r.needed > r.total)
        return ccz_fail(err, CCZ_E_PEER, "kms:response", 0, "the response of the KMS is malformed");
    *out = (struct ccz_kms_shares){(uint32_t)r.given, (uint32_t)r.needed, (uint32_t)r.total,
                                   r.sealed != 0};
    return CCZ_OK;
}
