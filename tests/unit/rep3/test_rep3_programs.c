/* SPDX-License-Identifier: Apache-2.0 */
/* Regression and networks against the same in double precision. */
#include "kit.h"

#include <math.h>

enum { F = 16, STEPS = 12, ROWS = 32, COLS = 5 };

static double uniform(uint64_t *seed)
{
    return (double)(int64_t)rnd(seed) * 0x1p-63;
}

static double sigmoid3(double z)
{
    return z < -0.5 ? 0 : z >= 0.5 ? 1 : z + 0.5;
}

struct data {
    double x[STEPS][ROWS * COLS], y[STEPS][ROWS], w[COLS];
    uint64_t xe[STEPS][ROWS * COLS], ye[STEPS][ROWS];
    struct ccz_rep3_range range;
};

/* Labels of a plane, and gradient descent in doubles: 2^-5 of the sum of gradients of a batch. */
static void make_data(struct data *d)
{
    static const double plane[COLS] = {1.5, -2, 0.5, 1, -0.25};
    uint64_t seed = 7;
    memset(d, 0, sizeof(*d));
    for (int s = 0; s < STEPS; s++) {
        double g[COLS] = {0};
        for (int i = 0; i < ROWS; i++) {
            double z = 0, sum = 0;
            for (int j = 0; j < COLS; j++) {
                double *x = &d->x[s][i * COLS + j];
                *x = j == COLS - 1 ? 1 : uniform(&seed); /* a column of ones is the intercept */
                z += *x * plane[j];
                sum += *x * d->w[j];
            }
            d->y[s][i] = z > 0;
            for (int j = 0; j < COLS; j++)
                g[j] += (sigmoid3(sum) - d->y[s][i]) * d->x[s][i * COLS + j];
        }
        for (int j = 0; j < COLS; j++)
            d->w[j] -= g[j] / 32;
        ccz_ring_encode(d->xe[s], d->x[s], ROWS * COLS, 64, F);
        ccz_ring_encode(d->ye[s], d->y[s], ROWS, 64, F);
    }
}

static void run_lr(struct party *p, void *arg)
{
    const struct data *d = arg;
    struct ccz_err *e = &p->err;
    const struct ccz_rep3_lr_cfg cfg = {.rate_shift = 5, .range = d->range};
    const uint64_t zero[COLS] = {0};
    uint64_t out[COLS];
    double w[COLS];
    struct ccz_rep3_tensor *next;
    AUTO_TENSOR weights = input(p, CCZ_REP3_SHARED, 2, CCZ_REP3_SHAPE2(COLS, 1), F, zero);
    for (int s = 0; s < STEPS; s++) {
        AUTO_TENSOR x = input(p, CCZ_REP3_SHARED, 0, CCZ_REP3_SHAPE2(ROWS, COLS), F, d->xe[s]);
        AUTO_TENSOR y = input(p, CCZ_REP3_SHARED, 1, CCZ_REP3_SHAPE2(ROWS, 1), F, d->ye[s]);
        const uint64_t rounds = ccz_rep3_stats(p->m).rounds;
        OK(ccz_rep3_lr_step(&next, weights, x, y, &cfg, e));
        /* 64 bits: 16 leaves; 31: 8. The sigmoid, and truncation. */
        const uint64_t levels = d->range.bits ? 3 : 4;
        CHECK(ccz_rep3_stats(p->m).rounds ==
              rounds + 3 + levels + (p->cfg.trunc == CCZ_REP3_TRUNC_FAST ? 1 : 2));
        ccz_rep3_tensor_free(weights);
        weights = next;
    }
    CHECK(ccz_rep3_frac_of(weights) == F);
    OK(ccz_rep3_reveal(out, weights, CCZ_REP3_TO_ALL, "weights", e));
    ccz_ring_decode(w, out, COLS, 64, F);
    for (int j = 0; j < COLS; j++) {
        if (fabs(w[j] - d->w[j]) > 0x1p-10)
            fprintf(stderr, "weight %d: %f, in doubles %f\n", j, w[j], d->w[j]);
        CHECK(fabs(w[j] - d->w[j]) <= 0x1p-10);
    }
}

