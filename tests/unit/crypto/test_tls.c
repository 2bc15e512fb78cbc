/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS engine: two ends over memory, against itself and against plain OpenSSL; each refusal on
 * both sides. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "tls_pair.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <pthread.h>

/* ----------------------------------------------------------------------------- handshake */

static void test_mutual(void)
{
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server);
    CHECK(ccz_tls_peer_cert(p.client.t).size == 0 && ccz_tls_alpn(p.client.t)[0] == 0);
    shake(&p);
    CHECK(both_ready(&p));
    CHECK(w.client_judge.asked == 1 && w.server_judge.asked == 1);
    CHECK(w.client_judge.conn_arg == &client_tag && w.server_judge.conn_arg == &server_tag);
    CHECK(ccz_span_eq(ccz_buf_span(&w.client_judge.der), ccz_buf_span(&server_id.der)));
    CHECK(ccz_span_eq(ccz_tls_peer_cert(p.client.t), ccz_buf_span(&server_id.der)));
    CHECK(ccz_span_eq(ccz_tls_peer_cert(p.server.t), ccz_buf_span(&client_id.der)));
    CHECK(ccz_span_eq(ccz_tls_own_cert(p.server.t), ccz_buf_span(&server_id.der)));
    CHECK(strcmp(ccz_tls_alpn(p.client.t), "h2") == 0 &&
          strcmp(ccz_tls_alpn(p.server.t), "h2") == 0);

    CHECK(ccz_tls_write(p.client.t, ccz_span_str("ping"), &err) == CCZ_OK);
    move(p.server.t, p.client.t, SIZE_MAX);
    check_read(p.server.t, "ping", 4);
    CHECK(ccz_tls_write(p.server.t, ccz_span_str("pong"), &err) == CCZ_OK);
    move(p.client.t, p.server.t, SIZE_MAX);
    check_read(p.client.t, "pong", 4);
    check_read(p.client.t, "", 0); /* nothing more, and that is no error */
    free_pair(&p);
    free_world(&w);
}

/* The wire may cut anywhere. */
static void test_byte_by_byte(void)
{
    struct world w;
    new_world(&w);
    for (size_t chunk = 1; chunk <= 7; chunk += 3) {
        struct pair p = new_pair(w.client, w.server);
        shake_chunks(&p, chunk);
        CHECK(both_ready(&p));
        CHECK(ccz_tls_write(p.client.t, ccz_span_str("slowly"), &err) == CCZ_OK);
        CCZ_AUTO_BUF wire, got;
        ccz_buf_init(&wire, WIRE_MAX);
        ccz_buf_init(&got, 100);
        CHECK(ccz_tls_drain(&wire, p.client.t) == CCZ_OK);
        for (size_t i = 0; i < wire.size; i++) {
            CHECK(got.size == 0); /* nothing before the tag has been checked */
            CHECK(ccz_tls_feed(p.server.t, CCZ_SPAN(wire.ptr + i, 1)) == CCZ_OK);
            CHECK(ccz_tls_read(&got, p.server.t, &err) == CCZ_OK);
        }
        CHECK(strcmp(ccz_buf_str(&got), "slowly") == 0);
        free_pair(&p);
    }
    free_world(&w);
}

static void test_server_auth_only(void)
{
    struct judge j = new_judge();
    struct ccz_tls_cfg c = {.verify = on_cert, .verify_arg = &j};
    struct ccz_tls_cfg s = {
        .server = true, .cert_der = ccz_buf_span(&server_id.der), .key = server_id.key};
    CCZ_AUTO(ccz_tls_ctx) client = new_ctx(&c);
    CCZ_AUTO(ccz_tls_ctx) server = new_ctx(&s);
    struct pair p = new_pair(client, server);
    shake(&p);
    CHECK(both_ready(&p) && j.asked == 1);
    CHECK(ccz_tls_peer_cert(p.server.t).size == 0 && ccz_tls_alpn(p.client.t)[0] == 0);
    CHECK(ccz_tls_own_cert(p.client.t).size == 0);
    free_pair(&p);
    ccz_buf_free(&j.der);
}

static void test_p384(void)
{
    struct judge j = new_judge();
    struct id id = new_id("p384", CCZ_P384);
    struct ccz_tls_cfg c = {.verify = on_cert, .verify_arg = &j};
    struct ccz_tls_cfg s = {.server = true, .cert_der = ccz_buf_span(&id.der), .key = id.key};
    CCZ_AUTO(ccz_tls_ctx) client = new_ctx(&c);
    CCZ_AUTO(ccz_tls_ctx) server = new_ctx(&s);
    struct pair p = new_pair(client, server);
    shake(&p);
    CHECK(both_ready(&p));
    free_pair(&p);
    free_id(&id);
    ccz_buf_free(&j.der);
}

