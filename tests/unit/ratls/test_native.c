/* SPDX-License-Identifier: Apache-2.0 */
/* An SSL_CTX of the program's own, driven with OpenSSL's functions alone. */
#define _DEFAULT_SOURCE
#include <cczoo/ratls_openssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "ccz_test.h"
#include "ratls/ratls_ends.h"

#include <stdio.h>

struct native {
    struct toy toy;
    struct ccz_ratls_cfg cfg;
    SSL_CTX *ctx;
    SSL *ssl;
    struct ccz_err err;
    int done; /* result of the last SSL_do_handshake() */
};

static enum ccz_ratls_profile profile = CCZ_RATLS_CERTIFICATE; /* of the test that runs */

static void make(struct native *n, bool server)
{
    memset(n, 0, sizeof(*n));
    n->cfg = (struct ccz_ratls_cfg){.profile = profile,
                                    .server = server,
                                    .now_s = RATLS_NOW,
                                    .attest = toy_attest,
                                    .attest_arg = &n->toy,
                                    .appraise = toy_appraise,
                                    .appraise_arg = &n->toy};
    n->ctx = SSL_CTX_new(TLS_method());
    CHECK(n->ctx);
}

static void set_up(struct native *n)
{
    CHECK(ccz_ratls_setup_ssl_ctx(n->ctx, &n->cfg, &n->err) == CCZ_OK);
}

/* A pair of connections, each with application data of its own, which nobody but the program may touch. */
static void connect_pair(struct native *c, struct native *s)
{
    BIO *at_c, *at_s;
    CHECK(BIO_new_bio_pair(&at_c, 1 << 17, &at_s, 1 << 17) == 1);
    c->ssl = SSL_new(c->ctx);
    s->ssl = SSL_new(s->ctx);
    CHECK(c->ssl && s->ssl);
    SSL_set_bio(c->ssl, at_c, at_c);
    SSL_set_bio(s->ssl, at_s, at_s);
    SSL_set_app_data(c->ssl, (void *)(uintptr_t)1);
    SSL_set_app_data(s->ssl, (void *)(uintptr_t)1);
    SSL_set_connect_state(c->ssl);
    SSL_set_accept_state(s->ssl);
}

static void shake(struct native *c, struct native *s)
{
    for (int i = 0; i < 6; i++) {
        c->done = SSL_do_handshake(c->ssl);
        s->done = SSL_do_handshake(s->ssl);
    }
    ERR_clear_error();
}

static void open_pair(struct native *c, struct native *s)
{
    make(c, false);
    make(s, true);
    set_up(c);
    set_up(s);
    connect_pair(c, s);
}

static void close_one(struct native *n)
{
    SSL_CTX_free(n->ctx); /* the connection keeps what it needs */
    SSL_free(n->ssl);
    memset(n, 0, sizeof(*n));
}

static void close_both(struct native *c, struct native *s)
{
    close_one(c);
    close_one(s);
}

static void exchange(struct native *c, struct native *s)
{
    char got[8] = "";
    CHECK(SSL_write(c->ssl, "ping", 4) == 4 && SSL_read(s->ssl, got, 8) == 4);
    CHECK(memcmp(got, "ping", 4) == 0);
}

static void test_mutual(void)
{
    struct native c, s;
    open_pair(&c, &s);
    CHECK(!ccz_ratls_ssl_peer(c.ssl) && !ccz_ratls_ssl_error(c.ssl));
    shake(&c, &s);
    CHECK(c.done == 1 && s.done == 1 && SSL_version(c.ssl) == TLS1_3_VERSION);
    exchange(&c, &s);
    const struct ccz_ratls_peer *peers[] = {ccz_ratls_ssl_peer(c.ssl), ccz_ratls_ssl_peer(s.ssl)};
    static const uint8_t zero[32];
    for (int i = 0; i < 2; i++) {
        CHECK(peers[i] && peers[i]->attested && !peers[i]->fresh && !peers[i]->pinned);
        CHECK(peers[i]->claims.isv_svn == 7 && memcmp(peers[i]->spki_sha256, zero, 32) != 0);
    }
    CHECK(!ccz_ratls_ssl_error(c.ssl) && !ccz_ratls_ssl_error(s.ssl));
    CHECK(SSL_get_app_data(c.ssl) == (void *)(uintptr_t)1);
    CHECK(c.toy.attested == 1 && c.toy.appraised == 1); /* made once */

    /* a second connection of the same SSL_CTX, and SSL_clear() for a third one */
    struct native c2 = c, s2 = s;
    connect_pair(&c2, &s2);
    shake(&c2, &s2);
    CHECK(c2.done == 1 && ccz_ratls_ssl_peer(c2.ssl)->attested && c.toy.attested == 1);
    CHECK(SSL_clear(c2.ssl) == 1 && !ccz_ratls_ssl_peer(c2.ssl));
    SSL *copy = SSL_dup(c2.ssl); /* of a connection that has not begun: shares no memory with it */
    CHECK(copy && copy != c2.ssl && !ccz_ratls_ssl_peer(copy));
    SSL_free(copy);
    SSL_free(c2.ssl);
    SSL_free(s2.ssl);
    close_both(&c, &s);
}

