/* SPDX-License-Identifier: Apache-2.0 */
/* TLS configuration and the callbacks that run inside the handshake. */
#include "rsa_priv.h"
#include "tls_priv.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------- lifetime, as SSL_CTX ex data */

static int ctx_index = -1;
static CRYPTO_ONCE ctx_index_once = CRYPTO_ONCE_STATIC_INIT;

static void ctx_release(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                        void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    struct ccz_tls_ctx *ctx = ptr;
    if (!ctx)
        return;
    if (ctx->release)
        ctx->release(ctx->verify_arg);
    free(ctx->cert_der);
    free(ctx->alpn);
    free(ctx);
}

static void make_ctx_index(void)
{
    ctx_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, ctx_release);
}

struct ccz_tls_ctx *cczi_tls_ctx_attach(SSL_CTX *ssl, bool server)
{
    if (CRYPTO_THREAD_run_once(&ctx_index_once, make_ctx_index) != 1 || ctx_index < 0 ||
        SSL_CTX_get_ex_data(ssl, ctx_index))
        return NULL;
    struct ccz_tls_ctx *ctx = calloc(1, sizeof(*ctx));
    if (!ctx || SSL_CTX_set_ex_data(ssl, ctx_index, ctx) != 1) {
        free(ctx);
        return NULL;
    }
    ctx->ssl = ssl;
    ctx->server = server;
    return ctx;
}

struct ccz_tls_ctx *cczi_tls_ctx_of(const SSL *ssl)
{
    if (CRYPTO_THREAD_run_once(&ctx_index_once, make_ctx_index) != 1 || ctx_index < 0)
        return NULL;
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ctx_index);
}

struct ccz_tls_ctx *cczi_tls_ctx_alloc(bool server)
{
    SSL_CTX *ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    struct ccz_tls_ctx *ctx = ssl ? cczi_tls_ctx_attach(ssl, server) : NULL;
    if (!ctx)
        SSL_CTX_free(ssl);
    return ctx;
}

void ccz_tls_ctx_free(struct ccz_tls_ctx *ctx)
{
    if (ctx)
        SSL_CTX_free(ctx->ssl); /* the last connection frees ctx itself */
}

/* ------------------------------------------------------------------------------ callbacks */

/* Our connection behind @p ssl, if it is one of ours: not for native objects, nor for an adopted SSL_CTX. */
static struct ccz_tls *conn_of(const struct ccz_tls_ctx *ctx, const SSL *ssl)
{
    return ctx->adopted ? NULL : SSL_get_app_data(ssl);
}

/* Keeps why the handshake is refused. A native SSL of our own context has nothing to keep it in: it is logged. */
void cczi_tls_set_fail(const struct ccz_tls_ctx *ctx, SSL *ssl, const struct ccz_err *e)
{
    struct ccz_tls *t = conn_of(ctx, ssl);
    struct cczi_native *n = ctx->adopted ? cczi_native_get(ssl, ctx->conn_size) : NULL;
    if (ctx->refused)
        ctx->refused(ctx->verify_arg, e);
    if (t)
        t->fail = *e;
    else if (n)
        n->fail = *e;
    else
        ccz_log_err(CCZ_LOG_WARN, "tls", "handshake refused", e);
}

struct cczi_proof **cczi_tls_proof_place(const struct ccz_tls_ctx *ctx, SSL *ssl)
{
    struct ccz_tls *t = conn_of(ctx, ssl);
    struct cczi_native *n = ctx->adopted ? cczi_native_get(ssl, ctx->conn_size) : NULL;
    return t ? &t->proof : n ? &n->proof : NULL;
}

/* Of RSA keys; of other kinds no key is dearer than its curve. */
static bool is_cheap(const X509 *cert)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    int kind = key ? EVP_PKEY_get_base_id(key) : 0;
    return (kind != EVP_PKEY_RSA && kind != EVP_PKEY_RSA_PSS) || cczi_rsa_cheap(key);
}

