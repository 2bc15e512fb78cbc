/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes with evidence, the k-th allocation failing, ours and OpenSSL's, for every k: nobody is accepted without evidence, nothing
 * leaks (with sanitizers), and what ends one has a reason. */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include <cczoo/ratls_openssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "ratls/ratls_ends.h"

/* Our engine with itself. @return whether both were ready */
static bool shake_engine(struct end *c, struct end *s)
{
    if (ccz_ratls_new(&c->r, c->ctx) != CCZ_OK || ccz_ratls_new(&s->r, s->ctx) != CCZ_OK)
        return false;
    c->rc = s->rc = CCZ_OK;
    c->err = s->err = (struct ccz_err){.rc = CCZ_OK};
    c->rc = ccz_ratls_step(c->r, &c->err);
    for (int i = 0; i < 6; i++) {
        struct end *const from[] = {c, s}, *const to[] = {s, c};
        for (int d = 0; d < 2; d++) {
            CCZ_AUTO_BUF wire;
            ccz_buf_init(&wire, 1 << 20);
            if (ccz_ratls_drain(&wire, from[d]->r) != CCZ_OK ||
                ccz_ratls_feed(to[d]->r, ccz_buf_span(&wire)) != CCZ_OK)
                return false;
            if (to[d]->rc == CCZ_OK)
                to[d]->rc = ccz_ratls_step(to[d]->r, &to[d]->err);
        }
    }
    return ccz_ratls_ready(c->r) && ccz_ratls_ready(s->r);
}

static void check_end(const struct end *e, unsigned judged_before)
{
    const struct ccz_ratls_peer *p = e->r ? ccz_ratls_peer(e->r) : NULL;
    CHECK(!p || (p->attested && p->fresh && e->toy.appraised == judged_before + 1));
    CHECK(e->rc == CCZ_OK || (e->err.rc == e->rc && e->err.where[0]));
}

static void test_engine(void)
{
    struct end c, s;
    long all = 0;
    bool ready = false, failed_one = true;
    make_end(&c, false, CCZ_RATLS_HANDSHAKE);
    make_end(&s, true, CCZ_RATLS_HANDSHAKE);
    CHECK(ccz_ratls_ctx_new(&c.ctx, &c.cfg, &c.err) == CCZ_OK);
    CHECK(ccz_ratls_ctx_new(&s.ctx, &s.cfg, &s.err) == CCZ_OK);
    for (long k = 0; failed_one; k++) {
        unsigned c_before = c.toy.appraised, s_before = s.toy.appraised;
        nomem_left = k;
        ready = shake_engine(&c, &s);
        failed_one = nomem_left < 0;
        nomem_left = -1;
        CHECK(ready || failed_one); /* without one OpenSSL may come through */
        check_end(&c, c_before);
        check_end(&s, s_before);
        ccz_ratls_free(c.r);
        ccz_ratls_free(s.r);
        c.r = s.r = NULL;
        ERR_clear_error();
        all = k;
    }
    CHECK(all > 10); /* some were ours */
    close_end(&c);
    close_end(&s);
}

static void test_adopted(void)
{
    struct toy toy = {0};
    SSL_CTX *ctx[2];
    bool ready = false, failed_one = true;
    long all = 0;
    for (int i = 0; i < 2; i++) {
        const struct ccz_ratls_cfg cfg = {.profile = CCZ_RATLS_HANDSHAKE,
                                          .server = i,
                                          .now_s = RATLS_NOW,
                                          .attest = toy_attest,
                                          .attest_arg = &toy,
                                          .appraise = toy_appraise,
                                          .appraise_arg = &toy};
        ctx[i] = SSL_CTX_new(TLS_method());
        CHECK(ccz_ratls_setup_ssl_ctx(ctx[i], &cfg, NULL) == CCZ_OK);
    }
    for (long k = 0; failed_one; k++) {
        BIO *at_c, *at_s;
        SSL *c = SSL_new(ctx[0]), *s = SSL_new(ctx[1]);
        CHECK(c && s && BIO_new_bio_pair(&at_c, 1 << 17, &at_s, 1 << 17) == 1);
        SSL_set_bio(c, at_c, at_c);
        SSL_set_bio(s, at_s, at_s);
        SSL_set_connect_state(c);
        SSL_set_accept_state(s);
        toy.appraised = 0;
        nomem_left = k;
        for (int i = 0; i < 5; i++) {
            (void)SSL_do_handshake(c);
            (void)SSL_do_handshake(s);
        }
        failed_one = nomem_left < 0;
        nomem_left = -1;
        const struct ccz_ratls_peer *of_c = ccz_ratls_ssl_peer(c), *of_s = ccz_ratls_ssl_peer(s);
        CHECK(!of_c || (of_c->attested && of_c->fresh));
        CHECK(!of_s || (of_s->attested && of_s->fresh));
        CHECK(!!of_c + !!of_s <= (int)toy.appraised);
        ready = of_c && of_s;
        CHECK(ready || failed_one); /* without one OpenSSL may come through */
        SSL_free(c);
        SSL_free(s);
        ERR_clear_error();
        all = k;
    }
    CHECK(all > 5);
    SSL_CTX_free(ctx[0]);
    SSL_CTX_free(ctx[1]);
}

