/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate and handshake profile in an SSL_CTX that belongs to somebody else. */
#include "ratls_priv.h"

#include <cczoo/ratls_openssl.h>

/* ccz_tls_verify_fn; @p conn is the connection's own struct ccz_ratls_peer, zeroed. */
static ccz_rc on_peer_cert(void *arg, void *conn, struct ccz_span der, struct ccz_err *err)
{
    const struct ccz_ratls_ctx *ctx = arg;
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = ccz_cert_parse(&cert, der, err);
    return rc == CCZ_OK ? cczi_ratls_judge_cert(conn, &ctx->cfg, cert, err) : rc;
}

/* ccz_tls_proof.verify; @p conn as above. */
static ccz_rc on_peer_proof(void *arg, void *conn, struct ccz_span der, const uint8_t nonce[],
                            struct ccz_span quote, struct ccz_err *err)
{
    const struct ccz_ratls_ctx *ctx = arg;
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = ccz_cert_parse(&cert, der, err);
    return rc == CCZ_OK
               ? cczi_handshake_judge(conn, &ctx->cfg, ccz_cert_spki(cert), nonce, quote, err)
               : rc;
}

static void release(void *arg)
{
    ccz_ratls_ctx_free(arg);
}

ccz_rc ccz_ratls_setup_ssl_ctx(struct ssl_ctx_st *native, const struct ccz_ratls_cfg *cfg,
                               struct ccz_err *err)
{
    const struct ccz_key *key;
    CCZ_AUTO(ccz_ratls_ctx) ctx = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    const struct ccz_tls_proof proof = cczi_handshake_proof(cfg, on_peer_proof);
    if (cfg->profile != CCZ_RATLS_CERTIFICATE && cfg->profile != CCZ_RATLS_HANDSHAKE)
        return ccz_fail(err, CCZ_E_ARG, "ratls:config", 0,
                        "an SSL_CTX of your own knows the handshake and certificate profiles only");
    ccz_rc rc = cczi_ratls_ctx_prepare(&ctx, &der, &key, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_tls_cfg tls = {.server = cfg->server,
                                    .cert_der = ccz_buf_span(&der),
                                    .key = key,
                                    .require_peer_cert = cfg->appraise || cfg->pin,
                                    .verify = on_peer_cert,
                                    .verify_arg = ctx,
                                    .proof = cfg->profile == CCZ_RATLS_HANDSHAKE ? &proof : NULL,
                                    .alpn = cfg->alpn};
    rc = ccz_tls_adopt(native, &tls, sizeof(struct ccz_ratls_peer), release, err);
    if (rc == CCZ_OK)
        (void)ccz_ratls_ctx_take(&ctx); /* the SSL_CTX's now */
    return rc;
}

const struct ccz_ratls_peer *ccz_ratls_ssl_peer(const struct ssl_st *ssl)
{
    return ccz_tls_adopted_conn(ssl);
}

const struct ccz_err *ccz_ratls_ssl_error(const struct ssl_st *ssl)
{
    return ccz_tls_adopted_error(ssl);
}