static void test_export(void)
{
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server), q = new_pair(w.client, w.server);
    uint8_t a[32] = {1}, b[32], c[32];
    CHECK(ccz_tls_export(a, 32, p.client.t, "EXPORTER-test", ccz_span_str("")) == CCZ_E_ARG);
    CHECK(a[0] == 0); /* zeroed on failure */
    shake(&p);
    shake(&q);
    CHECK(ccz_tls_export(a, 32, p.client.t, "EXPORTER-test", ccz_span_str("ctx")) == CCZ_OK);
    CHECK(ccz_tls_export(b, 32, p.server.t, "EXPORTER-test", ccz_span_str("ctx")) == CCZ_OK);
    CHECK(memcmp(a, b, 32) == 0);
    CHECK(ccz_tls_export(c, 32, p.server.t, "EXPORTER-test", ccz_span_str("other")) == CCZ_OK);
    CHECK(memcmp(a, c, 32) != 0);
    CHECK(ccz_tls_export(c, 32, q.server.t, "EXPORTER-test", ccz_span_str("ctx")) == CCZ_OK);
    CHECK(memcmp(a, c, 32) != 0); /* of this session only */
    free_pair(&p);
    free_pair(&q);
    free_world(&w);
}

/* ------------------------------------------------------------------------------ refusals */

static void check_end(const struct end *e, ccz_rc rc, const char *where)
{
    if (e->rc != rc || strcmp(e->err.where, where) != 0)
        fprintf(stderr, "got %s at \"%s\" (%s), want %s at \"%s\"\n", ccz_rc_name(e->rc),
                e->err.where, e->err.msg, ccz_rc_name(rc), where);
    CHECK(e->rc == rc && strcmp(e->err.where, where) == 0);
}

/* The other side was told which alert. */
static void check_alert(const struct end *e, int alert)
{
    check_end(e, CCZ_E_PEER, "tls:peer-alert");
    CHECK(e->err.aux == alert);
}

enum { /* RFC 8446, 6 */
       ALERT_HANDSHAKE_FAILURE = 40,
       ALERT_BAD_CERTIFICATE = 42,
       ALERT_DECRYPT_ERROR = 51,
       ALERT_PROTOCOL_VERSION = 70,
       ALERT_CERTIFICATE_REQUIRED = 116,
       ALERT_NO_APPLICATION_PROTOCOL = 120,
};

static void test_hook_refuses(void)
{
    struct world w;
    for (int server_side = 0; server_side < 2; server_side++) {
        new_world(&w);
        struct judge *j = server_side ? &w.server_judge : &w.client_judge;
        j->answer = CCZ_E_POLICY;
        j->where = "policy:mrenclave";
        struct pair p = new_pair(w.client, w.server);
        shake(&p);
        struct end *judge = server_side ? &p.server : &p.client,
                   *other = server_side ? &p.client : &p.server;
        check_end(judge, CCZ_E_POLICY, "policy:mrenclave");
        CHECK(strcmp(judge->err.got, "this") == 0 && strcmp(judge->err.expected, "that") == 0);
        check_alert(other, ALERT_BAD_CERTIFICATE);
        CHECK(!ccz_tls_ready(judge->t) && ccz_tls_peer_cert(judge->t).size == 0);
        /* a refused peer fills no memory */
        CHECK(ccz_tls_feed(judge->t, ccz_span_str("more")) == CCZ_OK && judge->t->in.size < 4096);
        /* sticky: every later call says the same */
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 100);
        CHECK(ccz_tls_step(judge->t, &err) == CCZ_E_POLICY &&
              strcmp(err.where, "policy:mrenclave") == 0);
        CHECK(ccz_tls_read(&b, judge->t, &err) == CCZ_E_POLICY);
        CHECK(ccz_tls_write(judge->t, ccz_span_str("x"), &err) == CCZ_E_POLICY);
        free_pair(&p);

        j->where = NULL; /* a hook without words */
        j->answer = CCZ_E_UNTRUSTED;
        p = new_pair(w.client, w.server);
        shake(&p);
        check_end(server_side ? &p.server : &p.client, CCZ_E_UNTRUSTED, "tls:peer-certificate");
        free_pair(&p);
        free_world(&w);
    }
}

static void test_no_client_certificate(void)
{
    struct world w;
    new_world(&w);
    struct ccz_tls_cfg anonymous = {.verify = on_cert, .verify_arg = &w.client_judge, .alpn = h2};
    CCZ_AUTO(ccz_tls_ctx) client = new_ctx(&anonymous);
    struct pair p = new_pair(client, w.server);
    shake(&p);
    check_end(&p.server, CCZ_E_PEER, "tls:no-peer-certificate");
    check_alert(&p.client, ALERT_CERTIFICATE_REQUIRED);
    CHECK(w.server_judge.asked == 0 && !ccz_tls_ready(p.server.t));
    free_pair(&p);
    free_world(&w);
}

