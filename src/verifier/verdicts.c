/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key is a digest of the evidence, byte for byte; collateral and roots are those of the snapshot that owns
 * this object. What is left that could change is the time: an entry counts from the second it was made until the
 * first certificate or document behind it expires, and not longer than the maximum age. Everything that the policy
 * says about time is judged again by whoever asks.
 */
#include "verifier/verifier_priv.h"

#include <cczoo/crypto.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 4 };

struct entry {
    uint8_t key[CCZI_VERDICT_KEY_SIZE];
    uint64_t used;           /* tick of the last use; 0 = free */
    int64_t made_s, until_s; /* good at both ends */
    struct ccz_claims claims;
};

/* Sets of WAYS entries; the digest picks the set. */
struct cczi_verdicts {
    pthread_mutex_t lock;
    int64_t max_age_s;
    uint64_t tick, hits;
    size_t sets, len;
    struct entry *entries;
};

ccz_rc cczi_verdicts_new(struct cczi_verdicts **out, size_t max_len, int64_t max_age_s)
{
    *out = NULL;
    struct cczi_verdicts *v = calloc(1, sizeof(*v));
    if (!v)
        return CCZ_E_NOMEM;
    v->max_age_s = max_age_s;
    v->sets = (max_len + WAYS - 1) / WAYS;
    v->entries = calloc(v->sets * WAYS, sizeof(*v->entries));
    if (!v->entries || pthread_mutex_init(&v->lock, NULL) != 0) {
        free(v->entries);
        free(v);
        return CCZ_E_NOMEM;
    }
    *out = v;
    return CCZ_OK;
}

void cczi_verdicts_free(struct cczi_verdicts *v)
{
    if (!v)
        return;
    pthread_mutex_destroy(&v->lock);
    free(v->entries);
    free(v);
}

ccz_rc cczi_verdicts_key(uint8_t key[CCZI_VERDICT_KEY_SIZE], struct ccz_span evidence)
{
    return ccz_sha256(key, evidence);
}

static struct entry *set_of(struct cczi_verdicts *v, const uint8_t key[CCZI_VERDICT_KEY_SIZE])
{
    uint64_t h;
    memcpy(&h, key, sizeof(h));
    return &v->entries[h % v->sets * WAYS];
}

static struct entry *find(struct entry *set, const uint8_t key[CCZI_VERDICT_KEY_SIZE])
{
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].used && memcmp(set[i].key, key, CCZI_VERDICT_KEY_SIZE) == 0)
            return &set[i];
    return NULL;
}

/* Free entries were never used. */
static struct entry *least_used(struct entry *set)
{
    struct entry *least = set;
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].used < least->used)
            least = &set[i];
    return least;
}

bool cczi_verdicts_get(struct ccz_claims *claims, struct cczi_verdicts *v,
                       const uint8_t key[CCZI_VERDICT_KEY_SIZE], int64_t now_s)
{
    pthread_mutex_lock(&v->lock);
    struct entry *e = find(set_of(v, key), key);
    bool good = e && now_s >= e->made_s && now_s <= e->until_s;
    if (good) {
        e->used = ++v->tick;
        v->hits++;
        *claims = e->claims;
    }
    pthread_mutex_unlock(&v->lock);
    return good;
}

void cczi_verdicts_put(struct cczi_verdicts *v, const uint8_t key[CCZI_VERDICT_KEY_SIZE],
                       const struct ccz_claims *claims, int64_t now_s)
{
    int64_t until_s = now_s + v->max_age_s;
    if (until_s > claims->collateral_expires_s)
        until_s = claims->collateral_expires_s;
    pthread_mutex_lock(&v->lock);
    struct entry *set = set_of(v, key), *to = find(set, key);
    if (!to)
        to = least_used(set);
    v->len += to->used == 0;
    memcpy(to->key, key, CCZI_VERDICT_KEY_SIZE);
    to->used = ++v->tick;
    to->made_s = now_s;
    to->until_s = until_s;
    to->claims = *claims;
    pthread_mutex_unlock(&v->lock);
}

void cczi_verdicts_report(struct ccz_buf *out, struct cczi_verdicts *v)
{
    size_t len = 0;
    uint64_t hits = 0;
    if (v) {
        pthread_mutex_lock(&v->lock);
        len = v->len;
        hits = v->hits;
        pthread_mutex_unlock(&v->lock);
    }
    ccz_buf_printf(out, "{\"remembered\":%zu,\"hits\":%llu}", len, (unsigned long long)hits);
}
