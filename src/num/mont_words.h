/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels for one value at a time on limbs of 64 bits, included by mont_portable.c and mont_x86.c, which
 * define before:
 *   mp_limb_t reduce(mp_limb_t *q, mp_limb_t *x, const struct cczi_mont_moduli *m)
 *     x (2n limbs) + q p = t R with q (n limbs): t to x + n. Returns what is above 2^64n in t.
 *   void mul_wide(mp_limb_t *r, const mp_limb_t *a, const mp_limb_t *b, mp_size_t n)
 *   void sqr_wide(mp_limb_t *r, const mp_limb_t *a, mp_size_t n)
 * Of GMP's low-level functions only those are used whose time does not depend on values: mpn_sec_*,
 * mpn_cnd_*, mpn_add_n, mpn_sub_n, mpn_addmul_1 (GMP manual, 8.1 "Low-level functions for
 * cryptography"). No include guard.
 */

static mp_limb_t *limbs(uint64_t *a)
{
    return (mp_limb_t *)a;
}

static const mp_limb_t *const_limbs(const uint64_t *a)
{
    return (const mp_limb_t *)a;
}

/* r -= p if top * 2^64n + r >= p. @return whether it was */
static mp_limb_t sub_if_above(mp_limb_t *r, mp_limb_t *top, const mp_limb_t *p, mp_size_t n)
{
    mp_limb_t above = *top - mpn_sub_n(r, r, p, n);
    mp_limb_t less = above >> 63;
    (void)mpn_cnd_add_n(less, r, r, p, n);
    *top = above + less;
    return 1 - less;
}

static void finish_plain(uint64_t *r, mp_limb_t *x, const struct cczi_mont_moduli *m)
{
    mp_limb_t q[LIMBS_MAX], top = reduce(q, x, m);
    mp_size_t n = (mp_size_t)m->limbs;
    (void)sub_if_above(x + n, &top, const_limbs(m->mod), n);
    memcpy(r, x + n, m->limbs * 8);
}

static void mul_plain(uint64_t *r, const uint64_t *a, const uint64_t *b,
                      const struct cczi_mont_moduli *m)
{
    mp_limb_t x[2 * LIMBS_MAX];
    mul_wide(x, const_limbs(a), const_limbs(b), (mp_size_t)m->limbs);
    finish_plain(r, x, m);
}

static void sqr_plain(uint64_t *r, const uint64_t *a, const struct cczi_mont_moduli *m)
{
    mp_limb_t x[2 * LIMBS_MAX];
    sqr_wide(x, const_limbs(a), (mp_size_t)m->limbs);
    finish_plain(r, x, m);
}

/*
 * x = a0 b0; y, top 2^128n = a0 b1 + a1 b0. With x + q p = t R the product is t R + (y - q) p, which
 * divided by R is t + p (y - q) / R modulo p^2.
 */
static void finish_pair(uint64_t *r, mp_limb_t *x, mp_limb_t *y, mp_limb_t top,
                        const struct cczi_mont_moduli *m)
{
    mp_size_t n = (mp_size_t)m->limbs;
    const mp_limb_t *p = const_limbs(m->mod);
    mp_limb_t q[LIMBS_MAX], digit[LIMBS_MAX] = {0};
    mp_limb_t low_top = reduce(q, x, m);
    mp_limb_t carry = sub_if_above(x + n, &low_top, p, n);

    digit[0] = mpn_sub_n(y, y, q, n);
    mp_limb_t borrow = mpn_sub_n(y + n, y + n, digit, n);
    mp_limb_t negative = borrow & (1 - top);
    (void)mpn_cnd_add_n(negative, y + n, y + n, p, n); /* p R is 0 */
    top -= borrow & (1 - negative);

    top += reduce(q, y, m);
    digit[0] = carry;
    top += mpn_add_n(y + n, y + n, digit, n);
    (void)sub_if_above(y + n, &top, p, n);
    (void)sub_if_above(y + n, &top, p, n);
    memcpy(r, x + n, m->limbs * 8);
    memcpy(r + n, y + n, m->limbs * 8);
}

static void mul_pair(uint64_t *r, const uint64_t *a, const uint64_t *b,
                     const struct cczi_mont_moduli *m)
{
    mp_size_t n = (mp_size_t)m->limbs;
    mp_limb_t x[LIMBS_MAX], y[LIMBS_MAX], z[LIMBS_MAX]; /* pairs have half the limbs */
    mul_wide(x, const_limbs(a), const_limbs(b), n);
    mul_wide(y, const_limbs(a), const_limbs(b) + n, n);
    mul_wide(z, const_limbs(a) + n, const_limbs(b), n);
    mp_limb_t top = mpn_add_n(y, y, z, 2 * n);
    finish_pair(r, x, y, top, m);
}

static void sqr_pair(uint64_t *r, const uint64_t *a, const struct cczi_mont_moduli *m)
{
    mp_size_t n = (mp_size_t)m->limbs;
    mp_limb_t x[LIMBS_MAX], y[LIMBS_MAX];
    sqr_wide(x, const_limbs(a), n);
    mul_wide(y, const_limbs(a), const_limbs(a) + n, n);
    mp_limb_t top = mpn_add_n(y, y, y, 2 * n);
    finish_pair(r, x, y, top, m);
}

static void add_low(uint64_t *a, const uint64_t *x, const struct cczi_mont_moduli *m, bool pair)
{
    mp_size_t n = (mp_size_t)m->limbs;
    mp_limb_t digit[LIMBS_MAX] = {0};
    digit[0] = mpn_add_n(limbs(a), const_limbs(a), const_limbs(x), n);
    (void)mpn_cnd_sub_n(digit[0], limbs(a), const_limbs(a), const_limbs(m->mod), n);
    if (pair) /* low - p, high + 1 */
        (void)mpn_add_n(limbs(a) + n, const_limbs(a) + n, digit, n);
}

static void load(uint64_t *group, const uint64_t *const *values, size_t len)
{
    memmove(group, values[0], len * 8);
}

static void store(uint64_t *const *values, const uint64_t *group, size_t len)
{
    memmove(values[0], group, len * 8);
}

/* All ones if a == b. */
static uint64_t equal(uint64_t a, uint64_t b)
{
    uint64_t d = a ^ b, mask = ((d | (0 - d)) >> 63) - 1;
    __asm__("" : "+r"(mask)); /* the optimizer is not to see a condition */
    return mask;
}

static void select_entry(uint64_t *r, const uint64_t *table, size_t entries, const uint64_t *digits,
                         size_t len)
{
    memset(r, 0, len * 8);
    for (size_t e = 0; e < entries; e++) {
        uint64_t mask = equal(e, digits[0]);
        for (size_t i = 0; i < len; i++)
            r[i] |= table[e * len + i] & mask;
    }
}

static void lookup(uint64_t *r, const uint64_t *table, size_t entries, const uint64_t *digits,
                   size_t len)
{
    uint64_t masks[1 << CCZ_MONT_COMB_WINDOW_MAX];
    for (size_t e = 0; e < entries; e++)
        masks[e] = equal(e, digits[0]);
    for (size_t i = 0; i < len; i++) {
        uint64_t sum = 0;
        for (size_t e = 0; e < entries; e++)
            sum |= table[i * entries + e] & masks[e];
        r[i] = sum;
    }
}

static const struct cczi_mont_ops ops = {
    .lanes = 1,
    .cells = 1,
    .mul = {mul_plain, mul_pair},
    .sqr = {sqr_plain, sqr_pair},
    .add_low = add_low,
    .load = load,
    .store = store,
    .select = select_entry,
    .lookup = lookup,
};
