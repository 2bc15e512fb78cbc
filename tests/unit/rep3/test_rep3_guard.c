/* SPDX-License-Identifier: Apache-2.0 */
/* Hello, failure, faults, copies, what parties see, counters. */
#include "kit.h"
#include "refused.h"
#include "whole.h"

static void nothing(struct party *p, void *arg)
{
    (void)p;
    (void)arg;
}

/* --------------------------------------------------------------------------------------- hello */

/* Party 2 differs: it and its neighbours say where, or hear of it from each other. */
static void mismatch(struct ccz_rep3_cfg other, const char *where)
{
    struct trio t;
    int said = 0;
    trio_init(&t, 64);
    t.p[0].cfg.frac = t.p[1].cfg.frac = 12;
    t.p[2].cfg = other;
    trio_run(&t, nothing, NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(!t.p[i].m);
        if (t.p[i].rc == CCZ_E_CLOSED) {
            CHECK(strstr(t.p[i].err.msg, where));
            continue;
        }
        expect_error(&t.p[i], CCZ_E_PEER, where);
        said++;
    }
    CHECK(said > 0);
    trio_free(&t);
}

static void test_hello(void)
{
    const struct ccz_rep3_cfg good = {.role = 2, .ring_bits = 64, .frac = 12};
    struct ccz_rep3_cfg c = good;
    c.role = 1;
    mismatch(c, "rep3:hello-role");
    c = good;
    c.ring_bits = 32;
    mismatch(c, "rep3:hello-ring");
    c = good;
    c.frac = 13;
    mismatch(c, "rep3:hello-frac");
    c = good;
    c.trunc = CCZ_REP3_TRUNC_FAST;
    mismatch(c, "rep3:hello-trunc");
    c = good;
    c.program[31] = 1;
    mismatch(c, "rep3:hello-program");
}

/* A previous party that sends these bytes as its hello. */
static void bad_hello(const uint8_t *bytes, size_t size, const char *where)
{
    struct ccz_chan *a[2], *b[2];
    struct ccz_rep3 *m;
    struct ccz_err e;
    uint8_t next[CCZ_REP3_HELLO_SIZE];
    const struct ccz_rep3_cfg cfg = {.role = 1, .ring_bits = 64};
    for (int d = 0; d < 2; d++)
        CHECK(ccz_chan_pair(&a[d], &b[d], NULL, NULL) == CCZ_OK);
    CHECK(ccz_chan_send(b[0], CCZ_SPAN(bytes, size), NULL) == CCZ_OK);
    memcpy(next, bytes, sizeof(next));
    next[8] = 2;
    CHECK(ccz_chan_send(b[1], CCZ_SPAN(next, sizeof(next)), NULL) == CCZ_OK);
    ccz_rc rc = ccz_rep3_new(&m, a[0], a[1], &cfg, &e);
    CHECK(where ? is_refused(rc, CCZ_E_PEER, &e, where) && !m : rc == CCZ_OK && m);
    ccz_rep3_free(m);
    for (int d = 0; d < 2; d++) {
        ccz_chan_free(a[d]);
        ccz_chan_free(b[d]);
    }
}

static void test_hello_garbage(void)
{
    uint8_t good[CCZ_REP3_HELLO_SIZE + 1] = {'C', 'C', 'Z', 'R', 'E', 'P', '3', 1, 0, 64};
    static const char *const where[16] = {
        "rep3:hello",      "rep3:hello",      "rep3:hello",      "rep3:hello",
        "rep3:hello",      "rep3:hello",      "rep3:hello",      "rep3:hello-version",
        "rep3:hello-role", "rep3:hello-ring", "rep3:hello-frac", "rep3:hello-trunc",
        "rep3:hello",      "rep3:hello",      "rep3:hello",      "rep3:hello"};
    for (size_t n = 0; n <= CCZ_REP3_HELLO_SIZE + 1; n++)
        bad_hello(good, n, n == CCZ_REP3_HELLO_SIZE ? NULL : "chan:size");
    for (size_t i = 0; i < 16; i++) {
        good[i] ^= 0x80;
        bad_hello(good, CCZ_REP3_HELLO_SIZE, where[i]);
        good[i] ^= 0x80;
    }
    good[47] = 1;
    bad_hello(good, CCZ_REP3_HELLO_SIZE, "rep3:hello-program");
}

static void bad_config(struct ccz_rep3_cfg cfg, const char *where)
{
    struct ccz_rep3 *m;
    struct ccz_err e;
    CHECK(is_refused(ccz_rep3_plan_new(&m, &cfg, &e), CCZ_E_ARG, &e, where) && !m);
}

static void test_config(void)
{
    struct ccz_rep3 *m;
    struct ccz_err e;
    const struct ccz_rep3_cfg good = {.ring_bits = 64, .frac = 62};
    CHECK(is_refused(ccz_rep3_new(&m, NULL, NULL, &good, &e), CCZ_E_ARG, &e, "rep3:chan"));
    bad_config((struct ccz_rep3_cfg){.ring_bits = 64, .role = 3}, "rep3:role");
    bad_config((struct ccz_rep3_cfg){.ring_bits = 0}, "rep3:ring");
    bad_config((struct ccz_rep3_cfg){.ring_bits = 24}, "rep3:ring");
    bad_config((struct ccz_rep3_cfg){.ring_bits = 8, .frac = 7}, "rep3:frac");
    bad_config((struct ccz_rep3_cfg){.ring_bits = 8, .trunc = (enum ccz_rep3_trunc)2},
               "rep3:trunc");
    CHECK(ccz_rep3_plan_new(&m, &good, &e) == CCZ_OK && ccz_rep3_is_plan(m));
    ccz_rep3_free(m);
}

