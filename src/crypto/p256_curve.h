/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The curve y^2 = x^3 - 3 x + b over p = 2^256 - 2^224 + 2^192 + 2^96 - 1, written once over the
 * fe_mul(), fe_sqr(), fe_add() and fe_sub() of the file that includes it, which also names CURVE.
 * Formulas: Hankerson, Menezes, Vanstone, "Guide to Elliptic Curve Cryptography" (HMV), 3.2.2.
 */
#include "p256_priv.h"

#include <stdlib.h>
#include <string.h>

/* p, and constants of the field in Montgomery form */
static const uint64_t fe_p[4] = {0xffffffffffffffff, 0x00000000ffffffff, 0, 0xffffffff00000001};
static const struct cczi_fe fe_one = {
    {0x0000000000000001, 0xffffffff00000000, 0xffffffffffffffff, 0x00000000fffffffe}};
static const struct cczi_fe fe_r2 = {
    {0x0000000000000003, 0xfffffffbffffffff, 0xfffffffffffffffe, 0x00000004fffffffd}};
static const struct cczi_fe fe_r3 = {
    {0xfffffffd0000000a, 0xffffffedfffffff7, 0x00000005fffffffc, 0x0000001800000001}};
static const struct cczi_fe fe_b = {
    {0xd89cdf6229c4bddf, 0xacf005cd78843090, 0xe5a220abf7212ed6, 0xdc30061d04874834}};

static bool fe_is_zero(const struct cczi_fe *a)
{
    return (a->v[0] | a->v[1] | a->v[2] | a->v[3]) == 0;
}

