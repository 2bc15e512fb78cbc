/* SPDX-License-Identifier: Apache-2.0 */
/* What goes through a tunnel, in which order, and how it ends. */
#include "tunnel/tunnel_fixture.h"

#include <sys/stat.h>

enum { MIB = 1 << 20 };

static void test_echo(void)
{
    struct fx f = {0};
    struct ccz_tunnel_stats s;
    int client, server;
    fx_open(&f);
    CHECK(ccz_tunnel_port(f.in, 0) && !ccz_tunnel_port(f.in, 1));
    fx_connect(&f, &client, &server);
    send_all(client, "ping", 4);
    recv_text(server, "ping");
    send_all(server, "pong!", 5);
    recv_text(client, "pong!");
    CHECK(f.server_toy.appraised == 1 && f.client_toy.appraised == 1);
    CHECK(log_has("open map=in", "attested=1 fresh=1", "measurement=0000") &&
          log_has("open map=out", "attested=1", NULL));
    close(client);
    CHECK(at_end(server));
    close(server);
    fx_quiet(&f);
    ccz_tunnel_stats(&s, f.out);
    CHECK(s.accepted == 1 && s.refused == 0 && s.failed == 0 && s.limited == 0);
    CHECK(s.bytes_out == 4 && s.bytes_in == 5);
    ccz_tunnel_stats(&s, f.in);
    CHECK(s.bytes_out == 5 && s.bytes_in == 4);
    fx_close(&f);
}

/* Bytes that are there before the connection to the plain server is (its name is looked up first) wait for it. */
static void test_early(void)
{
    char to_server[64];
    struct fx f = {0};
    fx_open(&f);
    ccz_tunnel_free(f.in);
    (void)snprintf(to_server, sizeof(to_server), "localhost:%u", f.listener_port);
    f.in_map.connect = to_server;
    f.in = fx_tunnel(&f, &f.in_map);
    ccz_tunnel_free(f.out);
    char to_tunnel[64];
    (void)snprintf(to_tunnel, sizeof(to_tunnel), "127.0.0.1:%u", ccz_tunnel_port(f.in, 0));
    f.out_map.connect = to_tunnel;
    f.out = fx_tunnel(&f, &f.out_map);
    for (int i = 0; i < 10; i++) {
        int client = fx_dial(&f);
        struct bulk b = {client, 300000, true};
        pthread_t t;
        CHECK(pthread_create(&t, NULL, send_bulk, &b) == 0);
        int server = take(f.listener);
        recv_bulk(server, 300000, true);
        pthread_join(t, NULL);
        close(client);
        close(server);
    }
    fx_quiet(&f);
    fx_close(&f);
}

/* Start of the last of some TLS records. */
static size_t last_record(struct ccz_span wire)
{
    size_t at = 0, next = 0;
    while (next < wire.size) {
        at = next;
        CHECK(wire.size - at >= 5);
        next = at + 5 + ((size_t)wire.ptr[at + 3] << 8 | wire.ptr[at + 4]);
    }
    return at;
}

/* Bytes in one piece with the last message of the handshake: they wait for the plain server, too. The client keeps its HELLO
 * back until it has the server's, so that everything else comes in one flight each. */
static void test_same_flight(void)
{
    struct fx f = {0};
    struct ccz_ratls *r;
    struct ccz_err err = {0};
    static uint8_t buf[65536];
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 20);
    fx_open(&f);
    CHECK(ccz_ratls_new(&r, f.client) == CCZ_OK);
    int fd = dial(ccz_tunnel_port(f.in, 0));
    for (int flight = 0; !ccz_ratls_ready(r); flight++) {
        CHECK(ccz_ratls_step(r, &err) == CCZ_OK);
        if (ccz_ratls_ready(r)) {
            CHECK(ccz_ratls_pending(r) > 0); /* its own last message */
            CHECK(ccz_ratls_write(r, ccz_span_str("early bird"), &err) == CCZ_OK);
            CHECK(ccz_ratls_end(r, &err) == CCZ_OK);
        }
        CHECK(ccz_ratls_drain(&wire, r) == CCZ_OK);
        size_t size = flight == 1 ? last_record(ccz_buf_span(&wire)) : wire.size;
        send_all(fd, wire.ptr, size);
        ccz_buf_consume(&wire, size);
        if (ccz_ratls_ready(r))
            break;
        usleep(200000); /* all that the other side has to say, at once */
        ssize_t n = recv(fd, buf, sizeof(buf), 0);
        CHECK(n > 0 && ccz_ratls_feed(r, CCZ_SPAN(buf, (size_t)n)) == CCZ_OK);
    }
    int server = take(f.listener);
    recv_text(server, "early bird");
    CHECK(at_end(server));
    close(server);
    close(fd);
    ccz_ratls_free(r);
    fx_quiet(&f);
    fx_close(&f);
}

