/* SPDX-License-Identifier: Apache-2.0 */
/* The session profile without TLS: two state machines and the bytes between them, in our hands. */
#define _DEFAULT_SOURCE
#include "ratls/ratls_priv.h"

#include "ccz_test.h"
#include "ratls/toy_evidence.h"

#include <stdio.h>

struct side {
    struct ccz_ratls_cfg cfg;
    struct cczi_session s;
    struct toy toy;
    struct ccz_err err;
    ccz_rc rc;
};

static const char client_key[] = "SPKI of the client", server_key[] = "SPKI of the server";

static struct ccz_ratls_cfg mutual(bool server, struct toy *toy)
{
    return (struct ccz_ratls_cfg){.server = server,
                                  .attest = toy_attest,
                                  .attest_arg = toy,
                                  .appraise = toy_appraise,
                                  .appraise_arg = toy};
}

static void open_side(struct side *x, const char *own, const char *peer, uint8_t session_id)
{
    struct cczi_session_in in = {
        .cfg = &x->cfg, .own_spki = ccz_span_str(own), .peer_spki = ccz_span_str(peer)};
    memset(in.exporter, session_id, sizeof(in.exporter));
    CHECK(cczi_session_init(&x->s, &in, &x->err) == CCZ_OK);
}

static void open_pair(struct side *c, struct side *s, uint8_t session_id)
{
    open_side(c, client_key, server_key, session_id);
    open_side(s, server_key, client_key, session_id);
}

static void make_pair(struct side *c, struct side *s)
{
    memset(c, 0, sizeof(*c));
    memset(s, 0, sizeof(*s));
    c->cfg = mutual(false, &c->toy);
    s->cfg = mutual(true, &s->toy);
}

static void close_pair(struct side *c, struct side *s)
{
    cczi_session_deinit(&c->s);
    cczi_session_deinit(&s->s);
}

static void step(struct side *x)
{
    if (x->rc == CCZ_OK)
        x->rc = cczi_session_step(&x->s, &x->err);
}

/* Moves what `from` has to say to `to`, flipping bit `flip` (counted over the whole direction). */
static void move(struct side *to, struct side *from, long *flip)
{
    size_t size = from->s.out.size;
    if (flip && *flip >= 0 && (size_t)*flip < 8 * size)
        from->s.out.ptr[*flip / 8] ^= (uint8_t)(1u << (*flip % 8));
    if (flip)
        *flip -= 8 * (long)size;
    ccz_buf_put_span(&to->s.in, ccz_buf_span(&from->s.out));
    ccz_buf_clear(&from->s.out);
    step(to);
}

static void run(struct side *c, struct side *s)
{
    for (int i = 0; i < 6; i++) {
        move(s, c, NULL);
        move(c, s, NULL);
    }
}

static bool both_ready(const struct side *c, const struct side *s)
{
    return cczi_session_ready(&c->s) && cczi_session_ready(&s->s);
}

static void test_mutual(void)
{
    struct side c, s;
    make_pair(&c, &s);
    open_pair(&c, &s, 1);
    run(&c, &s);
    CHECK(c.rc == CCZ_OK && s.rc == CCZ_OK && both_ready(&c, &s));
    CHECK(c.s.peer.attested && c.s.peer.fresh && !c.s.peer.pinned && c.s.peer.claims.isv_svn == 7);
    CHECK(s.s.peer.attested && s.s.peer.fresh);
    CHECK(memcmp(c.s.peer.claims.report_data, s.s.peer.claims.report_data, 64) != 0);
    CHECK(c.s.in.size == 0 && s.s.in.size == 0);
    /* what follows the last message is the application's */
    ccz_buf_put_str(&s.s.in, "GET");
    step(&s);
    CHECK(s.rc == CCZ_OK && s.s.in.size == 3);
    close_pair(&c, &s);
}

