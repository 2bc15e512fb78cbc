/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_SUM8_H
#define CCZI_SUM8_H
/* For kernels of 256 bits and more. */
#include "base/unroll.h"

#include <immintrin.h>

/* 8 sums into one, as halves: i and i + 4, then 2, 1. */
INLINE float cczi_sum8(__m256 x)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
#endif
