/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation against plain integers. */
#include "kit.h"

static const unsigned rings[] = {8, 16, 32, 64};
enum { RINGS = 4 };

/* -------------------------------------------------------------------------- sharing, revealing */

static void run_share(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    const size_t lens[] = {1, 7, 130};
    const unsigned k = p->cfg.ring_bits;
    (void)arg;
    for (int l = 0; l < 3; l++)
        for (unsigned owner = 0; owner < 3; owner++) {
            const size_t len = lens[l];
            AUTO_WORDS v = numbers(len, k, owner + 1);
            AUTO_WORDS out = calloc(len, sizeof(*out));
            AUTO_TENSOR t = input(p, CCZ_REP3_SHARED, owner, CCZ_REP3_SHAPE1(len), 1, v);
            CHECK(out && ccz_rep3_frac_of(t) == 1 && ccz_rep3_len_of(t) == len);
            for (unsigned to = 1; to <= CCZ_REP3_TO_ALL; to++) {
                bool mine = to >> p->role & 1;
                memset(out, 0, len * sizeof(*out));
                OK(ccz_rep3_reveal(mine ? out : NULL, t, to, "x", e));
                CHECK(!mine || memcmp(out, v, len * sizeof(*v)) == 0);
            }
            AUTO_TENSOR b = NULL;
            OK(ccz_rep3_share_bits(&b, p->m, owner, CCZ_REP3_SHAPE1(len),
                                   p->role == owner ? v : NULL, e));
            OK(ccz_rep3_reveal(out, b, CCZ_REP3_TO_ALL, "b", e));
            for (size_t i = 0; i < (len + 63) / 64 * 64; i++)
                CHECK(bit_of(out, i) == (i < len && bit_of(v, i)));
        }
}

static void test_share(void)
{
    for (int r = 0; r < RINGS; r++)
        all(rings[r], run_share, NULL);
}

/* -------------------------------------------------------------------------------------- linear */

static void run_linear(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    enum { ROWS = 3, COLS = 5, LEN = ROWS * COLS };
    const unsigned k = p->cfg.ring_bits;
    const uint64_t mask = ccz_ring_mask(k);
    AUTO_WORDS a = numbers(LEN, k, 3);
    AUTO_WORDS b = numbers(COLS, k, 4);
    uint64_t r[LEN];
    (void)arg;
    for (int ka = 0; ka < 3; ka++)
        for (int kb = 0; kb < 3; kb++) {
            AUTO_TENSOR x = input(p, (enum ccz_rep3_kind)ka, 1, CCZ_REP3_SHAPE2(ROWS, COLS), 2, a);
            AUTO_TENSOR y = input(p, (enum ccz_rep3_kind)kb, 2, CCZ_REP3_SHAPE1(COLS), 2, b);
            AUTO_TENSOR sum = NULL;
            AUTO_TENSOR less = NULL;
            AUTO_TENSOR scaled = NULL;
            AUTO_TENSOR more = NULL;
            AUTO_TENSOR col = NULL;
            OK(ccz_rep3_add(&sum, x, y, e));
            CHECK((int)ccz_rep3_kind_of(sum) == (ka > kb ? ka : kb));
            for (int i = 0; i < LEN; i++)
                r[i] = (a[i] + b[i % COLS]) & mask;
            expect(p, sum, r);
            OK(ccz_rep3_sub(&less, y, x, e));
            for (int i = 0; i < LEN; i++)
                r[i] = (b[i % COLS] - a[i]) & mask;
            expect(p, less, r);
            OK(ccz_rep3_scale(&scaled, x, mask - 2, 1, e)); /* times -3 */
            CHECK(ccz_rep3_frac_of(scaled) == 3);
            for (int i = 0; i < LEN; i++)
                r[i] = (0 - 3 * a[i]) & mask;
            expect(p, scaled, r);
            OK(ccz_rep3_add_value(&more, x, 77, e));
            for (int i = 0; i < LEN; i++)
                r[i] = (a[i] + 77) & mask;
            expect(p, more, r);
            OK(ccz_rep3_sum(&col, x, 0, e));
            for (int i = 0; i < COLS; i++)
                r[i] = (a[i] + a[i + COLS] + a[i + 2 * COLS]) & mask;
            expect(p, col, r);
        }
}

