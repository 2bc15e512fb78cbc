/* SPDX-License-Identifier: Apache-2.0 */
/* Alternating least squares: checks, memory, iterations. */
#include "als_priv.h"

#include <cczoo/dataset.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PANEL_FLOATS = 8192, /* stays in the first-level cache while it is multiplied */
    ROWS_AT_ONCE = 1024
};
_Static_assert(PANEL_FLOATS / CCZI_ALS_BLOCK <= CCZI_ALS_TERMS, "a panel's weights have room");

/* --------------------------------------------------------------------------------------- checks */

static ccz_rc refuse_float(struct ccz_err *err, const char *where, float got, const char *expected)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%g", (double)got);
    return ccz_refuse(err, CCZ_E_ARG, where, text, expected);
}

static ccz_rc check_numbers(const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err)
{
    if (!(cfg->reg >= 0) || !isfinite(cfg->reg))
        return refuse_float(err, "recsys:reg", cfg->reg, "0 or more");
    if (cfg->kind == CCZ_RECSYS_IMPLICIT_HKV && (!(cfg->alpha > 0) || !isfinite(cfg->alpha)))
        return refuse_float(err, "recsys:alpha", cfg->alpha, "more than 0");
    if (cfg->kind == CCZ_RECSYS_IMPLICIT_IALS &&
        (!(cfg->unobserved > 0) || !isfinite(cfg->unobserved)))
        return refuse_float(err, "recsys:unobserved", cfg->unobserved, "more than 0");
    if (cfg->kind == CCZ_RECSYS_IMPLICIT_IALS && !(cfg->nu >= 0 && cfg->nu <= 1))
        return refuse_float(err, "recsys:nu", cfg->nu, "0 to 1");
    if (!(cfg->deviation >= 0) || !isfinite(cfg->deviation))
        return refuse_float(err, "recsys:deviation", cfg->deviation, "0 or more");
    return CCZ_OK;
}

ccz_rc cczi_als_check_cfg(const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err)
{
    if ((unsigned)cfg->kind > CCZ_RECSYS_EXPLICIT)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:kind", (int64_t)cfg->kind,
                              CCZ_RECSYS_EXPLICIT);
    if ((unsigned)cfg->solver > CCZ_RECSYS_ALS_CG)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:solver", (int64_t)cfg->solver,
                              CCZ_RECSYS_ALS_CG);
    if (cfg->factors == 0 || cfg->factors > CCZ_RECSYS_FACTORS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:factors", cfg->factors,
                              CCZ_RECSYS_FACTORS_MAX);
    if (cfg->cg_steps > CCZ_RECSYS_CG_STEPS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:cg-steps", cfg->cg_steps,
                              CCZ_RECSYS_CG_STEPS_MAX);
    if (cfg->biases && cfg->kind != CCZ_RECSYS_EXPLICIT)
        return ccz_refuse(err, CCZ_E_ARG, "recsys:biases", "implicit feedback", "explicit ratings");
    if (cfg->nonneg && cfg->biases)
        return ccz_refuse(err, CCZ_E_ARG, "recsys:nonneg-biases", "nonneg with biases",
                          "one of them");
    if (cfg->nonneg && cfg->solver != CCZ_RECSYS_ALS_EXACT)
        return ccz_refuse(err, CCZ_E_ARG, "recsys:nonneg-solver", "nonneg with conjugate gradients",
                          "the exact solver");
    return check_numbers(cfg, err);
}

static ccz_rc check_iterations(const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err)
{
    if (cfg->iterations == 0 || cfg->iterations > CCZ_RECSYS_ITERATIONS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:iterations", cfg->iterations,
                              CCZ_RECSYS_ITERATIONS_MAX);
    return CCZ_OK;
}

ccz_rc cczi_als_check_rows(const struct ccz_recsys_csr *m, const struct ccz_recsys_als_cfg *cfg,
                           struct ccz_err *err)
{
    bool ascend = m->start[0] == 0 && m->start[m->rows] == m->len;
    for (uint32_t r = 0; r < m->rows; r++)
        ascend = ascend && m->start[r] <= m->start[r + 1];
    if (!ascend)
        return ccz_fail(err, CCZ_E_ARG, "recsys:rows", 0, "rows do not lie one after the other");
    const bool implicit = cfg->kind != CCZ_RECSYS_EXPLICIT;
    for (uint64_t i = 0; i < m->len; i++) {
        if (m->col[i] >= m->cols)
            return ccz_fail(err, CCZ_E_ARG, "recsys:item", (int64_t)i, "column %u of %u", m->col[i],
                            m->cols);
        if (!isfinite(m->value[i]))
            return ccz_fail(err, CCZ_E_ARG, "recsys:value", (int64_t)i, "not a finite number");
        if (implicit && m->value[i] < 0)
            return ccz_fail(err, CCZ_E_ARG, "recsys:value", (int64_t)i,
                            "implicit feedback below 0");
    }
    return CCZ_OK;
}

