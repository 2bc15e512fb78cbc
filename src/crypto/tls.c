/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS connection over two memory buffers. Configuration and callbacks: tls_ctx.c. */
#include "base/copy.h"
#include "tls_priv.h"

#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_PLAIN_MAX = 16384,    /* RFC 8446, 5.1 */
    RECORD_OVERHEAD_MAX = 256,   /* 5.2: header, content type, tag */
    JOIN_MAX = RECORD_PLAIN_MAX, /* what is copied into one record: cheaper than a second one */
    READ_PIECE = 2048, /* libssl copies what it decrypted with memcpy(): see base/copy.h */
};
/* RFC 8446, 5.5: AES-GCM protects 2^24.5 full records per key; a new key is made well before. */
#define RECORDS_MAX (UINT64_C(1) << 23)

/* ---------------------------------------------------------- the wire, as an OpenSSL BIO */

static int wire_read(BIO *bio, char *to, int size)
{
    struct ccz_tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    bool kept = t->in_at < t->in.size;
    struct ccz_span from = kept ? CCZ_SPAN(t->in.ptr + t->in_at, t->in.size - t->in_at) : t->lent;
    if (from.size == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = from.size < (size_t)size ? from.size : (size_t)size;
    cczi_copy(to, from.ptr, n);
    if (kept)
        t->in_at += n;
    else
        t->lent = ccz_span_sub(t->lent, n, t->lent.size - n);
    return (int)n;
}

static int wire_write(BIO *bio, const char *from, int size)
{
    struct ccz_tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ccz_buf_put(&t->out, from, (size_t)size);
    return t->out.bad ? -1 : size;
}

static long wire_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH; /* nothing to flush; every other request is not for memory */
}

static BIO_METHOD *wire_method;
static CRYPTO_ONCE wire_once = CRYPTO_ONCE_STATIC_INIT;

static void make_wire_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cczoo wire");
    if (m && BIO_meth_set_read(m, wire_read) == 1 && BIO_meth_set_write(m, wire_write) == 1 &&
        BIO_meth_set_ctrl(m, wire_ctrl) == 1)
        wire_method = m;
}

static bool attach_wire(struct ccz_tls *t)
{
    if (CRYPTO_THREAD_run_once(&wire_once, make_wire_method) != 1 || !wire_method)
        return false;
    BIO *bio = BIO_new(wire_method);
    if (!bio)
        return false;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio); /* owned by ssl */
    return true;
}

/* ------------------------------------------------------------------------------- lifetime */

ccz_rc ccz_tls_new(struct ccz_tls **out, struct ccz_tls_ctx *ctx, void *conn_arg, const char *sni)
{
    *out = NULL;
    CCZ_AUTO(ccz_tls) t = calloc(1, sizeof(*t));
    if (!t)
        return CCZ_E_NOMEM;
    ccz_buf_init(&t->in, CCZ_TLS_BUFFER_MAX);
    ccz_buf_init(&t->out, CCZ_TLS_BUFFER_MAX);
    t->ctx = ctx;
    t->conn_arg = conn_arg;
    t->records_max = RECORDS_MAX;
    t->ssl = SSL_new(ctx->ssl);
    bool ok = t->ssl && SSL_set_app_data(t->ssl, t) == 1 && attach_wire(t);
    if (ok && sni && !ctx->server)
        ok = SSL_set_tlsext_host_name(t->ssl, sni) == 1;
    ERR_clear_error();
    if (!ok)
        return CCZ_E_NOMEM;
    if (ctx->server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    *out = ccz_tls_take(&t);
    return CCZ_OK;
}

void ccz_tls_free(struct ccz_tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    OPENSSL_free(t->peer_der);
    cczi_proof_free(t->proof);
    ccz_buf_free(&t->in);
    ccz_buf_free(&t->out);
    free(t);
}

void cczi_tls_set_records_max(struct ccz_tls *t, uint64_t records_max)
{
    t->records_max = records_max;
}

/* --------------------------------------------------------------------------------- errors */

/* OpenSSL's reasons that a human can act on, each with its own `where`. */
static const struct reason {
    int reason;
    const char *where;
    const char *hint;
} reasons[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, "tls:version", "both sides must speak TLS 1.3"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "tls:no-peer-certificate",
     "the client must present a certificate"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, "tls:no-common-group", "X25519 or P-256 is needed"},
    {SSL_R_NO_SHARED_CIPHER, "tls:no-common-cipher", NULL},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "tls:no-common-signature",
     "the identities are ECDSA with P-256 or P-384"},
    {SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, "tls:no-common-signature",
     "the identities are ECDSA with P-256 or P-384"},
    {SSL_R_BAD_SIGNATURE, "tls:certificate-verify", "the peer does not hold its certificate's key"},
    {SSL_R_DIGEST_CHECK_FAILED, "tls:finished", NULL},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "tls:record", "bytes were changed on the way"},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, "tls:message-size", NULL},
    {SSL_R_WRONG_VERSION_NUMBER, "tls:not-tls", "does the peer speak TLS on this port?"},
    {SSL_R_HTTP_REQUEST, "tls:not-tls", "the peer speaks plain HTTP on this port"},
};