static void run_arrange(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    uint64_t v[24], r[48];
    const enum ccz_rep3_kind kind = *(const enum ccz_rep3_kind *)arg;
    for (unsigned i = 0; i < 24; i++)
        v[i] = i * i + 1;
    AUTO_TENSOR x = input(p, kind, 0, CCZ_REP3_SHAPE3(2, 3, 4), 0, v);
    AUTO_TENSOR flat = NULL;
    AUTO_TENSOR turned = NULL;
    AUTO_TENSOR part = NULL;
    AUTO_TENSOR joined = NULL;
    AUTO_TENSOR wide = NULL;
    AUTO_TENSOR same = NULL;
    OK(ccz_rep3_reshape(&flat, x, CCZ_REP3_SHAPE2(6, 4), e));
    expect(p, flat, v);
    OK(ccz_rep3_transpose(&turned, flat, e));
    for (int i = 0; i < 24; i++)
        r[i] = v[i % 6 * 4 + i / 6];
    expect(p, turned, r);
    OK(ccz_rep3_slice(&part, x, 1, 0, 2, 2, e));
    for (int i = 0; i < 16; i++)
        r[i] = v[i / 8 * 12 + i / 4 % 2 * 8 + i % 4];
    expect(p, part, r);
    OK(ccz_rep3_concat(&joined, x, part, 1, e));
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 20; i++)
            r[b * 20 + i] = i < 12 ? v[b * 12 + i] : v[b * 12 + (i - 12) / 4 * 8 + i % 4];
    expect(p, joined, r);
    OK(ccz_rep3_slice(&wide, flat, 0, 1, 1, 1, e));
    OK(ccz_rep3_expand(&same, wide, CCZ_REP3_SHAPE3(2, 3, 4), e));
    for (int i = 0; i < 24; i++)
        r[i] = v[4 + i % 4];
    expect(p, same, r);
}

static void test_linear(void)
{
    const enum ccz_rep3_kind kinds[] = {CCZ_REP3_PUBLIC, CCZ_REP3_SHARED, CCZ_REP3_PARTS};
    for (int r = 0; r < RINGS; r++)
        all(rings[r], run_linear, NULL);
    for (int k = 0; k < 3; k++)
        all(64, run_arrange, (void *)&kinds[k]);
}

static void run_bits(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    enum { LEN = 131, WORDS = 3 };
    uint64_t out[WORDS];
    AUTO_WORDS a = numbers(WORDS, 64, 5);
    AUTO_WORDS b = numbers(WORDS, 64, 6);
    AUTO_TENSOR x = NULL;
    AUTO_TENSOR y = NULL;
    AUTO_TENSOR both = NULL;
    AUTO_TENSOR sum = NULL;
    AUTO_TENSOR no = NULL;
    (void)arg;
    OK(ccz_rep3_share_bits(&x, p->m, 2, CCZ_REP3_SHAPE1(LEN), p->role == 2 ? a : NULL, e));
    OK(ccz_rep3_share_bits(&y, p->m, 0, CCZ_REP3_SHAPE1(LEN), p->role == 0 ? b : NULL, e));
    OK(ccz_rep3_and(&both, x, y, e));
    OK(ccz_rep3_xor(&sum, x, y, e));
    OK(ccz_rep3_not(&no, x, e));
    OK(ccz_rep3_reveal(out, both, CCZ_REP3_TO_ALL, "and", e));
    for (size_t i = 0; i < 64 * WORDS; i++)
        CHECK(bit_of(out, i) == (i < LEN && bit_of(a, i) && bit_of(b, i)));
    OK(ccz_rep3_reveal(out, sum, CCZ_REP3_TO_ALL, "xor", e));
    for (size_t i = 0; i < 64 * WORDS; i++)
        CHECK(bit_of(out, i) == (i < LEN && bit_of(a, i) != bit_of(b, i)));
    OK(ccz_rep3_reveal(out, no, CCZ_REP3_TO_ALL, "not", e));
    for (size_t i = 0; i < 64 * WORDS; i++)
        CHECK(bit_of(out, i) == (i < LEN && !bit_of(a, i)));
}

static void test_bits(void)
{
    all(64, run_bits, NULL);
}

/* ------------------------------------------------------------------------------------ products */

static bool may_multiply(int ka, int kb)
{
    return ka == CCZ_REP3_PUBLIC || kb == CCZ_REP3_PUBLIC || (ka == CCZ_REP3_SHARED && kb == ka);
}

