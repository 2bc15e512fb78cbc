/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's life and its receiving half: frames to headers, messages and outcomes. */
#include "h2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RESET_BURST = 512, /* RST_STREAM frames from a client: what may come at once, and per second */
    RESET_RATE = 64,
    BUDGET_MESSAGES = 4, /* largest messages that a connection may have incomplete or kept */
    HEADERS_HOSTILE =
        4, /* times the limit of headers: up to there we answer, above it we stop reading */
    SHARE_FREE = 65536, /* what a connection may hold although all together hold too much */
    QUEUE_FREE =
        1024 /* frames that may wait for a peer that takes nothing, beside those of its calls */
};

struct cczi_stream *cczi_h2_stream(struct cczi_h2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->ng, id);
}

void cczi_h2_attach(struct cczi_h2 *h, struct cczi_stream *st, int32_t id)
{
    st->h2 = h;
    st->id = id;
    st->next = NULL;
    st->prev = h->last;
    *(h->last ? &h->last->next : &h->first) = st;
    h->last = st;
    h->streams++;
    st->budget = h->cfg.budget;
    if (st->budget)
        atomic_fetch_add(&st->budget->refs, 1);
}

void cczi_budget_unref(struct cczi_budget *b)
{
    if (b && atomic_fetch_sub(&b->refs, 1) == 1)
        free(b);
}

/* The stream holds so much now. Differences are modulo 2^64, sums are not. */
static void count(struct cczi_stream *st, size_t body_size, size_t md_size)
{
    struct cczi_h2 *h = st->h2;
    size_t change = body_size + md_size - st->counted_body - st->counted_md;
    h->buffered += body_size - st->counted_body;
    if (st->budget && change)
        atomic_fetch_add_explicit(&st->budget->used, change, memory_order_relaxed);
    st->counted_body = body_size;
    st->counted_md = md_size;
}

/* Too much is held over all connections. Who holds little of it goes on, up to twice the limit: one that fills it must not
 * stop the others. */
static bool over(const atomic_size_t *all, size_t max, size_t own)
{
    size_t n = atomic_load_explicit(all, memory_order_relaxed);
    return n > max && (own > SHARE_FREE || n / 2 > max);
}

static bool over_budget(const struct cczi_h2 *h)
{
    size_t one = h->cfg.message_size_max;
    const struct cczi_budget *all = h->cfg.budget;
    if (all && over(&all->used, all->max, h->buffered))
        return true;
    return one < SIZE_MAX / BUDGET_MESSAGES && h->buffered > BUDGET_MESSAGES * one;
}

static bool over_queued(const struct cczi_h2 *h)
{
    const struct cczi_budget *all = h->cfg.budget;
    return all && all->queued_max && over(&all->queued, all->queued_max, h->queued);
}

static void detach(struct cczi_stream *st)
{
    struct cczi_h2 *h = st->h2;
    *(st->prev ? &st->prev->next : &h->first) = st->next;
    *(st->next ? &st->next->prev : &h->last) = st->prev;
    st->prev = st->next = NULL;
    h->streams--;
    h->buffered -= st->counted_body;
    h->queued -= st->out_size;
    st->h2 = NULL;
}

void cczi_h2_account(struct cczi_stream *st)
{
    count(st, cczi_framer_held(&st->framer), st->in.raw.size);
}

/* The call cannot go on: the server says so with a status, the client gives the stream up. */
static void fail_stream(struct cczi_stream *st, enum ccz_rpc_code code, const char *message)
{
    if (st->has_code)
        return;
    cczi_stream_drop_output(st);
    cczi_stream_release_message(st);
    if (st->h2->cfg.server) {
        cczi_stream_finish(st, code, message);
        return;
    }
    st->code = code;
    (void)snprintf(st->message, sizeof(st->message), "%s", message);
    st->has_code = true;
    cczi_stream_reset(st, NGHTTP2_CANCEL);
}

/* ---------------------------------------------------------------------------------- headers */

static void refuse_headers(struct cczi_stream *st, enum ccz_rpc_code code, const char *why)
{
    if (st->bad)
        return;
    st->bad = why;
    st->bad_code = code;
}