static void fail_with_reason(struct ccz_tls *t, int reason, const char *text)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].reason != reason)
            continue;
        if (reason == SSL_R_UNSUPPORTED_PROTOCOL)
            (void)ccz_refuse(&t->fail, CCZ_E_PEER, reasons[i].where, "an older version", "TLS 1.3");
        else
            (void)ccz_fail(&t->fail, CCZ_E_PEER, reasons[i].where, 0, "%s", text);
        t->fail.aux = reason;
        (void)ccz_hint(&t->fail, CCZ_E_PEER, reasons[i].hint);
        return;
    }
    (void)ccz_fail(&t->fail, CCZ_E_PEER, t->ready ? "tls:protocol" : "tls:handshake", reason, "%s",
                   text);
}

static void fail_with_alert(struct ccz_tls *t, int alert)
{
    char got[CCZ_ERR_VALUE_SIZE];
    (void)snprintf(got, sizeof(got), "alert %d (%s)", alert, SSL_alert_desc_string_long(alert));
    (void)ccz_refuse(&t->fail, CCZ_E_PEER, "tls:peer-alert", got, "no alert");
    t->fail.aux = alert;
    (void)ccz_hint(&t->fail, CCZ_E_PEER, "the peer's log says why it refused");
}

static ccz_rc failed(const struct ccz_tls *t, struct ccz_err *err)
{
    if (err)
        *err = t->fail;
    return t->fail.rc;
}

/* The peer's direction is over; the other one goes on. */
static ccz_rc ended(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_CLOSED, "tls:closed", 0, "the peer closed the connection");
}

/* Judges a call that returned @p ret <= 0: CCZ_OK if it only needs more input. The verdict is kept.
 */
static ccz_rc judge(struct ccz_tls *t, int ret, struct ccz_err *err)
{
    int kind = SSL_get_error(t->ssl, ret);
    if (kind == SSL_ERROR_WANT_READ)
        return CCZ_OK;
    if (kind == SSL_ERROR_ZERO_RETURN && t->fail.rc == CCZ_OK) {
        t->ended = true;
        ERR_clear_error();
        return ended(err);
    }
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    const char *text = ERR_reason_error_string(code);
    if (t->fail.rc != CCZ_OK) /* a callback has said why */
        ;
    else if (t->out.bad)
        (void)ccz_fail(&t->fail, CCZ_E_LIMIT, "tls:backlog", (int64_t)t->out.size,
                       "no memory for more bytes that wait for the wire");
    else if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + UINT8_MAX)
        fail_with_alert(t, reason - SSL_AD_REASON_OFFSET);
    else
        fail_with_reason(t, reason, text ? text : "TLS failure");
    ERR_clear_error();
    return failed(t, err);
}

void ccz_tls_set_wipe(struct ccz_tls *t)
{
    t->wipe = true;
    (void)SSL_set_options(t->ssl, SSL_OP_CLEANSE_PLAINTEXT);
}

/* What the library's functions, and those of ciphers in assembly, left below. */
__attribute__((noinline)) static void burn_stack(void)
{
    uint8_t below[16384];
    ccz_wipe(below, sizeof(below));
}

/* ------------------------------------------------------------------------------ handshake */

static bool has_input(const struct ccz_tls *t)
{
    return t->in_at < t->in.size || t->lent.size > 0;
}