/* Much in both directions at once, then both end. */
static void test_bulk(void)
{
    struct fx f = {0};
    int client, server;
    fx_open(&f);
    fx_connect(&f, &client, &server);
    struct bulk to_client = {server, 20 * MIB, true}, to_server = {client, 20 * MIB + 7, true};
    pthread_t a, b;
    CHECK(pthread_create(&a, NULL, send_bulk, &to_client) == 0);
    CHECK(pthread_create(&b, NULL, send_bulk, &to_server) == 0);
    struct pollfd p = {.fd = server, .events = POLLIN};
    CHECK(poll(&p, 1, WAIT_S * 1000) == 1);
    /* in turns, or the two senders wait for each other */
    uint64_t got[2] = {0}, want[2] = {20 * MIB + 7, 20 * MIB};
    int fds[2] = {server, client};
    static uint8_t buf[65536];
    while (got[0] < want[0] || got[1] < want[1])
        for (int i = 0; i < 2; i++) {
            ssize_t n = recv(fds[i], buf, sizeof(buf), MSG_DONTWAIT);
            for (ssize_t k = 0; k < n; k++)
                CHECK(buf[k] == pattern(got[i] + (uint64_t)k));
            got[i] += n > 0 ? (uint64_t)n : 0;
        }
    CHECK(at_end(client) && at_end(server));
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    fx_quiet(&f);
    CHECK(log_count("cut") == 0);
    close(client);
    close(server);
    fx_close(&f);
}

/* One side says all it has and ends; the other answers at length afterwards. Each way, in both versions. */
static void test_half_close(void)
{
    for (int i = 0; i < 4; i++) {
        struct fx f = {.reattest_ms = i / 2 ? 60000 : 0};
        int client, server;
        fx_open(&f);
        fx_connect(&f, &client, &server);
        int first = i % 2 ? server : client, second = i % 2 ? client : server;
        send_all(client, "hello", 5);
        recv_text(server, "hello");
        struct bulk b = {first, 3 * MIB, true};
        pthread_t t;
        CHECK(pthread_create(&t, NULL, send_bulk, &b) == 0);
        recv_bulk(second, 3 * MIB, true);
        pthread_join(t, NULL);
        usleep(50000); /* long after the end of one direction */
        b = (struct bulk){second, 5 * MIB, true};
        CHECK(pthread_create(&t, NULL, send_bulk, &b) == 0);
        recv_bulk(first, 5 * MIB, true);
        pthread_join(t, NULL);
        fx_quiet(&f);
        CHECK(log_count("cut") == 0 && log_count("closed map") == 2);
        close(client);
        close(server);
        fx_close(&f);
    }
}

/* A direction that ended is evidenced on: for as long as the other one goes on. */
static void test_half_close_again(void)
{
    struct fx f = {.reattest_ms = 20};
    int client, server;
    fx_open(&f);
    fx_connect(&f, &client, &server);
    CHECK(shutdown(client, SHUT_WR) == 0 && at_end(server));
    for (int i = 0; i < 20; i++) {
        send_all(server, "tick", 4);
        recv_text(client, "tick");
        usleep(10000);
    }
    CHECK(log_has("attested again map=in", "round=3", NULL));
    f.server_toy.appraise_rc = CCZ_E_REVOKED; /* the client goes bad, though it says nothing more */
    CHECK(is_cut(client));
    while (send(server, "tick", 4, MSG_NOSIGNAL) >
           0) /* it saw an end before: recv() would say so */
        usleep(1000);
    CHECK(errno == EPIPE || errno == ECONNRESET);
    CHECK(log_has("cut off map=in", "where=policy:mrenclave", NULL));
    CHECK(log_has("cut off map=out", "where=peer:policy:mrenclave", "got=\"11aa\""));
    fx_quiet(&f);
    close(client);
    close(server);
    fx_close(&f);
}

