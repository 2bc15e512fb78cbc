/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "net_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/un.h>

static struct ccz_loop *new_loop(void)
{
    struct ccz_loop *loop;
    struct ccz_err err;
    CHECK(ccz_loop_new(&loop, &err) == CCZ_OK);
    return loop;
}

/* -------------------------------------------------------------------------- echo under flow
 * control */

/* One side of an echo: whatever arrives goes back; reading rests while the way back is full. */
struct peer {
    struct ccz_conn *conn;
    struct peer **slot; /* set to NULL when freed */
};

static void peer_data(struct ccz_conn *c, void *arg, struct ccz_span data)
{
    (void)arg;
    CHECK(ccz_conn_write(c, data) == CCZ_OK);
    if (!ccz_conn_writable(c))
        ccz_conn_pause(c);
}

static void peer_drained(struct ccz_conn *c, void *arg)
{
    (void)arg;
    ccz_conn_resume(c);
}

static void peer_closed(struct ccz_conn *c, void *arg, const struct ccz_err *err)
{
    struct peer *p = arg;
    (void)err;
    ccz_conn_end(c, 10000); /* the client only closed its side: send the rest */
    *p->slot = NULL;
    free(p);
}

static const struct ccz_conn_ops peer_ops = {
    .on_data = peer_data, .on_drained = peer_drained, .on_closed = peer_closed};

struct server {
    struct ccz_loop *loop;
    struct ccz_listener *listener;
    struct peer *peers[8];
    size_t out_high;
    int accepted;
    int stop_after; /* stop the loop at this many */
};

static void server_accept(void *arg, int fd, const char *peer)
{
    struct server *s = arg;
    CHECK(strncmp(peer, "127.0.0.1:", 10) == 0 || strcmp(peer, "unix:") == 0);
    struct peer *p = calloc(1, sizeof(*p));
    for (size_t i = 0; i < 8 && p && !p->slot; i++) {
        if (!s->peers[i])
            p->slot = &s->peers[i];
    }
    CHECK(p && p->slot);
    *p->slot = p;
    const struct ccz_conn_cfg cfg = {.ops = &peer_ops, .arg = p, .out_high = s->out_high};
    CHECK(ccz_conn_adopt(&p->conn, s->loop, fd, &cfg) == CCZ_OK);
    CHECK(strcmp(ccz_conn_peer(p->conn), peer) == 0 && ccz_conn_loop(p->conn) == s->loop);
    s->accepted++;
}

static void server_open(struct server *s, const char *address)
{
    struct ccz_err err;
    const struct ccz_listen_cfg cfg = {.address = address, .on_accept = server_accept, .arg = s};
    CHECK(ccz_listen(&s->listener, s->loop, &cfg, &err) == CCZ_OK);
}

static void server_close(struct server *s)
{
    ccz_listener_free(s->listener);
    for (size_t i = 0; i < 8; i++) {
        if (s->peers[i])
            ccz_conn_free(s->peers[i]->conn);
        free(s->peers[i]);
    }
}

/* The client sends a stream that depends on the position only, in chunks of random size, and checks
 * what comes back. */
struct client {
    struct ccz_loop *loop;
    struct ccz_conn *conn;
    uint64_t total, sent, got;
    uint32_t seed;
    bool opened, filling, ended;
    size_t pending_max;
    struct ccz_err err;
};

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)((i * 0x9e3779b97f4a7c15u) >> 56);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void client_fill(struct client *c)
{
    static uint8_t chunk[200000];
    while (c->sent < c->total && ccz_conn_writable(c->conn)) {
        /* mostly small, sometimes above the limit of direct sending */
        uint32_t r = next_random(&c->seed);
        size_t size = 1 + (r % 16 == 0 ? next_random(&c->seed) % sizeof(chunk) : r % 3000);
        if (size > c->total - c->sent)
            size = (size_t)(c->total - c->sent);
        if (size > sizeof(chunk))
            size = sizeof(chunk);
        for (size_t i = 0; i < size; i++)
            chunk[i] = pattern(c->sent + i);
        CHECK(ccz_conn_write(c->conn, CCZ_SPAN(chunk, size)) == CCZ_OK);
        c->sent += size;
        if (ccz_conn_pending(c->conn) > c->pending_max)
            c->pending_max = ccz_conn_pending(c->conn);
    }
}

static void client_open(struct ccz_conn *conn, void *arg)
{
    struct client *c = arg;
    CHECK(conn == c->conn && ccz_loop_is_current(c->loop));
    c->opened = true;
    client_fill(c);
}

