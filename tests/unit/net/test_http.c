/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "net_test.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <semaphore.h>

/* ---------------------------------------------------------------------------------------- server
 */

struct site {
    struct ccz_loop *loop;
    struct ccz_http_server *http;
    struct ccz_http_req *waiting;
    struct ccz_timer *timer;
    pthread_t thread;
    sem_t draining;
    int requests;
};

static void answer_text(struct ccz_http_req *req, unsigned status, const char *text)
{
    const struct ccz_http_answer a = {
        .status = status, .content_type = "text/plain", .body = ccz_span_str(text)};
    ccz_http_reply(req, &a);
}

static void on_later(void *arg)
{
    struct site *s = arg;
    struct ccz_http_req *req = s->waiting;
    s->waiting = NULL;
    answer_text(req, 200, "later");
}

/* "METHOD path query body-size header-X peer-is-local" */
static void answer_echo(struct ccz_http_req *req)
{
    char text[512];
    const char *x = ccz_http_header(req, "x-test");
    (void)snprintf(text, sizeof(text), "%s %s %s %zu %s %d", ccz_http_method(req),
                   ccz_http_path(req), ccz_http_query(req), ccz_http_body(req).size,
                   x ? x : "(none)", strncmp(ccz_http_peer(req), "127.0.0.1:", 10) == 0);
    answer_text(req, 200, text);
}

static void on_request(void *arg, struct ccz_http_req *req)
{
    struct site *s = arg;
    const char *path = ccz_http_path(req);
    s->requests++;
    CHECK(ccz_http_ssl(req) == NULL);
    if (strcmp(path, "/later") == 0) {
        s->waiting = req;
        ccz_timer_set(s->timer, 50, 0);
    } else if (strcmp(path, "/never") == 0) {
        s->waiting = req;
    } else if (strcmp(path, "/close") == 0) {
        const struct ccz_http_answer a = {.status = 204, .close = true};
        ccz_http_reply(req, &a);
    } else if (strcmp(path, "/fields") == 0) {
        const struct ccz_http_field f[] = {{"X-One", "1"}, {"X-Two", "a b"}};
        const struct ccz_http_answer a = {.status = 404, .headers = f, .headers_len = 2};
        ccz_http_reply(req, &a);
    } else if (strcmp(path, "/split") == 0) {
        const struct ccz_http_field f[] = {{"X-One", "1\r\nX-Evil: 1"}};
        const struct ccz_http_answer a = {
            .status = 200, .body = ccz_span_str("body"), .headers = f, .headers_len = 1};
        ccz_http_reply(req, &a);
    } else if (strcmp(path, "/back") == 0) {
        const struct ccz_http_answer a = {.status = 200, .body = ccz_http_body(req)};
        ccz_http_reply(req, &a);
    } else {
        answer_echo(req);
    }
}

static void site_open(struct site *s)
{
    struct ccz_err err;
    *s = (struct site){0};
    CHECK(ccz_loop_new(&s->loop, &err) == CCZ_OK);
    CHECK(ccz_timer_new(&s->timer, s->loop, on_later, s) == CCZ_OK);
    const struct ccz_http_server_cfg cfg = {.listen = "127.0.0.1:0",
                                            .on_request = on_request,
                                            .arg = s,
                                            .header_size_max = 2000,
                                            .body_size_max = 1 << 20,
                                            .idle_timeout_ms = 3000};
    CHECK(ccz_http_server_new(&s->http, s->loop, &cfg, &err) == CCZ_OK);
    CHECK(ccz_http_server_port(s->http) != 0);
    s->thread = net_start(s->loop);
}

static void site_close(struct site *s)
{
    net_join(s->loop, s->thread);
    ccz_http_server_free(s->http);
    ccz_timer_free(s->timer);
    ccz_loop_free(s->loop);
}

/* ---------------------------------------------------------------------------------------- client
 */

static int dial(struct site *s)
{
    return net_dial(ccz_http_server_port(s->http));
}

