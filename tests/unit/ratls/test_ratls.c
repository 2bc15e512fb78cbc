/* SPDX-License-Identifier: Apache-2.0 */
/* The whole engine over real TLS, two ends in one process and the wire in our hands. */
#define _DEFAULT_SOURCE
#include "ratls/ratls_priv.h"

#include "ratls/ratls_ends.h"

static void expect_text(struct end *to, struct end *from, const char *text)
{
    CCZ_AUTO_BUF plain;
    ccz_buf_init(&plain, 4096);
    CHECK(ccz_ratls_write(from->r, ccz_span_str(text), NULL) == CCZ_OK);
    move(to, from);
    CHECK(ccz_ratls_read(&plain, to->r, &to->err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&plain), ccz_span_str(text)));
}

static void test_session(void)
{
    struct end c, s;
    make_end(&c, false, CCZ_RATLS_SESSION);
    make_end(&s, true, CCZ_RATLS_SESSION);
    open_end(&c);
    open_end(&s);
    CCZ_AUTO_BUF plain;
    ccz_buf_init(&plain, 64);
    /* before ready: nothing in, nothing out, nobody known */
    CHECK(ccz_ratls_write(c.r, ccz_span_str("early"), &c.err) == CCZ_E_ARG);
    CHECK(strcmp(c.err.where, "ratls:not-ready") == 0);
    CHECK(ccz_ratls_read(&plain, s.r, NULL) == CCZ_E_ARG && !ccz_ratls_peer(s.r));
    run(&c, &s);
    CHECK(c.rc == CCZ_OK && s.rc == CCZ_OK && ccz_ratls_ready(c.r) && ccz_ratls_ready(s.r));
    const struct ccz_ratls_peer *p = ccz_ratls_peer(c.r);
    CHECK(p && p->attested && p->fresh && !p->pinned && p->claims.isv_svn == 7);
    static const uint8_t zero[32];
    const uint8_t *key_of_s = p->spki_sha256, *key_of_c = ccz_ratls_peer(s.r)->spki_sha256;
    CHECK(memcmp(key_of_s, zero, 32) != 0 && memcmp(key_of_s, key_of_c, 32) != 0);
    expect_text(&s, &c, "hello");
    expect_text(&c, &s, "welcome");
    ccz_ratls_close(c.r);
    move(&s, &c);
    CHECK(ccz_ratls_read(&plain, s.r, &s.err) == CCZ_E_CLOSED);
    close_end(&c);
    close_end(&s);
}

/* The last RESULT and the first application bytes in one flight: none is lost, none comes early. */
static void test_same_flight(void)
{
    struct end c, s;
    CCZ_AUTO_BUF plain;
    ccz_buf_init(&plain, 3);
    make_end(&c, false, CCZ_RATLS_SESSION);
    make_end(&s, true, CCZ_RATLS_SESSION);
    open_end(&c);
    open_end(&s);
    c.rc = ccz_ratls_step(c.r, &c.err);
    while (!ccz_ratls_ready(s.r)) {
        CHECK(!ccz_ratls_ready(c.r));
        move(&s, &c);
        if (!ccz_ratls_ready(s.r))
            move(&c, &s);
    }
    CHECK(ccz_ratls_write(s.r, ccz_span_str("abcdefg"), NULL) == CCZ_OK);
    ccz_ratls_close(s.r); /* and its end with them */
    move(&c, &s);
    CHECK(ccz_ratls_ready(c.r));
    static const char *const parts[] = {"abc", "def", "g"};
    for (size_t i = 0; i < 3; i++) {
        ccz_buf_clear(&plain);
        CHECK(ccz_ratls_read(&plain, c.r, NULL) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&plain), ccz_span_str(parts[i])));
    }
    ccz_buf_clear(&plain);
    CHECK(ccz_ratls_read(&plain, c.r, NULL) == CCZ_E_CLOSED && plain.size == 0);
    close_end(&c);
    close_end(&s);
}

