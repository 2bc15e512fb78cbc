/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SSL_CTX of a library that shows it to nobody. OpenSSL tells of every SSL_CTX and SSL that is made, to whoever has an
 * index of ex data with a function for new objects. A new SSL_CTX is empty: it gets to know the extension, whose
 * callbacks do nothing by themselves. At the first SSL, the certificate in it says whose it is.
 */
#define _DEFAULT_SOURCE
#include "tls_priv.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct ccz_tls_watch {
    struct ccz_tls_watch *next;
    atomic_uint refs;      /* the owner, and each adopted SSL_CTX */
    pthread_rwlock_t lock; /* hooks run under its read side */
    atomic_bool closed;    /* the owner is gone, and what the hooks need with it */
    struct ccz_tls_cfg cfg;
    struct ccz_tls_proof proof;
    size_t conn_size;
    void (*refused)(void *verify_arg, const struct ccz_err *why);
    X509 *mark; /* which SSL_CTX are meant */
    X509 *cert; /* by lock: presented instead of it, or NULL */
    EVP_PKEY *key;
};

static struct ccz_tls_watch *watches;
static pthread_mutex_t watches_lock = PTHREAD_MUTEX_INITIALIZER;

static void unref(void *arg)
{
    struct ccz_tls_watch *w = arg;
    if (atomic_fetch_sub(&w->refs, 1) != 1)
        return;
    X509_free(w->mark);
    X509_free(w->cert);
    EVP_PKEY_free(w->key);
    (void)pthread_rwlock_destroy(&w->lock);
    free(w);
}

/* ------------------------------------------------------------ hooks, as long as their owner is there */

static ccz_rc enter(struct ccz_tls_watch *w, struct ccz_err *err)
{
    (void)pthread_rwlock_rdlock(&w->lock);
    if (!w->closed)
        return CCZ_OK;
    (void)pthread_rwlock_unlock(&w->lock);
    return ccz_fail(err, CCZ_E_CLOSED, "tls:watch-closed", 0,
                    "who decides about peers of this connection is gone");
}

static ccz_rc on_verify(void *arg, void *conn_arg, struct ccz_span der, struct ccz_err *err)
{
    struct ccz_tls_watch *w = arg;
    ccz_rc rc = enter(w, err);
    if (rc != CCZ_OK)
        return rc;
    rc = w->cfg.verify(w->cfg.verify_arg, conn_arg, der, err);
    (void)pthread_rwlock_unlock(&w->lock);
    return rc;
}

static ccz_rc on_make(void *arg, struct ccz_buf *out, struct ccz_span own_spki,
                      const uint8_t challenge[], struct ccz_err *err)
{
    struct ccz_tls_watch *w = arg;
    ccz_rc rc = enter(w, err);
    if (rc != CCZ_OK)
        return rc;
    rc = w->proof.make(w->cfg.verify_arg, out, own_spki, challenge, err);
    (void)pthread_rwlock_unlock(&w->lock);
    return rc;
}

static ccz_rc on_verify_proof(void *arg, void *conn_arg, struct ccz_span der,
                              const uint8_t challenge[], struct ccz_span proof, struct ccz_err *err)
{
    struct ccz_tls_watch *w = arg;
    ccz_rc rc = enter(w, err);
    if (rc != CCZ_OK)
        return rc;
    rc = w->proof.verify(w->cfg.verify_arg, conn_arg, der, challenge, proof, err);
    (void)pthread_rwlock_unlock(&w->lock);
    return rc;
}

static void on_refused(void *arg, const struct ccz_err *why)
{
    struct ccz_tls_watch *w = arg;
    struct ccz_err closed;
    if (!w->refused || enter(w, &closed) != CCZ_OK)
        return;
    w->refused(w->cfg.verify_arg, why);
    (void)pthread_rwlock_unlock(&w->lock);
}

/* Before the own Certificate message: the identity of today. */
static int on_identity(SSL *ssl, void *arg)
{
    struct ccz_tls_watch *w = arg;
    struct ccz_err closed;
    if (enter(w, &closed) != CCZ_OK)
        return 0;
    bool ok = !w->cert ||
              (SSL_use_certificate(ssl, w->cert) == 1 && SSL_use_PrivateKey(ssl, w->key) == 1);
    (void)pthread_rwlock_unlock(&w->lock);
    return ok;
}

/* ------------------------------------------------------------------------------ what OpenSSL tells */

static int ctx_mark = -1, conn_mark = -1;
static CRYPTO_ONCE marks_once = CRYPTO_ONCE_STATIC_INIT;