static void test_alpn(void)
{
    static const char *const http1[] = {"http/1.1", NULL}, *const both[] = {"x", "http/1.1", "h2",
                                                                            NULL};
    struct world w;
    new_world(&w);
    struct ccz_tls_cfg c = client_cfg(&w.client_judge), s = server_cfg(&w.server_judge);
    c.alpn = both; /* the server's preference counts */
    CCZ_AUTO(ccz_tls_ctx) many = new_ctx(&c);
    struct pair p = new_pair(many, w.server);
    shake(&p);
    CHECK(both_ready(&p) && strcmp(ccz_tls_alpn(p.client.t), "h2") == 0);
    free_pair(&p);

    c.alpn = http1; /* no overlap */
    CCZ_AUTO(ccz_tls_ctx) other = new_ctx(&c);
    p = new_pair(other, w.server);
    shake(&p);
    check_end(&p.server, CCZ_E_PEER, "tls:alpn");
    CHECK(strcmp(p.server.err.expected, "h2") == 0);
    check_alert(&p.client, ALERT_NO_APPLICATION_PROTOCOL);
    free_pair(&p);

    c.alpn = NULL; /* a client that offers nothing */
    CCZ_AUTO(ccz_tls_ctx) silent = new_ctx(&c);
    p = new_pair(silent, w.server);
    shake(&p);
    check_end(&p.server, CCZ_E_PEER, "tls:alpn");
    check_alert(&p.client, ALERT_NO_APPLICATION_PROTOCOL);
    free_pair(&p);

    s.alpn = NULL; /* a server that does not know about it */
    CCZ_AUTO(ccz_tls_ctx) old = new_ctx(&s);
    p = new_pair(w.client, old);
    shake(&p);
    check_end(&p.client, CCZ_E_PEER, "tls:alpn");
    check_alert(&p.server, ALERT_HANDSHAKE_FAILURE);
    free_pair(&p);
    free_world(&w);
}

