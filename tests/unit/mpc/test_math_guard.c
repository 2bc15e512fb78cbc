/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of shared values beside their results: errors of the tables, kinds of operands, uniform shares, refusals, broken channels,
 * rounds as they are told. */
#define _DEFAULT_SOURCE
#include <cczoo/mpc_math.h>

#include "kit.h"
#include "math_calls.h"
#include "mpc/math_priv.h"
#include "mpc/session.h"

#include <math.h>

/* ------------------------------------------------------------------------------------- tables */

/* The plain sigmoid on all of -16 .. 16 against the real one: at most the error that is told, and nearly that. */
static void spline(unsigned pieces, unsigned k, unsigned frac, double told)
{
    const struct ccz_mpc_sigmoid_cfg cfg = {.kind = CCZ_MPC_SIGMOID_SPLINE, .pieces = pieces};
    const unsigned s = k - 2 - frac < 16 ? k - 2 - frac : 16;
    const double extra = ldexp(1, 1 - (int)s) + ldexp(1, -(int)frac);
    const int64_t end = (int64_t)16 << frac, step = frac > 12 ? (int64_t)1 << (frac - 12) : 1;
    double worst = 0;
    uint64_t last = 0;
    for (int64_t v = -end; v <= end; v += step) {
        uint64_t x = (uint64_t)v & (UINT64_MAX >> (64 - k)), y;
        CHECK(ccz_mpc_sigmoid_plain(&y, &x, 1, k, frac, &cfg, NULL) == CCZ_OK);
        const double real = 1 / (1 + exp(-ldexp((double)v, -(int)frac)));
        const double error = fabs(ldexp((double)y, -(int)frac) - real);
        worst = error > worst ? error : worst;
        CHECK(y <= (uint64_t)1 << frac && y + 1 >= last); /* grows, but for one unit at knots */
        last = y;
    }
    if (worst > told + extra || worst < 0.97 * told)
        fprintf(stderr, "%u pieces, k %u f %u: %.6f, told %.6f and %.6f\n", pieces, k, frac, worst,
                told, extra);
    CHECK(worst <= told + extra && worst >= 0.97 * told);
}

static void test_splines(void)
{
    static const struct {
        unsigned pieces;
        double error;
    } c[] = {{3, 0.0561}, {5, 0.0174}, {7, 0.0084}, {15, 0.0017}, {31, 0.00039}};
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
        spline(c[i].pieces, 64, 20, c[i].error);
        spline(c[i].pieces, 64, 32, c[i].error);
        spline(c[i].pieces, 32, 12, c[i].error);
        if (c[i].pieces < 15)
            spline(c[i].pieces, 16, 7, c[i].error);
    }
}

/* Plain values at the largest fractions, where one unit does not hide the error of the formula: at most the part of the value that is
 * told, and more than a sixteenth of that. */
static void precise(int op, unsigned k, unsigned frac, struct ccz_mpc_octaves octaves,
                    enum ccz_mpc_exp_range range, double told)
{
    enum { N = 20000 };
    static uint64_t x[N], y[N];
    const double hi = op ? ldexp(1, octaves.hi) * 0.9999 : range ? 0 : k == 64 ? 8 : 4;
    const double lo = op ? ldexp(1, octaves.lo) : -16;
    double worst = 0;
    for (int i = 0; i < N; i++) { /* roots: as many in each octave */
        double v = lo + (hi - lo) * i / (N - 1);
        if (op)
            v = lo * pow(hi / lo, (double)i / (N - 1));
        ccz_mpc_encode(&x[i], &v, 1, k, frac);
    }
    ccz_rc rc = op == 0   ? ccz_mpc_exp_plain(y, x, N, k, frac, range, NULL)
                : op == 1 ? ccz_mpc_reciprocal_plain(y, x, N, k, frac, octaves, NULL)
                : op == 2 ? ccz_mpc_sqrt_plain(y, x, N, k, frac, octaves, NULL)
                          : ccz_mpc_rsqrt_plain(y, x, N, k, frac, octaves, NULL);
    CHECK(rc == CCZ_OK);
    for (int i = 0; i < N; i++) {
        double in, out;
        ccz_mpc_decode(&in, &x[i], 1, k, frac);
        ccz_mpc_decode(&out, &y[i], 1, k, frac);
        const double real = op == 0   ? exp(in)
                            : op == 1 ? 1 / in
                            : op == 2 ? sqrt(in)
                                      : 1 / sqrt(in);
        const double error = (fabs(out - real) - ldexp(1, -(int)frac)) / real;
        worst = error > worst ? error : worst;
    }
    if (worst > told || worst < told / 16)
        fprintf(stderr, "op %d k %u f %u: 2^%.2f, told 2^%.2f\n", op, k, frac, log2(worst),
                log2(told));
    CHECK(worst <= told && worst >= told / 16);
}