void ccz_tls_lend(struct ccz_tls *t, struct ccz_span wire)
{
    t->lent = wire;
}

ccz_rc ccz_tls_settle(struct ccz_tls *t)
{
    struct ccz_span rest = t->lent;
    t->lent = (struct ccz_span){0};
    return rest.size ? ccz_tls_feed(t, rest) : CCZ_OK;
}

ccz_rc ccz_tls_feed(struct ccz_tls *t, struct ccz_span wire)
{
    if (t->fail.rc != CCZ_OK || t->ended)
        return CCZ_OK; /* nobody will read it: such a peer fills no memory */
    if (t->in_at == t->in.size) {
        ccz_buf_clear(&t->in);
        t->in_at = 0;
    } else if (t->in_at > t->in.size / 2) { /* moves less than was consumed: linear in all */
        ccz_buf_consume(&t->in, t->in_at);
        t->in_at = 0;
    }
    if (wire.size > t->in.max_size - t->in.size)
        return CCZ_E_LIMIT;
    ccz_buf_put_span(&t->in, wire);
    if (!t->in.bad)
        return CCZ_OK;
    t->in.bad = false; /* nothing was appended */
    return CCZ_E_NOMEM;
}

/* SSL_get_error() looks into the thread's queue, where another user of OpenSSL may have left
 * something. Clearing an empty queue costs 0.2 us, as much as the rest of this file for a small
 * message. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/* What must hold of a finished handshake, whatever the library did. */
static ccz_rc on_finished(struct ccz_tls *t, struct ccz_err *err)
{
    const uint8_t *alpn;
    unsigned alpn_size;
    SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_size);
    int version = SSL_version(t->ssl);
    bool known = version == TLS1_3_VERSION || (version == TLS1_2_VERSION && t->ctx->public_server);
    if (!known || SSL_session_reused(t->ssl))
        (void)ccz_fail(&t->fail, CCZ_E_INTERNAL, "tls:resumed", version,
                       "not a full handshake of a version that was allowed");
    else if ((t->ctx->verify || t->ctx->proof.ask) && !t->peer_der && !t->ctx->peer_cert_optional)
        (void)ccz_fail(&t->fail, CCZ_E_INTERNAL, "tls:unverified", 0,
                       "the verify hook was not asked");
    else if (t->ctx->alpn && alpn_size == 0)
        (void)ccz_fail(&t->fail, CCZ_E_INTERNAL, "tls:alpn", 0, "no protocol was negotiated");
    if (t->fail.rc != CCZ_OK)
        return failed(t, err);
    cczi_proof_free(t->proof);
    t->proof = NULL;
    memcpy(t->alpn, alpn_size ? alpn : (const uint8_t *)"",
           alpn_size); /* one length byte: <= 255 */
    t->ready = true;
    return CCZ_OK;
}

ccz_rc ccz_tls_step(struct ccz_tls *t, struct ccz_err *err)
{
    if (t->fail.rc != CCZ_OK)
        return failed(t, err);
    if (t->ended)
        return ended(err);
    forget_errors();
    if (!t->ready) {
        int ret = SSL_do_handshake(t->ssl);
        ccz_rc rc = ret == 1 ? on_finished(t, err) : judge(t, ret, err);
        if (rc != CCZ_OK || !t->ready)
            return rc;
    }
    /* A refusal by the server comes after the client's Finished: look whether an alert is waiting.
     */
    uint8_t byte;
    size_t n;
    if (!has_input(t))
        return CCZ_OK;
    int ret = SSL_peek_ex(t->ssl, &byte, 1, &n);
    return ret == 1 ? CCZ_OK : judge(t, ret, err);
}

bool ccz_tls_ready(const struct ccz_tls *t)
{
    return t->ready;
}

/* ----------------------------------------------------------------------------------- data */

