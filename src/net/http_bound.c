/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See http_bound.h. evhttp does not say when a connection of its ends; it takes its callbacks off the bufferevent then, so a
 * reference of ours keeps the object until we have seen that.
 */
#define _GNU_SOURCE
#include "net/http_bound.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECTIONS_MAX = 1024,
    REQUEST_MS = 120000,
    SWEEP_MS = 100,        /* how long the descriptor of an ended connection stays open at most */
    KEPT_FREE = 32 << 10,  /* of one connection: small requests are always taken in */
    KEPT_SIZE = 256 << 20, /* of all */
    CHAIN_SIZE =
        8
        << 10, /* what libevent allocates for bytes that come into an empty buffer; evhttp takes it over whole */
    LINE_SIZE = 128, /* what evhttp makes of the shortest line of a header */
    SHARES = 2,      /* one address may have this part of bytes and connections */
    BUCKETS = 256
};

/* An IPv4 address, or an IPv6 /64; zeroed: none (unix sockets). */
struct source {
    uint8_t family, bytes[8];
};

struct cczi_http_conn {
    struct cczi_http_conn *prev, *next, *next_in_bucket;
    struct cczi_http_bound *bound;
    struct bufferevent *bev; /* ours, one reference */
    struct source source;
    bool placed, busy, cut, closed;
    size_t kept;     /* memory of what came since its last answer was sent, and of the answer */
    int64_t from_ms; /* when its request, handshake or answer began; 0 = none has */
    int64_t large_ms;
};

struct cczi_http_bound {
    unsigned connections_max, address_max;
    size_t kept_max, one_max;
    int64_t request_ms;
    struct event *work, *sweep;
    struct cczi_http_conn *first, *buckets[BUCKETS];
    unsigned len;
    size_t kept;
    atomic_size_t kept_now, len_now; /* the same for other threads */
    atomic_uint_fast64_t refused[4];
};
enum { REFUSED_CONNECTIONS, REFUSED_ADDRESS, REFUSED_SIZE, REFUSED_SLOW };
static const char *const reasons[] = {"connections", "address-connections", "size", "slow"};

/* ---------------------------------------------------------------------------------- counting */

static struct cczi_http_conn **bucket_of(struct cczi_http_bound *b, const struct bufferevent *bev)
{
    return &b->buckets[((uintptr_t)bev >> 6) % BUCKETS];
}

static void set_kept(struct cczi_http_conn *c, size_t size)
{
    struct cczi_http_bound *b = c->bound;
    b->kept = b->kept - c->kept + size;
    c->kept = size;
    atomic_store(&b->kept_now, b->kept);
}

static bool same(const struct source *a, const struct source *b)
{
    return a->family && memcmp(a, b, sizeof(*a)) == 0;
}

static void source_of(struct source *out, evutil_socket_t fd)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof(ss);
    *out = (struct source){0};
    if (getpeername(fd, (struct sockaddr *)&ss, &size) != 0)
        return;
    if (ss.ss_family == AF_INET) {
        memcpy(out->bytes, &((struct sockaddr_in *)&ss)->sin_addr, 4);
        out->family = 4;
    } else if (ss.ss_family == AF_INET6) {
        const struct in6_addr *a = &((struct sockaddr_in6 *)&ss)->sin6_addr;
        const bool mapped = IN6_IS_ADDR_V4MAPPED(a);
        memcpy(out->bytes, a->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
        out->family = mapped ? 4 : 6;
    }
}

/* Marks it: it is closed by on_work(), since this may be inside one of its own callbacks. */
static void cut(struct cczi_http_conn *c, unsigned why)
{
    struct cczi_http_bound *b = c->bound;
    if (c->cut)
        return;
    c->cut = true;
    set_kept(c, 0);
    if (atomic_fetch_add(&b->refused[why], 1) % 1000 == 0) /* the others are in the counters */
        ccz_log(CCZ_LOG_WARN, "net", "http connection refused=%s connections=%u kept=%zu",
                reasons[why], b->len, b->kept);
    event_active(b->work, EV_TIMEOUT, 0);
}

/* Who has been sending for longest, of @p source (NULL = of any): an honest client is through in no time. */
static struct cczi_http_conn *longest(const struct cczi_http_bound *b, const struct source *source)
{
    struct cczi_http_conn *found = NULL;
    for (struct cczi_http_conn *c = b->first; c; c = c->next)
        if (!c->cut && !c->busy && c->kept > KEPT_FREE && (!source || same(&c->source, source)) &&
            (!found || c->large_ms <= found->large_ms)) /* newer ones are first in the list */
            found = c;
    return found;
}

static size_t kept_from(const struct cczi_http_bound *b, const struct source *source)
{
    size_t n = 0;
    for (const struct cczi_http_conn *c = b->first; c; c = c->next)
        n += same(&c->source, source) ? c->kept : 0;
    return n;
}

