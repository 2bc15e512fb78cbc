/* SPDX-License-Identifier: Apache-2.0 */
/* The extension of struct ccz_tls_proof as such: who sends what, and what is refused before any hook sees it. */
#define _DEFAULT_SOURCE
#include "crypto/tls_priv.h"

#include <openssl/err.h>
#include <string.h>

#include "ccz_test.h"

struct side {
    bool server;
    struct ccz_tls_proof proof;
    struct ccz_tls_cfg cfg;
    struct ccz_tls_ctx *ctx;
    struct ccz_tls *t;
    struct ccz_err err;
    ccz_rc rc;
    unsigned made, judged;
    uint8_t asked[32], answered[32]; /* challenges: our own, the one that make() got */
    char got[32];                    /* the peer's proof */
    struct ccz_key *key;
    struct ccz_buf der;
};

static ccz_rc make(void *arg, struct ccz_buf *out, struct ccz_span own_spki,
                   const uint8_t challenge[], struct ccz_err *err)
{
    struct side *s = arg;
    (void)err;
    CHECK(own_spki.size == 91);
    s->made++;
    memcpy(s->answered, challenge, 32);
    ccz_buf_put_str(out, s->server ? "of the server" : "of the client");
    return CCZ_OK;
}

static ccz_rc verify(void *arg, void *conn_arg, struct ccz_span der, const uint8_t challenge[],
                     struct ccz_span proof, struct ccz_err *err)
{
    struct side *s = arg;
    (void)conn_arg, (void)err;
    s->judged++;
    CHECK(der.size > 0 && proof.size < sizeof(s->got));
    memcpy(s->asked, challenge, 32);
    if (proof.size)
        memcpy(s->got, proof.ptr, proof.size);
    return CCZ_OK;
}

static ccz_rc verify_bare(void *arg, void *conn_arg, struct ccz_span der, struct ccz_err *err)
{
    (void)arg, (void)conn_arg, (void)der, (void)err;
    return CCZ_OK;
}

static void prepare(struct side *s, bool server)
{
    memset(s, 0, sizeof(*s));
    ccz_buf_init(&s->der, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_key_generate(&s->key, CCZ_P256) == CCZ_OK);
    struct ccz_cert_cfg cert = {.cn = "x", .key = s->key, .not_before_s = 0, .not_after_s = 60};
    CHECK(ccz_cert_issue(&s->der, &cert, NULL) == CCZ_OK);
    s->server = server;
    s->proof = (struct ccz_tls_proof){.ask = true, .size_max = 100, .make = make, .verify = verify};
    s->cfg = (struct ccz_tls_cfg){.server = server,
                                  .cert_der = ccz_buf_span(&s->der),
                                  .key = s->key,
                                  .require_peer_cert = true,
                                  .verify = verify_bare,
                                  .verify_arg = s,
                                  .proof = &s->proof};
}

static void open_side(struct side *s)
{
    CHECK(ccz_tls_ctx_new(&s->ctx, &s->cfg, &s->err) == CCZ_OK);
    CHECK(ccz_tls_new(&s->t, s->ctx, NULL, NULL) == CCZ_OK);
}

static void close_side(struct side *s)
{
    ccz_tls_free(s->t);
    ccz_tls_ctx_free(s->ctx);
    ccz_key_free(s->key);
    ccz_buf_free(&s->der);
}

static void move(struct side *to, struct side *from)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 20);
    if (from->rc == CCZ_OK)
        from->rc = ccz_tls_step(from->t, &from->err);
    CHECK(ccz_tls_drain(&wire, from->t) == CCZ_OK);
    CHECK(ccz_tls_feed(to->t, ccz_buf_span(&wire)) == CCZ_OK);
}

static void shake(struct side *c, struct side *s)
{
    for (int i = 0; i < 5; i++) {
        move(s, c);
        move(c, s);
    }
}

