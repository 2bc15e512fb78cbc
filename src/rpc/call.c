/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls on the server. A call belongs to the loop of its connection; what handlers do to it from
 * other threads is queued in the call and applied there, in order.
 */
#define _DEFAULT_SOURCE
#include "server.h"

#include "base/condwait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct ccz_rpc_call *call_of(struct cczi_stream *st)
{
    return (struct ccz_rpc_call *)st;
}

void cczi_peer_unref(struct cczi_peer *p)
{
    if (p && atomic_fetch_sub(&p->refs, 1) == 1)
        free(p);
}

/* ---------------------------------------------------------------------------------- lifetime */

void ccz_rpc_call_ref(struct ccz_rpc_call *c)
{
    atomic_fetch_add(&c->refs, 1);
}

static void free_ops(struct cczi_op *op)
{
    while (op) {
        struct cczi_op *next = op->next;
        cczi_out_free(op->msg);
        free(op);
        op = next;
    }
}

void ccz_rpc_call_unref(struct ccz_rpc_call *c)
{
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    cczi_stream_deinit(&c->st);
    cczi_peer_unref(c->peer);
    free_ops(c->ops);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct cczi_stream *on_stream_new(void *arg)
{
    struct cczi_sconn *conn = arg;
    struct cczi_peer *peer = cczi_sconn_peer(conn);
    struct ccz_rpc_call *c = peer ? calloc(1, sizeof(*c)) : NULL;
    if (!c)
        return NULL;
    cczi_stream_init(&c->st, cczi_server_message_max(conn->worker->server));
    cczi_framer_set_stock(&c->st.framer, cczi_server_stock(conn->worker->server));
    c->conn = conn;
    c->worker = conn->worker;
    c->loop = conn->worker->loop;
    c->peer = peer;
    atomic_fetch_add(&c->peer->refs, 1);
    atomic_init(&c->refs, 1);
    atomic_init(&c->cancelled, false);
    c->deadline_ms = INT64_MAX;
    c->ops_tail = &c->ops;
    pthread_mutex_init(&c->lock, NULL);
    return &c->st;
}

/* ------------------------------------------------------------------------------- from the engine
 */

static void on_deadline(struct cczi_deadline *d)
{
    struct ccz_rpc_call *c =
        (struct ccz_rpc_call *)((char *)d - offsetof(struct ccz_rpc_call, deadline));
    atomic_store(&c->cancelled, true);
    if (c->st.finished) { /* the answer is complete, but the client does not take it */
        cczi_stream_reset(&c->st, NGHTTP2_CANCEL);
    } else {
        cczi_stream_drop_output(&c->st);
        cczi_stream_finish(&c->st, CCZ_RPC_DEADLINE_EXCEEDED, "the deadline passed");
    }
    cczi_sconn_flush(c->conn);
}

static bool set_deadline(struct ccz_rpc_call *c)
{
    if (c->st.timeout_ms < 0)
        return true;
    c->deadline_ms = cczi_deadline_ms(c->st.timeout_ms);
    c->deadline.fn = on_deadline;
    return cczi_deadline_set(&c->worker->deadlines, &c->deadline, c->deadline_ms);
}

static void on_request(void *arg, struct cczi_stream *st)
{
    struct cczi_sconn *conn = arg;
    struct ccz_rpc_call *c = call_of(st);
    const struct ccz_rpc_server *server = conn->worker->server;
    struct ccz_span path = cczi_md_get(&st->in, ":path");
    c->path = path.ptr ? (const char *)path.ptr : "";
    if (!cczi_guards_pass(cczi_server_guards(server), c))
        return;
    c->method = cczi_server_method(server, c->path);
    if (c->method) {
        c->unary = c->method->unary;
        c->arg = c->method->arg;
    } else {
        cczi_server_fallback(server, &c->unary, &c->arg);
    }
    if (!c->method && !c->unary) {
        char message[CCZI_MESSAGE_SIZE];
        (void)snprintf(message, sizeof(message), "unknown method %s", c->path);
        cczi_stream_finish(st, CCZ_RPC_UNIMPLEMENTED, message);
        return;
    }
    if (!set_deadline(c)) {
        cczi_stream_finish(st, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    c->started = true;
    st->framer.keep = c->unary != NULL;
    if (!c->unary && c->method->handler.on_start)
        c->method->handler.on_start(c, c->arg);
}

static void on_message(void *arg, struct cczi_stream *st, struct ccz_span msg)
{
    (void)arg;
    struct ccz_rpc_call *c = call_of(st);
    if (!c->unary) {
        if (c->method->handler.on_message)
            c->method->handler.on_message(c, c->arg, msg);
        return;
    }
    if (c->has_request)
        cczi_stream_finish(st, CCZ_RPC_UNIMPLEMENTED, "more than one message for a unary method");
    c->has_request = true;
    c->request = msg;
}

static void on_half_close(void *arg, struct cczi_stream *st)
{
    (void)arg;
    struct ccz_rpc_call *c = call_of(st);
    if (!c->unary) {
        if (c->method->handler.on_half_close)
            c->method->handler.on_half_close(c, c->arg);
    } else if (!c->has_request) {
        cczi_stream_finish(st, CCZ_RPC_UNIMPLEMENTED, "no message for a unary method");
    } else {
        c->unary(c, c->arg, c->request);
    }
}

static void on_stream_drained(void *arg, struct cczi_stream *st)
{
    (void)arg;
    struct ccz_rpc_call *c = call_of(st);
    if (c->started && !c->unary && c->method->handler.on_writable)
        c->method->handler.on_writable(c, c->arg);
}

static void on_stream_close(void *arg, struct cczi_stream *st)
{
    (void)arg;
    struct ccz_rpc_call *c = call_of(st);
    if (!st->ended)
        atomic_store(&c->cancelled, true);
    bool cancelled = atomic_load(&c->cancelled);
    cczi_deadline_cancel(&c->worker->deadlines, &c->deadline);
    pthread_mutex_lock(&c->lock);
    c->closed = true; /* from here on other threads no longer touch the loop */
    pthread_mutex_unlock(&c->lock);
    c->conn = NULL;
    c->worker = NULL;
    if (c->started && !c->unary && c->method->handler.on_done)
        c->method->handler.on_done(c, c->arg, cancelled);
    ccz_rpc_call_unref(c);
}

const struct cczi_h2_ops cczi_server_ops = {.stream_new = on_stream_new,
                                            .on_request = on_request,
                                            .on_message = on_message,
                                            .on_half_close = on_half_close,
                                            .on_drained = on_stream_drained,
                                            .on_close = on_stream_close};

void cczi_sconn_cancel_calls(struct cczi_sconn *c, const char *why)
{
    for (struct cczi_stream *st = c->h2 ? c->h2->first : NULL; st; st = st->next) {
        atomic_store(&call_of(st)->cancelled, true);
        cczi_stream_drop_output(st);
        if (st->finished)
            cczi_stream_reset(st, NGHTTP2_CANCEL);
        else
            cczi_stream_finish(st, CCZ_RPC_UNAVAILABLE, why);
    }
}

/* ------------------------------------------------------------------------------ from handlers */

static void add_to(struct cczi_md *md, struct ccz_span key, struct ccz_span value)
{
    char name[64];
    if (cczi_md_allowed(key, value) && cczi_md_add(md, key, value))
        return;
    ccz_escape(name, sizeof(name), key);
    ccz_log(CCZ_LOG_WARN, "rpc", "metadata left out key=%s size=%zu", name, value.size);
}

static void apply(struct ccz_rpc_call *c, struct cczi_op *op)
{
    struct ccz_span key = CCZ_SPAN(op->bytes, op->key_size);
    struct ccz_span value = CCZ_SPAN(op->bytes + op->key_size, op->size);
    switch (op->kind) {
    case CCZI_OP_HEADER:
        if (!c->st.headers_sent)
            add_to(&c->st.out_headers, key, value);
        break;
    case CCZI_OP_TRAILER:
        if (!c->st.finished)
            add_to(&c->st.out_trailers, key, value);
        break;
    case CCZI_OP_START:
        cczi_stream_start(&c->st);
        break;
    case CCZI_OP_SEND:
        cczi_stream_send(&c->st, op->msg);
        op->msg = NULL;
        break;
    case CCZI_OP_FINISH:
        cczi_stream_finish(&c->st, op->code, (const char *)op->bytes);
        break;
    }
}

/* On the loop: everything queued so far, in order. */
static void on_posted(void *arg)
{
    struct ccz_rpc_call *c = arg;
    pthread_mutex_lock(&c->lock);
    struct cczi_op *ops = c->ops;
    bool nomem = c->nomem;
    c->ops = NULL;
    c->ops_tail = &c->ops;
    c->posted = false;
    pthread_mutex_unlock(&c->lock);
    for (struct cczi_op *op = ops; op; op = op->next)
        if (c->st.h2)
            apply(c, op);
    free_ops(ops);
    if (nomem)
        cczi_stream_finish(&c->st, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory for the answer");
    if (c->conn)
        cczi_sconn_flush(c->conn);
    ccz_rpc_call_unref(c);
}

/* True if the caller may act on the stream itself: it is on the loop and nothing queued comes
 * first. */
static bool may_act(struct ccz_rpc_call *c)
{
    pthread_mutex_lock(&c->lock);
    bool here = !c->closed && !c->ops && ccz_loop_is_current(c->loop);
    pthread_mutex_unlock(&c->lock);
    return here;
}

/* The loop must hear of it: without a deadline, a call whose last operation it does not know would never end. The lock keeps
 * the loop alive while it is posted to. */
static void post_ops(struct ccz_rpc_call *c)
{
    ccz_rpc_call_ref(c);
    for (;;) {
        pthread_mutex_lock(&c->lock);
        bool over = c->closed;
        bool done = !over && ccz_loop_post(c->loop, on_posted, c) == CCZ_OK;
        bool here = !over && !done && ccz_loop_is_current(c->loop);
        pthread_mutex_unlock(&c->lock);
        if (here) /* nobody else would run it while we wait */
            on_posted(c);
        else if (over)
            ccz_rpc_call_unref(c);
        if (done || here || over)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* Queues @p op (taken over; NULL: there was no memory for it) and tells the loop. */
static void submit(struct ccz_rpc_call *c, struct cczi_op *op)
{
    pthread_mutex_lock(&c->lock);
    if (c->closed) {
        pthread_mutex_unlock(&c->lock);
        free_ops(op);
        return;
    }
    c->nomem |= !op;
    if (op) {
        *c->ops_tail = op;
        c->ops_tail = &op->next;
    }
    bool post = !c->posted;
    c->posted = true;
    pthread_mutex_unlock(&c->lock);
    if (post)
        post_ops(c);
}

static struct cczi_op *new_op(enum cczi_op_kind kind, struct ccz_span key, struct ccz_span value)
{
    struct cczi_op *op = calloc(1, sizeof(*op) + key.size + value.size + 1);
    if (!op)
        return NULL;
    op->kind = kind;
    op->key_size = key.size;
    op->size = value.size;
    if (key.size)
        memcpy(op->bytes, key.ptr, key.size);
    if (value.size)
        memcpy(op->bytes + key.size, value.ptr, value.size);
    return op;
}

static void add_md(struct ccz_rpc_call *c, enum cczi_op_kind kind, const char *key,
                   struct ccz_span value)
{
    struct cczi_op *op = new_op(kind, ccz_span_str(key), value);
    if (!op || !may_act(c)) {
        submit(c, op);
        return;
    }
    apply(c, op);
    free_ops(op);
}

void ccz_rpc_add_header(struct ccz_rpc_call *c, const char *key, struct ccz_span value)
{
    add_md(c, CCZI_OP_HEADER, key, value);
}

void ccz_rpc_add_trailer(struct ccz_rpc_call *c, const char *key, struct ccz_span value)
{
    add_md(c, CCZI_OP_TRAILER, key, value);
}

void ccz_rpc_send_headers(struct ccz_rpc_call *c)
{
    atomic_fetch_or(&c->st.gzip, CCZI_GZIP_FIXED);
    if (!may_act(c)) {
        submit(c, new_op(CCZI_OP_START, (struct ccz_span){0}, (struct ccz_span){0}));
        return;
    }
    cczi_stream_start(&c->st);
    if (c->conn)
        cczi_sconn_flush(c->conn);
}

/* A message that the caller made; NULL if there was no memory for it. */
static void send_out(struct ccz_rpc_call *c, struct cczi_out *msg)
{
    struct cczi_op *op =
        msg ? new_op(CCZI_OP_SEND, (struct ccz_span){0}, (struct ccz_span){0}) : NULL;
    if (op)
        op->msg = msg;
    else
        cczi_out_free(msg);
    submit(c, op);
}

void ccz_rpc_set_compression(struct ccz_rpc_call *c, enum ccz_rpc_compression compression)
{
    cczi_stream_set_gzip(&c->st, compression == CCZ_RPC_GZIP && c->st.takes_gzip);
}

void ccz_rpc_send(struct ccz_rpc_call *c, struct ccz_span msg)
{
    struct cczi_out *out = cczi_stream_out(&c->st, msg, false);
    if (!out || !may_act(c)) {
        send_out(c, out);
        return;
    }
    cczi_stream_send(&c->st, out);
    if (c->conn)
        cczi_sconn_flush(c->conn);
}

void ccz_rpc_finish(struct ccz_rpc_call *c, enum ccz_rpc_code code, const char *message)
{
    if (may_act(c)) {
        cczi_stream_finish(&c->st, code, message);
        if (c->conn)
            cczi_sconn_flush(c->conn);
        return;
    }
    struct cczi_op *op =
        new_op(CCZI_OP_FINISH, (struct ccz_span){0}, ccz_span_str(message ? message : ""));
    if (op)
        op->code = code;
    submit(c, op);
}

/* @p msg lies in the request, which stays where it is as long as the call, and so longer than its answer. */
static bool is_of_request(const struct ccz_rpc_call *c, struct ccz_span msg)
{
    uintptr_t from = (uintptr_t)c->request.ptr, at = (uintptr_t)msg.ptr;
    return c->request.size && at >= from && at - from <= c->request.size &&
           msg.size <= c->request.size - (at - from);
}

void ccz_rpc_reply(struct ccz_rpc_call *c, struct ccz_span msg)
{
    struct cczi_out *out = cczi_stream_out(&c->st, msg, is_of_request(c, msg));
    if (!out || !may_act(c)) {
        send_out(c, out);
        ccz_rpc_finish(c, CCZ_RPC_OK, NULL);
        return;
    }
    cczi_stream_send(&c->st, out);
    cczi_stream_finish(&c->st, CCZ_RPC_OK, NULL);
    if (c->conn)
        cczi_sconn_flush(c->conn);
}

/* As a percent-encoded ASCII trailer, like grpc-message. */
static void add_text(struct ccz_rpc_call *c, const char *key, const char *text)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1024);
    if (!text || !text[0])
        return;
    cczi_percent_put(&b, ccz_span_str(text));
    if (!b.bad)
        ccz_rpc_add_trailer(c, key, ccz_buf_span(&b));
}

void cczi_call_fail_as(struct ccz_rpc_call *c, enum ccz_rpc_code code, const struct ccz_err *err)
{
    char message[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 4], rc[16];
    (void)snprintf(message, sizeof(message), "%s: %s", err->where, err->msg);
    (void)snprintf(rc, sizeof(rc), "%d", (int)err->rc);
    add_text(c, "ccz-rc", rc);
    add_text(c, "ccz-where", err->where);
    add_text(c, "ccz-got", err->got);
    add_text(c, "ccz-expected", err->expected);
    add_text(c, "ccz-hint", err->hint);
    ccz_rpc_finish(c, code, message);
}

void ccz_rpc_fail(struct ccz_rpc_call *c, const struct ccz_err *err)
{
    cczi_call_fail_as(c, ccz_rpc_code_of(err->rc), err);
}

void ccz_rpc_fail_details(struct ccz_rpc_call *c, enum ccz_rpc_code code, const char *message,
                          struct ccz_span details)
{
    if (details.size)
        ccz_rpc_add_trailer(c, "grpc-status-details-bin", details);
    ccz_rpc_finish(c, code, message);
}

/* --------------------------------------------------------------------------------- what it is */

const char *ccz_rpc_call_path(const struct ccz_rpc_call *c)
{
    return c->path;
}

const struct ccz_ratls_peer *ccz_rpc_peer(const struct ccz_rpc_call *c)
{
    return &c->peer->ratls;
}

const char *ccz_rpc_peer_address(const struct ccz_rpc_call *c)
{
    return c->peer->address;
}

struct ccz_span ccz_rpc_metadata(const struct ccz_rpc_call *c, const char *key)
{
    return cczi_md_get(&c->st.in, key);
}

bool ccz_rpc_metadata_next(struct ccz_rpc_md *md, size_t *at, const struct ccz_rpc_call *c)
{
    return cczi_md_walk(md, at, &c->st.in, c->st.in.raw.size);
}

bool ccz_rpc_message_compressed(const struct ccz_rpc_call *c)
{
    return c->st.framer.compressed;
}

int64_t ccz_rpc_time_left_ms(const struct ccz_rpc_call *c)
{
    if (c->deadline_ms == INT64_MAX)
        return INT64_MAX;
    int64_t left = c->deadline_ms - ccz_mono_ms();
    return left > 0 ? left : 0;
}

size_t ccz_rpc_pending(const struct ccz_rpc_call *c)
{
    return c->st.out_size;
}

void ccz_rpc_call_set_arg(struct ccz_rpc_call *c, void *call_arg)
{
    c->arg = call_arg;
}

bool ccz_rpc_cancelled(const struct ccz_rpc_call *c)
{
    return atomic_load(&c->cancelled);
}