/* Reads one answer with its body (by Content-Length; none when @p head) into @p text. */
static void read_answer(int fd, char *text, size_t size, bool head)
{
    size_t got = 0, want = size;
    while (got < want) {
        ssize_t n = recv(fd, text + got, 1, 0);
        CHECK(n >= 0);
        if (n == 0)
            break;
        got += (size_t)n;
        CHECK(got < size);
        text[got] = 0;
        if (want == size && got >= 4 && memcmp(text + got - 4, "\r\n\r\n", 4) == 0) {
            const char *length = strcasestr(text, "\r\nContent-Length: ");
            want = got + (length && !head ? strtoul(length + 18, NULL, 10) : 0);
        }
    }
}

/* True if the server closes; answers to HTTP/1.0 have no length, so that text may still come. */
static bool at_end(int fd)
{
    char text[512];
    ssize_t n;
    do {
        n = recv(fd, text, sizeof(text), 0);
    } while (n > 0);
    return n == 0 || errno == ECONNRESET;
}

/* Sends @p request on a fresh connection and returns the status of the answer. */
static int status_of(struct site *s, const char *request, bool closes)
{
    char text[4096] = "";
    int fd = dial(s), status;
    net_send_all(fd, request, strlen(request));
    read_answer(fd, text, sizeof(text), false);
    CHECK(sscanf(text, "HTTP/1.%*d %d", &status) == 1);
    if (closes)
        CHECK(at_end(fd));
    close(fd);
    return status;
}

#define HOST "Host: x\r\n"

static void expect(int fd, const char *request, const char *status, const char *body)
{
    char text[4096] = "";
    net_send_all(fd, request, strlen(request));
    read_answer(fd, text, sizeof(text), strncmp(request, "HEAD", 4) == 0);
    CHECK(strncmp(text, status, strlen(status)) == 0);
    const char *got = strstr(text, "\r\n\r\n");
    CHECK(got && strcmp(got + 4, body) == 0);
}

static void test_methods(void)
{
    struct site s;
    site_open(&s);
    int fd = dial(&s); /* all on one connection: keep-alive */
    expect(fd, "GET /v1/models/m:predict?a=1&b=%20 HTTP/1.1\r\n" HOST "X-Test: t\r\n\r\n",
           "HTTP/1.1 200 OK", "GET /v1/models/m:predict a=1&b=%20 0 t 1");
    expect(fd, "POST /p%2Fq HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 200",
           "POST /p%2Fq  5 (none) 1");
    expect(fd, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
           "HTTP/1.1 200", "PUT /  3 (none) 1");
    expect(fd, "DELETE /d HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "DELETE /d  0 (none) 1");
    expect(fd, "OPTIONS /o HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "OPTIONS /o  0 (none) 1");
    expect(fd, "HEAD /h HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", ""); /* length, no body */
    expect(fd, "POST /back HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nxyz", "HTTP/1.1 200",
           "xyz");
    /* two requests in one piece are answered one after the other */
    expect(fd, "GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
           "GET /1  0 (none) 1");
    expect(fd, "", "HTTP/1.1 200", "GET /2  0 (none) 1");
    close(fd);
    CHECK(status_of(&s, "PATCH / HTTP/1.1\r\n" HOST "\r\n", true) == 501);
    CHECK(status_of(&s, "TRACE / HTTP/1.1\r\n" HOST "\r\n", true) == 501);
    CHECK(status_of(&s, "GET / HTTP/1.0\r\n\r\n", true) == 200);
    site_close(&s);
}

static void test_answer(void)
{
    struct site s;
    char text[4096] = "";
    site_open(&s);
    int fd = dial(&s);
    expect(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "later");
    const char fields[] = "GET /fields HTTP/1.1\r\n" HOST "\r\n";
    net_send_all(fd, fields, strlen(fields));
    read_answer(fd, text, sizeof(text), false);
    CHECK(strncmp(text, "HTTP/1.1 404 Not Found\r\n", 24) == 0);
    CHECK(strstr(text, "\r\nX-One: 1\r\n") && strstr(text, "\r\nX-Two: a b\r\n"));
    CHECK(!strcasestr(text, "content-type") && strcasestr(text, "\r\nContent-Length: 0\r\n"));
    const char bye[] = "GET /close HTTP/1.1\r\n" HOST "\r\n";
    net_send_all(fd, bye, strlen(bye));
    read_answer(fd, text, sizeof(text), false);
    CHECK(strncmp(text, "HTTP/1.1 204", 12) == 0 && strcasestr(text, "\r\nConnection: close\r\n"));
    CHECK(at_end(fd));
    close(fd);
    /* a field with a line break must not split the answer */
    CHECK(status_of(&s, "GET /split HTTP/1.1\r\n" HOST "\r\n", true) == 500);
    site_close(&s);
}

/* Where two readers could see different requests, none is seen (RFC 9112, sections 3.2, 5.1, 6). */
static void test_unsound(void)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST HOST "\r\n",
        "POST / HTTP/1.1\r\n" HOST
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\nx",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\nx",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 1,1\r\n\r\nx",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HEAD / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nxyz",
        "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST ": empty name\r\n\r\n",
        "GET / HTTP/2.0\r\n" HOST "\r\n",
        "GET //host/path HTTP/1.1\r\n" HOST "\r\n",
        "complete nonsense, longer than a request line\r\n\r\n",
    };
    struct site s;
    site_open(&s);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK(status_of(&s, bad[i], true) == 400);
    net_join(s.loop, s.thread);
    CHECK(s.requests == 0);
    s.thread = net_start(s.loop);
    site_close(&s);
}

