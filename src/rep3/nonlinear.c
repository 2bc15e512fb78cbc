/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that take parts, compare or select. */
#include "rep3_priv.h"

#include <string.h>

#define VALUES (1u << CCZ_REP3_SHARED | 1u << CCZ_REP3_PARTS)

/* ---------------------------------------------------------------------------------- resharing */

static ccz_rc reshare(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                      struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    const unsigned k = a->m->cfg.ring_bits;
    ccz_rc rc = cczi_rep3_want_kind(a, VALUES, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(&t, a->m, CCZ_REP3_SHARED, &a->shape, a->frac, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(t->v, a->v, a->planes * a->len * sizeof(*a->v));
    if (a->kind == CCZ_REP3_PARTS) {
        cczi_rep3_mask(t->v, a->len, a->m);
        cczi_rep3_put(a->m, CCZI_PREV, t->v, a->len, k);
        cczi_rep3_want(a->m, CCZI_NEXT, cczi_rep3_plane(t, 1), a->len, k);
        rc = cczi_rep3_round(a->m, err);
    }
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return rc;
}

ccz_rc ccz_rep3_reshare(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                        struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, reshare(out, a, err), err) : rc;
}

/* parts: [1][words], summands of a row of bits. One round. */
static ccz_rc reshare_bits(struct ccz_rep3_tensor *out, const uint64_t *parts, struct ccz_err *err)
{
    memcpy(out->v, parts, out->words * sizeof(*parts));
    cczi_rep3_mask_bits(out->v, out->words, out->m);
    cczi_rep3_put_rows(out->m, CCZI_PREV, out->v, 1, out->len);
    cczi_rep3_want_rows(out->m, CCZI_NEXT, cczi_rep3_plane(out, 1), 1, out->len);
    ccz_rc rc = cczi_rep3_round(out->m, err);
    cczi_rep3_trim(out);
    return rc;
}

static ccz_rc and_bits(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                       const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    CCZI_REP3_WORDS z = {0};
    ccz_rc rc = cczi_rep3_same_bits(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(&t, a->m, CCZ_REP3_BITS, &a->shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&z, a->words, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t *x = a->v, *x1 = cczi_rep3_plane(a, 1), *y = b->v, *y1 = cczi_rep3_plane(b, 1);
    for (size_t i = 0; i < a->words; i++)
        z.v[i] = (x[i] & (y[i] ^ y1[i])) ^ (x1[i] & y[i]);
    rc = reshare_bits(t, z.v, err);
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return rc;
}

ccz_rc ccz_rep3_and(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                    const struct ccz_rep3_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, and_bits(out, a, b, err), err) : rc;
}

/* --------------------------------------------------------------------------------- truncation */

/* floor(v / 2^shift) of a signed element, and with `up` the next integer unless it is exact. */
static uint64_t shift_right(uint64_t v, unsigned shift, bool up, unsigned k)
{
    uint64_t low = v & ccz_ring_mask(shift), sign = -(v >> (k - 1));
    uint64_t q = v >> shift | sign << (k - shift);
    return (q + (up ? (low | -low) >> 63 : 0)) & ccz_ring_mask(k);
}

/*
 * x = c + r: r is random and known to rel 1 alone, c to rel 0 and rel 2. Each truncates what it knows; right unless c + r as signed
 * integers is not x, but x + 2^k or x - 2^k. The share of c needs no message, that of r one.
 */
static ccz_rc trunc_fast(struct ccz_rep3_tensor *out, const struct ccz_rep3_tensor *a,
                         unsigned shift, struct ccz_err *err)
{
    struct ccz_rep3 *m = a->m;
    const unsigned rel = cczi_rep3_rel(m), k = m->cfg.ring_bits;
    const size_t n = a->len;
    uint64_t *x0 = out->v, *x1 = cczi_rep3_plane(out, 1);
    CCZI_REP3_WORDS z = {0};
    CCZI_REP3_WORDS in = {0};
    ccz_rc rc = cczi_rep3_words_init(&z, n, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&in, 2 * n, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(z.v, a->v, n * sizeof(*z.v));
    cczi_rep3_mask(z.v, n, m);
    if (rel == 1) { /* its shares: 1 (with rel 0) and 2 (with rel 2), of r / 2^shift */
        cczi_rep3_own(x1, n, k, m);
        ccz_ring_sub(z.v, z.v, x1, n, k);
        cczi_rep3_pair(x0, n, k, 1, m);
        for (size_t i = 0; i < n; i++)
            x1[i] = (shift_right(x1[i], shift, true, k) - x0[i]) & ccz_ring_mask(k);
        cczi_rep3_put(m, CCZI_PREV, z.v, n, k);
        cczi_rep3_put(m, CCZI_NEXT, z.v, n, k);
        cczi_rep3_put(m, CCZI_NEXT, x1, n, k);
        return cczi_rep3_round(m, err);
    }
    const int other = rel == 0 ? CCZI_PREV : CCZI_NEXT, dealer = rel == 0 ? CCZI_NEXT : CCZI_PREV;
    cczi_rep3_put(m, other, z.v, n, k);
    cczi_rep3_want(m, other, in.v, n, k);
    cczi_rep3_want(m, dealer, in.v + n, n, k);
    if (rel == 0)
        cczi_rep3_pair(x1, n, k, 1, m);
    else
        cczi_rep3_want(m, dealer, x0, n, k);
    rc = cczi_rep3_round(m, err);
    ccz_ring_add(z.v, z.v, in.v, n, k);
    ccz_ring_add(z.v, z.v, in.v + n, n, k);
    for (size_t i = 0; i < n; i++)
        (rel == 0 ? x0 : x1)[i] = shift_right(z.v[i], shift, false, k);
    return rc;
}

static ccz_rc check_shift(const struct ccz_rep3_tensor *a, unsigned shift, struct ccz_err *err)
{
    ccz_rc rc = cczi_rep3_want_kind(a, VALUES, err);
    if (rc == CCZ_OK && (shift > a->frac || shift > a->m->cfg.ring_bits - 2))
        rc = ccz_refuse_num(err, CCZ_E_ARG, "rep3:scale", shift, a->frac);
    return rc;
}

static ccz_rc trunc_safe(struct ccz_rep3_tensor *out, const struct ccz_rep3_tensor *a,
                         unsigned shift, struct ccz_err *err)
{
    CCZI_REP3_SPLIT x = {0};
    const struct cczi_rep3_select s = {.x = &x, .shift = shift, .whole = true};
    ccz_rc rc = cczi_rep3_split(&x, a, err);
    return rc == CCZ_OK ? cczi_rep3_select(out, &s, err) : rc;
}

static ccz_rc divide(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a, unsigned shift,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    ccz_rc rc = check_shift(a, shift, err);
    if (rc == CCZ_OK && shift == 0)
        return reshare(out, a, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(&t, a->m, CCZ_REP3_SHARED, &a->shape, a->frac - shift, err);
    if (rc != CCZ_OK)
        return rc;
    rc = a->m->cfg.trunc == CCZ_REP3_TRUNC_FAST ? trunc_fast(t, a, shift, err)
                                                : trunc_safe(t, a, shift, err);
    cczi_rep3_pass_lead(a->m);
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return rc;
}

ccz_rc ccz_rep3_trunc(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a, unsigned shift,
                      struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(a->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(a->m, divide(out, a, shift, err), err) : rc;
}

/* -------------------------------------------------------------------------------------- signs */

static ccz_rc negative(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x,
                       struct ccz_rep3_range range, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    CCZI_REP3_SPLIT halves = {0};
    CCZI_REP3_WORDS parts = {0};
    const uint64_t add = 0;
    ccz_rc rc = cczi_rep3_want_kind(x, VALUES, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_range(&range, x->m, range, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(&t, x->m, CCZ_REP3_BITS, &x->shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&parts, t->words, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_split(&halves, x, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_compare(parts.v, &halves, &add, 1, &range, err);
    if (rc == CCZ_OK)
        rc = reshare_bits(t, parts.v, err);
    cczi_rep3_pass_lead(x->m);
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return rc;
}

ccz_rc ccz_rep3_negative(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x,
                         struct ccz_rep3_range range, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(x->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(x->m, negative(out, x, range, err), err) : rc;
}

ccz_rc ccz_rep3_less(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *a,
                     const struct ccz_rep3_tensor *b, struct ccz_rep3_range range,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) d = NULL;
    *out = NULL;
    ccz_rc rc = ccz_rep3_sub(&d, a, b, err);
    return rc == CCZ_OK ? ccz_rep3_negative(out, d, range, err) : rc;
}

/* ---------------------------------------------------------------------------------- selection */

static ccz_rc inject(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *bits,
                     const struct ccz_rep3_tensor *x, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    CCZI_REP3_SPLIT halves = {0};
    CCZI_REP3_BITS b = {0};
    const struct cczi_rep3_select s = {
        .x = x ? &halves : NULL, .bits = &b, .term = {{.plus = x ? 0 : 1}}, .terms = 1};
    ccz_rc rc = cczi_rep3_want_kind(bits, 1u << CCZ_REP3_BITS, err);
    if (rc == CCZ_OK && x)
        rc = cczi_rep3_same_session(bits, x, err);
    if (rc == CCZ_OK && x)
        rc = cczi_rep3_want_kind(x, VALUES, err);
    if (rc == CCZ_OK && x && !cczi_rep3_shape_eq(&x->shape, &bits->shape))
        rc = cczi_rep3_refuse_shape(&x->shape, &bits->shape, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(&t, bits->m, CCZ_REP3_SHARED, &bits->shape, x ? x->frac : 0, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_bits_of(&b, bits, err);
    if (rc == CCZ_OK && x)
        rc = cczi_rep3_split(&halves, x, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_select(t, &s, err);
    cczi_rep3_pass_lead(bits->m);
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return rc;
}

ccz_rc ccz_rep3_inject(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *bits,
                       const struct ccz_rep3_tensor *x, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(bits->m, err);
    return rc == CCZ_OK ? cczi_rep3_leave(bits->m, inject(out, bits, x, err), err) : rc;
}

/* Compares x with as many thresholds as s has terms, then selects, at once: row t is [x + add[t] < 0]. */
static ccz_rc compare_and_select(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x,
                                 struct cczi_rep3_select *s, const uint64_t *add,
                                 struct ccz_rep3_range range, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) t = NULL;
    CCZI_REP3_SPLIT halves = {0};
    CCZI_REP3_BITS b = {0};
    CCZI_REP3_WORDS parts = {0};
    ccz_rc rc = cczi_rep3_range(&range, x->m, range, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_tensor_new(&t, x->m, CCZ_REP3_SHARED, &x->shape, x->frac - s->shift, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&parts, s->terms * ((x->len + 63) / 64), err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_split(&halves, x, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_compare(parts.v, &halves, add, s->terms, &range, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_bits_split(&b, x->m, parts.v, s->terms, x->len, err);
    s->x = &halves;
    s->bits = &b;
    if (rc == CCZ_OK)
        rc = cczi_rep3_select(t, s, err);
    cczi_rep3_pass_lead(x->m);
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&t);
    return rc;
}

ccz_rc ccz_rep3_relu(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x, unsigned shift,
                     struct ccz_rep3_range range, struct ccz_err *err)
{
    /* T - [x < 0] T */
    struct cczi_rep3_select s = {
        .shift = shift, .whole = true, .term = {{.minus = true}}, .terms = 1};
    const uint64_t add = 0;
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(x->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = check_shift(x, shift, err);
    if (rc == CCZ_OK)
        rc = compare_and_select(out, x, &s, &add, range, err);
    return cczi_rep3_leave(x->m, rc, err);
}

ccz_rc ccz_rep3_sigmoid3(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x,
                         unsigned shift, struct ccz_rep3_range range, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(x->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = check_shift(x, shift, err);
    if (rc == CCZ_OK && (shift == x->frac || x->frac > x->m->cfg.ring_bits - 3))
        rc = ccz_refuse_num(err, CCZ_E_ARG, "rep3:scale", x->frac, (int64_t)shift + 1);
    if (rc != CCZ_OK)
        return cczi_rep3_leave(x->m, rc, err);
    /* 1 + [x < 1/2] (T - 1/2) - [x < -1/2] (T + 1/2) */
    const uint64_t half = (uint64_t)1 << (x->frac - 1), half_out = half >> shift;
    const uint64_t add[2] = {-half, half};
    struct cczi_rep3_select s = {
        .shift = shift,
        .constant = 2 * half_out,
        .term = {{.plus = -half_out}, {.row = 1, .minus = true, .plus = half_out}},
        .terms = 2};
    return cczi_rep3_leave(x->m, compare_and_select(out, x, &s, add, range, err), err);
}
