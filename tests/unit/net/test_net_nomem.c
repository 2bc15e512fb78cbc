/* SPDX-License-Identifier: Apache-2.0 */
/* Without memory connections and timers fail as they say, and are never silent: each allocation in turn fails, libevent's too. */
#define _DEFAULT_SOURCE
#include "net_test.h"

#include "nomem.h"

#include <poll.h>

void event_set_mem_functions(void *(*malloc_fn)(size_t size),
                             void *(*realloc_fn)(void *p, size_t size), void (*free_fn)(void *p));

struct end {
    struct ccz_loop *loop;
    struct ccz_conn *conn;
    int fd; /* the other end */
    int opened, closed;
    size_t got;
    struct ccz_err err;
};

static void on_open(struct ccz_conn *c, void *arg)
{
    struct end *e = arg;
    (void)c;
    e->opened++;
    ccz_loop_stop(e->loop);
}

static void on_data(struct ccz_conn *c, void *arg, struct ccz_span data)
{
    struct end *e = arg;
    (void)c;
    e->got += data.size;
    ccz_loop_stop(e->loop);
}

static void on_closed(struct ccz_conn *c, void *arg, const struct ccz_err *err)
{
    struct end *e = arg;
    (void)c;
    e->closed++;
    e->err = *err;
    ccz_loop_stop(e->loop);
}

static const struct ccz_conn_ops ops = {
    .on_open = on_open, .on_data = on_data, .on_closed = on_closed};

/* A new loop each time: what libevent keeps from earlier use would hide what it asks for. */
static struct end end_new(int *own)
{
    struct end e = {0};
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(ccz_loop_new(&e.loop, NULL) == CCZ_OK);
    e.fd = fds[1];
    *own = fds[0];
    return e;
}

static void end_free(struct end *e)
{
    ccz_conn_free(e->conn);
    close(e->fd);
    ccz_loop_free(e->loop);
}

static ccz_rc adopt(struct end *e, int fd)
{
    const struct ccz_conn_cfg cfg = {.ops = &ops, .arg = e};
    return ccz_conn_adopt(&e->conn, e->loop, fd, &cfg);
}

/* A connection that was taken over hears its peer. */
static void test_adopt(void)
{
    ccz_rc rc = CCZ_E_NOMEM;
    long k = 0;
    for (; rc != CCZ_OK; k++) {
        int fd;
        struct end e = end_new(&fd);
        nomem_left = k;
        rc = adopt(&e, fd);
        nomem_left = -1;
        if (rc == CCZ_OK) {
            net_send_all(e.fd, "x", 1);
            CHECK(ccz_loop_run(e.loop, NULL) == CCZ_OK && e.got == 1);
        } else {
            CHECK(rc == CCZ_E_NOMEM && !e.conn);
        }
        end_free(&e);
    }
    CHECK(k > 4);
}

static int listen_local(char address[32])
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t size = sizeof(in);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(fd, 1) == 0 &&
          getsockname(fd, (struct sockaddr *)&in, &size) == 0);
    (void)snprintf(address, 32, "127.0.0.1:%u", ntohs(in.sin_port));
    return fd;
}

/* Whatever fails, and wherever: it opens and hears its peer, or says why not. */
static void test_connect(void)
{
    bool hit = true;
    long k = 0;
    for (; hit; k++) {
        char address[32];
        struct end e = {0};
        const struct ccz_conn_cfg cfg = {.ops = &ops, .arg = &e};
        int listener = listen_local(address); /* each has its own: nobody else's connection waits */
        CHECK(ccz_loop_new(&e.loop, NULL) == CCZ_OK);
        nomem_left = k;
        ccz_rc rc = ccz_conn_connect(&e.conn, e.loop, address, &cfg, NULL);
        CHECK(rc == CCZ_OK || (rc == CCZ_E_NOMEM && !e.conn));
        if (rc == CCZ_OK)
            CHECK(ccz_loop_run(e.loop, NULL) == CCZ_OK && e.opened + e.closed == 1);
        hit = nomem_left < 0;
        nomem_left = -1;
        CHECK(!e.closed || e.err.aux == ENOMEM);
        if (e.opened) {
            e.fd = accept(listener, NULL, NULL);
            net_send_all(e.fd, "x", 1);
            CHECK(ccz_loop_run(e.loop, NULL) == CCZ_OK && e.got == 1);
            close(e.fd);
        }
        ccz_conn_free(e.conn);
        ccz_loop_free(e.loop);
        close(listener);
    }
    CHECK(k > 4);
}