static void client_data(struct ccz_conn *conn, void *arg, struct ccz_span data)
{
    struct client *c = arg;
    CHECK(data.size > 0 && data.size <= CCZ_CONN_READ_SIZE);
    for (size_t i = 0; i < data.size; i++)
        CHECK(data.ptr[i] == pattern(c->got + i));
    c->got += data.size;
    if (c->got == c->total) {
        c->ended = true;
        ccz_conn_free(conn); /* inside its own callback */
        c->conn = NULL;
        ccz_loop_stop(c->loop);
    }
}

static void client_drained(struct ccz_conn *conn, void *arg)
{
    (void)conn;
    client_fill(arg);
}

static void client_closed(struct ccz_conn *conn, void *arg, const struct ccz_err *err)
{
    struct client *c = arg;
    CHECK(!c->ended);
    c->ended = true;
    c->err = *err;
    ccz_conn_free(conn);
    c->conn = NULL;
    ccz_loop_stop(c->loop);
}

static const struct ccz_conn_ops client_ops = {.on_open = client_open,
                                               .on_data = client_data,
                                               .on_drained = client_drained,
                                               .on_closed = client_closed};

/* @param host  to connect to, with the port of the listener; NULL: connect to @p listen */
static void echo(const char *listen, const char *host, uint64_t total, size_t out_high)
{
    struct ccz_loop *there = new_loop(), *here = new_loop();
    struct server s = {.loop = there, .out_high = out_high};
    server_open(&s, listen);
    struct client c = {.loop = here, .total = total, .seed = 7};
    const struct ccz_conn_cfg cfg = {.ops = &client_ops, .arg = &c, .out_high = out_high};
    char address[CCZ_ADDR_TEXT_SIZE];
    uint16_t port = ccz_listener_port(s.listener);
    CHECK((port == 0) == (host == NULL));
    if (host)
        (void)snprintf(address, sizeof(address), "%s:%u", host, port);
    else
        (void)snprintf(address, sizeof(address), "%s", listen);
    struct ccz_err err;
    CHECK(ccz_conn_connect(&c.conn, here, address, &cfg, &err) == CCZ_OK);
    CHECK(!c.opened && ccz_conn_write(c.conn, ccz_span_str("x")) == CCZ_E_CLOSED);
    pthread_t t = net_start(there);
    CHECK(ccz_loop_run(here, NULL) == CCZ_OK);
    CHECK(c.opened && c.ended && c.got == total && c.err.rc == CCZ_OK);
    /* flow control held: the mark, one chunk above it, no more */
    CHECK(c.pending_max <= (out_high ? out_high : CCZ_CONN_OUT_HIGH) + 200000);
    net_join(there, t);
    CHECK(s.accepted == 1);
    server_close(&s);
    ccz_loop_free(there);
    ccz_loop_free(here);
}

static void test_echo(void)
{
    echo("127.0.0.1:0", "127.0.0.1", 100000000, 0);
}

static void test_echo_small_marks(void)
{
    echo("127.0.0.1:0", "localhost", 5000000, 4096); /* resolved off the loop */
}

static void test_echo_unix(void)
{
    char dir[] = "/tmp/ccz-net-XXXXXX", address[64], path[48];
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/s", dir);
    (void)snprintf(address, sizeof(address), "unix:%s", path);
    echo(address, NULL, 5000000, 0);
    CHECK(access(path, F_OK) != 0); /* removed with the listener */
    CHECK(rmdir(dir) == 0);
}

/* ------------------------------------------------------------------------------ how connections
 * end */

/* Runs one connection to @p address and returns how it was closed. */
static struct ccz_err dial(const char *address, int64_t timeout_ms)
{
    struct ccz_loop *loop = new_loop();
    struct client c = {.loop = loop, .total = 1000};
    const struct ccz_conn_cfg cfg = {
        .ops = &client_ops, .arg = &c, .connect_timeout_ms = timeout_ms};
    struct ccz_err err;
    CHECK(ccz_conn_connect(&c.conn, loop, address, &cfg, &err) == CCZ_OK);
    CHECK(!c.ended);
    CHECK(ccz_loop_run(loop, NULL) == CCZ_OK);
    CHECK(c.ended);
    ccz_loop_free(loop);
    return c.err;
}

/* A listening socket nobody accepts from, with room for @p backlog + 1 connections. */
static int deaf_socket(uint16_t *port, int backlog)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t size = sizeof(in);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(fd, backlog) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&in, &size) == 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static void test_refused(void)
{
    uint16_t port;
    int fd = deaf_socket(&port, 1);
    close(fd); /* a port that nobody has any more */
    char address[64];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    struct ccz_err err = dial(address, 0);
    CHECK(err.rc == CCZ_E_UNAVAILABLE && strcmp(err.where, "net:connect") == 0);
    CHECK(err.aux == ECONNREFUSED && strstr(err.msg, address));
    (void)snprintf(address, sizeof(address), "localhost:%u", port);
    err = dial(address, 0);
    CHECK(err.rc == CCZ_E_UNAVAILABLE && strcmp(err.where, "net:connect") == 0);
    err = dial("unix:/nonexistent/socket", 0);
    CHECK(err.rc == CCZ_E_UNAVAILABLE && err.aux == ENOENT);
    err = dial("no-such-host.invalid:1", 0);
    CHECK(err.rc == CCZ_E_UNAVAILABLE && strcmp(err.where, "net:resolve") == 0 && err.aux != 0);
}

