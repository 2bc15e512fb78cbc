/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain connection and the attested one that carries it.
 *
 *   OUT  accepted plain, connecting attested:  HANDSHAKE -> OPEN
 *   IN   accepted attested:                    HANDSHAKE -> CONNECTING (plain) -> OPEN
 *
 * Each direction ends on its own: the end of a stream is passed on behind its last byte. The pair is over when both
 * directions are, and everything has left; or when one side breaks, which cuts the other.
 */
#define _GNU_SOURCE
#include "tunnel/tunnel_priv.h"

#include "base/condwait.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_MS = 2000 };

enum pair_state { PAIR_HANDSHAKE, PAIR_CONNECTING, PAIR_OPEN };

struct cczi_pair {
    struct cczi_worker *worker;
    struct cczi_map *map;
    struct cczi_pair *next, **link;
    struct cczi_pair *older, *newer; /* among strangers */
    bool stranger;                   /* is in the list of the worker's */
    enum pair_state state;
    struct ccz_conn *plain; /* NULL: not connected yet (IN) */
    struct cczi_wire *wire;
    struct ccz_buf stash;          /* plain bytes that came while the wire was busy with evidence */
    bool plain_end;                /* the plain side has ended its direction .. */
    bool end_sent;                 /* .. and the peer was told */
    bool moved;                    /* bytes, since cczi_pairs_trim() */
    bool wire_end;                 /* the peer has ended its direction; the plain side was told */
    struct cczi_deadline deadline; /* of the handshake, then of being idle */
    int64_t heard_ms;
    uint64_t from_peer, to_peer;
    struct cczi_proxy_addrs *addrs; /* only for the header */
    char peer[CCZ_ADDR_TEXT_SIZE];  /* who was accepted */
};

/* ---------------------------------------------------------------------------------------- log */

static void log_failure(const struct cczi_pair *p, enum ccz_log_level level, const char *what,
                        const struct ccz_err *err)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "%s map=%s peer=%s", what, p->map->cfg.name, p->peer);
    ccz_log_err(level, "tunnel", text, err);
}

static void log_open(const struct cczi_pair *p)
{
    char hex[CCZI_MEASUREMENT_HEX_SIZE] = "none";
    const struct ccz_ratls_peer *peer = cczi_wire_peer(p->wire);
    if (peer->attested)
        cczi_measurement_hex(hex, &peer->claims);
    ccz_log(CCZ_LOG_INFO, "tunnel", "open map=%s peer=%s attested=%d fresh=%d measurement=%s%s",
            p->map->cfg.name, p->peer, peer->attested, peer->fresh, hex,
            peer->claims.simulated ? " SIMULATED" : "");
}

/* ---------------------------------------------------------------------------------- strangers */

static void stranger_add(struct cczi_pair *p)
{
    struct cczi_worker *w = p->worker;
    p->stranger = true;
    p->older = w->strangers;
    if (p->older)
        p->older->newer = p;
    else
        w->strangers_end = p;
    w->strangers = p;
    w->strangers_len++;
}

static void stranger_remove(struct cczi_pair *p)
{
    struct cczi_worker *w = p->worker;
    if (!p->stranger)
        return;
    *(p->newer ? &p->newer->older : &w->strangers) = p->older;
    *(p->older ? &p->older->newer : &w->strangers_end) = p->newer;
    p->stranger = false;
    w->strangers_len--;
}

/* ------------------------------------------------------------------------------------ the end */

/* Both connections are given up or freed by now. */
static void pair_free(struct cczi_pair *p)
{
    struct cczi_worker *w = p->worker;
    struct ccz_tunnel *t = w->tunnel;
    cczi_deadline_cancel(&w->deadlines, &p->deadline);
    stranger_remove(p);
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    ccz_buf_free(&p->stash);
    free(p->addrs);
    free(p);
    atomic_fetch_sub(&t->open, 1);
    cczi_worker_left(w);
}

/* Both ends see that it was no end in order. */
static void pair_cut(struct cczi_pair *p)
{
    ccz_conn_reset(p->plain);
    cczi_wire_free(p->wire);
    pair_free(p);
}

static void pair_fail(struct cczi_pair *p, const struct ccz_err *err)
{
    atomic_fetch_add(&p->worker->tunnel->failed, 1);
    log_failure(p, CCZ_LOG_WARN, p->state == PAIR_OPEN ? "cut" : "failed", err);
    pair_cut(p);
}

/* Who sends nothing must not keep out those behind him: the one that has had the most time makes room. */
static void make_room(struct cczi_worker *w)
{
    struct ccz_err err = {0};
    if (w->strangers_len < w->strangers_max)
        return;
    (void)ccz_fail(&err, CCZ_E_LIMIT, "tunnel:handshakes", w->strangers_max,
                   "the oldest of %u connections that are not attested yet", w->strangers_len);
    atomic_fetch_add(&w->tunnel->limited, 1);
    pair_fail(w->strangers_end, &err);
}

