/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of shared values of two parties, one thread each, over a channel in memory; columns as mpc_duo.h says. CCZOO_CPU chooses the
 * tier. usage: bench_mpc_math [len [runs [function]]]
 */
#define _POSIX_C_SOURCE 200809L
#include <cczoo/mpc_math.h>

#include "mpc_duo.h"

struct job {
    const char *name;
    struct ccz_mpc_math_call c; /* n, d: 0 = what the command line says */
};
#define SPLINE(p, r)                                                                               \
    {                                                                                              \
        .kind = CCZ_MPC_SIGMOID_SPLINE, .pieces = (p), .range = (r)                                \
    }
#define CHEBYSHEV(d)                                                                               \
    {                                                                                              \
        .kind = CCZ_MPC_SIGMOID_CHEBYSHEV, .degree = (d)                                           \
    }
static const struct job jobs[] = {
    {"sigmoid 3", {.op = CCZ_MPC_MATH_SIGMOID}},
    {"sigmoid 3, range 8", {.op = CCZ_MPC_MATH_SIGMOID, .sigmoid = {.range = 3}}},
    {"spline 5, range 8", {.op = CCZ_MPC_MATH_SIGMOID, .sigmoid = SPLINE(5, 3)}},
    {"spline 7, range 8", {.op = CCZ_MPC_MATH_SIGMOID, .sigmoid = SPLINE(7, 3)}},
    {"spline 15, range 8", {.op = CCZ_MPC_MATH_SIGMOID, .sigmoid = SPLINE(15, 3)}},
    {"spline 31, range 8", {.op = CCZ_MPC_MATH_SIGMOID, .sigmoid = SPLINE(31, 3)}},
    {"spline 7", {.op = CCZ_MPC_MATH_SIGMOID, .sigmoid = SPLINE(7, 0)}},
    {"spline 31", {.op = CCZ_MPC_MATH_SIGMOID, .sigmoid = SPLINE(31, 0)}},
    {"chebyshev 3", {.op = CCZ_MPC_MATH_SIGMOID, .sigmoid = CHEBYSHEV(3)}},
    {"chebyshev 7", {.op = CCZ_MPC_MATH_SIGMOID, .sigmoid = CHEBYSHEV(7)}},
    {"exp", {.op = CCZ_MPC_MATH_EXP, .exp_range = CCZ_MPC_EXP_NEGATIVE}},
    {"reciprocal, 12 octaves", {.op = CCZ_MPC_MATH_RECIPROCAL, .octaves = {-6, 6}}},
    {"sqrt, 12 octaves", {.op = CCZ_MPC_MATH_SQRT, .octaves = {-6, 6}}},
    {"softmax, rows of 16", {.op = CCZ_MPC_MATH_SOFTMAX, .d = 16}},
    {"shuffle, 1024 rows of 1", {.op = CCZ_MPC_MATH_SHUFFLE, .n = 1024, .d = 1}},
    {"shuffle, 1024 rows of 10", {.op = CCZ_MPC_MATH_SHUFFLE, .n = 1024, .d = 10}},
    {"shuffle, 1024 rows of 100", {.op = CCZ_MPC_MATH_SHUFFLE, .n = 1024, .d = 100}},
    {"shuffle, 16384 rows of 10", {.op = CCZ_MPC_MATH_SHUFFLE, .n = 16384, .d = 10}},
};

static ccz_rc call(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                   const struct ccz_mpc_math_call *c)
{
    switch (c->op) {
    case CCZ_MPC_MATH_SIGMOID:
        return ccz_mpc_sigmoid_as(out, x, &c->sigmoid, NULL);
    case CCZ_MPC_MATH_EXP:
        return ccz_mpc_exp(out, x, c->exp_range, NULL);
    case CCZ_MPC_MATH_RECIPROCAL:
        return ccz_mpc_reciprocal(out, x, c->octaves, NULL);
    case CCZ_MPC_MATH_SQRT:
        return ccz_mpc_sqrt(out, x, c->octaves, NULL);
    case CCZ_MPC_MATH_SOFTMAX:
        return ccz_mpc_softmax(out, x, NULL);
    default:
        return ccz_mpc_shuffle(out, x, NULL);
    }
}