/* The formula of ratls.h, written out once more. */
static void test_report_data(void)
{
    uint8_t exporter[32], nonce[32], got[64], want[64];
    memset(exporter, 0xe0, 32);
    memset(nonce, 0x0e, 32);
    CHECK(cczi_ratls_report_data(got, 's', ccz_span_str("key"), exporter, nonce) == CCZ_OK);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 256);
    ccz_buf_put_str(&b, "cczoo ra-tls session v1s");
    ccz_buf_le32(&b, 3);
    ccz_buf_put_str(&b, "key");
    ccz_buf_put(&b, exporter, 32);
    ccz_buf_put(&b, nonce, 32);
    struct ccz_span all = ccz_buf_span(&b);
    CHECK(ccz_hash(want, CCZ_SHA512, &all, 1) == CCZ_OK && memcmp(got, want, 64) == 0);
    CHECK(cczi_ratls_report_data(got, 'c', ccz_span_str("key"), exporter, nonce) == CCZ_OK);
    CHECK(memcmp(got, want, 64) != 0);
}

/* One side attests, the other has nothing: accepted only where that is configured. */
static void test_one_way(void)
{
    struct side c, s;
    make_pair(&c, &s);
    c.cfg.attest = NULL;
    s.cfg.appraise = NULL;
    s.cfg.peer_evidence_optional = true;
    open_pair(&c, &s, 1);
    run(&c, &s);
    CHECK(both_ready(&c, &s) && c.s.peer.attested && !s.s.peer.attested && !s.s.peer.fresh);
    CHECK(c.toy.attested == 0 && s.toy.appraised == 0);
    close_pair(&c, &s);

    make_pair(&c, &s); /* a client with evidence is not made to quote when nobody asks */
    s.cfg.appraise = NULL;
    s.cfg.peer_evidence_optional = true;
    open_pair(&c, &s, 1);
    run(&c, &s);
    CHECK(both_ready(&c, &s) && c.toy.attested == 0 && s.toy.attested == 1);
    close_pair(&c, &s);
}

static void test_no_evidence(void)
{
    struct side c, s;
    make_pair(&c, &s);
    c.cfg.attest = NULL;
    open_pair(&c, &s, 1);
    run(&c, &s);
    CHECK(s.rc == CCZ_E_DENIED && strcmp(s.err.where, "ratls:no-evidence") == 0 && s.err.hint[0]);
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "peer:ratls:no-evidence") == 0);
    CHECK(strcmp(c.err.got, "no evidence") == 0 && strcmp(c.err.expected, "evidence") == 0);
    CHECK(c.err.aux == CCZ_E_DENIED && strstr(c.err.msg, "peer's hint: this side talks only"));
    CHECK(!cczi_session_ready(&c.s) && !cczi_session_ready(&s.s));
    close_pair(&c, &s);
}

static ccz_rc pin_server_key(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    const char *want = arg;
    return ccz_span_eq(spki, ccz_span_str(want))
               ? CCZ_OK
               : ccz_refuse(err, CCZ_E_DENIED, "test:pin", "other key", want);
}

static void test_pin(void)
{
    struct side c, s;
    make_pair(&c, &s);
    c.cfg.attest = NULL;
    s.cfg.peer_evidence_optional = true;
    s.cfg.pin = pin_server_key;
    s.cfg.pin_arg = (void *)(uintptr_t)client_key;
    open_pair(&c, &s, 1);
    run(&c, &s);
    CHECK(both_ready(&c, &s) && s.s.peer.pinned && !s.s.peer.attested);
    close_pair(&c, &s);

    s.cfg.pin_arg = (void *)(uintptr_t) "another";
    c.rc = s.rc = CCZ_OK;
    open_pair(&c, &s, 1);
    run(&c, &s);
    CHECK(s.rc == CCZ_E_DENIED && strcmp(s.err.where, "test:pin") == 0);
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "peer:test:pin") == 0 && !s.s.peer.pinned);
    close_pair(&c, &s);
}

/* Evidence is optional, but bad evidence is not the same as none. */
static void test_optional_but_bad(void)
{
    struct side c, s;
    make_pair(&c, &s);
    s.cfg.peer_evidence_optional = true;
    s.toy.appraise_rc = CCZ_E_POLICY;
    open_pair(&c, &s, 1);
    run(&c, &s);
    CHECK(s.rc == CCZ_E_POLICY && strcmp(s.err.where, "policy:mrenclave") == 0);
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "peer:policy:mrenclave") == 0);
    CHECK(strcmp(c.err.got, "11aa") == 0 && strcmp(c.err.expected, "22bb") == 0);
    close_pair(&c, &s);
}

