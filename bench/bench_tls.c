/* SPDX-License-Identifier: Apache-2.0 */
/* TLS and ECDSA on one core:   taskset -c 1 bench_tls
 * One line per measurement, tab separated: name, rate per second of processor time (best of the
 * passes), unit.
 *
 * *-handshake        both ends of a full TLS 1.3 handshake, P-256 identities, X25519, in memory
 * *-handshake-openssl  the same with bare OpenSSL objects over a BIO pair and a hook that accepts:
 * what is left between the two is the engine's own cost record-*           one way, encrypt +
 * decrypt, 16 KiB records; small: messages of 64 bytes, each drained alone p256-*, p384-*     one
 * signature or verification; `once` includes making the key from its coordinates */
#define _DEFAULT_SOURCE
#include <cczoo/tls.h>

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PASSES = 5, WIRE_MAX = 1 << 26 };

static struct ccz_key *key;
static struct ccz_buf cert;

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_tls: %s failed\n", what);
        exit(1);
    }
}

static ccz_rc accept_all(void *arg, void *conn_arg, struct ccz_span der, struct ccz_err *err)
{
    (void)arg, (void)conn_arg, (void)der, (void)err;
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- engine */

static struct ccz_tls_ctx *new_ctx(bool server, bool mutual)
{
    struct ccz_tls_ctx *ctx;
    bool identity = server || mutual;
    struct ccz_tls_cfg cfg = {.server = server,
                              .cert_der = identity ? ccz_buf_span(&cert) : CCZ_SPAN(NULL, 0),
                              .key = identity ? key : NULL,
                              .require_peer_cert = mutual,
                              .verify = accept_all};
    must(ccz_tls_ctx_new(&ctx, &cfg, NULL) == CCZ_OK, "context");
    return ctx;
}

static void move(struct ccz_tls *to, struct ccz_tls *from, struct ccz_buf *wire)
{
    ccz_buf_clear(wire);
    must(ccz_tls_drain(wire, from) == CCZ_OK && ccz_tls_feed(to, ccz_buf_span(wire)) == CCZ_OK,
         "move");
}

struct pair {
    struct ccz_tls *client, *server;
    struct ccz_buf wire;
};

static struct pair connect_pair(struct ccz_tls_ctx *client, struct ccz_tls_ctx *server)
{
    struct pair p;
    ccz_buf_init(&p.wire, WIRE_MAX);
    must(ccz_tls_new(&p.client, client, NULL, "localhost") == CCZ_OK, "client");
    must(ccz_tls_new(&p.server, server, NULL, NULL) == CCZ_OK, "server");
    while (!ccz_tls_ready(p.client) || !ccz_tls_ready(p.server)) {
        must(ccz_tls_step(p.client, NULL) == CCZ_OK, "handshake");
        move(p.server, p.client, &p.wire);
        must(ccz_tls_step(p.server, NULL) == CCZ_OK, "handshake");
        move(p.client, p.server, &p.wire);
    }
    return p;
}

static void free_pair(struct pair *p)
{
    ccz_tls_free(p->client);
    ccz_tls_free(p->server);
    ccz_buf_free(&p->wire);
}

static struct ccz_tls_ctx *engine_client, *engine_server;

static void run_handshakes(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pair p = connect_pair(engine_client, engine_server);
        free_pair(&p);
    }
}

/* ---------------------------------------------------------------------------- bare OpenSSL */

static SSL_CTX *bare_client, *bare_server;

static int bare_accept(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    return 1;
}

static SSL_CTX *new_bare(bool server, bool mutual, EVP_PKEY *pkey)
{
    SSL_CTX *c = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    must(c && SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1, "bare context");
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
    must(SSL_CTX_set_num_tickets(c, 0) == 1 && SSL_CTX_set1_groups_list(c, "X25519") == 1 &&
             SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") == 1,
         "bare settings");
    if (server || mutual)
        must(SSL_CTX_use_certificate_ASN1(c, (int)cert.size, cert.ptr) == 1 &&
                 SSL_CTX_use_PrivateKey(c, pkey) == 1,
             "bare identity");
    if (!server || mutual)
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(c, bare_accept, NULL);
    return c;
}

static SSL *bare_c, *bare_s;

static void connect_bare(size_t wire_size)
{
    BIO *cb = NULL, *sb = NULL;
    bare_c = SSL_new(bare_client);
    bare_s = SSL_new(bare_server);
    must(bare_c && bare_s, "bare connection");
    must(BIO_new_bio_pair(&cb, wire_size, &sb, wire_size) == 1, "bare pair");
    SSL_set_bio(bare_c, cb, cb);
    SSL_set_bio(bare_s, sb, sb);
    SSL_set_connect_state(bare_c);
    SSL_set_accept_state(bare_s);
    while (!SSL_is_init_finished(bare_c) || !SSL_is_init_finished(bare_s)) {
        (void)SSL_do_handshake(bare_c);
        (void)SSL_do_handshake(bare_s);
    }
}

static void free_bare(void)
{
    SSL_free(bare_c);
    SSL_free(bare_s);
}

static void run_bare_handshakes(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        connect_bare(65536);
        free_bare();
    }
}

/* ----------------------------------------------------------------------------------- loads */

static struct pair conn;
static struct ccz_buf plain;
static uint8_t block[1 << 18];
static size_t message_size;

static void run_records(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        must(ccz_tls_write(conn.client, CCZ_SPAN(block, message_size), NULL) == CCZ_OK, "write");
        move(conn.server, conn.client, &conn.wire);
        ccz_buf_clear(&plain);
        must(ccz_tls_read(&plain, conn.server, NULL) == CCZ_OK && plain.size == message_size,
             "read");
    }
}

