/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streaming calls of the client: a blocking face over a call of the loop. Both hold a reference;
 * what the user wants is noted under the lock and done by the loop ("kick").
 */
#define _DEFAULT_SOURCE
#include "client.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct node {
    struct node *next;
    size_t size, cap;
    uint8_t *bytes; /* behind the node, or, if it is large, a block of the stock */
    bool stocked, compressed;
};

static void node_free(struct node *n, struct cczi_stock *stock)
{
    if (n && n->stocked)
        cczi_stock_give(stock, n->bytes, n->cap);
    free(n);
}

/* A message for the reader; a large one that was put together already is taken over. NULL = no memory */
static struct node *node_new(struct ccz_span msg, struct cczi_framer *f)
{
    bool large = f->stock && msg.size >= CCZI_STOCK_BLOCK;
    struct node *n = malloc(sizeof(*n) + (large ? 0 : msg.size));
    if (!n)
        return NULL;
    *n = (struct node){.size = msg.size, .bytes = (uint8_t *)(n + 1), .compressed = f->compressed};
    if (large) {
        n->bytes = cczi_framer_steal(&n->cap, f, msg);
        n->stocked = true;
        if (n->bytes)
            return n;
        n->bytes =
            cczi_stock_take(&n->cap, f->stock, msg.size + 1); /* one more: see struct ccz_buf */
        if (!n->bytes) {
            free(n);
            return NULL;
        }
    }
    if (msg.size)
        memcpy(n->bytes, msg.ptr, msg.size);
    return n;
}

/* Appends the message; a large one and an empty buffer exchange their memory. */
static void node_read(struct ccz_buf *out, struct node *n)
{
    if (!n->stocked || out->size > 0 || out->wipe || out->bad || n->size > out->max_size) {
        ccz_buf_put(out, n->bytes, n->size);
        return;
    }
    uint8_t *mine = n->bytes;
    size_t cap = n->cap;
    n->bytes = out->ptr;
    n->cap = out->cap;
    out->ptr = mine;
    out->cap = cap;
    out->size = n->size;
}

struct ccz_rpc_stream {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned refs;
    struct ccz_rpc_client *client;
    struct cczi_stock *stock; /* the client's, counted */
    struct cczi_ccall *call;  /* loop only; NULL once over */
    bool started;             /* loop only: the call has a connection */
    /* to send */
    struct cczi_out *out, **out_tail;
    size_t out_size;
    bool half_close, half_closed, cancel;
    bool above; /* the connection's queue is full: writers wait */
    /* received */
    struct node *in, **in_tail;
    size_t in_size;
    bool last_compressed;
    atomic_bool compress; /* what is sent; only if gzip was announced */
    bool gzip;
    bool paused, resume;
    bool posted;
    /* metadata: the caller's object is touched by the caller's thread only */
    struct ccz_rpc_received *received; /* NULL = not of interest */
    struct ccz_rpc_received headers, all;
    bool has_headers, headers_taken, taken; /* handed out */
    /* outcome */
    bool over;
    struct ccz_rpc_result result;
    struct ccz_err err;
};

