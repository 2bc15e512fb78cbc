/* SPDX-License-Identifier: Apache-2.0 */
/* The server: loop threads that share a port, and their connections. */
#define _DEFAULT_SOURCE
#include "server.h"

#include "base/condwait.h"

#include <cczoo/crypto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TICK_MS = 250,          /* how often connections are looked at */
    PING_ANSWER_MS = 20000, /* a peer that does not answer a PING for so long is gone */
    LAST_WORDS_MS = 2000,   /* for cancelled calls to be told */
    NOTICE_MS = 1000,       /* for a client to hear that the connection ends */
    PULL_SIZE = 1 << 16,    /* bytes encrypted at a time */
    THREADS_MAX = 64,
    REQUESTS_SIZE = 256 << 20,
    ANSWERS_FACTOR = 4, /* answers that wait for clients, in terms of the limit of requests */
    STALL_TURNS =
        40 /* with half of that, calls of which nothing leaves for so many ticks are reset */
};

struct stop_hook {
    void (*fn)(void *arg);
    void *arg;
};

struct ccz_rpc_server {
    struct ccz_rpc_server_cfg cfg;
    char *listen;
    struct cczi_method *methods; /* sorted by path once started */
    size_t methods_len;
    ccz_rpc_unary_fn fallback;
    void *fallback_arg;
    struct cczi_guards guards;
    struct stop_hook *hooks; /* in order of registration */
    size_t hooks_len;
    struct cczi_wire_pool *pool;
    struct cczi_worker *workers;
    unsigned workers_len;
    atomic_uint conns;
    struct cczi_budget *budget;
    struct cczi_stock *stock;
    uint16_t port;
    bool running;
    pthread_mutex_t lock; /* cfg.ratls; workers against who wants to tell them something */
};

/* --------------------------------------------------------------------------------- connections */

static void conn_close(struct cczi_sconn *c, bool in_order)
{
    struct cczi_worker *w = c->worker;
    struct cczi_wire *wire = c->wire;
    cczi_sconn_forget_warm(c);
    c->wire = NULL;
    c->busy = true; /* calls end now; nothing of them can be sent */
    cczi_h2_free(c->h2);
    if (in_order)
        cczi_wire_end(wire);
    else
        cczi_wire_free(wire);
    *(c->prev ? &c->prev->next : &w->first) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (w->cursor == c)
        w->cursor = c->next;
    w->conns--;
    atomic_fetch_sub(&w->server->conns, 1);
    cczi_peer_unref(c->peer);
    free(c);
    if (w->draining && w->conns == 0)
        ccz_loop_finish(w->loop); /* the last answers may still be on their way */
}

/* Moves frames to the wire while it takes them. @return false if HTTP/2 is over on this connection */
static bool pull_frames(struct cczi_sconn *c)
{
    struct cczi_worker *w = c->worker;
    bool nested = w->out_busy; /* a callback of another connection's pull sends on this one */
    CCZ_AUTO_BUF own;
    ccz_buf_init(&own, CCZ_CONN_OUT_SIZE_MAX);
    own.wipe = w->out.wipe;
    struct ccz_buf *out = nested ? &own : &w->out;
    ccz_rc rc = CCZ_OK;
    while (cczi_wire_writable(c->wire) && cczi_h2_wants_pull(c->h2)) {
        ccz_buf_clear(out);
        w->out_busy = true;
        rc = cczi_h2_pull(out, c->h2, PULL_SIZE, NULL);
        w->out_busy = nested;
        if (rc != CCZ_OK || out->size == 0) /* 0: flow control, the peer's turn */
            break;
        cczi_wire_send(c->wire, ccz_buf_span(out));
    }
    if (out->wipe)
        ccz_buf_clear(out);
    if (cczi_wire_writable(c->wire) || cczi_wire_busy(c->wire))
        c->stuck_ms = 0;
    else if (c->stuck_ms == 0)
        c->stuck_ms = ccz_mono_ms();
    return rc == CCZ_OK && !cczi_h2_done(c->h2);
}

