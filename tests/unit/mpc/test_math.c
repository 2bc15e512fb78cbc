/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of shared values in sessions: equal to their plain twins bit for bit with exact truncation, within the stated bound in the other
 * modes; counters against ccz_mpc_math_cost(); plans; every kind of operand.
 */
#define _DEFAULT_SOURCE
#include <cczoo/mpc_math.h>

#include "kit.h"
#include "mpc/math_priv.h"
#include "mpc/session.h"

#include <math.h>

/* One call on n values, which both threads know, and what came out of it. */
struct trial {
    struct ccz_mpc_math_call c;
    const uint64_t *x;
    const uint64_t *first; /* party 0's share; NULL: random */
    uint64_t *share[2], *got;
    /* How far a result may be from the plain one in modes that round either way: units, and a part of the value. */
    uint64_t slack;
    double part;
};

static uint64_t *words_new(size_t len)
{
    uint64_t *p = calloc(len + 1, sizeof(*p));
    CHECK(p);
    return p;
}

static uint64_t mask_of(unsigned k)
{
    return UINT64_MAX >> (64 - k);
}

static size_t len_of(const struct ccz_mpc_math_call *c)
{
    return c->op >= CCZ_MPC_MATH_SOFTMAX ? c->n * c->d : c->n;
}

static ccz_rc call(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                   const struct ccz_mpc_math_call *c, struct ccz_err *e)
{
    switch (c->op) {
    case CCZ_MPC_MATH_SIGMOID:
        return ccz_mpc_sigmoid_as(out, x, &c->sigmoid, e);
    case CCZ_MPC_MATH_TANH:
        return ccz_mpc_tanh(out, x, &c->sigmoid, e);
    case CCZ_MPC_MATH_EXP:
        return ccz_mpc_exp(out, x, c->exp_range, e);
    case CCZ_MPC_MATH_RECIPROCAL:
        return ccz_mpc_reciprocal(out, x, c->octaves, e);
    case CCZ_MPC_MATH_SQRT:
        return ccz_mpc_sqrt(out, x, c->octaves, e);
    case CCZ_MPC_MATH_RSQRT:
        return ccz_mpc_rsqrt(out, x, c->octaves, e);
    case CCZ_MPC_MATH_SOFTMAX:
        return ccz_mpc_softmax(out, x, e);
    default:
        return CCZ_E_ARG;
    }
}

static ccz_rc plain(uint64_t *out, const uint64_t *x, const struct ccz_mpc_math_call *c,
                    struct ccz_err *e)
{
    const unsigned k = c->ring_bits, f = c->frac;
    switch (c->op) {
    case CCZ_MPC_MATH_SIGMOID:
        return ccz_mpc_sigmoid_plain(out, x, c->n, k, f, &c->sigmoid, e);
    case CCZ_MPC_MATH_TANH:
        return ccz_mpc_tanh_plain(out, x, c->n, k, f, &c->sigmoid, e);
    case CCZ_MPC_MATH_EXP:
        return ccz_mpc_exp_plain(out, x, c->n, k, f, c->exp_range, e);
    case CCZ_MPC_MATH_RECIPROCAL:
        return ccz_mpc_reciprocal_plain(out, x, c->n, k, f, c->octaves, e);
    case CCZ_MPC_MATH_SQRT:
        return ccz_mpc_sqrt_plain(out, x, c->n, k, f, c->octaves, e);
    case CCZ_MPC_MATH_RSQRT:
        return ccz_mpc_rsqrt_plain(out, x, c->n, k, f, c->octaves, e);
    case CCZ_MPC_MATH_SOFTMAX:
        return ccz_mpc_softmax_plain(out, x, c->n, c->d, k, f, e);
    default:
        return CCZ_E_ARG;
    }
}

static struct ccz_mpc_shape shape_of(const struct ccz_mpc_math_call *c)
{
    return c->op >= CCZ_MPC_MATH_SOFTMAX ? CCZ_MPC_SHAPE2(c->n, c->d) : CCZ_MPC_SHAPE1(c->n);
}

/* ---------------------------------------------------------------------------------------- runs */

