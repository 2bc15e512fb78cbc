/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RING_H
#define CCZ_RING_H
/**
 * @file ring.h
 * Vector and matrix kernels over Z_2^k, k = 1 .. 64, for secret shares and for plain simulations of computations on them. An
 * element is a uint64_t below 2^k; inputs may have any bits above and outputs have none. In tiers of vector code, all of which
 * give the same words (wrap-around has no rounding). Reading order of the sources: ring.c, ring_body.h.
 *
 * Outputs may be inputs where it says so. @ct: time and addresses depend on lengths only. @thread safe
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** 2^bits - 1. */
static inline uint64_t ccz_ring_mask(unsigned bits)
{
    return UINT64_MAX >> (64 - bits);
}
/** out = a + b, a - b, a * b, a * x, elementwise; in place is fine. */
CCZ_API void ccz_ring_add(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len,
                          unsigned bits);
CCZ_API void ccz_ring_sub(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len,
                          unsigned bits);
CCZ_API void ccz_ring_mul(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len,
                          unsigned bits);
CCZ_API void ccz_ring_scale(uint64_t *out, const uint64_t *a, uint64_t x, size_t len,
                            unsigned bits);
/** r += a * b, elementwise. */
CCZ_API void ccz_ring_mul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t len,
                              unsigned bits);
/** r += a * b. @shape a[m * k], b[k * n], r[m * n], row-major; r is neither a nor b. */
CCZ_API void ccz_ring_matmul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t m,
                                 size_t k, size_t n, unsigned bits);
/** out[c * rows + r] = a[r * cols + c]; not in place. */
CCZ_API void ccz_ring_transpose(uint64_t *out, const uint64_t *a, size_t rows, size_t cols);

#ifdef __cplusplus
}
#endif
#endif
