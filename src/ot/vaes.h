/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_OT_VAES_H
#define CCZI_OT_VAES_H
/* AES on four blocks per register, 16 at a time; only for files compiled with VAES and AVX-512. */
#include "ot/kernels.h"

#include <immintrin.h>

enum { WIDE = 4, REGS = 4, BATCH = WIDE * REGS };

static inline void wide_keys(__m512i k[11], const struct cczi_aes *aes)
{
    for (int r = 0; r < 11; r++)
        k[r] = _mm512_broadcast_i32x4(_mm_load_si128((const void *)aes->round[r]));
}

static inline void encrypt(__m512i b[REGS], const __m512i k[11])
{
    for (int i = 0; i < REGS; i++)
        b[i] = _mm512_xor_si512(b[i], k[0]);
    for (int r = 1; r < 10; r++)
        for (int i = 0; i < REGS; i++)
            b[i] = _mm512_aesenc_epi128(b[i], k[r]);
    for (int i = 0; i < REGS; i++)
        b[i] = _mm512_aesenclast_epi128(b[i], k[10]);
}

/* Of len blocks, those of register i: two words each. */
static inline __mmask8 part(size_t len, size_t i)
{
    size_t n = len > WIDE * i ? len - WIDE * i : 0;
    return (__mmask8)(n >= WIDE ? 0xff : (1u << 2 * n) - 1);
}

#endif