/* "application/grpc", alone or with a subtype or parameter. */
static bool content_is_grpc(struct ccz_span v)
{
    static const char type[] = "application/grpc";
    size_t n = sizeof(type) - 1;
    return v.size >= n && memcmp(v.ptr, type, n) == 0 &&
           (v.size == n || v.ptr[n] == '+' || v.ptr[n] == ';');
}

static void add_metadata(struct cczi_stream *st, struct ccz_span key, struct ccz_span value)
{
    ccz_rc rc = cczi_md_add_wire(&st->in, key, value);
    if (rc == CCZ_E_FORMAT)
        refuse_headers(st, CCZ_RPC_INTERNAL, "malformed base64 in a binary header");
    else if (rc != CCZ_OK)
        refuse_headers(st, CCZ_RPC_RESOURCE_EXHAUSTED, "too many headers");
}

static void on_pseudo(struct cczi_stream *st, struct ccz_span key, struct ccz_span value)
{
    if (ccz_span_eq(key, ccz_span_str(":status"))) {
        st->http_status = 0;
        for (size_t i = 0; i < value.size && i < 3; i++) /* nghttp2 checked that these are digits */
            st->http_status = 10 * st->http_status + (unsigned)(value.ptr[i] - '0');
    } else if (ccz_span_eq(key, ccz_span_str(":method"))) {
        st->is_post = ccz_span_eq(value, ccz_span_str("POST"));
        st->is_head = ccz_span_eq(value, ccz_span_str("HEAD"));
    } else if (ccz_span_eq(key, ccz_span_str(":path")) ||
               ccz_span_eq(key, ccz_span_str(":authority"))) {
        add_metadata(st, key, value);
    }
}

/* The document on compression wants different codes of the two sides. */
static void on_encoding(struct cczi_stream *st, struct ccz_span value)
{
    if (st->headers_done) /* in trailers it says nothing */
        return;
    st->framer.encoding = cczi_encoding_of(value);
    if (st->framer.encoding == CCZI_ENCODING_UNKNOWN)
        refuse_headers(st, st->h2->cfg.server ? CCZ_RPC_UNIMPLEMENTED : CCZ_RPC_INTERNAL,
                       "unsupported grpc-encoding, known are " CCZI_ACCEPT_ENCODING);
}

