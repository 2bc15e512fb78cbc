/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of keys that recur. */
#include "p256_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    TABLES_MAX = 8,      /* an attestation service meets 3 or 4 issuer keys per kind of platform */
    CANDIDATES_MAX = 32, /* keys whose uses are counted */
    JOBS_MAX = 32,       /* handed on together */
    USES_MIN = 8,        /* making a table costs about as much as 8 verifications with it save */
};

struct known {
    struct cczi_p256_table table;
    struct cczi_p256_point key;
    uint64_t used;   /* clock of the last use */
    unsigned owners; /* jobs that work with it, and the list */
};

struct candidate {
    struct cczi_p256_point key;
    uint64_t used;
    unsigned uses; /* 0: free */
};

static struct {
    pthread_mutex_t lock;
    uint64_t clock, made;
    struct known *known[TABLES_MAX];
    struct candidate candidates[CANDIDATES_MAX];
} memo = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool same(const struct cczi_p256_point *a, const struct cczi_p256_point *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* The entry of @p key, or NULL. Under the lock, as what follows. */
static struct known **find(const struct cczi_p256_point *key)
{
    for (size_t i = 0; i < TABLES_MAX; i++) {
        if (memo.known[i] && same(&memo.known[i]->key, key))
            return &memo.known[i];
    }
    return NULL;
}

static void drop(struct known *k)
{
    if (k && --k->owners == 0)
        free(k);
}

/* The counter of @p key; the one not used for the longest time makes room for a new key. */
static struct candidate *counter(const struct cczi_p256_point *key)
{
    struct candidate *oldest = &memo.candidates[0];
    for (size_t i = 0; i < CANDIDATES_MAX; i++) {
        struct candidate *c = &memo.candidates[i];
        if (c->uses > 0 && same(&c->key, key))
            return c;
        if (c->used < oldest->used)
            oldest = c;
    }
    *oldest = (struct candidate){.key = *key};
    return oldest;
}

/* Counts a use of @p key. @return true if it is time for a table */
static bool count(const struct cczi_p256_point *key)
{
    struct candidate *c = counter(key);
    c->used = ++memo.clock;
    c->uses++;
    if (c->uses < USES_MIN)
        return false;
    *c = (struct candidate){.uses = 0};
    return true;
}

/* Takes over @p k. */
static void insert(struct known *k)
{
    struct known **at = &memo.known[0];
    if (find(&k->key)) { /* another thread was faster */
        drop(k);
        return;
    }
    for (size_t i = 0; i < TABLES_MAX && *at; i++) {
        if (!memo.known[i] || memo.known[i]->used < (*at)->used)
            at = &memo.known[i];
    }
    drop(*at);
    *at = k;
    memo.made++;
    k->used = ++memo.clock;
}

/* ------------------------------------------------------------------------------ verifying */

/* Also gives a table to each key that has one. */
static void acquire(struct known *have[], struct cczi_p256_job *jobs, size_t len)
{
    pthread_mutex_lock(&memo.lock);
    for (size_t i = 0; i < len; i++) {
        struct known **at = find(jobs[i].key);
        have[i] = at ? *at : NULL;
        if (have[i]) {
            have[i]->used = ++memo.clock;
            have[i]->owners++;
        }
        jobs[i].table = have[i] ? &have[i]->table : NULL;
    }
    pthread_mutex_unlock(&memo.lock);
}

/* Gives the tables back and counts uses without one. @return a key that deserves a table, or NULL
 */
static const struct cczi_p256_point *release(struct known *have[], struct cczi_p256_job *jobs,
                                             size_t len)
{
    const struct cczi_p256_point *due = NULL;
    pthread_mutex_lock(&memo.lock);
    for (size_t i = 0; i < len; i++) {
        drop(have[i]);
        jobs[i].table = NULL;
        if (!have[i] && jobs[i].valid && !due && !find(jobs[i].key) && count(jobs[i].key))
            due = jobs[i].key;
    }
    pthread_mutex_unlock(&memo.lock);
    return due;
}

static void verify_some(const struct cczi_p256_engine *engine, struct cczi_p256_job *jobs,
                        size_t len)
{
    struct known *have[JOBS_MAX];
    acquire(have, jobs, len);
    cczi_p256_verify(engine, jobs, len);
    const struct cczi_p256_point *due = release(have, jobs, len);
    struct known *k = due ? aligned_alloc(64, sizeof(*k)) : NULL;
    if (!k) /* without memory there is no table, which only takes longer */
        return;
    k->key = *due;
    k->owners = 1;
    engine->curve->table(&k->table, due); /* not under the lock: others go on meanwhile */
    pthread_mutex_lock(&memo.lock);
    insert(k);
    pthread_mutex_unlock(&memo.lock);
}

void cczi_p256_verify_cached(struct cczi_p256_job *jobs, size_t len)
{
    const struct cczi_p256_engine *engine = cczi_p256_engine();
    for (size_t n; len > 0; jobs += n, len -= n) {
        n = len < JOBS_MAX ? len : JOBS_MAX;
        verify_some(engine, jobs, n);
    }
}

struct cczi_p256_known_stats cczi_p256_known_stats(void)
{
    struct cczi_p256_known_stats s = {0};
    pthread_mutex_lock(&memo.lock);
    s.made = memo.made;
    for (size_t i = 0; i < TABLES_MAX; i++)
        s.tables += memo.known[i] != NULL;
    pthread_mutex_unlock(&memo.lock);
    return s;
}
