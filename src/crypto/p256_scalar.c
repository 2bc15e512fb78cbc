/* SPDX-License-Identifier: Apache-2.0 */
/* Integers around P-256: modulo its order, inverses, digits. Variable time: public data only. */
#include "p256_priv.h"

#include <string.h>

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

/* FIPS 186-5 / SP 800-186, 3.2.1.3 */
const struct cczi_p256_int cczi_p256_order = {
    {0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000}};
static const uint64_t order_neg_inv = 0xccd1c8aaee00bc4f; /* -1 / n mod 2^64 */
static const struct cczi_p256_int order_r2 = {            /* 2^512 mod n */
                                              {0x83244c95be79eea2, 0x4699799c49bd6fa6,
                                               0x2845b2392b6bec59, 0x66e12d94f3d95620}};

struct cczi_p256_int cczi_p256_int_read(const uint8_t bytes[32])
{
    struct cczi_p256_int a = {{0}};
    for (size_t i = 0; i < 32; i++)
        a.v[3 - i / 8] = a.v[3 - i / 8] << 8 | bytes[i];
    return a;
}

bool cczi_p256_int_is_zero(const struct cczi_p256_int *a)
{
    return (a->v[0] | a->v[1] | a->v[2] | a->v[3]) == 0;
}

bool cczi_p256_int_less(const uint64_t a[4], const uint64_t b[4])
{
    size_t i = 3;
    while (i > 0 && a[i] == b[i])
        i--;
    return a[i] < b[i];
}

