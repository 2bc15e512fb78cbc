/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TLS_H
#define CCZ_TLS_H
/**
 * @file tls.h
 * TLS 1.3 as an engine without I/O: bytes from the wire in, bytes for the wire out. Part of module
 * crypto.
 *
 * TLS 1.3 only (but for ccz_tls_ctx_new_public()), X25519 (then P-256), AES-128-GCM / ChaCha20 / AES-256-GCM, no tickets, no
 * resumption, no 0-RTT, no renegotiation: a resumed session would skip attestation (ratls.h). No
 * trust store: whether a peer certificate is acceptable is decided by the `verify` hook, which sees
 * its DER. Identities are ECDSA keys on P-256 or P-384.
 *
 * Life of a connection, both sides alike, until the caller's socket ends:
 *
 *     ccz_tls_feed(t, bytes from the wire);
 *     if (!ccz_tls_ready(t)) ccz_tls_step(t, &err); else ccz_tls_read(&plain, t, &err);
 *     ccz_tls_write(t, plain, &err);                       // once ready
 *     ccz_tls_drain(&bytes_for_the_wire, t);               // always, also after an error: it is
 * the alert
 *
 * A failure is final: every later call returns the same rc and error. The two directions end on their own:
 * ccz_tls_close() ends the outgoing one, what the peer sends is still read; CCZ_E_CLOSED from read or step says
 * that the peer has ended its own, and what is written still reaches it. A connection whose wire ends without
 * close_notify was cut: whether that matters is the caller's protocol.
 *
 * where = "tls:peer-alert" (aux = alert of RFC 8446, 6) | "tls:version" | "tls:alpn" |
 * "tls:no-peer-certificate" | "tls:no-common-group" | "tls:no-common-cipher" |
 * "tls:no-common-signature" | "tls:certificate-verify" (the peer lacks the key) | "tls:finished" |
 * "tls:peer-rsa" (an RSA key that is not of 2048 to 4096 bits, or has an exponent that is even or above 64 bits: it is refused
 * before the hook is asked and before anything is verified with it) | "tls:record" (changed bytes) | "tls:message-size" | "tls:not-tls" | "tls:handshake" and
 * "tls:protocol" (anything else, msg says what) | "tls:closed" | "tls:shut" | "tls:backlog" | "tls:not-ready" |
 * what the hook says, or "tls:peer-certificate".
 */
#include <cczoo/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Configuration shared by connections. Immutable, shareable between threads. */
struct ccz_tls_ctx;
/**
 * Decides about the peer's certificate inside the handshake (possession of its key is proved by TLS
 * itself, after the hook). Return CCZ_OK to accept; anything else aborts with alert bad_certificate
 * and becomes the result of ccz_tls_step(), with @p err.
 * @param arg            cfg.verify_arg, shared by all connections: called from several threads
 * @param conn_arg       of ccz_tls_new(); NULL for native objects
 * @param peer_cert_der  leaf only, borrowed, at most CCZ_CERT_SIZE_MAX bytes
 */
typedef ccz_rc (*ccz_tls_verify_fn)(void *arg, void *conn_arg, struct ccz_span peer_cert_der,
                                    struct ccz_err *err);

#define CCZ_TLS_PROOF_TYPE                                                                         \
    0xffcc /**< number of the extension, of the private range of RFC 8446, 11 */
#define CCZ_TLS_CHALLENGE_SIZE 32
/**
 * A proof beside the certificate, over a challenge of this very handshake, in one private extension. Who asks draws
 * CCZ_TLS_CHALLENGE_SIZE random bytes per handshake and sends them in ClientHello (clients) or CertificateRequest
 * (servers); who is asked puts its proof into its Certificate message. CertificateVerify signs all of that with the
 * certificate's key. Peers that do not know the extension ignore it.
 *
 * where = "tls:challenge-size" | "tls:challenge-reflected" (our own came back) | "tls:proof-size" (empty, or above
 * size_max) | "tls:proof-unasked" | "tls:proof-place" (not with the leaf) | what the hooks say.
 */