static size_t len_of(const struct ccz_mpc_math_call *c)
{
    return c->n * (c->d ? c->d : 1);
}

/* What a call will need, prepared in one step as programs do: transfers, and all its products. */
static void prepare(struct ccz_mpc *m, const struct ccz_mpc_math_call *c,
                    const struct ccz_mpc_shape *shape)
{
    CCZ_AUTO(ccz_mpc) plan = NULL;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    size_t len;
    must(ccz_mpc_plan_new(&plan, ccz_mpc_cfg_of(m), NULL) == CCZ_OK, "plan");
    must(ccz_mpc_import(&x, plan, CCZ_MPC_SHARED, *shape, c->frac, NULL, NULL) == CCZ_OK, "shares");
    must(call(&out, x, c) == CCZ_OK, "plan of a function");
    const struct ccz_mpc_need *needs = ccz_mpc_needs(&len, plan);
    must(ccz_mpc_prepare(m, needs, len, NULL) == CCZ_OK, "offline phase");
}

static void program(struct ccz_mpc *m, unsigned role, const void *arg)
{
    const struct ccz_mpc_math_call *c = arg;
    const struct ccz_mpc_shape shape = c->d ? CCZ_MPC_SHAPE2(c->n, c->d) : CCZ_MPC_SHAPE1(c->n);
    uint64_t *share = calloc(len_of(c), sizeof(*share)), state = 12345;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    must(share, "memory");
    for (size_t i = 0; i < len_of(c); i++) { /* values from 0.1 to 7 */
        state = state * 6364136223846793005u + 1442695040888963407u;
        const uint64_t value = ((uint64_t)1 << c->frac) / 10 + (i % 69) * ((1u << c->frac) / 10);
        share[i] = role ? value - state : state;
    }
    prepare(m, c, &shape);
    must(ccz_mpc_import(&x, m, CCZ_MPC_SHARED, shape, c->frac, share, NULL) == CCZ_OK, "shares");
    must(call(&out, x, c) == CCZ_OK, "function");
    free(share);
}

int main(int argc, char **argv)
{
    size_t len = argc > 1 ? strtoull(argv[1], NULL, 10) : 16384;
    size_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : 5;
    must(len >= 16 && len % 16 == 0 && runs >= 1 && runs <= DUO_RUNS_MAX, "usage");
    for (size_t j = 0; j < sizeof(jobs) / sizeof(jobs[0]); j++)
        for (unsigned k = 32; k <= 64; k *= 2)
            for (int silent = 0; silent < 2; silent++) {
                struct ccz_mpc_math_call c = jobs[j].c;
                struct duo_party p[2];
                if (argc > 3 && strcmp(argv[3], jobs[j].name) != 0)
                    continue;
                c.frac = k == 64 ? 16 : 10;
                if (c.op == CCZ_MPC_MATH_SIGMOID && c.sigmoid.kind != CCZ_MPC_SIGMOID_CHEBYSHEV)
                    c.frac = k == 64 ? 16 : 12;
                c.n = c.n ? c.n : c.d ? len / c.d : len;
                for (unsigned i = 0; i < 2; i++)
                    p[i] = (struct duo_party){
                        .cfg = {.role = i,
                                .ring_bits = k,
                                .trunc = CCZ_MPC_TRUNC_ONE_BIT,
                                .ot = silent ? CCZ_MPC_OT_SILENT : CCZ_MPC_OT_SOFTSPOKEN},
                        .program = program,
                        .arg = &c};
                duo_measure(jobs[j].name, len_of(&c), p, runs);
            }
    return 0;
}
