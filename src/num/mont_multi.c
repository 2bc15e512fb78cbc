/* SPDX-License-Identifier: Apache-2.0 */
/* Products of powers by tables, and which way is better; see mont_multi_priv.h. */
#include "mont_multi_priv.h"

#include <string.h>

enum { WINDOW_MIN = 2, WINDOW_MAX = 8, SIGNS = 2, EXP_BITS_MAX = 62 };

/* ---------------------------------------------------------------------------------------- plan */

static bool in_range(const struct cczi_mont_multi *p, unsigned exp_bits)
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

/* Products, in groups of lanes. */
static size_t cost(const struct cczi_mont_multi *p)
{
    size_t groups = cczi_mont_groups(p), n = p->bases_len, lanes = p->m->tier->wide->lanes;
    size_t squares = (p->positions - 1) * p->window, all = groups * p->positions * n;
    if (p->buckets)
        return all + groups * 2 * p->half + n * (squares + 3 * p->positions) / lanes;
    return all + groups * SIGNS * squares + n * p->half / lanes;
}

static void choose(struct cczi_mont_multi *p, unsigned exp_bits)
{
    struct cczi_mont_multi best = *p;
    size_t best_cost = SIZE_MAX;
    for (unsigned w = WINDOW_MIN; w <= WINDOW_MAX; w++) {
        p->window = w;
        p->half = (size_t)1 << (w - 1);
        p->positions = (exp_bits + w) / w; /* one bit for the sign */
        p->bias = 0;
        for (size_t k = 0; k + 1 < p->positions; k++)
            p->bias |= (int64_t)p->half << (k * w);
        for (int b = 0; b < 2; b++) {
            p->buckets = b;
            size_t c = cost(p);
            if (c < best_cost) {
                best_cost = c;
                best = *p;
            }
        }
    }
    *p = best;
}

/* -------------------------------------------------------------------------------------- tables */

/* Powers 0 .. half of up to eight bases: [power][base][len]. */
static void fill_tables(const struct cczi_mont_multi *p, uint64_t *table, const uint64_t *bases,
                        size_t count)
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

/* to = mask ? a : b, lane by lane */
static void blend(uint64_t *to, const uint64_t *a, const uint64_t *b, const uint64_t *mask,
                  size_t len, size_t lanes)
{
    for (size_t i = 0; i < len * lanes; i += lanes) {
        for (size_t j = 0; j < lanes; j++)
            to[i + j] = (a[i + j] & mask[j]) | (b[i + j] & ~mask[j]);
    }
}

/* acc[position][sign] of a group of outputs *= powers of one base. */
static void multiply_in(const struct cczi_mont_multi *p, const struct cczi_mont_ops *ops,
                        uint64_t *acc, const uint64_t *powers, const int64_t *exps, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t factor[CCZI_MONT_GROUP_LEN], product[CCZI_MONT_GROUP_LEN];
    const struct ccz_mont *m = p->m;
    size_t lanes = ops->lanes, group_len = m->len * lanes;
    for (size_t k = 0; k < p->positions; k++) {
        const uint64_t *values[CCZI_MONT_LANES_MAX];
        uint64_t negative[CCZI_MONT_LANES_MAX];
        uint64_t *plus = acc + k * SIGNS * group_len, *minus = plus + group_len;
        bool any = false;
        for (size_t j = 0; j < lanes; j++) {
            int d = j < count ? cczi_mont_digit(p, exps[j], k) : 0;
            negative[j] = d < 0 ? ~0ull : 0;
            any = any || d != 0;
            values[j] = powers + (size_t)(d < 0 ? -d : d) * CCZI_MONT_LANES_MAX * m->len;
        }
        if (!any)
            continue;
        ops->load(factor, values, m->len);
        blend(product, minus, plus, negative, m->len, lanes);
        ops->mul[m->pair](product, product, factor, cczi_mont_moduli(m, ops));
        blend(minus, product, minus, negative, m->len, lanes);
        blend(plus, plus, product, negative, m->len, lanes);
    }
}

/* Puts the positions of one sign of a group together, in place at position 0. */
static void horner(const struct cczi_mont_multi *p, const struct cczi_mont_ops *ops, uint64_t *acc,
                   int sign)
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

/*
 * Layout of the memory: results of the negative powers [out_len][len]; accumulators
 * [group][position][sign][len][lanes]; a table [half + 1][8][len].
 */
