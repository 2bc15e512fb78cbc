/* SPDX-License-Identifier: Apache-2.0 */
#include "sboost/sboost_priv.h"

#include <cczoo/crypto.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRACTION_MIN = 8, FRACTION_MAX = 24, SUM_BITS = 62 };

/* ---------------------------------------------------------------------------- configuration */

unsigned cczi_sb_log2_up(uint64_t v)
{
    unsigned bits = 0;
    while (bits < 63 && (UINT64_C(1) << bits) < v)
        bits++;
    return bits;
}

static const char *flaw(const struct ccz_sboost_cfg *c)
{
    if (c->loss < CCZ_SBOOST_LOGISTIC || c->loss > CCZ_SBOOST_SOFTMAX)
        return "there is no such loss";
    if (c->loss == CCZ_SBOOST_SOFTMAX ? c->classes < 2 || c->classes > CCZ_SBOOST_CLASSES_MAX
                                      : c->classes != 0)
        return "classes are 2 to 64 with SOFTMAX, else 0";
    if (c->rounds == 0)
        return "rounds is 0";
    if ((uint64_t)c->rounds * cczi_sb_outputs(c) > CCZ_SBOOST_TREES_MAX) /* trees are numbered */
        return "there are more than 2^20 trees";
    if (c->depth > CCZ_SBOOST_DEPTH_MAX)
        return "depth is not 1 to 10";
    if (c->bins < 2 || c->bins > CCZ_SBOOST_BINS_MAX)
        return "bins is not 2 to 256";
    if (!(c->eta > 0 && c->eta <= 1))
        return "eta is not in (0, 1]";
    if (!(c->lambda >= 0 && c->lambda < 1e9) || !(c->gamma >= 0 && c->gamma < 1e9))
        return "lambda and gamma are numbers from 0 on";
    if (!(c->min_child > 0 && c->min_child < 1e9))
        return "min_child is above 0";
    if (!(c->goss_top >= 0 && c->goss_rest >= 0 && c->goss_top + c->goss_rest <= 1) ||
        (c->goss_top > 0) != (c->goss_rest > 0))
        return "goss_top and goss_rest are both 0, or both above and at most 1 together";
    return NULL;
}

ccz_rc cczi_sb_config(struct ccz_sboost_cfg *out, const struct ccz_sboost_cfg *cfg,
                      struct ccz_err *err)
{
    *out = *cfg;
    out->depth = cfg->depth ? cfg->depth : 5;
    out->bins = cfg->bins ? cfg->bins : 32;
    out->eta = cfg->eta != 0 ? cfg->eta : 0.3;
    out->min_child = cfg->min_child != 0 ? cfg->min_child : 1;
    const char *what = flaw(out);
    return what ? ccz_fail(err, CCZ_E_ARG, "sboost:config", 0, "%s", what) : CCZ_OK;
}

void cczi_sb_config_digest(uint8_t out[32], const struct ccz_sboost_cfg *c)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 256);
    ccz_buf_put_str(&b, "CCZ-sboost-cfg-1");
    const uint32_t ints[] = {(uint32_t)c->loss, c->classes, c->rounds, c->depth, c->bins};
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
        ccz_buf_le32(&b, ints[i]);
    const double reals[] = {c->eta, c->lambda, c->gamma, c->min_child, c->goss_top, c->goss_rest};
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
        uint64_t bits;
        memcpy(&bits, &reals[i], sizeof(bits));
        ccz_buf_le64(&b, bits);
    }
    if (b.bad || ccz_sha256(out, ccz_buf_span(&b)) != CCZ_OK)
        memset(out, 0, 32);
}

uint32_t cczi_sb_outputs(const struct ccz_sboost_cfg *cfg)
{
    return cfg->loss == CCZ_SBOOST_SOFTMAX ? cfg->classes : 1;
}

