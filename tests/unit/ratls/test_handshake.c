/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake profile: our engine against itself, and against attackers that write the extension with OpenSSL. */
#define _DEFAULT_SOURCE
#include "ratls/ratls_priv.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "ccz_test.h"
#include "ratls/ratls_ends.h"

static const char *const h2[] = {"h2", NULL};

static void make_both(struct end *c, struct end *s)
{
    make_end(c, false, CCZ_RATLS_HANDSHAKE);
    make_end(s, true, CCZ_RATLS_HANDSHAKE);
    c->cfg.alpn = s->cfg.alpn = h2;
    c->cfg.require_fresh = s->cfg.require_fresh = true;
}

static void close_both(struct end *c, struct end *s)
{
    close_end(c);
    close_end(s);
}

static void expect_text(struct end *to, struct end *from, const char *text)
{
    CCZ_AUTO_BUF plain;
    ccz_buf_init(&plain, 4096);
    CHECK(ccz_ratls_write(from->r, ccz_span_str(text), NULL) == CCZ_OK);
    move(to, from);
    CHECK(ccz_ratls_read(&plain, to->r, &to->err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&plain), ccz_span_str(text)));
}

static void test_mutual(void)
{
    struct end c, s;
    make_both(&c, &s);
    open_and_run(&c, &s);
    CHECK(c.rc == CCZ_OK && s.rc == CCZ_OK && ccz_ratls_ready(c.r) && ccz_ratls_ready(s.r));
    const struct ccz_ratls_peer *of_c = ccz_ratls_peer(c.r), *of_s = ccz_ratls_peer(s.r);
    CHECK(of_c->attested && of_c->fresh && !of_c->pinned && of_c->claims.isv_svn == 7);
    CHECK(of_s->attested && of_s->fresh);
    CHECK(memcmp(of_c->claims.report_data, of_s->claims.report_data, 64) != 0);
    expect_text(&s, &c, "PRI * HTTP/2.0");
    expect_text(&c, &s, "welcome");
    /* each connection has evidence of its own */
    uint8_t before[64];
    memcpy(before, of_c->claims.report_data, 64);
    ccz_ratls_free(c.r);
    ccz_ratls_free(s.r);
    CHECK(ccz_ratls_new(&c.r, c.ctx) == CCZ_OK && ccz_ratls_new(&s.r, s.ctx) == CCZ_OK);
    run(&c, &s);
    CHECK(ccz_ratls_ready(c.r) && c.toy.attested == 2 && c.toy.appraised == 2);
    CHECK(memcmp(before, ccz_ratls_peer(c.r)->claims.report_data, 64) != 0);
    close_both(&c, &s);
}

