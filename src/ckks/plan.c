/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters from what a computation needs. */
#include <cczoo/ckks.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    SCALE_BITS_MIN = CCZ_RLWE_PRIME_BITS_MIN,
    SCALE_BITS_MAX = CCZ_RLWE_PRIME_BITS_MAX - 1, /* primes on both sides of the scale */
    GUARD_BITS = 2,                               /* sign, and primes a little below 2^bits */
    PRECISION_MAX = 48,
};

/* ------------------------------------------------------------------------------ noise model */

#define VAR_ERROR   10.5        /* centred binomial, eta = 21 */
#define VAR_TERNARY (2.0 / 3.0) /* of secrets */

/* 6 standard deviations in a slot, of an error with this variance per coefficient. */
static double canon(double n, double variance)
{
    return 6 * sqrt(n * variance);
}

/* log2 of the error at the end of the computation that ckks.h describes. */
static double error_bits(const struct ccz_ckks_goal *goal, size_t degree, unsigned scale_bits)
{
    double n = (double)degree, scale = ldexp(1, (int)scale_bits);
    double gain = goal->gain > 0 ? goal->gain : 1;
    double fresh = canon(n, VAR_ERROR * (1 + 2 * n * VAR_TERNARY)) + canon(n, 1.0 / 12);
    double rounding = canon(n, (1 + n * VAR_TERNARY) / 12);
    /* digits no larger than the special primes: each adds n / 12 of the error's variance */
    double digits = goal->depth + 2.0;
    double switching =
        goal->no_key_switching ? 0 : canon(n, digits * n * VAR_ERROR / 12) + rounding;
    double error = fresh / scale;
    for (unsigned i = 0; i < goal->depth; i++)
        error = gain * error + rounding / scale + switching / scale / scale;
    return log2(error + switching / scale);
}

/* ----------------------------------------------------------------------------------- chains */

/* A candidate: what one degree would take. */
struct chain {
    unsigned scale_bits; /* 0: none suffices */
    unsigned base_len, base_bits, special_len, bits;
    double error_bits;
};

/*
 * Transforms of one key switch at the top: the input, backward; every digit to the primes outside it
 * (together the first two are one per digit and prime); two divisions by the special primes.
 */
static unsigned switch_cost(unsigned data_len, unsigned special_len)
{
    unsigned digits = (data_len + special_len - 1) / special_len;
    return (digits + 2) * (data_len + special_len);
}

/* Special primes are as large as the largest data prime. */
static unsigned special_bits(const struct chain *c, const struct ccz_ckks_goal *goal)
{
    return goal->depth > 0 && c->scale_bits > c->base_bits ? c->scale_bits : c->base_bits;
}

static void choose_special(struct chain *c, const struct ccz_ckks_goal *goal, unsigned max_bits)
{
    unsigned data_len = c->base_len + goal->depth, data_bits = c->bits, best = 0;
    unsigned bits = special_bits(c, goal);
    if (goal->no_key_switching)
        return;
    for (unsigned a = 1; a <= CCZ_RLWE_SPECIAL_MAX && a <= data_len; a++) {
        bool fits = data_bits + a * bits <= max_bits && data_len + a <= CCZ_RLWE_PRIMES_MAX;
        /* a conversion between two primes costs about a tenth of a transform */
        unsigned digits = (data_len + a - 1) / a;
        unsigned cost = 10 * switch_cost(data_len, a) + (digits + 2) * a * data_len;
        if (a == 1 || (fits && cost < best)) { /* one at least, and then it may not fit */
            best = cost;
            c->special_len = a;
            c->bits = data_bits + a * bits;
        }
    }
}

/*
 * Primes 1 mod 2n of s bits are about n s ln(2) apart: so many lie on both sides of the scale within a
 * sixteenth of it.
 */
static bool has_primes(unsigned scale_bits, size_t n, size_t len)
{
    return ldexp(1, (int)scale_bits) >= 8 * (double)len * (double)n * scale_bits * 0.7;
}

static struct chain chain_for(const struct ccz_ckks_goal *goal, double max_value, size_t n,
                              unsigned max_bits)
{
    struct chain c = {0};
    for (unsigned s = SCALE_BITS_MIN; s <= SCALE_BITS_MAX && c.scale_bits == 0; s++) {
        c.error_bits = error_bits(goal, n, s);
        if (c.error_bits <= -(double)goal->precision_bits && has_primes(s, n, goal->depth + 2))
            c.scale_bits = s;
    }
    if (c.scale_bits == 0)
        return c;
    unsigned base = c.scale_bits + (unsigned)ceil(log2(max_value)) + GUARD_BITS;
    c.base_len = base > CCZ_RLWE_PRIME_BITS_MAX ? 2 : 1;
    c.base_bits = c.base_len == 2 ? (base + 1) / 2 : base;
    c.bits = c.base_len * c.base_bits + goal->depth * c.scale_bits;
    choose_special(&c, goal, max_bits);
    return c;
}

/* ------------------------------------------------------------------------------------- plans */