static void test_proof(void)
{
    /* bit 0: client asks, 1: server asks, 2: client answers, 3: server answers */
    for (unsigned how = 0; how < 16; how++) {
        struct side c, s;
        prepare(&c, false);
        prepare(&s, true);
        c.proof.ask = how & 1;
        s.proof.ask = how & 2;
        c.proof.make = how & 4 ? make : NULL;
        s.proof.make = how & 8 ? make : NULL;
        open_side(&c);
        open_side(&s);
        shake(&c, &s);
        CHECK(ccz_tls_ready(c.t) && ccz_tls_ready(s.t) && !c.t->proof && !s.t->proof);
        CHECK(c.judged == (how & 1 ? 1 : 0) && s.judged == (how & 2 ? 1 : 0));
        bool of_c = (how & 6) == 6, of_s = (how & 9) == 9;
        CHECK(c.made == of_c && s.made == of_s);
        CHECK(strcmp(c.got, of_s ? "of the server" : "") == 0);
        CHECK(strcmp(s.got, of_c ? "of the client" : "") == 0);
        CHECK(!of_c || memcmp(s.asked, c.answered, 32) == 0);
        CHECK(!of_s || memcmp(c.asked, s.answered, 32) == 0);
        CHECK((how & 3) != 3 || memcmp(c.asked, s.asked, 32) != 0);
        close_side(&c);
        close_side(&s);
    }
}

/* What OpenSSL would never send: a proof to a side that did not ask. */
static void test_unasked(void)
{
    struct side c;
    int alert = 0;
    prepare(&c, false);
    c.proof.ask = false;
    open_side(&c);
    CHECK(cczi_proof_receive(c.t->ssl, SSL_EXT_TLS1_3_CERTIFICATE, ccz_span_str("p"), 0, &alert) ==
          -1);
    CHECK(alert == SSL_AD_ILLEGAL_PARAMETER && strcmp(c.t->fail.where, "tls:proof-unasked") == 0);
    close_side(&c);
    /* nor to one that asks, but not in this handshake */
    prepare(&c, false);
    open_side(&c);
    CHECK(cczi_proof_receive(c.t->ssl, SSL_EXT_TLS1_3_CERTIFICATE, ccz_span_str("p"), 0, &alert) ==
          -1);
    CHECK(strcmp(c.t->fail.where, "tls:proof-unasked") == 0);
    struct ccz_err err;
    CHECK(cczi_proof_judge(c.ctx, c.t->ssl, NULL, ccz_span_str("c"), &err) == CCZ_E_UNSUPPORTED);
    CHECK(strcmp(err.where, "tls:proof-not-asked") == 0 && c.judged == 0);
    close_side(&c);
}

static void test_place(void)
{
    struct side c;
    int alert = 0;
    prepare(&c, false);
    open_side(&c);
    CHECK(ccz_tls_step(c.t, NULL) == CCZ_OK); /* asks */
    unsigned where = SSL_EXT_TLS1_3_CERTIFICATE;
    CHECK(cczi_proof_receive(c.t->ssl, where, ccz_span_str("p"), 0, &alert) == 1);
    CHECK(cczi_proof_receive(c.t->ssl, where, ccz_span_str("p"), 1, &alert) == -1);
    CHECK(strcmp(c.t->fail.where, "tls:proof-place") == 0);
    close_side(&c);
}

static int accept_any(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    return 1;
}

/* The last net: somebody took our verify callback away, and OpenSSL finds everything in order. */
static void test_unverified(void)
{
    for (int server = 0; server < 2; server++) {
        struct side c, s, *judge = server ? &s : &c;
        prepare(&c, false);
        prepare(&s, true);
        judge->cfg.verify = NULL; /* the proof's hook alone decides */
        open_side(&c);
        open_side(&s);
        SSL_CTX_set_cert_verify_callback(judge->ctx->ssl, accept_any, NULL);
        shake(&c, &s);
        CHECK(judge->judged == 0 && !ccz_tls_ready(judge->t) && judge->rc == CCZ_E_INTERNAL);
        CHECK(strcmp(judge->err.where, "tls:unverified") == 0);
        close_side(&c);
        close_side(&s);
    }
}

static void shake_native(SSL *a, SSL *b)
{
    BIO *at_a, *at_b;
    CHECK(BIO_new_bio_pair(&at_a, 1 << 17, &at_b, 1 << 17) == 1);
    SSL_set_bio(a, at_a, at_a);
    SSL_set_bio(b, at_b, at_b);
    for (int i = 0; i < 5; i++) {
        (void)SSL_do_handshake(a);
        (void)SSL_do_handshake(b);
    }
    ERR_clear_error();
}

