/* SPDX-License-Identifier: Apache-2.0 */
/* Every product of every pair of kinds against plain integers, with the bytes that the header states. */
#include "kit.h"
#include "mpc/mpc_priv.h"

struct params {
    int a, b;
    size_t m, k, n;
    unsigned bits;
};

static uint64_t online(struct party *p)
{
    struct ccz_mpc_phase_stats s = ccz_mpc_stats(p->m).phase[CCZ_MPC_ONLINE];
    return s.sent_size + s.received_size;
}

static uint64_t rounds(struct party *p)
{
    return ccz_mpc_stats(p->m).phase[CCZ_MPC_ONLINE].rounds;
}

static int owner_of(int kind)
{
    return kind == 1 || kind == 2 ? kind - 1 : -1;
}

/* Bytes of a product, by the formula of the header. */
static uint64_t formula(int a, int b, size_t a_len, size_t b_len, unsigned bits)
{
    if (a == 0 || b == 0 || (owner_of(a) >= 0 && a == b))
        return 0;
    if (a == 3 && b == 3)
        return 2 * (a_len + b_len) * bits / 8;
    return (owner_of(a) >= 0 ? b_len : a_len) * bits / 8;
}

static void run_matmul(struct party *p, void *arg)
{
    const struct params *q = arg;
    struct ccz_err *e = &p->err;
    AUTO_WORDS a = numbers(q->m * q->k, q->bits, 7);
    AUTO_WORDS b = numbers(q->k * q->n, q->bits, 8);
    AUTO_WORDS c = calloc(q->m * q->n, sizeof(*c));
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    ccz_ring_matmul_add(c, a, b, q->m, q->k, q->n, q->bits);
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, q->a, CCZ_MPC_SHAPE2(q->m, q->k), 1, a);
    CCZ_AUTO(ccz_mpc_tensor) y = input(p, q->b, CCZ_MPC_SHAPE2(q->k, q->n), 2, b);
    OK(ccz_mpc_matmul(&r, x, y, e));
    uint64_t bytes = formula(q->a, q->b, q->m * q->k, q->k * q->n, q->bits);
    CHECK(online(p) == bytes && rounds(p) == (bytes > 0));
    CHECK(ccz_mpc_frac_of(r) == 3);
    expect(p, r, c);
}

static void test_matmul(void)
{
    static const size_t dims[][3] = {{1, 1, 1}, {2, 7, 3}, {5, 4, 1}, {1, 9, 6}};
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            for (size_t i = 0; i < 4; i++) {
                struct params q = {a, b, dims[i][0], dims[i][1], dims[i][2], i % 2 ? 64 : 32};
                both(q.bits, run_matmul, &q);
            }
}

static void run_mul(struct party *p, void *arg)
{
    const struct params *q = arg;
    struct ccz_err *e = &p->err;
    AUTO_WORDS a = numbers(q->n, q->bits, 3);
    AUTO_WORDS b = numbers(q->n, q->bits, 9);
    AUTO_WORDS c = calloc(q->n, sizeof(*c));
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    CCZ_AUTO(ccz_mpc_tensor) s = NULL;
    ccz_ring_mul(c, a, b, q->n, q->bits);
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, q->a, CCZ_MPC_SHAPE1(q->n), 0, a);
    CCZ_AUTO(ccz_mpc_tensor) y = input(p, q->b, CCZ_MPC_SHAPE1(q->n), 0, b);
    OK(ccz_mpc_mul(&r, x, y, e));
    CHECK(online(p) == formula(q->a, q->b, q->n, q->n, q->bits));
    expect(p, r, c);
    uint64_t before = online(p);
    OK(ccz_mpc_square(&s, x, e));
    CHECK(online(p) - before == (q->a == 3 ? 2 * q->n * q->bits / 8 : 0));
    ccz_ring_mul(c, a, a, q->n, q->bits);
    expect(p, s, c);
}