static void test_precise(void)
{
    const struct ccz_mpc_octaves none = {0, 0}, some = {-8, 8}, less = {-5, 5};
    precise(0, 64, 24, none, CCZ_MPC_EXP_ANY, 0x1p-15);
    precise(0, 64, 24, none, CCZ_MPC_EXP_NEGATIVE, 0x1p-15);
    precise(0, 32, 12, none, CCZ_MPC_EXP_ANY, 0x1p-6);
    precise(0, 32, 15, none, CCZ_MPC_EXP_NEGATIVE, 0x1p-9);
    precise(1, 64, 28, some, 0, 0x1p-25);
    precise(2, 64, 28, some, 0, 0x1p-18);
    precise(3, 64, 28, some, 0, 0x1p-18);
    precise(1, 32, 13, less, 0, 0x1p-11);
    precise(2, 32, 13, less, 0, 0x1p-11);
    precise(3, 32, 13, less, 0, 0x1p-10);
}

/* --------------------------------------------------------------------------------------- kinds */

/* Every function of every kind of operand gives the same values; only shares cost anything. x: [2, 3, 4] of 0.25 .. 8. */
static void kinds(struct party *p, void *arg)
{
    enum { N = 24, FRAC = 10 };
    struct ccz_err *e = &p->err;
    uint64_t v[N], *first = NULL;
    (void)arg;
    for (size_t i = 0; i < N; i++)
        v[i] = 256 + i * 301;
    for (int number = 0; number < MATH_CALLS; number++) {
        for (int kind = 0; kind < 4; kind++) {
            CCZ_AUTO(ccz_mpc_tensor) x = input(p, kind, CCZ_MPC_SHAPE3(2, 3, 4), FRAC, v);
            CCZ_AUTO(ccz_mpc_tensor) out = NULL;
            CCZ_AUTO(ccz_mpc_tensor) below = NULL;
            if (number == 5)
                OK(ccz_mpc_neg(&below, x, e));
            const uint64_t sent = ccz_mpc_stats(p->m).phase[CCZ_MPC_ONLINE].sent_size;
            OK(math_call(&out, below ? below : x, number, e));
            const struct ccz_mpc_stats after = ccz_mpc_stats(p->m);
            CHECK((after.phase[CCZ_MPC_ONLINE].sent_size == sent) == (kind < 3));
            CHECK(ccz_mpc_kind_of(out) == ccz_mpc_kind_of(x) && ccz_mpc_frac_of(out) == FRAC);
            CHECK(ccz_mpc_owner_of(out) == ccz_mpc_owner_of(x));
            CHECK(cczi_mpc_shape_eq(&out->shape, &x->shape));
            uint64_t *got = values(p, out);
            if (kind == 0)
                first = got;
            CHECK(memcmp(first, got, N * sizeof(*got)) == 0);
            if (kind > 0)
                free(got);
        }
        free(first);
    }
}

static void test_kinds(void)
{
    both(32, kinds, NULL);
    both(64, kinds, NULL);
}

/* ---------------------------------------------------------------------------------- uniformity */

enum { MANY = 16384 };

/* 255 degrees of freedom: 390 is exceeded once in 10^7 times. */
static void check_uniform(const uint64_t *v, int number)
{
    double sum = 0;
    size_t count[256] = {0};
    for (size_t i = 0; i < MANY; i++)
        count[v[i] & 255]++;
    for (int b = 0; b < 256; b++)
        sum += ((double)count[b] - 64) * ((double)count[b] - 64) / 64;
    if (sum >= 390)
        fprintf(stderr, "function %d: chi-square %.1f\n", number, sum);
    CHECK(sum < 390);
}

/* The same two shares everywhere: whatever is random in a result, the protocol has put there. */
static void uniform(struct party *p, void *arg)
{
    static uint64_t share[2][MANY];
    struct ccz_err *e = &p->err;
    const int number = *(const int *)arg;
    for (size_t i = 0; i < MANY; i++)
        share[p->role][i] = p->role ? 123456789 : (uint64_t)1500 - 123456789;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    OK(ccz_mpc_import(&x, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE2(MANY / 4, 4), 10, share[p->role],
                      e));
    OK(math_call(&out, x, number, e));
    check_uniform(ccz_mpc_words(out), number);
}