/* The key first, for behind a hook that accepts CertificateVerify is checked with it. */
static ccz_rc call_hook(struct ccz_tls_ctx *ctx, SSL *ssl, void *conn_arg, const X509 *cert,
                        struct ccz_span der, struct ccz_err *e)
{
    if (!is_cheap(cert))
        return ccz_fail(e, CCZ_E_UNSUPPORTED, "tls:peer-rsa", 0,
                        "an RSA key has 2048 to 4096 bits, and its odd exponent at most 64");
    return ctx->proof.ask ? cczi_proof_judge(ctx, ssl, conn_arg, der, e)
                          : ctx->verify(ctx->verify_arg, conn_arg, der, e);
}

static void refuse_alpn(const struct ccz_tls_ctx *ctx, SSL *ssl, const char *got)
{
    char want[CCZ_ERR_VALUE_SIZE];
    struct ccz_err e;
    ccz_escape(want, sizeof(want), CCZ_SPAN(ctx->alpn + 1, ctx->alpn[0]));
    (void)ccz_refuse(&e, CCZ_E_PEER, "tls:alpn", got, want);
    cczi_tls_set_fail(ctx, ssl, &e);
}

/* Asks the hook, with the connection's own memory where it has some. Takes @p der, which is @p cert, over. */
static ccz_rc ask_hook(struct ccz_tls_ctx *ctx, SSL *ssl, X509 *cert, uint8_t *der, size_t size,
                       struct ccz_err *e)
{
    struct ccz_tls *t = conn_of(ctx, ssl);
    struct cczi_native *n = ctx->adopted ? cczi_native_get(ssl, ctx->conn_size) : NULL;
    ccz_rc rc = CCZ_E_NOMEM;
    if (n) {                                 /* SSL_clear() may have made it a new connection */
        struct cczi_proof *proof = n->proof; /* of this handshake already */
        X509_free(n->accepted);
        memset(n, 0, sizeof(*n) + ctx->conn_size);
        n->proof = proof;
        rc = call_hook(ctx, ssl, n->conn, cert, CCZ_SPAN(der, size), e);
        if (rc == CCZ_OK && X509_up_ref(cert) == 1)
            n->accepted = cert;
    } else if (!ctx->adopted) {
        rc = call_hook(ctx, ssl, t ? t->conn_arg : NULL, cert, CCZ_SPAN(der, size), e);
    }
    if (t) {
        OPENSSL_free(t->peer_der);
        t->peer_der = der;
        t->peer_size = size;
    } else {
        OPENSSL_free(der);
    }
    return rc;
}