/* @return false if the connection was closed by it */
static bool flush(struct cczi_sconn *c)
{
    if (c->busy) {
        c->again = true;
        return true;
    }
    if (cczi_wire_busy(c->wire)) /* on_writable() comes */
        return true;
    bool alive;
    c->busy = true;
    do {
        c->again = false;
        alive = pull_frames(c);
    } while (alive && c->again);
    c->busy = false;
    if (!alive)
        conn_close(c, true);
    return alive;
}

void cczi_sconn_flush(struct cczi_sconn *c)
{
    (void)flush(c);
}

/* Counted by the caller. */
static struct ccz_ratls_ctx *current_ratls(struct ccz_rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    struct ccz_ratls_ctx *ctx = ccz_ratls_ctx_ref(s->cfg.ratls);
    pthread_mutex_unlock(&s->lock);
    return ctx;
}

/* No new calls. */
static void conn_drain(struct cczi_sconn *c)
{
    if (c->drain_ms == 0)
        c->drain_ms = ccz_mono_ms();
    cczi_h2_drain(c->h2);
}

int64_t cczi_spread_ms(int64_t ms)
{
    if (ms > INT64_MAX / 2) /* "never": the sum below must not wrap */
        return ms;
    uint8_t r = 128;
    if (ccz_random(&r, sizeof(r)) != CCZ_OK)
        r = 128; /* only the spreading suffers */
    return ms - ms / 10 + ms / 5 / 255 * r + ms / 5 % 255 * r / 255;
}

/* Calls that run keep what they know of the peer; new ones get what is known now. */
static struct cczi_peer *peer_new(const struct cczi_wire *wire)
{
    struct cczi_peer *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    p->ratls = *cczi_wire_peer(wire);
    (void)snprintf(p->address, sizeof(p->address), "%s", cczi_wire_address(wire));
    return p;
}

struct cczi_peer *cczi_sconn_peer(struct cczi_sconn *c)
{
    if (!c->peer)
        c->peer = peer_new(c->wire);
    return c->peer;
}

static void on_attested(void *arg)
{
    struct cczi_sconn *c = arg;
    struct cczi_peer *fresh = peer_new(c->wire);
    if (!fresh) /* the old claims stand; they were good, and their dates are judged with them */
        return;
    cczi_peer_unref(c->peer);
    c->peer = fresh;
    ccz_log(CCZ_LOG_DEBUG, "rpc", "attested again peer=%s round=%llu", c->peer->address,
            (unsigned long long)c->peer->ratls.rounds);
}

static void on_ready(void *arg)
{
    struct cczi_sconn *c = arg;
    const struct ccz_rpc_server_cfg *cfg = &c->worker->server->cfg;
    struct cczi_h2_cfg h2 = {.server = true,
                             .ops = &cczi_server_ops,
                             .arg = c,
                             .message_size_max = cfg->message_size_max,
                             .streams_max = cfg->streams_max,
                             .budget = c->worker->server->budget};
    c->peer = peer_new(c->wire);
    if (!c->peer || cczi_h2_new(&c->h2, &h2) != CCZ_OK) {
        conn_close(c, false);
        return;
    }
    c->heard_ms = c->unfinished_ms = ccz_mono_ms();
    cczi_sconn_warm(c);
    ccz_log(CCZ_LOG_DEBUG, "rpc", "accepted peer=%s attested=%d fresh=%d", c->peer->address,
            c->peer->ratls.attested, c->peer->ratls.fresh);
    if (c->worker->draining || c->recycled)
        conn_drain(c);
    cczi_sconn_flush(c);
}

static void tell_failure(const char *what, const struct cczi_sconn *c, const struct ccz_err *err)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "%s peer=%s", what, cczi_wire_address(c->wire));
    ccz_log_err(CCZ_LOG_INFO, "rpc", text, err);
}

