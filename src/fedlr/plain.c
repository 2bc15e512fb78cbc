/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr/fedlr_priv.h"

#include <cczoo/dataset.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NEWTON_MAX = 100, REFERENCE_STEPS = 20, DEFAULT_STEPS = 20 };
#define DEFAULT_ETA 0.5
#define NEWTON_TOL  1e-10

ccz_rc cczi_fl_no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
}

void *cczi_fl_zeros(size_t len, size_t size)
{
    return calloc(len ? len : 1, size);
}

void cczi_fl_drop(void *p, size_t len, size_t size)
{
    if (p)
        ccz_wipe(p, len * size);
    free(p);
}

double cczi_fl_sigmoid(double z)
{
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

double cczi_fl_output(const struct ccz_fedlr_model *m, double z)
{
    return m->loss == CCZ_FEDLR_SQUARED ? z : cczi_fl_sigmoid(z);
}

double cczi_fl_score(const double *w, const double *x, size_t cols)
{
    double z = w[0];
    for (size_t j = 0; j < cols; j++)
        z += w[j + 1] * x[j];
    return z;
}

ccz_rc cczi_fl_model_new(struct ccz_fedlr_model **out, size_t len, struct ccz_err *err)
{
    *out = NULL;
    struct ccz_fedlr_model *m = calloc(1, sizeof(*m));
    if (m)
        m->w = cczi_fl_zeros(len, sizeof(*m->w));
    if (!m || !m->w) {
        free(m);
        return cczi_fl_no_memory(err);
    }
    m->len = len;
    *out = m;
    return CCZ_OK;
}

void ccz_fedlr_model_free(struct ccz_fedlr_model *m)
{
    if (!m)
        return;
    ccz_wipe(m->w, m->len * sizeof(*m->w));
    free(m->w);
    free(m);
}

ccz_rc ccz_fedlr_predict(double *p, const struct ccz_fedlr_model *m,
                         const struct ccz_fedlr_table *t, struct ccz_err *err)
{
    if (m->len != t->cols + 1)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "fedlr:columns", (int64_t)t->cols,
                              (int64_t)m->len - 1);
    for (size_t i = 0; i < t->rows; i++)
        p[i] = cczi_fl_output(m, cczi_fl_score(m->w, &t->x[i * t->cols], t->cols));
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- descent */

double cczi_fl_eta(const struct ccz_fedlr_cfg *cfg, uint64_t e)
{
    return (cfg->eta > 0 ? cfg->eta : DEFAULT_ETA) / sqrt(1 + cfg->decay * (double)e);
}

uint32_t cczi_fl_local_steps_of(const struct ccz_fedlr_cfg *cfg)
{
    return cfg->local_steps ? cfg->local_steps : DEFAULT_STEPS;
}

double cczi_fl_shrink(double w, double by)
{
    return w > by ? w - by : w < -by ? w + by : 0;
}

void cczi_fl_order(size_t *index, size_t rows, const struct ccz_fedlr_cfg *cfg, uint64_t e)
{
    for (size_t i = 0; i < rows; i++)
        index[i] = i;
    if (cfg->batch_rows > 0 && cfg->batch_rows < rows) {
        struct ccz_seeded r = ccz_seeded_from(cfg->seed, 2 + e);
        ccz_seeded_shuffle(index, rows, &r);
    }
}

/* g = mean of (sigmoid(w x) - y) x over len rows, with the gradient of the L2 penalty. */
static void gradient(double *g, const double *w, const struct ccz_fedlr_table *t,
                     const size_t *index, size_t len, double l2)
{
    memset(g, 0, (t->cols + 1) * sizeof(*g));
    for (size_t i = 0; i < len; i++) {
        const double *x = &t->x[index[i] * t->cols];
        double d = (cczi_fl_sigmoid(cczi_fl_score(w, x, t->cols)) - t->y[index[i]]) / (double)len;
        g[0] += d;
        for (size_t j = 0; j < t->cols; j++)
            g[j + 1] += d * x[j];
    }
    for (size_t j = 1; j <= t->cols; j++)
        g[j] += l2 * w[j];
}

ccz_rc cczi_fl_descend(double *w, const struct ccz_fedlr_table *t, const struct ccz_fedlr_cfg *cfg,
                       uint64_t round, struct ccz_err *err)
{
    double eta = cczi_fl_eta(cfg, round), *g = cczi_fl_zeros(t->cols + 1, sizeof(*g));
    size_t *index = cczi_fl_zeros(t->rows, sizeof(*index));
    size_t batch = cfg->batch_rows > 0 && cfg->batch_rows < t->rows ? cfg->batch_rows : t->rows;
    ccz_rc rc = g && index ? CCZ_OK : cczi_fl_no_memory(err);
    if (rc == CCZ_OK)
        cczi_fl_order(index, t->rows, cfg, round);
    for (size_t step = 0, at = 0; rc == CCZ_OK && step < cczi_fl_local_steps_of(cfg); step++) {
        size_t len = t->rows - at < batch ? t->rows - at : batch;
        gradient(g, w, t, index + at, len, cfg->l2);
        at = at + len == t->rows ? 0 : at + len;
        w[0] -= eta * g[0];
        for (size_t j = 1; j <= t->cols; j++)
            w[j] = cczi_fl_shrink(w[j] - eta * g[j], eta * cfg->l1);
    }
    cczi_fl_drop(g, t->cols + 1, sizeof(*g));
    free(index);
    return rc;
}

double cczi_fl_loss(const double *w, const struct ccz_fedlr_table *t,
                    const struct ccz_fedlr_cfg *cfg)
{
    double loss = 0;
    for (size_t i = 0; i < t->rows; i++) {
        double z = cczi_fl_score(w, &t->x[i * t->cols], t->cols);
        loss += cfg->loss == CCZ_FEDLR_SQUARED ? (z - t->y[i]) * (z - t->y[i]) / 2
                                               : fmax(z, 0) - z * t->y[i] + log1p(exp(-fabs(z)));
    }
    loss /= (double)t->rows;
    for (size_t j = 1; j <= t->cols; j++)
        loss += cfg->l1 * fabs(w[j]) + cfg->l2 / 2 * w[j] * w[j];
    return loss;
}

/* ------------------------------------------------------------- the affine map of local steps */

/* sum_i a_i x_i x_i^T into h and sum_i b_i x_i into c, with x_i0 = 1; a and b by the caller's line of row i. */
struct line {
    double slope, offset; /* sigmoid(z) is replaced by offset + slope z */
};

static void add_row(double *h, double *c, const double *x, size_t d, struct line l, double y)
{
    for (size_t i = 0; i < d; i++) {
        double xi = i ? x[i - 1] : 1;
        c[i] += (y - l.offset) * xi;
        for (size_t j = 0; j <= i; j++)
            h[i * d + j] += l.slope * xi * (j ? x[j - 1] : 1);
    }
}

/* out = a b, d x d. */
static void multiply(double *out, const double *a, const double *b, size_t d)
{
    memset(out, 0, d * d * sizeof(*out));
    for (size_t i = 0; i < d; i++)
        for (size_t k = 0; k < d; k++)
            for (size_t j = 0; j < d; j++)
                out[i * d + j] += a[i * d + k] * b[k * d + j];
}

/* One step is w <- a w + b. Composes `steps` of them: m = a^steps, c = sum of a^k b over k < steps. */
static void compose(double *m, double *c, const double *a, const double *b, uint32_t steps,
                    size_t d, double *tmp)
{
    memset(m, 0, d * d * sizeof(*m));
    for (size_t i = 0; i < d; i++)
        m[i * d + i] = 1;
    memset(c, 0, d * sizeof(*c));
    for (uint32_t s = 0; s < steps; s++) {
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < d; j++)
                c[i] += m[i * d + j] * b[j]; /* m is a^s here */
        multiply(tmp, m, a, d);
        memcpy(m, tmp, d * d * sizeof(*m));
    }
}

