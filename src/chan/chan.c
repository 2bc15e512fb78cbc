/* SPDX-License-Identifier: Apache-2.0 */
/* The interface: limits, sticky errors and counters, the same for every transport. */
#include "chan_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t cczi_parts_size(const struct ccz_span *parts, size_t len)
{
    size_t size = 0;
    for (size_t i = 0; i < len; i++) {
        if (parts[i].size > SIZE_MAX - size)
            return SIZE_MAX;
        size += parts[i].size;
    }
    return size;
}

ccz_rc ccz_chan_new(struct ccz_chan **out, const struct ccz_chan_ops *ops, void *self,
                    const char *name, struct ccz_err *err)
{
    struct ccz_chan *c = calloc(1, sizeof(*c));
    *out = c;
    if (!c) {
        ops->close(self, "out of memory");
        ops->free(self);
        return ccz_fail(err, CCZ_E_NOMEM, "chan:memory", 0, "out of memory");
    }
    c->ops = ops;
    c->self = self;
    ccz_escape(c->name, sizeof(c->name), ccz_span_str(name));
    atomic_init(&c->timeout_ms, CCZ_CHAN_TIMEOUT_MS);
    return CCZ_OK;
}

void ccz_chan_free(struct ccz_chan *c)
{
    if (!c)
        return;
    ccz_chan_close(c, NULL);
    c->ops->free(c->self);
    ccz_buf_free(&c->scratch);
    free(c);
}

void ccz_chan_close(struct ccz_chan *c, const char *reason)
{
    if (!atomic_exchange(&c->closed, true))
        c->ops->close(c->self, reason ? reason : "closed by the peer");
}

void ccz_chan_close_error(struct ccz_chan *c, const struct ccz_err *err)
{
    ccz_chan_close(c, strcmp(err->where, "chan:closed") == 0 ? err->msg : err->where);
}

void ccz_chan_set_timeout(struct ccz_chan *c, int64_t timeout_ms)
{
    atomic_store(&c->timeout_ms, timeout_ms > 0 ? timeout_ms : CCZ_CHAN_TIMEOUT_MS);
}

static ccz_rc again(struct ccz_err *err, const struct ccz_err *sticky)
{
    if (err)
        *err = *sticky;
    return sticky->rc;
}

/* @param buf  whose memory may be taken over; NULL: of nobody */
static ccz_rc send_message(struct ccz_chan *c, const struct ccz_span *parts, size_t len,
                           struct ccz_buf *buf, struct ccz_err *err)
{
    struct ccz_err *e = &c->send_err;
    if (e->rc != CCZ_OK)
        return again(err, e);
    size_t size = cczi_parts_size(parts, len);
    if (size > CCZ_CHAN_MESSAGE_SIZE_MAX)
        ccz_refuse_num(e, CCZ_E_LIMIT, "chan:message-size",
                       size > INT64_MAX ? INT64_MAX : (int64_t)size,
                       (int64_t)CCZ_CHAN_MESSAGE_SIZE_MAX);
    else if (buf && c->ops->send_buf)
        e->rc = c->ops->send_buf(c->self, buf, atomic_load(&c->timeout_ms), e);
    else
        e->rc = c->ops->send(c->self, parts, len, atomic_load(&c->timeout_ms), e);
    if (e->rc != CCZ_OK)
        return again(err, e);
    atomic_fetch_add(&c->sent_len, 1);
    atomic_fetch_add(&c->sent_size, size);
    atomic_store(&c->sent_last, true);
    return CCZ_OK;
}

ccz_rc ccz_chan_send_parts(struct ccz_chan *c, const struct ccz_span *parts, size_t len,
                           struct ccz_err *err)
{
    return send_message(c, parts, len, NULL, err);
}

ccz_rc ccz_chan_send(struct ccz_chan *c, struct ccz_span msg, struct ccz_err *err)
{
    return send_message(c, &msg, 1, NULL, err);
}