static void test_uniform(void)
{
    for (int number = 0; number < MATH_CALLS; number++) {
        if (number != 3) /* 2 s - 1: even, and so are its shares */
            both(32, uniform, &number);
    }
}

/* ------------------------------------------------------------------------------------ refusals */

struct refusal {
    unsigned k, frac;
    ccz_rc (*call)(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                   const struct refusal *r, struct ccz_err *e);
    struct ccz_mpc_sigmoid_cfg sigmoid;
    int lo, hi;
    enum ccz_mpc_exp_range range;
    const char *where;
};

static ccz_rc call_sigmoid(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                           const struct refusal *r, struct ccz_err *e)
{
    return ccz_mpc_sigmoid_as(out, x, &r->sigmoid, e);
}

static ccz_rc call_tanh(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                        const struct refusal *r, struct ccz_err *e)
{
    return ccz_mpc_tanh(out, x, &r->sigmoid, e);
}

static ccz_rc call_exp(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                       const struct refusal *r, struct ccz_err *e)
{
    return ccz_mpc_exp(out, x, r->range, e);
}

static ccz_rc call_sqrt(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                        const struct refusal *r, struct ccz_err *e)
{
    return ccz_mpc_sqrt(out, x, (struct ccz_mpc_octaves){r->lo, r->hi}, e);
}

static ccz_rc call_reciprocal(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                              const struct refusal *r, struct ccz_err *e)
{
    return ccz_mpc_reciprocal(out, x, (struct ccz_mpc_octaves){r->lo, r->hi}, e);
}

static ccz_rc call_softmax(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                           const struct refusal *r, struct ccz_err *e)
{
    (void)r;
    return ccz_mpc_softmax(out, x, e);
}

static ccz_rc call_bits(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                        const struct refusal *r, struct ccz_err *e)
{
    CCZ_AUTO(ccz_mpc_tensor) bits = NULL;
    const uint64_t zeros[64] = {0};
    ccz_rc rc = ccz_mpc_import(&bits, x->m, CCZ_MPC_BITS, CCZ_MPC_SHAPE1(6), 0, zeros, e);
    if (rc != CCZ_OK)
        return rc;
    return r->lo == 0   ? ccz_mpc_sigmoid(out, bits, CCZ_MPC_SIGMOID_3, e)
           : r->lo == 1 ? ccz_mpc_exp(out, bits, CCZ_MPC_EXP_ANY, e)
           : r->lo == 2 ? ccz_mpc_softmax(out, bits, e)
           : r->lo == 3 ? ccz_mpc_shuffle(out, bits, e)
                        : ccz_mpc_reciprocal(out, bits, (struct ccz_mpc_octaves){0, 1}, e);
}

