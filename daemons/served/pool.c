/* SPDX-License-Identifier: Apache-2.0 */
#include "served.h"

#include <pthread.h>
#include <stdlib.h>

enum { QUEUE_MAX = 4096, QUEUE_SIZE_MAX = 512 << 20 };

struct job {
    served_job_fn fn;
    void *arg;
    size_t size;
};

struct served_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job queue[QUEUE_MAX]; /* ring */
    size_t first, len;
    size_t size; /* bytes of the requests in it */
    bool stopping;
    unsigned threads_len;
    pthread_t threads[];
};

static void *work(void *arg)
{
    struct served_pool *p = arg;
    for (;;) {
        pthread_mutex_lock(&p->lock);
        while (p->len == 0 && !p->stopping)
            pthread_cond_wait(&p->changed, &p->lock);
        if (p->len == 0) {
            pthread_mutex_unlock(&p->lock);
            return NULL;
        }
        struct job j = p->queue[p->first];
        p->first = (p->first + 1) % QUEUE_MAX;
        p->len--;
        p->size -= j.size;
        pthread_mutex_unlock(&p->lock);
        j.fn(j.arg);
    }
}

ccz_rc served_pool_new(struct served_pool **out, unsigned threads, struct ccz_err *err)
{
    *out = NULL;
    struct served_pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->threads[0]));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "served:pool", 0, "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    for (; p->threads_len < threads; p->threads_len++) {
        int e = pthread_create(&p->threads[p->threads_len], NULL, work, p);
        if (e != 0) {
            served_pool_free(p);
            return ccz_fail(err, CCZ_E_UNAVAILABLE, "served:pool", e,
                            "cannot start a worker thread");
        }
    }
    *out = p;
    return CCZ_OK;
}

bool served_pool_submit(struct served_pool *p, served_job_fn fn, void *job, size_t size)
{
    pthread_mutex_lock(&p->lock);
    bool ok = p->len < QUEUE_MAX && size <= QUEUE_SIZE_MAX - p->size && !p->stopping;
    if (ok) {
        p->queue[(p->first + p->len++) % QUEUE_MAX] = (struct job){fn, job, size};
        p->size += size;
        pthread_cond_signal(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

void served_pool_free(struct served_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads_len; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
