/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_TEST_H
#define NET_TEST_H
/* Shared by the tests of net: a loop on a thread of its own, and a blocking client socket. */
#include <cczoo/net.h>

#include "ccz_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void *net_run_thread(void *arg)
{
    struct ccz_err err;
    CHECK(ccz_loop_run(arg, &err) == CCZ_OK);
    return NULL;
}

static inline pthread_t net_start(struct ccz_loop *loop)
{
    pthread_t t;
    CHECK(pthread_create(&t, NULL, net_run_thread, loop) == 0);
    return t;
}

static inline void net_join(struct ccz_loop *loop, pthread_t t)
{
    ccz_loop_stop(loop);
    CHECK(pthread_join(t, NULL) == 0);
}

/* Blocking socket connected to 127.0.0.1:port; reads give up after 10 s. */
static inline int net_dial(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval limit = {.tv_sec = 10};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    CHECK(connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
    return fd;
}

static inline void net_send_all(int fd, const void *p, size_t size)
{
    const char *from = p;
    while (size > 0) {
        ssize_t n = send(fd, from, size, MSG_NOSIGNAL);
        CHECK(n > 0);
        from += n;
        size -= (size_t)n;
    }
}
#endif