/* ------------------------------------------------------------------------------------ refusals */

/* Each refusal ends its session, so that each has one of its own. */
typedef ccz_rc (*refusal_fn)(struct ccz_rep3 *m, struct ccz_rep3_tensor **made, struct ccz_err *e);
enum { MADE = 4 };

static void refused(refusal_fn call, const char *where)
{
    const struct ccz_rep3_cfg cfg = {.ring_bits = 16, .frac = 4};
    struct ccz_rep3_tensor *made[MADE] = {NULL}, *again;
    struct ccz_err e;
    CCZ_AUTO(ccz_rep3) m = NULL;
    CHECK(ccz_rep3_plan_new(&m, &cfg, &e) == CCZ_OK);
    CHECK(ccz_rep3_public(&made[0], m, CCZ_REP3_SHAPE2(2, 3), 4, NULL, &e) == CCZ_OK);
    CHECK(ccz_rep3_share(&made[1], m, 0, CCZ_REP3_SHAPE2(2, 3), 4, NULL, &e) == CCZ_OK);
    CHECK(ccz_rep3_mul(&made[2], made[1], made[1], &e) == CCZ_OK);
    CHECK(ccz_rep3_share_bits(&made[3], m, 0, CCZ_REP3_SHAPE2(2, 3), NULL, &e) == CCZ_OK);
    CHECK(is_refused(call(m, made, &e), CCZ_E_ARG, &e, where));
    /* The session is over, with the same error. */
    CHECK(is_refused(ccz_rep3_add(&again, made[1], made[1], &e), CCZ_E_ARG, &e, where) && !again);
    CHECK(ccz_rep3_status(m, NULL) == CCZ_E_ARG);
    for (int i = 0; i < MADE; i++)
        ccz_rep3_tensor_free(made[i]);
}

#define REFUSAL(name, call)                                                                        \
    static ccz_rc name(struct ccz_rep3 *m, struct ccz_rep3_tensor **t, struct ccz_err *e)          \
    {                                                                                              \
        struct ccz_rep3_tensor *o = NULL;                                                          \
        ccz_rc rc = (call);                                                                        \
        (void)m;                                                                                   \
        (void)t;                                                                                   \
        CHECK(!o);                                                                                 \
        return rc;                                                                                 \
    }

static const struct ccz_rep3_range whole_range = {0, 0};
REFUSAL(no_shape, ccz_rep3_share(&o, m, 0, CCZ_REP3_SHAPE2(2, 0), 0, NULL, e))
REFUSAL(large_shape, ccz_rep3_share(&o, m, 0, CCZ_REP3_SHAPE2(1 << 20, 1 << 20), 0, NULL, e))
REFUSAL(no_owner, ccz_rep3_share(&o, m, 3, CCZ_REP3_SHAPE1(1), 0, NULL, e))
REFUSAL(large_frac, ccz_rep3_share(&o, m, 0, CCZ_REP3_SHAPE1(1), 15, NULL, e))
REFUSAL(to_nobody, ccz_rep3_reveal(NULL, t[1], 0, "", e))
REFUSAL(to_a_fourth, ccz_rep3_reveal(NULL, t[1], 8, "", e))
REFUSAL(reveal_parts, ccz_rep3_reveal(NULL, t[2], 7, "", e))
REFUSAL(other_scale, ccz_rep3_add(&o, t[1], t[2], e))
REFUSAL(add_bits, ccz_rep3_add(&o, t[1], t[3], e))
REFUSAL(scale_frac, ccz_rep3_scale(&o, t[1], 1, 11, e))
REFUSAL(sum_axis, ccz_rep3_sum(&o, t[1], 2, e))
REFUSAL(xor_values, ccz_rep3_xor(&o, t[3], t[1], e))
REFUSAL(and_values, ccz_rep3_and(&o, t[1], t[3], e))
REFUSAL(not_values, ccz_rep3_not(&o, t[1], e))
REFUSAL(bad_reshape, ccz_rep3_reshape(&o, t[1], CCZ_REP3_SHAPE1(5), e))
REFUSAL(reshape_bits, ccz_rep3_reshape(&o, t[3], CCZ_REP3_SHAPE1(6), e))
REFUSAL(bad_expand, ccz_rep3_expand(&o, t[1], CCZ_REP3_SHAPE2(4, 3), e))
REFUSAL(bad_slice, ccz_rep3_slice(&o, t[1], 1, 1, 2, 2, e))
REFUSAL(slice_axis, ccz_rep3_slice(&o, t[1], 2, 0, 1, 1, e))
REFUSAL(concat_kinds, ccz_rep3_concat(&o, t[0], t[1], 0, e))
REFUSAL(mul_parts, ccz_rep3_mul(&o, t[2], t[1], e))
REFUSAL(mul_bits, ccz_rep3_mul(&o, t[1], t[3], e))
REFUSAL(matmul_shape, ccz_rep3_matmul(&o, t[1], t[1], e))
REFUSAL(conv_shape, ccz_rep3_conv2d(&o, t[1], t[1], 1, 0, e))
REFUSAL(reshare_public, ccz_rep3_reshare(&o, t[0], e))
REFUSAL(trunc_more, ccz_rep3_trunc(&o, t[1], 5, e))
REFUSAL(trunc_bits, ccz_rep3_trunc(&o, t[3], 0, e))
REFUSAL(range_bits, ccz_rep3_negative(&o, t[1], (struct ccz_rep3_range){17, 0}, e))
REFUSAL(range_narrow, ccz_rep3_negative(&o, t[1], (struct ccz_rep3_range){4, 3}, e))
REFUSAL(range_skip, ccz_rep3_relu(&o, t[1], 0, (struct ccz_rep3_range){0, 15}, e))
REFUSAL(sign_public, ccz_rep3_negative(&o, t[0], whole_range, e))
REFUSAL(relu_more, ccz_rep3_relu(&o, t[1], 5, whole_range, e))
REFUSAL(sigmoid_all, ccz_rep3_sigmoid3(&o, t[1], 4, whole_range, e))
REFUSAL(inject_values, ccz_rep3_inject(&o, t[1], t[1], e))
REFUSAL(inject_public, ccz_rep3_inject(&o, t[3], t[0], e))
REFUSAL(no_layers, ccz_rep3_mlp(&o, t[1], NULL, 0, whole_range, e))
REFUSAL(large_rate,
        ccz_rep3_lr_step(&o, t[1], t[1], t[1], &(struct ccz_rep3_lr_cfg){.rate_shift = 9}, e))

