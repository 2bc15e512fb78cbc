/* SPDX-License-Identifier: Apache-2.0 */
/* Plain libevent events around a socket: one read into the loop's buffer per event, output gathered
 * in one buffer per connection and sent at the end of the loop's turn. */
#define _GNU_SOURCE
#include "net/net_priv.h"

#include "base/condwait.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONN_CONNECT_MS = 10000,  /* default time limit */
    CONN_READS = 4,           /* full reads in a row before others get their turn */
    CONN_DIRECT_SIZE = 16384, /* from here on, copying costs more than a system call */
    CONN_KEEP_SIZE = 1 << 18, /* an output buffer that grew larger is not kept while idle */
};

enum conn_state {
    CONN_STARTING,   /* address known, connect() not called yet */
    CONN_RESOLVING,  /* name being looked up */
    CONN_CONNECTING, /* connect() under way */
    CONN_OPEN,
    CONN_ENDING, /* given up by the owner: send the rest, end the stream, await the peer's end */
    CONN_FAILED, /* nothing moves any more; waits for its owner */
    CONN_DEAD,   /* freed by the owner; waits for the end of the turn */
};

struct ccz_conn {
    struct ccz_loop *loop;
    const struct ccz_conn_ops *ops;
    void *arg;
    enum conn_state state;
    int fd;
    struct event *read_ev, *write_ev, *timer_ev;
    bool paused;
    bool eof;   /* the peer ended its stream; on_closed() told of it, and tells of a failure yet */
    bool high;  /* above the high mark since the last on_drained() */
    bool dirty; /* in loop->dirty */
    bool want_send; /* the kernel takes no more for now, and write_ev tells when it does */
    bool shut_due;  /* ccz_conn_shutdown(): our end of the stream follows what is pending */
    bool shut;      /* our end of the stream was sent */
    bool tell_sent; /* on_drained() is due when nothing is pending */
    bool keepalive;
    int send_errno; /* of a direct send, or ccz_conn_fail(): told at the end of the turn */
    struct ccz_buf out;
    size_t sent; /* of out; always less than half of out.size */
    size_t out_size_max, out_high;
    /* connecting */
    int64_t deadline_ms;
    int connect_errno;
    struct cczi_resolve *lookup;
    struct cczi_resolved addrs;
    size_t next_addr;
    char peer[CCZ_ADDR_TEXT_SIZE];
    TAILQ_ENTRY(ccz_conn) dirty_link;
    LIST_ENTRY(ccz_conn) link; /* in loop->ended or loop->dead */
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_conn_timer(evutil_socket_t fd, short what, void *arg);

/* ------------------------------------------------------------------------- making and unmaking */

static struct ccz_conn *conn_new(struct ccz_loop *loop, const struct ccz_conn_cfg *cfg)
{
    struct ccz_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->loop = loop;
    c->ops = cfg->ops;
    c->arg = cfg->arg;
    c->fd = -1;
    c->out_size_max = cfg->out_size_max ? cfg->out_size_max : CCZ_CONN_OUT_SIZE_MAX;
    c->out_high = cfg->out_high ? cfg->out_high : CCZ_CONN_OUT_HIGH;
    c->keepalive = cfg->keepalive;
    /* what was sent already takes up to half of the buffer */
    ccz_buf_init(&c->out, c->out_size_max > SIZE_MAX / 2 ? SIZE_MAX : 2 * c->out_size_max);
    c->timer_ev = evtimer_new(loop->base, on_conn_timer, c);
    if (!c->timer_ev) {
        free(c);
        return NULL;
    }
    return c;
}

/* Closes the socket and stops all events; output is lost. */
static void conn_detach(struct ccz_conn *c)
{
    if (c->read_ev)
        event_free(c->read_ev);
    if (c->write_ev)
        event_free(c->write_ev);
    c->read_ev = c->write_ev = NULL;
    c->want_send = false;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    event_del(c->timer_ev);
}

/* Makes the events of a non-blocking socket; c owns @p fd even on failure. */
static bool conn_attach(struct ccz_conn *c, int fd)
{
    int on = 1;
    c->fd = fd;
    /* Messages are gathered here, so waiting for more in the kernel only adds delay. Fails on unix
     * sockets, which have no such delay. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (c->keepalive)
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    c->read_ev = event_new(c->loop->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->write_ev = event_new(c->loop->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    return c->read_ev && c->write_ev;
}

static void set_dirty(struct ccz_conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    TAILQ_INSERT_TAIL(&c->loop->dirty, c, dirty_link);
    c->loop->dirty_len++;
    cczi_loop_turn_end(c->loop);
}

static void unset_dirty(struct ccz_conn *c)
{
    if (!c->dirty)
        return;
    c->dirty = false;
    TAILQ_REMOVE(&c->loop->dirty, c, dirty_link);
    c->loop->dirty_len--;
}

void ccz_conn_free(struct ccz_conn *c)
{
    if (!c)
        return;
    assert(c->state != CONN_DEAD);
    cczi_resolve_cancel(c->lookup);
    c->lookup = NULL;
    unset_dirty(c);
    conn_detach(c);
    if (c->state == CONN_ENDING) {
        LIST_REMOVE(c, link);
        cczi_loop_unended(c->loop);
    }
    c->state = CONN_DEAD;
    /* A callback further up the stack may still look at c: its memory goes at the end of the turn.
     */
    LIST_INSERT_HEAD(&c->loop->dead, c, link);
    cczi_loop_turn_end(c->loop);
}

void cczi_conn_bury(struct ccz_conn *c)
{
    LIST_REMOVE(c, link);
    event_free(c->timer_ev);
    ccz_buf_free(&c->out);
    free(c);
}

/* Tells the owner; an ended connection has none and goes away. Comes once for the peer's end and once for a failure: the
 * first stops reading, the second everything. */
static void conn_close(struct ccz_conn *c, const struct ccz_err *why)
{
    if (c->state == CONN_ENDING) {
        ccz_conn_free(c);
        return;
    }
    if (why->rc != CCZ_E_CLOSED) { /* after the peer's end, output may go on */
        c->state = CONN_FAILED;
        unset_dirty(c);
        conn_detach(c);
    }
    c->ops->on_closed(c, c->arg, why); /* last: it may free c */
}

static void conn_fail_io(struct ccz_conn *c, const char *where, int e)
{
    struct ccz_err err = {0};
    ccz_fail(&err, CCZ_E_IO, where, e, "%s: %s", c->peer, strerror(e));
    conn_close(c, &err);
}

/* @return false: no memory */
static bool conn_timer(struct ccz_conn *c, int64_t ms)
{
    struct timeval tv = cczi_timeval(ms);
    return event_add(c->timer_ev, &tv) == 0;
}

void ccz_conn_fail(struct ccz_conn *c, int why)
{
    if (c->state != CONN_OPEN || c->send_errno != 0)
        return;
    c->send_errno = why;
    set_dirty(c);
}

/* ------------------------------------------------------------------------------------- output */

size_t ccz_conn_pending(const struct ccz_conn *c)
{
    return c->out.size - c->sent;
}

void ccz_conn_trim(struct ccz_conn *c)
{
    if (c->out.size == 0)
        ccz_buf_free(&c->out);
}

bool ccz_conn_writable(const struct ccz_conn *c)
{
    return !c->high;
}

/* @return bytes the kernel took, 0 if none now, -1 after an error (errno) */
static ssize_t send_some(int fd, struct ccz_span data)
{
    ssize_t n;
    do {
        n = send(fd, data.ptr, data.size, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

ccz_rc ccz_conn_write(struct ccz_conn *c, struct ccz_span data)
{
    size_t pending = ccz_conn_pending(c);
    if (c->state != CONN_OPEN || c->send_errno != 0 || c->shut_due)
        return CCZ_E_CLOSED;
    if (data.size > c->out_size_max - pending)
        return CCZ_E_LIMIT;
    ssize_t n = 0;
    if (pending == 0 && data.size >= CONN_DIRECT_SIZE) {
        n = send_some(c->fd, data);
        if (n < 0) {
            ccz_conn_fail(c, errno); /* told at the end of the turn, not from inside this call */
            return CCZ_OK;
        }
        data = (struct ccz_span){data.ptr + n, data.size - (size_t)n};
    }
    ccz_buf_put_span(&c->out, data);
    if (c->out.bad) {
        c->out.bad = false; /* its content is what it was */
        if (n == 0)
            return CCZ_E_NOMEM;
        ccz_conn_fail(c, ENOMEM); /* a part has left: the stream cannot go on without the rest */
        return CCZ_OK;
    }
    if (ccz_conn_pending(c) > c->out_high)
        c->high = true;
    if (ccz_conn_pending(c) > 0 && !c->want_send)
        set_dirty(c);
    return CCZ_OK;
}

static void out_consumed(struct ccz_conn *c, size_t size)
{
    c->sent += size;
    if (c->sent == c->out.size) {
        ccz_buf_clear(&c->out);
        if (c->out.cap > CONN_KEEP_SIZE)
            ccz_buf_free(&c->out);
        c->sent = 0;
    } else if (c->sent >= c->out.size / 2) { /* moves at most what was sent: linear in all */
        ccz_buf_consume(&c->out, c->sent);
        c->sent = 0;
    }
}

void ccz_conn_push(struct ccz_conn *c)
{
    size_t pending = ccz_conn_pending(c);
    if (c->state != CONN_OPEN || c->send_errno != 0 || c->want_send || pending == 0)
        return;
    ssize_t n = send_some(c->fd, (struct ccz_span){c->out.ptr + c->sent, pending});
    if (n < 0)
        c->send_errno = errno; /* queued output has it dirty: told at the end of the turn */
    else
        out_consumed(c, (size_t)n);
}

/* @return false: the kernel, or libevent, has no memory */
static bool set_want_send(struct ccz_conn *c, bool want)
{
    if (want == c->want_send)
        return true;
    c->want_send = want;
    if (c->eof) /* armed for good, see watch_after_eof() */
        return true;
    return (want ? event_add(c->write_ev, NULL) : event_del(c->write_ev)) == 0;
}

static void conn_shut(struct ccz_conn *c)
{
    if (c->shut)
        return;
    c->shut = true;
    (void)shutdown(c->fd, SHUT_WR);
}

/* Everything is sent: the stream can end. */
static void conn_finish(struct ccz_conn *c)
{
    conn_shut(c);
    /* Closing before the peer's end would reset the connection if bytes of it are still unread, and
     * the reset could destroy our last bytes on their way. */
    if (c->eof)
        ccz_conn_free(c);
}

void cczi_conn_flush(struct ccz_conn *c)
{
    unset_dirty(c);
    if (c->state != CONN_OPEN && c->state != CONN_ENDING)
        return;
    if (c->send_errno != 0) {
        conn_fail_io(c, "net:write", c->send_errno);
        return;
    }
    size_t pending = ccz_conn_pending(c);
    if (pending > 0) {
        ssize_t n = send_some(c->fd, (struct ccz_span){c->out.ptr + c->sent, pending});
        if (n < 0) {
            conn_fail_io(c, "net:write", errno);
            return;
        }
        out_consumed(c, (size_t)n);
        pending = ccz_conn_pending(c);
    }
    if (!set_want_send(c, pending > 0)) {
        conn_fail_io(c, "net:write", ENOMEM);
        return;
    }
    if (c->state == CONN_ENDING) {
        if (pending == 0)
            conn_finish(c);
        return;
    }
    if (pending == 0 && c->shut_due)
        conn_shut(c);
    bool sent = pending == 0 && c->tell_sent;
    bool low = c->high && pending <= c->out_high / 4;
    c->tell_sent = c->tell_sent && !sent;
    c->high = c->high && !low;
    if ((sent || low) && c->ops->on_drained)
        c->ops->on_drained(c, c->arg); /* last: it may free c */
}

void ccz_conn_tell_sent(struct ccz_conn *c)
{
    c->tell_sent = true;
    if (c->state == CONN_OPEN && !c->want_send)
        set_dirty(c);
}

void ccz_conn_shutdown(struct ccz_conn *c)
{
    c->shut_due = true;
    ccz_conn_tell_sent(c);
}

void ccz_conn_reset(struct ccz_conn *c)
{
    struct linger now = {.l_onoff = 1};
    if (c && c->fd >= 0)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    ccz_conn_free(c);
}

void ccz_conn_end(struct ccz_conn *c, int64_t timeout_ms)
{
    if (c->state != CONN_OPEN) {
        ccz_conn_free(c);
        return;
    }
    if (!conn_timer(c, timeout_ms)) { /* without a limit it could stay for ever */
        ccz_conn_free(c);
        return;
    }
    c->state = CONN_ENDING;
    LIST_INSERT_HEAD(&c->loop->ended, c, link);
    if (c->paused && !c->eof)
        (void)event_add(c->read_ev, NULL); /* without it the limit ends the connection */
    set_dirty(c);
}

/* -------------------------------------------------------------------------------------- input */

/* Nothing reads any more, and an end that was read is readable for ever: a reset, or a peer that the system's keepalive
 * gave up, shows as an edge of writability. @return false: no memory */
static bool watch_after_eof(struct ccz_conn *c)
{
    event_del(c->write_ev);
    return event_assign(c->write_ev, c->loop->base, c->fd, EV_WRITE | EV_PERSIST | EV_ET,
                        on_writable, c) == 0 &&
           event_add(c->write_ev, NULL) == 0;
}

static void conn_eof(struct ccz_conn *c)
{
    event_del(c->read_ev);
    c->eof = true;
    if (c->state == CONN_ENDING && c->shut) {
        ccz_conn_free(c);
        return;
    }
    if (!watch_after_eof(c)) {
        conn_fail_io(c, "net:read", ENOMEM);
        return;
    }
    if (c->state == CONN_ENDING)
        return;
    struct ccz_err err = {0};
    ccz_fail(&err, CCZ_E_CLOSED, "net:eof", 0, "%s: the peer ended the connection", c->peer);
    conn_close(c, &err);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct ccz_conn *c = arg;
    uint8_t *buf = c->loop->read_buf;
    (void)what;
    for (unsigned i = 0; i < CONN_READS; i++) {
        ssize_t n = recv(fd, buf, CCZ_CONN_READ_SIZE, 0);
        if (n == 0) {
            conn_eof(c);
            return;
        }
        if (n < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
                conn_fail_io(c, "net:read", errno);
            return;
        }
        if (c->state == CONN_OPEN && c->ops->on_data)
            c->ops->on_data(c, c->arg, CCZ_SPAN(buf, (size_t)n));
        bool more = c->state == CONN_OPEN ? !c->paused : c->state == CONN_ENDING;
        if (!more || n < CCZ_CONN_READ_SIZE)
            return;
    }
}

void ccz_conn_pause(struct ccz_conn *c)
{
    if (c->paused)
        return;
    c->paused = true;
    if (c->state == CONN_OPEN)
        event_del(c->read_ev);
}

void ccz_conn_resume(struct ccz_conn *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    if (c->state == CONN_OPEN && !c->eof && event_add(c->read_ev, NULL) != 0)
        ccz_conn_fail(c, ENOMEM); /* it would hear nothing any more */
}

/* ---------------------------------------------------------------------------------- connecting */

/* @return false: no memory; it would hear nothing */
static bool conn_opened(struct ccz_conn *c)
{
    c->state = CONN_OPEN;
    event_del(c->timer_ev);
    if (!set_want_send(c, false) || (!c->paused && event_add(c->read_ev, NULL) != 0))
        return false;
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    socklen_t size = sizeof(ss);
    (void)getpeername(c->fd, (struct sockaddr *)&ss, &size);
    cczi_addr_text(c->peer, (struct sockaddr *)&ss, size);
    return true;
}

/* Tries the addresses that are left; the first that begins to connect is awaited. */
static void connect_next(struct ccz_conn *c)
{
    while (c->next_addr < c->addrs.len) {
        const struct cczi_addr *a = &c->addrs.addrs[c->next_addr++];
        int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && conn_attach(c, fd)) {
            int n = connect(fd, (const struct sockaddr *)&a->ss, a->size);
            if (n == 0 || errno == EINPROGRESS) {
                c->state = CONN_CONNECTING;
                if (set_want_send(c, true) && conn_timer(c, c->deadline_ms - ccz_mono_ms()))
                    return;
                errno = ENOMEM;
            }
        } else if (fd >= 0) {
            errno = ENOMEM;
        }
        c->connect_errno = errno;
        conn_detach(c);
    }
    struct ccz_err err = {0};
    ccz_fail(&err, CCZ_E_UNAVAILABLE, "net:connect", c->connect_errno, "%s: %s", c->peer,
             strerror(c->connect_errno));
    conn_close(c, &err);
}

static void on_resolved(void *arg, const struct cczi_resolved *res)
{
    struct ccz_conn *c = arg;
    c->lookup = NULL;
    if (res->eai != 0) {
        struct ccz_err err = {0};
        ccz_fail(&err, CCZ_E_UNAVAILABLE, "net:resolve", res->eai, "%s: %s", c->peer,
                 gai_strerror(res->eai));
        conn_close(c, &err);
        return;
    }
    c->addrs = *res;
    connect_next(c);
}

static void on_connected(struct ccz_conn *c)
{
    int e = 0;
    socklen_t size = sizeof(e);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &size) != 0)
        e = errno;
    if (e != 0) {
        c->connect_errno = e;
        conn_detach(c);
        connect_next(c);
        return;
    }
    if (!conn_opened(c))
        conn_fail_io(c, "net:read", ENOMEM);
    else if (c->ops->on_open)
        c->ops->on_open(c, c->arg);
}

/* Behind the peer's end, with nothing to be sent. SO_ERROR alone would also show errors that TCP gets over by itself. */
static void on_edge(struct ccz_conn *c)
{
    struct pollfd p = {.fd = c->fd};
    int e = 0;
    socklen_t size = sizeof(e);
    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLERR))
        return;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &size) == 0 && e != 0)
        conn_fail_io(c, "net:read", e);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct ccz_conn *c = arg;
    (void)fd;
    (void)what;
    if (c->state == CONN_CONNECTING)
        on_connected(c);
    else if (c->state == CONN_OPEN && c->eof && !c->want_send)
        on_edge(c);
    else
        cczi_conn_flush(c);
}