static void on_grpc_header(struct cczi_stream *st, struct ccz_span key, struct ccz_span value)
{
    if (ccz_span_eq(key, ccz_span_str("grpc-status"))) {
        st->code = cczi_code_parse(value);
        st->has_status = true;
    } else if (ccz_span_eq(key, ccz_span_str("grpc-message"))) {
        cczi_percent_get(st->message, sizeof(st->message), value);
        add_metadata(st, key, value); /* in full, for who asks */
    } else if (ccz_span_eq(key, ccz_span_str("grpc-timeout"))) {
        if (!cczi_timeout_parse(&st->timeout_ms, value))
            refuse_headers(st, CCZ_RPC_INTERNAL, "malformed grpc-timeout");
    } else if (ccz_span_eq(key, ccz_span_str("grpc-encoding"))) {
        on_encoding(st, value);
    } else if (ccz_span_eq(key, ccz_span_str("grpc-accept-encoding"))) {
        st->takes_gzip |= cczi_encoding_listed(value, CCZI_GZIP);
    } else {
        add_metadata(st, key, value); /* grpc-status-details-bin, grpc-trace-bin, ... */
    }
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    (void)ng, (void)flags;
    struct cczi_stream *st = cczi_h2_stream(user, frame->hd.stream_id);
    if (frame->hd.type != NGHTTP2_HEADERS || !st)
        return 0;
    struct ccz_span k = {name, name_size}, v = {value, value_size};
    bool server = st->h2->cfg.server;
    st->header_size += name_size + value_size + 32;
    if (st->header_size > HEADERS_HOSTILE * CCZI_H2_HEADER_LIST_MAX)
        /* a byte that refers to the table can stand for 4 KiB: from here on nghttp2 decodes without looking */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (st->header_size > CCZI_H2_HEADER_LIST_MAX) {
        refuse_headers(st, CCZ_RPC_RESOURCE_EXHAUSTED, "headers above 64 KiB");
        return 0;
    }
    if (server && st->headers_done) /* gRPC has no request trailers */
        return 0;
    if (name_size && name[0] == ':')
        on_pseudo(st, k, v);
    else if (name_size > 5 && memcmp(name, "grpc-", 5) == 0)
        on_grpc_header(st, k, v);
    else if (ccz_span_eq(k, ccz_span_str("te")))
        st->has_te = ccz_span_eq(v, ccz_span_str("trailers"));
    else if (ccz_span_eq(k, ccz_span_str("content-type")))
        st->is_grpc = content_is_grpc(v);
    else
        add_metadata(st, k, v);
    return 0;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct cczi_h2 *h = user;
    if (!h->cfg.server || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct cczi_stream *st = h->cfg.ops->stream_new(h->cfg.arg);
    if (!st)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    cczi_h2_attach(h, st, frame->hd.stream_id);
    h->open_block = frame->hd.stream_id;
    return nghttp2_session_set_stream_user_data(ng, frame->hd.stream_id, st);
}

/* Server: all headers of a request are here. The order of the checks is the one of PROTOCOL-HTTP2.
 */
static void request_complete(struct cczi_stream *st)
{
    st->headers_done = true;
    cczi_h2_account(st);
    if (!st->is_post)
        cczi_stream_answer_http(st, 405);
    else if (!st->is_grpc)
        cczi_stream_answer_http(st, 415);
    else if (!st->has_te) /* a proxy that drops trailers would drop the status */
        fail_stream(st, CCZ_RPC_INTERNAL, "header te: trailers is missing");
    else if (st->bad)
        fail_stream(st, st->bad_code, st->bad);
    else if (over_budget(st->h2))
        fail_stream(st, CCZ_RPC_RESOURCE_EXHAUSTED, "too many bytes of requests are held");
    else if (over_queued(st->h2))
        fail_stream(st, CCZ_RPC_RESOURCE_EXHAUSTED, "too many bytes of answers are not taken");
    else
        st->h2->cfg.ops->on_request(st->h2->cfg.arg, st);
}

/* Client: headers or trailers of a response. */
static void response_headers(struct cczi_stream *st, bool end)
{
    if (st->http_status / 100 == 1) { /* informational: the real ones follow */
        cczi_md_free(&st->in);
        return;
    }
    if (st->bad) {
        fail_stream(st, st->bad_code, st->bad);
        return;
    }
    if (st->headers_done)
        return;
    st->headers_done = true;
    st->trailers_only = end;
    st->trailers_at = end ? 0 : st->in.raw.size;
    if (st->http_status == 200 && st->is_grpc)
        st->h2->cfg.ops->on_response(st->h2->cfg.arg, st);
    else
        st->discard = true; /* the body of an HTML error page is no message */
}

/* --------------------------------------------------------------------------------- messages */

static void on_bytes(struct cczi_stream *st, struct ccz_span chunk)
{
    const struct cczi_h2_cfg *cfg = &st->h2->cfg;
    struct ccz_span msg;
    while (!st->discard) {
        enum cczi_frame got = cczi_framer_next(&msg, &st->framer, &chunk);
        cczi_h2_account(st);
        if (over_budget(st->h2)) {
            fail_stream(st, CCZ_RPC_RESOURCE_EXHAUSTED, "too many bytes of requests are held");
            return;
        }
        switch (got) {
        case CCZI_FRAME_MORE:
            return;
        case CCZI_FRAME_MESSAGE:
            cfg->ops->on_message(cfg->arg, st, msg);
            break;
        case CCZI_FRAME_TOO_LARGE:
            fail_stream(st, CCZ_RPC_RESOURCE_EXHAUSTED, "message larger than the limit");
            return;
        case CCZI_FRAME_COMPRESSED:
            fail_stream(st, CCZ_RPC_INTERNAL, "compressed message without grpc-encoding");
            return;
        case CCZI_FRAME_BAD_COMPRESSION:
            fail_stream(st, CCZ_RPC_INTERNAL, "malformed compressed message");
            return;
        case CCZI_FRAME_BAD_FLAG:
            fail_stream(st, CCZ_RPC_INTERNAL, "malformed message prefix");
            return;
        case CCZI_FRAME_NOMEM:
            fail_stream(st, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory");
            return;
        }
    }
}

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t size, void *user)
{
    (void)flags;
    struct cczi_h2 *h = user;
    struct cczi_stream *st = cczi_h2_stream(h, id);
    if (st)
        on_bytes(st, CCZ_SPAN(data, size));
    cczi_window_received(h, size);
    /* credit of the connection at once, of the stream unless its reader asked to wait */
    int rv = nghttp2_session_consume_connection(ng, size);
    if (rv == 0 && st && st->paused && !st->discard)
        st->unconsumed += size;
    else if (rv == 0)
        rv = nghttp2_session_consume_stream(ng, id, size);
    return rv == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void remote_end(struct cczi_stream *st)
{
    const struct cczi_h2_cfg *cfg = &st->h2->cfg;
    st->remote_closed = true;
    if (!cfg->server) {
        /* the status is here; what we have not sent yet is of no use to anybody */
        if (nghttp2_session_get_stream_local_close(st->h2->ng, st->id) == 0)
            cczi_stream_reset(st, NGHTTP2_NO_ERROR);
        return;
    }
    if (st->discard)
        return;
    if (!cczi_framer_idle(&st->framer))
        fail_stream(st, CCZ_RPC_INTERNAL, "the request ends inside a message");
    else
        cfg->ops->on_half_close(cfg->arg, st);
}

static const uint8_t drain_ping[8] = "drain"; /* its answer comes behind what was on its way */

static void note_refusal(struct cczi_h2 *h, const nghttp2_goaway *frame)
{
    struct ccz_err err = {0};
    if (h->refusal || frame->error_code == NGHTTP2_NO_ERROR ||
        !cczi_refusal_parse(&err, CCZ_SPAN(frame->opaque_data, frame->opaque_data_len)))
        return;
    h->refusal = malloc(sizeof(*h->refusal));
    if (h->refusal)
        *h->refusal = err;
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    (void)ng;
    struct cczi_h2 *h = user;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        h->ping_pending = false;
        cczi_window_answered(h, frame->ping.opaque_data);
        if (memcmp(frame->ping.opaque_data, drain_ping, sizeof(drain_ping)) == 0)
            cczi_h2_drain_now(h);
    }
    if (frame->hd.type == NGHTTP2_GOAWAY)
        note_refusal(h, &frame->goaway);
    if (frame->hd.type == NGHTTP2_GOAWAY && !h->cfg.server && !h->draining) {
        h->draining = true;
        h->cfg.ops->on_goaway(h->cfg.arg);
    }
    h->settled |= frame->hd.type == NGHTTP2_SETTINGS;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        h->open_block = 0;
    struct cczi_stream *st = cczi_h2_stream(h, frame->hd.stream_id);
    if (!st)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !h->cfg.server)
        response_headers(st, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    else if (frame->hd.type == NGHTTP2_HEADERS && !st->headers_done)
        request_complete(st);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        remote_end(st);
    return 0;
}

/* ----------------------------------------------------------------------------------- closing */

static void outcome(struct cczi_stream *st, enum ccz_rpc_code code, const char *what,
                    const char *detail)
{
    st->code = code;
    (void)snprintf(st->message, sizeof(st->message), "%s%s", what, detail);
}

/* What a client call ended with: grpc-status if it came, else the best that HTTP tells. */
static void client_outcome(struct cczi_stream *st, uint32_t h2_code)
{
    if (st->has_code)
        return;
    st->has_code = true;
    if (st->has_status && st->remote_closed) {
        if (st->code == CCZ_RPC_OK && !cczi_framer_idle(&st->framer))
            outcome(st, CCZ_RPC_INTERNAL, "the response ends inside a message", "");
        else if (st->code == CCZ_RPC_OK && (st->http_status != 200 || !st->is_grpc))
            outcome(st, CCZ_RPC_UNKNOWN, "the response is no gRPC", "");
    } else if (st->headers_done && st->http_status != 200) {
        char status[8];
        (void)snprintf(status, sizeof(status), "%u", st->http_status);
        outcome(st, cczi_code_of_http(st->http_status), "HTTP status ", status);
    } else if (st->headers_done && !st->is_grpc) {
        outcome(st, CCZ_RPC_UNKNOWN, "the response is no gRPC", "");
    } else if (st->remote_closed) {
        outcome(st, CCZ_RPC_UNKNOWN, "the server sent no grpc-status", "");
    } else {
        outcome(st, cczi_code_of_reset(h2_code),
                "stream reset by the server: ", nghttp2_http2_strerror(h2_code));
    }
}

static void close_stream(struct cczi_stream *st, uint32_t h2_code)
{
    const struct cczi_h2_cfg *cfg = &st->h2->cfg;
    if (st->h2->open_block == st->id)
        st->h2->open_block = 0;
    st->refused = h2_code == NGHTTP2_REFUSED_STREAM && !st->headers_done;
    if (!cfg->server)
        client_outcome(st, h2_code);
    detach(st);
    cfg->ops->on_close(cfg->arg, st);
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t h2_code, void *user)
{
    struct cczi_h2 *h = user;
    struct cczi_stream *st = cczi_h2_stream(h, id);
    *(h2_code == NGHTTP2_NO_ERROR ? &h->good : &h->failed) += 1;
    if (st)
        close_stream(st, h2_code);
    /* Streams that are opened only to fail cost us more than the peer, whoever sends the reset. */
    if (h->cfg.server && h->failed > CCZI_H2_RESETS_FREE + h->good)
        return nghttp2_session_terminate_session(ng, NGHTTP2_ENHANCE_YOUR_CALM);
    return 0;
}

/* ---------------------------------------------------------------------------------- lifetime */

static bool submit_settings(struct cczi_h2 *h)
{
    nghttp2_settings_entry iv[6];
    size_t n = 0;
    iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CCZI_H2_WINDOW_FIRST};
    iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_FRAME_SIZE, CCZI_H2_FRAME_MAX};
    iv[n++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CCZI_H2_HEADER_LIST_MAX};
    if (h->cfg.server)
        iv[n++] =
            (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->cfg.streams_max};
    else
        iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    return nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, iv, n) == 0 && cczi_window_init(h);
}