static void test_timeout(void)
{
    uint16_t port;
    int fd = deaf_socket(&port, 0), fill[8];
    for (size_t i = 0; i < 8; i++) { /* a full backlog drops what comes after */
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], (struct sockaddr *)&in, sizeof(in));
    }
    char address[64];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    int64_t start = ccz_mono_ms();
    struct ccz_err err = dial(address, 200);
    CHECK(err.rc == CCZ_E_TIMEOUT && strcmp(err.where, "net:connect-timeout") == 0);
    CHECK(ccz_mono_ms() - start >= 190);
    for (size_t i = 0; i < 8; i++)
        close(fill[i]);
    close(fd);
}

/* Accepts one connection on a thread and ends it as told. */
struct ender {
    int fd;
    bool reset;
};

static void *ender_thread(void *arg)
{
    struct ender *e = arg;
    char buf[1];
    int fd = accept(e->fd, NULL, NULL);
    CHECK(fd >= 0 && recv(fd, buf, 1, 0) == 1);
    struct linger hard = {.l_onoff = 1};
    if (e->reset)
        CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
    else /* read everything, or closing would reset too */
        while (recv(fd, buf, 1, MSG_DONTWAIT) == 1)
            continue;
    close(fd);
    return NULL;
}

static void test_peer_ends(void)
{
    for (int reset = 0; reset < 2; reset++) {
        uint16_t port;
        struct ender e = {.fd = deaf_socket(&port, 4), .reset = reset};
        pthread_t t;
        CHECK(pthread_create(&t, NULL, ender_thread, &e) == 0);
        char address[64];
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        struct ccz_err err = dial(address, 0);
        pthread_join(t, NULL);
        close(e.fd);
        if (reset)
            CHECK(err.rc == CCZ_E_IO && err.aux == ECONNRESET &&
                  strcmp(err.where, "net:read") == 0);
        else
            CHECK(err.rc == CCZ_E_CLOSED && strcmp(err.where, "net:eof") == 0);
    }
}

/* --------------------------------------------------------------------------- bounds, write, end,
 * pause */

struct pair {
    struct ccz_loop *loop;
    struct ccz_conn *conn;
    int fd; /* the other end */
    int drained, closed;
    size_t got;
    struct ccz_err err;
};

static void pair_data(struct ccz_conn *c, void *arg, struct ccz_span data)
{
    struct pair *p = arg;
    p->got += data.size;
    ccz_conn_pause(c); /* one piece at a time */
    ccz_loop_stop(p->loop);
}

static void pair_drained(struct ccz_conn *c, void *arg)
{
    struct pair *p = arg;
    CHECK(ccz_conn_writable(c));
    p->drained++;
    ccz_loop_stop(p->loop);
}

static void pair_closed(struct ccz_conn *c, void *arg, const struct ccz_err *err)
{
    struct pair *p = arg;
    (void)c;
    p->closed++;
    p->err = *err;
    ccz_loop_stop(p->loop);
}

static const struct ccz_conn_ops pair_ops = {
    .on_data = pair_data, .on_drained = pair_drained, .on_closed = pair_closed};

static void pair_open(struct pair *p, const struct ccz_conn_cfg *limits)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    *p = (struct pair){.loop = new_loop(), .fd = fds[1]};
    struct ccz_conn_cfg cfg = limits ? *limits : (struct ccz_conn_cfg){0};
    cfg.ops = &pair_ops;
    cfg.arg = p;
    CHECK(ccz_conn_adopt(&p->conn, p->loop, fds[0], &cfg) == CCZ_OK);
    CHECK((fcntl(fds[0], F_GETFL) & O_NONBLOCK) && (fcntl(fds[0], F_GETFD) & FD_CLOEXEC));
}

static void pair_close(struct pair *p)
{
    ccz_conn_free(p->conn);
    if (p->fd >= 0)
        close(p->fd);
    ccz_loop_free(p->loop);
}

static void stop_loop(void *arg)
{
    ccz_loop_stop(arg);
}

static void turn(struct ccz_loop *loop) /* one turn, or a few */
{
    struct ccz_timer *t;
    CHECK(ccz_timer_new(&t, loop, stop_loop, loop) == CCZ_OK);
    ccz_timer_set(t, 1, 0);
    CHECK(ccz_loop_run(loop, NULL) == CCZ_OK);
    ccz_timer_free(t);
}

