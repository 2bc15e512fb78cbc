/* SPDX-License-Identifier: Apache-2.0 */
/* Hello, failure, counters, reveals, plans, prepared needs. */
#include "kit.h"
#include "mpc/mpc_priv.h"

static void nothing(struct party *p, void *arg)
{
    (void)p;
    (void)arg;
}

/* --------------------------------------------------------------------------------------- hello */

static void mismatch(const struct ccz_mpc_cfg *a, const struct ccz_mpc_cfg *b, const char *where)
{
    struct duo d;
    duo_init(&d, 64);
    d.p[0].cfg = *a;
    d.p[1].cfg = *b;
    duo_run(&d, nothing, NULL);
    for (int i = 0; i < 2; i++) { /* the slower one may hear of it from the other */
        CHECK(!d.p[i].m);
        if (d.p[i].rc == CCZ_E_CLOSED)
            CHECK(strstr(d.p[i].err.msg, where));
        else
            expect_error(&d.p[i], CCZ_E_PEER, where);
    }
    duo_free(&d);
}

static void test_hello(void)
{
    const struct ccz_mpc_cfg a = {.role = 0, .ring_bits = 64, .frac = 12};
    struct ccz_mpc_cfg b = a;
    mismatch(&a, &b, "mpc:hello-role");
    b.role = 1;
    b.ring_bits = 32;
    mismatch(&a, &b, "mpc:hello-ring");
    b.ring_bits = 64;
    b.frac = 13;
    mismatch(&a, &b, "mpc:hello-frac");
    b.frac = 12;
    b.trunc = CCZ_MPC_TRUNC_ONE_BIT;
    mismatch(&a, &b, "mpc:hello-trunc");
    b.trunc = CCZ_MPC_TRUNC_FAITHFUL;
    b.ot = CCZ_MPC_OT_SILENT;
    mismatch(&a, &b, "mpc:hello-ot");
    b.ot = CCZ_MPC_OT_SOFTSPOKEN;
    b.ot_k = 2;
    mismatch(&a, &b, "mpc:hello-ot");
    b.ot_k = 0;
    b.source = CCZ_MPC_SOURCE_HE;
    mismatch(&a, &b, "mpc:hello-source");
    b.source = CCZ_MPC_SOURCE_OT;
    b.program[31] = 1;
    mismatch(&a, &b, "mpc:hello-program");
}

/* A peer that sends these bytes as its hello. */
static void bad_hello(const void *bytes, size_t size, const char *where)
{
    struct ccz_chan *a, *b;
    struct ccz_mpc *m;
    struct ccz_err e;
    const struct ccz_mpc_cfg cfg = {.role = 0, .ring_bits = 64};
    CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
    CHECK(ccz_chan_send(b, CCZ_SPAN(bytes, size), NULL) == CCZ_OK);
    CHECK(ccz_mpc_new(&m, a, &cfg, &e) == CCZ_E_PEER && !m);
    CHECK(strcmp(e.where, where) == 0);
    ccz_chan_free(a);
    ccz_chan_free(b);
}

static void test_hello_garbage(void)
{
    uint8_t good[CCZ_MPC_HELLO_SIZE] = {'C', 'C', 'Z', 'M', 'P', 'C', 0, 1, 1, 64};
    for (size_t n = 0; n < CCZ_MPC_HELLO_SIZE; n++)
        bad_hello(good, n, "chan:size");
    for (size_t i = 0; i < 16; i++) {
        static const char *const where[16] = {
            "mpc:hello",      "mpc:hello",      "mpc:hello",        "mpc:hello",
            "mpc:hello",      "mpc:hello",      "mpc:hello",        "mpc:hello-version",
            "mpc:hello-role", "mpc:hello-ring", "mpc:hello-frac",   "mpc:hello-trunc",
            "mpc:hello-ot",   "mpc:hello-ot",   "mpc:hello-source", "mpc:hello"};
        good[i] ^= 0x80;
        bad_hello(good, sizeof(good), where[i]);
        good[i] ^= 0x80;
    }
    good[47] = 1;
    bad_hello(good, sizeof(good), "mpc:hello-program");
}