/* @return false if the connection was closed */
static bool feed(struct cczi_sconn *c, struct ccz_span data)
{
    struct ccz_err err;
    cczi_sconn_warm(c);
    c->busy = true;
    ccz_rc rc = cczi_h2_feed(c->h2, data, &err);
    c->busy = false;
    if (!cczi_h2_unfinished(c->h2))
        c->unfinished_ms = 0;
    else if (c->unfinished_ms == 0)
        c->unfinished_ms = c->heard_ms;
    if (c->h2->refusal) { /* the client does not accept us */
        tell_failure("refused", c, c->h2->refusal);
        conn_close(c, true);
        return false;
    }
    if (rc == CCZ_OK)
        return flush(c);
    tell_failure("dropped", c, &err);
    c->busy = true;
    (void)pull_frames(c); /* GOAWAY with the reason */
    c->busy = false;
    conn_close(c, true);
    return false;
}

static void on_plain(void *arg, struct ccz_span data)
{
    struct cczi_sconn *c = arg;
    size_t part = cczi_h2_part(data);
    c->heard_ms = ccz_mono_ms();
    if (part) { /* the client works on these answers while we make the others */
        if (!feed(c, ccz_span_sub(data, 0, part)))
            return;
        cczi_wire_push(c->wire);
    }
    (void)feed(c, ccz_span_sub(data, part, data.size - part));
}

static void on_writable(void *arg)
{
    struct cczi_sconn *c = arg;
    if (c->h2)
        cczi_sconn_flush(c);
}

static void on_closed(void *arg, const struct ccz_err *err)
{
    struct cczi_sconn *c = arg;
    /* one line per refused peer; one that was accepted before can be refused later */
    if (err->rc != CCZ_E_CLOSED && (!c->h2 || err->rc != CCZ_E_IO))
        tell_failure(c->h2 ? "cut off" : "refused", c, err);
    conn_close(c, false);
}

static const struct cczi_wire_ops wire_ops = {.on_ready = on_ready,
                                              .on_plain = on_plain,
                                              .on_writable = on_writable,
                                              .on_attested = on_attested,
                                              .on_closed = on_closed};

static void on_accept(void *arg, int fd, const char *peer)
{
    struct cczi_worker *w = arg;
    struct ccz_rpc_server *s = w->server;
    if (s->cfg.admit && !s->cfg.admit(s->cfg.admit_arg, peer)) { /* who refuses it tells of it */
        close(fd);
        return;
    }
    if (atomic_fetch_add(&s->conns, 1) >= s->cfg.connections_max) {
        atomic_fetch_sub(&s->conns, 1);
        ccz_log(CCZ_LOG_WARN, "rpc", "refused peer=%s where=rpc:connections limit=%u", peer,
                s->cfg.connections_max);
        close(fd);
        return;
    }
    struct cczi_sconn *c = calloc(1, sizeof(*c));
    struct ccz_ratls_ctx *ratls = current_ratls(s);
    struct cczi_wire_cfg cfg = {.loop = w->loop,
                                .pool = s->pool,
                                .deadlines = &w->deadlines,
                                .ratls = ratls,
                                .farewell = cczi_refusal_by_server,
                                .ops = &wire_ops,
                                .arg = c,
                                .scratch = &w->scratch,
                                .wipe = s->cfg.wipe};
    if (!c) {
        close(fd);
    } else if (cczi_wire_accept(&c->wire, &cfg, fd) != CCZ_OK) {
        free(c);
        c = NULL;
    }
    ccz_ratls_ctx_free(ratls);
    if (!c) {
        atomic_fetch_sub(&s->conns, 1);
        return;
    }
    c->worker = w;
    c->opened_ms = ccz_mono_ms();
    c->age_ms = s->cfg.connection_age_ms ? cczi_spread_ms(s->cfg.connection_age_ms) : 0;
    c->next = w->first;
    if (w->first)
        w->first->prev = c;
    w->first = c;
    w->conns++;
}

