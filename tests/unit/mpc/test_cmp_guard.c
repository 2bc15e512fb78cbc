/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison family beside its results: shares are uniform, arguments are refused, broken channels end both sides, plans say
 * what a run then costs. */
#define _DEFAULT_SOURCE
#include <cczoo/mpc_cmp.h>

#include "kit.h"
#include "mpc/session.h"

static unsigned bit_at(const uint64_t *row, size_t i)
{
    return (unsigned)(row[i / 64] >> i % 64 & 1);
}

/* ---------------------------------------------------------------------------------- uniformity */

enum { MANY = 65536 };

/* 255 degrees of freedom, and a hundred checks: 480 is exceeded once in 10^15 times. */
static void check_uniform(const uint64_t *v, const char *what)
{
    double sum = 0;
    size_t count[256] = {0};
    for (size_t i = 0; i < MANY; i++)
        count[v[i] & 255]++;
    for (int b = 0; b < 256; b++)
        sum += ((double)count[b] - 256) * ((double)count[b] - 256) / 256;
    if (sum >= 480)
        fprintf(stderr, "%s: chi-square %.1f\n", what, sum);
    CHECK(sum < 480);
}

/* Bits: half of them within eight standard deviations. */
static void check_balanced(const uint64_t *row, const char *what)
{
    long ones = 0;
    for (size_t i = 0; i < MANY; i++)
        ones += bit_at(row, i);
    if (labs(ones - MANY / 2) >= 8 * 128)
        fprintf(stderr, "%s: %ld of %d\n", what, ones, MANY);
    CHECK(labs(ones - MANY / 2) < 8 * 128);
}

static void check_shares(const struct ccz_mpc_tensor *t, const char *what)
{
    if (ccz_mpc_kind_of(t) == CCZ_MPC_BITS)
        check_balanced(ccz_mpc_words(t), what);
    else
        check_uniform(ccz_mpc_words(t), what);
}

/* The same two shares everywhere: whatever is random in a result, the protocol has put there. */
static void fixed_program(struct party *p, void *arg)
{
    static uint64_t share[2][MANY], bits[2][MANY / 64];
    const uint64_t *const values = arg;
    struct ccz_err *e = &p->err;
    for (size_t i = 0; i < MANY; i++)
        share[p->role][i] = values[p->role];
    memset(bits[p->role], p->role ? 0xff : 0, sizeof(bits[0]));
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) b = NULL;
    OK(ccz_mpc_import(&x, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE1(MANY), 6, share[p->role], e));
    OK(ccz_mpc_import(&b, p->m, CCZ_MPC_BITS, CCZ_MPC_SHAPE1(MANY), 0, bits[p->role], e));
    struct ccz_mpc_tensor *t[14] = {0};
    OK(ccz_mpc_msb(&t[0], x, e));
    OK(ccz_mpc_less_const(&t[1], x, 3, e));
    OK(ccz_mpc_equal(&t[2], x, x, e));
    OK(ccz_mpc_wrap(&t[3], x, e));
    OK(ccz_mpc_mux(&t[4], b, x, e));
    OK(ccz_mpc_select(&t[5], b, x, x, e));
    OK(ccz_mpc_relu(&t[6], &t[7], x, e));
    OK(ccz_mpc_abs(&t[8], x, e));
    OK(ccz_mpc_clamp(&t[9], x, -9, 9, e));
    OK(ccz_mpc_max2(&t[10], x, x, e));
    OK(ccz_mpc_truncate_as(&t[11], x, 3, CCZ_MPC_RANGE_ANY, CCZ_MPC_TRUNC_FAITHFUL, e));
    OK(ccz_mpc_truncate_as(&t[12], x, 6, CCZ_MPC_RANGE_HALF, CCZ_MPC_TRUNC_FAITHFUL, e));
    for (int i = 0; i <= 12; i++) {
        char what[32];
        (void)snprintf(what, sizeof(what), "party %u, result %d", p->role, i);
        if (i != 8) /* x - 2 b x: its lowest bit is that of the operand's share */
            check_shares(t[i], what);
        ccz_mpc_tensor_free(t[i]);
    }
}

static void test_fixed_shares(void)
{
    uint64_t a[2] = {0, 0}, b[2] = {200, 61};
    both(8, fixed_program, a);
    both(8, fixed_program, b);
}