static void make_room(struct cczi_http_conn *c)
{
    struct cczi_http_bound *b = c->bound;
    while (!c->cut && b->kept > b->kept_max / SHARES &&
           kept_from(b, &c->source) > b->kept_max / SHARES) {
        struct cczi_http_conn *victim = longest(b, &c->source);
        cut(victim ? victim : c, REFUSED_SIZE);
    }
    while (!c->cut && b->kept > b->kept_max) {
        struct cczi_http_conn *victim = longest(b, NULL);
        cut(victim ? victim : c, REFUSED_SIZE);
    }
}

static void grown(struct cczi_http_conn *c, bool was_small, int64_t now_ms)
{
    if (c->kept <= KEPT_FREE)
        return;
    if (was_small)
        c->large_ms = now_ms;
    make_room(c);
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct cczi_http_conn *c = arg;
    (void)input;
    if (c->cut)
        return;
    const bool was_small = c->kept <= KEPT_FREE;
    const int64_t now_ms = ccz_mono_ms();
    /* memory, not bytes: a body of chunks of one byte, each in a packet of its own, takes thousands of times its size; and of
     * lines, which are taken out as text and end, headers become */
    size_t more = info->n_deleted ? LINE_SIZE / 2 : 0;
    if (info->n_added)
        more += info->orig_size == 0 && info->n_added < CHAIN_SIZE ? CHAIN_SIZE : info->n_added;
    set_kept(c, c->kept + more);
    if (!c->from_ms && info->n_added)
        c->from_ms = now_ms;
    if (c->kept >
        c->bound->one_max) /* more than a request: of chunks that say nothing, or behind it */
        cut(c, REFUSED_SIZE);
    grown(c, was_small, now_ms);
}

/* ---------------------------------------------------------------------------------- closing */

static bool is_dead(struct cczi_http_conn *c)
{
    bufferevent_data_cb on_read, on_write;
    bufferevent_event_cb on_event;
    void *arg;
    bufferevent_getcb(c->bev, &on_read, &on_write, &on_event, &arg);
    return !on_event;
}

static void forget(struct cczi_http_conn *c)
{
    struct cczi_http_bound *b = c->bound;
    struct cczi_http_conn **at = bucket_of(b, c->bev);
    while (*at != c)
        at = &(*at)->next_in_bucket;
    *at = c->next_in_bucket;
    *(c->prev ? &c->prev->next : &b->first) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    set_kept(c, 0);
    b->len--;
    atomic_store(&b->len_now, b->len);
    evbuffer_remove_cb(bufferevent_get_input(c->bev), on_input, c);
    (void)bufferevent_decref(c->bev);
    free(c);
}

static void forget_dead(struct cczi_http_bound *b)
{
    for (struct cczi_http_conn *c = b->first, *next; c; c = next) {
        next = c->next;
        if (c->placed && is_dead(c))
            forget(c);
    }
}

static void place(struct cczi_http_conn *c)
{
    struct cczi_http_bound *b = c->bound;
    unsigned all = 0, of_source = 0;
    c->placed = true;
    source_of(&c->source, bufferevent_getfd(c->bev));
    for (const struct cczi_http_conn *o = b->first; o; o = o->next) {
        all += o->placed && !o->cut;
        of_source += o->placed && !o->cut && same(&o->source, &c->source);
    }
    if (all > b->connections_max) /* it is one of them */
        cut(c, REFUSED_CONNECTIONS);
    else if (of_source > b->address_max)
        cut(c, REFUSED_ADDRESS);
}

static void on_work(evutil_socket_t fd, short what, void *arg)
{
    struct cczi_http_bound *b = arg;
    struct cczi_sigpipe sigpipe; /* TLS connections say good-bye */
    (void)fd;
    (void)what;
    forget_dead(b); /* they must not take a place from those that come */
    for (struct cczi_http_conn *c = b->first; c; c = c->next)
        if (!c->placed)
            place(c);
    cczi_sigpipe_block(&sigpipe);
    for (struct cczi_http_conn *c = b->first; c; c = c->next) {
        if (!c->cut || c->closed)
            continue;
        c->closed = true;
        /* evhttp believes that the peer has broken it, and frees what it has */
        bufferevent_trigger_event(c->bev, BEV_EVENT_READING | BEV_EVENT_ERROR, 0);
    }
    cczi_sigpipe_restore(&sigpipe);
    forget_dead(b);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct cczi_http_bound *b = arg;
    const int64_t now_ms = ccz_mono_ms();
    (void)fd;
    (void)what;
    forget_dead(b);
    for (struct cczi_http_conn *c = b->first; c; c = c->next)
        if (!c->busy && c->from_ms && now_ms - c->from_ms > b->request_ms)
            cut(c, REFUSED_SLOW);
    if (!b->first)
        event_del(b->sweep);
}

/* ------------------------------------------------------------------------------------ object */