static void pair_fail_memory(struct cczi_pair *p)
{
    struct ccz_err err = {0};
    (void)ccz_fail(&err, CCZ_E_NOMEM, "tunnel:memory", 0, "bytes on their way could not be stored");
    pair_fail(p, &err);
}

/* Over, if both directions are. @return true if it was */
static bool pair_done(struct cczi_pair *p)
{
    if (!p->plain_end || !p->end_sent || !p->wire_end || cczi_wire_busy(p->wire))
        return false;
    /* the last thing that is on its way may be evidence again, and no byte of ours: nobody would look when it has left */
    bool wire = cczi_wire_pending(p->wire) > 0, plain = ccz_conn_pending(p->plain) > 0;
    if (wire)
        cczi_wire_tell_sent(p->wire);
    if (plain)
        ccz_conn_tell_sent(p->plain);
    if (wire || plain)
        return false;
    ccz_log(CCZ_LOG_DEBUG, "tunnel", "closed map=%s peer=%s bytes_in=%llu bytes_out=%llu",
            p->map->cfg.name, p->peer, (unsigned long long)p->from_peer,
            (unsigned long long)p->to_peer);
    cczi_wire_end(p->wire);
    ccz_conn_end(p->plain, LINGER_MS);
    pair_free(p);
    return true;
}

/* ---------------------------------------------------------------------------------- deadlines */

static void pair_heard(struct cczi_pair *p)
{
    p->moved = true;
    if (p->worker->tunnel->cfg.idle_timeout_ms)
        p->heard_ms = ccz_mono_ms();
}

static void on_deadline(struct cczi_deadline *d)
{
    struct cczi_pair *p = (struct cczi_pair *)((char *)d - offsetof(struct cczi_pair, deadline));
    const struct ccz_tunnel_cfg *cfg = &p->worker->tunnel->cfg;
    struct ccz_err err = {0};
    if (p->state == PAIR_OPEN) {
        int64_t left_ms = cfg->idle_timeout_ms - (ccz_mono_ms() - p->heard_ms);
        if (left_ms > 0 && cczi_deadline_set(&p->worker->deadlines, d, cczi_deadline_ms(left_ms)))
            return;
        (void)ccz_fail(&err, CCZ_E_TIMEOUT, "tunnel:idle", cfg->idle_timeout_ms,
                       "no byte in either direction for %lld ms", (long long)cfg->idle_timeout_ms);
    } else {
        (void)ccz_fail(&err, CCZ_E_TIMEOUT, "tunnel:handshake-timeout", cfg->handshake_timeout_ms,
                       "not attested within %lld ms", (long long)cfg->handshake_timeout_ms);
    }
    pair_fail(p, &err);
}

/* ------------------------------------------------------------------------------ plain -> attested */

static void send_to_peer(struct cczi_pair *p, struct ccz_span data)
{
    p->to_peer += data.size;
    atomic_fetch_add_explicit(&p->worker->tunnel->bytes_out, data.size, memory_order_relaxed);
    cczi_wire_send(p->wire, data);
}

static void on_plain_data(struct ccz_conn *c, void *arg, struct ccz_span data)
{
    struct cczi_pair *p = arg;
    pair_heard(p);
    if (cczi_wire_busy(p->wire)) {
        ccz_buf_put_span(&p->stash, data);
        ccz_conn_pause(c);
        if (p->stash.bad)
            pair_fail_memory(p);
        return;
    }
    send_to_peer(p, data);
    if (!cczi_wire_writable(p->wire))
        ccz_conn_pause(c);
}

/* What waits for the wire goes to it. */
static void push_to_peer(struct cczi_pair *p)
{
    if (p->state != PAIR_OPEN || cczi_wire_busy(p->wire))
        return;
    if (p->stash.size > 0) {
        send_to_peer(p, ccz_buf_span(&p->stash));
        ccz_buf_free(&p->stash);
    }
    if (p->plain_end && !p->end_sent) {
        cczi_wire_send_end(p->wire);
        p->end_sent = true;
    }
    if (!p->plain_end && cczi_wire_writable(p->wire))
        ccz_conn_resume(p->plain);
}

static void on_plain_closed(struct ccz_conn *c, void *arg, const struct ccz_err *err)
{
    (void)c;
    struct cczi_pair *p = arg;
    if (err->rc != CCZ_E_CLOSED) {
        pair_fail(p, err);
        return;
    }
    p->plain_end = true;
    push_to_peer(p);
    (void)pair_done(p);
}

/* ------------------------------------------------------------------------------ attested -> plain */