static void subtract(uint64_t out[4], const uint64_t a[4], const uint64_t b[4])
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < 4; i++) {
        u128 t = (u128)a[i] - b[i] - borrow;
        out[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
}

/* Montgomery multiplication, operand scanning (Koc, Acar, Kaliski 1996: CIOS). */
void cczi_p256_order_mul(struct cczi_p256_int *out, const struct cczi_p256_int *a,
                         const struct cczi_p256_int *b)
{
    const uint64_t *n = cczi_p256_order.v;
    uint64_t t[5] = {0};
    for (size_t i = 0; i < 4; i++) {
        u128 c = 0;
        for (size_t j = 0; j < 4; j++) {
            c += (u128)a->v[j] * b->v[i] + t[j];
            t[j] = (uint64_t)c;
            c >>= 64;
        }
        c += t[4];
        t[4] = (uint64_t)c;
        uint64_t carry = (uint64_t)(c >> 64);
        uint64_t m = t[0] * order_neg_inv;
        c = ((u128)m * n[0] + t[0]) >> 64;
        for (size_t j = 1; j < 4; j++) {
            c += (u128)m * n[j] + t[j];
            t[j - 1] = (uint64_t)c;
            c >>= 64;
        }
        c += t[4];
        t[3] = (uint64_t)c;
        t[4] = (uint64_t)(c >> 64) + carry;
    }
    if (t[4] != 0 || !cczi_p256_int_less(t, n))
        subtract(t, t, n);
    memcpy(out->v, t, sizeof(out->v));
}

void cczi_p256_order_inverse(struct cczi_p256_int *out, const struct cczi_p256_int *a)
{
    struct cczi_p256_int inverse;
    cczi_p256_inverse(inverse.v, a->v, cczi_p256_order.v);
    cczi_p256_order_mul(out, &inverse, &order_r2);
}

/* ------------------------------------------------------------------------------ inverses */

/*
 * Bernstein and Yang 2019, "Fast constant-time gcd computation and modular inversion", here in
 * variable time: 62 division steps at a time work on the low words of f and g alone and give a
 * 2x2 matrix, which is then applied to the whole f and g, and modulo m to d and e, where always
 * d * a = f and e * a = g. In the end g = 0 and f = +-1. Numbers are five signed limbs of 62 bits.
 */
enum { LIMBS = 5, STEPS = 62 };
static const uint64_t limb_mask = (UINT64_MAX >> 2);

struct wide {
    int64_t v[LIMBS]; /* 0 <= v[i] < 2^62 but for the last, which carries the sign */
};

/* 2^62 times what the steps do: f' = (u f + v g) / 2^62, g' = (q f + r g) / 2^62;
 * |u| + |v| and |q| + |r| are at most 2^62. */
struct matrix {
    int64_t u, v, q, r;
};

/* @return the new delta. All arithmetic is modulo 2^64, hence unsigned. */
static int64_t divsteps(struct matrix *m, int64_t delta, uint64_t f, uint64_t g)
{
    uint64_t u = 1, v = 0, q = 0, r = 1;
    int left = STEPS;
    for (;;) {
        /* steps with g even, at most as many as are left */
        int zeros = __builtin_ctzll(g | UINT64_MAX << left);
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        delta += zeros;
        left -= zeros;
        if (left == 0)
            break;
        if (delta > 0) { /* the step that swaps; its halving is one of those below */
            uint64_t f0 = f, u0 = u, v0 = v;
            delta = -delta;
            f = g, u = q, v = r;
            g = 0 - f0, q = 0 - u0, r = 0 - v0;
        }
        /* The next 1 - delta steps do not swap: together they add that multiple of f, f odd, which
         * makes as many low bits of g zero. f (2 - f^2) is 1 / f modulo 2^6. */
        int64_t bits = 1 - delta < left ? 1 - delta : left;
        uint64_t mask = UINT64_MAX >> (64 - (bits < 6 ? bits : 6));
        uint64_t w = g * f * (f * f - 2) & mask;
        g += f * w;
        q += u * w;
        r += v * w;
    }
    *m = (struct matrix){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return delta;
}

/* a = (u a + v b) / 2^62, b = (q a + r b) / 2^62, both exact */
static void apply(struct wide *a, struct wide *b, const struct matrix *m)
{
    i128 ca = (i128)m->u * a->v[0] + (i128)m->v * b->v[0];
    i128 cb = (i128)m->q * a->v[0] + (i128)m->r * b->v[0];
    ca >>= STEPS;
    cb >>= STEPS;
    for (size_t i = 1; i < LIMBS; i++) {
        ca += (i128)m->u * a->v[i] + (i128)m->v * b->v[i];
        cb += (i128)m->q * a->v[i] + (i128)m->r * b->v[i];
        a->v[i - 1] = (int64_t)((uint64_t)ca & limb_mask);
        b->v[i - 1] = (int64_t)((uint64_t)cb & limb_mask);
        ca >>= STEPS;
        cb >>= STEPS;
    }
    a->v[LIMBS - 1] = (int64_t)ca;
    b->v[LIMBS - 1] = (int64_t)cb;
}

/* The multiple of the modulus, in -2^61..2^61 - 1, that makes the low limb of x + k m zero. */
static int64_t clearing(uint64_t x, uint64_t m_inverse)
{
    return (int64_t)((0 - x * m_inverse) << 2) >> 2;
}

/* As apply(), modulo @p mod. The result is larger than the larger of d and e by at most mod / 2:
 * after the at most 12 rounds both are within 7 mod, so that nothing overflows. */
static void apply_mod(struct wide *d, struct wide *e, const struct matrix *m,
                      const struct wide *mod, uint64_t mod_inverse)
{
    i128 cd = (i128)m->u * d->v[0] + (i128)m->v * e->v[0];
    i128 ce = (i128)m->q * d->v[0] + (i128)m->r * e->v[0];
    int64_t kd = clearing((uint64_t)cd, mod_inverse), ke = clearing((uint64_t)ce, mod_inverse);
    cd = (cd + (i128)kd * mod->v[0]) >> STEPS;
    ce = (ce + (i128)ke * mod->v[0]) >> STEPS;
    for (size_t i = 1; i < LIMBS; i++) {
        cd += (i128)m->u * d->v[i] + (i128)m->v * e->v[i] + (i128)kd * mod->v[i];
        ce += (i128)m->q * d->v[i] + (i128)m->r * e->v[i] + (i128)ke * mod->v[i];
        d->v[i - 1] = (int64_t)((uint64_t)cd & limb_mask);
        e->v[i - 1] = (int64_t)((uint64_t)ce & limb_mask);
        cd >>= STEPS;
        ce >>= STEPS;
    }
    d->v[LIMBS - 1] = (int64_t)cd;
    e->v[LIMBS - 1] = (int64_t)ce;
}

static struct wide widen(const uint64_t a[4])
{
    return (struct wide){{(int64_t)(a[0] & limb_mask),
                          (int64_t)((a[0] >> 62 | a[1] << 2) & limb_mask),
                          (int64_t)((a[1] >> 60 | a[2] << 4) & limb_mask),
                          (int64_t)((a[2] >> 58 | a[3] << 6) & limb_mask), (int64_t)(a[3] >> 56)}};
}

/* x += sign * y */
static void accumulate(struct wide *x, int64_t sign, const struct wide *y)
{
    int64_t carry = 0;
    for (size_t i = 0; i < LIMBS - 1; i++) {
        carry += x->v[i] + sign * y->v[i];
        x->v[i] = (int64_t)((uint64_t)carry & limb_mask);
        carry >>= STEPS;
    }
    x->v[LIMBS - 1] += carry + sign * y->v[LIMBS - 1];
}

static bool is_zero(const struct wide *x)
{
    return (x->v[0] | x->v[1] | x->v[2] | x->v[3] | x->v[4]) == 0;
}

void cczi_p256_inverse(uint64_t out[4], const uint64_t a[4], const uint64_t m[4])
{
    const struct wide mod = widen(m);
    struct wide f = mod, g = widen(a), d = {{0}}, e = {{1}};
    uint64_t m_inverse = m[0]; /* Newton: right modulo 2^3, 2^6, ... 2^96 */
    for (int i = 0; i < 5; i++)
        m_inverse *= 2 - m[0] * m_inverse;
    int64_t delta = 1;
    while (!is_zero(&g)) {
        struct matrix t;
        delta = divsteps(&t, delta, (uint64_t)f.v[0] | (uint64_t)f.v[1] << 62,
                         (uint64_t)g.v[0] | (uint64_t)g.v[1] << 62);
        apply(&f, &g, &t);
        apply_mod(&d, &e, &t, &mod, m_inverse);
    }
    struct wide x = {{0}};
    accumulate(&x, f.v[LIMBS - 1] < 0 ? -1 : 1, &d);
    while (x.v[LIMBS - 1] < 0)
        accumulate(&x, 1, &mod);
    struct wide less = x;
    for (accumulate(&less, -1, &mod); less.v[LIMBS - 1] >= 0; accumulate(&less, -1, &mod))
        x = less;
    const uint64_t *v = (const uint64_t *)x.v;
    out[0] = v[0] | v[1] << 62;
    out[1] = v[1] >> 2 | v[2] << 60;
    out[2] = v[2] >> 4 | v[3] << 58;
    out[3] = v[3] >> 6 | v[4] << 56;
}

/* -------------------------------------------------------------------------------- digits */

size_t cczi_p256_naf(int8_t out[CCZI_P256_NAF_LEN], const struct cczi_p256_int *k)
{
    size_t len = 0, at = 0;
    unsigned carry = 0; /* what the digits so far are short of */
    memset(out, 0, CCZI_P256_NAF_LEN);
    while (at < 256 || carry) {
        uint64_t bit = at < 256 ? k->v[at / 64] >> (at % 64) & 1 : 0;
        if (bit == carry) { /* bit + carry is even: the digit is 0, the carry goes on */
            at++;
            continue;
        }
        uint64_t window = at < 256 ? k->v[at / 64] >> (at % 64) : 0;
        if (at % 64 > 64 - CCZI_P256_NAF_BITS && at / 64 < 3)
            window |= k->v[at / 64 + 1] << (64 - at % 64);
        int digit = (int)(window & ((1u << CCZI_P256_NAF_BITS) - 1)) + (int)carry;
        carry = digit >> (CCZI_P256_NAF_BITS - 1) & 1;
        digit -= (int)carry << CCZI_P256_NAF_BITS;
        out[at] = (int8_t)digit;
        len = at + 1;
        at += CCZI_P256_NAF_BITS;
    }
    return len;
}

/* k = sum of out[i] 2^(i bits), each digit at most 2^(bits - 1) either way. @param len  enough for
 * 257 bits, so that the last digit takes the carry */
static void signed_digits(int8_t *out, size_t len, unsigned bits, const struct cczi_p256_int *k)
{
    int carry = 0;
    for (size_t i = 0; i < len; i++) {
        size_t at = i * bits;
        uint64_t window = k->v[at / 64] >> (at % 64);
        if (at % 64 > 64 - bits && at / 64 < 3)
            window |= k->v[at / 64 + 1] << (64 - at % 64);
        int digit = (int)(window & ((1u << bits) - 1)) + carry;
        carry = digit > 1 << (bits - 1);
        out[i] = (int8_t)(digit - (carry << bits));
    }
}

void cczi_p256_windows(int8_t out[CCZI_P256_WINDOWS], const struct cczi_p256_int *k)
{
    signed_digits(out, CCZI_P256_WINDOWS, CCZI_P256_WINDOW_BITS, k);
}

size_t cczi_p256_comb(struct cczi_p256_ref out[CCZI_P256_COMB_ROWS],
                      const struct cczi_p256_table *t, const struct cczi_p256_int *k)
{
    int8_t digits[CCZI_P256_COMB_ROWS];
    size_t len = 0;
    signed_digits(digits, CCZI_P256_COMB_ROWS, CCZI_P256_COMB_BITS, k);
    for (size_t row = 0; row < CCZI_P256_COMB_ROWS; row++) {
        int d = digits[row];
        if (d == 0)
            continue;
        const struct cczi_p256_point *p = &t->at[row][(d < 0 ? -d : d) - 1];
        __builtin_prefetch(p);
        out[len++] = (struct cczi_p256_ref){p, d < 0};
    }
    return len;
}
