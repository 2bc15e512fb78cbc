/* SPDX-License-Identifier: Apache-2.0 */
/* A few threads for work that may block: making and appraising evidence. */
#include "wire.h"

#include <pthread.h>
#include <stdlib.h>

struct cczi_wire_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct cczi_job *first, **tail;
    bool stop;
    unsigned len;
    pthread_t thread[];
};

static struct cczi_job *take(struct cczi_wire_pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->first && !p->stop)
        pthread_cond_wait(&p->work, &p->lock);
    struct cczi_job *job = p->first;
    if (job) {
        p->first = job->next;
        if (!p->first)
            p->tail = &p->first;
    }
    pthread_mutex_unlock(&p->lock);
    return job;
}

static void *run(void *arg)
{
    for (struct cczi_job *job; (job = take(arg)) != NULL;)
        job->run(job);
    return NULL;
}

ccz_rc cczi_wire_pool_new(struct cczi_wire_pool **out, unsigned threads)
{
    *out = NULL;
    struct cczi_wire_pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->thread[0]));
    if (!p)
        return CCZ_E_NOMEM;
    p->tail = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    while (p->len < threads && pthread_create(&p->thread[p->len], NULL, run, p) == 0)
        p->len++;
    if (p->len == 0) {
        cczi_wire_pool_free(p);
        return CCZ_E_NOMEM;
    }
    *out = p;
    return CCZ_OK;
}

void cczi_wire_pool_free(struct cczi_wire_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->len; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void cczi_wire_pool_submit(struct cczi_wire_pool *p, struct cczi_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&p->lock);
    *p->tail = job;
    p->tail = &job->next;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}