/* Online bytes and rounds, OTs and products, are those of the formula. */
static void check_counters(const struct party *p, const struct ccz_mpc_math_call *call,
                           const struct ccz_mpc_stats *before, const uint64_t ots[2])
{
    const struct ccz_mpc_stats after = ccz_mpc_stats(p->m);
    const struct ccz_mpc_phase_stats *a = &before->phase[CCZ_MPC_ONLINE];
    const struct ccz_mpc_phase_stats *z = &after.phase[CCZ_MPC_ONLINE];
    const struct ccz_mpc_math_cost c = ccz_mpc_math_cost(call);
    const unsigned r = p->role;
    if (z->sent_size - a->sent_size != c.sent[r] || z->rounds - a->rounds != c.rounds)
        fprintf(stderr, "op %d n %zu k %u: %llu bytes %llu rounds, formula %llu %u\n", call->op,
                call->n, call->ring_bits, (unsigned long long)(z->sent_size - a->sent_size),
                (unsigned long long)(z->rounds - a->rounds), (unsigned long long)c.sent[r],
                c.rounds);
    CHECK(c.rounds > 0);
    CHECK(z->sent_size - a->sent_size == c.sent[r]);
    CHECK(z->received_size - a->received_size == c.sent[1 - r]);
    CHECK(z->rounds - a->rounds == c.rounds);
    CHECK(p->m->ots[0] - ots[0] == c.ots[0] && p->m->ots[1] - ots[1] == c.ots[1]);
    CHECK(after.needs[CCZ_MPC_MUL] - before->needs[CCZ_MPC_MUL] == c.muls);
    CHECK(after.needs[CCZ_MPC_SQUARE] - before->needs[CCZ_MPC_SQUARE] == c.squares);
}

static void program(struct party *p, void *arg)
{
    struct trial *t = arg;
    struct ccz_err *e = &p->err;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    OK(ccz_mpc_import(&x, p->m, CCZ_MPC_SHARED, shape_of(&t->c), t->c.frac, t->share[p->role], e));
    const struct ccz_mpc_stats before = ccz_mpc_stats(p->m);
    const uint64_t ots[2] = {p->m->ots[0], p->m->ots[1]};
    OK(call(&out, x, &t->c, e));
    check_counters(p, &t->c, &before, ots);
    CHECK(ccz_mpc_kind_of(out) == CCZ_MPC_SHARED && ccz_mpc_frac_of(out) == t->c.frac);
    CHECK(cczi_mpc_shape_eq(&out->shape, &x->shape));
    uint64_t *v = words_new(x->len);
    OK(ccz_mpc_reveal(v, out, CCZ_MPC_TO_BOTH, "test", e));
    if (p->role == 0)
        t->got = v;
    else
        free(v);
}

/* A planning session counts the same, without values. */
static void plan(struct trial *t)
{
    struct party p = {.role = 0};
    struct ccz_err *e = &p.err;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    const struct ccz_mpc_cfg cfg = {.ring_bits = t->c.ring_bits, .trunc = t->c.trunc};
    const uint64_t none[2] = {0, 0};
    OK(ccz_mpc_plan_new(&p.m, &cfg, e));
    OK(ccz_mpc_import(&x, p.m, CCZ_MPC_SHARED, shape_of(&t->c), t->c.frac, NULL, e));
    const struct ccz_mpc_stats before = ccz_mpc_stats(p.m);
    OK(call(&out, x, &t->c, e));
    check_counters(&p, &t->c, &before, none);
    ccz_mpc_tensor_free(x);
    ccz_mpc_tensor_free(out);
    x = out = NULL;
    ccz_mpc_free(p.m);
}

/* Runs the call on shares of x, random ones, and compares with the plain twin, whose values are returned. */
static uint64_t *run(struct trial *t)
{
    const size_t n = len_of(&t->c);
    const unsigned k = t->c.ring_bits;
    uint64_t seed = 99, *expected = words_new(n);
    struct ccz_err err = {0}, *e = &err;
    struct duo d;
    for (int r = 0; r < 2; r++)
        t->share[r] = words_new(n);
    for (size_t i = 0; i < n; i++) {
        t->share[0][i] = t->first ? t->first[i] : rnd(&seed) & mask_of(k);
        t->share[1][i] = (t->x[i] - t->share[0][i]) & mask_of(k);
    }
    OK(plain(expected, t->x, &t->c, e));
    duo_init(&d, k);
    d.p[0].cfg.trunc = d.p[1].cfg.trunc = t->c.trunc;
    duo_run(&d, program, t);
    CHECK(d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK);
    duo_free(&d);
    for (size_t i = 0; i < n; i++) {
        const int64_t off = ccz_mpc_signed((t->got[i] - expected[i]) & mask_of(k), k);
        const bool exact = t->c.trunc == CCZ_MPC_TRUNC_FAITHFUL;
        const double size = fabs((double)ccz_mpc_signed(expected[i], k));
        const int64_t most = exact ? 0 : (int64_t)t->slack + (int64_t)(2 * t->part * size);
        if (off < -most || off > most)
            fprintf(stderr, "op %d element %zu, x = %lld: got %lld, expected %lld\n", t->c.op, i,
                    (long long)ccz_mpc_signed(t->x[i], k), (long long)ccz_mpc_signed(t->got[i], k),
                    (long long)ccz_mpc_signed(expected[i], k));
        CHECK(off >= -most && off <= most);
    }
    plan(t);
    free(t->share[0]);
    free(t->share[1]);
    free(t->got);
    return expected;
}