static const struct refusal refusals[] = {
    {64, 16, call_sigmoid, {.kind = (enum ccz_mpc_sigmoid)7}, 0, 0, 0, "mpc:sigmoid"},
    {64, 0, call_sigmoid, {0}, 0, 0, 0, "mpc:frac"},
    {64, 57, call_sigmoid, {.kind = CCZ_MPC_SIGMOID_SPLINE}, 0, 0, 0, "mpc:frac"},
    {64, 16, call_sigmoid, {.kind = CCZ_MPC_SIGMOID_SPLINE, .pieces = 9}, 0, 0, 0, "mpc:pieces"},
    {64, 16, call_sigmoid, {.range = 2}, 0, 0, 0, "mpc:range"},
    {64, 16, call_sigmoid, {.kind = CCZ_MPC_SIGMOID_CHEBYSHEV, .degree = 4}, 0, 0, 0, "mpc:degree"},
    {64, 25, call_sigmoid, {.kind = CCZ_MPC_SIGMOID_CHEBYSHEV}, 0, 0, 0, "mpc:frac"},
    {16, 5, call_sigmoid, {.kind = CCZ_MPC_SIGMOID_CHEBYSHEV}, 0, 0, 0, "mpc:ring"},
    {64, 16, call_tanh, {0}, 0, 0, 0, "mpc:sigmoid"},
    {16, 5, call_exp, {0}, 0, 0, 0, "mpc:ring"},
    {32, 13, call_exp, {0}, 0, 0, CCZ_MPC_EXP_ANY, "mpc:frac"},
    {32, 16, call_exp, {0}, 0, 0, CCZ_MPC_EXP_NEGATIVE, "mpc:frac"},
    {64, 16, call_exp, {0}, 0, 0, (enum ccz_mpc_exp_range)2, "mpc:exp-range"},
    {16, 5, call_sqrt, {0}, 0, 1, 0, "mpc:ring"},
    {64, 29, call_sqrt, {0}, 0, 1, 0, "mpc:frac"},
    {64, 16, call_sqrt, {0}, -17, 1, 0, "mpc:octaves"},
    {64, 16, call_sqrt, {0}, -3, 0, 0, "mpc:octaves"},
    {64, 16, call_sqrt, {0}, 3, 3, 0, "mpc:octaves"},
    {64, 16, call_sqrt, {0}, 30, 43, 0, "mpc:octaves"},
    {64, 16, call_sqrt, {0}, -16, 17, 0, "mpc:octaves"},
    {64, 0, call_reciprocal, {0}, 30, 58, 0, "mpc:octaves"},
    {64, 16, call_reciprocal, {0}, 10, 35, 0, "mpc:octaves"},
    {32, 4, call_reciprocal, {0}, 10, 18, 0, "mpc:octaves"},
    {16, 5, call_softmax, {0}, 0, 0, 0, "mpc:ring"},
    {32, 14, call_softmax, {0}, 0, 0, 0, "mpc:frac"},
    {64, 16, call_bits, {0}, 0, 0, 0, "mpc:kind"},
    {64, 16, call_bits, {0}, 1, 0, 0, "mpc:kind"},
    {64, 16, call_bits, {0}, 2, 0, 0, "mpc:kind"},
    {64, 16, call_bits, {0}, 3, 0, 0, "mpc:kind"},
    {64, 16, call_bits, {0}, 4, 0, 0, "mpc:kind"},
};

static void test_refusals(void)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *r = &refusals[i];
        const struct ccz_mpc_cfg cfg = {.ring_bits = r->k};
        const uint64_t zeros[6] = {0};
        struct ccz_err err = {0}, *e = &err;
        CCZ_AUTO(ccz_mpc) m = NULL;
        struct ccz_mpc_tensor *x = NULL, *out = (void *)&err;
        OK(ccz_mpc_plan_new(&m, &cfg, e));
        OK(ccz_mpc_import(&x, m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE1(6), r->frac, zeros, e));
        const uint64_t rounds = ccz_mpc_stats(m).phase[CCZ_MPC_ONLINE].rounds;
        CHECK(r->call(&out, x, r, e) == CCZ_E_ARG && !out);
        CHECK(ccz_mpc_stats(m).phase[CCZ_MPC_ONLINE].rounds ==
              rounds); /* before anything is sent */
        if (strcmp(err.where, r->where) != 0)
            fprintf(stderr, "%zu: %s %s, expected %s\n", i, err.where, err.msg, r->where);
        CHECK(strcmp(err.where, r->where) == 0);
        ccz_mpc_tensor_free(x);
    }
}

/* Octaves up to the last that is allowed, and one more. */
static void test_octaves(void)
{
    static const struct {
        unsigned k, frac;
        int lo, hi;
    } c[] = {{64, 0, 2, 34}, {64, 16, 10, 34}, {64, 28, 1, 30}, {32, 4, 10, 17}, {32, 0, 1, 17}};
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++)
        for (int more = 0; more < 2; more++) {
            const struct ccz_mpc_octaves octaves = {c[i].lo + more, c[i].hi + more};
            const uint64_t one = (uint64_t)1 << ((unsigned)octaves.lo + c[i].frac);
            const struct ccz_mpc_cfg cfg = {.ring_bits = c[i].k};
            const struct ccz_mpc_math_call call = {.op = CCZ_MPC_MATH_RECIPROCAL,
                                                   .n = 1,
                                                   .ring_bits = c[i].k,
                                                   .frac = c[i].frac,
                                                   .octaves = octaves};
            struct ccz_err err = {0}, *e = &err;
            struct ccz_mpc_tensor *x = NULL, *out = NULL;
            CCZ_AUTO(ccz_mpc) m = NULL;
            uint64_t y = 0;
            OK(ccz_mpc_plan_new(&m, &cfg, e));
            OK(ccz_mpc_import(&x, m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE1(1), c[i].frac, &one, e));
            CHECK((ccz_mpc_reciprocal(&out, x, octaves, e) == CCZ_OK) == !more);
            CHECK((ccz_mpc_math_cost(&call).rounds > 0) == !more);
            ccz_rc rc = ccz_mpc_reciprocal_plain(&y, &one, 1, c[i].k, c[i].frac, octaves, e);
            CHECK((rc == CCZ_OK) == !more);
            if (more)
                CHECK(strcmp(err.where, "mpc:octaves") == 0);
            else
                CHECK(fabs(ldexp((double)y, -(int)c[i].frac) - ldexp(1, -octaves.lo)) <=
                      ldexp(1, -(int)c[i].frac) + ldexp(1, -11 - octaves.lo));
            ccz_mpc_tensor_free(x);
            ccz_mpc_tensor_free(out);
        }
}