ccz_rc cczi_als_check_model(const struct ccz_recsys_model *m, const struct ccz_recsys_als_cfg *cfg,
                            struct ccz_err *err)
{
    if (m->user.factors != cfg->factors || m->item.factors != cfg->factors)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "recsys:model-factors",
                              m->user.factors != cfg->factors ? m->user.factors : m->item.factors,
                              cfg->factors);
    if ((m->user.bias != NULL) != cfg->biases || (m->item.bias != NULL) != cfg->biases)
        return ccz_refuse(err, CCZ_E_MISMATCH, "recsys:model-biases",
                          cfg->biases ? "a model without biases" : "a model with biases",
                          cfg->biases ? "biases" : "none");
    if (!cfg->biases && m->mean != 0) /* a score would add what training has not taken away */
        return ccz_refuse(err, CCZ_E_MISMATCH, "recsys:model-mean", "a mean without biases",
                          "biases as well, or a mean of 0");
    return CCZ_OK;
}

static ccz_rc check_shape(const struct ccz_recsys_model *m, const struct ccz_recsys_csr *by_user,
                          struct ccz_err *err)
{
    if (m->user.len != by_user->rows)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "recsys:model-users", m->user.len,
                              by_user->rows);
    if (m->item.len != by_user->cols)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "recsys:model-items", m->item.len,
                              by_user->cols);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- memory */

static size_t whole_blocks(size_t len)
{
    return (len + CCZI_ALS_BLOCK - 1) / CCZI_ALS_BLOCK * CCZI_ALS_BLOCK;
}

/* Sizes of everything, without the memory. */
static void plan(struct cczi_als *als, const struct ccz_recsys_als_cfg *cfg)
{
    *als = (struct cczi_als){.cfg = *cfg,
                             .stride = whole_blocks(cfg->factors),
                             .dims = whole_blocks((size_t)cfg->factors + cfg->biases)};
    als->cfg.threads = cfg->threads == 0                ? 1
                       : cfg->threads < CCZ_THREADS_MAX ? cfg->threads
                                                        : CCZ_THREADS_MAX;
    als->cfg.cg_steps = cfg->cg_steps ? cfg->cg_steps : 3;
    als->panel_len = whole_blocks(PANEL_FLOATS / als->dims);
    const size_t vectors = 6 + CCZI_ALS_BLOCK; /* b, x, r, p, q, limit; inverse */
    als->work_size = sizeof(double) * als->dims * (als->dims + 2) +
                     sizeof(float) * (als->dims * als->dims * (cfg->nonneg ? 2 : 1) +
                                      als->panel_len * als->dims + (size_t)2 * CCZI_ALS_TERMS +
                                      als->dims * vectors);
}

static size_t shared_size(const struct cczi_als *als)
{
    if (als->cfg.kind == CCZ_RECSYS_EXPLICIT)
        return 0;
    return als->dims * als->dims * sizeof(float) +
           als->stride * als->stride * sizeof(double) * (1 + CCZI_GRAM_PARTS);
}

static float *take(float **at, size_t len)
{
    float *p = *at;
    *at += len;
    return p;
}