/* ------------------------------------------------------------------------------------- sigmoid */

static const struct ccz_mpc_sigmoid_cfg pieces[] = {
    {.kind = CCZ_MPC_SIGMOID_3},
    {.kind = CCZ_MPC_SIGMOID_SPLINE, .pieces = 3},
    {.kind = CCZ_MPC_SIGMOID_SPLINE, .pieces = 5},
    {.kind = CCZ_MPC_SIGMOID_SPLINE},
    {.kind = CCZ_MPC_SIGMOID_SPLINE, .pieces = 15},
    {.kind = CCZ_MPC_SIGMOID_SPLINE, .pieces = 31},
};
enum { PIECES = sizeof(pieces) / sizeof(pieces[0]) };

/* SecureML's function, in numbers. */
static uint64_t three(int64_t x, unsigned frac)
{
    const int64_t half = (int64_t)1 << (frac - 1);
    return x < -half ? 0 : x > half ? 2 * (uint64_t)half : (uint64_t)(x + half);
}

/* All inputs of the ring for which x - t does not overflow. */
static void all_16(enum ccz_mpc_trunc trunc, unsigned frac, unsigned kind, unsigned range)
{
    enum { ALL = 65536 };
    const int64_t border = range ? (int64_t)1 << (range + frac) : 32768 - (8 << frac);
    uint64_t *x = words_new(ALL);
    size_t n = 0;
    for (int64_t v = -border; v < border; v++)
        x[n++] = (uint64_t)v & 0xffff;
    struct trial t = {.c = {.op = CCZ_MPC_MATH_SIGMOID,
                            .n = n,
                            .ring_bits = 16,
                            .frac = frac,
                            .trunc = trunc,
                            .sigmoid = pieces[kind]},
                      .x = x,
                      .slack = 1};
    t.c.sigmoid.range = range;
    uint64_t *y = run(&t);
    for (size_t i = 0; i < n && kind == 0; i++)
        CHECK(y[i] == three((int64_t)i - border, frac));
    free(x);
    free(y);
}

/* All pairs of shares of the 8-bit ring. */
static void all_shares_8(enum ccz_mpc_trunc trunc)
{
    enum { FRAC = 3, FROM = -124, TO = 124, N = (TO - FROM) * 256 };
    uint64_t *x = words_new(N), *first = words_new(N);
    for (size_t i = 0; i < N; i++) {
        x[i] = (uint64_t)(FROM + (int64_t)(i / 256)) & 0xff;
        first[i] = i % 256;
    }
    struct trial t = {
        .c = {.op = CCZ_MPC_MATH_SIGMOID, .n = N, .ring_bits = 8, .frac = FRAC, .trunc = trunc},
        .x = x,
        .first = first};
    uint64_t *y = run(&t);
    for (size_t i = 0; i < N; i++)
        CHECK(y[i] == three(FROM + (int64_t)(i / 256), FRAC));
    free(x);
    free(first);
    free(y);
}

static void test_sigmoid_all(void)
{
    all_shares_8(CCZ_MPC_TRUNC_FAITHFUL);
    all_shares_8(CCZ_MPC_TRUNC_ONE_BIT);
    for (unsigned kind = 0; kind < PIECES; kind++) {
        all_16(CCZ_MPC_TRUNC_FAITHFUL, 8, kind, 0);
        if (pieces[kind].pieces > 7)
            continue;
        all_16(CCZ_MPC_TRUNC_FAITHFUL, 5, kind, 4);
        all_16(CCZ_MPC_TRUNC_ONE_BIT, 8, kind, 3);
    }
}

