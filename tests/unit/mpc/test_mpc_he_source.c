/* SPDX-License-Identifier: Apache-2.0 */
/* The source of lattice ciphertexts in sessions: all products of all kinds, prepared lists, its cost to the byte, failures. */
#include "kit.h"

#include <cczoo/mpc_he.h>

struct params {
    int a, b;
    size_t m, k, n;
    unsigned bits;
    uint64_t max_abs;
};

static void attach(struct party *p, uint64_t max_abs)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_source *s;
    const struct ccz_mpc_he_cfg cfg = {.max_abs = max_abs};
    OK(ccz_mpc_source_he_new(&s, p->m, &cfg, e));
    OK(ccz_mpc_attach(p->m, s, e));
}

/* Both parties with this source. */
static void both_he(unsigned bits, program_fn run, void *arg)
{
    struct duo d;
    duo_init(&d, bits);
    for (int i = 0; i < 2; i++)
        d.p[i].cfg.source = CCZ_MPC_SOURCE_HE;
    duo_run(&d, run, arg);
    CHECK(d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK);
    duo_free(&d);
}

static void run_products(struct party *p, void *arg)
{
    const struct params *q = arg;
    struct ccz_err *e = &p->err;
    const size_t mk = q->m * q->k, kn = q->k * q->n, mn = q->m * q->n;
    AUTO_WORDS a = numbers(mk, q->bits, 7);
    AUTO_WORDS b = numbers(kn, q->bits, 8);
    AUTO_WORDS c = calloc(mn + mk, 8);
    CCZ_AUTO(ccz_mpc_tensor) product = NULL;
    CCZ_AUTO(ccz_mpc_tensor) cross = NULL;
    CCZ_AUTO(ccz_mpc_tensor) square = NULL;
    attach(p, 0);
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, q->a, CCZ_MPC_SHAPE2(q->m, q->k), 0, a);
    CCZ_AUTO(ccz_mpc_tensor) y = input(p, q->b, CCZ_MPC_SHAPE2(q->k, q->n), 0, b);
    ccz_ring_matmul_add(c, a, b, q->m, q->k, q->n, q->bits);
    OK(ccz_mpc_matmul(&product, x, y, e));
    expect(p, product, c);
    AUTO_WORDS d = numbers(mk, q->bits, 21);
    CCZ_AUTO(ccz_mpc_tensor) z = input(p, q->b, CCZ_MPC_SHAPE2(q->m, q->k), 0, d);
    ccz_ring_mul(c, a, d, mk, q->bits);
    OK(ccz_mpc_mul(&cross, x, z, e));
    expect(p, cross, c);
    ccz_ring_mul(c, d, d, mk, q->bits);
    OK(ccz_mpc_square(&square, z, e));
    expect(p, square, c);
}

static void test_products(void)
{
    static const unsigned widths[] = {8, 16, 32, 64};
    static const int kinds[][2] = {{1, 2}, {2, 1}, {3, 1}, {2, 3}, {3, 3}};
    for (size_t i = 0; i < 5; i++) {
        struct params q = {kinds[i][0], kinds[i][1], 3, 7, 5, widths[i % 4], 0};
        both_he(q.bits, run_products, &q);
    }
    struct params q = {3, 3, 9, 4, 2, 64, 0};
    both_he(q.bits, run_products, &q);
}

static void run_conv(struct party *p, void *arg)
{
    const struct params *q = arg;
    struct ccz_err *e = &p->err;
    uint64_t *a = numbers(2 * 7 * 6 * 3, 32, 7), *b = numbers(3 * 2 * 3 * 4, 32, 8);
    struct ccz_mpc_tensor *r, *want;
    attach(p, 0);
    struct ccz_mpc_tensor *x = input(p, q->a, CCZ_MPC_SHAPE4(2, 7, 6, 3), 0, a);
    struct ccz_mpc_tensor *y = input(p, q->b, CCZ_MPC_SHAPE4(3, 2, 3, 4), 0, b);
    struct ccz_mpc_tensor *px = input(p, 0, CCZ_MPC_SHAPE4(2, 7, 6, 3), 0, a);
    struct ccz_mpc_tensor *py = input(p, 0, CCZ_MPC_SHAPE4(3, 2, 3, 4), 0, b);
    OK(ccz_mpc_conv2d(&r, x, y, 2, 1, e));
    OK(ccz_mpc_conv2d(&want, px, py, 2, 1, e));
    expect(p, r, ccz_mpc_words(want));
    ccz_mpc_tensor_free(r);
    ccz_mpc_tensor_free(want);
    ccz_mpc_tensor_free(x);
    ccz_mpc_tensor_free(y);
    ccz_mpc_tensor_free(px);
    ccz_mpc_tensor_free(py);
    free(a);
    free(b);
}

