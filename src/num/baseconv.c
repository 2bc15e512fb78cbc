/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x = sum y_i Q / q_i - v Q with y_i = [x (Q / q_i)^-1] mod q_i and v the integer part of sum y_i / q_i,
 * or the nearest integer for a centred x. The sum modulo p_j is one of scalars times vectors.
 */
#include "num_priv.h"

#include <stdlib.h>
#include <string.h>

enum { SCRATCH_WORDS = 4096, COLUMNS_MAX = 512 }; /* of both: 36 KB, near the size of L1 */

struct ccz_base_conv {
    enum ccz_conv how;
    size_t from_len, to_len;
    bool fast; /* all moduli are below 2^CCZ_FAST_BITS */
    struct ccz_modulus from[CCZ_CONV_LEN_MAX], to[CCZ_CONV_LEN_MAX];
    struct ccz_mulc factor[CCZ_CONV_LEN_MAX];
    double inverse[CCZ_CONV_LEN_MAX];
    uint64_t coef[CCZ_CONV_LEN_MAX][CCZ_CONV_LEN_MAX + 1]; /* [j][i]: Q / q_i mod p_j, then -Q */
};

/* Product of all moduli of @p c->from but the one at @p skip, modulo @p m. */
static uint64_t product(const struct ccz_base_conv *c, size_t skip, const struct ccz_modulus *m)
{
    uint64_t p = 1;
    for (size_t i = 0; i < c->from_len; i++) {
        if (i != skip)
            p = cczi_mul(p, cczi_reduce(c->from[i].q, m), m);
    }
    return p;
}

ccz_rc ccz_base_conv_new(struct ccz_base_conv **out, const struct ccz_modulus *from,
                         size_t from_len, const struct ccz_modulus *to, size_t to_len,
                         enum ccz_conv how, struct ccz_err *err)
{
    *out = NULL;
    if (from_len < 1 || from_len > CCZ_CONV_LEN_MAX || to_len < 1 || to_len > CCZ_CONV_LEN_MAX)
        return ccz_fail(err, CCZ_E_ARG, "num:base-conv", 0, "from %zu to %zu moduli, not 1 to %d",
                        from_len, to_len, CCZ_CONV_LEN_MAX);
    CCZ_AUTO(ccz_base_conv) c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "num:base-conv", 0, "no memory for tables");
    *c = (struct ccz_base_conv){.how = how, .from_len = from_len, .to_len = to_len, .fast = true};
    memcpy(c->from, from, from_len * sizeof(*from));
    memcpy(c->to, to, to_len * sizeof(*to));
    for (size_t i = 0; i < from_len; i++) {
        uint64_t inverse = ccz_mod_inv(product(c, i, &from[i]), &from[i]);
        if (inverse == 0)
            return ccz_fail(err, CCZ_E_ARG, "num:base-conv", (int64_t)i,
                            "modulus %zu has a factor in common with another", i);
        c->factor[i] = ccz_mulc_from(inverse, &from[i]);
        c->inverse[i] = 1.0 / (double)from[i].q;
        c->fast = c->fast && from[i].bits <= CCZ_FAST_BITS;
    }
    for (size_t j = 0; j < to_len; j++) {
        for (size_t i = 0; i < from_len; i++)
            c->coef[j][i] = product(c, i, &to[j]);
        c->coef[j][from_len] = ccz_mod_sub(0, product(c, from_len, &to[j]), &to[j]);
        c->fast = c->fast && to[j].bits <= CCZ_FAST_BITS;
    }
    *out = ccz_base_conv_take(&c);
    return CCZ_OK;
}

void ccz_base_conv_free(struct ccz_base_conv *c)
{
    free(c);
}

uint64_t ccz_base_conv_factor(const struct ccz_base_conv *c, size_t i)
{
    return c->factor[i].w;
}

/* Some columns: @p y are the factors y_i, then room for v. */
static void convert(uint64_t *const *r, size_t at, const uint64_t *const *y, uint64_t *v, size_t n,
                    const struct ccz_base_conv *c, const struct ccz_kernels *k)
{
    size_t terms = c->from_len;
    if (c->how == CCZ_CONV_CENTERED) {
        k->round_sum(v, y, c->inverse, c->from_len, n);
        terms++;
    }
    for (size_t j = 0; j < c->to_len; j++)
        k->mac_scalar(r[j] + at, y, c->coef[j], terms, n, &c->to[j], false);
}

void ccz_base_conv(uint64_t *const *r, const uint64_t *const *a, bool scaled, size_t n,
                   const struct ccz_base_conv *c, const struct ccz_kernels *k)
{
    uint64_t scratch[SCRATCH_WORDS], v[COLUMNS_MAX];
    const uint64_t *y[CCZ_CONV_LEN_MAX + 1];
    size_t columns = SCRATCH_WORDS / c->from_len / 8 * 8;
    columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX;
    if (!c->fast)
        k = &cczi_tier_portable.k;
    else if (!k)
        k = ccz_kernels(NULL);
    for (size_t at = 0, len; at < n; at += len) {
        len = n - at < columns ? n - at : columns;
        for (size_t i = 0; i < c->from_len; i++) {
            uint64_t *part = scratch + i * columns;
            if (!scaled)
                k->mul_const(part, a[i] + at, c->factor[i], len, &c->from[i]);
            y[i] = scaled ? a[i] + at : part;
        }
        y[c->from_len] = v;
        convert(r, at, y, v, len, c, k);
    }
    ccz_wipe(scratch, scaled ? 0 : sizeof(scratch)); /* they may have been secret */
    ccz_wipe(v, sizeof(v));
}