static void test_bounds(void)
{
    static uint8_t big[1 << 20];
    struct pair p;
    pair_open(&p, &(struct ccz_conn_cfg){.out_size_max = 2 << 20, .out_high = 1 << 20});
    size_t sent = 0;
    ccz_rc rc;
    while ((rc = ccz_conn_write(p.conn, CCZ_SPAN(big, sizeof(big)))) == CCZ_OK)
        sent += sizeof(big);
    CHECK(rc == CCZ_E_LIMIT && sent >= 2 << 20);
    size_t pending = ccz_conn_pending(p.conn);
    CHECK(pending <= 2 << 20 && pending > 1 << 20 && !ccz_conn_writable(p.conn));
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, (2 << 20) - pending)) == CCZ_OK); /* exactly full */
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, 1)) == CCZ_E_LIMIT);
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, 0)) == CCZ_OK);
    sent += (2 << 20) - pending;
    size_t got = 0;
    while (p.drained == 0) { /* told once, at the low mark */
        ssize_t n = recv(p.fd, big, 30000, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        turn(p.loop);
    }
    CHECK(ccz_conn_pending(p.conn) <= 1 << 18 && p.drained == 1);
    while (got < sent) {
        ssize_t n = recv(p.fd, big, 30000, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            turn(p.loop);
    }
    CHECK(got == sent && ccz_conn_pending(p.conn) == 0 && p.drained == 1 && p.closed == 0);
    pair_close(&p);
}

/* Small writes of one turn leave in one system call: one datagram on a sequenced-packet socket. */
static void test_coalesce(void)
{
    int fds[2];
    struct pair p = {.loop = new_loop()};
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
    const struct ccz_conn_cfg cfg = {.ops = &pair_ops, .arg = &p};
    CHECK(ccz_conn_adopt(&p.conn, p.loop, fds[0], &cfg) == CCZ_OK);
    p.fd = fds[1];
    for (int i = 0; i < 100; i++)
        CHECK(ccz_conn_write(p.conn, ccz_span_str("0123456789")) == CCZ_OK);
    CHECK(ccz_conn_pending(p.conn) == 1000);
    turn(p.loop);
    char buf[2000];
    CHECK(ccz_conn_pending(p.conn) == 0 && recv(p.fd, buf, sizeof(buf), 0) == 1000);
    pair_close(&p);
}

/* What is pushed leaves before the turn ends; what follows, at its end. */
static void test_push(void)
{
    struct pair p;
    char buf[32];
    pair_open(&p, NULL);
    CHECK(ccz_conn_write(p.conn, ccz_span_str("first")) == CCZ_OK && ccz_conn_pending(p.conn) == 5);
    CHECK(recv(p.fd, buf, sizeof(buf), MSG_DONTWAIT) < 0);
    ccz_conn_push(p.conn);
    CHECK(ccz_conn_pending(p.conn) == 0 && recv(p.fd, buf, sizeof(buf), MSG_DONTWAIT) == 5);
    ccz_conn_push(p.conn); /* nothing: no harm */
    CHECK(ccz_conn_write(p.conn, ccz_span_str("second")) == CCZ_OK);
    turn(p.loop);
    CHECK(ccz_conn_pending(p.conn) == 0 && recv(p.fd, buf, sizeof(buf), MSG_DONTWAIT) == 6);
    /* a failure is told by on_closed(), at the end of the turn */
    CHECK(ccz_conn_write(p.conn, ccz_span_str("third")) == CCZ_OK);
    ccz_conn_pause(p.conn);
    close(p.fd);
    p.fd = -1;
    for (int i = 0; i < 10 && ccz_conn_write(p.conn, ccz_span_str("more")) == CCZ_OK; i++)
        ccz_conn_push(p.conn);
    CHECK(p.closed == 0);
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK && p.closed == 1 && p.err.rc == CCZ_E_IO);
    pair_close(&p);
}

static void test_pause(void)
{
    struct pair p;
    pair_open(&p, NULL);
    net_send_all(p.fd, "abc", 3);
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
    CHECK(p.got == 3); /* and paused now */
    net_send_all(p.fd, "def", 3);
    close(p.fd);
    p.fd = -1;
    turn(p.loop);
    CHECK(p.got == 3 && p.closed == 0);
    ccz_conn_resume(p.conn);
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
    CHECK(p.got == 6 && p.closed == 0);
    ccz_conn_resume(p.conn);
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
    CHECK(p.closed == 1 && p.err.rc == CCZ_E_CLOSED);
    pair_close(&p);
}

