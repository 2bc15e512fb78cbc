/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's sending half: header lists, messages from their own memory, trailers. */
#include "h2.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------------------------- header lists */

enum { NV_MAX = CCZI_MD_LEN_MAX + 16, NV_TEXT_MAX = 4 * CCZI_MD_SIZE_MAX };
/* Names and values are copied by nghttp2 at submission; until then they live here or with the
 * caller. */
struct nv_list {
    nghttp2_nv nv[NV_MAX];
    size_t len;
    struct ccz_buf text; /* values that had to be made */
    size_t made[NV_MAX]; /* 1 + offset into text, 0 = the value is elsewhere */
};

static void nv_put(struct nv_list *l, const char *key, size_t key_size, struct ccz_span value,
                   uint8_t flags)
{
    if (l->len == NV_MAX) { /* the callers' limits are wrong: nothing is sent */
        l->text.bad = true;
        return;
    }
    l->made[l->len] = 0;
    l->nv[l->len++] = (nghttp2_nv){(uint8_t *)(uintptr_t)key, (uint8_t *)(uintptr_t)value.ptr,
                                   key_size, value.size, flags};
}

static void nv_str(struct nv_list *l, const char *key, const char *value)
{
    nv_put(l, key, strlen(key), ccz_span_str(value), NGHTTP2_NV_FLAG_NONE);
}

/* As nv_str() for values that do not repeat: not worth a place in the peer's table. */
static void nv_once(struct nv_list *l, const char *key, const char *value)
{
    nv_put(l, key, strlen(key), ccz_span_str(value), NGHTTP2_NV_FLAG_NO_INDEX);
}

/* The value is what was appended to l->text since @p from. */
static void nv_made(struct nv_list *l, const char *key, size_t key_size, size_t from)
{
    size_t at = l->len;
    nv_put(l, key, key_size, (struct ccz_span){NULL, l->text.size - from},
           NGHTTP2_NV_FLAG_NO_INDEX);
    if (l->len > at)
        l->made[at] = 1 + from;
}

static void nv_metadata(struct nv_list *l, const char *key, size_t key_size, struct ccz_span value)
{
    if (!cczi_md_is_bin(CCZ_SPAN(key, key_size))) {
        nv_put(l, key, key_size, value, NGHTTP2_NV_FLAG_NONE);
        return;
    }
    size_t from = l->text.size;
    ccz_base64_put(&l->text, value, CCZ_BASE64_STD);
    while (l->text.size > from &&
           l->text.ptr[l->text.size - 1] == '=') /* senders leave padding out */
        l->text.size--;
    nv_made(l, key, key_size, from);
}

static void nv_md(struct nv_list *l, const struct cczi_md *md)
{
    struct cczi_md_field f;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&md->raw));
    while (cczi_md_next(&f, &r))
        nv_metadata(l, f.key, f.key_size, f.value);
}

/* The text no longer moves: fill in the values that point into it. */
static bool nv_finish(struct nv_list *l)
{
    for (size_t i = 0; i < l->len; i++)
        if (l->made[i])
            l->nv[i].value = l->text.ptr + (l->made[i] - 1);
    return !l->text.bad;
}

static void nv_begin(struct nv_list *l)
{
    l->len = 0;
    ccz_buf_init(&l->text, NV_TEXT_MAX);
}

static void nv_status(struct nv_list *l, const struct cczi_stream *st)
{
    static const char digits[][3] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                     "9", "10", "11", "12", "13", "14", "15", "16"};
    nv_str(l, "grpc-status", digits[st->code]);
    if (st->message[0]) {
        size_t from = l->text.size;
        cczi_percent_put(&l->text, ccz_span_str(st->message));
        nv_made(l, "grpc-message", 12, from);
    }
    nv_md(l, &st->out_trailers);
}

/* ------------------------------------------------------------------------------ DATA frames */

static void set_out_size(struct cczi_stream *st, size_t size)
{
    if (st->h2)
        st->h2->queued += size - st->out_size;
    st->out_size = size;
    if (st->budget && size != st->counted_out) {
        atomic_fetch_add_explicit(&st->budget->queued, size - st->counted_out,
                                  memory_order_relaxed); /* modulo 2^64 */
        st->counted_out = size;
    }
}

