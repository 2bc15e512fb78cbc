/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors and everything that needs no messages, for all kinds. */
#include "kit.h"
#include "mpc/mpc_priv.h"

#include <math.h>

static uint64_t traffic(struct party *p)
{
    struct ccz_mpc_phase_stats s = ccz_mpc_stats(p->m).phase[CCZ_MPC_ONLINE];
    return s.sent_size + s.received_size + s.rounds;
}

/* ------------------------------------------------------------------------------- fixed point */

static void test_encode(void)
{
    const double in[] = {0, 1, -1, 0.5, -0.375, 1e30, -1e30, 0.03125, -0.03125, NAN, 3.999};
    const uint64_t r8[] = {0, 16, 0xf0, 8, 0xfa, 0x7f, 0x80, 1, 0xff, 0, 64};
    uint64_t got[11];
    double back[11];
    ccz_mpc_encode(got, in, 11, 8, 4);
    for (int i = 0; i < 11; i++)
        CHECK(got[i] == r8[i]);
    ccz_mpc_decode(back, got, 11, 8, 4);
    CHECK(back[1] == 1 && back[2] == -1 && back[4] == -0.375 && back[5] == 127 / 16.0 &&
          back[6] == -8);
    ccz_mpc_encode(got, in, 11, 64, 20);
    CHECK(got[2] == (uint64_t)-1048576 && got[5] == INT64_MAX && got[6] == (uint64_t)INT64_MIN);
    CHECK(ccz_mpc_signed(0x80, 8) == -128 && ccz_mpc_signed(0x7f, 8) == 127 &&
          ccz_mpc_signed(UINT64_MAX, 64) == -1);
}

/* ------------------------------------------------------------------------------------- linear */

struct kinds {
    int a, b;
    unsigned bits;
};

static enum ccz_mpc_kind expected_kind(int a, int b)
{
    if (a == 0 && b == 0)
        return CCZ_MPC_PUBLIC;
    return a == 3 || b == 3 || (a != 0 && b != 0 && a != b) ? CCZ_MPC_SHARED : CCZ_MPC_PRIVATE;
}

static void run_linear(struct party *p, void *arg)
{
    const struct kinds *q = arg;
    struct ccz_err *e = &p->err;
    const uint64_t mask = ccz_ring_mask(q->bits);
    uint64_t *a = numbers(24, q->bits, 1), *b = numbers(24, q->bits, 2), c[24];
    struct ccz_mpc_tensor *x = input(p, q->a, CCZ_MPC_SHAPE3(2, 3, 4), 3, a), *r;
    struct ccz_mpc_tensor *y = input(p, q->b, CCZ_MPC_SHAPE3(2, 3, 4), 3, b), *s;
    OK(ccz_mpc_add(&r, x, y, e));
    CHECK(ccz_mpc_kind_of(r) == expected_kind(q->a, q->b) && ccz_mpc_frac_of(r) == 3);
    CHECK(traffic(p) == 0);
    for (int i = 0; i < 24; i++)
        c[i] = (a[i] + b[i]) & mask;
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_sub(&r, x, y, e));
    for (int i = 0; i < 24; i++)
        c[i] = (a[i] - b[i]) & mask;
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_slice(&s, y, 1, 1, 1, 1, e)); /* [2, 1, 4] repeats */
    OK(ccz_mpc_sub(&r, x, s, e));
    for (int i = 0; i < 24; i++)
        c[i] = (a[i] - b[i / 12 * 12 + 4 + i % 4]) & mask;
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_sub(&r, s, x, e));
    for (int i = 0; i < 24; i++)
        c[i] = (0 - c[i]) & mask;
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    ccz_mpc_tensor_free(s);
    ccz_mpc_tensor_free(x);
    ccz_mpc_tensor_free(y);
    free(a);
    free(b);
}

static void test_linear(void)
{
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            both(64, run_linear, &(struct kinds){a, b, 64});
    both(8, run_linear, &(struct kinds){3, 3, 8});
    both(16, run_linear, &(struct kinds){1, 3, 16});
    both(32, run_linear, &(struct kinds){2, 1, 32});
}

