/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_BENCH_TCP_CHAN_H
#define CCZ_BENCH_TCP_CHAN_H
/* A channel over loopback TCP, blocking, messages behind their length: what peers of a comparison talk over. */
#include <cczoo/chan.h>

#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

struct tcp_end {
    int fd;
};

static inline ccz_rc tcp_fail(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_CLOSED, "chan:closed", 0, "the connection is closed");
}

static inline bool tcp_write(int fd, const void *data, size_t size)
{
    for (const uint8_t *at = data; size > 0;) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static inline bool tcp_read(int fd, void *data, size_t size)
{
    return size == 0 || recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static inline ccz_rc tcp_send(void *self, const struct ccz_span *parts, size_t len,
                              int64_t timeout_ms, struct ccz_err *err)
{
    int fd = ((struct tcp_end *)self)->fd;
    uint64_t size = 0;
    (void)timeout_ms;
    for (size_t i = 0; i < len; i++)
        size += parts[i].size;
    bool good = tcp_write(fd, &size, sizeof(size));
    for (size_t i = 0; i < len && good; i++)
        good = tcp_write(fd, parts[i].ptr, parts[i].size);
    return good ? CCZ_OK : tcp_fail(err);
}

static inline ccz_rc tcp_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms,
                              struct ccz_err *err)
{
    int fd = ((struct tcp_end *)self)->fd;
    uint64_t size;
    (void)timeout_ms;
    if (!tcp_read(fd, &size, sizeof(size)))
        return tcp_fail(err);
    uint8_t *to = ccz_buf_extend(msg, size);
    if (!to || tcp_read(fd, to, size))
        return CCZ_OK;
    return tcp_fail(err);
}

static inline void tcp_close(void *self, const char *reason)
{
    (void)reason;
    (void)shutdown(((struct tcp_end *)self)->fd, SHUT_RDWR);
}

static inline void tcp_free(void *self)
{
    (void)close(((struct tcp_end *)self)->fd);
    free(self);
}

static inline struct ccz_chan *tcp_chan(int fd)
{
    static const struct ccz_chan_ops ops = {
        .send = tcp_send, .recv = tcp_recv, .close = tcp_close, .free = tcp_free};
    struct tcp_end *e = malloc(sizeof(*e));
    struct ccz_chan *c;
    const int one = 1, size = 4 << 20, large = 256 << 20;
    must(e && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0, "socket");
    /* Both may send a large message at the same time; without root only one of that size. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large)) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    e->fd = fd;
    must(ccz_chan_new(&c, &ops, e, "tcp", NULL) == CCZ_OK, "channel");
    return c;
}

static inline void tcp_pair(struct ccz_chan **a, struct ccz_chan **b)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int wait = socket(AF_INET, SOCK_STREAM, 0), one = socket(AF_INET, SOCK_STREAM, 0);
    must(wait >= 0 && one >= 0 && bind(wait, (struct sockaddr *)&at, len) == 0 &&
             listen(wait, 1) == 0 && getsockname(wait, (struct sockaddr *)&at, &len) == 0 &&
             connect(one, (struct sockaddr *)&at, len) == 0,
         "loopback");
    int other = accept(wait, NULL, NULL);
    must(other >= 0, "accept");
    (void)close(wait);
    *a = tcp_chan(one);
    *b = tcp_chan(other);
}
#endif