static void test_refusals(void)
{
    static const struct {
        refusal_fn call;
        const char *where;
    } list[] = {
        {no_shape, "rep3:shape"},      {large_shape, "rep3:shape"},  {no_owner, "rep3:owner"},
        {large_frac, "rep3:frac"},     {to_nobody, "rep3:reveal"},   {to_a_fourth, "rep3:reveal"},
        {reveal_parts, "rep3:kind"},   {other_scale, "rep3:scale"},  {add_bits, "rep3:kind"},
        {scale_frac, "rep3:frac"},     {sum_axis, "rep3:axis"},      {xor_values, "rep3:kind"},
        {and_values, "rep3:kind"},     {not_values, "rep3:kind"},    {bad_reshape, "rep3:shape"},
        {reshape_bits, "rep3:kind"},   {bad_expand, "rep3:shape"},   {bad_slice, "rep3:slice"},
        {slice_axis, "rep3:axis"},     {concat_kinds, "rep3:kind"},  {mul_parts, "rep3:kind"},
        {mul_bits, "rep3:kind"},       {matmul_shape, "rep3:shape"}, {conv_shape, "rep3:shape"},
        {reshare_public, "rep3:kind"}, {trunc_more, "rep3:scale"},   {trunc_bits, "rep3:kind"},
        {range_bits, "rep3:range"},    {range_narrow, "rep3:range"}, {range_skip, "rep3:range"},
        {sign_public, "rep3:kind"},    {relu_more, "rep3:scale"},    {sigmoid_all, "rep3:scale"},
        {inject_values, "rep3:kind"},  {inject_public, "rep3:kind"}, {no_layers, "rep3:layers"},
        {large_rate, "rep3:scale"}};
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        refused(list[i].call, list[i].where);
}

/* A place that is refused because its party is shown nothing is not written to; that of a party that is, is cleared. */
static void test_reveal_elsewhere(void)
{
    const struct ccz_rep3_cfg cfg = {.role = 0, .ring_bits = 32};
    uint64_t v[4] = {1, 2, 3, 4}, out[4] = {9, 9, 9, 9};
    struct ccz_err err = {0}, *e = &err;
    CCZ_AUTO(ccz_rep3) m = NULL;
    AUTO_TENSOR t = NULL;
    OK(ccz_rep3_plan_new(&m, &cfg, e));
    OK(ccz_rep3_share(&t, m, 0, CCZ_REP3_SHAPE1(4), 0, v, e));
    CHECK(ccz_rep3_reveal(out, t, 6, "", e) == CCZ_E_ARG && strcmp(err.where, "rep3:reveal") == 0);
    for (int i = 0; i < 4; i++)
        CHECK(out[i] == 9);
    CHECK(ccz_rep3_reveal(out, t, 1, "", e) == CCZ_E_ARG);
    for (int i = 0; i < 4; i++)
        CHECK(out[i] == 0);
}

/* ------------------------------------------------------------------------------------- failure */