/* A failed write is told by on_closed(), never from inside ccz_conn_write(). */
static void test_write_fails(void)
{
    static uint8_t big[1 << 16];
    for (size_t size = 10; size <= sizeof(big); size = sizeof(big) + (size == sizeof(big))) {
        struct pair p;
        pair_open(&p, NULL);
        ccz_conn_pause(p.conn); /* so that the end is met while writing */
        close(p.fd);
        p.fd = -1;
        CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, size)) == CCZ_OK && p.closed == 0);
        CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
        CHECK(p.closed == 1 && p.err.rc == CCZ_E_IO && p.err.aux == EPIPE);
        CHECK(strcmp(p.err.where, "net:write") == 0);
        CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, size)) == CCZ_E_CLOSED);
        pair_close(&p);
    }
}

/* As many bytes as @p buf has, then the peer's end. */
static void recv_all(int fd, uint8_t *buf, size_t size)
{
    size_t got = 0;
    ssize_t n;
    while ((n = recv(fd, buf, size, 0)) > 0)
        got += (size_t)n;
    CHECK(n == 0 && got == size);
}

/* Our direction ends behind what is pending; the other one goes on. */
static void test_shutdown(void)
{
    static uint8_t big[3 << 20];
    struct pair p;
    pair_open(&p, &(struct ccz_conn_cfg){.out_high = 8 << 20}); /* told of the end only */
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, sizeof(big))) == CCZ_OK);
    ccz_conn_shutdown(p.conn);
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, 1)) == CCZ_E_CLOSED);
    turn(p.loop);
    CHECK(p.drained == 0 && ccz_conn_pending(p.conn) > 0);
    pthread_t t = net_start(p.loop);
    recv_all(p.fd, big, sizeof(big));
    CHECK(pthread_join(t, NULL) == 0); /* on_drained() stopped it */
    CHECK(p.drained == 1 && p.closed == 0);
    net_send_all(p.fd, "abc", 3);
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
    CHECK(p.got == 3);
    pair_close(&p);

    pair_open(&p, NULL); /* nothing was pending; and for the end alone */
    ccz_conn_tell_sent(p.conn);
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, 10)) == CCZ_OK);
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
    CHECK(p.drained == 1 && ccz_conn_pending(p.conn) == 0);
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, 10)) == CCZ_OK);
    turn(p.loop);
    CHECK(p.drained == 1); /* told once */
    ccz_conn_shutdown(p.conn);
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
    CHECK(recv(p.fd, big, sizeof(big), 0) == 20 && recv(p.fd, big, 1, 0) == 0);
    pair_close(&p);
}

/* As pair_open(), over TCP. @return the socket of the connection, which owns it */
static int pair_open_tcp(struct pair *p)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t size = sizeof(in);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&in, sizeof(in)) == 0 &&
          listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&in, &size) == 0);
    int fd = net_dial(ntohs(in.sin_port)), peer = accept(listener, NULL, NULL);
    close(listener);
    *p = (struct pair){.loop = new_loop(), .fd = fd};
    const struct ccz_conn_cfg cfg = {.ops = &pair_ops, .arg = p, .keepalive = true};
    CHECK(ccz_conn_adopt(&p->conn, p->loop, peer, &cfg) == CCZ_OK);
    return peer;
}

