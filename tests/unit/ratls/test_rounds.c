/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence again behind the session's beginning: the messages without TLS, the frames, and both over TLS. */
#define _DEFAULT_SOURCE
#include "ratls/ratls_priv.h"

#include <cczoo/tls.h>

#include "ccz_test.h"
#include "ratls/ratls_ends.h"

#include <stdio.h>

static const char client_key[] = "SPKI of the client", server_key[] = "SPKI of the server";

struct side {
    struct ccz_ratls_cfg cfg;
    struct cczi_session s;
    struct toy toy;
    struct ccz_err err;
    ccz_rc rc;
};

/* ------------------------------------------------------------------------- messages without TLS */

static void open_side(struct side *x, const char *own, const char *peer, uint16_t version)
{
    struct cczi_session_in in = {.cfg = &x->cfg,
                                 .version = version,
                                 .own_spki = ccz_span_str(own),
                                 .peer_spki = ccz_span_str(peer)};
    memset(in.exporter, 0x5e, sizeof(in.exporter));
    CHECK(cczi_session_init(&x->s, &in, &x->err) == CCZ_OK);
}

static void give(struct side *to, struct side *from)
{
    ccz_buf_put_span(&to->s.in, ccz_buf_span(&from->s.out));
    ccz_buf_clear(&from->s.out);
    if (to->rc == CCZ_OK)
        to->rc = cczi_session_step(&to->s, &to->err);
}

static void make_pair(struct side *c, struct side *s)
{
    struct side *all[] = {c, s};
    for (int i = 0; i < 2; i++) {
        memset(all[i], 0, sizeof(*all[i]));
        all[i]->cfg = (struct ccz_ratls_cfg){.server = i == 1,
                                             .attest = toy_attest,
                                             .attest_arg = &all[i]->toy,
                                             .appraise = toy_appraise,
                                             .appraise_arg = &all[i]->toy};
    }
}

static void run_pair(struct side *c, struct side *s, uint16_t client_version,
                     uint16_t server_version)
{
    open_side(c, client_key, server_key, client_version);
    open_side(s, server_key, client_key, server_version);
    for (int i = 0; i < 4; i++) {
        give(s, c);
        give(c, s);
    }
}

static void open_pair(struct side *c, struct side *s)
{
    make_pair(c, s);
    run_pair(c, s, 2, 2);
    CHECK(c->rc == CCZ_OK && s->rc == CCZ_OK && cczi_session_ready(&c->s) &&
          cczi_session_ready(&s->s));
    CHECK(c->s.in.size == 0 && s->s.in.size == 0 && c->s.out.size == 0 && s->s.out.size == 0);
}

static void close_pair(struct side *c, struct side *s)
{
    cczi_session_deinit(&c->s);
    cczi_session_deinit(&s->s);
}

/* The only message in from's out goes to @p to, or is dropped. */
static ccz_rc pass(struct side *to, struct side *from)
{
    CCZ_AUTO_BUF copy;
    ccz_buf_init(&copy, CCZI_RATLS_FRAME_MAX);
    ccz_buf_put_span(&copy, ccz_buf_span(&from->s.out));
    ccz_buf_clear(&from->s.out);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&copy));
    uint8_t type = ccz_rd_u8(&r);
    struct ccz_span body = ccz_rd_take(&r, ccz_rd_le32(&r));
    CHECK(ccz_rd_done(&r));
    to->rc = cczi_round_message(&to->s, type, body, &to->err);
    return to->rc;
}

static ccz_rc message(struct side *to, uint8_t type, struct ccz_span body)
{
    memset(&to->err, 0, sizeof(to->err));
    to->rc = cczi_round_message(&to->s, type, body, &to->err);
    return to->rc;
}

static bool at(const struct side *x, ccz_rc rc, const char *where)
{
    if (x->rc != rc || strcmp(x->err.where, where) != 0)
        fprintf(stderr, "got %s at %s, want %s\n", ccz_rc_name(x->rc), x->err.where, where);
    return x->rc == rc && strcmp(x->err.where, where) == 0;
}

static void test_mutual(void)
{
    struct side c, s;
    uint8_t want[64], nonce[32];
    open_pair(&c, &s);
    for (uint64_t round = 1; round <= 3; round++) {
        CHECK(cczi_round_challenge(&c.s, &c.err) == CCZ_OK && c.s.challenged);
        memcpy(nonce, c.s.nonce, 32);
        CHECK(cczi_round_challenge(&s.s, &s.err) == CCZ_OK); /* both at once */
        CCZ_AUTO_BUF of_server;
        ccz_buf_init(&of_server, 4096);
        ccz_buf_put_span(&of_server, ccz_buf_span(&s.s.out));
        ccz_buf_clear(&s.s.out);
        CHECK(pass(&s, &c) == CCZ_OK); /* the server answers */
        CHECK(pass(&c, &s) == CCZ_OK && !c.s.challenged);
        ccz_buf_put_span(&s.s.out, ccz_buf_span(&of_server));
        CHECK(pass(&c, &s) == CCZ_OK && pass(&s, &c) == CCZ_OK && !s.s.challenged);
        CHECK(c.s.peer.rounds == round && s.s.peer.rounds == round && c.s.peer.attested);
        CHECK(cczi_ratls_report_data_2(want, 's', ccz_span_str(server_key), c.s.with.exporter,
                                       nonce, round) == CCZ_OK);
        CHECK(memcmp(c.s.peer.claims.report_data, want, 64) == 0);
    }
    CHECK(c.toy.attested == 4 && s.toy.attested == 4 && c.toy.appraised == 4);
    close_pair(&c, &s);
}