static void refused(struct ccz_mpc_cfg cfg, const char *where)
{
    struct ccz_mpc *m;
    struct ccz_err e;
    CHECK(ccz_mpc_plan_new(&m, &cfg, &e) == CCZ_E_ARG && !m && strcmp(e.where, where) == 0);
}

static void test_config(void)
{
    struct ccz_mpc *m;
    struct ccz_err e;
    const struct ccz_mpc_cfg good = {.ring_bits = 64, .frac = 62};
    CHECK(ccz_mpc_new(&m, NULL, &good, &e) == CCZ_E_ARG && strcmp(e.where, "mpc:chan") == 0);
    refused((struct ccz_mpc_cfg){.ring_bits = 64, .role = 2}, "mpc:role");
    refused((struct ccz_mpc_cfg){.ring_bits = 0}, "mpc:ring");
    refused((struct ccz_mpc_cfg){.ring_bits = 24}, "mpc:ring");
    refused((struct ccz_mpc_cfg){.ring_bits = 8, .frac = 7}, "mpc:frac");
    refused((struct ccz_mpc_cfg){.ring_bits = 8, .trunc = (enum ccz_mpc_trunc)3}, "mpc:trunc");
    for (unsigned bits = 8; bits <= 32; bits *= 2) /* wrong too often */
        refused((struct ccz_mpc_cfg){.ring_bits = bits, .trunc = CCZ_MPC_TRUNC_LOCAL}, "mpc:trunc");
    refused((struct ccz_mpc_cfg){.ring_bits = 8, .ot = (enum ccz_mpc_ot)2}, "mpc:ot");
    refused((struct ccz_mpc_cfg){.ring_bits = 8, .source = CCZ_MPC_SOURCE_KINDS},
            "mpc:source-kind");
    refused((struct ccz_mpc_cfg){.ring_bits = 8, .stat_bits = 65}, "mpc:stat-bits");
    CHECK(ccz_mpc_plan_new(&m, &good, &e) == CCZ_OK);
    ccz_mpc_free(m);
}

/* ------------------------------------------------------------------------------------- failure */

/* Party 0 breaks the contract; party 1 does not, and waits for a message. */
static void run_one_fails(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t v[4] = {1, 2, 3, 4}, out[4] = {9, 9, 9, 9};
    struct ccz_mpc_tensor *a, *b, *c;
    (void)arg;
    a = input(p, 3, CCZ_MPC_SHAPE1(4), 1, v);
    b = input(p, 3, CCZ_MPC_SHAPE1(4), p->role == 0 ? 2 : 1, v);
    p->rc = ccz_mpc_add(&c, a, b, e);
    if (p->role == 0) {
        CHECK(!c);
        expect_error(p, CCZ_E_ARG, "mpc:scale");
        CHECK(ccz_mpc_neg(&c, a, NULL) == CCZ_E_ARG && !c); /* the first error stays */
        p->rc = ccz_mpc_reveal(out, a, CCZ_MPC_TO_BOTH, "x", e);
        expect_error(p, CCZ_E_ARG, "mpc:scale");
    } else {
        CHECK(p->rc == CCZ_OK);
        p->rc = ccz_mpc_reveal(out, c, CCZ_MPC_TO_BOTH, "x", e);
        expect_error(p, CCZ_E_CLOSED, "chan:closed");
        CHECK(strstr(e->msg, "mpc:scale"));
        ccz_mpc_tensor_free(c);
    }
    CHECK(out[0] == 0 && out[3] == 0);
    CHECK(ccz_mpc_status(p->m, e) == p->rc);
    ccz_mpc_tensor_free(a);
    ccz_mpc_tensor_free(b);
}

static void test_one_fails(void)
{
    struct duo d;
    duo_init(&d, 64);
    duo_run(&d, run_one_fails, NULL);
    duo_free(&d);
}

/* A product and a reveal over a channel that breaks at any message: both parties end with an error, no one waits. */
static void run_until_error(struct party *p, void *arg)
{
    uint64_t v[3] = {5, 6, 7}, out[3];
    struct ccz_err *e = &p->err;
    (void)arg;
    CCZ_AUTO(ccz_mpc_tensor) t = NULL;
    CCZ_AUTO(ccz_mpc_tensor) s = NULL;
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    p->rc = ccz_mpc_private(&t, p->m, 0, CCZ_MPC_SHAPE1(3), 0, p->role == 0 ? v : NULL, e);
    if (p->rc == CCZ_OK)
        p->rc = ccz_mpc_share(&s, t, e);
    if (p->rc == CCZ_OK)
        p->rc = ccz_mpc_mul(&r, s, s, e);
    if (p->rc == CCZ_OK)
        p->rc = ccz_mpc_reveal(out, r, CCZ_MPC_TO_BOTH, "x", e);
}