static void sent(struct cczi_stream *st, size_t size)
{
    set_out_size(st, st->out_size - size);
    st->stalled = 0;
    while (size) {
        struct cczi_out *o = st->out;
        size_t n = o->size - o->sent < size ? o->size - o->sent : size;
        o->sent += n;
        size -= n;
        if (o->sent < o->size)
            break;
        st->out = o->next;
        if (!st->out)
            st->out_tail = &st->out;
        o->next = NULL;
        cczi_out_free(o);
    }
    if (st->above && st->out_size <= st->out_high / 4) {
        st->above = false;
        st->h2->cfg.ops->on_drained(st->h2->cfg.arg, st);
    }
}

static int submit_trailers(struct cczi_stream *st)
{
    struct nv_list l;
    nv_begin(&l);
    nv_status(&l, st);
    int rv =
        nv_finish(&l) ? nghttp2_submit_trailer(st->h2->ng, st->id, l.nv, l.len) : NGHTTP2_ERR_NOMEM;
    ccz_buf_free(&l.text);
    return rv;
}

/* nghttp2 asks how much of the stream may go into the next DATA frame. */
static ssize_t data_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)ng, (void)buf, (void)source;
    struct cczi_stream *st = cczi_h2_stream(user, id);
    if (!st)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t n = st->out_size < size ? st->out_size : size;
    if (n == 0 && !st->finished) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!st->finished || n < st->out_size)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (st->h2->cfg.server) { /* the status ends the stream, not the data */
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (submit_trailers(st) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

/* Header and payload straight from the messages into the caller's buffer: the only copy on the way.
 */
static int send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t size,
                     nghttp2_data_source *source, void *user)
{
    (void)ng, (void)source;
    enum { FRAME_HEAD_SIZE = 9 };
    struct cczi_h2 *h = user;
    struct cczi_stream *st = cczi_h2_stream(h, frame->hd.stream_id);
    if (!st)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    ccz_buf_put(h->out, head, FRAME_HEAD_SIZE);
    size_t left = size;
    for (struct cczi_out *o = st->out; left && o; o = o->next) {
        for (size_t at = o->sent, n; left && at < o->size; at += n, left -= n) {
            struct ccz_span piece = cczi_out_piece(o, at);
            n = piece.size < left ? piece.size : left;
            ccz_buf_put(h->out, piece.ptr, n);
        }
    }
    if (h->out->bad || left)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    sent(st, size);
    h->out_more = h->out->size >= h->out_stop;
    return h->out_more ? NGHTTP2_ERR_PAUSE : 0;
}

/* Small messages in usual frames; large ones in larger frames, if peer and windows allow. */
static ssize_t read_length(nghttp2_session *ng, uint8_t type, int32_t id, int32_t conn_window,
                           int32_t stream_window, uint32_t frame_max, void *user)
{
    (void)ng, (void)type;
    enum { SMALL_FRAME = 16384 }; /* the least that a peer must take */
    struct cczi_stream *st = cczi_h2_stream(user, id);
    uint32_t n = st && st->out_size > SMALL_FRAME ? CCZI_H2_SEND_FRAME : SMALL_FRAME;
    int32_t window = conn_window < stream_window ? conn_window : stream_window;
    n = n < frame_max ? n : frame_max;
    return window > 0 && (uint32_t)window < n ? window : (ssize_t)n;
}

/* The server's status, or HTTP answer, is out. A client that still sends is told to stop (RFC 9113, 8.1). */
static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct cczi_h2 *h = user;
    bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!may_end || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || !h->cfg.server)
        return 0;
    struct cczi_stream *st = cczi_h2_stream(h, frame->hd.stream_id);
    if (!st)
        return 0;
    st->ended = true;
    if (st->remote_closed)
        return 0;
    return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
}

void cczi_h2_send_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
    nghttp2_session_callbacks_set_data_source_read_length_callback(cb, read_length);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
}

ccz_rc cczi_h2_pull(struct ccz_buf *out, struct cczi_h2 *h, size_t size, struct ccz_err *err)
{
    ssize_t n = 0;
    h->out = out;
    h->out_stop = out->size + size;
    h->out_more = false;
    while (!h->out_more) {
        const uint8_t *p;
        n = nghttp2_session_mem_send(h->ng, &p);
        if (n <= 0)
            break;
        ccz_buf_put(out, p, (size_t)n);
        h->out_more = out->size >= h->out_stop;
    }
    h->out = NULL;
    if (out->bad || n == NGHTTP2_ERR_NOMEM)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    if (n < 0)
        return ccz_fail(err, CCZ_E_INTERNAL, "rpc:http2", (int64_t)n, "HTTP/2 cannot send: %s",
                        nghttp2_strerror((int)n));
    return CCZ_OK;
}

