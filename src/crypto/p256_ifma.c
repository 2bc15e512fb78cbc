/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four sums of points side by side with AVX-512 IFMA, one signature or part of one per lane of a
 * register of 256 bits. Registers of 512 bits gain nothing: the multiplier takes two of the smaller
 * in the time of one, and four lanes are filled more easily than eight.
 *
 * Numbers are five limbs of 52 bits (Gueron and Krasnov, "Software implementation of modular
 * exponentiation, using advanced vector instructions architectures", 2012), in Montgomery form with
 * 2^260: 16 times that of struct cczi_fe. The spare bits let results stand without a last
 * subtraction of p. In multiples of p these bounds hold between the functions:
 *   of a point x, y < 2.1, z < 2.7, zz < 1.5; of a point of a table x < 16 + 2^-28, y < 2.1;
 *   a product of a < A and b < B is below A B / 16 + 1; A, B and this must be below 2^260 / p.
 * Variable time: public data only.
 */
#include "p256_priv.h"

#if defined(__AVX512VL__) && defined(__AVX512IFMA__)

#include <immintrin.h>
#include <string.h>

enum { LIMBS = 5, LANES = CCZI_P256_LANES, ALL_LANES = (1 << LANES) - 1 };

struct fe4 {
    __m256i v[LIMBS];
};
struct jac4 {
    struct fe4 x, y, z, zz;
};
struct point4 {
    struct fe4 x, y;
};

#define ADD(a, b) _mm256_add_epi64((a), (b))
#define SUB(a, b) _mm256_sub_epi64((a), (b))
#define ALL(x)    _mm256_set1_epi64x((long long)(x))
#define MASK      ALL(0xfffffffffffff)

/* 3 p; 2^260 mod p, which is 1 here; 2^256 mod p, a factor that leads to struct cczi_fe */
static const uint64_t p_3[LIMBS] = {0xffffffffffffd, 0x02fffffffffff, 0, 0x0003000000000,
                                    0x2fffffffd0000};
static const uint64_t one[LIMBS] = {0x0000000000010, 0xf000000000000, 0xfffffffffffff,
                                    0xffeffffffffff, 0x00000000fffff};
static const uint64_t to_fe[LIMBS] = {0x0000000000001, 0xff00000000000, 0xfffffffffffff,
                                      0xfffefffffffff, 0x000000000ffff};

static inline struct fe4 all_lanes(const uint64_t a[LIMBS])
{
    return (struct fe4){{ALL(a[0]), ALL(a[1]), ALL(a[2]), ALL(a[3]), ALL(a[4])}};
}

/* -------------------------------------------------------------------------------- the field */

/* Limbs that may be negative or too long, of a number from 0 to 2^260, brought to 52 bits. */
static inline void carry(struct fe4 *r)
{
    for (int i = 0; i < LIMBS - 1; i++) {
        r->v[i + 1] = ADD(r->v[i + 1], _mm256_srai_epi64(r->v[i], 52));
        r->v[i] = _mm256_and_si256(r->v[i], MASK);
    }
}

/* The same for a number from -2^260 to 2^260: it becomes one from 0 to 2.1 p. With q its multiple of
 * 2^256 according to the top limb, it is 0 to 1 + 2^-28 above q p; (q - 1) p is subtracted. */
static inline void fold(struct fe4 *r)
{
    __m256i q = SUB(_mm256_srai_epi64(r->v[4], 48), ALL(1));
    r->v[0] = ADD(r->v[0], q);
    r->v[1] = SUB(r->v[1], _mm256_slli_epi64(q, 44));
    r->v[3] = SUB(r->v[3], _mm256_slli_epi64(q, 36));
    r->v[4] = ADD(r->v[4], SUB(_mm256_slli_epi64(q, 16), _mm256_slli_epi64(q, 48)));
    carry(r);
}

static inline void add(struct fe4 *r, const struct fe4 *a, const struct fe4 *b)
{
    for (int i = 0; i < LIMBS; i++)
        r->v[i] = ADD(a->v[i], b->v[i]);
    carry(r);
}

/* a - b + 3 p. @param b below 3 p */
static inline void sub(struct fe4 *r, const struct fe4 *a, const struct fe4 *b)
{
    for (int i = 0; i < LIMBS; i++)
        r->v[i] = ADD(SUB(a->v[i], b->v[i]), ALL(p_3[i]));
    carry(r);
}

/*
 * z / 2^260 mod p. As in p256_portable.c a limb m is cleared by adding m p, since p = -1 mod 2^52:
 * m p = -m + m 2^96 + m 2^192 + m (2^256 - 2^224).
 */
static inline void reduce(struct fe4 *r, __m256i z[2 * LIMBS])
{
    const __m256i p1 = ALL(1ull << 44), p3 = ALL(1ull << 36), p4 = ALL((1ull << 48) - (1ull << 16));
#pragma GCC unroll 5
    for (int i = 0; i < LIMBS; i++) {
        __m256i m = _mm256_and_si256(z[i], MASK);
        z[i + 1] = ADD(z[i + 1], _mm256_srli_epi64(z[i], 52));
        z[i + 1] = _mm256_madd52lo_epu64(z[i + 1], m, p1);
        z[i + 2] = _mm256_madd52hi_epu64(z[i + 2], m, p1);
        z[i + 3] = _mm256_madd52lo_epu64(z[i + 3], m, p3);
        z[i + 4] = _mm256_madd52hi_epu64(z[i + 4], m, p3);
        z[i + 4] = _mm256_madd52lo_epu64(z[i + 4], m, p4);
        z[i + 5] = _mm256_madd52hi_epu64(z[i + 5], m, p4);
    }
    *r = (struct fe4){{z[5], z[6], z[7], z[8], z[9]}};
    carry(r);
}

static void mul(struct fe4 *r, const struct fe4 *a, const struct fe4 *b)
{
    __m256i z[2 * LIMBS];
    for (int i = 0; i < 2 * LIMBS; i++)
        z[i] = _mm256_setzero_si256();
#pragma GCC unroll 5
    for (int i = 0; i < LIMBS; i++) {
#pragma GCC unroll 5
        for (int j = 0; j < LIMBS; j++) {
            z[i + j] = _mm256_madd52lo_epu64(z[i + j], a->v[i], b->v[j]);
            z[i + j + 1] = _mm256_madd52hi_epu64(z[i + j + 1], a->v[i], b->v[j]);
        }
    }
    reduce(r, z);
}

static void sqr(struct fe4 *r, const struct fe4 *a)
{
    __m256i z[2 * LIMBS];
    for (int i = 0; i < 2 * LIMBS; i++)
        z[i] = _mm256_setzero_si256();
#pragma GCC unroll 5
    for (int i = 0; i < LIMBS; i++) {
#pragma GCC unroll 5
        for (int j = i + 1; j < LIMBS; j++) {
            z[i + j] = _mm256_madd52lo_epu64(z[i + j], a->v[i], a->v[j]);
            z[i + j + 1] = _mm256_madd52hi_epu64(z[i + j + 1], a->v[i], a->v[j]);
        }
    }
#pragma GCC unroll 10
    for (int i = 0; i < 2 * LIMBS; i++)
        z[i] = ADD(z[i], z[i]);
#pragma GCC unroll 5
    for (int i = 0; i < LIMBS; i++) {
        z[2 * i] = _mm256_madd52lo_epu64(z[2 * i], a->v[i], a->v[i]);
        z[2 * i + 1] = _mm256_madd52hi_epu64(z[2 * i + 1], a->v[i], a->v[i]);
    }
    reduce(r, z);
}

/* -------------------------------------------------------------------------------- points */

/* 4 M + 4 S (dbl-2001-b of the Explicit-Formulas Database, z by one more multiplication). z = 0
 * stays 0. */
static void jac_double(struct jac4 *a)
{
    struct fe4 alpha, beta, gamma, t;
    sub(&t, &a->x, &a->zz);
    add(&alpha, &a->x, &a->zz);
    mul(&alpha, &alpha, &t);
    sqr(&gamma, &a->y);
    mul(&a->z, &a->y, &a->z);
    mul(&beta, &gamma, &a->x);
    add(&a->z, &a->z, &a->z);
    for (int i = 0; i < LIMBS; i++)
        alpha.v[i] = ADD(ADD(alpha.v[i], alpha.v[i]), alpha.v[i]);
    carry(&alpha); /* 3 (x - z^2) (x + z^2) */
    sqr(&t, &alpha);
    sqr(&gamma, &gamma);
    sqr(&a->zz, &a->z);
    for (int i = 0; i < LIMBS; i++) {
        beta.v[i] = _mm256_slli_epi64(beta.v[i], 2);
        a->x.v[i] = SUB(t.v[i], ADD(beta.v[i], beta.v[i]));
    }
    fold(&a->x);
    sub(&t, &beta, &a->x);
    mul(&t, &t, &alpha);
    for (int i = 0; i < LIMBS; i++)
        a->y.v[i] = SUB(t.v[i], _mm256_slli_epi64(gamma.v[i], 3));
    fold(&a->y);
}

/*
 * a += p, as jac_add() of p256_curve.h, but for the special cases: where both have the same x, or a
 * is infinity, the new z is 0 modulo p, and so it stays.
 * @param[out] ratio  new z / old z
 */
static void jac_add(struct jac4 *a, const struct point4 *p, struct fe4 *ratio)
{
    struct fe4 r, t, v, h3, *h = ratio;
    mul(h, &p->x, &a->zz);
    mul(&t, &a->zz, &a->z);
    sub(h, h, &a->x);
    mul(&r, &p->y, &t);
    sqr(&t, h);
    sub(&r, &r, &a->y);
    mul(&a->z, &a->z, h);
    mul(&v, &t, &a->x);
    mul(&h3, h, &t);
    sqr(&t, &r);
    sqr(&a->zz, &a->z);
    for (int i = 0; i < LIMBS; i++)
        a->x.v[i] = SUB(SUB(t.v[i], h3.v[i]), ADD(v.v[i], v.v[i]));
    fold(&a->x);
    mul(&h3, &h3, &a->y);
    sub(&v, &v, &a->x);
    mul(&v, &v, &r);
    for (int i = 0; i < LIMBS; i++)
        a->y.v[i] = SUB(v.v[i], h3.v[i]);
    fold(&a->y);
}

/* ------------------------------------------------------------------------ in and out of lanes */

/* Rows to columns, and back. */
static inline void transpose(__m256i m[LANES])
{
    __m256i a = _mm256_unpacklo_epi64(m[0], m[1]), b = _mm256_unpackhi_epi64(m[0], m[1]);
    __m256i c = _mm256_unpacklo_epi64(m[2], m[3]), d = _mm256_unpackhi_epi64(m[2], m[3]);
    m[0] = _mm256_permute2x128_si256(a, c, 0x20);
    m[1] = _mm256_permute2x128_si256(b, d, 0x20);
    m[2] = _mm256_permute2x128_si256(a, c, 0x31);
    m[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

/* 16 times four words of 64 bits */
static inline struct fe4 split(const __m256i w[4])
{
    return (struct fe4){{
        _mm256_and_si256(_mm256_slli_epi64(w[0], 4), MASK),
        _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi64(w[0], 48), _mm256_slli_epi64(w[1], 16)),
                         MASK),
        _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi64(w[1], 36), _mm256_slli_epi64(w[2], 28)),
                         MASK),
        _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi64(w[2], 24), _mm256_slli_epi64(w[3], 40)),
                         MASK),
        _mm256_srli_epi64(w[3], 12),
    }};
}