static bool fe_equal(const struct cczi_fe *a, const struct cczi_fe *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* a / 2 */
static inline void fe_half(struct cczi_fe *r, const struct cczi_fe *a)
{
    uint64_t odd = 0 - (a->v[0] & 1); /* (p + 1) / 2 = 2^255 - 2^223 + 2^191 + 2^95 */
    struct cczi_fe t = {{a->v[0] >> 1 | a->v[1] << 63, a->v[1] >> 1 | a->v[2] << 63,
                         a->v[2] >> 1 | a->v[3] << 63, a->v[3] >> 1}};
    const struct cczi_fe half = {
        {0, odd & 0x0000000080000000, odd & 0x8000000000000000, odd & 0x7fffffff80000000}};
    fe_add(r, &t, &half);
}

static void fe_inverse(struct cczi_fe *r, const struct cczi_fe *a)
{
    struct cczi_fe t;
    cczi_p256_inverse(t.v, a->v, fe_p);
    fe_mul(r, &t, &fe_r3);
}

static bool curve_read(struct cczi_p256_point *out, const uint8_t xy[64])
{
    struct cczi_p256_int x = cczi_p256_int_read(xy), y = cczi_p256_int_read(xy + 32);
    if (!cczi_p256_int_less(x.v, fe_p) || !cczi_p256_int_less(y.v, fe_p))
        return false;
    struct cczi_fe left, right, t;
    memcpy(out->x.v, x.v, sizeof(x.v));
    memcpy(out->y.v, y.v, sizeof(y.v));
    fe_mul(&out->x, &out->x, &fe_r2);
    fe_mul(&out->y, &out->y, &fe_r2);
    fe_sqr(&left, &out->y);
    fe_sqr(&right, &out->x); /* x (x^2 - 3) + b */
    fe_add(&t, &fe_one, &fe_one);
    fe_add(&t, &t, &fe_one);
    fe_sub(&right, &right, &t);
    fe_mul(&right, &right, &out->x);
    fe_add(&right, &right, &fe_b);
    return fe_equal(&left, &right);
}

/*
 * HMV, algorithm 3.21: 4 M + 4 S. Infinity stays infinity; no other point has y = 0.
 * Here and in jac_add() multiplications that do not need each other stand together, so that the
 * processor can overlap them; to have z^2 early is why the point carries it.
 */
static void jac_double(struct cczi_p256_jac *a)
{
    struct cczi_fe m, t, y2, y4, s;
    fe_sub(&t, &a->x, &a->zz);
    fe_add(&m, &a->x, &a->zz);
    fe_mul(&m, &m, &t);
    fe_add(&y2, &a->y, &a->y);
    fe_sqr(&y4, &y2); /* 4 y^2 */
    fe_mul(&a->z, &y2, &a->z);
    fe_mul(&s, &y4, &a->x); /* 4 x y^2 */
    fe_add(&t, &m, &m);
    fe_add(&m, &t, &m); /* 3 (x - z^2) (x + z^2) */
    fe_sqr(&t, &m);
    fe_sqr(&y4, &y4);
    fe_sqr(&a->zz, &a->z);
    fe_sub(&t, &t, &s);
    fe_sub(&a->x, &t, &s);
    fe_sub(&s, &s, &a->x);
    fe_mul(&s, &s, &m);
    fe_half(&y4, &y4); /* 8 y^4 */
    fe_sub(&a->y, &s, &y4);
}

/*
 * a += the affine point (x, y), HMV, algorithm 3.22: 8 M + 3 S.
 * If @p ratio is given: new z / old z; the caller then knows that no special case arises.
 */
static void jac_add(struct cczi_p256_jac *a, const struct cczi_fe *x, const struct cczi_fe *y,
                    struct cczi_fe *ratio)
{
    struct cczi_fe h, r, t, v;
    if (fe_is_zero(&a->z)) {
        *a = (struct cczi_p256_jac){*x, *y, fe_one, fe_one};
        return;
    }
    fe_mul(&h, x, &a->zz);
    fe_mul(&t, &a->zz, &a->z);
    fe_sub(&h, &h, &a->x);
    fe_mul(&r, y, &t);
    fe_sqr(&t, &h);
    fe_sub(&r, &r, &a->y);
    if (fe_is_zero(&h)) { /* the same x: the same point or its negative */
        if (fe_is_zero(&r))
            jac_double(a);
        else
            memset(a, 0, sizeof(*a));
        return;
    }
    if (ratio)
        *ratio = h;
    fe_mul(&a->z, &a->z, &h);
    fe_mul(&v, &t, &a->x);
    fe_mul(&h, &h, &t); /* h^3 */
    fe_sqr(&t, &r);
    fe_sqr(&a->zz, &a->z);
    fe_sub(&t, &t, &v);
    fe_sub(&t, &t, &v);
    fe_sub(&a->x, &t, &h);
    fe_sub(&v, &v, &a->x);
    fe_mul(&h, &h, &a->y);
    fe_mul(&v, &v, &r);
    fe_sub(&a->y, &v, &h);
}

static void jac_add_signed(struct cczi_p256_jac *a, const struct cczi_p256_point *p, bool negate)
{
    struct cczi_fe y = p->y;
    if (negate)
        fe_sub(&y, &(struct cczi_fe){{0}}, &p->y);
    jac_add(a, &p->x, &y, NULL);
}

static void curve_sum(struct cczi_p256_jac *acc, const struct cczi_p256_ref *refs, size_t len)
{
    for (size_t i = 0; i < len; i++)
        jac_add_signed(acc, refs[i].point, refs[i].negate);
}

/*
 * Q, 3 Q, 5 Q .. 15 Q in affine form. The isomorphism (x, y) -> (x z^2, y z^3) with the z of
 * 2 Q makes 2 Q affine, so that the additions are mixed ones (Meloni 2007; none meets a special
 * case, the order of Q being prime). They give each z as a multiple of the one before, so that one
 * inversion, of the last z, serves all.
 */
enum { ODD_LEN = 1 << (CCZI_P256_NAF_BITS - 2) };
static void odd_multiples(struct cczi_p256_point out[ODD_LEN], const struct cczi_p256_point *q)
{
    struct cczi_p256_jac twice = {q->x, q->y, fe_one, fe_one}, p = twice;
    struct cczi_fe ratio[ODD_LEN], z2, t;
    jac_double(&twice);
    fe_mul(&p.x, &q->x, &twice.zz);
    fe_mul(&t, &twice.zz, &twice.z);
    fe_mul(&p.y, &q->y, &t);
    for (size_t i = 1; i < ODD_LEN; i++) {
        jac_add(&p, &twice.x, &twice.y, &ratio[i]);
        out[i].x = p.x;
        out[i].y = p.y;
    }
    fe_mul(&p.z, &p.z, &twice.z);
    fe_inverse(&t, &p.z);
    for (size_t i = ODD_LEN - 1; i > 0; i--) {
        fe_sqr(&z2, &t);
        fe_mul(&out[i].x, &out[i].x, &z2);
        fe_mul(&z2, &z2, &t);
        fe_mul(&out[i].y, &out[i].y, &z2);
        fe_mul(&t, &t, &ratio[i]);
    }
    out[0] = *q;
}

static void curve_mul(struct cczi_p256_jac *out, const struct cczi_p256_point *q, const int8_t *naf,
                      size_t len)
{
    struct cczi_p256_point odd[ODD_LEN];
    odd_multiples(odd, q);
    memset(out, 0, sizeof(*out));
    for (size_t i = len; i-- > 0;) {
        jac_double(out);
        int d = naf[i];
        if (d != 0)
            jac_add_signed(out, &odd[(d < 0 ? -d : d) / 2], d < 0);
    }
}

/* 12 M + 4 S: HMV, 3.2.2, for two points in Jacobian form */
static void curve_add(struct cczi_p256_jac *a, const struct cczi_p256_jac *b)
{
    struct cczi_fe h, r, u, s, t;
    if (fe_is_zero(&b->z))
        return;
    if (fe_is_zero(&a->z)) {
        *a = *b;
        return;
    }
    fe_mul(&u, &a->x, &b->zz);
    fe_mul(&h, &b->x, &a->zz);
    fe_mul(&s, &a->y, &b->zz);
    fe_mul(&r, &b->y, &a->zz);
    fe_mul(&s, &s, &b->z);
    fe_mul(&r, &r, &a->z);
    fe_sub(&h, &h, &u);
    fe_sub(&r, &r, &s);
    if (fe_is_zero(&h)) {
        if (fe_is_zero(&r))
            jac_double(a);
        else
            memset(a, 0, sizeof(*a));
        return;
    }
    fe_mul(&a->z, &a->z, &b->z);
    fe_sqr(&t, &h);
    fe_mul(&a->z, &a->z, &h);
    fe_mul(&u, &u, &t);
    fe_mul(&h, &h, &t); /* h^3 */
    fe_sqr(&t, &r);
    fe_sqr(&a->zz, &a->z);
    fe_sub(&t, &t, &h);
    fe_sub(&t, &t, &u);
    fe_sub(&a->x, &t, &u);
    fe_sub(&u, &u, &a->x);
    fe_mul(&s, &s, &h);
    fe_mul(&u, &u, &r);
    fe_sub(&a->y, &u, &s);
}

static bool curve_x_is(const struct cczi_p256_jac *p, const struct cczi_p256_int *r)
{
    if (fe_is_zero(&p->z))
        return false;
    struct cczi_fe x;
    memcpy(x.v, r->v, sizeof(x.v));
    fe_mul(&x, &x, &fe_r2);
    fe_mul(&x, &x, &p->zz);
    if (fe_equal(&x, &p->x))
        return true;
    /* p > n: an x of n or more is reduced to r as well, if r + n is below p */
    uint64_t sum[4], carry = 0;
    for (size_t i = 0; i < 4; i++) {
        uint64_t t = r->v[i] + carry;
        carry = t < carry;
        sum[i] = t + cczi_p256_order.v[i];
        carry += sum[i] < t;
    }
    if (carry || !cczi_p256_int_less(sum, fe_p))
        return false;
    memcpy(x.v, sum, sizeof(x.v));
    fe_mul(&x, &x, &fe_r2);
    fe_mul(&x, &x, &p->zz);
    return fe_equal(&x, &p->x);
}

/* ------------------------------------------------------------------------ table of a key */

/* Affine sums out[i] = a[i] + b[i] with one inversion for all (Montgomery 1987). Every pair is the
 * same point twice or two points with different x. */
struct pair {
    const struct cczi_p256_point *a, *b;
    struct cczi_p256_point *out;
    struct cczi_fe over, before; /* denominator of the slope; product of the earlier ones */
};

static void affine_add(struct pair *p, const struct cczi_fe *inverse)
{
    struct cczi_fe slope, t, x;
    if (p->a == p->b) { /* (3 x^2 - 3) / 2 y */
        fe_sqr(&t, &p->a->x);
        fe_sub(&t, &t, &fe_one);
        fe_add(&slope, &t, &t);
        fe_add(&slope, &slope, &t);
    } else {
        fe_sub(&slope, &p->b->y, &p->a->y);
    }
    fe_mul(&slope, &slope, inverse);
    fe_sqr(&x, &slope);
    fe_sub(&x, &x, &p->a->x);
    fe_sub(&x, &x, &p->b->x);
    fe_sub(&t, &p->a->x, &x);
    fe_mul(&t, &t, &slope);
    fe_sub(&p->out->y, &t, &p->a->y);
    p->out->x = x;
}

static void affine_add_all(struct pair *pairs, size_t len)
{
    struct cczi_fe product = fe_one, t;
    for (size_t i = 0; i < len; i++) {
        struct pair *p = &pairs[i];
        if (p->a == p->b)
            fe_add(&p->over, &p->a->y, &p->a->y);
        else
            fe_sub(&p->over, &p->b->x, &p->a->x);
        p->before = product;
        fe_mul(&product, &product, &p->over);
    }
    fe_inverse(&product, &product);
    for (size_t i = len; i-- > 0;) {
        fe_mul(&t, &product, &pairs[i].before);
        fe_mul(&product, &product, &pairs[i].over);
        affine_add(&pairs[i], &t);
    }
}

/* The first column: 2^(7 i) Q, affine with one inversion. */
static void table_bases(struct cczi_p256_table *out, const struct cczi_p256_point *q)
{
    struct cczi_p256_jac p[CCZI_P256_COMB_ROWS] = {{q->x, q->y, fe_one, fe_one}};
    struct cczi_fe before[CCZI_P256_COMB_ROWS], product = fe_one, t, z2;
    for (size_t i = 1; i < CCZI_P256_COMB_ROWS; i++) {
        p[i] = p[i - 1];
        for (size_t k = 0; k < CCZI_P256_COMB_BITS; k++)
            jac_double(&p[i]);
        before[i] = product;
        fe_mul(&product, &product, &p[i].z);
    }
    fe_inverse(&product, &product);
    for (size_t i = CCZI_P256_COMB_ROWS - 1; i > 0; i--) {
        fe_mul(&t, &product, &before[i]);
        fe_mul(&product, &product, &p[i].z);
        fe_sqr(&z2, &t);
        fe_mul(&out->at[i][0].x, &p[i].x, &z2);
        fe_mul(&z2, &z2, &t);
        fe_mul(&out->at[i][0].y, &p[i].y, &z2);
    }
    out->at[0][0] = *q;
}

/* With the multiples 1..m of each row known, m + 1..2 m are one addition away. */
static void curve_table(struct cczi_p256_table *out, const struct cczi_p256_point *q)
{
    enum { GROUP_ROWS = 4, GROUP_LEN = GROUP_ROWS * CCZI_P256_COMB_COLS / 2 };
    struct pair pairs[GROUP_LEN]; /* rows in groups, to keep this small */
    table_bases(out, q);
    for (size_t m = 1; m < CCZI_P256_COMB_COLS; m *= 2) {
        size_t len = 0;
        for (size_t row = 0; row < CCZI_P256_COMB_ROWS; row++) {
            struct cczi_p256_point *at = out->at[row];
            for (size_t j = 0; j < m; j++)
                pairs[len++] = (struct pair){.a = &at[j], .b = &at[m - 1], .out = &at[m + j]};
            if (len + m > GROUP_LEN || row + 1 == CCZI_P256_COMB_ROWS) {
                affine_add_all(pairs, len);
                len = 0;
            }
        }
    }
}

const struct cczi_p256_curve CURVE = {
    .name = CURVE_NAME,
    .read = curve_read,
    .mul = curve_mul,
    .sum = curve_sum,
    .add = curve_add,
    .x_is = curve_x_is,
    .table = curve_table,
    .fe_mul = fe_mul,
    .fe_sqr = fe_sqr,
    .fe_add = fe_add,
    .fe_sub = fe_sub,
    .fe_half = fe_half,
    .fe_inverse = fe_inverse,
};