/* Called with the peer's Certificate message; CertificateVerify comes after it. */
static int on_peer_cert(X509_STORE_CTX *store, void *arg)
{
    struct ccz_tls_ctx *ctx = arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const uint8_t *selected;
    unsigned selected_size;
    SSL_get0_alpn_selected(ssl, &selected, &selected_size);
    if (!ctx->server && ctx->alpn && selected_size == 0) {
        refuse_alpn(ctx, ssl, "no protocol");
        X509_STORE_CTX_set_error(store,
                                 X509_V_ERR_APPLICATION_VERIFICATION); /* handshake_failure */
        return 0;
    }
    uint8_t *der = NULL;
    X509 *cert = X509_STORE_CTX_get0_cert(store);
    int size = i2d_X509(cert, &der);
    if (size <= 0) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    struct ccz_err e = {.rc = CCZ_OK};
    ccz_rc rc = ask_hook(ctx, ssl, cert, der, (size_t)size, &e);
    X509_STORE_CTX_set_error(store, rc == CCZ_OK ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
    if (rc == CCZ_OK)
        return 1;
    if (e.rc == CCZ_OK) /* a hook that gave no reason */
        (void)ccz_fail(&e, rc, "tls:peer-certificate", 0, "the peer's certificate was rejected");
    e.rc = rc;
    cczi_tls_set_fail(ctx, ssl, &e);
    return 0;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                   const unsigned char *in, unsigned in_size, void *arg)
{
    const struct ccz_tls_ctx *ctx = arg;
    unsigned char *selected;
    if (SSL_select_next_proto(&selected, out_size, ctx->alpn, (unsigned)ctx->alpn_size, in,
                              in_size) != OPENSSL_NPN_NEGOTIATED) {
        refuse_alpn(ctx, ssl, "no common protocol");
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
    }
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

/* on_alpn() is not called for a client without the extension, which is no overlap either. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    const struct ccz_tls_ctx *ctx = arg;
    const unsigned char *ext;
    size_t ext_size;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext,
                                  &ext_size) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    refuse_alpn(ctx, ssl, "no protocol");
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

/* -------------------------------------------------------------------------- configuration */

ccz_rc cczi_tls_fail_openssl(struct ccz_err *err, const char *where, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ccz_rc rc =
        ccz_fail(err, CCZ_E_INTERNAL, where, 0, "%s: %s", what, reason ? reason : "unknown");
    ERR_clear_error();
    return rc;
}

bool cczi_tls_ctx_no_resumption(SSL_CTX *ssl, int version_min)
{
    /* A resumed session would skip the peer's certificate and with it attestation: no cache, no
     * tickets. Evidence is 5 to 20 KB; the certificate limit keeps strangers from sending more. */
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_max_cert_list(ssl, CCZ_CERT_SIZE_MAX);
    return SSL_CTX_set_min_proto_version(ssl, version_min) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_num_tickets(ssl, 0) == 1 && SSL_CTX_set_max_early_data(ssl, 0) == 1;
}

static ccz_rc set_protocol(struct ccz_tls_ctx *ctx, struct ccz_err *err)
{
    SSL_CTX *s = ctx->ssl;
    SSL_CTX_set_options(s, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_read_ahead(s, 1);
    if (!cczi_tls_ctx_no_resumption(s, TLS1_3_VERSION) ||
        SSL_CTX_set1_groups_list(s, "X25519:P-256") != 1 ||
        SSL_CTX_set1_sigalgs_list(s, "ECDSA+SHA256:ECDSA+SHA384") != 1 ||
        SSL_CTX_set_ciphersuites(s, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                                    "TLS_AES_256_GCM_SHA384") != 1)
        return cczi_tls_fail_openssl(err, "tls:protocol", "OpenSSL refuses the protocol settings");
    return CCZ_OK;
}

static ccz_rc set_identity(struct ccz_tls_ctx *ctx, const struct ccz_tls_cfg *cfg,
                           struct ccz_err *err)
{
    if (cfg->cert_der.size == 0 && !cfg->key && !cfg->server)
        return CCZ_OK; /* a client may be anonymous */
    EVP_PKEY *pair = cfg->key ? cczi_key_pair(cfg->key) : NULL;
    if (cfg->cert_der.size == 0 || !pair)
        return ccz_fail(err, CCZ_E_ARG, "tls:identity", 0,
                        "a certificate and its private key are needed");
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = ccz_cert_parse(&cert, cfg->cert_der, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, CCZ_CERT_SIZE_MAX);
    rc = ccz_key_spki(&spki, cfg->key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "tls:identity", 0, "out of memory");
    if (!ccz_span_eq(ccz_buf_span(&spki), ccz_cert_spki(cert)))
        return ccz_fail(err, CCZ_E_MISMATCH, "tls:identity-key", 0,
                        "the certificate is for another key than the private key given");
    ctx->cert_der = malloc(cfg->cert_der.size);
    if (!ctx->cert_der)
        return ccz_fail(err, CCZ_E_NOMEM, "tls:identity", 0, "out of memory");
    memcpy(ctx->cert_der, cfg->cert_der.ptr, cfg->cert_der.size);
    ctx->cert_size = cfg->cert_der.size;
    if (SSL_CTX_use_certificate_ASN1(ctx->ssl, (int)ctx->cert_size, ctx->cert_der) != 1 ||
        SSL_CTX_use_PrivateKey(ctx->ssl, pair) != 1)
        return cczi_tls_fail_openssl(err, "tls:identity", "OpenSSL refuses the certificate or key");
    return CCZ_OK;
}

ccz_rc cczi_tls_ctx_set_verify(struct ccz_tls_ctx *ctx, const struct ccz_tls_cfg *cfg,
                               struct ccz_err *err)
{
    if (cfg->server && !cfg->require_peer_cert) {
        SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_NONE, NULL);
        return CCZ_OK;
    }
    bool asks = cfg->proof && cfg->proof->ask;
    if (asks ? !cfg->proof->verify : !cfg->verify)
        return ccz_fail(err, CCZ_E_ARG, "tls:verify", 0,
                        "a peer certificate is expected, but no hook decides about it");
    ctx->verify = cfg->verify;
    ctx->verify_arg = cfg->verify_arg;
    SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx->ssl, on_peer_cert, ctx);
    return CCZ_OK;
}

ccz_rc cczi_tls_ctx_set_alpn(struct ccz_tls_ctx *ctx, const char *const *alpn, struct ccz_err *err)
{
    enum { ALPN_SIZE_MAX = 1024 };
    if (!alpn || !alpn[0])
        return CCZ_OK;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, ALPN_SIZE_MAX);
    for (const char *const *p = alpn; *p; p++) {
        size_t size = strlen(*p);
        if (size == 0 || size > UINT8_MAX)
            b.bad = true;
        ccz_buf_u8(&b, (uint8_t)size);
        ccz_buf_put(&b, *p, size);
    }
    if (b.bad || SSL_CTX_set_alpn_protos(ctx->ssl, b.ptr, (unsigned)b.size) != 0)
        return ccz_fail(err, CCZ_E_ARG, "tls:alpn", 0,
                        "protocol names have 1 to 255 bytes, 1 KB in all");
    ctx->alpn = b.ptr;
    ctx->alpn_size = b.size;
    ccz_buf_init(&b, 0); /* the bytes belong to ctx now */
    if (ctx->server) {
        SSL_CTX_set_alpn_select_cb(ctx->ssl, on_alpn, ctx);
        SSL_CTX_set_client_hello_cb(ctx->ssl, on_client_hello, ctx);
    }
    return CCZ_OK;
}