static void run_unary(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t *a = numbers(24, 32, 1), c[24];
    struct ccz_mpc_tensor *x = input(p, *(int *)arg, CCZ_MPC_SHAPE3(2, 3, 4), 3, a), *r;
    OK(ccz_mpc_neg(&r, x, e));
    for (int i = 0; i < 24; i++)
        c[i] = (0 - a[i]) & UINT32_MAX;
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_scale(&r, x, 77, 5, e));
    CHECK(ccz_mpc_frac_of(r) == 8);
    for (int i = 0; i < 24; i++)
        c[i] = 77 * a[i] & UINT32_MAX;
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_rescale(&r, x, 7, e));
    CHECK(ccz_mpc_frac_of(r) == 7);
    for (int i = 0; i < 24; i++)
        c[i] = 16 * a[i] & UINT32_MAX;
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_reinterpret(&r, x, 1, e));
    CHECK(ccz_mpc_frac_of(r) == 1);
    expect(p, r, a);
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_add_value(&r, x, 1000, e));
    for (int i = 0; i < 24; i++)
        c[i] = (a[i] + 1000) & UINT32_MAX;
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    for (unsigned axis = 0; axis < 3; axis++) {
        static const size_t inner[] = {12, 4, 1}, n[] = {2, 3, 4};
        OK(ccz_mpc_sum(&r, x, axis, e));
        CHECK(ccz_mpc_shape_of(r).dim[axis] == 1 && ccz_mpc_len_of(r) == 24 / n[axis]);
        memset(c, 0, sizeof(c));
        for (size_t i = 0; i < 24; i++) {
            size_t o = i / (inner[axis] * n[axis]) * inner[axis] + i % inner[axis];
            c[o] = (c[o] + a[i]) & UINT32_MAX;
        }
        expect(p, r, c);
        ccz_mpc_tensor_free(r);
    }
    ccz_mpc_tensor_free(x);
    free(a);
}

static void test_unary(void)
{
    for (int kind = 0; kind < 4; kind++)
        both(32, run_unary, &kind);
}

/* -------------------------------------------------------------------------------- arrangement */

/* Kind 4: bits. */
static struct ccz_mpc_tensor *any(struct party *p, int kind, struct ccz_mpc_shape shape,
                                  const uint64_t *v)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_tensor *t;
    uint64_t packed[8] = {0};
    if (kind < 4)
        return input(p, kind, shape, 2, v);
    for (size_t i = 0; i < cczi_mpc_shape_len(&shape); i++)
        packed[i / 64] |= (v[i] & 1) << i % 64;
    OK(ccz_mpc_share_bits(&t, p->m, 1, shape, p->role == 1 ? packed : NULL, e));
    return t;
}

static void expect_any(struct party *p, struct ccz_mpc_tensor *t, const uint64_t *v)
{
    struct ccz_err *e = &p->err;
    uint64_t got[8] = {0};
    if (ccz_mpc_kind_of(t) != CCZ_MPC_BITS) {
        expect(p, t, v);
    } else {
        const uint64_t *w = ccz_mpc_words(t);
        size_t len = ccz_mpc_len_of(t);
        CHECK(len % 64 == 0 || w[len / 64] >> len % 64 == 0);
        OK(ccz_mpc_reveal(got, t, CCZ_MPC_TO_BOTH, "test", e));
        for (size_t i = 0; i < len; i++)
            CHECK((got[i / 64] >> i % 64 & 1) == (v[i] & 1));
    }
    ccz_mpc_tensor_free(t);
}

static void run_arrange(struct party *p, void *arg)
{
    const int kind = *(int *)arg;
    struct ccz_err *e = &p->err;
    uint64_t *a = numbers(60, 64, 5), c[240];
    struct ccz_mpc_tensor *x = any(p, kind, CCZ_MPC_SHAPE3(3, 4, 5), a), *r, *s;
    OK(ccz_mpc_reshape(&r, x, CCZ_MPC_SHAPE2(6, 10), e));
    CHECK(ccz_mpc_kind_of(r) == ccz_mpc_kind_of(x));
    expect_any(p, r, a);
    OK(ccz_mpc_copy(&r, x, e));
    expect_any(p, r, a);
    OK(ccz_mpc_transpose(&r, x, e));
    CHECK(ccz_mpc_shape_of(r).dim[1] == 5 && ccz_mpc_shape_of(r).dim[2] == 4);
    for (int i = 0; i < 60; i++)
        c[i] = a[i / 20 * 20 + i % 4 * 5 + i % 20 / 4];
    expect_any(p, r, c);
    OK(ccz_mpc_slice(&r, x, 1, 1, 2, 2, e));
    for (int i = 0; i < 30; i++)
        c[i] = a[i / 10 * 20 + (i % 10 / 5 * 2 + 1) * 5 + i % 5];
    expect_any(p, r, c);
    OK(ccz_mpc_slice(&r, x, 2, 4, 9, 1, e));
    for (int i = 0; i < 12; i++)
        c[i] = a[i * 5 + 4];
    OK(ccz_mpc_expand(&s, r, CCZ_MPC_SHAPE4(2, 3, 4, 2), e));
    for (int i = 0; i < 48; i++)
        c[i] = a[i % 24 / 2 * 5 + 4];
    expect_any(p, s, c);
    ccz_mpc_tensor_free(r);
    const uint32_t rows[] = {2, 0, 2};
    OK(ccz_mpc_rows(&r, x, rows, 3, e));
    for (int i = 0; i < 60; i++)
        c[i] = a[rows[i / 20] * 20 + (uint32_t)i % 20];
    expect_any(p, r, c);
    OK(ccz_mpc_slice(&s, x, 1, 0, 1, 2, e));
    const struct ccz_mpc_tensor *parts[] = {x, s, x};
    OK(ccz_mpc_concat(&r, parts, 3, 1, e));
    CHECK(ccz_mpc_shape_of(r).dim[1] == 10);
    for (int i = 0; i < 150; i++) {
        int o = i / 50, j = i % 50 / 5, k = i % 5;
        c[i] = a[o * 20 + (j < 4 ? j : j < 6 ? j - 4 : j - 6) * 5 + k];
    }
    expect_any(p, r, c);
    ccz_mpc_tensor_free(s);
    ccz_mpc_tensor_free(x);
    free(a);
}

