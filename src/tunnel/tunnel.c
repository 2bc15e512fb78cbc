/* SPDX-License-Identifier: Apache-2.0 */
/* Maps, their ports, and the threads among which connections are spread. */
#define _GNU_SOURCE
#include "tunnel/tunnel_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAPS_MAX = 256,
    THREADS_MAX = 64,
    CONNECTIONS_MAX = 4096,
    STRANGERS_MIN = 16,
    BUFFER_SIZE = 256 << 10,
    BUFFER_SIZE_MIN = 64 << 10,
    CONNECT_MS = 10000,
    HANDSHAKE_MS = 30000,
    POOL_THREADS = 2,
    SCRATCH_SIZE = 256 << 10,
    TRIM_MS = 1000
};

/* -------------------------------------------------------------------------------- connections */

void cczi_worker_left(struct cczi_worker *w)
{
    if (w->draining && !w->first)
        ccz_loop_finish(w->loop); /* last bytes may still be on their way */
}

/* A connection on its way from the thread that accepted it. */
struct handover {
    struct cczi_worker *worker;
    struct cczi_map *map;
    int fd;
    char peer[CCZ_ADDR_TEXT_SIZE];
};

static void take_over(struct cczi_worker *w, struct cczi_map *map, int fd, const char *peer)
{
    if (!w->draining) {
        cczi_pair_accept(w, map, fd, peer);
        return;
    }
    close(fd);
    atomic_fetch_sub(&w->tunnel->open, 1);
}

static void on_handover(void *arg)
{
    struct handover *h = arg;
    take_over(h->worker, h->map, h->fd, h->peer);
    free(h);
}

static void on_accept(void *arg, int fd, const char *peer)
{
    struct cczi_map *map = arg;
    struct ccz_tunnel *t = map->tunnel;
    if (atomic_fetch_add(&t->open, 1) >= t->cfg.connections_max) {
        atomic_fetch_sub(&t->open, 1);
        atomic_fetch_add(&t->limited, 1);
        ccz_log(CCZ_LOG_WARN, "tunnel", "refused map=%s peer=%s where=tunnel:connections limit=%u",
                map->cfg.name, peer, t->cfg.connections_max);
        close(fd);
        return;
    }
    atomic_fetch_add(&t->accepted, 1);
    struct cczi_worker *w = &t->workers[t->next_worker++ % t->workers_len];
    if (w == t->workers) { /* this very thread */
        take_over(w, map, fd, peer);
        return;
    }
    struct handover *h = malloc(sizeof(*h));
    if (h) {
        *h = (struct handover){.worker = w, .map = map, .fd = fd};
        (void)snprintf(h->peer, sizeof(h->peer), "%s", peer);
        if (ccz_loop_post(w->loop, on_handover, h) == CCZ_OK)
            return;
    }
    free(h); /* without memory it is served here */
    take_over(t->workers, map, fd, peer);
}

/* ------------------------------------------------------------------------------------ workers */

static void on_grace_over(void *arg)
{
    struct cczi_worker *w = arg;
    ccz_log(CCZ_LOG_WARN, "tunnel", "stopping: connections are cut after %lld ms",
            (long long)w->grace_ms);
    cczi_pairs_cut(w);
}

static void on_trim(void *arg)
{
    cczi_pairs_trim(arg);
}

static void close_ports(struct ccz_tunnel *t)
{
    for (size_t i = 0; i < t->maps_len; i++) {
        ccz_listener_free(t->maps[i].listener);
        t->maps[i].listener = NULL;
    }
}

static void begin_stop(void *arg)
{
    struct cczi_worker *w = arg;
    if (w == w->tunnel->workers)
        close_ports(w->tunnel);
    w->draining = true;
    /* without memory for the limit there is no time */
    if (w->grace_ms <= 0 || !w->first || !ccz_timer_set(w->stop_timer, w->grace_ms, 0))
        cczi_pairs_cut(w);
    cczi_worker_left(w);
}

