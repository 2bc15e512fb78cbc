/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: how many, from where, for how long. The HTTP server below counts none and limits only the time between two
 * bytes; a TLS object lives exactly as long as its connection, so counting those is counting connections.
 */
#include "door_priv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    KEPT_FREE =
        32
        << 10, /* of one connection: handshakes and small requests, as many as there may be connections */
    CHAIN_SIZE = 8 << 10, /* what libevent allocates at least: net/http_bound.c */
    LINE_SIZE = 128,      /* what evhttp makes of the shortest line of a header */
    UNREAD_MAX = 8 << 20, /* more than the kernel keeps of one connection */
    KEY_UPDATES_MAX = 16, /* for one request; clients need one after 2^24 records */
    KEPT_SHARE = 8,       /* of the bytes of all, one address may have this part */
    KNOWN_MS = 3600000    /* an address that goes on is noted again so often */
};

/* ------------------------------------------------------------------------------------ life */

static void on_freed(void *arg)
{
    struct cczi_door_conn *c = arg;
    struct ccz_kms_door *d = c->door;
    if (c->prev)
        c->prev->next = c->next;
    else
        d->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    d->conns_len--;
    d->kept -= c->kept;
    atomic_store(&d->conns_now, d->conns_len);
    free(c);
}

/* What has come already would still be read: a handshake and its work, or what there is no room for. */
static void forget_unread(int fd)
{
    char junk[16384];
    size_t all = 0;
    for (ssize_t n; all < UNREAD_MAX && (n = recv(fd, junk, sizeof(junk), MSG_DONTWAIT)) > 0;)
        all += (size_t)n;
}

/* The server below notices, and frees it. */
static void cut(struct cczi_door_conn *c, enum cczi_door_refusal why)
{
    int fd = cczi_web_fd(c->ssl);
    if (c->cut || fd < 0)
        return;
    c->cut = true;
    c->door->kept -= c->kept;
    c->kept = 0;
    cczi_door_refused(c->door, why);
    (void)shutdown(fd, SHUT_RDWR);
    forget_unread(fd);
}

/* ---------------------------------------------------------------------------------- memory */

/* Who has been sending, or taking its answer, for longest, of @p addr (NULL = of any), but for @p spared. An honest client is
 * through in milliseconds. */
static struct cczi_door_conn *longest(struct ccz_kms_door *d, const struct cczi_rate_addr *addr,
                                      const struct cczi_door_conn *spared)
{
    struct cczi_door_conn *found = NULL;
    for (struct cczi_door_conn *c = d->conns; c; c = c->next)
        if (!c->cut && !c->busy && c != spared && c->kept > KEPT_FREE &&
            (!addr || memcmp(&c->addr, addr, sizeof(*addr)) == 0) &&
            (!found || c->large_ms <= found->large_ms)) /* newer ones are first in the list */
            found = c;
    return found;
}

static size_t kept_from(const struct ccz_kms_door *d, const struct cczi_rate_addr *addr)
{
    size_t n = 0;
    for (const struct cczi_door_conn *c = d->conns; c; c = c->next)
        n += memcmp(&c->addr, addr, sizeof(*addr)) == 0 ? c->kept : 0;
    return n;
}

/* @param spared  is not cut: an answer alone may be larger than what an address has */
static void make_room(struct cczi_door_conn *c, const struct cczi_door_conn *spared)
{
    struct ccz_kms_door *d = c->door;
    struct cczi_door_conn *victim = c;
    while (!c->cut && victim && kept_from(d, &c->addr) > d->limits.kept_size_max / KEPT_SHARE) {
        victim = longest(d, &c->addr, spared);
        if (victim || !spared)
            cut(victim ? victim : c, CCZI_REFUSED_BYTES);
    }
    victim = c;
    while (!c->cut && victim && d->kept > d->limits.kept_size_max) {
        victim = longest(d, NULL, spared);
        if (victim || !spared)
            cut(victim ? victim : c, CCZI_REFUSED_BYTES);
    }
}

static void set_kept(struct cczi_door_conn *c, size_t size)
{
    if (c->kept <= KEPT_FREE && size > KEPT_FREE)
        c->large_ms = ccz_mono_ms();
    c->door->kept = c->door->kept - c->kept + size;
    c->kept = size;
}

/* The server below keeps what comes until there is a whole request, whatever its route may take and whoever it is. So who is not
 * heard yet is bounded here: each, those of an address, all. */
