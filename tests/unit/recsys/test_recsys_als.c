/* SPDX-License-Identifier: Apache-2.0 */
/* Training against a dense reference in long double, and what has to hold whatever the numbers are. */
#include "als_kit.h"
#include "refused.h"

#include <limits.h>
#include <recsys/als_priv.h>

enum { USERS = 41, ITEMS = 29 };
static const char *const tiers[] = {"portable", "avx2", "avx512"};
enum { TIERS = sizeof(tiers) / sizeof(tiers[0]) };

struct kind {
    enum ccz_recsys_als_kind kind;
    bool biases;
};
static const struct kind kinds[] = {{CCZ_RECSYS_IMPLICIT_HKV, false},
                                    {CCZ_RECSYS_IMPLICIT_IALS, false},
                                    {CCZ_RECSYS_EXPLICIT, false},
                                    {CCZ_RECSYS_EXPLICIT, true}};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* Rows of one side, from the other side's, by the reference. Returns the largest difference, relative to the largest value. */
static double off_by(const struct ccz_recsys_als_cfg *cfg, const struct ccz_recsys_csr *rows,
                     const struct ccz_recsys_factors *got, const struct ccz_recsys_factors *other,
                     float mean)
{
    static struct dense d;
    double off = 0;
    for (uint32_t r = 0; r < rows->rows; r++) {
        const bool empty = rows->start[r] == rows->start[r + 1];
        dense_system(&d, cfg, rows, r, other, mean);
        if (empty)
            memset(d.x, 0, sizeof(d.x));
        else
            dense_solve(&d);
        for (size_t j = 0; j < d.len; j++) {
            const float x = j < got->factors ? ccz_recsys_row(got, r)[j] : got->bias[r];
            off = fmax(off, (double)fabsl(d.x[j] - (long double)x));
            CHECK(!empty || x == 0);
        }
        for (size_t j = got->factors; j < got->stride; j++)
            CHECK(ccz_recsys_row(got, r)[j] == 0);
    }
    return off / largest(got);
}

/* Normal numbers. */
static struct ccz_recsys_model *random_model(uint32_t users, uint32_t items,
                                             const struct ccz_recsys_als_cfg *cfg)
{
    struct ccz_recsys_model *m = calloc(1, sizeof(*m));
    struct ccz_seeded rnd = ccz_seeded_from(cfg->seed, 77);
    struct ccz_err err = {0};
    CHECK(m);
    for (int side = 0; side < 2; side++) {
        struct ccz_recsys_factors *f = side ? &m->item : &m->user;
        CHECK(ccz_recsys_factors_init(f, side ? items : users, cfg->factors, cfg->biases, &err) ==
              CCZ_OK);
        for (uint32_t i = 0; i < f->len; i++)
            for (uint32_t j = 0; j < f->factors; j++)
                ccz_recsys_row(f, i)[j] = (float)ccz_seeded_normal(&rnd);
        for (uint32_t i = 0; f->bias && i < f->len; i++)
            f->bias[i] = (float)ccz_seeded_normal(&rnd);
    }
    m->mean = cfg->biases ? 3.25f : 0;
    return m;
}

static void sweep_is_exact(const struct ccz_recsys_csr *m, const struct ccz_recsys_csr *t,
                           const struct ccz_recsys_als_cfg *cfg)
{
    struct ccz_err err = {0};
    struct ccz_recsys_model *model = random_model(m->rows, m->cols, cfg);
    struct ccz_recsys_factors before = copy_of(&model->item);
    CHECK(ccz_recsys_als_iterate(model, m, cfg, &err) == CCZ_OK);
    CHECK(off_by(cfg, m, &model->user, &before, model->mean) < 1e-4);
    CHECK(off_by(cfg, t, &model->item, &model->user, model->mean) < 1e-4);
    ccz_recsys_factors_deinit(&before);
    ccz_recsys_model_free(model);
}

static void exact(void)
{
    static const uint32_t factors[] = {1, 5, 16, 17, 33};
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 1);
    CCZ_AUTO(ccz_recsys_csr) t = NULL;
    CHECK(ccz_recsys_csr_transpose(&t, m, &err) == CCZ_OK);
    for (int tier = 0; tier < TIERS; tier++)
        for (int k = 0; k < KINDS && cczi_als_kernels(tiers[tier]); k++)
            for (size_t f = 0; f < sizeof(factors) / sizeof(factors[0]); f++) {
                struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, factors[f]);
                cfg.tier = tiers[tier];
                cfg.by_item = f % 2 ? t : NULL;
                sweep_is_exact(m, t, &cfg);
            }
}

/* More ratings in a row than a panel holds. */
static void long_rows(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(5, 700, 0.5, 2);
    CCZ_AUTO(ccz_recsys_csr) t = NULL;
    CHECK(ccz_recsys_csr_transpose(&t, m, &err) == CCZ_OK);
    for (int k = 0; k < KINDS; k++) {
        const struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 37);
        sweep_is_exact(m, t, &cfg);
    }
}