bool cczi_h2_wants_pull(const struct cczi_h2 *h)
{
    return nghttp2_session_want_write(h->ng) != 0;
}

/* ---------------------------------------------------------------------------------- streams */

static void wake(struct cczi_stream *st)
{
    if (!st->deferred)
        return;
    st->deferred = false;
    (void)nghttp2_session_resume_data(st->h2->ng, st->id); /* fails only if the stream is closing */
}

void cczi_stream_set_gzip(struct cczi_stream *st, bool on)
{
    unsigned char now = atomic_load(&st->gzip), next;
    do {
        bool may = (now & CCZI_GZIP_ANNOUNCED) || !(now & CCZI_GZIP_FIXED);
        next = (unsigned char)(now & ~CCZI_GZIP_ON);
        if (on && may)
            next |= CCZI_GZIP_ON | CCZI_GZIP_ANNOUNCED;
    } while (!atomic_compare_exchange_weak(&st->gzip, &now, next));
}

struct cczi_out *cczi_stream_out(struct cczi_stream *st, struct ccz_span msg, bool lent)
{
    bool on = atomic_fetch_or(&st->gzip, CCZI_GZIP_FIXED) & CCZI_GZIP_ON;
    struct cczi_out *o = on ? cczi_out_gzip(msg) : NULL;
    if (o)
        return o;
    return lent ? cczi_out_lent(msg, st->framer.stock) : cczi_out_new(msg, st->framer.stock);
}

/* What this side takes, and what it sends. */
static void nv_encodings(struct nv_list *l, struct cczi_stream *st)
{
    nv_str(l, "grpc-accept-encoding", CCZI_ACCEPT_ENCODING);
    if (atomic_fetch_or(&st->gzip, CCZI_GZIP_FIXED) & CCZI_GZIP_ANNOUNCED)
        nv_str(l, "grpc-encoding", "gzip");
}

static void start_response(struct cczi_stream *st)
{
    struct nv_list l;
    nghttp2_data_provider provider = {.read_callback = data_read};
    st->headers_sent = true;
    nv_begin(&l);
    nv_str(&l, ":status", "200");
    nv_str(&l, "content-type", "application/grpc");
    nv_encodings(&l, st);
    nv_md(&l, &st->out_headers);
    if (!nv_finish(&l) || nghttp2_submit_response(st->h2->ng, st->id, l.nv, l.len, &provider) != 0)
        cczi_stream_reset(st, NGHTTP2_INTERNAL_ERROR);
    ccz_buf_free(&l.text);
}

void cczi_stream_start(struct cczi_stream *st)
{
    if (st->h2 && !st->finished && !st->headers_sent)
        start_response(st);
}

void cczi_stream_send(struct cczi_stream *st, struct cczi_out *msg)
{
    if (!st->h2 || st->finished) {
        cczi_out_free(msg);
        return;
    }
    *st->out_tail = msg;
    st->out_tail = &msg->next;
    set_out_size(st, st->out_size + msg->size);
    st->above |= st->out_size > st->out_high;
    if (st->h2->cfg.server && !st->headers_sent)
        start_response(st);
    else
        wake(st);
}

/* No message and no headers yet: one HEADERS frame is the whole answer ("Trailers-Only"). */
static void trailers_only(struct cczi_stream *st)
{
    struct nv_list l;
    st->headers_sent = true;
    nv_begin(&l);
    nv_str(&l, ":status", "200");
    nv_str(&l, "content-type", "application/grpc");
    nv_md(&l, &st->out_headers);
    nv_str(&l, "grpc-accept-encoding", CCZI_ACCEPT_ENCODING);
    nv_status(&l, st);
    if (!nv_finish(&l) || nghttp2_submit_response(st->h2->ng, st->id, l.nv, l.len, NULL) != 0)
        cczi_stream_reset(st, NGHTTP2_INTERNAL_ERROR);
    ccz_buf_free(&l.text);
}

void cczi_stream_finish(struct cczi_stream *st, enum ccz_rpc_code code, const char *message)
{
    if (!st->h2 || st->finished)
        return;
    st->finished = st->discard = st->has_code = true;
    st->code = (unsigned)code <= CCZ_RPC_UNAUTHENTICATED ? code : CCZ_RPC_UNKNOWN;
    (void)snprintf(st->message, sizeof(st->message), "%s", message ? message : "");
    cczi_stream_pause(st, false);
    if (!st->headers_sent)
        trailers_only(st);
    else
        wake(st);
}