/* The server's policy says no: the client is told where, got and expected, over the wire. */
static void test_refusal_reaches_peer(void)
{
    struct end c, s;
    make_end(&c, false, CCZ_RATLS_SESSION);
    make_end(&s, true, CCZ_RATLS_SESSION);
    s.toy.appraise_rc = CCZ_E_POLICY;
    open_and_run(&c, &s);
    CHECK(s.rc == CCZ_E_POLICY && strcmp(s.err.where, "policy:mrenclave") == 0);
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "peer:policy:mrenclave") == 0);
    CHECK(strcmp(c.err.got, "11aa") == 0 && strcmp(c.err.expected, "22bb") == 0 &&
          c.err.aux == CCZ_E_POLICY);
    CHECK(!ccz_ratls_ready(c.r) && !ccz_ratls_ready(s.r) && !ccz_ratls_peer(s.r));
    CHECK(ccz_ratls_write(c.r, ccz_span_str("x"), NULL) == CCZ_E_PEER);
    struct ccz_err again = {0}; /* stays failed, with the same reason */
    CHECK(ccz_ratls_step(c.r, &again) == CCZ_E_PEER && strcmp(again.where, c.err.where) == 0);
    close_end(&c);
    close_end(&s);
}

static void test_no_evidence(void)
{
    struct end c, s;
    make_end(&c, false, CCZ_RATLS_SESSION);
    make_end(&s, true, CCZ_RATLS_SESSION);
    c.cfg.attest = NULL;
    open_and_run(&c, &s);
    CHECK(s.rc == CCZ_E_DENIED && strcmp(s.err.where, "ratls:no-evidence") == 0);
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "peer:ratls:no-evidence") == 0);
    close_end(&c);
    close_end(&s);

    make_end(&c, false,
             CCZ_RATLS_SESSION); /* a server without evidence, and a client that wants some */
    make_end(&s, true, CCZ_RATLS_SESSION);
    s.cfg.attest = NULL;
    open_and_run(&c, &s);
    CHECK(c.rc == CCZ_E_DENIED && strcmp(c.err.where, "ratls:no-evidence") == 0);
    CHECK(s.rc == CCZ_E_PEER && strcmp(s.err.where, "peer:ratls:no-evidence") == 0);
    close_end(&c);
    close_end(&s);
}

/* ------------------------------------------------------------------------- raw TLS attackers */

/* An attacker goes on whatever its own TLS says. */
static void any(ccz_rc rc)
{
    (void)rc;
}

static ccz_rc accept_any(void *arg, void *conn_arg, struct ccz_span der, struct ccz_err *err)
{
    (void)arg, (void)conn_arg, (void)der, (void)err;
    return CCZ_OK;
}

/* A TLS end without our engine; `alpn` NULL = none. */
static struct ccz_tls *raw_tls(struct ccz_tls_ctx **ctx, bool server, const char *protocol)
{
    const char *const alpn[] = {protocol, NULL};
    struct ccz_tls *t = NULL;
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    struct ccz_cert_cfg cert = {
        .cn = "raw", .key = key, .not_before_s = RATLS_NOW, .not_after_s = RATLS_NOW + 60};
    CHECK(ccz_cert_issue(&der, &cert, NULL) == CCZ_OK);
    struct ccz_tls_cfg cfg = {.server = server,
                              .cert_der = ccz_buf_span(&der),
                              .key = key,
                              .require_peer_cert = true,
                              .verify = accept_any,
                              .alpn = protocol ? alpn : NULL};
    CHECK(ccz_tls_ctx_new(ctx, &cfg, NULL) == CCZ_OK &&
          ccz_tls_new(&t, *ctx, NULL, NULL) == CCZ_OK);
    return t;
}

