/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters: security table, choice and check of primes, identity. */
#include "params.h"

#include <math.h>
#include <stdio.h>

/* Homomorphic Encryption Standard (2018), ternary secret, classical; 65536: OpenFHE 1.5. */
static const struct {
    size_t n;
    unsigned bits[3]; /* 128, 192, 256 */
} table[] = {
    {1024, {27, 19, 14}},       {2048, {54, 37, 29}},     {4096, {109, 75, 58}},
    {8192, {218, 152, 118}},    {16384, {438, 305, 237}}, {32768, {881, 611, 476}},
    {65536, {1747, 1199, 929}},
};
static const unsigned levels[3] = {128, 192, 256};

unsigned ccz_rlwe_max_bits(size_t n, unsigned security)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (size_t k = 0; k < 3; k++)
            if (table[i].n == n && levels[k] == security)
                return table[i].bits[k];
    return 0;
}

/* Sums of logarithms are exact to far less than this. */
#define LOG2_SLACK 1e-9

unsigned cczi_rlwe_security_of(size_t n, double log2_qp)
{
    for (size_t k = 3; k-- > 0;)
        if (log2_qp <= ccz_rlwe_max_bits(n, levels[k]) + LOG2_SLACK)
            return levels[k];
    return 0;
}

ccz_rc cczi_rlwe_check_security(const struct ccz_rlwe_cfg *cfg, double log2_qp, struct ccz_err *err)
{
    unsigned want = cfg->security ? cfg->security : 128;
    if (want != 128 && want != 192 && want != 256)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:security-level", want, 128);
    if (cfg->security_insecure || log2_qp <= ccz_rlwe_max_bits(cfg->n, want) + LOG2_SLACK)
        return CCZ_OK;
    char got[64], expected[96];
    snprintf(got, sizeof(got), "%.2f bits of modulus", log2_qp);
    snprintf(expected, sizeof(expected), "at most %u for %u-bit security at degree %zu",
             ccz_rlwe_max_bits(cfg->n, want), want, cfg->n);
    ccz_rc rc = ccz_refuse(err, CCZ_E_POLICY, "rlwe:security", got, expected);
    return ccz_hint(err, rc, "take a larger degree, or fewer or smaller primes");
}

static bool is_new(uint64_t q, const uint64_t *primes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (primes[i] == q)
            return false;
    return true;
}

/* The nearest unused prime 1 mod 2n below (step < 0) or above 2^bits; 0: none within a factor of 3/2. */
static uint64_t nearest(unsigned bits, size_t n, int64_t step, const uint64_t *primes, size_t len)
{
    const int64_t top = INT64_C(1) << bits, m = 2 * (int64_t)n;
    int64_t q = step < 0 ? top - m + 1 : top + 1;
    for (; q > top / 2 && q < top + top / 2; q += step * m)
        if (is_new((uint64_t)q, primes, len) && ccz_is_prime((uint64_t)q))
            return (uint64_t)q;
    return 0;
}

/*
 * Above 2^bits only while what the primes so far lack below their powers of two makes up for it, so
 * that the product stays below the power of two that the sizes add up to.
 */
static ccz_rc choose(uint64_t *primes, const struct ccz_rlwe_cfg *cfg, size_t len,
                     struct ccz_err *err)
{
    double drift = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned bits = cfg->bits[i];
        if (bits < CCZ_RLWE_PRIME_BITS_MIN || bits > CCZ_RLWE_PRIME_BITS_MAX) {
            char got[48], expected[32];
            snprintf(got, sizeof(got), "%u bits in prime %zu", bits, i);
            snprintf(expected, sizeof(expected), "%d to %d", CCZ_RLWE_PRIME_BITS_MIN,
                     CCZ_RLWE_PRIME_BITS_MAX);
            return ccz_refuse(err, CCZ_E_ARG, "rlwe:prime-bits", got, expected);
        }
        uint64_t above = bits < CCZ_RLWE_PRIME_BITS_MAX ? nearest(bits, cfg->n, 1, primes, i) : 0;
        double x = ldexp((double)above, -(int)bits) - 1;
        if (above && drift + x <= 0) {
            primes[i] = above;
        } else {
            primes[i] = nearest(bits, cfg->n, -1, primes, i);
            x = ldexp((double)primes[i], -(int)bits) - 1;
        }
        if (!primes[i])
            return ccz_fail(err, CCZ_E_ARG, "rlwe:prime-bits", (int64_t)i,
                            "no prime of %u bits is left for degree %zu", bits, cfg->n);
        drift += x;
    }
    return CCZ_OK;
}

