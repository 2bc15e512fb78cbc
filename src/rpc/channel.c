/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of a client: making and re-making them, spreading calls over them, retries. */
#include "client.h"

#include <cczoo/crypto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BACKOFF_FIRST_MS = 100,
    RETRY_REST_MS = 50, /* before a further attempt at a server that is there but unavailable */
    PULL_SIZE = 1 << 16
};

static void slot_connect(struct cczi_slot *slot);
static void serve_parked(struct ccz_rpc_client *c);

static struct cczi_ccall *ccall_of(struct cczi_stream *st)
{
    return (struct cczi_ccall *)st;
}

/* @p ms, less up to a fifth: clients that failed together do not come back together. */
static int64_t jittered(int64_t ms)
{
    uint8_t r = 0;
    if (ccz_random(&r, sizeof(r)) != CCZ_OK)
        r = 0; /* only the spreading suffers */
    return ms - ms * r / (5 * 256);
}

/* ------------------------------------------------------------------------------- connections */

static void note_ready(struct ccz_rpc_client *c, int change, const struct ccz_ratls_peer *peer)
{
    pthread_mutex_lock(&c->lock);
    c->ready_len = (unsigned)((int)c->ready_len + change);
    if (peer)
        c->peer = *peer;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void note_failure(struct ccz_rpc_client *c, const struct ccz_err *err)
{
    pthread_mutex_lock(&c->lock);
    c->last_err = *err;
    c->failures++;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* A refusal on either side is no passing condition: nobody should retry it as UNAVAILABLE. */
static enum ccz_rpc_code code_of_failure(const struct ccz_err *err)
{
    switch (err->rc) {
    case CCZ_E_IO:
    case CCZ_E_CLOSED:
    case CCZ_E_TIMEOUT:
    case CCZ_E_NOMEM:
    case CCZ_E_UNAVAILABLE:
        return CCZ_RPC_UNAVAILABLE;
    case CCZ_E_PEER:
        return CCZ_RPC_PERMISSION_DENIED;
    default:
        return ccz_rpc_code_of(err->rc);
    }
}

static void conn_free(struct cczi_cconn *conn, bool in_order)
{
    struct ccz_rpc_client *c = conn->client;
    struct cczi_wire *wire = conn->wire;
    conn->wire = NULL;
    conn->busy = true;
    if (conn->slot) {
        conn->slot->conn = NULL;
        if (conn->h2)
            note_ready(c, -1, NULL);
    }
    cczi_h2_free(conn->h2); /* its calls end, or start again elsewhere */
    if (in_order)
        cczi_wire_end(wire);
    else
        cczi_wire_free(wire);
    *(conn->prev ? &conn->prev->next : &c->conns) = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    free(conn);
}

static void slot_rest(struct cczi_slot *slot)
{
    struct ccz_rpc_client *c = slot->client;
    int64_t wait = 0;
    if (slot->failures) {
        unsigned doublings = slot->failures - 1 < 16 ? slot->failures - 1 : 16;
        wait = (int64_t)BACKOFF_FIRST_MS << doublings;
        wait = jittered(wait < c->cfg.backoff_max_ms ? wait : c->cfg.backoff_max_ms);
    }
    if (!cczi_deadline_set(&c->deadlines, &slot->timer, ccz_mono_ms() + wait))
        c->failed = true; /* no memory to try again */
}

/* A connection failed or was lost. */
static void conn_lost(struct cczi_cconn *conn, const struct ccz_err *err)
{
    struct ccz_rpc_client *c = conn->client;
    struct cczi_slot *slot = conn->slot;
    struct ccz_err why = *err; /* may lie in what is freed */
    bool was_ready = conn->h2 != NULL;
    if (slot && !c->stopping) {
        slot->failures = was_ready && why.rc != CCZ_E_PEER ? 0 : slot->failures + 1;
        c->failed |= !c->cfg.reconnect;
        note_failure(c, &why);
    }
    conn->why = why;
    conn_free(conn, false);
    if (!slot || c->stopping)
        return;
    cczi_deadline_cancel(&c->deadlines, &slot->timer);
    if (!c->failed)
        slot_rest(slot);
    serve_parked(c);
}

/* As in the server. */
static bool pull_frames(struct cczi_cconn *conn)
{
    struct ccz_rpc_client *c = conn->client;
    bool nested = c->out_busy;
    CCZ_AUTO_BUF own;
    ccz_buf_init(&own, CCZ_CONN_OUT_SIZE_MAX);
    struct ccz_buf *out = nested ? &own : &c->out;
    ccz_rc rc = CCZ_OK;
    while (cczi_wire_writable(conn->wire) && cczi_h2_wants_pull(conn->h2)) {
        ccz_buf_clear(out);
        c->out_busy = true;
        rc = cczi_h2_pull(out, conn->h2, PULL_SIZE, NULL);
        c->out_busy = nested;
        if (rc != CCZ_OK || out->size == 0)
            break;
        cczi_wire_send(conn->wire, ccz_buf_span(out));
    }
    return rc == CCZ_OK && !cczi_h2_done(conn->h2);
}

/* @return false if the connection is gone after it */
static bool flush(struct cczi_cconn *conn)
{
    conn->again = conn->busy || !conn->h2 || conn->client->holds > 0;
    if (conn->again || cczi_wire_busy(conn->wire)) /* busy: on_writable() comes */
        return true;
    bool alive;
    conn->busy = true;
    do {
        conn->again = false;
        alive = pull_frames(conn);
    } while (alive && conn->again);
    conn->busy = false;
    if (alive)
        return true;
    if (!conn->slot) { /* drained: its last call is over */
        conn_free(conn, true);
        return false;
    }
    struct ccz_err err;
    (void)ccz_fail(&err, CCZ_E_UNAVAILABLE, "rpc:http2", 0, "the server ended the HTTP/2 session");
    conn_lost(conn, &err);
    return false;
}

void cczi_cconn_flush(struct cczi_cconn *conn)
{
    (void)flush(conn);
}

void cczi_channel_hold(struct ccz_rpc_client *c)
{
    c->holds++;
}

void cczi_channel_release(struct ccz_rpc_client *c)
{
    if (--c->holds > 0)
        return;
    for (struct cczi_cconn *conn = c->conns; conn;) {
        if (!conn->again || conn->busy || !conn->h2) {
            conn = conn->next;
            continue;
        }
        cczi_cconn_flush(conn);
        conn = c->conns; /* that one, and others, may be gone */
    }
}

/* What was received, and the calls that it led to. @return false if the connection is gone */
static bool feed(struct cczi_cconn *conn, struct ccz_span data)
{
    struct ccz_rpc_client *c = conn->client;
    struct ccz_err err;
    conn->busy = c->feeding = true;
    ccz_rc rc = cczi_h2_feed(conn->h2, data, &err);
    c->feeding = false;
    if (rc != CCZ_OK) {
        err.rc =
            CCZ_E_UNAVAILABLE; /* a server that breaks HTTP/2 is to its callers one that is not there */
        conn_lost(conn, &err);
        cczi_client_take_incoming(c);
        return false;
    }
    cczi_client_take_incoming(c);
    conn->busy = false;
    return flush(conn);
}

static void on_plain(void *arg, struct ccz_span data)
{
    struct cczi_cconn *conn = arg;
    size_t part = cczi_h2_part(data);
    if (part) { /* the server works on these calls while we start the others */
        if (!feed(conn, ccz_span_sub(data, 0, part)))
            return;
        cczi_wire_push(conn->wire);
    }
    (void)feed(conn, ccz_span_sub(data, part, data.size - part));
}

static void on_writable(void *arg)
{
    struct cczi_cconn *conn = arg;
    if (conn->h2)
        cczi_cconn_flush(conn);
}

static void on_attested(void *arg)
{
    struct cczi_cconn *conn = arg;
    note_ready(conn->client, 0, cczi_wire_peer(conn->wire));
}

static void on_closed(void *arg, const struct ccz_err *err)
{
    conn_lost(arg, err);
}

/* GOAWAY: the slot gets a new connection, this one ends with its calls. */
static void on_goaway(void *arg)
{
    struct cczi_cconn *conn = arg;
    struct cczi_slot *slot = conn->slot;
    if (!slot)
        return;
    conn->slot = NULL;
    slot->conn = NULL;
    note_ready(conn->client, -1, NULL);
    if (conn->client->cfg.reconnect) {
        slot_rest(slot);
        return;
    }
    struct ccz_err err;
    (void)ccz_fail(&err, CCZ_E_UNAVAILABLE, "rpc:goaway", 0, "the server takes no more calls");
    conn->client->failed = true;
    note_failure(conn->client, &err);
}

static void on_message(void *arg, struct cczi_stream *st, struct ccz_span msg)
{
    (void)arg;
    struct cczi_ccall *call = ccall_of(st);
    call->messages++;
    if (call->ops) {
        call->ops->message(call->user, msg);
        return;
    }
    if (call->messages > 1) {
        st->code = CCZ_RPC_UNIMPLEMENTED;
        (void)snprintf(st->message, sizeof(st->message), "more than one response to a unary call");
        st->has_code = true;
        cczi_stream_reset(st, NGHTTP2_CANCEL);
        return;
    }
    call->response = msg;
    call->result.compressed = st->framer.compressed;
}

static void on_drained(void *arg, struct cczi_stream *st)
{
    (void)arg;
    if (ccall_of(st)->ops)
        ccall_of(st)->ops->writable(ccall_of(st)->user);
}

static void on_response(void *arg, struct cczi_stream *st)
{
    struct cczi_cconn *conn = arg;
    struct cczi_ccall *call = ccall_of(st);
    if (conn->slot)
        conn->slot->failures = 0; /* this server really serves */
    if (call->ops && call->ops->headers && !st->trailers_only)
        call->ops->headers(call->user);
}

static void on_close(void *arg, struct cczi_stream *st);

static const struct cczi_h2_ops h2_ops = {.on_response = on_response,
                                          .on_message = on_message,
                                          .on_drained = on_drained,
                                          .on_close = on_close,
                                          .on_goaway = on_goaway};

static void on_ready(void *arg)
{
    struct cczi_cconn *conn = arg;
    struct ccz_rpc_client *c = conn->client;
    struct cczi_h2_cfg cfg = {
        .ops = &h2_ops, .arg = conn, .message_size_max = c->cfg.message_size_max};
    cczi_deadline_cancel(&c->deadlines, &conn->slot->timer);
    if (cczi_h2_new(&conn->h2, &cfg) != CCZ_OK) {
        struct ccz_err err;
        (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        conn_lost(conn, &err);
        return;
    }
    note_ready(c, 1, cczi_wire_peer(conn->wire));
    conn->busy = true;
    serve_parked(c);
    conn->busy = false;
    cczi_cconn_flush(conn);
}

static const struct cczi_wire_ops wire_ops = {.on_ready = on_ready,
                                              .on_plain = on_plain,
                                              .on_writable = on_writable,
                                              .on_attested = on_attested,
                                              .on_closed = on_closed};

/* The slot's timer: the connection took too long, or the rest is over. */
static void on_slot_timer(struct cczi_deadline *d)
{
    struct cczi_slot *slot = (struct cczi_slot *)((char *)d - offsetof(struct cczi_slot, timer));
    if (!slot->conn) {
        slot_connect(slot);
        return;
    }
    struct ccz_err err;
    (void)ccz_fail(&err, CCZ_E_TIMEOUT, "rpc:connect-timeout", 0,
                   "no attested connection to %s within %lld ms", slot->client->target,
                   (long long)slot->client->cfg.connect_timeout_ms);
    conn_lost(slot->conn, &err);
}

static void slot_connect(struct cczi_slot *slot)
{
    struct ccz_rpc_client *c = slot->client;
    struct ccz_err err = {0};
    struct cczi_cconn *conn = calloc(1, sizeof(*conn));
    struct cczi_wire_cfg cfg = {.loop = c->loop,
                                .pool = c->pool,
                                .deadlines = &c->deadlines,
                                .ratls = c->cfg.ratls,
                                .ops = &wire_ops,
                                .arg = conn,
                                .scratch = &c->scratch,
                                .connect_timeout_ms = c->cfg.connect_timeout_ms};
    slot->timer.fn = on_slot_timer;
    ccz_rc rc = conn ? cczi_wire_connect(&conn->wire, &cfg, c->target, &err)
                     : ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    if (rc != CCZ_OK) {
        free(conn);
        slot->failures++;
        c->failed |=
            !c->cfg.reconnect || rc == CCZ_E_FORMAT; /* a malformed address stays malformed */
        note_failure(c, &err);
        if (!c->failed)
            slot_rest(slot);
        serve_parked(c);
        return;
    }
    conn->client = c;
    conn->slot = slot;
    slot->conn = conn;
    conn->next = c->conns;
    if (c->conns)
        c->conns->prev = conn;
    c->conns = conn;
    if (!cczi_deadline_set(&c->deadlines, &slot->timer,
                           ccz_mono_ms() + c->cfg.connect_timeout_ms)) {
        (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        conn_lost(conn, &err);
    }
}

void cczi_channel_start(struct ccz_rpc_client *c)
{
    if (c->failed || c->stopping)
        return;
    for (unsigned i = 0; i < c->cfg.connections; i++)
        if (!c->slots[i].conn && c->slots[i].timer.pos == 0)
            slot_connect(&c->slots[i]);
}

/* -------------------------------------------------------------------------------------- calls */

/* The next ready connection in turn; another slot than the last attempt's, if there is one. */
static struct cczi_cconn *pick(struct cczi_ccall *call)
{
    struct ccz_rpc_client *c = call->client;
    struct cczi_cconn *same = NULL;
    for (unsigned i = 0; i < c->cfg.connections; i++) {
        struct cczi_slot *slot = &c->slots[(c->next_slot + i) % c->cfg.connections];
        if (!slot->conn || !slot->conn->h2)
            continue;
        if (slot == call->last_slot) {
            same = slot->conn;
            continue;
        }
        c->next_slot = (c->next_slot + i + 1) % c->cfg.connections;
        return slot->conn;
    }
    return same;
}

static void park(struct cczi_ccall *call)
{
    struct ccz_rpc_client *c = call->client;
    call->parked = true;
    call->park_next = NULL;
    call->park_prev = c->parked_last;
    *(c->parked_last ? &c->parked_last->park_next : &c->parked_first) = call;
    c->parked_last = call;
    c->parked_len++;
}

void cczi_ccall_unpark(struct cczi_ccall *call)
{
    struct ccz_rpc_client *c = call->client;
    if (!call->parked)
        return;
    call->parked = false;
    *(call->park_prev ? &call->park_prev->park_next : &c->parked_first) = call->park_next;
    *(call->park_next ? &call->park_next->park_prev : &c->parked_last) = call->park_prev;
    c->parked_len--;
}

/* True if a connection is being made, or about to be, whose last attempt did not fail. */
static bool may_come(const struct ccz_rpc_client *c)
{
    for (unsigned i = 0; i < c->cfg.connections; i++) {
        const struct cczi_slot *slot = &c->slots[i];
        if (slot->failures == 0 && (slot->conn || slot->timer.pos))
            return true;
    }
    return false;
}

static void fail_unconnected(struct cczi_ccall *call)
{
    struct ccz_rpc_client *c = call->client;
    pthread_mutex_lock(&c->lock);
    struct ccz_err err = c->last_err;
    pthread_mutex_unlock(&c->lock);
    if (err.rc == CCZ_OK)
        (void)ccz_fail(&err, CCZ_E_UNAVAILABLE, "rpc:not-connected", 0, "no connection to %s",
                       c->target);
    cczi_ccall_fail(call, code_of_failure(&err), &err);
}

static void on_call_timer(struct cczi_deadline *d)
{
    struct cczi_ccall *call = (struct cczi_ccall *)((char *)d - offsetof(struct cczi_ccall, timer));
    struct cczi_cconn *conn = call->conn;
    if (!conn && !call->parked && ccz_mono_ms() < call->deadline_ms) {
        cczi_channel_call(call); /* rested enough */
        return;
    }
    struct ccz_err err;
    (void)ccz_fail(&err, CCZ_E_TIMEOUT, "rpc:deadline", 0, "no answer to %s in time%s", call->path,
                   conn ? "" : ", no connection");
    cczi_stream_abandon(&call->st);
    cczi_ccall_fail(call, CCZ_RPC_DEADLINE_EXCEEDED, &err);
    if (conn)
        cczi_cconn_flush(conn);
}

void cczi_ccall_cancel(struct cczi_ccall *call)
{
    struct cczi_cconn *conn = call->conn;
    struct ccz_err err;
    (void)ccz_fail(&err, CCZ_E_CLOSED, "rpc:cancelled", 0, "the call was cancelled");
    cczi_stream_abandon(&call->st);
    cczi_ccall_fail(call, CCZ_RPC_CANCELLED, &err);
    if (conn)
        cczi_cconn_flush(conn);
}

static void start_on(struct cczi_cconn *conn, struct cczi_ccall *call)
{
    struct ccz_err err;
    struct cczi_request rq = {.authority = call->client->target,
                              .path = call->path,
                              .timeout_ms = call->deadline_ms - ccz_mono_ms(),
                              .metadata = &call->metadata};
    call->result.attempts++;
    call->last_slot = conn->slot;
    ccz_rc rc = cczi_h2_request(conn->h2, &call->st, &rq, &err);
    if (rc == CCZ_E_UNAVAILABLE) { /* out of stream ids: a new connection has new ones */
        cczi_h2_drain(conn->h2);
        on_goaway(conn);
        cczi_cconn_flush(conn);
        cczi_channel_call(call);
        return;
    }
    if (rc != CCZ_OK) {
        cczi_ccall_fail(call, ccz_rpc_code_of(rc), &err);
        return;
    }
    call->conn = conn;
    if (call->ops) {
        call->ops->started(call->user);
    } else {
        call->request->refs++;
        call->request->sent = 0;
        cczi_stream_send(&call->st, call->request);
        cczi_stream_half_close(&call->st);
    }
    cczi_cconn_flush(conn);
}

void cczi_channel_call(struct cczi_ccall *call)
{
    struct ccz_rpc_client *c = call->client;
    call->timer.fn = on_call_timer;
    if (c->stopping) {
        cczi_ccall_cancel(call);
        return;
    }
    if (!cczi_deadline_set(&c->deadlines, &call->timer, call->deadline_ms)) {
        struct ccz_err err;
        (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        cczi_ccall_fail(call, CCZ_RPC_RESOURCE_EXHAUSTED, &err);
        return;
    }
    struct cczi_cconn *conn = pick(call);
    if (conn)
        start_on(conn, call);
    else if (!c->failed && (call->wait || may_come(c)))
        park(call);
    else
        fail_unconnected(call);
}

/* Connections came or went: each parked call starts, waits on, or fails. */
static void serve_parked(struct ccz_rpc_client *c)
{
    for (size_t n = c->parked_len; n > 0 && c->parked_first; n--) {
        struct cczi_ccall *call = c->parked_first;
        cczi_ccall_unpark(call);
        cczi_channel_call(call);
    }
}

/* What the server did not begin may always be sent again; what failed half way only if the caller says so. */
static bool may_retry(const struct cczi_ccall *call)
{
    enum { REFUSALS_MAX = 8 };
    if (call->ops || call->client->stopping || ccz_mono_ms() >= call->deadline_ms)
        return false;
    if (call->st.refused && call->result.attempts < REFUSALS_MAX)
        return true;
    return call->retries_left && call->st.code == CCZ_RPC_UNAVAILABLE;
}

/* A new attempt: at once on another connection, after a rest if this server itself said it cannot.
 */
static void retry(struct cczi_ccall *call, bool answered)
{
    struct ccz_rpc_client *c = call->client;
    call->retries_left -= call->st.refused ? 0 : 1;
    cczi_stream_deinit(&call->st);
    cczi_stream_init(&call->st, c->cfg.message_size_max);
    call->st.framer.stock = c->stock;
    cczi_stream_set_gzip(&call->st, call->compression == CCZ_RPC_GZIP);
    call->st.framer.keep = true;
    call->messages = 0;
    call->result.compressed = false;
    call->response = (struct ccz_span){0};
    call->err = (struct ccz_err){0};
    int64_t rest = answered ? jittered((int64_t)RETRY_REST_MS
                                       << (call->result.attempts < 6 ? call->result.attempts : 6))
                            : 0;
    int64_t at = ccz_mono_ms() + rest;
    /* through the timer also if the rest is none: connections may be in the middle of closing */
    if (!cczi_deadline_set(&c->deadlines, &call->timer,
                           at < call->deadline_ms ? at : call->deadline_ms)) {
        struct ccz_err err;
        (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        cczi_ccall_fail(call, CCZ_RPC_RESOURCE_EXHAUSTED, &err);
    }
}

static void on_close(void *arg, struct cczi_stream *st)
{
    const struct cczi_cconn *conn = arg;
    struct cczi_ccall *call = ccall_of(st);
    call->conn = NULL;
    if (conn->why.rc != CCZ_OK &&
        !st->headers_done) { /* the reason of the connection, e.g. its refusal */
        st->code = code_of_failure(&conn->why);
        call->err = conn->why;
    }
    if (may_retry(call)) {
        retry(call, st->has_status || st->refused);
        return;
    }
    if (st->code == CCZ_RPC_OK && !call->ops && call->messages != 1) {
        st->code = CCZ_RPC_UNIMPLEMENTED;
        (void)snprintf(st->message, sizeof(st->message), "no response to a unary call");
    }
    call->result.code = st->code;
    memcpy(call->result.message, st->message, sizeof(call->result.message));
    cczi_ccall_finish(call);
}

void cczi_channel_stop(struct ccz_rpc_client *c)
{
    c->stopping = true;
    while (c->calls)
        cczi_ccall_cancel(c->calls);
    while (c->conns)
        conn_free(c->conns, true);
    for (unsigned i = 0; i < c->cfg.connections; i++)
        cczi_deadline_cancel(&c->deadlines, &c->slots[i].timer);
}