static void test_mul(void)
{
    static const unsigned widths[] = {8, 16, 32, 64};
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            for (size_t w = 0; w < 4; w++) {
                struct params q = {a, b, 0, 0, w == 3 ? 4096 : 7, widths[w]};
                if (q.n == 4096 && a + b != 6 && a + b != 4)
                    q.n = 65;
                both(q.bits, run_mul, &q);
            }
}

/* All pairs of an 8-bit ring. */
static void run_all_pairs(struct party *p, void *arg)
{
    enum { ALL = 65536 };
    struct ccz_err *e = &p->err;
    AUTO_WORDS a = calloc(ALL, 8);
    AUTO_WORDS b = calloc(ALL, 8);
    AUTO_WORDS c = calloc(ALL, 8);
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    (void)arg;
    for (uint64_t i = 0; i < ALL; i++) {
        a[i] = i & 255;
        b[i] = i >> 8;
        c[i] = a[i] * b[i] & 255;
    }
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, 3, CCZ_MPC_SHAPE1(ALL), 0, a);
    CCZ_AUTO(ccz_mpc_tensor) y = input(p, 3, CCZ_MPC_SHAPE1(ALL), 0, b);
    OK(ccz_mpc_mul(&r, x, y, e));
    expect(p, r, c);
}

static void test_all_pairs(void)
{
    both(8, run_all_pairs, NULL);
}

/* -------------------------------------------------------------------------------- convolutions */

struct conv {
    int a, b;
    size_t h, w, c, kh, kw, o, stride, pad;
};

static void run_conv(struct party *p, void *arg)
{
    const struct conv *q = arg;
    struct ccz_err *e = &p->err;
    const size_t n = 2, oh = (q->h + 2 * q->pad - q->kh) / q->stride + 1,
                 ow = (q->w + 2 * q->pad - q->kw) / q->stride + 1;
    uint64_t *x = numbers(n * q->h * q->w * q->c, 32, 4);
    uint64_t *k = numbers(q->kh * q->kw * q->c * q->o, 32, 5);
    uint64_t *r = calloc(n * oh * ow * q->o, sizeof(*r));
    for (size_t b = 0; b < n; b++)
        for (size_t at = 0; at < oh * ow * q->o; at++) {
            size_t y = at / q->o / ow, xx = at / q->o % ow, o = at % q->o;
            uint64_t sum = 0;
            for (size_t i = 0; i < q->kh; i++)
                for (size_t j = 0; j < q->kw; j++)
                    for (size_t c = 0; c < q->c; c++) {
                        size_t row = y * q->stride + i - q->pad, col = xx * q->stride + j - q->pad;
                        if (row < q->h && col < q->w) /* wraps below zero */
                            sum += x[((b * q->h + row) * q->w + col) * q->c + c] *
                                   k[((i * q->kw + j) * q->c + c) * q->o + o];
                    }
            r[b * oh * ow * q->o + at] = sum & UINT32_MAX;
        }
    struct ccz_mpc_tensor *t, *s, *u;
    s = input(p, q->a, CCZ_MPC_SHAPE4(n, q->h, q->w, q->c), 0, x);
    u = input(p, q->b, CCZ_MPC_SHAPE4(q->kh, q->kw, q->c, q->o), 0, k);
    OK(ccz_mpc_conv2d(&t, s, u, q->stride, q->pad, e));
    struct ccz_mpc_shape shape = ccz_mpc_shape_of(t);
    CHECK(shape.rank == 4 && shape.dim[0] == n && shape.dim[1] == oh && shape.dim[2] == ow &&
          shape.dim[3] == q->o);
    if (owner_of(q->b) >= 0 && q->a != 0 && q->a != q->b) /* inputs, not windows, are sent */
        CHECK(online(p) == n * q->h * q->w * q->c * 4);
    expect(p, t, r);
    ccz_mpc_tensor_free(t);
    ccz_mpc_tensor_free(s);
    ccz_mpc_tensor_free(u);
    free(x);
    free(k);
    free(r);
}