/* What is no ring is refused by every twin before anything is shifted by it. */
static void test_rings(void)
{
    static const unsigned none[] = {0, 1, 7, 24, 33, 63, 65, 96, 128, UINT32_MAX};
    const struct ccz_mpc_sigmoid_cfg kinds[] = {{.kind = CCZ_MPC_SIGMOID_SPLINE},
                                                {.kind = CCZ_MPC_SIGMOID_CHEBYSHEV},
                                                {.kind = CCZ_MPC_SIGMOID_3}};
    const struct ccz_mpc_octaves octaves = {0, 1};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        const unsigned k = none[i];
        uint64_t x = 1, y = 77;
        for (int call = 0; call < 10; call++) {
            struct ccz_err err = {0}, *e = &err;
            ccz_rc rc = call < 3   ? ccz_mpc_sigmoid_plain(&y, &x, 1, k, 4, &kinds[call], e)
                        : call < 5 ? ccz_mpc_tanh_plain(&y, &x, 1, k, 4, &kinds[call - 3], e)
                        : call < 6 ? ccz_mpc_exp_plain(&y, &x, 1, k, 4, CCZ_MPC_EXP_ANY, e)
                        : call < 7 ? ccz_mpc_reciprocal_plain(&y, &x, 1, k, 4, octaves, e)
                        : call < 8 ? ccz_mpc_sqrt_plain(&y, &x, 1, k, 4, octaves, e)
                        : call < 9 ? ccz_mpc_rsqrt_plain(&y, &x, 1, k, 4, octaves, e)
                                   : ccz_mpc_softmax_plain(&y, &x, 1, 1, k, 4, e);
            CHECK(rc == CCZ_E_ARG && y == 77 && strcmp(err.where, "mpc:ring") == 0);
        }
    }
    /* Fractions that overflow a sum with what a function adds to them. */
    for (int kind = 0; kind < 3; kind++) {
        struct ccz_err err = {0};
        uint64_t x = 1, y = 77;
        CHECK(ccz_mpc_sigmoid_plain(&y, &x, 1, 64, UINT32_MAX - 3, &kinds[kind], &err) ==
              CCZ_E_ARG);
        CHECK(y == 77 && strcmp(err.where, "mpc:frac") == 0);
    }
}

/* Rows above the limit, and too long a row of a softmax, refused before memory is asked for. */
static void test_limits(void)
{
    const struct ccz_mpc_cfg cfg = {.ring_bits = 32};
    for (int i = 0; i < 4; i++) {
        struct ccz_err err = {0}, *e = &err;
        struct ccz_mpc_tensor *x = NULL, *out = NULL;
        CCZ_AUTO(ccz_mpc) m = NULL;
        const struct ccz_mpc_shape shape = i == 0   ? CCZ_MPC_SHAPE2(CCZ_MPC_ROWS_MAX + 1, 1)
                                           : i == 1 ? CCZ_MPC_SHAPE2(1, 1025)
                                                    : (struct ccz_mpc_shape){.rank = 0};
        OK(ccz_mpc_plan_new(&m, &cfg, e));
        OK(ccz_mpc_import(&x, m, CCZ_MPC_SHARED, shape, 8, NULL, e));
        ccz_rc rc = i == 0 || i == 2 ? ccz_mpc_shuffle(&out, x, e) : ccz_mpc_softmax(&out, x, e);
        CHECK(rc == CCZ_E_ARG && !out);
        CHECK(strcmp(err.where, i == 0 || i == 2 ? "mpc:rows" : "mpc:softmax") == 0);
        ccz_mpc_tensor_free(x);
    }
}

