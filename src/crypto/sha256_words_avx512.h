/* SPDX-License-Identifier: Apache-2.0 */
/* What sha256_rounds.h needs, on registers of 16 words. */
#include <immintrin.h>

#define V               __m512i
#define V_SET1(x)       _mm512_set1_epi32((int)(x))
#define V_ADD(a, b)     _mm512_add_epi32((a), (b))
#define V_ROR(x, n)     _mm512_ror_epi32((x), (n))
#define V_SHR(x, n)     _mm512_srli_epi32((x), (n))
#define V_XOR3(a, b, c) _mm512_ternarylogic_epi32((a), (b), (c), 0x96)
#define V_CH(x, y, z)   _mm512_ternarylogic_epi32((x), (y), (z), 0xca)
#define V_MAJ(x, y, z)  _mm512_ternarylogic_epi32((x), (y), (z), 0xe8)
