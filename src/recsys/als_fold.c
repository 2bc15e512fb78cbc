/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that were not there in training, and what their ratings add to a score. */
#include "als_priv.h"

#include <stdlib.h>
#include <string.h>

struct ccz_recsys_fold {
    struct cczi_als als;
    const struct ccz_recsys_factors *fixed;
    float mean;
};

void ccz_recsys_fold_free(struct ccz_recsys_fold *f)
{
    if (f)
        cczi_als_deinit(&f->als);
    free(f);
}

ccz_rc ccz_recsys_fold_new(struct ccz_recsys_fold **out, const struct ccz_recsys_model *model,
                           enum ccz_recsys_side side, const struct ccz_recsys_als_cfg *cfg,
                           struct ccz_err *err)
{
    *out = NULL;
    struct ccz_recsys_als_cfg exact = *cfg;
    exact.solver = CCZ_RECSYS_ALS_EXACT;
    ccz_rc rc = CCZ_OK;
    if (side != CCZ_RECSYS_USERS && side != CCZ_RECSYS_ITEMS)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "recsys:side", (int64_t)side, CCZ_RECSYS_ITEMS);
    if (rc == CCZ_OK)
        rc = cczi_als_check_cfg(&exact, err);
    if (rc == CCZ_OK)
        rc = cczi_als_check_model(model, &exact, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_recsys_fold) f = calloc(1, sizeof(*f));
    if (!f)
        return cczi_recsys_no_memory(err);
    f->fixed = side == CCZ_RECSYS_USERS ? &model->item : &model->user;
    f->mean = model->mean;
    rc = cczi_als_init(&f->als, &exact, err);
    if (rc == CCZ_OK)
        rc = cczi_als_base(&f->als, f->fixed, err);
    if (rc == CCZ_OK)
        *out = ccz_recsys_fold_take(&f);
    return rc;
}

static ccz_rc check_rows(const struct ccz_recsys_fold *f, const struct ccz_recsys_csr *rows,
                         struct ccz_err *err)
{
    if (rows->cols != f->fixed->len)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:cols", rows->cols, f->fixed->len);
    return cczi_als_check_rows(rows, &f->als.cfg, err);
}

ccz_rc ccz_recsys_fold_rows(struct ccz_recsys_factors *out, struct ccz_recsys_fold *f,
                            const struct ccz_recsys_csr *rows, struct ccz_err *err)
{
    *out = (struct ccz_recsys_factors){0};
    ccz_rc rc = check_rows(f, rows, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_factors_init(out, rows->rows, f->als.cfg.factors, f->als.cfg.biases, err);
    const struct cczi_als_half half = {
        .rows = rows, .fixed = f->fixed, .out = out, .mean = f->mean};
    if (rc == CCZ_OK)
        rc = cczi_als_sweep(&f->als, &half, err);
    if (rc != CCZ_OK)
        ccz_recsys_factors_deinit(out);
    return rc;
}

ccz_rc ccz_recsys_als_fold_in(struct ccz_recsys_factors *out, const struct ccz_recsys_model *model,
                              const struct ccz_recsys_csr *rows, enum ccz_recsys_side side,
                              const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err)
{
    *out = (struct ccz_recsys_factors){0};
    CCZ_AUTO(ccz_recsys_fold) f = NULL;
    ccz_rc rc = ccz_recsys_fold_new(&f, model, side, cfg, err);
    return rc == CCZ_OK ? ccz_recsys_fold_rows(out, f, rows, err) : rc;
}

/* w->x = A^-1 y of the target; with nonneg of what is not 0 in the row's own solution. */
static void target_solution(struct ccz_recsys_fold *f, struct cczi_als_work *w,
                            const struct cczi_als_half *half, uint32_t row, uint32_t target)
{
    const struct cczi_als *als = &f->als;
    const size_t size = als->dims * sizeof(*w->x);
    cczi_als_system(als, w, half, row);
    if (als->cfg.nonneg) {
        cczi_als_nonneg(als, w);
        memcpy(w->p, w->x, size);
    }
    memset(w->r, 0, size);
    memcpy(w->r, ccz_recsys_row(f->fixed, target), als->cfg.factors * sizeof(*w->r));
    if (als->cfg.biases)
        w->r[als->cfg.factors] = 1;
    if (!als->cfg.nonneg) {
        cczi_als_exact(als, w, half, row, w->r);
        return;
    }
    memcpy(w->x, w->r, size);
    if (!cczi_als_solve_within(als, w, w->p))
        memset(w->x, 0, size); /* no share can be told from another */
}

ccz_rc ccz_recsys_als_weights(float *share, struct ccz_recsys_fold *f,
                              const struct ccz_recsys_csr *rows, uint32_t row, uint32_t target,
                              struct ccz_err *err)
{
    const ccz_rc rc = check_rows(f, rows, err);
    if (rc != CCZ_OK)
        return rc;
    if (row >= rows->rows)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:row", row, rows->rows);
    memset(share, 0, (rows->start[row + 1] - rows->start[row]) * sizeof(*share));
    if (target >= f->fixed->len)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:target", target, f->fixed->len);
    const uint64_t start = rows->start[row], end = rows->start[row + 1];
    const struct cczi_als_half half = {.rows = rows, .fixed = f->fixed, .mean = f->mean};
    struct cczi_als_work *w = &f->als.work[0];
    if (start < end)
        target_solution(f, w, &half, row, target);
    for (uint64_t k = start; k < end; k++) {
        const float *y = ccz_recsys_row(f->fixed, rows->col[k]);
        float weight, t, s = f->als.cfg.biases ? w->x[f->als.cfg.factors] : 0;
        for (uint32_t j = 0; j < f->als.cfg.factors; j++)
            s += y[j] * w->x[j];
        cczi_als_terms(&weight, &t, &f->als, &half, k, 1);
        share[k - start] = t * s;
    }
    return CCZ_OK;
}
