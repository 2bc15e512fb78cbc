/* SPDX-License-Identifier: Apache-2.0 */
/* A challenge in ClientHello or CertificateRequest, its proof in the Certificate message: one custom extension. */
#include "tls_priv.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONTEXTS = SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_CERTIFICATE_REQUEST |
               SSL_EXT_TLS1_3_CERTIFICATE | SSL_EXT_TLS1_3_ONLY,
    CHALLENGES = SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_CERTIFICATE_REQUEST
};

void cczi_proof_free(struct cczi_proof *p)
{
    if (p)
        free(p->ptr);
    free(p);
}

static void forget_proof(struct cczi_proof *p)
{
    free(p->ptr);
    p->ptr = NULL;
    p->size = 0;
}

/* The state of the handshake that @p ssl is in. Another client random is another handshake, behind SSL_clear();
 * a HelloRetryRequest leaves it as it is, and with it the challenge. */
static struct cczi_proof *state_of(const struct ccz_tls_ctx *ctx, SSL *ssl)
{
    uint8_t random[32] = {0};
    struct cczi_proof **place = cczi_tls_proof_place(ctx, ssl);
    if (place && !*place)
        *place = calloc(1, sizeof(**place));
    if (!place || !*place)
        return NULL;
    struct cczi_proof *p = *place;
    (void)SSL_get_client_random(ssl, random, sizeof(random));
    if (memcmp(random, p->hello_random, sizeof(random)) != 0) {
        forget_proof(p);
        memset(p, 0, sizeof(*p));
        memcpy(p->hello_random, random, sizeof(random));
    }
    return p;
}

/* Ends the handshake with @p alert_code, and says why. */
static int refuse(const struct ccz_tls_ctx *ctx, SSL *ssl, int *alert, int alert_code,
                  const struct ccz_err *e)
{
    cczi_tls_set_fail(ctx, ssl, e);
    *alert = alert_code;
    return -1;
}

static int no_memory(const struct ccz_tls_ctx *ctx, SSL *ssl, int *alert)
{
    struct ccz_err e;
    (void)ccz_fail(&e, CCZ_E_NOMEM, "tls:memory", 0, "no memory for the handshake");
    return refuse(ctx, ssl, alert, SSL_AD_INTERNAL_ERROR, &e);
}

/* --------------------------------------------------------------------------------------- sending */

static int add_challenge(const struct ccz_tls_ctx *ctx, struct cczi_proof *p, SSL *ssl,
                         const unsigned char **out, size_t *size, int *alert)
{
    struct ccz_err e;
    if (!ctx->proof.ask)
        return 0;
    if (ctx->server || !p->asked) { /* a client asks the same again behind a HelloRetryRequest */
        ccz_rc rc = ccz_random(p->own, sizeof(p->own));
        if (rc != CCZ_OK) {
            (void)ccz_fail(&e, rc, "tls:random", 0, "no randomness for the challenge");
            return refuse(ctx, ssl, alert, SSL_AD_INTERNAL_ERROR, &e);
        }
    }
    forget_proof(p);
    p->asked = true;
    *out = p->own;
    *size = sizeof(p->own);
    return 1;
}

/* The proof over the peer's challenge and the key of @p cert, which goes out with it. */
static ccz_rc make_proof(struct ccz_buf *out, const struct ccz_tls_ctx *ctx,
                         const struct cczi_proof *p, X509 *cert, struct ccz_err *err)
{
    uint8_t *spki = NULL;
    int size = cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki) : 0;
    if (size <= 0)
        return ccz_fail(err, CCZ_E_INTERNAL, "tls:proof", 0, "the own key cannot be encoded");
    ccz_rc rc = ctx->proof.make(ctx->verify_arg, out, CCZ_SPAN(spki, (size_t)size), p->peer, err);
    OPENSSL_free(spki);
    return rc;
}

static int add_proof(const struct ccz_tls_ctx *ctx, struct cczi_proof *p, SSL *ssl, X509 *cert,
                     const unsigned char **out, size_t *size, int *alert)
{
    struct ccz_err e = {.rc = CCZ_OK};
    if (!ctx->proof.make || !p->challenged)
        return 0;
    struct ccz_buf b;
    ccz_buf_init(&b, ctx->proof.size_max);
    ccz_rc rc = make_proof(&b, ctx, p, cert, &e);
    if (rc == CCZ_OK && (b.bad || b.size == 0))
        rc = ccz_fail(&e, CCZ_E_LIMIT, "tls:proof-size", (int64_t)b.size,
                      "the own proof is empty or above %zu bytes", ctx->proof.size_max);
    if (rc != CCZ_OK) {
        ccz_buf_free(&b);
        if (e.rc == CCZ_OK) /* a hook that gave no reason */
            (void)ccz_fail(&e, rc, "tls:proof", 0, "the own proof could not be made");
        e.rc = rc;
        return refuse(ctx, ssl, alert, SSL_AD_INTERNAL_ERROR, &e);
    }
    *out = b.ptr; /* freed by ext_free() */
    *size = b.size;
    return 1;
}