static struct fe4 load_fe(const struct cczi_fe *const in[LANES])
{
    __m256i m[LANES];
    for (int i = 0; i < LANES; i++)
        m[i] = _mm256_loadu_si256((const __m256i *)in[i]->v);
    transpose(m);
    return split(m);
}

static struct point4 load(const struct cczi_p256_point *const points[LANES], __mmask8 negate)
{
    const struct cczi_fe *x[LANES], *y[LANES];
    for (int i = 0; i < LANES; i++) {
        x[i] = &points[i]->x;
        y[i] = &points[i]->y;
    }
    struct point4 p = {load_fe(x), load_fe(y)};
    for (int i = 0; i < LIMBS; i++)
        p.y.v[i] = _mm256_mask_sub_epi64(p.y.v[i], negate, _mm256_setzero_si256(), p.y.v[i]);
    fold(&p.y);
    return p;
}

/* To the form of struct cczi_fe, below p + 2^223. */
static void store_fe(struct cczi_fe *const out[LANES], const struct fe4 *a)
{
    const struct fe4 factor = all_lanes(to_fe);
    struct fe4 t;
    mul(&t, a, &factor);
    __m256i w[LANES] = {
        _mm256_or_si256(t.v[0], _mm256_slli_epi64(t.v[1], 52)),
        _mm256_or_si256(_mm256_srli_epi64(t.v[1], 12), _mm256_slli_epi64(t.v[2], 40)),
        _mm256_or_si256(_mm256_srli_epi64(t.v[2], 24), _mm256_slli_epi64(t.v[3], 28)),
        _mm256_or_si256(_mm256_srli_epi64(t.v[3], 36), _mm256_slli_epi64(t.v[4], 16)),
    };
    transpose(w);
    for (int i = 0; i < LANES; i++)
        _mm256_storeu_si256((__m256i *)out[i]->v, w[i]);
}