static void take_in(struct cczi_door_conn *c, size_t size)
{
    const struct ccz_kms_door_limits *l = &c->door->limits;
    set_kept(c, c->kept + size);
    /* with room for chunks of 4 KiB, of which each line and each end counts; those of a few bytes each are nobody's who means well */
    if (c->kept > 2 * l->body_size_max + l->body_size_max / 8 + l->header_size_max + KEPT_FREE)
        cut(c, CCZI_REFUSED_BYTES); /* or requests that do not wait for answers */
    else if (c->kept > KEPT_FREE)
        make_room(c, NULL);
}

/* Of the handshake, which the server below sees nothing of. */
static void on_record(void *arg, size_t size)
{
    struct cczi_door_conn *c = arg;
    if (!c->cut && !c->heard)
        take_in(c, size);
}

/* Work for us and no bytes for the server below. */
static void on_key_update(void *arg)
{
    struct cczi_door_conn *c = arg;
    if (!c->cut && ++c->key_updates > KEY_UPDATES_MAX)
        cut(c, CCZI_REFUSED_BYTES);
}

/* Memory, not bytes: libevent takes a whole chain for what comes into an empty buffer, and evhttp takes that over with the one byte
 * of a chunk in it. What it takes out by lines becomes a header each, of many times the size of the line. */
static void on_input(struct ccz_http_counter *counter, size_t before, size_t now)
{
    struct cczi_door_conn *c = (struct cczi_door_conn *)counter; /* its first member */
    size_t more = now > before ? now - before : 0;
    c->heard = true;
    c->input = now;
    if (before == 0)
        c->room = 0;
    size_t fits = more < c->room ? more : c->room;
    c->room -= fits;
    more -= fits;
    if (c->cut)
        return;
    if (now < before) /* the text of a line, then its end */
        take_in(c, LINE_SIZE / 2);
    if (more == 0)
        return;
    size_t chains = (more + CHAIN_SIZE - 1) / CHAIN_SIZE * CHAIN_SIZE;
    c->room = chains - more;
    take_in(c, chains);
}

static void on_output(struct ccz_http_counter *counter, size_t now)
{
    struct cczi_door_conn *c = (struct cczi_door_conn *)counter;
    size_t before = c->output;
    c->output = now;
    if (c->cut)
        return;
    set_kept(c, c->kept - before + now);
    if (now > before && c->kept > KEPT_FREE)
        make_room(c, c);
}

struct ccz_http_counter *cczi_door_counter_of(struct ssl_st *ssl)
{
    struct cczi_door_conn *c = cczi_web_conn_arg(ssl);
    return c ? &c->counter : NULL;
}

/* ------------------------------------------------------------------------------------ place */

struct ssl_st *cczi_door_new_ssl(void *door)
{
    struct ccz_kms_door *d = door;
    struct cczi_door_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    *c = (struct cczi_door_conn){
        .counter = {on_input, on_output}, .door = d, .from_ms = ccz_mono_ms()};
    pthread_mutex_lock(&d->tls_lock);
    c->ssl = cczi_web_conn(d->tls, on_freed, c);
    pthread_mutex_unlock(&d->tls_lock);
    if (!c->ssl) {
        free(c);
        return NULL;
    }
    cczi_web_watch(c->ssl, &(struct cczi_web_watch){on_record, on_key_update});
    c->next = d->conns;
    if (c->next)
        c->next->prev = c;
    d->conns = c;
    d->conns_len++;
    atomic_store(&d->conns_now, d->conns_len);
    atomic_fetch_add(&d->conns_all, 1);
    ccz_timer_now(d->place); /* it has no socket before this returns */
    return c->ssl;
}

static uint32_t count_from(const struct ccz_kms_door *d, const struct cczi_rate_addr *addr)
{
    uint32_t n = 0;
    for (const struct cczi_door_conn *c = d->conns; c; c = c->next)
        n += c->placed && !c->cut && memcmp(&c->addr, addr, sizeof(*addr)) == 0;
    return n;
}

static uint32_t count_open(const struct ccz_kms_door *d)
{
    uint32_t n = 0;
    for (const struct cczi_door_conn *c = d->conns; c; c = c->next)
        n += c->placed && !c->cut;
    return n;
}

void cczi_door_conn_known(const struct cczi_door_req *r)
{
    const struct ssl_st *ssl = ccz_http_ssl(r->http);
    struct cczi_door_conn *c = ssl ? cczi_web_conn_arg(ssl) : NULL;
    int64_t now_ms = ccz_mono_ms();
    if (!c || (c->known_ms && now_ms - c->known_ms < KNOWN_MS))
        return;
    c->known_ms = now_ms;
    cczi_shakes_known(&r->door->shakes, &c->addr, now_ms);
}