/* What float cannot solve: regularization less than a millionth of everything else, more factors than ratings. */
static void hardly_regular(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(30, 20, 0.3, 2);
    CCZ_AUTO(ccz_recsys_csr) t = NULL;
    CHECK(ccz_recsys_csr_transpose(&t, m, &err) == CCZ_OK);
    for (int k = 0; k < KINDS; k++) {
        struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 50);
        cfg.reg = 1e-7f;
        sweep_is_exact(m, t, &cfg);
    }
}

/* Plays from 1 to 100,000 weighed by 40, fewer of them than factors: what few ratings say is far larger than all the rest. */
static void play_counts(void)
{
    enum { LISTENERS = 20, SONGS = 400, FACTORS = 64 };
    struct ccz_err err = {0};
    struct ccz_recsys_als_cfg cfg = cfg_of(CCZ_RECSYS_IMPLICIT_HKV, false, FACTORS);
    cfg.alpha = 40;
    cfg.reg = 0.01f;
    CCZ_AUTO(ccz_recsys_csr) m = feedback(LISTENERS, SONGS, 0.1, 2);
    struct ccz_seeded rnd = ccz_seeded_from(5, 0);
    for (uint64_t i = 0; i < m->len; i++)
        m->value[i] = (float)floor(exp(ccz_seeded_unit(&rnd) * log(1e5)) + 0.5);
    struct ccz_recsys_model *model = random_model(LISTENERS, SONGS, &cfg);
    struct ccz_recsys_factors got;
    CHECK(ccz_recsys_als_fold_in(&got, model, m, CCZ_RECSYS_USERS, &cfg, &err) == CCZ_OK);
    const double off = off_by(&cfg, m, &got, &model->item, 0);
    CHECK(off < 2e-4);
    ccz_recsys_factors_deinit(&got);
    ccz_recsys_model_free(model);
}

static void cg(void)
{
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 3);
    for (int tier = 0; tier < TIERS; tier++)
        for (int k = 0; k < KINDS && cczi_als_kernels(tiers[tier]); k++) {
            struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 19);
            cfg.reg *= 4;
            cfg.tier = tiers[tier];
            struct ccz_recsys_model *want = trained(m, &cfg);
            cfg.solver = CCZ_RECSYS_ALS_CG;
            double last = INFINITY;
            for (uint32_t steps = 2; steps <= 64; steps *= 2) { /* nearer and nearer */
                cfg.cg_steps = steps;
                struct ccz_recsys_model *got = trained(m, &cfg);
                const double off = distance(&got->user, &want->user) / largest(&want->user);
                CHECK(off < last || off < 1e-4);
                last = off;
                if (steps == 64) {
                    CHECK(off < 1e-4);
                    CHECK(distance(&got->item, &want->item) < 1e-3 * largest(&want->item));
                }
                ccz_recsys_model_free(got);
            }
            cfg.cg_steps = 3;
            struct ccz_recsys_model *three = trained(m, &cfg);
            cfg.cg_steps = 0;
            struct ccz_recsys_model *zero = trained(m, &cfg);
            CHECK(same_bits(&zero->item, &three->item));
            ccz_recsys_model_free(three);
            ccz_recsys_model_free(zero);
            ccz_recsys_model_free(want);
        }
}

static void cg_is_exact(const struct ccz_recsys_csr *m, struct ccz_recsys_als_cfg cfg)
{
    struct ccz_err err = {0};
    struct ccz_recsys_model *model = random_model(m->rows, m->cols, &cfg);
    struct ccz_recsys_factors want;
    CHECK(ccz_recsys_als_fold_in(&want, model, m, CCZ_RECSYS_USERS, &cfg, &err) == CCZ_OK);
    cfg.solver = CCZ_RECSYS_ALS_CG;
    cfg.cg_steps = 200;
    for (size_t i = 0; i < (size_t)model->user.len * model->user.stride; i++)
        model->user.v[i] *= 0.01f; /* as small as solutions are */
    CHECK(ccz_recsys_als_iterate(model, m, &cfg, &err) == CCZ_OK);
    CHECK(distance(&model->user, &want) < 1e-3 * largest(&want));
    ccz_recsys_factors_deinit(&want);
    ccz_recsys_model_free(model);
}

/* Rows whose weights have to be found again for each product. */
static void cg_long_rows(void)
{
    CCZ_AUTO(ccz_recsys_csr) m = feedback(4, 10000, 0.5, 4);
    CHECK(m->start[1] > (uint64_t)2 * CCZI_ALS_TERMS);
    for (int k = 0; k < KINDS; k++)
        cg_is_exact(m, cfg_of(kinds[k].kind, kinds[k].biases, 20));
}

/* Kernels have code of their own for each of the smaller widths. */
static void cg_widths(void)
{
    CCZ_AUTO(ccz_recsys_csr) m = feedback(12, 60, 0.5, 5);
    for (int tier = 0; tier < TIERS; tier++)
        for (int k = 0; k < KINDS && cczi_als_kernels(tiers[tier]); k++)
            for (uint32_t f = 11; f < 160; f += 15) {
                struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, f);
                cfg.tier = tiers[tier];
                cfg.reg *= 10;
                cg_is_exact(m, cfg);
            }
}

