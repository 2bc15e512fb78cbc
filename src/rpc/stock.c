/* SPDX-License-Identifier: Apache-2.0 */
/* Large blocks of memory between two uses. */
#include "rpc_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { BLOCKS_MAX = 16, FIT = 4 /* a block is not used for less than a quarter of it */ };

struct cczi_stock {
    atomic_uint refs; /* the owner's, and one of each framer and of each block in use */
    bool wipe;
    pthread_mutex_t lock;
    size_t len, held; /* blocks, and their bytes */
    size_t low;       /* the least that was held since the last trim: nobody needed it */
    struct {
        void *ptr;
        size_t cap;
    } blocks[BLOCKS_MAX];
};

struct cczi_stock *cczi_stock_new(void)
{
    struct cczi_stock *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void cczi_stock_set_wipe(struct cczi_stock *s)
{
    s->wipe = true;
}

bool cczi_stock_wipes(const struct cczi_stock *s)
{
    return s->wipe;
}

struct cczi_stock *cczi_stock_ref(struct cczi_stock *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void cczi_stock_unref(struct cczi_stock *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    for (size_t i = 0; i < s->len; i++)
        free(s->blocks[i].ptr);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* The lock is held. */
static void *remove_block(size_t *cap, struct cczi_stock *s, size_t i)
{
    void *p = s->blocks[i].ptr;
    *cap = s->blocks[i].cap;
    s->held -= *cap;
    s->blocks[i] = s->blocks[--s->len];
    s->low = s->held < s->low ? s->held : s->low;
    return p;
}

/* The smallest that fits. */
static void *find_block(size_t *cap, struct cczi_stock *s, size_t size)
{
    size_t best = BLOCKS_MAX;
    void *p = NULL;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->len; i++) {
        size_t has = s->blocks[i].cap;
        if (has >= size && has / FIT <= size && (best == BLOCKS_MAX || has < s->blocks[best].cap))
            best = i;
    }
    if (best < BLOCKS_MAX)
        p = remove_block(cap, s, best);
    pthread_mutex_unlock(&s->lock);
    return p;
}

void *cczi_stock_take(size_t *cap, struct cczi_stock *s, size_t size)
{
    void *p = find_block(cap, s, size);
    if (!p) {
        *cap = size;
        p = malloc(size);
    }
    if (p)
        atomic_fetch_add(&s->refs, 1);
    return p;
}

void cczi_stock_give(struct cczi_stock *s, void *p, size_t cap)
{
    if (s->wipe && p)
        ccz_wipe(p, cap);
    pthread_mutex_lock(&s->lock);
    if (cap >= CCZI_STOCK_BLOCK && s->len < BLOCKS_MAX && cap <= CCZI_STOCK_SIZE_MAX - s->held) {
        s->blocks[s->len].ptr = p;
        s->blocks[s->len++].cap = cap;
        s->held += cap;
        p = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    free(p);
    cczi_stock_unref(s);
}

bool cczi_stock_trim(struct cczi_stock *s)
{
    pthread_mutex_lock(&s->lock);
    for (size_t spare = s->low, cap; s->len && spare > 0; spare -= cap < spare ? cap : spare)
        free(remove_block(&cap, s, 0)); /* the oldest come first */
    s->low = s->held;
    bool empty = s->held == 0;
    pthread_mutex_unlock(&s->lock);
    return empty;
}

size_t cczi_stock_held(struct cczi_stock *s)
{
    pthread_mutex_lock(&s->lock);
    size_t held = s->held;
    pthread_mutex_unlock(&s->lock);
    return held;
}