static ccz_rc check_given(uint64_t *primes, const struct ccz_rlwe_cfg *cfg, size_t len,
                          struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t q = cfg->primes[i];
        if (q >> CCZ_RLWE_PRIME_BITS_MAX || q < UINT64_C(1) << (CCZ_RLWE_PRIME_BITS_MIN - 1) ||
            q % (2 * cfg->n) != 1 || !ccz_is_prime(q))
            return ccz_fail(err, CCZ_E_ARG, "rlwe:prime", (int64_t)i,
                            "prime %zu is not a prime below 2^%d that is 1 mod %zu", i,
                            CCZ_RLWE_PRIME_BITS_MAX, 2 * cfg->n);
        if (!is_new(q, primes, i))
            return ccz_fail(err, CCZ_E_ARG, "rlwe:prime-twice", (int64_t)i,
                            "prime %zu stands there twice", i);
        primes[i] = q;
    }
    return CCZ_OK;
}

/* Switching by a P below the product of a digit would add more noise than it saves. */
static ccz_rc check_special(const uint64_t *primes, const struct ccz_rlwe_cfg *cfg,
                            struct ccz_err *err)
{
    const size_t alpha = cfg->special_len;
    double p = 0;
    for (size_t i = 0; i < alpha; i++)
        p += log2((double)primes[cfg->data_len + i]);
    for (size_t i = 0; alpha && i < cfg->data_len; i += alpha) {
        double digit = 0;
        for (size_t k = i; k < i + alpha && k < cfg->data_len; k++)
            digit += log2((double)primes[k]);
        if (digit > p + 1) {
            char got[64], expected[64];
            snprintf(got, sizeof(got), "%.1f bits of special primes", p);
            snprintf(expected, sizeof(expected), "%.1f or more", digit - 1);
            ccz_rc rc = ccz_refuse(err, CCZ_E_ARG, "rlwe:special-size", got, expected);
            return ccz_hint(err, rc, "special primes at least as large as the data primes");
        }
    }
    return CCZ_OK;
}

ccz_rc cczi_rlwe_primes(uint64_t *primes, const struct ccz_rlwe_cfg *cfg, struct ccz_err *err)
{
    const size_t n = cfg->n, len = cfg->data_len + cfg->special_len;
    if (n < CCZ_RLWE_N_MIN || n > CCZ_RLWE_N_MAX || n & (n - 1))
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:degree", (int64_t)n, 8192);
    if (cfg->data_len < 1 || cfg->data_len > CCZ_RLWE_PRIMES_MAX ||
        cfg->special_len > CCZ_RLWE_SPECIAL_MAX || len > CCZ_RLWE_PRIMES_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:prime-count", (int64_t)len,
                              CCZ_RLWE_PRIMES_MAX);
    ccz_rc rc = cfg->primes[0] ? check_given(primes, cfg, len, err) : choose(primes, cfg, len, err);
    return rc == CCZ_OK ? check_special(primes, cfg, err) : rc;
}

ccz_rc cczi_rlwe_identify(uint8_t out[CCZ_RLWE_PARAMS_ID_SIZE], const struct ccz_rlwe_cfg *cfg,
                          const uint64_t *primes)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1024);
    ccz_buf_put_str(&b, "CCZH params 1");
    ccz_buf_le32(&b, (uint32_t)cfg->n);
    ccz_buf_u8(&b, (uint8_t)cfg->data_len);
    ccz_buf_u8(&b, (uint8_t)cfg->special_len);
    ccz_buf_u8(&b, CCZI_RLWE_ETA);
    ccz_buf_le32(&b, cfg->scheme);
    ccz_buf_le64(&b, cfg->scheme_param);
    for (size_t i = 0; i < cfg->data_len + cfg->special_len; i++)
        ccz_buf_le64(&b, primes[i]);
    if (b.bad)
        return CCZ_E_NOMEM;
    return ccz_sha256(out, ccz_buf_span(&b));
}