static void *run_worker(void *arg)
{
    struct cczi_worker *w = arg;
    struct ccz_err err = {0};
    if (ccz_loop_run(w->loop, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "tunnel", "loop ended", &err);
    return NULL;
}

/* A quarter, but 16 if that is no more than half; and connections are dealt out evenly. */
static unsigned strangers_max(const struct ccz_tunnel_cfg *cfg)
{
    unsigned max = cfg->connections_max / 4, half = cfg->connections_max / 2;
    if (max < STRANGERS_MIN)
        max = half < STRANGERS_MIN ? half : STRANGERS_MIN;
    return max > cfg->threads ? max / cfg->threads : 1;
}

static ccz_rc worker_init(struct cczi_worker *w, struct ccz_tunnel *t, struct ccz_err *err)
{
    w->tunnel = t;
    w->strangers_max = strangers_max(&t->cfg);
    ccz_buf_init(&w->scratch, SCRATCH_SIZE);
    ccz_rc rc = ccz_loop_new(&w->loop, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_deadlines_init(&w->deadlines, w->loop) != CCZ_OK ||
        ccz_timer_new(&w->stop_timer, w->loop, on_grace_over, w) != CCZ_OK ||
        ccz_timer_new(&w->trim_timer, w->loop, on_trim, w) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "tunnel:memory", 0, "out of memory");
    if (!ccz_timer_set(w->trim_timer, TRIM_MS, TRIM_MS))
        return ccz_fail(err, CCZ_E_NOMEM, "tunnel:memory", 0, "out of memory");
    return CCZ_OK;
}

/* The thread has ended or never ran; the pool has ended. */
static void worker_deinit(struct cczi_worker *w)
{
    cczi_pairs_cut(w); /* only if the loop broke down */
    ccz_timer_free(w->stop_timer);
    ccz_timer_free(w->trim_timer);
    cczi_deadlines_deinit(&w->deadlines);
    ccz_loop_free(w->loop);
    ccz_buf_free(&w->scratch);
}

/* ------------------------------------------------------------------------------------- tunnel */

/* @return what is wrong with a context for this map, NULL = nothing */
static const char *misfit(const struct ccz_tunnel_map *m, const struct ccz_ratls_ctx *ctx)
{
    struct ccz_ratls_traits has;
    ccz_ratls_ctx_traits(&has, ctx);
    bool in = m->side == CCZ_TUNNEL_IN;
    return has.server != in ? "a server context is for the side IN, a client context for OUT"
           : !has.attests && !has.appraises ? "a context by which neither side gives evidence"
           : !has.judges && !in             ? "a client context that accepts any server"
           : !has.judges && !m->anyone
               ? "a server context that lets in clients nobody judges, but anyone is not set"
           : has.judges && m->anyone ? "anyone is set, but the context (or side) judges its peers"
                                     : NULL;
}

static const char *check_map(const struct ccz_tunnel_map *m)
{
    if (!m->listen || !m->connect || !m->ratls)
        return "a map needs two addresses and an RA-TLS context";
    if ((unsigned)m->side > CCZ_TUNNEL_IN)
        return "unknown side of a map";
    if (m->proxy_v2_short && !m->proxy_v2)
        return "a short PROXY header was asked for, but no header";
    if (m->proxy_v2 && m->side != CCZ_TUNNEL_IN)
        return "the PROXY header is for servers behind the tunnel, not for the attested side";
    return misfit(m, m->ratls);
}

static ccz_rc check_cfg(const struct ccz_tunnel_cfg *cfg, struct ccz_err *err)
{
    const char *what =
        cfg->maps_len == 0 || cfg->maps_len > MAPS_MAX           ? "needed: 1 to 256 maps"
        : cfg->threads > THREADS_MAX                             ? "at most 64 threads"
        : cfg->buffer_size && cfg->buffer_size < BUFFER_SIZE_MIN ? "buffers of less than 64 KiB"
        : cfg->buffer_size > CCZ_CONN_OUT_SIZE_MAX / 4           ? "buffers above 64 MiB"
        : cfg->connect_timeout_ms < 0 || cfg->handshake_timeout_ms < 0 || cfg->idle_timeout_ms < 0
            ? "negative time"
            : NULL;
    for (size_t i = 0; !what && i < cfg->maps_len; i++)
        what = check_map(&cfg->maps[i]);
    return what ? ccz_fail(err, CCZ_E_ARG, "tunnel:config", 0, "%s", what) : CCZ_OK;
}

static void set_defaults(struct ccz_tunnel_cfg *cfg)
{
    cfg->threads = cfg->threads ? cfg->threads : 1;
    cfg->connections_max = cfg->connections_max ? cfg->connections_max : CONNECTIONS_MAX;
    cfg->buffer_size = cfg->buffer_size ? cfg->buffer_size : BUFFER_SIZE;
    cfg->connect_timeout_ms = cfg->connect_timeout_ms ? cfg->connect_timeout_ms : CONNECT_MS;
    cfg->handshake_timeout_ms =
        cfg->handshake_timeout_ms ? cfg->handshake_timeout_ms : HANDSHAKE_MS;
}

static bool copy_text(const char **text)
{
    *text = strdup(*text);
    return *text != NULL;
}

static ccz_rc map_init(struct cczi_map *m, const struct ccz_tunnel_map *cfg, struct ccz_tunnel *t,
                       struct ccz_err *err)
{
    const char *name = cfg->name ? cfg->name : cfg->listen;
    m->tunnel = t;
    m->cfg = *cfg;
    m->cfg.ratls = ccz_ratls_ctx_ref(cfg->ratls);
    pthread_mutex_init(&m->ratls_lock, NULL);
    m->cfg.name = m->cfg.listen = m->cfg.connect = NULL; /* owned, or not there */
    char escaped[CCZ_ADDR_TEXT_SIZE];
    ccz_escape(escaped, sizeof(escaped), ccz_span_str(name));
    const char *texts[] = {escaped, cfg->listen, cfg->connect};
    bool ok = copy_text(&texts[0]);
    m->cfg.name = ok ? texts[0] : NULL;
    ok = ok && copy_text(&texts[1]);
    m->cfg.listen = ok ? texts[1] : NULL;
    ok = ok && copy_text(&texts[2]);
    m->cfg.connect = ok ? texts[2] : NULL;
    if (!ok)
        return ccz_fail(err, CCZ_E_NOMEM, "tunnel:memory", 0, "out of memory");
    const struct ccz_listen_cfg listen = {
        .address = m->cfg.listen, .on_accept = on_accept, .arg = m};
    ccz_rc rc = ccz_listen(&m->listener, t->workers->loop, &listen, err);
    if (rc == CCZ_OK)
        m->port = ccz_listener_port(m->listener);
    return rc;
}

ccz_rc ccz_tunnel_new(struct ccz_tunnel **out, const struct ccz_tunnel_cfg *cfg,
                      struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_tunnel) t = calloc(1, sizeof(*t));
    if (t) {
        t->cfg = *cfg;
        t->cfg.maps = NULL;
        set_defaults(&t->cfg);
        t->maps = calloc(cfg->maps_len, sizeof(*t->maps));
        t->workers = calloc(t->cfg.threads, sizeof(*t->workers));
    }
    if (!t || !t->maps || !t->workers)
        return ccz_fail(err, CCZ_E_NOMEM, "tunnel:memory", 0, "out of memory");
    for (; rc == CCZ_OK && t->workers_len < t->cfg.threads; t->workers_len++)
        rc = worker_init(&t->workers[t->workers_len], t, err);
    for (; rc == CCZ_OK && t->maps_len < cfg->maps_len; t->maps_len++)
        rc = map_init(&t->maps[t->maps_len], &cfg->maps[t->maps_len], t, err);
    if (rc == CCZ_OK)
        *out = ccz_tunnel_take(&t);
    return rc;
}