static void loss_is_the_sum(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 6);
    for (int k = 0; k < KINDS; k++) {
        const struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 11);
        struct ccz_recsys_model *model = trained(m, &cfg);
        double got;
        CHECK(ccz_recsys_als_loss(&got, model, m, &cfg, &err) == CCZ_OK);
        const double want = (double)dense_loss(&cfg, m, model);
        CHECK(fabs(got - want) < 1e-5 * want);
        ccz_recsys_model_free(model);
    }
}

struct falls {
    double last;
    uint32_t calls, stop_at;
    const struct ccz_recsys_csr *m;
    const struct ccz_recsys_als_cfg *cfg;
};

static bool falls(void *arg, const struct ccz_recsys_als_step *step)
{
    struct falls *f = arg;
    CHECK(step->iteration == ++f->calls && step->model->user.len == USERS);
    CHECK(step->loss <= f->last * (1 + 1e-6));
    f->last = step->loss;
    if (f->calls == 2)
        CHECK(fabs((double)dense_loss(f->cfg, f->m, step->model) - step->loss) < 1e-5 * step->loss);
    return step->iteration != f->stop_at;
}

static void loss_falls(void)
{
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 7);
    for (int k = 0; k < KINDS; k++)
        for (int nonneg = 0; nonneg < 2; nonneg++) {
            struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 13);
            struct falls f = {.last = INFINITY, .m = m, .cfg = &cfg};
            cfg.nonneg = nonneg && !cfg.biases;
            cfg.iterations = 12;
            cfg.loss = true;
            cfg.on_iteration = falls;
            cfg.arg = &f;
            ccz_recsys_model_free(trained(m, &cfg));
            CHECK(f.calls == 12);
        }
}

static bool no_loss(void *arg, const struct ccz_recsys_als_step *step)
{
    CHECK(isnan(step->loss));
    return ++*(uint32_t *)arg < 3;
}

static void stops(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 7);
    struct ccz_recsys_als_cfg cfg = cfg_of(CCZ_RECSYS_IMPLICIT_HKV, false, 9);
    uint32_t calls = 0;
    cfg.iterations = 9;
    cfg.on_iteration = no_loss;
    cfg.arg = &calls;
    struct ccz_recsys_model *stopped = trained(m, &cfg);
    CHECK(calls == 3);
    cfg.on_iteration = NULL;
    cfg.iterations = 2;
    struct ccz_recsys_model *whole = trained(m, &cfg);
    cfg.iterations = 1;
    CHECK(!same_bits(&whole->item, &stopped->item));
    CHECK(ccz_recsys_als_iterate(whole, m, &cfg, &err) == CCZ_OK); /* 2 and 1 are 3 */
    CHECK(same_bits(&whole->item, &stopped->item) && same_bits(&whole->user, &stopped->user));
    ccz_recsys_model_free(stopped);
    ccz_recsys_model_free(whole);
}

/* x >= 0; gradients 0 where x is above 0, not below 0 where it is 0. */
static void check_kkt(const struct ccz_recsys_als_cfg *cfg, const struct ccz_recsys_csr *rows,
                      const struct ccz_recsys_factors *got, const struct ccz_recsys_factors *other,
                      size_t *zeros)
{
    static struct dense d;
    for (uint32_t r = 0; r < rows->rows; r++) {
        long double most = 0;
        if (rows->start[r] == rows->start[r + 1])
            continue;
        dense_system(&d, cfg, rows, r, other, 0);
        for (size_t i = 0; i < d.len; i++)
            most = fmaxl(most, fabsl(d.b[i]));
        for (size_t i = 0; i < d.len; i++) {
            long double g = -d.b[i];
            const float *x = ccz_recsys_row(got, r);
            CHECK(x[i] >= 0);
            for (size_t j = 0; j < d.len; j++)
                g += d.a[i][j] * (long double)x[j];
            CHECK(x[i] > 0 ? fabsl(g) < 1e-4L * most : g > -1e-4L * most);
            *zeros += !(x[i] > 0);
        }
    }
}

static void nonneg(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 8);
    CCZ_AUTO(ccz_recsys_csr) t = NULL;
    CHECK(ccz_recsys_csr_transpose(&t, m, &err) == CCZ_OK);
    for (int k = 0; k < KINDS; k++)
        for (uint32_t f = 3; f < 40; f += 17) {
            struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, false, f);
            size_t zeros = 0;
            cfg.nonneg = true;
            struct ccz_recsys_model *model = trained(m, &cfg);
            for (int i = 0; i < 2; i++) {
                struct ccz_recsys_factors before = copy_of(&model->item);
                CHECK(ccz_recsys_als_iterate(model, m, &cfg, &err) == CCZ_OK);
                check_kkt(&cfg, m, &model->user, &before, &zeros);
                check_kkt(&cfg, t, &model->item, &model->user, &zeros);
                ccz_recsys_factors_deinit(&before);
            }
            CHECK(zeros > 0 && zeros < 2 * f * (USERS + ITEMS)); /* the bound was of use */
            ccz_recsys_model_free(model);
        }
}

