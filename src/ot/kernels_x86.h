/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_OT_KERNELS_X86_H
#define CCZI_OT_KERNELS_X86_H
/* What the two x86 tiers share; only for files compiled with AES-NI and PCLMULQDQ. */
#include "kernels.h"

#include <immintrin.h>

static inline __m128i load(const void *p)
{
    return _mm_loadu_si128(p);
}

static inline void load_keys(__m128i k[11], const struct cczi_aes *aes)
{
    for (int r = 0; r < 11; r++)
        k[r] = load(aes->round[r]);
}

/* Four words of the next round key: each is the one before it plus that of the last round. */
static inline __m128i next_key(__m128i key, __m128i assist)
{
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, _mm_shuffle_epi32(assist, 0xff));
}

static inline void expand_key(struct cczi_aes *aes, const uint8_t key[16])
{
    __m128i k = load(key);
    __m128i *out = (__m128i *)aes->round;
    _mm_store_si128(out, k);
#define CCZI_ROUND(r, rcon)                                                                        \
    _mm_store_si128(out + (r), k = next_key(k, _mm_aeskeygenassist_si128(k, rcon)))
    CCZI_ROUND(1, 0x01);
    CCZI_ROUND(2, 0x02);
    CCZI_ROUND(3, 0x04);
    CCZI_ROUND(4, 0x08);
    CCZI_ROUND(5, 0x10);
    CCZI_ROUND(6, 0x20);
    CCZI_ROUND(7, 0x40);
    CCZI_ROUND(8, 0x80);
    CCZI_ROUND(9, 0x1b);
    CCZI_ROUND(10, 0x36);
#undef CCZI_ROUND
}

/* A product before reduction: lo + mid x^64 + hi x^128. */
struct product {
    __m128i lo, mid, hi;
};

static inline struct product product_of(__m128i a, __m128i b)
{
    return (struct product){
        _mm_clmulepi64_si128(a, b, 0x00),
        _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10)),
        _mm_clmulepi64_si128(a, b, 0x11)};
}

static inline struct product product_add(struct product p, struct product q)
{
    return (struct product){_mm_xor_si128(p.lo, q.lo), _mm_xor_si128(p.mid, q.mid),
                            _mm_xor_si128(p.hi, q.hi)};
}

/* x^128 = x^7 + x^2 + x + 1, once for the upper word and once for what that leaves. */
static inline __m128i product_reduce(struct product p)
{
    const __m128i poly = _mm_set_epi64x(0, 0x87);
    __m128i hi = _mm_xor_si128(p.hi, _mm_srli_si128(p.mid, 8));
    __m128i lo = _mm_xor_si128(p.lo, _mm_slli_si128(p.mid, 8));
    __m128i t = _mm_clmulepi64_si128(hi, poly, 0x01);
    lo = _mm_xor_si128(lo, _mm_slli_si128(t, 8));
    hi = _mm_xor_si128(hi, _mm_srli_si128(t, 8));
    return _mm_xor_si128(lo, _mm_clmulepi64_si128(hi, poly, 0x00));
}

static inline struct ccz_f128 to_f128(__m128i a)
{
    struct ccz_f128 r;
    _mm_store_si128((__m128i *)&r, a);
    return r;
}

static inline struct ccz_f128 field_mul(struct ccz_f128 a, struct ccz_f128 b)
{
    return to_f128(product_reduce(product_of(load(&a), load(&b))));
}
#endif
