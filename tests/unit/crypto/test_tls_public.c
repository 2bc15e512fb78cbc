/* SPDX-License-Identifier: Apache-2.0 */
/* Servers for clients of others: plain OpenSSL clients of both versions and kinds of keys, over memory. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "crypto/tls_web.h"
#include "tls_pair.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* ------------------------------------------------------------------------ certificates */

/* One RSA key per process: making it takes longer than all the rest. */
static EVP_PKEY *rsa_key;

static EVP_PKEY *new_key(const char *kind)
{
    if (strcmp(kind, "RSA") != 0) {
        EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
        CHECK(k);
        return k;
    }
    if (!rsa_key)
        rsa_key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072);
    CHECK(rsa_key && EVP_PKEY_up_ref(rsa_key) == 1);
    return rsa_key;
}

/* Signed by @p issuer; NULL = by itself. */
static X509 *new_cert(const char *cn, EVP_PKEY *key, const X509 *issuer, EVP_PKEY *issuer_key,
                      bool ca)
{
    static long serial;
    X509 *x = X509_new();
    CHECK(x && X509_set_version(x, X509_VERSION_3) == 1 && X509_set_pubkey(x, key) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(x), -60) &&
          X509_gmtime_adj(X509_getm_notAfter(x), 3600));
    X509_NAME *name = X509_get_subject_name(x);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0) ==
          1);
    CHECK(X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name) == 1);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
                                              ca ? "critical,CA:TRUE" : "CA:FALSE");
    CHECK(ext && X509_add_ext(x, ext, -1) == 1);
    X509_EXTENSION_free(ext);
    CHECK(X509_sign(x, issuer ? issuer_key : key, EVP_sha256()) > 0);
    return x;
}

/* A server of an authority: root -> middle -> "localhost". */
struct site {
    EVP_PKEY *root_key, *middle_key, *key;
    X509 *root, *middle, *leaf;
    struct ccz_buf chain_pem;
    struct ccz_secret *key_pem;
};

static struct ccz_secret *secret_of(BIO *bio)
{
    char *p;
    long size = BIO_get_mem_data(bio, &p);
    struct ccz_secret *s;
    CHECK(size > 0 && ccz_secret_new(&s, (size_t)size) == CCZ_OK);
    memcpy(ccz_secret_bytes(s), p, (size_t)size);
    BIO_free(bio);
    return s;
}

static struct ccz_secret *key_text(EVP_PKEY *key, const char *password)
{
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PKCS8PrivateKey(bio, key, password ? EVP_aes_128_cbc() : NULL, password,
                                        password ? (int)strlen(password) : 0, NULL, NULL) == 1);
    return secret_of(bio);
}

static void put_pem(struct ccz_buf *out, X509 *x)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    CHECK(PEM_write_bio_X509(bio, x) == 1);
    ccz_buf_put(out, p, (size_t)BIO_get_mem_data(bio, &p));
    BIO_free(bio);
}

static struct site new_site(const char *kind)
{
    struct site s = {.root_key = new_key("P-256"), .middle_key = new_key("P-256")};
    s.key = new_key(kind);
    s.root = new_cert("root", s.root_key, NULL, NULL, true);
    s.middle = new_cert("middle", s.middle_key, s.root, s.root_key, true);
    s.leaf = new_cert("localhost", s.key, s.middle, s.middle_key, false);
    ccz_buf_init(&s.chain_pem, 65536);
    put_pem(&s.chain_pem, s.leaf);
    put_pem(&s.chain_pem, s.middle);
    s.key_pem = key_text(s.key, NULL);
    return s;
}

static void free_site(struct site *s)
{
    EVP_PKEY_free(s->root_key);
    EVP_PKEY_free(s->middle_key);
    EVP_PKEY_free(s->key);
    X509_free(s->root);
    X509_free(s->middle);
    X509_free(s->leaf);
    ccz_buf_free(&s->chain_pem);
    ccz_secret_free(s->key_pem);
}

/* -------------------------------------------------------------------------------- ends */