/* Evidence again and again under load: nothing is lost while the wire is busy with it. */
static void test_again(void)
{
    struct fx f = {.reattest_ms = 5};
    int client, server;
    f.server_toy.delay_ms = f.client_toy.delay_ms = 2;
    fx_open(&f);
    fx_connect(&f, &client, &server);
    struct bulk b = {client, 30 * MIB, true};
    pthread_t t;
    CHECK(pthread_create(&t, NULL, send_bulk, &b) == 0);
    recv_bulk(server, 30 * MIB, true);
    pthread_join(t, NULL);
    b = (struct bulk){server, 30 * MIB, true};
    CHECK(pthread_create(&t, NULL, send_bulk, &b) == 0);
    recv_bulk(client, 30 * MIB, true);
    pthread_join(t, NULL);
    fx_quiet(&f);
    CHECK(f.server_toy.attested > 3 && f.client_toy.attested > 3 && log_count("cut") == 0);
    close(client);
    close(server);
    fx_close(&f);
}

/* Memory of this process; of the kernel it says nothing. A sanitizer's is its own affair. */
static long resident_kib(void)
{
    long pages = 0;
#ifndef __SANITIZE_ADDRESS__
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%*d %ld", &pages) == 1);
    (void)fclose(f);
#endif
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Nobody reads: the sender is stopped after what buffers hold, and nothing is lost when reading begins. */
static void test_back_pressure(void)
{
    enum { BOUND = 128 * MIB, LIMIT = 200 * MIB }; /* kernels hold much of three TCP connections */
    for (int i = 0; i < 2; i++) {
        struct fx f = {.cfg = {.buffer_size = 64 << 10}};
        int client, server;
        fx_open(&f);
        fx_connect(&f, &client, &server);
        long before_kib = resident_kib();
        int from = i ? server : client, to = i ? client : server;
        static uint8_t buf[65536];
        uint64_t sent = 0;
        struct pollfd p = {.fd = from, .events = POLLOUT};
        while (sent < LIMIT && poll(&p, 1, 500) == 1) {
            for (size_t k = 0; k < sizeof(buf); k++)
                buf[k] = pattern(sent + k);
            ssize_t n = send(from, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += n > 0 ? (uint64_t)n : 0;
        }
        CHECK(sent > 0 && sent < BOUND);
        CHECK(resident_kib() - before_kib < 16 << 10);
        /* the other direction is not held up */
        send_all(to, "other way", 9);
        recv_text(from, "other way");
        CHECK(shutdown(from, SHUT_WR) == 0);
        recv_bulk(to, sent, true);
        close(client);
        close(server);
        fx_quiet(&f);
        fx_close(&f);
    }
}

static void test_unix(void)
{
    char dir[] = "/tmp/tunnel-XXXXXX", plain[64], server[64], listen_at[80], connect_to[80];
    CHECK(mkdtemp(dir));
    (void)snprintf(plain, sizeof(plain), "%s/plain", dir);
    (void)snprintf(server, sizeof(server), "%s/server", dir);
    (void)snprintf(listen_at, sizeof(listen_at), "unix:%s", plain);
    (void)snprintf(connect_to, sizeof(connect_to), "unix:%s", server);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", server);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&un, sizeof(un)) == 0 && listen(listener, 4) == 0);
    struct fx f = {
        .cfg = {.threads = 3}, .in_map = {.connect = connect_to}, .out_map = {.listen = listen_at}};
    fx_open(&f);
    CHECK(ccz_tunnel_port(f.out, 0) == 0);
    for (int i = 0; i < 6; i++) { /* threads take turns */
        int a = dial_unix(plain), b = take(listener);
        send_all(a, "over unix sockets", 17);
        CHECK(shutdown(a, SHUT_WR) == 0);
        recv_text(b, "over unix sockets");
        CHECK(at_end(b));
        send_all(b, "back", 4);
        close(b);
        recv_text(a, "back");
        CHECK(at_end(a));
        close(a);
    }
    fx_quiet(&f);
    fx_close(&f);
    CHECK(access(plain, F_OK) != 0); /* removed with its listener */
    close(listener);
    CHECK(unlink(server) == 0 && rmdir(dir) == 0);
}

static void test_ipv6(void)
{
    struct fx f = {.in_map = {.listen = "[::1]:0"}, .out_map = {.listen = "[::1]:0"}};
    char to_tunnel[64];
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (probe < 0 || bind(probe, (struct sockaddr *)&in, sizeof(in)) != 0)
        exit(77); /* no IPv6 here */
    socklen_t size = sizeof(in);
    CHECK(getsockname(probe, (struct sockaddr *)&in, &size) == 0);
    close(probe);
    /* a name, and the family that it has */
    (void)snprintf(to_tunnel, sizeof(to_tunnel), "[::1]:%u", ntohs(in.sin6_port));
    f.in_map.listen = f.out_map.connect = to_tunnel;
    fx_open(&f);
    in.sin6_port = htons(ccz_tunnel_port(f.out, 0));
    int client = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(connect(client, (struct sockaddr *)&in, sizeof(in)) == 0);
    set_limits(client);
    int server = take(f.listener);
    send_all(client, "six", 3);
    recv_text(server, "six");
    CHECK(log_has("open map=in", "peer=[::1]:", NULL));
    close(client);
    close(server);
    fx_quiet(&f);
    fx_close(&f);
}

struct talk {
    const struct fx *f;
    unsigned id;
};

static void *talk(void *arg)
{
    const struct talk *t = arg;
    char text[32], got[32];
    int fd = fx_dial(t->f);
    int n = snprintf(text, sizeof(text), "this is %u", t->id);
    for (int round = 0; round < 20; round++) {
        send_all(fd, text, (size_t)n);
        size_t have = 0;
        while (have < (size_t)n) {
            ssize_t k = recv(fd, got + have, (size_t)n - have, 0);
            CHECK(k > 0);
            have += (size_t)k;
        }
        CHECK(memcmp(got, text, (size_t)n) == 0);
    }
    CHECK(shutdown(fd, SHUT_WR) == 0 && at_end(fd));
    close(fd);
    return NULL;
}

static void *echo(void *arg)
{
    int fd = *(int *)arg;
    char buf[4096];
    free(arg);
    for (ssize_t n; (n = recv(fd, buf, sizeof(buf), 0)) > 0;)
        send_all(fd, buf, (size_t)n);
    close(fd);
    return NULL;
}

/* Many at a time, on several threads: nobody gets another's bytes. */
static void test_many(void)
{
    enum { LEN = 60 };
    struct fx f = {.cfg = {.threads = 3}};
    struct talk talks[LEN];
    pthread_t clients[LEN], servers[LEN];
    fx_open(&f);
    for (unsigned i = 0; i < LEN; i++) {
        talks[i] = (struct talk){&f, i};
        CHECK(pthread_create(&clients[i], NULL, talk, &talks[i]) == 0);
    }
    for (unsigned i = 0; i < LEN; i++) {
        int *fd = malloc(sizeof(*fd));
        CHECK(fd);
        *fd = take(f.listener);
        CHECK(pthread_create(&servers[i], NULL, echo, fd) == 0);
    }
    for (unsigned i = 0; i < LEN; i++)
        CHECK(pthread_join(clients[i], NULL) == 0 && pthread_join(servers[i], NULL) == 0);
    fx_quiet(&f);
    struct ccz_tunnel_stats s;
    ccz_tunnel_stats(&s, f.in);
    CHECK(s.accepted == LEN && s.failed == 0 && s.refused == 0);
    fx_close(&f);
}

static const struct ccz_test tests[] = {
    {"tunnel.echo", test_echo},
    {"tunnel.early", test_early},
    {"tunnel.same_flight", test_same_flight},
    {"tunnel.bulk", test_bulk},
    {"tunnel.half_close", test_half_close},
    {"tunnel.half_close_again", test_half_close_again},
    {"tunnel.again", test_again},
    {"tunnel.back_pressure", test_back_pressure},
    {"tunnel.unix", test_unix},
    {"tunnel.ipv6", test_ipv6},
    {"tunnel.many", test_many},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
