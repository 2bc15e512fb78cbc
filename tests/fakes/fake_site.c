/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "fake_site.h"

#include <cczoo/codec.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "fake site: %s\n", what);
        abort();
    }
}

/* --------------------------------------------------------------------------------- answers */

struct delayed {
    struct ccz_http_req *req;
    struct ccz_timer *timer;
};

static void on_delay(void *arg)
{
    struct delayed *d = arg;
    const struct ccz_http_answer a = {.status = 200, .body = ccz_span_str("late")};
    ccz_http_reply(d->req, &a);
    ccz_timer_free(d->timer);
    free(d);
}

static void answer_late(struct fake_site *f, struct ccz_http_req *req, int64_t delay_ms)
{
    struct delayed *d = calloc(1, sizeof(*d));
    must(d != NULL, "memory");
    d->req = req;
    must(ccz_timer_new(&d->timer, f->loop, on_delay, d) == CCZ_OK, "timer");
    ccz_timer_set(d->timer, delay_ms, 0);
}

static void on_request(void *arg, struct ccz_http_req *req)
{
    struct fake_site *f = arg;
    struct fake_answer a = {0};
    atomic_fetch_add(&f->requests, 1);
    f->fn(f->arg, &a, req);
    if (a.delay_ms > 0) {
        answer_late(f, req, a.delay_ms);
        return;
    }
    const struct ccz_http_answer out = {.status = a.status ? a.status : 200,
                                        .body = a.body,
                                        .headers = a.headers,
                                        .headers_len = a.headers_len};
    ccz_http_reply(req, &out);
}

static void *run(void *loop)
{
    struct ccz_err err;
    must(ccz_loop_run(loop, &err) == CCZ_OK, "run");
    return NULL;
}

static struct ssl_st *new_ssl(void *arg)
{
    struct fake_site *f = arg;
    return ccz_tls_native_new(f->tls);
}

static void start(struct fake_site *f)
{
    struct ccz_err err = {0};
    must(ccz_loop_new(&f->loop, &err) == CCZ_OK, "loop");
    const struct ccz_http_server_cfg cfg = {.listen = "127.0.0.1:0",
                                            .on_request = on_request,
                                            .arg = f,
                                            .new_ssl = f->tls ? new_ssl : NULL,
                                            .ssl_arg = f};
    must(ccz_http_server_new(&f->http, f->loop, &cfg, &err) == CCZ_OK, err.msg);
    f->port = ccz_http_server_port(f->http);
    must(pthread_create(&f->thread, NULL, run, f->loop) == 0, "thread");
}

void fake_open(struct fake_site *f, fake_fn *fn, void *arg)
{
    *f = (struct fake_site){.fn = fn, .arg = arg, .raw_fd = -1};
    start(f);
}

void fake_open_tls(struct fake_site *f, fake_fn *fn, void *arg, const char *pem_file)
{
    static const uint8_t names[] = {0x30, 17,  0x82, 9,    'l', 'o', 'c', 'a', 'l', 'h',
                                    'o',  's', 't',  0x87, 4,   127, 0,   0,   1};
    struct ccz_err err = {0};
    *f = (struct fake_site){.fn = fn, .arg = arg, .raw_fd = -1};
    const struct ccz_cert_ext_in ext = {.oid = "2.5.29.17",
                                        .value = CCZ_SPAN(names, sizeof(names))};
    must(ccz_key_generate(&f->key, CCZ_P256) == CCZ_OK, "key");
    const struct ccz_cert_cfg cert = {.cn = "localhost",
                                      .key = f->key,
                                      .not_before_s = 0,
                                      .not_after_s = INT64_C(4000000000),
                                      .ext = &ext,
                                      .ext_len = 1};
    ccz_buf_init(&f->cert, CCZ_CERT_SIZE_MAX);
    must(ccz_cert_issue(&f->cert, &cert, &err) == CCZ_OK, err.msg);
    const struct ccz_tls_cfg tls = {
        .server = true, .cert_der = ccz_buf_span(&f->cert), .key = f->key};
    must(ccz_tls_ctx_new(&f->tls, &tls, &err) == CCZ_OK, err.msg);
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, 2 * CCZ_CERT_SIZE_MAX);
    ccz_pem_put(&pem, "CERTIFICATE", ccz_buf_span(&f->cert));
    must(ccz_file_write(pem_file, ccz_buf_span(&pem), 0644, CCZ_FILE_REPLACE, &err) == CCZ_OK,
         err.msg);
    start(f);
}

/* ------------------------------------------------------------------------------------- raw */

static void *run_raw(void *arg)
{
    struct fake_site *f = arg;
    for (int fd; (fd = accept(f->raw_fd, NULL, NULL)) >= 0;) {
        char request[8192];
        size_t got = 0;
        ssize_t n;
        while (got < sizeof(request) - 1 &&
               (n = recv(fd, request + got, sizeof(request) - 1 - got, 0)) > 0) {
            got += (size_t)n;
            request[got] = 0;
            if (strstr(request, "\r\n\r\n"))
                break;
        }
        atomic_fetch_add(&f->requests, 1);
        (void)send(fd, f->raw, strlen(f->raw), MSG_NOSIGNAL);
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        if (f->raw_reset)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close(fd);
    }
    return NULL;
}

void fake_open_raw(struct fake_site *f, const char *bytes, bool reset)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t size = sizeof(in);
    *f = (struct fake_site){.raw = bytes, .raw_reset = reset};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->raw_fd = socket(AF_INET, SOCK_STREAM, 0);
    must(f->raw_fd >= 0 && bind(f->raw_fd, (struct sockaddr *)&in, sizeof(in)) == 0 &&
             listen(f->raw_fd, 16) == 0 &&
             getsockname(f->raw_fd, (struct sockaddr *)&in, &size) == 0,
         "listen");
    f->port = ntohs(in.sin_port);
    must(pthread_create(&f->thread, NULL, run_raw, f) == 0, "thread");
}

/* ----------------------------------------------------------------------------------- common */

void fake_close(struct fake_site *f)
{
    if (f->loop)
        ccz_loop_stop(f->loop);
    else
        (void)shutdown(f->raw_fd, SHUT_RDWR);
    must(pthread_join(f->thread, NULL) == 0, "join");
    if (!f->loop)
        close(f->raw_fd);
    ccz_http_server_free(f->http);
    ccz_loop_free(f->loop);
    ccz_tls_ctx_free(f->tls);
    ccz_key_free(f->key);
    if (f->tls)
        ccz_buf_free(&f->cert);
}

const char *fake_url(const struct fake_site *f, const char *path)
{
    static char text[4][512];
    static unsigned turn;
    char *p = text[turn++ % 4];
    (void)snprintf(p, sizeof(text[0]), "%s://127.0.0.1:%u%s", f->tls ? "https" : "http", f->port,
                   path);
    return p;
}
