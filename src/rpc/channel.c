/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of a client: making and re-making them, spreading calls over them, retries. */
#define _DEFAULT_SOURCE
#include "client.h"

#include "base/condwait.h"

#include <cczoo/crypto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BACKOFF_FIRST_MS = 100,
    PING_ANSWER_MS = 20000, /* a server that does not answer a PING for so long is gone */
    RETRY_REST_MS = 50,     /* before a further attempt at a server that is there but unavailable */
    PULL_SIZE = 1 << 16
};

static struct ccz_rpc_client *client_of(const struct cczi_slot *slot)
{
    return slot->address->entry->client;
}

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

/* Something about connections has changed: for ccz_rpc_client_connect(). */
static void note_state(struct ccz_rpc_client *c, const struct ccz_ratls_peer *peer)
{
    bool ready, unreachable;
    if (!c->cfg.reconnect && !c->failed)
        c->failed = !cczi_target_alive(c);
    cczi_target_judge(&ready, &unreachable, c);
    pthread_mutex_lock(&c->lock);
    c->ready = ready;
    c->unreachable = unreachable;
    c->final = c->failed;
    if (peer)
        c->peer = *peer;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* Its connection is no more; note_state() follows once it is known what comes instead. */
static void note_gone(struct ccz_rpc_client *c, struct cczi_slot *slot)
{
    bool unreachable;
    slot->conn = NULL;
    pthread_mutex_lock(&c->lock);
    cczi_target_judge(&c->ready, &unreachable, c);
    pthread_mutex_unlock(&c->lock);
}

/* note_state() follows once it is known what becomes of it. */
void cczi_channel_note_failure(struct ccz_rpc_client *c, const struct ccz_err *err)
{
    pthread_mutex_lock(&c->lock);
    c->last_err = *err;
    c->failures++;
    pthread_mutex_unlock(&c->lock);
}

void cczi_channel_no_memory(struct ccz_rpc_client *c)
{
    struct ccz_err err;
    (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "no memory to try again");
    c->failed = true;
    cczi_channel_note_failure(c, &err);
}

void cczi_channel_changed(struct ccz_rpc_client *c)
{
    note_state(c, NULL);
    serve_parked(c);
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
    cczi_deadline_cancel(&c->deadlines, &conn->keepalive);
    if (conn->slot)
        conn->slot->conn = NULL;
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

int64_t cczi_backoff_ms(const struct ccz_rpc_client *c, unsigned failures)
{
    if (failures == 0)
        return 0;
    int64_t wait = (int64_t)BACKOFF_FIRST_MS << (failures - 1 < 16 ? failures - 1 : 16);
    return jittered(wait < c->cfg.backoff_max_ms ? wait : c->cfg.backoff_max_ms);
}

static void on_slot_timer(struct cczi_deadline *d);

static void slot_rest(struct cczi_slot *slot)
{
    struct ccz_rpc_client *c = client_of(slot);
    slot->timer.fn = on_slot_timer;
    if (!c->cfg.reconnect) /* the slot stays empty */
        return;
    int64_t at = cczi_deadline_ms(cczi_backoff_ms(c, slot->failures));
    if (!c->failed && !cczi_deadline_set(&c->deadlines, &slot->timer, at))
        cczi_channel_no_memory(c);
}

void cczi_slot_start(struct cczi_slot *slot)
{
    if (slot->failures)
        slot_rest(slot);
    else
        slot_connect(slot);
}

/* The slot's connection could not be made, or was lost. @p slot may be gone afterwards. */
static void slot_failed(struct cczi_slot *slot, const struct ccz_err *why)
{
    struct ccz_rpc_client *c = client_of(slot);
    struct cczi_entry *entry = slot->address->entry;
    cczi_channel_note_failure(c, why);
    cczi_deadline_cancel(&c->deadlines, &slot->timer);
    slot_rest(slot);
    cczi_entry_lost(entry);
    cczi_channel_changed(c);
}

/* A connection failed or was lost. */
/* @p in_order: what is on its way to the server still goes out. */
static void conn_end(struct cczi_cconn *conn, const struct ccz_err *err, bool in_order)
{
    struct ccz_rpc_client *c = conn->client;
    struct cczi_slot *slot = conn->slot;
    struct ccz_err why = *err; /* may lie in what is freed */
    bool was_ready = conn->h2 != NULL;
    if (slot && !c->stopping)
        slot->failures = was_ready && why.rc != CCZ_E_PEER ? 0 : slot->failures + 1;
    conn->why = why;
    if (slot) /* before its calls end: who hears of it that way must not find the connection ready */
        note_gone(c, slot);
    conn_free(conn, in_order);
    if (slot && !c->stopping)
        slot_failed(slot, &why);
}

static void conn_lost(struct cczi_cconn *conn, const struct ccz_err *err)
{
    conn_end(conn, err, false);
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
    conn_end(conn, &err, true); /* it may have been us: GOAWAY says why */
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
    bool refused = conn->h2->refusal != NULL;
    if (refused) {
        err = *conn->h2->refusal;
        conn_lost(conn, &err);
    } else if (rc != CCZ_OK) { /* to its callers, a server that breaks HTTP/2 is not there */
        err.rc = CCZ_E_UNAVAILABLE;
        (void)pull_frames(conn); /* GOAWAY with the reason */
        conn_end(conn, &err, true);
    }
    cczi_client_take_incoming(c);
    if (refused || rc != CCZ_OK)
        return false;
    conn->busy = false;
    return flush(conn);
}

static void on_plain(void *arg, struct ccz_span data)
{
    struct cczi_cconn *conn = arg;
    size_t part = cczi_h2_part(data);
    conn->heard_ms = ccz_mono_ms();
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
    conn->peer = *cczi_wire_peer(conn->wire);
    note_state(conn->client, &conn->peer);
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
    if (conn->h2->refusal) { /* calls end with this reason, and on_plain() with the connection */
        conn->why = *conn->h2->refusal;
        if (slot)
            note_gone(conn->client, slot);
        return;
    }
    if (!slot)
        return;
    conn->slot = NULL;
    slot->conn = NULL;
    slot_rest(slot);
    if (!conn->client->cfg.reconnect) {
        struct ccz_err err;
        (void)ccz_fail(&err, CCZ_E_UNAVAILABLE, "rpc:goaway", 0, "the server takes no more calls");
        cczi_channel_note_failure(conn->client, &err);
    }
    note_state(conn->client, NULL);
}

/* We end the connection as a server would: no new calls, and it goes with the last one. Its place gets another, also if
 * lost ones would not be replaced. */
static void conn_retire(struct cczi_cconn *conn)
{
    struct cczi_slot *slot = conn->slot;
    cczi_h2_drain(conn->h2);
    if (slot) {
        conn->slot = NULL;
        slot->conn = NULL;
        slot_connect(slot);
        note_state(conn->client, NULL);
    }
    cczi_cconn_flush(conn);
}

void cczi_slot_close(struct cczi_slot *slot)
{
    struct ccz_rpc_client *c = client_of(slot);
    struct cczi_cconn *conn = slot->conn;
    cczi_deadline_cancel(&c->deadlines, &slot->timer);
    slot->conn = NULL;
    if (!conn)
        return;
    conn->slot = NULL;
    if (!conn->h2) {
        conn_free(conn, false);
        return;
    }
    cczi_h2_drain(conn->h2);
    cczi_cconn_flush(conn);
}

void cczi_channel_recycle(struct ccz_rpc_client *c)
{
    for (size_t i = 0; i < c->addresses_len; i++)
        for (unsigned k = 0; k < c->cfg.connections; k++) {
            struct cczi_slot *slot = &c->addresses[i]->slots[k];
            if (slot->conn && slot->conn->h2) {
                conn_retire(slot->conn);
            } else if (slot->conn) { /* in the handshake: begins again */
                conn_free(slot->conn, false);
                cczi_deadline_cancel(&c->deadlines, &slot->timer);
                slot_connect(slot);
            }
        }
    note_state(c, NULL);
}

static void on_keepalive(struct cczi_deadline *d)
{
    struct cczi_cconn *conn =
        (struct cczi_cconn *)((char *)d - offsetof(struct cczi_cconn, keepalive));
    const struct ccz_rpc_client_cfg *cfg = &conn->client->cfg;
    int64_t now = ccz_mono_ms(), silent = now - conn->heard_ms, next;
    int64_t patience = cfg->keepalive_ms < PING_ANSWER_MS ? cfg->keepalive_ms : PING_ANSWER_MS;
    if (silent < cfg->keepalive_ms) {
        next = cczi_deadline_ms(cfg->keepalive_ms - silent);
    } else if (cczi_h2_ping_pending(conn->h2)) {
        next = conn->heard_ms + cfg->keepalive_ms + patience;
    } else if (cfg->keepalive_idle || cczi_h2_streams(conn->h2)) {
        cczi_h2_ping(conn->h2);
        conn->heard_ms = now - cfg->keepalive_ms; /* the answer has its time from here on */
        next = now + patience;
    } else {
        next = cczi_deadline_ms(cfg->keepalive_ms);
    }
    struct ccz_err err;
    if (next <= now) {
        (void)ccz_fail(&err, CCZ_E_TIMEOUT, "rpc:keepalive", silent,
                       "the server answers no PING within %lld ms", (long long)patience);
        conn_lost(conn, &err);
    } else if (!cczi_deadline_set(&conn->client->deadlines, &conn->keepalive, next)) {
        (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        conn_lost(conn, &err);
    } else {
        cczi_cconn_flush(conn);
    }
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
    conn->slot->address->entry->flips = 0;
    conn->slot->address->entry->seed = 0;
    conn->heard_ms = ccz_mono_ms();
    conn->keepalive.fn = on_keepalive;
    if (cczi_h2_new(&conn->h2, &cfg) != CCZ_OK ||
        !cczi_deadline_set(&c->deadlines, &conn->keepalive,
                           cczi_deadline_ms(c->cfg.keepalive_ms))) {
        struct ccz_err err;
        (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        conn_lost(conn, &err);
        return;
    }
    conn->peer = *cczi_wire_peer(conn->wire);
    note_state(c, &conn->peer);
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
        if (!slot->conn) /* not even begun, for want of memory: calls may be waiting for it */
            cczi_channel_changed(client_of(slot));
        return;
    }
    struct ccz_err err;
    (void)ccz_fail(&err, CCZ_E_TIMEOUT, "rpc:connect-timeout", 0,
                   "no attested connection to %s within %lld ms", slot->address->text,
                   (long long)client_of(slot)->cfg.connect_timeout_ms);
    conn_lost(slot->conn, &err);
}

static void slot_connect(struct cczi_slot *slot)
{
    struct ccz_rpc_client *c = client_of(slot);
    struct ccz_err err = {0};
    struct cczi_cconn *conn = calloc(1, sizeof(*conn));
    pthread_mutex_lock(&c->lock);
    struct ccz_ratls_ctx *ratls = ccz_ratls_ctx_ref(c->cfg.ratls);
    pthread_mutex_unlock(&c->lock);
    struct cczi_wire_cfg cfg = {.loop = c->loop,
                                .pool = c->pool,
                                .deadlines = &c->deadlines,
                                .ratls = ratls,
                                .farewell = cczi_refusal_by_client,
                                .ops = &wire_ops,
                                .arg = conn,
                                .scratch = &c->scratch,
                                .connect_timeout_ms = c->cfg.connect_timeout_ms};
    slot->timer.fn = on_slot_timer;
    ccz_rc rc = conn ? cczi_wire_connect(&conn->wire, &cfg, slot->address->text, &err)
                     : ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    ccz_ratls_ctx_free(ratls);
    if (rc != CCZ_OK) { /* slots may be walked over now: what follows is the timer's */
        free(conn);
        slot->failures++;
        cczi_channel_note_failure(c, &err);
        slot_rest(slot);
        note_state(c, NULL);
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
                           cczi_deadline_ms(c->cfg.connect_timeout_ms))) {
        (void)ccz_fail(&err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
        conn_lost(conn, &err);
    }
}

void cczi_channel_start(struct ccz_rpc_client *c)
{
    if (!c->stopping)
        cczi_target_start(c);
}

/* -------------------------------------------------------------------------------------- calls */

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

/* The last connection failed for a reason that does not pass by itself. */
static bool refused(struct ccz_rpc_client *c)
{
    pthread_mutex_lock(&c->lock);
    struct ccz_err err = c->last_err;
    pthread_mutex_unlock(&c->lock);
    return err.rc != CCZ_OK && code_of_failure(&err) != CCZ_RPC_UNAVAILABLE;
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

/* As gRPC does it: a path is no authority (RFC 9110, 4.2.1), and servers end a stream for its '/'. */
static const char *authority_of(const struct ccz_rpc_client *c)
{
    const char *text = c->entries[0].text;
    return strncmp(text, "unix:", 5) == 0 ? "localhost" : text;
}

static void start_on(struct cczi_cconn *conn, struct cczi_ccall *call)
{
    struct ccz_err err;
    struct cczi_request rq = {.authority = authority_of(call->client),
                              .path = call->path,
                              .timeout_ms = call->deadline_ms == INT64_MAX
                                                ? INT64_MAX
                                                : call->deadline_ms - ccz_mono_ms(),
                              .previous_attempts = call->result.attempts,
                              .metadata = &call->metadata};
    call->result.attempts++;
    call->last_slot = conn->slot;
    ccz_rc rc = cczi_h2_request(conn->h2, &call->st, &rq, &err);
    if (rc == CCZ_E_UNAVAILABLE) { /* out of stream ids: a new connection has new ones */
        conn_retire(conn);
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
    struct cczi_cconn *conn = cczi_target_pick(c, call->last_slot);
    if (conn)
        start_on(conn, call);
    else if (!c->failed &&
             (cczi_target_may_come(c) || (call->wait && (call->wait_refused || !refused(c)))))
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
static bool may_retry(struct cczi_ccall *call)
{
    enum { REFUSALS_MAX = 8 };
    if (call->ops || call->client->stopping || ccz_mono_ms() >= call->deadline_ms)
        return false;
    if (call->st.refused && call->result.attempts < REFUSALS_MAX)
        return true;
    if (call->retries_left == 0 || call->st.code != CCZ_RPC_UNAVAILABLE)
        return false;
    call->retries_left--;
    return true;
}

enum { NO_PUSHBACK = -1, NO_RETRY = -2 };

/* How long the server asks us to stay away (gRFC A6): milliseconds, or one of the above. */
static int64_t pushback_ms(const struct cczi_stream *st)
{
    enum { DIGITS_MAX = 9 };
    int64_t ms = 0;
    struct ccz_span v = cczi_md_get(&st->in, "grpc-retry-pushback-ms");
    if (!v.ptr)
        return NO_PUSHBACK;
    if (v.size == 0 || v.size > DIGITS_MAX)
        return NO_RETRY;
    for (size_t i = 0; i < v.size; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9') /* negative: stay away for good */
            return NO_RETRY;
        ms = 10 * ms + (v.ptr[i] - '0');
    }
    return ms;
}

/* A new attempt: at once on another connection, after a rest if this server itself said it cannot.
 */
static void retry(struct cczi_ccall *call, bool answered, int64_t pushback)
{
    struct ccz_rpc_client *c = call->client;
    cczi_stream_deinit(&call->st);
    cczi_stream_init(&call->st, c->cfg.message_size_max);
    cczi_framer_set_stock(&call->st.framer, c->stock);
    cczi_stream_set_gzip(&call->st, call->compression == CCZ_RPC_GZIP);
    call->st.framer.keep = true;
    call->messages = 0;
    call->result.compressed = false;
    call->response = (struct ccz_span){0};
    call->err = (struct ccz_err){0};
    int64_t rest = answered ? jittered((int64_t)RETRY_REST_MS
                                       << (call->result.attempts < 6 ? call->result.attempts : 6))
                            : 0;
    int64_t at = cczi_deadline_ms(pushback >= 0 ? pushback : rest);
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
    int64_t pushback = pushback_ms(st);
    if (pushback != NO_RETRY && may_retry(call)) {
        /* after a refusal of ourselves: at once, elsewhere or not at all */
        retry(call, (st->has_status || st->refused) && conn->why.rc == CCZ_OK, pushback);
        return;
    }
    /* a server with the same deadline resets the stream, perhaps before our own timer runs */
    if (st->code == CCZ_RPC_CANCELLED && !st->has_status && ccz_mono_ms() >= call->deadline_ms) {
        st->code = CCZ_RPC_DEADLINE_EXCEEDED;
        (void)snprintf(st->message, sizeof(st->message), "the deadline passed");
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
    cczi_target_stop(c);
}
