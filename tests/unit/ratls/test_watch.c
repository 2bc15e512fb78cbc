/* SPDX-License-Identifier: Apache-2.0 */
/* A library with OpenSSL inside, as libgrpc is one: here a few lines that get a certificate and a key, and show no SSL_CTX. */
#define _DEFAULT_SOURCE
#include <cczoo/ratls_openssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "ccz_test.h"
#include "ratls/ratls_ends.h"

#include <pthread.h>

/* ---------------------------------------------------------------------------------- the library */

static int accept_any(int ok, X509_STORE_CTX *store)
{
    (void)ok, (void)store;
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

/* As libgrpc does: both versions of TLS, one curve, tickets, and a verification that lets everybody pass. */
static SSL_CTX *library_ctx(struct ccz_span der, const struct ccz_key *key)
{
    CCZ_AUTO(ccz_secret) pkcs8 = NULL;
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    CHECK(ctx && ccz_key_to_pkcs8(&pkcs8, key) == CCZ_OK);
    const unsigned char *p = ccz_secret_view(pkcs8);
    EVP_PKEY *pair = d2i_AutoPrivateKey(NULL, &p, (long)ccz_secret_size(pkcs8));
    CHECK(pair && SSL_CTX_use_certificate_ASN1(ctx, (int)der.size, der.ptr) == 1);
    CHECK(SSL_CTX_use_PrivateKey(ctx, pair) == 1);
    EVP_PKEY_free(pair);
    CHECK(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    CHECK(SSL_CTX_set1_groups_list(ctx, "P-256") == 1);
    CHECK(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"grpc", 4) == 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    SSL_CTX_set_alpn_select_cb(ctx, select_h2, NULL);
    CHECK(SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\2h2", 3) == 0);
    return ctx;
}

/* ------------------------------------------------------------------------------------- one side */

struct side {
    struct toy toy;
    struct ccz_ratls_cfg cfg;
    struct ccz_ratls_watch *watch;
    struct ccz_key *key;
    struct ccz_buf der;
    SSL_CTX *ctx;
    SSL *ssl;
    int done;
    atomic_uint accepted, refused;
    struct ccz_ratls_peer peer;
    struct ccz_err why, err;
};

static void on_accepted(void *arg, struct ccz_span der, const struct ccz_ratls_peer *peer)
{
    struct side *s = arg;
    CHECK(der.size > 100);
    if (atomic_fetch_add(&s->accepted, 1) == 0)
        s->peer = *peer;
}

static void on_refused(void *arg, const struct ccz_err *why)
{
    struct side *s = arg;
    if (atomic_fetch_add(&s->refused, 1) == 0)
        s->why = *why;
}

static const struct ccz_ratls_watch_ops ops = {.accepted = on_accepted, .refused = on_refused};

static void make_side(struct side *s, bool server)
{
    memset(s, 0, sizeof(*s));
    ccz_buf_init(&s->der, CCZ_CERT_SIZE_MAX);
    s->cfg = (struct ccz_ratls_cfg){.profile = CCZ_RATLS_HANDSHAKE,
                                    .server = server,
                                    .now_s = RATLS_NOW,
                                    .attest = toy_attest,
                                    .attest_arg = &s->toy,
                                    .appraise = toy_appraise,
                                    .appraise_arg = &s->toy};
}

static void start_side(struct side *s)
{
    CHECK(ccz_ratls_watch_new(&s->watch, &s->der, &s->key, &s->cfg, &ops, s, &s->err) == CCZ_OK);
    s->ctx = library_ctx(ccz_buf_span(&s->der), s->key);
}

static void close_side(struct side *s)
{
    SSL_free(s->ssl);
    SSL_CTX_free(s->ctx);
    ccz_ratls_watch_free(s->watch);
    ccz_key_free(s->key);
    ccz_buf_free(&s->der);
}

static void connect_pair(SSL *c, SSL *s)
{
    BIO *at_c, *at_s;
    CHECK(c && s && BIO_new_bio_pair(&at_c, 1 << 17, &at_s, 1 << 17) == 1);
    SSL_set_bio(c, at_c, at_c);
    SSL_set_bio(s, at_s, at_s);
    SSL_set_connect_state(c);
    SSL_set_accept_state(s);
}

static void shake(struct side *c, struct side *s)
{
    SSL_free(c->ssl);
    SSL_free(s->ssl);
    c->ssl = SSL_new(c->ctx);
    s->ssl = SSL_new(s->ctx);
    connect_pair(c->ssl, s->ssl);
    for (int i = 0; i < 6; i++) {
        c->done = SSL_do_handshake(c->ssl);
        s->done = SSL_do_handshake(s->ssl);
    }
    ERR_clear_error();
}

static void test_watch(void)
{
    struct side c, s;
    make_side(&c, false);
    make_side(&s, true);
    start_side(&c);
    start_side(&s);
    for (unsigned i = 1; i <= 2; i++) { /* the first connection of an SSL_CTX, and another one */
        shake(&c, &s);
        CHECK(c.done == 1 && s.done == 1 && SSL_version(c.ssl) == TLS1_3_VERSION);
        CHECK(c.toy.attested == i && c.toy.appraised == i && s.toy.attested == i);
        CHECK(c.accepted == i && s.accepted == i && c.refused == 0 && s.refused == 0);
        char got[8] = "";
        CHECK(SSL_write(c.ssl, "ping", 4) == 4 && SSL_read(s.ssl, got, 8) == 4);
        CHECK(ccz_ratls_ssl_peer(c.ssl)->fresh && ccz_ratls_ssl_peer(s.ssl)->fresh);
    }
    CHECK(c.peer.attested && c.peer.fresh && c.peer.claims.isv_svn == 7);
    close_side(&c);
    close_side(&s);
}

/* With our engine on the other side: library as server, as client. */
static void run_engine(struct side *lib, struct end *e)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    lib->ssl = SSL_new(lib->ctx);
    CHECK(lib->ssl && in && out);
    SSL_set_bio(lib->ssl, in, out);
    if (lib->cfg.server)
        SSL_set_accept_state(lib->ssl);
    else
        SSL_set_connect_state(lib->ssl);
    for (int i = 0; i < 8; i++) {
        char *bytes;
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 20);
        if (e->rc == CCZ_OK)
            e->rc = ccz_ratls_step(e->r, &e->err);
        CHECK(ccz_ratls_drain(&wire, e->r) == CCZ_OK);
        if (wire.size)
            CHECK(BIO_write(in, wire.ptr, (int)wire.size) == (int)wire.size);
        lib->done = SSL_do_handshake(lib->ssl);
        long n = BIO_get_mem_data(out, &bytes);
        CHECK(ccz_ratls_feed(e->r, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK);
        (void)BIO_reset(out);
    }
    ERR_clear_error();
}

static const char *const h2[] = {"h2", NULL};

static void test_refused(void)
{
    for (int server = 0; server < 2; server++) {
        for (int how = 0; how < 4; how++) { /* nobody, library, engine refuses; engine is plain */
            struct side lib;
            struct end e;
            make_side(&lib, server);
            start_side(&lib);
            make_end(&e, !server, how == 3 ? CCZ_RATLS_TLS_ONLY_INSECURE : CCZ_RATLS_HANDSHAKE);
            e.cfg.alpn = h2;
            if (how == 1)
                lib.toy.appraise_rc = CCZ_E_POLICY;
            if (how == 2)
                e.toy.appraise_rc = CCZ_E_POLICY;
            open_end(&e);
            run_engine(&lib, &e);
            if (how == 0) {
                CHECK(lib.done == 1 && lib.accepted == 1 && ccz_ratls_peer(e.r)->attested);
            } else if (how == 1) {
                CHECK(lib.done != 1 && lib.refused == 1 && lib.accepted == 0);
                CHECK(strcmp(lib.why.where, "policy:mrenclave") == 0);
                CHECK(strcmp(lib.why.got, "11aa") == 0 && !ccz_ratls_ssl_peer(lib.ssl));
            } else if (how == 2) {
                CHECK(strcmp(e.err.where, "policy:mrenclave") == 0 && !ccz_ratls_ready(e.r));
            } else {
                CHECK(lib.done != 1 && lib.accepted == 0 &&
                      strcmp(lib.why.where, "ratls:no-evidence") == 0);
            }
            close_end(&e);
            close_side(&lib);
        }
    }
}

/* ----------------------------------------------------------------------- other users of OpenSSL */

static int judged_by_program;

static int programs_own(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    judged_by_program++;
    return *(const int *)arg;
}

static int find_extension(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *ext;
    size_t size;
    (void)alert;
    *(int *)arg = SSL_client_hello_get0_ext(ssl, CCZ_TLS_PROOF_TYPE, &ext, &size);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* A TLS client and server of the same process that have nothing to do with us: their bytes, their judgement, their
 * versions and tickets are as without us. */
static void test_foreign(void)
{
    struct side ours, key_of; /* one that is watched, and a key for the others */
    int yes = 1, no = 0, has_extension = -1;
    make_side(&ours, false);
    start_side(&ours);
    make_side(&key_of, true);
    CCZ_AUTO(ccz_key) key = NULL;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    struct ccz_cert_cfg cert = {
        .cn = "foreign", .key = key, .not_before_s = RATLS_NOW, .not_after_s = RATLS_NOW + 60};
    CHECK(ccz_cert_issue(&key_of.der, &cert, NULL) == CCZ_OK);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (int accepts = 0; accepts < 2; accepts++) {
            SSL_CTX *c = SSL_CTX_new(TLS_method()),
                    *s = library_ctx(ccz_buf_span(&key_of.der), key);
            SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
            SSL_CTX_set_cert_verify_callback(c, programs_own, accepts ? &yes : &no);
            SSL_CTX_set_verify(s, SSL_VERIFY_NONE, NULL);
            SSL_CTX_set_client_hello_cb(s, find_extension, &has_extension);
            CHECK(SSL_CTX_set_max_proto_version(c, version) == 1);
            SSL *a = SSL_new(c), *b = SSL_new(s);
            connect_pair(a, b);
            judged_by_program = 0;
            int a_done = -1, b_done = -1;
            for (int i = 0; i < 6; i++) {
                a_done = SSL_do_handshake(a);
                b_done = SSL_do_handshake(b);
            }
            ERR_clear_error();
            CHECK(judged_by_program == 1 && has_extension == 0);
            CHECK((a_done == 1) == accepts && (b_done == 1 || !accepts));
            if (accepts) {
                CHECK(SSL_version(a) == version);
                CHECK(SSL_get_num_tickets(b) == 2); /* OpenSSL's default */
                CHECK(!(SSL_get_options(a) & SSL_OP_NO_TICKET));
            }
            CHECK(!ccz_ratls_ssl_peer(a) && !ccz_ratls_ssl_error(a));
            SSL_free(a);
            SSL_free(b);
            SSL_CTX_free(c);
            SSL_CTX_free(s);
        }
    }
    CHECK(ours.accepted == 0 && ours.refused == 0 && ours.toy.attested == 0);
    close_side(&ours);
    close_side(&key_of);
}

/* What the library would allow: TLS 1.2, tickets, peers without a certificate. */
static void test_strict(void)
{
    for (int server = 0; server < 2; server++) {
        struct side lib, key_of;
        make_side(&lib, server);
        start_side(&lib);
        make_side(&key_of, !server);
        CCZ_AUTO(ccz_key) key = NULL;
        CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
        struct ccz_cert_cfg cert = {
            .cn = "old", .key = key, .not_before_s = RATLS_NOW, .not_after_s = RATLS_NOW + 60};
        CHECK(ccz_cert_issue(&key_of.der, &cert, NULL) == CCZ_OK);
        key_of.ctx = library_ctx(ccz_buf_span(&key_of.der), key);
        CHECK(SSL_CTX_set_max_proto_version(key_of.ctx, TLS1_2_VERSION) == 1);
        for (int i = 0; i < 2; i++) { /* also not at the first connection of the SSL_CTX */
            shake(server ? &key_of : &lib, server ? &lib : &key_of);
            CHECK(lib.done != 1 && key_of.done != 1 && lib.accepted == 0);
            CHECK(SSL_get_options(lib.ssl) & SSL_OP_NO_TICKET && SSL_get_num_tickets(lib.ssl) == 0);
            CHECK(SSL_get_verify_mode(lib.ssl) ==
                  (SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT));
        }
        close_side(&lib);
        close_side(&key_of);
    }
    struct side c, s; /* a server that judges nobody still speaks to nobody in TLS 1.2 */
    make_side(&s, true);
    s.cfg.appraise = NULL;
    s.cfg.peer_evidence_optional = true;
    start_side(&s);
    make_side(&c, false);
    c.ctx = SSL_CTX_new(TLS_method());
    for (int i = 0; i < 4; i++) {
        CHECK(SSL_CTX_set_max_proto_version(c.ctx, i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1);
        shake(&c, &s);
        CHECK((s.done == 1) == (i % 2) && s.accepted == 0 && s.toy.attested == 0);
    }
    close_side(&c);
    close_side(&s);
    /* a library that asks nobody: we do */
    make_side(&c, false);
    make_side(&s, true);
    start_side(&c);
    start_side(&s);
    SSL_CTX_set_verify(s.ctx, SSL_VERIFY_NONE, NULL);
    shake(&c, &s);
    CHECK(s.done == 1 && s.accepted == 1);
    close_side(&c);
    close_side(&s);
}

static void test_renew(void)
{
    struct side c, s;
    make_side(&c, false);
    make_side(&s, true);
    start_side(&c);
    start_side(&s);
    shake(&c, &s);
    CHECK(c.done == 1 && s.done == 1);
    uint8_t of_s[32], of_c[32];
    memcpy(of_s, c.peer.spki_sha256, 32);
    memcpy(of_c, s.peer.spki_sha256, 32);
    SSL *open_c = c.ssl, *open_s = s.ssl; /* goes on with what it has */
    c.ssl = s.ssl = NULL;
    CHECK(ccz_ratls_watch_renew(c.watch, RATLS_NOW, NULL) == CCZ_OK);
    CHECK(ccz_ratls_watch_renew(s.watch, RATLS_NOW, NULL) == CCZ_OK);
    c.accepted = s.accepted = 0;
    shake(&c, &s); /* the evidence is over the new keys, or this would be refused */
    CHECK(c.done == 1 && s.done == 1 && c.accepted == 1 && s.accepted == 1);
    CHECK(memcmp(of_s, c.peer.spki_sha256, 32) != 0 && memcmp(of_c, s.peer.spki_sha256, 32) != 0);
    CHECK(memcmp(ccz_ratls_ssl_peer(open_c)->spki_sha256, of_s, 32) == 0);
    char got[8] = "";
    CHECK(SSL_write(open_c, "ping", 4) == 4 && SSL_read(open_s, got, 8) == 4);
    SSL_free(open_c);
    SSL_free(open_s);
    close_side(&c);
    close_side(&s);
}

static void test_closed(void)
{
    struct side c, s;
    make_side(&c, false);
    make_side(&s, true);
    start_side(&c);
    start_side(&s);
    shake(&c, &s);
    CHECK(c.done == 1);
    ccz_ratls_watch_free(s.watch); /* its SSL_CTX lives on in the library */
    s.watch = NULL;
    shake(&c, &s);
    CHECK(s.done != 1 && s.accepted == 1 && s.toy.attested == 1 && s.toy.appraised == 1);
    close_side(&c);
    close_side(&s);
}

struct race {
    struct side *c;
    SSL_CTX *server;
};

static void *race(void *arg)
{
    struct race *r = arg;
    for (int n = 0; n < 20; n++) {
        SSL *c = SSL_new(r->c->ctx), *s = SSL_new(r->server);
        connect_pair(c, s);
        int c_done = -1, s_done = -1;
        for (int i = 0; i < 6; i++) {
            c_done = SSL_do_handshake(c);
            s_done = SSL_do_handshake(s);
        }
        ERR_clear_error();
        CHECK(c_done == 1 && s_done == 1 && ccz_ratls_ssl_peer(c)->fresh);
        SSL_free(c);
        SSL_free(s);
    }
    return NULL;
}

static void test_threads(void)
{
    enum { THREADS = 4 };
    struct side c, s;
    make_side(&c, false);
    make_side(&s, true);
    start_side(&c);
    start_side(&s);
    struct race with = {.c = &c, .server = s.ctx};
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++) /* all of them have the first connection */
        CHECK(pthread_create(&t[i], NULL, race, &with) == 0);
    for (int i = 0; i < 10; i++)
        CHECK(ccz_ratls_watch_renew(s.watch, RATLS_NOW, NULL) == CCZ_OK);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CHECK(c.accepted == THREADS * 20 && s.accepted == THREADS * 20);
    close_side(&c);
    close_side(&s);
}

static void test_config(void)
{
    struct side s;
    make_side(&s, true);
    static const enum ccz_ratls_profile others[] = {CCZ_RATLS_SESSION, CCZ_RATLS_CERTIFICATE,
                                                    CCZ_RATLS_TLS_ONLY_INSECURE};
    for (size_t i = 0; i < 3; i++) {
        s.cfg.profile = others[i];
        CHECK(ccz_ratls_watch_new(&s.watch, &s.der, &s.key, &s.cfg, &ops, &s, &s.err) ==
                  CCZ_E_ARG &&
              strcmp(s.err.where, "ratls:config") == 0);
    }
    s.cfg.profile = CCZ_RATLS_HANDSHAKE;
    s.cfg.appraise = NULL;
    CHECK(ccz_ratls_watch_new(&s.watch, &s.der, &s.key, &s.cfg, &ops, &s, &s.err) == CCZ_E_ARG);
    CHECK(!s.watch && !s.key && s.der.size == 0);
    close_side(&s);
}

static const struct ccz_test tests[] = {
    {"ratls.watch", test_watch},           {"ratls.watch_foreign", test_foreign},
    {"ratls.watch_refused", test_refused}, {"ratls.watch_strict", test_strict},
    {"ratls.watch_renew", test_renew},     {"ratls.watch_closed", test_closed},
    {"ratls.watch_threads", test_threads}, {"ratls.watch_config", test_config},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
