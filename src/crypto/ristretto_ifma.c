/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight points of ristretto255 at a time with AVX-512 IFMA. Formulas of RFC 9496 (decoding, encoding, the map) and of Hisil,
 * Wong, Carter, Dawson 2008 (extended coordinates, a = -1). No branch and no address depends on a scalar or a point.
 *
 * Elements of GF(2^255 - 19) are five limbs of 51 bits, eight elements side by side. "Carried" limbs are below
 * 2^51 + 2^15, which is what every function takes and gives; the multiplier wants less than 2^52.
 */
#include "ristretto_priv.h"

#if defined(__AVX512IFMA__)

#include <immintrin.h>
#include <string.h>

typedef struct {
    __m512i v[5];
} fe;

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 5")
#endif
#define MASK51 _mm512_set1_epi64((1LL << 51) - 1)

static inline __m512i times19(__m512i x)
{
    return _mm512_add_epi64(_mm512_add_epi64(_mm512_slli_epi64(x, 4), _mm512_slli_epi64(x, 1)), x);
}

/* One parallel carry: limbs below 2^61 become carried ones. */
static inline void carry(fe *r, const __m512i z[5])
{
    __m512i c[5];
    for (int i = 0; i < 5; i++)
        c[i] = _mm512_srli_epi64(z[i], 51);
    r->v[0] = _mm512_add_epi64(_mm512_and_si512(z[0], MASK51), times19(c[4]));
    for (int i = 1; i < 5; i++)
        r->v[i] = _mm512_add_epi64(_mm512_and_si512(z[i], MASK51), c[i - 1]);
}

/* lo and hi: sums of low and high 52 bits of products by weight; hi counts twice, one limb up. Sums are below 2^56. */
static inline void fold(fe *r, const __m512i lo[9], const __m512i hi[9])
{
    __m512i z[10], s[5];
    z[0] = lo[0];
    for (int i = 1; i < 9; i++)
        z[i] = _mm512_add_epi64(lo[i], _mm512_slli_epi64(hi[i - 1], 1));
    z[9] = _mm512_slli_epi64(hi[8], 1);
    for (int i = 0; i < 5; i++)
        s[i] = _mm512_add_epi64(z[i], times19(z[i + 5]));
    carry(r, s);
}

static void mul(fe *r, const fe *a, const fe *b)
{
    __m512i lo[9], hi[9];
    for (int i = 0; i < 9; i++)
        lo[i] = hi[i] = _mm512_setzero_si512();
    UNROLL
    for (int i = 0; i < 5; i++) {
        UNROLL
        for (int j = 0; j < 5; j++) {
            lo[i + j] = _mm512_madd52lo_epu64(lo[i + j], a->v[i], b->v[j]);
            hi[i + j] = _mm512_madd52hi_epu64(hi[i + j], a->v[i], b->v[j]);
        }
    }
    fold(r, lo, hi);
}

static void sq(fe *r, const fe *a)
{
    __m512i lo[9], hi[9];
    for (int i = 0; i < 9; i++)
        lo[i] = hi[i] = _mm512_setzero_si512();
    UNROLL
    for (int i = 0; i < 5; i++) {
        UNROLL
        for (int j = i + 1; j < 5; j++) {
            lo[i + j] = _mm512_madd52lo_epu64(lo[i + j], a->v[i], a->v[j]);
            hi[i + j] = _mm512_madd52hi_epu64(hi[i + j], a->v[i], a->v[j]);
        }
    }
    for (int i = 0; i < 9; i++) {
        lo[i] = _mm512_slli_epi64(lo[i], 1);
        hi[i] = _mm512_slli_epi64(hi[i], 1);
    }
    UNROLL
    for (int i = 0; i < 5; i++) {
        lo[2 * i] = _mm512_madd52lo_epu64(lo[2 * i], a->v[i], a->v[i]);
        hi[2 * i] = _mm512_madd52hi_epu64(hi[2 * i], a->v[i], a->v[i]);
    }
    fold(r, lo, hi);
}