static void store_below_p(struct cczi_fe v[LANES], const struct fe4 *a,
                          const struct cczi_p256_curve *curve)
{
    const struct cczi_fe zero = {{0}};
    struct cczi_fe *out[LANES];
    for (int i = 0; i < LANES; i++)
        out[i] = &v[i];
    store_fe(out, a);
    for (int i = 0; i < LANES; i++) /* an addition subtracts p where it must */
        curve->fe_add(&v[i], &v[i], &zero);
}

/* --------------------------------------------------------------------------------- sums */

static void blend(struct fe4 *r, __mmask8 which, const struct fe4 *a)
{
    for (int i = 0; i < LIMBS; i++)
        r->v[i] = _mm256_mask_mov_epi64(r->v[i], which, a->v[i]);
}

struct sums {
    struct jac4 acc;
    __mmask8 started; /* lanes in which acc is not the empty sum */
};

/* acc += p in the lanes @p active */
static void add_some(struct sums *s, const struct point4 *p, __mmask8 active)
{
    struct fe4 ratio;
    __mmask8 both = active & s->started, first = active & (__mmask8)~s->started;
    if (both) {
        struct jac4 sum = s->acc;
        jac_add(&sum, p, &ratio);
        if (both == ALL_LANES) {
            s->acc = sum;
        } else {
            blend(&s->acc.x, both, &sum.x);
            blend(&s->acc.y, both, &sum.y);
            blend(&s->acc.z, both, &sum.z);
            blend(&s->acc.zz, both, &sum.zz);
        }
    }
    if (first) {
        struct point4 start = *p;
        const struct fe4 unit = all_lanes(one);
        fold(&start.x);
        blend(&s->acc.x, first, &start.x);
        blend(&s->acc.y, first, &start.y);
        blend(&s->acc.z, first, &unit);
        blend(&s->acc.zz, first, &unit);
        s->started |= first;
    }
}