static void on_conn_timer(evutil_socket_t fd, short what, void *arg)
{
    struct ccz_conn *c = arg;
    (void)fd;
    (void)what;
    if (c->state == CONN_STARTING) {
        connect_next(c);
    } else if (c->state == CONN_ENDING) {
        ccz_conn_free(c);
    } else {
        struct ccz_err err = {0};
        cczi_resolve_cancel(c->lookup);
        c->lookup = NULL;
        ccz_fail(&err, CCZ_E_TIMEOUT, "net:connect-timeout", 0, "%s: no connection in time",
                 c->peer);
        conn_close(c, &err);
    }
}

ccz_rc ccz_conn_connect(struct ccz_conn **out, struct ccz_loop *loop, const char *address,
                        const struct ccz_conn_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_target target;
    ccz_rc rc = cczi_addr_parse(&target, address, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_conn *c = conn_new(loop, cfg);
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "net:connect", 0, "out of memory");
    int64_t timeout = cfg->connect_timeout_ms > 0 ? cfg->connect_timeout_ms : CONN_CONNECT_MS;
    c->deadline_ms = cczi_deadline_ms(timeout);
    /* until it is connected, messages show what was asked for */
    ccz_escape(c->peer, sizeof(c->peer), ccz_span_str(address));
    c->state = target.literal ? CONN_STARTING : CONN_RESOLVING;
    /* a literal goes through the timer too, so that even an immediate failure comes by callback */
    if (!conn_timer(c, target.literal ? 0 : timeout)) {
        ccz_conn_free(c);
        return ccz_fail(err, CCZ_E_NOMEM, "net:connect", 0, "out of memory");
    }
    if (target.literal)
        c->addrs = (struct cczi_resolved){.len = 1, .addrs = {target.addr}};
    else
        rc = cczi_resolve_start(&c->lookup, loop, target.host, target.port, on_resolved, c);
    if (rc != CCZ_OK) {
        ccz_conn_free(c);
        return ccz_fail(err, rc, "net:connect", 0, "cannot start a name look-up");
    }
    *out = c;
    return CCZ_OK;
}

ccz_rc ccz_conn_adopt(struct ccz_conn **out, struct ccz_loop *loop, int fd,
                      const struct ccz_conn_cfg *cfg)
{
    *out = NULL;
    struct ccz_conn *c = conn_new(loop, cfg);
    if (!c) {
        close(fd);
        return CCZ_E_NOMEM;
    }
    if (!conn_attach(c, fd) || evutil_make_socket_nonblocking(fd) != 0 ||
        evutil_make_socket_closeonexec(fd) != 0 || !conn_opened(c)) {
        ccz_conn_free(c);
        return CCZ_E_NOMEM;
    }
    *out = c;
    return CCZ_OK;
}

const char *ccz_conn_peer(const struct ccz_conn *c)
{
    return c->peer;
}

struct ccz_loop *ccz_conn_loop(const struct ccz_conn *c)
{
    return c->loop;
}