static void test_config(void)
{
    static const char *const empty_name[] = {"h2", "", NULL};
    struct judge j = new_judge();
    CCZ_AUTO(ccz_key) pub = NULL;
    uint8_t xy[64];
    CHECK(ccz_key_xy(xy, server_id.key) == CCZ_OK);
    CHECK(ccz_key_from_xy(&pub, CCZ_P256, CCZ_SPAN(xy, 64)) == CCZ_OK);
    const struct ccz_span der = ccz_buf_span(&server_id.der);
    const struct {
        struct ccz_tls_cfg cfg;
        ccz_rc rc;
        const char *where;
    } bad[] = {
        {{.server = true}, CCZ_E_ARG, "tls:identity"},
        {{.server = true, .cert_der = der}, CCZ_E_ARG, "tls:identity"},
        {{.server = true, .key = server_id.key}, CCZ_E_ARG, "tls:identity"},
        {{.server = true, .cert_der = der, .key = pub},
         CCZ_E_ARG,
         "tls:identity"}, /* public half only */
        {{.server = true, .cert_der = der, .key = client_id.key},
         CCZ_E_MISMATCH,
         "tls:identity-key"},
        {{.server = true, .cert_der = CCZ_SPAN(der.ptr, der.size - 1), .key = server_id.key},
         CCZ_E_FORMAT,
         "x509:certificate"},
        {{.server = true, .cert_der = der, .key = server_id.key, .require_peer_cert = true},
         CCZ_E_ARG,
         "tls:verify"},
        {{.server = false}, CCZ_E_ARG, "tls:verify"}, /* a client that would believe everybody */
        {{.verify = on_cert, .verify_arg = &j, .alpn = empty_name}, CCZ_E_ARG, "tls:alpn"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CCZ_AUTO(ccz_tls_ctx) ctx = NULL;
        ccz_rc rc = ccz_tls_ctx_new(&ctx, &bad[i].cfg, &err);
        if (rc != bad[i].rc || strcmp(err.where, bad[i].where) != 0)
            fprintf(stderr, "case %zu: %s at %s\n", i, ccz_rc_name(rc), err.where);
        CHECK(rc == bad[i].rc && ctx == NULL && strcmp(err.where, bad[i].where) == 0);
        CHECK(ERR_peek_error() == 0);
    }
    ccz_buf_free(&j.der);
}

/* --------------------------------------------------------------- against plain OpenSSL */

/* A plain OpenSSL client over memory BIOs, set up by the caller, against our server. */
struct plain {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    int reason;    /* why its handshake failed first */
};

static struct plain new_plain(int min, int max)
{
    struct plain c = {.ctx = SSL_CTX_new(TLS_client_method())};
    CHECK(c.ctx && SSL_CTX_set_min_proto_version(c.ctx, min) == 1 &&
          SSL_CTX_set_max_proto_version(c.ctx, max) == 1);
    SSL_CTX_set_verify(c.ctx, SSL_VERIFY_NONE, NULL);
    CHECK(SSL_CTX_use_certificate_ASN1(c.ctx, (int)client_id.der.size, client_id.der.ptr) == 1);
    CHECK(SSL_CTX_use_PrivateKey(c.ctx, cczi_key_pair(client_id.key)) == 1);
    CHECK(SSL_CTX_set_alpn_protos(c.ctx, (const uint8_t *)"\x02h2", 3) == 0);
    return c;
}

static void start_plain(struct plain *c)
{
    c->ssl = SSL_new(c->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    CHECK(c->ssl && c->in && c->out);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
}

static void free_plain(struct plain *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    ERR_clear_error();
}

/* Both ways once; @p e is our side. */
static void exchange(struct plain *c, struct end *e)
{
    uint8_t bytes[32768];
    int n;
    while ((n = BIO_read(c->out, bytes, sizeof(bytes))) > 0)
        CHECK(ccz_tls_feed(e->t, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK);
    ERR_clear_error();
    step(e);
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, WIRE_MAX);
    CHECK(ccz_tls_drain(&wire, e->t) == CCZ_OK);
    CHECK(wire.size == 0 || BIO_write(c->in, wire.ptr, (int)wire.size) == (int)wire.size);
}

static struct end shake_plain(struct plain *c, struct ccz_tls_ctx *server)
{
    struct end e = {.rc = CCZ_OK};
    CHECK(ccz_tls_new(&e.t, server, NULL, NULL) == CCZ_OK);
    for (int i = 0; i < 4; i++) {
        int ret = SSL_do_handshake(c->ssl);
        if (ret != 1 && SSL_get_error(c->ssl, ret) == SSL_ERROR_SSL && !c->reason)
            c->reason = ERR_GET_REASON(ERR_peek_error());
        ERR_clear_error();
        exchange(c, &e);
    }
    return e;
}

static void test_tls12_refused(void)
{
    struct world w;
    new_world(&w);
    struct plain c = new_plain(TLS1_2_VERSION, TLS1_2_VERSION);
    start_plain(&c);
    struct end e = shake_plain(&c, w.server);
    check_end(&e, CCZ_E_PEER, "tls:version");
    CHECK(e.err.hint[0] != 0 && !SSL_is_init_finished(c.ssl));
    CHECK(c.reason == SSL_AD_REASON_OFFSET + ALERT_PROTOCOL_VERSION);
    ccz_tls_free(e.t);
    free_plain(&c);
    free_world(&w);
}

static SSL_SESSION *last_session;

static int keep_session(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl;
    SSL_SESSION_free(last_session);
    last_session = s;
    return 1; /* reference taken */
}

/* A client that does its best to resume: no ticket comes, and its own session state is not
 * accepted. */
static void test_no_resumption(void)
{
    struct world w;
    new_world(&w);
    struct plain c = new_plain(TLS1_3_VERSION, TLS1_3_VERSION);
    SSL_CTX_set_session_cache_mode(c.ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(c.ctx, keep_session);
    start_plain(&c);
    struct end e = shake_plain(&c, w.server);
    CHECK(e.rc == CCZ_OK && ccz_tls_ready(e.t) && SSL_is_init_finished(c.ssl));
    CHECK(!SSL_session_reused(c.ssl));
    CHECK(ccz_tls_write(e.t, ccz_span_str("data"), &err) == CCZ_OK);
    exchange(&c, &e);
    char got[8];
    CHECK(SSL_read(c.ssl, got, sizeof(got)) == 4); /* a NewSessionTicket would have come before */
    CHECK(last_session == NULL);

    /* the session of this connection, forced upon the next one */
    SSL_SESSION *mine = SSL_get1_session(c.ssl);
    ccz_tls_free(e.t);
    SSL_free(c.ssl);
    start_plain(&c);
    CHECK(SSL_set_session(c.ssl, mine) == 1);
    e = shake_plain(&c, w.server);
    CHECK(e.rc == CCZ_OK && ccz_tls_ready(e.t) && !SSL_session_reused(c.ssl));
    CHECK(w.server_judge.asked == 2); /* judged again */
    SSL_SESSION_free(mine);
    ccz_tls_free(e.t);
    free_plain(&c);
    free_world(&w);
}

/* What our server does not speak: other groups, other signatures, no TLS at all. */
static void test_no_overlap(void)
{
    struct world w;
    new_world(&w);
    struct plain c = new_plain(TLS1_3_VERSION, TLS1_3_VERSION);
    CHECK(SSL_CTX_set1_groups_list(c.ctx, "P-384") == 1);
    start_plain(&c);
    struct end e = shake_plain(&c, w.server);
    check_end(&e, CCZ_E_PEER, "tls:no-common-group");
    ccz_tls_free(e.t);
    free_plain(&c);

    c = new_plain(TLS1_3_VERSION, TLS1_3_VERSION);
    CHECK(SSL_CTX_set1_groups_list(c.ctx, "P-256") == 1); /* a second group is there */
    start_plain(&c);
    e = shake_plain(&c, w.server);
    CHECK(e.rc == CCZ_OK && ccz_tls_ready(e.t));
    ccz_tls_free(e.t);
    free_plain(&c);

    c = new_plain(TLS1_3_VERSION, TLS1_3_VERSION);
    CHECK(SSL_CTX_set1_sigalgs_list(c.ctx, "RSA-PSS+SHA256") == 1);
    start_plain(&c);
    e = shake_plain(&c, w.server);
    check_end(&e, CCZ_E_PEER, "tls:no-common-signature");
    ccz_tls_free(e.t);
    free_plain(&c);

    struct end http = {.rc = CCZ_OK};
    CHECK(ccz_tls_new(&http.t, w.server, NULL, NULL) == CCZ_OK);
    CHECK(ccz_tls_feed(http.t, ccz_span_str("GET / HTTP/1.1\r\n\r\n")) == CCZ_OK);
    step(&http);
    check_end(&http, CCZ_E_PEER, "tls:not-tls");
    ccz_tls_free(http.t);
    free_world(&w);
}

/* An RSA identity is not asked for and does not reach the hook. */
static void test_rsa_client(void)
{
    struct world w;
    new_world(&w);
    EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    X509 *x = X509_new();
    CHECK(rsa && x && X509_set_version(x, X509_VERSION_3) == 1 && X509_set_pubkey(x, rsa) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(x), 0) && X509_gmtime_adj(X509_getm_notAfter(x), 60));
    CHECK(X509_sign(x, rsa, EVP_sha256()) > 0);
    struct plain c = new_plain(TLS1_3_VERSION, TLS1_3_VERSION);
    SSL_CTX_free(c.ctx);
    c.ctx = SSL_CTX_new(TLS_client_method());
    CHECK(c.ctx && SSL_CTX_use_certificate(c.ctx, x) == 1 &&
          SSL_CTX_use_PrivateKey(c.ctx, rsa) == 1);
    CHECK(SSL_CTX_set_alpn_protos(c.ctx, (const uint8_t *)"\x02h2", 3) == 0);
    start_plain(&c);
    struct end e = shake_plain(&c, w.server);
    check_end(&e, CCZ_E_PEER, "tls:no-peer-certificate");
    CHECK(w.server_judge.asked == 0);
    ccz_tls_free(e.t);
    free_plain(&c);
    X509_free(x);
    EVP_PKEY_free(rsa);
    free_world(&w);
}

/* A server with a genuine certificate and the private key of another: possession is what TLS
 * checks. */
static void test_stolen_certificate(void)
{
    struct world w;
    new_world(&w);
    struct id thief = new_id("thief", CCZ_P256);
    /* public half of the victim, private half of the thief: no comparison of public keys notices */
    BIGNUM *priv = NULL;
    uint8_t point[65] = {4};
    CHECK(EVP_PKEY_get_bn_param(cczi_key_pair(thief.key), OSSL_PKEY_PARAM_PRIV_KEY, &priv) == 1);
    CHECK(ccz_key_xy(point + 1, server_id.key) == CCZ_OK);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    CHECK(OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
          OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) ==
              1 &&
          OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, priv) == 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *from = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *mixed = NULL;
    CHECK(EVP_PKEY_fromdata_init(from) == 1 &&
          EVP_PKEY_fromdata(from, &mixed, EVP_PKEY_KEYPAIR, params) == 1);
    CHECK(SSL_CTX_use_PrivateKey(w.server->ssl, mixed) == 1);

    struct pair p = new_pair(w.client, w.server);
    shake(&p);
    CHECK(w.client_judge.asked == 1); /* the certificate itself is fine */
    check_end(&p.client, CCZ_E_PEER, "tls:certificate-verify");
    check_alert(&p.server, ALERT_DECRYPT_ERROR);
    CHECK(ccz_tls_peer_cert(p.client.t).size == 0);
    free_pair(&p);
    EVP_PKEY_free(mixed);
    EVP_PKEY_CTX_free(from);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_clear_free(priv);
    free_id(&thief);
    free_world(&w);
}

/* ---------------------------------------------------------------------------------- data */

static void test_tampered_record(void)
{
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server);
    shake(&p);
    CHECK(ccz_tls_write(p.client.t, ccz_span_str("first"), &err) == CCZ_OK);
    move(p.server.t, p.client.t, SIZE_MAX);
    CHECK(ccz_tls_write(p.client.t, ccz_span_str("second"), &err) == CCZ_OK);
    CCZ_AUTO_BUF wire, got;
    ccz_buf_init(&wire, 1000);
    ccz_buf_init(&got, 1000);
    CHECK(ccz_tls_drain(&wire, p.client.t) == CCZ_OK);
    wire.ptr[wire.size - 1] ^= 1;
    CHECK(ccz_tls_feed(p.server.t, ccz_buf_span(&wire)) == CCZ_OK);
    CHECK(ccz_tls_read(&got, p.server.t, &err) == CCZ_OK); /* what came whole is given out, ... */
    CHECK(strcmp(ccz_buf_str(&got), "first") == 0);
    CHECK(ccz_tls_read(&got, p.server.t, &err) == CCZ_E_PEER); /* ... then how it ended */
    CHECK(strcmp(err.where, "tls:record") == 0 && got.size == 5);
    move(p.client.t, p.server.t, SIZE_MAX);
    CHECK(ccz_tls_read(&got, p.client.t, &err) ==
          CCZ_E_PEER); /* bad_record_mac reaches the other end */
    CHECK(strcmp(err.where, "tls:peer-alert") == 0 && err.aux == 20);
    CHECK(ERR_peek_error() == 0);
    free_pair(&p);
    free_world(&w);
}

