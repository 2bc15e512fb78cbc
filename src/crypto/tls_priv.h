/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_TLS_PRIV_H
#define CCZI_TLS_PRIV_H
/* Shared by tls_ctx.c (configuration and callbacks) and tls.c (one connection). */
#include "crypto_priv.h"

#include <cczoo/tls.h>
#include <openssl/ssl.h>

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
};

struct ccz_tls {
    SSL *ssl;
    struct ccz_tls_ctx *ctx; /* kept alive by ssl */
    void *conn_arg;
    struct ccz_buf in; /* from the wire; bytes before in_at are consumed */
    size_t in_at;
    struct ccz_buf out; /* for the wire */
    bool ready;
    uint64_t records; /* written under the current key, at least */
    uint64_t records_max;
    uint8_t *peer_der; /* i2d_X509() of the peer's leaf */
    size_t peer_size;
    char alpn[256];
    struct ccz_err fail; /* what ended the connection; fail.rc is CCZ_OK while it lives */
};

/* Test hook: records under one key before a KeyUpdate. */
void cczi_tls_set_records_max(struct ccz_tls *t, uint64_t records_max);
#endif
