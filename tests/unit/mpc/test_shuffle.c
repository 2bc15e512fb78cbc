/* SPDX-License-Identifier: Apache-2.0 */
/* Order of rows: values, counters, plans, uniform shares and orders; trees and routes by themselves. */
#define _DEFAULT_SOURCE
#include <cczoo/mpc_math.h>

#include "kit.h"
#include "mpc/session.h"
#include "mpc/shuffle.h"

/* One call on rows that both threads know. */
struct trial {
    struct ccz_mpc_math_call c;
    int kind; /* of the operand, as input() says */
    uint64_t *x, *got;
    uint32_t *order;
};

static uint64_t mask_of(unsigned k)
{
    return UINT64_MAX >> (64 - k);
}

static uint32_t *order_new(size_t n, uint64_t seed)
{
    uint32_t *p = malloc(n * sizeof(*p));
    CHECK(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = rnd(&seed) % i;
        const uint32_t t = p[i - 1];
        p[i - 1] = p[j];
        p[j] = t;
    }
    return p;
}

static void check_counters(const struct party *p, const struct ccz_mpc_math_call *call,
                           const struct ccz_mpc_stats *before, const uint64_t ots[2], bool local)
{
    const struct ccz_mpc_stats after = ccz_mpc_stats(p->m);
    const struct ccz_mpc_phase_stats *a = &before->phase[CCZ_MPC_ONLINE];
    const struct ccz_mpc_phase_stats *z = &after.phase[CCZ_MPC_ONLINE];
    struct ccz_mpc_math_cost c = ccz_mpc_math_cost(call);
    if (local)
        c = (struct ccz_mpc_math_cost){.rounds = 0};
    CHECK(z->sent_size - a->sent_size == c.sent[p->role]);
    CHECK(z->received_size - a->received_size == c.sent[1 - p->role]);
    CHECK(z->rounds - a->rounds == c.rounds);
    CHECK(p->m->ots[0] - ots[0] == c.ots[0] && p->m->ots[1] - ots[1] == c.ots[1]);
}

static void program(struct party *p, void *arg)
{
    struct trial *t = arg;
    struct ccz_err *e = &p->err;
    const bool plan = ccz_mpc_is_plan(p->m);
    const size_t n = t->c.n, d = t->c.d;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    x = plan ? NULL : input(p, t->kind, CCZ_MPC_SHAPE2(n, d), 3, t->x);
    if (plan)
        OK(ccz_mpc_import(&x, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE2(n, d), 3, NULL, e));
    const struct ccz_mpc_stats before = ccz_mpc_stats(p->m);
    const uint64_t ots[2] = {p->m->ots[0], p->m->ots[1]};
    if (t->c.op == CCZ_MPC_MATH_SHUFFLE)
        OK(ccz_mpc_shuffle(&out, x, e));
    else
        OK(ccz_mpc_permute(&out, x, t->c.owner, p->role == t->c.owner && !plan ? t->order : NULL,
                           e));
    const bool local = !plan && t->c.op == CCZ_MPC_MATH_PERMUTE &&
                       (t->kind == 0 || t->kind == 1 + (int)t->c.owner);
    check_counters(p, &t->c, &before, ots, local);
    CHECK(ccz_mpc_kind_of(out) == (local ? CCZ_MPC_PRIVATE : CCZ_MPC_SHARED));
    CHECK(ccz_mpc_frac_of(out) == 3 && cczi_mpc_shape_eq(&out->shape, &x->shape));
    if (plan)
        return;
    uint64_t *v = values(p, out);
    if (p->role == 0)
        t->got = v;
    else
        free(v);
}

static void plan(struct trial *t)
{
    struct party p = {.role = 0, .cfg = {.ring_bits = t->c.ring_bits}};
    struct ccz_err *e = &p.err;
    OK(ccz_mpc_plan_new(&p.m, &p.cfg, e));
    program(&p, t);
    ccz_mpc_free(p.m);
}

static void permute(unsigned k, size_t n, size_t d, unsigned owner, int kind)
{
    struct trial t = {.c = {.op = CCZ_MPC_MATH_PERMUTE, .n = n, .d = d, .ring_bits = k},
                      .kind = kind,
                      .x = numbers(n * d, k, 7 + n),
                      .order = order_new(n, n + d)};
    t.c.owner = owner;
    both(k, program, &t);
    for (size_t i = 0; i < n; i++)
        for (size_t e = 0; e < d; e++)
            CHECK(t.got[i * d + e] == (t.x[t.order[i] * d + e] & mask_of(k)));
    plan(&t);
    free(t.x);
    free(t.got);
    free(t.order);
}