enum { MULTIPLES = 1 << (CCZI_P256_WINDOW_BITS - 1) };
static const struct cczi_p256_point nothing; /* stands in where a lane has no point to add */

/* 1 / a in every lane, none of them 0, with one inversion (Montgomery 1987). */
static void invert(struct fe4 *r, const struct fe4 *a, const struct cczi_p256_curve *curve)
{
    struct cczi_fe v[LANES], before[LANES], product;
    store_below_p(v, a, curve);
    before[0] = v[0];
    for (int i = 1; i < LANES; i++)
        curve->fe_mul(&before[i], &before[i - 1], &v[i]);
    curve->fe_inverse(&product, &before[LANES - 1]);
    for (int i = LANES - 1; i > 0; i--) {
        struct cczi_fe next;
        curve->fe_mul(&next, &product, &v[i]);
        curve->fe_mul(&v[i], &product, &before[i - 1]);
        product = next;
    }
    v[0] = product;
    const struct cczi_fe *in[LANES];
    for (int i = 0; i < LANES; i++)
        in[i] = &v[i];
    *r = load_fe(in);
    fold(r);
}

/*
 * Q, 2 Q .. 16 Q of every lane. As odd_multiples() of p256_curve.h, the inverse of the last z
 * leads to those of all; it is shared by the lanes. No special case arises, the order being prime.
 */