/* Old connections, and those that end. @return false if it is too late for order */
static bool check_age(struct cczi_sconn *c, int64_t now)
{
    int64_t grace_ms = c->worker->server->cfg.connection_age_grace_ms;
    if (c->age_ms && now - c->opened_ms > c->age_ms && !c->too_old) {
        c->too_old = true;
        conn_drain(c);
    }
    if (c->drain_ms && now - c->drain_ms > NOTICE_MS)
        cczi_h2_drain_now(c->h2);
    if (!c->too_old || !grace_ms || now - c->drain_ms <= grace_ms)
        return true;
    cczi_sconn_cancel_calls(c, "the connection is too old");
    return now - c->drain_ms - LAST_WORDS_MS <= grace_ms;
}

/* A peer that sends and takes nothing would never be asked by PING whether it is there. */
static bool is_stuck(struct cczi_sconn *c, int64_t now, int64_t keepalive_ms, int64_t patience)
{
    size_t size = cczi_wire_pending(c->wire);
    if (size == c->stuck_size)
        return now - c->stuck_ms - keepalive_ms > patience;
    c->stuck_size = size;
    c->stuck_ms = now;
    return false;
}

static bool must_shed(const struct ccz_rpc_server *s)
{
    return atomic_load_explicit(&s->budget->queued, memory_order_relaxed) >
           s->budget->queued_max / 2;
}

/* Answers that are not taken fill memory: those that have waited longest without moving go. @return false if the connection
 * must go with them */
static bool shed(struct cczi_sconn *c)
{
    if (!must_shed(c->worker->server))
        return true;
    return cczi_h2_shed(c->h2, STALL_TURNS) == 0 || cczi_wire_writable(c->wire);
}

/* Idle, and nothing is due: the tick has no business with it. Most of ten thousand connections are like that, and their engines
 * are not in any cache. */
static bool is_quiet(const struct cczi_sconn *c, int64_t now)
{
    const struct ccz_rpc_server *s = c->worker->server;
    bool old = c->age_ms && now - c->opened_ms > c->age_ms;
    return !c->warm && !c->drain_ms && !c->stuck_ms && !c->worker->draining && !old &&
           now - c->heard_ms <= s->cfg.keepalive_ms && !must_shed(s);
}

/* Deadlines of connections: handshake, keepalive, and the end of the grace period. */
static void check_conn(struct cczi_sconn *c, int64_t now)
{
    struct cczi_worker *w = c->worker;
    const struct ccz_rpc_server_cfg *cfg = &w->server->cfg;
    bool stop = w->draining && now >= atomic_load(&w->stop_ms);
    if (!c->h2) {
        if (stop || now - c->opened_ms > cfg->handshake_timeout_ms)
            conn_close(c, false);
        return;
    }
    if (c->unfinished_ms && now - c->unfinished_ms > cfg->handshake_timeout_ms) {
        ccz_log(CCZ_LOG_INFO, "rpc", "dropped peer=%s where=rpc:slow", cczi_wire_address(c->wire));
        conn_close(c, false);
        return;
    }
    if (is_quiet(c, now))
        return;
    int64_t silent = now - c->heard_ms;
    int64_t patience = cfg->keepalive_ms < PING_ANSWER_MS ? cfg->keepalive_ms : PING_ANSWER_MS;
    if (c->stuck_ms && is_stuck(c, now, cfg->keepalive_ms, patience)) {
        ccz_log(CCZ_LOG_INFO, "rpc", "dropped peer=%s where=rpc:stuck", cczi_wire_address(c->wire));
        conn_close(c, false);
        return;
    }
    if (cczi_h2_ping_pending(c->h2) && silent - patience > cfg->keepalive_ms) {
        conn_close(c, false);
        return;
    }
    if (!cczi_h2_ping_pending(c->h2) && silent > cfg->keepalive_ms)
        cczi_h2_ping(c->h2);
    if (!check_age(c, now) || !shed(c)) {
        conn_close(c, false);
        return;
    }
    if (stop)
        cczi_sconn_cancel_calls(c, "the server is stopping");
    cczi_sconn_flush(c);
}