/* The formula of ratls.h, written out once more; each part counts. */
static void test_report_data(void)
{
    uint8_t exporter[32], nonce[32], got[64], want[64], v1[64];
    memset(exporter, 0xe0, 32);
    memset(nonce, 0x0e, 32);
    CHECK(cczi_ratls_report_data_2(got, 'c', ccz_span_str("key"), exporter, nonce, 0x0102) ==
          CCZ_OK);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 256);
    ccz_buf_put_str(&b, "cczoo ra-tls session v2c");
    ccz_buf_le32(&b, 3);
    ccz_buf_put_str(&b, "key");
    ccz_buf_put(&b, exporter, 32);
    ccz_buf_put(&b, nonce, 32);
    ccz_buf_le64(&b, 0x0102);
    struct ccz_span all = ccz_buf_span(&b);
    CHECK(ccz_hash(want, CCZ_SHA512, &all, 1) == CCZ_OK && memcmp(got, want, 64) == 0);
    CHECK(cczi_ratls_report_data_2(got, 'c', ccz_span_str("key"), exporter, nonce, 0x0103) ==
          CCZ_OK);
    CHECK(memcmp(got, want, 64) != 0);
    CHECK(cczi_ratls_report_data(v1, 'c', ccz_span_str("key"), exporter, nonce) == CCZ_OK);
    CHECK(memcmp(v1, want, 64) != 0);
}

/* Versions do not mix: ALPN agreed on one. */
static void test_version(void)
{
    struct side c, s;
    for (uint16_t v = 1; v <= 2; v++) {
        make_pair(&c, &s);
        run_pair(&c, &s, v, (uint16_t)(3 - v));
        CHECK(at(&s, CCZ_E_UNSUPPORTED, "ratls:version") && c.rc != CCZ_OK);
        close_pair(&c, &s);
    }
}

/* Genuine evidence of this very session and key, but of an earlier round. */
static void test_replay(void)
{
    struct side c, s;
    uint8_t old[2][TOY_QUOTE_SIZE];
    make_pair(&c, &s);
    s.toy.keep = old[0];
    run_pair(&c, &s, 2, 2);
    CHECK(cczi_session_ready(&c.s));
    s.toy.keep = old[1];
    CHECK(cczi_round_challenge(&c.s, &c.err) == CCZ_OK);
    CHECK(pass(&s, &c) == CCZ_OK && pass(&c, &s) == CCZ_OK);
    struct ccz_claims claims = c.s.peer.claims;
    for (int i = 0; i < 2; i++) {
        CHECK(c.s.challenged || cczi_round_challenge(&c.s, &c.err) == CCZ_OK);
        CHECK(message(&c, CCZI_RATLS_EVIDENCE, CCZ_SPAN(old[i], TOY_QUOTE_SIZE)) != CCZ_OK);
        CHECK(at(&c, CCZ_E_SIG, "ratls:report-data") && c.s.challenged);
        CHECK(memcmp(&c.s.peer.claims, &claims, sizeof(claims)) == 0);
    }
    /* the same nonce again in another round is another report data */
    memset(c.s.nonce, 7, 32);
    c.s.own_round = 9;
    uint8_t report_data[64];
    CHECK(cczi_ratls_report_data_2(report_data, 's', ccz_span_str(server_key), c.s.with.exporter,
                                   c.s.nonce, 8) == CCZ_OK);
    CCZ_AUTO_BUF quote;
    ccz_buf_init(&quote, 256);
    CHECK(toy_attest(&s.toy, &quote, report_data, NULL) == CCZ_OK);
    CHECK(message(&c, CCZI_RATLS_EVIDENCE, ccz_buf_span(&quote)) == CCZ_E_SIG);
    c.s.own_round = 8;
    CHECK(message(&c, CCZI_RATLS_EVIDENCE, ccz_buf_span(&quote)) == CCZ_OK);
    close_pair(&c, &s);
}

/* A peer without a TEE uses ours: it sends our challenge back, or our own evidence. */
static void test_reflection(void)
{
    struct side c, s;
    open_pair(&c, &s);
    CHECK(cczi_round_challenge(&c.s, &c.err) == CCZ_OK);
    CHECK(pass(&c, &c) != CCZ_OK && at(&c, CCZ_E_PEER, "ratls:nonce") && c.s.out.size == 0);

    CHECK(cczi_round_challenge(&s.s, &s.err) == CCZ_OK);
    uint8_t *nonce = s.s.out.ptr + CCZI_RATLS_HEAD_SIZE + 8;
    memcpy(nonce, c.s.nonce, 31); /* as near as it can come */
    nonce[31] = (uint8_t)~c.s.nonce[31];
    CHECK(pass(&c, &s) == CCZ_OK); /* the client's evidence .. */
    CHECK(pass(&c, &c) != CCZ_OK && at(&c, CCZ_E_SIG, "ratls:report-data")); /* .. comes back */

    /* even over the very nonce and round, role and key are the wrong ones */
    uint8_t report_data[64];
    CCZ_AUTO_BUF quote;
    ccz_buf_init(&quote, 256);
    CHECK(cczi_ratls_report_data_2(report_data, 'c', ccz_span_str(client_key), c.s.with.exporter,
                                   c.s.nonce, c.s.own_round) == CCZ_OK);
    CHECK(toy_attest(&c.toy, &quote, report_data, NULL) == CCZ_OK);
    CHECK(message(&c, CCZI_RATLS_EVIDENCE, ccz_buf_span(&quote)) == CCZ_E_SIG);
    CHECK(cczi_ratls_report_data_2(report_data, 'c', ccz_span_str(server_key), c.s.with.exporter,
                                   c.s.nonce, c.s.own_round) == CCZ_OK);
    ccz_buf_clear(&quote);
    CHECK(toy_attest(&c.toy, &quote, report_data, NULL) == CCZ_OK);
    CHECK(message(&c, CCZI_RATLS_EVIDENCE, ccz_buf_span(&quote)) == CCZ_E_SIG);
    close_pair(&c, &s);
}

static void put_challenge(uint8_t body[40], uint64_t round)
{
    memset(body, 0xc4, 40);
    for (size_t i = 0; i < 8; i++)
        body[i] = (uint8_t)(round >> (8 * i));
}

