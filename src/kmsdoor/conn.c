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
    KEPT_SHARE = 8 /* of the bytes of all, one address may have this part */
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
}

/* ----------------------------------------------------------------------------------- bytes */

/* Who has been sending for longest, of @p addr (NULL = of any). An honest client is through in milliseconds. */
static struct cczi_door_conn *longest(struct ccz_kms_door *d, const struct cczi_rate_addr *addr)
{
    struct cczi_door_conn *found = NULL;
    for (struct cczi_door_conn *c = d->conns; c; c = c->next)
        if (!c->cut && !c->busy && c->kept > KEPT_FREE &&
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

/* The server below keeps what comes until there is a whole request, whatever its route may take and whoever it is. So who is not
 * heard yet is bounded here: each, those of an address, all. */
static void on_bytes(void *arg, size_t size)
{
    struct cczi_door_conn *c = arg, *victim;
    struct ccz_kms_door *d = c->door;
    if (c->cut)
        return;
    bool was_small = c->kept <= KEPT_FREE;
    c->kept += size;
    d->kept += size;
    if (c->kept > d->limits.body_size_max + d->limits.header_size_max + KEPT_FREE) {
        cut(c, CCZI_REFUSED_BYTES); /* requests that do not wait for answers */
        return;
    }
    if (c->kept <= KEPT_FREE)
        return;
    if (was_small)
        c->large_ms = ccz_mono_ms();
    while (kept_from(d, &c->addr) > d->limits.kept_size_max / KEPT_SHARE) {
        victim = longest(d, &c->addr);
        cut(victim ? victim : c, CCZI_REFUSED_BYTES);
        if (!victim || victim == c)
            return;
    }
    while (d->kept > d->limits.kept_size_max) {
        victim = longest(d, NULL);
        cut(victim ? victim : c, CCZI_REFUSED_BYTES);
        if (!victim || victim == c)
            return;
    }
}

struct ssl_st *cczi_door_new_ssl(void *door)
{
    struct ccz_kms_door *d = door;
    struct cczi_door_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    *c = (struct cczi_door_conn){.door = d, .from_ms = ccz_mono_ms()};
    pthread_mutex_lock(&d->tls_lock);
    c->ssl = cczi_web_conn(d->tls, on_freed, c);
    pthread_mutex_unlock(&d->tls_lock);
    if (!c->ssl) {
        free(c);
        return NULL;
    }
    cczi_web_on_bytes(c->ssl, on_bytes);
    c->next = d->conns;
    if (c->next)
        c->next->prev = c;
    d->conns = c;
    d->conns_len++;
    atomic_store(&d->conns_now, d->conns_len);
    atomic_fetch_add(&d->conns_all, 1);
    ccz_timer_set(d->place, 0, 0); /* it has no socket before this returns */
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

/* The loop does handshakes itself, and one is dearer than most requests. Not of the rate of requests: who has used that up may be
 * the one who asks for /healthz. */
static bool may_shake(struct ccz_kms_door *d, const struct cczi_rate_addr *addr, int64_t now_ms)
{
    const struct cczi_rate rate = {d->limits.address_rate, d->limits.address_burst};
    uint32_t wait_s;
    return cczi_rates_take(&wait_s, &d->handshakes, CCZ_SPAN(addr->bytes, sizeof(addr->bytes)),
                           rate, now_ms);
}

void cczi_door_place(void *door)
{
    struct ccz_kms_door *d = door;
    int64_t now_ms = ccz_mono_ms();
    for (struct cczi_door_conn *c = d->conns; c; c = c->next) {
        if (c->placed)
            continue;
        cczi_rate_addr_of_socket(&c->addr, cczi_web_fd(c->ssl));
        if (count_open(d) >= d->limits.connections)
            cut(c, CCZI_REFUSED_CONNECTIONS);
        else if (count_from(d, &c->addr) >= d->limits.per_address)
            cut(c, CCZI_REFUSED_ADDRESS_CONNECTIONS);
        else if (!may_shake(d, &c->addr, now_ms))
            cut(c, CCZI_REFUSED_RATE_HANDSHAKES);
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
    if (!busy) {
        c->door->kept -= c->kept;
        c->kept = 0;
    }
    c->from_ms = ccz_mono_ms();
}