static void test_conv(void)
{
    static const int kinds[][2] = {{1, 2}, {2, 1}, {3, 2}, {1, 3}};
    for (size_t i = 0; i < 4; i++) {
        struct params q = {.a = kinds[i][0], .b = kinds[i][1]};
        both_he(32, run_conv, &q);
    }
}

/* --------------------------------------------------------------------------------- prepared lists */

enum { FEATURES = 5, ROWS = 6, BATCHES = 4, EPOCHS = 2 };

/* The products of a regression: both parties' columns times shared weights, and back, with a product of shares between. */
static void program(struct party *p, struct ccz_mpc_tensor *x[2][BATCHES],
                    const uint64_t *raw[2][BATCHES])
{
    struct ccz_err *e = &p->err;
    for (size_t step = 0; step < EPOCHS * BATCHES; step++) {
        const size_t b = step % BATCHES;
        for (unsigned o = 0; o < 2; o++) {
            uint64_t *w = numbers(FEATURES, 64, 90 + step), *v = numbers(ROWS, 64, 50 + step);
            uint64_t want[ROWS > FEATURES ? ROWS : FEATURES] = {0};
            struct ccz_mpc_tensor *sw = input(p, 3, CCZ_MPC_SHAPE2(FEATURES, 1), 0, w), *r;
            struct ccz_mpc_tensor *sv = input(p, 3, CCZ_MPC_SHAPE2(1, ROWS), 0, v);
            OK(ccz_mpc_matmul(&r, x[o][b], sw, e));
            ccz_ring_matmul_add(want, raw[o][b], w, ROWS, FEATURES, 1, 64);
            if (!ccz_mpc_is_plan(p->m))
                expect(p, r, want);
            ccz_mpc_tensor_free(r);
            OK(ccz_mpc_mul(&r, sv, sv, e));
            ccz_ring_mul(want, v, v, ROWS, 64);
            if (!ccz_mpc_is_plan(p->m))
                expect(p, r, want);
            ccz_mpc_tensor_free(r);
            memset(want, 0, sizeof(want));
            ccz_ring_matmul_add(want, v, raw[o][b], 1, ROWS, FEATURES, 64);
            OK(ccz_mpc_matmul(&r, sv, x[o][b], e)); /* v' x: a transposed need of the same x */
            if (!ccz_mpc_is_plan(p->m))
                expect(p, r, want);
            ccz_mpc_tensor_free(r);
            ccz_mpc_tensor_free(sw);
            ccz_mpc_tensor_free(sv);
            free(w);
            free(v);
        }
    }
}

static void inputs(struct party *p, struct ccz_mpc_tensor *x[2][BATCHES], uint64_t *raw[2][BATCHES],
                   unsigned bits)
{
    for (unsigned o = 0; o < 2; o++)
        for (size_t b = 0; b < BATCHES; b++) {
            raw[o][b] = numbers(ROWS * FEATURES, bits, 3 + b);
            for (size_t i = 0; i < ROWS * FEATURES; i++) /* negative ones too */
                raw[o][b][i] = (uint64_t)ccz_mpc_signed(raw[o][b][i], bits);
            x[o][b] = input(p, 1 + (int)o, CCZ_MPC_SHAPE2(ROWS, FEATURES), 0, raw[o][b]);
        }
}

static void drop(struct ccz_mpc_tensor *x[2][BATCHES], uint64_t *raw[2][BATCHES])
{
    for (unsigned o = 0; o < 2; o++)
        for (size_t b = 0; b < BATCHES; b++) {
            ccz_mpc_tensor_free(x[o][b]);
            free(raw[o][b]);
        }
}