/* Party 0 breaks the contract; the others do not, and wait for messages. */
static void run_one_fails(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t v[4] = {1, 2, 3, 4}, out[4] = {9, 9, 9, 9};
    (void)arg;
    AUTO_TENSOR a = input(p, CCZ_REP3_SHARED, 1, CCZ_REP3_SHAPE1(4), 1, v);
    AUTO_TENSOR b = input(p, CCZ_REP3_SHARED, 2, CCZ_REP3_SHAPE1(4), p->role == 0 ? 2 : 1, v);
    AUTO_TENSOR c = NULL;
    p->rc = ccz_rep3_add(&c, a, b, e);
    if (p->role == 0) {
        CHECK(!c);
        expect_error(p, CCZ_E_ARG, "rep3:scale");
        p->rc = ccz_rep3_reveal(out, a, CCZ_REP3_TO_ALL, "x", e);
        expect_error(p, CCZ_E_ARG, "rep3:scale"); /* the first error stays */
    } else {
        CHECK(p->rc == CCZ_OK);
        p->rc = ccz_rep3_reveal(out, c, CCZ_REP3_TO_ALL, "x", e);
        CHECK(p->rc == CCZ_E_CLOSED && strstr(e->msg, "rep3:scale"));
    }
    CHECK(out[0] == 0 && out[3] == 0);
    CHECK(ccz_rep3_status(p->m, e) == p->rc);
}

/* Party 2 is gone in the middle: the other two hear of it. */
static void run_one_dies(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t v[4] = {1, 2, 3, 4};
    (void)arg;
    AUTO_TENSOR a = input(p, CCZ_REP3_SHARED, 1, CCZ_REP3_SHAPE1(4), 0, v);
    AUTO_TENSOR r = NULL;
    if (p->role == 2) {
        ccz_chan_close(p->chan[0], NULL);
        ccz_chan_close(p->chan[1], NULL);
        return;
    }
    p->rc = ccz_rep3_relu(&r, a, 0, (struct ccz_rep3_range){0}, e);
    expect_error(p, CCZ_E_CLOSED, "chan:closed");
}

static void test_one_fails(void)
{
    const program_fn runs[] = {run_one_fails, run_one_dies};
    for (int i = 0; i < 2; i++) {
        struct trio t;
        trio_init(&t, 64);
        trio_run(&t, runs[i], NULL);
        CHECK(t.p[0].rc != CCZ_OK && t.p[1].rc != CCZ_OK);
        trio_free(&t);
    }
}

static void run_whole(struct party *p, void *arg)
{
    uint64_t out[7 * WHOLE] = {0};
    p->rc = whole(out, p->m, &p->err);
    *(bool *)arg &= p->rc != CCZ_OK || whole_right(out);
}

static bool explained(const struct party *p)
{
    return p->rc == CCZ_OK || (p->rc == CCZ_E_CLOSED && strncmp(p->err.where, "chan:", 5) == 0) ||
           (p->rc == CCZ_E_PEER &&
            (strcmp(p->err.where, "chan:size") == 0 || strncmp(p->err.where, "rep3:", 5) == 0));
}

/* How many of the three failed. */
static int broken(struct ccz_chan_fault_cfg fault, int who, int d, bool *right)
{
    struct trio t;
    int failed = 0;
    *right = true;
    trio_init(&t, 64);
    CHECK(ccz_chan_fault_new(&t.p[who].chan[d], t.p[who].chan[d], &fault, NULL) == CCZ_OK);
    trio_run(&t, run_whole, right);
    for (int i = 0; i < 3; i++) {
        if (!explained(&t.p[i]))
            fprintf(stderr, "party %d: %s %s\n", i, t.p[i].err.where, t.p[i].err.msg);
        CHECK(explained(&t.p[i]));
        failed += t.p[i].rc != CCZ_OK;
    }
    trio_free(&t);
    return failed;
}

/* Every message of everyone, shortened, cut, flipped. A result of a run without an error is right, unless a bit was flipped. */
static void test_faults(void)
{
    bool right;
    for (int who = 0; who < 3; who++)
        for (int d = 0; d < 2; d++) {
            uint64_t len = 1;
            while (broken((struct ccz_chan_fault_cfg){.send_shorten = len}, who, d, &right) > 0)
                CHECK(++len < 1000); /* up to the last message that way */
            CHECK(right && len > 15);
            for (uint64_t n = 1; n < len; n++) {
                int failed =
                    broken((struct ccz_chan_fault_cfg){.send_cut_after = n}, who, d, &right);
                CHECK(right && (failed == 3 || n + 2 >= len)); /* others may be done by then */
                failed = broken((struct ccz_chan_fault_cfg){.send_flip = n}, who, d, &right);
                CHECK(n > 1 || failed == 3); /* the program in a hello */
            }
        }
}

static void run_two_shares(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t v[9] = {1, 2, 3}, out[9];
    (void)arg;
    AUTO_TENSOR a = input(p, CCZ_REP3_SHARED, 0, CCZ_REP3_SHAPE1(9), 0, v);
    AUTO_TENSOR b = NULL;
    AUTO_TENSOR c = NULL;
    OK(ccz_rep3_mul(&b, a, a, e));
    OK(ccz_rep3_reshare(&c, b, e));
    p->rc = ccz_rep3_reveal(out, c, CCZ_REP3_TO_ALL, "x", e);
}