/* Fresh shares of one number, for results that keep a part of their operand's share. */
static void fresh_program(struct party *p, void *arg)
{
    static uint64_t share[2][MANY];
    struct ccz_err *e = &p->err;
    uint64_t seed = 77;
    for (size_t i = 0; i < MANY; i++) {
        uint64_t r = rnd(&seed) >> 32;
        share[p->role][i] = (p->role ? *(uint64_t *)arg - r : r) & 255;
    }
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    OK(ccz_mpc_import(&x, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE1(MANY), 6, share[p->role], e));
    for (unsigned s = 1; s <= 6; s++)
        for (int range = 0; range < 3; range++) {
            CCZ_AUTO(ccz_mpc_tensor) q = NULL;
            OK(ccz_mpc_truncate_as(&q, x, s, (enum ccz_mpc_range)range, CCZ_MPC_TRUNC_ONE_BIT, e));
            check_shares(q, "one bit");
        }
    CCZ_AUTO(ccz_mpc_tensor) a = NULL;
    OK(ccz_mpc_abs(&a, x, e));
    check_shares(a, "abs");
    CCZ_AUTO(ccz_mpc_tensor) bits = NULL;
    OK(ccz_mpc_a2b(&bits, x, e));
    for (unsigned b = 0; b < 8; b++)
        check_balanced(ccz_mpc_words(bits) + b * (MANY / 64), "a2b");
    CCZ_AUTO(ccz_mpc_tensor) ring = NULL;
    CCZ_AUTO(ccz_mpc_tensor) row = NULL;
    OK(ccz_mpc_import(&row, p->m, CCZ_MPC_BITS, CCZ_MPC_SHAPE1(MANY), 0, ccz_mpc_words(bits), e));
    OK(ccz_mpc_b2a(&ring, row, e));
    check_shares(ring, "b2a");
}

static void test_fresh_shares(void)
{
    uint64_t x = 37, y = 0;
    both(8, fresh_program, &x);
    both(8, fresh_program, &y);
}

/* ------------------------------------------------------------------------------------ refusals */

/* A planning session and its tensors: scales 4 and 3, 6 elements and others, bits. */
struct plan {
    struct ccz_mpc *m;
    struct ccz_mpc_tensor *x, *other_scale, *other_shape, *bits, *mine, *mine_too, *theirs;
};

static void plan_init(struct plan *p)
{
    const struct ccz_mpc_cfg cfg = {.ring_bits = 32};
    const uint64_t zeros[8] = {0};
    struct ccz_err err, *e = &err;
    OK(ccz_mpc_plan_new(&p->m, &cfg, e));
    OK(ccz_mpc_import(&p->x, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE1(6), 4, zeros, e));
    OK(ccz_mpc_import(&p->other_scale, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE1(6), 3, zeros, e));
    OK(ccz_mpc_import(&p->other_shape, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE2(2, 3), 4, zeros, e));
    OK(ccz_mpc_import(&p->bits, p->m, CCZ_MPC_BITS, CCZ_MPC_SHAPE1(6), 0, zeros, e));
    OK(ccz_mpc_private(&p->mine, p->m, 0, CCZ_MPC_SHAPE1(6), 4, NULL, e));
    OK(ccz_mpc_private(&p->mine_too, p->m, 0, CCZ_MPC_SHAPE1(6), 4, NULL, e));
    OK(ccz_mpc_private(&p->theirs, p->m, 1, CCZ_MPC_SHAPE1(6), 4, NULL, e));
}

static void plan_deinit(struct plan *p)
{
    struct ccz_mpc_tensor *all[] = {p->x,    p->other_scale, p->other_shape, p->bits,
                                    p->mine, p->mine_too,    p->theirs};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        ccz_mpc_tensor_free(all[i]);
    ccz_mpc_free(p->m);
}

