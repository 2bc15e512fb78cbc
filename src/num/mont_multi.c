/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of powers with small signed exponents, bases shared by many outputs.
 *
 * Exponents are cut into signed digits of w bits, -2^(w-1) <= d <= 2^(w-1). For each position of a
 * digit and each sign, an output has one accumulator: the product of base^|d| over the bases. At the
 * end positions are put together by Horner's rule, and the negative half is inverted once.
 * The lanes are outputs. There are two ways to fill accumulators:
 *  - tables (Straus): all base^d for one base, used by every output: 2^(w-1) products per base;
 *  - buckets (Pippenger): the base goes into the bucket of its digit, per output; buckets are summed
 *    up at the end: 2^w products per sign, position and output.
 * Both take one product per base, output and position.
 */
#include "mont_priv.h"

#include <string.h>

enum { WINDOW_MIN = 2, WINDOW_MAX = 10, SIGNS = 2 };

struct plan {
    const struct ccz_mont *m;
    size_t out_len, bases_len, stride;
    const uint64_t *bases;
    const int64_t *exps;
    bool buckets;
    unsigned window;
    size_t positions, half; /* half = 2^(window - 1), the largest digit */
};

/* ------------------------------------------------------------------------------------- digits */

/* The digit at a position; the topmost one takes all that is left. */
static int digit_at(const struct plan *p, int64_t exp, size_t position)
{
    size_t top = p->positions - 1;
    int64_t half = (int64_t)p->half, bias = 0;
    for (size_t k = 0; k < top; k++)
        bias |= half << (k * p->window);
    exp += bias;
    exp >>= position * p->window; /* arithmetic: gcc and clang */
    return (int)(position == top ? exp : (exp & (2 * half - 1)) - half);
}

static bool in_range(const struct plan *p, unsigned exp_bits)
{
    int64_t limit = (int64_t)1 << exp_bits;
    bool right = true;
    for (size_t i = 0; i < p->bases_len; i++) {
        for (size_t j = 0; j < p->out_len; j++) {
            int64_t e = p->exps[i * p->stride + j];
            right = right && e < limit && e > -limit;
        }
    }
    return right;
}

/* -------------------------------------------------------------------------------------- cost */

static size_t cost(const struct plan *p, size_t squares)
{
    size_t groups = (p->out_len + CCZI_MONT_LANES_MAX - 1) / CCZI_MONT_LANES_MAX;
    size_t all = groups * (p->positions * p->bases_len + squares);
    if (p->buckets)
        return all + groups * p->positions * SIGNS * 2 * p->half;
    return all + p->bases_len * (p->half + CCZI_MONT_LANES_MAX - 1) / CCZI_MONT_LANES_MAX;
}

static void choose(struct plan *p, unsigned exp_bits)
{
    struct plan best = *p;
    size_t best_cost = SIZE_MAX;
    for (unsigned w = WINDOW_MIN; w <= WINDOW_MAX; w++) {
        p->window = w;
        p->half = (size_t)1 << (w - 1);
        p->positions = (exp_bits + w) / w; /* one bit for the sign */
        for (int b = 0; b < 2; b++) {
            p->buckets = b;
            size_t c = cost(p, exp_bits);
            if (c < best_cost) {
                best_cost = c;
                best = *p;
            }
        }
    }
    *p = best;
}

/* ------------------------------------------------------------------------------------- tables */

/* Powers 0 .. half of eight bases: [power][base][len]. */
static void fill_tables(const struct plan *p, uint64_t *table, const uint64_t *bases, size_t count)
{
    const struct ccz_mont *m = p->m;
    size_t row = CCZI_MONT_LANES_MAX * m->len;
    for (size_t k = 0; k < count; k++) {
        memcpy(table + k * m->len, m->one, m->len * 8);
        memcpy(table + row + k * m->len, bases + k * m->len, m->len * 8);
    }
    for (size_t e = 2; e <= p->half; e++)
        ccz_mont_mul(m, table + e * row, table + (e - 1) * row, table + row, count);
}