static ccz_rc reference(double *w, const struct ccz_fedlr_table *t, const struct ccz_fedlr_cfg *cfg,
                        struct ccz_err *err)
{
    struct ccz_fedlr_cfg own = *cfg;
    own.local_steps = REFERENCE_STEPS;
    own.batch_rows = 0;
    own.decay = 0;
    return cczi_fl_descend(w, t, &own, 0, err);
}

ccz_rc cczi_fl_affine(double *m, double *c, const struct ccz_fedlr_table *t,
                      const struct ccz_fedlr_cfg *cfg, uint64_t round, struct ccz_err *err)
{
    size_t d = t->cols + 1;
    double eta = cczi_fl_eta(cfg, round);
    double *h = cczi_fl_zeros(d * d, sizeof(*h)), *b = cczi_fl_zeros(d, sizeof(*b));
    double *w = cczi_fl_zeros(d, sizeof(*w)), *tmp = cczi_fl_zeros(d * d, sizeof(*tmp));
    ccz_rc rc = h && b && w && tmp ? CCZ_OK : cczi_fl_no_memory(err);
    if (rc == CCZ_OK && cfg->sigmoid == CCZ_FEDLR_TANGENT)
        rc = reference(w, t, cfg, err);
    if (rc == CCZ_OK) {
        for (size_t i = 0; i < t->rows; i++) {
            const double *x = &t->x[i * t->cols];
            double z = cczi_fl_score(w, x, t->cols), p = cczi_fl_sigmoid(z); /* w = 0: slope 0.25 */
            struct line l = {p * (1 - p), p - p * (1 - p) * z};
            add_row(h, b, x, d, l, t->y[i]);
        }
        double scale = eta / (double)t->rows;
        for (size_t i = 0; i < d; i++) {
            b[i] *= scale;
            for (size_t j = 0; j <= i; j++) {
                double v = -scale * h[i * d + j] - (i == j && i > 0 ? eta * cfg->l2 : 0);
                h[i * d + j] = h[j * d + i] = v;
            }
            h[i * d + i] += 1;
        }
        compose(m, c, h, b, cczi_fl_local_steps_of(cfg), d, tmp);
    }
    cczi_fl_drop(h, d * d, sizeof(*h));
    cczi_fl_drop(b, d, sizeof(*b));
    cczi_fl_drop(w, d, sizeof(*w));
    cczi_fl_drop(tmp, d * d, sizeof(*tmp));
    return rc;
}

