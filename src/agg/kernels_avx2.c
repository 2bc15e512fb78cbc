/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels with AVX2 and F16C. */
#if defined(__AVX2__) && defined(__F16C__)

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

static inline __m256 load_halves(const uint8_t *in)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)in));
}

static inline size_t half_to_8(float *out, const uint8_t *in, size_t len)
{
    size_t i = 0;
    for (; i + 8 <= len; i += 8)
        _mm256_storeu_ps(out + i, load_halves(in + 2 * i));
    return i;
}

static inline size_t half_add_8(float *acc, const uint8_t *in, float w, size_t len)
{
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        __m256 x = _mm256_mul_ps(_mm256_set1_ps(w), load_halves(in + 2 * i));
        _mm256_storeu_ps(acc + i, _mm256_add_ps(_mm256_loadu_ps(acc + i), x));
    }
    return i;
}

static inline size_t half_from_8(uint8_t *out, const float *x, size_t len)
{
    const __m256 max = _mm256_set1_ps(65504.0f), min = _mm256_set1_ps(-65504.0f);
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        __m256 v = _mm256_max_ps(_mm256_min_ps(_mm256_loadu_ps(x + i), max), min);
        _mm_storeu_si128((__m128i *)(void *)(out + 2 * i),
                         _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    return i;
}

#define HALF_TO   half_to_8
#define HALF_ADD  half_add_8
#define HALF_FROM half_from_8
#include "kernels_body.h"

const struct cczi_agg_kernels cczi_agg_avx2 = AGG_TIER("avx2");
#endif
