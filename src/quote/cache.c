/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence that verified before. The key is a digest of every input of cczi_evidence_new(): roots,
 * collateral content (revocation lists included) and the parts of the quote that it reads; so a hit
 * gives what a verification would. Dates are not part of it: verify.c checks them on every call,
 * from the windows kept in the entry.
 */
#include "quote/quote_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 4, CACHE_LEN_MAX = 65536 };

struct entry {
    uint8_t key[CCZI_CACHE_KEY_SIZE];
    struct cczi_evidence *evidence; /* NULL = free */
    uint64_t used;                  /* tick of the last use */
};

/* Sets of WAYS entries; the digest picks the set. */
struct ccz_verify_cache {
    pthread_mutex_t lock;
    uint64_t tick;
    size_t sets;
    struct entry *entries;
};

ccz_rc ccz_verify_cache_new(struct ccz_verify_cache **out, size_t max_len)
{
    *out = NULL;
    if (max_len == 0 || max_len > CACHE_LEN_MAX)
        return CCZ_E_ARG;
    struct ccz_verify_cache *c = calloc(1, sizeof(*c));
    if (!c)
        return CCZ_E_NOMEM;
    c->sets = (max_len + WAYS - 1) / WAYS;
    c->entries = calloc(c->sets * WAYS, sizeof(*c->entries));
    if (!c->entries || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c->entries);
        free(c);
        return CCZ_E_NOMEM;
    }
    *out = c;
    return CCZ_OK;
}

void ccz_verify_cache_free(struct ccz_verify_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->sets * WAYS; i++)
        cczi_evidence_free(c->entries[i].evidence);
    free(c->entries);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

ccz_rc cczi_cache_key(uint8_t key[CCZI_CACHE_KEY_SIZE], const struct ccz_quote *q,
                      const struct ccz_roots *roots, const struct ccz_collateral *collateral)
{
    uint8_t head[1 + 4 + 4 + 2 + 1 + CCZ_ROOTS_MAX * 65] = {0};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, sizeof(head));
    ccz_buf_le16(&b, q->cert_type);
    ccz_buf_le32(&b, (uint32_t)q->cert_data.size); /* the two parts of variable size */
    ccz_buf_le32(&b, (uint32_t)q->qe_auth.size);
    for (size_t i = 0; i < roots->len && i < CCZ_ROOTS_MAX; i++) {
        ccz_buf_put(&b, roots->root[i].xy, sizeof(roots->root[i].xy));
        ccz_buf_u8(&b, roots->root[i].simulated);
    }
    if (b.bad)
        return CCZ_E_NOMEM;
    const struct ccz_span parts[] = {
        ccz_buf_span(&b), CCZ_SPAN(collateral->id, sizeof(collateral->id)),
        q->cert_data,     q->qe_report,
        q->qe_signature,  q->qe_auth,
        q->attest_key,
    };
    return ccz_hash(key, CCZ_SHA256, parts, sizeof(parts) / sizeof(parts[0]));
}

static struct entry *set_of(struct ccz_verify_cache *c, const uint8_t key[CCZI_CACHE_KEY_SIZE])
{
    uint64_t h;
    memcpy(&h, key, sizeof(h));
    return &c->entries[h % c->sets * WAYS];
}

struct cczi_evidence *cczi_cache_get(struct ccz_verify_cache *c,
                                     const uint8_t key[CCZI_CACHE_KEY_SIZE])
{
    struct cczi_evidence *found = NULL;
    pthread_mutex_lock(&c->lock);
    struct entry *set = set_of(c, key);
    for (size_t i = 0; i < WAYS && !found; i++) {
        if (set[i].evidence && memcmp(set[i].key, key, CCZI_CACHE_KEY_SIZE) == 0) {
            set[i].used = ++c->tick;
            found = cczi_evidence_ref(set[i].evidence);
        }
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

void cczi_cache_put(struct ccz_verify_cache *c, const uint8_t key[CCZI_CACHE_KEY_SIZE],
                    struct cczi_evidence *e)
{
    pthread_mutex_lock(&c->lock);
    struct entry *set = set_of(c, key), *to = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].evidence && memcmp(set[i].key, key, CCZI_CACHE_KEY_SIZE) == 0) {
            to = &set[i]; /* another thread was faster */
            break;
        }
        if (set[i].used < to->used) /* free entries were never used */
            to = &set[i];
    }
    struct cczi_evidence *old = to->evidence;
    memcpy(to->key, key, CCZI_CACHE_KEY_SIZE);
    to->evidence = cczi_evidence_ref(e);
    to->used = ++c->tick;
    pthread_mutex_unlock(&c->lock);
    cczi_evidence_free(old);
}
