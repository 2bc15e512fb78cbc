/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "../fakes/fake_site.h"

#include "ccz_test.h"

#include <signal.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------- site */

static char big[200000];

static void site(void *arg, struct fake_answer *out, const struct ccz_http_req *req)
{
    static char seen[512];
    (void)arg;
    const char *path = ccz_http_path(req), *key = ccz_http_header(req, "X-Key");
    if (strcmp(path, "/echo") == 0) {
        const char *agent = ccz_http_header(req, "User-Agent");
        (void)snprintf(seen, sizeof(seen), "%s %s %s", ccz_http_query(req), agent ? agent : "-",
                       key ? key : "-");
        out->body = ccz_span_str(seen);
        out->headers[out->headers_len++] = (struct ccz_http_field){"X-One", "a  b"};
        out->headers[out->headers_len++] = (struct ccz_http_field){"X-Two", "%2B+c"};
    } else if (strcmp(path, "/post") == 0) {
        const char *type = ccz_http_header(req, "Content-Type"),
                   *extra = ccz_http_header(req, "X-Extra");
        struct ccz_span in = ccz_http_body(req);
        (void)snprintf(seen, sizeof(seen), "%s %s %s %.*s %s", ccz_http_method(req),
                       type ? type : "-", extra ? extra : "-", (int)in.size,
                       in.size ? (const char *)in.ptr : "", key ? key : "-");
        out->body = ccz_span_str(seen);
    } else if (strcmp(path, "/big") == 0) {
        out->body = CCZ_SPAN(big, sizeof(big));
    } else if (strcmp(path, "/fields") == 0) {
        big[80000] = 0;
        out->headers[out->headers_len++] = (struct ccz_http_field){"X-Big", big};
    } else if (strcmp(path, "/slow") == 0) {
        out->delay_ms = 600;
    } else if (strcmp(path, "/moved") == 0) {
        out->status = 302;
        out->headers[out->headers_len++] = (struct ccz_http_field){"Location", "/echo"};
    } else {
        out->status = 404;
        out->body = ccz_span_str("nothing here");
    }
}

struct got {
    unsigned status;
    struct ccz_buf body, headers;
    struct ccz_err err;
};

static ccz_rc get(struct got *g, struct ccz_http_client *c, const char *url)
{
    ccz_buf_init(&g->body, 1 << 20);
    ccz_buf_init(&g->headers, 1 << 20);
    g->err = (struct ccz_err){0};
    ccz_rc rc = ccz_http_get(&g->status, &g->body, &g->headers, c, url, &g->err);
    if (rc != CCZ_OK)
        CHECK(g->status == 0 && g->body.size == 0 && g->headers.size == 0 && g->err.rc == rc);
    return rc;
}

static void drop(struct got *g)
{
    ccz_buf_free(&g->body);
    ccz_buf_free(&g->headers);
}

static struct ccz_http_client *client(struct ccz_http_client_cfg cfg)
{
    struct ccz_http_client *c = NULL;
    struct ccz_err err;
    CHECK(ccz_http_client_new(&c, &cfg, &err) == CCZ_OK);
    return c;
}

static void refused(struct ccz_http_client *c, const char *url, ccz_rc rc, const char *where)
{
    struct got g;
    ccz_rc was = get(&g, c, url);
    if (was != rc || strcmp(g.err.where, where) != 0)
        fprintf(stderr, "%s: %s at %s: %s\n", url, ccz_rc_name(was), g.err.where, g.err.msg);
    CHECK(was == rc && strcmp(g.err.where, where) == 0);
    drop(&g);
}

/* ------------------------------------------------------------------------------------ tests */

static bool is(struct ccz_span s, const char *text)
{
    return ccz_span_eq(s, ccz_span_str(text));
}

static void test_answer(void)
{
    struct fake_site f;
    struct got g;
    fake_open(&f, site, NULL);
    CCZ_AUTO(ccz_http_client) c = client((struct ccz_http_client_cfg){0});
    for (int i = 0; i < 3; i++) {
        CHECK(get(&g, c, fake_url(&f, "/echo?a=%2b&b=1")) == CCZ_OK && g.status == 200);
        CHECK(is(ccz_buf_span(&g.body), "a=%2b&b=1 cczoo -"));
        CHECK(is(ccz_http_field_get(ccz_buf_span(&g.headers), "x-one"), "a  b"));
        CHECK(is(ccz_http_field_get(ccz_buf_span(&g.headers), "X-TWO"), "%2B+c"));
        CHECK(ccz_http_field_get(ccz_buf_span(&g.headers), "X-Three").ptr == NULL);
        drop(&g);
    }
    CHECK(get(&g, c, fake_url(&f, "/none")) == CCZ_OK && g.status == 404);
    CHECK(is(ccz_buf_span(&g.body), "nothing here"));
    drop(&g);
    refused(c, fake_url(&f, "/moved"), CCZ_E_PEER, "http:redirect");
    CHECK(atomic_load(&f.requests) == 5);
    fake_close(&f);
}