/* Every piece's knots with their neighbours, the ends of the range, and random numbers. */
static void edges(unsigned k, unsigned frac, unsigned kind, enum ccz_mpc_trunc trunc,
                  unsigned range)
{
    enum { N = 700 };
    uint64_t x[N], seed = k + kind;
    const uint64_t top =
        range ? (uint64_t)1 << (range + frac) : ((uint64_t)1 << (k - 1)) - ((uint64_t)16 << frac);
    struct cczi_pieces p;
    CHECK(cczi_pieces_init(&p, &pieces[kind], k, frac, NULL) == CCZ_OK);
    size_t n = 0;
    for (unsigned j = 0; j < p.steps; j++)
        for (int d = -2; d <= 2; d++)
            x[n++] = p.at[j] + (uint64_t)(int64_t)d;
    const uint64_t ends[] = {0, 1, (uint64_t)-1, top - 1, 0 - top, 1 - top};
    for (size_t i = 0; i < 6; i++)
        x[n++] = ends[i];
    while (n < N) {
        const uint64_t r = rnd(&seed);
        x[n++] = r % 3 ? r % (2 * top) - top : r % ((uint64_t)16 << frac) - ((uint64_t)8 << frac);
    }
    for (size_t i = 0; i < N; i++)
        x[i] &= mask_of(k);
    struct trial t = {.c = {.op = CCZ_MPC_MATH_SIGMOID,
                            .n = N,
                            .ring_bits = k,
                            .frac = frac,
                            .trunc = trunc,
                            .sigmoid = pieces[kind]},
                      .x = x,
                      .slack = 1};
    t.c.sigmoid.range = range;
    uint64_t *y = run(&t);
    for (size_t i = 0; i < N; i++) /* values stay in [0, 1] */
        CHECK(y[i] <= (uint64_t)1 << frac);
    free(y);
}

static void test_sigmoid_edges(void)
{
    for (unsigned kind = 0; kind < PIECES; kind++)
        for (int trunc = 0; trunc <= CCZ_MPC_TRUNC_LOCAL; trunc++) {
            if (trunc != CCZ_MPC_TRUNC_LOCAL) /* not in a ring of 32 bits */
                edges(32, 12, kind, (enum ccz_mpc_trunc)trunc, 4);
            edges(64, 16, kind, (enum ccz_mpc_trunc)trunc, trunc ? 3 : 0);
            edges(64, 32, kind, CCZ_MPC_TRUNC_FAITHFUL, 10);
        }
    edges(64, 58, 0, CCZ_MPC_TRUNC_FAITHFUL, 0);
}

/* ------------------------------------------------------------------ formulas of products */

/* The real function of element i, and how far the plain one may be from it. */
static double real(const struct trial *t, size_t i)
{
    const struct ccz_mpc_math_call *c = &t->c;
    const double x = ldexp((double)ccz_mpc_signed(t->x[i], c->ring_bits), -(int)c->frac);
    double sum = 0;
    switch (c->op) {
    case CCZ_MPC_MATH_SIGMOID:
        return 1 / (1 + exp(-x));
    case CCZ_MPC_MATH_TANH:
        return tanh(x);
    case CCZ_MPC_MATH_EXP:
        return exp(x < -16                            ? -16
                   : x > (c->ring_bits == 64 ? 8 : 4) ? c->ring_bits == 64 ? 8 : 4
                                                      : x);
    case CCZ_MPC_MATH_RECIPROCAL:
        return 1 / x;
    case CCZ_MPC_MATH_SQRT:
        return sqrt(x);
    case CCZ_MPC_MATH_RSQRT:
        return 1 / sqrt(x);
    default:
        for (size_t j = i / c->d * c->d; j < (i / c->d + 1) * c->d; j++)
            sum += exp(ldexp(
                (double)ccz_mpc_signed((t->x[j] - t->x[i]) & mask_of(c->ring_bits), c->ring_bits),
                -(int)c->frac));
        return 1 / sum;
    }
}

struct bound {
    double absolute, relative, units;
};