/* Walks over the connections while any of them may be closed. */
static struct cczi_sconn *next_conn(struct cczi_worker *w)
{
    struct cczi_sconn *c = w->cursor;
    if (c)
        w->cursor = c->next;
    return c;
}

static void on_tick(void *arg)
{
    struct cczi_worker *w = arg;
    int64_t now = ccz_mono_ms();
    (void)cczi_stock_trim(w->server->stock);
    bool overdue = w->draining && now - LAST_WORDS_MS >= atomic_load(&w->stop_ms);
    cczi_worker_cool(w, now);
    w->cursor = w->first;
    for (struct cczi_sconn *c; (c = next_conn(w)) != NULL;) {
        if (overdue) /* even the cancellation is not taken */
            conn_close(c, false);
        else
            check_conn(c, now);
    }
}

/* ------------------------------------------------------------------------------------- workers */

static void begin_stop(void *arg)
{
    struct cczi_worker *w = arg;
    ccz_listener_free(w->listener);
    w->listener = NULL;
    w->draining = true;
    if (w->conns == 0) {
        ccz_loop_finish(w->loop);
        return;
    }
    w->cursor = w->first;
    for (struct cczi_sconn *c; (c = next_conn(w)) != NULL;) {
        if (!c->h2) {
            conn_close(c, false);
            continue;
        }
        conn_drain(c);
        cczi_sconn_flush(c);
    }
}

static void begin_recycle(void *arg)
{
    struct cczi_worker *w = arg;
    w->cursor = w->first;
    for (struct cczi_sconn *c; (c = next_conn(w)) != NULL;) {
        c->recycled = true; /* of a handshake that is under way: once it is ready */
        if (!c->h2)
            continue;
        conn_drain(c);
        cczi_sconn_flush(c);
    }
}

