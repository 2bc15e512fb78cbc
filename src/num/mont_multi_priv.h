/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_MONT_MULTI_PRIV_H
#define CCZ_SRC_MONT_MULTI_PRIV_H
/*
 * Products of powers with small signed exponents, bases shared by many outputs; the lanes are outputs.
 *
 * Exponents are cut into signed digits of w bits, -2^(w-1) <= d <= 2^(w-1). There are two ways:
 *  - tables (Straus): all powers base^d of a base, used by every output, and accumulators per output,
 *    position and sign; at the end positions are put together by Horner's rule and what is negative is
 *    inverted. For few bases.
 *  - buckets (Pippenger): powers base^(2^(w k)) of a base for every position k and their inverses,
 *    used by every output; each goes into the bucket of its digit, per output; at the end the product
 *    of bucket[d]^d is the result. For many bases.
 * Both take one product per base, output and position.
 */
#include "mont_priv.h"

struct cczi_mont_multi {
    const struct ccz_mont *m;
    size_t out_len, bases_len, stride;
    const uint64_t *bases;
    const int64_t *exps;
    bool buckets;
    unsigned window;
    size_t positions, half; /* half = 2^(window - 1), the largest digit */
    int64_t bias;           /* half at all positions but the topmost */
};

/* The digit at a position; the topmost one takes all that is left. */
static inline int cczi_mont_digit(const struct cczi_mont_multi *p, int64_t exp, size_t position)
{
    int64_t half = (int64_t)p->half, shifted = (exp + p->bias) >> (position * p->window);
    return (int)(position + 1 == p->positions ? shifted : (shifted & (2 * half - 1)) - half);
}

/* Groups of outputs. */
static inline size_t cczi_mont_groups(const struct cczi_mont_multi *p)
{
    size_t wide = p->m->tier->wide->lanes;
    return (p->out_len + wide - 1) / wide;
}

/* Outputs zeroed, err->aux is the base that has no inverse. */
ccz_rc cczi_mont_blame(const struct cczi_mont_multi *p, uint64_t *out, ccz_rc rc, size_t base,
                       struct ccz_err *err);
ccz_rc cczi_mont_by_buckets(const struct cczi_mont_multi *p, uint64_t *out, struct ccz_err *err);
#endif