static ccz_rc check(const struct ccz_ckks_goal *goal, double max_value, struct ccz_err *err)
{
    const char *what = NULL;
    unsigned security = goal->security ? goal->security : 128;
    if (goal->depth > CCZ_CKKS_DEPTH_MAX)
        what = "depth: at most 60";
    else if (goal->precision_bits < 1 || goal->precision_bits > PRECISION_MAX)
        what = "precision_bits: 1 to 48";
    else if (!(max_value >= 1 && max_value <= 0x1p45))
        what = "max_value: 1 to 2^45";
    else if (!(goal->gain >= 0 && goal->gain <= 0x1p20))
        what = "gain: 0 to 2^20";
    else if (security != 128 && security != 192 && security != 256)
        what = "security: 128, 192 or 256";
    if (what)
        return ccz_fail(err, CCZ_E_ARG, "ckks:plan-goal", 0, "%s", what);
    if (goal->slots > CCZ_RLWE_N_MAX / 2)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "ckks:plan-slots", (int64_t)goal->slots,
                              CCZ_RLWE_N_MAX / 2);
    return CCZ_OK;
}

static void fill(struct ccz_ckks_plan *out, const struct ccz_ckks_goal *goal, const struct chain *c,
                 size_t n, unsigned max_bits)
{
    struct ccz_rlwe_cfg *ring = &out->cfg.ring;
    size_t at = 0;
    ring->n = n;
    ring->security = goal->security;
    ring->data_len = c->base_len + goal->depth;
    ring->special_len = c->special_len;
    for (; at < c->base_len; at++)
        ring->bits[at] = (uint8_t)c->base_bits;
    for (; at < ring->data_len; at++)
        ring->bits[at] = (uint8_t)c->scale_bits;
    for (; at < ring->data_len + c->special_len; at++)
        ring->bits[at] = (uint8_t)special_bits(c, goal);
    out->scale_bits = c->scale_bits;
    out->scale = ldexp(1, (int)c->scale_bits);
    out->base_len = c->base_len;
    out->bits = c->bits;
    out->max_bits = max_bits;
    out->error_bits = c->error_bits;
}

/* Appends a line; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) static void say(struct ccz_ckks_plan *out, const char *fmt,
                                                      ...)
{
    size_t used = strlen(out->why);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(out->why + used, sizeof(out->why) - used, fmt, args);
    va_end(args);
}

static void explain(struct ccz_ckks_plan *out, const struct ccz_ckks_goal *goal, double max_value,
                    const struct chain *c)
{
    say(out, "degree %zu, %zu slots: %u bits of modulus, %u allow %u-bit security\n",
        out->cfg.ring.n, out->cfg.ring.n / 2, out->bits, out->max_bits,
        goal->security ? goal->security : 128);
    say(out, "scale 2^%u: error 2^%.1f after %u levels, 2^-%u wanted\n", out->scale_bits,
        out->error_bits, goal->depth, goal->precision_bits);
    say(out, "%u x %u bits hold values up to %g in the end, %u x %u bits the levels\n", c->base_len,
        c->base_bits, max_value, goal->depth, c->scale_bits);
    if (goal->no_key_switching)
        say(out, "no special primes: no products of ciphertexts, no rotations\n");
    else
        say(out, "special primes %u x %u bits: %u transforms per key switch\n", c->special_len,
            special_bits(c, goal), switch_cost(c->base_len + goal->depth, c->special_len));
    size_t smaller = out->cfg.ring.n / 2;
    if (smaller / 2 < goal->slots)
        say(out, "degree %zu has only %zu slots\n", smaller, smaller / 2);
    else if (smaller >= CCZ_RLWE_N_MIN)
        say(out, "degree %zu allows %u bits\n", smaller,
            ccz_rlwe_max_bits(smaller, goal->security ? goal->security : 128));
}

static ccz_rc refuse(const struct ccz_ckks_goal *goal, const struct chain *c, unsigned max_bits,
                     struct ccz_err *err)
{
    char got[64], expected[64];
    if (c->scale_bits == 0) {
        snprintf(got, sizeof(got), "error 2^%.1f at scale 2^%d", c->error_bits, SCALE_BITS_MAX);
        snprintf(expected, sizeof(expected), "2^-%u", goal->precision_bits);
        ccz_rc rc = ccz_refuse(err, CCZ_E_LIMIT, "ckks:plan-precision", got, expected);
        return ccz_hint(err, rc, "less precision, smaller values or less depth");
    }
    snprintf(got, sizeof(got), "%u bits of modulus", c->bits);
    snprintf(expected, sizeof(expected), "at most %u for %u-bit security at degree %d", max_bits,
             goal->security ? goal->security : 128, CCZ_RLWE_N_MAX);
    ccz_rc rc = ccz_refuse(err, CCZ_E_LIMIT, "ckks:plan-modulus", got, expected);
    return ccz_hint(err, rc, "less depth or precision");
}

ccz_rc ccz_ckks_plan(struct ccz_ckks_plan *out, const struct ccz_ckks_goal *goal,
                     struct ccz_err *err)
{
    double max_value = goal->max_value == 0 ? 1 : goal->max_value;
    struct chain c = {0};
    unsigned max_bits = 0;
    memset(out, 0, sizeof(*out));
    ccz_rc rc = check(goal, max_value, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t n = CCZ_RLWE_N_MIN; n <= CCZ_RLWE_N_MAX; n *= 2) {
        if (n / 2 < goal->slots)
            continue;
        max_bits = ccz_rlwe_max_bits(n, goal->security ? goal->security : 128);
        c = chain_for(goal, max_value, n, max_bits);
        if (c.scale_bits == 0 || c.bits > max_bits)
            continue;
        fill(out, goal, &c, n, max_bits);
        explain(out, goal, max_value, &c);
        return CCZ_OK;
    }
    return refuse(goal, &c, max_bits, err);
}
