/* SPDX-License-Identifier: Apache-2.0 */
/* AES-NI and PCLMULQDQ, eight blocks at a time. */
#if defined(__x86_64__)
#include "kernels_x86.h"

enum { BATCH = 8 };

static inline void encrypt(__m128i b[BATCH], const __m128i k[11])
{
    for (int i = 0; i < BATCH; i++)
        b[i] = _mm_xor_si128(b[i], k[0]);
    for (int r = 1; r < 10; r++)
        for (int i = 0; i < BATCH; i++)
            b[i] = _mm_aesenc_si128(b[i], k[r]);
    for (int i = 0; i < BATCH; i++)
        b[i] = _mm_aesenclast_si128(b[i], k[10]);
}

static inline size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline void store(struct ccz_f128 *out, __m128i a)
{
    _mm_store_si128((__m128i *)out, a);
}

static void ctr(struct ccz_f128 *out, size_t len, uint64_t first, const struct cczi_aes *aes)
{
    __m128i k[11], b[BATCH];
    load_keys(k, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        for (size_t j = 0; j < BATCH; j++)
            b[j] = _mm_set_epi64x(0, (long long)(first + i + j));
        encrypt(b, k);
        for (size_t j = 0; j < min(len - i, BATCH); j++)
            store(out + i + j, b[j]);
    }
}

static void grow(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len,
                 const struct cczi_aes *aes)
{
    const __m128i one = _mm_set_epi64x(0, 1);
    __m128i k[11], b[BATCH], x[BATCH];
    load_keys(k, aes);
    for (size_t i = 0; i < len; i += BATCH / 2) {
        size_t n = min(len - i, BATCH / 2);
        for (size_t j = 0; j < BATCH / 2; j++) {
            b[2 * j] = j < n ? load(in + i + j) : one;
            b[2 * j + 1] = _mm_xor_si128(b[2 * j], one);
        }
        for (int j = 0; j < BATCH; j++)
            x[j] = b[j];
        encrypt(b, k);
        for (size_t j = 0; j < 2 * n; j++)
            store(out + 2 * i + j, _mm_xor_si128(b[j], x[j]));
    }
}

static struct ccz_f128 halve(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len,
                             const struct cczi_aes *aes)
{
    __m128i k[11], b[BATCH], x[BATCH], sum = _mm_setzero_si128();
    load_keys(k, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        size_t n = min(len - i, BATCH);
        for (size_t j = 0; j < BATCH; j++) {
            __m128i v = j < n ? load(in + i + j) : k[0];
            b[j] =
                _mm_xor_si128(_mm_shuffle_epi32(v, 0x4e), _mm_slli_si128(_mm_srli_si128(v, 8), 8));
            x[j] = b[j];
        }
        encrypt(b, k);
        for (size_t j = 0; j < n; j++) {
            __m128i left = _mm_xor_si128(b[j], x[j]);
            sum = _mm_xor_si128(sum, left);
            store(out + 2 * (i + j), left);
            store(out + 2 * (i + j) + 1, _mm_xor_si128(left, load(in + i + j)));
        }
    }
    return to_f128(sum);
}

static void hash(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len, uint64_t tweak,
                 const struct cczi_aes *aes)
{
    __m128i k[11], b[BATCH], x[BATCH];
    load_keys(k, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        size_t n = min(len - i, BATCH);
        for (size_t j = 0; j < BATCH; j++)
            b[j] = j < n ? load(in + i + j) : k[0];
        encrypt(b, k);
        for (size_t j = 0; j < BATCH; j++) {
            x[j] = b[j];
            b[j] = _mm_xor_si128(b[j], _mm_set_epi64x(0, (long long)(tweak + i + j)));
        }
        encrypt(b, k);
        for (size_t j = 0; j < n; j++)
            store(out + i + j, _mm_xor_si128(b[j], x[j]));
    }
}

static void mul_add(struct ccz_f128 *r, const struct ccz_f128 *a, size_t len, struct ccz_f128 x)
{
    __m128i by = load(&x);
    for (size_t i = 0; i < len; i++)
        store(r + i, _mm_xor_si128(load(r + i), product_reduce(product_of(load(a + i), by))));
}

/* From the last element to the first; eight products share a reduction. */
static struct ccz_f128 poly(const struct ccz_f128 *a, size_t len, struct ccz_f128 x)
{
    __m128i power[BATCH], sum = _mm_setzero_si128();
    power[0] = load(&x);
    for (int i = 1; i < BATCH; i++)
        power[i] = product_reduce(product_of(power[i - 1], power[0]));
    for (size_t i = len; i % BATCH; i--)
        sum = product_reduce(product_of(_mm_xor_si128(sum, load(a + i - 1)), power[0]));
    for (size_t i = len / BATCH * BATCH; i > 0; i -= BATCH) {
        struct product p = product_of(sum, power[BATCH - 1]);
        for (size_t j = 0; j < BATCH; j++)
            p = product_add(p, product_of(load(a + i - BATCH + j), power[j]));
        sum = product_reduce(p);
    }
    return to_f128(sum);
}

const struct cczi_ot_kernels cczi_ot_aesni = {.name = "aesni",
                                              .aes_key = expand_key,
                                              .ctr = ctr,
                                              .grow = grow,
                                              .halve = halve,
                                              .hash = hash,
                                              .mul = field_mul,
                                              .mul_add = mul_add,
                                              .poly = poly};
#else
typedef int cczi_no_aesni;
#endif