ccz_rc ccz_tunnel_start(struct ccz_tunnel *t, struct ccz_err *err)
{
    if (t->running || t->stopped)
        return ccz_fail(err, CCZ_E_ARG, "tunnel:config", 0, "a tunnel starts once");
    ccz_rc rc = cczi_wire_pool_new(&t->pool, POOL_THREADS);
    t->running = true;
    for (unsigned i = 0; rc == CCZ_OK && i < t->workers_len; i++) {
        struct cczi_worker *w = &t->workers[i];
        w->started = pthread_create(&w->thread, NULL, run_worker, w) == 0;
        if (!w->started)
            rc = CCZ_E_NOMEM;
    }
    if (rc == CCZ_OK)
        return CCZ_OK;
    ccz_tunnel_stop(t, 0);
    return ccz_fail(err, rc, "tunnel:threads", 0, "threads cannot be started");
}

uint16_t ccz_tunnel_port(const struct ccz_tunnel *t, size_t i)
{
    return i < t->maps_len ? t->maps[i].port : 0;
}

struct ccz_ratls_ctx *cczi_map_ratls(struct cczi_map *map)
{
    pthread_mutex_lock(&map->ratls_lock);
    struct ccz_ratls_ctx *ctx = ccz_ratls_ctx_ref(map->cfg.ratls);
    pthread_mutex_unlock(&map->ratls_lock);
    return ctx;
}