static void test_limits(void)
{
    struct site s;
    char big[3000];
    site_open(&s);
    /* declared too large, and found too large while it comes */
    CHECK(status_of(&s, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n", true) == 413);
    CHECK(status_of(&s, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100001\r\n",
                    true) == 413);
    CHECK(status_of(&s,
                    "POST / HTTP/1.1\r\n" HOST
                    "Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n",
                    true) == 413);
    memset(big, 'a', sizeof(big));
    memcpy(big, "GET / HTTP/1.1\r\n" HOST "A: ", 28);
    big[sizeof(big) - 1] = 0;
    CHECK(status_of(&s, big, true) == 400);
    /* exactly the limit is fine */
    int fd = dial(&s);
    static char body[1 << 20];
    const char head[] = "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n";
    net_send_all(fd, head, strlen(head));
    net_send_all(fd, body, sizeof(body));
    expect(fd, "", "HTTP/1.1 200", "POST /x  1048576 (none) 1");
    /* half a request does not keep a connection for ever */
    int64_t start = ccz_mono_ms();
    net_send_all(fd, "GET /", 5);
    CHECK(at_end(fd) && ccz_mono_ms() - start >= 2500);
    close(fd);
    site_close(&s);
}

/* A client that leaves, and a server that is freed, with answers outstanding. */
static void drain_idle(void *arg)
{
    struct site *s = arg;
    ccz_loop_stop(s->loop);
}

static void drain(void *arg)
{
    struct site *s = arg;
    if (!s->waiting) { /* its request is still on the way */
        CHECK(ccz_loop_post(s->loop, drain, s) == CCZ_OK);
        return;
    }
    ccz_http_server_drain(s->http, drain_idle, s);
    CHECK(sem_post(&s->draining) == 0);
}

/* What was asked before is answered, completely, with the news that the connection ends; nothing new is. */
static void test_drain(void)
{
    struct site s;
    char text[4096] = "";
    site_open(&s);
    CHECK(sem_init(&s.draining, 0, 0) == 0);
    const char never[] = "GET /never HTTP/1.1\r\n" HOST "\r\n",
               new[] = "GET /new HTTP/1.1\r\n" HOST "\r\n";
    int asked = dial(&s), kept = dial(&s);
    expect(kept, "GET /a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "GET /a  0 (none) 1");
    net_send_all(asked, never, strlen(never));
    CHECK(ccz_loop_post(s.loop, drain, &s) == CCZ_OK);
    CHECK(sem_wait(&s.draining) == 0);
    net_send_all(kept, new, strlen(new));
    read_answer(kept, text, sizeof(text), false);
    CHECK(strncmp(text, "HTTP/1.1 503", 12) == 0 && at_end(kept));
    CHECK(ccz_loop_post(s.loop, on_later, &s) == CCZ_OK);
    read_answer(asked, text, sizeof(text), false);
    CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0 && strcasestr(text, "\r\nConnection: close\r\n"));
    CHECK(strstr(text, "\r\n\r\nlater"));
    pthread_join(s.thread, NULL); /* drain_idle() stopped the loop, not we */
    CHECK(s.requests == 2);
    close(asked);
    close(kept);
    ccz_http_server_free(s.http);
    ccz_timer_free(s.timer);
    ccz_loop_free(s.loop);
}

static void test_gone(void)
{
    struct site s;
    site_open(&s);
    const char late[] = "GET /later HTTP/1.1\r\n" HOST "\r\n";
    int fd = dial(&s);
    net_send_all(fd, late, strlen(late));
    close(fd);
    fd = dial(&s);
    expect(fd, "GET /a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "GET /a  0 (none) 1");
    struct timespec rest = {.tv_nsec = 700000000};
    (void)nanosleep(&rest, NULL); /* the late answer has been given by now */
    const char never[] = "GET /never?q HTTP/1.1\r\n" HOST "\r\n";
    net_send_all(fd, never, strlen(never));
    (void)nanosleep(&rest, NULL);
    net_join(s.loop, s.thread);
    CHECK(s.waiting != NULL && s.requests == 3);
    ccz_http_server_free(s.http);
    CHECK(strcmp(ccz_http_path(s.waiting), "/never") == 0); /* still readable */
    CHECK(strcmp(ccz_http_query(s.waiting), "q") == 0 && ccz_http_ssl(s.waiting) == NULL);
    answer_text(s.waiting, 200, "nobody reads this");
    CHECK(at_end(fd));
    close(fd);
    ccz_timer_free(s.timer);
    ccz_loop_free(s.loop);
}

/* ------------------------------------------------------------------------------------ pure helpers
 */

static void test_decode(void)
{
    static const char *const bad[] = {"%", "%1", "a%1", "%g0", "%0g", "%%41", "%00", "a%0"};
    CCZ_AUTO_BUF b;
    struct ccz_err err;
    ccz_buf_init(&b, 16);
    CHECK(ccz_http_decode(&b, ccz_span_str("a%2Fb%c3%A4+%25"), NULL) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&b), "a/b\xc3\xa4+%") == 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK(ccz_http_decode(&b, ccz_span_str(bad[i]), &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, "http:percent") == 0 && b.size == 7);
    }
    CHECK(ccz_http_decode(&b, ccz_span_str("123456789x"), &err) == CCZ_E_LIMIT && b.size == 7);

    struct ccz_span v;
    CHECK(ccz_http_query_get(&v, "a=1&bb=2&b=&a=3", "a") && ccz_span_eq(v, ccz_span_str("1")));
    CHECK(ccz_http_query_get(&v, "a=1&bb=2&b=&a=3", "b") && v.size == 0);
    CHECK(ccz_http_query_get(&v, "a=1&bb=x=y", "bb") && ccz_span_eq(v, ccz_span_str("x=y")));
    CHECK(!ccz_http_query_get(&v, "abc&a", "a") && !ccz_http_query_get(&v, "", "a"));
    CHECK(!ccz_http_query_get(&v, "&&ab=1&", "a") && v.ptr == NULL);
}

/* Answers leave in several writes: none waits for the acknowledgement of another. */
static void test_no_delay(void)
{
    struct site s;
    size_t accepted = 0;
    site_open(&s);
    int client = dial(&s);
    expect(client, "GET /a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "GET /a  0 (none) 1");
    for (int fd = 3; fd < 1024; fd++) { /* its end of the connection is one of ours */
        struct sockaddr_in here, there;
        socklen_t a = sizeof(here), b = sizeof(there), size = sizeof(int);
        int on = 0;
        if (fd == client || getsockname(fd, (struct sockaddr *)&here, &a) != 0 ||
            here.sin_family != AF_INET || ntohs(here.sin_port) != ccz_http_server_port(s.http) ||
            getpeername(fd, (struct sockaddr *)&there, &b) != 0)
            continue;
        CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0 && on);
        accepted++;
    }
    CHECK(accepted == 1);
    close(client);
    site_close(&s);
}

static const struct ccz_test tests[] = {
    {"http.no_delay", test_no_delay}, {"http.methods", test_methods}, {"http.answer", test_answer},
    {"http.unsound", test_unsound},   {"http.limits", test_limits},   {"http.gone", test_gone},
    {"http.drain", test_drain},       {"http.decode", test_decode},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
