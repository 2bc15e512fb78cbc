/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two faces of a channel: the blocking user, and the loop of its call. As in stream.c, what the user wants is noted
 * under the lock and done by the loop ("kick").
 */
#define _DEFAULT_SOURCE
#include "chan.h"

#include "base/condwait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LINGER_MS = 5000,
    FRAME_HEAD_MAX = 32,
    MESSAGE_COST = 64,
    TAKE_SIZE = 16384 /* from here on, a message's memory is taken instead of a copy */
};

/* ---------------------------------------------------------------------------------- lifetime */

ccz_rc cczi_chan_new(struct cczi_chan **out, const struct cczi_chan_side *side,
                     const struct ccz_rpc_chan_limits *limits, struct ccz_err *err)
{
    struct cczi_chan *c = calloc(1, sizeof(*c));
    *out = c;
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    c->side = side;
    c->limits = *limits;
    if (!c->limits.message_size_max)
        c->limits.message_size_max = CCZ_RPC_CHAN_MESSAGE_SIZE_MAX;
    if (!c->limits.queue_size_max)
        c->limits.queue_size_max = CCZ_CHAN_QUEUE_SIZE;
    if (!c->limits.send_size_max || c->limits.send_size_max > CCZI_H2_OUT_HIGH)
        c->limits.send_size_max = CCZI_H2_OUT_HIGH;
    if (!c->limits.linger_ms)
        c->limits.linger_ms = LINGER_MS;
    c->refs = 1;
    c->out_tail = &c->out;
    c->in_tail = &c->in;
    ccz_buf_init(&c->part, c->limits.message_size_max);
    pthread_mutex_init(&c->lock, NULL);
    cczi_cond_init(&c->changed);
    return CCZ_OK;
}

static void drop_received(struct cczi_chan *c)
{
    while (c->in) {
        struct cczi_chan_message *m = c->in;
        c->in = m->next;
        ccz_buf_free(&m->bytes);
        free(m);
    }
    c->in_tail = &c->in;
    c->in_size = 0;
    ccz_buf_free(&c->part);
}

