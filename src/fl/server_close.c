/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of a round: folding one update, and the step at the end. All of it runs without the lock, in one thread. */
#include "fl/server_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 16384 };

void cczi_hfl_drop_staged(struct ccz_fl_server *s)
{
    for (size_t i = 0; i < s->staged_len; i++)
        free(s->staged[i].x);
    s->staged_len = 0;
}

/* A robust rule looks at all updates at the end: keeps this one as numbers. */
static ccz_rc stage(struct ccz_fl_server *s, struct hfl_slot *slot, struct ccz_err *err)
{
    float *x = cczi_hfl_vector(s->layout->len);
    if (!x)
        return cczi_hfl_no_memory(err);
    ccz_rc rc =
        ccz_agg_dec_to(slot->dec, x, CCZ_SPAN(slot->bytes, slot->size[CCZI_HFL_PARAMS]), err);
    if (rc != CCZ_OK) {
        free(x);
        return rc;
    }
    s->staged[s->staged_len++] = (struct hfl_staged){slot->owner, x};
    return CCZ_OK;
}

ccz_rc cczi_hfl_fold(struct ccz_fl_server *s, struct hfl_slot *slot, float weight, bool first,
                     struct ccz_err *err)
{
    size_t len = (size_t)s->layout->len;
    if (cczi_hfl_secagg(s)) {
        cczi_hfl_private_fold(s, slot, first);
        return CCZ_OK;
    }
    ccz_agg_dec_reset(slot->dec);
    if (s->cfg.agg.rule != CCZ_FL_MEAN)
        return stage(s, slot, err);
    if (first)
        memset(s->acc, 0, len * sizeof(float));
    ccz_rc rc = ccz_agg_dec_add(slot->dec, s->acc, weight,
                                CCZ_SPAN(slot->bytes, slot->size[CCZI_HFL_PARAMS]), err);
    if (rc == CCZ_OK && s->cfg.agg.scaffold) {
        if (first)
            memset(s->acc_variate, 0, len * sizeof(float));
        ccz_agg_add(s->acc_variate,
                    (const float *)(const void *)(slot->bytes + slot->size[CCZI_HFL_PARAMS]), 1,
                    len);
    }
    return rc;
}

/* ------------------------------------------------------------------------------ robust rules */

static int by_member(const void *a, const void *b)
{
    const struct hfl_staged *x = a, *y = b;
    return strcmp(x->from->name, y->from->name);
}

static ccz_rc run_columns(struct ccz_fl_server *s, const float **rows, struct ccz_err *err)
{
    CCZ_AUTO(ccz_agg_robust) r = NULL;
    uint32_t n = (uint32_t)s->staged_len;
    struct ccz_agg_robust_cfg cfg = {.kind = CCZ_AGG_MEDIAN, .rows = n};
    if (s->cfg.agg.rule == CCZ_FL_TRIMMED) {
        cfg.kind = CCZ_AGG_TRIMMED;
        cfg.trim = (uint32_t)(s->cfg.agg.trim * n);
    }
    ccz_rc rc = ccz_agg_robust_new(&r, &cfg, err);
    return rc == CCZ_OK ? ccz_agg_robust_run(s->acc, r, rows, (size_t)s->layout->len, err) : rc;
}

static ccz_rc krum_scores(struct ccz_agg_krum *k, struct ccz_fl_server *s, const float **rows,
                          const float **at, struct ccz_err *err)
{
    size_t len = (size_t)s->layout->len;
    ccz_rc rc = CCZ_OK;
    for (size_t from = 0; rc == CCZ_OK && from < len; from += COLUMNS) {
        for (size_t i = 0; i < s->staged_len; i++)
            at[i] = rows[i] + from;
        rc = ccz_agg_krum_add(k, at, len - from < COLUMNS ? len - from : (size_t)COLUMNS, err);
    }
    return rc;
}

static ccz_rc run_krum(struct ccz_fl_server *s, const float **rows, struct ccz_err *err)
{
    CCZ_AUTO(ccz_agg_krum) k = NULL;
    size_t len = (size_t)s->layout->len, n = s->staged_len;
    uint32_t keep = s->cfg.agg.krum_keep;
    const float **at = calloc(n, sizeof(*at));
    uint32_t *chosen = calloc(n, sizeof(*chosen));
    ccz_rc rc = at && chosen ? ccz_agg_krum_new(&k, (uint32_t)n, s->cfg.agg.byzantine, err)
                             : cczi_hfl_no_memory(err);
    if (rc == CCZ_OK)
        rc = krum_scores(k, s, rows, at, err);
    if (rc == CCZ_OK)
        rc = ccz_agg_krum_select(chosen, NULL, keep, k, err);
    if (rc == CCZ_OK) {
        memset(s->acc, 0, len * sizeof(float));
        for (uint32_t i = 0; i < keep; i++)
            ccz_agg_add(s->acc, rows[chosen[i]], 1.0F / (float)keep, len);
    }
    free(at);
    free(chosen);
    return rc;
}

static ccz_rc robust(struct ccz_fl_server *s, struct ccz_err *err)
{
    const float **rows = calloc(s->staged_len ? s->staged_len : 1, sizeof(*rows));
    if (!rows)
        return cczi_hfl_no_memory(err);
    qsort(s->staged, s->staged_len, sizeof(*s->staged), by_member); /* ties, sums: by name */
    for (size_t i = 0; i < s->staged_len; i++)
        rows[i] = s->staged[i].x;
    ccz_rc rc = s->cfg.agg.rule == CCZ_FL_KRUM ? run_krum(s, rows, err) : run_columns(s, rows, err);
    free(rows);
    cczi_hfl_drop_staged(s);
    return rc;
}

/* --------------------------------------------------------------------------------------- step */

ccz_rc cczi_hfl_step(double *norm, struct ccz_fl_server *s, struct ccz_err *err)
{
    struct ccz_agg_norm n = {0};
    size_t len = (size_t)s->layout->len;
    bool mean = s->cfg.agg.rule == CCZ_FL_MEAN;
    ccz_rc rc = mean ? cczi_hfl_private_open(s, err) : robust(s, err);
    float scale = mean && s->weight_sum > 0 ? (float)(1 / s->weight_sum) : 1;
    if (rc != CCZ_OK)
        return rc;
    ccz_agg_norm_add(&n, s->acc, len);
    *norm = ccz_agg_norm_value(&n) * (double)scale;
    rc = ccz_agg_opt_step(s->opt, s->params, s->acc, scale, err);
    if (rc != CCZ_OK)
        return rc;
    size_t bad = ccz_agg_nonfinite(s->params, len);
    if (bad < len)
        return ccz_fail(err, CCZ_E_FORMAT, "fl:not-finite", (int64_t)bad,
                        "parameter %zu of the new model is not finite", bad);
    if (s->cfg.agg.scaffold)
        ccz_agg_scaffold_server(s->variate, s->acc_variate, s->members_len, len);
    return cczi_hfl_private_close(s, err);
}