static void test_refused(void)
{
    for (int by_server = 0; by_server < 2; by_server++) {
        struct native c, s, *judge = by_server ? &s : &c, *other = by_server ? &c : &s;
        open_pair(&c, &s);
        judge->toy.appraise_rc = CCZ_E_POLICY;
        shake(&c, &s);
        const struct ccz_err *why = ccz_ratls_ssl_error(judge->ssl);
        CHECK(judge->done != 1 && why && why->rc == CCZ_E_POLICY);
        CHECK(strcmp(why->where, "policy:mrenclave") == 0 && strcmp(why->got, "11aa") == 0 &&
              strcmp(why->expected, "22bb") == 0);
        CHECK(!ccz_ratls_ssl_peer(judge->ssl) && !ccz_ratls_ssl_error(other->ssl));
        char byte;
        CHECK(SSL_read(other->ssl, &byte, 1) != 1); /* the alert; a client was done already */
        CHECK(SSL_write(judge->ssl, "x", 1) != 1);
        ERR_clear_error();
        close_both(&c, &s);
    }
}

/* SSL_VERIFY_NONE set by the program afterwards lets the handshake pass; the peer is still nobody. */
static void test_switched_off(void)
{
    struct native c, s;
    open_pair(&c, &s);
    c.toy.appraise_rc = CCZ_E_POLICY;
    SSL_set_verify(c.ssl, SSL_VERIFY_NONE, NULL);
    shake(&c, &s);
    CHECK(c.done == 1 && !ccz_ratls_ssl_peer(c.ssl));
    CHECK(strcmp(ccz_ratls_ssl_error(c.ssl)->where, "policy:mrenclave") == 0);
    close_both(&c, &s);
}

static void open_again(struct native *c, struct native *s)
{
    BIO *at_c, *at_s;
    CHECK(BIO_new_bio_pair(&at_c, 1 << 17, &at_s, 1 << 17) == 1);
    SSL_set_bio(c->ssl, at_c, at_c);
    SSL_set_bio(s->ssl, at_s, at_s);
    shake(c, s);
}

/* An object used again after SSL_clear(), for a client that nobody asks for a certificate: not the peer of before. */
static void test_cleared(void)
{
    struct native c, s;
    open_pair(&c, &s);
    shake(&c, &s);
    CHECK(s.done == 1 && ccz_ratls_ssl_peer(s.ssl) && ccz_ratls_ssl_peer(c.ssl));
    CHECK(SSL_clear(c.ssl) == 1 && SSL_clear(s.ssl) == 1);
    open_again(&c, &s);
    CHECK(s.done == 1 && ccz_ratls_ssl_peer(s.ssl) && s.toy.appraised == 2);
    CHECK(SSL_clear(c.ssl) == 1 && SSL_clear(s.ssl) == 1);
    SSL_set_verify(s.ssl, SSL_VERIFY_NONE, NULL);
    open_again(&c, &s);
    CHECK(s.done == 1 && s.toy.appraised == 2);
    CHECK(!ccz_ratls_ssl_peer(s.ssl) && ccz_ratls_ssl_peer(c.ssl));
    close_both(&c, &s);
}

static ccz_rc pin(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    const bool *good = arg;
    CHECK(spki.size == 91);
    return *good ? CCZ_OK : ccz_refuse(err, CCZ_E_DENIED, "test:pin", "other key", "this key");
}