static void test_order(void)
{
    struct side c, s;
    uint8_t body[40], one = 1;
    open_pair(&c, &s);
    CHECK(message(&c, CCZI_RATLS_EVIDENCE, CCZ_SPAN("TOYQ", 4)) != CCZ_OK &&
          at(&c, CCZ_E_PEER, "ratls:order")); /* nobody asked */
    CHECK(message(&c, CCZI_RATLS_RESULT, CCZ_SPAN(&one, 1)) != CCZ_OK &&
          at(&c, CCZ_E_PEER, "ratls:order"));
    CHECK(message(&c, CCZI_RATLS_HELLO, CCZ_SPAN(body, 36)) != CCZ_OK &&
          at(&c, CCZ_E_PEER, "ratls:order"));
    CHECK(message(&c, 0, CCZ_SPAN(body, 1)) != CCZ_OK && at(&c, CCZ_E_PEER, "ratls:order"));
    CHECK(message(&c, 7, CCZ_SPAN(body, 1)) != CCZ_OK && at(&c, CCZ_E_PEER, "ratls:order"));
    static const uint64_t wrong[] = {0, 2, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        put_challenge(body, wrong[i]);
        CHECK(message(&c, CCZI_RATLS_CHALLENGE, CCZ_SPAN(body, 40)) != CCZ_OK &&
              at(&c, CCZ_E_PEER, "ratls:round"));
    }
    CHECK(c.toy.attested == 1 && c.s.out.size == 0);
    put_challenge(body, 1);
    CHECK(message(&c, CCZI_RATLS_CHALLENGE, CCZ_SPAN(body, 40)) == CCZ_OK && c.toy.attested == 2);
    CHECK(message(&c, CCZI_RATLS_CHALLENGE, CCZ_SPAN(body, 40)) != CCZ_OK &&
          at(&c, CCZ_E_PEER, "ratls:round")); /* the same one again */
    /* evidence is used once */
    CHECK(cczi_round_challenge(&s.s, &s.err) == CCZ_OK);
    ccz_buf_clear(&c.s.out);
    put_challenge(body, 2);
    ccz_buf_clear(&s.s.out);
    memcpy(body + 8, s.s.nonce, 32);
    s.s.own_round = 2;
    CHECK(message(&c, CCZI_RATLS_CHALLENGE, CCZ_SPAN(body, 40)) == CCZ_OK);
    CCZ_AUTO_BUF answer;
    ccz_buf_init(&answer, 4096);
    ccz_buf_put_span(&answer, ccz_buf_span(&c.s.out));
    CHECK(pass(&s, &c) == CCZ_OK);
    ccz_buf_put_span(&c.s.out, ccz_buf_span(&answer));
    CHECK(pass(&s, &c) != CCZ_OK && at(&s, CCZ_E_PEER, "ratls:order"));
    close_pair(&c, &s);

    make_pair(&c, &s); /* who was not asked at the beginning is not asked later */
    s.cfg.appraise = NULL;
    s.cfg.peer_evidence_optional = true;
    run_pair(&c, &s, 2, 2);
    CHECK(cczi_session_ready(&c.s));
    put_challenge(body, 1);
    CHECK(message(&c, CCZI_RATLS_CHALLENGE, CCZ_SPAN(body, 40)) != CCZ_OK &&
          at(&c, CCZ_E_PEER, "ratls:order") && c.toy.attested == 0);
    close_pair(&c, &s);
}

static void test_size(void)
{
    static const struct {
        uint8_t type;
        uint32_t size;
        bool ok;
    } heads[] = {
        {CCZI_RATLS_DATA, 0, false},
        {CCZI_RATLS_DATA, 1, true},
        {CCZI_RATLS_DATA, CCZI_RATLS_DATA_MAX, true},
        {CCZI_RATLS_DATA, CCZI_RATLS_DATA_MAX + 1u, false},
        {CCZI_RATLS_CHALLENGE, 39, false},
        {CCZI_RATLS_CHALLENGE, 40, true},
        {CCZI_RATLS_CHALLENGE, 41, false},
        {CCZI_RATLS_EVIDENCE, 0, false},
        {CCZI_RATLS_EVIDENCE, CCZ_QUOTE_SIZE_MAX, true},
        {CCZI_RATLS_EVIDENCE, CCZ_QUOTE_SIZE_MAX + 1, false},
        {CCZI_RATLS_RESULT, 0, false},
        {CCZI_RATLS_RESULT, 1024, true},
        {CCZI_RATLS_RESULT, 1025, false},
    };
    struct side c, s;
    open_pair(&c, &s);
    CHECK(cczi_round_challenge(&c.s, &c.err) == CCZ_OK);
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        c.rc = cczi_round_check_head(&c.s, heads[i].type, heads[i].size, &c.err);
        CHECK(heads[i].ok ? c.rc == CCZ_OK : at(&c, CCZ_E_LIMIT, "ratls:size"));
    }
    close_pair(&c, &s);
}

enum { OTHER_FIELDS = 29 };

/* Evidence of good standing, but of something else than was connected to. */
static ccz_rc appraise_changing(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                                struct ccz_err *err)
{
    struct toy *t = arg;
    ccz_rc rc = toy_appraise(t, claims, quote, err);
    static const size_t fields[] = {offsetof(struct ccz_claims, mrenclave),
                                    offsetof(struct ccz_claims, mrsigner),
                                    offsetof(struct ccz_claims, isv_prod_id),
                                    offsetof(struct ccz_claims, isv_svn),
                                    offsetof(struct ccz_claims, attributes),
                                    offsetof(struct ccz_claims, config_id),
                                    offsetof(struct ccz_claims, mrtd),
                                    offsetof(struct ccz_claims, mrconfigid),
                                    offsetof(struct ccz_claims, mrowner),
                                    offsetof(struct ccz_claims, mrownerconfig),
                                    offsetof(struct ccz_claims, td_attributes),
                                    offsetof(struct ccz_claims, debug),
                                    offsetof(struct ccz_claims, simulated),
                                    offsetof(struct ccz_claims, tee),
                                    offsetof(struct ccz_claims, misc_select),
                                    offsetof(struct ccz_claims, config_svn),
                                    offsetof(struct ccz_claims, isv_family_id),
                                    offsetof(struct ccz_claims, isv_ext_prod_id),
                                    offsetof(struct ccz_claims, mrservicetd),
                                    offsetof(struct ccz_claims, xfam),
                                    offsetof(struct ccz_claims, snp.measurement) + 47,
                                    offsetof(struct ccz_claims, snp.host_data),
                                    offsetof(struct ccz_claims, snp.guest_policy),
                                    offsetof(struct ccz_claims, snp.guest_svn),
                                    offsetof(struct ccz_claims, snp.vmpl),
                                    offsetof(struct ccz_claims, snp.id_key_digest),
                                    offsetof(struct ccz_claims, snp.author_key_digest),
                                    offsetof(struct ccz_claims, snp.family_id),
                                    offsetof(struct ccz_claims, snp.image_id)};
    _Static_assert(sizeof(fields) / sizeof(fields[0]) == OTHER_FIELDS, "test_other_program()");
    if (t->filler > 0 && t->filler <= sizeof(fields) / sizeof(fields[0]))
        ((uint8_t *)claims)[fields[t->filler - 1]] ^= 1;
    claims->tcb_eval_number = t->appraised; /* may change */
    return rc;
}