ccz_rc ccz_tunnel_set_ratls(struct ccz_tunnel *t, size_t i, struct ccz_ratls_ctx *ctx,
                            struct ccz_err *err)
{
    const char *what = i < t->maps_len ? misfit(&t->maps[i].cfg, ctx) : "no such map";
    if (what)
        return ccz_fail(err, CCZ_E_ARG, "tunnel:config", 0, "%s", what);
    struct cczi_map *map = &t->maps[i];
    pthread_mutex_lock(&map->ratls_lock);
    struct ccz_ratls_ctx *old = map->cfg.ratls;
    map->cfg.ratls = ccz_ratls_ctx_ref(ctx);
    pthread_mutex_unlock(&map->ratls_lock);
    ccz_ratls_ctx_free(old);
    return CCZ_OK;
}

void ccz_tunnel_stats(struct ccz_tunnel_stats *out, const struct ccz_tunnel *t)
{
    *out = (struct ccz_tunnel_stats){.accepted = t->accepted,
                                     .refused = t->refused,
                                     .failed = t->failed,
                                     .limited = t->limited,
                                     .open = t->open,
                                     .bytes_in = t->bytes_in,
                                     .bytes_out = t->bytes_out};
}

void ccz_tunnel_stop(struct ccz_tunnel *t, int64_t grace_ms)
{
    if (!t->running)
        return;
    for (unsigned i = t->workers_len; i-- > 0;) { /* the first one last: it hands over to others */
        struct cczi_worker *w = &t->workers[i];
        w->grace_ms = grace_ms;
        /* without memory to tell it, the loop is stopped as it is */
        if (w->started && ccz_loop_post(w->loop, begin_stop, w) != CCZ_OK)
            ccz_loop_stop(w->loop);
    }
    for (unsigned i = 0; i < t->workers_len; i++)
        if (t->workers[i].started)
            pthread_join(t->workers[i].thread, NULL);
    cczi_wire_pool_free(t->pool); /* before the loops that it reports to */
    t->pool = NULL;
    t->running = false;
    t->stopped = true;
}

void ccz_tunnel_free(struct ccz_tunnel *t)
{
    if (!t)
        return;
    ccz_tunnel_stop(t, 0);
    close_ports(t);
    for (size_t i = 0; t->maps && i < t->cfg.maps_len; i++) {
        struct ccz_tunnel_map *m = &t->maps[i].cfg;
        if (m->ratls) { /* map_init() came to it */
            ccz_ratls_ctx_free(m->ratls);
            pthread_mutex_destroy(&t->maps[i].ratls_lock);
        }
        const char *texts[] = {m->name, m->listen, m->connect};
        for (size_t k = 0; k < 3; k++)
            free((void *)(uintptr_t)texts[k]);
    }
    for (unsigned i = 0; t->workers && i < t->cfg.threads; i++)
        if (t->workers[i].tunnel)
            worker_deinit(&t->workers[i]);
    free(t->workers);
    free(t->maps);
    free(t);
}