static void run_prepared(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_tensor *x[2][BATCHES];
    uint64_t *raw[2][BATCHES];
    (void)arg;
    /* what the program needs */
    struct party plan = *p;
    OK(ccz_mpc_plan_new(&plan.m, &p->cfg, e));
    attach(&plan, 1 << 20);
    inputs(&plan, x, raw, 20);
    program(&plan, x, (const uint64_t *(*)[BATCHES])raw);
    drop(x, raw);
    size_t len;
    const struct ccz_mpc_need *needs = ccz_mpc_needs(&len, plan.m);
    CHECK(len == 2 * 3 * BATCHES * EPOCHS);
    /* all of it in one step: as many bytes and rounds as the cost says, and few ciphertexts */
    attach(p, 1 << 20);
    inputs(p, x, raw, 20);
    struct ccz_mpc_source *same;
    const struct ccz_mpc_he_cfg cfg = {.max_abs = 1 << 20};
    struct ccz_mpc_cost cost;
    OK(ccz_mpc_source_he_new(&same, p->m, &cfg, e));
    OK(ccz_mpc_source_cost(&cost, same, needs, len, e));
    ccz_mpc_source_free(same);
    const struct ccz_mpc_stats before = ccz_mpc_stats(p->m);
    OK(ccz_mpc_prepare(p->m, needs, len, e));
    const struct ccz_mpc_stats after = ccz_mpc_stats(p->m);
    const struct ccz_mpc_phase_stats *s = before.phase, *t = after.phase;
    CHECK(t[CCZ_MPC_OFFLINE].sent_size + t[CCZ_MPC_OFFLINE].received_size == cost.size + 64);
    CHECK(t[CCZ_MPC_SETUP].sent_size + t[CCZ_MPC_SETUP].received_size - s[CCZ_MPC_SETUP].sent_size -
              s[CCZ_MPC_SETUP].received_size ==
          cost.setup_size);
    CHECK(t[CCZ_MPC_OFFLINE].rounds + t[CCZ_MPC_SETUP].rounds - s[CCZ_MPC_SETUP].rounds ==
          cost.rounds + 1);
    CHECK(cost.size < 4000000 && cost.rounds == 3 && cost.cpu_s > 0 && cost.cpu_s < 1);
    program(p, x, (const uint64_t *(*)[BATCHES])raw);
    const struct ccz_mpc_stats end = ccz_mpc_stats(p->m);
    CHECK(end.phase[CCZ_MPC_OFFLINE].sent_size == t[CCZ_MPC_OFFLINE].sent_size);
    /* again: with the keys that are there */
    OK(ccz_mpc_prepare(p->m, needs, len, e));
    const struct ccz_mpc_stats again = ccz_mpc_stats(p->m);
    CHECK(again.phase[CCZ_MPC_SETUP].sent_size == end.phase[CCZ_MPC_SETUP].sent_size);
    CHECK(again.phase[CCZ_MPC_OFFLINE].sent_size - end.phase[CCZ_MPC_OFFLINE].sent_size +
              again.phase[CCZ_MPC_OFFLINE].received_size -
              end.phase[CCZ_MPC_OFFLINE].received_size ==
          cost.size + 64);
    program(p, x, (const uint64_t *(*)[BATCHES])raw);
    drop(x, raw);
    ccz_mpc_free(plan.m);
}

static void test_prepared(void)
{
    both_he(64, run_prepared, NULL);
}

/* More elements than one wave holds. */
static void run_waves(struct party *p, void *arg)
{
    enum { LEN = 16 * 8192 + 100 };
    struct ccz_err *e = &p->err;
    AUTO_WORDS a = numbers(LEN, 16, 7);
    AUTO_WORDS b = numbers(LEN, 16, 8);
    AUTO_WORDS c = calloc(LEN, 8);
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    (void)arg;
    attach(p, 0);
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, 3, CCZ_MPC_SHAPE1(LEN), 0, a);
    CCZ_AUTO(ccz_mpc_tensor) y = input(p, 3, CCZ_MPC_SHAPE1(LEN), 0, b);
    ccz_ring_mul(c, a, b, LEN, 16);
    OK(ccz_mpc_mul(&r, x, y, e));
    CHECK(ccz_mpc_stats(p->m).phase[CCZ_MPC_OFFLINE].rounds ==
          1 + 4); /* the comparison of settings */
    expect(p, r, c);
}

