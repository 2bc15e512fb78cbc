/* SPDX-License-Identifier: Apache-2.0 */
/* VAES on 512 bits: four blocks per register. Bits and words leave as they are computed, hashes are never stored. */
#if defined(__x86_64__)
#include "cmp_kernels.h"
#include "ot/vaes.h"

#include <immintrin.h>
#include <string.h>

static inline __m512i both(struct ccz_f128 a)
{
    return _mm512_set_epi64((long long)a.hi, (long long)a.lo, (long long)a.hi, (long long)a.lo,
                            (long long)a.hi, (long long)a.lo, (long long)a.hi, (long long)a.lo);
}

/* Hashes of up to BATCH blocks; low halves of eight blocks in lo[0], the next eight in lo[1]; likewise hi. */
static inline void hash_batch(__m512i lo[2], __m512i hi[2], const struct ccz_f128 *in,
                              __m512i offset, size_t len, uint64_t tweak, const __m512i k[11])
{
    const __m512i even = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
    const __m512i step = _mm512_maskz_set1_epi64(0x55, WIDE);
    __m512i at = _mm512_add_epi64(_mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0),
                                  _mm512_maskz_set1_epi64(0x55, (long long)tweak));
    __m512i b[REGS], x[REGS];
    for (size_t j = 0; j < REGS; j++)
        b[j] = _mm512_xor_si512(_mm512_maskz_loadu_epi64(part(len, j), in + WIDE * j), offset);
    encrypt(b, k);
    for (size_t j = 0; j < REGS; j++) {
        x[j] = b[j];
        b[j] = _mm512_xor_si512(b[j], at);
        at = _mm512_add_epi64(at, step);
    }
    encrypt(b, k);
    for (size_t j = 0; j < REGS; j++)
        b[j] = _mm512_xor_si512(b[j], x[j]);
    for (int j = 0; j < 2; j++) {
        lo[j] = _mm512_permutex2var_epi64(b[2 * j], even, b[2 * j + 1]);
        hi[j] = _mm512_permutex2var_epi64(b[2 * j], odd, b[2 * j + 1]);
    }
}

static void pad_bits(uint64_t *lo, uint64_t *hi, const struct ccz_f128 *in, struct ccz_f128 offset,
                     size_t len, uint64_t tweak, const struct cczi_aes *aes)
{
    const __m512i one = _mm512_set1_epi64(1), off = both(offset);
    __m512i k[11], l[2], h[2];
    wide_keys(k, aes);
    for (size_t w = 0; w * 64 < len; w++) {
        uint64_t a = 0, b = 0, left = len - w * 64;
        for (unsigned i = 0; i < 64 && i < left; i += BATCH) {
            hash_batch(l, h, in + w * 64 + i, off, left - i, tweak + w * 64 + i, k);
            a |= (uint64_t)_mm512_test_epi64_mask(l[0], one) << i |
                 (uint64_t)_mm512_test_epi64_mask(l[1], one) << (i + 8);
            b |= (uint64_t)_mm512_test_epi64_mask(h[0], one) << i |
                 (uint64_t)_mm512_test_epi64_mask(h[1], one) << (i + 8);
        }
        uint64_t valid = left < 64 ? ((uint64_t)1 << left) - 1 : UINT64_MAX;
        lo[w] = a & valid;
        hi[w] = b & valid;
    }
}

static void pad_words(uint64_t *lo, uint64_t *hi, const struct ccz_f128 *in, struct ccz_f128 offset,
                      size_t len, uint64_t tweak, const struct cczi_aes *aes)
{
    const __m512i off = both(offset);
    __m512i k[11], l[2], h[2];
    wide_keys(k, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        hash_batch(l, h, in + i, off, len - i, tweak + i, k);
        for (size_t j = 0; j < 2; j++) {
            size_t from = i + 8 * j, n = len > from ? len - from : 0;
            __mmask8 m = (__mmask8)(n >= 8 ? 0xff : (1u << n) - 1);
            _mm512_mask_storeu_epi64(lo + from, m, l[j]);
            if (hi)
                _mm512_mask_storeu_epi64(hi + from, m, h[j]);
        }
    }
}

/* a x in each of four fields */
static inline __m512i mulx(__m512i a)
{
    const __m512i carry = _mm512_set_epi64(1, 0x87, 1, 0x87, 1, 0x87, 1, 0x87);
    __m512i top = _mm512_shuffle_epi32(_mm512_srli_epi64(a, 63), _MM_PERM_BADC);
    return _mm512_xor_si512(_mm512_slli_epi64(a, 1),
                            _mm512_and_si512(_mm512_sub_epi64(_mm512_setzero_si512(), top), carry));
}

static void fold(struct ccz_f128 *out, const struct ccz_f128 *in, size_t stride, size_t len,
                 unsigned planes)
{
    for (size_t i = 0; i < len; i += WIDE) {
        __mmask8 m = part(len - i, 0);
        __m512i sum = _mm512_maskz_loadu_epi64(m, in + (planes - 1) * stride + i);
        for (unsigned b = planes - 1; b-- > 0;)
            sum = _mm512_xor_si512(mulx(sum), _mm512_maskz_loadu_epi64(m, in + b * stride + i));
        _mm512_mask_storeu_epi64(out + i, m, sum);
    }
}

const struct cczi_cmp_kernels cczi_cmp_vaes = {
    .name = "vaes", .pad_bits = pad_bits, .pad_words = pad_words, .fold = fold};
#else
typedef int cczi_cmp_no_vaes;
#endif