static struct ccz_tls_public_cfg cfg_of(const struct site *s, enum ccz_tls_peer_cert peer,
                                        struct judge *j)
{
    return (struct ccz_tls_public_cfg){.chain_pem = ccz_buf_span(&s->chain_pem),
                                       .key_pem = s->key_pem,
                                       .peer_cert = peer,
                                       .verify = on_cert,
                                       .verify_arg = j};
}

static struct ccz_tls_ctx *new_public(const struct ccz_tls_public_cfg *cfg)
{
    struct ccz_tls_ctx *ctx = NULL;
    CHECK(ccz_tls_ctx_new_public(&ctx, cfg, &err) == CCZ_OK && ERR_peek_error() == 0);
    return ctx;
}

/* A stock client: trusts the root, wants "localhost". */
struct stock {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    int ret;
};

static struct stock new_stock(const struct site *s, int version)
{
    struct stock c = {.ctx = SSL_CTX_new(TLS_client_method())};
    CHECK(c.ctx && SSL_CTX_set_min_proto_version(c.ctx, version) == 1 &&
          SSL_CTX_set_max_proto_version(c.ctx, version) == 1);
    CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(c.ctx), s->root) == 1);
    SSL_CTX_set_verify(c.ctx, SSL_VERIFY_PEER, NULL);
    return c;
}

static void with_cert(struct stock *c, X509 *x, EVP_PKEY *key)
{
    CHECK(SSL_CTX_use_certificate(c->ctx, x) == 1 && SSL_CTX_use_PrivateKey(c->ctx, key) == 1);
}

static void free_stock(struct stock *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    ERR_clear_error();
}

/* Both ways once. */
static bool turn(struct stock *c, struct end *e)
{
    uint8_t bytes[32768];
    int n, moved = 0;
    while ((n = BIO_read(c->out, bytes, sizeof(bytes))) > 0) {
        CHECK(ccz_tls_feed(e->t, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK);
        moved += n;
    }
    ERR_clear_error();
    step(e);
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, WIRE_MAX);
    CHECK(ccz_tls_drain(&wire, e->t) == CCZ_OK);
    CHECK(wire.size == 0 || BIO_write(c->in, wire.ptr, (int)wire.size) == (int)wire.size);
    return moved > 0 || wire.size > 0;
}