/* Every bit of the server's first flight matters: no handshake completes on both sides with one
 * changed. */
static void test_tampered_handshake(void)
{
    struct world w;
    new_world(&w);
    CCZ_AUTO_BUF flight;
    ccz_buf_init(&flight, WIRE_MAX);
    size_t size = SIZE_MAX;
    for (size_t at = 0; at < size; at += 11) { /* one bit in every 11th byte */
        struct pair p = new_pair(w.client, w.server);
        step(&p.client);
        move(p.server.t, p.client.t, SIZE_MAX);
        step(&p.server);
        ccz_buf_clear(&flight);
        CHECK(ccz_tls_drain(&flight, p.server.t) == CCZ_OK);
        size = flight.size;
        if (at < size) {
            /* the version field of a record header is ignored by RFC 8446, 5.1, and so is a
             * change_cipher_spec record: the records are walked to leave those bytes alone */
            size_t record = 0;
            while (record + 5 + ((size_t)flight.ptr[record + 3] << 8 | flight.ptr[record + 4]) <=
                   at)
                record += 5 + ((size_t)flight.ptr[record + 3] << 8 | flight.ptr[record + 4]);
            bool ignored = (at - record >= 1 && at - record <= 2) || flight.ptr[record] == 20;
            flight.ptr[at] ^= 0x10;
            CHECK(ccz_tls_feed(p.client.t, ccz_buf_span(&flight)) == CCZ_OK);
            shake(&p);
            CHECK(ignored || !ccz_tls_ready(p.server.t));
        }
        free_pair(&p);
    }
    free_world(&w);
}

