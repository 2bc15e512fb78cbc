/* SPDX-License-Identifier: Apache-2.0 */
/* VAES and VPCLMULQDQ on 512 bits: four blocks per register, 16 at a time. Ends of arrays are masked. */
#if defined(__x86_64__)
#include "kernels_x86.h"
#include "vaes.h"

static inline void load_batch(__m512i b[REGS], const struct ccz_f128 *in, size_t len)
{
    for (size_t i = 0; i < REGS; i++)
        b[i] = _mm512_maskz_loadu_epi64(part(len, i), in + WIDE * i);
}

static inline void store_batch(struct ccz_f128 *out, const __m512i b[REGS], size_t len)
{
    for (size_t i = 0; i < REGS; i++)
        _mm512_mask_storeu_epi64(out + WIDE * i, part(len, i), b[i]);
}

/* Counters first .. first + 3 of register 0; others follow by adding. */
static inline __m512i counters(uint64_t first)
{
    return _mm512_add_epi64(_mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0),
                            _mm512_maskz_set1_epi64(0x55, (long long)first));
}

static void ctr(struct ccz_f128 *out, size_t len, uint64_t first, const struct cczi_aes *aes)
{
    const __m512i step = _mm512_maskz_set1_epi64(0x55, WIDE);
    __m512i k[11], b[REGS], at = counters(first);
    wide_keys(k, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        for (int j = 0; j < REGS; j++) {
            b[j] = at;
            at = _mm512_add_epi64(at, step);
        }
        encrypt(b, k);
        store_batch(out + i, b, len - i);
    }
}

static void grow(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len,
                 const struct cczi_aes *aes)
{
    const __m512i bit = _mm512_set_epi64(0, 1, 0, 0, 0, 1, 0, 0);
    const __m512i lower = _mm512_set_epi64(3, 2, 3, 2, 1, 0, 1, 0);
    const __m512i upper = _mm512_set_epi64(7, 6, 7, 6, 5, 4, 5, 4);
    __m512i k[11], b[REGS], x[REGS];
    wide_keys(k, aes);
    for (size_t i = 0; i < len; i += BATCH / 2) {
        for (size_t j = 0; j < REGS / 2; j++) {
            __m512i p = _mm512_maskz_loadu_epi64(part(len - i, j), in + i + WIDE * j);
            x[2 * j] = _mm512_xor_si512(_mm512_permutexvar_epi64(lower, p), bit);
            x[2 * j + 1] = _mm512_xor_si512(_mm512_permutexvar_epi64(upper, p), bit);
        }
        for (int j = 0; j < REGS; j++)
            b[j] = x[j];
        encrypt(b, k);
        for (int j = 0; j < REGS; j++)
            b[j] = _mm512_xor_si512(b[j], x[j]);
        store_batch(out + 2 * i, b, 2 * (len - i));
    }
}

static void hash(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len, uint64_t tweak,
                 const struct cczi_aes *aes)
{
    const __m512i step = _mm512_maskz_set1_epi64(0x55, WIDE);
    __m512i k[11], b[REGS], x[REGS], at = counters(tweak);
    wide_keys(k, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        load_batch(b, in + i, len - i);
        encrypt(b, k);
        for (int j = 0; j < REGS; j++) {
            x[j] = b[j];
            b[j] = _mm512_xor_si512(b[j], at);
            at = _mm512_add_epi64(at, step);
        }
        encrypt(b, k);
        for (int j = 0; j < REGS; j++)
            b[j] = _mm512_xor_si512(b[j], x[j]);
        store_batch(out + i, b, len - i);
    }
}

