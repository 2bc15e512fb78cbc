/* SPDX-License-Identifier: Apache-2.0 */
/* Secret provisioning over the loopback: a KMS in memory behind it, clients that are nothing but OpenSSL before it. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"
#include "kmsdoor/prov.h"
#include "prov_client.h"
#include "temp_dir.h"

#include <cczoo/kms_prov.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

static struct ccz_err err;
static const uint8_t aa[32] = {0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
                               0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
                               0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa};

/* ------------------------------------------------------------------------------- server */

/* Report data and measurement; whose first byte is 0xff are not genuine. */
static ccz_rc toy_appraise(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                           struct ccz_err *e)
{
    (void)arg;
    if (quote.size != 96 || quote.ptr[64] == 0xff)
        return ccz_fail(e, CCZ_E_SIG, "toy:quote", 0, "not genuine");
    *claims = fix_peer(FIX_WORKLOAD).claims;
    memcpy(claims->report_data, quote.ptr, 64);
    memcpy(claims->mrenclave, quote.ptr + 64, 32);
    return CCZ_OK;
}

static _Atomic bool held;  /* the worker of the KMS stands still */
static _Atomic int stands; /* how often it did */

static int64_t fixed_now(void *arg)
{
    (void)arg;
    stands += held;
    while (held)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return FIX_NOW;
}

struct world {
    char cert[300], key[300], map[300];
    EVP_PKEY *root_key, *server_key;
    X509 *root;
    struct ccz_kms_store *store;
    struct ccz_kms_service *service;
    struct ccz_kms_prov *prov;
    uint16_t port;
};

static void write_text(const char *path, const char *text, unsigned mode)
{
    CHECK(ccz_file_write(path, ccz_span_str(text), mode, CCZ_FILE_REPLACE, &err) == CCZ_OK);
}

static X509 *server_cert(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, bool ca)
{
    X509 *x = X509_new();
    static long serial;
    CHECK(x && X509_set_version(x, X509_VERSION_3) == 1 && X509_set_pubkey(x, key) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(x), -60) &&
          X509_gmtime_adj(X509_getm_notAfter(x), 3600));
    X509_NAME *name = X509_get_subject_name(x);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0) ==
          1);
    CHECK(X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name) == 1);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
                                            ca ? "critical,CA:TRUE" : "CA:FALSE");
    CHECK(e && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
    CHECK(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    return x;
}

/* A certificate of the world's authority for "localhost", with a fresh key. */
static void write_identity(struct world *w)
{
    EVP_PKEY_free(w->server_key);
    w->server_key = pc_key("P-256");
    X509 *leaf = server_cert("localhost", w->server_key, w->root, w->root_key, false);
    FILE *f = fopen(w->cert, "w");
    CHECK(f && PEM_write_X509(f, leaf) == 1 && fclose(f) == 0);
    int fd = open(w->key, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    f = fdopen(fd, "w");
    CHECK(f && PEM_write_PKCS8PrivateKey(f, w->server_key, NULL, NULL, 0, NULL, NULL) == 1 &&
          fclose(f) == 0);
    X509_free(leaf);
}

/* What a program whose measurement is 32 times this byte gets, and how its item is. */
static const struct item {
    uint8_t measured;
    const char *kind, *name, *value, *metadata;
} items[] = {
    {0xaa, "secret", "open", "open sesame", "{\"doors\":[\"key-bound\"]}"},
    {0xbb, "secret", "closed", "fresh evidence only", NULL},
    {0xcc, "secret", "loose", NULL, NULL},   /* exists, bound to no policy */
    {0xdd, "secret", "nowhere", NULL, NULL}, /* there is none */
    {0xee, "key", "wrap", "0123456789abcdef", "{\"doors\":[\"key-bound\"]}"},
    {0x99, "secret", "open", NULL, NULL}, /* its policy accepts another program */
};
enum { ITEMS = sizeof(items) / sizeof(items[0]) };

static void put_hex(struct ccz_buf *b, uint8_t byte)
{
    for (int i = 0; i < 32; i++)
        ccz_buf_printf(b, "%02x", byte);
}

static void write_map(struct world *w, size_t len)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_buf_put_str(&b, "{\"version\":1,\"items\":[");
    for (size_t i = 0; i < len; i++) {
        ccz_buf_printf(&b, "%s{\"item\":\"%s/%s\",\"tee\":\"sgx\",\"mrenclave\":\"", i ? "," : "",
                       items[i].kind, items[i].name);
        put_hex(&b, items[i].measured);
        ccz_buf_put_str(&b, "\"}");
    }
    ccz_buf_put_str(&b, "]}");
    write_text(w->map, ccz_buf_str(&b), 0644);
}

/* With a policy of its own, for the one program. */
static void put_item(struct world *w, const struct item *it)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_buf_put_str(
        &b,
        "{\"version\":1,\"rules\":[{\"name\":\"it\",\"tee\":\"sgx\",\"sim\":true,\"mrenclave\":\"");
    put_hex(&b, it->measured);
    ccz_buf_put_str(&b, "\",\"tcb_status\":[\"UpToDate\"]}]}");
    char policy[32];
    (void)snprintf(policy, sizeof(policy), "for-%s", it->name);
    CHECK(fix_put_policy(w->store, policy, ccz_buf_str(&b), false, &err) == CCZ_OK);
    bool key = strcmp(it->kind, "key") == 0;
    struct cczi_msg_put_req m = {.name = fix_str(it->name),
                                 .value = fix_str(it->value),
                                 .alg = key ? fix_str("aes-128") : (struct ccz_span){0},
                                 .policy = fix_str(policy),
                                 .metadata = fix_str(it->metadata)};
    CHECK(fix_msg(NULL, w->store, FIX_ADMIN, key ? "CreateKey" : "PutSecret", cczi_msg_put_req, &m,
                  &err) == CCZ_OK);
}