static void test_waves(void)
{
    both_he(16, run_waves, NULL);
}

/* -------------------------------------------------------------------------------------- failures */

/* Party 0's matrix has an element above the bound: it says so, the other is told. */
static void run_bound(struct party *p, void *arg)
{
    const uint64_t v[4] = {1, *(const uint64_t *)arg, 3, 4};
    struct ccz_mpc_tensor *r = NULL;
    attach(p, 100);
    struct ccz_mpc_tensor *x = input(p, 1, CCZ_MPC_SHAPE2(2, 2), 0, v);
    struct ccz_mpc_tensor *y = input(p, 3, CCZ_MPC_SHAPE2(2, 2), 0, v);
    p->rc = ccz_mpc_matmul(&r, x, y, &p->err);
    if (p->rc == CCZ_OK) {
        uint64_t want[4] = {0};
        ccz_ring_matmul_add(want, v, v, 2, 2, 2, 32);
        expect(p, r, want);
    }
    ccz_mpc_tensor_free(r);
    ccz_mpc_tensor_free(x);
    ccz_mpc_tensor_free(y);
}

static void test_bound(void)
{
    static const struct {
        uint64_t v;
        bool fine;
    } cases[] = {{100, true},
                 {101, false},
                 {0xffffffff - 99, true},
                 {0xffffffff - 100, false},
                 {0x80000000, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct duo d;
        uint64_t v = cases[i].v;
        duo_init(&d, 32);
        for (int k = 0; k < 2; k++)
            d.p[k].cfg.source = CCZ_MPC_SOURCE_HE;
        duo_run(&d, run_bound, &v);
        if (cases[i].fine) {
            CHECK(d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK);
        } else {
            expect_error(&d.p[0], CCZ_E_ARG, "mpc:he-max-abs");
            expect_error(&d.p[1], CCZ_E_CLOSED, "chan:closed");
            CHECK(strstr(d.p[1].err.msg, "mpc:he-max-abs"));
        }
        duo_free(&d);
    }
}

/* A message that is cut, lost, too short or repeated ends both sides. */
static void run_fault(struct party *p, void *arg)
{
    const uint64_t v[4] = {1, 2, 3, 4};
    struct ccz_mpc_tensor *r = NULL;
    (void)arg;
    attach(p, 0);
    struct ccz_mpc_tensor *x = input(p, 1, CCZ_MPC_SHAPE2(2, 2), 0, v);
    struct ccz_mpc_tensor *y = input(p, 3, CCZ_MPC_SHAPE2(2, 2), 0, v);
    p->rc = ccz_mpc_matmul(&r, x, y, &p->err);
    CHECK((p->rc == CCZ_OK) == (r != NULL));
    ccz_mpc_tensor_free(r);
    ccz_mpc_tensor_free(x);
    ccz_mpc_tensor_free(y);
}

static void test_faults(void)
{
    /* messages of party 1: hello, settings, keys, ciphertexts, w - v; of party 0: hello, settings, results */
    for (uint64_t at = 2; at <= 4; at++)
        for (int kind = 0; kind < 3; kind++) {
            struct duo d;
            struct ccz_chan_fault_cfg cfg = {0};
            struct ccz_chan *broken;
            duo_init(&d, 16);
            *(kind == 0   ? &cfg.send_cut_after
              : kind == 1 ? &cfg.send_shorten
                          : &cfg.send_repeat) = kind == 0 ? at - 1 : at;
            CHECK(ccz_chan_fault_new(&broken, d.p[1].chan, &cfg, NULL) == CCZ_OK);
            d.p[1].chan = broken;
            for (int i = 0; i < 2; i++) {
                ccz_chan_set_timeout(d.p[i].chan, 20000);
                d.p[i].cfg.source = CCZ_MPC_SOURCE_HE;
            }
            duo_run(&d, run_fault, NULL);
            CHECK(d.p[0].rc != CCZ_OK && d.p[0].err.where[0]);
            CHECK(kind == 2 || d.p[1].rc != CCZ_OK);
            duo_free(&d);
        }
}

/* Two parties with other settings have other ciphertexts: they say so before anything is sent. */
struct settings {
    struct ccz_mpc_he_cfg of[2];
    bool list;
};

static void run_settings(struct party *p, void *arg)
{
    const struct settings *q = arg;
    struct ccz_err *e = &p->err;
    const uint64_t v[4] = {1, 2, 3, 4};
    const struct ccz_mpc_need need = {
        .kind = CCZ_MPC_CROSS_MATMUL, .m = 2, .k = 2, .n = 2, .fixed = 1, .owner = 0};
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    struct ccz_mpc_source *s;
    OK(ccz_mpc_source_he_new(&s, p->m, &q->of[p->role], e));
    OK(ccz_mpc_attach(p->m, s, e));
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, 1, CCZ_MPC_SHAPE2(2, 2), 0, v);
    CCZ_AUTO(ccz_mpc_tensor) y = input(p, 3, CCZ_MPC_SHAPE2(2, 2), 0, v);
    p->rc = q->list ? ccz_mpc_prepare(p->m, &need, 1, e) : ccz_mpc_matmul(&r, x, y, e);
    if (p->rc != CCZ_E_CLOSED || !strstr(e->msg, "mpc:needs-plan"))
        expect_error(p, CCZ_E_PEER, "mpc:needs-plan");
}

