/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_TLS_PRIV_H
#define CCZI_TLS_PRIV_H
/* Shared by tls_ctx.c (configuration and callbacks), tls_public.c (servers for clients of others), tls_native.c (SSL_CTX of others)
 * and tls.c (one connection). */
#include "crypto_priv.h"

#include <cczoo/tls.h>
#include <openssl/ssl.h>
#include <stddef.h>

/* Owned by its SSL_CTX (as ex data), so that it lives as long as any connection made from it. */
struct ccz_tls_ctx {
    SSL_CTX *ssl;
    bool server;
    bool public_server;      /* tls_public.c: TLS 1.2 too */
    bool peer_cert_optional; /* who shows none was not judged */
    ccz_tls_verify_fn verify;
    void *verify_arg;
    uint8_t *cert_der;
    size_t cert_size;
    uint8_t *alpn; /* wire form: length byte, name, ... */
    size_t alpn_size;
    struct ccz_tls_proof proof; /* zeroed = none */
    /* Somebody else's SSL_CTX (ccz_tls_adopt()): the application data of its connections is not ours. */
    bool adopted;
    size_t conn_size;
    void (*release)(void *verify_arg);
    void (*refused)(void *verify_arg, const struct ccz_err *why); /* tls_watch.c; or NULL */
};

/* One handshake's challenges, and the peer's proof (tls_proof.c). */
struct cczi_proof {
    uint8_t hello_random[32]; /* the client's: tells one handshake of an SSL from the next */
    uint8_t own[CCZ_TLS_CHALLENGE_SIZE], peer[CCZ_TLS_CHALLENGE_SIZE];
    bool asked, challenged; /* own was sent, peer was received */
    uint8_t *ptr;           /* the peer's proof; NULL = none */
    size_t size;
};
/* tls_watch.c: the extension is known to this SSL_CTX already. */
bool cczi_watch_installed(const SSL_CTX *ssl);
/* Tells the SSL_CTX about the extension; its callbacks do nothing for a configuration without proof. */
CCZ_MUST_USE bool cczi_proof_install(SSL_CTX *ssl);
/* The extension as it came, in ClientHello, CertificateRequest or with a certificate of the peer's chain (OpenSSL's
 * SSL_EXT_...). @return 1, or -1 with the alert, the reason kept */
int cczi_proof_receive(SSL *ssl, unsigned context, struct ccz_span in, size_t chain_pos,
                       int *alert);
/* Calls the hook that judges; what it used is freed. */
CCZ_MUST_USE ccz_rc cczi_proof_judge(struct ccz_tls_ctx *ctx, SSL *ssl, void *conn_arg,
                                     struct ccz_span cert_der, struct ccz_err *err);
void cczi_proof_free(struct cczi_proof *p);

/* What is known about a connection of an adopted SSL_CTX; ex data of its SSL. */
struct cczi_native {
    X509 *accepted;      /* the certificate that was presented last, if the hook accepted it */
    struct ccz_err fail; /* rc CCZ_OK: nothing was refused */
    struct cczi_proof *proof;
    max_align_t conn[]; /* conn_size bytes, the hook's */
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
    bool wipe;        /* plain bytes */
    uint64_t records; /* written under the current key, at least */
    uint64_t records_max;
    struct cczi_proof *proof; /* while shaking hands */
    uint8_t *peer_der;        /* i2d_X509() of the peer's leaf */
    size_t peer_size;
    char alpn[256];
    struct ccz_err fail; /* what ended the connection; fail.rc is CCZ_OK while it lives */
};

/* tls_ctx.c: the configuration of @p ssl, NULL = it has none of ours. */
struct ccz_tls_ctx *cczi_tls_ctx_of(const SSL *ssl);
/* tls_ctx.c: where the connection keeps its challenges; NULL = no memory for it. */
struct cczi_proof **cczi_tls_proof_place(const struct ccz_tls_ctx *ctx, SSL *ssl);
/* tls_ctx.c: keeps why the handshake is refused. */
void cczi_tls_set_fail(const struct ccz_tls_ctx *ctx, SSL *ssl, const struct ccz_err *e);
/* tls_ctx.c: an empty configuration, owned by @p ssl from now on; NULL = no memory, or it has one. */
struct ccz_tls_ctx *cczi_tls_ctx_attach(SSL_CTX *ssl, bool server);
/* Identity, hook and ALPN protocols of @p cfg. */
CCZ_MUST_USE ccz_rc cczi_tls_ctx_configure(struct ccz_tls_ctx *ctx, const struct ccz_tls_cfg *cfg,
                                           struct ccz_err *err);
/* Parts of it: the hook; the extension. */
CCZ_MUST_USE ccz_rc cczi_tls_ctx_set_verify(struct ccz_tls_ctx *ctx, const struct ccz_tls_cfg *cfg,
                                            struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_tls_ctx_set_proof(struct ccz_tls_ctx *ctx, const struct ccz_tls_cfg *cfg,
                                           struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_tls_ctx_set_alpn(struct ccz_tls_ctx *ctx, const char *const *alpn,
                                          struct ccz_err *err);
/* TLS from @p version_min to 1.3, and every connection a full handshake. */
CCZ_MUST_USE bool cczi_tls_ctx_no_resumption(SSL_CTX *ssl, int version_min);
/* An SSL_CTX with an empty configuration. NULL = no memory */
struct ccz_tls_ctx *cczi_tls_ctx_alloc(bool server);
/* What OpenSSL says, and empties its queue. */
ccz_rc cczi_tls_fail_openssl(struct ccz_err *err, const char *where, const char *what);

/* Test hook: records under one key before a KeyUpdate. */
void cczi_tls_set_records_max(struct ccz_tls *t, uint64_t records_max);
#endif
