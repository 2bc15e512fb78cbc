/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_BIGNUM_H
#define CCZ_BIGNUM_H
/**
 * @file bignum.h
 * Questions about single large integers that are asked when keys are made or read: primes, common
 * factors, symbols, powers, decimal text. Arithmetic in bulk, and with secrets, is in mont.h.
 *
 * Integers are big-endian bytes, zero bytes in front allowed, at most CCZ_BIGNUM_SIZE_MAX bytes.
 * Everything but the search for primes is for public numbers and takes variable time. OpenSSL's BIGNUM
 * does the work (src/crypto/bignum.c). Thread-safe.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_BIGNUM_SIZE_MAX 2048

/**
 * Two primes for a Blum integer n = p q of 16 * @p size bits: p = q = 3 mod 4, p > q, both with their
 * two highest bits set, gcd(p - 1, q - 1) = 2, |p - q| > 2^(8 size - 100). Candidates are drawn anew
 * each time (no walk to the next prime, which would favour those behind large gaps) from OpenSSL's
 * generator for private values, and tested by Miller-Rabin with OpenSSL's number of rounds
 * (error below 2^-128). As they have the same length, neither divides the other minus 1, so that
 * gcd(n, (p-1)(q-1)) = 1.
 * @param[out] p, q  @p size bytes each, in memory fit for secrets; zeroed on failure
 * @param size       64 .. 256
 * @retval CCZ_E_ARG       bignum:size
 * @retval CCZ_E_INTERNAL  bignum:prime: the generator failed
 * @ct the number of candidates shows, which is independent of the primes found
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_blum_primes(uint8_t *p, uint8_t *q, size_t size,
                                            struct ccz_err *err);
/**
 * Whether two secret primes fit together as ccz_blum_primes() has them, for a key that was read.
 * Variable time. @param blum  also asks for 3 mod 4 and gcd(p - 1, q - 1) = 2
 * @retval CCZ_E_FORMAT  bignum:not-prime, bignum:length (not of @p size bytes with the highest bit set),
 *                       bignum:close, bignum:blum
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_primes_check(const uint8_t *p, const uint8_t *q, size_t size,
                                             bool blum, struct ccz_err *err);

/** Miller-Rabin with random bases, error below 2^-128. @retval CCZ_E_ARG too long @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bignum_is_prime(bool *out, struct ccz_span a);
/** The smallest prime below 2^16 that divides @p a, 0 if none does. a > 0. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bignum_small_factor(uint32_t *out, struct ccz_span a);
/** Whether @p a = r^k for integers r and k >= 2. @p a > 1 must have no prime factor below 2^16. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bignum_is_power(bool *out, struct ccz_span a);
/** Whether gcd(a, b) = 1. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bignum_coprime(bool *out, struct ccz_span a, struct ccz_span b);
/** Jacobi symbol (a / n), n odd: -1, 0 or 1. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bignum_jacobi(int *out, struct ccz_span a, struct ccz_span n);

/** Appends @p a in decimal digits. @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bignum_to_decimal(struct ccz_buf *out, struct ccz_span a);
/**
 * @param[out] out  @p out_size bytes, filled up with zeros in front
 * @retval CCZ_E_FORMAT  no digits, something else, zeros in front, or too large for @p out_size bytes
 * @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bignum_from_decimal(uint8_t *out, size_t out_size,
                                                    struct ccz_span text);

#ifdef __cplusplus
}
#endif
#endif