static void test_one_way(void)
{
    static const struct {
        bool server_asks, client_gives; /* the client always asks, the server always gives */
        const char *where;              /* of the server's refusal; NULL = accepted */
    } cases[] = {{false, false, NULL}, {false, true, NULL}, {true, false, "ratls:no-evidence"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct end c, s;
        make_both(&c, &s);
        if (!cases[i].server_asks) {
            s.cfg.appraise = NULL;
            s.cfg.peer_evidence_optional = true;
        }
        if (!cases[i].client_gives)
            c.cfg.attest = NULL;
        open_and_run(&c, &s);
        CHECK(c.toy.appraised == 1 && c.toy.attested == 0); /* nobody asked the client */
        if (cases[i].where) {
            CHECK(s.rc == CCZ_E_DENIED && strcmp(s.err.where, cases[i].where) == 0);
            CHECK(!ccz_ratls_ready(c.r) && strcmp(c.err.where, "tls:peer-alert") == 0);
        } else {
            CHECK(ccz_ratls_ready(s.r) && !ccz_ratls_peer(s.r)->attested);
            CHECK(ccz_ratls_peer(c.r)->attested);
        }
        close_both(&c, &s);
    }
}

static ccz_rc pin(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    const bool *good = arg;
    CHECK(spki.size == 91);
    return *good ? CCZ_OK : ccz_refuse(err, CCZ_E_DENIED, "test:pin", "other key", "this key");
}

static void test_optional(void)
{
    for (int good = 0; good < 2; good++) {
        struct end c, s;
        bool pin_says = good;
        make_both(&c, &s);
        c.cfg.attest = NULL;
        s.cfg.peer_evidence_optional = true;
        s.cfg.pin = pin;
        s.cfg.pin_arg = &pin_says;
        open_and_run(&c, &s);
        if (good)
            CHECK(ccz_ratls_peer(s.r)->pinned && !ccz_ratls_peer(s.r)->attested &&
                  !ccz_ratls_peer(s.r)->fresh);
        else
            CHECK(strcmp(s.err.where, "test:pin") == 0 && !ccz_ratls_ready(c.r));
        close_both(&c, &s);
    }
    /* what is there must be good, also where nothing need be there */
    struct end c, s;
    make_both(&c, &s);
    s.cfg.peer_evidence_optional = true;
    s.toy.appraise_rc = CCZ_E_NOT_FOUND;
    open_and_run(&c, &s);
    CHECK(s.rc == CCZ_E_NOT_FOUND && !ccz_ratls_ready(s.r) && !ccz_ratls_ready(c.r));
    close_both(&c, &s);
}

static void test_refused(void)
{
    for (int by_server = 0; by_server < 2; by_server++) {
        struct end c, s, *judge = by_server ? &s : &c, *other = by_server ? &c : &s;
        make_both(&c, &s);
        judge->toy.appraise_rc = CCZ_E_POLICY;
        open_and_run(&c, &s);
        CHECK(judge->rc == CCZ_E_POLICY && strcmp(judge->err.where, "policy:mrenclave") == 0);
        CHECK(strcmp(judge->err.got, "11aa") == 0 && strcmp(judge->err.expected, "22bb") == 0);
        CHECK(other->rc == CCZ_E_PEER && strcmp(other->err.where, "tls:peer-alert") == 0);
        CHECK(!ccz_ratls_peer(judge->r) && !ccz_ratls_peer(other->r));
        close_both(&c, &s);
    }
    /* who cannot make evidence ends the handshake, and says so at home */
    for (int server = 0; server < 2; server++) {
        for (int large = 0; large < 2; large++) {
            struct end c, s, *poor = server ? &s : &c;
            make_both(&c, &s);
            poor->toy.broken = !large;
            poor->toy.filler = large ? CCZ_TLS_PROOF_SIZE_MAX + 1 : 0;
            open_and_run(&c, &s);
            CHECK(strcmp(poor->err.where, large ? "ratls:own-evidence" : "toy:attest") == 0);
            CHECK(!ccz_ratls_ready(c.r) && !ccz_ratls_ready(s.r));
            close_both(&c, &s);
        }
    }
}

/* The largest evidence passes TLS both ways (what the toy verifier then says is another matter). */
static void test_largest(void)
{
    struct end c, s;
    make_both(&c, &s);
    s.toy.filler = CCZ_TLS_PROOF_SIZE_MAX;
    open_and_run(&c, &s);
    CHECK(c.rc == CCZ_E_FORMAT && strcmp(c.err.where, "toy:quote") == 0);
    close_both(&c, &s);
    make_both(&c, &s);
    c.toy.filler = CCZ_TLS_PROOF_SIZE_MAX;
    open_and_run(&c, &s);
    CHECK(s.rc == CCZ_E_FORMAT && strcmp(s.err.where, "toy:quote") == 0);
    close_both(&c, &s);
}

static void test_report_data(void)
{
    uint8_t a[64], b[64], nonce[32] = {1}, other[32] = {2};
    static const uint8_t by_hand[] = "cczoo ra-tls handshake v1"
                                     "s\3\0\0\0key\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                     "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    struct ccz_span key = ccz_span_str("key"), all = CCZ_SPAN(by_hand, sizeof(by_hand) - 1);
    CHECK(cczi_handshake_report_data(a, 's', key, nonce) == CCZ_OK);
    CHECK(ccz_hash(b, CCZ_SHA512, &all, 1) == CCZ_OK && memcmp(a, b, 64) == 0);
    CHECK(cczi_handshake_report_data(b, 'c', key, nonce) == CCZ_OK && memcmp(a, b, 64) != 0);
    CHECK(cczi_handshake_report_data(b, 's', ccz_span_str("kez"), nonce) == CCZ_OK &&
          memcmp(a, b, 64) != 0);
    CHECK(cczi_handshake_report_data(b, 's', key, other) == CCZ_OK && memcmp(a, b, 64) != 0);
}

/* ------------------------------------------------------------------------------------- attackers */

struct attacker {
    bool server;
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    struct ccz_key *key;
    struct ccz_buf spki;
    uint8_t challenge[64]; /* what it asks */
    size_t challenge_size; /* SIZE_MAX: no extension */
    bool reflects;         /* sends our challenge back instead */
    uint8_t seen[32];      /* our challenge */
    struct ccz_buf theirs; /* our evidence */
    /* what it answers; NULL = nothing */
    void (*prove)(struct attacker *a, struct ccz_buf *out);
    const uint8_t *recorded;
};

static int evil_add(SSL *ssl, unsigned type, unsigned context, const unsigned char **out,
                    size_t *size, X509 *cert, size_t pos, int *alert, void *arg)
{
    struct attacker *a = arg;
    (void)ssl, (void)type, (void)cert, (void)pos, (void)alert;
    if (context == SSL_EXT_TLS1_3_CERTIFICATE) {
        static uint8_t room[CCZ_TLS_PROOF_SIZE_MAX + 600];
        if (!a->prove)
            return 0;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, sizeof(room));
        a->prove(a, &b);
        CHECK(!b.bad);
        if (b.size)
            memcpy(room, b.ptr, b.size);
        *out = room;
        *size = b.size;
        return 1;
    }
    if (a->challenge_size == SIZE_MAX)
        return 0;
    *out = a->reflects ? a->seen : a->challenge;
    *size = a->challenge_size;
    return 1;
}