static int accept_any(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    return 1;
}

struct watched {
    struct ccz_ratls_watch *watch;
    SSL_CTX *ctx; /* of a library that lets everybody pass */
    unsigned accepted;
};

static void on_accepted(void *arg, struct ccz_span der, const struct ccz_ratls_peer *peer)
{
    struct watched *w = arg;
    (void)der;
    w->accepted += peer->attested;
}

static void on_refused(void *arg, const struct ccz_err *why)
{
    (void)arg, (void)why;
}

static void watch_open(struct watched *w, bool server, struct toy *toy)
{
    static const struct ccz_ratls_watch_ops ops = {.accepted = on_accepted, .refused = on_refused};
    const struct ccz_ratls_cfg cfg = {.profile = CCZ_RATLS_HANDSHAKE,
                                      .server = server,
                                      .now_s = RATLS_NOW,
                                      .attest = toy_attest,
                                      .attest_arg = toy,
                                      .appraise = toy_appraise,
                                      .appraise_arg = toy};
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_secret) pkcs8 = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    w->accepted = 0;
    CHECK(ccz_ratls_watch_new(&w->watch, &der, &key, &cfg, &ops, w, NULL) == CCZ_OK);
    CHECK(ccz_key_to_pkcs8(&pkcs8, key) == CCZ_OK);
    const unsigned char *p = ccz_secret_view(pkcs8);
    EVP_PKEY *pair = d2i_AutoPrivateKey(NULL, &p, (long)ccz_secret_size(pkcs8));
    w->ctx = SSL_CTX_new(TLS_method());
    CHECK(w->ctx && SSL_CTX_use_certificate_ASN1(w->ctx, (int)der.size, der.ptr) == 1);
    CHECK(pair && SSL_CTX_use_PrivateKey(w->ctx, pair) == 1);
    EVP_PKEY_free(pair);
    SSL_CTX_set_verify(w->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(w->ctx, accept_any, NULL);
}

static void watch_close(struct watched *w)
{
    SSL_CTX_free(w->ctx);
    ccz_ratls_watch_free(w->watch);
}

/* A connection between the two; how it ended, on each side, is in @p done. */
static void watch_shake(int done[2], SSL *const ssl[2])
{
    BIO *at_c, *at_s;
    CHECK(ssl[0] && ssl[1] && BIO_new_bio_pair(&at_c, 1 << 17, &at_s, 1 << 17) == 1);
    SSL_set_bio(ssl[0], at_c, at_c);
    SSL_set_bio(ssl[1], at_s, at_s);
    SSL_set_connect_state(ssl[0]);
    SSL_set_accept_state(ssl[1]);
    for (int i = 0; i < 10; i++)
        done[i % 2] = SSL_do_handshake(ssl[i % 2]);
    ERR_clear_error();
}

/* The first two connections of the SSL_CTX of @p mine, the first one made with the k-th allocation failing. */
static bool watch_two(struct watched w[2], int mine, long k, unsigned *unusable)
{
    bool failed_one = true, judges = w[!mine].watch != NULL;
    for (int n = 0; n < 2; n++) {
        SSL *ssl[2];
        int done[2];
        w[0].accepted = w[1].accepted = 0;
        nomem_left = n == 0 ? k : -1;
        ssl[mine] = SSL_new(w[mine].ctx);
        failed_one = n == 0 ? nomem_left < 0 : failed_one;
        nomem_left = -1;
        ERR_clear_error();
        if (!ssl[mine]) /* OpenSSL needed it */
            continue;
        ssl[!mine] = SSL_new(w[!mine].ctx);
        watch_shake(done, ssl);
        CHECK(done[mine] != 1 || w[mine].accepted == 1);
        CHECK(failed_one || (done[mine] == 1) == judges);
        *unusable += judges && done[mine] != 1;
        SSL_free(ssl[0]);
        SSL_free(ssl[1]);
    }
    return failed_one;
}

/* An allocation fails that our settings in a library's SSL_CTX need: who is connected was judged. The peer is another one
 * with evidence, or has none and asks for none. */
static void test_watched(void)
{
    struct toy toy = {0};
    unsigned unusable = 0;
    for (int how = 0; how < 4; how++) {
        int mine = how & 1;
        bool failed_one = true;
        for (long k = 0; failed_one; k++) {
            struct watched w[2];
            watch_open(&w[0], false, &toy);
            watch_open(&w[1], true, &toy);
            if (how & 2) { /* its SSL_CTX is nobody's any more */
                ccz_ratls_watch_free(w[!mine].watch);
                w[!mine].watch = NULL;
            }
            failed_one = watch_two(w, mine, k, &unusable);
            watch_close(&w[0]);
            watch_close(&w[1]);
        }
    }
    CHECK(unusable > 0); /* some were ours */
}

static const struct ccz_test tests[] = {
    {"ratls.handshake_nomem", test_engine},
    {"ratls.handshake_nomem_adopted", test_adopted},
    {"ratls.handshake_nomem_watched", test_watched},
};

int main(int argc, char **argv)
{
    CHECK(nomem_openssl());
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
