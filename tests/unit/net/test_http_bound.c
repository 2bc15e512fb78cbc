/* SPDX-License-Identifier: Apache-2.0 */
/* What all connections of an HTTP server may hold together. */
#define _GNU_SOURCE
#include "net_test.h"

#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>

#define HOST "Host: x\r\n"
enum { HALF = 48 << 10, BODY = 64 << 10, CONNS = 24, LARGE = 32 << 20 };

struct site {
    struct ccz_loop *loop;
    struct ccz_http_server *http;
    struct ccz_http_req *waiting;
    sem_t came;
    pthread_t thread;
};

static void answer(struct ccz_http_req *req)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%zu", ccz_http_body(req).size);
    const struct ccz_http_answer a = {.status = 200, .body = ccz_span_str(text)};
    ccz_http_reply(req, &a);
}

static void on_request(void *arg, struct ccz_http_req *req)
{
    struct site *s = arg;
    if (strcmp(ccz_http_path(req), "/wait") == 0) {
        s->waiting = req;
        CHECK(sem_post(&s->came) == 0);
        return;
    }
    if (strcmp(ccz_http_path(req), "/large") == 0) {
        static const uint8_t zeros[LARGE];
        const struct ccz_http_answer a = {.status = 200, .body = CCZ_SPAN(zeros, sizeof(zeros))};
        ccz_http_reply(req, &a);
        return;
    }
    answer(req);
}

static void open_site(struct site *s, struct ccz_http_server_cfg cfg)
{
    struct ccz_err err;
    *s = (struct site){0};
    CHECK(sem_init(&s->came, 0, 0) == 0);
    CHECK(ccz_loop_new(&s->loop, &err) == CCZ_OK);
    cfg.on_request = on_request;
    cfg.arg = s;
    if (!cfg.listen)
        cfg.listen = "127.0.0.1:0";
    CHECK(ccz_http_server_new(&s->http, s->loop, &cfg, &err) == CCZ_OK);
    s->thread = net_start(s->loop);
}

static void close_site(struct site *s)
{
    net_join(s->loop, s->thread);
    ccz_http_server_free(s->http);
    ccz_loop_free(s->loop);
    (void)sem_destroy(&s->came);
}

static struct ccz_http_server_stats stats(const struct site *s)
{
    struct ccz_http_server_stats st;
    ccz_http_server_stats(&st, s->http);
    return st;
}

static void rest(void)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    (void)nanosleep(&ms, NULL);
}

/* Until what was counted is no more; else the test's own limit of time ends it. */
static void wait_empty(const struct site *s)
{
    for (struct ccz_http_server_stats st = stats(s); st.connections || st.kept_size; st = stats(s))
        rest();
}

static int dial(const struct site *s)
{
    return net_dial(ccz_http_server_port(s->http));
}

/* From another address of this machine. */
static int dial_from(const struct site *s, uint32_t host)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(ccz_http_server_port(s->http)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    return fd;
}

/* True: the server has closed it, within the time of dial(). */
static bool closed(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static bool closed_already(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && closed(fd);
}

/* 200 with @p body */
static void expect_ok(int fd, const char *body)
{
    char text[512] = "";
    size_t got = 0;
    while (!strstr(text, "\r\n\r\n") || !strstr(strstr(text, "\r\n\r\n"), body)) {
        ssize_t n = recv(fd, text + got, sizeof(text) - 1 - got, 0);
        CHECK(n > 0);
        got += (size_t)n;
        text[got] = 0;
    }
    CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0);
}

static void ask(int fd)
{
    const char get[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
    net_send_all(fd, get, strlen(get));
    expect_ok(fd, "0");
}

static void send_head(int fd, const char *path, size_t size)
{
    char head[128];
    int n = snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                     path, size);
    net_send_all(fd, head, (size_t)n);
}

/* May be cut while it sends. */
static void send_some(int fd, size_t size)
{
    static const char zeros[BODY];
    (void)send(fd, zeros, size, MSG_NOSIGNAL);
}

/* ------------------------------------------------------------------------------------- cases */

static void test_connections(void)
{
    struct site s;
    int fds[4];
    open_site(&s, (struct ccz_http_server_cfg){.connections_max = 3, .address_connections_max = 3});
    for (int i = 0; i < 3; i++) {
        fds[i] = dial(&s);
        ask(fds[i]);
    }
    fds[3] = dial(&s);
    CHECK(closed(fds[3]) && stats(&s).refused_connections == 1);
    ask(fds[0]); /* the others go on */
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    wait_empty(&s);
    for (int i = 0; i < 20; i++) { /* places come back, and each time at once */
        int fd = dial(&s);
        ask(fd);
        close(fd);
    }
    CHECK(stats(&s).refused_connections == 1);
    close_site(&s);
}