/* The lock is held; it is gone afterwards. */
static void unref_unlock(struct ccz_rpc_stream *s)
{
    bool last = --s->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    while (s->in) {
        struct node *n = s->in;
        s->in = n->next;
        node_free(n, s->stock);
    }
    cczi_out_free(s->out);
    cczi_stock_unref(s->stock);
    cczi_received_deinit(&s->headers);
    cczi_received_deinit(&s->all);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ------------------------------------------------------------------------------- on the loop */

/* Moves what waits into the call. The lock is held. */
static void move_out(struct ccz_rpc_stream *s)
{
    while (s->out) {
        struct cczi_out *o = s->out;
        s->out = o->next;
        o->next = NULL;
        cczi_stream_send(&s->call->st, o);
    }
    s->out_tail = &s->out;
    s->out_size = 0;
    s->above = s->call->st.above;
    if (s->half_close && !s->half_closed) {
        s->half_closed = true;
        cczi_stream_half_close(&s->call->st);
    }
    pthread_cond_broadcast(&s->changed);
}

static void on_kick(void *arg)
{
    struct ccz_rpc_stream *s = arg;
    pthread_mutex_lock(&s->lock);
    s->posted = false;
    struct cczi_ccall *call = s->call;
    struct cczi_cconn *conn = call ? call->conn : NULL;
    bool cancel = s->cancel && call;
    if (call && s->started && !cancel)
        move_out(s);
    if (call && s->resume) {
        s->resume = s->paused = false;
        cczi_stream_pause(&call->st, false);
    }
    unref_unlock(s);
    if (cancel)
        cczi_ccall_cancel(call);
    else if (conn)
        cczi_cconn_flush(conn);
}

static void on_started(void *user)
{
    struct ccz_rpc_stream *s = user;
    pthread_mutex_lock(&s->lock);
    s->started = true;
    move_out(s);
    pthread_mutex_unlock(&s->lock);
}

static void on_headers(void *user)
{
    struct ccz_rpc_stream *s = user;
    pthread_mutex_lock(&s->lock);
    /* without memory there are no headers to be seen; they come at the end */
    if (s->received)
        cczi_received_copy_headers(&s->headers, &s->call->st);
    s->has_headers = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void on_message(void *user, struct ccz_span msg)
{
    struct ccz_rpc_stream *s = user;
    struct node *n = node_new(msg, &s->call->st.framer);
    if (!n) {
        struct cczi_stream *st = &s->call->st;
        st->code = CCZ_RPC_RESOURCE_EXHAUSTED;
        st->has_code = true;
        cczi_stream_reset(st, NGHTTP2_CANCEL);
        return;
    }
    pthread_mutex_lock(&s->lock);
    *s->in_tail = n;
    s->in_tail = &n->next;
    s->in_size += n->size + 1; /* empty messages take room too */
    if (s->in_size > CCZI_H2_OUT_HIGH && !s->paused) {
        s->paused = true; /* the reader is behind: the server gets no more credit */
        cczi_stream_pause(&s->call->st, true);
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void on_writable(void *user)
{
    struct ccz_rpc_stream *s = user;
    pthread_mutex_lock(&s->lock);
    s->above = false;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void on_over(void *user, const struct ccz_rpc_result *result, const struct ccz_err *err)
{
    struct ccz_rpc_stream *s = user;
    pthread_mutex_lock(&s->lock);
    s->over = true;
    s->call = NULL;
    s->result = *result;
    if (err)
        s->err = *err;
    pthread_cond_broadcast(&s->changed);
    unref_unlock(s);
}

static const struct cczi_ccall_ops stream_ops = {.started = on_started,
                                                 .headers = on_headers,
                                                 .message = on_message,
                                                 .writable = on_writable,
                                                 .over = on_over};

/* ------------------------------------------------------------------------------ for the user */

/* Asks the loop to look at the stream. The lock is held. @return false if memory is out */
static bool kick(struct ccz_rpc_stream *s)
{
    if (s->over || s->posted)
        return true;
    s->posted = ccz_loop_post(s->client->loop, on_kick, s) == CCZ_OK;
    s->refs += s->posted;
    return s->posted;
}

/* As kick(), but the loop must hear of it: a call without a deadline would never end. Lets go of the lock while it waits. */
static void kick_surely(struct ccz_rpc_stream *s)
{
    while (!kick(s)) {
        pthread_mutex_unlock(&s->lock);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        pthread_mutex_lock(&s->lock);
    }
}

ccz_rc ccz_rpc_stream_open(struct ccz_rpc_stream **out, struct ccz_rpc_client *c, const char *path,
                           const struct ccz_rpc_call_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_ccall *call;
    ccz_rc rc = cczi_ccall_new(&call, c, path, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rpc_stream *s = calloc(1, sizeof(*s));
    if (s) {
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->changed, NULL);
        s->refs = 2;
        s->client = c;
        s->stock = cczi_stock_ref(c->stock);
        s->call = call;
        s->out_tail = &s->out;
        s->in_tail = &s->in;
        cczi_received_init(&s->headers);
        cczi_received_init(&s->all);
        s->received = call->received;
        call->received = s->received ? &s->all : NULL;
        s->gzip = call->compression == CCZ_RPC_GZIP;
        atomic_init(&s->compress, s->gzip);
        call->ops = &stream_ops;
        call->user = s;
        call->retries_left = 0; /* what was sent or received cannot be taken back */
        if (cczi_client_submit(call)) {
            *out = s;
            return CCZ_OK;
        }
        s->refs = 1;
        pthread_mutex_lock(&s->lock);
        unref_unlock(s);
    }
    cczi_ccall_free(call);
    return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
}

ccz_rc ccz_rpc_stream_send(struct ccz_rpc_stream *s, struct ccz_span msg)
{
    struct cczi_out *o = atomic_load(&s->compress) ? cczi_out_gzip(msg) : NULL;
    if (!o)
        o = cczi_out_new(msg, s->stock);
    if (!o)
        return CCZ_E_NOMEM;
    pthread_mutex_lock(&s->lock);
    while (!s->over && (s->above || s->out_size > CCZI_H2_OUT_HIGH))
        pthread_cond_wait(&s->changed, &s->lock);
    ccz_rc rc = s->over || s->half_close || s->cancel ? CCZ_E_CLOSED : CCZ_OK;
    if (rc == CCZ_OK &&
        !kick(s)) /* first: what is queued leaves with the next kick, whatever we return */
        rc = CCZ_E_NOMEM;
    if (rc == CCZ_OK) {
        *s->out_tail = o;
        s->out_tail = &o->next;
        s->out_size += o->size;
        o = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    cczi_out_free(o);
    return rc;
}

ccz_rc ccz_rpc_stream_half_close(struct ccz_rpc_stream *s)
{
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = s->over ? CCZ_E_CLOSED : kick(s) ? CCZ_OK : CCZ_E_NOMEM;
    s->half_close |= rc == CCZ_OK;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* The first message that waits; NULL if none. The lock is held. */
static struct node *take_message(struct ccz_rpc_stream *s)
{
    struct node *n = s->in;
    if (!n)
        return NULL;
    s->in = n->next;
    if (!s->in)
        s->in_tail = &s->in;
    s->in_size -= n->size + 1;
    if (s->paused && s->in_size <= CCZI_H2_OUT_LOW) {
        s->resume = true;
        (void)kick(s); /* without memory now, the next message tries again */
    }
    return n;
}

ccz_rc ccz_rpc_stream_recv(struct ccz_buf *msg, struct ccz_rpc_stream *s,
                           struct ccz_rpc_result *result, struct ccz_err *err)
{
    struct node *n;
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&s->lock);
    while (!(n = take_message(s)) && !s->over)
        pthread_cond_wait(&s->changed, &s->lock);
    if (n) {
        s->last_compressed = n->compressed;
    } else {
        rc = s->err.rc == CCZ_OK ? CCZ_E_NOT_FOUND : s->err.rc;
        if (result)
            *result = s->result;
        if (s->received && !s->taken)
            cczi_received_move(s->received, &s->all);
        s->taken = true;
        if (err)
            *err = s->err;
    }
    pthread_mutex_unlock(&s->lock);
    if (!n)
        return rc;
    node_read(msg, n); /* the loop is not kept waiting meanwhile */
    if (msg->bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "rpc:response", (int64_t)n->size,
                      "the message does not fit the caller's buffer");
    node_free(n, s->stock);
    return rc;
}

ccz_rc ccz_rpc_stream_headers(struct ccz_rpc_stream *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->has_headers && !s->over)
        pthread_cond_wait(&s->changed, &s->lock);
    if (s->received && s->has_headers && !s->headers_taken && !s->taken)
        cczi_received_move(s->received, &s->headers);
    s->headers_taken |= s->has_headers;
    ccz_rc rc = s->has_headers ? CCZ_OK : CCZ_E_CLOSED;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void ccz_rpc_stream_set_compression(struct ccz_rpc_stream *s, enum ccz_rpc_compression compression)
{
    atomic_store(&s->compress, s->gzip && compression == CCZ_RPC_GZIP);
}

bool ccz_rpc_stream_compressed(const struct ccz_rpc_stream *s)
{
    return s->last_compressed;
}

void ccz_rpc_stream_cancel(struct ccz_rpc_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->cancel = true;
    kick_surely(s);
    pthread_mutex_unlock(&s->lock);
}

void ccz_rpc_stream_free(struct ccz_rpc_stream *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->cancel = true;
    kick_surely(s);
    unref_unlock(s);
}