static void run_products(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    enum { M = 5, K = 9, N = 4 };
    const unsigned k = p->cfg.ring_bits;
    const uint64_t mask = ccz_ring_mask(k);
    AUTO_WORDS a = numbers((size_t)M * K, k, 8);
    AUTO_WORDS b = numbers((size_t)K * N, k, 9);
    uint64_t r[M * K];
    (void)arg;
    for (int ka = 0; ka < 3; ka++)
        for (int kb = 0; kb < 3; kb++) {
            if (!may_multiply(ka, kb))
                continue;
            AUTO_TENSOR x = input(p, (enum ccz_rep3_kind)ka, 0, CCZ_REP3_SHAPE2(M, K), 1, a);
            AUTO_TENSOR y = input(p, (enum ccz_rep3_kind)kb, 1, CCZ_REP3_SHAPE2(K, N), 2, b);
            AUTO_TENSOR row = input(p, (enum ccz_rep3_kind)kb, 2, CCZ_REP3_SHAPE1(K), 2, b);
            AUTO_TENSOR xy = NULL;
            AUTO_TENSOR xr = NULL;
            AUTO_TENSOR wide = NULL;
            AUTO_TENSOR yx = NULL;
            OK(ccz_rep3_matmul(&xy, x, y, e));
            CHECK(ccz_rep3_frac_of(xy) == 3);
            CHECK((int)ccz_rep3_kind_of(xy) == (ka && kb ? CCZ_REP3_PARTS : ka ? ka : kb));
            memset(r, 0, sizeof(r));
            for (int i = 0; i < M * N; i++)
                for (int l = 0; l < K; l++)
                    r[i] = (r[i] + a[i / N * K + l] * b[l * N + i % N]) & mask;
            expect(p, xy, r);
            OK(ccz_rep3_mul(&xr, x, row, e));
            for (int i = 0; i < M * K; i++)
                r[i] = a[i] * b[i % K] & mask;
            expect(p, xr, r);
            /* The longer operand first, so that the other way to add up shares is taken. */
            OK(ccz_rep3_reshape(&wide, row, CCZ_REP3_SHAPE2(1, K), e));
            AUTO_TENSOR tall = NULL;
            AUTO_TENSOR turned = NULL;
            OK(ccz_rep3_transpose(&tall, wide, e));
            OK(ccz_rep3_reshape(&turned, x, CCZ_REP3_SHAPE2(M, K), e));
            OK(ccz_rep3_matmul(&yx, turned, tall, e));
            for (int i = 0; i < M; i++) {
                r[i] = 0;
                for (int l = 0; l < K; l++)
                    r[i] = (r[i] + a[i * K + l] * b[l]) & mask;
            }
            expect(p, yx, r);
        }
}

static void run_conv(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    enum { H = 5, W = 6, C = 2, KH = 3, KW = 2, O = 3, STRIDE = 2, PAD = 1, OH = 3, OW = 4 };
    AUTO_WORDS x = numbers((size_t)2 * H * W * C, 64, 10);
    AUTO_WORDS k = numbers((size_t)KH * KW * C * O, 64, 11);
    uint64_t r[2 * OH * OW * O] = {0};
    (void)arg;
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < OH * OW * O; i++)
            for (int j = 0; j < KH * KW * C; j++) {
                int row = i / O / OW * STRIDE + j / C / KW - PAD;
                int col = i / O % OW * STRIDE + j / C % KW - PAD;
                if (row >= 0 && row < H && col >= 0 && col < W)
                    r[b * OH * OW * O + i] +=
                        x[((b * H + row) * W + col) * C + j % C] * k[j * O + i % O];
            }
    AUTO_TENSOR xs = input(p, CCZ_REP3_SHARED, 0, CCZ_REP3_SHAPE4(2, H, W, C), 0, x);
    AUTO_TENSOR ks = input(p, CCZ_REP3_SHARED, 1, CCZ_REP3_SHAPE4(KH, KW, C, O), 0, k);
    AUTO_TENSOR kp = input(p, CCZ_REP3_PUBLIC, 1, CCZ_REP3_SHAPE4(KH, KW, C, O), 0, k);
    AUTO_TENSOR both = NULL;
    AUTO_TENSOR one = NULL;
    OK(ccz_rep3_conv2d(&both, xs, ks, STRIDE, PAD, e));
    OK(ccz_rep3_conv2d(&one, xs, kp, STRIDE, PAD, e));
    struct ccz_rep3_shape s = ccz_rep3_shape_of(both);
    CHECK(s.rank == 4 && s.dim[0] == 2 && s.dim[1] == OH && s.dim[2] == OW && s.dim[3] == O);
    expect(p, both, r);
    expect(p, one, r);
}