static void move_raw(struct end *e, struct ccz_tls *t)
{
    CCZ_AUTO_BUF a;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&a, 1 << 20);
    ccz_buf_init(&b, 1 << 20);
    any(ccz_tls_step(t, NULL));
    CHECK(ccz_tls_drain(&a, t) == CCZ_OK && ccz_ratls_feed(e->r, ccz_buf_span(&a)) == CCZ_OK);
    if (e->rc == CCZ_OK)
        e->rc = ccz_ratls_step(e->r, &e->err);
    CHECK(ccz_ratls_drain(&b, e->r) == CCZ_OK && ccz_tls_feed(t, ccz_buf_span(&b)) == CCZ_OK);
    any(ccz_tls_step(t, NULL));
}

static void plain_peer(bool we_are_server, const char *alpn)
{
    struct end e;
    struct ccz_tls_ctx *ctx = NULL;
    make_end(&e, we_are_server, CCZ_RATLS_SESSION);
    open_end(&e);
    struct ccz_tls *t = raw_tls(&ctx, !we_are_server, alpn);
    for (int i = 0; i < 6; i++)
        move_raw(&e, t);
    CHECK(e.rc == CCZ_E_PEER && strcmp(e.err.where, "ratls:alpn") == 0);
    CHECK(strcmp(e.err.expected, CCZ_RATLS_ALPN) == 0 && e.err.hint[0] && !ccz_ratls_ready(e.r));
    ccz_tls_free(t);
    ccz_tls_ctx_free(ctx);
    close_end(&e);
}

static void test_plain_tls(void)
{
    plain_peer(true, NULL);
    plain_peer(true, "h2");
    plain_peer(false, NULL);
    plain_peer(false, "h2");
}

