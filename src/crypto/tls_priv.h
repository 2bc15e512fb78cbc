/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_TLS_PRIV_H
#define CCZI_TLS_PRIV_H
/* Shared by tls_ctx.c (configuration and callbacks), tls_native.c (SSL_CTX of others) and tls.c (one connection). */
#include "crypto_priv.h"

#include <cczoo/tls.h>
#include <openssl/ssl.h>
#include <stddef.h>

/* Owned by its SSL_CTX (as ex data), so that it lives as long as any connection made from it. */
struct ccz_tls_ctx {
    SSL_CTX *ssl;
    bool server;
    ccz_tls_verify_fn verify;
    void *verify_arg;
    uint8_t *cert_der;
    size_t cert_size;
    uint8_t *alpn; /* wire form: length byte, name, ... */
    size_t alpn_size;
    /* Somebody else's SSL_CTX (ccz_tls_adopt()): the application data of its connections is not ours. */
    bool adopted;
    size_t conn_size;
    void (*release)(void *verify_arg);
};

/* What is known about a connection of an adopted SSL_CTX; ex data of its SSL. */
struct cczi_native {
    X509 *accepted;      /* the certificate that was presented last, if the hook accepted it */
    struct ccz_err fail; /* rc CCZ_OK: nothing was refused */
    max_align_t conn[];  /* conn_size bytes, the hook's */
};
/* Made at the first call for @p ssl; NULL = no memory. */
struct cczi_native *cczi_native_get(SSL *ssl, size_t conn_size);
/* Only what is there. */
struct cczi_native *cczi_native_find(const SSL *ssl);

struct ccz_tls {
    SSL *ssl;
    struct ccz_tls_ctx *ctx; /* kept alive by ssl */
    void *conn_arg;
    struct ccz_buf in; /* from the wire; bytes before in_at are consumed */
    size_t in_at;
    struct ccz_span lent; /* by the caller: what comes behind them */
    struct ccz_buf out;   /* for the wire */
    bool ready;
    bool ended;       /* the peer sent close_notify */
    bool shut;        /* so did this side */
    uint64_t records; /* written under the current key, at least */
    uint64_t records_max;
    uint8_t *peer_der; /* i2d_X509() of the peer's leaf */
    size_t peer_size;
    char alpn[256];
    struct ccz_err fail; /* what ended the connection; fail.rc is CCZ_OK while it lives */
};

/* tls_ctx.c: an empty configuration, owned by @p ssl from now on; NULL = no memory, or it has one. */
struct ccz_tls_ctx *cczi_tls_ctx_attach(SSL_CTX *ssl, bool server);
/* Identity, hook and ALPN protocols of @p cfg. */
CCZ_MUST_USE ccz_rc cczi_tls_ctx_configure(struct ccz_tls_ctx *ctx, const struct ccz_tls_cfg *cfg,
                                           struct ccz_err *err);
/* TLS 1.3, and every connection a full handshake. */
CCZ_MUST_USE bool cczi_tls_ctx_no_resumption(SSL_CTX *ssl);

/* Test hook: records under one key before a KeyUpdate. */
void cczi_tls_set_records_max(struct ccz_tls *t, uint64_t records_max);
#endif
