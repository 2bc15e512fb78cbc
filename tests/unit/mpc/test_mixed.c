/* SPDX-License-Identifier: Apache-2.0 */
/* What sources say they cost, and the source that believes them. */
#include "kit.h"
#include "mpc/session.h"

static const struct ccz_mpc_need needs[] = {
    {.kind = CCZ_MPC_MUL, .n = 300},
    {.kind = CCZ_MPC_AND, .n = 1001},
    {.kind = CCZ_MPC_CROSS_MATMUL, .m = 2, .k = 3, .n = 9, .fixed = 1, .owner = 0},
    {.kind = CCZ_MPC_MUL, .n = 7},
    {.kind = CCZ_MPC_MATMUL, .m = 7, .k = 3, .n = 2},
    {.kind = CCZ_MPC_SQUARE, .n = 50}};
enum { NEEDS = sizeof(needs) / sizeof(needs[0]) };

static uint64_t bytes(const struct ccz_mpc_stats *s, enum ccz_mpc_phase p)
{
    return s->phase[p].sent_size + s->phase[p].received_size;
}

/* The relations of what was prepared, opened. */
static void check_items(struct party *p)
{
    struct ccz_err *e = &p->err;
    for (int i = 0; i < NEEDS; i++) {
        struct ccz_mpc_item t;
        OK(cczi_mpc_take(&t, p->m, &needs[i], e));
        if (needs[i].kind == CCZ_MPC_MUL) {
            cczi_mpc_open_sum(p->m, t.a, t.a_len, 64);
            cczi_mpc_open_sum(p->m, t.b, t.b_len, 64);
            cczi_mpc_open_sum(p->m, t.c, t.c_len, 64);
            OK(cczi_mpc_round(p->m, e));
            for (size_t k = 0; k < t.c_len; k++)
                CHECK(t.c[k] == t.a[k] * t.b[k]);
        }
        cczi_mpc_item_deinit(&t);
    }
}

/* ------------------------------------------------------------------------- exactness of OT's cost */

static void run_cost(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_source *s;
    struct ccz_mpc_cost cost;
    const uint64_t v[6] = {1, 2, 3, 4, 5, 6};
    struct ccz_mpc_tensor *x = input(p, 1, CCZ_MPC_SHAPE2(2, 3), 0, v);
    (void)arg;
    OK(ccz_mpc_source_ot_new(&s, p->m, e));
    OK(ccz_mpc_source_cost(&cost, s, needs, NEEDS, e));
    OK(ccz_mpc_attach(p->m, s, e));
    OK(ccz_mpc_prepare(p->m, needs, NEEDS, e));
    struct ccz_mpc_stats stats = ccz_mpc_stats(p->m);
    CHECK(bytes(&stats, CCZ_MPC_SETUP) == cost.setup_size + 2 * CCZ_MPC_HELLO_SIZE);
    CHECK(bytes(&stats, CCZ_MPC_OFFLINE) == cost.size + 2 * 32); /* comparison of needs and plans */
    CHECK(cost.cpu_s > 0 && cost.rounds > 0);
    check_items(p);
    ccz_mpc_tensor_free(x);
}

static void test_cost(void)
{
    kit_source = CCZ_MPC_SOURCE_OT;
    both(64, run_cost, NULL);
    kit_ot = CCZ_MPC_OT_SILENT;
    both(64, run_cost, NULL);
}

/* Within 15 per cent is what plans promise; ciphertexts have headers that are estimated. */
static void run_paillier_cost(struct party *p, void *arg)
{
    const struct ccz_mpc_need n[2] = {{.kind = CCZ_MPC_MUL, .n = 40},
                                      {.kind = CCZ_MPC_MATMUL, .m = 1, .k = 3, .n = 30}};
    struct ccz_err *e = &p->err;
    struct ccz_mpc_cost cost;
    (void)arg;
    OK(ccz_mpc_source_cost(&cost, p->m->source, n, 2, e));
    OK(ccz_mpc_prepare(p->m, n, 2, e));
    struct ccz_mpc_stats stats = ccz_mpc_stats(p->m);
    double offline = (double)bytes(&stats, CCZ_MPC_OFFLINE), planned = (double)cost.size;
    CHECK(offline > 0.95 * planned && offline < 1.05 * planned);
}