static void test_bulk(void)
{
    enum { SIZE = 5000000, CHUNK = 100000 };
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server);
    shake(&p);
    uint8_t *data = malloc(SIZE);
    CHECK(data != NULL);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    CHECK(ccz_tls_write(p.client.t, CCZ_SPAN(data, SIZE), &err) == CCZ_OK);
    move(p.server.t, p.client.t, 1500); /* as packets */
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, SIZE);
    size_t limit = CHUNK; /* a caller with little room gets the rest later */
    while (got.size < SIZE) {
        got.max_size = limit < SIZE ? limit : SIZE;
        CHECK(ccz_tls_read(&got, p.server.t, &err) == CCZ_OK && got.size == got.max_size);
        limit += CHUNK;
    }
    CHECK(memcmp(got.ptr, data, SIZE) == 0);
    free(data);
    free_pair(&p);
    free_world(&w);
}

/* Lent bytes are read where they are; what was not read when they are taken back is kept. */
static void test_lend(void)
{
    enum { SIZE = 40000 };
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server);
    shake(&p);
    static uint8_t data[SIZE];
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t step = 1; step < 70000; step = step * 5 + 3) {
        CCZ_AUTO_BUF wire, got;
        ccz_buf_init(&wire, WIRE_MAX);
        ccz_buf_init(&got, SIZE);
        CHECK(ccz_tls_write(p.client.t, CCZ_SPAN(data, SIZE), &err) == CCZ_OK &&
              ccz_tls_drain(&wire, p.client.t) == CCZ_OK);
        for (size_t at = 0, n, turn = 0; at < wire.size; at += n, turn++) {
            n = wire.size - at < step ? wire.size - at : step;
            uint8_t *piece = malloc(n);
            CHECK(piece != NULL);
            memcpy(piece, wire.ptr + at, n);
            ccz_tls_lend(p.server.t, CCZ_SPAN(piece, n));
            /* sometimes not all of it, sometimes nothing is read while it is lent */
            got.max_size = turn % 3 == 0 && got.size + 100 < SIZE ? got.size + 100 : SIZE;
            if (turn % 3 != 1)
                CHECK(ccz_tls_read(&got, p.server.t, &err) == CCZ_OK);
            CHECK(ccz_tls_settle(p.server.t) == CCZ_OK);
            memset(piece, 0xee, n); /* the lender's again */
            free(piece);
            got.max_size = SIZE;
            if (turn % 3 == 2)
                CHECK(ccz_tls_read(&got, p.server.t, &err) == CCZ_OK);
        }
        CHECK(ccz_tls_read(&got, p.server.t, &err) == CCZ_OK);
        CHECK(got.size == SIZE && memcmp(got.ptr, data, SIZE) == 0);
    }
    CHECK(ccz_tls_settle(p.server.t) == CCZ_OK); /* nothing lent: nothing to do */
    free_pair(&p);
    free_world(&w);
}

static void test_limits(void)
{
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server);
    CHECK(ccz_tls_write(p.client.t, ccz_span_str("early"), &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "tls:not-ready") == 0);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 10);
    CHECK(ccz_tls_read(&b, p.client.t, &err) == CCZ_E_ARG);
    step(&p.client);
    CHECK(ccz_tls_drain(&b, p.client.t) == CCZ_E_LIMIT && b.size == 0); /* no room: nothing moved */
    shake(&p);
    CHECK(both_ready(&p));

    static uint8_t zeros[CCZ_TLS_BUFFER_MAX];
    CHECK(ccz_tls_write(p.client.t, CCZ_SPAN(zeros, sizeof(zeros)), &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "tls:backlog") == 0 && ccz_tls_pending(p.client.t) == 0);
    CHECK(ccz_tls_write(p.client.t, ccz_span_str("still alive"), &err) == CCZ_OK);
    move(p.server.t, p.client.t, SIZE_MAX);
    check_read(p.server.t, "still alive", 11);
    CHECK(ccz_tls_feed(p.server.t, CCZ_SPAN(zeros, sizeof(zeros))) == CCZ_OK);
    CHECK(ccz_tls_feed(p.server.t, CCZ_SPAN(zeros, 1)) == CCZ_E_LIMIT);
    free_pair(&p);
    free_world(&w);
}