/* Genuine evidence, right format, made in an earlier session between the same parties. */
static void test_replay(void)
{
    struct side c, s;
    uint8_t old[TOY_QUOTE_SIZE];
    make_pair(&c, &s);
    s.toy.keep = old;
    open_pair(&c, &s, 1);
    run(&c, &s);
    close_pair(&c, &s);
    s.toy.keep = NULL;

    s.toy.replay = old;
    open_pair(&c, &s, 2);
    run(&c, &s);
    CHECK(c.rc == CCZ_E_SIG && strcmp(c.err.where, "ratls:report-data") == 0);
    CHECK(strlen(c.err.got) == 128 && strlen(c.err.expected) == 128 &&
          strcmp(c.err.got, c.err.expected) != 0);
    CHECK(s.rc == CCZ_E_PEER && strcmp(s.err.where, "peer:ratls:report-data") == 0);
    CHECK(!c.s.peer.attested &&
          c.s.peer.claims.isv_svn == 0); /* nothing half-true is left behind */
    close_pair(&c, &s);
}

/* A verifier that repeats its nonce is still safe: the exporter differs between sessions. */
static void test_nonce_reuse(void)
{
    struct side c, s;
    uint8_t old[TOY_QUOTE_SIZE], nonce[32];
    make_pair(&c, &s);
    open_pair(&c, &s, 1);
    memcpy(nonce, c.s.nonce, 32);
    s.toy.keep = old;
    run(&c, &s);
    s.toy.keep = NULL;
    close_pair(&c, &s);

    s.toy.replay = old;
    open_pair(&c, &s, 2);
    memcpy(c.s.nonce, nonce, 32); /* session 2 with the nonce of session 1, in HELLO too */
    memcpy(c.s.out.ptr + CCZI_RATLS_HEAD_SIZE + 4, nonce, 32);
    run(&c, &s);
    CHECK(c.rc == CCZ_E_SIG && strcmp(c.err.where, "ratls:report-data") == 0);
    close_pair(&c, &s);

    s.toy.replay = NULL; /* and within one session the nonce alone tells two quotes apart */
    uint8_t a[64], b[64];
    CHECK(cczi_ratls_report_data(a, 's', ccz_span_str("k"), c.s.with.exporter, nonce) == CCZ_OK);
    nonce[31] ^= 1;
    CHECK(cczi_ratls_report_data(b, 's', ccz_span_str("k"), c.s.with.exporter, nonce) == CCZ_OK);
    CHECK(memcmp(a, b, 64) != 0);
}

/* A relay: the attacker M speaks TLS with both, shows the server its own key, passes evidence
 * through. */
static void test_relay(void)
{
    struct side c, s;
    make_pair(&c, &s);
    open_side(&c, client_key, "SPKI of M", 1); /* session 1: client - M */
    open_side(&s, server_key, "SPKI of M", 2); /* session 2: M - server */
    /* M forwards every message unchanged in both directions */
    run(&c, &s);
    CHECK(c.rc == CCZ_E_SIG && strcmp(c.err.where, "ratls:report-data") == 0);
    CHECK(s.rc == CCZ_E_SIG || strcmp(s.err.where, "peer:ratls:report-data") == 0);
    CHECK(!cczi_session_ready(&c.s) && !cczi_session_ready(&s.s));
    close_pair(&c, &s);
    /* the same if the exporters were equal: the key in the hash stops it alone */
    c.rc = s.rc = CCZ_OK;
    open_side(&c, client_key, "SPKI of M", 1);
    open_side(&s, server_key, "SPKI of M", 1);
    run(&c, &s);
    CHECK(c.rc == CCZ_E_SIG && strcmp(c.err.where, "ratls:report-data") == 0);
    close_pair(&c, &s);
}

/* The peer sends our own messages back. */
static void test_reflection(void)
{
    struct side c, s;
    make_pair(&c, &s);
    open_pair(&c, &s, 1);
    move(&c, &c, NULL); /* our HELLO to ourselves: wrong role */
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "ratls:role") == 0);
    close_pair(&c, &s);

    c.rc = CCZ_OK;
    open_pair(&c, &s, 1);
    c.s.out.ptr[CCZI_RATLS_HEAD_SIZE + 2] = 's'; /* with the role corrected: our own nonce */
    move(&c, &c, NULL);
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "ratls:nonce") == 0);
    close_pair(&c, &s);

    uint8_t mine[TOY_QUOTE_SIZE];
    c.toy.keep = mine;
    /* M has a nonce of its own, lets c quote first and returns c's quote as its evidence. Same
     * exporter, and even the same key. */
    c.rc = CCZ_OK;
    open_side(&c, client_key, client_key, 1);
    open_side(&s, client_key, client_key, 1);
    s.rc = CCZ_OK;
    memcpy(s.s.nonce, c.s.nonce, 32);
    s.s.nonce[0] ^= 1;
    memcpy(s.s.out.ptr + CCZI_RATLS_HEAD_SIZE + 4, s.s.nonce, 32);
    move(&c, &s, NULL); /* c quotes over M's nonce */
    s.toy.replay = mine;
    run(&c, &s);
    CHECK(c.rc == CCZ_E_SIG && strcmp(c.err.where, "ratls:report-data") == 0);
    close_pair(&c, &s);
}

