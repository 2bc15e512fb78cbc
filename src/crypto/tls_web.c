/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for HTTPS servers. tls_ctx.c is for our own peers: one certificate, EC alone, and a hook that judges it. */
#include "tls_web.h"

#include "crypto_priv.h"
#include "rsa_priv.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 8, CLIENT_CERTS_SIZE_MAX = 16384 };

struct cczi_web {
    SSL_CTX *ctx;
};

static ccz_rc fail_openssl(struct ccz_err *err, ccz_rc rc, const char *where, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ccz_fail(err, rc, where, 0, "%s: %s", what, reason ? reason : "unknown");
    ERR_clear_error();
    return rc;
}

/* ------------------------------------------------------------------------------ connections */

struct hook {
    void (*freed)(void *arg);
    void *arg;
    struct cczi_web_watch watch;
};
static int conn_index = -1;
static CRYPTO_ONCE conn_index_once = CRYPTO_ONCE_STATIC_INIT;

static void conn_release(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                         void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    struct hook *h = ptr;
    if (h && h->freed)
        h->freed(h->arg);
    free(h);
}

/* SSL_dup(): the copy is nobody's. */
static int conn_dup(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **data, int index,
                    long argl, void *argp)
{
    (void)to, (void)from, (void)index, (void)argl, (void)argp;
    *data = NULL;
    return 1;
}

static void make_conn_index(void)
{
    conn_index =
        CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, conn_dup, conn_release);
}

static bool have_index(void)
{
    return CRYPTO_THREAD_run_once(&conn_index_once, make_conn_index) == 1 && conn_index >= 0;
}

