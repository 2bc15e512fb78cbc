/* SPDX-License-Identifier: Apache-2.0 */
/* Lines over a socket, blocking, with deadlines. Both sides use it. */
#define _POSIX_C_SOURCE 200809L
#include "agent_priv.h"

#include "base/condwait.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void cczi_agent_io_init(struct cczi_agent_io *io, int fd, size_t line_size_max)
{
    *io = (struct cczi_agent_io){.fd = fd};
    ccz_buf_init(&io->in, line_size_max);
    io->in.wipe = true;
}

void cczi_agent_io_close(struct cczi_agent_io *io)
{
    if (io->fd >= 0)
        (void)close(io->fd);
    io->fd = -1;
    ccz_buf_free(&io->in);
}

static ccz_rc broken(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_IO, "agent:connection", errno, "the connection broke: %s",
                    strerror(errno));
}

/* Until the socket is ready or the deadline has passed. */
static ccz_rc wait_ready(int fd, short events, int64_t until_ms, struct ccz_err *err)
{
    for (;;) {
        int64_t left = until_ms - ccz_mono_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, left < 0 ? 0 : left > 60000 ? 60000 : (int)left);
        if (n > 0)
            return CCZ_OK;
        if (n < 0 && errno != EINTR)
            return broken(err);
        if (left <= 0)
            return ccz_fail(err, CCZ_E_TIMEOUT, "agent:connection", 0, "nothing came in time");
    }
}

/* One read into the buffer. */
static ccz_rc more(struct cczi_agent_io *io, int64_t until_ms, struct ccz_err *err)
{
    uint8_t chunk[512];
    ssize_t n;
    size_t room = io->in.max_size - io->in.size;
    if (room == 0)
        return ccz_fail(err, CCZ_E_LIMIT, "agent:request", (int64_t)io->in.max_size,
                        "a line is longer than %zu bytes", io->in.max_size);
    ccz_rc rc = wait_ready(io->fd, POLLIN, until_ms, err);
    if (rc != CCZ_OK)
        return rc;
    do
        n = recv(io->fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return broken(err);
    if (n == 0)
        return ccz_fail(err, CCZ_E_CLOSED, "agent:connection", 0, "the other side hung up");
    ccz_buf_put(&io->in, chunk, (size_t)n);
    ccz_wipe(chunk, sizeof(chunk));
    return io->in.bad ? ccz_fail(err, CCZ_E_NOMEM, "agent:connection", 0, "no memory for a line")
                      : CCZ_OK;
}

ccz_rc cczi_agent_io_read(struct ccz_span *line, struct cczi_agent_io *io, int64_t idle_ms,
                          int64_t line_ms, struct ccz_err *err)
{
    *line = CCZ_SPAN(NULL, 0);
    if (io->taken) { /* the buffer's memory is wiped when it is freed */
        ccz_wipe(io->in.ptr, io->taken);
        ccz_buf_consume(&io->in, io->taken);
    }
    io->taken = 0;
    int64_t until_ms = cczi_deadline_ms(io->in.size ? line_ms : idle_ms);
    for (bool started = io->in.size > 0;;) {
        const uint8_t *end = io->in.size ? memchr(io->in.ptr, '\n', io->in.size) : NULL;
        if (end) {
            size_t size = (size_t)(end - io->in.ptr);
            io->taken = size + 1;
            *line = CCZ_SPAN(io->in.ptr, size);
            return CCZ_OK;
        }
        ccz_rc rc = more(io, until_ms, err);
        if (rc != CCZ_OK)
            return rc;
        if (!started) /* once: bytes that trickle in do not buy time */
            until_ms = cczi_deadline_ms(line_ms);
        started = true;
    }
}

ccz_rc cczi_agent_io_write(struct cczi_agent_io *io, struct ccz_span data, int64_t timeout_ms,
                           struct ccz_err *err)
{
    int64_t until_ms = cczi_deadline_ms(timeout_ms);
    for (size_t done = 0; done < data.size;) {
        ccz_rc rc = wait_ready(io->fd, POLLOUT, until_ms, err);
        if (rc != CCZ_OK)
            return rc;
        ssize_t n = send(io->fd, data.ptr + done, data.size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return broken(err);
        if (n > 0)
            done += (size_t)n;
    }
    return CCZ_OK;
}
