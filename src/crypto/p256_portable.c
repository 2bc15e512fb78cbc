/* SPDX-License-Identifier: Apache-2.0 */
/* The field of P-256 in plain C, four limbs of 64 bits. Variable time: public data only. */
#include "p256_priv.h"

__extension__ typedef unsigned __int128 u128;

#define P0 0xffffffffffffffffu
#define P1 0x00000000ffffffffu
#define P3 0xffffffff00000001u /* the limb between them is 0 */

/* out + carry = a + b + carry */
static inline uint64_t add_carry(uint64_t a, uint64_t b, uint64_t *carry)
{
    u128 t = (u128)a + b + *carry;
    *carry = (uint64_t)(t >> 64);
    return (uint64_t)t;
}

static inline uint64_t sub_borrow(uint64_t a, uint64_t b, uint64_t *borrow)
{
    u128 t = (u128)a - b - *borrow;
    *borrow = (uint64_t)(t >> 64) & 1;
    return (uint64_t)t;
}

/* out + carry = t + a b + carry */
static inline uint64_t mul_add(uint64_t t, uint64_t a, uint64_t b, uint64_t *carry)
{
    u128 r = (u128)a * b + t + *carry;
    *carry = (uint64_t)(r >> 64);
    return (uint64_t)r;
}

/* t + top * 2^256, below 2 p, minus p unless it is below p */
static inline void subtract_p(struct cczi_fe *r, const uint64_t t[4], uint64_t top)
{
    uint64_t borrow = 0;
    const uint64_t s[4] = {sub_borrow(t[0], P0, &borrow), sub_borrow(t[1], P1, &borrow),
                           sub_borrow(t[2], 0, &borrow), sub_borrow(t[3], P3, &borrow)};
    (void)sub_borrow(top, 0, &borrow);
    for (size_t i = 0; i < 4; i++)
        r->v[i] = borrow ? t[i] : s[i];
}

static inline void fe_add(struct cczi_fe *r, const struct cczi_fe *a, const struct cczi_fe *b)
{
    uint64_t carry = 0, t[4];
    for (size_t i = 0; i < 4; i++)
        t[i] = add_carry(a->v[i], b->v[i], &carry);
    subtract_p(r, t, carry);
}

static inline void fe_sub(struct cczi_fe *r, const struct cczi_fe *a, const struct cczi_fe *b)
{
    uint64_t borrow = 0, carry = 0, t[4];
    for (size_t i = 0; i < 4; i++)
        t[i] = sub_borrow(a->v[i], b->v[i], &borrow);
    uint64_t all = 0 - borrow;
    r->v[0] = add_carry(t[0], all & P0, &carry);
    r->v[1] = add_carry(t[1], all & P1, &carry);
    r->v[2] = add_carry(t[2], 0, &carry);
    r->v[3] = add_carry(t[3], all & P3, &carry);
}

/*
 * a b / 2^256 mod p: product, then Montgomery's reduction. Since p = -1 mod 2^64, the multiple of
 * p that clears a limb m is m itself: m p = -m + m 2^96 + m P3 2^192.
 */
static void fe_mul(struct cczi_fe *r, const struct cczi_fe *a, const struct cczi_fe *b)
{
    uint64_t t[8] = {0};
    for (size_t i = 0; i < 4; i++) {
        uint64_t carry = 0;
        for (size_t j = 0; j < 4; j++)
            t[i + j] = mul_add(t[i + j], a->v[j], b->v[i], &carry);
        t[i + 4] = carry;
    }
    uint64_t low[4] = {t[0], t[1], t[2], t[3]}, carry;
    for (size_t i = 0; i < 4; i++) {
        uint64_t m = low[0];
        u128 top = (u128)m * P3;
        carry = 0;
        low[0] = add_carry(low[1], m << 32, &carry);
        low[1] = add_carry(low[2], m >> 32, &carry);
        low[2] = add_carry(low[3], (uint64_t)top, &carry);
        low[3] = (uint64_t)(top >> 64) + carry;
    }
    carry = 0;
    for (size_t i = 0; i < 4; i++)
        t[i] = add_carry(low[i], t[i + 4], &carry);
    subtract_p(r, t, carry);
}

static inline void fe_sqr(struct cczi_fe *r, const struct cczi_fe *a)
{
    fe_mul(r, a, a);
}

#define CURVE      cczi_p256_curve_portable
#define CURVE_NAME "portable"
#include "p256_curve.h"