/* ------------------------------------------------------------------------- the baseline */

/* Solves h x = g in place (h symmetric, positive definite; x in g); false if it is not. */
static bool solve(double *h, double *g, size_t d)
{
    for (size_t j = 0; j < d; j++) {
        for (size_t k = 0; k < j; k++)
            h[j * d + j] -= h[j * d + k] * h[j * d + k];
        if (!(h[j * d + j] > 1e-14))
            return false;
        h[j * d + j] = sqrt(h[j * d + j]);
        for (size_t i = j + 1; i < d; i++) {
            for (size_t k = 0; k < j; k++)
                h[i * d + j] -= h[i * d + k] * h[j * d + k];
            h[i * d + j] /= h[j * d + j];
        }
    }
    for (size_t i = 0; i < d; i++) {
        for (size_t k = 0; k < i; k++)
            g[i] -= h[i * d + k] * g[k];
        g[i] /= h[i * d + i];
    }
    for (size_t i = d; i-- > 0;) {
        for (size_t k = i + 1; k < d; k++)
            g[i] -= h[k * d + i] * g[k];
        g[i] /= h[i * d + i];
    }
    return true;
}

/* One Newton step with halving; @return the size of the step, < 0 if none is possible. */
static double newton_step(double *w, double *h, double *g, double *trial,
                          const struct ccz_fedlr_table *t, const struct ccz_fedlr_cfg *cfg)
{
    size_t d = t->cols + 1;
    memset(h, 0, d * d * sizeof(*h));
    memset(g, 0, d * sizeof(*g));
    for (size_t i = 0; i < t->rows; i++) {
        const double *x = &t->x[i * t->cols];
        double z = cczi_fl_score(w, x, t->cols), p = cczi_fl_sigmoid(z);
        struct line line =
            cfg->loss == CCZ_FEDLR_SQUARED ? (struct line){1, z} : (struct line){p * (1 - p), p};
        add_row(h, g, x, d, line, t->y[i]);
    }
    for (size_t i = 0; i < d; i++) {
        double l2 = i ? cfg->l2 : 0;
        g[i] = g[i] / (double)t->rows - l2 * w[i];
        for (size_t j = 0; j <= i; j++)
            h[i * d + j] /= (double)t->rows;
        h[i * d + i] += l2;
    }
    if (!solve(h, g, d))
        return -1;
    double before = cczi_fl_loss(w, t, cfg), size = 0;
    for (double f = 1; f > 1e-6; f /= 2) {
        for (size_t i = 0; i < d; i++)
            trial[i] = w[i] + f * g[i];
        if (cczi_fl_loss(trial, t, cfg) <= before + 1e-15)
            break;
    }
    for (size_t i = 0; i < d; i++)
        size = fmax(size, fabs(trial[i] - w[i]));
    memcpy(w, trial, d * sizeof(*w));
    return size;
}

ccz_rc ccz_fedlr_train_central(struct ccz_fedlr_model **out, const struct ccz_fedlr_table *t,
                               double l2, struct ccz_err *err)
{
    return ccz_fedlr_fit_central(out, t, CCZ_FEDLR_LOGISTIC, l2, err);
}

ccz_rc ccz_fedlr_fit_central(struct ccz_fedlr_model **out, const struct ccz_fedlr_table *t,
                             enum ccz_fedlr_loss loss, double l2, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_fedlr_model) m = NULL;
    const struct ccz_fedlr_cfg cfg = {.l2 = l2, .loss = loss};
    size_t d = t->cols + 1;
    if (!t->y)
        return ccz_fail(err, CCZ_E_ARG, "fedlr:no-labels", 0, "the table has no labels");
    ccz_rc rc = cczi_fl_model_new(&m, d, err);
    double *h = cczi_fl_zeros(d * d, sizeof(*h)), *g = cczi_fl_zeros(2 * d, sizeof(*g));
    if (rc == CCZ_OK && (!h || !g))
        rc = cczi_fl_no_memory(err);
    double size = 1;
    for (int i = 0; rc == CCZ_OK && size > NEWTON_TOL; i++) {
        size = i < NEWTON_MAX ? newton_step(m->w, h, g, g + d, t, &cfg) : -1;
        if (size < 0)
            rc = ccz_hint(err,
                          ccz_fail(err, CCZ_E_INTERNAL, "fedlr:newton", i,
                                   "no minimum found after %d steps", i),
                          "separable data need a penalty l2 > 0");
    }
    free(h);
    free(g);
    if (rc == CCZ_OK) {
        m->converged = true;
        m->loss = loss;
        *out = ccz_fedlr_model_take(&m);
    }
    return rc;
}
