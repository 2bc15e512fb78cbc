/* SPDX-License-Identifier: Apache-2.0 */
/* From scores of all items to lists. */
#include "eval_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAIN = 8 };

/* ------------------------------------------------------------------------------------- the best k */

/* A heap with the worst in front. */
static bool worse(const struct cczi_recsys_top *t, uint32_t a, uint32_t b)
{
    return t->score[a] < t->score[b] || (t->score[a] == t->score[b] && t->item[a] > t->item[b]);
}

static void swap(struct cczi_recsys_top *t, uint32_t a, uint32_t b)
{
    const uint32_t item = t->item[a];
    const float score = t->score[a];
    t->item[a] = t->item[b];
    t->score[a] = t->score[b];
    t->item[b] = item;
    t->score[b] = score;
}

static void sink(struct cczi_recsys_top *t, uint32_t len)
{
    for (uint32_t at = 0, child; (child = 2 * at + 1) < len; at = child) {
        if (child + 1 < len && worse(t, child + 1, child))
            child++;
        if (!worse(t, child, at))
            return;
        swap(t, at, child);
    }
}

void cczi_recsys_top_put(struct cczi_recsys_top *t, uint32_t item, float score)
{
    if (t->len == t->k) {
        if (score < t->score[0] || (score == t->score[0] && item > t->item[0]))
            return;
        t->item[0] = item;
        t->score[0] = score;
        sink(t, t->len);
        return;
    }
    uint32_t at = t->len++;
    t->item[at] = item;
    t->score[at] = score;
    for (; at > 0 && worse(t, at, (at - 1) / 2); at = (at - 1) / 2)
        swap(t, at, (at - 1) / 2);
}

void cczi_recsys_top_sort(struct cczi_recsys_top *t)
{
    for (uint32_t len = t->len; len > 1; len--) {
        swap(t, 0, len - 1);
        sink(t, len - 1);
    }
    for (uint32_t i = t->len; i < t->k; i++) {
        t->item[i] = CCZ_RECSYS_NONE;
        t->score[i] = -INFINITY;
    }
}

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
    if (ask->k == 0 || ask->k > CCZ_RECSYS_K_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:k", ask->k, CCZ_RECSYS_K_MAX);
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
    if (ask->seen && (ask->seen->cols != s->items || ask->seen->rows != s->users))
        return ccz_fail(err, CCZ_E_ARG, "recsys:seen", ask->seen->cols,
                        "got %u users x %u items, expected %u x %u", ask->seen->rows,
                        ask->seen->cols, s->users, s->items);
    return CCZ_OK;
}

static ccz_rc some_users(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct job *j = arg;
    const struct ccz_recsys_ask *ask = j->ask;
    float *all = cczi_recsys_alloc(j->s->width, sizeof(*all));
    if (!all)
        return cczi_recsys_no_memory(err);
    for (size_t i = from; i < from + len; i++) {
        const uint32_t user = ask->user ? ask->user[i] : (uint32_t)i;
        struct cczi_recsys_top top = {
            .item = j->item + i * ask->k, .score = j->score + i * ask->k, .k = ask->k};
        j->s->score(all, j->s->arg, user);
        if (ask->seen)
            for (uint64_t p = ask->seen->start[user]; p < ask->seen->start[user + 1]; p++)
                all[ask->seen->col[p]] = -INFINITY;
        for (uint32_t n = 0; n < j->s->items; n++)
            if (all[n] > -INFINITY && (top.len < top.k || all[n] > top.score[0]) &&
                !(j->blocked && j->blocked[n]))
                cczi_recsys_top_put(&top, n, all[n]);
        cczi_recsys_top_sort(&top);
    }
    cczi_recsys_wipe_free(all, j->s->width * sizeof(*all));
    return CCZ_OK;
}

ccz_rc cczi_recsys_lists(uint32_t *item, float *score, const struct cczi_recsys_scorer *s,
                         const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    uint8_t *blocked = NULL;
    ccz_rc rc = check(s, ask, err);
    if (rc != CCZ_OK)
        return rc;
    if (ask->allow || ask->deny_len > 0) {
        blocked = malloc(s->items ? s->items : 1);
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
    free(blocked);
    return rc;
}