static void test_permute(void)
{
    static const struct {
        size_t n, d;
    } shapes[] = {{1, 3}, {2, 1}, {3, 4}, {4, 5}, {5, 2}, {17, 9}, {64, 1}, {65, 8}, {300, 33}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        for (unsigned k = 8; k <= 64; k *= 2)
            permute(k, shapes[i].n, shapes[i].d, i % 2, 3);
    for (int kind = 0; kind < 3; kind++)
        for (unsigned owner = 0; owner < 2; owner++)
            permute(64, 20, 3, owner, kind);
}

/* The largest in one step, and some of three. */
static void test_large(void)
{
    permute(64, CCZI_ROWS_SINGLE, 1, 0, 3);
    permute(32, CCZI_ROWS_SINGLE + 1, 3, 1, 3);
    permute(64, 5000, 2, 0, 3);
    permute(64, 4096, 1, 1, 1);
}

/* Rows that are all different come out as the same rows. */
static void shuffled(size_t n, size_t d, int kind)
{
    struct trial t = {.c = {.op = CCZ_MPC_MATH_SHUFFLE, .n = n, .d = d, .ring_bits = 32},
                      .kind = kind,
                      .x = calloc(n * d, sizeof(*t.x))};
    uint8_t *seen = calloc(n, 1);
    size_t fixed = 0;
    CHECK(t.x && seen);
    for (size_t i = 0; i < n * d; i++)
        t.x[i] = i;
    both(32, program, &t);
    for (size_t i = 0; i < n; i++) {
        const size_t from = t.got[i * d] / d;
        CHECK(from < n && !seen[from]);
        seen[from] = 1;
        fixed += from == i;
        for (size_t e = 0; e < d; e++)
            CHECK(t.got[i * d + e] == from * d + e);
    }
    CHECK(n < 20 || fixed < 15); /* one is expected */
    plan(&t);
    free(t.x);
    free(t.got);
    free(seen);
}

static void test_shuffle(void)
{
    for (int kind = 0; kind < 4; kind++) {
        shuffled(1, 2, kind);
        shuffled(50, 7, kind);
    }
    shuffled(2500, 2, 3);
}

/* ---------------------------------------------------------------------------------- uniformity */

/* Orders of three rows: each as often. 5 degrees of freedom: 50 is exceeded once in 10^9 times. */
static void orders(struct party *p, void *arg)
{
    enum { TIMES = 3000 };
    size_t *count = (size_t *)arg + 6 * p->role;
    const uint64_t x[3] = {0, 1, 2};
    struct ccz_err *e = &p->err;
    for (int i = 0; i < TIMES; i++) {
        CCZ_AUTO(ccz_mpc_tensor) in = input(p, 3, CCZ_MPC_SHAPE1(3), 0, x);
        CCZ_AUTO(ccz_mpc_tensor) out = NULL;
        uint64_t v[3];
        OK(ccz_mpc_shuffle(&out, in, e));
        OK(ccz_mpc_reveal(v, out, CCZ_MPC_TO_BOTH, "test", e));
        count[2 * v[0] + (v[1] > v[2])]++;
    }
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += ((double)count[i] - TIMES / 6) * ((double)count[i] - TIMES / 6) / (TIMES / 6);
    CHECK(sum < 50);
}

static void test_orders(void)
{
    size_t count[12] = {0};
    both(16, orders, count);
}

enum { MANY = 16384 };
/* 255 degrees of freedom: 390 is exceeded once in 10^7 times. */
static void check_uniform(const uint64_t *v)
{
    double sum = 0;
    size_t count[256] = {0};
    for (size_t i = 0; i < MANY; i++)
        count[v[i] & 255]++;
    for (int b = 0; b < 256; b++)
        sum += ((double)count[b] - MANY / 256) * ((double)count[b] - MANY / 256) / (MANY / 256);
    CHECK(sum < 390);
}

/* Constant shares in: both shares of the result are uniform, whoever owns the order. */
static void uniform(struct party *p, void *arg)
{
    static uint64_t share[2][MANY];
    static uint32_t order[MANY / 8];
    struct ccz_err *e = &p->err;
    (void)arg;
    for (size_t i = 0; i < MANY; i++)
        share[p->role][i] = 200 + p->role;
    for (uint32_t i = 0; i < MANY / 8 && p->role == 0; i++)
        order[i] = i ^ 5;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    OK(ccz_mpc_import(&x, p->m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE2(MANY / 8, 8), 0, share[p->role], e));
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    OK(ccz_mpc_permute(&out, x, 0, p->role == 0 ? order : NULL, e));
    check_uniform(ccz_mpc_words(out));
}

static void test_uniform(void)
{
    both(8, uniform, NULL);
    both(64, uniform, NULL);
}

/* --------------------------------------------------------------------------------------- parts */

/* Every hole of trees of every depth: all other leaves are those of the side that grew it, and the hole is not. */
static void test_trees(void)
{
    enum { DEPTH = 7 };
    const struct ccz_mpc_cfg cfg = {.ring_bits = 32};
    struct ccz_err err, *e = &err;
    uint64_t seed = 5;
    CCZ_AUTO(ccz_mpc) m = NULL;
    CCZI_AUTO_TREE tree = {0};
    OK(ccz_mpc_plan_new(&m, &cfg, e));
    OK(cczi_tree_init(&tree, 1, m, e));
    for (unsigned depth = 2; depth <= DEPTH; depth++)
        for (size_t hole = 0; hole < (size_t)1 << depth; hole++) {
            static struct ccz_f128 all[1 << DEPTH], some[1 << DEPTH];
            const struct ccz_f128 delta = {rnd(&seed) | 1, rnd(&seed)};
            struct ccz_f128 q[DEPTH], t[DEPTH], msg[DEPTH];
            uint8_t flip[DEPTH];
            for (unsigned l = 0; l < depth; l++) {
                const uint64_t r = rnd(&seed) >> 63;
                q[l] = (struct ccz_f128){rnd(&seed), rnd(&seed)};
                t[l] = cczi_f128_add(q[l], cczi_f128_and(delta, 0 - r));
                flip[l] = (uint8_t)(r ^ (hole >> (depth - 1 - l) & 1) ^ 1);
            }
            cczi_tree_grow(all, msg, q, delta, flip, depth, hole, &tree);
            cczi_tree_regrow(some, msg, t, hole, depth, hole, &tree);
            for (size_t i = 0; i < (size_t)1 << depth; i++) {
                const struct ccz_f128 d = cczi_f128_add(all[i], some[i]);
                CHECK((d.lo == 0 && d.hi == 0) == (i != hole));
            }
            CHECK(some[hole].lo == 0 && some[hole].hi == 0);
        }
}

/* Every key of one group of trees differs from the same key of any other, of every other key, and of those of another operation. */
static void test_keys(void)
{
    enum { PAIRS = 3, DEPTH = 5, GROUPS = 4, KEYS = CCZI_TREE_DEPTH_MAX + 1 + PAIRS };
    static struct cczi_aes seen[2 * GROUPS][KEYS];
    const struct ccz_mpc_cfg cfg = {.ring_bits = 32};
    const struct ccz_f128 delta = {1, 2}, q[DEPTH] = {{3, 4}};
    const uint8_t flip[DEPTH] = {0};
    struct ccz_f128 leaves[1 << DEPTH], other[1 << DEPTH], msg[DEPTH];
    struct ccz_err err, *e = &err;
    CCZ_AUTO(ccz_mpc) m = NULL;
    OK(ccz_mpc_plan_new(&m, &cfg, e));
    for (size_t op = 0; op < 2; op++) {
        CCZI_AUTO_TREE tree = {0};
        OK(cczi_tree_init(&tree, PAIRS, m, e));
        if (op > 0) /* planning sessions draw zeros */
            tree.kernels->aes_key(&tree.master, (const uint8_t *)"another one, 16.");
        for (size_t g = 0; g < GROUPS; g++) {
            struct cczi_aes *k = seen[op * GROUPS + g];
            cczi_tree_grow(leaves, msg, q, delta, flip, DEPTH, g * CCZI_TREE_GROUP, &tree);
            memcpy(k, tree.level, sizeof(tree.level));
            k[CCZI_TREE_DEPTH_MAX] = tree.hash;
            memcpy(k + CCZI_TREE_DEPTH_MAX + 1, tree.stretch, PAIRS * sizeof(*k));
            /* The last tree of the group has the same ones, the first of the next has not. */
            cczi_tree_grow(other, msg, q, delta, flip, DEPTH, (g + 1) * CCZI_TREE_GROUP - 1, &tree);
            CHECK(memcmp(leaves, other, sizeof(leaves)) == 0);
            cczi_tree_grow(other, msg, q, delta, flip, DEPTH, (g + 1) * CCZI_TREE_GROUP, &tree);
            for (size_t i = 0; i < 1 << DEPTH; i++)
                CHECK(memcmp(&leaves[i], &other[i], sizeof(leaves[i])) != 0);
        }
    }
    for (size_t a = 0; a < (size_t)2 * GROUPS * KEYS; a++)
        for (size_t b = 0; b < a; b++)
            CHECK(memcmp(&seen[a / KEYS][a % KEYS], &seen[b / KEYS][b % KEYS], sizeof(**seen)) !=
                  0);
    /* trees of two OTs, the smallest: what design/ot.md counts with */
    _Static_assert(CCZI_TREE_GROUP / 2 <= 512, "groups of trees");
}

/* Three steps bring every row to its place, and each is a permutation inside of its blocks. */
static void test_route(void)
{
    static const size_t sizes[] = {2049, 2500, 4096, 4097, 10000, 65536};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct cczi_order o;
        uint32_t *order = order_new(sizes[i], i), *place[3];
        cczi_order_shape(&o, sizes[i], 1);
        CHECK(o.steps == 3 && o.padded >= o.rows && o.padded < o.rows + o.step[0].len);
        uint32_t *at = malloc(o.padded * sizeof(*at)), *next = malloc(o.padded * sizeof(*at));
        uint8_t *seen = malloc(o.padded);
        for (int s = 0; s < 3; s++)
            place[s] = calloc(o.padded, sizeof(*at));
        CHECK(at && next && seen && place[0] && place[1] && place[2]);
        CHECK(cczi_order_route(place, order, &o, NULL) == CCZ_OK);
        for (size_t r = 0; r < o.padded; r++)
            at[r] = (uint32_t)r;
        for (int s = 0; s < 3; s++) {
            const struct cczi_order_step *st = &o.step[s];
            memset(seen, 0, o.padded);
            for (size_t b = 0; b < st->blocks; b++)
                for (size_t j = 0; j < st->len; j++) {
                    const size_t to = b * st->block_by + j * st->row_by;
                    CHECK(place[s][to] < st->len);
                    const size_t from = b * st->block_by + place[s][to] * st->row_by;
                    CHECK(!seen[from]);
                    seen[from] = 1;
                    next[to] = at[from];
                }
            memcpy(at, next, o.padded * sizeof(*at));
        }
        for (size_t r = 0; r < o.rows; r++)
            CHECK(at[r] == order[r]);
        for (int s = 0; s < 3; s++)
            free(place[s]);
        free(seen);
        free(next);
        free(at);
        free(order);
    }
}