static void test_other_program(void)
{
    for (size_t field = 1; field <= OTHER_FIELDS + 1; field++) {
        struct side c, s;
        make_pair(&c, &s);
        c.cfg.appraise = appraise_changing;
        run_pair(&c, &s, 2, 2);
        CHECK(cczi_session_ready(&c.s));
        c.toy.filler = field;
        CHECK(cczi_round_challenge(&c.s, &c.err) == CCZ_OK);
        CHECK(pass(&s, &c) == CCZ_OK);
        (void)pass(&c, &s);
        CHECK(field > OTHER_FIELDS ? c.rc == CCZ_OK && c.s.peer.claims.tcb_eval_number == 2
                                   : at(&c, CCZ_E_SIG, "ratls:other-program"));
        close_pair(&c, &s);
    }
}

/* ---------------------------------------------------------------------------------- frames */

struct source {
    struct ccz_span left;
    size_t piece;
};

static ccz_rc read_source(void *arg, struct ccz_buf *out, struct ccz_err *err)
{
    (void)err;
    struct source *s = arg;
    size_t n = s->left.size < s->piece ? s->left.size : s->piece, room = out->max_size - out->size;
    n = n < room ? n : room;
    ccz_buf_put(out, s->left.ptr, n);
    s->left = ccz_span_sub(s->left, n, s->left.size - n);
    return CCZ_OK;
}

/* Data and messages in any cut: what comes out does not depend on it. */
static void test_frames(void)
{
    struct side c, s;
    uint8_t challenge[40];
    CCZ_AUTO_BUF wire;
    open_pair(&c, &s);
    ccz_buf_init(&wire, 4096);
    static const char *const texts[] = {"first", "2", "the third"};
    for (uint64_t i = 0; i < 3; i++) {
        cczi_ratls_put_head(&wire, CCZI_RATLS_DATA, (uint32_t)strlen(texts[i]));
        ccz_buf_put_str(&wire, texts[i]);
        put_challenge(challenge, i + 1);
        cczi_ratls_put_head(&wire, CCZI_RATLS_CHALLENGE, 40);
        ccz_buf_put(&wire, challenge, 40);
    }
    for (size_t piece = 1; piece <= wire.size; piece++)
        for (size_t cut = 0; cut <= wire.size; cut += cut < 60 ? 1 : 13) {
            struct cczi_frames f;
            struct source src = {CCZ_SPAN(wire.ptr, cut), piece};
            struct ccz_err err = {0};
            char all[32] = "";
            size_t messages = 0, size = 0;
            cczi_frames_init(&f);
            for (int turn = 0; turn < 400; turn++) {
                CCZ_AUTO_BUF out;
                uint8_t type;
                struct ccz_span body;
                ccz_buf_init(&out, piece % 4 + 1); /* small rooms too */
                CHECK(cczi_frames_read(&out, &f, &s.s, read_source, &src, &err) == CCZ_OK);
                memcpy(all + size, out.ptr ? (char *)out.ptr : "", out.size);
                size += out.size;
                if (!cczi_frames_message(&type, &body, &f))
                    continue;
                messages++;
                CHECK(type == CCZI_RATLS_CHALLENGE && body.size == 40 && body.ptr[0] == messages);
                /* nothing behind it comes out before it is handled */
                CHECK(size == (messages == 1 ? 5u : messages == 2 ? 6u : 15u));
                ccz_buf_clear(&out);
                CHECK(cczi_frames_read(&out, &f, &s.s, read_source, &src, &err) == CCZ_OK &&
                      out.size == 0);
                cczi_frames_next(&f);
            }
            CHECK(src.left.size == 0 && memcmp(all, "first2the third", size) == 0);
            CHECK(cut < wire.size || (size == 15 && messages == 3));
            cczi_frames_deinit(&f);
        }
    close_pair(&c, &s);
}

/* A refused head stays refused, is no message, and what came before it is given out first. */
/* Behind END: messages, but neither bytes nor a second END. */
static void test_frames_end(void)
{
    static const enum cczi_ratls_type behind[] = {CCZI_RATLS_DATA, CCZI_RATLS_END};
    struct side c, s;
    uint8_t challenge[40];
    open_pair(&c, &s);
    put_challenge(challenge, 1);
    for (size_t i = 0; i < 2; i++) {
        struct cczi_frames f;
        struct ccz_err err = {0};
        uint8_t type;
        struct ccz_span body;
        CCZ_AUTO_BUF out, wire;
        ccz_buf_init(&out, 64);
        ccz_buf_init(&wire, 256);
        cczi_frames_init(&f);
        cczi_ratls_put_head(&wire, CCZI_RATLS_DATA, 2);
        ccz_buf_put_str(&wire, "ok");
        cczi_ratls_put_head(&wire, CCZI_RATLS_END, 0);
        cczi_ratls_put_head(&wire, CCZI_RATLS_CHALLENGE, 40);
        ccz_buf_put(&wire, challenge, 40);
        cczi_ratls_put_head(&wire, behind[i], i == 0 ? 1 : 0);
        ccz_buf_put_str(&wire, "x");
        struct source src = {ccz_buf_span(&wire), 100};
        CHECK(cczi_frames_read(&out, &f, &s.s, read_source, &src, &err) == CCZ_OK && out.size == 2);
        CHECK(cczi_frames_message(&type, &body, &f) && type == CCZI_RATLS_CHALLENGE);
        CHECK(cczi_frames_read(&out, &f, &s.s, read_source, &src, &err) == CCZ_E_CLOSED &&
              strcmp(err.where, "ratls:ended") == 0);
        cczi_frames_next(&f);
        for (int turn = 0; turn < 2; turn++)
            CHECK(cczi_frames_read(&out, &f, &s.s, read_source, &src, &err) == CCZ_E_PEER &&
                  strcmp(err.where, "ratls:order") == 0 && out.size == 2);
        cczi_frames_deinit(&f);
    }
    close_pair(&c, &s);
}