static void test_conv(void)
{
    static const struct conv shapes[] = {{0, 0, 5, 4, 2, 3, 3, 3, 1, 0},
                                         {0, 0, 4, 6, 1, 3, 2, 2, 2, 1},
                                         {0, 0, 3, 3, 1, 5, 5, 1, 1, 2}};
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            for (size_t i = 0; i < 3; i++) {
                struct conv q = shapes[i];
                q.a = a;
                q.b = b;
                both(32, run_conv, &q);
            }
}

/* ------------------------------------------------------------------------------ many at a time */

static void run_many(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    const size_t n = 6;
    uint64_t *a = numbers(n * n, 64, 1), *b = numbers(n * n, 64, 2), *c = calloc(n * n, 8);
    struct ccz_mpc_tensor *out[4], *x[2], *w;
    (void)arg;
    x[0] = input(p, 1, CCZ_MPC_SHAPE2(n, n), 0, a);
    x[1] = input(p, 2, CCZ_MPC_SHAPE2(n, n), 0, b);
    w = input(p, 3, CCZ_MPC_SHAPE2(n, n), 0, b);
    const struct ccz_mpc_product many[4] = {{CCZ_MPC_OP_MATMUL, x[0], w, 0, 0},
                                            {CCZ_MPC_OP_MATMUL, w, x[1], 0, 0},
                                            {CCZ_MPC_OP_SQUARE, w, NULL, 0, 0},
                                            {CCZ_MPC_OP_MUL, x[0], x[1], 0, 0}};
    OK(ccz_mpc_products(out, many, 4, e));
    CHECK(rounds(p) == 1);
    CHECK(online(p) == (1 + 1 + 2 + 1) * n * n * 8);
    ccz_ring_matmul_add(c, a, b, n, n, n, 64);
    expect(p, out[0], c);
    memset(c, 0, n * n * 8);
    ccz_ring_matmul_add(c, b, b, n, n, n, 64);
    expect(p, out[1], c);
    ccz_ring_mul(c, b, b, n * n, 64);
    expect(p, out[2], c);
    ccz_ring_mul(c, a, b, n * n, 64);
    expect(p, out[3], c);
    for (int i = 0; i < 4; i++)
        ccz_mpc_tensor_free(out[i]);
    ccz_mpc_tensor_free(x[0]);
    ccz_mpc_tensor_free(x[1]);
    ccz_mpc_tensor_free(w);
    free(a);
    free(b);
    free(c);
}

static void test_many(void)
{
    both(64, run_many, NULL);
}

static void run_broadcast(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t a[6] = {1, 2, 3, 4, 5, 6}, b[2] = {10, 100}, c[6] = {10, 20, 30, 400, 500, 600};
    struct ccz_mpc_tensor *x = input(p, *(int *)arg, CCZ_MPC_SHAPE2(2, 3), 0, a), *r;
    struct ccz_mpc_tensor *y = input(p, 3, CCZ_MPC_SHAPE2(2, 1), 0, b);
    OK(ccz_mpc_mul(&r, x, y, e));
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    OK(ccz_mpc_mul(&r, y, x, e));
    expect(p, r, c);
    ccz_mpc_tensor_free(r);
    ccz_mpc_tensor_free(x);
    ccz_mpc_tensor_free(y);
}

static void test_broadcast(void)
{
    for (int kind = 0; kind < 4; kind++)
        both(64, run_broadcast, &kind);
}

/* ---------------------------------------------------------------------------------------- bits */

static void run_and(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    const size_t len = *(size_t *)arg, words = (len + 63) / 64;
    uint64_t *a = numbers(words, 64, 21), *b = numbers(words, 64, 22);
    uint64_t *got = calloc(words, 8);
    struct ccz_mpc_tensor *x, *y, *z, *u;
    OK(ccz_mpc_share_bits(&x, p->m, 0, CCZ_MPC_SHAPE1(len), p->role == 0 ? a : NULL, e));
    OK(ccz_mpc_share_bits(&y, p->m, 1, CCZ_MPC_SHAPE1(len), p->role == 1 ? b : NULL, e));
    OK(ccz_mpc_and(&z, x, y, e));
    CHECK(online(p) == 4 * ((len + 7) / 8) && rounds(p) == 1);
    OK(ccz_mpc_not(&u, z, e));
    OK(ccz_mpc_reveal(got, u, CCZ_MPC_TO_BOTH, "test", e));
    for (size_t i = 0; i < len; i++)
        CHECK((got[i / 64] >> i % 64 & 1) == (~(a[i / 64] & b[i / 64]) >> i % 64 & 1));
    CHECK(len % 64 == 0 || got[words - 1] >> len % 64 == 0);
    ccz_mpc_tensor_free(x);
    ccz_mpc_tensor_free(y);
    ccz_mpc_tensor_free(z);
    ccz_mpc_tensor_free(u);
    free(a);
    free(b);
    free(got);
}