ccz_rc cczi_tls_ctx_set_proof(struct ccz_tls_ctx *ctx, const struct ccz_tls_cfg *cfg,
                              struct ccz_err *err)
{
    if (!cfg->proof)
        return CCZ_OK;
    if (cfg->proof->size_max == 0 || cfg->proof->size_max > CCZ_TLS_PROOF_SIZE_MAX)
        return ccz_fail(err, CCZ_E_ARG, "tls:proof", (int64_t)cfg->proof->size_max,
                        "proofs of 1 to %d bytes", CCZ_TLS_PROOF_SIZE_MAX);
    if (cfg->proof->ask && cfg->server && !cfg->require_peer_cert)
        return ccz_fail(err, CCZ_E_ARG, "tls:proof", 0,
                        "a client is asked for a proof, but for no certificate");
    ctx->proof = *cfg->proof;
    ctx->verify_arg = cfg->verify_arg; /* also where the peer is not judged */
    return cczi_proof_install(ctx->ssl)
               ? CCZ_OK
               : cczi_tls_fail_openssl(err, "tls:proof", "OpenSSL refuses the extension");
}

ccz_rc cczi_tls_ctx_configure(struct ccz_tls_ctx *ctx, const struct ccz_tls_cfg *cfg,
                              struct ccz_err *err)
{
    ccz_rc rc = set_identity(ctx, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_tls_ctx_set_verify(ctx, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_tls_ctx_set_proof(ctx, cfg, err);
    return rc == CCZ_OK ? cczi_tls_ctx_set_alpn(ctx, cfg->alpn, err) : rc;
}

ccz_rc ccz_tls_ctx_new(struct ccz_tls_ctx **out, const struct ccz_tls_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_tls_ctx) ctx = cczi_tls_ctx_alloc(cfg->server);
    if (!ctx)
        return cczi_tls_fail_openssl(err, "tls:context", "cannot make a TLS context");
    ccz_rc rc = set_protocol(ctx, err);
    if (rc == CCZ_OK)
        rc = cczi_tls_ctx_configure(ctx, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_tls_ctx_take(&ctx);
    ERR_clear_error();
    return rc;
}

struct ssl_st *ccz_tls_native_new(struct ccz_tls_ctx *ctx)
{
    SSL *ssl = ctx->server ? SSL_new(ctx->ssl) : NULL;
    if (ssl) {
        SSL_set_accept_state(ssl);
        /* Others wait for the socket to become readable: what is read ahead of its time would wait for ever. */
        SSL_set_read_ahead(ssl, 0);
    }
    ERR_clear_error();
    return ssl;
}
