/* SPDX-License-Identifier: Apache-2.0 */
/* From scores of all items to lists. */
#include "ask_priv.h"
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
    const uint64_t *permitted; /* bits of items; NULL: all */
};

/* One list from all scores. */
static void put_list(const struct job *j, size_t i, const float *all, int64_t *heap)
{
    const uint32_t k = j->ask->k;
    float least = -INFINITY; /* of the list so far; equal scores come too late, as numbers ascend */
    cczi_topk_init(heap, k);
    for (uint32_t n = 0; n < j->s->items; n++)
        if (all[n] > least && (!j->permitted || j->permitted[n / 64] >> n % 64 & 1)) {
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
    ccz_rc rc = all && heap ? CCZ_OK : cczi_recsys_no_memory(err);
    for (size_t i = from; rc == CCZ_OK && i < from + len; i++) {
        const uint32_t user = cczi_recsys_asker(ask, i);
        rc = ask->seen ? cczi_recsys_check_row(ask->seen, user, err) : CCZ_OK;
        if (rc != CCZ_OK)
            break;
        j->s->score(all, j->s->arg, user);
        if (ask->seen)
            for (uint64_t p = ask->seen->start[user]; p < ask->seen->start[user + 1]; p++)
                all[ask->seen->col[p]] = -INFINITY;
        put_list(j, i, all, heap);
    }
    cczi_recsys_wipe_free(all, j->s->width * sizeof(*all));
    cczi_recsys_wipe_free(heap, ask->k * sizeof(*heap));
    return rc;
}

ccz_rc cczi_recsys_lists(uint32_t *item, float *score, const struct cczi_recsys_scorer *s,
                         const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    uint64_t *permitted = NULL;
    ccz_rc rc = cczi_recsys_check_k(ask->k, err); /* how long lists are */
    if (rc != CCZ_OK)
        return rc;
    if (ask->oblivious)
        rc = ccz_refuse(err, CCZ_E_UNSUPPORTED, "recsys:oblivious", "an oblivious list",
                        "a recommender whose time does not depend on what it reads");
    if (rc == CCZ_OK)
        rc = cczi_recsys_check_ask(ask, s->users, s->items, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_permitted(&permitted, ask, s->items, err);
    struct job j = {.item = item, .score = score, .s = s, .ask = ask, .permitted = permitted};
    if (rc == CCZ_OK)
        rc = ccz_parallel(some_users, &j, ask->users_len, GRAIN, ask->threads, err);
    if (rc != CCZ_OK)
        cczi_topk_none(item, score, ask->users_len * ask->k);
    cczi_recsys_wipe_free(permitted, cczi_recsys_words(s->items) * sizeof(*permitted));
    return rc;
}
