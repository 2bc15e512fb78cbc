/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Truncation. For x = x0 + x1 mod 2^k, unsigned, with c = [x0 mod 2^s + x1 mod 2^s >= 2^s] and w = [x0 + x1 >= 2^k]:
 *   floor(x / 2^s) = floor(x0 / 2^s) + floor(x1 / 2^s) + c - w 2^(k-s).
 * Signed values are moved up by 2^(k-1), or by 2^(k-2) if that is known to be enough, and the result down again. w is
 * needed modulo 2^s only. If x is known to be below 2^(k-1), w is [x0 >= 2^(k-1)] or [x1 >= 2^(k-1)]: one product.
 * Without c, party 1 rounds up: floor(x0 / 2^s) + ceil(x1 / 2^s) is then too large by less than one.
 */
#include "cmp_op.h"

#include <string.h>

struct trunc {
    struct cczi_op *o;
    size_t n, words;
    unsigned s;
    bool exact, known; /* the carry is wanted; x is in the upper half of nothing */
    uint64_t offset;   /* added before, a multiple of 2^s */
    uint64_t *v, *number, *carry, *wrap, *bit[2], *product[2];
};

/* Shares of carry and wrap as rows; `wrap` holds the highest bits if x is known to be below 2^(k-1). */
static ccz_rc compare(struct trunc *t, struct ccz_err *err)
{
    struct cczi_op *o = t->o;
    for (size_t i = 0; i < t->n; i++)
        t->number[i] = o->party == 0 ? ~t->v[i] : t->v[i];
    for (size_t i = 0; i < t->n && t->known; i++)
        t->wrap[i / 64] |= (t->v[i] >> (o->k - 1) & 1) << i % 64;
    if (!t->known)
        return cczi_cmp_less(t->wrap, t->exact ? t->carry : NULL, t->number, t->n, o->k,
                             t->exact ? t->s : 0, &o->c, err);
    return t->exact ? cczi_cmp_less(t->carry, NULL, t->number, t->n, t->s, 0, &o->c, err) : CCZ_OK;
}

/* Products of both parties' bits: of wrap modulo 2^s, of carry modulo 2^k. */
static ccz_rc convert(struct trunc *t, struct ccz_err *err)
{
    struct cczi_op *o = t->o;
    const uint64_t *row[2] = {t->wrap, t->carry};
    struct cczi_cot cots[2];
    for (int j = 0; j < 1 + t->exact; j++) {
        for (size_t i = 0; i < t->n; i++)
            t->bit[j][i] = cczi_row_bit(row[j], i);
        cots[j] = (struct cczi_cot){.a = t->bit[j],
                                    .bit = row[j],
                                    .send = cczi_cmp_half(t->n, o->party),
                                    .recv = cczi_cmp_half(t->n, 1 - o->party),
                                    .width = j == 0 ? t->s : o->k,
                                    .out = t->product[j]};
    }
    return cczi_cmp_cot(&o->c, cots, (size_t)(1 + t->exact), err);
}

static void finish(uint64_t *out, const struct trunc *t)
{
    const struct cczi_op *o = t->o;
    const uint64_t low = ((uint64_t)1 << t->s) - 1;
    for (size_t i = 0; i < t->n; i++) {
        uint64_t part = t->v[i] & low, q = t->v[i] >> t->s;
        uint64_t w = t->bit[0][i] - (t->known ? 1u : 2u) * t->product[0][i];
        q -= w << (o->k - t->s);
        if (t->exact)
            q += t->bit[1][i] - 2 * t->product[1][i];
        else if (o->party == 1)
            q += (part | (0 - part)) >> 63; /* [part > 0] */
        out[i] = q - (o->party == 0 ? t->offset >> t->s : 0);
    }
}

static ccz_rc run(uint64_t *out, struct trunc *t, const uint64_t *x, struct ccz_err *err)
{
    CCZI_AUTO_STORE words = {0}, rows = {0};
    ccz_rc rc = cczi_store_init(&words, 6 * t->n, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&rows, 2 * t->words, err);
    if (rc != CCZ_OK)
        return rc;
    t->v = words.at;
    t->number = t->v + t->n;
    for (size_t j = 0; j < 2; j++) {
        t->bit[j] = words.at + (2 + j) * t->n;
        t->product[j] = words.at + (4 + j) * t->n;
    }
    t->carry = rows.at;
    t->wrap = rows.at + t->words;
    for (size_t i = 0; i < t->n; i++)
        t->v[i] = (x[i] + (t->o->party == 0 ? t->offset : 0)) & t->o->mask;
    rc = compare(t, err);
    if (rc == CCZ_OK)
        rc = convert(t, err);
    if (rc == CCZ_OK)
        finish(out, t);
    return rc;
}