/* Right ALPN, then application data at once: the attestation cannot be skipped. */
static void test_skip_attestation(void)
{
    struct end e;
    struct ccz_tls_ctx *ctx = NULL;
    CCZ_AUTO_BUF reply;
    ccz_buf_init(&reply, 4096);
    make_end(&e, true, CCZ_RATLS_SESSION);
    open_end(&e);
    struct ccz_tls *t = raw_tls(&ctx, false, CCZ_RATLS_ALPN);
    for (int i = 0; i < 3; i++)
        move_raw(&e, t);
    CHECK(e.rc == CCZ_OK && ccz_tls_ready(t) && !ccz_ratls_ready(e.r));
    CHECK(ccz_tls_write(t, ccz_span_str("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), NULL) == CCZ_OK);
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 16);
    CHECK(ccz_tls_drain(&wire, t) == CCZ_OK && ccz_ratls_feed(e.r, ccz_buf_span(&wire)) == CCZ_OK);
    struct ccz_err early = {0}; /* TLS has the bytes already, and nobody gets them */
    CHECK(ccz_ratls_read(&reply, e.r, &early) == CCZ_E_ARG && reply.size == 0);
    CHECK(strcmp(early.where, "ratls:not-ready") == 0);
    CHECK(ccz_ratls_write(e.r, ccz_span_str("x"), &early) == CCZ_E_ARG);
    move_raw(&e, t);
    CHECK(e.rc == CCZ_E_PEER && strcmp(e.err.where, "ratls:order") == 0);
    any(ccz_tls_read(&reply, t, NULL));
    size_t hello = CCZI_RATLS_HEAD_SIZE + CCZI_RATLS_HELLO_SIZE;
    CHECK(reply.size > hello && reply.ptr[hello] == CCZI_RATLS_RESULT && reply.ptr[hello + 5] == 0);
    ccz_tls_free(t);
    ccz_tls_ctx_free(ctx);
    close_end(&e);
}

static void test_peer_gives_up(void)
{
    struct end e;
    struct ccz_tls_ctx *ctx = NULL;
    make_end(&e, true, CCZ_RATLS_SESSION);
    open_end(&e);
    struct ccz_tls *t = raw_tls(&ctx, false, CCZ_RATLS_ALPN);
    for (int i = 0; i < 3; i++)
        move_raw(&e, t);
    ccz_tls_close(t);
    move_raw(&e, t);
    CHECK(e.rc == CCZ_E_CLOSED && strcmp(e.err.where, "ratls:closed") == 0);
    ccz_tls_free(t);
    ccz_tls_ctx_free(ctx);
    close_end(&e);
}

/* Machine in the middle: TLS with each side under its own key, the attestation passed through. */
static void test_relay(void)
{
    struct end c, s;
    struct ccz_tls_ctx *cx = NULL, *sx = NULL;
    make_end(&c, false, CCZ_RATLS_SESSION);
    make_end(&s, true, CCZ_RATLS_SESSION);
    open_end(&c);
    open_end(&s);
    struct ccz_tls *to_c = raw_tls(&cx, true, CCZ_RATLS_ALPN),
                   *to_s = raw_tls(&sx, false, CCZ_RATLS_ALPN);
    c.rc = ccz_ratls_step(c.r, &c.err);
    for (int i = 0; i < 10; i++) {
        CCZ_AUTO_BUF up;
        CCZ_AUTO_BUF down;
        ccz_buf_init(&up, 1 << 20);
        ccz_buf_init(&down, 1 << 20);
        move_raw(&c, to_c);
        move_raw(&s, to_s);
        if (!ccz_tls_ready(to_c) || !ccz_tls_ready(to_s))
            continue;
        any(ccz_tls_read(&up, to_c, NULL));
        any(ccz_tls_read(&down, to_s, NULL));
        any(ccz_tls_write(to_s, ccz_buf_span(&up), NULL));
        any(ccz_tls_write(to_c, ccz_buf_span(&down), NULL));
    }
    CHECK(c.toy.attested == 1 &&
          s.toy.attested == 1); /* both made genuine evidence for the attacker */
    CHECK(c.rc == CCZ_E_SIG && strcmp(c.err.where, "ratls:report-data") == 0);
    CHECK(s.rc == CCZ_E_SIG ||
          (s.rc == CCZ_E_PEER && strcmp(s.err.where, "peer:ratls:report-data") == 0));
    ccz_tls_free(to_c);
    ccz_tls_free(to_s);
    ccz_tls_ctx_free(cx);
    ccz_tls_ctx_free(sx);
    close_end(&c);
    close_end(&s);
}

static void test_replay(void)
{
    struct end c, s;
    uint8_t old[TOY_QUOTE_SIZE];
    make_end(&c, false, CCZ_RATLS_SESSION);
    make_end(&s, true, CCZ_RATLS_SESSION);
    s.toy.keep = old;
    open_and_run(&c, &s);
    CHECK(ccz_ratls_ready(c.r));
    s.toy.keep = NULL;
    ccz_ratls_free(c.r); /* a second connection of the same two contexts: same keys, new session */
    ccz_ratls_free(s.r);
    CHECK(ccz_ratls_new(&c.r, c.ctx) == CCZ_OK && ccz_ratls_new(&s.r, s.ctx) == CCZ_OK);
    s.toy.replay = old;
    run(&c, &s);
    CHECK(c.rc == CCZ_E_SIG && strcmp(c.err.where, "ratls:report-data") == 0 &&
          strlen(c.err.got) == 128);
    CHECK(s.rc == CCZ_E_PEER && strcmp(s.err.where, "peer:ratls:report-data") == 0);
    close_end(&c);
    close_end(&s);
}

/* ------------------------------------------------------------------------------ other profiles */

static void test_certificate(void)
{
    struct end c, s;
    make_end(&c, false, CCZ_RATLS_CERTIFICATE);
    make_end(&s, true, CCZ_RATLS_CERTIFICATE);
    open_and_run(&c, &s);
    CHECK(ccz_ratls_ready(c.r) && ccz_ratls_ready(s.r));
    CHECK(ccz_ratls_peer(c.r)->attested && !ccz_ratls_peer(c.r)->fresh &&
          ccz_ratls_peer(s.r)->attested);
    CHECK(c.toy.attested == 1); /* at the start, and not per connection */
    expect_text(&s, &c, "hello");
    close_end(&c);
    close_end(&s);

    make_end(&c, false,
             CCZ_RATLS_CERTIFICATE); /* one-way: an anonymous client, an attested server */
    make_end(&s, true, CCZ_RATLS_CERTIFICATE);
    c.cfg.attest = NULL;
    s.cfg.appraise = NULL;
    s.cfg.peer_evidence_optional = true;
    open_and_run(&c, &s);
    CHECK(ccz_ratls_ready(c.r) && ccz_ratls_ready(s.r) && !ccz_ratls_peer(s.r)->attested);
    close_end(&c);
    close_end(&s);

    make_end(&c, false, CCZ_RATLS_CERTIFICATE); /* a client without evidence where it is required */
    make_end(&s, true, CCZ_RATLS_CERTIFICATE);
    c.cfg.attest = NULL;
    open_and_run(&c, &s);
    CHECK(s.rc == CCZ_E_NOT_FOUND && strcmp(s.err.where, "ratls:no-evidence") == 0);
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "tls:peer-alert") == 0);
    close_end(&c);
    close_end(&s);
}