static void threads(void)
{
    static const unsigned counts[] = {1, 2, 3, 8};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(300, 150, 0.1, 9);
    for (int k = 0; k < KINDS; k++)
        for (int how = 0; how < 3; how++) {
            struct ccz_recsys_model *first = NULL;
            double loss[2];
            struct ccz_err err = {0};
            for (int i = 0; i < 4; i++) {
                struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 20);
                cfg.iterations = 3;
                cfg.threads = counts[i];
                cfg.solver = how == 1 ? CCZ_RECSYS_ALS_CG : CCZ_RECSYS_ALS_EXACT;
                cfg.nonneg = how == 2 && !cfg.biases;
                struct ccz_recsys_model *model = trained(m, &cfg);
                CHECK(ccz_recsys_als_loss(&loss[i > 0], model, m, &cfg, &err) == CCZ_OK);
                if (!first) {
                    first = model;
                    continue;
                }
                CHECK(same_bits(&model->user, &first->user));
                CHECK(same_bits(&model->item, &first->item) && model->mean == first->mean);
                CHECK(loss[0] == loss[1]);
                ccz_recsys_model_free(model);
            }
            ccz_recsys_model_free(first);
        }
}

static void seeds(void)
{
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 9);
    struct ccz_recsys_als_cfg cfg = cfg_of(CCZ_RECSYS_IMPLICIT_HKV, false, 20);
    struct ccz_recsys_model *a = trained(m, &cfg), *b = trained(m, &cfg);
    cfg.seed++;
    struct ccz_recsys_model *c = trained(m, &cfg);
    CHECK(same_bits(&a->item, &b->item) && !same_bits(&a->item, &c->item));
    ccz_recsys_model_free(a);
    ccz_recsys_model_free(b);
    ccz_recsys_model_free(c);
}

static void tiers_agree(void)
{
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 10);
    int compared = 0;
    for (int k = 0; k < KINDS; k++)
        for (int how = 0; how < 3; how++) {
            struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 24);
            cfg.solver = how == 1 ? CCZ_RECSYS_ALS_CG : CCZ_RECSYS_ALS_EXACT;
            cfg.nonneg = how == 2 && !cfg.biases;
            cfg.tier = tiers[0];
            struct ccz_recsys_model *want = trained(m, &cfg);
            for (int tier = 1; tier < TIERS; tier++) {
                if (!cczi_als_kernels(tiers[tier]))
                    continue;
                cfg.tier = tiers[tier];
                CHECK(strcmp(cczi_als_kernels(tiers[tier])->name, tiers[tier]) == 0);
                struct ccz_recsys_model *got = trained(m, &cfg);
                CHECK(distance(&got->user, &want->user) < 1e-4 * largest(&want->user));
                CHECK(distance(&got->item, &want->item) < 1e-3 * largest(&want->item));
                ccz_recsys_model_free(got);
                compared++;
            }
            ccz_recsys_model_free(want);
        }
    CHECK(compared == KINDS * 3 * (ccz_cpu()->best < CCZ_CPU_AVX512 ? (int)ccz_cpu()->best : 2));
}

/* A tier that computes something else does not pass. */
static float wrong_dot(const float *x, const float *y, size_t dims)
{
    return cczi_als_portable.dot(x, y, dims) * 1.01f;
}
static bool wrong_solve(float *x, float *a, float *inverse, float *limit, size_t dims,
                        float tolerance)
{
    const bool ok = cczi_als_portable.solve(x, a, inverse, limit, dims, tolerance);
    x[dims - 1] = NAN;
    return ok;
}
static void wrong_syrk(float *a, size_t dims, const float *p, size_t stride, size_t len)
{
    cczi_als_portable.syrk(a, dims, p, stride, len - 1);
}
static void wrong_product(float *out, const float *a, const float *x, size_t dims)
{
    cczi_als_portable.minus_product(out, a, x, dims);
    out[17] += 1;
}
static void wrong_residual(float *out, const float *y, size_t stride, const uint32_t *col,
                           size_t one, const float *t, const float *w, const float *x, size_t len)
{
    cczi_als_portable.residual(out, y, stride, col, one, t, w, x, len - CCZI_ALS_BLOCK);
}
static float wrong_curvature(const float *y, size_t stride, const uint32_t *col, size_t one,
                             const float *w, const float *x, size_t len)
{
    return cczi_als_portable.curvature(y, stride, col, 0 * one, w, x, len);
}
static float wrong_quadratic(const float *a, const float *x, size_t dims)
{
    return cczi_als_portable.quadratic(a, x, dims - CCZI_ALS_BLOCK);
}
static void wrong_gram(double *out, size_t dims, const float *y, size_t len)
{
    cczi_als_portable.gram(out, dims, y, len);
    out[dims] += 1e-9;
}
static void wrong_gather(float *p, float *b, size_t dims, const float *y, size_t stride,
                         const uint32_t *col, const float *s, const float *t, size_t len)
{
    cczi_als_portable.gather(p, b, dims, y, stride, col, NULL, t, len);
    (void)s;
}
static void wrong_axpy(float *y, float a, const float *x, size_t dims)
{
    cczi_als_portable.axpy(y, -a, x, dims);
}