static void run(const struct cczi_mont_multi *p, uint64_t *out, uint64_t *negative)
{
    const struct ccz_mont *m = p->m;
    size_t wide = m->tier->wide->lanes, groups = cczi_mont_groups(p);
    size_t step = p->positions * SIGNS * m->len * wide;
    uint64_t *acc = negative + groups * wide * m->len, *table = acc + groups * step;
    for (size_t g = 0; g < groups; g++) {
        size_t lanes = cczi_mont_ops_usual(m, p->out_len - g * wide)->lanes;
        for (size_t k = 0; k < p->positions * SIGNS; k++)
            cczi_mont_repeat(acc + g * step + k * m->len * lanes, m->one, m->len, lanes);
    }
    for (size_t i = 0; i < p->bases_len; i++) {
        size_t left = p->bases_len - i, lane = i % CCZI_MONT_LANES_MAX;
        if (lane == 0)
            fill_tables(p, table, p->bases + i * m->len,
                        left < CCZI_MONT_LANES_MAX ? left : CCZI_MONT_LANES_MAX);
        for (size_t g = 0; g < groups; g++)
            multiply_in(p, cczi_mont_ops_usual(m, p->out_len - g * wide), acc + g * step,
                        table + lane * m->len, p->exps + i * p->stride + g * wide,
                        p->out_len - g * wide);
    }
    for (size_t g = 0; g < groups; g++) {
        size_t left = p->out_len - g * wide;
        const struct cczi_mont_ops *ops = cczi_mont_ops_usual(m, left);
        for (int sign = 0; sign < SIGNS; sign++) {
            horner(p, ops, acc + g * step, sign);
            cczi_mont_store(m, ops, (sign ? negative : out) + g * wide * m->len,
                            acc + g * step + (size_t)sign * m->len * ops->lanes,
                            left < wide ? left : wide);
        }
    }
}

static ccz_rc by_tables(const struct cczi_mont_multi *p, uint64_t *out, struct ccz_err *err)
{
    CCZI_AUTO_SCRATCH scratch = {0};
    const struct ccz_mont *m = p->m;
    size_t groups = cczi_mont_groups(p), wide = m->tier->wide->lanes;
    size_t values =
        groups * wide * (1 + p->positions * SIGNS) + (p->half + 1) * CCZI_MONT_LANES_MAX;
    uint64_t *memory = cczi_mont_scratch_new(&scratch, values * m->len), all[CCZ_MONT_LEN_MAX];
    if (!memory)
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
    ccz_mont_product(m, all, p->bases, p->bases_len);
    ccz_rc rc = ccz_mont_inv_var(m, all, all, 1, NULL);
    for (size_t i = 0; rc == CCZ_E_FORMAT && i < p->bases_len; i++) {
        if (ccz_mont_inv_var(m, all, p->bases + i * m->len, 1, NULL) == CCZ_E_FORMAT)
            return cczi_mont_blame(p, out, rc, i, err);
    }
    if (rc == CCZ_OK) {
        run(p, out, memory);
        rc = ccz_mont_inv_var(m, memory, memory, p->out_len, NULL);
    }
    if (rc != CCZ_OK)
        return cczi_mont_blame(p, out, rc, 0, err);
    ccz_mont_mul(m, out, out, memory, p->out_len);
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------------- public */

ccz_rc cczi_mont_blame(const struct cczi_mont_multi *p, uint64_t *out, ccz_rc rc, size_t base,
                       struct ccz_err *err)
{
    memset(out, 0, p->out_len * p->m->len * 8);
    if (rc == CCZ_E_FORMAT)
        return ccz_fail(err, rc, "mont:inverse", (int64_t)base,
                        "base %zu has a factor in common with the modulus", base);
    return ccz_fail(err, rc, "mont:memory", 0, "out of memory");
}

ccz_rc ccz_mont_multi_pow_var(const struct ccz_mont *m, uint64_t *out, size_t out_len,
                              const uint64_t *bases, size_t bases_len, const int64_t *exps,
                              size_t stride, unsigned exp_bits, struct ccz_err *err)
{
    struct cczi_mont_multi p = {.m = m,
                                .out_len = out_len,
                                .bases_len = bases_len,
                                .stride = stride,
                                .bases = bases,
                                .exps = exps};
    if (out_len == 0)
        return CCZ_OK;
    if (exp_bits < 1 || exp_bits > EXP_BITS_MAX || !in_range(&p, exp_bits))
        return ccz_fail(err, CCZ_E_ARG, "mont:exp", exp_bits,
                        "an exponent has more than %u bits, or that is not 1 to %d", exp_bits,
                        EXP_BITS_MAX);
    choose(&p, exp_bits);
    return p.buckets ? cczi_mont_by_buckets(&p, out, err) : by_tables(&p, out, err);
}