/* Evidence that is there but cannot be judged ("no collateral found") is not "no evidence". */
static void test_certificate_not_found(void)
{
    struct end c, s;
    make_end(&c, false, CCZ_RATLS_CERTIFICATE);
    make_end(&s, true, CCZ_RATLS_CERTIFICATE);
    s.cfg.peer_evidence_optional = true;
    s.toy.appraise_rc = CCZ_E_NOT_FOUND;
    open_and_run(&c, &s);
    CHECK(s.rc == CCZ_E_NOT_FOUND && strcmp(s.err.where, "policy:mrenclave") == 0 &&
          !ccz_ratls_ready(s.r));
    close_end(&c);
    close_end(&s);
}

static ccz_rc pin_hook(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    const struct ccz_buf *want = arg;
    return ccz_span_eq(spki, ccz_buf_span(want))
               ? CCZ_OK
               : ccz_refuse(err, CCZ_E_DENIED, "test:pin", "a", "b");
}

static void test_pin(enum ccz_ratls_profile profile)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_key) other = NULL;
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK &&
          ccz_key_generate(&other, CCZ_P256) == CCZ_OK);
    CHECK(ccz_key_spki(&spki, key) == CCZ_OK);
    for (int i = 0; i < 2; i++) {
        struct end c, s;
        make_end(&c, false, profile);
        make_end(&s, true, profile);
        c.cfg.attest = NULL;
        c.cfg.key = i == 0 ? key : other;
        s.cfg.peer_evidence_optional = profile != CCZ_RATLS_TLS_ONLY_INSECURE;
        s.cfg.pin = pin_hook;
        s.cfg.pin_arg = &spki;
        open_and_run(&c, &s);
        CHECK(ccz_ratls_ready(s.r) == (i == 0));
        if (i == 0)
            CHECK(ccz_ratls_peer(s.r)->pinned && !ccz_ratls_peer(s.r)->attested);
        else
            CHECK(s.rc == CCZ_E_DENIED && strcmp(s.err.where, "test:pin") == 0 &&
                  c.rc == CCZ_E_PEER);
        close_end(&c);
        close_end(&s);
    }
}

static void test_pins(void)
{
    test_pin(CCZ_RATLS_SESSION);
    test_pin(CCZ_RATLS_CERTIFICATE);
    test_pin(CCZ_RATLS_TLS_ONLY_INSECURE);
}

static void test_tls_only(void)
{
    static const char *const h2[] = {"h2", NULL};
    struct end c, s;
    make_end(&c, false, CCZ_RATLS_TLS_ONLY_INSECURE);
    make_end(&s, true, CCZ_RATLS_TLS_ONLY_INSECURE);
    c.cfg.alpn = s.cfg.alpn = h2;
    open_and_run(&c, &s);
    CHECK(ccz_ratls_ready(c.r) && ccz_ratls_ready(s.r) && !ccz_ratls_peer(c.r)->attested);
    expect_text(&s, &c, "hello");
    close_end(&c);
    close_end(&s);
}

