/* SPDX-License-Identifier: Apache-2.0 */
#include "psi_priv.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES           16
#define V               __m512i
#define V_LOAD(p)       _mm512_loadu_si512(p)
#define V_STORE(p, x)   _mm512_storeu_si512((p), (x))
#define V_SET1(x)       _mm512_set1_epi32((int)(x))
#define V_ADD(a, b)     _mm512_add_epi32((a), (b))
#define V_ROR(x, n)     _mm512_ror_epi32((x), (n))
#define V_SHR(x, n)     _mm512_srli_epi32((x), (n))
#define V_XOR3(a, b, c) _mm512_ternarylogic_epi32((a), (b), (c), 0x96)
#define V_CH(x, y, z)   _mm512_ternarylogic_epi32((x), (y), (z), 0xca)
#define V_MAJ(x, y, z)  _mm512_ternarylogic_epi32((x), (y), (z), 0xe8)
#define SHA_LANES       cczi_sha_avx512
#include "sha_lanes.h"
#else
void cczi_sha_avx512(struct cczi_digest *out, const uint32_t mid[8], const uint8_t (*block)[64],
                     size_t len)
{
    cczi_sha_portable(out, mid, block, len);
}
#endif