/* Only at one width, which has or has not code of its own. */
static size_t wrong_stride;
static void wrong_width(float *out, const float *y, size_t stride, const uint32_t *col, size_t one,
                        const float *t, const float *w, const float *x, size_t len)
{
    cczi_als_portable.residual(out, y, stride, col, one, t, w, x, len);
    if (stride == wrong_stride)
        out[3] *= 1.01f;
}

static void self_test(void)
{
    struct cczi_als_kernels wrong[9];
    CHECK(cczi_als_self_test(&cczi_als_portable));
    for (int i = 0; i < 9; i++)
        wrong[i] = cczi_als_portable;
    wrong[0].dot = wrong_dot;
    wrong[1].solve = wrong_solve;
    wrong[2].syrk = wrong_syrk;
    wrong[3].minus_product = wrong_product;
    wrong[4].residual = wrong_residual;
    wrong[5].curvature = wrong_curvature;
    wrong[6].quadratic = wrong_quadratic;
    wrong[7].gram = wrong_gram;
    wrong[8].gather = wrong_gather;
    for (int i = 0; i < 9; i++)
        CHECK(!cczi_als_self_test(&wrong[i]));
    wrong[0] = cczi_als_portable;
    wrong[0].axpy = wrong_axpy;
    CHECK(!cczi_als_self_test(&wrong[0]));
    wrong[0] = cczi_als_portable;
    wrong[0].residual = wrong_width;
    for (wrong_stride = 16; wrong_stride <= 144; wrong_stride += 16)
        CHECK(!cczi_als_self_test(&wrong[0]));
}

/* What the environment chooses, if it does. */
static void choice(void)
{
    const char *want = getenv("CCZOO_CPU");
    const struct cczi_als_kernels *k = cczi_als_kernels(NULL);
    CHECK(k && !cczi_als_kernels("ifma") && !cczi_als_kernels("none"));
    if (want && cczi_als_kernels(want))
        CHECK(strcmp(k->name, want) == 0);
}

/* ------------------------------------------------------------------------------------- fold-in */

static void fold(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 11);
    CCZ_AUTO(ccz_recsys_csr) t = NULL;
    CHECK(ccz_recsys_csr_transpose(&t, m, &err) == CCZ_OK);
    for (int k = 0; k < KINDS; k++)
        for (int nonneg = 0; nonneg < 2; nonneg++) {
            struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 21);
            struct ccz_recsys_factors users, items;
            cfg.nonneg = nonneg && !cfg.biases;
            struct ccz_recsys_model *old = trained(m, &cfg), *model = trained(m, &cfg);
            CHECK(ccz_recsys_als_iterate(model, m, &cfg, &err) == CCZ_OK);
            cfg.solver = cfg.nonneg ? CCZ_RECSYS_ALS_EXACT : CCZ_RECSYS_ALS_CG; /* not used */
            cfg.iterations = 0;
            cfg.threads = 3;
            CHECK(ccz_recsys_als_fold_in(&users, old, m, CCZ_RECSYS_USERS, &cfg, &err) == CCZ_OK);
            CHECK(same_bits(&users, &model->user));
            /* and items, from a model that has the new users and the old items */
            ccz_recsys_factors_deinit(&old->user);
            old->user = users;
            CHECK(ccz_recsys_als_fold_in(&items, old, t, CCZ_RECSYS_ITEMS, &cfg, &err) == CCZ_OK);
            CHECK(same_bits(&items, &model->item));
            ccz_recsys_factors_deinit(&items);
            ccz_recsys_model_free(old);
            ccz_recsys_model_free(model);
        }
}

/* Shares of a score sum up to it. */
static void weights(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(USERS, ITEMS, 0.3, 12);
    for (int k = 0; k < KINDS; k++)
        for (int nonneg = 0; nonneg < 2; nonneg++) {
            struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 10);
            CCZ_AUTO(ccz_recsys_fold) f = NULL;
            struct ccz_recsys_factors users;
            float share[ITEMS];
            cfg.nonneg = nonneg && !cfg.biases;
            struct ccz_recsys_model *model = trained(m, &cfg);
            CHECK(ccz_recsys_fold_new(&f, model, CCZ_RECSYS_USERS, &cfg, &err) == CCZ_OK);
            CHECK(ccz_recsys_fold_rows(&users, f, m, &err) == CCZ_OK);
            for (uint32_t u = 0; u < USERS; u++)
                for (uint32_t i = 0; i < ITEMS; i += 5) {
                    double want = users.bias ? (double)users.bias[u] : 0, got = 0, size = 1e-3;
                    for (uint32_t j = 0; j < cfg.factors; j++)
                        want += (double)ccz_recsys_row(&users, u)[j] *
                                (double)ccz_recsys_row(&model->item, i)[j];
                    CHECK(ccz_recsys_als_weights(share, f, m, u, i, &err) == CCZ_OK);
                    for (uint64_t r = 0; r < m->start[u + 1] - m->start[u]; r++) {
                        got += (double)share[r];
                        size += fabs((double)share[r]);
                    }
                    CHECK(fabs(got - want) < 1e-3 * size);
                }
            ccz_recsys_factors_deinit(&users);
            ccz_recsys_model_free(model);
        }
}

