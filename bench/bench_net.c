/* SPDX-License-Identifier: Apache-2.0 */
/* Connections over 127.0.0.1 between two loops, each on a thread of its own:
 *     bench_net [SECONDS]
 * One line per measurement, tab separated: name, connections, messages in flight on each, value,
 * unit.
 *
 * echo    messages of 64 bytes, sent one by one and answered one by one (a small RPC without its
 * protocol); counts answers stream  chunks of 64 KiB under flow control, one way; counts bytes */
#define _GNU_SOURCE
#include <cczoo/net.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_SIZE = 64, CHUNK_SIZE = 65536, CONNS_MAX = 64 };

static const uint8_t chunk[CHUNK_SIZE];

struct side {
    struct ccz_loop *loop;
    struct ccz_conn *conns[CONNS_MAX];
    unsigned len;
    unsigned in_flight; /* echo: messages on each connection; 0: stream */
    uint64_t got;       /* bytes */
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_net: %s failed\n", what);
        exit(1);
    }
}

static void send_messages(struct ccz_conn *c, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        must(ccz_conn_write(c, CCZ_SPAN(chunk, MESSAGE_SIZE)) == CCZ_OK, "write");
}

/* A message may arrive in pieces; whole ones are counted by the bytes so far. */
static uint64_t count_messages(struct side *s, struct ccz_span data)
{
    uint64_t before = s->got / MESSAGE_SIZE;
    s->got += data.size;
    return s->got / MESSAGE_SIZE - before;
}

static void server_data(struct ccz_conn *c, void *arg, struct ccz_span data)
{
    struct side *s = arg;
    uint64_t n = count_messages(s, data);
    if (s->in_flight > 0)
        send_messages(c, n);
}

static void client_data(struct ccz_conn *c, void *arg, struct ccz_span data)
{
    send_messages(c, count_messages(arg, data));
}

static void fill(struct ccz_conn *c, void *arg)
{
    (void)arg;
    while (ccz_conn_writable(c))
        must(ccz_conn_write(c, CCZ_SPAN(chunk, CHUNK_SIZE)) == CCZ_OK, "write");
}

static void client_open(struct ccz_conn *c, void *arg)
{
    struct side *s = arg;
    if (s->in_flight > 0)
        send_messages(c, s->in_flight);
    else
        fill(c, s);
}

static void on_closed(struct ccz_conn *c, void *arg, const struct ccz_err *err)
{
    (void)c;
    (void)arg;
    must(false, err->msg);
}

static const struct ccz_conn_ops server_ops = {.on_data = server_data, .on_closed = on_closed};
static const struct ccz_conn_ops client_ops = {
    .on_open = client_open, .on_data = client_data, .on_drained = fill, .on_closed = on_closed};
static const struct ccz_conn_ops stream_ops = {
    .on_open = client_open, .on_drained = fill, .on_closed = on_closed};

static void on_accept(void *arg, int fd, const char *peer)
{
    struct side *s = arg;
    const struct ccz_conn_cfg cfg = {.ops = &server_ops, .arg = s};
    (void)peer;
    must(ccz_conn_adopt(&s->conns[s->len++], s->loop, fd, &cfg) == CCZ_OK, "adopt");
}

static void on_time(void *arg)
{
    ccz_loop_stop(arg);
}

static void *run(void *arg)
{
    must(ccz_loop_run(arg, NULL) == CCZ_OK, "run");
    return NULL;
}

static void side_close(struct side *s)
{
    for (unsigned i = 0; i < s->len; i++)
        ccz_conn_free(s->conns[i]);
    ccz_loop_free(s->loop);
}

static void bench(unsigned conns, unsigned in_flight, int seconds)
{
    struct side server = {.in_flight = in_flight}, client = {.in_flight = in_flight, .len = conns};
    must(ccz_loop_new(&server.loop, NULL) == CCZ_OK, "loop");
    must(ccz_loop_new(&client.loop, NULL) == CCZ_OK, "loop");
    const struct ccz_listen_cfg listen = {
        .address = "127.0.0.1:0", .on_accept = on_accept, .arg = &server};
    struct ccz_listener *l;
    must(ccz_listen(&l, server.loop, &listen, NULL) == CCZ_OK, "listen");
    char address[CCZ_ADDR_TEXT_SIZE];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", ccz_listener_port(l));
    const struct ccz_conn_cfg cfg = {.ops = in_flight ? &client_ops : &stream_ops, .arg = &client};
    for (unsigned i = 0; i < conns; i++)
        must(ccz_conn_connect(&client.conns[i], client.loop, address, &cfg, NULL) == CCZ_OK,
             "connect");
    struct ccz_timer *t;
    must(ccz_timer_new(&t, client.loop, on_time, client.loop) == CCZ_OK, "timer");
    ccz_timer_set(t, 1000 * (int64_t)seconds, 0);
    pthread_t thread;
    must(pthread_create(&thread, NULL, run, server.loop) == 0, "thread");
    int64_t start = ccz_mono_ns();
    run(client.loop);
    double s = (double)(ccz_mono_ns() - start) / 1e9;
    ccz_loop_stop(server.loop);
    pthread_join(thread, NULL);
    if (in_flight)
        printf("echo\t%u\t%u\t%.0f\tmessages/s\n", conns, in_flight,
               (double)client.got / MESSAGE_SIZE / s);
    else
        printf("stream\t%u\t-\t%.0f\tMiB/s\n", conns, (double)server.got / 1048576 / s);
    ccz_timer_free(t);
    ccz_listener_free(l);
    side_close(&client);
    side_close(&server);
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 2;
    bench(1, 1, seconds);
    bench(1, 64, seconds);
    bench(64, 1, seconds);
    bench(64, 64, seconds);
    bench(1, 0, seconds);
    return 0;
}
