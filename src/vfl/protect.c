/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise on the gradients that leave the leader (Li et al., ICLR 2022). Why it is what it is, and the treatment of more than
 * two classes, which is our own: docs/design/vfl.md.
 */
#include "vfl/vfl_priv.h"

#include <stdlib.h>
#include <string.h>

#define POWER_DEFAULT 8.0
#define PI            3.14159265358979323846

/* ---------------------------------------------------------------------------------- noise */

struct ccz_vfl_noise {
    struct ccz_stream *stream;
    struct ccz_secret *seed;
    double spare; /* the second of two normal values */
    bool have_spare;
};

ccz_rc ccz_vfl_noise_new(struct ccz_vfl_noise **out, const struct ccz_secret *seed,
                         struct ccz_err *err)
{
    *out = NULL;
    if (!seed || ccz_secret_size(seed) != CCZ_STREAM_SEED_SIZE)
        return ccz_fail(err, CCZ_E_ARG, "vfl:noise-seed", 0, "a seed of %d bytes is needed",
                        CCZ_STREAM_SEED_SIZE);
    CCZ_AUTO(ccz_vfl_noise) n = calloc(1, sizeof(*n));
    if (!n || ccz_secret_from(&n->seed, ccz_secret_view(seed), ccz_secret_size(seed)) != CCZ_OK ||
        ccz_stream_new(&n->stream) != CCZ_OK)
        return cczi_vfl_no_memory(err);
    *out = ccz_vfl_noise_take(&n);
    return CCZ_OK;
}

void ccz_vfl_noise_free(struct ccz_vfl_noise *n)
{
    if (!n)
        return;
    ccz_stream_free(n->stream);
    ccz_secret_free(n->seed);
    ccz_wipe(n, sizeof(*n));
    free(n);
}

ccz_rc ccz_vfl_noise_start(struct ccz_vfl_noise *n, uint64_t step, uint32_t party,
                           struct ccz_err *err)
{
    /* Counter blocks of different steps and parties are 2^32 blocks of 16 bytes apart. */
    uint8_t iv[CCZ_STREAM_IV_SIZE] = {0};
    for (unsigned i = 0; i < 8; i++)
        iv[7 - i] = (uint8_t)(step >> (8 * i));
    for (unsigned i = 0; i < 4; i++)
        iv[11 - i] = (uint8_t)(party >> (8 * i));
    n->have_spare = false;
    ccz_rc rc = ccz_stream_start(n->stream, ccz_secret_view(n->seed), iv);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:noise", 0, "no random stream");
}

/* Box and Muller, Annals of Mathematical Statistics 29 (1958): two normal values of two uniform ones. */
static void pair_of(double *a, double *b, const uint64_t u[2])
{
    double radius = sqrt(-2 * log(((double)(u[0] >> 11) + 1) * 0x1p-53));
    double angle = 2 * PI * (double)(u[1] >> 11) * 0x1p-53;
    *a = radius * cos(angle);
    *b = radius * sin(angle);
}