static void on_wire_plain(void *arg, struct ccz_span data)
{
    struct cczi_pair *p = arg;
    pair_heard(p);
    p->from_peer += data.size;
    atomic_fetch_add_explicit(&p->worker->tunnel->bytes_in, data.size, memory_order_relaxed);
    ccz_rc rc = ccz_conn_write(p->plain, data);
    if (rc != CCZ_OK && rc != CCZ_E_CLOSED) /* that comes by on_plain_closed() */
        pair_fail_memory(p);
    else if (!ccz_conn_writable(p->plain))
        cczi_wire_pause(p->wire);
}

static void on_plain_drained(struct ccz_conn *c, void *arg)
{
    struct cczi_pair *p = arg;
    if (!pair_done(p) && ccz_conn_writable(c))
        cczi_wire_resume(p->wire); /* last: it may end the pair */
}

static void on_wire_end(void *arg)
{
    struct cczi_pair *p = arg;
    p->wire_end = true;
    ccz_conn_shutdown(p->plain); /* on_plain_drained() comes, and sees whether all is over */
}

/* ---------------------------------------------------------------------------------- beginning */

static void pair_open(struct cczi_pair *p)
{
    int64_t idle_ms = p->worker->tunnel->cfg.idle_timeout_ms;
    p->state = PAIR_OPEN;
    p->heard_ms = ccz_mono_ms();
    cczi_deadline_cancel(&p->worker->deadlines, &p->deadline);
    /* without memory for a deadline there is none: the connection is good */
    if (idle_ms &&
        !cczi_deadline_set(&p->worker->deadlines, &p->deadline, cczi_deadline_ms(idle_ms)))
        ccz_log(CCZ_LOG_WARN, "tunnel", "no memory for a deadline map=%s", p->map->cfg.name);
}

/* IN: the server is there. */
static void on_plain_open(struct ccz_conn *c, void *arg)
{
    struct cczi_pair *p = arg;
    pair_open(p);
    if (p->addrs) {
        CCZ_AUTO_BUF head;
        ccz_buf_init(&head, CCZI_PROXY_SIZE_MAX);
        ccz_rc rc = cczi_proxy_put(&head, p->addrs,
                                   p->map->cfg.proxy_v2_short ? NULL : cczi_wire_peer(p->wire));
        if (rc == CCZ_OK)
            rc = ccz_conn_write(c, ccz_buf_span(&head));
        if (rc !=
            CCZ_OK) { /* a server that expects the header must not take bytes of the peer for it */
            struct ccz_err err = {0};
            (void)ccz_fail(&err, rc, "tunnel:proxy", 0, "the PROXY header could not be written");
            pair_fail(p, &err);
            return;
        }
    }
    cczi_wire_resume(p->wire); /* last: it may end the pair */
}

static const struct ccz_conn_ops plain_ops = {.on_open = on_plain_open,
                                              .on_data = on_plain_data,
                                              .on_drained = on_plain_drained,
                                              .on_closed = on_plain_closed};

static struct ccz_conn_cfg plain_cfg(struct cczi_pair *p)
{
    const struct ccz_tunnel_cfg *cfg = &p->worker->tunnel->cfg;
    return (struct ccz_conn_cfg){.ops = &plain_ops,
                                 .arg = p,
                                 .out_high = cfg->buffer_size,
                                 .keepalive = true,
                                 .connect_timeout_ms = cfg->connect_timeout_ms};
}

static void on_wire_ready(void *arg)
{
    struct cczi_pair *p = arg;
    log_open(p);
    stranger_remove(p);
    if (p->map->cfg.side == CCZ_TUNNEL_OUT) {
        pair_open(p);
        ccz_conn_resume(p->plain);
        return;
    }
    struct ccz_err err = {0};
    struct ccz_conn_cfg cfg = plain_cfg(p);
    p->state = PAIR_CONNECTING;
    cczi_deadline_cancel(&p->worker->deadlines, &p->deadline); /* connecting has its own */
    cczi_wire_pause(p->wire);
    if (ccz_conn_connect(&p->plain, p->worker->loop, p->map->cfg.connect, &cfg, &err) != CCZ_OK)
        pair_fail(p, &err);
}

static void on_wire_writable(void *arg)
{
    struct cczi_pair *p = arg;
    push_to_peer(p);
    if (p->state == PAIR_OPEN)
        (void)pair_done(p);
}