static void test_paillier_cost(void)
{
    kit_source = CCZ_MPC_SOURCE_PAILLIER;
    both(64, run_paillier_cost, NULL);
}

/* --------------------------------------------------------------------------------------- mixed */

struct choices {
    const char *of[CCZ_MPC_NEED_KINDS];
    int calls;
};

static void on_choice(void *arg, const char *source, enum ccz_mpc_need_kind kind, size_t len,
                      const struct ccz_mpc_cost *cost)
{
    struct choices *c = arg;
    c->of[kind] = source;
    c->calls++;
    CHECK(len == (kind == CCZ_MPC_MUL ? 2 : 1) && cost->size > 0);
}

/* A source that can do bits alone, at a price, and makes none. */
static bool toy_can(void *self, const struct ccz_mpc_need *need)
{
    (void)self;
    return need->kind == CCZ_MPC_AND;
}

static ccz_rc toy_cost(struct ccz_mpc_cost *out, void *self, const struct ccz_mpc_need *n,
                       size_t len, struct ccz_err *err)
{
    (void)n;
    (void)len;
    (void)err;
    *out = *(struct ccz_mpc_cost *)self;
    return CCZ_OK;
}

static int toys_freed, toys_used;

static ccz_rc toy_prepare(struct ccz_mpc_item *items, void *self, const struct ccz_mpc_need *n,
                          size_t len, struct ccz_err *err)
{
    (void)items;
    (void)self;
    (void)n;
    (void)len;
    (void)err;
    __atomic_add_fetch(&toys_used, 1, __ATOMIC_SEQ_CST);
    return CCZ_OK; /* zeros are bits, too */
}

static void toy_free(void *self)
{
    (void)self;
    __atomic_add_fetch(&toys_freed, 1, __ATOMIC_SEQ_CST);
}

static struct ccz_mpc_source *toy(struct ccz_mpc_cost *cost)
{
    static const struct ccz_mpc_source_ops ops = {
        .name = "toy", .can = toy_can, .cost = toy_cost, .prepare = toy_prepare, .free = toy_free};
    struct ccz_mpc_source *s;
    CHECK(ccz_mpc_source_new(&s, CCZ_MPC_SOURCE_HE, &ops, cost, NULL) == CCZ_OK);
    return s;
}

struct mix {
    struct ccz_mpc_cost toy;
    double bytes_per_s, rtt_s;
    const char *bits_by;
};

static void run_mixed(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    struct mix *mix = arg;
    struct choices seen = {.calls = 0};
    struct ccz_mpc_source *ot, *s;
    const uint64_t v[6] = {1, 2, 3, 4, 5, 6};
    struct ccz_mpc_tensor *x = input(p, 1, CCZ_MPC_SHAPE2(2, 3), 0, v);
    OK(ccz_mpc_source_ot_new(&ot, p->m, e));
    const struct ccz_mpc_mixed_cfg cfg = {.sources = {ot, toy(&mix->toy)},
                                          .len = 2,
                                          .bytes_per_s = mix->bytes_per_s,
                                          .rtt_s = mix->rtt_s,
                                          .on_choice = on_choice,
                                          .arg = &seen};
    OK(ccz_mpc_source_mixed_new(&s, p->m, &cfg, e));
    OK(ccz_mpc_attach(p->m, s, e));
    OK(ccz_mpc_prepare(p->m, needs, NEEDS, e));
    CHECK(seen.calls == 5); /* kinds */
    CHECK(strcmp(seen.of[CCZ_MPC_MUL], "ot") == 0 && strcmp(seen.of[CCZ_MPC_MATMUL], "ot") == 0);
    CHECK(strcmp(seen.of[CCZ_MPC_AND], mix->bits_by) == 0);
    check_items(p);
    ccz_mpc_tensor_free(x);
}