static int ext_add(SSL *ssl, unsigned type, unsigned context, const unsigned char **out,
                   size_t *size, X509 *cert, size_t chain_pos, int *alert, void *arg)
{
    (void)type, (void)arg;
    const struct ccz_tls_ctx *ctx = cczi_tls_ctx_of(ssl);
    if (!ctx || ctx->proof.size_max == 0)
        return 0; /* somebody else's: nothing of ours is sent */
    struct cczi_proof *p = state_of(ctx, ssl);
    if (!p)
        return no_memory(ctx, ssl, alert);
    if (context & CHALLENGES)
        return add_challenge(ctx, p, ssl, out, size, alert);
    return chain_pos == 0 ? add_proof(ctx, p, ssl, cert, out, size, alert) : 0;
}

static void ext_free(SSL *ssl, unsigned type, unsigned context, const unsigned char *out, void *arg)
{
    (void)ssl, (void)type, (void)arg;
    if (!(context & CHALLENGES))
        free((void *)(uintptr_t)out);
}

/* ------------------------------------------------------------------------------------- receiving */

static int take_challenge(const struct ccz_tls_ctx *ctx, struct cczi_proof *p, SSL *ssl,
                          struct ccz_span in, int *alert)
{
    struct ccz_err e;
    if (in.size != CCZ_TLS_CHALLENGE_SIZE) {
        (void)ccz_refuse_num(&e, CCZ_E_FORMAT, "tls:challenge-size", (int64_t)in.size,
                             CCZ_TLS_CHALLENGE_SIZE);
        return refuse(ctx, ssl, alert, SSL_AD_DECODE_ERROR, &e);
    }
    if (p->asked && ccz_ct_eq(in.ptr, p->own, sizeof(p->own))) {
        (void)ccz_fail(&e, CCZ_E_PEER, "tls:challenge-reflected", 0,
                       "the peer sent our own challenge back");
        return refuse(ctx, ssl, alert, SSL_AD_ILLEGAL_PARAMETER, &e);
    }
    memcpy(p->peer, in.ptr, sizeof(p->peer));
    p->challenged = true;
    return 1;
}

static int take_proof(const struct ccz_tls_ctx *ctx, struct cczi_proof *p, SSL *ssl,
                      struct ccz_span in, size_t chain_pos, int *alert)
{
    struct ccz_err e;
    if (!p->asked) /* nobody looks at it, so it must not look as if somebody had */
        (void)ccz_fail(&e, CCZ_E_PEER, "tls:proof-unasked", (int64_t)in.size,
                       "the peer sent a proof that was not asked for");
    else if (chain_pos != 0)
        (void)ccz_fail(&e, CCZ_E_PEER, "tls:proof-place", (int64_t)chain_pos,
                       "a proof belongs to the peer's own certificate");
    else if (in.size == 0 || in.size > ctx->proof.size_max)
        (void)ccz_fail(&e, CCZ_E_LIMIT, "tls:proof-size", (int64_t)in.size,
                       "a proof of %zu bytes, allowed 1 to %zu", in.size, ctx->proof.size_max);
    else {
        forget_proof(p);
        p->ptr = malloc(in.size);
        if (!p->ptr)
            return no_memory(ctx, ssl, alert);
        memcpy(p->ptr, in.ptr, in.size);
        p->size = in.size;
        return 1;
    }
    return refuse(ctx, ssl, alert, SSL_AD_ILLEGAL_PARAMETER, &e);
}

int cczi_proof_receive(SSL *ssl, unsigned context, struct ccz_span in, size_t chain_pos, int *alert)
{
    const struct ccz_tls_ctx *ctx = cczi_tls_ctx_of(ssl);
    if (!ctx || ctx->proof.size_max == 0)
        return 1;
    struct cczi_proof *p = state_of(ctx, ssl);
    if (!p)
        return no_memory(ctx, ssl, alert);
    return context & CHALLENGES ? take_challenge(ctx, p, ssl, in, alert)
                                : take_proof(ctx, p, ssl, in, chain_pos, alert);
}

static int ext_parse(SSL *ssl, unsigned type, unsigned context, const unsigned char *in,
                     size_t size, X509 *cert, size_t chain_pos, int *alert, void *arg)
{
    (void)type, (void)cert, (void)arg;
    return cczi_proof_receive(ssl, context, CCZ_SPAN(in, size), chain_pos, alert);
}

bool cczi_proof_install(SSL_CTX *ssl)
{
    return cczi_watch_installed(ssl) ||
           SSL_CTX_add_custom_ext(ssl, CCZ_TLS_PROOF_TYPE, CONTEXTS, ext_add, ext_free, NULL,
                                  ext_parse, NULL) == 1;
}

ccz_rc cczi_proof_judge(struct ccz_tls_ctx *ctx, SSL *ssl, void *conn_arg, struct ccz_span cert_der,
                        struct ccz_err *err)
{
    struct cczi_proof *p = state_of(ctx, ssl);
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "tls:memory", 0, "no memory for the handshake");
    if (!p->asked) /* TLS 1.2, or a library that did not call us */
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "tls:proof-not-asked", 0,
                        "no challenge was sent in this handshake, as in any below TLS 1.3");
    ccz_rc rc = ctx->proof.verify(ctx->verify_arg, conn_arg, cert_der, p->own,
                                  CCZ_SPAN(p->ptr, p->size), err);
    forget_proof(p);
    return rc;
}