static int evil_parse(SSL *ssl, unsigned type, unsigned context, const unsigned char *in,
                      size_t size, X509 *cert, size_t pos, int *alert, void *arg)
{
    struct attacker *a = arg;
    (void)ssl, (void)type, (void)cert, (void)pos, (void)alert;
    if (context == SSL_EXT_TLS1_3_CERTIFICATE) {
        ccz_buf_clear(&a->theirs);
        ccz_buf_put(&a->theirs, in, size);
    } else {
        CHECK(size == 32);
        memcpy(a->seen, in, 32);
    }
    return 1;
}

static int accept_any(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    return 1;
}

static int select_h2(SSL *ssl, const unsigned char **out, unsigned char *size,
                     const unsigned char *in, unsigned in_size, void *arg)
{
    (void)ssl, (void)in, (void)in_size, (void)arg;
    *out = (const unsigned char *)"h2";
    *size = 2;
    return SSL_TLSEXT_ERR_OK;
}

static void give_identity(struct attacker *a)
{
    CCZ_AUTO(ccz_secret) pkcs8 = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&a->spki, 1024);
    CHECK(ccz_key_generate(&a->key, CCZ_P256) == CCZ_OK);
    CHECK(ccz_key_spki(&a->spki, a->key) == CCZ_OK && ccz_key_to_pkcs8(&pkcs8, a->key) == CCZ_OK);
    struct ccz_cert_cfg cert = {
        .cn = "evil", .key = a->key, .not_before_s = RATLS_NOW, .not_after_s = RATLS_NOW + 60};
    CHECK(ccz_cert_issue(&der, &cert, NULL) == CCZ_OK);
    const unsigned char *p = ccz_secret_view(pkcs8);
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)ccz_secret_size(pkcs8));
    CHECK(key && SSL_CTX_use_certificate_ASN1(a->ctx, (int)der.size, der.ptr) == 1 &&
          SSL_CTX_use_PrivateKey(a->ctx, key) == 1);
    EVP_PKEY_free(key);
}