static struct ccz_kms_prov_cfg cfg_of(const struct world *w)
{
    return (struct ccz_kms_prov_cfg){.service = w->service,
                                     .appraise = toy_appraise,
                                     .listen = "127.0.0.1:0",
                                     .cert_file = w->cert,
                                     .key_file = w->key,
                                     .map_file = w->map,
                                     .timeout_ms = 20000,
                                     .address_rate = CCZ_KMS_RATE_MAX};
}

static void serve_with(struct world *w, const struct ccz_kms_prov_cfg *cfg)
{
    if (ccz_kms_prov_start(&w->prov, cfg, &err) != CCZ_OK)
        fix_die(err.msg);
    w->port = ccz_kms_prov_port(w->prov);
}

static void build(struct world *w)
{
    *w = (struct world){0};
    (void)snprintf(w->cert, sizeof(w->cert), "%s", temp_path("cert.pem"));
    (void)snprintf(w->key, sizeof(w->key), "%s", temp_path("key.pem"));
    (void)snprintf(w->map, sizeof(w->map), "%s", temp_path("map.json"));
    w->root_key = pc_key("P-256");
    w->root = server_cert("root", w->root_key, NULL, w->root_key, true);
    write_identity(w);
    write_map(w, ITEMS);
    w->store = fix_memory_store();
    fix_populate(w->store);
    for (size_t i = 0; i < ITEMS; i++)
        if (items[i].value)
            put_item(w, &items[i]);
    const struct ccz_kms_service_cfg service = {
        .store = w->store, .clock = {fixed_now, NULL}, .info = {"test", "toy", true, FIX_NOW, 0}};
    CHECK(ccz_kms_service_new(&w->service, &service, &err) == CCZ_OK);
}

static void serve(struct world *w)
{
    build(w);
    const struct ccz_kms_prov_cfg cfg = cfg_of(w);
    serve_with(w, &cfg);
}

static void tear_down(struct world *w)
{
    ccz_kms_prov_free(w->prov);
    ccz_kms_service_free(w->service);
    ccz_kms_store_free(w->store);
    EVP_PKEY_free(w->root_key);
    EVP_PKEY_free(w->server_key);
    X509_free(w->root);
}

static struct ccz_kms_prov_stats stats(const struct world *w)
{
    struct ccz_kms_prov_stats s;
    ccz_kms_prov_stats(&s, w->prov);
    return s;
}

/* Counts are of another thread: they get there. */
#define WAIT_FOR(cond)                                                                             \
    do {                                                                                           \
        for (int tries_ = 0; !(cond) && tries_ < 20000; tries_++)                                  \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                               \
        CHECK(cond);                                                                               \
    } while (0)

/* ------------------------------------------------------------------------------ clients */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* What a program gets, as text; NULL = nothing. */
static const char *get_with(const struct world *w, int version, enum pc_ext ext, const char *kind,
                            uint8_t measured)
{
    static uint8_t out[70000];
    uint8_t measurement[32];
    memset(measurement, measured, sizeof(measurement));
    EVP_PKEY *key = pc_key(kind);
    X509 *cert = pc_cert(key, ext, NULL, measurement);
    int ret;
    struct pc c = pc_connect(&ret, w->port, version, w->root, cert, key);
    int n = ret == 1 ? pc_ask(&c, out, sizeof(out) - 1) : -1;
    pc_close(&c);
    X509_free(cert);
    EVP_PKEY_free(key);
    if (n < 0)
        return NULL;
    out[n] = 0;
    return (const char *)out;
}

static const char *get(const struct world *w, uint8_t measured)
{
    return get_with(w, TLS1_3_VERSION, PC_DICE, "P-384", measured);
}