/* Same key on both sides, same exporter, c's own nonce: the server's quote made for @p role. */
static ccz_rc quote_for_role(char role)
{
    struct side c, s;
    uint8_t data[64];
    CCZ_AUTO_BUF quote;
    ccz_buf_init(&quote, TOY_QUOTE_SIZE);
    make_pair(&c, &s);
    open_side(&c, client_key, client_key, 1);
    open_side(&s, client_key, client_key, 1);
    CHECK(cczi_ratls_report_data(data, role, ccz_span_str(client_key), c.s.with.exporter,
                                 c.s.nonce) == CCZ_OK);
    CHECK(toy_attest(&c.toy, &quote, data, NULL) == CCZ_OK);
    s.toy.replay = quote.ptr;
    run(&c, &s);
    close_pair(&c, &s);
    return c.rc;
}

static void test_role_in_hash(void)
{
    CHECK(quote_for_role('s') == CCZ_OK); /* nothing but the role differs */
    CHECK(quote_for_role('c') == CCZ_E_SIG);
}

static void test_two_servers(void)
{
    struct side a, b;
    make_pair(&a, &b);
    a.cfg.server = true;
    open_pair(&a, &b, 1);
    run(&a, &b);
    CHECK(b.rc == CCZ_E_PEER && strcmp(b.err.where, "ratls:role") == 0 && b.err.aux == 's');
    CHECK(a.rc == CCZ_E_PEER);
    close_pair(&a, &b);
}

/* Every bit of everything one side says: whoever is lied to refuses, or the liar's peer does. */
static void flip_all(bool from_client)
{
    const size_t frames = CCZI_RATLS_HEAD_SIZE + CCZI_RATLS_HELLO_SIZE + CCZI_RATLS_HEAD_SIZE +
                          TOY_QUOTE_SIZE + CCZI_RATLS_HEAD_SIZE + 1;
    for (long bit = 0; bit < 8 * (long)frames; bit++) {
        struct side c, s;
        make_pair(&c, &s);
        open_pair(&c, &s, 1);
        long flip = bit;
        for (int i = 0; i < 6; i++) {
            move(&s, &c, from_client ? &flip : NULL);
            move(&c, &s, from_client ? NULL : &flip);
        }
        CHECK(flip < 0); /* the byte was really sent */
        CHECK(!both_ready(&c, &s));
        CHECK(!cczi_session_ready(from_client ? &s.s : &c.s) || c.rc != CCZ_OK || s.rc != CCZ_OK);
        close_pair(&c, &s);
    }
}

static void test_tamper(void)
{
    flip_all(true);
    flip_all(false);
}

/* A message in pieces, cut at each byte: no verdict before the last byte, then the right one. */
static void test_truncation(void)
{
    struct side c, s;
    make_pair(&c, &s);
    open_pair(&c, &s, 1);
    for (int turn = 0; turn < 4 && !both_ready(&c, &s); turn++) {
        struct side *from = turn % 2 ? &s : &c, *to = turn % 2 ? &c : &s;
        for (size_t i = 0; i < from->s.out.size; i++) {
            CHECK(!cczi_session_ready(&to->s));
            ccz_buf_put(&to->s.in, from->s.out.ptr + i, 1);
            step(to);
            CHECK(to->rc == CCZ_OK);
        }
        ccz_buf_clear(&from->s.out);
    }
    run(&c, &s);
    CHECK(both_ready(&c, &s));
    close_pair(&c, &s);
}

