/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters from what is to be computed, by the bounds of noise.c. */
#include "bfv_priv.h"

#include <math.h>
#include <stdio.h>

enum { PRIME_BITS = CCZ_RLWE_PRIME_BITS_MAX, TERMS_MAX = 1 << 20, PACK_MAX = 16 };
#define ERROR_VARIANCE (21 / 2.0) /* of rlwe.h: centred binomial, eta = 21 */

static ccz_rc check_goal(const struct ccz_bfv_goal *g, struct ccz_err *err)
{
    const unsigned security = g->security ? g->security : 128;
    if (!g->plain_prime == !g->plain_bits || g->plain_bits > 64 || g->plain_prime >> PRIME_BITS ||
        !(g->max_factor >= 0) || !isfinite(g->max_factor) || g->factor_terms > CCZ_RLWE_N_MAX ||
        g->terms > TERMS_MAX || g->flood_bits > CCZ_BFV_FLOOD_MAX || g->n_min > CCZ_RLWE_N_MAX ||
        g->pack > PACK_MAX || ccz_rlwe_max_bits(CCZ_RLWE_N_MIN, security) == 0)
        return ccz_fail(err, CCZ_E_ARG, "bfv:goal", 0, "a field of the goal is out of range");
    return CCZ_OK;
}

/* Noise of a result at its largest. */
static struct cczi_bfv_noise noise_of(const struct ccz_bfv_goal *g, size_t n, double log2_t)
{
    const double terms = log2(g->terms > 1 ? (double)g->terms : 1);
    struct cczi_bfv_noise v = cczi_bfv_fresh_pk(n, ERROR_VARIANCE);
    if (g->secret_key)
        v.sigma = log2(ERROR_VARIANCE) / 2;
    if (g->multiply) {
        const double factor = g->max_factor > 0 ? g->max_factor : exp2(log2_t - 1);
        v = cczi_bfv_times(v, factor, g->factor_terms && g->factor_terms < n ? g->factor_terms : n);
    }
    v.sigma += terms;
    v.fixed = cczi_bfv_sum(v.fixed + terms, -1); /* and one plaintext added */
    if (g->flood_bits) {
        struct cczi_bfv_noise zero = cczi_bfv_fresh_pk(n, ERROR_VARIANCE);
        zero.fixed = (double)cczi_bfv_flood_bits(cczi_bfv_plus(v, zero), n, g->flood_bits) - 1;
        v = cczi_bfv_plus(v, zero);
    }
    return v;
}

/* As few primes of one size as hold @p bits. @return their number */
static size_t split(unsigned *size, double bits, size_t n)
{
    const double least =
        fmax(CCZ_RLWE_PRIME_BITS_MIN, log2((double)n) + 8); /* below, primes are rare */
    if (bits <= 0)
        return 0;
    const double len = ceil(bits / PRIME_BITS);
    *size = (unsigned)fmax(least, ceil(bits / len));
    return (size_t)len;
}

/* @return bits of the modulus; the plan holds if that many are secure */
static unsigned plan_for(struct ccz_bfv_plan *out, const struct ccz_bfv_goal *g, size_t n)
{
    const double log2_t = g->plain_bits ? g->plain_bits : log2((double)g->plain_prime);
    const struct cczi_bfv_noise v = noise_of(g, n, log2_t);
    /* A quarter of Q / t each for what is left of the noise and for the roundings, and a bit, as primes are only
     * near powers of two. */
    const double switches = g->pack ? g->pack + 2.0 : 1; /* a transfer and the doublings */
    const double back = log2_t + log2((double)n + 1) + log2(switches) + 2;
    const double all = log2_t + cczi_bfv_bound(v) + 3;
    unsigned back_size = 0, rest_size = 0;
    const size_t back_len = split(&back_size, back, n);
    const size_t rest_len = split(&rest_size, all - (double)back_len * back_size, n);
    const size_t len = back_len + rest_len;
    const unsigned back_bits = (unsigned)back_len * back_size;
    const unsigned bits = back_bits + (unsigned)rest_len * rest_size;
    if (len > CCZ_RLWE_PRIMES_MAX)
        return UINT32_MAX;
    /* The context of packing has special primes of as many bits, each one bit more at most. */
    if (g->pack &&
        (back_len > CCZ_RLWE_SPECIAL_MAX ||
         2 * back_bits + back_len > ccz_rlwe_max_bits(n, g->security ? g->security : 128)))
        return UINT32_MAX;
    *out = (struct ccz_bfv_plan){.cfg = {.ring = {.n = n, .data_len = len, .security = g->security},
                                         .plain_prime = g->plain_prime,
                                         .plain_bits = g->plain_bits},
                                 .return_limbs = back_len};
    for (size_t i = 0; i < len; i++)
        out->cfg.ring.bits[i] = (uint8_t)(i < back_len ? back_size : rest_size);
    struct cczi_bfv_noise w = cczi_bfv_divided(v, bits - back_bits, n);
    for (size_t i = 0; g->pack && i <= g->pack; i++)
        w = cczi_bfv_switched(w, n, 1, back_bits, back_bits);
    out->spare_bits =
        fmin(bits - 1 - log2_t - cczi_bfv_bound(v), back_bits - 1 - log2_t - cczi_bfv_bound(w));
    return bits;
}

ccz_rc ccz_bfv_plan(struct ccz_bfv_plan *out, const struct ccz_bfv_goal *goal, struct ccz_err *err)
{
    *out = (struct ccz_bfv_plan){0};
    ccz_rc rc = check_goal(goal, err);
    if (rc != CCZ_OK)
        return rc;
    const unsigned security = goal->security ? goal->security : 128;
    struct ccz_bfv_plan plan;
    unsigned bits = 0, most = 0;
    for (size_t n = CCZ_RLWE_N_MIN; n <= CCZ_RLWE_N_MAX; n *= 2) {
        if (n < goal->n_min)
            continue;
        bits = plan_for(&plan, goal, n);
        most = ccz_rlwe_max_bits(n, security);
        if (bits <= most) {
            *out = plan;
            return CCZ_OK;
        }
    }
    char got[48], expected[64];
    (void)snprintf(got, sizeof(got), "a modulus of %u bits", bits);
    (void)snprintf(expected, sizeof(expected), "at most %u for %u bits of security", most,
                   security);
    rc = ccz_refuse(err, CCZ_E_LIMIT, "bfv:plan", got, expected);
    return ccz_hint(err, rc, "fewer terms, smaller factors, fewer flood bits");
}