static inline void add(fe *r, const fe *a, const fe *b)
{
    __m512i z[5];
    for (int i = 0; i < 5; i++)
        z[i] = _mm512_add_epi64(a->v[i], b->v[i]);
    carry(r, z);
}

/* a + 4 p - b: no limb goes below zero. */
static inline void sub(fe *r, const fe *a, const fe *b)
{
    const __m512i p0 = _mm512_set1_epi64(4 * ((1LL << 51) - 19)),
                  p1 = _mm512_set1_epi64(4 * ((1LL << 51) - 1));
    __m512i z[5];
    for (int i = 0; i < 5; i++)
        z[i] = _mm512_sub_epi64(_mm512_add_epi64(a->v[i], i ? p1 : p0), b->v[i]);
    carry(r, z);
}

static inline void constant(fe *r, const uint64_t limbs[5])
{
    for (int i = 0; i < 5; i++)
        r->v[i] = _mm512_set1_epi64((long long)limbs[i]);
}

static inline void small(fe *r, uint64_t x)
{
    constant(r, (const uint64_t[5]){x, 0, 0, 0, 0});
}

static inline void neg(fe *r, const fe *a)
{
    fe zero;
    small(&zero, 0);
    sub(r, &zero, a);
}

/* r = m ? a : r */
static inline void take_if(fe *r, __mmask8 m, const fe *a)
{
    for (int i = 0; i < 5; i++)
        r->v[i] = _mm512_mask_mov_epi64(r->v[i], m, a->v[i]);
}

/* The representative in [0, p). */
static void freeze(fe *r, const fe *a)
{
    __m512i h[5], q;
    memcpy(h, a->v, sizeof(h));
    for (int round = 0; round < 2;
         round++) { /* in order: each below 2^51, the first a little above */
        for (int i = 0; i < 4; i++) {
            h[i + 1] = _mm512_add_epi64(h[i + 1], _mm512_srli_epi64(h[i], 51));
            h[i] = _mm512_and_si512(h[i], MASK51);
        }
        h[0] = _mm512_add_epi64(h[0], times19(_mm512_srli_epi64(h[4], 51)));
        h[4] = _mm512_and_si512(h[4], MASK51);
    }
    q = _mm512_srli_epi64(_mm512_add_epi64(h[0], _mm512_set1_epi64(19)),
                          51); /* 1 iff it is p or more */
    for (int i = 1; i < 5; i++)
        q = _mm512_srli_epi64(_mm512_add_epi64(h[i], q), 51);
    h[0] = _mm512_add_epi64(h[0], times19(q));
    for (int i = 0; i < 4; i++) {
        h[i + 1] = _mm512_add_epi64(h[i + 1], _mm512_srli_epi64(h[i], 51));
        h[i] = _mm512_and_si512(h[i], MASK51);
    }
    h[4] = _mm512_and_si512(h[4], MASK51);
    memcpy(r->v, h, sizeof(h));
}

static __mmask8 is_zero(const fe *a)
{
    fe f;
    freeze(&f, a);
    __m512i any = f.v[0];
    for (int i = 1; i < 5; i++)
        any = _mm512_or_si512(any, f.v[i]);
    return _mm512_testn_epi64_mask(any, any);
}

static __mmask8 is_equal(const fe *a, const fe *b)
{
    fe d;
    sub(&d, a, b);
    return is_zero(&d);
}

static __mmask8 is_negative(const fe *a)
{
    fe f;
    freeze(&f, a);
    return _mm512_test_epi64_mask(f.v[0], _mm512_set1_epi64(1));
}

static void absolute(fe *r, const fe *a)
{
    fe n;
    neg(&n, a);
    __mmask8 m = is_negative(a);
    *r = *a;
    take_if(r, m, &n);
}