static void test_products(void)
{
    for (int r = 0; r < RINGS; r++)
        all(rings[r], run_products, NULL);
    all(64, run_conv, NULL);
}

/* ------------------------------------------------------------------- all values, all halves, 8 bits */

/* SHARED with x_0 + x_1 = a for the leading party: 65,536 elements, all pairs of value and half. */
static struct ccz_rep3_tensor *all_pairs(struct party *p, unsigned frac)
{
    struct ccz_err *e = &p->err;
    struct ccz_rep3_tensor *t;
    const struct ccz_rep3_shape shape = CCZ_REP3_SHAPE2(256, 256);
    OK(cczi_rep3_tensor_new(&t, p->m, CCZ_REP3_SHARED, &shape, frac, e));
    uint64_t seed = 12;
    for (unsigned i = 0; i < 65536; i++) {
        const uint64_t x = i / 256, a = i % 256, r = rnd(&seed);
        const uint64_t share[3] = {(a - r) & 255, r & 255, (x - a) & 255};
        for (unsigned pl = 0; pl < 2; pl++)
            cczi_rep3_plane(t, pl)[i] = share[(cczi_rep3_rel(p->m) + pl) % 3];
    }
    return t;
}

static int signed8(unsigned v)
{
    return v > 127 ? (int)v - 256 : (int)v;
}

static void run_signs8(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    AUTO_WORDS out = calloc(1024, sizeof(*out));
    (void)arg;
    CHECK(out);
    for (unsigned bits = 2; bits <= 8; bits++)
        for (unsigned skip = 0; skip + 2 <= bits; skip++) {
            AUTO_TENSOR x = all_pairs(p, 0);
            AUTO_TENSOR n = NULL;
            OK(ccz_rep3_negative(&n, x, (struct ccz_rep3_range){bits, skip}, e));
            OK(ccz_rep3_reveal(out, n, CCZ_REP3_TO_ALL, "signs", e));
            for (unsigned i = 0; i < 65536; i++) {
                const int v = signed8(i / 256), most = 1 << (bits - 1), unit = 1 << skip;
                if (v < -most || v >= most)
                    continue;
                /* What is left out takes one unit more from half of the numbers; the lowest overflow by that. */
                const bool less = (int)(i % 256) % unit > (v & (unit - 1));
                const int rest = (v >> skip) - less;
                CHECK(bit_of(out, i) == (rest < 0 && rest >= -(most >> skip)));
                if (v >= -most + (skip ? unit : 0) && (v < 0 || v >= unit || skip == 0))
                    CHECK(bit_of(out, i) == (v < 0)); /* what the header promises */
            }
        }
}

/* floor or one more; the latter only if x is no multiple. */
static void check_rounded(int x, unsigned shift, int got)
{
    const int low = x >> shift, high = -(-x >> shift);
    if (got != low && got != high)
        fprintf(stderr, "%d / 2^%u = %d\n", x, shift, got);
    CHECK(got == low || got == high);
}

static void run_trunc8(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    (void)arg;
    for (unsigned shift = 0; shift <= 6; shift++) {
        AUTO_TENSOR x = all_pairs(p, 6);
        AUTO_TENSOR q = NULL;
        OK(ccz_rep3_trunc(&q, x, shift, e));
        CHECK(ccz_rep3_frac_of(q) == 6 - shift);
        AUTO_WORDS v = values(p, q);
        for (unsigned i = 0; i < 65536; i++) {
            const int in = signed8(i / 256);
            if (in >= -64 && in < 64)
                check_rounded(in, shift, signed8((unsigned)v[i]));
        }
        /* Up as often as the header says, over all halves: exactly. */
        for (int in = -64; in < 64; in++) {
            unsigned ups = 0;
            for (unsigned a = 0; a < 256; a++)
                ups += signed8((unsigned)v[(in & 255) * 256 + (int)a]) != in >> shift;
            CHECK(ups == ((unsigned)in & ((1u << shift) - 1)) << (8 - shift));
        }
    }
}