static void test_arrange(void)
{
    for (int kind = 0; kind < 5; kind++)
        both(64, run_arrange, &kind);
}

static void run_xor(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t a[2] = {0x1234, 3}, got[2], public[2] = {0xff, 1};
    struct ccz_mpc_tensor *x, *y, *z;
    (void)arg;
    OK(ccz_mpc_share_bits(&x, p->m, 0, CCZ_MPC_SHAPE1(66), p->role == 0 ? a : NULL, e));
    OK(ccz_mpc_share_bits(&y, p->m, 2, CCZ_MPC_SHAPE1(66), public, e));
    OK(ccz_mpc_xor(&z, x, y, e));
    OK(ccz_mpc_reveal(got, z, CCZ_MPC_TO_BOTH, "x", e));
    CHECK(got[0] == (0x1234 ^ 0xff) && got[1] == 2);
    ccz_mpc_tensor_free(x);
    ccz_mpc_tensor_free(y);
    ccz_mpc_tensor_free(z);
}

static void test_xor(void)
{
    both(64, run_xor, NULL);
}

/* ------------------------------------------------------------------------------------- wire */

/* Elements of every width come out as they went in, whatever is behind the width. */
static void run_widths(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    (void)arg;
    for (unsigned bits = 1; bits <= 64; bits++)
        for (size_t len = 1; len <= 1100; len += 157) {
            uint64_t *v = malloc(len * 8), *got = calloc(len + 1, 8), seed = bits, sum = 0;
            CHECK(v && got);
            for (size_t i = 0; i < len; i++)
                v[i] = rnd(&seed);
            got[len] = 77;
            cczi_mpc_put(p->m, v, len, bits);
            cczi_mpc_put_bits(p->m, v, bits);
            cczi_mpc_want(p->m, got, len, bits);
            cczi_mpc_want_bits(p->m, &sum, bits);
            OK(cczi_mpc_round(p->m, e));
            for (size_t i = 0; i < len; i++)
                CHECK(got[i] == (v[i] & ccz_ring_mask(bits)));
            CHECK(got[len] == 77 && sum == (v[0] & ccz_ring_mask(bits)));
            free(v);
            free(got);
        }
}

static void test_widths(void)
{
    both(64, run_widths, NULL);
}

/* ----------------------------------------------------------------------------------- refusals */

struct refusal {
    int number;
    const char *where;
};