static void on_wire_attested(void *arg)
{
    const struct cczi_pair *p = arg;
    ccz_log(CCZ_LOG_DEBUG, "tunnel", "attested again map=%s peer=%s round=%llu", p->map->cfg.name,
            p->peer, (unsigned long long)cczi_wire_peer(p->wire)->rounds);
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void on_wire_closed(void *arg, const struct ccz_err *err)
{
    struct cczi_pair *p = arg;
    if (err->rc == CCZ_E_CLOSED || starts(err->where, "net:") || starts(err->where, "wire:")) {
        /* no connection, or one that ended without saying so */
        pair_fail(p, err);
        return;
    }
    atomic_fetch_add(&p->worker->tunnel->refused, 1);
    log_failure(p, CCZ_LOG_WARN, p->state == PAIR_OPEN ? "cut off" : "refused", err);
    pair_cut(p);
}

static const struct cczi_wire_ops wire_ops = {.on_ready = on_wire_ready,
                                              .on_plain = on_wire_plain,
                                              .on_writable = on_wire_writable,
                                              .on_attested = on_wire_attested,
                                              .on_end = on_wire_end,
                                              .on_closed = on_wire_closed};

/* @p fd goes to one of the two connections, or is closed. */
static ccz_rc pair_start(struct cczi_pair *p, int fd, struct ccz_err *err)
{
    struct cczi_worker *w = p->worker;
    const struct ccz_tunnel_cfg *cfg = &w->tunnel->cfg;
    struct ccz_conn_cfg plain = plain_cfg(p);
    CCZ_AUTO(ccz_ratls_ctx)
    ratls = cczi_map_ratls(p->map); /* the wire has a reference of its own */
    struct cczi_wire_cfg wire = {.loop = w->loop,
                                 .pool = w->tunnel->pool,
                                 .deadlines = &w->deadlines,
                                 .ratls = ratls,
                                 .ops = &wire_ops,
                                 .arg = p,
                                 .scratch = &w->scratch,
                                 .connect_timeout_ms = cfg->connect_timeout_ms,
                                 .out_high = cfg->buffer_size,
                                 .keepalive = true};
    ccz_rc rc;
    if (p->map->cfg.side == CCZ_TUNNEL_OUT) {
        rc = ccz_conn_adopt(&p->plain, w->loop, fd, &plain);
        if (rc == CCZ_OK) {
            ccz_conn_pause(p->plain); /* nobody reads for a peer that is not attested */
            rc = cczi_wire_connect(&p->wire, &wire, p->map->cfg.connect, err);
        }
    } else {
        rc = cczi_wire_accept(&p->wire, &wire, fd);
    }
    if (rc == CCZ_E_NOMEM)
        rc = ccz_fail(err, rc, "tunnel:memory", 0, "out of memory");
    if (rc == CCZ_OK && !cczi_deadline_set(&w->deadlines, &p->deadline,
                                           cczi_deadline_ms(cfg->handshake_timeout_ms)))
        rc = ccz_fail(err, CCZ_E_NOMEM, "tunnel:memory", 0, "out of memory");
    return rc;
}

static struct cczi_pair *pair_new(struct cczi_worker *w, struct cczi_map *map, int fd,
                                  const char *peer)
{
    struct cczi_pair *p = calloc(1, sizeof(*p));
    if (p && map->cfg.proxy_v2) {
        p->addrs = malloc(sizeof(*p->addrs));
        if (!p->addrs) {
            free(p);
            return NULL;
        }
        cczi_proxy_addrs(p->addrs, fd);
    }
    if (!p)
        return NULL;
    p->worker = w;
    p->map = map;
    p->deadline.fn = on_deadline;
    ccz_buf_init(&p->stash, (size_t)8 * CCZ_CONN_READ_SIZE);
    (void)snprintf(p->peer, sizeof(p->peer), "%s", peer);
    p->next = w->first;
    p->link = &w->first;
    if (p->next)
        p->next->link = &p->next;
    w->first = p;
    return p;
}

void cczi_pair_accept(struct cczi_worker *w, struct cczi_map *map, int fd, const char *peer)
{
    struct ccz_err err = {0};
    if (map->cfg.side == CCZ_TUNNEL_IN)
        make_room(w);
    struct cczi_pair *p = pair_new(w, map, fd, peer);
    if (!p) {
        ccz_log(CCZ_LOG_WARN, "tunnel", "failed map=%s peer=%s where=tunnel:memory", map->cfg.name,
                peer);
        close(fd);
        atomic_fetch_add(&w->tunnel->failed, 1);
        atomic_fetch_sub(&w->tunnel->open, 1);
        cczi_worker_left(w);
        return;
    }
    if (map->cfg.side == CCZ_TUNNEL_IN)
        stranger_add(p);
    if (pair_start(p, fd, &err) != CCZ_OK)
        pair_fail(p, &err);
}

void cczi_pairs_cut(struct cczi_worker *w)
{
    while (w->first)
        pair_cut(w->first);
}

void cczi_pairs_trim(struct cczi_worker *w)
{
    for (struct cczi_pair *p = w->first; p; p = p->next) {
        if (p->state == PAIR_OPEN && !p->moved) {
            cczi_wire_trim(p->wire);
            ccz_conn_trim(p->plain);
        }
        p->moved = false;
    }
}