static struct end talk(struct stock *c, struct ccz_tls_ctx *server)
{
    struct end e = {.rc = CCZ_OK};
    c->ssl = SSL_new(c->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    CHECK(c->ssl && c->in && c->out && SSL_set1_host(c->ssl, "localhost") == 1);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
    CHECK(ccz_tls_new(&e.t, server, NULL, NULL) == CCZ_OK);
    do {
        c->ret = SSL_do_handshake(c->ssl);
        ERR_clear_error();
    } while (turn(c, &e));
    return e;
}

static void check_data(struct stock *c, struct end *e)
{
    char got[8] = "";
    CHECK(SSL_write(c->ssl, "ping", 4) == 4);
    (void)turn(c, e);
    check_read(e->t, "ping", 4);
    CHECK(ccz_tls_write(e->t, ccz_span_str("pong"), &err) == CCZ_OK);
    (void)turn(c, e);
    CHECK(SSL_read(c->ssl, got, sizeof(got)) == 4 && memcmp(got, "pong", 4) == 0);
    ccz_tls_close(e->t);
    (void)turn(c, e);
    CHECK(SSL_read(c->ssl, got, sizeof(got)) == 0 &&
          SSL_get_error(c->ssl, 0) == SSL_ERROR_ZERO_RETURN);
    ERR_clear_error();
}

static void free_end(struct end *e)
{
    ccz_tls_free(e->t);
    e->t = NULL;
}

static void check_refused(struct end *e, ccz_rc rc, const char *where)
{
    if (e->rc != rc || strcmp(e->err.where, where) != 0)
        fprintf(stderr, "%d %s: %s\n", e->rc, e->err.where, e->err.msg);
    CHECK(e->rc == rc && strcmp(e->err.where, where) == 0 && !ccz_tls_ready(e->t));
    free_end(e);
}

/* ------------------------------------------------------------------------------- tests */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
static const char *const kinds[] = {"P-256", "P-384", "RSA"};

/* Each version, each kind of key on either side. */
static void test_public(void)
{
    for (size_t k = 0; k < 3; k++) {
        struct site s = new_site(kinds[k]);
        EVP_PKEY *key = new_key(kinds[2 - k]);
        X509 *cert = new_cert("client", key, NULL, NULL, false);
        uint8_t *der = NULL;
        int size = i2d_X509(cert, &der);
        CHECK(size > 0);
        struct judge j = new_judge();
        struct ccz_tls_public_cfg cfg = cfg_of(&s, CCZ_TLS_PEER_CERT_REQUIRED, &j);
        CCZ_AUTO(ccz_tls_ctx) server = new_public(&cfg);
        for (size_t v = 0; v < 2; v++) {
            struct stock c = new_stock(&s, versions[v]);
            with_cert(&c, cert, key);
            struct end e = talk(&c, server);
            CHECK(e.rc == CCZ_OK && ccz_tls_ready(e.t) && SSL_is_init_finished(c.ssl));
            CHECK(SSL_version(c.ssl) == versions[v] && SSL_get_verify_result(c.ssl) == X509_V_OK);
            CHECK(j.asked == v + 1 &&
                  ccz_span_eq(ccz_tls_peer_cert(e.t), CCZ_SPAN(der, (size_t)size)));
            check_data(&c, &e);
            free_end(&e);
            free_stock(&c);
        }
        OPENSSL_free(der);
        X509_free(cert);
        EVP_PKEY_free(key);
        free_site(&s);
        ccz_buf_free(&j.der);
    }
}

/* Who is asked for a certificate, who must show one, and who is judged. */
static void test_peer(void)
{
    struct site s = new_site("P-256");
    EVP_PKEY *key = new_key("P-384");
    X509 *cert = new_cert("client", key, NULL, NULL, false);
    for (size_t v = 0; v < 2; v++) {
        for (int peer = CCZ_TLS_PEER_CERT_NONE; peer <= CCZ_TLS_PEER_CERT_REQUIRED; peer++) {
            struct judge j = new_judge();
            struct ccz_tls_public_cfg cfg = cfg_of(&s, (enum ccz_tls_peer_cert)peer, &j);
            CCZ_AUTO(ccz_tls_ctx) server = new_public(&cfg);
            struct stock c = new_stock(&s, versions[v]);
            struct end e = talk(&c, server);
            CHECK(j.asked == 0);
            if (peer == CCZ_TLS_PEER_CERT_REQUIRED) {
                check_refused(&e, CCZ_E_PEER, "tls:no-peer-certificate");
            } else {
                CHECK(e.rc == CCZ_OK && ccz_tls_peer_cert(e.t).size == 0);
                check_data(&c, &e);
                free_end(&e);
            }
            free_stock(&c);

            c = new_stock(&s, versions[v]);
            with_cert(&c, cert, key);
            j.answer = CCZ_E_DENIED;
            j.where = "test:refused";
            e = talk(&c, server);
            CHECK(j.asked == (peer == CCZ_TLS_PEER_CERT_NONE ? 0 : 1));
            if (peer == CCZ_TLS_PEER_CERT_NONE)
                free_end(&e);
            else
                check_refused(&e, CCZ_E_DENIED, "test:refused");
            free_stock(&c);
            ccz_buf_free(&j.der);
        }
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    free_site(&s);
}

/* Old versions, and suites of TLS 1.2 without forward secrecy or AEAD. */
static void test_weak(void)
{
    static const char *const suites[] = {"AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256",
                                         "DHE-RSA-AES128-GCM-SHA256"};
    struct site s = new_site("RSA");
    struct judge j = new_judge();
    struct ccz_tls_public_cfg cfg = cfg_of(&s, CCZ_TLS_PEER_CERT_NONE, &j);
    CCZ_AUTO(ccz_tls_ctx) server = new_public(&cfg);
    struct stock c = new_stock(&s, TLS1_1_VERSION);
    SSL_CTX_set_security_level(c.ctx, 0);
    struct end e = talk(&c, server);
    check_refused(&e, CCZ_E_PEER, "tls:version");
    free_stock(&c);
    for (size_t i = 0; i < 3; i++) {
        c = new_stock(&s, TLS1_2_VERSION);
        CHECK(SSL_CTX_set_cipher_list(c.ctx, suites[i]) == 1);
        e = talk(&c, server);
        check_refused(&e, CCZ_E_PEER, "tls:no-common-cipher");
        free_stock(&c);
    }
    free_site(&s);
    ccz_buf_free(&j.der);
}

/* ------------------------------------------------------------------------- dear keys */

/* A key whose exponents have changed places: to sign costs its owner nothing, to verify costs a full exponentiation. */
static EVP_PKEY *swapped_key(void)
{
    static const char *const names[] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E,
                                        OSSL_PKEY_PARAM_RSA_D};
    BIGNUM *v[3] = {NULL};
    EVP_PKEY *from = new_key("RSA"), *key = NULL;
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    for (size_t i = 0; i < 3; i++)
        CHECK(EVP_PKEY_get_bn_param(from, names[i], &v[i]) == 1);
    CHECK(BN_num_bits(v[2]) > 3000 && OSSL_PARAM_BLD_push_BN(bld, names[0], v[0]) == 1 &&
          OSSL_PARAM_BLD_push_BN(bld, names[1], v[2]) == 1 &&
          OSSL_PARAM_BLD_push_BN(bld, names[2], v[1]) == 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    CHECK(params && EVP_PKEY_fromdata_init(ctx) == 1 &&
          EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    for (size_t i = 0; i < 3; i++)
        BN_clear_free(v[i]);
    EVP_PKEY_free(from);
    return key;
}

/* Refused before anything is verified with it: nobody was asked, and CertificateVerify, which is good, was not looked at. */
static void test_dear(void)
{
    struct site s = new_site("P-256");
    EVP_PKEY *key = swapped_key();
    X509 *cert = new_cert("client", key, NULL, NULL, false);
    struct judge j = new_judge();
    struct ccz_tls_public_cfg cfg = cfg_of(&s, CCZ_TLS_PEER_CERT_OPTIONAL, &j);
    CCZ_AUTO(ccz_tls_ctx) server = new_public(&cfg);
    for (size_t v = 0; v < 2; v++) {
        struct stock c = new_stock(&s, versions[v]);
        with_cert(&c, cert, key);
        struct end e = talk(&c, server);
        CHECK(j.asked == 0);
        check_refused(&e, CCZ_E_UNSUPPORTED, "tls:peer-rsa");
        free_stock(&c);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    free_site(&s);
    ccz_buf_free(&j.der);
}

/* @return the server's end of a handshake between a stock client and a server of tls_web.h, as far as it went */
static SSL *join_web(struct stock *c, struct cczi_web *web)
{
    c->ssl = SSL_new(c->ctx);
    SSL *end = cczi_web_conn(web, NULL, NULL);
    BIO *one = NULL, *other = NULL;
    CHECK(c->ssl && end && BIO_new_bio_pair(&one, 65536, &other, 65536) == 1 &&
          SSL_set1_host(c->ssl, "localhost") == 1);
    SSL_set_bio(c->ssl, one, one);
    SSL_set_bio(end, other, other);
    SSL_set_connect_state(c->ssl);
    for (int i = 0; i < 6; i++) {
        (void)SSL_do_handshake(c->ssl);
        (void)SSL_do_handshake(end);
        ERR_clear_error();
    }
    return end;
}

/* @return the alert that the client got, 0 = it is in; -1 = anything else */
static int at_web(struct cczi_web *web, const struct site *s, X509 *cert, EVP_PKEY *key)
{
    struct stock c = new_stock(s, TLS1_3_VERSION);
    uint8_t id[32], byte;
    with_cert(&c, cert, key);
    SSL *end = join_web(&c, web);
    int got = SSL_is_init_finished(end) && cczi_web_peer(id, end) == CCZ_OK ? 0 : -1;
    int n = SSL_read(c.ssl, &byte, 1);
    int reason = ERR_GET_REASON(ERR_peek_error());
    if (n <= 0 && reason > SSL_AD_REASON_OFFSET)
        got = reason - SSL_AD_REASON_OFFSET;
    SSL_free(end);
    free_stock(&c);
    return got;
}

static void test_dear_web(void)
{
    struct site s = new_site("P-256");
    EVP_PKEY *keys[] = {new_key("RSA"), swapped_key(), new_key("P-384")};
    static const int alerts[] = {0, SSL_AD_UNSUPPORTED_CERTIFICATE, 0};
    const struct cczi_web_cfg cfg = {
        .cert_pem = ccz_buf_span(&s.chain_pem), .key_pem = s.key_pem, .ask_client = true};
    CCZ_AUTO(cczi_web) web = NULL;
    CHECK(cczi_web_new(&web, &cfg, &err) == CCZ_OK);
    for (size_t i = 0; i < 3; i++) {
        X509 *cert = new_cert("client", keys[i], NULL, NULL, false);
        int got = at_web(web, &s, cert, keys[i]);
        if (got != alerts[i])
            fprintf(stderr, "key %zu: alert %d\n", i, got);
        CHECK(got == alerts[i]);
        X509_free(cert);
        EVP_PKEY_free(keys[i]);
    }
    free_site(&s);
}

/* A message of the peer is a turn: who sends only KeyUpdate does not keep the server in SSL_read(). */
static void test_turns_web(void)
{
    enum { UPDATES = 5 };
    struct site s = new_site("P-256");
    const struct cczi_web_cfg cfg = {.cert_pem = ccz_buf_span(&s.chain_pem), .key_pem = s.key_pem};
    CCZ_AUTO(cczi_web) web = NULL;
    CHECK(cczi_web_new(&web, &cfg, &err) == CCZ_OK);
    struct stock c = new_stock(&s, TLS1_3_VERSION);
    SSL *end = join_web(&c, web);
    CHECK(SSL_is_init_finished(end));
    for (int i = 0; i < UPDATES; i++)
        CHECK(SSL_key_update(c.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
              SSL_do_handshake(c.ssl) == 1);
    uint8_t byte = 7;
    CHECK(SSL_write(c.ssl, &byte, 1) == 1);
    byte = 0;
    for (int i = 0; i < UPDATES; i++) {
        int n = SSL_read(end, &byte, 1);
        CHECK(n < 0 && SSL_get_error(end, n) == SSL_ERROR_WANT_READ);
    }
    CHECK(SSL_read(end, &byte, 1) == 1 && byte == 7);
    SSL_free(end);
    free_stock(&c);
    free_site(&s);
}

/* The session of one connection, forced upon the next: the peer is judged again. And no renegotiation. */
static void test_again(void)
{
    struct site s = new_site("P-256");
    EVP_PKEY *key = new_key("P-256");
    X509 *cert = new_cert("client", key, NULL, NULL, false);
    struct judge j = new_judge();
    struct ccz_tls_public_cfg cfg = cfg_of(&s, CCZ_TLS_PEER_CERT_REQUIRED, &j);
    CCZ_AUTO(ccz_tls_ctx) server = new_public(&cfg);
    struct stock c = new_stock(&s, TLS1_2_VERSION);
    with_cert(&c, cert, key);
    struct end e = talk(&c, server);
    CHECK(e.rc == CCZ_OK && ccz_tls_ready(e.t));
    SSL_SESSION *mine = SSL_get1_session(c.ssl);
    CHECK(!SSL_SESSION_has_ticket(mine));
    CHECK(ccz_tls_rekey(e.t, &err) == CCZ_E_UNSUPPORTED && strcmp(err.where, "tls:rekey") == 0);
    CHECK(SSL_renegotiate(c.ssl) == 1);
    (void)SSL_do_handshake(c.ssl);
    ERR_clear_error();
    (void)turn(&c, &e);
    (void)SSL_do_handshake(c.ssl);
    ERR_clear_error();
    CHECK(j.asked == 1 && !SSL_is_init_finished(c.ssl));
    free_end(&e);
    SSL_free(c.ssl);

    e = (struct end){.rc = CCZ_OK};
    c.ssl = SSL_new(c.ctx);
    c.in = BIO_new(BIO_s_mem());
    c.out = BIO_new(BIO_s_mem());
    SSL_set_bio(c.ssl, c.in, c.out);
    SSL_set_connect_state(c.ssl);
    CHECK(SSL_set_session(c.ssl, mine) == 1 && SSL_set1_host(c.ssl, "localhost") == 1);
    CHECK(ccz_tls_new(&e.t, server, NULL, NULL) == CCZ_OK);
    do {
        c.ret = SSL_do_handshake(c.ssl);
        ERR_clear_error();
    } while (turn(&c, &e));
    CHECK(e.rc == CCZ_OK && ccz_tls_ready(e.t) && !SSL_session_reused(c.ssl) && j.asked == 2);
    free_end(&e);
    free_stock(&c);
    SSL_SESSION_free(mine);
    X509_free(cert);
    EVP_PKEY_free(key);
    free_site(&s);
    ccz_buf_free(&j.der);
}

static void check_cfg(const struct ccz_tls_public_cfg *cfg, ccz_rc rc, const char *where)
{
    struct ccz_tls_ctx *ctx = (struct ccz_tls_ctx *)cfg;
    ccz_rc got = ccz_tls_ctx_new_public(&ctx, cfg, &err);
    if (got != rc || strcmp(err.where, where) != 0)
        fprintf(stderr, "%d %s: %s\n", got, err.where, err.msg);
    CHECK(got == rc && !ctx && strcmp(err.where, where) == 0 && ERR_peek_error() == 0);
}

static void test_config(void)
{
    struct site s = new_site("P-256");
    struct judge j = new_judge();
    const struct ccz_tls_public_cfg good = cfg_of(&s, CCZ_TLS_PEER_CERT_REQUIRED, &j);
    struct ccz_tls_public_cfg cfg = good;
    cfg.chain_pem = (struct ccz_span){0};
    check_cfg(&cfg, CCZ_E_FORMAT, "tls:chain-pem");
    cfg.chain_pem = ccz_span_str("not a certificate\n");
    check_cfg(&cfg, CCZ_E_FORMAT, "tls:chain-pem");
    cfg.chain_pem =
        ccz_span_sub(good.chain_pem, 0, good.chain_pem.size - 40); /* the second is cut */
    check_cfg(&cfg, CCZ_E_FORMAT, "tls:chain-pem");
    CCZ_AUTO_BUF many;
    ccz_buf_init(&many, 1 << 20);
    for (int i = 0; i <= CCZ_TLS_CHAIN_LEN_MAX; i++)
        put_pem(&many, s.leaf);
    cfg.chain_pem = ccz_buf_span(&many);
    check_cfg(&cfg, CCZ_E_LIMIT, "tls:chain-pem");

    cfg = good;
    cfg.key_pem = NULL;
    check_cfg(&cfg, CCZ_E_FORMAT, "tls:key-pem");
    cfg.key_pem = key_text(s.key, "secret");
    check_cfg(&cfg, CCZ_E_FORMAT, "tls:key-pem");
    ccz_secret_free((struct ccz_secret *)cfg.key_pem);
    cfg.key_pem = key_text(s.middle_key, NULL);
    check_cfg(&cfg, CCZ_E_MISMATCH, "tls:identity-key");
    ccz_secret_free((struct ccz_secret *)cfg.key_pem);
    EVP_PKEY *rsa = new_key("RSA");
    cfg.key_pem = key_text(rsa, NULL); /* of another kind too */
    check_cfg(&cfg, CCZ_E_MISMATCH, "tls:identity-key");
    ccz_secret_free((struct ccz_secret *)cfg.key_pem);
    EVP_PKEY_free(rsa);

    cfg = good;
    cfg.verify = NULL;
    check_cfg(&cfg, CCZ_E_ARG, "tls:verify");
    static const char *const empty[] = {"", NULL};
    cfg = good;
    cfg.alpn = empty;
    check_cfg(&cfg, CCZ_E_ARG, "tls:alpn");
    free_site(&s);
    ccz_buf_free(&j.der);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"tls.public", test_public},        {"tls.public_peer", test_peer},
        {"tls.public_weak", test_weak},     {"tls.public_again", test_again},
        {"tls.public_config", test_config}, {"tls.public_dear", test_dear},
        {"tls.web_dear", test_dear_web},    {"tls.web_turns", test_turns_web},
    };
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    EVP_PKEY_free(rsa_key);
    return rc;
}