/* ------------------------------------------------------------------------------------ refusals */

static void refused(struct party *p, void *arg)
{
    const int number = *(const int *)arg;
    static const uint32_t twice[4] = {0, 1, 1, 3}, beyond[4] = {0, 1, 2, 4}, good[4] = {3, 1, 0, 2};
    static const uint64_t v[4] = {1, 2, 3, 4};
    const bool own = p->role == 0;
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, 3, CCZ_MPC_SHAPE2(4, 1), 0, v);
    struct ccz_mpc_tensor *out = (void *)&x;
    switch (number) {
    case 0:
        p->rc = ccz_mpc_permute(&out, x, 0, own ? twice : NULL, &p->err);
        break;
    case 1:
        p->rc = ccz_mpc_permute(&out, x, 0, own ? beyond : NULL, &p->err);
        break;
    case 2:
        p->rc = ccz_mpc_permute(&out, x, 0, NULL, &p->err);
        break;
    case 3:
        p->rc = ccz_mpc_permute(&out, x, 1, own ? good : NULL, &p->err);
        break;
    default:
        p->rc = ccz_mpc_permute(&out, x, 2, own ? good : NULL, &p->err);
    }
    CHECK(!out);
}

static void test_refusals(void)
{
    static const char *const where[] = {"mpc:order", "mpc:order", "mpc:values", "mpc:values",
                                        "mpc:owner"};
    for (int i = 0; i < 5; i++) {
        struct duo d;
        duo_init(&d, 32);
        duo_run(&d, refused, &i);
        CHECK(d.p[0].rc == CCZ_E_ARG && strcmp(d.p[0].err.where, where[i]) == 0);
        CHECK(d.p[1].rc != CCZ_OK);
        duo_free(&d);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"shuffle.permute", test_permute}, {"shuffle.large", test_large},
        {"shuffle.shuffle", test_shuffle}, {"shuffle.orders", test_orders},
        {"shuffle.uniform", test_uniform}, {"shuffle.trees", test_trees},
        {"shuffle.route", test_route},     {"shuffle.refusals", test_refusals},
        {"shuffle.keys", test_keys},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