/* Every generation of Gramine's clients: both versions, both kinds of keys, each extension. */
static void test_clients(void)
{
    static const char *const kinds[] = {"P-384", "P-256", "RSA"};
    struct world w;
    serve(&w);
    for (size_t v = 0; v < 2; v++)
        for (size_t k = 0; k < 3; k++)
            for (int ext = PC_LEGACY; ext <= PC_DICE; ext++) {
                const char *got = get_with(&w, versions[v], (enum pc_ext)ext, kinds[k], 0xaa);
                CHECK(got && strcmp(got, "open sesame") == 0);
            }
    WAIT_FOR(stats(&w).released == 18);
    struct ccz_kms_prov_stats s = stats(&w);
    CHECK(s.open == 0 && s.accepted == 18 && s.refused == 0 && s.dropped == 0);
    tear_down(&w);
}

/* Different programs get different items; sizes from one byte up to the largest. */
static void test_secrets(void)
{
    struct world w;
    build(&w);
    struct ccz_kms_prov_cfg cfg = cfg_of(&w);
    serve_with(&w, &cfg);
    const char *got = get(&w, 0xee);
    CHECK(got && strcmp(got, "0123456789abcdef") == 0);
    got = get(&w, 0xaa);
    CHECK(got && strcmp(got, "open sesame") == 0);
    ccz_kms_prov_free(w.prov);
    w.prov = NULL;
    ccz_kms_service_free(w.service);

    static const uint32_t sizes[] = {1, 4096, CCZ_KMS_VALUE_SIZE_MAX};
    for (size_t i = 0; i < 3; i++) {
        CCZ_AUTO_BUF value;
        ccz_buf_init(&value, CCZ_KMS_VALUE_SIZE_MAX);
        for (uint32_t k = 0; k < sizes[i]; k++)
            ccz_buf_u8(&value, (uint8_t)('a' + k % 23));
        struct cczi_msg_put_req m = {.name = fix_str("open"),
                                     .value = ccz_buf_span(&value),
                                     .new_version = true,
                                     .metadata = fix_str(items[0].metadata)};
        CHECK(fix_msg(NULL, w.store, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &m, &err) == CCZ_OK);
        const struct ccz_kms_service_cfg service = {.store = w.store,
                                                    .clock = {fixed_now, NULL},
                                                    .info = {"test", "toy", true, FIX_NOW, 0}};
        CHECK(ccz_kms_service_new(&w.service, &service, &err) == CCZ_OK);
        cfg.service = w.service;
        serve_with(&w, &cfg);
        for (size_t v = 0; v < 2; v++) {
            got = get_with(&w, versions[v], PC_LEGACY, "P-384", 0xaa);
            CHECK(got && strlen(got) == sizes[i] && memcmp(got, value.ptr, sizes[i]) == 0);
        }
        ccz_kms_prov_free(w.prov);
        w.prov = NULL;
        ccz_kms_service_free(w.service);
    }
    w.service = NULL;
    tear_down(&w);
}

/* No certificate, none with evidence, evidence that is not genuine, of another key, or of a key that is not there. */
static void test_refused_evidence(void)
{
    struct world w;
    serve(&w);
    uint64_t refused = 0;
    for (size_t v = 0; v < 2; v++) {
        uint8_t out[64];
        int ret;
        struct pc c = pc_connect(&ret, w.port, versions[v], w.root, NULL, NULL);
        CHECK(ret != 1 || pc_ask(&c, out, sizeof(out)) < 0);
        pc_close(&c);
        CHECK(!get_with(&w, versions[v], PC_NO_EVIDENCE, "P-384", 0xaa));
        CHECK(!get_with(&w, versions[v], PC_DICE, "P-384", 0xff));
        for (int ext = PC_LEGACY; ext <= PC_DICE; ext++) {
            EVP_PKEY *key = pc_key("P-384"), *other = pc_key("P-384");
            X509 *cert = pc_cert(key, (enum pc_ext)ext, other, aa);
            c = pc_connect(&ret, w.port, versions[v], w.root, cert, key);
            CHECK(ret != 1 || pc_ask(&c, out, sizeof(out)) < 0);
            pc_close(&c);
            X509_free(cert);
            EVP_PKEY_free(key);
            EVP_PKEY_free(other);
        }
        refused += 6;
        WAIT_FOR(stats(&w).refused == refused);
    }
    CHECK(stats(&w).released == 0);
    const char *got = get(&w, 0xaa);
    CHECK(got && strcmp(got, "open sesame") == 0);
    tear_down(&w);
}

/* Sends @p bytes instead of a request, and perhaps says no more. @return what came before the end, -1 without close_notify */
static int say(const struct world *w, int version, const void *bytes, int size, bool end)
{
    uint8_t out[4096];
    EVP_PKEY *key = pc_key("P-384");
    X509 *cert = pc_cert(key, PC_LEGACY, NULL, aa);
    int ret;
    struct pc c = pc_connect(&ret, w->port, version, w->root, cert, key);
    CHECK(ret == 1 && (size == 0 || SSL_write(c.ssl, bytes, size) == size));
    if (end)
        CHECK(SSL_shutdown(c.ssl) >= 0);
    int n = pc_read_all(&c, out, sizeof(out));
    pc_close(&c);
    X509_free(cert);
    EVP_PKEY_free(key);
    return n;
}