static const uint64_t D[5] = {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb,
                              0x52036cee2b6ff},
                      D2[5] = {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977,
                               0x2406d9dc56dff},
                      SQRT_M1[5] = {0x61b274a0ea0b0, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60,
                                    0x78595a6804c9e, 0x2b8324804fc1d},
                      SQRT_AD_MINUS_ONE[5] = {0x7f6a0497b2e1b, 0x1836f0a97afd2, 0x7d747f6be7638,
                                              0x456079e7e6498, 0x376931bf2b834},
                      INVSQRT_A_MINUS_D[5] = {0xfdaa805d40ea, 0x2eb482e57d339, 0x7610274bc58,
                                              0x6510b613dc8ff, 0x786c8905cfaff},
                      ONE_MINUS_D_SQ[5] = {0x409c1945fc176, 0x719abc6a1fc4f, 0x1c37f90b20684,
                                           0x6bccca55eedf, 0x29072a8b2b3e},
                      D_MINUS_ONE_SQ[5] = {0x55aaa44ed4d20, 0x59603c3332635, 0x26d3baf4a7928,
                                           0x120a66e6997a9, 0x5968b37af66c2};

static void mul_constant(fe *r, const fe *a, const uint64_t limbs[5])
{
    fe c;
    constant(&c, limbs);
    mul(r, a, &c);
}

static void sq_times(fe *r, const fe *a, int n)
{
    sq(r, a);
    for (int i = 1; i < n; i++)
        sq(r, r);
}

/* a^((p - 5) / 8) = a^(2^252 - 3) */
static void pow_p58(fe *r, const fe *a)
{
    fe t0, t1, t2;
    sq(&t0, a);            /* 2 */
    sq_times(&t1, &t0, 2); /* 8 */
    mul(&t1, a, &t1);      /* 9 */
    mul(&t0, &t0, &t1);    /* 11 */
    sq(&t0, &t0);          /* 22 */
    mul(&t0, &t1, &t0);    /* 2^5 - 1 */
    sq_times(&t1, &t0, 5);
    mul(&t0, &t1, &t0); /* 2^10 - 1 */
    sq_times(&t1, &t0, 10);
    mul(&t1, &t1, &t0); /* 2^20 - 1 */
    sq_times(&t2, &t1, 20);
    mul(&t1, &t2, &t1); /* 2^40 - 1 */
    sq_times(&t1, &t1, 10);
    mul(&t0, &t1, &t0); /* 2^50 - 1 */
    sq_times(&t1, &t0, 50);
    mul(&t1, &t1, &t0); /* 2^100 - 1 */
    sq_times(&t2, &t1, 100);
    mul(&t1, &t2, &t1); /* 2^200 - 1 */
    sq_times(&t1, &t1, 50);
    mul(&t0, &t1, &t0); /* 2^250 - 1 */
    sq_times(&t0, &t0, 2);
    mul(r, &t0, a);
}

/* RFC 9496, 4.2: r = sqrt(u / v) or sqrt(i u / v), not negative. @return where u / v is a square */
static __mmask8 sqrt_ratio(fe *r, const fe *u, const fe *v)
{
    fe v3, v7, x, check, nu, nui, xi;
    sq(&v3, v);
    mul(&v3, &v3, v);
    sq(&v7, &v3);
    mul(&v7, &v7, v);
    mul(&x, u, &v7);
    pow_p58(&x, &x);
    mul(&x, &x, &v3);
    mul(&x, &x, u);
    sq(&check, &x);
    mul(&check, &check, v);
    neg(&nu, u);
    mul_constant(&nui, &nu, SQRT_M1);
    __mmask8 correct = is_equal(&check, u), flipped = is_equal(&check, &nu),
             flipped_i = is_equal(&check, &nui);
    mul_constant(&xi, &x, SQRT_M1);
    take_if(&x, flipped | flipped_i, &xi);
    absolute(r, &x);
    return correct | flipped;
}

/* -------------------------------------------------------------------------------------- points */