static void make_attacker(struct attacker *a, bool server, bool knows_extension)
{
    memset(a, 0, sizeof(*a));
    a->server = server;
    a->challenge_size = 32;
    memset(a->challenge, 'x', sizeof(a->challenge));
    a->ctx = SSL_CTX_new(TLS_method());
    CHECK(a->ctx);
    ccz_buf_init(&a->theirs, 1 << 17);
    give_identity(a);
    (void)SSL_CTX_set_max_cert_list(a->ctx, 1 << 18);
    SSL_CTX_set_verify(a->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(a->ctx, accept_any, NULL);
    SSL_CTX_set_alpn_select_cb(a->ctx, select_h2, NULL);
    CHECK(SSL_CTX_set_alpn_protos(a->ctx, (const unsigned char *)"\2h2", 3) == 0);
    if (knows_extension)
        CHECK(SSL_CTX_add_custom_ext(a->ctx, CCZ_TLS_PROOF_TYPE,
                                     SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_CERTIFICATE_REQUEST |
                                         SSL_EXT_TLS1_3_CERTIFICATE,
                                     evil_add, NULL, a, evil_parse, a) == 1);
}

static void free_attacker(struct attacker *a)
{
    SSL_free(a->ssl);
    SSL_CTX_free(a->ctx);
    ccz_key_free(a->key);
    ccz_buf_free(&a->spki);
    ccz_buf_free(&a->theirs);
}

/* Lets @p a shake hands with our engine. */
static void attack(struct attacker *a, struct end *e)
{
    a->ssl = SSL_new(a->ctx);
    a->in = BIO_new(BIO_s_mem());
    a->out = BIO_new(BIO_s_mem());
    CHECK(a->ssl && a->in && a->out);
    SSL_set_bio(a->ssl, a->in, a->out);
    if (a->server)
        SSL_set_accept_state(a->ssl);
    else
        SSL_set_connect_state(a->ssl);
    for (int i = 0; i < 8; i++) {
        char *bytes;
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 20);
        if (e->rc == CCZ_OK)
            e->rc = ccz_ratls_step(e->r, &e->err);
        CHECK(ccz_ratls_drain(&wire, e->r) == CCZ_OK);
        if (wire.size)
            CHECK(BIO_write(a->in, wire.ptr, (int)wire.size) == (int)wire.size);
        (void)SSL_do_handshake(a->ssl);
        long n = BIO_get_mem_data(a->out, &bytes);
        CHECK(ccz_ratls_feed(e->r, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK);
        (void)BIO_reset(a->out);
    }
    ERR_clear_error();
}

static void prove_over(struct attacker *a, struct ccz_buf *out, char role, struct ccz_span spki,
                       const uint8_t nonce[32])
{
    struct toy toy = {0};
    uint8_t over[64];
    (void)a;
    CHECK(cczi_handshake_report_data(over, role, spki, nonce) == CCZ_OK);
    CHECK(toy_attest(&toy, out, over, NULL) == CCZ_OK);
}

/* What an honest program says: the other cases differ from it in one part each. */
static void honest(struct attacker *a, struct ccz_buf *out)
{
    prove_over(a, out, a->server ? 's' : 'c', ccz_buf_span(&a->spki), a->seen);
}
static void other_role(struct attacker *a, struct ccz_buf *out)
{
    prove_over(a, out, a->server ? 'c' : 's', ccz_buf_span(&a->spki), a->seen);
}
static void other_nonce(struct attacker *a, struct ccz_buf *out)
{
    prove_over(a, out, a->server ? 's' : 'c', ccz_buf_span(&a->spki), a->challenge);
}
static void other_key(struct attacker *a, struct ccz_buf *out)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 1024);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK && ccz_key_spki(&spki, key) == CCZ_OK);
    prove_over(a, out, a->server ? 's' : 'c', ccz_buf_span(&spki), a->seen);
}
/* Right, but for the last of the 64 bytes. */
static void other_tail(struct attacker *a, struct ccz_buf *out)
{
    struct toy toy = {0};
    uint8_t over[64];
    CHECK(cczi_handshake_report_data(over, a->server ? 's' : 'c', ccz_buf_span(&a->spki),
                                     a->seen) == CCZ_OK);
    over[63] ^= 1;
    CHECK(toy_attest(&toy, out, over, NULL) == CCZ_OK);
}
static void forged(struct attacker *a, struct ccz_buf *out)
{
    honest(a, out);
    out->ptr[out->size - 1] ^= 1;
}
static void session_label(struct attacker *a, struct ccz_buf *out)
{
    struct toy toy = {0};
    uint8_t over[64];
    static const uint8_t exporter[32];
    CHECK(cczi_ratls_report_data(over, a->server ? 's' : 'c', ccz_buf_span(&a->spki), exporter,
                                 a->seen) == CCZ_OK);
    CHECK(toy_attest(&toy, out, over, NULL) == CCZ_OK);
}
static void recorded(struct attacker *a, struct ccz_buf *out)
{
    ccz_buf_put(out, a->recorded, TOY_QUOTE_SIZE);
}
static void empty(struct attacker *a, struct ccz_buf *out)
{
    (void)a, (void)out;
}
static void too_large(struct attacker *a, struct ccz_buf *out)
{
    (void)a;
    CHECK(ccz_buf_extend(out, CCZ_TLS_PROOF_SIZE_MAX + 1));
}