static void run_relu8(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    (void)arg;
    for (unsigned shift = 0; shift <= 4; shift++)
        for (unsigned skip = 0; skip <= shift; skip++) {
            AUTO_TENSOR x = all_pairs(p, 4);
            AUTO_TENSOR r = NULL;
            OK(ccz_rep3_relu(&r, x, shift, (struct ccz_rep3_range){8, skip}, e));
            AUTO_WORDS v = values(p, r);
            for (unsigned i = 0; i < 65536; i++) {
                const int in = signed8(i / 256), got = signed8((unsigned)v[i]);
                if (in < -64 || in >= 64)
                    continue;
                if (in < 0 || (in < 1 << skip && got == 0))
                    CHECK(got == 0);
                else
                    check_rounded(in, shift, got);
            }
        }
}

static void run_sigmoid8(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    (void)arg;
    for (unsigned shift = 0; shift <= 4; shift++)
        for (unsigned skip = 0; skip <= shift; skip++) {
            AUTO_TENSOR x = all_pairs(p, 5);
            AUTO_TENSOR r = NULL;
            OK(ccz_rep3_sigmoid3(&r, x, shift, (struct ccz_rep3_range){8, skip}, e));
            const int half = 16, one = 32 >> shift;
            AUTO_WORDS v = values(p, r);
            for (unsigned i = 0; i < 65536; i++) {
                const int in = signed8(i / 256), got = signed8((unsigned)v[i]);
                if (in < -64 || in >= 64)
                    continue;
                if (in < -half)
                    CHECK(got == 0);
                else if (in >= half + (skip ? 1 << skip : 0))
                    CHECK(got == one);
                else if (skip == 0)
                    check_rounded(in + half, shift, got);
                else /* the ends may be moved by less than one */
                    CHECK(got >= ((in + half) >> shift) - 1 && got <= ((in + half) >> shift) + 1 &&
                          got >= 0 && got <= one + 1);
            }
        }
}

/* Whoever leads. */

static unsigned first_lead;
static program_fn led;
static void run_led(struct party *p, void *arg)
{
    p->m->lead = first_lead;
    led(p, arg);
}

static void every_lead(program_fn run)
{
    led = run;
    for (first_lead = 0; first_lead < 3; first_lead++)
        all(8, run_led, NULL);
}

static void test_signs8(void)
{
    every_lead(run_signs8);
}
static void test_trunc8(void)
{
    every_lead(run_trunc8);
}
static void test_relu8(void)
{
    every_lead(run_relu8);
}
static void test_sigmoid8(void)
{
    every_lead(run_sigmoid8);
}

/* --------------------------------------------------------------------------- wider rings, parts */

static int64_t value_of(uint64_t v, unsigned k)
{
    return ccz_ring_signed(v, k);
}

struct mode {
    enum ccz_rep3_kind kind;
    size_t len;
};

static void run_wide(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    const struct mode *o = arg;
    const size_t len = o->len;
    const unsigned k = p->cfg.ring_bits, f = k / 4;
    AUTO_WORDS a = numbers(len, k, 20);
    AUTO_WORDS b = numbers(len, k, 21);
    AUTO_WORDS bits = calloc((len + 63) / 64, sizeof(*bits));
    CHECK(bits);
    AUTO_TENSOR x = input(p, o->kind, 0, CCZ_REP3_SHAPE1(len), f, a);
    AUTO_TENSOR n = NULL;
    AUTO_TENSOR one = NULL;
    AUTO_TENSOR picked = NULL;
    AUTO_TENSOR r = NULL;
    OK(ccz_rep3_negative(&n, x, (struct ccz_rep3_range){0}, e));
    OK(ccz_rep3_reveal(bits, n, CCZ_REP3_TO_ALL, "signs", e));
    for (size_t i = 0; i < len; i++)
        CHECK(bit_of(bits, i) == (value_of(a[i], k) < 0));
    OK(ccz_rep3_inject(&one, n, NULL, e));
    OK(ccz_rep3_inject(&picked, n, x, e));
    OK(ccz_rep3_relu(&r, x, 0, (struct ccz_rep3_range){0}, e));
    for (size_t i = 0; i < len; i++)
        b[i] = value_of(a[i], k) < 0;
    expect(p, one, b);
    for (size_t i = 0; i < len; i++)
        b[i] = value_of(a[i], k) < 0 ? a[i] : 0;
    expect(p, picked, b);
    for (size_t i = 0; i < len; i++)
        b[i] = value_of(a[i], k) < 0 ? 0 : a[i];
    expect(p, r, b);
}