static void test_refused_request(void)
{
    static const char wrong_version[] = "SECRET_PROVISION_RA_TLS_REQUEST_V2";
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct world w;
    serve(&w);
    uint64_t refused = 0;
    for (size_t v = 0; v < 2; v++) {
        CHECK(say(&w, versions[v], http, sizeof(http) - 1, false) == 0);
        CHECK(say(&w, versions[v], wrong_version, sizeof(wrong_version), false) == 0);
        /* a space where the NUL has to be; and a request that ends before it */
        CHECK(say(&w, versions[v], "SECRET_PROVISION_RA_TLS_REQUEST_V1 ", 35, false) == 0);
        CHECK(say(&w, versions[v], pc_request, 34, true) <= 0);
        CHECK(say(&w, versions[v], "", 0, true) <= 0);
        refused += 5;
        WAIT_FOR(stats(&w).refused == refused);
    }
    CHECK(stats(&w).released == 0);
    /* bytes behind it belong to the client's own protocol, which ends here */
    CHECK(say(&w, TLS1_3_VERSION, "SECRET_PROVISION_RA_TLS_REQUEST_V1\0and more", 44, false) ==
          41 + 11);
    tear_down(&w);
}

/* By the map, by the item's policy, because it is not open, unbound, or not there. Nothing comes, and the KMS has it on record. */
static void test_refused_item(void)
{
    struct world w;
    serve(&w);
    static const uint8_t refused[] = {0xbb, 0xcc, 0xdd, 0x99, 0x77};
    for (size_t i = 0; i < sizeof(refused); i++) {
        CHECK(!get(&w, refused[i]));
        WAIT_FOR(stats(&w).refused == i + 1);
    }
    for (size_t i = 0; i < 32; i++) { /* nearly the right program */
        uint8_t near[32];
        memcpy(near, aa, sizeof(near));
        near[i] ^= 1;
        EVP_PKEY *key = pc_key("P-256");
        X509 *cert = pc_cert(key, PC_DICE, NULL, near);
        uint8_t out[64];
        int ret;
        struct pc c = pc_connect(&ret, w.port, TLS1_3_VERSION, w.root, cert, key);
        CHECK(ret == 1 && pc_ask(&c, out, sizeof(out)) < 0);
        pc_close(&c);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    WAIT_FOR(stats(&w).refused == sizeof(refused) + 32);
    CHECK(stats(&w).released == 0);
    ccz_kms_prov_free(w.prov);
    w.prov = NULL;
    ccz_kms_service_free(w.service); /* the store is ours again */
    w.service = NULL;
    static const char *const wheres[] = {"kms:evidence-stale", "kms:unbound", "kms:not-found",
                                         "policy:mrenclave"};
    CCZ_AUTO_BUF lines;
    ccz_buf_init(&lines, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_audit_req m = {w.store->head.seq - 4, 4};
    CHECK(fix_msg(&lines, w.store, FIX_ADMIN, "AuditTail", cczi_msg_audit_req, &m, &err) == CCZ_OK);
    for (size_t i = 0; i < 4; i++)
        CHECK(memmem(lines.ptr, lines.size, wheres[i], strlen(wheres[i])));
    tear_down(&w);
}

/* Clients that go away at every point; the next one is served. */
static void test_early_ends(void)
{
    struct world w;
    serve(&w);
    uint64_t ended = 0;
    for (int i = 0; i < 3; i++) {
        close(pc_socket(w.port)); /* before the first byte */
        int fd = pc_socket(w.port);
        CHECK(write(fd, "\x16\x03\x01\x02", 4) == 4); /* in the middle of ClientHello */
        struct linger now = {1, 0};
        CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
        close(fd); /* with a reset */
        EVP_PKEY *key = pc_key("P-384");
        X509 *cert = pc_cert(key, PC_LEGACY, NULL, aa);
        int ret;
        struct pc c = pc_connect(&ret, w.port, TLS1_2_VERSION, w.root, cert, key);
        CHECK(ret == 1 && SSL_write(c.ssl, pc_request, 20) == 20);
        pc_close(&c); /* in the middle of the request, without close_notify */
        X509_free(cert);
        EVP_PKEY_free(key);
        ended += 3;
        WAIT_FOR(stats(&w).dropped + stats(&w).refused == ended && stats(&w).open == 0);
    }
    const char *got = get(&w, 0xaa);
    CHECK(got && strcmp(got, "open sesame") == 0);
    tear_down(&w);
}

/* ------------------------------------------------------------------------ slow and many */

/* Everything a client sends goes through here byte by byte, with a pause. */
struct trickle {
    int plain[2];
    int to;
    pthread_t up, down;
};

static void *trickle_up(void *arg)
{
    struct trickle *t = arg;
    uint8_t byte;
    while (read(t->plain[1], &byte, 1) == 1 && write(t->to, &byte, 1) == 1)
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    (void)shutdown(t->to, SHUT_WR);
    return NULL;
}

static void *trickle_down(void *arg)
{
    struct trickle *t = arg;
    uint8_t bytes[4096];
    for (ssize_t n; (n = read(t->to, bytes, sizeof(bytes))) > 0;)
        CHECK(write(t->plain[1], bytes, (size_t)n) == n);
    (void)shutdown(t->plain[1], SHUT_WR);
    return NULL;
}

static void test_slow(void)
{
    struct world w;
    serve(&w);
    for (size_t v = 0; v < 2; v++) {
        struct trickle t = {.to = pc_socket(w.port)};
        int on = 1;
        CHECK(setsockopt(t.to, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof(on)) == 0);
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, t.plain) == 0);
        CHECK(pthread_create(&t.up, NULL, trickle_up, &t) == 0 &&
              pthread_create(&t.down, NULL, trickle_down, &t) == 0);
        EVP_PKEY *key = pc_key("P-384");
        X509 *cert = pc_cert(key, PC_DICE, NULL, aa);
        struct pc c = {.ctx = SSL_CTX_new(TLS_client_method()), .fd = t.plain[0]};
        CHECK(SSL_CTX_set_max_proto_version(c.ctx, versions[v]) == 1);
        CHECK(SSL_CTX_use_certificate(c.ctx, cert) == 1 && SSL_CTX_use_PrivateKey(c.ctx, key) == 1);
        c.ssl = SSL_new(c.ctx);
        uint8_t out[64];
        CHECK(SSL_set_fd(c.ssl, c.fd) == 1 && SSL_connect(c.ssl) == 1);
        CHECK(pc_ask(&c, out, sizeof(out)) == 11 && memcmp(out, "open sesame", 11) == 0);
        pc_close(&c);
        CHECK(pthread_join(t.up, NULL) == 0 && pthread_join(t.down, NULL) == 0);
        close(t.to);
        close(t.plain[1]);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    /* too slow: the time counts from the connection, not from the last byte */
    ccz_kms_prov_free(w.prov);
    struct ccz_kms_prov_cfg cfg = cfg_of(&w);
    cfg.timeout_ms = 300;
    serve_with(&w, &cfg);
    int fd = pc_socket(w.port);
    static const uint8_t hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc};
    size_t sent = 0;
    int64_t until = ccz_mono_ms() + 20000;
    while (stats(&w).dropped == 0 && ccz_mono_ms() < until) {
        /* one more of its 512 bytes each time, to the end: silence is not what ends it */
        const uint8_t next = sent < sizeof(hello) ? hello[sent] : 0;
        sent += send(fd, &next, 1, MSG_NOSIGNAL) == 1;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    CHECK(stats(&w).dropped == 1);
    uint8_t byte;
    CHECK(read(fd, &byte, 1) <= 0);
    close(fd);
    tear_down(&w);
}

/* A thousand silent connections take room from each other alone, and one that talks is served between them. */
static void test_crowd(void)
{
    enum { CROWD = 1000 };
    struct rlimit files = {4096, 4096};
    (void)setrlimit(RLIMIT_NOFILE, &files); /* lowers a hard limit, where there is room */
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    if (files.rlim_cur < 2 * CROWD + 100) {
        files.rlim_cur = files.rlim_max;
        CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    }
    struct world w;
    build(&w);
    struct ccz_kms_prov_cfg cfg = cfg_of(&w);
    cfg.connections_max = 128;
    cfg.per_address_max = 128;
    serve_with(&w, &cfg);
    static int fds[CROWD];
    for (size_t i = 0; i < CROWD; i++) {
        fds[i] = pc_socket(w.port);
        if (i % 250 == 249) {
            const char *got = get(&w, 0xaa);
            CHECK(got && strcmp(got, "open sesame") == 0);
        }
    }
    WAIT_FOR(stats(&w).accepted == CROWD + 4 && stats(&w).open <= 128);
    struct ccz_kms_prov_stats s = stats(&w);
    CHECK(s.released == 4 && s.dropped >= CROWD - 128 && s.refused == 0);
    for (size_t i = 0; i < CROWD; i++)
        close(fds[i]);
    ccz_kms_prov_free(w.prov);

    /* one address has its share, and gives of its own */
    cfg.per_address_max = 4;
    serve_with(&w, &cfg);
    for (size_t i = 0; i < 10; i++)
        fds[i] = pc_socket(w.port);
    WAIT_FOR(stats(&w).accepted == 10 && stats(&w).open == 4 && stats(&w).dropped == 6);
    for (size_t i = 0; i < 10; i++)
        close(fds[i]);
    ccz_kms_prov_free(w.prov);

    /* and so have all of them together */
    cfg.connections_max = 8;
    cfg.per_address_max = 1000;
    serve_with(&w, &cfg);
    for (size_t i = 0; i < 10; i++)
        fds[i] = pc_socket(w.port);
    WAIT_FOR(stats(&w).accepted == 10 && stats(&w).open == 8 && stats(&w).dropped == 2);
    const char *got = get(&w, 0xaa);
    CHECK(got && strcmp(got, "open sesame") == 0);
    for (size_t i = 0; i < 10; i++)
        close(fds[i]);
    tear_down(&w);
}

/* Who has one address of a /64 has them all. */
static void test_addresses(void)
{
    static const struct {
        const char *a, *b;
        bool same;
    } t[] = {
        {"10.0.0.1:1", "10.0.0.1:2", true},
        {"10.0.0.1:1", "10.0.0.2:1", false},
        {"10.0.0.1:1", "[::ffff:10.0.0.1]:2", true},
        {"[2001:db8:1:2::1]:1", "[2001:db8:1:2::1]:2", true},
        {"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:9", true},
        {"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        CHECK(cczi_prov_same_client(t[i].a, t[i].b) == t[i].same);
}

enum { FAST = 60, BURST = 3 };

/* So many connections at once from 127.0.0.@p host, the last of which are from the hosts behind it, one each. */
static void come(int fds[FAST], const struct world *w, uint8_t host, size_t others)
{
    for (size_t i = 0; i < FAST; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(w->port)}, from = to;
        size_t behind = i + others < FAST ? 0 : i + others + 1 - FAST;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        from.sin_addr.s_addr = htonl(0x7f000000 + host + (uint32_t)behind);
        from.sin_port = 0;
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fds[i] >= 0 && bind(fds[i], (struct sockaddr *)&from, sizeof(from)) == 0);
        CHECK(connect(fds[i], (struct sockaddr *)&to, sizeof(to)) == 0);
    }
}

static void go(const int fds[FAST])
{
    for (size_t i = 0; i < FAST; i++)
        close(fds[i]);
}

/* Who connects faster than a client does is turned away before the handshake, and nobody else. */
static void test_rates(void)
{
    struct world w;
    int fds[FAST];
    build(&w);
    struct ccz_kms_prov_cfg cfg = cfg_of(&w);
    cfg.address_rate = 1;
    cfg.address_burst = BURST;
    cfg.connections_max = cfg.per_address_max = 1000;
    serve_with(&w, &cfg);
    int64_t from_ms = ccz_mono_ms();
    come(fds, &w, 1, 10);
    WAIT_FOR(stats(&w).open + stats(&w).rate_address == FAST);
    uint64_t may = BURST + 1 + (uint64_t)(ccz_mono_ms() - from_ms) / 1000;
    struct ccz_kms_prov_stats s = stats(&w);
    CHECK(s.accepted == FAST && s.dropped == 0 && s.rate_total == 0);
    CHECK(s.open >= BURST + 10 && s.open <= may + 10); /* ten of other addresses */
    CCZ_AUTO_BUF text;
    char line[80];
    ccz_buf_init(&text, 4096);
    ccz_kms_prov_metrics(w.prov, &text);
    (void)snprintf(line, sizeof(line), "cczoo_kms_prov_refused_total{reason=\"rate_address\"} %u\n",
                   (unsigned)s.rate_address);
    CHECK(strstr(ccz_buf_str(&text), line));
    CHECK(strstr(ccz_buf_str(&text), "\ncczoo_kms_prov_connections_total 60\n"));
    go(fds);
    ccz_kms_prov_free(w.prov);

    cfg.address_rate = CCZ_KMS_RATE_MAX; /* and all together */
    cfg.address_burst = 0;
    cfg.total_rate = 1;
    cfg.total_burst = BURST;
    serve_with(&w, &cfg);
    from_ms = ccz_mono_ms();
    come(fds, &w, 1, FAST);
    WAIT_FOR(stats(&w).open + stats(&w).rate_total == FAST);
    may = BURST + 1 + (uint64_t)(ccz_mono_ms() - from_ms) / 1000;
    s = stats(&w);
    CHECK(s.rate_address == 0 && s.open >= BURST && s.open <= may);
    go(fds);
    ccz_kms_prov_free(w.prov);

    cfg.total_rate = 4; /* a quarter of which is for those who were given something before */
    cfg.total_burst = 8;
    serve_with(&w, &cfg);
    pc_from = 100;
    CHECK(get(&w, 0xaa) != NULL);
    come(fds, &w, 1, FAST);
    WAIT_FOR(stats(&w).open + stats(&w).rate_total == FAST);
    CHECK(get(&w, 0xaa) != NULL && get(&w, 0xaa) != NULL);
    pc_from = 1;
    go(fds);
    ccz_kms_prov_free(w.prov);

    cfg.address_rate = 1; /* one workload, wherever it comes from */
    cfg.address_burst = FAST;
    cfg.total_rate = 0;
    serve_with(&w, &cfg);
    const char *got = "";
    for (size_t i = 0; i < FAST; i++)
        got = got ? get(&w, 0xaa) : NULL;
    CHECK(got && strcmp(got, "open sesame") == 0);
    pc_from = 2; /* another address, with a rate of its own */
    for (size_t i = 0; got && i < FAST; i++)
        got = get(&w, 0xaa);
    CHECK(!got && get(&w, 0xee) != NULL); /* another one is not affected */
    WAIT_FOR(stats(&w).rate_workload == 1);
    CHECK(stats(&w).refused == 1 && stats(&w).rate_address == 0);
    pc_from = 1;
    tear_down(&w);
}

static size_t open_files(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static atomic_uint lines;

static void count_lines(void *arg, enum ccz_log_level level, const char *module, const char *text)
{
    (void)arg;
    (void)level;
    (void)module;
    (void)text;
    atomic_fetch_add(&lines, 1);
}

/* Who was refused and stays is counted, and goes first; the log does not grow with them. */
static void test_refused_flood(void)
{
    enum { FLOOD = 1000 };
    struct world w;
    build(&w);
    struct ccz_kms_prov_cfg cfg = cfg_of(&w);
    cfg.connections_max = 32;
    cfg.per_address_max = 16;
    serve_with(&w, &cfg);
    static int fds[FLOOD];
    size_t before = open_files(), most = 0;
    ccz_log_install(count_lines, NULL, CCZ_LOG_INFO);
    for (size_t i = 0; i < FLOOD; i++) {
        fds[i] = pc_socket(w.port);
        CHECK(send(fds[i], "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
        if (i % 250 == 249) {
            const char *got = get(&w, 0xaa);
            CHECK(got && strcmp(got, "open sesame") == 0);
            WAIT_FOR(stats(&w).refused + stats(&w).dropped == i + 1);
            size_t now = open_files() - before - (i + 1);
            most = now > most ? now : most;
        }
    }
    ccz_log_install(NULL, NULL, CCZ_LOG_INFO);
    CHECK(most <= 16 + 16);
    CHECK(stats(&w).released == 4 && stats(&w).refused > 0);
    CHECK(atomic_load(&lines) < 200);
    for (size_t i = 0; i < FLOOD; i++)
        close(fds[i]);
    tear_down(&w);
}

static void *get_in_thread(void *arg)
{
    struct world *w = arg;
    const char *got = get(w, 0xaa);
    CHECK(got && strcmp(got, "open sesame") == 0);
    return NULL;
}

/* From now on a client that asks waits; `stands` says that one does. */
static void hold(void)
{
    stands = 0;
    held = true;
}

/* The KMS takes its time: others are refused their items by the map meanwhile, and who has asked gets it in the end. */
static void test_busy_kms(void)
{
    struct world w;
    serve(&w);
    hold();
    pthread_t asking;
    CHECK(pthread_create(&asking, NULL, get_in_thread, &w) == 0);
    WAIT_FOR(stands && stats(&w).accepted == 1 && stats(&w).open == 0);
    CHECK(!get(&w, 0x77));
    WAIT_FOR(stats(&w).refused == 1);
    CHECK(stats(&w).released == 0);
    held = false;
    CHECK(pthread_join(asking, NULL) == 0);
    WAIT_FOR(stats(&w).released == 1);
    ccz_kms_prov_free(w.prov);

    /* who waits for the KMS has a place of its address all the same */
    struct ccz_kms_prov_cfg cfg = cfg_of(&w);
    cfg.timeout_ms = 20000;
    cfg.per_address_max = 1;
    serve_with(&w, &cfg);
    hold();
    CHECK(pthread_create(&asking, NULL, get_in_thread, &w) == 0);
    WAIT_FOR(stands && stats(&w).accepted == 1 && stats(&w).open == 0);
    close(pc_socket(w.port));
    WAIT_FOR(stats(&w).accepted == 2 && stats(&w).dropped == 1);
    CHECK(stats(&w).open == 0);
    held = false;
    CHECK(pthread_join(asking, NULL) == 0);
    WAIT_FOR(stats(&w).released == 1);
    ccz_kms_prov_free(w.prov);

    /* longer than a client is kept for: it goes, its answer finds nobody */
    cfg = cfg_of(&w);
    cfg.timeout_ms = 400;
    serve_with(&w, &cfg);
    hold();
    CHECK(!get(&w, 0xaa));
    WAIT_FOR(stats(&w).dropped == 1);
    held = false;
    tear_down(&w);
}

static void *free_in_thread(void *arg)
{
    ccz_kms_prov_free(arg);
    return NULL;
}

/* The end of the server waits for the KMS, with clients in every state. */
static void test_stops(void)
{
    struct world w;
    serve(&w);
    int silent = pc_socket(w.port);
    hold();
    pthread_t asking, stopping;
    CHECK(pthread_create(&asking, NULL, get_in_thread, &w) == 0);
    WAIT_FOR(stands && stats(&w).accepted == 2 && stats(&w).open == 1);
    CHECK(pthread_create(&stopping, NULL, free_in_thread, w.prov) == 0);
    uint8_t byte;
    CHECK(read(silent, &byte, 1) <= 0); /* ended at once */
    held = false;
    CHECK(pthread_join(asking, NULL) == 0 && pthread_join(stopping, NULL) == 0);
    w.prov = NULL;
    close(silent);
    tear_down(&w);
}

/* Certificate, key and map for new connections, all or nothing. */
static void test_reload(void)
{
    struct world w;
    serve(&w);
    CHECK(get(&w, 0xee));
    write_identity(&w);
    write_map(&w, 1);
    CHECK(ccz_kms_prov_reload(w.prov, &err) == CCZ_OK);
    CHECK(get(&w, 0xaa) && !get(&w, 0xee));
    write_map(&w, ITEMS);
    write_text(w.cert, "damaged", 0644);
    CHECK(ccz_kms_prov_reload(w.prov, &err) == CCZ_E_FORMAT &&
          strcmp(err.where, "tls:chain-pem") == 0);
    CHECK(get(&w, 0xaa) && !get(&w, 0xee)); /* the map that goes with the old certificate */
    write_identity(&w);
    write_text(w.map, "{}", 0644);
    CHECK(ccz_kms_prov_reload(w.prov, &err) == CCZ_E_FORMAT && strcmp(err.where, "prov:map") == 0);
    CHECK(get(&w, 0xaa) && !get(&w, 0xee));
    write_map(&w, ITEMS);
    CHECK(chmod(w.key, 0640) == 0);
    CHECK(ccz_kms_prov_reload(w.prov, &err) == CCZ_E_DENIED &&
          strcmp(err.where, "file:permissions") == 0);
    CHECK(chmod(w.key, 0600) == 0 && ccz_kms_prov_reload(w.prov, &err) == CCZ_OK);
    CHECK(get(&w, 0xaa) && get(&w, 0xee));
    tear_down(&w);
}

static void check_cfg(const struct ccz_kms_prov_cfg *cfg, ccz_rc rc, const char *where)
{
    struct ccz_kms_prov *p = (void *)&err;
    ccz_rc got = ccz_kms_prov_start(&p, cfg, &err);
    if (got != rc || strcmp(err.where, where) != 0)
        fprintf(stderr, "%d %s: %s\n", got, err.where, err.msg);
    CHECK(got == rc && !p && strcmp(err.where, where) == 0);
}

static void test_config(void)
{
    struct world w;
    serve(&w);
    struct ccz_kms_prov_cfg cfg = cfg_of(&w);
    cfg.service = NULL;
    check_cfg(&cfg, CCZ_E_ARG, "prov:config");
    cfg = cfg_of(&w);
    cfg.appraise = NULL;
    check_cfg(&cfg, CCZ_E_ARG, "prov:config");
    cfg = cfg_of(&w);
    cfg.timeout_ms = -1;
    check_cfg(&cfg, CCZ_E_ARG, "prov:config");
    cfg = cfg_of(&w);
    cfg.address_rate = CCZ_KMS_RATE_MAX + 1;
    check_cfg(&cfg, CCZ_E_ARG, "prov:config");
    cfg = cfg_of(&w);
    cfg.total_rate = UINT32_MAX;
    check_cfg(&cfg, CCZ_E_ARG, "prov:config");
    cfg = cfg_of(&w);
    cfg.map_file = temp_path("none.json");
    check_cfg(&cfg, CCZ_E_NOT_FOUND, "file:read");
    cfg = cfg_of(&w);
    char taken[32];
    (void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", w.port);
    cfg.listen = taken;
    check_cfg(&cfg, CCZ_E_IO, "net:listen");
    tear_down(&w);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"prov.clients", test_clients},
        {"prov.secrets", test_secrets},
        {"prov.refused_evidence", test_refused_evidence},
        {"prov.refused_request", test_refused_request},
        {"prov.refused_item", test_refused_item},
        {"prov.early_ends", test_early_ends},
        {"prov.slow", test_slow},
        {"prov.crowd", test_crowd},
        {"prov.addresses", test_addresses},
        {"prov.rates", test_rates},
        {"prov.refused_flood", test_refused_flood},
        {"prov.busy_kms", test_busy_kms},
        {"prov.stops", test_stops},
        {"prov.reload", test_reload},
        {"prov.config", test_config},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