/* ------------------------------------------------------------------------------------- borders */

static void all_finite(const struct ccz_recsys_model *m)
{
    for (int side = 0; side < 2; side++) {
        const struct ccz_recsys_factors *f = side ? &m->item : &m->user;
        for (size_t i = 0; i < (size_t)f->len * f->stride; i++)
            CHECK(isfinite(f->v[i]));
        for (size_t i = 0; f->bias && i < f->len; i++)
            CHECK(isfinite(f->bias[i]));
    }
}

/* Hardly any regularization or none, more factors than ratings: the loss does not rise all the same, but for what rounding does
 * and, with nonneg, for where descent ends. */
static void singular_case(const struct ccz_recsys_csr *m, const struct ccz_recsys_als_cfg *given)
{
    struct ccz_err err = {0};
    struct ccz_recsys_als_cfg cfg = *given;
    double first, last;
    struct ccz_recsys_model *model = trained(m, &cfg);
    all_finite(model);
    CHECK(ccz_recsys_als_loss(&first, model, m, &cfg, &err) == CCZ_OK);
    cfg.iterations = 6;
    CHECK(ccz_recsys_als_iterate(model, m, &cfg, &err) == CCZ_OK);
    all_finite(model);
    CHECK(ccz_recsys_als_loss(&last, model, m, &cfg, &err) == CCZ_OK);
    CHECK(last <= first * 1.01 + (cfg.nonneg ? 0.1 : 1e-3));
    ccz_recsys_model_free(model);
}

static void singular(void)
{
    CCZ_AUTO(ccz_recsys_csr) m = feedback(30, 12, 0.2, 13);
    CCZ_AUTO(ccz_recsys_csr) none = feedback(3, 2, 0, 13);
    CHECK(none->len > 0);
    for (uint64_t i = 0; i <= none->rows; i++)
        none->start[i] = 0;
    none->len = 0;
    for (int k = 0; k < KINDS; k++)
        for (int how = 0; how < 3; how++)
            for (int zero = 0; zero < 2; zero++) {
                struct ccz_recsys_als_cfg cfg = cfg_of(kinds[k].kind, kinds[k].biases, 40);
                cfg.reg = zero ? 0 : 1e-6f;
                cfg.solver = how == 1 ? CCZ_RECSYS_ALS_CG : CCZ_RECSYS_ALS_EXACT;
                cfg.nonneg = how == 2 && !cfg.biases;
                for (cfg.seed = 5; cfg.seed < (how == 1 ? 15 : 6); cfg.seed++)
                    singular_case(m, &cfg);
                struct ccz_recsys_model *model = trained(none, &cfg);
                CHECK(largest(&model->user) == 0 && largest(&model->item) == 0);
                ccz_recsys_model_free(model);
            }
}

/* Numbers that float cannot hold are refused, not stored. */
static void overflow(void)
{
    CCZ_AUTO(ccz_recsys_csr) m = feedback(20, 10, 0.4, 14);
    for (int how = 0; how < 3; how++) {
        struct ccz_err err = {0};
        struct ccz_recsys_als_cfg cfg = cfg_of(CCZ_RECSYS_IMPLICIT_HKV, false, 4);
        struct ccz_recsys_model *model;
        cfg.solver = how == 1 ? CCZ_RECSYS_ALS_CG : CCZ_RECSYS_ALS_EXACT;
        cfg.nonneg = how == 2;
        cfg.alpha = 3e38f;
        cfg.threads = 2;
        CHECK(is_refused(ccz_recsys_als_train(&model, m, &cfg, &err), CCZ_E_LIMIT, &err,
                         "recsys:overflow"));
        CHECK(!model && err.hint[0]);
        cfg.alpha = 1;
        model = trained(m, &cfg);
        cfg.alpha = 3e38f;
        for (cfg.threads = 1; cfg.threads <= 3; cfg.threads++) { /* always the first row */
            CHECK(is_refused(ccz_recsys_als_iterate(model, m, &cfg, &err), CCZ_E_LIMIT, &err,
                             "recsys:overflow"));
            CHECK(err.aux == 0);
        }
        all_finite(model);
        ccz_recsys_model_free(model);
    }
}

struct refusal {
    const char *where;
    ccz_rc rc;
    struct ccz_recsys_als_cfg cfg;
};
#define GOOD .factors = 4, .iterations = 1, .alpha = 1, .unobserved = 1, .reg = 1

