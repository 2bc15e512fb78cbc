/* SPDX-License-Identifier: Apache-2.0 */
/* What most have. */
#include "ask_priv.h"
#include "eval_priv.h"

#include <stdlib.h>
#include <string.h>

struct ccz_recsys_popular {
    uint32_t users, items;
    float *score; /* [items] */
};

ccz_rc ccz_recsys_popular_new(struct ccz_recsys_popular **out, const struct ccz_recsys_csr *train,
                              bool values, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_recsys_check_rows(train, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_recsys_popular) p = calloc(1, sizeof(*p));
    double *sum = cczi_recsys_alloc(train->cols, sizeof(*sum));
    if (p)
        *p =
            (struct ccz_recsys_popular){.users = train->rows,
                                        .items = train->cols,
                                        .score = cczi_recsys_alloc(train->cols, sizeof(*p->score))};
    if (!p || !p->score || !sum) {
        free(sum);
        return cczi_recsys_no_memory(err);
    }
    for (uint64_t i = 0; i < train->len; i++)
        sum[train->col[i]] += values ? (double)train->value[i] : 1;
    for (uint32_t i = 0; i < train->cols; i++)
        p->score[i] = (float)sum[i];
    cczi_recsys_wipe_free(sum, train->cols * sizeof(*sum));
    *out = ccz_recsys_popular_take(&p);
    return CCZ_OK;
}

void ccz_recsys_popular_free(struct ccz_recsys_popular *p)
{
    if (!p)
        return;
    cczi_recsys_wipe_free(p->score, p->items * sizeof(*p->score));
    free(p);
}

const float *ccz_recsys_popular_scores(const struct ccz_recsys_popular *p)
{
    return p->score;
}

static void score_user(float *score, const void *arg, uint32_t user)
{
    const struct ccz_recsys_popular *p = arg;
    (void)user;
    memcpy(score, p->score, p->items * sizeof(*score));
}

ccz_rc ccz_recsys_popular_recommend(uint32_t *item, float *score, void *arg,
                                    const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    const struct ccz_recsys_popular *p = arg;
    const struct cczi_recsys_scorer s = {
        .score = score_user, .arg = p, .users = p->users, .items = p->items, .width = p->items};
    return cczi_recsys_lists(item, score, &s, ask, err);
}