static ccz_rc refused(struct ccz_mpc_tensor **out, int number, struct plan *p, struct plan *other,
                      struct ccz_err *e)
{
    const enum ccz_mpc_trunc exact = CCZ_MPC_TRUNC_FAITHFUL;
    switch (number) {
    case 0:
        return ccz_mpc_millionaires(out, p->mine, p->theirs, 0, e);
    case 1:
        return ccz_mpc_millionaires(out, p->mine, p->theirs, 33, e);
    case 2:
        return ccz_mpc_millionaires(out, p->mine, p->mine_too, 8, e);
    case 3:
        return ccz_mpc_millionaires(out, p->mine, p->x, 8, e);
    case 4:
        return ccz_mpc_less(out, p->x, p->other_scale, e);
    case 5:
        return ccz_mpc_less(out, p->x, p->other_shape, e);
    case 6:
        return ccz_mpc_equal(out, p->x, p->bits, e);
    case 7:
        return ccz_mpc_msb(out, p->bits, e);
    case 8:
        return ccz_mpc_mux(out, p->x, p->x, e);
    case 9:
        return ccz_mpc_mux(out, p->bits, p->other_shape, e);
    case 10:
        return ccz_mpc_select(out, p->bits, p->x, p->other_scale, e);
    case 11:
        return ccz_mpc_b2a(out, p->x, e);
    case 12:
        return ccz_mpc_clamp(out, p->x, 2, 1, e);
    case 13:
        return ccz_mpc_truncate(out, p->x, 31, CCZ_MPC_RANGE_ANY, e);
    case 14:
        return ccz_mpc_truncate(out, p->x, 5, CCZ_MPC_RANGE_ANY, e);
    case 15:
        return ccz_mpc_truncate(out, p->x, 2, (enum ccz_mpc_range)3, e);
    case 16:
        return ccz_mpc_truncate_as(out, p->x, 2, CCZ_MPC_RANGE_ANY, (enum ccz_mpc_trunc)3, e);
    case 17:
        return ccz_mpc_truncate_as(out, p->bits, 2, CCZ_MPC_RANGE_ANY, exact, e);
    case 18:
        return ccz_mpc_max_pool(out, p->x, &(struct ccz_mpc_pool){1, 1, 0, 0}, e);
    case 19:
        return ccz_mpc_wrap(out, p->mine, e);
    case 20:
        return ccz_mpc_max2(out, p->x, p->other_shape, e);
    case 21:
        return ccz_mpc_less(out, p->x, other->x, e);
    case 22:
        return ccz_mpc_truncate_as(out, p->x, 2, CCZ_MPC_RANGE_ANY, CCZ_MPC_TRUNC_LOCAL, e);
    default:
        return ccz_mpc_a2b(out, p->bits, e);
    }
}

static void test_refusals(void)
{
    static const char *const where[] = {
        "mpc:bits",  "mpc:bits",  "mpc:kind",  "mpc:kind",    "mpc:scale", "mpc:shape",
        "mpc:kind",  "mpc:kind",  "mpc:kind",  "mpc:shape",   "mpc:scale", "mpc:kind",
        "mpc:clamp", "mpc:shift", "mpc:scale", "mpc:range",   "mpc:trunc", "mpc:kind",
        "mpc:pool",  "mpc:kind",  "mpc:shape", "mpc:session", "mpc:trunc", "mpc:kind"};
    for (int i = 0; i < (int)(sizeof(where) / sizeof(where[0])); i++) {
        struct plan p, other;
        struct ccz_err err = {0};
        struct ccz_mpc_tensor *out = (void *)&err;
        plan_init(&p);
        plan_init(&other);
        CHECK(refused(&out, i, &p, &other, &err) == CCZ_E_ARG && !out);
        if (strcmp(err.where, where[i]) != 0)
            fprintf(stderr, "%d: %s %s, expected %s\n", i, err.where, err.msg, where[i]);
        CHECK(strcmp(err.where, where[i]) == 0);
        plan_deinit(&p);
        plan_deinit(&other);
    }
}

/* A rank of four has no place for the bits; windows have to fit. */
static void test_shapes(void)
{
    static const struct ccz_mpc_pool bad[] = {
        {0, 1, 0, 0}, {1, 0, 0, 0}, {4, 1, 0, 0}, {1, 6, 0, 0}};
    const struct ccz_mpc_cfg cfg = {.ring_bits = 16};
    const uint64_t zeros[60] = {0};
    struct ccz_err err, *e = &err;
    for (int i = 0; i < 5; i++) {
        CCZ_AUTO(ccz_mpc) m = NULL;
        CCZ_AUTO(ccz_mpc_tensor) x = NULL;
        struct ccz_mpc_tensor *out;
        OK(ccz_mpc_plan_new(&m, &cfg, e));
        OK(ccz_mpc_import(&x, m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE4(2, 3, 5, 2), 0, zeros, e));
        ccz_rc rc = i < 4 ? ccz_mpc_max_pool(&out, x, &bad[i], e) : ccz_mpc_a2b(&out, x, e);
        CHECK(rc == CCZ_E_ARG && !out && strcmp(err.where, i < 4 ? "mpc:pool" : "mpc:shape") == 0);
    }
}