/* How many of the two failed. */
static int broken(struct ccz_chan_fault_cfg fault, int who, int64_t timeout_ms)
{
    struct duo d;
    duo_init(&d, 64);
    CHECK(ccz_chan_fault_new(&d.p[who].chan, d.p[who].chan, &fault, NULL) == CCZ_OK);
    for (int i = 0; i < 2; i++)
        ccz_chan_set_timeout(d.p[i].chan, timeout_ms);
    duo_run(&d, run_until_error, NULL);
    int failed = (d.p[0].rc != CCZ_OK) + (d.p[1].rc != CCZ_OK);
    duo_free(&d);
    return failed;
}

static void test_faults(void)
{
    for (int who = 0; who < 2; who++) {
        uint64_t messages = 1;
        while (broken((struct ccz_chan_fault_cfg){.send_shorten = messages}, who, 20000) > 0)
            messages++; /* up to the last message of that party */
        CHECK(messages > 5);
        for (uint64_t n = 1; n < messages; n++) {
            CHECK(broken((struct ccz_chan_fault_cfg){.send_drop = n}, who, 150) > 0);
            int failed = broken((struct ccz_chan_fault_cfg){.send_cut_after = n}, who, 20000);
            CHECK(failed == 2 ||
                  n + 2 >= messages); /* the last ones are messages to one party alone */
        }
        CHECK(broken((struct ccz_chan_fault_cfg){.send_repeat = 1}, who, 150) > 0);
    }
}

/* ------------------------------------------------------------------------------------- reveals */

struct told {
    uint64_t calls, len;
    unsigned to;
};

static void on_reveal(void *arg, const struct ccz_mpc_reveal *r)
{
    struct told *t = arg;
    t->calls++;
    t->len += r->len;
    t->to = r->to;
    CHECK(r->number == t->calls && strcmp(r->label, "the label") == 0);
}

static void run_reveals(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    struct told *told = (struct told *)p->cfg.arg;
    const unsigned bits = p->cfg.ring_bits;
    uint64_t *v = numbers(1000, bits, 3), out[1000], sent = 0, received = 0;
    struct ccz_mpc_tensor *t = input(p, 3, CCZ_MPC_SHAPE1(1000), 0, v), *o;
    (void)arg;
    for (unsigned to = 1; to <= 3; to++) {
        bool mine = to >> p->role & 1, theirs = to >> (1 - p->role) & 1;
        memset(out, 0xaa, sizeof(out));
        OK(ccz_mpc_reveal(mine ? out : NULL, t, to, "the label", e));
        CHECK(told->calls == to && told->len == 1000 * to && told->to == to);
        if (mine)
            CHECK(memcmp(out, v, 8000) == 0);
        sent += theirs ? 1000 * bits / 8 : 0;
        received += mine ? 1000 * bits / 8 : 0;
        struct ccz_mpc_stats s = ccz_mpc_stats(p->m);
        CHECK(s.phase[CCZ_MPC_ONLINE].sent_size == sent);
        CHECK(s.phase[CCZ_MPC_ONLINE].received_size == received);
        CHECK(s.phase[CCZ_MPC_ONLINE].rounds == to && s.reveals == to);
        CHECK(s.phase[CCZ_MPC_SETUP].sent_size == CCZ_MPC_HELLO_SIZE);
        CHECK(s.phase[CCZ_MPC_SETUP].rounds == 1 && s.phase[CCZ_MPC_OFFLINE].sent_size == 0);
    }
    OK(ccz_mpc_open(&o, t, CCZ_MPC_TO_1, "the label", e));
    CHECK(ccz_mpc_kind_of(o) == CCZ_MPC_PRIVATE && ccz_mpc_owner_of(o) == 1);
    CHECK(p->role == 1 ? memcmp(ccz_mpc_words(o), v, 8000) == 0 : !ccz_mpc_words(o));
    ccz_mpc_tensor_free(o);
    p->rc = p->role == 0 ? ccz_mpc_reveal(out, t, CCZ_MPC_TO_1, "x", e)
                         : ccz_mpc_reveal(NULL, t, CCZ_MPC_TO_BOTH, "x", e);
    expect_error(p, CCZ_E_ARG, "mpc:reveal");
    CHECK(told->calls == 4);
    ccz_mpc_tensor_free(t);
    free(v);
}