static void test_mixed(void)
{
    kit_source = CCZ_MPC_SOURCE_MIXED;
    /* few bytes, much computing: right on a slow line alone */
    struct mix m = {{.size = 10, .cpu_s = 1, .rounds = 1}, 1000, 0, "toy"};
    both(64, run_mixed, &m);
    m.bytes_per_s = 0;
    m.bits_by = "ot";
    both(64, run_mixed, &m);
    /* rounds cost latency */
    m = (struct mix){{.size = 10, .cpu_s = 1e-9, .rounds = 1000}, 0, 0, "toy"};
    both(64, run_mixed, &m);
    m.rtt_s = 0.1;
    m.bits_by = "ot";
    both(64, run_mixed, &m);
    CHECK(toys_freed == 8 && toys_used == 4);
}

static void run_none(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_source *s;
    static struct ccz_mpc_cost cost;
    const uint64_t v = 2;
    const struct ccz_mpc_mixed_cfg cfg = {.sources = {toy(&cost)}, .len = 1}, none = {.len = 0};
    struct ccz_mpc_tensor *x = input(p, 3, CCZ_MPC_SHAPE1(1), 0, &v), *r;
    (void)arg;
    CHECK(ccz_mpc_source_mixed_new(&s, p->m, &none, e) == CCZ_E_ARG && !s);
    CHECK(strcmp(e->where, "mpc:mixed-len") == 0);
    OK(ccz_mpc_source_mixed_new(&s, p->m, &cfg, e));
    OK(ccz_mpc_attach(p->m, s, e));
    p->rc = ccz_mpc_square(&r, x, e);
    if (p->rc != CCZ_E_CLOSED)
        expect_error(p, CCZ_E_UNSUPPORTED, "mpc:source-none");
    ccz_mpc_tensor_free(x);
}

static void test_none(void)
{
    struct duo d;
    kit_source = CCZ_MPC_SOURCE_MIXED;
    duo_init(&d, 64);
    duo_run(&d, run_none, NULL);
    CHECK(d.p[0].rc != CCZ_OK && d.p[1].rc != CCZ_OK);
    duo_free(&d);
}

/* -------------------------------------------------------------------------------- other settings */

/* What party 1 does otherwise than party 0. */
enum { SAME, ORDER, BANDWIDTH, ROUND_TRIP, SETTINGS };
struct other {
    int what;
    bool list;
};

static void run_settings(struct party *p, void *arg)
{
    const struct other *o = arg;
    struct ccz_err *e = &p->err;
    static struct ccz_mpc_cost cost = {.size = 10};
    const uint64_t zero = 0;
    const int what = p->role ? o->what : SAME;
    uint64_t z;
    struct ccz_mpc_source *ot, *s;
    OK(ccz_mpc_source_ot_new(&ot, p->m, e));
    struct ccz_mpc_mixed_cfg cfg = {.sources = {ot, toy(&cost)}, .len = 2};
    if (what == ORDER) {
        cfg.sources[0] = cfg.sources[1];
        cfg.sources[1] = ot;
    }
    cfg.bytes_per_s = what == BANDWIDTH ? 1e6 : 0;
    cfg.rtt_s = what == ROUND_TRIP ? 0.1 : 0;
    OK(ccz_mpc_source_mixed_new(&s, p->m, &cfg, e));
    OK(ccz_mpc_attach(p->m, s, e));
    p->rc = o->list ? ccz_mpc_prepare(p->m, &needs[1], 1, e)
                    : cczi_mpc_and_bits(p->m, &z, &zero, &zero, 64, e);
    if (o->what == SAME)
        CHECK(p->rc == CCZ_OK);
    else if (p->rc != CCZ_E_CLOSED || !strstr(e->msg, "mpc:needs-plan"))
        expect_error(p, CCZ_E_PEER, "mpc:needs-plan");
}

static void test_settings(void)
{
    kit_source = CCZ_MPC_SOURCE_MIXED;
    for (int what = SAME; what < SETTINGS; what++)
        for (int list = 0; list < 2; list++) {
            struct duo d;
            duo_init(&d, 64);
            duo_run(&d, run_settings, &(struct other){what, list});
            duo_free(&d);
        }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"mixed.cost", test_cost},
                                            {"mixed.paillier_cost", test_paillier_cost},
                                            {"mixed.choices", test_mixed},
                                            {"mixed.none", test_none},
                                            {"mixed.settings", test_settings}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