static void test_address(void)
{
    struct site s;
    int fds[4];
    open_site(&s, (struct ccz_http_server_cfg){.connections_max = 4}); /* two from each, then */
    for (int i = 0; i < 2; i++) {
        fds[i] = dial(&s);
        ask(fds[i]);
    }
    fds[2] = dial(&s);
    CHECK(closed(fds[2]) && stats(&s).refused_address == 1);
    fds[3] = dial_from(&s, INADDR_LOOPBACK + 1); /* there is still room for others */
    ask(fds[3]);
    CHECK(stats(&s).refused_connections == 0);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    close_site(&s);
}

/* Half bodies, many: those that came first have to go, and somebody who means well is served all the time. */
static void test_bodies(void)
{
    struct site s;
    int fds[CONNS], cut = 0;
    const size_t max = 8 * HALF;
    open_site(&s, (struct ccz_http_server_cfg){.body_size_max = BODY, .kept_size_max = max});
    for (int i = 0; i < CONNS; i++) {
        fds[i] = dial_from(&s, INADDR_LOOPBACK + (uint32_t)i % 8); /* no address has half of it */
        send_head(fds[i], "/", BODY);
        send_some(fds[i], HALF);
        int honest = dial_from(&s, INADDR_LOOPBACK + 99);
        send_head(honest, "/", 40000);
        send_some(honest, 40000);
        expect_ok(honest, "40000");
        close(honest);
    }
    while (stats(&s).refused_size < CONNS - 8) /* their bytes may still be on the way */
        rest();
    CHECK(stats(&s).kept_size <= max);
    CHECK(closed(fds[0]));
    for (int i = 0; i < CONNS; i++) {
        cut += closed_already(fds[i]);
        close(fds[i]);
    }
    CHECK(cut >= CONNS - 9 && cut < CONNS);
    wait_empty(&s);
    /* one address has half */
    const uint64_t before = stats(&s).refused_size;
    for (int i = 0; i < 6; i++) {
        fds[i] = dial(&s);
        send_head(fds[i], "/", BODY);
        send_some(fds[i], HALF);
    }
    while (stats(&s).refused_size == before)
        rest();
    CHECK(stats(&s).kept_size <= max / 2 + HALF);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    close_site(&s);
}

/* Bodies that say no length are moved on by evhttp, and count all the same. */
static void test_chunks(void)
{
    struct site s;
    open_site(
        &s, (struct ccz_http_server_cfg){.body_size_max = BODY, .kept_size_max = 6 * (size_t)BODY});
    int fds[8];
    const char head[] =
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nC000\r\n"; /* HALF */
    const size_t each = strlen(head) + HALF + 6;
    for (int i = 0; i < 8; i++) {
        fds[i] = dial_from(&s, INADDR_LOOPBACK + (uint32_t)i);
        net_send_all(fds[i], head, strlen(head));
        send_some(fds[i], HALF);
        (void)send(fds[i], "\r\n1\r\nx", 6, MSG_NOSIGNAL);            /* the next chunk begins */
        while (i < 5 && stats(&s).kept_size < (size_t)(i + 1) * each) /* five are not too much */
            rest();
    }
    while (stats(&s).refused_size == 0)
        rest();
    CHECK(stats(&s).kept_size <= 6 * (size_t)BODY && closed(fds[0]));
    const char end[] = "\r\n0\r\n\r\n";
    net_send_all(fds[7], end, strlen(end)); /* the last is a whole one */
    expect_ok(fds[7], "49153");
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    close_site(&s);
}