struct ssl_st *cczi_web_conn(struct cczi_web *w, void (*freed)(void *arg), void *arg)
{
    SSL *ssl = have_index() ? SSL_new(w->ctx) : NULL;
    struct hook *h = ssl ? calloc(1, sizeof(*h)) : NULL;
    if (!h || SSL_set_ex_data(ssl, conn_index, h) != 1) {
        free(h);
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    *h = (struct hook){freed, arg, {0}}; /* last: nothing is told about what never was */
    SSL_set_accept_state(ssl);
    return ssl;
}

static void on_message(int write, int version, int type, const void *buf, size_t size, SSL *ssl,
                       void *arg)
{
    const struct hook *h = SSL_get_ex_data(ssl, conn_index);
    const uint8_t *head = buf;
    (void)version, (void)arg;
    if (write || !h)
        return;
    if (type == SSL3_RT_HEADER && size == SSL3_RT_HEADER_LENGTH) /* RFC 8446, 5.1 */
        h->watch.bytes(h->arg, (size_t)head[3] << 8 | head[4]);
    else if (type == SSL3_RT_HANDSHAKE && size > 0 && head[0] == SSL3_MT_KEY_UPDATE) /* 4.6.3 */
        h->watch.key_update(h->arg);
}

void cczi_web_watch(struct ssl_st *ssl, const struct cczi_web_watch *watch)
{
    struct hook *h = have_index() ? SSL_get_ex_data(ssl, conn_index) : NULL;
    if (!h)
        return;
    h->watch = *watch;
    SSL_set_msg_callback(ssl, on_message);
}

void *cczi_web_conn_arg(const struct ssl_st *ssl)
{
    const struct hook *h = have_index() ? SSL_get_ex_data(ssl, conn_index) : NULL;
    return h ? h->arg : NULL;
}

ccz_rc cczi_web_peer(uint8_t spki_sha256[32], const struct ssl_st *ssl)
{
    memset(spki_sha256, 0, 32);
    const X509 *cert = SSL_is_init_finished(ssl) ? SSL_get0_peer_certificate(ssl) : NULL;
    if (!cert)
        return CCZ_E_NOT_FOUND;
    uint8_t *der = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    ccz_rc rc = size > 0 ? ccz_sha256(spki_sha256, CCZ_SPAN(der, (size_t)size)) : CCZ_E_NOMEM;
    OPENSSL_free(der);
    ERR_clear_error();
    return rc;
}

int cczi_web_fd(const struct ssl_st *ssl)
{
    int fd = SSL_get_fd(ssl);
    ERR_clear_error();
    return fd;
}

/* ----------------------------------------------------------------------------- configuration */

static bool good_kind(EVP_PKEY *key)
{
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        return cczi_rsa_cheap(key);
    char group[32] = "";
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
           (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0);
}

/* The certificate is a wrapper of a key here. What it says, and who signed it, is not looked at, so that it cannot matter. Called with
 * the Certificate message: with a key that is refused here no CertificateVerify is checked. */
static int take_client(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    const X509 *cert = X509_STORE_CTX_get0_cert(store);
    EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;
    bool good = key && good_kind(key);
    X509_STORE_CTX_set_error(
        store, good ? X509_V_OK : X509_V_ERR_INVALID_PURPOSE); /* alert: unsupported_certificate */
    return good;
}

static const unsigned char http11[] = "\x08http/1.1";

/* Clients without ALPN speak HTTP/1.1; who offers other protocols alone is told so by an alert. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                   const unsigned char *in, unsigned in_size, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *selected;
    if (SSL_select_next_proto(&selected, out_size, http11, sizeof(http11) - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_protocol(SSL_CTX *s)
{
    static const char sigalgs[] = "ECDSA+SHA256:ECDSA+SHA384:rsa_pss_rsae_sha256:"
                                  "rsa_pss_rsae_sha384:rsa_pss_rsae_sha512";
    SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(s, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(s, SSL_MODE_RELEASE_BUFFERS); /* idle connections are many */
    /* or SSL_read() returns only when the socket is empty: never, to a peer who sends nothing but KeyUpdate fast enough */
    SSL_CTX_clear_mode(s, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_max_cert_list(s, CLIENT_CERTS_SIZE_MAX);
    SSL_CTX_set_alpn_select_cb(s, on_alpn, NULL);
    return SSL_CTX_set_min_proto_version(s, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(s, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_num_tickets(s, 0) == 1 && SSL_CTX_set_max_early_data(s, 0) == 1 &&
           SSL_CTX_set1_groups_list(s, "X25519:P-256:P-384") == 1 &&
           SSL_CTX_set1_sigalgs_list(s, sigalgs) == 1 &&
           SSL_CTX_set1_client_sigalgs_list(s, sigalgs) == 1 &&
           SSL_CTX_set_ciphersuites(s, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                                       "TLS_AES_256_GCM_SHA384") == 1;
}

/* No passphrase is asked for, neither here nor on a terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static ccz_rc use_chain(SSL_CTX *s, struct ccz_span pem, struct ccz_err *err)
{
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.size);
    ccz_rc rc = in ? CCZ_OK : CCZ_E_NOMEM;
    size_t n = 0;
    while (rc == CCZ_OK) {
        X509 *cert = PEM_read_bio_X509(in, NULL, no_password, NULL);
        if (!cert)
            break;
        if (++n > CHAIN_MAX)
            rc = ccz_fail(err, CCZ_E_LIMIT, "tls:web-chain", CHAIN_MAX, "more than %d certificates",
                          CHAIN_MAX);
        else if ((n == 1 ? SSL_CTX_use_certificate(s, cert) : SSL_CTX_add1_chain_cert(s, cert)) !=
                 1)
            rc = fail_openssl(err, CCZ_E_FORMAT, "tls:web-certificate",
                              "OpenSSL refuses a certificate");
        X509_free(cert);
    }
    BIO_free(in);
    /* the end of the text is no error; half a certificate before it is */
    bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (rc == CCZ_OK && (n == 0 || !end))
        rc = fail_openssl(err, CCZ_E_FORMAT, "tls:web-certificate", "no chain of certificates");
    ERR_clear_error();
    return rc;
}

static ccz_rc read_key(EVP_PKEY **out, const struct ccz_secret *pem, struct ccz_err *err)
{
    BIO *in = BIO_new_mem_buf(ccz_secret_view(pem), (int)ccz_secret_size(pem));
    *out = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    return *out ? CCZ_OK
                : fail_openssl(err, CCZ_E_FORMAT, "tls:web-key", "no unencrypted private key");
}

static ccz_rc use_pair(SSL_CTX *s, EVP_PKEY *key, struct ccz_err *err)
{
    if (!good_kind(key)) {
        ccz_refuse(err, CCZ_E_UNSUPPORTED, "tls:web-key-kind", "another kind of key",
                   "EC on P-256 or P-384, RSA of 2048 to 4096 bits with a usual exponent");
        return CCZ_E_UNSUPPORTED;
    }
    if (SSL_CTX_use_PrivateKey(s, key) == 1 && SSL_CTX_check_private_key(s) == 1)
        return CCZ_OK;
    return fail_openssl(err, CCZ_E_MISMATCH, "tls:web-pair",
                        "the certificate is for another key than the private key given");
}

static ccz_rc use_files(SSL_CTX *s, const struct cczi_web_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = use_chain(s, cfg->cert_pem, err);
    EVP_PKEY *key = NULL;
    if (rc == CCZ_OK)
        rc = read_key(&key, cfg->key_pem, err);
    if (rc == CCZ_OK)
        rc = use_pair(s, key, err);
    EVP_PKEY_free(key);
    return rc;
}

static ccz_rc use_own(SSL_CTX *s, const struct cczi_web_cfg *cfg, struct ccz_err *err)
{
    EVP_PKEY *pair = cczi_key_pair(cfg->key);
    if (!pair)
        return ccz_fail(err, CCZ_E_ARG, "tls:web-identity", 0, "the key has no private half");
    if (SSL_CTX_use_certificate_ASN1(s, (int)cfg->cert_der.size, cfg->cert_der.ptr) != 1)
        return fail_openssl(err, CCZ_E_FORMAT, "tls:web-certificate",
                            "OpenSSL refuses the certificate");
    return use_pair(s, pair, err);
}

ccz_rc cczi_web_new(struct cczi_web **out, const struct cczi_web_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    bool files = cfg->cert_pem.size && cfg->key_pem, own = cfg->cert_der.size && cfg->key;
    if (files == own || cfg->cert_pem.size > INT32_MAX || cfg->cert_der.size > INT32_MAX)
        return ccz_fail(err, CCZ_E_ARG, "tls:web-identity", 0,
                        "one certificate and its private key are needed");
    CCZ_AUTO(cczi_web) w = calloc(1, sizeof(*w));
    if (w)
        w->ctx = SSL_CTX_new(TLS_server_method());
    if (!w || !w->ctx || !set_protocol(w->ctx))
        return fail_openssl(err, CCZ_E_INTERNAL, "tls:web-context", "cannot make a TLS context");
    if (cfg->ask_client) {
        SSL_CTX_set_verify(w->ctx, SSL_VERIFY_PEER, NULL); /* and none is fine */
        SSL_CTX_set_cert_verify_callback(w->ctx, take_client, NULL);
    }
    ccz_rc rc = files ? use_files(w->ctx, cfg, err) : use_own(w->ctx, cfg, err);
    if (rc == CCZ_OK)
        *out = cczi_web_take(&w);
    ERR_clear_error();
    return rc;
}

void cczi_web_free(struct cczi_web *w)
{
    if (!w)
        return;
    SSL_CTX_free(w->ctx);
    free(w);
}

static int64_t seconds(const ASN1_TIME *t)
{
    int days = 0, secs = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool ok = epoch && ASN1_TIME_diff(&days, &secs, epoch, t) == 1;
    ASN1_TIME_free(epoch);
    return ok ? (int64_t)days * 86400 + secs : 0;
}

void cczi_web_validity(int64_t *not_before_s, int64_t *not_after_s, const struct cczi_web *w)
{
    const X509 *leaf = SSL_CTX_get0_certificate(w->ctx);
    *not_before_s = seconds(X509_get0_notBefore(leaf));
    *not_after_s = seconds(X509_get0_notAfter(leaf));
    ERR_clear_error();
}