static void multiples(struct cczi_p256_point out[LANES][MULTIPLES], const struct point4 *q,
                      const struct cczi_p256_curve *curve)
{
    struct point4 at[MULTIPLES];
    struct fe4 ratio[MULTIPLES], inverse, t;
    struct jac4 p = {q->x, q->y, all_lanes(one), all_lanes(one)};
    fold(&p.x);
    jac_double(&p);
    for (int k = 1; k < MULTIPLES; k++) {
        if (k > 1)
            jac_add(&p, q, &ratio[k]);
        at[k] = (struct point4){p.x, p.y};
    }
    invert(&inverse, &p.z, curve);
    for (int k = MULTIPLES - 1; k > 0; k--) {
        sqr(&t, &inverse);
        mul(&at[k].x, &at[k].x, &t);
        mul(&t, &t, &inverse);
        mul(&at[k].y, &at[k].y, &t);
        if (k > 1)
            mul(&inverse, &inverse, &ratio[k]);
    }
    at[0] = *q;
    for (int k = 0; k < MULTIPLES; k++) {
        struct cczi_fe *x[LANES], *y[LANES];
        for (int i = 0; i < LANES; i++) {
            x[i] = &out[i][k].x;
            y[i] = &out[i][k].y;
        }
        store_fe(x, &at[k].x);
        store_fe(y, &at[k].y);
    }
}

/* Each lane's multiple of its key, from the top window down. */
static void add_keys(struct sums *s, const struct cczi_p256_lane lanes[LANES],
                     const struct cczi_p256_curve *curve)
{
    struct cczi_p256_point table[LANES][MULTIPLES];
    const struct cczi_p256_point *points[LANES];
    for (int i = 0; i < LANES; i++)
        points[i] = lanes[i].key;
    const struct point4 keys = load(points, 0);
    multiples(table, &keys, curve);
    for (int w = CCZI_P256_WINDOWS - 1; w >= 0; w--) {
        unsigned active = 0, negate = 0;
        for (int i = 0; i < LANES; i++) {
            int d = lanes[i].digits[w];
            points[i] = d ? &table[i][(d < 0 ? -d : d) - 1] : &nothing;
            active |= (unsigned)(d != 0) << i;
            negate |= (unsigned)(d < 0) << i;
        }
        for (int k = 0; k < CCZI_P256_WINDOW_BITS && s->started; k++)
            jac_double(&s->acc);
        const struct point4 p = load(points, (__mmask8)negate);
        add_some(s, &p, (__mmask8)active);
    }
}

static void add_refs(struct sums *s, const struct cczi_p256_lane lanes[LANES])
{
    const struct cczi_p256_point *points[LANES];
    for (size_t k = 0;; k++) {
        unsigned active = 0, negate = 0;
        for (size_t i = 0; i < LANES; i++) {
            const struct cczi_p256_ref *r = &lanes[i].refs[k];
            bool some = k < lanes[i].len;
            points[i] = some ? r->point : &nothing;
            active |= (unsigned)some << i;
            negate |= (unsigned)(some && r->negate) << i;
            if (k + 2 < lanes[i].len)
                _mm_prefetch((const char *)r[2].point, _MM_HINT_T0);
        }
        if (!active)
            return;
        const struct point4 p = load(points, (__mmask8)negate);
        add_some(s, &p, (__mmask8)active);
    }
}

void cczi_p256_ifma_sum(struct cczi_p256_jac out[LANES], const struct cczi_p256_lane lanes[LANES],
                        const struct cczi_p256_curve *curve)
{
    struct sums s;
    struct cczi_fe c[LANES];
    memset(&s, 0, sizeof(s));
    if (lanes[0].key)
        add_keys(&s, lanes, curve);
    add_refs(&s, lanes);
    store_below_p(c, &s.acc.x, curve);
    for (int i = 0; i < LANES; i++)
        out[i].x = c[i];
    store_below_p(c, &s.acc.y, curve);
    for (int i = 0; i < LANES; i++)
        out[i].y = c[i];
    store_below_p(c, &s.acc.z, curve);
    for (int i = 0; i < LANES; i++) {
        out[i].z = c[i];
        curve->fe_sqr(&out[i].zz, &c[i]);
    }
}

#endif