/* ---------------------------------------------------------------------------------------- cost */

/* Rounds that the header and the design note state. */
static void test_rounds(void)
{
    static const struct {
        struct ccz_mpc_math_call c;
        unsigned rounds[2]; /* exact, one bit */
    } c[] = {
        {{.op = CCZ_MPC_MATH_SIGMOID, .ring_bits = 64}, {8, 8}},
        {{.op = CCZ_MPC_MATH_SIGMOID, .ring_bits = 64, .sigmoid.range = 3}, {7, 7}},
        {{.op = CCZ_MPC_MATH_SIGMOID, .ring_bits = 64, .sigmoid.kind = CCZ_MPC_SIGMOID_SPLINE},
         {14, 10}},
        {{.op = CCZ_MPC_MATH_SIGMOID,
          .ring_bits = 64,
          .sigmoid = {.kind = CCZ_MPC_SIGMOID_CHEBYSHEV, .degree = 3}},
         {16, 6}},
        {{.op = CCZ_MPC_MATH_SIGMOID,
          .ring_bits = 64,
          .sigmoid = {.kind = CCZ_MPC_SIGMOID_CHEBYSHEV, .degree = 7}},
         {24, 9}},
        {{.op = CCZ_MPC_MATH_EXP, .ring_bits = 64}, {73, 32}},
        {{.op = CCZ_MPC_MATH_EXP, .ring_bits = 64, .exp_range = CCZ_MPC_EXP_NEGATIVE}, {65, 29}},
        {{.op = CCZ_MPC_MATH_RECIPROCAL, .ring_bits = 64, .octaves = {-8, 8}}, {48, 23}},
        {{.op = CCZ_MPC_MATH_SQRT, .ring_bits = 64, .octaves = {-8, 8}}, {63, 29}},
        {{.op = CCZ_MPC_MATH_SOFTMAX, .ring_bits = 64, .d = 10}, {151, 87}},
        {{.op = CCZ_MPC_MATH_PERMUTE, .ring_bits = 64, .d = 10}, {2, 2}},
        {{.op = CCZ_MPC_MATH_SHUFFLE, .ring_bits = 64, .d = 10}, {4, 4}},
    };
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++)
        for (int mode = 0; mode < 2; mode++) {
            struct ccz_mpc_math_call call = c[i].c;
            call.n = 1000;
            call.frac = 16;
            call.trunc = mode ? CCZ_MPC_TRUNC_ONE_BIT : CCZ_MPC_TRUNC_FAITHFUL;
            const struct ccz_mpc_math_cost z = ccz_mpc_math_cost(&call);
            CHECK(z.rounds == c[i].rounds[mode]);
        }
    struct ccz_mpc_math_call none = {.op = CCZ_MPC_MATH_EXP, .ring_bits = 16, .n = 5};
    CHECK(ccz_mpc_math_cost(&none).rounds == 0);
    none = (struct ccz_mpc_math_call){.op = CCZ_MPC_MATH_SIGMOID, .ring_bits = 64, .frac = 16};
    CHECK(ccz_mpc_math_cost(&none).rounds == 0);
}

static void costs_nothing(struct ccz_mpc_math_call call)
{
    const struct ccz_mpc_math_cost z = ccz_mpc_math_cost(&call), zero = {{0}, {0}, 0, 0, 0};
    if (memcmp(&z, &zero, sizeof(z)) != 0)
        fprintf(stderr, "op %d k %u n %zu d %zu: %u rounds\n", call.op, call.ring_bits, call.n,
                call.d, z.rounds);
    CHECK(memcmp(&z, &zero, sizeof(z)) == 0);
}