/* ---------------------------------------------------------------------------------------- cost */

/* Bits per element of both parties, OTs and rounds, counted by hand (docs/design/mpc.md). */
static void test_cost(void)
{
    static const struct {
        enum ccz_mpc_cmp_op op;
        unsigned k, bits, per_element, ots, rounds;
    } c[] = {
        {CCZ_MPC_OP_MSB, 32, 0, 31 + 224 + 36, 31 + 2 * 7, 5},
        {CCZ_MPC_OP_MSB, 64, 0, 63 + 480 + 82, 63 + 2 * 15, 6},
        {CCZ_MPC_OP_EQUAL, 32, 0, 32 + 8 * 16 + 4 * 7, 32 + 2 * 7, 5},
        {CCZ_MPC_OP_MUX, 32, 0, 2 * 33, 2, 2},
        {CCZ_MPC_OP_B2A, 64, 0, 65, 1, 2},
        {CCZ_MPC_OP_RELU, 32, 0, 291 + 66, 47, 7},
        {CCZ_MPC_OP_RELU, 64, 0, 625 + 130, 95, 8},
        {CCZ_MPC_OP_TRUNC_ONE_BIT_RANGE, 64, 12, 13, 1, 2},
        {CCZ_MPC_OP_MILLIONAIRES, 8, 1, 1 + 2, 1, 2},
        {CCZ_MPC_OP_MAX, 32, 16, 15 * 357, 15 * 47, 28},
        {CCZ_MPC_OP_ARGMAX, 32, 16, 15 * (357 + 64), 15 * 47, 28},
    };
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
        struct ccz_mpc_cmp_cost cost = ccz_mpc_cmp_cost(c[i].op, 1280, c[i].k, c[i].bits);
        if ((cost.sent[0] + cost.sent[1]) * 8 != 1280 * c[i].per_element)
            fprintf(stderr, "%zu: %.2f bits\n", i,
                    (double)(cost.sent[0] + cost.sent[1]) * 8 / 1280);
        CHECK((cost.sent[0] + cost.sent[1]) * 8 == 1280 * c[i].per_element);
        CHECK(cost.ots[0] + cost.ots[1] == 1280 * c[i].ots && cost.rounds == c[i].rounds);
    }
    CHECK(ccz_mpc_cmp_cost(CCZ_MPC_OP_RELU, 0, 32, 0).rounds == 0);
    CHECK(ccz_mpc_cmp_cost(CCZ_MPC_OP_TRUNC_FAITHFUL, 5, 32, 0).rounds == 0);
}

/* --------------------------------------------------------------------------------------- plans */

/* Some of everything, on inputs of party 0. */
static void some_program(struct party *p, void *arg)
{
    enum { N = 200 };
    struct ccz_err *e = &p->err;
    uint64_t v[N];
    (void)arg;
    for (size_t i = 0; i < N; i++)
        v[i] = i * 37 % 101;
    const uint64_t *own = p->role == 0 && !ccz_mpc_is_plan(p->m) ? v : NULL;
    CCZ_AUTO(ccz_mpc_tensor) in = NULL;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    struct ccz_mpc_tensor *t[9] = {0};
    OK(ccz_mpc_private(&in, p->m, 0, CCZ_MPC_SHAPE2(20, 10), 8, own, e));
    OK(ccz_mpc_share(&x, in, e));
    OK(ccz_mpc_relu(&t[0], &t[1], x, e));
    OK(ccz_mpc_max(&t[2], &t[3], x, e));
    OK(ccz_mpc_truncate(&t[4], x, 5, CCZ_MPC_RANGE_ANY, e));
    OK(ccz_mpc_b2a(&t[5], t[1], e));
    OK(ccz_mpc_equal(&t[6], x, t[0], e));
    OK(ccz_mpc_a2b(&t[7], x, e));
    OK(ccz_mpc_clamp(&t[8], x, -3, 7, e));
    for (int i = 0; i < 9; i++)
        ccz_mpc_tensor_free(t[i]);
}