static void test_no_evidence(void)
{
    static const struct {
        bool optional, pins, good;
        const char *where; /* NULL = accepted */
    } cases[] = {{false, false, false, "ratls:no-evidence"},
                 {true, false, false, NULL},
                 {true, true, true, NULL},
                 {true, true, false, "test:pin"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct native c, s;
        bool good = cases[i].good;
        make(&c, false);
        make(&s, true);
        c.cfg.attest = NULL;
        s.cfg.peer_evidence_optional = cases[i].optional;
        s.cfg.pin = cases[i].pins ? pin : NULL;
        s.cfg.pin_arg = &good;
        set_up(&c);
        set_up(&s);
        connect_pair(&c, &s);
        shake(&c, &s);
        const struct ccz_ratls_peer *peer = ccz_ratls_ssl_peer(s.ssl);
        const struct ccz_err *why = ccz_ratls_ssl_error(s.ssl);
        if (cases[i].where)
            CHECK(s.done != 1 && !peer && strcmp(why->where, cases[i].where) == 0);
        else
            CHECK(s.done == 1 && peer && !peer->attested && peer->pinned == cases[i].pins && !why);
        CHECK(ccz_ratls_ssl_peer(c.ssl)->attested);
        close_both(&c, &s);
    }
    /* a server that asks for nothing knows nothing */
    struct native c, s;
    make(&c, false);
    make(&s, true);
    s.cfg.appraise = NULL;
    s.cfg.peer_evidence_optional = true;
    set_up(&c);
    set_up(&s);
    connect_pair(&c, &s);
    shake(&c, &s);
    CHECK(s.done == 1 && !ccz_ratls_ssl_peer(s.ssl) && ccz_ratls_ssl_peer(c.ssl)->attested);
    close_both(&c, &s);
}

/* Evidence pasted beside another key, over TLS. (A certificate whose key the peer lacks does not finish: TLS.) */
static void test_stolen_certificate(void)
{
    struct native c, s;
    open_pair(&c, &s);
    X509 *stolen = SSL_CTX_get0_certificate(s.ctx);
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_cert) cert = NULL;
    CCZ_AUTO_BUF forged;
    unsigned char *der = NULL;
    int size = i2d_X509(stolen, &der);
    ccz_buf_init(&forged, CCZ_CERT_SIZE_MAX);
    CHECK(size > 0 && ccz_cert_parse(&cert, CCZ_SPAN(der, (size_t)size), NULL) == CCZ_OK);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    struct ccz_cert_ext_in ext = {.oid = "2.23.133.5.4.9",
                                  .value = ccz_cert_ext(NULL, cert, "2.23.133.5.4.9")};
    CHECK(ccz_cert_issue(&forged,
                         &(struct ccz_cert_cfg){.cn = "thief",
                                                .key = key,
                                                .not_before_s = RATLS_NOW,
                                                .not_after_s = RATLS_NOW + 60,
                                                .ext = &ext,
                                                .ext_len = 1},
                         NULL) == CCZ_OK);
    struct ccz_tls_ctx *tls = NULL;
    struct ccz_tls *t = NULL;
    CHECK(ccz_tls_ctx_new(
              &tls,
              &(struct ccz_tls_cfg){.server = true, .cert_der = ccz_buf_span(&forged), .key = key},
              NULL) == CCZ_OK &&
          ccz_tls_new(&t, tls, NULL, NULL) == CCZ_OK);
    BIO *mine = BIO_new(BIO_s_mem()), *theirs = BIO_new(BIO_s_mem());
    SSL *client = SSL_new(c.ctx);
    SSL_set_bio(client, theirs, mine); /* reads what the thief wrote, writes into mine */
    SSL_set_connect_state(client);
    for (int i = 0; i < 3; i++) {
        char *bytes;
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 20);
        (void)SSL_do_handshake(client);
        long n = BIO_get_mem_data(mine, &bytes);
        CHECK(ccz_tls_feed(t, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK);
        (void)BIO_reset(mine);
        if (ccz_tls_step(t, NULL) != CCZ_OK)
            ERR_clear_error(); /* the alert of the client */
        CHECK(ccz_tls_drain(&wire, t) == CCZ_OK);
        if (wire.size)
            CHECK(BIO_write(theirs, wire.ptr, (int)wire.size) == (int)wire.size);
    }
    CHECK(!SSL_is_init_finished(client) && !ccz_ratls_ssl_peer(client));
    CHECK(strcmp(ccz_ratls_ssl_error(client)->where, "ratls:cert-key") == 0);
    ERR_clear_error();
    SSL_free(client);
    ccz_tls_free(t);
    ccz_tls_ctx_free(tls);
    OPENSSL_free(der);
    close_both(&c, &s);
}