bool cczi_watch_installed(const SSL_CTX *ssl)
{
    return ctx_mark >= 0 && SSL_CTX_get_ex_data(ssl, ctx_mark);
}

static void on_ctx_new(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                       void *argp)
{
    (void)ptr, (void)ad, (void)argl, (void)argp;
    static int installed;
    (void)ERR_set_mark();
    if (cczi_proof_install(parent))
        (void)SSL_CTX_set_ex_data(parent, index, &installed);
    (void)ERR_pop_to_mark();
}

/* Everything of @p w into an SSL_CTX that has its identity already. @return false: parts of it are not there */
static bool adopt(SSL_CTX *native, struct ccz_tls_watch *w)
{
    struct ccz_err err;
    const struct ccz_tls_proof proof = {.ask = w->proof.ask,
                                        .size_max = w->proof.size_max,
                                        .make = w->proof.make ? on_make : NULL,
                                        .verify = on_verify_proof};
    const struct ccz_tls_cfg cfg = {.server = w->cfg.server,
                                    .require_peer_cert = w->cfg.require_peer_cert,
                                    .verify = w->cfg.verify ? on_verify : NULL,
                                    .verify_arg = w,
                                    .proof = w->cfg.proof ? &proof : NULL};
    struct ccz_tls_ctx *ctx = cczi_tls_ctx_attach(native, cfg.server);
    if (!ctx)
        return false;
    atomic_fetch_add(&w->refs, 1);
    ctx->adopted = true;
    ctx->conn_size = w->conn_size;
    ctx->verify_arg = w;
    ctx->release = unref;
    ctx->refused = on_refused;
    bool ok = cczi_tls_ctx_no_resumption(native, TLS1_3_VERSION) &&
              cczi_tls_ctx_set_verify(ctx, &cfg, &err) == CCZ_OK &&
              cczi_tls_ctx_set_proof(ctx, &cfg, &err) == CCZ_OK;
    SSL_CTX_set_cert_cb(native, on_identity, w);
    /* which may put another SSL_CTX into a connection, one without us; there is but one identity here */
    (void)SSL_CTX_set_tlsext_servername_callback(native, NULL);
    return ok;
}

/* It has our identity, and must not go on by the library's own rules: no version of TLS is left to it. Cannot fail. */
static void disable(SSL_CTX *native)
{
    (void)SSL_CTX_set_options(native, SSL_OP_NO_SSL_MASK);
    ccz_log(CCZ_LOG_ERROR, "tls", "a library's SSL_CTX could not be set up: it connects nobody");
}

/* OpenSSL before 3.2 tells of an SSL when it has copied everything from its SSL_CTX; later ones do before. */
static void restrict_conn(SSL *ssl, const struct ccz_tls_watch *w)
{
    if (OpenSSL_version_num() >= 0x30200000L)
        return;
    SSL_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_set_max_cert_list(ssl, CCZ_CERT_SIZE_MAX);
    SSL_set_cert_cb(ssl, on_identity, (void *)(uintptr_t)w);
    bool judges = !w->cfg.server || w->cfg.require_peer_cert;
    SSL_set_verify(
        ssl, judges ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    if (SSL_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
        SSL_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 && SSL_set_num_tickets(ssl, 0) == 1)
        return;
    (void)SSL_set_options(ssl, SSL_OP_NO_SSL_MASK);
    ccz_log(CCZ_LOG_ERROR, "tls", "a library's connection could not be limited to TLS 1.3");
}

static void on_conn_new(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                        void *argp)
{
    (void)ptr, (void)ad, (void)index, (void)argl, (void)argp;
    SSL *ssl = parent;
    SSL_CTX *native = SSL_get_SSL_CTX(ssl);
    X509 *cert = native ? SSL_CTX_get0_certificate(native) : NULL;
    if (!cert)
        return;
    (void)ERR_set_mark();
    (void)pthread_mutex_lock(&watches_lock); /* two connections can be the first one */
    struct ccz_tls_ctx *ctx = cczi_tls_ctx_of(ssl);
    for (struct ccz_tls_watch *w = watches; w && !ctx; w = w->next) {
        if (X509_cmp(w->mark, cert) != 0)
            continue;
        if (!adopt(native, w))
            disable(native);
        ctx = cczi_tls_ctx_of(ssl);
    }
    /* also of this one, which may have its copy of the options already */
    if ((SSL_CTX_get_options(native) & SSL_OP_NO_SSL_MASK) == SSL_OP_NO_SSL_MASK)
        (void)SSL_set_options(ssl, SSL_OP_NO_SSL_MASK);
    (void)pthread_mutex_unlock(&watches_lock);
    if (ctx && ctx->release == unref)
        restrict_conn(ssl, ctx->verify_arg);
    (void)ERR_pop_to_mark();
}

static void make_marks(void)
{
    ctx_mark = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, on_ctx_new, NULL, NULL);
    conn_mark = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, on_conn_new, NULL, NULL);
}

