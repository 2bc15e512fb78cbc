/* SPDX-License-Identifier: Apache-2.0 */
/* Helper threads of one work space: they wait for a call, share its items by a counter, and the caller
 * takes part. Without helpers a call is a loop. */
#include "rlwe_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct helper {
    struct cczi_pool *pool;
    size_t number; /* 1 .. */
    pthread_t thread;
};

struct cczi_pool {
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    uint64_t call; /* counts calls; a helper that has seen it sleeps */
    size_t busy;   /* helpers still in this call */
    bool stop;
    void (*fn)(void *arg, size_t i, size_t thread);
    void *arg;
    size_t len;
    atomic_size_t next;
    size_t helpers_len;
    struct helper helpers[];
};

static void take_items(struct cczi_pool *p, size_t thread)
{
    for (size_t i; (i = atomic_fetch_add(&p->next, 1)) < p->len;)
        p->fn(p->arg, i, thread);
}

static void *help(void *arg)
{
    struct helper *h = arg;
    struct cczi_pool *p = h->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->call == seen && !p->stop)
            pthread_cond_wait(&p->start, &p->lock);
        if (p->stop)
            break;
        seen = p->call;
        pthread_mutex_unlock(&p->lock);
        take_items(p, h->number);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

ccz_rc cczi_pool_new(struct cczi_pool **out, size_t threads)
{
    *out = NULL;
    struct cczi_pool *p = calloc(1, sizeof(*p) + (threads - 1) * sizeof(p->helpers[0]));
    if (!p)
        return CCZ_E_NOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    for (size_t i = 0; i + 1 < threads; i++) {
        struct helper *h = &p->helpers[i];
        h->pool = p;
        h->number = i + 1;
        if (pthread_create(&h->thread, NULL, help, h)) {
            cczi_pool_free(p);
            return CCZ_E_UNAVAILABLE;
        }
        p->helpers_len++;
    }
    *out = p;
    return CCZ_OK;
}

void cczi_pool_free(struct cczi_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->helpers_len; i++)
        pthread_join(p->helpers[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void cczi_pool_run(struct cczi_pool *p, size_t len, void (*fn)(void *arg, size_t i, size_t thread),
                   void *arg)
{
    if (p->helpers_len == 0 || len < 2) {
        for (size_t i = 0; i < len; i++)
            fn(arg, i, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->arg = arg;
    p->len = len;
    atomic_store(&p->next, 0);
    p->busy = p->helpers_len;
    p->call++;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    take_items(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->busy)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