ccz_rc cczi_sb_labels_check(const struct ccz_sboost_data *d, const struct ccz_sboost_cfg *cfg,
                            struct ccz_err *err)
{
    if (!d->y)
        return ccz_fail(err, CCZ_E_ARG, "sboost:labels", 0, "the guest's data have no labels");
    uint32_t classes = cfg->loss == CCZ_SBOOST_SOFTMAX ? cfg->classes : 2;
    for (size_t i = 0; i < d->rows; i++) {
        double y = d->y[i];
        bool good =
            cfg->loss == CCZ_SBOOST_SQUARED ? isfinite(y) : y >= 0 && y < classes && y == floor(y);
        if (!good)
            return ccz_fail(err, CCZ_E_ARG, "sboost:labels", (int64_t)i,
                            "the label of row %zu is %g", i, y);
    }
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- the losses */

static double sigmoid(double z)
{
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

static void softmax(double *p, size_t len)
{
    double top = p[0], sum = 0;
    for (size_t k = 1; k < len; k++)
        top = fmax(top, p[k]);
    for (size_t k = 0; k < len; k++)
        sum += p[k] = exp(p[k] - top);
    for (size_t k = 0; k < len; k++)
        p[k] /= sum;
}

void cczi_sb_output(double *score, const struct ccz_sboost_cfg *cfg)
{
    if (cfg->loss == CCZ_SBOOST_LOGISTIC)
        score[0] = sigmoid(score[0]);
    else if (cfg->loss == CCZ_SBOOST_SOFTMAX)
        softmax(score, cfg->classes);
}

void cczi_sb_base(double *base, const struct ccz_sboost_data *d, const struct ccz_sboost_cfg *cfg)
{
    uint32_t outputs = cczi_sb_outputs(cfg);
    memset(base, 0, outputs * sizeof(*base));
    if (cfg->loss == CCZ_SBOOST_SOFTMAX)
        return;
    for (size_t i = 0; i < d->rows; i++)
        base[0] += d->y[i] / (double)d->rows;
    if (cfg->loss == CCZ_SBOOST_LOGISTIC) {
        double p = fmin(fmax(base[0], 1e-6), 1 - 1e-6);
        base[0] = log(p / (1 - p));
    }
}

double cczi_sb_mean_loss(const double *score, const double *y, size_t rows,
                         const struct ccz_sboost_cfg *cfg)
{
    uint32_t outputs = cczi_sb_outputs(cfg);
    double loss = 0, p[CCZ_SBOOST_CLASSES_MAX];
    for (size_t i = 0; i < rows; i++) {
        memcpy(p, score + i * outputs, outputs * sizeof(*p));
        if (cfg->loss == CCZ_SBOOST_SQUARED) {
            loss += (p[0] - y[i]) * (p[0] - y[i]) / 2;
        } else if (cfg->loss == CCZ_SBOOST_LOGISTIC) {
            loss += fmax(p[0], 0) - p[0] * y[i] + log1p(exp(-fabs(p[0])));
        } else {
            softmax(p, outputs);
            loss -= log(fmax(p[(size_t)y[i]], 1e-15));
        }
    }
    return loss / (double)rows;
}

/* First and second derivative at one row. */
static void derive(double *g, double *h, const double *score, double y, uint32_t k,
                   const struct ccz_sboost_cfg *cfg)
{
    double p[CCZ_SBOOST_CLASSES_MAX];
    memcpy(p, score, cczi_sb_outputs(cfg) * sizeof(*p));
    cczi_sb_output(p, cfg);
    *g = p[k] - (cfg->loss == CCZ_SBOOST_SOFTMAX ? y == k : y);
    *h = cfg->loss == CCZ_SBOOST_SQUARED ? 1 : p[k] * (1 - p[k]);
}

/* ----------------------------------------------------------------------------------- sampling */

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Rows of large |g|, and of the others some, weighted up so that sums keep their expectation. */
static void sample(struct cczi_sb_steps *s, double *g, double *h, double *sorted, size_t rows,
                   struct ccz_seeded rng, const struct ccz_sboost_cfg *cfg)
{
    size_t top = (size_t)ceil(cfg->goss_top * (double)rows);
    for (size_t i = 0; i < rows; i++)
        sorted[i] = fabs(g[i]);
    qsort(sorted, rows, sizeof(*sorted), descending);
    double least = sorted[top < rows ? top - 1 : rows - 1];
    double share = cfg->goss_rest / fmax(1 - cfg->goss_top, 1e-9), up = 1 / fmax(share, 1e-9);
    for (size_t i = 0; i < rows; i++) {
        bool large = fabs(g[i]) >= least;
        bool drawn = ccz_seeded_unit(&rng) < share;
        s->in[i] = large || drawn;
        if (!large && drawn) {
            g[i] *= up;
            h[i] *= up;
        }
    }
}

/* ---------------------------------------------------------------------------------- in steps */

ccz_rc cczi_sb_steps_new(struct cczi_sb_steps *s, size_t rows, struct ccz_err *err)
{
    unsigned log_rows = cczi_sb_log2_up(rows);
    *s = (struct cczi_sb_steps){0};
    /* sums: sign, g with 1 + fraction + log_rows bits, h with as many */
    unsigned fraction = (SUM_BITS - 3) / 2 - 1 - log_rows;
    s->fraction = fraction > FRACTION_MAX ? FRACTION_MAX : fraction;
    if (log_rows > (SUM_BITS - 3) / 2 - 1 - FRACTION_MIN)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "sboost:rows", (int64_t)rows,
                              (int64_t)1 << ((SUM_BITS - 3) / 2 - 1 - FRACTION_MIN));
    s->h_bits = s->fraction + log_rows + 1;
    s->bits = s->fraction + s->h_bits + 2;
    s->packed = malloc(rows * sizeof(*s->packed));
    s->in = malloc(rows);
    if (s->packed && s->in)
        return CCZ_OK;
    cczi_sb_steps_free(s);
    return cczi_sb_no_memory(err);
}

void cczi_sb_steps_free(struct cczi_sb_steps *s)
{
    free(s->packed);
    free(s->in);
    *s = (struct cczi_sb_steps){0};
}

void cczi_sb_steps_fill(struct cczi_sb_steps *s, double *tmp, const double *score, const double *y,
                        size_t rows, uint32_t k, struct ccz_seeded rng,
                        const struct ccz_sboost_cfg *cfg)
{
    uint32_t outputs = cczi_sb_outputs(cfg);
    double *g = tmp, *h = tmp + rows, g_top = 0, h_top = 0;
    memset(s->in, 1, rows);
    for (size_t i = 0; i < rows; i++)
        derive(&g[i], &h[i], score + i * outputs, y[i], k, cfg);
    if (cfg->goss_top > 0)
        sample(s, g, h, tmp + 2 * rows, rows, rng, cfg);
    for (size_t i = 0; i < rows; i++)
        if (s->in[i]) {
            g_top = fmax(g_top, fabs(g[i]));
            h_top = fmax(h_top, h[i]);
        }
    s->g_unit = ldexp(fmax(g_top, 1e-300), -(int)s->fraction);
    s->h_unit = ldexp(fmax(h_top, 1e-300), -(int)s->fraction);
    s->in_len = 0;
    for (size_t i = 0; i < rows; i++) {
        int64_t gi = s->in[i] ? (int64_t)rint(g[i] / s->g_unit) : 0;
        int64_t hi = s->in[i] ? (int64_t)rint(h[i] / s->h_unit) : 0;
        s->packed[i] = gi * ((int64_t)1 << s->h_bits) + hi;
        s->in_len += s->in[i];
    }
}

struct cczi_sb_sum cczi_sb_unpack(int64_t packed, const struct cczi_sb_steps *s)
{
    int64_t one = (int64_t)1 << s->h_bits, h = packed & (one - 1); /* two's complement: h >= 0 */
    return (struct cczi_sb_sum){(packed - h) / one, h};
}