typedef struct {
    fe x, y, z, t;
} point;
/* What an addition wants of a point. */
typedef struct {
    fe sum, diff, z2, t2d;
} cached;

static void to_cached(cached *r, const point *p)
{
    add(&r->sum, &p->y, &p->x);
    sub(&r->diff, &p->y, &p->x);
    add(&r->z2, &p->z, &p->z);
    mul_constant(&r->t2d, &p->t, D2);
}

static void add_point(point *r, const point *p, const cached *q)
{
    fe a, b, c, d, e, f, g, h;
    sub(&a, &p->y, &p->x);
    mul(&a, &a, &q->diff);
    add(&b, &p->y, &p->x);
    mul(&b, &b, &q->sum);
    mul(&c, &p->t, &q->t2d);
    mul(&d, &p->z, &q->z2);
    sub(&e, &b, &a);
    sub(&f, &d, &c);
    add(&g, &d, &c);
    add(&h, &b, &a);
    mul(&r->x, &e, &f);
    mul(&r->y, &g, &h);
    mul(&r->t, &e, &h);
    mul(&r->z, &f, &g);
}

/* @param with_t  a doubling does not need it of its input */
static void double_point(point *r, const point *p, bool with_t)
{
    fe a, b, c, e, f, g, h;
    sq(&a, &p->x);
    sq(&b, &p->y);
    sq(&c, &p->z);
    add(&c, &c, &c);
    add(&e, &p->x, &p->y);
    sq(&e, &e);
    sub(&e, &e, &a);
    sub(&e, &e, &b);
    sub(&g, &b, &a);
    sub(&f, &g, &c);
    add(&h, &a, &b);
    neg(&h, &h);
    mul(&r->x, &e, &f);
    mul(&r->y, &g, &h);
    mul(&r->z, &f, &g);
    if (with_t)
        mul(&r->t, &e, &h);
}

/* Bytes of eight elements, 255 bits of each; what is above is ignored. */
static void load(fe *r, const uint8_t *const in[8])
{
    uint64_t limbs[5][8];
    const uint64_t mask = (UINT64_C(1) << 51) - 1;
    for (int k = 0; k < 8; k++) {
        uint64_t w[4];
        memcpy(w, in[k], sizeof(w));
        limbs[0][k] = w[0] & mask;
        limbs[1][k] = (w[0] >> 51 | w[1] << 13) & mask;
        limbs[2][k] = (w[1] >> 38 | w[2] << 26) & mask;
        limbs[3][k] = (w[2] >> 25 | w[3] << 39) & mask;
        limbs[4][k] = w[3] >> 12 & mask;
    }
    for (int i = 0; i < 5; i++)
        r->v[i] = _mm512_loadu_si512(limbs[i]);
}

static void store(uint8_t (*out)[32], const fe *a)
{
    uint64_t limbs[5][8];
    fe f;
    freeze(&f, a);
    for (int i = 0; i < 5; i++)
        _mm512_storeu_si512(limbs[i], f.v[i]);
    for (int k = 0; k < 8; k++) {
        uint64_t w[4] = {limbs[0][k] | limbs[1][k] << 51, limbs[1][k] >> 13 | limbs[2][k] << 38,
                         limbs[2][k] >> 26 | limbs[3][k] << 25,
                         limbs[3][k] >> 39 | limbs[4][k] << 12};
        memcpy(out[k], w, sizeof(w));
    }
}