static void test_frames_refused(void)
{
    static const struct {
        enum cczi_ratls_type type;
        uint32_t size;
        ccz_rc rc;
        const char *where;
    } cases[] = {{CCZI_RATLS_HELLO, 36, CCZ_E_PEER, "ratls:order"},
                 {CCZI_RATLS_DATA, 0, CCZ_E_LIMIT, "ratls:size"},
                 {CCZI_RATLS_RESULT, 0, CCZ_E_LIMIT, "ratls:size"},
                 {CCZI_RATLS_CHALLENGE, 41, CCZ_E_LIMIT, "ratls:size"},
                 {CCZI_RATLS_END, 1, CCZ_E_LIMIT, "ratls:size"}};
    static const uint8_t zeros[64];
    struct side c, s;
    open_pair(&c, &s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cczi_frames f;
        struct ccz_err err = {0};
        uint8_t type;
        struct ccz_span body;
        CCZ_AUTO_BUF out, wire;
        ccz_buf_init(&out, 64);
        ccz_buf_init(&wire, 256);
        cczi_frames_init(&f);
        cczi_ratls_put_head(&wire, CCZI_RATLS_DATA, 2);
        ccz_buf_put_str(&wire, "ok");
        cczi_ratls_put_head(&wire, cases[i].type, cases[i].size);
        ccz_buf_put(&wire, zeros, sizeof(zeros));
        struct source src = {ccz_buf_span(&wire), 100};
        CHECK(cczi_frames_read(&out, &f, &s.s, read_source, &src, &err) == CCZ_OK && out.size == 2);
        for (int turn = 0; turn < 3; turn++) {
            CHECK(!cczi_frames_message(&type, &body, &f));
            CHECK(cczi_frames_read(&out, &f, &s.s, read_source, &src, &err) == cases[i].rc &&
                  strcmp(err.where, cases[i].where) == 0 && out.size == 2);
        }
        cczi_frames_deinit(&f);
    }
    close_pair(&c, &s);
}

/* ------------------------------------------------------------------------------- over TLS */

enum { INTERVAL_MS = 1000, TIMEOUT_MS = 300 };

static void make_both(struct end *c, struct end *s)
{
    make_end(c, false, CCZ_RATLS_SESSION);
    make_end(s, true, CCZ_RATLS_SESSION);
}

static void ask(struct end *e)
{
    e->cfg.reattest_interval_ms = INTERVAL_MS;
    e->cfg.reattest_timeout_ms = TIMEOUT_MS;
}

/* Everything that is on its way in one direction, as a caller does it: feed, then read and step in turns. */
static ccz_rc take(struct ccz_buf *got, struct end *to, struct end *from)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 22);
    CHECK(ccz_ratls_drain(&wire, from->r) == CCZ_OK);
    CHECK(ccz_ratls_feed(to->r, ccz_buf_span(&wire)) == CCZ_OK);
    ccz_rc rc = CCZ_OK;
    do {
        if (ccz_ratls_step_due(to->r))
            rc = ccz_ratls_step(to->r, &to->err);
        if (rc == CCZ_OK)
            rc = ccz_ratls_read(got, to->r, &to->err);
    } while ((rc == CCZ_OK || rc == CCZ_E_CLOSED) && ccz_ratls_step_due(to->r));
    return rc;
}

static void send_text(struct end *e, const char *text)
{
    CHECK(ccz_ratls_write(e->r, ccz_span_str(text), &e->err) == CCZ_OK);
}

static int64_t tick(struct end *e, int64_t now_ms)
{
    int64_t next_ms = -1;
    e->rc = ccz_ratls_tick(&next_ms, e->r, now_ms, &e->err);
    return next_ms;
}

static void test_tls(void)
{
    struct end c, s;
    CCZ_AUTO_BUF at_c, at_s;
    ccz_buf_init(&at_c, 1 << 20);
    ccz_buf_init(&at_s, 1 << 20);
    make_both(&c, &s);
    ask(&s);
    open_and_run(&c, &s);
    CHECK(ccz_ratls_ready(c.r) && ccz_ratls_ready(s.r) && !ccz_ratls_step_due(s.r));
    CHECK(tick(&c, 1) == INT64_MAX && tick(&s, 5000) == 5000 + INTERVAL_MS);
    CHECK(tick(&s, 5999) == 6000 && ccz_ratls_pending(s.r) == 0);
    for (uint64_t round = 1; round <= 3; round++) {
        int64_t now_ms = 5000 + (int64_t)round * INTERVAL_MS;
        send_text(&s, "before ");
        CHECK(tick(&s, now_ms) == now_ms + TIMEOUT_MS);
        CHECK(tick(&s, now_ms + 1) == now_ms + TIMEOUT_MS); /* one is open: no other */
        send_text(&s, "behind ");
        send_text(&c, "meanwhile ");
        CHECK(take(&at_c, &c, &s) == CCZ_OK && c.toy.attested == round + 1);
        send_text(&c, "later ");
        CHECK(take(&at_s, &s, &c) == CCZ_OK);
        CHECK(tick(&s, now_ms + 2) == now_ms + INTERVAL_MS && s.rc == CCZ_OK);
        CHECK(ccz_ratls_peer(s.r)->rounds == round && ccz_ratls_peer(s.r)->fresh &&
              ccz_ratls_peer(s.r)->attested);
        CHECK(s.toy.attested == 1 && ccz_ratls_peer(c.r)->rounds == 0); /* nobody asks the server */
    }
    CHECK(strcmp(ccz_buf_str(&at_c), "before behind before behind before behind ") == 0);
    CHECK(strcmp(ccz_buf_str(&at_s), "meanwhile later meanwhile later meanwhile later ") == 0);
    /* by hand, from the side without timers */
    CHECK(ccz_ratls_reattest(c.r, 1, &c.err) == CCZ_OK &&
          ccz_ratls_reattest(c.r, 2, &c.err) == CCZ_OK);
    CHECK(take(&at_s, &s, &c) == CCZ_OK && take(&at_c, &c, &s) == CCZ_OK);
    CHECK(ccz_ratls_peer(c.r)->rounds == 1 && s.toy.attested == 2);
    close_end(&c);
    close_end(&s);
}