void cczi_chan_unref(struct cczi_chan *c)
{
    pthread_mutex_lock(&c->lock);
    bool last = --c->refs == 0;
    pthread_mutex_unlock(&c->lock);
    if (!last)
        return;
    drop_received(c);
    cczi_out_free(c->out);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Notes why no more will come, unless that is known. The lock is held. */
static void set_why(struct cczi_chan *c, ccz_rc behind, const char *where, const char *text)
{
    if (c->why.rc == CCZ_OK)
        ccz_fail(&c->why, CCZ_E_CLOSED, "chan:closed", (int64_t)behind, "%s%s%s", where,
                 where[0] ? ": " : "", text);
}

/* ------------------------------------------------------------------------------- on the loop */

/* Moves what waits into the call. The lock is held. @return true if our direction ends now */
static bool move_out(struct cczi_chan *c)
{
    while (c->out) {
        struct cczi_out *o = c->out;
        c->out = o->next;
        o->next = NULL;
        cczi_stream_send(c->st, o);
    }
    c->out_tail = &c->out;
    c->out_size = 0;
    c->above = c->st->above;
    bool end = c->own_closed && !c->ended;
    c->ended |= end;
    pthread_cond_broadcast(&c->changed);
    return end;
}

static void on_kick(void *arg)
{
    struct cczi_chan *c = arg;
    bool end = false;
    pthread_mutex_lock(&c->lock);
    c->posted = false;
    bool abort = c->st && c->abort, started = c->st && c->started && !abort;
    if (started)
        end = move_out(c);
    if (c->st && c->resume)
        cczi_stream_pause(c->st, c->paused = false);
    c->resume = false;
    pthread_mutex_unlock(&c->lock);
    if (abort)
        c->side->abort(c);
    if (end)
        c->side->end(c);
    if (started)
        c->side->flush(c);
    cczi_chan_unref(c);
}

/* Asks the loop to look at the channel. The lock is held. @return false if memory is out */
static bool kick(struct cczi_chan *c)
{
    if (c->over || c->posted)
        return true;
    c->posted = ccz_loop_post(c->loop, on_kick, c) == CCZ_OK;
    c->refs += c->posted;
    return c->posted;
}

void cczi_chan_started(struct cczi_chan *c)
{
    pthread_mutex_lock(&c->lock);
    c->started = true;
    bool end = move_out(c);
    pthread_mutex_unlock(&c->lock);
    if (end)
        c->side->end(c);
}

void cczi_chan_writable(struct cczi_chan *c)
{
    pthread_mutex_lock(&c->lock);
    c->above = false;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* A piece of a message. The lock is held. */
static ccz_rc take_data(struct cczi_chan *c, bool last, struct ccz_span data, struct ccz_err *err)
{
    if (c->own_closed)
        return CCZ_OK; /* nobody will receive it */
    if (data.size > c->limits.message_size_max - c->part.size)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "rpc-chan:message-size",
                              (int64_t)(c->part.size + data.size),
                              (int64_t)c->limits.message_size_max);
    ccz_buf_put_span(&c->part, data);
    struct cczi_chan_message *m = last ? calloc(1, sizeof(*m)) : NULL;
    if (c->part.bad || (last && !m)) {
        free(m);
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory for a message");
    }
    if (!last)
        return CCZ_OK;
    m->bytes = c->part;
    c->part = (struct ccz_buf){.max_size = c->limits.message_size_max};
    *c->in_tail = m;
    c->in_tail = &m->next;
    c->in_size += m->bytes.size + MESSAGE_COST;
    return CCZ_OK;
}

/* The lock is held. */
static ccz_rc take_frame(struct cczi_chan *c, enum cczi_chan_kind kind, struct ccz_span data,
                         struct ccz_err *err)
{
    char reason[CCZ_ERR_MSG_SIZE];
    if (c->peer_closed)
        return ccz_fail(err, CCZ_E_PEER, "rpc-chan:frame", kind, "a frame after the last one");
    if (c->opened == (kind == CCZI_CHAN_OPEN))
        return ccz_fail(err, CCZ_E_PEER, "rpc-chan:frame", kind,
                        c->opened ? "opened twice" : "not opened");
    switch (kind) {
    case CCZI_CHAN_OPEN:
        c->opened = true;
        return CCZ_OK;
    case CCZI_CHAN_CLOSE:
        if (c->part.size > 0)
            return ccz_fail(err, CCZ_E_PEER, "rpc-chan:frame", kind, "closed within a message");
        c->peer_closed = true;
        ccz_escape(reason, sizeof(reason), data);
        set_why(c, CCZ_E_CLOSED, "", reason);
        return CCZ_OK;
    case CCZI_CHAN_MORE:
    case CCZI_CHAN_LAST:
        break;
    }
    return take_data(c, kind == CCZI_CHAN_LAST, data, err);
}

void cczi_chan_frame(struct cczi_chan *c, struct ccz_span frame)
{
    enum cczi_chan_kind kind;
    struct ccz_span data;
    struct ccz_err err;
    ccz_rc rc = cczi_chan_frame_get(&kind, &data, frame, &err);
    pthread_mutex_lock(&c->lock);
    c->progress++;
    if (rc == CCZ_OK)
        rc = take_frame(c, kind, data, &err);
    if (rc != CCZ_OK)
        set_why(c, rc, err.where, err.msg);
    /* A whole message always fits, so that two parties may both send before they receive. */
    if (rc == CCZ_OK && !c->paused && c->in && c->in_size + c->part.size > c->limits.queue_size_max)
        cczi_stream_pause(c->st, c->paused = true);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (rc != CCZ_OK)
        c->side->refuse(c, &err);
}

/* The lock is held. */
static void peer_ended(struct cczi_chan *c)
{
    set_why(c, CCZ_E_CLOSED, "",
            c->part.size > 0 ? "the peer ended the channel within a message"
                             : "the peer ended the channel");
}

void cczi_chan_half_close(struct cczi_chan *c)
{
    pthread_mutex_lock(&c->lock);
    peer_ended(c);
    c->peer_closed = true;
    bool end = !c->ended;
    c->ended = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (end)
        c->side->end(c);
}

void cczi_chan_over(struct cczi_chan *c, const struct ccz_err *why)
{
    pthread_mutex_lock(&c->lock);
    c->over = true;
    c->st = NULL;
    if (why) {
        c->open_err = *why;
        set_why(c, why->rc, why->where, why->msg);
    }
    peer_ended(c);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    cczi_chan_unref(c);
}

/* ------------------------------------------------------------------------------ for the user */

/* Whether more can be sent, or received. The lock is held. */
static ccz_rc closed(const struct cczi_chan *c, struct ccz_err *err)
{
    if (c->own_closed)
        return ccz_fail(err, CCZ_E_CLOSED, "chan:closed", 0, "this end is closed");
    if (!c->peer_closed && !c->over)
        return CCZ_OK;
    if (err)
        *err = c->why;
    return c->why.rc;
}

static void put_out(struct cczi_chan *c, struct cczi_out *o)
{
    *c->out_tail = o;
    c->out_tail = &o->next;
    c->out_size += o->size;
}

/* @p o is taken over in any case */
static ccz_rc send_frame(struct cczi_chan *c, struct cczi_out *o, int64_t timeout_ms,
                         struct ccz_err *err)
{
    int64_t deadline = cczi_deadline_ms(timeout_ms);
    bool time_left = true;
    ccz_rc rc;
    pthread_mutex_lock(&c->lock);
    size_t high = c->limits.send_size_max;
    while ((rc = closed(c, err)) == CCZ_OK && (c->above || c->out_size > high) && time_left)
        time_left = cczi_cond_wait(&c->changed, &c->lock, deadline);
    if (rc == CCZ_OK && (c->above || c->out_size > high)) {
        rc = ccz_fail(err, CCZ_E_TIMEOUT, "chan:send-timeout", timeout_ms,
                      "the peer took nothing for %lld ms", (long long)timeout_ms);
    } else if (rc == CCZ_OK && !kick(c)) { /* first: what is queued leaves with the next kick */
        rc = ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    } else if (rc == CCZ_OK) {
        put_out(c, o);
        o = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    cczi_out_free(o);
    return rc;
}

/* The call ends at once. */
static void give_up(struct cczi_chan *c, const char *reason)
{
    pthread_mutex_lock(&c->lock);
    set_why(c, CCZ_E_CLOSED, "", reason);
    c->own_closed = c->abort = true;
    pthread_cond_broadcast(&c->changed);
    while (!kick(c)) { /* the loop must hear of it: without a deadline the call would never end */
        pthread_mutex_unlock(&c->lock);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

/* The next @p size bytes of a message in pieces. */
struct pieces {
    const struct ccz_span *part;
    size_t at; /* in *part */
};

static void gather(uint8_t *to, struct pieces *p, size_t size)
{
    while (size > 0) {
        size_t left = p->part->size - p->at, n = left < size ? left : size;
        if (n > 0)
            memcpy(to, p->part->ptr + p->at, n);
        to += n;
        size -= n;
        p->at += n;
        if (p->at == p->part->size)
            *p = (struct pieces){.part = p->part + 1};
    }
}

/* The next @p size bytes as a frame, copied once; NULL = no memory. */
static struct cczi_out *make_frame(struct pieces *from, size_t size, bool last,
                                   struct ccz_buf *head)
{
    uint8_t *room;
    ccz_buf_clear(head);
    cczi_chan_frame_put(head, last ? CCZI_CHAN_LAST : CCZI_CHAN_MORE, size);
    struct cczi_out *o = head->bad ? NULL : cczi_out_room(&room, head->size + size, NULL);
    if (!o)
        return NULL;
    if (head->size > 0)
        memcpy(room, head->ptr, head->size);
    gather(room + head->size, from, size);
    return o;
}

static ccz_rc chan_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                        struct ccz_err *err)
{
    struct cczi_chan *c = self;
    struct pieces from = {.part = parts};
    size_t left = 0;
    for (size_t i = 0; i < len; i++)
        left += parts[i].size;
    if (left > c->limits.message_size_max)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "chan:message-size", (int64_t)left,
                              (int64_t)c->limits.message_size_max);
    CCZ_AUTO_BUF head;
    ccz_buf_init(&head, FRAME_HEAD_MAX);
    bool first = true;
    ccz_rc rc;
    do {
        size_t n = left < CCZI_CHAN_FRAME_SIZE ? left : CCZI_CHAN_FRAME_SIZE;
        left -= n;
        struct cczi_out *o = make_frame(&from, n, left == 0, &head);
        rc = o ? send_frame(c, o, timeout_ms, err)
               : ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        if (rc != CCZ_OK && !first)
            give_up(c, "a message was not sent to its end");
        first = false;
    } while (rc == CCZ_OK && left > 0);
    return rc;
}

/* One frame around the message where it is. */
static ccz_rc chan_send_buf(void *self, struct ccz_buf *msg, int64_t timeout_ms,
                            struct ccz_err *err)
{
    struct cczi_chan *c = self;
    struct ccz_span whole = ccz_buf_span(msg);
    if (whole.size < TAKE_SIZE || whole.size > CCZI_CHAN_FRAME_SIZE ||
        whole.size > c->limits.message_size_max)
        return chan_send(self, &whole, 1, timeout_ms, err);
    CCZ_AUTO_BUF head;
    ccz_buf_init(&head, FRAME_HEAD_MAX);
    cczi_chan_frame_put(&head, CCZI_CHAN_LAST, whole.size);
    struct cczi_out *o = head.bad ? NULL : cczi_out_own(ccz_buf_span(&head), msg);
    return o ? send_frame(c, o, timeout_ms, err)
             : ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
}

/* The first message that waits; NULL if none. The lock is held. */
static struct cczi_chan_message *take_message(struct cczi_chan *c)
{
    struct cczi_chan_message *m = c->in;
    if (!m)
        return NULL;
    c->in = m->next;
    if (!c->in)
        c->in_tail = &c->in;
    c->in_size -= m->bytes.size + MESSAGE_COST;
    if (c->paused && (!c->in || c->in_size + c->part.size <= c->limits.queue_size_max / 2)) {
        c->resume = true;
        (void)kick(c); /* without memory now, the next message tries again */
    }
    return m;
}

static ccz_rc chan_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    struct cczi_chan *c = self;
    int64_t deadline = cczi_deadline_ms(timeout_ms);
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&c->lock);
    uint64_t progress = c->progress;
    while (!c->in && (rc = closed(c, err)) == CCZ_OK) {
        if (cczi_cond_wait(&c->changed, &c->lock, deadline))
            continue;
        if (progress == c->progress || timeout_ms == 0)
            break;
        progress = c->progress; /* a large message is on its way */
        deadline = cczi_deadline_ms(timeout_ms);
    }
    struct cczi_chan_message *m = take_message(c);
    pthread_mutex_unlock(&c->lock);
    if (!m)
        return rc != CCZ_OK ? rc
                            : ccz_fail(err, CCZ_E_TIMEOUT, "chan:recv-timeout", timeout_ms,
                                       "the peer sent nothing for %lld ms", (long long)timeout_ms);
    if (msg->size == 0 && !msg->bad && !msg->wipe && m->bytes.size <= msg->max_size) {
        m->bytes.max_size = msg->max_size; /* handed over instead of copied */
        struct ccz_buf old = *msg;
        *msg = m->bytes;
        ccz_buf_free(&old);
    } else {
        ccz_buf_put(msg, m->bytes.ptr, m->bytes.size);
        ccz_buf_free(&m->bytes);
    }
    free(m);
    return CCZ_OK;
}