/* Values of a quarter of the ring. */
static void run_rounding(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    const struct mode *o = arg;
    const size_t len = o->len;
    const unsigned k = p->cfg.ring_bits, f = k / 4;
    AUTO_WORDS a = numbers(len, k - 1, 22);
    for (size_t i = 0; i < len; i++)
        a[i] = (a[i] - ((uint64_t)1 << (k - 2))) & ccz_ring_mask(k);
    AUTO_TENSOR x = input(p, o->kind, 1, CCZ_REP3_SHAPE1(len), f, a);
    AUTO_TENSOR q = NULL;
    AUTO_TENSOR r = NULL;
    OK(ccz_rep3_trunc(&q, x, f, e));
    OK(ccz_rep3_relu(&r, x, f, (struct ccz_rep3_range){0}, e));
    AUTO_WORDS vq = values(p, q);
    AUTO_WORDS vr = values(p, r);
    for (size_t i = 0; i < len; i++) {
        const int64_t in = value_of(a[i], k), low = in >> f, high = -(-in >> f);
        const int64_t got = value_of(vq[i], k), pos = value_of(vr[i], k);
        CHECK(got == low || got == high);
        CHECK(in < 0 ? pos == 0 : pos == low || pos == high);
    }
}

static void run_less(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    enum { LEN = 100 };
    const unsigned k = p->cfg.ring_bits;
    uint64_t out[2];
    (void)arg;
    AUTO_WORDS a = numbers(LEN, k - 1, 23);
    AUTO_WORDS b = numbers(LEN, k - 1, 24);
    for (int i = 50; i < 60; i++)
        b[i] = a[i];
    AUTO_TENSOR x = input(p, CCZ_REP3_SHARED, 0, CCZ_REP3_SHAPE1(LEN), 0, a);
    AUTO_TENSOR y = input(p, CCZ_REP3_SHARED, 2, CCZ_REP3_SHAPE1(LEN), 0, b);
    AUTO_TENSOR n = NULL;
    OK(ccz_rep3_less(&n, x, y, (struct ccz_rep3_range){0}, e));
    OK(ccz_rep3_reveal(out, n, CCZ_REP3_TO_ALL, "less", e));
    for (size_t i = 0; i < LEN; i++)
        CHECK(bit_of(out, i) == (a[i] < b[i]));
}

static void test_wide(void)
{
    const size_t lens[] = {1, 7, 64, 700};
    for (int r = 0; r < RINGS; r++) {
        for (int kind = CCZ_REP3_SHARED; kind <= CCZ_REP3_PARTS; kind++)
            for (int l = 0; l < 4; l++) {
                struct mode o = {(enum ccz_rep3_kind)kind, lens[l]};
                all(rings[r], run_wide, &o);
                all(rings[r], run_rounding, &o);
            }
        all(rings[r], run_less, NULL);
    }
}

/* -------------------------------------------------------------------------------- fast truncation */

/* 8 bits: wrong by 2^(8 - shift) in about |x| of 256 cases. 64 bits: never in this many. */
static void run_fast(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    enum { EACH = 2048, SHIFT = 3 };
    const int k = (int)p->cfg.ring_bits, x = *(const int *)arg;
    AUTO_WORDS a = calloc(EACH, sizeof(*a));
    CHECK(a);
    for (int i = 0; i < EACH; i++)
        a[i] = (uint64_t)(int64_t)x & ccz_ring_mask((unsigned)k);
    for (int kind = CCZ_REP3_SHARED; kind <= CCZ_REP3_PARTS; kind++) {
        AUTO_TENSOR t = input(p, (enum ccz_rep3_kind)kind, 0, CCZ_REP3_SHAPE1(EACH), 4, a);
        AUTO_TENSOR q = NULL;
        const uint64_t rounds = ccz_rep3_stats(p->m).rounds;
        OK(ccz_rep3_trunc(&q, t, SHIFT, e));
        CHECK(ccz_rep3_stats(p->m).rounds == rounds + 1);
        AUTO_WORDS v = values(p, q);
        int wrong = 0, up = 0;
        for (int i = 0; i < EACH; i++) {
            int64_t got = value_of(v[i], (unsigned)k);
            bool right = got == x >> SHIFT || got == -(-x >> SHIFT);
            up += right && got != x >> SHIFT;
            wrong += !right;
            CHECK(right || k <= 32);
        }
        int expected = k == 8 ? (x < 0 ? -x : x) * EACH / 256 : 0;
        int ups = (x & ((1 << SHIFT) - 1)) * (EACH - expected) >> SHIFT;
        CHECK(abs(wrong - expected) < 160 && abs(up - ups) < 160);
        CHECK(k != 32 || wrong <= 1); /* |x| / 2^32 each: one in 10^4 runs, two in 10^9 */
    }
}

