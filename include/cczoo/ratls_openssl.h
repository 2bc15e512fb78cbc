/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RATLS_OPENSSL_H
#define CCZ_RATLS_OPENSSL_H
/**
 * @file ratls_openssl.h
 * RA-TLS for programs that already speak TLS with OpenSSL 3: one call on their SSL_CTX, and nothing else changes.
 * Part of module ratls. examples/openssl-server-client.c is a whole program.
 *
 * Handshake profile (ratls.h): fresh evidence inside the handshake, between our own peers. Certificate profile: own
 * evidence in the certificate, as Gramine and others have it; it interoperates, and it is not fresh. In both, the peer is
 * judged inside the handshake. What a refused peer learns is a TLS alert; in TLS 1.3 a client's SSL_connect() is done before the server has judged it, so that the alert meets its first read.
 */
#include <cczoo/ratls.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ssl_ctx_st; /* SSL_CTX */
struct ssl_st;     /* SSL */

/**
 * Sets up @p ssl_ctx as @p cfg says: TLS 1.3 only; no tickets, resumption and early data, which would skip the
 * evidence; own certificate and key; the peer's certificate required and judged. Verify mode and callbacks set before
 * are replaced; do not set them, nor sessions, afterwards. The rest of @p ssl_ctx is the program's.
 * Takes as long as making its evidence does; with the handshake profile each handshake does, inside SSL_connect() or
 * SSL_accept().
 * @param cfg  profile CCZ_RATLS_HANDSHAKE or CCZ_RATLS_CERTIFICATE; copied. What attest_arg, appraise_arg and pin_arg point to must outlive
 *             @p ssl_ctx and its connections; called from every thread that shakes hands
 * @retval CCZ_E_ARG     "ratls:config"
 * @retval CCZ_E_EXISTS  "tls:adopt": @p ssl_ctx was set up before
 * @return else of the attest hook, ccz_cert_issue(), OpenSSL. After a failure, free @p ssl_ctx
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_setup_ssl_ctx(struct ssl_ctx_st *ssl_ctx,
                                                    const struct ccz_ratls_cfg *cfg,
                                                    struct ccz_err *err);
/** What is known about the peer: NULL before the handshake is done, if the peer was refused, if the session was resumed,
 *  and on a server that asks for nothing. Whoever requires evidence does not talk on NULL. Borrowed from @p ssl.
 *  Certificate profile: `fresh` is false, the evidence is as old as the certificate. */
CCZ_API const struct ccz_ratls_peer *ccz_ratls_ssl_peer(const struct ssl_st *ssl);
/** Why this side refused the peer, NULL if it did not; for the log line after SSL_connect() or SSL_accept() failed with
 *  "certificate verify failed". Borrowed from @p ssl. */
CCZ_API const struct ccz_err *ccz_ratls_ssl_error(const struct ssl_st *ssl);

/**
 * Handshake profile in the SSL_CTX of a library that makes it inside and shows it to nobody, without a change to that
 * library (struct ccz_tls_watch has the conditions). For libgrpc, grpc_creds.h does all of this.
 */
struct ccz_ratls_watch;
struct ccz_ratls_watch_ops {
    /** The peer with this certificate was accepted. Its possession of the key is proved a moment later, or the
     *  handshake fails. From the thread that shakes hands. */
    void (*accepted)(void *arg, struct ccz_span cert_der, const struct ccz_ratls_peer *peer);
    void (*refused)(void *arg, const struct ccz_err *why); /**< NULL is fine */
};
/**
 * @param[out] cert_der  appended: the certificate by which the library's SSL_CTX is known; give it and
 * @param[out] key       its key to the library
 * @param      cfg       profile CCZ_RATLS_HANDSHAKE, `alpn` NULL; copied. What its hooks use must live until
 *                       ccz_ratls_watch_free()
 * @param      ops       copied
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_watch_new(struct ccz_ratls_watch **out,
                                                struct ccz_buf *cert_der, struct ccz_key **key,
                                                const struct ccz_ratls_cfg *cfg,
                                                const struct ccz_ratls_watch_ops *ops,
                                                void *ops_arg, struct ccz_err *err);
/** A fresh key and certificate for the connections from now on; those that are open keep theirs. The library knows
 *  nothing of it, and never has this key. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_watch_renew(struct ccz_ratls_watch *w, int64_t now_s,
                                                  struct ccz_err *err);
/** No hook runs any more when this returns; new connections of the library are refused from then on. */
CCZ_API void ccz_ratls_watch_free(struct ccz_ratls_watch *w);
CCZ_DEFINE_AUTO(ccz_ratls_watch)

#ifdef __cplusplus
}
#endif
#endif