static void expect_refusal(bool attacker_is_server,
                           void (*prove)(struct attacker *, struct ccz_buf *), ccz_rc rc,
                           const char *where)
{
    struct attacker a;
    struct end e;
    make_attacker(&a, attacker_is_server, true);
    make_end(&e, !attacker_is_server, CCZ_RATLS_HANDSHAKE);
    e.cfg.alpn = h2;
    open_end(&e);
    a.prove = prove;
    attack(&a, &e);
    if (where) {
        CHECK(e.rc == rc && strcmp(e.err.where, where) == 0);
        CHECK(!ccz_ratls_ready(e.r) && !ccz_ratls_peer(e.r));
    } else {
        CHECK(e.rc == CCZ_OK && ccz_ratls_ready(e.r) && ccz_ratls_peer(e.r)->attested);
    }
    close_end(&e);
    free_attacker(&a);
}

static void test_evidence(void)
{
    static const struct {
        void (*prove)(struct attacker *, struct ccz_buf *);
        ccz_rc rc;
        const char *where;
    } cases[] = {
        {honest, CCZ_OK, NULL},
        {other_role, CCZ_E_SIG, "ratls:report-data"},
        {other_nonce, CCZ_E_SIG, "ratls:report-data"},
        {other_key, CCZ_E_SIG, "ratls:report-data"},
        {other_tail, CCZ_E_SIG, "ratls:report-data"},
        {session_label, CCZ_E_SIG, "ratls:report-data"},
        {forged, CCZ_E_SIG, "toy:mac"},
        {empty, CCZ_E_LIMIT, "tls:proof-size"},
        {too_large, CCZ_E_LIMIT, "tls:proof-size"},
        {NULL, CCZ_E_DENIED, "ratls:no-evidence"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int server = 0; server < 2; server++)
            expect_refusal(server, cases[i].prove, cases[i].rc, cases[i].where);
}

/* Evidence that the same program gave on an earlier connection, with the same key. */
static void test_replay(void)
{
    for (int server = 0; server < 2; server++) {
        struct attacker a;
        struct end e;
        uint8_t kept[TOY_QUOTE_SIZE];
        make_attacker(&a, server, true);
        make_end(&e, !server, CCZ_RATLS_HANDSHAKE);
        e.cfg.alpn = h2;
        open_end(&e);
        a.prove = honest;
        attack(&a, &e);
        CHECK(ccz_ratls_ready(e.r));
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 1024);
        honest(&a, &b);
        memcpy(kept, b.ptr, TOY_QUOTE_SIZE);
        CHECK(memcmp(kept + 4, ccz_ratls_peer(e.r)->claims.report_data, 64) == 0);
        ccz_ratls_free(e.r);
        SSL_free(a.ssl);
        CHECK(ccz_ratls_new(&e.r, e.ctx) == CCZ_OK);
        a.recorded = kept;
        a.prove = recorded;
        attack(&a, &e);
        CHECK(e.rc == CCZ_E_SIG && strcmp(e.err.where, "ratls:report-data") == 0);
        CHECK(!ccz_ratls_peer(e.r));
        close_end(&e);
        free_attacker(&a);
    }
}