static void feed_refused(struct side *x, const void *bytes, size_t size, const char *where)
{
    open_side(x, server_key, client_key, 1);
    x->rc = CCZ_OK;
    ccz_buf_put(&x->s.in, bytes, size);
    step(x);
    CHECK(x->rc != CCZ_OK && strcmp(x->err.where, where) == 0);
    cczi_session_deinit(&x->s);
}

static void test_size_and_order(void)
{
    struct side c, s;
    make_pair(&c, &s);
    const uint8_t big_hello[] = {CCZI_RATLS_HELLO, 37, 0, 0, 0};
    const uint8_t small_hello[] = {CCZI_RATLS_HELLO, 35, 0, 0, 0};
    const uint8_t huge[] = {CCZI_RATLS_HELLO, 0xff, 0xff, 0xff, 0xff};
    const uint8_t evidence_first[] = {CCZI_RATLS_EVIDENCE, 0, 0, 0, 0};
    const uint8_t big_result[] = {CCZI_RATLS_RESULT, 1, 4, 0, 0};
    const uint8_t empty_result[] = {CCZI_RATLS_RESULT, 0, 0, 0, 0};
    const uint8_t early_accept[] = {CCZI_RATLS_RESULT, 1, 0, 0, 0, 1};
    const uint8_t unknown[] = {4, 1, 0, 0, 0, 1};
    const uint8_t http[] = "GET / HTTP/1.1\r\n\r\n";
    const uint8_t bare_refusal[] = {CCZI_RATLS_RESULT, 1, 0, 0, 0, 0};
    feed_refused(&s, big_hello, sizeof(big_hello), "ratls:size"); /* from the head alone */
    feed_refused(&s, small_hello, sizeof(small_hello), "ratls:size");
    feed_refused(&s, huge, sizeof(huge), "ratls:size");
    feed_refused(&s, evidence_first, sizeof(evidence_first), "ratls:order");
    feed_refused(&s, big_result, sizeof(big_result), "ratls:size");
    feed_refused(&s, empty_result, sizeof(empty_result), "ratls:size");
    feed_refused(&s, early_accept, sizeof(early_accept), "ratls:order");
    feed_refused(&s, unknown, sizeof(unknown), "ratls:order");
    feed_refused(&s, http, sizeof(http) - 1, "ratls:order");
    feed_refused(&s, bare_refusal, sizeof(bare_refusal), "ratls:result");

    /* application data instead of EVIDENCE: nothing is taken before the session is ready */
    open_pair(&c, &s, 1);
    s.rc = CCZ_OK;
    move(&s, &c, NULL);
    ccz_buf_put_str(&s.s.in, "PRI * HTTP/2.0");
    step(&s);
    CHECK(s.rc == CCZ_E_PEER && strcmp(s.err.where, "ratls:order") == 0 &&
          !cczi_session_ready(&s.s));
    close_pair(&c, &s);

    /* evidence above the limit is refused from its head */
    open_pair(&c, &s, 1);
    s.rc = CCZ_OK;
    move(&s, &c, NULL);
    ccz_buf_u8(&s.s.in, CCZI_RATLS_EVIDENCE);
    ccz_buf_le32(&s.s.in, CCZ_QUOTE_SIZE_MAX + 1);
    step(&s);
    CHECK(s.rc == CCZ_E_LIMIT && strcmp(s.err.where, "ratls:size") == 0);
    close_pair(&c, &s);
}

static void test_hello(void)
{
    struct side c, s;
    make_pair(&c, &s);
    open_pair(&c, &s, 1);
    c.s.out.ptr[CCZI_RATLS_HEAD_SIZE] = 2;
    move(&s, &c, NULL);
    CHECK(s.rc == CCZ_E_UNSUPPORTED && strcmp(s.err.where, "ratls:version") == 0 &&
          strcmp(s.err.got, "2") == 0);
    close_pair(&c, &s);
    s.rc = CCZ_OK;
    open_pair(&c, &s, 1);
    c.s.out.ptr[CCZI_RATLS_HEAD_SIZE + 3] = 2;
    move(&s, &c, NULL);
    CHECK(s.rc == CCZ_E_FORMAT && strcmp(s.err.where, "ratls:hello") == 0);
    close_pair(&c, &s);
}