static void test_reveals(void)
{
    static const unsigned widths[] = {8, 16, 32, 64};
    for (int w = 0; w < 4; w++) {
        struct told told[2] = {{0, 0, 0}, {0, 0, 0}};
        struct duo d;
        duo_init(&d, widths[w]);
        for (int i = 0; i < 2; i++) {
            d.p[i].cfg.on_reveal = on_reveal;
            d.p[i].cfg.arg = &told[i];
        }
        duo_run(&d, run_reveals, NULL);
        duo_free(&d);
    }
}

/* --------------------------------------------------------------------------------- uniformity */

/* Shares of one value over and over: each byte of them is as good as random. Chi-square, 255 degrees of freedom. */
static void run_uniform(struct party *p, void *arg)
{
    enum { LEN = 1 << 14 };
    struct ccz_err *e = &p->err;
    uint64_t *v = calloc(LEN, 8), *mine = calloc(LEN, 8);
    struct ccz_mpc_tensor *t[4], *a, *b;
    (void)arg;
    for (int i = 0; i < LEN; i++)
        v[i] = 42;
    t[0] = input(p, 3, CCZ_MPC_SHAPE1(LEN), 0, v);
    a = input(p, 1, CCZ_MPC_SHAPE1(LEN), 0, v);
    b = input(p, 2, CCZ_MPC_SHAPE1(LEN), 0, v);
    OK(ccz_mpc_add(&t[1], a, b, e)); /* shared, and neither share is an input */
    OK(ccz_mpc_mul(&t[2], t[0], t[1], e));
    OK(ccz_mpc_mul(&t[3], a, b, e));
    for (int k = 0; k < 4; k++) {
        size_t count[8][256] = {{0}};
        const uint64_t *s = ccz_mpc_words(t[k]);
        for (int i = 0; i < LEN; i++)
            for (int j = 0; j < 8; j++)
                count[j][s[i] >> 8 * j & 255]++;
        for (int j = 0; j < 8; j++) {
            double chi = 0;
            for (int c = 0; c < 256; c++)
                chi += ((double)count[j][c] - LEN / 256) * ((double)count[j][c] - LEN / 256) /
                       (LEN / 256);
            CHECK(chi > 130 && chi < 420); /* 255 +- 5.5 and 7.3 standard deviations */
        }
        ccz_mpc_tensor_free(t[k]);
    }
    ccz_mpc_tensor_free(a);
    ccz_mpc_tensor_free(b);
    free(v);
    free(mine);
}

static void test_uniform(void)
{
    both(64, run_uniform, NULL);
}

/* ---------------------------------------------------------------------------------------- view */

/* Counts the bytes of what passes while it is on. */
struct tap {
    struct ccz_chan *inner;
    size_t count[256], len;
    bool on;
};

static ccz_rc tap_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                       struct ccz_err *err)
{
    struct tap *t = self;
    (void)timeout_ms;
    for (size_t i = 0; i < len && t->on; i++)
        for (size_t k = 0; k < parts[i].size; k++, t->len++)
            t->count[parts[i].ptr[k]]++;
    return ccz_chan_send_parts(t->inner, parts, len, err);
}

static ccz_rc tap_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    return ccz_chan_recv_within(msg, ((struct tap *)self)->inner, timeout_ms, err);
}

static void tap_close(void *self, const char *reason)
{
    ccz_chan_close(((struct tap *)self)->inner, reason);
}

static void tap_free(void *self)
{
    ccz_chan_free(((struct tap *)self)->inner);
}