static void give_ours(struct attacker *a, struct ccz_buf *out)
{
    ccz_buf_put_span(out, ccz_buf_span(&a->theirs));
}

/* Our own evidence, or our own nonce, sent back to us. */
static void test_reflection(void)
{
    struct attacker a;
    struct end e;
    make_attacker(&a, false, true); /* the server's evidence came before the client's */
    make_end(&e, true, CCZ_RATLS_HANDSHAKE);
    e.cfg.alpn = h2;
    open_end(&e);
    a.prove = give_ours;
    attack(&a, &e);
    CHECK(a.theirs.size == TOY_QUOTE_SIZE);
    CHECK(e.rc == CCZ_E_SIG && strcmp(e.err.where, "ratls:report-data") == 0);
    close_end(&e);
    free_attacker(&a);

    make_attacker(&a, true, true);
    make_end(&e, false, CCZ_RATLS_HANDSHAKE);
    e.cfg.alpn = h2;
    open_end(&e);
    a.prove = honest;
    a.reflects = true; /* asks for evidence over the nonce that it has to answer itself */
    attack(&a, &e);
    CHECK(e.rc == CCZ_E_PEER && strcmp(e.err.where, "tls:challenge-reflected") == 0);
    CHECK(e.toy.attested == 0);
    close_end(&e);
    free_attacker(&a);
}

static void test_challenge_size(void)
{
    static const size_t sizes[] = {0, 1, 31, 33, 64};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int server = 0; server < 2; server++) {
            struct attacker a;
            struct end e;
            make_attacker(&a, server, true);
            make_end(&e, !server, CCZ_RATLS_HANDSHAKE);
            e.cfg.alpn = h2;
            open_end(&e);
            a.prove = honest;
            a.challenge_size = sizes[i];
            attack(&a, &e);
            CHECK(e.rc == CCZ_E_FORMAT && strcmp(e.err.where, "tls:challenge-size") == 0);
            CHECK(e.toy.attested == 0 && !ccz_ratls_ready(e.r));
            close_end(&e);
            free_attacker(&a);
        }
    }
}

/* Stock TLS peers, which know nothing of the extension; and peers of the certificate profile. */
static void test_plain_peer(void)
{
    for (int server = 0; server < 2; server++) {
        for (int optional = 0; optional < 2; optional++) {
            struct attacker a;
            struct end e;
            make_attacker(&a, server, false);
            make_end(&e, !server, CCZ_RATLS_HANDSHAKE);
            e.cfg.alpn = h2;
            e.cfg.peer_evidence_optional = optional;
            open_end(&e);
            attack(&a, &e);
            if (optional)
                CHECK(ccz_ratls_ready(e.r) && !ccz_ratls_peer(e.r)->attested);
            else
                CHECK(e.rc == CCZ_E_DENIED && strcmp(e.err.where, "ratls:no-evidence") == 0);
            CHECK(e.toy.attested == 0);
            close_end(&e);
            free_attacker(&a);
        }
    }
    for (int server = 0; server < 2; server++) {
        struct end c, s, *ours = server ? &s : &c, *other = server ? &c : &s;
        make_end(&c, false, server ? CCZ_RATLS_CERTIFICATE : CCZ_RATLS_HANDSHAKE);
        make_end(&s, true, server ? CCZ_RATLS_HANDSHAKE : CCZ_RATLS_CERTIFICATE);
        c.cfg.alpn = s.cfg.alpn = h2;
        other->cfg.peer_evidence_optional = true; /* leaves it to us to refuse */
        open_and_run(&c, &s);
        CHECK(ours->rc == CCZ_E_DENIED && strcmp(ours->err.where, "ratls:no-evidence") == 0);
        close_both(&c, &s);
    }
}