ccz_rc ccz_chan_send_buf(struct ccz_chan *c, struct ccz_buf *msg, struct ccz_err *err)
{
    struct ccz_span whole = ccz_buf_span(msg);
    ccz_rc rc = msg->bad ? ccz_fail(err, CCZ_E_ARG, "chan:buffer", 0, "the buffer failed before")
                         : send_message(c, &whole, 1, msg->wipe ? NULL : msg, err);
    ccz_buf_clear(msg);
    return rc;
}

/* What the transport answered, with the message in @p msg from @p before on. */
static ccz_rc received(struct ccz_buf *msg, size_t before, struct ccz_chan *c, ccz_rc rc,
                       struct ccz_err *e)
{
    if (rc == CCZ_OK && msg->bad)
        rc = ccz_fail(e, CCZ_E_LIMIT, "chan:message-size", (int64_t)msg->max_size,
                      "the message does not fit the buffer of at most %zu bytes", msg->max_size);
    if (rc != CCZ_OK) {
        msg->size = before;
        msg->bad = false;
        return rc;
    }
    atomic_fetch_add(&c->received_len, 1);
    atomic_fetch_add(&c->received_size, msg->size - before);
    if (atomic_exchange(&c->sent_last, false))
        atomic_fetch_add(&c->rounds, 1);
    return CCZ_OK;
}

ccz_rc ccz_chan_recv_within(struct ccz_buf *msg, struct ccz_chan *c, int64_t timeout_ms,
                            struct ccz_err *err)
{
    if (c->recv_err.rc != CCZ_OK)
        return again(err, &c->recv_err);
    if (msg->bad)
        return ccz_fail(err, CCZ_E_ARG, "chan:buffer", 0, "the buffer failed before");
    struct ccz_err e = {0};
    size_t before = msg->size;
    int64_t start = ccz_mono_ns();
    ccz_rc rc = c->ops->recv(msg, c->self, timeout_ms > 0 ? timeout_ms : 0, &e);
    atomic_fetch_add(&c->waited_ns, ccz_mono_ns() - start);
    rc = received(msg, before, c, rc, &e);
    if (rc == CCZ_OK)
        return rc;
    e.rc = rc;
    if (rc != CCZ_E_TIMEOUT)
        c->recv_err = e;
    return again(err, &e);
}

ccz_rc ccz_chan_recv(struct ccz_buf *msg, struct ccz_chan *c, struct ccz_err *err)
{
    return ccz_chan_recv_within(msg, c, atomic_load(&c->timeout_ms), err);
}

ccz_rc ccz_chan_recv_exact(void *out, size_t size, struct ccz_chan *c, struct ccz_err *err)
{
    if (size > 0)
        memset(out, 0, size);
    if (c->recv_err.rc != CCZ_OK)
        return again(err, &c->recv_err);
    ccz_buf_clear(&c->scratch);
    c->scratch.max_size = size;
    ccz_rc rc = ccz_chan_recv(&c->scratch, c, err);
    if (rc == CCZ_E_LIMIT || (rc == CCZ_OK && c->scratch.size != size)) {
        char got[32] = "more", expected[32];
        (void)snprintf(expected, sizeof(expected), "%zu bytes", size);
        if (rc == CCZ_OK)
            (void)snprintf(got, sizeof(got), "%zu bytes", c->scratch.size);
        ccz_refuse(&c->recv_err, CCZ_E_PEER, "chan:size", got, expected);
        return again(err, &c->recv_err);
    }
    if (rc == CCZ_OK && size > 0)
        memcpy(out, c->scratch.ptr, size);
    return rc;
}

struct ccz_chan_stats ccz_chan_stats(const struct ccz_chan *c)
{
    return (struct ccz_chan_stats){.sent_len = atomic_load(&c->sent_len),
                                   .sent_size = atomic_load(&c->sent_size),
                                   .received_len = atomic_load(&c->received_len),
                                   .received_size = atomic_load(&c->received_size),
                                   .rounds = atomic_load(&c->rounds),
                                   .waited_ns = atomic_load(&c->waited_ns)};
}

const char *ccz_chan_name(const struct ccz_chan *c)
{
    return c->name;
}

void *ccz_chan_self(const struct ccz_chan *c, const struct ccz_chan_ops *ops)
{
    return c->ops == ops ? c->self : NULL;
}