static void test_close(void)
{
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server);
    shake(&p);
    CHECK(ccz_tls_write(p.client.t, ccz_span_str("last words"), &err) == CCZ_OK);
    ccz_tls_close(p.client.t);
    move(p.server.t, p.client.t, SIZE_MAX);
    check_read(p.server.t, "last words", 10);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 100);
    CHECK(ccz_tls_read(&b, p.server.t, &err) == CCZ_E_CLOSED &&
          strcmp(err.where, "tls:closed") == 0);
    CHECK(ccz_tls_read(&b, p.server.t, &err) == CCZ_E_CLOSED);
    ccz_tls_close(p.server.t);
    CHECK(move(p.client.t, p.server.t, SIZE_MAX) > 0); /* close_notify in answer */
    CHECK(ccz_tls_read(&b, p.client.t, &err) == CCZ_E_CLOSED);
    free_pair(&p);

    p = new_pair(w.client, w.server); /* before the handshake there is nothing to say */
    ccz_tls_close(p.client.t);
    CHECK(ccz_tls_pending(p.client.t) == 0 && ERR_peek_error() == 0);
    free_pair(&p);
    free_world(&w);
}

/* One direction ends, the other goes on, also under new keys. */
static void test_half_close(void)
{
    struct world w;
    new_world(&w);
    for (int side = 0; side < 2; side++) {
        struct pair p = new_pair(w.client, w.server);
        shake(&p);
        struct ccz_tls *quiet = side ? p.client.t : p.server.t;
        struct ccz_tls *talks = side ? p.server.t : p.client.t;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 100);
        ccz_tls_close(quiet);
        ccz_tls_close(quiet); /* the second one says nothing */
        move(talks, quiet, SIZE_MAX);
        CHECK(ccz_tls_read(&b, talks, &err) == CCZ_E_CLOSED);
        CHECK(ccz_tls_write(quiet, ccz_span_str("too late"), &err) == CCZ_E_ARG &&
              strcmp(err.where, "tls:shut") == 0);
        CHECK(ccz_tls_rekey(quiet, &err) == CCZ_E_ARG && ccz_tls_pending(quiet) == 0);
        for (int i = 0; i < 3; i++) {
            CHECK(ccz_tls_write(talks, ccz_span_str("still here"), &err) == CCZ_OK);
            move(quiet, talks, SIZE_MAX);
            check_read(quiet, "still here", 10);
            CHECK(ccz_tls_rekey(talks, &err) == CCZ_OK);
            move(quiet, talks, SIZE_MAX);
            check_read(quiet, "", 0);
            move(talks, quiet,
                 SIZE_MAX); /* the answer comes behind close_notify: nobody reads it */
            CHECK(ccz_tls_read(&b, talks, &err) == CCZ_E_CLOSED && b.size == 0);
        }
        ccz_tls_close(talks);
        move(quiet, talks, SIZE_MAX);
        CHECK(ccz_tls_read(&b, quiet, &err) == CCZ_E_CLOSED && ERR_peek_error() == 0);
        free_pair(&p);
    }
    free_world(&w);
}

/* What comes behind the peer's end fills no memory. */
static void test_bytes_behind_end(void)
{
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server);
    static uint8_t zeros[1 << 20];
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 100);
    shake(&p);
    ccz_tls_close(p.client.t);
    move(p.server.t, p.client.t, SIZE_MAX);
    CHECK(ccz_tls_read(&b, p.server.t, &err) == CCZ_E_CLOSED);
    for (size_t i = 0; i <= CCZ_TLS_BUFFER_MAX / sizeof(zeros); i++)
        CHECK(ccz_tls_feed(p.server.t, CCZ_SPAN(zeros, sizeof(zeros))) == CCZ_OK);
    CHECK(ccz_tls_write(p.server.t, ccz_span_str("answer"), &err) == CCZ_OK);
    move(p.client.t, p.server.t, SIZE_MAX);
    check_read(p.client.t, "answer", 6);
    free_pair(&p);
    free_world(&w);
}

static void test_rekey(void)
{
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server);
    CHECK(ccz_tls_rekey(p.client.t, &err) == CCZ_E_ARG);
    shake(&p);
    CHECK(ccz_tls_rekey(p.client.t, &err) ==
          CCZ_OK); /* asked for: the server answers with its own */
    CHECK(ccz_tls_pending(p.client.t) > 0);
    for (int i = 0; i < 3; i++) {
        CHECK(ccz_tls_write(p.client.t, ccz_span_str("ping"), &err) == CCZ_OK);
        move(p.server.t, p.client.t, SIZE_MAX);
        check_read(p.server.t, "ping", 4);
        CHECK(ccz_tls_write(p.server.t, ccz_span_str("pong"), &err) == CCZ_OK);
        move(p.client.t, p.server.t, SIZE_MAX);
        check_read(p.client.t, "pong", 4);
    }
    /* by itself: a record of 1 byte is 5 + 1 + 1 + 16 on the wire, a KeyUpdate 5 + 5 + 1 + 16 */
    cczi_tls_set_records_max(p.client.t, 4);
    CHECK(ccz_tls_rekey(p.client.t, &err) == CCZ_OK &&
          move(p.server.t, p.client.t, SIZE_MAX) == 27);
    for (int i = 1; i <= 12; i++) {
        CHECK(ccz_tls_write(p.client.t, ccz_span_str("x"), &err) == CCZ_OK);
        CHECK(move(p.server.t, p.client.t, SIZE_MAX) == (i % 4 == 0 ? 27 + 23 : 23));
        check_read(p.server.t, "x", 1);
    }
    free_pair(&p);
    free_world(&w);
}