/* Products of constants: what a party sends is as good as random, whatever the values. */
static void run_view(struct party *p, void *arg)
{
    enum { LEN = 1 << 13 };
    struct ccz_err *e = &p->err;
    struct tap *taps = arg;
    uint64_t *v = calloc(LEN, 8);
    struct ccz_mpc_tensor *a = input(p, 1, CCZ_MPC_SHAPE1(LEN), 0, v), *s, *t, *r;
    OK(ccz_mpc_share(&s, a, e));
    OK(ccz_mpc_add_value(&t, s, 5, e));
    const struct ccz_mpc_need needs[] = {
        {.kind = CCZ_MPC_MUL, .n = LEN},
        {.kind = CCZ_MPC_SQUARE, .n = LEN},
        {.kind = CCZ_MPC_CROSS_MUL, .n = LEN, .fixed = 1, .owner = 0}};
    OK(ccz_mpc_prepare(p->m, needs, 3, e));
    taps[p->role].on = true;
    OK(ccz_mpc_mul(&r, s, t, e));
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_square(&r, s, e));
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_mul(&r, a, t, e));
    ccz_mpc_tensor_free(r);
    taps[p->role].on = false;
    ccz_mpc_tensor_free(a);
    ccz_mpc_tensor_free(s);
    ccz_mpc_tensor_free(t);
    free(v);
}

static void test_view(void)
{
    static const struct ccz_chan_ops ops = {
        .send = tap_send, .recv = tap_recv, .close = tap_close, .free = tap_free};
    static struct tap taps[2];
    struct duo d;
    duo_init(&d, 64);
    for (int i = 0; i < 2; i++) {
        taps[i].inner = d.p[i].chan;
        CHECK(ccz_chan_new(&d.p[i].chan, &ops, &taps[i], "tap", NULL) == CCZ_OK);
    }
    duo_run(&d, run_view, taps);
    for (int i = 0; i < 2; i++) {
        double chi = 0, mean = (double)taps[i].len / 256;
        CHECK(d.p[i].rc == CCZ_OK && taps[i].len == (3 + (size_t)i) * 8 * 8192);
        for (int c = 0; c < 256; c++)
            chi += ((double)taps[i].count[c] - mean) * ((double)taps[i].count[c] - mean) / mean;
        CHECK(chi > 130 && chi < 420);
    }
    duo_free(&d);
}

/* --------------------------------------------------------------------------------------- plans */