static void test_unasked(void)
{
    struct side c, s;
    make_pair(&c, &s);
    s.cfg.appraise = NULL;
    s.cfg.peer_evidence_optional = true;
    open_pair(&c, &s, 1);
    s.s.out.ptr[CCZI_RATLS_HEAD_SIZE + 3] = 1; /* the attacker asks in the server's name */
    run(&c, &s);
    CHECK(s.rc == CCZ_E_PEER && strcmp(s.err.where, "ratls:unasked") == 0 && !s.s.peer.attested);
    close_pair(&c, &s);
}

static void test_own_evidence(void)
{
    struct side c, s;
    make_pair(&c, &s);
    s.toy.broken = true;
    open_pair(&c, &s, 1);
    run(&c, &s);
    CHECK(s.rc == CCZ_E_UNAVAILABLE && strcmp(s.err.where, "toy:attest") == 0);
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "peer:toy:attest") == 0 &&
          c.err.aux == CCZ_E_UNAVAILABLE);
    close_pair(&c, &s);
    make_pair(&c, &s);
    s.toy.filler = CCZ_QUOTE_SIZE_MAX + 1;
    open_pair(&c, &s, 1);
    run(&c, &s);
    CHECK(s.rc == CCZ_E_LIMIT && strcmp(s.err.where, "ratls:own-evidence") == 0);
    close_pair(&c, &s);
}

/* The peer's refusal is untrusted text. */
static void test_refusal_text(void)
{
    struct side c, s;
    make_pair(&c, &s);
    struct ccz_err evil = {.rc = CCZ_E_POLICY, .hint = "do\nthis"};
    memset(evil.where, 'w', sizeof(evil.where) - 1);
    memset(evil.msg, '\n', sizeof(evil.msg) - 1);
    (void)snprintf(evil.got, sizeof(evil.got), "a\x1b[2Jb");
    open_pair(&c, &s, 1);
    cczi_ratls_put_refusal(&c.s.in, &evil);
    step(&c);
    CHECK(c.rc == CCZ_E_PEER && strncmp(c.err.where, "peer:www", 8) == 0 &&
          strlen(c.err.where) < sizeof(c.err.where));
    CHECK(strcmp(c.err.got, "a\\x1b[2Jb") == 0 && !strchr(c.err.msg, '\n') && c.err.hint[0] == 0);
    CHECK(c.err.aux == CCZ_E_POLICY);
    size_t hello = CCZI_RATLS_HEAD_SIZE + CCZI_RATLS_HELLO_SIZE;
    CHECK(c.s.out.size == hello); /* a refusal is not answered with a refusal */
    close_pair(&c, &s);

    /* cut at each byte it is malformed, never read beyond */
    CCZ_AUTO_BUF frame;
    ccz_buf_init(&frame, 4096);
    cczi_ratls_put_refusal(&frame, &evil);
    for (size_t cut = 1; cut < frame.size - CCZI_RATLS_HEAD_SIZE; cut++) {
        c.rc = CCZ_OK;
        open_pair(&c, &s, 1);
        ccz_buf_u8(&c.s.in, CCZI_RATLS_RESULT);
        ccz_buf_le32(&c.s.in, (uint32_t)cut);
        ccz_buf_put(&c.s.in, frame.ptr + CCZI_RATLS_HEAD_SIZE, cut);
        step(&c);
        CHECK(c.rc == CCZ_E_FORMAT && strcmp(c.err.where, "ratls:result") == 0);
        close_pair(&c, &s);
    }
}

static const struct ccz_test tests[] = {
    {"ratls.session_mutual", test_mutual},
    {"ratls.session_report_data", test_report_data},
    {"ratls.session_one_way", test_one_way},
    {"ratls.session_no_evidence", test_no_evidence},
    {"ratls.session_pin", test_pin},
    {"ratls.session_optional_but_bad", test_optional_but_bad},
    {"ratls.session_replay", test_replay},
    {"ratls.session_nonce_reuse", test_nonce_reuse},
    {"ratls.session_relay", test_relay},
    {"ratls.session_reflection", test_reflection},
    {"ratls.session_role", test_role_in_hash},
    {"ratls.session_two_servers", test_two_servers},
    {"ratls.session_tamper", test_tamper},
    {"ratls.session_truncation", test_truncation},
    {"ratls.session_size_order", test_size_and_order},
    {"ratls.session_hello", test_hello},
    {"ratls.session_unasked", test_unasked},
    {"ratls.session_own_evidence", test_own_evidence},
    {"ratls.session_refusal_text", test_refusal_text},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