struct ccz_tls_proof {
    bool ask;        /**< send a challenge; without it a proof that comes all the same is refused */
    size_t size_max; /**< of a proof, own or the peer's; at most CCZ_TLS_PROOF_SIZE_MAX */
    /** Own proof, appended to @p out while the Certificate message is made: the handshake waits. NULL = there is none.
     *  @p own_spki is that of the certificate which goes with it. */
    ccz_rc (*make)(void *verify_arg, struct ccz_buf *out, struct ccz_span own_spki,
                   const uint8_t challenge[CCZ_TLS_CHALLENGE_SIZE], struct ccz_err *err);
    /** With `ask`, instead of ccz_tls_cfg.verify: judges certificate and proof. @p proof.ptr is NULL if the peer gave
     *  none; @p challenge is our own. The rest as in ccz_tls_verify_fn. */
    ccz_rc (*verify)(void *verify_arg, void *conn_arg, struct ccz_span peer_cert_der,
                     const uint8_t challenge[CCZ_TLS_CHALLENGE_SIZE], struct ccz_span proof,
                     struct ccz_err *err);
};
/** The Certificate message, own certificate included, has to stay below CCZ_CERT_SIZE_MAX on both sides. */
#define CCZ_TLS_PROOF_SIZE_MAX 64000

struct ccz_tls_cfg {
    bool server;
    struct ccz_span cert_der;  /**< own certificate; required for servers */
    const struct ccz_key *key; /**< its private key */
    /** Server: ask for and require a client certificate. Clients always get the server's. */
    bool require_peer_cert;
    /** Required when a peer certificate is expected (client, or server with require_peer_cert). */
    ccz_tls_verify_fn verify;
    void *verify_arg;
    /** ALPN protocols, most preferred first, NULL-terminated; no overlap = handshake fails. */
    const char *const *alpn;
    const struct ccz_tls_proof *proof; /**< NULL = no extension */
};
/**
 * @param cfg  copied, but for what verify_arg points to
 * @retval CCZ_E_ARG       "tls:identity", "tls:verify" (nobody would decide about the peer),
 * "tls:alpn"
 * @retval CCZ_E_MISMATCH  "tls:identity-key": the certificate is for another key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_ctx_new(struct ccz_tls_ctx **out, const struct ccz_tls_cfg *cfg,
                                            struct ccz_err *err);
CCZ_API void ccz_tls_ctx_free(struct ccz_tls_ctx *ctx); /**< connections keep what they need */
CCZ_DEFINE_AUTO(ccz_tls_ctx)

/** What is asked of the peers of a public server. */
enum ccz_tls_peer_cert {
    CCZ_TLS_PEER_CERT_NONE = 0,
    CCZ_TLS_PEER_CERT_OPTIONAL, /**< who shows one must pass the hook; who shows none gets in */
    CCZ_TLS_PEER_CERT_REQUIRED
};
/**
 * A server for clients that are not ours: TLS 1.2 and 1.3, a certificate of any authority, RSA and ECDSA keys on both sides. As
 * above in everything else: no tickets, resumption, renegotiation or early data, no trust store, whoever has to be judged is
 * judged by the hook. TLS 1.2 only with ECDHE and AEAD suites.
 */
struct ccz_tls_public_cfg {
    struct ccz_span chain_pem;        /**< own certificate, then those between it and its root */
    const struct ccz_secret *key_pem; /**< its private key, not encrypted */
    enum ccz_tls_peer_cert peer_cert;
    ccz_tls_verify_fn verify; /**< required unless PEER_CERT_NONE */
    void *verify_arg;
    const char *const *alpn; /**< as in struct ccz_tls_cfg */
};
#define CCZ_TLS_CHAIN_LEN_MAX 16 /**< certificates of a chain */
/**
 * @param cfg  copied, but for what verify_arg points to
 * @retval CCZ_E_FORMAT    "tls:chain-pem", "tls:key-pem": not what it should be
 * @retval CCZ_E_ARG       "tls:verify"
 * @retval CCZ_E_MISMATCH  "tls:identity-key": the certificate is for another key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_ctx_new_public(struct ccz_tls_ctx **out,
                                                   const struct ccz_tls_public_cfg *cfg,
                                                   struct ccz_err *err);

/** One connection. Not shareable between threads. */
struct ccz_tls;
/** Bytes that may wait on one connection, in each direction: a bound on memory, not a message
 * limit. */