/* Calls that are refused. */
static void test_no_cost(void)
{
    static const unsigned none[] = {0, 7, 33, 65, 128};
    struct ccz_mpc_math_call c = {.ring_bits = 64, .frac = 16, .d = 2, .octaves = {0, 1}};
    for (int op = CCZ_MPC_MATH_SIGMOID; op <= CCZ_MPC_MATH_SHUFFLE; op++) {
        c.op = (enum ccz_mpc_math_op)op;
        c.sigmoid.kind = CCZ_MPC_SIGMOID_SPLINE;
        c.n = 10;
        CHECK(ccz_mpc_math_cost(&c).rounds > 0);
        c.n = CCZ_MPC_LEN_MAX + 1;
        costs_nothing(c);
        c.n = 10;
        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
            struct ccz_mpc_math_call other = c;
            other.ring_bits = none[i];
            costs_nothing(other);
        }
        struct ccz_mpc_math_call rows = c;
        if (op < CCZ_MPC_MATH_SOFTMAX)
            continue;
        rows.d = 0;
        costs_nothing(rows);
        rows.d = CCZ_MPC_LEN_MAX / 10 + 1;
        costs_nothing(rows);
        rows.n = 4;
        rows.d = SIZE_MAX / 4 + 2;
        costs_nothing(rows);
    }
    c.op = CCZ_MPC_MATH_TANH;
    c.sigmoid.kind = CCZ_MPC_SIGMOID_3;
    costs_nothing(c);
    for (int op = 0; op < CCZ_MPC_OPS; op++)
        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
            if (op != CCZ_MPC_OP_MILLIONAIRES)
                CHECK(ccz_mpc_cmp_cost((enum ccz_mpc_cmp_op)op, 5, none[i], 4).rounds == 0);
}

/* -------------------------------------------------------------------------------------- faults */

enum { FAULTY_N = 130 };

static void faulty_program(struct party *p, void *arg)
{
    static const uint64_t share[FAULTY_N] = {5};
    static uint32_t order[FAULTY_N];
    const int number = *(const int *)arg;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    for (uint32_t i = 0; i < FAULTY_N && p->role == 0; i++)
        order[i] = FAULTY_N - 1 - i;
    p->rc =
        ccz_mpc_import(&x, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE2(FAULTY_N, 1), 10, share, &p->err);
    if (p->rc == CCZ_OK)
        p->rc = number < MATH_CALLS
                    ? math_call(&out, x, number, &p->err)
                    : ccz_mpc_permute(&out, x, 0, p->role == 0 ? order : NULL, &p->err);
    CHECK((out != NULL) == (p->rc == CCZ_OK));
}

static void faulty(struct duo *d, int who, int number, const struct ccz_chan_fault_cfg *fault)
{
    duo_init(d, 32);
    CHECK(ccz_chan_fault_new(&d->p[who].chan, d->p[who].chan, fault, NULL) == CCZ_OK);
    for (int i = 0; i < 2; i++)
        ccz_chan_set_timeout(d->p[i].chan, 60000);
    duo_run(d, faulty_program, &number);
}

/* The n-th message of `who`, counted from the last one: cut short, lost with the connection, changed. */
static void faults_of(int number, int who, uint64_t last)
{
    struct duo d;
    faulty(&d, who, number, &(struct ccz_chan_fault_cfg){0});
    CHECK(d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK);
    const uint64_t sent = ccz_chan_stats(d.p[who].chan).sent_len;
    duo_free(&d);
    for (uint64_t n = sent - last + 1; n <= sent; n++) {
        faulty(&d, who, number, &(struct ccz_chan_fault_cfg){.send_shorten = n});
        expect_error(&d.p[1 - who], CCZ_E_PEER, "chan:size");
        CHECK(d.p[who].rc == CCZ_E_CLOSED || (d.p[who].rc == CCZ_OK && n == sent));
        duo_free(&d);
        faulty(&d, who, number, &(struct ccz_chan_fault_cfg){.send_cut_after = n - 1});
        CHECK(d.p[who].rc == CCZ_E_CLOSED && d.p[1 - who].rc == CCZ_E_CLOSED);
        duo_free(&d);
        /* what cannot be noticed at least ends */
        faulty(&d, who, number, &(struct ccz_chan_fault_cfg){.send_flip = n});
        CHECK(d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK);
        duo_free(&d);
    }
}

static void test_faults(void)
{
    for (int who = 0; who < 2; who++) {
        faults_of(0, who, 3);
        faults_of(1, who, 3);
        faults_of(MATH_CALLS, who, 1); /* a permutation: one message each way */
    }
    faults_of(6, 1, 4);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"math_guard.splines", test_splines},   {"math_guard.precise", test_precise},
        {"math_guard.kinds", test_kinds},       {"math_guard.uniform", test_uniform},
        {"math_guard.refusals", test_refusals}, {"math_guard.limits", test_limits},
        {"math_guard.rounds", test_rounds},     {"math_guard.faults", test_faults},
        {"math_guard.octaves", test_octaves},   {"math_guard.rings", test_rings},
        {"math_guard.no_cost", test_no_cost},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