static void *run_worker(void *arg)
{
    struct cczi_worker *w = arg;
    struct ccz_err err = {0};
    if (ccz_loop_run(w->loop, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "rpc", "loop ended", &err);
    atomic_store(&w->ended, true);
    return NULL;
}

/* Everything but the thread. The first worker finds the port, the others share it. */
static ccz_rc worker_init(struct cczi_worker *w, struct ccz_rpc_server *s, struct ccz_err *err)
{
    char address[CCZ_ADDR_TEXT_SIZE];
    w->server = s;
    ccz_buf_init(&w->scratch, 1 << 18);
    ccz_buf_init(&w->out, CCZ_CONN_OUT_SIZE_MAX);
    w->scratch.wipe = w->out.wipe = s->cfg.wipe;
    ccz_rc rc = ccz_loop_new(&w->loop, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_deadlines_init(&w->deadlines, w->loop) != CCZ_OK ||
        ccz_timer_new(&w->tick, w->loop, on_tick, w) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    if (!ccz_timer_set(w->tick, TICK_MS, TICK_MS))
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    (void)snprintf(address, sizeof(address), "%s", s->listen);
    char *colon = strrchr(address, ':');
    if (w != s->workers && colon && s->port) /* "unix:" has no port */
        (void)snprintf(colon, sizeof(address) - (size_t)(colon - address), ":%u", s->port);
    struct ccz_listen_cfg cfg = {
        .address = address, .reuse_port = s->cfg.threads > 1, .on_accept = on_accept, .arg = w};
    rc = ccz_listen(&w->listener, w->loop, &cfg, err);
    if (rc == CCZ_OK && w == s->workers)
        s->port = ccz_listener_port(w->listener);
    return rc;
}

/* The thread has ended or never ran. */
static void worker_deinit(struct cczi_worker *w)
{
    while (w->first) /* only if the loop broke down */
        conn_close(w->first, false);
    ccz_listener_free(w->listener);
    w->listener = NULL; /* begin_stop() may be posted still; it runs below */
    ccz_timer_free(w->tick);
    cczi_deadlines_deinit(&w->deadlines);
    ccz_loop_free(w->loop);
    ccz_buf_free(&w->scratch);
    ccz_buf_free(&w->out);
}

static void tell_workers(struct ccz_rpc_server *s, int64_t grace_ms)
{
    int64_t stop_ms = cczi_deadline_ms(grace_ms);
    for (unsigned i = 0; i < s->workers_len; i++) {
        struct cczi_worker *w = &s->workers[i];
        atomic_store(&w->stop_ms, stop_ms);
        /* without memory to tell it, the loop is stopped as it is */
        if (w->started && ccz_loop_post(w->loop, begin_stop, w) != CCZ_OK)
            ccz_loop_stop(w->loop);
    }
}

static void join_workers(struct ccz_rpc_server *s)
{
    for (unsigned i = 0; i < s->workers_len; i++)
        if (s->workers[i].started)
            pthread_join(s->workers[i].thread, NULL);
    cczi_wire_pool_free(s->pool); /* before the loops that it reports to */
    s->pool = NULL;
    pthread_mutex_lock(&s->lock);
    struct cczi_worker *workers = s->workers;
    unsigned len = s->workers_len;
    s->workers = NULL;
    s->workers_len = 0;
    s->running = false;
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < len; i++) /* without the lock: on_done() may call us */
        worker_deinit(&workers[i]);
    free(workers);
}

void cczi_server_begin_stop(struct ccz_rpc_server *s, int64_t grace_ms)
{
    if (!s->running)
        return;
    for (size_t i = 0; i < s->hooks_len; i++)
        s->hooks[i].fn(s->hooks[i].arg);
    tell_workers(s, grace_ms);
}

void cczi_server_hurry_stop(struct ccz_rpc_server *s)
{
    int64_t now = ccz_mono_ms();
    for (unsigned i = 0; i < s->workers_len; i++)
        atomic_store(&s->workers[i].stop_ms, now);
}

bool cczi_server_stopped(const struct ccz_rpc_server *s)
{
    for (unsigned i = 0; i < s->workers_len; i++)
        if (s->workers[i].started && !atomic_load(&s->workers[i].ended))
            return false;
    return true;
}

void cczi_server_end_stop(struct ccz_rpc_server *s)
{
    if (s->running)
        join_workers(s);
}

/* -------------------------------------------------------------------------------------- server */

static void set_defaults(struct ccz_rpc_server_cfg *cfg)
{
    cfg->threads = cfg->threads ? cfg->threads : 1;
    cfg->message_size_max =
        cfg->message_size_max ? cfg->message_size_max : CCZ_RPC_MESSAGE_SIZE_MAX;
    cfg->streams_max = cfg->streams_max ? cfg->streams_max : 256;
    cfg->connections_max = cfg->connections_max ? cfg->connections_max : 4096;
    cfg->handshake_timeout_ms = cfg->handshake_timeout_ms ? cfg->handshake_timeout_ms : 10000;
    cfg->keepalive_ms = cfg->keepalive_ms ? cfg->keepalive_ms : 60000;
    size_t eight = 8 * cfg->message_size_max;
    if (!cfg->requests_size_max)
        cfg->requests_size_max = eight > REQUESTS_SIZE ? eight : REQUESTS_SIZE;
}

ccz_rc ccz_rpc_server_new(struct ccz_rpc_server **out, const struct ccz_rpc_server_cfg *cfg,
                          struct ccz_err *err)
{
    *out = NULL;
    if (!cfg->listen || !cfg->ratls || cfg->threads > THREADS_MAX ||
        cfg->message_size_max > UINT32_MAX)
        return ccz_fail(
            err, CCZ_E_ARG, "rpc:config", 0,
            "needed: an address, an RA-TLS context, at most %d threads, messages below 4 GiB",
            THREADS_MAX);
    CCZ_AUTO(ccz_rpc_server) s = calloc(1, sizeof(*s));
    if (s) {
        s->cfg = *cfg;
        set_defaults(&s->cfg);
        s->listen = strdup(cfg->listen);
        s->budget = calloc(1, sizeof(*s->budget));
        s->stock = cczi_stock_new();
        if (s->stock && cfg->wipe)
            cczi_stock_set_wipe(s->stock);
        s->cfg.ratls = ccz_ratls_ctx_ref(cfg->ratls);
        pthread_mutex_init(&s->lock, NULL);
    }
    if (!s || !s->listen || !s->budget || !s->stock)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    atomic_init(&s->budget->refs, 1);
    s->budget->max = s->cfg.requests_size_max;
    s->budget->queued_max = s->cfg.requests_size_max < SIZE_MAX / ANSWERS_FACTOR
                                ? ANSWERS_FACTOR * s->cfg.requests_size_max
                                : SIZE_MAX;
    *out = ccz_rpc_server_take(&s);
    return CCZ_OK;
}

void ccz_rpc_server_free(struct ccz_rpc_server *s)
{
    if (!s)
        return;
    if (s->running)
        ccz_rpc_server_stop(s, 0);
    for (size_t i = 0; i < s->methods_len; i++)
        free(s->methods[i].path);
    free(s->methods);
    cczi_guards_free(&s->guards);
    free(s->hooks);
    cczi_budget_unref(s->budget);
    cczi_stock_unref(s->stock);
    ccz_ratls_ctx_free(s->cfg.ratls);
    pthread_mutex_destroy(&s->lock);
    free(s->listen);
    free(s);
}

static ccz_rc add_method(struct ccz_rpc_server *s, const struct cczi_method *m, const char *path)
{
    if (s->running || path[0] != '/')
        return CCZ_E_ARG;
    for (size_t i = 0; i < s->methods_len; i++)
        if (strcmp(s->methods[i].path, path) == 0)
            return CCZ_E_EXISTS;
    struct cczi_method *list = realloc(s->methods, (s->methods_len + 1) * sizeof(*list));
    if (!list)
        return CCZ_E_NOMEM;
    s->methods = list;
    list[s->methods_len] = *m;
    list[s->methods_len].path = strdup(path);
    if (!list[s->methods_len].path)
        return CCZ_E_NOMEM;
    s->methods_len++;
    return CCZ_OK;
}

ccz_rc ccz_rpc_server_add(struct ccz_rpc_server *s, const char *path,
                          const struct ccz_rpc_handler *handler, void *service_arg)
{
    return add_method(s, &(struct cczi_method){.handler = *handler, .arg = service_arg}, path);
}

ccz_rc ccz_rpc_server_add_unary(struct ccz_rpc_server *s, const char *path, ccz_rpc_unary_fn fn,
                                void *service_arg)
{
    return add_method(s, &(struct cczi_method){.unary = fn, .arg = service_arg}, path);
}

void ccz_rpc_server_set_fallback(struct ccz_rpc_server *s, ccz_rpc_unary_fn fn, void *service_arg)
{
    s->fallback = fn;
    s->fallback_arg = service_arg;
}

ccz_rc ccz_rpc_server_guard(struct ccz_rpc_server *s, const char *prefix, ccz_rpc_guard_fn fn,
                            void *arg)
{
    return s->running ? CCZ_E_ARG : cczi_guards_add(&s->guards, prefix, fn, arg);
}

ccz_rc ccz_rpc_server_on_stop(struct ccz_rpc_server *s, void (*fn)(void *arg), void *arg)
{
    if (s->running || !fn)
        return CCZ_E_ARG;
    struct stop_hook *list = realloc(s->hooks, (s->hooks_len + 1) * sizeof(*list));
    if (!list)
        return CCZ_E_NOMEM;
    s->hooks = list;
    list[s->hooks_len++] = (struct stop_hook){fn, arg};
    return CCZ_OK;
}

const char *ccz_rpc_server_method_path(const struct ccz_rpc_server *s, size_t i)
{
    return i < s->methods_len ? s->methods[i].path : NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct cczi_method *)a)->path, ((const struct cczi_method *)b)->path);
}

