/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain client and a plain server, for whatever stands between them (bench/tunnel_peers.sh):
 *     bench_tunnel stream PORT_OF_SERVER PORT_TO_CONNECT SECONDS [CPU_OF_CLIENT CPU_OF_SERVER]
 *     bench_tunnel ping   PORT_OF_SERVER PORT_TO_CONNECT SECONDS [CPU_OF_CLIENT CPU_OF_SERVER] [SIZE]
 * The server listens on 127.0.0.1:PORT_OF_SERVER; equal ports mean that nothing is between. One line, tab separated:
 * stream: MB/s of one connection, client to server; MB in all, with what came before measuring. ping: median, 99th percentile and mean of a round trip in us.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { CHUNK_SIZE = 1 << 18, PINGS_MAX = 2000000, WARM_UP_MS = 300 };

struct server {
    int listener, cpu;
    bool echo;
    size_t size;
    _Atomic uint64_t got;
};

static void pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    must(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

static void send_all(int fd, const uint8_t *p, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, p, size, MSG_NOSIGNAL);
        must(n > 0, "send");
        p += n;
        size -= (size_t)n;
    }
}

static bool recv_all(int fd, uint8_t *p, size_t size)
{
    while (size > 0) {
        ssize_t n = recv(fd, p, size, 0);
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

static void no_delay(int fd)
{
    int on = 1;
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0, "TCP_NODELAY");
}

static void *serve(void *arg)
{
    struct server *s = arg;
    static uint8_t buf[CHUNK_SIZE];
    pin(s->cpu);
    int fd = accept(s->listener, NULL, NULL);
    must(fd >= 0, "accept");
    no_delay(fd);
    for (;;) {
        if (s->echo) {
            if (!recv_all(fd, buf, s->size))
                break;
            send_all(fd, buf, s->size);
        } else {
            ssize_t n = recv(fd, buf, sizeof(buf), 0);
            if (n <= 0)
                break;
            s->got += (uint64_t)n;
        }
    }
    close(fd);
    return NULL;
}

static struct sockaddr_in local(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return in;
}

static int dial(int port)
{
    struct sockaddr_in in = local(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0, "connect");
    no_delay(fd);
    return fd;
}

static void stream(int fd, struct server *s, double seconds)
{
    static uint8_t buf[CHUNK_SIZE];
    int64_t start_ns = wall_ns(), from_ns = start_ns + (int64_t)WARM_UP_MS * 1000000;
    int64_t end_ns = from_ns + (int64_t)(seconds * 1e9), now_ns;
    uint64_t before = 0;
    do {
        send_all(fd, buf, sizeof(buf));
        now_ns = wall_ns();
        if (!before && now_ns >= from_ns) {
            before = s->got;
            from_ns = now_ns;
        }
    } while (now_ns < end_ns);
    printf("%.1f\t%.1f\n", (double)(s->got - before) / 1e6 / ((double)(now_ns - from_ns) / 1e9),
           (double)s->got / 1e6);
}

static int by_size(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void ping(int fd, size_t size, double seconds)
{
    static uint8_t buf[CHUNK_SIZE];
    static int32_t took_ns[PINGS_MAX];
    size_t len = 0;
    int64_t sum_ns = 0, from_ns = wall_ns() + (int64_t)WARM_UP_MS * 1000000;
    int64_t end_ns = from_ns + (int64_t)(seconds * 1e9);
    for (int64_t a = wall_ns(), b; a < end_ns && len < PINGS_MAX; a = b) {
        send_all(fd, buf, size);
        must(recv_all(fd, buf, size), "recv");
        b = wall_ns();
        if (a >= from_ns) {
            took_ns[len++] = (int32_t)(b - a);
            sum_ns += b - a;
        }
    }
    must(len > 0, "no answers");
    qsort(took_ns, len, sizeof(took_ns[0]), by_size);
    printf("%.1f\t%.1f\t%.1f\n", took_ns[len / 2] / 1e3, took_ns[len * 99 / 100] / 1e3,
           (double)sum_ns / (double)len / 1e3);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: bench_tunnel stream|ping SERVER_PORT CONNECT_PORT SECONDS "
                        "[CLIENT_CPU SERVER_CPU [SIZE]]\n");
        return 2;
    }
    struct server s = {.echo = strcmp(argv[1], "ping") == 0,
                       .cpu = argc > 6 ? atoi(argv[6]) : -1,
                       .size = argc > 7 ? (size_t)atoi(argv[7]) : 64};
    must(s.size > 0 && s.size <= CHUNK_SIZE, "size");
    struct sockaddr_in in = local(atoi(argv[2]));
    int on = 1;
    s.listener = socket(AF_INET, SOCK_STREAM, 0);
    must(
        s.listener >= 0 && setsockopt(s.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
            bind(s.listener, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(s.listener, 4) == 0,
        "listen");
    pthread_t t;
    must(pthread_create(&t, NULL, serve, &s) == 0, "pthread_create");
    pin(argc > 5 ? atoi(argv[5]) : -1);
    int fd = dial(atoi(argv[3]));
    if (s.echo)
        ping(fd, s.size, atof(argv[4]));
    else
        stream(fd, &s, atof(argv[4]));
    (void)shutdown(fd, SHUT_WR);
    (void)pthread_join(t, NULL);
    close(fd);
    return 0;
}