/* The peer was fine when it connected. Data that follows bad evidence is not given out any more. */
static void test_tls_goes_bad(void)
{
    for (int who = 0; who < 2; who++) {
        struct end c, s, *judge = who ? &c : &s, *judged = who ? &s : &c;
        CCZ_AUTO_BUF got;
        ccz_buf_init(&got, 1 << 20);
        make_both(&c, &s);
        ask(judge);
        open_and_run(&c, &s);
        (void)tick(judge, 1);
        judge->toy.appraise_rc = CCZ_E_REVOKED;
        CHECK(tick(judge, 1 + INTERVAL_MS) == 1 + INTERVAL_MS + TIMEOUT_MS);
        CHECK(take(&got, judged, judge) == CCZ_OK);
        send_text(judged, "secret");
        CHECK(take(&got, judge, judged) == CCZ_E_REVOKED && got.size == 0);
        CHECK(strcmp(judge->err.where, "policy:mrenclave") == 0 && !ccz_ratls_ready(judge->r) &&
              !ccz_ratls_peer(judge->r) && !ccz_ratls_step_due(judge->r));
        CHECK(ccz_ratls_write(judge->r, ccz_span_str("x"), &judge->err) == CCZ_E_REVOKED);
        CHECK(ccz_ratls_reattest(judge->r, 9, &judge->err) == CCZ_E_REVOKED);
        CHECK(take(&got, judged, judge) == CCZ_E_PEER);
        CHECK(strcmp(judged->err.where, "peer:policy:mrenclave") == 0 &&
              judged->err.aux == CCZ_E_REVOKED && strcmp(judged->err.got, "11aa") == 0);
        close_end(&c);
        close_end(&s);
    }
}

/* Own evidence cannot be made any more: the other side learns that, not a timeout. */
static void test_tls_no_device(void)
{
    struct end c, s;
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, 1 << 20);
    make_both(&c, &s);
    ask(&s);
    open_and_run(&c, &s);
    CHECK(ccz_ratls_reattest(s.r, 1, &s.err) == CCZ_OK);
    c.toy.broken = true;
    CHECK(take(&got, &c, &s) == CCZ_E_UNAVAILABLE && strcmp(c.err.where, "toy:attest") == 0);
    CHECK(take(&got, &s, &c) == CCZ_E_PEER && strcmp(s.err.where, "peer:toy:attest") == 0);
    close_end(&c);
    close_end(&s);
}

static void test_tls_timeout(void)
{
    struct end c, s;
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, 1 << 20);
    make_both(&c, &s);
    ask(&s);
    open_and_run(&c, &s);
    (void)tick(&s, 1);
    (void)tick(&s, 1 + INTERVAL_MS);
    CHECK(tick(&s, INTERVAL_MS + TIMEOUT_MS) == 1 + INTERVAL_MS + TIMEOUT_MS && s.rc == CCZ_OK);
    (void)tick(&s, 1 + INTERVAL_MS + TIMEOUT_MS);
    CHECK(s.rc == CCZ_E_TIMEOUT && strcmp(s.err.where, "ratls:reattest-timeout") == 0);
    CHECK(!ccz_ratls_ready(s.r) && tick(&s, 9000) == INT64_MAX && s.rc == CCZ_E_TIMEOUT);
    CHECK(take(&got, &c, &s) == CCZ_E_PEER);
    CHECK(strcmp(c.err.where, "peer:ratls:reattest-timeout") == 0 && c.toy.attested == 2);
    close_end(&c);
    close_end(&s);
}

/* Bulk in both directions through frames, records and small buffers. */
static void test_tls_data(void)
{
    struct end c, s;
    CCZ_AUTO_BUF sent, got;
    ccz_buf_init(&sent, 1 << 21);
    ccz_buf_init(&got, 1 << 21);
    make_both(&c, &s);
    ask(&c);
    open_and_run(&c, &s);
    static const size_t sizes[] = {1, 4090, 4091, 4092, 16384, 16379, 70000, 300000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t from = sent.size;
        uint8_t *p = ccz_buf_extend(&sent, sizes[i]);
        CHECK(p);
        for (size_t k = 0; k < sizes[i]; k++)
            p[k] = (uint8_t)(k * 31 + i);
        CHECK(ccz_ratls_write(c.r, CCZ_SPAN(sent.ptr + from, sizes[i]), &c.err) == CCZ_OK);
        if (i % 3 == 0)
            CHECK(ccz_ratls_reattest(c.r, 1, &c.err) == CCZ_OK);
        CHECK(take(&got, &s, &c) == CCZ_OK);
        CCZ_AUTO_BUF none;
        ccz_buf_init(&none, 16);
        CHECK(take(&none, &c, &s) == CCZ_OK && none.size == 0);
    }
    CHECK(ccz_span_eq(ccz_buf_span(&sent), ccz_buf_span(&got)));
    CHECK(ccz_ratls_peer(c.r)->rounds == 3);
    /* a whole message too many for the backlog leaves nothing half written */
    CCZ_AUTO_BUF huge;
    ccz_buf_init(&huge, CCZ_TLS_BUFFER_MAX);
    CHECK(ccz_buf_extend(&huge, CCZ_TLS_BUFFER_MAX - 1) != NULL);
    size_t pending = ccz_ratls_pending(c.r);
    CHECK(ccz_ratls_write(c.r, ccz_buf_span(&huge), &c.err) == CCZ_E_LIMIT &&
          ccz_ratls_pending(c.r) == pending);
    send_text(&c, "after");
    ccz_buf_clear(&got);
    CHECK(take(&got, &s, &c) == CCZ_OK && strcmp(ccz_buf_str(&got), "after") == 0);
    close_end(&c);
    close_end(&s);
}