static int make_session(struct cczi_h2 *h, nghttp2_session_callbacks *cb, nghttp2_option *opt)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    cczi_h2_send_callbacks(cb);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_no_closed_streams(opt, 1); /* kept for priorities, which we do not use */
    nghttp2_option_set_max_reserved_remote_streams(opt, 0); /* clients take no pushes */
    nghttp2_option_set_stream_reset_rate_limit(opt, RESET_BURST, RESET_RATE);
    nghttp2_mem mem = cczi_h2_mem(&h->mem);
    int rv = h->cfg.server ? nghttp2_session_server_new3(&h->ng, cb, h, opt, &mem)
                           : nghttp2_session_client_new3(&h->ng, cb, h, opt, &mem);
    if (rv == 0)
        cczi_h2_mem_made(&h->mem);
    return rv;
}

ccz_rc cczi_h2_new(struct cczi_h2 **out, const struct cczi_h2_cfg *cfg)
{
    *out = NULL;
    struct cczi_h2 *h = calloc(1, sizeof(*h));
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *opt = NULL;
    bool ok = h && nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0;
    if (ok) {
        h->cfg = *cfg;
        ok = make_session(h, cb, opt) == 0 && submit_settings(h);
    }
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
    if (!ok) {
        cczi_h2_free(h);
        return CCZ_E_NOMEM;
    }
    *out = h;
    return CCZ_OK;
}

