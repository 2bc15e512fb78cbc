/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RISTRETTO_H
#define CCZ_RISTRETTO_H
/**
 * @file ristretto.h
 * The group ristretto255 (RFC 9496): prime order, 32-byte canonical encodings, a map from hashes to the group. For
 * protocols that calculate with points: oblivious transfer, private set intersection. libsodium does the arithmetic
 * (src/crypto/ristretto.c). Constant time in scalars and points; that an encoding is malformed shows. Thread-safe.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_RISTRETTO_SIZE      32 /**< of a point and of a scalar (little-endian, below the order) */
#define CCZ_RISTRETTO_HASH_SIZE 64 /**< uniform bytes that make one point */

/** A canonical encoding of a point other than the identity. */
CCZ_API CCZ_MUST_USE bool ccz_ristretto_valid(const uint8_t p[32]);
/** The one-way map of RFC 9496, 4.3.4: uniform bytes to a uniform point of unknown logarithm. */
CCZ_API void ccz_ristretto_from_hash(uint8_t p[32], const uint8_t hash[64]);
/** r = p + q or p - q. @retval CCZ_E_FORMAT  p or q is not a canonical encoding; @p r is zeroed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ristretto_add(uint8_t r[32], const uint8_t p[32],
                                              const uint8_t q[32]);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ristretto_sub(uint8_t r[32], const uint8_t p[32],
                                              const uint8_t q[32]);
/** r = s p. @retval CCZ_E_FORMAT  @p p is not a canonical encoding, or the result is the identity; @p r is zeroed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ristretto_mul(uint8_t r[32], const uint8_t s[32],
                                              const uint8_t p[32]);
/** r = s G. @retval CCZ_E_FORMAT  @p s is 0; @p r is zeroed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ristretto_mul_base(uint8_t r[32], const uint8_t s[32]);
/** Uniform among 1 .. order - 1. @retval CCZ_E_INTERNAL  the generator failed; zeroed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ristretto_scalar_random(uint8_t s[32]);
/** 64 uniform bytes to a scalar, bias below 2^-250. */
CCZ_API void ccz_ristretto_scalar_reduce(uint8_t s[32], const uint8_t wide[64]);
/** 1 / s. @retval CCZ_E_ARG  @p s is 0; zeroed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ristretto_scalar_inv(uint8_t r[32], const uint8_t s[32]);

#ifdef __cplusplus
}
#endif
#endif
