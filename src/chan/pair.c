/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends in one process: a bounded queue per direction under one lock. */
#define _DEFAULT_SOURCE
#include "base/condwait.h"
#include "base/copy.h"
#include "chan_priv.h"

#include <stdio.h>
#include <stdlib.h>

struct node {
    struct node *next;
    size_t size;
    uint8_t bytes[];
};

/* Messages on their way to one end. */
struct queue {
    struct node *first, **tail;
    size_t size;
};

struct pair;
struct end {
    struct pair *pair;
    struct queue in;
    struct end *peer;
    bool closed;
    char reason[CCZ_ERR_MSG_SIZE];
};

struct pair {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t queue_size_max;
    unsigned refs;
    struct end end[2];
};

static void drop(struct queue *q)
{
    while (q->first) {
        struct node *n = q->first;
        q->first = n->next;
        free(n);
    }
    q->tail = &q->first;
    q->size = 0;
}

static struct node *new_node(const struct ccz_span *parts, size_t len)
{
    struct node *n = malloc(sizeof(*n) + cczi_parts_size(parts, len));
    if (!n)
        return NULL;
    *n = (struct node){0};
    for (size_t i = 0; i < len; i++) {
        cczi_copy(n->bytes + n->size, parts[i].ptr, parts[i].size);
        n->size += parts[i].size;
    }
    return n;
}

/* Why @p e is closed; CCZ_OK if it is not. The lock is held. */
static ccz_rc closed(const struct end *e, struct ccz_err *err)
{
    if (e->closed)
        return ccz_fail(err, CCZ_E_CLOSED, "chan:closed", 0, "this end is closed");
    if (e->peer->closed)
        return ccz_fail(err, CCZ_E_CLOSED, "chan:closed", 1, "%s", e->peer->reason);
    return CCZ_OK;
}

/* An empty queue takes any message (the exchange rule); empty messages need room too. */
static bool full(const struct queue *q, const struct node *n, size_t queue_size_max)
{
    return q->first && q->size + n->size + sizeof(*n) > queue_size_max;
}

static void put(struct queue *q, struct node *n)
{
    *q->tail = n;
    q->tail = &n->next;
    q->size += n->size + sizeof(*n);
}

static ccz_rc pair_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                        struct ccz_err *err)
{
    struct end *e = self;
    struct pair *p = e->pair;
    struct queue *q = &e->peer->in;
    struct node *n = new_node(parts, len);
    if (!n)
        return ccz_fail(err, CCZ_E_NOMEM, "chan:memory", 0, "out of memory");
    int64_t deadline = cczi_deadline_ms(timeout_ms);
    bool time_left = true;
    ccz_rc rc;
    pthread_mutex_lock(&p->lock);
    while ((rc = closed(e, err)) == CCZ_OK && full(q, n, p->queue_size_max) && time_left)
        time_left = cczi_cond_wait(&p->changed, &p->lock, deadline);
    if (rc == CCZ_OK && full(q, n, p->queue_size_max)) {
        rc = ccz_fail(err, CCZ_E_TIMEOUT, "chan:send-timeout", timeout_ms,
                      "the peer did not receive within %lld ms", (long long)timeout_ms);
    } else if (rc == CCZ_OK) {
        put(q, n);
        n = NULL;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    free(n);
    return rc;
}

static ccz_rc pair_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    struct end *e = self;
    struct pair *p = e->pair;
    struct queue *q = &e->in;
    int64_t deadline = cczi_deadline_ms(timeout_ms);
    bool time_left = true;
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&p->lock);
    while (!q->first && (rc = closed(e, err)) == CCZ_OK && time_left)
        time_left = cczi_cond_wait(&p->changed, &p->lock, deadline);
    struct node *n = q->first;
    if (n) {
        q->first = n->next;
        if (!q->first)
            q->tail = &q->first;
        q->size -= n->size + sizeof(*n);
        pthread_cond_broadcast(&p->changed);
        rc = CCZ_OK;
    } else if (rc == CCZ_OK) {
        rc = ccz_fail(err, CCZ_E_TIMEOUT, "chan:recv-timeout", timeout_ms,
                      "the peer did not send within %lld ms", (long long)timeout_ms);
    }
    pthread_mutex_unlock(&p->lock);
    if (n)
        ccz_buf_put(msg, n->bytes, n->size);
    free(n);
    return rc;
}

static void pair_close(void *self, const char *reason)
{
    struct end *e = self;
    pthread_mutex_lock(&e->pair->lock);
    e->closed = true;
    (void)snprintf(e->reason, sizeof(e->reason), "%s", reason);
    drop(&e->in);
    pthread_cond_broadcast(&e->pair->changed);
    pthread_mutex_unlock(&e->pair->lock);
}

static void pair_free(void *self)
{
    struct pair *p = ((struct end *)self)->pair;
    pthread_mutex_lock(&p->lock);
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    drop(&p->end[0].in);
    drop(&p->end[1].in);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static const struct ccz_chan_ops pair_ops = {
    .send = pair_send, .recv = pair_recv, .close = pair_close, .free = pair_free};

ccz_rc ccz_chan_pair(struct ccz_chan **a, struct ccz_chan **b, const struct ccz_chan_pair_cfg *cfg,
                     struct ccz_err *err)
{
    static const struct ccz_chan_pair_cfg defaults;
    *a = *b = NULL;
    if (!cfg)
        cfg = &defaults;
    struct pair *p = calloc(1, sizeof(*p));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "chan:memory", 0, "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    cczi_cond_init(&p->changed);
    p->queue_size_max = cfg->queue_size_max ? cfg->queue_size_max : CCZ_CHAN_QUEUE_SIZE;
    p->refs = 2;
    for (int i = 0; i < 2; i++) {
        p->end[i].pair = p;
        p->end[i].peer = &p->end[1 - i];
        p->end[i].in.tail = &p->end[i].in.first;
    }
    CCZ_AUTO(ccz_chan) first = NULL;
    ccz_rc rc =
        ccz_chan_new(&first, &pair_ops, &p->end[0], cfg->name[0] ? cfg->name[0] : "pair-0", err);
    if (rc != CCZ_OK) {
        pair_free(&p->end[1]);
        return rc;
    }
    rc = ccz_chan_new(b, &pair_ops, &p->end[1], cfg->name[1] ? cfg->name[1] : "pair-1", err);
    if (rc == CCZ_OK)
        *a = ccz_chan_take(&first);
    return rc;
}