/* acc[position][sign] of a group of outputs *= powers of one base. */
static void multiply_in(const struct plan *p, const struct cczi_mont_ops *ops, uint64_t *acc,
                        const uint64_t *powers, const int64_t *exps, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t factor[CCZI_MONT_GROUP_LEN], signed_acc[CCZI_MONT_GROUP_LEN];
    const struct ccz_mont *m = p->m;
    size_t lanes = ops->lanes, group_len = m->len * lanes;
    for (size_t k = 0; k < p->positions; k++) {
        const uint64_t *values[CCZI_MONT_LANES_MAX];
        uint64_t mask[CCZI_MONT_LANES_MAX], any = 0;
        uint64_t *plus = acc + k * SIGNS * group_len, *minus = plus + group_len;
        for (size_t j = 0; j < lanes; j++) {
            int d = j < count ? digit_at(p, exps[j], k) : 0;
            mask[j] = d < 0 ? ~0ull : 0;
            any |= (uint64_t)(d != 0);
            values[j] = powers + (size_t)(d < 0 ? -d : d) * CCZI_MONT_LANES_MAX * m->len;
        }
        if (!any)
            continue;
        ops->load(factor, values, m->len);
        for (size_t i = 0; i < m->len; i++) {
            for (size_t j = 0; j < lanes; j++) {
                size_t at = i * lanes + j;
                signed_acc[at] = (minus[at] & mask[j]) | (plus[at] & ~mask[j]);
            }
        }
        ops->mul[m->pair](signed_acc, signed_acc, factor, cczi_mont_moduli(m, ops));
        for (size_t i = 0; i < m->len; i++) {
            for (size_t j = 0; j < lanes; j++) {
                size_t at = i * lanes + j;
                minus[at] = (signed_acc[at] & mask[j]) | (minus[at] & ~mask[j]);
                plus[at] = (plus[at] & mask[j]) | (signed_acc[at] & ~mask[j]);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------ buckets */

/* Where the bucket of a digit is: [lane][-half .. half][len]. */
static uint64_t *bucket_of(const struct plan *p, uint64_t *buckets, size_t lane, int digit)
{
    size_t at = lane * (2 * p->half + 1) + (size_t)((int)p->half + digit);
    return buckets + at * p->m->len;
}

/* acc = product of bucket[d]^d over d > 0 for one sign: running products from the top. */
static void sum_buckets(const struct plan *p, const struct cczi_mont_ops *ops, uint64_t *acc,
                        uint64_t *buckets, int sign)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t running[CCZI_MONT_GROUP_LEN], factor[CCZI_MONT_GROUP_LEN];
    const struct ccz_mont *m = p->m;
    const struct cczi_mont_moduli *moduli = cczi_mont_moduli(m, ops);
    for (int d = (int)p->half; d > 0; d--) {
        const uint64_t *values[CCZI_MONT_LANES_MAX];
        for (size_t j = 0; j < ops->lanes; j++)
            values[j] = bucket_of(p, buckets, j, sign * d);
        ops->load(factor, values, m->len);
        if (d == (int)p->half) {
            memcpy(running, factor, m->len * ops->lanes * 8);
            memcpy(acc, factor, m->len * ops->lanes * 8);
        } else {
            ops->mul[m->pair](running, running, factor, moduli);
            ops->mul[m->pair](acc, acc, running, moduli);
        }
    }
}

/* acc[position][sign] of a group of outputs. */
static void fill_buckets(const struct plan *p, const struct cczi_mont_ops *ops, uint64_t *acc,
                         uint64_t *buckets, const int64_t *exps, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t factor[CCZI_MONT_GROUP_LEN], base[CCZI_MONT_GROUP_LEN];
    const struct ccz_mont *m = p->m;
    size_t lanes = ops->lanes, group_len = m->len * lanes;
    for (size_t k = 0; k < p->positions; k++) {
        for (size_t i = 0; i < lanes * (2 * p->half + 1); i++)
            memcpy(buckets + i * m->len, m->one, m->len * 8);
        for (size_t i = 0; i < p->bases_len; i++) {
            const uint64_t *from[CCZI_MONT_LANES_MAX];
            uint64_t *to[CCZI_MONT_LANES_MAX], any = 0;
            for (size_t j = 0; j < lanes; j++) {
                int d = j < count ? digit_at(p, exps[i * p->stride + j], k) : 0;
                from[j] = to[j] = bucket_of(p, buckets, j, d);
                any |= (uint64_t)(d != 0);
            }
            if (!any)
                continue;
            ops->load(factor, from, m->len);
            cczi_mont_repeat(base, p->bases + i * m->len, m->len, lanes);
            ops->mul[m->pair](factor, factor, base, cczi_mont_moduli(m, ops));
            ops->store(to, factor, m->len);
        }
        sum_buckets(p, ops, acc + k * SIGNS * group_len, buckets, 1);
        sum_buckets(p, ops, acc + (k * SIGNS + 1) * group_len, buckets, -1);
    }
}

/* ------------------------------------------------------------------------------------ results */

/* Puts the positions of one sign of a group together, in place at position 0. */
static void horner(const struct plan *p, const struct cczi_mont_ops *ops, uint64_t *acc, int sign)
{
    const struct cczi_mont_moduli *moduli = cczi_mont_moduli(p->m, ops);
    size_t group_len = p->m->len * ops->lanes;
    bool pair = p->m->pair;
    for (size_t k = p->positions - 1; k > 0; k--) {
        uint64_t *high = acc + (k * SIGNS + (size_t)sign) * group_len;
        uint64_t *low = high - SIGNS * group_len;
        for (unsigned i = 0; i < p->window; i++)
            ops->sqr[pair](high, high, moduli);
        ops->mul[pair](low, low, high, moduli);
    }
}

/* The base to blame if a product of negative powers has no inverse. */
static ccz_rc blame(const struct plan *p, uint64_t *out, struct ccz_err *err)
{
    uint64_t unused[CCZ_MONT_LEN_MAX];
    memset(out, 0, p->out_len * p->m->len * 8);
    for (size_t i = 0; i < p->bases_len; i++) {
        bool negative = false;
        for (size_t j = 0; j < p->out_len; j++)
            negative = negative || p->exps[i * p->stride + j] < 0;
        if (negative &&
            ccz_mont_inv_var(p->m, unused, p->bases + i * p->m->len, 1, NULL) == CCZ_E_FORMAT)
            return ccz_fail(err, CCZ_E_FORMAT, "mont:inverse", (int64_t)i,
                            "base %zu has a factor in common with the modulus", i);
    }
    return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
}

/*
 * Layout of the memory: results of the negative powers [out_len][len]; accumulators
 * [group][position][sign][len][lanes]; then a table [half + 1][8][len] or buckets.
 */
static void run(const struct plan *p, uint64_t *out, uint64_t *memory)
{
    const struct ccz_mont *m = p->m;
    size_t wide = m->tier->wide->lanes, groups = (p->out_len + wide - 1) / wide;
    size_t step = p->positions * SIGNS * m->len * wide;
    uint64_t *negative = memory, *acc = negative + groups * wide * m->len;
    uint64_t *extra = acc + groups * step;
    for (size_t g = 0; g < groups && !p->buckets; g++) {
        const struct cczi_mont_ops *ops = cczi_mont_ops(m->tier, p->out_len - g * wide);
        for (size_t k = 0; k < p->positions * SIGNS; k++)
            cczi_mont_repeat(acc + g * step + k * m->len * ops->lanes, m->one, m->len, ops->lanes);
    }
    for (size_t i = 0; i < p->bases_len && !p->buckets; i++) {
        size_t left = p->bases_len - i, lane = i % CCZI_MONT_LANES_MAX;
        if (lane == 0)
            fill_tables(p, extra, p->bases + i * m->len,
                        left < CCZI_MONT_LANES_MAX ? left : CCZI_MONT_LANES_MAX);
        for (size_t g = 0; g < groups; g++) {
            const struct cczi_mont_ops *ops = cczi_mont_ops(m->tier, p->out_len - g * wide);
            multiply_in(p, ops, acc + g * step, extra + lane * m->len,
                        p->exps + i * p->stride + g * wide, p->out_len - g * wide);
        }
    }
    for (size_t g = 0; g < groups; g++) {
        size_t left = p->out_len - g * wide, count = left < wide ? left : wide;
        const struct cczi_mont_ops *ops = cczi_mont_ops(m->tier, left);
        uint64_t *a = acc + g * step;
        if (p->buckets)
            fill_buckets(p, ops, a, extra, p->exps + g * wide, count);
        for (int sign = 0; sign < SIGNS; sign++) {
            horner(p, ops, a, sign);
            cczi_mont_store(m, ops, (sign ? negative : out) + g * wide * m->len,
                            a + (size_t)sign * m->len * ops->lanes, count);
        }
    }
}

ccz_rc ccz_mont_multi_pow_var(const struct ccz_mont *m, uint64_t *out, size_t out_len,
                              const uint64_t *bases, size_t bases_len, const int64_t *exps,
                              size_t stride, unsigned exp_bits, struct ccz_err *err)
{
    CCZI_AUTO_SCRATCH scratch = {0};
    struct plan p = {.m = m,
                     .out_len = out_len,
                     .bases_len = bases_len,
                     .stride = stride,
                     .bases = bases,
                     .exps = exps};
    if (out_len == 0)
        return CCZ_OK;
    if (exp_bits < 1 || exp_bits > 62 || !in_range(&p, exp_bits))
        return ccz_fail(err, CCZ_E_ARG, "mont:exp", exp_bits,
                        "an exponent has more than %u bits, or that is not 1 to 62", exp_bits);
    choose(&p, exp_bits);
    size_t wide = m->tier->wide->lanes, groups = (out_len + wide - 1) / wide;
    size_t extra = p.buckets ? wide * (2 * p.half + 1) : (p.half + 1) * CCZI_MONT_LANES_MAX;
    size_t values = groups * wide * (1 + p.positions * SIGNS) + extra;
    uint64_t *memory = cczi_mont_scratch_new(&scratch, values * m->len);
    if (!memory)
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
    run(&p, out, memory);
    ccz_rc rc = ccz_mont_inv_var(m, memory, memory, out_len, NULL);
    if (rc != CCZ_OK)
        return blame(&p, out, err);
    ccz_mont_mul(m, out, out, memory, out_len);
    return CCZ_OK;
}