static void test_settings(void)
{
    static const struct settings cases[] = {{{{.max_abs = 100}, {.max_abs = 101}}, false},
                                            {{{.max_abs = 100}, {.max_abs = 101}}, true},
                                            {{{.bytes_per_s = 1e6}, {.bytes_per_s = 1e9}}, false},
                                            {{{.bytes_per_s = 1e6}, {.bytes_per_s = 1e9}}, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct duo d;
        duo_init(&d, 32);
        for (int k = 0; k < 2; k++)
            d.p[k].cfg.source = CCZ_MPC_SOURCE_HE;
        duo_run(&d, run_settings, (void *)&cases[i]);
        duo_free(&d);
    }
}

/* A question about a list that needs wider parameters, at one party alone, leaves keys and parameters as they are. */
static void run_asked(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    const uint64_t v[4] = {1, 2, 3, 4};
    const struct ccz_mpc_need need = {
        .kind = CCZ_MPC_CROSS_MATMUL, .m = 2, .k = 2, .n = 2, .fixed = 1, .owner = 0};
    const struct ccz_mpc_need wide = {
        .kind = CCZ_MPC_CROSS_MATMUL, .m = 2, .k = 100000, .n = 1, .fixed = 1, .owner = 0};
    struct ccz_mpc_source *s;
    struct ccz_mpc_cost cost;
    (void)arg;
    OK(ccz_mpc_source_he_new(&s, p->m, NULL, e));
    OK(ccz_mpc_attach(p->m, s, e));
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, 1, CCZ_MPC_SHAPE2(2, 2), 0, v);
    CCZ_AUTO(ccz_mpc_tensor) y = input(p, 3, CCZ_MPC_SHAPE2(2, 2), 0, v);
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_mpc_tensor) r = NULL;
        const uint64_t before = ccz_mpc_stats(p->m).phase[CCZ_MPC_SETUP].sent_size;
        uint64_t want[4] = {0};
        OK(ccz_mpc_prepare(p->m, &need, 1, e));
        CHECK((ccz_mpc_stats(p->m).phase[CCZ_MPC_SETUP].sent_size > before) ==
              (i == 0 && p->role == 1)); /* keys, once */
        OK(ccz_mpc_matmul(&r, x, y, e));
        ccz_ring_matmul_add(want, v, v, 2, 2, 2, 32);
        expect(p, r, want);
        if (p->role == 0)
            OK(ccz_mpc_source_cost(&cost, s, &wide, 1, e));
        CHECK(p->role == 1 || cost.setup_size > 0); /* would be new keys */
    }
}