/* --------------------------------------------------------------------------------------- lifetime */

static ccz_rc parse_cert(X509 **out, struct ccz_span der, struct ccz_err *err)
{
    const unsigned char *p = der.ptr;
    *out = der.size && der.size <= CCZ_CERT_SIZE_MAX ? d2i_X509(NULL, &p, (long)der.size) : NULL;
    ERR_clear_error();
    return *out ? CCZ_OK
                : ccz_fail(err, CCZ_E_ARG, "tls:identity", (int64_t)der.size,
                           "no certificate by which the SSL_CTX is known");
}

ccz_rc ccz_tls_watch_new(struct ccz_tls_watch **out, const struct ccz_tls_cfg *cfg,
                         size_t conn_size, void (*refused)(void *, const struct ccz_err *),
                         struct ccz_err *err)
{
    *out = NULL;
    if (CRYPTO_THREAD_run_once(&marks_once, make_marks) != 1 || ctx_mark < 0 || conn_mark < 0)
        return ccz_fail(err, CCZ_E_NOMEM, "tls:watch", 0, "OpenSSL gives no index");
    bool asks = cfg->proof && cfg->proof->ask;
    bool judges = !cfg->server || cfg->require_peer_cert;
    if (judges && (asks ? !cfg->proof->verify : !cfg->verify))
        return ccz_fail(err, CCZ_E_ARG, "tls:verify", 0,
                        "a peer certificate is expected, but no hook decides about it");
    struct ccz_tls_watch *w = calloc(1, sizeof(*w));
    if (!w || pthread_rwlock_init(&w->lock, NULL) != 0) {
        free(w);
        return ccz_fail(err, CCZ_E_NOMEM, "tls:memory", 0, "out of memory");
    }
    atomic_init(&w->refs, 1);
    w->cfg = *cfg;
    w->cfg.key = NULL;
    w->cfg.alpn = NULL;
    if (cfg->proof)
        w->proof = *cfg->proof;
    w->conn_size = conn_size;
    w->refused = refused;
    ccz_rc rc = parse_cert(&w->mark, cfg->cert_der, err);
    w->cfg.cert_der = (struct ccz_span){0};
    if (rc != CCZ_OK) {
        unref(w);
        return rc;
    }
    (void)pthread_mutex_lock(&watches_lock);
    w->next = watches;
    watches = w;
    (void)pthread_mutex_unlock(&watches_lock);
    *out = w;
    return CCZ_OK;
}

ccz_rc ccz_tls_watch_identity(struct ccz_tls_watch *w, struct ccz_span cert_der,
                              const struct ccz_key *key, struct ccz_err *err)
{
    X509 *cert;
    EVP_PKEY *pair = cczi_key_pair(key);
    ccz_rc rc = parse_cert(&cert, cert_der, err);
    if (rc != CCZ_OK)
        return rc;
    if (!pair || X509_check_private_key(cert, pair) != 1 || EVP_PKEY_up_ref(pair) != 1) {
        ERR_clear_error();
        X509_free(cert);
        return ccz_fail(err, CCZ_E_MISMATCH, "tls:identity-key", 0,
                        "the certificate is for another key than the private key given");
    }
    (void)pthread_rwlock_wrlock(&w->lock);
    X509 *old_cert = w->cert;
    EVP_PKEY *old_key = w->key;
    w->cert = cert;
    w->key = pair;
    (void)pthread_rwlock_unlock(&w->lock);
    X509_free(old_cert);
    EVP_PKEY_free(old_key);
    return CCZ_OK;
}

void ccz_tls_watch_free(struct ccz_tls_watch *w)
{
    if (!w)
        return;
    (void)pthread_mutex_lock(&watches_lock);
    struct ccz_tls_watch **at = &watches;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    (void)pthread_mutex_unlock(&watches_lock);
    w->closed = true;
    (void)pthread_rwlock_wrlock(&w->lock); /* waits for the hooks that run */
    (void)pthread_rwlock_unlock(&w->lock);
    unref(w);
}