ccz_rc ccz_vfl_noise_normal(float *out, size_t len, struct ccz_vfl_noise *n, struct ccz_err *err)
{
    uint64_t u[128];
    size_t done = 0;
    if (n->have_spare && len > 0) {
        out[done++] = (float)n->spare;
        n->have_spare = false;
    }
    while (done < len) {
        size_t pairs = (len - done + 1) / 2;
        pairs = pairs < 64 ? pairs : 64;
        if (ccz_stream_read(u, n->stream, pairs * 2 * sizeof(*u)) != CCZ_OK) {
            memset(out, 0, len * sizeof(*out));
            return ccz_fail(err, CCZ_E_INTERNAL, "vfl:noise", 0, "no random stream");
        }
        for (size_t i = 0; i < pairs; i++) {
            double a, b;
            pair_of(&a, &b, u + 2 * i);
            out[done++] = (float)a;
            if (done < len) {
                out[done++] = (float)b;
            } else {
                n->spare = b;
                n->have_spare = true;
            }
        }
    }
    ccz_wipe(u, sizeof(u));
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- Marvell */

/* The problem in total variances: A, B along, C, D across, of class 0 and 1. */
struct problem {
    double w[2];                        /* shares of the classes */
    double var_along[2], var_across[2]; /* of the gradients, per coordinate */
    double delta2, d, power;
};

/* 2 (KL + KL) + const, and so what is minimised; see equation (1) of the design note. */
static double divergence(const struct problem *p, const double along[2], const double across[2])
{
    double a = p->var_along[0] + along[0], b = p->var_along[1] + along[1];
    double c = p->var_across[0] + across[0], e = p->var_across[1] + across[1];
    double rest = p->d > 1 ? (p->d - 1) * (c / e + e / c) : 0;
    return rest + (a + p->delta2) / b + (b + p->delta2) / a;
}

/* Golden-section search of a function with one minimum; the position is searched in proportion. */
struct search {
    const struct problem *p;
    double across[2];
    double budget;   /* inner: of w0 along0 + w1 along1 */
    int class_;      /* outer: which class gets noise across */
    double along[2]; /* result */
    double value;
};
typedef double (*objective_fn)(struct search *s, double x);

static double golden(struct search *s, objective_fn f, double lo, double hi)
{
    static const double ratio = 0.6180339887498949;
    double a = lo, b = hi, x1 = b - ratio * (b - a), x2 = a + ratio * (b - a);
    double f1 = f(s, x1), f2 = f(s, x2);
    for (int i = 0; i < 64 && b - a > 1e-12 * (hi - lo); i++) {
        if (f1 <= f2) {
            b = x2;
            x2 = x1;
            f2 = f1;
            x1 = b - ratio * (b - a);
            f1 = f(s, x1);
        } else {
            a = x1;
            x1 = x2;
            f1 = f2;
            x2 = a + ratio * (b - a);
            f2 = f(s, x2);
        }
    }
    return (a + b) / 2;
}

/* All of the budget is spent, since more noise in proportion never hurts: class 0 gets x. */
static double inner(struct search *s, double x)
{
    const struct problem *p = s->p;
    s->along[0] = x;
    s->along[1] = (s->budget - p->w[0] * x) / p->w[1];
    if (s->along[1] < 0)
        s->along[1] = 0;
    return divergence(p, s->along, s->across);
}

/* The best noise along for x across. */
static double outer(struct search *s, double x)
{
    const struct problem *p = s->p;
    int c = s->class_;
    s->across[c] = x;
    s->across[1 - c] = 0;
    s->budget = p->power - (p->d - 1) * p->w[c] * x;
    double hi = s->budget / p->w[0];
    double at = hi > 0 ? golden(s, inner, 0, hi) : 0;
    s->value = inner(s, at);
    return s->value;
}

void ccz_vfl_marvell_solve(struct ccz_vfl_marvell *out, const struct ccz_vfl_spread spread[2],
                           double delta2, size_t d, double p, double power)
{
    struct problem pr = {
        .w = {1 - p, p}, .delta2 = delta2, .d = (double)d, .power = power > 0 ? power : 0};
    double sum = delta2;
    for (int c = 0; c < 2; c++)
        sum += spread[c].along + spread[c].across;
    for (int c = 0; c < 2; c++) { /* so that nothing is divided by zero */
        pr.var_along[c] = spread[c].along + 1e-9 * sum + 1e-300;
        pr.var_across[c] = spread[c].across + 1e-9 * sum + 1e-300;
    }
    struct search s = {.p = &pr, .class_ = pr.var_across[0] < pr.var_across[1] ? 0 : 1};
    int c = s.class_;
    /* Across, the class of less variance is raised towards the other; never beyond, and never both. */
    double most = d > 1 ? pr.power / (pr.w[c] * (pr.d - 1)) : 0;
    double gap = pr.var_across[1 - c] - pr.var_across[c];
    double hi = d > 1 ? (most < gap ? most : gap) : 0;
    (void)outer(&s, hi > 0 ? golden(&s, outer, 0, hi) : 0);
    double best = s.value, along[2] = {s.along[0], s.along[1]}, across = s.across[c];
    (void)outer(&s, 0); /* the end of the interval, which the search only comes near to */
    if (s.value <= best) {
        best = s.value;
        across = 0;
        along[0] = s.along[0];
        along[1] = s.along[1];
    }
    *out = (struct ccz_vfl_marvell){.along = {along[0], along[1]}, .sum_kl = best / 2 - pr.d};
    out->across[c] = across;
}

/* Means of the classes that occur, and variances about them. */
struct stats {
    size_t classes;     /* that occur */
    uint32_t *class_of; /* [rows], dense */
    size_t *count;      /* [classes] */
    float *mean;        /* [classes * width] */
    double *var;        /* [classes] per coordinate */
    float *all;         /* [width] mean of all rows */
    float *normal;      /* [max(classes, width)] */
};

static void stats_deinit(struct stats *s)
{
    free(s->class_of);
    free(s->count);
    free(s->mean);
    free(s->var);
    free(s->all);
    free(s->normal);
}

static bool stats_classes(struct stats *s, const struct ccz_vfl_labels *b)
{
    uint32_t *dense = calloc(b->classes, sizeof(*dense)); /* 0 = not seen, else number + 1 */
    s->class_of = calloc(b->rows, sizeof(*s->class_of));
    s->count = calloc(b->rows < b->classes ? b->rows : b->classes, sizeof(*s->count));
    bool good = dense && s->class_of && s->count;
    for (size_t i = 0; good && i < b->rows; i++) {
        if (!dense[b->label[i]])
            dense[b->label[i]] = (uint32_t)++s->classes;
        s->class_of[i] = dense[b->label[i]] - 1;
        s->count[s->class_of[i]]++;
    }
    free(dense);
    return good;
}

static bool stats_init(struct stats *s, const float *grad, size_t width,
                       const struct ccz_vfl_labels *b)
{
    *s = (struct stats){0};
    if (!stats_classes(s, b))
        return false;
    s->mean = calloc(s->classes * width, sizeof(*s->mean));
    s->var = calloc(s->classes, sizeof(*s->var));
    s->all = calloc(width, sizeof(*s->all));
    s->normal = calloc(s->classes > width ? s->classes : width, sizeof(*s->normal));
    if (!s->mean || !s->var || !s->all || !s->normal)
        return false;
    for (size_t i = 0; i < b->rows; i++)
        for (size_t k = 0; k < width; k++) {
            float g = grad[i * width + k];
            s->mean[s->class_of[i] * width + k] += g / (float)s->count[s->class_of[i]];
            s->all[k] += g / (float)b->rows;
        }
    for (size_t i = 0; i < b->rows; i++) {
        uint32_t c = s->class_of[i];
        double sum = 0;
        for (size_t k = 0; k < width; k++) {
            double x = (double)grad[i * width + k] - (double)s->mean[c * width + k];
            sum += x * x;
        }
        s->var[c] += sum / ((double)width * (double)s->count[c]);
    }
    return true;
}

static ccz_rc max_norm(float *grad, size_t width, size_t rows, struct ccz_vfl_noise *noise,
                       struct ccz_err *err)
{
    double most = 0;
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t k = 0; k < width; k++)
            sum += (double)grad[i * width + k] * (double)grad[i * width + k];
        most = sum > most ? sum : most;
    }
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        float z;
        for (size_t k = 0; k < width; k++)
            sum += (double)grad[i * width + k] * (double)grad[i * width + k];
        ccz_rc rc = ccz_vfl_noise_normal(&z, 1, noise, err);
        if (rc != CCZ_OK)
            return rc;
        double ratio = sum > 0 ? most / sum - 1 : 0;
        float factor = 1 + z * (float)sqrt(ratio > 0 ? ratio : 0);
        for (size_t k = 0; k < width; k++)
            grad[i * width + k] *= factor;
    }
    return CCZ_OK;
}