static void test_urls(void)
{
    CCZ_AUTO(ccz_http_client) c = client((struct ccz_http_client_cfg){.connect_timeout_ms = 2000});
    static const char *const bad[] = {
        "",        "ftp://127.0.0.1/",           "file:///etc/passwd",
        "http//x", "https://user:pw@127.0.0.1/", "https://u@127.0.0.1/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(c, bad[i], CCZ_E_ARG, "http:url");
    refused(c, "http://192.0.2.1/", CCZ_E_DENIED, "http:plain");
    refused(c, "http://127.0.0.1.example.invalid/", CCZ_E_DENIED, "http:plain");
    refused(c, "http://localhost.example.invalid/", CCZ_E_DENIED, "http:plain");
    refused(c, "http://127.0.0.1:1/", CCZ_E_UNAVAILABLE, "http:connect");
    refused(c, "http://[::1]:1/", CCZ_E_UNAVAILABLE, "http:connect");
    CCZ_AUTO(ccz_http_client)
    plain = client((struct ccz_http_client_cfg){
        .plain_http_insecure = true, .connect_timeout_ms = 2000, .timeout_ms = 3000});
    struct got g;
    CHECK(get(&g, plain, "http://no-such-name.invalid/") != CCZ_OK);
    CHECK(strcmp(g.err.where, "http:plain") != 0);
    drop(&g);
}

static void test_limits(void)
{
    struct fake_site f;
    struct got g;
    memset(big, 'x', sizeof(big));
    fake_open(&f, site, NULL);
    CCZ_AUTO(ccz_http_client)
    c = client((struct ccz_http_client_cfg){.body_size_max = sizeof(big) - 1, .timeout_ms = 300});
    CCZ_AUTO(ccz_http_client)
    more = client((struct ccz_http_client_cfg){.body_size_max = sizeof(big)});
    CHECK(get(&g, more, fake_url(&f, "/big")) == CCZ_OK && g.body.size == sizeof(big));
    drop(&g);
    refused(c, fake_url(&f, "/big"), CCZ_E_LIMIT, "http:body-size");
    refused(c, fake_url(&f, "/fields"), CCZ_E_LIMIT, "http:header-size");
    int64_t from_ms = ccz_mono_ms();
    refused(c, fake_url(&f, "/slow"), CCZ_E_TIMEOUT, "http:timeout");
    CHECK(ccz_mono_ms() - from_ms >= 250);
    usleep(700000); /* the late answer finds nobody */
    fake_close(&f);

    struct ccz_http_client *none = NULL;
    struct ccz_err err;
    const struct ccz_http_client_cfg negative = {.timeout_ms = -1};
    CHECK(ccz_http_client_new(&none, &negative, &err) == CCZ_E_ARG && !none);
    CHECK(strcmp(err.where, "http:config") == 0);
}

static bool is_set(void *flag)
{
    return *(const bool *)flag;
}

static void test_over(void)
{
    struct fake_site f;
    struct got g;
    bool over = false;
    fake_open(&f, site, NULL);
    CCZ_AUTO(ccz_http_client)
    c = client((struct ccz_http_client_cfg){.is_over = is_set, .is_over_arg = &over});
    CHECK(get(&g, c, fake_url(&f, "/slow")) == CCZ_OK);
    drop(&g);
    over = true;
    refused(c, fake_url(&f, "/slow"), CCZ_E_CLOSED, "http:over");
    over = false; /* and it is as good as before */
    CHECK(get(&g, c, fake_url(&f, "/slow")) == CCZ_OK);
    drop(&g);
    fake_close(&f);
}

static void test_broken(void)
{
    static const struct {
        const char *bytes;
        bool reset;
        ccz_rc rc;
        const char *where;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", false, CCZ_E_CLOSED, "http:closed"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", false, CCZ_E_CLOSED,
         "http:closed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true, CCZ_E_CLOSED, "http:closed"},
        {"", false, CCZ_E_CLOSED, "http:closed"},
        {"", true, CCZ_E_CLOSED, "http:closed"},
        {"SSH-2.0-x\r\n", false, CCZ_E_PEER, "http:protocol"},
    };
    CCZ_AUTO(ccz_http_client) c = client((struct ccz_http_client_cfg){0});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_site f;
        fake_open_raw(&f, cases[i].bytes, cases[i].reset);
        refused(c, fake_url(&f, "/"), cases[i].rc, cases[i].where);
        fake_close(&f);
    }
    struct fake_site f;
    struct got g;
    /* an interim answer's fields are not the answer's */
    fake_open_raw(&f,
                  "HTTP/1.1 103 Early\r\nX-One: early\r\n\r\nHTTP/1.1 200 OK\r\nX-Two: 2\r\n"
                  "Content-Length: 0\r\n\r\n",
                  false);
    CHECK(get(&g, c, fake_url(&f, "/")) == CCZ_OK && g.status == 200);
    CHECK(ccz_http_field_get(ccz_buf_span(&g.headers), "X-One").ptr == NULL);
    CHECK(is(ccz_http_field_get(ccz_buf_span(&g.headers), "X-Two"), "2"));
    drop(&g);
    fake_close(&f);
}