#define CCZ_TLS_BUFFER_MAX 67108864
/** @param conn_arg handed to the verify hook @param sni client only, may be NULL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_new(struct ccz_tls **out, struct ccz_tls_ctx *ctx,
                                        void *conn_arg, const char *sni);
CCZ_API void ccz_tls_free(struct ccz_tls *t);
CCZ_DEFINE_AUTO(ccz_tls)
/** Plain bytes are overwritten inside once they were read or written, also on the stack of the thread. For secrets; costs a pass over
 *  them. Before the first of them. */
CCZ_API void ccz_tls_set_wipe(struct ccz_tls *t);
/** Gives bytes received from the wire; they are buffered inside (dropped after a failure).
 *  @retval CCZ_E_LIMIT  more than CCZ_TLS_BUFFER_MAX would wait: read first */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_feed(struct ccz_tls *t, struct ccz_span wire);
/** As ccz_tls_feed() without a copy: the bytes stay the caller's and must stay where they are until ccz_tls_settle(), which copies
 *  those that were not read by then. For bytes that are read at once. Only with nothing lent before. */
CCZ_API void ccz_tls_lend(struct ccz_tls *t, struct ccz_span wire);
/** @retval CCZ_E_LIMIT, CCZ_E_NOMEM  as ccz_tls_feed(); the lent bytes are given up in any case */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_settle(struct ccz_tls *t);
/**
 * Advances the handshake; CCZ_OK also when more input is needed: look at ccz_tls_ready(). After the
 * handshake it looks whether an alert has come (a client is ready before the server has judged it).
 * @retval CCZ_E_PEER    TLS failure or an alert
 * @retval CCZ_E_CLOSED  close_notify
 * @return else the rc of the verify hook
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_step(struct ccz_tls *t, struct ccz_err *err);
CCZ_API bool ccz_tls_ready(const struct ccz_tls *t); /**< handshake done on this side */
/**
 * Decrypts what is buffered and appends it to @p out, up to its maximum (then call again). CCZ_OK
 * with nothing appended: more input is needed. Data before a failure is given out first.
 * @retval CCZ_E_CLOSED  the peer sent close_notify
 * @retval CCZ_E_PEER    a changed record ("tls:record"), an alert, a protocol error
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_read(struct ccz_buf *out, struct ccz_tls *t,
                                         struct ccz_err *err);
/** Encrypts all of @p plain into the outgoing buffer, or nothing.
 *  @retval CCZ_E_ARG    "tls:not-ready": nothing is sent to a peer that has not been accepted
 *  @retval CCZ_E_LIMIT  "tls:backlog": more than CCZ_TLS_BUFFER_MAX would wait; drain, then call
 * again */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_write(struct ccz_tls *t, struct ccz_span plain,
                                          struct ccz_err *err);
/** ccz_tls_write() of @p head and @p body behind each other, both or nothing; a small body shares a record with its
 *  head. @param head  at most 16384 bytes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_write_both(struct ccz_tls *t, struct ccz_span head,
                                               struct ccz_span body, struct ccz_err *err);
/** Asks for new keys in both directions (KeyUpdate); done by itself long before a key is worn out. TLS 1.2 has no such
 *  thing: a connection ends there. @retval CCZ_E_UNSUPPORTED  "tls:rekey" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_rekey(struct ccz_tls *t, struct ccz_err *err);
/** Moves all bytes for the wire to the end of @p out; an empty @p out takes over the memory,
 * nothing is copied.
 *  @retval CCZ_E_LIMIT  they do not fit: nothing is moved */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_drain(struct ccz_buf *out, struct ccz_tls *t);
CCZ_API size_t ccz_tls_pending(const struct ccz_tls *t); /**< bytes waiting for the wire */
/** Queues close_notify: the end of this direction. Writing is refused from now on (CCZ_E_ARG, "tls:shut"). */
CCZ_API void ccz_tls_close(struct ccz_tls *t);
/** Gives back buffers that hold nothing: 34 KB and more of an idle connection. They come back by themselves; worth it when
 *  nothing has moved for a while. */
CCZ_API void ccz_tls_trim(struct ccz_tls *t);

/** Negotiated ALPN protocol, "" if none. */
CCZ_API const char *ccz_tls_alpn(const struct ccz_tls *t);
/** Peer's leaf certificate, borrowed; empty if none, and until the peer has proved that it holds
 * the key. */