static void test_plan(void)
{
    struct duo d;
    duo_init(&d, 32);
    duo_run(&d, some_program, NULL);
    for (unsigned role = 0; role < 2; role++) {
        struct party p = {.role = role, .cfg = d.p[role].cfg};
        struct ccz_err *e = &p.err;
        OK(ccz_mpc_plan_new(&p.m, &p.cfg, e));
        some_program(&p, NULL);
        struct ccz_mpc_stats planned = ccz_mpc_stats(p.m), real = ccz_mpc_stats(d.p[role].m);
        const struct ccz_mpc_phase_stats *a = &planned.phase[CCZ_MPC_ONLINE];
        const struct ccz_mpc_phase_stats *b = &real.phase[CCZ_MPC_ONLINE];
        CHECK(a->sent_size == b->sent_size && a->received_size == b->received_size);
        CHECK(a->sent_len == b->sent_len && a->rounds == b->rounds && a->rounds > 0);
        CHECK(p.m->ots[0] == d.p[role].m->ots[0] && p.m->ots[1] == d.p[role].m->ots[1]);
        ccz_mpc_free(p.m);
    }
    duo_free(&d);
}

/* -------------------------------------------------------------------------------------- faults */

static void relu_program(struct party *p, void *arg)
{
    static const uint64_t share[300] = {1, 2, 3};
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    (void)arg;
    p->rc = ccz_mpc_import(&x, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE1(300), 0, share, &p->err);
    if (p->rc == CCZ_OK)
        p->rc = ccz_mpc_relu(&out, NULL, x, &p->err);
    CHECK((out != NULL) == (p->rc == CCZ_OK));
}

/* With the fault at party `who`. Nobody waits for the limit unless a message is lost. */
static void faulty(struct duo *d, int who, const struct ccz_chan_fault_cfg *fault)
{
    duo_init(d, 32);
    CHECK(ccz_chan_fault_new(&d->p[who].chan, d->p[who].chan, fault, NULL) == CCZ_OK);
    for (int i = 0; i < 2; i++)
        ccz_chan_set_timeout(d->p[i].chan, fault->send_drop ? 3000 : 60000);
    duo_run(d, relu_program, NULL);
}

static void test_faults(void)
{
    struct duo d;
    uint64_t sent[2];
    faulty(&d, 0, &(struct ccz_chan_fault_cfg){0});
    for (int i = 0; i < 2; i++) {
        CHECK(d.p[i].rc == CCZ_OK);
        sent[i] = ccz_chan_stats(d.p[i].chan).sent_len;
    }
    duo_free(&d);
    for (int who = 0; who < 2; who++)
        for (uint64_t n = sent[who] - 6; n <= sent[who]; n++) { /* the seven rounds of the ReLU */
            faulty(&d, who, &(struct ccz_chan_fault_cfg){.send_shorten = n});
            expect_error(&d.p[1 - who], CCZ_E_PEER, "chan:size");
            CHECK(d.p[who].rc == CCZ_E_CLOSED || (d.p[who].rc == CCZ_OK && n == sent[who]));
            duo_free(&d);
            faulty(&d, who, &(struct ccz_chan_fault_cfg){.send_cut_after = n - 1});
            CHECK(d.p[who].rc == CCZ_E_CLOSED && d.p[1 - who].rc == CCZ_E_CLOSED);
            duo_free(&d);
            faulty(&d, who, &(struct ccz_chan_fault_cfg){.recv_cut_after = n - 1});
            CHECK(d.p[who].rc == CCZ_E_CLOSED);
            duo_free(&d);
            /* what cannot be noticed at least ends */
            faulty(&d, who, &(struct ccz_chan_fault_cfg){.send_flip = n});
            CHECK(d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK);
            duo_free(&d);
        }
}

/* A message that does not come ends in the time limit, at both sides. */
static void test_lost(void)
{
    struct duo d;
    faulty(&d, 1, &(struct ccz_chan_fault_cfg){.send_drop = 12});
    CHECK(d.p[0].rc != CCZ_OK && d.p[1].rc != CCZ_OK);
    duo_free(&d);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"cmp_guard.fixed_shares", test_fixed_shares},
        {"cmp_guard.fresh_shares", test_fresh_shares},
        {"cmp_guard.refusals", test_refusals},
        {"cmp_guard.shapes", test_shapes},
        {"cmp_guard.cost", test_cost},
        {"cmp_guard.plan", test_plan},
        {"cmp_guard.faults", test_faults},
        {"cmp_guard.lost", test_lost},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