static void pair_hang_up(struct pair *p, bool reset)
{
    struct linger now = {.l_onoff = 1};
    CHECK(!reset || setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
    close(p->fd);
    p->fd = -1;
}

/* A reset is no end in order. */
static void test_reset(void)
{
    struct pair p;
    char byte;
    int peer = pair_open_tcp(&p), on = 0;
    socklen_t size = sizeof(on);
    CHECK(getsockopt(peer, SOL_SOCKET, SO_KEEPALIVE, &on, &size) == 0 && on);
    ccz_conn_reset(p.conn);
    ccz_conn_reset(NULL);
    CHECK(recv(p.fd, &byte, 1, 0) == -1 && errno == ECONNRESET);
    p.conn = NULL;
    pair_close(&p);
}

static void expect_eof(struct pair *p)
{
    CHECK(ccz_loop_run(p->loop, NULL) == CCZ_OK);
    CHECK(p->closed == 1 && p->err.rc == CCZ_E_CLOSED);
}

/* Behind its end a peer may still take what is sent; when it does not any more, that is told too. */
static void test_gone_after_end(void)
{
    struct pair p;
    (void)pair_open_tcp(&p); /* who writes meets it */
    pair_hang_up(&p, false);
    expect_eof(&p);
    CHECK(ccz_conn_write(p.conn, ccz_span_str("download")) == CCZ_OK);
    for (int i = 0; i < 1000 && p.closed == 1; i++) {
        (void)!ccz_conn_write(p.conn, ccz_span_str("download"));
        turn(p.loop);
    }
    CHECK(p.closed == 2 && p.err.rc == CCZ_E_IO);
    CHECK(ccz_conn_write(p.conn, ccz_span_str("download")) == CCZ_E_CLOSED);
    ccz_conn_shutdown(p.conn);
    turn(p.loop);
    CHECK(p.closed == 2 && p.drained == 0);
    pair_close(&p);

    (void)pair_open_tcp(&p); /* and who does not */
    CHECK(shutdown(p.fd, SHUT_WR) == 0);
    expect_eof(&p);
    turn(p.loop);
    CHECK(p.closed == 1); /* nothing has happened */
    pair_hang_up(&p, true);
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
    CHECK(p.closed == 2 && p.err.rc == CCZ_E_IO && strcmp(p.err.where, "net:read") == 0);
    pair_close(&p);
}

/* More than the kernel takes at once goes on behind the peer's end, and in a connection that was given up then. */
static void test_send_after_end(void)
{
    static uint8_t big[3 << 20];
    for (int ended = 0; ended < 2; ended++) {
        struct pair p;
        pair_open(&p, &(struct ccz_conn_cfg){.out_high = 8 << 20}); /* told of the end only */
        CHECK(shutdown(p.fd, SHUT_WR) == 0);
        expect_eof(&p);
        CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, sizeof(big))) == CCZ_OK);
        if (ended) {
            ccz_conn_end(p.conn, 20000);
            p.conn = NULL;
        } else {
            ccz_conn_shutdown(p.conn);
        }
        pthread_t t = net_start(p.loop);
        recv_all(p.fd, big, sizeof(big));
        if (ended)
            net_join(p.loop, t);
        else
            CHECK(pthread_join(t, NULL) == 0); /* on_drained() stopped it */
        CHECK(p.closed == 1 && p.drained == !ended);
        pair_close(&p);
    }
}

/* ccz_conn_fail() is heard of like a failed write. */
static void test_fail(void)
{
    struct pair p;
    pair_open(&p, NULL);
    CHECK(ccz_conn_write(p.conn, ccz_span_str("lost")) == CCZ_OK);
    ccz_conn_fail(p.conn, ENOMEM);
    ccz_conn_fail(p.conn, EIO); /* the first reason stays */
    CHECK(p.closed == 0 && ccz_conn_write(p.conn, ccz_span_str("x")) == CCZ_E_CLOSED);
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
    CHECK(p.closed == 1 && p.err.rc == CCZ_E_IO && p.err.aux == ENOMEM);
    ccz_conn_fail(p.conn, EIO);
    turn(p.loop);
    char byte;
    CHECK(p.closed == 1 && recv(p.fd, &byte, 1, 0) == 0);
    pair_close(&p);
}

/* ccz_conn_end() delivers everything, then the end of the stream, and frees. */
static void test_end(void)
{
    static uint8_t big[3 << 20];
    struct pair p;
    pair_open(&p, NULL);
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, sizeof(big))) == CCZ_OK);
    net_send_all(p.fd, "unread", 6);
    ccz_conn_end(p.conn, 10000);
    p.conn = NULL;
    pthread_t t = net_start(p.loop);
    recv_all(p.fd, big, sizeof(big));
    net_join(p.loop, t);
    CHECK(p.closed == 0 && p.got == 0);
    pair_close(&p);

    pair_open(&p, NULL); /* nobody reads: the time limit frees; the loop's end does it too */
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, sizeof(big))) == CCZ_OK);
    ccz_conn_end(p.conn, 20);
    p.conn = NULL;
    struct pollfd pf = {.fd = p.fd, .events = 0};
    t = net_start(p.loop);
    CHECK(poll(&pf, 1, 5000) == 1 && (pf.revents & POLLHUP));
    net_join(p.loop, t);
    pair_close(&p);

    pair_open(&p, NULL);
    ccz_conn_end(p.conn, 100000);
    p.conn = NULL;
    pair_close(&p);
}

/* A loop that finishes sends what was written before it ends, and then ends by itself. */
static void test_finish(void)
{
    static uint8_t big[3 << 20];
    struct pair p;
    pair_open(&p, NULL);
    CHECK(ccz_conn_write(p.conn, CCZ_SPAN(big, sizeof(big))) == CCZ_OK);
    ccz_conn_end(p.conn, 10000);
    p.conn = NULL;
    ccz_loop_finish(p.loop);
    pthread_t t = net_start(p.loop);
    recv_all(p.fd, big, sizeof(big));
    close(p.fd); /* the end that was waited for */
    CHECK(pthread_join(t, NULL) == 0);
    p.fd = -1;
    pair_close(&p);

    pair_open(&p, NULL); /* nothing to wait for */
    ccz_loop_finish(p.loop);
    t = net_start(p.loop);
    CHECK(pthread_join(t, NULL) == 0);
    pair_close(&p);
}

/* ---------------------------------------------------------------------------------------- listener
 */