/* Adds N(0, variance) to one row in every direction, or in those across an axis. */
static ccz_rc add_across(float *row, size_t width, double variance, const float *axis,
                         double axis_square, struct stats *s, struct ccz_vfl_noise *noise,
                         struct ccz_err *err)
{
    if (variance <= 0)
        return CCZ_OK;
    ccz_rc rc = ccz_vfl_noise_normal(s->normal, width, noise, err);
    double part = 0;
    for (size_t k = 0; axis && k < width; k++)
        part += (double)s->normal[k] * (double)axis[k] / axis_square;
    for (size_t k = 0; rc == CCZ_OK && k < width; k++)
        row[k] += (float)sqrt(variance) * (s->normal[k] - (axis ? (float)part * axis[k] : 0));
    return rc;
}

/* Of both classes, along the difference of the means (in s->all) and across it. */
static void spread_of(struct ccz_vfl_spread spread[2], const struct stats *s, const float *grad,
                      size_t width, size_t rows, double delta2)
{
    double along[2] = {0, 0};
    for (size_t i = 0; i < rows; i++) {
        uint32_t c = s->class_of[i];
        double sum = 0;
        for (size_t k = 0; k < width; k++)
            sum +=
                ((double)grad[i * width + k] - (double)s->mean[c * width + k]) * (double)s->all[k];
        along[c] += sum * sum / delta2 / (double)s->count[c];
    }
    for (int c = 0; c < 2; c++) {
        double rest = s->var[c] * (double)width - along[c];
        spread[c].along = along[c];
        spread[c].across = width > 1 && rest > 0 ? rest / (double)(width - 1) : 0;
    }
}