static inline __m128i fold(__m512i a)
{
    __m256i b = _mm256_xor_si256(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
}

/* hi, lo + hi of each block */
static inline __m512i turn(__m512i a)
{
    return _mm512_xor_si512(_mm512_shuffle_epi32(a, 0x4e), _mm512_maskz_mov_epi64(0xaa, a));
}

static struct ccz_f128 halve(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len,
                             const struct cczi_aes *aes)
{
    const __m512i lower = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i upper = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    __m512i k[11], b[REGS], x[REGS], sum = _mm512_setzero_si512();
    wide_keys(k, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        load_batch(x, in + i, len - i);
        for (int j = 0; j < REGS; j++)
            b[j] = turn(x[j]);
        encrypt(b, k);
        for (size_t j = 0; j < REGS; j++) {
            __mmask8 m = part(len - i, j);
            __m512i left = _mm512_maskz_xor_epi64(m, b[j], turn(x[j]));
            __m512i right = _mm512_xor_si512(left, x[j]);
            struct ccz_f128 *to = out + 2 * (i + WIDE * j);
            sum = _mm512_xor_si512(sum, left);
            if (m == 0)
                break;
            _mm512_mask_storeu_epi64(to, part(2 * (len - i), 2 * j),
                                     _mm512_permutex2var_epi64(left, lower, right));
            _mm512_mask_storeu_epi64(to + WIDE, part(2 * (len - i), 2 * j + 1),
                                     _mm512_permutex2var_epi64(left, upper, right));
        }
    }
    return to_f128(fold(sum));
}

/* ------------------------------------------------------------------------------------ GF(2^128) */

/* Four products before reduction. */
struct wide_product {
    __m512i lo, mid, hi;
};

static inline struct wide_product wide_mul(__m512i a, __m512i b)
{
    return (struct wide_product){_mm512_clmulepi64_epi128(a, b, 0x00),
                                 _mm512_xor_si512(_mm512_clmulepi64_epi128(a, b, 0x01),
                                                  _mm512_clmulepi64_epi128(a, b, 0x10)),
                                 _mm512_clmulepi64_epi128(a, b, 0x11)};
}

static inline struct wide_product wide_add(struct wide_product p, struct wide_product q)
{
    return (struct wide_product){_mm512_xor_si512(p.lo, q.lo), _mm512_xor_si512(p.mid, q.mid),
                                 _mm512_xor_si512(p.hi, q.hi)};
}

/* Upper and lower words of each block change places with zeros. */
static inline __m512i up(__m512i a)
{
    return _mm512_maskz_permutex_epi64(0xaa, a, 0xa0); /* 0, a0 | 0, a2 */
}

static inline __m512i down(__m512i a)
{
    return _mm512_maskz_permutex_epi64(0x55, a, 0xf5); /* a1, 0 | a3, 0 */
}

static inline __m512i wide_reduce(struct wide_product p)
{
    const __m512i poly = _mm512_maskz_set1_epi64(0x55, 0x87);
    __m512i hi = _mm512_xor_si512(p.hi, down(p.mid));
    __m512i lo = _mm512_xor_si512(p.lo, up(p.mid));
    __m512i t = _mm512_clmulepi64_epi128(hi, poly, 0x01);
    lo = _mm512_xor_si512(lo, up(t));
    hi = _mm512_xor_si512(hi, down(t));
    return _mm512_xor_si512(lo, _mm512_clmulepi64_epi128(hi, poly, 0x00));
}

static void mul_add(struct ccz_f128 *r, const struct ccz_f128 *a, size_t len, struct ccz_f128 x)
{
    const __m512i by = _mm512_broadcast_i32x4(load(&x));
    for (size_t i = 0; i < len; i += WIDE) {
        __mmask8 m = part(len - i, 0);
        __m512i v = _mm512_maskz_loadu_epi64(m, a + i);
        __m512i sum =
            _mm512_xor_si512(_mm512_maskz_loadu_epi64(m, r + i), wide_reduce(wide_mul(v, by)));
        _mm512_mask_storeu_epi64(r + i, m, sum);
    }
}

/* From the last element to the first; 32 products share a reduction. */
static struct ccz_f128 poly(const struct ccz_f128 *a, size_t len, struct ccz_f128 x)
{
    enum { STEP = 32 };
    __m128i power[STEP], sum = _mm_setzero_si128();
    __m512i wide[STEP / WIDE];
    power[0] = load(&x);
    for (int i = 1; i < STEP; i++)
        power[i] = product_reduce(product_of(power[i - 1], power[0]));
    for (int i = 0; i < STEP / WIDE; i++)
        wide[i] = _mm512_loadu_si512(power + WIDE * i);
    for (size_t i = len; i % STEP; i--)
        sum = product_reduce(product_of(_mm_xor_si128(sum, load(a + i - 1)), power[0]));
    for (size_t i = len / STEP * STEP; i > 0; i -= STEP) {
        const struct ccz_f128 *at = a + i - STEP;
        struct wide_product w = wide_mul(_mm512_loadu_si512(at), wide[0]);
        for (int j = 1; j < STEP / WIDE; j++)
            w = wide_add(w, wide_mul(_mm512_loadu_si512(at + WIDE * j), wide[j]));
        struct product p = {fold(w.lo), fold(w.mid), fold(w.hi)};
        sum = product_reduce(product_add(p, product_of(sum, power[STEP - 1])));
    }
    return to_f128(sum);
}

const struct cczi_ot_kernels cczi_ot_vaes = {.name = "vaes",
                                             .aes_key = expand_key,
                                             .ctr = ctr,
                                             .grow = grow,
                                             .halve = halve,
                                             .hash = hash,
                                             .mul = field_mul,
                                             .mul_add = mul_add,
                                             .poly = poly};
#else
typedef int cczi_no_vaes;
#endif
