/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical embedding with registers of 512 bits. Needs AVX-512 F and DQ. */
#include "fft_priv.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include <immintrin.h>

typedef __m512d V;
#define LOG_LANES      3
#define RADIX_8        1
#define LD(p)          _mm512_load_pd(p)
#define ST(p, v)       _mm512_store_pd((p), (v))
#define ALL(x)         _mm512_set1_pd(x)
#define ADD(a, b)      _mm512_add_pd((a), (b))
#define SUB(a, b)      _mm512_sub_pd((a), (b))
#define MUL(a, b)      _mm512_mul_pd((a), (b))
#define ABS(a)         _mm512_abs_pd(a)
#define MAX(a, b)      _mm512_max_pd((a), (b))
#define WORDS(p)       _mm512_cvtepi64_pd(_mm512_load_si512(p))
#define STU(p, v)      _mm512_storeu_pd((p), (v))
#define ABOVE(a, b, c) _mm512_maskz_mov_pd(_mm512_cmp_pd_mask((a), (b), _CMP_GT_OQ), (c))

/* Pairs within 128 bits, then quarters, then halves. */
static inline void transpose(V v[8])
{
    V a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_pd(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_pd(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + j] = _mm512_shuffle_f64x2(a[i + j], a[i + j + 2], 0x88);     /* lanes 0 2, 0 2 */
            b[i + j + 2] = _mm512_shuffle_f64x2(a[i + j], a[i + j + 2], 0xdd); /* lanes 1 3, 1 3 */
        }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_f64x2(b[i], b[i + 4], 0x88);
        v[i + 4] = _mm512_shuffle_f64x2(b[i], b[i + 4], 0xdd);
    }
}

#include "fft_kernel.h"

static bool round_all(int64_t *out, const double *in, size_t len, double factor)
{
    const V f = ALL(factor), limit = ALL(0x1p62);
    __mmask8 good = 0xff;
    for (size_t i = 0; i < len; i += LANES) {
        V x = MUL(LD(in + i), f);
        good &= _mm512_cmp_pd_mask(_mm512_abs_pd(x), limit, _CMP_LT_OQ);
        _mm512_store_si512(
            out + i, _mm512_cvt_roundpd_epi64(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    return good == 0xff;
}

const struct cczi_fft_kernel cczi_fft_avx512 = {
    .name = "avx512",
    .log_lanes = LOG_LANES,
    .to_slots = to_slots,
    .to_coeffs = to_coeffs,
    .round = round_all,
    .largest = largest,
    .horner = horner,
};

#endif