/* One side has nothing more to say, and goes on listening: in both versions, whoever it is. */
static void test_tls_end(void)
{
    for (int i = 0; i < 4; i++) {
        struct end c, s, *quiet = i % 2 ? &c : &s, *talks = i % 2 ? &s : &c;
        CCZ_AUTO_BUF got, none;
        ccz_buf_init(&got, 1 << 20);
        ccz_buf_init(&none, 1 << 20);
        make_both(&c, &s);
        if (i / 2)
            ask(&s);
        open_end(&c);
        open_end(&s);
        CHECK(ccz_ratls_end(c.r, &c.err) == CCZ_E_ARG); /* not before it is attested */
        run(&c, &s);
        send_text(quiet, "last");
        CHECK(ccz_ratls_end(quiet->r, &quiet->err) == CCZ_OK);
        CHECK(ccz_ratls_end(quiet->r, &quiet->err) == CCZ_OK); /* said once */
        CHECK(ccz_ratls_write(quiet->r, ccz_span_str("x"), &quiet->err) == CCZ_E_ARG);
        CHECK(ccz_ratls_write(quiet->r, ccz_span_str(""), &quiet->err) == CCZ_OK);
        CHECK(take(&got, talks, quiet) == CCZ_OK && strcmp(ccz_buf_str(&got), "last") == 0);
        ccz_buf_clear(&got);
        for (uint64_t round = 1; round <= 3; round++) {
            CHECK(take(&none, talks, quiet) == CCZ_E_CLOSED && none.size == 0);
            send_text(talks, "more");
            if (i / 2) { /* both ask, both answer */
                CHECK(ccz_ratls_reattest(quiet->r, 1, &quiet->err) == CCZ_OK);
                CHECK(ccz_ratls_reattest(talks->r, 1, &talks->err) == CCZ_OK);
            }
            CHECK(take(&got, quiet, talks) == CCZ_OK);
            CHECK(take(&none, talks, quiet) == CCZ_E_CLOSED);
            CHECK(take(&got, quiet, talks) == CCZ_OK);
            CHECK(ccz_ratls_peer(talks->r)->rounds == (i / 2 ? round : 0));
            CHECK(ccz_ratls_peer(quiet->r)->rounds == (i / 2 ? round : 0));
        }
        CHECK(strcmp(ccz_buf_str(&got), "moremoremore") == 0 && none.size == 0);
        CHECK(ccz_ratls_end(talks->r, &talks->err) == CCZ_OK);
        CHECK(take(&none, quiet, talks) == CCZ_E_CLOSED && none.size == 0);
        CHECK(ccz_ratls_ready(c.r) && ccz_ratls_ready(s.r));
        close_end(&c);
        close_end(&s);
    }
}

/* A quiet peer that goes bad is cut off like any other. */
static void test_tls_end_goes_bad(void)
{
    struct end c, s;
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, 1 << 20);
    make_both(&c, &s);
    ask(&s);
    open_and_run(&c, &s);
    CHECK(ccz_ratls_end(c.r, &c.err) == CCZ_OK && take(&got, &s, &c) == CCZ_E_CLOSED);
    s.toy.appraise_rc = CCZ_E_REVOKED;
    CHECK(ccz_ratls_reattest(s.r, 1, &s.err) == CCZ_OK && take(&got, &c, &s) == CCZ_OK);
    CHECK(take(&got, &s, &c) == CCZ_E_REVOKED && !ccz_ratls_ready(s.r));
    CHECK(ccz_ratls_write(s.r, ccz_span_str("x"), &s.err) == CCZ_E_REVOKED);
    close_end(&c);
    close_end(&s);
}

/* Something else than a frame from an attested peer. */
static void test_tls_garbage(void)
{
    struct end c, s;
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, 1 << 20);
    make_both(&c, &s);
    open_and_run(&c, &s); /* version 1: no frames */
    CHECK(ccz_ratls_reattest(c.r, 1, &c.err) == CCZ_E_UNSUPPORTED &&
          strcmp(c.err.where, "ratls:reattest") == 0 && ccz_ratls_ready(c.r));
    send_text(&c, "\x05\x28\0\0\0");
    CHECK(take(&got, &s, &c) == CCZ_OK && got.size == 2); /* just bytes there */
    close_end(&c);
    close_end(&s);
    make_both(&c, &s);
    ask(&s);
    open_and_run(&c, &s);
    c.toy.filler = CCZ_QUOTE_SIZE_MAX; /* evidence that is none, as large as may be */
    CHECK(ccz_ratls_reattest(s.r, 1, &s.err) == CCZ_OK);
    CHECK(take(&got, &c, &s) == CCZ_OK);
    CHECK(take(&got, &s, &c) == CCZ_E_FORMAT && strcmp(s.err.where, "toy:quote") == 0);
    CHECK(take(&got, &c, &s) == CCZ_E_PEER && strcmp(c.err.where, "peer:toy:quote") == 0);
    close_end(&c);
    close_end(&s);
}

static ccz_rc accept_any(void *arg, void *conn_arg, struct ccz_span der, struct ccz_err *err)
{
    (void)arg, (void)conn_arg, (void)der, (void)err;
    return CCZ_OK;
}

