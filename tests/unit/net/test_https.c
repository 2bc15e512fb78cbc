/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server behind TLS, with the TLS engine of module crypto on both sides. */
#define _GNU_SOURCE
#include "net_test.h"

#include <cczoo/tls.h>

struct site {
    struct ccz_loop *loop;
    struct ccz_http_server *http;
    struct ccz_tls_ctx *server, *client;
    struct ccz_key *key;
    struct ccz_buf cert;
    bool no_ssl; /* new_ssl() fails */
    int requests;
};

static ccz_rc accept_cert(void *arg, void *conn_arg, struct ccz_span peer, struct ccz_err *err)
{
    struct site *s = arg;
    (void)conn_arg;
    (void)err;
    return ccz_span_eq(peer, ccz_buf_span(&s->cert)) ? CCZ_OK : CCZ_E_UNTRUSTED;
}

static struct ssl_st *new_ssl(void *arg)
{
    struct site *s = arg;
    return s->no_ssl ? NULL : ccz_tls_native_new(s->server);
}

static void on_request(void *arg, struct ccz_http_req *req)
{
    struct site *s = arg;
    s->requests++;
    CHECK(ccz_http_ssl(req) != NULL);
    const struct ccz_http_answer a = {.status = 200, .body = ccz_http_body(req)};
    ccz_http_reply(req, &a);
}

static void site_open(struct site *s, bool no_ssl)
{
    struct ccz_err err;
    *s = (struct site){.no_ssl = no_ssl};
    ccz_buf_init(&s->cert, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_key_generate(&s->key, CCZ_P256) == CCZ_OK);
    const struct ccz_cert_cfg cert = {
        .cn = "x", .key = s->key, .not_before_s = 0, .not_after_s = INT64_C(4000000000)};
    CHECK(ccz_cert_issue(&s->cert, &cert, &err) == CCZ_OK);
    const struct ccz_tls_cfg server = {
        .server = true, .cert_der = ccz_buf_span(&s->cert), .key = s->key};
    const struct ccz_tls_cfg client = {.verify = accept_cert, .verify_arg = s};
    CHECK(ccz_tls_ctx_new(&s->server, &server, &err) == CCZ_OK);
    CHECK(ccz_tls_ctx_new(&s->client, &client, &err) == CCZ_OK);
    CHECK(ccz_loop_new(&s->loop, &err) == CCZ_OK);
    const struct ccz_http_server_cfg cfg = {.listen = "127.0.0.1:0",
                                            .on_request = on_request,
                                            .arg = s,
                                            .new_ssl = new_ssl,
                                            .ssl_arg = s,
                                            .idle_timeout_ms = 2000};
    CHECK(ccz_http_server_new(&s->http, s->loop, &cfg, &err) == CCZ_OK);
}

static void site_close(struct site *s)
{
    ccz_http_server_free(s->http);
    ccz_loop_free(s->loop);
    ccz_tls_ctx_free(s->server);
    ccz_tls_ctx_free(s->client);
    ccz_key_free(s->key);
    ccz_buf_free(&s->cert);
}

static void flush(int fd, struct ccz_tls *t)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 20);
    CHECK(ccz_tls_drain(&wire, t) == CCZ_OK);
    net_send_all(fd, wire.ptr, wire.size);
}

static bool feed(int fd, struct ccz_tls *t) /* false at the end of the stream */
{
    uint8_t buf[4096];
    ssize_t n = recv(fd, buf, sizeof(buf), 0);
    CHECK(n >= 0);
    return n > 0 && ccz_tls_feed(t, CCZ_SPAN(buf, (size_t)n)) == CCZ_OK;
}

/* A request that comes together with the end of the handshake, in one segment, is answered too. */
static void test_together(void)
{
    struct site s;
    struct ccz_err err;
    site_open(&s, false);
    pthread_t thread = net_start(s.loop);
    int fd = net_dial(ccz_http_server_port(s.http));
    CCZ_AUTO(ccz_tls) t = NULL;
    CHECK(ccz_tls_new(&t, s.client, NULL, NULL) == CCZ_OK);
    CHECK(ccz_tls_step(t, &err) == CCZ_OK);
    while (!ccz_tls_ready(t)) {
        flush(fd, t);
        CHECK(feed(fd, t) && ccz_tls_step(t, &err) == CCZ_OK);
    }
    const char request[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz";
    CHECK(ccz_tls_write(t, CCZ_SPAN(request, strlen(request)), &err) == CCZ_OK);
    flush(fd, t);
    CCZ_AUTO_BUF plain;
    ccz_buf_init(&plain, 1 << 16);
    while (!strstr(ccz_buf_str(&plain), "\r\n\r\nxyz"))
        CHECK(feed(fd, t) && ccz_tls_read(&plain, t, &err) == CCZ_OK);
    close(fd);
    net_join(s.loop, thread);
    CHECK(s.requests == 1);
    site_close(&s);
}

static void test_https(void)
{
    struct site s;
    struct ccz_err err;
    site_open(&s, false);
    pthread_t thread = net_start(s.loop);
    int fd = net_dial(ccz_http_server_port(s.http));
    CCZ_AUTO(ccz_tls) t = NULL;
    CHECK(ccz_tls_new(&t, s.client, NULL, NULL) == CCZ_OK);
    CHECK(ccz_tls_step(t, &err) == CCZ_OK);
    flush(fd, t);
    while (!ccz_tls_ready(t)) {
        CHECK(feed(fd, t) && ccz_tls_step(t, &err) == CCZ_OK);
        flush(fd, t);
    }
    const char request[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz";
    for (int i = 0; i < 3; i++) { /* keep-alive */
        CCZ_AUTO_BUF plain;
        ccz_buf_init(&plain, 1 << 16);
        CHECK(ccz_tls_write(t, CCZ_SPAN(request, strlen(request)), &err) == CCZ_OK);
        flush(fd, t);
        while (!strstr(ccz_buf_str(&plain), "\r\n\r\nxyz"))
            CHECK(feed(fd, t) && ccz_tls_read(&plain, t, &err) == CCZ_OK);
        CHECK(strncmp(ccz_buf_str(&plain), "HTTP/1.1 200 OK\r\n", 17) == 0);
    }
    close(fd);
    net_join(s.loop, thread);
    CHECK(s.requests == 3);
    site_close(&s);
}

/* Plain text never reaches the handler of a TLS server: neither on a TLS connection, nor when the
 * server could not make one and libevent went on without. */
static void test_plain_refused(void)
{
    for (int no_ssl = 0; no_ssl < 2; no_ssl++) {
        struct site s;
        site_open(&s, no_ssl);
        pthread_t thread = net_start(s.loop);
        int fd = net_dial(ccz_http_server_port(s.http));
        const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        net_send_all(fd, request, strlen(request));
        char text[512] = "";
        ssize_t n, got = 0;
        while ((n = recv(fd, text + got, sizeof(text) - 1 - (size_t)got, 0)) > 0)
            got += n;
        CHECK(n <= 0 && strncmp(text, "HTTP", 4) != 0);
        close(fd);
        net_join(s.loop, thread);
        CHECK(s.requests == 0);
        site_close(&s);
    }
}

static const struct ccz_test tests[] = {
    {"https.requests", test_https},
    {"https.together", test_together},
    {"https.plain_refused", test_plain_refused},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