/* A bit that is flipped in an input or in a resharing is noticed by the third party. */
static void test_flipped(void)
{
    for (int who = 0; who < 3; who++) {
        struct trio t;
        trio_init(&t, 64);
        /* To the previous party: the hello, then its part of the product. */
        CHECK(ccz_chan_fault_new(&t.p[who].chan[CCZI_PREV], t.p[who].chan[CCZI_PREV],
                                 &(struct ccz_chan_fault_cfg){.send_flip = 2}, NULL) == CCZ_OK);
        trio_run(&t, run_two_shares, NULL);
        expect_error(&t.p[(who + 1) % 3], CCZ_E_PEER, "rep3:copies");
        trio_free(&t);
    }
}

/* ---------------------------------------------------------------------------- copies at a reveal */

struct tamper {
    unsigned who, plane;
    size_t len;
    bool bits;
    unsigned to;
};

static void run_tamper(struct party *p, void *arg)
{
    const struct tamper *o = arg;
    struct ccz_err *e = &p->err;
    AUTO_WORDS v = numbers(o->len, 64, 3);
    AUTO_WORDS out = calloc(o->len, sizeof(*out));
    AUTO_TENSOR t = NULL;
    CHECK(out);
    memset(out, 0xaa, o->len * sizeof(*out));
    if (o->bits)
        OK(ccz_rep3_share_bits(&t, p->m, 0, CCZ_REP3_SHAPE1(o->len), p->role == 0 ? v : NULL, e));
    else
        OK(ccz_rep3_share(&t, p->m, 0, CCZ_REP3_SHAPE1(o->len), 0, p->role == 0 ? v : NULL, e));
    if (p->role == o->who)
        cczi_rep3_plane(t, o->plane)[t->words - 1] ^= (uint64_t)1
                                                      << (o->bits ? (o->len - 1) % 64 : 63);
    p->rc = ccz_rep3_reveal(o->to >> p->role & 1 ? out : NULL, t, o->to, "x", e);
    if (p->rc != CCZ_OK && o->to >> p->role & 1)
        CHECK(out[0] == 0 && out[t->words - 1] == 0);
}

static void test_copies(void)
{
    const size_t lens[] = {1, 4, 5, 64, 65, 1000}; /* 32 bytes is where hashes begin */
    for (int l = 0; l < 6; l++)
        for (unsigned who = 0; who < 3; who++)
            for (unsigned plane = 0; plane < 2; plane++)
                for (int bits = 0; bits < 2; bits++) {
                    /* Share who + plane differs at its two holders; the third party is the one that lacks it. */
                    const unsigned judge = (who + plane + 1) % 3;
                    struct tamper o = {who, plane, lens[l], bits, CCZ_REP3_TO_ALL};
                    struct trio t;
                    trio_init(&t, 64);
                    trio_run(&t, run_tamper, &o);
                    expect_error(&t.p[judge], CCZ_E_PEER, "rep3:copies");
                    trio_free(&t);
                    o.to &= ~(1u << judge); /* nobody else can see it: design/rep3.md says so */
                    trio_init(&t, 64);
                    trio_run(&t, run_tamper, &o);
                    trio_good(&t);
                    trio_free(&t);
                }
}

/* ------------------------------------------------------------------------------ what parties see */

static void chi_square(const size_t count[256], size_t len)
{
    double chi = 0, mean = (double)len / 256;
    for (int c = 0; c < 256; c++)
        chi += ((double)count[c] - mean) * ((double)count[c] - mean) / mean;
    if (chi <= 130 || chi >= 420)
        fprintf(stderr, "chi square %f of %zu\n", chi, len);
    CHECK(chi > 130 && chi < 420); /* 255 +- 5.5 and 7.3 standard deviations */
}

/* Shares 0, 1, 2 at who has them: each byte is as good as random. */
static void uniform(const struct ccz_rep3_tensor *t)
{
    for (unsigned pl = 0; pl < t->planes; pl++) {
        size_t count[256] = {0};
        for (size_t i = 0; i < t->words; i++)
            for (int b = 0; b < 8; b++)
                count[cczi_rep3_plane(t, pl)[i] >> 8 * b & 255]++;
        chi_square(count, t->words * 8);
    }
}

static void run_uniform(struct party *p, void *arg)
{
    enum { LEN = 1 << 14 };
    struct ccz_err *e = &p->err;
    const struct ccz_rep3_range range = {0};
    (void)arg;
    AUTO_WORDS v = calloc(LEN, sizeof(*v));
    CHECK(v);
    for (int i = 0; i < LEN; i++)
        v[i] = 42;
    AUTO_TENSOR x = input(p, CCZ_REP3_SHARED, 1, CCZ_REP3_SHAPE1(LEN), 4, v);
    AUTO_TENSOR xx = NULL;
    AUTO_TENSOR full = NULL;
    AUTO_TENSOR q = NULL;
    AUTO_TENSOR n = NULL;
    AUTO_TENSOR r = NULL;
    AUTO_TENSOR s = NULL;
    AUTO_TENSOR i = NULL;
    uniform(x);
    OK(ccz_rep3_mul(&xx, x, x, e));
    OK(ccz_rep3_reshare(&full, xx, e));
    OK(ccz_rep3_trunc(&q, xx, 4, e));
    OK(ccz_rep3_negative(&n, xx, range, e));
    OK(ccz_rep3_relu(&r, xx, 4, range, e));
    OK(ccz_rep3_sigmoid3(&s, xx, 4, range, e));
    OK(ccz_rep3_inject(&i, n, x, e));
    uniform(full);
    uniform(q);
    uniform(r);
    uniform(s);
    uniform(i);
    for (unsigned pl = 0; pl < 2; pl++) { /* 2048 bytes of bits: every byte, few of each */
        size_t ones = 0;
        for (size_t w = 0; w < n->words; w++)
            ones += (size_t)__builtin_popcountll(cczi_rep3_plane(n, pl)[w]);
        CHECK(ones > LEN / 2 - 400 && ones < LEN / 2 + 400);
    }
}