static void test_old_tls(void)
{
    for (int server = 0; server < 2; server++) {
        struct attacker a;
        struct end e;
        make_attacker(&a, server, true);
        CHECK(SSL_CTX_set_max_proto_version(a.ctx, TLS1_2_VERSION) == 1);
        make_end(&e, !server, CCZ_RATLS_HANDSHAKE);
        e.cfg.alpn = h2;
        open_end(&e);
        a.prove = honest;
        attack(&a, &e);
        CHECK(e.rc == CCZ_E_PEER && !ccz_ratls_ready(e.r) && e.toy.attested == 0);
        close_end(&e);
        free_attacker(&a);
    }
}

/* A server that wants another group makes the client say hello twice: with the same nonce. */
static void test_hello_retry(void)
{
    static const char *const wanted[] = {"P-256", "P-384:P-256"}; /* by a server, by a client */
    for (int server = 0; server < 2; server++) {                  /* ours */
        struct attacker a;
        struct end e;
        make_attacker(&a, !server, true);
        CHECK(SSL_CTX_set1_groups_list(a.ctx, wanted[server]) == 1);
        make_end(&e, server, CCZ_RATLS_HANDSHAKE);
        e.cfg.alpn = h2;
        open_end(&e);
        a.prove = honest;
        attack(&a, &e);
        CHECK(e.rc == CCZ_OK && ccz_ratls_ready(e.r) && ccz_ratls_peer(e.r)->fresh);
        close_end(&e);
        free_attacker(&a);
    }
}

static void test_config(void)
{
    static const char where[] = "ratls:config";
    struct end e;
    make_end(&e, true, CCZ_RATLS_HANDSHAKE);
    e.cfg.appraise = NULL; /* who would judge? */
    CHECK(ccz_ratls_ctx_new(&e.ctx, &e.cfg, &e.err) == CCZ_E_ARG && !strcmp(e.err.where, where));
    e.cfg.appraise = toy_appraise;
    e.cfg.emit = CCZ_RATLS_EMIT_BOTH;
    CHECK(ccz_ratls_ctx_new(&e.ctx, &e.cfg, &e.err) == CCZ_E_ARG && !strcmp(e.err.where, where));
    e.cfg.emit = CCZ_RATLS_EMIT_DICE;
    e.cfg.reattest_interval_ms = 1000;
    CHECK(ccz_ratls_ctx_new(&e.ctx, &e.cfg, &e.err) == CCZ_E_ARG && !strcmp(e.err.where, where));
    e.cfg.reattest_interval_ms = 0;
    CHECK(ccz_ratls_ctx_new(&e.ctx, &e.cfg, &e.err) == CCZ_OK);
    CHECK(e.toy.attested == 0); /* evidence is made per connection only */
    ccz_ratls_ctx_free(e.ctx);
}

static const struct ccz_test tests[] = {
    {"ratls.handshake_mutual", test_mutual},
    {"ratls.handshake_one_way", test_one_way},
    {"ratls.handshake_optional", test_optional},
    {"ratls.handshake_refused", test_refused},
    {"ratls.handshake_largest", test_largest},
    {"ratls.handshake_report_data", test_report_data},
    {"ratls.handshake_evidence", test_evidence},
    {"ratls.handshake_replay", test_replay},
    {"ratls.handshake_reflection", test_reflection},
    {"ratls.handshake_challenge_size", test_challenge_size},
    {"ratls.handshake_plain_peer", test_plain_peer},
    {"ratls.handshake_old_tls", test_old_tls},
    {"ratls.handshake_hello_retry", test_hello_retry},
    {"ratls.handshake_config", test_config},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