/* An issuer that is wrong in one way. */
enum issued { ISSUED_WELL, ISSUED_FOR_ANOTHER_KEY, ISSUED_WITHOUT_EVIDENCE, ISSUED_NOTHING };
struct issuer {
    enum issued how;
    struct end *end;
    unsigned asked;
};

static ccz_rc certify(void *arg, struct ccz_buf *der, const struct ccz_key *key,
                      struct ccz_err *err)
{
    struct issuer *is = arg;
    CCZ_AUTO(ccz_key) other = NULL;
    CHECK(ccz_key_generate(&other, CCZ_P256) == CCZ_OK);
    is->asked++;
    if (is->how == ISSUED_NOTHING)
        return ccz_refuse(err, CCZ_E_DENIED, "test:issuer", "this one", "another one");
    if (is->how == ISSUED_WITHOUT_EVIDENCE)
        return ccz_cert_issue(der,
                              &(struct ccz_cert_cfg){.cn = "x",
                                                     .key = key,
                                                     .not_before_s = RATLS_NOW - 1,
                                                     .not_after_s = RATLS_NOW + 1000},
                              err);
    return ccz_ratls_cert_issue(der, is->how == ISSUED_WELL ? key : other, RATLS_NOW,
                                CCZ_RATLS_EMIT_DICE, toy_attest, &is->end->toy, err);
}

static void test_certified(void)
{
    static const char *const where[] = {"", "ratls:certified", "ratls:no-evidence", "test:issuer"};
    for (int how = ISSUED_WELL; how <= ISSUED_NOTHING; how++) {
        struct end c, s;
        make_end(&c, false, CCZ_RATLS_CERTIFICATE);
        make_end(&s, true, CCZ_RATLS_CERTIFICATE);
        struct issuer is = {.how = (enum issued)how, .end = &s};
        s.cfg.certify = certify;
        s.cfg.certify_arg = &is;
        if (how != ISSUED_WELL) {
            CHECK(ccz_ratls_ctx_new(&s.ctx, &s.cfg, &s.err) != CCZ_OK && !s.ctx);
            CHECK(strcmp(s.err.where, where[how]) == 0);
            continue;
        }
        open_and_run(&c, &s);
        CHECK(is.asked == 1 && ccz_ratls_ready(c.r) && ccz_ratls_peer(c.r)->attested);
        close_end(&c);
        close_end(&s);
    }
}

/* One port, one certificate: who speaks the session profile has fresh evidence; who does not has that in the certificate, or
 * knows who issued it. */