static void test_uniform(void)
{
    all(64, run_uniform, NULL);
}

/* Counts the bytes of what arrives while it is on. */
struct tap {
    struct ccz_chan *inner;
    uint8_t hello[CCZ_REP3_HELLO_SIZE]; /* the first message sent */
    size_t sent, count[256], len;
    bool on;
};

static ccz_rc tap_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                       struct ccz_err *err)
{
    struct tap *t = self;
    (void)timeout_ms;
    if (t->sent++ == 0) {
        CHECK(len == 1 && parts[0].size == sizeof(t->hello));
        memcpy(t->hello, parts[0].ptr, sizeof(t->hello));
    }
    return ccz_chan_send_parts(t->inner, parts, len, err);
}

static ccz_rc tap_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    struct tap *t = self;
    size_t before = msg->size;
    ccz_rc rc = ccz_chan_recv_within(msg, t->inner, timeout_ms, err);
    for (size_t i = before; rc == CCZ_OK && t->on && i < msg->size; i++, t->len++)
        t->count[msg->ptr[i]]++;
    return rc;
}

static void tap_close(void *self, const char *reason)
{
    ccz_chan_close(((struct tap *)self)->inner, reason);
}

static void tap_free(void *self)
{
    ccz_chan_free(((struct tap *)self)->inner);
}

/* Everything that a party has received from one other party since the last call is as good as random. */
static void looked_at(struct party *p, struct tap taps[2])
{
    for (int d = 0; d < 2; d++) {
        if (taps[d].len > 0)
            chi_square(taps[d].count, taps[d].len);
        memset(taps[d].count, 0, sizeof(taps[d].count));
        taps[d].len = 0;
        taps[d].on = true;
    }
    (void)p;
}

/* Halves of zeros: nothing but masks. */
static void run_halves(struct party *p, struct tap taps[2])
{
    enum { LEN = 1 << 14, ROWS = 4 };
    struct ccz_err *e = &p->err;
    CCZI_REP3_BITS b = {0};
    AUTO_WORDS zero = calloc(ROWS * LEN / 64, sizeof(*zero));
    CHECK(zero);
    OK(cczi_rep3_bits_split(&b, p->m, zero, ROWS, LEN, e));
    OK(cczi_rep3_round(p->m, e));
    looked_at(p, taps);
    cczi_rep3_pass_lead(p->m);
}

/* Operation by operation, though all values are the same. */
static void run_view(struct party *p, void *arg)
{
    enum { LEN = 1 << 14 };
    struct ccz_err *e = &p->err;
    struct tap *taps = ((struct tap(*)[2])arg)[p->role];
    const struct ccz_rep3_range range = {0};
    AUTO_WORDS v = calloc(LEN, sizeof(*v));
    CHECK(v);
    looked_at(p, taps);
    for (unsigned owner = 0; owner < 3; owner++) {
        AUTO_TENSOR x = input(p, CCZ_REP3_SHARED, owner, CCZ_REP3_SHAPE1(LEN), 4, v);
        AUTO_TENSOR xx = NULL;
        AUTO_TENSOR full = NULL;
        AUTO_TENSOR q = NULL;
        AUTO_TENSOR n = NULL;
        AUTO_TENSOR b = NULL;
        AUTO_TENSOR nb = NULL;
        AUTO_TENSOR r = NULL;
        AUTO_TENSOR s = NULL;
        AUTO_TENSOR i = NULL;
        looked_at(p, taps);
        OK(ccz_rep3_mul(&xx, x, x, e));
        OK(ccz_rep3_reshare(&full, xx, e));
        looked_at(p, taps);
        OK(ccz_rep3_trunc(&q, xx, 4, e));
        looked_at(p, taps);
        OK(ccz_rep3_negative(&n, xx, range, e));
        looked_at(p, taps);
        OK(ccz_rep3_share_bits(&b, p->m, owner, CCZ_REP3_SHAPE1(LEN), p->role == owner ? v : NULL,
                               e));
        looked_at(p, taps);
        OK(ccz_rep3_and(&nb, n, b, e));
        looked_at(p, taps);
        OK(ccz_rep3_relu(&r, xx, 4, range, e));
        looked_at(p, taps);
        OK(ccz_rep3_sigmoid3(&s, full, 4, range, e));
        looked_at(p, taps);
        OK(ccz_rep3_inject(&i, n, xx, e));
        looked_at(p, taps);
        run_halves(p, taps);
    }
}