static void test_asked(void)
{
    both_he(32, run_asked, NULL);
}

/* ------------------------------------------------------------------------- statistical distance */

static const struct ccz_mpc_need mul = {.kind = CCZ_MPC_MUL, .n = 8193};
static const struct ccz_mpc_need cross = {
    .kind = CCZ_MPC_CROSS_MATMUL, .m = 2, .k = 2, .n = 2, .fixed = 1, .owner = 0};
#define DISTANCE_CROSS 0x1p-56                            /* one result */
#define DISTANCE_MUL   (8193 * 0x1p-61 + 2 * 4 * 0x1p-52) /* two blocks, four primes */

/* What each role gives away is what costs say; sums are the session's, at the party whose values they are about. */
static void run_distance(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    const uint64_t v[4] = {1, 2, 3, 4};
    struct ccz_mpc_source *he, *ot, *s;
    struct ccz_mpc_cost cost;
    const bool mixed = p->cfg.source == CCZ_MPC_SOURCE_MIXED;
    (void)arg;
    OK(ccz_mpc_source_he_new(&s, p->m, NULL, e));
    if (mixed) { /* on a line so slow that ciphertexts make both */
        he = s;
        OK(ccz_mpc_source_ot_new(&ot, p->m, e));
        const struct ccz_mpc_mixed_cfg cfg = {.sources = {he, ot}, .len = 2, .bytes_per_s = 1e3};
        OK(ccz_mpc_source_mixed_new(&s, p->m, &cfg, e));
    }
    const struct ccz_mpc_need *first = mixed ? &mul : &cross; /* cheap for transfers: one product */
    OK(ccz_mpc_source_cost(&cost, s, first, 1, e));
    CHECK(cost.distance[0] == (mixed ? 0 : DISTANCE_CROSS));
    CHECK(cost.distance[1] == (mixed ? DISTANCE_MUL : 0));
    OK(ccz_mpc_attach(p->m, s, e));
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, 1, CCZ_MPC_SHAPE2(2, 2), 0, v);
    CHECK(ccz_mpc_stats(p->m).distance == 0);
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        if (!mixed) {
            OK(ccz_mpc_prepare(p->m, &cross, 1, e));
            sum += p->role == 0 ? DISTANCE_CROSS : 0;
            CHECK(ccz_mpc_stats(p->m).distance == sum);
        }
        OK(ccz_mpc_prepare(p->m, &mul, 1, e));
        sum += p->role == 1 ? DISTANCE_MUL : 0;
        CHECK(ccz_mpc_stats(p->m).distance == sum && sum < 0x1p-40);
    }
}

static void test_distance(void)
{
    both_he(64, run_distance, NULL);
    kit_source = CCZ_MPC_SOURCE_MIXED;
    both(64, run_distance, NULL);
    kit_source = CCZ_MPC_SOURCE_OT;
}

/* What goes beyond the bound is refused by both before anything of it travels, and the session has ended. */
static void run_beyond(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    const uint64_t v[4] = {1, 2, 3, 4};
    (void)arg;
    attach(p, 0);
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, 1, CCZ_MPC_SHAPE2(2, 2), 0, v);
    for (int i = 0; i < 2; i++)
        OK(ccz_mpc_prepare(p->m, &cross, 1, e));
    const struct ccz_mpc_stats before = ccz_mpc_stats(p->m);
    p->rc = ccz_mpc_prepare(p->m, &cross, 1, e);
    const struct ccz_mpc_stats after = ccz_mpc_stats(p->m);
    if (p->cfg.stat_bits) {
        expect_error(p, CCZ_E_LIMIT, "mpc:he-distance");
        CHECK(after.phase[CCZ_MPC_OFFLINE].sent_size - before.phase[CCZ_MPC_OFFLINE].sent_size ==
              32); /* the comparison of needs */
        CHECK(ccz_mpc_status(p->m, NULL) == CCZ_E_LIMIT);
        CHECK(after.distance == before.distance);
    } else {
        p->rc = CCZ_E_LIMIT;
    }
}