static ccz_rc refuse(struct ccz_mpc *m, int number, struct ccz_err *e)
{
    const uint64_t v[12] = {0};
    const uint32_t rows[] = {3};
    CCZ_AUTO(ccz_mpc_tensor) a = NULL;
    CCZ_AUTO(ccz_mpc_tensor) b = NULL;
    CCZ_AUTO(ccz_mpc_tensor) c = NULL;
    CCZ_AUTO(ccz_mpc_tensor) d = NULL;
    CCZ_AUTO(ccz_mpc_tensor) bits = NULL;
    CHECK(ccz_mpc_public(&a, m, CCZ_MPC_SHAPE2(3, 4), 20, v, e) == CCZ_OK);
    CHECK(ccz_mpc_private(&b, m, 1, CCZ_MPC_SHAPE2(4, 3), 12, NULL, e) == CCZ_OK);
    CHECK(ccz_mpc_share_bits(&bits, m, 0, CCZ_MPC_SHAPE2(3, 4), v, e) == CCZ_OK);
    const struct ccz_mpc_tensor *parts[] = {a, bits}, *unequal[] = {b, a};
    switch (number) {
    case 0:
        return ccz_mpc_public(&c, m, CCZ_MPC_SHAPE2(3, 0), 0, v, e);
    case 1:
        return ccz_mpc_public(&c, m, CCZ_MPC_SHAPE2((size_t)1 << 40, (size_t)1 << 40), 0, v, e);
    case 2:
        return ccz_mpc_public(&c, m, CCZ_MPC_SHAPE1(1), 31, v, e);
    case 3:
        return ccz_mpc_private(&c, m, 2, CCZ_MPC_SHAPE1(1), 0, v, e);
    case 4:
        return ccz_mpc_add(&c, a, b, e);
    case 5:
        return ccz_mpc_add(&c, a, bits, e);
    case 6:
        return ccz_mpc_matmul(&c, a, b, e); /* 32 bits of fraction */
    case 7:
        return ccz_mpc_matmul(&c, b, b, e);
    case 8:
        return ccz_mpc_sum(&c, a, 2, e);
    case 9:
        return ccz_mpc_slice(&c, a, 0, 1, 1, 3, e);
    case 10:
        return ccz_mpc_slice(&c, a, 0, 0, 0, 1, e);
    case 11:
        return ccz_mpc_rows(&c, a, rows, 1, e);
    case 12:
        return ccz_mpc_concat(&c, parts, 2, 0, e);
    case 13:
        return ccz_mpc_concat(&c, unequal, 2, 0, e);
    case 14:
        return ccz_mpc_transpose(&c, a, e) == CCZ_OK ? ccz_mpc_reshape(&d, c, CCZ_MPC_SHAPE1(13), e)
                                                     : CCZ_OK;
    case 15:
        return ccz_mpc_expand(&c, a, CCZ_MPC_SHAPE2(3, 5), e);
    case 16:
        return ccz_mpc_rescale(&c, a, 19, e);
    case 17:
        return ccz_mpc_reveal(NULL, a, CCZ_MPC_TO_BOTH, "", e);
    case 18:
        return ccz_mpc_xor(&c, a, a, e);
    case 19:
        return ccz_mpc_conv2d(&c, b, b, 1, 0, e);
    case 20:
        return ccz_mpc_import(&c, m, CCZ_MPC_PUBLIC, CCZ_MPC_SHAPE1(1), 0, v, e);
    case 21:
        return ccz_mpc_share(&c, bits, e);
    case 22:
        return ccz_mpc_windows(&c, a, 1, 1, 1, 0, e);
    case 23:
        return ccz_mpc_scale(&c, a, 1, 11, e);
    default:
        return ccz_mpc_concat(&c, parts, 0, 0, e);
    }
}

static void test_refusals(void)
{
    static const char *const where[] = {
        "mpc:shape", "mpc:shape", "mpc:frac",  "mpc:owner", "mpc:scale", "mpc:kind",  "mpc:frac",
        "mpc:shape", "mpc:axis",  "mpc:slice", "mpc:slice", "mpc:slice", "mpc:kind",  "mpc:kind",
        "mpc:shape", "mpc:shape", "mpc:scale", "mpc:kind",  "mpc:kind",  "mpc:shape", "mpc:kind",
        "mpc:kind",  "mpc:conv",  "mpc:frac",  "mpc:concat"};
    for (int i = 0; i < 25; i++) {
        struct ccz_mpc *m;
        struct ccz_err e;
        const struct ccz_mpc_cfg cfg = {.role = 0, .ring_bits = 32};
        CHECK(ccz_mpc_plan_new(&m, &cfg, NULL) == CCZ_OK);
        ccz_rc rc = refuse(m, i, &e);
        if (rc != CCZ_E_ARG || strcmp(e.where, where[i]) != 0)
            fprintf(stderr, "%d: got %s %s, expected %s\n", i, ccz_rc_name(rc), e.where, where[i]);
        CHECK(rc == CCZ_E_ARG && strcmp(e.where, where[i]) == 0);
        CHECK(ccz_mpc_status(m, NULL) == CCZ_E_ARG);
        ccz_mpc_free(m);
    }
}

static void run_values(struct party *p, void *arg)
{
    const uint64_t v = 1;
    struct ccz_mpc_tensor *t;
    (void)arg;
    p->rc = ccz_mpc_private(&t, p->m, 0, CCZ_MPC_SHAPE1(1), 0, p->role == 0 ? NULL : &v, &p->err);
    expect_error(p, CCZ_E_ARG, "mpc:values");
}

static void test_values(void)
{
    struct duo d;
    duo_init(&d, 64);
    duo_run(&d, run_values, NULL);
    duo_free(&d);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"tensor.encode", test_encode},     {"tensor.linear", test_linear},
        {"tensor.unary", test_unary},       {"tensor.arrange", test_arrange},
        {"tensor.xor", test_xor},           {"tensor.widths", test_widths},
        {"tensor.refusals", test_refusals}, {"tensor.values", test_values}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