static void view(enum ccz_rep3_trunc trunc)
{
    static const struct ccz_chan_ops ops = {
        .send = tap_send, .recv = tap_recv, .close = tap_close, .free = tap_free};
    static struct tap taps[3][2];
    struct trio t;
    memset(taps, 0, sizeof(taps));
    trio_init(&t, 64);
    for (int i = 0; i < 3; i++)
        for (int d = 0; d < 2; d++) {
            t.p[i].cfg.trunc = trunc;
            taps[i][d].inner = t.p[i].chan[d];
            CHECK(ccz_chan_new(&t.p[i].chan[d], &ops, &taps[i][d], "tap", NULL) == CCZ_OK);
        }
    trio_run(&t, run_view, taps);
    trio_good(&t);
    for (int i = 0; i < 3; i++) {
        for (int d = 0; d < 2; d++)
            CHECK(taps[i][d].on && taps[i][d].sent > 10);
        /* What one neighbour gets for its seed is not what the other one gets. */
        CHECK(memcmp(taps[i][0].hello, taps[i][1].hello, 48) == 0);
        CHECK(memcmp(taps[i][0].hello + 48, taps[i][1].hello + 48, 32) != 0);
        CHECK(memcmp(taps[i][0].hello + 80, taps[i][1].hello + 80, 32) == 0);
    }
    trio_free(&t);
}

static void test_view(void)
{
    view(CCZ_REP3_TRUNC_SAFE);
    view(CCZ_REP3_TRUNC_FAST);
}

/* ----------------------------------------------------------------------------------- counters */

/* The formulas of the header. */
struct cost {
    uint64_t bytes, rounds;
};

static uint64_t bits_size(uint64_t n)
{
    return (n + 7) / 8;
}

static struct cost compare_cost(unsigned k, struct ccz_rep3_range r, uint64_t n, uint64_t t,
                                uint64_t *d)
{
    const uint64_t c = (r.bits ? r.bits : k) - r.skip - 1, l = (c + 3) / 4;
    uint64_t products = 0, ands;
    for (uint64_t i = 0; i < l; i++)
        products += (1u << (c - 4 * i < 4 ? c - 4 * i : 4)) - 1;
    *d = 0;
    while ((uint64_t)1 << *d < l)
        ++*d;
    ands = 2 * (l - 1) - *d;
    if (l == 1)
        *d = ands = 1;
    return (struct cost){(products + t * (2 * (2 * l - 1) + 3 * ands)) * bits_size(n), 2 + *d};
}

enum { OPS = 10 };
struct counting {
    size_t len;
    struct ccz_rep3_range range;
    enum ccz_rep3_kind kind;
    struct cost want[OPS]; /* of all three parties */
    uint64_t sent[OPS][3], rounds[OPS][3];
};

static void count_op(struct counting *o, int op, struct ccz_rep3 *m, struct ccz_rep3_stats *last)
{
    struct ccz_rep3_stats now = ccz_rep3_stats(m);
    const unsigned role = m->cfg.role;
    o->sent[op][role] =
        now.sent_size[0] + now.sent_size[1] - last->sent_size[0] - last->sent_size[1];
    o->rounds[op][role] = now.rounds - last->rounds;
    *last = now;
}

static ccz_rc counted(struct counting *o, struct ccz_rep3 *m, const struct ccz_rep3_tensor *x,
                      struct ccz_err *e)
{
    struct ccz_rep3_stats last = ccz_rep3_stats(m);
    struct ccz_rep3_tensor *r[8] = {NULL};
    AUTO_WORDS out = calloc(o->len, sizeof(*out));
    const bool mine = m->cfg.role != 1;
    ccz_rc rc = out ? CCZ_OK : CCZ_E_NOMEM;
    for (int op = 0; op < OPS && rc == CCZ_OK; op++) {
        switch (op) {
        case 0:
            rc = ccz_rep3_reshare(&r[0], x, e);
            break;
        case 1:
            rc = ccz_rep3_trunc(&r[1], x, 3, e);
            break;
        case 2:
            rc = ccz_rep3_negative(&r[2], x, o->range, e);
            break;
        case 3:
            rc = ccz_rep3_relu(&r[3], x, 3, o->range, e);
            break;
        case 4:
            rc = ccz_rep3_sigmoid3(&r[4], x, 3, o->range, e);
            break;
        case 5:
            rc = ccz_rep3_inject(&r[5], r[2], x, e);
            break;
        case 6: /* to 0 and 2 */
            rc = ccz_rep3_reveal(mine ? out : NULL, r[0], 5, "", e);
            break;
        case 7:
            rc = ccz_rep3_reveal(out, r[2], CCZ_REP3_TO_ALL, "", e);
            break;
        case 8:
            rc = ccz_rep3_inject(&r[6], r[2], NULL, e);
            break;
        default:
            rc = ccz_rep3_relu(&r[7], x, 0, o->range, e);
        }
        count_op(o, op, m, &last);
    }
    for (int i = 0; i < 8; i++)
        ccz_rep3_tensor_free(r[i]);
    return rc;
}