ccz_rc cczi_als_init(struct cczi_als *als, const struct ccz_recsys_als_cfg *cfg,
                     struct ccz_err *err)
{
    plan(als, cfg);
    als->k = cczi_als_kernels(cfg->tier);
    if (!als->k)
        return ccz_refuse(err, CCZ_E_UNAVAILABLE, "recsys:tier", cfg->tier,
                          ccz_cpu_tier_name(ccz_cpu()->best));
    const size_t dims = als->dims, size = als->stride * als->stride;
    for (unsigned i = 0; i < als->cfg.threads; i++) {
        struct cczi_als_work *w = &als->work[i];
        w->memory = cczi_recsys_alloc(als->work_size, 1);
        if (!w->memory)
            return cczi_recsys_no_memory(err);
        w->exact = w->memory;
        float *at = (float *)(w->exact + dims * (dims + 2));
        w->a = take(&at, dims * dims);
        w->a2 = cfg->nonneg ? take(&at, dims * dims) : NULL;
        w->panel = take(&at, als->panel_len * dims);
        w->s = take(&at, CCZI_ALS_TERMS);
        w->t = take(&at, CCZI_ALS_TERMS);
        w->inverse = take(&at, dims * CCZI_ALS_BLOCK);
        float **const vectors[] = {&w->limit, &w->b, &w->x, &w->r, &w->p, &w->q};
        for (size_t v = 0; v < sizeof(vectors) / sizeof(vectors[0]); v++)
            *vectors[v] = take(&at, dims);
    }
    if (cfg->kind == CCZ_RECSYS_EXPLICIT)
        return CCZ_OK;
    als->base = cczi_recsys_alloc(dims * dims, sizeof(*als->base));
    als->gram = cczi_recsys_alloc(size, sizeof(*als->gram));
    als->partial = cczi_recsys_alloc(size * CCZI_GRAM_PARTS, sizeof(*als->partial));
    return als->base && als->gram && als->partial ? CCZ_OK : cczi_recsys_no_memory(err);
}

void cczi_als_deinit(struct cczi_als *als)
{
    const size_t size = als->stride * als->stride;
    for (unsigned i = 0; i < als->cfg.threads; i++)
        cczi_recsys_wipe_free(als->work[i].memory, als->work_size);
    cczi_recsys_wipe_free(als->base, als->dims * als->dims * sizeof(*als->base));
    cczi_recsys_wipe_free(als->gram, size * sizeof(*als->gram));
    cczi_recsys_wipe_free(als->partial, size * CCZI_GRAM_PARTS * sizeof(*als->partial));
    *als = (struct cczi_als){0};
}

uint64_t ccz_recsys_als_size(uint32_t users, uint32_t items, uint64_t ratings,
                             const struct ccz_recsys_als_cfg *cfg)
{
    if (cfg->factors == 0 || cfg->factors > CCZ_RECSYS_FACTORS_MAX ||
        ratings > CCZ_RECSYS_RATINGS_MAX)
        return UINT64_MAX;
    struct cczi_als als;
    plan(&als, cfg);
    const uint64_t rows = (uint64_t)users + items;
    uint64_t size = rows * sizeof(float) * (als.stride + (cfg->biases ? 1 : 0));
    size += als.work_size * als.cfg.threads + shared_size(&als);
    if (!cfg->by_item)
        size += ratings * (sizeof(uint32_t) + sizeof(float)) + ((uint64_t)items + 1) * 8;
    if (cfg->on_iteration && cfg->loss)
        size += (rows + users / ROWS_AT_ONCE + 1) * 8 + als.stride * als.stride * sizeof(double);
    return size;
}

/* ----------------------------------------------------------------------------------- iterations */

struct random_fill {
    struct ccz_recsys_factors *f;
    const struct ccz_recsys_als_cfg *cfg;
};

/* Each row has a stream of its own, so that threads do not matter. */
static ccz_rc fill(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct random_fill *r = arg;
    const double deviation = r->cfg->deviation > 0 ? (double)r->cfg->deviation : 0.1;
    const double scale = deviation / sqrt((double)r->f->factors);
    (void)err;
    for (size_t i = from; i < from + len; i++) {
        struct ccz_seeded s = ccz_seeded_from(r->cfg->seed, i);
        float *row = ccz_recsys_row(r->f, (uint32_t)i);
        for (uint32_t j = 0; j < r->f->factors; j++) {
            const float x = (float)(scale * ccz_seeded_normal(&s));
            row[j] = r->cfg->nonneg ? fabsf(x) : x;
        }
    }
    return CCZ_OK;
}

static float mean_of(const struct ccz_recsys_csr *m)
{
    double sum = 0;
    for (uint64_t i = 0; i < m->len; i++)
        sum += (double)m->value[i];
    return m->len ? (float)(sum / (double)m->len) : 0;
}

static ccz_rc tell(bool *stop, struct cczi_als *als, const struct ccz_recsys_model *model,
                   const struct ccz_recsys_csr *by_user, uint32_t iteration, struct ccz_err *err)
{
    const struct ccz_recsys_als_cfg *cfg = &als->cfg;
    struct ccz_recsys_als_step step = {.iteration = iteration, .loss = NAN, .model = model};
    *stop = false;
    if (!cfg->on_iteration)
        return CCZ_OK;
    const ccz_rc rc = cfg->loss ? cczi_als_loss(&step.loss, als, model, by_user, err) : CCZ_OK;
    if (rc == CCZ_OK)
        *stop = !cfg->on_iteration(cfg->arg, &step);
    return rc;
}

