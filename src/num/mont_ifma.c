/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight or four values side by side with AVX-512 IFMA (Gueron and Krasnov, "Software implementation of
 * modular exponentiation, using advanced vector instructions architectures", 2012). Registers of 256
 * bits do the same number of products per cycle, so that four values take half the time of eight.
 */
#include "mont_priv.h"

#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512IFMA__)

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* gcc would take minutes */
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define MASK52 0xfffffffffffff

enum { TILE = 10, LIMBS_MAX = CCZ_MONT_LEN_MAX, NARROW_MAX = 4, SPLIT_MAX = 2 };

/* --------------------------------------------------------------------------------- transposing */

INLINE void transpose4(__m256i r[4])
{
    __m256i a = _mm256_unpacklo_epi64(r[0], r[1]), b = _mm256_unpackhi_epi64(r[0], r[1]);
    __m256i c = _mm256_unpacklo_epi64(r[2], r[3]), d = _mm256_unpackhi_epi64(r[2], r[3]);
    r[0] = _mm256_permute2x128_si256(a, c, 0x20);
    r[1] = _mm256_permute2x128_si256(b, d, 0x20);
    r[2] = _mm256_permute2x128_si256(a, c, 0x31);
    r[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

INLINE void transpose8(__m512i r[8])
{
    __m512i t[8];
    UNROLL for (int i = 0; i < 8; i += 2)
    {
        t[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
    }
    /* Quarters of 128 bits: t[0], t[2], t[4], t[6] make rows 0, 2, 4, 6, the others the odd ones. */
    UNROLL for (int i = 0; i < 2; i++)
    {
        __m512i a = _mm512_shuffle_i64x2(t[i], t[i + 2], 0x88);
        __m512i b = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0x88);
        __m512i c = _mm512_shuffle_i64x2(t[i], t[i + 2], 0xdd);
        __m512i d = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0xdd);
        r[i] = _mm512_shuffle_i64x2(a, b, 0x88);
        r[i + 4] = _mm512_shuffle_i64x2(a, b, 0xdd);
        r[i + 2] = _mm512_shuffle_i64x2(c, d, 0x88);
        r[i + 6] = _mm512_shuffle_i64x2(c, d, 0xdd);
    }
}

/* ------------------------------------------------------------------------------------ tables */

/* table[digit] of 8 entries, one register */
INLINE __m512i entry8(const uint64_t *table, __m512i digits)
{
    return _mm512_permutexvar_epi64(digits, _mm512_loadu_si512(table));
}

/* of 16: bits 0 to 3 of the digit count */
INLINE __m512i entry16(const uint64_t *table, __m512i digits)
{
    return _mm512_permutex2var_epi64(_mm512_loadu_si512(table), digits,
                                     _mm512_loadu_si512(table + 8));
}

/* of a power of two from 16 to 256 */
INLINE __m512i entry_of(const uint64_t *table, size_t entries, __m512i digits)
{
    __m512i r = entry16(table, digits), high = _mm512_srli_epi64(digits, 4);
    for (size_t e = 1; e < entries / 16; e++)
        r = _mm512_mask_mov_epi64(r, _mm512_cmpeq_epi64_mask(high, _mm512_set1_epi64((long long)e)),
                                  entry16(table + 16 * e, digits));
    return r;
}

/* One entry per lane of up to 8 lanes, to r[i * lanes]. */
INLINE void lookup_lanes(uint64_t *r, const uint64_t *table, size_t entries, __m512i digits,
                         size_t len, size_t lanes)
{
    const __mmask8 used = (__mmask8)((1u << lanes) - 1);
    for (size_t i = 0; i < len; i++) {
        const uint64_t *row = table + i * entries;
        __m512i v = entries == 8 ? entry8(row, digits) : entry_of(row, entries, digits);
        _mm512_mask_storeu_epi64(r + i * lanes, used, v);
    }
}

INLINE void lookup_any(uint64_t *r, const uint64_t *table, size_t entries, const uint64_t *digits,
                       size_t len, size_t lanes)
{
    __m512i d = _mm512_maskz_loadu_epi64((__mmask8)((1u << lanes) - 1), digits);
    switch (entries) { /* so that the loop over entries is unrolled */
    case 32:
        lookup_lanes(r, table, 32, d, len, lanes);
        break;
    case 64:
        lookup_lanes(r, table, 64, d, len, lanes);
        break;
    default:
        lookup_lanes(r, table, entries, d, len, lanes);
    }
}

static void lookup8(uint64_t *r, const uint64_t *table, size_t entries, const uint64_t *digits,
                    size_t len)
{
    lookup_any(r, table, entries, digits, len, 8);
}

static void lookup4(uint64_t *r, const uint64_t *table, size_t entries, const uint64_t *digits,
                    size_t len)
{
    lookup_any(r, table, entries, digits, len, 4);
}

/* ----------------------------------------------------------------------------------- kernels */

#define LANES 8
#include "mont_ifma.h"
#define LANES 4
#include "mont_ifma.h"

const struct cczi_mont_tier cczi_mont_ifma = {
    .name = "ifma",
    .limb_bits = 52,
    .limbs_step = TILE,
    .slack_bits = 6,
    .wide = &ops8,
    .narrow = &ops4,
    .split = &split_ops,
    .narrow_max = NARROW_MAX,
    .split_max = SPLIT_MAX,
};

#endif