static void set_limits(struct cczi_http_bound *b, const struct ccz_http_server_cfg *cfg)
{
    const size_t header = cfg->header_size_max ? cfg->header_size_max : CCZ_HTTP_HEADER_SIZE_MAX;
    const size_t body = cfg->body_size_max ? cfg->body_size_max : CCZ_HTTP_BODY_SIZE_MAX;
    b->connections_max = cfg->connections_max ? cfg->connections_max : CONNECTIONS_MAX;
    b->address_max = cfg->address_connections_max ? cfg->address_connections_max
                     : b->connections_max > 1     ? b->connections_max / SHARES
                                                  : 1;
    /* with room for chunks of 4 KiB, of which each line and each end counts; those of a few bytes each are nobody's who means well */
    b->one_max = body < SIZE_MAX / 4 ? 2 * body + body / 8 + header + KEPT_FREE : SIZE_MAX / 2;
    b->kept_max = cfg->kept_size_max ? cfg->kept_size_max : KEPT_SIZE;
    if (b->kept_max / SHARES < body) /* the largest must be possible */
        b->kept_max = body < SIZE_MAX / SHARES / 2 ? SHARES * (body + header) : SIZE_MAX / 2;
    b->request_ms = cfg->request_timeout_ms > 0 ? cfg->request_timeout_ms : REQUEST_MS;
}

struct cczi_http_bound *cczi_http_bound_new(struct event_base *base,
                                            const struct ccz_http_server_cfg *cfg)
{
    struct cczi_http_bound *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    set_limits(b, cfg);
    b->work = event_new(base, -1, 0, on_work, b);
    b->sweep = event_new(base, -1, EV_PERSIST, on_sweep, b);
    if (b->work && b->sweep)
        return b;
    cczi_http_bound_free(b);
    return NULL;
}

void cczi_http_bound_free(struct cczi_http_bound *b)
{
    if (!b)
        return;
    while (b->first)
        forget(b->first);
    if (b->work)
        event_free(b->work);
    if (b->sweep)
        event_free(b->sweep);
    free(b);
}

bool cczi_http_bound_add(struct cczi_http_bound *b, struct bufferevent *bev, bool refused)
{
    const struct timeval period = cczi_timeval(SWEEP_MS);
    struct cczi_http_conn *c = calloc(1, sizeof(*c));
    if (!c || !evbuffer_add_cb(bufferevent_get_input(bev), on_input, c)) {
        free(c);
        return false;
    }
    bufferevent_incref(bev);
    struct cczi_http_conn **bucket = bucket_of(b, bev);
    *c = (struct cczi_http_conn){.bound = b,
                                 .bev = bev,
                                 .next = b->first,
                                 .next_in_bucket = *bucket,
                                 .cut = refused,
                                 .from_ms = ccz_mono_ms()};
    *bucket = c;
    if (c->next)
        c->next->prev = c;
    b->first = c;
    b->len++;
    atomic_store(&b->len_now, b->len);
    event_active(b->work, EV_TIMEOUT, 0); /* it has no socket before this returns */
    if (!evtimer_pending(b->sweep, NULL))
        evtimer_add(b->sweep, &period);
    return true;
}

struct cczi_http_conn *cczi_http_bound_find(struct cczi_http_bound *b,
                                            const struct bufferevent *bev)
{
    struct cczi_http_conn *c = *bucket_of(b, bev);
    while (c && c->bev != bev)
        c = c->next_in_bucket;
    return c;
}

void cczi_http_conn_busy(struct cczi_http_conn *c)
{
    if (c)
        c->busy = true;
}

void cczi_http_conn_answers(struct cczi_http_conn *c, size_t size)
{
    if (!c || c->cut)
        return;
    const bool was_small = c->kept <= KEPT_FREE;
    c->busy = false;
    c->from_ms = ccz_mono_ms();
    set_kept(c, c->kept + size);
    grown(c, was_small, c->from_ms);
}

void cczi_http_conn_idle(struct cczi_http_conn *c)
{
    if (!c)
        return;
    c->busy = false;
    const size_t more = evbuffer_get_length(bufferevent_get_input(c->bev));
    set_kept(c, more);
    c->from_ms = more ? ccz_mono_ms() : 0;
}

void cczi_http_bound_stats(struct ccz_http_server_stats *out, const struct cczi_http_bound *b)
{
    *out = (struct ccz_http_server_stats){
        .connections = atomic_load(&b->len_now),
        .kept_size = atomic_load(&b->kept_now),
        .refused_connections = atomic_load(&b->refused[REFUSED_CONNECTIONS]),
        .refused_address = atomic_load(&b->refused[REFUSED_ADDRESS]),
        .refused_size = atomic_load(&b->refused[REFUSED_SIZE]),
        .refused_slow = atomic_load(&b->refused[REFUSED_SLOW]),
    };
}