static void count_accept(void *arg, int fd, const char *peer)
{
    struct server *s = arg;
    (void)peer;
    close(fd);
    if (++s->accepted == s->stop_after)
        ccz_loop_stop(s->loop);
}

static void test_listen(void)
{
    struct ccz_err err;
    struct server s = {.loop = new_loop(), .stop_after = 40}, other = {.loop = new_loop()};
    struct ccz_listen_cfg cfg = {
        .address = "127.0.0.1:0", .reuse_port = true, .on_accept = count_accept, .arg = &s};
    CHECK(ccz_listen(&s.listener, s.loop, &cfg, &err) == CCZ_OK);
    uint16_t port = ccz_listener_port(s.listener);
    CHECK(port != 0);
    char address[64];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    cfg.address = address;
    cfg.arg = &other;
    CHECK(ccz_listen(&other.listener, other.loop, &cfg, &err) == CCZ_OK); /* shares the port */
    CHECK(ccz_listener_port(other.listener) == port);
    ccz_listener_free(other.listener);
    cfg.reuse_port = false;
    CHECK(ccz_listen(&other.listener, other.loop, &cfg, &err) == CCZ_E_IO);
    CHECK(strcmp(err.where, "net:listen") == 0 && err.aux == EADDRINUSE && !other.listener);
    int fds[40];
    for (size_t i = 0; i < 40; i++)
        fds[i] = net_dial(port);
    CHECK(ccz_loop_run(s.loop, NULL) == CCZ_OK);
    CHECK(s.accepted == 40);
    for (size_t i = 0; i < 40; i++)
        close(fds[i]);
    ccz_listener_free(s.listener);
    ccz_listener_free(NULL);
    ccz_loop_free(s.loop);
    ccz_loop_free(other.loop);
}

/* Without file descriptors accepting rests; the connection is taken when there are some again. */
static void test_emfile(void)
{
    struct server s = {.loop = new_loop(), .stop_after = 1};
    const struct ccz_listen_cfg cfg = {
        .address = "127.0.0.1:0", .on_accept = count_accept, .arg = &s};
    CHECK(ccz_listen(&s.listener, s.loop, &cfg, NULL) == CCZ_OK);
    int fd = net_dial(ccz_listener_port(s.listener));
    struct rlimit old, none;
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    none = old;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    turn(s.loop);
    CHECK(s.accepted == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    CHECK(ccz_loop_run(s.loop, NULL) == CCZ_OK);
    CHECK(s.accepted == 1);
    close(fd);
    ccz_listener_free(s.listener);
    ccz_loop_free(s.loop);
}

static void free_listener(void *arg, int fd, const char *peer)
{
    struct server *s = arg;
    (void)peer;
    close(fd);
    ccz_listener_free(s->listener);
    ccz_loop_stop(s->loop);
}

static void test_listener_free(void)
{
    struct server s = {.loop = new_loop()};
    const struct ccz_listen_cfg cfg = {
        .address = "127.0.0.1:0", .on_accept = free_listener, .arg = &s};
    CHECK(ccz_listen(&s.listener, s.loop, &cfg, NULL) == CCZ_OK);
    int fd = net_dial(ccz_listener_port(s.listener));
    CHECK(ccz_loop_run(s.loop, NULL) == CCZ_OK);
    close(fd);
    ccz_loop_free(s.loop);
}

/* --------------------------------------------------------------------------------------- addresses
 */

static void test_address(void)
{
    static const char *const bad[] = {
        "",         "127.0.0.1",      "127.0.0.1:", ":80",   "127.0.0.1:65536", "127.0.0.1:01",
        "h:-1",     "h: 1",           "h:1x",       "[::1]", "[::1]:",          "[zz]:1",
        "::1:80",   "[127.0.0.1]:80", "a b:1",      "a/b:1", "unix:",           "[]:1",
        "h:123456", "\xc3\xa4:1",     "a\n:1",
    };
    struct ccz_loop *loop = new_loop();
    const struct ccz_conn_cfg cfg = {.ops = &client_ops};
    struct ccz_conn *c;
    struct ccz_err err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK(ccz_conn_connect(&c, loop, bad[i], &cfg, &err) == CCZ_E_FORMAT && !c);
        CHECK(strcmp(err.where, "net:address") == 0 && err.hint[0] != 0);
    }
    char longer[400];
    memset(longer, 'a', sizeof(longer));
    memcpy(longer + 390, ":1", 3);
    CHECK(ccz_conn_connect(&c, loop, longer, &cfg, &err) == CCZ_E_FORMAT);
    memcpy(longer, "unix:/", 6);
    CHECK(ccz_conn_connect(&c, loop, longer, &cfg, &err) == CCZ_E_FORMAT);
    struct ccz_listener *l;
    const struct ccz_listen_cfg name = {.address = "localhost:0"};
    CHECK(ccz_listen(&l, loop, &name, &err) == CCZ_E_FORMAT && !l);
    /* freed while the name is still being looked up, then the loop too */
    CHECK(ccz_conn_connect(&c, loop, "localhost:1", &cfg, &err) == CCZ_OK);
    ccz_conn_free(c);
    ccz_conn_free(NULL);
    ccz_loop_free(loop);
}

