/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_GRPC_PEER_H
#define CCZ_GRPC_PEER_H
/*
 * What the programs that grpc_peers.sh compares have in common, in C and in C++: their command line, the clock, and the line
 * that a client prints. Each of them is
 *
 *   PEER server [PROFILE]                                             prints its port, serves until its standard input ends
 *   PEER client ADDRESS PID unary|stream SIZE STREAMS SECONDS [PROFILE]
 *
 * "unary" echoes SIZE bytes; an answer starts the next call of its stream. "stream" reads messages of SIZE bytes that the server
 * sends as long as they are taken. PROFILE is tls, or, for our engine, ra-tls or ra-tls-again (evidence is renewed: frames). Both begin with half a second that is not counted. Messages are plain bytes on every side, so
 * that no protobuf library is measured. The client prints: answers or messages per second, median and 99th percentile in
 * microseconds, microseconds of CPU time of the server (process PID) and of the client for each.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PEER_UNARY_PATH  "/bench.Echo/Unary"
#define PEER_STREAM_PATH "/bench.Echo/Stream"
enum { PEER_STREAMS_MAX = 256, PEER_REQUEST_SIZE = 4 };
#define PEER_SAMPLES_MAX ((size_t)1 << 22)
#define PEER_WARM_UP_NS  INT64_C(500000000)

static inline void peer_must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "error: %s\n", what);
    _exit(1);
}

static inline int64_t peer_now_ns(void)
{
    struct timespec t;
    peer_must(clock_gettime(CLOCK_MONOTONIC, &t) == 0, "clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct peer_args {
    bool server, stream, ra_tls, again;
    const char *address;
    long pid;
    size_t size;
    unsigned streams;
    double seconds;
};

static inline void peer_args_read(struct peer_args *a, int argc, char **argv)
{
    memset(a, 0, sizeof(*a));
    a->server = argc >= 2 && strcmp(argv[1], "server") == 0;
    int rest = a->server ? 2 : 8;
    peer_must(a->server || (argc >= 8 && strcmp(argv[1], "client") == 0), "usage: see grpc_peer.h");
    peer_must(argc <= rest + 1, "too many arguments");
    a->again = argc > rest && strcmp(argv[rest], "ra-tls-again") == 0;
    a->ra_tls = a->again || (argc > rest && strcmp(argv[rest], "ra-tls") == 0);
    if (a->server)
        return;
    a->address = argv[2];
    a->pid = strtol(argv[3], NULL, 10);
    a->stream = strcmp(argv[4], "stream") == 0;
    a->size = strtoul(argv[5], NULL, 10);
    a->streams = (unsigned)strtoul(argv[6], NULL, 10);
    a->seconds = strtod(argv[7], NULL);
    peer_must(a->streams >= 1 && a->streams <= PEER_STREAMS_MAX && a->size >= 1 && a->seconds > 0,
              "arguments out of range");
}

/* The size of the messages that a stream shall have, as its request says. */
static inline size_t peer_request_size(const uint8_t request[PEER_REQUEST_SIZE])
{
    return (size_t)request[0] | (size_t)request[1] << 8 | (size_t)request[2] << 16 |
           (size_t)request[3] << 24;
}

static inline void peer_request(uint8_t request[PEER_REQUEST_SIZE], size_t size)
{
    for (int i = 0; i < PEER_REQUEST_SIZE; i++)
        request[i] = (uint8_t)(size >> (8 * i));
}

static inline void peer_say_port(unsigned port)
{
    printf("%u\n", port);
    fflush(stdout);
}

/* The script closes the standard input of a server to end it. */
static inline void peer_wait_for_end(void)
{
    char byte[16];
    while (read(STDIN_FILENO, byte, sizeof(byte)) > 0)
        ;
    _exit(0);
}

/* ---------------------------------------------------------------- what a client counts, on one thread */

struct peer_tally {
    int64_t begin_ns, end_ns;
    clockid_t server_clock;
    int64_t server_ns, client_ns; /* CPU time at the beginning */
    float *us;
    size_t len;
    bool counting;
};

static inline int64_t peer_cpu_ns(clockid_t clock)
{
    struct timespec t;
    peer_must(clock_gettime(clock, &t) == 0, "CPU clock of the server");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void peer_tally_start(struct peer_tally *t, const struct peer_args *a)
{
    memset(t, 0, sizeof(*t));
    t->us = (float *)malloc(PEER_SAMPLES_MAX * sizeof(t->us[0]));
    peer_must(t->us && clock_getcpuclockid((pid_t)a->pid, &t->server_clock) == 0, "tally");
    memset(t->us, 0, PEER_SAMPLES_MAX * sizeof(t->us[0])); /* page faults come now */
    t->begin_ns = peer_now_ns() + PEER_WARM_UP_NS;
    t->end_ns = t->begin_ns + (int64_t)(a->seconds * 1e9);
}

static inline int peer_by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static inline void peer_tally_print(struct peer_tally *t, int64_t now_ns)
{
    double n = (double)t->len, server_ns = (double)(peer_cpu_ns(t->server_clock) - t->server_ns),
           client_ns = (double)(peer_cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - t->client_ns);
    size_t kept = t->len < PEER_SAMPLES_MAX ? t->len : PEER_SAMPLES_MAX;
    peer_must(t->len > 0, "no answer in time");
    qsort(t->us, kept, sizeof(t->us[0]), peer_by_value);
    printf("%.1f\t%.1f\t%.1f\t%.2f\t%.2f\n", n * 1e9 / (double)(now_ns - t->begin_ns),
           (double)t->us[kept / 2], (double)t->us[kept * 99 / 100], server_ns / 1e3 / n,
           client_ns / 1e3 / n);
    fflush(stdout);
    _exit(0);
}

/* One answer, begun at @p from_ns. Prints and ends the process when the time is over. @return the time now */
static inline int64_t peer_tally_add(struct peer_tally *t, int64_t from_ns)
{
    int64_t now = peer_now_ns();
    if (now < t->begin_ns)
        return now;
    if (!t->counting) {
        t->counting = true;
        t->begin_ns = now;
        t->server_ns = peer_cpu_ns(t->server_clock);
        t->client_ns = peer_cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
        return now;
    }
    if (t->len < PEER_SAMPLES_MAX)
        t->us[t->len] = (float)(now - from_ns) / 1e3f;
    t->len++;
    if (now >= t->end_ns)
        peer_tally_print(t, now);
    return now;
}
#endif
