/* SPDX-License-Identifier: Apache-2.0 */
/* From scores of all items to lists. */
#include "eval_priv.h"
#include "rank_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAIN = 8 };

/* ------------------------------------------------------------------------------------------ rows */

bool cczi_recsys_has(const struct ccz_recsys_csr *m, uint32_t row, uint32_t col)
{
    uint64_t low = m->start[row], high = m->start[row + 1];
    while (low < high) {
        const uint64_t mid = low + (high - low) / 2;
        if (m->col[mid] == col)
            return true;
        if (m->col[mid] < col)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        const uint32_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

uint32_t cczi_recsys_spread(uint32_t i, uint32_t len)
{
    uint32_t step = (uint32_t)((uint64_t)len * 5 / 8) | 1; /* the golden section, nearly */
    while (common_divisor(step, len) != 1)
        step++;
    return (uint32_t)((uint64_t)i * step % len);
}

/* ----------------------------------------------------------------------------------------- lists */

struct job {
    uint32_t *item;
    float *score;
    const struct cczi_recsys_scorer *s;
    const struct ccz_recsys_ask *ask;
    const uint8_t *blocked; /* [items] or NULL */
};

static ccz_rc check(const struct cczi_recsys_scorer *s, const struct ccz_recsys_ask *ask,
                    struct ccz_err *err)
{
    if (ask->oblivious)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "recsys:oblivious", "an oblivious list",
                          "a recommender whose time does not depend on what it reads");
    for (size_t i = 0; ask->user && i < ask->users_len; i++)
        if (ask->user[i] >= s->users)
            return ccz_fail(err, CCZ_E_ARG, "recsys:user", (int64_t)i, "number %u of %u users",
                            ask->user[i], s->users);
    if (!ask->user && ask->users_len > s->users)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:user", (int64_t)ask->users_len, s->users);
    for (size_t i = 0; i < ask->deny_len; i++)
        if (ask->deny[i] >= s->items)
            return ccz_fail(err, CCZ_E_ARG, "recsys:item", (int64_t)i, "number %u of %u items",
                            ask->deny[i], s->items);
    for (size_t i = 0; ask->allow && i < ask->allow_len; i++)
        if (ask->allow[i] >= s->items)
            return ccz_fail(err, CCZ_E_ARG, "recsys:item", (int64_t)i, "number %u of %u items",
                            ask->allow[i], s->items);
    if (ask->seen && ask->seen->cols != s->items)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:seen", ask->seen->cols, s->items);
    for (size_t i = 0; ask->seen && i < ask->users_len; i++)
        if ((ask->user ? ask->user[i] : i) >= ask->seen->rows)
            return ccz_fail(err, CCZ_E_ARG, "recsys:seen", (int64_t)i, "row %zu of %u",
                            ask->user ? (size_t)ask->user[i] : i, ask->seen->rows);
    return CCZ_OK;
}

/* One list from all scores. */
static void put_list(const struct job *j, size_t i, const float *all, int64_t *heap)
{
    const uint32_t k = j->ask->k;
    float least = -INFINITY; /* of the list so far; equal scores come too late, as numbers ascend */
    cczi_topk_init(heap, k);
    for (uint32_t n = 0; n < j->s->items; n++)
        if (all[n] > least && !(j->blocked && j->blocked[n])) {
            cczi_topk_replace(heap, k, cczi_topk_key(all[n] + 0.0f, n)); /* -0 is 0 */
            least = cczi_topk_score(heap[0]);
        }
    cczi_topk_sort(heap, k);
    cczi_topk_write(j->item + i * k, j->score + i * k, heap, k);
}

static ccz_rc some_users(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct job *j = arg;
    const struct ccz_recsys_ask *ask = j->ask;
    float *all = cczi_recsys_alloc(j->s->width, sizeof(*all));
    int64_t *heap = cczi_recsys_alloc(ask->k, sizeof(*heap));
    const bool ok = all && heap;
    for (size_t i = from; ok && i < from + len; i++) {
        const uint32_t user = ask->user ? ask->user[i] : (uint32_t)i;
        j->s->score(all, j->s->arg, user);
        if (ask->seen)
            for (uint64_t p = ask->seen->start[user]; p < ask->seen->start[user + 1]; p++)
                all[ask->seen->col[p]] = -INFINITY;
        put_list(j, i, all, heap);
    }
    cczi_recsys_wipe_free(all, j->s->width * sizeof(*all));
    cczi_recsys_wipe_free(heap, ask->k * sizeof(*heap));
    return ok ? CCZ_OK : cczi_recsys_no_memory(err);
}

ccz_rc cczi_recsys_lists(uint32_t *item, float *score, const struct cczi_recsys_scorer *s,
                         const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    uint8_t *blocked = NULL;
    if (ask->k == 0 || ask->k > CCZ_RECSYS_K_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:k", ask->k, CCZ_RECSYS_K_MAX);
    cczi_topk_none(item, score, ask->users_len * ask->k); /* what a failure leaves */
    ccz_rc rc = check(s, ask, err);
    if (rc != CCZ_OK)
        return rc;
    if (ask->allow || ask->deny_len > 0) {
        blocked = cczi_recsys_alloc(s->items, 1);
        if (!blocked)
            return cczi_recsys_no_memory(err);
        memset(blocked, ask->allow != NULL, s->items);
        for (size_t i = 0; ask->allow && i < ask->allow_len; i++)
            blocked[ask->allow[i]] = 0;
        for (size_t i = 0; i < ask->deny_len; i++)
            blocked[ask->deny[i]] = 1;
    }
    struct job j = {.item = item, .score = score, .s = s, .ask = ask, .blocked = blocked};
    rc = ccz_parallel(some_users, &j, ask->users_len, GRAIN, ask->threads, err);
    cczi_recsys_wipe_free(blocked, s->items);
    if (rc != CCZ_OK)
        cczi_topk_none(item, score, ask->users_len * ask->k);
    return rc;
}