static void test_lr(void)
{
    static struct data d;
    make_data(&d);
    CHECK(d.w[0] > 0.3 && d.w[1] < -0.4); /* it has learnt something */
    for (int trunc = 0; trunc < 2; trunc++)
        for (int narrow = 0; narrow < 2; narrow++) {
            struct trio t;
            trio_init(&t, 64);
            d.range = (struct ccz_rep3_range){narrow ? 2 * F + 16 : 0, narrow ? F : 0};
            for (int i = 0; i < 3; i++)
                t.p[i].cfg.trunc = (enum ccz_rep3_trunc)trunc;
            trio_run(&t, run_lr, &d);
            trio_good(&t);
            trio_free(&t);
        }
}

/* x w at both ends of its range: the sigmoid compares x w - 1/2 and x w + 1/2. */
static void run_lr_ends(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    const struct ccz_rep3_range range = *(const struct ccz_rep3_range *)arg;
    const struct ccz_rep3_lr_cfg cfg = {.rate_shift = 5, .range = range};
    const uint64_t most = (uint64_t)1 << (range.bits - 1 - F), one = 1 << F, zero = 0;
    const uint64_t ends[] = {most - 1, most - 7, 0 - most, 1 - most};
    for (int i = 0; i < 4; i++) {
        AUTO_TENSOR w = input(p, CCZ_REP3_SHARED, 2, CCZ_REP3_SHAPE2(1, 1), F, &one);
        AUTO_TENSOR x = input(p, CCZ_REP3_SHARED, 0, CCZ_REP3_SHAPE2(1, 1), F, &ends[i]);
        AUTO_TENSOR y = input(p, CCZ_REP3_SHARED, 1, CCZ_REP3_SHAPE2(1, 1), F, &zero);
        AUTO_TENSOR next = NULL;
        OK(ccz_rep3_lr_step(&next, w, x, y, &cfg, e));
        AUTO_WORDS v = values(p, next);
        const double at = (double)ccz_ring_signed(ends[i], 64);
        const double expected = (1 << F) - (at < 0 ? 0 : at / 32);
        CHECK(fabs((double)ccz_ring_signed(v[0], 64) - expected) <= fabs(at) / 32 * 0x1p-15 + 1);
    }
}

static void test_lr_ends(void)
{
    const struct ccz_rep3_range ranges[] = {{48, 16}, {40, 0}, {62, 16}};
    for (int i = 0; i < 3; i++)
        all(64, run_lr_ends, (void *)&ranges[i]);
}

/* A scale that the gradient cannot have is refused before the sigmoid is paid for. */
static void test_lr_scale(void)
{
    const struct ccz_rep3_cfg cfg = {.ring_bits = 64, .frac = 28};
    const uint64_t zero[4] = {0};
    for (unsigned shift = 6; shift <= 7; shift++) {
        struct ccz_err err = {0}, *e = &err;
        CCZ_AUTO(ccz_rep3) m = NULL;
        OK(ccz_rep3_plan_new(&m, &cfg, e));
        AUTO_TENSOR w = NULL;
        AUTO_TENSOR x = NULL;
        AUTO_TENSOR out = NULL;
        OK(ccz_rep3_share(&w, m, 0, CCZ_REP3_SHAPE2(1, 1), 28, zero, e));
        OK(ccz_rep3_share(&x, m, 0, CCZ_REP3_SHAPE2(1, 1), 28, zero, e));
        const uint64_t rounds = ccz_rep3_stats(m).rounds;
        const struct ccz_rep3_lr_cfg step = {.rate_shift = shift};
        if (shift == 6) {
            OK(ccz_rep3_lr_step(&out, w, x, x, &step, e));
            continue;
        }
        CHECK(ccz_rep3_lr_step(&out, w, x, x, &step, e) == CCZ_E_ARG && !out);
        CHECK(strcmp(err.where, "rep3:frac") == 0 && ccz_rep3_stats(m).rounds == rounds);
    }
}

/* ------------------------------------------------------------------------------------ networks */

enum { N = 7, LAYERS = 3 };
static const size_t dims[LAYERS + 1] = {20, 16, 9, 4};

struct net {
    double x[N * 20], w[LAYERS][20 * 16], b[LAYERS][16], out[N * 4];
    unsigned frac;
    enum ccz_rep3_kind weights;
    struct ccz_rep3_range range;
    double error;
};