/* A peer of before: it offers version 1 alone. Who asks for evidence again does not talk to it. */
static void test_tls_old_peer(void)
{
    static const char *const old[] = {CCZ_RATLS_ALPN, NULL};
    for (int asks = 0; asks < 2; asks++) {
        struct end s;
        CCZ_AUTO(ccz_key) key = NULL;
        CCZ_AUTO(ccz_tls_ctx) ctx = NULL;
        CCZ_AUTO(ccz_tls) t = NULL;
        CCZ_AUTO_BUF der, wire;
        ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
        ccz_buf_init(&wire, 1 << 20);
        CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
        CHECK(ccz_cert_issue(&der,
                             &(struct ccz_cert_cfg){.cn = "old",
                                                    .key = key,
                                                    .not_before_s = RATLS_NOW,
                                                    .not_after_s = RATLS_NOW + 60},
                             NULL) == CCZ_OK);
        struct ccz_tls_cfg cfg = {
            .cert_der = ccz_buf_span(&der), .key = key, .verify = accept_any, .alpn = old};
        CHECK(ccz_tls_ctx_new(&ctx, &cfg, NULL) == CCZ_OK &&
              ccz_tls_new(&t, ctx, NULL, NULL) == CCZ_OK);
        make_end(&s, true, CCZ_RATLS_SESSION);
        if (asks)
            ask(&s);
        open_end(&s);
        CHECK(ccz_tls_step(t, NULL) == CCZ_OK && ccz_tls_drain(&wire, t) == CCZ_OK);
        CHECK(ccz_ratls_feed(s.r, ccz_buf_span(&wire)) == CCZ_OK);
        ccz_rc rc = ccz_ratls_step(s.r, &s.err);
        CHECK(asks ? rc == CCZ_E_PEER && strcmp(s.err.where, "ratls:alpn") == 0 &&
                         strcmp(s.err.expected, CCZ_RATLS_ALPN_2) == 0
                   : rc == CCZ_OK);
        close_end(&s);
    }
}

static void test_config(void)
{
    static const struct {
        enum ccz_ratls_profile profile;
        bool no_appraise, fresh;
        int64_t interval, timeout;
        enum ccz_ratls_emit emit;
        bool ok;
    } cases[] = {
        {CCZ_RATLS_SESSION, false, true, 0, 0, 0, true},
        {CCZ_RATLS_SESSION, false, false, INT64_MAX, 0, 0, true},
        {CCZ_RATLS_CERTIFICATE, false, false, 0, 0, CCZ_RATLS_EMIT_BOTH, true},
        {CCZ_RATLS_CERTIFICATE, false, true, 0, 0, 0, false},
        {CCZ_RATLS_CERTIFICATE, false, false, 5, 0, 0, false},
        {CCZ_RATLS_SESSION, true, false, 5, 0, 0, false},
        {CCZ_RATLS_SESSION, false, false, -1, 0, 0, false},
        {CCZ_RATLS_SESSION, false, false, 5, -1, 0, false},
        {CCZ_RATLS_SESSION, false, false, 0, 5, 0, false},
        {CCZ_RATLS_SESSION, false, false, 0, 0, CCZ_RATLS_EMIT_BOTH, false},
        {CCZ_RATLS_CERTIFICATE, false, false, 0, 0, (enum ccz_ratls_emit)3, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct end e;
        make_end(&e, true, cases[i].profile);
        e.cfg.require_fresh = cases[i].fresh;
        e.cfg.reattest_interval_ms = cases[i].interval;
        e.cfg.reattest_timeout_ms = cases[i].timeout;
        e.cfg.emit = cases[i].emit;
        if (cases[i].no_appraise) {
            e.cfg.appraise = NULL;
            e.cfg.peer_evidence_optional = true;
        }
        ccz_rc rc = ccz_ratls_ctx_new(&e.ctx, &e.cfg, &e.err);
        CHECK(cases[i].ok ? rc == CCZ_OK
                          : rc == CCZ_E_ARG && strcmp(e.err.where, "ratls:config") == 0);
        close_end(&e);
    }
    struct end plain;
    make_end(&plain, true, CCZ_RATLS_TLS_ONLY_INSECURE);
    plain.cfg.require_fresh = true;
    CHECK(ccz_ratls_ctx_new(&plain.ctx, &plain.cfg, &plain.err) == CCZ_E_ARG);
    close_end(&plain);
}

/* A peer that gave no evidence is not asked for it again; the other way round it is. */
static void test_tls_one_way(void)
{
    struct end c, s;
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, 1 << 20);
    make_both(&c, &s);
    c.cfg.attest = NULL;
    s.cfg.peer_evidence_optional = true;
    ask(&c);
    ask(&s);
    open_and_run(&c, &s);
    CHECK(ccz_ratls_ready(c.r) && ccz_ratls_ready(s.r));
    CHECK(tick(&s, 1) == INT64_MAX && ccz_ratls_reattest(s.r, 1, &s.err) == CCZ_E_UNSUPPORTED);
    (void)tick(&c, 1);
    (void)tick(&c, 1 + INTERVAL_MS);
    CHECK(take(&got, &s, &c) == CCZ_OK && take(&got, &c, &s) == CCZ_OK);
    CHECK(ccz_ratls_peer(c.r)->rounds == 1 && s.toy.attested == 2 && c.toy.attested == 0);
    close_end(&c);
    close_end(&s);
}

static const struct ccz_test tests[] = {
    {"ratls.rounds", test_mutual},
    {"ratls.rounds_report_data", test_report_data},
    {"ratls.rounds_version", test_version},
    {"ratls.rounds_replay", test_replay},
    {"ratls.rounds_reflection", test_reflection},
    {"ratls.rounds_order", test_order},
    {"ratls.rounds_size", test_size},
    {"ratls.rounds_other_program", test_other_program},
    {"ratls.rounds_frames", test_frames},
    {"ratls.rounds_frames_end", test_frames_end},
    {"ratls.rounds_frames_refused", test_frames_refused},
    {"ratls.again", test_tls},
    {"ratls.again_goes_bad", test_tls_goes_bad},
    {"ratls.again_no_device", test_tls_no_device},
    {"ratls.again_timeout", test_tls_timeout},
    {"ratls.again_data", test_tls_data},
    {"ratls.end", test_tls_end},
    {"ratls.end_goes_bad", test_tls_end_goes_bad},
    {"ratls.again_garbage", test_tls_garbage},
    {"ratls.again_old_peer", test_tls_old_peer},
    {"ratls.again_one_way", test_tls_one_way},
    {"ratls.again_config", test_config},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