/* RFC 9496, 4.3.1. @return which are encodings */
static __mmask8 decode(point *r, const uint8_t (*in)[32])
{
    const uint8_t *ptrs[8];
    uint8_t back[8][32];
    __mmask8 canonical = 0;
    fe s, ss, u1, u2, u2s, v, t, root, one, dx, dy;
    for (int k = 0; k < 8; k++)
        ptrs[k] = in[k];
    load(&s, ptrs);
    store(back, &s);
    for (int k = 0; k < 8; k++)
        canonical |= (__mmask8)((memcmp(back[k], in[k], 32) == 0 && !(in[k][0] & 1)) << k);
    small(&one, 1);
    sq(&ss, &s);
    sub(&u1, &one, &ss);
    add(&u2, &one, &ss);
    sq(&u2s, &u2);
    sq(&v, &u1);
    mul_constant(&v, &v, D);
    neg(&v, &v);
    sub(&v, &v, &u2s);
    mul(&t, &v, &u2s);
    __mmask8 square = sqrt_ratio(&root, &one, &t);
    mul(&dx, &root, &u2);
    mul(&dy, &root, &dx);
    mul(&dy, &dy, &v);
    add(&t, &s, &s);
    mul(&t, &t, &dx);
    absolute(&r->x, &t);
    mul(&r->y, &u1, &dy);
    mul(&r->t, &r->x, &r->y);
    r->z = one;
    return canonical & square & (__mmask8)~is_negative(&r->t) & (__mmask8)~is_zero(&r->y);
}

/* RFC 9496, 4.3.2 */
static void encode(uint8_t (*out)[32], const point *p)
{
    fe u1, u2, t, root, one, d1, d2, zi, ix, iy, ed, x = p->x, y = p->y, n;
    add(&u1, &p->z, &p->y);
    sub(&t, &p->z, &p->y);
    mul(&u1, &u1, &t);
    mul(&u2, &p->x, &p->y);
    sq(&t, &u2);
    mul(&t, &t, &u1);
    small(&one, 1);
    (void)sqrt_ratio(&root, &one, &t);
    mul(&d1, &root, &u1);
    mul(&d2, &root, &u2);
    mul(&zi, &d1, &d2);
    mul(&zi, &zi, &p->t);
    mul_constant(&ix, &p->x, SQRT_M1);
    mul_constant(&iy, &p->y, SQRT_M1);
    mul_constant(&ed, &d1, INVSQRT_A_MINUS_D);
    mul(&t, &p->t, &zi);
    __mmask8 rotate = is_negative(&t);
    take_if(&x, rotate, &iy);
    take_if(&y, rotate, &ix);
    take_if(&d2, rotate, &ed);
    mul(&t, &x, &zi);
    neg(&n, &y);
    take_if(&y, is_negative(&t), &n);
    sub(&t, &p->z, &y);
    mul(&t, &t, &d2);
    absolute(&t, &t);
    store(out, &t);
}

/* ------------------------------------------------------------------------------ multiplication */

/* s = sum of e[i] 16^i, e[i] in [-8, 8); s < 2^253 */
static void recode(int8_t e[64], const uint8_t s[32])
{
    int c = 0;
    for (int i = 0; i < 32; i++) {
        e[2 * i] = (int8_t)(s[i] & 15);
        e[2 * i + 1] = (int8_t)(s[i] >> 4);
    }
    for (int i = 0; i < 63; i++) {
        int x = e[i] + c;
        c = (x + 8) >> 4;
        e[i] = (int8_t)(x - 16 * c);
    }
    e[63] = (int8_t)(e[63] + c);
}

/* All ones iff a = b; both are small. */
static inline __mmask8 same(unsigned a, unsigned b)
{
    return (__mmask8)(0u - (((a ^ b) - 1) >> 31));
}

/* r = e times the point of the table (its multiples 1 to 8): every entry is read. */
static void look_up(cached *r, const cached table[8], int8_t e)
{
    unsigned sign = (uint8_t)e >> 7, abs = (unsigned)((e ^ -(int)sign) + (int)sign);
    fe n;
    small(&r->sum, 1);
    small(&r->diff, 1);
    small(&r->z2, 2);
    small(&r->t2d, 0);
    for (unsigned k = 1; k <= 8; k++) {
        __mmask8 m = same(abs, k);
        take_if(&r->sum, m, &table[k - 1].sum);
        take_if(&r->diff, m, &table[k - 1].diff);
        take_if(&r->z2, m, &table[k - 1].z2);
        take_if(&r->t2d, m, &table[k - 1].t2d);
    }
    __mmask8 minus = same(sign, 1);
    fe sum = r->sum;
    neg(&n, &r->t2d);
    take_if(&r->sum, minus, &r->diff);
    take_if(&r->diff, minus, &sum);
    take_if(&r->t2d, minus, &n);
}

