/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels with AVX-512 F, DQ and VL, which has the conversions of binary16. */
#if defined(__AVX512F__)

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

static inline __m512 load_halves(const uint8_t *in)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)in));
}

static inline size_t half_to_16(float *out, const uint8_t *in, size_t len)
{
    size_t i = 0;
    for (; i + 16 <= len; i += 16)
        _mm512_storeu_ps(out + i, load_halves(in + 2 * i));
    return i;
}

static inline size_t half_add_16(float *acc, const uint8_t *in, float w, size_t len)
{
    size_t i = 0;
    for (; i + 16 <= len; i += 16) {
        __m512 x = _mm512_mul_ps(_mm512_set1_ps(w), load_halves(in + 2 * i));
        _mm512_storeu_ps(acc + i, _mm512_add_ps(_mm512_loadu_ps(acc + i), x));
    }
    return i;
}

static inline size_t half_from_16(uint8_t *out, const float *x, size_t len)
{
    const __m512 max = _mm512_set1_ps(65504.0f), min = _mm512_set1_ps(-65504.0f);
    size_t i = 0;
    for (; i + 16 <= len; i += 16) {
        __m512 v = _mm512_max_ps(_mm512_min_ps(_mm512_loadu_ps(x + i), max), min);
        _mm256_storeu_si256((__m256i *)(void *)(out + 2 * i),
                            _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    return i;
}

#define HALF_TO   half_to_16
#define HALF_ADD  half_add_16
#define HALF_FROM half_from_16
#include "kernels_body.h"

const struct cczi_agg_kernels cczi_agg_avx512 = AGG_TIER("avx512");
#endif