/* For people who point a browser at the port. */
static const char http_body[] = "gRPC is served here: POST with content-type application/grpc\n";

static ssize_t http_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)ng, (void)source;
    struct cczi_stream *st = cczi_h2_stream(user, id);
    if (!st)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t left = sizeof(http_body) - 1 - st->http_sent, n = left < size ? left : size;
    memcpy(buf, http_body + st->http_sent, n);
    st->http_sent = (uint8_t)(st->http_sent + n);
    if (n == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

void cczi_stream_answer_http(struct cczi_stream *st, unsigned status)
{
    char text[8];
    struct nv_list l;
    st->finished = st->discard = st->has_code = st->headers_sent = true;
    st->code = CCZ_RPC_UNIMPLEMENTED;
    (void)snprintf(text, sizeof(text), "%u", status);
    nv_begin(&l);
    nv_str(&l, ":status", text);
    if (status == 405)
        nv_str(&l, "allow", "POST");
    nv_str(&l, "content-type", "text/plain");
    nghttp2_data_provider body = {.read_callback = http_read};
    if (nghttp2_submit_response(st->h2->ng, st->id, l.nv, l.len, st->is_head ? NULL : &body) != 0)
        cczi_stream_reset(st, NGHTTP2_INTERNAL_ERROR);
}

void cczi_stream_drop_output(struct cczi_stream *st)
{
    struct cczi_out *o = st->out;
    if (o &&
        o->sent) { /* the message on its way stays whole, or the peer could not find the next */
        cczi_out_free(o->next);
        o->next = NULL;
        st->out_tail = &o->next;
        set_out_size(st, o->size - o->sent);
        return;
    }
    cczi_out_free(o);
    st->out = NULL;
    st->out_tail = &st->out;
    set_out_size(st, 0);
}

void cczi_stream_reset(struct cczi_stream *st, uint32_t h2_code)
{
    if (!st->h2)
        return;
    st->finished = st->discard = true;
    (void)nghttp2_submit_rst_stream(st->h2->ng, NGHTTP2_FLAG_NONE, st->id, h2_code);
}

size_t cczi_h2_shed(struct cczi_h2 *h, unsigned turns)
{
    size_t n = 0;
    for (struct cczi_stream *st = h->first; st; st = st->next) {
        st->stalled = st->out_size ? st->stalled + 1 : 0;
        if (st->stalled <= turns)
            continue;
        cczi_stream_reset(st, NGHTTP2_ENHANCE_YOUR_CALM);
        n++;
    }
    return n;
}

void cczi_stream_half_close(struct cczi_stream *st)
{
    if (!st->h2 || st->finished)
        return;
    st->finished = true;
    wake(st);
}

/* ----------------------------------------------------------------------------------- client */

ccz_rc cczi_h2_request(struct cczi_h2 *h, struct cczi_stream *st, const struct cczi_request *rq,
                       struct ccz_err *err)
{
    char timeout[CCZI_TIMEOUT_TEXT_SIZE], attempts[12];
    struct nv_list l;
    nghttp2_data_provider provider = {.read_callback = data_read};
    cczi_timeout_format(timeout, rq->timeout_ms);
    nv_begin(&l);
    nv_str(&l, ":method", "POST");
    nv_str(&l, ":scheme", "https");
    nv_str(&l, ":path", rq->path);
    nv_str(&l, ":authority", rq->authority);
    nv_str(&l, "te", "trailers");
    nv_str(&l, "content-type", "application/grpc");
    nv_str(&l, "user-agent", "cczoo");
    nv_encodings(&l, st);
    if (rq->timeout_ms != INT64_MAX)
        nv_once(&l, "grpc-timeout", timeout);
    (void)snprintf(attempts, sizeof(attempts), "%u", rq->previous_attempts);
    if (rq->previous_attempts)
        nv_once(&l, "grpc-previous-rpc-attempts", attempts);
    nv_md(&l, rq->metadata);
    int32_t id = nv_finish(&l) ? nghttp2_submit_request(h->ng, NULL, l.nv, l.len, &provider, st)
                               : NGHTTP2_ERR_NOMEM;
    ccz_buf_free(&l.text);
    if (id < 0)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "rpc:request", id, "no stream: %s",
                        nghttp2_strerror(id));
    cczi_h2_attach(h, st, id);
    return CCZ_OK;
}