static void test_tls(void)
{
    struct fake_site f, other;
    struct got g;
    char file[] = "/tmp/test_http_get.XXXXXX", other_file[] = "/tmp/test_http_get.XXXXXX";
    int fd = mkstemp(file), other_fd = mkstemp(other_file);
    CHECK(fd >= 0 && other_fd >= 0);
    close(fd);
    close(other_fd);
    fake_open_tls(&f, site, NULL, file);
    fake_open_tls(&other, site, NULL, other_file);
    CCZ_AUTO(ccz_http_client) system = client((struct ccz_http_client_cfg){0});
    CCZ_AUTO(ccz_http_client) right = client((struct ccz_http_client_cfg){.ca_file = file});
    CCZ_AUTO(ccz_http_client) wrong = client((struct ccz_http_client_cfg){.ca_file = other_file});
    CCZ_AUTO(ccz_http_client) absent = client((struct ccz_http_client_cfg){.ca_file = "/nowhere"});
    CCZ_AUTO(ccz_http_client)
    any = client((struct ccz_http_client_cfg){.any_certificate_insecure = true});
    CHECK(get(&g, right, fake_url(&f, "/echo?x")) == CCZ_OK &&
          is(ccz_buf_span(&g.body), "x cczoo -"));
    drop(&g);
    CHECK(get(&g, any, fake_url(&f, "/echo?x")) == CCZ_OK && g.status == 200);
    drop(&g);
    refused(system, fake_url(&f, "/echo"), CCZ_E_UNTRUSTED, "http:certificate");
    refused(wrong, fake_url(&f, "/echo"), CCZ_E_UNTRUSTED, "http:certificate");
    refused(absent, fake_url(&f, "/echo"), CCZ_E_UNTRUSTED, "http:certificate");
    char url[64];
    (void)snprintf(url, sizeof(url), "https://127.0.0.2:%u/echo", f.port);
    CCZ_AUTO(ccz_http_client) name = client((struct ccz_http_client_cfg){.ca_file = file});
    CHECK(get(&g, name, url) != CCZ_OK); /* not listening there, or another name */
    drop(&g);
    CHECK(atomic_load(&f.requests) == 2);
    fake_close(&other);
    fake_close(&f);
    fake_open(&f, site, NULL);
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/echo", f.port);
    refused(any, url, CCZ_E_PEER, "http:tls");
    fake_close(&f);
    (void)unlink(file);
    (void)unlink(other_file);
}

/* The key goes to its owner, and to nobody else. */
static void test_secret(void)
{
    struct fake_site f, other;
    struct got g;
    fake_open(&f, site, NULL);
    fake_open(&other, site, NULL);
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_secret) split = NULL;
    CHECK(ccz_secret_from(&key, "0123456789abcdef", 16) == CCZ_OK);
    CHECK(ccz_secret_from(&split, "a\r\nX-Evil: 1", 12) == CCZ_OK);
    struct ccz_http_client_cfg cfg = {
        .secret_name = "X-Key", .secret = key, .secret_prefix = fake_url(&f, "/echo")};
    CCZ_AUTO(ccz_http_client) c = client(cfg);
    CHECK(get(&g, c, fake_url(&f, "/echo?1")) == CCZ_OK);
    CHECK(is(ccz_buf_span(&g.body), "1 cczoo 0123456789abcdef"));
    drop(&g);
    CHECK(get(&g, c, fake_url(&other, "/echo?2")) == CCZ_OK);
    CHECK(is(ccz_buf_span(&g.body), "2 cczoo -"));
    drop(&g);
    struct ccz_http_client *none = NULL;
    struct ccz_err err;
    struct ccz_http_client_cfg bad[6] = {cfg, cfg, cfg, cfg, cfg, cfg};
    bad[0].secret = split;
    bad[1].secret = NULL;
    bad[2].secret_prefix = NULL;
    bad[3].secret_name = "X-Key: 1";
    bad[4].secret_prefix = "https://host"; /* would fit https://host.example/ */
    bad[5].secret_prefix = "host/";
    for (int i = 0; i < 6; i++)
        CHECK(ccz_http_client_new(&none, &bad[i], &err) == CCZ_E_ARG && !none);
    fake_close(&other);
    fake_close(&f);
}