/* What bytes take, and not what they are: each of these has a buffer of its own in the server. */
static void test_tiny_chunks(void)
{
    struct site s;
    open_site(&s, (struct ccz_http_server_cfg){.body_size_max = BODY});
    const int fd = dial(&s);
    const char head[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";
    net_send_all(fd, head, strlen(head));
    size_t sent = 0;
    while (stats(&s).refused_size == 0 && sent < BODY / 2) {
        const size_t before = stats(&s).kept_size;
        if (send(fd, "1\r\nx\r\n", 6, MSG_NOSIGNAL) != 6)
            break;
        while (stats(&s).kept_size == before && stats(&s).refused_size == 0) /* one packet each */
            rest();
        sent++;
    }
    CHECK(stats(&s).refused_size == 1 && sent < 100 && closed(fd));
    close(fd);
    wait_empty(&s);
    close_site(&s);
}

/* Of each line a header becomes, however short it is. */
static void test_lines(void)
{
    enum { LINES = 10000 };
    struct site s;
    static char lines[3 * LINES];
    open_site(&s, (struct ccz_http_server_cfg){.body_size_max = BODY});
    const int fd = dial(&s);
    const char head[] = "POST / HTTP/1.1\r\n" HOST;
    for (size_t i = 0; i < sizeof(lines); i += 3)
        memcpy(lines + i, ":\r\n", 3);
    net_send_all(fd, head, strlen(head));
    (void)send(fd, lines, sizeof(lines), MSG_NOSIGNAL);
    CHECK(closed(fd) && stats(&s).refused_size == 1);
    close(fd);
    close_site(&s);
}

/* A client that does not take its answer. */
static void test_slow_reader(void)
{
    struct site s;
    open_site(&s,
              (struct ccz_http_server_cfg){.request_timeout_ms = 300, .idle_timeout_ms = 60000});
    const int fd = dial(&s), idle = dial(&s);
    ask(idle);
    send_head(fd, "/large", 0);
    size_t most = 0;
    while (stats(&s).refused_slow == 0) {
        const size_t kept = stats(&s).kept_size;
        most = kept > most ? kept : most;
        rest();
    }
    CHECK(most >= LARGE);
    ask(idle);
    close(fd), close(idle);
    wait_empty(&s);
    /* and many of them have no more than all may have */
    int fds[CONNS];
    close_site(&s);
    open_site(&s, (struct ccz_http_server_cfg){.body_size_max = BODY, .kept_size_max = 4 * LARGE});
    for (int i = 0; i < CONNS; i++) {
        fds[i] = dial_from(&s, INADDR_LOOPBACK + (uint32_t)i);
        send_head(fds[i], "/large", 0);
    }
    while (stats(&s).refused_size < CONNS - 4)
        rest();
    CHECK(stats(&s).kept_size <= 4 * LARGE);
    for (int i = 0; i < CONNS; i++)
        close(fds[i]);
    close_site(&s);
}

/* A byte now and then keeps no connection: the time of a request is limited, of an idle connection by idle_timeout_ms. */
static void test_slow(void)
{
    struct site s;
    open_site(&s,
              (struct ccz_http_server_cfg){.request_timeout_ms = 300, .idle_timeout_ms = 60000});
    int slow = dial(&s), waits = dial(&s), idle = dial(&s);
    ask(idle);
    send_head(waits, "/wait", 0); /* whole: it may take its time */
    CHECK(sem_wait(&s.came) == 0);
    send_head(slow, "/", 1000);
    while (!closed_already(slow)) {
        (void)send(slow, "x", 1, MSG_NOSIGNAL);
        rest();
    }
    CHECK(stats(&s).refused_slow == 1 && !closed_already(waits));
    ask(idle);
    struct ccz_http_req *req = s.waiting;
    net_join(s.loop, s.thread); /* the answer is this thread's now */
    answer(req);
    s.thread = net_start(s.loop);
    expect_ok(waits, "0");
    close(slow), close(waits), close(idle);
    close_site(&s);
}

/* Who leaves before the answer is not forgotten: his request is still there, even when its server is not. */
static void test_gone(void)
{
    struct site s;
    open_site(&s, (struct ccz_http_server_cfg){.body_size_max = BODY});
    for (int server_first = 0; server_first < 2; server_first++) {
        int fd = dial(&s);
        send_head(fd, "/wait", HALF);
        send_some(fd, HALF);
        CHECK(sem_wait(&s.came) == 0);
        close(fd);
        CHECK(stats(&s).kept_size >= HALF);
        net_join(s.loop, s.thread);
        if (server_first) {
            ccz_http_server_free(s.http);
            s.http = NULL;
        }
        answer(s.waiting);
        s.thread = net_start(s.loop);
        if (!server_first)
            wait_empty(&s);
    }
    close_site(&s);
}

static const struct ccz_test tests[] = {
    {"http_bound.connections", test_connections},
    {"http_bound.address", test_address},
    {"http_bound.bodies", test_bodies},
    {"http_bound.chunks", test_chunks},
    {"http_bound.tiny_chunks", test_tiny_chunks},
    {"http_bound.lines", test_lines},
    {"http_bound.slow", test_slow},
    {"http_bound.slow_reader", test_slow_reader},
    {"http_bound.gone", test_gone},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