static void test_stock_beside(void)
{
    static const char *const h2[] = {"h2", NULL};
    enum { SESSION, SESSION_REFUSES, CERT, CERT_REFUSES, STOCK, OTHER_PROTOCOL, CASES };
    for (int how = 0; how < CASES; how++) {
        const bool is_session = how == SESSION || how == SESSION_REFUSES;
        struct end c, s;
        make_end(&s, true, CCZ_RATLS_SESSION);
        struct issuer is = {.how = ISSUED_WELL, .end = &s};
        s.cfg.appraise = NULL;
        s.cfg.peer_evidence_optional = true;
        s.cfg.alpn = h2;
        s.cfg.certify = certify;
        s.cfg.certify_arg = &is;
        make_end(&c, false,
                 is_session                              ? CCZ_RATLS_SESSION
                 : how == STOCK || how == OTHER_PROTOCOL ? CCZ_RATLS_TLS_ONLY_INSECURE
                                                         : CCZ_RATLS_CERTIFICATE);
        if (!is_session && how != OTHER_PROTOCOL)
            c.cfg.alpn = h2;
        c.cfg.attest = NULL;
        const bool refuses = how == SESSION_REFUSES || how == CERT_REFUSES;
        c.toy.appraise_rc = refuses ? CCZ_E_POLICY : CCZ_OK;
        open_and_run(&c, &s);
        CHECK(is.asked == 1);
        if (how == OTHER_PROTOCOL) { /* none is none of ours */
            CHECK(s.rc != CCZ_OK && !ccz_ratls_ready(s.r) &&
                  strcmp(s.err.where, "ratls:alpn") == 0);
        } else if (refuses) {
            CHECK(c.rc != CCZ_OK && !ccz_ratls_ready(c.r));
        } else {
            CHECK(c.rc == CCZ_OK && ccz_ratls_ready(c.r) && s.rc == CCZ_OK && ccz_ratls_ready(s.r));
            CHECK(!ccz_ratls_peer(s.r)->attested &&
                  ccz_ratls_peer(c.r)->attested == (how != STOCK));
            CHECK(ccz_ratls_peer(c.r)->fresh == is_session);
            CCZ_AUTO_BUF got;
            ccz_buf_init(&got, 64);
            CHECK(ccz_ratls_write(c.r, ccz_span_str("hello"), NULL) == CCZ_OK);
            move(&s, &c);
            CHECK(ccz_ratls_read(&got, s.r, NULL) == CCZ_OK &&
                  ccz_span_eq(ccz_buf_span(&got), ccz_span_str("hello")));
        }
        close_end(&c);
        close_end(&s);
    }
}

/* Where clients are judged, one that is not of the profile does not get past the handshake. */
static void test_stock_refused(void)
{
    static const char *const h2[] = {"h2", NULL};
    struct end c, s;
    make_end(&s, true, CCZ_RATLS_SESSION);
    make_end(&c, false, CCZ_RATLS_TLS_ONLY_INSECURE);
    c.cfg.alpn = h2;
    open_and_run(&c, &s);
    CHECK(s.rc == CCZ_E_PEER && strcmp(s.err.where, "ratls:alpn") == 0 && !ccz_ratls_ready(c.r));
    close_end(&c);
    close_end(&s);
}

static void refuse_cfg(struct ccz_ratls_cfg cfg)
{
    struct ccz_ratls_ctx *ctx = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_ratls_ctx_new(&ctx, &cfg, &err) == CCZ_E_ARG && !ctx &&
          strcmp(err.where, "ratls:config") == 0);
}

/* Stock clients beside those of the session profile: where clients are judged, or nothing is there to be looked at. */
static void refuse_stock(void)
{
    static const char *const h2[] = {"h2", NULL}, *const own[] = {"h2", CCZ_RATLS_ALPN, NULL};
    const struct ccz_ratls_cfg good = {
        .server = true, .attest = toy_attest, .peer_evidence_optional = true, .alpn = h2};
    struct ccz_ratls_cfg c = good;
    c.appraise = toy_appraise;
    refuse_cfg(c); /* also when evidence is optional: who has some would hide it by the protocol */
    c = good;
    c.pin = pin_hook;
    refuse_cfg(c);
    c = good;
    c.attest = NULL;
    refuse_cfg(c);
    c = good;
    c.server = false;
    refuse_cfg(c);
    c = good;
    c.alpn = own;
    refuse_cfg(c);
}