static void stop_loop(void *arg)
{
    ccz_loop_stop(arg);
}

static void test_timer(void)
{
    struct ccz_loop *loop;
    struct ccz_timer *t;
    CHECK(ccz_loop_new(&loop, NULL) == CCZ_OK);
    CHECK(ccz_timer_new(&t, loop, stop_loop, loop) == CCZ_OK);
    nomem_left = 0;
    CHECK(!ccz_timer_set(t, 1, 0));
    nomem_left = -1;
    CHECK(ccz_timer_set(t, 60000, 0));
    nomem_left = 0;
    CHECK(ccz_timer_set(t, 1, 0)); /* only moved */
    nomem_left = -1;
    CHECK(ccz_loop_run(loop, NULL) == CCZ_OK);
    ccz_timer_free(t);
    ccz_loop_free(loop);
}

/* Without memory for its limit a connection is not kept: the peer that takes nothing would keep it for ever. */
static void test_end(void)
{
    static uint8_t big[3 << 20];
    int fd;
    struct end e = end_new(&fd);
    CHECK(adopt(&e, fd) == CCZ_OK);
    CHECK(ccz_conn_write(e.conn, CCZ_SPAN(big, sizeof(big))) == CCZ_OK);
    nomem_left = 0;
    ccz_conn_end(e.conn, 1);
    CHECK(nomem_left < 0);
    nomem_left = -1;
    e.conn = NULL;
    pthread_t t = net_start(e.loop);
    struct pollfd p = {.fd = e.fd, .events = 0};
    CHECK(poll(&p, 1, 10000) == 1 && (p.revents & POLLHUP));
    net_join(e.loop, t);
    end_free(&e);
}

/* What the kernel has taken a part of cannot be taken back: the connection is over. */
static void test_write(void)
{
    static uint8_t big[3 << 20];
    int fd;
    struct end e = end_new(&fd);
    CHECK(adopt(&e, fd) == CCZ_OK);
    nomem_left = 0;
    CHECK(ccz_conn_write(e.conn, CCZ_SPAN(big, 100)) == CCZ_E_NOMEM);
    CHECK(ccz_conn_pending(e.conn) == 0);
    nomem_left = 0;
    CHECK(ccz_conn_write(e.conn, CCZ_SPAN(big, sizeof(big))) == CCZ_OK && e.closed == 0);
    CHECK(nomem_left < 0 && recv(e.fd, big, 1, MSG_DONTWAIT) == 1);
    nomem_left = -1;
    CHECK(ccz_conn_write(e.conn, CCZ_SPAN(big, 1)) == CCZ_E_CLOSED);
    CHECK(ccz_loop_run(e.loop, NULL) == CCZ_OK);
    CHECK(e.closed == 1 && e.err.rc == CCZ_E_IO && e.err.aux == ENOMEM);
    end_free(&e);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"net.nomem_adopt", test_adopt}, {"net.nomem_connect", test_connect},
        {"net.nomem_timer", test_timer}, {"net.nomem_end", test_end},
        {"net.nomem_write", test_write},
    };
    if (!nomem_openssl()) /* nothing here uses it; the header wants to be whole */
        return 1;
    event_set_mem_functions(__wrap_malloc, __wrap_realloc, free);
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