static void refuses(void)
{
    static const struct refusal cases[] = {
        {"recsys:kind", CCZ_E_ARG, {GOOD, .kind = (enum ccz_recsys_als_kind)3}},
        {"recsys:solver", CCZ_E_ARG, {GOOD, .solver = (enum ccz_recsys_als_solver)2}},
        {"recsys:factors", CCZ_E_LIMIT, {.iterations = 1, .alpha = 1}},
        {"recsys:factors", CCZ_E_LIMIT, {.factors = 1025, .iterations = 1, .alpha = 1}},
        {"recsys:iterations", CCZ_E_ARG, {.factors = 4, .alpha = 1}},
        {"recsys:iterations", CCZ_E_ARG, {.factors = 4, .alpha = 1, .iterations = 10001}},
        {"recsys:cg-steps", CCZ_E_ARG, {GOOD, .cg_steps = 1001}},
        {"recsys:reg", CCZ_E_ARG, {.factors = 4, .iterations = 1, .alpha = 1, .reg = -1}},
        {"recsys:reg", CCZ_E_ARG, {.factors = 4, .iterations = 1, .alpha = 1, .reg = NAN}},
        {"recsys:alpha", CCZ_E_ARG, {.factors = 4, .iterations = 1}},
        {"recsys:alpha", CCZ_E_ARG, {.factors = 4, .iterations = 1, .alpha = INFINITY}},
        {"recsys:unobserved",
         CCZ_E_ARG,
         {.kind = CCZ_RECSYS_IMPLICIT_IALS, .factors = 4, .iterations = 1}},
        {"recsys:nu", CCZ_E_ARG, {GOOD, .kind = CCZ_RECSYS_IMPLICIT_IALS, .nu = 1.5f}},
        {"recsys:nu", CCZ_E_ARG, {GOOD, .kind = CCZ_RECSYS_IMPLICIT_IALS, .nu = NAN}},
        {"recsys:deviation", CCZ_E_ARG, {GOOD, .deviation = -1}},
        {"recsys:biases", CCZ_E_ARG, {GOOD, .biases = true}},
        {"recsys:nonneg-biases",
         CCZ_E_ARG,
         {GOOD, .kind = CCZ_RECSYS_EXPLICIT, .biases = true, .nonneg = true}},
        {"recsys:nonneg-solver", CCZ_E_ARG, {GOOD, .solver = CCZ_RECSYS_ALS_CG, .nonneg = true}},
        {"recsys:tier", CCZ_E_UNAVAILABLE, {GOOD, .tier = "ifma"}}};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(9, 8, 0.4, 15);
    struct ccz_recsys_model *model;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ccz_err err = {0};
        CHECK(is_refused(ccz_recsys_als_train(&model, m, &cases[i].cfg, &err), cases[i].rc, &err,
                         cases[i].where));
        CHECK(!model);
    }
}

static void refuses_data(void)
{
    struct ccz_err err = {0};
    struct ccz_recsys_als_cfg cfg = {GOOD};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(9, 8, 0.4, 15);
    CCZ_AUTO(ccz_recsys_csr) t = NULL;
    struct ccz_recsys_model *model;
    CHECK(ccz_recsys_csr_transpose(&t, m, &err) == CCZ_OK);
#define REFUSED(rc, where)                                                                         \
    CHECK(is_refused(ccz_recsys_als_train(&model, m, &cfg, &err), rc, &err, where) && !model)
    m->value[5] = -1;
    REFUSED(CCZ_E_ARG, "recsys:value");
    CHECK(err.aux == 5);
    cfg.kind = CCZ_RECSYS_EXPLICIT; /* where they may be below 0 */
    ccz_recsys_model_free(trained(m, &cfg));
    m->value[5] = INFINITY;
    REFUSED(CCZ_E_ARG, "recsys:value");
    m->value[5] = 1;
    const uint32_t col = m->col[6];
    m->col[6] = 8;
    REFUSED(CCZ_E_ARG, "recsys:item");
    CHECK(err.aux == 6);
    m->col[6] = col;
    const uint64_t start = m->start[2];
    m->start[2] = m->start[3] + 1;
    REFUSED(CCZ_E_ARG, "recsys:rows");
    m->start[2] = start;
    m->start[0] = 1;
    REFUSED(CCZ_E_ARG, "recsys:rows");
    m->start[0] = 0;
    cfg.by_item = m; /* 9 rows, not 8 */
    REFUSED(CCZ_E_ARG, "recsys:by-item");
    t->len--;
    t->start[t->rows]--;
    cfg.by_item = t;
    REFUSED(CCZ_E_ARG, "recsys:by-item");
    t->len++;
    t->start[t->rows]++;
    t->value[0] = NAN;
    REFUSED(CCZ_E_ARG, "recsys:value");
    t->value[0] = 1;
    ccz_recsys_model_free(trained(m, &cfg));
}