/* Contexts may go first, connections and native objects keep what they need. */
static void test_lifetimes(void)
{
    struct world w;
    new_world(&w);
    struct pair p = new_pair(w.client, w.server);
    SSL *native = ccz_tls_native_new(w.server);
    CHECK(native != NULL && SSL_is_server(native));
    CHECK(ccz_tls_native_new(w.client) == NULL);
    ccz_tls_ctx_free(w.client);
    ccz_tls_ctx_free(w.server);
    shake(&p);
    CHECK(both_ready(&p) && ccz_tls_own_cert(p.client.t).size == client_id.der.size);
    free_pair(&p);
    SSL_free(native);
    ccz_tls_free(NULL);
    ccz_tls_ctx_free(NULL);
    ccz_buf_free(&w.client_judge.der);
    ccz_buf_free(&w.server_judge.der);
}

/* The native object judges peers with the same hook. */
static void test_native(void)
{
    struct world w;
    for (int refuse = 0; refuse < 2; refuse++) {
        new_world(&w);
        w.server_judge.answer = refuse ? CCZ_E_POLICY : CCZ_OK;
        SSL *native = ccz_tls_native_new(w.server);
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
        SSL_set_bio(native, in, out);
        struct end e = {.rc = CCZ_OK};
        CHECK(ccz_tls_new(&e.t, w.client, NULL, NULL) == CCZ_OK);
        step(&e);
        struct plain c = {.ssl = native, .in = in, .out = out};
        for (int i = 0; i < 4; i++) {
            exchange(&c, &e);
            (void)SSL_do_handshake(native);
            ERR_clear_error();
        }
        exchange(&c, &e);
        CHECK(w.server_judge.asked == 1 && w.server_judge.conn_arg == NULL);
        CHECK(SSL_is_init_finished(native) == !refuse);
        if (refuse)
            check_alert(&e, ALERT_BAD_CERTIFICATE);
        SSL_free(native);
        ccz_tls_free(e.t);
        free_world(&w);
    }
}

static ccz_rc accept_all(void *arg, void *conn_arg, struct ccz_span der, struct ccz_err *e)
{
    (void)arg, (void)conn_arg, (void)der, (void)e;
    return CCZ_OK;
}

static struct ccz_tls_ctx *shared_client, *shared_server;

static void *shake_some(void *arg)
{
    for (int i = 0; i < 20; i++) {
        struct pair p = new_pair(shared_client, shared_server);
        shake(&p);
        CHECK(both_ready(&p));
        free_pair(&p);
    }
    return arg;
}

static void test_threads(void)
{
    struct ccz_tls_cfg c = client_cfg(NULL), s = server_cfg(NULL);
    c.verify = s.verify = accept_all;
    shared_client = new_ctx(&c);
    shared_server = new_ctx(&s);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, shake_some, NULL) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    ccz_tls_ctx_free(shared_client);
    ccz_tls_ctx_free(shared_server);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"tls.mutual", test_mutual},
        {"tls.byte_by_byte", test_byte_by_byte},
        {"tls.server_auth_only", test_server_auth_only},
        {"tls.p384", test_p384},
        {"tls.export", test_export},
        {"tls.hook_refuses", test_hook_refuses},
        {"tls.no_client_certificate", test_no_client_certificate},
        {"tls.alpn", test_alpn},
        {"tls.config", test_config},
        {"tls.tls12_refused", test_tls12_refused},
        {"tls.no_resumption", test_no_resumption},
        {"tls.no_overlap", test_no_overlap},
        {"tls.rsa_client", test_rsa_client},
        {"tls.stolen_certificate", test_stolen_certificate},
        {"tls.tampered_record", test_tampered_record},
        {"tls.tampered_handshake", test_tampered_handshake},
        {"tls.bulk", test_bulk},
        {"tls.lend", test_lend},
        {"tls.limits", test_limits},
        {"tls.close", test_close},
        {"tls.half_close", test_half_close},
        {"tls.bytes_behind_end", test_bytes_behind_end},
        {"tls.rekey", test_rekey},
        {"tls.lifetimes", test_lifetimes},
        {"tls.native", test_native},
        {"tls.threads", test_threads},
    };
    server_id = new_id("server", CCZ_P256);
    client_id = new_id("client", CCZ_P256);
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    free_id(&server_id);
    free_id(&client_id);
    return rc;
}
