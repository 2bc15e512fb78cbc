/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical embedding with registers of 256 bits. Needs AVX2. */
#include "fft_priv.h"

#if defined(__AVX2__)

#include <immintrin.h>

typedef __m256d V;
#define LOG_LANES      2
#define RADIX_8        0
#define LD(p)          _mm256_load_pd(p)
#define ST(p, v)       _mm256_store_pd((p), (v))
#define ALL(x)         _mm256_set1_pd(x)
#define ADD(a, b)      _mm256_add_pd((a), (b))
#define SUB(a, b)      _mm256_sub_pd((a), (b))
#define MUL(a, b)      _mm256_mul_pd((a), (b))
#define ABS(a)         _mm256_andnot_pd(ALL(-0.0), (a))
#define MAX(a, b)      _mm256_max_pd((a), (b))
#define STU(p, v)      _mm256_storeu_pd((p), (v))
#define ABOVE(a, b, c) _mm256_and_pd(_mm256_cmp_pd((a), (b), _CMP_GT_OQ), (c))

/* As the mantissa of a number from 2^52 on. */
static inline V WORDS(const uint64_t *p)
{
    const V top = ALL(0x1p52);
    __m256i a = _mm256_load_si256((const __m256i *)(const void *)p);
    return SUB(_mm256_or_pd(_mm256_castsi256_pd(a), top), top);
}

static inline void transpose(V v[4])
{
    V a = _mm256_unpacklo_pd(v[0], v[1]), b = _mm256_unpackhi_pd(v[0], v[1]);
    V c = _mm256_unpacklo_pd(v[2], v[3]), d = _mm256_unpackhi_pd(v[2], v[3]);
    v[0] = _mm256_permute2f128_pd(a, c, 0x20);
    v[1] = _mm256_permute2f128_pd(b, d, 0x20);
    v[2] = _mm256_permute2f128_pd(a, c, 0x31);
    v[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

#include "fft_kernel.h"

/*
 * There is no conversion to 64-bit integers. What is below 2^51 shows its integer in the mantissa once
 * 1.5 * 2^52 is added; a larger x is first split into h, its multiple of 2^32 next to it, and the rest,
 * which is exact and below 2^32.
 */
static bool round_all(int64_t *out, const double *in, size_t len, double factor)
{
    const V f = ALL(factor), limit = ALL(0x1p62), sign = ALL(-0.0), magic = ALL(0x1.8p52);
    const V high = ALL(0x1.8p84); /* one unit in the last place is 2^32 */
    const __m256i bits = _mm256_castpd_si256(magic), high_bits = _mm256_castpd_si256(high);
    int good = 0xf;
    for (size_t i = 0; i < len; i += LANES) {
        V x = MUL(LD(in + i), f);
        good &= _mm256_movemask_pd(_mm256_cmp_pd(_mm256_andnot_pd(sign, x), limit, _CMP_LT_OQ));
        V h = ADD(x, high);
        V low = ADD(SUB(x, SUB(h, high)), magic);
        __m256i top = _mm256_sub_epi64(_mm256_castpd_si256(h), high_bits);
        __m256i v = _mm256_add_epi64(_mm256_slli_epi64(top, 32),
                                     _mm256_sub_epi64(_mm256_castpd_si256(low), bits));
        _mm256_store_si256((__m256i *)(void *)(out + i), v);
    }
    return good == 0xf;
}

const struct cczi_fft_kernel cczi_fft_avx2 = {
    .name = "avx2",
    .log_lanes = LOG_LANES,
    .to_slots = to_slots,
    .to_coeffs = to_coeffs,
    .round = round_all,
    .largest = largest,
    .horner = horner,
};

#endif
