/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake profile in the SSL_CTX of a library that does not show it. */
#include "ratls_priv.h"

#include <cczoo/ratls_openssl.h>

#include <stdlib.h>

struct ccz_ratls_watch {
    struct ccz_ratls_ctx *ctx;
    struct ccz_tls_watch *tls;
    struct ccz_ratls_watch_ops ops;
    void *ops_arg;
};

static void tell_accepted(const struct ccz_ratls_watch *w, struct ccz_span der,
                          const struct ccz_ratls_peer *peer)
{
    if (w->ops.accepted)
        w->ops.accepted(w->ops_arg, der, peer);
}

/* ccz_tls_proof.verify; @p conn is the connection's own struct ccz_ratls_peer, zeroed. */
static ccz_rc on_peer_proof(void *arg, void *conn, struct ccz_span der, const uint8_t nonce[],
                            struct ccz_span quote, struct ccz_err *err)
{
    const struct ccz_ratls_watch *w = arg;
    struct ccz_ratls_peer *peer = conn;
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = ccz_cert_parse(&cert, der, err);
    if (rc == CCZ_OK)
        rc = cczi_handshake_judge(peer, &w->ctx->cfg, ccz_cert_spki(cert), nonce, quote, err);
    if (rc == CCZ_OK)
        tell_accepted(w, der, peer);
    return rc;
}

/* ccz_tls_verify_fn: where nothing is asked of the peer but its certificate. */
static ccz_rc on_peer_cert(void *arg, void *conn, struct ccz_span der, struct ccz_err *err)
{
    const struct ccz_ratls_watch *w = arg;
    struct ccz_ratls_peer *peer = conn;
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = ccz_cert_parse(&cert, der, err);
    if (rc == CCZ_OK)
        rc = cczi_ratls_hash_key(peer, ccz_cert_spki(cert), err);
    if (rc == CCZ_OK)
        rc = cczi_ratls_check_pin(peer, &w->ctx->cfg, ccz_cert_spki(cert), err);
    if (rc == CCZ_OK)
        tell_accepted(w, der, peer);
    return rc;
}

static ccz_rc on_make(void *arg, struct ccz_buf *out, struct ccz_span own_spki,
                      const uint8_t nonce[], struct ccz_err *err)
{
    const struct ccz_ratls_watch *w = arg;
    return cczi_handshake_make(w->ctx, out, own_spki, nonce, err);
}

static void on_refused(void *arg, const struct ccz_err *why)
{
    const struct ccz_ratls_watch *w = arg;
    if (w->ops.refused)
        w->ops.refused(w->ops_arg, why);
}

static ccz_rc start(struct ccz_ratls_watch *w, struct ccz_span der, struct ccz_err *err)
{
    const struct ccz_ratls_cfg *cfg = &w->ctx->cfg;
    struct ccz_tls_proof proof = cczi_handshake_proof(cfg, on_peer_proof);
    if (proof.make)
        proof.make = on_make;
    return ccz_tls_watch_new(&w->tls,
                             &(struct ccz_tls_cfg){.server = cfg->server,
                                                   .cert_der = der,
                                                   .require_peer_cert = cfg->appraise || cfg->pin,
                                                   .verify = on_peer_cert,
                                                   .verify_arg = w,
                                                   .proof = &proof},
                             sizeof(struct ccz_ratls_peer), on_refused, err);
}

ccz_rc ccz_ratls_watch_new(struct ccz_ratls_watch **out, struct ccz_buf *cert_der,
                           struct ccz_key **key, const struct ccz_ratls_cfg *cfg,
                           const struct ccz_ratls_watch_ops *ops, void *ops_arg,
                           struct ccz_err *err)
{
    *out = NULL;
    *key = NULL;
    if (cfg->profile != CCZ_RATLS_HANDSHAKE || cfg->alpn || cfg->key)
        return ccz_fail(
            err, CCZ_E_ARG, "ratls:config", 0,
            "a watch knows the handshake profile, ALPN is the library's, the key a new one");
    CCZ_AUTO(ccz_ratls_watch) w = calloc(1, sizeof(*w));
    CCZ_AUTO(ccz_key) own = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    if (!w || ccz_key_generate(&own, CCZ_P256) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "ratls:memory", 0, "out of memory, or no key");
    w->ops = *ops;
    w->ops_arg = ops_arg;
    struct ccz_ratls_cfg with_key = *cfg;
    const struct ccz_key *same;
    with_key.key = own;
    ccz_rc rc = cczi_ratls_ctx_prepare(&w->ctx, &der, &same, &with_key, err);
    if (rc == CCZ_OK)
        rc = start(w, ccz_buf_span(&der), err);
    ccz_buf_put_span(cert_der, ccz_buf_span(&der));
    if (rc == CCZ_OK && cert_der->bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "ratls:memory", 0, "out of memory");
    if (rc != CCZ_OK)
        return rc;
    *key = ccz_key_take(&own);
    *out = ccz_ratls_watch_take(&w);
    return CCZ_OK;
}

ccz_rc ccz_ratls_watch_renew(struct ccz_ratls_watch *w, int64_t now_s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    struct ccz_ratls_cfg cfg = w->ctx->cfg;
    cfg.now_s = now_s;
    ccz_rc rc = ccz_key_generate(&key, CCZ_P256);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:key", 0, "no TLS identity key");
    rc = cczi_ratls_make_cert(&der, &cfg, key, err);
    return rc == CCZ_OK ? ccz_tls_watch_identity(w->tls, ccz_buf_span(&der), key, err) : rc;
}

void ccz_ratls_watch_free(struct ccz_ratls_watch *w)
{
    if (!w)
        return;
    ccz_tls_watch_free(w->tls);
    ccz_ratls_ctx_free(w->ctx);
    free(w);
}
