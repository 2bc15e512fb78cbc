/* SPDX-License-Identifier: Apache-2.0 */
/* Random factors computed beforehand: a stack under a lock, and a thread that keeps it full. */
#include "paillier/paillier_priv.h"

#include <stdlib.h>
#include <string.h>

struct ccz_paillier_pool {
    struct ccz_paillier_pub *pub;
    size_t capacity;
    uint64_t *w;          /* [capacity][pub->len] */
    pthread_mutex_t lock; /* of what follows */
    size_t len;
    bool stop;
    pthread_cond_t wanted; /* something was taken, or stop */
    bool running;          /* the thread; only its owner looks at it */
    pthread_t thread;
};

ccz_rc ccz_paillier_pool_new(struct ccz_paillier_pool **out, const struct ccz_paillier_pub *pub,
                             size_t capacity, struct ccz_err *err)
{
    *out = NULL;
    struct ccz_paillier_pool *p = calloc(1, sizeof(*p));
    if (!p)
        return cczi_no_memory(err);
    p->w = cczi_resident_new(capacity, pub->len);
    bool lock = p->w && pthread_mutex_init(&p->lock, NULL) == 0;
    if (!lock || pthread_cond_init(&p->wanted, NULL) != 0) {
        if (lock)
            (void)pthread_mutex_destroy(&p->lock);
        free(p->w);
        free(p);
        return cczi_no_memory(err);
    }
    p->pub = cczi_pub_ref(pub);
    p->capacity = capacity;
    *out = p;
    return CCZ_OK;
}

void ccz_paillier_pool_free(struct ccz_paillier_pool *p)
{
    if (!p)
        return;
    if (p->running) {
        (void)pthread_mutex_lock(&p->lock);
        p->stop = true;
        (void)pthread_cond_signal(&p->wanted);
        (void)pthread_mutex_unlock(&p->lock);
        (void)pthread_join(p->thread, NULL);
    }
    cczi_resident_free(p->w, p->capacity, p->pub->len);
    (void)pthread_cond_destroy(&p->wanted);
    (void)pthread_mutex_destroy(&p->lock);
    ccz_paillier_pub_free(p->pub);
    free(p);
}

bool cczi_pool_serves(const struct ccz_paillier_pool *p, const struct ccz_paillier_pub *pub)
{
    return cczi_same_key(p->pub, pub, NULL) == CCZ_OK;
}

size_t ccz_paillier_pool_len(struct ccz_paillier_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    size_t len = p->len;
    (void)pthread_mutex_unlock(&p->lock);
    return len;
}

size_t cczi_pool_take(uint64_t *out, size_t len, struct ccz_paillier_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    size_t taken = len < p->len ? len : p->len, size = 8 * taken * p->pub->len;
    p->len -= taken;
    uint64_t *from = p->w + p->len * p->pub->len;
    if (taken > 0) {
        memcpy(out, from, size);
        ccz_wipe(from, size); /* nothing is handed out twice */
    }
    (void)pthread_cond_signal(&p->wanted);
    (void)pthread_mutex_unlock(&p->lock);
    return taken;
}

/* Puts as many of @p len as there is room for. */
static void put(struct ccz_paillier_pool *p, const uint64_t *w, size_t len)
{
    (void)pthread_mutex_lock(&p->lock);
    size_t room = p->capacity - p->len, take = len < room ? len : room;
    if (take > 0)
        memcpy(p->w + p->len * p->pub->len, w, 8 * take * p->pub->len);
    p->len += take;
    (void)pthread_mutex_unlock(&p->lock);
}

struct work {
    struct ccz_paillier_pool *pool;
    const struct ccz_paillier_enc_cfg *cfg;
};

/* Computed outside the lock. */
static ccz_rc range(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct work *work = arg;
    const struct ccz_paillier_pub *pub = work->pool->pub;
    uint64_t *w = cczi_resident_new(CCZI_PAI_CHUNK, pub->len);
    ccz_rc rc = w ? CCZ_OK : cczi_no_memory(err);
    (void)from;
    for (size_t i = 0; rc == CCZ_OK && i < len; i += CCZI_PAI_CHUNK) {
        size_t n = len - i < CCZI_PAI_CHUNK ? len - i : CCZI_PAI_CHUNK;
        rc = cczi_obfuscators(w, n, pub, work->cfg, err);
        if (rc == CCZ_OK)
            put(work->pool, w, n);
    }
    cczi_resident_free(w, CCZI_PAI_CHUNK, pub->len);
    return rc;
}

ccz_rc ccz_paillier_pool_refill(struct ccz_paillier_pool *p, size_t len,
                                const struct ccz_paillier_enc_cfg *cfg, struct ccz_err *err)
{
    size_t room = p->capacity - ccz_paillier_pool_len(p);
    struct work work = {p, cfg};
    return ccz_parallel(range, &work, len < room ? len : room, CCZI_PAI_CHUNK,
                        cfg ? cfg->threads : 1, err);
}

static void *keep_full(void *arg)
{
    struct ccz_paillier_pool *p = arg;
    struct work work = {p, NULL};
    (void)pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        size_t room = p->capacity - p->len, n = room < CCZI_PAI_CHUNK ? room : CCZI_PAI_CHUNK;
        if (room == 0) {
            (void)pthread_cond_wait(&p->wanted, &p->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&p->lock);
        ccz_rc rc = range(&work, 0, n, NULL);
        (void)pthread_mutex_lock(&p->lock);
        if (rc != CCZ_OK) /* those who encrypt will meet the same error and report it */
            break;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

ccz_rc ccz_paillier_pool_start(struct ccz_paillier_pool *p, struct ccz_err *err)
{
    if (!p->running)
        p->running = pthread_create(&p->thread, NULL, keep_full, p) == 0;
    return p->running ? CCZ_OK
                      : ccz_fail(err, CCZ_E_UNAVAILABLE, "paillier:thread", 0, "cannot start it");
}
