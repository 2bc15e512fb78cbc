/* SPDX-License-Identifier: Apache-2.0 */
/* Accepted peers by the SHA-256 of their certificate, which is all that libgrpc hands on of a handshake. */
#include "grpc_creds_priv.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024, SLOTS = CCZI_PEER_PENDING_S, SLOT_PENDING_MAX = 65536 };

struct cczi_peer_entry {
    struct cczi_peer_entry *next;
    uint8_t cert_sha256[32];
    uint64_t used;
    unsigned pending
        [SLOTS]; /* handshakes that were accepted and have not ended, by the second (modulo) they were */
    int64_t second; /* of the newest slot */
    struct ccz_ratls_peer peer;
};

ccz_rc cczi_peers_init(struct cczi_peers *p, size_t max)
{
    *p = (struct cczi_peers){.max = max};
    p->bucket = calloc(BUCKETS, sizeof(*p->bucket));
    if (!p->bucket)
        return CCZ_E_NOMEM;
    if (pthread_mutex_init(&p->lock, NULL) == 0)
        return CCZ_OK;
    free(p->bucket);
    p->bucket = NULL;
    return CCZ_E_NOMEM;
}

void cczi_peers_deinit(struct cczi_peers *p)
{
    if (!p->bucket)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct cczi_peer_entry *e = p->bucket[i], *next; e; e = next) {
            next = e->next;
            free(e);
        }
    free(p->bucket);
    (void)pthread_mutex_destroy(&p->lock);
}

/* Where the entry stands, or where a new one goes. */
static struct cczi_peer_entry **place_of(struct cczi_peers *p, const uint8_t cert_sha256[32])
{
    size_t i = (size_t)(cert_sha256[0] | cert_sha256[1] << 8) % BUCKETS;
    struct cczi_peer_entry **at = &p->bucket[i];
    while (*at && memcmp((*at)->cert_sha256, cert_sha256, 32) != 0)
        at = &(*at)->next;
    return at;
}

/* Strangers without evidence must not push out peers that have some. */
static bool goes_before(const struct cczi_peer_entry *a, const struct cczi_peer_entry *b)
{
    if (a->peer.attested != b->peer.attested)
        return !a->peer.attested;
    return a->used < b->used;
}

static void evict(struct cczi_peers *p)
{
    struct cczi_peer_entry **victim = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct cczi_peer_entry **at = &p->bucket[i]; *at; at = &(*at)->next)
            if (!victim || goes_before(*at, *victim))
                victim = at;
    if (!victim)
        return;
    struct cczi_peer_entry *gone = *victim;
    *victim = gone->next;
    free(gone);
    p->len--;
}

/* Some handshakes never end: the peer goes away. What they leave must not let a later one pass that nobody judged. */
static void expire(struct cczi_peer_entry *e, int64_t second)
{
    if (second - e->second >= SLOTS)
        memset(e->pending, 0, sizeof(e->pending));
    else
        for (int64_t s = e->second + 1; s <= second; s++)
            e->pending[s % SLOTS] = 0;
    if (second > e->second)
        e->second = second;
}

ccz_rc cczi_peers_accepted(struct cczi_peers *p, const uint8_t cert_sha256[32],
                           const struct ccz_ratls_peer *peer, int64_t now_ms)
{
    ccz_rc rc = CCZ_OK;
    (void)pthread_mutex_lock(&p->lock);
    struct cczi_peer_entry *e = *place_of(p, cert_sha256);
    if (!e) {
        if (p->len >= p->max)
            evict(p);
        e = calloc(1, sizeof(*e));
        if (e) {
            struct cczi_peer_entry **at = place_of(p, cert_sha256);
            memcpy(e->cert_sha256, cert_sha256, 32);
            *at = e;
            p->len++;
        }
    }
    if (e) {
        e->peer = *peer;
        e->used = ++p->clock;
        expire(e, now_ms / 1000);
        unsigned *pending = &e->pending[e->second % SLOTS];
        if (*pending < SLOT_PENDING_MAX)
            (*pending)++;
    } else {
        rc = CCZ_E_NOMEM;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return rc;
}

bool cczi_peers_finish(struct cczi_peers *p, const uint8_t cert_sha256[32], int64_t now_ms)
{
    (void)pthread_mutex_lock(&p->lock);
    struct cczi_peer_entry *e = *place_of(p, cert_sha256);
    bool awaited = false;
    if (e)
        expire(e, now_ms / 1000);
    for (int i = 1; e && !awaited && i <= SLOTS; i++) { /* the oldest: the others have more time */
        unsigned *pending = &e->pending[(e->second + i) % SLOTS];
        awaited = *pending > 0;
        *pending -= awaited;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return awaited;
}

bool cczi_peers_find(struct ccz_ratls_peer *out, struct cczi_peers *p,
                     const uint8_t cert_sha256[32])
{
    (void)pthread_mutex_lock(&p->lock);
    struct cczi_peer_entry *e = *place_of(p, cert_sha256);
    if (e) {
        *out = e->peer;
        e->used = ++p->clock;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return e != NULL;
}