ccz_rc ccz_rpc_server_start(struct ccz_rpc_server *s, struct ccz_err *err)
{
    if (s->running)
        return ccz_fail(err, CCZ_E_ARG, "rpc:start", 0, "the server runs already");
    ccz_rc rc = s->fallback ? CCZ_OK /* which may answer any path */
                            : cczi_guards_check(&s->guards, s->methods, s->methods_len, err);
    if (rc != CCZ_OK)
        return rc;
    if (s->methods_len)
        qsort(s->methods, s->methods_len, sizeof(s->methods[0]), by_path);
    s->port = 0;
    s->workers = calloc(s->cfg.threads, sizeof(s->workers[0]));
    rc = s->workers ? cczi_wire_pool_new(&s->pool, s->cfg.threads) : CCZ_E_NOMEM;
    if (rc != CCZ_OK) {
        free(s->workers);
        s->workers = NULL;
        return ccz_fail(err, rc, "rpc:memory", 0, "no memory or threads");
    }
    while (rc == CCZ_OK && s->workers_len < s->cfg.threads)
        rc = worker_init(&s->workers[s->workers_len++], s, err);
    for (unsigned i = 0; rc == CCZ_OK && i < s->workers_len; i++) {
        struct cczi_worker *w = &s->workers[i];
        w->started = pthread_create(&w->thread, NULL, run_worker, w) == 0;
        if (!w->started)
            rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "rpc:thread", 0, "a thread could not be started");
    }
    pthread_mutex_lock(&s->lock);
    s->running = true;
    pthread_mutex_unlock(&s->lock);
    if (rc != CCZ_OK) {
        tell_workers(s, 0);
        join_workers(s);
    }
    return rc;
}