static void run_bare_records(size_t n)
{
    static uint8_t got[sizeof(block)];
    for (size_t i = 0; i < n; i++) {
        must(SSL_write(bare_c, block, (int)message_size) == (int)message_size, "bare write");
        size_t have = 0;
        while (have < message_size) {
            int r = SSL_read(bare_s, got + have, (int)(sizeof(got) - have));
            must(r > 0, "bare read");
            have += (size_t)r;
        }
    }
}

static struct ccz_key *ec_key;
static uint8_t ec_sig[96], ec_xy[96];
static size_t ec_size;
static struct ccz_span ec_msg;

static void run_sign(size_t n)
{
    for (size_t i = 0; i < n; i++)
        must(ccz_ecdsa_sign(ec_sig, ec_key, &ec_msg, 1) == CCZ_OK, "sign");
}

static void run_verify(size_t n)
{
    for (size_t i = 0; i < n; i++)
        must(ccz_ecdsa_verify(ec_key, ec_sig, ec_size, &ec_msg, 1) == CCZ_OK, "verify");
}

static void run_verify_once(size_t n)
{
    for (size_t i = 0; i < n; i++)
        must(ccz_ecdsa_verify_p256(ec_xy, ec_sig, ec_msg) == CCZ_OK, "verify once");
}

static void run_cert_parse(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CCZ_AUTO(ccz_cert) c = NULL;
        must(ccz_cert_parse(&c, ccz_buf_span(&cert), NULL) == CCZ_OK, "parse");
    }
}

/* Processor time: the figures are per core, whatever else the machine does. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void measure(const char *name, void (*run)(size_t), size_t n, double per_run,
                    const char *unit)
{
    int64_t best = INT64_MAX;
    for (int pass = 0; pass < PASSES; pass++) {
        int64_t t0 = cpu_ns();
        run(n);
        int64_t dt = cpu_ns() - t0;
        best = dt < best ? dt : best;
    }
    printf("%s\t%.1f\t%s\n", name, (double)n * per_run * 1e9 / (double)best, unit);
    fflush(stdout);
}

static void bench_handshakes(bool mutual, EVP_PKEY *pkey)
{
    engine_client = new_ctx(false, mutual);
    engine_server = new_ctx(true, mutual);
    bare_client = new_bare(false, mutual, pkey);
    bare_server = new_bare(true, mutual, pkey);
    measure(mutual ? "mutual-handshake" : "server-handshake", run_handshakes, 300, 1, "/s");
    measure(mutual ? "mutual-handshake-openssl" : "server-handshake-openssl", run_bare_handshakes,
            300, 1, "/s");
}

static void bench_records(void)
{
    static const struct {
        size_t size, n;
        const char *name, *bare;
    } loads[] = {
        {64, 100000, "record-64B", "record-64B-openssl"},
        {1024, 50000, "record-1KiB", "record-1KiB-openssl"},
        {16384, 10000, "record-16KiB", "record-16KiB-openssl"},
        {sizeof(block), 1000, "record-256KiB", "record-256KiB-openssl"},
    };
    conn = connect_pair(engine_client, engine_server);
    connect_bare(1 << 20);
    ccz_buf_init(&plain, WIRE_MAX);
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        message_size = loads[i].size;
        double mb = (double)message_size / 1e6;
        measure(loads[i].name, run_records, loads[i].n, mb, "MB/s");
        measure(loads[i].bare, run_bare_records, loads[i].n, mb, "MB/s");
    }
    free_pair(&conn);
    free_bare();
}

static void bench_ec(enum ccz_curve curve, size_t n)
{
    bool p256 = curve == CCZ_P256;
    must(ccz_key_generate(&ec_key, curve) == CCZ_OK && ccz_key_xy(ec_xy, ec_key) == CCZ_OK, "key");
    ec_size = p256 ? 64 : 96;
    ec_msg = CCZ_SPAN(block, 432); /* an SGX quote's header and report */
    measure(p256 ? "p256-sign" : "p384-sign", run_sign, n, 1, "/s");
    measure(p256 ? "p256-verify" : "p384-verify", run_verify, n, 1, "/s");
    if (p256)
        measure("p256-verify-once", run_verify_once, n, 1, "/s");
    ccz_key_free(ec_key);
}

/* Bare OpenSSL wants the private key as an EVP_PKEY. */
static EVP_PKEY *to_openssl(void)
{
    CCZ_AUTO(ccz_secret) der = NULL;
    must(ccz_key_to_pkcs8(&der, key) == CCZ_OK, "pkcs8");
    const uint8_t *p = ccz_secret_view(der);
    return d2i_AutoPrivateKey(NULL, &p, (long)ccz_secret_size(der));
}

int main(void)
{
    must(ccz_key_generate(&key, CCZ_P256) == CCZ_OK, "key");
    ccz_buf_init(&cert, CCZ_CERT_SIZE_MAX);
    must(ccz_cert_issue(
             &cert, &(struct ccz_cert_cfg){.cn = "bench", .key = key, .not_after_s = 4102444800},
             NULL) == CCZ_OK,
         "certificate");
    EVP_PKEY *pkey = to_openssl();
    bench_handshakes(false, pkey);
    bench_handshakes(true, pkey);
    bench_records();
    bench_ec(CCZ_P256, 3000);
    bench_ec(CCZ_P384, 200);
    measure("cert-parse", run_cert_parse, 20000, 1, "/s");
    return 0;
}