static void test_config(void)
{
    static const char *const h2[] = {"h2", NULL};
    CCZ_AUTO(ccz_key) p384 = NULL;
    CHECK(ccz_key_generate(&p384, CCZ_P384) == CCZ_OK);
    refuse_cfg(
        (struct ccz_ratls_cfg){0}); /* the zeroed configuration demands evidence nobody appraises */
    refuse_cfg((struct ccz_ratls_cfg){.profile = CCZ_RATLS_CERTIFICATE, .attest = toy_attest});
    refuse_cfg((struct ccz_ratls_cfg){.appraise = toy_appraise, .alpn = h2});
    refuse_stock();
    refuse_cfg((struct ccz_ratls_cfg){.appraise = toy_appraise, .pin = pin_hook});
    refuse_cfg((struct ccz_ratls_cfg){.appraise = toy_appraise, .key = p384});
    refuse_cfg(
        (struct ccz_ratls_cfg){.profile = CCZ_RATLS_TLS_ONLY_INSECURE, .appraise = toy_appraise});
    refuse_cfg(
        (struct ccz_ratls_cfg){.profile = CCZ_RATLS_TLS_ONLY_INSECURE, .attest = toy_attest});
    refuse_cfg((struct ccz_ratls_cfg){
        .appraise = toy_appraise, .attest = toy_attest, .certify = certify}); /* session */
    refuse_cfg((struct ccz_ratls_cfg){.profile = CCZ_RATLS_CERTIFICATE,
                                      .appraise = toy_appraise,
                                      .certify = certify}); /* without evidence */
    refuse_cfg(
        (struct ccz_ratls_cfg){.profile = (enum ccz_ratls_profile)9, .appraise = toy_appraise});
}

/* A TLS object without our engine around it (ccz_tls_native_new(), HTTPS) has no place for a verdict
 * about its peer, and does not speak the session profile: it must not get through. */
static void test_native(void)
{
    static const enum ccz_ratls_profile profiles[] = {CCZ_RATLS_SESSION, CCZ_RATLS_CERTIFICATE};
    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
        struct end c, s;
        make_end(&c, false, profiles[i]);
        make_end(&s, true, profiles[i]);
        open_end(&c);
        open_end(&s);
        CCZ_AUTO(ccz_tls) native = NULL;
        struct ccz_err err = {0};
        CHECK(ccz_tls_new(&native, ccz_ratls_tls_ctx(s.ctx), NULL, NULL) == CCZ_OK);
        ccz_rc rc = CCZ_OK;
        c.rc = ccz_ratls_step(c.r, &c.err);
        for (int k = 0; k < 4 && rc == CCZ_OK; k++) {
            CCZ_AUTO_BUF wire;
            ccz_buf_init(&wire, 1 << 20);
            CHECK(ccz_ratls_drain(&wire, c.r) == CCZ_OK);
            CHECK(ccz_tls_feed(native, ccz_buf_span(&wire)) == CCZ_OK);
            rc = ccz_tls_step(native, &err);
            ccz_buf_clear(&wire);
            CHECK(ccz_tls_drain(&wire, native) == CCZ_OK);
            CHECK(ccz_ratls_feed(c.r, ccz_buf_span(&wire)) == CCZ_OK);
            c.rc = ccz_ratls_step(c.r, &c.err);
        }
        CHECK(rc == CCZ_E_UNSUPPORTED && strcmp(err.where, "ratls:native") == 0);
        CHECK(!ccz_tls_ready(native) && s.toy.appraised == 0);
        close_end(&c);
        close_end(&s);
    }
}

static const struct ccz_test tests[] = {
    {"ratls.tls_session", test_session},
    {"ratls.native", test_native},
    {"ratls.tls_same_flight", test_same_flight},
    {"ratls.tls_refusal_reaches_peer", test_refusal_reaches_peer},
    {"ratls.tls_no_evidence", test_no_evidence},
    {"ratls.tls_plain_peer", test_plain_tls},
    {"ratls.tls_skip_attestation", test_skip_attestation},
    {"ratls.tls_peer_gives_up", test_peer_gives_up},
    {"ratls.tls_relay", test_relay},
    {"ratls.tls_replay", test_replay},
    {"ratls.tls_certificate", test_certificate},
    {"ratls.tls_certificate_not_found", test_certificate_not_found},
    {"ratls.tls_pin", test_pins},
    {"ratls.tls_only", test_tls_only},
    {"ratls.certified", test_certified},
    {"ratls.stock_beside", test_stock_beside},
    {"ratls.stock_refused", test_stock_refused},
    {"ratls.config", test_config},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