static ccz_rc read_records(struct ccz_buf *out, struct ccz_tls *t, struct ccz_err *err)
{
    if (t->fail.rc != CCZ_OK)
        return failed(t, err);
    if (!t->ready)
        return ccz_fail(err, CCZ_E_ARG, "tls:not-ready", 0, "read before the handshake is done");
    if (t->ended)
        return ended(err);
    if (!has_input(t) && !SSL_has_pending(t->ssl)) /* asking OpenSSL would cost 0.2 us */
        return CCZ_OK;
    forget_errors();
    size_t before = out->size;
    do {
        size_t room = out->max_size - out->size, n = 0;
        if (room > READ_PIECE)
            room = READ_PIECE;
        if (room == 0)
            return CCZ_OK;
        uint8_t *p = ccz_buf_extend(out, room);
        if (!p)
            return ccz_fail(err, CCZ_E_NOMEM, "tls:read", 0, "out of memory");
        int ret = SSL_read_ex(t->ssl, p, room, &n);
        out->size -= room - n;
        if (ret == 1)
            continue;
        ccz_rc rc = judge(t, ret, err);
        /* what was decrypted before is given out first; the next call tells how it ended */
        return out->size > before ? CCZ_OK : rc;
    } while (has_input(t) || SSL_has_pending(t->ssl));
    return CCZ_OK;
}

ccz_rc ccz_tls_read(struct ccz_buf *out, struct ccz_tls *t, struct ccz_err *err)
{
    size_t before = out->size;
    ccz_rc rc = read_records(out, t, err);
    if (t->wipe && out->size > before)
        burn_stack();
    return rc;
}

/* The room was checked. */
static ccz_rc put_records(struct ccz_tls *t, struct ccz_span plain, struct ccz_err *err)
{
    size_t n = 0;
    int ret = SSL_write_ex(t->ssl, plain.ptr, plain.size, &n);
    if (t->wipe)
        burn_stack();
    if (ret == 1 && n == plain.size)
        return CCZ_OK;
    if (judge(t, ret, NULL) == CCZ_OK) /* a memory buffer never asks to wait */
        (void)ccz_fail(&t->fail, CCZ_E_INTERNAL, "tls:write", 0, "the record was not written");
    return failed(t, err);
}

/* What must hold before @p size bytes are written, by @p calls calls. */
static ccz_rc begin_write(struct ccz_tls *t, size_t size, size_t calls, struct ccz_err *err)
{
    if (t->fail.rc != CCZ_OK)
        return failed(t, err);
    /* also: nothing goes to a peer before it has proved who it is (no half-RTT data) */
    if (!t->ready)
        return ccz_fail(err, CCZ_E_ARG, "tls:not-ready", 0, "write before the handshake is done");
    if (t->shut)
        return ccz_fail(err, CCZ_E_ARG, "tls:shut", 0, "write behind the end of this direction");
    size_t records = size / RECORD_PLAIN_MAX + calls, room = t->out.max_size - t->out.size;
    if (size > room || records * RECORD_OVERHEAD_MAX > room - size)
        return ccz_fail(err, CCZ_E_LIMIT, "tls:backlog", (int64_t)t->out.size,
                        "%zu bytes wait for the wire; drain them first", t->out.size);
    forget_errors();
    if (t->out.cap == 0 && size > RECORD_PLAIN_MAX && /* else it would grow, and move, by steps */
        ccz_buf_extend(&t->out, size + records * RECORD_OVERHEAD_MAX))
        t->out.size = 0;
    t->records += records;
    return t->records >= t->records_max ? ccz_tls_rekey(t, err) : CCZ_OK;
}

ccz_rc ccz_tls_write(struct ccz_tls *t, struct ccz_span plain, struct ccz_err *err)
{
    if (plain.size == 0 && t->ready && t->fail.rc == CCZ_OK)
        return CCZ_OK;
    ccz_rc rc = begin_write(t, plain.size, 1, err);
    return rc == CCZ_OK ? put_records(t, plain, err) : rc;
}

ccz_rc ccz_tls_write_both(struct ccz_tls *t, struct ccz_span head, struct ccz_span body,
                          struct ccz_err *err)
{
    uint8_t both[JOIN_MAX];
    if (head.size > JOIN_MAX)
        return ccz_fail(err, CCZ_E_ARG, "tls:write", (int64_t)head.size, "the head is too large");
    if (head.size == 0 || body.size == 0)
        return ccz_tls_write(t, head.size ? head : body, err);
    bool apart = body.size > JOIN_MAX - head.size;
    ccz_rc rc = begin_write(t, head.size + body.size, apart ? 2 : 1, err);
    if (rc != CCZ_OK)
        return rc;
    size_t with = apart ? JOIN_MAX - head.size
                        : body.size; /* a record is filled, or the head would be one of its own */
    memcpy(both, head.ptr, head.size);
    cczi_copy(both + head.size, body.ptr, with);
    rc = put_records(t, CCZ_SPAN(both, head.size + with), err);
    if (t->wipe)
        ccz_wipe(both, head.size + with);
    if (rc != CCZ_OK || with == body.size)
        return rc;
    return put_records(t, ccz_span_sub(body, with, body.size - with), err);
}