static void test_beyond(void)
{
    for (int who = 0; who < 3; who++) { /* both, or one of them, is as strict */
        struct duo d;
        duo_init(&d, 64);
        for (int i = 0; i < 2; i++) {
            d.p[i].cfg.source = CCZ_MPC_SOURCE_HE;
            d.p[i].cfg.stat_bits = who == i ? 0 : 55; /* two results of 2^-56 */
        }
        duo_run(&d, run_beyond, NULL);
        CHECK(d.p[0].rc == CCZ_E_LIMIT && d.p[1].rc == CCZ_E_LIMIT);
        duo_free(&d);
    }
}

/* Lists of many results have more bits for each, so that a list stays within 2^-44. */
static void test_large_lists(void)
{
    const struct ccz_mpc_cfg cfg = {.ring_bits = 64, .source = CCZ_MPC_SOURCE_HE};
    const struct ccz_mpc_he_cfg he = {.max_abs = 1 << 18};
    struct ccz_err err, *e = &err;
    struct ccz_mpc *m;
    struct ccz_mpc_source *s;
    struct ccz_mpc_cost cost[3];
    static const size_t columns[] = {1, 1 << 10, 1 << 13};
    OK(ccz_mpc_plan_new(&m, &cfg, e));
    for (int i = 0; i < 3; i++) {
        const struct ccz_mpc_need n = {.kind = CCZ_MPC_CROSS_MATMUL,
                                       .m = 1 << 16,
                                       .k = 64,
                                       .n = columns[i],
                                       .fixed = 1,
                                       .owner = 1};
        OK(ccz_mpc_source_he_new(&s, m, &he, e));
        OK(ccz_mpc_source_cost(&cost[i], s, &n, 1, e));
        CHECK(cost[i].distance[0] == 0 && cost[i].distance[1] > 0);
        CHECK(cost[i].distance[1] <= 0x1p-44);
        ccz_mpc_source_free(s);
    }
    ccz_mpc_free(m);
}

static void run_refuse(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_source *s;
    struct ccz_mpc_cost cost;
    (void)arg;
    const struct ccz_mpc_he_cfg large = {.max_abs = 32769}, bad = {.bytes_per_s = -1};
    CHECK(ccz_mpc_source_he_new(&s, p->m, &large, e) == CCZ_E_ARG && !s &&
          strcmp(e->where, "mpc:he-max-abs") == 0);
    CHECK(ccz_mpc_source_he_new(&s, p->m, &bad, e) == CCZ_E_ARG && !s &&
          strcmp(e->where, "mpc:he-bandwidth") == 0);
    OK(ccz_mpc_source_he_new(&s, p->m, NULL, e));
    const struct ccz_mpc_need bits = {.kind = CCZ_MPC_AND, .n = 4},
                              none = {.kind = CCZ_MPC_MUL, .n = 0},
                              some = {.kind = CCZ_MPC_MUL, .n = 1};
    CHECK(!ccz_mpc_source_can(s, &bits) && !ccz_mpc_source_can(s, &none) &&
          ccz_mpc_source_can(s, &some));
    CHECK(ccz_mpc_source_cost(&cost, s, &bits, 1, e) == CCZ_E_UNSUPPORTED &&
          strcmp(e->where, "mpc:source-none") == 0);
    OK(ccz_mpc_source_cost(&cost, s, NULL, 0, e));
    CHECK(cost.size == 0 && cost.setup_size == 0 && cost.rounds == 0);
    ccz_mpc_source_free(s);
}

static void test_refuse(void)
{
    both_he(16, run_refuse, NULL);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"mpc_he.source", test_products},
                                            {"mpc_he.source_conv", test_conv},
                                            {"mpc_he.prepared", test_prepared},
                                            {"mpc_he.waves", test_waves},
                                            {"mpc_he.bound", test_bound},
                                            {"mpc_he.faults", test_faults},
                                            {"mpc_he.settings", test_settings},
                                            {"mpc_he.asked", test_asked},
                                            {"mpc_he.distance", test_distance},
                                            {"mpc_he.beyond", test_beyond},
                                            {"mpc_he.large_lists", test_large_lists},
                                            {"mpc_he.source_refuse", test_refuse}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
