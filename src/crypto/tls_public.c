/* SPDX-License-Identifier: Apache-2.0 */
/* Servers for clients of others: a certificate chain as PEM, TLS 1.2 beside 1.3, RSA beside ECDSA. */
#include "tls_priv.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

/* What clients of 2018 and later have, strongest first among equals; ECDHE and AEAD only, so that a stolen key opens no recording. */
static const char suites12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                               "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                               "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
static const char suites13[] =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
static const char signatures[] = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:"
                                 "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"
                                 "RSA+SHA256:RSA+SHA384:RSA+SHA512";

static ccz_rc set_protocol(struct ccz_tls_ctx *ctx, struct ccz_err *err)
{
    SSL_CTX *s = ctx->ssl;
    SSL_CTX_set_options(s, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_read_ahead(s, 1);
    if (!cczi_tls_ctx_no_resumption(s, TLS1_2_VERSION) ||
        SSL_CTX_set1_groups_list(s, "X25519:P-256:P-384") != 1 ||
        SSL_CTX_set1_sigalgs_list(s, signatures) != 1 ||
        SSL_CTX_set_cipher_list(s, suites12) != 1 || SSL_CTX_set_ciphersuites(s, suites13) != 1)
        return cczi_tls_fail_openssl(err, "tls:protocol", "OpenSSL refuses the protocol settings");
    return CCZ_OK;
}

/* No questions to whoever started the program. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return 0;
}

static BIO *open_text(struct ccz_span text)
{
    return text.size > 0 && text.size <= INT_MAX ? BIO_new_mem_buf(text.ptr, (int)text.size) : NULL;
}

/* The next certificate of a PEM text; NULL at its end, or with an error in OpenSSL's queue. */
static X509 *next_cert(BIO *bio)
{
    X509 *x = PEM_read_bio_X509(bio, NULL, no_password, NULL);
    if (!x && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
        ERR_clear_error();
    return x;
}

static ccz_rc set_leaf(struct ccz_tls_ctx *ctx, X509 *leaf, struct ccz_err *err)
{
    int size = i2d_X509(leaf, NULL);
    if (size > 0 && size <= CCZ_CERT_SIZE_MAX)
        ctx->cert_der = malloc((size_t)size);
    if (!ctx->cert_der)
        return ccz_fail(err, size > CCZ_CERT_SIZE_MAX ? CCZ_E_LIMIT : CCZ_E_NOMEM, "tls:chain-pem",
                        size, "no room for the certificate");
    uint8_t *p = ctx->cert_der;
    ctx->cert_size = (size_t)i2d_X509(leaf, &p);
    return SSL_CTX_use_certificate(ctx->ssl, leaf) == 1
               ? CCZ_OK
               : cczi_tls_fail_openssl(err, "tls:chain-pem", "OpenSSL refuses the certificate");
}

static ccz_rc set_chain(struct ccz_tls_ctx *ctx, struct ccz_span pem, struct ccz_err *err)
{
    BIO *bio = open_text(pem);
    ccz_rc rc = CCZ_OK;
    int len = 0;
    X509 *x;
    while (rc == CCZ_OK && bio && (x = next_cert(bio)) != NULL) {
        if (len == CCZ_TLS_CHAIN_LEN_MAX)
            rc = ccz_fail(err, CCZ_E_LIMIT, "tls:chain-pem", len, "more than %d certificates", len);
        else if (len == 0)
            rc = set_leaf(ctx, x, err);
        else if (SSL_CTX_add1_chain_cert(ctx->ssl, x) != 1)
            rc = cczi_tls_fail_openssl(err, "tls:chain-pem", "OpenSSL refuses a certificate");
        X509_free(x);
        len++;
    }
    BIO_free(bio);
    if (rc == CCZ_OK && (len == 0 || ERR_peek_error() != 0)) {
        ERR_clear_error();
        rc = ccz_fail(err, CCZ_E_FORMAT, "tls:chain-pem", len,
                      "certificate %d of the PEM text is missing or malformed", len + 1);
        return ccz_hint(err, rc, "the server's own certificate first, then those that issued it");
    }
    return rc;
}

static ccz_rc set_key(struct ccz_tls_ctx *ctx, const struct ccz_secret *pem, struct ccz_err *err)
{
    BIO *bio = pem ? open_text(CCZ_SPAN(ccz_secret_view(pem), ccz_secret_size(pem))) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (!key) {
        (void)ccz_fail(err, CCZ_E_FORMAT, "tls:key-pem", 0, "not a private key in PEM");
        return ccz_hint(err, CCZ_E_FORMAT, "an encrypted key has to be decrypted before");
    }
    const X509 *leaf = SSL_CTX_get0_certificate(ctx->ssl);
    ccz_rc rc = CCZ_OK;
    if (X509_check_private_key(leaf, key) != 1)
        rc = ccz_fail(err, CCZ_E_MISMATCH, "tls:identity-key", 0,
                      "the certificate is for another key than the private key given");
    else if (SSL_CTX_use_PrivateKey(ctx->ssl, key) != 1)
        rc = cczi_tls_fail_openssl(err, "tls:key-pem", "OpenSSL refuses the key");
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}

static ccz_rc set_peer(struct ccz_tls_ctx *ctx, const struct ccz_tls_public_cfg *cfg,
                       struct ccz_err *err)
{
    const struct ccz_tls_cfg same = {.server = true,
                                     .require_peer_cert = cfg->peer_cert != CCZ_TLS_PEER_CERT_NONE,
                                     .verify = cfg->verify,
                                     .verify_arg = cfg->verify_arg};
    ccz_rc rc = cczi_tls_ctx_set_verify(ctx, &same, err);
    if (rc == CCZ_OK && cfg->peer_cert == CCZ_TLS_PEER_CERT_OPTIONAL) {
        ctx->peer_cert_optional = true;
        SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
    }
    return rc;
}

ccz_rc ccz_tls_ctx_new_public(struct ccz_tls_ctx **out, const struct ccz_tls_public_cfg *cfg,
                              struct ccz_err *err)
{
    *out = NULL;
    ERR_clear_error();
    CCZ_AUTO(ccz_tls_ctx) ctx = cczi_tls_ctx_alloc(true);
    if (!ctx)
        return cczi_tls_fail_openssl(err, "tls:context", "cannot make a TLS context");
    ctx->public_server = true;
    ccz_rc rc = set_protocol(ctx, err);
    if (rc == CCZ_OK)
        rc = set_chain(ctx, cfg->chain_pem, err);
    if (rc == CCZ_OK)
        rc = set_key(ctx, cfg->key_pem, err);
    if (rc == CCZ_OK)
        rc = set_peer(ctx, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_tls_ctx_set_alpn(ctx, cfg->alpn, err);
    if (rc == CCZ_OK)
        *out = ccz_tls_ctx_take(&ctx);
    ERR_clear_error();
    return rc;
}