static void test_fast(void)
{
    const int xs[] = {0, 5, -3, 40, -64};
    for (int r = 0; r < RINGS; r++)
        for (int i = 0; i < 5; i++) {
            if (rings[r] == 16)
                continue; /* wrong now and then */
            struct trio t;
            trio_init(&t, rings[r]);
            for (int j = 0; j < 3; j++)
                t.p[j].cfg.trunc = CCZ_REP3_TRUNC_FAST;
            trio_run(&t, run_fast, (void *)&xs[i]);
            trio_good(&t);
            trio_free(&t);
        }
}

/* How often x / 2^3 is rounded up, of inputs as they come, whoever owns them and whoever leads. */
static void check_ups(struct party *p, const struct ccz_rep3_tensor *t, unsigned x)
{
    enum { EACH = 4096, SHIFT = 3 };
    AUTO_WORDS v = values(p, t);
    int ups = 0;
    for (int i = 0; i < EACH; i++) {
        CHECK(v[i] == x >> SHIFT || v[i] == (x >> SHIFT) + 1);
        ups += v[i] != x >> SHIFT;
    }
    const int expected = (int)(x & ((1 << SHIFT) - 1)) * EACH >> SHIFT;
    if (abs(ups - expected) >= 200) /* 6 standard deviations */
        fprintf(stderr, "lead %u: %u up %d times, expected %d\n", first_lead, x, ups, expected);
    CHECK(abs(ups - expected) < 200);
}

static void run_fresh(struct party *p, void *arg)
{
    enum { EACH = 4096, SHIFT = 3, X = 8 * 5 };
    struct ccz_err *e = &p->err;
    uint64_t v[EACH];
    (void)arg;
    for (unsigned owner = 0; owner < 3; owner++)
        for (int first = 0; first < 2; first++) { /* after a truncation, too */
            for (int i = 0; i < EACH; i++)
                v[i] = first ? X : X / 8;
            AUTO_TENSOR x = input(p, CCZ_REP3_SHARED, owner, CCZ_REP3_SHAPE1(EACH), 6, v);
            AUTO_TENSOR less = NULL;
            AUTO_TENSOR q = NULL;
            AUTO_TENSOR r = NULL;
            p->m->lead = first_lead;
            if (first) {
                OK(ccz_rep3_trunc(&less, x, SHIFT, e));
                OK(ccz_rep3_relu(&r, less, SHIFT, (struct ccz_rep3_range){0}, e));
            } else {
                OK(ccz_rep3_trunc(&q, x, SHIFT, e));
                check_ups(p, q, X / 8);
                p->m->lead = first_lead;
                OK(ccz_rep3_relu(&r, x, SHIFT, (struct ccz_rep3_range){0}, e));
            }
            check_ups(p, r, X / 8);
        }
}

static void test_fresh(void)
{
    for (int trunc = 0; trunc < 2; trunc++)
        for (first_lead = 0; first_lead < 3; first_lead++) {
            struct trio t;
            trio_init(&t, 64);
            for (int j = 0; j < 3; j++)
                t.p[j].cfg.trunc = (enum ccz_rep3_trunc)trunc;
            trio_run(&t, run_fresh, NULL);
            trio_good(&t);
            trio_free(&t);
        }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rep3.share", test_share},   {"rep3.linear", test_linear},
        {"rep3.bits", test_bits},     {"rep3.products", test_products},
        {"rep3.signs8", test_signs8}, {"rep3.trunc8", test_trunc8},
        {"rep3.relu8", test_relu8},   {"rep3.sigmoid8", test_sigmoid8},
        {"rep3.wide", test_wide},     {"rep3.fast", test_fast},
        {"rep3.fresh", test_fresh}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