/* Values against the real function. @return the largest share of the bound that was used up */
static double check_error(const struct trial *t, const uint64_t *y, struct bound b)
{
    double worst = 0;
    for (size_t i = 0; i < len_of(&t->c); i++) {
        const double expected = real(t, i);
        const double got = ldexp((double)ccz_mpc_signed(y[i], t->c.ring_bits), -(int)t->c.frac);
        const double most =
            b.absolute + b.relative * fabs(expected) + ldexp(b.units, -(int)t->c.frac);
        const double part = fabs(got - expected) / most;
        if (part > 1)
            fprintf(stderr, "op %d k %u x = %lld: got %.9f, expected %.9f, allowed %.9f\n", t->c.op,
                    t->c.ring_bits, (long long)ccz_mpc_signed(t->x[i], t->c.ring_bits), got,
                    expected, most);
        CHECK(part <= 1);
        worst = part > worst ? part : worst;
    }
    return worst;
}

/* On all n numbers from `first` on, in steps. */
static void ladder(struct ccz_mpc_math_call c, int64_t first, int64_t step, uint64_t slack,
                   struct bound b)
{
    uint64_t *x = words_new(c.n);
    for (size_t i = 0; i < c.n; i++)
        x[i] = (uint64_t)(first + (int64_t)i * step) & mask_of(c.ring_bits);
    struct trial t = {.c = c, .x = x, .slack = slack, .part = b.relative};
    uint64_t *y = run(&t);
    const double used = check_error(&t, y, b);
    CHECK(used > 0.25); /* the bound says something */
    if (getenv("CCZ_TEST_SHOW"))
        printf("op %d k %u trunc %d: %.2f of the bound\n", c.op, c.ring_bits, c.trunc, used);
    free(x);
    free(y);
}

static const enum ccz_mpc_trunc modes[] = {CCZ_MPC_TRUNC_FAITHFUL, CCZ_MPC_TRUNC_ONE_BIT,
                                           CCZ_MPC_TRUNC_LOCAL};

static void test_chebyshev(void)
{
    static const double error[] = {0.0917, 0.0432, 0.0199};
    for (unsigned i = 0; i < 3; i++)
        for (unsigned m = 0; m < 3; m++) {
            struct ccz_mpc_math_call c = {
                .op = CCZ_MPC_MATH_SIGMOID,
                .n = 16384 + 1, /* all of -8 .. 8 */
                .ring_bits = 32,
                .frac = 10,
                .trunc = modes[m],
                .sigmoid = {.kind = CCZ_MPC_SIGMOID_CHEBYSHEV, .degree = 3 + 2 * i}};
            if (m < 2)
                ladder(c, -8192, 1, 16, (struct bound){error[i], 0, 16});
            c.n = 1600;
            c.ring_bits = 64;
            c.frac = 16;
            ladder(c, -8 * 65536, 655, 2, (struct bound){error[i], 0, 2});
            c.op = CCZ_MPC_MATH_TANH;
            ladder(c, -4 * 65536, 327, 4, (struct bound){2 * error[i], 0, 4});
        }
}

static void test_tanh(void)
{
    struct ccz_mpc_math_call c = {.op = CCZ_MPC_MATH_TANH,
                                  .n = 9000,
                                  .ring_bits = 32,
                                  .frac = 10,
                                  .sigmoid = {.kind = CCZ_MPC_SIGMOID_SPLINE, .pieces = 31}};
    ladder(c, -4500, 1, 2, (struct bound){0.00078, 0, 2});
    /* A range is one of x, not of what the sigmoid inside gets. */
    for (unsigned k = 32; k <= 64; k *= 2) {
        struct ccz_mpc_math_call known = {
            .op = CCZ_MPC_MATH_TANH,
            .n = 4096,
            .ring_bits = k,
            .frac = 10,
            .sigmoid = {.kind = CCZ_MPC_SIGMOID_SPLINE, .pieces = 7, .range = 3}};
        ladder(known, -8192, 4, 2, (struct bound){2 * 0.0084, 0, 3});
    }
}