static void run_counted(struct party *p, void *arg)
{
    struct counting *o = arg;
    AUTO_WORDS v = calloc(o->len, sizeof(*v));
    AUTO_TENSOR x = input(p, o->kind, 0, CCZ_REP3_SHAPE1(o->len), 4, v);
    p->rc = counted(o, p->m, x, &p->err);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void formulas(struct counting *o, unsigned k, enum ccz_rep3_trunc trunc)
{
    const uint64_t n = o->len, w = k / 8, parts = o->kind == CCZ_REP3_PARTS ? 2 * n * w : 0;
    uint64_t d;
    const struct cost one = compare_cost(k, o->range, n, 1, &d);
    const struct cost two = compare_cost(k, o->range, n, 2, &d);
    o->want[0] = parts ? (struct cost){3 * n * w, 1} : (struct cost){0, 0};
    o->want[1] = trunc == CCZ_REP3_TRUNC_FAST
                     ? (struct cost){5 * n * w, 1}
                     : (struct cost){3 * n * w + (3 * n + 7) / 8 + parts, 2};
    o->want[2] = (struct cost){one.bytes + parts, one.rounds};
    o->want[3] =
        (struct cost){one.bytes - bits_size(n) + 5 * n * w + (2 * 3 * n + 7) / 8 + parts, 3 + d};
    o->want[4] = (struct cost){
        two.bytes - 2 * bits_size(n) + 7 * n * w + (3 * 3 * n + 7) / 8 + parts, 3 + d};
    o->want[5] = (struct cost){(parts ? 5 : 4) * n * w + parts, 2};
    o->want[6] = (struct cost){2 * (n * w + least(n * w, 32)), 1};
    o->want[7] = (struct cost){3 * (bits_size(n) + least(bits_size(n), 32)), 1};
    o->want[8] = (struct cost){3 * n * w, 2};
    o->want[9] = (struct cost){one.bytes - bits_size(n) + (parts ? 5 : 4) * n * w + parts, 3 + d};
}

static void check_cost(unsigned k, struct ccz_rep3_range range, size_t len, enum ccz_rep3_kind kind,
                       enum ccz_rep3_trunc trunc)
{
    static struct counting o, plan;
    struct trio t;
    o = plan = (struct counting){.len = len, .range = range, .kind = kind};
    formulas(&o, k, trunc);
    trio_init(&t, k);
    for (int i = 0; i < 3; i++)
        t.p[i].cfg.trunc = trunc;
    trio_run(&t, run_counted, &o);
    trio_good(&t);
    for (int op = 0; op < OPS; op++) {
        const uint64_t sum = o.sent[op][0] + o.sent[op][1] + o.sent[op][2];
        if (sum != o.want[op].bytes || o.rounds[op][0] != o.want[op].rounds)
            fprintf(stderr, "op %d, ring %u, len %zu: %llu bytes, %llu rounds\n", op, k, len,
                    (unsigned long long)sum, (unsigned long long)o.rounds[op][0]);
        CHECK(sum == o.want[op].bytes);
        for (int i = 0; i < 3; i++)
            CHECK(o.rounds[op][i] == o.want[op].rounds);
    }
    for (int i = 0; i < 3; i++) { /* a plan says the same, for each party */
        struct party p = {.role = (unsigned)i, .cfg = t.p[i].cfg};
        CHECK(ccz_rep3_plan_new(&p.m, &p.cfg, NULL) == CCZ_OK);
        run_counted(&p, &plan);
        const struct ccz_rep3_stats a = ccz_rep3_stats(p.m), b = ccz_rep3_stats(t.p[i].m);
        CHECK(p.rc == CCZ_OK && memcmp(&a, &b, sizeof(a)) == 0);
        ccz_rep3_free(p.m);
    }
    CHECK(memcmp(plan.sent, o.sent, sizeof(o.sent)) == 0);
    trio_free(&t);
}

static void test_cost(void)
{
    const size_t lens[] = {1, 9, 128, 1001};
    for (int l = 0; l < 4; l++)
        for (int kind = CCZ_REP3_SHARED; kind <= CCZ_REP3_PARTS; kind++)
            for (int trunc = 0; trunc < 2; trunc++) {
                const enum ccz_rep3_kind of = (enum ccz_rep3_kind)kind;
                const enum ccz_rep3_trunc how = (enum ccz_rep3_trunc)trunc;
                check_cost(64, (struct ccz_rep3_range){0, 0}, lens[l], of, how);
                check_cost(64, (struct ccz_rep3_range){48, 16}, lens[l], of, how);
                check_cost(64, (struct ccz_rep3_range){5, 0}, lens[l], of, how); /* one leaf */
                check_cost(32, (struct ccz_rep3_range){0, 3}, lens[l], of, how);
                check_cost(16, (struct ccz_rep3_range){0, 0}, lens[l], of, how);
                check_cost(8, (struct ccz_rep3_range){0, 0}, lens[l], of, how);
            }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"rep3_guard.hello", test_hello},
                                            {"rep3_guard.hello_garbage", test_hello_garbage},
                                            {"rep3_guard.config", test_config},
                                            {"rep3_guard.refusals", test_refusals},
                                            {"rep3_guard.reveal_elsewhere", test_reveal_elsewhere},
                                            {"rep3_guard.one_fails", test_one_fails},
                                            {"rep3_guard.faults", test_faults},
                                            {"rep3_guard.flipped", test_flipped},
                                            {"rep3_guard.copies", test_copies},
                                            {"rep3_guard.uniform", test_uniform},
                                            {"rep3_guard.view", test_view},
                                            {"rep3_guard.cost", test_cost}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