static void multiply(point *r, const point *p, const int8_t e[64])
{
    cached table[8], c;
    point q = *p;
    to_cached(&table[0], p);
    for (int k = 1; k < 8; k++) {
        add_point(&q, &q, &table[0]);
        to_cached(&table[k], &q);
    }
    small(&r->x, 0);
    small(&r->y, 1);
    small(&r->z, 1);
    small(&r->t, 0);
    for (int i = 63; i >= 0; i--) {
        for (int k = 0; k < 4 && i < 63; k++)
            double_point(r, r, k == 3);
        look_up(&c, table, e[i]);
        add_point(r, r, &c);
    }
    ccz_wipe(table, sizeof(table));
}

unsigned cczi_ristretto_ifma_mul(uint8_t (*out)[32], const uint8_t s[32], const uint8_t (*in)[32])
{
    static const uint8_t identity[32];
    int8_t e[64];
    point p;
    recode(e, s);
    unsigned good = decode(&p, in);
    multiply(&p, &p, e);
    encode(out, &p);
    for (unsigned k = 0; k < 8;
         k++) /* that a result is the identity shows, as anything refused does */
        good &= ~((unsigned)(memcmp(out[k], identity, 32) == 0) << k);
    ccz_wipe(e, sizeof(e));
    return good;
}

/* RFC 9496, 4.3.4, MAP */
static void map(point *p, const fe *t)
{
    fe r, u, v, s, w, c, n, one, minus_one, x;
    small(&one, 1);
    neg(&minus_one, &one);
    sq(&r, t);
    mul_constant(&r, &r, SQRT_M1);
    add(&u, &r, &one);
    mul_constant(&u, &u, ONE_MINUS_D_SQ);
    mul_constant(&x, &r, D);
    add(&x, &x, &one);
    neg(&x, &x); /* -1 - r d */
    constant(&w, D);
    add(&w, &w, &r);
    mul(&v, &x, &w);
    __mmask8 square = sqrt_ratio(&s, &u, &v);
    mul(&x, &s, t);
    absolute(&x, &x);
    neg(&x, &x);
    take_if(&s, (__mmask8)~square, &x);
    c = r;
    take_if(&c, square, &minus_one);
    sub(&n, &r, &one);
    mul(&n, &n, &c);
    mul_constant(&n, &n, D_MINUS_ONE_SQ);
    sub(&n, &n, &v);
    fe w0, w1, w2, w3;
    mul(&w0, &s, &v);
    add(&w0, &w0, &w0);
    mul_constant(&w1, &n, SQRT_AD_MINUS_ONE);
    sq(&x, &s);
    sub(&w2, &one, &x);
    add(&w3, &one, &x);
    mul(&p->x, &w0, &w3);
    mul(&p->y, &w2, &w1);
    mul(&p->z, &w1, &w3);
    mul(&p->t, &w0, &w2);
}

void cczi_ristretto_ifma_from_hash(uint8_t (*out)[32], const uint8_t (*hash)[64])
{
    const uint8_t *ptrs[2][8];
    point p, q;
    cached c;
    fe t;
    for (int k = 0; k < 8; k++) {
        ptrs[0][k] = hash[k];
        ptrs[1][k] = hash[k] + 32;
    }
    load(&t, ptrs[0]);
    map(&p, &t);
    load(&t, ptrs[1]);
    map(&q, &t);
    to_cached(&c, &q);
    add_point(&p, &p, &c);
    encode(out, &p);
}
#endif