/* An object used again behind SSL_clear() draws another challenge, and forgets the proof of before. */
static void test_adopted(void)
{
    struct side c, s;
    uint8_t first_c[32], first_s[32];
    prepare(&c, false);
    prepare(&s, true);
    SSL_CTX *cx = SSL_CTX_new(TLS_method()), *sx = SSL_CTX_new(TLS_method());
    CHECK(ccz_tls_adopt(cx, &c.cfg, 16, NULL, NULL) == CCZ_OK);
    CHECK(ccz_tls_adopt(sx, &s.cfg, 16, NULL, NULL) == CCZ_OK);
    SSL *a = SSL_new(cx), *b = SSL_new(sx);
    SSL_set_connect_state(a);
    SSL_set_accept_state(b);
    shake_native(a, b);
    CHECK(ccz_tls_adopted_conn(a) && ccz_tls_adopted_conn(b) && c.judged == 1 && s.judged == 1);
    CHECK(strcmp(c.got, "of the server") == 0 && strcmp(s.got, "of the client") == 0);
    memcpy(first_c, c.asked, 32);
    memcpy(first_s, s.asked, 32);
    CHECK(SSL_clear(a) == 1 && SSL_clear(b) == 1);
    shake_native(a, b);
    CHECK(ccz_tls_adopted_conn(a) && c.judged == 2 && s.judged == 2);
    CHECK(memcmp(first_c, c.asked, 32) != 0 && memcmp(first_s, s.asked, 32) != 0);
    SSL_free(a);
    SSL_free(b);
    SSL_CTX_free(cx);
    SSL_CTX_free(sx);
    close_side(&c);
    close_side(&s);
}

/* A configuration without proof says nothing, and hears nothing. */
static void test_foreign(void)
{
    struct side c, s;
    prepare(&c, false);
    prepare(&s, true);
    s.cfg.proof = NULL;
    open_side(&c);
    open_side(&s);
    CHECK(cczi_proof_install(s.ctx->ssl)); /* the callbacks are there, but have nothing to do */
    ccz_tls_free(s.t);
    CHECK(ccz_tls_new(&s.t, s.ctx, NULL, NULL) == CCZ_OK);
    shake(&c, &s);
    CHECK(ccz_tls_ready(c.t) && ccz_tls_ready(s.t) && c.judged == 1 && c.got[0] == 0);
    CHECK(c.made == 0 && s.made == 0);
    close_side(&c);
    close_side(&s);
}

static void test_config(void)
{
    struct side s;
    prepare(&s, true);
    s.proof.size_max = 0;
    CHECK(ccz_tls_ctx_new(&s.ctx, &s.cfg, &s.err) == CCZ_E_ARG &&
          !strcmp(s.err.where, "tls:proof"));
    s.proof.size_max = CCZ_TLS_PROOF_SIZE_MAX + 1;
    CHECK(ccz_tls_ctx_new(&s.ctx, &s.cfg, &s.err) == CCZ_E_ARG &&
          !strcmp(s.err.where, "tls:proof"));
    s.proof.size_max = 1;
    s.cfg.require_peer_cert = false;
    CHECK(ccz_tls_ctx_new(&s.ctx, &s.cfg, &s.err) == CCZ_E_ARG &&
          !strcmp(s.err.where, "tls:proof"));
    s.cfg.require_peer_cert = true;
    s.proof.verify = NULL; /* nobody would judge */
    CHECK(ccz_tls_ctx_new(&s.ctx, &s.cfg, &s.err) == CCZ_E_ARG &&
          !strcmp(s.err.where, "tls:verify"));
    close_side(&s);
}

static const struct ccz_test tests[] = {
    {"tls.proof", test_proof},           {"tls.proof_unasked", test_unasked},
    {"tls.proof_place", test_place},     {"tls.proof_adopted", test_adopted},
    {"tls.proof_foreign", test_foreign}, {"tls.proof_unverified", test_unverified},
    {"tls.proof_config", test_config},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
