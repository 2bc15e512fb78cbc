/* SPDX-License-Identifier: Apache-2.0 */
#include "psi_priv.h"

#if defined(__AVX2__)
#include <immintrin.h>
#define LANES           8
#define V               __m256i
#define V_LOAD(p)       _mm256_loadu_si256((const __m256i *)(p))
#define V_STORE(p, x)   _mm256_storeu_si256((__m256i *)(p), (x))
#define V_SET1(x)       _mm256_set1_epi32((int)(x))
#define V_ADD(a, b)     _mm256_add_epi32((a), (b))
#define V_ROR(x, n)     _mm256_or_si256(_mm256_srli_epi32((x), (n)), _mm256_slli_epi32((x), 32 - (n)))
#define V_SHR(x, n)     _mm256_srli_epi32((x), (n))
#define V_XOR3(a, b, c) _mm256_xor_si256((a), _mm256_xor_si256((b), (c)))
#define V_CH(x, y, z)   _mm256_xor_si256((z), _mm256_and_si256((x), _mm256_xor_si256((y), (z))))
#define V_MAJ(x, y, z)                                                                             \
    _mm256_or_si256(_mm256_and_si256((x), (y)), _mm256_and_si256((z), _mm256_or_si256((x), (y))))
#define SHA_LANES cczi_sha_avx2
#include "sha_lanes.h"
#else
void cczi_sha_avx2(struct cczi_digest *out, const uint32_t mid[8], const uint8_t (*block)[64],
                   size_t len)
{
    cczi_sha_portable(out, mid, block, len);
}
#endif
