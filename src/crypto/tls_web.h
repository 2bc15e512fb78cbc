/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_CRYPTO_TLS_WEB_H
#define CCZI_CRYPTO_TLS_WEB_H
/*
 * TLS for HTTPS servers that strangers' clients reach: certificates as authorities issue them, or one of our own; client
 * certificates asked for, not required. For the module that pins their keys; not exported. OpenSSL's error queue is left empty.
 *
 * TLS 1.3 only, no tickets, resumption or early data: who calls is known from this connection's handshake or not at all.
 * SSL_read() returns after each message of the peer (without SSL_MODE_AUTO_RETRY), with SSL_ERROR_WANT_READ if it was no data.
 */
#include <cczoo/tls.h>

struct cczi_web; /* configuration; immutable, connections keep what they need */
struct cczi_web_cfg {
    /* PEM: the chain, leaf first, and its unencrypted key: EC on P-256 or P-384, or RSA of 2048 to 4096 bits whose
     * exponent is odd and has at most 64 */
    struct ccz_span cert_pem;
    const struct ccz_secret *key_pem;
    /* or our own */
    struct ccz_span cert_der;
    const struct ccz_key *key;
    /* Ask clients for a certificate. One that is shown may be signed by anybody and say anything: the handshake proves that
     * its holder has the key, and cczi_web_peer() tells which. Keys: as above; others end the handshake with the alert
     * unsupported_certificate, before anything is verified with them. */
    bool ask_client;
};
/* @retval CCZ_E_ARG       "tls:web-identity": none, or two
 * @retval CCZ_E_FORMAT    "tls:web-certificate", "tls:web-key": no PEM, encrypted, or bytes that are none
 * @retval CCZ_E_UNSUPPORTED  "tls:web-key-kind"
 * @retval CCZ_E_MISMATCH  "tls:web-pair": the certificate is for another key
 * @retval CCZ_E_LIMIT     "tls:web-chain": more than 8 certificates */
CCZ_MUST_USE ccz_rc cczi_web_new(struct cczi_web **out, const struct cczi_web_cfg *cfg,
                                 struct ccz_err *err);
void cczi_web_free(struct cczi_web *w); /* NULL is fine */
CCZ_DEFINE_AUTO(cczi_web)
/* First and last moment of the leaf, seconds since 1970. */
void cczi_web_validity(int64_t *not_before_s, int64_t *not_after_s, const struct cczi_web *w);

/* A connection, to be accepted; NULL = no memory. @p freed is called once when it ends, by whoever frees it. */
struct ssl_st *cczi_web_conn(struct cczi_web *w, void (*freed)(void *arg), void *arg);
/* Called with the `arg` of cczi_web_conn(); both are needed. */
struct cczi_web_watch {
    void (*bytes)(void *arg, size_t size); /* a record came, of this size; nobody has read it yet */
    void (*key_update)(void *arg);         /* it was a KeyUpdate, which nobody else is told of */
};
void cczi_web_watch(struct ssl_st *ssl, const struct cczi_web_watch *watch);
/* The `arg` of cczi_web_conn(); NULL for other objects. */
void *cczi_web_conn_arg(const struct ssl_st *ssl);
/* SHA-256 of the client's public key (SubjectPublicKeyInfo). @retval CCZ_E_NOT_FOUND it showed no certificate, or is not through
 * with the handshake */
CCZ_MUST_USE ccz_rc cczi_web_peer(uint8_t spki_sha256[32], const struct ssl_st *ssl);
/* The socket, -1 while it has none. */
int cczi_web_fd(const struct ssl_st *ssl);
#endif