static void test_exp(void)
{
    for (unsigned m = 0; m < 3; m++) {
        struct ccz_mpc_math_call c = {.op = CCZ_MPC_MATH_EXP,
                                      .n = 17 * 1024,
                                      .ring_bits = 32,
                                      .frac = 10,
                                      .trunc = modes[m],
                                      .exp_range = CCZ_MPC_EXP_NEGATIVE};
        /* One more in each of the roundings, whose relative error every square doubles. */
        const double more = m == 0 ? 1 : 2;
        if (m < 2)
            ladder(c, -17 * 1024 + 1, 1, 2, (struct bound){0, more * 0x1p-9, 1});
        c.exp_range = CCZ_MPC_EXP_ANY;
        c.n = 24 * 1024;
        if (m < 2)
            ladder(c, -18 * 1024, 1, 2, (struct bound){0, more * 0x1p-6, 1});
        c.ring_bits = 64;
        c.frac = 16;
        c.n = 2400;
        ladder(c, -18 * 65536, 721, 2, (struct bound){0, 0x1p-15, 1});
        c.exp_range = CCZ_MPC_EXP_NEGATIVE;
        ladder(c, 1 - 2400 * 480, 480, 2, (struct bound){0, 0x1p-15, 1});
    }
}

static void test_inverse(void)
{
    for (int op = CCZ_MPC_MATH_RECIPROCAL; op <= CCZ_MPC_MATH_RSQRT; op++)
        for (unsigned m = 0; m < 3; m++) {
            const double small = op == CCZ_MPC_MATH_RSQRT ? 0x1p-10 : 0x1p-11;
            const double large = op == CCZ_MPC_MATH_RECIPROCAL ? 0x1p-25 : 0x1p-18;
            struct ccz_mpc_math_call c = {.op = (enum ccz_mpc_math_op)op,
                                          .n = 16384 - 16, /* all of the octaves */
                                          .ring_bits = 32,
                                          .frac = 10,
                                          .trunc = modes[m],
                                          .octaves = {-6, 4}};
            if (m < 2)
                ladder(c, 16, 1, 2, (struct bound){0, small, 1});
            c.ring_bits = 64;
            c.frac = 16;
            c.n = 2000;
            c.octaves = (struct ccz_mpc_octaves){-7, 5};
            ladder(c, 512, 1048, 2, (struct bound){0, large, 1});
            c.frac = 9;
            c.n = 1000; /* odd fraction, ends that are odd, and nothing below 1 */
            c.octaves = (struct ccz_mpc_octaves){1, 20};
            ladder(c, 1024, 524287, 2, (struct bound){0, large, 1});
        }
}

/* One octave: no comparison, factors that both know. */
static void test_inverse_one(void)
{
    for (int op = CCZ_MPC_MATH_RECIPROCAL; op <= CCZ_MPC_MATH_RSQRT; op++) {
        struct ccz_mpc_math_call c = {.op = (enum ccz_mpc_math_op)op,
                                      .n = 1000,
                                      .ring_bits = 64,
                                      .frac = 16,
                                      .octaves = {0, 1}};
        ladder(c, 65536, 65, 2, (struct bound){0, 0x1p-18, 1});
    }
}

static void softmax(unsigned k, unsigned frac, size_t d, enum ccz_mpc_trunc mode, double error)
{
    const size_t rows = d < 100 ? 60 : 3;
    uint64_t *x = words_new(rows * d), seed = d;
    for (size_t i = 0; i < rows * d; i++) {
        const uint64_t width = (uint64_t)1 << (frac + (i / d) % 6); /* up to 32 either way */
        x[i] = (rnd(&seed) % (2 * width) - width) & mask_of(k);
    }
    struct trial t = {.c = {.op = CCZ_MPC_MATH_SOFTMAX,
                            .n = rows,
                            .d = d,
                            .ring_bits = k,
                            .frac = frac,
                            .trunc = mode},
                      .x = x,
                      .slack = 2};
    uint64_t *y = run(&t);
    (void)check_error(&t, y, (struct bound){error, 0, 1});
    free(x);
    free(y);
}

static void test_softmax(void)
{
    static const size_t lengths[] = {1, 2, 3, 10, 16, 300};
    for (unsigned m = 0; m < 3; m++)
        for (unsigned i = 0; i < 6; i++) {
            if (modes[m] != CCZ_MPC_TRUNC_LOCAL)
                softmax(32, 10, lengths[i], modes[m], 0x1p-8);
            softmax(64, 16, lengths[i], modes[m], 0x1p-14);
        }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"math.sigmoid_all", test_sigmoid_all},
        {"math.sigmoid_edges", test_sigmoid_edges},
        {"math.chebyshev", test_chebyshev},
        {"math.tanh", test_tanh},
        {"math.exp", test_exp},
        {"math.inverse", test_inverse},
        {"math.inverse_one", test_inverse_one},
        {"math.softmax", test_softmax},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