static void test_and(void)
{
    static const size_t lens[] = {1, 7, 64, 65, 4096, 5001};
    for (size_t i = 0; i < 6; i++)
        both(32, run_and, (void *)&lens[i]);
}

/* The same from inside protocols: several in one round, beside something else. */
static void run_parts(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t x = 0x123456789abcdef0, y = 0xfedcba9876543210, own, z[2], zero = 0,
             mine = p->role + 5;
    uint64_t peer = 0;
    struct cczi_mpc_and a[2];
    (void)arg;
    own = p->role ? x ^ 99 : 99;
    OK(cczi_mpc_and_begin(&a[0], p->m, &own, p->role ? &zero : &y, 64, e));
    OK(cczi_mpc_and_begin(&a[1], p->m, &own, &own, 10, e));
    cczi_mpc_put(p->m, &mine, 1, 3);
    cczi_mpc_want(p->m, &peer, 1, 3);
    OK(cczi_mpc_round(p->m, e));
    cczi_mpc_and_end(&z[0], &a[0]);
    cczi_mpc_and_end(&z[1], &a[1]);
    CHECK(peer == 6 - p->role && rounds(p) == 1);
    cczi_mpc_open_xor(p->m, z, 64);
    cczi_mpc_open_xor(p->m, z + 1, 10);
    OK(cczi_mpc_round(p->m, e));
    CHECK(z[0] == (x & y) && z[1] == (x & 1023));
}

static void test_parts(void)
{
    both(64, run_parts, NULL);
}

/* ------------------------------------------------------------------------- with other sources */

static void dealer_matmul(void)
{
    kit_source = CCZ_MPC_SOURCE_DEALER;
    test_matmul();
}

static void dealer_mul(void)
{
    kit_source = CCZ_MPC_SOURCE_DEALER;
    test_mul();
}

static void dealer_all(void)
{
    kit_source = CCZ_MPC_SOURCE_DEALER;
    test_all_pairs();
    test_conv();
    test_many();
    test_broadcast();
    test_and();
    test_parts();
}

static void silent_all(void)
{
    kit_ot = CCZ_MPC_OT_SILENT;
    test_many();
    test_and();
    test_parts();
}

/* Keys take their time: few sessions. Sizes around the slots of a plaintext (16 of 64 bits). */
static void paillier_all(void)
{
    kit_source = CCZ_MPC_SOURCE_PAILLIER;
    test_many();
    both(64, run_matmul, &(struct params){3, 3, 2, 5, 18, 64});
    both(32, run_matmul, &(struct params){1, 3, 24, 3, 2, 32}); /* the left one is encrypted */
    both(8, run_mul, &(struct params){3, 3, 0, 0, 37, 8});
    both(64, run_mul, &(struct params){2, 3, 0, 0, 12, 64});
    both(32, run_conv, &(struct conv){3, 1, 4, 4, 1, 2, 2, 3, 1, 0});
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"product.matmul", test_matmul},
                                            {"product.mul", test_mul},
                                            {"product.all_pairs", test_all_pairs},
                                            {"product.conv", test_conv},
                                            {"product.many", test_many},
                                            {"product.broadcast", test_broadcast},
                                            {"product.and", test_and},
                                            {"product.parts", test_parts},
                                            {"dealer.matmul", dealer_matmul},
                                            {"dealer.mul", dealer_mul},
                                            {"dealer.all", dealer_all},
                                            {"silent.all", silent_all},
                                            {"paillier.all", paillier_all}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
