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

/* All: @p bits is 1 .. 64, the same for operands and result; @p len may be 0. Nothing fails and nothing is allocated. */

/** 2^bits - 1. */
static inline uint64_t ccz_ring_mask(unsigned bits)
{
    return UINT64_MAX >> (64 - bits);
}
/** out[i] = a[i] + b[i] mod 2^bits, i < len. @p out may be @p a or @p b, here and in the next three. */
CCZ_API void ccz_ring_add(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len,
                          unsigned bits);
/** out[i] = a[i] - b[i]. */
CCZ_API void ccz_ring_sub(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len,
                          unsigned bits);
/** out[i] = a[i] b[i]. */
CCZ_API void ccz_ring_mul(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len,
                          unsigned bits);
/** out[i] = a[i] x. */
CCZ_API void ccz_ring_scale(uint64_t *out, const uint64_t *a, uint64_t x, size_t len,
                            unsigned bits);
/** r[i] += a[i] b[i]. @p r may be @p a or @p b. */
CCZ_API void ccz_ring_mul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t len,
                              unsigned bits);
/**
 * r += a b, matrices by rows: a[m * k], b[k * n], r[m * n]. Tiles of 4 rows and 32 columns stay in registers;
 * k is not blocked.
 * @param r  neither @p a nor @p b; no other memory is needed
 */
CCZ_API void ccz_ring_matmul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t m,
                                 size_t k, size_t n, unsigned bits);
/** out[c * rows + r] = a[r * cols + c], words as they are. @p out is not @p a. */
CCZ_API void ccz_ring_transpose(uint64_t *out, const uint64_t *a, size_t rows, size_t cols);

/* Elements as they travel: @p bits each, 1 .. 64, one behind the other, lowest bit first, little-endian; (len bits + 7) / 8
 * bytes. Packed bits (bit i % 64 of word i / 64): (len + 7) / 8 bytes. What is behind the last is zero in all of them. */
CCZ_API void ccz_ring_pack(uint8_t *out, const uint64_t *v, size_t len, unsigned bits);
CCZ_API void ccz_ring_unpack(uint64_t *v, const uint8_t *in, size_t len, unsigned bits);
CCZ_API void ccz_ring_pack_bits(uint8_t *out, const uint64_t *v, size_t len);
CCZ_API void ccz_ring_unpack_bits(uint64_t *v, const uint8_t *in, size_t len);
/**
 * Bit rows of elements: bit j of element i becomes bit i % 64 of out[j * words + i / 64], for @p bits bits from bit @p from on
 * (from + bits <= 64). words = (len + 63) / 64; bits behind the last element are zero.
 */
CCZ_API void ccz_ring_bit_rows(uint64_t *out, const uint64_t *v, size_t len, unsigned from,
                               unsigned bits);

/** Elements of fixed-point values: round half away from zero, saturated at the range of the ring. NaN becomes 0. */
CCZ_API void ccz_ring_encode(uint64_t *out, const double *in, size_t len, unsigned bits,
                             unsigned frac);
CCZ_API void ccz_ring_decode(double *out, const uint64_t *in, size_t len, unsigned bits,
                             unsigned frac);
/** Of an element below 2^bits, in two's complement. */
static inline int64_t ccz_ring_signed(uint64_t v, unsigned bits)
{
    uint64_t half = (uint64_t)1 << (bits - 1);
    return (int64_t)((v ^ half) - half);
}

#ifdef __cplusplus
}
#endif
#endif