/* Our engine on the other side, and ALPN. */
static void test_engine(void)
{
    static const char *const h2[] = {"h2", NULL}, *const other[] = {"http/1.1", NULL};
    for (int match = 0; match < 2; match++) {
        struct native s;
        struct end c;
        make(&s, true);
        s.cfg.alpn = h2;
        set_up(&s);
        s.ssl = SSL_new(s.ctx);
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
        SSL_set_bio(s.ssl, in, out);
        SSL_set_app_data(s.ssl, (void *)(uintptr_t)1);
        SSL_set_accept_state(s.ssl);
        make_end(&c, false, profile);
        c.cfg.alpn = match ? h2 : other;
        open_end(&c);
        for (int i = 0; i < 4; i++) {
            char *bytes;
            CCZ_AUTO_BUF wire;
            ccz_buf_init(&wire, 1 << 20);
            c.rc = ccz_ratls_step(c.r, &c.err);
            CHECK(ccz_ratls_drain(&wire, c.r) == CCZ_OK);
            if (wire.size)
                CHECK(BIO_write(in, wire.ptr, (int)wire.size) == (int)wire.size);
            s.done = SSL_do_handshake(s.ssl);
            long n = BIO_get_mem_data(out, &bytes);
            CHECK(ccz_ratls_feed(c.r, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK);
            (void)BIO_reset(out);
        }
        ERR_clear_error();
        if (match) {
            CHECK(s.done == 1 && ccz_ratls_ready(c.r) && ccz_ratls_peer(c.r)->attested);
            CHECK(ccz_ratls_ssl_peer(s.ssl)->attested);
        } else {
            CHECK(s.done != 1 && !ccz_ratls_ready(c.r) && !ccz_ratls_ssl_peer(s.ssl));
            CHECK(strcmp(ccz_ratls_ssl_error(s.ssl)->where, "tls:alpn") == 0);
        }
        close_end(&c);
        close_one(&s);
    }
}

/* ------------------------------------------------------------ handshakes that would skip the evidence */

static SSL_SESSION *kept;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static SSL_SESSION *psk_session(void)
{
    static const uint8_t secret[32] = {1};
    SSL_CTX *any = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(any);
    SSL_SESSION *session = SSL_SESSION_new();
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, (const unsigned char *)"\x13\x02");
    CHECK(session && cipher && SSL_SESSION_set1_master_key(session, secret, 32) == 1 &&
          SSL_SESSION_set_cipher(session, cipher) == 1 &&
          SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1 &&
          SSL_SESSION_set1_id_context(session, (const unsigned char *)"x", 1) == 1);
    SSL_free(ssl);
    SSL_CTX_free(any);
    return session;
}

static int use_psk(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_size,
                   SSL_SESSION **session)
{
    (void)ssl, (void)md;
    *id = (const unsigned char *)"x";
    *id_size = 1;
    *session = psk_session();
    return 1;
}

static int find_psk(SSL *ssl, const unsigned char *id, size_t id_size, SSL_SESSION **session)
{
    (void)ssl, (void)id, (void)id_size;
    *session = psk_session();
    return 1;
}

