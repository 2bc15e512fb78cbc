/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels on top of the hash of `ot`, and the choice of a tier. */
#define _DEFAULT_SOURCE
#include "cmp_kernels.h"

#include <pthread.h>
#include <string.h>

enum { PART = 256 };

/* H(in[i] + offset, tweak + i) of at most PART elements. */
static void hashed(struct ccz_f128 out[PART], const struct ccz_f128 *in, struct ccz_f128 offset,
                   size_t len, uint64_t tweak, const struct cczi_aes *aes)
{
    for (size_t i = 0; i < len; i++)
        out[i] = cczi_f128_add(in[i], offset);
    cczi_ot_kernels()->hash(out, out, len, tweak, aes);
}

static void pad_bits(uint64_t *lo, uint64_t *hi, const struct ccz_f128 *in, struct ccz_f128 offset,
                     size_t len, uint64_t tweak, const struct cczi_aes *aes)
{
    struct ccz_f128 h[PART];
    for (size_t at = 0; at < len; at += PART) {
        size_t n = len - at < PART ? len - at : PART;
        hashed(h, in + at, offset, n, tweak + at, aes);
        for (size_t w = 0; w * 64 < n; w++) {
            uint64_t l = 0, u = 0;
            for (size_t i = 0; i < 64 && w * 64 + i < n; i++) {
                l |= (h[w * 64 + i].lo & 1) << i;
                u |= (h[w * 64 + i].hi & 1) << i;
            }
            lo[at / 64 + w] = l;
            hi[at / 64 + w] = u;
        }
    }
    ccz_wipe(h, sizeof(h));
}

static void pad_words(uint64_t *lo, uint64_t *hi, const struct ccz_f128 *in, struct ccz_f128 offset,
                      size_t len, uint64_t tweak, const struct cczi_aes *aes)
{
    struct ccz_f128 h[PART];
    for (size_t at = 0; at < len; at += PART) {
        size_t n = len - at < PART ? len - at : PART;
        hashed(h, in + at, offset, n, tweak + at, aes);
        for (size_t i = 0; i < n; i++)
            lo[at + i] = h[i].lo;
        for (size_t i = 0; hi && i < n; i++)
            hi[at + i] = h[i].hi;
    }
    ccz_wipe(h, sizeof(h));
}

static void fold(struct ccz_f128 *out, const struct ccz_f128 *in, size_t stride, size_t len,
                 unsigned planes)
{
    for (size_t i = 0; i < len; i++) {
        struct ccz_f128 sum = in[(planes - 1) * stride + i];
        for (unsigned b = planes - 1; b-- > 0;)
            sum = cczi_f128_add(cczi_f128_mulx(sum), in[b * stride + i]);
        out[i] = sum;
    }
}

const struct cczi_cmp_kernels cczi_cmp_plain = {
    .name = "plain", .pad_bits = pad_bits, .pad_words = pad_words, .fold = fold};

/* ---------------------------------------------------------------------------------------- choice */

static const struct cczi_cmp_kernels *fused, *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
enum { LEN = 331, WORDS = (LEN + 63) / 64 };

struct results {
    uint64_t bits[2][WORDS], words[2][LEN];
    struct ccz_f128 folded[LEN];
};

/* Everything a tier can do, to known inputs. */
static void run(struct results *r, const struct cczi_cmp_kernels *k)
{
    struct ccz_f128 in[LEN];
    struct cczi_aes aes;
    memset(r, 0, sizeof(*r));
    cczi_ot_portable.aes_key(&aes, (const uint8_t *)"comparison tests");
    cczi_ot_portable.ctr(in, LEN, 7, &aes);
    k->pad_bits(r->bits[0], r->bits[1], in, in[5], LEN, UINT64_MAX - 9, &aes);
    k->pad_words(r->words[0], r->words[1], in, in[6], LEN, 1234, &aes);
    k->fold(r->folded, in, LEN / 4, LEN / 4, 4);
    k->fold(r->folded + LEN / 2, in, LEN / 2, LEN / 2, 2);
}

static bool self_test(const struct cczi_cmp_kernels *k)
{
    struct results got, expected;
    run(&got, k);
    run(&expected, &cczi_cmp_plain);
    return memcmp(&got, &expected, sizeof(got)) == 0;
}
#endif

static void choose(void)
{
    chosen = &cczi_cmp_plain;
#if defined(__x86_64__)
    if (ccz_cpu()->vaes && self_test(&cczi_cmp_vaes))
        fused = &cczi_cmp_vaes;
    if (fused && ccz_cpu()->chosen >= CCZ_CPU_AVX512)
        chosen = fused;
#endif
}

const struct cczi_cmp_kernels *cczi_cmp_kernels(void)
{
    (void)pthread_once(&chosen_once, choose);
    return chosen;
}

const struct cczi_cmp_kernels *cczi_cmp_kernels_fused(void)
{
    (void)pthread_once(&chosen_once, choose);
    return fused;
}
