/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NUM_FP_H
#define CCZ_NUM_FP_H
/*
 * Residues of q < 2^50 as integers in double precision, in registers of 256 or 512 bits: for processors
 * without 52-bit multiplication. What of a product does not fit into 53 bits is had exactly with a
 * fused multiplication (van der Hoeven, Lecerf, Quintin, "Modular SIMD arithmetic in Mathemagix",
 * 2016). Numbers are signed, and no sum needs a reduction as long as it is below 2^52.
 * Needs rounding to nearest: see control().
 */
#include "num_priv.h"

#include "base/unroll.h"

#include <immintrin.h>
#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 8, LOG_LANES = 3 };
typedef __m512d vec;
typedef __m512i ivec;
#define FP(op)               _mm512_##op
#define FP_ROUND(x)          _mm512_roundscale_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define FP_BITS(x)           _mm512_castpd_si512(x)
#define FP_VALUE(x)          _mm512_castsi512_pd(x)
#define FP_OR(a, b)          _mm512_or_si512(a, b)
#define FP_LOAD_WORDS(p)     _mm512_loadu_si512(p)
#define FP_STORE_WORDS(p, x) _mm512_storeu_si512(p, x)
#else
enum { LANES = 4, LOG_LANES = 2 };
typedef __m256d vec;
typedef __m256i ivec;
#define FP(op)               _mm256_##op
#define FP_ROUND(x)          _mm256_round_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define FP_BITS(x)           _mm256_castpd_si256(x)
#define FP_VALUE(x)          _mm256_castsi256_pd(x)
#define FP_OR(a, b)          _mm256_or_si256(a, b)
#define FP_LOAD_WORDS(p)     _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define FP_STORE_WORDS(p, x) _mm256_storeu_si256((__m256i *)(void *)(p), x)
#endif

INLINE vec all(double x)
{
    return FP(set1_pd)(x);
}

INLINE vec add(vec a, vec b)
{
    return FP(add_pd)(a, b);
}

INLINE vec sub(vec a, vec b)
{
    return FP(sub_pd)(a, b);
}

/* a < 0 ? a + b : a */
INLINE vec add_if_negative(vec a, vec b)
{
#if defined(__AVX512F__)
    return _mm512_mask_add_pd(a, _mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_LT_OQ), a, b);
#else
    return _mm256_blendv_pd(a, _mm256_add_pd(a, b), a); /* by sign; there is no -0 */
#endif
}

/* a > b ? a - c : a */
INLINE vec sub_if_above(vec a, vec b, vec c)
{
#if defined(__AVX512F__)
    return _mm512_mask_sub_pd(a, _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ), a, c);
#else
    return _mm256_sub_pd(a, _mm256_and_pd(_mm256_cmp_pd(a, b, _CMP_GT_OQ), c));
#endif
}

/* Words below 2^52 as numbers, less @p minus, and back: as the last 52 bits of 2^52 + x. */
#define TWO_52 0x1p52

INLINE vec from_words(const uint64_t *p, vec minus)
{
    ivec x = FP_OR(FP_LOAD_WORDS(p), FP_BITS(all(TWO_52)));
    return sub(FP_VALUE(x), minus); /* minus includes 2^52 */
}

INLINE void to_words(uint64_t *p, vec x)
{
    FP_STORE_WORDS(p, FP(sub_epi64)(FP_BITS(add(x, all(TWO_52))), FP_BITS(all(TWO_52))));
}

struct field {
    vec q, inverse, zero, two_q; /* 1 / q; 2^52 and 2^52 + 2 q for from_words() */
};

INLINE struct field field(const struct ccz_modulus *m)
{
    const double q = (double)m->q;
    return (struct field){all(q), all(1 / q), all(TWO_52), all(TWO_52 + 2 * q)};
}

/* x - q round(x / q): in [-q / 2, q / 2], give or take 2^-2 q where |x| is near 2^52 */
INLINE vec reduce(vec x, const struct field *f)
{
    return FP(fnmadd_pd)(FP_ROUND(FP(mul_pd)(x, f->inverse)), f->q, x);
}

/* A factor in [-q / 2, q / 2], and that by q. */
struct factor {
    double w, quot;
};

INLINE struct factor factor(uint64_t w, const struct ccz_modulus *m)
{
    double x = w > m->q / 2 ? -(double)(m->q - w) : (double)w;
    return (struct factor){x, x / (double)m->q};
}

/* y w mod q, for |y| <= 2^52: |y w / q| is below 2^51 and wrong by at most 2^-2 before it is rounded, so
 * that the result is below 3/4 q. */
INLINE vec times(vec y, vec w, vec quot, const struct field *f)
{
    const vec magic = all(0x1.8p52); /* rounds to integers */
    vec k = sub(FP(fmadd_pd)(y, quot, magic), magic);
    vec high = FP(mul_pd)(y, w);
    return add(FP(fnmadd_pd)(k, f->q, high), FP(fmsub_pd)(y, w, high));
}

/* a b mod q, for |a b / q| <= 2^51: below 5/4 q */
INLINE vec product(vec a, vec b, const struct field *f)
{
    vec high = FP(mul_pd)(a, b), k = FP_ROUND(FP(mul_pd)(high, f->inverse));
    return add(FP(fnmadd_pd)(k, f->q, high), FP(fmsub_pd)(a, b, high));
}

/* |x| < q to words */
INLINE void store_signed(uint64_t *p, vec x, const struct field *f)
{
    to_words(p, add_if_negative(x, f->q));
}

/* |x| <= 2^52 to words */
INLINE void store_any(uint64_t *p, vec x, const struct field *f)
{
    store_signed(p, reduce(x, f), f);
}

/* MXCSR: rounding to nearest, exceptions masked; its flags are of no interest. Returns what was there. */
enum { CONTROL = 0x1f80 };

INLINE unsigned control(unsigned mxcsr)
{
    unsigned was = _mm_getcsr();
    _mm_setcsr(mxcsr);
    return was;
}
#endif
