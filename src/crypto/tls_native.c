/* SPDX-License-Identifier: Apache-2.0 */
/* The SSL_CTX of a program that has its own: it gets our identity and our hook, its connections memory of the hook. */
#include "tls_priv.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- per connection, as SSL ex data */

static int conn_index = -1;
static CRYPTO_ONCE conn_index_once = CRYPTO_ONCE_STATIC_INIT;

static void conn_release(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                         void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    struct cczi_native *n = ptr;
    if (n) {
        X509_free(n->accepted);
        cczi_proof_free(n->proof);
    }
    free(n);
}

/* SSL_dup(): the copy is another connection, nobody has judged its peer. */
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

struct cczi_native *cczi_native_find(const SSL *ssl)
{
    if (CRYPTO_THREAD_run_once(&conn_index_once, make_conn_index) != 1 || conn_index < 0)
        return NULL;
    return SSL_get_ex_data(ssl, conn_index);
}

struct cczi_native *cczi_native_get(SSL *ssl, size_t conn_size)
{
    struct cczi_native *n = cczi_native_find(ssl);
    if (n || conn_index < 0)
        return n;
    n = calloc(1, sizeof(*n) + conn_size);
    if (n && SSL_set_ex_data(ssl, conn_index, n) != 1) {
        free(n);
        n = NULL;
    }
    return n;
}

/* ------------------------------------------------------------------------------------- adoption */

ccz_rc ccz_tls_adopt(struct ssl_ctx_st *native, const struct ccz_tls_cfg *cfg, size_t conn_size,
                     void (*release)(void *verify_arg), struct ccz_err *err)
{
    struct ccz_tls_ctx *ctx = cczi_tls_ctx_attach(native, cfg->server);
    ERR_clear_error();
    if (!ctx)
        return ccz_fail(err, CCZ_E_EXISTS, "tls:adopt", 0,
                        "the SSL_CTX was set up before, or memory is out");
    ctx->adopted = true;
    ctx->conn_size = conn_size;
    ccz_rc rc = cczi_tls_ctx_no_resumption(native, TLS1_3_VERSION)
                    ? cczi_tls_ctx_configure(ctx, cfg, err)
                    : ccz_fail(err, CCZ_E_UNSUPPORTED, "tls:protocol", 0,
                               "the SSL_CTX cannot be made to speak TLS 1.3 alone");
    if (rc == CCZ_OK) {
        ctx->verify_arg = cfg->verify_arg; /* also where the hook is not asked */
        ctx->release = release;
    }
    ERR_clear_error();
    return rc;
}

/* Done, in a full TLS 1.3 handshake, and with the certificate that the hook saw: after SSL_clear() the object serves
 * another peer, who may have been asked for none. */
static bool judged(const SSL *ssl, const struct cczi_native *n)
{
    const X509 *peer = SSL_get0_peer_certificate(ssl);
    return SSL_is_init_finished(ssl) && SSL_version(ssl) == TLS1_3_VERSION &&
           !SSL_session_reused(ssl) && n->accepted && peer && X509_cmp(peer, n->accepted) == 0;
}

void *ccz_tls_adopted_conn(const struct ssl_st *ssl)
{
    struct cczi_native *n = cczi_native_find(ssl);
    return n && judged(ssl, n) ? n->conn : NULL;
}

const struct ccz_err *ccz_tls_adopted_error(const struct ssl_st *ssl)
{
    const struct cczi_native *n = cczi_native_find(ssl);
    return n && n->fail.rc != CCZ_OK ? &n->fail : NULL;
}
