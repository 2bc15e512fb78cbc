/* SPDX-License-Identifier: Apache-2.0 */
/* Trials of alternating least squares: a model, and one iteration after the other. */
#include "eval_priv.h"

#include <cczoo/recsys_rank.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"factors", "reg",       "alpha",   "unobserved",
                                    "nu",      "deviation", "cg_steps"};
enum { FACTORS, REG, ALPHA, UNOBSERVED, NU, DEVIATION, CG_STEPS, NAMES };

struct run {
    const struct ccz_recsys_als_trials *t;
    struct ccz_recsys_als_cfg cfg;
    struct ccz_recsys_model *model;
    struct ccz_recsys_csr *by_item; /* once for all iterations; NULL: t->cfg has it */
};

static int name_of(const struct ccz_recsys_dim *d)
{
    int n = 0;
    while (n < NAMES && (!d->name || strcmp(names[n], d->name) != 0))
        n++;
    return n;
}

/* A number of something: what no number of things can be becomes one that training refuses. */
static uint32_t count_from(double v)
{
    if (v == 0)
        return 0;
    return v >= 0.5 && v < UINT32_MAX ? (uint32_t)llround(v) : UINT32_MAX;
}

static void set(struct ccz_recsys_als_cfg *cfg, int name, double v)
{
    switch (name) {
    case FACTORS:
        cfg->factors = count_from(v);
        break;
    case REG:
        cfg->reg = (float)v;
        break;
    case ALPHA:
        cfg->alpha = (float)v;
        break;
    case UNOBSERVED:
        cfg->unobserved = (float)v;
        break;
    case NU:
        cfg->nu = (float)v;
        break;
    case DEVIATION:
        cfg->deviation = (float)v;
        break;
    default:
        cfg->cg_steps = count_from(v);
    }
}

static ccz_rc begin(void **out, void *arg, const double *value, struct ccz_err *err)
{
    const struct ccz_recsys_als_trials *t = arg;
    struct run *r = calloc(1, sizeof(*r));
    if (!r)
        return cczi_recsys_no_memory(err);
    *r = (struct run){.t = t, .cfg = t->cfg};
    r->cfg.iterations = 1;
    r->cfg.on_iteration = NULL;
    for (size_t i = 0; i < t->dims_len; i++)
        set(&r->cfg, name_of(&t->dim[i]), value[i]);
    *out = r;
    return CCZ_OK;
}

static ccz_rc step(void *run, uint32_t n, struct ccz_err *err)
{
    struct run *r = run;
    ccz_rc rc = CCZ_OK;
    if (!r->cfg.by_item)
        rc = ccz_recsys_csr_transpose(&r->by_item, r->t->train, err);
    if (rc != CCZ_OK)
        return rc;
    if (!r->cfg.by_item)
        r->cfg.by_item = r->by_item;
    return n == 1 ? ccz_recsys_als_train(&r->model, r->t->train, &r->cfg, err)
                  : ccz_recsys_als_iterate(r->model, r->t->train, &r->cfg, err);
}

static ccz_rc judge(double *metric, void *run, struct ccz_err *err)
{
    const struct run *r = run;
    struct ccz_recsys_metrics m;
    ccz_rc rc = ccz_recsys_evaluate(&m, ccz_recsys_recommend, r->model, r->t->train, r->t->valid,
                                    &r->t->eval, err);
    *metric = rc == CCZ_OK ? m.at[0].mean[r->t->metric] : (double)NAN;
    return rc;
}

static void end(void *run)
{
    struct run *r = run;
    ccz_recsys_model_free(r->model);
    ccz_recsys_csr_free(r->by_item);
    free(r);
}

ccz_rc ccz_recsys_als_search_ops(struct ccz_recsys_search_ops *out,
                                 const struct ccz_recsys_als_trials *t, struct ccz_err *err)
{
    *out = (struct ccz_recsys_search_ops){0};
    for (size_t i = 0; i < t->dims_len; i++)
        if (name_of(&t->dim[i]) == NAMES)
            return ccz_fail(err, CCZ_E_ARG, "recsys:dim", (int64_t)i,
                            "\"%s\" is no parameter of alternating least squares",
                            t->dim[i].name ? t->dim[i].name : "");
    if (t->train->rows != t->valid->rows || t->train->cols != t->valid->cols)
        return ccz_fail(err, CCZ_E_ARG, "recsys:shape", t->valid->rows,
                        "got %u users x %u items for validation, expected %u x %u", t->valid->rows,
                        t->valid->cols, t->train->rows, t->train->cols);
    *out = (struct ccz_recsys_search_ops){
        .arg = (void *)(uintptr_t)t, .begin = begin, .step = step, .judge = judge, .end = end};
    return CCZ_OK;
}
