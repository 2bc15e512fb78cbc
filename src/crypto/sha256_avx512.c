/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of 16 messages side by side. Entered only where the processor has AVX-512 F. */
#include "crypto_priv.h"

#if defined(__AVX512F__)
#include <string.h>

#include "sha256_words_avx512.h"

#include "sha256_rounds.h"

enum { LANES = CCZI_SHA_LANES, BLOCK = 64 };

static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static inline V big_endian(V x)
{
    return _mm512_ternarylogic_epi32(V_SET1(0xff00ff00), _mm512_ror_epi32(x, 8),
                                     _mm512_rol_epi32(x, 8), 0xca);
}

/* Word t of every lane's block, each @p stride bytes behind the one before, to w[t]: a transposed 16 by 16 matrix. */
static inline void gather(V w[16], const uint8_t *at, size_t stride)
{
    V a[16], b[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++)
        a[i] = big_endian(_mm512_loadu_si512(at + i * stride));
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4;
         j++) { /* a[4 g + j]: words j, 4 + j, 8 + j, 12 + j of the lanes 4 g to 4 g + 3 */
        V lo = _mm512_shuffle_i32x4(a[j], a[4 + j], 0x88);
        V hi = _mm512_shuffle_i32x4(a[j], a[4 + j], 0xdd);
        V lo2 = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0x88);
        V hi2 = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0xdd);
        w[j] = _mm512_shuffle_i32x4(lo, lo2, 0x88);
        w[8 + j] = _mm512_shuffle_i32x4(lo, lo2, 0xdd);
        w[4 + j] = _mm512_shuffle_i32x4(hi, hi2, 0x88);
        w[12 + j] = _mm512_shuffle_i32x4(hi, hi2, 0xdd);
    }
}

static inline void compress(V h[8], V w[16])
{
    V s[8];
    memcpy(s, h, sizeof(s));
    sha_rounds(s, w);
    for (int j = 0; j < 8; j++)
        h[j] = V_ADD(h[j], s[j]);
}

bool cczi_sha256_lanes(uint8_t (*out)[32], const uint8_t *in, size_t size)
{
    enum { AHEAD = 4 * BLOCK }; /* 16 streams are more than the processor follows by itself */
    V h[8], w[16];
    for (int j = 0; j < 8; j++)
        h[j] = V_SET1(start[j]);
    for (size_t at = 0; at < size; at += BLOCK) {
        gather(w, in + at, size);
        for (size_t i = 0; at + AHEAD < size && i < LANES; i++)
            _mm_prefetch((const char *)in + i * size + at + AHEAD, _MM_HINT_T0);
        compress(h, w);
    }
    for (int t = 0; t < 16; t++) /* the padding, the same in all lanes: messages are whole blocks */
        w[t] = V_SET1(0);
    w[0] = V_SET1(0x80000000);
    w[14] = V_SET1((uint64_t)size * 8 >> 32);
    w[15] = V_SET1((uint64_t)size * 8);
    compress(h, w);
    for (int j = 0; j < 8; j++) {
        uint32_t words[LANES];
        _mm512_storeu_si512(words, h[j]);
        for (size_t i = 0; i < LANES; i++) {
            uint32_t be = __builtin_bswap32(words[i]);
            memcpy(out[i] + 4 * j, &be, sizeof(be));
        }
    }
    return true;
}
#else
bool cczi_sha256_lanes(uint8_t (*out)[32], const uint8_t *in, size_t size)
{
    (void)out, (void)in, (void)size;
    return false;
}
#endif
