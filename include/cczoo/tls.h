/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TLS_H
#define CCZ_TLS_H
/**
 * @file tls.h
 * TLS 1.3 as an engine without I/O: bytes from the wire in, bytes for the wire out. Part of module crypto.
 *
 * TLS 1.3 only, X25519 (then P-256), AES-128-GCM / ChaCha20 / AES-256-GCM, no tickets, no resumption,
 * no 0-RTT, no renegotiation: a resumed session would skip attestation (ratls.h). No trust store:
 * whether a peer certificate is acceptable is decided by the `verify` hook, which sees its DER.
 */
#include <cczoo/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_tls_ctx;
/**
 * Decides about the peer's certificate inside the handshake (possession of its key is proved by TLS
 * itself). Return CCZ_OK to accept; anything else aborts with alert bad_certificate and becomes the
 * result of ccz_tls_step(), with @p err.
 */
typedef ccz_rc (*ccz_tls_verify_fn)(void *arg, void *conn_arg, struct ccz_span peer_cert_der, struct ccz_err *err);

struct ccz_tls_cfg {
    bool server;
    struct ccz_span cert_der;      /**< own certificate; required for servers */
    const struct ccz_key *key;     /**< its private key */
    /** Server: ask for and require a client certificate. Clients always get the server's. */
    bool require_peer_cert;
    /** Required when a peer certificate is expected (client, or server with require_peer_cert). */
    ccz_tls_verify_fn verify;
    void *verify_arg;
    /** ALPN protocols, most preferred first, NULL-terminated; no overlap = handshake fails. */
    const char *const *alpn;
};
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_ctx_new(struct ccz_tls_ctx **out, const struct ccz_tls_cfg *cfg, struct ccz_err *err);
CCZ_API void ccz_tls_ctx_free(struct ccz_tls_ctx *ctx); /**< connections keep what they need */
CCZ_DEFINE_AUTO(ccz_tls_ctx)

/** One connection. Not shareable between threads. */
struct ccz_tls;
/** Bytes that may wait on one connection, in each direction: a bound on memory, not a message limit. */
#define CCZ_TLS_BUFFER_MAX 67108864
/** @param conn_arg handed to the verify hook @param sni client only, may be NULL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_new(struct ccz_tls **out, struct ccz_tls_ctx *ctx, void *conn_arg, const char *sni);
CCZ_API void ccz_tls_free(struct ccz_tls *t);
CCZ_DEFINE_AUTO(ccz_tls)
/** Gives bytes received from the wire; they are buffered inside. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_feed(struct ccz_tls *t, struct ccz_span wire);
/** Advances the handshake. @return CCZ_OK; look at ccz_tls_ready(). Errors: CCZ_E_PEER (TLS failure), CCZ_E_CLOSED,
 *  or the rc of the verify hook */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_step(struct ccz_tls *t, struct ccz_err *err);
CCZ_API bool ccz_tls_ready(const struct ccz_tls *t); /**< handshake done on this side */
/** Decrypts what is buffered and appends it to @p out (up to its maximum).
 *  @retval CCZ_E_CLOSED the peer sent close_notify */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_read(struct ccz_buf *out, struct ccz_tls *t, struct ccz_err *err);
/** Encrypts all of @p plain into the outgoing buffer. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_write(struct ccz_tls *t, struct ccz_span plain, struct ccz_err *err);
/** Asks for new keys in both directions (KeyUpdate); done by itself long before a key is worn out. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_rekey(struct ccz_tls *t, struct ccz_err *err);
/** Moves the bytes for the wire to the end of @p out. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_drain(struct ccz_buf *out, struct ccz_tls *t);
CCZ_API size_t ccz_tls_pending(const struct ccz_tls *t); /**< bytes waiting for the wire */
CCZ_API void ccz_tls_close(struct ccz_tls *t);           /**< queues close_notify */

/** Negotiated ALPN protocol, "" if none. */
CCZ_API const char *ccz_tls_alpn(const struct ccz_tls *t);
/** Peer's leaf certificate, borrowed; empty if none. */
CCZ_API struct ccz_span ccz_tls_peer_cert(const struct ccz_tls *t);
/** Own certificate, borrowed. */
CCZ_API struct ccz_span ccz_tls_own_cert(const struct ccz_tls *t);
/** TLS exporter (RFC 8446 section 7.5), after the handshake. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_export(uint8_t *out, size_t size, struct ccz_tls *t, const char *label,
                                           struct ccz_span context);

/** Native OpenSSL object for libraries that need one (libevent's HTTP server): a new SSL* in accept state,
 *  owned by the caller. Type-erased so that this header needs no OpenSSL. */
struct ssl_st;
CCZ_API struct ssl_st *ccz_tls_native_new(struct ccz_tls_ctx *ctx);

#ifdef __cplusplus
}
#endif
#endif