static ccz_rc marvell_two(float *grad, size_t width, const struct ccz_vfl_labels *b,
                          struct stats *s, double power, struct ccz_vfl_noise *noise,
                          struct ccz_err *err)
{
    /* Dense class 1 plays the part of class 1: the optimum is symmetric. */
    double delta2 = 0;
    struct ccz_vfl_spread spread[2];
    for (size_t k = 0; k < width; k++) {
        s->all[k] = s->mean[width + k] - s->mean[k];
        delta2 += (double)s->all[k] * (double)s->all[k];
    }
    if (delta2 <= 0)
        return CCZ_OK;
    struct ccz_vfl_marvell m;
    spread_of(spread, s, grad, width, b->rows, delta2);
    ccz_vfl_marvell_solve(&m, spread, delta2, width, (double)s->count[1] / (double)b->rows,
                          power * delta2);
    for (size_t i = 0; i < b->rows; i++) {
        uint32_t c = s->class_of[i];
        float z, *row = grad + i * width;
        ccz_rc rc = ccz_vfl_noise_normal(&z, 1, noise, err);
        if (rc == CCZ_OK)
            rc = add_across(row, width, m.across[c], s->all, delta2, s, noise, err);
        if (rc != CCZ_OK)
            return rc;
        float factor = z * (float)sqrt(m.along[c] / delta2);
        for (size_t k = 0; k < width; k++)
            row[k] += factor * s->all[k];
    }
    return CCZ_OK;
}

/* Noise of covariance power * (scatter of the class means), and variances across made equal. */
static ccz_rc marvell_many(float *grad, size_t width, const struct ccz_vfl_labels *b,
                           struct stats *s, double power, struct ccz_vfl_noise *noise,
                           struct ccz_err *err)
{
    double most = 0;
    for (size_t c = 0; c < s->classes; c++) {
        most = s->var[c] > most ? s->var[c] : most;
        float weight = (float)sqrt(power * (double)s->count[c] / (double)b->rows);
        for (size_t k = 0; k < width; k++)
            s->mean[c * width + k] = weight * (s->mean[c * width + k] - s->all[k]);
    }
    for (size_t i = 0; i < b->rows; i++) {
        float *row = grad + i * width;
        ccz_rc rc = add_across(row, width, most - s->var[s->class_of[i]], NULL, 1, s, noise, err);
        if (rc == CCZ_OK)
            rc = ccz_vfl_noise_normal(s->normal, s->classes, noise, err);
        if (rc != CCZ_OK)
            return rc;
        for (size_t c = 0; c < s->classes; c++)
            for (size_t k = 0; k < width; k++)
                row[k] += s->normal[c] * s->mean[c * width + k];
    }
    return CCZ_OK;
}

ccz_rc ccz_vfl_protect(float *grad, size_t width, const struct ccz_vfl_labels *batch,
                       enum ccz_vfl_protect how, double power, struct ccz_vfl_noise *noise,
                       struct ccz_err *err)
{
    if (how == CCZ_VFL_PROTECT_NONE_INSECURE)
        return CCZ_OK;
    if (how == CCZ_VFL_MAX_NORM)
        return max_norm(grad, width, batch->rows, noise, err);
    if (batch->classes < 2)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_ARG, "vfl:protect", 0,
                                 "noise by class needs labels that are classes"),
                        "protect numbers with max-norm");
    struct stats s;
    power = power > 0 ? power : POWER_DEFAULT;
    ccz_rc rc = stats_init(&s, grad, width, batch) ? CCZ_OK : cczi_vfl_no_memory(err);
    if (rc == CCZ_OK && s.classes < 2) /* nothing to tell apart here, but other batches differ */
        rc = max_norm(grad, width, batch->rows, noise, err);
    else if (rc == CCZ_OK && s.classes == 2)
        rc = marvell_two(grad, width, batch, &s, power, noise, err);
    else if (rc == CCZ_OK)
        rc = marvell_many(grad, width, batch, &s, power, noise, err);
    stats_deinit(&s);
    return rc;
}