void cczi_h2_free(struct cczi_h2 *h)
{
    if (!h)
        return;
    while (h->first) {
        struct cczi_stream *st = h->first;
        if (!h->cfg.server && !st->has_code && !(st->has_status && st->remote_closed)) {
            st->has_code = true; /* not a reset of this stream: the whole connection is gone */
            outcome(st, CCZ_RPC_UNAVAILABLE, "the connection was lost", "");
        }
        close_stream(st, NGHTTP2_NO_ERROR);
    }
    nghttp2_session_del(h->ng);
    free(h->refusal);
    free(h);
}

/* Frames that nghttp2 makes in answer to the peer's (a request above the limit costs it 20 bytes and us 300) pile up if the
 * peer does not take them; nghttp2 counts only some kinds. */
static bool is_flooded(const struct cczi_h2 *h)
{
    return nghttp2_session_get_outbound_queue_size(h->ng) > QUEUE_FREE + 4 * h->streams;
}

/* A server that refuses us says so where its SETTINGS should be; nghttp2, which wants some, gets empty ones. */
static bool supply_settings(struct cczi_h2 *h, struct ccz_span in)
{
    static const uint8_t settings[9] = {0, 0, 0, NGHTTP2_SETTINGS};
    struct ccz_err refusal = {0};
    bool first = !h->heard && in.size > 0;
    h->heard |= first;
    if (!first || h->cfg.server || !cczi_refusal_at_once(&refusal, in))
        return true;
    return nghttp2_session_mem_recv(h->ng, settings, sizeof(settings)) == sizeof(settings);
}