struct looked {
    struct ccz_loop *loop;
    size_t calls, len;
    bool loopback;
    struct ccz_err err;
};

static void on_looked_up(void *arg, const char (*addresses)[CCZ_ADDR_TEXT_SIZE], size_t len,
                         const struct ccz_err *err)
{
    struct looked *l = arg;
    l->calls++;
    l->len = len;
    if (err)
        l->err = *err;
    CHECK((err == NULL) == (len > 0));
    for (size_t i = 0; i < len; i++) {
        bool name;
        CHECK(ccz_address_check(&name, addresses[i], NULL) == CCZ_OK && !name);
        l->loopback |=
            strcmp(addresses[i], "127.0.0.1:1234") == 0 || strcmp(addresses[i], "[::1]:1234") == 0;
    }
    ccz_loop_stop(l->loop);
}

/* Threads of look-ups that were given up end by themselves. Until then memory of the resolver is theirs, which a check for leaks at the end
 * of the process takes for lost. */
static void wait_for_threads(void)
{
    for (int i = 0; i < 1000; i++) {
        DIR *d = opendir("/proc/self/task");
        size_t entries = 0;
        while (d && readdir(d))
            entries++;
        if (d)
            (void)closedir(d);
        if (entries <= 3) /* ".", ".." and this one */
            return;
        (void)usleep(10000);
    }
}

static void test_lookup(void)
{
    bool name;
    struct ccz_lookup *l;
    struct looked got = {.loop = new_loop()};
    struct ccz_err err;
    CHECK(ccz_address_check(&name, "localhost:1", &err) == CCZ_OK && name);
    CHECK(ccz_address_check(&name, "unix:/x", &err) == CCZ_OK && !name);
    CHECK(ccz_address_check(&name, "[localhost]:1", &err) == CCZ_E_FORMAT && !name);
    CHECK(ccz_lookup_start(&l, got.loop, "a b:1", on_looked_up, &got, &err) == CCZ_E_FORMAT && !l);
    CHECK(ccz_lookup_start(&l, got.loop, "127.0.0.1:1", on_looked_up, &got, &err) == CCZ_E_ARG);
    CHECK(ccz_lookup_start(&l, got.loop, "localhost:1234", on_looked_up, &got, &err) == CCZ_OK);
    CHECK(got.calls == 0 && ccz_loop_run(got.loop, &err) == CCZ_OK);
    CHECK(got.calls == 1 && got.loopback && got.err.rc == CCZ_OK);
    /* RFC 6761: this name never has an address */
    CHECK(ccz_lookup_start(&l, got.loop, "nobody.invalid:1", on_looked_up, &got, &err) == CCZ_OK);
    CHECK(ccz_loop_run(got.loop, &err) == CCZ_OK && got.calls == 2 && got.len == 0);
    CHECK(got.err.rc == CCZ_E_UNAVAILABLE && strcmp(got.err.where, "net:resolve") == 0 &&
          got.err.aux != 0);
    CHECK(ccz_lookup_start(&l, got.loop, "localhost:1", on_looked_up, &got, &err) == CCZ_OK);
    ccz_lookup_cancel(l);
    ccz_lookup_cancel(NULL);
    ccz_loop_free(got.loop);
    CHECK(got.calls == 2);
    wait_for_threads();
}

static const struct ccz_test tests[] = {
    {"conn.echo", test_echo},
    {"conn.echo_small_marks", test_echo_small_marks},
    {"conn.echo_unix", test_echo_unix},
    {"conn.refused", test_refused},
    {"conn.timeout", test_timeout},
    {"conn.peer_ends", test_peer_ends},
    {"conn.bounds", test_bounds},
    {"conn.coalesce", test_coalesce},
    {"conn.push", test_push},
    {"conn.pause", test_pause},
    {"conn.write_fails", test_write_fails},
    {"conn.shutdown", test_shutdown},
    {"conn.reset", test_reset},
    {"conn.gone_after_end", test_gone_after_end},
    {"conn.send_after_end", test_send_after_end},
    {"conn.fail", test_fail},
    {"conn.end", test_end},
    {"conn.finish", test_finish},
    {"net.listen", test_listen},
    {"net.emfile", test_emfile},
    {"net.listener_free", test_listener_free},
    {"net.address", test_address},
    {"net.lookup", test_lookup},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