static void make_net(struct net *n)
{
    uint64_t seed = 11;
    double at[N * 20], next[N * 20];
    for (size_t i = 0; i < N * dims[0]; i++)
        at[i] = n->x[i] = uniform(&seed);
    for (int l = 0; l < LAYERS; l++) {
        const size_t in = dims[l], out = dims[l + 1];
        for (size_t i = 0; i < in * out; i++)
            n->w[l][i] = uniform(&seed);
        for (size_t i = 0; i < out; i++)
            n->b[l][i] = uniform(&seed);
        for (size_t i = 0; i < N * out; i++) {
            next[i] = n->b[l][i % out];
            for (size_t j = 0; j < in; j++)
                next[i] += at[i / out * in + j] * n->w[l][j * out + i % out];
            if (l + 1 < LAYERS && next[i] < 0)
                next[i] = 0;
        }
        memcpy(at, next, sizeof(at));
    }
    memcpy(n->out, at, sizeof(n->out));
}

static struct ccz_rep3_tensor *encoded(struct party *p, enum ccz_rep3_kind kind, unsigned owner,
                                       struct ccz_rep3_shape shape, unsigned frac, const double *v)
{
    uint64_t e[20 * 16];
    size_t len = shape.dim[0] * (shape.rank == 2 ? shape.dim[1] : 1);
    ccz_ring_encode(e, v, len, p->cfg.ring_bits, frac);
    return input(p, kind, owner, shape, frac, e);
}

static void run_mlp(struct party *p, void *arg)
{
    const struct net *n = arg;
    struct ccz_err *e = &p->err;
    struct ccz_rep3_layer layers[LAYERS];
    struct ccz_rep3_tensor *w[LAYERS], *b[LAYERS];
    double got[N * 4];
    for (int l = 0; l < LAYERS; l++) {
        w[l] = encoded(p, n->weights, 1, CCZ_REP3_SHAPE2(dims[l], dims[l + 1]), n->frac, n->w[l]);
        b[l] = encoded(p, n->weights, 1, CCZ_REP3_SHAPE1(dims[l + 1]), 2 * n->frac, n->b[l]);
        layers[l] = (struct ccz_rep3_layer){w[l], b[l]};
    }
    AUTO_TENSOR x = encoded(p, CCZ_REP3_SHARED, 0, CCZ_REP3_SHAPE2(N, dims[0]), n->frac, n->x);
    AUTO_TENSOR y = NULL;
    OK(ccz_rep3_mlp(&y, x, layers, LAYERS, n->range, e));
    CHECK(ccz_rep3_frac_of(y) == 2 * n->frac);
    CHECK(ccz_rep3_kind_of(y) ==
          (n->weights == CCZ_REP3_PUBLIC ? CCZ_REP3_SHARED : CCZ_REP3_PARTS));
    AUTO_WORDS v = values(p, y);
    ccz_ring_decode(got, v, N * 4, p->cfg.ring_bits, 2 * n->frac);
    for (int i = 0; i < N * 4; i++) {
        if (fabs(got[i] - n->out[i]) > n->error)
            fprintf(stderr, "output %d: %f, in doubles %f\n", i, got[i], n->out[i]);
        CHECK(fabs(got[i] - n->out[i]) <= n->error);
    }
    for (int l = 0; l < LAYERS; l++) {
        ccz_rep3_tensor_free(w[l]);
        ccz_rep3_tensor_free(b[l]);
    }
}

static void test_mlp(void)
{
    static struct net n;
    make_net(&n);
    n.frac = 13;
    n.error = 0x1p-8;
    n.weights = CCZ_REP3_SHARED;
    all(64, run_mlp, &n);
    n.range = (struct ccz_rep3_range){46, 13};
    all(64, run_mlp, &n);
    n.weights = CCZ_REP3_PUBLIC;
    all(64, run_mlp, &n);
    n.frac = 10; /* sums below 2^9: 30 bits, a quarter of the ring */
    n.error = 0x1p-5;
    n.range = (struct ccz_rep3_range){0, 10};
    all(32, run_mlp, &n);
    n.weights = CCZ_REP3_SHARED;
    all(32, run_mlp, &n);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"rep3_programs.lr", test_lr},
                                            {"rep3_programs.lr_ends", test_lr_ends},
                                            {"rep3_programs.lr_scale", test_lr_scale},
                                            {"rep3_programs.mlp", test_mlp}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