ccz_rc ccz_tls_rekey(struct ccz_tls *t, struct ccz_err *err)
{
    if (t->fail.rc != CCZ_OK)
        return failed(t, err);
    if (!t->ready)
        return ccz_fail(err, CCZ_E_ARG, "tls:not-ready", 0, "rekey before the handshake is done");
    if (t->shut)
        return ccz_fail(err, CCZ_E_ARG, "tls:shut", 0, "rekey behind the end of this direction");
    if (SSL_version(t->ssl) != TLS1_3_VERSION) /* renegotiation, which it has instead, is off */
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "tls:rekey", SSL_version(t->ssl),
                        "TLS 1.2 cannot change its keys");
    forget_errors();
    int ret = SSL_key_update(t->ssl, SSL_KEY_UPDATE_REQUESTED);
    if (ret == 1)
        ret = SSL_do_handshake(t->ssl); /* writes the message */
    if (ret == 1) {
        t->records = 0;
        return CCZ_OK;
    }
    return judge(t, ret, err);
}

ccz_rc ccz_tls_drain(struct ccz_buf *out, struct ccz_tls *t)
{
    if (t->out.size == 0)
        return CCZ_OK;
    if (out->bad || t->out.size > out->max_size - out->size)
        return CCZ_E_LIMIT;
    if (out->size == 0 &&
        !out->wipe) { /* hand the memory over, take the caller's for the next time */
        struct ccz_buf mine = t->out;
        t->out.ptr = out->ptr;
        t->out.cap = out->cap;
        out->ptr = mine.ptr;
        out->cap = mine.cap;
        out->size = mine.size;
    } else {
        ccz_buf_put_span(out, CCZ_SPAN(t->out.ptr, t->out.size));
        if (out->bad)
            return CCZ_E_NOMEM;
    }
    t->out.size = 0;
    return CCZ_OK;
}

size_t ccz_tls_pending(const struct ccz_tls *t)
{
    return t->out.size;
}

void ccz_tls_close(struct ccz_tls *t)
{
    if (!t->ready || t->shut || t->fail.rc != CCZ_OK)
        return;
    t->shut = true;
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

void ccz_tls_trim(struct ccz_tls *t)
{
    if (t->in_at == t->in.size) {
        ccz_buf_free(&t->in);
        t->in_at = 0;
    }
    if (t->out.size == 0 && !t->out.bad)
        ccz_buf_free(&t->out);
    /* OpenSSL before 3.0.14 did not look itself whether a record is half read (CVE-2024-4741) */
    if (t->ready && t->fail.rc == CCZ_OK && !SSL_has_pending(t->ssl))
        (void)SSL_free_buffers(t->ssl);
}

/* ------------------------------------------------------------------------------ what it is */

const char *ccz_tls_alpn(const struct ccz_tls *t)
{
    return t->alpn;
}

struct ccz_span ccz_tls_peer_cert(const struct ccz_tls *t)
{
    /* before the handshake is done, the peer has not proved that it holds the key */
    return t->ready ? CCZ_SPAN(t->peer_der, t->peer_size) : (struct ccz_span){0};
}

struct ccz_span ccz_tls_own_cert(const struct ccz_tls *t)
{
    return CCZ_SPAN(t->ctx->cert_der, t->ctx->cert_size);
}

ccz_rc ccz_tls_export(uint8_t *out, size_t size, struct ccz_tls *t, const char *label,
                      struct ccz_span context)
{
    ccz_wipe(out, size);
    if (!t->ready)
        return CCZ_E_ARG;
    int ok = SSL_export_keying_material(t->ssl, out, size, label, strlen(label), context.ptr,
                                        context.size, 1);
    ERR_clear_error();
    return ok == 1 ? CCZ_OK : CCZ_E_INTERNAL;
}