static void test_resumption(void)
{
    struct native c, s;
    open_pair(&c, &s);
    SSL_CTX_sess_set_new_cb(c.ctx, keep_session);
    shake(&c, &s);
    exchange(&s, &c); /* would bring tickets along */
    CHECK(c.done == 1 && !kept && !SSL_SESSION_is_resumable(SSL_get_session(c.ssl)));
    SSL_SESSION *old = SSL_get1_session(c.ssl);
    struct native c2 = c, s2 = s;
    connect_pair(&c2, &s2);
    (void)SSL_set_session(c2.ssl, old);
    shake(&c2, &s2);
    CHECK(c2.done == 1 && !SSL_session_reused(c2.ssl) && ccz_ratls_ssl_peer(c2.ssl)->attested);
    CHECK(c.toy.appraised == 2);
    SSL_SESSION_free(old);
    SSL_free(c2.ssl);
    SSL_free(s2.ssl);
    /* a program that brings a pre-shared key all the same: connected, but to nobody */
    SSL_CTX_set_psk_use_session_callback(c.ctx, use_psk);
    SSL_CTX_set_psk_find_session_callback(s.ctx, find_psk);
    CHECK(SSL_CTX_set_session_id_context(s.ctx, (const unsigned char *)"x", 1) == 1);
    CHECK(SSL_CTX_set_session_id_context(c.ctx, (const unsigned char *)"x", 1) == 1);
    connect_pair(&c2, &s2);
    shake(&c2, &s2);
    CHECK(c2.done == 1 && s2.done == 1 && SSL_session_reused(c2.ssl));
    CHECK(!ccz_ratls_ssl_peer(c2.ssl) && !ccz_ratls_ssl_peer(s2.ssl) && c.toy.appraised == 2);
    SSL_free(c2.ssl);
    SSL_free(s2.ssl);
    close_both(&c, &s);
}

/* A program that allows tickets after all, and uses its objects again: the certificate is that of before, but nobody has
 * looked at it in this handshake. */