/* Users, then items. */
static ccz_rc iteration(struct cczi_als *als, struct ccz_recsys_model *m,
                        const struct ccz_recsys_csr *by_user, const struct ccz_recsys_csr *by_item,
                        struct ccz_err *err)
{
    const struct cczi_als_half halves[] = {
        {.rows = by_user, .fixed = &m->item, .out = &m->user, .mean = m->mean},
        {.rows = by_item, .fixed = &m->user, .out = &m->item, .mean = m->mean}};
    ccz_rc rc = CCZ_OK;
    for (int i = 0; rc == CCZ_OK && i < 2; i++) {
        rc = cczi_als_base(als, halves[i].fixed, err);
        if (rc == CCZ_OK)
            rc = cczi_als_sweep(als, &halves[i], err);
    }
    return rc;
}

static ccz_rc iterate(struct ccz_recsys_model *m, const struct ccz_recsys_csr *by_user,
                      const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_csr) made = NULL;
    const struct ccz_recsys_csr *by_item = cfg->by_item;
    ccz_rc rc = by_item ? CCZ_OK : ccz_recsys_csr_transpose(&made, by_user, err);
    struct cczi_als als = {0};
    if (rc == CCZ_OK)
        rc = cczi_als_init(&als, cfg, err);
    bool stop = false;
    for (uint32_t i = 1; rc == CCZ_OK && !stop && i <= cfg->iterations; i++) {
        rc = iteration(&als, m, by_user, by_item ? by_item : made, err);
        if (rc == CCZ_OK)
            rc = tell(&stop, &als, m, by_user, i, err);
    }
    cczi_als_deinit(&als);
    return rc;
}

static ccz_rc check_all(const struct ccz_recsys_csr *by_user, const struct ccz_recsys_als_cfg *cfg,
                        struct ccz_err *err)
{
    ccz_rc rc = cczi_als_check_cfg(cfg, err);
    if (rc == CCZ_OK)
        rc = check_iterations(cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_als_check_rows(by_user, cfg, err);
    const struct ccz_recsys_csr *t = cfg->by_item;
    if (rc == CCZ_OK && t &&
        (t->rows != by_user->cols || t->cols != by_user->rows || t->len != by_user->len))
        return ccz_fail(err, CCZ_E_ARG, "recsys:by-item", (int64_t)t->len,
                        "%u items and %u users, not %u and %u, or another number of ratings",
                        t->rows, t->cols, by_user->cols, by_user->rows);
    return rc == CCZ_OK && t ? cczi_als_check_rows(t, cfg, err) : rc;
}

/* The same, and a model that is of them. */
static ccz_rc check_with_model(const struct ccz_recsys_model *model,
                               const struct ccz_recsys_csr *by_user,
                               const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = check_all(by_user, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_als_check_model(model, cfg, err);
    return rc == CCZ_OK ? check_shape(model, by_user, err) : rc;
}

ccz_rc ccz_recsys_als_iterate(struct ccz_recsys_model *model, const struct ccz_recsys_csr *by_user,
                              const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = check_with_model(model, by_user, cfg, err);
    return rc == CCZ_OK ? iterate(model, by_user, cfg, err) : rc;
}

ccz_rc ccz_recsys_als_train(struct ccz_recsys_model **out, const struct ccz_recsys_csr *by_user,
                            const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_all(by_user, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_recsys_model) m = calloc(1, sizeof(*m));
    if (!m)
        return cczi_recsys_no_memory(err);
    rc = ccz_recsys_factors_init(&m->user, by_user->rows, cfg->factors, cfg->biases, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_factors_init(&m->item, by_user->cols, cfg->factors, cfg->biases, err);
    struct random_fill r = {.f = &m->item, .cfg = cfg};
    if (rc == CCZ_OK)
        rc = ccz_parallel(fill, &r, m->item.len, ROWS_AT_ONCE, cfg->threads, err);
    m->mean = cfg->biases ? mean_of(by_user) : 0;
    if (rc == CCZ_OK)
        rc = iterate(m, by_user, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_recsys_model_take(&m);
    return rc;
}

ccz_rc ccz_recsys_als_loss(double *loss, const struct ccz_recsys_model *model,
                           const struct ccz_recsys_csr *by_user,
                           const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err)
{
    *loss = 0;
    ccz_rc rc = check_with_model(model, by_user, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_als als;
    rc = cczi_als_init(&als, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_als_loss(loss, &als, model, by_user, err);
    cczi_als_deinit(&als);
    return rc;
}