static void chan_close(void *self, const char *reason)
{
    struct cczi_chan *c = self;
    CCZ_AUTO_BUF frame;
    ccz_buf_init(&frame, CCZ_ERR_MSG_SIZE + FRAME_HEAD_MAX);
    struct ccz_span text = ccz_span_str(reason);
    text.size = text.size < CCZ_ERR_MSG_SIZE ? text.size : CCZ_ERR_MSG_SIZE;
    cczi_chan_frame_put(&frame, CCZI_CHAN_CLOSE, text.size);
    ccz_buf_put_span(&frame, text);
    struct cczi_out *o = frame.bad ? NULL : cczi_out_new(ccz_buf_span(&frame), NULL);
    pthread_mutex_lock(&c->lock);
    if (o && !c->own_closed)
        put_out(c, o);
    else
        cczi_out_free(o); /* without memory the peer sees the end without the reason */
    c->own_closed = true;
    drop_received(c);
    c->resume = c->paused;
    (void)kick(c);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void chan_free(void *self)
{
    struct cczi_chan *c = self;
    int64_t deadline = cczi_deadline_ms(c->limits.linger_ms);
    pthread_mutex_lock(&c->lock);
    while (!c->over && !c->abort && cczi_cond_wait(&c->changed, &c->lock, deadline))
        ;
    bool over = c->over;
    pthread_mutex_unlock(&c->lock);
    if (!over)
        give_up(c, "the peer took too long");
    cczi_chan_unref(c);
}

static const struct ccz_chan_ops chan_ops = {.send = chan_send,
                                             .recv = chan_recv,
                                             .close = chan_close,
                                             .free = chan_free,
                                             .send_buf = chan_send_buf};

void cczi_chan_discard(struct cczi_chan *c, const char *reason)
{
    chan_close(c, reason);
    cczi_chan_unref(c);
}

ccz_rc cczi_chan_wrap(struct ccz_chan **out, struct cczi_chan *c, const char *address,
                      struct ccz_err *err)
{
    char name[CCZ_CHAN_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%.30s/%.30s", address, c->channel);
    return ccz_chan_new(out, &chan_ops, c, name, err);
}

static const struct cczi_chan *chan_of(const struct ccz_chan *c)
{
    return ccz_chan_self(c, &chan_ops);
}

const struct ccz_ratls_peer *ccz_rpc_chan_peer(const struct ccz_chan *c)
{
    return chan_of(c) ? &chan_of(c)->peer : NULL;
}

const char *ccz_rpc_chan_channel(const struct ccz_chan *c)
{
    return chan_of(c) ? chan_of(c)->channel : NULL;
}

const char *ccz_rpc_chan_party(const struct ccz_chan *c)
{
    return chan_of(c) ? chan_of(c)->party : NULL;
}