/* The proxy of the configuration, whatever the environment says about proxies. */
static void test_proxy(void)
{
    struct fake_site f;
    struct got g;
    fake_open(&f, site, NULL);
    CHECK(setenv("no_proxy", "*", 1) == 0 && setenv("NO_PROXY", "*", 1) == 0);
    CCZ_AUTO(ccz_http_client)
    c = client(
        (struct ccz_http_client_cfg){.proxy = fake_url(&f, ""), .plain_http_insecure = true});
    (void)get(&g, c, "http://192.0.2.1/echo?3");
    CHECK(g.status != 0); /* somebody has answered, who is not there */
    drop(&g);
    CHECK(setenv("http_proxy", fake_url(&f, ""), 1) == 0 && unsetenv("no_proxy") == 0 &&
          unsetenv("NO_PROXY") == 0);
    CCZ_AUTO(ccz_http_client)
    direct = client((struct ccz_http_client_cfg){.plain_http_insecure = true, .timeout_ms = 300});
    CHECK(get(&g, direct, "http://192.0.2.1/echo?4") != CCZ_OK && g.status == 0);
    drop(&g);
    fake_close(&f);
}

/* Clients hang up while the server is still writing: a failed write there, and no signal. */
static void test_sigpipe(void)
{
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    for (int i = 0; i < 20; i++)
        test_tls();
    sigset_t pending;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0);
}

static void test_fields(void)
{
    const struct ccz_span h = ccz_span_str("A: 1\nAB:2 \nb:\nA: 3\nC: 4");
    CHECK(is(ccz_http_field_get(h, "a"), "1") && is(ccz_http_field_get(h, "ab"), "2"));
    struct ccz_span empty = ccz_http_field_get(h, "B");
    CHECK(empty.ptr != NULL && empty.size == 0);
    CHECK(is(ccz_http_field_get(h, "c"), "4"));
    CHECK(ccz_http_field_get(h, "").ptr == NULL && ccz_http_field_get(h, "D").ptr == NULL);
    CHECK(ccz_http_field_get((struct ccz_span){NULL, 0}, "A").ptr == NULL);
}

/* What is sent arrives, and the next GET is none that has a body. */
static void post(void)
{
    struct fake_site f;
    fake_open(&f, site, NULL);
    struct ccz_http_client *c = client((struct ccz_http_client_cfg){0});
    struct got g = {0};
    ccz_buf_init(&g.body, 1 << 16);
    ccz_buf_init(&g.headers, 1 << 16);
    struct ccz_http_post p = {.url = fake_url(&f, "/post"),
                              .content_type = "application/json",
                              .field = "X-Extra: 12",
                              .body = ccz_span_str("{\"a\":1}")};
    for (int i = 0; i < 2; i++) { /* the connection is kept */
        CHECK(ccz_http_send_post(&g.status, &g.body, &g.headers, c, &p, &g.err) == CCZ_OK);
        CHECK(g.status == 200 &&
              strcmp(ccz_buf_str(&g.body), "POST application/json 12 {\"a\":1} -") == 0);
    }
    p.field = NULL;
    p.body = (struct ccz_span){0};
    CHECK(ccz_http_send_post(&g.status, &g.body, &g.headers, c, &p, &g.err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&g.body), "POST application/json -  -") == 0);
    CHECK(ccz_http_get(&g.status, &g.body, &g.headers, c, fake_url(&f, "/post"), &g.err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&g.body), "GET - -  -") == 0);
    p.field = "X: 1\r\nY: 2";
    CHECK(ccz_http_send_post(&g.status, &g.body, &g.headers, c, &p, &g.err) == CCZ_E_ARG &&
          strcmp(g.err.where, "http:post") == 0);
    p.field = NULL;
    p.content_type = NULL;
    CHECK(ccz_http_send_post(&g.status, &g.body, &g.headers, c, &p, &g.err) == CCZ_E_ARG);
    drop(&g);
    ccz_http_client_free(c);
    fake_close(&f);
}

static const struct ccz_test tests[] = {
    {"http_get.answer", test_answer}, {"http_get.urls", test_urls},
    {"http_get.limits", test_limits}, {"http_get.over", test_over},
    {"http_get.broken", test_broken}, {"http_get.tls", test_tls},
    {"http_get.secret", test_secret}, {"http_get.proxy", test_proxy},
    {"http_get.fields", test_fields}, {"http_get.sigpipe", test_sigpipe},
    {"http_get.post", post},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