ccz_rc cczi_h2_feed(struct cczi_h2 *h, struct ccz_span in, struct ccz_err *err)
{
    if (!supply_settings(h, in))
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    ssize_t n = nghttp2_session_mem_recv(h->ng, in.ptr, in.size);
    if (n == (ssize_t)in.size && is_flooded(h)) {
        (void)nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM);
        return ccz_fail(err, CCZ_E_PEER, "rpc:flood", QUEUE_FREE,
                        "the peer makes more answers than it takes");
    }
    if (n == (ssize_t)in.size)
        return CCZ_OK;
    if (n == NGHTTP2_ERR_NOMEM)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    return ccz_fail(err, CCZ_E_PEER, "rpc:http2", (int64_t)n, "HTTP/2 connection error: %s",
                    nghttp2_strerror((int)n));
}

bool cczi_h2_unfinished(const struct cczi_h2 *h)
{
    return !h->settled || h->open_block != 0;
}

bool cczi_h2_done(const struct cczi_h2 *h)
{
    return !nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng);
}

void cczi_h2_drain(struct cczi_h2 *h)
{
    if (h->draining)
        return;
    h->draining = true;
    h->notice = true;
    if (h->cfg.server && nghttp2_submit_shutdown_notice(h->ng) == 0 &&
        nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, drain_ping) == 0)
        return;
    cczi_h2_drain_now(h);
}

void cczi_h2_drain_now(struct cczi_h2 *h)
{
    if (!h->notice)
        return;
    h->notice = false;
    /* out of memory here: the connection is closed without GOAWAY when its grace is over */
    (void)nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h->ng), NGHTTP2_NO_ERROR,
                                NULL, 0);
}

void cczi_h2_ping(struct cczi_h2 *h)
{
    h->ping_pending = nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL) == 0;
}

bool cczi_h2_ping_pending(const struct cczi_h2 *h)
{
    return h->ping_pending;
}

size_t cczi_h2_streams(const struct cczi_h2 *h)
{
    return h->streams;
}

size_t cczi_h2_buffered(const struct cczi_h2 *h)
{
    return h->buffered;
}

void cczi_stream_init(struct cczi_stream *st, size_t message_size_max)
{
    *st = (struct cczi_stream){.timeout_ms = -1, .out_high = CCZI_H2_OUT_HIGH};
    st->out_tail = &st->out;
    cczi_md_init(&st->in);
    cczi_md_init(&st->out_headers);
    cczi_md_init(&st->out_trailers);
    cczi_framer_init(&st->framer, message_size_max);
}

void cczi_stream_deinit(struct cczi_stream *st)
{
    if (st->budget) {
        atomic_fetch_sub_explicit(&st->budget->used, st->counted_body + st->counted_md,
                                  memory_order_relaxed);
        atomic_fetch_sub_explicit(&st->budget->queued, st->counted_out, memory_order_relaxed);
    }
    cczi_budget_unref(st->budget);
    st->budget = NULL;
    cczi_md_free(&st->in);
    cczi_md_free(&st->out_headers);
    cczi_md_free(&st->out_trailers);
    cczi_framer_free(&st->framer);
    cczi_out_free(st->out);
    st->out = NULL;
}

void cczi_stream_abandon(struct cczi_stream *st)
{
    struct cczi_h2 *h = st->h2;
    if (!h)
        return;
    (void)nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_CANCEL);
    (void)nghttp2_session_set_stream_user_data(h->ng, st->id, NULL);
    detach(st);
}

void cczi_stream_pause(struct cczi_stream *st, bool pause)
{
    st->paused = pause;
    if (pause || !st->h2 || st->unconsumed == 0)
        return;
    size_t size = st->unconsumed;
    st->unconsumed = 0;
    (void)nghttp2_session_consume_stream(st->h2->ng, st->id, size);
}

void cczi_stream_release_message(struct cczi_stream *st)
{
    cczi_framer_release(&st->framer);
    if (st->h2)
        cczi_h2_account(st);
}