static void refuses_models(void)
{
    struct ccz_err err = {0};
    struct ccz_recsys_als_cfg cfg = {GOOD, .kind = CCZ_RECSYS_EXPLICIT};
    CCZ_AUTO(ccz_recsys_csr) m = feedback(9, 8, 0.4, 16);
    CCZ_AUTO(ccz_recsys_csr) users = feedback(10, 8, 0.4, 16);
    CCZ_AUTO(ccz_recsys_csr) items = feedback(9, 9, 0.4, 16);
    CCZ_AUTO(ccz_recsys_model) model = trained(m, &cfg);
    double loss = 1;
    CHECK(is_refused(ccz_recsys_als_iterate(model, users, &cfg, &err), CCZ_E_MISMATCH, &err,
                     "recsys:model-users"));
    CHECK(is_refused(ccz_recsys_als_loss(&loss, model, items, &cfg, &err), CCZ_E_MISMATCH, &err,
                     "recsys:model-items"));
    CHECK(loss == 0);
    cfg.factors = 5;
    CHECK(is_refused(ccz_recsys_als_iterate(model, m, &cfg, &err), CCZ_E_MISMATCH, &err,
                     "recsys:model-factors"));
    cfg.factors = 4;
    cfg.biases = true;
    CHECK(is_refused(ccz_recsys_als_iterate(model, m, &cfg, &err), CCZ_E_MISMATCH, &err,
                     "recsys:model-biases"));
    cfg.biases = false;
    model->mean = 3;
    CHECK(is_refused(ccz_recsys_als_iterate(model, m, &cfg, &err), CCZ_E_MISMATCH, &err,
                     "recsys:model-mean"));
    CHECK(is_refused(ccz_recsys_als_loss(&loss, model, m, &cfg, &err), CCZ_E_MISMATCH, &err,
                     "recsys:model-mean"));
    model->mean = 0;
    cfg.biases = true;
    struct ccz_recsys_factors out;
    CCZ_AUTO(ccz_recsys_fold) f = NULL;
    CHECK(is_refused(ccz_recsys_fold_new(&f, model, CCZ_RECSYS_USERS, &cfg, &err), CCZ_E_MISMATCH,
                     &err, "recsys:model-biases"));
    cfg.biases = false;
    CHECK(is_refused(ccz_recsys_fold_new(&f, model, (enum ccz_recsys_side)2, &cfg, &err), CCZ_E_ARG,
                     &err, "recsys:side"));
    CHECK(is_refused(ccz_recsys_als_fold_in(&out, model, items, CCZ_RECSYS_USERS, &cfg, &err),
                     CCZ_E_ARG, &err, "recsys:cols"));
    CHECK(!out.v);
    CHECK(ccz_recsys_fold_new(&f, model, CCZ_RECSYS_USERS, &cfg, &err) == CCZ_OK);
    float share[8];
    CHECK(
        is_refused(ccz_recsys_als_weights(share, f, m, 9, 0, &err), CCZ_E_ARG, &err, "recsys:row"));
    share[0] = 7;
    CHECK(is_refused(ccz_recsys_als_weights(share, f, m, 0, 8, &err), CCZ_E_ARG, &err,
                     "recsys:target"));
    CHECK(m->start[1] > 0 && share[0] == 0);
    CHECK(is_refused(ccz_recsys_als_weights(share, f, items, 0, 0, &err), CCZ_E_ARG, &err,
                     "recsys:cols"));
    users->value[2] = NAN;
    CHECK(is_refused(ccz_recsys_fold_rows(&out, f, users, &err), CCZ_E_ARG, &err, "recsys:value"));
}

/* Linear in ratings, users, items; 100 million ratings fit. */
static void size(void)
{
    struct ccz_recsys_als_cfg cfg = {GOOD, .threads = 2};
    cfg.factors = 64;
    const uint64_t a = ccz_recsys_als_size(1000000, 100000, 50000000, &cfg),
                   b = ccz_recsys_als_size(1000000, 100000, 100000000, &cfg),
                   c = ccz_recsys_als_size(2000000, 100000, 100000000, &cfg);
    CHECK(b - a == 50000000u * 8u && c - b == 1000000u * 256u && b < (uint64_t)2 << 30);
    struct ccz_recsys_csr t = {0};
    cfg.by_item = &t;
    CHECK(b - ccz_recsys_als_size(1000000, 100000, 100000000, &cfg) == 100000000u * 8u + 800008u);
    cfg.factors = 0;
    CHECK(ccz_recsys_als_size(1, 1, 1, &cfg) == UINT64_MAX);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"als.exact", exact},
                                            {"als.long_rows", long_rows},
                                            {"als.hardly_regular", hardly_regular},
                                            {"als.play_counts", play_counts},
                                            {"als.cg", cg},
                                            {"als.cg_long_rows", cg_long_rows},
                                            {"als.cg_widths", cg_widths},
                                            {"als.loss_is_the_sum", loss_is_the_sum},
                                            {"als.loss_falls", loss_falls},
                                            {"als.stops", stops},
                                            {"als.nonneg", nonneg},
                                            {"als.threads", threads},
                                            {"als.seeds", seeds},
                                            {"als.tiers_agree", tiers_agree},
                                            {"als.self_test", self_test},
                                            {"als.choice", choice},
                                            {"als.fold", fold},
                                            {"als.weights", weights},
                                            {"als.singular", singular},
                                            {"als.overflow", overflow},
                                            {"als.refuses", refuses},
                                            {"als.refuses_data", refuses_data},
                                            {"als.refuses_models", refuses_models},
                                            {"als.size", size}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