CCZ_API struct ccz_span ccz_tls_peer_cert(const struct ccz_tls *t);
/** Own certificate, borrowed; empty for an anonymous client. */
CCZ_API struct ccz_span ccz_tls_own_cert(const struct ccz_tls *t);
/** TLS exporter (RFC 8446, 7.5): equal on both sides of this session only. @p out is zeroed on
 * failure.
 *  @retval CCZ_E_ARG  before the handshake is done */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_export(uint8_t *out, size_t size, struct ccz_tls *t,
                                           const char *label, struct ccz_span context);

/**
 * Native OpenSSL object for libraries that need one (libevent's HTTP server): a new SSL* in accept
 * state, owned by the caller (SSL_free), with every setting of @p ctx; the hook gets no conn_arg,
 * and as there is no call to return its refusal from, that is logged. NULL for a client's context
 * or without memory. Type-erased so that this header needs no OpenSSL.
 */
struct ssl_st;
CCZ_API struct ssl_st *ccz_tls_native_new(struct ccz_tls_ctx *ctx);

/**
 * The other way round: puts identity, hook and ALPN protocols of @p cfg into the SSL_CTX of a program that has its
 * own, and TLS 1.3 without tickets, resumption and early data. Ciphers, groups and all else stay as they are. Whoever
 * allows resumption afterwards gets connections about which ccz_tls_adopted_conn() says nothing.
 * @param conn_size  bytes of zeroed memory per connection, handed to the hook as conn_arg
 * @param release    called with cfg.verify_arg when the SSL_CTX ends (not if this fails); NULL = nothing to do
 * @retval CCZ_E_EXISTS  "tls:adopt": this SSL_CTX was set up before
 * @return else as ccz_tls_ctx_new(). After a failure, free the SSL_CTX: it is half set up
 */
struct ssl_ctx_st;
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_adopt(struct ssl_ctx_st *native, const struct ccz_tls_cfg *cfg,
                                          size_t conn_size, void (*release)(void *verify_arg),
                                          struct ccz_err *err);
/** Memory of the hook for this connection; NULL unless the hook accepted the peer and the handshake, a full one of
 *  TLS 1.3, is done. Valid as long as @p ssl, until SSL_clear(). */
CCZ_API void *ccz_tls_adopted_conn(const struct ssl_st *ssl);
/**
 * For libraries that make their SSL_CTX inside and hand out none, like libgrpc. While a watch lives, each SSL_CTX made in
 * this process that gets the certificate cfg.cert_der is treated as ccz_tls_adopt() would when its first connection is
 * made. The caller gives that certificate and its key to the library, and to nobody else. No other SSL_CTX is touched: they
 * send the same bytes, and their certificates are judged by the same functions, as without. One into which the settings
 * cannot be put, for want of memory, connects nobody.
 *
 * Only for libraries that use the same OpenSSL as this one; of an SSL_CTX made before the first watch of the process,
 * nothing is noticed. Find out with a handshake: the hook is asked in it, or it is not. Threads: any.
 *
 * @param cfg        cert_der, require_peer_cert, verify, proof and verify_arg count; key and alpn are the library's
 * @param conn_size  as in ccz_tls_adopt()
 * @param refused    is told why a handshake was refused on this side; inside it, from its thread. NULL is fine
 */
struct ccz_tls_watch;
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_watch_new(
    struct ccz_tls_watch **out, const struct ccz_tls_cfg *cfg, size_t conn_size,
    void (*refused)(void *verify_arg, const struct ccz_err *why), struct ccz_err *err);
/** Connections present @p cert_der, with @p key, from now on. The SSL_CTX keeps the certificate by which it is known. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tls_watch_identity(struct ccz_tls_watch *w,
                                                   struct ccz_span cert_der,
                                                   const struct ccz_key *key, struct ccz_err *err);
/** No hook runs any more when this returns, and handshakes of what was adopted are refused from then on. */
CCZ_API void ccz_tls_watch_free(struct ccz_tls_watch *w);
CCZ_DEFINE_AUTO(ccz_tls_watch)

/** Why this side refused the handshake of @p ssl; NULL if it did not. Borrowed from @p ssl. */
CCZ_API const struct ccz_err *ccz_tls_adopted_error(const struct ssl_st *ssl);

#ifdef __cplusplus
}
#endif
#endif