static void test_resumed_cleared(void)
{
    struct native c, s;
    open_pair(&c, &s);
    SSL_CTX_sess_set_new_cb(c.ctx, keep_session);
    (void)SSL_CTX_set_session_cache_mode(c.ctx, SSL_SESS_CACHE_CLIENT);
    (void)SSL_clear_options(s.ssl, SSL_OP_NO_TICKET);
    CHECK(SSL_set_num_tickets(s.ssl, 1) == 1);
    CHECK(SSL_set_session_id_context(s.ssl, (const unsigned char *)"x", 1) == 1);
    shake(&c, &s);
    exchange(&s, &c);
    CHECK(ccz_ratls_ssl_peer(c.ssl) && ccz_ratls_ssl_peer(s.ssl));
    CHECK(kept && SSL_SESSION_is_resumable(kept));
    SSL_set_shutdown(c.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else SSL_clear() */
    SSL_set_shutdown(s.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* spoils the session */
    CHECK(SSL_clear(c.ssl) == 1 && SSL_clear(s.ssl) == 1 && SSL_set_session(c.ssl, kept) == 1);
    open_again(&c, &s);
    CHECK(c.done == 1 && s.done == 1 && SSL_session_reused(c.ssl) && SSL_session_reused(s.ssl));
    CHECK(!ccz_ratls_ssl_peer(c.ssl) && !ccz_ratls_ssl_peer(s.ssl) && c.toy.appraised == 1);
    SSL_SESSION_free(kept);
    kept = NULL;
    close_both(&c, &s);
}

static void test_old_tls(void)
{
    struct native c, s;
    make(&c, false);
    make(&s, true);
    set_up(&s);
    CHECK(SSL_CTX_set_max_proto_version(c.ctx, TLS1_2_VERSION) == 1);
    connect_pair(&c, &s);
    shake(&c, &s);
    CHECK(c.done != 1 && s.done != 1 && !ccz_ratls_ssl_peer(s.ssl) && !ccz_ratls_ssl_peer(c.ssl));
    close_both(&c, &s);
    /* programs that allow it all the same: connected, but to nobody */
    make(&c, false);
    make(&s, true);
    set_up(&c);
    set_up(&s);
    SSL_CTX *const both[] = {c.ctx, s.ctx};
    for (int i = 0; i < 2; i++)
        CHECK(SSL_CTX_set_min_proto_version(both[i], TLS1_2_VERSION) == 1 &&
              SSL_CTX_set_max_proto_version(both[i], TLS1_2_VERSION) == 1);
    connect_pair(&c, &s);
    shake(&c, &s);
    if (profile == CCZ_RATLS_HANDSHAKE) /* there is no evidence in TLS 1.2 */
        CHECK(c.done != 1 && strcmp(ccz_ratls_ssl_error(c.ssl)->where, "tls:proof-not-asked") == 0);
    else
        CHECK(c.done == 1 && s.done == 1 && SSL_version(c.ssl) == TLS1_2_VERSION);
    CHECK(!ccz_ratls_ssl_peer(s.ssl) && !ccz_ratls_ssl_peer(c.ssl));
    close_both(&c, &s);
}

static void test_config(void)
{
    struct native n;
    make(&n, true);
    n.cfg.profile = CCZ_RATLS_SESSION;
    CHECK(ccz_ratls_setup_ssl_ctx(n.ctx, &n.cfg, &n.err) == CCZ_E_ARG &&
          strcmp(n.err.where, "ratls:config") == 0);
    n.cfg.profile = CCZ_RATLS_CERTIFICATE;
    n.cfg.require_fresh = true;
    CHECK(ccz_ratls_setup_ssl_ctx(n.ctx, &n.cfg, &n.err) == CCZ_E_ARG);
    n.cfg.require_fresh = false;
    n.toy.broken = true;
    CHECK(ccz_ratls_setup_ssl_ctx(n.ctx, &n.cfg, &n.err) == CCZ_E_UNAVAILABLE);
    n.toy.broken = false;
    set_up(&n);
    CHECK(ccz_ratls_setup_ssl_ctx(n.ctx, &n.cfg, &n.err) == CCZ_E_EXISTS &&
          strcmp(n.err.where, "tls:adopt") == 0);
    close_one(&n);
    SSL_CTX *plain = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(plain);
    CHECK(!ccz_ratls_ssl_peer(ssl) && !ccz_ratls_ssl_error(ssl)); /* never set up */
    SSL_free(ssl);
    SSL_CTX_free(plain);
}

/* The handshake profile: evidence per connection, also behind SSL_clear(). */
static void test_handshake(void)
{
    struct native c, s;
    profile = CCZ_RATLS_HANDSHAKE;
    open_pair(&c, &s);
    CHECK(c.toy.attested == 0 && s.toy.attested == 0);
    for (unsigned i = 1; i <= 2; i++) {
        if (i == 1)
            shake(&c, &s);
        else
            open_again(&c, &s);
        const struct ccz_ratls_peer *of_c = ccz_ratls_ssl_peer(c.ssl),
                                    *of_s = ccz_ratls_ssl_peer(s.ssl);
        CHECK(c.done == 1 && s.done == 1 && of_c && of_c->attested && of_c->fresh);
        CHECK(of_s && of_s->attested && of_s->fresh && of_s->claims.isv_svn == 7);
        CHECK(c.toy.attested == i && s.toy.attested == i);
        CHECK(c.toy.appraised == i && s.toy.appraised == i);
        exchange(&c, &s);
        CHECK(SSL_clear(c.ssl) == 1 && SSL_clear(s.ssl) == 1);
        CHECK(!ccz_ratls_ssl_peer(c.ssl) && !ccz_ratls_ssl_peer(s.ssl));
    }
    /* cleared once more, and now the client has nothing to give: what it gave before does not count */
    c.toy.broken = true;
    open_again(&c, &s);
    CHECK(s.done != 1 && !ccz_ratls_ssl_peer(s.ssl) && s.toy.appraised == 2);
    CHECK(strcmp(ccz_ratls_ssl_error(c.ssl)->where, "toy:attest") == 0);
    close_both(&c, &s);
}

static void test_handshake_cases(void)
{
    profile = CCZ_RATLS_HANDSHAKE;
    test_refused();
    test_no_evidence();
    test_engine();
    test_switched_off();
    test_cleared();
    test_old_tls();
}

/* A resumed session has no Certificate message, and so no evidence: with the extension in its hello or not. */
static void test_handshake_resumption(void)
{
    profile = CCZ_RATLS_HANDSHAKE;
    test_resumption();
    test_resumed_cleared();
}

static const struct ccz_test tests[] = {
    {"ratls.native_mutual", test_mutual},
    {"ratls.native_refused", test_refused},
    {"ratls.native_switched_off", test_switched_off},
    {"ratls.native_cleared", test_cleared},
    {"ratls.native_resumed_cleared", test_resumed_cleared},
    {"ratls.native_no_evidence", test_no_evidence},
    {"ratls.native_stolen", test_stolen_certificate},
    {"ratls.native_engine", test_engine},
    {"ratls.native_resumption", test_resumption},
    {"ratls.native_old_tls", test_old_tls},
    {"ratls.native_config", test_config},
    {"ratls.native_handshake", test_handshake},
    {"ratls.native_handshake_cases", test_handshake_cases},
    {"ratls.native_handshake_resumption", test_handshake_resumption},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