uint16_t ccz_rpc_server_port(const struct ccz_rpc_server *s)
{
    return s->port;
}

void ccz_rpc_server_stop(struct ccz_rpc_server *s, int64_t grace_ms)
{
    cczi_server_begin_stop(s, grace_ms);
    cczi_server_end_stop(s);
}

void ccz_rpc_server_set_ratls(struct ccz_rpc_server *s, struct ccz_ratls_ctx *ctx)
{
    pthread_mutex_lock(&s->lock);
    struct ccz_ratls_ctx *old = s->cfg.ratls;
    s->cfg.ratls = ccz_ratls_ctx_ref(ctx);
    pthread_mutex_unlock(&s->lock);
    ccz_ratls_ctx_free(old);
}

ccz_rc ccz_rpc_server_recycle(struct ccz_rpc_server *s)
{
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; s->running && i < s->workers_len; i++)
        if (ccz_loop_post(s->workers[i].loop, begin_recycle, &s->workers[i]) != CCZ_OK)
            rc = CCZ_E_NOMEM;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

const struct cczi_method *cczi_server_method(const struct ccz_rpc_server *s, const char *path)
{
    struct cczi_method key = {.path = (char *)(uintptr_t)path};
    return s->methods_len
               ? bsearch(&key, s->methods, s->methods_len, sizeof(s->methods[0]), by_path)
               : NULL;
}

void cczi_server_fallback(const struct ccz_rpc_server *s, ccz_rpc_unary_fn *fn, void **arg)
{
    *fn = s->fallback;
    *arg = s->fallback_arg;
}

struct cczi_stock *cczi_server_stock(const struct ccz_rpc_server *s)
{
    return s->stock;
}

const struct cczi_guards *cczi_server_guards(const struct ccz_rpc_server *s)
{
    return &s->guards;
}

size_t cczi_server_message_max(const struct ccz_rpc_server *s)
{
    return s->cfg.message_size_max;
}

bool cczi_server_running(const struct ccz_rpc_server *s)
{
    return s->running;
}