/* The loop does handshakes itself, and one is dearer than most requests. Not of the rate of requests: who has used that up may be
 * the one who asks for /healthz. By address first, so that one alone does not use up what there is for all; there are more
 * addresses (a /48 has 65,536) than the loop can serve, so a quarter is for those from which somebody known came. */
static bool may_shake(struct ccz_kms_door *d, const struct cczi_rate_addr *addr, int64_t now_ms)
{
    const struct ccz_kms_door_limits *l = &d->limits;
    uint32_t wait_s;
    return cczi_rates_take(&wait_s, &d->handshakes, CCZ_SPAN(addr->bytes, sizeof(addr->bytes)),
                           (struct cczi_rate){l->address_rate, l->address_burst}, now_ms) &&
           cczi_shakes_take(&wait_s, &d->shakes, addr, now_ms);
}

/* What a connection that waits for no answer does. */
enum doing {
    NEW = 1,   /* nothing came after its handshake */
    QUIET = 2, /* nothing came or is on its way since its last answer */
    AT_WORK = 4
};

static enum doing doing(const struct cczi_door_conn *c)
{
    return !c->heard ? NEW : c->kept == 0 ? QUIET : AT_WORK;
}

/* Whose last answer, or beginning, is longest ago, of those that do one of @p what, of @p addr (NULL = of any). */
static struct cczi_door_conn *idle_longest(struct ccz_kms_door *d,
                                           const struct cczi_rate_addr *addr, unsigned what)
{
    struct cczi_door_conn *found = NULL;
    for (struct cczi_door_conn *c = d->conns; c; c = c->next)
        if (c->placed && !c->cut && !c->busy && (doing(c) & what) &&
            (!addr || memcmp(&c->addr, addr, sizeof(*addr)) == 0) &&
            (!found || c->from_ms <= found->from_ms)) /* newer ones are first in the list */
            found = c;
    return found;
}

static uint32_t count_new(const struct ccz_kms_door *d)
{
    uint32_t n = 0;
    for (const struct cczi_door_conn *c = d->conns; c; c = c->next)
        n += c->placed && !c->cut && doing(c) == NEW;
    return n;
}

/* Places are for those who use them: a few addresses that keep all of them open, idle, would keep everybody else out. Of the
 * newcomer's own address first, so that nobody gains by coming again. Those who have said nothing yet have half of the places, or
 * as many addresses as it takes, which only connect, would displace everybody who is at work. */
static void make_place(struct cczi_door_conn *c)
{
    struct ccz_kms_door *d = c->door;
    if (count_open(d) < d->limits.connections)
        return;
    struct cczi_door_conn *victim = idle_longest(d, &c->addr, NEW | QUIET);
    if (!victim)
        victim = idle_longest(d, NULL, count_new(d) >= d->limits.connections / 2 ? NEW : QUIET);
    if (!victim)
        victim = idle_longest(d, NULL, NEW | QUIET | AT_WORK);
    cut(victim ? victim : c, CCZI_REFUSED_CONNECTIONS);
}

void cczi_door_place(void *door)
{
    struct ccz_kms_door *d = door;
    int64_t now_ms = ccz_mono_ms();
    for (struct cczi_door_conn *c = d->conns; c; c = c->next) {
        if (c->placed)
            continue;
        cczi_rate_addr_of_socket(&c->addr, cczi_web_fd(c->ssl));
        if (count_from(d, &c->addr) >= d->limits.per_address)
            cut(c, CCZI_REFUSED_ADDRESS_CONNECTIONS);
        else if (!may_shake(d, &c->addr, now_ms))
            cut(c, CCZI_REFUSED_RATE_HANDSHAKES);
        else
            make_place(c);
        c->placed = true;
    }
}

void cczi_door_sweep(struct ccz_kms_door *d, int64_t now_ms)
{
    for (struct cczi_door_conn *c = d->conns; c; c = c->next)
        if (!c->busy && now_ms - c->from_ms > d->limits.request_ms)
            cut(c, CCZI_REFUSED_SLOW);
}

void cczi_door_conn_busy(const struct cczi_door_req *r, bool busy)
{
    const struct ssl_st *ssl = ccz_http_ssl(r->http);
    struct cczi_door_conn *c = ssl ? cczi_web_conn_arg(ssl) : NULL;
    if (!c)
        return;
    c->busy = busy;
    c->key_updates = 0;
    if (!busy && !c->cut) /* what is left belongs to the next requests */
        set_kept(c, c->input + c->output);
    c->from_ms = ccz_mono_ms();
}