/* Mohassel, Zhang, SecureML, S&P 2017, 4.1: party 1 shifts the negative, or the error would be one-sided. */
void cczi_op_truncate_local(uint64_t *q, const uint64_t *x, size_t n, unsigned s, unsigned k,
                            unsigned party)
{
    const uint64_t mask = UINT64_MAX >> (64 - k);
    for (size_t i = 0; i < n; i++)
        q[i] = party == 0 ? x[i] >> s : 0 - (((0 - x[i]) & mask) >> s);
}

static void floor_of(uint64_t *out, const uint64_t *x, size_t n, unsigned s,
                     const struct ccz_mpc *m)
{
    const unsigned k = cczi_mpc_bits(m);
    for (size_t i = 0; i < n; i++) {
        uint64_t sign = 0 - (x[i] >> (k - 1) & 1), v = x[i] | (sign & ~cczi_mpc_mask(m));
        out[i] = (v >> s | (s ? sign << (64 - s) : 0)) & cczi_mpc_mask(m);
    }
}

ccz_rc cczi_op_truncate(uint64_t *out, const uint64_t *x, size_t n, unsigned s,
                        enum ccz_mpc_range range, bool exact, struct cczi_op *o,
                        struct ccz_err *err)
{
    struct trunc t = {.o = o,
                      .n = n,
                      .words = cczi_words_of(n),
                      .s = s,
                      .exact = exact,
                      .known = range != CCZ_MPC_RANGE_ANY};
    if (range != CCZ_MPC_RANGE_POSITIVE)
        t.offset = (uint64_t)1 << (t.known ? o->k - 2 : o->k - 1);
    return run(out, &t, x, err);
}

static ccz_rc interactive(uint64_t *out, const struct ccz_mpc_tensor *x, unsigned s,
                          enum ccz_mpc_range range, bool exact, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    enum ccz_mpc_cmp_op op = exact ? CCZ_MPC_OP_TRUNC_FAITHFUL : CCZ_MPC_OP_TRUNC_ONE_BIT;
    if (range != CCZ_MPC_RANGE_ANY)
        op = exact ? CCZ_MPC_OP_TRUNC_FAITHFUL_RANGE : CCZ_MPC_OP_TRUNC_ONE_BIT_RANGE;
    ccz_rc rc = cczi_op_init(&o, x->m, op, x->len, s, err);
    return rc == CCZ_OK ? cczi_op_truncate(out, x->v, x->len, s, range, exact, &o, err) : rc;
}

static ccz_rc check_shift(const struct ccz_mpc_tensor *x, unsigned s, struct ccz_err *err)
{
    const unsigned kinds = 1u << CCZ_MPC_SHARED | 1u << CCZ_MPC_PRIVATE | 1u << CCZ_MPC_PUBLIC;
    ccz_rc rc = cczi_mpc_want_kind(x, kinds, "the operand of a truncation", err);
    if (rc == CCZ_OK && s > cczi_mpc_bits(x->m) - 2)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:shift", s, cczi_mpc_bits(x->m) - 2);
    if (rc == CCZ_OK && s > x->frac)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:scale", s, x->frac);
    return rc;
}

static ccz_rc truncated(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, unsigned s,
                        enum ccz_mpc_range range, enum ccz_mpc_trunc mode, struct ccz_err *err)
{
    ccz_rc rc = check_shift(x, s, err);
    if (rc == CCZ_OK && ((unsigned)range > CCZ_MPC_RANGE_POSITIVE))
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:range", (int64_t)range, CCZ_MPC_RANGE_POSITIVE);
    if (rc == CCZ_OK && ((unsigned)mode > CCZ_MPC_TRUNC_LOCAL))
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:trunc", (int64_t)mode, CCZ_MPC_TRUNC_LOCAL);
    if (rc == CCZ_OK && !cczi_mpc_trunc_fits(mode, cczi_mpc_bits(x->m)))
        rc = cczi_mpc_refuse_local(cczi_mpc_bits(x->m), err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, x->m, x->kind, x->owner, x->shape, x->frac - s, err);
    if (rc != CCZ_OK || !x->v)
        return rc;
    if (x->kind != CCZ_MPC_SHARED)
        floor_of((*out)->v, x->v, x->len, s, x->m);
    else if (s == 0)
        memcpy((*out)->v, x->v, x->len * sizeof(*x->v));
    else if (mode == CCZ_MPC_TRUNC_LOCAL)
        cczi_op_truncate_local((*out)->v, x->v, x->len, s, cczi_mpc_bits(x->m),
                               cczi_mpc_role(x->m));
    else
        rc = interactive((*out)->v, x, s, range, mode == CCZ_MPC_TRUNC_FAITHFUL, err);
    return rc;
}

ccz_rc ccz_mpc_truncate_as(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, unsigned s,
                           enum ccz_mpc_range range, enum ccz_mpc_trunc mode, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, truncated(&r, x, s, range, mode, err), err)
                        : rc;
}

ccz_rc ccz_mpc_truncate(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, unsigned s,
                        enum ccz_mpc_range range, struct ccz_err *err)
{
    return ccz_mpc_truncate_as(out, x, s, range, ccz_mpc_cfg_of(x->m)->trunc, err);
}
