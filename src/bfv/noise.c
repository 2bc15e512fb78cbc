/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds of noise, as logarithms. Errors of encryption are sums of 42 coins, sub-Gaussian with the
 * parameter sqrt(eta / 2); given the secrets, the noise of what is made from them is linear in them.
 */
#include "bfv_priv.h"

#include <math.h>
#include <stdio.h>

double cczi_bfv_sum(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return low == -(double)INFINITY ? high : high + log2(1 + exp2(low - high));
}

double cczi_bfv_bound(struct cczi_bfv_noise v)
{
    return cczi_bfv_sum(v.sigma + log2(CCZI_BFV_SIGMAS), v.fixed);
}

/* One error, and the rounding of the message. */
struct cczi_bfv_noise cczi_bfv_fresh_sk(const struct ccz_bfv *c)
{
    return (struct cczi_bfv_noise){0.5 * log2(ccz_rlwe_var_fresh_sk(c->ring)), -1};
}

/* e0 + e u + e1 s with ternary u and s: at most 2 n + 1 errors. */
struct cczi_bfv_noise cczi_bfv_fresh_pk(size_t n, double variance)
{
    return (struct cczi_bfv_noise){0.5 * log2(variance * (2 * (double)n + 1)), -1};
}

struct cczi_bfv_noise cczi_bfv_plus(struct cczi_bfv_noise a, struct cczi_bfv_noise b)
{
    return (struct cczi_bfv_noise){cczi_bfv_sum(a.sigma, b.sigma), cczi_bfv_sum(a.fixed, b.fixed)};
}

struct cczi_bfv_noise cczi_bfv_times(struct cczi_bfv_noise a, double max_abs, size_t terms)
{
    const double size = log2(max_abs), count = log2((double)terms);
    return (struct cczi_bfv_noise){a.sigma + size + count / 2, a.fixed + size + count};
}

struct cczi_bfv_noise cczi_bfv_divided(struct cczi_bfv_noise a, double log2_q, size_t n)
{
    /* 1/2 (1 + |s|_1), and what conversion between primes errs when it is close to a half */
    const double rounding = log2(((double)n + 1) / 2 * (1 + 0x1p-30));
    return (struct cczi_bfv_noise){a.sigma - log2_q, cczi_bfv_sum(a.fixed - log2_q, rounding)};
}

struct cczi_bfv_noise cczi_bfv_switched(struct cczi_bfv_noise a, size_t n, size_t digits,
                                        double log2_digit, double log2_p)
{
    const double errors = log2((double)n * (double)digits * 10.5) / 2;
    const struct cczi_bfv_noise sum = {errors + log2_digit - 1 + 0x1p-30, -(double)INFINITY};
    return cczi_bfv_plus(a, cczi_bfv_divided(sum, log2_p, n));
}

unsigned cczi_bfv_flood_bits(struct cczi_bfv_noise a, size_t n, unsigned flood_bits)
{
    double bound = cczi_bfv_bound(a);
    return (unsigned)ceil((bound > 0 ? bound : 0) + 1 + log2((double)n)) + flood_bits;
}

double ccz_bfv_room(const struct ccz_bfv *c, size_t limbs)
{
    if (limbs == 0 || limbs > c->data_len)
        limbs = c->data_len;
    return c->level[limbs - 1].log2_q - 1 - c->log2_t;
}

double ccz_bfv_noise_bits(const struct ccz_bfv_ct *ct)
{
    return cczi_bfv_bound(cczi_bfv_noise_of(ct));
}

ccz_rc cczi_bfv_fits(const struct ccz_bfv *c, struct cczi_bfv_noise v, size_t limbs,
                     struct ccz_err *err)
{
    /* The margin covers these logarithms and the rounding of ratios in scale.c. */
    const double bound = cczi_bfv_bound(v), room = ccz_bfv_room(c, limbs) - 0x1p-20;
    if (bound < room)
        return CCZ_OK;
    char got[64], expected[64];
    (void)snprintf(got, sizeof(got), "noise up to 2^%.1f", bound);
    (void)snprintf(expected, sizeof(expected), "below 2^%.1f with %zu primes", room, limbs);
    ccz_rc rc = ccz_refuse(err, CCZ_E_LIMIT, "bfv:noise", got, expected);
    return ccz_hint(
        err, rc, "a larger modulus (ccz_bfv_plan()), fewer terms, declared bounds of plaintexts");
}