/* A program with everything in it; `plan` runs it without a peer. Leaves the result in out. */
static void program(struct party *p, uint64_t out[6])
{
    struct ccz_err *e = &p->err;
    uint64_t a[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, b[8] = {3, 1, 4, 1, 5, 9, 2, 6};
    struct ccz_mpc_tensor *x, *w, *y, *z, *sum, *fixed, *s;
    x = input(p, 1, CCZ_MPC_SHAPE2(3, 4), 0, a);
    fixed = input(p, 2, CCZ_MPC_SHAPE2(2, 2), 0, b);
    w = input(p, 3, CCZ_MPC_SHAPE2(4, 2), 0, b);
    size_t len;
    if (p->duo && p->duo->arg) {
        struct ccz_mpc *plan = p->duo->arg;
        const struct ccz_mpc_need *needs = ccz_mpc_needs(&len, plan);
        OK(ccz_mpc_prepare(p->m, needs, len, e));
    }
    OK(ccz_mpc_matmul(&y, x, w, e));
    OK(ccz_mpc_matmul(&z, y, fixed, e));
    OK(ccz_mpc_slice(&s, x, 1, 0, 2, 2, e)); /* exists only now */
    OK(ccz_mpc_mul(&sum, z, s, e));
    ccz_mpc_tensor_free(z);
    OK(ccz_mpc_mul(&z, sum, y, e));
    OK(ccz_mpc_reveal(out, z, CCZ_MPC_TO_BOTH, "result", e));
    ccz_mpc_tensor_free(x);
    ccz_mpc_tensor_free(w);
    ccz_mpc_tensor_free(y);
    ccz_mpc_tensor_free(z);
    ccz_mpc_tensor_free(s);
    ccz_mpc_tensor_free(sum);
    ccz_mpc_tensor_free(fixed);
}

static void run_program(struct party *p, void *arg)
{
    uint64_t out[6];
    /* x w = {27, 56, ...}: by hand for the first row: [1 2 3 4] [[3 1] [4 1] [5 9] [2 6]] = [34, 54] */
    program(p, out);
    uint64_t y0 = 34, y1 = 54, z0 = y0 * 3 + y1 * 4, z1 = y0 + y1;
    CHECK(out[0] == z0 * 1 * y0 && out[1] == z1 * 3 * y1);
    (void)arg;
}

static void test_plan(void)
{
    struct duo d;
    struct ccz_mpc_stats real[2], planned[2], prepared[2];
    uint64_t out[6];
    for (unsigned role = 0; role < 2; role++) {
        struct party p = {.role = role, .cfg = {.role = role, .ring_bits = 64}};
        CHECK(ccz_mpc_plan_new(&p.m, &p.cfg, NULL) == CCZ_OK && ccz_mpc_is_plan(p.m));
        program(&p, out);
        planned[role] = ccz_mpc_stats(p.m);
        ccz_mpc_free(p.m);
    }
    duo_init(&d, 64);
    duo_run(&d, run_program, NULL);
    real[0] = ccz_mpc_stats(d.p[0].m);
    real[1] = ccz_mpc_stats(d.p[1].m);
    duo_free(&d);
    struct party plan = {.role = 0, .cfg = {.role = 0, .ring_bits = 64}};
    CHECK(ccz_mpc_plan_new(&plan.m, &plan.cfg, NULL) == CCZ_OK);
    program(&plan, out);
    size_t len;
    const struct ccz_mpc_need *needs = ccz_mpc_needs(&len, plan.m);
    CHECK(len == 4 && needs[0].kind == CCZ_MPC_CROSS_MATMUL && needs[0].fixed == 1);
    CHECK(needs[1].kind == CCZ_MPC_CROSS_MATMUL && needs[1].transposed && needs[1].owner == 1);
    CHECK(needs[2].kind == CCZ_MPC_CROSS_MUL && needs[3].kind == CCZ_MPC_MUL);
    duo_init(&d, 64);
    duo_run(&d, run_program, plan.m);
    prepared[0] = ccz_mpc_stats(d.p[0].m);
    prepared[1] = ccz_mpc_stats(d.p[1].m);
    duo_free(&d);
    ccz_mpc_free(plan.m);
    for (int i = 0; i < 2; i++) {
        const struct ccz_mpc_phase_stats *a = &real[i].phase[CCZ_MPC_ONLINE];
        const struct ccz_mpc_phase_stats *b = &planned[i].phase[CCZ_MPC_ONLINE];
        const struct ccz_mpc_phase_stats *c = &prepared[i].phase[CCZ_MPC_ONLINE];
        CHECK(a->sent_size == b->sent_size && a->received_size == b->received_size);
        CHECK(a->rounds == b->rounds && a->sent_len == b->sent_len);
        CHECK(a->sent_size == c->sent_size && a->rounds == c->rounds);
        CHECK(memcmp(real[i].needs, planned[i].needs, sizeof(real[i].needs)) == 0);
        CHECK(prepared[i].phase[CCZ_MPC_OFFLINE].rounds < real[i].phase[CCZ_MPC_OFFLINE].rounds);
    }
}

/* ---------------------------------------------------------------------------------- prepared needs */

static void run_wrong_order(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t v[4] = {1, 2, 3, 4};
    struct ccz_mpc_tensor *t = input(p, 3, CCZ_MPC_SHAPE2(2, 2), 0, v), *r;
    const struct ccz_mpc_need needs[] = {{.kind = CCZ_MPC_MUL, .n = 4},
                                         {.kind = CCZ_MPC_MATMUL, .m = 2, .k = 2, .n = 2}};
    (void)arg;
    OK(ccz_mpc_prepare(p->m, needs, 2, e));
    p->rc = ccz_mpc_matmul(&r, t, t, e);
    expect_error(p, CCZ_E_ARG, "mpc:need-order");
    ccz_mpc_tensor_free(t);
}

static void run_different(struct party *p, void *arg)
{
    const struct ccz_mpc_need need = {.kind = CCZ_MPC_MUL, .n = 4 + p->role};
    (void)arg;
    p->rc = ccz_mpc_prepare(p->m, &need, 1, &p->err);
    if (p->rc != CCZ_E_CLOSED)
        expect_error(p, CCZ_E_PEER, "mpc:needs");
}

static void run_bad_needs(struct party *p, void *arg)
{
    const struct ccz_mpc_need *need = arg;
    p->rc = ccz_mpc_prepare(p->m, need, 1, &p->err);
}

static void bad_need(struct ccz_mpc_need need)
{
    struct duo d;
    duo_init(&d, 64);
    duo_run(&d, run_bad_needs, &need);
    for (int i = 0; i < 2; i++)
        expect_error(&d.p[i], CCZ_E_ARG, "mpc:need");
    duo_free(&d);
}

/* Each item is used once: two products take two, and the third makes its own. */
static void run_once(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t v[4] = {1, 2, 3, 4}, w[4] = {1, 4, 9, 16};
    const struct ccz_mpc_need needs[] = {{.kind = CCZ_MPC_SQUARE, .n = 4},
                                         {.kind = CCZ_MPC_SQUARE, .n = 4}};
    struct ccz_mpc_tensor *t = input(p, 3, CCZ_MPC_SHAPE1(4), 0, v), *r;
    (void)arg;
    OK(ccz_mpc_prepare(p->m, needs, 2, e));
    uint64_t before = ccz_mpc_stats(p->m).phase[CCZ_MPC_OFFLINE].rounds;
    for (int i = 0; i < 3; i++) {
        OK(ccz_mpc_square(&r, t, e));
        uint64_t now = ccz_mpc_stats(p->m).phase[CCZ_MPC_OFFLINE].rounds;
        CHECK(i < 2 ? now == before : now > before);
        expect(p, r, w);
        ccz_mpc_tensor_free(r);
    }
    ccz_mpc_tensor_free(t);
}

static void run_no_source(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t v = 1;
    struct ccz_mpc_tensor *t = input(p, 3, CCZ_MPC_SHAPE1(1), 0, &v), *r;
    struct ccz_mpc_source *s;
    (void)arg;
    if (p->role == 0) {
        p->rc = ccz_mpc_mul(&r, t, t, e);
        expect_error(p, CCZ_E_ARG, "mpc:no-source");
    } else {
        OK(ccz_mpc_source_ot_new(&s, p->m, e));
        p->rc = ccz_mpc_attach(p->m, s, e);
        expect_error(p, CCZ_E_ARG, "mpc:source-kind");
    }
    ccz_mpc_tensor_free(t);
}

static void test_prepare(void)
{
    struct duo d;
    both(64, run_once, NULL);
    duo_init(&d, 64);
    duo_run(&d, run_wrong_order, NULL);
    duo_free(&d);
    duo_init(&d, 64);
    duo_run(&d, run_different, NULL);
    CHECK(d.p[0].rc == CCZ_E_PEER || d.p[1].rc == CCZ_E_PEER);
    duo_free(&d);
    duo_init(&d, 64);
    d.p[0].cfg.source = d.p[1].cfg.source = CCZ_MPC_SOURCE_HE;
    duo_run(&d, run_no_source, NULL);
    duo_free(&d);
    bad_need((struct ccz_mpc_need){.kind = CCZ_MPC_MUL});
    bad_need((struct ccz_mpc_need){.kind = CCZ_MPC_NEED_KINDS, .n = 1});
    bad_need((struct ccz_mpc_need){.kind = CCZ_MPC_AND, .n = CCZ_MPC_LEN_MAX + 1});
    bad_need((struct ccz_mpc_need){.kind = CCZ_MPC_MATMUL, .m = 1, .k = 0, .n = 1});
    bad_need((struct ccz_mpc_need){
        .kind = CCZ_MPC_MATMUL, .m = (size_t)1 << 40, .k = (size_t)1 << 40, .n = 1});
    bad_need((struct ccz_mpc_need){.kind = CCZ_MPC_CROSS_MUL, .n = 1, .owner = 2});
    bad_need((struct ccz_mpc_need){.kind = CCZ_MPC_CROSS_CONV2D,
                                   .conv = {1, 2, 2, 1, 1, 1, 1, 1, 0, 2, 3}});
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"session.hello", test_hello},     {"session.hello_garbage", test_hello_garbage},
        {"session.config", test_config},   {"session.one_fails", test_one_fails},
        {"session.faults", test_faults},   {"session.reveals", test_reveals},
        {"session.uniform", test_uniform}, {"session.view", test_view},
        {"session.plan", test_plan},       {"session.prepare", test_prepare}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
