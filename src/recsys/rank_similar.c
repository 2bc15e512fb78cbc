/* SPDX-License-Identifier: Apache-2.0 */
/* Similar items and users, scores of pairs, and why an item has its score. */
#include "ask_priv.h"
#include "rank_priv.h"

#include <stdlib.h>

static ccz_rc similar(uint32_t *number, float *cosine, const struct cczi_rank_side *side,
                      const struct cczi_rank_kernels *k, const struct ccz_recsys_ask *ask,
                      struct ccz_err *err)
{
    struct cczi_rank_job job = {.ask = ask,
                                .users = side->f,
                                .targets = side->f,
                                .side = side,
                                .cosine = true,
                                .number = number,
                                .score = cosine,
                                .k = k};
    return cczi_rank_run(&job, err);
}

ccz_rc ccz_recsys_similar_items(uint32_t *item, float *cosine, const struct ccz_recsys_index *index,
                                const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    return similar(item, cosine, &index->item, index->k, ask, err);
}

ccz_rc ccz_recsys_similar_users(uint32_t *user, float *cosine, const struct ccz_recsys_index *index,
                                const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    if (!index->user.f && cczi_recsys_check_k(ask->k, NULL) == CCZ_OK)
        cczi_topk_none(user, cosine, ask->users_len * ask->k);
    if (!index->user.f)
        return ccz_hint(
            err,
            ccz_refuse(err, CCZ_E_ARG, "recsys:index", "an index of items", "one of users as well"),
            "set `users` in struct ccz_recsys_index_cfg");
    return similar(user, cosine, &index->user, index->k, ask, err);
}

/* -------------------------------------------------------------------------------------- scores */

static float score_of(const struct ccz_recsys_model *m, uint32_t user, uint32_t item)
{
    const struct cczi_rank_job job = {.users = &m->user, .targets = &m->item};
    const float d = cczi_rank_kernels(NULL)->dot(ccz_recsys_row(&m->user, user),
                                                 ccz_recsys_row(&m->item, item), m->item.stride);
    return cczi_rank_score(&job, d, m->mean + (m->user.bias ? m->user.bias[user] : 0), item);
}

static ccz_rc check_pair(const struct ccz_recsys_model *m, size_t at, uint32_t user, uint32_t item,
                         struct ccz_err *err)
{
    ccz_rc rc = cczi_recsys_check_number("recsys:user", at, user, m->user.len, err);
    return rc == CCZ_OK ? cczi_recsys_check_number("recsys:item", at, item, m->item.len, err) : rc;
}

static ccz_rc check_model(const struct ccz_recsys_model *m, struct ccz_err *err)
{
    if (m->user.factors != m->item.factors)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:factors", m->user.factors, m->item.factors);
    return CCZ_OK;
}

ccz_rc ccz_recsys_scores(float *score, const struct ccz_recsys_model *model, const uint32_t *user,
                         const uint32_t *item, size_t len, struct ccz_err *err)
{
    memset(score, 0, len * sizeof(*score));
    ccz_rc rc = check_model(model, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = check_pair(model, i, user[i], item[i], err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        score[i] = score_of(model, user[i], item[i]);
    return rc;
}

/* ----------------------------------------------------------------------------------------- why */

/* The largest shares; the result is the sum of all that are not among them. */
static double largest(struct ccz_recsys_reason *reason, int64_t *top, size_t k,
                      const uint32_t *item, const float *share, size_t len)
{
    double sum = 0;
    cczi_topk_init(top, k);
    for (size_t i = 0; i < len; i++) {
        const int64_t key = cczi_topk_key(share[i] + 0.0f, item[i]);
        sum += share[i];
        if (key > top[0])
            cczi_topk_replace(top, k, key);
    }
    cczi_topk_sort(top, k);
    for (size_t i = 0; i < k; i++) {
        reason[i] = (struct ccz_recsys_reason){cczi_topk_number(top[i]), cczi_topk_score(top[i])};
        sum -= reason[i].share;
    }
    return sum;
}

static ccz_rc check_history(const struct ccz_recsys_csr *seen, uint32_t user,
                            const struct ccz_recsys_model *model, const float *share,
                            struct ccz_err *err)
{
    if (seen->cols != model->item.len)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:seen", seen->cols, model->item.len);
    ccz_rc rc = cczi_recsys_check_number("recsys:seen", 0, user, seen->rows, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_check_row(seen, user, err);
    if (rc != CCZ_OK)
        return rc;
    for (uint64_t i = 0; i < seen->start[user + 1] - seen->start[user]; i++)
        if (!isfinite(share[i]))
            return ccz_fail(err, CCZ_E_ARG, "recsys:value", (int64_t)i, "a share is not finite");
    return CCZ_OK;
}

ccz_rc ccz_recsys_explain(struct ccz_recsys_explanation *out, struct ccz_recsys_reason *reason,
                          uint32_t k, const struct ccz_recsys_model *model, uint32_t user,
                          uint32_t item, const struct ccz_recsys_csr *seen, const float *share,
                          struct ccz_err *err)
{
    *out = (struct ccz_recsys_explanation){0};
    ccz_rc rc = cczi_recsys_check_k(k, err);
    if (rc != CCZ_OK)
        return rc;
    for (uint32_t i = 0; i < k; i++)
        reason[i] = (struct ccz_recsys_reason){CCZ_RECSYS_NONE, 0};
    rc = check_model(model, err);
    if (rc == CCZ_OK)
        rc = check_pair(model, 0, user, item, err);
    if (rc == CCZ_OK)
        rc = check_history(seen, user, model, share, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t begin = seen->start[user], len = seen->start[user + 1] - begin;
    const size_t listed = len < k ? (size_t)len : k;
    int64_t *top = cczi_recsys_alloc(listed, sizeof(*top));
    if (!top)
        return cczi_recsys_no_memory(err);
    const double others = listed ? largest(reason, top, listed, seen->col + begin, share, len) : 0;
    cczi_recsys_wipe_free(top, listed * sizeof(*top));
    *out =
        (struct ccz_recsys_explanation){.score = score_of(model, user, item),
                                        .mean = model->mean,
                                        .item_bias = model->item.bias ? model->item.bias[item] : 0,
                                        .others = (float)others,
                                        .reasons = (uint32_t)listed};
    double rest = (double)out->score - out->mean - out->item_bias - out->others;
    for (size_t i = 0; i < listed; i++)
        rest -= reason[i].share;
    out->rest = (float)rest;
    return CCZ_OK;
}
