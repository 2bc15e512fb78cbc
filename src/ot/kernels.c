/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of the tier, and the field of the public header. */
#define _DEFAULT_SOURCE
#include "kernels.h"

#include <pthread.h>
#include <string.h>

static const struct cczi_ot_kernels *usable[CCZI_OT_TIERS], *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

enum { LEN = 75, RESULTS = 8 };

/* Everything a tier can do to known inputs, lengths that are no multiple of anything. */
static void run(struct ccz_f128 out[RESULTS][2 * LEN], const struct cczi_ot_kernels *k)
{
    struct ccz_f128 in[LEN];
    struct cczi_aes aes;
    uint8_t key[16];
    memset(out, 0, sizeof(struct ccz_f128[RESULTS][2 * LEN]));
    for (uint8_t i = 0; i < 16; i++)
        key[i] = (uint8_t)(i * 37 + 11);
    k->aes_key(&aes, key);
    memcpy(out[0], aes.round, sizeof(aes.round));
    k->ctr(in, LEN, 0xfffffffffffffff0u, &aes);
    memcpy(out[1], in, sizeof(in));
    k->grow(out[2], in, LEN, &aes);
    k->hash(out[3], in, LEN, 77, &aes);
    for (int i = 0; i + 1 < LEN; i++)
        out[4][i] = k->mul(in[i], in[i + 1]);
    memcpy(out[5], in, sizeof(in));
    k->mul_add(out[5], out[4], LEN, in[3]);
    for (size_t i = 0; i <= LEN; i++)
        out[6][i] = k->poly(in, i, in[5]);
    out[6][LEN + 1] = k->halve(out[7], in, LEN, &aes);
}

static bool self_test(const struct cczi_ot_kernels *k)
{
    struct ccz_f128 got[RESULTS][2 * LEN], expected[RESULTS][2 * LEN];
    run(got, k);
    run(expected, &cczi_ot_portable);
    return memcmp(got, expected, sizeof(got)) == 0;
}

static void choose(void)
{
    usable[0] = chosen = &cczi_ot_portable;
#if defined(__x86_64__)
    if (ccz_cpu()->aes && self_test(&cczi_ot_aesni))
        usable[1] = &cczi_ot_aesni;
    if (ccz_cpu()->vaes && self_test(&cczi_ot_vaes))
        usable[2] = &cczi_ot_vaes;
    if (usable[1] && ccz_cpu()->chosen >= CCZ_CPU_AVX2)
        chosen = usable[1];
    if (usable[2] && ccz_cpu()->chosen >= CCZ_CPU_AVX512)
        chosen = usable[2];
#endif
}

const struct cczi_ot_kernels *cczi_ot_tier_at(size_t i)
{
    (void)pthread_once(&chosen_once, choose);
    return usable[i];
}

const struct cczi_ot_kernels *cczi_ot_kernels(void)
{
    (void)pthread_once(&chosen_once, choose);
    return chosen;
}

struct ccz_f128 ccz_f128_mul(struct ccz_f128 a, struct ccz_f128 b)
{
    return cczi_ot_kernels()->mul(a, b);
}

void ccz_f128_mul_add(struct ccz_f128 *r, const struct ccz_f128 *a, size_t len, struct ccz_f128 x)
{
    cczi_ot_kernels()->mul_add(r, a, len, x);
}

struct ccz_f128 ccz_f128_hash(const struct ccz_f128 *a, size_t len, struct ccz_f128 x)
{
    return cczi_ot_kernels()->poly(a, len, x);
}
